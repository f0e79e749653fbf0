//! What tells real from upscaled crops (section 2.1, figure 4).

use burn::module::Module;
use burn::tensor::{Device, Tensor};
use gan_core::layers::{Activation, BatchNorm, Conv2d, Conv2dConfig, Layer, Linear, Statistics};
use gan_core::weights::Network;

const LEAKY: Activation = Activation::LeakyRelu(0.2);

/// Values of the hidden dense layer.
const HIDDEN: usize = 1024;

/// Output channels of the convolutions, as multiples of the first one's; every second halves the picture.
const CHANNELS: [usize; 8] = [1, 1, 2, 2, 4, 4, 8, 8];

/// What a discriminator is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shape {
    /// Channels of the first convolution.
    pub width: usize,
    /// Sides of the crops in pixels, a multiple of [`Shape::MULTIPLE`].
    pub side: usize,
}

impl Shape {
    /// Four halvings.
    pub const MULTIPLE: usize = 16;

    /// The shape that a configuration asks for.
    pub fn new(config: &crate::Config) -> Self {
        Self {
            width: config.width_d,
            side: config.crop_size,
        }
    }

    /// Values that reach the dense layers.
    fn features(&self) -> usize {
        let side = self.side / Self::MULTIPLE;
        8 * self.width * side * side
    }

    /// As [`crate::generator::Shape::activations`].
    pub fn activations(&self) -> u64 {
        // 1 + 1/4 + 2/4 + 2/16 + 4/16 + 4/64 + 8/64 + 8/256 of the pixels; before and after the activation, and
        // normalised ones once more.
        let values = self.width * self.side * self.side;
        (6 * values + HIDDEN) as u64
    }
}

/// Eight convolutions 3 x 3 and two dense layers. Names of tensors are those of Lornatang/SRGAN-PyTorch; the
/// convolutions keep the biases that the paper's count of parameters has.
#[derive(Module, Debug)]
pub struct Discriminator {
    convs: Vec<Conv2d>,
    norms: Vec<BatchNorm>,
    hidden: Linear,
    output: Linear,
}

impl Discriminator {
    /// A discriminator of the shape, all weights zero.
    pub fn new(shape: &Shape, device: &Device) -> Self {
        let channels = CHANNELS.map(|times| times * shape.width);
        let conv = |layer: usize| {
            let from = if layer == 0 { 3 } else { channels[layer - 1] };
            let stride = 1 + layer % 2;
            Conv2dConfig::new([from, channels[layer]], [3, 3])
                .stride([stride, stride])
                .padding([1, 1])
                .with_bias()
                .init(device)
        };
        Self {
            convs: (0..channels.len()).map(conv).collect(),
            norms: channels[1..]
                .iter()
                .map(|channels| BatchNorm::new(*channels, device))
                .collect(),
            hidden: Linear::new(shape.features(), HIDDEN, device),
            output: Linear::new(HIDDEN, 1, device),
        }
    }

    /// One logit a crop; its sigmoid is the probability that the crop is real.
    ///
    /// # Shapes
    /// - `pictures`: `[batch, 3, side, side]`, RGB in [-1, 1]
    /// - result: `[batch, 1]`
    pub fn forward(&self, pictures: Tensor<4>, statistics: Statistics) -> Tensor<2> {
        let batch = pictures.dims()[0];
        let mut features = pictures;
        for (layer, conv) in self.convs.iter().enumerate() {
            features = match layer.checked_sub(1) {
                Some(place) => self.norms[place].after(conv, features, statistics, LEAKY),
                None => conv.activated(features, LEAKY),
            };
        }
        // [batch, 8 width, side / 16, side / 16]
        let values = features.dims()[1..].iter().product::<usize>();
        let hidden = self
            .hidden
            .activated(features.reshape([batch, values]), LEAKY);
        self.output.forward(hidden)
    }
}

impl Network for Discriminator {
    /// A `Sequential` of convolution and activation, then of convolution, normalisation and activation.
    fn tensor_name(&self, path: &str) -> String {
        let mut parts = path.split('.');
        let list = parts.next().unwrap_or_default();
        let place: usize = parts.next().and_then(|text| text.parse().ok()).unwrap_or(0);
        let leaf = path.rsplit('.').next().unwrap_or_default();
        match list {
            "convs" if place == 0 => format!("features.0.{leaf}"),
            "convs" => format!("features.{}.{leaf}", 3 * place - 1),
            "norms" => format!("features.{}.{leaf}", 3 * place + 3),
            "hidden" => format!("classifier.0.{leaf}"),
            _ => format!("classifier.2.{leaf}"),
        }
    }
}
