//! Dropout (Srivastava et al. 2014) whose masks come from a named stream.

use crate::random::Stream;
use burn::module::Module;
use burn::tensor::{Tensor, TensorData};

/// Zeroes each value with probability `1 - keep` and divides the others by `keep`.
#[derive(Module, Debug)]
pub struct Dropout {
    /// Probability that a value is kept, in (0, 1].
    pub keep: f64,
}

impl Dropout {
    /// Dropout that keeps a value with probability `keep`, in (0, 1].
    pub fn new(keep: f64) -> Self {
        assert!(keep > 0.0 && keep <= 1.0, "keep must be in (0, 1]");
        Self { keep }
    }

    /// Applies a mask drawn from `stream`; without a stream the input is returned as it is.
    ///
    /// # Shapes
    /// - input and output: any
    pub fn forward<const D: usize>(
        &self,
        input: Tensor<D>,
        stream: Option<&mut Stream>,
    ) -> Tensor<D> {
        let Some(stream) = stream.filter(|_| self.keep < 1.0) else {
            return input;
        };
        let dims = input.dims();
        let scale = (1.0 / self.keep) as f32;
        let mask: Vec<f32> = stream
            .uniform(dims.iter().product(), 0.0, 1.0)
            .into_iter()
            .map(|draw| {
                if f64::from(draw) < self.keep {
                    scale
                } else {
                    0.0
                }
            })
            .collect();
        let device = input.device().without_autodiff();
        let mask = Tensor::<D>::from_data(TensorData::new(mask, dims), &device);
        input * Tensor::from_inner(mask)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::Device;

    #[test]
    fn keeps_the_expected_share_and_the_mean() {
        let input = Tensor::<2>::ones([100, 100], &Device::flex());
        let mut stream = Stream::new(0, "dropout", 0);
        let output = Dropout::new(0.8).forward(input, Some(&mut stream));
        let values: Vec<f32> = output.into_data().iter::<f32>().collect();
        let kept = values.iter().filter(|v| **v > 0.0).count();
        assert!((kept as f64 / 1e4 - 0.8).abs() < 0.02, "{kept}");
        assert!(values.iter().all(|v| *v == 0.0 || *v == 1.25));
    }

    #[test]
    fn is_the_identity_without_a_stream() {
        let input = Tensor::<1>::ones([8], &Device::flex());
        let output = Dropout::new(0.5).forward(input, None);
        assert_eq!(output.into_data().iter::<f32>().sum::<f32>(), 8.0);
    }
}
