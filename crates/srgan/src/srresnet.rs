//! SRResNet, the paper's generator (section 2.1, figure 4): a convolution 9 x 9, residual blocks and a skip around
//! them all at the low resolution, sub-pixel layers that double it, a convolution 9 x 9.

use crate::generator::{Layout, Shape, Slopes, Tail};
use crate::prelu::Prelu;
use crate::shuffle::shuffle;
use burn::module::Module;
use burn::tensor::{Device, Tensor};
use gan_core::layers::{Activation, BatchNorm, Conv2d, Conv2dConfig, Layer, Statistics};

/// Convolution 9 x 9, residual blocks, doublings, convolution 9 x 9.
#[derive(Module, Debug)]
pub(crate) struct Srresnet {
    input: Conv2d,
    input_prelu: Prelu,
    blocks: Vec<Block>,
    tail: Conv2d,
    tail_norm: Option<BatchNorm>,
    tail_prelu: Option<Prelu>,
    ups: Vec<Up>,
    output: Conv2d,
    #[module(skip)]
    layout: Layout,
}

/// Two convolutions beside which the input goes on unchanged; nothing follows their sum.
#[derive(Module, Debug)]
struct Block {
    first: Conv2d,
    first_norm: BatchNorm,
    prelu: Prelu,
    second: Conv2d,
    second_norm: BatchNorm,
}

/// A convolution to four times the channels, which become twice the pixels each way.
#[derive(Module, Debug)]
struct Up {
    conv: Conv2d,
    prelu: Prelu,
}

impl Srresnet {
    /// An SRResNet of the shape, all weights zero.
    pub(crate) fn new(shape: &Shape, device: &Device) -> Self {
        let width = shape.width;
        let convolution = |from: usize, to: usize, side: usize| {
            Conv2dConfig::new([from, to], [side, side])
                .padding([side / 2, side / 2])
                .with_bias()
        };
        let before_norm = || match shape.layout {
            // A normalisation takes a bias out again; the paper's count of parameters has one all the same.
            Layout::Trunk => Conv2dConfig::new([width, width], [3, 3]).padding([1, 1]),
            _ => convolution(width, width, 3),
        };
        let prelu = || {
            let slopes = match shape.slopes {
                Slopes::Shared => 1,
                Slopes::Channel => width,
            };
            Prelu::new(slopes, device)
        };
        let block = |_| Block {
            first: before_norm().init(device),
            first_norm: BatchNorm::new(width, device),
            prelu: prelu(),
            second: before_norm().init(device),
            second_norm: BatchNorm::new(width, device),
        };
        let up = |_| Up {
            conv: convolution(width, 4 * width, 3).init(device),
            prelu: prelu(),
        };
        let is_normed = shape.tail == Tail::BatchNorm;
        Self {
            input: convolution(3, width, 9).init(device),
            input_prelu: prelu(),
            blocks: (0..shape.blocks).map(block).collect(),
            tail: before_norm().init(device),
            tail_norm: is_normed.then(|| BatchNorm::new(width, device)),
            tail_prelu: (!is_normed).then(prelu),
            ups: (0..shape.doublings()).map(up).collect(),
            output: convolution(width, 3, 9).init(device),
            layout: shape.layout,
        }
    }

    /// # Shapes
    /// - input: `[batch, 3, height, width]`
    /// - result: `[batch, 3, scale * height, scale * width]`
    pub(crate) fn forward(&self, input: Tensor<4>, statistics: Statistics) -> Tensor<4> {
        let first = self
            .input_prelu
            .after(|activation| self.input.activated(input, activation));
        // [batch, width, height, width]
        let mut features = first.clone();
        for block in &self.blocks {
            features = block.forward(features, statistics);
        }
        features = match (&self.tail_norm, &self.tail_prelu) {
            (Some(norm), _) => norm.after(&self.tail, features, statistics, Activation::Identity),
            (None, Some(prelu)) => {
                prelu.after(|activation| self.tail.activated(features, activation))
            }
            (None, None) => self.tail.forward(features),
        };
        features = first + features;
        for up in &self.ups {
            features = up.forward(features);
        }
        // [batch, width, scale * height, scale * width]
        match self.layout {
            // What tanh gives in [-1, 1], in [0, 1].
            Layout::Blocks => self.output.activated(features, Activation::Tanh) * 0.5 + 0.5,
            _ => self.output.forward(features),
        }
    }

    /// The names of leftthomas/SRGAN or of Lornatang/SRGAN-PyTorch.
    pub(crate) fn tensor_name(&self, path: &str) -> String {
        let mut parts = path.split('.');
        let part = parts.next().unwrap_or_default();
        let place: usize = parts.next().and_then(|text| text.parse().ok()).unwrap_or(0);
        let inner = parts.next().unwrap_or_default();
        let leaf = match path.rsplit('.').next().unwrap_or_default() {
            "slope" => "weight",
            leaf => leaf,
        };
        match self.layout {
            Layout::Trunk => match (part, inner) {
                ("input", _) => format!("conv1.0.{leaf}"),
                ("input_prelu", _) => format!("conv1.1.{leaf}"),
                ("blocks", _) => {
                    let index = match inner {
                        "first" => 0,
                        "first_norm" => 1,
                        "prelu" => 2,
                        "second" => 3,
                        _ => 4,
                    };
                    format!("trunk.{place}.rcb.{index}.{leaf}")
                }
                ("tail", _) => format!("conv2.0.{leaf}"),
                ("tail_norm" | "tail_prelu", _) => format!("conv2.1.{leaf}"),
                ("ups", "conv") => format!("upsampling.{place}.upsample_block.0.{leaf}"),
                ("ups", _) => format!("upsampling.{place}.upsample_block.2.{leaf}"),
                _ => format!("conv3.{leaf}"),
            },
            _ => {
                let (tail, ups) = (2 + self.blocks.len(), 3 + self.blocks.len());
                match part {
                    "input" => format!("block1.0.{leaf}"),
                    "input_prelu" => format!("block1.1.{leaf}"),
                    "blocks" => {
                        let layer = match inner {
                            "first" => "conv1",
                            "first_norm" => "bn1",
                            "prelu" => "prelu",
                            "second" => "conv2",
                            _ => "bn2",
                        };
                        format!("block{}.{layer}.{leaf}", 2 + place)
                    }
                    "tail" => format!("block{tail}.0.{leaf}"),
                    "tail_norm" | "tail_prelu" => format!("block{tail}.1.{leaf}"),
                    "ups" => format!("block{ups}.{place}.{inner}.{leaf}"),
                    _ => format!("block{ups}.{}.{leaf}", self.ups.len()),
                }
            }
        }
    }
}

impl Block {
    fn forward(&self, input: Tensor<4>, statistics: Statistics) -> Tensor<4> {
        let inner = self.prelu.after(|activation| {
            self.first_norm
                .after(&self.first, input.clone(), statistics, activation)
        });
        let identity = Activation::Identity;
        input
            + self
                .second_norm
                .after(&self.second, inner, statistics, identity)
    }
}

impl Up {
    fn forward(&self, input: Tensor<4>) -> Tensor<4> {
        match self.prelu.fixed() {
            // One slope for all: whether pixels change places before or after it is the same.
            Some(activation) => shuffle(self.conv.activated(input, activation), 2),
            None => self.prelu.forward(shuffle(self.conv.forward(input), 2)),
        }
    }
}
