//! What surfaces look like.

use super::canvas::{Colour, Point, lit, mix};
use super::noise::{grain, natural, noise, ramp, split};

/// The structure of a surface.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Plaster,
    Brick,
    Stone,
    Wood,
    Planks,
    Weave,
    Plaid,
    Knit,
    Roof,
    Gravel,
    Stripes,
    Paper,
    Metal,
}

/// A surface: its structure, two colours, the size of its details in units of the scene, the cosine and sine of its
/// direction, and its chance.
#[derive(Debug, Clone, Copy)]
pub(super) struct Material {
    pub(super) kind: Kind,
    pub(super) base: Colour,
    pub(super) second: Colour,
    pub(super) size: f32,
    pub(super) turn: Point,
    pub(super) seed: u32,
}

impl Material {
    /// The colour at a place of the scene.
    pub(super) fn at(&self, x: f32, y: f32) -> Colour {
        let [cosine, sine] = self.turn;
        let [u, v] = [cosine * x + sine * y, cosine * y - sine * x].map(|at| at / self.size);
        let (base, second, seed) = (self.base, self.second, self.seed);
        match self.kind {
            Kind::Plaster => {
                let coarse = natural(seed, 0.25 * u, 0.25 * v, 2);
                let fine = noise(seed ^ 9, 4.0 * u, 4.0 * v);
                lit(
                    mix(base, second, ramp(0.5, 0.8, coarse)),
                    0.86 + 0.2 * coarse + 0.1 * fine,
                )
            }
            Kind::Brick => self.bricks(u, v, 2.6, 0.09, 0.03),
            Kind::Stone => self.bricks(u, v, 1.5, 0.1, 0.22),
            Kind::Wood => self.grain_of_wood(u, v),
            Kind::Planks => {
                let (plank, within) = split(v * 0.5);
                let tint = 0.85 + 0.3 * grain(seed, plank, 3);
                let shift = 17.0 * grain(seed, plank, 4);
                let gap = ramp(0.0, 0.045, within) * ramp(0.0, 0.03, 1.0 - within);
                let nail = {
                    let (_, along) = split((u + shift) / 7.0);
                    let [dx, dy] = [7.0 * (along - 0.5), 2.0 * (within - 0.5)];
                    ramp(0.06, 0.12, (dx * dx + dy * dy).sqrt())
                };
                let wood = self.grain_of_wood(u + shift, v + 0.7 * plank as f32);
                lit(wood, tint * (0.25 + 0.75 * gap) * (0.5 + 0.5 * nail))
            }
            Kind::Weave => {
                let ((column, s), (row, t)) = (split(u), split(v));
                let is_across = (column + row) & 1 == 0;
                let (over, along, colour) = if is_across {
                    (t, s, base)
                } else {
                    (s, t, second)
                };
                let round = 1.0 - (2.0 * over - 1.0).powi(2);
                let bow = 0.65 + 0.35 * (1.0 - (2.0 * along - 1.0).powi(2));
                let thread = 0.9
                    + 0.2
                        * grain(
                            seed,
                            column * i32::from(!is_across),
                            row * i32::from(is_across),
                        );
                lit(colour, thread * (0.45 + 0.6 * round * bow))
            }
            Kind::Plaid => {
                let band = |at: f32, salt: i32| {
                    let (_, within) = split(at / 9.0);
                    let wide = f32::from(within < 0.45);
                    let thin = f32::from((0.66..0.74).contains(&within));
                    (wide, thin * (0.5 + 0.5 * grain(seed, salt, 0)))
                };
                let ((wide_x, thin_x), (wide_y, thin_y)) = (band(u, 1), band(v, 2));
                let ground = mix(base, second, 0.5 * (wide_x + wide_y));
                let colour = mix(ground, [0.93, 0.9, 0.82], 0.45 * (thin_x + thin_y));
                let (_, twill) = split(1.4 * (u + v));
                lit(colour, 0.8 + 0.25 * ramp(0.0, 0.5, (twill - 0.5).abs()))
            }
            Kind::Knit => {
                let (column, s) = split(u);
                let slant = (s - 0.5).abs();
                let (row, t) = split(v * 1.3 + 1.1 * slant);
                let loop_of = ramp(0.0, 0.35, 0.5 - (t - 0.5).abs())
                    * ramp(0.0, 0.12, slant)
                    * ramp(0.0, 0.15, 0.5 - slant);
                let pattern =
                    ((row.rem_euclid(8) - 4).abs() + (column.rem_euclid(8) - 4).abs()) % 4 == 0;
                let fibre = noise(seed, 9.0 * u, 5.0 * t);
                let colour = if pattern { second } else { base };
                lit(colour, 0.42 + 0.5 * loop_of + 0.2 * fibre)
            }
            Kind::Roof => {
                let (row, t) = split(v);
                let (column, s) = split(u * 0.8 + 0.5 * (row & 1) as f32);
                let edge = 0.25 + 0.7 * (1.0 - (2.0 * s - 1.0).powi(2)).max(0.0).sqrt();
                let tint = 0.75 + 0.4 * grain(seed, column, row);
                let is_upper = ramp(-0.04, 0.04, t - edge);
                let shadow = 1.0 - 0.5 * is_upper * ramp(0.45, 0.0, t - edge);
                let moss = ramp(0.55, 0.85, natural(seed ^ 5, 0.3 * u, 0.3 * v, 2));
                let tone = (0.7 + 0.35 * t) * tint * shadow;
                lit(mix(base, second, 0.6 * moss), tone)
            }
            Kind::Gravel => {
                let (mut near, mut which) = (9.0f32, 0.5);
                let ((column, s), (row, t)) = (split(u), split(v));
                for cell in 0..9 {
                    let (i, j) = (cell % 3 - 1, cell / 3 - 1);
                    let place = grain(seed, column + i, row + j);
                    let [dx, dy] = [
                        i as f32 + 0.2 + 0.6 * place - s,
                        j as f32 + 0.2 + 0.6 * split(place * 57.0).1 - t,
                    ];
                    let far = dx * dx + dy * dy;
                    if far < near {
                        (near, which) = (far, place);
                    }
                }
                lit(
                    mix(base, second, which),
                    (1.15 - 1.1 * near) * (0.8 + 0.3 * split(which * 13.0).1),
                )
            }
            Kind::Stripes => {
                let (_, within) = split(u * 0.5);
                let share = ramp(0.47, 0.53, (2.0 * within - 1.0).abs());
                lit(
                    mix(base, second, share),
                    0.93 + 0.1 * noise(seed, 3.0 * u, 3.0 * v),
                )
            }
            Kind::Paper => lit(base, 0.94 + 0.08 * noise(seed, u, v)),
            Kind::Metal => {
                let brushed = noise(seed, 0.3 * u, 14.0 * v);
                let rust = ramp(0.62, 0.8, natural(seed ^ 3, 0.5 * u, 0.5 * v, 2));
                lit(mix(base, second, rust), 0.82 + 0.25 * brushed)
            }
        }
    }

    /// Rows of blocks, every other one shifted, with round corners and mortar.
    fn bricks(&self, u: f32, v: f32, length: f32, mortar: f32, round: f32) -> Colour {
        let (row, t) = split(v);
        let (column, s) = split(u / length + 0.5 * (row & 1) as f32);
        let chance = grain(self.seed, column, row);
        // From the edge of the block, inwards.
        let [dx, dy] = [
            (0.5 - (s - 0.5).abs()) * length - mortar - round,
            0.5 - (t - 0.5).abs() - mortar - round,
        ];
        let inside = if dx < 0.0 && dy < 0.0 {
            round - (dx * dx + dy * dy).sqrt()
        } else {
            dx.min(dy) + round
        };
        let rough = noise(self.seed ^ 77, 5.0 * u, 5.0 * v);
        let is_block = ramp(-0.03, 0.05, inside + 0.06 * (rough - 0.5));
        let grey = lit([0.72, 0.69, 0.64], 0.8 + 0.3 * rough);
        let tone = 0.72 + 0.36 * chance + 0.22 * (rough - 0.5);
        // Light from above: a bright upper and a dark lower edge.
        let relief = 1.0 + 0.18 * ramp(0.16, 0.0, inside) * if t < 0.5 { 1.0 } else { -1.4 };
        let block = mix(self.base, self.second, split(7.3 * chance).1.powi(3));
        mix(grey, lit(block, tone * relief), is_block)
    }

    fn grain_of_wood(&self, u: f32, v: f32) -> Colour {
        let bend = 1.4 * noise(self.seed, 0.12 * u, 0.45 * v);
        let (_, ring) = split(2.2 * v + 5.0 * bend);
        let fibre = noise(self.seed ^ 31, 0.7 * u, 16.0 * v);
        let pore = ramp(0.75, 0.95, noise(self.seed ^ 13, 1.2 * u, 9.0 * v));
        let dark = 0.65 * ramp(0.2, 1.0, ring) + 0.25 * fibre;
        lit(
            mix(self.base, self.second, dark.min(1.0)),
            1.0 - 0.35 * pore,
        )
    }
}
