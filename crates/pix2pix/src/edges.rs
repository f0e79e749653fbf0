//! Line drawings of photographs: Canny's edge detector (Canny 1986, "A computational approach to edge detection",
//! PAMI 8(6)) with what makes its edges lines that a person could have drawn.
//!
//! 1. Each channel is blurred with a Gaussian, wider in a larger picture: what is drawn depends on the picture, not
//!    on how many pixels it has.
//! 2. Sobel's derivatives of the channel that changes most: red beside green of the same lightness is an edge too.
//! 3. Only ridges stay: places where the change is larger than on both sides across it, read between the pixels.
//! 4. Hysteresis: pieces of ridges above a low threshold stay where some place of them is above a high one.
//! 5. Short pieces go, and what is left is thinned to one pixel.
//!
//! # Thresholds
//!
//! The strength of an edge is told as a contrast: the height, in levels of 0 to 255, of the sharp step that would
//! give the same derivative. The high threshold is the strength that [`INK`] of the picture's pixels reach, if they
//! are ridges, and never less than [`LEAST_CONTRAST`]. So a busy picture (leaves, bricks) is drawn with its strongest
//! lines alone, as much ink as a drawing has; a plain one (a shoe on white) with everything that is to be seen, as
//! there is less than that; and noise, grading and the blocks of JPEG are not drawn for want of something better. A
//! share of all pixels, or a multiple of the median, would do just that on a plain background. The low threshold is
//! [`LOW_SHARE`] of the high one (Canny advises a third to a half), and never less than what [`MOST_INK`] of the pixels
//! reach: in grass or noise all ridges hang together, and a single strong place would draw them all.

use image::{ImageBuffer, Luma, Rgb, RgbImage, imageops};

/// Widths of the blur (its standard deviation) in a picture's shorter side. With this and the numbers below, chosen
/// by eye on facades, faces, portraits and the pictures of Set14 at 256 x 256, windows keep their corners and eyes
/// their lids, while most of leaves, hair and brick is not drawn.
const SHARES_OF_SIDE: f32 = 200.0;
/// Least width of the blur, in pixels: below it, ridges follow the pixels' grid.
const LEAST_SIGMA: f32 = 1.2;
/// Share of all pixels that strong ridges take at most.
const INK: f64 = 0.05;
/// Share of all pixels that are drawn at most.
const MOST_INK: f64 = 0.12;
/// Least contrast of a strong ridge, in levels.
const LEAST_CONTRAST: f32 = 28.0;
/// The low threshold, of the high one.
const LOW_SHARE: f32 = 0.4;
/// The shortest pieces that are drawn, in a picture's shorter side.
const PIECES_OF_SIDE: u32 = 20;

/// Contrasts that differ by less are equal: which of two pixels rounding favours must not bend a straight line.
const EQUAL: f32 = 1.0 / 256.0;

/// A line drawing of a photograph, of the same size: black lines, one pixel wide, on white.
pub(crate) fn drawing(photo: &RgbImage) -> RgbImage {
    let (width, height) = photo.dimensions();
    let mut drawing = RgbImage::from_pixel(width, height, Rgb([255; 3]));
    let slopes = Slopes::of(photo);
    let ridges = slopes.ridges();
    let bounds = thresholds(&ridges);
    let shortest = (width.min(height) / PIECES_OF_SIDE).max(2) as usize;
    let mut lines = connected(&ridges, &slopes.grid, bounds, shortest);
    thin(&mut lines, &slopes);
    for (pixel, is_line) in drawing.pixels_mut().zip(lines) {
        if is_line {
            *pixel = Rgb([0; 3]);
        }
    }
    drawing
}

/// Width and height of planes, for neighbours.
#[derive(Debug, Clone, Copy)]
struct Grid {
    width: usize,
    height: usize,
}

/// The eight neighbours, once around.
const AROUND: [(isize, isize); 8] = [
    (1, 0),
    (1, -1),
    (0, -1),
    (-1, -1),
    (-1, 0),
    (-1, 1),
    (0, 1),
    (1, 1),
];

impl Grid {
    /// A neighbour, or the pixel of the border beside which it would be.
    fn near(self, at: usize, (right, down): (isize, isize)) -> usize {
        let clamp =
            |value: usize, by: isize, side: usize| value.saturating_add_signed(by).min(side - 1);
        let (x, y) = (at % self.width, at / self.width);
        clamp(y, down, self.height) * self.width + clamp(x, right, self.width)
    }

    /// A neighbour, if there is one.
    fn neighbour(self, at: usize, (right, down): (isize, isize)) -> Option<usize> {
        let x = (at % self.width).checked_add_signed(right)?;
        let y = (at / self.width).checked_add_signed(down)?;
        (x < self.width && y < self.height).then(|| y * self.width + x)
    }
}

/// How much a picture changes, and in which direction, at each pixel.
struct Slopes {
    grid: Grid,
    /// Derivatives to the right, as contrasts.
    right: Vec<f32>,
    /// Derivatives downwards, as contrasts.
    down: Vec<f32>,
    /// Their length.
    contrast: Vec<f32>,
}

impl Slopes {
    fn of(photo: &RgbImage) -> Self {
        let (width, height) = photo.dimensions();
        let grid = Grid {
            width: width as usize,
            height: height as usize,
        };
        let count = grid.width * grid.height;
        let mut slopes = Self {
            grid,
            right: vec![0.0; count],
            down: vec![0.0; count],
            contrast: vec![0.0; count],
        };
        let sigma = (width.min(height) as f32 / SHARES_OF_SIDE).max(LEAST_SIGMA);
        // The derivative in the middle of a step of height 1 is that of a Gaussian; Sobel's weights sum to 8.
        let scale = sigma * (2.0 * std::f32::consts::PI).sqrt() / 8.0;
        for channel in 0..3 {
            let plane = ImageBuffer::<Luma<f32>, Vec<f32>>::from_fn(width, height, |x, y| {
                Luma([f32::from(photo.get_pixel(x, y).0[channel])])
            });
            let plane = imageops::blur(&plane, sigma).into_raw();
            slopes.add(&plane, scale);
        }
        slopes
    }

    /// Takes over the derivatives of a channel where they are larger.
    fn add(&mut self, plane: &[f32], scale: f32) {
        for at in 0..plane.len() {
            let value = |right, down| plane[self.grid.near(at, (right, down))];
            let right = (value(1, -1) - value(-1, -1))
                + 2.0 * (value(1, 0) - value(-1, 0))
                + (value(1, 1) - value(-1, 1));
            let down = (value(-1, 1) - value(-1, -1))
                + 2.0 * (value(0, 1) - value(0, -1))
                + (value(1, 1) - value(1, -1));
            let (right, down) = (right * scale, down * scale);
            let contrast = (right * right + down * down).sqrt();
            if contrast > self.contrast[at] {
                (self.right[at], self.down[at], self.contrast[at]) = (right, down, contrast);
            }
        }
    }

    /// The contrast where it is larger than on both sides across the edge, 0 elsewhere. Of two equal pixels, the one
    /// on the darker side stays.
    fn ridges(&self) -> Vec<f32> {
        let ridge = |at: usize| {
            let contrast = self.contrast[at];
            let (right, down) = (self.right[at], self.down[at]);
            let step = |value: f32| if value < 0.0 { -1 } else { 1 };
            let (right_step, down_step) = (step(right), step(down));
            // The line across the edge meets the ring of neighbours between a straight and a diagonal one.
            let (straight, share) = if right.abs() >= down.abs() {
                ((right_step, 0), down.abs() / right.abs())
            } else {
                ((0, down_step), right.abs() / down.abs())
            };
            let beside = |sign: isize| {
                let of = |(right, down): (isize, isize)| {
                    self.contrast[self.grid.near(at, (right * sign, down * sign))]
                };
                of(straight) * (1.0 - share) + of((right_step, down_step)) * share
            };
            contrast + EQUAL >= beside(1) && contrast > beside(-1) + EQUAL
        };
        (0..self.contrast.len())
            .map(|at| {
                // Below every low threshold: needs no look.
                let is_faint = self.contrast[at] < LEAST_CONTRAST * LOW_SHARE;
                if !is_faint && ridge(at) {
                    self.contrast[at]
                } else {
                    0.0
                }
            })
            .collect()
    }
}

/// The low and the high threshold for these ridges.
fn thresholds(ridges: &[f32]) -> (f32, f32) {
    let mut strengths: Vec<f32> = ridges
        .iter()
        .copied()
        .filter(|value| *value > 0.0)
        .collect();
    strengths.sort_unstable_by(|a, b| b.total_cmp(a));
    let exceeded_by = |share: f64| {
        let count = (ridges.len() as f64 * share) as usize;
        strengths.get(count).copied().unwrap_or(0.0)
    };
    let high = exceeded_by(INK).max(LEAST_CONTRAST);
    (exceeded_by(MOST_INK).max(high * LOW_SHARE), high)
}

/// Ridges above the low bound that hang together, reach the high one somewhere and have `shortest` pixels or more.
fn connected(ridges: &[f32], grid: &Grid, (low, high): (f32, f32), shortest: usize) -> Vec<bool> {
    let mut lines = vec![false; ridges.len()];
    let mut seen = vec![false; ridges.len()];
    for first in 0..ridges.len() {
        if seen[first] || ridges[first] < high {
            continue;
        }
        seen[first] = true;
        let mut piece = vec![first];
        let mut next = 0;
        while let Some(at) = piece.get(next).copied() {
            next += 1;
            for neighbour in AROUND.iter().filter_map(|step| grid.neighbour(at, *step)) {
                if !seen[neighbour] && ridges[neighbour] >= low {
                    seen[neighbour] = true;
                    piece.push(neighbour);
                }
            }
        }
        if piece.len() >= shortest {
            for at in piece {
                lines[at] = true;
            }
        }
    }
    lines
}

/// Takes away pixels without which the lines hang together as before, the weakest first. The ends of lines stay.
fn thin(lines: &mut [bool], slopes: &Slopes) {
    let mut order: Vec<usize> = (0..lines.len()).filter(|at| lines[*at]).collect();
    let weaker = |a: &usize, b: &usize| slopes.contrast[*a].total_cmp(&slopes.contrast[*b]);
    order.sort_by(weaker);
    for at in order {
        let is_line = AROUND.map(|step| {
            slopes
                .grid
                .neighbour(at, step)
                .is_some_and(|neighbour| lines[neighbour])
        });
        let neighbours = is_line.iter().filter(|is_line| **is_line).count();
        // How many parts of the line meet here: Yokoi's number for lines that hang together by corners too.
        let parts = (0..8)
            .step_by(2)
            .filter(|side| !is_line[*side] && (is_line[side + 1] || is_line[(side + 2) % 8]))
            .count();
        if neighbours > 1 && parts == 1 {
            lines[at] = false;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_line(drawing: &RgbImage, x: i64, y: i64) -> bool {
        let is_inside = (0..i64::from(drawing.width())).contains(&x)
            && (0..i64::from(drawing.height())).contains(&y);
        is_inside && drawing.get_pixel(x as u32, y as u32).0 == [0; 3]
    }

    fn lines(drawing: &RgbImage) -> Vec<(i64, i64)> {
        let (width, height) = (i64::from(drawing.width()), i64::from(drawing.height()));
        (0..height)
            .flat_map(|y| (0..width).map(move |x| (x, y)))
            .filter(|(x, y)| is_line(drawing, *x, *y))
            .collect()
    }

    /// Pixels that are reached from the first one, by sides alone, or by corners too.
    fn reached(
        first: (i64, i64),
        steps: &[(isize, isize)],
        may: impl Fn(i64, i64) -> bool,
    ) -> usize {
        let mut seen = std::collections::BTreeSet::from([first]);
        let mut waiting = vec![first];
        while let Some((x, y)) = waiting.pop() {
            for (right, down) in steps {
                let next = (x + *right as i64, y + *down as i64);
                if may(next.0, next.1) && seen.insert(next) {
                    waiting.push(next);
                }
            }
        }
        seen.len()
    }

    /// A dark square from `first` to `last` pixel in both directions.
    fn square(side: u32, first: u32, last: u32, dark: [u8; 3], light: [u8; 3]) -> RgbImage {
        RgbImage::from_fn(side, side, |x, y| {
            let is_inside = (first..=last).contains(&x) && (first..=last).contains(&y);
            Rgb(if is_inside { dark } else { light })
        })
    }

    #[test]
    fn a_square_gets_a_closed_outline_of_one_pixel() {
        // The last pair has one lightness: only its colours differ.
        for (dark, light) in [
            ([20; 3], [230; 3]),
            ([90; 3], [130; 3]),
            ([200, 60, 0], [0, 160, 0]),
        ] {
            let drawn = drawing(&square(64, 16, 47, dark, light));
            let found = lines(&drawn);
            for (x, y) in &found {
                let to_border = |value: i64| (value - 16).abs().min((value - 47).abs());
                let off = to_border(*x).min(to_border(*y));
                assert!(
                    off <= 2 && (14..=49).contains(x) && (14..=49).contains(y),
                    "{x} {y}"
                );
            }
            // Far from the corners, the line is on the border's own pixels and nowhere else.
            for along in 24..40 {
                let across: Vec<i64> = (0..64).filter(|at| is_line(&drawn, along, *at)).collect();
                assert_eq!(across.len(), 2, "{across:?}");
                let down: Vec<i64> = (0..64).filter(|at| is_line(&drawn, *at, along)).collect();
                assert_eq!(across, down);
                assert!(
                    [15, 16].contains(&across[0]) && [47, 48].contains(&across[1]),
                    "{across:?}"
                );
                if dark == [20; 3] {
                    assert_eq!(across, [16, 47], "the darker side");
                }
            }
            // One line, all around: whoever starts in a corner and steps over sides does not come in.
            let all = reached(found[0], &AROUND, |x, y| is_line(&drawn, x, y));
            assert_eq!(all, found.len());
            let sides = [AROUND[0], AROUND[2], AROUND[4], AROUND[6]];
            let outside = reached((0, 0), &sides, |x, y| {
                (0..64).contains(&x) && (0..64).contains(&y) && !is_line(&drawn, x, y)
            });
            assert!(
                (64 * 64 - 34 * 34..64 * 64 - 30 * 30).contains(&outside),
                "{outside}"
            );
            // Every pixel of it has two neighbours: no ends, no clots.
            for (x, y) in found {
                let near = AROUND
                    .iter()
                    .filter(|(right, down)| is_line(&drawn, x + *right as i64, y + *down as i64));
                assert_eq!(near.count(), 2, "{x} {y}");
            }
        }
    }

    #[test]
    fn nothing_is_drawn_where_nothing_is() {
        let white = |picture: RgbImage| {
            let drawn = drawing(&picture);
            assert_eq!(drawn.dimensions(), picture.dimensions());
            assert!(lines(&drawn).is_empty());
        };
        white(RgbImage::from_pixel(64, 48, Rgb([130, 20, 7])));
        // From black to white over 128 pixels, across, down and along the diagonal.
        white(RgbImage::from_fn(128, 64, |x, _| Rgb([2 * x as u8; 3])));
        white(RgbImage::from_fn(64, 128, |_, y| Rgb([0, 2 * y as u8, 9])));
        white(RgbImage::from_fn(128, 128, |x, y| Rgb([(x + y) as u8; 3])));
        // Grains of up to 8 levels.
        white(RgbImage::from_fn(96, 96, |x, y| {
            Rgb([120 + ((x * 7919 + y * 104_729 + x * y * 31) % 9) as u8; 3])
        }));
        for (width, height) in [(1, 1), (1, 9), (9, 1), (2, 2), (3, 3)] {
            white(RgbImage::from_pixel(width, height, Rgb([7; 3])));
        }
    }

    #[test]
    fn a_busy_picture_is_drawn_with_so_much_ink() {
        // Every pixel its own grey, as strong as can be.
        let noise = RgbImage::from_fn(128, 128, |x, y| {
            let mut number = x.wrapping_mul(0x9e37_79b9) ^ y.wrapping_mul(0x85eb_ca6b);
            number = (number ^ (number >> 15)).wrapping_mul(0x2c1b_3c6d);
            number = (number ^ (number >> 12)).wrapping_mul(0x297a_2d39);
            Rgb([(number >> 24) as u8; 3])
        });
        let drawn = drawing(&noise);
        let share = lines(&drawn).len() as f64 / (128.0 * 128.0);
        assert!(share > 0.02 && share <= MOST_INK, "{share}");
        assert_eq!(drawn, drawing(&noise), "the same again");
    }

    #[test]
    fn thinning_keeps_ends_and_what_hangs_together() {
        // A bar of two rows becomes a line of as many pixels, give or take one at its ends.
        let grid = Grid {
            width: 20,
            height: 6,
        };
        let mut bar: Vec<bool> = (0..120)
            .map(|at| (2..18).contains(&(at % 20)) && (2..4).contains(&(at / 20)))
            .collect();
        let contrast = (0..120)
            .map(|at| if at / 20 == 2 { 2.0 } else { 1.0 })
            .collect();
        let slopes = Slopes {
            grid,
            right: Vec::new(),
            down: Vec::new(),
            contrast,
        };
        thin(&mut bar, &slopes);
        // The stronger row is what stays.
        assert!(
            bar.iter()
                .enumerate()
                .all(|(at, is_line)| !is_line || at / 20 == 2)
        );
        assert!((14..=16).contains(&bar.iter().filter(|is_line| **is_line).count()));
        let before = bar.clone();
        thin(&mut bar, &slopes);
        assert_eq!(bar, before, "a thin line stays");
    }
}
