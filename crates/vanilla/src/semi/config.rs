//! What `vanilla semi train` can be told, and the reason for each default.

use super::CLASSES;
use anyhow::Result;
use gan_core::config::{Configuration, Training, illegal};
use gan_core::optimizer::{Rule, Schedule};
use gan_core::random::Prior;

/// What a classifier learns from.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize, clap::ValueEnum,
)]
#[serde(rename_all = "kebab-case")]
pub enum Method {
    /// Labelled pictures, pictures without labels, and those of a generator that learns beside it.
    Gan,
    /// The labelled pictures alone.
    Labels,
}

impl Method {
    /// Both, the one that the other is measured by first.
    pub const ALL: [Self; 2] = [Self::Labels, Self::Gan];

    /// The name in files and tables.
    pub fn name(self) -> &'static str {
        match self {
            Self::Gan => "gan",
            Self::Labels => "labels",
        }
    }
}

gan_core::configuration! {
    /// The networks and the training of a semi-supervised classifier. The defaults are the networks and rates of the
    /// paper's experiment on MNIST as its authors released it, for a tenth of its length.
    Config, Flags, training = Training {
        epochs: 30,
        batch_size: 100,
        log_every: 100,
        sample_every: 2000,
        save_every: 2000,
        ..Training::default()
    };
    /// What the classifier learns from: gan, or labels alone.
    method: Method = Method::Gan;
    /// Labelled pictures, as many of each class; the seed chooses them. The paper's tables have 20, 50, 100 and 200.
    labels: usize = 100;
    /// Width of the latent vector z, which is U(0, 1).
    latent_dim: usize = 100;
    /// Widths of the generator's hidden layers (100-500-500-784).
    #[arg(value_delimiter = ',', value_name = "WIDTHS")]
    generator_hidden: Vec<usize> = vec![500, 500];
    /// Widths of the classifier's hidden layers (784-1000-500-250-250-250-10).
    #[arg(value_delimiter = ',', value_name = "WIDTHS")]
    classifier_hidden: Vec<usize> = vec![1000, 500, 250, 250, 250];
    /// Standard deviation of the noise that is added to pictures in [0, 1] before the first layer.
    noise_input: f64 = 0.3;
    /// Standard deviation of the noise that is added before every other layer.
    noise_hidden: f64 = 0.5;
    /// Weight of the loss of pictures without labels and generated ones, against that of the labelled ones.
    unlabelled_weight: f64 = 1.0;
    /// Adam's learning rate of both networks.
    lr: f64 = 3e-3;
    /// Adam's first decay.
    beta1: f64 = 0.5;
    /// Adam's second decay.
    beta2: f64 = 0.999;
    /// Share of the run after which the learning rates fall linearly to 0; 1 never does, as in the released code, whose
    /// 300 epochs leave the running average more time.
    decay_start: f64 = 0.5;
    /// Decay of the classifier's running average, which is measured; 0 keeps none.
    ema_decay: f64 = 0.9999;
}

impl Configuration for Config {
    // It is a verb of the binary, and so the commands that a run names are right.
    const WORD: &'static str = "vanilla semi";
    const PRESETS: &'static [(&'static str, &'static str)] = &[
        (
            "quick",
            include_str!("../../../../configs/vanilla-semi/quick.toml"),
        ),
        (
            "released",
            include_str!("../../../../configs/vanilla-semi/released.toml"),
        ),
    ];

    fn training(&self) -> &Training {
        &self.training
    }

    fn decays(&self) -> bool {
        self.decay_start < 1.0
    }

    fn validate(&self) -> Result<()> {
        if self.labels == 0 || !self.labels.is_multiple_of(CLASSES) {
            let legal = format!("it must be a multiple of {CLASSES}: as many of each class");
            return Err(illegal("labels", self.labels, &legal));
        }
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
            let legal = "it must be in [0, 1]";
            return Err(illegal("decay_start", self.decay_start, legal));
        }
        if !(self.lr > 0.0 && self.lr.is_finite()) {
            return Err(illegal("lr", self.lr, "it must be above 0 and finite"));
        }
        for (key, value) in [
            ("noise_input", self.noise_input),
            ("noise_hidden", self.noise_hidden),
            ("unlabelled_weight", self.unlabelled_weight),
        ] {
            if !(value >= 0.0 && value.is_finite()) {
                return Err(illegal(key, value, "it must be at least 0 and finite"));
            }
        }
        if !(1..=16_384).contains(&self.latent_dim) {
            let legal = "it must be from 1 to 16384";
            return Err(illegal("latent_dim", self.latent_dim, legal));
        }
        for (key, widths) in [
            ("generator_hidden", &self.generator_hidden),
            ("classifier_hidden", &self.classifier_hidden),
        ] {
            let is_legal = widths.iter().all(|width| (1..=16_384).contains(width));
            // The generator is taught by what the classifier's last hidden layer sees.
            if !is_legal || !(1..=64).contains(&widths.len()) {
                return Err(illegal(
                    key,
                    format!("{widths:?}"),
                    "1 to 64 widths, each from 1 to 16384",
                ));
            }
        }
        if self.training.batch_size < 2 {
            return Err(illegal(
                "batch_size",
                self.training.batch_size,
                "batch normalisation needs at least 2 pictures",
            ));
        }
        if self.training.accumulate != 1 {
            return Err(illegal(
                "accumulate",
                self.training.accumulate,
                "means of features are those of whole batches: it must be 1",
            ));
        }
        Ok(())
    }
}

impl Config {
    /// The rule of both optimizers.
    pub fn rule(&self) -> Rule {
        Rule::Adam {
            beta1: self.beta1,
            beta2: self.beta2,
            epsilon: 1e-8,
        }
    }

    /// The schedule of both optimizers.
    pub fn schedule(&self) -> Schedule {
        if self.decays() {
            Schedule::LinearDecay {
                start: self.decay_start,
            }
        } else {
            Schedule::Constant
        }
    }

    /// How z is drawn.
    pub fn prior(&self) -> Prior {
        Prior::Unit
    }

    /// Numbers in the classifier's weights, for pictures of `width` values: a lower bound of its size.
    pub fn classifier_size(&self, width: usize) -> u64 {
        let mut from = width as u64;
        let mut size = 0u64;
        for to in self.classifier_hidden.iter().chain([&CLASSES]) {
            size += (from + 2) * *to as u64;
            from = *to as u64;
        }
        size
    }
}
