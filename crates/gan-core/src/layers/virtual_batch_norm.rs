//! Virtual batch normalisation (Salimans et al. 2016, <https://arxiv.org/abs/1606.03498>, section 3.5).

use burn::module::{Module, Param};
use burn::tensor::{Device, Tensor};

/// Normalises each sample by the statistics of a reference batch and of itself, so that no sample depends on the others
/// of its batch. The references are chosen once, and go through the network in front of every batch.
#[derive(Module, Debug)]
pub struct VirtualBatchNorm {
    /// Scale, `[channels]`.
    pub weight: Param<Tensor<1>>,
    /// Shift, `[channels]`.
    pub bias: Param<Tensor<1>>,
    /// Added to the variance.
    pub epsilon: f64,
}

impl VirtualBatchNorm {
    /// Scale 1, shift 0, epsilon 1e-5.
    pub fn new(channels: usize, device: &Device) -> Self {
        Self {
            weight: Param::from_tensor(Tensor::ones([channels], device)),
            bias: Param::from_tensor(Tensor::zeros([channels], device)),
            epsilon: 1e-5,
        }
    }

    /// Normalises the references by their own statistics, and every other sample by `1 / (references + 1)` of its own and
    /// the rest of theirs, as the authors' program does.
    ///
    /// # Shapes
    /// - input: `[references + batch, channels, ..]`; result: the same
    pub fn forward<const D: usize>(&self, input: Tensor<D>, references: usize) -> Tensor<D> {
        let dims = input.dims();
        let (count, channels) = (dims[0], dims[1]);
        let places = dims.iter().skip(2).product::<usize>();
        let values = input.reshape([count, channels, places]);
        // The mean and the mean square of each sample, [count, channels, 1].
        let mean = values.clone().mean_dim(2);
        let square = (values.clone() * values.clone()).mean_dim(2);
        let of_references = |moment: &Tensor<3>| {
            let theirs = moment.clone().narrow(0, 0, references);
            theirs.mean_dim(0)
        };
        let own = 1.0 / (references as f64 + 1.0);
        let mixed = |moment: Tensor<3>| {
            let theirs = of_references(&moment);
            let others = moment.narrow(0, references, count - references) * own;
            let others = others + theirs.clone() * (1.0 - own);
            Tensor::cat(vec![theirs.repeat_dim(0, references), others], 0)
        };
        let (mean, square) = (mixed(mean), mixed(square));
        let variance = (square - mean.clone() * mean.clone()).clamp_min(0.0);
        let normal = (values - mean) / (variance + self.epsilon).sqrt();
        let along = |parameter: &Param<Tensor<1>>| parameter.val().reshape([1, channels, 1]);
        (normal * along(&self.weight) + along(&self.bias)).reshape(dims)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(tensor: Tensor<2>) -> Vec<f32> {
        tensor.into_data().iter::<f32>().collect()
    }

    #[test]
    fn samples_do_not_depend_on_each_other() {
        let device = Device::flex();
        let norm = VirtualBatchNorm::new(1, &device);
        let both = Tensor::<2>::from_data([[0.0f32], [2.0], [5.0], [-7.0]], &device);
        let alone = Tensor::<2>::from_data([[0.0f32], [2.0], [5.0]], &device);
        let (both, alone) = (read(norm.forward(both, 2)), read(norm.forward(alone, 2)));
        assert_eq!(both[..3], alone[..]);
        // References: mean 1, mean square 2, variance 1.
        assert!((both[0] + 1.0).abs() < 1e-4 && (both[1] - 1.0).abs() < 1e-4);
        // 5: mean 2/3 + 5/3 = 7/3, mean square 4/3 + 25/3 = 29/3, variance 38/9.
        let expected = (5.0 - 7.0 / 3.0) / (38.0f32 / 9.0).sqrt();
        assert!((both[2] - expected).abs() < 1e-4, "{} {expected}", both[2]);
    }
}
