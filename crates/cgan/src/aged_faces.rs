//! Procedural portraits whose age shows and whose person stays the same: a stand-in for UTKFace and
//! IMDB-WIKI when nothing has been downloaded.
//!
//! A picture is made of three things: an [`Identity`] (what stays: skin, bones, eyes, nose, mole,
//! hair colour, when greying starts), an age in years, and a [`Shot`] (what differs between two
//! photographs of one day: pose, light, expression, clothes). [`face`] combines them.
//!
//! What age does, in years:
//!
//! | signs | from .. to |
//! |---|---|
//! | round head, low and large features, small nose, thin brows fade | 0 .. 22 |
//! | jaw, brows, lashes, beard, nose bridge become those of an adult | 15 .. 23 |
//! | folds beside the nose, creases under the eyes | 25 .. 70 |
//! | lines on the forehead (three, one after the other), crow's feet | 30 .. 70 |
//! | grey hair and brows, from the temples | 40 .. 72 |
//! | receding or thinner hair, for the identities that lose it | 35 .. 75 |
//! | jowls, drooping lids, thinner lips, spots, longer nose and ears | 45 .. 85 |
//!
//! A face is first measured (every proportion, colour and strength at this age) and then painted back
//! to front on a supersampled canvas.

mod ageing;
mod features;
mod hair;
mod head;
mod identity;

pub use identity::{Identity, Shot};

use ageing::Look;
use gan_core::drawing::{Canvas, Colour, Placement};
use image::RgbImage;

/// The smallest side, in pixels, that [`face`] draws; smaller requests are raised to it.
pub const SMALLEST_FACE: u32 = 16;

/// The largest side, in pixels, that [`face`] draws; larger requests are lowered to it.
pub const LARGEST_FACE: u32 = 512;

/// The youngest and the oldest age, in years, that [`face`] draws.
pub const AGES: [f32; 2] = [0.0, 100.0];

/// Draws one portrait: `identity` at `age` years, photographed as `shot`.
///
/// The picture is square, 8-bit sRGB, with `side` pixels per side, brought into `16..=512`. The face
/// looks at the viewer and fills about three quarters of the width, as UTKFace's aligned crops. `age`
/// is brought into [`AGES`] (not a number counts as 0) and changes the picture smoothly. Equal
/// arguments give equal bytes.
pub fn face(side: u32, identity: &Identity, age: f32, shot: &Shot) -> RgbImage {
    let side = side.clamp(SMALLEST_FACE, LARGEST_FACE);
    let age = if age.is_nan() { AGES[0] } else { age };
    let look = Look::new(identity, age.clamp(AGES[0], AGES[1]), shot);
    let mut canvas = Canvas::new(
        side as usize,
        Placement {
            tilt: shot.tilt,
            scale: shot.scale,
            shift: shot.shift,
            turn: shot.turn,
            radius: [look.half_width, 0.95],
        },
    );
    look.paint(&mut canvas);
    canvas.average_down(|x, y, colour| look.lit(x, y, colour))
}

/// Shadows as skin has them.
trait Shaded {
    /// A warm shadow of this colour; 1 is the deepest.
    fn shaded(self, strength: f32) -> Self;
}

impl Shaded for Colour {
    fn shaded(self, strength: f32) -> Self {
        self.times([
            1.0 - 0.66 * strength,
            1.0 - 0.82 * strength,
            1.0 - 0.8 * strength,
        ])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use gan_core::random::Stream;

    fn person(seed: u64) -> Identity {
        Identity::draw(&mut Stream::new(seed, "identity", 0))
    }

    fn shot(seed: u64) -> Shot {
        Shot::draw(&mut Stream::new(seed, "shot", 0))
    }

    /// The mean of `|a - b|` over all bytes.
    fn difference(a: &RgbImage, b: &RgbImage) -> f32 {
        let sum: u32 = a
            .as_raw()
            .iter()
            .zip(b.as_raw())
            .map(|(a, b)| u32::from(a.abs_diff(*b)))
            .sum();
        sum as f32 / a.as_raw().len() as f32
    }

    /// The pixels of a rectangle in fractions of the picture, row by row.
    fn region(picture: &RgbImage, [left, top, right, bottom]: [f32; 4]) -> Vec<Vec<[f32; 3]>> {
        let side = picture.width() as f32;
        let columns = (left * side) as u32..(right * side) as u32;
        ((top * side) as u32..(bottom * side) as u32)
            .map(|y| {
                let pixel = |x| {
                    picture
                        .get_pixel(x, y)
                        .0
                        .map(|value| f32::from(value) / 255.0)
                };
                columns.clone().map(pixel).collect()
            })
            .collect()
    }

    fn mean_colour(picture: &RgbImage, place: [f32; 4]) -> [f32; 3] {
        let pixels = region(picture, place).concat();
        let mut mean = [0.0; 3];
        for pixel in &pixels {
            for channel in 0..3 {
                mean[channel] += pixel[channel] / pixels.len() as f32;
            }
        }
        mean
    }

    /// The mean height of steps from one row to the next: what lines across the forehead add to.
    fn line_energy(picture: &RgbImage, place: [f32; 4]) -> f32 {
        let rows = region(picture, place);
        let steps = rows.windows(2).flat_map(|pair| {
            let steps = pair[0].iter().zip(&pair[1]);
            steps
                .map(|(a, b)| (a[1] - b[1]).abs())
                .collect::<Vec<f32>>()
        });
        let steps: Vec<f32> = steps.collect();
        steps.iter().sum::<f32>() / steps.len() as f32
    }

    fn increases(values: &[f32]) -> bool {
        values.windows(2).all(|pair| pair[0] < pair[1])
    }

    const ABOVE_BROWS: [f32; 4] = [0.42, 0.27, 0.58, 0.37];
    const CHEEKS: [f32; 4] = [0.3, 0.58, 0.7, 0.66];
    const TOP_HAIR: [f32; 4] = [0.4, 0.1, 0.6, 0.15];

    #[test]
    fn equal_arguments_give_equal_bytes() {
        assert_eq!(person(3), person(3));
        assert_eq!(shot(3), shot(3));
        let picture = face(64, &person(3), 31.0, &shot(3));
        assert_eq!(picture, face(64, &person(3), 31.0, &shot(3)));
        assert_ne!(picture, face(64, &person(4), 31.0, &shot(3)));
        assert_ne!(picture, face(64, &person(3), 33.0, &shot(3)));
        assert_ne!(picture, face(64, &person(3), 31.0, &shot(4)));
    }

    // Other systems may round a sine or a power otherwise.
    #[cfg(all(target_os = "linux", target_arch = "x86_64"))]
    #[test]
    fn the_bytes_of_drawn_faces_are_pinned() {
        // FNV-1a.
        let mut sum = 0xcbf2_9ce4_8422_2325_u64;
        let mut add = |picture: RgbImage| {
            for byte in picture.into_raw() {
                sum = (sum ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
            }
        };
        for (seed, side) in [(0, 16), (1, 64), (2, 64), (3, 128), (4, 200)] {
            for age in [2.0, 33.0, 74.0] {
                add(face(side, &person(seed), age, &shot(seed)));
            }
        }
        assert_eq!(sum, 0xd8a2_d163_eb4e_45a6);
    }

    #[test]
    fn the_size_is_exact_and_limited() {
        for side in [16, 33, 64, 200] {
            let picture = face(side, &person(1), 20.0, &shot(1));
            assert_eq!(picture.dimensions(), (side, side));
        }
        assert_eq!(face(0, &person(1), 20.0, &shot(1)).width(), SMALLEST_FACE);
        assert_eq!(face(9999, &person(1), 20.0, &shot(1)).width(), LARGEST_FACE);
    }

    #[test]
    fn a_large_picture_is_the_small_one_with_more_pixels() {
        for seed in 0..6 {
            let large = face(256, &person(seed), 12.0 * seed as f32, &shot(seed));
            let small = face(64, &person(seed), 12.0 * seed as f32, &shot(seed));
            let shrunk = image::imageops::thumbnail(&large, 64, 64);
            assert!(difference(&small, &shrunk) < 1.5, "{seed}");
        }
    }

    #[test]
    fn nothing_panics_for_any_person_age_size_and_shot() {
        for seed in 0..1000_u64 {
            let side = if seed % 25 == 0 {
                16 + 240 * (seed as u32 / 25) / 40
            } else {
                16 + seed as u32 % 33
            };
            let mut identity = person(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15));
            // Corners of the space of identities too.
            if seed % 4 == 0 {
                let corner = seed / 4;
                for (place, field) in identity.fields().into_iter().enumerate() {
                    *field = ((corner * 7 + corner * place as u64 / 3) % 2) as f32;
                }
            }
            let age = [f32::NAN, -5.0, 0.0, 100.0, 1e9][seed as usize % 5];
            let age = if seed % 3 == 0 {
                age
            } else {
                seed as f32 % 101.0
            };
            let picture = face(side, &identity, age, &shot(u64::MAX - seed));
            assert_eq!(picture.dimensions(), (side, side));
        }
    }

    #[test]
    fn every_attribute_shows() {
        for (place, name) in Identity::ATTRIBUTES.iter().enumerate() {
            let mut most = 0;
            for (seed, age) in [
                (1, 8.0),
                (2, 30.0),
                (3, 30.0),
                (4, 52.0),
                (5, 70.0),
                (6, 52.0),
            ] {
                let pictures = [0.02, 0.98].map(|value| {
                    let mut identity = person(seed);
                    identity.mole = 1.0;
                    if *name == "glasses-shape" {
                        identity.glasses_start = 0.0;
                    }
                    *identity.fields()[place] = value;
                    face(64, &identity, age, &shot(seed))
                });
                let pixels = pictures[0].pixels().zip(pictures[1].pixels());
                let changed = pixels
                    .filter(|(a, b)| (0..3).any(|c| a.0[c].abs_diff(b.0[c]) > 8))
                    .count();
                most = most.max(changed);
                // The mole is less than two pixels wide.
                if most >= 4 {
                    break;
                }
            }
            assert!(most >= 4, "{name} changes {most} pixels");
        }
    }

    #[test]
    fn a_year_changes_little_and_a_decade_more() {
        for seed in 0..6 {
            let mut identity = person(seed);
            identity.glasses_start = 1.0;
            let at = |age: f32| face(64, &identity, age, &shot(seed));
            for decade in 0..9 {
                let age = 2.0 + 10.0 * decade as f32;
                let now = at(age);
                let soon = difference(&now, &at(age + 0.5));
                let later = difference(&now, &at(age + 10.0));
                // Small children's hair grows fast.
                let limit = if age < 10.0 { 6.0 } else { 1.5 };
                assert!(soon < limit, "{seed} at {age}: {soon} after half a year");
                assert!(
                    later > soon,
                    "{seed} at {age}: {later} after ten years, {soon} before"
                );
            }
        }
    }

    #[test]
    fn hair_greys_and_foreheads_wrinkle_with_age() {
        let ages = [32.0, 42.0, 52.0, 62.0, 72.0];
        let mut colourfulness = [0.0; 5];
        let mut energy = [0.0; 5];
        for seed in 0..12 {
            let mut identity = person(seed);
            identity.hair_loss = 0.0;
            identity.fringe = 0.0;
            identity.hair_darkness = 0.5;
            for (place, age) in ages.into_iter().enumerate() {
                let picture = face(200, &identity, age, &shot(seed));
                let [r, _, b] = mean_colour(&picture, TOP_HAIR);
                colourfulness[place] -= (r - b) / 12.0;
                energy[place] += line_energy(&picture, ABOVE_BROWS) / 12.0;
            }
        }
        assert!(increases(&colourfulness[1..]), "{colourfulness:?}");
        assert!(
            colourfulness[4] - colourfulness[0] > 0.1,
            "{colourfulness:?}"
        );
        assert!(increases(&energy), "{energy:?}");
        assert!(energy[4] > 3.0 * energy[0], "{energy:?}");
    }

    #[test]
    fn children_have_large_low_eyes_and_a_small_chin() {
        let shot = shot(1);
        for seed in 0..50 {
            let identity = person(seed);
            let looks = [1.0, 6.0, 12.0, 18.0, 24.0].map(|age| Look::new(&identity, age, &shot));
            let measure = |of: fn(&Look) -> f32| looks.iter().map(of).collect::<Vec<f32>>();
            let height = |look: &Look| look.chin - look.top;
            assert!(increases(&measure(height)));
            // The share of the head above the eyes, the eyes' share of it, and the nose's.
            let below_eyes = measure(|look| (look.chin - look.eye[1]) / (look.chin - look.top));
            assert!(increases(&below_eyes), "{below_eyes:?}");
            let eyes = measure(|look| -look.eye_open / (look.chin - look.top));
            assert!(increases(&eyes), "{eyes:?}");
            let nose = measure(|look| (look.nose_y - look.eye[1]) / (look.chin - look.top));
            assert!(increases(&nose), "{nose:?}");
        }
    }

    #[test]
    fn a_person_is_more_alike_at_other_ages_than_another_person() {
        // Cheeks and hair, whose colours stay until greying.
        let describe = |seed: u64, age: f32, photograph: u64| -> [f32; 6] {
            let picture = face(64, &person(seed), age, &shot(photograph));
            let ([a, b, c], [d, e, f]) = (
                mean_colour(&picture, CHEEKS),
                mean_colour(&picture, TOP_HAIR),
            );
            [a, b, c, d, e, f]
        };
        let distance = |a: [f32; 6], b: [f32; 6]| -> f32 {
            let squares = a.iter().zip(&b).map(|(a, b)| (a - b).powi(2));
            squares.sum::<f32>().sqrt()
        };
        let people: Vec<[[f32; 6]; 3]> = (0..40)
            .map(|seed| {
                [(7.0, 100), (24.0, 200), (38.0, 300)]
                    .map(|(age, first)| describe(seed, age, first + seed))
            })
            .collect();
        let (mut same, mut other, mut right) = (0.0, 0.0, 0);
        for (index, person) in people.iter().enumerate() {
            same += distance(person[0], person[2]) / 40.0;
            other += distance(person[0], people[(index + 7) % 40][2]) / 40.0;
            let nearest = (0..40).min_by(|a, b| {
                distance(person[1], people[*a][2]).total_cmp(&distance(person[1], people[*b][2]))
            });
            right += usize::from(nearest == Some(index));
        }
        assert!(same < 0.6 * other, "same {same}, other {other}");
        // One in forty by chance, from six numbers of two coloured rectangles.
        assert!(right >= 8, "{right} of 40 recognised");
    }

    #[test]
    fn classes_of_age_lie_apart() {
        // Rows of brightness, and of its steps from row to row, which lines on the skin add to.
        let describe = |picture: &RgbImage| -> Vec<f32> {
            let mut features = Vec::new();
            for row in 0..12 {
                for column in 0..6 {
                    let (x, y) = (0.14 + 0.12 * column as f32, 0.04 + 0.08 * row as f32);
                    let cell = [x, y, x + 0.12, y + 0.08];
                    let [r, g, b] = mean_colour(picture, cell);
                    features.extend([0.4 * g, r - b, 4.0 * line_energy(picture, cell)]);
                }
            }
            features
        };
        let ages = [9.0, 24.5, 34.5, 44.5, 54.5, 70.0];
        let pictures = |people: std::ops::Range<u64>| {
            people.flat_map(move |seed| {
                ages.into_iter().enumerate().map(move |(class, age)| {
                    let photograph = shot(seed * 6 + class as u64);
                    (class, describe(&face(64, &person(seed), age, &photograph)))
                })
            })
        };
        let mut centroids = vec![vec![0.0_f32; 12 * 6 * 3]; 6];
        for (class, features) in pictures(0..60) {
            for (mean, value) in centroids[class].iter_mut().zip(features) {
                *mean += value / 60.0;
            }
        }
        let mut right = 0;
        for (class, features) in pictures(1000..1040) {
            let distance = |class: &usize| -> f32 {
                let pairs = centroids[*class].iter().zip(&features);
                pairs.map(|(a, b)| (a - b).powi(2)).sum()
            };
            let nearest = (0..6).min_by(|a, b| distance(a).total_cmp(&distance(b)));
            right += usize::from(nearest == Some(class));
        }
        let share = right as f32 / 240.0;
        assert!(share > 0.45, "{share} right, 0.17 by chance");
    }
}
