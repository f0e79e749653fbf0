//! What samples show and validation measures: whole pictures upscaled, beside what they should be.

use crate::generator::{Generator, Shape};
use crate::train::Examples;
use anyhow::Result;
use burn::tensor::{Device, Tensor, TensorData};
use gan_core::layers::Statistics;
use gan_core::picture;
use gan_core::stage::{Panel, Scalars};
use gan_core::tiles::{Planes, Tile, TileArguments, Tiling};
use gan_core::{images, weights};
use image::RgbImage;
use image::imageops::crop_imm;
use metrics::decode;
use metrics::paired::{Colour, Pair, Picture, Rule, View};
use metrics::resize::{Resize, Resizer};

/// Pictures in a sample sheet.
const SHOWN: usize = 4;

/// Most pixels of the side of a sample, in high resolution.
const SHOWN_SIDE: u32 = 192;

/// Upscales a picture of any size. The result's bytes are those nearest to the network's values.
///
/// # Errors
/// Never in practice: memory alone can run out.
pub fn upscale(
    network: &Generator,
    shape: &Shape,
    low: &RgbImage,
    device: &Device,
) -> Result<RgbImage> {
    let arguments = TileArguments {
        tile: Tile::Auto,
        tile_pad: None,
    };
    let mut tiling = Tiling::new(arguments, shape.requirements())?;
    let (width, height) = (low.width() as usize, low.height() as usize);
    let values = planar(low).map(|byte| f32::from(byte) / 255.0).collect();
    let made = tiling.run(&Planes::new(width, height, values), &mut |part| {
        let data = TensorData::new(part.values.clone(), [1, 3, part.height, part.width]);
        let made = network.forward(Tensor::from_data(data, device), Statistics::Running);
        let [_, _, height, width] = made.dims();
        Ok(Planes::new(width, height, weights::values(made)))
    })?;
    Ok(to_picture(&made.values, [made.height, made.width]))
}

/// The bytes of a picture, plane after plane.
fn planar(picture: &RgbImage) -> impl Iterator<Item = u8> + '_ {
    (0..3).flat_map(move |channel| picture.pixels().map(move |pixel| pixel.0[channel]))
}

/// A picture of planar RGB values in [0, 1]; what lies outside is clamped.
pub(crate) fn to_picture(values: &[f32], [height, width]: [usize; 2]) -> RgbImage {
    let signed: Vec<f32> = values.iter().map(|value| 2.0 * value - 1.0).collect();
    images::from_unit(&signed, 3, height, width)
}

/// A picture resized by Pillow's bicubic rule.
fn bicubic(picture: &RgbImage, width: u32, height: u32) -> RgbImage {
    let mut resizer = Resizer::new(Resize::PillowBicubic, width as usize, height as usize);
    let resized = resizer.resized(&decode::Picture {
        width: picture.width() as usize,
        height: picture.height() as usize,
        pixels: picture.as_raw().clone(),
        had_alpha: false,
        clipped: false,
    });
    RgbImage::from_raw(width, height, resized.pixels).unwrap_or_default()
}

/// The middle of the first examples: low resolution, resized, upscaled, and what it was.
pub(crate) fn sheet(
    name: &'static str,
    network: &Generator,
    shape: &Shape,
    examples: &Examples,
    device: &Device,
) -> Result<Option<Panel>> {
    let scale = shape.scale as u32;
    let mut rows = Vec::new();
    for (low, high) in examples.pairs.iter().take(SHOWN) {
        let side = |pixels: u32| pixels.min(SHOWN_SIDE / scale);
        let (width, height) = (side(low.width()), side(low.height()));
        let (left, top) = ((low.width() - width) / 2, (low.height() - height) / 2);
        let low = crop_imm(low, left, top, width, height).to_image();
        let [left, top, width, height] = [left, top, width, height].map(|pixels| pixels * scale);
        let high = crop_imm(high, left, top, width, height).to_image();
        let made = upscale(network, shape, &low, device)?;
        let resized = bicubic(&low, width, height);
        rows.push(vec![picture::enlarge(&low, scale), resized, made, high]);
    }
    Ok((!rows.is_empty()).then(|| Panel {
        name,
        picture: picture::table(&["low", "bicubic", "fake", "real"], &rows),
    }))
}

/// PSNR and SSIM of the first `count` examples as papers on super-resolution give them: of the bytes, on the Y
/// channel, without a border of as many pixels as the scale; means over the pictures.
pub(crate) fn measure(
    network: &Generator,
    shape: &Shape,
    examples: &Examples,
    count: usize,
    device: &Device,
) -> Result<Scalars> {
    let mut scalars = Scalars::default();
    let pairs = &examples.pairs[..count.min(examples.pairs.len())];
    if pairs.is_empty() {
        return Ok(scalars);
    }
    let view = View {
        data_range: 255.0,
        colour: Colour::Luma,
        crop_border: shape.scale,
    };
    let (mut ratio, mut similarity) = (0.0, 0.0);
    for (low, high) in pairs {
        let made = upscale(network, shape, low, device)?;
        let bytes = [&made, high].map(|picture| planar(picture).collect::<Vec<u8>>());
        let sides =
            [&made, high].map(|picture| (picture.height() as usize, picture.width() as usize));
        let [made, high] = [0, 1].map(|of| Picture::bytes(3, sides[of].0, sides[of].1, &bytes[of]));
        let pair = Pair::new(&made, &high, &view)?;
        ratio += pair.psnr();
        similarity += pair.ssim(Rule::PytorchMsssim)?;
    }
    scalars.put("test_PSNR", ratio / pairs.len() as f64);
    scalars.put("test_SSIM", similarity / pairs.len() as f64);
    Ok(scalars)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::generator::{Layout, Slopes, Tail};
    use gan_core::random::Stream;

    fn network(scale: usize) -> (Generator, Shape) {
        let shape = Shape {
            layout: Layout::Blocks,
            blocks: 1,
            width: 3,
            scale,
            slopes: Slopes::Shared,
            tail: Tail::BatchNorm,
        };
        (
            Generator::new(&shape, &Device::flex()).initialised(3),
            shape,
        )
    }

    fn noise(width: u32, height: u32) -> RgbImage {
        let count = (3 * width * height) as usize;
        let values = Stream::new(0, "picture", 0).uniform(count, 0.0, 255.0);
        let bytes = values.into_iter().map(|value| value as u8).collect();
        RgbImage::from_raw(width, height, bytes).unwrap()
    }

    #[test]
    fn ratio_and_similarity_by_hand() {
        let (network, shape) = network(4);
        let device = Device::flex();
        let low = noise(7, 5);
        let made = upscale(&network, &shape, &low, &device).unwrap();
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
        let told = measure(&network, &shape, &examples, 1, &device)
            .unwrap()
            .read();
        let [(first, ratio), (second, similarity)] = told[..] else {
            panic!("{told:?}");
        };
        assert_eq!((first, second), ("test_PSNR", "test_SSIM"));
        let expected = 20.0 * (255.0 / (219.0 / 255.0_f64)).log10();
        assert!((ratio - expected).abs() < 1e-9, "{ratio} {expected}");
        assert!((0.99..1.0).contains(&similarity), "{similarity}");
        let none = measure(&network, &shape, &Examples::default(), 1, &device);
        assert!(none.unwrap().read().is_empty());
    }

    #[test]
    fn a_sheet_shows_the_middle_of_pictures_of_any_size() {
        let (network, shape) = network(2);
        let device = Device::flex();
        let examples = Examples {
            pairs: vec![
                (noise(120, 9), noise(240, 18)),
                (noise(11, 97), noise(22, 194)),
            ],
            ..Examples::default()
        };
        let panel = sheet("step", &network, &shape, &examples, &device);
        let picture = panel.unwrap().unwrap().picture;
        // Four columns as wide as the widest, two rows as high as the highest, gaps of two pixels and a head.
        assert_eq!(picture.width(), 4 * 192 + 5 * 2);
        assert!((2 * 192 + 6..2 * 192 + 40).contains(&picture.height()));
        let none = sheet("step", &network, &shape, &Examples::default(), &device);
        assert!(none.unwrap().is_none());
    }

    #[test]
    fn resizing_keeps_a_plain_picture_and_its_size() {
        let plain = RgbImage::from_pixel(5, 4, image::Rgb([9, 100, 250]));
        let larger = bicubic(&plain, 20, 16);
        assert_eq!(
            larger,
            RgbImage::from_pixel(20, 16, image::Rgb([9, 100, 250]))
        );
    }
}
