//! The generator: a multilayer perceptron from noise to a sample (Goodfellow et al. 2014,
//! <https://arxiv.org/abs/1406.2661>, section 3), or several that share the noise between them.

use crate::config::{Activation, Config, Squash};
use burn::module::{Module, RunningState};
use burn::tensor::{Device, Tensor, TensorData};
use gan_core::init::{Initial, initialise};
use gan_core::layers::{self, Linear, Norm, NormLayer, Statistics};
use gan_core::random::Stream;
use gan_core::weights::Network;

/// Samples of the batch that virtual batch normalisation looks at.
const REFERENCES: usize = 64;

/// z -> hidden layers -> a flat sample.
#[derive(Module, Debug)]
pub struct Generator {
    parts: Vec<Perceptron>,
    // The noise of virtual batch normalisation, `[REFERENCES, latent_dim]`.
    running_references: Option<RunningState<Tensor<2>>>,
    #[module(skip)]
    activation: Activation,
    #[module(skip)]
    squash: Squash,
}

/// One of the generators.
#[derive(Module, Debug)]
struct Perceptron {
    hidden: Vec<Linear>,
    norms: Vec<NormLayer>,
    output: Linear,
}

/// The activation that follows a layer; maxout is not one of them.
pub(crate) fn activation(kind: Activation) -> layers::Activation {
    match kind {
        Activation::Relu => layers::Activation::RELU,
        Activation::LeakyRelu => layers::Activation::LeakyRelu(0.2),
        Activation::Tanh => layers::Activation::Tanh,
        Activation::Maxout => layers::Activation::Identity,
    }
}

/// `hidden.0.weight` -> `main.0.weight`: a `Sequential` of linear layers and activations, with `stride` places for each
/// hidden layer: normalisation is one more.
pub(crate) fn sequential_name(path: &str, hidden: usize, stride: usize) -> String {
    let (place, leaf) = path.rsplit_once('.').unwrap_or(("", path));
    let mut parts = place.split('.');
    let list = parts.next().unwrap_or("");
    let number = parts.next().and_then(|text| text.parse::<usize>().ok());
    let index = match (list, number) {
        ("hidden", Some(number)) => stride * number,
        ("norms", Some(number)) => stride * number + 1,
        _ => stride * hidden,
    };
    format!("main.{index}.{leaf}")
}

/// Draws the weights of several networks of one kind; those of a single one have its name alone.
pub(crate) fn each_initialised<M: Module>(
    parts: Vec<M>,
    rule: Initial,
    seed: u64,
    name: &str,
) -> Vec<M> {
    let parts = parts.into_iter().enumerate();
    let initialised = parts.map(|(number, part)| match number {
        0 => initialise(part, rule, seed, name),
        number => initialise(part, rule, seed, &format!("{name}/{number}")),
    });
    initialised.collect()
}

impl Perceptron {
    fn new(config: &Config, width: usize, device: &Device) -> Self {
        let mut from = config.latent_dim;
        let mut hidden = Vec::new();
        for &to in &config.generator_hidden {
            hidden.push(Linear::new(from, to, device));
            from = to;
        }
        let norm = |width: &usize| config.norm_g.layer(*width, device);
        Self {
            hidden,
            norms: config.generator_hidden.iter().map(norm).collect(),
            output: Linear::new(from, width, device),
        }
    }
}

impl Generator {
    /// A generator of samples with `width` values, all weights zero.
    pub fn new(config: &Config, width: usize, device: &Device) -> Self {
        let part = |_| Perceptron::new(config, width, device);
        let references = (config.norm_g == Norm::Virtual).then(|| {
            let mut stream = Stream::new(config.training.seed, "references", 0);
            let noise = config
                .prior
                .draw(&mut stream, REFERENCES * config.latent_dim);
            let noise = TensorData::new(noise, [REFERENCES, config.latent_dim]);
            RunningState::new(Tensor::from_data(noise, device))
        });
        Self {
            parts: (0..config.generators).map(part).collect(),
            running_references: references,
            activation: config.generator_activation,
            squash: config.output,
        }
    }

    /// The same with fresh weights from the run's seed, others for each generator.
    #[must_use]
    pub fn initialised(mut self, rule: Initial, seed: u64) -> Self {
        self.parts = each_initialised(self.parts, rule, seed, "generator");
        self
    }

    /// How many generators there are.
    pub fn parts(&self) -> usize {
        self.parts.len()
    }

    /// Samples from noise, each independent of the others: normalised by what training has left. Every generator makes an
    /// equal share of the rows, in turn of the generators; the last one what is left over.
    ///
    /// # Shapes
    /// - `latent`: `[batch, latent_dim]`
    /// - result: `[batch, width]`, in the value range of the data
    pub fn forward(&self, latent: Tensor<2>) -> Tensor<2> {
        self.make(latent, Statistics::Running)
    }

    /// As [`Generator::forward`], normalised by the batch in training.
    ///
    /// # Shapes
    /// - `latent`: `[batch, latent_dim]`
    /// - result: `[batch, width]`, in the value range of the data
    pub fn make(&self, latent: Tensor<2>, statistics: Statistics) -> Tensor<2> {
        let [rows, _] = latent.dims();
        let count = self.parts.len().min(rows);
        if count <= 1 {
            return self.make_by(0, latent, statistics);
        }
        let share = rows / count;
        let made = (0..count).map(|part| {
            let first = part * share;
            let last = if part + 1 == count {
                rows
            } else {
                first + share
            };
            let own = latent.clone().narrow(0, first, last - first);
            self.make_by(part, own, statistics)
        });
        Tensor::cat(made.collect(), 0)
    }

    /// Samples of generator `part`.
    ///
    /// # Shapes
    /// - as [`Generator::forward`]
    ///
    /// # Panics
    /// If there is no such generator.
    pub fn make_by(&self, part: usize, latent: Tensor<2>, statistics: Statistics) -> Tensor<2> {
        let part = &self.parts[part];
        let rows = latent.dims()[0];
        let mut features = latent;
        let mut references = 0;
        if let Some(noise) = &self.running_references {
            features = Tensor::cat(vec![noise.value(), features], 0);
            references = REFERENCES;
        }
        let follows = activation(self.activation);
        for (layer, norm) in part.hidden.iter().zip(&part.norms) {
            features = norm.behind(layer, features, statistics, references, follows);
        }
        let squash = match self.squash {
            Squash::Tanh => layers::Activation::Tanh,
            Squash::Sigmoid => layers::Activation::Sigmoid,
            Squash::Linear => layers::Activation::Identity,
        };
        if references > 0 {
            features = features.narrow(0, references, rows);
        }
        part.output.activated(features, squash)
    }
}

impl Network for Generator {
    /// `main.0.weight` of a single generator, `2.main.0.weight` of the third of several.
    fn tensor_name(&self, path: &str) -> String {
        let Some((number, inner)) = path
            .strip_prefix("parts.")
            .and_then(|rest| rest.split_once('.'))
        else {
            return path.to_owned();
        };
        let part = &self.parts[0];
        let has_norm = part.norms.first().is_some_and(|norm| !norm.is_none());
        let stride = if has_norm { 3 } else { 2 };
        let name = sequential_name(inner, part.hidden.len(), stride);
        if self.parts.len() == 1 {
            name
        } else {
            format!("{number}.{name}")
        }
    }
}
