//! The encoder: a picture to the latent vector that it may have been made from (Antipov et al. 2017, section 3; Perarnau
//! et al. 2016: four convolutions with kernel 5 and stride 2, two fully connected layers).

use crate::config::Config;
use burn::module::Module;
use burn::tensor::{Device, Tensor};
use gan_core::layers::{Activation, BatchNorm, Conv2d, Conv2dConfig, Layer, Linear, Statistics};
use gan_core::weights::Network;

const LEAKY: Activation = Activation::LeakyRelu(0.2);

/// Picture -> halvings -> 4 x 4 -> hidden -> z; LeakyReLU 0.2 after all but the last layer, batch normalisation after all
/// but the first and the last.
#[derive(Module, Debug)]
pub struct Encoder {
    input: Conv2d,
    convs: Vec<Conv2d>,
    norms: Vec<BatchNorm>,
    hidden: Linear,
    hidden_norm: BatchNorm,
    output: Linear,
}

impl Encoder {
    /// An encoder with the sizes of `config`, all weights zero.
    pub fn new(config: &Config, device: &Device) -> Self {
        let halving = |from: usize, to: usize| {
            Conv2dConfig::new([from, to], [5, 5])
                .stride([2, 2])
                .padding([2, 2])
        };
        let doublings = config.generator().doublings();
        let channels = |layer: usize| config.width_e << layer;
        let convs =
            (1..doublings).map(|layer| halving(channels(layer - 1), channels(layer)).init(device));
        // Batch normalisation, which follows, takes the mean away.
        let mut hidden = Linear::new(16 * channels(doublings - 1), config.hidden_e, device);
        hidden.bias = None;
        Self {
            input: halving(config.channels, config.width_e)
                .with_bias()
                .init(device),
            convs: convs.collect(),
            norms: (1..doublings)
                .map(|layer| BatchNorm::new(channels(layer), device))
                .collect(),
            hidden,
            hidden_norm: BatchNorm::new(config.hidden_e, device),
            output: Linear::new(config.hidden_e, config.latent_dim, device),
        }
    }

    /// Numbers in the largest layers of an encoder with the sizes of `config`: a lower bound of its size.
    pub fn least_size(config: &Config) -> u64 {
        let doublings = config.generator().doublings();
        let wide = |layer: usize| (config.width_e as u64) << layer;
        let convs: u64 = (1..doublings)
            .map(|layer| 25 * wide(layer - 1) * wide(layer))
            .sum();
        convs + 16 * wide(doublings - 1) * config.hidden_e as u64
    }

    /// The latent vectors of pictures.
    ///
    /// # Shapes
    /// - `pictures`: `[batch, channels, image_size, image_size]`, in [-1, 1]
    /// - result: `[batch, latent_dim]`
    pub fn forward(&self, pictures: Tensor<4>, statistics: Statistics) -> Tensor<2> {
        let mut features = self.input.activated(pictures, LEAKY);
        for (conv, norm) in self.convs.iter().zip(&self.norms) {
            features = norm.after(conv, features, statistics, LEAKY);
        }
        let flat = features.flatten(1, 3);
        let hidden = self.hidden.forward(flat);
        let hidden = self.hidden_norm.activated(hidden, statistics, LEAKY);
        self.output.forward(hidden)
    }
}

impl Network for Encoder {}
