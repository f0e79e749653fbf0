//! Instance normalisation (Ulyanov et al. 2016, arXiv 1607.08022).

use burn::module::Module;
use burn::tensor::Tensor;
use convolution::Activation;
use convolution::layers::{Layer, normalised};

/// Normalises each channel of each picture by its own mean and variance. It has no scale and no shift, as in
/// CycleGAN (PyTorch's default, `affine=False`), and so no tensors in a file.
#[derive(Module, Debug)]
pub struct InstanceNorm {
    /// Added to the variance; PyTorch's default is 1e-5.
    pub epsilon: f64,
}

impl Default for InstanceNorm {
    fn default() -> Self {
        Self { epsilon: 1e-5 }
    }
}

impl InstanceNorm {
    /// Normalises, and applies the activation in the same pass.
    ///
    /// # Shapes
    /// - input and output: `[batch, channels, height, width]`
    pub fn activated(&self, input: Tensor<4>, activation: Activation) -> Tensor<4> {
        let [batch, channels, height, width] = input.dims();
        let device = input.device();
        // Every channel of every picture is a channel of its own of one picture.
        let apart = input.reshape([1, batch * channels, height, width]);
        let ones = Tensor::ones([batch * channels], &device);
        let zeros = Tensor::zeros([batch * channels], &device);
        normalised(apart, ones, zeros, self.epsilon, activation)
            .output
            .reshape([batch, channels, height, width])
    }

    /// The layer, this normalisation of its output, and the activation.
    ///
    /// # Shapes
    /// - input: `[batch, in, height, width]`
    /// - result: `[batch, channels, ..]`
    pub fn after(
        &self,
        layer: &impl Layer<4>,
        input: Tensor<4>,
        activation: Activation,
    ) -> Tensor<4> {
        self.activated(layer.activated(input, Activation::Identity), activation)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::Device;

    #[test]
    fn every_picture_and_channel_has_its_own_statistics() {
        let device = Device::flex();
        // Means 1, 10, -4, 0 and deviations 1, 2, 3, 0.
        let input = Tensor::<4>::from_data(
            [
                [[[0.0f32, 2.0]], [[8.0, 12.0]]],
                [[[-7.0, -1.0]], [[0.0, 0.0]]],
            ],
            &device,
        );
        let output = InstanceNorm::default().activated(input, Activation::Identity);
        let values: Vec<f32> = output.into_data().iter::<f32>().collect();
        let expected = [-1.0, 1.0, -1.0, 1.0, -1.0, 1.0, 0.0, 0.0];
        for (value, expected) in values.iter().zip(expected) {
            assert!((value - expected).abs() < 1e-4, "{values:?}");
        }
    }
}
