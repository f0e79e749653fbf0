use super::*;

fn config(folder: &Path) -> Config {
    let mut config = Config {
        image_size: 32,
        flip: true,
        ..Config::default()
    };
    config.training.data = folder.display().to_string();
    config.training.batch_size = 5;
    config
}

#[test]
fn the_stand_in_written_is_the_stand_in_read() {
    let folder = tempfile::tempdir().unwrap();
    procedural::write(folder.path(), 180).unwrap();
    let listing = listing(folder.path(), 1.0).unwrap();
    assert_eq!((listing.files.len(), listing.skipped.total()), (180, 0));
    let config = config(folder.path());
    let train = Faces::open(&config, Part::Train).unwrap();
    let held = Faces::open(&config, Part::Held).unwrap();
    assert_eq!(train.len() + held.len(), 180);
    assert!(
        !held.is_empty() && train.len() > 2 * held.len(),
        "{}",
        held.len()
    );
    // Whole persons: six pictures, a class each.
    for faces in [&train, &held] {
        let samples = faces.some(1000).unwrap();
        let mut classes: BTreeMap<u32, Vec<u8>> = BTreeMap::new();
        for sample in samples {
            classes
                .entry(sample.person.unwrap())
                .or_default()
                .push(sample.class);
        }
        for mut of_person in classes.into_values() {
            of_person.sort_unstable();
            assert_eq!(of_person, [0, 1, 2, 3, 4, 5]);
        }
    }
}

#[test]
fn a_file_that_cannot_be_read_takes_its_label_with_it() {
    let folder = tempfile::tempdir().unwrap();
    procedural::write(folder.path(), 120).unwrap();
    let config = config(folder.path());
    let whole = Faces::open(&config, Part::Train).unwrap();
    let mut names: Vec<PathBuf> = listing(folder.path(), 1.0)
        .unwrap()
        .files
        .into_iter()
        .map(|(path, _)| path)
        .collect();
    names.sort();
    std::fs::write(&names[3], "<html>").unwrap();
    let rest = Faces::open(&config, Part::Train).unwrap();
    assert_eq!((rest.len() + 1, rest.broken().len()), (whole.len(), 1));
    let find = |faces: &Faces| -> BTreeMap<Vec<u8>, (u8, Option<u32>)> {
        let samples = faces.some(1000).unwrap().into_iter();
        samples
            .map(|sample| (sample.pixels, (sample.class, sample.person)))
            .collect()
    };
    let (whole, rest) = (find(&whole), find(&rest));
    let alike = rest
        .iter()
        .filter(|(pixels, (class, _))| whole.get(*pixels).is_some_and(|found| found.0 == *class))
        .count();
    assert_eq!(alike, rest.len());
}

#[test]
fn batches_are_a_pure_function_with_each_picture_once_an_epoch() {
    let folder = tempfile::tempdir().unwrap();
    procedural::write(folder.path(), 60).unwrap();
    let config = config(folder.path());
    let (data, again) = (Data::open(&config).unwrap(), Data::open(&config).unwrap());
    assert_eq!(data.fingerprint(), again.fingerprint());
    let mut classes = vec![0; 6];
    for index in 0..data.len() {
        let batch = data.batch(3, index).unwrap();
        assert_eq!(batch, again.batch(3, index).unwrap());
        assert_eq!(batch.pixels.len(), 5 * config.pixels());
        assert!(
            batch
                .pixels
                .iter()
                .all(|value| (-1.0..=1.0).contains(value))
        );
        for class in batch.classes {
            classes[usize::from(class)] += 1;
        }
    }
    assert_eq!(classes.iter().sum::<usize>(), 5 * data.len());
    assert!(classes.iter().all(|count| *count > 0), "{classes:?}");
    assert_ne!(data.batch(3, 0).unwrap(), data.batch(4, 0).unwrap());
}

#[test]
fn a_folder_without_ages_says_what_was_expected() {
    let folder = tempfile::tempdir().unwrap();
    RgbImage::new(8, 8)
        .save(folder.path().join("me.png"))
        .unwrap();
    let error = Faces::open(&config(folder.path()), Part::Train).unwrap_err();
    assert_eq!(gan_core::failure::exit_code(&error), 3);
    let text = error.to_string();
    assert!(
        text.contains("me.png") && text.contains("UTKFace"),
        "{text}"
    );
}

#[test]
fn mnist_has_parts_of_its_own_and_digits_as_classes() {
    let folder = tempfile::tempdir().unwrap();
    for (prefix, count) in [("train", 20), ("t10k", 10)] {
        let pictures = idx::Pictures {
            pixels: vec![7; count * 28 * 28],
            labels: (0..count).map(|index| (index % 10) as u8).collect(),
            height: 28,
            width: 28,
        };
        pictures.write(folder.path(), prefix).unwrap();
    }
    let config = Config {
        dataset: Dataset::Mnist,
        channels: 1,
        ..config(folder.path())
    };
    let held = Faces::open(&config, Part::Held).unwrap().some(100).unwrap();
    assert_eq!(held.len(), 10);
    assert!(
        held.iter()
            .all(|sample| f32::from(sample.class) == sample.age)
    );
    assert_eq!(Faces::open(&config, Part::Train).unwrap().len(), 20);
    let none = Config {
        dataset: Dataset::Mnist,
        ..Config::default()
    };
    let error = Faces::open(&none, Part::Train).unwrap_err();
    assert_eq!(gan_core::failure::exit_code(&error), 2);
}
