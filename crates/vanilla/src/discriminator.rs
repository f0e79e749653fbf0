//! The discriminator: a multilayer perceptron from a sample to one logit, plain or with maxout and
//! dropout (Goodfellow et al. 2014, <https://arxiv.org/abs/1406.2661>, section 5).

use crate::config::{Activation, Config};
use crate::generator::{activation, each_initialised, sequential_name};
use burn::module::Module;
use burn::tensor::{Device, Tensor};
use gan_core::init::Initial;
use gan_core::layers::{
    self, Dropout, Linear, MinibatchDiscrimination, NormLayer, SpectralNorm, Statistics,
};
use gan_core::random::Stream;
use gan_core::technique::Seen;
use gan_core::weights::Network;

/// Linear pieces a maxout unit, as in the paper's released code.
const PIECES: usize = 5;

/// A flat sample -> hidden layers -> one logit (before the sigmoid); or several that divide the samples between them.
#[derive(Module, Debug)]
pub struct Discriminator {
    parts: Vec<Perceptron>,
    #[module(skip)]
    activation: Activation,
}

/// One of the discriminators.
#[derive(Module, Debug)]
struct Perceptron {
    drop_input: Dropout,
    hidden: Vec<Linear>,
    norms: Vec<NormLayer>,
    drop_hidden: Dropout,
    minibatch: Option<MinibatchDiscrimination>,
    output: Linear,
    // Of the hidden layers and of the last; none, or one for each.
    spectral: Vec<SpectralNorm>,
}

impl Perceptron {
    fn new(config: &Config, width: usize, device: &Device) -> Self {
        let pieces = match config.discriminator_activation {
            Activation::Maxout => PIECES,
            _ => 1,
        };
        let techniques = &config.techniques;
        let mut from = width;
        let (mut hidden, mut norms) = (Vec::new(), Vec::new());
        for &to in &config.discriminator_hidden {
            // What comes in stays as it is, as in DCGAN.
            let norm = if hidden.is_empty() {
                layers::Norm::None
            } else {
                config.norm_d
            };
            norms.push(norm.layer(to * pieces, device));
            hidden.push(Linear::new(from, to * pieces, device));
            from = to;
        }
        let kernels = techniques.minibatch_kernels;
        let output = Linear::new(from + kernels, 1, device);
        let spectral = |layer: &Linear| {
            let [inputs, outputs] = layer.weight.dims();
            SpectralNorm::new(outputs, inputs, device)
        };
        let spectral = if techniques.spectral_norm {
            hidden.iter().chain([&output]).map(spectral).collect()
        } else {
            Vec::new()
        };
        Self {
            drop_input: Dropout::new(config.keep_input),
            hidden,
            norms,
            drop_hidden: Dropout::new(config.keep_hidden),
            minibatch: (kernels > 0).then(|| {
                MinibatchDiscrimination::new(from, kernels, techniques.minibatch_dims, device)
            }),
            output,
            spectral,
        }
    }

    /// The input of layer `place` as spectral normalisation changes it.
    fn divided(
        &self,
        place: usize,
        layer: &Linear,
        input: Tensor<2>,
        statistics: Statistics,
    ) -> Tensor<2> {
        match self.spectral.get(place) {
            Some(norm) => norm.divided(input, layer.weight.val().transpose(), statistics),
            None => input,
        }
    }

    fn see(
        &self,
        samples: Tensor<2>,
        kind: Activation,
        statistics: Statistics,
        stream: &mut Option<&mut Stream>,
    ) -> Seen {
        let mut features = self.drop_input.forward(samples, stream.as_deref_mut());
        for (place, (layer, norm)) in self.hidden.iter().zip(&self.norms).enumerate() {
            let input = self.divided(place, layer, features, statistics);
            // Maxout is no function of one value: its layer gives every piece as it is.
            features = norm.after(layer, input, statistics, activation(kind));
            if kind == Activation::Maxout {
                let [batch, all] = features.dims();
                features = features
                    .reshape([batch, all / PIECES, PIECES])
                    .max_dim(2)
                    .reshape([batch, all / PIECES]);
            }
            features = self.drop_hidden.forward(features, stream.as_deref_mut());
        }
        let known = match &self.minibatch {
            Some(minibatch) => minibatch.forward(features.clone()),
            None => features.clone(),
        };
        let input = self.divided(self.hidden.len(), &self.output, known, statistics);
        Seen {
            logits: self.output.forward(input),
            features,
        }
    }
}

impl Discriminator {
    /// A discriminator of samples with `width` values, all weights zero.
    pub fn new(config: &Config, width: usize, device: &Device) -> Self {
        let count = if config.subsets { config.generators } else { 1 };
        let part = |_| Perceptron::new(config, width, device);
        Self {
            parts: (0..count).map(part).collect(),
            activation: config.discriminator_activation,
        }
    }

    /// The same with fresh weights from the run's seed, others for each discriminator.
    #[must_use]
    pub fn initialised(mut self, rule: Initial, seed: u64) -> Self {
        self.parts = each_initialised(self.parts, rule, seed, "discriminator");
        self
    }

    /// Logits, and the activations of the last hidden layer. Dropout is on when a stream is given. Several discriminators
    /// look at an equal share of the rows each, in turn.
    ///
    /// # Shapes
    /// - `samples`: `[batch, width]`
    pub fn see(
        &self,
        samples: Tensor<2>,
        statistics: Statistics,
        mut stream: Option<&mut Stream>,
    ) -> Seen {
        let count = self.parts.len();
        if count == 1 {
            return self.parts[0].see(samples, self.activation, statistics, &mut stream);
        }
        let share = samples.dims()[0] / count;
        let (mut logits, mut features) = (Vec::new(), Vec::new());
        for (place, part) in self.parts.iter().enumerate() {
            let own = samples.clone().narrow(0, place * share, share);
            let seen = part.see(own, self.activation, statistics, &mut stream);
            logits.push(seen.logits);
            features.push(seen.features);
        }
        Seen {
            logits: Tensor::cat(logits, 0),
            features: Tensor::cat(features, 0),
        }
    }

    /// One logit a sample; its sigmoid is the probability that the sample is real. Dropout is on
    /// when a stream is given; nothing is normalised by the batch.
    ///
    /// # Shapes
    /// - `samples`: `[batch, width]`
    /// - result: `[batch, 1]`
    pub fn forward(&self, samples: Tensor<2>, stream: Option<&mut Stream>) -> Tensor<2> {
        self.see(samples, Statistics::Running, stream).logits
    }
}

impl Network for Discriminator {
    /// `main.0.weight` of a single discriminator, `2.main.0.weight` of the third of several. Spectral normalisation has
    /// PyTorch's names (`torch.nn.utils.parametrizations`).
    fn tensor_name(&self, path: &str) -> String {
        let Some((number, inner)) = path
            .strip_prefix("parts.")
            .and_then(|rest| rest.split_once('.'))
        else {
            return path.to_owned();
        };
        let part = &self.parts[0];
        let has_norm = part.norms.iter().any(|norm| !norm.is_none());
        let stride = if has_norm { 3 } else { 2 };
        let name = match inner.split_once('.') {
            Some(("minibatch", leaf)) => format!("minibatch.{leaf}"),
            Some(("spectral", rest)) => {
                let (place, leaf) = rest.split_once('.').unwrap_or((rest, ""));
                let place = stride * place.parse::<usize>().unwrap_or(0);
                let leaf = leaf.replace("running", "");
                format!("main.{place}.parametrizations.weight.0.{leaf}")
            }
            _ => {
                let name = sequential_name(inner, part.hidden.len(), stride);
                let is_divided = !part.spectral.is_empty() && !inner.starts_with("norms");
                match name.strip_suffix(".weight") {
                    Some(layer) if is_divided => {
                        format!("{layer}.parametrizations.weight.original")
                    }
                    _ => name,
                }
            }
        };
        if self.parts.len() == 1 {
            name
        } else {
            format!("{number}.{name}")
        }
    }
}
