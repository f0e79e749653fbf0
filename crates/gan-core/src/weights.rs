//! Weights on the host and in files: collecting them from a network, applying them to one, and
//! reading and writing safetensors and PyTorch files.
//!
//! Files hold PyTorch's layout and PyTorch's names: a linear weight is `[out, in]` (burn keeps
//! `[in, out]`), and [`Network::tensor_name`] gives the name that the canonical PyTorch network
//! uses. So a file written here loads in PyTorch with `load_state_dict`, and the other way round.

use crate::failure::{Kind, at_path, failure};
use crate::regular;
use anyhow::Result;
use burn::module::{Module, ModuleMapper, ModuleVisitor, Param};
use burn::tensor::{Tensor, TensorData};
use pytorch_reader::{PickleValue, PytorchError, PytorchReader};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{Read, Write};
use std::path::Path;

/// A tensor in host memory.
#[derive(Debug, Clone, PartialEq)]
pub struct HostTensor {
    /// Extents, outermost first.
    pub shape: Vec<usize>,
    /// Row-major values, `shape.iter().product()` of them.
    pub values: Vec<f32>,
}

impl HostTensor {
    /// A one-dimensional tensor.
    pub fn vector(values: Vec<f32>) -> Self {
        Self {
            shape: vec![values.len()],
            values,
        }
    }

    /// Copies a tensor from its device.
    pub fn read<const D: usize>(tensor: Tensor<D>) -> Self {
        let shape = tensor.dims().to_vec();
        Self {
            shape,
            values: values(tensor),
        }
    }
}

/// Copies a tensor's values from its device, whatever their float type there.
pub fn values<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    // As a whole: `iter` goes through a boxed iterator, value by value.
    let data = tensor.into_data().convert::<f32>();
    data.try_into_vec().expect("values just made f32")
}

/// Named tensors in host memory, in name order.
pub type Tensors = BTreeMap<String, HostTensor>;

/// Text that travels with the tensors of a safetensors file, in key order.
pub type Metadata = BTreeMap<String, String>;

/// A module whose tensors have names that PyTorch users know.
pub trait Network: Module {
    /// The name, in the canonical PyTorch network, of the tensor at burn's module `path`
    /// (`blocks.0.convolution.weight` -> `main.0.weight`).
    fn tensor_name(&self, path: &str) -> String {
        path.to_owned()
    }
}

struct Place {
    path: Vec<String>,
    containers: Vec<String>,
}

impl Place {
    fn new() -> Self {
        Self {
            path: Vec::new(),
            containers: Vec::new(),
        }
    }

    fn enter(&mut self, name: &str, container: &str) {
        self.path.push(name.to_owned());
        self.containers.push(container.to_owned());
    }

    fn leave(&mut self) {
        self.path.pop();
        self.containers.pop();
    }

    /// burn keeps linear weights as `[in, out]`; files hold PyTorch's `[out, in]`.
    fn is_transposed(&self) -> bool {
        self.containers.last().is_some_and(|c| c == "Struct:Linear")
            && self.path.last().is_some_and(|name| name == "weight")
    }
}

fn transpose(tensor: &HostTensor) -> HostTensor {
    let [rows, columns] = [tensor.shape[0], tensor.shape[1]];
    let mut values = vec![0.0; tensor.values.len()];
    for row in 0..rows {
        for column in 0..columns {
            values[column * rows + row] = tensor.values[row * columns + column];
        }
    }
    HostTensor {
        shape: vec![columns, rows],
        values,
    }
}

/// Copies every tensor of `network` to the host under its PyTorch name and in PyTorch's layout.
pub fn collect<M: Network>(network: &M) -> Tensors {
    struct Collector<'a, M> {
        place: Place,
        network: &'a M,
        tensors: Tensors,
    }
    impl<M: Network> ModuleVisitor for Collector<'_, M> {
        fn enter_module(&mut self, name: &str, container: &str) {
            self.place.enter(name, container);
        }
        fn exit_module(&mut self, _name: &str, _container: &str) {
            self.place.leave();
        }
        fn visit_float<const D: usize>(&mut self, parameter: &Param<Tensor<D>>) {
            let mut tensor = HostTensor::read(parameter.val().inner());
            if self.place.is_transposed() {
                tensor = transpose(&tensor);
            }
            let name = self.network.tensor_name(&self.place.path.join("."));
            self.tensors.insert(name, tensor);
        }
    }
    let mut collector = Collector {
        place: Place::new(),
        network,
        tensors: Tensors::new(),
    };
    network.visit(&mut collector);
    collector.tensors
}

/// The PyTorch name of every float tensor of `network`, in the order in which burn visits them.
pub(crate) fn names<M: Network>(network: &M) -> Vec<String> {
    struct Names<'a, M> {
        place: Place,
        network: &'a M,
        names: Vec<String>,
    }
    impl<M: Network> ModuleVisitor for Names<'_, M> {
        fn enter_module(&mut self, name: &str, container: &str) {
            self.place.enter(name, container);
        }
        fn exit_module(&mut self, _name: &str, _container: &str) {
            self.place.leave();
        }
        fn visit_float<const D: usize>(&mut self, _parameter: &Param<Tensor<D>>) {
            let name = self.network.tensor_name(&self.place.path.join("."));
            self.names.push(name);
        }
    }
    let mut names = Names {
        place: Place::new(),
        network,
        names: Vec::new(),
    };
    network.visit(&mut names);
    names.names
}

/// The shape of every tensor of `network`, by PyTorch name and in PyTorch's layout.
fn expected_shapes<M: Network>(network: &M) -> BTreeMap<String, Vec<usize>> {
    struct Shapes<'a, M> {
        place: Place,
        network: &'a M,
        shapes: BTreeMap<String, Vec<usize>>,
    }
    impl<M: Network> ModuleVisitor for Shapes<'_, M> {
        fn enter_module(&mut self, name: &str, container: &str) {
            self.place.enter(name, container);
        }
        fn exit_module(&mut self, _name: &str, _container: &str) {
            self.place.leave();
        }
        fn visit_float<const D: usize>(&mut self, parameter: &Param<Tensor<D>>) {
            let mut shape = parameter.val().dims().to_vec();
            if self.place.is_transposed() {
                shape.reverse();
            }
            let name = self.network.tensor_name(&self.place.path.join("."));
            self.shapes.insert(name, shape);
        }
    }
    let mut shapes = Shapes {
        place: Place::new(),
        network,
        shapes: BTreeMap::new(),
    };
    network.visit(&mut shapes);
    shapes.shapes
}

/// Refuses a file whose configuration describes a larger network than its tensors fill, before that
/// network is built: a stranger's metadata must not decide how much memory is taken.
///
/// # Errors
/// A [`Kind::Checkpoint`] failure with both sizes.
pub fn check_size(described: u64, tensors: &Tensors) -> Result<()> {
    let held: u64 = tensors.values().map(|t| t.values.len() as u64).sum();
    if described <= held {
        return Ok(());
    }
    Err(failure(
        Kind::Checkpoint,
        format!(
            "its configuration, or its first tensors, describes a network of {described} numbers, but the \
             file holds {held}: it is damaged, or a part of another"
        ),
    ))
}

/// Checks that `tensors` are exactly those of `network`.
///
/// # Errors
/// A [`Kind::Checkpoint`] failure that names up to four missing, unexpected or misshapen tensors.
pub fn check<M: Network>(network: &M, tensors: &Tensors) -> Result<()> {
    let expected = expected_shapes(network);
    let mut problems = Vec::new();
    for (name, shape) in &expected {
        match tensors.get(name) {
            None => problems.push(format!("tensor {name} {shape:?} is missing")),
            Some(tensor) if &tensor.shape != shape => problems.push(format!(
                "tensor {name} is {:?}, the network needs {shape:?}",
                tensor.shape
            )),
            Some(tensor) => {
                let is_variance = name.ends_with("running_var");
                let is_bad = |value: &&f32| !value.is_finite() || (is_variance && **value < 0.0);
                if let Some(bad) = tensor.values.iter().find(is_bad) {
                    problems.push(format!("tensor {name} holds {bad}"));
                }
            }
        }
    }
    for name in tensors.keys().filter(|name| !expected.contains_key(*name)) {
        problems.push(format!("tensor {name} is not part of the network"));
    }
    if problems.is_empty() {
        return Ok(());
    }
    let more = problems.len().saturating_sub(4);
    problems.truncate(4);
    let mut message = problems.join("; ");
    if more > 0 {
        let _ = write!(message, "; and {more} more");
    }
    Err(failure(Kind::Checkpoint, message))
}

/// Replaces every tensor of `network`. The parameters keep their gradient settings.
///
/// # Errors
/// As [`check`]: nothing is changed when a tensor is missing, unexpected, misshapen or not finite.
pub fn apply<M: Network>(network: M, tensors: &Tensors) -> Result<M> {
    check(&network, tensors)?;
    struct Applier<'a, M> {
        place: Place,
        names: M,
        tensors: &'a Tensors,
    }
    impl<M: Network> ModuleMapper for Applier<'_, M> {
        fn enter_module(&mut self, name: &str, container: &str) {
            self.place.enter(name, container);
        }
        fn exit_module(&mut self, _name: &str, _container: &str) {
            self.place.leave();
        }
        fn map_float<const D: usize>(&mut self, parameter: Param<Tensor<D>>) -> Param<Tensor<D>> {
            let name = self.names.tensor_name(&self.place.path.join("."));
            let mut tensor = self.tensors[&name].clone();
            if self.place.is_transposed() {
                tensor = transpose(&tensor);
            }
            replace(parameter, tensor.values)
        }
    }
    let names = network.clone();
    Ok(network.map(&mut Applier {
        place: Place::new(),
        names,
        tensors,
    }))
}

/// Puts new values into a parameter, which keeps its shape, device and gradient setting.
pub(crate) fn replace<const D: usize>(
    parameter: Param<Tensor<D>>,
    values: Vec<f32>,
) -> Param<Tensor<D>> {
    let (id, old, mapper) = parameter.consume();
    let device = old.device();
    let mut new = Tensor::<D>::from_data(
        TensorData::new(values, old.dims()),
        &device.clone().without_autodiff(),
    );
    if old.is_autodiff() {
        new = Tensor::from_inner(new).set_require_grad(old.is_require_grad());
    }
    Param::from_mapped_value(id, new, mapper)
}

/// Makes the values of a tensor from its path, the struct that holds it, and its shape; `None` leaves
/// it as it is.
pub type Make<'a> = dyn FnMut(&str, &str, &[usize]) -> Option<Vec<f32>> + 'a;

/// Rebuilds every float tensor of a module from its path, the struct that holds it, and its shape.
/// The values are in burn's layout.
pub fn rebuild<M: Module>(module: M, make: &mut Make<'_>) -> M {
    struct Rebuilder<'a> {
        place: Place,
        make: &'a mut Make<'a>,
    }
    impl ModuleMapper for Rebuilder<'_> {
        fn enter_module(&mut self, name: &str, container: &str) {
            self.place.enter(name, container);
        }
        fn exit_module(&mut self, _name: &str, _container: &str) {
            self.place.leave();
        }
        fn map_float<const D: usize>(&mut self, parameter: Param<Tensor<D>>) -> Param<Tensor<D>> {
            let shape = parameter.val().dims();
            let container = self.place.containers.last().map_or("", String::as_str);
            match (self.make)(&self.place.path.join("."), container, &shape) {
                Some(values) => replace(parameter, values),
                None => parameter,
            }
        }
    }
    module.map(&mut Rebuilder {
        place: Place::new(),
        make,
    })
}

/// The tensors and the metadata of a weights file.
#[derive(Debug, Clone, Default)]
pub struct WeightFile {
    /// Every float tensor, converted to f32.
    pub tensors: Tensors,
    /// The `__metadata__` of a safetensors file; empty for a PyTorch file.
    pub metadata: Metadata,
}

/// Files larger than this are refused before they are read: no network here comes near it.
pub(crate) const MAX_FILE_BYTES: u64 = 4 << 30;

/// Prefixes that wrappers put before every name, the outermost first; DataParallel and `torch.compile` nest
/// either way.
const WRAPPERS: [&str; 5] = [
    "state_dict.",
    "model_state_dict.",
    "module.",
    "_orig_mod.",
    "module.",
];

/// Keys under which programs keep a state dict beside other things, the likeliest first. Where there are several
/// networks, the generator is meant.
const HOMES: [&str; 9] = [
    "state_dict",
    "model_state_dict",
    "model",
    "netG",
    "generator",
    "G",
    "params_ema",
    "params",
    "net",
];

/// Reads a weights file: safetensors, or a PyTorch state dict (`.pth`, zip or legacy), told apart
/// by content. Integer tensors (`num_batches_tracked`) are left out, and a `module.`, `_orig_mod.`,
/// `state_dict.` or `model_state_dict.` prefix that all names share is dropped. Of a PyTorch file that holds a
/// dictionary of several things, the state dict under `state_dict`, `model_state_dict`, `model`, `netG`,
/// `generator`, `G`, `params_ema`, `params` or `net` is read, the first of them.
///
/// # Errors
/// A [`Kind::Checkpoint`] failure that names the file when it is missing, too large, truncated,
/// or neither of the two formats.
pub fn read(path: &Path) -> Result<WeightFile> {
    let (mut file, length) = regular::open(Kind::Checkpoint, "open", path)?;
    if length.len() > MAX_FILE_BYTES {
        return Err(failure(
            Kind::Checkpoint,
            format!(
                "{} has {} bytes; weights files up to {MAX_FILE_BYTES} bytes are read",
                path.display(),
                length.len()
            ),
        ));
    }
    let mut start = Vec::new();
    Read::by_ref(&mut file)
        .take(9)
        .read_to_end(&mut start)
        .map_err(|error| at_path(Kind::Checkpoint, "read", path, &error))?;
    // A safetensors file begins with the length of its JSON header: any byte may come first.
    let is_safetensors = start.get(8) == Some(&b'{');
    let is_pytorch = !is_safetensors && (start.starts_with(b"PK") || start.starts_with(&[0x80]));
    let mut weights = if is_pytorch {
        read_pytorch(path, length.len())?
    } else {
        let bytes =
            std::fs::read(path).map_err(|error| at_path(Kind::Checkpoint, "read", path, &error))?;
        parse_safetensors(&bytes).map_err(|error| {
            failure(
                Kind::Checkpoint,
                format!(
                    "{} is neither a safetensors file nor a PyTorch state dict: {error}",
                    path.display()
                ),
            )
        })?
    };
    for prefix in WRAPPERS {
        let shared = !weights.tensors.is_empty()
            && weights.tensors.keys().all(|name| name.starts_with(prefix));
        if shared {
            weights.tensors = weights
                .tensors
                .into_iter()
                .map(|(name, tensor)| (name[prefix.len()..].to_owned(), tensor))
                .collect();
        }
    }
    Ok(weights)
}

/// Whether a value of a pickle is a state dict: a dictionary whose own tensors have names with dots. The parts of a
/// module that was saved whole have none.
fn is_state_dict(value: &PickleValue) -> bool {
    let is_tensor = |value: &PickleValue| matches!(value, PickleValue::Unsupported(kind) if kind == "torch.Tensor");
    match value {
        PickleValue::Dict(entries) => entries
            .iter()
            .any(|(name, value)| name.contains('.') && is_tensor(value)),
        _ => false,
    }
}

/// Opens the state dict of a PyTorch file, wherever in the file it lies.
fn open_pytorch(path: &Path) -> std::result::Result<PytorchReader, PytorchError> {
    let whole = PytorchReader::new(path)?;
    let is_prefix = |home: &&str| {
        let mut rests = whole
            .tensors()
            .keys()
            .filter_map(|name| name.strip_prefix(*home));
        rests.any(|rest| rest.starts_with('.'))
    };
    let mut homes = HOMES.into_iter().filter(is_prefix).peekable();
    if homes.peek().is_none() {
        return Ok(whole);
    }
    // The names alone do not tell a dictionary in a dictionary from a dot: ResNet's own begin with `model.`.
    let PickleValue::Dict(root) = PytorchReader::read_pickle_data(path, None)? else {
        return Ok(whole);
    };
    match homes.find(|home| root.get(*home).is_some_and(is_state_dict)) {
        Some(home) => PytorchReader::with_top_level_key(path, home),
        None => Ok(whole),
    }
}

fn read_pytorch(path: &Path, file_bytes: u64) -> Result<WeightFile> {
    let refuse = |what: String| failure(Kind::Checkpoint, format!("{}: {what}", path.display()));
    let reader = open_pytorch(path)
        .map_err(|error| refuse(format!("not a readable PyTorch file: {error}")))?;
    // A view with stride 0 lets a small file ask for gigabytes: no honest state dict is larger
    // than twice its file (shared storages are read once per name).
    let total: u64 = reader.tensors().values().fold(0u64, |sum, tensor| {
        sum.saturating_add(tensor.byte_len() as u64)
    });
    if total > file_bytes.saturating_mul(2) {
        return Err(refuse(format!(
            "its tensors claim {total} bytes, but the file has {file_bytes}"
        )));
    }
    let mut tensors = Tensors::new();
    for (name, tensor) in reader.tensors() {
        use pytorch_reader::DType;
        let dtype = match tensor.dtype() {
            DType::F64 => safetensors::Dtype::F64,
            DType::F32 => safetensors::Dtype::F32,
            DType::F16 => safetensors::Dtype::F16,
            DType::BF16 => safetensors::Dtype::BF16,
            _ => continue,
        };
        let bytes = tensor
            .read()
            .map_err(|error| refuse(format!("tensor {name}: {error}")))?;
        let values = to_f32(dtype, &bytes).unwrap_or_default();
        tensors.insert(
            name.clone(),
            HostTensor {
                shape: tensor.shape().to_vec(),
                values,
            },
        );
    }
    if tensors.is_empty() {
        return Err(refuse("it holds no float tensors".to_owned()));
    }
    Ok(WeightFile {
        tensors,
        metadata: Metadata::new(),
    })
}

fn to_f32(dtype: safetensors::Dtype, bytes: &[u8]) -> Option<Vec<f32>> {
    use safetensors::Dtype;
    Some(match dtype {
        Dtype::F32 => bytes
            .chunks_exact(4)
            .map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]]))
            .collect(),
        Dtype::F64 => bytes
            .chunks_exact(8)
            .map(|b| f64::from_le_bytes([b[0], b[1], b[2], b[3], b[4], b[5], b[6], b[7]]) as f32)
            .collect(),
        Dtype::F16 => bytes
            .chunks_exact(2)
            .map(|b| half::f16::from_le_bytes([b[0], b[1]]).to_f32())
            .collect(),
        Dtype::BF16 => bytes
            .chunks_exact(2)
            .map(|b| half::bf16::from_le_bytes([b[0], b[1]]).to_f32())
            .collect(),
        _ => return None,
    })
}

/// Parses the bytes of a safetensors file.
///
/// # Errors
/// The safetensors crate's own checks: header size, offsets without overlap or hole, shapes that
/// match their bytes, and the whole file covered.
pub fn parse_safetensors(bytes: &[u8]) -> Result<WeightFile> {
    let (_, header) = safetensors::SafeTensors::read_metadata(bytes)?;
    let parsed = safetensors::SafeTensors::deserialize(bytes)?;
    let mut tensors = Tensors::new();
    for (name, view) in parsed.tensors() {
        if let Some(values) = to_f32(view.dtype(), view.data()) {
            let shape = view.shape().to_vec();
            tensors.insert(name, HostTensor { shape, values });
        }
    }
    let metadata = header
        .metadata()
        .as_ref()
        .map(|map| map.iter().map(|(k, v)| (k.clone(), v.clone())).collect())
        .unwrap_or_default();
    Ok(WeightFile { tensors, metadata })
}

/// The bytes of a safetensors file: a pure function of its content. (The safetensors crate writes
/// its metadata in random order, so that equal weights would give different files.)
pub fn to_safetensors(tensors: &Tensors, metadata: &Metadata) -> Vec<u8> {
    let mut header = serde_json::Map::new();
    let sorted: serde_json::Map<String, serde_json::Value> = metadata
        .iter()
        .map(|(key, value)| (key.clone(), value.clone().into()))
        .collect();
    header.insert("__metadata__".to_owned(), sorted.into());
    let mut offset = 0;
    for (name, tensor) in tensors {
        let end = offset + 4 * tensor.values.len();
        header.insert(
            name.clone(),
            serde_json::json!({"dtype": "F32", "shape": tensor.shape, "data_offsets": [offset, end]}),
        );
        offset = end;
    }
    let mut text = serde_json::Value::Object(header).to_string().into_bytes();
    while !text.len().is_multiple_of(8) {
        text.push(b' ');
    }
    let mut bytes = Vec::with_capacity(8 + text.len() + offset);
    bytes.extend_from_slice(&(text.len() as u64).to_le_bytes());
    bytes.extend_from_slice(&text);
    for tensor in tensors.values() {
        for value in &tensor.values {
            bytes.extend_from_slice(&value.to_le_bytes());
        }
    }
    bytes
}

/// Writes `bytes` to a temporary sibling of `path`, syncs it, and renames it into place: at every
/// moment `path` is either the old file or the whole new one.
///
/// # Errors
/// A [`Kind::Disk`] failure that names the path.
pub fn write_atomically(path: &Path, bytes: &[u8]) -> Result<()> {
    let mut name = path.file_name().unwrap_or_default().to_os_string();
    name.push(format!(".tmp-{}", std::process::id()));
    let temporary = path.with_file_name(name);
    let write = || -> std::io::Result<()> {
        let mut file = std::fs::File::create(&temporary)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        std::fs::rename(&temporary, path)
    };
    write().map_err(|error| {
        let _ = std::fs::remove_file(&temporary);
        at_path(Kind::Disk, "write", path, &error)
    })
}

/// Writes a safetensors file atomically.
///
/// # Errors
/// A [`Kind::Disk`] failure that names the path.
pub fn write(path: &Path, tensors: &Tensors, metadata: &Metadata) -> Result<()> {
    write_atomically(path, &to_safetensors(tensors, metadata))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> (Tensors, Metadata) {
        let tensors = Tensors::from([
            (
                "b".to_owned(),
                HostTensor {
                    shape: vec![2, 2],
                    values: vec![1.0, -2.5, 3.0, 0.125],
                },
            ),
            ("a".to_owned(), HostTensor::vector(vec![7.0])),
        ]);
        let metadata = Metadata::from([
            ("step".to_owned(), "3".to_owned()),
            ("architecture".to_owned(), "x".to_owned()),
        ]);
        (tensors, metadata)
    }

    #[test]
    fn safetensors_round_trip_and_equal_bytes() {
        let (tensors, metadata) = sample();
        let bytes = to_safetensors(&tensors, &metadata);
        assert_eq!(bytes, to_safetensors(&tensors, &metadata));
        let read = parse_safetensors(&bytes).unwrap();
        assert_eq!(read.tensors, tensors);
        assert_eq!(read.metadata, metadata);
    }

    #[test]
    fn the_format_is_told_whatever_the_header_length() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("w.safetensors");
        let (tensors, mut metadata) = sample();
        // Header lengths from 0x..00 to 0x..f8: 0x80 alone would look like a pickle.
        for length in 0..256 {
            metadata.insert("x".to_owned(), "y".repeat(length));
            write(&path, &tensors, &metadata).unwrap();
            assert_eq!(read(&path).unwrap().tensors, tensors, "{length}");
        }
    }

    #[test]
    fn a_file_cut_anywhere_is_refused() {
        let (tensors, metadata) = sample();
        let bytes = to_safetensors(&tensors, &metadata);
        for length in 0..bytes.len() {
            assert!(parse_safetensors(&bytes[..length]).is_err(), "{length}");
        }
    }

    #[test]
    fn linear_weights_turn_into_pytorch_layout() {
        let tensor = HostTensor {
            shape: vec![2, 3],
            values: vec![1., 2., 3., 4., 5., 6.],
        };
        let turned = transpose(&tensor);
        assert_eq!(turned.shape, [3, 2]);
        assert_eq!(turned.values, [1., 4., 2., 5., 3., 6.]);
        assert_eq!(transpose(&turned), tensor);
    }
}
