//! The network of every experiment: a multilayer perceptron, with batch normalisation or without.

use burn::module::Module;
use burn::tensor::{Device, Tensor, TensorData};
use gan_core::init::{Initial, initialise};
use gan_core::layers::{self, Activation, BatchNorm, Linear, Statistics};
use gan_core::optimizer::Rule;
use gan_core::weights::{self, Network};

/// Adam as in Radford et al. 2016, section 4.
pub const ADAM: Rule = Rule::Adam {
    beta1: 0.5,
    beta2: 0.999,
    epsilon: 1e-8,
};

/// Values -> hidden layers with one activation -> values.
#[derive(Module, Debug)]
pub struct Perceptron {
    layers: Vec<Linear>,
    // One for each hidden layer, or none.
    norms: Vec<BatchNorm>,
    #[module(skip)]
    activation: Activation,
}

impl Network for Perceptron {}

/// Where experiments compute: the processor, with gradients.
pub fn device() -> Device {
    Device::flex().autodiff()
}

/// A tensor of rows on [`device`].
///
/// # Shapes
/// - `values`: a multiple of `columns`; result `[values / columns, columns]`
pub fn rows(values: Vec<f32>, columns: usize) -> Tensor<2> {
    let count = values.len() / columns;
    Tensor::from_data(TensorData::new(values, [count, columns]), &device())
}

impl Perceptron {
    /// A network with layers of these widths, the first of which is its input's and the last its output's; weights from
    /// the streams `initial/<name>/...` of the seed.
    pub fn new(
        widths: &[usize],
        activation: Activation,
        is_normalised: bool,
        initial: Initial,
        (seed, name): (u64, &str),
    ) -> Self {
        let device = device();
        let layers: Vec<Linear> = widths
            .windows(2)
            .map(|pair| Linear::new(pair[0], pair[1], &device))
            .collect();
        let hidden = &widths[1..widths.len() - 1];
        let norms = if is_normalised {
            hidden
                .iter()
                .map(|width| BatchNorm::new(*width, &device))
                .collect()
        } else {
            Vec::new()
        };
        let network = Self {
            layers,
            norms,
            activation,
        };
        initialise(network, initial, seed, name)
    }

    /// Layer by layer, the first one first.
    pub fn layers(&self) -> &[Linear] {
        &self.layers
    }

    /// The output. Normalisation uses the statistics of this batch, and keeps no others.
    ///
    /// # Shapes
    /// - `input`: `[batch, first width]`
    /// - result: `[batch, last width]`
    pub fn forward(&self, input: Tensor<2>) -> Tensor<2> {
        let before = self.before_last_activation(input);
        let features = layers::activation(before, self.activation);
        self.layers[self.layers.len() - 1].forward(features)
    }

    /// What the last hidden layer's activation is applied to. Of a network without a hidden layer, the input.
    ///
    /// # Shapes
    /// - `input`: `[batch, first width]`
    /// - result: `[batch, last hidden width]`
    pub fn before_last_activation(&self, input: Tensor<2>) -> Tensor<2> {
        let mut features = input;
        for (index, layer) in self.layers[..self.layers.len() - 1].iter().enumerate() {
            if index > 0 {
                features = layers::activation(features, self.activation);
            }
            features = layer.forward(features);
            if let Some(norm) = self.norms.get(index) {
                features = norm.forward(features, Statistics::Batch);
            }
        }
        features
    }

    /// The outputs for single numbers: of a network with one input and one output.
    pub fn at(&self, places: impl IntoIterator<Item = f64>) -> Vec<f64> {
        let places = places.into_iter().map(|place| place as f32).collect();
        let outputs = weights::values(self.forward(rows(places, 1)));
        outputs.into_iter().map(f64::from).collect()
    }
}

/// The logistic function.
pub fn sigmoid(logit: f64) -> f64 {
    1.0 / (1.0 + (-logit).exp())
}

/// `log sigmoid(logit)`, finite at any logit.
pub fn log_sigmoid(logit: f64) -> f64 {
    logit.min(0.0) - (-logit.abs()).exp().ln_1p()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_is_its_layers() {
        let network = Perceptron::new(
            &[1, 4, 1],
            Activation::Tanh,
            false,
            Initial::FanIn,
            (3, "t"),
        );
        let read = |index: usize| {
            let layer = &network.layers()[index];
            let bias = layer.bias.as_ref().unwrap().val();
            (weights::values(layer.weight.val()), weights::values(bias))
        };
        let ((first, shift), (second, last)) = (read(0), read(1));
        let x = 0.7;
        let by_hand: f64 = (0..4)
            .map(|unit| {
                let hidden = f64::from(first[unit]) * x + f64::from(shift[unit]);
                f64::from(second[unit]) * hidden.tanh()
            })
            .sum::<f64>()
            + f64::from(last[0]);
        assert!((network.at([x])[0] - by_hand).abs() < 1e-5);
    }

    #[test]
    fn normalised_inputs_have_mean_zero_and_variance_one() {
        let initial = Initial::Uniform { range: 1.0 };
        let network = Perceptron::new(&[2, 3, 3, 1], Activation::Sigmoid, true, initial, (0, "t"));
        let input = rows((0..40).map(|at| ((at * 7) % 13) as f32).collect(), 2);
        let values = weights::values(network.before_last_activation(input));
        for unit in 0..3 {
            let of_unit: Vec<f32> = values.iter().skip(unit).step_by(3).copied().collect();
            let mean = of_unit.iter().sum::<f32>() / 20.0;
            let variance = of_unit
                .iter()
                .map(|value| (value - mean).powi(2))
                .sum::<f32>()
                / 20.0;
            assert!(
                mean.abs() < 1e-4 && (variance - 1.0).abs() < 0.01,
                "{mean} {variance}"
            );
        }
    }

    #[test]
    fn the_logarithm_of_a_sigmoid_is_finite() {
        assert!((log_sigmoid(0.3) - sigmoid(0.3).ln()).abs() < 1e-15);
        assert_eq!(log_sigmoid(-1e4), -1e4);
        assert_eq!(log_sigmoid(1e4), 0.0);
    }
}
