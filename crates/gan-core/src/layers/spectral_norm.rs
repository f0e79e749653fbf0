//! Spectral normalisation (Miyato et al. 2018, <https://arxiv.org/abs/1802.05957>).

use super::Statistics;
use crate::random::Stream;
use burn::module::{Module, RunningState};
use burn::tensor::{Device, Tensor, TensorData};

/// Divides a layer's weight by its largest singular value, which one step of power iteration a pass follows (algorithm
/// 1): the layer then stretches no input by more than 1.
///
/// Where the iteration stands is kept with the weights, so that a resumed run goes on bit for bit.
#[derive(Module, Debug)]
pub struct SpectralNorm {
    /// The left singular vector as far as it is known, `[outputs]`; PyTorch's `_u`.
    pub running_u: RunningState<Tensor<1>>,
    /// The right one, `[inputs]`; PyTorch's `_v`.
    pub running_v: RunningState<Tensor<1>>,
}

/// Keeps a length of 0 from being divided by; PyTorch's default.
const EPSILON: f64 = 1e-12;

/// A vector of length 1 along `vector`, `[length, 1]`.
fn unit(vector: Tensor<2>) -> Tensor<2> {
    let length = (vector.clone() * vector.clone())
        .sum()
        .sqrt()
        .clamp_min(EPSILON);
    vector / length.reshape([1, 1])
}

impl SpectralNorm {
    /// For a weight of `outputs` rows and `inputs` columns. The iteration begins at a vector that is always the same.
    pub fn new(outputs: usize, inputs: usize, device: &Device) -> Self {
        let start = |name: &str, length: usize| {
            let values = Stream::new(0, name, 0).normal(length);
            let norm = values.iter().map(|value| value * value).sum::<f32>().sqrt();
            let values: Vec<f32> = values.iter().map(|value| value / norm).collect();
            Tensor::<1>::from_data(TensorData::new(values, [length]), device)
        };
        Self {
            running_u: RunningState::new(start("spectral_norm/u", outputs)),
            running_v: RunningState::new(start("spectral_norm/v", inputs)),
        }
    }

    /// The largest singular value of `weight`, as far as it is known; with [`Statistics::Update`] after one more step.
    ///
    /// # Shapes
    /// - `weight`: `[outputs, inputs]`; result: `[1, 1]`, differentiable by the weight
    pub fn largest(&self, weight: Tensor<2>, statistics: Statistics) -> Tensor<2> {
        let [outputs, inputs] = weight.dims();
        if statistics == Statistics::Update {
            let still = weight.clone().detach();
            let right = self.running_v.value().detach().reshape([inputs, 1]);
            let left = unit(still.clone().matmul(right));
            let right = unit(still.transpose().matmul(left.clone()));
            self.running_u.update(left.reshape([outputs]));
            self.running_v.update(right.reshape([inputs]));
            // Folded in at once, as in batch normalisation: a record taken now must not miss it.
            let _ = self.running_u.value_sync();
            let _ = self.running_v.value_sync();
        }
        let left = self.running_u.value().detach().reshape([1, outputs]);
        let right = self.running_v.value().detach().reshape([inputs, 1]);
        left.matmul(weight).matmul(right)
    }

    /// What to give a layer in place of `input`, so that it does what it would do with the divided weight: a layer is
    /// linear, and its bias is not divided.
    ///
    /// # Shapes
    /// - `input` and result: the layer's; `weight`: `[outputs, inputs]`, the layer's as a matrix
    pub fn divided<const D: usize>(
        &self,
        input: Tensor<D>,
        weight: Tensor<2>,
        statistics: Statistics,
    ) -> Tensor<D> {
        input / self.largest(weight, statistics).reshape([1; D])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_iteration_finds_the_largest_singular_value() {
        let device = Device::flex();
        // 3 and 4 along the axes, turned by nothing.
        let weight = Tensor::<2>::from_data([[3.0f32, 0.0, 0.0], [0.0, -4.0, 0.0]], &device);
        let norm = SpectralNorm::new(2, 3, &device);
        let value = |statistics| {
            let found = norm.largest(weight.clone(), statistics);
            found.into_scalar::<f32>()
        };
        for _ in 0..60 {
            value(Statistics::Update);
        }
        assert!((value(Statistics::Running) - 4.0).abs() < 1e-4);
        let input = Tensor::<2>::from_data([[1.0f32, 2.0, 4.0]], &device);
        let divided = norm.divided(input, weight.clone(), Statistics::Batch);
        let divided: Vec<f32> = divided.into_data().iter::<f32>().collect();
        for (value, expected) in divided.iter().zip([0.25, 0.5, 1.0]) {
            assert!((value - expected).abs() < 1e-4, "{divided:?}");
        }
    }
}
