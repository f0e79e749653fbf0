//! Shapes, the printed networks, the stage contracts, and the binary from end to end.

use burn::tensor::{Device, Tensor};
use gan_core::config::Training;
use gan_core::contract::{self, fail, newest_files, succeed};
use gan_core::images;
use gan_core::layers::Statistics;
use gan_core::random::Stream;
use gan_core::stage::Stage;
use gan_core::weights::{self, Metadata};
use stackgan::config::Variant;
use stackgan::data::{Batch, Read};
use stackgan::discriminator::{self, Discriminator};
use stackgan::gan::{Gan, Maker, Noise};
use stackgan::generator::{Shape, StageOne, StageTwo};
use stackgan::judge::Judging;
use stackgan::read::{Held, Reader};
use stackgan::text::letters;
use stackgan::{Config, Sampler, pickle};
use std::path::Path;

const BINARY: &str = env!("CARGO_BIN_EXE_stackgan");

fn text(path: &Path) -> String {
    path.display().to_string()
}

fn small(variant: Variant) -> Config {
    Config {
        variant,
        image_size: 32,
        latent_dim: 6,
        condition_dim: 5,
        text_dim: 12,
        width_g: 4,
        width_d: 3,
        residual_blocks: 1,
        width_text: 8,
        width_judge: 4,
        ema_decay: 0.9,
        training: Training {
            batch_size: 4,
            ..Training::default()
        },
        ..Config::default()
    }
}

const VARIANTS: [Variant; 2] = [Variant::Tf, Variant::Pytorch];

#[test]
fn every_size_gives_its_shapes() {
    let device = Device::flex();
    for variant in VARIANTS {
        for image_size in [32, 64] {
            let config = Config {
                image_size,
                ..small(variant)
            };
            let shape = Shape::new(&config);
            let texts = Tensor::ones([2, 12], &device);
            let noise = |is_second| {
                let values = Noise::values(&shape, is_second, 2, &mut Stream::new(1, "noise", 0));
                Noise::new(values, &shape, &device)
            };
            let one = StageOne::new(&shape, &device);
            let (small, _) = one.make(texts.clone(), noise(false), Statistics::Running);
            assert_eq!(small.dims(), [2, 3, image_size, image_size]);
            let two = StageTwo::new(&shape, &device);
            let (large, _) = two.make(texts.clone(), noise(true), Statistics::Running);
            assert_eq!(large.dims(), [2, 3, 4 * image_size, 4 * image_size]);
            for (pictures, is_second) in [(small, false), (large, true)] {
                let shape = discriminator::Shape::new(&config, is_second);
                let network = Discriminator::new(&shape, &device);
                let seen = network.look(pictures, Statistics::Running);
                let told = match variant {
                    Variant::Tf => texts.clone(),
                    Variant::Pytorch => Tensor::ones([2, 5], &device),
                };
                let logits = network.judge(seen.clone(), told, Statistics::Running);
                assert_eq!(logits.dims(), [2]);
                let has_alone = is_second && variant == Variant::Pytorch;
                assert_eq!(network.judge_alone(seen).is_some(), has_alone);
            }
        }
    }
}

fn adversarial(config: &Config, is_second: bool, step: u64) -> Batch {
    let mut stream = Stream::new(5, "batch", step);
    let count = 4 * 3 * config.side(is_second).pow(2);
    Batch {
        pixels: stream.uniform(count, -1.0, 1.0),
        wrong: match config.variant {
            Variant::Tf => stream.uniform(count, -1.0, 1.0),
            Variant::Pytorch => Vec::new(),
        },
        text: stream.normal(4 * config.text_dim),
        captions: vec!["a red bird".to_owned(); 4],
    }
}

#[test]
fn both_stages_keep_the_contract() {
    let device = Device::flex();
    for variant in VARIANTS {
        let config = small(variant);
        let batch = |step| adversarial(&config, false, step);
        contract::holds(|| Gan::<StageOne>::new(&config, &device), batch, 4);
    }
    // The first stage stands still inside of the second: only its running statistics move, and the rest of the file does.
    let config = small(Variant::Pytorch);
    let batch = |step| adversarial(&config, true, step);
    contract::holds(|| Gan::<StageTwo>::new(&config, &device), batch, 2);
}

fn read(config: &Config, step: u64) -> Read {
    let mut stream = Stream::new(5, "read", step);
    Read {
        pixels: stream.uniform(4 * 3 * config.image_size.pow(2), -1.0, 1.0),
        letters: [
            ["red", "a blue one", "green!", "x"],
            ["a red", "blue", "it is green", "y"],
        ]
        .map(|captions| captions.map(letters).to_vec()),
        classes: vec![0, 1, 2, 3],
    }
}

#[test]
fn text_encoder_and_judge_keep_the_contract() {
    let device = Device::flex();
    let config = small(Variant::Tf);
    let make = || Reader::new(&config, Held::default(), &device);
    contract::holds(make, |step| read(&config, step), 4);
    let make = || Judging::new(&config, None, &device).unwrap();
    contract::holds(make, |step| read(&config, step), 4);
}

/// The moments after a step of a batch in two halves are those of the whole, where both halves have the same batch
/// statistics.
#[test]
fn the_parts_of_a_batch_add_up() {
    let device = Device::flex();
    let moments = |accumulate: usize| {
        let mut config = small(Variant::Tf);
        config.training.accumulate = accumulate;
        let mut batch = adversarial(&config, false, 0);
        let (half, numbers) = (batch.pixels.len() / 2, batch.text.len() / 2);
        batch.pixels.copy_within(..half, half);
        batch.wrong.copy_within(..half, half);
        batch.text.copy_within(..numbers, numbers);
        let mut stage = Gan::<StageOne>::new(&config, &device);
        // The draws of both halves differ, and with them what is made; of the discriminator's input, reals do not.
        let scalars = stage
            .step(batch, &gan_core::stage::At::new(7, 0, 1))
            .unwrap();
        let read = scalars.read();
        read.into_iter()
            .filter(|(name, _)| *name == "loss_real")
            .map(|(_, value)| value)
            .collect::<Vec<_>>()
    };
    let (whole, parts) = (moments(1), moments(2));
    assert_eq!((whole.len(), parts.len()), (1, 2));
    for part in parts {
        assert!((part - whole[0]).abs() < 1e-5, "{part} {}", whole[0]);
    }
}

/// Drawn birds in the layout of CUB-200-2011.
fn birds(folder: &Path, count: usize) -> String {
    let data = text(&folder.join("data"));
    let count = count.to_string();
    let command = [
        "data",
        "prepare",
        "--procedural",
        "--num",
        &count,
        "-o",
        &data,
    ];
    let said = succeed(BINARY, &command);
    assert!(said.contains("PROCEDURAL"), "{said}");
    data
}

const SMALL: [&str; 21] = [
    "--crop=false",
    "--image-size=32",
    "--latent-dim=6",
    "--condition-dim=5",
    "--text-dim=12",
    "--width-g=4",
    "--width-d=3",
    "--residual-blocks=1",
    "--width-text=8",
    "--width-judge=4",
    "--batch-size=6",
    "--batch-size-two=4",
    "--text-steps=9",
    "--steps=9",
    "--steps-two=5",
    "--judge-steps=4",
    "--log-every=3",
    "--sample-every=9",
    "--save-every=3",
    "--lr=0.02",
    "--label-smoothing=0.9",
];

/// A command of a small training; `more` goes before what is small.
fn trained<'a>(verb: &'a str, data: &'a str, out: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    let mut command = vec![verb, "--data", data, "--out", out];
    let key = |flag: &'a str| flag.split('=').next();
    let kept = SMALL.iter().copied();
    command.extend(kept.filter(|flag| more.iter().all(|other| key(other) != key(flag))));
    command.extend(more);
    command
}

#[test]
fn a_killed_run_resumes_bit_for_bit_through_all_stages() {
    let folder = tempfile::tempdir().unwrap();
    let data = birds(folder.path(), 40);
    let mut command = vec!["train", "--data", &data];
    command.extend(SMALL);
    for (stage, place) in [("two", "a"), ("one", "b"), ("text", "c")] {
        let place = folder.path().join(place);
        contract::resume_is_the_same_run(BINARY, "stackgan", stage, &command, &place);
    }
}

#[test]
fn threads_do_not_change_a_byte() {
    let folder = tempfile::tempdir().unwrap();
    let data = birds(folder.path(), 30);
    let mut command = vec!["train", "--data", &data];
    command.extend(SMALL);
    contract::threads_do_not_matter(BINARY, "stackgan", "two", &command, folder.path());
}

#[test]
fn birds_become_a_run_and_a_checkpoint_is_all_you_need() {
    let folder = tempfile::tempdir().unwrap();
    let place = |name: &str| text(&folder.path().join(name));
    let (data, out) = (birds(folder.path(), 40), place("runs"));
    let said = succeed(BINARY, &["data", "check", &data]);
    assert!(
        said.contains("40 birds can be read") && said.contains("train: 32 birds"),
        "{said}"
    );
    let said = succeed(BINARY, &trained("train", &data, &out, &["--name", "run"]));
    for stage in ["text", "one", "two"] {
        assert!(said.contains(&format!("training stage {stage}")), "{said}");
    }
    // Without the data, which is needed no more; and from the last step folder alone.
    std::fs::rename(&data, place("elsewhere")).unwrap();
    let run = place("runs/stackgan/run");
    let step = place("alone");
    let newest = |stage: &str| format!("{run}/checkpoints/{stage}/latest");
    let second = Path::new(&run).join("checkpoints/two/step_00000005");
    contract_copy(&second, Path::new(&step));
    let sentence = "a small red songbird with black wings";
    let made = |checkpoint: &str, more: &[&str], to: &str| {
        let output = place(to);
        let command = [
            "generate",
            "--checkpoint",
            checkpoint,
            "--text",
            sentence,
            "-o",
            &output,
        ];
        let said = succeed(BINARY, &[&command[..], more].concat());
        (output, said)
    };
    let (first, _) = made(&run, &["--seeds", "2,5"], "first");
    let (alone, _) = made(&step, &["--num", "6", "--batch-size", "4"], "alone_made");
    let read = |folder: &str, name: &str| std::fs::read(Path::new(folder).join(name)).unwrap();
    for name in ["text_0000_seed_00000002.png", "text_0000_seed_00000005.png"] {
        assert_eq!(
            read(&first, name),
            read(&alone, name),
            "a seed is one picture"
        );
    }
    let list = String::from_utf8(read(&first, "captions.tsv")).unwrap();
    assert_eq!(list.lines().count(), 2);
    assert!(
        list.starts_with(&format!("text_0000_seed_00000002.png\t{sentence}")),
        "{list}"
    );
    let picture = images::read(&Path::new(&first).join("text_0000_seed_00000002.png")).unwrap();
    assert_eq!(picture.width(), 128);
    // The first stage, from its own checkpoint.
    let (small, _) = made(&run, &["--stage", "1", "--seeds", "2"], "small");
    let picture = images::read(&Path::new(&small).join("text_0000_seed_00000002.png")).unwrap();
    assert_eq!(picture.width(), 32);
    let error = fail(
        BINARY,
        &[
            "generate",
            "--checkpoint",
            &newest("one"),
            "--stage",
            "2",
            "--text",
            sentence,
        ],
        4,
    );
    assert!(error.contains("of the first stage"), "{error}");
    let sampler = Sampler::open(&run).unwrap();
    let sentences = [
        sentence.to_owned(),
        "a large yellow owl without a crest".to_owned(),
    ];
    let texts = sampler.read(&sentences).unwrap();
    let pictures = sampler.sample(&texts, &[2, 2]);
    let file = Path::new(&first).join("text_0000_seed_00000002.png");
    let again = images::to_rgb(&images::read(&file).unwrap());
    assert!(pictures[0] == again);

    let sheet = place("sheet.png");
    let two = ["--text", "a blue duck", "--sheet", "--num", "3"];
    let command = [
        "generate",
        "--checkpoint",
        &run,
        "--text",
        sentence,
        "-o",
        &sheet,
    ];
    succeed(BINARY, &[&command[..], &two].concat());
    assert!(images::read(Path::new(&sheet)).unwrap().height() > 256);
    let walk = place("walk.gif");
    let command = [
        "interpolate",
        "--checkpoint",
        &run,
        "--from",
        sentence,
        "--to",
        "a blue duck",
        "--stage",
        "1",
    ];
    succeed(
        BINARY,
        &[
            &command[..],
            &["--frames", "5", "--seeds", "0,1", "-o", &walk],
        ]
        .concat(),
    );
    assert!(std::fs::metadata(&walk).unwrap().len() > 500);
    assert!(Path::new(&place("walk.sheet.png")).is_file());

    // Embeddings instead of words, and the text encoder of another place.
    let rows = place("rows.pickle");
    pickle::write_embeddings(Path::new(&rows), [2, 1, 12], &texts.concat()).unwrap();
    let from_rows = place("from_rows");
    let command = [
        "generate",
        "--checkpoint",
        &run,
        "--embeddings",
        &rows,
        "--seeds",
        "2",
        "-o",
        &from_rows,
    ];
    succeed(BINARY, &command);
    assert_eq!(
        read(&from_rows, "text_0000_seed_00000002.png"),
        read(&first, "text_0000_seed_00000002.png")
    );
    let exported = place("generator.safetensors");
    succeed(BINARY, &["export", "--checkpoint", &run, "-o", &exported]);
    let command = [
        "generate",
        "--checkpoint",
        &exported,
        "--text",
        sentence,
        "-o",
        &place("none"),
    ];
    let error = fail(BINARY, &command, 4);
    assert!(error.contains("--text-encoder"), "{error}");
    let (borrowed, _) = made(
        &exported,
        &["--text-encoder", &run, "--seeds", "2"],
        "borrowed",
    );
    assert_eq!(
        read(&borrowed, "text_0000_seed_00000002.png"),
        read(&first, "text_0000_seed_00000002.png")
    );
    let said = succeed(BINARY, &["info", &run]);
    assert!(said.contains("stackgan stage two, step 5"), "{said}");

    // Later runs that take stages over; the first one may be gone afterwards.
    let data = place("elsewhere");
    let later = ["--name", "later", "--stages", "two", "--init-from", &step];
    let error = fail(
        BINARY,
        &trained("train", &data, &out, &["--stages", "two"]),
        2,
    );
    assert!(error.contains("leaves text out"), "{error}");
    let error = fail(BINARY, &trained("train", &data, &out, &later), 4);
    assert!(error.contains("alone"), "{error}");
    let later = ["--name", "later", "--stages", "two", "--init-from", &run];
    let said = succeed(BINARY, &trained("train", &data, &out, &later));
    assert!(
        said.contains("training stage two") && !said.contains("training stage one"),
        "{said}"
    );
    std::fs::rename(&run, place("gone")).unwrap();
    made("later", &["--out", &out, "--num", "1"], "later_made");
    let frozen = |run: &str| {
        let files = newest_files(Path::new(run), "two");
        let tensors = weights::parse_safetensors(&files["generator.safetensors"])
            .unwrap()
            .tensors;
        let kept = tensors.into_iter();
        kept.filter(|(name, _)| name.starts_with("STAGE1_G.") && !name.contains("running_"))
            .collect::<Vec<_>>()
    };
    assert!(!frozen(&place("gone")).is_empty());
    assert_eq!(
        frozen(&place("gone")),
        frozen(&place("runs/stackgan/later"))
    );

    // All stages once more: every checkpoint holds the encoder that this run's captions were read by.
    let again = [
        "--name",
        "again",
        "--init-from",
        "later",
        "--text-steps=3",
        "--seed=4",
    ];
    succeed(BINARY, &trained("train", &data, &out, &again));
    let encoder = |stage: &str| {
        let files = newest_files(Path::new(&place("runs/stackgan/again")), stage);
        weights::parse_safetensors(&files["text_encoder.safetensors"])
            .unwrap()
            .tensors
    };
    assert_eq!(encoder("one"), encoder("text"));
    assert_eq!(encoder("two"), encoder("text"));
    let old = newest_files(Path::new(&place("gone")), "text");
    let old = weights::parse_safetensors(&old["text_encoder.safetensors"]).unwrap();
    assert_ne!(old.tensors, encoder("text"));
    // What does not fit is told before there is a run, and so is what is damaged.
    for (flag, word) in [
        ("--width-text=16", "--width-text 8"),
        ("--width-g=8", "--width-g 4"),
    ] {
        let wrong = [
            "--name",
            "wrong",
            "--stages",
            "two",
            "--init-from",
            "later",
            flag,
        ];
        let error = fail(BINARY, &trained("train", &data, &out, &wrong), 4);
        assert!(error.contains(word), "{error}");
    }
    let damaged = Path::new(&place("gone")).join("checkpoints/one");
    for entry in contract::walk(&damaged) {
        if entry.ends_with("generator.safetensors") {
            std::fs::write(&entry, b"gone").unwrap();
        }
    }
    let wrong = [
        "--name",
        "wrong",
        "--stages",
        "one",
        "--init-from",
        &place("gone"),
    ];
    let error = fail(BINARY, &trained("train", &data, &out, &wrong), 4);
    assert!(error.contains("gone"), "{error}");
    assert!(!Path::new(&place("runs/stackgan/wrong")).exists());

    // A judge, and what it says.
    let judge = ["train-judge", "--out", &out, "--name", "judge"];
    succeed(BINARY, &[&judge[..], &SMALL].concat());
    let json = place("judged.json");
    let command = [
        "evaluate",
        "--checkpoint",
        "later",
        "--out",
        &out,
        "--judge",
        "judge",
        "--birds",
        "6",
        "--json",
        &json,
    ];
    let said = succeed(BINARY, &command);
    for word in [
        "stage 1",
        "stage 2",
        "drawn",
        "of another caption",
        "unseen",
    ] {
        assert!(said.contains(word), "{said}");
    }
    let measured: serde_json::Value =
        serde_json::from_slice(&std::fs::read(&json).unwrap()).unwrap();
    assert_eq!(measured["rows"].as_array().unwrap().len(), 8);
}

/// Copies the files of one folder.
fn contract_copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap().flatten() {
        std::fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
    }
}

#[test]
fn embeddings_that_others_computed() {
    let folder = tempfile::tempdir().unwrap();
    let place = |name: &str| text(&folder.path().join(name));
    let (data, out) = (birds(folder.path(), 30), place("runs"));
    let error = fail(
        BINARY,
        &trained("train", &data, &out, &["--embeddings", "pickles"]),
        3,
    );
    assert!(error.contains("char-CNN-RNN-embeddings.pickle"), "{error}");
    for (part, count) in [("train", 24), ("test", 6)] {
        let values = Stream::new(3, part, 0).normal(count * 10 * 12);
        let path = Path::new(&data)
            .join(part)
            .join("char-CNN-RNN-embeddings.pickle");
        pickle::write_embeddings(&path, [count, 10, 12], &values).unwrap();
    }
    // Of those held out there are none: captions of training are shown, and that is said.
    let (there, away) = ("test/char-CNN-RNN-embeddings.pickle", "later.pickle");
    let moved = |from: &str, to: &str| {
        let data = Path::new(&data);
        std::fs::rename(data.join(from), data.join(to)).unwrap();
    };
    moved(there, away);
    let first = ["--embeddings=pickles", "--name=first", "--stages=one"];
    let said = succeed(BINARY, &trained("train", &data, &out, &first));
    assert!(said.contains("captions of training are shown"), "{said}");
    moved(away, there);
    let with = [
        "--embeddings",
        "pickles",
        "--name",
        "given",
        "--stages",
        "one",
    ];
    let said = succeed(BINARY, &trained("train", &data, &out, &with));
    assert!(!said.contains("training stage text"), "{said}");
    let run = place("runs/stackgan/given");
    let error = fail(
        BINARY,
        &["generate", "--checkpoint", &run, "--text", "a bird"],
        4,
    );
    assert!(error.contains("without a text encoder"), "{error}");
    let rows = Path::new(&data).join("test/char-CNN-RNN-embeddings.pickle");
    let made = place("made");
    let command = [
        "generate",
        "--checkpoint",
        &run,
        "--embeddings",
        &text(&rows),
        "--num",
        "1",
        "-o",
        &made,
    ];
    succeed(BINARY, &command);
    assert!(
        Path::new(&made)
            .join("text_0059_seed_00000000.png")
            .is_file()
    );
    let wide = trained(
        "train",
        &data,
        &out,
        &["--embeddings", "pickles", "--text-dim=13"],
    );
    let error = fail(BINARY, &wide, 3);
    assert!(error.contains("--text-dim 12"), "{error}");
    // As many embeddings as names, or none.
    let path = Path::new(&data).join("train/char-CNN-RNN-embeddings.pickle");
    pickle::write_embeddings(&path, [20, 10, 12], &[0.0; 2400]).unwrap();
    let error = fail(BINARY, &trained("train", &data, &out, &with), 3);
    assert!(error.contains("20") && error.contains("24"), "{error}");
}

#[test]
fn published_weights_are_told_by_their_tensors() {
    let folder = tempfile::tempdir().unwrap();
    let config = Config {
        width_g: 6,
        ..small(Variant::Pytorch)
    };
    let shape = Shape::new(&config);
    let device = Device::flex();
    let network = gan_core::init::initialise(
        StageTwo::new(&shape, &device),
        gan_core::init::Initial::FanIn,
        3,
        "published",
    );
    // As DataParallel saved it, and with nothing said of itself.
    let tensors = weights::collect(&network).into_iter();
    let tensors = tensors
        .map(|(name, tensor)| (format!("module.{name}"), tensor))
        .collect();
    let path = folder.path().join("netG_epoch_90.safetensors");
    weights::write(&path, &tensors, &Metadata::new()).unwrap();
    let sampler = Sampler::open(&path).unwrap();
    assert_eq!((sampler.side(), sampler.text_width()), (128, 12));
    // Another sentence is another picture under the same noise, and so is the same one under another.
    let texts = [vec![2.0; 12], vec![-2.0; 12], vec![2.0; 12]];
    let made = sampler.sample(&texts, &[1, 1, 2]);
    assert_eq!(made[0].width(), 128);
    assert!(made[0] != made[1] && made[0] != made[2]);
    assert!(sampler.sample(&texts[..1], &[1])[0] == made[0]);
    let broken: weights::Tensors = tensors_without(&tensors, "module.STAGE1_G.fc.0.weight");
    weights::write(&path, &broken, &Metadata::new()).unwrap();
    let error = fail(
        BINARY,
        &["generate", "--checkpoint", &text(&path), "--text", "x"],
        4,
    );
    assert!(error.contains("STAGE1_G.fc.0.weight"), "{error}");
}

fn tensors_without(tensors: &weights::Tensors, name: &str) -> weights::Tensors {
    let mut rest = tensors.clone();
    rest.remove(name);
    rest
}

/// One broken input of each kind: the exit code, and what the error has to say.
#[test]
fn bad_input_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let (data, out) = (birds(folder.path(), 20), text(&folder.path().join("runs")));
    let data_path = Path::new(&data);
    let try_it = || fail(BINARY, &trained("train", &data, &out, &[]), 3);
    let lists = data_path.join("train/filenames.pickle");
    let kept = std::fs::read(&lists).unwrap();
    std::fs::write(&lists, b"cos\nsystem\n(S'echo'\ntR.").unwrap();
    let error = try_it();
    assert!(
        error.contains("os.system") && error.contains("filenames.pickle"),
        "{error}"
    );
    std::fs::write(&lists, b"<html>").unwrap();
    assert!(try_it().contains("filenames.pickle"));
    std::fs::write(&lists, &kept).unwrap();
    let classes = data_path.join("train/class_info.pickle");
    let kept = std::fs::read(&classes).unwrap();
    pickle::write_integers(&classes, &[1, 2]).unwrap();
    let error = try_it();
    assert!(error.contains("class_info.pickle"), "{error}");
    std::fs::write(&classes, &kept).unwrap();
    // Captions that are missing, and too few birds for a batch.
    std::fs::rename(data_path.join("text_c10"), data_path.join("gone")).unwrap();
    let error = try_it();
    assert!(
        error.contains("caption") || error.contains("text_c10"),
        "{error}"
    );
    std::fs::rename(data_path.join("gone"), data_path.join("text_c10")).unwrap();
    let many = trained("train", &data, &out, &["--batch-size=64"]);
    let error = fail(BINARY, &many, 3);
    assert!(error.contains("fewer than a batch of 64"), "{error}");
    let error = fail(BINARY, &trained("train", "nowhere", &out, &[]), 3);
    assert!(error.contains("nowhere"), "{error}");
    for (arguments, word) in [
        (vec!["--stages", "one,three"], "stages"),
        (
            vec!["--embeddings", "pickles", "--batch-size-two=1"],
            "batch_size_two",
        ),
    ] {
        let error = fail(BINARY, &trained("train", &data, &out, &arguments), 2);
        assert!(error.contains(word), "{error}");
    }
    let error = fail(BINARY, &trained("train-judge", &data, &out, &[]), 2);
    assert!(error.contains("leave out --data"), "{error}");
    // Boxes beside their pictures.
    let boxes = data_path.join("CUB_200_2011/bounding_boxes.txt");
    let kept = std::fs::read_to_string(&boxes).unwrap();
    let far: String = (1..=20)
        .map(|number| format!("{number} 9000.0 9000.0 5.0 5.0\n"))
        .collect();
    std::fs::write(&boxes, far).unwrap();
    let cut = trained("train", &data, &out, &["--crop=true"]);
    assert!(fail(BINARY, &cut, 3).contains("lies beside the picture"));
    assert!(fail(BINARY, &["data", "check", &data], 3).contains("cannot be read"));
    std::fs::write(&boxes, kept).unwrap();
    // A caption of a book's length is read as far as any, and shown so.
    let caption = contract::walk(&data_path.join("text_c10")).pop().unwrap();
    std::fs::write(&caption, "a red bird ".repeat(50_000)).unwrap();
    // Words, on a run that is there.
    succeed(
        BINARY,
        &trained(
            "train",
            &data,
            &out,
            &["--name", "run", "--stages", "text,one"],
        ),
    );
    let generate = |sentence: &str, code: i32| {
        let command = ["generate", "--out", &out, "--text", sentence, "--num", "1"];
        fail(BINARY, &command, code)
    };
    let shown = out.clone() + "/stackgan/run/samples/one_00000009.png";
    assert!(images::read(Path::new(&shown)).unwrap().width() < 5000);
    assert!(generate("", 2).contains("the sentence is empty"));
    assert!(generate("…", 2).contains("no letter"));
    let error = fail(BINARY, &["generate", "--out", &out], 2);
    assert!(error.contains("--text"), "{error}");
    let command = ["generate", "--out", &out, "--texts", "nowhere.txt"];
    assert!(fail(BINARY, &command, 3).contains("nowhere.txt"));
    let long = "a red bird ".repeat(40);
    let command = ["generate", "--out", &out, "--text", &long, "--num", "1"];
    let said = succeed(BINARY, &command);
    assert!(
        said.contains("of its 439 letters the first 201 are read"),
        "{said}"
    );
    let command = ["evaluate", "--out", &out, "--judge", "run"];
    assert!(fail(BINARY, &command, 4).contains("judge"));
}
