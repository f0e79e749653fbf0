//! The conditional generator: DCGAN's, whose latent vector is joined by the condition (Antipov et al. 2017, section 2;
//! Perarnau et al. 2016, <https://arxiv.org/abs/1611.06355>, section 4.2: there is the best place for it).

use crate::config::Config;
use burn::module::Module;
use burn::tensor::{Device, Tensor};
use gan_core::layers::Statistics;
use gan_core::weights::Network;

/// (z, y) -> 4 x 4 -> doublings -> picture.
#[derive(Module, Debug)]
pub struct Generator {
    network: dcgan::generator::Generator,
}

impl Generator {
    /// A generator with the sizes of `config`, all weights zero.
    pub fn new(config: &Config, device: &Device) -> Self {
        Self {
            network: dcgan::generator::Generator::new(&config.generator(), device),
        }
    }

    /// Pictures from noise and conditions.
    ///
    /// # Shapes
    /// - `latent`: `[batch, latent_dim]`
    /// - `conditions`: `[batch, classes]`, 1 in the place of each class
    /// - result: `[batch, channels, image_size, image_size]`, in [-1, 1]
    pub fn forward(
        &self,
        latent: Tensor<2>,
        conditions: Tensor<2>,
        statistics: Statistics,
    ) -> Tensor<4> {
        let joined = Tensor::cat(vec![latent, conditions], 1);
        self.network.forward(joined, statistics)
    }
}

impl Network for Generator {
    /// As DCGAN's.
    fn tensor_name(&self, path: &str) -> String {
        let inner = path.strip_prefix("network.").unwrap_or(path);
        self.network.tensor_name(inner)
    }
}
