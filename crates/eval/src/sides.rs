//! What `--real` and `--fake` may name: a folder of pictures, statistics, a run.

use anyhow::Result;
use gan_core::failure::{Kind, at_path, failure};
use gan_core::{idx, run};
use metrics::files::{Files, Listing, Recursion, list};
use metrics::npz::StatisticsFile;
use metrics::source::Source;
use std::path::{Path, PathBuf};

/// One side of a comparison.
#[derive(Debug)]
pub struct Side {
    /// What the user called it.
    pub name: String,
    /// Whether it is judged.
    pub role: Role,
    /// What it is.
    pub content: Content,
    /// What was noticed while it was listed.
    pub listed: Option<Listed>,
}

/// What was noticed while a folder was listed.
#[derive(Debug, Clone)]
pub struct Listed {
    /// File endings with their counts.
    pub endings: String,
    /// JPEG files.
    pub lossy: usize,
    /// Others.
    pub lossless: usize,
    /// What is worth a warning.
    pub remarks: Vec<String>,
}

/// Which files of a folder count.
#[derive(Debug, Clone, Copy)]
pub struct Choice {
    /// Whether subfolders count.
    pub recursion: Recursion,
    /// Whose list is taken.
    pub listing: Listing,
    /// The list of the tool whose rules are followed: where it differs, that is said.
    pub tool: Listing,
}

impl Choice {
    /// The files, with remarks on what was left out, and on what the tool would have taken.
    fn files(self, folder: &Path) -> Result<(Vec<PathBuf>, Listed)> {
        let files = list(folder, self.listing, self.recursion)?;
        let (lossy, lossless) = files.lossy_and_not();
        let mut remarks = Vec::new();
        let remark = left_out(&files);
        if !remark.is_empty() {
            remarks.push(remark);
        }
        if self.listing != self.tool {
            let theirs =
                list(folder, self.tool, self.recursion).map_or(0, |tools| tools.paths.len());
            if theirs != files.paths.len() {
                remarks.push(format!(
                    "the tool itself would take {theirs} of these {} files; --tool-files does as it does",
                    files.paths.len()
                ));
            }
        }
        let listed = Listed {
            endings: files.endings_text(),
            lossy,
            lossless,
            remarks,
        };
        Ok((files.paths, listed))
    }
}

/// What was left out of a folder, in a line; nothing where there is nothing to say.
fn left_out(files: &Files) -> String {
    let mut parts = Vec::new();
    if let Some((path, reason)) = files.skipped.first() {
        parts.push(format!(
            "{} files are left out, the first {} ({reason})",
            files.skipped.len(),
            path.display()
        ));
    }
    if files.subfolders > 0 {
        parts.push(format!(
            "{} subfolders were not looked into (--recursive does)",
            files.subfolders
        ));
    }
    parts.join("; ")
}

/// What a side is made of.
#[derive(Debug)]
pub enum Content {
    /// Pictures.
    Pictures(Source),
    /// Mean and covariance from a file.
    Statistics(StatisticsFile),
}

/// Which side of the comparison.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// The pictures to compare with: of a run, its training data.
    Real,
    /// The pictures to judge: of a run, its `generated/`.
    Fake,
}

impl Side {
    /// Finds what `place` names.
    ///
    /// # Errors
    /// [`Kind::Data`] or [`Kind::Usage`] that says what was looked for, and which step is missing.
    pub fn open(place: &Path, role: Role, choice: Choice) -> Result<Self> {
        let name = place.display().to_string();
        if place.is_file() {
            if place
                .extension()
                .is_some_and(|ending| ending.eq_ignore_ascii_case("npz"))
            {
                return Ok(Self {
                    name,
                    role,
                    content: Content::Statistics(StatisticsFile::read(place)?),
                    listed: None,
                });
            }
            return Err(failure(
                Kind::Usage,
                format!(
                    "{name} is a file: name a folder of single pictures, a .npz file, or a run"
                ),
            ));
        }
        if !place.is_dir() {
            return Err(failure(
                Kind::Data,
                format!("{name} does not exist: name a folder of pictures, a .npz file, or a run"),
            ));
        }
        if place.join("config.toml").is_file() {
            return match role {
                Role::Real => Self::data_of(place, choice),
                Role::Fake => Self::generated_by(place, choice),
            };
        }
        if idx::is_here(place, "train") {
            return Ok(Self {
                name,
                role,
                content: Content::Pictures(Source::Grey(idx::Pictures::read(place, "train")?)),
                listed: None,
            });
        }
        let (files, listed) = choice.files(place)?;
        refuse_sheets(place, &files)?;
        Ok(Self {
            name,
            role,
            content: Content::Pictures(Source::Files(files)),
            listed: Some(listed),
        })
    }

    /// The single pictures that a run has generated.
    fn generated_by(run: &Path, choice: Choice) -> Result<Self> {
        let folder = run.join("generated");
        let word = word_of(run);
        if !folder.is_dir() {
            return Err(failure(
                Kind::Data,
                format!(
                    "{} has no generated pictures yet: write some with `{word} generate --checkpoint {} --num 10000`",
                    run.display(),
                    run.display()
                ),
            ));
        }
        Self::open(&folder, Role::Fake, choice)
    }

    /// The pictures that a run was trained on.
    fn data_of(run: &Path, choice: Choice) -> Result<Self> {
        let place = run.join("config.toml");
        let text = std::fs::read_to_string(&place)
            .map_err(|error| at_path(Kind::Data, "read", &place, &error))?;
        let table: toml::Table = text
            .parse()
            .map_err(|error| failure(Kind::Data, format!("{}: {error}", place.display())))?;
        let data = table.get("data").and_then(|data| data.as_str());
        match data.filter(|data| !data.is_empty()) {
            Some(data) => Self::open(Path::new(data), Role::Real, choice),
            None => {
                let word = word_of(run);
                Err(failure(
                    Kind::Data,
                    format!(
                        "{} was trained on the built-in PROCEDURAL data, which lies in no folder: write it \
                         with `{word} data prepare --procedural -o data/procedural-{word}` and name that \
                         folder with --real",
                        run.display()
                    ),
                ))
            }
        }
    }

    /// The pictures.
    ///
    /// # Errors
    /// [`Kind::Usage`] when the side is statistics, which `why` cannot work with.
    pub fn pictures(&self, why: &str) -> Result<&Source> {
        match &self.content {
            Content::Pictures(source) => Ok(source),
            Content::Statistics(_) => Err(failure(
                Kind::Usage,
                format!(
                    "{} holds statistics, and {why} needs the pictures themselves: name their folder",
                    self.name
                ),
            )),
        }
    }
}

fn word_of(run: &Path) -> String {
    let word = run.parent().and_then(Path::file_name);
    word.map_or_else(
        || "dcgan".to_owned(),
        |word| word.to_string_lossy().into_owned(),
    )
}

/// A sheet of many samples counts as one picture: the number that came out would mean nothing.
fn refuse_sheets(folder: &Path, files: &[PathBuf]) -> Result<()> {
    let is_sheet = |path: &&PathBuf| {
        let stem = path.file_stem().unwrap_or_default().to_string_lossy();
        ["grid", "reals", "sheet"].contains(&stem.as_ref()) || {
            let digits = stem.strip_prefix("step_").unwrap_or_default();
            !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit())
        }
    };
    match files.iter().find(is_sheet) {
        None => Ok(()),
        Some(sheet) => Err(failure(
            Kind::Usage,
            format!(
                "{} in {} is a sheet of many samples: measures need single pictures, as `generate` writes them \
                 without --grid",
                sheet.file_name().unwrap_or_default().to_string_lossy(),
                folder.display()
            ),
        )),
    }
}

/// The newest run of any architecture under `out`.
///
/// # Errors
/// [`Kind::Usage`] when there is none.
pub fn newest_run(out: &Path) -> Result<PathBuf> {
    let words = std::fs::read_dir(out).into_iter().flatten().flatten();
    let newest = words
        .filter_map(|word| {
            let run = run::list(out, word.file_name().to_str()?).pop()?;
            let written = run.join("config.toml").metadata().ok()?.modified().ok()?;
            Some((written, run))
        })
        .max();
    newest.map(|(_, run)| run).ok_or_else(|| {
        failure(
            Kind::Usage,
            format!(
                "there is no run under {}: name both sides with --real DIR and --fake DIR, or train first \
                 (`dcgan train`)",
                out.display()
            ),
        )
    })
}
