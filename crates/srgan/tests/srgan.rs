//! The binary from end to end: what is trained without flags, upscaled and measured from a checkpoint alone, and
//! refused.

#[path = "../../../tests/fixtures/translating.rs"]
#[allow(dead_code, reason = "what translations alone need")]
mod translating;

use gan_core::contract::{self, fail, succeed};
use image::{ColorType, DynamicImage, GenericImageView, RgbImage};
use metrics::paired::{Colour, Pair, Picture, View};
use std::path::{Path, PathBuf};
use translating::{bytes, pattern, refuse, save, text, write_foreign, write_inputs};

const BINARY: &str = env!("CARGO_BIN_EXE_srgan");

const TINY: [&str; 8] = [
    "--scale=2",
    "--blocks=2",
    "--width-g=4",
    "--width-d=1",
    "--crop-size=32",
    "--batch-size=2",
    "--content-loss=mse",
    "--validation=1",
];

/// A run of a few steps, and pictures to upscale.
struct Trained {
    folder: tempfile::TempDir,
}

impl Trained {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        for number in 0..4 {
            let part = if number < 3 { "train" } else { "test" };
            let path = folder.path().join(format!("data/{part}/{number}.png"));
            save(&path, pattern(number, 70, 51));
        }
        let (data, out) = (text(&folder.path().join("data")), text(folder.path()));
        let mut command = vec!["train", "--data", &data, "--out", &out];
        command.extend(["--mse-steps=6", "--steps=2", "--quiet"]);
        command.extend(TINY);
        succeed(BINARY, &command);
        write_inputs(&folder.path().join("in"));
        Self { folder }
    }

    fn place(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn run(&self) -> PathBuf {
        self.place("srgan/001")
    }

    fn arguments(&self, input: &str, output: &str, more: &[&str]) -> Vec<String> {
        let (input, output) = (text(&self.place(input)), text(&self.place(output)));
        let out = text(self.folder.path());
        let own = ["upscale", "--out", &out, "-i", &input, "-o", &output];
        let all = own.iter().chain(more);
        all.map(|argument| (*argument).to_owned()).collect()
    }

    fn upscale(&self, input: &str, output: &str, more: &[&str]) -> String {
        let command = self.arguments(input, output, more);
        let command: Vec<_> = command.iter().map(String::as_str).collect();
        succeed(BINARY, &command)
    }

    fn refuse(&self, input: &str, output: &str, more: &[&str], code: i32, parts: &[&str]) {
        let command = self.arguments(input, output, more);
        let command: Vec<_> = command.iter().map(String::as_str).collect();
        refuse(BINARY, &command, code, parts);
    }
}

#[test]
fn without_flags_it_trains_on_drawn_scenes() {
    let folder = tempfile::tempdir().unwrap();
    let out = text(folder.path());
    let command = ["train", "--mse-steps", "1", "--steps", "1", "--out", &out];
    let said = succeed(BINARY, &command);
    let first = said.lines().next().unwrap_or_default();
    assert!(first.starts_with("PROCEDURAL data: drawn scenes"), "{said}");
    let run = folder.path().join("srgan/001");
    for file in [
        "report.html",
        "samples/reals.png",
        "checkpoints/srresnet/best",
        "checkpoints/srresnet/step_00000001/generator.safetensors",
        "checkpoints/srgan/step_00000001/generator.safetensors",
        "checkpoints/srgan/step_00000001/discriminator.safetensors",
    ] {
        assert!(run.join(file).is_file(), "{file} is missing");
    }
    let log = std::fs::read_to_string(run.join("metrics.jsonl")).unwrap();
    for name in [
        "mse",
        "test_PSNR",
        "test_SSIM",
        "content",
        "adversarial",
        "D_fake",
    ] {
        assert!(
            log.contains(&format!("\"{name}\":")),
            "{name} is not in {log}"
        );
    }
    // The first stage alone.
    let alone = [
        "--adversarial=false",
        "--content-loss=vgg54",
        "--name",
        "alone",
    ];
    succeed(BINARY, &[&command[..], &alone].concat());
    let stages = folder.path().join("srgan/alone/checkpoints");
    assert!(stages.join("srresnet/best").is_file() && !stages.join("srgan").exists());
    // It can be made longer, as nothing follows it; the first of two stages cannot.
    let longer = |run: &str| {
        let run = text(&folder.path().join("srgan").join(run));
        ["train", "--quiet", "--resume", &run, "--mse-steps=9"].map(str::to_owned)
    };
    let words = longer("alone");
    succeed(BINARY, &words.each_ref().map(String::as_str));
    let last = newest_of(&stages.join("srresnet"));
    assert!(last.ends_with("step_00000009"), "{}", last.display());
    let words = longer("001");
    let words = words.each_ref().map(String::as_str);
    refuse(BINARY, &words, 2, &["mse_steps is", "9 was asked for"]);
}

fn picture(path: &Path) -> DynamicImage {
    gan_core::images::read(path).unwrap()
}

#[test]
fn a_checkpoint_in_any_form_is_all_you_need() {
    let trained = Trained::new();
    let place = |name: &str| trained.place(name);
    let deep = image::ImageBuffer::from_fn(9, 7, |x, y| image::Luma([(5000 * x + 900 * y) as u16]));
    save(&place("in/deep_grey.png"), DynamicImage::ImageLuma16(deep));
    trained.upscale("in", "whole", &[]);
    let mut seen = 0;
    for path in contract::walk(&place("in")) {
        let name = path.strip_prefix(place("in")).unwrap();
        if name == Path::new("notes.txt") {
            continue;
        }
        let mut result = place("whole").join(name);
        if name.extension().is_some_and(|ending| ending == "gif") {
            result.set_extension("png");
        }
        let [old, new] = [&path, &result].map(|path| picture(path));
        let (width, height) = old.dimensions();
        assert_eq!(
            new.dimensions(),
            (2 * width, 2 * height),
            "{}",
            name.display()
        );
        if name.extension().is_some_and(|ending| ending == "png") {
            // Grey, alpha and 16 bits are kept.
            assert_eq!(new.color(), old.color(), "{}", name.display());
        }
        seen += 1;
    }
    assert!(seen > 4);
    assert_eq!(
        picture(&place("whole/deep_grey.png")).color(),
        ColorType::L16
    );

    // Tiles change nothing that can be seen, and one in memory is not needed.
    for tiles in [
        &["--tile=64"][..],
        &["--memory=16"],
        &["--tile=64", "--tile-pad=16"],
    ] {
        trained.upscale("in", "tiled", &[tiles, &["--overwrite"]].concat());
        for path in contract::walk(&place("whole")) {
            let other = place("tiled").join(path.strip_prefix(place("whole")).unwrap());
            let [whole, tiled] = [&path, &other].map(|path| picture(path).to_rgb16());
            let is_lossy = path.extension().is_some_and(|ending| ending == "jpg");
            let pairs = whole.as_raw().iter().zip(tiled.as_raw());
            let most = pairs.map(|(a, b)| a.abs_diff(*b)).max().unwrap();
            let allowed = if is_lossy { 3 * 257 } else { 257 };
            assert!(most <= allowed, "{}: {most}", path.display());
        }
    }

    // Every name of it, and what it is exported to.
    let input = "data/test/3.png";
    trained.upscale(input, "expected.png", &[]);
    let expected = std::fs::read(place("expected.png")).unwrap();
    let stage = trained.run().join("checkpoints/srgan");
    let (run, latest) = (text(&trained.run()), text(&stage.join("latest")));
    let step = newest_of(&stage);
    let file = text(&step.join("generator.safetensors"));
    let exported = text(&place("exported.pth"));
    succeed(BINARY, &["export", "--checkpoint", &run, "-o", &exported]);
    for checkpoint in ["001", &run, &latest, &text(&step), &file, &exported] {
        trained.upscale(
            input,
            "again.png",
            &["--checkpoint", checkpoint, "--overwrite"],
        );
        let again = std::fs::read(place("again.png")).unwrap();
        assert!(again == expected, "{checkpoint}");
    }
    // From Rust.
    let upscaler = srgan::Upscaler::open(&exported).unwrap();
    let low = picture(&place(input)).to_rgb8();
    let made = upscaler.picture(&low).unwrap();
    assert_eq!(made, picture(&place("expected.png")).to_rgb8());
    // The first stage is another generator.
    let first = text(&trained.run().join("checkpoints/srresnet/best"));
    trained.upscale(input, "first.png", &["--checkpoint", &first, "-s", "2"]);
    assert!(std::fs::read(place("first.png")).unwrap() != expected);

    trained.upscale(input, "named", &["--suffix", "x2", "--ext", "webp"]);
    assert_eq!(
        bytes(&place("named")).keys().collect::<Vec<_>>(),
        [Path::new("3_x2.webp")]
    );
}

fn newest_of(stage: &Path) -> PathBuf {
    let name = std::fs::read_to_string(stage.join("latest")).unwrap();
    stage.join(name.trim())
}

#[test]
fn what_is_measured_is_what_was_written() {
    let trained = Trained::new();
    let out = text(trained.folder.path());
    // Of odd sides: what makes no whole pixel of low resolution is cut off.
    let (tests, made) = (trained.place("tests"), trained.place("made"));
    for number in 0..3 {
        save(
            &tests.join(format!("{number}.png")),
            pattern(number, 61, 47),
        );
    }
    let (data, output) = (text(&tests), text(&made));
    let command = ["evaluate", "--out", &out, "--data", &data];
    let run = [&command[..], &["-o", &output, "--json"]].concat();
    let (code, printed, said) = contract::call(BINARY, &run);
    assert_eq!(code, Some(0), "{said}");
    let found: serde_json::Value = serde_json::from_str(&printed).unwrap();
    assert_eq!(
        (&found["scale"], &found["crop_border"]),
        (&2.into(), &2.into())
    );
    let rows = found["pictures"].as_array().unwrap();
    assert_eq!(rows.len(), 3);
    let mut sum = 0.0;
    for row in rows {
        let name = row["name"].as_str().unwrap();
        let high = picture(&tests.join(name)).to_rgb8();
        let high = image::imageops::crop_imm(&high, 0, 0, 60, 46).to_image();
        let written = picture(&made.join("made").join(name)).to_rgb8();
        assert_eq!(picture(&made.join("real").join(name)).to_rgb8(), high);
        let bicubic = srgan::degrade::low_resolution(&high, 2);
        let bicubic = srgan::degrade::resized(&bicubic, 60, 46);
        for (key, of) in [("made", &written), ("bicubic", &bicubic)] {
            for (name, colour) in [("psnr_y", Colour::Luma), ("psnr_rgb", Colour::Channels)] {
                let expected = psnr(of, &high, colour);
                let told = row[key][name].as_f64().unwrap();
                assert!(
                    (told - expected).abs() < 1e-9,
                    "{key} {name}: {told} {expected}"
                );
            }
        }
        sum += row["made"]["psnr_y"].as_f64().unwrap();
    }
    let mean = found["made"]["psnr_y"].as_f64().unwrap();
    assert!((mean - sum / 3.0).abs() < 1e-9);
    // Nothing that is there is replaced: it may be what is measured.
    for taken in [&data, &output] {
        let again = [&command[..], &["-o", taken]].concat();
        refuse(BINARY, &again, 2, &["it is not empty"]);
    }
    let said = contract::call(BINARY, &command).1;
    for part in [
        "PSNR-Y",
        "bicubic",
        "2.png",
        "mean",
        "3 pictures of",
        "2 pixels cut off",
    ] {
        assert!(said.contains(part), "{part} is not in {said}");
    }

    // Pairs as they are given, and pictures that cannot be measured.
    let low = tests.join("lq");
    for number in 0..3 {
        let high = pattern(number, 60, 46);
        save(&tests.join(format!("gt/{number}.png")), high.clone());
        // No resizing gives this.
        save(&low.join(format!("{number}.png")), RgbImage::new(30, 23));
        std::fs::remove_file(tests.join(format!("{number}.png"))).unwrap();
    }
    let (_, printed, _) = contract::call(BINARY, &[&command[..], &["--json"]].concat());
    let black: serde_json::Value = serde_json::from_str(&printed).unwrap();
    let psnr_of = |of: &serde_json::Value| of["bicubic"]["psnr_rgb"].as_f64().unwrap();
    assert!(psnr_of(&black) < 15.0 && psnr_of(&found) > psnr_of(&black) + 1.0);
    std::fs::write(low.join("1.png"), "<html>").unwrap();
    save(&low.join("2.png"), RgbImage::new(29, 23));
    let said = fail(BINARY, &command, 3);
    for part in ["1.png", "2 of 3 pictures could not be measured"] {
        assert!(said.contains(part), "{part} is not in {said}");
    }
}

fn psnr(made: &RgbImage, high: &RgbImage, colour: Colour) -> f64 {
    let [made, high] = [made, high].map(|picture| {
        assert_eq!(picture.dimensions(), (60, 46));
        gan_core::images::planar(picture, 3)
    });
    let [made, high] = [&made, &high].map(|bytes| Picture::bytes(3, 46, 60, bytes));
    let view = View {
        data_range: 255.0,
        colour,
        crop_border: 2,
    };
    Pair::new(&made, &high, &view).unwrap().psnr()
}

#[test]
fn what_cannot_be_is_refused_in_a_sentence() {
    let trained = Trained::new();
    let checkpoint = |name: &str| format!("--checkpoint={}", text(&trained.place(name)));
    let parts = ["--scale 4", "enlarges 2 times"];
    trained.refuse("in", "out", &["-s", "4"], 2, &parts);
    trained.refuse("in", "out", &["--memory=1"], 2, &["--memory"]);
    trained.refuse(
        "in",
        "out",
        &["--tile=20", "--tile-pad=8"],
        2,
        &["8 pixels (--tile-pad)"],
    );
    let missing = checkpoint("nothing.pth");
    trained.refuse("in", "out", &[&missing], 4, &["nothing.pth does not exist"]);
    for foreign in write_foreign(trained.folder.path(), "dcgan", "generator")[1..].iter() {
        let foreign = format!("--checkpoint={}", text(foreign));
        let parts = ["is a checkpoint of dcgan, not of srgan"];
        trained.refuse("in", "out", &[&foreign], 4, &parts);
    }
    let judge = newest_of(&trained.run().join("checkpoints/srgan"));
    let judge = format!(
        "--checkpoint={}",
        text(&judge.join("discriminator.safetensors"))
    );
    trained.refuse(
        "in",
        "out",
        &[&judge],
        4,
        &["holds a discriminator; wanted: generator"],
    );
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures");
    let other = format!("--checkpoint={}", text(&fixtures.join("dcgan_zip.pth")));
    trained.refuse("in", "out", &[&other], 4, &["not a generator of SRGAN"]);
    assert!(!trained.place("out").exists(), "nothing was written");
    std::fs::write(trained.place("in/broken.png"), "<html>").unwrap();
    trained.refuse(
        "in",
        "out",
        &[],
        3,
        &["broken.png", "the others were written"],
    );

    let out = text(trained.folder.path());
    let data = text(&trained.place("data"));
    let train = |more: &[&str], parts: &[&str]| {
        let own = ["train", "--out", &out, "--data", &data, "--name", "never"];
        refuse(BINARY, &[&own[..], more].concat(), 2, parts);
    };
    train(
        &[],
        &["--vgg", "download.pytorch.org", "--content-loss mse"],
    );
    train(&["--vgg", &out], &["--vgg"]);
    train(&["--scale=3"], &["scale = 3", "2, 4 or 8"]);
    train(&["--crop-size=40"], &["crop_size = 40", "multiple of 16"]);
    train(
        &["--adversarial=false", "--mse-steps=0"],
        &["mse_steps = 0"],
    );
    assert!(!trained.place("srgan/never").exists());

    // Weights that are no use, and pairs that would be parted.
    let step = newest_of(&trained.run().join("checkpoints/srgan"));
    let mut file = gan_core::weights::read(&step.join("generator.safetensors")).unwrap();
    let first = file.tensors.get_mut("block1.0.weight").unwrap();
    first.values.iter_mut().for_each(|value| *value = 3e38);
    let place = trained.place("loud.safetensors");
    gan_core::weights::write(&place, &file.tensors, &file.metadata).unwrap();
    let loud = format!("--checkpoint={}", text(&place));
    trained.refuse("data", "loud", &[&loud], 7, &["not finite"]);
    refuse(
        BINARY,
        &["evaluate", &loud, "--data", &data],
        7,
        &["not finite"],
    );
    let pairs = trained.place("pairs");
    for folder in ["gt", "lq"] {
        save(&pairs.join(folder).join("1.png"), pattern(1, 64, 64));
    }
    let (pairs, prepared) = (text(&pairs), text(&trained.place("prepared")));
    let command = [
        "data",
        "prepare",
        "-i",
        &pairs,
        "-o",
        &prepared,
        "--min-size=96",
    ];
    refuse(BINARY, &command, 2, &["belong together"]);
    let published = [
        "train",
        "--init-from",
        &text(&step.join("generator.safetensors")),
    ]
    .map(str::to_owned);
    let published: Vec<&str> = published.iter().map(String::as_str).collect();
    let more = ["--content-loss=mse", "--out", &out, "--name", "never"];
    let parts = ["blocks 2 instead of 16", "--blocks 2 --width-g 4 --scale 2"];
    refuse(
        BINARY,
        &[&published[..], &more, &["--preset=paper", "--data", &data]].concat(),
        4,
        &parts,
    );
}
