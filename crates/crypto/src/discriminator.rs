//! Eve, who reads ciphertexts without the key.

use crate::config::{Config, Structure};
use crate::mix::{self, MixTransform};
use burn::tensor::Device;

/// Her fully connected layers: one from N to 2N numbers, and in the paper another from 2N to 2N, so that she has no fewer
/// than the others.
pub fn mixing(config: &Config) -> usize {
    match config.structure {
        Structure::Paper => 2,
        Structure::Released => 1,
    }
}

/// Eve, all zeros: [`MixTransform::forward`] takes ciphertexts and gives guesses, both `[message_bits, batch]`.
pub fn new(config: &Config, device: &Device) -> MixTransform {
    let bits = config.message_bits;
    MixTransform::new(config.structure, bits, bits, mixing(config), device)
}

/// Numbers in her weights.
pub fn size(config: &Config) -> u64 {
    let bits = config.message_bits;
    mix::size(config.structure, bits, bits, mixing(config))
}
