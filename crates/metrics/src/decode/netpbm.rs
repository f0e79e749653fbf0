//! PBM, PGM and PPM, plain and raw, as Pillow 13.0.0 reads them.

use super::{Picture, broken, check_size, each};
use anyhow::Result;

/// Most digits of a number in a file.
const MAX_DIGITS: usize = 10;

/// What is left of a file.
struct Scanner<'bytes> {
    rest: &'bytes [u8],
}

impl Scanner<'_> {
    fn next_byte(&mut self) -> Option<u8> {
        let (first, rest) = self.rest.split_first()?;
        self.rest = rest;
        Some(*first)
    }

    fn skip_comment(&mut self) {
        while self
            .next_byte()
            .is_some_and(|byte| byte != b'\n' && byte != b'\r')
        {}
    }

    /// The next number, and the one byte after it, which must be a space unless the file ends.
    fn number(&mut self) -> Result<u64> {
        let mut digits = 0;
        let mut value = 0;
        while let Some(byte) = self.next_byte() {
            match byte {
                b'#' => self.skip_comment(),
                b'0'..=b'9' if digits < MAX_DIGITS => {
                    digits += 1;
                    value = value * 10 + u64::from(byte - b'0');
                }
                _ if byte.is_ascii_whitespace() => {
                    if digits > 0 {
                        break;
                    }
                }
                _ => {
                    return Err(broken(
                        "not a readable PBM, PGM or PPM picture: a number is expected",
                    ));
                }
            }
        }
        if digits == 0 {
            return Err(ends_early());
        }
        Ok(value)
    }

    /// The next digit of a plain black-and-white picture.
    fn bit(&mut self) -> Result<bool> {
        loop {
            match self.next_byte() {
                Some(b'0') => return Ok(false),
                Some(b'1') => return Ok(true),
                Some(b'#') => self.skip_comment(),
                Some(byte) if byte.is_ascii_whitespace() => {}
                Some(_) => return Err(broken("not a readable PBM picture: 0 or 1 is expected")),
                None => return Err(ends_early()),
            }
        }
    }
}

fn ends_early() -> anyhow::Error {
    broken("the file ends early: samples are missing")
}

pub(super) fn decode(bytes: &[u8]) -> Result<Picture> {
    let kind = bytes[1];
    let mut scanner = Scanner { rest: &bytes[3..] };
    let (width, height) = (scanner.number()?, scanner.number()?);
    let is_bitmap = matches!(kind, b'1' | b'4');
    let most = if is_bitmap { 1 } else { scanner.number()? };
    if most == 0 || most > 65_535 {
        return Err(broken(format!(
            "not a readable PGM or PPM picture: its largest value is {most}, not 1 to 65535"
        )));
    }
    let channels = if matches!(kind, b'3' | b'6') { 3 } else { 1 };
    let wide = if most > 255 { 2 } else { 1 };
    let line = width.saturating_mul(channels);
    let fewest = match kind {
        b'4' => width.div_ceil(8).saturating_mul(height),
        b'1'..=b'3' => line.saturating_mul(height),
        _ => line.saturating_mul(height).saturating_mul(wide),
    };
    check_size(width, height, fewest, bytes.len())?;
    let (width, height) = (width as usize, height as usize);
    let count = width * height * channels as usize;
    // Deep grey keeps its depth in Pillow, and is clipped when it becomes RGB.
    let clipped = channels == 1 && most > 255;
    let eight_bits = |value: u64| {
        let share = value as f64 / most as f64;
        if clipped {
            (share * 65_535.0).round_ties_even().min(255.0) as u8
        } else {
            (share * 255.0).round_ties_even().min(255.0) as u8
        }
    };
    let table: Vec<u8> = (0..=most.max(255)).map(eight_bits).collect();
    let mut samples = Vec::with_capacity(count);
    match kind {
        b'1' => {
            for _ in 0..count {
                samples.push(if scanner.bit()? { 0 } else { 255 });
            }
        }
        b'4' => {
            let line = width.div_ceil(8);
            let rows = scanner
                .rest
                .get(..line * height)
                .ok_or_else(ends_early)?
                .chunks_exact(line);
            for row in rows {
                let dark = |at: usize| row[at / 8] >> (7 - at % 8) & 1 == 1;
                samples.extend((0..width).map(|at| if dark(at) { 0 } else { 255 }));
            }
        }
        b'2' | b'3' => {
            for _ in 0..count {
                let value = scanner.number()?;
                if value > most {
                    return Err(broken(format!(
                        "not a readable PGM or PPM picture: {value} is above its largest value {most}"
                    )));
                }
                samples.push(table[value as usize]);
            }
        }
        _ if wide == 2 => {
            let (values, _) = scanner.rest.as_chunks::<2>();
            let values = values.get(..count).ok_or_else(ends_early)?;
            let most = most as usize;
            let look_up =
                |value: &[u8; 2]| table[usize::from(u16::from_be_bytes(*value)).min(most)];
            samples.extend(values.iter().map(look_up));
        }
        _ => {
            let values = scanner.rest.get(..count).ok_or_else(ends_early)?;
            samples.extend(values.iter().map(|value| table[usize::from(*value)]));
        }
    }
    Ok(Picture {
        width,
        height,
        pixels: if channels == 3 {
            samples
        } else {
            each::<1>(&samples, |[grey]| [grey; 3])
        },
        had_alpha: false,
        clipped,
    })
}
