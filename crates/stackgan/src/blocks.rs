//! What both generators and both discriminators are made of.

use burn::module::Module;
use burn::tensor::{Device, Tensor};
use gan_core::layers::{Activation, BatchNorm, Conv2d, Conv2dConfig, Statistics};

/// The slope of every leaky ReLU.
pub(crate) const LEAKY: Activation = Activation::LeakyRelu(0.2);

/// A convolution without bias that keeps the size: of an odd `kernel`.
pub(crate) fn same(channels: [usize; 2], kernel: usize, device: &Device) -> Conv2d {
    Conv2dConfig::new(channels, [kernel, kernel])
        .padding([kernel / 2, kernel / 2])
        .init(device)
}

/// A convolution of kernel 4 without bias that halves height and width.
pub(crate) fn halving(channels: [usize; 2], device: &Device) -> Conv2d {
    Conv2dConfig::new(channels, [4, 4])
        .stride([2, 2])
        .padding([1, 1])
        .init(device)
}

/// A convolution and its batch normalisation.
#[derive(Module, Debug)]
pub struct Block {
    conv: Conv2d,
    norm: BatchNorm,
}

impl Block {
    /// The convolution, normalised.
    pub(crate) fn new(conv: Conv2d, device: &Device) -> Self {
        let channels = conv.weight.dims()[0];
        Self {
            conv,
            norm: BatchNorm::new(channels, device),
        }
    }

    pub(crate) fn forward(
        &self,
        input: Tensor<4>,
        statistics: Statistics,
        activation: Activation,
    ) -> Tensor<4> {
        self.norm.after(&self.conv, input, statistics, activation)
    }
}

/// A block in the state dict of PyTorch: a `Sequential` has the convolution at `first` and its normalisation behind it.
/// `inner` is a path inside the block.
pub(crate) fn in_sequence(sequence: &str, first: usize, inner: &str) -> String {
    match inner.split_once('.') {
        Some(("conv", leaf)) => format!("{sequence}.{first}.{leaf}"),
        Some((_, leaf)) => format!("{sequence}.{}.{leaf}", first + 1),
        None => inner.to_owned(),
    }
}

/// The residual part that the paper's structure has and the authors' PyTorch layout leaves out: 1 x 1 to a quarter of the
/// channels, 3 x 3, 3 x 3 back, added to the input.
#[derive(Module, Debug)]
pub struct Bottleneck {
    blocks: Vec<Block>,
}

impl Bottleneck {
    pub(crate) fn new(channels: usize, device: &Device) -> Self {
        let inner = (channels / 4).max(1);
        let block = |channels, kernel| Block::new(same(channels, kernel, device), device);
        Self {
            blocks: vec![
                block([channels, inner], 1),
                block([inner, inner], 3),
                block([inner, channels], 3),
            ],
        }
    }

    /// # Shapes
    /// - input and result: `[batch, channels, height, width]`
    pub(crate) fn forward(
        &self,
        input: Tensor<4>,
        statistics: Statistics,
        activation: Activation,
    ) -> Tensor<4> {
        let mut features = input.clone();
        for (place, block) in self.blocks.iter().enumerate() {
            let is_last = place + 1 == self.blocks.len();
            let follows = if is_last {
                Activation::Identity
            } else {
                activation
            };
            features = block.forward(features, statistics, follows);
        }
        gan_core::layers::activation(input + features, activation)
    }

    /// The name in PyTorch of what lies at `inner`, of the residual part that is called `name`.
    pub(crate) fn tensor_name(name: &str, inner: &str) -> String {
        let mut parts = inner.splitn(3, '.');
        let place = parts.nth(1).and_then(|place| place.parse::<usize>().ok());
        let sequence = format!("{name}.block");
        in_sequence(
            &sequence,
            3 * place.unwrap_or(0),
            parts.next().unwrap_or(""),
        )
    }
}

/// Each pixel four times: twice as high and wide.
///
/// # Shapes
/// - input: `[batch, channels, height, width]`
/// - result: `[batch, channels, 2 height, 2 width]`
pub(crate) fn doubled(input: Tensor<4>) -> Tensor<4> {
    let [batch, channels, height, width] = input.dims();
    input
        .reshape([batch, channels, height, 1, width, 1])
        .expand([batch, channels, height, 2, width, 2])
        .reshape([batch, channels, 2 * height, 2 * width])
}

/// A vector at every place of a picture.
///
/// # Shapes
/// - `vector`: `[batch, width]`
/// - result: `[batch, width, side, side]`
pub(crate) fn tiled(vector: Tensor<2>, side: usize) -> Tensor<4> {
    let [batch, width] = vector.dims();
    vector
        .reshape([batch, width, 1, 1])
        .expand([batch, width, side, side])
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::TensorData;
    use gan_core::weights::values;

    #[test]
    fn pixels_are_doubled_and_vectors_tiled() {
        let device = Device::flex();
        let data = TensorData::new(vec![1.0f32, 2.0, 3.0, 4.0], [1, 1, 2, 2]);
        let large = values(doubled(Tensor::from_data(data, &device)));
        let rows = [[1.0, 1.0, 2.0, 2.0], [3.0, 3.0, 4.0, 4.0]];
        let expected = [rows[0], rows[0], rows[1], rows[1]].concat();
        assert_eq!(large, expected);
        let data = TensorData::new(vec![5.0f32, 6.0], [1, 2]);
        let tiles = values(tiled(Tensor::from_data(data, &device), 2));
        assert_eq!(tiles, [[5.0; 4], [6.0; 4]].concat());
    }

    #[test]
    fn names_inside_sequences() {
        assert_eq!(in_sequence("up", 1, "conv.weight"), "up.1.weight");
        assert_eq!(in_sequence("up", 1, "norm.running_var"), "up.2.running_var");
        let name = Bottleneck::tensor_name("residual1", "blocks.2.norm.bias");
        assert_eq!(name, "residual1.block.7.bias");
    }
}
