//! From a file to planes for a network, and from planes to the bytes of a file.

use super::Planes;
use crate::failure::{Kind, failure};
use crate::{images, regular};
use anyhow::Result;
use image::codecs::gif::GifDecoder;
use image::codecs::png::{PngDecoder, PngEncoder};
use image::codecs::webp::{WebPDecoder, WebPEncoder};
use image::codecs::{bmp::BmpEncoder, jpeg::JpegEncoder};
use image::imageops::{FilterType, resize};
use image::{
    AnimationDecoder, ExtendedColorType, ImageBuffer, ImageDecoder, ImageEncoder, ImageFormat,
    ImageReader, ImageResult, Luma,
};
use std::io::{BufReader, Write};
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

    fn bytes(self) -> usize {
        match self {
            Self::Eight => 1,
            Self::Sixteen => 2,
        }
    }
}

/// What a network does not see of a picture.
#[derive(Debug, Clone)]
pub(super) struct Rest {
    /// From 0, nothing shows, to 1.
    alpha: Option<ImageBuffer<Luma<f32>, Vec<f32>>>,
    depth: Depth,
    is_grey: bool,
    profile: Option<Vec<u8>>,
    is_animated: bool,
}

impl Rest {
    /// What a file of this format cannot keep of it.
    pub(super) fn lost_in(&self, format: Format) -> Vec<&'static str> {
        let mut lost = Vec::new();
        if self.is_animated {
            lost.push("of its animation the first frame is taken");
        }
        if format == Format::Jpeg && self.alpha.is_some() {
            lost.push("JPEG has no alpha channel: it is put on white");
        }
        if format != Format::Png && self.depth == Depth::Sixteen {
            lost.push("of its 16 bits a channel 8 are kept; name a .png to keep them all");
        }
        if format == Format::Bmp && self.profile.is_some() {
            lost.push("BMP keeps no colour profile; name a .png to keep it");
        }
        lost
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
        is_grey: !color.has_color(),
        profile: profile(path),
        is_animated: is_animated(path),
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

/// Whether a colour profile is for data of this colour space (ICC.1:2022, section 7.2.6).
fn is_for(profile: &[u8], space: &[u8; 4]) -> bool {
    profile.get(16..20) == Some(space)
}

/// The colour profile of a picture that was read, if it is one for RGB or grey; no result is of inks. A profile that
/// cannot be read is none.
fn profile(path: &Path) -> Option<Vec<u8>> {
    let (file, _) = regular::open(Kind::Data, "read", path).ok()?;
    let reader = ImageReader::new(BufReader::new(file));
    let reader = reader.with_guessed_format().ok()?;
    let profile = reader.into_decoder().ok()?.icc_profile().ok()??;
    [b"RGB ", b"GRAY"]
        .iter()
        .any(|space| is_for(&profile, space))
        .then_some(profile)
}

/// Whether a picture that was read moves. What cannot be told stands still.
fn is_animated(path: &Path) -> bool {
    let told = || -> Option<bool> {
        let (file, _) = regular::open(Kind::Data, "read", path).ok()?;
        let reader = ImageReader::new(BufReader::new(file));
        let reader = reader.with_guessed_format().ok()?;
        let format = reader.format()?;
        let inner = reader.into_inner();
        Some(match format {
            ImageFormat::Gif => GifDecoder::new(inner).ok()?.into_frames().nth(1).is_some(),
            ImageFormat::Png => PngDecoder::new(inner).ok()?.is_apng().ok()?,
            ImageFormat::WebP => WebPDecoder::new(inner).ok()?.has_animation(),
            _ => false,
        })
    };
    told().unwrap_or(false)
}

/// A result that is painted from the top down, in the bytes of its file's pixels.
pub(super) struct Canvas {
    format: Format,
    width: usize,
    height: usize,
    rest: Rest,
    depth: Depth,
    is_grey: bool,
    bytes: Vec<u8>,
}

impl Canvas {
    /// A canvas of `size` for a picture of which `rest` was not seen.
    ///
    /// # Errors
    /// [`Kind::Data`] when it has more bytes than there can be.
    pub(super) fn new(
        format: Format,
        [width, height]: [usize; 2],
        mut rest: Rest,
        keeps_grey: bool,
    ) -> Result<Self> {
        rest.alpha = rest.alpha.map(|alpha| {
            let size = (width as u32, height as u32);
            match alpha.dimensions() == size {
                true => alpha,
                false => resize(&alpha, size.0, size.1, FilterType::CatmullRom),
            }
        });
        let mut canvas = Self {
            format,
            width,
            height,
            depth: match format {
                Format::Png => rest.depth,
                _ => Depth::Eight,
            },
            is_grey: rest.is_grey && keeps_grey,
            rest,
            bytes: Vec::new(),
        };
        let pixel = canvas.color().bits_per_pixel() as usize / 8;
        let bytes = (width.checked_mul(height)).and_then(|pixels| pixels.checked_mul(pixel));
        let is_there = bytes.is_some_and(|bytes| canvas.bytes.try_reserve_exact(bytes).is_ok());
        if !is_there {
            return Err(failure(
                Kind::Data,
                format!("there is no memory for a result of {width} x {height} pixels"),
            ));
        }
        canvas.bytes.resize(bytes.unwrap_or(0), 0);
        Ok(canvas)
    }

    /// What the file cannot keep of the picture.
    pub(super) fn losses(&self) -> Vec<&'static str> {
        self.rest.lost_in(self.format)
    }

    fn shows_alpha(&self) -> bool {
        self.rest.alpha.is_some() && self.format != Format::Jpeg
    }

    fn color(&self) -> ExtendedColorType {
        // WebP has no grey, and grey with alpha is not for BMP.
        let is_grey = self.is_grey && matches!(self.format, Format::Png | Format::Jpeg);
        match (self.depth, is_grey, self.shows_alpha()) {
            (Depth::Eight, true, false) => ExtendedColorType::L8,
            (Depth::Eight, true, true) => ExtendedColorType::La8,
            (Depth::Sixteen, true, false) => ExtendedColorType::L16,
            (Depth::Sixteen, true, true) => ExtendedColorType::La16,
            (Depth::Eight, false, false) => ExtendedColorType::Rgb8,
            (Depth::Eight, false, true) => ExtendedColorType::Rgba8,
            (Depth::Sixteen, false, false) => ExtendedColorType::Rgb16,
            (Depth::Sixteen, false, true) => ExtendedColorType::Rgba16,
        }
    }

    /// Paints the rows from `top` on.
    ///
    /// # Panics
    /// If they are not as wide as the canvas, or too many.
    pub(super) fn paint(&mut self, top: usize, strip: &Planes) {
        assert_eq!(strip.width, self.width, "a strip of whole rows");
        let color = self.color();
        let pixel = color.bits_per_pixel() as usize / 8;
        let is_single = color.channel_count() < 3;
        let (first, count) = (top * self.width, strip.width * strip.height);
        let alpha = self
            .rest
            .alpha
            .as_ref()
            .map(|alpha| &alpha.as_raw()[first..]);
        let (depth, shows_alpha) = (self.depth, self.shows_alpha());
        let channel = depth.bytes();
        let out = &mut self.bytes[first * pixel..][..count * pixel];
        for (at, out) in out.chunks_exact_mut(pixel).enumerate() {
            let alpha = alpha.map(|alpha| alpha[at]);
            let value = |plane: usize| (strip.values[plane * count + at] + 1.0) / 2.0;
            let mut colors = [value(0), value(1), value(2)];
            if self.is_grey {
                // BT.601, as everything here that makes grey.
                let grey = 0.299 * colors[0] + 0.587 * colors[1] + 0.114 * colors[2];
                colors = [grey; 3];
            }
            if let (Some(alpha), false) = (alpha, shows_alpha) {
                colors = colors.map(|value| 1.0 - alpha * (1.0 - value));
            }
            let colors = if is_single { &colors[..1] } else { &colors[..] };
            let shown = alpha.filter(|_| shows_alpha);
            let all = colors.iter().copied().chain(shown);
            for (out, unit) in out.chunks_exact_mut(channel).zip(all) {
                let value = (unit.clamp(0.0, 1.0) * depth.most()).round();
                match depth {
                    Depth::Eight => out[0] = value as u8,
                    // As encoders expect it.
                    Depth::Sixteen => out.copy_from_slice(&(value as u16).to_ne_bytes()),
                }
            }
        }
    }

    /// Writes the bytes of a file.
    ///
    /// # Errors
    /// When the format does not take a picture of that size, or the file cannot be written.
    pub(super) fn encode(&self, file: &mut impl Write) -> ImageResult<()> {
        let profile = self.rest.profile.as_ref();
        let color = self.color();
        // That of RGB is none for grey, nor the other way round.
        let space = if color.channel_count() < 3 {
            b"GRAY"
        } else {
            b"RGB "
        };
        let profile = profile.filter(|profile| is_for(profile, space));
        let size = (self.width as u32, self.height as u32);
        let bytes = &self.bytes;
        match self.format {
            Format::Png => write(PngEncoder::new(file), profile, bytes, size, color),
            Format::Jpeg => {
                let encoder = JpegEncoder::new_with_quality(file, 95);
                write(encoder, profile, bytes, size, color)
            }
            Format::WebP => {
                let encoder = WebPEncoder::new_lossless(file);
                write(encoder, profile, bytes, size, color)
            }
            Format::Bmp => write(BmpEncoder::new(file), profile, bytes, size, color),
        }
    }
}

impl std::fmt::Display for Canvas {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (width, height) = (self.width, self.height);
        write!(formatter, "{width} x {height} pixels as {:?}", self.format)
    }
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

    /// The bytes of a file with these colours.
    fn encoded(format: Format, planes: &Planes, rest: &Rest) -> ImageResult<Vec<u8>> {
        let size = [planes.width, planes.height];
        let mut canvas = Canvas::new(format, size, rest.clone(), false).unwrap();
        canvas.paint(0, planes);
        let mut file = Vec::new();
        canvas.encode(&mut file).map(|()| file)
    }

    #[test]
    fn grey_stays_grey_where_that_is_asked_for() {
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path().join("grey.png");
        let deep = DynamicImage::ImageLuma16(Pixels16::from_fn(64, 8, |x, y| {
            Luma([(1000 * x + y) as u16])
        }));
        let plain = DynamicImage::ImageLuma8(deep.to_luma8());
        let glass = DynamicImage::ImageLumaA8(image::GrayAlphaImage::from_fn(64, 8, |x, y| {
            image::LumaA([3 * x as u8, 30 * y as u8 + 1])
        }));
        for picture in [&deep, &plain, &glass] {
            for format in [Format::Png, Format::WebP, Format::Bmp] {
                picture.save(&place).unwrap();
                let (planes, mut rest) = read(&place).unwrap();
                let mut profile = vec![7; 200];
                let is_plain = picture.color() == image::ColorType::L8;
                profile[16..20].copy_from_slice(if is_plain { b"GRAY" } else { b"RGB " });
                rest.profile = Some(profile);
                let size = [planes.width, planes.height];
                let mut canvas = Canvas::new(format, size, rest, true).unwrap();
                // A network may tint: the result is grey all the same.
                let mut tinted = planes.clone();
                let count = size[0] * size[1];
                tinted.values[..count]
                    .iter_mut()
                    .for_each(|v| *v = (*v - 0.2).max(-1.0));
                canvas.paint(0, &tinted);
                let mut file = Vec::new();
                canvas.encode(&mut file).unwrap();
                std::fs::write(&place, file).unwrap();
                let found = images::read(&place).unwrap();
                let colors = found.to_rgb8();
                assert!(
                    colors.pixels().all(|pixel| pixel.0 == [pixel.0[0]; 3]),
                    "{format:?}"
                );
                canvas.paint(0, &planes);
                let mut file = Vec::new();
                canvas.encode(&mut file).unwrap();
                std::fs::write(&place, file).unwrap();
                let found = images::read(&place).unwrap();
                if format == Format::Png {
                    let kept = super::profile(&place).is_some();
                    assert_eq!(kept, picture.color() == image::ColorType::L8);
                    assert!(found == *picture, "{:?}", picture.color());
                } else {
                    assert!(
                        found.to_luma_alpha8() == picture.to_luma_alpha8(),
                        "{format:?}"
                    );
                }
            }
        }
    }

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
    fn what_moves_is_told_from_what_does_not() {
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path().join("a.gif");
        for frames in [1, 2] {
            let file = std::fs::File::create(&place).unwrap();
            let mut encoder = image::codecs::gif::GifEncoder::new(file);
            for shade in 0..frames {
                let picture =
                    image::RgbaImage::from_pixel(4, 4, image::Rgba([90 * shade, 0, 0, 255]));
                encoder.encode_frame(image::Frame::new(picture)).unwrap();
            }
            drop(encoder);
            let (_, rest) = read(&place).unwrap();
            assert_eq!(rest.is_animated, frames == 2);
            assert_eq!(rest.lost_in(Format::Png).len(), usize::from(frames == 2));
        }
        let place = folder.path().join("a.png");
        image::RgbImage::new(4, 4).save(&place).unwrap();
        assert!(!read(&place).unwrap().1.is_animated);
    }

    #[test]
    fn a_loss_is_told_and_too_large_a_picture_refused() {
        let rest = Rest {
            alpha: None,
            depth: Depth::Sixteen,
            is_grey: false,
            profile: None,
            is_animated: false,
        };
        assert!(rest.lost_in(Format::Png).is_empty() && rest.lost_in(Format::WebP).len() == 1);
        let long = Planes::new(16_385, 1, vec![0.0; 3 * 16_385]);
        assert!(encoded(Format::WebP, &long, &rest).is_err());
        assert!(encoded(Format::Png, &long, &rest).is_ok());
    }
}
