//! Folders of shapes: which files there are, which part and class each belongs to, and all of them as voxels.
//!
//! Shapes stay in memory as bits, at the size that their files have: 10,668 of 64 x 64 x 64 are 350 MB, as numbers they
//! would be 11 GB.

use crate::files;
use crate::voxels::Voxels;
use anyhow::Result;
use gan_core::failure::{Kind, failure};
use gan_core::files::list;
use gan_core::images::MOST_BROKEN;
use gan_core::samples::in_parallel;
use std::path::{Path, PathBuf};

/// Most bytes that the shapes of a dataset may take.
const MEMORY_BYTES: u64 = 8 << 30;

/// A part of a dataset.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Part {
    /// What is trained on: everything, where a dataset has no parts.
    Train,
    /// What is kept out of training: `test`, `val` or `valid`.
    Test,
}

impl Part {
    fn of(name: &str) -> Option<Self> {
        match name {
            "train" => Some(Self::Train),
            "test" | "val" | "valid" => Some(Self::Test),
            _ => None,
        }
    }
}

/// A file of a dataset.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The file.
    pub path: PathBuf,
    /// The name of its class.
    pub class: String,
    /// Its part.
    pub part: Part,
}

/// Every file of shapes under a folder, or the one file. The part is told by a folder `train` or `test` on the way, the
/// class by the folder before it or before the resolution (3D-ShapeNets: `chair/30/train`), where there is neither by the
/// first folder, and where there is none by the folder itself.
///
/// # Errors
/// [`Kind::Data`] when the folder cannot be read or holds no shapes.
pub fn find(place: &Path) -> Result<Vec<Entry>> {
    let around = place.canonicalize().unwrap_or_else(|_| place.to_owned());
    let words = |path: &Path| -> Vec<String> {
        let parts = path.components();
        parts
            .map(|part| part.as_os_str().to_string_lossy().into_owned())
            .collect()
    };
    // The resolution of 3D-ShapeNets, and no number of ShapeNetCore's classes.
    let is_resolution = |word: &str| word.len() <= 3 && word.parse::<u64>().is_ok();
    let is_class = |word: &&String| Part::of(word).is_none() && !is_resolution(word);
    let outside = words(&around);
    let outer_part = outside.iter().rev().take(2).find_map(|word| Part::of(word));
    let outer_class = outside.iter().rev().find(is_class).cloned();
    let outer_class = outer_class.unwrap_or_default();
    if place.is_file() {
        let parent = around.parent().map(words).unwrap_or_default();
        return Ok(vec![Entry {
            path: place.to_owned(),
            class: parent
                .iter()
                .rev()
                .find(is_class)
                .cloned()
                .unwrap_or_default(),
            part: parent
                .last()
                .and_then(|word| Part::of(word))
                .unwrap_or(Part::Train),
        }]);
    }
    let found = list(place, &files::SHAPES)?;
    let entry = |index: usize| {
        let inside = words(found.name(index).parent().unwrap_or(Path::new("")));
        let part = inside.iter().find_map(|word| Part::of(word)).or(outer_part);
        // What stands before the resolution or the part, or else first.
        let other = inside.iter().position(|word| !is_class(&word));
        let before = other.and_then(|other| other.checked_sub(1));
        let class = before.map(|before| &inside[before]);
        let class = class.or_else(|| inside.iter().find(is_class));
        Entry {
            path: found.path(index),
            class: class.unwrap_or(&outer_class).clone(),
            part: part.unwrap_or(Part::Train),
        }
    };
    Ok((0..found.len()).map(entry).collect())
}

/// A shape with what is known of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shape {
    /// Its voxels.
    pub voxels: Voxels,
    /// Its class, a place in [`Shapes::classes`].
    pub class: usize,
    /// Its file from the folder on, with its number where the file holds several.
    pub name: String,
}

/// The shapes of a part of a dataset.
#[derive(Debug, Clone, Default)]
pub struct Shapes {
    /// In the order of their files' paths.
    pub shapes: Vec<Shape>,
    /// The names of the classes of both parts, in alphabetical order.
    pub classes: Vec<String>,
    /// Files that could be used.
    pub files: usize,
    /// Those that cannot, with the reason.
    pub broken: Vec<String>,
}

/// What is read of a dataset, and how.
#[derive(Debug, Clone, Copy)]
pub struct Reading<'a> {
    /// The part.
    pub part: Part,
    /// One class alone, by its name; all with an empty one.
    pub class: &'a str,
    /// How files become voxels.
    pub files: files::Reading,
}

impl Shapes {
    /// Reads every shape.
    ///
    /// # Errors
    /// [`Kind::Data`] when there is no file or no such class, too many cannot be read, or all together do not fit into
    /// memory.
    pub fn open(place: &Path, reading: &Reading<'_>) -> Result<Self> {
        let found = Self::read_all(place, reading)?;
        let all = found.files + found.broken.len();
        if found.broken.len() as f64 > MOST_BROKEN * all as f64 {
            return Err(failure(
                Kind::Data,
                format!(
                    "{} of {all} files under {} cannot be used, the first: {}",
                    found.broken.len(),
                    place.display(),
                    found.broken[0]
                ),
            ));
        }
        Ok(found)
    }

    /// Reads every shape, however many files are broken.
    ///
    /// # Errors
    /// As [`Shapes::open`], but for what cannot be read.
    pub fn read_all(place: &Path, reading: &Reading<'_>) -> Result<Self> {
        let mut entries = find(place)?;
        let mut classes: Vec<String> = entries.iter().map(|entry| entry.class.clone()).collect();
        classes.sort();
        classes.dedup();
        if !reading.class.is_empty() && !classes.iter().any(|class| class == reading.class) {
            return Err(failure(
                Kind::Data,
                format!(
                    "{} has no class {}: there are {}",
                    place.display(),
                    reading.class,
                    classes.join(", ")
                ),
            ));
        }
        entries.retain(|entry| {
            entry.part == reading.part && (reading.class.is_empty() || entry.class == reading.class)
        });
        let read = in_parallel(&entries, |entry| files::read(&entry.path, &reading.files));
        let mut found = Self {
            classes,
            ..Self::default()
        };
        let mut bytes = 0;
        for (entry, read) in entries.iter().zip(read) {
            let all = match read {
                Ok(all) => all,
                Err(error) => {
                    found.broken.push(format!("{error:#}"));
                    continue;
                }
            };
            let class = found.classes.iter().position(|class| *class == entry.class);
            let name = entry.path.strip_prefix(place).unwrap_or(&entry.path);
            found.files += 1;
            let is_one = all.len() == 1;
            for (number, voxels) in all.into_iter().enumerate() {
                bytes += 8 * voxels.bits().len() as u64;
                let number = if is_one {
                    String::new()
                } else {
                    format!("[{number}]")
                };
                found.shapes.push(Shape {
                    voxels,
                    class: class.unwrap_or(0),
                    name: format!("{}{number}", name.display()),
                });
            }
            if bytes > MEMORY_BYTES {
                return Err(failure(
                    Kind::Data,
                    format!(
                        "the shapes of {} take more than {} GB: make them smaller with `gan3d data prepare --size 64`",
                        place.display(),
                        MEMORY_BYTES >> 30
                    ),
                ));
            }
        }
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::volumetric;

    fn write(folder: &Path, name: &str) {
        let path = folder.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        volumetric::write(&Voxels::from_fn([4; 3], |at| at[0] < 2), &path).unwrap();
    }

    #[test]
    fn parts_and_classes_are_told_by_folders() {
        let folder = tempfile::tempdir().unwrap();
        for name in [
            "a/volumetric_data/chair/30/train/1.mat",
            "a/volumetric_data/chair/30/test/2.mat",
            "a/table/train/3.mat",
            "a/train/sofa/4.mat",
            "a/02691156/abc/models/5.mat",
            "a/valid/6.mat",
        ] {
            write(folder.path(), name);
        }
        let told = |place: &str| -> Vec<(String, String, Part)> {
            let found = find(&folder.path().join(place)).unwrap();
            let told = found.into_iter().map(|entry| {
                let stem = entry
                    .path
                    .file_stem()
                    .unwrap()
                    .to_string_lossy()
                    .into_owned();
                (stem, entry.class, entry.part)
            });
            let mut told: Vec<_> = told.collect();
            told.sort();
            told
        };
        let expected = [
            ("1", "chair", Part::Train),
            ("2", "chair", Part::Test),
            ("3", "table", Part::Train),
            ("4", "sofa", Part::Train),
            ("5", "02691156", Part::Train),
            ("6", "a", Part::Test),
        ];
        let expected =
            expected.map(|(stem, class, part)| (stem.to_owned(), class.to_owned(), part));
        assert_eq!(told("a"), expected);
        assert_eq!(told("a/volumetric_data/chair/30"), expected[..2]);
        assert_eq!(told("a/volumetric_data/chair/30/test"), expected[1..2]);
        assert_eq!(told("a/table/train/3.mat"), expected[2..3]);
    }

    #[test]
    fn what_is_missing_is_said() {
        let folder = tempfile::tempdir().unwrap();
        let open = |class: &str| {
            let reading = Reading {
                part: Part::Train,
                class,
                files: files::Reading::default(),
            };
            Shapes::open(folder.path(), &reading).map(|found| found.shapes.len())
        };
        let said = open("").unwrap_err().to_string();
        assert!(
            said.contains("there are no shapes under") && said.contains("binvox"),
            "{said}"
        );
        write(folder.path(), "chair/1.mat");
        assert_eq!(open("chair").unwrap(), 1);
        let said = open("sofa").unwrap_err().to_string();
        assert!(
            said.contains("has no class sofa: there are chair"),
            "{said}"
        );
    }
}
