//! The two discriminators: each judges patches of 70 x 70 pixels of the pictures of one domain (Zhu et al. 2017,
//! <https://arxiv.org/abs/1703.10593>, section 4 and appendix 7.2).

use crate::config::Config;
use burn::tensor::Device;
pub use translation::discriminator::{Discriminator, NetD, Shape};

/// What the discriminator of a domain with so many colour channels is made of.
pub fn shape(config: &Config, channels: usize) -> Shape {
    Shape::new(
        config.net_d,
        config.layers_d,
        config.width_d,
        config.norm,
        channels,
    )
}

/// D_A, which judges pictures of B as G_A makes them, and D_B, which judges those of A; all weights zero.
pub fn discriminators(config: &Config, device: &Device) -> [Discriminator; 2] {
    [config.output_channels, config.input_channels]
        .map(|channels| Discriminator::new(&shape(config, channels), device))
}
