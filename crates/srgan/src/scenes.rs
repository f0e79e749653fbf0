//! Procedural scenes of high resolution, made for super-resolution: a stand-in for photographs that has what a bicubic
//! filter loses. Straight and curved edges at all angles, thin lines, writing, brick, wood, cloth, roofs, gravel, grass,
//! fur and leaves, beside clouds, walls and blurred ground whose spectrum falls as that of photographs.
//!
//! A scene is a flat arrangement of things in units of the picture's side, x to the right and y downwards, seen from a
//! chance angle. It is drawn finer than it is shown, so every edge is smooth.

mod canvas;
mod material;
mod noise;
mod places;
mod things;
mod writing;

use gan_core::random::Stream;
use image::RgbImage;
use rand::{Rng, RngExt};

/// The smallest side, in pixels, that a scene is drawn at; smaller requests are raised to it.
pub const SMALLEST_SCENE: u32 = 16;

/// The largest side, in pixels, that a scene is drawn at; larger requests are lowered to it.
pub const LARGEST_SCENE: u32 = 2048;

/// Draws one scene, `side` x `side` pixels.
///
/// The result depends on nothing but `side` and the state of `stream`; one state gives the same scene at every size.
pub fn scene(side: u32, stream: &mut Stream) -> RgbImage {
    let side = side.clamp(SMALLEST_SCENE, LARGEST_SCENE);
    let place = stream.random_range(0..places::ALL.len());
    places::draw(place, side, stream)
}

/// A number between `low` and `high`, all equally likely.
fn between(rng: &mut impl Rng, low: f32, high: f32) -> f32 {
    low + (high - low) * rng.random::<f32>()
}

/// Whether an event of the given probability happens.
fn happens(rng: &mut impl Rng, probability: f32) -> bool {
    rng.random::<f32>() < probability
}

/// One of several values, all equally likely.
fn one_of<T: Copy, const N: usize>(rng: &mut impl Rng, values: [T; N]) -> T {
    values[rng.random_range(0..N)]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drawn(place: usize, side: u32, number: u64) -> RgbImage {
        places::draw(place, side, &mut Stream::new(1, "scene", number))
    }

    /// The mean step from a pixel to its neighbour.
    fn detail(picture: &RgbImage) -> f64 {
        let (width, height) = picture.dimensions();
        let mut sum = 0.0;
        for y in 0..height {
            for x in 1..width {
                let [a, b] = [x - 1, x].map(|x| picture.get_pixel(x, y).0);
                sum += (0..3)
                    .map(|at| f64::from(a[at].abs_diff(b[at])))
                    .sum::<f64>()
                    / 3.0;
            }
        }
        sum / f64::from((width - 1) * height)
    }

    #[test]
    fn a_scene_is_a_pure_function_of_its_stream() {
        let draw = |seed, number| scene(64, &mut Stream::new(seed, "scene", number));
        assert_eq!(draw(0, 3), draw(0, 3));
        assert_ne!(draw(0, 3), draw(0, 4));
        assert_ne!(draw(0, 3), draw(1, 3));
    }

    #[test]
    fn the_side_is_exact_and_limited() {
        let side = |side| scene(side, &mut Stream::new(0, "scene", 5)).dimensions();
        assert_eq!((side(61), side(0)), ((61, 61), (16, 16)));
    }

    #[test]
    fn a_larger_picture_shows_the_same_scene() {
        for place in 0..places::ALL.len() {
            let [small, large] = [96, 192].map(|side| drawn(place, side, 7));
            let reduced = crate::degrade::low_resolution(&large, 2);
            let pairs = small.iter().zip(reduced.iter());
            let difference: f64 = pairs.map(|(a, b)| f64::from(a.abs_diff(*b))).sum();
            let difference = difference / small.len() as f64;
            assert!(difference < 12.0, "{}: {difference}", places::ALL[place]);
        }
    }

    /// Enlarging a small copy bicubically must not give the scene back: there would be nothing to learn.
    #[test]
    fn every_place_loses_detail_when_it_is_reduced() {
        for (place, name) in places::ALL.iter().enumerate() {
            let (mut whole, mut error) = (0.0, 0.0);
            for number in 0..3 {
                let high = drawn(place, 128, number);
                let low = crate::degrade::low_resolution(&high, 4);
                let again = crate::degrade::resized(&low, 128, 128);
                whole += detail(&high) / 3.0;
                let pairs = high.iter().zip(again.iter());
                let squares = pairs.map(|(a, b)| f64::from(a.abs_diff(*b)).powi(2));
                error += squares.sum::<f64>() / high.len() as f64 / 3.0;
            }
            let psnr = 10.0 * (255.0 * 255.0 / error).log10();
            assert!(whole > 3.0, "{name} is flat: {whole}");
            assert!((15.0..34.0).contains(&psnr), "{name}: {psnr} dB");
        }
    }
}
