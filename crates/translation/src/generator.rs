//! The generator of a translation: one of two networks from pictures to pictures.

use crate::norm::Norm;
use crate::resnet::Resnet;
use crate::unet::Unet;
use burn::module::Module;
use burn::tensor::{Device, Tensor};
use clap::ValueEnum;
use gan_core::layers::Statistics;
use gan_core::random::Stream;
use gan_core::weights::Network;

/// Which network, as the authors' `--netG` names them; those for small pictures are ours.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize, clap::ValueEnum,
)]
pub enum NetG {
    /// U-Net with 8 halvings, for sides that are multiples of 256.
    #[serde(rename = "unet_256")]
    #[value(name = "unet_256")]
    Unet256,
    /// U-Net with 7 halvings, for sides that are multiples of 128.
    #[serde(rename = "unet_128")]
    #[value(name = "unet_128")]
    Unet128,
    /// U-Net with 6 halvings, for sides that are multiples of 64.
    #[serde(rename = "unet_64")]
    #[value(name = "unet_64")]
    Unet64,
    /// U-Net with 5 halvings, for sides that are multiples of 32.
    #[serde(rename = "unet_32")]
    #[value(name = "unet_32")]
    Unet32,
    /// ResNet with 9 blocks, the authors' choice from 256 pixels.
    #[serde(rename = "resnet_9blocks")]
    #[value(name = "resnet_9blocks")]
    Resnet9,
    /// ResNet with 6 blocks, the authors' choice at 128 pixels.
    #[serde(rename = "resnet_6blocks")]
    #[value(name = "resnet_6blocks")]
    Resnet6,
    /// ResNet with 3 blocks.
    #[serde(rename = "resnet_3blocks")]
    #[value(name = "resnet_3blocks")]
    Resnet3,
}

impl NetG {
    /// The network's kind and depth.
    pub fn kind(self) -> Kind {
        match self {
            Self::Unet256 => Kind::Unet { levels: 8 },
            Self::Unet128 => Kind::Unet { levels: 7 },
            Self::Unet64 => Kind::Unet { levels: 6 },
            Self::Unet32 => Kind::Unet { levels: 5 },
            Self::Resnet9 => Kind::Resnet { blocks: 9 },
            Self::Resnet6 => Kind::Resnet { blocks: 6 },
            Self::Resnet3 => Kind::Resnet { blocks: 3 },
        }
    }
}

/// Kind and depth of a generator.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A U-Net.
    Unet {
        /// Halvings.
        levels: usize,
    },
    /// A ResNet.
    Resnet {
        /// Residual blocks.
        blocks: usize,
    },
}

/// What a generator is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shape {
    /// Kind and depth.
    pub kind: Kind,
    /// Channels of the first layer.
    pub width: usize,
    /// Which normalisation.
    pub norm: Norm,
    /// Whether it has dropout layers (probability 0.5).
    pub dropout: bool,
    /// Channels of the pictures that come in.
    pub input: usize,
    /// Channels of the pictures that go out.
    pub output: usize,
}

impl Shape {
    /// The flags of `train` that ask for it, but for the channels; none where no flags do.
    pub fn flags(&self) -> Option<String> {
        let all = NetG::value_variants().iter();
        let net = all.copied().find(|net| net.kind() == self.kind)?;
        let name = |value: Option<clap::builder::PossibleValue>| {
            value.map(|value| value.get_name().to_owned())
        };
        Some(format!(
            "--net-g {} --width-g {} --norm {}",
            name(net.to_possible_value())?,
            self.width,
            name(self.norm.to_possible_value())?
        ))
    }

    /// Both sides of a picture must be multiples of this many pixels.
    pub fn multiple(&self) -> usize {
        match self.kind {
            Kind::Unet { levels } => 1 << levels,
            Kind::Resnet { .. } => 4,
        }
    }

    /// The shortest legal side of a picture.
    pub fn shortest(&self) -> usize {
        self.multiple().max(8)
    }

    /// Numbers in the weights of the convolutions between the first and the last: a lower bound of the network's
    /// size.
    pub fn least_size(&self) -> u64 {
        let width = self.width as u64;
        match self.kind {
            Kind::Unet { levels } => {
                let channels = |level: usize| width.saturating_mul(1 << level.min(3));
                (1..levels)
                    .map(|level| {
                        let pair = channels(level - 1).saturating_mul(channels(level));
                        pair.saturating_mul(32)
                    })
                    .fold(0, u64::saturating_add)
            }
            Kind::Resnet { blocks } => {
                let pair = width.saturating_mul(width);
                pair.saturating_mul(18 * 16 * blocks as u64 + 9 * 20)
            }
        }
    }

    /// Values that a layer of the network keeps for one picture of `side` x `side`, about: see
    /// [`gan_core::stage::Stage::activations`].
    pub fn activations(&self, side: usize) -> u64 {
        let (width, pixels) = (self.width as u64, (side * side) as u64);
        match self.kind {
            // Halvings and doublings: 1/4 + 2/16 + 4/64 + 8/256 + ... of the pixels, each side twice; and the
            // doublings beside their halvings.
            Kind::Unet { .. } => 2 * width * pixels * 6 / 10 * 3 / 2,
            // The outer layers at full size, the halvings, and two a block at a quarter of the side.
            Kind::Resnet { blocks } => 2 * width * pixels * (5 + blocks as u64) / 2,
        }
    }
}

/// Pictures to pictures, both in [-1, 1].
#[derive(Module, Debug)]
pub struct Generator {
    unet: Option<Unet>,
    resnet: Option<Resnet>,
}

impl Generator {
    /// A generator of the shape, all weights zero.
    pub fn new(shape: &Shape, device: &Device) -> Self {
        match shape.kind {
            Kind::Unet { levels } => Self {
                unet: Some(Unet::new(levels, shape, device)),
                resnet: None,
            },
            Kind::Resnet { blocks } => Self {
                unet: None,
                resnet: Some(Resnet::new(blocks, shape, device)),
            },
        }
    }

    /// Translates pictures. Dropout acts where the network has it and a stream is given.
    ///
    /// # Shapes
    /// - `input`: `[batch, input, height, width]` in [-1, 1], sides as [`Shape::multiple`] says
    /// - result: `[batch, output, height, width]` in [-1, 1]
    pub fn forward(
        &self,
        input: Tensor<4>,
        statistics: Statistics,
        dropout: Option<&mut Stream>,
    ) -> Tensor<4> {
        match (&self.unet, &self.resnet) {
            (Some(unet), _) => unet.forward(input, statistics, dropout),
            (None, Some(resnet)) => resnet.forward(input, statistics, dropout),
            (None, None) => input,
        }
    }
}

impl Network for Generator {
    fn tensor_name(&self, path: &str) -> String {
        let (_, inner) = path.split_once('.').unwrap_or(("", path));
        match (&self.unet, &self.resnet) {
            (Some(unet), _) => unet.tensor_name(inner),
            (None, Some(resnet)) => resnet.tensor_name(inner),
            (None, None) => inner.to_owned(),
        }
    }
}
