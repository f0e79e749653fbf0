//! What samples show and validation measures: pictures upscaled, beside what they should be.

use crate::data::Examples;
use crate::degrade;
use crate::evaluate::nearness;
use crate::generator::Generator;
use anyhow::Result;
use burn::tensor::{Device, Tensor, TensorData};
use gan_core::layers::Statistics;
use gan_core::picture;
use gan_core::stage::{Panel, Scalars};
use gan_core::{images, weights};
use image::RgbImage;

/// Pictures in a sample sheet.
pub(crate) const SHOWN: usize = 6;

/// Upscales a small picture as a whole. The result's bytes are those nearest to the network's values.
fn upscale(network: &Generator, low: &RgbImage, device: &Device) -> RgbImage {
    let (width, height) = (low.width() as usize, low.height() as usize);
    let bytes = images::planar(low, 3).into_iter();
    let values = bytes.map(|byte| f32::from(byte) / 255.0).collect();
    let data = TensorData::new::<f32, _>(values, [1, 3, height, width]);
    let made = network.forward(Tensor::from_data(data, device), Statistics::Running);
    let [_, _, height, width] = made.dims();
    to_picture(&weights::values(made), [height, width])
}

/// A picture of planar RGB values in [0, 1]; what lies outside is clamped.
pub(crate) fn to_picture(values: &[f32], [height, width]: [usize; 2]) -> RgbImage {
    let signed: Vec<f32> = values.iter().map(|value| 2.0 * value - 1.0).collect();
    images::from_unit(&signed, 3, height, width)
}

/// The first examples: low resolution, resized bicubically, upscaled, and what they should be.
pub(crate) fn sheet(
    name: &'static str,
    network: &Generator,
    examples: &Examples,
    device: &Device,
) -> Option<Panel> {
    let row = |(low, high): &(RgbImage, RgbImage)| {
        let made = upscale(network, low, device);
        let (width, height) = made.dimensions();
        let enlarged = picture::enlarge(low, width / low.width());
        vec![
            enlarged,
            degrade::resized(low, width, height),
            made,
            high.clone(),
        ]
    };
    let rows: Vec<_> = examples.pairs.iter().take(SHOWN).map(row).collect();
    (!rows.is_empty()).then(|| Panel {
        name,
        picture: picture::table(&["low", "bicubic", "fake", "real"], &rows),
    })
}

/// PSNR and SSIM of the first `count` examples as papers on super-resolution give them: of the bytes, on the Y
/// channel, without a border of as many pixels as the scale; means over the pictures.
pub(crate) fn measure(
    network: &Generator,
    scale: usize,
    examples: &Examples,
    count: usize,
    device: &Device,
) -> Result<Scalars> {
    let mut scalars = Scalars::default();
    let pairs = &examples.pairs[..count.min(examples.pairs.len())];
    if pairs.is_empty() {
        return Ok(scalars);
    }
    let (mut ratio, mut similarity) = (0.0, 0.0);
    for (low, high) in pairs {
        let found = nearness(&upscale(network, low, device), high, scale)?;
        ratio += found.psnr_y;
        similarity += found.ssim_y;
    }
    scalars.put("test_PSNR", ratio / pairs.len() as f64);
    scalars.put("test_SSIM", similarity / pairs.len() as f64);
    Ok(scalars)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::generator::{Layout, Shape, Slopes, Tail};
    use gan_core::random::Stream;

    fn network(scale: usize) -> Generator {
        let shape = Shape {
            layout: Layout::Blocks,
            blocks: 1,
            width: 3,
            scale,
            slopes: Slopes::Shared,
            tail: Tail::BatchNorm,
        };
        Generator::new(&shape, &Device::flex()).initialised(3)
    }

    fn noise(width: u32, height: u32) -> RgbImage {
        let count = (3 * width * height) as usize;
        let values = Stream::new(0, "picture", 0).uniform(count, 0.0, 255.0);
        let bytes = values.into_iter().map(|value| value as u8).collect();
        RgbImage::from_raw(width, height, bytes).unwrap()
    }

    #[test]
    fn ratio_and_similarity_by_hand() {
        let network = network(4);
        let device = Device::flex();
        let low = noise(7, 5);
        let made = upscale(&network, &low, &device);
        assert_eq!(made.dimensions(), (28, 20));
        // All channels one byte off are 219 / 255 of luma; the border of 4 pixels does not count.
        let mut high = made.clone();
        for (x, y, pixel) in high.enumerate_pixels_mut() {
            let is_inside = (4..24).contains(&x) && (4..16).contains(&y);
            pixel.0 = if is_inside {
                pixel.0.map(|byte| byte + 1)
            } else {
                [0; 3]
            };
        }
        let examples = Examples {
            pairs: vec![(low.clone(), high), (low, RgbImage::new(1, 1))],
            ..Examples::default()
        };
        let told = measure(&network, 4, &examples, 1, &device).unwrap().read();
        let [(first, ratio), (second, similarity)] = told[..] else {
            panic!("{told:?}");
        };
        assert_eq!((first, second), ("test_PSNR", "test_SSIM"));
        let expected = 20.0 * (255.0 / (219.0 / 255.0_f64)).log10();
        assert!((ratio - expected).abs() < 1e-9, "{ratio} {expected}");
        assert!((0.99..1.0).contains(&similarity), "{similarity}");
        let none = measure(&network, 4, &Examples::default(), 1, &device);
        assert!(none.unwrap().read().is_empty());
    }

    #[test]
    fn a_sheet_has_a_row_of_four_for_each_example() {
        let network = network(2);
        let device = Device::flex();
        let examples = Examples {
            pairs: vec![
                (noise(60, 9), noise(120, 18)),
                (noise(11, 57), noise(22, 114)),
            ],
            ..Examples::default()
        };
        let picture = sheet("step", &network, &examples, &device).unwrap().picture;
        // Columns as wide as the widest, rows as high as the highest, gaps of two pixels, and a head.
        assert_eq!(picture.width(), 4 * 120 + 5 * 2);
        assert!((2 * 114 + 6..2 * 114 + 40).contains(&picture.height()));
        assert!(sheet("step", &network, &Examples::default(), &device).is_none());
    }
}
