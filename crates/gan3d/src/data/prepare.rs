//! `data prepare`: files of any kind as one file of bits a class and part.
//!
//! ```sh
//! gan3d data prepare -i volumetric_data.tar.gz -o chairs --size 64
//! gan3d data prepare -i ModelNet10 -o furniture --size 32 --turns 12 --split 0.9
//! ```
//!
//! `furniture/<class>/train/shapes.npz` holds `packed`, `[n, size, size, size / 8]` bytes: 10,668 shapes of 64 voxels a
//! side are 350 MB in memory and a few MB on the disk, and are read in seconds.

use anyhow::Result;
use gan_core::archive::{self, Limits};
use gan_core::console::Console;
use gan_core::dataset::{PreparedPairs, ShapePreparation, Up, keep_procedural_mark};
use gan_core::failure::{Kind, at_path, failure};
use gan_core::folder::{NewFolder, place_of};
use gan_core::samples::in_parallel;
use shapes::dataset::{Part, Reading, Shapes, overlooked};
use shapes::files;
use shapes::fit::fitted;
use shapes::voxels::Voxels;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// The folders of the parts.
const PARTS: [&str; 2] = ["train", "test"];

/// Brings shapes to one size, turned, in files of bits.
///
/// # Errors
/// [`Kind::Usage`] for a wrong output folder, [`Kind::Data`] when too much cannot be read, [`Kind::Disk`]. Nothing
/// stays behind then.
pub(super) fn prepare(
    preparation: &ShapePreparation,
    console: &mut Console,
) -> Result<PreparedPairs> {
    let new = NewFolder::outside(&preparation.input, &preparation.output)?;
    // No class has a folder whose name begins with a dot. What the archive's own folders leave open is named after it.
    let scratch = new.path().join(".unpacked");
    let unpacked = scratch.join("shapes").join(stem_of(&preparation.input));
    let input = if archive::is_archive(&preparation.input) {
        let limits = Limits::default();
        archive::extract(&preparation.input, &unpacked, &limits, &mut |_, _| ())?;
        &unpacked
    } else {
        &preparation.input
    };
    let mut prepared = PreparedPairs::default();
    let mut sorted: BTreeMap<(String, usize), Vec<Voxels>> = BTreeMap::new();
    let files = shapes::dataset::find(input)?;
    if let Some(line) = overlooked(&files.left_out) {
        console.warn(&line);
    }
    let parts: BTreeSet<_> = files.entries.iter().map(|entry| entry.part).collect();
    for (own, part) in [Part::Train, Part::Test].into_iter().enumerate() {
        if !parts.contains(&part) {
            continue;
        }
        let reading = Reading {
            part,
            class: "",
            files: files::Reading {
                side: preparation.size as usize,
                up: match preparation.up {
                    Up::Z => files::Up::Z,
                    Up::Y => files::Up::Y,
                },
                ..files::Reading::default()
            },
        };
        let found = Shapes::open(input, &reading)?;
        prepared.left_out.extend(found.broken);
        let whole = in_parallel(&found.shapes, |shape| turned(&shape.voxels, preparation));
        for (shape, all) in found.shapes.iter().zip(whole) {
            let part = match preparation.split {
                Some(share) => usize::from(place_of(&shape.model()) >= share),
                None => own,
            };
            let class = found.classes[shape.class].clone();
            sorted.entry((class, part)).or_default().extend(all);
        }
    }
    let mut counts = [0; 2];
    for ((class, part), shapes) in &sorted {
        let place = new.path().join(class).join(PARTS[*part]);
        std::fs::create_dir_all(&place)
            .map_err(|error| at_path(Kind::Disk, "create", &place, &error))?;
        shapes::arrays::write_packed(&place.join("shapes.npz"), shapes)?;
        console.say(&format!("{class}: {} in {}", shapes.len(), PARTS[*part]));
        counts[*part] += shapes.len();
    }
    keep_procedural_mark(input, new.path())?;
    if scratch.is_dir() {
        std::fs::remove_dir_all(&scratch)
            .map_err(|error| at_path(Kind::Disk, "remove", &scratch, &error))?;
    }
    if counts == [0; 2] {
        return Err(failure(
            Kind::Data,
            format!("no shape of {} could be read", preparation.input.display()),
        ));
    }
    for (part, count) in PARTS.into_iter().zip(counts) {
        if count > 0 {
            prepared.parts.push((part.to_owned(), count));
        }
    }
    prepared.suggestion = format!("--resolution {}", preparation.size);
    new.publish()?;
    Ok(prepared)
}

/// The name of an archive without its ending, and without what would hide it.
fn stem_of(archive: &Path) -> String {
    let name = archive.file_name().unwrap_or_default().to_string_lossy();
    let lower = name.to_ascii_lowercase();
    let ending = [".tar.gz", ".tgz", ".tar", ".zip"]
        .into_iter()
        .find(|ending| lower.ends_with(ending));
    let stem = &name[..name.len() - ending.map_or(0, str::len)];
    match stem.trim_start_matches('.') {
        "" => "shapes".to_owned(),
        // The names of scratch folders are longer.
        stem => stem.chars().take(100).collect(),
    }
}

/// A shape in all its orientations, each as a cube.
fn turned(voxels: &Voxels, preparation: &ShapePreparation) -> Vec<Voxels> {
    (0..preparation.turns)
        .map(|turn| {
            let degrees = 360.0 * f64::from(turn) / f64::from(preparation.turns);
            let voxels = if turn == 0 {
                voxels.clone()
            } else {
                voxels.turned(degrees)
            };
            fitted(&voxels, preparation.size as usize)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use gan_core::console::Voice;
    use shapes::volumetric;
    use std::io::Write;
    use std::path::PathBuf;

    fn preparation(input: &Path, output: PathBuf) -> ShapePreparation {
        ShapePreparation {
            input: input.to_owned(),
            output,
            size: 32,
            turns: 1,
            up: Up::Z,
            split: None,
        }
    }

    fn run(preparation: &ShapePreparation) -> Result<PreparedPairs> {
        prepare(preparation, &mut Console::new(Voice::Quiet))
    }

    #[test]
    fn classes_and_parts_stay_and_turns_are_added() {
        let folder = tempfile::tempdir().unwrap();
        let input = folder.path().join("in");
        for (place, x) in [
            ("chair/30/train", 5),
            ("chair/30/test", 9),
            ("table/train", 12),
        ] {
            let place = input.join(place);
            std::fs::create_dir_all(&place).unwrap();
            let voxels = Voxels::from_fn([30; 3], |at| at[0] < x && at[1] < 4);
            volumetric::write(&voxels, &place.join("a.mat")).unwrap();
        }
        let output = folder.path().join("out");
        let mut preparation = preparation(&input, output.clone());
        preparation.turns = 4;
        let prepared = run(&preparation).unwrap();
        assert_eq!(
            prepared.parts,
            [("train".to_owned(), 8), ("test".to_owned(), 4)]
        );
        assert_eq!(prepared.suggestion, "--resolution 32");
        let open = |part| {
            let reading = Reading {
                part,
                class: "",
                files: files::Reading::default(),
            };
            Shapes::open(&output, &reading).unwrap()
        };
        let train = open(Part::Train);
        assert_eq!(train.classes, ["chair", "table"]);
        let counts: Vec<_> = train
            .shapes
            .iter()
            .map(|shape| (shape.class, shape.voxels.count()))
            .collect();
        assert_eq!(counts[..4], [(0, 5 * 4 * 30); 4]);
        assert_eq!(counts[4..], [(1, 12 * 4 * 30); 4]);
        assert_ne!(train.shapes[0].voxels, train.shapes[1].voxels);
        assert_eq!(open(Part::Test).shapes[0].voxels.count(), 9 * 4 * 30);
        // Not into a folder that holds something.
        assert!(run(&preparation).is_err());
    }

    #[test]
    fn a_split_follows_from_names_and_a_mesh_becomes_solid() {
        let folder = tempfile::tempdir().unwrap();
        let input = folder.path().join("in");
        std::fs::create_dir_all(&input).unwrap();
        let cube = "OFF\n8 6 0\n0 0 0\n1 0 0\n1 1 0\n0 1 0\n0 0 2\n1 0 2\n1 1 2\n0 1 2\n4 0 3 2 1\n4 4 5 6 7\n\
                    4 0 1 5 4\n4 1 2 6 5\n4 2 3 7 6\n4 3 0 4 7\n";
        for number in 0..20 {
            std::fs::write(input.join(format!("{number}.off")), cube).unwrap();
        }
        let output = folder.path().join("out");
        let mut preparation = preparation(&input, output.clone());
        preparation.split = Some(0.5);
        let prepared = run(&preparation).unwrap();
        let counts: Vec<usize> = prepared.parts.iter().map(|(_, count)| *count).collect();
        assert!(
            counts.iter().sum::<usize>() == 20 && counts.len() == 2,
            "{counts:?}"
        );
        let first = files::read_voxels(&output.join("in/train/shapes.npz"), 0.5).unwrap();
        // 26 of 32 voxels high, half as wide and deep, and what lies on the border.
        let count = first[0].count();
        assert!((13 * 13 * 26..=15 * 15 * 28).contains(&count), "{count}");
        let said = run(&ShapePreparation {
            input: folder.path().join("none"),
            output: folder.path().join("other"),
            ..preparation
        });
        assert!(said.is_err() && !folder.path().join("other").exists());
    }

    /// A zip file of shapes with these names.
    fn zipped(path: &Path, names: &[&str]) {
        let mut archive = zip::ZipWriter::new(std::fs::File::create(path).unwrap());
        let mat = path.with_extension("mat");
        volumetric::write(&Voxels::from_fn([30; 3], |at| at[0] < 5), &mat).unwrap();
        let bytes = std::fs::read(&mat).unwrap();
        std::fs::remove_file(mat).unwrap();
        for name in names {
            let options = zip::write::SimpleFileOptions::default();
            archive.start_file(*name, options).unwrap();
            archive.write_all(&bytes).unwrap();
        }
        archive.finish().unwrap();
    }

    /// What a folder holds, as (class, part, shapes).
    fn listed(folder: &Path) -> Vec<(String, Part, usize)> {
        let mut all = Vec::new();
        for entry in shapes::dataset::find(folder).unwrap().entries {
            let shapes = files::read_voxels(&entry.path, 0.5).unwrap();
            all.push((entry.class, entry.part, shapes.len()));
        }
        all
    }

    #[test]
    fn an_archive_without_classes_is_one_with_its_name() {
        let folder = tempfile::tempdir().unwrap();
        let place = |name: &str| folder.path().join(name);
        let flat = ["1.mat", "2.mat"];
        let parts = ["train/1.mat", "train/2.mat", "test/3.mat"];
        let train = |class: &str, count| (class.to_owned(), Part::Train, count);
        let test = |class: &str, count| (class.to_owned(), Part::Test, count);
        for (name, names, expected) in [
            ("flat.zip", &flat[..], vec![train("flat", 2)]),
            (".hid.ZIP", &flat[..], vec![train("hid", 2)]),
            (".zip", &flat[..], vec![train("shapes", 2)]),
            ("test.zip", &flat[..], vec![test("shapes", 2)]),
            (
                "stools.zip",
                &parts[..],
                vec![test("stools", 1), train("stools", 2)],
            ),
            (
                "30.zip",
                &parts[..],
                vec![test("shapes", 1), train("shapes", 2)],
            ),
        ] {
            zipped(&place(name), names);
            let output = place(&format!("{name}-out"));
            let prepared = run(&preparation(&place(name), output.clone())).unwrap();
            let told: usize = prepared.parts.iter().map(|(_, count)| count).sum();
            assert_eq!((told, listed(&output)), (names.len(), expected), "{name}");
            let inside = std::fs::read_dir(&output).unwrap();
            assert_eq!(inside.count(), 1, "{name}: nothing but the class");
        }
        // A hidden folder is no class that would be passed over.
        let hidden = place(".hidden");
        std::fs::create_dir(&hidden).unwrap();
        volumetric::write(&Voxels::new([30; 3]), &hidden.join("1.mat")).unwrap();
        run(&preparation(&hidden, place("shown"))).unwrap();
        assert_eq!(listed(&place("shown")), [train("hidden", 1)]);
    }

    #[test]
    fn orientations_of_a_model_stay_on_one_side() {
        let folder = tempfile::tempdir().unwrap();
        let input = folder.path().join("chair");
        std::fs::create_dir(&input).unwrap();
        for model in 0..8usize {
            let voxels = Voxels::from_fn([30; 3], |at| at[0] <= model);
            for orientation in 1..=12 {
                let name = format!("chair_{model:09}_{orientation}.mat");
                volumetric::write(&voxels, &input.join(name)).unwrap();
            }
        }
        let output = folder.path().join("out");
        let mut preparation = preparation(&input, output.clone());
        preparation.split = Some(0.5);
        run(&preparation).unwrap();
        let models = |part: &str| -> BTreeSet<usize> {
            let path = output.join(format!("chair/{part}/shapes.npz"));
            let shapes = files::read_voxels(&path, 0.5).unwrap();
            shapes.iter().map(Voxels::count).collect()
        };
        let (train, test) = (models("train"), models("test"));
        assert_eq!(train.len() + test.len(), 8);
        assert!(train.is_disjoint(&test));
    }

    /// The archive, where there is one.
    #[test]
    fn an_archive_is_unpacked_on_the_way() {
        let Some(data) = std::env::var_os("GAN_DATA") else {
            return;
        };
        let input = Path::new(&data).join("3d/volumetric_data_chair_30_full.tar.gz");
        if !input.is_file() {
            return;
        }
        let folder = tempfile::tempdir().unwrap();
        let output = folder.path().join("out");
        let prepared = run(&preparation(&input, output.clone())).unwrap();
        assert_eq!(
            prepared.parts,
            [("train".to_owned(), 10_668), ("test".to_owned(), 1200)]
        );
        let names: Vec<_> = std::fs::read_dir(&output)
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .collect();
        assert_eq!(names, ["chair"]);
    }
}
