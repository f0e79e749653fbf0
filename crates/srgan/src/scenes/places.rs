//! The places that scenes show.

use super::canvas::{Canvas, Colour, Point, View, ellipse, hex, lit, mix, rectangle, stroke};
use super::material::{Kind, Material};
use super::noise::{grain, natural, noise, ramp};
use super::things::{bright, ink_on, material};
use super::writing::{Hand, word};
use super::{between, happens, one_of};
use gan_core::random::Stream;
use image::RgbImage;
use rand::RngExt;
use std::f32::consts::{FRAC_PI_2, TAU};

/// Every place.
pub(super) const ALL: [&str; 10] = [
    "street",
    "shelf",
    "wall",
    "posters",
    "plants",
    "cloth",
    "fur",
    "still life",
    "landscape",
    "girders",
];

/// Draws a scene at one of the places.
pub(super) fn draw(place: usize, side: u32, rng: &mut Stream) -> RgbImage {
    let upright = matches!(ALL[place], "street" | "landscape" | "shelf" | "still life");
    let turn = if upright { 0.09 } else { 0.5 };
    let lean = if upright { 0.12 } else { 0.3 };
    let view = View::new(
        between(rng, -turn, turn),
        between(rng, 1.0, 1.5),
        [between(rng, -lean, lean), between(rng, -lean, lean)],
    );
    let mut canvas = Canvas::new(side, view);
    match ALL[place] {
        "street" => street(rng, &mut canvas),
        "shelf" => shelf(rng, &mut canvas),
        "wall" => wall(rng, &mut canvas),
        "posters" => posters(rng, &mut canvas),
        "plants" => plants(rng, &mut canvas),
        "cloth" => cloth(rng, &mut canvas),
        "fur" => fur(rng, &mut canvas),
        "still life" => still_life(rng, &mut canvas),
        "landscape" => landscape(rng, &mut canvas),
        _ => girders(rng, &mut canvas),
    }
    let light = [between(rng, -0.35, 0.35), between(rng, -0.35, 0.2)];
    canvas.picture(light, between(rng, 0.88, 1.12), rng.random())
}

/// The cosine and the sine of an angle.
fn direction(angle: f32) -> Point {
    let (sine, cosine) = angle.sin_cos();
    [cosine, sine]
}

/// Beyond what is seen of a scene, on any side.
const OUTSIDE: f32 = 0.35;

fn street(rng: &mut Stream, canvas: &mut Canvas) {
    canvas.sky(0.6, rng);
    let ground = between(rng, 0.84, 0.94);
    let mut left = -OUTSIDE - between(rng, 0.0, 0.2);
    while left < 1.0 + OUTSIDE {
        let width = between(rng, 0.22, 0.42);
        house(
            canvas,
            [left, between(rng, 0.18, 0.42)],
            [width, ground],
            rng,
        );
        left += width;
    }
    let mut stones = material(Kind::Stone, rng);
    stones.size = 0.04;
    canvas.surface(
        rectangle(-OUTSIDE, ground, 1.0 + 2.0 * OUTSIDE, 0.04),
        &stones,
    );
    let road = if happens(rng, 0.5) {
        Material {
            size: 0.03,
            ..material(Kind::Gravel, rng)
        }
    } else {
        Material {
            base: hex(0x55565C),
            second: hex(0x3C3D42),
            size: 0.01,
            ..material(Kind::Plaster, rng)
        }
    };
    canvas.surface(
        rectangle(-OUTSIDE, ground + 0.04, 1.0 + 2.0 * OUTSIDE, 0.6),
        &road,
    );
    if happens(rng, 0.6) {
        let x = between(rng, 0.1, 0.9);
        let iron = hex(0x20242A);
        let top = ground - between(rng, 0.45, 0.6);
        canvas.fill(
            &stroke(&[[x, ground + 0.03], [x, top]], 0.018, 0.6),
            |_, _| (iron, 1.0),
        );
        canvas.flat(ellipse([x, top - 0.03], [0.028, 0.036]), hex(0xFFF0C0));
        canvas.line(
            &[
                [x - 0.035, top],
                [x + 0.035, top],
                [x, top - 0.07],
                [x - 0.035, top],
            ],
            0.008,
            iron,
        );
    }
    for _ in 0..rng.random_range(0..4) {
        let [from, to] = [between(rng, 0.0, 0.5), between(rng, 0.0, 0.5)];
        let hang = between(rng, 0.02, 0.12);
        let wire: Vec<Point> = (0..=10)
            .map(|step| step as f32 / 10.0)
            .map(|t| {
                [
                    1.6 * t - 0.3,
                    from + (to - from) * t + 4.0 * hang * t * (1.0 - t),
                ]
            })
            .collect();
        canvas.line(&wire, between(rng, 0.003, 0.006), hex(0x1C1C20));
    }
    if happens(rng, 0.45) {
        let foot = [between(rng, 0.0, 1.0), ground + 0.05];
        tree(canvas, foot, between(rng, 0.35, 0.6), rng);
    }
}

/// A house from its eaves at `left` and `top`, `width` wide, down to `ground`.
fn house(canvas: &mut Canvas, [left, top]: Point, [width, ground]: Point, rng: &mut Stream) {
    let kind = one_of(
        rng,
        [Kind::Plaster, Kind::Brick, Kind::Plaster, Kind::Stone],
    );
    let mut face = material(kind, rng);
    face.size *= 0.6;
    let mut roof = material(Kind::Roof, rng);
    roof.size *= 0.7;
    let peak = between(rng, 0.08, 0.2);
    let over = 0.02;
    let outline = if happens(rng, 0.5) {
        vec![
            [left - over, top],
            [left + 0.5 * width, top - peak],
            [left + width + over, top],
        ]
    } else {
        vec![
            [left - over, top],
            [left + 0.05, top - 0.6 * peak],
            [left + width - 0.05, top - 0.6 * peak],
            [left + width + over, top],
        ]
    };
    canvas.surface(outline, &roof);
    canvas.surface(rectangle(left, top, width, ground - top), &face);
    canvas.shade(rectangle(left, top, width, 0.025), 0.4);
    canvas.flat(
        rectangle(left - over, top - 0.008, width + 2.0 * over, 0.016),
        lit(face.base, 0.6),
    );
    let shop = happens(rng, 0.45);
    let foot = ground - if shop { 0.2 } else { 0.03 };
    let (columns, rows) = (rng.random_range(2..5), rng.random_range(1..4));
    let [cell, row_height] = [width / columns as f32, (foot - top - 0.04) / rows as f32];
    let [wide, high] = [
        cell * between(rng, 0.42, 0.62),
        row_height * between(rng, 0.5, 0.68),
    ];
    let open = happens(rng, 0.35);
    let shutters = Material {
        size: 0.006,
        turn: [0.0, 1.0],
        base: bright(rng),
        ..material(Kind::Stripes, rng)
    };
    let shutters = Material {
        second: lit(shutters.base, 0.6),
        ..shutters
    };
    for row in 0..rows {
        for column in 0..columns {
            let x = left + (column as f32 + 0.5) * cell - 0.5 * wide;
            let y = top + 0.05 + row as f32 * row_height;
            if open {
                for x in [x - 0.3 * wide, x + 1.02 * wide] {
                    canvas.surface(rectangle(x, y, 0.28 * wide, high), &shutters);
                }
            }
            canvas.window([x, y], [wide, high], rng);
        }
    }
    if shop {
        canvas.window(
            [left + 0.08 * width, ground - 0.13],
            [0.5 * width, 0.11],
            rng,
        );
        let door = material(Kind::Planks, rng);
        let door = Material {
            turn: [0.0, 1.0],
            size: 0.02,
            ..door
        };
        canvas.surface(
            rectangle(left + 0.68 * width, ground - 0.14, 0.2 * width, 0.14),
            &door,
        );
        canvas.sign([left + 0.1 * width, ground - 0.2], [0.8 * width, 0.05], rng);
        if happens(rng, 0.5) {
            let awning = material(Kind::Stripes, rng);
            let awning = Material {
                size: 0.018,
                ..awning
            };
            let [a, b] = [left + 0.04 * width, left + 0.62 * width];
            canvas.surface(
                vec![
                    [a, ground - 0.15],
                    [b, ground - 0.15],
                    [b + 0.02, ground - 0.1],
                    [a - 0.02, ground - 0.1],
                ],
                &awning,
            );
            canvas.shade(rectangle(a, ground - 0.1, b - a, 0.02), 0.35);
        }
    }
}

fn tree(canvas: &mut Canvas, foot: Point, height: f32, rng: &mut Stream) {
    let bark = hex(one_of(rng, [0x4A3A2C, 0x5C5248, 0x6A4C38]));
    branch(
        canvas,
        foot,
        -FRAC_PI_2,
        0.36 * height,
        0.06 * height,
        4,
        bark,
        rng,
    );
    let green = hex(one_of(rng, [0x3F6B2F, 0x6B7A2A, 0xB8862A, 0x2F5A3A]));
    let crown = [foot[0], foot[1] - 0.72 * height];
    for _ in 0..rng.random_range(220..420) {
        let (angle, far) = (between(rng, 0.0, TAU), between(rng, 0.0, 1.0).sqrt());
        let place = [
            crown[0] + 0.4 * height * far * angle.cos(),
            crown[1] + 0.34 * height * far * angle.sin(),
        ];
        let lightness =
            0.75 + 0.5 * (crown[1] + 0.2 * height - place[1]) / height + between(rng, -0.15, 0.2);
        let tip = [
            place[0] + between(rng, -0.03, 0.03),
            place[1] + between(rng, -0.03, 0.03),
        ];
        canvas.blade(place, tip, 0.1, 0.014, lit(green, lightness));
    }
}

/// A branch with its twigs.
#[expect(clippy::too_many_arguments, reason = "it calls itself with other ones")]
fn branch(
    canvas: &mut Canvas,
    foot: Point,
    angle: f32,
    length: f32,
    width: f32,
    order: u32,
    bark: Colour,
    rng: &mut Stream,
) {
    let tip = [
        foot[0] + length * angle.cos(),
        foot[1] + length * angle.sin(),
    ];
    canvas.fill(&stroke(&[foot, tip], width, 0.65), |x, y| {
        (lit(bark, 0.8 + 0.5 * noise(7, 300.0 * x, 60.0 * y)), 1.0)
    });
    if order > 0 {
        for way in [-1.0, 1.0] {
            let turn = way * between(rng, 0.25, 0.6) + between(rng, -0.1, 0.1);
            branch(
                canvas,
                tip,
                angle + turn,
                length * between(rng, 0.65, 0.82),
                0.62 * width,
                order - 1,
                bark,
                rng,
            );
        }
    }
}

fn shelf(rng: &mut Stream, canvas: &mut Canvas) {
    let wood = material(one_of(rng, [Kind::Wood, Kind::Planks]), rng);
    let back = Material {
        base: lit(wood.base, 0.55),
        second: lit(wood.second, 0.5),
        ..wood
    };
    canvas.cover(|x, y| back.at(x, y));
    let rows = rng.random_range(2..4);
    let room = 1.1 / rows as f32;
    for row in 0..=rows {
        let floor = -0.05 + (row as f32 + 1.0) * room;
        let ceiling = floor - room + 0.035;
        canvas.shade(
            rectangle(-OUTSIDE, ceiling, 1.0 + 2.0 * OUTSIDE, 0.06),
            0.45,
        );
        let mut x = -OUTSIDE - between(rng, 0.0, 0.05);
        let mut lean = 0.0;
        while x < 1.0 + OUTSIDE {
            if happens(rng, 0.05) {
                let radius = between(rng, 0.05, 0.09);
                let (one, two) = (bright(rng), bright(rng));
                canvas.ball([x + radius, floor - radius], radius, |_, v| {
                    if (v * 4.0).rem_euclid(1.0) < 0.3 {
                        two
                    } else {
                        one
                    }
                });
                x += 2.2 * radius;
                continue;
            }
            let width = between(rng, 0.028, 0.075);
            let height = (room - 0.05) * between(rng, 0.62, 0.97);
            if lean == 0.0 && happens(rng, 0.1) {
                lean = between(rng, -0.25, 0.25);
            } else if happens(rng, 0.5) {
                lean = 0.0;
            }
            x += (lean * height).abs() * 0.5;
            book(canvas, [x, floor], [width, height], lean, rng);
            x += width + (lean * height).abs() * 0.5 + 0.002;
        }
        let board = rectangle(-OUTSIDE, floor, 1.0 + 2.0 * OUTSIDE, 0.035);
        canvas.surface(board, &wood);
        canvas.shade(
            rectangle(-OUTSIDE, floor + 0.03, 1.0 + 2.0 * OUTSIDE, 0.006),
            0.5,
        );
    }
}

/// A book that stands at `x` on `floor`; `lean` is how far its top is aside, of its height.
fn book(
    canvas: &mut Canvas,
    [x, floor]: Point,
    [width, height]: Point,
    lean: f32,
    rng: &mut Stream,
) {
    let cover = lit(bright(rng), between(rng, 0.65, 1.0));
    let ink = ink_on(cover, rng);
    // From the foot upwards.
    let at = |aside: f32, up: f32| [x + aside + lean * up, floor - up];
    let part =
        |from: f32, to: f32| vec![at(0.0, to), at(width, to), at(width, from), at(0.0, from)];
    let (seed, cloth): (u32, bool) = (rng.random(), happens(rng, 0.5));
    canvas.fill(&[part(0.0, height)], |px, py| {
        let across = (px - x - lean * (floor - py)) / width;
        let round = 0.55 + 0.5 * (std::f32::consts::PI * across.clamp(0.0, 1.0)).sin();
        let thread = if cloth {
            0.9 + 0.2 * grain(seed, (px * 300.0) as i32, (py * 300.0) as i32)
        } else {
            1.0
        };
        (lit(cover, round * thread), 1.0)
    });
    let band = ink;
    for _ in 0..rng.random_range(0..3) {
        let from = height * one_of(rng, [0.06, 0.1, 0.84, 0.9]);
        canvas.fill(&[part(from, from + between(rng, 0.006, 0.02))], |_, _| {
            (band, 0.9)
        });
    }
    let word = word(rng);
    let hand = Hand {
        place: [0.0; 2],
        height: width * between(rng, 0.4, 0.62),
        width: between(rng, 0.55, 0.75),
        weight: between(rng, 0.12, 0.2),
        angle: FRAC_PI_2 - lean,
        slant: 0.0,
    };
    let room = 0.66 * height;
    let letter = (hand.height * room / hand.length(word.len())).min(hand.height);
    let hand = Hand {
        height: letter,
        ..hand
    };
    let place = at(
        0.5 * (width + letter),
        0.5 * (height + hand.length(word.len())),
    );
    canvas.write(&word, Hand { place, ..hand }, ink);
}

fn wall(rng: &mut Stream, canvas: &mut Canvas) {
    let kind = one_of(
        rng,
        [
            Kind::Brick,
            Kind::Brick,
            Kind::Stone,
            Kind::Planks,
            Kind::Plaster,
            Kind::Roof,
        ],
    );
    let face = material(kind, rng);
    canvas.cover(|x, y| face.at(x, y));
    let count = rng.random_range(1..3);
    for number in 0..count {
        let width = between(rng, 0.2, 0.36);
        let place = [
            0.08 + 0.5 * number as f32 + between(rng, -0.08, 0.08),
            between(rng, 0.1, 0.4),
        ];
        match rng.random_range(0..4) {
            0 => canvas.sign(place, [1.4 * width, 0.4 * width], rng),
            1 => {
                let door = Material {
                    turn: [0.0, 1.0],
                    ..material(Kind::Planks, rng)
                };
                let [x, y] = place;
                canvas.shade(rectangle(x - 0.02, y - 0.02, width + 0.04, 0.9), 0.6);
                canvas.surface(rectangle(x, y, width, 0.9), &door);
                let iron = hex(0x1E1E22);
                for bar in [0.1, 0.45] {
                    canvas.line(&[[x, y + bar], [x + 0.8 * width, y + bar]], 0.014, iron);
                }
                canvas.line(
                    &(0..=12)
                        .map(|step| step as f32 * TAU / 12.0)
                        .map(|t| [x + 0.85 * width + 0.02 * t.cos(), y + 0.3 + 0.02 * t.sin()])
                        .collect::<Vec<_>>(),
                    0.007,
                    iron,
                );
            }
            _ => canvas.window(place, [width, 1.3 * width], rng),
        }
    }
    if happens(rng, 0.65) {
        // Ivy from a corner.
        let green = hex(one_of(rng, [0x3A6B30, 0x587A2E, 0x8A3A2A]));
        let from = [between(rng, -0.1, 1.1), one_of(rng, [-0.05, 1.05])];
        for _ in 0..rng.random_range(5..11) {
            let mut at = from;
            let mut angle = (0.5 - at[1]).atan2(0.5 - at[0]) + between(rng, -0.8, 0.8);
            let mut vine = vec![at];
            for _ in 0..10 {
                angle += between(rng, -0.4, 0.4);
                at = [at[0] + 0.05 * angle.cos(), at[1] + 0.05 * angle.sin()];
                vine.push(at);
            }
            canvas.line(&vine, 0.005, hex(0x4A3A2A));
            for foot in &vine {
                for _ in 0..2 {
                    let tone = lit(green, between(rng, 0.7, 1.25));
                    let length = between(rng, 0.035, 0.075);
                    canvas.leaf(*foot, angle + between(rng, -1.6, 1.6), length, tone, rng);
                }
            }
        }
    }
}

fn posters(rng: &mut Stream, canvas: &mut Canvas) {
    let ground = material(
        one_of(
            rng,
            [
                Kind::Planks,
                Kind::Plaster,
                Kind::Brick,
                Kind::Metal,
                Kind::Gravel,
                Kind::Weave,
            ],
        ),
        rng,
    );
    canvas.cover(|x, y| ground.at(x, y));
    for number in 0..rng.random_range(3..6) {
        let view = View::new(
            between(rng, -0.45, 0.45),
            between(rng, 0.8, 1.3),
            [between(rng, -0.2, 0.2), between(rng, -0.2, 0.2)],
        );
        canvas.look(view);
        let [left, top] = [between(rng, -0.2, 0.6), between(rng, -0.2, 0.55)];
        let [width, height] = [between(rng, 0.35, 0.7), between(rng, 0.4, 0.75)];
        let paper = material(Kind::Paper, rng);
        let ink = paper.second;
        canvas.shade(rectangle(left + 0.012, top + 0.016, width, height), 0.4);
        canvas.surface(rectangle(left, top, width, height), &paper);
        let [x, y, wide, high] = [
            left + 0.08 * width,
            top + 0.06 * height,
            0.84 * width,
            0.88 * height,
        ];
        match (number + rng.random_range(0..2)) % 4 {
            0 => {
                canvas.sign([x, y], [wide, 0.2 * high], rng);
                canvas.print(
                    [x, y + 0.28 * high],
                    [wide, 0.7 * high],
                    between(rng, 0.013, 0.026),
                    ink,
                    rng,
                );
            }
            1 => {
                let columns = rng.random_range(2..4) as f32;
                for column in 0..columns as usize {
                    let place = [x + column as f32 * wide / columns, y];
                    canvas.print(
                        place,
                        [0.88 * wide / columns, high],
                        between(rng, 0.012, 0.02),
                        ink,
                        rng,
                    );
                }
            }
            2 => {
                // Rings and rays.
                let middle = [x + 0.5 * wide, y + 0.45 * high];
                let (one, two) = (bright(rng), bright(rng));
                let rays = rng.random_range(9..40) as f32;
                canvas.fill(&[rectangle(x, y, wide, 0.9 * high)], |px, py| {
                    let turn = (py - middle[1]).atan2(px - middle[0]) / TAU;
                    (
                        if (turn * rays).rem_euclid(1.0) < 0.5 {
                            one
                        } else {
                            two
                        },
                        1.0,
                    )
                });
                for ring in (1..6).rev() {
                    let colour = if ring % 2 == 0 { one } else { paper.base };
                    canvas.flat(ellipse(middle, [0.075 * ring as f32 * wide; 2]), colour);
                }
            }
            _ => {
                // A curve over a grid.
                let grid: Vec<Vec<Point>> = (0..=12)
                    .flat_map(|step| {
                        let t = step as f32 / 12.0;
                        [
                            stroke(&[[x + t * wide, y], [x + t * wide, y + high]], 0.003, 1.0),
                            stroke(&[[x, y + t * high], [x + wide, y + t * high]], 0.003, 1.0),
                        ]
                    })
                    .flatten()
                    .collect();
                canvas.fill(&grid, |_, _| (ink, 0.5));
                let seed = rng.random();
                for curve in 0..3 {
                    let points: Vec<Point> = (0..=24)
                        .map(|step| step as f32 / 24.0)
                        .map(|t| {
                            [
                                x + t * wide,
                                y + high * natural(seed, 4.0 * t, curve as f32 * 7.0, 2),
                            ]
                        })
                        .collect();
                    canvas.line(&points, 0.008, bright(rng));
                }
            }
        }
        canvas.flat(
            ellipse([left + 0.5 * width, top + 0.025], [0.012; 2]),
            bright(rng),
        );
    }
}

fn plants(rng: &mut Stream, canvas: &mut Canvas) {
    // Out of focus.
    let (one, two) = one_of(
        rng,
        [
            (0x2F4A22, 0x9CB46A),
            (0x4A4A2A, 0xD8C890),
            (0x1E3A3A, 0x7CA8A0),
            (0x3A2A3A, 0xC89CA8),
        ],
    );
    let seed = rng.random();
    canvas.cover_smoothly(|x, y| {
        mix(
            hex(one),
            hex(two),
            ramp(0.25, 0.8, natural(seed, 2.2 * x, 2.2 * y, 2)),
        )
    });
    for _ in 0..rng.random_range(3..10) {
        let (middle, radius) = (
            [between(rng, 0.0, 1.0), between(rng, 0.0, 0.7)],
            between(rng, 0.03, 0.1),
        );
        let glow = mix(hex(two), [1.0, 1.0, 0.9], 0.5);
        canvas.fill(&[ellipse(middle, [radius; 2])], |x, y| {
            let far = ((x - middle[0]).powi(2) + (y - middle[1]).powi(2)).sqrt() / radius;
            (glow, 0.35 * ramp(1.0, 0.75, far))
        });
    }
    let green = hex(one_of(rng, [0x4A8A3A, 0x6B9A3A, 0x2F6A3F, 0x8A9A4A]));
    let kind = rng.random_range(0..3);
    if kind != 1 {
        for _ in 0..rng.random_range(220..420) {
            let x = between(rng, -OUTSIDE, 1.0 + OUTSIDE);
            let height = between(rng, 0.25, 0.8);
            let tip = [x + between(rng, -0.22, 0.22), 1.12 - height];
            let tone = lit(
                mix(green, hex(0xD8C870), between(rng, 0.0, 0.35)),
                between(rng, 0.5, 1.2),
            );
            canvas.blade(
                [x, 1.25],
                tip,
                between(rng, -0.15, 0.15),
                between(rng, 0.006, 0.018),
                tone,
            );
        }
    }
    if kind != 0 {
        for _ in 0..rng.random_range(24..60) {
            let foot = [between(rng, -0.1, 1.1), between(rng, 0.0, 1.15)];
            let tone = lit(green, between(rng, 0.55, 1.25));
            let length = between(rng, 0.14, 0.4);
            canvas.leaf(foot, between(rng, -2.8, -0.3), length, tone, rng);
        }
    }
    let colour = hex(one_of(
        rng,
        [0xF4F0F0, 0xE8B020, 0xD04878, 0x8858B8, 0xE86830],
    ));
    for _ in 0..rng.random_range(1..7) {
        let middle = [between(rng, 0.1, 0.9), between(rng, 0.1, 0.75)];
        let size = between(rng, 0.05, 0.15);
        canvas.blade(
            [middle[0] + between(rng, -0.1, 0.1), 1.2],
            middle,
            0.06,
            0.014,
            lit(green, 0.8),
        );
        let petals = rng.random_range(6..18);
        for petal in 0..petals {
            let angle = (petal as f32 + between(rng, -0.2, 0.2)) * TAU / petals as f32;
            let tone = lit(colour, between(rng, 0.8, 1.05));
            canvas.leaf(middle, angle, size, tone, rng);
        }
        let heart = ellipse(middle, [0.28 * size; 2]);
        canvas.fill(&[heart], |x, y| {
            (
                lit(hex(0xC88A1A), 0.6 + 0.7 * noise(seed, 160.0 * x, 160.0 * y)),
                1.0,
            )
        });
    }
}

fn cloth(rng: &mut Stream, canvas: &mut Canvas) {
    let kinds = [Kind::Weave, Kind::Plaid, Kind::Knit, Kind::Stripes];
    for layer in 0..rng.random_range(2..4) {
        let kind = one_of(rng, kinds);
        let stuff = Material {
            turn: direction(between(rng, -1.5, 1.5)),
            ..material(kind, rng)
        };
        let (seed, folds, turn): (u32, f32, f32) = (
            rng.random(),
            between(rng, 1.0, 3.5),
            between(rng, -1.0, 1.0),
        );
        let paint = |x: f32, y: f32| {
            let along = x + turn * y;
            let across = y - turn * x;
            // Folds: the cloth and its light both follow them.
            let height = noise(seed, folds * along, 0.6 * folds * across);
            let slope = noise(seed, folds * along + 0.15, 0.6 * folds * across) - height;
            let shift = 0.05 * height;
            lit(stuff.at(x + shift, y + shift), 0.92 + 2.2 * slope)
        };
        if layer == 0 {
            canvas.cover(paint);
            continue;
        }
        // A piece with a seam along its edge.
        let edge: Vec<Point> = {
            let (start, rise) = (between(rng, 0.2, 0.75), between(rng, -0.5, 0.5));
            (0..=12)
                .map(|step| step as f32 / 12.0)
                .map(|t| {
                    [
                        1.9 * t - 0.45,
                        start + rise * (t - 0.5) + 0.1 * noise(seed, 3.0 * t, 0.3),
                    ]
                })
                .collect()
        };
        let mut outline = edge.clone();
        outline.extend([[1.5, 1.6], [-0.5, 1.6]]);
        let shadow = outline.iter().map(|[x, y]| [x - 0.01, y - 0.022]).collect();
        canvas.shade(shadow, 0.35);
        canvas.fill(&[outline], |x, y| (paint(x, y), 1.0));
        let thread = ink_on(stuff.base, rng);
        for pair in edge.windows(2) {
            for stitch in 0..7 {
                let at = |t: f32| {
                    [
                        pair[0][0] + t * (pair[1][0] - pair[0][0]),
                        pair[0][1] + t * (pair[1][1] - pair[0][1]) + 0.025,
                    ]
                };
                let t = stitch as f32 / 7.0;
                canvas.line(&[at(t), at(t + 0.09)], 0.006, thread);
            }
        }
        if happens(rng, 0.5) {
            let button = bright(rng);
            for number in 0..4 {
                let x = 0.1 + 0.27 * number as f32;
                let y = edge[((x + 0.45) / 1.9 * 12.0) as usize][1] + 0.09;
                canvas.shade(ellipse([x + 0.006, y + 0.008], [0.034; 2]), 0.4);
                canvas.flat(ellipse([x, y], [0.034; 2]), button);
                canvas.flat(
                    ellipse([x - 0.002, y - 0.002], [0.026; 2]),
                    lit(button, 0.85),
                );
                for [dx, dy] in [
                    [-0.008, -0.008],
                    [0.008, -0.008],
                    [0.008, 0.008],
                    [-0.008, 0.008],
                ] {
                    canvas.flat(ellipse([x + dx, y + dy], [0.0045; 2]), hex(0x141414));
                }
            }
        }
    }
}

fn fur(rng: &mut Stream, canvas: &mut Canvas) {
    let (dark, pale) = one_of(
        rng,
        [
            (0x2A1C12, 0xD89848),
            (0x18181C, 0xE8E4DC),
            (0x4A2C1C, 0xB87850),
            (0x3A3A40, 0xA8A8AC),
            (0x5A2C1A, 0xD8B080),
        ],
    );
    let (seed, turn): (u32, f32) = (rng.random(), between(rng, 0.0, TAU));
    let stripes = one_of(rng, [0.0, 6.0, 9.0, 14.0]);
    let [cosine, sine] = direction(turn);
    let colour = |x: f32, y: f32| {
        let coarse = natural(seed, 1.5 * x, 1.5 * y, 2);
        let pattern = (stripes * (x * sine - y * cosine) + 4.0 * coarse).sin();
        let share = if stripes == 0.0 {
            coarse
        } else {
            ramp(-0.4, 0.4, pattern)
        };
        mix(hex(dark), hex(pale), share)
    };
    canvas.cover_smoothly(|x, y| lit(colour(x, y), 0.5));
    let long = between(rng, 0.07, 0.16);
    let width = between(rng, 0.003, 0.007);
    let rows = 44;
    for row in 0..rows {
        for _ in 0..40 {
            let foot = [
                between(rng, -0.2, 1.2),
                -0.2 + 1.4 * (row as f32 + between(rng, 0.0, 1.0)) / rows as f32,
            ];
            let angle = turn
                + 3.5 * noise(seed ^ 2, 1.3 * foot[0], 1.3 * foot[1])
                + between(rng, -0.25, 0.25);
            let tip = [foot[0] + long * angle.cos(), foot[1] + long * angle.sin()];
            let tone = lit(colour(foot[0], foot[1]), between(rng, 0.6, 1.3));
            canvas.blade(foot, tip, between(rng, -0.12, 0.12), width, tone);
        }
    }
    if happens(rng, 0.4) {
        // The eyes of whom it belongs to.
        let iris = hex(one_of(rng, [0xD8A020, 0x78A848, 0x6898B8]));
        let apart = between(rng, 0.16, 0.24);
        for x in [0.5 - apart, 0.5 + apart] {
            let middle = [x, 0.45];
            canvas.flat(ellipse(middle, [0.095, 0.08]), hex(0x120C0A));
            canvas.fill(&[ellipse(middle, [0.078, 0.066])], |px, py| {
                let (dx, dy) = (px - middle[0], py - middle[1]);
                let ray = noise(seed, 9.0 * dy.atan2(dx), 90.0 * (dx * dx + dy * dy).sqrt());
                (lit(iris, 0.55 + 0.7 * ray), 1.0)
            });
            canvas.flat(ellipse(middle, [0.026, 0.055]), hex(0x0A0808));
            canvas.flat(ellipse([x - 0.025, 0.42], [0.014; 2]), [1.0; 3]);
        }
    }
}

fn still_life(rng: &mut Stream, canvas: &mut Canvas) {
    let back = material(
        one_of(
            rng,
            [Kind::Plaster, Kind::Weave, Kind::Stripes, Kind::Brick],
        ),
        rng,
    );
    let edge = between(rng, 0.55, 0.68);
    canvas.fill(
        &[rectangle(
            -OUTSIDE,
            -OUTSIDE,
            1.0 + 2.0 * OUTSIDE,
            edge + OUTSIDE,
        )],
        |x, y| (lit(back.at(x, y), 0.75), 1.0),
    );
    let (one, two) = (
        hex(one_of(rng, [0xEDE6D6, 0xD8C8A8, 0xFFFFFF])),
        bright(rng),
    );
    let squares = between(rng, 5.0, 11.0);
    let wood = material(Kind::Planks, rng);
    let is_checked = happens(rng, 0.5);
    canvas.fill(
        &[rectangle(-OUTSIDE, edge - 0.002, 1.0 + 2.0 * OUTSIDE, 1.0)],
        |x, y| {
            // A floor that leads away from the viewer.
            let depth = 0.25 / (y - edge + 0.12);
            let [u, v] = [(x - 0.5) * depth + 0.5, depth];
            let colour = if is_checked {
                let is_one = ((squares * u).floor() + (squares * v).floor()).rem_euclid(2.0) < 1.0;
                if is_one { one } else { two }
            } else {
                wood.at(u, v)
            };
            (lit(colour, (1.35 - 0.25 * depth).clamp(0.4, 1.05)), 1.0)
        },
    );
    let mut x = between(rng, -0.05, 0.15);
    while x < 1.0 {
        let foot = edge + between(rng, 0.08, 0.3);
        let size = between(rng, 0.09, 0.17);
        let (paint, seed): (Colour, u32) = (bright(rng), rng.random());
        match rng.random_range(0..4) {
            0 => {
                let second = bright(rng);
                let bands = between(rng, 2.0, 6.0);
                canvas.ball([x + size, foot - size], size, |u, v| {
                    if ((u + 0.4 * v) * bands).rem_euclid(1.0) < 0.5 {
                        paint
                    } else {
                        second
                    }
                });
            }
            1 => canvas.ball([x + size, foot - size], size, |u, v| {
                lit(paint, 0.75 + 0.4 * natural(seed, 6.0 * u, 6.0 * v, 3))
            }),
            2 => {
                // A jar with a label.
                let [wide, high] = [1.3 * size, between(rng, 2.0, 3.2) * size];
                canvas.shade(
                    ellipse([x + 0.6 * wide, foot], [0.7 * wide, 0.12 * wide]),
                    0.4,
                );
                let shine = |at: f32| {
                    0.35 + 0.75 * ramp(1.0, 0.0, (at - 0.3).abs() * 1.5)
                        + 0.5 * ramp(0.05, 0.0, (at - 0.2).abs())
                };
                let body = [rectangle(x, foot - high, wide, high)];
                canvas.fill(&body, |px, _| (lit(paint, shine((px - x) / wide)), 1.0));
                canvas.flat(
                    ellipse([x + 0.5 * wide, foot - high], [0.5 * wide, 0.09 * wide]),
                    lit(paint, 1.15),
                );
                canvas.flat(
                    ellipse([x + 0.5 * wide, foot - high], [0.4 * wide, 0.06 * wide]),
                    lit(paint, 0.3),
                );
                canvas.sign(
                    [x + 0.08 * wide, foot - 0.6 * high],
                    [0.84 * wide, 0.26 * high],
                    rng,
                );
            }
            _ => {
                // A box, seen from a corner.
                let [deep, high] = [0.5 * size, between(rng, 1.2, 2.2) * size];
                let stuff = material(
                    one_of(rng, [Kind::Wood, Kind::Weave, Kind::Stripes, Kind::Metal]),
                    rng,
                );
                let front = vec![
                    [x, foot - high],
                    [x + 1.4 * size, foot - high + 0.04],
                    [x + 1.4 * size, foot],
                    [x, foot - 0.05],
                ];
                let beside = vec![
                    [x + 1.4 * size, foot - high + 0.04],
                    [x + 1.4 * size + deep, foot - high - 0.03],
                    [x + 1.4 * size + deep, foot - 0.08],
                    [x + 1.4 * size, foot],
                ];
                let lid = vec![
                    [x, foot - high],
                    [x + deep, foot - high - 0.07],
                    [x + 1.4 * size + deep, foot - high - 0.03],
                    [x + 1.4 * size, foot - high + 0.04],
                ];
                canvas.surface(front, &stuff);
                canvas.fill(&[beside], |px, py| (lit(stuff.at(px, py), 0.5), 1.0));
                canvas.fill(&[lid], |px, py| (lit(stuff.at(px, py), 1.2), 1.0));
            }
        }
        x += 2.0 * size + between(rng, 0.0, 0.12);
    }
}

fn landscape(rng: &mut Stream, canvas: &mut Canvas) {
    canvas.sky(0.5, rng);
    let horizon = between(rng, 0.45, 0.62);
    let haze = hex(one_of(rng, [0xB8C8D8, 0xD8C8B8, 0xA8B8C8]));
    for range in 0..3 {
        let seed: u32 = rng.random();
        let high = between(rng, 0.35, 0.62) * (1.0 - 0.25 * range as f32);
        let crest = |x: f32| horizon + 0.03 - high * natural(seed, 2.5 * x, 0.5, 5).powi(2);
        let mut outline: Vec<Point> = (0..=90)
            .map(|step| step as f32 / 90.0 * 1.8 - 0.4)
            .map(|x| [x, crest(x)])
            .collect();
        outline.extend([[1.4, horizon + 0.05], [-0.4, horizon + 0.05]]);
        let rock = hex(one_of(rng, [0x6A6A70, 0x5A6A58, 0x7A6A5A]));
        let near = 0.5 + 0.2 * range as f32;
        canvas.fill(&[outline], |x, y| {
            let relief = natural(seed ^ 4, 12.0 * x + 2.0 * y, 15.0 * y, 2)
                - natural(seed ^ 4, 12.0 * x + 2.0 * y + 0.25, 15.0 * y, 2);
            let cold = ramp(0.02, 0.07, horizon - y - 0.45 * high);
            let snow = if cold > 0.0 {
                cold * ramp(0.3, 0.5, noise(seed ^ 8, 25.0 * x, 25.0 * y))
            } else {
                0.0
            };
            (
                mix(
                    haze,
                    mix(lit(rock, 0.95 + 3.2 * relief), [0.95; 3], 0.8 * snow),
                    near,
                ),
                1.0,
            )
        });
    }
    let seed: u32 = rng.random();
    let is_lake = happens(rng, 0.5);
    let (near, far) = if is_lake {
        one_of(rng, [(0x16324A, 0x7C9CB4), (0x1C3C48, 0x88A0A4)])
    } else {
        one_of(
            rng,
            [
                (0x4A6A28, 0x9AA860),
                (0x8A7A3A, 0xC8B878),
                (0x5A7A3A, 0x88A070),
            ],
        )
    };
    canvas.fill(&[rectangle(-0.4, horizon, 1.8, 1.2)], |x, y| {
        let close = ((y - horizon) / (1.0 - horizon)).clamp(0.02, 1.5);
        let [u, v] = [(x - 0.5) * 10.0 / close.max(0.3), 9.0 / close.max(0.1)];
        let ripple = if is_lake {
            noise(seed, 0.5 * u, 3.0 * v)
        } else {
            natural(seed, u, v, 3)
        };
        (
            lit(
                mix(hex(far), hex(near), close.min(1.0)),
                0.72 + 0.5 * ripple,
            ),
            1.0,
        )
    });
    for _ in 0..rng.random_range(8..26) {
        let close = between(rng, 0.0, 1.0).powi(2);
        let foot = [
            between(rng, -0.2, 1.2),
            horizon + 0.02 + if is_lake { 0.0 } else { 0.2 * close },
        ];
        let height = 0.07 + 0.2 * close;
        if is_lake {
            // What the water shows of it.
            let [x, y] = foot;
            let wide = 0.22 * height;
            canvas.shade(
                vec![[x - wide, y], [x, y + 0.9 * height], [x + wide, y]],
                0.28,
            );
        }
        conifer(canvas, foot, height, rng);
    }
    if !is_lake {
        let fence = hex(one_of(rng, [0x5A4A3A, 0xE8E4DC, 0x3A3A3E]));
        let y = between(rng, 0.78, 0.9);
        for post in 0..14 {
            let x = -0.35 + 0.13 * post as f32;
            canvas.flat(rectangle(x, y - 0.09, 0.016, 0.13), fence);
        }
        for wire in 0..3 {
            let y = y - 0.075 + 0.03 * wire as f32;
            canvas.line(&[[-0.4, y], [1.4, y + 0.004]], 0.005, lit(fence, 0.85));
        }
    }
    for _ in 0..rng.random_range(60..200) {
        let x = between(rng, -0.3, 1.3);
        let height = between(rng, 0.05, 0.2);
        let tone = lit(
            mix(hex(0x5A7A30), hex(0xC8B068), between(rng, 0.0, 1.0)),
            between(rng, 0.5, 1.1),
        );
        canvas.blade(
            [x, 1.15],
            [x + between(rng, -0.06, 0.06), 1.08 - height],
            0.1,
            0.008,
            tone,
        );
    }
}

fn conifer(canvas: &mut Canvas, [x, foot]: Point, height: f32, rng: &mut Stream) {
    let green = lit(
        hex(one_of(rng, [0x2A4A30, 0x1E3A2A, 0x3A5A38])),
        between(rng, 0.8, 1.3),
    );
    canvas.line(
        &[[x, foot], [x, foot - height]],
        0.03 * height,
        hex(0x3A2C20),
    );
    let tiers = 9;
    for tier in 0..tiers {
        let t = tier as f32 / tiers as f32;
        let y = foot - height * (0.12 + 0.86 * t);
        let wide = 0.24 * height * (1.05 - t);
        for way in [-1.0, 1.0] {
            let droop = wide * between(rng, 0.25, 0.5);
            let long = wide * between(rng, 0.8, 1.2);
            canvas.blade(
                [x, y - 0.04 * height],
                [x + way * long, y + droop],
                0.05 * way,
                0.11 * height,
                lit(green, 0.8 + 0.5 * t + 0.15 * way),
            );
        }
    }
}

fn girders(rng: &mut Stream, canvas: &mut Canvas) {
    canvas.sky(1.0, rng);
    let steel = material(Kind::Metal, rng);
    let beam = |canvas: &mut Canvas, from: Point, to: Point, width: f32| {
        canvas.fill(&stroke(&[from, to], width, 1.0), |x, y| {
            (steel.at(x, y), 1.0)
        });
        // A flange in the light.
        let lift = 0.3 * width;
        canvas.fill(
            &stroke(
                &[[from[0], from[1] - lift], [to[0], to[1] - lift]],
                0.2 * width,
                1.0,
            ),
            |x, y| (lit(steel.at(x, y), 1.3), 0.8),
        );
    };
    for layer in 0..rng.random_range(2..4) {
        let wide = between(rng, 0.014, 0.035) * (1.0 + 0.4 * layer as f32);
        let top = between(rng, 0.0, 0.6);
        let high = between(rng, 0.18, 0.38);
        let slope = between(rng, -0.35, 0.35);
        let bays = rng.random_range(4..9);
        let at = |bay: i32, low: f32| {
            let x = -0.4 + 1.8 * bay as f32 / bays as f32;
            [x, top + slope * x + low * high]
        };
        for bay in 0..bays {
            beam(canvas, at(bay, 0.0), at(bay, 1.0), 0.7 * wide);
            beam(canvas, at(bay, 0.0), at(bay + 1, 1.0), 0.5 * wide);
            beam(canvas, at(bay, 1.0), at(bay + 1, 0.0), 0.5 * wide);
        }
        beam(canvas, at(0, 0.0), at(bays, 0.0), wide);
        beam(canvas, at(0, 1.0), at(bays, 1.0), wide);
        for bay in 0..=bays {
            for low in [0.0, 1.0] {
                let [x, y] = at(bay, low);
                canvas.surface(
                    rectangle(x - wide, y - wide, 2.0 * wide, 2.0 * wide),
                    &steel,
                );
                for [dx, dy] in [[-0.6, -0.6], [0.6, -0.6], [0.6, 0.6], [-0.6, 0.6]] {
                    let rivet = [x + dx * wide, y + dy * wide];
                    canvas.flat(ellipse(rivet, [0.18 * wide; 2]), lit(steel.base, 0.6));
                }
            }
        }
    }
    for _ in 0..rng.random_range(3..12) {
        let [from, to] = [
            [between(rng, -0.3, 1.3), -0.3],
            [between(rng, -0.3, 1.3), 1.3],
        ];
        canvas.line(&[from, to], between(rng, 0.003, 0.007), hex(0x202228));
    }
    if happens(rng, 0.5) {
        let place = [between(rng, 0.05, 0.4), between(rng, 0.1, 0.6)];
        canvas.sign(
            place,
            [between(rng, 0.35, 0.55), between(rng, 0.12, 0.2)],
            rng,
        );
    }
}
