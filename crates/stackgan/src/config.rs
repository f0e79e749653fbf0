//! What `stackgan train` and its sister can be told, and the reason for each default.

use anyhow::Result;
use gan_core::augment::Augment;
use gan_core::config::{Configuration, Training, illegal};
use gan_core::optimizer::{Rule, Schedule};
use gan_core::random::Prior;

/// Whose structure the networks have.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize, clap::ValueEnum,
)]
#[serde(rename_all = "kebab-case")]
pub enum Variant {
    /// The paper's, as in the authors' first program: residual parts, a discriminator that reads the caption itself, and
    /// pictures of another class as wrong pairs.
    Tf,
    /// The authors' PyTorch program, whose published weights can be read: simpler, the discriminators are told what the
    /// generator makes of the caption, and the next picture's caption is the wrong one.
    Pytorch,
}

gan_core::configuration! {
    /// The networks and the training of a StackGAN. The defaults are the paper's, for birds.
    Config, Flags, training = Training { epochs: 600, batch_size: 64, ..Training::default() };
    /// Which of the stages are trained, in this order: text, one, two. Those that are left out are taken from --init-from.
    stages: String = String::from("text,one,two");
    /// Whose structure: the paper's (tf), or that of the authors' PyTorch program, whose weights can be read.
    #[arg(value_enum)]
    variant: Variant = Variant::Tf;
    /// Embeddings of the captions that were computed elsewhere: `pickles` for those beside the data, or a .npz with an array for each picture.
    /// Without it, a text encoder is trained in the first stage.
    embeddings: String = String::new();
    /// Cut pictures around their bounding boxes, as the paper does (section 4.1).
    #[arg(num_args = 0..=1, default_missing_value = "true", require_equals = true)]
    crop: bool = true;
    /// Mirror half of the training pictures, and cut them out of slightly larger ones.
    #[arg(num_args = 0..=1, default_missing_value = "true", require_equals = true)]
    augment: bool = true;
    /// Differentiable augmentation in front of the discriminators, of reals, fakes and wrong pairs alike. The colour part
    /// changes what captions tell.
    diffaugment: Augment = Augment::None;
    /// Side of the first stage's pictures in pixels, 32 or 64; the second's are four times as long.
    image_size: usize = 64;
    /// Width of the noise z.
    latent_dim: usize = 100;
    /// Width of the condition c that conditioning augmentation draws.
    condition_dim: usize = 128;
    /// Width of a caption's embedding.
    text_dim: usize = 1024;
    /// An eighth of the generators' channels at 4 x 4 (GF_DIM).
    width_g: usize = 128;
    /// Channels of the discriminators' first layer (DF_DIM).
    width_d: usize = 64;
    /// Residual blocks of the second stage.
    residual_blocks: usize = 4;
    /// Adam's learning rate of both stages, at first.
    lr: f64 = 2e-4;
    /// Learning rate of the generators, at first; 0 takes --lr.
    lr_g: f64 = 0.0;
    /// Learning rate of the discriminators, at first; 0 takes --lr.
    lr_d: f64 = 0.0;
    /// Adam's first decay.
    beta1: f64 = 0.5;
    /// Adam's second decay.
    beta2: f64 = 0.999;
    /// How many times the learning rate is halved during the first stage, and half as often during the second (every 50
    /// and every 100 of 600 epochs).
    halvings: u64 = 12;
    /// Weight of the distance of conditions from N(0, 1).
    kl_weight: f64 = 2.0;
    /// Target of the discriminators for reals; below 1 it is one-sided label smoothing.
    label_smoothing: f64 = 1.0;
    /// Captions of a picture whose embeddings are averaged in training, of those that it has.
    captions: usize = 4;
    /// Decay of the generators' running averages, which samples come from; 0 keeps none.
    ema_decay: f64 = 0.0;
    /// Steps of the second stage; 0 leaves it to --epochs-two.
    steps_two: u64 = 0;
    /// Passes over the data in the second stage.
    epochs_two: u64 = 600;
    /// Pictures a step of the second stage; 0 is --batch-size.
    batch_size_two: usize = 0;
    /// Steps of the text encoder.
    text_steps: u64 = 20_000;
    /// Channels of the text encoder.
    width_text: usize = 256;
    /// Channels of the first layer of the networks that look at pictures: beside the text encoder, and as a judge.
    width_judge: usize = 32;
    /// Adam's learning rate of the text encoder and of the judge.
    judge_lr: f64 = 1e-3;
    /// Steps of the judge of `stackgan train-judge`.
    judge_steps: u64 = 3000;
}

/// The legal names of [`Config::stages`].
pub const STAGES: [&str; 4] = ["text", "one", "two", "judge"];

/// [`Config::embeddings`] of the files beside the data.
pub const PICKLES: &str = "pickles";

impl Configuration for Config {
    const WORD: &'static str = "stackgan";
    const PRESETS: &'static [(&'static str, &'static str)] = &[
        (
            "quick",
            include_str!("../../../configs/stackgan/quick.toml"),
        ),
        (
            "paper",
            include_str!("../../../configs/stackgan/paper.toml"),
        ),
        (
            "drawn",
            include_str!("../../../configs/stackgan/drawn.toml"),
        ),
        (
            "birds",
            include_str!("../../../configs/stackgan/birds.toml"),
        ),
    ];

    fn training(&self) -> &Training {
        &self.training
    }

    fn lengths(&self) -> &'static [&'static str] {
        // Nothing follows the second stage, and what embeddings are is in the sum over the data.
        &["stages", "steps_two", "epochs_two", "embeddings"]
    }

    fn decays(&self) -> bool {
        self.halvings > 0
    }

    fn validate(&self) -> Result<()> {
        self.stages()?;
        if ![32, 64].contains(&self.image_size) {
            return Err(illegal("image_size", self.image_size, "32 or 64"));
        }
        for (key, value, most) in [
            ("latent_dim", self.latent_dim, 16_384),
            ("condition_dim", self.condition_dim, 16_384),
            ("text_dim", self.text_dim, 16_384),
            ("width_g", self.width_g, 512),
            ("width_d", self.width_d, 512),
            ("residual_blocks", self.residual_blocks, 64),
            ("captions", self.captions, 1000),
            ("width_text", self.width_text, 4096),
            ("width_judge", self.width_judge, 512),
        ] {
            if !(1..=most).contains(&value) {
                return Err(illegal(key, value, &format!("it must be from 1 to {most}")));
            }
        }
        if self.width_g < 4 {
            return Err(illegal("width_g", self.width_g, "it must be at least 4"));
        }
        for (key, value) in [
            ("text_steps", self.text_steps),
            ("judge_steps", self.judge_steps),
        ] {
            if value == 0 {
                let rule = "it must be at least 1; --stages leaves stages out";
                return Err(illegal(key, value, rule));
            }
        }
        if self.steps_two == 0 && self.epochs_two == 0 {
            let rule = "it must be at least 1 where --steps-two is 0; --stages leaves stages out";
            return Err(illegal("epochs_two", self.epochs_two, rule));
        }
        for (key, value) in [("lr_g", self.lr_g), ("lr_d", self.lr_d)] {
            if !(value >= 0.0 && value.is_finite()) {
                return Err(illegal(key, value, "it must be at least 0 and finite"));
            }
        }
        for (key, value) in [("lr", self.lr), ("judge_lr", self.judge_lr)] {
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
        if !(self.label_smoothing > 0.0 && self.label_smoothing <= 1.0) {
            let rule = "it must be in (0, 1]";
            return Err(illegal("label_smoothing", self.label_smoothing, rule));
        }
        if !(0.0..=1000.0).contains(&self.kl_weight) {
            return Err(illegal(
                "kl_weight",
                self.kl_weight,
                "it must be in [0, 1000]",
            ));
        }
        if self.halvings > 64 {
            return Err(illegal("halvings", self.halvings, "it must be at most 64"));
        }
        let least = 2 * self.training.accumulate;
        let rule = "batch normalisation and wrong pairs need at least 2 pictures, in each part of --accumulate";
        if self.training.batch_size < least {
            return Err(illegal("batch_size", self.training.batch_size, rule));
        }
        let second = self.batch_size(true);
        if second < least || !second.is_multiple_of(self.training.accumulate) {
            let rule = format!("{rule}, and as many in each");
            return Err(illegal("batch_size_two", second, &rule));
        }
        Ok(())
    }
}

impl Config {
    /// The stages that are trained.
    ///
    /// # Errors
    /// [`gan_core::failure::Kind::Usage`] for a name that is none.
    pub fn stages(&self) -> Result<Vec<&'static str>> {
        let mut stages = Vec::new();
        for name in self.stages.split(',').map(str::trim) {
            let Some(stage) = STAGES.into_iter().find(|stage| *stage == name) else {
                let rule = format!("some of {}, with commas between", STAGES.join(", "));
                return Err(illegal("stages", format!("{:?}", self.stages), &rule));
            };
            stages.push(stage);
        }
        Ok(stages)
    }

    /// Whether a stage is trained.
    pub fn has(&self, stage: &str) -> bool {
        self.stages().is_ok_and(|stages| stages.contains(&stage))
    }

    /// Side of the first stage's (`is_second` false) or of the second's pictures in pixels.
    pub fn side(&self, is_second: bool) -> usize {
        if is_second {
            4 * self.image_size
        } else {
            self.image_size
        }
    }

    /// Pictures a step of the first or of the second stage.
    pub fn batch_size(&self, is_second: bool) -> usize {
        match self.batch_size_two {
            second if is_second && second > 0 => second,
            _ => self.training.batch_size,
        }
    }

    /// The first learning rates of generator and discriminator.
    pub fn learning_rates(&self) -> (f64, f64) {
        let or_shared = |own: f64| if own > 0.0 { own } else { self.lr };
        (or_shared(self.lr_g), or_shared(self.lr_d))
    }

    /// The rule of the optimizers of both stages.
    pub fn rule(&self) -> Rule {
        Rule::Adam {
            beta1: self.beta1,
            beta2: self.beta2,
            epsilon: 1e-8,
        }
    }

    /// The rule of what is no GAN: Adam as it is published.
    pub fn plain_rule() -> Rule {
        Rule::Adam {
            beta1: 0.9,
            beta2: 0.999,
            epsilon: 1e-8,
        }
    }

    /// The schedule of the optimizers of the first or of the second stage.
    pub fn schedule(&self, is_second: bool) -> Schedule {
        let halvings = if is_second {
            self.halvings.div_ceil(2)
        } else {
            self.halvings
        };
        match halvings {
            0 => Schedule::Constant,
            times => Schedule::Halving {
                every: 1.0 / times as f64,
            },
        }
    }

    /// How z is drawn.
    pub fn prior(&self) -> Prior {
        Prior::Normal
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use gan_core::config::{Layer, merge, to_toml};

    #[test]
    fn defaults_and_presets_are_legal() {
        Config::default().validate().unwrap();
        for (name, _) in Config::PRESETS {
            let layer = Layer::preset::<Config>(name).unwrap();
            let config: Config = merge(&[layer]).unwrap();
            // The paper's preset names every key, and changes none.
            if *name == "paper" {
                assert_eq!(
                    to_toml(&config).unwrap(),
                    to_toml(&Config::default()).unwrap()
                );
            }
        }
    }

    #[test]
    fn every_rule_names_its_key() {
        type Change = fn(&mut Config);
        let changes: [(&str, Change); 13] = [
            ("stages", |config| config.stages = "one,three".into()),
            ("image_size", |config| config.image_size = 48),
            ("latent_dim", |config| config.latent_dim = 0),
            ("width_g", |config| config.width_g = 3),
            ("text_steps", |config| config.text_steps = 0),
            ("epochs_two", |config| config.epochs_two = 0),
            ("lr", |config| config.lr = f64::NAN),
            ("lr_d", |config| config.lr_d = -1.0),
            ("beta2", |config| config.beta2 = 1.0),
            ("label_smoothing", |config| config.label_smoothing = 0.0),
            ("kl_weight", |config| config.kl_weight = -1.0),
            ("batch_size", |config| config.training.batch_size = 1),
            ("batch_size_two", |config| config.batch_size_two = 1),
        ];
        for (key, change) in changes {
            let mut config = Config::default();
            change(&mut config);
            let error = config.validate().unwrap_err();
            assert_eq!(gan_core::failure::exit_code(&error), 2);
            assert!(error.to_string().starts_with(key), "{key}: {error}");
        }
    }

    #[test]
    fn learning_rates_are_the_papers() {
        let config = Config::default();
        let rate = |is_second, epoch| config.schedule(is_second).learning_rate(1.0, epoch, 600);
        assert_eq!(
            [rate(false, 49), rate(false, 50), rate(false, 100)],
            [1.0, 0.5, 0.25]
        );
        assert_eq!([rate(true, 99), rate(true, 100)], [1.0, 0.5]);
    }
}
