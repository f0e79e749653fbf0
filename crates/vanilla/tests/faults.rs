//! Faults that the binary must survive: wrong requests, broken data, damaged checkpoints, full disks and
//! sudden ends. Every one ends with its documented exit code and a message that names the place, never
//! with a panic, and costs nothing that was whole before.

use gan_core::checkpoint::{self, sha256};
use gan_core::contract::{call, succeed, walk};
use gan_core::weights::{self, WeightFile};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const BINARY: &str = env!("CARGO_BIN_EXE_vanilla");

/// Networks so small that a process is done in a few milliseconds.
const TINY: [&str; 18] = [
    "--batch-size",
    "8",
    "--latent-dim",
    "4",
    "--generator-hidden",
    "8",
    "--discriminator-hidden",
    "8",
    "--ema-decay",
    "0.9",
    "--log-every",
    "2",
    "--sample-every",
    "1000000",
    "--save-every",
    "3",
    "--workers",
    "0",
];

/// The SplitMix64 generator.
struct Random(u64);

impl Random {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % end
    }
}

fn skip(reason: &str) {
    let _ = writeln!(std::io::stderr(), "passed over: {reason}");
}

fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

fn assert_calm(said: &str) {
    for word in ["panicked", "RUST_BACKTRACE", "stack backtrace"] {
        assert!(!said.contains(word), "{said}");
    }
}

/// Runs the binary, insists on an exit code and on every part of the message, and returns the message.
fn refuse(arguments: &[&str], code: i32, parts: &[&str]) -> String {
    let (found, out, error) = call(BINARY, arguments);
    assert_eq!(found, Some(code), "{arguments:?}\n{out}\n{error}");
    assert_calm(&error);
    for part in parts {
        assert!(
            error.contains(part),
            "{arguments:?}: {part:?} is not in: {error}"
        );
    }
    error
}

fn idx_bytes(magic: u32, sizes: &[u32], body: &[u8]) -> Vec<u8> {
    let mut bytes = magic.to_be_bytes().to_vec();
    for size in sizes {
        bytes.extend(size.to_be_bytes());
    }
    bytes.extend(body);
    bytes
}

/// A place with forty drawn digits of 28 x 28, and room for runs.
struct Place {
    folder: tempfile::TempDir,
}

impl Place {
    fn new() -> Self {
        let place = Self {
            folder: tempfile::tempdir().unwrap(),
        };
        let pictures = vanilla::data::procedural(3, 40);
        std::fs::create_dir(place.path("digits")).unwrap();
        std::fs::write(
            place.path("digits/train-images-idx3-ubyte"),
            idx_bytes(0x0803, &[40, 28, 28], &pictures.pixels),
        )
        .unwrap();
        place
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn out(&self) -> String {
        text(&self.path("runs"))
    }

    fn run(&self) -> PathBuf {
        self.path("runs/vanilla/run")
    }

    fn checkpoints(&self) -> PathBuf {
        self.run().join("checkpoints/gan")
    }

    /// `train` of a tiny run with the name `run`; what `more` says goes before that.
    fn command(&self, more: &[&str]) -> Vec<String> {
        let (out, data) = (self.out(), text(&self.path("digits")));
        let own = ["--out", &out, "--data", &data, "--name", "run"];
        let pairs = own.chunks(2).chain(TINY.chunks(2));
        // A flag may be given once only.
        let given = |flag: &str| more.iter().any(|part| part.split('=').next() == Some(flag));
        let pairs = pairs.filter(|pair| !given(pair[0]));
        std::iter::once("train")
            .chain(pairs.flatten().copied())
            .chain(more.iter().copied())
            .map(str::to_owned)
            .collect()
    }

    fn train(&self, more: &[&str]) -> String {
        let command = self.command(more);
        succeed(
            BINARY,
            &command.iter().map(String::as_str).collect::<Vec<_>>(),
        )
    }

    fn refuse_train(&self, more: &[&str], code: i32, parts: &[&str]) -> String {
        let command = self.command(more);
        let command: Vec<_> = command.iter().map(String::as_str).collect();
        refuse(&command, code, parts)
    }

    fn resume(&self, more: &[&str]) -> (Option<i32>, String) {
        let out = self.out();
        let command = ["train", "--resume", "run", "--out", &out];
        let (code, said, error) = call(BINARY, &[&command[..], more].concat());
        assert_calm(&error);
        (code, said + &error)
    }

    fn newest_step(&self) -> u64 {
        let newest = checkpoint::newest(&self.checkpoints());
        newest
            .expect("one of the checkpoints is whole")
            .map_or(0, |(saved, _)| saved.manifest.step)
    }

    fn leftovers(&self) -> Vec<PathBuf> {
        let mut found = walk(self.folder.path());
        found.retain(|path| {
            let name = path.to_string_lossy();
            name.contains(".tmp-") || name.contains(".partial")
        });
        found
    }
}

#[test]
fn wrong_flags_are_refused_with_the_flag() {
    let place = Place::new();
    let cases: [(&[&str], &str); 45] = [
        (&["--batch-size", "0"], "batch_size = 0"),
        (&["--batch-size=-3"], "batch-size"),
        (&["--batch-size", "many"], "batch-size"),
        (&["--batch_size", "0"], "--batch-size"),
        (&["--batch-sise", "3"], "--batch-size"),
        (&["--steps", "0", "--epochs", "0"], "epochs = 0"),
        (&["--steps=-1"], "steps"),
        (&["--log-every", "0"], "log_every = 0"),
        (&["--sample-every", "0"], "sample_every = 0"),
        (&["--save-every", "0"], "save_every = 0"),
        (&["--keep", "0"], "keep = 0"),
        (&["--workers", "65"], "workers = 65"),
        (&["--seed=-1"], "seed"),
        (&["--lr", "nan"], "lr = NaN"),
        (&["--lr", "inf"], "lr = inf"),
        (&["--lr", "0"], "lr = 0"),
        (&["--lr=-1e-4"], "lr = -0.0001"),
        (&["--lr-g", "nan"], "lr_g = NaN"),
        (&["--lr-d=-1"], "lr_d = -1"),
        (&["--beta1", "1"], "beta1 = 1"),
        (&["--beta2", "nan"], "beta2 = NaN"),
        (&["--keep-input", "0"], "keep_input = 0"),
        (&["--keep-hidden", "1.5"], "keep_hidden = 1.5"),
        (&["--label-smoothing", "0"], "label_smoothing = 0"),
        (&["--ema-decay", "1"], "ema_decay = 1"),
        (&["--decay-start=-0.1"], "decay_start = -0.1"),
        (&["--instance-noise", "nan"], "instance_noise = NaN"),
        (&["--instance-noise=-1"], "instance_noise = -1"),
        (&["--latent-dim", "0"], "latent_dim = 0"),
        (&["--latent-dim", "16385"], "latent_dim = 16385"),
        (&["--generator-hidden", "0"], "generator_hidden = [0]"),
        (&["--generator-hidden", "8,99999"], "generator_hidden"),
        (&["--discriminator-hidden", "8,,8"], "discriminator-hidden"),
        (
            &["--generator-activation", "maxout"],
            "generator_activation",
        ),
        (&["--generator-activation", "swish"], "leaky-relu"),
        (&["--n-critic", "0"], "n_critic = 0"),
        (&["--ring-modes", "0"], "ring_modes = 0"),
        (&["--ring-std", "0"], "ring_std = 0"),
        (&["--output", "linear"], "output = linear"),
        (&["--dataset", "faces"], "digits, ring"),
        (&["--device", "cuda:7"], "not in this build"),
        (&["--device", "toaster"], "toaster"),
        (&["--preset", "mnits"], "quick, paper"),
        (&["--quiet", "--json"], "--json"),
        (&["--resume", "run", "--init-from", "x"], "--init-from"),
    ];
    let data = text(&place.path("digits"));
    for (more, part) in cases {
        let out = place.out();
        let given = ["train", "--out", &out, "--data", &data];
        refuse(&[&given[..], more].concat(), 2, &[part]);
    }
    for name in ["../run", "", ".", "..", ".hidden", "a/b", "a\\b"] {
        let name = format!("--name={name}");
        place.refuse_train(&[&name], 2, &["--name", "not a plain folder name"]);
    }
    assert!(!place.path("runs").exists(), "nothing was written");
}

/// TOML's integers are signed, so these are refused before their keys are looked at.
#[test]
fn a_number_that_is_too_large_is_refused_with_its_flag() {
    let place = Place::new();
    for flag in ["--seed", "--steps", "--log-every"] {
        for number in ["9223372036854775808", "18446744073709551615"] {
            let said = place.refuse_train(&[flag, number], 2, &["too large"]);
            let key = flag[2..].replace('-', "_");
            assert!(
                said.contains(flag) || said.contains(&key),
                "{flag} {number}: {said}"
            );
        }
    }
}

/// Points are drawn and not counted, so no dataset bounds the batch.
#[test]
fn a_batch_that_no_memory_holds_is_refused() {
    let place = Place::new();
    let out = place.out();
    let ring = ["train", "--dataset", "ring", "--out", &out, "--batch-size"];
    let absurd = [&ring[..], &["9223372036854775807"]].concat();
    refuse(&absurd, 2, &["batch_size"]);
    assert!(!place.path("runs").exists(), "nothing was written");
}

#[test]
fn wrong_configurations_are_refused_with_file_and_line() {
    let place = Place::new();
    let file = place.path("my own.toml");
    let config = text(&file);
    let cases: [(&[u8], &[&str]); 13] = [
        (
            b"bathc_size = 3\n",
            &["unknown key bathc_size", "did you mean batch_size?"],
        ),
        (b"zzz = 3\n", &["unknown key zzz"]),
        (b"lr = 0.1\nbatch_size = = 3\n", &["line 2"]),
        (b"lr = 0.1\nlr = 0.2\n", &["line 2"]),
        (b"lr = \"fast\"\n", &["lr", "fast"]),
        (b"batch_size = 2.5\n", &["batch_size", "2.5"]),
        (b"batch_size = -1\n", &["batch_size", "-1"]),
        (b"generator_hidden = [8, \"a\"]\n", &["generator_hidden"]),
        (b"[training]\nlr = 0.1\n", &["unknown key training"]),
        (b"dataset = \"faces\"\n", &["dataset", "faces"]),
        (b"lr = 0.1 \xff\xfe\n", &["UTF-8"]),
        (b"seed = 99999999999999999999\n", &["line 1"]),
        (b"{\"lr\": 0.1}\n", &["line 1"]),
    ];
    for (content, parts) in cases {
        std::fs::write(&file, content).unwrap();
        let said = place.refuse_train(&["--config", &config], 2, parts);
        assert!(said.contains("my own.toml"), "{said}");
    }
    let folder = text(&place.path("digits"));
    place.refuse_train(&["--config", &folder], 2, &["digits"]);
    let missing = text(&place.path("missing.toml"));
    place.refuse_train(
        &["--config", &missing],
        2,
        &["missing.toml", "check the path"],
    );
    assert!(!place.path("runs").exists(), "nothing was written");
}

#[test]
fn broken_data_are_refused_with_the_file() {
    let place = Place::new();
    let data = place.path("data");
    std::fs::create_dir(&data).unwrap();
    let data_text = text(&data);
    let refuse_data = |parts: &[&str]| {
        let (out, name) = (place.out(), "--steps=2");
        let command = ["train", "--out", &out, "--data", &data_text, name];
        refuse(&[&command[..], &TINY].concat(), 3, parts);
    };
    refuse_data(&["data", "holds no train-images-idx3-ubyte"]);
    std::fs::write(data.join(".DS_Store"), "x").unwrap();
    refuse_data(&["holds no train-images-idx3-ubyte"]);
    std::fs::write(
        data.join("train-labels-idx1-ubyte"),
        idx_bytes(0x0801, &[40], &[1; 40]),
    )
    .unwrap();
    refuse_data(&["only labels: train-labels-idx1-ubyte"]);
    std::fs::remove_file(data.join("train-labels-idx1-ubyte")).unwrap();

    let images = data.join("train-images-idx3-ubyte");
    let whole = idx_bytes(0x0803, &[40, 4, 4], &[7; 640]);
    let mut long = whole.clone();
    long.push(0);
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), Default::default());
    encoder.write_all(&whole).unwrap();
    let packed = encoder.finish().unwrap();
    let mut damaged = packed.clone();
    // In the check sum: what lies before it may be anything by then.
    let place_of_sum = damaged.len() - 6;
    damaged[place_of_sum] ^= 0x55;
    let cases: [(&[u8], &[&str]); 10] = [
        (b"", &["header is cut short", "download the file again"]),
        (b"<!DOCTYPE html><html>", &["magic number"]),
        (&idx_bytes(0x0801, &[640], &[1; 640]), &["a file of labels"]),
        (&whole[..600], &["ends after 584 of 640 bytes"]),
        (&long, &["goes on after the 640 bytes"]),
        (&packed[..packed.len() / 2], &["download the file again"]),
        (&damaged, &["download the file again"]),
        (&idx_bytes(0x0803, &[0, 4, 4], &[]), &["claims sizes"]),
        (&idx_bytes(0x0803, &[u32::MAX; 3], &[]), &["claims sizes"]),
        (
            &idx_bytes(0x0803, &[5, 4, 4], &[0; 80]),
            &["5 pictures", "--batch-size"],
        ),
    ];
    for (content, parts) in cases {
        std::fs::write(&images, content).unwrap();
        refuse_data(parts);
    }
    std::fs::write(&images, &whole).unwrap();
    std::fs::write(
        data.join("train-labels-idx1-ubyte"),
        idx_bytes(0x0801, &[39], &[1; 39]),
    )
    .unwrap();
    refuse_data(&["40 pictures", "39 labels", "train-labels-idx1-ubyte"]);
    place.refuse_train(
        &["--data", "/nowhere/at all"],
        3,
        &["/nowhere/at all", "--data"],
    );
    assert!(!place.path("runs").exists(), "nothing was written");

    // A picture of one grey everywhere is poor data, but no fault.
    std::fs::remove_file(data.join("train-labels-idx1-ubyte")).unwrap();
    let check = |missing: &str, parts: &[&str]| {
        let (code, out, error) = call(BINARY, &["data", "check", &data_text]);
        assert_eq!(
            code,
            Some(if missing.is_empty() { 0 } else { 3 }),
            "{error}"
        );
        assert!(error.contains(missing), "{error}");
        for part in parts {
            assert!(out.contains(part), "{part:?} is not in: {out}");
        }
    };
    check("", &["train: 40 pictures"]);
    let test = data.join("t10k-images-idx3-ubyte");
    std::fs::rename(&images, &test).unwrap();
    check("no train-images-idx3-ubyte", &["t10k: 40 pictures"]);
    let labels = data.join("train-labels-idx1-ubyte");
    std::fs::rename(&test, &labels).unwrap();
    check("no train-images-idx3-ubyte", &["train: labels without"]);
    std::fs::rename(&labels, &images).unwrap();
    place.train(&["--data", &data_text, "--steps", "4"]);
}

#[test]
fn samples_that_cannot_be_made_are_refused() {
    let place = Place::new();
    place.train(&["--steps", "2"]);
    let run = text(&place.run());
    let output = text(&place.path("made"));
    let ask = |verb: &str, more: &[&str], part: &str| {
        let given = [verb, "--checkpoint", &run, "-o", &output];
        refuse(&[&given[..], more].concat(), 2, &[part]);
    };
    ask("generate", &["--num", "0"], "--num 0");
    ask("generate", &["--num", "1000000000"], "1 to 1000000");
    ask("generate", &["--num=-5"], "num");
    ask("generate", &["--batch-size", "0"], "--batch-size");
    ask("generate", &["--seeds", ""], "--seeds");
    ask("generate", &["--seeds", "5-1"], "--seeds 5-1");
    ask(
        "generate",
        &["--seeds", "0-18446744073709551615"],
        "at most 1000000",
    );
    ask("generate", &["--seeds", "1;2"], "--seeds 1;2");
    ask("generate", &["--seeds", "18446744073709551616"], "--seeds");
    for grid in [
        "0x8",
        "8",
        "x",
        "65x1",
        "18446744073709551615x18446744073709551615",
    ] {
        ask("generate", &["--grid", grid], "COLUMNSxROWS");
    }
    ask("generate", &["--device", "cuda"], "not in this build");
    assert!(!place.path("made").exists(), "nothing was written");

    let walk = text(&place.path("walk.gif"));
    let ask = |more: &[&str], part: &str| {
        let given = ["interpolate", "--checkpoint", &run, "-o", &walk];
        refuse(&[&given[..], more].concat(), 2, &[part]);
    };
    ask(&["--frames", "0"], "--frames 0");
    ask(&["--frames", "1001"], "1 to 1000");
    ask(&["--size", "0"], "--size 0");
    ask(&["--size", "4000000000"], "1 to 2048");
    ask(&["--seeds", "1"], "two seeds");
    ask(&["--seeds", "0-999999"], "5000 frames");
    for expression in [
        "",
        "+",
        "a-",
        "[1,2",
        "z",
        "a*b",
        "[]",
        "99999999999999999999",
    ] {
        let expression = format!("--expression={expression}");
        ask(&[&expression], "--expression");
    }
    assert!(!place.path("walk.gif").exists(), "nothing was written");
    // A file stands where the folder should be.
    std::fs::write(place.path("taken"), "x").unwrap();
    let taken = text(&place.path("taken"));
    refuse(
        &["generate", "--checkpoint", &run, "--num", "1", "-o", &taken],
        6,
        &["taken"],
    );
    place.refuse_train(&["--name", "other", "--out", &taken], 6, &["taken"]);
}

/// The damage that is done to a file: cut at every sixteenth, and single bits flipped.
fn damages(whole: &[u8], random: &mut Random) -> Vec<(String, Vec<u8>)> {
    let mut all = Vec::new();
    for part in 0..16 {
        let length = whole.len() * part / 16;
        all.push((format!("cut to {length} bytes"), whole[..length].to_vec()));
    }
    for _ in 0..8 {
        let (at, bit) = (random.below(whole.len() as u64), random.below(8));
        let mut flipped = whole.to_vec();
        flipped[at as usize] ^= 1 << bit;
        all.push((format!("bit {bit} of byte {at} flipped"), flipped));
    }
    let mut long = whole.to_vec();
    long.push(b'\n');
    all.push(("one byte more".to_owned(), long));
    all
}

#[test]
fn every_file_of_a_checkpoint_may_be_damaged() {
    let place = Place::new();
    place.train(&["--steps", "4"]);
    let step = place.checkpoints().join("step_00000004");
    let checkpoint = text(&step);
    let made = text(&place.path("made"));
    let mut random = Random(1);
    let files = walk(&step);
    assert_eq!(files.len(), 6, "{files:?}");
    for file in files {
        let name = file.file_name().unwrap().to_string_lossy().into_owned();
        let whole = std::fs::read(&file).unwrap();
        for (what, bytes) in damages(&whole, &mut random) {
            std::fs::remove_file(&file).unwrap();
            std::fs::write(&file, bytes).unwrap();
            let generate = ["generate", "--checkpoint", &checkpoint, "-o", &made];
            for command in [
                &[&generate[..], &["--num", "1"]].concat()[..],
                &["info", &checkpoint],
            ] {
                let (code, out, error) = call(BINARY, command);
                let case = format!("{name} {what}: {command:?}\n{out}\n{error}");
                assert_calm(&error);
                match code {
                    Some(4) => assert!(error.contains("step_00000004"), "{case}"),
                    // Neither samples nor a description need the optimizers.
                    Some(0) => {
                        assert!(name.ends_with("_optimizer.safetensors"), "{case}");
                        assert!(!out.contains("every file matches"), "{case}");
                        let is_told = out.contains("damaged") && out.contains(&name);
                        assert!(command[0] == "generate" || is_told, "{case}");
                    }
                    _ => panic!("{case}"),
                }
            }
        }
        std::fs::write(&file, whole).unwrap();
    }
    succeed(BINARY, &["info", &checkpoint]);
}

#[test]
fn a_run_falls_back_to_its_older_checkpoint() {
    let place = Place::new();
    place.train(&["--steps", "4"]);
    let step = place.checkpoints().join("step_00000004");
    let files = walk(&step);
    let before: Vec<_> = files
        .iter()
        .map(|file| std::fs::read(file).unwrap())
        .collect();
    for (file, whole) in files.iter().zip(&before) {
        for damage in 0..3 {
            let changed = match damage {
                0 => Some(whole[..whole.len() / 2].to_vec()),
                1 => Some(Vec::new()),
                _ => None,
            };
            std::fs::remove_file(file).unwrap();
            if let Some(bytes) = changed {
                std::fs::write(file, bytes).unwrap();
            }
            let (code, said) = place.resume(&[]);
            let name = file.file_name().unwrap().to_string_lossy();
            assert_eq!(code, Some(0), "{name}: {said}");
            assert!(
                said.contains(&*name) && said.contains("falling back"),
                "{name}: {said}"
            );
            // The steps are done again, and every byte is as it was.
            for (file, whole) in files.iter().zip(&before) {
                assert_eq!(&std::fs::read(file).unwrap(), whole, "{}", file.display());
            }
        }
    }
    // What `latest` says is only a hint.
    for content in [&b""[..], b"step_99999999\n", b"../../../x\n", &[0xff; 40]] {
        std::fs::write(place.checkpoints().join("latest"), content).unwrap();
        let (code, said) = place.resume(&[]);
        assert_eq!(code, Some(0), "{said}");
        succeed(BINARY, &["info", &text(&place.run())]);
    }
    // Nothing whole is left.
    for (_, folder) in checkpoint::steps(&place.checkpoints()).unwrap() {
        std::fs::write(folder.join("discriminator.safetensors"), "x").unwrap();
    }
    let (code, said) = place.resume(&[]);
    assert_eq!(code, Some(4), "{said}");
    assert!(said.contains("discriminator.safetensors"), "{said}");
    // A folder without anything, and one without a manifest.
    let empty = text(&place.path("digits"));
    refuse(&["info", &empty], 4, &["digits", "holds no checkpoint"]);
    std::fs::remove_file(step.join("manifest.json")).unwrap();
    refuse(&["info", &text(&step)], 4, &["step_00000004"]);
    // The run's configuration is a file too.
    let config = place.run().join("config.toml");
    let text = std::fs::read_to_string(&config).unwrap();
    for empty in ["", "# Train the same again\n\n"] {
        std::fs::write(&config, empty).unwrap();
        let (code, said) = place.resume(&[]);
        assert_eq!(code, Some(4), "{said}");
        assert!(said.contains("config.toml is damaged"), "{said}");
    }
    std::fs::write(&config, text.replace("batch_size", "batch_sise")).unwrap();
    let (code, said) = place.resume(&[]);
    assert_eq!(code, Some(2), "{said}");
    assert!(
        said.contains("config.toml") && said.contains("batch_sise"),
        "{said}"
    );
}

#[test]
fn a_refused_resumption_changes_nothing() {
    let place = Place::new();
    place.train(&["--steps", "4"]);
    let config = place.run().join("config.toml");
    let before = std::fs::read(&config).unwrap();
    let other = place.path("other");
    std::fs::create_dir(&other).unwrap();
    let pictures = vanilla::data::procedural(3, 39);
    std::fs::write(
        other.join("train-images-idx3-ubyte"),
        idx_bytes(0x0803, &[39, 28, 28], &pictures.pixels),
    )
    .unwrap();
    let more = ["--steps", "8", "--data", &text(&other)];
    let (code, said) = place.resume(&more);
    assert_eq!(code, Some(4), "{said}");
    assert!(
        said.contains("trained on other data") && said.contains("--allow-changed-data"),
        "{said}"
    );
    assert_eq!(std::fs::read(&config).unwrap(), before);

    let (code, said) = place.resume(&[&more[..], &["--allow-changed-data"]].concat());
    assert_eq!(code, Some(0), "{said}");
    assert!(
        said.contains("warning") && said.contains("no longer the same bit for bit"),
        "{said}"
    );
    assert_ne!(std::fs::read(&config).unwrap(), before);
    assert_eq!(place.newest_step(), 8);
    // From there on these are the run's data.
    let (code, said) = place.resume(&["--steps", "9"]);
    assert_eq!(code, Some(0), "{said}");
    refuse(&["train", "--allow-changed-data"], 2, &["--resume"]);
}

#[test]
fn a_run_whose_checkpoints_are_gone_does_not_start_again() {
    let place = Place::new();
    place.train(&["--steps", "4"]);
    let gone = place.run().join("checkpoints");
    let log = place.run().join("metrics.jsonl");
    let before = std::fs::read(&log).unwrap();
    std::fs::rename(&gone, place.path("unmounted")).unwrap();
    for is_empty in [false, true] {
        if is_empty {
            std::fs::create_dir(&gone).unwrap();
        }
        let (code, said) = place.resume(&[]);
        assert_eq!(code, Some(4), "{said}");
        assert!(
            said.contains("checkpoints/gan holds no checkpoint")
                && said.contains("step 4")
                && said.contains("--name"),
            "{said}"
        );
        assert_eq!(std::fs::read(&log).unwrap(), before);
    }
    // Not a folder at all: what is in it cannot be told.
    std::fs::remove_dir(&gone).unwrap();
    std::fs::write(&gone, "x").unwrap();
    let (code, said) = place.resume(&[]);
    assert_eq!(code, Some(4), "{said}");
    std::fs::remove_file(&gone).unwrap();

    // A run that was killed before its first checkpoint has none.
    std::fs::write(
        &log,
        &b"{\"stage\":\"gan\",\"step\":2}\n\xff\xfe\n{\"sta"[..],
    )
    .unwrap();
    let (code, said) = place.resume(&[]);
    assert_eq!(code, Some(0), "{said}");
    assert!(
        said.contains("warning") && said.contains("the stage starts at step 0 again"),
        "{said}"
    );
    assert_eq!(place.newest_step(), 4);
    let text = std::fs::read_to_string(&log).expect("a log of text alone");
    assert_eq!(text.matches("\"step\":2").count(), 1, "{text}");
}

/// Samples and logs come after the checkpoint of their step, or cause one.
#[test]
fn a_sample_that_cannot_be_written_costs_no_step() {
    let place = Place::new();
    let often = ["--sample-every", "5", "--save-every", "100"];
    place.train(&[&often[..], &["--steps", "2"]].concat());
    let sample = place.run().join("samples/step_00000005.png");
    std::fs::create_dir(&sample).unwrap();
    let (code, said) = place.resume(&["--steps", "12"]);
    assert_eq!(code, Some(6), "{said}");
    assert!(
        said.contains("stopped at step 5 of 12; the checkpoint is saved")
            && said.contains("step_00000005.png"),
        "{said}"
    );
    assert_eq!(place.newest_step(), 5);
    let (code, said) = place.resume(&["--steps", "12"]);
    assert_eq!(code, Some(0), "{said}");
    // A folder among the samples is no reason to fail when all is done.
    assert!(
        said.contains("left out of the animation") && said.contains("step_00000005.png"),
        "{said}"
    );
    assert!(place.run().join("samples/training.gif").is_file());
    let straight = Place::new();
    straight.train(&[&often[..], &["--steps", "12"]].concat());
    let newest = |place: &Place| gan_core::contract::newest_files(&place.run(), "gan");
    assert!(newest(&place) == newest(&straight));
}

/// The moments of the optimizers matter to a trainer only; people leave them out to save space.
#[test]
fn samples_do_not_need_the_optimizers() {
    let place = Place::new();
    place.train(&["--steps", "4"]);
    for (_, folder) in checkpoint::steps(&place.checkpoints()).unwrap() {
        for name in ["generator_optimizer", "discriminator_optimizer"] {
            std::fs::remove_file(folder.join(format!("{name}.safetensors"))).unwrap();
        }
    }
    let (code, said) = place.resume(&["--steps", "5"]);
    assert_eq!(code, Some(4), "{said}");
    assert!(said.contains("_optimizer.safetensors"), "{said}");
    let made = text(&place.path("made"));
    let step = text(&place.checkpoints().join("step_00000004"));
    let file = text(
        &place
            .checkpoints()
            .join("step_00000004/generator_ema.safetensors"),
    );
    for checkpoint in [file, step, text(&place.run())] {
        let command = [
            "generate",
            "--checkpoint",
            &checkpoint,
            "--num",
            "1",
            "-o",
            &made,
        ];
        let (code, _, error) = call(BINARY, &command);
        assert_eq!(code, Some(0), "{checkpoint}: {error}");
    }
}

/// Changes a weights file of a step folder and makes the manifest agree with it.
fn rewrite(step: &Path, name: &str, change: impl Fn(&mut WeightFile)) {
    let place = step.join(name);
    let mut file = weights::read(&place).unwrap();
    change(&mut file);
    weights::write(&place, &file.tensors, &file.metadata).unwrap();
    let bytes = std::fs::read(&place).unwrap();
    forge(step, |manifest| {
        let record = manifest.files.get_mut(name).unwrap();
        record.bytes = bytes.len() as u64;
        record.sha256 = sha256(&bytes);
    });
}

/// Changes a manifest and gives it the sum that belongs to it.
fn forge(step: &Path, change: impl Fn(&mut checkpoint::Manifest)) {
    let place = step.join("manifest.json");
    let mut manifest = serde_json::from_slice(&std::fs::read(&place).unwrap()).unwrap();
    change(&mut manifest);
    std::fs::write(&place, manifest.text().unwrap()).unwrap();
}

#[test]
fn weights_that_are_no_numbers_or_of_another_network_are_refused() {
    let place = Place::new();
    let step = place.checkpoints().join("step_00000004");
    let generator = step.join("generator_ema.safetensors");
    let made = text(&place.path("made"));
    let ask = |parts: &[&str]| {
        for checkpoint in [text(&step), text(&generator)] {
            let command = ["generate", "--checkpoint", &checkpoint, "-o", &made];
            refuse(&command, 4, parts);
        }
    };
    let again = || {
        let _ = std::fs::remove_dir_all(place.path("runs"));
        place.train(&["--steps", "4"]);
    };
    for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        again();
        rewrite(&step, "generator_ema.safetensors", |file| {
            file.tensors.get_mut("main.0.weight").unwrap().values[3] = bad;
        });
        ask(&[
            "generator_ema.safetensors",
            "main.0.weight",
            &bad.to_string(),
        ]);
    }
    let (code, said) = place.resume(&["--steps", "5"]);
    assert_eq!(code, Some(4), "{said}");
    assert!(said.contains("main.0.weight"), "{said}");

    again();
    rewrite(&step, "generator_ema.safetensors", |file| {
        file.tensors.remove("main.0.bias");
    });
    // Fewer numbers than the configuration describes is found before names are compared.
    ask(&["generator_ema.safetensors"]);
    again();
    rewrite(&step, "generator_ema.safetensors", |file| {
        let tensor = file.tensors["main.0.bias"].clone();
        file.tensors.insert("stray".to_owned(), tensor);
    });
    ask(&["generator_ema.safetensors", "stray"]);
    again();
    rewrite(&step, "generator_ema.safetensors", |file| {
        file.tensors
            .get_mut("main.0.weight")
            .unwrap()
            .shape
            .reverse();
    });
    ask(&["generator_ema.safetensors", "main.0.weight", "[8, 4]"]);
    for (key, value, part) in [
        ("architecture", "dcgan", "checkpoint of dcgan"),
        ("network", "discriminator", "holds a discriminator"),
        ("config", "latent_dim = 0", "latent_dim = 0"),
        ("config", "nonsense = 3", "unknown key nonsense"),
        ("config", "= =", "line 1"),
        ("config", "latent_dim = 16000", "describes a network"),
        ("sample_size", "9999999x9999999", "sample_size"),
        ("sample_size", "0x0", "sample_size"),
        ("sample_size", "", "sample_size"),
    ] {
        again();
        rewrite(&step, "generator_ema.safetensors", |file| {
            file.metadata.insert(key.to_owned(), value.to_owned());
        });
        let parts = [part];
        let command = ["generate", "--checkpoint", &text(&generator), "-o", &made];
        refuse(&command, 4, &parts);
        // In a step folder the manifest names the architecture.
        if key != "architecture" && key != "network" {
            ask(&parts);
        }
    }
    again();
    forge(&step, |manifest| manifest.architecture = "dcgan".to_owned());
    let command = ["generate", "--checkpoint", &text(&step), "-o", &made];
    refuse(&command, 4, &["checkpoint of dcgan, not of vanilla"]);
    assert!(!place.path("made").exists(), "nothing was written");

    // Published weights of the other architecture.
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures");
    for name in ["dcgan_zip.pth", "dcgan_generator_64_transpose.safetensors"] {
        let weights = text(&fixtures.join(name));
        refuse(
            &["generate", "--checkpoint", &weights, "-o", &made],
            4,
            &[name],
        );
        let run = ["--name", "tuned", "--steps", "2", "--init-from", &weights];
        place.refuse_train(&run, 4, &["main.", "--init-from", name]);
    }
    for more in [&["--init-from", "/none"][..], &["--init-from", &made]] {
        let run = [&["--name", "tuned", "--steps", "2"], more].concat();
        let said = place.refuse_train(&run, 4, &["--init-from", more[1], "does not exist"]);
        assert!(!said.contains("--checkpoint"), "{said}");
    }
}

/// The folder's name, the manifest and the weights each say the step; a run goes on only where they agree.
#[test]
fn a_manifest_with_another_step_does_not_move_the_run() {
    let place = Place::new();
    place.train(&["--steps", "4"]);
    forge(&place.checkpoints().join("step_00000004"), |manifest| {
        manifest.step = 5;
    });
    let (code, said) = place.resume(&["--steps", "8"]);
    assert_eq!(code, Some(0), "{said}");
    assert!(
        said.contains("falling back") && said.contains("at step 3 of 8"),
        "{said}"
    );
}

#[test]
fn divergence_keeps_the_last_good_checkpoint() {
    let place = Place::new();
    place.train(&["--steps", "4"]);
    let more = ["--name", "wild", "--init-from", "run", "--steps", "400"];
    let wild = [
        "--optimizer",
        "goodfellow",
        "--lr",
        "1e30",
        "--save-every",
        "1",
    ];
    let said = place.refuse_train(&[&more[..], &wild].concat(), 7, &["seed 0", "lower --lr"]);
    assert!(said.contains("step"), "{said}");
    let folder = place.path("runs/vanilla/wild/checkpoints/gan");
    let (saved, warnings) = checkpoint::newest(&folder)
        .unwrap()
        .expect("step 0 is kept");
    assert_eq!(warnings, [""; 0]);
    for name in saved.manifest.files.keys() {
        for (tensor, values) in weights::read(&saved.path.join(name)).unwrap().tensors {
            let finite = values.values.iter().all(|value| value.is_finite());
            assert!(finite, "{tensor} of {name}");
        }
    }
    assert!(place.leftovers().is_empty(), "{:?}", place.leftovers());
    assert!(said.contains("the checkpoint of step 0 is kept"), "{said}");
    let none = ["--name", "none", "--steps", "400"];
    let said = place.refuse_train(&[&none[..], &wild[..4]].concat(), 7, &["seed 0"]);
    assert!(said.contains("no checkpoint had been saved yet"), "{said}");
    let made = text(&place.path("made"));
    let run = text(&place.path("runs/vanilla/wild"));
    succeed(
        BINARY,
        &["generate", "--checkpoint", &run, "--num", "1", "-o", &made],
    );
    // Gradients of any size, but finite: a large rate alone is no reason to stop.
    place.train(&["--name", "fast", "--steps", "4", "--lr", "0.5"]);
}

fn start(command: &[String], errors: &Path) -> Child {
    Command::new(BINARY)
        .args(command)
        .stdout(Stdio::null())
        .stderr(std::fs::File::create(errors).unwrap())
        .spawn()
        .unwrap()
}

/// Waits until `done`, or panics after half a minute.
fn wait_until(what: &str, mut done: impl FnMut() -> bool) {
    let began = Instant::now();
    while !done() {
        assert!(began.elapsed() < Duration::from_secs(30), "waiting: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn two_trainers_never_share_a_folder() {
    let place = Place::new();
    let errors = place.path("errors");
    let mut child = start(&place.command(&["--steps", "100000000"]), &errors);
    wait_until("the first checkpoint", || {
        place.checkpoints().join("latest").is_file()
    });
    let (code, said) = place.resume(&[]);
    let id = child.id().to_string();
    assert_eq!(code, Some(6), "{said}");
    assert!(
        said.contains(&format!("process {id}")) && said.contains("--name"),
        "{said}"
    );
    place.refuse_train(&["--steps", "2"], 2, &["run exists", "--resume run"]);
    child.kill().unwrap();
    child.wait().unwrap();
    // The lock of a dead process binds nobody.
    let (code, said) = place.resume(&["--steps", "100000000", "--batch-size", "4"]);
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains("batch_size is 8 in the run"), "{said}");

    // Started at the same moment under the same name, one of them trains.
    for round in 0..6 {
        let name = format!("pair-{round}");
        let command = place.command(&["--steps", "12", "--name", &name]);
        let mut pair = [1, 2].map(|number| start(&command, &place.path(&format!("e{number}"))));
        let mut codes = pair.each_mut().map(|child| child.wait().unwrap().code());
        codes.sort();
        assert_eq!(codes[0], Some(0), "{codes:?}");
        assert!([Some(2), Some(6)].contains(&codes[1]), "{codes:?}");
        for number in [1, 2] {
            let said = std::fs::read_to_string(place.path(&format!("e{number}"))).unwrap();
            assert_calm(&said);
        }
    }
}

/// A small file system in memory, unmounted at the end.
struct SmallDisk(PathBuf);

impl SmallDisk {
    fn mount(folder: PathBuf, size: &str) -> Option<Self> {
        std::fs::create_dir(&folder).unwrap();
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={size}"), "none"])
            .arg(&folder)
            .stderr(Stdio::null())
            .status()
            .is_ok_and(|status| status.success());
        mounted.then_some(Self(folder))
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(&self.0).status();
    }
}

#[test]
fn a_full_disk_costs_no_checkpoint() {
    let place = Place::new();
    let mut hints = Vec::new();
    // Sizes at which other files are the ones that no longer fit.
    for (number, size) in ["1300k", "1304k", "1400k", "2m"].iter().enumerate() {
        let Some(disk) = SmallDisk::mount(place.path(&format!("disk-{number}")), size) else {
            return skip("this process may not mount a file system");
        };
        let out = text(&disk.0);
        let more = ["--steps", "1000000", "--save-every", "1", "--keep", "1000"];
        let more = [&more[..], &["--out", &out]].concat();
        let said = place.refuse_train(&more, 6, &["No space left"]);
        assert!(said.contains(&out), "{said}");
        hints.push((
            said.contains("free some space, or choose another --out"),
            said,
        ));
        let gan = disk.0.join("vanilla/run/checkpoints/gan");
        assert!(place.leftovers().is_empty(), "{:?}", place.leftovers());
        let steps = checkpoint::steps(&gan).unwrap();
        assert!(steps.len() > 1, "{size}: {steps:?}");
        for (_, folder) in &steps {
            checkpoint::Saved::open(folder).expect("what has its name is whole");
        }
        // With some room again, the run goes on from there.
        succeed(BINARY, &["runs", "prune", "--out", &out]);
        let resume = ["train", "--resume", "run", "--out", &out];
        let said = refuse(&resume, 6, &["No space left"]);
        let (last, _) = steps[steps.len() - 1];
        assert!(said.contains(&format!("at step {last} of")), "{said}");
        let newest = checkpoint::newest(&gan).unwrap().unwrap();
        assert!(newest.0.manifest.step > last);
    }
    for (has_hint, said) in hints {
        assert!(has_hint, "what to do is not in: {said}");
    }
}

/// What cannot take the finished folder's place is refused before the work.
#[test]
fn a_folder_on_which_a_disk_is_mounted_is_no_place_for_prepared_data() {
    let place = Place::new();
    let Some(disk) = SmallDisk::mount(place.path("disk"), "1m") else {
        return skip("this process may not mount a file system");
    };
    let prepare = ["data", "prepare", "--procedural", "--num", "10", "-o"];
    let mounted = text(&disk.0);
    refuse(
        &[&prepare[..], &[&mounted]].concat(),
        2,
        &["cannot be replaced", "in it"],
    );
    let inner = text(&disk.0.join("digits"));
    succeed(BINARY, &[&prepare[..], &[&inner]].concat());
    assert!(place.leftovers().is_empty(), "{:?}", place.leftovers());
}

#[cfg(unix)]
#[test]
fn a_limit_on_file_sizes_costs_no_checkpoint() {
    let place = Place::new();
    place.train(&["--steps", "4"]);
    let before = place.newest_step();
    // 40 kB hold the weights, but not the moments. The signal would end the process.
    let script = "ulimit -f 80 || exit 99; exec \"$@\"";
    let out = place.out();
    let output = Command::new("sh")
        .args(["-c", script, "sh", BINARY, "train", "--resume", "run"])
        .args(["--out", &out, "--steps", "8"])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    if output.status.code() == Some(99) {
        return skip("this shell sets no limits");
    }
    assert_eq!(output.status.code(), Some(6), "{said}");
    assert_calm(&said);
    assert!(
        said.contains("File too large") && said.contains("earlier ones are untouched"),
        "{said}"
    );
    assert_eq!(place.newest_step(), before);
    assert!(place.leftovers().is_empty(), "{:?}", place.leftovers());
    let (code, said) = place.resume(&["--steps", "8"]);
    assert_eq!(code, Some(0), "{said}");
    assert_eq!(place.newest_step(), 8);
}

#[cfg(unix)]
#[test]
fn a_folder_that_may_not_be_written_is_named() {
    use std::os::unix::fs::PermissionsExt;
    let place = Place::new();
    let locked = place.path("locked");
    std::fs::create_dir(&locked).unwrap();
    std::fs::set_permissions(&locked, PermissionsExt::from_mode(0o555)).unwrap();
    if std::fs::write(locked.join("probe"), "").is_ok() {
        return skip("this user may write everywhere");
    }
    let out = text(&locked);
    place.refuse_train(
        &["--steps", "2", "--out", &out],
        6,
        &["locked", "check the permissions"],
    );
}

#[test]
fn fifty_kills_leave_whole_checkpoints_and_no_litter() {
    let place = Place::new();
    let errors = place.path("errors");
    let mut random = Random(50);
    let fresh = place.command(&["--steps", "100000000", "--save-every", "1", "--quiet"]);
    let resume: Vec<String> = ["train", "--resume", "run", "--quiet", "--out", &place.out()]
        .map(str::to_owned)
        .into();
    let mut last = 0;
    let mut litter = 0;
    let mut earlier: Vec<u32> = Vec::new();
    for round in 0..50 {
        let has_begun = place.run().join("config.toml").is_file();
        let mut child = start(if has_begun { &resume } else { &fresh }, &errors);
        let delay = Duration::from_millis(20 + random.below(180));
        std::thread::sleep(delay);
        let ended = child.try_wait().unwrap();
        let said = std::fs::read_to_string(&errors).unwrap();
        assert!(ended.is_none(), "round {round}: {ended:?} {said}");
        child.kill().unwrap();
        child.wait().unwrap();
        let Some((saved, warnings)) = checkpoint::newest(&place.checkpoints())
            .unwrap_or_else(|error| panic!("round {round}, killed after {delay:?}: {error:#}"))
        else {
            continue;
        };
        assert_eq!(warnings, [""; 0], "round {round}, killed after {delay:?}");
        let step = saved.manifest.step;
        assert!(step >= last, "round {round}: {last} became {step}");
        // A process that got to save has swept what others left.
        let left = place.leftovers();
        litter += left.len();
        if step > last {
            for id in &earlier {
                let ending = format!(".tmp-{id}");
                let old = left.iter().find(|path| text(path).contains(&ending));
                assert!(old.is_none(), "round {round}: {old:?}");
            }
        }
        earlier = vec![child.id()];
        last = step;
    }
    assert!(last > 0, "no checkpoint in fifty rounds");
    assert!(litter > 0, "no kill fell into a save");

    let child = start(&resume, &errors);
    wait_until("one more checkpoint", || place.newest_step() > last);
    let id = child.id().to_string();
    let sent = Command::new("kill").args(["-INT", &id]).status().unwrap();
    assert!(sent.success());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130));
    assert!(place.leftovers().is_empty(), "{:?}", place.leftovers());
    let newest = checkpoint::newest(&place.checkpoints()).unwrap().unwrap();
    assert!(newest.0.manifest.step > last && newest.1.is_empty());
    let log = std::fs::read_to_string(place.run().join("metrics.jsonl")).unwrap();
    let mut steps = Vec::new();
    for line in log.lines() {
        let row: serde_json::Value = serde_json::from_str(line).expect("no torn line");
        steps.push(row["step"].as_u64().unwrap());
    }
    assert!(steps.is_sorted(), "each step is logged once");
}

#[test]
fn a_closed_output_is_no_panic() {
    let place = Place::new();
    place.train(&["--steps", "4"]);
    let (run, out) = (text(&place.run()), place.out());
    let data = text(&place.path("digits"));
    let train = [
        "train", "--json", "--steps", "40", "--data", &data, "--out", &out,
    ];
    let commands: [&[&str]; 7] = [
        &["info", &run],
        &["runs", "list", "--out", &out],
        &["devices"],
        &["--help"],
        &["train", "--help"],
        &["train", "--dry-run", "--data", &data, "--batch-size", "8"],
        &[&train[..], &TINY].concat(),
    ];
    for command in commands {
        let mut child = Command::new(BINARY)
            .args(command)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // The reader goes away before the first line.
        drop(child.stdout.take());
        let output = child.wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert_calm(&said);
        // Or ended by the signal itself, which has no code.
        let code = output.status.code();
        assert!(
            [Some(0), None].contains(&code),
            "{command:?}: {code:?} {said}"
        );
    }
}

#[test]
fn two_runs_without_a_name_get_two_folders() {
    let place = Place::new();
    let (out, data) = (place.out(), text(&place.path("digits")));
    let mut command = vec!["train", "--data", &data, "--steps", "2", "--out", &out];
    command.extend(TINY);
    let start = || {
        Command::new(BINARY)
            .args(&command)
            .stderr(Stdio::null())
            .spawn()
            .unwrap()
    };
    let both = [start(), start(), start(), start()];
    for mut child in both {
        assert_eq!(child.wait().unwrap().code(), Some(0));
    }
    for number in 1..=4 {
        let run = Path::new(&out).join(format!("vanilla/{number:03}/report.html"));
        assert!(run.is_file(), "{} is missing", run.display());
    }
}
