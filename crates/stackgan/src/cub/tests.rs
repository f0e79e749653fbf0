use super::*;
use gan_core::failure::exit_code;
use gan_core::random::Stream;
use std::fs;

/// A made-up dataset.
struct Birds {
    folder: tempfile::TempDir,
}

const NAMES: [&str; 6] = [
    "001.Auk/Auk_1",
    "001.Auk/Auk_2",
    "002.Owl/Owl_1",
    "002.Owl/Owl_2",
    "003.Tit/Tit_1",
    "004.Jay/Jay_1",
];

impl Birds {
    /// Six birds of four classes, of whom nothing is missing; without lists of parts.
    fn new() -> Self {
        let birds = Self {
            folder: tempfile::tempdir().unwrap(),
        };
        let (mut images, mut boxes) = (String::new(), String::new());
        for (number, name) in (1..).zip(NAMES) {
            birds.write(&format!("CUB_200_2011/images/{name}.jpg"), "");
            birds.write(
                &format!("text_c10/{name}.txt"),
                format!("a bird\n\n  the {number}th \n"),
            );
            images += &format!("{number} {name}.jpg\n");
            boxes += &format!("{number} {number}.0 2.5 30.0 40.0\n");
        }
        birds.write("CUB_200_2011/images.txt", &images);
        birds.write("CUB_200_2011/bounding_boxes.txt", &boxes);
        birds
    }

    fn root(&self) -> &Path {
        self.folder.path()
    }

    fn at(&self, place: &str) -> PathBuf {
        let path = self.root().join(place);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        path
    }

    fn write(&self, place: &str, text: impl AsRef<[u8]>) {
        fs::write(self.at(place), text).unwrap();
    }

    fn list(&self, part: Part, names: &[&str]) {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let path = self.at(&format!("{}/filenames.pickle", part.name()));
        pickle::write_strings(&path, &names).unwrap();
    }

    fn train(&self) -> Found {
        read(self.root(), Part::Train, true).unwrap()
    }

    fn refused(&self) -> String {
        let error = read(self.root(), Part::Train, true).unwrap_err();
        assert_eq!(exit_code(&error), 3, "{error}");
        let root = self.root().display().to_string();
        let said = error.to_string();
        assert!(said.starts_with(&root), "{said}");
        said.replace(&root, "ROOT")
    }
}

fn keys(found: &Found) -> Vec<&str> {
    found.birds.iter().map(|bird| bird.key.as_str()).collect()
}

fn reasons(found: &Found) -> Vec<String> {
    found.skipped.lines()
}

#[test]
fn without_lists_classes_are_divided_as_the_authors_did_it() {
    let birds = Birds::new();
    let train = birds.train();
    assert_eq!(keys(&train), [NAMES[2], NAMES[3], NAMES[4]]);
    let test = read(birds.root(), Part::Test, false).unwrap();
    assert_eq!(keys(&test), [NAMES[0], NAMES[1], NAMES[5]]);
    assert_eq!(
        train.birds[1],
        Bird {
            key: NAMES[3].to_owned(),
            class: 2,
            path: birds.at("CUB_200_2011/images/002.Owl/Owl_2.jpg"),
            bounding_box: Some([4.0, 2.5, 30.0, 40.0]),
            captions: vec!["a bird".to_owned(), "the 4th".to_owned()],
            embedding: None,
        }
    );
    assert!(train.embeddings.is_none() && !train.has_embeddings && train.notes.is_empty());
    assert_eq!((train.skipped.total(), test.skipped.total()), (0, 0));
    let tests = (1..=200).filter(|class| Part::of(*class) == Part::Test);
    assert_eq!(tests.count(), 50);
    assert_eq!((Part::of(201), Part::of(204)), (Part::Train, Part::Test));
}

#[test]
fn lists_of_parts_with_classes_and_embeddings() {
    let birds = Birds::new();
    birds.list(Part::Train, &[NAMES[5], NAMES[0], NAMES[2]]);
    birds.list(Part::Test, &[NAMES[4]]);
    pickle::write_integers(&birds.at("train/class_info.pickle"), &[4, 1, 2]).unwrap();
    let values: Vec<f32> = (0..12).map(|value| value as f32).collect();
    let place = birds.at("train/char-CNN-RNN-embeddings.pickle");
    pickle::write_embeddings(&place, [3, 2, 2], &values).unwrap();
    fs::remove_file(birds.at(&format!("text_c10/{}.txt", NAMES[0]))).unwrap();
    let found = birds.train();
    assert_eq!(keys(&found), [NAMES[5], NAMES[2]]);
    let rows: Vec<_> = found.birds.iter().map(|bird| bird.embedding).collect();
    assert_eq!(rows, [Some(0), Some(2)]);
    assert_eq!(found.embeddings.unwrap().caption(2, 1), [10.0, 11.0]);
    assert!(found.has_embeddings);
    let unread = read(birds.root(), Part::Train, false).unwrap();
    assert!(unread.has_embeddings && unread.embeddings.is_none());
    assert_eq!(unread.birds[0].embedding, None);
    let test = read(birds.root(), Part::Test, true).unwrap();
    assert_eq!(keys(&test), [NAMES[4]]);
    assert!(!test.has_embeddings && test.embeddings.is_none());

    pickle::write_embeddings(&place, [2, 3, 2], &values).unwrap();
    assert_eq!(
        birds.refused(),
        "ROOT/train/char-CNN-RNN-embeddings.pickle: embeddings of 2 pictures, and filenames.pickle has 3 names: which \
         belong together cannot be told; get both files again from one place"
    );
    assert!(read(birds.root(), Part::Train, false).is_ok());
    fs::remove_file(&place).unwrap();
    pickle::write_integers(&birds.at("train/class_info.pickle"), &[4, 1]).unwrap();
    assert_eq!(
        birds.refused(),
        "ROOT/train/class_info.pickle: 2 classes of the 3 names in filenames.pickle; get both files again, or remove \
         this one and classes are told by the folders' names"
    );
    pickle::write_integers(&birds.at("train/class_info.pickle"), &[4, 1, 2, 2]).unwrap();
    let found = birds.train();
    assert_eq!((found.birds.len(), found.notes.len()), (2, 1));
    assert!(
        found.notes[0].ends_with(
            "4 classes of the 3 names in filenames.pickle: classes are told by the folders' names"
        ),
        "{}",
        found.notes[0]
    );
    fs::remove_dir_all(birds.root().join("train")).unwrap();
    assert_eq!(
        birds.refused(),
        "ROOT: there is a test/filenames.pickle and no train/filenames.pickle; get both again, or remove both and the \
         classes are divided as the authors did it"
    );
}

#[test]
fn what_is_left_out_is_counted() {
    let birds = Birds::new();
    birds.list(
        Part::Train,
        &[
            NAMES[0],
            NAMES[0],
            NAMES[1],
            NAMES[2],
            NAMES[3],
            NAMES[4],
            NAMES[5],
            "002.Owl/Owl_9",
            "../secret",
            "Wren/Wren_1",
        ],
    );
    birds.list(Part::Test, &[]);
    let without = |place: String| fs::remove_file(birds.root().join(place)).unwrap();
    without(format!("CUB_200_2011/images/{}.jpg", NAMES[1]));
    without(format!("text_c10/{}.txt", NAMES[2]));
    birds.write(&format!("text_c10/{}.txt", NAMES[3]), " \n\u{fffd}\r\n");
    birds.write(
        "CUB_200_2011/bounding_boxes.txt",
        "1 0.0 0.0 3.0 4.0\n2 0 0 1 1\n3 0 0 1 1\n4 0 0 1 1\n6 1 1 0 5\n7 0 0 NaN 5\n",
    );
    let images: String = (1..)
        .zip(NAMES)
        .map(|(number, name)| format!("{number} {name}.jpg\n"))
        .collect();
    let more = "7 Wren/Wren_1.jpg\n1 002.Owl/Owl_7.jpg\n8 001.Auk/Auk_1.jpg\n9 ../../secret.jpg\n";
    birds.write("CUB_200_2011/images.txt", images + more);
    let found = birds.train();
    assert_eq!(keys(&found), [NAMES[0]]);
    assert_eq!(
        reasons(&found),
        [
            "1 with a bounding box of no area, the first: 004.Jay/Jay_1",
            "1 with a name that came before, the first: 001.Auk/Auk_1",
            "1 with a name that images.txt does not have, the first: 002.Owl/Owl_9",
            "2 with a path that leads out, the first: ../../secret.jpg",
            "2 with a picture or a number that images.txt has twice, the first: 002.Owl/Owl_7.jpg",
            "1 with a picture that is missing, the first: 001.Auk/Auk_2",
            "1 with no bounding box, the first: 003.Tit/Tit_1",
            "1 with no file of captions, the first: 002.Owl/Owl_1",
            "1 with no number of a class in front of the folder's name, the first: Wren/Wren_1",
            "1 with no words in its captions, the first: 002.Owl/Owl_2",
        ]
    );
    // The list tells the class of a folder that does not, and without the file there are no boxes.
    pickle::write_integers(&birds.at("train/class_info.pickle"), &[9; 10]).unwrap();
    birds.write("CUB_200_2011/images/Wren/Wren_1.jpg", "");
    birds.write("text_c10/Wren/Wren_1.txt", b"a  caf\xe9\twren\n");
    without("CUB_200_2011/bounding_boxes.txt".to_owned());
    let found = birds.train();
    assert_eq!(keys(&found), [NAMES[0], NAMES[4], NAMES[5], "Wren/Wren_1"]);
    let wren = &found.birds[3];
    assert_eq!((wren.class, wren.bounding_box), (9, None));
    assert_eq!(wren.captions, ["a caf\u{e9} wren"]);
    assert_eq!(found.birds[0].class, 1);
}

#[test]
fn folders_may_lie_otherwise() {
    let birds = Birds::new();
    birds.list(Part::Train, &[NAMES[1]]);
    birds.list(Part::Test, &[]);
    let found = |root: PathBuf| {
        let found = read(&root, Part::Train, true).unwrap();
        assert_eq!(keys(&found), [NAMES[1]], "{}", root.display());
    };
    let root = birds.root().to_owned();
    let moved = |from: &str, to: &str| {
        fs::create_dir_all(root.join(to).parent().unwrap()).unwrap();
        fs::rename(root.join(from), root.join(to)).unwrap();
    };
    found(root.clone());
    found(root.join("CUB_200_2011"));
    // The captions and lists in birds, beside.
    for part in ["text_c10", "train", "test"] {
        moved(part, &format!("birds/{part}"));
    }
    found(root.clone());
    found(root.join("CUB_200_2011"));
    // All of it in birds.
    moved("CUB_200_2011", "birds/CUB_200_2011");
    found(root.clone());
    found(root.join("birds"));
    found(root.join("birds/CUB_200_2011"));
    // The captions and lists inside.
    for part in ["text_c10", "train", "test"] {
        moved(
            &format!("birds/{part}"),
            &format!("birds/CUB_200_2011/{part}"),
        );
    }
    found(root.clone());
    found(root.join("birds/CUB_200_2011"));
}

#[test]
fn what_is_no_such_folder_says_what_is_expected() {
    let expected = "; expected CUB_200_2011/images.txt, CUB_200_2011/images/ and text_c10/, as StackGAN's authors have \
                    them; check the path, or unpack CUB_200_2011.tgz and birds.zip there";
    let birds = Birds::new();
    let line = |list: &str, text: &str| {
        let place = format!("CUB_200_2011/{list}.txt");
        let before = fs::read(birds.at(&place)).unwrap();
        birds.write(&place, text);
        let said = birds.refused();
        birds.write(&place, before);
        said
    };
    assert_eq!(
        line("images", "1 a/b.jpg\n\ntwo c/d.jpg\n"),
        "ROOT/CUB_200_2011/images.txt: line 3 is \"two c/d.jpg\", expected a line as `1 001.Albatross/Albatross_0001.jpg`; \
         get the file again"
    );
    assert!(line("images", "1").contains("line 1 is \"1\""));
    for text in ["1 2 3 4", "1 2 3 4 5 6", "1 2 3 4 x", "-1 2 3 4 5"] {
        let said = line("bounding_boxes", text);
        let expected = format!(
            "ROOT/CUB_200_2011/bounding_boxes.txt: line 1 is \"{text}\", expected a line as `1 60.0 27.0 325.0 304.0`; get \
             the file again"
        );
        assert_eq!(said, expected);
    }
    birds.write("train/filenames.pickle", b"cos\nsystem\n(S'echo evil'\ntR.");
    let said = birds.refused();
    assert!(
        said.contains("filenames.pickle: byte 0: asks for os.system; refused"),
        "{said}"
    );
    fs::remove_dir_all(birds.root().join("text_c10")).unwrap();
    assert_eq!(
        birds.refused(),
        format!("ROOT: it has no captions{expected}")
    );
    fs::remove_dir_all(birds.root().join("CUB_200_2011/images")).unwrap();
    assert_eq!(
        birds.refused(),
        format!("ROOT: it has no pictures of birds{expected}")
    );
    let nowhere = read(&birds.root().join("none"), Part::Test, false).unwrap_err();
    assert!(
        nowhere.to_string().contains("it is no folder; expected"),
        "{nowhere}"
    );
}

#[test]
fn damaged_lists_are_survived() {
    let birds = Birds::new();
    let mut stream = Stream::new(1, "damage", 0);
    for list in ["images", "bounding_boxes"] {
        let place = format!("CUB_200_2011/{list}.txt");
        let whole = fs::read(birds.at(&place)).unwrap();
        for _ in 0..300 {
            let mut bytes = whole.clone();
            for at in stream.integers(3, whole.len()) {
                bytes[at] = match stream.integers(1, 2)[0] {
                    0 => b"\n\r\0 .-+/9e\xff\xef"[stream.integers(1, 12)[0]],
                    _ => bytes[at] ^ 1 << stream.integers(1, 8)[0],
                };
            }
            birds.write(&place, bytes);
            match read(birds.root(), Part::Train, false) {
                Ok(found) => assert!(found.birds.len() <= 6),
                Err(error) => assert!(error.to_string().contains(list), "{error}"),
            }
        }
        birds.write(&place, whole);
    }
}

#[test]
fn crops_of_the_paper() {
    // By the authors' custom_crop in Python.
    for (size, bounding_box, expected) in [
        ((500, 335), [60.0, 27.0, 325.0, 304.0], [0, 0, 465, 335]),
        ((500, 336), [139.0, 30.0, 153.0, 264.0], [17, 0, 396, 336]),
        ((500, 347), [217.9, 50.9, 101.9, 32.9], [192, 0, 150, 141]),
        ((10, 10), [0.0, 0.0, 2.0, 2.0], [0, 0, 2, 2]),
        ((10, 10), [-1.0, -4.0, 3.0, 3.0], [0, 0, 2, 0]),
    ] {
        let found = crop(size.0, size.1, bounding_box);
        let expected = match expected {
            [_, _, _, 0] => [0, 0, size.0, size.1],
            expected => expected,
        };
        assert_eq!(found, expected, "{bounding_box:?}");
    }
    for bounding_box in [
        [0.0, 0.0, 0.0, 9.0],
        [0.0, 0.0, 1.0, 1.0],
        [900.0, 2.0, 9.0, 9.0],
        [2.0, -900.0, 9.0, 9.0],
        [f64::NAN; 4],
        [f64::INFINITY, 0.0, 1.0, 1.0],
    ] {
        assert!(misses(40, 30, bounding_box), "{bounding_box:?}");
        assert_eq!(crop(40, 30, bounding_box), [0, 0, 40, 30]);
    }
    let huge = [-f64::INFINITY, 0.0, f64::INFINITY, f64::INFINITY];
    assert_eq!(crop(u32::MAX, 7, huge), [0, 0, 536_870_911, 7]);
    assert!(!misses(40, 30, [39.0, 29.0, 9.0, 9.0]));
}

#[test]
fn the_real_birds() {
    let Some(data) = std::env::var_os("GAN_DATA") else {
        return;
    };
    let root = Path::new(&data).join("birds");
    if !root.is_dir() {
        return;
    }
    let train = read(&root, Part::Train, true).unwrap();
    let test = read(&root, Part::Test, true).unwrap();
    assert_eq!((train.birds.len(), test.birds.len()), (120, 120));
    assert_eq!(
        reasons(&train),
        [
            "155 with a picture that is missing, the first: 002.Laysan_Albatross/Laysan_Albatross_0082_524"
        ]
    );
    let counts: Vec<_> = test.skipped.counts().collect();
    assert_eq!(
        counts,
        [
            ("a name that images.txt does not have", 2665),
            ("a picture that is missing", 148)
        ]
    );
    assert!(train.notes[0].contains("8855 classes of the 275 names"));
    assert!(test.notes.is_empty() && !test.has_embeddings);
    for (found, classes) in [(&train, [2, 3, 5, 7, 10]), (&test, [1, 4, 6, 8, 9])] {
        let there: BTreeSet<u32> = found.birds.iter().map(|bird| bird.class).collect();
        assert_eq!(there.into_iter().collect::<Vec<_>>(), classes);
        assert!(found.birds.iter().all(|bird| bird.captions.len() == 10));
        let captions = || found.birds.iter().flat_map(|bird| &bird.captions);
        assert!(captions().all(|caption| caption.is_ascii()));
    }
    let bird = &test.birds[0];
    assert_eq!(bird.bounding_box.map(|frame| frame.len()), Some(4));
    let mut grey = 0;
    for bird in train.birds.iter().chain(&test.birds) {
        let picture = gan_core::images::read(&bird.path).unwrap();
        let frame = bird.bounding_box.unwrap();
        assert!(
            !misses(picture.width(), picture.height(), frame),
            "{}",
            bird.key
        );
        grey += usize::from(!picture.color().has_color());
    }
    assert_eq!(grey, 1);
}
