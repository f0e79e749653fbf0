//! What `--checkpoint` may name, and the weights found there.

use crate::checkpoint::{self, Saved, newest_weights};
use crate::failure::{Kind, failure};
use crate::run;
use crate::weights::{self, WeightFile};
use anyhow::Result;
use std::path::{Path, PathBuf};

/// Weights with the place they came from.
#[derive(Debug, Clone)]
pub struct Located {
    /// The file.
    pub path: PathBuf,
    /// Its content.
    pub file: WeightFile,
    /// Things to tell the user, such as a damaged newer checkpoint.
    pub warnings: Vec<String>,
}

impl Located {
    /// The configuration in the metadata, when the file was written by this workspace.
    pub fn config(&self) -> Option<&str> {
        self.file.metadata.get("config").map(String::as_str)
    }

    /// Refuses a file that says it is of another architecture or another network.
    ///
    /// # Errors
    /// A [`Kind::Checkpoint`] failure in one sentence.
    pub fn expect(self, word: &str, networks: &[&str]) -> Result<Self> {
        let says = |key: &str| self.file.metadata.get(key).map(String::as_str);
        let other_word = says("architecture").filter(|found| *found != word);
        let other_network = says("network").filter(|found| !networks.contains(found));
        if let Some(found) = other_word {
            return Err(failure(
                Kind::Checkpoint,
                format!(
                    "{} is a checkpoint of {found}, not of {word}",
                    self.path.display()
                ),
            ));
        }
        if let Some(found) = other_network {
            return Err(failure(
                Kind::Checkpoint,
                format!(
                    "{} holds a {found}; wanted: {}",
                    self.path.display(),
                    networks.join(" or ")
                ),
            ));
        }
        Ok(self)
    }
}

/// Finds the step folder that `place` means: itself, a stage's newest, a run's newest.
///
/// # Errors
/// A [`Kind::Checkpoint`] failure that says what is missing.
pub fn step_folder(place: &Path, stages: &[&str]) -> Result<(Saved, Vec<String>)> {
    if place.join("manifest.json").is_file() {
        return Ok((Saved::open_weights(place)?, Vec::new()));
    }
    let is_named = |wanted: &str| place.file_name().is_some_and(|name| name == wanted);
    if is_named("best") && !place.is_dir() {
        let stage = place.parent().unwrap_or(Path::new(""));
        let Some((step, _)) = checkpoint::best(stage) else {
            return Err(failure(
                Kind::Checkpoint,
                format!(
                    "{} names no checkpoint that is there: the run has not been validated yet, or the folder was \
                     removed",
                    place.display()
                ),
            ));
        };
        let folder = stage.join(checkpoint::step_name(step));
        return Ok((Saved::open_weights(&folder)?, Vec::new()));
    }
    let is_latest = is_named("latest") && !place.is_dir();
    let candidates: Vec<PathBuf> = match place.parent().filter(|_| is_latest) {
        Some(stage) => vec![stage.to_owned()],
        None => stages
            .iter()
            .map(|stage| place.join("checkpoints").join(stage))
            .chain([place.to_owned()])
            .collect(),
    };
    for folder in candidates {
        if let Some(found) = newest_weights(&folder)? {
            return Ok(found);
        }
    }
    Err(failure(
        Kind::Checkpoint,
        format!(
            "{} holds no checkpoint: expected a run, a step folder, a .safetensors or a .pth",
            place.display()
        ),
    ))
}

/// Whether a path is that of a file which names a step folder.
fn is_pointer(place: &Path) -> bool {
    place
        .file_name()
        .is_some_and(|name| name == "latest" || name == "best")
}

/// The newest run that holds a whole checkpoint: one that has just started has none yet.
fn newest_run(out: &Path, word: &str, stages: &[&str]) -> Result<PathBuf> {
    let newest = run::find(out, word, None)?;
    let whole = run::list(out, word)
        .into_iter()
        .rev()
        .find(|run| step_folder(run, stages).is_ok());
    Ok(whole.unwrap_or(newest))
}

/// Finds weights: `checkpoint` is a run (path, or name under `<out>/<word>`), a step folder, a
/// safetensors or a PyTorch file; without it the newest run of `word` is meant. In a step folder the
/// first of `networks` that exists is read. `stages` are tried in order.
///
/// # Errors
/// A [`Kind::Checkpoint`] or [`Kind::Usage`] failure that says what was looked for.
pub fn find(
    checkpoint: Option<&Path>,
    out: &Path,
    word: &str,
    stages: &[&str],
    networks: &[&str],
) -> Result<Located> {
    let place = match checkpoint {
        Some(place) if place.exists() || is_pointer(place) => place.to_owned(),
        Some(place) => run::find(out, word, Some(&place.to_string_lossy())).map_err(|_| {
            failure(
                Kind::Checkpoint,
                format!(
                    "{} does not exist: expected a run, a step folder, a .safetensors or a .pth",
                    place.display()
                ),
            )
        })?,
        None => newest_run(out, word, stages)?,
    };
    if place.is_file() && !is_pointer(&place) {
        let file = weights::read(&place)?;
        return Located {
            path: place,
            file,
            warnings: Vec::new(),
        }
        .expect(word, networks);
    }
    let (saved, warnings) = step_folder(&place, stages)?;
    if saved.manifest.architecture != word {
        return Err(failure(
            Kind::Checkpoint,
            format!(
                "{} is a checkpoint of {}, not of {word}",
                saved.path.display(),
                saved.manifest.architecture
            ),
        ));
    }
    for network in networks {
        let path = saved.path.join(format!("{network}.safetensors"));
        if path.is_file() {
            return Ok(Located {
                file: saved.read(network, "")?,
                path,
                warnings,
            });
        }
    }
    Err(failure(
        Kind::Checkpoint,
        format!(
            "{} holds no {}; there is: {}",
            saved.path.display(),
            networks.join(" or "),
            held(&saved).join(", ")
        ),
    ))
}

/// The networks of a checkpoint: what has an optimizer, and running averages.
fn held(saved: &Saved) -> Vec<&str> {
    let files = &saved.manifest.files;
    let names = files
        .keys()
        .filter_map(|file| file.strip_suffix(".safetensors"));
    names
        .filter(|name| {
            name.ends_with("_ema") || files.contains_key(&format!("{name}_optimizer.safetensors"))
        })
        .collect()
}
