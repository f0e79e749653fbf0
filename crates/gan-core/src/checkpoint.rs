//! What a checkpoint folder holds, how it is written so that a kill at any moment costs nothing,
//! and how it is read so that damage is noticed.
//!
//! ```text
//! checkpoints/<stage>/
//!   step_00001000/
//!     generator.safetensors             weights, PyTorch names and layout
//!     generator_optimizer.safetensors   the optimizer's moments
//!     manifest.json                     sha256 and size of every file and of itself, step, seed, configuration
//!   latest                              the name of the newest step
//!   best                                the name of the step with the best validation, and its value
//! ```
//! A step folder is written under a temporary name, synced, and renamed; the manifest is written
//! last. Its bytes depend on configuration, seed and step alone.

use crate::failure::{Kind, at_path, failure};
use crate::process::{may_be_alive, owner};
use crate::regular;
use crate::weights::{self, Metadata, Tensors, WeightFile};
use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// One file of a part.
#[derive(Debug, Clone)]
pub struct PartFile {
    /// What follows the part's name in the file name: empty for weights, `_optimizer` for moments.
    pub suffix: &'static str,
    /// The content.
    pub tensors: Tensors,
    /// Text that travels with it.
    pub metadata: Metadata,
}

impl PartFile {
    /// The weights of a part.
    pub fn weights(tensors: Tensors) -> Self {
        Self {
            suffix: "",
            tensors,
            metadata: Metadata::new(),
        }
    }
}

/// Something that a checkpoint holds: a learner, an average, a pool of pictures, a gate.
pub trait Checkpoint {
    /// Everything needed to continue bit for bit.
    fn files(&self) -> Vec<PartFile>;

    /// Takes the files back; `read` gives the file with a suffix.
    ///
    /// # Errors
    /// When a file is missing or of another network; nothing is changed then.
    fn restore(&mut self, read: &mut dyn FnMut(&str) -> Result<WeightFile>) -> Result<()>;
}

/// The manifest's format number; a newer one is refused.
const FORMAT: u32 = 1;

/// Most bytes of a manifest: its files are few.
const MOST_MANIFEST_BYTES: u64 = 16 << 20;

/// What is read of a manifest first: a newer one may hold anything else.
#[derive(Deserialize)]
struct Format {
    format: u32,
}

/// `manifest.json`. A key that nobody knows is damage: it may have been another one.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// Format number of the folder.
    pub format: u32,
    /// The architecture's word: `dcgan`.
    pub architecture: String,
    /// The stage that was training.
    pub stage: String,
    /// The version of the program that wrote it.
    pub program: String,
    /// The version of burn: other versions may round differently.
    pub burn: String,
    /// Steps done.
    pub step: u64,
    /// The run's seed.
    pub seed: u64,
    /// The configuration that decides the bytes, as TOML.
    pub config: String,
    /// What the data was: a sum over its content or its file names and sizes.
    #[serde(default)]
    pub data: String,
    /// Every file of the folder but this one.
    pub files: BTreeMap<String, FileRecord>,
    /// The sha256 of this manifest without this key, as one line of JSON. Empty in manifests of earlier
    /// programs.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub sum: String,
}

impl Manifest {
    /// The file's text, with the sum that belongs to it.
    ///
    /// # Errors
    /// Never in practice: a manifest is plain values.
    pub fn text(&self) -> Result<String> {
        let mut manifest = self.clone();
        manifest.sum.clear();
        manifest.sum = sha256(serde_json::to_string(&manifest)?.as_bytes());
        Ok(serde_json::to_string_pretty(&manifest)? + "\n")
    }
}

/// Size and sum of a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileRecord {
    /// Bytes.
    pub bytes: u64,
    /// Lower-case hexadecimal.
    pub sha256: String,
}

/// What every file of a checkpoint says about itself.
#[derive(Debug, Clone)]
pub struct Identity {
    /// The architecture's word.
    pub architecture: String,
    /// The stage.
    pub stage: String,
    /// Steps done.
    pub step: u64,
    /// The run's seed.
    pub seed: u64,
    /// The configuration that decides the bytes, as TOML.
    pub config: String,
    /// What the data is: a sum over its content or its file names and sizes.
    pub data: String,
    /// More metadata for weights files, such as the value range.
    pub extra: Metadata,
}

/// The version of burn that the workspace pins.
pub const BURN_VERSION: &str = "0.22.1";

/// Lower-case hexadecimal SHA-256.
pub fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

/// The folder name of a step.
pub fn step_name(step: u64) -> String {
    format!("step_{step:08}")
}

fn step_of(name: &str) -> Option<u64> {
    let digits = name.strip_prefix("step_")?;
    let all_digits = digits.len() >= 8 && digits.bytes().all(|byte| byte.is_ascii_digit());
    all_digits.then(|| digits.parse().ok()).flatten()
}

/// Writes a step folder; it appears under its name only when it is whole.
///
/// # Errors
/// A [`Kind::Disk`] failure that names the path; a [`Kind::Diverged`] one when a weight is not
/// finite. Earlier checkpoints are untouched in both cases.
pub fn save(
    folder: &Path,
    identity: &Identity,
    parts: &[(String, Vec<PartFile>)],
) -> Result<PathBuf> {
    for (name, files) in parts {
        for file in files {
            for (tensor, values) in &file.tensors {
                if let Some(bad) = values.values.iter().find(|value| !value.is_finite()) {
                    return Err(failure(
                        Kind::Diverged,
                        format!(
                            "tensor {tensor} of {name}{} holds {bad} after step {} (seed {}); {}. \
                             Try a lower --lr",
                            file.suffix,
                            identity.step,
                            identity.seed,
                            kept(folder)
                        ),
                    ));
                }
            }
        }
    }
    let name = step_name(identity.step);
    let place = folder.join(&name);
    let temporary = folder.join(format!(".{name}.tmp-{}", std::process::id()));
    let written = write_folder(&temporary, identity, parts).and_then(|()| {
        if place.exists() {
            // A resumed run passes a step that a lost `latest` had hidden: the bytes are equal.
            std::fs::remove_dir_all(&place)
                .map_err(|error| at_path(Kind::Disk, "replace", &place, &error))?;
        }
        std::fs::rename(&temporary, &place)
            .map_err(|error| at_path(Kind::Disk, "rename", &temporary, &error))?;
        sync_folder(folder);
        weights::write_atomically(&folder.join("latest"), format!("{name}\n").as_bytes())
    });
    if let Err(error) = written {
        let _ = std::fs::remove_dir_all(&temporary);
        return Err(error.context(format!(
            "checkpoint of step {} was not saved; earlier ones are untouched",
            identity.step
        )));
    }
    Ok(place)
}

/// What a run that stops can go on from, in words.
pub(crate) fn kept(folder: &Path) -> String {
    match steps(folder).unwrap_or_default().last() {
        Some((step, _)) => format!("the checkpoint of step {step} is kept"),
        None => "no checkpoint had been saved yet".to_owned(),
    }
}

fn write_folder(
    folder: &Path,
    identity: &Identity,
    parts: &[(String, Vec<PartFile>)],
) -> Result<()> {
    let disk = |action: &str, path: &Path, error: &std::io::Error| {
        at_path(Kind::Disk, action, path, error)
    };
    let _ = std::fs::remove_dir_all(folder);
    std::fs::create_dir_all(folder).map_err(|error| disk("create", folder, &error))?;
    let mut records = BTreeMap::new();
    for (part, files) in parts {
        for file in files {
            let mut metadata = identity.extra.clone();
            metadata.extend([
                ("format".to_owned(), "pt".to_owned()),
                ("architecture".to_owned(), identity.architecture.clone()),
                ("stage".to_owned(), identity.stage.clone()),
                ("network".to_owned(), part.clone()),
                ("step".to_owned(), identity.step.to_string()),
                ("seed".to_owned(), identity.seed.to_string()),
                ("config".to_owned(), identity.config.clone()),
            ]);
            metadata.extend(file.metadata.clone());
            let bytes = weights::to_safetensors(&file.tensors, &metadata);
            let name = format!("{part}{}.safetensors", file.suffix);
            write_synced(&folder.join(&name), &bytes)?;
            records.insert(
                name,
                FileRecord {
                    bytes: bytes.len() as u64,
                    sha256: sha256(&bytes),
                },
            );
        }
    }
    let manifest = Manifest {
        format: FORMAT,
        architecture: identity.architecture.clone(),
        stage: identity.stage.clone(),
        program: env!("CARGO_PKG_VERSION").to_owned(),
        burn: BURN_VERSION.to_owned(),
        step: identity.step,
        seed: identity.seed,
        config: identity.config.clone(),
        data: identity.data.clone(),
        files: records,
        sum: String::new(),
    };
    write_synced(&folder.join("manifest.json"), manifest.text()?.as_bytes())?;
    sync_folder(folder);
    Ok(())
}

fn write_synced(path: &Path, bytes: &[u8]) -> Result<()> {
    use std::io::Write;
    let write = || -> std::io::Result<()> {
        let mut file = std::fs::File::create(path)?;
        file.write_all(bytes)?;
        file.sync_all()
    };
    write().map_err(|error| at_path(Kind::Disk, "write", path, &error))
}

/// Makes a rename durable; file systems that cannot sync a folder lose nothing but time.
fn sync_folder(folder: &Path) {
    if let Ok(handle) = std::fs::File::open(folder) {
        let _ = handle.sync_all();
    }
}

/// A step folder whose manifest and sums have been checked.
#[derive(Debug, Clone)]
pub struct Saved {
    /// Where it is.
    pub path: PathBuf,
    /// What it says.
    pub manifest: Manifest,
}

impl Saved {
    /// Opens a step folder and checks every file against the manifest.
    ///
    /// # Errors
    /// A [`Kind::Checkpoint`] failure that names the first file that is missing or changed.
    pub fn open(path: &Path) -> Result<Self> {
        Self::open_files(path, |_| true)
    }

    /// As [`Saved::open`], without the optimizers, which nobody needs who only samples.
    ///
    /// # Errors
    /// As [`Saved::open`].
    pub fn open_weights(path: &Path) -> Result<Self> {
        Self::open_files(path, |name| !name.ends_with("_optimizer.safetensors"))
    }

    fn open_files(path: &Path, is_wanted: impl Fn(&str) -> bool) -> Result<Self> {
        let refuse = |what: String| failure(Kind::Checkpoint, what);
        let place = path.join("manifest.json");
        let bytes = regular::read(Kind::Checkpoint, &place, MOST_MANIFEST_BYTES)?;
        let damaged =
            |error: serde_json::Error| refuse(format!("{} is damaged: {error}", place.display()));
        let Format { format } = serde_json::from_slice(&bytes).map_err(damaged)?;
        if format > FORMAT {
            return Err(refuse(format!(
                "{} has format {format}; this program reads up to {FORMAT}: use a newer version",
                place.display()
            )));
        }
        let manifest: Manifest = serde_json::from_slice(&bytes).map_err(damaged)?;
        if !manifest.sum.is_empty() && manifest.text()?.as_bytes() != bytes {
            return Err(refuse(format!(
                "{} has another sha256 than it says: the file is damaged",
                place.display()
            )));
        }
        // Older ones hold no sum of themselves: what is written twice must agree.
        let name = path.file_name().and_then(|name| name.to_str());
        if let Some(step) = name.and_then(step_of)
            && step != manifest.step
        {
            return Err(refuse(format!(
                "{} is of step {}, its folder of step {step}: the file is damaged",
                place.display(),
                manifest.step
            )));
        }
        for (name, record) in &manifest.files {
            if name.contains(['/', '\\']) || name.starts_with('.') {
                return Err(refuse(format!(
                    "{} names {name:?}, which is no plain file name",
                    place.display()
                )));
            }
            if !is_wanted(name) {
                continue;
            }
            let place = path.join(name);
            let bytes = regular::read(Kind::Checkpoint, &place, weights::MAX_FILE_BYTES)?;
            if bytes.len() as u64 != record.bytes {
                return Err(refuse(format!(
                    "{} has {} bytes, its manifest says {}: the file is damaged",
                    place.display(),
                    bytes.len(),
                    record.bytes
                )));
            }
            let sum = sha256(&bytes);
            if sum != record.sha256 {
                return Err(refuse(format!(
                    "{} has sha256 {sum}, its manifest says {}: the file is damaged",
                    place.display(),
                    record.sha256
                )));
            }
        }
        Ok(Self {
            path: path.to_owned(),
            manifest,
        })
    }

    /// Reads the file of `part` with `suffix`.
    ///
    /// # Errors
    /// As [`weights::read`].
    pub fn read(&self, part: &str, suffix: &str) -> Result<WeightFile> {
        let place = self.path.join(format!("{part}{suffix}.safetensors"));
        weights::read(&place).with_context(|| format!("reading {}", place.display()))
    }
}

/// Every step folder of a stage, oldest first. Temporary folders are not among them. A folder that is not
/// there holds none.
///
/// # Errors
/// A [`Kind::Checkpoint`] failure that names the folder when it is there and cannot be read: it may well
/// hold some.
pub fn steps(folder: &Path) -> Result<Vec<(u64, PathBuf)>> {
    let problem =
        |error: std::io::Error| at_path(Kind::Checkpoint, "read the folder", folder, &error);
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(problem(error)),
    };
    let mut steps = Vec::new();
    for entry in entries {
        let entry = entry.map_err(problem)?;
        if let Some(step) = entry.file_name().to_str().and_then(step_of) {
            steps.push((step, entry.path()));
        }
    }
    steps.sort();
    Ok(steps)
}

/// The step that the file `best` of a stage names, with the value that made it so, while its folder is there.
pub fn best(folder: &Path) -> Option<(u64, f64)> {
    let text = std::fs::read_to_string(folder.join("best")).ok()?;
    let mut lines = text.lines();
    let name = lines.next()?.trim();
    let value = lines.next()?.trim().parse().ok()?;
    let step = step_of(name).filter(|_| folder.join(name).is_dir())?;
    Some((step, value))
}

/// The newest whole checkpoint of a stage, with a warning for each newer one that is damaged.
/// `None` when there is none at all.
///
/// # Errors
/// The damage of the newest, when no older one is whole.
pub fn newest(folder: &Path) -> Result<Option<(Saved, Vec<String>)>> {
    newest_by(folder, Saved::open)
}

/// As [`newest`], of those whose weights are whole.
///
/// # Errors
/// As [`newest`].
pub fn newest_weights(folder: &Path) -> Result<Option<(Saved, Vec<String>)>> {
    newest_by(folder, Saved::open_weights)
}

fn newest_by(
    folder: &Path,
    open: impl Fn(&Path) -> Result<Saved>,
) -> Result<Option<(Saved, Vec<String>)>> {
    let mut warnings = Vec::new();
    let mut first_error = None;
    for (_, path) in steps(folder)?.into_iter().rev() {
        match open(&path) {
            Ok(saved) => return Ok(Some((saved, warnings))),
            Err(error) => {
                warnings.push(format!("{error:#}; falling back to an older checkpoint"));
                first_error.get_or_insert(error);
            }
        }
    }
    match first_error {
        Some(error) => Err(error),
        None => Ok(None),
    }
}

/// Removes all but the newest `keep` checkpoints up to step `newest`, which was just written (at least
/// that one stays, and `pinned` ones do). Folders past it are damaged ones that a resumed run fell back
/// from: they do not count, and stay until the run passes them. A failure to remove is a warning.
pub fn rotate(folder: &Path, newest: u64, keep: usize, pinned: &[u64]) -> Vec<String> {
    let mut warnings = Vec::new();
    let mut steps = match steps(folder) {
        Ok(steps) => steps,
        Err(error) => return vec![format!("{error:#}")],
    };
    steps.retain(|(step, _)| *step <= newest);
    let surplus = steps.len().saturating_sub(keep.max(1));
    for (step, path) in &steps[..surplus] {
        if pinned.contains(step) {
            continue;
        }
        if let Err(error) = std::fs::remove_dir_all(path) {
            warnings.push(format!("cannot remove {}: {error}", path.display()));
        }
    }
    warnings
}

/// Removes the temporary files and folders in `folder` of processes that have ended, and those of this one:
/// names that end in `.tmp-` and a process's number. Only the process that holds the run's lock may call it.
pub fn sweep(folder: &Path) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let left_by = name.to_str().and_then(owner);
        if left_by.is_some_and(|id| id == std::process::id() || !may_be_alive(id)) {
            let path = entry.path();
            let _ = std::fs::remove_dir_all(&path).or_else(|_| std::fs::remove_file(&path));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_ended_processes_left_is_swept() {
        let folder = tempfile::tempdir().unwrap();
        let place = |name: &str| folder.path().join(name);
        let own = format!("latest.tmp-{}", std::process::id());
        let ended = format!(".step_00000003.tmp-{}", u32::MAX);
        // The first process lives wherever there is one.
        let kept = ["x.tmp-1", "notes.tmp-old", "my.tmp-folder.txt", "latest"];
        std::fs::create_dir(place(&ended)).unwrap();
        std::fs::write(place(&ended).join("generator.safetensors"), "x").unwrap();
        for name in kept.iter().copied().chain([own.as_str()]) {
            std::fs::write(place(name), "x").unwrap();
        }
        sweep(folder.path());
        for name in kept {
            assert!(place(name).exists(), "{name} is gone");
        }
        assert!(!place(&own).exists(), "an earlier process had our number");
        if cfg!(target_os = "linux") {
            assert!(!place(&ended).exists());
        }
    }

    #[test]
    fn only_a_missing_folder_holds_no_steps() {
        let folder = tempfile::tempdir().unwrap();
        assert!(steps(&folder.path().join("none")).unwrap().is_empty());
        let file = folder.path().join("gan");
        std::fs::write(&file, "x").unwrap();
        let error = newest(&file).unwrap_err();
        assert_eq!(crate::failure::exit_code(&error), 4);
        assert!(error.to_string().contains("gan"), "{error}");
    }
}
