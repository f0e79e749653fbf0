use super::*;
use gan_core::failure::exit_code;

/// Drawn birds in files, at the size of a first stage of 32 pixels.
fn written(folder: &Path, count: usize) -> (Config, Birds) {
    procedural::write(folder, count).unwrap();
    let mut config = Config {
        image_size: 32,
        crop: false,
        captions: 3,
        text_dim: 5,
        ..Config::default()
    };
    config.training.data = folder.display().to_string();
    config.training.batch_size = 6;
    let birds = Birds::open(&config, cub::Part::Train, 32).unwrap();
    (config, birds)
}

/// An embedding of each caption that tells bird and caption.
fn numbered(birds: &Birds) -> Texts {
    let mut texts = Texts::new(5);
    for (bird, captions) in birds.captions.iter().enumerate() {
        let rows: Vec<Vec<f32>> = (0..captions.len())
            .map(|caption| vec![bird as f32, caption as f32, 1.0, 0.0, 0.0])
            .collect();
        texts.push(rows.iter().map(Vec::as_slice));
    }
    texts
}

#[test]
fn batches_are_a_function_of_their_number_and_pair_what_belongs_together() {
    let folder = tempfile::tempdir().unwrap();
    let (config, birds) = written(folder.path(), 40);
    assert_eq!((birds.len(), birds.captions.len()), (32, 32));
    let texts = numbered(&birds);
    let birds = Arc::new(birds);
    let data = Data::new(birds.clone(), Arc::new(texts), &config, false).unwrap();
    assert_eq!(data.len(), 5);
    let batch = data.batch(2, 3).unwrap();
    assert_eq!(batch, data.batch(2, 3).unwrap());
    assert_ne!(batch, data.batch(3, 3).unwrap());
    assert_eq!(batch.pixels.len(), 6 * 3 * 32 * 32);
    assert_eq!(batch.wrong.len(), batch.pixels.len());
    assert!(batch.pixels.iter().all(|value| value.abs() <= 1.0));
    for (text, caption) in batch.text.chunks_exact(5).zip(&batch.captions) {
        // The mean of three captions of one bird, in whose list the caption is.
        let bird = text[0] as usize;
        assert!((text[0] - bird as f32).abs() < 1e-5 && (text[2] - 1.0).abs() < 1e-6);
        assert!(birds.captions[bird].contains(caption), "{caption}");
    }
    // Over an epoch every bird is seen at most once.
    let mut seen: Vec<usize> = (0..5)
        .flat_map(|index| data.batch(0, index).unwrap().text)
        .collect::<Vec<f32>>()
        .chunks_exact(5)
        .map(|text| text[0].round() as usize)
        .collect();
    seen.sort_unstable();
    seen.dedup();
    assert_eq!(seen.len(), 30);
    // The authors' other program has no wrong pictures.
    let config = Config {
        variant: crate::config::Variant::Pytorch,
        ..config
    };
    let texts = Arc::new(numbered(&birds));
    let data = Data::new(birds, texts, &config, false).unwrap();
    assert!(data.batch(0, 0).unwrap().wrong.is_empty());
}

#[test]
fn wrong_pictures_and_neighbours_are_of_other_classes() {
    let folder = tempfile::tempdir().unwrap();
    let (config, birds) = written(folder.path(), 60);
    let texts = Arc::new(numbered(&birds));
    let birds = Arc::new(birds);
    let data = Data::new(birds.clone(), texts, &config, false).unwrap();
    let reading = Reading::new(birds.clone(), &config).unwrap();
    let mut stream = Stream::new(1, "test", 0);
    let mut near = 0;
    for index in 0..birds.len() as u32 {
        let class = birds.classes[index as usize];
        assert_ne!(data.wrong(class, &mut stream).unwrap().class, class);
        let other = reading.neighbour(index, &mut stream);
        assert_ne!(birds.classes[other as usize], class);
        let away = reading.ranks[other as usize].abs_diff(reading.ranks[index as usize]);
        near += usize::from(away <= NEAR as u32 + 4);
    }
    // All but those that go round the end of the list.
    assert!(near + NEAR >= birds.len(), "{near}");
    let batch = reading.batch(0, 0).unwrap();
    assert_eq!(batch, reading.batch(0, 0).unwrap());
    assert_eq!(batch.classes.len(), 6);
    for pair in batch.classes.chunks_exact(2) {
        assert_ne!(pair[0], pair[1]);
    }
    for (one, two) in batch.letters[0].iter().zip(&batch.letters[1]) {
        assert_ne!(one, two, "two captions of a picture");
    }
}

#[test]
fn a_picture_is_cut_where_it_is_asked_to_be() {
    let folder = tempfile::tempdir().unwrap();
    let (_, mut birds) = written(folder.path(), 20);
    (birds.load, birds.side) = (4, 2);
    let sample = Sample {
        pixels: (0..48).collect(),
        class: 0,
        place: 0,
    };
    let unit = |bytes: [u8; 4]| bytes.map(to_unit);
    let mut values = Vec::new();
    birds.cut(&sample, [1, 2], false, &mut values);
    assert_eq!(values[..4], unit([9, 10, 13, 14]));
    assert_eq!(values[4..8], unit([25, 26, 29, 30]));
    values.clear();
    birds.cut(&sample, [1, 2], true, &mut values);
    assert_eq!(values[..4], unit([10, 9, 14, 13]));
    assert_eq!(birds.middle(&sample)[..4], unit([5, 6, 9, 10]));
    // Around a box, as the paper cuts: half as much again, brought to a square.
    let picture = RgbImage::from_fn(40, 30, |x, _| image::Rgb([if x < 20 { 0 } else { 255 }; 3]));
    let whole = pixels(&picture, None, 4);
    assert_eq!((whole[0], whole[3]), (0, 255));
    let left = pixels(&picture, Some([2.0, 8.0, 8.0, 8.0]), 4);
    assert!(left.iter().all(|value| *value == 0), "{left:?}");
}

#[test]
fn one_class_alone_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let (config, mut birds) = written(folder.path(), 20);
    birds.classes.fill(3);
    let error = Reading::new(Arc::new(birds), &config).unwrap_err();
    assert_eq!(exit_code(&error), 3);
    assert!(error.to_string().contains("of class 3"), "{error}");
}

/// The part of CUB-200-2011 that lies under $GAN_DATA, where it is at hand.
#[test]
fn real_birds_are_read() {
    let Some(data) = std::env::var_os("GAN_DATA") else {
        return;
    };
    let mut config = Config {
        image_size: 32,
        ..Config::default()
    };
    let place = Path::new(&data).join("birds");
    config.training.data = place.display().to_string();
    let [train, test] =
        [cub::Part::Train, cub::Part::Test].map(|part| Birds::open(&config, part, 32).unwrap());
    assert_eq!((train.len(), test.len()), (120, 120));
    assert!(train.broken().is_empty() && !train.skipped.is_empty());
    let classes = |birds: &Birds| {
        birds
            .classes
            .iter()
            .copied()
            .collect::<std::collections::BTreeSet<_>>()
    };
    assert!(classes(&train).is_disjoint(&classes(&test)));
    assert!(train.captions.iter().all(|captions| captions.len() == 10));
}
