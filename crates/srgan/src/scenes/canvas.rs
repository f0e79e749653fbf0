//! What scenes are drawn on: shapes with smooth edges, seen from some side.

use super::noise::grain;
use image::{Rgb, RgbImage};

/// A place in a scene, or on the canvas.
pub(super) type Point = [f32; 2];

/// An sRGB colour, each channel 0 to 1.
pub(super) type Colour = [f32; 3];

/// Canvas pixels in a pixel of the picture, a side.
const FINENESS: usize = 2;

/// Lines on which a row of the canvas is sampled; along them, coverage is exact.
const LINES: usize = 3;

pub(super) fn hex(code: u32) -> Colour {
    [16, 8, 0].map(|shift| (code >> shift & 255) as f32 / 255.0)
}

pub(super) fn mix(from: Colour, to: Colour, fraction: f32) -> Colour {
    [0, 1, 2].map(|at| from[at] + (to[at] - from[at]) * fraction)
}

pub(super) fn lit(colour: Colour, strength: f32) -> Colour {
    colour.map(|value| value * strength)
}

/// How the plane of a scene, of which about 0 to 1 is seen, lies in the picture: a homography.
#[derive(Debug, Clone, Copy)]
pub(super) struct View {
    forth: [[f32; 3]; 3],
    back: [[f32; 3]; 3],
}

impl View {
    /// Turned about the middle by `angle`, `size` times as large, and leaning away by `lean`: its reciprocal distance
    /// changes so much over the picture, across and down.
    pub(super) fn new(angle: f32, size: f32, lean: Point) -> Self {
        let (sine, cosine) = angle.sin_cos();
        let [a, b, c, d] = [size * cosine, -size * sine, size * sine, size * cosine];
        let [p, q] = lean;
        // About (1/2, 1/2): shifted there, turned and projected, shifted back.
        let about = [[a, b, 0.0], [c, d, 0.0], [p, q, 1.0]];
        let to_middle = [[1.0, 0.0, -0.5], [0.0, 1.0, -0.5], [0.0, 0.0, 1.0]];
        let from_middle = [[1.0, 0.0, 0.5], [0.0, 1.0, 0.5], [0.0, 0.0, 1.0]];
        let forth = product(from_middle, product(about, to_middle));
        Self {
            forth,
            back: inverse(forth),
        }
    }

    fn place(self, point: Point) -> Point {
        applied(&self.forth, point)
    }
}

fn product(left: [[f32; 3]; 3], right: [[f32; 3]; 3]) -> [[f32; 3]; 3] {
    left.map(|row| [0, 1, 2].map(|at| (0..3).map(|k| row[k] * right[k][at]).sum()))
}

/// Up to a factor, which a homography does not show.
fn inverse(m: [[f32; 3]; 3]) -> [[f32; 3]; 3] {
    let minor = |a: usize, b: usize, c: usize, d: usize| m[a][c] * m[b][d] - m[a][d] * m[b][c];
    [
        [minor(1, 2, 1, 2), -minor(0, 2, 1, 2), minor(0, 1, 1, 2)],
        [-minor(1, 2, 0, 2), minor(0, 2, 0, 2), -minor(0, 1, 0, 2)],
        [minor(1, 2, 0, 1), -minor(0, 2, 0, 1), minor(0, 1, 0, 1)],
    ]
}

fn applied(m: &[[f32; 3]; 3], [x, y]: Point) -> Point {
    let row = |at: usize| m[at][0] * x + m[at][1] * y + m[at][2];
    let depth = row(2);
    [row(0) / depth, row(1) / depth]
}

/// A picture that is being drawn.
pub(super) struct Canvas {
    side: usize,
    pixels: Vec<Colour>,
    view: View,
    coverage: Vec<f32>,
}

impl Canvas {
    pub(super) fn new(side: u32, view: View) -> Self {
        let side = side as usize * FINENESS;
        Self {
            side,
            pixels: vec![[0.0; 3]; side * side],
            view,
            coverage: vec![0.0; side + 1],
        }
    }

    /// Sees what is drawn from now on from another side.
    pub(super) fn look(&mut self, view: View) {
        self.view = view;
    }

    /// Paints everything.
    pub(super) fn cover(&mut self, paint: impl Fn(f32, f32) -> Colour) {
        let scale = 1.0 / self.side as f32;
        for (row, line) in self.pixels.chunks_exact_mut(self.side).enumerate() {
            let y = (row as f32 + 0.5) * scale;
            for (column, pixel) in line.iter_mut().enumerate() {
                let [x, y] = applied(&self.view.back, [(column as f32 + 0.5) * scale, y]);
                *pixel = paint(x, y);
            }
        }
    }

    /// Paints everything with what changes little from one pixel of the picture to the next.
    pub(super) fn cover_smoothly(&mut self, paint: impl Fn(f32, f32) -> Colour) {
        let scale = 1.0 / self.side as f32;
        for (row, lines) in self
            .pixels
            .chunks_exact_mut(self.side * FINENESS)
            .enumerate()
        {
            let y = (row as f32 + 0.5) * FINENESS as f32 * scale;
            for column in (0..self.side).step_by(FINENESS) {
                let x = (column as f32 + 0.5 * FINENESS as f32) * scale;
                let [x, y] = applied(&self.view.back, [x, y]);
                let colour = paint(x, y);
                for line in lines.chunks_exact_mut(self.side) {
                    line[column..column + FINENESS].fill(colour);
                }
            }
        }
    }

    /// Fills what lies inside of closed outlines that all turn the same way, with a colour and its opacity for each
    /// place of the scene.
    pub(super) fn fill(
        &mut self,
        outlines: &[Vec<Point>],
        paint: impl Fn(f32, f32) -> (Colour, f32),
    ) {
        let scale = self.side as f32;
        // From the upper to the lower end, and which way it went.
        let mut edges: Vec<(Point, Point, f32)> = Vec::new();
        for outline in outlines {
            let Some(mut before) = outline.last().map(|point| self.view.place(*point)) else {
                continue;
            };
            for point in outline {
                let next = self.view.place(*point);
                let [a, b] = [before, next].map(|point| point.map(|at| at * scale));
                if a[1] < b[1] {
                    edges.push((a, b, 1.0));
                } else if a[1] > b[1] {
                    edges.push((b, a, -1.0));
                }
                before = next;
            }
        }
        let left = edges
            .iter()
            .fold(f32::MAX, |left, (a, b, _)| left.min(a[0]).min(b[0]));
        let right = edges
            .iter()
            .fold(f32::MIN, |right, (a, b, _)| right.max(a[0]).max(b[0]));
        if right <= 0.0 || left >= scale {
            return;
        }
        let top = edges.iter().fold(f32::MAX, |top, edge| top.min(edge.0[1]));
        let bottom = edges.iter().fold(0.0f32, |low, edge| low.max(edge.1[1]));
        let first = top.clamp(0.0, scale) as usize;
        let end = (bottom.clamp(0.0, scale).ceil() as usize).min(self.side);
        let mut crossings: Vec<(f32, f32)> = Vec::new();
        let mut near: Vec<(Point, Point, f32)> = Vec::new();
        edges.sort_unstable_by(|a, b| a.0[1].total_cmp(&b.0[1]));
        let mut waiting = edges.into_iter().peekable();
        for row in first..end {
            near.retain(|(_, b, _)| b[1] > row as f32);
            while let Some(edge) = waiting.next_if(|(a, _, _)| a[1] < (row + 1) as f32) {
                if edge.1[1] > row as f32 {
                    near.push(edge);
                }
            }
            let (mut left, mut right) = (self.side, 0);
            for line in 0..LINES {
                let y = row as f32 + (line as f32 + 0.5) / LINES as f32;
                crossings.clear();
                for (a, b, way) in &near {
                    if a[1] <= y && y < b[1] {
                        let x = a[0] + (b[0] - a[0]) * (y - a[1]) / (b[1] - a[1]);
                        crossings.push((x.clamp(0.0, scale), *way));
                    }
                }
                crossings.sort_unstable_by(|a, b| a.0.total_cmp(&b.0));
                let mut winding = 0.0;
                for pair in crossings.windows(2) {
                    winding += pair[0].1;
                    if winding != 0.0 && pair[1].0 > pair[0].0 {
                        let (from, to) = (pair[0].0, pair[1].0);
                        cover_span(&mut self.coverage, from, to);
                        left = left.min(from as usize);
                        right = right.max(to.ceil() as usize);
                    }
                }
            }
            let y = (row as f32 + 0.5) / scale;
            for column in left..right.min(self.side) {
                let share = std::mem::take(&mut self.coverage[column]) / LINES as f32;
                if share > 0.0 {
                    let x = (column as f32 + 0.5) / scale;
                    let [x, y] = applied(&self.view.back, [x, y]);
                    let (colour, opacity) = paint(x, y);
                    let pixel = &mut self.pixels[row * self.side + column];
                    *pixel = mix(*pixel, colour, opacity * share.min(1.0));
                }
            }
            // What rounding left at the ends.
            self.coverage[right.min(self.side)] = 0.0;
        }
    }

    /// Fills one outline with one colour.
    pub(super) fn flat(&mut self, outline: Vec<Point>, colour: Colour) {
        self.fill(&[outline], |_, _| (colour, 1.0));
    }

    /// Darkens one outline.
    pub(super) fn shade(&mut self, outline: Vec<Point>, opacity: f32) {
        self.fill(&[outline], |_, _| ([0.05, 0.05, 0.09], opacity));
    }

    /// The picture, under a light that falls off to one side, `light` across and down, with the grain of a sensor.
    pub(super) fn picture(&self, light: Point, exposure: f32, seed: u32) -> RgbImage {
        let side = self.side / FINENESS;
        RgbImage::from_fn(side as u32, side as u32, |x, y| {
            let mut sum = [0.0; 3];
            for row in 0..FINENESS {
                let start = (y as usize * FINENESS + row) * self.side + x as usize * FINENESS;
                for pixel in &self.pixels[start..start + FINENESS] {
                    for (sum, value) in sum.iter_mut().zip(pixel) {
                        *sum += value;
                    }
                }
            }
            let [u, v] = [x, y].map(|at| (at as f32 + 0.5) / side as f32 - 0.5);
            let fall = exposure * (1.0 + light[0] * u + light[1] * v - 0.3 * (u * u + v * v));
            let dust = 0.012 * (grain(seed, x as i32, y as i32) - 0.5);
            Rgb(sum.map(|sum| {
                let value = sum / (FINENESS * FINENESS) as f32 * fall + dust;
                (value.clamp(0.0, 1.0) * 255.0 + 0.5) as u8
            }))
        })
    }
}

/// Adds the pixels of a row from `from` to `to`, those at the ends in part.
fn cover_span(coverage: &mut [f32], from: f32, to: f32) {
    let (first, last) = (from as usize, to as usize);
    if first == last {
        coverage[first] += to - from;
        return;
    }
    coverage[first] += (first + 1) as f32 - from;
    coverage[first + 1..last]
        .iter_mut()
        .for_each(|share| *share += 1.0);
    coverage[last] += to - last as f32;
}

/// A rectangle.
pub(super) fn rectangle(left: f32, top: f32, width: f32, height: f32) -> Vec<Point> {
    let (right, bottom) = (left + width, top + height);
    vec![[left, top], [right, top], [right, bottom], [left, bottom]]
}

/// An ellipse.
pub(super) fn ellipse(middle: Point, radii: Point) -> Vec<Point> {
    let corners = 28;
    (0..corners)
        .map(|corner| {
            let angle = corner as f32 * std::f32::consts::TAU / corners as f32;
            let (sine, cosine) = angle.sin_cos();
            [middle[0] + radii[0] * cosine, middle[1] + radii[1] * sine]
        })
        .collect()
}

/// A line through points, `width` wide at its beginning and `end` times that at its end, as outlines of its pieces.
pub(super) fn stroke(line: &[Point], width: f32, end: f32) -> Vec<Vec<Point>> {
    let count = line.len().saturating_sub(1).max(1) as f32;
    line.windows(2)
        .enumerate()
        .filter_map(|(number, pair)| {
            let [a, b] = [pair[0], pair[1]];
            let [dx, dy] = [b[0] - a[0], b[1] - a[1]];
            let length = (dx * dx + dy * dy).sqrt();
            if length == 0.0 {
                return None;
            }
            let half = |number: f32| 0.5 * width * (1.0 + (end - 1.0) * number / count);
            let (from, to) = (half(number as f32), half(number as f32 + 1.0));
            let [ux, uy] = [dx / length, dy / length];
            // A little longer: pieces meet without gaps.
            let [a, b] = [
                [a[0] - 0.6 * ux * from, a[1] - 0.6 * uy * from],
                [b[0] + 0.6 * ux * to, b[1] + 0.6 * uy * to],
            ];
            Some(vec![
                [a[0] + uy * from, a[1] - ux * from],
                [b[0] + uy * to, b[1] - ux * to],
                [b[0] - uy * to, b[1] + ux * to],
                [a[0] - uy * from, a[1] + ux * from],
            ])
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const STRAIGHT: View = View {
        forth: [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]],
        back: [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]],
    };

    /// How much of each pixel an outline covers.
    fn covered(outlines: &[Vec<Point>], view: View) -> Vec<f32> {
        let mut canvas = Canvas::new(32, view);
        canvas.fill(outlines, |_, _| ([1.0; 3], 1.0));
        canvas.pixels.iter().map(|pixel| pixel[0]).collect()
    }

    fn area(outlines: &[Vec<Point>], view: View) -> f32 {
        let shares = covered(outlines, view);
        shares.iter().sum::<f32>() / shares.len() as f32
    }

    #[test]
    fn shapes_cover_their_area() {
        let disc = ellipse([0.5, 0.5], [0.3, 0.2]);
        let found = area(std::slice::from_ref(&disc), STRAIGHT);
        assert!(
            (found - std::f32::consts::PI * 0.06).abs() < 2e-3,
            "{found}"
        );
        // Twice the same covers no more, and what is outside nothing.
        assert_eq!(area(&[disc.clone(), disc.clone()], STRAIGHT), found);
        assert_eq!(area(&[rectangle(1.1, 0.0, 1.0, 1.0)], STRAIGHT), 0.0);
        assert!((area(&[rectangle(-1.0, 0.25, 3.0, 0.5)], STRAIGHT) - 0.5).abs() < 1e-3);
        // Turned, and twice as large.
        let seen = area(&[disc], View::new(0.7, 1.5, [0.0; 2]));
        assert!((seen - 2.25 * found).abs() < 4e-3, "{seen}");
        let line = stroke(&[[0.2, 0.3], [0.7, 0.6]], 0.05, 1.0);
        let long = (0.5f32 * 0.5 + 0.3 * 0.3).sqrt() + 2.0 * 0.6 * 0.025;
        assert!((area(&line, STRAIGHT) - 0.05 * long).abs() < 1e-3);
    }

    #[test]
    fn edges_are_smooth_at_flat_angles_too() {
        let flat = vec![[-1.0, 0.45], [2.0, 0.55], [2.0, 2.0], [-1.0, 2.0]];
        let shares = covered(&[flat], STRAIGHT);
        let side = 32 * FINENESS;
        for (at, share) in shares.iter().enumerate() {
            let [x, y] = [at % side, at / side].map(|at| at as f32);
            let edge = (0.45 + 0.1 * ((x + 0.5) / side as f32 + 1.0) / 3.0) * side as f32;
            let right = (y + 1.0 - edge).clamp(0.0, 1.0);
            assert!(
                (share - right).abs() < 0.2,
                "{x}, {y}: {share} and not {right}"
            );
        }
    }

    #[test]
    fn what_is_painted_lies_where_it_is_seen() {
        let view = View::new(-0.4, 1.3, [0.2, -0.1]);
        for point in [[0.1, 0.9], [0.5, 0.5], [0.8, 0.3]] {
            let [x, y] = applied(&view.back, view.place(point));
            assert!(
                (x - point[0]).abs() + (y - point[1]).abs() < 1e-4,
                "{point:?}: {x} {y}"
            );
        }
    }
}
