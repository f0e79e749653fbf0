//! Voxels in numpy's `.npy` and `.npz` files: one shape or many, read one at a time.
//!
//! Shapes are [x, y, z], [n, x, y, z], [n, 1, x, y, z] as the authors of 3D-GAN save them, or [n, x, y, z,
//! 1], in C or Fortran order. Numbers are bool, integers or floats of 32 or 64 bits; a voxel is full where
//! they are at least a threshold. Nothing is unpickled.
//
// zip unpacks; the arrays are read here. ndarray-npy reads an array as a whole, where 10,668 shapes of 64 x
// 64 x 64 floats take 11 GB, and its parser of headers takes twice the time for each bracket in a bracket:
// 22 of them, a minute.

use crate::Parsed;
use crate::voxels::{Voxels, by, checked_size};
use anyhow::Result;
use gan_core::failure::{Kind, at_path, failure};
use gan_core::regular;
use std::borrow::Borrow;
use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Seek, SeekFrom, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};
use zip::ZipArchive;
use zip::write::{SimpleFileOptions, ZipWriter};

/// A voxel is full where its number is at least this.
pub const THRESHOLD: f32 = 0.5;
/// Most bytes of an array's header; numpy's own take 128.
const MOST_HEADER: usize = 4096;
/// Numbers that are read at a time.
const BLOCK: usize = 8192;
/// No bytes unpack to more than so many times their number: deflate ends at 1,032.
const MOST_RATIO: u64 = 1040;
/// Most bytes of packed voxels of an array in Fortran order, which are made all at once.
const MOST_AT_ONCE: usize = 4 << 30;

/// Shapes of a `.npy` file, or of all arrays of voxels in a `.npz` file, one behind the other.
pub struct Arrays<R = File> {
    path: PathBuf,
    source: Source<R>,
    arrays: Vec<Array>,
    threshold: f32,
}

enum Source<R> {
    Npy(R),
    Npz(ZipArchive<BufReader<R>>),
}

impl Arrays {
    /// Opens a file and checks the header of each array against its length. What it is, is told by content.
    ///
    /// # Errors
    /// A [`Kind::Data`] failure that names the file and the array: no array of voxels, of Python
    /// objects, of numbers of another type, longer or shorter than it claims.
    pub fn open(path: &Path) -> Result<Self> {
        let (file, _) = regular::open(Kind::Data, "open", path)?;
        Self::of(file, path, |_| true)
    }

    /// Opens one array of a `.npz` file by its name.
    ///
    /// # Errors
    /// As [`Self::open`], and when there is no array of this name.
    pub fn open_named(path: &Path, name: &str) -> Result<Self> {
        let (file, _) = regular::open(Kind::Data, "open", path)?;
        Self::of(file, path, |found| found == name)
    }
}

impl<R: Read + Seek> Arrays<R> {
    /// The same of anything that can be read; `path` is what messages call it.
    ///
    /// # Errors
    /// As [`Arrays::open`].
    pub fn from_reader(reader: R, path: &Path) -> Result<Self> {
        Self::of(reader, path, |_| true)
    }

    fn of(mut reader: R, path: &Path, is_wanted: impl Fn(&str) -> bool) -> Result<Self> {
        let refuse = |what: String| failure(Kind::Data, format!("{}: {what}", path.display()));
        let broken = |error: io::Error| at_path(Kind::Data, "read", path, &error);
        let length = reader.seek(SeekFrom::End(0)).map_err(broken)?;
        let mut start = Vec::new();
        reader.rewind().map_err(broken)?;
        Read::by_ref(&mut reader)
            .take(MAGIC.len() as u64)
            .read_to_end(&mut start)
            .and_then(|_| reader.rewind())
            .map_err(broken)?;
        let (source, arrays) = if start == MAGIC {
            let array = Array::read(&mut reader, length, String::new(), 0)
                .map_err(|fault| refuse(fault.into_text()))?;
            (Source::Npy(reader), vec![array])
        } else if start.starts_with(b"PK") {
            let mut archive = ZipArchive::new(BufReader::new(reader))
                .map_err(|error| refuse(format!("it is no .npz file of numpy: {error}")))?;
            let arrays = in_archive(&mut archive, length, is_wanted).map_err(refuse)?;
            (Source::Npz(archive), arrays)
        } else {
            return Err(refuse(
                "it is no file of numpy: expected what numpy.save or numpy.savez writes".to_owned(),
            ));
        };
        Ok(Self {
            path: path.to_owned(),
            source,
            arrays,
            threshold: THRESHOLD,
        })
    }

    /// With another threshold than [`THRESHOLD`].
    ///
    /// # Panics
    /// If it is not finite.
    pub fn with_threshold(mut self, threshold: f32) -> Self {
        assert!(threshold.is_finite(), "a threshold of {threshold}");
        self.threshold = threshold;
        self
    }

    /// How many shapes there are; never zero.
    #[expect(clippy::len_without_is_empty, reason = "never zero")]
    pub fn len(&self) -> usize {
        self.arrays.iter().map(|array| array.count).sum()
    }

    /// The bytes that all shapes take in memory as voxels.
    pub fn bytes(&self) -> u64 {
        self.bytes_with(|size| size)
    }

    /// The same where `size` says how many voxels a shape of so many numbers has.
    fn bytes_with(&self, size: impl Fn([usize; 3]) -> [usize; 3]) -> u64 {
        let each =
            |array: &Array| Voxels::bytes_of(size(array.size)).saturating_mul(array.count as u64);
        self.arrays.iter().map(each).fold(0, u64::saturating_add)
    }

    /// The size of shape `index`.
    ///
    /// # Panics
    /// If there are fewer shapes.
    pub fn size(&self, index: usize) -> [usize; 3] {
        self.arrays[self.place(index).0].size
    }

    /// Calls `visit` with each shape in order and its index. Only one is in memory at a time; of an array
    /// of several shapes in Fortran order, all are, a bit a voxel.
    ///
    /// # Errors
    /// That of `visit`; a [`Kind::Data`] failure when the file cannot be read or a number is not finite.
    pub fn each(&mut self, mut visit: impl FnMut(usize, Voxels) -> Result<()>) -> Result<()> {
        let threshold = f64::from(self.threshold);
        let mut first = 0;
        for index in 0..self.arrays.len() {
            let Array { count, size, .. } = self.arrays[index];
            if self.arrays[index].is_mixed() {
                for (shape, voxels) in self.at_once(index)?.into_iter().enumerate() {
                    visit(first + shape, voxels)?;
                }
            } else {
                let mut grid = Voxels::new(size);
                let last = grid.len() - 1;
                self.walk(index, 0..count, |shape, voxel, number| {
                    if number >= threshold {
                        grid.fill(voxel);
                    }
                    if voxel == last {
                        visit(
                            first + shape,
                            std::mem::replace(&mut grid, Voxels::new(size)),
                        )?;
                    }
                    Ok(())
                })?;
            }
            first += count;
        }
        Ok(())
    }

    /// Shape `index`. Quick in a `.npy` file in C order; elsewhere everything before it is read too.
    ///
    /// # Errors
    /// A [`Kind::Data`] failure when the file cannot be read or a number is not finite.
    ///
    /// # Panics
    /// If there are fewer shapes.
    pub fn read(&mut self, index: usize) -> Result<Voxels> {
        let (array, shape) = self.place(index);
        let threshold = f64::from(self.threshold);
        let mut grid = Voxels::new(self.arrays[array].size);
        self.walk(array, shape..shape + 1, |_, voxel, number| {
            if number >= threshold {
                grid.fill(voxel);
            }
            Ok(())
        })?;
        Ok(grid)
    }

    /// The numbers of shape `index` themselves, in the order of [`Voxels::bits`].
    ///
    /// # Errors
    /// As [`Self::read`].
    ///
    /// # Panics
    /// As [`Self::read`].
    pub fn values(&mut self, index: usize) -> Result<Vec<f32>> {
        let (array, shape) = self.place(index);
        let mut values = vec![0.0; self.arrays[array].voxels()];
        self.walk(array, shape..shape + 1, |_, voxel, number| {
            values[voxel] = number as f32;
            Ok(())
        })?;
        Ok(values)
    }

    /// The array that holds shape `index`, and which of its shapes that is.
    fn place(&self, index: usize) -> (usize, usize) {
        let mut left = index;
        for (place, array) in self.arrays.iter().enumerate() {
            if left < array.count {
                return (place, left);
            }
            left -= array.count;
        }
        panic!("shape {index} of {}", self.len());
    }

    fn at_once(&mut self, index: usize) -> Result<Vec<Voxels>> {
        let threshold = f64::from(self.threshold);
        let array = &self.arrays[index];
        let bytes = array.voxels().div_ceil(8).saturating_mul(array.count);
        if bytes > MOST_AT_ONCE {
            return Err(failure(
                Kind::Data,
                format!(
                    "{}: {}{} shapes in Fortran order are too many to be read at once: save \
                     numpy.ascontiguousarray(...) of them",
                    self.path.display(),
                    array.prefix(),
                    array.count
                ),
            ));
        }
        let mut all = vec![Voxels::new(array.size); array.count];
        self.walk(index, 0..all.len(), |shape, voxel, number| {
            if number >= threshold {
                all[shape].fill(voxel);
            }
            Ok(())
        })?;
        Ok(all)
    }

    /// Calls `visit` with the shape, the index of the voxel in it and its number, for the shapes that are
    /// wanted of one array, in the order of the file.
    fn walk(
        &mut self,
        index: usize,
        wanted: Range<usize>,
        mut visit: impl FnMut(usize, usize, f64) -> Result<()>,
    ) -> Result<()> {
        let array = &self.arrays[index];
        let refuse = |what: String| {
            failure(
                Kind::Data,
                format!("{}: {}{what}", self.path.display(), array.prefix()),
            )
        };
        let broken = |error: io::Error| refuse(format!("it cannot be read to its end: {error}"));
        let voxels = array.voxels();
        let read = if array.is_mixed() {
            0..array.count
        } else {
            wanted.clone()
        };
        let mut reader = self
            .source
            .open(array, (read.start * voxels * array.number.bytes) as u64)
            .map_err(broken)?;
        let mut place = Place::new(array, read.start);
        let mut left = read.len() * voxels;
        let mut bytes = Vec::new();
        let mut numbers = Vec::new();
        while left > 0 {
            let block = left.min(BLOCK);
            bytes.resize(block * array.number.bytes, 0);
            reader.read_exact(&mut bytes).map_err(broken)?;
            array.number.decode(&bytes, &mut numbers);
            for number in &numbers {
                if wanted.contains(&place.shape) {
                    if !number.is_finite() {
                        return Err(refuse(format!(
                            "shape {} holds {number} at {:?}: save finite numbers only",
                            place.shape, place.at
                        )));
                    }
                    visit(place.shape, place.voxel(), *number)?;
                }
                place.step();
            }
            left -= block;
        }
        if read.end == array.count {
            // The archive checks its sum when it comes to the end.
            let more = reader.read(&mut [0]).map_err(broken)?;
            if more != 0 {
                return Err(refuse("it goes on after its last number".to_owned()));
            }
        }
        Ok(())
    }
}

impl<R: Read + Seek> Source<R> {
    /// The numbers of an array behind the first `skipped` bytes of them.
    fn open(&mut self, array: &Array, skipped: u64) -> io::Result<Box<dyn Read + '_>> {
        match self {
            Self::Npy(file) => {
                file.seek(SeekFrom::Start(array.start + skipped))?;
                Ok(Box::new(file))
            }
            Self::Npz(archive) => {
                let mut entry = archive.by_index(array.entry)?;
                let before = array.start + skipped;
                let passed = io::copy(&mut Read::by_ref(&mut entry).take(before), &mut io::sink())?;
                if passed < before {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
                Ok(Box::new(entry))
            }
        }
    }
}

/// The arrays of voxels in an archive of `length` bytes. Arrays of other kinds are passed over, where there is one of
/// voxels; one that could be voxels and cannot be read is an error.
fn in_archive<R: Read + Seek>(
    archive: &mut ZipArchive<R>,
    length: u64,
    is_wanted: impl Fn(&str) -> bool,
) -> Parsed<Vec<Array>> {
    let mut arrays = Vec::new();
    let mut others = Vec::new();
    for index in 0..archive.len() {
        let name = archive.name_for_index(index);
        let Some(Ok(name)) = name.map(|name| name.map(std::borrow::Cow::into_owned)) else {
            continue;
        };
        let Some(name) = name.strip_suffix(".npy").filter(|name| is_wanted(name)) else {
            continue;
        };
        let name = name.replace(char::is_control, "?");
        match in_entry(archive, index, length, &name) {
            Ok(array) => arrays.push(array),
            Err(Fault::Broken(what)) => return Err(format!("{name}: {what}")),
            Err(Fault::Other(what)) => others.push(format!("{name}: {what}")),
        }
    }
    if arrays.is_empty() {
        // An archive may hold thousands.
        let more = others.len().saturating_sub(3);
        others.truncate(3);
        if more > 0 {
            others.push(format!("and {more} more"));
        }
        if others.is_empty() {
            others.push("no such array".to_owned());
        }
        return Err(format!("it has no array of voxels: {}", others.join("; ")));
    }
    Ok(arrays)
}

/// The array in entry `index` of an archive of `length` bytes.
fn in_entry<R: Read + Seek>(
    archive: &mut ZipArchive<R>,
    index: usize,
    length: u64,
    name: &str,
) -> std::result::Result<Array, Fault> {
    let mut entry = archive
        .by_index(index)
        .map_err(|error| format!("it cannot be unpacked: {error}"))?;
    let size = entry.size();
    let most = entry
        .compressed_size()
        .min(length)
        .saturating_mul(MOST_RATIO);
    if size > most {
        return Err(Fault::Broken(format!(
            "it claims to unpack to {size} bytes, and more than {most} are not possible"
        )));
    }
    Array::read(&mut entry, size, name.to_owned(), index)
}

const MAGIC: &[u8] = b"\x93NUMPY";

/// Why an array cannot be read as voxels, in words.
enum Fault {
    /// It is of another kind: names, labels, points.
    Other(String),
    /// It could be voxels.
    Broken(String),
}

impl Fault {
    fn into_text(self) -> String {
        match self {
            Self::Other(what) | Self::Broken(what) => what,
        }
    }
}

impl From<String> for Fault {
    fn from(what: String) -> Self {
        Self::Broken(what)
    }
}

impl From<&str> for Fault {
    fn from(what: &str) -> Self {
        Self::Broken(what.to_owned())
    }
}

/// What the header of an array says.
struct Array {
    /// In an archive.
    name: String,
    /// Its place in the archive.
    entry: usize,
    /// Where its numbers begin.
    start: u64,
    number: Number,
    is_fortran: bool,
    /// Shapes.
    count: usize,
    size: [usize; 3],
}

impl Array {
    /// Reads the header of an array of `length` bytes in all, and checks it against them.
    fn read(
        reader: &mut impl Read,
        length: u64,
        name: String,
        entry: usize,
    ) -> std::result::Result<Self, Fault> {
        let mut start = [0; 10];
        let cut = |_| "its header is cut short".to_owned();
        reader.read_exact(&mut start).map_err(cut)?;
        if !start.starts_with(MAGIC) {
            return Err("it is no array of numpy".into());
        }
        let (taken, header) = match start[6] {
            1 => (10, usize::from(u16::from_le_bytes([start[8], start[9]]))),
            2 | 3 => {
                let mut rest = [0; 2];
                reader.read_exact(&mut rest).map_err(cut)?;
                let size = u32::from_le_bytes([start[8], start[9], rest[0], rest[1]]);
                (12, size as usize)
            }
            other => return Err(format!("its format has version {other}; 1 to 3 are read").into()),
        };
        if header > MOST_HEADER {
            return Err(format!(
                "its header claims {header} bytes; at most {MOST_HEADER} are read"
            )
            .into());
        }
        let mut text = vec![0; header];
        reader.read_exact(&mut text).map_err(cut)?;
        let text = String::from_utf8(text).map_err(|_| "its header is no text".to_owned())?;
        let fault = if is_of_another_kind(&text) {
            Fault::Other
        } else {
            Fault::Broken
        };
        let number = Number::parse(value(&text, "descr")?).map_err(fault)?;
        let is_fortran = match value(&text, "fortran_order")? {
            order if order.starts_with("True") => true,
            order if order.starts_with("False") => false,
            _ => return Err("its header does not say `fortran_order`".into()),
        };
        let sides = sides(&text)?;
        let (count, size) = layout(sides).map_err(fault)?;
        let held = length.saturating_sub((taken + header) as u64);
        let claimed = (checked_size(size)? as u64)
            .checked_mul(number.bytes as u64)
            .and_then(|bytes| bytes.checked_mul(count as u64));
        if claimed != Some(held) {
            return Err(format!(
                "its header claims ({sides}) numbers of {} bytes, but {held} bytes follow: the file is \
                 cut short or damaged",
                number.bytes
            )
            .into());
        }
        Ok(Self {
            name,
            entry,
            start: (taken + header) as u64,
            number,
            is_fortran,
            count,
            size,
        })
    }

    fn voxels(&self) -> usize {
        self.size.iter().product()
    }

    /// Whether the numbers of a shape lie between those of the others.
    fn is_mixed(&self) -> bool {
        self.is_fortran && self.count > 1
    }

    /// What a message about it begins with.
    fn prefix(&self) -> String {
        match self.name.as_str() {
            "" => String::new(),
            name => format!("{name}: "),
        }
    }
}

/// What comes behind a key in the dictionary of a header.
fn value<'a>(text: &'a str, key: &str) -> Parsed<&'a str> {
    [format!("'{key}'"), format!("\"{key}\"")]
        .iter()
        .find_map(|key| text.split_once(key.as_str()))
        .and_then(|(_, rest)| rest.trim_start().strip_prefix(':'))
        .map(str::trim_start)
        .ok_or_else(|| format!("its header does not say `{key}`"))
}

/// The sides of an array as its header has them, without the brackets.
fn sides(text: &str) -> Parsed<&str> {
    value(text, "shape")?
        .strip_prefix('(')
        .and_then(|rest| rest.split_once(')'))
        .map(|(sides, _)| sides)
        .ok_or_else(|| "its header names no shape".to_owned())
}

/// Whether a header is that of an array which nobody would take for voxels: of fewer than three or more than five sides,
/// of texts, dates or records, or of points, colours and the like.
fn is_of_another_kind(text: &str) -> bool {
    let kind = value(text, "descr").unwrap_or_default();
    let name = kind.trim_start_matches(['\'', '"', '<', '>', '|', '=']);
    if name.starts_with(['U', 'S', 'M', 'm', 'V', '[']) {
        return true;
    }
    // Python 2 had 30L.
    let numbers = |text: &str| -> Option<Vec<usize>> {
        text.split(',')
            .map(|side| side.trim().trim_end_matches('L'))
            .filter(|side| !side.is_empty())
            .map(|side| side.parse().ok())
            .collect()
    };
    let Some(sides) = sides(text).ok().and_then(numbers) else {
        return false;
    };
    let is_of_points = sides.last().is_some_and(|last| *last <= 4)
        && sides.len() == 3
        && sides.iter().any(|side| *side > Voxels::MOST_SIDE);
    !(3..=5).contains(&sides.len()) || is_of_points
}

/// How many shapes there are, and their size, by the sides of an array.
fn layout(sides: &str) -> Parsed<(usize, [usize; 3])> {
    let wrong = |why: &str| {
        let sides = sides.replace(char::is_control, "?");
        format!(
            "it has the shape ({sides}){why}; [x, y, z], [n, x, y, z], [n, 1, x, y, z] or [n, x, y, z, \
             1] is expected: use numpy.reshape or numpy.moveaxis"
        )
    };
    let mut numbers = Vec::new();
    for side in sides.split(',').map(str::trim) {
        // Python 2 had 30L.
        let side = side.strip_suffix('L').unwrap_or(side);
        if !side.is_empty() {
            numbers.push(side.parse::<usize>().map_err(|_| wrong(""))?);
        }
        if numbers.len() > 5 {
            return Err(wrong(""));
        }
    }
    let (count, size) = match numbers[..] {
        [x, y, z] => (1, [x, y, z]),
        [x, y, z, 1] if ![x, y, z].contains(&1) => {
            return Err(wrong(" which may be one shape or many flat ones"));
        }
        [n, x, y, z] | [n, 1, x, y, z] | [n, x, y, z, 1] => (n, [x, y, z]),
        _ => return Err(wrong("")),
    };
    checked_size(size)?;
    if count == 0 {
        return Err(wrong(" and so holds none"));
    }
    Ok((count, size))
}

/// The type of an array's numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Number {
    kind: Sort,
    bytes: usize,
    is_big_endian: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sort {
    /// bool counts as such.
    Unsigned,
    Signed,
    Float,
}

impl Number {
    /// From what follows `'descr':`.
    fn parse(text: &str) -> Parsed<Self> {
        if text.starts_with('[') {
            return Err(
                "it is an array of records; save one field of it as an array of its own".to_owned(),
            );
        }
        let quote = text.chars().next().filter(|quote| "'\"".contains(*quote));
        let name = quote
            .and_then(|quote| text[1..].split_once(quote))
            .map(|(name, _)| name)
            .ok_or("its header names no type")?;
        let shown = name.replace(char::is_control, "?");
        if name.contains('O') {
            return Err(format!(
                "it is an array of Python objects ({shown}), which are pickles and could run anything: \
                 save numbers, as in numpy.stack(...).astype(bool)"
            ));
        }
        let is_big_endian = name.starts_with('>');
        let (kind, bytes) = match name.trim_start_matches(['<', '>', '|', '=']) {
            "b1" | "u1" => (Sort::Unsigned, 1),
            "u2" => (Sort::Unsigned, 2),
            "u4" => (Sort::Unsigned, 4),
            "u8" => (Sort::Unsigned, 8),
            "i1" => (Sort::Signed, 1),
            "i2" => (Sort::Signed, 2),
            "i4" => (Sort::Signed, 4),
            "i8" => (Sort::Signed, 8),
            "f4" => (Sort::Float, 4),
            "f8" => (Sort::Float, 8),
            _ => {
                return Err(format!(
                    "its numbers are of type {shown}; bool, integers, float32 or float64 are expected: \
                     save it with .astype(numpy.float32)"
                ));
            }
        };
        Ok(Self {
            kind,
            bytes,
            is_big_endian,
        })
    }

    /// The numbers in some bytes; 64 bits hold all of them but integers beyond 2^53 exactly.
    fn decode(self, bytes: &[u8], numbers: &mut Vec<f64>) {
        macro_rules! decode {
            ($type:ty) => {
                numbers.extend(bytes.as_chunks().0.iter().map(|bytes| {
                    (if self.is_big_endian {
                        <$type>::from_be_bytes(*bytes)
                    } else {
                        <$type>::from_le_bytes(*bytes)
                    }) as f64
                }))
            };
        }
        numbers.clear();
        match (self.kind, self.bytes) {
            (Sort::Unsigned, 1) => decode!(u8),
            (Sort::Unsigned, 2) => decode!(u16),
            (Sort::Unsigned, 4) => decode!(u32),
            (Sort::Unsigned, _) => decode!(u64),
            (Sort::Signed, 1) => decode!(i8),
            (Sort::Signed, 2) => decode!(i16),
            (Sort::Signed, 4) => decode!(i32),
            (Sort::Signed, _) => decode!(i64),
            (Sort::Float, 4) => decode!(f32),
            (Sort::Float, _) => decode!(f64),
        }
    }
}

/// Where a number of an array belongs.
struct Place {
    shape: usize,
    at: [usize; 3],
    count: usize,
    size: [usize; 3],
    is_fortran: bool,
}

impl Place {
    fn new(array: &Array, shape: usize) -> Self {
        Self {
            shape,
            at: [0; 3],
            count: array.count,
            size: array.size,
            is_fortran: array.is_fortran,
        }
    }

    fn voxel(&self) -> usize {
        (self.at[0] * self.size[1] + self.at[1]) * self.size[2] + self.at[2]
    }

    fn step(&mut self) {
        if self.is_fortran {
            self.shape += 1;
            if self.shape < self.count {
                return;
            }
            self.shape = 0;
            for axis in 0..3 {
                self.at[axis] += 1;
                if self.at[axis] < self.size[axis] {
                    return;
                }
                self.at[axis] = 0;
            }
        } else {
            for axis in (0..3).rev() {
                self.at[axis] += 1;
                if self.at[axis] < self.size[axis] {
                    return;
                }
                self.at[axis] = 0;
            }
            self.shape += 1;
        }
    }
}

/// What voxels are written as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stored {
    /// `bool`
    Bool,
    /// `uint8`, 0 or 1.
    Byte,
    /// `float32`, 0 or 1.
    Float,
}

impl Stored {
    fn name(self) -> &'static str {
        match self {
            Self::Bool => "|b1",
            Self::Byte => "|u1",
            Self::Float => "<f4",
        }
    }

    fn bytes(self) -> usize {
        match self {
            Self::Bool | Self::Byte => 1,
            Self::Float => 4,
        }
    }
}

/// Writes shapes of one size as an array [n, x, y, z], one after the other.
///
/// # Errors
/// A [`Kind::Data`] failure when there are none or their sizes differ, a [`Kind::Disk`] failure that names
/// the path.
pub fn write_npy<S: Borrow<Voxels>>(
    path: &Path,
    stored: Stored,
    shapes: impl IntoIterator<Item = S, IntoIter: ExactSizeIterator>,
) -> Result<()> {
    written(path, |file| {
        write_shapes(file, path, stored, shapes.into_iter(), |_, _| Ok(()))
    })
}

/// Writes shapes of one size as the packed array `voxels` [n, x, y, z] of an archive, one after the other.
///
/// # Errors
/// As [`write_npy`].
pub fn write_npz<S: Borrow<Voxels>>(
    path: &Path,
    stored: Stored,
    shapes: impl IntoIterator<Item = S, IntoIter: ExactSizeIterator>,
) -> Result<()> {
    written(path, |file| {
        let mut archive = ZipWriter::new(file);
        write_shapes(
            &mut archive,
            path,
            stored,
            shapes.into_iter(),
            |archive, bytes| {
                let options = SimpleFileOptions::default()
                    .compression_method(zip::CompressionMethod::Deflated)
                    .large_file(bytes > u64::from(u32::MAX) / 2);
                archive.start_file("voxels.npy", options)?;
                Ok(())
            },
        )?;
        archive.finish()?;
        Ok(())
    })
}

/// The name of packed voxels in an archive: `[n, x, y, z / 8]` bytes, eight voxels along z in each, the lowest bit first
/// (`numpy.unpackbits(packed, axis=3, bitorder="little")`).
pub const PACKED: &str = "packed";

/// Whether an archive holds packed voxels. What cannot be read holds none.
pub fn has_packed(path: &Path) -> bool {
    let names = || -> Option<bool> {
        let (file, _) = regular::open(Kind::Data, "open", path).ok()?;
        let archive = ZipArchive::new(BufReader::new(file)).ok()?;
        let name = format!("{PACKED}.npy");
        Some(archive.index_for_name(&name).is_some())
    };
    names().unwrap_or(false)
}

/// Reads packed voxels, once from the first to the last. `admit` is told before how many shapes there are, and the bytes
/// that they will take in memory.
///
/// # Errors
/// As [`Arrays::open`], that of `admit`, and [`Kind::Data`] for numbers that are no bytes.
pub fn read_packed(
    path: &Path,
    admit: impl FnOnce(usize, u64) -> Result<()>,
) -> Result<Vec<Voxels>> {
    let refuse = |what: String| failure(Kind::Data, format!("{}: {what}", path.display()));
    let unpacked = |[x, y, z]: [usize; 3]| [x, y, 8 * z];
    let mut arrays = Arrays::open_named(path, PACKED)?;
    for array in &arrays.arrays {
        checked_size(unpacked(array.size)).map_err(refuse)?;
    }
    admit(arrays.len(), arrays.bytes_with(unpacked))?;
    let mut all: Vec<Voxels> = Vec::new();
    for index in 0..arrays.arrays.len() {
        let Array { count, size, .. } = arrays.arrays[index];
        let first = all.len();
        arrays.walk(index, 0..count, |shape, place, value| {
            if value.fract() != 0.0 || !(0.0..256.0).contains(&value) {
                return Err(refuse(format!("{PACKED} is not of bytes: {value}")));
            }
            if first + shape == all.len() {
                all.push(Voxels::new(unpacked(size)));
            }
            let byte = value as u8;
            for bit in (0..8).filter(|bit| byte >> bit & 1 == 1) {
                all[first + shape].fill(8 * place + bit);
            }
            Ok(())
        })?;
    }
    Ok(all)
}

/// Writes shapes of one size, a bit a voxel, as [`PACKED`]; their height is a multiple of eight.
///
/// # Errors
/// As [`write_npy`].
///
/// # Panics
/// If a height is no multiple of eight, or sizes differ.
pub fn write_packed(path: &Path, shapes: &[Voxels]) -> Result<()> {
    let Some(first) = shapes.first() else {
        let what = format!("{} cannot be written: there are no shapes", path.display());
        return Err(failure(Kind::Data, what));
    };
    let [x, y, z] = first.size();
    assert!(z.is_multiple_of(8), "a height of {z} voxels");
    written(path, |file| {
        let mut archive = ZipWriter::new(file);
        let options = SimpleFileOptions::default()
            .compression_method(zip::CompressionMethod::Deflated)
            .large_file(shapes.len() * first.len() > 1 << 33);
        archive.start_file(format!("{PACKED}.npy"), options)?;
        archive.write_all(&header(Stored::Byte, shapes.len(), [x, y, z / 8]))?;
        let mut bytes = vec![0u8; first.len() / 8];
        for shape in shapes {
            assert_eq!(shape.size(), [x, y, z], "sizes differ");
            bytes.fill(0);
            for at in shape.full() {
                bytes[(at[0] * y + at[1]) * (z / 8) + at[2] / 8] |= 1 << (at[2] % 8);
            }
            archive.write_all(&bytes)?;
        }
        archive.finish()?;
        Ok(())
    })
}

/// Writes numbers, such as a generator's probabilities, as an array [n, x, y, z] of float32. Each field is
/// in the order of [`Voxels::bits`].
///
/// # Errors
/// A [`Kind::Disk`] failure that names the path.
///
/// # Panics
/// If a field has not as many numbers as `size` asks for.
pub fn write_values<F: AsRef<[f32]>>(
    path: &Path,
    size: [usize; 3],
    fields: impl IntoIterator<Item = F, IntoIter: ExactSizeIterator>,
) -> Result<()> {
    let fields = fields.into_iter();
    written(path, |file| {
        file.write_all(&header(Stored::Float, fields.len(), size))?;
        for field in fields {
            let field = field.as_ref();
            assert_eq!(
                field.len(),
                size.iter().product::<usize>(),
                "a field of {size:?}"
            );
            let bytes: Vec<u8> = field
                .iter()
                .flat_map(|number| number.to_le_bytes())
                .collect();
            file.write_all(&bytes)?;
        }
        Ok(())
    })
}

/// Writes a header and shapes; `begin` is told before how many bytes they will be.
fn write_shapes<W: Write, S: Borrow<Voxels>>(
    writer: &mut W,
    path: &Path,
    stored: Stored,
    shapes: impl ExactSizeIterator<Item = S>,
    begin: impl FnOnce(&mut W, u64) -> Result<()>,
) -> Result<()> {
    let refuse = |what: String| {
        failure(
            Kind::Data,
            format!("{} cannot be written: {what}", path.display()),
        )
    };
    let count = shapes.len();
    let mut begin = Some(begin);
    let mut size = [0; 3];
    let mut bytes = Vec::new();
    for (index, shape) in shapes.enumerate() {
        let shape = shape.borrow();
        if let Some(begin) = begin.take() {
            size = shape.size();
            begin(writer, (shape.len() * stored.bytes()) as u64 * count as u64)?;
            writer.write_all(&header(stored, count, size))?;
        }
        if shape.size() != size {
            return Err(refuse(format!(
                "shape {index} has {} voxels and the first has {}: pad them to one size",
                by(shape.size()),
                by(size)
            )));
        }
        bytes.clear();
        bytes.resize(shape.len() * stored.bytes(), 0);
        let [_, depth, height] = size;
        for [x, y, z] in shape.full() {
            let voxel = (x * depth + y) * height + z;
            match stored {
                Stored::Bool | Stored::Byte => bytes[voxel] = 1,
                Stored::Float => {
                    bytes[4 * voxel..4 * voxel + 4].copy_from_slice(&1f32.to_le_bytes());
                }
            }
        }
        writer.write_all(&bytes)?;
    }
    if begin.is_some() {
        return Err(refuse("there are no shapes".to_owned()));
    }
    Ok(())
}

/// The header of an array as numpy writes it: its length, with what is before it, is divisible by 64.
fn header(stored: Stored, count: usize, [x, y, z]: [usize; 3]) -> Vec<u8> {
    let mut text = format!(
        "{{'descr': '{}', 'fortran_order': False, 'shape': ({count}, {x}, {y}, {z}), }}",
        stored.name()
    );
    while !(10 + text.len() + 1).is_multiple_of(64) {
        text.push(' ');
    }
    text.push('\n');
    let mut bytes = MAGIC.to_vec();
    bytes.extend([1, 0]);
    bytes.extend((text.len() as u16).to_le_bytes());
    bytes.extend(text.bytes());
    bytes
}

/// Writes a file piece by piece, whole or not at all.
fn written(path: &Path, write: impl FnOnce(&mut BufWriter<File>) -> Result<()>) -> Result<()> {
    let mut name = path.file_name().unwrap_or_default().to_os_string();
    name.push(format!(".tmp-{}", std::process::id()));
    let temporary = path.with_file_name(name);
    let attempt = || -> Result<()> {
        let mut file = BufWriter::new(File::create(&temporary)?);
        write(&mut file)?;
        file.into_inner()?.sync_all()?;
        Ok(std::fs::rename(&temporary, path)?)
    };
    attempt().map_err(|error| {
        let _ = std::fs::remove_file(&temporary);
        let error = match error.downcast::<zip::result::ZipError>() {
            Ok(error) => anyhow::Error::new(io::Error::from(error)),
            Err(error) => error,
        };
        match error.downcast::<io::Error>() {
            Ok(error) => at_path(Kind::Disk, "write", path, &error),
            Err(error) => error,
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mutations::damaged;
    use crate::voxels::tests::sample;
    use gan_core::failure::Failure;

    fn folder() -> tempfile::TempDir {
        tempfile::tempdir().unwrap()
    }

    fn shapes() -> Vec<Voxels> {
        let first = sample([4, 5, 6]);
        vec![
            first.clone(),
            first.mirrored(crate::voxels::Axis::Z),
            Voxels::new([4, 5, 6]),
        ]
    }

    fn all(path: &Path) -> Result<Vec<Voxels>> {
        let mut found = Vec::new();
        Arrays::open(path)?.each(|index, voxels| {
            assert_eq!(index, found.len());
            found.push(voxels);
            Ok(())
        })?;
        Ok(found)
    }

    fn refused(path: &Path) -> String {
        let error = all(path).expect_err("a refusal");
        assert_eq!(error.downcast_ref::<Failure>().unwrap().kind, Kind::Data);
        let said = error.to_string();
        assert!(
            said.contains(path.file_name().unwrap().to_str().unwrap()),
            "{said}"
        );
        assert!(said.len() < 600, "{said}");
        said
    }

    /// An array as numpy writes it.
    fn array(kind: &str, order: &str, shape: &str, numbers: &[u8]) -> Vec<u8> {
        let mut text = format!("{{'descr': {kind}, 'fortran_order': {order}, 'shape': {shape}, }}");
        while !(10 + text.len() + 1).is_multiple_of(64) {
            text.push(' ');
        }
        text.push('\n');
        let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
        bytes.extend((text.len() as u16).to_le_bytes());
        bytes.extend(text.bytes());
        bytes.extend(numbers);
        bytes
    }

    fn archive(entries: &[(&str, Vec<u8>)]) -> Vec<u8> {
        let mut zip = ZipWriter::new(io::Cursor::new(Vec::new()));
        let options =
            SimpleFileOptions::default().compression_method(zip::CompressionMethod::Deflated);
        for (name, bytes) in entries {
            zip.start_file(*name, options).unwrap();
            zip.write_all(bytes).unwrap();
        }
        zip.finish().unwrap().into_inner()
    }

    #[test]
    fn what_is_written_is_read() {
        let folder = folder();
        let shapes = shapes();
        for stored in [Stored::Bool, Stored::Byte, Stored::Float] {
            let npy = folder.path().join("a.npy");
            write_npy(&npy, stored, &shapes).unwrap();
            assert_eq!(all(&npy).unwrap(), shapes);
            let bytes = std::fs::metadata(&npy).unwrap().len();
            assert_eq!(bytes, 128 + (3 * 120 * stored.bytes()) as u64);
            let npz = folder.path().join("a.npz");
            write_npz(&npz, stored, shapes.iter().cloned()).unwrap();
            assert_eq!(all(&npz).unwrap(), shapes);
            for path in [npy, npz] {
                let mut arrays = Arrays::open(&path).unwrap();
                assert_eq!((arrays.len(), arrays.size(2)), (3, [4, 5, 6]));
                for index in [2, 0, 1] {
                    assert_eq!(arrays.read(index).unwrap(), shapes[index]);
                }
            }
        }
        let left: Vec<_> = std::fs::read_dir(folder.path()).unwrap().collect();
        assert_eq!(left.len(), 2, "no temporary files");
    }

    #[test]
    fn numbers_are_kept_and_the_threshold_chosen() {
        let folder = folder();
        let path = folder.path().join("a.npy");
        let fields = [[0.0f32, 0.25, 0.5, 0.75, 1.0, -1.0], [0.1; 6]];
        write_values(&path, [1, 2, 3], fields).unwrap();
        let mut arrays = Arrays::open(&path).unwrap();
        assert_eq!(arrays.values(0).unwrap(), fields[0]);
        assert_eq!(arrays.values(1).unwrap(), fields[1]);
        assert_eq!(arrays.read(0).unwrap().bits(), [0b011100], "at least 0.5");
        let mut arrays = arrays.with_threshold(0.1);
        assert_eq!(arrays.read(0).unwrap().bits(), [0b011110]);
        assert_eq!(
            arrays.read(1).unwrap().count(),
            6,
            "0.1 of 32 bits is 0.1 of 32 bits"
        );
    }

    /// Numbers of every type at the same places: 1 where the index is divisible by 3, else 0 or less.
    #[test]
    fn all_types_and_byte_orders_are_read() {
        let folder = folder();
        let path = folder.path().join("a.npy");
        let signs: Vec<i8> = (0..24)
            .map(|index| if index % 3 == 0 { 1 } else { -(index % 2) })
            .collect();
        macro_rules! numbers {
            ($type:ty, $to:ident) => {
                signs
                    .iter()
                    .flat_map(|sign| (*sign as $type).$to())
                    .collect::<Vec<u8>>()
            };
        }
        let positive: Vec<u8> = signs.iter().map(|sign| (*sign).max(0) as u8).collect();
        let wide = |to: fn(u64) -> [u8; 8]| {
            positive
                .iter()
                .flat_map(|sign| to(u64::from(*sign)))
                .collect::<Vec<u8>>()
        };
        for (kind, bytes) in [
            ("'|b1'", positive.clone()),
            ("'|u1'", positive.clone()),
            ("'|i1'", numbers!(i8, to_le_bytes)),
            ("'<i2'", numbers!(i16, to_le_bytes)),
            ("'>i4'", numbers!(i32, to_be_bytes)),
            ("'<i8'", numbers!(i64, to_le_bytes)),
            ("'>i8'", numbers!(i64, to_be_bytes)),
            ("'<u8'", wide(u64::to_le_bytes)),
            ("'>u8'", wide(u64::to_be_bytes)),
            ("'<f4'", numbers!(f32, to_le_bytes)),
            ("'>f4'", numbers!(f32, to_be_bytes)),
            ("'<f8'", numbers!(f64, to_le_bytes)),
            ("\">f8\"", numbers!(f64, to_be_bytes)),
        ] {
            std::fs::write(&path, array(kind, "False", "(2, 3L, 4)", &bytes)).unwrap();
            let found = all(&path).unwrap();
            assert_eq!(found.len(), 1);
            let mut index = 0;
            let expected = Voxels::from_fn([2, 3, 4], |_| {
                index += 1;
                (index - 1) % 3 == 0
            });
            assert_eq!(found[0], expected, "{kind}");
        }
    }

    #[test]
    fn all_layouts_are_read() {
        let folder = folder();
        let path = folder.path().join("a.npy");
        let voxel = |n: usize, [x, y, z]: [usize; 3]| (n * 7 + x * 5 + y * 3 + z) % 4 < 1;
        for (shape, count) in [
            ("(2, 3, 4)", 1),
            ("(3, 2, 3, 4)", 3),
            ("(3, 1, 2, 3, 4)", 3),
            ("(3, 2, 3, 4, 1)", 3),
            ("(1, 1, 2, 3, 4)", 1),
        ] {
            let expected: Vec<Voxels> = (0..count)
                .map(|n| Voxels::from_fn([2, 3, 4], |at| voxel(n, at)))
                .collect();
            let mut in_c = Vec::new();
            for n in 0..count {
                Voxels::from_fn([2, 3, 4], |at| {
                    in_c.push(u8::from(voxel(n, at)));
                    false
                });
            }
            let mut in_fortran = Vec::new();
            for z in 0..4 {
                for y in 0..3 {
                    for x in 0..2 {
                        in_fortran.extend((0..count).map(|n| u8::from(voxel(n, [x, y, z]))));
                    }
                }
            }
            for (order, numbers) in [("False", in_c), ("True", in_fortran)] {
                let bytes = array("'|u1'", order, shape, &numbers);
                std::fs::write(&path, &bytes).unwrap();
                assert_eq!(all(&path).unwrap(), expected, "{shape} {order}");
                let mut arrays = Arrays::open(&path).unwrap();
                assert_eq!(arrays.read(count - 1).unwrap(), expected[count - 1]);
                std::fs::write(&path, archive(&[("a.npy", bytes)])).unwrap();
                assert_eq!(all(&path).unwrap(), expected, "{shape} {order} packed");
            }
        }
    }

    #[test]
    fn an_archive_may_hold_several_arrays_and_others() {
        let folder = folder();
        let path = folder.path().join("a.npz");
        let grid = |full: u8| array("'|b1'", "False", "(1, 2, 2)", &[full; 4]);
        let labels = array("'<i8'", "False", "(2,)", &[0; 16]);
        let names = array("'|O'", "False", "(2,)", b"\x80\x04pickle");
        std::fs::write(
            &path,
            archive(&[
                ("test.npy", grid(1)),
                ("labels.npy", labels),
                ("names.npy", names),
                ("notes.txt", b"hello".to_vec()),
                (
                    "train.npy",
                    array("'|b1'", "False", "(2, 1, 1, 1)", &[1, 0]),
                ),
            ]),
        )
        .unwrap();
        let mut arrays = Arrays::open(&path).unwrap();
        assert_eq!(arrays.len(), 3);
        assert_eq!(
            [0, 1, 2].map(|index| arrays.size(index)),
            [[1, 2, 2], [1, 1, 1], [1, 1, 1]]
        );
        assert_eq!(
            [2, 1, 0].map(|index| arrays.read(index).unwrap().count()),
            [0, 1, 4]
        );
        let mut train = Arrays::open_named(&path, "train").unwrap();
        assert_eq!((train.len(), train.read(0).unwrap().count()), (2, 1));
        let said = |name: &str| Arrays::open_named(&path, name).err().unwrap().to_string();
        assert!(
            said("names")
                .contains("names: it is an array of Python objects (|O), which are pickles")
        );
        assert!(said("labels").contains("labels: it has the shape (2,)"));
        assert!(said("other").contains("no such array"));
    }

    #[test]
    fn a_broken_array_of_voxels_breaks_its_archive_and_others_do_not() {
        let folder = folder();
        let path = folder.path().join("a.npz");
        let good = || array("'|b1'", "False", "(1, 2, 2)", &[1; 4]);
        for (second, expected) in [
            (
                array("'|b1'", "False", "(2, 2, 2)", &[1; 7]),
                "second: its header claims (2, 2, 2) numbers of 1 bytes, but 7 bytes follow",
            ),
            (
                array("'<f2'", "False", "(2, 2, 2)", &[0; 16]),
                "second: its numbers are of type <f2",
            ),
            (
                array("'|O'", "False", "(2, 2, 2)", b"pickle"),
                "second: it is an array of Python objects",
            ),
            (
                array("'|u1'", "False", "(2, 600, 8)", &[0; 9600]),
                "second: a grid of 2 x 600 x 8 voxels",
            ),
            (b"hello".to_vec(), "second: its header is cut short"),
        ] {
            std::fs::write(&path, archive(&[("a.npy", good()), ("second.npy", second)])).unwrap();
            let said = refused(&path);
            assert!(said.contains(expected), "{said}");
        }
        for other in [
            array("'<U3'", "False", "(1, 2, 2)", &[0; 48]),
            array("'<i8'", "False", "(2, 1)", &[0; 16]),
            array("'<f4'", "False", "(2, 600, 3)", &[0; 14400]),
        ] {
            std::fs::write(&path, archive(&[("a.npy", good()), ("other.npy", other)])).unwrap();
            assert_eq!(all(&path).unwrap().len(), 1);
        }
    }

    #[test]
    fn packed_shapes_come_back() {
        let folder = folder();
        let path = folder.path().join("a.npz");
        let shapes: Vec<_> = (0..3)
            .map(|number| {
                Voxels::from_fn([3, 5, 16], |[x, y, z]| (x + 2 * y + 3 * z + number) % 5 < 2)
            })
            .collect();
        write_packed(&path, &shapes).unwrap();
        assert!(has_packed(&path));
        let any = |_, _| Ok(());
        let mut told = (0, 0);
        let read = read_packed(&path, |count, bytes| {
            told = (count, bytes);
            Ok(())
        });
        assert_eq!(read.unwrap(), shapes);
        assert_eq!(told, (3, 3 * Voxels::bytes_of([3, 5, 16])));
        let few = read_packed(&path, |_, _| anyhow::bail!("too much"));
        assert_eq!(few.unwrap_err().to_string(), "too much");
        // The same bytes as numpy saves an array in Fortran order.
        let mut bytes = vec![0; 3 * 3 * 5 * 2];
        for (shape, voxels) in shapes.iter().enumerate() {
            for [x, y, z] in voxels.full() {
                bytes[shape + 3 * (x + 3 * (y + 5 * (z / 8)))] |= 1u8 << (z % 8);
            }
        }
        let in_fortran = array("'|u1'", "True", "(3, 3, 5, 2)", &bytes);
        std::fs::write(&path, archive(&[("packed.npy", in_fortran)])).unwrap();
        assert_eq!(read_packed(&path, any).unwrap(), shapes);
        let tall = array("'|u1'", "False", "(1, 1, 1, 65)", &[0; 65]);
        std::fs::write(&path, archive(&[("packed.npy", tall)])).unwrap();
        let said = read_packed(&path, any).unwrap_err().to_string();
        assert!(said.contains("a grid of 1 x 1 x 520 voxels"), "{said}");
        write_npz(&path, Stored::Byte, &shapes).unwrap();
        assert!(!has_packed(&path) && read_packed(&path, any).is_err());
        let none = write_packed(&path, &[]).unwrap_err().to_string();
        assert!(none.contains("no shapes"), "{none}");
    }

    #[test]
    fn headers_that_lie_are_refused() {
        let folder = folder();
        let npy = folder.path().join("a.npy");
        let npz = folder.path().join("a.npz");
        for (kind, shape, numbers, expected) in [
            (
                "'|O'",
                "(2, 2, 2)",
                8,
                "array of Python objects (|O), which are pickles",
            ),
            (
                "[('a', '<f4'), ('b', '<f4')]",
                "(2, 2, 2)",
                64,
                "array of records",
            ),
            ("'<f2'", "(2, 2, 2)", 16, "of type <f2; bool, integers"),
            ("'<c8'", "(2, 2, 2)", 64, "of type <c8"),
            ("'<U7'", "(2, 2, 2)", 224, "of type <U7"),
            ("7", "(2, 2, 2)", 8, "names no type"),
            ("'<f4", "(2, 2, 2)", 8, "of type <f4, "),
            ("'|u1'", "2", 2, "names no shape"),
            ("'|u1'", "()", 1, "it has the shape ()"),
            ("'|u1'", "(8,)", 8, "it has the shape (8,)"),
            ("'|u1'", "(2, 2)", 4, "it has the shape (2, 2)"),
            (
                "'|u1'",
                "(2, 2, 1, 1, 2, 2)",
                16,
                "it has the shape (2, 2, 1, 1, 2, 2)",
            ),
            (
                "'|u1'",
                "(2, 3, 2, 2, 2)",
                48,
                "it has the shape (2, 3, 2, 2, 2)",
            ),
            (
                "'|u1'",
                "(2, 2, 2, 1)",
                8,
                "may be one shape or many flat ones",
            ),
            ("'|u1'", "(2, -2, 2)", 8, "it has the shape (2, -2, 2)"),
            ("'|u1'", "(0, 2, 2, 2)", 0, "so holds none"),
            (
                "'|u1'",
                "(2, 0, 2)",
                0,
                "2 x 0 x 2 voxels has a side that is not 1 to 512",
            ),
            ("'|u1'", "(2, 2, 513)", 2052, "not 1 to 512"),
            (
                "'|u1'",
                "(2, 2, 2)",
                7,
                "(2, 2, 2) numbers of 1 bytes, but 7 bytes follow",
            ),
            ("'|u1'", "(2, 2, 2)", 9, "but 9 bytes follow"),
            (
                "'<f8'",
                "(4000000000, 512, 512, 512)",
                9,
                "but 9 bytes follow",
            ),
            (
                "'<f8'",
                "(18446744073709551615, 512, 512, 512)",
                9,
                "but 9 bytes follow",
            ),
            (
                "'|u1'",
                "(99999999999999999999, 2, 2, 2)",
                9,
                "it has the shape (99999999999999999999, 2",
            ),
        ] {
            let bytes = array(kind, "False", shape, &vec![0; numbers]);
            std::fs::write(&npy, &bytes).unwrap();
            let said = refused(&npy);
            assert!(said.contains(expected), "{said}");
            std::fs::write(&npz, archive(&[("x.npy", bytes)])).unwrap();
            let said = refused(&npz);
            assert!(said.contains(expected) && said.contains("x: "), "{said}");
        }
        let good = array("'|u1'", "False", "(2, 2, 2)", &[0; 8]);
        let mut long = good.clone();
        long[8..10].copy_from_slice(&[0xff, 0xff]);
        let mut new = good.clone();
        new[6] = 9;
        let mut unordered = good.clone();
        let place = good.windows(5).position(|part| part == b"False").unwrap();
        unordered[place] = b'f';
        let nested = array(
            "'|u1'",
            &("[".repeat(2000) + &"]".repeat(1900)),
            "(2, 2, 2)",
            &[0; 8],
        );
        for (bytes, expected) in [
            (&b"hello"[..], "no file of numpy"),
            (b"", "no file of numpy"),
            (b"PK\x03\x04", "no .npz file"),
            (&good[..9], "header is cut short"),
            (&good[..60], "header is cut short"),
            (&long, "claims 65535 bytes; at most 4096"),
            (&new, "version 9; 1 to 3 are read"),
            (&unordered, "does not say `fortran_order`"),
            (&nested, "does not say `fortran_order`"),
            (&archive(&[]), "no such array"),
        ] {
            std::fs::write(&npy, bytes).unwrap();
            let said = refused(&npy);
            assert!(said.contains(expected), "{said}");
        }
    }

    #[test]
    fn numbers_that_are_not_finite_are_named() {
        let folder = folder();
        let path = folder.path().join("a.npy");
        let mut field = [0.0; 24];
        field[17] = f32::NAN;
        write_values(&path, [2, 3, 4], [[0.0; 24], field]).unwrap();
        let said = refused(&path);
        assert!(said.contains("shape 1 holds NaN at [1, 1, 1]"), "{said}");
        assert!(Arrays::open(&path).unwrap().read(0).is_ok());
    }

    #[test]
    fn an_entry_that_claims_to_unpack_to_more_is_refused() {
        let folder = folder();
        let path = folder.path().join("a.npz");
        // A header alone, whose archive claims that 134 million zeros follow.
        let head = array("'|b1'", "False", "(512, 512, 512)", &[]);
        let mut bytes = archive(&[("x.npy", head.clone())]);
        let size = (head.len() as u32).to_le_bytes();
        let lie = (head.len() as u32 + 512 * 512 * 512).to_le_bytes();
        let mut changed = 0;
        for place in 0..bytes.len() - 4 {
            if bytes[place..place + 4] == size {
                bytes[place..place + 4].copy_from_slice(&lie);
                changed += 1;
            }
        }
        assert!(changed > 0);
        std::fs::write(&path, bytes).unwrap();
        let said = refused(&path);
        assert!(
            said.contains("claims to unpack to 134217856 bytes"),
            "{said}"
        );
    }

    #[test]
    fn what_cannot_be_written_leaves_nothing() {
        let folder = folder();
        let path = folder.path().join("a.npz");
        let two = [Voxels::new([2, 2, 2]), Voxels::new([2, 2, 3])];
        for write in [write_npy, write_npz] {
            let said = write(&path, Stored::Bool, two.to_vec())
                .unwrap_err()
                .to_string();
            assert!(
                said.contains("shape 1 has 2 x 2 x 3 voxels and the first has 2 x 2 x 2"),
                "{said}"
            );
            let said = write(&path, Stored::Bool, Vec::new())
                .unwrap_err()
                .to_string();
            assert!(said.contains("there are no shapes"), "{said}");
        }
        let inner = folder.path().join("none/a.npy");
        let error = write_npy(&inner, Stored::Bool, &two[..1]).unwrap_err();
        assert_eq!(error.downcast_ref::<Failure>().unwrap().kind, Kind::Disk);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[test]
    fn damaged_files_are_refused_or_of_the_size_they_claim() {
        let folder = folder();
        let path = folder.path().join("a.npy");
        write_npy(&path, Stored::Float, shapes()).unwrap();
        let npy = std::fs::read(&path).unwrap();
        write_npz(&path, Stored::Bool, shapes()).unwrap();
        let npz = std::fs::read(&path).unwrap();
        for (whole, most) in [(npy, 4), (npz, 4 * 1040)] {
            let mut refusals = 0;
            for bytes in damaged(&whole, 3000) {
                let mut voxels = 0;
                let read =
                    Arrays::from_reader(io::Cursor::new(&bytes), &path).and_then(|mut arrays| {
                        arrays.each(|_, found| {
                            voxels += found.len();
                            Ok(())
                        })
                    });
                assert!(voxels <= most * bytes.len());
                if let Err(error) = read {
                    assert_eq!(error.downcast_ref::<Failure>().unwrap().kind, Kind::Data);
                    refusals += 1;
                }
            }
            assert!(refusals > 1000, "{refusals}");
        }
    }

    /// `tests/fixtures/shapes_make.py` wrote them with numpy: full where (3 n + x + 2 y + 3 z) % 5 is below
    /// 2.
    #[test]
    fn files_of_numpy_are_read() {
        let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/shapes");
        let expected: Vec<Voxels> = (0..3)
            .map(|n| Voxels::from_fn([4, 5, 6], |[x, y, z]| (3 * n + x + 2 * y + 3 * z) % 5 < 2))
            .collect();
        for (name, count) in [
            ("one_bool.npy", 1),
            ("three_float_fortran.npy", 3),
            ("three_authors.npz", 3),
        ] {
            assert_eq!(
                all(&fixtures.join(name)).unwrap(),
                expected[..count],
                "{name}"
            );
        }
        let pickled = refused(&fixtures.join("objects.npy"));
        assert!(pickled.contains("array of Python objects"), "{pickled}");
    }
}
