//! A small network that looks at faces: as a classifier of age (or digits), or as an embedding whose distances tell
//! persons apart.

use crate::config::Config;
use burn::module::Module;
use burn::tensor::{Device, Tensor};
use gan_core::layers::{Activation, BatchNorm, Conv2d, Conv2dConfig, Linear, Statistics};
use gan_core::weights::Network;

const LEAKY: Activation = Activation::LeakyRelu(0.1);

/// Numbers of an embedding.
pub const EMBEDDING: usize = 128;

/// Width of the fully connected layer before the last.
const HIDDEN: usize = 128;

/// Picture -> halvings, each with kernel 3, batch normalisation and LeakyReLU 0.1 -> 4 x 4 -> 128 -> outputs.
#[derive(Module, Debug)]
pub struct Judge {
    convs: Vec<Conv2d>,
    norms: Vec<BatchNorm>,
    hidden: Linear,
    output: Linear,
}

impl Judge {
    /// A network with `outputs` numbers whose first layer has `width` channels, and each later one as many more; all
    /// weights zero.
    pub fn new(config: &Config, width: usize, outputs: usize, device: &Device) -> Self {
        let halvings = config.generator().doublings();
        let channels = |layer: usize| match layer {
            0 => config.channels,
            layer => width * layer,
        };
        let convs = (0..halvings).map(|layer| {
            Conv2dConfig::new([channels(layer), channels(layer + 1)], [3, 3])
                .stride([2, 2])
                .padding([1, 1])
                .init(device)
        });
        Self {
            convs: convs.collect(),
            norms: (0..halvings)
                .map(|layer| BatchNorm::new(channels(layer + 1), device))
                .collect(),
            hidden: Linear::new(16 * channels(halvings), HIDDEN, device),
            output: Linear::new(HIDDEN, outputs, device),
        }
    }

    /// Numbers in the largest layers of a network whose first layer has `width` channels: a lower bound of its size.
    pub fn least_size(config: &Config, width: usize) -> u64 {
        let (halvings, width) = (config.generator().doublings() as u64, width as u64);
        let convs: u64 = (1..halvings)
            .map(|layer| 9 * width * layer * width * (layer + 1))
            .sum();
        convs + 16 * width * halvings * HIDDEN as u64
    }

    /// The outputs: logits of classes.
    ///
    /// # Shapes
    /// - `pictures`: `[batch, channels, image_size, image_size]`, in [-1, 1]
    /// - result: `[batch, outputs]`
    pub fn forward(&self, pictures: Tensor<4>, statistics: Statistics) -> Tensor<2> {
        let mut features = pictures;
        for (conv, norm) in self.convs.iter().zip(&self.norms) {
            features = norm.after(conv, features, statistics, LEAKY);
        }
        let hidden = self.hidden.activated(features.flatten(1, 3), LEAKY);
        self.output.forward(hidden)
    }

    /// The outputs, brought to length 1: an embedding.
    ///
    /// # Shapes
    /// - as [`Judge::forward`]
    pub fn embed(&self, pictures: Tensor<4>, statistics: Statistics) -> Tensor<2> {
        normalised(self.forward(pictures, statistics))
    }
}

impl Network for Judge {}

/// Each row divided by its length.
///
/// # Shapes
/// - `rows`: `[batch, width]`; result the same
pub fn normalised(rows: Tensor<2>) -> Tensor<2> {
    let squares = (rows.clone() * rows.clone()).sum_dim(1);
    rows / (squares + 1e-12).sqrt()
}
