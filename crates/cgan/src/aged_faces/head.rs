//! Background, body, head, and what age writes on the skin.

use super::Shaded;
use super::ageing::Look;
use gan_core::drawing::{
    Canvas, Colour, Mask, Point, Taper, WHITE, between, both_halves, ellipse, on_side, ramp,
    smooth_line, smooth_outline, smooth_ramp,
};

impl Look<'_> {
    pub(super) fn paint(&self, canvas: &mut Canvas) {
        self.paint_background(canvas);
        self.paint_hair_behind(canvas);
        self.paint_body(canvas);
        self.paint_ears(canvas);
        let head = self.paint_head(canvas);
        self.paint_skin_marks(canvas, &head);
        self.paint_wrinkles(canvas, &head);
        self.paint_beard(canvas, &head);
        self.paint_nose(canvas, &head);
        self.paint_mouth(canvas, &head);
        for side in [-1.0, 1.0] {
            self.paint_eye(canvas, &head, side);
            self.paint_brow(canvas, &head, side);
        }
        self.paint_glasses(canvas, &head);
        self.paint_hair_in_front(canvas, &head);
    }

    fn paint_background(&self, canvas: &mut Canvas) {
        let hue = self.identity.background_hue + self.shot.background_shift;
        let light = self.shot.background_lightness;
        let near = Colour::from_hsv(hue, between(0.34, 0.16, light), between(0.66, 0.98, light));
        let far = Colour::from_hsv(
            hue + 0.05,
            between(0.5, 0.3, light),
            between(0.42, 0.8, light),
        );
        let (sine, cosine) = self.shot.background_angle.sin_cos();
        canvas.cover(|x, y| {
            let along = 0.5 + 0.3 * (x * cosine + y * sine);
            let behind = (1.0 - (x * x + y * y) / 1.6).max(0.0);
            let colour = near.mix(far, along.clamp(0.0, 1.0));
            colour.mix(WHITE, 0.25 * behind * behind)
        });
    }

    fn paint_body(&self, canvas: &mut Canvas) {
        let masculine = (1.0 - self.identity.feminine) * self.maturity;
        let half = between(0.215, 0.26, self.maturity) + 0.055 * masculine;
        let base = between(0.86, 0.95, self.maturity);
        let neck = smooth_outline(&both_halves(&[
            [half * 0.98, 0.3],
            [half * 0.94, base - 0.15],
            [half * 1.05, base],
            [half * 1.7, base + 0.12],
            [half * 1.2, 1.4],
        ]));
        let neck = canvas.mask(&neck);
        let (skin, chin, light) = (self.skin, self.chin, self.shot.light);
        canvas.paint(&neck, |x, y| {
            let under = smooth_ramp(chin + 0.17 - 0.5 * x * x - y, 0.0, 0.16);
            let side = (x.abs() / half).powi(3) * 0.12 + (-0.1 * x * light / half);
            (skin.shaded(0.07 + 0.34 * under + side.max(0.0)), 1.0)
        });
        for (line, y) in [(-1.0, 0.03), (1.0, 0.085)] {
            let fold = smooth_line(&[
                [-half * 0.7, chin + y + 0.03 + 0.01 * line],
                [0.0, chin + y + 0.075],
                [half * 0.7, chin + y + 0.03 - 0.01 * line],
            ]);
            let ink = (skin.shaded(0.55), 0.5 * self.wrinkles.neck);
            canvas.line_inside(&neck, &fold, 0.02, Taper::BothEnds, ink);
        }
        self.paint_clothes(canvas, half, base);
    }

    fn paint_clothes(&self, canvas: &mut Canvas, neck: f32, base: f32) {
        let shot = self.shot;
        let cloth = Colour::from_hsv(
            shot.clothes_hue,
            between(0.55, 0.25, shot.clothes_lightness),
            between(0.32, 0.9, shot.clothes_lightness),
        );
        let width = between(0.62, 0.9, self.maturity);
        let dip = match shot.collar {
            collar if collar < 0.33 => 0.1,
            collar if collar < 0.66 => 0.2,
            _ => -0.02,
        };
        let shoulders = smooth_outline(&both_halves(&[
            [0.0, base + dip],
            [neck * 0.75, base + 0.5 * dip],
            [neck * 1.18, base - 0.03],
            [width * 0.7, base + 0.07],
            [width, base + 0.22],
            [width + 0.1, 1.9],
        ]));
        let mask = canvas.mask(&shoulders);
        canvas.paint(&mask, |x, y| {
            let shade = 0.2 * (x.abs() - 0.2).max(0.0) + 0.12 * (-x * shot.light).max(0.0)
                - 0.1 * (y - base);
            (cloth.shaded(shade.clamp(0.0, 0.5)), 1.0)
        });
        if shot.collar < 0.33 {
            let rim = smooth_line(&[
                [-neck * 1.2, base - 0.03],
                [-neck * 0.75, base + 0.5 * dip],
                [0.0, base + dip],
                [neck * 0.75, base + 0.5 * dip],
                [neck * 1.2, base - 0.03],
            ]);
            canvas.line(&rim, 0.045, Taper::Never, (cloth.shaded(0.3), 1.0));
        } else if shot.collar < 0.66 {
            for side in [-1.0, 1.0] {
                let flap = on_side(
                    &[
                        [neck * 1.12, base - 0.07],
                        [neck * 1.6, base + 0.02],
                        [neck * 1.1, base + 0.17],
                        [0.0, base + 0.24],
                    ],
                    side,
                );
                canvas.fill(&flap, (cloth.mix(WHITE, 0.3), 1.0));
            }
        } else {
            let collar = smooth_outline(&both_halves(&[
                [0.0, base + 0.0],
                [neck * 1.04, base - 0.07],
                [neck * 1.2, base + 0.06],
                [0.0, base + 0.12],
            ]));
            canvas.fill(&collar, (cloth.shaded(0.18), 1.0));
        }
    }

    fn paint_ears(&self, canvas: &mut Canvas) {
        let [width, height] = self.ear;
        let middle = between(self.eye[1], self.nose_y, 0.5);
        let x = self.half_width * 0.975;
        for side in [-1.0, 1.0] {
            let outline = smooth_outline(&on_side(
                &[
                    [x - 0.05, middle - height * 0.7],
                    [x + width * 0.45, middle - height],
                    [x + width, middle - height * 0.55],
                    [x + width * 0.75, middle + height * 0.2],
                    [x + width * 0.4, middle + height * 0.9],
                    [x - 0.02, middle + height],
                ],
                side,
            ));
            let away = 0.5 - 0.5 * side * self.shot.light;
            let tone = self.skin.times([1.0, 0.95, 0.94]).shaded(0.05 + 0.2 * away);
            canvas.fill(&outline, (tone, 1.0));
            let inner = smooth_outline(&on_side(
                &[
                    [x + 0.005, middle - height * 0.5],
                    [x + width * 0.5, middle - height * 0.7],
                    [x + width * 0.62, middle - height * 0.35],
                    [x + width * 0.3, middle + height * 0.5],
                    [x, middle + height * 0.6],
                ],
                side,
            ));
            canvas.fill(&inner, (tone.shaded(0.3), 0.55));
        }
    }

    /// The outline of the head without hair and ears.
    fn head_outline(&self) -> Vec<Point> {
        let w = self.half_width;
        let child = self.childness;
        let fullness = 2.0 * self.identity.cheek_fullness - 1.0;
        let rise = self.widest - self.top;
        let mut right: Vec<Point> = [90.0_f32, 66.0, 42.0, 18.0, 0.0]
            .iter()
            .map(|degrees| {
                let (sine, cosine) = degrees.to_radians().sin_cos();
                [w * cosine.abs().powf(0.9), self.widest - rise * sine]
            })
            .collect();
        right[0][0] = 0.0;
        let cheek = between(0.945, 0.985, child) + 0.025 * fullness;
        right.push([w * cheek, between(self.nose_y, self.eye[1], 0.3)]);
        right.push([
            self.jaw + w * 0.012 * fullness,
            self.mouth_y + 0.01 + 0.03 * self.jowl - 0.03 * child,
        ]);
        right.push([
            self.chin_width * 1.72 + 0.03 * self.jowl,
            between(self.mouth_y, self.chin, 0.62),
        ]);
        right.push([self.chin_width, self.chin - 0.04]);
        right.push([self.chin_width * 0.5, self.chin - 0.008]);
        right.push([0.0, self.chin]);
        smooth_outline(&both_halves(&right))
    }

    fn paint_head(&self, canvas: &mut Canvas) -> Mask {
        let head = canvas.mask(&self.head_outline());
        let (skin, shot) = (self.skin, self.shot);
        let middle = between(self.top, self.chin, 0.5);
        let half_height = 0.5 * (self.chin - self.top);
        let strength = 0.45 + 0.55 * shot.light_strength;
        let light = [0.62 * shot.light, -0.36, 0.7];
        // The head is lit as an ellipsoid.
        canvas.paint(&head, |x, y| {
            let across = x / (self.half_width * 1.06);
            let down = (y - middle) / (half_height * 1.1);
            let ahead = (1.0 - across * across - down * down).max(0.0).sqrt();
            let lit = across * light[0] + down * light[1] + ahead * light[2];
            let shadow = smooth_ramp(0.62 - lit, 0.0, 0.7) * strength;
            let shine = smooth_ramp(lit, 0.66, 1.0) * strength;
            (skin.shaded(0.42 * shadow).mix(WHITE, 0.13 * shine), 1.0)
        });
        let blush = skin.times([0.98, 0.72, 0.70]);
        let cheek_y = between(self.eye[1], self.mouth_y, 0.56);
        for side in [-1.0, 1.0] {
            let centre = [0.58 * self.half_width * side, cheek_y];
            canvas.glow(
                &head,
                centre,
                [0.24, 0.17],
                (blush, 0.75 * self.blush.max(0.0)),
            );
            let toward = 0.5 + 0.5 * side * shot.light;
            let apple = [0.5 * self.half_width * side, cheek_y - 0.05];
            canvas.glow(&head, apple, [0.17, 0.11], (WHITE, 0.16 * toward));
            // The hollow below the cheekbone comes with the years.
            let hollow = self.wrinkles.hollow * (0.75 - 0.3 * self.identity.cheek_fullness);
            let centre = [0.74 * self.half_width * side, self.mouth_y - 0.06];
            canvas.glow(
                &head,
                centre,
                [0.17, 0.24],
                (skin.shaded(0.42), 0.75 * hollow),
            );
            let socket = [self.eye[0] * side, self.eye[1] - 0.05];
            canvas.glow(
                &head,
                socket,
                [0.2, 0.14],
                (skin.shaded(0.3), 0.42 + 0.3 * self.decline),
            );
        }
        let forehead = between(self.hairline, self.brow_y, 0.45);
        let centre = [0.12 * shot.light, forehead];
        canvas.glow(&head, centre, [0.34, 0.17], (WHITE, 0.14 * strength));
        canvas.glow(&head, [0.0, self.chin - 0.09], [0.13, 0.08], (WHITE, 0.09));
        head
    }

    fn paint_skin_marks(&self, canvas: &mut Canvas, head: &Mask) {
        let identity = self.identity;
        let details = &identity.details;
        let freckle = self.skin.times([0.78, 0.66, 0.58]);
        if identity.freckles > 0.0 {
            let opacity = 0.75 * identity.freckles * smooth_ramp(self.childness, 1.0, 0.75);
            for (index, pair) in details.chunks_exact(2).take(18).enumerate() {
                let side = if index % 2 == 0 { -1.0 } else { 1.0 };
                let x = side * (0.14 + 0.14 * (1.0 + pair[0]));
                let y = between(self.eye[1], self.nose_y, 0.72) + 0.085 * pair[1] - 0.1 * x.abs();
                let radius = 0.011 + 0.004 * pair[0] * pair[1];
                canvas.fill(&ellipse([x, y + 0.04], radius, radius), (freckle, opacity));
            }
        }
        if identity.mole > 0.6 {
            let y = between(self.nose_y - 0.13, self.chin - 0.1, identity.mole_down);
            let beside_mouth = self.mouth_half + 0.05;
            let rim = between(0.84, 0.5, identity.mole_down) * self.half_width;
            let across = 2.0 * identity.mole_across - 1.0;
            let x = across.signum() * between(beside_mouth, rim.max(beside_mouth), across.abs());
            let darkness = ramp(identity.mole, 0.2, 1.0);
            let mole = ellipse([x, y], 0.025, 0.025);
            canvas.fill(&mole, (Colour([0.22, 0.12, 0.09]), darkness));
        }
        let spot = self.skin.times([0.78, 0.66, 0.56]);
        for (index, pair) in details.chunks_exact(2).enumerate().take(14) {
            let side = if index % 2 == 0 { 1.0 } else { -1.0 };
            let x = side * self.half_width * (0.62 + 0.26 * pair[1]);
            let y = if index % 3 == 0 {
                self.hairline + 0.12 + 0.1 * pair[0]
            } else {
                between(self.eye[1], self.mouth_y, 0.45) + 0.24 * pair[0]
            };
            let shown = (self.wrinkles.spots * 16.0 - index as f32).clamp(0.0, 1.0);
            let radius = 0.026 + 0.012 * pair[0];
            canvas.glow(
                head,
                [x, y],
                [radius * 1.5, radius * 1.25],
                (spot, 0.95 * shown),
            );
        }
    }

    /// A fold: a dark line with a lit ridge below it.
    fn fold(&self, canvas: &mut Canvas, head: &Mask, through: &[Point], width: f32, depth: f32) {
        if depth <= 0.01 {
            return;
        }
        let line = smooth_line(through);
        let ridge: Vec<Point> = line
            .iter()
            .map(|[x, y]| [x + 0.012 * x.signum(), y + 0.022])
            .collect();
        let width = width * (0.55 + 0.45 * depth);
        let light = (self.skin.mix(WHITE, 0.45), 0.3 * depth);
        canvas.line_inside(head, &ridge, width, Taper::BothEnds, light);
        let dark = (self.skin.shaded(0.72), (0.75 * depth).min(0.8));
        canvas.line_inside(head, &line, width, Taper::BothEnds, dark);
    }

    fn paint_wrinkles(&self, canvas: &mut Canvas, head: &Mask) {
        let wrinkles = &self.wrinkles;
        let w = self.half_width;
        let waves = &self.identity.details[20..];
        let (low, high) = (self.brow_y - 0.055, self.hairline + 0.03);
        for (index, &depth) in wrinkles.forehead.iter().enumerate() {
            let y = between(low, high, [0.5, 0.22, 0.78][index]);
            let wave = 0.012 * waves[index];
            let half = w * [0.6, 0.5, 0.48][index];
            let line = [
                [-half, y + 0.014 + wave],
                [-half * 0.5, y - 0.01],
                [0.0, y + 0.008 - wave],
                [half * 0.5, y - 0.01 + wave],
                [half, y + 0.014],
            ];
            self.fold(canvas, head, &line, 0.026, depth);
        }
        let (eye_x, eye_y) = (self.eye[0], self.eye[1]);
        let outer = eye_x + self.eye_half;
        for side in [-1.0, 1.0] {
            let mut fold = |through: &[Point], width: f32, depth: f32| {
                self.fold(canvas, head, &on_side(through, side), width, depth);
            };
            fold(
                &[
                    [0.038, self.brow_y + 0.04],
                    [0.03, self.brow_y - 0.02],
                    [0.042, self.brow_y - 0.075],
                ],
                0.022,
                wrinkles.between_brows,
            );
            for (rise, drop) in [(-0.045, -0.03), (0.0, 0.012), (0.04, 0.06)] {
                fold(
                    &[
                        [outer + 0.022, eye_y + 0.45 * rise],
                        [outer + 0.07, eye_y + rise],
                        [outer + 0.115, eye_y + rise + drop],
                    ],
                    0.02,
                    wrinkles.crow_feet,
                );
            }
            let below = eye_y + 0.55 * self.eye_open + 0.04;
            fold(
                &[
                    [eye_x - 0.85 * self.eye_half, below - 0.022],
                    [eye_x - 0.1, below + 0.022],
                    [eye_x + 0.6 * self.eye_half, below + 0.012],
                ],
                0.02,
                0.6 * wrinkles.under_eye,
            );
            fold(
                &[
                    [eye_x - 0.95 * self.eye_half, below + 0.0],
                    [eye_x - 0.04, below + 0.062],
                    [eye_x + 0.8 * self.eye_half, below + 0.018],
                ],
                0.026,
                wrinkles.eye_bag,
            );
            let wing = self.nose_half + 0.018;
            let corner = self.mouth_half * (1.0 + 0.12 * self.shot.smile) + 0.045;
            let mouth_y = self.mouth_y;
            fold(
                &[
                    [wing, self.nose_y - 0.055],
                    [between(wing, corner, 0.55), self.nose_y + 0.015],
                    [corner + 0.012, mouth_y - 0.045],
                    [corner + 0.01, mouth_y + 0.03 * (1.0 + wrinkles.beside_nose)],
                ],
                0.034,
                wrinkles.beside_nose,
            );
            fold(
                &[
                    [corner - 0.03, mouth_y + 0.045],
                    [corner - 0.012, mouth_y + 0.1],
                    [corner - 0.02, mouth_y + 0.165],
                ],
                0.026,
                wrinkles.beside_mouth,
            );
            for (along, depth) in [(0.72, 0.9), (0.86, 0.6)] {
                fold(
                    &[
                        [w * along - 0.02, mouth_y - 0.19],
                        [w * along + 0.005, mouth_y - 0.08],
                        [w * along - 0.05, mouth_y + 0.06],
                    ],
                    0.02,
                    depth * wrinkles.cheek,
                );
            }
            for place in [0.12, 0.36, 0.62] {
                let x = place * self.mouth_half;
                let top = mouth_y - 0.06 - self.lip_height;
                fold(
                    &[[x + 0.006, top], [x, top + 0.02], [x, top + 0.048]],
                    0.014,
                    0.4 * wrinkles.lip_lines,
                );
            }
        }
        let bag = self.skin.shaded(0.4).times([0.98, 0.94, 1.0]);
        for side in [-1.0, 1.0] {
            let centre = [eye_x * side * 0.97, eye_y + 0.6 * self.eye_open + 0.055];
            let ink = (bag, 0.25 * wrinkles.under_eye + 0.5 * wrinkles.eye_bag);
            canvas.glow(head, centre, [0.15, 0.08], ink);
        }
    }

    /// A last soft wash: a little more light on the lit side, exposure, white balance.
    pub(super) fn lit(&self, x: f32, y: f32, colour: Colour) -> Colour {
        let shot = self.shot;
        let strength = 0.05 + 0.08 * shot.light_strength;
        let towards = strength * (0.6 * x * shot.light - 0.5 * y);
        let washed = if towards > 0.0 {
            colour.mix(Colour([1.0, 0.97, 0.86]), towards.min(1.0))
        } else {
            colour.mix(Colour([0.16, 0.13, 0.3]), (-towards).min(1.0))
        };
        let exposed = if shot.exposure > 0.0 {
            washed.mix(WHITE, shot.exposure)
        } else {
            washed.mix(Colour([0.0; 3]), -shot.exposure)
        };
        let balance = if shot.white_balance > 0.0 {
            Colour([1.0, 0.8, 0.4])
        } else {
            Colour([0.4, 0.65, 1.0])
        };
        exposed.mix(balance, 2.0 * shot.white_balance.abs())
    }
}
