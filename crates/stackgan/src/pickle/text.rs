//! How a pickle spells bytes and texts.

/// How a string is spelt in the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Coding {
    /// Its bytes.
    Raw,
    /// As Python's `repr`, without the quotes.
    Escaped,
    /// As Python's `raw-unicode-escape`.
    Unicode,
    Utf8,
}

/// Bytes of the longest escape and of the longest character, `\U0001f426`.
const LONGEST: usize = 10;

impl Coding {
    /// Decodes from the front of `bytes`, gives every byte or code point to `out`, and tells how many bytes were
    /// used: all but what may be cut in two, or all of them at the end.
    pub(super) fn decode(
        self,
        bytes: &[u8],
        is_end: bool,
        out: &mut impl FnMut(u32),
    ) -> Result<usize, String> {
        let mut at = 0;
        while at < bytes.len() && (is_end || bytes.len() - at >= LONGEST) {
            at += self.one(&bytes[at..], out)?;
        }
        Ok(at)
    }

    fn one(self, bytes: &[u8], out: &mut impl FnMut(u32)) -> Result<usize, String> {
        let first = bytes[0];
        match (self, bytes.get(1)) {
            (Self::Utf8, _) if first >= 0x80 => character(bytes, out),
            (Self::Escaped, Some(next)) if first == b'\\' => escaped(*next, bytes, out),
            (Self::Escaped, None) if first == b'\\' => {
                Err("a string ends in a backslash".to_owned())
            }
            (Self::Unicode, Some(b'u')) if first == b'\\' => {
                out(hexadecimal(bytes, 4)?);
                Ok(6)
            }
            (Self::Unicode, Some(b'U')) if first == b'\\' => {
                out(hexadecimal(bytes, 8)?);
                Ok(10)
            }
            // A second backslash is one, too, and begins no escape.
            (Self::Unicode, Some(next)) if first == b'\\' => {
                out(u32::from(first));
                out(u32::from(*next));
                Ok(2)
            }
            _ => {
                out(u32::from(first));
                Ok(1)
            }
        }
    }
}

fn character(bytes: &[u8], out: &mut impl FnMut(u32)) -> Result<usize, String> {
    let bytes = &bytes[..bytes.len().min(4)];
    let valid = match std::str::from_utf8(bytes) {
        Ok(text) => text,
        // What follows the first character may be cut in two.
        Err(error) => std::str::from_utf8(&bytes[..error.valid_up_to()]).unwrap_or_default(),
    };
    let Some(first) = valid.chars().next() else {
        return Err("a text is no UTF-8".to_owned());
    };
    out(u32::from(first));
    Ok(first.len_utf8())
}

fn escaped(next: u8, bytes: &[u8], out: &mut impl FnMut(u32)) -> Result<usize, String> {
    let plain = match next {
        b'\\' | b'\'' | b'"' => next,
        b'a' => 7,
        b'b' => 8,
        b't' => b'\t',
        b'n' => b'\n',
        b'v' => 11,
        b'f' => 12,
        b'r' => b'\r',
        b'x' => {
            out(hexadecimal(bytes, 2)?);
            return Ok(4);
        }
        b'0'..=b'7' => {
            let digits = bytes[1..].iter().take(3);
            let digits = digits.take_while(|digit| matches!(digit, b'0'..=b'7'));
            let (count, number) = digits.fold((0, 0), |(count, number), digit| {
                (count + 1, number * 8 + u32::from(digit - b'0'))
            });
            out(number & 0xff);
            return Ok(1 + count);
        }
        // As Python 2 has it: no escape at all.
        _ => {
            out(u32::from(b'\\'));
            next
        }
    };
    out(u32::from(plain));
    Ok(2)
}

/// The number of `digits` digits behind a backslash and a letter.
fn hexadecimal(bytes: &[u8], digits: usize) -> Result<u32, String> {
    let digits = bytes.get(2..2 + digits);
    digits
        .and_then(|digits| {
            digits.iter().try_fold(0, |number, digit| {
                Some(number << 4 | char::from(*digit).to_digit(16)?)
            })
        })
        .ok_or_else(|| {
            let shown = bytes[..bytes.len().min(LONGEST)].escape_ascii();
            format!("a string has an escape that is none, {shown}")
        })
}
