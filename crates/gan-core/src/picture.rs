//! Pictures made of pictures: sheets, captioned stacks, 2-D scatter plots and enlargements.

use image::{Rgb, RgbImage};

const BACKGROUND: Rgb<u8> = Rgb([245, 245, 245]);
const INK: Rgb<u8> = Rgb([45, 48, 54]);

pub(crate) const GLYPH_WIDTH: u32 = 5;
pub(crate) const GLYPH_HEIGHT: u32 = 8;
pub(crate) const GLYPH_ADVANCE: u32 = GLYPH_WIDTH + 1;
const GLYPHS_PER_LINE: usize = 8;

/// From this width on, letters of one pixel per dot are too small beside the picture.
const WIDE_PICTURE: u32 = 320;

/// Lays `pictures` out row by row, `columns` to a row, on a near-white sheet.
///
/// Every cell has the size of the widest and of the highest picture, smaller pictures stand in its middle. `gap` pixels
/// lie between the cells and around the sheet; the end of an incomplete last row stays blank. Fewer pictures than
/// `columns` make a narrower sheet, 0 columns count as 1, and no pictures make a blank sheet of at least one pixel.
#[must_use]
pub fn grid(pictures: &[RgbImage], columns: usize, gap: u32) -> RgbImage {
    let columns = columns.clamp(1, pictures.len().max(1));
    let rows = pictures.len().div_ceil(columns);
    let cell_width = pictures.iter().map(RgbImage::width).max().unwrap_or(0);
    let cell_height = pictures.iter().map(RgbImage::height).max().unwrap_or(0);
    let mut sheet = blank(
        columns as u32 * (cell_width + gap) + gap,
        rows as u32 * (cell_height + gap) + gap,
    );
    for (index, picture) in pictures.iter().enumerate() {
        let left = gap
            + (index % columns) as u32 * (cell_width + gap)
            + (cell_width - picture.width()) / 2;
        let top = gap
            + (index / columns) as u32 * (cell_height + gap)
            + (cell_height - picture.height()) / 2;
        paste(&mut sheet, picture, left, top);
    }
    sheet
}

/// Lays out rows of pictures under the names of their columns, on a near-white sheet.
///
/// Each cell has the size of the largest picture; a name that is longer than its column is wide is cut off. No rows
/// make a blank sheet with the names alone.
#[must_use]
pub fn table(columns: &[&str], rows: &[Vec<RgbImage>]) -> RgbImage {
    const GAP: u32 = 2;
    let pictures: Vec<RgbImage> = rows.iter().flatten().cloned().collect();
    let body = grid(&pictures, columns.len(), GAP);
    let cell = pictures.iter().map(RgbImage::width).max().unwrap_or(0);
    let scale = text_scale(cell);
    let (padding, advance) = (2 * scale, GLYPH_ADVANCE * scale);
    let head = GLYPH_HEIGHT * scale + 2 * padding;
    let mut sheet = blank(body.width(), head + body.height());
    for (column, name) in columns.iter().enumerate() {
        let fits = ((cell + scale) / advance) as usize;
        let name: String = name.chars().take(fits).collect();
        let left = GAP + column as u32 * (cell + GAP);
        draw_text(&mut sheet, &name, left, padding, scale);
    }
    paste(&mut sheet, &body, 0, head);
    sheet
}

/// Letters of a caption that [`labelled`] shows: what a text encoder reads, and a little more.
const LONGEST: usize = 220;

/// Stacks pictures from top to bottom, each under its caption, on a near-white sheet.
///
/// Captions are drawn with a built-in font of 5x8 dots, one pixel to a dot, or 2x2 pixels where a picture is 320 pixels
/// or wider. Characters outside printable ASCII appear as `?`. The sheet is as wide as its widest picture or caption;
/// an empty caption takes no room, a very long one is cut off; no rows make a blank sheet of one pixel.
#[must_use]
pub fn labelled(rows: &[(String, RgbImage)]) -> RgbImage {
    let cut = |caption: &str| -> String {
        if caption.len() <= LONGEST {
            return caption.to_owned();
        }
        let kept: String = caption.chars().take(LONGEST).collect();
        if kept.len() < caption.len() {
            kept + "..."
        } else {
            kept
        }
    };
    let rows: Vec<(String, &RgbImage)> = rows
        .iter()
        .map(|(caption, picture)| (cut(caption), picture))
        .collect();
    let widest = rows
        .iter()
        .map(|(_, picture)| picture.width())
        .max()
        .unwrap_or(0);
    let scale = text_scale(widest);
    let padding = 3 * scale;
    let caption_height = |caption: &str| {
        if caption.is_empty() {
            0
        } else {
            GLYPH_HEIGHT * scale + 2 * padding
        }
    };
    let captions = rows
        .iter()
        .map(|(caption, _)| text_width(caption, scale) + 2 * padding)
        .max()
        .unwrap_or(0);
    let height = rows
        .iter()
        .map(|(caption, picture)| caption_height(caption) + picture.height())
        .sum();
    let mut sheet = blank(widest.max(captions), height);
    let mut top = 0;
    for (caption, picture) in &rows {
        draw_text(&mut sheet, caption, padding, top + padding, scale);
        top += caption_height(caption);
        paste(&mut sheet, picture, 0, top);
        top += picture.height();
    }
    sheet
}

/// Draws points of the plane as a square picture of `size` x `size` pixels.
///
/// The picture shows `[-limit, limit]` in both directions, x to the right and y upwards. `points` are soft translucent
/// blue dots, fainter the more there are, so that density shows; `centres` are thin grey rings; two pale lines mark the
/// axes and `caption` stands in the top left corner (printable ASCII, others appear as `?`). Points outside the
/// picture or not finite are left out. With a `limit` that is not positive only axes and caption are drawn, and a
/// `size` of 0 counts as 1.
#[must_use]
pub fn scatter(
    points: &[[f32; 2]],
    centres: &[[f32; 2]],
    limit: f32,
    size: u32,
    caption: &str,
) -> RgbImage {
    const AXIS: Rgb<u8> = Rgb([228, 230, 233]);
    const POINT: Rgb<u8> = Rgb([31, 98, 214]);
    const RING: Rgb<u8> = Rgb([120, 124, 130]);

    let size = size.max(1);
    let extent = size as f32;
    let mut picture = blank(size, size);
    for position in 0..size {
        picture.put_pixel(position, size / 2, AXIS);
        picture.put_pixel(size / 2, position, AXIS);
    }
    let place = |[x, y]: [f32; 2]| {
        [
            (x / limit + 1.0) * 0.5 * extent,
            (1.0 - y / limit) * 0.5 * extent,
        ]
    };
    let drawable = |values: &[[f32; 2]]| -> Vec<[f32; 2]> {
        // NaN fails the comparison too, so a limit that makes no sense draws nothing instead of everything.
        if limit > 0.0 {
            values.iter().map(|&value| place(value)).collect()
        } else {
            Vec::new()
        }
    };

    let dots = drawable(points);
    let radius = (extent / 240.0).max(1.2);
    let opacity = (25.0 / (dots.len().max(1) as f32).sqrt()).clamp(0.12, 0.6);
    // Light is multiplied before any colour is mixed, so that no point lies above another: their order has no meaning.
    let mut light = vec![1.0f32; (size * size) as usize];
    for &dot in &dots {
        for_each_pixel_near(size, dot, radius + 1.0, |x, y, distance| {
            light[(y * size + x) as usize] *= 1.0 - opacity * soft_edge(radius - distance);
        });
    }
    for (pixel, &light) in picture.pixels_mut().zip(&light) {
        *pixel = mix(*pixel, POINT, 1.0 - light);
    }

    let ring_radius = (extent / 36.0).max(3.0);
    let ring_half_width = (extent / 900.0).max(0.5);
    for centre in drawable(centres) {
        for_each_pixel_near(
            size,
            centre,
            ring_radius + ring_half_width + 1.0,
            |x, y, distance| {
                let cover = soft_edge(ring_half_width - (distance - ring_radius).abs());
                let pixel = picture.get_pixel_mut(x, y);
                *pixel = mix(*pixel, RING, cover);
            },
        );
    }

    let scale = text_scale(size);
    let padding = 3 * scale;
    if !caption.is_empty() {
        let right = (text_width(caption, scale) + 2 * padding).min(size);
        let bottom = (GLYPH_HEIGHT * scale + 2 * padding).min(size);
        for y in 0..bottom {
            for x in 0..right {
                let pixel = picture.get_pixel_mut(x, y);
                *pixel = mix(*pixel, BACKGROUND, 0.8);
            }
        }
        draw_text(&mut picture, caption, padding, padding, scale);
    }
    picture
}

/// Makes every pixel a square of `factor` x `factor` pixels, without any blur. A factor of 0 counts as 1.
#[must_use]
pub fn enlarge(picture: &RgbImage, factor: u32) -> RgbImage {
    let factor = factor.max(1);
    RgbImage::from_fn(
        picture.width() * factor,
        picture.height() * factor,
        |x, y| *picture.get_pixel(x / factor, y / factor),
    )
}

fn blank(width: u32, height: u32) -> RgbImage {
    // An empty picture cannot be saved as a PNG.
    RgbImage::from_pixel(width.max(1), height.max(1), BACKGROUND)
}

fn paste(sheet: &mut RgbImage, picture: &RgbImage, left: u32, top: u32) {
    image::imageops::replace(sheet, picture, i64::from(left), i64::from(top));
}

fn text_scale(width: u32) -> u32 {
    if width >= WIDE_PICTURE { 2 } else { 1 }
}

fn text_width(text: &str, scale: u32) -> u32 {
    (text.chars().count() as u32 * GLYPH_ADVANCE * scale).saturating_sub(scale)
}

fn draw_text(picture: &mut RgbImage, text: &str, left: u32, top: u32, scale: u32) {
    for (position, character) in text.chars().enumerate() {
        let glyph_left = left + position as u32 * GLYPH_ADVANCE * scale;
        for y in 0..GLYPH_HEIGHT * scale {
            for x in 0..GLYPH_WIDTH * scale {
                if has_dot(character, x / scale, y / scale)
                    && let Some(pixel) = picture.get_pixel_mut_checked(glyph_left + x, top + y)
                {
                    *pixel = INK;
                }
            }
        }
    }
}

/// Whether the built-in font has a dot there: `column` below 5, `row` below 8, row 7 under the base line.
pub(crate) fn has_dot(character: char, column: u32, row: u32) -> bool {
    let printable = if (' '..='~').contains(&character) {
        character
    } else {
        '?'
    };
    let index = printable as usize - ' ' as usize;
    let line = FONT[index / GLYPHS_PER_LINE * GLYPH_HEIGHT as usize + row as usize];
    line.as_bytes()[index % GLYPHS_PER_LINE * GLYPH_ADVANCE as usize + column as usize] == b'#'
}

/// Calls `visit(x, y, distance)` for the pixels whose middle is less than `reach` pixels from `middle`.
fn for_each_pixel_near(
    size: u32,
    middle: [f32; 2],
    reach: f32,
    mut visit: impl FnMut(u32, u32, f32),
) {
    let range = |centre: f32| {
        let first = (centre - reach).floor().max(0.0);
        let last = (centre + reach).ceil().min(size as f32);
        // Beyond the edge, and for NaN, the range is empty; the cast of an infinity saturates.
        if first < last && centre.is_finite() {
            first as u32..last as u32
        } else {
            0..0
        }
    };
    for y in range(middle[1]) {
        for x in range(middle[0]) {
            let distance = (x as f32 + 0.5 - middle[0]).hypot(y as f32 + 0.5 - middle[1]);
            if distance < reach {
                visit(x, y, distance);
            }
        }
    }
}

/// How much of a pixel a shape covers whose edge lies `depth` pixels outside it: 0 at -1 and below, 1 at 1 and above.
fn soft_edge(depth: f32) -> f32 {
    let share = ((depth + 1.0) * 0.5).clamp(0.0, 1.0);
    share * share * (3.0 - 2.0 * share)
}

fn mix(under: Rgb<u8>, over: Rgb<u8>, opacity: f32) -> Rgb<u8> {
    let channel = |index: usize| {
        let under = f32::from(under.0[index]);
        (under + (f32::from(over.0[index]) - under) * opacity).round() as u8
    };
    Rgb([channel(0), channel(1), channel(2)])
}

/// The printable ASCII characters from the space on, eight to a line of glyphs, `#` for a dot.
const FONT: [&str; 96] = [
    "..... ..#.. .#.#. .#.#. ..#.. ##... .#... ..#..",
    "..... ..#.. .#.#. .#.#. .#### ##..# #.#.. ..#..",
    "..... ..#.. .#.#. ##### #.#.. ...#. #.#.. ..#..",
    "..... ..#.. ..... .#.#. .###. ..#.. .#... .....",
    "..... ..#.. ..... ##### ..#.# .#... #.#.# .....",
    "..... ..... ..... .#.#. ####. #..## #..#. .....",
    "..... ..#.. ..... .#.#. ..#.. ...## .##.# .....",
    "..... ..... ..... ..... ..... ..... ..... .....",
    "...#. .#... ..... ..... ..... ..... ..... ....#",
    "..#.. ..#.. ..#.. ..#.. ..... ..... ..... ....#",
    ".#... ...#. #.#.# ..#.. ..... ..... ..... ...#.",
    ".#... ...#. .###. ##### ..... ##### ..... ..#..",
    ".#... ...#. #.#.# ..#.. ..... ..... ..... .#...",
    "..#.. ..#.. ..#.. ..#.. ..##. ..... ..##. #....",
    "...#. .#... ..... ..... ..#.. ..... ..##. #....",
    "..... ..... ..... ..... .#... ..... ..... .....",
    ".###. ..#.. .###. .###. ...#. ##### ..##. #####",
    "#...# .##.. #...# #...# ..##. #.... .#... ....#",
    "#..## ..#.. ....# ....# .#.#. ####. #.... ...#.",
    "#.#.# ..#.. ..##. ..##. #..#. ....# ####. ..#..",
    "##..# ..#.. .#... ....# ##### ....# #...# .#...",
    "#...# ..#.. #.... #...# ...#. #...# #...# .#...",
    ".###. .###. ##### .###. ...#. .###. .###. .#...",
    "..... ..... ..... ..... ..... ..... ..... .....",
    ".###. .###. ..... ..... ...#. ..... .#... .###.",
    "#...# #...# ..##. ..##. ..#.. ..... ..#.. #...#",
    "#...# #...# ..##. ..##. .#... ##### ...#. ....#",
    ".###. .#### ..... ..... #.... ..... ....# ...#.",
    "#...# ....# ..##. ..... .#... ##### ...#. ..#..",
    "#...# ...#. ..##. ..##. ..#.. ..... ..#.. .....",
    ".###. .##.. ..... ..#.. ...#. ..... .#... ..#..",
    "..... ..... ..... .#... ..... ..... ..... .....",
    ".###. .###. ####. .###. ####. ##### ##### .###.",
    "#...# #...# #...# #...# #...# #.... #.... #...#",
    "#.### #...# #...# #.... #...# #.... #.... #....",
    "#.#.# ##### ####. #.... #...# ####. ####. #..##",
    "#.### #...# #...# #.... #...# #.... #.... #...#",
    "#.... #...# #...# #...# #...# #.... #.... #...#",
    ".###. #...# ####. .###. ####. ##### #.... .####",
    "..... ..... ..... ..... ..... ..... ..... .....",
    "#...# .###. ..### #...# #.... #...# #...# .###.",
    "#...# ..#.. ...#. #..#. #.... ##.## ##..# #...#",
    "#...# ..#.. ...#. #.#.. #.... #.#.# ##..# #...#",
    "##### ..#.. ...#. ##... #.... #.#.# #.#.# #...#",
    "#...# ..#.. ...#. #.#.. #.... #...# #..## #...#",
    "#...# ..#.. #..#. #..#. #.... #...# #..## #...#",
    "#...# .###. .##.. #...# ##### #...# #...# .###.",
    "..... ..... ..... ..... ..... ..... ..... .....",
    "####. .###. ####. .#### ##### #...# #...# #...#",
    "#...# #...# #...# #.... ..#.. #...# #...# #...#",
    "#...# #...# #...# #.... ..#.. #...# #...# #...#",
    "####. #...# ####. .###. ..#.. #...# #...# #.#.#",
    "#.... #.#.# #.#.. ....# ..#.. #...# .#.#. #.#.#",
    "#.... #..#. #..#. ....# ..#.. #...# .#.#. ##.##",
    "#.... .##.# #...# ####. ..#.. .###. ..#.. #...#",
    "..... ..... ..... ..... ..... ..... ..... .....",
    "#...# #...# ##### .###. #.... .###. ..#.. .....",
    "#...# #...# ....# .#... #.... ...#. .#.#. .....",
    ".#.#. .#.#. ...#. .#... .#... ...#. #...# .....",
    "..#.. ..#.. ..#.. .#... ..#.. ...#. ..... .....",
    ".#.#. ..#.. .#... .#... ...#. ...#. ..... .....",
    "#...# ..#.. #.... .#... ....# ...#. ..... .....",
    "#...# ..#.. ##### .###. ....# .###. ..... .....",
    "..... ..... ..... ..... ..... ..... ..... #####",
    ".#... ..... #.... ..... ....# ..... ..##. .....",
    "..#.. ..... #.... ..... ....# ..... .#..# .....",
    "..... .###. ####. .#### .#### .###. .#... .####",
    "..... ....# #...# #.... #...# #...# ###.. #...#",
    "..... .#### #...# #.... #...# ##### .#... #...#",
    "..... #...# #...# #.... #...# #.... .#... .####",
    "..... .#### ####. .#### .#### .###. .#... ....#",
    "..... ..... ..... ..... ..... ..... ..... .###.",
    "#.... ..#.. ...#. #.... .##.. ..... ..... .....",
    "#.... ..... ..... #.... ..#.. ..... ..... .....",
    "#.##. .##.. ..##. #..#. ..#.. ##.#. #.##. .###.",
    "##..# ..#.. ...#. #.#.. ..#.. #.#.# ##..# #...#",
    "#...# ..#.. ...#. ##... ..#.. #.#.# #...# #...#",
    "#...# ..#.. ...#. #.#.. ..#.. #.#.# #...# #...#",
    "#...# .###. #..#. #..#. .###. #.#.# #...# .###.",
    "..... ..... .##.. ..... ..... ..... ..... .....",
    "..... ..... ..... ..... .#... ..... ..... .....",
    "..... ..... ..... ..... .#... ..... ..... .....",
    "####. .#### #.##. .#### ###.. #...# #...# #...#",
    "#...# #...# ##..# #.... .#... #...# #...# #...#",
    "#...# #...# #.... .###. .#... #...# #...# #.#.#",
    "####. .#### #.... ....# .#..# #..## .#.#. #.#.#",
    "#.... ....# #.... ####. ..##. .##.# ..#.. .#.#.",
    "#.... ....# ..... ..... ..... ..... ..... .....",
    "..... ..... ..... ...#. ..#.. .#... ..... .....",
    "..... ..... ..... ..#.. ..#.. ..#.. ..... .....",
    "#...# #...# ##### ..#.. ..#.. ..#.. .#... .....",
    ".#.#. #...# ...#. .#... ..#.. ...#. #.#.# .....",
    "..#.. #...# ..#.. ..#.. ..#.. ..#.. ...#. .....",
    ".#.#. .#### .#... ..#.. ..#.. ..#.. ..... .....",
    "#...# ....# ##### ...#. ..#.. .#... ..... .....",
    "..... .###. ..... ..... ..... ..... ..... .....",
];

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(width: u32, height: u32, value: u8) -> RgbImage {
        RgbImage::from_pixel(width, height, Rgb([value; 3]))
    }

    #[test]
    fn a_grid_is_row_major_and_centres_small_pictures() {
        let sheet = grid(&[plain(4, 6, 10), plain(2, 2, 20), plain(4, 6, 30)], 2, 1);
        assert_eq!(sheet.dimensions(), (2 * 4 + 3, 2 * 6 + 3));
        assert_eq!(sheet.get_pixel(0, 0), &BACKGROUND);
        assert_eq!(sheet.get_pixel(1, 1).0[0], 10);
        assert_eq!(
            sheet.get_pixel(6, 3),
            &BACKGROUND,
            "beside the small picture"
        );
        assert_eq!(sheet.get_pixel(7, 3).0[0], 20);
        assert_eq!(sheet.get_pixel(8, 4).0[0], 20);
        assert_eq!(sheet.get_pixel(1, 8).0[0], 30);
        assert_eq!(
            sheet.get_pixel(6, 8),
            &BACKGROUND,
            "the incomplete row is blank"
        );
    }

    #[test]
    fn a_grid_of_odd_requests_still_is_a_picture() {
        assert_eq!(grid(&[], 0, 0).dimensions(), (1, 1));
        assert_eq!(grid(&[plain(3, 3, 0)], 0, 2).dimensions(), (7, 7));
        assert_eq!(grid(&[plain(3, 3, 0)], 8, 0).dimensions(), (3, 3));
    }

    #[test]
    fn captions_stand_above_their_pictures() {
        let rows = [
            ("A long caption".to_string(), plain(8, 8, 0)),
            (String::new(), plain(8, 8, 0)),
        ];
        let sheet = labelled(&rows);
        assert_eq!(sheet.dimensions(), (14 * GLYPH_ADVANCE - 1 + 6, 14 + 8 + 8));
        let dots = |range: std::ops::Range<u32>| {
            range
                .flat_map(|y| (0..sheet.width()).map(move |x| (x, y)))
                .filter(|&(x, y)| sheet.get_pixel(x, y) == &INK)
                .count()
        };
        assert!(dots(0..14) > 60);
        assert_eq!(dots(14..30), 0);
        assert_eq!(sheet.get_pixel(7, 14).0, [0; 3]);
        let wide = labelled(&[("A".to_string(), plain(WIDE_PICTURE, 8, 0))]);
        assert_eq!(wide.height(), 2 * 14 + 8);
    }

    #[test]
    fn a_table_has_its_names_above() {
        let rows = [
            vec![plain(20, 10, 0), plain(20, 10, 90)],
            vec![plain(20, 10, 50), plain(20, 10, 10)],
        ];
        let sheet = table(&["real_A", "B"], &rows);
        assert_eq!(sheet.dimensions(), (2 * 22 + 2, 12 + 2 * 12 + 2));
        assert_eq!(sheet.get_pixel(2, 12 + 2 + 10 + 2).0, [50; 3]);
        let inked =
            |from: u32, to: u32| (from..to).any(|x| (0..12).any(|y| sheet.get_pixel(x, y) == &INK));
        assert!(inked(2, 22) && inked(24, 30) && !inked(31, 46));
    }

    #[test]
    fn every_character_has_a_shape_of_its_own() {
        let shape = |character| {
            (0..GLYPH_HEIGHT)
                .flat_map(|y| (0..GLYPH_WIDTH).map(move |x| has_dot(character, x, y)))
                .collect::<Vec<_>>()
        };
        let shapes: std::collections::HashSet<_> = (' '..='~').map(shape).collect();
        assert_eq!(shapes.len(), 95);
        assert_eq!(shape('é'), shape('?'));
        assert!(FONT.iter().all(|line| line.len() == 47));
    }

    #[test]
    fn a_scatter_has_y_up_and_skips_what_is_outside() {
        let size = 101;
        let background = scatter(&[], &[], 2.0, size, "");
        let one = scatter(&[[1.0, 1.0]], &[], 2.0, size, "");
        let dot = one.get_pixel(75, 25).0;
        assert!(dot[2] > dot[0] + 40, "{dot:?} is not blue");
        assert_eq!(one.get_pixel(75, 75), background.get_pixel(75, 75));
        let outside = [
            [3.0, 0.0],
            [f32::NAN, 0.0],
            [f32::INFINITY, f32::NEG_INFINITY],
            [0.0, -1e30],
        ];
        assert_eq!(scatter(&outside, &[], 2.0, size, ""), background);
        assert_eq!(
            scatter(&[[0.5, 0.5]], &[[0.5, 0.5]], f32::NAN, size, ""),
            background
        );
        assert_ne!(scatter(&[], &[[0.5, 0.5]], 2.0, size, ""), background);
        assert_ne!(scatter(&[], &[], 2.0, size, "step 10"), background);
        assert_eq!(scatter(&[], &[], 2.0, 0, "step 10").dimensions(), (1, 1));
    }

    #[test]
    fn the_order_of_the_points_does_not_matter() {
        let points = [[0.0, 0.0], [0.01, 0.0], [0.4, -0.3]];
        let mut reversed = points;
        reversed.reverse();
        assert_eq!(
            scatter(&points, &[], 1.0, 64, ""),
            scatter(&reversed, &[], 1.0, 64, "")
        );
    }

    #[test]
    fn an_enlargement_repeats_pixels() {
        let picture = RgbImage::from_fn(2, 2, |x, y| Rgb([(x * 100 + y * 10) as u8; 3]));
        let large = enlarge(&picture, 3);
        assert_eq!(large.dimensions(), (6, 6));
        assert_eq!(large.get_pixel(2, 5), picture.get_pixel(0, 1));
        assert_eq!(large.get_pixel(3, 2), picture.get_pixel(1, 0));
        assert_eq!(enlarge(&picture, 0), picture);
    }
}
