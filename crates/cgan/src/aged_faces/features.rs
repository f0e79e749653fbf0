//! Eyes, brows, nose, mouth, beard and glasses.

use super::Shaded;
use super::ageing::Look;
use gan_core::drawing::{
    Canvas, Colour, Mask, Point, Taper, WHITE, between, both_halves, ellipse, on_side, pen_outline,
    smooth_line, smooth_outline, smooth_ramp,
};

impl Look<'_> {
    /// The upper and the lower rim of the eye on the right of the picture, from the inner corner.
    fn eye_rims(&self) -> [Vec<Point>; 2] {
        let [x, y] = self.eye;
        let (half, open, droop) = (self.eye_half, self.eye_open, self.lid_droop);
        let inner = [x - half, y + 0.012];
        let outer = [x + half, y - self.eye_slant + 0.4 * droop];
        let squint = 1.0 - 0.28 * self.shot.smile.max(0.0);
        let upper = smooth_line(&[
            inner,
            [x - 0.55 * half, y - 0.78 * open],
            [x, y - open + 0.2 * droop],
            [
                x + 0.55 * half,
                y - 0.82 * open - 0.5 * self.eye_slant + 0.9 * droop,
            ],
            outer,
        ]);
        let lower = smooth_line(&[
            inner,
            [x - 0.4 * half, y + 0.58 * open * squint],
            [x + 0.15 * half, y + 0.74 * open * squint],
            [
                x + 0.65 * half,
                y + 0.5 * open * squint - 0.4 * self.eye_slant,
            ],
            outer,
        ]);
        [upper, lower]
    }

    pub(super) fn paint_eye(&self, canvas: &mut Canvas, head: &Mask, side: f32) {
        let [upper, lower] = self.eye_rims().map(|rim| on_side(&rim, side));
        let mut outline = upper.clone();
        outline.extend(lower.iter().rev());
        let eye = canvas.mask(&outline);
        let [x, y] = [self.eye[0] * side, self.eye[1]];
        let open = self.eye_open;
        let white = Colour([0.97, 0.96, 0.95])
            .mix(Colour([0.93, 0.88, 0.80]), 0.8 * self.decline)
            .mix(self.skin, 0.06);
        canvas.paint(&eye, |_, at| {
            let shade = smooth_ramp(y - 0.15 * open - at, -0.3 * open, 0.9 * open);
            (white.shaded(0.34 * shade), 1.0)
        });
        let gaze = self.shot.gaze;
        let centre = [x + 0.022 * gaze[0], y - 0.14 * open + 0.012 * gaze[1]];
        let radius = self.iris_radius;
        let disc = canvas.mask(&ellipse(centre, radius, radius)).limit_to(&eye);
        let iris = self.iris;
        canvas.paint(&disc, |px, py| {
            let out = ((px - centre[0]).hypot(py - centre[1]) / radius).min(1.0);
            let below = ((py - centre[1]) / radius).max(0.0);
            let rim = smooth_ramp(out, 0.72, 1.0);
            let glowing = iris.mix(WHITE, 0.3 * below * (1.0 - rim));
            let over = smooth_ramp(centre[1] - py, -0.2 * radius, radius);
            (glowing.shaded(0.62 * rim + 0.4 * over * (1.0 - rim)), 1.0)
        });
        let pupil = canvas
            .mask(&ellipse(centre, 0.46 * radius, 0.46 * radius))
            .limit_to(&eye);
        canvas.tint(&pupil, (Colour([0.05, 0.04, 0.05]), 1.0));
        let spark = 0.3 * self.shot.light + 0.001;
        let glint = [centre[0] + spark * radius, centre[1] - 0.36 * radius];
        let size = between(0.017, 0.024, self.childness);
        let glint = canvas.mask(&ellipse(glint, size, size)).limit_to(&eye);
        canvas.tint(&glint, (WHITE, 0.95));

        let feminine = self.identity.feminine * self.maturity;
        let lash = Colour([0.13, 0.09, 0.09]).mix(self.skin_line(), 0.25 + 0.35 * self.decline);
        let thick = 0.024 + 0.01 * feminine - 0.006 * self.decline;
        let along = Taper::Start;
        canvas.line(&upper, thick, along, (lash, 0.92));
        if feminine > 0.0 {
            let outer = upper[upper.len() - 1];
            let wing = [
                [outer[0] - 0.03 * side, outer[1] - 0.014],
                [outer[0] + 0.012 * side, outer[1] - 0.012],
                [outer[0] + 0.038 * side, outer[1] - 0.034],
            ];
            canvas.line(
                &smooth_line(&wing),
                0.024,
                Taper::End,
                (lash, 0.85 * feminine),
            );
        }
        canvas.line(&lower, 0.012, Taper::Start, (self.skin_line(), 0.6));
        // The crease of the lid, and with age the skin that hangs over its outer half.
        let crease: Vec<Point> = upper
            .iter()
            .enumerate()
            .map(|(index, [px, py])| {
                let along = index as f32 / (upper.len() - 1) as f32;
                let lift = 0.034 * (1.0 - 0.45 * self.decline);
                let outwards = 0.02 * side * smooth_ramp(along, 0.6, 1.0);
                [
                    px + outwards,
                    py - lift + 0.022 * self.decline * smooth_ramp(along, 0.5, 1.0),
                ]
            })
            .collect();
        let depth = 0.4 + 0.4 * self.decline;
        canvas.line_inside(
            head,
            &crease,
            0.016,
            Taper::BothEnds,
            (self.skin_line(), depth),
        );
    }

    pub(super) fn paint_brow(&self, canvas: &mut Canvas, head: &Mask, side: f32) {
        let x = self.eye[0];
        let y = self.brow_y;
        let arch = 0.012 + 0.032 * self.identity.brow_arch;
        let half = self.eye_half * 1.12;
        let frown = 0.03 * (-self.shot.smile).max(0.0) - 0.012 * self.shot.brows_up;
        let sag = 0.02 * self.decline;
        let line = smooth_line(&on_side(
            &[
                [x - half, y + 0.004 + frown],
                [x - 0.35 * half, y - 0.6 * arch + 0.5 * frown],
                [x + 0.3 * half, y - arch],
                [x + 0.75 * half, y - 0.45 * arch + 0.3 * sag],
                [x + 1.1 * half, y + 0.028 + sag],
            ],
            side,
        ));
        let brow = canvas.mask(&pen_outline(&line, self.brow_thickness * 1.5, Taper::Comet));
        let soft = canvas.softened(&brow, 0.016).limit_to(head);
        let opacity = between(0.5, 0.88, self.maturity);
        canvas.tint(&soft, (self.brow, opacity));
    }

    pub(super) fn paint_nose(&self, canvas: &mut Canvas, head: &Mask) {
        let (y, half) = (self.nose_y, self.nose_half);
        let bridge = self.eye[1] - 0.01;
        let light = self.shot.light;
        let relief = between(0.45, 1.0, self.maturity);
        let shadow = self.skin.shaded(0.4);
        for side in [-1.0, 1.0] {
            let flank = smooth_outline(&on_side(
                &[
                    [0.06, bridge - 0.08],
                    [0.045, bridge + 0.05],
                    [half * 0.5, y - 0.1],
                    [half * 1.02, y - 0.055],
                    [half * 1.1, y + 0.005],
                    [half * 1.35, y - 0.06],
                    [half * 0.95, y - 0.15],
                    [0.1, bridge + 0.05],
                ],
                side,
            ));
            let sharp = canvas.mask(&flank);
            let mask = canvas.softened(&sharp, 0.05).limit_to(head);
            let away = 0.5 - 0.5 * side * light;
            canvas.tint(&mask, (shadow, relief * (0.22 + 0.5 * away)));
        }
        let shine = smooth_outline(&[
            [0.02 * light - 0.018, bridge],
            [0.02 * light + 0.018, bridge],
            [0.025 * light + 0.02, y - 0.1],
            [0.025 * light - 0.02, y - 0.1],
        ]);
        let shine = canvas.mask(&shine);
        let shine = canvas.softened(&shine, 0.04);
        canvas.tint(&shine, (WHITE, 0.22 * relief));
        canvas.glow(head, [0.0, y + 0.035], [half * 1.25, 0.05], (shadow, 0.75));
        let tip = [0.025 * light, y - 0.055];
        canvas.glow(
            head,
            [0.0, y - 0.045],
            [half * 0.85, 0.075],
            (self.skin, 0.5),
        );
        let rosy = self.skin.times([1.0, 0.84, 0.82]);
        canvas.glow(head, [0.0, y - 0.045], [half * 0.8, 0.07], (rosy, 0.5));
        canvas.glow(head, tip, [half * 0.42, 0.04], (WHITE, 0.42));

        let line = self.skin.shaded(0.62);
        for side in [-1.0, 1.0] {
            let nostril = smooth_line(&on_side(
                &[
                    [half * 0.24, y + 0.002],
                    [half * 0.46, y - 0.016],
                    [half * 0.72, y + 0.002],
                ],
                side,
            ));
            canvas.line(&nostril, 0.028, Taper::BothEnds, (line.shaded(0.2), 0.85));
            let wing = smooth_line(&on_side(
                &[
                    [half * 0.8, y - 0.07],
                    [half * 1.02, y - 0.04],
                    [half * 1.0, y - 0.004],
                    [half * 0.74, y + 0.006],
                ],
                side,
            ));
            canvas.line(&wing, 0.018, Taper::BothEnds, (line, 0.35 + 0.3 * relief));
        }
        let base = smooth_line(&[
            [-half * 0.3, y + 0.004],
            [0.0, y + 0.02],
            [half * 0.3, y + 0.004],
        ]);
        canvas.line(&base, 0.018, Taper::BothEnds, (line, 0.55));
    }

    pub(super) fn paint_mouth(&self, canvas: &mut Canvas, head: &Mask) {
        let smile = self.shot.smile;
        let half = self.mouth_half * (1.0 + 0.14 * smile);
        let y = self.mouth_y + 0.012 * smile;
        let sag = 0.022 * self.decline;
        let corner_y = y - 0.036 * smile + sag;
        let open = self.shot.mouth_open * between(0.075, 0.06, self.childness);
        let lip = self.lip_height;
        let bow = 0.3 * lip;

        let under = [0.0, y + open + 1.9 * lip + 0.03];
        let ink = (self.skin.shaded(0.42), 0.6);
        canvas.glow(head, under, [half * 0.62, 0.045], ink);
        let philtrum = [0.0, between(self.nose_y, y - lip, 0.6)];
        canvas.glow(head, philtrum, [0.035, 0.05], (self.skin.shaded(0.3), 0.5));

        // Upper rim, upper and lower edge of the opening, lower rim; the right half of each.
        let upper = [
            [0.0, y - lip + bow - 0.3 * open],
            [0.2 * half, y - lip - 0.3 * open],
            [
                0.6 * half,
                y - 0.62 * lip - 0.2 * open + 0.3 * (corner_y - y),
            ],
            [half, corner_y],
        ];
        let upper_edge = [
            [0.0, y + 0.004 - 0.3 * open],
            [0.3 * half, y - 0.004 - 0.3 * open],
            [0.7 * half, y - 0.12 * open + 0.45 * (corner_y - y)],
            [half * 0.97, corner_y + 0.002],
        ];
        let lower_edge = [
            [0.0, y + 0.006 + open],
            [0.3 * half, y + 0.004 + 0.92 * open],
            [0.7 * half, y + 0.5 * open + 0.5 * (corner_y - y)],
            [half * 0.97, corner_y + 0.004],
        ];
        let lower = [
            [0.0, y + 1.42 * lip + open],
            [0.3 * half, y + 1.34 * lip + 0.95 * open],
            [
                0.68 * half,
                y + 0.72 * lip + 0.6 * open + 0.4 * (corner_y - y),
            ],
            [half, corner_y],
        ];
        let whole_line = |right: &[Point]| {
            let left: Vec<Point> = right.iter().skip(1).rev().map(|[x, y]| [-x, *y]).collect();
            smooth_line(&[&left[..], right].concat())
        };
        let [upper, upper_edge, lower_edge, lower] =
            [&upper, &upper_edge, &lower_edge, &lower].map(|line| whole_line(line));
        let enclose = |above: &[Point], below: &[Point]| {
            let mut outline = above.to_vec();
            outline.extend(below.iter().rev());
            outline
        };
        let gap = canvas.mask(&enclose(&upper_edge, &lower_edge));
        canvas.tint(&gap, (Colour([0.30, 0.08, 0.09]), 1.0));
        if open > 0.012 {
            let teeth = smooth_outline(&both_halves(&[
                [0.0, y - 0.5 * open - 0.02],
                [0.8 * half, y - 0.3 * open - 0.02],
                [0.72 * half, y + 0.12 * open + 0.3 * (corner_y - y)],
                [0.0, y + 0.34 * open],
            ]));
            let teeth = canvas.mask(&teeth).limit_to(&gap);
            let enamel =
                Colour([0.97, 0.95, 0.92]).mix(Colour([0.88, 0.8, 0.66]), 0.7 * self.decline);
            canvas.tint(&teeth, (enamel, smooth_ramp(open, 0.012, 0.03)));
        }
        let lips = self.lips;
        let above = canvas.mask(&enclose(&upper, &upper_edge));
        canvas.tint(&above, (lips.shaded(0.14), 0.95));
        let below = canvas.mask(&enclose(&lower_edge, &lower));
        canvas.paint(&below, |_, at| {
            let down = ((at - y - open) / (1.4 * lip)).clamp(0.0, 1.0);
            (lips.shaded(0.12 * down), 0.95)
        });
        let shine = [0.1 * self.shot.light * half, y + open + 0.55 * lip];
        let ink = (WHITE, 0.3 * (1.0 - 0.6 * self.decline));
        canvas.glow(&below, shine, [0.4 * half, 0.5 * lip], ink);
        let dark = lips.shaded(0.6);
        canvas.line(&upper_edge, 0.017, Taper::BothEnds, (dark, 0.9));
        for side in [-1.0, 1.0] {
            let corner = [side * half, corner_y];
            canvas.glow(head, corner, [0.035, 0.03], (self.skin.shaded(0.5), 0.7));
        }
    }

    pub(super) fn paint_beard(&self, canvas: &mut Canvas, head: &Mask) {
        if self.beard <= 0.0 {
            return;
        }
        let w = self.half_width;
        let (mouth_y, chin, half) = (self.mouth_y, self.chin, self.mouth_half);
        let ear = between(self.eye[1], self.nose_y, 0.3);
        let outline = smooth_outline(&both_halves(&[
            [0.0, mouth_y - 0.085],
            [0.55 * half, mouth_y - 0.095],
            [half + 0.03, mouth_y - 0.055],
            [half + 0.1, mouth_y + 0.02],
            [w * 0.8, mouth_y - 0.1],
            [w * 0.9, ear],
            [w * 1.1, ear],
            [w * 1.05, mouth_y + 0.05],
            [self.chin_width * 2.2, chin],
            [self.chin_width, chin + 0.06],
            [0.0, chin + 0.08],
        ]));
        let sharp = canvas.mask(&outline);
        let soft = canvas.softened(&sharp, 0.05).limit_to(head);
        let bare = canvas.mask(&ellipse(
            [0.0, mouth_y + 0.01],
            half * 0.95,
            0.03 + self.lip_height,
        ));
        let soft = soft.without(&canvas.softened(&bare, 0.03));
        let opacity = 0.3 + 0.55 * self.beard;
        let shaded = self.brow;
        canvas.paint(&soft, |x, y| {
            (shaded.mix(self.hair_at(x, y), 0.35), opacity)
        });
        let pale = self.hair_at(w, 0.2).mix(WHITE, 0.2);
        for strand in 0..22 {
            let x = -w * 0.8 + w * 1.6 * strand as f32 / 21.0;
            let wobble = self.identity.details[strand];
            let top = mouth_y + 0.1 * wobble;
            let line = [[x, top], [x * 0.97, top + 0.07], [x * 0.9, top + 0.12]];
            let ink = if strand % 2 == 0 {
                (pale, 0.35 * self.beard)
            } else {
                (shaded.shaded(0.4), 0.4 * self.beard)
            };
            canvas.line_inside(&soft, &line, 0.014, Taper::BothEnds, ink);
        }
    }

    pub(super) fn paint_glasses(&self, canvas: &mut Canvas, head: &Mask) {
        if self.glasses <= 0.0 {
            return;
        }
        let [x, y] = [self.eye[0], self.eye[1] + 0.02];
        let shape = self.identity.glasses_shape;
        let radius_x = (self.eye_half * 1.42).min(x - 0.03);
        let radius_y = between(0.155, 0.118, shape);
        let power = between(1.0, 0.45, shape);
        let frame = Colour::from_hsv(
            0.04 + 0.6 * shape,
            0.35,
            between(0.12, 0.34, self.identity.details[39] * 0.5 + 0.5),
        );
        for side in [-1.0, 1.0] {
            let rim: Vec<Point> = (0..36)
                .map(|corner| {
                    let (sine, cosine) = (corner as f32 / 36.0 * std::f32::consts::TAU).sin_cos();
                    [
                        x * side + radius_x * cosine.signum() * cosine.abs().powf(power),
                        y + radius_y * sine.signum() * sine.abs().powf(power),
                    ]
                })
                .collect();
            let shadow: Vec<Point> = rim.iter().map(|[x, y]| [*x, y + 0.025]).collect();
            let mut closed = shadow.clone();
            closed.push(shadow[0]);
            let below = canvas.mask(&pen_outline(&closed, 0.03, Taper::Never));
            let below = canvas.softened(&below, 0.03).limit_to(head);
            canvas.tint(&below, (self.skin.shaded(0.5), 0.4 * self.glasses));
            let lens = canvas.mask(&rim);
            canvas.tint(&lens, (Colour([0.85, 0.93, 1.0]), 0.1 * self.glasses));
            let streak = [
                [x * side - 0.05, y + radius_y * 0.9],
                [x * side + 0.06, y - radius_y * 0.95],
            ];
            canvas.line_inside(
                &lens,
                &streak,
                0.05,
                Taper::Never,
                (WHITE, 0.12 * self.glasses),
            );
            let mut closed = rim.clone();
            closed.push(rim[0]);
            canvas.line(&closed, 0.026, Taper::Never, (frame, 0.95 * self.glasses));
            let temple = [
                [(x + radius_x) * side, y - 0.03],
                [self.half_width * 1.0 * side, y - 0.045],
            ];
            canvas.line(&temple, 0.024, Taper::Never, (frame, 0.9 * self.glasses));
        }
        let bridge = smooth_line(&[
            [radius_x - x, y - 0.02],
            [0.0, y - 0.05],
            [x - radius_x, y - 0.02],
        ]);
        canvas.line(&bridge, 0.026, Taper::Never, (frame, 0.95 * self.glasses));
    }
}
