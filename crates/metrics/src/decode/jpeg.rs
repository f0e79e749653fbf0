//! JPEG through libjpeg-turbo's decoder (in its mozjpeg edition), whose pixels are Pillow's.
//!
//! The pure Rust decoders differ by up to 49 levels in ordinary files: they upsample and transform otherwise.
//! libjpeg leaves a broken file by unwinding through its C functions, so this needs `panic = "unwind"`.

use super::{Picture, broken, check_size, each, ink_to_light};
use anyhow::Result;
use mozjpeg::{ColorSpace, Decompress};
use std::io::{self, BufRead, Read};
use std::panic::catch_unwind;

/// Blocks of 8 x 8 pixels that one byte of a file can hold at most: one bit each.
const BLOCKS_OF_A_BYTE: u64 = 8;
/// Most pixels times passes over them: a progressive file of a few bytes can ask for thousands of passes.
const MAX_WORK: u64 = 1 << 33;
/// What libjpeg's messages begin with.
const PREFIX: &str = "libjpeg fatal error: ";

/// A file in memory whose end is an error: libjpeg would invent the missing pixels.
struct Whole<'bytes> {
    rest: &'bytes [u8],
}

impl Read for Whole<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.fill_buf()?.read(buffer)?;
        self.consume(count);
        Ok(count)
    }
}

impl BufRead for Whole<'_> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.rest.is_empty() {
            return Err(io::Error::other("the file ends early"));
        }
        Ok(self.rest)
    }

    fn consume(&mut self, count: usize) {
        self.rest = &self.rest[count..];
    }
}

pub(super) fn decode(bytes: &[u8]) -> Result<Picture> {
    // libjpeg reports an error by leaving its functions: here that is an unwinding without a message.
    match catch_unwind(|| decode_or_unwind(bytes)) {
        Ok(result) => result,
        Err(payload) => {
            let message = payload.downcast_ref::<String>().map_or("", String::as_str);
            let reason = message.strip_prefix(PREFIX).unwrap_or(message);
            Err(match reason {
                "Input file read error" => broken("the file ends early: the JPEG data are cut off"),
                "" => broken("not a readable JPEG picture"),
                _ => broken(format!("not a readable JPEG picture: {reason}")),
            })
        }
    }
}

fn decode_or_unwind(bytes: &[u8]) -> Result<Picture> {
    let unreadable = |error: io::Error| broken(format!("not a readable JPEG picture: {error}"));
    let file = Decompress::new_reader(Whole { rest: bytes }).map_err(unreadable)?;
    let (width, height) = file.size();
    let blocks = (width as u64).div_ceil(8) * (height as u64).div_ceil(8);
    check_size(
        width as u64,
        height as u64,
        blocks / BLOCKS_OF_A_BYTE,
        bytes.len(),
    )?;
    let passes = bytes
        .windows(2)
        .filter(|pair| *pair == [0xff, 0xda])
        .count();
    if blocks * 64 * passes as u64 > MAX_WORK {
        return Err(broken(format!(
            "{passes} passes over {width} x {height} pixels are too many"
        )));
    }
    let has_ink = matches!(
        file.color_space(),
        ColorSpace::JCS_CMYK | ColorSpace::JCS_YCCK
    );
    let pixels = if has_ink {
        let mut lines = file
            .to_colorspace(ColorSpace::JCS_CMYK)
            .map_err(unreadable)?;
        let mut inks = vec![0; 4 * width * height];
        lines.read_scanlines_into(&mut inks).map_err(unreadable)?;
        // Pillow takes every file of four channels for one of Adobe's, which store 255 for no ink.
        each::<4>(&inks, |ink| ink_to_light(ink.map(|value| 255 - value)))
    } else {
        let mut lines = file.rgb().map_err(unreadable)?;
        let mut pixels = vec![0; width * height * 3];
        lines.read_scanlines_into(&mut pixels).map_err(unreadable)?;
        pixels
    };
    Ok(Picture {
        width,
        height,
        pixels,
        had_alpha: false,
        clipped: false,
    })
}
