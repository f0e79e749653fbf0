//! The discriminator: it sees the input beside the output, and judges each patch of 70 x 70 pixels (Isola et al.
//! 2017, <https://arxiv.org/abs/1611.07004>, section 3.2.2).

use crate::config::Config;
use burn::tensor::Device;
pub use translation::discriminator::{Discriminator, NetD, Shape};

/// What the discriminator of a configuration is made of.
pub fn shape(config: &Config) -> Shape {
    let (input, output) = (config.input_channels, config.output_channels);
    Shape::new(
        config.net_d,
        config.layers_d,
        config.width_d,
        config.norm,
        input + output,
    )
}

/// A discriminator with all weights zero: `[batch, input + output, side, side]` to one logit a patch.
pub fn discriminator(config: &Config, device: &Device) -> Discriminator {
    Discriminator::new(&shape(config), device)
}
