//! The normalisation behind a layer: of the batch, of each sample, by references, or none.

use super::{Activation, BatchNorm, InstanceNorm, Layer, Statistics, VirtualBatchNorm, activation};
use burn::module::Module;
use burn::tensor::{Device, Tensor};

/// Which normalisation.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize, clap::ValueEnum,
)]
#[serde(rename_all = "kebab-case")]
pub enum Norm {
    /// None.
    None,
    /// Of each channel over the batch, with scale and shift (Ioffe and Szegedy 2015).
    Batch,
    /// Of each channel of each sample, without scale and shift (Ulyanov et al. 2016). Where samples have no places, all
    /// units of a sample are one channel.
    Instance,
    /// Of each channel by the statistics of a batch that is chosen once (Salimans et al. 2016).
    Virtual,
}

impl Norm {
    /// The layer of this normalisation.
    pub fn layer(self, channels: usize, device: &Device) -> NormLayer {
        NormLayer {
            batch: (self == Self::Batch).then(|| BatchNorm::new(channels, device)),
            instance: (self == Self::Instance).then(InstanceNorm::default),
            reference: (self == Self::Virtual).then(|| VirtualBatchNorm::new(channels, device)),
        }
    }
}

/// One normalisation of a network.
#[derive(Module, Debug)]
pub struct NormLayer {
    batch: Option<BatchNorm>,
    instance: Option<InstanceNorm>,
    reference: Option<VirtualBatchNorm>,
}

impl NormLayer {
    /// Whether there is none.
    pub fn is_none(&self) -> bool {
        self.batch.is_none() && self.instance.is_none() && self.reference.is_none()
    }

    /// The layer, this normalisation of its output, and the activation, where no references are needed.
    ///
    /// # Shapes
    /// - input: `[batch, in, ..]`
    /// - result: `[batch, channels, ..]`
    pub fn after<const D: usize>(
        &self,
        layer: &impl Layer<D>,
        input: Tensor<D>,
        statistics: Statistics,
        follows: Activation,
    ) -> Tensor<D> {
        self.behind(layer, input, statistics, 0, follows)
    }

    /// As [`NormLayer::after`], where the first `references` samples are those of virtual batch normalisation.
    ///
    /// # Shapes
    /// - input: `[references + batch, in, ..]`
    /// - result: `[references + batch, channels, ..]`
    pub fn behind<const D: usize>(
        &self,
        layer: &impl Layer<D>,
        input: Tensor<D>,
        statistics: Statistics,
        references: usize,
        follows: Activation,
    ) -> Tensor<D> {
        if let Some(norm) = &self.batch {
            return norm.after(layer, input, statistics, follows);
        }
        if self.is_none() {
            return layer.activated(input, follows);
        }
        let output = layer.activated(input, Activation::Identity);
        if let Some(norm) = &self.reference {
            return activation(norm.forward(output, references), follows);
        }
        let dims = output.dims();
        let places = match dims[..] {
            [batch, units] => [batch, 1, 1, units],
            _ => [dims[0], dims[1], 1, dims[2..].iter().product()],
        };
        match &self.instance {
            Some(norm) => norm
                .activated(output.reshape(places), follows)
                .reshape(dims),
            None => output,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layers::Linear;

    #[test]
    fn units_without_places_are_one_channel() {
        let device = Device::flex();
        let linear = Linear {
            weight: burn::module::Param::from_tensor(Tensor::from_data(
                [[1.0f32, 0.0], [0.0, 1.0]],
                &device,
            )),
            bias: None,
        };
        let input = Tensor::<2>::from_data([[0.0f32, 2.0], [-9.0, -5.0]], &device);
        let norm = Norm::Instance.layer(2, &device);
        let output = norm.after(&linear, input, Statistics::Update, Activation::Identity);
        for (value, expected) in output.into_data().iter::<f32>().zip([-1.0, 1.0, -1.0, 1.0]) {
            assert!((value - expected).abs() < 1e-4);
        }
    }
}
