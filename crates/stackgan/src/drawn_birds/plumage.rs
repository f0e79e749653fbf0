//! Painting the bird: plumage with its feathers, bill, crest, eyes and legs.

use super::figure::{Eye, Figure, Leg, Vane};
use super::{Colour, Shape, Wings};
use gan_core::drawing::{
    Canvas, Colour as Rgb, Ink, Mask, Point, Taper, WHITE, ellipse, smooth_line,
};
use gan_core::random::Stream;

/// Dark enough to be read as black, and still to have darker lines.
const INK: Rgb = Rgb([0.05, 0.05, 0.07]);

/// What bills are made of.
const HORNS: [Rgb; 3] = [
    Rgb([0.17, 0.16, 0.18]),
    Rgb([0.92, 0.7, 0.34]),
    Rgb([0.97, 0.53, 0.1]),
];

const LEGS: [Rgb; 3] = [
    Rgb([0.93, 0.52, 0.14]),
    Rgb([0.86, 0.44, 0.36]),
    Rgb([0.36, 0.32, 0.3]),
];

/// How each colour of plumage is painted.
pub(super) fn plain(colour: Colour) -> Rgb {
    Rgb(match colour {
        Colour::Red => [0.84, 0.11, 0.13],
        Colour::Orange => [0.97, 0.5, 0.06],
        Colour::Yellow => [0.99, 0.86, 0.14],
        Colour::Green => [0.17, 0.62, 0.22],
        Colour::Blue => [0.14, 0.37, 0.86],
        Colour::Purple => [0.5, 0.19, 0.68],
        Colour::Pink => [0.98, 0.56, 0.73],
        Colour::Brown => [0.46, 0.28, 0.15],
        Colour::Black => [0.12, 0.12, 0.14],
        Colour::White => [0.95, 0.95, 0.94],
    })
}

/// A colour of plumage as this bird has it.
fn tinged(colour: Colour, tones: &[f32; 6]) -> Rgb {
    let Rgb(channels) = plain(colour);
    // Black and white are told from other colours by having none.
    let most = if saturation(Rgb(channels)) < 0.1 {
        0.02
    } else {
        0.08
    };
    let towards = [tones[2], tones[3], tones[4]].map(|tone| most * (tone - 0.5));
    let mut tinged = channels;
    for (channel, towards) in tinged.iter_mut().zip(towards) {
        *channel = (*channel + towards).clamp(0.0, 1.0);
    }
    Rgb(tinged)
}

/// What lies in shadow.
fn deep(colour: Rgb) -> Rgb {
    // White feathers have cool shadows, others keep their hue.
    let filter = if colour.brightness() > 0.8 && saturation(colour) < 0.2 {
        [0.64, 0.68, 0.73]
    } else {
        [0.56, 0.52, 0.58]
    };
    colour.times(filter)
}

/// What the light falls on.
fn bright(colour: Rgb) -> Rgb {
    colour.mix(WHITE, 0.3)
}

/// One of the colours that are far from others; `whim` in `0..=1` decides between those that are about as far.
fn standing_out(colours: &[Rgb; 3], others: [Rgb; 2], whim: f32) -> Rgb {
    let merit = |place: usize| {
        let nearest = others.map(|other| distance(colours[place], other));
        nearest[0].min(nearest[1]) + 0.3 * (whim + place as f32 / 3.0).fract()
    };
    let best = (0..3).max_by(|a, b| merit(*a).total_cmp(&merit(*b)));
    colours[best.unwrap_or(0)]
}

/// How far apart two colours are.
pub(super) fn distance(Rgb(one): Rgb, Rgb(other): Rgb) -> f32 {
    let squares = one.iter().zip(other).map(|(a, b)| (a - b).powi(2));
    squares.sum::<f32>().sqrt()
}

fn saturation(Rgb(channels): Rgb) -> f32 {
    let high = channels.into_iter().fold(0.0, f32::max);
    let low = channels.into_iter().fold(1.0, f32::min);
    high - low
}

/// The ink of lines between feathers of a colour: darker, and lighter on what is dark already.
fn feather_line(colour: Rgb) -> Ink {
    if colour.brightness() < 0.22 {
        (colour.mix(Rgb([0.55, 0.6, 0.72]), 0.34), 0.7)
    } else {
        (deep(colour).mix(INK, 0.18), 0.7)
    }
}

/// A short stroke of the plumage of the body.
pub(super) struct Stroke {
    line: Vec<Point>,
    width: f32,
    lit: bool,
}

impl Figure {
    /// Strokes over the body, most of which will lie inside it.
    pub(super) fn strokes(&self, stream: &mut Stream) -> Vec<Stroke> {
        const COUNT: usize = 90;
        let place = stream.uniform(4 * COUNT, -1.0, 1.0);
        let ([x, y], radius) = self.belly;
        let (head, head_radius) = self.head;
        place
            .chunks(4)
            .enumerate()
            .map(|(index, of)| {
                let (centre, radius) = if index % 4 == 0 {
                    (head, head_radius)
                } else {
                    ([x, y], radius)
                };
                let from = [
                    centre[0] + 1.1 * radius * of[0],
                    centre[1] + 1.1 * radius * of[1],
                ];
                // Feathers lie towards the tail, an owl's downwards.
                let down = if self.attributes.shape == Shape::Owl {
                    1.3
                } else {
                    0.5
                };
                let angle = down + 0.25 * of[2];
                let length = (0.085 + 0.03 * of[3]) * self.scale;
                let (sine, cosine) = angle.sin_cos();
                let at = |along: f32, bend: f32| {
                    [
                        from[0] - self.facing * (along * cosine - bend * sine) * length,
                        from[1] + (along * sine + bend * cosine) * length,
                    ]
                };
                Stroke {
                    line: smooth_line(&[at(0.0, 0.0), at(0.5, 0.14), at(1.0, 0.0)]),
                    width: 0.014 * self.scale,
                    lit: of[3] > 0.1,
                }
            })
            .collect()
    }

    /// Paints the bird before surroundings of the colour `behind`.
    pub(super) fn paint(&self, canvas: &mut Canvas, strokes: &[Stroke], behind: Rgb) {
        let body = tinged(self.attributes.colour, &self.tones);
        let wing = match self.attributes.told_wings() {
            // A little deeper, or the wing would be lost in the body.
            Wings::Same => body.mix(deep(body), 0.28),
            wings => tinged(wings.colour(self.attributes.colour), &self.tones),
        };
        for leg in &self.legs {
            self.paint_leg(canvas, leg, behind);
        }
        self.paint_vane(canvas, &self.tail, wing.mix(deep(wing), 0.25), 3);
        self.paint_crest(canvas, body, wing);
        // An owl's bill lies on its face, others' are held by it.
        let owl = self.attributes.shape == Shape::Owl;
        if !owl {
            self.paint_bill(canvas, behind);
        }
        let mask = self.paint_body(canvas, body, strokes);
        for (disc, eye) in self.face.iter().zip(&self.eyes) {
            self.paint_disc(canvas, &mask, disc, eye, body);
        }
        for eye in &self.eyes {
            self.paint_eye(canvas, eye, body);
        }
        if owl {
            self.paint_bill(canvas, behind);
        }
        self.paint_wing(canvas, wing);
    }

    /// How much more light a place on a ball gets than its middle, `-1..=1`.
    fn light_at(&self, (centre, radius): (Point, f32), x: f32, y: f32) -> f32 {
        let across = (x - centre[0]) / radius;
        let down = (y - centre[1]) / radius;
        (0.75 * (across * self.light[0] + down * self.light[1])).clamp(-1.0, 1.0)
    }

    fn edge(&self, canvas: &mut Canvas, outline: &[Point], colour: Rgb) {
        let mut line = outline.to_vec();
        line.extend(outline.first());
        let (ink, _) = feather_line(colour);
        canvas.line(
            &line,
            self.line_width(),
            Taper::Never,
            (ink.mix(INK, 0.25), 0.75),
        );
    }

    fn paint_body(&self, canvas: &mut Canvas, body: Rgb, strokes: &[Stroke]) -> Mask {
        let mask = canvas.mask(&self.body);
        let (shadow, shine) = (deep(body), bright(body));
        canvas.paint(&mask, |x, y| {
            let light = self.light_at(self.belly, x, y);
            let colour = if light < 0.0 {
                body.mix(shadow, -0.75 * light)
            } else {
                body.mix(shine, 0.4 * light)
            };
            (colour, 1.0)
        });
        // Round towards the rim.
        let mut rim = self.body.clone();
        rim.extend(self.body.first());
        for (width, opacity) in [(0.22, 0.12), (0.12, 0.14), (0.05, 0.16)] {
            let ink = (shadow, opacity);
            canvas.line_inside(&mask, &rim, width * self.scale, Taper::Never, ink);
        }
        let lit = |(centre, radius): (Point, f32), distance: f32| {
            [
                centre[0] + distance * radius * self.light[0],
                centre[1] + distance * radius * self.light[1],
            ]
        };
        for (ball, opacity) in [(self.head, 0.5), (self.belly, 0.35)] {
            let radius = 0.7 * ball.1;
            canvas.glow(&mask, lit(ball, 0.4), [radius, radius], (shine, opacity));
        }
        let (line, _) = feather_line(body);
        for stroke in strokes {
            let ink = if stroke.lit {
                (shine, 0.55)
            } else {
                (line, 0.32)
            };
            canvas.line_inside(&mask, &stroke.line, stroke.width, Taper::BothEnds, ink);
        }
        self.edge(canvas, &self.body, body);
        mask
    }

    /// A surface with lines between its feathers.
    fn paint_vane(&self, canvas: &mut Canvas, vane: &Vane, colour: Rgb, feathers: usize) {
        let outline = vane.outline();
        let mask = canvas.mask(&outline);
        canvas.tint(&mask, (colour, 1.0));
        let ink = feather_line(colour);
        for feather in 1..=feathers {
            let across = feather as f32 / (feathers + 1) as f32;
            let line = [0.2, 0.6, 0.97].map(|along| vane.at(along, across));
            canvas.line_inside(
                &mask,
                &smooth_line(&line),
                self.line_width(),
                Taper::Never,
                ink,
            );
        }
        self.edge(canvas, &outline, colour);
    }

    fn paint_wing(&self, canvas: &mut Canvas, colour: Rgb) {
        let wing = &self.wing;
        let outline = wing.outline();
        let mask = canvas.mask(&outline);
        let (shadow, shine) = (deep(colour), bright(colour));
        // Lit at the shoulder, darker at the tip.
        let (root, tip) = (wing.at(0.0, 0.5), wing.at(1.0, 0.5));
        let [dx, dy] = [tip[0] - root[0], tip[1] - root[1]];
        let square = dx * dx + dy * dy;
        canvas.paint(&mask, |x, y| {
            let along = ((x - root[0]) * dx + (y - root[1]) * dy) / square;
            let along = along.clamp(0.0, 1.0);
            let light = self.light_at(self.belly, x, y);
            let colour = colour.mix(shadow, 0.4 * along * along);
            let lit = if light < 0.0 {
                colour.mix(shadow, -0.4 * light)
            } else {
                colour.mix(shine, 0.35 * light)
            };
            (lit, 1.0)
        });
        let (line, opacity) = feather_line(colour);
        let width = self.line_width();
        // Long feathers of the hand, each with a lit shaft.
        for feather in 1..8 {
            let across = feather as f32 / 8.0;
            let through = |from: f32, shift: f32| {
                [from, 0.75, 0.97].map(|along| wing.at(along, across + shift * (1.0 - along)))
            };
            let from = 0.42 + 0.1 * across;
            let edge = smooth_line(&through(from, 0.0));
            canvas.line_inside(&mask, &edge, width, Taper::Start, (line, opacity));
            let shaft = smooth_line(&through(from + 0.04, 0.1));
            canvas.line_inside(&mask, &shaft, 0.6 * width, Taper::BothEnds, (shine, 0.5));
        }
        // Three rows of short feathers that lie over one another as roof tiles.
        for (row, count, offset) in [(0.46, 5, 0.0), (0.33, 5, -0.5), (0.2, 4, 0.0)] {
            for tile in 0..=count {
                let at = |along: f32, across: f32| {
                    wing.at(row + along, (tile as f32 + offset + across) / count as f32)
                };
                let tip = 0.085;
                let arc = [
                    at(-0.02, 0.02),
                    at(0.7 * tip, 0.2),
                    at(tip, 0.5),
                    at(0.7 * tip, 0.8),
                    at(-0.02, 0.98),
                ];
                let arc = smooth_line(&arc);
                canvas.line_inside(&mask, &arc, width, Taper::Never, (line, opacity));
                let shaft = [at(-0.03, 0.5), at(0.6 * tip, 0.5)];
                canvas.line_inside(&mask, &shaft, 0.6 * width, Taper::End, (shine, 0.5));
            }
        }
        self.edge(canvas, &outline, colour);
    }

    fn paint_crest(&self, canvas: &mut Canvas, body: Rgb, wing: Rgb) {
        for plume in self.crest.iter().rev() {
            let outline = plume.outline();
            let mask = canvas.mask(&outline);
            canvas.tint(&mask, (body.mix(deep(body), 0.15), 1.0));
            let tip = plume.at(1.0, 0.5);
            let radius = 0.14 * self.scale;
            canvas.glow(&mask, tip, [radius, radius], (wing, 0.6));
            let shaft = [plume.at(0.1, 0.5), plume.at(0.95, 0.5)];
            let ink = feather_line(body);
            canvas.line_inside(&mask, &shaft, self.line_width(), Taper::End, ink);
            self.edge(canvas, &outline, body);
        }
    }

    fn paint_bill(&self, canvas: &mut Canvas, behind: Rgb) {
        let body = plain(self.attributes.colour);
        let colour = standing_out(&HORNS, [body, behind], self.tones[0]);
        canvas.fill(&self.lower_bill, (deep(colour), 1.0));
        self.edge(canvas, &self.lower_bill, colour);
        let outline = self.bill.outline();
        let mask = canvas.mask(&outline);
        canvas.tint(&mask, (colour, 1.0));
        let ridge = [0.1, 0.4, 0.8].map(|along| self.bill.at(along, 0.25));
        let shine = (bright(colour), 0.8);
        let width = 0.03 * self.scale;
        canvas.line_inside(&mask, &smooth_line(&ridge), width, Taper::End, shine);
        let nostril = [self.bill.at(0.24, 0.5), self.bill.at(0.36, 0.52)];
        let dark = (deep(colour).mix(INK, 0.6), 0.9);
        canvas.line(&nostril, 0.02 * self.scale, Taper::BothEnds, dark);
        self.edge(canvas, &outline, colour);
    }

    /// The disc of short feathers around an owl's eye.
    fn paint_disc(&self, canvas: &mut Canvas, inside: &Mask, disc: &[Point], eye: &Eye, body: Rgb) {
        let colour = if body.brightness() > 0.8 {
            body.times([0.86, 0.86, 0.88])
        } else {
            body.mix(WHITE, 0.4)
        };
        let mask = canvas.mask(disc).limit_to(inside);
        canvas.tint(&mask, (colour, 1.0));
        let (ink, _) = feather_line(colour);
        for ray in disc.iter().step_by(2) {
            let from = |fraction: f32| {
                [
                    eye.centre[0] + fraction * (ray[0] - eye.centre[0]),
                    eye.centre[1] + fraction * (ray[1] - eye.centre[1]),
                ]
            };
            canvas.line_inside(
                &mask,
                &[from(0.5), from(1.0)],
                self.line_width(),
                Taper::Start,
                (ink, 0.5),
            );
        }
        let mut rim = disc.to_vec();
        rim.extend(disc.first());
        let ink = (feather_line(body).0, 0.7);
        canvas.line_inside(inside, &rim, 2.0 * self.line_width(), Taper::Never, ink);
    }

    fn paint_eye(&self, canvas: &mut Canvas, eye: &Eye, body: Rgb) {
        let [x, y] = eye.centre;
        let disc = |scale: f32| ellipse([x, y], scale * eye.radius, scale * eye.radius);
        if eye.ringed {
            canvas.fill(&disc(1.1), (INK, 1.0));
            let iris = Rgb([0.98, 0.76, 0.12]).mix(Rgb([0.96, 0.5, 0.1]), self.tones[5]);
            canvas.fill(&disc(0.92), (iris, 1.0));
            canvas.fill(&disc(0.52), (INK, 1.0));
        } else {
            let ring = if body.brightness() > 0.6 {
                (deep(body), 0.6)
            } else {
                (bright(body).mix(WHITE, 0.35), 0.9)
            };
            canvas.fill(&disc(1.35), ring);
            canvas.fill(&disc(1.0), (INK, 1.0));
            let iris = Rgb([0.42, 0.22, 0.1]);
            canvas.fill(
                &ellipse([x, y], 0.82 * eye.radius, 0.82 * eye.radius),
                (iris, 0.7),
            );
            canvas.fill(&disc(0.55), (INK, 1.0));
        }
        let spot = [
            x + 0.34 * eye.radius * self.light[0].signum(),
            y - 0.34 * eye.radius,
        ];
        canvas.fill(
            &ellipse(spot, 0.28 * eye.radius, 0.28 * eye.radius),
            (WHITE, 0.95),
        );
    }

    fn paint_leg(&self, canvas: &mut Canvas, leg: &Leg, behind: Rgb) {
        let colour = standing_out(&LEGS, [behind; 2], self.tones[1]);
        let dark = (deep(colour).mix(INK, 0.3), 1.0);
        let lit = 0.7 * leg.width;
        for toe in &leg.toes {
            canvas.line(toe, leg.width, Taper::End, dark);
            canvas.line(toe, lit, Taper::End, (colour, 1.0));
        }
        canvas.line(&leg.line, leg.width, Taper::Never, dark);
        canvas.line(&leg.line, lit, Taper::Never, (colour, 1.0));
        // Scutes across the lower half.
        let lower = &leg.line[leg.line.len() / 2..];
        for [x, y] in lower.iter().step_by(2) {
            let across = [[x - 0.4 * lit, *y], [x + 0.4 * lit, *y]];
            canvas.line(&across, 0.2 * lit, Taper::Never, (dark.0, 0.6));
        }
    }
}
