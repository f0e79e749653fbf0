//! From a checkpoint alone to translated pictures.

use crate::config::Config;
use crate::train::STAGE;
use anyhow::{Context, Result};
use gan_core::config::from_identity;
use gan_core::console::{Console, Voice};
use gan_core::device;
use gan_core::located::{self, Located};
use image::RgbImage;
use std::path::Path;
use translation::translate::TranslateArguments;
pub use translation::translator::Inference;

/// `translate`.
#[derive(Debug, Clone, clap::Args)]
pub struct TranslateCommand {
    /// Which weights, which pictures.
    #[command(flatten)]
    pub shared: TranslateArguments,
    /// Normalise by the running statistics and leave dropout out; without it, the authors' protocol: the statistics
    /// of each picture, and dropout on.
    #[arg(long)]
    pub eval: bool,
    /// Dropout, the network's noise: on without --eval.
    #[arg(long, num_args = 0..=1, default_missing_value = "true", require_equals = true)]
    pub dropout: Option<bool>,
    /// The seed of dropout.
    #[arg(long, default_value_t = 0)]
    pub seed: u64,
}

/// A trained generator.
#[derive(Debug)]
pub struct Translator(translation::translator::Translator);

impl Translator {
    /// Loads a run, a step folder, a safetensors file, or the authors' `latest_net_G.pth`, on the CPU.
    ///
    /// # Errors
    /// When there is no such checkpoint, or it is damaged or of another model.
    pub fn open(checkpoint: impl AsRef<Path>) -> Result<Self> {
        let place = Some(checkpoint.as_ref());
        let found = located::find(
            place,
            Path::new("runs"),
            "pix2pix",
            &[STAGE],
            &["generator"],
        )?;
        Self::new(found, "cpu")
    }

    fn new(found: Located, device: &str) -> Result<Self> {
        let device = device::parse(device)?;
        let config: Option<Config> = found
            .config()
            .map(|text| from_identity(&found.path.display().to_string(), text))
            .transpose()?;
        let dropout = config.map(|config| config.dropout);
        translation::translator::Translator::new(found, dropout, device).map(Self)
    }

    /// Translates a picture of any size by the authors' protocol, with dropout of seed 0.
    ///
    /// # Errors
    /// Never in practice: memory alone can run out.
    pub fn picture(&self, picture: &RgbImage) -> Result<RgbImage> {
        self.0.picture(picture, Inference::protocol(0))
    }

    /// Translates a picture of any size.
    ///
    /// # Errors
    /// As [`Translator::picture`].
    pub fn picture_with(&self, picture: &RgbImage, inference: Inference) -> Result<RgbImage> {
        self.0.picture(picture, inference)
    }
}

impl TranslateCommand {
    fn inference(&self) -> Inference {
        let mut inference = if self.eval {
            Inference::evaluation()
        } else {
            Inference::protocol(self.seed)
        };
        if let Some(dropout) = self.dropout {
            inference.dropout = dropout.then_some(self.seed);
        }
        inference
    }
}

/// `pix2pix translate`.
///
/// # Errors
/// When the checkpoint cannot be used, or a picture cannot be read or written.
pub fn translate(command: &TranslateCommand) -> Result<()> {
    let shared = &command.shared;
    let place = shared.checkpoint.as_deref();
    let found = located::find(place, &shared.out, "pix2pix", &[STAGE], &["generator"])?;
    let console = Console::new(Voice::Normal);
    found.warnings.iter().for_each(|line| console.warn(line));
    console.say(&format!("weights: {}", found.path.display()));
    let translator = Translator::new(found, &shared.device).context("--checkpoint")?;
    translator.0.run(shared, command.inference())
}
