//! The generator: noise to a volume by strided transposed convolutions (Wu et al. 2016,
//! <https://arxiv.org/abs/1610.07584>, section 3.1).

use crate::config::Config;
use burn::module::Module;
use burn::tensor::{Device, Tensor};
use gan_core::layers::{
    Activation, BatchNorm, ConvTranspose3d, ConvTranspose3dConfig, Layer, Statistics,
};
use gan_core::weights::Network;

/// z -> 4 x 4 x 4 -> doublings -> volume; batch normalisation and ReLU after all but the last layer.
#[derive(Module, Debug)]
pub struct Generator {
    convs: Vec<ConvTranspose3d>,
    norms: Vec<BatchNorm>,
}

impl Generator {
    /// A generator with the sizes of `config`, all weights zero.
    pub fn new(config: &Config, device: &Device) -> Self {
        let layers = config.layers();
        let channels = |layer: usize| config.width_g << (layers - 2 - layer);
        let conv = |layer: usize| {
            let from = if layer == 0 {
                config.latent_dim
            } else {
                channels(layer - 1)
            };
            let to = if layer + 1 == layers {
                1
            } else {
                channels(layer)
            };
            let is_first = layer == 0 && config.start == 4;
            let (stride, padding) = if is_first { (1, 0) } else { (2, 1) };
            let conv = ConvTranspose3dConfig::new([from, to], [4; 3])
                .stride([stride; 3])
                .padding([padding; 3]);
            let conv = if config.bias { conv.with_bias() } else { conv };
            conv.init(device)
        };
        Self {
            convs: (0..layers).map(conv).collect(),
            norms: (0..layers - 1)
                .map(|layer| BatchNorm::new(channels(layer), device))
                .collect(),
        }
    }

    /// Volumes from noise.
    ///
    /// # Shapes
    /// - `latent`: `[batch, latent_dim]`
    /// - result: `[batch, 1, resolution, resolution, resolution]`: the probability of each voxel to be full
    pub fn forward(&self, latent: Tensor<2>, statistics: Statistics) -> Tensor<5> {
        let [batch, width] = latent.dims();
        let mut features = latent.reshape([batch, width, 1, 1, 1]);
        for (layer, conv) in self.convs.iter().enumerate() {
            features = match self.norms.get(layer) {
                // half the channels, twice the side
                Some(norm) => norm.after(conv, features, statistics, Activation::RELU),
                None => conv.activated(features, Activation::Sigmoid),
            };
        }
        features
    }
}

impl Network for Generator {
    fn tensor_name(&self, path: &str) -> String {
        tensor_name(path)
    }
}

/// The names of a list of `Sequential`s, `layer1`, `layer2`, ..., each of a convolution (0) and a normalisation (1).
pub(crate) fn tensor_name(path: &str) -> String {
    let mut parts = path.split('.');
    let place = usize::from(parts.next() == Some("norms"));
    let layer: usize = parts.next().and_then(|text| text.parse().ok()).unwrap_or(0);
    let leaf = path.rsplit('.').next().unwrap_or_default();
    format!("layer{}.{place}.{leaf}", layer + 1)
}
