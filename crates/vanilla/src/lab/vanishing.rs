//! How the gradient vanishes on its way down through a deep network, and what keeps it (Hochreiter 1991; Glorot and Bengio
//! 2010; He et al. 2015, <https://arxiv.org/abs/1502.01852>; Ioffe and Szegedy 2015, <https://arxiv.org/abs/1502.03167>).
//!
//! A discriminator at its start: weights of variance 1 / width, and 2 / width where the activation is one of the rectified
//! ones (He et al. 2015).

use super::perceptron::{Perceptron, rows};
use super::{Experiment, Report, check};
use anyhow::Result;
use gan_core::init::Initial;
use gan_core::layers::Activation;
use gan_core::loss::discriminator_loss;
use gan_core::plot::{COLOURS, Dash, Plot, Style};
use gan_core::stage::At;
use gan_core::weights::values;
use serde::Serialize;
use std::fmt::Write as _;

/// Data and samples together in a batch.
const BATCH: usize = 128;

/// `lab vanishing`.
#[derive(Debug, Clone, PartialEq, clap::Args)]
pub struct Vanishing {
    /// Hidden layers.
    #[arg(long, default_value_t = 12)]
    pub layers: usize,
    /// Units a layer.
    #[arg(long, default_value_t = 64)]
    pub width: usize,
    /// Networks of each kind, each with a batch of its own.
    #[arg(long, default_value_t = 20)]
    pub steps: u64,
    /// Seed of weights and draws.
    #[arg(long, default_value_t = 0)]
    pub seed: u64,
}

impl Default for Vanishing {
    fn default() -> Self {
        Self {
            layers: 12,
            width: 64,
            steps: 20,
            seed: 0,
        }
    }
}

/// One kind of network.
#[derive(Debug, Clone, Serialize)]
pub struct Kind {
    /// Its activation, and whether it is normalised.
    pub name: &'static str,
    /// The L2 norm of the gradient of each hidden layer's weights, the first layer first: geometric means over the networks.
    pub norms: Vec<f64>,
    /// The norm of the first layer over that of the last one.
    pub ratio: f64,
}

const KINDS: [(&str, Activation, bool); 6] = [
    ("sigmoid", Activation::Sigmoid, false),
    ("tanh", Activation::Tanh, false),
    ("ReLU", Activation::RELU, false),
    ("leaky ReLU 0.2", Activation::LeakyRelu(0.2), false),
    ("sigmoid, batch norm", Activation::Sigmoid, true),
    ("ReLU, batch norm", Activation::RELU, true),
];

impl Vanishing {
    /// Takes one gradient of every network.
    pub fn observe(&self) -> Vec<Kind> {
        KINDS
            .into_iter()
            .map(|(name, activation, is_normalised)| {
                let mut logarithms = vec![0.0; self.layers];
                for step in 0..self.steps {
                    let norms = self.norms(activation, is_normalised, step);
                    for (sum, norm) in logarithms.iter_mut().zip(norms) {
                        *sum += norm.ln() / self.steps as f64;
                    }
                }
                let norms: Vec<f64> = logarithms.into_iter().map(f64::exp).collect();
                Kind {
                    name,
                    ratio: norms[0] / norms[self.layers - 1],
                    norms,
                }
            })
            .collect()
    }

    fn norms(&self, activation: Activation, is_normalised: bool, step: u64) -> Vec<f64> {
        let gain = match activation {
            Activation::LeakyRelu(_) => 2.0,
            _ => 1.0,
        };
        // A uniform distribution of this range has a variance of gain / width.
        let range = (3.0 * gain / self.width as f64).sqrt() as f32;
        let mut widths = vec![self.width; self.layers + 1];
        widths.push(1);
        let initial = Initial::Uniform { range };
        // The same draws for every kind, in their order.
        let name = format!("vanishing/{step}");
        let network = Perceptron::new(
            &widths,
            activation,
            is_normalised,
            initial,
            (self.seed, &name),
        );
        let draws = At::new(self.seed, step, self.steps)
            .rng("vanishing")
            .normal(BATCH * self.width);
        let half = BATCH / 2;
        let input = draws.into_iter().enumerate().map(|(index, draw)| {
            let is_real = index < half * self.width;
            draw + if is_real { 0.5 } else { -0.5 }
        });
        let logits = network.forward(rows(input.collect(), self.width));
        let [real, fake] = [0, half].map(|from| logits.clone().narrow(0, from, half));
        let gradients = discriminator_loss(real, fake, 1.0).backward();
        network.layers()[..self.layers]
            .iter()
            .map(|layer| {
                let gradient = layer.weight.val().grad(&gradients);
                let squares = gradient.map_or(0.0, |gradient| {
                    values(gradient)
                        .into_iter()
                        .map(|value| f64::from(value).powi(2))
                        .sum()
                });
                f64::sqrt(squares)
            })
            .collect()
    }
}

impl Experiment for Vanishing {
    const WORD: &'static str = "vanishing";

    fn with(self, steps: Option<u64>, seed: u64) -> Self {
        let steps = steps.unwrap_or(self.steps);
        Self {
            steps,
            seed,
            ..self
        }
    }

    fn check(&self) -> Result<()> {
        check("layers", self.layers, 2..=50)?;
        check("width", self.width, 2..=1024)?;
        check("steps", self.steps, 1..=10_000)
    }

    fn report(&self) -> Result<Report> {
        let kinds = self.observe();
        let mut text = format!(
            "gradient norm of the weights by layer, {} hidden layers of {} units, at the start\n                       first layer   last layer   first / last\n",
            self.layers, self.width
        );
        let mut plot = Plot::new(
            "Where the gradient of a deep discriminator stays",
            "hidden layer, from the input",
            "norm of the gradient",
        )
        .log_y()
        .x_range(1.0, self.layers as f64);
        for (kind, colour) in kinds.iter().zip(COLOURS) {
            let last = kind.norms[kind.norms.len() - 1];
            let _ = writeln!(
                text,
                "{:20} {:>13.2e} {last:>12.2e} {:>14.2e}",
                kind.name, kind.norms[0], kind.ratio
            );
            let is_normalised = kind.name.ends_with("norm");
            let dash = if is_normalised {
                Dash::Dashed
            } else {
                Dash::Solid
            };
            let style = Style {
                dash,
                ..Style::solid(colour).width(2.5)
            };
            let points = kind.norms.iter().enumerate();
            plot = plot.line(
                kind.name,
                points.map(|(layer, norm)| [(layer + 1) as f64, *norm]),
                style,
            );
        }
        Ok(Report {
            text,
            numbers: serde_json::to_value(&kinds)?,
            plot: plot.draw(760, 520),
            frames: Vec::new(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sigmoids_lose_the_gradient_and_others_keep_it() {
        let kinds = Vanishing {
            steps: 4,
            ..Vanishing::default()
        }
        .observe();
        let ratio = |name: &str| kinds.iter().find(|kind| kind.name == name).unwrap().ratio;
        assert!(ratio("sigmoid") < 1e-4, "{}", ratio("sigmoid"));
        for name in [
            "ReLU",
            "leaky ReLU 0.2",
            "sigmoid, batch norm",
            "ReLU, batch norm",
        ] {
            assert!(ratio(name) > 0.1, "{name} {}", ratio(name));
        }
        assert!(ratio("tanh") > 1000.0 * ratio("sigmoid"));
        // Layer by layer, not only from end to end.
        let norms = &kinds[0].norms;
        assert!(norms.windows(2).all(|pair| pair[0] < pair[1]), "{norms:?}");
    }
}
