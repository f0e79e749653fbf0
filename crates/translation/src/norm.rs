//! The normalisation of a translation network: of the batch, of each picture, or none.

use burn::tensor::Device;
use gan_core::layers::{self, NormLayer};

/// Which normalisation.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize, clap::ValueEnum,
)]
#[serde(rename_all = "kebab-case")]
pub enum Norm {
    /// Of each channel over the batch, with scale and shift: pix2pix.
    Batch,
    /// Of each channel of each picture, without scale and shift: CycleGAN.
    Instance,
    /// None.
    None,
}

impl Norm {
    /// Whether the convolution before it has a bias of its own. As in the authors' networks, only one before
    /// instance normalisation has, although that takes it out again.
    pub(crate) fn is_after_bias(self) -> bool {
        self == Self::Instance
    }

    /// The layer of this normalisation.
    pub(crate) fn layer(self, channels: usize, device: &Device) -> NormLayer {
        let norm = match self {
            Self::Batch => layers::Norm::Batch,
            Self::Instance => layers::Norm::Instance,
            Self::None => layers::Norm::None,
        };
        norm.layer(channels, device)
    }
}
