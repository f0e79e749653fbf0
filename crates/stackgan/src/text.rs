//! From words to an embedding: the char-CNN-RNN of Reed et al. 2016 (<https://arxiv.org/abs/1605.05395>, section 4).

use anyhow::Result;
use burn::module::{Module, Param};
use burn::tensor::activation::{relu, sigmoid, tanh};
use burn::tensor::{Device, Int, Tensor, TensorData};
use gan_core::failure::{Kind, failure};
use gan_core::layers::Linear;
use gan_core::weights::Network;

/// The letters that are read, in the order of the authors' program; all others are blanks to the network.
pub const ALPHABET: &str =
    "abcdefghijklmnopqrstuvwxyz0123456789-,;.!?:'\"/\\|_@#$%^&*~`+-=<>()[]{} ";

/// Letters of a caption that are read; what follows is cut off.
pub const LENGTH: usize = 201;

/// The place of every letter of a caption in [`ALPHABET`], counted from 1, behind them zeros; capitals are read as small
/// letters.
pub fn letters(caption: &str) -> [u8; LENGTH] {
    let mut all = [0; LENGTH];
    for (place, letter) in all
        .iter_mut()
        .zip(caption.chars().flat_map(char::to_lowercase))
    {
        let found = ALPHABET.chars().position(|known| known == letter);
        *place = found.map_or(0, |found| found as u8 + 1);
    }
    all
}

/// A sentence that a user asks for.
///
/// # Errors
/// [`Kind::Usage`] when nothing of it can be read.
pub fn checked(sentence: &str) -> Result<String> {
    let line = sentence.split_whitespace().collect::<Vec<_>>().join(" ");
    if line.chars().any(|letter| letter.is_ascii_alphanumeric()) {
        return Ok(line);
    }
    let what = if line.is_empty() {
        "the sentence is empty".to_owned()
    } else {
        format!("{sentence:?} has no letter of the alphabet that the text encoder reads")
    };
    Err(failure(
        Kind::Usage,
        format!(
            "{what}: describe a picture in English, such as \"a small red bird with black wings\""
        ),
    ))
}

/// What of a sentence the encoder does not see, in one line.
pub fn unread(sentence: &str) -> Option<String> {
    let count = sentence.chars().count();
    let strange: Vec<char> = sentence
        .chars()
        .take(LENGTH)
        .filter(|letter| {
            letter
                .to_lowercase()
                .any(|letter| !ALPHABET.contains(letter))
        })
        .collect();
    let mut parts = Vec::new();
    if count > LENGTH {
        parts.push(format!(
            "of its {count} letters the first {LENGTH} are read"
        ));
    }
    if !strange.is_empty() {
        let shown: String = strange.iter().take(8).collect();
        parts.push(format!(
            "{} outside the alphabet are read as blanks: {shown}",
            strange.len()
        ));
    }
    (!parts.is_empty()).then(|| parts.join("; "))
}

/// What a [`TextEncoder`] is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shape {
    /// Channels of the convolutions.
    pub channels: [usize; 3],
    /// Numbers of the recurrent layer's state.
    pub state: usize,
    /// Numbers of an embedding.
    pub outputs: usize,
}

impl Shape {
    /// The shape that a configuration asks for.
    pub fn new(config: &crate::Config) -> Self {
        // The authors have 384, 512, 256 and 256.
        let width = config.width_text;
        Self {
            channels: [width * 3 / 2, width * 2, width],
            state: width,
            outputs: config.text_dim,
        }
    }

    /// Numbers in the largest layers: a lower bound of the network's size.
    pub fn least_size(&self) -> u64 {
        let [_, second, third] = self.channels.map(|channels| channels as u64);
        let state = self.state as u64;
        4 * second * third + 3 * state * (third + state) + state * self.outputs as u64
    }
}

/// A convolution along a line of letters, without padding.
#[derive(Module, Debug)]
pub struct Conv1d {
    weight: Param<Tensor<3>>,
    bias: Param<Tensor<1>>,
}

/// Letters that a convolution sees at once.
const KERNEL: usize = 4;

impl Conv1d {
    fn new(from: usize, to: usize, device: &Device) -> Self {
        Self {
            weight: Param::from_tensor(Tensor::zeros([to, from, KERNEL], device)),
            bias: Param::from_tensor(Tensor::zeros([to], device)),
        }
    }

    /// # Shapes
    /// - input: `[batch, in, length]`
    /// - result: `[batch, out, length - 3]`
    fn forward(&self, input: Tensor<3>) -> Tensor<3> {
        let [batch, from, length] = input.dims();
        let places = length + 1 - KERNEL;
        let to = self.weight.dims()[0];
        let windows = (0..KERNEL).map(|shift| input.clone().narrow(2, shift, places));
        // [batch, KERNEL, in, places] -> one row for each place
        let rows = Tensor::stack::<4>(windows.collect(), 1)
            .permute([0, 3, 2, 1])
            .reshape([batch * places, from * KERNEL]);
        let weight = self.weight.val().reshape([to, from * KERNEL]).transpose();
        let made = rows.matmul(weight) + self.bias.val().unsqueeze();
        made.reshape([batch, places, to]).permute([0, 2, 1])
    }
}

/// The largest of `size` neighbours, at every `stride`-th place that has so many.
fn largest(input: Tensor<3>, [size, stride]: [usize; 2]) -> Tensor<3> {
    let [batch, channels, length] = input.dims();
    let places = (length - size) / stride + 1;
    let windows = if size == stride {
        input.narrow(2, 0, places * size)
    } else {
        let all = (0..places).flat_map(|place| place * stride..place * stride + size);
        let all: Vec<i64> = all.map(|place| place as i64).collect();
        let data = TensorData::new(all, [places * size]);
        input
            .clone()
            .select(2, Tensor::<1, Int>::from_data(data, &input.device()))
    };
    windows
        .reshape([batch, channels, places, size])
        .max_dim(3)
        .reshape([batch, channels, places])
}

/// A gated recurrent unit with PyTorch's formulas (Cho et al. 2014, <https://arxiv.org/abs/1406.1078>).
#[derive(Module, Debug)]
pub struct Gru {
    input: Linear,
    state: Linear,
}

impl Gru {
    fn new(from: usize, to: usize, device: &Device) -> Self {
        Self {
            input: Linear::new(from, 3 * to, device),
            state: Linear::new(to, 3 * to, device),
        }
    }

    /// The state after each place.
    ///
    /// # Shapes
    /// - input: `[batch, in, length]`; result: `length` times `[batch, out]`
    fn forward(&self, input: Tensor<3>) -> Vec<Tensor<2>> {
        let [batch, from, length] = input.dims();
        let width = self.state.weight.dims()[0];
        let mut state = Tensor::zeros([batch, width], &input.device());
        let gate = |all: &Tensor<2>, number: usize| all.clone().narrow(1, number * width, width);
        (0..length)
            .map(|place| {
                let seen = input.clone().narrow(2, place, 1).reshape([batch, from]);
                let (seen, kept) = (self.input.forward(seen), self.state.forward(state.clone()));
                let reset = sigmoid(gate(&seen, 0) + gate(&kept, 0));
                let keep = sigmoid(gate(&seen, 1) + gate(&kept, 1));
                let new = tanh(gate(&seen, 2) + reset * gate(&kept, 2));
                state = new.clone() + keep * (state.clone() - new);
                state.clone()
            })
            .collect()
    }
}

/// Letters -> three convolutions of kernel 4, each with ReLU and the largest of 3 neighbours -> a recurrent
/// layer over the 8 places that are left -> the mean of its states -> an embedding.
#[derive(Module, Debug)]
pub struct TextEncoder {
    convs: Vec<Conv1d>,
    rnn: Gru,
    output: Linear,
}

/// Neighbours of which the largest is kept behind each convolution, and how far apart their firsts are.
const POOLS: [[usize; 2]; 3] = [[3, 3], [3, 3], [3, 2]];

impl TextEncoder {
    /// An encoder of the shape, all weights zero.
    pub fn new(shape: &Shape, device: &Device) -> Self {
        let [first, second, third] = shape.channels;
        let channels = [ALPHABET.chars().count(), first, second, third];
        let convs = channels.windows(2);
        Self {
            convs: convs
                .map(|pair| Conv1d::new(pair[0], pair[1], device))
                .collect(),
            rnn: Gru::new(third, shape.state, device),
            output: Linear::new(shape.state, shape.outputs, device),
        }
    }

    /// An embedding of each caption.
    ///
    /// # Shapes
    /// - `letters`: `[batch, 70, 201]`, what [`on_device`] gives
    /// - result: `[batch, outputs]`
    pub fn forward(&self, letters: Tensor<3>) -> Tensor<2> {
        let mut features = letters;
        for (conv, pool) in self.convs.iter().zip(POOLS) {
            features = largest(relu(conv.forward(features)), pool);
        }
        let states = self.rnn.forward(features);
        let count = states.len() as f64;
        let mean = states.into_iter().reduce(|sum, state| sum + state);
        let mean = mean.map(|sum| sum / count);
        match mean {
            Some(mean) => self.output.forward(mean),
            None => unreachable!("a caption has 201 letters, and the recurrent layer 8 places"),
        }
    }
}

impl Network for TextEncoder {
    /// PyTorch's names of such layers.
    fn tensor_name(&self, path: &str) -> String {
        let (list, inner) = path.split_once('.').unwrap_or((path, ""));
        let (place, leaf) = inner.split_once('.').unwrap_or((inner, ""));
        match (list, place) {
            ("convs", place) => {
                let number = place.parse::<usize>().map_or(0, |place| place + 1);
                format!("conv{number}.{leaf}")
            }
            ("rnn", "input") => format!("rnn.{leaf}_ih_l0"),
            ("rnn", _) => format!("rnn.{leaf}_hh_l0"),
            _ => format!("emb_proj.{inner}"),
        }
    }
}

/// Captions on a device: 1 in the place of each letter, 0 elsewhere, `[batch, 70, 201]`.
pub fn on_device(captions: &[[u8; LENGTH]], device: &Device) -> Tensor<3> {
    let alphabet = ALPHABET.chars().count();
    let mut values = vec![0.0f32; captions.len() * alphabet * LENGTH];
    for (caption, picture) in captions
        .iter()
        .zip(values.chunks_exact_mut(alphabet * LENGTH))
    {
        for (place, letter) in caption.iter().enumerate() {
            if let Some(letter) = usize::from(*letter).checked_sub(1) {
                picture[letter * LENGTH + place] = 1.0;
            }
        }
    }
    let shape = [captions.len(), alphabet, LENGTH];
    Tensor::from_data(TensorData::new(values, shape), device)
}

#[cfg(test)]
mod tests {
    use super::*;
    use gan_core::failure::exit_code;

    #[test]
    fn letters_are_places_in_the_alphabet() {
        assert_eq!(ALPHABET.chars().count(), 70);
        let read = letters("Ab é!");
        assert_eq!(read[..5], [1, 2, 70, 0, 41]);
        assert!(read[5..].iter().all(|letter| *letter == 0));
        // The first of the alphabet's two hyphens.
        assert_eq!(letters("-")[0], 37);
        assert_eq!(letters(&"x".repeat(500)), [24; LENGTH]);
    }

    #[test]
    fn sentences_without_letters_are_refused_and_strange_ones_told() {
        for sentence in ["", "  \n", "…", "!?"] {
            assert_eq!(
                exit_code(&checked(sentence).unwrap_err()),
                2,
                "{sentence:?}"
            );
        }
        assert_eq!(checked(" a  red\nbird ").unwrap(), "a red bird");
        assert_eq!(unread("a red bird"), None);
        assert!(unread("ein roter Vögel").unwrap().contains('ö'));
        assert!(unread(&"a".repeat(300)).unwrap().contains("300"));
    }
}
