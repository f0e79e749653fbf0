//! The bytes of a file, from front to back, with a look back at long strings.

use super::text::Coding;
use std::io::{BufRead, BufReader, ErrorKind, Read, Seek};

/// Most bytes of a string as it is spelt that are kept in memory. A longer one stays in the file: it can only be the
/// numbers of an array.
pub(super) const MOST_KEPT: u64 = 2048;
/// Bytes that a string in the file is read by.
const PART: usize = 1 << 16;

pub(super) const AGAIN: &str =
    "the file is damaged or incomplete: get it again, or write it again with Python's pickle.dump";
pub(super) const OTHER: &str = "check that it is the file meant, or write it anew";
pub(super) const ATTACK: &str = "refused, for data needs no code, and this file may be an attack: do not load it in \
                                 Python, and get it again from its authors";

/// What is wrong, and what to do about it.
#[derive(Debug)]
pub(super) struct Problem {
    pub(super) what: String,
    pub(super) fix: &'static str,
}

impl Problem {
    pub(super) fn new(what: impl Into<String>, fix: &'static str) -> Self {
        Self {
            what: what.into(),
            fix,
        }
    }
}

impl From<std::io::Error> for Problem {
    fn from(error: std::io::Error) -> Self {
        match error.kind() {
            ErrorKind::UnexpectedEof => Self::new("the file ends early", AGAIN),
            _ => Self::new(format!("cannot be read: {error}"), "check the disk"),
        }
    }
}

pub(super) type Checked<T> = Result<T, Problem>;

/// A string as it is spelt: where in the file it is, and its bytes, if they are few.
pub(super) struct Spelt {
    pub(super) at: u64,
    pub(super) length: u64,
    pub(super) kept: Option<Vec<u8>>,
}

pub(super) struct Input<R> {
    source: BufReader<R>,
    /// The place of the next byte.
    pub(super) at: u64,
    /// How many bytes there are.
    pub(super) end: u64,
}

impl<R: Read + Seek> Input<R> {
    pub(super) fn new(source: R, length: u64) -> Self {
        Self {
            source: BufReader::with_capacity(PART, source),
            at: 0,
            end: length,
        }
    }

    /// The first byte, which is read again.
    pub(super) fn first(&mut self) -> Checked<Option<u8>> {
        Ok(self.source.fill_buf()?.first().copied())
    }

    /// A length that the file claims, if so much is left.
    pub(super) fn claimed(&self, length: u64) -> Checked<u64> {
        let left = self.end.saturating_sub(self.at);
        if length > left {
            let what = format!("{length} bytes are claimed where {left} are left");
            return Err(Problem::new(what, AGAIN));
        }
        Ok(length)
    }

    pub(super) fn array<const COUNT: usize>(&mut self) -> Checked<[u8; COUNT]> {
        let mut bytes = [0; COUNT];
        self.source.read_exact(&mut bytes)?;
        self.at += COUNT as u64;
        Ok(bytes)
    }

    pub(super) fn byte(&mut self) -> Checked<u8> {
        let [byte] = self.array()?;
        Ok(byte)
    }

    fn skip(&mut self, length: u64) -> Checked<()> {
        self.source
            .seek_relative(i64::try_from(length).unwrap_or(i64::MAX))?;
        self.at += length;
        Ok(())
    }

    /// The string of the next `length` bytes.
    pub(super) fn string(&mut self, length: u64) -> Checked<Spelt> {
        let (at, length) = (self.at, self.claimed(length)?);
        let kept = if length > MOST_KEPT {
            self.skip(length)?;
            None
        } else {
            let mut bytes = vec![0; length as usize];
            self.source.read_exact(&mut bytes)?;
            self.at += length;
            Some(bytes)
        };
        Ok(Spelt { at, length, kept })
    }

    /// The string up to the end of the line, which is passed over.
    pub(super) fn line(&mut self) -> Checked<Spelt> {
        let (at, mut kept, mut length) = (self.at, Vec::new(), 0);
        loop {
            let buffer = self.source.fill_buf()?;
            if buffer.is_empty() {
                return Err(std::io::Error::from(ErrorKind::UnexpectedEof).into());
            }
            let newline = buffer.iter().position(|byte| *byte == b'\n');
            let part = newline.unwrap_or(buffer.len());
            length += part as u64;
            if length <= MOST_KEPT {
                kept.extend_from_slice(&buffer[..part]);
            }
            let used = part + usize::from(newline.is_some());
            self.source.consume(used);
            self.at += used as u64;
            if newline.is_some() {
                let kept = (length <= MOST_KEPT).then_some(kept);
                return Ok(Spelt { at, length, kept });
            }
        }
    }

    /// The text of a line: a name or a number.
    pub(super) fn word(&mut self) -> Checked<String> {
        let line = self.line()?;
        let Some(bytes) = line.kept else {
            let what = format!(
                "a line of {} bytes, where a name or a number is expected",
                line.length
            );
            return Err(Problem::new(what, AGAIN));
        };
        let text = String::from_utf8_lossy(&bytes);
        Ok(text.trim_end_matches('\r').to_owned())
    }

    /// Gives the bytes of a string in the file to `sink`, part by part, decoded.
    pub(super) fn look_back(
        &mut self,
        at: u64,
        length: u64,
        coding: Coding,
        sink: &mut impl FnMut(&[u8]) -> Checked<()>,
    ) -> Checked<()> {
        let here = self.at;
        self.seek(at)?;
        let (mut left, mut part, mut decoded) = (length, Vec::new(), Vec::new());
        while left > 0 {
            // What was cut in two at the end of the last part is in front.
            let kept = part.len();
            part.resize(kept + left.min(PART as u64) as usize, 0);
            self.source.read_exact(&mut part[kept..])?;
            self.at += (part.len() - kept) as u64;
            left -= (part.len() - kept) as u64;
            if coding == Coding::Raw {
                sink(&part)?;
                part.clear();
                continue;
            }
            decoded.clear();
            let used = latin1(coding, &part, left == 0, &mut decoded)?;
            sink(&decoded)?;
            part.drain(..used);
        }
        self.seek(here)
    }

    fn seek(&mut self, to: u64) -> Checked<()> {
        let distance = i128::from(to) - i128::from(self.at);
        self.source
            .seek_relative(i64::try_from(distance).unwrap_or_default())?;
        self.at = to;
        Ok(())
    }
}

/// Decodes bytes, or a text of which each character stands for one, and tells how many were used.
pub(super) fn latin1(
    coding: Coding,
    spelt: &[u8],
    is_end: bool,
    bytes: &mut Vec<u8>,
) -> Checked<usize> {
    let mut beyond = None;
    let used = coding.decode(spelt, is_end, &mut |unit| match u8::try_from(unit) {
        Ok(byte) => bytes.push(byte),
        Err(_) => beyond = Some(unit),
    });
    match (used, beyond) {
        (Err(what), _) => Err(Problem::new(what, AGAIN)),
        (_, Some(unit)) => {
            let what = format!("bytes are told by a text with the character U+{unit:04X}");
            Err(Problem::new(what, AGAIN))
        }
        (Ok(used), None) => Ok(used),
    }
}
