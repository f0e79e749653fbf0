//! CUB-200-2011 (Wah et al. 2011) with captions (Reed et al. 2016), in the folders of StackGAN's authors:
//!
//! ```text
//! birds/CUB_200_2011/images/002.Laysan_Albatross/Laysan_Albatross_0002_1027.jpg
//! birds/CUB_200_2011/images.txt                      number and file of each picture
//! birds/CUB_200_2011/bounding_boxes.txt              number, left, top, width and height
//! birds/text_c10/002.Laysan_Albatross/Laysan_Albatross_0002_1027.txt    a caption a line
//! birds/train/filenames.pickle, class_info.pickle, char-CNN-RNN-embeddings.pickle
//! birds/test/                                        the same of other classes
//! ```
//!
//! The captions and the lists may lie in `CUB_200_2011`, beside it, or in `birds` beside it; the folder that is named
//! may be `birds`, `CUB_200_2011` or the one around them.

mod layout;
#[cfg(test)]
mod tests;

use crate::pickle::{self, Embeddings};
use anyhow::Result;
use gan_core::failure::{Kind, failure};
use gan_core::samples::{Skipped, in_parallel};
use layout::{Layout, Listed, is_inside};
use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};

/// The classes that are kept out of training: those of StackGAN's test list.
const TEST_CLASSES: [u32; 50] = [
    1, 4, 6, 8, 9, 14, 23, 29, 31, 33, 34, 35, 36, 37, 38, 43, 49, 51, 53, 66, 72, 79, 83, 84, 86,
    91, 95, 96, 98, 101, 102, 103, 112, 114, 119, 121, 130, 135, 138, 147, 156, 163, 165, 166, 180,
    183, 185, 186, 187, 197,
];
/// As many classes as CUB-200-2011 has.
const CLASSES: u32 = 200;

/// The two parts of the dataset, which have no class in common.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// 150 classes to train on.
    Train,
    /// 50 others.
    Test,
}

impl Part {
    /// Its folder.
    pub fn name(self) -> &'static str {
        match self {
            Self::Train => "train",
            Self::Test => "test",
        }
    }

    /// The part of a class where no list tells it: that of the authors' lists, and beyond the 200 classes every fourth
    /// is for tests.
    pub fn of(class: u32) -> Self {
        let is_test = if class <= CLASSES {
            TEST_CLASSES.contains(&class)
        } else {
            class.is_multiple_of(4)
        };
        if is_test { Self::Test } else { Self::Train }
    }

    fn other(self) -> Self {
        match self {
            Self::Train => Self::Test,
            Self::Test => Self::Train,
        }
    }
}

/// One picture with what is known of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Bird {
    /// Its folder and file without the ending: `002.Laysan_Albatross/Laysan_Albatross_0002_1027`.
    pub key: String,
    /// Its class, from 1 on: the number in front of its folder's name, or that of `class_info.pickle`.
    pub class: u32,
    /// Its file, which is there.
    pub path: PathBuf,
    /// Left, top, width and height of the bird in pixels, as the file has them; the sizes are above 0. None where there
    /// is no `bounding_boxes.txt`.
    pub bounding_box: Option<[f64; 4]>,
    /// What is said of it: at least one caption, each of at least one word with single blanks between.
    pub captions: Vec<String>,
    /// Which of [`Found::embeddings`] are those of its captions.
    pub embedding: Option<usize>,
}

/// The pictures of a part.
#[derive(Debug, Clone, Default)]
pub struct Found {
    /// In the order of `filenames.pickle`, or of `images.txt`.
    pub birds: Vec<Bird>,
    /// The embeddings of the part, if they were asked for and are there.
    pub embeddings: Option<Embeddings>,
    /// Whether the part has a file of embeddings, read or not.
    pub has_embeddings: bool,
    /// What was left out.
    pub skipped: Skipped,
    /// What was taken otherwise than the files may mean it, a line each.
    pub notes: Vec<String>,
}

/// The pictures of `part` under `root`; with their embeddings, up to 4 GiB, where they are wanted and there. What lacks
/// its picture, its captions or its box is left out and counted. Where neither part has a `filenames.pickle`, classes
/// are divided as [`Part::of`] says. No picture is opened: see [`crop`] for boxes beyond a picture.
///
/// # Errors
/// [`Kind::Data`] that names the file, the line and the fix: no such folders, or none of captions; a line of a list
/// that is none; a list that one part has and the other lacks; a pickle as [`pickle::read`] refuses it; fewer classes,
/// or more or fewer embeddings, than names.
pub fn read(root: &Path, part: Part, with_embeddings: bool) -> Result<Found> {
    let layout = Layout::find(root)?;
    let mut found = Found::default();
    let listed = layout.pictures(&mut found.skipped)?;
    let wanted = match layout.lists(part) {
        Some(folder) => {
            let names = pickle::strings(&folder.join("filenames.pickle"))?;
            let classes = classes(&folder, names.len(), &mut found.notes)?;
            let embeddings = folder.join("char-CNN-RNN-embeddings.pickle");
            found.has_embeddings = embeddings.exists();
            if with_embeddings && found.has_embeddings {
                found.embeddings = Some(of_names(&embeddings, names.len())?);
            }
            let has_rows = found.embeddings.is_some();
            by_names(
                &names,
                &listed,
                classes.as_deref(),
                has_rows,
                &mut found.skipped,
            )
        }
        None if layout.lists(part.other()).is_some() => {
            let (here, there) = (part.name(), part.other().name());
            let what = format!(
                "{}: there is a {there}/filenames.pickle and no {here}/filenames.pickle; get both again, or remove both \
                 and the classes are divided as the authors did it",
                root.display()
            );
            return Err(failure(Kind::Data, what));
        }
        None => by_classes(&listed, part, &mut found.skipped),
    };
    let read = in_parallel(&wanted, |wanted| layout.captions(&wanted.listed.key));
    for (wanted, captions) in wanted.into_iter().zip(read) {
        let Listed {
            key,
            path,
            bounding_box,
        } = wanted.listed;
        let reason = match (captions, bounding_box) {
            _ if !path.is_file() => "a picture that is missing",
            (_, Err(reason)) => reason,
            (Err(reason), _) => reason,
            (Ok(captions), Ok(bounding_box)) => {
                found.birds.push(Bird {
                    key: key.clone(),
                    class: wanted.class,
                    path: path.clone(),
                    bounding_box: *bounding_box,
                    captions,
                    embedding: wanted.row,
                });
                continue;
            }
        };
        found.skipped.skip(reason, key);
    }
    Ok(found)
}

/// A picture that belongs to the part.
struct Wanted<'a> {
    listed: &'a Listed,
    class: u32,
    row: Option<usize>,
}

const NO_CLASS: &str = "no number of a class in front of the folder's name";

/// The class in front of a folder's name.
fn class_of(key: &str) -> Option<u32> {
    let digits = key.split(['.', '/']).next()?;
    digits.parse().ok().filter(|class| *class > 0)
}

fn by_classes<'a>(listed: &'a [Listed], part: Part, skipped: &mut Skipped) -> Vec<Wanted<'a>> {
    let mut wanted = Vec::new();
    for listed in listed {
        match class_of(&listed.key) {
            Some(class) if Part::of(class) == part => wanted.push(Wanted {
                listed,
                class,
                row: None,
            }),
            Some(_) => (),
            None => skipped.skip(NO_CLASS, &listed.key),
        }
    }
    wanted
}

fn by_names<'a>(
    names: &[String],
    listed: &'a [Listed],
    classes: Option<&[i64]>,
    has_rows: bool,
    skipped: &mut Skipped,
) -> Vec<Wanted<'a>> {
    let places: HashMap<&str, &Listed> = listed
        .iter()
        .map(|listed| (listed.key.as_str(), listed))
        .collect();
    let (mut seen, mut wanted) = (BTreeSet::new(), Vec::new());
    for (index, name) in names.iter().enumerate() {
        let key = name.strip_suffix(".jpg").unwrap_or(name);
        let told = || classes.and_then(|classes| u32::try_from(*classes.get(index)?).ok());
        let class = class_of(key).or_else(|| told().filter(|class| *class > 0));
        match (places.get(key), class) {
            _ if !is_inside(key) => skipped.skip("a path that leads out", key),
            (None, _) => skipped.skip("a name that images.txt does not have", key),
            _ if !seen.insert(key) => skipped.skip("a name that came before", key),
            (_, None) => skipped.skip(NO_CLASS, key),
            (Some(listed), Some(class)) => wanted.push(Wanted {
                listed,
                class,
                row: has_rows.then_some(index),
            }),
        }
    }
    wanted
}

/// The classes of a list's names, where it tells as many.
fn classes(folder: &Path, names: usize, notes: &mut Vec<String>) -> Result<Option<Vec<i64>>> {
    let path = folder.join("class_info.pickle");
    if !path.exists() {
        return Ok(None);
    }
    let classes = pickle::integers(&path)?;
    if classes.len() < names {
        let what = format!(
            "{}: {} classes of the {names} names in filenames.pickle; get both files again, or remove this one and \
             classes are told by the folders' names",
            path.display(),
            classes.len()
        );
        return Err(failure(Kind::Data, what));
    }
    if classes.len() > names {
        notes.push(format!(
            "{}: {} classes of the {names} names in filenames.pickle: classes are told by the folders' names",
            path.display(),
            classes.len()
        ));
        return Ok(None);
    }
    Ok(Some(classes))
}

fn of_names(path: &Path, names: usize) -> Result<Embeddings> {
    let embeddings = pickle::embeddings(path)?;
    if embeddings.len() == names {
        return Ok(embeddings);
    }
    let what = format!(
        "{}: embeddings of {} pictures, and filenames.pickle has {names} names: which belong together cannot be told; \
         get both files again from one place",
        path.display(),
        embeddings.len()
    );
    Err(failure(Kind::Data, what))
}

/// The square around a bird that the paper cuts out of a picture of `width` x `height` pixels, as left, top, width and
/// height: one and a half times the longer side of `bounding_box` (left, top, width, height) around its middle, without
/// what is beyond the picture. All fractions are cut off, as the authors do. It is never empty for a picture that is
/// not: where a box [`misses`] the picture, it is the whole picture.
pub fn crop(width: u32, height: u32, bounding_box: [f64; 4]) -> [u32; 4] {
    square(width, height, bounding_box).unwrap_or([0, 0, width, height])
}

/// Whether nothing of the picture would be cut out around a box: it is of no area or outside.
pub fn misses(width: u32, height: u32, bounding_box: [f64; 4]) -> bool {
    square(width, height, bounding_box).is_none()
}

fn square(width: u32, height: u32, bounding_box: [f64; 4]) -> Option<[u32; 4]> {
    // Whole numbers up to 2^31 each: neither sums nor products are beyond 64 bits.
    let whole = |value: f64| value as i32;
    let [x, y, wide, high] = bounding_box.map(whole).map(i64::from);
    let radius = wide.max(high) * 3 / 4;
    if wide <= 0 || high <= 0 || radius == 0 {
        return None;
    }
    let range = |middle: i64, side: u32| {
        let (from, to) = (
            (middle - radius).max(0),
            (middle + radius).min(i64::from(side)),
        );
        (from < to).then_some((from as u32, (to - from) as u32))
    };
    // Truncated towards 0, as Python's int().
    let (left, width) = range((2 * x + wide) / 2, width)?;
    let (top, height) = range((2 * y + high) / 2, height)?;
    Some([left, top, width, height])
}
