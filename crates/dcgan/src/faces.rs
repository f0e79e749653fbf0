//! Procedural anime-style portraits: a stand-in for a folder of faces when nothing has been
//! downloaded.
//!
//! A face is first designed (every random choice is made and kept in a design) and then painted
//! back to front from filled outlines: background, hair behind, clothes, head, eyes, fringe,
//! accessories. Painting happens on a canvas several times larger than the picture, which is then
//! averaged down, so that even lines thinner than a pixel stay smooth.
//!
//! Positions are in face units: the origin is the middle of the picture, x grows to the right, y
//! grows downwards, and an untilted picture spans `-1..=1` both ways.

use gan_core::drawing::{
    Colour, Point, Taper, WHITE, ellipse, on_side, pen_outline, smooth_line, smooth_outline,
};
use image::RgbImage;
use rand::{Rng, RngExt};
use std::f32::consts::{PI, TAU};

/// The smallest size, in pixels, that [`face`] draws; smaller requests are raised to it.
pub const SMALLEST_FACE: u32 = 32;

/// The largest size, in pixels, that [`face`] draws; larger requests are lowered to it.
pub const LARGEST_FACE: u32 = 128;

/// Draws one anime-style portrait.
///
/// The picture is square with `size` pixels per side, 8-bit sRGB; `size` is brought into `32..=128`.
/// The face looks straight ahead, its eyes a little below the middle of the picture. The result
/// depends on nothing but `size` and the state of `rng`, and the number of values drawn from `rng`
/// does not depend on `size`: one state gives the same person at every size.
pub fn face(size: u32, rng: &mut impl Rng) -> RgbImage {
    let size = size.clamp(SMALLEST_FACE, LARGEST_FACE);
    let design = Design::sample(rng);
    let mut canvas = Canvas::new(size as usize, design.placement);
    design.paint(&mut canvas);
    canvas.average_down()
}

// ---------------------------------------------------------------------------------------------
// Random choices
// ---------------------------------------------------------------------------------------------

/// A number between `low` and `high`, all equally likely.
fn between(rng: &mut impl Rng, low: f32, high: f32) -> f32 {
    low + (high - low) * rng.random::<f32>()
}

/// Whether an event of the given probability happens.
fn happens(rng: &mut impl Rng, probability: f32) -> bool {
    rng.random::<f32>() < probability
}

/// One of several values, all equally likely.
fn one_of<T: Copy, const N: usize>(rng: &mut impl Rng, values: [T; N]) -> T {
    values[rng.random_range(0..N)]
}

/// Shadows as illustrators draw them.
trait Shaded {
    /// A shadow of this colour: darker, and a little towards violet.
    fn shaded(self, strength: f32) -> Self;
}

impl Shaded for Colour {
    fn shaded(self, strength: f32) -> Self {
        let [r, g, b] = self.0;
        Self([
            r * (1.0 - strength * 0.95),
            g * (1.0 - strength * 1.1).max(0.0),
            b * (1.0 - strength * 0.85),
        ])
    }
}

/// How the hair behind the head is worn.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Hairstyle {
    Long,
    Wavy,
    Bob,
    TwinTails,
    Short,
    Spiky,
    Bun,
    TwoBuns,
    Ponytail,
}

/// How the hair falls over the forehead.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Fringe {
    Straight,
    Swept,
    Parted,
    Pointed,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Mouth {
    Smile,
    Open,
    Neutral,
    Small,
    Cat,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Glasses {
    None,
    Round,
    Square,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum HairOrnament {
    None,
    Bow,
    Clip,
    Band,
    Flower,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Collar {
    Round,
    Sailor,
    High,
}

/// How the face lies in the picture.
#[derive(Clone, Copy)]
struct Placement {
    /// Clockwise tilt in radians.
    tilt: f32,
    scale: f32,
    shift: [f32; 2],
}

/// Every random choice about one portrait.
struct Design {
    placement: Placement,
    background: [Colour; 2],
    background_angle: f32,
    /// Pale discs in the background: centre x, centre y, radius.
    background_discs: [[f32; 3]; 4],
    /// `-1` lit from the left, `1` lit from the right.
    light_side: f32,
    light_strength: f32,
    skin: Colour,
    hair: Colour,
    hair_tip: Colour,
    iris: Colour,
    cloth: Colour,
    accent: Colour,
    hairstyle: Hairstyle,
    fringe: Fringe,
    /// Offsets in `-1..=1` that make every lock of hair different.
    lock_offsets: [f32; 12],
    fringe_locks: usize,
    /// `-1` or `1`: the side to which asymmetric hair and ornaments go.
    hair_side: f32,
    /// Length of the lock that stands up from the crown, `0` for none.
    cowlick: f32,
    side_lock_length: f32,
    jaw_width: f32,
    chin: f32,
    eye_distance: f32,
    eye_height: f32,
    eye_width: f32,
    eye_openness: f32,
    /// Rise of the outer corner of the eye, negative for drooping eyes.
    eye_slant: f32,
    gaze: [f32; 2],
    brow_angle: f32,
    brow_height: f32,
    brow_width: f32,
    mouth: Mouth,
    mouth_width: f32,
    blush: f32,
    glasses: Glasses,
    ornament: HairOrnament,
    collar: Collar,
}

/// Skin tones from the lightest to the darkest; a design mixes two neighbours.
const SKIN_TONES: [Colour; 8] = [
    Colour([1.00, 0.92, 0.87]),
    Colour([1.00, 0.87, 0.79]),
    Colour([0.98, 0.82, 0.71]),
    Colour([0.93, 0.74, 0.60]),
    Colour([0.84, 0.63, 0.47]),
    Colour([0.72, 0.50, 0.36]),
    Colour([0.58, 0.39, 0.28]),
    Colour([0.45, 0.29, 0.21]),
];

/// Natural hair: blue-black, dark brown, chestnut, auburn, honey, blonde, silver.
const NATURAL_HAIR: [Colour; 7] = [
    Colour([0.17, 0.16, 0.22]),
    Colour([0.30, 0.20, 0.17]),
    Colour([0.48, 0.30, 0.20]),
    Colour([0.66, 0.30, 0.18]),
    Colour([0.80, 0.58, 0.32]),
    Colour([0.96, 0.82, 0.48]),
    Colour([0.83, 0.84, 0.90]),
];

impl Design {
    fn sample(rng: &mut impl Rng) -> Self {
        let skin = sample_skin(rng);
        let hair = sample_hair(rng);
        let hair_tip = if happens(rng, 0.18) {
            Colour::from_hsv(rng.random(), between(rng, 0.35, 0.6), 0.95)
        } else {
            hair.shaded(0.16)
        };
        let background_hue: f32 = rng.random();
        let background = [
            Colour::from_hsv(
                background_hue,
                between(rng, 0.05, 0.22),
                between(rng, 0.92, 1.0),
            ),
            Colour::from_hsv(
                background_hue + between(rng, -0.12, 0.12),
                between(rng, 0.18, 0.4),
                between(rng, 0.86, 1.0),
            ),
        ];
        let mut background_discs = [[0.0; 3]; 4];
        for disc in &mut background_discs {
            *disc = [
                between(rng, -1.1, 1.1),
                between(rng, -1.1, 0.6),
                between(rng, 0.06, 0.24),
            ];
        }
        let mut lock_offsets = [0.0; 12];
        for offset in &mut lock_offsets {
            *offset = between(rng, -1.0, 1.0);
        }
        let hairstyle = one_of(
            rng,
            [
                Hairstyle::Long,
                Hairstyle::Long,
                Hairstyle::Wavy,
                Hairstyle::Bob,
                Hairstyle::Bob,
                Hairstyle::TwinTails,
                Hairstyle::TwinTails,
                Hairstyle::Short,
                Hairstyle::Spiky,
                Hairstyle::Bun,
                Hairstyle::TwoBuns,
                Hairstyle::Ponytail,
            ],
        );
        let short = matches!(hairstyle, Hairstyle::Short | Hairstyle::Spiky);
        let fringe = if hairstyle == Hairstyle::Spiky {
            one_of(rng, [Fringe::Pointed, Fringe::Pointed, Fringe::Swept])
        } else {
            one_of(
                rng,
                [
                    Fringe::Straight,
                    Fringe::Swept,
                    Fringe::Parted,
                    Fringe::Pointed,
                ],
            )
        };
        let ornament_draw: f32 = rng.random();
        let ornament = match ornament_draw {
            _ if short && ornament_draw > 0.12 => HairOrnament::None,
            draw if draw < 0.14 => HairOrnament::Bow,
            draw if draw < 0.24 => HairOrnament::Clip,
            draw if draw < 0.34 => HairOrnament::Band,
            draw if draw < 0.44 => HairOrnament::Flower,
            _ => HairOrnament::None,
        };
        Self {
            placement: Placement {
                tilt: between(rng, -0.09, 0.09),
                scale: between(rng, 1.0, 1.1),
                shift: [between(rng, -0.05, 0.05), between(rng, 0.01, 0.07)],
            },
            background,
            background_angle: between(rng, 0.0, TAU),
            background_discs,
            light_side: one_of(rng, [-1.0, 1.0]),
            light_strength: between(rng, 0.3, 1.0),
            skin,
            hair,
            hair_tip,
            iris: sample_iris(rng),
            cloth: Colour::from_hsv(
                rng.random(),
                between(rng, 0.1, 0.6),
                between(rng, 0.35, 0.98),
            ),
            accent: Colour::from_hsv(
                rng.random(),
                between(rng, 0.55, 0.85),
                between(rng, 0.8, 1.0),
            ),
            hairstyle,
            fringe,
            lock_offsets,
            fringe_locks: rng.random_range(5..=7),
            hair_side: one_of(rng, [-1.0, 1.0]),
            cowlick: if happens(rng, 0.25) && hairstyle != Hairstyle::Bun {
                between(rng, 0.14, 0.24)
            } else {
                0.0
            },
            side_lock_length: if short {
                between(rng, 0.18, 0.36)
            } else {
                between(rng, 0.36, 0.8)
            },
            jaw_width: between(rng, 0.94, 1.06),
            chin: between(rng, 0.64, 0.7),
            eye_distance: between(rng, 0.225, 0.25),
            eye_height: between(rng, 0.15, 0.19),
            eye_width: between(rng, 0.145, 0.17),
            eye_openness: between(rng, 0.135, 0.18),
            eye_slant: between(rng, -0.03, 0.035),
            gaze: [between(rng, -0.02, 0.02), between(rng, -0.008, 0.012)],
            brow_angle: between(rng, -0.035, 0.035),
            brow_height: between(rng, -0.01, 0.035),
            brow_width: between(rng, 0.018, 0.03),
            mouth: one_of(
                rng,
                [
                    Mouth::Smile,
                    Mouth::Smile,
                    Mouth::Open,
                    Mouth::Open,
                    Mouth::Neutral,
                    Mouth::Small,
                    Mouth::Cat,
                ],
            ),
            mouth_width: between(rng, 0.1, 0.145),
            blush: between(rng, 0.0, 1.0),
            glasses: match rng.random::<f32>() {
                draw if draw < 0.07 => Glasses::Round,
                draw if draw < 0.12 => Glasses::Square,
                _ => Glasses::None,
            },
            ornament,
            collar: one_of(rng, [Collar::Round, Collar::Sailor, Collar::High]),
        }
    }

    /// The colour of lines drawn on hair.
    fn hair_line(&self) -> Colour {
        self.hair.shaded(0.5)
    }

    /// The colour of lines drawn on skin.
    fn skin_line(&self) -> Colour {
        self.skin.shaded(0.42).mix(Colour([0.45, 0.16, 0.14]), 0.3)
    }

    /// The colour of hair at a height: lit on top, tinted towards the tips.
    fn hair_at(&self, x: f32, y: f32) -> Colour {
        let lit = self.hair.mix(WHITE, 0.1 * self.light_strength);
        let fade = ((y + 0.2) / 1.1).clamp(0.0, 1.0);
        let away_from_light = (0.5 - 0.8 * x * self.light_side).clamp(0.0, 1.0);
        lit.mix(self.hair_tip, fade)
            .shaded(0.13 * away_from_light * self.light_strength)
    }
}

fn sample_skin(rng: &mut impl Rng) -> Colour {
    let position = rng.random::<f32>() * (SKIN_TONES.len() - 1) as f32;
    let lighter = (position as usize).min(SKIN_TONES.len() - 2);
    let tone = SKIN_TONES[lighter].mix(SKIN_TONES[lighter + 1], position - lighter as f32);
    let warmth = between(rng, -0.02, 0.02);
    let [r, g, b] = tone.0;
    Colour([(r + warmth * 0.5).min(1.0), g, (b - warmth).clamp(0.0, 1.0)])
}

fn sample_hair(rng: &mut impl Rng) -> Colour {
    if happens(rng, 0.45) {
        let base = one_of(rng, NATURAL_HAIR);
        base.mix(one_of(rng, NATURAL_HAIR), between(rng, 0.0, 0.25))
    } else {
        let hue: f32 = rng.random();
        // Dim yellow and yellow-green look like mud, so these hues are kept bright.
        let muddiness = (1.0 - (hue - 0.19).abs() / 0.14).max(0.0);
        let dimmest = 0.6 + 0.3 * muddiness;
        Colour::from_hsv(hue, between(rng, 0.34, 0.7), between(rng, dimmest, 1.0))
    }
}

fn sample_iris(rng: &mut impl Rng) -> Colour {
    let hue = if happens(rng, 0.3) {
        between(rng, 0.02, 0.1)
    } else {
        rng.random()
    };
    Colour::from_hsv(hue, between(rng, 0.55, 0.9), between(rng, 0.65, 0.95))
}

// ---------------------------------------------------------------------------------------------
// Outlines
// ---------------------------------------------------------------------------------------------

/// Straight pieces that approximate one bend.
const PIECES_PER_BEND: usize = 5;

/// Appends a quadratic curve from the outline's last position to `to`, bent towards `control`.
fn push_bend(outline: &mut Vec<Point>, control: Point, to: Point) {
    let from = outline.last().copied().unwrap_or(control);
    for piece in 1..=PIECES_PER_BEND {
        let t = piece as f32 / PIECES_PER_BEND as f32;
        let rest = 1.0 - t;
        outline.push([
            rest * rest * from[0] + 2.0 * rest * t * control[0] + t * t * to[0],
            rest * rest * from[1] + 2.0 * rest * t * control[1] + t * t * to[1],
        ]);
    }
}

// ---------------------------------------------------------------------------------------------
// Canvas
// ---------------------------------------------------------------------------------------------

/// Which part of the canvas an outline covers, and how much of each subpixel.
struct Mask {
    left: usize,
    top: usize,
    width: usize,
    height: usize,
    /// Row-major, `0..=1`.
    coverage: Vec<f32>,
}

impl Mask {
    /// Keeps only what another mask covers too.
    fn limit_to(mut self, other: &Self) -> Self {
        for row in 0..self.height {
            for column in 0..self.width {
                self.coverage[row * self.width + column] *=
                    other.at(self.left + column, self.top + row);
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

/// A supersampled picture on which outlines are filled in face units.
struct Canvas {
    size: usize,
    samples: usize,
    side: usize,
    /// Row-major subpixels.
    pixels: Vec<[f32; 3]>,
    /// Subpixels per face unit.
    zoom: f32,
    tilt_sine: f32,
    tilt_cosine: f32,
    origin: Point,
}

impl Canvas {
    fn new(size: usize, placement: Placement) -> Self {
        // Large pictures have room for the details and get by with fewer samples.
        let samples = if size <= 64 { 4 } else { 3 };
        let side = size * samples;
        let half = side as f32 / 2.0;
        let (tilt_sine, tilt_cosine) = placement.tilt.sin_cos();
        Self {
            size,
            samples,
            side,
            pixels: vec![[0.0; 3]; side * side],
            zoom: half * placement.scale,
            tilt_sine,
            tilt_cosine,
            origin: [
                half * (1.0 + placement.shift[0]),
                half * (1.0 + placement.shift[1]),
            ],
        }
    }

    fn to_canvas(&self, point: Point) -> Point {
        let (x, y) = (point[0] * self.zoom, point[1] * self.zoom);
        [
            self.origin[0] + x * self.tilt_cosine - y * self.tilt_sine,
            self.origin[1] + x * self.tilt_sine + y * self.tilt_cosine,
        ]
    }

    /// The face position of the middle of a subpixel.
    fn to_face(&self, column: usize, row: usize) -> Point {
        let x = column as f32 + 0.5 - self.origin[0];
        let y = row as f32 + 0.5 - self.origin[1];
        [
            (x * self.tilt_cosine + y * self.tilt_sine) / self.zoom,
            (y * self.tilt_cosine - x * self.tilt_sine) / self.zoom,
        ]
    }

    /// What a closed outline covers. Where an outline overlaps itself it stays filled.
    fn mask(&self, outline: &[Point]) -> Mask {
        let corners: Vec<Point> = outline.iter().map(|&point| self.to_canvas(point)).collect();
        let limit = self.side as f32;
        let mut low = [limit; 2];
        let mut high = [0.0_f32; 2];
        for corner in &corners {
            for axis in 0..2 {
                low[axis] = low[axis].min(corner[axis].floor());
                high[axis] = high[axis].max(corner[axis].ceil());
            }
        }
        let left = low[0].max(0.0) as usize;
        let top = low[1].max(0.0) as usize;
        let width = (high[0].min(limit) as usize).saturating_sub(left);
        let height = (high[1].min(limit) as usize).saturating_sub(top);
        let mut mask = Mask {
            left,
            top,
            width,
            height,
            coverage: vec![0.0; width * height],
        };
        if width == 0 {
            return mask;
        }
        // For every row of subpixels: where the outline crosses it, and in which direction.
        let mut crossings: Vec<Vec<(f32, i32)>> = vec![Vec::with_capacity(4); height];
        for (index, &from) in corners.iter().enumerate() {
            let to = corners[(index + 1) % corners.len()];
            let (upper, lower, direction) = if from[1] <= to[1] {
                (from, to, 1)
            } else {
                (to, from, -1)
            };
            let first = (upper[1] - top as f32 - 0.5).ceil().max(0.0) as usize;
            let end = ((lower[1] - top as f32 - 0.5).ceil().max(0.0) as usize).min(height);
            let slope = (lower[0] - upper[0]) / (lower[1] - upper[1]).max(1e-6);
            for (row, list) in crossings.iter_mut().enumerate().take(end).skip(first) {
                let y = (top + row) as f32 + 0.5;
                list.push((upper[0] + (y - upper[1]) * slope - left as f32, direction));
            }
        }
        for (row, list) in crossings.iter_mut().enumerate() {
            list.sort_by(|a, b| a.0.total_cmp(&b.0));
            let coverage = &mut mask.coverage[row * width..(row + 1) * width];
            let mut winding = 0;
            let mut start = 0.0;
            for &(x, direction) in list.iter() {
                if winding == 0 {
                    start = x;
                }
                winding += direction;
                if winding == 0 {
                    cover_span(coverage, start, x);
                }
            }
        }
        mask
    }

    /// Paints what a mask covers; `paint` gives colour and opacity at a face position.
    fn paint(&mut self, mask: &Mask, paint: impl Fn(f32, f32) -> (Colour, f32)) {
        let step = [self.tilt_cosine / self.zoom, -self.tilt_sine / self.zoom];
        for row in 0..mask.height {
            let canvas_row = mask.top + row;
            let start = self.to_face(mask.left, canvas_row);
            let first = canvas_row * self.side + mask.left;
            let pixels = &mut self.pixels[first..first + mask.width];
            let coverage = &mask.coverage[row * mask.width..(row + 1) * mask.width];
            for (column, (pixel, &covered)) in pixels.iter_mut().zip(coverage).enumerate() {
                if covered <= 0.0 {
                    continue;
                }
                let x = start[0] + step[0] * column as f32;
                let y = start[1] + step[1] * column as f32;
                let (colour, opacity) = paint(x, y);
                *pixel = Colour(*pixel).mix(colour, opacity * covered).0;
            }
        }
    }

    /// Fills an outline with one opaque colour.
    fn fill(&mut self, outline: &[Point], colour: Colour) {
        let mask = self.mask(outline);
        self.paint(&mask, |_, _| (colour, 1.0));
    }

    /// Draws a line.
    fn line(&mut self, line: &[Point], width: f32, taper: Taper, colour: Colour) {
        self.fill(&pen_outline(line, width, taper), colour);
    }

    /// Draws a translucent line that stays inside a mask.
    fn line_inside(
        &mut self,
        inside: &Mask,
        line: &[Point],
        width: f32,
        taper: Taper,
        ink: (Colour, f32),
    ) {
        let mask = self.mask(&pen_outline(line, width, taper)).limit_to(inside);
        self.paint(&mask, |_, _| ink);
    }

    /// Draws the edge of a closed outline.
    fn edge(&mut self, outline: &[Point], width: f32, colour: Colour) {
        let mut line = outline.to_vec();
        line.extend(outline.first());
        self.line(&line, width, Taper::Never, colour);
    }

    /// Blends in a spot that fades out towards its rim and stays inside a mask.
    fn glow(&mut self, inside: &Mask, centre: Point, radii: Point, ink: (Colour, f32)) {
        let mask = self
            .mask(&ellipse(centre, radii[0], radii[1]))
            .limit_to(inside);
        self.paint(&mask, |x, y| {
            let across = (x - centre[0]) / radii[0];
            let down = (y - centre[1]) / radii[1];
            let fade = (1.0 - across * across - down * down).max(0.0);
            (ink.0, ink.1 * fade * fade)
        });
    }

    /// Averages blocks of subpixels into the finished picture.
    fn average_down(&self) -> RgbImage {
        let samples = self.samples;
        let share = 255.0 / (samples * samples) as f32;
        let mut bytes = Vec::with_capacity(self.size * self.size * 3);
        let mut sums = vec![[0.0_f32; 3]; self.size];
        for row in 0..self.size {
            sums.fill([0.0; 3]);
            for subrow in self.pixels[row * samples * self.side..]
                .chunks(self.side)
                .take(samples)
            {
                for (sum, block) in sums.iter_mut().zip(subrow.chunks(samples)) {
                    for pixel in block {
                        for channel in 0..3 {
                            sum[channel] += pixel[channel];
                        }
                    }
                }
            }
            bytes.extend(sums.iter().flatten().map(|sum| (sum * share + 0.5) as u8));
        }
        let size = self.size as u32;
        RgbImage::from_raw(size, size, bytes).unwrap_or_else(|| RgbImage::new(size, size))
    }
}

/// Adds the part of every subpixel in a row that lies between `start` and `end`.
fn cover_span(coverage: &mut [f32], start: f32, end: f32) {
    let start = start.max(0.0);
    let end = end.min(coverage.len() as f32);
    if end <= start {
        return;
    }
    let first = start as usize;
    let last = (end as usize).min(coverage.len() - 1);
    if first == last {
        coverage[first] = (coverage[first] + end - start).min(1.0);
        return;
    }
    coverage[first] = (coverage[first] + first as f32 + 1.0 - start).min(1.0);
    coverage[first + 1..last].fill(1.0);
    coverage[last] = (coverage[last] + end - last as f32).min(1.0);
}

// ---------------------------------------------------------------------------------------------
// Painting
// ---------------------------------------------------------------------------------------------

/// Half the width of the head at the temples.
const HEAD_HALF_WIDTH: f32 = 0.5;

/// Half the width of the hair in front, at the temples.
const HAIR_HALF_WIDTH: f32 = 0.62;

/// Top of the hair.
const HAIR_TOP: f32 = -0.74;

/// The upper edge of the hair in front, from the left ear over the crown to the right ear.
fn smooth_crown() -> Vec<Point> {
    smooth_line(&[
        [-0.5, 0.16],
        [-HAIR_HALF_WIDTH, 0.06],
        [-0.6, -0.3],
        [-0.36, -0.66],
        [0.0, HAIR_TOP - 0.01],
        [0.36, -0.66],
        [0.6, -0.3],
        [HAIR_HALF_WIDTH, 0.06],
        [0.5, 0.16],
    ])
}

impl Design {
    fn paint(&self, canvas: &mut Canvas) {
        self.paint_background(canvas);
        self.paint_hair_behind(canvas);
        self.paint_body(canvas);
        let head = self.paint_head(canvas);
        self.paint_mouth_and_nose(canvas);
        for side in [-1.0, 1.0] {
            self.paint_eye(canvas, side);
        }
        self.paint_glasses(canvas);
        self.paint_hair_in_front(canvas, &head);
        self.paint_brows(canvas);
        self.paint_ornament(canvas);
        self.paint_light(canvas);
    }

    fn paint_background(&self, canvas: &mut Canvas) {
        let whole = canvas.mask(&[[-3.0, -3.0], [3.0, -3.0], [3.0, 3.0], [-3.0, 3.0]]);
        let (sine, cosine) = self.background_angle.sin_cos();
        let [near, far] = self.background;
        canvas.paint(&whole, |x, y| {
            let along = (0.5 + 0.36 * (x * cosine + y * sine)).clamp(0.0, 1.0);
            (near.mix(far, along), 1.0)
        });
        for [x, y, radius] in self.background_discs {
            let disc = canvas.mask(&ellipse([x, y], radius, radius));
            canvas.paint(&disc, |_, _| (WHITE, 0.22));
        }
    }

    /// Fills a piece of hair with its gradient and gives it a darker edge.
    fn paint_hair_piece(&self, canvas: &mut Canvas, outline: &[Point], shade: f32) {
        let mask = canvas.mask(outline);
        canvas.paint(&mask, |x, y| (self.hair_at(x, y).shaded(shade), 1.0));
        canvas.edge(outline, 0.018, self.hair_line());
    }

    fn paint_hair_behind(&self, canvas: &mut Canvas) {
        match self.hairstyle {
            Hairstyle::TwinTails => {
                for side in [-1.0, 1.0] {
                    self.paint_twin_tail(canvas, side);
                }
            }
            Hairstyle::Ponytail => self.paint_ponytail(canvas),
            Hairstyle::Bun => {
                let bun = ellipse([0.1 * self.lock_offsets[11], -0.75], 0.25, 0.2);
                self.paint_hair_piece(canvas, &bun, 0.06);
            }
            Hairstyle::TwoBuns => {
                for side in [-1.0, 1.0] {
                    self.paint_hair_piece(canvas, &ellipse([0.5 * side, -0.64], 0.22, 0.21), 0.06);
                }
            }
            _ => {}
        }
        let outline = self.hair_behind_outline();
        self.paint_hair_piece(canvas, &outline, 0.2);
    }

    /// The hair that surrounds the head, from the top down to where the style ends.
    fn hair_behind_outline(&self) -> Vec<Point> {
        let wobble = |index: usize| 0.03 * self.lock_offsets[index];
        let half: Vec<Point> = match self.hairstyle {
            Hairstyle::Long => vec![
                [0.3, HAIR_TOP + 0.06],
                [0.56, -0.42],
                [0.64, 0.0],
                [0.66 + wobble(0), 0.45],
                [0.72 + wobble(1), 0.85],
                [0.66, 1.3],
                [0.2, 1.35],
            ],
            Hairstyle::Wavy => vec![
                [0.3, HAIR_TOP + 0.06],
                [0.57, -0.42],
                [0.67, -0.08],
                [0.63 + wobble(0), 0.12],
                [0.77, 0.36],
                [0.7 + wobble(1), 0.58],
                [0.84, 0.84],
                [0.74, 1.1],
                [0.4, 1.35],
            ],
            Hairstyle::Bob => vec![
                [0.3, HAIR_TOP + 0.06],
                [0.57, -0.42],
                [0.66, -0.02],
                [0.7 + wobble(0), 0.32],
                [0.64 + wobble(1), 0.58],
                [0.44, 0.66],
                [0.2, 0.6],
            ],
            Hairstyle::Short | Hairstyle::Spiky => vec![
                [0.3, HAIR_TOP + 0.06],
                [0.56, -0.42],
                [0.62, -0.02],
                [0.58 + wobble(0), 0.24],
                [0.46, 0.44],
                [0.2, 0.48],
            ],
            Hairstyle::TwinTails | Hairstyle::Bun | Hairstyle::TwoBuns | Hairstyle::Ponytail => {
                vec![
                    [0.3, HAIR_TOP + 0.06],
                    [0.56, -0.42],
                    [0.62, 0.0],
                    [0.56, 0.3],
                    [0.36, 0.46],
                    [0.16, 0.48],
                ]
            }
        };
        let mut through = vec![[0.0, HAIR_TOP]];
        through.extend(&half);
        through.extend(half.iter().rev().map(|point| [-point[0], point[1]]));
        smooth_outline(&through)
    }

    /// The upper edge of spiky hair from ear to ear: locks that fan out from the crown.
    fn spiky_crown(&self) -> Vec<Point> {
        const LEFT_END: Point = [-0.5, 0.16];
        // Every lock: its tip, and the gap after it.
        const LOCKS: [[Point; 2]; 9] = [
            [[-0.7, 0.16], [-0.61, -0.02]],
            [[-0.8, -0.14], [-0.61, -0.28]],
            [[-0.78, -0.5], [-0.52, -0.5]],
            [[-0.5, -0.8], [-0.25, -0.68]],
            [[-0.1, -0.9], [0.1, -0.72]],
            [[0.36, -0.88], [0.38, -0.62]],
            [[0.7, -0.64], [0.57, -0.38]],
            [[0.82, -0.24], [0.61, -0.06]],
            [[0.72, 0.14], [0.5, 0.16]],
        ];
        let mut crown = vec![LEFT_END];
        let mut start = LEFT_END;
        for (index, &[tip, gap]) in LOCKS.iter().enumerate() {
            let stretch = 1.0 + 0.06 * self.lock_offsets[index];
            let tip = [tip[0] * stretch, tip[1] * stretch];
            // One side of a lock bulges outwards and the other curves inwards, like a flame.
            push_bend(
                &mut crown,
                [
                    0.45 * start[0] + 0.62 * tip[0],
                    0.45 * start[1] + 0.62 * tip[1],
                ],
                tip,
            );
            push_bend(
                &mut crown,
                [0.62 * gap[0] + 0.36 * tip[0], 0.62 * gap[1] + 0.36 * tip[1]],
                gap,
            );
            start = gap;
        }
        if self.hair_side > 0.0 {
            return crown;
        }
        crown.reverse();
        on_side(&crown, -1.0)
    }

    fn paint_twin_tail(&self, canvas: &mut Canvas, side: f32) {
        let sway = 0.05 * self.lock_offsets[if side < 0.0 { 9 } else { 10 }];
        let tail = smooth_outline(&[
            [0.44 * side, -0.5],
            [0.66 * side, -0.58],
            [0.86 * side, -0.3],
            [(0.93 + sway) * side, 0.2],
            [(0.88 + sway) * side, 0.62],
            [(0.74 + sway) * side, 1.02],
            [(0.68 + sway) * side, 0.66],
            [0.64 * side, 0.2],
            [0.56 * side, -0.2],
        ]);
        self.paint_hair_piece(canvas, &tail, 0.05);
        let strand = smooth_line(&[
            [0.58 * side, -0.4],
            [0.78 * side, 0.0],
            [(0.78 + sway) * side, 0.7],
        ]);
        let mask = canvas.mask(&tail);
        canvas.line_inside(
            &mask,
            &strand,
            0.022,
            Taper::BothEnds,
            (self.hair_line(), 0.55),
        );
        let tie = ellipse([0.56 * side, -0.46], 0.07, 0.1);
        canvas.fill(&tie, self.accent);
        canvas.edge(&tie, 0.016, self.accent.shaded(0.45));
    }

    fn paint_ponytail(&self, canvas: &mut Canvas) {
        let side = self.hair_side;
        let sway = 0.06 * self.lock_offsets[9];
        let tail = smooth_outline(&[
            [0.2 * side, -0.62],
            [0.42 * side, -0.88],
            [0.74 * side, -0.78],
            [(0.94 + sway) * side, -0.34],
            [(0.96 + sway) * side, 0.2],
            [(0.8 + sway) * side, 0.74],
            [(0.76 + sway) * side, 0.24],
            [0.66 * side, -0.2],
        ]);
        self.paint_hair_piece(canvas, &tail, 0.08);
        let mask = canvas.mask(&tail);
        let strand = smooth_line(&[
            [0.42 * side, -0.72],
            [0.74 * side, -0.5],
            [(0.85 + sway) * side, 0.3],
        ]);
        canvas.line_inside(
            &mask,
            &strand,
            0.024,
            Taper::BothEnds,
            (self.hair_line(), 0.55),
        );
        let tie = ellipse([0.37 * side, -0.72], 0.1, 0.1);
        canvas.fill(&tie, self.accent);
        canvas.edge(&tie, 0.016, self.accent.shaded(0.45));
    }

    fn paint_body(&self, canvas: &mut Canvas) {
        let neck = [
            [-0.16, 0.4],
            [0.16, 0.4],
            [0.17, 0.78],
            [0.3, 0.92],
            [0.0, 1.2],
            [-0.3, 0.92],
            [-0.17, 0.78],
        ];
        let neck_mask = canvas.mask(&neck);
        let (skin, chin) = (self.skin, self.chin);
        let shadow = skin.shaded(0.24);
        canvas.paint(&neck_mask, |x, y| {
            let under_chin = ((chin + 0.16 - 0.3 * x.abs() - y) / 0.06).clamp(0.0, 1.0);
            (skin.shaded(0.05).mix(shadow, under_chin), 1.0)
        });
        let shoulders = smooth_outline(&[
            [-0.2, 0.84],
            [-0.5, 0.93],
            [-0.8, 1.08],
            [-0.95, 1.5],
            [0.95, 1.5],
            [0.8, 1.08],
            [0.5, 0.93],
            [0.2, 0.84],
            [
                0.0,
                if self.collar == Collar::High {
                    0.84
                } else {
                    1.0
                },
            ],
        ]);
        let cloth = self.cloth;
        let cloth_mask = canvas.mask(&shoulders);
        canvas.paint(&cloth_mask, |x, y| {
            (
                cloth.shaded(0.25 * (x.abs() + y - 0.9).clamp(0.0, 1.0)),
                1.0,
            )
        });
        canvas.edge(&shoulders, 0.018, cloth.shaded(0.45));
        match self.collar {
            Collar::Round => {
                let collar = smooth_line(&[
                    [-0.22, 0.84],
                    [-0.12, 0.97],
                    [0.0, 1.01],
                    [0.12, 0.97],
                    [0.22, 0.84],
                ]);
                canvas.line(&collar, 0.05, Taper::Never, cloth.mix(WHITE, 0.55));
            }
            Collar::Sailor => {
                let paper = cloth.mix(WHITE, 0.75);
                for side in [-1.0, 1.0] {
                    let flap = [
                        [0.18 * side, 0.82],
                        [0.46 * side, 0.92],
                        [0.36 * side, 1.12],
                        [0.0, 1.12],
                    ];
                    canvas.fill(&flap, paper);
                    canvas.edge(&flap, 0.016, cloth.shaded(0.4));
                }
                canvas.fill(
                    &[[-0.1, 1.0], [0.1, 1.0], [0.08, 1.2], [-0.08, 1.2]],
                    self.accent,
                );
            }
            Collar::High => {
                let collar = smooth_outline(&[
                    [-0.19, 0.76],
                    [0.0, 0.82],
                    [0.19, 0.76],
                    [0.24, 0.92],
                    [0.0, 1.0],
                    [-0.24, 0.92],
                ]);
                canvas.fill(&collar, cloth.mix(WHITE, 0.2));
                canvas.edge(&collar, 0.016, cloth.shaded(0.45));
            }
        }
    }

    fn head_outline(&self) -> Vec<Point> {
        let jaw = self.jaw_width;
        let half = [
            [0.28, -0.5],
            [0.46, -0.26],
            [HEAD_HALF_WIDTH, 0.04],
            [0.48, 0.26],
            [0.4 * jaw, 0.44],
            [0.24 * jaw, self.chin - 0.09],
            [0.09, self.chin - 0.005],
        ];
        let mut through = vec![[0.0, -0.58]];
        through.extend(half);
        through.push([0.0, self.chin + 0.005]);
        through.extend(half.iter().rev().map(|point| [-point[0], point[1]]));
        smooth_outline(&through)
    }

    fn paint_head(&self, canvas: &mut Canvas) -> Mask {
        let line = self.skin_line();
        for side in [-1.0, 1.0] {
            let ear = ellipse([0.5 * side, 0.16], 0.07, 0.12);
            canvas.fill(&ear, self.skin.shaded(0.06));
            canvas.edge(&ear, 0.018, line);
            canvas.fill(
                &ellipse([0.51 * side, 0.17], 0.03, 0.07),
                self.skin.shaded(0.22),
            );
        }
        let outline = self.head_outline();
        let head = canvas.mask(&outline);
        let (skin, light_side, strength) = (self.skin, self.light_side, self.light_strength);
        let shadow = skin.shaded(0.18);
        canvas.paint(&head, |x, y| {
            // A soft terminator on the cheek that faces away from the light.
            let rim = (-x * light_side + 0.35 * y - 0.3) / 0.22;
            (
                skin.mix(shadow, (rim.clamp(0.0, 1.0)) * (0.35 + 0.55 * strength)),
                1.0,
            )
        });
        canvas.glow(&head, [0.16 * light_side, 0.34], [0.3, 0.22], (WHITE, 0.16));
        canvas.edge(&outline, 0.02, line);
        let warm = Colour([0.96, 0.36, 0.34]).mix(self.skin, 0.2);
        for side in [-1.0, 1.0] {
            let opacity = 0.16 + 0.5 * self.blush * self.blush;
            canvas.glow(&head, [0.31 * side, 0.39], [0.17, 0.11], (warm, opacity));
        }
        if self.blush > 0.8 {
            for side in [-1.0, 1.0] {
                for stroke in [-0.05, 0.0, 0.05] {
                    let x = 0.31 * side + stroke;
                    canvas.line_inside(
                        &head,
                        &[[x - 0.016, 0.415], [x + 0.016, 0.365]],
                        0.018,
                        Taper::Never,
                        (warm.shaded(0.2), 0.6),
                    );
                }
            }
        }
        head
    }

    fn paint_mouth_and_nose(&self, canvas: &mut Canvas) {
        let line = self.skin_line();
        let nose_x = -0.012 * self.light_side;
        canvas.line(
            &[[nose_x, 0.345], [nose_x * 2.5, 0.375]],
            0.026,
            Taper::BothEnds,
            line,
        );
        canvas.line(
            &smooth_line(&[[-0.028, 0.372], [0.0, 0.386], [0.028, 0.372]]),
            0.02,
            Taper::BothEnds,
            self.skin.shaded(0.3),
        );

        let half = self.mouth_width;
        let y = 0.495;
        let lips = self.skin.shaded(0.5).mix(Colour([0.55, 0.12, 0.14]), 0.45);
        match self.mouth {
            Mouth::Smile => {
                let smile = smooth_line(&[
                    [-half, y - 0.015],
                    [-half * 0.5, y + 0.022],
                    [0.0, y + 0.034],
                    [half * 0.5, y + 0.022],
                    [half, y - 0.015],
                ]);
                canvas.line(&smile, 0.032, Taper::BothEnds, lips);
            }
            Mouth::Open => {
                let mouth = smooth_outline(&[
                    [-half, y - 0.02],
                    [0.0, y - 0.008],
                    [half, y - 0.02],
                    [half * 0.68, y + 0.06],
                    [0.0, y + 0.1],
                    [-half * 0.68, y + 0.06],
                ]);
                let mask = canvas.mask(&mouth);
                canvas.paint(&mask, |_, _| (Colour([0.55, 0.13, 0.17]), 1.0));
                let tongue = canvas
                    .mask(&ellipse([0.0, y + 0.095], half * 0.62, 0.05))
                    .limit_to(&mask);
                canvas.paint(&tongue, |_, _| (Colour([0.93, 0.48, 0.48]), 1.0));
                let teeth = canvas
                    .mask(&ellipse([0.0, y - 0.022], half * 0.75, 0.03))
                    .limit_to(&mask);
                canvas.paint(&teeth, |_, _| (WHITE, 0.95));
                canvas.edge(&mouth, 0.016, lips);
            }
            Mouth::Neutral => {
                canvas.line(
                    &smooth_line(&[
                        [-half * 0.75, y + 0.004],
                        [0.0, y + 0.012],
                        [half * 0.75, y + 0.004],
                    ]),
                    0.03,
                    Taper::BothEnds,
                    lips,
                );
                canvas.line(
                    &[[-0.03, y + 0.055], [0.03, y + 0.055]],
                    0.016,
                    Taper::BothEnds,
                    self.skin.shaded(0.22),
                );
            }
            Mouth::Small => {
                let mouth = ellipse([0.0, y + 0.02], half * 0.36, half * 0.42);
                canvas.fill(&mouth, Colour([0.62, 0.18, 0.2]));
                canvas.edge(&mouth, 0.016, lips);
            }
            Mouth::Cat => {
                let cat = smooth_line(&[
                    [-half, y - 0.008],
                    [-half * 0.5, y + 0.03],
                    [0.0, y],
                    [half * 0.5, y + 0.03],
                    [half, y - 0.008],
                ]);
                canvas.line(&cat, 0.026, Taper::BothEnds, lips);
            }
        }
    }

    fn paint_eye(&self, canvas: &mut Canvas, side: f32) {
        let centre = [self.eye_distance * side, self.eye_height];
        let (width, open, slant) = (self.eye_width, self.eye_openness, self.eye_slant);
        // Written for the eye on the right of the picture, whose outer corner is at positive x.
        let at = |x: f32, y: f32| {
            [
                centre[0] + x * width * side,
                centre[1] + y * open - slant * x,
            ]
        };
        let lash = self.hair.shaded(0.7).mix(Colour([0.13, 0.08, 0.1]), 0.65);

        let white = smooth_outline(&[
            at(-0.9, 0.28),
            at(-0.72, -0.5),
            at(-0.2, -0.92),
            at(0.4, -0.88),
            at(0.86, -0.4),
            at(0.92, 0.2),
            at(0.6, 0.82),
            at(0.0, 1.0),
            at(-0.56, 0.84),
        ]);
        let eye = canvas.mask(&white);
        let (top, shadow) = (centre[1] - open, Colour([0.76, 0.76, 0.86]));
        canvas.paint(&eye, |_, y| {
            (
                WHITE.mix(shadow, (1.0 - (y - top) / (0.75 * open)).clamp(0.0, 1.0)),
                1.0,
            )
        });

        let iris_centre = [
            centre[0] + self.gaze[0] - 0.008 * side,
            centre[1] + self.gaze[1] + 0.006,
        ];
        let (iris_x, iris_y) = (width * 0.66, open * 0.93);
        let iris = canvas
            .mask(&ellipse(iris_centre, iris_x, iris_y))
            .limit_to(&eye);
        let dark = self.iris.shaded(0.68);
        let bright = self.iris.mix(WHITE, 0.38);
        let base = self.iris;
        canvas.paint(&iris, |x, y| {
            let across = (x - iris_centre[0]) / iris_x;
            let down = (y - iris_centre[1]) / iris_y;
            let rim = ((across * across + down * down).sqrt() - 0.78).max(0.0) / 0.22;
            let body = if down < 0.1 {
                dark.mix(base, ((down + 0.8) / 0.9).clamp(0.0, 1.0))
            } else {
                base.mix(bright, ((down - 0.1) / 0.7).clamp(0.0, 1.0))
            };
            (body.mix(dark, rim.min(1.0)), 1.0)
        });
        let pupil = canvas
            .mask(&ellipse(
                [iris_centre[0], iris_centre[1] - 0.01],
                iris_x * 0.42,
                iris_y * 0.48,
            ))
            .limit_to(&eye);
        let pupil_colour = self.iris.shaded(0.85).mix(Colour([0.04, 0.02, 0.06]), 0.6);
        canvas.paint(&pupil, |_, _| (pupil_colour, 0.95));
        canvas.glow(
            &iris,
            [iris_centre[0], iris_centre[1] + iris_y * 0.62],
            [iris_x * 0.8, iris_y * 0.42],
            (bright.mix(WHITE, 0.4), 0.75),
        );

        // Both eyes mirror the same light, so the highlights are not mirrored.
        let light = self.light_side;
        let large = canvas.mask(&ellipse(
            [
                iris_centre[0] + 0.38 * iris_x * light,
                iris_centre[1] - 0.4 * iris_y,
            ],
            iris_x * 0.34,
            iris_y * 0.3,
        ));
        canvas.paint(&large, |_, _| (WHITE, 1.0));
        let small = canvas.mask(&ellipse(
            [
                iris_centre[0] - 0.42 * iris_x * light,
                iris_centre[1] + 0.42 * iris_y,
            ],
            iris_x * 0.19,
            iris_y * 0.15,
        ));
        canvas.paint(&small, |_, _| (WHITE, 0.92));

        let upper = smooth_line(&[
            at(-0.98, 0.22),
            at(-0.76, -0.5),
            at(-0.22, -0.95),
            at(0.42, -0.92),
            at(0.9, -0.4),
            at(1.1, 0.02),
        ]);
        canvas.line(&upper, 0.066, Taper::BothEnds, lash);
        let wing = smooth_line(&[at(0.6, -0.72), at(0.98, -0.42), at(1.26, -0.44)]);
        canvas.line(&wing, 0.05, Taper::End, lash);
        let lower = smooth_line(&[at(-0.4, 0.95), at(0.1, 1.04), at(0.62, 0.84), at(0.95, 0.2)]);
        canvas.line(&lower, 0.024, Taper::BothEnds, lash.mix(self.skin, 0.25));
        let crease = smooth_line(&[at(-0.6, -0.98), at(0.0, -1.26), at(0.66, -1.08)]);
        canvas.line(&crease, 0.018, Taper::BothEnds, self.skin_line());
    }

    fn paint_brows(&self, canvas: &mut Canvas) {
        // Hair and brows are often dark alike; drawn over the fringe the brows stay readable.
        let colour = self.hair.shaded(0.55).mix(self.skin.shaded(0.5), 0.2);
        let y = self.eye_height - self.eye_openness - 0.085 - self.brow_height;
        for side in [-1.0, 1.0] {
            let x = self.eye_distance * side;
            let line = smooth_line(&[
                [x - 0.12 * side, y + 0.012 + self.brow_angle],
                [x + 0.02 * side, y - 0.022],
                [x + 0.14 * side, y + 0.014 - self.brow_angle * 0.6],
            ]);
            let mask = canvas.mask(&pen_outline(&line, self.brow_width * 1.5, Taper::BothEnds));
            canvas.paint(&mask, |_, _| (colour, 0.8));
        }
    }

    fn paint_glasses(&self, canvas: &mut Canvas) {
        let frame = self.accent.shaded(0.55).mix(Colour([0.12, 0.1, 0.12]), 0.5);
        let (width, height) = (self.eye_width + 0.055, self.eye_openness + 0.05);
        for side in [-1.0, 1.0] {
            let centre = [self.eye_distance * side, self.eye_height + 0.02];
            let rim = match self.glasses {
                Glasses::None => return,
                Glasses::Round => ellipse(centre, width, width.max(height)),
                Glasses::Square => smooth_outline(&[
                    [centre[0] - width, centre[1] - height * 0.8],
                    [centre[0] + width, centre[1] - height * 0.8],
                    [centre[0] + width * 0.92, centre[1] + height * 0.85],
                    [centre[0] - width * 0.92, centre[1] + height * 0.85],
                ]),
            };
            let lens = canvas.mask(&rim);
            canvas.paint(&lens, |x, y| {
                let glint = (x - centre[0] + (y - centre[1]) * 0.7).abs();
                (
                    WHITE,
                    if (0.06..0.1).contains(&glint) {
                        0.2
                    } else {
                        0.07
                    },
                )
            });
            canvas.edge(&rim, 0.03, frame);
            canvas.line(
                &[
                    [centre[0] + width * side, centre[1] - 0.03],
                    [0.56 * side, centre[1] - 0.05],
                ],
                0.026,
                Taper::Never,
                frame,
            );
        }
        let inner = self.eye_distance - width;
        let bridge = smooth_line(&[
            [-inner - 0.01, self.eye_height],
            [0.0, self.eye_height - 0.025],
            [inner + 0.01, self.eye_height],
        ]);
        canvas.line(&bridge, 0.028, Taper::Never, frame);
    }

    /// Where the hair parts over the forehead.
    fn parting(&self) -> f32 {
        match self.fringe {
            Fringe::Straight => 0.0,
            Fringe::Parted => 0.05 * self.hair_side,
            Fringe::Swept => 0.26 * self.hair_side,
            Fringe::Pointed => 0.08 * self.hair_side,
        }
    }

    /// How far down the fringe reaches at `x`, tips included.
    fn fringe_depth(&self, x: f32) -> f32 {
        let away = (x - self.parting()).abs();
        match self.fringe {
            Fringe::Straight => 0.02 + 0.12 * x * x,
            Fringe::Swept => -0.3 + 0.62 * away.powf(0.9),
            Fringe::Parted => -0.34 + 0.85 * away.powf(0.8),
            Fringe::Pointed => 0.03 + 0.1 * away,
        }
    }

    fn fringe_outline(&self) -> Vec<Point> {
        let mut outline = if self.hairstyle == Hairstyle::Spiky {
            self.spiky_crown()
        } else {
            smooth_crown()
        };
        let notch = match self.fringe {
            Fringe::Straight => 0.09,
            Fringe::Swept => 0.12,
            Fringe::Parted => 0.08,
            Fringe::Pointed => 0.24,
        };
        // From right to left along the lower edge: for every lock down to its tip, then up into the
        // gap before the next one.
        let locks = self.fringe_locks;
        let step = 0.92 / locks as f32;
        for lock in 0..locks {
            let offset = self.lock_offsets[lock];
            let right = 0.46 - step * lock as f32;
            let lean = match self.fringe {
                Fringe::Straight => 0.15 * offset,
                _ => ((right - step / 2.0 - self.parting()) * 1.6).clamp(-0.42, 0.42),
            };
            let tip_x = right - step * (0.5 - lean);
            let tip = [tip_x, self.fringe_depth(tip_x) + 0.03 * offset];
            let left = right - step * (1.0 + 0.12 * self.lock_offsets[lock + 4]);
            let gap_depth =
                self.fringe_depth(left) - notch * (1.0 + 0.3 * self.lock_offsets[lock + 2]);
            let gap = if lock + 1 == locks {
                [-0.5, 0.16]
            } else {
                [left, gap_depth]
            };
            push_bend(
                &mut outline,
                [right - step * 0.05, tip[1] - notch * 0.25],
                tip,
            );
            push_bend(
                &mut outline,
                [left + step * 0.12, tip[1] - notch * 0.3],
                gap,
            );
        }
        outline
    }

    /// The strand in front of an ear.
    fn side_lock_outline(&self, side: f32) -> Vec<Point> {
        let offset = self.lock_offsets[if side < 0.0 { 7 } else { 8 }];
        let end = self.side_lock_length + 0.05 * offset;
        let middle = 0.5 * (end - 0.1);
        let half = [
            [0.4, -0.22],
            [0.56, -0.3],
            [0.625, 0.0],
            [0.62, middle],
            [0.52 + 0.03 * offset, end],
            [0.46, middle + 0.06],
            [0.45, 0.04],
        ];
        let outline = smooth_outline(&half);
        if side < 0.0 {
            on_side(&outline, -1.0)
        } else {
            outline
        }
    }

    fn paint_hair_in_front(&self, canvas: &mut Canvas, head: &Mask) {
        let outline = self.fringe_outline();
        // The shadow that the hair throws on the forehead.
        let lowered: Vec<Point> = outline
            .iter()
            .map(|point| [point[0] - 0.015 * self.light_side, point[1] + 0.055])
            .collect();
        let shadow = canvas.mask(&lowered).limit_to(head);
        let shade = self.skin.shaded(0.35);
        canvas.paint(&shadow, |_, y| {
            (
                shade,
                if y > self.eye_height - 0.6 * self.eye_openness {
                    0.0
                } else {
                    0.55
                },
            )
        });

        for side in [-1.0, 1.0] {
            self.paint_hair_piece(canvas, &self.side_lock_outline(side), 0.0);
        }
        if self.cowlick > 0.0 {
            let (side, length) = (self.hair_side, self.cowlick);
            let strand = smooth_line(&[
                [-0.02 * side, HAIR_TOP + 0.1],
                [-0.04 * side, HAIR_TOP - 0.4 * length],
                [-0.18 * side, HAIR_TOP - 0.75 * length],
                [-0.32 * side, HAIR_TOP - 0.35 * length],
            ]);
            self.paint_hair_piece(canvas, &pen_outline(&strand, 0.1, Taper::End), 0.0);
        }
        let front = canvas.mask(&outline);
        canvas.paint(&front, |x, y| (self.hair_at(x, y), 1.0));
        self.paint_strands(canvas, &front);
        canvas.edge(&outline, 0.018, self.hair_line());
    }

    /// Strand lines that run from the crown to the fringe, and the ring of light around the head.
    fn paint_strands(&self, canvas: &mut Canvas, front: &Mask) {
        let crown = [self.parting() * 0.7, -0.66];
        for strand in 0..6 {
            let x = -0.46 + 0.92 * (strand as f32 + 0.5 + 0.25 * self.lock_offsets[strand]) / 6.0;
            let y = self.fringe_depth(x);
            let line = smooth_line(&[
                crown,
                [crown[0] * 0.35 + x * 0.75, -0.4 + 0.1 * x.abs()],
                [x, y],
            ]);
            canvas.line_inside(front, &line, 0.02, Taper::Start, (self.hair_line(), 0.4));
        }
        let shine = self.hair.mix(WHITE, 0.55);
        let opacity = (0.35 + 0.35 * self.light_strength) * (1.0 - 0.35 * self.hair.brightness());
        let middle = -PI / 2.0 + 0.28 * self.light_side;
        for (start, end) in [(-0.72, -0.12), (-0.04, 0.5), (0.58, 0.86)] {
            let arc: Vec<Point> = (0..=14)
                .map(|step| {
                    let t = step as f32 / 14.0;
                    let angle = middle + start + (end - start) * t;
                    let jag = if step % 2 == 0 { 0.018 } else { -0.018 };
                    [0.5 * angle.cos(), 0.02 + 0.48 * angle.sin() + jag]
                })
                .collect();
            canvas.line_inside(front, &arc, 0.075, Taper::BothEnds, (shine, opacity));
        }
    }

    fn paint_ornament(&self, canvas: &mut Canvas) {
        let side = self.hair_side;
        let line = self.accent.shaded(0.45);
        match self.ornament {
            HairOrnament::None => {}
            HairOrnament::Bow => {
                let centre = [0.4 * side, -0.56];
                for wing in [-1.0, 1.0] {
                    let loop_outline = smooth_outline(&[
                        centre,
                        [centre[0] + 0.12 * wing, centre[1] - 0.13],
                        [centre[0] + 0.24 * wing, centre[1] - 0.1],
                        [centre[0] + 0.23 * wing, centre[1] + 0.1],
                        [centre[0] + 0.1 * wing, centre[1] + 0.09],
                    ]);
                    canvas.fill(&loop_outline, self.accent);
                    canvas.edge(&loop_outline, 0.018, line);
                }
                let knot = ellipse(centre, 0.055, 0.065);
                canvas.fill(&knot, self.accent.mix(WHITE, 0.25));
                canvas.edge(&knot, 0.016, line);
            }
            HairOrnament::Clip => {
                for bar in [0.0, 0.07] {
                    let clip = [[0.36 * side, -0.3 + bar], [0.54 * side, -0.22 + bar]];
                    canvas.line(&clip, 0.05, Taper::Never, line);
                    canvas.line(&clip, 0.03, Taper::Never, self.accent.mix(WHITE, 0.2));
                }
            }
            HairOrnament::Band => {
                let band = smooth_line(&[
                    [-0.62, -0.12],
                    [-0.5, -0.46],
                    [-0.24, -0.63],
                    [0.0, -0.67],
                    [0.24, -0.63],
                    [0.5, -0.46],
                    [0.62, -0.12],
                ]);
                canvas.line(&band, 0.1, Taper::Never, line);
                canvas.line(&band, 0.07, Taper::Never, self.accent);
            }
            HairOrnament::Flower => {
                let centre = [0.46 * side, -0.38];
                let petal_colour = self.accent.mix(WHITE, 0.35);
                for petal in 0..5 {
                    let (sine, cosine) = (petal as f32 * TAU / 5.0 + 0.3).sin_cos();
                    let petal = ellipse(
                        [centre[0] + 0.075 * cosine, centre[1] + 0.075 * sine],
                        0.062,
                        0.062,
                    );
                    canvas.fill(&petal, petal_colour);
                    canvas.edge(&petal, 0.012, line);
                }
                canvas.fill(&ellipse(centre, 0.04, 0.04), Colour([1.0, 0.86, 0.35]));
            }
        }
    }

    /// A last soft wash: brighter and warmer towards the light, dimmer away from it.
    fn paint_light(&self, canvas: &mut Canvas) {
        let whole = canvas.mask(&[[-3.0, -3.0], [3.0, -3.0], [3.0, 3.0], [-3.0, 3.0]]);
        let strength = 0.1 * self.light_strength;
        let (warm, cool) = (Colour([1.0, 0.97, 0.86]), Colour([0.2, 0.16, 0.36]));
        canvas.paint(&whole, |x, y| {
            let towards = 0.6 * x * self.light_side - 0.6 * y;
            if towards > 0.0 {
                (warm, (strength * towards).min(1.0))
            } else {
                (cool, (-strength * towards).min(1.0))
            }
        });
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

    /// The mean colour of a rectangle given in fractions of the picture.
    fn mean_colour(image: &RgbImage, left: f32, top: f32, right: f32, bottom: f32) -> [f32; 3] {
        let side = image.width() as f32;
        let mut sum = [0.0; 3];
        let mut count = 0.0;
        for y in (top * side) as u32..(bottom * side) as u32 {
            for x in (left * side) as u32..(right * side) as u32 {
                for (channel, value) in sum.iter_mut().zip(image.get_pixel(x, y).0) {
                    *channel += f32::from(value);
                }
                count += 1.0;
            }
        }
        sum.map(|channel| channel / count)
    }

    fn spread(values: &[f32]) -> f32 {
        let mean = values.iter().sum::<f32>() / values.len() as f32;
        (values
            .iter()
            .map(|value| (value - mean).powi(2))
            .sum::<f32>()
            / values.len() as f32)
            .sqrt()
    }

    #[test]
    fn the_same_generator_state_gives_the_same_bytes() {
        assert_eq!(face(64, &mut generator(3)), face(64, &mut generator(3)));
        assert_ne!(face(64, &mut generator(3)), face(64, &mut generator(4)));
    }

    // Other systems may round a sine or a power otherwise.
    #[cfg(all(target_os = "linux", target_arch = "x86_64"))]
    #[test]
    fn the_bytes_of_drawn_faces_are_pinned() {
        // FNV-1a.
        let mut sum = 0xcbf2_9ce4_8422_2325_u64;
        let mut add = |picture: RgbImage| {
            for byte in picture.into_raw() {
                sum = (sum ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
            }
        };
        for seed in 0..12 {
            for size in [32, 64, 100] {
                add(face(size, &mut generator(seed)));
            }
        }
        assert_eq!(sum, 0x73d4_e5c9_4527_3072);
    }

    #[test]
    fn the_size_is_exact_and_limited() {
        for size in [32, 33, 64, 100, 128] {
            assert_eq!(face(size, &mut generator(1)).dimensions(), (size, size));
        }
        assert_eq!(face(0, &mut generator(1)).dimensions(), (32, 32));
        assert_eq!(face(5000, &mut generator(1)).dimensions(), (128, 128));
    }

    #[test]
    fn the_size_does_not_change_what_is_drawn_from_the_generator() {
        let (mut small, mut large) = (generator(6), generator(6));
        face(32, &mut small);
        face(96, &mut large);
        assert_eq!(small.random::<u64>(), large.random::<u64>());
    }

    #[test]
    fn no_two_faces_are_equal() {
        let mut rng = generator(12);
        let distinct: HashSet<Vec<u8>> = (0..40).map(|_| face(32, &mut rng).into_raw()).collect();
        assert_eq!(distinct.len(), 40);
    }

    #[test]
    fn hair_skin_and_background_vary() {
        let mut rng = generator(7);
        let faces: Vec<RgbImage> = (0..60).map(|_| face(32, &mut rng)).collect();
        let regions = [
            ("hair", [0.4, 0.2, 0.6, 0.28], 25.0),
            ("skin", [0.44, 0.66, 0.56, 0.72], 20.0),
            ("background", [0.0, 0.0, 0.1, 0.1], 8.0),
        ];
        for (name, [left, top, right, bottom], least) in regions {
            for channel in 0..3 {
                let values: Vec<f32> = faces
                    .iter()
                    .map(|image| mean_colour(image, left, top, right, bottom)[channel])
                    .collect();
                assert!(
                    spread(&values) > least,
                    "{name}, channel {channel}: spread {}",
                    spread(&values)
                );
            }
        }
    }

    #[test]
    fn every_kind_of_choice_occurs() {
        let mut rng = generator(5);
        let designs: Vec<Design> = (0..300).map(|_| Design::sample(&mut rng)).collect();
        let kinds =
            |name: fn(&Design) -> String| designs.iter().map(name).collect::<HashSet<_>>().len();
        assert_eq!(kinds(|design| format!("{:?}", design.hairstyle)), 9);
        assert_eq!(kinds(|design| format!("{:?}", design.fringe)), 4);
        assert_eq!(kinds(|design| format!("{:?}", design.mouth)), 5);
        assert_eq!(kinds(|design| format!("{:?}", design.glasses)), 3);
        assert_eq!(kinds(|design| format!("{:?}", design.ornament)), 5);
        assert_eq!(kinds(|design| format!("{:?}", design.collar)), 3);
    }

    #[test]
    fn eyes_contrast_with_the_cheeks_and_highlights_are_bright() {
        let mut rng = generator(9);
        for _ in 0..20 {
            let image = face(64, &mut rng);
            let mut brightest = 0;
            let mut darkest = 255;
            for y in 30..46 {
                for x in 14..50 {
                    let value = image
                        .get_pixel(x, y)
                        .0
                        .iter()
                        .map(|&v| u32::from(v))
                        .sum::<u32>()
                        / 3;
                    brightest = brightest.max(value);
                    darkest = darkest.min(value);
                }
            }
            assert!(brightest > 190 && darkest < 90, "{darkest}..{brightest}");
        }
    }

    #[test]
    fn spans_cover_exactly_their_length() {
        let mut row = [0.0; 6];
        cover_span(&mut row, 1.25, 4.5);
        assert_eq!(row, [0.0, 0.75, 1.0, 1.0, 0.5, 0.0]);
        let mut row = [0.0; 3];
        cover_span(&mut row, 1.25, 1.5);
        assert_eq!(row, [0.0, 0.25, 0.0]);
        let mut row = [0.0; 3];
        cover_span(&mut row, -4.0, 9.0);
        assert_eq!(row, [1.0; 3]);
    }
}
