//! The sub-pixel layer (Shi et al. 2016, <https://arxiv.org/abs/1609.05158>): channels become pixels.

use burn::tensor::Tensor;

/// Makes each `factor * factor` channels one that is `factor` times as high and wide, in PyTorch's order: of the
/// channels of one result, the first `factor` are the pixels of its first row.
///
/// # Shapes
/// - `input`: `[batch, factor * factor * channels, height, width]`
/// - result: `[batch, channels, factor * height, factor * width]`
///
/// # Panics
/// If the channels cannot be divided so.
pub(crate) fn shuffle(input: Tensor<4>, factor: usize) -> Tensor<4> {
    let [batch, channels, height, width] = input.dims();
    assert!(
        channels.is_multiple_of(factor * factor),
        "{channels} channels"
    );
    let channels = channels / (factor * factor);
    input
        .reshape([batch, channels, factor, factor, height, width])
        .permute([0, 1, 4, 2, 5, 3])
        .reshape([batch, channels, factor * height, factor * width])
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::{Device, Int};

    #[test]
    fn channels_become_rows_first() {
        // PyTorch: nn.PixelShuffle(2)(torch.arange(16.).reshape(1, 8, 1, 2))
        let input = Tensor::<1, Int>::arange(0..16, &Device::flex()).float();
        let output = shuffle(input.reshape([1, 8, 1, 2]), 2);
        assert_eq!(output.dims(), [1, 2, 2, 4]);
        let values: Vec<f32> = gan_core::weights::values(output);
        let expected = [0, 2, 1, 3, 4, 6, 5, 7, 8, 10, 9, 11, 12, 14, 13, 15];
        assert_eq!(values, expected.map(|value| value as f32));
    }
}
