//! Hair behind and in front of the head.

use super::Shaded;
use super::ageing::Look;
use gan_core::drawing::{
    Canvas, Colour, Mask, Point, Taper, WHITE, between, both_halves, ellipse, on_side, ramp,
    smooth_line, smooth_outline, smooth_ramp,
};
use std::f32::consts::PI;

/// `hypot` without its care for huge numbers, which takes time.
fn length(x: f32, y: f32) -> f32 {
    (x * x + y * y).sqrt()
}

impl Look<'_> {
    fn hair_line(&self, x: f32, y: f32) -> Colour {
        self.hair_at(x, y).shaded(0.5)
    }

    /// How long hair falls beside the face, `0..=1`; hair in a knot does not.
    fn falling_length(&self) -> f32 {
        self.hair_length * (1.0 - self.identity.knot)
    }

    /// The height at which falling hair ends.
    fn hair_end(&self) -> f32 {
        between(0.02, 1.15, self.falling_length())
    }

    /// How far the rim of curly hair bulges at a fraction of the way around it.
    fn bulge(&self, along: f32, locks: f32) -> f32 {
        let curl = self.identity.hair_curl;
        let phase = 3.0 * self.identity.details[30];
        let size = 0.032 * curl * self.hair_density * (1.0 - self.baldness);
        size * (along * locks * PI + phase).sin().abs()
    }

    pub(super) fn paint_hair_behind(&self, canvas: &mut Canvas) {
        let volume = self.hair_volume;
        if self.identity.knot > 0.5 {
            let grown = ramp(self.hair_length, 0.1, 0.4);
            let radius = 0.19 * grown;
            let lift = 0.7 * volume - 0.12 * (1.0 - grown);
            let centre = [0.02 * self.identity.details[31], self.top - lift];
            let knot = canvas.mask(&ellipse(centre, radius, radius * 0.8));
            canvas.paint(&knot, |x, y| {
                let rim = ((x - centre[0]).hypot(y - centre[1]) / 0.2).powi(2);
                (self.hair_at(x, y).shaded(0.1 + 0.2 * rim), 1.0)
            });
        }
        let length = self.falling_length();
        if length < 0.1 {
            return;
        }
        let end = self.hair_end();
        // Short hair hides behind the head.
        let grown = smooth_ramp(length, 0.1, 0.3);
        let side = self.half_width + between(-0.07, 0.8 * volume, grown);
        let flare = grown * (0.05 * length + 0.05 * self.identity.hair_curl);
        let mut right: Vec<Point> = [90.0_f32, 70.0, 45.0, 22.0]
            .iter()
            .map(|degrees| {
                let (sine, cosine) = degrees.to_radians().sin_cos();
                [side * cosine, -0.1 + (self.top + 0.1) * sine]
            })
            .collect();
        right[0][0] = 0.0;
        for step in 0..=10 {
            let along = step as f32 / 10.0;
            let y = between(-0.1, end, along);
            let inwards = 0.1 * smooth_ramp(along, 0.75, 1.0);
            let x = side + flare * smooth_ramp(along, 0.1, 0.8) - inwards
                + grown * self.bulge(along, 7.0);
            right.push([x, y]);
        }
        right.push([0.6 * side, end + 0.05]);
        right.push([0.0, end + 0.03]);
        let mask = canvas.mask(&smooth_outline(&both_halves(&right)));
        canvas.paint(&mask, |x, y| {
            let deep = smooth_ramp(side - x.abs(), 0.0, 0.3);
            (self.hair_at(x, y).shaded(0.22 + 0.3 * deep), 1.0)
        });
    }

    /// The lower edge of the hair at a place `-1..=1` across the head.
    fn hair_edge(&self, across: f32) -> f32 {
        let side = self.eye[1] + 0.04;
        let corner = (across / 0.94).abs();
        let bare = self.hairline
            + (side - self.hairline) * corner.powf(between(4.2, 9.0, self.recession))
            - 0.13 * self.recession * smooth_ramp(corner, 0.25, 0.7);
        let parting = 1.1 * (self.identity.parting - 0.5);
        let swept = smooth_ramp((across - parting).abs(), 0.0, 0.85);
        let straight = smooth_ramp(self.identity.fringe, 0.75, 0.95);
        let cover = self.fringe * between(swept, 0.9, straight);
        let locks = 0.03 * cover * (across * 8.0 + 2.0 * self.identity.details[32]).sin();
        let wave = 0.02 * self.identity.hair_curl * (across * 21.0).sin() * (1.0 - corner.powi(4));
        let fringed = between(self.hairline, self.brow_y - 0.035, cover) + locks;
        bare.max(fringed.min(side)) + wave
    }

    /// The outline of the hair in front: around the rim from ear to ear, and back along its edge.
    fn front_outline(&self) -> Vec<Point> {
        let volume = self.hair_volume;
        let rise = self.widest - self.top;
        let low = self.eye[1] + 0.06;
        let mut through = vec![[-self.half_width * 0.985, low]];
        for step in 0..=28 {
            let along = step as f32 / 28.0;
            let (sine, cosine) = (PI * along).sin_cos();
            // Hair that goes bald lies flat, the more so the nearer to the crown.
            let flat = smooth_ramp(self.baldness, 0.0, 0.45) * smooth_ramp(sine, 0.1, 0.8);
            let kept = 1.0 - flat;
            let volume = volume * kept;
            let bulge = 1.0 + self.bulge(along, 12.0) * kept;
            let lean = 0.4 * volume * (self.identity.parting - 0.5) * sine;
            let across = (self.half_width + 0.55 * volume) * cosine.abs().powf(0.9);
            through.push([
                (-across * cosine.signum() + lean) * bulge,
                self.widest - (rise + volume) * sine * bulge,
            ]);
        }
        through.push([self.half_width * 0.985, low]);
        for step in 0..=26 {
            let across = 0.94 - 1.88 * step as f32 / 26.0;
            through.push([across * self.half_width, self.hair_edge(across)]);
        }
        smooth_outline(&through)
    }

    /// How much hair covers a position of the head, where it has thinned.
    fn cover(&self, x: f32, y: f32) -> f32 {
        let crown = (x / (0.86 * self.half_width)).powi(2)
            + ((y - self.top - 0.12) / (0.6 * (self.widest - self.top))).powi(2);
        let bare = 1.25 * self.baldness;
        let kept = smooth_ramp(crown, bare - 0.55, bare + 0.2);
        let kept = between(1.0, kept, smooth_ramp(self.baldness, 0.0, 0.35));
        // Above the scalp there is hair only where it is dense.
        let out = length(
            x / self.half_width,
            (y - self.widest) / (self.widest - self.top),
        );
        let above = smooth_ramp(out, 0.97, 1.03);
        self.hair_density * between(kept, kept * smooth_ramp(kept, 0.3, 1.0), above)
    }

    /// The least of the cover along a strand.
    fn least_cover(&self, line: &[Point]) -> f32 {
        let covers = line.iter().skip(2).map(|[x, y]| self.cover(*x, *y));
        covers.fold(1.0, f32::min)
    }

    pub(super) fn paint_hair_in_front(&self, canvas: &mut Canvas, head: &Mask) {
        let outline = self.front_outline();
        let sharp = canvas.mask(&outline);
        let lowered: Vec<Point> = outline.iter().map(|[x, y]| [*x, y + 0.035]).collect();
        let shadow = canvas.mask(&lowered);
        let shadow = canvas.softened(&shadow, 0.06).limit_to(head);
        let dark = self.skin.shaded(0.45);
        canvas.paint(&shadow, |x, y| (dark, 0.5 * self.cover(x, y)));
        let front = canvas.softened(&sharp, 0.02);
        let middle = self.widest;
        let rise = self.widest - self.top;
        let gloss = between(0.75, 0.4, self.decline);
        canvas.paint(&front, |x, y| {
            let out = length(x / self.half_width, (y - middle) / rise);
            let band = (1.0 - ((out - 0.86) / 0.14).powi(2)).max(0.0);
            let lit = (0.55 + 0.6 * x * self.shot.light - 0.4 * (y - middle)).clamp(0.0, 1.0);
            let colour = self.hair_at(x, y).shaded(0.3 * smooth_ramp(out, 0.9, 1.15));
            let shine = 0.26 * gloss * band * lit;
            (colour.mix(WHITE, shine), self.cover(x, y))
        });
        self.paint_strands(canvas, &front);
        self.paint_side_locks(canvas);
    }

    /// A line that curls as this person's hair does.
    fn curled(&self, line: &[Point], phase: f32) -> Vec<Point> {
        let size = 0.022 * smooth_ramp(self.identity.hair_curl, 0.1, 0.7);
        line.iter()
            .enumerate()
            .map(|(index, [x, y])| {
                let angle = 1.15 * index as f32 + 6.0 * phase;
                [x + size * angle.sin(), y + size * angle.cos()]
            })
            .collect()
    }

    /// Strands that run from the parting to the edge.
    fn paint_strands(&self, canvas: &mut Canvas, front: &Mask) {
        const STRANDS: usize = 26;
        let w = self.half_width;
        let parting = 0.7 * (self.identity.parting - 0.5) * w;
        let root_y = self.top - 0.4 * self.hair_volume;
        for strand in 0..STRANDS {
            let wobble = self.identity.details[strand];
            let across = -1.06 + 2.12 * (strand as f32 + 0.5 + 0.4 * wobble) / STRANDS as f32;
            let end = if across.abs() > 0.93 {
                [across.signum() * w * 1.02, self.eye[1] - 0.1 * wobble]
            } else {
                [across * w, self.hair_edge(across)]
            };
            let bend = 0.06 * self.identity.hair_curl * wobble;
            let line = smooth_line(&[
                [parting + 0.12 * across * w, root_y + 0.02],
                [
                    between(parting, across * w * 1.12, 0.55) + bend,
                    between(root_y, end[1], 0.18),
                ],
                [across * w * 1.06 - bend, between(root_y, end[1], 0.6)],
                end,
            ]);
            let middle = line[line.len() / 2];
            let cover = self.least_cover(&line);
            let ink = if strand % 3 == 1 {
                (
                    self.hair_at(middle[0], middle[1]).mix(WHITE, 0.3),
                    0.4 * cover,
                )
            } else {
                (self.hair_line(middle[0], middle[1]), 0.36 * cover)
            };
            let line = self.curled(&line, wobble);
            canvas.line_inside(front, &line, 0.022, Taper::BothEnds, ink);
        }
        // Single grey hairs come before the colour turns.
        let grey = self.grey_hair.mix(WHITE, 0.3);
        let shown = 4.0 * self.grey * (1.0 - self.grey);
        for strand in 0..14 {
            let wobble = self.identity.details[strand + 8];
            let side = if strand % 2 == 0 { -1.0 } else { 1.0 };
            let across = side * (0.95 - 0.4 * (strand / 2) as f32 / 7.0 + 0.05 * wobble);
            let end = [across * w, self.hair_edge(across.clamp(-0.93, 0.93))];
            let line = smooth_line(&[
                [between(parting, across * w, 0.7), root_y + 0.1],
                [across * w * 1.05, between(root_y, end[1], 0.6)],
                end,
            ]);
            let cover = self.least_cover(&line);
            canvas.line_inside(
                front,
                &line,
                0.016,
                Taper::BothEnds,
                (grey, 0.6 * shown * cover),
            );
        }
    }

    /// Hair that falls beside the face in front of the ears and shoulders.
    fn paint_side_locks(&self, canvas: &mut Canvas) {
        // Short locks are narrow before they are thin.
        let grown = smooth_ramp(self.falling_length(), 0.12, 0.3);
        let shown = ramp(grown, 0.0, 0.25) * ramp(self.hair_density, 0.4, 0.8);
        if shown <= 0.0 {
            return;
        }
        let w = self.half_width;
        let end = self.hair_end();
        let outside = w + between(-0.06, 0.8 * self.hair_volume, grown);
        let curl = self.identity.hair_curl;
        for side in [-1.0, 1.0] {
            let wave = |y: f32| 0.03 * (0.3 + curl) * (5.0 * y + 2.0 * side).sin();
            let mut outline = vec![[w * 0.72, self.top + 0.22], [w * 1.0, -0.3]];
            let steps = 6;
            let flare = |along: f32| 0.05 * (PI * 0.8 * along).sin() - 0.05 * along.powi(4);
            for step in 0..=steps {
                let along = step as f32 / steps as f32;
                let y = between(-0.1, end, along);
                let x = outside + flare(along) + wave(y) * along + self.bulge(along, 6.0);
                outline.push([x, y]);
            }
            outline.push([(outside - 0.07).max(w * 0.93), end + 0.05 * grown]);
            for step in 0..=steps {
                let along = 1.0 - step as f32 / steps as f32;
                let y = between(-0.1, end, along);
                let face = between(w * 0.925, (outside - 0.12).max(w * 0.91), along.powi(3));
                outline.push([face + wave(y) * along, y]);
            }
            outline.push([w * 0.9, -0.3]);
            let lock = canvas.mask(&smooth_outline(&on_side(&outline, side)));
            canvas.paint(&lock, |x, y| {
                let inner = smooth_ramp(w - x.abs(), -0.1, 0.08);
                let tip = 0.2 * smooth_ramp(y, 0.3, 1.0);
                (self.hair_at(x, y).shaded(0.22 * inner + tip), shown)
            });
            for strand in 0..5 {
                let place = (strand as f32 + 0.5) / 5.0;
                let wobble = 0.02 * self.identity.details[strand + 33];
                let line: Vec<Point> = (0..=8)
                    .map(|step| {
                        let along = step as f32 / 8.0;
                        let y = between(-0.25, end, along);
                        let x = between(w * 0.93, outside + 0.03, place);
                        [(x + wave(y) * along + wobble * along) * side, y]
                    })
                    .collect();
                let ink = if strand % 2 == 0 {
                    (self.hair_line(w * side, 0.3), 0.4 * shown)
                } else {
                    (self.hair_at(w * side, 0.3).mix(WHITE, 0.3), 0.35 * shown)
                };
                canvas.line_inside(&lock, &smooth_line(&line), 0.022, Taper::BothEnds, ink);
            }
        }
    }
}
