//! What `gan3d train` can be told, and the reason for each default.

use anyhow::Result;
use gan_core::config::{Configuration, Training, illegal};
use gan_core::optimizer::{Rule, Schedule};
use gan_core::random::Prior;

gan_core::configuration! {
    /// The networks and the training of a 3D-GAN. The defaults are the paper's.
    Config, Flags, training = Training {
        steps: 0,
        epochs: 100,
        batch_size: 100,
        log_every: 20,
        sample_every: 200,
        save_every: 200,
        ..Training::default()
    };
    /// Voxels along a side: 16, 32, 64 or 128.
    resolution: usize = 64;
    /// Side of the volume behind the generator's first layer, and before the discriminator's last: 4, or 2 with one
    /// layer more.
    start: usize = 4;
    /// Width of the latent vector z.
    latent_dim: usize = 200;
    /// How z is drawn. The paper's unit, U(0, 1), has the same mean in every number; what follows from that mean alone is
    /// most of what the first layer gives, and in a short training generators learn to make one shape of it. normal,
    /// N(0, 1), has none.
    prior: Prior = Prior::Unit;
    /// Channels of the generator's last hidden layer; each earlier one has twice as many.
    width_g: usize = 64;
    /// Channels of the discriminator's first layer; each later one has twice as many.
    width_d: usize = 64;
    /// Batch normalisation after the discriminator's first layer, as in the paper. Without it the discriminator sees how
    /// full a whole batch is.
    #[arg(num_args = 0..=1, default_missing_value = "true", require_equals = true)]
    first_norm: bool = true;
    /// Biases in the convolutions. The authors keep theirs at zero.
    #[arg(num_args = 0..=1, default_missing_value = "true", require_equals = true)]
    bias: bool = false;
    /// Adam's learning rate for the generator (section 3.1).
    lr_g: f64 = 2.5e-3;
    /// Adam's learning rate for the discriminator: it learns faster than the generator, and would win (section 3.1).
    lr_d: f64 = 1e-5;
    /// Adam's first decay.
    beta1: f64 = 0.5;
    /// Adam's second decay.
    beta2: f64 = 0.999;
    /// The discriminator moves only while its accuracy on the last batch is at most this (section 3.1); 1 lets it move
    /// always.
    gate: f64 = 0.8;
    /// Target of the discriminator for reals; below 1 it is one-sided label smoothing.
    label_smoothing: f64 = 1.0;
    /// The class of shapes to train on, the name of its folder; empty for all.
    class: String = String::new();
    /// Mirror half of the training shapes, left to right.
    #[arg(num_args = 0..=1, default_missing_value = "true", require_equals = true)]
    flip: bool = false;
    /// Decay of the generator's running average, which samples come from; 0 keeps none.
    ema_decay: f64 = 0.0;
}

impl Configuration for Config {
    const WORD: &'static str = "gan3d";
    const PRESETS: &'static [(&'static str, &'static str)] = &[
        ("quick", include_str!("../../../configs/gan3d/quick.toml")),
        ("paper", include_str!("../../../configs/gan3d/paper.toml")),
        ("chairs", include_str!("../../../configs/gan3d/chairs.toml")),
    ];

    fn training(&self) -> &Training {
        &self.training
    }

    fn validate(&self) -> Result<()> {
        if ![16, 32, 64, 128].contains(&self.resolution) {
            return Err(illegal("resolution", self.resolution, "16, 32, 64 or 128"));
        }
        if ![2, 4].contains(&self.start) {
            return Err(illegal("start", self.start, "2 or 4"));
        }
        for (key, value, most) in [
            ("latent_dim", self.latent_dim, 16_384),
            ("width_g", self.width_g, 256),
            ("width_d", self.width_d, 256),
        ] {
            if !(1..=most).contains(&value) {
                return Err(illegal(key, value, &format!("it must be from 1 to {most}")));
            }
        }
        for (key, value) in [("lr_g", self.lr_g), ("lr_d", self.lr_d)] {
            if !(value > 0.0 && value.is_finite()) {
                return Err(illegal(key, value, "it must be above 0 and finite"));
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
        for (key, value) in [
            ("gate", self.gate),
            ("label_smoothing", self.label_smoothing),
        ] {
            if !(value > 0.0 && value <= 1.0) {
                return Err(illegal(key, value, "it must be in (0, 1]"));
            }
        }
        if self.training.batch_size < 2 * self.training.accumulate {
            let rule = "batch normalisation needs at least 2 shapes, in each part of --accumulate";
            return Err(illegal("batch_size", self.training.batch_size, rule));
        }
        Ok(())
    }
}

impl Config {
    /// Layers with weights of each network.
    pub fn layers(&self) -> usize {
        1 + (self.resolution / self.start).ilog2() as usize
    }

    /// Voxels of a shape.
    pub fn voxels(&self) -> usize {
        self.resolution.pow(3)
    }

    /// Numbers in the kernels between the hidden layers of a network whose outermost layer is `width` wide: a lower
    /// bound of its size.
    pub fn least_size(&self, width: usize) -> u64 {
        (1..self.layers() - 1)
            .map(|layer| 64 * ((width as u64) << layer) * ((width as u64) << (layer - 1)))
            .sum()
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
        Schedule::Constant
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
        let changes: [(&str, Change); 11] = [
            ("resolution", |config| config.resolution = 48),
            ("start", |config| config.start = 3),
            ("latent_dim", |config| config.latent_dim = 0),
            ("width_g", |config| config.width_g = 257),
            ("width_d", |config| config.width_d = 0),
            ("lr_g", |config| config.lr_g = 0.0),
            ("lr_d", |config| config.lr_d = f64::NAN),
            ("beta1", |config| config.beta1 = 1.0),
            ("gate", |config| config.gate = 0.0),
            ("label_smoothing", |config| config.label_smoothing = 1.5),
            ("batch_size", |config| config.training.batch_size = 1),
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
