//! What tells real from made pictures, and fitting captions from others, in both stages (sections 3.3 and 3.4).

use crate::blocks::{Block, Bottleneck, LEAKY, halving, in_sequence, same, tiled};
use crate::config::{Config, Variant};
use burn::module::Module;
use burn::tensor::{Device, Tensor};
use gan_core::layers::{Activation, Conv2d, Conv2dConfig, Layer, Linear, Statistics};
use gan_core::weights::Network;

/// What a discriminator is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shape {
    /// Whose structure.
    pub variant: Variant,
    /// Sides of the pictures in pixels: 4 times a power of two.
    pub side: usize,
    /// Whether it is the second stage's, with two more layers and, in the authors' layout, a second head.
    pub is_second: bool,
    /// The authors' DF_DIM: channels of the first layer, twice as many in each later one.
    pub width: usize,
    /// Width of the condition.
    pub condition: usize,
    /// Width of a caption's embedding.
    pub text: usize,
}

impl Shape {
    /// The shape of the first stage's (`is_second` false) or the second's that a configuration asks for.
    pub fn new(config: &Config, is_second: bool) -> Self {
        Self {
            variant: config.variant,
            side: config.side(is_second),
            is_second,
            width: config.width_d,
            condition: config.condition_dim,
            text: config.text_dim,
        }
    }

    /// Values that a step keeps for each picture that it looks at, about.
    pub fn activations(&self) -> u64 {
        // 1/4 + 2/16 + 4/64 .. of width x pixels, before and after normalisation and activation.
        (self.width * self.side * self.side) as u64 * 3 / 2
    }
}

/// Picture -> halvings to 4 x 4, joined by the condition -> one logit. In the paper's structure (`tf`) it reads the
/// caption by a layer of its own and has a residual part; in the authors' PyTorch layout it is told the generator's mean,
/// and the second stage's judges pictures without the caption, too.
#[derive(Module, Debug)]
pub struct Discriminator {
    text: Option<Linear>,
    input: Conv2d,
    layers: Vec<Block>,
    residual: Option<Bottleneck>,
    joint: Block,
    output: Conv2d,
    alone: Option<Conv2d>,
    #[module(skip)]
    is_second: bool,
}

impl Discriminator {
    /// A discriminator of the shape, all weights zero.
    pub fn new(shape: &Shape, device: &Device) -> Self {
        let is_paper = shape.variant == Variant::Tf;
        let halvings = (shape.side / 4).ilog2() as usize;
        let channels = |layer: usize| shape.width << layer;
        let mut layers: Vec<Block> = (1..halvings)
            .map(|layer| {
                let conv = halving([channels(layer - 1), channels(layer)], device);
                Block::new(conv, device)
            })
            .collect();
        let mut last = channels(halvings - 1);
        let kernel = if is_paper { 1 } else { 3 };
        if shape.is_second {
            for _ in 0..2 {
                let conv = same([last, last / 2], kernel, device);
                layers.push(Block::new(conv, device));
                last /= 2;
            }
        }
        let joint = same([last + shape.condition, last], kernel, device);
        let head = || {
            Conv2dConfig::new([last, 1], [4, 4])
                .stride([4, 4])
                .with_bias()
                .init(device)
        };
        Self {
            text: is_paper.then(|| Linear::new(shape.text, shape.condition, device)),
            input: halving([3, shape.width], device),
            layers,
            residual: is_paper.then(|| Bottleneck::new(last, device)),
            joint: Block::new(joint, device),
            output: head(),
            alone: (!is_paper && shape.is_second).then(head),
            is_second: shape.is_second,
        }
    }

    /// How many of the layers are activated. In the paper's structure the sum with the residual part is activated instead
    /// of the last one, and the first stage's last but one is not either.
    fn activated(&self) -> usize {
        let count = self.layers.len();
        match (&self.residual, self.is_second) {
            (None, _) => count,
            (Some(_), true) => count - 1,
            (Some(_), false) => count - 2,
        }
    }

    /// What it sees in pictures, whatever the caption.
    ///
    /// # Shapes
    /// - `pictures`: `[batch, 3, side, side]`, in [-1, 1]
    /// - result: `[batch, channels, 4, 4]`
    pub fn look(&self, pictures: Tensor<4>, statistics: Statistics) -> Tensor<4> {
        let mut features = self.input.activated(pictures, LEAKY);
        for (place, layer) in self.layers.iter().enumerate() {
            let follows = if place < self.activated() {
                LEAKY
            } else {
                Activation::Identity
            };
            features = layer.forward(features, statistics, follows);
        }
        match &self.residual {
            Some(residual) => residual.forward(features, statistics, LEAKY),
            None => features,
        }
    }

    /// One logit for each pair of a picture and a caption: real and fitting, or not.
    ///
    /// # Shapes
    /// - `features`: what [`Discriminator::look`] gives
    /// - `told`: in the paper's structure the embedding of the caption, `[batch, text]`; in the authors' layout the mean
    ///   of the generator's condition, `[batch, condition]`
    /// - result: `[batch]`
    pub fn judge(&self, features: Tensor<4>, told: Tensor<2>, statistics: Statistics) -> Tensor<1> {
        let told = match &self.text {
            Some(text) => text.activated(told, LEAKY),
            None => told,
        };
        let [batch, _, side, _] = features.dims();
        let told = tiled(told, side);
        let joined = Tensor::cat(vec![features, told], 1);
        let joined = self.joint.forward(joined, statistics, LEAKY);
        self.output.forward(joined).reshape([batch])
    }

    /// One logit for each picture alone, where there is such a head.
    ///
    /// # Shapes
    /// - `features`: what [`Discriminator::look`] gives; result: `[batch]`
    pub fn judge_alone(&self, features: Tensor<4>) -> Option<Tensor<1>> {
        let batch = features.dims()[0];
        let head = self.alone.as_ref()?;
        Some(head.forward(features).reshape([batch]))
    }
}

impl Network for Discriminator {
    /// The names of `STAGE1_D` and `STAGE2_D` in hanzhanggit/StackGAN-Pytorch, and what the paper's structure has beyond
    /// them.
    fn tensor_name(&self, path: &str) -> String {
        let (list, inner) = path.split_once('.').unwrap_or((path, ""));
        let (place, rest) = inner.split_once('.').unwrap_or((inner, ""));
        match list {
            "text" => format!("text.0.{inner}"),
            "input" => format!("encode_img.0.{inner}"),
            "layers" => {
                let number = place.parse::<usize>().unwrap_or(0);
                in_sequence("encode_img", 2 + 3 * number, rest)
            }
            "residual" => Bottleneck::tensor_name("residual", inner),
            "joint" => in_sequence("get_cond_logits.outlogits", 0, inner),
            "output" => format!("get_cond_logits.outlogits.3.{inner}"),
            _ => format!("get_uncond_logits.outlogits.0.{inner}"),
        }
    }
}
