//! The networks of the paper's experiment on MNIST (Salimans et al. 2016, section 6.1; sizes, noise and initial weights
//! as in the authors' released code): a classifier with noise before each weight-normalised layer, and a generator of
//! softplus units with batch normalisation.

use super::CLASSES;
use super::config::Config;
use burn::module::{Module, Param};
use burn::tensor::activation::log_sigmoid;
use burn::tensor::{Device, Tensor, TensorData};
use gan_core::layers::{Activation, BatchNorm, Linear, Statistics};
use gan_core::random::Stream;
use gan_core::weights::{self, Network, rebuild};
use std::collections::BTreeMap;

/// Standard deviation of the classifier's initial weights. Only their directions count at first; their lengths say how
/// far a step of Adam turns them.
const SPREAD: f32 = 0.1;

/// A fully connected layer with the weights `g v / |v|`, one length `|v|` and one scale `g` for each output (Salimans and
/// Kingma 2016, arXiv 1602.07868, section 2).
#[derive(Module, Debug)]
pub struct WeightNorm {
    /// v.
    direction: Linear,
    /// g, `[out, 1]` as in PyTorch.
    scale: Param<Tensor<2>>,
    /// `[out]`
    bias: Param<Tensor<1>>,
    #[module(skip)]
    learns_scale: bool,
}

impl WeightNorm {
    /// A layer whose directions are all zero, with scales 1 and biases 0. Scales that do not learn stay as they were
    /// fitted.
    pub fn new(from: usize, to: usize, learns_scale: bool, device: &Device) -> Self {
        let mut direction = Linear::new(from, to, device);
        direction.bias = None;
        Self {
            direction,
            scale: Param::from_tensor(Tensor::ones([to, 1], device)),
            bias: Param::from_tensor(Tensor::zeros([to], device)),
            learns_scale,
        }
    }

    /// The plain layer that it amounts to. Gradients of its weights reach directions and scales.
    fn layer(&self) -> Linear {
        let direction = self.direction.weight.val();
        let [_, to] = direction.dims();
        let squares = (direction.clone() * direction.clone()).sum_dim(0);
        let scale = if self.learns_scale {
            self.scale.val()
        } else {
            self.scale.val().detach()
        };
        let weight = direction * (scale.reshape([1, to]) / squares.sqrt());
        Linear {
            weight: Param::initialized(self.direction.weight.id, weight),
            bias: Some(self.bias.clone()),
        }
    }

    /// The layer, then the activation.
    ///
    /// # Shapes
    /// - input: `[batch, in]`
    /// - result: `[batch, out]`
    pub fn activated(&self, input: Tensor<2>, activation: Activation) -> Tensor<2> {
        self.layer().activated(input, activation)
    }
}

/// `layers.0.direction.weight` -> `weight_v` and so on, as `torch.nn.utils.weight_norm` names them.
fn weight_norm_name(leaf: &str) -> &str {
    match leaf {
        "weight" => "weight_v",
        "scale" => "weight_g",
        leaf => leaf,
    }
}

/// Values plus N(0, `deviation`) of a stream; without a stream, or with a deviation of 0, as they are.
fn noised(values: Tensor<2>, deviation: f64, stream: Option<&mut Stream>) -> Tensor<2> {
    let Some(stream) = stream.filter(|_| deviation > 0.0) else {
        return values;
    };
    let dims = values.dims();
    let mut noise = stream.normal(dims[0] * dims[1]);
    noise
        .iter_mut()
        .for_each(|value| *value *= deviation as f32);
    values.clone() + Tensor::from_data(TensorData::new(noise, dims), &values.device())
}

/// A picture -> hidden layers with noise before each -> one logit a class. The logit of "generated" is 0 and no output.
#[derive(Module, Debug)]
pub struct Classifier {
    layers: Vec<WeightNorm>,
    #[module(skip)]
    noise_input: f64,
    #[module(skip)]
    noise_hidden: f64,
}

impl Classifier {
    /// A classifier of pictures with `width` values, all directions zero.
    pub fn new(config: &Config, width: usize, device: &Device) -> Self {
        let mut from = width;
        let mut layers = Vec::new();
        for &to in &config.classifier_hidden {
            layers.push(WeightNorm::new(from, to, false, device));
            from = to;
        }
        layers.push(WeightNorm::new(from, CLASSES, true, device));
        Self {
            layers,
            noise_input: config.noise_input,
            noise_hidden: config.noise_hidden,
        }
    }

    /// Random directions from the run's seed, with scales and biases such that every layer's outputs for `pictures` have
    /// mean 0 and variance 1 (Salimans and Kingma 2016, section 3). `pictures` are `[count, width]`, in [0, 1].
    #[must_use]
    pub fn fresh(self, seed: u64, pictures: Tensor<2>) -> Self {
        let network = rebuild(self, &mut |path, _, shape| {
            path.ends_with("direction.weight").then(|| {
                let mut stream = Stream::new(seed, &format!("initial/classifier/{path}"), 0);
                let draws = stream.normal(shape.iter().product());
                draws.into_iter().map(|value| SPREAD * value).collect()
            })
        });
        let mut stream = Stream::new(seed, "initial/classifier/noise", 0);
        let mut found = BTreeMap::new();
        let mut seen = pictures;
        for (number, layer) in network.valid().layers.iter().enumerate() {
            let shown = noised(seen, network.deviation(number), Some(&mut stream));
            let made = layer.activated(shown, Activation::Identity);
            let mean = made.clone().mean_dim(0);
            let away = made - mean.clone();
            // Outputs that never differ keep a finite scale.
            let spread = ((away.clone() * away.clone()).mean_dim(0) + 1e-8).sqrt();
            seen = (away / spread.clone()).clamp_min(0.0);
            let mut keep = |leaf: &str, values: Tensor<2>| {
                found.insert(format!("layers.{number}.{leaf}"), weights::values(values));
            };
            keep("scale", spread.clone().recip());
            keep("bias", (mean / spread).neg());
        }
        rebuild(network, &mut |path, _, _| found.remove(path))
    }

    /// Of the noise before a layer.
    fn deviation(&self, layer: usize) -> f64 {
        if layer == 0 {
            self.noise_input
        } else {
            self.noise_hidden
        }
    }

    /// The activations of the last hidden layer, which the generator has to match. Noise is on when a stream is given.
    ///
    /// # Shapes
    /// - `pictures`: `[batch, width]`, in [0, 1]
    /// - result: `[batch, last hidden width]`
    pub fn features(&self, pictures: Tensor<2>, mut stream: Option<&mut Stream>) -> Tensor<2> {
        let mut features = pictures;
        for (number, layer) in self.layers[..self.layers.len() - 1].iter().enumerate() {
            let shown = noised(features, self.deviation(number), stream.as_deref_mut());
            features = layer.activated(shown, Activation::RELU);
        }
        features
    }

    /// One logit a class. Noise is on when a stream is given.
    ///
    /// # Shapes
    /// - `pictures`: `[batch, width]`, in [0, 1]
    /// - result: `[batch, 10]`
    pub fn forward(&self, pictures: Tensor<2>, mut stream: Option<&mut Stream>) -> Tensor<2> {
        let features = self.features(pictures, stream.as_deref_mut());
        let last = self.layers.len() - 1;
        let shown = noised(features, self.deviation(last), stream);
        self.layers[last].activated(shown, Activation::Identity)
    }
}

impl Network for Classifier {
    /// `main.0`, `main.2`, ..: a `Sequential` of weight-normalised linear layers and ReLUs.
    fn tensor_name(&self, path: &str) -> String {
        let layer = path.split('.').nth(1).and_then(|text| text.parse().ok());
        let layer: usize = layer.unwrap_or(0);
        let leaf = path.rsplit('.').next().unwrap_or(path);
        let leaf = weight_norm_name(leaf);
        format!("main.{}.{leaf}", 2 * layer)
    }
}

/// Noise -> hidden layers with batch normalisation and softplus -> a weight-normalised layer and a sigmoid.
#[derive(Module, Debug)]
pub struct Generator {
    hidden: Vec<Linear>,
    norms: Vec<BatchNorm>,
    output: WeightNorm,
}

impl Generator {
    /// A generator of pictures with `width` values, all weights zero.
    pub fn new(config: &Config, width: usize, device: &Device) -> Self {
        let mut from = config.latent_dim;
        let (mut hidden, mut norms) = (Vec::new(), Vec::new());
        for &to in &config.generator_hidden {
            let mut layer = Linear::new(from, to, device);
            // The normalisation's own shift follows.
            layer.bias = None;
            hidden.push(layer);
            norms.push(BatchNorm::new(to, device));
            from = to;
        }
        Self {
            hidden,
            norms,
            output: WeightNorm::new(from, width, true, device),
        }
    }

    /// Random weights from the run's seed: U(-a, a) with a = sqrt(6 / (in + out)) (Glorot and Bengio 2010), as in the
    /// released code.
    #[must_use]
    pub fn fresh(self, seed: u64) -> Self {
        rebuild(self, &mut |path, container, shape| {
            (container == "Struct:Linear").then(|| {
                let limit = (6.0 / (shape[0] + shape[1]) as f32).sqrt();
                let mut stream = Stream::new(seed, &format!("initial/generator/{path}"), 0);
                stream.uniform(shape[0] * shape[1], -limit, limit)
            })
        })
    }

    /// Pictures from noise.
    ///
    /// # Shapes
    /// - `latent`: `[batch, latent_dim]`, in [0, 1)
    /// - result: `[batch, width]`, in (0, 1)
    pub fn forward(&self, latent: Tensor<2>, statistics: Statistics) -> Tensor<2> {
        let mut features = latent;
        for (layer, norm) in self.hidden.iter().zip(&self.norms) {
            features = softplus(norm.forward(layer.forward(features), statistics));
        }
        self.output.activated(features, Activation::Sigmoid)
    }
}

impl Network for Generator {
    /// A `Sequential` in which linear layer, norm and softplus take three places each.
    fn tensor_name(&self, path: &str) -> String {
        let (place, leaf) = path.rsplit_once('.').unwrap_or(("", path));
        if place.starts_with("output") {
            return format!("main.{}.{}", 3 * self.hidden.len(), weight_norm_name(leaf));
        }
        let (kind, number) = place.rsplit_once('.').unwrap_or((place, "0"));
        let number: usize = number.parse().unwrap_or(0);
        format!("main.{}.{leaf}", 3 * number + usize::from(kind == "norms"))
    }
}

/// `log(1 + exp x)`, finite at any x.
fn softplus(values: Tensor<2>) -> Tensor<2> {
    log_sigmoid(values.neg()).neg()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config() -> Config {
        Config {
            classifier_hidden: vec![40, 30],
            noise_input: 0.0,
            noise_hidden: 0.0,
            ..Config::default()
        }
    }

    #[test]
    fn fresh_layers_give_what_is_normal() {
        let device = Device::flex();
        let pictures = Stream::new(0, "test", 0).uniform(200 * 25, 0.0, 1.0);
        let pictures = Tensor::<2>::from_data(TensorData::new(pictures, [200, 25]), &device);
        let network = Classifier::new(&config(), 25, &device).fresh(3, pictures.clone());
        let logits = network.forward(pictures, None);
        let mean = weights::values(logits.clone().mean_dim(0));
        assert!(mean.iter().all(|mean| mean.abs() < 1e-4), "{mean:?}");
        let spread = weights::values((logits.clone() * logits).mean_dim(0));
        assert!(
            spread.iter().all(|square| (square - 1.0).abs() < 1e-3),
            "{spread:?}"
        );
    }

    #[test]
    fn weights_are_a_scale_times_a_direction() {
        let device = Device::flex();
        let mut layer = WeightNorm::new(2, 1, true, &device);
        // v = (3, 4) of length 5, g = 10: the weights are (6, 8).
        layer.direction.weight = Param::from_tensor(Tensor::from_data([[3.0f32], [4.0]], &device));
        layer.scale = Param::from_tensor(Tensor::from_data([[10.0f32]], &device));
        layer.bias = Param::from_tensor(Tensor::from_data([1.0f32], &device));
        let input = Tensor::from_data([[1.0f32, 0.0], [0.0, 1.0]], &device);
        let output = weights::values(layer.activated(input, Activation::Identity));
        assert!((output[0] - 7.0).abs() < 1e-5 && (output[1] - 9.0).abs() < 1e-5);
    }

    #[test]
    fn softplus_is_finite_far_away() {
        let far = Tensor::from_data([[-200.0f32, 0.0, 200.0]], &Device::flex());
        let found = weights::values(softplus(far));
        assert!(found[0].abs() < 1e-6 && (found[2] - 200.0).abs() < 1e-4);
        assert!((found[1] - 2f32.ln()).abs() < 1e-6);
    }
}
