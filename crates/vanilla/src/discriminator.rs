//! The discriminator: a multilayer perceptron from a sample to one logit, plain or with maxout and
//! dropout (Goodfellow et al. 2014, <https://arxiv.org/abs/1406.2661>, section 5).

use crate::config::{Activation, Config};
use crate::generator::{activation, sequential_name};
use burn::module::Module;
use burn::tensor::{Device, Tensor};
use gan_core::layers::{Dropout, Linear};
use gan_core::random::Stream;
use gan_core::weights::Network;

/// Linear pieces a maxout unit, as in the paper's released code.
const PIECES: usize = 5;

/// A flat sample -> hidden layers -> one logit (before the sigmoid).
#[derive(Module, Debug)]
pub struct Discriminator {
    drop_input: Dropout,
    hidden: Vec<Linear>,
    drop_hidden: Dropout,
    output: Linear,
    #[module(skip)]
    activation: Activation,
}

impl Discriminator {
    /// A discriminator of samples with `width` values, all weights zero.
    pub fn new(config: &Config, width: usize, device: &Device) -> Self {
        let pieces = match config.discriminator_activation {
            Activation::Maxout => PIECES,
            _ => 1,
        };
        let mut from = width;
        let mut hidden = Vec::new();
        for &to in &config.discriminator_hidden {
            hidden.push(Linear::new(from, to * pieces, device));
            from = to;
        }
        Self {
            drop_input: Dropout::new(config.keep_input),
            hidden,
            drop_hidden: Dropout::new(config.keep_hidden),
            output: Linear::new(from, 1, device),
            activation: config.discriminator_activation,
        }
    }

    /// The activations of the last hidden layer.
    ///
    /// # Shapes
    /// - `samples`: `[batch, width]`
    /// - result: `[batch, last hidden width]`
    pub fn features(&self, samples: Tensor<2>, mut stream: Option<&mut Stream>) -> Tensor<2> {
        let mut features = self.drop_input.forward(samples, stream.as_deref_mut());
        for layer in &self.hidden {
            // Maxout is no function of one value: its layer gives every piece as it is.
            features = layer.activated(features, activation(self.activation));
            if self.activation == Activation::Maxout {
                let [batch, all] = features.dims();
                features = features
                    .reshape([batch, all / PIECES, PIECES])
                    .max_dim(2)
                    .reshape([batch, all / PIECES]);
            }
            features = self.drop_hidden.forward(features, stream.as_deref_mut());
        }
        features
    }

    /// One logit a sample; its sigmoid is the probability that the sample is real. Dropout is on
    /// when a stream is given.
    ///
    /// # Shapes
    /// - `samples`: `[batch, width]`
    /// - result: `[batch, 1]`
    pub fn forward(&self, samples: Tensor<2>, stream: Option<&mut Stream>) -> Tensor<2> {
        self.output.forward(self.features(samples, stream))
    }
}

impl Network for Discriminator {
    fn tensor_name(&self, path: &str) -> String {
        sequential_name(path, self.hidden.len())
    }
}
