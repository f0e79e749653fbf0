//! The discriminator of a translation: logits for patches, or for single pixels.

use crate::norm::Norm;
use crate::patch::{Patch, Pixel};
use burn::module::Module;
use burn::tensor::{Device, Tensor};
use gan_core::layers::Statistics;
use gan_core::weights::Network;

/// Which network, as the authors' `--netD` names them.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize, clap::ValueEnum,
)]
pub enum NetD {
    /// Patches of 70 x 70 pixels: three halvings.
    #[serde(rename = "basic")]
    #[value(name = "basic")]
    Basic,
    /// Patches of as many halvings as --layers-d says: 1, 2, 3, 4, 5, 6 see 16, 34, 70, 142, 286, 574 pixels.
    #[serde(rename = "n_layers")]
    #[value(name = "n_layers")]
    NLayers,
    /// Single pixels.
    #[serde(rename = "pixel")]
    #[value(name = "pixel")]
    Pixel,
}

/// What a discriminator is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shape {
    /// Halvings of a discriminator of patches; none judges single pixels.
    pub layers: Option<usize>,
    /// Channels of the first layer.
    pub width: usize,
    /// Which normalisation.
    pub norm: Norm,
    /// Channels that come in: those of a picture, or of two that belong together.
    pub input: usize,
}

impl Shape {
    /// The shape that `--net-d`, `--layers-d`, `--width-d` and `--norm` ask for.
    pub fn new(net: NetD, layers: usize, width: usize, norm: Norm, input: usize) -> Self {
        let layers = match net {
            NetD::Basic => Some(3),
            NetD::NLayers => Some(layers),
            NetD::Pixel => None,
        };
        Self {
            layers,
            width,
            norm,
            input,
        }
    }

    /// The shortest side of a picture that leaves a patch to judge.
    pub fn shortest(&self) -> usize {
        match self.layers {
            // After the halvings two convolutions of 4 x 4 each take a pixel.
            Some(layers) => 3 << layers,
            None => 1,
        }
    }

    /// As [`crate::generator::Shape::activations`].
    pub fn activations(&self, side: usize) -> u64 {
        let (width, pixels) = (self.width as u64, (side * side) as u64);
        match self.layers {
            // 1/4 + 2/16 + 4/64 + 8/64 of the pixels, normalised ones twice.
            Some(_) => width * pixels,
            None => 5 * width * pixels,
        }
    }
}

/// Pictures to logits, one for each patch.
#[derive(Module, Debug)]
pub struct Discriminator {
    patch: Option<Patch>,
    pixel: Option<Pixel>,
}

impl Discriminator {
    /// A discriminator of the shape, all weights zero.
    pub fn new(shape: &Shape, device: &Device) -> Self {
        match shape.layers {
            Some(layers) => Self {
                patch: Some(Patch::new(layers, shape, device)),
                pixel: None,
            },
            None => Self {
                patch: None,
                pixel: Some(Pixel::new(shape, device)),
            },
        }
    }

    /// One logit a patch; its sigmoid, or with least squares the logit itself, tells how real the patch looks.
    ///
    /// # Shapes
    /// - `pictures`: `[batch, input, height, width]` in [-1, 1]
    /// - result: `[batch, 1, rows, columns]`; 30 x 30 for 256 x 256 pixels and three halvings
    pub fn forward(&self, pictures: Tensor<4>, statistics: Statistics) -> Tensor<4> {
        match (&self.patch, &self.pixel) {
            (Some(patch), _) => patch.forward(pictures, statistics),
            (None, Some(pixel)) => pixel.forward(pictures, statistics),
            (None, None) => pictures,
        }
    }
}

impl Network for Discriminator {
    fn tensor_name(&self, path: &str) -> String {
        let (_, inner) = path.split_once('.').unwrap_or(("", path));
        match (&self.patch, &self.pixel) {
            (Some(patch), _) => patch.tensor_name(inner),
            (None, Some(pixel)) => pixel.tensor_name(inner),
            (None, None) => inner.to_owned(),
        }
    }
}
