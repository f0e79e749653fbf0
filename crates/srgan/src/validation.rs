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
        tile_pad: 32,
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
