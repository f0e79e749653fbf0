//! Curves as a picture.

use gan_core::picture::labelled;
use image::{Rgb, RgbImage, imageops};

const WIDTH: u32 = 640;
const HEIGHT: u32 = 360;
/// Room for numbers at the left and below.
const LEFT: u32 = 48;
const BELOW: u32 = 28;
/// Room at the other sides.
const MARGIN: u32 = 14;
/// The highest y, as a multiple of the error of guessing.
const ABOVE: f32 = 1.125;
/// Half the width of a line, in pixels.
const HALF: f32 = 1.1;

const BACKGROUND: Rgb<u8> = Rgb([245, 245, 245]);
const LINE: Rgb<u8> = Rgb([221, 223, 227]);
/// Bob's colour.
pub const BLUE: Rgb<u8> = Rgb([31, 98, 214]);
/// Eve's colour.
pub const RED: Rgb<u8> = Rgb([205, 62, 45]);

/// A line through points.
#[derive(Debug, Clone)]
pub struct Curve {
    /// Its colour.
    pub colour: Rgb<u8>,
    /// (x, y) with growing x; points that are not finite are left out.
    pub points: Vec<[f32; 2]>,
}

/// Draws curves over x from 0 to `right` and y from 0 to a little above `guess`, the error of guessing, under a caption of
/// up to 52 letters. Horizontal lines stand at each quarter of `guess`; what lies outside is drawn at the edge.
#[must_use]
pub fn plot(curves: &[Curve], right: f32, guess: f32, caption: &str) -> RgbImage {
    let mut picture = RgbImage::from_pixel(WIDTH, HEIGHT, BACKGROUND);
    let (right, guess) = (right.max(f32::MIN_POSITIVE), guess.max(f32::MIN_POSITIVE));
    // Untrained networks are a little worse than guessing.
    let top = ABOVE * guess;
    let width = (WIDTH - LEFT - MARGIN) as f32;
    let height = (HEIGHT - BELOW - MARGIN) as f32;
    let place = |[x, y]: [f32; 2]| {
        [
            LEFT as f32 + (x / right).clamp(0.0, 1.0) * width,
            MARGIN as f32 + (1.0 - (y / top).clamp(0.0, 1.0)) * height,
        ]
    };
    for quarter in 0..=4u8 {
        let value = guess * f32::from(quarter) / 4.0;
        let row = place([0.0, value])[1].round() as u32;
        for x in LEFT..WIDTH - MARGIN {
            picture.put_pixel(x, row, LINE);
        }
        let text = number(value);
        let left = LEFT.saturating_sub(text.width());
        put(&mut picture, &text, left, row.saturating_sub(7));
    }
    let below = HEIGHT - BELOW + 4;
    put(&mut picture, &number(0.0), LEFT - 3, below);
    let text = number(right);
    let left = (WIDTH - MARGIN + 3).saturating_sub(text.width());
    put(&mut picture, &text, left, below);
    for curve in curves {
        let points: Vec<[f32; 2]> = curve
            .points
            .iter()
            .filter(|[x, y]| x.is_finite() && y.is_finite())
            .map(|point| place(*point))
            .collect();
        draw(&mut picture, &thinned(&points), curve.colour);
    }
    labelled(&[(caption.to_owned(), picture)])
}

/// At most one point a column of pixels: the mean of those that fall into it.
fn thinned(points: &[[f32; 2]]) -> Vec<[f32; 2]> {
    let mut columns: Vec<(i32, [f32; 2], f32)> = Vec::new();
    for &[x, y] in points {
        let column = x.floor() as i32;
        match columns.last_mut() {
            Some((last, sum, count)) if *last == column => {
                *sum = [sum[0] + x, sum[1] + y];
                *count += 1.0;
            }
            _ => columns.push((column, [x, y], 1.0)),
        }
    }
    let mean = |(_, [x, y], count): (i32, [f32; 2], f32)| [x / count, y / count];
    columns.into_iter().map(mean).collect()
}

/// Draws a line with soft edges through points of the picture; a single point is a dot.
fn draw(picture: &mut RgbImage, points: &[[f32; 2]], colour: Rgb<u8>) {
    let (width, height) = picture.dimensions();
    // The strongest segment covers a pixel, so that joints are not darker.
    let mut cover = vec![0.0f32; (width * height) as usize];
    let ends = points.windows(2).map(|pair| [pair[0], pair[1]]);
    let dot = points.first().filter(|_| points.len() == 1);
    for [from, to] in ends.chain(dot.map(|point| [*point, *point])) {
        let reach = HALF + 1.0;
        let span = |axis: usize, most: u32| {
            let low = from[axis].min(to[axis]) - reach;
            let high = from[axis].max(to[axis]) + reach;
            low.max(0.0) as u32..(high.max(0.0) as u32 + 1).min(most)
        };
        for y in span(1, height) {
            for x in span(0, width) {
                let away = distance([x as f32 + 0.5, y as f32 + 0.5], from, to);
                let pixel = &mut cover[(y * width + x) as usize];
                *pixel = pixel.max((HALF + 0.5 - away).clamp(0.0, 1.0));
            }
        }
    }
    for (pixel, cover) in picture.pixels_mut().zip(cover) {
        for (under, over) in pixel.0.iter_mut().zip(colour.0) {
            let mixed = f32::from(*under) * (1.0 - cover) + f32::from(over) * cover;
            *under = mixed.round() as u8;
        }
    }
}

/// How far a point is from a segment.
fn distance([x, y]: [f32; 2], from: [f32; 2], to: [f32; 2]) -> f32 {
    let along = [to[0] - from[0], to[1] - from[1]];
    let length = along[0] * along[0] + along[1] * along[1];
    let share = if length > 0.0 {
        ((x - from[0]) * along[0] + (y - from[1]) * along[1]) / length
    } else {
        0.0
    };
    let share = share.clamp(0.0, 1.0);
    (x - from[0] - share * along[0]).hypot(y - from[1] - share * along[1])
}

/// A number in small letters.
fn number(value: f32) -> RgbImage {
    let text = if value.fract() == 0.0 {
        format!("{value:.0}")
    } else {
        format!("{value:.1}")
    };
    // Captions of small pictures are small.
    labelled(&[(text, RgbImage::from_pixel(1, 1, BACKGROUND))])
}

fn put(picture: &mut RgbImage, text: &RgbImage, left: u32, top: u32) {
    imageops::replace(picture, text, i64::from(left), i64::from(top));
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The colour at a value, below the caption.
    fn at(picture: &RgbImage, x: f32, y: f32) -> Rgb<u8> {
        let caption = picture.height() - HEIGHT;
        let width = (WIDTH - LEFT - MARGIN) as f32;
        let height = (HEIGHT - BELOW - MARGIN) as f32;
        *picture.get_pixel(
            LEFT + (x * width) as u32,
            caption + MARGIN + ((1.0 - y / ABOVE) * height) as u32,
        )
    }

    #[test]
    fn curves_lie_where_their_values_are() {
        let line = |colour, from: f32, to: f32| Curve {
            colour,
            points: vec![[0.0, from], [50.0, f32::NAN], [100.0, to]],
        };
        let curves = [line(BLUE, 0.0, 8.0), line(RED, 6.6, 6.6)];
        let picture = plot(&curves, 100.0, 8.0, "two lines");
        assert_eq!(picture.width(), WIDTH);
        assert_eq!(at(&picture, 0.4, 0.4), BLUE);
        assert_eq!(at(&picture, 0.2, 0.825), RED);
        assert_eq!(at(&picture, 0.2, 0.6), BACKGROUND);
        let lines = picture.pixels().filter(|pixel| **pixel == LINE);
        assert!((4 * 500..5 * 600).contains(&lines.count()));
    }

    #[test]
    fn nothing_one_point_and_very_many_are_drawn() {
        let curve = |points: Vec<[f32; 2]>| {
            [Curve {
                colour: RED,
                points,
            }]
        };
        let size = plot(&[], 0.0, 0.0, "").dimensions();
        assert_eq!(size, (WIDTH, HEIGHT));
        let one = plot(&curve(vec![[5.0, 3.0]]), 10.0, 8.0, "");
        // Nearly, for its edge is soft.
        let is_red = |pixel: Rgb<u8>| pixel[0] > 190 && pixel[2] < 100;
        assert!(is_red(at(&one, 0.5, 0.375)));
        // Noise around 3 is drawn as its mean.
        let many = (0..100_000u32).map(|step| [step as f32, 2.0 + (step % 3) as f32]);
        let many = plot(&curve(many.collect()), 1e5, 8.0, "");
        assert!(is_red(at(&many, 0.5, 0.375)));
        assert_eq!(at(&many, 0.5, 0.45), BACKGROUND);
    }
}
