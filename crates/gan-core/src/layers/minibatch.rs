//! Minibatch discrimination (Salimans et al. 2016, <https://arxiv.org/abs/1606.03498>, section 3.2).

use burn::module::{Module, Param};
use burn::tensor::{Device, Tensor};

/// Tells a discriminator how close each sample is to the others of its batch: a generator that makes the same sample again
/// and again gives itself away. Reals and fakes are to be shown in batches of their own.
#[derive(Module, Debug)]
pub struct MinibatchDiscrimination {
    /// T, `[features, kernels * dims]`.
    pub weight: Param<Tensor<2>>,
    #[module(skip)]
    kernels: usize,
}

impl MinibatchDiscrimination {
    /// For `features` values a sample (A), with `kernels` (B) of `dims` (C) numbers each; all zero.
    pub fn new(features: usize, kernels: usize, dims: usize, device: &Device) -> Self {
        Self {
            weight: Param::from_tensor(Tensor::zeros([features, kernels * dims], device)),
            kernels,
        }
    }

    /// Appends `o(x_i)_b = sum over j of exp(-|M_i,b - M_j,b|_1)` to the features of each sample, where `M_i = f(x_i) T` is
    /// B x C (some prints of the formula have A x B). The sum has j = i, which is 1, as in the paper's formula.
    ///
    /// # Shapes
    /// - `features`: `[batch, features]`
    /// - result: `[batch, features + kernels]`, the new ones from 1 to `batch`
    pub fn forward(&self, features: Tensor<2>) -> Tensor<2> {
        let batch = features.dims()[0];
        let weight = self.weight.val();
        let dims = weight.dims()[1] / self.kernels;
        let rows = features.clone().matmul(weight);
        let one = rows.clone().reshape([batch, 1, self.kernels, dims]);
        let other = rows.reshape([1, batch, self.kernels, dims]);
        let distance = (one - other).abs().sum_dim(3);
        let close = distance.neg().exp().sum_dim(1);
        Tensor::cat(vec![features, close.reshape([batch, self.kernels])], 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn closeness_by_hand() {
        let device = Device::flex();
        let layer = MinibatchDiscrimination {
            // Two kernels of two numbers each.
            weight: Param::from_tensor(Tensor::from_data([[1.0f32, 0.0, 2.0, 1.0]], &device)),
            kernels: 2,
        };
        let features = Tensor::<2>::from_data([[0.0f32], [1.0], [3.0]], &device);
        let found = layer.forward(features).into_data();
        let found: Vec<f32> = found.iter::<f32>().collect();
        // Features 0, 1, 3 are 1, 2 and 3 apart; the kernels stretch that by 1 and by 3.
        let near = |stretch: f32, apart: [f32; 2]| {
            1.0 + (-stretch * apart[0]).exp() + (-stretch * apart[1]).exp()
        };
        let rows = [(0.0, [1.0, 3.0]), (1.0, [1.0, 2.0]), (3.0, [3.0, 2.0])];
        for (row, (own, apart)) in found.chunks_exact(3).zip(rows) {
            for (value, expected) in row.iter().zip([own, near(1.0, apart), near(3.0, apart)]) {
                assert!((value - expected).abs() < 1e-6, "{found:?}");
            }
        }
    }
}
