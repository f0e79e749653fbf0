//! `dcgan complete`: a picture that the generator made is found again, what is known stays as it was, and what is wrong is
//! told.

use dcgan::complete::{Blend, Completer, Distance, Mask, Search, blended};
use dcgan::faces;
use gan_core::command::CheckpointArguments;
use gan_core::contract::{call, fail, succeed, walk};
use gan_core::images::{self, planar};
use gan_core::random::Stream;
use image::{Rgb, RgbImage};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

const BINARY: &str = env!("CARGO_BIN_EXE_dcgan");

/// The side of the pictures, in pixels.
const SIDE: u32 = 32;

/// A run of a small generator that has learned faces a little, made once for all tests.
fn run() -> &'static Path {
    static RUN: OnceLock<(tempfile::TempDir, PathBuf)> = OnceLock::new();
    let (_, run) = RUN.get_or_init(|| {
        // Cargo's own folder: nothing removes what a static holds.
        let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        let data = folder.path().join("data");
        std::fs::create_dir(&data).unwrap();
        for number in 0..64 {
            let face = faces::face(SIDE, &mut Stream::new(7, "face", number));
            face.save(data.join(format!("{number}.png"))).unwrap();
        }
        let (data, out) = (data.to_string_lossy(), folder.path().join("runs"));
        let out_text = out.to_string_lossy();
        let words = [
            "train",
            "--data",
            &data,
            "--out",
            &out_text,
            "--name",
            "run",
            "--quiet",
            "--image-size",
            "32",
            "--latent-dim",
            "12",
            "--width-g",
            "8",
            "--width-d",
            "8",
            "--batch-size",
            "16",
            "--steps",
            "60",
            "--lr",
            "0.002",
        ];
        succeed(BINARY, &words);
        let run = out.join("dcgan/run");
        (folder, run)
    });
    run
}

fn completer(prior_weight: f64) -> Completer {
    let arguments = CheckpointArguments {
        checkpoint: Some(run().to_owned()),
        device: "cpu".to_owned(),
        ..CheckpointArguments::default()
    };
    Completer::find(&arguments, prior_weight).unwrap()
}

fn search() -> Search {
    Search {
        starts: 6,
        steps: 300,
        lr: 0.1,
        prior_weight: 0.0,
        window: 7,
        seed: 100,
    }
}

/// What `generate --seeds 5` makes.
fn generated() -> RgbImage {
    dcgan::Sampler::open(run()).unwrap().sample(&[5]).remove(0)
}

#[test]
fn a_generated_picture_is_found_again() {
    let truth = planar(&generated(), 3);
    let completer = completer(0.0);
    let mask: Mask = "random:0.5".parse().unwrap();
    let missing = mask.missing(SIDE as usize, (SIDE, SIDE), 1).unwrap();
    // What is missing must not be looked at.
    let mut holed = truth.clone();
    for (place, byte) in holed.iter_mut().enumerate() {
        if missing[place % missing.len()] {
            *byte = 255;
        }
    }
    let mut steps = 0;
    let found = completer
        .seek(&holed, &missing, &search(), &mut || steps += 1)
        .unwrap();
    assert_eq!(steps, 300);
    assert!(
        found.last < found.first / 8.0,
        "{} -> {}",
        found.first,
        found.last
    );
    for blend in [Blend::Paste, Blend::Poisson] {
        let result = blended(&holed, &found.made, &missing, SIDE as usize, blend);
        let distance = Distance::new(&result, &truth, &missing);
        let before = Distance::new(&holed, &truth, &missing);
        assert!(
            distance.psnr > 25.0 && distance.l1 < before.l1 / 10.0,
            "{blend:?}: {distance:?} after {before:?}"
        );
    }
    let again = completer
        .seek(&holed, &missing, &search(), &mut || {})
        .unwrap();
    assert_eq!(
        (again.made, again.start),
        (found.made, found.start),
        "a pure function"
    );
}

#[test]
fn the_discriminator_has_a_say_where_it_is_there() {
    let truth = planar(&generated(), 3);
    let missing = Mask::Center(0.5)
        .missing(SIDE as usize, (SIDE, SIDE), 0)
        .unwrap();
    let few = Search {
        steps: 3,
        ..search()
    };
    let with = |prior_weight: f64| {
        let search = Search {
            prior_weight,
            ..few
        };
        let found = completer(prior_weight).seek(&truth, &missing, &search, &mut || {});
        found.unwrap()
    };
    let (without, little, much) = (with(0.0), with(1e-6), with(100.0));
    assert!((without.last - little.last).abs() < 1e-2 * without.last);
    // log(1 - D) is negative.
    assert!(
        much.last < without.last - 1.0,
        "{} {}",
        much.last,
        without.last
    );

    // A weights file alone has none, and says so.
    let folder = tempfile::tempdir().unwrap();
    let alone = folder
        .path()
        .join("g.safetensors")
        .to_string_lossy()
        .into_owned();
    let run = run().to_string_lossy();
    succeed(BINARY, &["export", "--checkpoint", &run, "-o", &alone]);
    let picture = folder.path().join("a.png").to_string_lossy().into_owned();
    generated().save(&picture).unwrap();
    let out = folder.path().join("b.png").to_string_lossy().into_owned();
    let complete = |more: &[&str]| {
        let words = [
            "complete", "-i", &picture, "--mask", "center", "-o", &out, "--steps", "2",
        ];
        succeed(BINARY, &[&words[..], more].concat())
    };
    let said = "its opinion is left out";
    assert!(complete(&["--checkpoint", &alone]).contains(said));
    assert!(!complete(&["--checkpoint", &alone, "--prior-weight", "0"]).contains(said));
    assert!(!complete(&["--checkpoint", &run]).contains(said));
}

#[test]
fn the_binary_completes_a_folder_and_keeps_what_is_known() {
    let folder = tempfile::tempdir().unwrap();
    let place = |name: &str| folder.path().join(name);
    let text = |name: &str| place(name).to_string_lossy().into_owned();
    std::fs::create_dir_all(place("in/deep")).unwrap();
    let large = faces::face(50, &mut Stream::new(9, "face", 1));
    let wide = RgbImage::from_fn(64, 40, |x, y| *large.get_pixel(x % 50, y));
    wide.save(place("in/deep/wide.png")).unwrap();
    generated().save(place("in/own.png")).unwrap();
    std::fs::write(place("in/broken.png"), "<html>").unwrap();
    let checkpoint = run().to_string_lossy();
    let (input, out, sheet) = (text("in"), text("out"), text("sheets/sheet.png"));
    let words = [
        "complete",
        "--checkpoint",
        &checkpoint,
        "-i",
        &input,
        "--mask",
        "center:0.25",
        "-o",
        &out,
        "--steps",
        "4",
        "--starts",
        "2",
        "--sheet",
        &sheet,
    ];
    let (code, said, error) = call(BINARY, &words);
    assert_eq!(code, Some(3), "{said}{error}");
    for part in [
        "passed over: ",
        "broken.png",
        "1 of 3 pictures could not be completed",
        "PSNR",
        "smooth",
    ] {
        assert!(error.contains(part), "{part} is missing in {error}");
    }
    assert!(
        said.contains("2 pictures in") && said.contains("mean on the missing parts"),
        "{said}"
    );
    // Names are kept below the folder.
    let found: Vec<_> = walk(&place("out"));
    assert_eq!(found, [place("out/deep/wide.png"), place("out/own.png")]);
    let read = |place: &Path| images::to_rgb(&images::read(place).unwrap());
    let missing = Mask::Center(0.25).missing(32, (1, 1), 0).unwrap();
    for (result, original) in [("out/deep/wide.png", wide), ("out/own.png", generated())] {
        let (result, original) = (read(&place(result)), images::square(&original, SIDE));
        assert_eq!(result.dimensions(), (SIDE, SIDE));
        let mut changed = 0;
        for (at, (new, old)) in result.pixels().zip(original.pixels()).enumerate() {
            assert!(new == old || missing[at], "pixel {at}");
            changed += usize::from(new != old);
        }
        assert!(changed > 0, "something was filled in");
    }
    // Four columns and two rows of pictures four times as large, with a gap of 2, and names above.
    let sheet = read(&place("sheets/sheet.png"));
    assert_eq!(sheet.width(), 4 * 130 + 2);
    assert!(sheet.height() > 2 * 130 + 2, "{}", sheet.height());

    // The same again is the same, another seed is not.
    let own = text("in/own.png");
    let complete = |name: &str, more: &[&str]| {
        let target = text(name);
        let words = [
            "complete",
            "--checkpoint",
            &checkpoint,
            "-i",
            &own,
            "-o",
            &target,
            "--steps",
            "3",
            "--mask",
            "random:0.6",
        ];
        succeed(BINARY, &[&words[..], more].concat());
        std::fs::read(place(name)).unwrap()
    };
    let first = complete("first.png", &[]);
    assert_eq!(first, complete("again.png", &[]));
    assert_ne!(first, complete("other.png", &["--seed", "8"]));
    assert_ne!(first, complete("paste.png", &["--blend", "paste"]));
}

#[test]
fn masks_may_be_files() {
    let folder = tempfile::tempdir().unwrap();
    let text = |name: &str| folder.path().join(name).to_string_lossy().into_owned();
    let checkpoint = run().to_string_lossy();
    let (picture, mask, out) = (text("a.png"), text("mask.png"), text("b.png"));
    generated().save(&picture).unwrap();
    let complete = |code: i32, more: &[&str]| {
        let words = [
            "complete",
            "--checkpoint",
            &checkpoint,
            "-i",
            &picture,
            "-o",
            &out,
            "--steps",
            "2",
        ];
        let (found, said, error) = call(BINARY, &[&words[..], more].concat());
        assert_eq!(found, Some(code), "{more:?} {said}{error}");
        assert!(!error.contains("panicked"), "{error}");
        error
    };
    let write = |size: u32, white: &dyn Fn(u32, u32) -> bool| {
        let shade = |x, y| Rgb([if white(x, y) { 255 } else { 0 }; 3]);
        RgbImage::from_fn(size, size, shade).save(&mask).unwrap();
    };
    write(32, &|x, _| x < 8);
    // Whether the picture is whole is not known.
    assert!(!complete(0, &["--mask", &mask]).contains("PSNR"));
    let said = complete(0, &["--mask", &mask, "--whole"]);
    assert!(
        said.contains("25.0 % missing") && said.contains("PSNR"),
        "{said}"
    );
    write(31, &|x, _| x < 8);
    let said = complete(3, &["--mask", &mask]);
    assert!(
        said.contains("mask.png has 31 x 31 pixels") && said.contains("32 x 32"),
        "{said}"
    );
    write(32, &|_, _| false);
    assert!(complete(3, &["--mask", &mask]).contains("nothing is missing"));
    write(32, &|_, _| true);
    assert!(complete(3, &["--mask", &mask]).contains("everything is missing"));
    std::fs::write(&mask, "<html>").unwrap();
    assert!(complete(3, &["--mask", &mask]).contains("mask.png"));
    let said = complete(3, &["--mask", "centre"]);
    assert!(
        said.contains("no mask centre") && said.contains("center"),
        "{said}"
    );
    assert!(complete(2, &["--mask", "center:2"]).contains("share above 0"));
}

#[test]
fn wrong_requests_are_answered_with_their_exit_code() {
    let folder = tempfile::tempdir().unwrap();
    let text = |name: &str| folder.path().join(name).to_string_lossy().into_owned();
    let checkpoint = run().to_string_lossy();
    let (picture, out) = (text("a.png"), text("out"));
    generated().save(&picture).unwrap();
    let refused = |code: i32, more: &[&str]| {
        let words = ["complete", "--checkpoint", &checkpoint, "--mask", "top"];
        fail(BINARY, &[&words[..], more].concat(), code)
    };
    let usual = ["-i", &picture, "-o", &out];
    let wrong = |more: &[&str]| refused(2, &[&usual[..], more].concat());
    assert!(wrong(&["--steps", "0"]).contains("--steps 1 to 100000"));
    assert!(wrong(&["--starts", "1000"]).contains("--starts must be 1 to 256"));
    assert!(wrong(&["--window", "6"]).contains("--window must be odd"));
    assert!(wrong(&["--lr", "0"]).contains("--lr must be above 0"));
    assert!(wrong(&["--prior-weight", "inf"]).contains("finite"));
    assert!(wrong(&["--seed", "18446744073709551615"]).contains("--seed"));
    assert!(wrong(&["--sheet", "x.jpg"]).contains("does not end in .png"));
    assert!(refused(2, &["-i", &picture, "-o", "b.jpg"]).contains("PNG files"));
    let two = ["-i", &picture, &picture, "-o"];
    assert!(refused(2, &[&two[..], &["b.png"]].concat()).contains("name a folder"));
    assert!(refused(2, &[&two[..], &[&out]].concat()).contains("would both become"));
    let own = folder.path().to_string_lossy();
    assert!(refused(2, &["-i", &picture, "-o", &own]).contains("would be overwritten"));
    assert!(refused(3, &["-i", "/no/such.png", "-o", &out]).contains("/no/such.png"));
    let absent = ["complete", "--checkpoint", "/no/such", "--mask", "top"];
    let said = fail(BINARY, &[&absent[..], &usual[..]].concat(), 4);
    assert!(said.contains("/no/such does not exist"), "{said}");
    assert!(!Path::new(&out).exists(), "nothing was written");
}
