//! What of numpy is in such files: the few names that are known, the types of numbers, and arrays.

use std::fmt;

/// The names that a file may ask for. None is ever called: each stands for what it would make.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Global {
    Reconstruct,
    FromBuffer,
    Scalar,
    Ndarray,
    Dtype,
    Encode,
}

impl Global {
    /// `numpy.core` is `numpy._core` since numpy 2.
    pub(super) fn of(module: &str, name: &str) -> Option<Self> {
        Some(match (module, name) {
            ("numpy.core.multiarray" | "numpy._core.multiarray", "_reconstruct") => {
                Self::Reconstruct
            }
            ("numpy.core.multiarray" | "numpy._core.multiarray", "scalar") => Self::Scalar,
            ("numpy.core.numeric" | "numpy._core.numeric", "_frombuffer") => Self::FromBuffer,
            ("numpy", "ndarray") => Self::Ndarray,
            ("numpy", "dtype") => Self::Dtype,
            ("_codecs", "encode") => Self::Encode,
            _ => return None,
        })
    }
}

impl fmt::Display for Global {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Reconstruct => "numpy.core.multiarray._reconstruct",
            Self::FromBuffer => "numpy.core.numeric._frombuffer",
            Self::Scalar => "numpy.core.multiarray.scalar",
            Self::Ndarray => "numpy.ndarray",
            Self::Dtype => "numpy.dtype",
            Self::Encode => "_codecs.encode",
        })
    }
}

/// What a number is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Bool,
    Signed,
    Unsigned,
    Float,
}

/// The type of numbers, as `<f4`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Dtype {
    kind: Kind,
    pub(super) size: u8,
    is_big_endian: bool,
}

/// One number.
pub(super) enum Number {
    Bool(bool),
    Integer(i64),
    Real(f64),
}

impl Dtype {
    /// The type that numpy spells like this, if it is one of plain numbers.
    pub(super) fn of(text: &str) -> Option<Self> {
        let (order, rest) = match text.strip_prefix(['<', '>', '=', '|']) {
            Some(rest) => (&text[..1], rest),
            None => ("=", text),
        };
        let (kind, size) = match rest {
            "b1" | "?" => (Kind::Bool, 1),
            "i1" => (Kind::Signed, 1),
            "i2" => (Kind::Signed, 2),
            "i4" => (Kind::Signed, 4),
            "i8" => (Kind::Signed, 8),
            "u1" => (Kind::Unsigned, 1),
            "u2" => (Kind::Unsigned, 2),
            "u4" => (Kind::Unsigned, 4),
            "u8" => (Kind::Unsigned, 8),
            "f2" => (Kind::Float, 2),
            "f4" => (Kind::Float, 4),
            "f8" => (Kind::Float, 8),
            _ => return None,
        };
        let dtype = Self {
            kind,
            size,
            is_big_endian: false,
        };
        dtype.ordered(order)
    }

    /// The same in another order of bytes; `=`, the order of the writing machine, is the usual one.
    pub(super) fn ordered(self, order: &str) -> Option<Self> {
        let is_big_endian = match order {
            ">" => true,
            "<" | "=" | "|" => false,
            _ => return None,
        };
        Some(Self {
            is_big_endian,
            ..self
        })
    }

    pub(super) fn is_float(self) -> bool {
        self.kind == Kind::Float
    }

    /// The number in so many bytes; none where it does not fit into 64 bits with a sign.
    pub(super) fn number(self, bytes: &[u8]) -> Option<Number> {
        let join = |bits: u64, byte: &u8| bits << 8 | u64::from(*byte);
        let bits = if self.is_big_endian {
            bytes.iter().fold(0, join)
        } else {
            bytes.iter().rev().fold(0, join)
        };
        Some(match (self.kind, self.size) {
            (Kind::Bool, _) => Number::Bool(bits != 0),
            (Kind::Unsigned, _) => Number::Integer(i64::try_from(bits).ok()?),
            (Kind::Signed, 1) => Number::Integer(i64::from(bits as i8)),
            (Kind::Signed, 2) => Number::Integer(i64::from(bits as i16)),
            (Kind::Signed, 4) => Number::Integer(i64::from(bits as i32)),
            (Kind::Signed, _) => Number::Integer(bits as i64),
            (Kind::Float, 2) => Number::Real(f64::from(half(bits as u16))),
            (Kind::Float, 4) => Number::Real(f64::from(f32::from_bits(bits as u32))),
            (Kind::Float, _) => Number::Real(f64::from_bits(bits)),
        })
    }

    /// Appends the floating-point numbers in `bytes`, whose length is a multiple of the size.
    pub(super) fn floats(self, bytes: &[u8], out: &mut Vec<f32>) {
        let (twos, fours, eights) = (
            bytes.as_chunks::<2>().0,
            bytes.as_chunks::<4>().0,
            bytes.as_chunks::<8>().0,
        );
        match (self.size, self.is_big_endian) {
            (2, false) => out.extend(twos.iter().map(|two| half(u16::from_le_bytes(*two)))),
            (2, true) => out.extend(twos.iter().map(|two| half(u16::from_be_bytes(*two)))),
            (4, false) => out.extend(fours.iter().map(|four| f32::from_le_bytes(*four))),
            (4, true) => out.extend(fours.iter().map(|four| f32::from_be_bytes(*four))),
            (_, false) => out.extend(eights.iter().map(|eight| f64::from_le_bytes(*eight) as f32)),
            (_, true) => out.extend(eights.iter().map(|eight| f64::from_be_bytes(*eight) as f32)),
        }
    }
}

impl fmt::Display for Dtype {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.kind {
            Kind::Bool => "bool",
            Kind::Signed => "int",
            Kind::Unsigned => "uint",
            Kind::Float => "float",
        };
        write!(formatter, "{kind}{}", u32::from(self.size) * 8)
    }
}

/// The number of half precision (IEEE 754 binary16) with these bits.
fn half(bits: u16) -> f32 {
    let (exponent, fraction) = (i32::from(bits >> 10 & 31), f32::from(bits & 1023));
    let magnitude = match exponent {
        0 => fraction / 16_777_216.0,
        31 if fraction == 0.0 => f32::INFINITY,
        31 => f32::NAN,
        _ => (1.0 + fraction / 1024.0) * 2f32.powi(exponent - 15),
    };
    if bits >> 15 == 1 {
        -magnitude
    } else {
        magnitude
    }
}

/// Puts numbers whose first index runs fastest in the order in which the last one does.
pub(super) fn from_fortran(shape: &[usize], values: &mut [f32]) {
    if values.is_empty() || shape.len() < 2 {
        return;
    }
    let columns = values.to_vec();
    let mut index = vec![0; shape.len()];
    let mut strides = vec![1; shape.len()];
    for axis in 1..shape.len() {
        strides[axis] = strides[axis - 1] * shape[axis - 1];
    }
    let mut from = 0;
    for value in values {
        *value = columns[from];
        for axis in (0..shape.len()).rev() {
            index[axis] += 1;
            from += strides[axis];
            if index[axis] < shape[axis] {
                break;
            }
            from -= strides[axis] * shape[axis];
            index[axis] = 0;
        }
    }
}
