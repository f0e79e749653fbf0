//! PReLU (He et al. 2015, <https://arxiv.org/abs/1502.01852>): a leaky ReLU that learns its slope.

use burn::module::{Module, Param};
use burn::tensor::{Device, Tensor};
use gan_core::layers::{Activation, activation};

/// The slope below zero that training starts from (section 2.2; PyTorch's default).
pub(crate) const INITIAL_SLOPE: f32 = 0.25;

/// `x` where it is positive, else `slope * x`, with one slope for all channels or one for each.
#[derive(Module, Debug)]
pub(crate) struct Prelu {
    /// `[1]` or `[channels]`; PyTorch calls it `weight`.
    slope: Param<Tensor<1>>,
}

impl Prelu {
    /// `slopes` slopes of 0.25: one, or as many as channels.
    pub(crate) fn new(slopes: usize, device: &Device) -> Self {
        let slope = Tensor::full([slopes], INITIAL_SLOPE, device);
        Self {
            slope: Param::from_tensor(slope),
        }
    }

    /// # Shapes
    /// - input and result: `[batch, channels, height, width]`
    pub(crate) fn forward(&self, input: Tensor<4>) -> Tensor<4> {
        let slope = self.slope.val();
        let slopes = slope.dims()[0];
        let above = activation(input.clone(), Activation::RELU);
        let below = input - above.clone();
        above + below * slope.reshape([1, slopes, 1, 1])
    }

    /// The slope as part of another layer's pass, where it is one for all channels and nobody learns it.
    pub(crate) fn fixed(&self) -> Option<Activation> {
        let slope = self.slope.val();
        if slope.is_autodiff() || slope.dims() != [1] {
            return None;
        }
        let slope = slope.into_scalar::<f32>();
        // An activation's gradient is told from its output's sign, which wants slopes that keep it.
        (slope >= 0.0).then_some(Activation::LeakyRelu(slope))
    }

    /// What `layer` makes with an activation in its own pass, and this one behind it.
    pub(crate) fn after(&self, layer: impl FnOnce(Activation) -> Tensor<4>) -> Tensor<4> {
        match self.fixed() {
            Some(activation) => layer(activation),
            None => self.forward(layer(Activation::Identity)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prelu(slopes: &[f32], device: &Device) -> Prelu {
        let slope = Tensor::from_data(slopes, device);
        Prelu {
            slope: Param::from_tensor(slope),
        }
    }

    fn read<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
        gan_core::weights::values(tensor)
    }

    #[test]
    fn values_and_gradients_by_hand() {
        let device = Device::flex();
        let autodiff = device.clone().autodiff();
        let values = [[[[-2.0f32, 0.0, 3.0]], [[-4.0, 1.0, -1.0]]]];
        let input = || Tensor::<4>::from_data(values, &device);
        // PyTorch: F.prelu(x, torch.tensor([0.5, -0.25])), and its gradients for a loss of (1 + index) * output.
        for (slopes, output, input_gradient, slope_gradient) in [
            (
                &[0.5f32, -0.25][..],
                [-1.0, 0.0, 3.0, 1.0, 1.0, 0.25],
                [0.5, 1.0, 3.0, -1.0, 5.0, -1.5],
                vec![-2.0, -22.0],
            ),
            (
                &[0.5],
                [-1.0, 0.0, 3.0, -2.0, 1.0, -0.5],
                [0.5, 1.0, 3.0, 2.0, 5.0, 3.0],
                vec![-24.0],
            ),
        ] {
            let layer = prelu(slopes, &autodiff);
            assert!(layer.fixed().is_none());
            let tracked = Tensor::from_inner(input()).require_grad();
            let made = layer.forward(tracked.clone());
            assert_eq!(read(made.clone().inner()), output);
            let factors = [[[[1.0f32, 2.0, 3.0]], [[4.0, 5.0, 6.0]]]];
            let factors = Tensor::from_inner(Tensor::from_data(factors, &device));
            let gradients = (made * factors).sum().backward();
            assert_eq!(read(tracked.grad(&gradients).unwrap()), input_gradient);
            let gradient = layer.slope.val().grad(&gradients).unwrap();
            assert_eq!(read(gradient), slope_gradient);
        }
        let fixed = prelu(&[0.5], &device).fixed();
        assert_eq!(fixed, Some(Activation::LeakyRelu(0.5)));
        assert_eq!(prelu(&[-0.5], &device).fixed(), None);
    }
}
