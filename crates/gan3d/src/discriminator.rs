//! The discriminator: a volume to one logit by strided convolutions (Wu et al. 2016, section 3.1). Its inner layers are
//! also a description of a shape (section 4.2).

use crate::config::Config;
use crate::generator::tensor_name;
use burn::module::Module;
use burn::tensor::{Device, Tensor};
use gan_core::layers::{Activation, BatchNorm, Conv3d, Conv3dConfig, Layer, Statistics};
use gan_core::weights::Network;

const LEAKY: Activation = Activation::LeakyRelu(0.2);

/// Volume -> halvings -> 4 x 4 x 4 -> logit; batch normalisation and LeakyReLU after all but the last layer.
#[derive(Module, Debug)]
pub struct Discriminator {
    convs: Vec<Conv3d>,
    /// Of each hidden layer; the first may have none.
    norms: Vec<Option<BatchNorm>>,
}

impl Discriminator {
    /// A discriminator with the sizes of `config`, all weights zero.
    pub fn new(config: &Config, device: &Device) -> Self {
        let layers = config.layers();
        let channels = |layer: usize| config.width_d << layer;
        let conv = |layer: usize| {
            let from = if layer == 0 { 1 } else { channels(layer - 1) };
            let is_last = layer + 1 == layers;
            let to = if is_last { 1 } else { channels(layer) };
            let is_whole = is_last && config.start == 4;
            let (stride, padding) = if is_whole { (1, 0) } else { (2, 1) };
            let conv = Conv3dConfig::new([from, to], [4; 3])
                .stride([stride; 3])
                .padding([padding; 3]);
            let conv = if config.bias { conv.with_bias() } else { conv };
            conv.init(device)
        };
        Self {
            convs: (0..layers).map(conv).collect(),
            norms: (0..layers - 1)
                .map(|layer| {
                    let is_there = layer > 0 || config.first_norm;
                    is_there.then(|| BatchNorm::new(channels(layer), device))
                })
                .collect(),
        }
    }

    /// One logit a volume; its sigmoid is the probability that the volume is real.
    ///
    /// # Shapes
    /// - `volumes`: `[batch, 1, resolution, resolution, resolution]`, in [0, 1]
    /// - result: `[batch, 1]`
    pub fn forward(&self, volumes: Tensor<5>, statistics: Statistics) -> Tensor<2> {
        let batch = volumes.dims()[0];
        let hidden = self.hidden(volumes, statistics);
        let last = &self.convs[self.convs.len() - 1];
        let features = hidden.into_iter().next_back();
        // There is at least one hidden layer.
        let features = features.unwrap_or_else(|| unreachable!("a network of one layer"));
        last.activated(features, Activation::Identity)
            .reshape([batch, 1])
    }

    /// What each hidden layer gives: `[batch, width_d * 2^layer, side, side, side]` with half the side of the one
    /// before.
    pub fn hidden(&self, volumes: Tensor<5>, statistics: Statistics) -> Vec<Tensor<5>> {
        let mut all: Vec<Tensor<5>> = Vec::with_capacity(self.norms.len());
        for (conv, norm) in self.convs.iter().zip(&self.norms) {
            let input = all.last().unwrap_or(&volumes).clone();
            all.push(match norm {
                Some(norm) => norm.after(conv, input, statistics, LEAKY),
                None => conv.activated(input, LEAKY),
            });
        }
        all
    }
}

impl Network for Discriminator {
    fn tensor_name(&self, path: &str) -> String {
        tensor_name(path)
    }
}
