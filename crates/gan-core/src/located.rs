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

/// Whether a path is that of a file with the weights of one network, and not a run, a step folder, or the file
/// that names one.
pub fn is_single_file(place: &Path) -> bool {
    place.is_file() && !is_pointer(place)
}

/// What `checkpoint` means: a path, the name of a run, or without it the newest run.
fn place_of(checkpoint: Option<&Path>, out: &Path, word: &str, stages: &[&str]) -> Result<PathBuf> {
    let Some(place) = checkpoint else {
        return newest_run(out, word, stages);
    };
    if place.exists() {
        return Ok(place.to_owned());
    }
    match run::find(out, word, Some(&place.to_string_lossy())) {
        Ok(run) => Ok(run),
        Err(_) if is_pointer(place) => Ok(place.to_owned()),
        Err(_) => Err(failure(
            Kind::Checkpoint,
            format!(
                "{} does not exist: expected a run, a step folder, a .safetensors or a .pth",
                place.display()
            ),
        )),
    }
}

/// The networks (and whatever else is no optimizer) that a step folder holds, by name.
fn names_in(saved: &Saved) -> Vec<&str> {
    let names = saved.manifest.files.keys();
    names
        .filter_map(|name| name.strip_suffix(".safetensors"))
        .filter(|name| !name.ends_with("_optimizer"))
        .collect()
}

/// Opens the step folder that `place` means, if it is one of `word`.
fn saved_of(place: &Path, word: &str, stages: &[&str]) -> Result<(Saved, Vec<String>)> {
    let (saved, warnings) = step_folder(place, stages)?;
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
    Ok((saved, warnings))
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
    let place = place_of(checkpoint, out, word, stages)?;
    if is_single_file(&place) {
        return read(place)?.expect(word, networks);
    }
    let (saved, warnings) = saved_of(&place, word, stages)?;
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
            "{} holds none of: {}; there are: {}",
            saved.path.display(),
            networks.join(", "),
            names_in(&saved).join(", ")
        ),
    ))
}

/// As [`find`], whatever the networks are called: the first of `preferred` that exists, or else the first of all.
///
/// # Errors
/// As [`find`].
pub fn find_any(
    checkpoint: Option<&Path>,
    out: &Path,
    word: &str,
    stages: &[&str],
    preferred: &[&str],
) -> Result<Located> {
    let place = place_of(checkpoint, out, word, stages)?;
    if is_single_file(&place) {
        let found = read(place)?;
        let network = found.file.metadata.get("network").cloned();
        return found.expect(word, &[network.as_deref().unwrap_or_default()]);
    }
    let (saved, _) = saved_of(&place, word, stages)?;
    let names = names_in(&saved);
    let preferred = preferred.iter().find(|name| names.contains(name));
    let name = preferred.or(names.first()).copied().unwrap_or_default();
    find(checkpoint, out, word, stages, &[name])
}

fn read(path: PathBuf) -> Result<Located> {
    let file = weights::read(&path)?;
    Ok(Located {
        path,
        file,
        warnings: Vec::new(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checkpoint::{Identity, PartFile};
    use crate::failure::exit_code;
    use crate::weights::{HostTensor, Metadata, Tensors};

    /// A run with the given steps, each of which holds two networks and an optimizer.
    fn write_run(run: &Path, steps: &[u64]) {
        std::fs::create_dir_all(run).unwrap();
        std::fs::write(run.join("config.toml"), "").unwrap();
        for step in steps {
            let identity = Identity {
                architecture: "sample".to_owned(),
                stage: "gan".to_owned(),
                step: *step,
                seed: 0,
                config: String::new(),
                data: String::new(),
                extra: Metadata::new(),
            };
            let part = |suffix: &'static str| PartFile {
                suffix,
                ..PartFile::weights(Tensors::from([(
                    "count".to_owned(),
                    HostTensor::vector(vec![*step as f32]),
                )]))
            };
            let parts = [
                ("b".to_owned(), vec![part(""), part("_optimizer")]),
                ("a".to_owned(), vec![part("")]),
            ];
            checkpoint::save(&run.join("checkpoints/gan"), &identity, &parts).unwrap();
        }
    }

    fn find_in(out: &Path, place: &Path) -> Result<(f32, String)> {
        let found = find(Some(place), out, "sample", &["gan"], &["b"])?;
        let name = found
            .path
            .file_name()
            .unwrap()
            .to_string_lossy()
            .into_owned();
        Ok((found.file.tensors["count"].values[0], name))
    }

    #[test]
    fn the_best_is_found_by_its_file_and_missed_in_a_sentence() {
        let out = tempfile::tempdir().unwrap();
        let run = out.path().join("sample/001");
        write_run(&run, &[3, 6]);
        let stage = run.join("checkpoints/gan");
        let best = stage.join("best");
        let refused = |place: &Path| {
            let error = find_in(out.path(), place).unwrap_err();
            assert_eq!(exit_code(&error), 4);
            error.to_string()
        };
        assert!(refused(&best).contains("names no checkpoint that is there"));
        std::fs::write(&best, "step_00000003\n0.5\n").unwrap();
        assert_eq!(
            find_in(out.path(), &best).unwrap(),
            (3.0, "b.safetensors".to_owned())
        );
        assert!(!is_single_file(&best) && !is_single_file(&run));
        assert!(is_single_file(&stage.join("step_00000003/b.safetensors")));
        for text in [
            "",
            "step_00000003",
            "step_00000009\n0.5\n",
            "../x\n0.5\n",
            "step_3\n0.5\n",
        ] {
            std::fs::write(&best, text).unwrap();
            assert!(
                refused(&best).contains("best names no checkpoint"),
                "{text:?}"
            );
        }
        // A folder whose file is lost still has a newest one.
        std::fs::remove_file(stage.join("latest")).unwrap();
        assert_eq!(find_in(out.path(), &stage.join("latest")).unwrap().0, 6.0);
    }

    #[test]
    fn a_run_may_be_called_best() {
        let out = tempfile::tempdir().unwrap();
        write_run(&out.path().join("sample/best"), &[2]);
        assert_eq!(find_in(out.path(), Path::new("best")).unwrap().0, 2.0);
        assert_eq!(
            find_in(out.path(), &out.path().join("sample/best"))
                .unwrap()
                .0,
            2.0
        );
    }

    #[test]
    fn networks_are_found_whatever_they_are_called() {
        let out = tempfile::tempdir().unwrap();
        let run = out.path().join("sample/001");
        write_run(&run, &[2]);
        let any = |place: &Path, preferred: &[&str]| {
            let found = find_any(Some(place), out.path(), "sample", &["gan"], preferred).unwrap();
            found
                .path
                .file_stem()
                .unwrap()
                .to_string_lossy()
                .into_owned()
        };
        assert_eq!(any(&run, &["generator"]), "a");
        assert_eq!(any(&run, &["generator", "b"]), "b");
        assert_eq!(
            any(
                &run.join("checkpoints/gan/step_00000002/b.safetensors"),
                &["a"]
            ),
            "b"
        );
        let missing = find(Some(&run), out.path(), "sample", &["gan"], &["generator"]);
        let said = missing.unwrap_err().to_string();
        assert!(
            said.contains("holds none of: generator; there are: a, b"),
            "{said}"
        );
        let other = find_any(Some(&run), out.path(), "other", &["gan"], &[]);
        let said = other.unwrap_err().to_string();
        assert!(
            said.ends_with("is a checkpoint of sample, not of other"),
            "{said}"
        );
    }
}
