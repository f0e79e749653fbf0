//! Arrays in numpy's `.npz` files, from strangers: nothing is allocated for what a header claims before the bytes are there.

use crate::failure::{Kind, at_path, failure};
use anyhow::Result;
use half::f16;
use ndarray::ArrayD;
use ndarray_npy::ReadNpyExt;
use std::fs::File;
use std::io::{BufReader, Cursor, Read};
use std::path::{Path, PathBuf};
use zip::ZipArchive;

/// Most bytes of one array.
const MOST_BYTES: u64 = 1 << 30;
/// Most bytes of an array's header; numpy's own take 128.
const MOST_HEADER: usize = 4096;
/// Most numbers of one array: as float64 they take 1 GB.
const MOST_NUMBERS: usize = 1 << 27;
/// Names of arrays that a message lists.
const NAMED: usize = 10;

/// A `.npz` file that is open for reading.
#[derive(Debug)]
pub struct Archive {
    path: PathBuf,
    zip: ZipArchive<BufReader<File>>,
}

impl Archive {
    /// Opens a file.
    ///
    /// # Errors
    /// [`Kind::Data`] when it is no such file.
    pub fn open(path: &Path) -> Result<Self> {
        let is_file = std::fs::metadata(path)
            .map_err(|error| at_path(Kind::Data, "open", path, &error))?
            .is_file();
        if !is_file {
            return Err(refuse(path, "is not a plain file"));
        }
        let file = File::open(path).map_err(|error| at_path(Kind::Data, "open", path, &error))?;
        let zip = ZipArchive::new(BufReader::new(file))
            .map_err(|error| refuse(path, format!("is no .npz file of numpy: {error}")))?;
        Ok(Self {
            path: path.to_owned(),
            zip,
        })
    }

    fn entries(&self) -> Vec<String> {
        let names = self.zip.file_names().flatten();
        names.map(std::borrow::Cow::into_owned).collect()
    }

    /// Whether there is an array of this name.
    pub fn has(&self, name: &str) -> bool {
        self.zip.index_for_name(&format!("{name}.npy")).is_some()
    }

    fn bytes(&mut self, name: &str) -> Result<Vec<u8>> {
        let entry = format!("{name}.npy");
        let Some(place) = self.zip.index_for_name(&entry) else {
            let names: Vec<String> = self.entries().into_iter().take(NAMED).collect();
            return Err(refuse(
                &self.path,
                format!("has no array {name}; it holds: {}", names.join(", ")),
            ));
        };
        let problem = |what: String| refuse(&self.path, what);
        let file = self
            .zip
            .by_index(place)
            .map_err(|error| problem(format!("has no readable array {name}: {error}")))?;
        let claimed = file.size();
        if claimed > MOST_BYTES {
            return Err(problem(format!(
                "claims {claimed} bytes for {name}; at most {MOST_BYTES} are read"
            )));
        }
        let mut bytes = Vec::new();
        file.take(MOST_BYTES + 1)
            .read_to_end(&mut bytes)
            .map_err(|error| problem(format!("{name} cannot be unpacked: {error}")))?;
        if bytes.len() as u64 != claimed {
            return Err(problem(format!(
                "{name} unpacks to {} bytes, {claimed} were claimed",
                bytes.len()
            )));
        }
        Ok(bytes)
    }

    /// The names of its arrays, in their order.
    pub fn names(&self) -> Vec<String> {
        let entries = self.entries().into_iter();
        let names = entries.filter_map(|entry| entry.strip_suffix(".npy").map(str::to_owned));
        names.collect()
    }

    /// The numbers of an array of any float or integer type, row by row, with its shape.
    ///
    /// # Errors
    /// [`Kind::Data`] when there is none of this name, or it is damaged or of another type.
    pub fn numbers(&mut self, name: &str) -> Result<(Vec<usize>, Vec<f64>)> {
        let bytes = self.bytes(name)?;
        let problem = |what: String| refuse(&self.path, format!("{name}: {what}"));
        let header = Header::check(&bytes).map_err(problem)?;
        if header.count > MOST_NUMBERS {
            return Err(problem(format!(
                "it has {} numbers; at most {MOST_NUMBERS} are read",
                header.count
            )));
        }
        let read = |error| problem(format!("{error}"));
        let bytes = header.widened(bytes);
        let cursor = Cursor::new(&bytes);
        macro_rules! read_as {
            ($number:ty) => {{
                let array = ArrayD::<$number>::read_npy(cursor).map_err(read)?;
                let values = array.iter().map(|number| *number as f64).collect();
                (array.shape().to_vec(), values)
            }};
        }
        Ok(match header.kind.as_str() {
            "<f8" | ">f8" => read_as!(f64),
            "<f4" | ">f4" | "<f2" | ">f2" => read_as!(f32),
            "<i8" | ">i8" => read_as!(i64),
            "<u8" | ">u8" => read_as!(u64),
            "<i4" | ">i4" => read_as!(i32),
            "<u4" | ">u4" => read_as!(u32),
            "<i2" | ">i2" => read_as!(i16),
            "<u2" | ">u2" => read_as!(u16),
            "|u1" => read_as!(u8),
            "|i1" => read_as!(i8),
            other => {
                return Err(problem(format!(
                    "its numbers are of type {other}; float64 or float32 are expected: save it with .astype(float)"
                )));
            }
        })
    }
}

fn refuse(path: &Path, what: impl std::fmt::Display) -> anyhow::Error {
    failure(Kind::Data, format!("{} {what}", path.display()))
}

/// What the header of a `.npy` array says, checked against its bytes before anything is allocated for it.
struct Header {
    kind: String,
    count: usize,
    /// Where its numbers begin.
    start: usize,
}

impl Header {
    fn check(bytes: &[u8]) -> std::result::Result<Self, String> {
        let cut = || "its header is cut short".to_owned();
        if !bytes.starts_with(b"\x93NUMPY") {
            return Err("it is no array of numpy".to_owned());
        }
        let version = *bytes.get(6).ok_or_else(cut)?;
        let (length, start) = match version {
            1 => {
                let field = bytes.get(8..10).ok_or_else(cut)?;
                (usize::from(u16::from_le_bytes([field[0], field[1]])), 10)
            }
            2 | 3 => {
                let field = bytes.get(8..12).ok_or_else(cut)?;
                let length = u32::from_le_bytes([field[0], field[1], field[2], field[3]]);
                (length as usize, 12)
            }
            other => return Err(format!("its format has version {other}; 1 to 3 are read")),
        };
        if length > MOST_HEADER {
            return Err(format!("its header claims {length} bytes"));
        }
        let header = bytes.get(start..start + length).ok_or_else(cut)?;
        let text = std::str::from_utf8(header).map_err(|_| "its header is no text".to_owned())?;
        let kind = between(text, "'descr': '", "'").ok_or("its header names no type")?;
        let shape = between(text, "'shape': (", ")").ok_or("its header names no shape")?;
        let mut count = 1usize;
        for side in shape
            .split(',')
            .map(str::trim)
            .filter(|side| !side.is_empty())
        {
            let side: usize = side
                .parse()
                .map_err(|_| format!("its shape is ({shape})"))?;
            count = count
                .checked_mul(side)
                .ok_or_else(|| format!("its shape ({shape}) is beyond any memory"))?;
        }
        let each = kind
            .trim_start_matches(|c: char| !c.is_ascii_digit())
            .parse::<usize>()
            .map_err(|_| format!("its numbers are of type {kind}"))?;
        let held = bytes.len() - start - length;
        if count.checked_mul(each) != Some(held) {
            return Err(format!(
                "its header claims ({shape}) numbers of type {kind}, but {held} bytes follow"
            ));
        }
        Ok(Self {
            kind: kind.to_owned(),
            count,
            start: start + length,
        })
    }

    /// The array with numbers of half precision made single: the reader knows none smaller.
    fn widened(&self, bytes: Vec<u8>) -> Vec<u8> {
        let is_little = match self.kind.as_str() {
            "<f2" => true,
            ">f2" => false,
            _ => return bytes,
        };
        let (head, numbers) = bytes.split_at(self.start);
        let name = self.kind.as_bytes();
        let mut wide = head.to_vec();
        if let Some(place) = head.windows(name.len()).position(|part| part == name) {
            wide[place..place + name.len()].copy_from_slice(b"<f4");
        }
        for pair in numbers.chunks_exact(2) {
            let pair = [pair[0], pair[1]];
            let number = if is_little {
                f16::from_le_bytes(pair)
            } else {
                f16::from_be_bytes(pair)
            };
            wide.extend(number.to_f32().to_le_bytes());
        }
        wide
    }
}

fn between<'a>(text: &'a str, before: &str, after: &str) -> Option<&'a str> {
    let rest = &text[text.find(before)? + before.len()..];
    rest.find(after).map(|end| &rest[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An array of three float64 as numpy writes it.
    fn array() -> Vec<u8> {
        let header = format!(
            "{:<117}\n",
            "{'descr': '<f8', 'fortran_order': False, 'shape': (3,), }"
        );
        let mut all = b"\x93NUMPY\x01\x00".to_vec();
        all.extend((header.len() as u16).to_le_bytes());
        all.extend(header.bytes());
        all.extend(
            [1.0f64, 2.0, 3.0]
                .iter()
                .flat_map(|value| value.to_le_bytes()),
        );
        all
    }

    #[test]
    fn headers_that_lie_are_refused_before_memory_is_taken() {
        let mut bytes = array();
        assert!(Header::check(&bytes).is_ok());
        let place = bytes.windows(4).position(|four| four == b"(3,)").unwrap();
        bytes[place..place + 4].copy_from_slice(b"(9,)");
        let refused = |bytes: &[u8]| Header::check(bytes).err().unwrap();
        assert!(refused(&bytes).contains("24 bytes follow"));
        assert!(refused(b"PK").contains("no array"));
        assert!(refused(&bytes[..9]).contains("cut short"));
    }

    #[test]
    fn arrays_are_read_by_name_in_either_precision() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("some.npz");
        let mut zip = zip::ZipWriter::new(File::create(&path).unwrap());
        let stored = zip::write::SimpleFileOptions::default();
        for name in ["b/one.npy", "a.npy", "readme.txt"] {
            zip.start_file(name, stored).unwrap();
            std::io::Write::write_all(&mut zip, &array()).unwrap();
        }
        zip.finish().unwrap();
        let mut archive = Archive::open(&path).unwrap();
        let mut names = archive.names();
        names.sort();
        assert_eq!(names, ["a", "b/one"]);
        assert!(archive.has("a") && !archive.has("readme"));
        assert_eq!(
            archive.numbers("b/one").unwrap(),
            (vec![3], vec![1.0, 2.0, 3.0])
        );
        let error = archive.numbers("c").unwrap_err();
        assert_eq!(crate::failure::exit_code(&error), 3);
        assert!(error.to_string().contains("array c"), "{error}");
        std::fs::write(&path, b"PK").unwrap();
        assert!(Archive::open(&path).is_err());
    }
}
