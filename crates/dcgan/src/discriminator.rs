//! The discriminator: strided convolutions to one logit (Radford et al. 2016,
//! <https://arxiv.org/abs/1511.06434>, section 3; layers as in pytorch/examples `dcgan`).

use crate::config::Config;
use burn::module::Module;
use burn::tensor::{Device, Tensor, module::max_pool2d, ops::MaxPoolOptions};
use gan_core::layers::{
    Activation, Conv2d, Conv2dConfig, Layer, Linear, MinibatchDiscrimination, NormLayer,
    SpectralNorm, Statistics,
};
use gan_core::technique::Seen;
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
    minibatch: Option<Closeness>,
    // Of the input, the blocks and the output; none, or one for each.
    spectral: Vec<SpectralNorm>,
}

/// What minibatch discrimination adds to the logit.
#[derive(Module, Debug)]
struct Closeness {
    kernels: MinibatchDiscrimination,
    output: Linear,
}

/// One halving with its normalisation.
#[derive(Module, Debug)]
struct Block {
    convolution: Conv2d,
    norm: NormLayer,
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
        let blocks: Vec<Block> = (1..config.doublings())
            .map(|_| {
                let from = channels;
                channels *= 2;
                Block {
                    convolution: convolution(from, channels, 2, 1, device),
                    norm: config.norm_d.layer(channels, device),
                }
            })
            .collect();
        let output = convolution(channels, 1, 1, 0, device);
        let techniques = &config.techniques;
        let spectral = |layer: &Conv2d| {
            let [outputs, inputs, ..] = layer.weight.dims();
            SpectralNorm::new(outputs, 16 * inputs, device)
        };
        let (width, kernels) = (16 * channels, techniques.minibatch_kernels);
        Self {
            spectral: if techniques.spectral_norm {
                let inner = blocks.iter().map(|block| &block.convolution);
                let layers = [&input].into_iter().chain(inner).chain([&output]);
                layers.map(spectral).collect()
            } else {
                Vec::new()
            },
            minibatch: (kernels > 0).then(|| Closeness {
                kernels: MinibatchDiscrimination::new(
                    width,
                    kernels,
                    techniques.minibatch_dims,
                    device,
                ),
                output: Linear::new(kernels, 1, device),
            }),
            input,
            blocks,
            output,
        }
    }

    /// The input of layer `place` as spectral normalisation changes it.
    fn divided(
        &self,
        place: usize,
        layer: &Conv2d,
        input: Tensor<4>,
        statistics: Statistics,
    ) -> Tensor<4> {
        let Some(norm) = self.spectral.get(place) else {
            return input;
        };
        let [outputs, inputs, ..] = layer.weight.dims();
        let matrix = layer.weight.val().reshape([outputs, 16 * inputs]);
        norm.divided(input, matrix, statistics)
    }

    /// The activations of every layer but the last, the largest first.
    ///
    /// # Shapes
    /// - `pictures`: `[batch, channels, image_size, image_size]`, in [-1, 1]
    /// - results: `[batch, width_d, image_size / 2, ..]`, `[batch, 2 width_d, image_size / 4, ..]`, ...
    pub fn activations(&self, pictures: Tensor<4>, statistics: Statistics) -> Vec<Tensor<4>> {
        let pictures = self.divided(0, &self.input, pictures, statistics);
        let mut all = vec![self.input.activated(pictures, LEAKY)];
        for (place, block) in self.blocks.iter().enumerate() {
            let larger = all[all.len() - 1].clone();
            let larger = self.divided(1 + place, &block.convolution, larger, statistics);
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
        self.see(pictures, statistics).logits
    }

    /// As [`Discriminator::forward`], with what the last layer looks at: `[batch, 16 * channels]`.
    pub fn see(&self, pictures: Tensor<4>, statistics: Statistics) -> Seen {
        let batch = pictures.dims()[0];
        let pictures = self.divided(0, &self.input, pictures, statistics);
        let mut features = self.input.activated(pictures, LEAKY);
        for (place, block) in self.blocks.iter().enumerate() {
            let input = self.divided(1 + place, &block.convolution, features, statistics);
            // twice the channels, half the side
            features = block
                .norm
                .after(&block.convolution, input, statistics, LEAKY);
        }
        let [_, channels, height, width] = features.dims();
        let flat = features.clone().reshape([batch, channels * height * width]);
        let input = self.divided(1 + self.blocks.len(), &self.output, features, statistics);
        let mut logits = self.output.forward(input).reshape([batch, 1]);
        if let Some(Closeness { kernels, output }) = &self.minibatch {
            let width = channels * height * width;
            let known = kernels.forward(flat.clone());
            let close = known.dims()[1] - width;
            logits = logits + output.forward(known.narrow(1, width, close));
        }
        Seen {
            logits,
            features: flat,
        }
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
    /// then convolution, norm and LeakyReLU take three places each. Spectral normalisation has PyTorch's names
    /// (`torch.nn.utils.parametrizations`).
    fn tensor_name(&self, path: &str) -> String {
        let (place, leaf) = path.rsplit_once('.').unwrap_or(("", path));
        let mut parts = place.split('.');
        let list = parts.next().unwrap_or("");
        let number = parts.next().and_then(|text| text.parse::<usize>().ok());
        let last = 2 + 3 * self.blocks.len();
        let is_norm = parts.next() == Some("norm");
        let index = match (list, number) {
            ("minibatch", _) => return path.to_owned(),
            ("spectral", Some(0)) => 0,
            ("spectral", Some(number)) => (3 * number - 1).min(last),
            ("input", _) => 0,
            ("blocks", Some(block)) => 2 + 3 * block + usize::from(is_norm),
            _ => last,
        };
        if list == "spectral" {
            let leaf = leaf.replace("running", "");
            return format!("main.{index}.parametrizations.weight.0.{leaf}");
        }
        if leaf == "weight" && !is_norm && !self.spectral.is_empty() {
            return format!("main.{index}.parametrizations.weight.original");
        }
        format!("main.{index}.{leaf}")
    }
}
