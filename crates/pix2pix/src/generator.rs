//! The generator: a U-Net, or a ResNet where `--net-g` asks for one (Isola et al. 2017,
//! <https://arxiv.org/abs/1611.07004>, section 3.2.1). Its noise is dropout alone.

use crate::config::Config;
use burn::tensor::Device;
pub use translation::generator::{Generator, NetG, Shape};

/// What the generator of a configuration is made of.
pub fn shape(config: &Config) -> Shape {
    let (input, output) = (config.input_channels, config.output_channels);
    Shape {
        kind: config.net_g.kind(),
        width: config.width_g,
        norm: config.norm,
        dropout: config.dropout,
        input,
        output,
    }
}

/// A generator with all weights zero: `[batch, input, side, side]` to `[batch, output, side, side]`, in [-1, 1].
pub fn generator(config: &Config, device: &Device) -> Generator {
    Generator::new(&shape(config), device)
}
