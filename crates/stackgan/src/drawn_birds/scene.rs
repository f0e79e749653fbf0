//! What is around the bird: sky, leaves, grass or water, blurred as behind a long lens, and what it stands on.

use super::figure::Figure;
use super::plumage::{distance, plain};
use super::{Colour, Shape};
use gan_core::drawing::{
    Canvas, Colour as Rgb, Ink, Point, Taper, WHITE, between, ellipse, pen_outline, ramp,
    smooth_line, smooth_ramp,
};
use gan_core::random::Stream;

/// Where a bird is.
#[derive(Clone, Copy, PartialEq)]
enum Place {
    /// On a branch before the sky.
    Sky,
    /// On a branch before leaves.
    Leaves,
    /// On the ground, in grass.
    Meadow,
    /// In shallow water or on it.
    Water,
}

/// Two colours between which each part of the surroundings varies.
type Pair = [Rgb; 2];

const SKIES: [Pair; 5] = [
    [Rgb([0.36, 0.62, 0.9]), Rgb([0.8, 0.91, 0.98])],
    [Rgb([0.66, 0.73, 0.8]), Rgb([0.9, 0.91, 0.92])],
    [Rgb([0.5, 0.48, 0.7]), Rgb([0.98, 0.78, 0.62])],
    [Rgb([0.13, 0.3, 0.56]), Rgb([0.42, 0.62, 0.8])],
    [Rgb([0.84, 0.8, 0.72]), Rgb([0.96, 0.94, 0.88])],
];

const LEAVES: [Pair; 5] = [
    [Rgb([0.08, 0.21, 0.1]), Rgb([0.3, 0.48, 0.2])],
    [Rgb([0.5, 0.64, 0.34]), Rgb([0.8, 0.87, 0.58])],
    [Rgb([0.42, 0.2, 0.09]), Rgb([0.86, 0.58, 0.24])],
    [Rgb([0.07, 0.17, 0.2]), Rgb([0.24, 0.42, 0.42])],
    [Rgb([0.62, 0.7, 0.66]), Rgb([0.86, 0.9, 0.86])],
];

const GRASSES: [Pair; 4] = [
    [Rgb([0.2, 0.36, 0.12]), Rgb([0.46, 0.62, 0.26])],
    [Rgb([0.5, 0.62, 0.28]), Rgb([0.76, 0.82, 0.48])],
    [Rgb([0.46, 0.38, 0.2]), Rgb([0.78, 0.68, 0.42])],
    [Rgb([0.1, 0.22, 0.12]), Rgb([0.24, 0.4, 0.22])],
];

const WATERS: [Pair; 5] = [
    [Rgb([0.2, 0.42, 0.6]), Rgb([0.5, 0.72, 0.84])],
    [Rgb([0.12, 0.27, 0.24]), Rgb([0.38, 0.54, 0.44])],
    [Rgb([0.62, 0.69, 0.73]), Rgb([0.85, 0.89, 0.9])],
    [Rgb([0.36, 0.34, 0.52]), Rgb([0.9, 0.68, 0.58])],
    [Rgb([0.09, 0.19, 0.34]), Rgb([0.26, 0.43, 0.58])],
];

/// Something that is filled with one ink.
struct Shade {
    outline: Vec<Point>,
    ink: Ink,
}

/// Slow random changes over the picture: blurred noise.
struct Field {
    /// Rows of values `0..=1`.
    values: Vec<f32>,
}

impl Field {
    const SIDE: usize = 40;

    fn draw(stream: &mut Stream) -> Self {
        let mut values = stream.uniform(Self::SIDE * Self::SIDE, 0.0, 1.0);
        // Four sums over seven neighbours, along rows and columns in turn, leave no grid to be seen.
        for _ in 0..4 {
            let source = values.clone();
            for (place, value) in values.iter_mut().enumerate() {
                let (row, column) = (place % Self::SIDE, place / Self::SIDE);
                let row = &source[row * Self::SIDE..][..Self::SIDE];
                *value = (0..7).map(|step| row[(column + step) % Self::SIDE]).sum();
            }
        }
        let low = values.iter().copied().fold(f32::MAX, f32::min);
        let high = values.iter().copied().fold(f32::MIN, f32::max);
        for value in &mut values {
            *value = (*value - low) / (high - low).max(1e-6);
        }
        Self { values }
    }

    /// The value `0..=1` at a position.
    fn at(&self, x: f32, y: f32) -> f32 {
        let split = |place: f32| {
            let place = (0.5 * (place + 1.0)).clamp(0.0, 1.0) * (Self::SIDE - 2) as f32;
            (place as usize, place.fract())
        };
        let ((column, right), (row, down)) = (split(x), split(y));
        let first = row * Self::SIDE + column;
        let (above, below) = (&self.values[first..], &self.values[first + Self::SIDE..]);
        between(
            between(above[0], above[1], right),
            between(below[0], below[1], right),
            down,
        )
    }
}

/// The surroundings of one bird.
pub(super) struct Scene {
    place: Place,
    far: Pair,
    near: Pair,
    /// Where near begins, y.
    horizon: f32,
    field: Field,
    behind: Vec<Shade>,
    front: Vec<Shade>,
    light: Point,
}

impl Scene {
    pub(super) fn draw(figure: &Figure, stream: &mut Stream) -> Self {
        let body = figure.attributes.colour;
        let places: &[Place] = match figure.attributes.shape {
            Shape::Songbird => &[Place::Sky, Place::Leaves, Place::Meadow],
            Shape::Wader => &[Place::Water, Place::Water, Place::Meadow],
            Shape::Duck => &[Place::Water],
            Shape::Owl => &[Place::Sky, Place::Leaves],
        };
        let place = places[stream.integers(1, places.len())[0]];
        let leaves = pick(&LEAVES, body, stream);
        let sky = pick(&SKIES, body, stream);
        let of = stream.uniform(4, 0.0, 1.0);
        let ground = figure.ground[1];
        let (far, near, horizon) = match place {
            Place::Sky => (sky, sky, 2.0),
            Place::Leaves => (leaves, leaves, 2.0),
            Place::Meadow => (
                if of[0] < 0.6 { leaves } else { sky },
                pick(&GRASSES, body, stream),
                ground - between(0.14, 0.4, of[1]),
            ),
            Place::Water => (
                leaves,
                pick(&WATERS, body, stream),
                (ground - between(0.5, 1.1, of[1])).min(-0.3),
            ),
        };
        let mut scene = Self {
            place,
            far,
            near,
            horizon,
            field: Field::draw(stream),
            behind: Vec::new(),
            front: Vec::new(),
            light: figure.light,
        };
        match place {
            Place::Sky => scene.add_branch(figure, stream),
            Place::Leaves => {
                scene.add_spots(stream);
                scene.add_branch(figure, stream);
            }
            Place::Meadow => scene.add_grass(figure, stream),
            Place::Water => scene.add_water(figure, stream),
        }
        scene
    }

    /// Spots of light out of focus.
    fn add_spots(&mut self, stream: &mut Stream) {
        for of in stream.uniform(22 * 4, 0.0, 1.0).chunks(4) {
            let centre = [2.0 * of[0] - 1.0, 2.0 * of[1] - 1.0];
            let radius = between(0.05, 0.2, of[2]);
            let [dark, light] = self.far;
            let colour = if of[3] < 0.35 {
                dark
            } else {
                light.mix(WHITE, 0.2 * of[3])
            };
            self.behind.push(Shade {
                outline: ellipse(centre, radius, radius),
                ink: (colour, 0.16),
            });
        }
    }

    /// The branch on which the bird sits, with twigs and leaves.
    fn add_branch(&mut self, figure: &Figure, stream: &mut Stream) {
        let of = stream.uniform(6, -1.0, 1.0);
        let width = (0.16 * figure.scale).max(0.075) * (1.0 + 0.15 * of[0]);
        let [x, y] = figure.ground;
        let slope = 0.12 * of[1];
        let at = |across: f32, bend: f32| {
            [
                across,
                y + 0.36 * width + slope * (across - x) + 0.05 * bend * (across - x).abs(),
            ]
        };
        let mut through = [
            at(-1.3, of[2]),
            at(-0.6, of[3]),
            at(x, 0.0),
            at(0.6, of[4]),
            at(1.3, of[5]),
        ];
        // The bird may sit further out than the bends.
        through.sort_by(|a, b| a[0].total_cmp(&b[0]));
        let line = smooth_line(&through);
        let bark =
            Rgb([0.42, 0.31, 0.23]).mix(Rgb([0.56, 0.52, 0.48]), stream.uniform(1, 0.0, 1.0)[0]);
        let bark = away_from(bark, figure.attributes.colour, 0.2);
        self.add_leaves(&line, figure, stream);
        let dark = bark.times([0.5, 0.48, 0.48]);
        let mut stroke = |line: &[Point], width: f32, taper: Taper, ink: Ink| {
            self.behind.push(Shade {
                outline: pen_outline(line, width, taper),
                ink,
            });
        };
        stroke(&line, width, Taper::Never, (dark, 1.0));
        let raised = |line: &[Point], by: f32| -> Vec<Point> {
            line.iter().map(|[x, y]| [*x, y - by * width]).collect()
        };
        stroke(&raised(&line, 0.06), 0.8 * width, Taper::Never, (bark, 1.0));
        let light = bark.mix(WHITE, 0.3);
        stroke(
            &raised(&line, 0.26),
            0.26 * width,
            Taper::Never,
            (light, 0.6),
        );
        for of in stream.uniform(26 * 3, 0.0, 1.0).chunks(3) {
            let start = (of[0] * (line.len() - 4) as f32) as usize;
            let grain = raised(&line[start..start + 3], 0.7 * (of[1] - 0.5));
            let ink = if of[2] < 0.7 {
                (dark, 0.6)
            } else {
                (light, 0.5)
            };
            stroke(&grain, 0.07 * width, Taper::BothEnds, ink);
        }
    }

    /// Leaves that hang from a branch, clear of the bird.
    fn add_leaves(&mut self, branch: &[Point], figure: &Figure, stream: &mut Stream) {
        let [left, top, right, bottom] = figure.extent();
        let green = LEAVES[stream.integers(1, 3)[0]];
        for of in stream.uniform(12 * 5, 0.0, 1.0).chunks(5) {
            let root = branch[(of[0] * (branch.len() - 1) as f32) as usize];
            let up = if of[1] < 0.6 { -1.0 } else { 1.0 };
            let angle = between(0.3, 2.8, of[2]);
            let length = between(0.14, 0.26, of[3]);
            let (sine, cosine) = angle.sin_cos();
            let at = |along: f32, across: f32| {
                [
                    root[0] + (along * cosine - across * sine) * length,
                    root[1] + up * (along * sine + across * cosine) * length,
                ]
            };
            let tip = at(1.0, 0.0);
            let near = |point: Point| {
                (left - 0.06..right + 0.06).contains(&point[0])
                    && (top - 0.06..bottom + 0.02).contains(&point[1])
            };
            if near(tip) || near(at(0.6, 0.0)) {
                continue;
            }
            let mut outline = smooth_line(&[root, at(0.3, 0.2), at(0.7, 0.17), tip]);
            outline.extend(smooth_line(&[tip, at(0.7, -0.17), at(0.3, -0.2), root]));
            let colour = green[0].mix(green[1], of[4]);
            let vein = (colour.mix(WHITE, 0.3), 0.7);
            self.behind.push(Shade {
                outline,
                ink: (colour, 1.0),
            });
            let mut line = |from: Point, to: Point, width: f32| {
                self.behind.push(Shade {
                    outline: pen_outline(&[from, to], width, Taper::End),
                    ink: vein,
                });
            };
            line(root, tip, 0.014);
            for side in [-1.0, 1.0] {
                for along in [0.25, 0.45, 0.65] {
                    line(at(along, 0.0), at(along + 0.16, 0.13 * side), 0.009);
                }
            }
        }
    }

    /// Blades of grass behind the bird and before its feet, and its shadow.
    fn add_grass(&mut self, figure: &Figure, stream: &mut Stream) {
        let [dark, light] = self.near;
        let depth = (1.0 - self.horizon).max(0.1);
        let ground = figure.ground;
        let blade = |of: &[f32], y: f32, size: f32| {
            let x = 2.2 * of[0] - 1.1;
            let height = size * between(0.08, 0.2, of[1]);
            let bend = height * (of[2] - 0.5);
            let line = smooth_line(&[
                [x, y],
                [x + 0.3 * bend, y - 0.6 * height],
                [x + bend, y - height],
            ]);
            Shade {
                outline: pen_outline(&line, 0.03 * size, Taper::End),
                ink: (dark.mix(light, 1.3 * of[3] - 0.15), 0.85),
            }
        };
        let mut blades: Vec<(f32, Shade)> = stream
            .uniform(110 * 5, 0.0, 1.0)
            .chunks(5)
            .map(|of| {
                let y = self.horizon + 0.02 + depth * of[4];
                (y, blade(of, y, 0.5 + (y - self.horizon) / depth))
            })
            .collect();
        blades.sort_by(|a, b| a.0.total_cmp(&b.0));
        for (y, blade) in blades {
            if y < ground[1] + 0.06 {
                self.behind.push(blade);
            } else {
                self.front.push(blade);
            }
        }
        let reach = 0.5 * figure.scale;
        for share in [1.0, 0.9, 0.8, 0.7, 0.6, 0.5] {
            self.behind.push(Shade {
                outline: ellipse(
                    [ground[0], ground[1] + 0.01],
                    share * reach,
                    0.16 * share * reach,
                ),
                ink: (dark.times([0.4, 0.4, 0.4]), 0.11),
            });
        }
        for of in stream.uniform(9 * 5, 0.0, 1.0).chunks(5) {
            // Some more between the toes.
            let across = (ground[0] + 0.3 * figure.scale * (2.0 * of[0] - 1.0) + 1.1) / 2.2;
            let y = ground[1] + 0.05 * figure.scale + 0.03 * of[4];
            self.front
                .push(blade(&[across, 0.4 * of[1], of[2], of[3]], y, 0.8));
        }
    }

    /// Ripples, reeds, the bird's reflection, and the water line around it.
    fn add_water(&mut self, figure: &Figure, stream: &mut Stream) {
        let [dark, light] = self.near;
        let depth = (1.0 - self.horizon).max(0.1);
        let ripple = |x: f32, y: f32, half: f32, height: f32, ink: Ink| Shade {
            outline: ellipse([x, y], half, height),
            ink,
        };
        for of in stream.uniform(70 * 4, 0.0, 1.0).chunks(4) {
            let near = of[1] * of[1];
            let y = self.horizon + 0.01 + depth * near;
            let colour = if of[2] < 0.5 {
                dark.times([0.85, 0.88, 0.9])
            } else {
                light.mix(WHITE, 0.35)
            };
            let half = between(0.06, 0.3, of[3]) * (0.4 + near);
            let height = 0.006 + 0.012 * near;
            self.behind
                .push(ripple(2.4 * of[0] - 1.2, y, half, height, (colour, 0.3)));
        }
        if figure.attributes.shape == Shape::Wader {
            self.add_reeds(figure, stream);
        }
        let [x, y] = figure.ground;
        let swims = figure.attributes.shape == Shape::Duck;
        let scale = figure.scale;
        let reflected = plain(figure.attributes.colour).mix(dark, 0.35);
        let wobble = stream.uniform(12, -1.0, 1.0);
        for (row, of) in wobble.iter().enumerate() {
            let down = row as f32 / 12.0;
            let (half, reach) = if swims { (0.8, 0.5) } else { (0.3, 0.55) };
            self.behind.push(ripple(
                x + 0.08 * scale * of,
                y + reach * scale * down + 0.03 * scale,
                half * scale * (1.0 - 0.5 * down),
                0.032 * scale,
                (reflected, 0.42 * (1.0 - down)),
            ));
        }
        if swims {
            // The hull sinks in: a bank of water before it, and the wave at its rim.
            let [left, _, right, _] = figure.extent();
            let (middle, half) = (0.5 * (left + right), 0.56 * (right - left));
            for (down, share, opacity) in [(0.1, 1.0, 0.55), (0.125, 1.04, 0.6), (0.15, 1.0, 0.6)] {
                self.front.push(ripple(
                    middle,
                    y + down * scale,
                    share * half,
                    0.06 * scale,
                    (dark.mix(light, 0.45), opacity),
                ));
            }
            for of in stream.uniform(9 * 3, -1.0, 1.0).chunks(3) {
                self.front.push(ripple(
                    middle + half * of[0],
                    y + (0.1 + 0.05 * of[1]) * scale,
                    0.16 * scale * (1.3 + of[2]),
                    0.009 * scale,
                    (light.mix(WHITE, 0.5), 0.55),
                ));
            }
        } else {
            for (half, opacity) in [(0.34, 0.3), (0.22, 0.4), (0.13, 0.5)] {
                let mut ring = ellipse([x, y - 0.02 * scale], half * scale, 0.22 * half * scale);
                ring.push(ring[0]);
                self.front.push(Shade {
                    outline: pen_outline(&ring, 0.016 * scale, Taper::Never),
                    ink: (light.mix(WHITE, 0.5), opacity),
                });
            }
        }
    }

    /// Reeds at the sides of the picture.
    fn add_reeds(&mut self, figure: &Figure, stream: &mut Stream) {
        let [dark, light] = LEAVES[stream.integers(1, 3)[0]];
        let [left, _, right, _] = figure.extent();
        for of in stream.uniform(16 * 4, 0.0, 1.0).chunks(4) {
            let x = 2.2 * of[0] - 1.1;
            let foot = self.horizon + (0.12 + 0.3 * of[1]) * (1.0 - self.horizon);
            if (left - 0.05..right + 0.05).contains(&x) {
                continue;
            }
            let height = between(0.4, 0.9, of[2]);
            let bend = 0.2 * (of[3] - 0.5);
            let line = smooth_line(&[
                [x, foot],
                [x + 0.2 * bend, foot - 0.6 * height],
                [x + bend, foot - height],
            ]);
            self.behind.push(Shade {
                outline: pen_outline(&line, 0.03, Taper::End),
                ink: (dark.mix(light, of[3]), 0.9),
            });
        }
    }

    /// Paints what lies behind the bird.
    pub(super) fn paint_behind(&self, canvas: &mut Canvas) {
        let back = |y: f32, cloud: f32| {
            let [far, light] = self.far;
            if self.place == Place::Sky {
                let sky = far.mix(light, ramp(y, -1.1, 1.0));
                sky.mix(light.mix(WHITE, 0.6), 0.6 * smooth_ramp(cloud, 0.55, 0.95))
            } else {
                far.mix(light, smooth_ramp(cloud - 0.15 * y, 0.15, 0.9))
            }
        };
        let front = |y: f32, cloud: f32| {
            let [dark, light] = self.near;
            let depth = ramp(y, self.horizon, 1.0);
            if self.place == Place::Water {
                light.mix(dark, 0.25 + 0.6 * depth + 0.3 * (cloud - 0.5))
            } else {
                dark.mix(light, 0.7 - 0.4 * depth + 0.5 * (cloud - 0.5))
            }
        };
        canvas.cover(|x, y| {
            let cloud = self.field.at(x, y);
            // The horizon is out of focus.
            match smooth_ramp(y, self.horizon - 0.06, self.horizon + 0.06) {
                0.0 => back(y, cloud),
                1.0 => front(y, cloud),
                near => back(y, cloud).mix(front(y, cloud), near),
            }
        });
        for shade in &self.behind {
            canvas.fill(&shade.outline, shade.ink);
        }
    }

    /// Paints what lies before the bird.
    pub(super) fn paint_in_front(&self, canvas: &mut Canvas) {
        for shade in &self.front {
            canvas.fill(&shade.outline, shade.ink);
        }
    }

    /// The colour behind most of the bird.
    pub(super) fn behind(&self) -> Rgb {
        let [dark, light] = if self.place == Place::Water {
            self.near
        } else {
            self.far
        };
        dark.mix(light, 0.5)
    }

    /// A colour as the light and the lens leave it.
    pub(super) fn lit(&self, x: f32, y: f32, colour: Rgb) -> Rgb {
        let towards = 0.035 * (x * self.light[0] + y * self.light[1]);
        let gain = 1.0 + towards - 0.07 * (x * x + y * y);
        let Rgb(channels) = colour.times([gain, gain, gain * (1.0 - 0.5 * towards)]);
        Rgb(channels.map(|channel| channel.clamp(0.0, 1.0)))
    }
}

/// One of the pairs that stand out from the body, moved a little further away from it.
fn pick(pairs: &[Pair], body: Colour, stream: &mut Stream) -> Pair {
    let colour = plain(body);
    let distance = |pair: &Pair| distance(pair[0].mix(pair[1], 0.5), colour);
    let mut order: Vec<&Pair> = pairs.iter().collect();
    order.sort_by(|a, b| distance(b).total_cmp(&distance(a)));
    let far = order.iter().filter(|pair| distance(pair) > 0.6).count();
    let chosen = order[stream.integers(1, far.max(2))[0]];
    chosen.map(|back| away_from(back, body, 0.3))
}

/// A colour whose brightness differs from the body's by `least` if its hue does not differ much.
fn away_from(back: Rgb, body: Colour, least: f32) -> Rgb {
    let body = plain(body);
    let apart = back.brightness() - body.brightness();
    if distance(back, body) > 0.6 || apart.abs() > least {
        return back;
    }
    let missing = least - apart.abs();
    let darker = body.brightness() > 0.5;
    if darker {
        back.mix(Rgb([0.03, 0.05, 0.06]), (1.3 * missing).min(0.8))
    } else {
        back.mix(WHITE, (1.3 * missing).min(0.8))
    }
}
