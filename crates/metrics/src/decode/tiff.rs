//! TIFF without compression, or with LZW, deflate or PackBits: the kinds on which this and Pillow agree.

use super::{MAX_RAW, Picture, broken, check_size, each, ink_to_light, looked_up, without_last};
use ::tiff::decoder::{Decoder, DecodingResult, Limits};
use ::tiff::tags::Tag;
use ::tiff::{ColorType, TiffError};
use anyhow::Result;
use std::io::Cursor;

/// The most that any of the compressions can shrink its input.
const RATIO: u64 = 2048;

pub(super) fn decode(bytes: &[u8]) -> Result<Picture> {
    let unreadable = |error: TiffError| broken(format!("not a readable TIFF picture: {error}"));
    let unknown =
        |what: String| broken(format!("TIFF pictures {what} are not read: save it as PNG"));
    let mut limits = Limits::default();
    limits.decoding_buffer_size = MAX_RAW as usize;
    let mut decoder = Decoder::new(Cursor::new(bytes))
        .map_err(unreadable)?
        .with_limits(limits);
    let (width, height) = decoder.dimensions().map_err(unreadable)?;
    let kind = decoder.colortype().map_err(unreadable)?;
    let bits = u64::from(kind.bit_depth()) * u64::from(kind.num_samples());
    let line = (u64::from(width) * bits).div_ceil(8);
    let raw = line.saturating_mul(height.into());
    check_size(width.into(), height.into(), raw / RATIO, bytes.len())?;
    // Pillow turns such pictures and divides by such an alpha, unlike in any other format.
    for (tag, usual, what) in [
        (Tag::Orientation, 1, "that are turned"),
        (Tag::PlanarConfiguration, 1, "of separate planes"),
        (Tag::ExtraSamples, 2, "with premultiplied alpha"),
    ] {
        let value = decoder.find_tag_unsigned::<u16>(tag);
        if value.map_err(unreadable)?.unwrap_or(usual) != usual {
            return Err(unknown(what.to_owned()));
        }
    }
    let result = decoder.read_image().map_err(unreadable)?;
    let (width, height) = (width as usize, height as usize);
    let pixels: Vec<u8> = match (kind, result) {
        (ColorType::RGB(8), DecodingResult::U8(samples)) => samples,
        (ColorType::RGBA(8), DecodingResult::U8(samples)) => without_last(&samples),
        (ColorType::Gray(8), DecodingResult::U8(samples)) => {
            each::<1>(&samples, |[grey]| [grey; 3])
        }
        (ColorType::Gray(16), DecodingResult::U16(samples)) => {
            let clipped = samples.iter().map(|grey| (*grey).min(255) as u8);
            clipped.flat_map(|grey| [grey; 3]).collect()
        }
        (ColorType::Gray(1), DecodingResult::U8(samples)) => {
            let table = std::array::from_fn(|bit| [if bit == 1 { 255 } else { 0 }; 3]);
            looked_up(&samples, line as usize, width, 1, &table)
        }
        (ColorType::CMYK(8), DecodingResult::U8(samples)) => each::<4>(&samples, ink_to_light),
        _ => return Err(unknown(format!("of the kind {kind:?}"))),
    };
    if pixels.len() != 3 * width * height {
        return Err(unknown("of this layout".to_owned()));
    }
    Ok(Picture {
        width,
        height,
        pixels,
        had_alpha: matches!(kind, ColorType::RGBA(_)),
        clipped: kind == ColorType::Gray(16),
    })
}
