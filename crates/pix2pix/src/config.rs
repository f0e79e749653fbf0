//! What `pix2pix train` can be told, and the reason for each default.

use anyhow::Result;
use gan_core::config::{Configuration, Training, illegal};
use gan_core::loss::GanMode;
use gan_core::optimizer::{Rule, Schedule};
use translation::discriminator::NetD;
use translation::generator::NetG;
use translation::norm::Norm;

/// Which side of a pair is translated into which.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize, clap::ValueEnum,
)]
pub enum Direction {
    /// The left picture, or that of folder A, into the right one.
    #[serde(rename = "a2b", alias = "AtoB")]
    #[value(name = "a2b", alias = "AtoB")]
    A2b,
    /// The right picture, or that of folder B, into the left one: facades from their label maps.
    #[serde(rename = "b2a", alias = "BtoA")]
    #[value(name = "b2a", alias = "BtoA")]
    B2a,
}

gan_core::configuration! {
    /// The networks and the training of pix2pix. The defaults are those of the authors' PyTorch program.
    Config, Flags, training = Training {
        epochs: 200,
        batch_size: 1,
        log_every: 100,
        sample_every: 400,
        save_every: 2000,
        ..Training::default()
    };
    /// What becomes what: a2b (left to right) or b2a.
    direction: Direction = Direction::A2b;
    /// The generator: unet_256 or unet_128 (for pictures of 256 or 128 pixels), or a ResNet.
    net_g: NetG = NetG::Unet256;
    /// The discriminator: patches of 70 pixels, of --layers-d halvings, or single pixels.
    net_d: NetD = NetD::Basic;
    /// Halvings of an n_layers discriminator.
    layers_d: usize = 3;
    /// Channels of the generator's first layer.
    width_g: usize = 64;
    /// Channels of the discriminator's first layer.
    width_d: usize = 64;
    /// Normalisation of both networks.
    norm: Norm = Norm::Batch;
    /// Dropout in the generator, its only noise (section 3.2.1).
    #[arg(num_args = 0..=1, default_missing_value = "true", require_equals = true)]
    dropout: bool = true;
    /// Channels of the input: 3, or 1 for grey.
    input_channels: usize = 3;
    /// Channels of the output: 3, or 1 for grey.
    output_channels: usize = 3;
    /// Side in pixels to which pictures are resized first (section 6.2).
    load_size: usize = 286;
    /// Side in pixels of what is cut out of them, at random places.
    crop_size: usize = 256;
    /// Mirror half of the pairs.
    #[arg(num_args = 0..=1, default_missing_value = "true", require_equals = true)]
    flip: bool = true;
    /// What both players minimise: cross-entropy or least squares.
    gan_mode: GanMode = GanMode::Vanilla;
    /// Weight of the L1 distance to the right answer (section 3.1).
    lambda_l1: f64 = 100.0;
    /// Adam's learning rate.
    lr: f64 = 2e-4;
    /// Adam's first decay.
    beta1: f64 = 0.5;
    /// Adam's second decay.
    beta2: f64 = 0.999;
    /// Share of the run after which the learning rates fall linearly to 0: 100 of 200 epochs.
    decay_start: f64 = 0.5;
    /// Pairs of the test set that are translated after each epoch; their L1 decides which checkpoint is best.
    validation: usize = 50;
}

impl Configuration for Config {
    const WORD: &'static str = "pix2pix";
    const PRESETS: &'static [(&'static str, &'static str)] = &[
        ("quick", include_str!("../../../configs/pix2pix/quick.toml")),
        ("paper", include_str!("../../../configs/pix2pix/paper.toml")),
        (
            "facades",
            include_str!("../../../configs/pix2pix/facades.toml"),
        ),
    ];

    fn training(&self) -> &Training {
        &self.training
    }

    fn validate(&self) -> Result<()> {
        for (key, value) in [
            ("input_channels", self.input_channels),
            ("output_channels", self.output_channels),
        ] {
            if ![1, 3].contains(&value) {
                return Err(illegal(key, value, "1 or 3"));
            }
        }
        let generator = crate::generator::shape(self);
        let discriminator = crate::discriminator::shape(self);
        translation::settings::check_networks(&generator, &discriminator)?;
        translation::settings::check_sizes(
            self.load_size,
            self.crop_size,
            &generator,
            &discriminator,
        )?;
        translation::settings::check_descent(self.lr, self.beta1, self.beta2, self.decay_start)?;
        if !(self.lambda_l1 >= 0.0 && self.lambda_l1.is_finite()) {
            return Err(illegal(
                "lambda_l1",
                self.lambda_l1,
                "it must be at least 0 and finite",
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
        translation::settings::schedule(self.decay_start)
    }
}
