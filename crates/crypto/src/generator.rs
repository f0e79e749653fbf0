//! Alice and Bob: what a message becomes, and what becomes a message again. Both have the key.

use crate::config::Config;
use crate::mix::{self, MixTransform};
use burn::tensor::Device;

/// Their fully connected layers.
pub const MIXING: usize = 1;

/// Alice or Bob, all zeros: [`MixTransform::with_key`] takes a message or a ciphertext with its key, `[message_bits +
/// key_bits, batch]` together, and gives the other one, `[message_bits, batch]`.
pub fn new(config: &Config, device: &Device) -> MixTransform {
    let inputs = config.message_bits + config.key_bits;
    MixTransform::new(
        config.structure,
        inputs,
        config.message_bits,
        MIXING,
        device,
    )
}

/// Numbers in the weights of one of them.
pub fn size(config: &Config) -> u64 {
    let inputs = config.message_bits + config.key_bits;
    mix::size(config.structure, inputs, config.message_bits, MIXING)
}
