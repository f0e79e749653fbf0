//! Shapes, the printed networks, the stage contracts, and the binary from end to end.

use burn::module::Module;
use burn::tensor::{Device, Tensor};
use cgan::data::{Data, Faces, Part};
use cgan::discriminator::Discriminator;
use cgan::embedding::{EMBEDDING, Embedding};
use cgan::encode::Encode;
use cgan::encoder::Encoder;
use cgan::gan::Gan;
use cgan::generator::Generator;
use cgan::latents::{Latents, Seeker};
use cgan::recognise::{Classify, Embed};
use cgan::views::{PairData, Views};
use cgan::{Config, Sampler};
use gan_core::config::{Configuration, Layer, Training, merge};
use gan_core::contract::{self, fail, newest_files, succeed};
use gan_core::init::{Initial, initialise};
use gan_core::judge::Judge;
use gan_core::layers::Statistics;
use gan_core::stage::{At, Source, Stage};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

const BINARY: &str = env!("CARGO_BIN_EXE_cgan");

fn preset(name: &str) -> Config {
    merge(&[Layer::preset::<Config>(name).unwrap()]).unwrap()
}

fn text(path: &Path) -> String {
    path.display().to_string()
}

fn small(name: &str) -> Config {
    let config = preset(name);
    Config {
        dataset: cgan::config::Dataset::Faces,
        image_size: 32,
        channels: 3,
        latent_dim: 8,
        width_g: 4,
        width_d: 4,
        width_e: 4,
        hidden_e: 16,
        width_embedding: 4,
        latent_pictures: 10,
        latent_steps: 3,
        ema_decay: 0.9,
        training: Training {
            batch_size: 6,
            ..config.training.clone()
        },
        ..config
    }
}

#[test]
fn every_size_gives_its_shapes() {
    let device = Device::flex();
    for (image_size, channels, ages) in [(32, 1, "18"), (64, 3, "19,30,40,50,60"), (128, 3, "40")] {
        let config = Config {
            image_size,
            channels,
            ages: ages.to_owned(),
            ..small("quick")
        };
        let count = config.classes().count();
        let latent = Tensor::zeros([2, 8], &device);
        let told = Tensor::zeros([2, count], &device);
        let generator = Generator::new(&config, &device);
        let made = generator.forward(latent, told.clone(), Statistics::Running);
        assert_eq!(made.dims(), [2, channels, image_size, image_size]);
        let discriminator = Discriminator::new(&config, &device);
        let logits = discriminator.forward(made.clone(), told, Statistics::Running);
        assert_eq!(logits.dims(), [2, 1]);
        let encoder = Encoder::new(&config, &device);
        let found = encoder.forward(made.clone(), Statistics::Running);
        assert_eq!(found.dims(), [2, 8]);
        let judge = Judge::new(&config.judge(4, count), &device);
        assert_eq!(judge.forward(made, Statistics::Running).dims(), [2, count]);
    }
}

#[test]
fn the_printed_networks_are_pinned() {
    let device = Device::flex();
    for name in ["paper", "quick"] {
        let config = preset(name);
        let printed = format!(
            "{}\n{}\n{}\n{}\n",
            Generator::new(&config, &device),
            Discriminator::new(&config, &device),
            Encoder::new(&config, &device),
            Judge::new(&config.judge(config.width_embedding, EMBEDDING), &device),
        );
        let place = format!("{}/tests/printed/{name}.txt", env!("CARGO_MANIFEST_DIR"));
        if std::env::var_os("PIN").is_some() {
            std::fs::write(&place, &printed).unwrap();
        }
        let pinned = std::fs::read_to_string(&place).unwrap();
        assert_eq!(
            printed, pinned,
            "renew {place} with PIN=1 if the change is wanted"
        );
    }
}

/// Networks as they begin, without autodiff.
fn begun(config: &Config) -> (Generator, Encoder, Judge) {
    let device = Device::flex().autodiff();
    let generator = Generator::new(config, &device);
    let generator = initialise(generator, Initial::FanIn, 1, "generator");
    let encoder = initialise(Encoder::new(config, &device), Initial::FanIn, 1, "encoder");
    let judge = Judge::new(&config.judge(4, EMBEDDING), &device);
    let judge = initialise(judge, Initial::FanIn, 1, "judge");
    (generator.valid(), encoder.valid(), judge.valid())
}

#[test]
fn every_stage_of_every_preset_keeps_the_stage_contract() {
    let device = Device::flex();
    for (name, _) in Config::PRESETS {
        let mut config = small(name);
        // Batches in parts keep the contract, too.
        if *name == "quick" {
            config.training.accumulate = 2;
        }
        // The held-out part is the smaller one.
        let faces = Arc::new(Faces::open(&config, Part::Held).unwrap());
        let some = faces.some(10).unwrap();
        let data = Data::new(faces.clone(), &config).unwrap();
        let batch = |step: u64| data.batch(0, step as usize).unwrap();
        contract::holds(|| Gan::new(&config, &device), batch, 5);
        if *name != "quick" {
            continue;
        }
        let (generator, encoder, judge) = begun(&config);
        let make = || Encode::new(&config, generator.clone(), some.clone(), &device);
        contract::holds(make, |_| (), 5);
        let pairs = PairData::new(faces.clone(), &config).unwrap();
        let batch = |step: u64| pairs.batch(0, step as usize).unwrap();
        contract::holds(|| Embed::new(&config, some.clone(), &device), batch, 5);
        let views = Views::new(Data::new(faces.clone(), &config).unwrap(), &config);
        let batch = |step: u64| views.batch(0, step as usize).unwrap();
        contract::holds(|| Classify::new(&config, some.clone(), &device), batch, 5);
        // Ten faces in batches of six.
        let mut stage = {
            let embedding = Some(Embedding::Small(Box::new(judge)));
            let seeker = Seeker::new(&config, generator, encoder, embedding, &device);
            Latents::new(&config, seeker, some, &device)
        };
        assert_eq!(stage.steps(), 2);
        let first = contract::snapshot(&mut stage);
        for step in 0..2 {
            stage.step((), &At::new(1, step, 2)).unwrap();
        }
        assert_eq!(
            contract::moved(&first, &contract::snapshot(&mut stage)),
            ["latents"]
        );
    }
}

/// A folder of drawn faces in UTKFace's names.
fn faces(folder: &Path, count: usize) -> String {
    let data = text(&folder.join("data"));
    let count = count.to_string();
    let said = succeed(
        BINARY,
        &[
            "data",
            "prepare",
            "--procedural",
            "--num",
            &count,
            "-o",
            &data,
        ],
    );
    assert!(said.contains("PROCEDURAL"), "{said}");
    data
}

#[test]
fn prepared_faces_stay_those_of_their_persons() {
    let folder = tempfile::tempdir().unwrap();
    let (data, ready) = (faces(folder.path(), 60), text(&folder.path().join("ready")));
    let prepare = ["data", "prepare", "-i", &data, "-o", &ready, "--size", "16"];
    let said = succeed(BINARY, &[&prepare[..], &["--split", "0.7"]].concat());
    assert!(
        said.contains("whose 60 pictures are, of 60 before"),
        "{said}"
    );
    let persons = |folder: &str| -> BTreeMap<String, Option<String>> {
        let listing = cgan::data::listing(Path::new(folder), 1.0).unwrap();
        assert_eq!(listing.skipped.total(), 0);
        let files = listing.files.into_iter();
        files
            .map(|(path, label)| {
                let name = path.file_stem().unwrap().to_string_lossy();
                (name.into_owned(), label.person)
            })
            .collect()
    };
    let (before, after) = (persons(&data), persons(&ready));
    assert_eq!(before, after);
    // Each part alone, too.
    let part = persons(&text(&Path::new(&ready).join("train")));
    assert!(!part.is_empty() && part.len() < 60, "{}", part.len());
    assert!(
        part.iter()
            .all(|(name, person)| person.is_some() && before[name] == *person)
    );
    let error = fail(BINARY, &prepare, 2);
    assert!(error.contains("is there already"), "{error}");
}

/// The moments after a step of a batch in two halves are those of the whole, where both halves have the same batch statistics.
#[test]
fn the_parts_of_a_batch_add_up() {
    let device = Device::flex();
    let config = |accumulate: usize| {
        let mut config = small("quick");
        config.training.accumulate = accumulate;
        config
    };
    let faces = Arc::new(Faces::open(&config(1), Part::Held).unwrap());
    let views = Views::new(Data::new(faces.clone(), &config(1)).unwrap(), &config(1));
    let mut batch = views.batch(0, 0).unwrap();
    let half = batch.pixels.len() / 2;
    batch.pixels.copy_within(..half, half);
    batch.classes.copy_within(..3, 3);
    let at = At::new(7, 0, 1);
    let classifier = |accumulate: usize| {
        let mut stage = Classify::new(&config(accumulate), Vec::new(), &device);
        stage.step(batch.clone(), &at).unwrap();
        contract::snapshot(&mut stage)
            .remove("classifier_optimizer")
            .unwrap()
    };
    // A generator without weights makes one picture of all latent vectors, which normalisation takes away: by what it has to
    // find, the encoder learns at its very end.
    let encoder = |accumulate: usize| {
        let generator = Generator::new(&config(1), &device);
        let mut stage = Encode::new(&config(accumulate), generator, Vec::new(), &device);
        stage.step((), &at).unwrap();
        let mut moments = contract::snapshot(&mut stage)
            .remove("encoder_optimizer")
            .unwrap();
        moments.retain(|name, _| name.starts_with("output.bias"));
        moments
    };
    // Its batches stay whole.
    let embedding = |accumulate: usize| {
        let pairs = PairData::new(faces.clone(), &config(accumulate)).unwrap();
        let mut stage = Embed::new(&config(accumulate), Vec::new(), &device);
        stage.step(pairs.batch(0, 0).unwrap(), &at).unwrap();
        contract::snapshot(&mut stage)
            .remove("embedding_optimizer")
            .unwrap()
    };
    assert_eq!(embedding(1), embedding(2));
    for (whole, parts) in [(classifier(1), classifier(2)), (encoder(1), encoder(2))] {
        let largest = |values: &[f32]| {
            values
                .iter()
                .fold(0.0, |most: f32, value| most.max(value.abs()))
        };
        assert!(whole.values().any(|tensor| largest(&tensor.values) > 1e-6));
        for (name, whole) in whole {
            let away = whole.values.iter().zip(&parts[&name].values);
            let away: Vec<f32> = away.map(|(a, b)| a - b).collect();
            let (away, most) = (largest(&away), largest(&whole.values));
            assert!(away <= 1e-4 * most + 1e-9, "{name}: {away} of {most}");
        }
    }
}

const SMALL: [&str; 36] = [
    "--image-size",
    "32",
    "--latent-dim",
    "8",
    "--width-g",
    "4",
    "--width-d",
    "4",
    "--width-e",
    "4",
    "--hidden-e",
    "16",
    "--width-embedding",
    "4",
    "--batch-size",
    "6",
    "--embedding-steps",
    "8",
    "--encoder-steps",
    "8",
    "--classifier-steps",
    "12",
    "--latent-pictures",
    "12",
    "--latent-steps",
    "3",
    "--log-every",
    "3",
    "--sample-every",
    "9",
    "--save-every",
    // The latent vectors take two steps: a table is restored half done, too.
    "1",
    "--steps",
    "12",
    "--ema-decay",
    "0.9",
];

fn trained<'a>(verb: &'a str, data: &'a str, out: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    let mut command = vec![verb, "--data", data, "--out", out];
    command.extend(SMALL);
    command.extend(more);
    command
}

#[test]
fn a_killed_run_resumes_bit_for_bit_through_all_stages() {
    let folder = tempfile::tempdir().unwrap();
    let data = faces(folder.path(), 420);
    let mut command = vec![
        "train",
        "--data",
        &data,
        "--flip",
        "--augment",
        "color-translation",
    ];
    command.extend(SMALL);
    for (stage, place) in [("latent", "a"), ("encoder", "b")] {
        let place = folder.path().join(place);
        contract::resume_is_the_same_run(BINARY, "cgan", stage, &command, &place);
    }
}

#[test]
fn threads_do_not_change_a_byte() {
    let folder = tempfile::tempdir().unwrap();
    let data = faces(folder.path(), 180);
    let mut command = vec!["train", "--data", &data];
    command.extend(SMALL);
    contract::threads_do_not_matter(BINARY, "cgan", "latent", &command, folder.path());
}

#[test]
fn faces_become_a_run_and_a_checkpoint_is_all_you_need() {
    let folder = tempfile::tempdir().unwrap();
    let place = |name: &str| text(&folder.path().join(name));
    let (data, out) = (faces(folder.path(), 600), place("runs"));
    let said = succeed(BINARY, &["data", "check", &data]);
    assert!(
        said.contains("600 faces can be read") && said.contains("100 persons"),
        "{said}"
    );
    let said = succeed(BINARY, &trained("train", &data, &out, &["--name", "run"]));
    for stage in ["embedding", "gan", "encoder", "latent"] {
        assert!(said.contains(&format!("training stage {stage}")), "{said}");
    }
    succeed(
        BINARY,
        &trained("train-classifier", &data, &out, &["--name", "ages"]),
    );
    succeed(
        BINARY,
        &trained(
            "train-embedding",
            &data,
            &out,
            &["--name", "persons", "--seed", "9", "--persons", "odd"],
        ),
    );
    let (run, ages, persons) = (
        place("runs/cgan/run"),
        place("runs/cgan/ages"),
        place("runs/cgan/persons"),
    );
    // Without the data, which is needed no more.
    std::fs::rename(&data, folder.path().join("elsewhere")).unwrap();

    // The newest run has no generator: the newest that has one is meant.
    let faces = place("faces");
    let said = succeed(
        BINARY,
        &["generate", "--out", &out, "--num", "6", "-o", &faces],
    );
    assert!(said.contains("runs/cgan/run/"), "{said}");
    let old = place("old");
    let from = [
        "generate",
        "--checkpoint",
        &run,
        "-o",
        &old,
        "--seeds",
        "2,5",
    ];
    succeed(BINARY, &from);
    let read = |folder: &str, name: &str| std::fs::read(Path::new(folder).join(name)).unwrap();
    for name in ["seed_00000002.png", "seed_00000005.png"] {
        assert_eq!(
            read(&faces, name),
            read(&old, name),
            "a seed is one picture"
        );
    }
    let asked = [&from[..], &["--age", "35"]].concat();
    succeed(BINARY, &asked);
    assert_eq!(
        read(&faces, "seed_00000002.png"),
        read(&old, "seed_00000002.png")
    );
    assert_ne!(
        read(&faces, "seed_00000005.png"),
        read(&old, "seed_00000005.png")
    );
    let sampler = Sampler::open(&run).unwrap();
    let made = sampler.sample(&[2, 5], &[2, 2]);
    let path = Path::new(&old).join("seed_00000005.png");
    assert_eq!(
        gan_core::images::to_rgb(&gan_core::images::read(&path).unwrap()),
        made[1]
    );

    let walk = place("walk.gif");
    let ages_of = [
        "interpolate",
        "--checkpoint",
        &run,
        "--from",
        "20",
        "--to",
        "70",
        "-o",
        &walk,
    ];
    succeed(BINARY, &[&ages_of[..], &["--frames", "5"]].concat());
    assert!(std::fs::metadata(&walk).unwrap().len() > 1000);

    let data = place("elsewhere");
    let strips = place("strips");
    let face = |number: usize| {
        let mut names: Vec<_> = std::fs::read_dir(&data)
            .unwrap()
            .flatten()
            .map(|entry| entry.path())
            .filter(|path| path.extension().is_some_and(|ending| ending == "jpg"))
            .collect();
        names.sort();
        text(&names[number])
    };
    let said = succeed(
        BINARY,
        &["age", "--checkpoint", &run, "-i", &face(3), "-o", &strips],
    );
    assert!(said.contains("(a guess by pixels)"), "{said}");
    assert!(said.contains("name the age with --from"), "{said}");
    let mut count = 0;
    for class in ["0-18", "19-29", "30-39", "40-49", "50-59", "60+", "strip"] {
        let stem = Path::new(&face(3))
            .file_stem()
            .unwrap()
            .to_string_lossy()
            .into_owned();
        count += usize::from(
            Path::new(&strips)
                .join(format!("{stem}_{class}.png"))
                .is_file(),
        );
    }
    assert_eq!(count, 7);
    let asked = [
        "age",
        "--checkpoint",
        &run,
        "-i",
        &face(3),
        "--by",
        "initial",
    ];
    let asked = [&asked[..], &["-o", &strips, "--classifier", &ages]].concat();
    let said = succeed(BINARY, &asked);
    assert!(said.contains("(the classifier is "), "{said}");
    assert!(!said.contains("--from"), "{said}");
    let one = place("one");
    let to = [
        "age",
        "--checkpoint",
        &run,
        "-i",
        &face(4),
        "-o",
        &one,
        "--to",
        "65",
        "--from",
        "30",
    ];
    let said = succeed(
        BINARY,
        &[&to[..], &["--by", "pixels", "--crop", "20,20,160,160"]].concat(),
    );
    assert!(said.contains("taken for 30-39;"), "{said}");
    assert_eq!(std::fs::read_dir(&one).unwrap().count(), 2);

    let json = place("measured.json");
    let measure = [
        "evaluate",
        "--checkpoint",
        &run,
        "--classifier",
        &ages,
        "--num",
        "60",
        "--data",
        &data,
    ];
    let said = succeed(
        BINARY,
        &[&measure[..], &["--judge", &persons, "--json", &json]].concat(),
    );
    for word in [
        "of what held-out faces reach",
        "initial",
        "pixels",
        "identity",
    ] {
        assert!(said.contains(word), "{said}");
    }
    let measured: serde_json::Value =
        serde_json::from_slice(&std::fs::read(&json).unwrap()).unwrap();
    assert_eq!(
        measured["generated"]["counts"],
        serde_json::json!([10, 10, 10, 10, 10, 10])
    );
    assert_eq!(measured["identity"]["latents"].as_array().unwrap().len(), 3);

    let judged = &measured["identity"];
    assert!(
        judged["verification"].as_f64().unwrap() > 0.0 && judged["pairs"].as_u64().unwrap() > 0
    );
    assert!(judged["latents"][2]["other_persons"].is_number());
    // Twelve faces: few enough for their persons to be named.
    let named = judged["persons"].as_array().unwrap();
    assert!((1..=12).contains(&named.len()), "{named:?}");
    let first = named[0].as_str().unwrap();
    assert!(
        said.contains(&format!("are of {}: {first}", named.len())),
        "{said}"
    );
    assert!(judged["judged_persons"].as_u64().unwrap() >= named.len() as u64);
    // The judge may not be what was optimised against, and the faces have to be those of the run.
    let error = fail(BINARY, &[&measure[..], &["--judge", &run]].concat(), 2);
    assert!(error.contains("proves nothing"), "{error}");
    let exported = place("generator.pth");
    succeed(BINARY, &["export", "--checkpoint", &run, "-o", &exported]);
    let encoder = place("encoder.safetensors");
    succeed(
        BINARY,
        &[
            "export",
            "--checkpoint",
            &format!("{run}/checkpoints/encoder/latest"),
            "--network",
            "encoder",
            "-o",
            &encoder,
        ],
    );
    let said = succeed(BINARY, &["info", &run]);
    assert!(said.contains("generator_ema"), "{said}");
}

#[test]
fn stages_are_skipped_and_reused() {
    let folder = tempfile::tempdir().unwrap();
    let place = |name: &str| text(&folder.path().join(name));
    let (data, out) = (faces(folder.path(), 180), place("runs"));
    succeed(
        BINARY,
        &trained(
            "train",
            &data,
            &out,
            &["--name", "first", "--stages", "gan"],
        ),
    );
    let first = place("runs/cgan/first");
    let error = fail(
        BINARY,
        &[
            "age",
            "--checkpoint",
            &first,
            "-i",
            &data,
            "-o",
            &place("none"),
        ],
        4,
    );
    assert!(error.contains("--stages encoder --init-from"), "{error}");
    let later = ["--name", "second", "--stages", "encoder"];
    let error = fail(BINARY, &trained("train", &data, &out, &later), 2);
    assert!(error.contains("leaves gan out"), "{error}");
    let later = [
        "--name",
        "third",
        "--stages",
        "embedding,encoder,latent",
        "--init-from",
        &first,
    ];
    let said = succeed(BINARY, &trained("train", &data, &out, &later));
    assert!(!said.contains("training stage gan"), "{said}");
    // The new run is all that is needed, and makes what the first made.
    let third = place("runs/cgan/third");
    std::fs::rename(&first, folder.path().join("gone")).unwrap();
    succeed(
        BINARY,
        &[
            "age",
            "--checkpoint",
            &third,
            "-i",
            &data,
            "-o",
            &place("strips"),
            "--by",
            "initial",
        ],
    );
    let generator = |run: &str, name: &str| {
        let files = newest_files(Path::new(run), "gan");
        gan_core::weights::parse_safetensors(&files[name])
            .unwrap()
            .tensors
    };
    assert_eq!(
        generator(&third, "generator.safetensors"),
        generator(&place("gone"), "generator_ema.safetensors")
    );
    // It goes on without the first, too.
    let said = succeed(BINARY, &["train", "--resume", "third", "--out", &out]);
    assert!(!said.contains("training stage gan"), "{said}");
}

#[test]
fn digits_by_their_class() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("mnist");
    std::fs::create_dir(&data).unwrap();
    for (prefix, count) in [("train", 60), ("t10k", 20)] {
        let pictures = gan_core::idx::Pictures {
            pixels: (0..count * 784).map(|at| (at * 7 % 256) as u8).collect(),
            labels: (0..count).map(|index| (index % 10) as u8).collect(),
            height: 28,
            width: 28,
        };
        pictures.write(&data, prefix).unwrap();
    }
    let (data, out) = (text(&data), text(&folder.path().join("runs")));
    let digits = ["--preset", "mnist", "--name", "digits"];
    let said = succeed(BINARY, &trained("train", &data, &out, &digits));
    assert!(
        said.contains("60 pictures to train on, 20 held out"),
        "{said}"
    );
    let faces = text(&folder.path().join("sevens"));
    let asked = [
        "generate", "--out", &out, "--age", "7", "--num", "3", "-o", &faces,
    ];
    succeed(BINARY, &asked);
    let error = fail(
        BINARY,
        &["generate", "--out", &out, "--age", "12", "-o", &faces],
        2,
    );
    assert!(error.contains("0 to 9"), "{error}");
    let whole = ["--preset", "mnist", "--stages", "gan,latent"];
    let error = fail(BINARY, &trained("train", &data, &out, &whole), 2);
    assert!(error.contains("digits have no persons"), "{error}");
}

/// One broken input of each kind: the exit code, and what the error has to say.
#[test]
fn bad_input_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let place = |name: &str| text(&folder.path().join(name));
    let write = |name: &str, bytes: &[u8]| {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
        place(name)
    };
    let out = place("runs");
    let refused = |data: &str, code: i32| fail(BINARY, &trained("train", data, &out, &[]), code);
    let told = |text: &str, words: &[&str]| {
        for word in words {
            assert!(text.contains(word), "{word}: {text}");
        }
    };
    told(&refused(&place("nowhere"), 3), &["nowhere"]);
    let table = write("wrong.csv", b"file,years\na.jpg,3\n");
    told(
        &refused(&table, 3),
        &["wrong.csv", "\"path\"", "file, years"],
    );
    let table = write("old.csv", b"path,age\na.jpg,300\nb.jpg,-2\nc.jpg,x\n");
    told(
        &refused(&table, 3),
        &[
            "old.csv",
            "2 with an impossible age",
            "1 with an age that is no number",
        ],
    );
    let table = write("short.csv", b"path,age\na.jpg\n");
    told(&refused(&table, 3), &["short.csv", "line: 2"]);
    let table = write("empty.csv", b"");
    told(&refused(&table, 3), &["empty.csv"]);
    write("wiki/wiki.mat", b"<html>not here</html>");
    told(&refused(&place("wiki"), 3), &["wiki.mat"]);
    let mat = write("other.mat", &[0; 200]);
    told(&refused(&mat, 3), &["other.mat"]);
    write("names/me.jpg", b"<html>");
    told(&refused(&place("names"), 3), &["me.jpg", "UTKFace"]);
    for number in 0..40 {
        write(
            &format!("pages/{number}_0_0_2017011018372{number:04}.jpg"),
            b"<html>",
        );
    }
    told(&refused(&place("pages"), 3), &["cannot be read", ".jpg"]);
    let data = faces(folder.path(), 60);
    let persons = write("data/persons.csv", b"who\n1\n");
    told(&refused(&data, 3), &[&persons, "\"path\""]);
    let _ = std::fs::remove_file(&persons);
    let error = fail(
        BINARY,
        &trained("train", &data, &out, &["--embedding", &table]),
        4,
    );
    told(&error, &["empty.csv"]);
    let error = fail(
        BINARY,
        &trained("train", &data, &out, &["--ages", "40,30"]),
        2,
    );
    told(&error, &["ages", "increasing"]);
    let error = fail(BINARY, &["generate", "--checkpoint", &table], 4);
    told(&error, &["empty.csv"]);
}
