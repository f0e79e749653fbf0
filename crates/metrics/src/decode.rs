//! Pictures from bytes, with the pixels that Pillow's `Image.open(file).convert("RGB")` gives.
//!
//! Every reference tool reads its pictures that way (pytorch-fid 0.3.0, torch-fidelity 0.4.0, clean-fid
//! 0.1.35), so one level of difference here is a difference of the metric. The rules, checked against
//! Pillow 13.0.0 with libjpeg-turbo 3.2.0 and libwebp 1.6.0:
//!
//! | file | pixels |
//! | --- | --- |
//! | JPEG | libjpeg's accurate integer transform and smooth upsampling; CMYK by `(255 - c) (255 - k) / 255` |
//! | alpha, or one colour named transparent | dropped, not composited |
//! | grey | copied to three channels |
//! | palette | looked up; an index without a colour is black |
//! | 1, 2, 4 bits | stretched to 0..255 |
//! | 16 bits RGB, grey with alpha | the high byte |
//! | 16 bits grey | **clipped**: everything above 255 is white ([`Picture::clipped`]) |
//! | orientation, gamma, colour profile | ignored |
//! | animation | its first frame |
//! | BMP of 16 bits | up to one level apart from Pillow's |
//!
//! The format is told by content, not by name. A file that ends early is an error, also where Pillow
//! leaves the rest black.

mod jpeg;
mod netpbm;
mod png;
mod tiff;

use crate::failure::{Kind, failure};
use anyhow::Result;
use image::{DynamicImage, ImageDecoder, ImageFormat, ImageReader};
use std::collections::BTreeMap;
use std::io::Cursor;

/// Most pixels of one picture: the count above which Pillow refuses to open a file.
pub const MAX_PIXELS: u64 = 178_956_970;
/// Most memory that one picture's samples may take before they are made RGB, in bytes.
const MAX_RAW: u64 = 1 << 30;

/// A picture of eight bits a channel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Picture {
    /// Pixels of a row, at least 1.
    pub width: usize,
    /// Rows, at least 1.
    pub height: usize,
    /// Red, green and blue of every pixel, row by row: `height * width * 3` bytes.
    pub pixels: Vec<u8>,
    /// Whether the file has transparency, which was dropped.
    pub had_alpha: bool,
    /// Whether the file is grey with more than eight bits, of which Pillow keeps only the values up to 255.
    pub clipped: bool,
}

/// What a set of pictures has in common, for warnings.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Survey {
    /// How many pictures have which width and height, in pixels.
    pub sizes: BTreeMap<(usize, usize), usize>,
    /// How many had transparency, which was dropped.
    pub with_alpha: usize,
    /// How many were grey with more than eight bits and lost everything above 255.
    pub clipped: usize,
}

impl Survey {
    /// Counts one picture.
    pub fn note(&mut self, picture: &Picture) {
        *self
            .sizes
            .entry((picture.width, picture.height))
            .or_default() += 1;
        self.with_alpha += usize::from(picture.had_alpha);
        self.clipped += usize::from(picture.clipped);
    }

    /// Adds what another part of the same set has.
    pub fn merge(&mut self, other: &Self) {
        for (size, count) in &other.sizes {
            *self.sizes.entry(*size).or_default() += count;
        }
        self.with_alpha += other.with_alpha;
        self.clipped += other.clipped;
    }

    /// Whether there are pictures of more than one size; pytorch-fid and torch-fidelity fail on such a set.
    pub fn has_mixed_sizes(&self) -> bool {
        self.sizes.len() > 1
    }
}

/// Decodes one picture.
///
/// # Errors
/// A [`Kind::Data`] failure in one sentence, without the file's name, when the bytes are not a picture of a
/// known format, are broken or end early, or when the picture has more than [`MAX_PIXELS`] pixels.
pub fn decode(bytes: &[u8]) -> Result<Picture> {
    match bytes {
        [0xff, 0xd8, 0xff, ..] => jpeg::decode(bytes),
        [0x89, b'P', b'N', b'G', b'\r', b'\n', 0x1a, b'\n', ..] => png::decode(bytes),
        [
            b'R',
            b'I',
            b'F',
            b'F',
            _,
            _,
            _,
            _,
            b'W',
            b'E',
            b'B',
            b'P',
            ..,
        ] => generic(bytes, ImageFormat::WebP),
        [b'B', b'M', ..] => generic(bytes, ImageFormat::Bmp),
        [b'I', b'I', 42, 0, ..] | [b'M', b'M', 0, 42, ..] => tiff::decode(bytes),
        [b'P', b'1'..=b'6', space, ..] if space.is_ascii_whitespace() => netpbm::decode(bytes),
        [] => Err(broken("the file is empty")),
        _ => {
            let seen = image::guess_format(bytes).map_or_else(
                |_| "the content is no picture of a known format".to_owned(),
                |format| format!("{format:?} pictures are not read"),
            );
            Err(broken(format!(
                "{seen}; expected PNG, JPEG, WebP, BMP, TIFF, PGM or PPM"
            )))
        }
    }
}

fn broken(what: impl Into<String>) -> anyhow::Error {
    failure(Kind::Data, what)
}

/// Refuses sizes that no file of `length` bytes can hold, before anything is allocated for them.
///
/// `fewest` is the smallest number of bytes that the format needs for such a picture.
fn check_size(width: u64, height: u64, fewest: u64, length: usize) -> Result<()> {
    if width == 0 || height == 0 {
        return Err(broken(format!("the picture is empty: {width} x {height}")));
    }
    if width.saturating_mul(height) > MAX_PIXELS {
        return Err(broken(format!(
            "{width} x {height} pixels are more than {MAX_PIXELS}: scale the picture down"
        )));
    }
    if fewest > length as u64 {
        return Err(broken(format!(
            "the file ends early: {length} bytes cannot hold {width} x {height} pixels"
        )));
    }
    Ok(())
}

/// Pillow's CMYK to RGB, for one pixel with 0 for no ink.
fn ink_to_light([cyan, magenta, yellow, black]: [u8; 4]) -> [u8; 3] {
    let paper = 255 - i32::from(black);
    [cyan, magenta, yellow].map(|ink| {
        let product = i32::from(ink) * paper + 128;
        let share = (product + (product >> 8)) >> 8;
        (paper - share).clamp(0, 255) as u8
    })
}

/// The formats whose decoders in the crate `image` agree with Pillow.
fn generic(bytes: &[u8], format: ImageFormat) -> Result<Picture> {
    let unreadable = |error: image::ImageError| broken(format!("not a readable picture: {error}"));
    let mut reader = ImageReader::with_format(Cursor::new(bytes), format);
    let mut limits = image::Limits::default();
    limits.max_alloc = Some(MAX_RAW);
    reader.limits(limits);
    let decoder = reader.into_decoder().map_err(unreadable)?;
    let (width, height) = decoder.dimensions();
    check_size(width.into(), height.into(), 0, bytes.len())?;
    let picture = DynamicImage::from_decoder(decoder).map_err(unreadable)?;
    let had_alpha = picture.color().has_alpha();
    Ok(Picture {
        width: width as usize,
        height: height as usize,
        had_alpha,
        clipped: false,
        pixels: match picture {
            DynamicImage::ImageRgb8(pixels) => pixels.into_raw(),
            DynamicImage::ImageRgba8(pixels) => without_last(pixels.as_raw()),
            other => other.to_rgb8().into_raw(),
        },
    })
}

/// Three of every four bytes.
fn without_last(samples: &[u8]) -> Vec<u8> {
    let (pixels, _) = samples.as_chunks::<4>();
    pixels
        .iter()
        .flat_map(|[red, green, blue, _]| [*red, *green, *blue])
        .collect()
}

/// The colours of indices of `depth` bits, the first index of a byte in its highest bits.
fn looked_up(
    samples: &[u8],
    line: usize,
    width: usize,
    depth: u8,
    table: &[[u8; 3]; 256],
) -> Vec<u8> {
    let depth = usize::from(depth);
    let in_a_byte = 8 / depth;
    let mask = ((1u16 << depth) - 1) as u8;
    let mut pixels = Vec::with_capacity(samples.len() * in_a_byte * 3);
    for row in samples.chunks_exact(line) {
        for at in 0..width {
            let shift = 8 - depth * (at % in_a_byte + 1);
            let index = (row[at / in_a_byte] >> shift) & mask;
            pixels.extend_from_slice(&table[usize::from(index)]);
        }
    }
    pixels
}
