//! `vanilla lab` as a process: what it writes and prints, and what it refuses.

use gan_core::contract::{call, fail, succeed};
use serde_json::Value;
use std::path::Path;

const BINARY: &str = env!("CARGO_BIN_EXE_vanilla");

/// Every experiment, with what makes it short.
const EXPERIMENTS: [(&str, &[&str]); 8] = [
    ("density", &["--steps", "4"]),
    ("optimal-discriminator", &["--steps", "4"]),
    ("value", &["--steps", "2"]),
    ("gradients", &[]),
    ("divergences", &["--samples", "1000"]),
    ("games", &["--steps", "20"]),
    ("vanishing", &["--steps", "1"]),
    ("covariate-shift", &["--steps", "2"]),
];

fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

fn json(path: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}

#[test]
fn every_experiment_writes_a_plot_and_its_numbers() {
    let folder = tempfile::tempdir().unwrap();
    for (word, short) in EXPERIMENTS {
        let of = |name: &str| folder.path().join("new/deep").join(name);
        let (plot, numbers) = (of(&format!("{word}.png")), of(&format!("{word}.json")));
        let (output, file) = (text(&plot), text(&numbers));
        let arguments = [&["lab", word, "-o", &output, "--json", &file], short].concat();
        let said = succeed(BINARY, &arguments);
        assert!(said.contains(&output), "{word} names its plot: {said}");
        let picture = image::load_from_memory(&std::fs::read(&plot).unwrap()).unwrap();
        let picture = picture.into_rgb8();
        assert!(picture.width() >= 700 && picture.height() >= 400, "{word}");
        let inked = picture.pixels().filter(|pixel| pixel.0 != [255; 3]);
        assert!(inked.count() > 5000, "{word} is not empty");
        let found = json(&numbers);
        let is_full = match &found {
            Value::Object(all) => !all.is_empty(),
            Value::Array(all) => !all.is_empty(),
            _ => false,
        };
        assert!(is_full, "{word}: {found}");
    }
    let course = std::fs::read(folder.path().join("new/deep/density.gif")).unwrap();
    assert!(course.starts_with(b"GIF89a"));
}

#[test]
fn equal_seeds_give_equal_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let of = |name: &str, seed: &str| {
        let (plot, numbers) = (
            folder.path().join(format!("{name}.png")),
            folder.path().join(format!("{name}.json")),
        );
        let (output, file) = (text(&plot), text(&numbers));
        let word = "optimal-discriminator";
        let fixed = ["lab", word, "--steps", "20", "--seed", seed];
        succeed(
            BINARY,
            &[&fixed[..], &["-o", &output, "--json", &file]].concat(),
        );
        (
            std::fs::read(plot).unwrap(),
            std::fs::read(numbers).unwrap(),
        )
    };
    let first = of("first", "3");
    assert!(first == of("again", "3"));
    assert!(first.1 != of("other", "4").1);
}

#[test]
fn all_of_them_go_into_one_folder() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().join("plots");
    let numbers = folder.path().join("all.json");
    let (output, file) = (text(&place), text(&numbers));
    let arguments = ["lab", "all", "-o", &output, "--steps", "2", "--json", &file];
    let said = succeed(BINARY, &arguments);
    let mut expected: Vec<String> = EXPERIMENTS
        .iter()
        .map(|(word, _)| format!("{word}.png"))
        .collect();
    expected.push("density.gif".to_owned());
    expected.sort();
    assert_eq!(names(&place), expected);
    let found = json(&numbers);
    for (word, _) in EXPERIMENTS {
        assert!(said.contains(&format!("== {word}")), "{said}");
        assert!(found.get(word).is_some(), "{word}");
    }
}

#[test]
fn the_prisoners_equilibrium_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let plot = text(&folder.path().join("games.png"));
    let (code, out, error) = call(BINARY, &["lab", "games", "-o", &plot]);
    assert_eq!(code, Some(0), "{error}");
    assert!(out.contains("pure equilibria: (betray, betray)\n"), "{out}");
}

#[test]
fn wrong_requests_are_refused_before_anything_is_computed() {
    let cases: [(&[&str], &str); 20] = [
        (&["density", "--steps", "0"], "--steps 0"),
        (&["density", "--std", "0"], "--std 0"),
        (&["density", "--std", "nan"], "--std NaN"),
        (&["density", "--mean", "-4"], "--mean -4"),
        (&["density", "--prior", "cauchy"], "normal"),
        (&["density", "--seed=-1"], "--seed"),
        (&["density", "-o", "plot.gif"], ".png"),
        (&["density", "-o", "plot"], ".png"),
        (&["optimal-discriminator", "--std", "inf"], "--std inf"),
        (&["optimal-discriminator", "--steps", "many"], "--steps"),
        (&["value", "--steps", "0"], "--steps 0"),
        (&["gradients", "--limit=-1"], "--limit -1"),
        (&["divergences", "--samples", "1"], "--samples 1"),
        (&["divergences", "--std-q", "0"], "--std-q 0"),
        (&["games", "--lr", "0"], "--lr 0"),
        (&["games", "--steps", "1001"], "--steps 1001"),
        (&["vanishing", "--layers", "1"], "--layers 1"),
        (&["vanishing", "--width", "0"], "--width 0"),
        (&["covariate-shift", "--lr", "0"], "--lr 0"),
        (&["alchemy"], "alchemy"),
    ];
    let folder = tempfile::tempdir().unwrap();
    for (arguments, part) in cases {
        let mut all = vec!["lab"];
        all.extend(arguments);
        let output = text(&folder.path().join("plot.png"));
        if !arguments.contains(&"-o") && arguments.len() > 1 {
            all.extend(["-o", &output]);
        }
        let said = fail(BINARY, &all, 2);
        assert!(
            said.contains(part),
            "{arguments:?}: {part:?} is not in: {said}"
        );
    }
    assert_eq!(names(folder.path()), [""; 0], "nothing was written");
}

#[test]
fn a_place_that_cannot_be_written_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let taken = folder.path().join("taken");
    std::fs::write(&taken, "a file").unwrap();
    let inside = text(&taken.join("plot.png"));
    let said = fail(BINARY, &["lab", "games", "-o", &inside], 6);
    assert!(said.contains("taken"), "{said}");
    let said = fail(BINARY, &["lab", "all", "-o", &text(&taken)], 6);
    assert!(said.contains("taken"), "{said}");
    // A folder has the name that the file should have.
    let plot = folder.path().join("plot.png");
    std::fs::create_dir(&plot).unwrap();
    let said = fail(BINARY, &["lab", "games", "-o", &text(&plot)], 6);
    assert!(said.contains("plot.png"), "{said}");
    let numbers = text(&folder.path().join("taken/numbers.json"));
    let other = text(&folder.path().join("other.png"));
    let said = fail(
        BINARY,
        &["lab", "games", "-o", &other, "--json", &numbers],
        6,
    );
    assert!(said.contains("taken"), "{said}");
    assert!(!Path::new(&other).exists(), "nothing was computed");
}
