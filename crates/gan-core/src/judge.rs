//! A small network that looks at pictures: as a classifier, or as an embedding whose products tell how alike two
//! pictures are.

use crate::layers::{Activation, BatchNorm, Conv2d, Conv2dConfig, Linear, Statistics};
use crate::weights::Network;
use burn::module::Module;
use burn::tensor::{Device, Tensor};

const LEAKY: Activation = Activation::LeakyRelu(0.1);

/// Width of the fully connected layer before the last.
const HIDDEN: usize = 128;

/// What a [`Judge`] is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct JudgeShape {
    /// Channels of the pictures.
    pub channels: usize,
    /// Sides of the pictures in pixels: 4 times a power of two.
    pub side: usize,
    /// Channels of the first layer; each later one has as many more.
    pub width: usize,
    /// Numbers that it gives.
    pub outputs: usize,
}

impl JudgeShape {
    fn halvings(&self) -> usize {
        (self.side / 4).ilog2() as usize
    }

    /// Numbers in the largest layers: a lower bound of the network's size.
    pub fn least_size(&self) -> u64 {
        let (halvings, width) = (self.halvings() as u64, self.width as u64);
        let convs: u64 = (1..halvings)
            .map(|layer| 9 * width * layer * width * (layer + 1))
            .sum();
        convs + 16 * width * halvings * HIDDEN as u64
    }

    /// Values that a step keeps for each picture, about.
    pub fn activations(&self) -> u64 {
        let side = self.side as u64;
        side * side / 4 * self.width as u64 * 4
    }
}

/// Picture -> halvings, each with kernel 3, batch normalisation and LeakyReLU 0.1 -> 4 x 4 -> 128 -> outputs.
#[derive(Module, Debug)]
pub struct Judge {
    convs: Vec<Conv2d>,
    norms: Vec<BatchNorm>,
    hidden: Linear,
    output: Linear,
}

impl Judge {
    /// A network of the shape, all weights zero.
    pub fn new(shape: &JudgeShape, device: &Device) -> Self {
        let halvings = shape.halvings();
        let channels = |layer: usize| match layer {
            0 => shape.channels,
            layer => shape.width * layer,
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
            output: Linear::new(HIDDEN, shape.outputs, device),
        }
    }

    /// The outputs: logits of classes.
    ///
    /// # Shapes
    /// - `pictures`: `[batch, channels, side, side]`, in [-1, 1]
    /// - result: `[batch, outputs]`
    pub fn forward(&self, pictures: Tensor<4>, statistics: Statistics) -> Tensor<2> {
        self.told(self.features(pictures, statistics))
    }

    /// What the last layer looks at, for distances between sets of pictures.
    ///
    /// # Shapes
    /// - `pictures`: as [`Judge::forward`]; result: `[batch, 128]`
    pub fn features(&self, pictures: Tensor<4>, statistics: Statistics) -> Tensor<2> {
        let mut features = pictures;
        for (conv, norm) in self.convs.iter().zip(&self.norms) {
            features = norm.after(conv, features, statistics, LEAKY);
        }
        self.hidden.activated(features.flatten(1, 3), LEAKY)
    }

    /// The outputs for [`Judge::features`].
    ///
    /// # Shapes
    /// - `features`: `[batch, 128]`; result: `[batch, outputs]`
    pub fn told(&self, features: Tensor<2>) -> Tensor<2> {
        self.output.forward(features)
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
