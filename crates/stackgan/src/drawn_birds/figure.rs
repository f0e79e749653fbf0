//! What a bird is made of: outlines, put together for a shape, a bill and a crest and set into the picture.
//!
//! A bird is built facing right in units of its own, about 2 long, and then moved into the units of the drawing.

use super::{Attributes, Bill, Crest, Shape, Size};
use gan_core::drawing::{Point, Taper, between, ellipse, pen_outline, smooth_line, smooth_outline};
use gan_core::random::Stream;

/// What chance decides about a bird, before anything is painted.
pub(super) struct Pose {
    /// 1 for a bird that looks to the right, -1 to the left.
    facing: f32,
    /// `-1..=1`: how far its shape allows the bird to lean.
    lean: f32,
    /// `-1..=1`, of the room that the picture leaves.
    shift: Point,
    /// `-1..=1`: a little larger or smaller.
    growth: f32,
    /// `-1..=1`: slimmer or plumper.
    plumpness: f32,
    /// `0..=1`: how far the legs are in their stride.
    stride: f32,
    /// Towards the light, x and y.
    light: Point,
    /// `0..1` each: which colours bill and legs have, how red, green and blue of the plumage depart from its colour,
    /// and the iris.
    tones: [f32; 6],
}

impl Pose {
    pub(super) fn draw(stream: &mut Stream) -> Self {
        let of = stream.uniform(9, -1.0, 1.0);
        let tones = stream.uniform(6, 0.0, 1.0);
        // As in a field guide, birds differ little in how they stand.
        let angle = 0.3 * of[6];
        Self {
            facing: if of[0] < 0.0 { -1.0 } else { 1.0 },
            lean: 0.3 * of[1],
            shift: [0.4 * of[2], 0.4 * of[3]],
            growth: 0.5 * of[4],
            plumpness: of[5],
            stride: 0.5 + 0.2 * of[7],
            light: [angle.sin(), -angle.cos()],
            tones: [tones[0], tones[1], tones[2], tones[3], tones[4], tones[5]],
        }
    }
}

/// A surface between two edges that run from a root to a tip: a wing, a tail.
pub(super) struct Vane {
    pub(super) upper: Vec<Point>,
    pub(super) lower: Vec<Point>,
}

impl Vane {
    /// Between smooth lines, whose first and whose last positions are the same.
    fn new(upper: &[Point], lower: &[Point]) -> Self {
        Self {
            upper: smooth_line(upper),
            lower: smooth_line(lower),
        }
    }

    /// The closed outline, pointed at the root and at the tip.
    pub(super) fn outline(&self) -> Vec<Point> {
        let back = self.lower.iter().rev();
        self.upper.iter().chain(back).copied().collect()
    }

    /// The position a fraction `along` of the way to the tip and `across` from the upper to the lower edge.
    pub(super) fn at(&self, along: f32, across: f32) -> Point {
        mix(
            along_line(&self.upper, along),
            along_line(&self.lower, along),
            across,
        )
    }
}

/// A leg, from the body to the ground, and its toes.
pub(super) struct Leg {
    pub(super) line: Vec<Point>,
    pub(super) toes: Vec<Vec<Point>>,
    pub(super) width: f32,
}

/// An eye: where it is, how large, and whether it is ringed as an owl's.
pub(super) struct Eye {
    pub(super) centre: Point,
    pub(super) radius: f32,
    pub(super) ringed: bool,
}

/// A bird in the units of the drawing.
pub(super) struct Figure {
    pub(super) attributes: Attributes,
    /// Head and body.
    pub(super) body: Vec<Point>,
    pub(super) tail: Vane,
    pub(super) wing: Vane,
    /// The upper half of the bill, whose edges are its ridge and the mouth.
    pub(super) bill: Vane,
    pub(super) lower_bill: Vec<Point>,
    /// From the brow to the nape; none without a crest.
    pub(super) crest: Vec<Vane>,
    pub(super) legs: Vec<Leg>,
    pub(super) eyes: Vec<Eye>,
    /// The discs around an owl's eyes.
    pub(super) face: Vec<Vec<Point>>,
    /// The middle of the head, and its radius.
    pub(super) head: (Point, f32),
    /// The middle of the body, and its radius.
    pub(super) belly: (Point, f32),
    /// Where feet or water line are.
    pub(super) ground: Point,
    /// Units of the drawing for each unit of the bird.
    pub(super) scale: f32,
    pub(super) facing: f32,
    pub(super) light: Point,
    pub(super) tones: [f32; 6],
}

/// The measures of a shape, in units of the bird.
struct Build {
    /// Outline of head and body, clockwise from the crown.
    body: &'static [Point],
    tail: [&'static [Point]; 2],
    wing: [&'static [Point]; 2],
    head: (Point, f32),
    belly: (Point, f32),
    /// Where the bill begins, and its direction in radians below the horizontal.
    bill: (Point, f32),
    /// What bill and crest are measured in.
    feature: f32,
    /// Centre and radius of the eye that is seen, or of both.
    eyes: &'static [(Point, f32)],
    /// The lines of the legs from the body down to the foot.
    legs: &'static [&'static [Point]],
    leg_width: f32,
    ground: Point,
    /// The longer extent of body, tail and legs.
    length: f32,
    /// The furthest lean, in radians.
    lean: f32,
}

impl Build {
    fn of(shape: Shape) -> Self {
        match shape {
            Shape::Songbird => Self {
                body: &[
                    [0.36, -0.76],
                    [0.56, -0.71],
                    [0.69, -0.55],
                    [0.7, -0.36],
                    [0.64, -0.14],
                    [0.62, 0.1],
                    [0.48, 0.36],
                    [0.2, 0.52],
                    [-0.14, 0.5],
                    [-0.42, 0.36],
                    [-0.56, 0.18],
                    [-0.42, -0.02],
                    [-0.18, -0.22],
                    [0.02, -0.42],
                    [0.14, -0.64],
                ],
                tail: [
                    &[[-0.3, 0.04], [-0.62, 0.2], [-1.0, 0.48]],
                    &[
                        [-0.3, 0.04],
                        [-0.36, 0.3],
                        [-0.62, 0.48],
                        [-0.92, 0.64],
                        [-1.0, 0.48],
                    ],
                ],
                wing: [
                    &[
                        [0.26, -0.24],
                        [0.02, -0.28],
                        [-0.3, -0.08],
                        [-0.6, 0.16],
                        [-0.84, 0.34],
                    ],
                    &[
                        [0.26, -0.24],
                        [0.34, -0.02],
                        [0.18, 0.22],
                        [-0.16, 0.34],
                        [-0.5, 0.36],
                        [-0.84, 0.34],
                    ],
                ],
                head: ([0.4, -0.44], 0.31),
                belly: ([0.1, 0.08], 0.56),
                bill: ([0.68, -0.44], 0.08),
                feature: 0.3,
                eyes: &[([0.5, -0.5], 0.062)],
                legs: &[
                    &[[0.02, 0.46], [-0.02, 0.62], [0.06, 0.78]],
                    &[[0.22, 0.44], [0.2, 0.6], [0.28, 0.78]],
                ],
                leg_width: 0.05,
                ground: [0.16, 0.79],
                length: 1.72,
                lean: 0.16,
            },
            Shape::Wader => Self {
                body: &[
                    [0.4, -0.96],
                    [0.53, -0.9],
                    [0.59, -0.77],
                    [0.54, -0.62],
                    [0.44, -0.46],
                    [0.42, -0.28],
                    [0.44, -0.06],
                    [0.3, 0.14],
                    [0.02, 0.24],
                    [-0.32, 0.2],
                    [-0.6, 0.08],
                    [-0.72, -0.06],
                    [-0.46, -0.22],
                    [-0.14, -0.31],
                    [0.1, -0.34],
                    [0.22, -0.46],
                    [0.24, -0.64],
                    [0.24, -0.84],
                ],
                tail: [
                    &[[-0.5, -0.16], [-0.74, -0.1], [-0.98, 0.06]],
                    &[[-0.5, -0.16], [-0.6, 0.1], [-0.82, 0.14], [-0.98, 0.06]],
                ],
                wing: [
                    &[
                        [0.26, -0.16],
                        [0.04, -0.27],
                        [-0.28, -0.24],
                        [-0.6, -0.1],
                        [-0.88, 0.04],
                    ],
                    &[
                        [0.26, -0.16],
                        [0.2, 0.04],
                        [-0.06, 0.16],
                        [-0.44, 0.14],
                        [-0.88, 0.04],
                    ],
                ],
                head: ([0.4, -0.77], 0.19),
                belly: ([-0.08, -0.03], 0.42),
                bill: ([0.57, -0.76], 0.12),
                feature: 0.26,
                eyes: &[([0.46, -0.81], 0.046)],
                legs: &[
                    &[[-0.12, 0.16], [-0.16, 0.44], [-0.24, 0.58], [-0.14, 0.98]],
                    &[[0.08, 0.16], [0.1, 0.44], [0.04, 0.6], [0.14, 0.98]],
                ],
                leg_width: 0.06,
                ground: [0.02, 0.99],
                length: 1.95,
                lean: 0.06,
            },
            Shape::Duck => Self {
                body: &[
                    [0.5, -0.74],
                    [0.68, -0.68],
                    [0.79, -0.5],
                    [0.74, -0.31],
                    [0.65, -0.16],
                    [0.74, 0.0],
                    [0.78, 0.18],
                    [0.68, 0.34],
                    [0.4, 0.42],
                    [-0.1, 0.43],
                    [-0.56, 0.4],
                    [-0.84, 0.24],
                    [-0.98, 0.0],
                    [-0.78, -0.04],
                    [-0.4, -0.16],
                    [-0.02, -0.17],
                    [0.22, -0.18],
                    [0.3, -0.3],
                    [0.25, -0.5],
                    [0.33, -0.67],
                ],
                tail: [
                    &[[-0.62, -0.02], [-0.86, -0.08], [-1.14, -0.32]],
                    &[[-0.62, -0.02], [-0.82, 0.22], [-1.04, 0.06], [-1.14, -0.32]],
                ],
                wing: [
                    &[
                        [0.34, 0.02],
                        [0.12, -0.14],
                        [-0.3, -0.18],
                        [-0.62, -0.14],
                        [-0.98, -0.14],
                    ],
                    &[
                        [0.34, 0.02],
                        [0.28, 0.2],
                        [-0.02, 0.3],
                        [-0.42, 0.24],
                        [-0.72, 0.08],
                        [-0.98, -0.14],
                    ],
                ],
                head: ([0.5, -0.47], 0.28),
                belly: ([-0.05, 0.12], 0.58),
                bill: ([0.76, -0.44], 0.12),
                feature: 0.29,
                eyes: &[([0.6, -0.54], 0.058)],
                legs: &[],
                leg_width: 0.0,
                ground: [-0.08, 0.36],
                length: 1.93,
                lean: 0.04,
            },
            Shape::Owl => Self {
                body: &[
                    [0.06, -0.98],
                    [0.34, -0.92],
                    [0.52, -0.7],
                    [0.53, -0.44],
                    [0.45, -0.22],
                    [0.51, 0.08],
                    [0.46, 0.42],
                    [0.26, 0.66],
                    [-0.06, 0.7],
                    [-0.32, 0.54],
                    [-0.46, 0.2],
                    [-0.45, -0.1],
                    [-0.38, -0.3],
                    [-0.42, -0.52],
                    [-0.36, -0.78],
                    [-0.18, -0.94],
                ],
                tail: [
                    &[[-0.1, 0.46], [-0.02, 0.72], [-0.1, 1.02]],
                    &[[-0.1, 0.46], [-0.36, 0.6], [-0.34, 0.96], [-0.1, 1.02]],
                ],
                wing: [
                    &[
                        [-0.34, -0.26],
                        [-0.12, -0.16],
                        [0.06, 0.1],
                        [0.02, 0.44],
                        [-0.26, 0.86],
                    ],
                    &[
                        [-0.34, -0.26],
                        [-0.52, 0.0],
                        [-0.54, 0.34],
                        [-0.42, 0.66],
                        [-0.26, 0.86],
                    ],
                ],
                head: ([0.06, -0.56], 0.46),
                belly: ([0.04, 0.16], 0.52),
                bill: ([0.2, -0.44], 0.42),
                feature: 0.34,
                eyes: &[([0.0, -0.56], 0.125), ([0.37, -0.57], 0.11)],
                legs: &[
                    &[[0.02, 0.6], [0.03, 0.7], [0.04, 0.78]],
                    &[[0.28, 0.58], [0.29, 0.68], [0.3, 0.78]],
                ],
                leg_width: 0.09,
                ground: [0.17, 0.78],
                length: 2.0,
                lean: 0.08,
            },
        }
    }
}

impl Figure {
    pub(super) fn new(attributes: &Attributes, pose: &Pose) -> Self {
        let build = Build::of(attributes.shape);
        let (bill, lower_bill) = bill(attributes.bill, &build);
        let mut figure = Self {
            attributes: *attributes,
            body: smooth_outline(build.body),
            tail: Vane::new(build.tail[0], build.tail[1]),
            wing: Vane::new(build.wing[0], build.wing[1]),
            bill,
            lower_bill,
            crest: match attributes.crest {
                Crest::Absent => Vec::new(),
                Crest::Present => crest(&build),
            },
            legs: legs(&build, pose.stride),
            eyes: build
                .eyes
                .iter()
                .map(|&(centre, radius)| Eye {
                    centre,
                    radius,
                    ringed: attributes.shape == Shape::Owl,
                })
                .collect(),
            face: if attributes.shape == Shape::Owl {
                [([0.0, -0.53], 0.25), ([0.36, -0.53], 0.2)]
                    .map(|(centre, radius)| ellipse(centre, radius, 1.16 * radius))
                    .into()
            } else {
                Vec::new()
            },
            head: build.head,
            belly: build.belly,
            ground: build.ground,
            scale: 1.0,
            facing: pose.facing,
            light: pose.light,
            tones: pose.tones,
        };
        figure.stand(&build, pose);
        figure
    }

    /// Leans, mirrors and enlarges the bird, and moves it to where it is seen whole.
    fn stand(&mut self, build: &Build, pose: &Pose) {
        let (sine, cosine) = (build.lean * pose.lean).sin_cos();
        let plump = 1.0 + 0.05 * pose.plumpness;
        let ([x, y], facing) = (build.ground, pose.facing);
        // About the ground, where it keeps standing.
        self.move_by(1.0, |point| {
            let (across, up) = (point[0] - x, point[1] - y);
            [
                facing * (across * cosine - up * sine) * plump,
                (across * sine + up * cosine) / plump,
            ]
        });
        let share = match self.attributes.size {
            Size::Small => 0.44,
            Size::Medium => 0.58,
            Size::Large => 0.75,
        };
        let [left, top, right, bottom] = self.extent();
        let whole = (right - left).max(bottom - top);
        let scale = (2.0 * share * (1.0 + 0.04 * pose.growth) / build.length).min(1.9 / whole);
        let place = |low: f32, high: f32, shift: f32| {
            let (low, high) = (-0.96 - low * scale, 0.96 - high * scale);
            between(low, high, 0.5) + shift * (0.5 * (high - low)).min(0.26)
        };
        let [x, y] = [
            place(left, right, pose.shift[0]),
            place(top, bottom, pose.shift[1]),
        ];
        self.move_by(scale, |point| [point[0] * scale + x, point[1] * scale + y]);
    }

    /// Moves every position, and enlarges every width.
    fn move_by(&mut self, scale: f32, to: impl Fn(Point) -> Point) {
        let vanes = [&mut self.tail, &mut self.wing, &mut self.bill];
        let vanes = vanes.into_iter().chain(&mut self.crest);
        let legs = self.legs.iter_mut();
        let lines = vanes
            .flat_map(|vane| [&mut vane.upper, &mut vane.lower])
            .chain([&mut self.body, &mut self.lower_bill])
            .chain(&mut self.face)
            .chain(legs.flat_map(|leg| {
                leg.width *= scale;
                std::iter::once(&mut leg.line).chain(&mut leg.toes)
            }));
        for point in lines.flatten() {
            *point = to(*point);
        }
        for eye in &mut self.eyes {
            eye.centre = to(eye.centre);
            eye.radius *= scale;
        }
        for (centre, radius) in [&mut self.head, &mut self.belly] {
            *centre = to(*centre);
            *radius *= scale;
        }
        self.ground = to(self.ground);
        self.scale *= scale;
    }

    /// Left, top, right and bottom of everything that is painted of the bird.
    pub(super) fn extent(&self) -> [f32; 4] {
        let vanes = [&self.tail, &self.wing, &self.bill];
        let outlines = vanes.into_iter().chain(&self.crest).map(Vane::outline);
        let legs = self.legs.iter().flat_map(|leg| {
            let toes = leg.toes.iter();
            toes.map(|toe| pen_outline(toe, leg.width, Taper::End))
                .chain([pen_outline(&leg.line, leg.width, Taper::Never)])
        });
        let mut extent = [f32::MAX, f32::MAX, f32::MIN, f32::MIN];
        let all = outlines
            .chain(legs)
            .chain([self.body.clone(), self.lower_bill.clone()]);
        for [x, y] in all.flatten() {
            extent[0] = extent[0].min(x);
            extent[1] = extent[1].min(y);
            extent[2] = extent[2].max(x);
            extent[3] = extent[3].max(y);
        }
        // Half the width of the lines around the outlines.
        let rim = 0.5 * self.line_width();
        [
            extent[0] - rim,
            extent[1] - rim,
            extent[2] + rim,
            extent[3] + rim,
        ]
    }

    /// The width of the lines around outlines, in units of the drawing.
    pub(super) fn line_width(&self) -> f32 {
        0.018 * self.scale
    }
}

/// The upper and the lower half of a bill.
fn bill(kind: Bill, build: &Build) -> (Vane, Vec<Point>) {
    // Along the bill and down from its middle, in features.
    let (ridge, mouth, below): (&[Point], &[Point], &[Point]) = match kind {
        Bill::Short => (
            &[[-0.1, -0.3], [0.3, -0.24], [0.66, 0.06]],
            &[[-0.1, 0.08], [0.3, 0.06], [0.66, 0.06]],
            &[[0.56, 0.07], [0.3, 0.24], [-0.1, 0.28]],
        ),
        Bill::Long => (
            &[[-0.1, -0.24], [0.5, -0.14], [1.1, 0.0], [1.8, 0.16]],
            &[[-0.1, 0.04], [0.5, 0.04], [1.1, 0.1], [1.8, 0.16]],
            &[[1.69, 0.17], [1.05, 0.2], [0.5, 0.2], [-0.1, 0.24]],
        ),
        Bill::Hooked => (
            &[
                [-0.12, -0.46],
                [0.4, -0.5],
                [0.86, -0.22],
                [1.06, 0.3],
                [0.92, 0.9],
            ],
            &[
                [-0.12, 0.12],
                [0.3, 0.1],
                [0.62, 0.16],
                [0.78, 0.44],
                [0.92, 0.9],
            ],
            &[[0.66, 0.24], [0.6, 0.42], [0.34, 0.5], [-0.12, 0.42]],
        ),
    };
    let ([x, y], angle) = build.bill;
    let (sine, cosine) = angle.sin_cos();
    // Larger than in nature: the form has to be told in a picture of 64 pixels.
    let size = 1.3 * build.feature;
    let place = |line: &[Point]| -> Vec<Point> {
        line.iter()
            .map(|&[along, down]| {
                let (along, down) = (along * size, down * size);
                [
                    x + along * cosine - down * sine,
                    y + along * sine + down * cosine,
                ]
            })
            .collect()
    };
    let mut lower = smooth_line(&place(&mouth[..mouth.len() - 1]));
    lower.extend(smooth_line(&place(below)));
    (Vane::new(&place(ridge), &place(mouth)), lower)
}

/// Plumes that stand in a fan on the crown.
fn crest(build: &Build) -> Vec<Vane> {
    let ([x, y], radius) = build.head;
    // Angles from straight up towards the nape, and lengths in features.
    [
        (-0.3, 0.75),
        (0.05, 1.1),
        (0.4, 1.25),
        (0.75, 1.15),
        (1.1, 0.9),
    ]
    .map(|(angle, length): (f32, f32)| {
        let at =
            |angle: f32, distance: f32| [x - distance * angle.sin(), y - distance * angle.cos()];
        let length = radius + 1.25 * length * build.feature;
        let half = 0.22 * build.feature / radius;
        let (root, tip) = (at(angle, 0.8 * radius), at(angle + 0.3, length));
        let middle = 0.45 * radius + 0.55 * length;
        Vane::new(
            &[root, at(angle + 0.1 - half, middle), tip],
            &[root, at(angle + 0.14 + half, middle), tip],
        )
    })
    .into()
}

/// Legs and their toes, one leg ahead of the other by the stride.
fn legs(build: &Build, stride: f32) -> Vec<Leg> {
    build
        .legs
        .iter()
        .zip([-1.0, 1.0])
        .map(|(line, side)| {
            let mut line = line.to_vec();
            let count = line.len() as f32;
            for (index, point) in line.iter_mut().enumerate() {
                point[0] += 0.06 * side * stride * index as f32 / count;
            }
            let [x, y] = line[line.len() - 1];
            let reach = 0.1 + 0.6 * build.leg_width;
            let toes = [(1.0, 0.25), (1.15, -0.05), (-0.7, 0.1)];
            let toes = toes.map(|(ahead, down)| {
                smooth_line(&[
                    [x - 0.1 * ahead * reach, y - 0.1 * reach],
                    [
                        x + 0.6 * ahead * reach,
                        y - 0.06 * reach + 0.4 * down * reach,
                    ],
                    [x + ahead * reach, y + down * reach],
                ])
            });
            Leg {
                line: smooth_line(&line),
                toes: toes.into(),
                width: build.leg_width,
            }
        })
        .collect()
}

/// The position a fraction of the way along a line.
fn along_line(line: &[Point], fraction: f32) -> Point {
    let place = fraction.clamp(0.0, 1.0) * (line.len() - 1) as f32;
    let first = (place as usize).min(line.len() - 2);
    mix(line[first], line[first + 1], place - first as f32)
}

/// The position a fraction of the way from one to another.
fn mix(from: Point, to: Point, fraction: f32) -> Point {
    [
        between(from[0], to[0], fraction),
        between(from[1], to[1], fraction),
    ]
}
