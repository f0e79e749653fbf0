//! Procedural handwritten digits: a stand-in for MNIST when nothing has been downloaded.
//!
//! Every digit is written the way a hand would write it: a few pen strokes through jittered control
//! points, slanted, rotated, stretched and bent a little, then drawn with a soft round pen whose
//! width follows the pressure. The layout follows MNIST: white ink on black, the longer side of the
//! glyph about 20 pixels, and the centre of mass near the middle of the 28x28 picture.

use rand::{Rng, RngExt};
use std::f32::consts::{PI, TAU};

/// Width and height of a digit picture in pixels.
pub const DIGIT_SIDE: usize = 28;

/// Number of bytes in one digit picture, `28 * 28`.
pub const DIGIT_PIXELS: usize = DIGIT_SIDE * DIGIT_SIDE;

/// Number of classes, the digits 0 to 9.
pub const DIGIT_CLASSES: u8 = 10;

/// Straight pieces that approximate one span of a smooth curve.
const PIECES_PER_SPAN: usize = 5;

/// A position. While a digit is being written the letter box is about `0..=1` both ways, with y
/// growing downwards; when it is drawn the unit is the pixel.
#[derive(Clone, Copy)]
struct Point {
    x: f32,
    y: f32,
}

/// Draws one digit.
///
/// The result is a 28x28 greyscale picture in row-major order, one byte per pixel, `0` for the
/// background up to `255` for full ink. Labels above 9 are taken modulo 10. The picture depends on
/// nothing but `label` and the state of `rng`, and two calls practically never agree.
pub fn digit(label: u8, rng: &mut impl Rng) -> [u8; 784] {
    let label = label % DIGIT_CLASSES;
    let mut strokes = write_strokes(label, rng);
    distort(&mut strokes, label, rng);
    draw(&mut strokes, rng)
}

/// Draws `count` digits with their labels, in random order.
///
/// Both vectors have `count` entries: the pictures as [`digit`] returns them, and the class `0..=9`
/// of the picture at the same index. The labels cycle through the ten classes before they are
/// shuffled, so the class counts differ by one at most.
pub fn dataset(count: usize, rng: &mut impl Rng) -> (Vec<[u8; 784]>, Vec<u8>) {
    let mut labels: Vec<u8> = (0..DIGIT_CLASSES).cycle().take(count).collect();
    for last in (1..labels.len()).rev() {
        let chosen = rng.random_range(0..=last);
        labels.swap(last, chosen);
    }
    let images = labels.iter().map(|&label| digit(label, rng)).collect();
    (images, labels)
}

/// A number between `low` and `high`, all equally likely.
fn between(rng: &mut impl Rng, low: f32, high: f32) -> f32 {
    low + (high - low) * rng.random::<f32>()
}

/// A bell-shaped number around zero with about the given standard deviation, never more than 2.5
/// deviations away, so that an unlucky draw cannot ruin a digit.
fn around_zero(rng: &mut impl Rng, deviation: f32) -> f32 {
    let sum: f32 = (0..3).map(|_| rng.random::<f32>() - 0.5).sum();
    (sum * 2.0 * deviation).clamp(-2.5 * deviation, 2.5 * deviation)
}

/// Whether an event of the given probability happens.
fn happens(rng: &mut impl Rng, probability: f32) -> bool {
    rng.random::<f32>() < probability
}

/// A pen that records strokes as polylines and never hits a control point exactly.
struct Pen<'a, R: Rng> {
    rng: &'a mut R,
    /// Standard deviation of the control point jitter, in letter box units.
    unsteadiness: f32,
    strokes: Vec<Vec<Point>>,
}

impl<R: Rng> Pen<'_, R> {
    fn jittered(&mut self, x: f32, y: f32) -> Point {
        Point {
            x: x + around_zero(self.rng, self.unsteadiness),
            y: y + around_zero(self.rng, self.unsteadiness),
        }
    }

    /// Lifts the pen and puts it down near a position.
    fn put_down(&mut self, x: f32, y: f32) {
        let start = self.jittered(x, y);
        self.strokes.push(vec![start]);
    }

    /// Where the pen is now.
    fn position(&self) -> Point {
        self.strokes
            .last()
            .and_then(|stroke| stroke.last())
            .copied()
            .unwrap_or(Point { x: 0.5, y: 0.5 })
    }

    /// Continues the stroke with a smooth curve (Catmull-Rom) from the present position through the
    /// given ones. The join with what was drawn before is a corner.
    fn curve_through(&mut self, positions: &[(f32, f32)]) {
        let mut controls = Vec::with_capacity(positions.len() + 1);
        controls.push(self.position());
        for &(x, y) in positions {
            controls.push(self.jittered(x, y));
        }
        let Some(stroke) = self.strokes.last_mut() else {
            return;
        };
        for span in 0..controls.len() - 1 {
            let from = controls[span];
            let to = controls[span + 1];
            let before = if span == 0 { from } else { controls[span - 1] };
            let after = if span + 2 < controls.len() {
                controls[span + 2]
            } else {
                to
            };
            for piece in 1..=PIECES_PER_SPAN {
                let t = piece as f32 / PIECES_PER_SPAN as f32;
                stroke.push(Point {
                    x: catmull_rom(before.x, from.x, to.x, after.x, t),
                    y: catmull_rom(before.y, from.y, to.y, after.y, t),
                });
            }
        }
    }

    /// Continues the stroke to a position with the slight bow that a hand gives a straight line.
    fn line_to(&mut self, x: f32, y: f32) {
        let from = self.position();
        let to = self.jittered(x, y);
        let bow = around_zero(self.rng, 0.035);
        let Some(stroke) = self.strokes.last_mut() else {
            return;
        };
        for piece in 1..=PIECES_PER_SPAN {
            let t = piece as f32 / PIECES_PER_SPAN as f32;
            let bulge = bow * 4.0 * t * (1.0 - t);
            stroke.push(Point {
                x: from.x + (to.x - from.x) * t - (to.y - from.y) * bulge,
                y: from.y + (to.y - from.y) * t + (to.x - from.x) * bulge,
            });
        }
    }

    /// Draws part of an ellipse as a stroke of its own, counter-clockwise as most people write.
    fn loop_around(&mut self, centre: Point, radius_x: f32, radius_y: f32, start: f32, sweep: f32) {
        const SPANS: usize = 8;
        let mut positions = [(0.0, 0.0); SPANS + 1];
        for (index, position) in positions.iter_mut().enumerate() {
            let angle = start - sweep * index as f32 / SPANS as f32;
            *position = (
                centre.x + radius_x * angle.cos(),
                centre.y + radius_y * angle.sin(),
            );
        }
        self.put_down(positions[0].0, positions[0].1);
        self.curve_through(&positions[1..]);
    }
}

/// The Catmull-Rom spline between `from` (`t = 0`) and `to` (`t = 1`), one coordinate.
fn catmull_rom(before: f32, from: f32, to: f32, after: f32, t: f32) -> f32 {
    let slope_from = 0.5 * (to - before);
    let slope_to = 0.5 * (after - from);
    let square = t * t;
    let cube = square * t;
    (2.0 * cube - 3.0 * square + 1.0) * from
        + (cube - 2.0 * square + t) * slope_from
        + (3.0 * square - 2.0 * cube) * to
        + (cube - square) * slope_to
}

/// Writes a digit in the letter box, choosing among the ways in which people write it.
fn write_strokes<R: Rng>(label: u8, rng: &mut R) -> Vec<Vec<Point>> {
    let unsteadiness = between(rng, 0.008, 0.034);
    let mut pen = Pen {
        rng,
        unsteadiness,
        strokes: Vec::with_capacity(3),
    };
    match label {
        0 => write_zero(&mut pen),
        1 => write_one(&mut pen),
        2 => write_two(&mut pen),
        3 => write_three(&mut pen),
        4 => write_four(&mut pen),
        5 => write_five(&mut pen),
        6 => write_six(&mut pen),
        7 => write_seven(&mut pen),
        8 => write_eight(&mut pen),
        _ => write_nine(&mut pen),
    }
    pen.strokes
}

/// An ellipse, narrow or round, whose ends meet, overlap or just miss each other.
fn write_zero<R: Rng>(pen: &mut Pen<'_, R>) {
    let radius_x = between(pen.rng, 0.3, 0.5);
    let start = -PI / 2.0 + between(pen.rng, -0.5, 0.7);
    let overlap = between(pen.rng, -0.15, 0.45);
    pen.loop_around(
        Point { x: 0.5, y: 0.5 },
        radius_x,
        0.5,
        start,
        TAU + overlap,
    );
}

/// A plain stroke, or one with a flag, or one with a flag and a base line.
fn write_one<R: Rng>(pen: &mut Pen<'_, R>) {
    let style = pen.rng.random::<f32>();
    if style < 0.66 {
        pen.put_down(0.5, 0.0);
        pen.line_to(0.5, 1.0);
        return;
    }
    let flag_width = between(pen.rng, 0.12, 0.26);
    let flag_height = between(pen.rng, 0.12, 0.24);
    pen.put_down(0.5 - flag_width, flag_height);
    pen.line_to(0.5, 0.0);
    pen.line_to(0.5, 1.0);
    if style > 0.84 {
        let half_base = between(pen.rng, 0.18, 0.32);
        pen.put_down(0.5 - half_base, 1.0);
        pen.line_to(0.5 + half_base, 1.0);
    }
}

/// A hook and a base: with a sharp corner, or with a small loop at the bottom left.
fn write_two<R: Rng>(pen: &mut Pen<'_, R>) {
    let shoulder = between(pen.rng, 0.72, 0.86);
    let hook = between(pen.rng, 0.12, 0.30);
    pen.put_down(0.1, hook);
    if happens(pen.rng, 0.45) {
        let end = between(pen.rng, 0.84, 0.98);
        pen.curve_through(&[
            (0.24, 0.06),
            (0.52, 0.0),
            (shoulder, 0.2),
            (0.64, 0.52),
            (0.36, 0.84),
            (0.14, 0.97),
            (0.03, 0.88),
            (0.16, 0.78),
            (0.42, 0.88),
            (0.68, 0.98),
            (0.95, end),
        ]);
    } else {
        pen.curve_through(&[
            (0.24, 0.05),
            (0.52, 0.0),
            (shoulder, 0.2),
            (0.66, 0.48),
            (0.36, 0.78),
            (0.05, 0.98),
        ]);
        let right = between(pen.rng, 0.78, 1.0);
        let end = between(pen.rng, 0.92, 1.0);
        pen.line_to(right, end);
    }
}

/// Two bowls: round on top with a pointed or a looped waist, or with a flat top.
fn write_three<R: Rng>(pen: &mut Pen<'_, R>) {
    let waist = between(pen.rng, 0.42, 0.5);
    let notch = between(pen.rng, 0.26, 0.48);
    let belly = between(pen.rng, 0.76, 0.9);
    let tail = between(pen.rng, 0.84, 0.96);
    let style = pen.rng.random::<f32>();
    if style < 0.14 {
        pen.put_down(0.1, 0.03);
        pen.line_to(0.78, 0.02);
        pen.line_to(notch, waist - 0.04);
    } else {
        let start = between(pen.rng, 0.06, 0.2);
        pen.put_down(0.1, start);
        pen.curve_through(&[
            (0.38, 0.0),
            (0.72, 0.08),
            (0.74, 0.26),
            (notch + 0.16, waist - 0.04),
            (notch, waist),
        ]);
        if style > 0.75 {
            pen.curve_through(&[
                (notch - 0.08, waist + 0.04),
                (notch - 0.02, waist + 0.08),
                (notch + 0.1, waist + 0.02),
            ]);
        }
    }
    pen.curve_through(&[
        (0.72, waist + 0.08),
        (belly, 0.73),
        (0.62, 0.96),
        (0.32, 1.0),
        (0.02, tail),
    ]);
}

/// Open with a straight arm, open with a round cup, or closed at the top.
fn write_four<R: Rng>(pen: &mut Pen<'_, R>) {
    let bar = between(pen.rng, 0.46, 0.62);
    let stem_top = between(pen.rng, 0.64, 0.82);
    let stem_bottom = between(pen.rng, 0.5, 0.74);
    let style = pen.rng.random::<f32>();
    if style < 0.45 {
        let right = between(pen.rng, 0.78, 1.0);
        let top = between(pen.rng, 0.0, 0.12);
        pen.put_down(0.2, top);
        pen.curve_through(&[(0.12, bar * 0.55), (0.03, bar)]);
        pen.line_to(right, bar - 0.04);
        let stem_start = between(pen.rng, 0.0, 0.2);
        pen.put_down(stem_top, stem_start);
        pen.line_to(stem_bottom, 1.0);
    } else if style < 0.74 {
        let top = between(pen.rng, 0.0, 0.1);
        pen.put_down(0.14, top);
        pen.curve_through(&[
            (0.06, bar * 0.6),
            (0.16, bar - 0.02),
            (0.45, bar - 0.01),
            (stem_top, bar - 0.14),
        ]);
        let stem_start = between(pen.rng, -0.04, 0.1);
        pen.put_down(stem_top + 0.06, stem_start);
        pen.line_to(stem_bottom + 0.06, 1.0);
    } else {
        let bar = bar + 0.08;
        let right = between(pen.rng, 0.8, 0.96);
        pen.put_down(0.62, 0.0);
        pen.line_to(0.0, bar);
        pen.line_to(right, bar);
        let stem_start = between(pen.rng, 0.0, 0.1);
        pen.put_down(0.62, stem_start);
        pen.line_to(0.6, 1.0);
    }
}

/// A bowl under a neck: bar as a second stroke, all in one stroke, or flowing like an S.
fn write_five<R: Rng>(pen: &mut Pen<'_, R>) {
    let neck = between(pen.rng, 0.36, 0.48);
    let belly = between(pen.rng, 0.72, 0.86);
    let tail = between(pen.rng, 0.82, 0.97);
    let bar_end = between(pen.rng, 0.72, 0.98);
    let bar_height = between(pen.rng, -0.06, 0.06);
    let style = pen.rng.random::<f32>();
    if style < 0.25 {
        pen.put_down(bar_end, bar_height);
        pen.curve_through(&[
            (0.46, 0.05),
            (0.26, 0.22),
            (0.44, neck + 0.02),
            (belly - 0.06, 0.58),
            (belly - 0.06, 0.8),
            (0.42, 1.0),
            (0.04, tail),
        ]);
        return;
    }
    if style < 0.6 {
        pen.put_down(bar_end, bar_height);
        pen.line_to(0.3, 0.04);
    } else {
        pen.put_down(0.3, bar_height + 0.03);
        pen.line_to(bar_end, bar_height);
        pen.put_down(0.3, 0.04);
    }
    pen.line_to(0.2, neck + 0.02);
    pen.curve_through(&[
        (0.46, neck - 0.03),
        (belly - 0.04, neck + 0.16),
        (belly - 0.02, 0.78),
        (0.46, 1.0),
        (0.03, tail),
    ]);
}

/// A long back with a loop at the foot: swung from the right, or nearly straight.
fn write_six<R: Rng>(pen: &mut Pen<'_, R>) {
    let loop_top = between(pen.rng, 0.48, 0.62);
    let loop_right = between(pen.rng, 0.66, 0.86);
    let (top, shoulder, back) = if happens(pen.rng, 0.6) {
        (between(pen.rng, 0.5, 0.78), (0.34, 0.2), (0.14, 0.5))
    } else {
        (between(pen.rng, 0.24, 0.46), (0.2, 0.28), (0.1, 0.55))
    };
    let closing = between(pen.rng, 0.06, 0.22);
    pen.put_down(top, 0.0);
    pen.curve_through(&[
        shoulder,
        back,
        (0.1, 0.78),
        (0.36, 1.0),
        (loop_right - 0.06, 0.9),
        (loop_right, loop_top + 0.18),
        (0.48, loop_top),
        (0.22, loop_top + 0.12),
        (closing, 0.82),
    ]);
}

/// A bar and a leg: plain, with a serif, with a bar across the leg, or with a curved leg.
fn write_seven<R: Rng>(pen: &mut Pen<'_, R>) {
    let foot = between(pen.rng, 0.24, 0.5);
    let corner = between(pen.rng, 0.8, 0.96);
    let bar_height = between(pen.rng, 0.02, 0.1);
    if happens(pen.rng, 0.25) {
        let serif = between(pen.rng, 0.16, 0.28);
        pen.put_down(0.06, serif);
        pen.line_to(0.06, bar_height);
    } else {
        pen.put_down(0.04, bar_height);
    }
    pen.line_to(corner, 0.04);
    if happens(pen.rng, 0.45) {
        pen.curve_through(&[
            ((corner + foot) / 2.0 - 0.04, 0.4),
            (foot - 0.02, 0.72),
            (foot - 0.05, 1.0),
        ]);
    } else {
        pen.line_to(foot, 1.0);
    }
    if happens(pen.rng, 0.22) {
        let middle = foot + (corner - foot) * 0.46;
        let height = between(pen.rng, 0.46, 0.56);
        let reach = between(pen.rng, 0.16, 0.26);
        pen.put_down(middle - reach, height + 0.02);
        pen.line_to(middle + reach, height - 0.01);
    }
}

/// One crossing stroke, or two rings on top of each other.
fn write_eight<R: Rng>(pen: &mut Pen<'_, R>) {
    let waist = between(pen.rng, 0.42, 0.52);
    let top_width = between(pen.rng, 0.2, 0.28);
    let bottom_width = between(pen.rng, 0.24, 0.34);
    if happens(pen.rng, 0.78) {
        let end = between(pen.rng, 0.04, 0.14);
        pen.put_down(0.5 + top_width, 0.12);
        pen.curve_through(&[
            (0.5, 0.0),
            (0.5 - top_width, waist * 0.42),
            (0.5 - top_width * 0.55, waist - 0.08),
            (0.5, waist),
            (0.5 + bottom_width * 0.75, waist + 0.14),
            (0.5 + bottom_width * 0.9, 0.82),
            (0.5, 1.0),
            (0.5 - bottom_width, 0.8),
            (0.5 - bottom_width * 0.6, waist + 0.12),
            (0.54, waist - 0.02),
            (0.5 + top_width * 0.95, waist * 0.5),
            (0.5 + top_width * 0.9, end),
        ]);
    } else {
        let top_start = -PI / 2.0 + between(pen.rng, -0.3, 0.6);
        pen.loop_around(
            Point {
                x: 0.5,
                y: waist / 2.0,
            },
            top_width,
            waist / 2.0,
            top_start,
            TAU + 0.15,
        );
        let radius = (1.0 - waist) / 2.0;
        pen.loop_around(
            Point {
                x: 0.5,
                y: waist + radius,
            },
            bottom_width,
            radius,
            -PI / 2.0,
            TAU + 0.15,
        );
    }
}

/// A loop with a tail: straight, slanting or curved back to the left.
fn write_nine<R: Rng>(pen: &mut Pen<'_, R>) {
    let right = between(pen.rng, 0.66, 0.82);
    let loop_bottom = between(pen.rng, 0.42, 0.54);
    let start = between(pen.rng, 0.06, 0.18);
    pen.put_down(right, start);
    pen.curve_through(&[
        (0.5, 0.0),
        (0.2, loop_bottom * 0.35),
        (0.14, loop_bottom * 0.75),
        (0.36, loop_bottom),
        (right - 0.12, loop_bottom * 0.8),
        (right, start + 0.04),
    ]);
    let style = pen.rng.random::<f32>();
    if style < 0.45 {
        let foot = between(pen.rng, 0.5, 0.74);
        pen.line_to(foot, 1.0);
    } else if style < 0.75 {
        let foot = between(pen.rng, 0.36, 0.56);
        pen.curve_through(&[(right, 0.4), (right - 0.06, 0.68), (foot, 1.0)]);
    } else {
        let tail = between(pen.rng, 0.84, 0.95);
        pen.curve_through(&[
            (right + 0.02, 0.4),
            (right - 0.02, 0.76),
            (right - 0.24, 0.99),
            (0.14, tail),
        ]);
    }
}

/// Gives the writing its hand: aspect, slant, rotation and a gentle bend.
fn distort(strokes: &mut [Vec<Point>], label: u8, rng: &mut impl Rng) {
    let width = between(rng, 0.7, 1.12);
    // A lone stroke can lean much further than other digits and still be read.
    let slant = if label == 1 {
        around_zero(rng, 0.28) + 0.16
    } else {
        around_zero(rng, 0.17) + 0.1
    };
    // Small on purpose: a seven that turns far clockwise would read as a one.
    let (sine, cosine) = around_zero(rng, 0.07).sin_cos();
    let bend_x = around_zero(rng, 0.025);
    let bend_y = around_zero(rng, 0.025);
    let phase_x = between(rng, 0.0, TAU);
    let phase_y = between(rng, 0.0, TAU);
    for point in strokes.iter_mut().flatten() {
        let bent_x = point.x + bend_x * (TAU * point.y + phase_x).sin();
        let bent_y = point.y + bend_y * (TAU * point.x + phase_y).sin();
        let across = (bent_x - 0.5) * width - slant * (bent_y - 0.5);
        let down = bent_y - 0.5;
        *point = Point {
            x: across * cosine - down * sine,
            y: across * sine + down * cosine,
        };
    }
}

/// The pen: how wide it is along a stroke and how soft its edge is, in pixels.
struct Nib {
    radius: f32,
    edge: f32,
    pressure_swing: f32,
    pressure_phase: f32,
    taper: f32,
}

impl Nib {
    fn sample(rng: &mut impl Rng) -> Self {
        Self {
            radius: between(rng, 0.95, 1.55) + around_zero(rng, 0.2).max(-0.2),
            edge: between(rng, 0.9, 1.4),
            pressure_swing: between(rng, 0.0, 0.16),
            pressure_phase: between(rng, 0.0, TAU),
            taper: between(rng, 0.0, 0.3),
        }
    }

    /// The furthest that ink gets from the middle of a stroke.
    fn reach(&self) -> f32 {
        self.radius * (1.0 + self.pressure_swing) + self.edge / 2.0
    }

    /// The radius at a fraction `0..=1` of the way along a stroke.
    fn radius_at(&self, along: f32) -> f32 {
        let pressure = 1.0 + self.pressure_swing * (along * 5.0 + self.pressure_phase).sin();
        let near_end = (1.0 - along.min(1.0 - along) * 8.0).max(0.0);
        self.radius * pressure * (1.0 - self.taper * near_end)
    }
}

/// Fits the strokes into the picture and inks them.
fn draw(strokes: &mut [Vec<Point>], rng: &mut impl Rng) -> [u8; DIGIT_PIXELS] {
    let nib = Nib::sample(rng);
    let extent = between(rng, 18.8, 20.2) - 2.0 * nib.radius;
    let nudge = Point {
        x: between(rng, -0.5, 0.5),
        y: between(rng, -0.5, 0.5),
    };
    place(strokes, extent, nudge, nib.reach() + 1.0);

    let mut ink = [0.0_f32; DIGIT_PIXELS];
    for stroke in strokes.iter() {
        let last = (stroke.len() - 1).max(1) as f32;
        for (index, ends) in stroke.windows(2).enumerate() {
            let start_radius = nib.radius_at(index as f32 / last);
            let end_radius = nib.radius_at((index + 1) as f32 / last);
            ink_segment(
                &mut ink,
                ends[0],
                ends[1],
                [start_radius, end_radius],
                nib.edge,
            );
        }
    }
    ink.map(|coverage| (coverage * 255.0 + 0.5) as u8)
}

/// Scales the strokes so that their longer side is `extent` pixels and moves their centre of mass to
/// the middle of the picture plus `nudge`, or as near as leaves `margin` pixels to the border.
fn place(strokes: &mut [Vec<Point>], extent: f32, nudge: Point, margin: f32) {
    let mut low = Point {
        x: f32::MAX,
        y: f32::MAX,
    };
    let mut high = Point {
        x: f32::MIN,
        y: f32::MIN,
    };
    let mut mass = 0.0;
    let mut moment = Point { x: 0.0, y: 0.0 };
    for stroke in strokes.iter() {
        for point in stroke {
            low = Point {
                x: low.x.min(point.x),
                y: low.y.min(point.y),
            };
            high = Point {
                x: high.x.max(point.x),
                y: high.y.max(point.y),
            };
        }
        for ends in stroke.windows(2) {
            let length = (ends[1].x - ends[0].x).hypot(ends[1].y - ends[0].y);
            mass += length;
            moment.x += length * (ends[0].x + ends[1].x) / 2.0;
            moment.y += length * (ends[0].y + ends[1].y) / 2.0;
        }
    }
    let longer_side = (high.x - low.x).max(high.y - low.y).max(f32::EPSILON);
    let scale = extent / longer_side;
    let mass = mass.max(f32::EPSILON);
    let shift = |low: f32, high: f32, moment: f32, nudge: f32| {
        let centred = DIGIT_SIDE as f32 / 2.0 + nudge - moment / mass * scale;
        let least = margin - low * scale;
        let most = DIGIT_SIDE as f32 - margin - high * scale;
        centred.min(most).max(least)
    };
    let shift_x = shift(low.x, high.x, moment.x, nudge.x);
    let shift_y = shift(low.y, high.y, moment.y, nudge.y);
    for point in strokes.iter_mut().flatten() {
        point.x = point.x * scale + shift_x;
        point.y = point.y * scale + shift_y;
    }
}

/// Inks one straight piece whose radius runs from `radii[0]` to `radii[1]`, with an edge `edge`
/// pixels wide. Overlapping ink does not add up, it keeps the darkest value, as on paper.
fn ink_segment(
    ink: &mut [f32; DIGIT_PIXELS],
    start: Point,
    end: Point,
    radii: [f32; 2],
    edge: f32,
) {
    let reach = radii[0].max(radii[1]) + edge / 2.0;
    let limit = DIGIT_SIDE as f32;
    let first_column = (start.x.min(end.x) - reach).floor().clamp(0.0, limit) as usize;
    let last_column = (start.x.max(end.x) + reach).ceil().clamp(0.0, limit) as usize;
    let first_row = (start.y.min(end.y) - reach).floor().clamp(0.0, limit) as usize;
    let last_row = (start.y.max(end.y) + reach).ceil().clamp(0.0, limit) as usize;
    let along = Point {
        x: end.x - start.x,
        y: end.y - start.y,
    };
    let length_squared = (along.x * along.x + along.y * along.y).max(1e-9);
    for row in first_row..last_row {
        let from_start_y = row as f32 + 0.5 - start.y;
        for column in first_column..last_column {
            let from_start_x = column as f32 + 0.5 - start.x;
            let t = ((from_start_x * along.x + from_start_y * along.y) / length_squared)
                .clamp(0.0, 1.0);
            let away_x = from_start_x - along.x * t;
            let away_y = from_start_y - along.y * t;
            let distance = (away_x * away_x + away_y * away_y).sqrt();
            let radius = radii[0] + (radii[1] - radii[0]) * t;
            let coverage = ((radius - distance) / edge + 0.5).clamp(0.0, 1.0);
            let pixel = &mut ink[row * DIGIT_SIDE + column];
            *pixel = pixel.max(coverage);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;
    use std::collections::HashSet;

    fn generator(seed: u64) -> ChaCha8Rng {
        ChaCha8Rng::seed_from_u64(seed)
    }

    fn total_ink(image: &[u8]) -> f32 {
        image.iter().map(|&value| f32::from(value)).sum()
    }

    fn centre_of_mass(image: &[u8]) -> (f32, f32) {
        let total = total_ink(image);
        let mut centre = (0.0, 0.0);
        for (index, &value) in image.iter().enumerate() {
            centre.0 += f32::from(value) * ((index % DIGIT_SIDE) as f32 + 0.5) / total;
            centre.1 += f32::from(value) * ((index / DIGIT_SIDE) as f32 + 0.5) / total;
        }
        centre
    }

    #[test]
    fn the_same_generator_state_gives_the_same_bytes() {
        for label in 0..DIGIT_CLASSES {
            assert_eq!(
                digit(label, &mut generator(3)),
                digit(label, &mut generator(3))
            );
            assert_ne!(
                digit(label, &mut generator(3)),
                digit(label, &mut generator(4))
            );
        }
        assert_eq!(
            dataset(50, &mut generator(5)),
            dataset(50, &mut generator(5))
        );
    }

    #[test]
    fn no_two_digits_are_equal() {
        let mut rng = generator(11);
        for label in 0..DIGIT_CLASSES {
            let distinct: HashSet<_> = (0..100).map(|_| digit(label, &mut rng)).collect();
            assert_eq!(distinct.len(), 100, "digit {label} repeats");
        }
    }

    #[test]
    fn every_digit_has_a_sensible_amount_of_ink() {
        let mut rng = generator(1);
        for label in 0..DIGIT_CLASSES {
            let mut sum = 0.0;
            for _ in 0..100 {
                let image = digit(label, &mut rng);
                let mean = total_ink(&image) / DIGIT_PIXELS as f32 / 255.0;
                assert!(
                    (0.03..0.3).contains(&mean),
                    "digit {label}: mean ink {mean}"
                );
                assert!(
                    image.iter().max().is_some_and(|&top| top > 200),
                    "digit {label} is pale"
                );
                sum += mean;
            }
            let bounds = if label == 1 { 0.04..0.12 } else { 0.08..0.22 };
            assert!(
                bounds.contains(&(sum / 100.0)),
                "digit {label}: mean ink {}",
                sum / 100.0
            );
        }
    }

    #[test]
    fn digits_are_centred_by_mass_and_keep_clear_of_the_border() {
        let mut rng = generator(2);
        for label in 0..DIGIT_CLASSES {
            let mut mean = (0.0, 0.0);
            for _ in 0..100 {
                let image = digit(label, &mut rng);
                let (x, y) = centre_of_mass(&image);
                mean = (mean.0 + x / 100.0, mean.1 + y / 100.0);
                // A very lopsided digit gives up exact centring to stay inside the picture.
                assert!(
                    (x - 14.0).abs() < 2.5 && (y - 14.0).abs() < 2.5,
                    "digit {label}: centre {x}, {y}"
                );
                let border: u32 = (0..DIGIT_SIDE)
                    .flat_map(|i| [i, 27 * DIGIT_SIDE + i, i * DIGIT_SIDE, i * DIGIT_SIDE + 27])
                    .map(|index| u32::from(image[index]))
                    .sum();
                assert_eq!(border, 0, "digit {label} touches the border");
            }
            assert!(
                (mean.0 - 14.0).abs() < 0.5 && (mean.1 - 14.0).abs() < 0.5,
                "digit {label}: mean centre {mean:?}"
            );
        }
    }

    #[test]
    fn the_longer_side_is_about_twenty_pixels() {
        let mut rng = generator(8);
        for label in 0..DIGIT_CLASSES {
            for _ in 0..50 {
                let image = digit(label, &mut rng);
                let inked = |index: usize| image[index] > 20;
                let rows = (0..28)
                    .filter(|row| (0..28).any(|column| inked(row * 28 + column)))
                    .count();
                let columns = (0..28)
                    .filter(|column| (0..28).any(|row| inked(row * 28 + column)))
                    .count();
                assert!(
                    (17..=22).contains(&rows.max(columns)),
                    "digit {label}: {columns}x{rows}"
                );
            }
        }
    }

    #[test]
    fn a_dataset_is_balanced_and_shuffled() {
        let (images, labels) = dataset(205, &mut generator(9));
        assert_eq!((images.len(), labels.len()), (205, 205));
        for class in 0..DIGIT_CLASSES {
            let count = labels.iter().filter(|&&label| label == class).count();
            assert!((20..=21).contains(&count));
        }
        let in_order: Vec<u8> = (0..DIGIT_CLASSES).cycle().take(205).collect();
        assert_ne!(labels, in_order);
        assert_eq!(dataset(0, &mut generator(9)), (Vec::new(), Vec::new()));
    }

    #[test]
    fn class_means_differ_from_each_other() {
        let mut rng = generator(21);
        let means: Vec<Vec<f32>> = (0..DIGIT_CLASSES)
            .map(|label| {
                let mut mean = vec![0.0; DIGIT_PIXELS];
                for _ in 0..40 {
                    for (sum, value) in mean.iter_mut().zip(digit(label, &mut rng)) {
                        *sum += f32::from(value) / 255.0 / 40.0;
                    }
                }
                mean
            })
            .collect();
        for first in 0..means.len() {
            for second in 0..first {
                let distance: f32 = means[first]
                    .iter()
                    .zip(&means[second])
                    .map(|(a, b)| (a - b).powi(2))
                    .sum();
                assert!(
                    distance > 2.0,
                    "digits {first} and {second} look alike: {distance}"
                );
            }
        }
    }
}
