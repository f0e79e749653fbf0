//! From high to low resolution: antialiased bicubic resizing, to Pillow's bytes.
//!
//! The field trains and measures on low-resolution pictures that a bicubic filter made, and the numbers depend on the
//! filter. This one repeats `Image.resize(size, Image.BICUBIC)` of Pillow 13 on 8-bit pictures, integer by integer:
//! Keys' cubic with a = -0.5, as wide as the factor by which a side shrinks, weights as 22-bit fractions, one direction
//! after the other, each rounded to bytes. Pillow up to 12 always resizes across first; Pillow 13 resizes down first
//! where a picture loses more than twice as many rows as columns, so of pictures more than about twice as high as wide
//! the two give other bytes. Crops for training are squares: there all agree.

use image::{ImageBuffer, Pixel, RgbImage, imageops};
use metrics::resize::cubic_weights;

/// Bits of a weight after its point: with 8 of a byte and 2 for sums that go over, 32.
const WEIGHT_BITS: u32 = 32 - 8 - 2;

/// For each result, the run of pixels under its filter.
struct Runs {
    first: Vec<usize>,
    /// Where the weights of each result end.
    ends: Vec<usize>,
    weights: Vec<i32>,
}

impl Runs {
    fn new(from: usize, to: usize) -> Self {
        let mut runs = Self {
            first: Vec::with_capacity(to),
            ends: Vec::with_capacity(to),
            weights: Vec::new(),
        };
        for (first, weights) in cubic_weights(from, to) {
            let one = f64::from(1 << WEIGHT_BITS);
            // Half away from zero, then cut: as a cast in C.
            let whole = |weight: f64| (weight * one + 0.5_f64.copysign(weight)) as i32;
            runs.first.push(first);
            runs.weights.extend(weights.into_iter().map(whole));
            runs.ends.push(runs.weights.len());
        }
        runs
    }

    /// The first pixel and the weight of each pixel of every result.
    fn iter(&self) -> impl Iterator<Item = (usize, &[i32])> {
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        let runs = starts.zip(&self.ends).zip(&self.first);
        runs.map(|((start, end), first)| (*first, &self.weights[start..*end]))
    }
}

/// What a sum begins with, so that cutting it rounds.
const HALF: i32 = 1 << (WEIGHT_BITS - 1);

fn byte(sum: i32) -> u8 {
    (sum >> WEIGHT_BITS).clamp(0, 255) as u8
}

/// Every row of `width` pixels, resized.
fn across<const CHANNELS: usize>(pixels: &[u8], width: usize, to: usize) -> Vec<u8> {
    if width == to {
        return pixels.to_vec();
    }
    let runs = Runs::new(width, to);
    let mut out = Vec::with_capacity(pixels.len() / width * to);
    for row in pixels.chunks_exact(CHANNELS * width) {
        let (row, _) = row.as_chunks::<CHANNELS>();
        for (first, weights) in runs.iter() {
            let mut sums = [HALF; CHANNELS];
            for (pixel, weight) in row[first..][..weights.len()].iter().zip(weights) {
                for (sum, value) in sums.iter_mut().zip(pixel) {
                    *sum += i32::from(*value) * weight;
                }
            }
            out.extend(sums.map(byte));
        }
    }
    out
}

/// Every column of `height` pixels, resized; a row has `line` bytes.
fn down(pixels: &[u8], line: usize, height: usize, to: usize) -> Vec<u8> {
    if height == to {
        return pixels.to_vec();
    }
    let mut out = Vec::with_capacity(line * to);
    let mut sums = vec![HALF; line];
    for (first, weights) in Runs::new(height, to).iter() {
        sums.fill(HALF);
        let rows = pixels[first * line..].chunks_exact(line);
        for (row, weight) in rows.zip(weights) {
            for (sum, value) in sums.iter_mut().zip(row) {
                *sum += i32::from(*value) * weight;
            }
        }
        out.extend(sums.iter().copied().map(byte));
    }
    out
}

fn both<const CHANNELS: usize>(
    pixels: &[u8],
    [width, height]: [usize; 2],
    [wide, high]: [usize; 2],
) -> Vec<u8> {
    let rows_lost = height as i64 - high as i64;
    let columns_lost = width as i64 - wide as i64;
    if rows_lost > 0 && rows_lost > 2 * columns_lost {
        let lower = down(pixels, CHANNELS * width, height, high);
        across::<CHANNELS>(&lower, width, wide)
    } else {
        let narrower = across::<CHANNELS>(pixels, width, wide);
        down(&narrower, CHANNELS * wide, height, high)
    }
}

/// A picture of 1 or 3 channels as `width` x `height` pixels, larger or smaller.
///
/// # Panics
/// If a side of the picture or of the result is zero, or the picture has alpha, which Pillow treats otherwise.
pub fn resized<P: Pixel<Subpixel = u8>>(
    picture: &ImageBuffer<P, Vec<u8>>,
    width: u32,
    height: u32,
) -> ImageBuffer<P, Vec<u8>> {
    let from = [picture.width() as usize, picture.height() as usize];
    let to = [width as usize, height as usize];
    assert!(
        from.iter().chain(&to).all(|side| *side > 0),
        "resizing {from:?} to {to:?}"
    );
    let pixels = match P::CHANNEL_COUNT {
        1 => both::<1>(picture.as_raw(), from, to),
        3 => both::<3>(picture.as_raw(), from, to),
        count => panic!("{count} channels"),
    };
    ImageBuffer::from_raw(width, height, pixels).expect("as many bytes as pixels")
}

/// The low-resolution picture of a high-resolution one: each side divided by `scale`.
///
/// # Panics
/// If a side is no multiple of `scale`, see [`modcrop`], or zero.
pub fn low_resolution(high: &RgbImage, scale: u32) -> RgbImage {
    let (width, height) = high.dimensions();
    assert!(
        width.is_multiple_of(scale) && height.is_multiple_of(scale),
        "{width} x {height} pixels at scale {scale}"
    );
    resized(high, width / scale, height / scale)
}

/// A picture without the columns at its right and the rows at its bottom that make no whole low-resolution pixel: the
/// field's way with sizes that `scale` does not divide.
///
/// # Panics
/// If `scale` is zero.
pub fn modcrop(picture: RgbImage, scale: u32) -> RgbImage {
    let (width, height) = picture.dimensions();
    let (wide, high) = (width - width % scale, height - height % scale);
    if (wide, high) == (width, height) {
        return picture;
    }
    imageops::crop_imm(&picture, 0, 0, wide, high).to_image()
}

#[cfg(test)]
mod tests {
    use super::*;
    use gan_core::weights;
    use image::{GrayImage, Luma, Rgb};
    use std::path::{Path, PathBuf};

    fn fixture() -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/srgan_data.safetensors")
    }

    /// What `tests/fixtures/srgan_data_make.py` draws.
    fn value(kind: &str, x: u32, y: u32, channel: u32) -> u8 {
        match kind {
            "wave" => ((x * x + 3 * x * y + 5 * y * y * (channel + 1) + 40 * channel) % 256) as u8,
            "edges" => (((x + 2 * y) / 5 + channel) % 2 * 255) as u8,
            "noise" => {
                let bits = x
                    .wrapping_mul(374_761_393)
                    .wrapping_add(y.wrapping_mul(668_265_263))
                    .wrapping_add(channel.wrapping_mul(974_634_777));
                let bits = (bits ^ (bits >> 13)).wrapping_mul(1_274_126_177);
                ((bits ^ (bits >> 16)) & 255) as u8
            }
            _ => panic!("{kind} is not drawn"),
        }
    }

    #[test]
    fn every_pixel_is_pillows() {
        let file = weights::read(&fixture()).unwrap();
        assert_eq!(file.tensors.len(), 38);
        for (name, tensor) in &file.tensors {
            // noise.RGB.40x30.10x8
            let parts: Vec<&str> = name.split('.').collect();
            let sides = |text: &str| -> Vec<u32> {
                text.split('x').map(|side| side.parse().unwrap()).collect()
            };
            let (from, to) = (sides(parts[2]), sides(parts[3]));
            let found = if parts[1] == "L" {
                let picture =
                    GrayImage::from_fn(from[0], from[1], |x, y| Luma([value(parts[0], x, y, 0)]));
                resized(&picture, to[0], to[1]).into_raw()
            } else {
                let picture = RgbImage::from_fn(from[0], from[1], |x, y| {
                    Rgb([0, 1, 2].map(|channel| value(parts[0], x, y, channel)))
                });
                resized(&picture, to[0], to[1]).into_raw()
            };
            let found: Vec<f32> = found.into_iter().map(f32::from).collect();
            assert_eq!(found.len(), tensor.values.len(), "{name}");
            let wrong = found.iter().zip(&tensor.values).position(|(a, b)| a != b);
            assert_eq!(wrong, None, "{name}");
        }
    }

    #[test]
    fn what_makes_no_whole_pixel_is_cut_at_the_right_and_at_the_bottom() {
        let picture = RgbImage::from_fn(11, 7, |x, y| Rgb([x as u8, y as u8, 0]));
        let cut = modcrop(picture.clone(), 4);
        assert_eq!(cut.dimensions(), (8, 4));
        assert_eq!(cut.get_pixel(7, 3).0, [7, 3, 0]);
        assert_eq!(low_resolution(&cut, 4).dimensions(), (2, 1));
        assert_eq!(modcrop(picture.clone(), 1), picture);
        assert_eq!(modcrop(picture, 8).dimensions(), (8, 0));
    }

    #[test]
    fn a_picture_of_its_size_already_stays() {
        let picture = RgbImage::from_fn(5, 3, |x, y| Rgb([value("noise", x, y, 0); 3]));
        assert_eq!(resized(&picture, 5, 3), picture);
    }
}
