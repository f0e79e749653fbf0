//! What stands in scenes.

use super::canvas::{Canvas, Colour, Point, ellipse, hex, lit, mix, rectangle, stroke};
use super::material::{Kind, Material};
use super::noise::{natural, ramp};
use super::writing::{Hand, letters, word};
use super::{between, happens, one_of};
use rand::{Rng, RngExt};

/// Pairs of colours for painted walls, wood, cloth.
pub(super) fn material(kind: Kind, rng: &mut impl Rng) -> Material {
    let (base, second) = match kind {
        Kind::Plaster => one_of(
            rng,
            [
                (0xE4D4B4, 0xC9B48C),
                (0xD8A48C, 0xB98470),
                (0xB9C7C9, 0x8FA3A6),
                (0xEEE6D8, 0xCFC4B0),
                (0x9DAF92, 0x7C8F74),
            ],
        ),
        Kind::Brick => one_of(
            rng,
            [
                (0xA4523C, 0x6E3428),
                (0x8C5A44, 0xC08860),
                (0xB8A284, 0x8C7858),
                (0x7A3B33, 0x3F2A2A),
            ],
        ),
        Kind::Stone => one_of(
            rng,
            [
                (0xA7A196, 0x6F6C66),
                (0xB5A78C, 0x857A66),
                (0x8D949B, 0x5C6269),
            ],
        ),
        Kind::Wood | Kind::Planks => one_of(
            rng,
            [
                (0xC79A62, 0x7C4F2A),
                (0x8E6240, 0x4A2E1C),
                (0xDDBE8C, 0xA67C4C),
                (0x9A948A, 0x5D5851),
            ],
        ),
        Kind::Weave | Kind::Plaid | Kind::Knit => one_of(
            rng,
            [
                (0x2F4B7C, 0xD8CDB8),
                (0x8C2F39, 0x2B2B33),
                (0xD9C9A3, 0xA67F52),
                (0x3F6B55, 0xE0D6B8),
                (0x6B4A7A, 0xC9A9C4),
                (0xC9D3DA, 0x4C6478),
            ],
        ),
        Kind::Roof => one_of(
            rng,
            [
                (0xB4553A, 0x7C7A4C),
                (0x6C6E78, 0x55604C),
                (0x9C6A4A, 0x5E5A3C),
            ],
        ),
        Kind::Gravel => one_of(
            rng,
            [
                (0x9A948C, 0x5A544E),
                (0xB8A88C, 0x7A6A58),
                (0x77808A, 0xA9A39A),
            ],
        ),
        Kind::Stripes => one_of(
            rng,
            [
                (0xF2EEE4, 0xB8323A),
                (0xF2EEE4, 0x2E6A8C),
                (0xF0E2B8, 0x3C7850),
                (0x2A2A30, 0xEDEAE2),
            ],
        ),
        Kind::Paper => one_of(
            rng,
            [
                (0xF4F0E4, 0x202024),
                (0xE9DFC6, 0x4A2A20),
                (0xFFFFFF, 0x1C2C50),
            ],
        ),
        Kind::Metal => one_of(
            rng,
            [
                (0x8E979E, 0x7A4A30),
                (0x4C6A78, 0x8A5838),
                (0x6E7468, 0x5A4632),
            ],
        ),
    };
    let size = match kind {
        Kind::Plaster | Kind::Paper => between(rng, 0.02, 0.06),
        Kind::Brick => between(rng, 0.028, 0.06),
        Kind::Stone => between(rng, 0.05, 0.12),
        Kind::Wood => between(rng, 0.035, 0.09),
        Kind::Planks => between(rng, 0.04, 0.09),
        Kind::Weave => between(rng, 0.009, 0.03),
        Kind::Plaid => between(rng, 0.01, 0.03),
        Kind::Knit => between(rng, 0.018, 0.045),
        Kind::Roof => between(rng, 0.022, 0.05),
        Kind::Gravel => between(rng, 0.015, 0.05),
        Kind::Stripes => between(rng, 0.012, 0.04),
        Kind::Metal => between(rng, 0.03, 0.09),
    };
    Material {
        kind,
        base: hex(base),
        second: hex(second),
        size,
        turn: [1.0, 0.0],
        seed: rng.random(),
    }
}

/// A strong colour.
pub(super) fn bright(rng: &mut impl Rng) -> Colour {
    hex(one_of(
        rng,
        [
            0xC0392B, 0x1F618D, 0xD4A017, 0x1E8449, 0x6C3483, 0xCA6F1E, 0x17202A, 0xF2F3F4,
            0x117A65, 0x943126, 0xB9770E, 0x2E4053, 0xD98880, 0x7FB3D5,
        ],
    ))
}

/// Whether a colour is light.
fn is_light(colour: Colour) -> bool {
    0.3 * colour[0] + 0.6 * colour[1] + 0.1 * colour[2] > 0.5
}

/// A colour that is read on another one.
pub(super) fn ink_on(ground: Colour, rng: &mut impl Rng) -> Colour {
    hex(if is_light(ground) {
        one_of(rng, [0x1B1B1F, 0x7B1E22, 0x1D3461, 0x21452B])
    } else {
        one_of(rng, [0xF7F3E8, 0xF4D35E, 0xFFFFFF, 0xE8C9A0])
    })
}

impl Canvas {
    /// Fills an outline with a material.
    pub(super) fn surface(&mut self, outline: Vec<Point>, material: &Material) {
        self.fill(&[outline], |x, y| (material.at(x, y), 1.0));
    }

    /// A line of one colour.
    pub(super) fn line(&mut self, points: &[Point], width: f32, colour: Colour) {
        self.fill(&stroke(points, width, 1.0), |_, _| (colour, 1.0));
    }

    /// Writes a word.
    pub(super) fn write(&mut self, word: &[u8], hand: Hand, colour: Colour) {
        self.fill(&hand.outlines(word), |_, _| (colour, 1.0));
    }

    /// The sky down to `foot`, with clouds.
    pub(super) fn sky(&mut self, foot: f32, rng: &mut impl Rng) {
        let (high, low) = one_of(
            rng,
            [
                (0x3F7CC0, 0xC4DCEC),
                (0x6C8CA8, 0xDCD8D0),
                (0x28487C, 0xF0C090),
                (0x9CB4C4, 0xE4E8E8),
            ],
        );
        let (seed, cover, size) = (
            rng.random(),
            between(rng, 0.42, 0.68),
            between(rng, 1.6, 4.0),
        );
        self.cover_smoothly(|x, y| {
            let clear = mix(hex(high), hex(low), (y / foot).clamp(0.0, 1.0));
            let cloud = natural(seed, size * x, 1.8 * size * y, 4);
            let shade = 0.86 + 0.6 * (cloud - cover).max(0.0);
            mix(
                clear,
                lit([1.0, 0.99, 0.97], shade.min(1.0)),
                0.9 * ramp(cover, cover + 0.16, cloud),
            )
        });
    }

    /// A window with frame, bars and what is seen in its panes.
    pub(super) fn window(
        &mut self,
        [left, top]: Point,
        [width, height]: Point,
        rng: &mut impl Rng,
    ) {
        let frame = hex(one_of(rng, [0xF4F1EA, 0x4A2F22, 0x2F4A3F, 0xE0D9C8]));
        let edge = 0.07 * width.min(height);
        self.shade(
            rectangle(
                left - edge,
                top - edge,
                width + 2.8 * edge,
                height + 2.6 * edge,
            ),
            0.4,
        );
        self.flat(
            rectangle(
                left - edge,
                top - edge,
                width + 2.0 * edge,
                height + 2.0 * edge,
            ),
            frame,
        );
        let (seed, glow) = (rng.random(), happens(rng, 0.2));
        let (dark, pale) = if glow {
            (0x6A4A20, 0xF4C870)
        } else {
            (0x1E2A34, 0xA8C0CC)
        };
        let tilt = between(rng, -1.0, 1.0);
        self.fill(&[rectangle(left, top, width, height)], |x, y| {
            let [u, v] = [(x - left) / width, (y - top) / height];
            let seen = natural(seed, 2.0 * u, 2.0 * v, 3);
            let streak = ramp(0.06, 0.0, (u + tilt * v - 0.6).abs()) * 0.3;
            (
                mix(
                    hex(dark),
                    hex(pale),
                    ramp(0.35, 0.75, seen + 0.3 * (0.5 - v)) + streak,
                ),
                1.0,
            )
        });
        let (columns, rows) = (rng.random_range(1..4), rng.random_range(1..4));
        for column in 1..columns {
            let x = left + width * column as f32 / columns as f32;
            self.flat(rectangle(x - 0.3 * edge, top, 0.6 * edge, height), frame);
        }
        for row in 1..rows {
            let y = top + height * row as f32 / rows as f32;
            self.flat(rectangle(left, y - 0.3 * edge, width, 0.6 * edge), frame);
        }
        self.flat(
            rectangle(
                left - 2.0 * edge,
                top + height + edge,
                width + 4.0 * edge,
                1.2 * edge,
            ),
            lit(frame, 0.85),
        );
        self.shade(
            rectangle(
                left - 2.0 * edge,
                top + height + 2.2 * edge,
                width + 4.0 * edge,
                1.2 * edge,
            ),
            0.3,
        );
    }

    /// A board with a word on it.
    pub(super) fn sign(&mut self, [left, top]: Point, [width, height]: Point, rng: &mut impl Rng) {
        let ground = bright(rng);
        let ink = ink_on(ground, rng);
        self.shade(rectangle(left + 0.012, top + 0.014, width, height), 0.4);
        self.flat(rectangle(left, top, width, height), ground);
        let border = 0.06 * height;
        if happens(rng, 0.6) {
            let corners = [
                [left + border, top + border],
                [left + width - border, top + border],
                [left + width - border, top + height - border],
                [left + border, top + height - border],
                [left + border, top + border],
            ];
            self.line(&corners, 0.5 * border, ink);
        }
        let word = word(rng);
        let hand = Hand {
            place: [0.0; 2],
            height: 0.55 * height,
            width: between(rng, 0.5, 0.8),
            weight: between(rng, 0.09, 0.2),
            angle: 0.0,
            slant: one_of(rng, [0.0, 0.0, 0.2]),
        };
        let room = 0.86 * width - 4.0 * border;
        let height_of_letters = (hand.height * room / hand.length(word.len())).min(hand.height);
        let hand = Hand {
            height: height_of_letters,
            ..hand
        };
        let place = [
            left + 0.5 * (width - hand.length(word.len())),
            top + 0.5 * (height - hand.height),
        ];
        self.write(&word, Hand { place, ..hand }, ink);
    }

    /// Lines of small print in a box.
    pub(super) fn print(
        &mut self,
        [left, top]: Point,
        [width, height]: Point,
        size: f32,
        ink: Colour,
        rng: &mut impl Rng,
    ) {
        let hand = Hand {
            place: [left, top],
            height: size,
            width: between(rng, 0.5, 0.65),
            weight: between(rng, 0.12, 0.17),
            angle: 0.0,
            slant: 0.0,
        };
        let mut y = top;
        while y + size <= top + height {
            let mut x = left;
            let end = left
                + width
                    * if happens(rng, 0.15) {
                        between(rng, 0.3, 0.8)
                    } else {
                        1.0
                    };
            loop {
                let count = rng.random_range(2..9);
                let length = hand.length(count);
                if x + length > end {
                    break;
                }
                let word = letters(rng, count);
                self.write(
                    &word,
                    Hand {
                        place: [x, y],
                        ..hand
                    },
                    ink,
                );
                x += length + 0.9 * hand.width * size;
            }
            y += 1.75 * size;
        }
    }

    /// A leaf with its veins, from its stalk on.
    pub(super) fn leaf(
        &mut self,
        foot: Point,
        angle: f32,
        length: f32,
        green: Colour,
        rng: &mut impl Rng,
    ) {
        let (sine, cosine) = angle.sin_cos();
        let at = |along: f32, aside: f32| {
            [
                foot[0] + length * (along * cosine - aside * sine),
                foot[1] + length * (along * sine + aside * cosine),
            ]
        };
        let broad = between(rng, 0.16, 0.3);
        let bend = between(rng, -0.15, 0.15);
        let side = |along: f32| broad * (std::f32::consts::PI * along.powf(0.75)).sin();
        let middle = |along: f32| bend * along * along;
        let mut outline: Vec<Point> = (0..=8)
            .map(|step| step as f32 / 8.0)
            .map(|t| at(t, middle(t) - side(t)))
            .collect();
        outline.extend(
            (1..8)
                .rev()
                .map(|step| step as f32 / 8.0)
                .map(|t| at(t, middle(t) + side(t))),
        );
        let shine = between(rng, 0.75, 1.15);
        self.fill(&[outline], |x, y| {
            let [dx, dy] = [x - foot[0], y - foot[1]];
            let [along, aside] =
                [cosine * dx + sine * dy, cosine * dy - sine * dx].map(|at| at / length);
            let off = aside - bend * along * along;
            let half = if off > 0.0 { 1.12 } else { 0.84 };
            (lit(green, shine * half * (0.85 + 0.25 * along)), 1.0)
        });
        let pale = mix(green, [0.9, 0.95, 0.7], 0.4);
        let spine: Vec<Point> = (0..=4)
            .map(|step| step as f32 / 4.2)
            .map(|t| at(t, middle(t)))
            .collect();
        self.fill(&stroke(&spine, 0.03 * length, 0.3), |_, _| (pale, 0.9));
        if length > 0.1 {
            let veins: Vec<Vec<Point>> = (1..6)
                .flat_map(|step| [(step, -0.8), (step, 0.8)])
                .flat_map(|(step, way)| {
                    let t = step as f32 / 7.0;
                    let end = t + 0.14;
                    stroke(
                        &[at(t, middle(t)), at(end, middle(end) + way * side(end))],
                        0.012 * length,
                        0.5,
                    )
                })
                .collect();
            self.fill(&veins, |_, _| (pale, 0.6));
        }
    }

    /// A blade of grass, a hair: a bent line that ends in a point.
    pub(super) fn blade(&mut self, foot: Point, tip: Point, bend: f32, width: f32, colour: Colour) {
        let [dx, dy] = [tip[0] - foot[0], tip[1] - foot[1]];
        let at = |t: f32| {
            let aside = bend * 4.0 * t * (1.0 - t);
            [foot[0] + t * dx - aside * dy, foot[1] + t * dy + aside * dx]
        };
        let (mut left, mut right) = (Vec::with_capacity(9), Vec::with_capacity(4));
        let long = (dx * dx + dy * dy).sqrt().max(1e-6);
        let [nx, ny] = [-dy / long, dx / long].map(|at| 0.5 * width * at);
        for step in 0..4 {
            let t = step as f32 / 4.0;
            let ([x, y], narrow) = (at(t), 1.0 - t * t);
            left.push([x + nx * narrow, y + ny * narrow]);
            right.push([x - nx * narrow, y - ny * narrow]);
        }
        left.push(tip);
        left.extend(right.into_iter().rev());
        self.flat(left, colour);
    }

    /// A ball that is lit from the upper left.
    pub(super) fn ball(&mut self, middle: Point, radius: f32, paint: impl Fn(f32, f32) -> Colour) {
        let foot = [middle[0] + 0.25 * radius, middle[1] + 0.93 * radius];
        self.shade(ellipse(foot, [1.05 * radius, 0.2 * radius]), 0.4);
        self.fill(&[ellipse(middle, [radius; 2])], |x, y| {
            let [u, v] = [(x - middle[0]) / radius, (y - middle[1]) / radius];
            let depth = (1.0 - u * u - v * v).max(0.0).sqrt();
            let light = (0.62 * depth - 0.45 * u - 0.6 * v).max(0.0);
            let gloss = ramp(0.93, 0.99, light);
            // What is on it is seen bent.
            let bent = 1.0 / (0.35 + 0.65 * depth);
            (
                mix(
                    lit(paint(u * bent, v * bent), 0.25 + 0.85 * light),
                    [1.0; 3],
                    0.8 * gloss,
                ),
                1.0,
            )
        });
    }
}
