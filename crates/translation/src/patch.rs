//! Discriminators that judge patches: each value of their output sees one part of the picture (Isola et al. 2017,
//! <https://arxiv.org/abs/1611.07004>, section 3.2.2 and appendix 6.1.2; layers and tensor names as in the authors'
//! PyTorch program).

use crate::discriminator::Shape;
use burn::module::Module;
use burn::tensor::{Device, Tensor};
use gan_core::layers::{Activation, Conv2d, Conv2dConfig, Layer, NormLayer, Statistics};

const LEAKY: Activation = Activation::LeakyRelu(0.2);

/// Strided convolutions; with three layers each value sees 70 x 70 pixels.
#[derive(Module, Debug)]
pub(crate) struct Patch {
    input: Conv2d,
    inner: Vec<Conv2d>,
    norms: Vec<NormLayer>,
    output: Conv2d,
}

impl Patch {
    /// A discriminator with `layers` halvings, all weights zero.
    pub(crate) fn new(layers: usize, shape: &Shape, device: &Device) -> Self {
        let channels = |layer: usize| shape.width << layer.min(3);
        let convolution = |from: usize, to: usize, stride: usize| {
            Conv2dConfig::new([from, to], [4, 4])
                .stride([stride, stride])
                .padding([1, 1])
        };
        let inner = |layer: usize| {
            let stride = if layer < layers { 2 } else { 1 };
            let config = convolution(channels(layer - 1), channels(layer), stride);
            if shape.norm.is_after_bias() {
                config.with_bias().init(device)
            } else {
                config.init(device)
            }
        };
        Self {
            input: convolution(shape.input, shape.width, 2)
                .with_bias()
                .init(device),
            inner: (1..=layers).map(inner).collect(),
            norms: (1..=layers)
                .map(|layer| shape.norm.layer(channels(layer), device))
                .collect(),
            output: convolution(channels(layers), 1, 1).with_bias().init(device),
        }
    }

    /// # Shapes
    /// - input: `[batch, input, height, width]`
    /// - result: logits, `[batch, 1, height / 2^layers - 2, width / 2^layers - 2]`
    pub(crate) fn forward(&self, input: Tensor<4>, statistics: Statistics) -> Tensor<4> {
        let mut features = self.input.activated(input, LEAKY);
        for (layer, norm) in self.inner.iter().zip(&self.norms) {
            features = norm.after(layer, features, statistics, LEAKY);
        }
        self.output.forward(features)
    }

    /// The authors' `Sequential`: convolution and activation, then convolution, normalisation and activation.
    pub(crate) fn tensor_name(&self, path: &str) -> String {
        let mut parts = path.split('.');
        let list = parts.next().unwrap_or_default();
        let place: usize = parts.next().and_then(|text| text.parse().ok()).unwrap_or(0);
        let leaf = path.rsplit('.').next().unwrap_or_default();
        let index = match list {
            "input" => 0,
            "inner" => 2 + 3 * place,
            "norms" => 3 + 3 * place,
            _ => 2 + 3 * self.inner.len(),
        };
        format!("model.{index}.{leaf}")
    }
}

/// Convolutions of 1 x 1: each pixel is judged alone.
#[derive(Module, Debug)]
pub(crate) struct Pixel {
    input: Conv2d,
    inner: Conv2d,
    norm: NormLayer,
    output: Conv2d,
}

impl Pixel {
    /// A discriminator of single pixels, all weights zero.
    pub(crate) fn new(shape: &Shape, device: &Device) -> Self {
        let convolution = |from: usize, to: usize| {
            let config = Conv2dConfig::new([from, to], [1, 1]);
            if shape.norm.is_after_bias() {
                config.with_bias()
            } else {
                config
            }
        };
        let width = shape.width;
        Self {
            input: Conv2dConfig::new([shape.input, width], [1, 1])
                .with_bias()
                .init(device),
            inner: convolution(width, 2 * width).init(device),
            norm: shape.norm.layer(2 * width, device),
            output: convolution(2 * width, 1).init(device),
        }
    }

    /// # Shapes
    /// - input: `[batch, input, height, width]`
    /// - result: logits, `[batch, 1, height, width]`
    pub(crate) fn forward(&self, input: Tensor<4>, statistics: Statistics) -> Tensor<4> {
        let features = self.input.activated(input, LEAKY);
        let features = self.norm.after(&self.inner, features, statistics, LEAKY);
        self.output.forward(features)
    }

    /// The authors' `Sequential`.
    pub(crate) fn tensor_name(&self, path: &str) -> String {
        let index = match path.split('.').next().unwrap_or_default() {
            "input" => 0,
            "inner" => 2,
            "norm" => 3,
            _ => 5,
        };
        let leaf = path.rsplit('.').next().unwrap_or_default();
        format!("net.{index}.{leaf}")
    }
}
