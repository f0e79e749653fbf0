//! PNG, sample by sample as Pillow 13.0.0 converts them.

use super::{MAX_RAW, Picture, broken, check_size, each, looked_up, without_last};
use ::png::{BitDepth, ColorType, Decoder, DecodingError, Limits, Transformations};
use anyhow::Result;
use std::io::Cursor;

/// The most that deflate can shrink its input.
const DEFLATE_RATIO: u64 = 1032;

pub(super) fn decode(bytes: &[u8]) -> Result<Picture> {
    let unreadable = |error: DecodingError| broken(format!("not a readable PNG picture: {error}"));
    let limits = Limits {
        bytes: MAX_RAW as usize,
    };
    let mut decoder = Decoder::new_with_limits(Cursor::new(bytes), limits);
    decoder.set_transformations(Transformations::IDENTITY);
    decoder.set_ignore_text_chunk(true);
    decoder.set_ignore_iccp_chunk(true);
    let header = decoder.read_header_info().map_err(unreadable)?;
    let (width, height) = (u64::from(header.width), u64::from(header.height));
    let raw = (header.raw_row_length() as u64).saturating_mul(height);
    check_size(width, height, raw / DEFLATE_RATIO, bytes.len())?;
    if raw > MAX_RAW {
        return Err(broken(format!(
            "{width} x {height} pixels take {raw} bytes, more than {MAX_RAW}: scale the picture down"
        )));
    }
    let mut reader = decoder.read_info().map_err(unreadable)?;
    let size = reader
        .output_buffer_size()
        .ok_or_else(|| broken("not a readable PNG picture: its size overflows"))?;
    let mut samples = vec![0; size];
    let frame = reader.next_frame(&mut samples).map_err(unreadable)?;
    if (u64::from(frame.width), u64::from(frame.height)) != (width, height) {
        return Err(broken(
            "not a readable PNG picture: its first frame is not the whole picture",
        ));
    }
    let info = reader.info();
    let (width, height) = (width as usize, height as usize);
    let line = samples.len() / height;
    let deep = frame.bit_depth == BitDepth::Sixteen;
    let pixels = match frame.color_type {
        ColorType::Rgb if deep => each::<6>(&samples, |[r, _, g, _, b, _]| [r, g, b]),
        ColorType::Rgb => samples,
        ColorType::Rgba if deep => each::<8>(&samples, |[r, _, g, _, b, ..]| [r, g, b]),
        ColorType::Rgba => without_last(&samples),
        ColorType::GrayscaleAlpha if deep => each::<4>(&samples, |[grey, ..]| [grey; 3]),
        ColorType::GrayscaleAlpha => each::<2>(&samples, |[grey, _]| [grey; 3]),
        ColorType::Grayscale if deep => each::<2>(&samples, |value| {
            [u16::from_be_bytes(value).min(255) as u8; 3]
        }),
        ColorType::Grayscale if frame.bit_depth == BitDepth::Eight => {
            each::<1>(&samples, |[grey]| [grey; 3])
        }
        ColorType::Grayscale => {
            let depth = frame.bit_depth as u8;
            let step = 255 / ((1u16 << depth) - 1) as u8;
            let table = std::array::from_fn(|index| [(index as u8).wrapping_mul(step); 3]);
            looked_up(&samples, line, width, depth, &table)
        }
        ColorType::Indexed => {
            let colours = info.palette.as_deref().unwrap_or_default();
            let (colours, _) = colours.as_chunks::<3>();
            let table = std::array::from_fn(|index| colours.get(index).copied().unwrap_or([0; 3]));
            looked_up(&samples, line, width, frame.bit_depth as u8, &table)
        }
    };
    let has_channel = matches!(
        frame.color_type,
        ColorType::GrayscaleAlpha | ColorType::Rgba
    );
    Ok(Picture {
        width,
        height,
        pixels,
        had_alpha: has_channel || info.trns.is_some(),
        clipped: deep && frame.color_type == ColorType::Grayscale,
    })
}
