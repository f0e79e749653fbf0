//! Drawing without jagged edges, for procedural stand-ins of data sets: colours, smooth outlines, and a supersampled
//! canvas on which they are filled.
//!
//! Positions are in drawing units: the origin is the middle of the picture, x grows to the right, y downwards, and an
//! unmoved picture spans `-1..=1` both ways.

use image::RgbImage;
use std::f32::consts::{PI, TAU};

/// A position in drawing units: x, y.
pub type Point = [f32; 2];

/// A colour and its opacity `0..=1`.
pub type Ink = (Colour, f32);

/// `from` moved a fraction of the way to `to`.
pub fn between(from: f32, to: f32, fraction: f32) -> f32 {
    from + (to - from) * fraction
}

/// 0 up to `start`, 1 from `end`, straight between.
pub fn ramp(value: f32, start: f32, end: f32) -> f32 {
    ((value - start) / (end - start)).clamp(0.0, 1.0)
}

/// 0 up to `start`, 1 from `end`, without a corner at either.
pub fn smooth_ramp(value: f32, start: f32, end: f32) -> f32 {
    let t = ramp(value, start, end);
    t * t * (3.0 - 2.0 * t)
}

/// An sRGB colour, each channel `0..=1`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Colour(
    /// Red, green, blue.
    pub [f32; 3],
);

/// The brightest colour.
pub const WHITE: Colour = Colour([1.0, 1.0, 1.0]);

impl Colour {
    /// From hue (in turns, any value), saturation `0..=1` and value `0..=1`.
    pub fn from_hsv(hue: f32, saturation: f32, value: f32) -> Self {
        Self([5.0, 3.0, 1.0].map(|offset: f32| {
            let k = (offset + hue.rem_euclid(1.0) * 6.0) % 6.0;
            value - value * saturation * k.min(4.0 - k).clamp(0.0, 1.0)
        }))
    }

    /// The colour at a place `0..=1` along a row of at least two colours.
    pub fn along(row: &[Self], place: f32) -> Self {
        let place = place.clamp(0.0, 1.0) * (row.len() - 1) as f32;
        let first = (place as usize).min(row.len() - 2);
        row[first].mix(row[first + 1], place - first as f32)
    }

    /// This colour moved a fraction `0..=1` of the way to another.
    pub fn mix(self, other: Self, fraction: f32) -> Self {
        let [r, g, b] = self.0;
        let [other_r, other_g, other_b] = other.0;
        Self([
            r + (other_r - r) * fraction,
            g + (other_g - g) * fraction,
            b + (other_b - b) * fraction,
        ])
    }

    /// This colour seen through a filter of red, green and blue.
    pub fn times(self, filter: [f32; 3]) -> Self {
        let [r, g, b] = self.0;
        Self([r * filter[0], g * filter[1], b * filter[2]])
    }

    /// Perceived brightness `0..=1`.
    pub fn brightness(self) -> f32 {
        let [r, g, b] = self.0;
        0.3 * r + 0.59 * g + 0.11 * b
    }
}

/// Straight pieces that approximate one span of a smooth curve.
const PIECES_PER_SPAN: usize = 5;

/// How a drawn line narrows.
#[derive(Clone, Copy, Debug)]
pub enum Taper {
    /// To points at both ends.
    BothEnds,
    /// To a point at the start.
    Start,
    /// To a point at the end.
    End,
    /// A round head and a long tail.
    Comet,
    /// As wide at the ends as elsewhere.
    Never,
}

impl Taper {
    /// Fraction of the full width at a fraction `0..=1` of the way along the line.
    fn width_at(self, along: f32) -> f32 {
        match self {
            Self::BothEnds => (along * PI).sin().max(0.0).powf(0.7),
            Self::Start => along.powf(0.6),
            Self::End => (1.0 - along).powf(0.6),
            Self::Comet => (7.0 * along).min(1.0).sqrt() * (1.0 - along).powf(0.6),
            Self::Never => 1.0,
        }
    }
}

/// The outline of an ellipse whose axes are those of the drawing.
pub fn ellipse(centre: Point, radius_x: f32, radius_y: f32) -> Vec<Point> {
    const CORNERS: usize = 28;
    (0..CORNERS)
        .map(|corner| {
            let (sine, cosine) = (corner as f32 / CORNERS as f32 * TAU).sin_cos();
            [centre[0] + radius_x * cosine, centre[1] + radius_y * sine]
        })
        .collect()
}

/// A smooth closed outline through the given positions (Catmull-Rom).
pub fn smooth_outline(through: &[Point]) -> Vec<Point> {
    let count = through.len();
    let mut outline = Vec::with_capacity(count * PIECES_PER_SPAN);
    for span in 0..count {
        push_span(
            &mut outline,
            through[(span + count - 1) % count],
            through[span],
            through[(span + 1) % count],
            through[(span + 2) % count],
        );
    }
    outline
}

/// A smooth open line through one or more positions (Catmull-Rom).
pub fn smooth_line(through: &[Point]) -> Vec<Point> {
    let last = through.len() - 1;
    let mut line = Vec::with_capacity(last * PIECES_PER_SPAN + 1);
    for span in 0..last {
        push_span(
            &mut line,
            through[span.saturating_sub(1)],
            through[span],
            through[span + 1],
            through[(span + 2).min(last)],
        );
    }
    line.push(through[last]);
    line
}

/// Appends one span of a Catmull-Rom curve, with its start and without its end.
fn push_span(line: &mut Vec<Point>, before: Point, from: Point, to: Point, after: Point) {
    for piece in 0..PIECES_PER_SPAN {
        let t = piece as f32 / PIECES_PER_SPAN as f32;
        let (square, cube) = (t * t, t * t * t);
        let mut point = [0.0; 2];
        for axis in 0..2 {
            point[axis] = (2.0 * cube - 3.0 * square + 1.0) * from[axis]
                + (cube - 2.0 * square + t) * 0.5 * (to[axis] - before[axis])
                + (3.0 * square - 2.0 * cube) * to[axis]
                + (cube - square) * 0.5 * (after[axis] - from[axis]);
        }
        line.push(point);
    }
}

/// The outline of a line of two or more positions, drawn with a pen of the given width.
pub fn pen_outline(line: &[Point], width: f32, taper: Taper) -> Vec<Point> {
    let last = line.len() - 1;
    let mut left = Vec::with_capacity(line.len() * 2);
    let mut right = Vec::with_capacity(line.len());
    for (index, point) in line.iter().enumerate() {
        let before = line[index.saturating_sub(1)];
        let after = line[(index + 1).min(last)];
        let (dx, dy) = (after[0] - before[0], after[1] - before[1]);
        let length = dx.hypot(dy).max(1e-6);
        let half = 0.5 * width * taper.width_at(index as f32 / last as f32);
        let offset = [-dy / length * half, dx / length * half];
        left.push([point[0] + offset[0], point[1] + offset[1]]);
        right.push([point[0] - offset[0], point[1] - offset[1]]);
    }
    left.extend(right.into_iter().rev());
    left
}

/// The outline with x multiplied by `side`, which is 1 or -1.
pub fn on_side(outline: &[Point], side: f32) -> Vec<Point> {
    outline.iter().map(|[x, y]| [x * side, *y]).collect()
}

/// Joins the right half of a symmetric shape, given from top to bottom, to its mirror image.
pub fn both_halves(right: &[Point]) -> Vec<Point> {
    let mut whole = right.to_vec();
    whole.extend(
        right
            .iter()
            .rev()
            .filter(|point| point[0] > 1e-4)
            .map(|[x, y]| [-x, *y]),
    );
    whole
}

/// Which part of the canvas is covered, and how much of each subpixel.
#[derive(Clone, Debug)]
pub struct Mask {
    left: usize,
    top: usize,
    width: usize,
    height: usize,
    /// Row-major, `0..=1`.
    coverage: Vec<f32>,
}

impl Mask {
    /// Keeps only what another mask covers too.
    pub fn limit_to(mut self, other: &Self) -> Self {
        for row in 0..self.height {
            let canvas_row = self.top + row;
            let coverage = &mut self.coverage[row * self.width..(row + 1) * self.width];
            for (column, value) in coverage.iter_mut().enumerate() {
                if *value > 0.0 {
                    *value *= other.at(self.left + column, canvas_row);
                }
            }
        }
        self
    }

    /// Keeps only what another mask leaves open.
    pub fn without(mut self, other: &Self) -> Self {
        for row in 0..self.height {
            for column in 0..self.width {
                self.coverage[row * self.width + column] *=
                    1.0 - other.at(self.left + column, self.top + row);
            }
        }
        self
    }

    fn at(&self, column: usize, row: usize) -> f32 {
        let inside = (self.left..self.left + self.width).contains(&column)
            && (self.top..self.top + self.height).contains(&row);
        if inside {
            self.coverage[(row - self.top) * self.width + column - self.left]
        } else {
            0.0
        }
    }
}

/// How a drawing lies in the picture.
#[derive(Clone, Copy, Debug)]
pub struct Placement {
    /// Clockwise tilt in radians.
    pub tilt: f32,
    /// Enlargement about the origin.
    pub scale: f32,
    /// Where the origin goes, in halves of the picture's side from its middle.
    pub shift: Point,
    /// How far the middle of the drawing moves against its rim, as a head that turns and nods.
    pub turn: Point,
    /// Half the size of the part that turns, greater than 0.
    pub radius: Point,
}

impl Placement {
    /// Neither moved nor turned.
    pub const STRAIGHT: Self = Self {
        tilt: 0.0,
        scale: 1.0,
        shift: [0.0; 2],
        turn: [0.0; 2],
        radius: [1.0; 2],
    };
}

/// A supersampled square picture on which outlines are filled in drawing units.
#[derive(Debug)]
pub struct Canvas {
    size: usize,
    samples: usize,
    side: usize,
    /// Row-major subpixels.
    pixels: Vec<[f32; 3]>,
    /// The drawing position of the middle of each subpixel.
    positions: Vec<Point>,
    /// Subpixels per drawing unit.
    zoom: f32,
    tilt_sine: f32,
    tilt_cosine: f32,
    origin: Point,
    turn: Point,
    radius: Point,
}

/// Scan lines for each row of subpixels; along a scan line, coverage is exact.
const SCAN_LINES: usize = 4;

impl Canvas {
    /// A black canvas of `size` x `size` pixels.
    pub fn new(size: usize, placement: Placement) -> Self {
        // Large pictures have room for the details and get by with fewer samples.
        let samples = match size {
            0..=40 => 4,
            41..=80 => 3,
            _ => 2,
        };
        let side = size * samples;
        let half = side as f32 / 2.0;
        let (tilt_sine, tilt_cosine) = placement.tilt.sin_cos();
        let mut canvas = Self {
            size,
            samples,
            side,
            pixels: vec![[0.0; 3]; side * side],
            positions: Vec::with_capacity(side * side),
            zoom: half * placement.scale,
            tilt_sine,
            tilt_cosine,
            origin: [
                half * (1.0 + placement.shift[0]),
                half * (1.0 + placement.shift[1]),
            ],
            turn: placement.turn,
            radius: placement.radius,
        };
        for row in 0..side {
            for column in 0..side {
                let position = canvas.before_turning(canvas.to_unturned(column, row));
                canvas.positions.push(position);
            }
        }
        canvas
    }

    /// How far turning carries a position, which is nothing at the rim of the part that turns.
    fn carried(&self, point: Point) -> Point {
        let across = point[0] / self.radius[0];
        let down = point[1] / self.radius[1];
        let share = (1.0 - across * across).max(0.0) * (1.0 - down * down).max(0.0);
        [self.turn[0] * share, self.turn[1] * share]
    }

    fn to_canvas(&self, point: Point) -> Point {
        let carried = self.carried(point);
        let x = (point[0] + carried[0]) * self.zoom;
        let y = (point[1] + carried[1]) * self.zoom;
        [
            self.origin[0] + x * self.tilt_cosine - y * self.tilt_sine,
            self.origin[1] + x * self.tilt_sine + y * self.tilt_cosine,
        ]
    }

    /// The position of the middle of a subpixel on a drawing that does not turn.
    fn to_unturned(&self, column: usize, row: usize) -> Point {
        let x = column as f32 + 0.5 - self.origin[0];
        let y = row as f32 + 0.5 - self.origin[1];
        [
            (x * self.tilt_cosine + y * self.tilt_sine) / self.zoom,
            (y * self.tilt_cosine - x * self.tilt_sine) / self.zoom,
        ]
    }

    /// The position that was carried to `point`, by two steps of a fixed-point iteration.
    fn before_turning(&self, point: Point) -> Point {
        if self.turn == [0.0; 2] {
            return point;
        }
        let first = self.carried(point);
        let second = self.carried([point[0] - first[0], point[1] - first[1]]);
        [point[0] - second[0], point[1] - second[1]]
    }

    /// The subpixels that may be covered by a shape with these corners: left, top, width, height.
    fn bounds(&self, corners: &[Point]) -> [usize; 4] {
        let limit = self.side as f32;
        let mut low = [limit; 2];
        let mut high = [0.0_f32; 2];
        for corner in corners {
            for axis in 0..2 {
                low[axis] = low[axis].min(corner[axis].floor());
                high[axis] = high[axis].max(corner[axis].ceil());
            }
        }
        let [left, top] = low.map(|value| value.max(0.0) as usize);
        let [right, bottom] = high.map(|value| value.min(limit) as usize);
        let (width, height) = (right.saturating_sub(left), bottom.saturating_sub(top));
        if width == 0 || height == 0 {
            return [0; 4];
        }
        [left, top, width, height]
    }

    /// What a closed outline covers. Where an outline overlaps itself it stays filled.
    pub fn mask(&self, outline: &[Point]) -> Mask {
        let corners: Vec<Point> = outline.iter().map(|&point| self.to_canvas(point)).collect();
        let [left, top, width, height] = self.bounds(&corners);
        let mut mask = Mask {
            left,
            top,
            width,
            height,
            coverage: vec![0.0; width * height],
        };
        // Where the outline crosses each scan line, and in which direction.
        let line_count = height * SCAN_LINES;
        let lines = SCAN_LINES as f32;
        let mut crossings: Vec<(usize, f32, i32)> = Vec::with_capacity(line_count * 2);
        let mut starts = vec![0; line_count + 1];
        for (index, &from) in corners.iter().enumerate() {
            let to = corners[(index + 1) % corners.len()];
            let (upper, lower, direction) = if from[1] <= to[1] {
                (from, to, 1)
            } else {
                (to, from, -1)
            };
            let line_of = |y: f32| ((y - top as f32) * lines - 0.5).ceil().max(0.0) as usize;
            let end = line_of(lower[1]).min(line_count);
            let slope = (lower[0] - upper[0]) / (lower[1] - upper[1]).max(1e-6);
            for line in line_of(upper[1])..end {
                let y = top as f32 + (line as f32 + 0.5) / lines;
                let x = upper[0] + (y - upper[1]) * slope - left as f32;
                crossings.push((line, x, direction));
                starts[line + 1] += 1;
            }
        }
        for line in 0..line_count {
            starts[line + 1] += starts[line];
        }
        let mut next = starts.clone();
        let mut sorted = vec![(0.0, 0); crossings.len()];
        for (line, x, direction) in crossings {
            sorted[next[line]] = (x, direction);
            next[line] += 1;
        }
        for line in 0..line_count {
            let crossed = &mut sorted[starts[line]..starts[line + 1]];
            crossed.sort_unstable_by(|a, b| a.0.total_cmp(&b.0));
            let row = line / SCAN_LINES;
            let coverage = &mut mask.coverage[row * width..(row + 1) * width];
            let mut winding = 0;
            let mut start = 0.0;
            for &(x, direction) in crossed.iter() {
                if winding == 0 {
                    start = x;
                }
                winding += direction;
                if winding == 0 {
                    cover_span(coverage, start, x, 1.0 / lines);
                }
            }
        }
        mask
    }

    /// The mask with its rim blurred over a distance in drawing units.
    pub fn softened(&self, mask: &Mask, distance: f32) -> Mask {
        let reach = ((distance * self.zoom / 2.0) as usize).max(1);
        let margin = 2 * reach;
        let left = mask.left.saturating_sub(margin);
        let top = mask.top.saturating_sub(margin);
        let right = (mask.left + mask.width + margin).min(self.side);
        let bottom = (mask.top + mask.height + margin).min(self.side);
        let (width, height) = (right - left, bottom - top);
        let mut coverage = vec![0.0; width * height];
        for row in 0..mask.height {
            let first = (mask.top + row - top) * width + mask.left - left;
            coverage[first..first + mask.width]
                .copy_from_slice(&mask.coverage[row * mask.width..(row + 1) * mask.width]);
        }
        for _ in 0..2 {
            blur_columns(&mut coverage, width, reach);
            let mut turned = transposed(&coverage, width);
            blur_columns(&mut turned, height, reach);
            coverage = transposed(&turned, height);
        }
        Mask {
            left,
            top,
            width,
            height,
            coverage,
        }
    }

    /// Paints what a mask covers; `paint` gives colour and opacity at x, y.
    pub fn paint(&mut self, mask: &Mask, paint: impl Fn(f32, f32) -> Ink) {
        for row in 0..mask.height {
            let first = (mask.top + row) * self.side + mask.left;
            let pixels = &mut self.pixels[first..first + mask.width];
            let positions = &self.positions[first..first + mask.width];
            let coverage = &mask.coverage[row * mask.width..(row + 1) * mask.width];
            for ((pixel, [x, y]), &covered) in pixels.iter_mut().zip(positions).zip(coverage) {
                if covered <= 0.002 {
                    continue;
                }
                let (colour, opacity) = paint(*x, *y);
                *pixel = Colour(*pixel).mix(colour, opacity * covered).0;
            }
        }
    }

    /// Paints what a mask covers with one ink.
    pub fn tint(&mut self, mask: &Mask, (colour, opacity): Ink) {
        for row in 0..mask.height {
            let first = (mask.top + row) * self.side + mask.left;
            let pixels = &mut self.pixels[first..first + mask.width];
            let coverage = &mask.coverage[row * mask.width..(row + 1) * mask.width];
            for (pixel, &covered) in pixels.iter_mut().zip(coverage) {
                if covered > 0.0 {
                    *pixel = Colour(*pixel).mix(colour, opacity * covered).0;
                }
            }
        }
    }

    /// Paints the whole canvas; `paint` gives the colour at x, y.
    pub fn cover(&mut self, paint: impl Fn(f32, f32) -> Colour) {
        for (pixel, [x, y]) in self.pixels.iter_mut().zip(&self.positions) {
            *pixel = paint(*x, *y).0;
        }
    }

    /// Fills an outline.
    pub fn fill(&mut self, outline: &[Point], ink: Ink) {
        let mask = self.mask(outline);
        self.tint(&mask, ink);
    }

    /// Draws a line.
    pub fn line(&mut self, line: &[Point], width: f32, taper: Taper, ink: Ink) {
        self.fill(&pen_outline(line, width, taper), ink);
    }

    /// Draws a line that stays inside a mask.
    pub fn line_inside(
        &mut self,
        inside: &Mask,
        line: &[Point],
        width: f32,
        taper: Taper,
        ink: Ink,
    ) {
        let mask = self.mask(&pen_outline(line, width, taper)).limit_to(inside);
        self.tint(&mask, ink);
    }

    /// Blends in a spot that fades out towards its rim and stays inside a mask.
    pub fn glow(&mut self, inside: &Mask, centre: Point, radii: Point, ink: Ink) {
        let rim: Vec<Point> = ellipse(centre, radii[0] * 1.02, radii[1] * 1.02)
            .iter()
            .map(|&point| self.to_canvas(point))
            .collect();
        let [left, top, width, height] = self.bounds(&rim);
        for row in top..top + height {
            for column in left..left + width {
                let place = row * self.side + column;
                let [x, y] = self.positions[place];
                let across = (x - centre[0]) / radii[0];
                let down = (y - centre[1]) / radii[1];
                let fade = (1.0 - across * across - down * down).max(0.0);
                if fade > 0.0 {
                    let opacity = ink.1 * fade * fade * inside.at(column, row);
                    self.pixels[place] = Colour(self.pixels[place]).mix(ink.0, opacity).0;
                }
            }
        }
    }

    /// Averages blocks of subpixels into the finished picture of 8-bit sRGB; `finish` has a last look at
    /// every colour, at its x, y.
    pub fn average_down(&self, finish: impl Fn(f32, f32, Colour) -> Colour) -> RgbImage {
        let samples = self.samples;
        let share = 1.0 / (samples * samples) as f32;
        let mut bytes = Vec::with_capacity(self.size * self.size * 3);
        let mut sums = vec![[0.0_f32; 3]; self.size];
        for (row, rows) in self.pixels.chunks(samples * self.side).enumerate() {
            sums.fill([0.0; 3]);
            for row in rows.chunks(self.side) {
                for (sum, block) in sums.iter_mut().zip(row.chunks(samples)) {
                    for pixel in block {
                        for channel in 0..3 {
                            sum[channel] += pixel[channel];
                        }
                    }
                }
            }
            for (column, sum) in sums.iter().enumerate() {
                let middle = (row * self.side + column) * samples + samples / 2;
                let [x, y] = self.positions[middle];
                let Colour(finished) = finish(x, y, Colour(sum.map(|value| value * share)));
                bytes.extend(finished.map(|value| (value * 255.0 + 0.5) as u8));
            }
        }
        let size = self.size as u32;
        RgbImage::from_raw(size, size, bytes).unwrap_or_else(|| RgbImage::new(size, size))
    }
}

/// Adds `weight` times the part of every subpixel in a row that lies between `start` and `end`.
fn cover_span(coverage: &mut [f32], start: f32, end: f32, weight: f32) {
    let start = start.max(0.0);
    let end = end.min(coverage.len() as f32);
    if end <= start {
        return;
    }
    let first = start as usize;
    let last = (end as usize).min(coverage.len() - 1);
    let mut add = |column: usize, share: f32| {
        coverage[column] = (coverage[column] + share * weight).min(1.0);
    };
    if first == last {
        add(first, end - start);
        return;
    }
    add(first, first as f32 + 1.0 - start);
    for column in first + 1..last {
        add(column, 1.0);
    }
    add(last, end - last as f32);
}

/// Replaces every value by the mean of those within `reach` rows of it, zeros outside.
fn blur_columns(values: &mut [f32], width: usize, reach: usize) {
    let height = values.len() / width;
    let source = values.to_vec();
    let mut sums = vec![0.0_f32; width];
    let share = 1.0 / (2 * reach + 1) as f32;
    let row_of = |row: usize| &source[row * width..(row + 1) * width];
    for row in 0..reach.min(height) {
        for (sum, value) in sums.iter_mut().zip(row_of(row)) {
            *sum += value;
        }
    }
    for row in 0..height {
        if row + reach < height {
            for (sum, value) in sums.iter_mut().zip(row_of(row + reach)) {
                *sum += value;
            }
        }
        if row > reach {
            for (sum, value) in sums.iter_mut().zip(row_of(row - reach - 1)) {
                *sum -= value;
            }
        }
        for (value, sum) in values[row * width..].iter_mut().zip(&sums) {
            *value = (sum * share).max(0.0);
        }
    }
}

fn transposed(values: &[f32], width: usize) -> Vec<f32> {
    let height = values.len() / width;
    let mut turned = Vec::with_capacity(values.len());
    for column in 0..width {
        turned.extend((0..height).map(|row| values[row * width + column]));
    }
    turned
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_cover_exactly_their_length() {
        let mut row = [0.0; 6];
        cover_span(&mut row, 1.25, 4.5, 1.0);
        assert_eq!(row, [0.0, 0.75, 1.0, 1.0, 0.5, 0.0]);
        let mut row = [0.0; 3];
        cover_span(&mut row, 1.25, 1.5, 0.5);
        assert_eq!(row, [0.0, 0.125, 0.0]);
        let mut row = [0.0; 3];
        cover_span(&mut row, -4.0, 9.0, 1.0);
        assert_eq!(row, [1.0; 3]);
    }

    #[test]
    fn a_mask_covers_the_area_of_its_outline() {
        let canvas = Canvas::new(64, Placement::STRAIGHT);
        let subpixels = |outline: &[Point]| canvas.mask(outline).coverage.iter().sum::<f32>();
        let unit = 96.0_f32 * 96.0;
        let square = [
            [-0.301, -0.2],
            [0.299, -0.2],
            [0.299, 0.203],
            [-0.301, 0.203],
        ];
        assert!((subpixels(&square) / unit - 0.6 * 0.403).abs() < 0.002);
        let disc = ellipse([0.1, 0.1], 0.4, 0.3);
        assert!((subpixels(&disc) / unit - PI * 0.12).abs() < 0.004);
        // The second loop over the same disc changes nothing, in either direction of travel.
        let twice: Vec<Point> = disc.iter().chain(&disc).copied().collect();
        assert!((subpixels(&twice) - subpixels(&disc)).abs() < 1.0);
    }

    #[test]
    fn softening_keeps_the_sum_and_spreads_it() {
        let canvas = Canvas::new(64, Placement::STRAIGHT);
        let sharp = canvas.mask(&ellipse([0.0, 0.0], 0.3, 0.3));
        let soft = canvas.softened(&sharp, 0.1);
        let sum = |mask: &Mask| mask.coverage.iter().sum::<f32>();
        assert!((sum(&soft) / sum(&sharp) - 1.0).abs() < 1e-3);
        assert!(soft.width > sharp.width && soft.height > sharp.height);
        let middle = 96;
        assert!(soft.at(middle, middle) > 0.999);
        assert!((soft.at(middle + 29, middle) - 0.5).abs() < 0.12);
    }

    #[test]
    fn a_turn_is_undone_by_the_inverse() {
        let canvas = Canvas::new(
            64,
            Placement {
                turn: [0.07, -0.03],
                radius: [0.6, 0.9],
                ..Placement::STRAIGHT
            },
        );
        for point in [[0.0, 0.0], [0.3, -0.2], [-0.25, 0.4], [0.7, 0.1]] {
            let carried = canvas.carried(point);
            let back = canvas.before_turning([point[0] + carried[0], point[1] + carried[1]]);
            for axis in 0..2 {
                assert!(
                    (back[axis] - point[axis]).abs() < 4e-3,
                    "{point:?} {back:?}"
                );
            }
        }
        assert_eq!(canvas.carried([0.7, 0.1]), [0.0, 0.0]);
    }

    #[test]
    fn hsv_corners_are_right() {
        assert_eq!(Colour::from_hsv(0.0, 1.0, 1.0), Colour([1.0, 0.0, 0.0]));
        assert_eq!(Colour::from_hsv(0.0, 0.0, 0.5), Colour([0.5; 3]));
        let [r, g, b] = Colour::from_hsv(2.0 / 3.0, 1.0, 1.0).0;
        assert!(r < 0.01 && g < 0.01 && b > 0.99);
    }

    #[test]
    fn a_row_of_colours_is_passed_from_end_to_end() {
        let row = [Colour([0.0; 3]), Colour([0.5; 3]), WHITE];
        assert_eq!(Colour::along(&row, -1.0), row[0]);
        assert_eq!(Colour::along(&row, 0.5), row[1]);
        assert_eq!(Colour::along(&row, 0.75), Colour([0.75; 3]));
        assert_eq!(Colour::along(&row, 1.0), row[2]);
    }
}
