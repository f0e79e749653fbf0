//! The generator: a multilayer perceptron from noise to a sample (Goodfellow et al. 2014,
//! <https://arxiv.org/abs/1406.2661>, section 3).

use crate::config::{Activation, Config, Squash};
use burn::module::Module;
use burn::tensor::{Device, Tensor};
use gan_core::layers::{self, Linear};
use gan_core::weights::Network;

/// z -> hidden layers -> a flat sample.
#[derive(Module, Debug)]
pub struct Generator {
    hidden: Vec<Linear>,
    output: Linear,
    #[module(skip)]
    activation: Activation,
    #[module(skip)]
    squash: Squash,
}

/// The activation that follows a layer; maxout is not one of them.
pub(crate) fn activation(kind: Activation) -> layers::Activation {
    match kind {
        Activation::Relu => layers::Activation::RELU,
        Activation::LeakyRelu => layers::Activation::LeakyRelu(0.2),
        Activation::Tanh => layers::Activation::Tanh,
        Activation::Maxout => layers::Activation::Identity,
    }
}

/// `hidden.0.weight` -> `main.0.weight`: a `Sequential` of linear layers and activations.
pub(crate) fn sequential_name(path: &str, hidden: usize) -> String {
    let (place, leaf) = path.rsplit_once('.').unwrap_or(("", path));
    let index = match place.strip_prefix("hidden.") {
        Some(index) => index.parse().unwrap_or(0),
        None => hidden,
    };
    format!("main.{}.{leaf}", 2 * index)
}

impl Generator {
    /// A generator of samples with `width` values, all weights zero.
    pub fn new(config: &Config, width: usize, device: &Device) -> Self {
        let mut from = config.latent_dim;
        let mut hidden = Vec::new();
        for &to in &config.generator_hidden {
            hidden.push(Linear::new(from, to, device));
            from = to;
        }
        Self {
            hidden,
            output: Linear::new(from, width, device),
            activation: config.generator_activation,
            squash: config.output,
        }
    }

    /// Samples from noise.
    ///
    /// # Shapes
    /// - `latent`: `[batch, latent_dim]`
    /// - result: `[batch, width]`, in the value range of the data
    pub fn forward(&self, latent: Tensor<2>) -> Tensor<2> {
        let mut features = latent;
        for layer in &self.hidden {
            features = layer.activated(features, activation(self.activation));
        }
        let squash = match self.squash {
            Squash::Tanh => layers::Activation::Tanh,
            Squash::Sigmoid => layers::Activation::Sigmoid,
            Squash::Linear => layers::Activation::Identity,
        };
        self.output.activated(features, squash)
    }
}

impl Network for Generator {
    fn tensor_name(&self, path: &str) -> String {
        sequential_name(path, self.hidden.len())
    }
}
