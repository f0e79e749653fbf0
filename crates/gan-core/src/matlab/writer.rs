//! Writing of level 5 files as MATLAB writes them: the same layout to the byte, except for the date.

use super::HEADER_BYTES;
use crate::failure::{Kind, at_path};
use anyhow::Result;
use std::io::Write;
use std::path::Path;

/// What MATLAB writes there, with a date that does not make two files differ.
const HEADER: &str = "MATLAB 5.0 MAT-file, Platform: GLNXA64, Created on: Thu Jan  1 00:00:00 1970";

/// An array to be written. Its numbers and cells are column-major.
#[derive(Debug, Clone, PartialEq)]
pub struct Array {
    dims: Vec<usize>,
    data: Data,
}

#[derive(Debug, Clone, PartialEq)]
enum Data {
    Numbers {
        class: u32,
        kind: u32,
        bytes: Vec<u8>,
    },
    Cells(Vec<Array>),
    Fields(Vec<(String, Array)>),
}

impl Array {
    /// Numbers of class double, stored as such.
    ///
    /// # Panics
    /// If the product of `dims` is not the number of `values`; so for all arrays.
    pub fn doubles(dims: &[usize], values: &[f64]) -> Self {
        Self::numbers(dims, 6, 9, values, |value| value.to_le_bytes())
    }

    /// Numbers of class double, stored in the smallest type of whole numbers that has them all, as MATLAB does
    /// it. scipy gives them back in that type.
    pub fn packed_doubles(dims: &[usize], values: &[f64]) -> Self {
        let fit = |low: f64, high: f64| {
            values.iter().all(|value| {
                let is_negative_zero = *value == 0.0 && value.is_sign_negative();
                value.fract() == 0.0 && (low..=high).contains(value) && !is_negative_zero
            })
        };
        if fit(0.0, 255.0) {
            Self::numbers(dims, 6, 2, values, |value| [*value as u8])
        } else if fit(-128.0, 127.0) {
            Self::numbers(dims, 6, 1, values, |value| [*value as i8 as u8])
        } else if fit(0.0, 65_535.0) {
            Self::numbers(dims, 6, 4, values, |value| (*value as u16).to_le_bytes())
        } else if fit(-32_768.0, 32_767.0) {
            Self::numbers(dims, 6, 3, values, |value| (*value as i16).to_le_bytes())
        } else if fit(f64::from(i32::MIN), f64::from(i32::MAX)) {
            Self::numbers(dims, 6, 5, values, |value| (*value as i32).to_le_bytes())
        } else {
            Self::doubles(dims, values)
        }
    }

    /// Numbers of class int8, as the voxels of 3D-ShapeNets are.
    ///
    /// # Panics
    /// As [`Array::doubles`].
    pub fn int8s(dims: &[usize], values: &[i8]) -> Self {
        Self::numbers(dims, 8, 1, values, |value| value.to_le_bytes())
    }

    /// Numbers of class uint8.
    ///
    /// # Panics
    /// As [`Array::doubles`].
    pub fn uint8s(dims: &[usize], values: &[u8]) -> Self {
        Self::numbers(dims, 9, 2, values, |value| [*value])
    }

    /// Numbers of class uint16.
    ///
    /// # Panics
    /// As [`Array::doubles`].
    pub fn uint16s(dims: &[usize], values: &[u16]) -> Self {
        Self::numbers(dims, 11, 4, values, |value| value.to_le_bytes())
    }

    /// One row of characters; an empty text is 0x0, as '' in MATLAB.
    pub fn text(text: &str) -> Self {
        if text.is_empty() {
            return Self::numbers::<u8, 1>(&[0, 0], 4, 16, &[], |unit| [*unit]);
        }
        if text.is_ascii() {
            return Self::numbers(&[1, text.len()], 4, 16, text.as_bytes(), |byte| [*byte]);
        }
        let units: Vec<u16> = text.encode_utf16().collect();
        let characters = text.chars().count();
        if units.len() == characters {
            return Self::numbers(&[1, characters], 4, 17, &units, |unit| unit.to_le_bytes());
        }
        // scipy counts characters where MATLAB counts units, and cannot read it otherwise.
        let mut array = Self::numbers(&[1, text.len()], 4, 16, text.as_bytes(), |byte| [*byte]);
        array.dims[1] = characters;
        array
    }

    /// A cell array.
    ///
    /// # Panics
    /// As [`Array::doubles`].
    pub fn cells(dims: &[usize], cells: Vec<Self>) -> Self {
        Self::new(dims, cells.len(), Data::Cells(cells))
    }

    /// A single structure.
    ///
    /// # Panics
    /// If a name is none in MATLAB: letters, digits and underscores after a letter, at most 63.
    pub fn structure(fields: Vec<(&str, Self)>) -> Self {
        let fields = fields.into_iter().map(|(name, value)| {
            assert_name(name);
            (name.to_owned(), value)
        });
        Self::new(&[1, 1], 1, Data::Fields(fields.collect()))
    }

    fn numbers<T, const BYTES: usize>(
        dims: &[usize],
        class: u32,
        kind: u32,
        values: &[T],
        bytes: impl Fn(&T) -> [u8; BYTES],
    ) -> Self {
        let bytes = values.iter().flat_map(bytes).collect();
        Self::new(dims, values.len(), Data::Numbers { class, kind, bytes })
    }

    fn new(dims: &[usize], count: usize, data: Data) -> Self {
        assert!(dims.len() >= 2, "an array of MATLAB has two dims or more");
        assert_eq!(dims.iter().product::<usize>(), count, "dims {dims:?}");
        let dims = dims.to_vec();
        Self { dims, data }
    }

    /// The array as an element, its tag in front.
    pub(super) fn element(&self, name: &str, out: &mut Vec<u8>) {
        let start = out.len();
        out.extend([14u32.to_le_bytes(), [0; 4]].concat());
        let class = match &self.data {
            Data::Numbers { class, .. } => *class,
            Data::Cells(_) => 1,
            Data::Fields(_) => 2,
        };
        put(6, &[class.to_le_bytes(), [0; 4]].concat(), out);
        let dims = self.dims.iter().flat_map(|dim| {
            let dim = i32::try_from(*dim).expect("a dimension of MATLAB has 31 bits");
            dim.to_le_bytes()
        });
        put(5, &dims.collect::<Vec<u8>>(), out);
        put(1, name.as_bytes(), out);
        match &self.data {
            Data::Numbers { kind, bytes, .. } => put(*kind, bytes, out),
            Data::Cells(cells) => cells.iter().for_each(|cell| cell.element("", out)),
            Data::Fields(fields) => {
                let longest = fields.iter().map(|(name, _)| name.len()).max();
                let length = longest.unwrap_or(0) + 1;
                let mut names = Vec::new();
                for (index, (name, _)) in fields.iter().enumerate() {
                    names.extend(name.as_bytes());
                    names.resize((index + 1) * length, 0);
                }
                put(5, &(length as u32).to_le_bytes(), out);
                put(1, &names, out);
                fields.iter().for_each(|(_, value)| value.element("", out));
            }
        }
        let length = (out.len() - start - 8) as u64;
        let length = u32::try_from(length).expect("a variable of level 5 has less than 4 GiB");
        out[start + 4..start + 8].copy_from_slice(&length.to_le_bytes());
    }
}

fn assert_name(name: &str) {
    let is_name = name.len() <= 63
        && name.starts_with(|first: char| first.is_ascii_alphabetic())
        && name
            .chars()
            .all(|letter| letter.is_ascii_alphanumeric() || letter == '_');
    assert!(is_name, "{name:?} is no name in MATLAB");
}

/// One element of data: together with its tag in eight bytes where there is room, and filled up to eight.
fn put(kind: u32, data: &[u8], out: &mut Vec<u8>) {
    let length = u32::try_from(data.len()).expect("an element of level 5 has less than 4 GiB");
    if (1..=4).contains(&length) {
        out.extend((length << 16 | kind).to_le_bytes());
    } else {
        out.extend(kind.to_le_bytes());
        out.extend(length.to_le_bytes());
    }
    out.extend(data);
    // Every element before this one was filled up as well.
    out.resize(out.len().next_multiple_of(8), 0);
}

pub(super) fn header() -> Vec<u8> {
    let mut bytes = HEADER.as_bytes().to_vec();
    bytes.resize(HEADER_BYTES - 12, b' ');
    // No place of a workspace of functions, version 1, little-endian.
    bytes.extend([0; 8]);
    bytes.extend(b"\x00\x01IM");
    bytes
}

/// The bytes of a little-endian level 5 file, each variable packed by itself as `save -v7` does it. The same
/// arrays give the same bytes, always.
///
/// # Panics
/// If a name is none in MATLAB (see [`Array::structure`]), or a variable has 4 GiB or more.
pub fn encode(variables: &[(&str, Array)]) -> Vec<u8> {
    let mut bytes = header();
    for (name, array) in variables {
        assert_name(name);
        let mut element = Vec::new();
        array.element(name, &mut element);
        let packed = pack(&element);
        let length =
            u32::try_from(packed.len()).expect("a variable of level 5 has less than 4 GiB");
        bytes.extend(15u32.to_le_bytes());
        bytes.extend(length.to_le_bytes());
        bytes.extend(packed);
    }
    bytes
}

pub(super) fn pack(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::default());
    let written = encoder.write_all(bytes).and_then(|()| encoder.finish());
    written.expect("writing to memory does not fail")
}

/// Writes the file of [`encode`].
///
/// # Errors
/// [`Kind::Disk`] when the file cannot be written.
///
/// # Panics
/// As [`encode`].
pub fn write(path: &Path, variables: &[(&str, Array)]) -> Result<()> {
    let bytes = encode(variables);
    let write = || -> std::io::Result<()> {
        let mut file = std::fs::File::create(path)?;
        file.write_all(&bytes)?;
        file.sync_all()
    };
    write().map_err(|error| at_path(Kind::Disk, "write", path, &error))
}
