//! Python's pickles, as far as StackGAN's files need them: lists of names, of classes and of numpy arrays.
//!
//! A pickle is a program that may call any function of Python. This reader calls nothing. It knows six names of numpy
//! and `_codecs`, each of which stands for the data that it would make; a file that asks for any other is refused by
//! that name. What a file claims is checked against its length before anything is made of it, and a list that holds
//! itself, or the same list a million times, ends in an error like others.
//!
//! Protocols 0 to 5 of Python 2 and 3 are read. The numbers of arrays go from the file straight into one vector, so
//! that 362 MB of embeddings take 362 MB.
//!
//! ```no_run
//! # use stackgan::pickle;
//! # fn main() -> anyhow::Result<()> {
//! let names: Vec<String> = pickle::strings("train/filenames.pickle".as_ref())?;
//! let classes: Vec<i64> = pickle::integers("train/class_info.pickle".as_ref())?;
//! let embeddings = pickle::embeddings("train/char-CNN-RNN-embeddings.pickle".as_ref())?;
//! let first_caption: &[f32] = embeddings.caption(0, 0);
//! # Ok(())
//! # }
//! ```

mod input;
mod machine;
mod numpy;
#[cfg(test)]
mod tests;
mod text;
mod writer;

pub use writer::{write_embeddings, write_integers, write_strings};

use anyhow::Result;
use gan_core::failure::{Kind, failure};
use gan_core::regular;
use input::{AGAIN, OTHER};
use machine::{Item, Loaded, Node};
use std::fmt;
use std::io::{Read, Seek};
use std::path::Path;
use std::sync::Arc;

/// Most bytes of a file: twice the embeddings of COCO, the largest of StackGAN's.
const MOST_FILE_BYTES: u64 = 4 << 30;
/// Lists and tuples in one another.
const MOST_NESTING: usize = 16;
/// Most values that [`read`] gives, each counted as often as it is there.
const MOST_VALUES: usize = 1 << 21;
/// Most bytes of all texts that [`read`] or [`strings`] gives.
const MOST_TEXT_BYTES: usize = 1 << 26;

/// What a pickle holds.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// `None`.
    None,
    /// `True` and `False`.
    Bool(bool),
    /// A whole number of at most 64 bits.
    Integer(i64),
    /// A number of double precision.
    Real(f64),
    /// Characters: of Python 3, or of `unicode` in Python 2.
    Text(String),
    /// Bytes: of Python 3, or of `str` in Python 2.
    Bytes(Vec<u8>),
    /// A list.
    List(Vec<Value>),
    /// A tuple.
    Tuple(Vec<Value>),
    /// An array of numpy.
    Array(Array),
}

/// An array of numpy with its last index running fastest. Cheap to copy: it shares the numbers of its file.
#[derive(Clone)]
pub struct Array {
    numbers: Arc<Vec<f32>>,
    place: machine::Array,
}

impl Array {
    /// The sizes along each dimension, 1 to 8 of them; their product is the number of values.
    pub fn shape(&self) -> &[usize] {
        &self.place.shape
    }

    /// The values; those that the file has in other precisions are rounded.
    pub fn values(&self) -> &[f32] {
        &self.numbers[self.place.start..self.place.start + self.place.length]
    }
}

/// Its shape: there may be millions of values.
impl fmt::Debug for Array {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Array{:?}", self.place.shape)
    }
}

impl PartialEq for Array {
    fn eq(&self, other: &Self) -> bool {
        self.shape() == other.shape() && self.values() == other.values()
    }
}

/// What sentences about pictures are to a network: a few vectors for each picture.
#[derive(Debug, Clone, PartialEq)]
pub struct Embeddings {
    /// Pictures, captions of each, numbers of each caption; all at least 1.
    pub shape: [usize; 3],
    /// All numbers, those of a caption next to one another; finite.
    pub values: Vec<f32>,
}

impl Embeddings {
    /// How many pictures.
    pub fn len(&self) -> usize {
        self.shape[0]
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The vector of one caption of a picture.
    ///
    /// # Panics
    /// If there are fewer.
    pub fn caption(&self, picture: usize, caption: usize) -> &[f32] {
        let [_, captions, width] = self.shape;
        assert!(caption < captions, "caption {caption} of {captions}");
        &self.values[(picture * captions + caption) * width..][..width]
    }
}

/// Reads any pickle of such values.
///
/// # Errors
/// [`Kind::Data`] that names the file, the byte, what is wrong and what to do: no plain file, one of more than 4 GiB or
/// 2^21 opcodes, damaged or cut short; a function, an instance or an object outside the file is asked for; a
/// dictionary or a set; an array of other numbers than float16, float32 and float64; a text of more than 2 KiB; values
/// more than 16 deep in one another, or more than 2^21.
pub fn read(path: &Path) -> Result<Value> {
    open(path)?.value()
}

/// Reads a list of texts, as `filenames.pickle` is.
///
/// # Errors
/// As [`read`], and [`Kind::Data`] that names the place in the list of what is no text in UTF-8.
pub fn strings(path: &Path) -> Result<Vec<String>> {
    open(path)?.strings()
}

/// Reads a list of whole numbers, as `class_info.pickle` is, where they may be numpy's.
///
/// # Errors
/// As [`read`], and [`Kind::Data`] that names the place in the list of what is no whole number.
pub fn integers(path: &Path) -> Result<Vec<i64>> {
    open(path)?.integers()
}

/// Reads embeddings: a list of arrays `[captions, width]` or `[width]`, or one array of all.
///
/// # Errors
/// As [`read`], and [`Kind::Data`] that names the place in the list of what is no such array, is of another shape than
/// the first, or has a number that is not finite.
pub fn embeddings(path: &Path) -> Result<Embeddings> {
    open(path)?.embeddings()
}

/// A file that was loaded, with its name.
struct Opened {
    file: String,
    loaded: Loaded,
}

fn open(path: &Path) -> Result<Opened> {
    let (file, metadata) = regular::open(Kind::Data, "read", path)?;
    parse(file, metadata.len(), &path.display().to_string())
}

fn parse(source: impl Read + Seek, length: u64, file: &str) -> Result<Opened> {
    if length > MOST_FILE_BYTES {
        let what = format!("it has {length} bytes; at most {MOST_FILE_BYTES} are read");
        return Err(refuse(file, &what, OTHER));
    }
    match machine::load(source, length) {
        Ok(loaded) => Ok(Opened {
            file: file.to_owned(),
            loaded,
        }),
        Err((at, problem)) => {
            let what = format!("byte {at}: {}", problem.what);
            Err(refuse(file, &what, problem.fix))
        }
    }
}

fn refuse(file: &str, what: &str, fix: &str) -> anyhow::Error {
    failure(Kind::Data, format!("{file}: {what}; {fix}"))
}

impl Opened {
    fn refuse(&self, what: &str) -> anyhow::Error {
        refuse(&self.file, what, OTHER)
    }

    fn value(mut self) -> Result<Value> {
        let numbers = Arc::new(std::mem::take(&mut self.loaded.pool));
        let mut left = (MOST_VALUES, MOST_TEXT_BYTES);
        self.value_of(self.loaded.root, 0, &numbers, &mut left)
    }

    /// A value with all that is in it. What is there twice is counted twice, and what is in itself too deep.
    fn value_of(
        &self,
        item: Item,
        depth: usize,
        numbers: &Arc<Vec<f32>>,
        left: &mut (usize, usize),
    ) -> Result<Value> {
        let Some(fewer) = left.0.checked_sub(1) else {
            return Err(self.refuse(&format!("it has more than {MOST_VALUES} values")));
        };
        left.0 = fewer;
        if depth > MOST_NESTING {
            let what = format!(
                "values are more than {MOST_NESTING} deep in one another, or one is a part of itself"
            );
            return Err(self.refuse(&what));
        }
        let mut all = |items: &[Item]| -> Result<Vec<Value>> {
            let value = |item: &Item| self.value_of(*item, depth + 1, numbers, left);
            items.iter().map(value).collect()
        };
        Ok(match (item, self.loaded.node(item)) {
            (Item::None, _) => Value::None,
            (Item::Bool(value), _) => Value::Bool(value),
            (Item::Integer(value), _) => Value::Integer(value),
            (Item::Real(value), _) => Value::Real(value),
            (_, Some(Node::List(items))) => Value::List(all(items)?),
            (_, Some(Node::Tuple(items))) => Value::Tuple(all(items)?),
            (_, Some(Node::Text(text))) => {
                self.spend(text.len(), &mut left.1)?;
                Value::Text(text.to_string())
            }
            (_, Some(Node::Bytes(bytes))) => {
                self.spend(bytes.len(), &mut left.1)?;
                Value::Bytes(bytes.to_vec())
            }
            (_, Some(Node::Array(place))) => Value::Array(Array {
                numbers: Arc::clone(numbers),
                place: (**place).clone(),
            }),
            (_, Some(Node::Stored { length, .. })) => return Err(self.refuse(&too_long(*length))),
            _ => {
                let kind = self.loaded.kind(item);
                return Err(self.refuse(&format!("it has {kind}, which is no value by itself")));
            }
        })
    }

    fn spend(&self, bytes: usize, left: &mut usize) -> Result<()> {
        match left.checked_sub(bytes) {
            Some(fewer) => *left = fewer,
            None => {
                let what = format!("its texts have more than {MOST_TEXT_BYTES} bytes");
                return Err(self.refuse(&what));
            }
        }
        Ok(())
    }

    fn items(&self, expected: &str) -> Result<&[Item]> {
        match self.loaded.node(self.loaded.root) {
            Some(Node::List(items) | Node::Tuple(items)) => Ok(items),
            _ => {
                let found = self.loaded.kind(self.loaded.root);
                Err(self.refuse(&format!("it is {found}, expected a list of {expected}")))
            }
        }
    }

    fn unlike(&self, index: usize, item: Item, expected: &str) -> anyhow::Error {
        let found = self.loaded.kind(item);
        self.refuse(&format!(
            "item {index} of its list is {found}, expected {expected}"
        ))
    }

    fn strings(&self) -> Result<Vec<String>> {
        let mut left = MOST_TEXT_BYTES;
        let text = |(index, item): (usize, &Item)| {
            let text = match self.loaded.node(*item) {
                Some(Node::Text(text)) => text,
                Some(Node::Bytes(bytes)) => match std::str::from_utf8(bytes) {
                    Ok(text) => text,
                    Err(_) => {
                        let shown = bytes.escape_ascii();
                        let what =
                            format!("item {index} of its list, {shown}, is no text in UTF-8");
                        return Err(self.refuse(&what));
                    }
                },
                Some(Node::Stored { length, .. }) => {
                    return Err(
                        self.refuse(&format!("item {index} of its list: {}", too_long(*length)))
                    );
                }
                _ => return Err(self.unlike(index, *item, "a text")),
            };
            self.spend(text.len(), &mut left)?;
            Ok(text.to_owned())
        };
        self.items("texts")?.iter().enumerate().map(text).collect()
    }

    fn integers(&self) -> Result<Vec<i64>> {
        let number = |(index, item): (usize, &Item)| match item {
            Item::Integer(number) => Ok(*number),
            _ => Err(self.unlike(index, *item, "a whole number")),
        };
        let items = self.items("whole numbers")?;
        items.iter().enumerate().map(number).collect()
    }

    fn embeddings(mut self) -> Result<Embeddings> {
        let (shape, starts) = match self.loaded.node(self.loaded.root) {
            Some(Node::Array(array)) => match array.shape[..] {
                [count, captions, width] => ([count, captions, width], vec![array.start]),
                [count, width] => ([count, 1, width], vec![array.start]),
                _ => {
                    let what = format!(
                        "it is an array of shape {:?}, expected [pictures, captions, width]",
                        array.shape
                    );
                    return Err(self.refuse(&what));
                }
            },
            _ => self.arrays()?,
        };
        let count = shape.iter().product::<usize>();
        if count == 0 {
            let what = format!("its embeddings {shape:?} are none: pictures, captions, width");
            return Err(refuse(&self.file, &what, AGAIN));
        }
        let mut values = std::mem::take(&mut self.loaded.pool);
        let length = count / starts.len();
        let is_whole = values.len() == count;
        if !is_whole
            || (0..)
                .zip(&starts)
                .any(|(index, start)| index * length != *start)
        {
            // Each array is there once: no more is copied than was read.
            values = starts
                .iter()
                .flat_map(|start| &values[*start..start + length])
                .copied()
                .collect();
        }
        if let Some(place) = values.iter().position(|value| !value.is_finite()) {
            let [_, captions, width] = shape;
            let what = format!(
                "number {} of caption {} of picture {} (from 0) is {}, which is not finite",
                place % width,
                place / width % captions,
                place / width / captions,
                values[place]
            );
            return Err(refuse(&self.file, &what, AGAIN));
        }
        Ok(Embeddings { shape, values })
    }

    /// The shape of a list of arrays, and where in the pool each begins.
    fn arrays(&self) -> Result<([usize; 3], Vec<usize>)> {
        const EXPECTED: &str = "an array of shape [captions, width] or [width]";
        let items = self.items("arrays")?;
        let (mut shape, mut starts) = ([items.len(), 0, 0], Vec::with_capacity(items.len()));
        for (index, item) in items.iter().enumerate() {
            let Some(Node::Array(array)) = self.loaded.node(*item) else {
                return Err(self.unlike(index, *item, EXPECTED));
            };
            let found = match array.shape[..] {
                [captions, width] => [items.len(), captions, width],
                [width] => [items.len(), 1, width],
                _ => return Err(self.unlike(index, *item, EXPECTED)),
            };
            if index == 0 {
                shape = found;
            } else if found != shape {
                let what = format!(
                    "item {index} of its list has {} captions of {} numbers, those before {} of {}",
                    found[1], found[2], shape[1], shape[2]
                );
                return Err(refuse(&self.file, &what, AGAIN));
            }
            starts.push(array.start);
        }
        let mut sorted = starts.clone();
        sorted.sort_unstable();
        if sorted.windows(2).any(|pair| pair[0] == pair[1]) && shape[1] * shape[2] > 0 {
            return Err(refuse(&self.file, "an array is in its list twice", AGAIN));
        }
        Ok((shape, starts))
    }
}

fn too_long(length: u64) -> String {
    format!(
        "a string of {length} bytes; at most {} are read",
        input::MOST_KEPT
    )
}
