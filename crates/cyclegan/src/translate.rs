//! From a checkpoint alone to translated pictures.

use crate::config::Config;
use crate::train::{GENERATORS, STAGE};
use anyhow::Result;
use gan_core::located::{self, Located, is_single_file};
use std::path::Path;
pub use translation::settings::Direction;
use translation::translate::TranslateArguments;
use translation::translator::Translator;

/// `translate`.
#[derive(Debug, Clone, clap::Args)]
pub struct TranslateCommand {
    /// Which weights, which pictures.
    #[command(flatten)]
    pub shared: TranslateArguments,
    /// Which generator of a run: a2b (the default) or b2a; a .pth or .safetensors holds one only.
    #[arg(long)]
    pub direction: Option<Direction>,
}

/// Finds the generator of a direction; a single file is what it is.
fn find(place: Option<&Path>, out: &Path, direction: Direction) -> Result<Located> {
    let networks = match direction {
        _ if place.is_some_and(is_single_file) => &GENERATORS[..],
        Direction::A2b => &GENERATORS[..1],
        Direction::B2a => &GENERATORS[1..],
    };
    located::find(place, out, "cyclegan", &[STAGE], networks)
}

/// Loads one generator of a run or a step folder, or a safetensors file, or the authors' `latest_net_G_A.pth` or
/// `horse2zebra.pth`, on the CPU.
///
/// # Errors
/// When there is no such checkpoint, or it is damaged or of another model.
pub fn open(checkpoint: impl AsRef<Path>, direction: Direction) -> Result<Translator> {
    let found = find(Some(checkpoint.as_ref()), Path::new("runs"), direction)?;
    Translator::open::<Config>(found, "cpu")
}

/// `cyclegan translate`.
///
/// # Errors
/// When the checkpoint cannot be used, or a picture cannot be read or written.
pub fn translate(command: &TranslateCommand) -> Result<()> {
    let shared = &command.shared;
    let place = shared.checkpoint.as_deref();
    let mut found = find(place, &shared.out, command.direction.unwrap_or_default())?;
    if let (Some(_), true) = (command.direction, place.is_some_and(is_single_file)) {
        found.warnings.push(format!(
            "{} holds one generator: --direction has no effect",
            found.path.display()
        ));
    }
    shared.run::<Config>(found)
}
