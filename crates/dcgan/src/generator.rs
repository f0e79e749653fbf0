//! The generator: noise to a picture by strided upsampling (Radford et al. 2016,
//! <https://arxiv.org/abs/1511.06434>, figure 1; layers as in pytorch/examples `dcgan`).

use crate::config::{Config, Upsample};
use burn::module::{Module, RunningState};
use burn::tensor::ops::{InterpolateMode, InterpolateOptions};
use burn::tensor::{Device, Tensor, TensorData, module::interpolate};
use gan_core::layers::{
    Activation, Conv2d, Conv2dConfig, ConvTranspose2d, ConvTranspose2dConfig, Layer, Norm,
    NormLayer, Statistics,
};
use gan_core::random::Stream;
use gan_core::weights::Network;

/// Pictures of the batch that virtual batch normalisation looks at.
const REFERENCES: usize = 64;

/// z -> 4 x 4 -> doublings -> picture; batch normalisation and ReLU after all but the last layer.
#[derive(Module, Debug)]
pub struct Generator {
    project: ConvTranspose2d,
    project_norm: NormLayer,
    blocks: Vec<Block>,
    output: Enlarge,
    // The noise of virtual batch normalisation, `[REFERENCES, latent_dim]`.
    running_references: Option<RunningState<Tensor<2>>>,
}

/// One doubling with its normalisation.
#[derive(Module, Debug)]
struct Block {
    enlarge: Enlarge,
    norm: NormLayer,
}

/// Doubles height and width.
#[derive(Module, Debug)]
struct Enlarge {
    transpose: Option<ConvTranspose2d>,
    resize: Option<Conv2d>,
}

fn transposed(
    from: usize,
    to: usize,
    stride: usize,
    padding: usize,
    device: &Device,
) -> ConvTranspose2d {
    ConvTranspose2dConfig::new([from, to], [4, 4])
        .stride([stride, stride])
        .padding([padding, padding])
        .init(device)
}

impl Enlarge {
    fn new(kind: Upsample, from: usize, to: usize, device: &Device) -> Self {
        let conv = || {
            Conv2dConfig::new([from, to], [3, 3])
                .padding([1, 1])
                .init(device)
        };
        match kind {
            Upsample::Transpose => Self {
                transpose: Some(transposed(from, to, 2, 1, device)),
                resize: None,
            },
            Upsample::Resize => Self {
                transpose: None,
                resize: Some(conv()),
            },
        }
    }

    /// The doubled picture, then its normalisation (where there is one) and activation.
    fn forward(
        &self,
        input: Tensor<4>,
        norm: Option<&NormLayer>,
        pass: Pass,
        activation: Activation,
    ) -> Tensor<4> {
        match (&self.transpose, &self.resize) {
            (Some(layer), _) => followed(layer, input, norm, pass, activation),
            (None, Some(layer)) => {
                let [_, _, height, width] = input.dims();
                let options = InterpolateOptions::new(InterpolateMode::Nearest);
                let size = [2 * height, 2 * width];
                let larger = interpolate(input, options.with_output_size(size));
                followed(layer, larger, norm, pass, activation)
            }
            (None, None) => input,
        }
    }
}

/// What normalisation looks at.
#[derive(Clone, Copy)]
struct Pass {
    statistics: Statistics,
    /// How many of the first pictures are references.
    references: usize,
}

fn followed(
    layer: &impl Layer<4>,
    input: Tensor<4>,
    norm: Option<&NormLayer>,
    pass: Pass,
    activation: Activation,
) -> Tensor<4> {
    match norm {
        Some(norm) => norm.behind(layer, input, pass.statistics, pass.references, activation),
        None => layer.activated(input, activation),
    }
}

impl Generator {
    /// A generator with the sizes of `config`, all weights zero.
    pub fn new(config: &Config, device: &Device) -> Self {
        let doublings = config.doublings();
        let mut channels = config.width_g << (doublings - 1);
        let project = transposed(config.latent_dim, channels, 1, 0, device);
        let project_norm = config.norm_g.layer(channels, device);
        let blocks = (1..doublings)
            .map(|_| {
                let from = channels;
                channels /= 2;
                Block {
                    enlarge: Enlarge::new(config.upsample, from, channels, device),
                    norm: config.norm_g.layer(channels, device),
                }
            })
            .collect();
        Self {
            project,
            project_norm,
            blocks,
            output: Enlarge::new(config.upsample, channels, config.channels, device),
            running_references: (config.norm_g == Norm::Virtual).then(|| {
                let mut stream = Stream::new(config.training.seed, "references", 0);
                let count = REFERENCES * config.latent_dim;
                let noise = config.prior().draw(&mut stream, count);
                let noise = TensorData::new(noise, [REFERENCES, config.latent_dim]);
                RunningState::new(Tensor::from_data(noise, device))
            }),
        }
    }

    /// Pictures from noise.
    ///
    /// # Shapes
    /// - `latent`: `[batch, latent_dim]`
    /// - result: `[batch, channels, image_size, image_size]`, in [-1, 1]
    pub fn forward(&self, latent: Tensor<2>, statistics: Statistics) -> Tensor<4> {
        let [batch, width] = latent.dims();
        let (mut latent, mut references) = (latent, 0);
        if let Some(noise) = &self.running_references {
            latent = Tensor::cat(vec![noise.value(), latent], 0);
            references = REFERENCES;
        }
        let pass = Pass {
            statistics,
            references,
        };
        let seed = latent.reshape([references + batch, width, 1, 1]);
        let relu = Activation::RELU;
        // [batch, width_g * 2^(doublings-1), 4, 4]
        let mut features = followed(&self.project, seed, Some(&self.project_norm), pass, relu);
        for Block { enlarge, norm } in &self.blocks {
            // half the channels, twice the side
            features = enlarge.forward(features, Some(norm), pass, relu);
        }
        if references > 0 {
            features = features.narrow(0, references, batch);
        }
        self.output.forward(features, None, pass, Activation::Tanh)
    }
}

impl Network for Generator {
    /// pytorch/examples' `Sequential`: convolution, norm, ReLU take three places each; with
    /// `--upsample resize` an `Upsample` comes before each convolution but the first.
    fn tensor_name(&self, path: &str) -> String {
        let has_resize = self.output.resize.is_some();
        let stride = if has_resize { 4 } else { 3 };
        let first = |block: usize| 3 + stride * block + usize::from(has_resize);
        let (place, leaf) = path.rsplit_once('.').unwrap_or(("", path));
        let index = if place == "project" {
            0
        } else if path == "running_references" {
            return path.to_owned();
        } else if place.starts_with("project_norm") {
            1
        } else if place.starts_with("output") {
            first(self.blocks.len())
        } else {
            let mut parts = place.split('.').skip(1);
            let block = parts.next().and_then(|text| text.parse().ok()).unwrap_or(0);
            first(block) + usize::from(parts.next() == Some("norm"))
        };
        format!("main.{index}.{leaf}")
    }
}
