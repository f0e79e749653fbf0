//! The bytes of level 5 files: elements, the arrays in them, and what is checked of an array before anything
//! is made of it.

use flate2::bufread::ZlibDecoder;
use std::borrow::Cow;
use std::fmt;
use std::io::Read;

/// Most unpacked bytes of all variables of a file: seven times the metadata of IMDB.
pub(super) const MOST_UNPACKED: usize = 1 << 30;
/// Unpacked bytes for each packed one: deflate cannot pass 1,032, and a claim beyond this is a lie.
const MOST_RATIO: usize = 1100;
/// Unpacked bytes for each packed one that are reserved before any was unpacked.
const RESERVED_RATIO: usize = 16;
/// Most arrays of a file, cells and fields counted: ten times those of IMDB's metadata.
/// A place is kept in four bytes.
pub(super) const MOST_ARRAYS: usize = 1 << 24;
/// Cells and structures in one another; each level is a call on the stack.
const MOST_NESTING: usize = 16;
/// Most numbers of one array: 1 GiB once they are `f64`.
const MOST_NUMBERS: usize = 1 << 27;
/// Most characters of one array: each row becomes a `String`, and a row may have one character.
const MOST_CHARACTERS: usize = 1 << 22;
/// Most dimensions of an array, as in numpy 1; MATLAB's files rarely have four.
const MOST_DIMS: usize = 32;
/// Longest name of a variable or field in bytes; MATLAB itself stops at 63.
const MOST_NAME_BYTES: usize = 255;
/// Most fields of a structure: it is looked through name by name.
const MOST_FIELDS: usize = 4096;

/// The types of elements that are no numbers.
const MATRIX: u32 = 14;
pub(super) const COMPRESSED: u32 = 15;
/// The class of arrays that have no dimensions.
const OPAQUE: u32 = 17;

/// What is wrong, and in which part of a variable: the innermost step first.
#[derive(Debug)]
pub(super) struct Problem {
    pub(super) steps: Vec<Step>,
    pub(super) what: String,
}

impl Problem {
    pub(super) fn new(what: impl Into<String>) -> Self {
        Self {
            steps: Vec::new(),
            what: what.into(),
        }
    }

    pub(super) fn within(mut self, step: Step) -> Self {
        self.steps.push(step);
        self
    }
}

type Checked<T> = Result<T, Problem>;

/// Returns with a problem.
macro_rules! wrong {
    ($($what:tt)*) => {
        return Err(Problem::new(format!($($what)*)))
    };
}

/// One step on the way to an array, written as in MATLAB.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Step {
    /// The file and the variable.
    Variable(String),
    Field(String),
    Cell(usize),
    Structure(usize),
}

impl fmt::Display for Step {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Variable(place) => formatter.write_str(place),
            Self::Field(name) => write!(formatter, ".{}", name.escape_debug()),
            Self::Cell(index) => write!(formatter, "{{{}}}", index + 1),
            Self::Structure(index) => write!(formatter, "({})", index + 1),
        }
    }
}

/// The class of an array of numbers: what MATLAB computes with, whatever the file stores.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are those of the format")]
pub enum Class {
    Double,
    Single,
    Int8,
    Uint8,
    Int16,
    Uint16,
    Int32,
    Uint32,
    Int64,
    Uint64,
    Logical,
}

/// How one number is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stored {
    I8,
    U8,
    I16,
    U16,
    I32,
    U32,
    F32,
    F64,
    I64,
    U64,
}

impl Stored {
    fn of(kind: u32) -> Option<Self> {
        Some(match kind {
            1 => Self::I8,
            2 => Self::U8,
            3 => Self::I16,
            4 => Self::U16,
            5 => Self::I32,
            6 => Self::U32,
            7 => Self::F32,
            9 => Self::F64,
            12 => Self::I64,
            13 => Self::U64,
            _ => return None,
        })
    }

    pub(super) fn size(self) -> usize {
        match self {
            Self::I8 | Self::U8 => 1,
            Self::I16 | Self::U16 => 2,
            Self::I32 | Self::U32 | Self::F32 => 4,
            Self::F64 | Self::I64 | Self::U64 => 8,
        }
    }

    fn number(self, bits: u64) -> f64 {
        match self {
            Self::I8 => f64::from(bits as i8),
            Self::U8 => f64::from(bits as u8),
            Self::I16 => f64::from(bits as i16),
            Self::U16 => f64::from(bits as u16),
            Self::I32 => f64::from(bits as i32),
            Self::U32 => f64::from(bits as u32),
            Self::F32 => f64::from(f32::from_bits(bits as u32)),
            Self::F64 => f64::from_bits(bits),
            Self::I64 => bits as i64 as f64,
            Self::U64 => bits as f64,
        }
    }
}

/// How characters are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Coding {
    Latin1,
    Utf8,
    Utf16,
    Utf32,
}

/// Which end of a number comes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    Little,
    Big,
}

impl Order {
    /// The bits of a number of at most eight bytes.
    fn bits(self, bytes: &[u8]) -> u64 {
        let join = |bits: u64, byte: &u8| bits << 8 | u64::from(*byte);
        match self {
            Self::Little => bytes.iter().rev().fold(0, join),
            Self::Big => bytes.iter().fold(0, join),
        }
    }
}

/// A part of a buffer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) start: usize,
    pub(super) end: usize,
}

impl Span {
    fn len(self) -> usize {
        self.end - self.start
    }
}

/// One element: its type, its data, and where the next one starts.
pub(super) struct Element {
    pub(super) kind: u32,
    pub(super) body: Span,
    pub(super) next: usize,
}

/// The parts in front of every array's data.
pub(super) struct Head {
    flags: u32,
    dims: Span,
    /// The product of the dims.
    pub(super) count: usize,
    pub(super) name: Span,
    rest: Span,
}

/// What an array holds, and where. All of it is inside the buffer.
pub(super) enum Shape {
    Numbers {
        class: Class,
        stored: Stored,
        data: Span,
    },
    Text {
        coding: Coding,
        data: Span,
    },
    Cells {
        children: Span,
    },
    Structs {
        names: Span,
        name_bytes: usize,
        children: Span,
    },
    Unsupported(&'static str),
}

/// The bytes of a file, or of one variable that was packed.
pub(super) struct Buffer {
    bytes: Vec<u8>,
    pub(super) order: Order,
}

impl Buffer {
    pub(super) fn new(bytes: Vec<u8>, order: Order) -> Self {
        Self { bytes, order }
    }

    pub(super) fn whole(&self) -> Span {
        Span {
            start: 0,
            end: self.bytes.len(),
        }
    }

    pub(super) fn bytes(&self, span: Span) -> &[u8] {
        self.bytes.get(span.start..span.end).unwrap_or_default()
    }

    fn words(&self, span: Span) -> impl Iterator<Item = u32> + '_ {
        let words = self.bytes(span).chunks_exact(4);
        words.map(|word| self.order.bits(word) as u32)
    }

    /// The element at `within.start`.
    pub(super) fn element(&self, within: Span) -> Checked<Element> {
        let mut words = self.words(within).take(2);
        let (Some(first), Some(second)) = (words.next(), words.next()) else {
            wrong!(
                "{} bytes are left where another element is expected",
                within.len()
            );
        };
        let (kind, start, length) = match first >> 16 {
            0 => (first, within.start + 8, second as usize),
            small @ 1..=4 => (first & 0xffff, within.start + 4, small as usize),
            small => {
                wrong!(
                    "an element that is stored with its tag claims {small} bytes, of which four have room"
                );
            }
        };
        if length > within.end - start {
            wrong!(
                "an element claims {length} bytes where {} are left",
                within.end - start
            );
        }
        let end = start + length;
        Ok(Element {
            kind,
            body: Span { start, end },
            // Only packed variables have an odd end, and some files leave out the padding of the last element.
            next: match kind {
                COMPRESSED => end,
                _ => within
                    .end
                    .min(within.start + (end - within.start).next_multiple_of(8)),
            },
        })
    }

    /// The array at `within.start`, and where the next one starts.
    pub(super) fn array(&self, within: Span) -> Checked<(Span, usize)> {
        let element = self.element(within)?;
        match element.kind {
            MATRIX => Ok((element.body, element.next)),
            COMPRESSED => Err(Problem::new("packed data lies in another array")),
            other => Err(Problem::new(format!(
                "an element of type {other} stands where an array (type {MATRIX}) is expected"
            ))),
        }
    }

    /// Takes the first parts of an array.
    pub(super) fn head(&self, body: Span) -> Checked<Head> {
        let mut rest = body;
        let flags = self.part(&mut rest, "flags", &[5, 6])?;
        let flags = self.words(flags).next().unwrap_or_default();
        let none = Span {
            end: rest.start,
            ..rest
        };
        let dims = match flags & 0xff {
            OPAQUE => none,
            _ => self.part(&mut rest, "dimensions", &[5, 6])?,
        };
        let count = match flags & 0xff {
            OPAQUE => 0,
            _ => self.count(dims)?,
        };
        let name = self.part(&mut rest, "name's letters", &[1, 2, 16])?;
        if name.len() > MOST_NAME_BYTES {
            wrong!(
                "its name has {} bytes, more than {MOST_NAME_BYTES}",
                name.len()
            );
        }
        Ok(Head {
            flags,
            dims,
            count,
            name,
            rest,
        })
    }

    /// Takes an array apart, without looking into its cells or fields.
    pub(super) fn layout(&self, body: Span) -> Checked<(Head, Shape)> {
        // An element of no bytes is how MATLAB writes [] in a cell or field.
        if body.start == body.end {
            let head = Head {
                flags: 6,
                dims: body,
                count: 0,
                name: body,
                rest: body,
            };
            let shape = self.numbers(&head)?;
            return Ok((head, shape));
        }
        let mut head = self.head(body)?;
        let (class, is_complex) = (head.flags & 0xff, head.flags & 0x800 != 0);
        let shape = match class {
            1 => Shape::Cells {
                children: self.room(head.rest, head.count, 1)?,
            },
            2 => self.structs(&head)?,
            3 | 18 => Shape::Unsupported("an object"),
            4 => self.text(&head)?,
            5 => Shape::Unsupported("a sparse matrix"),
            16 => Shape::Unsupported("a function handle"),
            OPAQUE => Shape::Unsupported("an opaque object (classdef, string, table or the like)"),
            6..=15 if is_complex => Shape::Unsupported("an array of complex numbers"),
            6..=15 => self.numbers(&head)?,
            other => wrong!("it is of class {other}, which does not exist"),
        };
        // MATLAB wrote files that claim a character and have none.
        if matches!(shape, Shape::Text { data, .. } if data.len() == 0) {
            head.count = 0;
        }
        Ok((head, shape))
    }

    /// The next element of an array; `rest` then begins after it.
    fn part(&self, rest: &mut Span, what: &str, kinds: &[u32]) -> Checked<Span> {
        let element = self
            .element(*rest)
            .map_err(|problem| Problem::new(format!("its {what} are missing: {}", problem.what)))?;
        if !kinds.contains(&element.kind) {
            wrong!("its {what} are stored as type {}", element.kind);
        }
        rest.start = element.next;
        Ok(element.body)
    }

    fn count(&self, dims: Span) -> Checked<usize> {
        let rank = dims.len() / 4;
        if !(1..=MOST_DIMS).contains(&rank) || !dims.len().is_multiple_of(4) {
            wrong!(
                "its dimensions take {} bytes, expected 4 for each of 1 to {MOST_DIMS}",
                dims.len()
            );
        }
        let mut count = Some(1usize);
        for dim in self.words(dims) {
            if dim > i32::MAX as u32 {
                wrong!("a dimension is {}", dim as i32);
            }
            count = count.and_then(|count| count.checked_mul(dim as usize));
        }
        // A dimension of 0 makes the array empty, however large the others.
        let is_empty = self.words(dims).any(|dim| dim == 0);
        match count {
            _ if is_empty => Ok(0),
            Some(count) => Ok(count),
            None => Err(Problem::new("its dimensions multiply to an absurd number")),
        }
    }

    /// The sizes along each dimension.
    pub(super) fn dims(&self, head: &Head) -> Vec<usize> {
        if head.dims.len() == 0 {
            return vec![0, 0];
        }
        self.words(head.dims).map(|dim| dim as usize).collect()
    }

    /// Whether so many children can be in so few bytes: each takes at least eight.
    fn room(&self, children: Span, count: usize, fields: usize) -> Checked<Span> {
        let most = children.len() / 8;
        if count.checked_mul(fields).is_none_or(|arrays| arrays > most) {
            wrong!(
                "it claims {count} cells or structures, for which {} bytes are too few",
                children.len()
            );
        }
        Ok(children)
    }

    fn structs(&self, head: &Head) -> Checked<Shape> {
        let (mut rest, count) = (head.rest, head.count);
        let length = self.part(&mut rest, "field names' lengths", &[5, 6])?;
        let length = self.words(length).next().unwrap_or_default() as usize;
        let names = self.part(&mut rest, "field names", &[1, 2, 16])?;
        if names.len() > 0 && !(2..=MOST_NAME_BYTES + 1).contains(&length) {
            wrong!(
                "its field names are {length} bytes long each, with a zero at the end: expected 2 to {}",
                MOST_NAME_BYTES + 1
            );
        }
        let fields = names.len() / length.max(1);
        if names.len() % length.max(1) != 0 || fields > MOST_FIELDS {
            wrong!(
                "its field names take {} bytes, expected a multiple of {length} for at most {MOST_FIELDS} names",
                names.len()
            );
        }
        if fields == 0 && count > MOST_ARRAYS {
            wrong!("it claims {count} structures without fields");
        }
        let mut each = self.bytes(names).chunks_exact(length.max(1));
        if each.any(|name| name.first() == Some(&0)) {
            wrong!("a field has no name");
        }
        Ok(Shape::Structs {
            names,
            name_bytes: length.max(1),
            children: self.room(rest, count, fields)?,
        })
    }

    /// The names of a structure's fields.
    pub(super) fn field_names(&self, names: Span, name_bytes: usize) -> Vec<String> {
        let names = self.bytes(names).chunks_exact(name_bytes);
        names
            .map(|name| {
                let end = name.iter().position(|byte| *byte == 0);
                String::from_utf8_lossy(&name[..end.unwrap_or(name.len())]).into_owned()
            })
            .collect()
    }

    /// The data of an array, which must be the last of its elements.
    fn data(&self, head: &Head) -> Checked<Element> {
        let rest = head.rest;
        if rest.len() == 0 && head.count == 0 {
            return Ok(Element {
                kind: 9,
                body: rest,
                next: rest.end,
            });
        }
        let element = self
            .element(rest)
            .map_err(|problem| Problem::new(format!("its data is missing: {}", problem.what)))?;
        if element.next != rest.end {
            wrong!("{} bytes follow its data", rest.end - element.next);
        }
        Ok(element)
    }

    fn numbers(&self, head: &Head) -> Checked<Shape> {
        let class = match head.flags & 0xff {
            _ if head.flags & 0x200 != 0 => Class::Logical,
            6 => Class::Double,
            7 => Class::Single,
            8 => Class::Int8,
            9 => Class::Uint8,
            10 => Class::Int16,
            11 => Class::Uint16,
            12 => Class::Int32,
            13 => Class::Uint32,
            14 => Class::Int64,
            _ => Class::Uint64,
        };
        let element = self.data(head)?;
        let (data, count) = (element.body, head.count);
        let Some(stored) = Stored::of(element.kind) else {
            wrong!(
                "its numbers are stored as type {}, which is no number",
                element.kind
            );
        };
        if count > MOST_NUMBERS {
            wrong!("it has {count} numbers; at most {MOST_NUMBERS} are read");
        }
        // At most 2^27 times 8.
        if count * stored.size() != data.len() {
            wrong!(
                "its dimensions claim {count} numbers of {} bytes, its data has {} bytes",
                stored.size(),
                data.len()
            );
        }
        Ok(Shape::Numbers {
            class,
            stored,
            data,
        })
    }

    /// The numbers in `data`, column-major.
    pub(super) fn stored(&self, stored: Stored, data: Span) -> impl Iterator<Item = f64> + '_ {
        let each = self.bytes(data).chunks_exact(stored.size());
        each.map(move |bytes| stored.number(self.order.bits(bytes)))
    }

    fn text(&self, head: &Head) -> Checked<Shape> {
        let element = self.data(head)?;
        let (data, count) = (element.body, head.count);
        let coding = match element.kind {
            1 | 2 => Coding::Latin1,
            3 | 4 | 17 => Coding::Utf16,
            5 | 6 | 18 => Coding::Utf32,
            16 => Coding::Utf8,
            _ if data.len() == 0 => Coding::Utf8,
            other => {
                wrong!("its characters are stored as type {other}");
            }
        };
        if count > MOST_CHARACTERS {
            wrong!("it has {count} characters; at most {MOST_CHARACTERS} are read");
        }
        let is_one_row = self.words(head.dims).next() == Some(1);
        // Programs count characters, the 16 bits that MATLAB calls one, or bytes.
        let fits = match coding {
            _ if data.len() == 0 => true,
            Coding::Latin1 => data.len() == count,
            Coding::Utf16 => data.len() == 2 * count || self.characters(coding, data) == count,
            Coding::Utf32 => data.len() == 4 * count || self.units(coding, data).len() == count,
            Coding::Utf8 if is_one_row && data.len() == count => true,
            Coding::Utf8 => {
                data.len() <= 4 * count
                    && (self.characters(coding, data) == count
                        || self.units(coding, data).len() == count)
            }
        };
        if !fits {
            wrong!(
                "its dimensions claim {count} characters, its data has {} bytes",
                data.len()
            );
        }
        Ok(Shape::Text { coding, data })
    }

    fn characters(&self, coding: Coding, data: Span) -> usize {
        self.decoded(coding, data).chars().count()
    }

    /// The 16-bit units of characters, column-major.
    pub(super) fn units(&self, coding: Coding, data: Span) -> Vec<u16> {
        match coding {
            Coding::Utf16 => self
                .bytes(data)
                .chunks_exact(2)
                .map(|unit| self.order.bits(unit) as u16)
                .collect(),
            _ => self.decoded(coding, data).encode_utf16().collect(),
        }
    }

    /// All characters, column-major; U+FFFD for what is none.
    pub(super) fn decoded(&self, coding: Coding, data: Span) -> Cow<'_, str> {
        let bytes = self.bytes(data);
        match coding {
            Coding::Utf8 => String::from_utf8_lossy(bytes),
            Coding::Latin1 => bytes.iter().copied().map(char::from).collect(),
            Coding::Utf16 => String::from_utf16_lossy(&self.units(coding, data)).into(),
            Coding::Utf32 => self
                .words(data)
                .map(|code| char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER))
                .collect(),
        }
    }

    /// Visits each array in `children`, of which there must be `count` and nothing else.
    pub(super) fn visit(
        &self,
        children: Span,
        count: usize,
        mut visitor: impl FnMut(usize, Span, Span) -> Checked<()>,
    ) -> Checked<()> {
        let mut rest = children;
        for index in 0..count {
            let (body, next) = self.array(rest).map_err(|problem| {
                Problem::new(format!("part {} of {count}: {}", index + 1, problem.what))
            })?;
            visitor(index, rest, body)?;
            rest.start = next;
        }
        if rest.start != rest.end {
            wrong!("{} bytes follow its {count} cells or fields", rest.len());
        }
        Ok(())
    }

    /// Checks an array and all within it; takes each from `arrays`, what the file may still have.
    pub(super) fn check(&self, body: Span, nesting: usize, arrays: &mut usize) -> Checked<()> {
        if nesting > MOST_NESTING {
            wrong!("cells and structures lie in one another, more than {MOST_NESTING} deep");
        }
        *arrays = arrays.checked_sub(1).ok_or_else(|| {
            Problem::new(format!(
                "the file has more than {MOST_ARRAYS} cells and fields"
            ))
        })?;
        let (head, shape) = self.layout(body)?;
        match shape {
            Shape::Cells { children } => self.visit(children, head.count, |index, _, child| {
                self.check(child, nesting + 1, arrays)
                    .map_err(|problem| problem.within(Step::Cell(index)))
            }),
            Shape::Structs {
                names,
                name_bytes,
                children,
            } => {
                let fields = names.len() / name_bytes;
                self.visit(children, head.count * fields, |index, _, child| {
                    self.check(child, nesting + 1, arrays).map_err(|problem| {
                        let name = self
                            .field_names(names, name_bytes)
                            .swap_remove(index % fields);
                        let problem = problem.within(Step::Field(name));
                        match head.count {
                            1 => problem,
                            _ => problem.within(Step::Structure(index / fields)),
                        }
                    })
                })
            }
            _ => Ok(()),
        }
    }
}

/// Unpacks one variable: an array and nothing else. `left` is what the file may still unpack.
pub(super) fn unpack(packed: &[u8], order: Order, left: &mut usize) -> Checked<Buffer> {
    let damaged =
        |error: std::io::Error| Problem::new(format!("its packed data is damaged: {error}"));
    let mut decoder = ZlibDecoder::new(packed);
    let mut bytes = Vec::new();
    (&mut decoder)
        .take(8)
        .read_to_end(&mut bytes)
        .map_err(damaged)?;
    let tag = Buffer::new(bytes, order);
    let words: Vec<u32> = tag.words(tag.whole()).collect();
    let length = match words[..] {
        [MATRIX, length] => length as usize,
        [COMPRESSED, _] => return Err(Problem::new("packed data holds packed data")),
        [kind, _] => {
            wrong!("its packed data begins with type {kind}, expected an array (type {MATRIX})");
        }
        _ => return Err(Problem::new("its packed data ends before an array begins")),
    };
    let whole = length + 8;
    if whole > *left || whole > packed.len().saturating_mul(MOST_RATIO) {
        wrong!(
            "{} packed bytes claim to be {whole}; at most {MOST_RATIO} times as many are believed, and at most \
             {MOST_UNPACKED} in a file",
            packed.len()
        );
    }
    *left -= whole;
    let mut bytes = tag.bytes;
    // Beyond this it grows as bytes arrive: a lying claim takes no memory.
    bytes.reserve_exact(length.min(packed.len() * RESERVED_RATIO));
    // Past the end, where the check sum is looked at.
    (&mut decoder)
        .take(length as u64 + 8)
        .read_to_end(&mut bytes)
        .map_err(damaged)?;
    if bytes.len() < whole {
        wrong!(
            "its packed data ends after {} of {whole} bytes",
            bytes.len()
        );
    }
    let is_padding = bytes.len() < whole + 8 && bytes[whole..].iter().all(|byte| *byte == 0);
    if !is_padding || packed.len() as u64 >= decoder.total_in() + 8 {
        wrong!("its packed data goes on after the {whole} bytes that it announces");
    }
    bytes.truncate(whole);
    bytes.shrink_to_fit();
    Ok(Buffer::new(bytes, order))
}
