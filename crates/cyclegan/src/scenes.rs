//! Procedural landscapes that can be seen both ways: a stand-in for CycleGAN's monet2photo (Zhu et
//! al. 2017, section 5.2) in which the right translation of every picture is known.
//!
//! A scene is first designed (every random choice is made, or left to a seed that is kept), then
//! surveyed: each point of the picture learns what is seen there, how brightly it is lit, how far
//! away it is and which way a brush would go. The survey is the same for both domains; only the
//! palette and the texture differ. The photograph shades it smoothly in cool, natural colours with
//! a little grain. The painting covers it with brush strokes in warm and violet colours.
//!
//! Every material has its own pair of palettes, so no single shift of all colours turns one domain
//! into the other, yet each colour of one domain has one counterpart in the other.
//!
//! Positions are fractions of the picture: x grows to the right, y downwards, both `0..=1`.

mod render;
mod survey;

use rand::{Rng, RngExt};

/// The smallest side, in pixels, that a scene is shown at; smaller requests are raised to it.
pub const SMALLEST_SCENE: u32 = 64;

/// The largest side, in pixels, that a scene is shown at; larger requests are lowered to it.
pub const LARGEST_SCENE: u32 = 512;

// ---------------------------------------------------------------------------------------------
// Randomness
// ---------------------------------------------------------------------------------------------

/// A number between `low` and `high`, all equally likely.
fn between(rng: &mut impl Rng, low: f32, high: f32) -> f32 {
    low + (high - low) * rng.random::<f32>()
}

/// Whether an event of the given probability happens.
fn happens(rng: &mut impl Rng, probability: f32) -> bool {
    rng.random::<f32>() < probability
}

/// A number in `0..1` that depends on nothing but its arguments.
fn hash(seed: u32, a: i32, b: i32) -> f32 {
    let mut bits = (seed ^ (seed >> 16))
        .wrapping_add((a as u32).wrapping_mul(0x9E37_79B1))
        .wrapping_add((b as u32).wrapping_mul(0x85EB_CA77));
    bits = (bits ^ (bits >> 15)).wrapping_mul(0x2C1B_3C6D);
    bits = (bits ^ (bits >> 13)).wrapping_mul(0x297A_2D39);
    // The upper 24 bits, which a float holds exactly.
    (bits >> 8) as i32 as f32 * (1.0 / 16_777_216.0)
}

/// Smooth noise in `0..1` with one bump per unit of length.
fn noise(seed: u32, x: f32, y: f32) -> f32 {
    // A conversion and a comparison: `floor` is a slow call on processors without it.
    let [column, row] = [x, y].map(|t| t as i32 - i32::from(t < 0.0));
    let [u, v] = [x - column as f32, y - row as f32].map(|t| t * t * (3.0 - 2.0 * t));
    let upper = blend(hash(seed, column, row), hash(seed, column + 1, row), u);
    let lower = blend(
        hash(seed, column, row + 1),
        hash(seed, column + 1, row + 1),
        u,
    );
    blend(upper, lower, v)
}

/// Noise in `0..1` with details down to `2^-octaves` of a unit.
fn layered_noise(seed: u32, x: f32, y: f32, octaves: u32) -> f32 {
    let (mut sum, mut weight, mut scale) = (0.0, 0.0, 1.0);
    for octave in 0..octaves {
        sum += noise(seed.wrapping_add(octave), x * scale, y * scale) / scale;
        weight += 1.0 / scale;
        scale *= 2.0;
    }
    sum / weight
}

fn blend(from: f32, to: f32, fraction: f32) -> f32 {
    from + (to - from) * fraction
}

/// Rises smoothly from 0 at `low` to 1 at `high`.
fn ramp(low: f32, high: f32, value: f32) -> f32 {
    let t = ((value - low) / (high - low)).clamp(0.0, 1.0);
    t * t * (3.0 - 2.0 * t)
}

// ---------------------------------------------------------------------------------------------
// The design
// ---------------------------------------------------------------------------------------------

/// What a stretch of land consists of.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Land {
    Peaks,
    Forest,
    Meadow,
    Water,
}

/// Land that reaches from its crest down to a lower edge, across the whole picture.
#[derive(Clone, Debug)]
struct Band {
    land: Land,
    foot: f32,
    height: f32,
    /// Bumps of the crest across the picture.
    bumps: f32,
    /// `-1` high on the left only, `1` on the right only, `0` everywhere.
    lean: f32,
    haze: f32,
    tint: f32,
    /// Share of the meadow with flowers, or of the peaks with snow.
    cover: f32,
    seed: u32,
}

impl Band {
    fn crest(&self, x: f32) -> f32 {
        let along = x * self.bumps;
        let profile = match self.land {
            Land::Peaks => {
                let [mut sum, mut size, mut scale] = [0.0, 0.62, 1.0];
                for octave in 0..4 {
                    let seed = self.seed.wrapping_add(octave);
                    sum += size * (1.0 - (2.0 * noise(seed, along * scale, 0.5) - 1.0).abs());
                    (size, scale) = (size * 0.42, scale * 2.1);
                }
                sum
            }
            Land::Forest => {
                noise(self.seed, along, 0.5) + 0.09 * layered_noise(self.seed, along * 14.0, 9.5, 2)
            }
            Land::Meadow | Land::Water => noise(self.seed, along, 0.5),
        };
        let side = if self.lean == 0.0 {
            1.0
        } else {
            ramp(-0.35, 0.5, (x - 0.5) * self.lean)
        };
        self.foot - self.height * profile * side
    }
}

/// A river or a path that winds towards the horizon.
#[derive(Clone, Debug)]
struct Ribbon {
    wet: bool,
    top: f32,
    from: f32,
    to: f32,
    winding: f32,
    phase: f32,
    width: f32,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum TreeKind {
    Round,
    Poplar,
    Conifer,
}

#[derive(Clone, Debug)]
struct Tree {
    kind: TreeKind,
    x: f32,
    foot: f32,
    height: f32,
    slenderness: f32,
    haze: f32,
    tint: f32,
    seed: u32,
}

#[derive(Clone, Debug)]
struct House {
    x: f32,
    foot: f32,
    width: f32,
    haze: f32,
    slate: f32,
    /// Height of the church tower in widths, `0` for a cottage.
    tower: f32,
}

#[derive(Clone, Debug)]
struct Boat {
    x: f32,
    foot: f32,
    size: f32,
    heading: f32,
}

#[derive(Clone, Debug)]
struct Haystack {
    x: f32,
    foot: f32,
    size: f32,
    seed: u32,
}

#[derive(Clone, Debug)]
enum Item {
    Band(Band),
    Ribbon(Ribbon),
    Tree(Tree),
    House(House),
    Boat(Boat),
    Haystack(Haystack),
}

/// The design of one landscape: everything that is decided about it before it is seen.
#[derive(Clone, Debug)]
pub struct Scene {
    seed: u32,
    horizon: f32,
    sun: [f32; 2],
    /// How much of the day is over: `0` noon, `1` sunset.
    evening: f32,
    clouds: f32,
    wind: f32,
    /// What stands before the sky, from the farthest to the nearest.
    items: Vec<Item>,
}

/// What surrounds the viewer.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Setting {
    Lake,
    Coast,
    River,
    Fields,
}

impl Scene {
    /// Designs a landscape.
    ///
    /// The design depends on nothing but the state of `rng`; all later randomness, down to single
    /// brush strokes, comes from a seed drawn here.
    pub fn design(rng: &mut impl Rng) -> Self {
        let evening = if happens(rng, 0.35) {
            between(rng, 0.65, 1.0)
        } else {
            between(rng, 0.0, 0.2)
        };
        let horizon = between(rng, 0.42, 0.58);
        let sun = [
            between(rng, 0.12, 0.88),
            if evening > 0.5 {
                horizon - between(rng, 0.12, 0.24)
            } else {
                between(rng, -0.15, 0.15)
            },
        ];
        let mut scene = Self {
            seed: rng.random(),
            horizon,
            sun,
            evening,
            clouds: between(rng, 0.15, 0.85),
            wind: between(rng, -0.4, 0.4),
            items: Vec::new(),
        };
        let setting = [
            Setting::Lake,
            Setting::Coast,
            Setting::River,
            Setting::Fields,
        ][rng.random_range(0..4)];
        let autumn = if happens(rng, 0.3) {
            between(rng, 0.6, 1.0)
        } else {
            between(rng, 0.0, 0.25)
        };
        scene.raise_land(rng, setting);
        let far = scene.horizon + 0.004;
        if setting == Setting::Lake {
            scene.plant_far_bank(rng, autumn, far);
            let water = scene.band(rng, Land::Water, [far, 0.0], 0.1);
            scene.items.push(Item::Band(water));
        } else if setting == Setting::Coast {
            let water = scene.band(rng, Land::Water, [far - 0.002, 0.0], 0.1);
            scene.items.push(Item::Band(water));
        } else {
            scene.lay_meadows(rng, setting, autumn);
        }
        if matches!(setting, Setting::Lake | Setting::Coast) {
            let mut distance = between(rng, 0.02, 0.06);
            for _ in 0..rng.random_range(0..4) {
                scene.items.push(Item::Boat(Boat {
                    x: between(rng, 0.1, 0.9),
                    foot: far + distance,
                    size: 0.05 + 0.5 * distance,
                    heading: if happens(rng, 0.5) { 1.0 } else { -1.0 },
                }));
                distance += between(rng, 0.02, 0.08);
            }
        }
        scene.plant_foreground(rng, autumn);
        scene
    }

    fn band(&self, rng: &mut impl Rng, land: Land, [foot, height]: [f32; 2], haze: f32) -> Band {
        Band {
            land,
            foot,
            height,
            bumps: between(rng, 1.3, 3.0),
            lean: 0.0,
            haze,
            tint: 0.0,
            cover: 0.0,
            seed: rng.random(),
        }
    }

    /// Peaks and wooded hills beyond the horizon.
    fn raise_land(&mut self, rng: &mut impl Rng, setting: Setting) {
        let foot = self.horizon + 0.012;
        let ranges = if setting == Setting::Coast {
            rng.random_range(0..2)
        } else {
            rng.random_range(0..3)
        };
        for range in 0..ranges {
            let height = between(rng, 0.2, 0.36) * (1.0 - 0.3 * range as f32);
            let haze = between(rng, 0.45, 0.62) - 0.25 * range as f32;
            let mut band = self.band(rng, Land::Peaks, [foot, height], haze);
            band.cover = between(rng, 0.0, 1.0) * (1 - range) as f32;
            self.items.push(Item::Band(band));
        }
        let hills = if setting == Setting::Coast {
            rng.random_range(1..3)
        } else {
            rng.random_range(i32::from(ranges == 0)..3)
        };
        for hill in 0..hills {
            let height = between(rng, 0.08, 0.17) * (1.0 - 0.25 * hill as f32);
            let haze = between(rng, 0.3, 0.42) - 0.15 * hill as f32;
            let mut band = self.band(rng, Land::Forest, [foot, height], haze);
            if setting == Setting::Coast || happens(rng, 0.3) {
                band.lean = if happens(rng, 0.5) { 1.0 } else { -1.0 };
                band.height *= 1.4;
            }
            self.items.push(Item::Band(band));
        }
    }

    /// Trees and houses at the far end of the plain, which a lake reflects.
    fn plant_far_bank(&mut self, rng: &mut impl Rng, autumn: f32, foot: f32) {
        let middle = between(rng, 0.1, 0.9);
        for _ in 0..rng.random_range(3..11) {
            let x = middle + between(rng, -0.32, 0.32);
            let height = between(rng, 0.05, 0.1);
            self.plant(rng, [x, foot + 0.004], height, 0.28, autumn, [0.6, 0.15]);
        }
        if happens(rng, 0.6) {
            let house = House {
                x: between(rng, 0.12, 0.78),
                foot: foot + 0.008,
                width: between(rng, 0.1, 0.15),
                haze: 0.14,
                slate: if happens(rng, 0.4) { 1.0 } else { 0.0 },
                tower: if happens(rng, 0.35) {
                    between(rng, 0.8, 1.1)
                } else {
                    0.0
                },
            };
            self.items.push(Item::House(house));
        }
    }

    /// Rolling meadows with a river or a path, trees, houses and haystacks.
    fn lay_meadows(&mut self, rng: &mut impl Rng, setting: Setting, autumn: f32) {
        let foot = self.horizon + 0.015;
        let mut plain = self.band(rng, Land::Meadow, [foot, 0.02], 0.22);
        plain.tint = autumn * between(rng, 0.4, 1.0);
        self.items.push(Item::Band(plain));
        self.plant_far_bank(rng, autumn, foot + 0.012);
        let river = setting == Setting::River;
        if !river {
            let step = between(rng, 0.12, 0.2);
            let mut field = self.band(rng, Land::Meadow, [foot + step, 0.1], 0.1);
            field.tint = between(rng, 0.0, 1.0);
            field.lean = if happens(rng, 0.5) { 1.0 } else { -1.0 };
            field.cover = between(rng, -0.3, 0.4);
            self.items.push(Item::Band(field));
        }
        if river || happens(rng, 0.45) {
            let top = foot + if river { 0.03 } else { 0.1 };
            self.items.push(Item::Ribbon(Ribbon {
                wet: river,
                top,
                from: between(rng, 0.3, 0.7),
                to: between(rng, 0.2, 0.8),
                winding: between(rng, 0.05, 0.14),
                phase: between(rng, 0.0, 6.3),
                width: if river {
                    between(rng, 0.22, 0.42)
                } else {
                    between(rng, 0.08, 0.13)
                },
            }));
        }
        let stacks = if !river && happens(rng, 0.5) {
            rng.random_range(1..4)
        } else {
            0
        };
        for stack in 0..stacks {
            let size = between(rng, 0.09, 0.13) * (1.0 + 0.35 * stack as f32);
            self.items.push(Item::Haystack(Haystack {
                x: between(rng, 0.1, 0.9),
                foot: foot + 0.13 + 0.075 * stack as f32 + 0.3 * size,
                size,
                seed: rng.random(),
            }));
        }
    }

    /// The bank the viewer stands on, and large trees at its sides.
    fn plant_foreground(&mut self, rng: &mut impl Rng, autumn: f32) {
        let side = if happens(rng, 0.5) { 1.0 } else { -1.0 };
        let height = between(rng, 0.1, 0.24);
        let foot = between(rng, 0.94, 1.04);
        let mut bank = self.band(rng, Land::Meadow, [foot, height], 0.0);
        bank.lean = side;
        bank.tint = autumn * between(rng, 0.3, 1.0);
        bank.cover = between(rng, -0.2, 0.8);
        let crest = bank.clone();
        self.items.push(Item::Band(bank));
        let row = happens(rng, 0.3);
        let count = if row {
            rng.random_range(3..6)
        } else {
            rng.random_range(1..4)
        };
        let kinds = if row {
            [-1.0, 1.1]
        } else {
            [between(rng, 0.3, 1.0), 0.1]
        };
        for tree in 0..count {
            let x = if row {
                0.5 + side * (0.46 - 0.11 * tree as f32)
            } else {
                0.5 + side * between(rng, 0.16, 0.5) * if tree == 2 { -1.0 } else { 1.0 }
            };
            let foot = crest.crest(x) + between(rng, 0.01, 0.07);
            let height = between(rng, 0.3, 0.52) * if row { 0.95 } else { 1.0 };
            self.plant(rng, [x, foot], height, 0.02, autumn, kinds);
        }
    }

    /// Plants a tree: `round` and `poplar` are the shares of those kinds, the rest are conifers.
    fn plant(
        &mut self,
        rng: &mut impl Rng,
        [x, foot]: [f32; 2],
        height: f32,
        haze: f32,
        autumn: f32,
        [round, poplar]: [f32; 2],
    ) {
        let draw: f32 = rng.random();
        self.items.push(Item::Tree(Tree {
            kind: match draw {
                _ if draw < round => TreeKind::Round,
                _ if draw < round.max(0.0) + poplar => TreeKind::Poplar,
                _ => TreeKind::Conifer,
            },
            x,
            foot,
            height,
            slenderness: between(rng, 0.8, 1.2),
            haze,
            tint: (autumn + between(rng, -0.2, 0.2)).clamp(0.0, 1.0),
            seed: rng.random(),
        }));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::RgbImage;
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    fn generator(seed: u64) -> ChaCha8Rng {
        ChaCha8Rng::seed_from_u64(seed)
    }

    fn pair(seed: u64, side: u32) -> [RgbImage; 2] {
        let scene = Scene::design(&mut generator(seed));
        [scene.painting(side), scene.photograph(side)]
    }

    fn mean_colour(image: &RgbImage) -> [f64; 3] {
        let mut sum = [0.0; 3];
        for pixel in image.pixels() {
            for (sum, value) in sum.iter_mut().zip(pixel.0) {
                *sum += f64::from(value);
            }
        }
        sum.map(|value| value / image.pixels().len() as f64)
    }

    #[test]
    fn the_same_generator_state_gives_the_same_bytes() {
        assert_eq!(pair(3, 64), pair(3, 64));
        let (first, second) = (pair(3, 64), pair(4, 64));
        assert!(first[0] != second[0] && first[1] != second[1]);
    }

    #[test]
    fn the_order_of_the_renderings_does_not_matter() {
        let scene = Scene::design(&mut generator(8));
        let photograph = scene.photograph(64);
        assert_eq!([scene.painting(64), photograph], pair(8, 64));
    }

    #[test]
    fn the_side_is_exact_and_limited() {
        let scene = Scene::design(&mut generator(1));
        for (side, expected) in [(64, 64), (65, 65), (100, 100), (0, 64)] {
            assert_eq!(scene.painting(side).dimensions(), (expected, expected));
            assert_eq!(scene.photograph(side).dimensions(), (expected, expected));
        }
        assert_eq!(scene.photograph(5000).dimensions(), (512, 512));
    }

    #[test]
    fn a_larger_picture_shows_the_same_scene() {
        for seed in 0..8 {
            for (small, large) in pair(seed, 64).iter().zip(pair(seed, 128)) {
                let reduced = image::imageops::thumbnail(&large, 64, 64);
                let difference: f64 = small
                    .iter()
                    .zip(reduced.iter())
                    .map(|(&a, &b)| f64::from(a.abs_diff(b)))
                    .sum::<f64>()
                    / small.len() as f64;
                assert!(difference < 8.0, "scene {seed}: {difference}");
            }
        }
    }

    #[test]
    fn paintings_are_redder_and_warmer_than_photographs() {
        for seed in 0..40 {
            let [painting, photograph] = pair(seed, 64);
            let [painted, seen] = [&painting, &photograph].map(mean_colour);
            assert!(
                painted[0] > seen[0] + 15.0,
                "scene {seed}: {painted:?} {seen:?}"
            );
            let [warmth, before] = [painted, seen].map(|[red, _, blue]| red - blue);
            assert!(warmth > before, "scene {seed}: {painted:?} {seen:?}");
        }
    }

    #[test]
    fn every_thing_occurs() {
        let mut rng = generator(5);
        let mut counts = [0; 8];
        for _ in 0..60 {
            for item in Scene::design(&mut rng).items {
                let kind = match item {
                    Item::Band(band) => band.land as usize,
                    Item::Ribbon(_) => 4,
                    Item::Tree(_) => 5,
                    Item::House(_) | Item::Haystack(_) => 6,
                    Item::Boat(_) => 7,
                };
                counts[kind] += 1;
            }
        }
        assert!(counts.iter().all(|&count| count >= 10), "{counts:?}");
    }

    #[test]
    fn noise_is_smooth_and_within_its_range() {
        let mut last = noise(7, -3.0, 0.4);
        for step in -299..300 {
            let value = noise(7, step as f32 * 0.01, 0.4);
            assert!((0.0..=1.0).contains(&value) && (value - last).abs() < 0.03);
            last = value;
        }
    }
}
