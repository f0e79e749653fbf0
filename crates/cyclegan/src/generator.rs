//! The two generators: ResNets, or U-Nets where `--net-g` asks for them (Zhu et al. 2017,
//! <https://arxiv.org/abs/1703.10593>, section 4 and appendix 7.2).

use crate::config::Config;
use burn::tensor::Device;
pub use translation::generator::{Generator, NetG, Shape};

/// What the generator from A to B is made of; the one back differs in its channels alone.
pub fn shape(config: &Config) -> Shape {
    Shape {
        kind: config.net_g.kind(),
        width: config.width_g,
        norm: config.norm,
        dropout: config.dropout,
        input: config.input_channels,
        output: config.output_channels,
    }
}

/// The generators from A to B and back, with all weights zero.
pub fn generators(config: &Config, device: &Device) -> [Generator; 2] {
    let there = shape(config);
    let back = Shape {
        input: there.output,
        output: there.input,
        ..there
    };
    [there, back].map(|shape| Generator::new(&shape, device))
}
