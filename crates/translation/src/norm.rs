//! The normalisation of a translation network: of the batch, of each picture, or none.

use burn::module::Module;
use burn::tensor::{Device, Tensor};
use gan_core::layers::{Activation, BatchNorm, InstanceNorm, Layer, Statistics};

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
        NormLayer {
            batch: (self == Self::Batch).then(|| BatchNorm::new(channels, device)),
            instance: (self == Self::Instance).then(InstanceNorm::default),
        }
    }
}

/// One normalisation of a network.
#[derive(Module, Debug)]
pub(crate) struct NormLayer {
    batch: Option<BatchNorm>,
    instance: Option<InstanceNorm>,
}

impl NormLayer {
    /// The layer, this normalisation of its output, and the activation.
    ///
    /// # Shapes
    /// - input: `[batch, in, height, width]`
    /// - result: `[batch, channels, ..]`
    pub(crate) fn after(
        &self,
        layer: &impl Layer<4>,
        input: Tensor<4>,
        statistics: Statistics,
        activation: Activation,
    ) -> Tensor<4> {
        match (&self.batch, &self.instance) {
            (Some(norm), _) => norm.after(layer, input, statistics, activation),
            (None, Some(norm)) => norm.after(layer, input, activation),
            (None, None) => layer.activated(input, activation),
        }
    }
}
