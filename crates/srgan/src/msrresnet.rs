//! MSRResNet, the generator with which MMagic and BasicSR train SRGAN: SRResNet without normalisation, with
//! convolutions 3 x 3 and leaky ReLUs, which adds to the picture resized bilinearly.

use crate::generator::{Layout, Shape};
use crate::shuffle::shuffle;
use burn::module::Module;
use burn::tensor::module::interpolate;
use burn::tensor::ops::{InterpolateMode, InterpolateOptions};
use burn::tensor::{Device, Tensor};
use gan_core::layers::{Activation, Conv2d, Conv2dConfig, Layer};

const LEAKY: Activation = Activation::LeakyRelu(0.1);

/// Convolutions 3 x 3 alone.
#[derive(Module, Debug)]
pub(crate) struct Msrresnet {
    input: Conv2d,
    blocks: Vec<Block>,
    ups: Vec<Conv2d>,
    fine: Conv2d,
    output: Conv2d,
    #[module(skip)]
    layout: Layout,
}

/// Two convolutions beside which the input goes on unchanged; nothing follows their sum.
#[derive(Module, Debug)]
struct Block {
    first: Conv2d,
    second: Conv2d,
}

impl Msrresnet {
    /// An MSRResNet of the shape, all weights zero.
    pub(crate) fn new(shape: &Shape, device: &Device) -> Self {
        let width = shape.width;
        let convolution = |from: usize, to: usize| {
            Conv2dConfig::new([from, to], [3, 3])
                .padding([1, 1])
                .with_bias()
                .init(device)
        };
        let block = |_| Block {
            first: convolution(width, width),
            second: convolution(width, width),
        };
        Self {
            input: convolution(3, width),
            blocks: (0..shape.blocks).map(block).collect(),
            ups: (0..shape.doublings())
                .map(|_| convolution(width, 4 * width))
                .collect(),
            fine: convolution(width, width),
            output: convolution(width, 3),
            layout: shape.layout,
        }
    }

    /// # Shapes
    /// - input: `[batch, 3, height, width]`
    /// - result: `[batch, 3, scale * height, scale * width]`
    pub(crate) fn forward(&self, input: Tensor<4>) -> Tensor<4> {
        let [_, _, height, width] = input.dims();
        let mut features = self.input.activated(input.clone(), LEAKY);
        // [batch, width, height, width]
        for block in &self.blocks {
            let inner = block.first.activated(features.clone(), Activation::RELU);
            features = features + block.second.forward(inner);
        }
        // BasicSR has an activation behind each doubling, MMagic has none.
        let activation = match self.layout {
            Layout::Basicsr => LEAKY,
            _ => Activation::Identity,
        };
        for up in &self.ups {
            features = shuffle(up.activated(features, activation), 2);
        }
        // [batch, width, scale * height, scale * width]
        let change = self.output.forward(self.fine.activated(features, LEAKY));
        let scale = 1 << self.ups.len();
        let options = InterpolateOptions::new(InterpolateMode::Bilinear)
            .with_align_corners(false)
            .with_output_size([scale * height, scale * width]);
        change + interpolate(input, options)
    }

    /// The names of MMagic or of BasicSR.
    pub(crate) fn tensor_name(&self, path: &str) -> String {
        let mut parts = path.split('.');
        let part = parts.next().unwrap_or_default();
        let place: usize = parts.next().and_then(|text| text.parse().ok()).unwrap_or(0);
        let leaf = path.rsplit('.').next().unwrap_or_default();
        let is_basicsr = self.layout == Layout::Basicsr;
        match part {
            "input" => format!("conv_first.{leaf}"),
            "blocks" => {
                let trunk = if is_basicsr { "body" } else { "trunk_net" };
                let layer = if parts.next() == Some("first") {
                    "conv1"
                } else {
                    "conv2"
                };
                format!("{trunk}.{place}.{layer}.{leaf}")
            }
            "ups" if is_basicsr => format!("upconv{}.{leaf}", 1 + place),
            "ups" => format!("upsample{}.upsample_conv.{leaf}", 1 + place),
            "fine" => format!("conv_hr.{leaf}"),
            _ => format!("conv_last.{leaf}"),
        }
    }
}
