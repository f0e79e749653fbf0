//! From a file to planes for a network, and from planes to the bytes of a file.

use super::Planes;
use crate::failure::Kind;
use crate::{images, regular};
use anyhow::Result;
use image::codecs::{bmp::BmpEncoder, jpeg::JpegEncoder, png::PngEncoder, webp::WebPEncoder};
use image::imageops::{FilterType, resize};
use image::{
    ExtendedColorType, ImageBuffer, ImageDecoder, ImageEncoder, ImageReader, ImageResult, Luma,
};
use std::io::BufReader;
use std::path::Path;

/// How a result is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    Png,
    Jpeg,
    WebP,
    Bmp,
}

impl Format {
    /// By a name's ending.
    pub(super) fn of(path: &Path) -> Option<Self> {
        match ending(path).as_str() {
            "png" => Some(Self::Png),
            "jpg" | "jpeg" => Some(Self::Jpeg),
            "webp" => Some(Self::WebP),
            "bmp" => Some(Self::Bmp),
            _ => None,
        }
    }
}

/// A name's ending in small letters.
pub(super) fn ending(path: &Path) -> String {
    let ending = path.extension().unwrap_or_default();
    ending.to_string_lossy().to_lowercase()
}

/// Bits of a channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Depth {
    Eight,
    Sixteen,
}

impl Depth {
    /// The number that stands for all light.
    fn most(self) -> f32 {
        match self {
            Self::Eight => 255.0,
            Self::Sixteen => 65535.0,
        }
    }
}

/// What a network does not see of a picture.
#[derive(Debug, Clone)]
pub(super) struct Rest {
    /// From 0, nothing shows, to 1.
    alpha: Option<ImageBuffer<Luma<f32>, Vec<f32>>>,
    depth: Depth,
    profile: Option<Vec<u8>>,
}

impl Rest {
    /// What a file of this format cannot keep of it.
    pub(super) fn lost_in(&self, format: Format) -> Option<&'static str> {
        match (format, self.depth) {
            (Format::Jpeg, _) if self.alpha.is_some() => {
                Some("JPEG has no alpha channel: it is put on white")
            }
            (Format::Jpeg | Format::WebP | Format::Bmp, Depth::Sixteen) => {
                Some("of its 16 bits a channel 8 are kept; name a .png to keep them all")
            }
            _ => None,
        }
    }
}

/// Reads a picture, upright.
///
/// # Errors
/// As [`images::read`].
pub(super) fn read(path: &Path) -> Result<(Planes, Rest)> {
    let picture = images::read(path)?;
    let color = picture.color();
    let depth = if color.bytes_per_pixel() > color.channel_count() {
        Depth::Sixteen
    } else {
        Depth::Eight
    };
    let (width, height) = (picture.width(), picture.height());
    let (values, alpha) = match (depth, color.has_alpha()) {
        (Depth::Eight, false) => divided::<_, 3>(&picture.into_rgb8(), depth),
        (Depth::Eight, true) => divided::<_, 4>(&picture.into_rgba8(), depth),
        (Depth::Sixteen, false) => divided::<_, 3>(&picture.into_rgb16(), depth),
        (Depth::Sixteen, true) => divided::<_, 4>(&picture.into_rgba16(), depth),
    };
    let rest = Rest {
        alpha: alpha.and_then(|alpha| ImageBuffer::from_raw(width, height, alpha)),
        depth,
        profile: profile(path),
    };
    Ok((Planes::new(width as usize, height as usize, values), rest))
}

/// Planes in [-1, 1], and alpha in [0, 1] where there are four channels.
fn divided<T: Copy + Into<f32>, const CHANNELS: usize>(
    pixels: &[T],
    depth: Depth,
) -> (Vec<f32>, Option<Vec<f32>>) {
    let (pixels, _) = pixels.as_chunks::<CHANNELS>();
    let mut values = Vec::with_capacity(3 * pixels.len());
    for channel in 0..3 {
        values.extend(pixels.iter().map(|pixel| {
            if CHANNELS == 4 && pixel[CHANNELS - 1].into() == 0.0 {
                return 1.0;
            }
            pixel[channel].into() / (depth.most() / 2.0) - 1.0
        }));
    }
    let alpha = (CHANNELS == 4).then(|| {
        let alpha = pixels.iter().map(|pixel| pixel[CHANNELS - 1].into());
        alpha.map(|alpha| alpha / depth.most()).collect()
    });
    (values, alpha)
}

/// The colour profile of a picture that was read, if it is one for RGB: the result is RGB, so that one for
/// grey or for inks would be wrong. A profile that cannot be read is none.
fn profile(path: &Path) -> Option<Vec<u8>> {
    let (file, _) = regular::open(Kind::Data, "read", path).ok()?;
    let reader = ImageReader::new(BufReader::new(file));
    let reader = reader.with_guessed_format().ok()?;
    let profile = reader.into_decoder().ok()?.icc_profile().ok()??;
    // ICC.1:2022, section 7.2.6: the colour space of the data.
    (profile.get(16..20) == Some(b"RGB ")).then_some(profile)
}

/// The bytes of a file with these colours.
///
/// # Errors
/// When the format does not take a picture of that size.
pub(super) fn encoded(format: Format, planes: &Planes, rest: &Rest) -> ImageResult<Vec<u8>> {
    let (width, height) = (planes.width as u32, planes.height as u32);
    let enlarged;
    let alpha = match &rest.alpha {
        Some(alpha) if alpha.dimensions() != (width, height) => {
            enlarged = resize(alpha, width, height, FilterType::CatmullRom);
            Some(&enlarged)
        }
        alpha => alpha.as_ref(),
    };
    let depth = match format {
        Format::Png => rest.depth,
        _ => Depth::Eight,
    };
    let shown = alpha.filter(|_| format != Format::Jpeg);
    let color = match (depth, shown) {
        (Depth::Eight, None) => ExtendedColorType::Rgb8,
        (Depth::Eight, Some(_)) => ExtendedColorType::Rgba8,
        (Depth::Sixteen, None) => ExtendedColorType::Rgb16,
        (Depth::Sixteen, Some(_)) => ExtendedColorType::Rgba16,
    };
    let pixels = planes.width * planes.height;
    let mut bytes = Vec::with_capacity(pixels * usize::from(color.bits_per_pixel() / 8));
    let mut push = |unit: f32| {
        let value = (unit.clamp(0.0, 1.0) * depth.most()).round();
        match depth {
            Depth::Eight => bytes.push(value as u8),
            // As encoders expect it.
            Depth::Sixteen => bytes.extend((value as u16).to_ne_bytes()),
        }
    };
    for at in 0..pixels {
        let alpha = alpha.map(|alpha| alpha.as_raw()[at]);
        for channel in 0..3 {
            let value = (planes.values[channel * pixels + at] + 1.0) / 2.0;
            push(match (alpha, shown) {
                (Some(alpha), None) => 1.0 - alpha * (1.0 - value),
                _ => value,
            });
        }
        if let (Some(alpha), Some(_)) = (alpha, shown) {
            push(alpha);
        }
    }
    let mut file = Vec::new();
    let profile = rest.profile.as_ref();
    let size = (width, height);
    match format {
        Format::Png => write(PngEncoder::new(&mut file), profile, &bytes, size, color),
        Format::Jpeg => {
            let encoder = JpegEncoder::new_with_quality(&mut file, 95);
            write(encoder, profile, &bytes, size, color)
        }
        Format::WebP => {
            let encoder = WebPEncoder::new_lossless(&mut file);
            write(encoder, profile, &bytes, size, color)
        }
        Format::Bmp => write(BmpEncoder::new(&mut file), profile, &bytes, size, color),
    }?;
    Ok(file)
}

fn write(
    mut encoder: impl ImageEncoder,
    profile: Option<&Vec<u8>>,
    bytes: &[u8],
    (width, height): (u32, u32),
    color: ExtendedColorType,
) -> ImageResult<()> {
    if let Some(profile) = profile {
        // BMP files have none.
        let _ = encoder.set_icc_profile(profile.clone());
    }
    encoder.write_image(bytes, width, height, color)
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::{DynamicImage, Luma, Rgba, RgbaImage};

    type Pixels16<P> = ImageBuffer<P, Vec<u16>>;

    /// What becomes of a picture whose planes stay as they are.
    fn unchanged(picture: &DynamicImage, format: Format) -> DynamicImage {
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path().join("picture.png");
        picture.save(&place).unwrap();
        let (planes, rest) = read(&place).unwrap();
        assert!(planes.values.iter().all(|value| value.abs() <= 1.0));
        std::fs::write(&place, encoded(format, &planes, &rest).unwrap()).unwrap();
        images::read(&place).unwrap()
    }

    #[test]
    fn every_value_of_8_and_16_bits_comes_back() {
        let deep = Pixels16::from_fn(256, 256, |x, y| Luma([(256 * y + x) as u16]));
        let deep = DynamicImage::ImageLuma16(deep);
        let rgb = DynamicImage::ImageRgb16(deep.to_rgb16());
        for picture in [&deep, &rgb] {
            assert!(unchanged(picture, Format::Png) == rgb);
        }
        let flat = RgbaImage::from_fn(256, 3, |x, y| {
            let x = x as u8;
            [
                Rgba([x, 255 - x, 7, 255]),
                Rgba([7, x, 255 - x, 255]),
                Rgba([x; 4]),
            ][y as usize]
        });
        let flat = DynamicImage::ImageRgba8(flat);
        let plain = DynamicImage::ImageRgb8(flat.to_rgb8());
        for format in [Format::Png, Format::WebP, Format::Bmp] {
            assert!(unchanged(&plain, format) == plain, "{format:?}");
        }
    }

    #[test]
    fn alpha_is_kept_to_the_bit() {
        let flat = RgbaImage::from_fn(256, 2, |x, y| {
            Rgba([10, x as u8, 200, (255 * y as u8) | x as u8])
        });
        let deep = Pixels16::from_fn(256, 256, |x, y| {
            Rgba([1000, 0, 65535, (256 * y + x) as u16])
        });
        let with_grey =
            DynamicImage::ImageLumaA8(DynamicImage::ImageRgba8(flat.clone()).to_luma_alpha8());
        let grey = unchanged(&with_grey, Format::Png);
        assert!(grey.color() == image::ColorType::Rgba8);
        for format in [Format::Png, Format::WebP, Format::Bmp] {
            let result = unchanged(&DynamicImage::ImageRgba8(flat.clone()), format).into_rgba8();
            for (old, new) in flat.pixels().zip(result.pixels()) {
                let expected = if old[3] == 0 {
                    Rgba([255, 255, 255, 0])
                } else {
                    *old
                };
                assert_eq!(*new, expected, "{format:?}");
            }
        }
        let result = unchanged(&DynamicImage::ImageRgba16(deep.clone()), Format::Png);
        let result = result.as_rgba16().unwrap();
        for (old, new) in deep.pixels().zip(result.pixels()).skip(1) {
            assert_eq!(old, new);
        }
        assert_eq!(result.get_pixel(0, 0).0, [65535, 65535, 65535, 0]);
        // In front of white: 55 of 255 parts of the colour.
        let glass = RgbaImage::from_pixel(16, 16, Rgba([0, 255, 100, 55]));
        let jpeg = unchanged(&DynamicImage::ImageRgba8(glass), Format::Jpeg).into_rgb8();
        for (found, expected) in jpeg.get_pixel(8, 8).0.iter().zip([200, 255, 222]) {
            assert!(found.abs_diff(expected) <= 2, "{found}, not {expected}");
        }
    }

    #[test]
    fn alpha_grows_with_the_picture() {
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path().join("half.png");
        let half = |x: u32| if x < 6 { 255 } else { 0 };
        let picture = RgbaImage::from_fn(12, 8, |x, _| Rgba([1, 2, 3, half(x)]));
        picture.save(&place).unwrap();
        let (_, rest) = read(&place).unwrap();
        let planes = Planes::new(48, 32, vec![0.5; 3 * 48 * 32]);
        std::fs::write(&place, encoded(Format::Png, &planes, &rest).unwrap()).unwrap();
        let result = images::read(&place).unwrap().into_rgba8();
        assert_eq!(result.dimensions(), (48, 32));
        for (x, _, pixel) in result.enumerate_pixels() {
            assert_eq!(pixel.0[..3], [191; 3]);
            // Away from the edge, what was opaque is.
            if x.abs_diff(24) > 8 {
                assert_eq!(pixel.0[3], half(x / 4), "{x}");
            }
        }
    }

    #[test]
    fn the_result_stands_upright() {
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path().join("phone.png");
        // Little-endian TIFF of one entry: orientation (0x112), one short, 6: turn it clockwise.
        let exif = b"II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0";
        for ending in ["png", "jpg"] {
            let mut file = Vec::new();
            let pixels: Vec<u8> = (0..32 * 16)
                .flat_map(|at| if at % 32 < 16 { [255; 3] } else { [0; 3] })
                .collect();
            let rgb = ExtendedColorType::Rgb8;
            if ending == "png" {
                let mut encoder = PngEncoder::new(&mut file);
                encoder.set_exif_metadata(exif.to_vec()).unwrap();
                encoder.write_image(&pixels, 32, 16, rgb).unwrap();
            } else {
                let mut encoder = JpegEncoder::new_with_quality(&mut file, 95);
                encoder.set_exif_metadata(exif.to_vec()).unwrap();
                encoder.write_image(&pixels, 32, 16, rgb).unwrap();
            }
            std::fs::write(&place, file).unwrap();
            let (planes, rest) = read(&place).unwrap();
            assert_eq!((planes.width, planes.height), (16, 32), "{ending}");
            // The left half is on top.
            assert!(planes.values[0] > 0.9 && planes.values[511] < -0.9);
            // Nothing turns the result again.
            std::fs::write(&place, encoded(Format::Png, &planes, &rest).unwrap()).unwrap();
            assert_eq!(read(&place).unwrap().0, planes);
        }
    }

    #[test]
    fn the_profile_of_rgb_is_carried_over() {
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path().join("wide.png");
        for (space, is_kept) in [(b"RGB ", true), (b"GRAY", false)] {
            let mut profile = vec![7; 200];
            profile[16..20].copy_from_slice(space);
            let mut file = Vec::new();
            let mut encoder = PngEncoder::new(&mut file);
            encoder.set_icc_profile(profile.clone()).unwrap();
            encoder
                .write_image(&[9; 12], 2, 2, ExtendedColorType::Rgb8)
                .unwrap();
            std::fs::write(&place, file).unwrap();
            let (planes, rest) = read(&place).unwrap();
            for format in [Format::Png, Format::Jpeg, Format::WebP, Format::Bmp] {
                let result = folder.path().join("result");
                std::fs::write(&result, encoded(format, &planes, &rest).unwrap()).unwrap();
                let found = super::profile(&result);
                let is_kept = is_kept && format != Format::Bmp;
                assert_eq!(found, is_kept.then(|| profile.clone()), "{format:?}");
            }
        }
    }

    #[test]
    fn a_loss_is_told_and_too_large_a_picture_refused() {
        let rest = Rest {
            alpha: None,
            depth: Depth::Sixteen,
            profile: None,
        };
        assert!(rest.lost_in(Format::Png).is_none() && rest.lost_in(Format::WebP).is_some());
        let long = Planes::new(16_385, 1, vec![0.0; 3 * 16_385]);
        assert!(encoded(Format::WebP, &long, &rest).is_err());
        assert!(encoded(Format::Png, &long, &rest).is_ok());
    }
}
