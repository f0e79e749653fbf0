//! MATLAB files of level 5 (`save -v6` and `save -v7`): the voxels of 3D-ShapeNets, the metadata of IMDB-WIKI.
//!
//! A file is checked as a whole when it is read: afterwards every array in it has its data and is of a known
//! kind. Numbers, characters and cells stay in the bytes that the file unpacks to and are decoded where they
//! are asked for, so that half a million cells take four bytes each. What is not decoded (complex numbers,
//! sparse matrices, objects, function handles) is there as [`Content::Unsupported`] under its name.
//!
//! All arrays are column-major: the first index runs fastest, so the element `[i, j, k]` of a `[2, 3, 4]`
//! array is at `i + 2 * (j + 3 * k)`. An array of numpy would have to be transposed for its usual order.
//!
//! ```no_run
//! # use gan_core::matlab;
//! # fn main() -> anyhow::Result<()> {
//! let file = matlab::read("wiki.mat".as_ref())?;
//! let wiki = file.get("wiki")?;
//! let born: Vec<f64> = wiki.field("dob")?.numbers()?.values();
//! let paths: Vec<String> = wiki.field("full_path")?.texts()?;
//! let first = wiki.field("face_location")?.cell(0)?.numbers()?.values();
//! # Ok(())
//! # }
//! ```
//!
//! The format: The MathWorks, "MAT-File Format", R2007b and later, chapter 1.

mod elements;
#[cfg(test)]
mod tests;
mod writer;

pub use elements::Class;
pub use writer::{Array, encode, write};

use crate::failure::{Kind, failure};
use crate::regular;
use anyhow::Result;
use elements::{
    Buffer, COMPRESSED, Coding, MOST_ARRAYS, MOST_UNPACKED, Order, Problem, Shape, Span, Step,
    Stored,
};
use std::fmt;
use std::path::Path;
use std::sync::Arc;

/// Most bytes of a file: places in it are kept in four bytes, and it is held in memory.
const MOST_FILE_BYTES: u64 = 1 << 30;
/// Most variables of a file, each of which is held apart.
const MOST_VARIABLES: usize = 1 << 16;
/// The text, the version and the order of bytes at the start of a file.
const HEADER_BYTES: usize = 128;

const AGAIN: &str = "the file is damaged or incomplete: download it again, or save it again with save -v7 in MATLAB";
const OTHER: &str = "check that it is the file meant, or save it in another form";

/// The variables of a file, in its order.
#[derive(Debug, Clone)]
pub struct Variables {
    file: String,
    named: Vec<(String, Value)>,
}

impl Variables {
    /// The variable of this name.
    ///
    /// # Errors
    /// [`Kind::Data`], naming the file and the variables that it has, if there is none or more than one.
    pub fn get(&self, name: &str) -> Result<&Value> {
        let mut found = self.named.iter().filter(|(other, _)| other == name);
        match (found.next(), found.next()) {
            (Some((_, value)), None) => Ok(value),
            (found, _) => Err(refuse(
                &self.file,
                &format!(
                    "it has {} variable {name}, but {}",
                    if found.is_some() {
                        "more than one"
                    } else {
                        "no"
                    },
                    listed(self.named.iter().map(|(name, _)| name.as_str()))
                ),
                OTHER,
            )),
        }
    }

    /// All names with their values.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.named
            .iter()
            .map(|(name, value)| (name.as_str(), value))
    }
}

/// One array: a variable, a field of a structure, or what a cell holds. Cheap to copy, it shares the bytes of
/// its file.
#[derive(Clone)]
pub struct Value {
    place: Arc<Place>,
    content: Content,
}

/// What an array holds.
#[derive(Clone)]
pub enum Content {
    /// Real numbers, and logical values as 0 and 1.
    Numbers(Numbers),
    /// Characters.
    Text(Text),
    /// A cell array.
    Cells(Cells),
    /// A structure, or an array of structures with the same fields.
    Structs(Structs),
    /// What is not decoded, in words: complex numbers, sparse matrices, objects, function handles and their
    /// workspace.
    Unsupported(&'static str),
}

/// Real numbers, column-major.
#[derive(Clone)]
pub struct Numbers {
    buffer: Arc<Buffer>,
    dims: Vec<usize>,
    class: Class,
    stored: Stored,
    data: Span,
    length: usize,
}

/// Characters, column-major: each row is a text.
#[derive(Clone)]
pub struct Text {
    buffer: Arc<Buffer>,
    dims: Vec<usize>,
    coding: Coding,
    data: Span,
    length: usize,
}

/// A cell array, column-major.
#[derive(Clone)]
pub struct Cells {
    dims: Vec<usize>,
    children: Children,
}

/// An array of structures with the same fields, column-major.
#[derive(Clone)]
pub struct Structs {
    dims: Vec<usize>,
    length: usize,
    names: Vec<String>,
    children: Children,
}

/// The way to an array, for messages: `wiki.mat: wiki.name{17}`.
struct Place {
    parent: Option<Arc<Place>>,
    step: Step,
}

impl fmt::Display for Place {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.parent {
            Some(parent) => write!(formatter, "{parent}{}", self.step),
            None => self.step.fmt(formatter),
        }
    }
}

impl Place {
    fn child(parent: &Arc<Self>, step: Step) -> Arc<Self> {
        Arc::new(Self {
            parent: Some(Arc::clone(parent)),
            step,
        })
    }
}

/// Where the arrays in a cell array or structure begin.
#[derive(Clone)]
struct Children {
    place: Arc<Place>,
    buffer: Arc<Buffer>,
    starts: Vec<u32>,
    end: usize,
}

impl Children {
    fn find(
        place: &Arc<Place>,
        buffer: &Arc<Buffer>,
        children: Span,
        count: usize,
    ) -> Result<Self, Problem> {
        let mut starts = Vec::with_capacity(count);
        buffer.visit(children, count, |_, from, _| {
            starts.push(from.start as u32);
            Ok(())
        })?;
        Ok(Self {
            place: Arc::clone(place),
            buffer: Arc::clone(buffer),
            starts,
            end: children.end,
        })
    }

    fn get(&self, index: usize, place: Arc<Place>) -> Result<Value> {
        let Some(start) = self.starts.get(index) else {
            return Err(refuse(
                &self.place,
                &format!("it has no part {}", index + 1),
                OTHER,
            ));
        };
        let within = Span {
            start: *start as usize,
            end: self.end,
        };
        match self.buffer.array(within) {
            Ok((body, _)) => Value::at(&self.buffer, body, place),
            Err(problem) => Err(problem_at(&place, &problem)),
        }
    }
}

impl Value {
    /// The array of `body`, which was checked.
    fn at(buffer: &Arc<Buffer>, body: Span, place: Arc<Place>) -> Result<Self> {
        let content = Self::content_at(buffer, body, &place);
        match content {
            Ok(content) => Ok(Self { place, content }),
            Err(problem) => Err(problem_at(&place, &problem)),
        }
    }

    fn content_at(
        buffer: &Arc<Buffer>,
        body: Span,
        place: &Arc<Place>,
    ) -> Result<Content, Problem> {
        let (head, shape) = buffer.layout(body)?;
        let dims = buffer.dims(&head);
        let length = head.count;
        let content = match shape {
            Shape::Numbers {
                class,
                stored,
                data,
            } => Content::Numbers(Numbers {
                buffer: Arc::clone(buffer),
                dims,
                class,
                stored,
                data,
                length,
            }),
            Shape::Text { coding, data } => Content::Text(Text {
                buffer: Arc::clone(buffer),
                dims,
                coding,
                data,
                length,
            }),
            Shape::Cells { children } => Content::Cells(Cells {
                dims,
                children: Children::find(place, buffer, children, length)?,
            }),
            Shape::Structs {
                names,
                name_bytes,
                children,
            } => {
                let names = buffer.field_names(names, name_bytes);
                let count = length * names.len();
                Content::Structs(Structs {
                    dims,
                    length,
                    names,
                    children: Children::find(place, buffer, children, count)?,
                })
            }
            Shape::Unsupported(what) => Content::Unsupported(what),
        };
        Ok(content)
    }

    /// What the array holds.
    pub fn content(&self) -> &Content {
        &self.content
    }

    /// Where the array is, as messages say it: `wiki.mat: wiki.name{17}`, counted from 1 as in MATLAB.
    pub fn place(&self) -> String {
        self.place.to_string()
    }

    /// The numbers of the array.
    ///
    /// # Errors
    /// [`Kind::Data`], naming the file and the array, if it holds something else.
    pub fn numbers(&self) -> Result<&Numbers> {
        match &self.content {
            Content::Numbers(numbers) => Ok(numbers),
            _ => Err(self.unlike("numbers")),
        }
    }

    /// The characters of the array, which must have at most one row. An empty array of numbers, as MATLAB has
    /// it for a missing text, is an empty text.
    ///
    /// # Errors
    /// [`Kind::Data`], naming the file and the array, if it holds something else.
    pub fn text(&self) -> Result<String> {
        match &self.content {
            Content::Text(text) if text.length == 0 || text.dims[0] == 1 => Ok(text.whole()),
            Content::Numbers(numbers) if numbers.is_empty() => Ok(String::new()),
            _ => Err(self.unlike("one row of characters")),
        }
    }

    /// The cells of the array.
    ///
    /// # Errors
    /// [`Kind::Data`], naming the file and the array, if it holds something else.
    pub fn cells(&self) -> Result<&Cells> {
        match &self.content {
            Content::Cells(cells) => Ok(cells),
            _ => Err(self.unlike("a cell array")),
        }
    }

    /// The structures of the array.
    ///
    /// # Errors
    /// [`Kind::Data`], naming the file and the array, if it holds something else.
    pub fn structs(&self) -> Result<&Structs> {
        match &self.content {
            Content::Structs(structs) => Ok(structs),
            _ => Err(self.unlike("a structure")),
        }
    }

    /// What the cell `index`, counted from 0 and column-major, holds.
    ///
    /// # Errors
    /// [`Kind::Data`] if the array has no cells, or not so many.
    pub fn cell(&self, index: usize) -> Result<Self> {
        self.cells()?.get(index)
    }

    /// A field of a single structure.
    ///
    /// # Errors
    /// [`Kind::Data`], naming the fields that there are, if it is no single structure, or has no such field or
    /// more than one.
    pub fn field(&self, name: &str) -> Result<Self> {
        let structs = self.structs()?;
        if structs.length != 1 {
            return Err(self.unlike("a single structure"));
        }
        structs.field(0, name)
    }

    /// The texts in all cells, column-major, each as [`Value::text`] gives it.
    ///
    /// # Errors
    /// [`Kind::Data`], naming the cell that holds no text.
    pub fn texts(&self) -> Result<Vec<String>> {
        self.cells()?.iter().map(|cell| cell?.text()).collect()
    }

    fn unlike(&self, expected: &str) -> anyhow::Error {
        refuse(
            &self.place,
            &format!("it is {self:?}, expected {expected}"),
            OTHER,
        )
    }
}

/// What kind of array it is, in words.
impl fmt::Debug for Value {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (dims, what) = match &self.content {
            Content::Numbers(numbers) => (
                &numbers.dims,
                match numbers.class {
                    Class::Logical => "array of logical values".to_owned(),
                    class => format!("array of class {}", format!("{class:?}").to_lowercase()),
                },
            ),
            Content::Text(text) => (&text.dims, "array of characters".to_owned()),
            Content::Cells(cells) => (&cells.dims, "cell array".to_owned()),
            Content::Structs(structs) => (&structs.dims, "array of structures".to_owned()),
            Content::Unsupported(what) => return formatter.write_str(what),
        };
        let dims: Vec<String> = dims.iter().map(usize::to_string).collect();
        write!(formatter, "a {} {what}", dims.join("x"))
    }
}

impl Numbers {
    /// The sizes along each dimension; their product is [`Numbers::len`].
    pub fn dims(&self) -> &[usize] {
        &self.dims
    }

    /// What MATLAB computes with. The file may store the numbers in a smaller type.
    pub fn class(&self) -> Class {
        self.class
    }

    /// How many, at most 2^27.
    pub fn len(&self) -> usize {
        self.length
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// The numbers as stored, column-major. Whole numbers beyond 2^53 are rounded.
    pub fn iter(&self) -> impl Iterator<Item = f64> + '_ {
        self.buffer.stored(self.stored, self.data)
    }

    /// The numbers of [`Numbers::iter`].
    pub fn values(&self) -> Vec<f64> {
        self.iter().collect()
    }
}

impl Text {
    /// The sizes along each dimension: rows first.
    pub fn dims(&self) -> &[usize] {
        &self.dims
    }

    /// All rows, with the spaces that MATLAB fills them up with; none where there are no characters. What is
    /// no character becomes U+FFFD.
    pub fn rows(&self) -> Vec<String> {
        let rows = self.dims[0];
        if self.length == 0 {
            return Vec::new();
        }
        if rows == 1 {
            return vec![self.whole()];
        }
        let units = self.buffer.units(self.coding, self.data);
        if units.len() == self.length {
            let row = |first: usize| -> Vec<u16> {
                units.iter().skip(first).step_by(rows).copied().collect()
            };
            return (0..rows)
                .map(|first| String::from_utf16_lossy(&row(first)))
                .collect();
        }
        let characters: Vec<char> = self.whole().chars().collect();
        let row = |first: usize| characters.iter().skip(first).step_by(rows).collect();
        (0..rows).map(row).collect()
    }

    fn whole(&self) -> String {
        self.buffer.decoded(self.coding, self.data).into_owned()
    }
}

impl Cells {
    /// The sizes along each dimension; their product is [`Cells::len`].
    pub fn dims(&self) -> &[usize] {
        &self.dims
    }

    /// How many.
    pub fn len(&self) -> usize {
        self.children.starts.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.children.starts.is_empty()
    }

    /// What the cell `index`, counted from 0 and column-major, holds.
    ///
    /// # Errors
    /// [`Kind::Data`] if there are not so many.
    pub fn get(&self, index: usize) -> Result<Value> {
        let place = Place::child(&self.children.place, Step::Cell(index));
        self.children.get(index, place)
    }

    /// All of them, column-major.
    pub fn iter(&self) -> impl Iterator<Item = Result<Value>> + '_ {
        (0..self.len()).map(|index| self.get(index))
    }
}

impl Structs {
    /// The sizes along each dimension; their product is [`Structs::len`].
    pub fn dims(&self) -> &[usize] {
        &self.dims
    }

    /// How many structures.
    pub fn len(&self) -> usize {
        self.length
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// The names of their fields. Objects that MATLAB saved as structures may have a name twice.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// A field of the structure `index`, counted from 0 and column-major.
    ///
    /// # Errors
    /// [`Kind::Data`] if there are not so many structures, or not exactly one such field.
    pub fn field(&self, index: usize, name: &str) -> Result<Value> {
        let mut found = (0..self.names.len()).filter(|field| self.names[*field] == name);
        let (Some(field), None) = (found.next(), found.next()) else {
            return Err(refuse(
                &self.children.place,
                &format!(
                    "it needs one field {name}, but has {}",
                    listed(self.names.iter().map(String::as_str))
                ),
                OTHER,
            ));
        };
        self.get(index, field)
    }

    /// The field `field`, by its place in [`Structs::names`], of the structure `index`.
    ///
    /// # Errors
    /// [`Kind::Data`] if there are not so many structures.
    ///
    /// # Panics
    /// If there are not so many fields.
    pub fn get(&self, index: usize, field: usize) -> Result<Value> {
        let mut place = Arc::clone(&self.children.place);
        if self.length != 1 {
            place = Place::child(&place, Step::Structure(index));
        }
        place = Place::child(&place, Step::Field(self.names[field].clone()));
        let index = index.saturating_mul(self.names.len()).saturating_add(field);
        self.children.get(index, place)
    }
}

/// Reads a MATLAB file of level 5.
///
/// # Errors
/// [`Kind::Data`] that names the file, the variable, what is wrong and what to do: no plain file or one of
/// more than 1 GiB, a file of another level, damaged or cut short, more than 1 GiB once unpacked, more than
/// 2^24 cells and fields, cells and structures more than 16 deep in one another.
pub fn read(path: &Path) -> Result<Variables> {
    let bytes = regular::read(Kind::Data, path, MOST_FILE_BYTES)?;
    parse(bytes, &path.display().to_string())
}

/// Reads the bytes of a MATLAB file of level 5; `file` is how messages call it.
///
/// # Errors
/// As [`read`].
pub fn parse(bytes: Vec<u8>, file: &str) -> Result<Variables> {
    if bytes.len() as u64 > MOST_FILE_BYTES {
        return Err(refuse(
            &file,
            &format!(
                "it has {} bytes; at most {MOST_FILE_BYTES} are read",
                bytes.len()
            ),
            OTHER,
        ));
    }
    let order = order(&bytes).map_err(|what| failure(Kind::Data, format!("{file}: {what}")))?;
    let buffer = Arc::new(Buffer::new(bytes, order));
    let (mut unpacked_left, mut arrays_left) = (MOST_UNPACKED, MOST_ARRAYS);
    let mut named = Vec::new();
    let mut rest = buffer.whole();
    rest.start = HEADER_BYTES;
    while rest.start < rest.end {
        let at = rest.start;
        let refuse_here = |problem: Problem| {
            let what = format!("the variable at byte {at} cannot be read: {}", problem.what);
            refuse(&file, &what, AGAIN)
        };
        let element = buffer.element(rest).map_err(refuse_here)?;
        let (variable, body) = if element.kind == COMPRESSED {
            let packed = buffer.bytes(element.body);
            let unpacked =
                elements::unpack(packed, order, &mut unpacked_left).map_err(refuse_here)?;
            let (body, _) = unpacked.array(unpacked.whole()).map_err(refuse_here)?;
            (Arc::new(unpacked), body)
        } else {
            let (body, _) = buffer.array(rest).map_err(refuse_here)?;
            (Arc::clone(&buffer), body)
        };
        if body.start == body.end {
            return Err(refuse_here(Problem::new("it has neither a name nor data")));
        }
        let head = variable.head(body).map_err(refuse_here)?;
        let mut name = String::from_utf8_lossy(variable.bytes(head.name)).into_owned();
        let is_workspace = name.is_empty();
        if is_workspace {
            // As scipy calls what MATLAB appends for function handles and objects.
            name = "__function_workspace__".to_owned();
        }
        let place = Arc::new(Place {
            parent: None,
            step: Step::Variable(format!("{file}: {}", name.escape_debug())),
        });
        let value = if is_workspace {
            let what = "an array without a name (a workspace of functions and objects)";
            let content = Content::Unsupported(what);
            Value { place, content }
        } else {
            variable
                .check(body, 0, &mut arrays_left)
                .map_err(|problem| problem_at(&place, &problem))?;
            Value::at(&variable, body, place)?
        };
        named.push((name, value));
        if named.len() > MOST_VARIABLES {
            let what = format!("it has more than {MOST_VARIABLES} variables");
            return Err(refuse(&file, &what, OTHER));
        }
        rest.start = element.next;
    }
    Ok(Variables {
        file: file.to_owned(),
        named,
    })
}

/// The order of bytes in a file of level 5; what another file is.
fn order(bytes: &[u8]) -> Result<Order, String> {
    const HDF5: &[u8] = b"\x89HDF\r\n\x1a\n";
    let is_hdf5 = |at: usize| bytes.get(at..).is_some_and(|rest| rest.starts_with(HDF5));
    if bytes.starts_with(b"MATLAB 7.3") || is_hdf5(0) || is_hdf5(512) {
        return Err("a MATLAB 7.3 file (HDF5), which is not read here; load it in MATLAB and save it again with \
                    save -v7"
            .to_owned());
    }
    let order = match bytes.get(HEADER_BYTES - 4..HEADER_BYTES) {
        Some(b"\x00\x01IM") => Some(Order::Little),
        Some(b"\x01\x00MI") => Some(Order::Big),
        _ => None,
    };
    match order {
        Some(order) => Ok(order),
        _ if is_level_4(bytes) => Err(
            "a MATLAB file of level 4, which is not read here; load it in MATLAB and save it again with save -v7"
                .to_owned(),
        ),
        _ if bytes.starts_with(b"MATLAB") => Err(format!(
            "its header of {HEADER_BYTES} bytes is damaged or cut short; {AGAIN}"
        )),
        _ => Err(
            "no MATLAB file of level 5 by its content; check the path, or download it again".to_owned(),
        ),
    }
}

/// Whether the bytes begin with the header of a matrix of level 4: five numbers, the first of which tells the
/// types by its digits, and a name that ends with a zero.
fn is_level_4(bytes: &[u8]) -> bool {
    [u32::from_le_bytes, u32::from_be_bytes]
        .iter()
        .any(|number| {
            let words: Vec<u32> = bytes
                .chunks_exact(4)
                .take(5)
                .map(|word| number([word[0], word[1], word[2], word[3]]))
                .collect();
            let [types, _, _, has_imaginary, name] = words[..] else {
                return false;
            };
            let (machine, zero) = (types / 1000, types / 100 % 10);
            let (precision, kind) = (types / 10 % 10, types % 10);
            let name_end = (name as usize).checked_add(19);
            machine <= 4
                && zero == 0
                && precision <= 5
                && kind <= 2
                && has_imaginary <= 1
                && (2..=256).contains(&name)
                && name_end.and_then(|end| bytes.get(end)) == Some(&0)
        })
}

fn refuse(place: &impl fmt::Display, what: &str, fix: &str) -> anyhow::Error {
    failure(Kind::Data, format!("{place}: {what}; {fix}"))
}

fn problem_at(place: &Place, problem: &Problem) -> anyhow::Error {
    let steps: String = problem.steps.iter().rev().map(Step::to_string).collect();
    refuse(&format!("{place}{steps}"), &problem.what, AGAIN)
}

/// The first few of many names.
fn listed<'a>(names: impl Iterator<Item = &'a str>) -> String {
    let mut names = names.map(|name| name.escape_debug().to_string());
    let first: Vec<String> = names.by_ref().take(20).collect();
    match names.next() {
        _ if first.is_empty() => "none at all".to_owned(),
        Some(_) => format!("{} and more", first.join(", ")),
        None => first.join(", "),
    }
}
