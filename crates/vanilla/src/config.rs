//! What `vanilla train` can be told, and the reason for each default.

use anyhow::Result;
use gan_core::config::{Configuration, Training, illegal};
use gan_core::init::Initial;
use gan_core::layers::Norm;
use gan_core::optimizer::{Rule, Schedule};
use gan_core::random::Prior;
use gan_core::technique::{TechniqueFlags, Techniques};

/// What is learned.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize, clap::ValueEnum,
)]
#[serde(rename_all = "kebab-case")]
pub enum Dataset {
    /// Grey pictures: idx files under `data`, or the built-in procedural digits.
    Digits,
    /// Points on a ring of Gaussians, drawn afresh for every batch.
    Ring,
}

/// What follows a hidden layer.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize, clap::ValueEnum,
)]
#[serde(rename_all = "kebab-case")]
pub enum Activation {
    /// max(x, 0).
    Relu,
    /// x above 0, 0.2 x below.
    LeakyRelu,
    /// Hyperbolic tangent.
    Tanh,
    /// The largest of five linear pieces a unit (Goodfellow et al. 2013, arXiv 1302.4389).
    Maxout,
}

/// What ends the generator; it fixes the value range of the data.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize, clap::ValueEnum,
)]
#[serde(rename_all = "kebab-case")]
pub enum Squash {
    /// Pictures in [-1, 1].
    Tanh,
    /// Pictures in [0, 1].
    Sigmoid,
    /// Any value: points of the ring.
    Linear,
}

/// How weights start.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize, clap::ValueEnum,
)]
#[serde(rename_all = "kebab-case")]
pub enum Start {
    /// U(-1/sqrt(fan_in), 1/sqrt(fan_in)), PyTorch's default.
    FanIn,
    /// N(0, 0.02).
    Normal,
    /// U(-0.05, 0.05) in the generator and U(-0.005, 0.005) in the discriminator, biases 0, the
    /// generator's output bias from the pixels' mean (the released code of the 2014 paper).
    Goodfellow,
}

/// Which optimizer moves both players.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize, clap::ValueEnum,
)]
#[serde(rename_all = "kebab-case")]
pub enum Optimizing {
    /// Adam with `beta1` and `beta2`.
    Adam,
    /// Momentum 0.5 rising to 0.7 over 250 epochs, the rate divided by 1.000004 a step, down to
    /// 1e-6 (the released code of the 2014 paper).
    Goodfellow,
}

gan_core::configuration! {
    /// The networks and the training of a vanilla GAN. The defaults are the seed project's networks
    /// with today's usual optimizer.
    Config, Flags, training = Training { epochs: 100, ..Training::default() },
        techniques: Techniques, TechniqueFlags;
    /// What is learned: digits, or a ring of Gaussians.
    dataset: Dataset = Dataset::Digits;
    /// Width of the latent vector z.
    latent_dim: usize = 100;
    /// How z is drawn.
    prior: Prior = Prior::Normal;
    /// Widths of the generator's hidden layers (100-500-500-784).
    #[arg(value_delimiter = ',', value_name = "WIDTHS")]
    generator_hidden: Vec<usize> = vec![500, 500];
    /// What follows each of them: ReLU keeps gradients alive.
    generator_activation: Activation = Activation::Relu;
    /// What normalises its hidden layers.
    norm_g: Norm = Norm::None;
    /// What ends the generator: tanh for data in [-1, 1].
    output: Squash = Squash::Tanh;
    /// Widths of the discriminator's hidden layers (784-500-500-1).
    #[arg(value_delimiter = ',', value_name = "WIDTHS")]
    discriminator_hidden: Vec<usize> = vec![500, 500];
    /// What follows each of them: leaky, so that no unit dies under the generator's gradients.
    discriminator_activation: Activation = Activation::LeakyRelu;
    /// What normalises the discriminator's hidden layers but the first: each side by its own batch.
    norm_d: Norm = Norm::None;
    /// Probability that an input of the discriminator is kept; 1 is no dropout.
    keep_input: f64 = 1.0;
    /// Probability that a hidden unit of the discriminator is kept; 1 is no dropout.
    keep_hidden: f64 = 1.0;
    /// How weights start.
    start: Start = Start::FanIn;
    /// Generators that share the noise between them, each a part of every batch: several for different modes.
    generators: usize = 1;
    /// Train each generator on a part of the data of its own, with a discriminator of its own; the ring's Gaussians are
    /// dealt out in turn.
    #[arg(num_args = 0..=1, default_missing_value = "true", require_equals = true)]
    subsets: bool = false;
    /// Discriminator steps a generator step (k of Algorithm 1); the paper used 1.
    n_critic: u64 = 1;
    /// Which optimizer moves both players.
    optimizer: Optimizing = Optimizing::Adam;
    /// Learning rate of both players, where theirs is 0.
    lr: f64 = 2e-4;
    /// Learning rate of the generator; 0 takes --lr.
    lr_g: f64 = 0.0;
    /// Learning rate of the discriminator; 0 takes --lr.
    lr_d: f64 = 0.0;
    /// Adam's first decay; 0.5 damps the oscillation of two players (Radford et al. 2016).
    beta1: f64 = 0.5;
    /// Adam's second decay.
    beta2: f64 = 0.999;
    /// Share of the run after which Adam's learning rates fall linearly to 0; 1 never does.
    decay_start: f64 = 1.0;
    /// Decay of the generator's running average, which samples come from; 0 keeps none.
    ema_decay: f64 = 0.0;
    /// Gaussians on the ring, at distinct angles.
    ring_modes: usize = 8;
    /// Radius of the ring.
    ring_radius: f64 = 2.0;
    /// Standard deviation of each Gaussian.
    ring_std: f64 = 0.02;
}

impl Configuration for Config {
    const WORD: &'static str = "vanilla";
    const PRESETS: &'static [(&'static str, &'static str)] = &[
        ("quick", include_str!("../../../configs/vanilla/quick.toml")),
        ("paper", include_str!("../../../configs/vanilla/paper.toml")),
        ("mnist", include_str!("../../../configs/vanilla/mnist.toml")),
        (
            "goodfellow",
            include_str!("../../../configs/vanilla/goodfellow.toml"),
        ),
        ("ring", include_str!("../../../configs/vanilla/ring.toml")),
        (
            "ring-collapse",
            include_str!("../../../configs/vanilla/ring-collapse.toml"),
        ),
    ];

    fn default_preset(flags: &toml::Table) -> &'static str {
        let dataset = flags.get("dataset").and_then(|value| value.as_str());
        if dataset == Some("ring") {
            "ring"
        } else {
            "quick"
        }
    }

    fn training(&self) -> &Training {
        &self.training
    }

    fn validate(&self) -> Result<()> {
        let share = "it must be in (0, 1]";
        let in_share = |key: &str, value: f64| {
            if value > 0.0 && value <= 1.0 {
                Ok(())
            } else {
                Err(illegal(key, value, share))
            }
        };
        in_share("keep_input", self.keep_input)?;
        in_share("keep_hidden", self.keep_hidden)?;
        self.techniques.validate()?;
        for (key, value) in [
            ("beta1", self.beta1),
            ("beta2", self.beta2),
            ("ema_decay", self.ema_decay),
        ] {
            if !(0.0..1.0).contains(&value) {
                return Err(illegal(key, value, "it must be in [0, 1)"));
            }
        }
        if !(0.0..=1.0).contains(&self.decay_start) {
            return Err(illegal(
                "decay_start",
                self.decay_start,
                "it must be in [0, 1]",
            ));
        }
        for (key, value) in [("lr_g", self.lr_g), ("lr_d", self.lr_d)] {
            if !(value >= 0.0 && value.is_finite()) {
                return Err(illegal(key, value, "it must be at least 0 and finite"));
            }
        }
        for (key, value) in [
            ("lr", self.lr),
            ("ring_std", self.ring_std),
            ("ring_radius", self.ring_radius),
        ] {
            if !(value > 0.0 && value.is_finite()) {
                return Err(illegal(key, value, "it must be above 0 and finite"));
            }
        }
        for (key, value) in [
            ("latent_dim", self.latent_dim),
            ("ring_modes", self.ring_modes),
        ] {
            if !(1..=16_384).contains(&value) {
                return Err(illegal(key, value, "it must be from 1 to 16384"));
            }
        }
        if self.n_critic == 0 {
            return Err(illegal("n_critic", 0, "it must be at least 1"));
        }
        for (key, widths) in [
            ("generator_hidden", &self.generator_hidden),
            ("discriminator_hidden", &self.discriminator_hidden),
        ] {
            if widths.iter().any(|width| !(1..=16_384).contains(width)) || widths.len() > 64 {
                return Err(illegal(
                    key,
                    format!("{widths:?}"),
                    "at most 64 widths, each from 1 to 16384",
                ));
            }
        }
        if self.generator_activation == Activation::Maxout {
            return Err(illegal(
                "generator_activation",
                "maxout",
                "maxout is for the discriminator",
            ));
        }
        if !(1..=64).contains(&self.generators) {
            return Err(illegal(
                "generators",
                self.generators,
                "it must be from 1 to 64",
            ));
        }
        let (parts, batch) = (
            self.generators * self.training.accumulate,
            self.training.batch_size,
        );
        if !batch.is_multiple_of(parts) {
            let rule =
                "every generator makes as many samples of a batch, in each part of --accumulate";
            return Err(illegal("batch_size", batch, rule));
        }
        let is_ring = self.dataset == Dataset::Ring;
        let has_parts = self.generators > 1 && self.generators <= self.ring_modes;
        if self.subsets && !(is_ring && has_parts && self.training.accumulate == 1) {
            let rule = "parts of the data are told apart on the ring alone: --dataset ring, and --generators from 2 to \
                        the number of its Gaussians, without --accumulate";
            return Err(illegal("subsets", self.subsets, rule));
        }
        if self.norm_d == Norm::Virtual {
            let rule = "virtual batch normalisation is for the generator (Salimans et al. 2016, section 3.5)";
            return Err(illegal("norm_d", "virtual", rule));
        }
        let augment = self.techniques.augment;
        if is_ring && augment != gan_core::augment::Augment::None {
            let name = format!("{augment:?}").to_lowercase();
            return Err(illegal("augment", name, "points are no pictures"));
        }
        let needs_batch = [
            self.norm_g == Norm::Batch,
            self.norm_d == Norm::Batch,
            self.techniques.minibatch_kernels > 0,
        ];
        if needs_batch.contains(&true) && batch / parts < 2 {
            let rule =
                "what looks at a batch as a whole needs at least 2 samples, of each generator";
            return Err(illegal("batch_size", batch, rule));
        }
        if is_ring != (self.output == Squash::Linear) {
            return Err(illegal(
                "output",
                format!("{:?}", self.output).to_lowercase(),
                "the ring needs linear, pictures need tanh or sigmoid",
            ));
        }
        Ok(())
    }
}

impl Config {
    /// The rule of both optimizers.
    pub fn rule(&self) -> Rule {
        match self.optimizer {
            Optimizing::Adam => Rule::Adam {
                beta1: self.beta1,
                beta2: self.beta2,
                epsilon: 1e-8,
            },
            Optimizing::Goodfellow => Rule::Sgd,
        }
    }

    /// The schedule of both optimizers; `epoch_length` is in steps.
    pub fn schedule(&self, epoch_length: usize) -> Schedule {
        match self.optimizer {
            Optimizing::Goodfellow => Schedule::Pylearn2 {
                factor: 1.000_004,
                minimum: 1e-6,
                momentum: 0.5,
                final_momentum: 0.7,
                saturate: 250 * epoch_length as u64,
            },
            Optimizing::Adam if self.decay_start < 1.0 => Schedule::LinearDecay {
                start: self.decay_start,
            },
            Optimizing::Adam => Schedule::Constant,
        }
    }

    /// The learning rates of generator and discriminator.
    pub fn learning_rates(&self) -> (f64, f64) {
        let or_shared = |own: f64| if own > 0.0 { own } else { self.lr };
        (or_shared(self.lr_g), or_shared(self.lr_d))
    }

    /// How the generator's and the discriminator's weights start.
    pub fn initial(&self) -> (Initial, Initial) {
        match self.start {
            Start::FanIn => (Initial::FanIn, Initial::FanIn),
            Start::Normal => (Initial::Dcgan, Initial::Dcgan),
            Start::Goodfellow => (
                Initial::Uniform { range: 0.05 },
                Initial::Uniform { range: 0.005 },
            ),
        }
    }

    /// Numbers in the generator's weights, for samples of `width` values.
    pub fn generator_size(&self, width: usize) -> u64 {
        let mut from = self.latent_dim as u64;
        let mut size = 0u64;
        for to in self.generator_hidden.iter().chain([&width]) {
            size += (from + 1) * *to as u64;
            from = *to as u64;
        }
        size * self.generators as u64
    }

    /// The smallest and the largest value of the data.
    pub fn value_range(&self) -> (f32, f32) {
        match self.output {
            Squash::Tanh => (-1.0, 1.0),
            Squash::Sigmoid => (0.0, 1.0),
            Squash::Linear => (f32::NEG_INFINITY, f32::INFINITY),
        }
    }
}
