//! Batch normalisation (Ioffe and Szegedy 2015, arXiv 1502.03167).

use burn::module::{Module, Param, RunningState};
use burn::tensor::{Device, Tensor};
use convolution::Activation;
use convolution::layers::{Layer, normalised, scaled};

/// Where batch normalisation takes its mean and variance from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Statistics {
    /// This batch, and move the running averages: training.
    Update,
    /// This batch, and leave the running averages alone: pix2pix's authors infer so.
    Batch,
    /// The running averages: each sample is independent of the others.
    Running,
}

/// Batch normalisation over `[batch, channels, ...]`, one mean and variance a channel.
///
/// Differs from burn 0.22's own: the mode is asked for instead of guessed from the device, the
/// running variance is the unbiased one as in PyTorch, and an update is visible at once (burn's is
/// saved one forward late).
#[derive(Module, Debug)]
pub struct BatchNorm {
    /// Scale, `[channels]`.
    pub weight: Param<Tensor<1>>,
    /// Shift, `[channels]`.
    pub bias: Param<Tensor<1>>,
    /// Running mean, `[channels]`.
    pub running_mean: RunningState<Tensor<1>>,
    /// Running variance (unbiased), `[channels]`.
    pub running_var: RunningState<Tensor<1>>,
    /// How far one batch moves the running averages; PyTorch's default is 0.1.
    pub momentum: f64,
    /// Added to the variance; PyTorch's default is 1e-5.
    pub epsilon: f64,
}

impl BatchNorm {
    /// Scale 1, shift 0, running mean 0, running variance 1, momentum 0.1, epsilon 1e-5.
    pub fn new(channels: usize, device: &Device) -> Self {
        Self {
            weight: Param::from_tensor(Tensor::ones([channels], device)),
            bias: Param::from_tensor(Tensor::zeros([channels], device)),
            running_mean: RunningState::new(Tensor::zeros([channels], device)),
            running_var: RunningState::new(Tensor::ones([channels], device)),
            momentum: 0.1,
            epsilon: 1e-5,
        }
    }

    /// Normalises each channel.
    ///
    /// # Shapes
    /// - input and output: `[batch, channels, ...]`
    pub fn forward<const D: usize>(&self, input: Tensor<D>, statistics: Statistics) -> Tensor<D> {
        self.activated(input, statistics, Activation::Identity)
    }

    /// The layer, this normalisation of its output, and the activation. With the running averages, all of
    /// it is one pass.
    ///
    /// # Shapes
    /// - input: `[batch, in, ...]`
    /// - result: `[batch, channels, ...]`
    pub fn after<const D: usize>(
        &self,
        layer: &impl Layer<D>,
        input: Tensor<D>,
        statistics: Statistics,
        activation: Activation,
    ) -> Tensor<D> {
        if statistics == Statistics::Running {
            let (scale, shift) = self.running();
            return layer.finished(input, scale, shift, activation);
        }
        self.activated(
            layer.activated(input, Activation::Identity),
            statistics,
            activation,
        )
    }

    /// Scale and shift that the running averages amount to, each `[channels]`.
    fn running(&self) -> (Tensor<1>, Tensor<1>) {
        let deviation = (self.running_var.value() + self.epsilon).sqrt();
        let scale = self.weight.val() / deviation;
        let shift = self.bias.val() - self.running_mean.value() * scale.clone();
        (scale, shift)
    }

    /// Normalises each channel and applies the activation, in one pass over the values.
    ///
    /// # Shapes
    /// - input and output: `[batch, channels, ...]`
    pub fn activated<const D: usize>(
        &self,
        input: Tensor<D>,
        statistics: Statistics,
        activation: Activation,
    ) -> Tensor<D> {
        let (weight, bias) = (self.weight.val(), self.bias.val());
        if statistics == Statistics::Running {
            let (scale, shift) = self.running();
            return scaled(input, scale, shift, activation);
        }
        let dims = input.dims();
        let result = normalised(input, weight, bias, self.epsilon, activation);
        if statistics == Statistics::Update {
            let count = (dims.iter().product::<usize>() / dims[1]) as f64;
            let unbiased = if count > 1.0 {
                count / (count - 1.0)
            } else {
                1.0
            };
            let keep = 1.0 - self.momentum;
            let mean =
                self.running_mean.value().mul_scalar(keep) + result.mean.mul_scalar(self.momentum);
            let variance = self.running_var.value().mul_scalar(keep)
                + result.variance.mul_scalar(self.momentum * unbiased);
            // Folding the update in at once: burn would keep it pending until the next forward,
            // and a record taken in between would miss it.
            self.running_mean.update(mean.detach());
            self.running_var.update(variance.detach());
            let _ = self.running_mean.value_sync();
            let _ = self.running_var.value_sync();
        }
        result.output
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(state: &RunningState<Tensor<1>>) -> Vec<f32> {
        state.value().into_data().iter::<f32>().collect()
    }

    fn input(device: &Device) -> Tensor<2> {
        // One channel with the values 0, 2, 4, 6: mean 3, biased variance 5, unbiased 20/3.
        Tensor::from_data([[0.0f32], [2.0], [4.0], [6.0]], device)
    }

    #[test]
    fn running_averages_are_pytorchs_and_visible_at_once() {
        let device = Device::flex().autodiff();
        let norm = BatchNorm::new(1, &device);
        let _ = norm.forward(input(&device), Statistics::Update);
        assert!((values(&norm.running_mean)[0] - 0.3).abs() < 1e-6);
        let expected = 0.9 + 0.1 * 20.0 / 3.0;
        assert!((values(&norm.running_var)[0] - expected as f32).abs() < 1e-6);
    }

    #[test]
    fn the_three_modes_differ_as_they_should() {
        let device = Device::flex();
        let norm = BatchNorm::new(1, &device);
        let read = |t: Tensor<2>| t.into_data().iter::<f32>().collect::<Vec<_>>();
        let batch = read(norm.forward(input(&device), Statistics::Batch));
        assert!((batch[0] + 3.0 / 5f32.sqrt()).abs() < 1e-4, "{batch:?}");
        assert_eq!(values(&norm.running_mean), [0.0], "Batch moves nothing");
        let running = read(norm.forward(input(&device), Statistics::Running));
        assert!((running[3] - 6.0).abs() < 1e-4, "{running:?}");
    }

    #[test]
    fn a_constant_batch_stays_finite() {
        let device = Device::flex().autodiff();
        let norm = BatchNorm::new(3, &device);
        let input = Tensor::<4>::ones([2, 3, 1, 1], &device.clone().without_autodiff());
        let input = Tensor::from_inner(input).require_grad();
        let output = norm.forward(input.clone(), Statistics::Update);
        let gradients = output.sum().backward();
        let gradient = input.grad(&gradients).unwrap();
        assert!(gradient.into_data().iter::<f32>().all(f32::is_finite));
    }
}
