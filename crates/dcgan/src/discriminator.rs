//! The discriminator: strided convolutions to one logit (Radford et al. 2016,
//! <https://arxiv.org/abs/1511.06434>, section 3; layers as in pytorch/examples `dcgan`).

use crate::config::Config;
use burn::module::Module;
use burn::tensor::{Device, Tensor, module::max_pool2d, ops::MaxPoolOptions};
use gan_core::layers::{Activation, BatchNorm, Conv2d, Conv2dConfig, Layer, Statistics};
use gan_core::weights::Network;

/// The paper's leaky ReLU (section 3).
const LEAKY: Activation = Activation::LeakyRelu(0.2);

/// Picture -> halvings -> 4 x 4 -> one logit; LeakyReLU 0.2 after all but the last layer, batch
/// normalisation after all but the first and the last.
#[derive(Module, Debug)]
pub struct Discriminator {
    input: Conv2d,
    blocks: Vec<Block>,
    output: Conv2d,
}

/// One halving with its normalisation.
#[derive(Module, Debug)]
struct Block {
    convolution: Conv2d,
    norm: BatchNorm,
}

fn convolution(from: usize, to: usize, stride: usize, padding: usize, device: &Device) -> Conv2d {
    Conv2dConfig::new([from, to], [4, 4])
        .stride([stride, stride])
        .padding([padding, padding])
        .init(device)
}

impl Discriminator {
    /// A discriminator with the sizes of `config`, all weights zero.
    pub fn new(config: &Config, device: &Device) -> Self {
        let mut channels = config.width_d;
        let input = convolution(config.channels, channels, 2, 1, device);
        let blocks = (1..config.doublings())
            .map(|_| {
                let from = channels;
                channels *= 2;
                Block {
                    convolution: convolution(from, channels, 2, 1, device),
                    norm: BatchNorm::new(channels, device),
                }
            })
            .collect();
        Self {
            input,
            blocks,
            output: convolution(channels, 1, 1, 0, device),
        }
    }

    /// The activations of every layer but the last, the largest first.
    ///
    /// # Shapes
    /// - `pictures`: `[batch, channels, image_size, image_size]`, in [-1, 1]
    /// - results: `[batch, width_d, image_size / 2, ..]`, `[batch, 2 width_d, image_size / 4, ..]`, ...
    pub fn activations(&self, pictures: Tensor<4>, statistics: Statistics) -> Vec<Tensor<4>> {
        let mut all = vec![self.input.activated(pictures, LEAKY)];
        for block in &self.blocks {
            let larger = all[all.len() - 1].clone();
            all.push(
                block
                    .norm
                    .after(&block.convolution, larger, statistics, LEAKY),
            );
        }
        all
    }

    /// One logit a picture; its sigmoid is the probability that the picture is real.
    ///
    /// # Shapes
    /// - `pictures`: `[batch, channels, image_size, image_size]`, in [-1, 1]
    /// - result: `[batch, 1]`
    pub fn forward(&self, pictures: Tensor<4>, statistics: Statistics) -> Tensor<2> {
        let batch = pictures.dims()[0];
        let mut features = self.input.activated(pictures, LEAKY);
        for block in &self.blocks {
            // twice the channels, half the side
            features = block
                .norm
                .after(&block.convolution, features, statistics, LEAKY);
        }
        self.output.forward(features).reshape([batch, 1])
    }

    /// The paper's features: every layer max-pooled to 4 x 4, flattened and joined (section 5.1).
    ///
    /// # Shapes
    /// - `pictures`: `[batch, channels, image_size, image_size]`, in [-1, 1]
    /// - result: `[batch, 16 * (sum of all layers' channels)]`
    pub fn features(&self, pictures: Tensor<4>) -> Tensor<2> {
        let pooled = self
            .activations(pictures, Statistics::Running)
            .into_iter()
            .map(|layer| {
                let [batch, channels, side, _] = layer.dims();
                let window = side / 4;
                let options = MaxPoolOptions::new([window, window]).with_stride([window, window]);
                max_pool2d(layer, options).reshape([batch, channels * 16])
            })
            .collect();
        Tensor::cat(pooled, 1)
    }
}

impl Network for Discriminator {
    /// pytorch/examples' `Sequential`: `main.0` and `main.1` are the first layer and its LeakyReLU,
    /// then convolution, norm and LeakyReLU take three places each.
    fn tensor_name(&self, path: &str) -> String {
        let (place, leaf) = path.rsplit_once('.').unwrap_or(("", path));
        let index = match place {
            "input" => 0,
            "output" => 2 + 3 * self.blocks.len(),
            _ => {
                let mut parts = place.split('.').skip(1);
                let block: usize = parts.next().and_then(|text| text.parse().ok()).unwrap_or(0);
                2 + 3 * block + usize::from(parts.next() == Some("norm"))
            }
        };
        format!("main.{index}.{leaf}")
    }
}
