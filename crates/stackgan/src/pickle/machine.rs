//! The stack machine that a pickle is a program for, with all that could run or grow left out.
//!
//! Lists, tuples and arrays are held by number in one vector: a list that holds itself is no leak, and nothing is
//! dropped or compared in recursion. Each opcode makes at most one thing and is counted.

use super::input::{AGAIN, ATTACK, Checked, Input, OTHER, Problem, Spelt, latin1};
use super::numpy::{Dtype, Global, Number, from_fortran};
use super::text::Coding;
use std::collections::HashMap;
use std::io::{Read, Seek};

/// Most opcodes of a file: those of 95,000 arrays, a hundred bytes of memory each at worst.
pub(super) const MOST_OPCODES: usize = 1 << 21;
/// Most bytes of strings in memory.
pub(super) const MOST_TEXT: u64 = 1 << 26;
/// Most parts of arguments, states and shapes: a longer tuple would be looked through again and again.
const MOST_PARTS: usize = 16;
/// Most dimensions of an array.
const MOST_DIMS: usize = 8;
/// The newest protocol.
const NEWEST: u8 = 5;

/// Something on the stack, in a list or in the memo.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Item {
    None,
    Bool(bool),
    Integer(i64),
    Real(f64),
    Node(u32),
}

/// What is held by number.
#[derive(Debug)]
pub(super) enum Node {
    Text(Box<str>),
    Bytes(Box<[u8]>),
    /// A string in the file.
    Stored {
        at: u64,
        length: u64,
        coding: Coding,
        is_text: bool,
    },
    List(Vec<Item>),
    Tuple(Vec<Item>),
    Global(Global),
    Dtype(Dtype),
    /// An array that has no state yet.
    Bare,
    Array(Box<Array>),
}

/// Numbers in [`Loaded::pool`], in C order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Array {
    pub(super) shape: Vec<usize>,
    pub(super) start: usize,
    pub(super) length: usize,
}

/// All that a file holds.
#[derive(Debug)]
pub(super) struct Loaded {
    pub(super) nodes: Vec<Node>,
    pub(super) root: Item,
    /// The numbers of all arrays, in the order in which the file has them.
    pub(super) pool: Vec<f32>,
}

impl Loaded {
    pub(super) fn node(&self, item: Item) -> Option<&Node> {
        node(&self.nodes, item)
    }

    /// What an item is, in words.
    pub(super) fn kind(&self, item: Item) -> String {
        kind(&self.nodes, item)
    }
}

fn node(nodes: &[Node], item: Item) -> Option<&Node> {
    match item {
        Item::Node(index) => nodes.get(index as usize),
        _ => None,
    }
}

fn kind(nodes: &[Node], item: Item) -> String {
    let word = match (item, node(nodes, item)) {
        (Item::None, _) => "None",
        (Item::Bool(_), _) => "a truth value",
        (Item::Integer(_), _) => "a whole number",
        (Item::Real(_), _) => "a number",
        (_, Some(Node::Text(_) | Node::Stored { is_text: true, .. })) => "a text",
        (_, Some(Node::Bytes(_) | Node::Stored { .. })) => "a string of bytes",
        (_, Some(Node::List(_))) => "a list",
        (_, Some(Node::Tuple(_))) => "a tuple",
        (_, Some(Node::Dtype(_))) => "a type of numbers",
        (_, Some(Node::Global(global))) => return format!("the function {global}"),
        (_, Some(Node::Array(array))) => {
            return format!("an array of shape {:?}", array.shape);
        }
        (_, Some(Node::Bare) | None) => "an array without numbers",
    };
    word.to_owned()
}

/// Returns with a problem: what is wrong, and the fix.
macro_rules! wrong {
    ($fix:expr, $($what:tt)*) => {
        return Err(Problem::new(format!($($what)*), $fix))
    };
}

struct Machine<R> {
    input: Input<R>,
    stack: Vec<Item>,
    marks: Vec<usize>,
    memo: HashMap<u64, Item>,
    nodes: Vec<Node>,
    pool: Vec<f32>,
    text_left: u64,
}

/// Loads a pickle of `length` bytes. On a problem, the place of the opcode that has it.
pub(super) fn load<R: Read + Seek>(source: R, length: u64) -> Result<Loaded, (u64, Problem)> {
    let mut machine = Machine {
        input: Input::new(source, length),
        stack: Vec::new(),
        marks: Vec::new(),
        memo: HashMap::new(),
        nodes: Vec::new(),
        pool: Vec::new(),
        text_left: MOST_TEXT,
    };
    machine.first_look().map_err(|problem| (0, problem))?;
    for _ in 0..MOST_OPCODES {
        let at = machine.input.at;
        if let Some(root) = machine.step().map_err(|problem| (at, problem))? {
            return Ok(machine.loaded(root));
        }
    }
    let what =
        format!("more than {MOST_OPCODES} opcodes, which a list of arrays or names never has");
    Err((machine.input.at, Problem::new(what, OTHER)))
}

impl<R: Read + Seek> Machine<R> {
    /// Refuses what is plainly another file.
    fn first_look(&mut self) -> Checked<()> {
        // Those that put something on the stack, and the protocol.
        const FIRST: &[u8] = b"\x80()]}cNIJKMLFGSTUVXBC\x88\x89\x8a\x8b\x8c\x8d\x8e\x96";
        match self.input.first()? {
            None => wrong!(AGAIN, "the file is empty"),
            Some(first) if FIRST.contains(&first) => Ok(()),
            Some(_) => wrong!(
                "check the path, or get the file again",
                "no pickle by its content"
            ),
        }
    }

    fn loaded(self, root: Item) -> Loaded {
        Loaded {
            nodes: self.nodes,
            root,
            pool: self.pool,
        }
    }

    /// Follows one opcode. The last one tells what the file holds.
    fn step(&mut self) -> Checked<Option<Item>> {
        match self.input.byte()? {
            0x80 => match self.input.byte()? {
                0..=NEWEST => (),
                version => wrong!(
                    "write it again in protocol 2",
                    "protocol {version}, of which at most {NEWEST} is known"
                ),
            },
            // A frame tells how much comes: nothing needs it.
            0x95 => {
                let length = u64::from_le_bytes(self.input.array()?);
                self.input.claimed(length)?;
            }
            b'.' => {
                let root = self.pop()?;
                self.ended()?;
                return Ok(Some(root));
            }
            b'(' => self.marks.push(self.stack.len()),
            b'0' => {
                if self.marks.last() == Some(&self.stack.len()) {
                    self.marks.pop();
                } else {
                    self.pop()?;
                }
            }
            b'1' => drop(self.above_mark()?),
            b'2' => {
                let top = self.top()?;
                self.stack.push(top);
            }
            opcode @ (b'p' | b'q' | b'r' | 0x94) => {
                let key = match opcode {
                    0x94 => self.memo.len() as u64,
                    _ => self.key(opcode)?,
                };
                let top = self.top()?;
                self.memo.insert(key, top);
            }
            opcode @ (b'g' | b'h' | b'j') => {
                let key = self.key(opcode)?;
                match self.memo.get(&key) {
                    Some(item) => self.stack.push(*item),
                    None => wrong!(AGAIN, "what is remembered as number {key} was never told"),
                }
            }
            opcode @ (b'N' | 0x88 | 0x89 | b'I' | b'J' | b'K' | b'M' | b'L' | 0x8a | 0x8b
            | b'F' | b'G') => {
                let item = self.plain(opcode)?;
                self.stack.push(item);
            }
            opcode @ (b'S' | b'T' | b'U' | b'B' | b'C' | b'V' | b'X' | 0x8c | 0x8d | 0x8e
            | 0x96) => self.string(opcode)?,
            opcode @ (b']' | b')' | b'l' | b't' | b'a' | b'e' | 0x85..=0x87) => {
                self.gather(opcode)?;
            }
            b'c' => {
                let (module, name) = (self.input.word()?, self.input.word()?);
                self.global(&module, &name)?;
            }
            0x93 => {
                let (name, module) = (self.pop()?, self.pop()?);
                match (self.word(module), self.word(name)) {
                    (Some(module), Some(name)) => self.global(&module, &name)?,
                    _ => wrong!(ATTACK, "asks for a function by a name that is no text"),
                }
            }
            b'R' => self.reduce()?,
            b'b' => self.build()?,
            other => return self.refuse(other),
        }
        Ok(None)
    }

    /// Refuses more than what an editor leaves at the end: another pickle would be passed over in silence.
    fn ended(&mut self) -> Checked<()> {
        let left = self.input.end.saturating_sub(self.input.at);
        let mut is_blank = left <= 16;
        for _ in 0..if is_blank { left } else { 0 } {
            is_blank &= self.input.byte()?.is_ascii_whitespace();
        }
        if !is_blank {
            wrong!(AGAIN, "{left} bytes follow the end of the pickle");
        }
        Ok(())
    }

    /// What no list of arrays, names or numbers needs.
    fn refuse(&mut self, opcode: u8) -> Checked<Option<Item>> {
        let asked = match opcode {
            b'i' => {
                let (module, name) = (self.input.word()?, self.input.word()?);
                format!("an instance of {}", shown(&module, &name))
            }
            b'o' | 0x81 | 0x92 => {
                // The class is below its arguments, or the first of them.
                let below = match opcode {
                    b'o' => self.marks.last().copied(),
                    0x81 => self.stack.len().checked_sub(2),
                    _ => self.stack.len().checked_sub(3),
                };
                let class = below.and_then(|below| self.stack.get(below));
                let class = class.copied().unwrap_or(Item::None);
                format!("an instance of {}", kind(&self.nodes, class))
            }
            b'P' => {
                let name = self.input.word()?;
                format!("the object {} outside the file", clipped(&name))
            }
            b'Q' => "an object outside the file".to_owned(),
            0x82..=0x84 => "a function that is registered by number".to_owned(),
            0x97 | 0x98 => wrong!(
                "write it again with pickle.dump(value, file, protocol=2)",
                "its numbers are kept outside the file"
            ),
            b'}' | b'd' | b's' | b'u' => wrong!(OTHER, "a dictionary, where lists are expected"),
            0x8f..=0x91 => wrong!(OTHER, "a set, where lists are expected"),
            other => wrong!(AGAIN, "opcode {other:#04x}, which does not exist"),
        };
        wrong!(ATTACK, "asks for {asked}")
    }

    fn top(&self) -> Checked<Item> {
        let floor = self.marks.last().copied().unwrap_or_default();
        match self.stack.last() {
            Some(top) if self.stack.len() > floor => Ok(*top),
            _ => wrong!(AGAIN, "it takes from an empty stack"),
        }
    }

    fn pop(&mut self) -> Checked<Item> {
        let top = self.top()?;
        self.stack.pop();
        Ok(top)
    }

    fn above_mark(&mut self) -> Checked<Vec<Item>> {
        match self.marks.pop() {
            Some(mark) => Ok(self.stack.split_off(mark.min(self.stack.len()))),
            None => wrong!(AGAIN, "a mark is missing"),
        }
    }

    /// The number under which something is remembered.
    fn key(&mut self, opcode: u8) -> Checked<u64> {
        Ok(match opcode {
            b'q' | b'h' => u64::from(self.input.byte()?),
            b'r' | b'j' => u64::from(u32::from_le_bytes(self.input.array()?)),
            _ => self.parsed()?,
        })
    }

    fn parsed<T: std::str::FromStr>(&mut self) -> Checked<T> {
        let word = self.input.word()?;
        match word.trim().parse() {
            Ok(number) => Ok(number),
            Err(_) => wrong!(AGAIN, "{} is no number that is read", clipped(&word)),
        }
    }

    fn plain(&mut self, opcode: u8) -> Checked<Item> {
        Ok(match opcode {
            b'N' => Item::None,
            0x88 => Item::Bool(true),
            0x89 => Item::Bool(false),
            b'I' => {
                let word = self.input.word()?;
                match (word.as_str(), word.trim().parse()) {
                    ("00", _) => Item::Bool(false),
                    ("01", _) => Item::Bool(true),
                    (_, Ok(number)) => Item::Integer(number),
                    _ => wrong!(AGAIN, "{} is no number that is read", clipped(&word)),
                }
            }
            b'J' => Item::Integer(i64::from(i32::from_le_bytes(self.input.array()?))),
            b'K' => Item::Integer(i64::from(self.input.byte()?)),
            b'M' => Item::Integer(i64::from(u16::from_le_bytes(self.input.array()?))),
            b'L' => {
                let word = self.input.word()?;
                match word.trim().trim_end_matches('L').parse() {
                    Ok(number) => Item::Integer(number),
                    Err(_) => wrong!(AGAIN, "{} is no number that is read", clipped(&word)),
                }
            }
            b'F' => Item::Real(self.parsed()?),
            b'G' => Item::Real(f64::from_be_bytes(self.input.array()?)),
            _ => {
                let length = match opcode {
                    0x8a => u64::from(self.input.byte()?),
                    _ => u64::from(u32::from_le_bytes(self.input.array()?)),
                };
                if length > 8 {
                    wrong!(
                        OTHER,
                        "a whole number of {length} bytes; at most 8 are read"
                    );
                }
                let mut bits = 0;
                for place in 0..length {
                    bits |= u64::from(self.input.byte()?) << (8 * place);
                }
                // Two's complement: the highest bit that is told is the sign.
                let unused = 64 - 8 * length as u32;
                Item::Integer(match length {
                    0 => 0,
                    _ => (bits << unused) as i64 >> unused,
                })
            }
        })
    }

    fn add(&mut self, node: Node) {
        // At most one an opcode, of which there are not so many.
        self.stack.push(Item::Node(self.nodes.len() as u32));
        self.nodes.push(node);
    }

    fn keep(&mut self, length: u64) -> Checked<()> {
        match self.text_left.checked_sub(length) {
            Some(left) => self.text_left = left,
            None => wrong!(OTHER, "more than {MOST_TEXT} bytes of texts"),
        }
        Ok(())
    }

    fn string(&mut self, opcode: u8) -> Checked<()> {
        let (coding, is_text) = match opcode {
            b'S' => (Coding::Escaped, false),
            b'V' => (Coding::Unicode, true),
            b'X' | 0x8c | 0x8d => (Coding::Utf8, true),
            _ => (Coding::Raw, false),
        };
        let length = match opcode {
            b'S' | b'V' => 0,
            b'U' | b'C' | 0x8c => u64::from(self.input.byte()?),
            b'T' => match u64::try_from(i32::from_le_bytes(self.input.array()?)) {
                Ok(length) => length,
                Err(_) => wrong!(AGAIN, "a string of a negative length"),
            },
            b'B' | b'X' => u64::from(u32::from_le_bytes(self.input.array()?)),
            _ => u64::from_le_bytes(self.input.array()?),
        };
        let mut spelt = match opcode {
            b'S' | b'V' => self.input.line()?,
            _ => self.input.string(length)?,
        };
        if opcode == b'S' {
            self.unquote(&mut spelt)?;
        }
        let Spelt { at, length, kept } = spelt;
        let Some(bytes) = kept else {
            self.add(Node::Stored {
                at,
                length,
                coding,
                is_text,
            });
            return Ok(());
        };
        self.keep(length)?;
        let node = if is_text {
            Node::Text(text(coding, &bytes)?.into())
        } else {
            let mut decoded = Vec::with_capacity(bytes.len());
            latin1(coding, &bytes, true, &mut decoded)?;
            Node::Bytes(decoded.into())
        };
        self.add(node);
        Ok(())
    }

    /// Takes off the quotes around a string; those of a long one are looked at in the file.
    fn unquote(&mut self, spelt: &mut Spelt) -> Checked<()> {
        let mut ends = Vec::new();
        match &spelt.kept {
            Some(bytes) => {
                ends.extend(bytes.first());
                ends.extend(bytes.get(1..).and_then(<[u8]>::last));
            }
            None => {
                for at in [spelt.at, spelt.at + spelt.length - 1] {
                    let mut keep = |byte: &[u8]| {
                        ends.extend(byte);
                        Ok(())
                    };
                    self.input.look_back(at, 1, Coding::Raw, &mut keep)?;
                }
            }
        }
        if !matches!(ends[..], [b'\'', b'\''] | [b'"', b'"']) {
            wrong!(AGAIN, "a string without quotes");
        }
        spelt.at += 1;
        spelt.length -= 2;
        if let Some(bytes) = &mut spelt.kept {
            bytes.pop();
            bytes.remove(0);
        }
        Ok(())
    }

    fn gather(&mut self, opcode: u8) -> Checked<()> {
        match opcode {
            b']' => self.add(Node::List(Vec::new())),
            b')' => self.add(Node::Tuple(Vec::new())),
            b'l' => {
                let items = self.above_mark()?;
                self.add(Node::List(items));
            }
            b't' => {
                let items = self.above_mark()?;
                self.add(Node::Tuple(items));
            }
            0x85..=0x87 => {
                let mut items = Vec::new();
                for _ in 0x85..=opcode {
                    items.insert(0, self.pop()?);
                }
                self.add(Node::Tuple(items));
            }
            _ => {
                let items = match opcode {
                    b'a' => vec![self.pop()?],
                    _ => self.above_mark()?,
                };
                let list = self.top()?;
                match self.node_mut(list) {
                    Some(Node::List(list)) => list.extend(items),
                    _ => wrong!(AGAIN, "appends to {}", kind(&self.nodes, list)),
                }
            }
        }
        Ok(())
    }

    fn node(&self, item: Item) -> Option<&Node> {
        node(&self.nodes, item)
    }

    fn node_mut(&mut self, item: Item) -> Option<&mut Node> {
        match item {
            Item::Node(index) => self.nodes.get_mut(index as usize),
            _ => None,
        }
    }

    /// A short string, whether of bytes or of characters.
    fn word(&self, item: Item) -> Option<String> {
        match self.node(item)? {
            Node::Text(text) => Some(text.to_string()),
            Node::Bytes(bytes) => Some(String::from_utf8_lossy(bytes).into_owned()),
            _ => None,
        }
    }

    fn global(&mut self, module: &str, name: &str) -> Checked<()> {
        match Global::of(module, name) {
            Some(global) => self.add(Node::Global(global)),
            None => wrong!(ATTACK, "asks for {}", shown(module, name)),
        }
        Ok(())
    }

    /// The parts of a short tuple.
    fn tuple(&self, item: Item) -> Option<&[Item]> {
        match self.node(item)? {
            Node::Tuple(items) if items.len() <= MOST_PARTS => Some(items),
            _ => None,
        }
    }

    /// What a known function would make of its arguments.
    fn reduce(&mut self) -> Checked<()> {
        let (arguments, called) = (self.pop()?, self.pop()?);
        let Some(&Node::Global(global)) = self.node(called) else {
            wrong!(ATTACK, "calls {}", kind(&self.nodes, called));
        };
        let unlike = Problem::new(
            format!("calls {global} with other arguments than numpy"),
            AGAIN,
        );
        let Some(arguments) = self.tuple(arguments).map(<[Item]>::to_vec) else {
            return Err(unlike);
        };
        match (global, &arguments[..]) {
            (Global::Reconstruct, [class, ..]) => match self.node(*class) {
                Some(Node::Global(Global::Ndarray)) => self.add(Node::Bare),
                _ => wrong!(OTHER, "makes an array of {}", kind(&self.nodes, *class)),
            },
            (Global::Dtype, [name, ..]) => {
                let Some(name) = self.word(*name) else {
                    return Err(unlike);
                };
                match Dtype::of(&name) {
                    Some(dtype) => self.add(Node::Dtype(dtype)),
                    None => wrong!(
                        "convert it with numpy.asarray(value, dtype=numpy.float32) and write it again",
                        "the type of numbers {} is not read",
                        clipped(&name)
                    ),
                }
            }
            (Global::Encode, [text, coding, ..]) => {
                match self.word(*coding).as_deref() {
                    Some("latin1" | "latin-1" | "iso-8859-1") => (),
                    _ => return Err(unlike),
                }
                let node = match self.node(*text) {
                    Some(Node::Text(text)) => {
                        let (mut bytes, text) = (Vec::new(), text.clone());
                        self.keep(text.len() as u64)?;
                        latin1(Coding::Utf8, text.as_bytes(), true, &mut bytes)?;
                        Node::Bytes(bytes.into())
                    }
                    Some(&Node::Stored {
                        at,
                        length,
                        coding,
                        is_text: true,
                    }) => Node::Stored {
                        at,
                        length,
                        coding,
                        is_text: false,
                    },
                    _ => return Err(unlike),
                };
                self.add(node);
            }
            (Global::Scalar, [dtype, bytes]) => {
                let number = match (self.node(*dtype), self.node(*bytes)) {
                    (Some(Node::Dtype(dtype)), Some(Node::Bytes(bytes)))
                        if bytes.len() == usize::from(dtype.size) =>
                    {
                        dtype.number(bytes)
                    }
                    _ => return Err(unlike),
                };
                self.stack.push(match number {
                    Some(Number::Bool(value)) => Item::Bool(value),
                    Some(Number::Integer(value)) => Item::Integer(value),
                    Some(Number::Real(value)) => Item::Real(value),
                    None => wrong!(OTHER, "a number beyond 2^63"),
                });
            }
            (Global::FromBuffer, [data, dtype, shape, order]) => {
                let is_fortran = match self.word(*order).as_deref() {
                    Some("C") => false,
                    Some("F") => true,
                    _ => return Err(unlike),
                };
                let array = self.array(*shape, *dtype, is_fortran, *data)?;
                self.add(Node::Array(Box::new(array)));
            }
            (Global::Ndarray, _) => wrong!(OTHER, "calls {global}, where an array is expected"),
            _ => return Err(unlike),
        }
        Ok(())
    }

    /// Gives an array or a type of numbers its state.
    fn build(&mut self) -> Checked<()> {
        let (state, built) = (self.pop()?, self.top()?);
        let unlike = |nodes: &[Node]| {
            let what = format!("gives {} a state unlike numpy's", kind(nodes, built));
            Problem::new(what, AGAIN)
        };
        let state = self.tuple(state).map(<[Item]>::to_vec);
        match (self.node(built), state.as_deref()) {
            (Some(&Node::Dtype(dtype)), Some([Item::Integer(_), order, rest @ ..])) => {
                if rest.iter().take(3).any(|item| *item != Item::None) {
                    wrong!(OTHER, "numbers with parts or names of their own");
                }
                let order = self.word(*order);
                let Some(ordered) = order.and_then(|order| dtype.ordered(&order)) else {
                    return Err(unlike(&self.nodes));
                };
                if let Some(node) = self.node_mut(built) {
                    *node = Node::Dtype(ordered);
                }
            }
            (Some(Node::Bare), Some([Item::Integer(_), shape, dtype, order, data])) => {
                let is_fortran = match order {
                    Item::Bool(is_fortran) => *is_fortran,
                    Item::Integer(order @ 0..=1) => *order == 1,
                    _ => return Err(unlike(&self.nodes)),
                };
                let array = self.array(*shape, *dtype, is_fortran, *data)?;
                if let Some(node) = self.node_mut(built) {
                    *node = Node::Array(Box::new(array));
                }
            }
            (Some(Node::Dtype(_) | Node::Bare | Node::Array(_)), _) => {
                return Err(unlike(&self.nodes));
            }
            _ => wrong!(ATTACK, "gives {} a state", kind(&self.nodes, built)),
        }
        Ok(())
    }

    /// Takes the numbers of an array into the pool.
    fn array(&mut self, shape: Item, dtype: Item, is_fortran: bool, data: Item) -> Checked<Array> {
        let Some(&Node::Dtype(dtype)) = self.node(dtype) else {
            wrong!(AGAIN, "an array of {}", kind(&self.nodes, dtype));
        };
        if !dtype.is_float() {
            wrong!(
                "convert it with array.astype(numpy.float32) and write it again",
                "an array of {dtype}; those of float16, float32 and float64 are read"
            );
        }
        let dims = self.tuple(shape).unwrap_or_default().iter();
        let dims: Option<Vec<usize>> = dims
            .map(|dim| match dim {
                Item::Integer(dim) => usize::try_from(*dim).ok(),
                _ => None,
            })
            .collect();
        let Some(dims) = dims.filter(|dims| (1..=MOST_DIMS).contains(&dims.len())) else {
            wrong!(
                AGAIN,
                "an array whose shape is not 1 to {MOST_DIMS} whole numbers from 0 on"
            );
        };
        let size = usize::from(dtype.size);
        let count = dims
            .iter()
            .try_fold(1, |count: usize, dim| count.checked_mul(*dim));
        let bytes = count.and_then(|count| count.checked_mul(size));
        let (Some(count), Some(bytes)) = (count, bytes) else {
            wrong!(AGAIN, "the shape {dims:?} multiplies to an absurd number");
        };
        let unlike = |found: &str| {
            let what =
                format!("the shape {dims:?} of {dtype} needs {bytes} bytes, its data has {found}");
            Problem::new(what, AGAIN)
        };
        // A string is spelt with at least one byte for each of its own.
        let at_most = match self.node(data) {
            Some(Node::Bytes(bytes)) => bytes.len() as u64,
            Some(Node::Stored {
                length,
                is_text: false,
                ..
            }) => *length,
            _ => wrong!(
                AGAIN,
                "the numbers of an array are {}",
                kind(&self.nodes, data)
            ),
        };
        if bytes as u64 > at_most {
            return Err(unlike(&at_most.to_string()));
        }
        // Short strings may be used again and again.
        let start = self.pool.len();
        if ((start + count) * size) as u64 > self.input.end {
            wrong!(ATTACK, "arrays of more bytes than the file has");
        }
        if start == 0 {
            // Once for all, so that nothing is copied when it grows: the file has no more numbers than this.
            let most = self.input.end.div_ceil(size as u64);
            let reserved = usize::try_from(most)
                .ok()
                .map(|most| self.pool.try_reserve_exact(most));
            if !matches!(reserved, Some(Ok(()))) {
                wrong!("free some memory", "{most} numbers do not fit into memory");
            }
        }
        let Self {
            input, nodes, pool, ..
        } = self;
        let (mut rest, mut found) = (Vec::new(), 0);
        let mut take = |part: &[u8]| -> Checked<()> {
            found += part.len();
            if found > bytes {
                return Err(unlike("more"));
            }
            if rest.is_empty() && part.len().is_multiple_of(size) {
                dtype.floats(part, pool);
                return Ok(());
            }
            rest.extend_from_slice(part);
            let whole = rest.len() / size * size;
            dtype.floats(&rest[..whole], pool);
            rest.drain(..whole);
            Ok(())
        };
        match node(nodes, data) {
            Some(Node::Bytes(bytes)) => take(bytes)?,
            Some(&Node::Stored {
                at, length, coding, ..
            }) => input.look_back(at, length, coding, &mut take)?,
            _ => (),
        }
        if found != bytes {
            return Err(unlike(&found.to_string()));
        }
        if is_fortran {
            from_fortran(&dims, &mut self.pool[start..]);
        }
        Ok(Array {
            shape: dims,
            start,
            length: count,
        })
    }
}

fn text(coding: Coding, spelt: &[u8]) -> Checked<String> {
    let (mut text, mut wrong) = (String::with_capacity(spelt.len()), None);
    let decoded = coding.decode(spelt, true, &mut |unit| match char::from_u32(unit) {
        Some(character) => text.push(character),
        None => wrong = Some(unit),
    });
    match (decoded, wrong) {
        (Err(what), _) => Err(Problem::new(what, AGAIN)),
        (_, Some(unit)) => wrong!(AGAIN, "a text with {unit:#x}, which is no character"),
        (Ok(_), None) => Ok(text),
    }
}

/// The first characters of what a file says, for a message.
fn clipped(text: &str) -> String {
    let mut characters = text.chars();
    let first: String = characters.by_ref().take(80).collect();
    let more = if characters.next().is_some() {
        "..."
    } else {
        ""
    };
    format!("{}{more}", first.escape_debug())
}

fn shown(module: &str, name: &str) -> String {
    format!("{}.{}", clipped(module), clipped(name))
}
