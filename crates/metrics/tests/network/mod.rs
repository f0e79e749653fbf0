//! The network that tests run instead of the published one: numbers that a hash makes of each tensor's name,
//! as tests/fixtures/metrics.py makes them, so that no file of 95 MB is needed.

#[path = "../../../../tests/fixtures/numbers.rs"]
mod numbers;

use burn::tensor::Device;
use gan_core::weights::{self, HostTensor, Tensors};
use metrics::inception::Inception;
use numbers::numbers;
use std::path::PathBuf;

/// The repository's fixtures.
pub(crate) fn fixtures() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures")
}

/// Every tensor of the network.
pub(crate) fn tensors() -> Tensors {
    let statistics = weights::read(&fixtures().join("inception_statistics.safetensors"));
    let statistics = statistics.expect("a fixture that metrics.py wrote").tensors;
    let mut all = weights::collect(&Inception::new(&Device::flex()));
    for (name, tensor) in &mut all {
        if let Some(measured) = statistics.get(name) {
            *tensor = measured.clone();
            continue;
        }
        let fan_in: usize = tensor.shape[1..].iter().product();
        let (middle, spread) = match name.as_str() {
            "fc.weight" => (0.0, 4.0 * (6.0_f64 / 2048.0).sqrt()),
            name if name.ends_with("conv.weight") => (0.0, (6.0 / fan_in as f64).sqrt()),
            name if name.ends_with("bn.weight") => (1.0, 0.3),
            name if name.ends_with("bn.bias") => (0.0, 0.3),
            _ => (0.0, 1.0),
        };
        let values = numbers(name, tensor.values.len());
        *tensor = HostTensor {
            shape: tensor.shape.clone(),
            values: values
                .map(|number| (middle + spread * number) as f32)
                .collect(),
        };
    }
    all
}
