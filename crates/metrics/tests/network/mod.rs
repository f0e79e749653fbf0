//! The network that tests run instead of the published one: numbers that a hash makes of each tensor's name,
//! as tests/fixtures/metrics.py makes them, so that no file of 95 MB is needed.

use burn::tensor::Device;
use gan_core::weights::{self, HostTensor, Tensors};
use metrics::inception::Inception;
use std::path::PathBuf;

/// The repository's fixtures.
pub(crate) fn fixtures() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures")
}

/// `count` numbers in [-1, 1): FNV-1a of the name, then splitmix64.
fn numbers(name: &str, count: usize) -> impl Iterator<Item = f64> {
    let mut state = 0xcbf2_9ce4_8422_2325_u64;
    for byte in name.bytes() {
        state = (state ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    }
    (0..count).map(move |_| {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        let z = z ^ (z >> 31);
        (z >> 11) as f64 / (1u64 << 53) as f64 * 2.0 - 1.0
    })
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
