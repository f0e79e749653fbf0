//! Conditioning augmentation and both generators (sections 3.2 to 3.4).

use crate::blocks::{Block, Bottleneck, LEAKY, doubled, halving, in_sequence, same, tiled};
use crate::config::{Config, Variant};
use burn::module::Module;
use burn::tensor::{Device, Tensor};
use gan_core::layers::{Activation, BatchNorm, Conv2d, Conv2dConfig, Layer, Linear, Statistics};
use gan_core::weights::Network;

/// What the generators are made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shape {
    /// Whose structure.
    pub variant: Variant,
    /// Sides of the first stage's pictures; the second's are four times as long.
    pub side: usize,
    /// Width of the noise z.
    pub latent: usize,
    /// Width of the condition c.
    pub condition: usize,
    /// Width of a caption's embedding.
    pub text: usize,
    /// The authors' GF_DIM: an eighth of the channels at 4 x 4.
    pub width: usize,
    /// Residual blocks of the second stage.
    pub residuals: usize,
}

impl Shape {
    /// The shape that a configuration asks for.
    pub fn new(config: &Config) -> Self {
        Self {
            variant: config.variant,
            side: config.image_size,
            latent: config.latent_dim,
            condition: config.condition_dim,
            text: config.text_dim,
            width: config.width_g,
            residuals: config.residual_blocks,
        }
    }

    fn doublings(&self) -> usize {
        (self.side / 4).ilog2() as usize
    }

    /// Numbers in the largest layers of the first stage: a lower bound of its size.
    pub fn least_size_one(&self) -> u64 {
        let (width, input) = (self.width as u64, (self.latent + self.condition) as u64);
        let ups = 9 * (8 * 4 + 4 * 2 + 2) * width * width;
        input * 128 * width + 2 * self.text as u64 * self.condition as u64 + ups
    }

    /// As [`Shape::least_size_one`], of the second stage without the first.
    pub fn least_size_two(&self) -> u64 {
        let channels = 4 * self.width as u64;
        (2 * self.residuals as u64 + 1) * 9 * channels * channels
    }
}

/// What a caption's embedding says of the picture: a normal distribution that conditions are drawn from.
#[derive(Debug, Clone)]
pub struct Condition {
    /// The mean, `[batch, condition]`.
    pub mean: Tensor<2>,
    /// The logarithm of the deviation (`tf`), or of the variance (`pytorch`), `[batch, condition]`.
    pub spread: Tensor<2>,
    variant: Variant,
}

impl Condition {
    /// A condition for each caption from N(0, 1) noise: `mean + deviation * noise`.
    ///
    /// # Shapes
    /// - `noise`, result: `[batch, condition]`
    pub fn draw(&self, noise: Tensor<2>) -> Tensor<2> {
        let logarithm = match self.variant {
            Variant::Tf => self.spread.clone(),
            Variant::Pytorch => self.spread.clone() * 0.5,
        };
        self.mean.clone() + logarithm.exp() * noise
    }

    /// The variant whose formula [`Condition::spread`] follows.
    pub fn variant(&self) -> Variant {
        self.variant
    }
}

/// Conditioning augmentation (section 3.2): one fully connected layer from a caption's embedding to mean and spread.
#[derive(Module, Debug)]
pub struct Augmentation {
    fc: Linear,
}

impl Augmentation {
    fn new(shape: &Shape, device: &Device) -> Self {
        Self {
            fc: Linear::new(shape.text, 2 * shape.condition, device),
        }
    }

    fn forward(&self, text: Tensor<2>, variant: Variant) -> Condition {
        let activation = match variant {
            Variant::Tf => LEAKY,
            Variant::Pytorch => Activation::RELU,
        };
        let both = self.fc.activated(text, activation);
        let width = both.dims()[1] / 2;
        Condition {
            mean: both.clone().narrow(1, 0, width),
            spread: both.narrow(1, width, width),
            variant,
        }
    }
}

/// The first stage: noise and condition to a small picture with the colours and the shape that the caption tells.
#[derive(Module, Debug)]
pub struct StageOne {
    augmentation: Augmentation,
    dense: Linear,
    dense_norm: BatchNorm,
    residuals: Vec<Bottleneck>,
    ups: Vec<Block>,
    output: Conv2d,
}

impl StageOne {
    /// A generator of the shape, all weights zero.
    pub fn new(shape: &Shape, device: &Device) -> Self {
        let channels = |doubling: usize| (8 * shape.width) >> doubling;
        let doublings = shape.doublings();
        let mut dense = Linear::new(shape.latent + shape.condition, 16 * channels(0), device);
        dense.bias = None;
        // The paper's structure makes the picture itself at the last doubling.
        let (inner, residuals) = match shape.variant {
            Variant::Tf => (doublings - 1, 2),
            Variant::Pytorch => (doublings, 0),
        };
        let up = |place: usize| {
            let conv = same([channels(place), channels(place + 1)], 3, device);
            Block::new(conv, device)
        };
        let output = Conv2dConfig::new([channels(inner), 3], [3, 3]).padding([1, 1]);
        Self {
            augmentation: Augmentation::new(shape, device),
            dense,
            dense_norm: BatchNorm::new(16 * channels(0), device),
            residuals: (0..residuals)
                .map(|place| Bottleneck::new(channels(place), device))
                .collect(),
            ups: (0..inner).map(up).collect(),
            output: match shape.variant {
                Variant::Tf => output.with_bias().init(device),
                Variant::Pytorch => output.init(device),
            },
        }
    }

    fn variant(&self) -> Variant {
        if self.residuals.is_empty() {
            Variant::Pytorch
        } else {
            Variant::Tf
        }
    }

    /// What conditions may be drawn from for captions.
    ///
    /// # Shapes
    /// - `text`: `[batch, text]`
    pub fn condition(&self, text: Tensor<2>) -> Condition {
        self.augmentation.forward(text, self.variant())
    }

    /// Makes pictures.
    ///
    /// # Shapes
    /// - `latent`: `[batch, latent]`; `condition`: `[batch, condition]`
    /// - result: `[batch, 3, side, side]`, in [-1, 1]
    pub fn forward(
        &self,
        latent: Tensor<2>,
        condition: Tensor<2>,
        statistics: Statistics,
    ) -> Tensor<4> {
        let batch = latent.dims()[0];
        let is_paper = self.variant() == Variant::Tf;
        // Each has the order of its own program; weights are only at home in one of them.
        let input = if is_paper {
            Tensor::cat(vec![condition, latent], 1)
        } else {
            Tensor::cat(vec![latent, condition], 1)
        };
        let follows = |place: usize| match self.residuals.get(place) {
            Some(_) => Activation::Identity,
            None => Activation::RELU,
        };
        let rest = |features: Tensor<4>, place: usize| match self.residuals.get(place) {
            Some(residual) => residual.forward(features, statistics, Activation::RELU),
            None => features,
        };
        let dense = self.dense.forward(input);
        let features = self.dense_norm.activated(dense, statistics, follows(0));
        let channels = features.dims()[1] / 16;
        let mut features = rest(features.reshape([batch, channels, 4, 4]), 0);
        for (place, up) in self.ups.iter().enumerate() {
            let larger = up.forward(doubled(features), statistics, follows(place + 1));
            features = rest(larger, place + 1);
        }
        if is_paper {
            features = doubled(features);
        }
        self.output.activated(features, Activation::Tanh)
    }
}

impl Network for StageOne {
    /// The names of `STAGE1_G` in hanzhanggit/StackGAN-Pytorch, and what the paper's structure has beyond it.
    fn tensor_name(&self, path: &str) -> String {
        let (list, inner) = path.split_once('.').unwrap_or((path, ""));
        let (place, rest) = inner.split_once('.').unwrap_or((inner, ""));
        let number = place.parse::<usize>().map_or(0, |place| place + 1);
        match list {
            "augmentation" => format!("ca_net.{inner}"),
            "dense" => format!("fc.0.{inner}"),
            "dense_norm" => format!("fc.1.{inner}"),
            "residuals" => Bottleneck::tensor_name(&format!("residual{number}"), rest),
            "ups" => in_sequence(&format!("upsample{number}"), 1, rest),
            _ => match self.variant() {
                Variant::Tf => format!("img.1.{inner}"),
                Variant::Pytorch => format!("img.0.{inner}"),
            },
        }
    }
}

/// Two convolutions around a shortcut (section 3.4).
#[derive(Module, Debug)]
pub struct Residual {
    first: Block,
    second: Block,
}

impl Residual {
    fn new(channels: usize, device: &Device) -> Self {
        let block = || Block::new(same([channels, channels], 3, device), device);
        Self {
            first: block(),
            second: block(),
        }
    }

    fn forward(&self, input: Tensor<4>, statistics: Statistics) -> Tensor<4> {
        let features = self
            .first
            .forward(input.clone(), statistics, Activation::RELU);
        let features = self
            .second
            .forward(features, statistics, Activation::Identity);
        gan_core::layers::activation(input + features, Activation::RELU)
    }
}

/// Both stages: the first one makes a small picture, the second reads the caption again and draws it four times as
/// large. The state dict is that of `STAGE2_G`, which holds the first stage under `STAGE1_G`.
#[derive(Module, Debug)]
pub struct StageTwo {
    first: StageOne,
    augmentation: Augmentation,
    input: Conv2d,
    downs: Vec<Block>,
    joint: Block,
    residuals: Vec<Residual>,
    ups: Vec<Block>,
    output: Conv2d,
}

/// Doublings of the second stage, after two halvings.
const DOUBLINGS: usize = 4;

impl StageTwo {
    /// Generators of the shape, all weights zero.
    pub fn new(shape: &Shape, device: &Device) -> Self {
        let width = shape.width;
        let down = |place: usize| {
            Block::new(
                halving([width << place, width << (place + 1)], device),
                device,
            )
        };
        let channels = |doubling: usize| (4 * width) >> doubling;
        let up = |place: usize| {
            let conv = same([channels(place), channels(place + 1)], 3, device);
            Block::new(conv, device)
        };
        let joint = same([shape.condition + channels(0), channels(0)], 3, device);
        Self {
            first: StageOne::new(shape, device),
            augmentation: Augmentation::new(shape, device),
            input: same([3, width], 3, device),
            downs: (0..2).map(down).collect(),
            joint: Block::new(joint, device),
            residuals: (0..shape.residuals)
                .map(|_| Residual::new(channels(0), device))
                .collect(),
            ups: (0..DOUBLINGS).map(up).collect(),
            output: same([channels(DOUBLINGS), 3], 3, device),
        }
    }

    /// The same with another first stage.
    #[must_use]
    pub fn with_first(mut self, first: StageOne) -> Self {
        self.first = first;
        self
    }

    /// The first stage.
    pub fn first(&self) -> &StageOne {
        &self.first
    }

    /// What the second stage's conditions may be drawn from for captions.
    ///
    /// # Shapes
    /// - `text`: `[batch, text]`
    pub fn condition(&self, text: Tensor<2>) -> Condition {
        self.augmentation.forward(text, self.first.variant())
    }

    /// Draws pictures of the first stage again, four times as large.
    ///
    /// # Shapes
    /// - `small`: `[batch, 3, side, side]`, in [-1, 1]; `condition`: `[batch, condition]`
    /// - result: `[batch, 3, 4 side, 4 side]`, in [-1, 1]
    pub fn forward(
        &self,
        small: Tensor<4>,
        condition: Tensor<2>,
        statistics: Statistics,
    ) -> Tensor<4> {
        let mut features = self.input.activated(small, Activation::RELU);
        for down in &self.downs {
            features = down.forward(features, statistics, Activation::RELU);
        }
        let side = features.dims()[2];
        let joined = Tensor::cat(vec![features, tiled(condition, side)], 1);
        let mut features = self.joint.forward(joined, statistics, Activation::RELU);
        for residual in &self.residuals {
            features = residual.forward(features, statistics);
        }
        for up in &self.ups {
            features = up.forward(doubled(features), statistics, Activation::RELU);
        }
        self.output.activated(features, Activation::Tanh)
    }
}

impl Network for StageTwo {
    fn tensor_name(&self, path: &str) -> String {
        let (list, inner) = path.split_once('.').unwrap_or((path, ""));
        let (place, rest) = inner.split_once('.').unwrap_or((inner, ""));
        let number = place.parse::<usize>().unwrap_or(0);
        match list {
            "first" => format!("STAGE1_G.{}", self.first.tensor_name(inner)),
            "augmentation" => format!("ca_net.{inner}"),
            "input" => format!("encoder.0.{inner}"),
            "downs" => in_sequence("encoder", 2 + 3 * number, rest),
            "joint" => in_sequence("hr_joint", 0, inner),
            "residuals" => {
                let (block, rest) = rest.split_once('.').unwrap_or((rest, ""));
                let first = if block == "first" { 0 } else { 3 };
                in_sequence(&format!("residual.{number}.block"), first, rest)
            }
            "ups" => in_sequence(&format!("upsample{}", number + 1), 1, rest),
            _ => format!("img.0.{inner}"),
        }
    }
}
