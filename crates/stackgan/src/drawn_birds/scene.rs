//! What is around the bird: a plate of a field guide, plain paper with a hint of what the bird stands on. What a network
//! has to learn beside the bird is little, so that an hour of two cores shows whether it follows the captions.

use super::figure::Figure;
use super::plumage::{distance, plain};
use super::{Colour, Shape};
use gan_core::drawing::{
    Canvas, Colour as Rgb, Ink, Point, Taper, WHITE, ellipse, pen_outline, ramp, smooth_line,
};
use gan_core::random::Stream;

/// Two colours between which the paper varies, from its upper to its lower edge.
type Pair = [Rgb; 2];

const PAPERS: [Pair; 4] = [
    [Rgb([0.93, 0.9, 0.82]), Rgb([0.98, 0.96, 0.91])],
    [Rgb([0.72, 0.83, 0.92]), Rgb([0.9, 0.95, 0.98])],
    [Rgb([0.78, 0.86, 0.74]), Rgb([0.92, 0.95, 0.88])],
    [Rgb([0.5, 0.56, 0.62]), Rgb([0.66, 0.71, 0.75])],
];

const WATER: Pair = [Rgb([0.3, 0.5, 0.64]), Rgb([0.58, 0.74, 0.84])];

/// Something that is filled with one ink.
struct Shade {
    outline: Vec<Point>,
    ink: Ink,
}

/// The surroundings of one bird.
pub(super) struct Scene {
    paper: Pair,
    behind: Vec<Shade>,
    front: Vec<Shade>,
    light: Point,
}

impl Scene {
    pub(super) fn draw(figure: &Figure, stream: &mut Stream) -> Self {
        let mut scene = Self {
            paper: pick(&PAPERS, figure.attributes.colour, stream),
            behind: Vec::new(),
            front: Vec::new(),
            light: figure.light,
        };
        match figure.attributes.shape {
            Shape::Songbird | Shape::Owl => scene.add_branch(figure, stream),
            Shape::Wader | Shape::Duck => scene.add_water(figure, stream),
        }
        scene
    }

    /// The branch on which the bird sits.
    fn add_branch(&mut self, figure: &Figure, stream: &mut Stream) {
        let of = stream.uniform(6, -1.0, 1.0);
        let width = (0.16 * figure.scale).max(0.075) * (1.0 + 0.15 * of[0]);
        let [x, y] = figure.ground;
        let slope = 0.05 * of[1];
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

    /// A pool with ripples, and the water line around the bird.
    fn add_water(&mut self, figure: &Figure, stream: &mut Stream) {
        let [dark, light] = WATER;
        let ([x, y], scale) = (figure.ground, figure.scale);
        let swims = figure.attributes.shape == Shape::Duck;
        let shade = |centre: Point, half: f32, height: f32, ink: Ink| Shade {
            outline: ellipse(centre, half, height),
            ink,
        };
        let (half, height) = if swims { (1.05, 0.24) } else { (0.62, 0.14) };
        let middle = if swims {
            let [left, _, right, _] = figure.extent();
            0.5 * (left + right)
        } else {
            x
        };
        for share in [1.0, 0.94, 0.86] {
            let ink = (dark.mix(light, 1.9 * (1.0 - share) + 0.3), 0.5);
            let size = [share * half * scale, share * height * scale];
            self.behind
                .push(shade([middle, y + 0.06 * scale], size[0], size[1], ink));
        }
        for of in stream.uniform(14 * 3, -1.0, 1.0).chunks(3) {
            let centre = [
                middle + 0.6 * half * scale * of[0],
                y + (0.06 + 0.6 * height * of[1]) * scale,
            ];
            let ink = (light.mix(WHITE, 0.35), 0.5);
            let size = 0.12 * scale * (1.3 + of[2]);
            self.behind.push(shade(centre, size, 0.01 * scale, ink));
        }
        if swims {
            // The hull sinks in: a bank of water before it, and the wave at its rim.
            let [left, _, right, _] = figure.extent();
            let half = 0.56 * (right - left);
            for (down, share, opacity) in [(0.1, 1.0, 0.55), (0.125, 1.04, 0.6), (0.15, 1.0, 0.6)] {
                let ink = (dark.mix(light, 0.45), opacity);
                let centre = [middle, y + down * scale];
                self.front
                    .push(shade(centre, share * half, 0.06 * scale, ink));
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

    /// Paints what lies behind the bird.
    pub(super) fn paint_behind(&self, canvas: &mut Canvas) {
        let [upper, lower] = self.paper;
        canvas.cover(|_, y| upper.mix(lower, ramp(y, -1.0, 1.0)));
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
        let [upper, lower] = self.paper;
        upper.mix(lower, 0.5)
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
    chosen.map(|back| away_from(back, body, 0.38))
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
