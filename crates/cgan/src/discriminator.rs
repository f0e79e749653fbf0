//! The conditional discriminator: DCGAN's, which is told the condition after its first layer (Antipov et al. 2017,
//! section 2; Perarnau et al. 2016, <https://arxiv.org/abs/1611.06355>, section 4.2).

use crate::config::Config;
use burn::module::Module;
use burn::tensor::{Device, Tensor};
use gan_core::layers::{Activation, BatchNorm, Conv2d, Conv2dConfig, Layer, Statistics};
use gan_core::weights::Network;

const LEAKY: Activation = Activation::LeakyRelu(0.2);

/// Picture -> first halving, joined by the condition -> halvings -> 4 x 4 -> one logit; LeakyReLU 0.2 after all but the
/// last layer, batch normalisation after all but the first and the last.
#[derive(Module, Debug)]
pub struct Discriminator {
    input: Conv2d,
    convs: Vec<Conv2d>,
    norms: Vec<BatchNorm>,
    output: Conv2d,
}

impl Discriminator {
    /// A discriminator with the sizes of `config`, all weights zero.
    pub fn new(config: &Config, device: &Device) -> Self {
        let halving = |from: usize, to: usize| {
            Conv2dConfig::new([from, to], [4, 4])
                .stride([2, 2])
                .padding([1, 1])
                .init(device)
        };
        let width = config.width_d;
        let doublings = config.generator().doublings();
        let channels = |layer: usize| width << layer;
        let convs = (1..doublings).map(|layer| {
            let told = if layer == 1 {
                config.classes().count()
            } else {
                0
            };
            halving(channels(layer - 1) + told, channels(layer))
        });
        Self {
            input: halving(config.channels, width),
            convs: convs.collect(),
            norms: (1..doublings)
                .map(|layer| BatchNorm::new(channels(layer), device))
                .collect(),
            output: Conv2dConfig::new([channels(doublings - 1), 1], [4, 4]).init(device),
        }
    }

    /// What the first layer sees, before the condition is told: the same for a picture with its condition and with a
    /// wrong one.
    ///
    /// # Shapes
    /// - `pictures`: `[batch, channels, image_size, image_size]`, in [-1, 1]
    /// - result: `[batch, width_d, image_size / 2, image_size / 2]`
    pub fn look(&self, pictures: Tensor<4>) -> Tensor<4> {
        self.input.activated(pictures, LEAKY)
    }

    /// One logit for what [`Discriminator::look`] saw and a condition; its sigmoid is the probability that both are real
    /// and belong together.
    ///
    /// # Shapes
    /// - `seen`: `[batch, width_d, side, side]`
    /// - `conditions`: `[batch, classes]`
    /// - result: `[batch, 1]`
    pub fn judge(
        &self,
        seen: Tensor<4>,
        conditions: Tensor<2>,
        statistics: Statistics,
    ) -> Tensor<2> {
        let [batch, _, height, width] = seen.dims();
        let [_, classes] = conditions.dims();
        let planes = conditions
            .reshape([batch, classes, 1, 1])
            .expand([batch, classes, height, width]);
        let mut features = Tensor::cat(vec![seen, planes], 1);
        for (conv, norm) in self.convs.iter().zip(&self.norms) {
            features = norm.after(conv, features, statistics, LEAKY);
        }
        self.output.forward(features).reshape([batch, 1])
    }

    /// Both: one logit for a picture and a condition.
    ///
    /// # Shapes
    /// - `pictures`: `[batch, channels, image_size, image_size]`, in [-1, 1]
    /// - `conditions`: `[batch, classes]`
    /// - result: `[batch, 1]`
    pub fn forward(
        &self,
        pictures: Tensor<4>,
        conditions: Tensor<2>,
        statistics: Statistics,
    ) -> Tensor<2> {
        self.judge(self.look(pictures), conditions, statistics)
    }
}

impl Network for Discriminator {}
