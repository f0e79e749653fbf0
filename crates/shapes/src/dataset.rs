//! Folders of shapes: which files there are, which part and class each belongs to, and all of them as voxels.
//!
//! Shapes stay in memory as bits, at the size that their files have, counted while they are read: 10,668 of 64 x 64 x 64 are 350 MB, as numbers they
//! would be 11 GB.

use crate::files;
use crate::voxels::Voxels;
use anyhow::Result;
use gan_core::failure::{Kind, failure};
use gan_core::files::list;
use gan_core::images::MOST_BROKEN;
use gan_core::samples::in_parallel;
use std::collections::{BTreeMap, BTreeSet};
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
    /// By the name of a folder, in letters of any case.
    fn of(name: &str) -> Option<Self> {
        match name.to_lowercase().as_str() {
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

/// The files of a dataset.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Found {
    /// In the order of their paths.
    pub entries: Vec<Entry>,
    /// What lies there and is not looked at, and how often, as [`gan_core::files::Files::left_out`].
    pub left_out: BTreeMap<String, usize>,
}

/// Endings of files that are not read and may hold shapes.
const COULD_BE_SHAPES: [&str; 26] = [
    "3ds", "3mf", "7z", "blend", "bz2", "dae", "fbx", "glb", "gltf", "gz", "h5", "hdf5", "pcd",
    "pts", "rar", "stp", "step", "t7", "tar", "tgz", "usd", "usdz", "vox", "vtk", "xyz", "zip",
];

/// What of that which was left out of a folder could be shapes, in a line; none where nothing could.
pub fn overlooked(left_out: &BTreeMap<String, usize>) -> Option<String> {
    let could_be = |what: &str| match what.strip_prefix("files ending in .") {
        Some(ending) => COULD_BE_SHAPES.contains(&ending),
        None => what.starts_with("links "),
    };
    let kinds: Vec<String> = left_out
        .iter()
        .filter(|(what, _)| could_be(what))
        .map(|(what, count)| format!("{what}: {count}"))
        .collect();
    (!kinds.is_empty()).then(|| {
        format!(
            "what could be shapes is not looked at ({}): name the folder itself, unpack archives, save meshes as .obj, \
             .off, .stl or .ply",
            kinds.join(", ")
        )
    })
}

/// Every file of shapes under a folder, or the one file.
///
/// The part is told by a folder `train` or `test` on the way, in letters of any case, or by the given folder itself where
/// that is one. With parts, the class is the folder before the part or before its resolution (3D-ShapeNets:
/// `chair/30/train`). Without parts, and where nothing stands before them, it is the folder that holds the file, or that of
/// all models where each has a folder of its own as in ShapeNetCore (`02691156/<model>/models/...`). Where there is none,
/// it is the given folder. A number is the resolution beside a part only, and not where several are all that tells files apart.
///
/// # Errors
/// [`Kind::Data`] when the folder cannot be read or holds no shapes.
pub fn find(place: &Path) -> Result<Found> {
    let around = place.canonicalize().unwrap_or_else(|_| place.to_owned());
    let words = |path: &Path| -> Vec<String> {
        let parts = path.components();
        parts
            .map(|part| part.as_os_str().to_string_lossy().into_owned())
            .collect()
    };
    if place.is_file() {
        let outside = around.parent().map(words).unwrap_or_default();
        let part = outside.last().and_then(|word| Part::of(word));
        return Ok(Found {
            entries: vec![Entry {
                path: place.to_owned(),
                class: outer_class(&outside, &[]),
                part: part.unwrap_or(Part::Train),
            }],
            left_out: BTreeMap::new(),
        });
    }
    let outside = words(&around);
    let outer_part = outside.last().and_then(|word| Part::of(word));
    let files = list(place, &files::SHAPES)?;
    let inside = |index: usize| words(files.name(index).parent().unwrap_or(Path::new("")));
    let told = |inside: &[String], index: usize| {
        let stem = files.name(index).file_stem().unwrap_or_default();
        told(inside, outer_part.is_some(), &stem.to_string_lossy())
    };
    let mut numbers = BTreeSet::new();
    for index in 0..files.len() {
        if let Told::Number(number) = told(&inside(index), index) {
            numbers.insert(number);
        }
    }
    let entry = |index: usize| {
        let inside = inside(index);
        let part = inside.iter().find_map(|word| Part::of(word)).or(outer_part);
        Entry {
            path: files.path(index),
            class: match told(&inside, index) {
                Told::Class(name) => name,
                Told::Number(name) if numbers.len() > 1 => name,
                Told::Number(_) | Told::Nothing => outer_class(&outside, &inside),
            },
            part: part.unwrap_or(Part::Train),
        }
    };
    Ok(Found {
        entries: (0..files.len()).map(entry).collect(),
        left_out: files.left_out().clone(),
    })
}

/// What the folders from the given one to a file say of its class.
enum Told {
    Class(String),
    /// A resolution, or a class with a number for a name.
    Number(String),
    Nothing,
}

fn told(inside: &[String], is_in_part: bool, stem: &str) -> Told {
    let is_part = |word: &String| Part::of(word).is_some();
    let class = |word: &String| Told::Class(word.clone());
    let (before, behind) = match inside.iter().position(is_part) {
        Some(at) => (&inside[..at], &inside[at + 1..]),
        None if is_in_part => (&inside[..0], inside),
        None => return deepest(inside, stem).map_or(Told::Nothing, class),
    };
    let (above, before) = match before {
        [before @ .., last] if is_number(last) => (Some(last), before),
        _ => (None, before),
    };
    let (below, behind) = match behind {
        [first, behind @ ..] if is_number(first) => (Some(first), behind),
        _ => (None, behind),
    };
    if let Some(word) = before.last().or_else(|| deepest(behind, stem)) {
        return class(word);
    }
    let number = above.or(below);
    number.map_or(Told::Nothing, |word| Told::Number(word.clone()))
}

/// The folder that holds a file, or where each model has a folder of its own, as in ShapeNetCore, that of the models.
fn deepest<'a>(folders: &'a [String], stem: &str) -> Option<&'a String> {
    let folders = match folders {
        [outer @ .., _, last] if last == "models" => outer,
        [outer @ .., _] if !outer.is_empty() && stem == "model" => outer,
        _ => folders,
    };
    folders.iter().rfind(|word| Part::of(word).is_none())
}

/// The class of a file about which the folders inside of the given one say nothing.
fn outer_class(outside: &[String], inside: &[String]) -> String {
    let mut is_beside_part = inside.first().is_some_and(|word| Part::of(word).is_some());
    for word in outside.iter().rev() {
        // A class has a folder of its name in what is prepared, which must not be hidden.
        let name = word.trim_start_matches('.');
        if Part::of(word).is_some() {
            is_beside_part = true;
        } else if !(name.is_empty() || is_beside_part && is_number(word)) {
            return name.to_owned();
        }
    }
    String::new()
}

/// Whether this is the resolution of 3D-ShapeNets, or a class of that name, and no number of ShapeNetCore's classes.
fn is_number(word: &str) -> bool {
    word.len() <= 3 && word.parse::<u64>().is_ok()
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

impl Shape {
    /// The name that all orientations of one model have in common: 3D-ShapeNets has `chair_000000182_1.mat` to
    /// `chair_000000182_12.mat`. Elsewhere the name of the shape.
    pub fn model(&self) -> PathBuf {
        let path = Path::new(&self.name);
        let Some(name) = path.file_name().and_then(|name| name.to_str()) else {
            return path.to_owned();
        };
        let (stem, ending) = name.split_once('.').unwrap_or((name, ""));
        let is_digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        let model = stem.rsplit_once('_').filter(|(model, orientation)| {
            let is_orientation = is_digits(orientation)
                && !orientation.starts_with('0')
                && matches!(orientation.parse(), Ok(1..=12));
            is_orientation
                && model
                    .rsplit_once('_')
                    .is_some_and(|(_, number)| is_digits(number))
        });
        match model {
            Some((model, _)) => path.with_file_name(format!("{model}.{ending}")),
            None => path.to_owned(),
        }
    }
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
    /// What lies beside them and is not looked at: see [`Found::left_out`].
    pub left_out: BTreeMap<String, usize>,
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
        Self::read_within(place, reading, MEMORY_BYTES)
    }

    fn read_within(place: &Path, reading: &Reading<'_>, most_bytes: u64) -> Result<Self> {
        let Found {
            mut entries,
            left_out,
        } = find(place)?;
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
        let budget = files::Budget::new(most_bytes);
        let read = in_parallel(&entries, |entry| {
            files::read_within(&entry.path, &reading.files, &budget)
        });
        if budget.is_spent() {
            return Err(failure(
                Kind::Data,
                format!(
                    "the shapes of {} take more than {:.3} GB: make them smaller with `gan3d data prepare --size 64`, a \
                     part of them at a time",
                    place.display(),
                    most_bytes as f64 / f64::from(1 << 30)
                ),
            ));
        }
        let mut found = Self {
            classes,
            left_out,
            ..Self::default()
        };
        for (entry, read) in entries.iter().zip(read) {
            let all = match read {
                Ok(all) => all,
                Err(error) => {
                    found.broken.push(format!("{error:#}"));
                    continue;
                }
            };
            let class = found.classes.iter().position(|class| *class == entry.class);
            let name = match entry.path.strip_prefix(place) {
                Ok(name) if !name.as_os_str().is_empty() => name,
                _ => Path::new(entry.path.file_name().unwrap_or_default()),
            };
            found.files += 1;
            let is_one = all.len() == 1;
            for (number, voxels) in all.into_iter().enumerate() {
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
            let told = found.entries.into_iter().map(|entry| {
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

    /// The class and part of each file, in path order.
    fn told_of(place: &Path) -> Vec<(String, Part)> {
        let found = find(place).unwrap().entries.into_iter();
        found.map(|entry| (entry.class, entry.part)).collect()
    }

    fn of(classes: &[(&str, Part)]) -> Vec<(String, Part)> {
        let owned = classes
            .iter()
            .map(|(class, part)| ((*class).to_owned(), *part));
        owned.collect()
    }

    #[test]
    fn numbers_are_resolutions_beside_parts_and_classes_elsewhere() {
        use Part::{Test, Train};
        let folder = tempfile::tempdir().unwrap();
        for name in [
            "plain/0/1.mat",
            "plain/1/2.mat",
            "parts/0/test/1.mat",
            "parts/0/train/1.mat",
            "parts/1/train/1.mat",
            "below/train/0/1.mat",
            "below/train/1/1.mat",
            "chair/30/train/1.mat",
            "table/train/30/1.mat",
        ] {
            write(folder.path(), name);
        }
        let told = |place: &str| told_of(&folder.path().join(place));
        let two = of(&[("0", Train), ("1", Train)]);
        assert_eq!(told("plain"), two);
        let parts = of(&[("0", Test), ("0", Train), ("1", Train)]);
        assert_eq!(told("parts"), parts);
        assert_eq!(told("below"), two);
        assert_eq!(told("below/train"), two);
        for place in ["chair", "chair/30", "chair/30/train"] {
            assert_eq!(told(place), of(&[("chair", Train)]), "{place}");
        }
        for place in ["table", "table/train", "table/train/30"] {
            let expected = if place.ends_with("30") { "30" } else { "table" };
            assert_eq!(told(place), of(&[(expected, Train)]), "{place}");
        }
    }

    #[test]
    fn a_wrapping_folder_is_no_class_and_a_part_further_out_no_part() {
        use Part::{Test, Train};
        let folder = tempfile::tempdir().unwrap();
        for name in [
            "test/all/shapes/chair/1.mat",
            "test/all/shapes/table/1.mat",
            "cased/chair/Test/1.mat",
            "cased/chair/Train/1.mat",
            "core/02691156/abc/models/model_normalized.binvox.mat",
            "core/02691156/def/model.mat",
            "core/03001627/abc/models/x.mat",
            ".hidden/1.mat",
        ] {
            write(folder.path(), name);
        }
        let told = |place: &str| told_of(&folder.path().join(place));
        let two = of(&[("chair", Train), ("table", Train)]);
        assert_eq!(told("test/all"), two);
        assert_eq!(told("test/all/shapes"), two);
        assert_eq!(told("test/all/shapes/chair"), two[..1]);
        let tests = of(&[("chair", Test), ("table", Test)]);
        assert_eq!(told("test"), tests, "the folder itself is a part");
        let cased = of(&[("chair", Test), ("chair", Train)]);
        assert_eq!(told("cased"), cased);
        assert_eq!(told("cased/chair/Test"), cased[..1]);
        let classes = [
            ("02691156", Train),
            ("02691156", Train),
            ("03001627", Train),
        ];
        assert_eq!(told("core"), of(&classes));
        assert_eq!(told(".hidden"), of(&[("hidden", Train)]));
    }

    #[test]
    fn orientations_of_a_model_have_one_name() {
        let model = |name: &str| {
            let shape = Shape {
                voxels: Voxels::new([1; 3]),
                class: 0,
                name: name.to_owned(),
            };
            shape.model().to_string_lossy().into_owned()
        };
        for orientation in 1..=12 {
            let name = format!("chair/30/train/chair_000000182_{orientation}.mat");
            assert_eq!(model(&name), "chair/30/train/chair_000000182.mat");
        }
        for name in [
            "chair/chair_000000182_13.mat",
            "chair/chair_000000182_0.mat",
            "chair/chair_000000182_01.mat",
            "chair/chair_0001.off",
            "chair_5.off",
            "shapes.npz[3]",
            "a",
            "",
        ] {
            assert_eq!(model(name), name);
        }
    }

    #[test]
    fn what_is_left_out_is_told() {
        let folder = tempfile::tempdir().unwrap();
        write(folder.path(), "chair/1.mat");
        for name in ["notes.txt", "chair/a.glb", "chair/b.GLB", "c.mtl"] {
            std::fs::write(folder.path().join(name), "x").unwrap();
        }
        let left_out = find(folder.path()).unwrap().left_out;
        assert_eq!(left_out.values().sum::<usize>(), 4);
        let said = overlooked(&left_out).unwrap();
        assert!(
            said.contains("(files ending in .glb: 2)") && !said.contains('\n'),
            "{said}"
        );
        assert_eq!(overlooked(&BTreeMap::new()), None);
        let links = BTreeMap::from([("links to folders".to_owned(), 1)]);
        assert!(overlooked(&links).unwrap().contains("links to folders: 1"));
    }

    #[test]
    fn reading_stops_where_shapes_take_too_much() {
        let folder = tempfile::tempdir().unwrap();
        for number in 0..6 {
            write(folder.path(), &format!("chair/{number}.mat"));
        }
        std::fs::write(folder.path().join("chair/broken.mat"), "<html>").unwrap();
        let reading = Reading {
            part: Part::Train,
            class: "",
            files: files::Reading::default(),
        };
        let all = 6 * Voxels::bytes_of([4; 3]);
        let found = Shapes::read_within(folder.path(), &reading, all).unwrap();
        assert_eq!((found.shapes.len(), found.broken.len()), (6, 1));
        let said = Shapes::read_within(folder.path(), &reading, all - 1)
            .unwrap_err()
            .to_string();
        assert!(said.contains("take more than 0.000 GB"), "{said}");
        // A file alone has a name, too.
        let one = Shapes::read_all(&folder.path().join("chair/3.mat"), &reading).unwrap();
        assert_eq!(one.shapes[0].name, "3.mat");
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
