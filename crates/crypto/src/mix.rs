//! The network that each of the three players is: fully connected layers mix all bits, then convolutions transform the
//! mixture ("mix and transform", Abadi and Andersen 2016, <https://arxiv.org/abs/1610.06918>).
//!
//! Tensors are `[bits, batch]`: a row is one bit of all messages. So thousands of numbers that are treated alike lie side
//! by side, and every layer is one product of a small matrix with a very wide one. With a message a row, the products
//! have as few columns as a convolution has channels, and take several times as long.

use crate::config::{Start, Structure};
use burn::module::{Content, DisplaySettings, Module, ModuleDisplay, Param};
use burn::tensor::{Device, Tensor, TensorData};
use gan_core::init::{Initial, initialise};
use gan_core::layers::{Activation, Linear, activation};
use gan_core::random::Stream;
use gan_core::weights::{Network, rebuild};

/// A convolution: window, channels in, channels out, stride.
type Row = [usize; 4];

/// Those of a structure, in the order of the data. Their strides halve what the fully connected layers give.
fn convolutions(structure: Structure) -> &'static [Row] {
    match structure {
        Structure::Paper => &[[4, 1, 2, 1], [2, 2, 4, 2], [1, 4, 4, 1], [1, 4, 1, 1]],
        Structure::Released => &[[2, 1, 2, 2], [1, 2, 2, 1], [1, 2, 1, 1]],
    }
}

/// A convolution over a row of bits, padded so that `length / stride` places come out (TensorFlow's `SAME`).
#[derive(Module, Debug)]
#[module(custom_display)]
pub struct Convolution {
    /// `[out, in, window]`
    pub weight: Param<Tensor<3>>,
    /// `[out]`
    pub bias: Param<Tensor<1>>,
    #[module(skip)]
    stride: usize,
}

impl Convolution {
    /// All zeros.
    fn new([window, from, to, stride]: Row, device: &Device) -> Self {
        Self {
            weight: Param::from_tensor(Tensor::zeros([to, from, window], device)),
            bias: Param::from_tensor(Tensor::zeros([to], device)),
            stride,
        }
    }

    /// The first convolution, of one channel, whose windows may overlap: a product with a matrix that holds its weights
    /// wherever a place sees a bit.
    ///
    /// # Shapes
    /// - input: `[length, batch]`
    /// - result: `[out, places * batch]`; of the places, those come first that are multiples of `groups`, then those
    ///   next to them, and so on: so the next convolution's windows of `groups` places are rows of a matrix
    fn first(&self, input: Tensor<2>, groups: usize, then: Activation) -> Tensor<2> {
        let [length, batch] = input.dims();
        let [to, _, window] = self.weight.dims();
        let places = length.div_ceil(self.stride);
        let padding = ((places - 1) * self.stride + window).saturating_sub(length) / 2;
        let mut seen = vec![0.0; window * places * length];
        for tap in 0..window {
            for place in 0..places {
                // Where there is no such bit, the padding's zero would be seen.
                let bit = (place * self.stride + tap).checked_sub(padding);
                if let Some(bit) = bit.filter(|bit| *bit < length) {
                    let row = place % groups * places.div_ceil(groups) + place / groups;
                    seen[(tap * places + row) * length + bit] = 1.0;
                }
            }
        }
        let seen = TensorData::new(seen, [window, places * length]);
        let seen = Tensor::from_data(seen, &input.device());
        let weight = self.weight.val().reshape([to, window]).matmul(seen);
        let sums = weight.reshape([to * places, length]).matmul(input);
        finished(sums.reshape([to, places * batch]), self.bias.val(), then)
    }

    /// A later convolution, whose windows do not overlap.
    ///
    /// # Shapes
    /// - input: `[in, places * batch]`, in the order of [`Convolution::first`] with this convolution's stride
    /// - result: `[out, places / stride * batch]`
    fn later(&self, input: Tensor<2>, then: Activation) -> Tensor<2> {
        let [to, from, window] = self.weight.dims();
        let [_, columns] = input.dims();
        let input = input.reshape([from * window, columns / window]);
        let sums = self.weight.val().reshape([to, from * window]).matmul(input);
        finished(sums, self.bias.val(), then)
    }
}

/// The activation of `sums` (`[rows, columns]`) with a bias a row.
fn finished(sums: Tensor<2>, bias: Tensor<1>, then: Activation) -> Tensor<2> {
    let [rows] = bias.dims();
    activation(sums + bias.reshape([rows, 1]), then)
}

impl ModuleDisplay for Convolution {
    fn custom_settings(&self) -> Option<DisplaySettings> {
        DisplaySettings::new()
            .with_new_line_after_attribute(false)
            .optional()
    }

    fn custom_content(&self, content: Content) -> Option<Content> {
        let [to, from, window] = self.weight.dims();
        content
            .add("channels", &format!("[{from}, {to}]"))
            .add("window", &window)
            .add("stride", &self.stride)
            .optional()
    }
}

/// Fully connected layers, then convolutions, with a sigmoid between and tanh at the end.
#[derive(Module, Debug)]
pub struct MixTransform {
    fc: Vec<Linear>,
    conv: Vec<Convolution>,
    #[module(skip)]
    structure: Structure,
}

impl MixTransform {
    /// A network from `inputs` numbers to `bits`, with `mixing` fully connected layers, all zeros.
    pub fn new(
        structure: Structure,
        inputs: usize,
        bits: usize,
        mixing: usize,
        device: &Device,
    ) -> Self {
        let mixed = 2 * bits;
        let fc = (0..mixing).map(|layer| {
            let from = if layer == 0 { inputs } else { mixed };
            Linear::new(from, mixed, device)
        });
        let rows = convolutions(structure).iter();
        Self {
            fc: fc.collect(),
            conv: rows.map(|row| Convolution::new(*row, device)).collect(),
            structure,
        }
    }

    /// # Shapes
    /// - input: `[inputs, batch]`
    /// - result: `[bits, batch]`, in (-1, 1)
    pub fn forward(&self, input: Tensor<2>) -> Tensor<2> {
        let [_, batch] = input.dims();
        let after_mixing = match self.structure {
            Structure::Paper => Activation::Sigmoid,
            Structure::Released => Activation::Identity,
        };
        let mut features = input;
        for layer in &self.fc {
            let sums = layer.weight.val().transpose().matmul(features);
            features = match &layer.bias {
                Some(bias) => finished(sums, bias.val(), after_mixing),
                None => activation(sums, after_mixing),
            };
        }
        for (number, layer) in self.conv.iter().enumerate() {
            let next = self.conv.get(number + 1);
            let then = match next {
                Some(_) => Activation::Sigmoid,
                None => Activation::Tanh,
            };
            features = match number {
                0 => layer.first(features, next.map_or(1, |next| next.stride), then),
                _ => layer.later(features, then),
            };
        }
        let [channels, columns] = features.dims();
        features.reshape([channels * columns / batch, batch])
    }

    /// As [`MixTransform::forward`], of a text with its key behind it.
    ///
    /// # Shapes
    /// - `text`: `[message_bits, batch]`; `key`: `[key_bits, batch]`
    /// - result: `[message_bits, batch]`, in (-1, 1)
    pub fn with_key(&self, text: Tensor<2>, key: Tensor<2>) -> Tensor<2> {
        self.forward(Tensor::cat(vec![text, key], 0))
    }
}

impl Network for MixTransform {}

/// Numbers in the weights of a network from `inputs` numbers to `bits`.
pub fn size(structure: Structure, inputs: usize, bits: usize, mixing: usize) -> u64 {
    let mixed = 2 * bits;
    let fc = (inputs + 1) * mixed + (mixing - 1) * (mixed + 1) * mixed;
    let conv = convolutions(structure).iter();
    let conv: usize = conv
        .map(|[window, from, to, _]| (window * from + 1) * to)
        .sum();
    (fc + conv) as u64
}

/// Numbers that a network gives from layer to layer, for each message.
pub fn activations(structure: Structure, bits: usize, mixing: usize) -> u64 {
    let mut length = 2 * bits;
    let mut total = mixing * length;
    for [_, _, to, stride] in convolutions(structure) {
        length = length.div_ceil(*stride);
        total += to * length;
    }
    total as u64
}

/// Draws every weight from the streams `initial/<name>/<path>` of `seed`.
pub fn begin(network: MixTransform, start: Start, seed: u64, name: &str) -> MixTransform {
    if start == Start::FanIn {
        return initialise(network, Initial::FanIn, seed, name);
    }
    rebuild(network, &mut |path, container, shape| {
        let count = shape.iter().product();
        if path.ends_with("bias") {
            return Some(vec![0.0; count]);
        }
        let mut stream = Stream::new(seed, &format!("initial/{name}/{path}"), 0);
        // Of a matrix [in, out]; of a convolution [out, in, window], where each value counts once a place of the window.
        let fans: usize = match container {
            "Struct:Linear" => shape[0] + shape[1],
            _ => (shape[0] + shape[1]) * shape[2],
        };
        let limit = (6.0 / fans as f32).sqrt();
        Some(stream.uniform(count, -limit, limit))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use gan_core::weights::{self, HostTensor, Tensors};

    const BITS: usize = 5;

    fn network(structure: Structure, mixing: usize) -> MixTransform {
        let network = MixTransform::new(structure, 7, BITS, mixing, &Device::flex());
        begin(network, Start::FanIn, 3, "t")
    }

    fn sigmoid(value: f32) -> f32 {
        1.0 / (1.0 + (-value).exp())
    }

    /// The network for one message, place by place, from the tensors as a file holds them.
    fn by_hand(tensors: &Tensors, structure: Structure, mixing: usize, input: &[f32]) -> Vec<f32> {
        let get = |name: String| -> &HostTensor { &tensors[&name] };
        let mut mixed = input.to_vec();
        for layer in 0..mixing {
            let weight = get(format!("fc.{layer}.weight"));
            let bias = get(format!("fc.{layer}.bias"));
            let rows = weight.values.chunks_exact(mixed.len());
            mixed = rows
                .zip(&bias.values)
                .map(|(row, bias)| bias + row.iter().zip(&mixed).map(|(a, b)| a * b).sum::<f32>())
                .map(|sum| match structure {
                    Structure::Paper => sigmoid(sum),
                    Structure::Released => sum,
                })
                .collect();
        }
        let mut channels = vec![mixed];
        let rows = convolutions(structure);
        for (number, [window, from, to, stride]) in rows.iter().enumerate() {
            let weight = get(format!("conv.{number}.weight"));
            assert_eq!(weight.shape, [*to, *from, *window]);
            let bias = get(format!("conv.{number}.bias"));
            let length = channels[0].len();
            let places = length / stride;
            // SAME: of an odd number of zeros, the smaller part comes first.
            let padding = ((places - 1) * stride + window - length) / 2;
            channels = (0..*to)
                .map(|out| {
                    (0..places)
                        .map(|place| {
                            let mut sum = bias.values[out];
                            for (channel, values) in channels.iter().enumerate() {
                                for tap in 0..*window {
                                    let bit = (place * stride + tap) as isize - padding as isize;
                                    if (0..length as isize).contains(&bit) {
                                        sum += weight.values[(out * from + channel) * window + tap]
                                            * values[bit as usize];
                                    }
                                }
                            }
                            if number + 1 == rows.len() {
                                sum.tanh()
                            } else {
                                sigmoid(sum)
                            }
                        })
                        .collect()
                })
                .collect();
        }
        channels.concat()
    }

    #[test]
    fn the_products_are_the_convolutions() {
        for (structure, mixing) in [
            (Structure::Paper, 1),
            (Structure::Paper, 2),
            (Structure::Released, 1),
        ] {
            let network = network(structure, mixing);
            let tensors = weights::collect(&network);
            let messages: Vec<Vec<f32>> = (0..3)
                .map(|number| Stream::new(0, "t", number).normal(7))
                .collect();
            let columns: Vec<f32> = (0..7)
                .flat_map(|bit| messages.iter().map(move |message| message[bit]))
                .collect();
            let input = Tensor::<2>::from_data(TensorData::new(columns, [7, 3]), &Device::flex());
            let output = network.forward(input);
            assert_eq!(output.dims(), [BITS, 3]);
            let output = weights::values(output);
            for (number, message) in messages.iter().enumerate() {
                let expected = by_hand(&tensors, structure, mixing, message);
                assert_eq!(expected.len(), BITS);
                for (bit, expected) in expected.iter().enumerate() {
                    let found = output[bit * 3 + number];
                    assert!((found - expected).abs() < 1e-6, "{found} {expected}");
                }
            }
        }
    }

    #[test]
    fn sizes_are_those_of_the_networks() {
        for (structure, mixing) in [(Structure::Paper, 2), (Structure::Released, 1)] {
            let params = network(structure, mixing).num_params() as u64;
            assert_eq!(params, size(structure, 7, BITS, mixing));
        }
        // 10 + 10 of the layers, then 2 x 10, 4 x 5, 4 x 5 and 5.
        assert_eq!(activations(Structure::Paper, BITS, 2), 85);
    }

    #[test]
    fn glorot_weights_fill_their_interval() {
        let network = MixTransform::new(Structure::Paper, 32, 16, 1, &Device::flex());
        let tensors = weights::collect(&begin(network, Start::Glorot, 0, "t"));
        let largest = |name: &str| {
            let values = tensors[name].values.iter();
            values.fold(0f32, |most, value| most.max(value.abs()))
        };
        let bound = (6f32 / 64.0).sqrt();
        assert!(largest("fc.0.weight") <= bound && largest("fc.0.weight") > 0.99 * bound);
        // Four values of one channel, of two: fans of 4 and 8.
        assert!(largest("conv.0.weight") <= 0.5f32.sqrt() && largest("conv.0.weight") > 0.4);
        assert_eq!(largest("conv.1.bias"), 0.0);
    }
}
