//! From a checkpoint alone to translated pictures.

use crate::config::Config;
use crate::train::STAGE;
use anyhow::Result;
use gan_core::located::{self, Located};
use std::path::Path;
use translation::translate::TranslateArguments;
use translation::translator::Translator;

fn find(place: Option<&Path>, out: &Path) -> Result<Located> {
    located::find(place, out, "pix2pix", &[STAGE], &["generator"])
}

/// Loads the generator of a run or a step folder, a safetensors file, or the authors' `latest_net_G.pth`, on the CPU.
///
/// # Errors
/// When there is no such checkpoint, or it is damaged or of another model.
pub fn open(checkpoint: impl AsRef<Path>) -> Result<Translator> {
    let found = find(Some(checkpoint.as_ref()), Path::new("runs"))?;
    Translator::open::<Config>(found, "cpu")
}

/// `pix2pix translate`.
///
/// # Errors
/// When the checkpoint cannot be used, or a picture cannot be read or written.
pub fn translate(arguments: &TranslateArguments) -> Result<()> {
    let found = find(arguments.checkpoint.as_deref(), &arguments.out)?;
    arguments.run::<Config>(found)
}
