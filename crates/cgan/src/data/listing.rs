//! Files with what is known of the faces in them, and what was left out on the way.

use anyhow::Result;
use gan_core::failure::{Kind, failure};
use gan_core::samples::Skipped;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// What is known of a face.
#[derive(Debug, Clone, PartialEq)]
pub struct Label {
    /// In years.
    pub age: f32,
    /// Whose face it is, where that is known.
    pub person: Option<String>,
}

/// The faces of a dataset.
#[derive(Debug, Clone)]
pub struct Listing {
    /// What tells of them: a table, a description, or the folder itself.
    pub source: PathBuf,
    /// Where they lie.
    pub folder: PathBuf,
    /// The files, each with its label.
    pub files: Vec<(PathBuf, Label)>,
    /// What was left out.
    pub skipped: Skipped,
}

impl Listing {
    pub(super) fn new(source: &Path, folder: &Path) -> Self {
        Self {
            source: source.to_owned(),
            folder: folder.to_owned(),
            files: Vec::new(),
            skipped: Skipped::default(),
        }
    }

    pub(super) fn add(&mut self, path: PathBuf, label: Label) {
        self.files.push((path, label));
    }

    /// The listing, if it has any faces; each file once.
    ///
    /// # Errors
    /// [`Kind::Data`] with what was found instead.
    pub fn checked(mut self) -> Result<Self> {
        let mut seen = BTreeSet::new();
        let skipped = &mut self.skipped;
        self.files.retain(|(path, _)| {
            let is_new = seen.insert(path.clone());
            if !is_new {
                skipped.skip("a file that came before", &path.display().to_string());
            }
            is_new
        });
        if !self.files.is_empty() {
            return Ok(self);
        }
        let what = if self.skipped.total() == 0 {
            "no files".to_owned()
        } else {
            self.skipped.lines().join("; ")
        };
        Err(failure(
            Kind::Data,
            format!(
                "{} has no face with an age: {what}. Expected: names such as 25_0_2_20170116174525125.jpg (UTKFace), a \
                 wiki.mat or imdb.mat beside its folders, or a .csv with the columns path and age",
                self.source.display()
            ),
        ))
    }
}
