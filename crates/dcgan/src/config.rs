//! What `dcgan train` can be told, and the reason for each default.

use anyhow::Result;
use gan_core::config::{Configuration, Training, illegal};
use gan_core::layers::Norm;
use gan_core::optimizer::{Rule, Schedule};
use gan_core::random::Prior;
use gan_core::technique::{TechniqueFlags, Techniques};

/// How the generator doubles its resolution.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize, clap::ValueEnum,
)]
#[serde(rename_all = "kebab-case")]
pub enum Upsample {
    /// Transposed convolutions, kernel 4, stride 2: the paper's networks.
    Transpose,
    /// Nearest-neighbour doubling, then a convolution with kernel 3: no checkerboard (Odena et al.
    /// 2016, <https://distill.pub/2016/deconv-checkerboard>).
    Resize,
}

gan_core::configuration! {
    /// The networks and the training of a DCGAN. The defaults are the paper's values, with the
    /// network of pytorch/examples (64 x 64, width 64).
    Config, Flags, training = Training { epochs: 25, batch_size: 128, ..Training::default() },
        techniques: Techniques, TechniqueFlags;
    /// Side of the pictures in pixels: 32, 64 or 128.
    image_size: usize = 64;
    /// Colour channels: 3, or 1 for grey.
    channels: usize = 3;
    /// Width of the latent vector z.
    latent_dim: usize = 100;
    /// Channels of the generator's last hidden layer; each earlier one has twice as many.
    width_g: usize = 64;
    /// Channels of the discriminator's first layer; each later one has twice as many.
    width_d: usize = 64;
    /// How the generator doubles its resolution.
    upsample: Upsample = Upsample::Transpose;
    /// What normalises the generator's layers but the last.
    norm_g: Norm = Norm::Batch;
    /// What normalises the discriminator's layers but the first and the last: each side by its own batch.
    norm_d: Norm = Norm::Batch;
    /// Adam's learning rate; 1e-3 was too high (section 4).
    lr: f64 = 2e-4;
    /// Learning rate of the generator; 0 takes --lr.
    lr_g: f64 = 0.0;
    /// Learning rate of the discriminator; 0 takes --lr.
    lr_d: f64 = 0.0;
    /// Adam's first decay; 0.9 made training oscillate (section 4).
    beta1: f64 = 0.5;
    /// Adam's second decay.
    beta2: f64 = 0.999;
    /// Share of the run after which the learning rates fall linearly to 0; 1 never does.
    decay_start: f64 = 1.0;
    /// Discriminator steps a generator step.
    n_critic: u64 = 1;
    /// Mirror half of the training pictures.
    #[arg(num_args = 0..=1, default_missing_value = "true", require_equals = true)]
    flip: bool = false;
    /// Decay of the generator's running average, which samples come from; 0 keeps none.
    ema_decay: f64 = 0.0;
}

impl Configuration for Config {
    const WORD: &'static str = "dcgan";
    const PRESETS: &'static [(&'static str, &'static str)] = &[
        ("quick", include_str!("../../../configs/dcgan/quick.toml")),
        ("paper", include_str!("../../../configs/dcgan/paper.toml")),
        ("faces", include_str!("../../../configs/dcgan/faces.toml")),
        ("mnist", include_str!("../../../configs/dcgan/mnist.toml")),
    ];

    fn training(&self) -> &Training {
        &self.training
    }

    fn validate(&self) -> Result<()> {
        if ![32, 64, 128].contains(&self.image_size) {
            return Err(illegal("image_size", self.image_size, "32, 64 or 128"));
        }
        if ![1, 3].contains(&self.channels) {
            return Err(illegal("channels", self.channels, "1 or 3"));
        }
        for (key, value, most) in [
            ("latent_dim", self.latent_dim, 16_384),
            ("width_g", self.width_g, 512),
            ("width_d", self.width_d, 512),
        ] {
            if !(1..=most).contains(&value) {
                return Err(illegal(key, value, &format!("it must be from 1 to {most}")));
            }
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
        if !(self.lr > 0.0 && self.lr.is_finite()) {
            return Err(illegal("lr", self.lr, "it must be above 0 and finite"));
        }
        for (key, value) in [("lr_g", self.lr_g), ("lr_d", self.lr_d)] {
            if !(value >= 0.0 && value.is_finite()) {
                return Err(illegal(key, value, "it must be at least 0 and finite"));
            }
        }
        if !(0.0..=1.0).contains(&self.decay_start) {
            return Err(illegal(
                "decay_start",
                self.decay_start,
                "it must be in [0, 1]",
            ));
        }
        self.techniques.validate()?;
        if self.norm_d == Norm::Virtual {
            let rule = "virtual batch normalisation is for the generator (Salimans et al. 2016, section 3.5)";
            return Err(illegal("norm_d", "virtual", rule));
        }
        if self.n_critic == 0 {
            return Err(illegal("n_critic", 0, "it must be at least 1"));
        }
        if self.training.batch_size < 2 * self.training.accumulate {
            return Err(illegal(
                "batch_size",
                self.training.batch_size,
                "batch normalisation needs at least 2 pictures, in each part of --accumulate",
            ));
        }
        Ok(())
    }
}

impl Config {
    /// Numbers in the largest layers of a network whose outermost layer is `width` wide: a lower
    /// bound of its size.
    pub fn least_size(&self, width: usize) -> u64 {
        let kernel = if self.upsample == Upsample::Resize {
            9
        } else {
            16
        };
        (1..self.doublings())
            .map(|layer| kernel * ((width as u64) << layer) * ((width as u64) << (layer - 1)))
            .sum::<u64>()
    }

    /// Doublings between 4 x 4 and the pictures.
    pub fn doublings(&self) -> usize {
        (self.image_size / 4).ilog2() as usize
    }

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
        if self.decay_start < 1.0 {
            Schedule::LinearDecay {
                start: self.decay_start,
            }
        } else {
            Schedule::Constant
        }
    }

    /// The learning rates of generator and discriminator.
    pub fn learning_rates(&self) -> (f64, f64) {
        let or_shared = |own: f64| if own > 0.0 { own } else { self.lr };
        (or_shared(self.lr_g), or_shared(self.lr_d))
    }

    /// How z is drawn. The paper's U(-1, 1) and pytorch/examples' N(0, 1) work alike; this is the
    /// latter.
    pub fn prior(&self) -> Prior {
        Prior::Normal
    }
}
