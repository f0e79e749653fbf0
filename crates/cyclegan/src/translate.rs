//! From a checkpoint alone to translated pictures.

use crate::config::Config;
use crate::train::{GENERATORS, STAGE};
use anyhow::{Context, Result};
use gan_core::config::from_identity;
use gan_core::console::{Console, Voice};
use gan_core::device;
use gan_core::located::{self, Located};
use image::RgbImage;
use std::path::Path;
use translation::translate::TranslateArguments;
use translation::translator::Inference;

/// Which way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum Direction {
    /// From domain A to domain B.
    #[default]
    #[value(name = "a2b", alias = "AtoB")]
    A2b,
    /// From domain B to domain A.
    #[value(name = "b2a", alias = "BtoA")]
    B2a,
}

/// `translate`.
#[derive(Debug, Clone, clap::Args)]
pub struct TranslateCommand {
    /// Which weights, which pictures.
    #[command(flatten)]
    pub shared: TranslateArguments,
    /// Which generator of a run; a .pth or .safetensors holds one only.
    #[arg(long, default_value = "a2b")]
    pub direction: Direction,
}

/// A trained generator.
#[derive(Debug)]
pub struct Translator(translation::translator::Translator);

/// Finds the generator of a direction; a single file is what it is.
fn find(place: Option<&Path>, out: &Path, direction: Direction) -> Result<Located> {
    let wanted = match direction {
        Direction::A2b => &GENERATORS[..1],
        Direction::B2a => &GENERATORS[1..],
    };
    let is_weights = |place: &Path| {
        let ending = place.extension().and_then(|ending| ending.to_str());
        ending.is_some_and(|ending| ["pth", "pt", "safetensors"].contains(&ending))
    };
    let networks = if place.is_some_and(is_weights) {
        &GENERATORS[..]
    } else {
        wanted
    };
    located::find(place, out, "cyclegan", &[STAGE], networks)
}

impl Translator {
    /// Loads one generator of a run or a step folder, or a safetensors file, or the authors' `latest_net_G_A.pth` or
    /// `horse2zebra.pth`, on the CPU.
    ///
    /// # Errors
    /// When there is no such checkpoint, or it is damaged or of another model.
    pub fn open(checkpoint: impl AsRef<Path>, direction: Direction) -> Result<Self> {
        let found = find(Some(checkpoint.as_ref()), Path::new("runs"), direction)?;
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

    /// Translates a picture of any size.
    ///
    /// # Errors
    /// Never in practice: memory alone can run out.
    pub fn picture(&self, picture: &RgbImage) -> Result<RgbImage> {
        self.0.picture(picture, Inference::evaluation())
    }
}

/// `cyclegan translate`.
///
/// # Errors
/// When the checkpoint cannot be used, or a picture cannot be read or written.
pub fn translate(command: &TranslateCommand) -> Result<()> {
    let shared = &command.shared;
    let found = find(shared.checkpoint.as_deref(), &shared.out, command.direction)?;
    let console = Console::new(Voice::Normal);
    found.warnings.iter().for_each(|line| console.warn(line));
    console.say(&format!("weights: {}", found.path.display()));
    let translator = Translator::new(found, &shared.device).context("--checkpoint")?;
    translator.0.run(shared, Inference::evaluation())
}
