//! Semi-supervised learning: networks, losses and steps against PyTorch (tests/fixtures/semi_make.py), the stage
//! contract, and the binary from end to end.

#[path = "../../../tests/fixtures/compare.rs"]
mod compare;

use burn::module::Module;
use burn::tensor::{Device, Tensor, TensorData};
use compare::{TOLERANCE, assert_close, difference, fixture, under};
use gan_core::config::{Configuration, Layer, merge};
use gan_core::contract::{self, call, fail, succeed};
use gan_core::idx::Pictures;
use gan_core::layers::Statistics;
use gan_core::random::Stream;
use gan_core::stage::{At, Scalars, Source, Stage};
use gan_core::weights::{self, HostTensor, Metadata, Network, Tensors, WeightFile};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;
use vanilla::semi::Config;
use vanilla::semi::config::Method;
use vanilla::semi::data::{Batch, Data};
use vanilla::semi::networks::{Classifier, Generator};
use vanilla::semi::train::{STAGE, Semi, unlabelled_loss};

const BINARY: &str = env!("CARGO_BIN_EXE_vanilla");

/// What semi_make.py computes with.
const WIDTH: usize = 20;
const LATENT: usize = 8;
const COUNT: usize = 6;
const TOLD: [usize; COUNT] = [3, 0, 9, 3, 7, 1];

fn config() -> Config {
    let mut config = Config {
        latent_dim: LATENT,
        classifier_hidden: vec![16, 12],
        generator_hidden: vec![14, 10],
        decay_start: 1.0,
        ..Config::default()
    };
    config.training.seed = 1;
    config
}

fn matrix(host: &HostTensor) -> Tensor<2> {
    let data = TensorData::new(host.values.clone(), host.shape.clone());
    Tensor::from_data(data, &Device::flex())
}

/// The same tensors, but for one.
fn changed(tensors: &Tensors, name: &str) -> Tensors {
    let mut tensors = tensors.clone();
    for (place, value) in tensors.get_mut(name).unwrap().values.iter_mut().enumerate() {
        // Weight normalisation does not see a direction's length.
        *value = *value * (1.0 + 0.02 * (place % 3) as f32) + 0.01;
    }
    tensors
}

/// What goes in comes out, the output is PyTorch's, and no tensor can be another.
fn agrees<M: Network>(
    fresh: impl Fn() -> M,
    start: &Tensors,
    run: impl Fn(&M) -> Tensor<2>,
    expected: &HostTensor,
    may_differ: impl Fn(&str) -> bool,
) {
    let output = |tensors: &Tensors| {
        let network = weights::apply(fresh(), tensors).unwrap();
        assert_eq!(&weights::collect(&network), tensors);
        HostTensor::read(run(&network))
    };
    let ours = output(start);
    assert_eq!(ours.shape, expected.shape);
    assert_close("the output", &ours.values, &expected.values);
    for name in start.keys().filter(|name| !may_differ(name)) {
        let away = difference(&output(&changed(start, name)).values, &expected.values);
        assert!(away > TOLERANCE, "another {name} is not noticed");
    }
}

#[test]
fn the_classifier_is_pytorchs() {
    let reference = fixture("semi_classifier.safetensors").tensors;
    let start = under(&reference, "weights");
    let config = config();
    let fresh = || Classifier::new(&config, WIDTH, &Device::flex());
    let pictures = || matrix(&reference["input"]);
    let plain = |network: &Classifier| network.forward(pictures(), None);
    agrees(fresh, &start, plain, &reference["output"], |_| false);
    let noise = |layers: std::ops::Range<usize>| {
        Stream::replaying(layers.map(|layer| reference[&format!("noise.{layer}")].values.clone()))
    };
    let noisy = |network: &Classifier| network.forward(pictures(), Some(&mut noise(0..3)));
    agrees(fresh, &start, noisy, &reference["output.noise"], |_| false);
    let features = |network: &Classifier| network.features(pictures(), Some(&mut noise(0..2)));
    let is_last = |name: &str| name.starts_with("main.4.");
    let expected = &reference["output.features"];
    agrees(fresh, &start, features, expected, is_last);
}

#[test]
fn the_generator_is_pytorchs() {
    let reference = fixture("semi_generator.safetensors").tensors;
    let start = under(&reference, "weights");
    let config = config();
    let fresh = || Generator::new(&config, WIDTH, &Device::flex());
    let latent = || matrix(&reference["input"]);
    let running = |network: &Generator| network.forward(latent(), Statistics::Running);
    agrees(fresh, &start, running, &reference["output.running"], |_| {
        false
    });
    let network = weights::apply(fresh(), &start).unwrap();
    let batch = weights::values(network.forward(latent(), Statistics::Update));
    assert_close("batch", &batch, &reference["output.batch"].values);
    let now = weights::collect(&network);
    for (name, expected) in under(&reference, "after") {
        assert_close(&name, &now[&name].values, &expected.values);
    }
}

#[test]
fn the_loss_without_labels_is_pytorchs() {
    let reference = fixture("semi_losses.safetensors").tensors;
    let leaf = |name: &str| {
        let inner = matrix(&reference[name]);
        Tensor::from_inner(inner).require_grad()
    };
    let (real, fake) = (leaf("real"), leaf("fake"));
    let loss = unlabelled_loss(real.clone(), fake.clone());
    assert_close(
        "loss",
        &weights::values(loss.clone().inner()),
        &reference["loss"].values,
    );
    let gradients = loss.backward();
    for (name, leaf) in [("real", real), ("fake", fake)] {
        let ours = weights::values(leaf.grad(&gradients).unwrap());
        assert_close(name, &ours, &reference[&format!("gradient.{name}")].values);
    }
}

/// Forty pictures of 4 x 5 pixels with labels, as idx files.
fn tiny(folder: &Path) -> Config {
    for prefix in ["train", "t10k"] {
        let pictures = Pictures {
            pixels: (0..40 * WIDTH).map(|at| (at * 37 % 256) as u8).collect(),
            labels: (0..40).map(|at| at % 10).collect(),
            height: 4,
            width: 5,
        };
        pictures.write(folder, prefix).unwrap();
    }
    let mut config = Config {
        labels: 10,
        ..config()
    };
    config.training.data = folder.display().to_string();
    config.training.batch_size = COUNT;
    config
}

fn stage(config: &Config) -> Semi {
    Semi::new(config, &Data::open(config).unwrap(), &Device::flex())
}

/// The draws of three steps, for semi_make.py.
#[test]
#[ignore = "writes tests/fixtures/semi_draws.safetensors"]
fn write_draws() {
    let mut tensors = Tensors::new();
    let mut keep = |name: String, values: Vec<f32>| {
        tensors.insert(name, HostTensor::vector(values));
    };
    let config = config();
    for step in 0..3u64 {
        let latent = config
            .prior()
            .draw(&mut Stream::new(1, "latent", step), COUNT * LATENT);
        keep(format!("latent.{step}"), latent);
        let mut noise = Stream::new(1, "noise", step);
        for (layer, width) in [WIDTH, 16, 12].into_iter().enumerate() {
            keep(
                format!("noise.{step}.{layer}"),
                noise.normal(3 * COUNT * width),
            );
        }
        let mut noise = Stream::new(1, "noise/generator", step);
        for (layer, width) in [WIDTH, 16, WIDTH, 16].into_iter().enumerate() {
            keep(
                format!("generator.{step}.{layer}"),
                noise.normal(COUNT * width),
            );
        }
    }
    let place =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/semi_draws.safetensors");
    weights::write(&place, &tensors, &Metadata::new()).unwrap();
}

/// A linear weight is kept as `[in, out]` in moments, as `[out, in]` in PyTorch.
fn turned(tensor: &HostTensor, expected: &[usize]) -> Vec<f32> {
    let &[rows, columns] = tensor.shape.as_slice() else {
        return tensor.values.clone();
    };
    if tensor.shape == expected {
        return tensor.values.clone();
    }
    (0..columns * rows)
        .map(|place| tensor.values[place % rows * columns + place / rows])
        .collect()
}

#[test]
fn steps_are_pytorchs() {
    let reference = fixture("semi_steps.safetensors").tensors;
    let folder = tempfile::tempdir().unwrap();
    let config = Config {
        ema_decay: 0.0,
        ..tiny(folder.path())
    };
    let mut semi = stage(&config);
    semi.parts(&mut |part, learner| {
        if part == "classifier_ema" {
            return Ok(());
        }
        learner.restore(&mut |suffix| {
            let is_network = suffix.is_empty();
            Ok(WeightFile {
                tensors: if is_network {
                    under(&reference, &format!("{}.before", &part[..1]))
                } else {
                    Tensors::new()
                },
                metadata: if is_network {
                    Metadata::new()
                } else {
                    Metadata::from([("updates".to_owned(), "0".to_owned())])
                },
            })
        })
    })
    .unwrap();
    let check = |scalars: Scalars, step: usize| {
        let mut found = 0;
        for (name, value) in scalars.read() {
            if name.starts_with("loss_") {
                let expected = reference[name].values[step];
                assert_close(
                    &format!("{name} at step {step}"),
                    &[value as f32],
                    &[expected],
                );
                found += 1;
            }
        }
        assert_eq!(found, 3);
    };
    for step in 0..3 {
        let batch = Batch {
            labelled: reference["labelled"].values.clone(),
            classes: TOLD.to_vec(),
            unlabelled: reference["unlabelled"].values.clone(),
        };
        check(
            semi.step(batch, &At::new(1, step, 3)).unwrap(),
            step as usize,
        );
        if step > 0 {
            continue;
        }
        let parts = contract::snapshot(&mut semi);
        for part in ["classifier", "generator"] {
            let role = &part[..1];
            let before = under(&reference, &format!("{role}.before"));
            let expected = under(&reference, &format!("{role}.moments"));
            let moments = &parts[&format!("{part}_optimizer")];
            for (name, moment) in &expected {
                let ours = turned(&moments[&format!("{name}.exp_avg")], &moment.shape);
                assert_close(name, &ours, &moment.values);
            }
            assert_eq!(moments.len(), 2 * expected.len(), "nothing else moves");
            for (name, after) in under(&reference, &format!("{role}.after_1")) {
                let Some(moment) = expected.get(&name) else {
                    assert_close(&name, &parts[part][&name].values, &after.values);
                    continue;
                };
                let largest = moment
                    .values
                    .iter()
                    .fold(0f32, |most, value| most.max(value.abs()));
                for (place, expected) in after.values.iter().enumerate() {
                    let ours = parts[part][&name].values[place];
                    let away = f64::from(ours - expected).abs();
                    // The first step of Adam is the learning rate times the gradient's sign: certain
                    // where the gradient is not rounding. Beside it stands the weight's last bit.
                    let bound = if moment.values[place].abs() > 1e-4 * largest {
                        1e-3 * config.lr + f64::from(f32::EPSILON * expected.abs())
                    } else {
                        2.01 * config.lr
                    };
                    let moved = expected - before[&name].values[place];
                    assert!(
                        away <= bound,
                        "{name}[{place}] moved {moved:e}, {away:e} astray"
                    );
                }
            }
        }
    }
}

#[test]
fn the_default_networks_have_the_papers_sizes() {
    let device = Device::flex();
    let config = Config::default();
    // Directions, and a scale and a bias for each of 1000 + 500 + 3 * 250 + 10 outputs.
    let directions = 784 * 1000 + 1000 * 500 + 500 * 250 + 2 * 250 * 250 + 250 * 10;
    let classifier = Classifier::new(&config, 784, &device);
    assert_eq!(classifier.num_params(), directions + 2 * 2260);
    // burn counts running statistics, two for each of 1000 units.
    let generator = Generator::new(&config, 784, &device);
    let weights = 100 * 500 + 500 * 500 + 500 * 784;
    assert_eq!(generator.num_params(), weights + 4 * 1000 + 2 * 784);
    assert_eq!(config.classifier_size(784), (directions + 2 * 2260) as u64);
}

#[test]
fn every_preset_is_a_file_that_parses() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../configs/vanilla-semi");
    assert_eq!(contract::walk(&folder).len(), Config::PRESETS.len());
    for (name, text) in Config::PRESETS {
        let written = std::fs::read_to_string(folder.join(format!("{name}.toml"))).unwrap();
        assert_eq!(*text, written);
        let _: Config = merge(&[Layer::preset::<Config>(name).unwrap()]).unwrap();
    }
}

#[test]
fn both_methods_keep_the_stage_contract() {
    let folder = tempfile::tempdir().unwrap();
    for method in Method::ALL {
        let config = Config {
            method,
            ema_decay: 0.9,
            ..tiny(folder.path())
        };
        let data = Data::open(&config).unwrap();
        let make = || Semi::new(&config, &data, &Device::flex());
        contract::holds(make, |step| data.batch(0, step as usize).unwrap(), 6);
        let mut semi = make();
        let start = contract::snapshot(&mut semi);
        semi.step(data.batch(0, 0).unwrap(), &At::new(1, 0, 1))
            .unwrap();
        let end = contract::snapshot(&mut semi);
        let scale = |parts: &std::collections::BTreeMap<String, Tensors>, layer: usize| {
            parts["classifier"][&format!("main.{layer}.weight_g")].clone()
        };
        for hidden in [0, 2] {
            assert_eq!(scale(&start, hidden), scale(&end, hidden));
        }
        assert_ne!(scale(&start, 4), scale(&end, 4), "the last layer's learns");
        assert_eq!(end.contains_key("generator"), method == Method::Gan);
    }
}

#[test]
fn labelled_pictures_follow_from_the_seed_and_not_from_the_method() {
    let folder = tempfile::tempdir().unwrap();
    let config = tiny(folder.path());
    let told = |seed: u64, method: Method| {
        let mut config = Config {
            method,
            ..config.clone()
        };
        config.training.seed = seed;
        let batch = Data::open(&config).unwrap().batch(0, 0).unwrap();
        (batch.labelled, batch.classes)
    };
    assert_eq!(told(1, Method::Gan), told(1, Method::Labels));
    assert_ne!(told(1, Method::Gan), told(2, Method::Gan));
}

/// A classifier of drawn digits learns from a hundred of them in a few seconds.
#[test]
fn a_classifier_learns() {
    for method in Method::ALL {
        let mut config = Config {
            method,
            classifier_hidden: vec![100, 50],
            generator_hidden: vec![60],
            ema_decay: 0.9,
            ..Config::default()
        };
        config.training.batch_size = 50;
        let data = Data::open(&config).unwrap();
        let mut semi = Semi::new(&config, &data, &Device::flex());
        let start = semi.mistakes().unwrap();
        for step in 0..150 {
            let batch = data.batch(0, step as usize).unwrap();
            semi.step(batch, &At::new(0, step, 150)).unwrap();
        }
        let end = semi.mistakes().unwrap();
        assert_eq!(start.pictures(), 2000);
        assert!(
            start.percent() > 80.0 && end.percent() < 35.0,
            "{method:?}: {start:?} {end:?}"
        );
    }
}

const SMALL: [&str; 10] = [
    "--classifier-hidden",
    "20,12",
    "--generator-hidden",
    "12",
    "--batch-size",
    "20",
    "--labels",
    "30",
    "--save-every",
    "4",
];

/// A tenth of the drawn digits, so that processes start quickly.
fn drawn(folder: &Path) -> String {
    vanilla::data::procedural(0, 400)
        .write(folder, "train")
        .unwrap();
    vanilla::data::procedural(1, 100)
        .write(folder, "t10k")
        .unwrap();
    folder.to_string_lossy().into_owned()
}

#[test]
fn the_binary_trains_evaluates_and_compares() {
    let folder = tempfile::tempdir().unwrap();
    let data = drawn(folder.path());
    let out = folder.path().join("runs").to_string_lossy().into_owned();
    let with = |verb: &str, more: &[&str]| -> Vec<String> {
        let mut words = vec!["semi", verb, "--out", &out, "--data", &data, "--quiet"];
        words.extend(SMALL);
        words.extend(more);
        words.into_iter().map(str::to_owned).collect()
    };
    let text = |words: &[String]| -> String {
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        succeed(BINARY, &words)
    };
    text(&with("train", &["--steps", "8", "--name", "one"]));
    let run = folder.path().join("runs/vanilla semi/one");
    let log = std::fs::read_to_string(run.join("metrics.jsonl")).unwrap();
    assert!(log.contains("\"error_percent\""), "{log}");
    assert!(run.join("samples/step_00000008.png").is_file());
    assert!(
        !run.join("checkpoints/semi/best").exists(),
        "test pictures choose nothing"
    );

    let json = folder
        .path()
        .join("one.json")
        .to_string_lossy()
        .into_owned();
    let said = succeed(
        BINARY,
        &["semi", "evaluate", "--out", &out, "--json", &json],
    );
    assert!(
        said.contains("errors of 100 (") && said.contains("class 9:"),
        "{said}"
    );
    let read: serde_json::Value =
        serde_json::from_str(&std::fs::read_to_string(&json).unwrap()).unwrap();
    let told = read["errors"].as_u64().unwrap();
    assert!(said.contains(&format!("{told} errors of")), "{told} {said}");
    assert!(
        log.contains(&format!("\"errors\":{told}.0")),
        "{told} {log}"
    );
    let info = succeed(BINARY, &["semi", "info", "--out", &out]);
    assert!(
        info.contains("main.0.weight_v") && info.contains("[20, 784]"),
        "{info}"
    );
    let exported = folder.path().join("c.pth").to_string_lossy().into_owned();
    let export = [
        "semi",
        "export",
        "--out",
        &out,
        "--network",
        "classifier",
        "-o",
        &exported,
    ];
    succeed(BINARY, &export);

    let compare = with(
        "compare",
        &["--steps", "8", "--seeds", "3-4", "--json", &json],
    );
    let said = text(&compare);
    for part in [
        "with 30 labels",
        "labels alone",
        "with a generator",
        "mean",
        "±",
    ] {
        assert!(said.contains(part), "{part} is missing in {said}");
    }
    let read = |place: &str| std::fs::read_to_string(place).unwrap();
    let first = read(&json);
    let rows: serde_json::Value = serde_json::from_str(&first).unwrap();
    assert_eq!(rows["seeds"].as_array().unwrap().len(), 2);
    // What is there is measured, and trained no second time.
    let name = folder
        .path()
        .join("runs/vanilla semi/compare-3-gan/metrics.jsonl");
    let before = std::fs::read(&name).unwrap();
    assert_eq!(text(&compare).lines().count(), said.lines().count());
    assert_eq!(
        (std::fs::read(&name).unwrap(), read(&json)),
        (before, first)
    );
    let longer = with("compare", &["--steps", "10", "--seeds", "3"]);
    text(&longer);
    let listed = succeed(BINARY, &["semi", "runs", "list", "--out", &out]);
    assert!(
        listed.contains("compare-3-gan") && listed.contains(" 10 "),
        "{listed}"
    );
}

#[test]
fn a_killed_run_goes_on_as_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let data = drawn(folder.path());
    let out = |name: &str| folder.path().join(name).to_string_lossy().into_owned();
    let words = |out: &str| -> Vec<String> {
        let mut words = vec!["semi", "train", "--out", out, "--data", &data, "--quiet"];
        words.extend(["--name", "run", "--steps", "40"]);
        words.extend(SMALL);
        words.into_iter().map(str::to_owned).collect()
    };
    let (straight, killed) = (out("straight"), out("killed"));
    let straight_words = words(&straight);
    succeed(
        BINARY,
        &straight_words
            .iter()
            .map(String::as_str)
            .collect::<Vec<_>>(),
    );
    let run = |out: &str| Path::new(out).join("vanilla semi/run");
    let mut child = Command::new(BINARY)
        .args(words(&killed))
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let first = run(&killed).join("checkpoints/semi/latest");
    for _ in 0..3000 {
        if first.exists() || child.try_wait().unwrap().is_some() {
            break;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    let _ = child.kill();
    let _ = child.wait();
    succeed(
        BINARY,
        &[
            "semi",
            "train",
            "--resume",
            "run",
            "--out",
            &killed,
            "--quiet",
            "--workers",
            "0",
        ],
    );
    let files = |out: &str| contract::newest_files(&run(out), STAGE);
    assert!(files(&straight) == files(&killed), "every file is the same");
}

#[test]
fn wrong_requests_are_answered_with_their_exit_code() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().to_string_lossy().into_owned();
    let train = |more: &[&str], code: i32| {
        let words = [&["semi", "train", "--out", &out, "--steps", "1"], more].concat();
        fail(BINARY, &words, code)
    };
    assert!(train(&["--labels", "95"], 2).contains("a multiple of 10"));
    assert!(train(&["--labels", "0"], 2).contains("labels = 0"));
    assert!(train(&["--batch-size", "1"], 2).contains("at least 2 pictures"));
    assert!(train(&["--accumulate", "2", "--batch-size", "4"], 2).contains("whole batches"));
    assert!(train(&["--noise-input=-1"], 2).contains("noise_input"));
    assert!(train(&["--classifier-hidden", "0"], 2).contains("1 to 64 widths"));
    assert!(train(&["--data", "/no/such/folder"], 3).contains("/no/such/folder"));
    let place = folder.path().join("data");
    std::fs::create_dir(&place).unwrap();
    let data = place.to_string_lossy().into_owned();
    let write = |labels: Vec<u8>, prefix: &str| {
        let pictures = Pictures {
            pixels: vec![7; 40 * 12],
            labels,
            height: 3,
            width: 4,
        };
        pictures.write(&place, prefix).unwrap();
    };
    write(Vec::new(), "train");
    assert!(train(&["--data", &data], 3).contains("train-labels-idx1-ubyte"));
    write((0..40).map(|at| at % 11).collect(), "train");
    assert!(train(&["--data", &data], 3).contains("label 10"));
    write((0..40).map(|at| at % 10).collect(), "train");
    assert!(train(&["--data", &data], 3).contains("t10k"));
    write((0..40).map(|at| at % 10).collect(), "t10k");
    assert!(train(&["--data", &data], 3).contains("fewer than a batch"));
    let few = ["--data", &data, "--batch-size", "10"];
    assert!(train(&few, 3).contains("fewer than 10 pictures of class 0"));
    assert!(
        !folder.path().join("vanilla semi").exists(),
        "nothing was written"
    );

    let seeded = ["semi", "compare", "--seed", "3", "--out", &out];
    assert!(fail(BINARY, &seeded, 2).contains("leave out --seed"));
    let seeds = ["semi", "compare", "--seeds", "a", "--out", &out];
    assert!(fail(BINARY, &seeds, 2).contains("--seeds a"));
    let (code, _, error) = call(BINARY, &["semi", "evaluate", "--out", &out]);
    assert_eq!(code, Some(2), "{error}");
    assert!(error.contains("`vanilla semi train`"), "{error}");

    // A run of other pictures.
    let mut words = vec!["semi", "train", "--out", &out, "--data", &data, "--quiet"];
    words.extend(SMALL);
    words.extend(["--steps", "1"]);
    succeed(BINARY, &words);
    let other = drawn(folder.path());
    let error = fail(
        BINARY,
        &["semi", "evaluate", "--out", &out, "--data", &other],
        3,
    );
    assert!(
        error.contains("28 x 28") && error.contains("12 values"),
        "{error}"
    );
    let file = folder.path().join("other.safetensors");
    let tensor = HostTensor::vector(vec![1.0]);
    weights::write(
        &file,
        &Tensors::from([("x".to_owned(), tensor)]),
        &Metadata::new(),
    )
    .unwrap();
    let foreign = file.to_string_lossy().into_owned();
    let error = fail(BINARY, &["semi", "evaluate", "--checkpoint", &foreign], 4);
    assert!(error.contains("metadata config"), "{error}");
}
