//! What `cgan train` and its sisters can be told, and the reason for each default.

use crate::classes::Classes;
use anyhow::Result;
use gan_core::augment::Augment;
use gan_core::config::{Configuration, Training, illegal};
use gan_core::judge::JudgeShape;
use gan_core::optimizer::{Rule, Schedule};
use gan_core::random::Prior;

/// What is learned from.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize, clap::ValueEnum,
)]
#[serde(rename_all = "kebab-case")]
pub enum Dataset {
    /// Faces with an age: UTKFace, IMDB-WIKI, or a list of paths and ages.
    Faces,
    /// The four idx files of MNIST, with digits as classes.
    Mnist,
}

/// Whose pictures an embedding learns from: two that share none are independent judges.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize, clap::ValueEnum,
)]
#[serde(rename_all = "kebab-case")]
pub enum Persons {
    /// Everybody's.
    All,
    /// Those of every other person, beginning with the first.
    Even,
    /// Those of the others.
    Odd,
}

gan_core::configuration! {
    /// The networks and the training of an Age-cGAN. The defaults are the paper's, DCGAN's where it refers
    /// to that, and wrong pairs (--mismatch), which it does not have.
    Config, Flags, training = Training { epochs: 100, batch_size: 128, ..Training::default() };
    /// Which of the stages are trained, in this order: embedding, gan, encoder, latent. Those that are left out are taken
    /// from --init-from, or skipped.
    stages: String = String::from("embedding,gan,encoder,latent");
    /// What is learned from: faces with ages, or MNIST with digits as classes.
    dataset: Dataset = Dataset::Faces;
    /// The first years of all classes of age but the first (section 3).
    ages: String = String::from("19,30,40,50,60");
    /// The least score of a face of IMDB-WIKI that is believed to be one.
    min_face_score: f64 = 1.0;
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
    /// Channels of the encoder's first layer; each later one has twice as many.
    width_e: usize = 32;
    /// Width of the encoder's hidden fully connected layer.
    hidden_e: usize = 4096;
    /// Adam's learning rate of the conditional GAN.
    lr: f64 = 2e-4;
    /// Adam's first decay.
    beta1: f64 = 0.5;
    /// Adam's second decay.
    beta2: f64 = 0.999;
    /// Target of the discriminator for reals; below 1 it is one-sided label smoothing.
    label_smoothing: f64 = 1.0;
    /// Weight of real pictures with a wrong condition beside generated ones, as fakes (Reed et al. 2016, section 4.2). The
    /// paper has none, which is 0; without them a discriminator may leave the condition out of its judgement.
    mismatch: f64 = 1.0;
    /// Differentiable augmentation in front of the discriminator, for a few thousand pictures.
    augment: Augment = Augment::None;
    /// Mirror half of the training pictures.
    #[arg(num_args = 0..=1, default_missing_value = "true", require_equals = true)]
    flip: bool = false;
    /// Decay of the generator's running average, which samples come from; 0 keeps none.
    ema_decay: f64 = 0.0;
    /// Steps of the encoder, each on a new batch of generated pictures.
    encoder_steps: u64 = 4000;
    /// Adam's learning rate of the encoder.
    encoder_lr: f64 = 1e-3;
    /// A face embedding whose distances the latent optimisation lessens: facenet-pytorch's `20180402-114759-vggface2.pt`,
    /// or a checkpoint of `cgan train-embedding`; without it, one is trained in the first stage.
    embedding: String = String::new();
    /// Steps of the embedding that is trained here. Its batches stay whole under --accumulate, which parts those of gan,
    /// encoder and classifier: each picture is told apart from all others of its batch.
    embedding_steps: u64 = 3000;
    /// Channels of its first layer.
    width_embedding: usize = 32;
    /// Whose pictures it learns from.
    persons: Persons = Persons::All;
    /// Adam's learning rate of the embedding and of the classifier.
    judge_lr: f64 = 1e-3;
    /// Steps of the classifier of `cgan train-classifier`.
    classifier_steps: u64 = 3000;
    /// Held-out pictures whose latent vectors the last stage seeks, 16 at a time whatever --accumulate says.
    latent_pictures: usize = 64;
    /// Steps of Adam for each picture.
    latent_steps: u64 = 100;
    /// Adam's learning rate for latent vectors.
    latent_lr: f64 = 0.05;
}

/// The legal names of [`Config::stages`].
pub const STAGES: [&str; 5] = ["embedding", "gan", "encoder", "latent", "classifier"];

impl Configuration for Config {
    const WORD: &'static str = "cgan";
    const PRESETS: &'static [(&'static str, &'static str)] = &[
        ("quick", include_str!("../../../configs/cgan/quick.toml")),
        ("paper", include_str!("../../../configs/cgan/paper.toml")),
        ("drawn", include_str!("../../../configs/cgan/drawn.toml")),
        (
            "utkface",
            include_str!("../../../configs/cgan/utkface.toml"),
        ),
        ("mnist", include_str!("../../../configs/cgan/mnist.toml")),
    ];

    fn training(&self) -> &Training {
        &self.training
    }

    fn lengths(&self) -> &'static [&'static str] {
        // The lengths of stages are none: what follows one would start from another network.
        &["stages", "embedding"]
    }

    fn validate(&self) -> Result<()> {
        Classes::ages(&self.ages)?;
        self.stages()?;
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
            ("width_e", self.width_e, 512),
            ("hidden_e", self.hidden_e, 16_384),
            ("width_embedding", self.width_embedding, 512),
            (
                "latent_pictures",
                self.latent_pictures,
                crate::data::MOST_HELD,
            ),
        ] {
            if !(1..=most).contains(&value) {
                return Err(illegal(key, value, &format!("it must be from 1 to {most}")));
            }
        }
        for (key, value) in [
            ("encoder_steps", self.encoder_steps),
            ("embedding_steps", self.embedding_steps),
            ("classifier_steps", self.classifier_steps),
            ("latent_steps", self.latent_steps),
        ] {
            if value == 0 {
                return Err(illegal(
                    key,
                    value,
                    "it must be at least 1; --stages leaves stages out",
                ));
            }
        }
        if self.latent_steps > 100_000 {
            return Err(illegal(
                "latent_steps",
                self.latent_steps,
                "it must be at most 100000",
            ));
        }
        for (key, value) in [
            ("lr", self.lr),
            ("encoder_lr", self.encoder_lr),
            ("judge_lr", self.judge_lr),
            ("latent_lr", self.latent_lr),
        ] {
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
            return Err(illegal(
                "label_smoothing",
                self.label_smoothing,
                "it must be in (0, 1]",
            ));
        }
        if !(0.0..=100.0).contains(&self.mismatch) {
            return Err(illegal("mismatch", self.mismatch, "it must be in [0, 100]"));
        }
        if !self.min_face_score.is_finite() {
            return Err(illegal(
                "min_face_score",
                self.min_face_score,
                "it must be finite",
            ));
        }
        if self.training.batch_size < 2 * self.training.accumulate {
            let rule =
                "batch normalisation needs at least 2 pictures, in each part of --accumulate";
            return Err(illegal("batch_size", self.training.batch_size, rule));
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

    /// What the condition is.
    pub fn classes(&self) -> Classes {
        match self.dataset {
            Dataset::Mnist => Classes::Digits,
            // `validate` has refused what are no ages.
            Dataset::Faces => Classes::ages(&self.ages).unwrap_or(Classes::Digits),
        }
    }

    /// Numbers of a picture.
    pub fn pixels(&self) -> usize {
        self.channels * self.image_size * self.image_size
    }

    /// DCGAN's generator, whose input is z joined by the condition (section 2).
    pub fn generator(&self) -> dcgan::Config {
        dcgan::Config {
            image_size: self.image_size,
            channels: self.channels,
            latent_dim: self.latent_dim + self.classes().count(),
            width_g: self.width_g,
            ..dcgan::Config::default()
        }
    }

    /// A network that looks at faces and gives `outputs` numbers.
    pub fn judge(&self, width: usize, outputs: usize) -> JudgeShape {
        JudgeShape {
            channels: self.channels,
            side: self.image_size,
            width,
            outputs,
        }
    }

    /// The rule of the conditional GAN's optimizers.
    pub fn rule(&self) -> Rule {
        Rule::Adam {
            beta1: self.beta1,
            beta2: self.beta2,
            epsilon: 1e-8,
        }
    }

    /// The rule of everything that is no GAN: Adam as it is published.
    pub fn plain_rule() -> Rule {
        Rule::Adam {
            beta1: 0.9,
            beta2: 0.999,
            epsilon: 1e-8,
        }
    }

    /// The schedule of the conditional GAN's optimizers.
    pub fn schedule(&self) -> Schedule {
        Schedule::Constant
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
        let changes: [(&str, Change); 14] = [
            ("stages", |config| config.stages = "gan,fun".into()),
            ("ages", |config| config.ages = "30,20".into()),
            ("image_size", |config| config.image_size = 48),
            ("channels", |config| config.channels = 2),
            ("latent_dim", |config| config.latent_dim = 0),
            ("width_g", |config| config.width_g = 513),
            ("encoder_steps", |config| config.encoder_steps = 0),
            ("lr", |config| config.lr = 0.0),
            ("judge_lr", |config| config.judge_lr = f64::NAN),
            ("beta1", |config| config.beta1 = 1.0),
            ("label_smoothing", |config| config.label_smoothing = 1.5),
            ("mismatch", |config| config.mismatch = -1.0),
            ("min_face_score", |config| {
                config.min_face_score = f64::INFINITY;
            }),
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
