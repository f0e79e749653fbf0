//! PyTorch state dicts: the file that `torch.save(network.state_dict(), "x.pth")` writes, for programs that read
//! nothing else.
//!
//! The file is the zip archive of PyTorch 1.6 and later. `x.pth` holds
//!
//! ```text
//! x/data.pkl    a pickle: names, shapes, and which storage each tensor lies in
//! x/byteorder   "little"
//! x/data/0      the values of the first tensor, row-major; x/data/1 those of the second, ...
//! x/version     "3", the version of this layout
//! ```
//! uncompressed, with the data of each entry at a multiple of 64 bytes. The pickle (protocol 2) builds a
//! `collections.OrderedDict` of what `torch._utils._rebuild_tensor_v2` makes, and calls nothing else, so
//! `torch.load` takes it with `weights_only=True` as without. Neither names nor values are changed.
//!
//! Beside each `X.running_mean` stands an `X.num_batches_tracked` of 0: PyTorch's batch normalisation counts batches
//! there and a strict `load_state_dict` asks for it. Nothing here counts them, and PyTorch reads the count only where
//! `momentum` is `None`.
//!
//! The bytes depend on the tensors and the file's name alone. Metadata (architecture, configuration) has no place in
//! a state dict: a safetensors file keeps it.

use crate::failure::{Kind, failure};
use crate::weights::{HostTensor, Tensors, write_atomically};
use anyhow::Result;
use std::collections::BTreeMap;
use std::io::{Cursor, Write};
use std::path::Path;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, DateTime, System, ZipWriter};

/// The data of every entry begins at a multiple of this many bytes, as PyTorch's own writer has it.
const ALIGNMENT: u16 = 64;

/// What PyTorch calls the archive's folder where the file's name does not serve.
const DEFAULT_FOLDER: &str = "archive";

/// What the file holds under a name.
enum Entry<'a> {
    /// A tensor of `float32`.
    Values(&'a HostTensor),
    /// The scalar 0 as `int64`: batches that a batch normalisation has seen.
    Counter,
}

impl Entry<'_> {
    /// The class whose storage it lies in.
    fn storage(&self) -> &'static str {
        match self {
            Self::Values(_) => "FloatStorage",
            Self::Counter => "LongStorage",
        }
    }

    fn shape(&self) -> &[usize] {
        match self {
            Self::Values(tensor) => &tensor.shape,
            Self::Counter => &[],
        }
    }

    fn bytes(&self) -> Vec<u8> {
        match self {
            Self::Values(tensor) => {
                let values = tensor.values.iter();
                values.flat_map(|value| value.to_le_bytes()).collect()
            }
            Self::Counter => 0i64.to_le_bytes().to_vec(),
        }
    }
}

/// Everything that the file holds, in the order of names.
fn entries(tensors: &Tensors) -> BTreeMap<String, Entry<'_>> {
    let mut entries = BTreeMap::new();
    for name in tensors.keys() {
        let layer = name.strip_suffix("running_mean");
        // Without a scale they are the stale statistics of an instance normalisation, which counts nothing.
        let is_norm = |layer: &&str| {
            (layer.is_empty() || layer.ends_with('.'))
                && tensors.contains_key(&format!("{layer}weight"))
        };
        if let Some(layer) = layer.filter(is_norm) {
            entries.insert(format!("{layer}num_batches_tracked"), Entry::Counter);
        }
    }
    let values = tensors.iter();
    entries.extend(values.map(|(name, tensor)| (name.clone(), Entry::Values(tensor))));
    entries
}

/// The opcodes of the pickle that are used, by the names of Python's `pickletools`.
mod opcode {
    /// Begins a pickle: the protocol follows as one byte.
    pub(super) const PROTO: u8 = 0x80;
    /// Ends it: what lies on the stack is the result.
    pub(super) const STOP: u8 = b'.';
    /// Pushes a class or a function: module and name follow, a line each.
    pub(super) const GLOBAL: u8 = b'c';
    /// Calls the function below the tuple on top with it.
    pub(super) const REDUCE: u8 = b'R';
    /// Pushes what the reader finds for the id on top: a storage.
    pub(super) const BINPERSID: u8 = b'Q';
    /// Marks a place on the stack.
    pub(super) const MARK: u8 = b'(';
    /// Gathers everything above the mark as a tuple.
    pub(super) const TUPLE: u8 = b't';
    /// Pushes `()`.
    pub(super) const EMPTY_TUPLE: u8 = b')';
    /// Puts the pairs of key and value above the mark into the dictionary below it.
    pub(super) const SETITEMS: u8 = b'u';
    /// Pushes a string: length (32 bits) and UTF-8 follow.
    pub(super) const BINUNICODE: u8 = b'X';
    /// Pushes an integer of one unsigned byte.
    pub(super) const BININT1: u8 = b'K';
    /// Pushes an integer of two unsigned bytes.
    pub(super) const BININT2: u8 = b'M';
    /// Pushes an integer of four signed bytes.
    pub(super) const BININT: u8 = b'J';
    /// Pushes an integer of as many signed bytes as the next byte says.
    pub(super) const LONG1: u8 = 0x8a;
    /// Pushes `False`.
    pub(super) const NEWFALSE: u8 = 0x89;
}

/// Writes a pickle value by value.
struct Pickle(Vec<u8>);

impl Pickle {
    fn begin() -> Self {
        Self(vec![opcode::PROTO, 2])
    }

    fn push(&mut self, opcode: u8) {
        self.0.push(opcode);
    }

    fn global(&mut self, module: &str, name: &str) {
        self.push(opcode::GLOBAL);
        for text in [module, name] {
            self.0.extend_from_slice(text.as_bytes());
            self.0.push(b'\n');
        }
    }

    fn text(&mut self, text: &str) {
        let length = u32::try_from(text.len()).expect("a name of less than 4 GiB");
        self.push(opcode::BINUNICODE);
        self.0.extend_from_slice(&length.to_le_bytes());
        self.0.extend_from_slice(text.as_bytes());
    }

    fn integer(&mut self, value: usize) {
        if let Ok(byte) = u8::try_from(value) {
            self.0.extend_from_slice(&[opcode::BININT1, byte]);
        } else if let Ok(short) = u16::try_from(value) {
            self.push(opcode::BININT2);
            self.0.extend_from_slice(&short.to_le_bytes());
        } else if let Ok(int) = i32::try_from(value) {
            self.push(opcode::BININT);
            self.0.extend_from_slice(&int.to_le_bytes());
        } else {
            // A ninth byte, since the highest bit of the last one is the sign.
            self.0.extend_from_slice(&[opcode::LONG1, 9]);
            self.0.extend_from_slice(&(value as u64).to_le_bytes());
            self.0.push(0);
        }
    }

    fn integers(&mut self, values: &[usize]) {
        if values.is_empty() {
            return self.push(opcode::EMPTY_TUPLE);
        }
        self.push(opcode::MARK);
        values.iter().for_each(|value| self.integer(*value));
        self.push(opcode::TUPLE);
    }

    /// `collections.OrderedDict()`.
    fn ordered_dict(&mut self) {
        self.global("collections", "OrderedDict");
        self.push(opcode::EMPTY_TUPLE);
        self.push(opcode::REDUCE);
    }

    /// `_rebuild_tensor_v2(storage, offset, size, stride, requires_grad, backward_hooks)`, with the storage
    /// `("storage", class, key, "cpu", elements)`.
    fn tensor(&mut self, key: usize, entry: &Entry<'_>) {
        let shape = entry.shape();
        self.global("torch._utils", "_rebuild_tensor_v2");
        self.push(opcode::MARK);
        self.push(opcode::MARK);
        self.text("storage");
        self.global("torch", entry.storage());
        self.text(&key.to_string());
        self.text("cpu");
        self.integer(shape.iter().product());
        self.push(opcode::TUPLE);
        self.push(opcode::BINPERSID);
        self.integer(0);
        self.integers(shape);
        self.integers(&strides(shape));
        self.push(opcode::NEWFALSE);
        self.ordered_dict();
        self.push(opcode::TUPLE);
        self.push(opcode::REDUCE);
    }
}

/// Those of row-major values, in elements; an extent of 0 counts as 1, as in PyTorch.
fn strides(shape: &[usize]) -> Vec<usize> {
    let mut strides = vec![1; shape.len()];
    for axis in (1..shape.len()).rev() {
        strides[axis - 1] = strides[axis] * shape[axis].max(1);
    }
    strides
}

fn pickle(entries: &BTreeMap<String, Entry<'_>>) -> Vec<u8> {
    let mut pickle = Pickle::begin();
    pickle.ordered_dict();
    pickle.push(opcode::MARK);
    for (key, (name, entry)) in entries.iter().enumerate() {
        pickle.text(name);
        pickle.tensor(key, entry);
    }
    pickle.push(opcode::SETITEMS);
    pickle.push(opcode::STOP);
    pickle.0
}

/// The bytes of a `.pth`, whose entries lie in `folder`: a pure function of its arguments. PyTorch takes the file's
/// name without its ending for `folder`.
///
/// # Errors
/// When an entry is larger than a zip archive can hold, 4 GiB.
pub fn to_bytes(folder: &str, tensors: &Tensors) -> Result<Vec<u8>> {
    let entries = entries(tensors);
    // Time and system would be those of this machine.
    let options = SimpleFileOptions::default()
        .compression_method(CompressionMethod::Stored)
        .last_modified_time(DateTime::default())
        .system(System::Unix)
        .unix_permissions(0o644)
        .with_alignment(ALIGNMENT);
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    let mut add = |name: &str, bytes: &[u8]| -> Result<()> {
        zip.start_file(format!("{folder}/{name}"), options)?;
        Ok(zip.write_all(bytes)?)
    };
    // PyTorch looks for the folder in the name of the first entry.
    add("data.pkl", &pickle(&entries))?;
    add("byteorder", b"little")?;
    for (key, entry) in entries.values().enumerate() {
        add(&format!("data/{key}"), &entry.bytes())?;
    }
    add("version", b"3\n")?;
    Ok(zip.finish()?.into_inner())
}

/// The name of a file without its ending, where PyTorch could write an archive of that name.
fn folder_of(path: &Path) -> &str {
    let stem = path.file_stem().and_then(|stem| stem.to_str());
    let is_plain = |stem: &&str| {
        stem.bytes()
            .all(|byte| byte.is_ascii_graphic() && byte != b'\\')
    };
    stem.filter(is_plain).unwrap_or(DEFAULT_FOLDER)
}

/// Writes a `.pth` atomically.
///
/// # Errors
/// A [`Kind::Disk`] failure that names the path.
pub fn write(path: &Path, tensors: &Tensors) -> Result<()> {
    let bytes = to_bytes(folder_of(path), tensors).map_err(|error| {
        failure(
            Kind::Disk,
            format!("cannot write {}: {error}", path.display()),
        )
    })?;
    write_atomically(path, &bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::weights;
    use std::io::Read;

    fn sample() -> Tensors {
        let tensor = |shape: &[usize]| {
            let count = shape.iter().product::<usize>();
            let values = (0..count).map(|place| place as f32 * 0.37 - 3.0);
            HostTensor {
                shape: shape.to_vec(),
                values: values.collect(),
            }
        };
        // One extent for each form of an integer but the longest, a scalar, and a name that is not ASCII.
        let shapes: [(&str, &[usize]); 7] = [
            ("model.0.weight", &[2, 3, 4, 4]),
            ("model.1.weight", &[300]),
            ("model.1.running_mean", &[300]),
            ("model.1.running_var", &[300]),
            ("large", &[1, 70_000]),
            ("scalar", &[]),
            ("größe", &[1]),
        ];
        let named = shapes.map(|(name, shape)| (name.to_owned(), tensor(shape)));
        named.into()
    }

    #[test]
    fn what_is_written_is_read_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("latest_net_G.pth");
        write(&path, &sample()).unwrap();
        // The counter is an integer, which is not read.
        assert_eq!(weights::read(&path).unwrap().tensors, sample());
        let first = std::fs::read(&path).unwrap();
        write(&path, &sample()).unwrap();
        assert!(first == std::fs::read(&path).unwrap());
        write(&path, &Tensors::new()).unwrap();
        let error = weights::read(&path).unwrap_err();
        assert!(error.to_string().contains("no float tensors"), "{error}");
    }

    #[test]
    fn entries_are_pytorchs_stored_and_aligned() {
        let bytes = to_bytes("g", &sample()).unwrap();
        let mut zip = zip::ZipArchive::new(Cursor::new(bytes)).unwrap();
        let mut names = Vec::new();
        for index in 0..zip.len() {
            let file = zip.by_index(index).unwrap();
            assert_eq!(file.compression(), CompressionMethod::Stored);
            assert_eq!(file.data_start().unwrap() % u64::from(ALIGNMENT), 0);
            names.push(file.name().unwrap().into_owned());
        }
        let mut expected = vec!["g/data.pkl".to_owned(), "g/byteorder".to_owned()];
        expected.extend((0..8).map(|key| format!("g/data/{key}")));
        expected.push("g/version".to_owned());
        assert_eq!(names, expected);
        // By bytes: "größe", "large", "model.0.weight", "model.1.num_batches_tracked".
        let mut counter = Vec::new();
        zip.by_name("g/data/3")
            .unwrap()
            .read_to_end(&mut counter)
            .unwrap();
        assert_eq!(counter, [0; 8]);
    }

    #[test]
    fn the_pickle_is_that_of_pytorch() {
        // torch.save(OrderedDict(a=torch.zeros(3, 260))) without the opcodes that remember values, which nobody
        // asks for again: pickletools.optimize(data.pkl), with TUPLE2 spelled as MARK and TUPLE.
        let tensor = HostTensor {
            shape: vec![3, 260],
            values: vec![0.0; 780],
        };
        let tensors = Tensors::from([("a".to_owned(), tensor)]);
        let expected = [
            &b"\x80\x02ccollections\nOrderedDict\n)R("[..],
            b"X\x01\0\0\0a",
            b"ctorch._utils\n_rebuild_tensor_v2\n((",
            b"X\x07\0\0\0storagectorch\nFloatStorage\nX\x01\0\0\x000X\x03\0\0\0cpuM\x0c\x03tQ",
            b"K\0(K\x03M\x04\x01t(M\x04\x01K\x01t",
            b"\x89ccollections\nOrderedDict\n)RtRu.",
        ];
        assert_eq!(pickle(&entries(&tensors)), expected.concat());
        let mut long = Pickle(Vec::new());
        long.integer(1 << 31);
        assert_eq!(long.0, [0x8a, 9, 0, 0, 0, 0x80, 0, 0, 0, 0, 0]);
        assert_eq!(strides(&[2, 0, 3]), [3, 3, 1]);
    }

    #[test]
    fn only_statistics_are_counted() {
        let tensor = || HostTensor::vector(vec![1.0]);
        let given = |names: &[&str]| -> Tensors {
            names
                .iter()
                .map(|name| ((*name).to_owned(), tensor()))
                .collect()
        };
        let counters = |names: &[&str]| -> Vec<String> {
            let tensors = given(names);
            let counters = entries(&tensors)
                .into_iter()
                .filter(|(_, entry)| matches!(entry, Entry::Counter));
            counters.map(|(name, _)| name).collect()
        };
        assert_eq!(
            counters(&["running_mean", "weight"]),
            ["num_batches_tracked"]
        );
        assert_eq!(
            counters(&["a.0.running_mean", "a.0.weight"]),
            ["a.0.num_batches_tracked"]
        );
        let none = ["my_running_mean", "my_weight", "a.running_var", "a.weight"];
        assert!(counters(&none).is_empty());
        // Stale ones of an instance normalisation.
        assert!(counters(&["a.running_mean", "b.weight"]).is_empty());
        // A tensor of that name is kept.
        let kept = ["a.running_mean", "a.weight", "a.num_batches_tracked"];
        assert!(counters(&kept).is_empty());
    }

    #[test]
    fn names_that_pytorch_would_not_write_become_its_default() {
        for (path, folder) in [
            ("runs/latest_net_G.pth", "latest_net_G"),
            ("a.b.pt", "a.b"),
            ("größe.pth", DEFAULT_FOLDER),
            ("my file.pth", DEFAULT_FOLDER),
        ] {
            assert_eq!(folder_of(Path::new(path)), folder);
        }
    }
}
