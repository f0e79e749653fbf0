//! What `srgan train` can be told, and the reason for each default.

use crate::discriminator;
use crate::vgg::Features;
use anyhow::Result;
use gan_core::config::{Configuration, Training, illegal};
use gan_core::optimizer::{Rule, Schedule};

/// Most pixels of a crop's side, channels of a first layer, and residual blocks.
const MOST_SIDE: usize = 1024;
const MOST_WIDTH: usize = 512;
const MOST_BLOCKS: usize = 64;

/// Which generator.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize, clap::ValueEnum,
)]
#[serde(rename_all = "lowercase")]
pub enum NetG {
    /// The paper's: batch normalisation and PReLU, pixel shuffle, tanh.
    Srresnet,
    /// The one of MMagic and BasicSR: no normalisation, leaky ReLU, the picture resized bilinearly added at the end.
    Msrresnet,
}

/// What the content loss compares.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize, clap::ValueEnum,
)]
#[serde(rename_all = "lowercase")]
pub enum ContentLoss {
    /// Features of VGG19 after its sixteenth convolution, before the fifth pooling.
    Vgg54,
    /// Features of VGG19 after its fourth convolution, before the second pooling.
    Vgg22,
    /// Pixels.
    Mse,
}

gan_core::configuration! {
    /// The networks and the training of SRGAN. The defaults are the paper's.
    Config, Flags, training = Training {
        steps: 200_000,
        epochs: 0,
        batch_size: 16,
        log_every: 100,
        sample_every: 500,
        save_every: 2000,
        ..Training::default()
    };
    /// By how much both sides grow: 2, 4 or 8.
    scale: usize = 4;
    /// The generator.
    net_g: NetG = NetG::Srresnet;
    /// Residual blocks of the generator.
    blocks: usize = 16;
    /// Channels of the generator.
    width_g: usize = 64;
    /// Channels of the discriminator's first layer.
    width_d: usize = 64;
    /// Side in pixels of the high-resolution crops (section 3.2).
    crop_size: usize = 96;
    /// Mirror half of the crops.
    #[arg(num_args = 0..=1, default_missing_value = "true", require_equals = true)]
    flip: bool = true;
    /// Turn the crops by multiples of 90 degrees.
    #[arg(num_args = 0..=1, default_missing_value = "true", require_equals = true)]
    rotate: bool = true;
    /// Steps of the first stage, SRResNet by the squared error alone; --steps are those of the adversarial one after
    /// it. 0 leaves the first stage out, for a generator that --init-from names.
    mse_steps: u64 = 1_000_000;
    /// The adversarial stage; without it, training ends with SRResNet, which needs no --vgg.
    #[arg(num_args = 0..=1, default_missing_value = "true", require_equals = true)]
    adversarial: bool = true;
    /// What the adversarial stage's content loss compares; vgg54 and vgg22 need --vgg.
    content_loss: ContentLoss = ContentLoss::Vgg54;
    /// The weights of VGG19, torchvision's vgg19-dcbb9e9d.pth.
    vgg: String = String::new();
    /// Weight of the adversarial loss (equation 3).
    lambda_adversarial: f64 = 1e-3;
    /// Adam's learning rate.
    lr: f64 = 1e-4;
    /// Adam's first decay.
    beta1: f64 = 0.9;
    /// Adam's second decay.
    beta2: f64 = 0.999;
    /// Share of the adversarial stage after which the learning rate falls to a tenth (section 3.2).
    lr_drop: f64 = 0.5;
    /// Test pictures that are measured after each epoch; their PSNR decides which checkpoint of the first stage is
    /// best. The adversarial stage has no best one: what it gains, PSNR does not see.
    validation: usize = 20;
}

impl Configuration for Config {
    const WORD: &'static str = "srgan";
    const PRESETS: &'static [(&'static str, &'static str)] = &[
        ("quick", include_str!("../../../configs/srgan/quick.toml")),
        ("paper", include_str!("../../../configs/srgan/paper.toml")),
    ];

    fn training(&self) -> &Training {
        &self.training
    }

    fn lengths(&self) -> &'static [&'static str] {
        // With the other stage, it begins where this one ends.
        if self.adversarial {
            &[]
        } else {
            &["mse_steps"]
        }
    }

    fn validate(&self) -> Result<()> {
        if ![2, 4, 8].contains(&self.scale) {
            return Err(illegal("scale", self.scale, "2, 4 or 8"));
        }
        for (key, value, most) in [
            ("blocks", self.blocks, MOST_BLOCKS),
            ("width_g", self.width_g, MOST_WIDTH),
            ("width_d", self.width_d, MOST_WIDTH),
        ] {
            if !(1..=most).contains(&value) {
                let rule = format!("it must be from 1 to {most}");
                return Err(illegal(key, value, &rule));
            }
        }
        // A multiple of 16 is one of every scale.
        let multiple = discriminator::Shape::MULTIPLE;
        if !self.crop_size.is_multiple_of(multiple)
            || !(multiple..=MOST_SIDE).contains(&self.crop_size)
        {
            let rule = format!(
                "the discriminator needs a multiple of {multiple} pixels from {multiple} to {MOST_SIDE}"
            );
            return Err(illegal("crop_size", self.crop_size, &rule));
        }
        if !(self.lr > 0.0 && self.lr.is_finite()) {
            return Err(illegal("lr", self.lr, "it must be above 0 and finite"));
        }
        for (key, value) in [("beta1", self.beta1), ("beta2", self.beta2)] {
            if !(0.0..1.0).contains(&value) {
                return Err(illegal(key, value, "it must be in [0, 1)"));
            }
        }
        if !(0.0..=1.0).contains(&self.lr_drop) {
            return Err(illegal("lr_drop", self.lr_drop, "it must be in [0, 1]"));
        }
        if !(self.lambda_adversarial >= 0.0 && self.lambda_adversarial.is_finite()) {
            let rule = "it must be at least 0 and finite";
            return Err(illegal("lambda_adversarial", self.lambda_adversarial, rule));
        }
        if self.mse_steps == 0 && !self.adversarial {
            return Err(illegal(
                "mse_steps",
                0,
                "without --adversarial there is nothing else",
            ));
        }
        // TOML integers are signed.
        if self.mse_steps > i64::MAX as u64 {
            return Err(illegal("mse_steps", self.mse_steps, "at most 2^63 - 1"));
        }
        Ok(())
    }
}

impl Config {
    /// The rule of every optimizer.
    pub fn rule(&self) -> Rule {
        Rule::Adam {
            beta1: self.beta1,
            beta2: self.beta2,
            epsilon: 1e-8,
        }
    }

    /// The schedule of both players in the adversarial stage.
    pub fn schedule(&self) -> Schedule {
        Schedule::Drop {
            start: self.lr_drop,
            factor: 0.1,
        }
    }

    /// Side in pixels of the low-resolution crops.
    pub fn low_side(&self) -> usize {
        self.crop_size / self.scale
    }
}

impl ContentLoss {
    /// The features of VGG19 that it compares, where it does.
    pub fn features(self) -> Option<Features> {
        match self {
            Self::Vgg54 => Some(Features::Phi54),
            Self::Vgg22 => Some(Features::Phi22),
            Self::Mse => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_and_presets_are_legal() {
        Config::default().validate().unwrap();
        for (name, _) in Config::PRESETS {
            let layer = gan_core::config::Layer::preset::<Config>(name).unwrap();
            let config: Config = gan_core::config::merge(&[layer]).unwrap();
            // The paper's preset names every key, and changes none.
            if *name == "paper" {
                let text = |config: &Config| gan_core::config::to_toml(config).unwrap();
                assert_eq!(text(&config), text(&Config::default()));
            }
        }
    }

    #[test]
    fn every_rule_names_its_key() {
        type Change = fn(&mut Config);
        let changes: [(&str, Change); 12] = [
            ("scale", |config| config.scale = 3),
            ("blocks", |config| config.blocks = 0),
            ("width_g", |config| config.width_g = 513),
            ("width_d", |config| config.width_d = 0),
            ("crop_size", |config| config.crop_size = 100),
            ("crop_size", |config| config.crop_size = 0),
            ("lr", |config| config.lr = f64::NAN),
            ("beta1", |config| config.beta1 = 1.0),
            ("beta2", |config| config.beta2 = -0.1),
            ("lr_drop", |config| config.lr_drop = 1.5),
            ("lambda_adversarial", |config| {
                config.lambda_adversarial = -1.0;
            }),
            ("mse_steps", |config| config.mse_steps = u64::MAX),
        ];
        for (key, change) in changes {
            let mut config = Config::default();
            change(&mut config);
            let error = config.validate().unwrap_err();
            assert_eq!(gan_core::failure::exit_code(&error), 2);
            assert!(error.to_string().starts_with(key), "{key}: {error}");
        }
    }
}
