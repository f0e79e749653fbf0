//! Parameter counts, the printed networks, the stage contract, learning, and the binary from end to end.

#[path = "../../../tests/fixtures/translating.rs"]
mod translating;

use burn::module::Module;
use burn::tensor::{Device, Tensor, TensorData};
use gan_core::config::{Configuration, Layer, Training, merge};
use gan_core::contract::{self, fail, succeed};
use gan_core::images::to_unit;
use gan_core::layers::Statistics;
use gan_core::loss::GanMode;
use gan_core::random::Stream;
use gan_core::stage::{At, Source, Stage};
use gan_core::weights::{self, Tensors};
use image::{Rgb, RgbImage, imageops};
use pix2pix::config::Direction;
use pix2pix::data::{Data, Examples};
use pix2pix::train::Gan;
use pix2pix::{Config, discriminator, generator};
use std::io::Write;
use std::path::Path;
use translating::{
    assert_translated, best_and_steps, bytes, newest, pattern, refuse, save, text, write_foreign,
    write_inputs,
};
use translation::discriminator::NetD;
use translation::generator::NetG;
use translation::norm::Norm;
use translation::pictures::Batch;

const BINARY: &str = env!("CARGO_BIN_EXE_pix2pix");

fn preset(name: &str) -> Config {
    merge(&[Layer::preset::<Config>(name).unwrap()]).unwrap()
}

/// What PyTorch counts: running statistics are no parameters there.
fn parameters(tensors: &Tensors) -> usize {
    let is_learned = |name: &&String| !name.contains(".running_");
    let learned = tensors.keys().filter(is_learned);
    learned.map(|name| tensors[name].values.len()).sum()
}

#[test]
fn the_default_networks_have_the_authors_parameters() {
    let (device, config) = (Device::flex(), Config::default());
    // The authors' program prints 54.414 M and 2.769 M.
    let unet = generator::generator(&config, &device);
    assert_eq!(parameters(&weights::collect(&unet)), 54_413_955);
    let patch = discriminator::discriminator(&config, &device);
    assert_eq!(parameters(&weights::collect(&patch)), 2_768_705);
    assert!(patch.num_params() > 2_768_705);
}

#[test]
fn the_printed_networks_are_pinned() {
    let device = Device::flex();
    let resnet = Config {
        net_g: NetG::Resnet6,
        net_d: NetD::Pixel,
        norm: Norm::Instance,
        input_channels: 1,
        ..preset("paper")
    };
    for (name, config) in [
        ("paper", preset("paper")),
        ("quick", preset("quick")),
        ("facades", preset("facades")),
        ("resnet", resnet),
    ] {
        let printed = format!(
            "{}\n{}\n",
            generator::generator(&config, &device),
            discriminator::discriminator(&config, &device)
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

/// The smallest networks on pictures of 32 pixels.
fn small() -> Config {
    Config {
        net_g: NetG::Unet32,
        net_d: NetD::NLayers,
        layers_d: 1,
        width_g: 4,
        width_d: 4,
        load_size: 36,
        crop_size: 32,
        validation: 3,
        training: Training {
            batch_size: 2,
            ..Training::default()
        },
        ..Config::default()
    }
}

/// A batch of noise for any configuration.
fn noise(config: &Config, number: u64) -> Batch {
    let pixels = config.training.batch_size * config.crop_size.pow(2);
    let draw = |name, channels| Stream::new(11, name, number).uniform(pixels * channels, -1.0, 1.0);
    Batch {
        a: draw("a", config.input_channels),
        b: draw("b", config.output_channels),
    }
}

#[test]
fn every_kind_of_network_keeps_the_stage_contract() {
    let resnet = Config {
        net_g: NetG::Resnet3,
        crop_size: 16,
        load_size: 16,
        ..small()
    };
    let configs = [
        small(),
        // Batches in parts, each with its own dropout.
        Config {
            training: Training {
                batch_size: 4,
                accumulate: 2,
                ..Training::default()
            },
            ..resnet.clone()
        },
        Config {
            norm: Norm::Instance,
            gan_mode: GanMode::Lsgan,
            net_d: NetD::Pixel,
            output_channels: 1,
            ..resnet
        },
        Config {
            norm: Norm::None,
            dropout: false,
            input_channels: 1,
            lambda_l1: 0.0,
            layers_d: 2,
            decay_start: 0.0,
            ..small()
        },
    ];
    for config in configs {
        config.validate().unwrap();
        let make = || Gan::new(&config, &Device::flex());
        contract::holds(make, |step| noise(&config, step), 4);
    }
}

/// The tensors of both players after one step with `config`.
fn after_a_step(config: &Config, seed: u64) -> std::collections::BTreeMap<String, Tensors> {
    let mut gan = Gan::new(config, &Device::flex());
    gan.step(noise(config, 0), &At::new(seed, 0, 4)).unwrap();
    contract::snapshot(&mut gan)
}

#[test]
fn dropout_acts_in_training_where_it_is_asked_for() {
    let with = Config {
        net_g: NetG::Resnet3,
        ..small()
    };
    let without = Config {
        dropout: false,
        ..with.clone()
    };
    // A step's seed reaches nothing but dropout.
    assert_ne!(after_a_step(&with, 1), after_a_step(&with, 2));
    assert_eq!(after_a_step(&with, 1), after_a_step(&with, 1));
    assert_eq!(after_a_step(&without, 1), after_a_step(&without, 2));
}

#[test]
fn batches_in_parts_move_the_running_statistics_and_weigh_as_one() {
    let whole = Config {
        norm: Norm::Batch,
        dropout: false,
        training: Training {
            batch_size: 4,
            ..Training::default()
        },
        ..small()
    };
    let mut parts = whole.clone();
    parts.training.accumulate = 2;
    let after = after_a_step(&parts, 1);
    let start = contract::snapshot(&mut Gan::new(&parts, &Device::flex()));
    let mut seen = 0;
    for (part, tensors) in &after {
        for (name, tensor) in tensors {
            if name.contains("running_mean") {
                assert_ne!(tensor, &start[part][name], "{part} {name}");
                seen += 1;
            }
        }
    }
    assert!(seen > 5, "{seen}");
    // Without statistics of the batch, parts differ from the whole by rounding alone.
    let alone = |config: &Config| {
        let config = Config {
            norm: Norm::None,
            ..config.clone()
        };
        after_a_step(&config, 1)
    };
    let (whole, parts) = (alone(&whole), alone(&parts));
    for name in ["generator_optimizer", "discriminator_optimizer"] {
        for (tensor, ours) in &parts[name] {
            let reference = &whole[name][tensor].values;
            let largest = reference
                .iter()
                .fold(0f32, |most, value| most.max(value.abs()));
            for (a, b) in ours.values.iter().zip(reference) {
                assert!((a - b).abs() <= 1e-4 * largest, "{name} {tensor}: {a} {b}");
            }
        }
    }
}

#[test]
fn both_players_move_and_the_learning_rate_falls_to_nothing() {
    let config = Config {
        decay_start: 0.5,
        ..small()
    };
    let mut gan = Gan::new(&config, &Device::flex());
    let mut rates = Vec::new();
    let mut last = contract::snapshot(&mut gan);
    for step in 0..8 {
        let scalars = gan
            .step(noise(&config, step), &At::new(0, step, 8))
            .unwrap();
        let read = scalars.read();
        let value = |name: &str| read.iter().find(|(found, _)| *found == name).unwrap().1;
        rates.push(value("lr_g"));
        assert_eq!(value("lr_g"), value("lr_d"));
        for name in ["D_real", "D_fake", "G_GAN", "G_L1"] {
            assert!(value(name) > 0.0, "{name}");
        }
        let now = contract::snapshot(&mut gan);
        for name in ["generator", "discriminator"] {
            assert_ne!(last[name], now[name], "{name} at step {step}");
        }
        last = now;
    }
    assert_eq!(rates[..4], [2e-4; 4]);
    assert!(
        rates[4..].windows(2).all(|pair| pair[1] < pair[0]),
        "{rates:?}"
    );
    assert!(rates[7] < 1e-4 && rates[7] > 0.0, "{rates:?}");
}

fn planar(picture: &RgbImage) -> Vec<f32> {
    let bytes = gan_core::images::planar(picture, 3);
    bytes.into_iter().map(to_unit).collect()
}

fn inverted(picture: &RgbImage) -> RgbImage {
    let mut picture = picture.clone();
    imageops::invert(&mut picture);
    picture
}

#[test]
fn it_learns_to_invert_colours() {
    let config = Config {
        width_g: 8,
        dropout: false,
        lr: 2e-3,
        training: Training {
            batch_size: 2,
            ..Training::default()
        },
        ..small()
    };
    let pair = |number: u32| {
        let picture = pattern(number, 32, 32);
        (planar(&picture), planar(&inverted(&picture)))
    };
    let examples = Examples {
        pairs: (100..103).map(pair).collect(),
        ..Examples::default()
    };
    let mut gan = Gan::new(&config, &Device::flex()).with_examples(examples);
    let measure = |gan: &Gan| gan.validate(&At::new(0, 0, 1)).unwrap().read();
    let before = measure(&gan);
    for step in 0..120 {
        let mut batch = Batch::default();
        for number in [2 * step as u32 % 60, (2 * step as u32 + 1) % 60] {
            let (a, b) = pair(number);
            batch.a.extend(a);
            batch.b.extend(b);
        }
        gan.step(batch, &At::new(0, step, 120)).unwrap();
    }
    let after = measure(&gan);
    assert_eq!((after[0].0, after[1].0), ("test_L1", "test_SSIM"));
    assert!(
        after[0].1 < 0.4 * before[0].1 && after[1].1 > before[1].1 + 0.2,
        "{before:?} became {after:?}"
    );
}

#[test]
fn as_many_test_pairs_are_measured_as_asked_for() {
    let pair = |number| {
        let picture = planar(&pattern(number, 32, 32));
        (picture.clone(), picture)
    };
    let examples = Examples {
        pairs: (0..8).map(pair).collect(),
        ..Examples::default()
    };
    let measured = |validation: usize| {
        let config = Config {
            validation,
            ..small()
        };
        let gan = Gan::new(&config, &Device::flex()).with_examples(examples.clone());
        gan.validate(&At::new(0, 0, 1)).unwrap().read()
    };
    assert!(measured(0).is_empty());
    assert_ne!(measured(3), measured(8));
    assert_eq!(measured(8), measured(50));
}

/// Only the CPU in a plain build; `cargo test -p pix2pix --features ndarray devices` compares another one.
#[test]
fn devices_agree() {
    let config = small();
    let forward = |device: &Device, tensors: &Tensors| {
        let network = generator::generator(&config, device);
        let network = weights::apply(network, tensors).unwrap();
        let input = TensorData::new(noise(&config, 5).a, [2, 3, 32, 32]);
        let input = Tensor::<4>::from_data(input, device);
        weights::values(network.forward(input, Statistics::Batch, None))
    };
    let lines = contract::devices_agree(
        |device| Gan::new(&config, device),
        || noise(&config, 0),
        forward,
    );
    let _ = writeln!(std::io::stderr(), "{}", lines.join("\n"));
}

/// Pair `number`: a picture, and the same with its colours inverted.
fn side_by_side(number: u32, width: u32, height: u32) -> RgbImage {
    let left = pattern(number, width, height);
    let mut both = RgbImage::new(2 * width, height);
    imageops::replace(&mut both, &left, 0, 0);
    imageops::replace(&mut both, &inverted(&left), i64::from(width), 0);
    both
}

/// `train/` and `test/` with pairs side by side, of mixed sizes.
fn write_pairs(folder: &Path, train: u32, test: u32) {
    for (part, count) in [("train", train), ("test", test)] {
        for number in 0..count {
            let side = [36, 40, 51][number as usize % 3];
            let both = side_by_side(number + 50 * u32::from(part == "test"), side, 36);
            save(&folder.join(part).join(format!("{number:02}.png")), both);
        }
    }
}

/// `trainA/` and `trainB/` with so many pictures of equal names.
fn write_two_folders(folder: &Path, count: u32) {
    for number in 0..count {
        let picture = pattern(number, 36, 36);
        let name = format!("{number:02}.png");
        save(&folder.join("trainB").join(&name), inverted(&picture));
        save(&folder.join("trainA").join(name), picture);
    }
}

const SMALL: [&str; 18] = [
    "--net-g",
    "unet_32",
    "--net-d",
    "n_layers",
    "--layers-d",
    "1",
    "--width-g",
    "4",
    "--width-d",
    "4",
    "--load-size",
    "36",
    "--crop-size",
    "32",
    "--log-every",
    "3",
    "--validation",
    "3",
];

#[test]
fn a_killed_run_resumes_bit_for_bit_with_its_best() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("pairs");
    write_pairs(&data, 10, 3);
    let data = text(&data);
    // 5 batches an epoch: 24 steps cross four ends of an epoch with their measurements, three saves and the decay.
    let plain = ["--batch-size", "2", "--keep", "1"];
    let parts = [
        "--batch-size=2",
        "--accumulate=2",
        "--norm=instance",
        "--gan-mode=lsgan",
        "--direction=b2a",
        "--flip=false",
    ];
    for (name, more) in [("plain", &plain[..]), ("parts", &parts)] {
        let mut command = vec!["train", "--data", &data, "--steps", "24"];
        command.extend(SMALL);
        command.extend(["--sample-every", "9", "--save-every", "7"]);
        command.extend(more);
        let place = folder.path().join(name);
        contract::resume_is_the_same_run(BINARY, "pix2pix", "gan", &command, &place);
        let runs = ["straight", "killed"].map(|run| place.join(run).join("pix2pix/run"));
        let [straight, killed] = runs.each_ref().map(|run| best_and_steps(run));
        assert!(straight.0.is_some(), "{straight:?}");
        assert_eq!(straight, killed, "{name}");
    }
}

#[test]
fn threads_do_not_change_a_byte() {
    // Wide enough that the convolutions do use several threads.
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("pairs");
    write_pairs(&data, 4, 2);
    let data = text(&data);
    let command = [
        "train",
        "--data",
        &data,
        "--steps=2",
        "--batch-size=2",
        "--net-g=unet_64",
        "--net-d=n_layers",
        "--layers-d=2",
        "--width-g=16",
        "--width-d=16",
        "--load-size=72",
        "--crop-size=64",
    ];
    contract::threads_do_not_matter(BINARY, "pix2pix", "gan", &command, folder.path());
}

#[test]
fn without_flags_it_trains_on_drawn_facades() {
    let folder = tempfile::tempdir().unwrap();
    let out = text(folder.path());
    let said = succeed(BINARY, &["train", "--steps", "2", "--out", &out]);
    let first = said.lines().next().unwrap_or_default();
    assert!(
        first.starts_with("PROCEDURAL data: drawn facades"),
        "{said}"
    );
    assert!(said.contains("parameters: generator"), "{said}");
    let run = folder.path().join("pix2pix/001");
    for file in [
        "report.html",
        "samples/reals.png",
        "samples/step_00000000.png",
        "samples/step_00000002.png",
        "checkpoints/gan/best",
        "checkpoints/gan/step_00000002/generator.safetensors",
    ] {
        assert!(run.join(file).is_file(), "{file} is missing");
    }
    let config = std::fs::read_to_string(run.join("config.toml")).unwrap();
    assert!(config.starts_with("# PROCEDURAL"), "{config}");
    let log = std::fs::read_to_string(run.join("metrics.jsonl")).unwrap();
    assert!(
        log.contains("\"test_L1\":") && log.contains("\"test_SSIM\":"),
        "{log}"
    );
}

#[test]
fn the_stand_in_is_written_checked_and_trained_on() {
    let folder = tempfile::tempdir().unwrap();
    let (data, out) = (text(&folder.path().join("drawn")), text(folder.path()));
    let prepare = [
        "data",
        "prepare",
        "--procedural",
        "--num",
        "18",
        "-o",
        &data,
    ];
    succeed(BINARY, &prepare);
    let said = succeed(BINARY, &["data", "check", &data]);
    for part in [
        "PROCEDURAL",
        "train: 16 pairs",
        "test: 2 pairs",
        "16 of 256 x 256",
        "--direction b2a",
    ] {
        assert!(said.contains(part), "{part} is missing in {said}");
    }
    let mut command = vec!["train", "--data", &data, "--steps", "1", "--out", &out];
    command.extend(SMALL);
    let said = succeed(BINARY, &command);
    assert!(said.starts_with("PROCEDURAL data: drawn facades"), "{said}");
    assert!(
        best_and_steps(&folder.path().join("pix2pix/001"))
            .0
            .is_some()
    );
}

/// A run that was trained for some steps, and pictures to translate.
struct Trained {
    folder: tempfile::TempDir,
}

impl Trained {
    /// With a U-Net of 6 halvings, the smallest that has dropout.
    fn new(more: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("pairs");
        write_pairs(&data, 6, 2);
        write_inputs(&folder.path().join("in"));
        let (data, out) = (text(&data), text(folder.path()));
        let mut command = vec!["train", "--data", &data, "--out", &out, "--quiet"];
        let defaults = [
            "--steps=9",
            "--save-every=4",
            "--net-g=unet_64",
            "--net-d=n_layers",
            "--layers-d=1",
            "--width-g=4",
            "--width-d=4",
            "--load-size=64",
            "--crop-size=64",
            "--validation=2",
        ];
        // A flag may be given once only.
        let flag = |part: &&str| part.split('=').next().map(str::to_owned);
        let given: Vec<_> = more.iter().map(flag).collect();
        command.extend(defaults.iter().filter(|part| !given.contains(&flag(part))));
        command.extend(more);
        succeed(BINARY, &command);
        Self { folder }
    }

    fn run(&self) -> std::path::PathBuf {
        self.folder.path().join("pix2pix/001")
    }

    fn arguments(&self, input: &str, output: &str, more: &[&str]) -> Vec<String> {
        let path = |name| text(&self.folder.path().join(name));
        let (out, input, output) = (text(self.folder.path()), path(input), path(output));
        let own = ["translate", "--out", &out, "-i", &input, "-o", &output];
        own.iter()
            .chain(more)
            .map(|part| (*part).to_owned())
            .collect()
    }

    /// Translates and returns the results.
    fn translate(
        &self,
        input: &str,
        output: &str,
        more: &[&str],
    ) -> std::collections::BTreeMap<std::path::PathBuf, Vec<u8>> {
        let arguments = self.arguments(input, output, more);
        succeed(
            BINARY,
            &arguments.iter().map(String::as_str).collect::<Vec<_>>(),
        );
        bytes(&self.folder.path().join(output))
    }

    fn refuse(
        &self,
        input: &str,
        output: &str,
        more: &[&str],
        code: i32,
        parts: &[&str],
    ) -> String {
        let arguments = self.arguments(input, output, more);
        let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
        refuse(BINARY, &arguments, code, parts)
    }
}

#[test]
fn a_checkpoint_in_any_form_is_all_you_need() {
    let trained = Trained::new(&[]);
    let place = |name: &str| trained.folder.path().join(name);
    let first = trained.translate("in", "first", &[]);
    assert_translated(&place("in"), &place("first"));
    let step = text(&newest(&trained.run()));
    let exported = text(&place("g.safetensors"));
    let (run, out) = (text(&trained.run()), text(trained.folder.path()));
    succeed(BINARY, &["export", "--out", &out, "-o", &exported]);
    let of_step = format!("{step}/generator.safetensors");
    let forms = ["001", &run, &step, &of_step, &exported];
    for (number, form) in forms.into_iter().enumerate() {
        let again = trained.translate("in", &format!("again-{number}"), &["--checkpoint", form]);
        assert!(again == first, "{form}");
    }

    let (best, steps) = best_and_steps(&trained.run());
    let best = best.unwrap();
    let name = best.lines().next().unwrap();
    let pointer = text(&trained.run().join("checkpoints/gan/best"));
    let named = text(&trained.run().join("checkpoints/gan").join(name));
    let of_pointer = trained.translate("in", "of-pointer", &["--checkpoint", &pointer]);
    assert!(of_pointer == trained.translate("in", "of-best", &["--checkpoint", &named]));
    assert!(steps.len() > 1);

    // From Rust, by the same protocol.
    let input = image::ImageReader::open(place("in/a.png")).unwrap();
    let input = input.decode().unwrap().into_rgb8();
    let ours = pix2pix::open(&exported).unwrap().picture(&input).unwrap();
    let theirs = gan_core::images::read(&place("first/a.png")).unwrap();
    assert_eq!(ours, theirs.into_rgb8());

    let info = succeed(BINARY, &["info", &pointer]);
    assert!(
        info.contains("model.model.0.weight") && info.contains("net_g"),
        "{info}"
    );
    succeed(BINARY, &["runs", "list", "--out", &out]);
}

#[test]
fn noise_and_statistics_are_those_that_were_asked_for() {
    let trained = Trained::new(&[]);
    let default = trained.translate("in", "default", &[]);
    let ask =
        |number: usize, more: &[&str]| trained.translate("in", &format!("asked-{number}"), more);
    assert!(default == ask(0, &["--seed=0"]) && default == ask(1, &["--dropout"]));
    let all = [
        default,
        ask(2, &["--seed=1"]),
        ask(3, &["--dropout=false"]),
        ask(4, &["--eval"]),
        ask(5, &["--eval", "--dropout"]),
        ask(6, &["--eval", "--dropout", "--seed=1"]),
    ];
    let name = Path::new("a.png");
    for (first, one) in all.iter().enumerate() {
        for (second, other) in all.iter().enumerate().skip(first + 1) {
            assert!(
                one[name] != other[name],
                "{first} and {second} are the same"
            );
        }
    }
    // Without dropout there is nothing to draw.
    assert!(all[2] == ask(7, &["--dropout=false", "--seed=1"]));
    assert!(all[3] == ask(8, &["--eval", "--seed=1"]));

    // A result depends on its picture alone, not on those beside it.
    for name in ["a.png", "f.bmp"] {
        let alone = trained.translate(&format!("in/{name}"), &format!("alone-{}", &name[..1]), &[]);
        let name = Path::new(name);
        assert!(alone[name] == all[0][name], "{}", name.display());
    }
    // Neither do tiles draw anything of their own: one that holds the picture is the picture.
    let tiled = ask(9, &["--tile", "512"]);
    assert!(tiled == all[0]);
}

#[test]
fn a_network_without_dropout_has_no_noise() {
    let trained = Trained::new(&["--dropout=false"]);
    let default = trained.translate("in/a.png", "default", &[]);
    assert_eq!(default.len(), 1);
    assert!(default == trained.translate("in/a.png", "seed", &["--seed=1"]));
}

#[test]
fn translations_that_cannot_be_are_refused_in_a_sentence() {
    let trained = Trained::new(&[]);
    let place = |name: &str| trained.folder.path().join(name);
    trained.refuse("missing.png", "out", &[], 3, &["missing.png"]);
    trained.refuse("in/notes.txt", "other", &[], 3, &["notes.txt"]);
    trained.refuse(
        "in",
        "in",
        &[],
        2,
        &["results would replace their pictures"],
    );
    trained.refuse("in", "one.png", &[], 2, &["one picture's name"]);
    trained.refuse("in", "out", &["--tile=0"], 2, &["--tile"]);
    trained.refuse("in", "out", &["--device=toaster"], 2, &["toaster"]);
    assert!(!place("out").exists(), "nothing was written");

    // One in the middle is passed over, with its name.
    std::fs::write(place("in/c2.png"), "<html>").unwrap();
    let said = trained.refuse("in", "out", &[], 3, &["c2.png", "1 of 9 pictures"]);
    assert!(said.contains("the others were written"), "{said}");
    std::fs::remove_file(place("in/c2.png")).unwrap();
    assert_translated(&place("in"), &place("out"));
    let before = bytes(&place("out"));
    trained.refuse(
        "in",
        "out",
        &["--seed=1"],
        2,
        &["are there already", "--overwrite"],
    );
    assert!(before == bytes(&place("out")));
    assert!(before != trained.translate("in", "out", &["--seed=1", "--overwrite"]));
}

#[test]
fn checkpoints_that_are_no_generators_are_refused_in_a_sentence() {
    let trained = Trained::new(&[]);
    let place = |name: &str| trained.folder.path().join(name);
    let refuse = |checkpoint: &Path, parts: &[&str]| {
        let checkpoint = text(checkpoint);
        trained.refuse("in", "out", &["--checkpoint", &checkpoint], 4, parts)
    };
    for foreign in write_foreign(trained.folder.path(), "cyclegan", "generator_a") {
        let said = refuse(&foreign, &["is a checkpoint of cyclegan, not of pix2pix"]);
        assert!(said.trim().lines().count() <= 2, "{said}");
    }
    refuse(&place("nothing"), &["nothing does not exist"]);
    refuse(&place("in"), &["holds no checkpoint"]);
    let discriminator = newest(&trained.run()).join("discriminator.safetensors");
    refuse(
        &discriminator,
        &["holds a discriminator; wanted: generator"],
    );

    // Of PyTorch: another network, and a file that ends early.
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures");
    refuse(
        &fixtures.join("dcgan_zip.pth"),
        &["dcgan_zip.pth", "not a generator of pix2pix or CycleGAN"],
    );
    let whole = std::fs::read(fixtures.join("translation_unet_module.pth")).unwrap();
    for (name, length) in [
        ("cut.pth", whole.len() / 2),
        ("none.pth", 0),
        ("few.pth", 3),
    ] {
        std::fs::write(place(name), &whole[..length]).unwrap();
        refuse(&place(name), &[name]);
    }
    std::fs::write(place("page.pth"), "<!DOCTYPE html>").unwrap();
    refuse(&place("page.pth"), &["page.pth"]);

    // The tensors say what the network is, whatever the file says beside them.
    let file = weights::read(&newest(&trained.run()).join("generator.safetensors")).unwrap();
    let told = |name: &str, from: &str, to: &str| {
        let mut metadata = file.metadata.clone();
        let config = metadata.get_mut("config").unwrap();
        assert!(config.contains(from), "{config}");
        *config = config.replace(from, to);
        weights::write(&place(name), &file.tensors, &metadata).unwrap();
    };
    told("other.safetensors", "unet_64", "resnet_9blocks");
    let other = text(&place("other.safetensors"));
    let same = trained.translate("in", "same", &[]);
    assert!(same == trained.translate("in", "other", &["--checkpoint", &other]));
    told("strange.safetensors", "net_g = \"unet_64\"", "nett = 3");
    refuse(
        &place("strange.safetensors"),
        &["its configuration", "nett"],
    );
    // A tensor that is missing, and one of another shape.
    let mut tensors = file.tensors.clone();
    let name = tensors.keys().next_back().unwrap().clone();
    tensors.remove(&name);
    weights::write(&place("less.safetensors"), &tensors, &file.metadata).unwrap();
    refuse(&place("less.safetensors"), &["less.safetensors", &name]);

    // The best that was removed by hand; the run itself is whole.
    let stage = trained.run().join("checkpoints/gan");
    std::fs::write(stage.join("best"), "step_00000001\n0.5\n").unwrap();
    refuse(&stage.join("best"), &["names no checkpoint that is there"]);
    let out = text(trained.folder.path());
    succeed(
        BINARY,
        &[
            "train", "--resume", "001", "--steps", "12", "--out", &out, "--quiet",
        ],
    );
    let (best, steps) = best_and_steps(&trained.run());
    assert!(best.unwrap().starts_with("step_00000012") && steps.contains(&12));
}

#[test]
fn the_best_survives_pruning() {
    let trained = Trained::new(&["--keep=9", "--save-every=1", "--steps=14"]);
    let stage = trained.run().join("checkpoints/gan");
    // Whichever it was: one in the middle.
    std::fs::write(stage.join("best"), "step_00000008\n0.5\n").unwrap();
    let out = text(trained.folder.path());
    let before = best_and_steps(&trained.run()).1;
    succeed(BINARY, &["runs", "prune", "--out", &out, "--dry-run"]);
    assert_eq!(best_and_steps(&trained.run()).1, before);
    let said = succeed(BINARY, &["runs", "prune", "--out", &out]);
    assert!(said.contains("MB freed"), "{said}");
    assert_eq!(best_and_steps(&trained.run()).1, [8, 14]);
}

#[test]
fn fine_tuning_starts_from_both_players() {
    let trained = Trained::new(&[]);
    let (out, data) = (
        text(trained.folder.path()),
        text(&trained.folder.path().join("pairs")),
    );
    let stage = trained.run().join("checkpoints/gan");
    let (best, latest) = (text(&stage.join("best")), text(&stage.join("latest")));
    let step = newest(&trained.run());
    let single = text(&step.join("generator.safetensors"));
    let begun = |name: &str, from: &str| {
        let command = [
            "train",
            "--data",
            &data,
            "--out",
            &out,
            "--name",
            name,
            "--init-from",
            from,
            "--steps=1",
            "--keep=2",
            "--quiet",
            "--net-g=unet_64",
            "--net-d=n_layers",
            "--layers-d=1",
            "--width-g=4",
            "--width-d=4",
            "--load-size=64",
            "--crop-size=64",
        ];
        succeed(BINARY, &command);
        let start = trained.folder.path().join("pix2pix").join(name);
        let start = start.join("checkpoints/gan/step_00000000");
        ["generator", "discriminator"].map(|network| {
            let path = start.join(format!("{network}.safetensors"));
            weights::read(&path).unwrap().tensors
        })
    };
    let of = |folder: &Path| {
        ["generator", "discriminator"].map(|network| {
            let path = folder.join(format!("{network}.safetensors"));
            weights::read(&path).unwrap().tensors
        })
    };
    assert!(begun("run", "001") == of(&step));
    assert!(begun("latest-file", &latest) == of(&step));
    let name = best_and_steps(&trained.run()).0.unwrap();
    let name = name.lines().next().unwrap();
    assert!(begun("best-file", &best) == of(&stage.join(name)));
    let [generator, discriminator] = begun("single", &single);
    assert!(generator == of(&step)[0] && discriminator != of(&step)[1]);
}

#[test]
fn wrong_requests_are_answered_with_their_exit_code() {
    let folder = tempfile::tempdir().unwrap();
    let out = text(folder.path());
    let refused = |more: &[&str], parts: &[&str]| {
        let command = [&["train", "--out", &out], more].concat();
        refuse(BINARY, &command, 2, parts)
    };
    refused(
        &["--crop-size", "40", "--load-size", "64"],
        &["crop_size = 40", "multiple of 64"],
    );
    refused(&["--crop-size", "32"], &["crop_size = 32", "from 64"]);
    refused(
        &["--load-size", "48"],
        &["load_size = 48", "from crop_size, 64"],
    );
    refused(
        &["--net-g", "unet_512"],
        &["unet_512", "unet_256", "resnet_9blocks"],
    );
    refused(&["--net-d", "patch"], &["patch", "n_layers", "pixel"]);
    refused(&["--norm", "layer"], &["layer", "batch", "instance"]);
    refused(&["--direction", "a-to-b"], &["a-to-b", "a2b"]);
    refused(&["--layers-d", "7"], &["layers_d = 7"]);
    refused(&["--width-g", "0"], &["width_g = 0"]);
    refused(&["--width-d", "4096"], &["width_d = 4096"]);
    refused(
        &["--input-channels", "4"],
        &["input_channels = 4", "1 or 3"],
    );
    refused(
        &["--output-channels", "2"],
        &["output_channels = 2", "1 or 3"],
    );
    refused(&["--lambda-l1=-1"], &["lambda_l1 = -1"]);
    refused(&["--lambda-l1", "inf"], &["lambda_l1 = inf"]);
    refused(&["--lr", "nan"], &["lr = NaN"]);
    refused(&["--beta1", "1"], &["beta1 = 1"]);
    refused(&["--decay-start", "1.5"], &["decay_start = 1.5"]);
    refused(
        &["--batch-size", "3", "--accumulate", "2"],
        &["accumulate = 2"],
    );
    refused(&["--lambda", "3"], &["--lambda"]);
    assert!(
        !folder.path().join("pix2pix").exists(),
        "nothing was written"
    );

    // The authors' names for the directions.
    for (name, word) in [("AtoB", "a2b"), ("BtoA", "b2a"), ("a2b", "a2b")] {
        let said = succeed(BINARY, &["train", "--direction", name, "--dry-run"]);
        assert!(said.contains(&format!("direction = \"{word}\"")), "{said}");
    }
    let theirs = [
        "train",
        "--netD=pixel",
        "--ndf=9",
        "--lambda_L1=7",
        "--dry-run",
    ];
    let said = succeed(BINARY, &theirs);
    assert_said(
        &said,
        &["net_d = \"pixel\"", "width_d = 9", "lambda_l1 = 7"],
    );
    let file = folder.path().join("own.toml");
    std::fs::write(&file, "direction = \"BtoA\"\n").unwrap();
    let said = succeed(BINARY, &["train", "--config", &text(&file), "--dry-run"]);
    assert!(said.contains("direction = \"b2a\""), "{said}");
}

#[test]
fn the_direction_says_what_becomes_what() {
    let folder = tempfile::tempdir().unwrap();
    write_pairs(folder.path(), 3, 2);
    let config = |direction| Config {
        direction,
        flip: false,
        load_size: 32,
        training: Training {
            data: text(folder.path()),
            batch_size: 1,
            ..Training::default()
        },
        ..small()
    };
    let batch = |direction| Data::open(&config(direction)).unwrap().batch(0, 1).unwrap();
    let (there, back) = (batch(Direction::A2b), batch(Direction::B2a));
    assert_eq!((&there.a, &there.b), (&back.b, &back.a));
    assert_ne!(there.a, there.b);
    // The right half is the inverse of the left one, and both were cut alike.
    let cut = Config {
        load_size: 40,
        flip: true,
        ..config(Direction::A2b)
    };
    let data = Data::open(&cut).unwrap();
    assert_eq!((data.len(), data.broken().len()), (3, 0));
    for (epoch, index) in [(0, 0), (0, 2), (3, 1)] {
        let batch = data.batch(epoch, index).unwrap();
        assert_eq!(batch.a.len(), 3 * 32 * 32);
        for (a, b) in batch.a.iter().zip(&batch.b) {
            assert!((a + b).abs() < 0.02, "{a} {b}");
        }
        assert!(batch == data.batch(epoch, index).unwrap());
    }
    assert!(data.batch(0, 0).unwrap() != data.batch(1, 0).unwrap());
}

/// Trains one step on a folder, and returns what was said.
fn train_on(data: &Path, out: &Path, code: i32) -> String {
    let (data, out) = (text(data), text(out));
    let mut command = vec!["train", "--data", &data, "--steps", "1", "--out", &out];
    command.extend(SMALL);
    if code == 0 {
        return succeed(BINARY, &command);
    }
    let said = fail(BINARY, &command, code);
    assert!(!said.contains("this is a bug"), "{said}");
    said
}

fn assert_said(said: &str, parts: &[&str]) {
    for part in parts {
        assert!(said.contains(part), "{part:?} is not in: {said}");
    }
}

#[test]
fn few_bad_pairs_are_left_out_with_a_warning_and_many_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let place = |name: &str| folder.path().join(name);
    let (pairs, out) = (place("pairs"), place("out"));
    write_pairs(&pairs, 20, 2);
    assert!(!train_on(&pairs, &out, 0).contains("left out"));

    // Two of 22: a width that cannot be halved, and a file that is none.
    save(&pairs.join("train/90.png"), pattern(1, 73, 36));
    std::fs::write(pairs.join("train/91.jpg"), b"\xff\xd8\xff\xe0broken").unwrap();
    let said = train_on(&pairs, &out, 0);
    assert_said(
        &said,
        &[
            "2 pairs are left out",
            "90.png",
            "a width of 73 pixels cannot be halved",
        ],
    );
    let checked = succeed(BINARY, &["data", "check", &text(&pairs)]);
    assert_said(&checked, &["broken: ", "90.png", "91.jpg"]);
    std::fs::write(pairs.join("train/92.png"), "").unwrap();
    let said = train_on(&pairs, &out, 3);
    assert_said(&said, &["3 of 23 pictures", "cannot be read", "90.png"]);
    let refused = fail(BINARY, &["data", "check", &text(&pairs)], 3);
    assert_said(&refused, &["training would refuse them"]);

    // A test pair that is none is told, and the others are measured.
    for name in ["90.png", "91.jpg", "92.png"] {
        std::fs::remove_file(pairs.join("train").join(name)).unwrap();
    }
    std::fs::write(pairs.join("test/00.png"), "<html>").unwrap();
    let said = train_on(&pairs, &out, 0);
    assert_said(
        &said,
        &["1 test pairs are left out", "test/00.png", "test_L1"],
    );
}

#[test]
fn names_without_a_partner_are_told_or_refused() {
    let folder = tempfile::tempdir().unwrap();
    let place = |name: &str| folder.path().join(name);
    let (pairs, out) = (place("pairs"), place("out"));
    write_two_folders(&pairs, 11);
    // Endings may differ.
    let picture = pattern(3, 36, 36);
    std::fs::remove_file(pairs.join("trainB/03.png")).unwrap();
    save(&pairs.join("trainB/03.jpg"), picture.clone());
    assert!(!train_on(&pairs, &out, 0).contains("left out"));
    std::fs::remove_file(pairs.join("trainB/05.png")).unwrap();
    let said = train_on(&pairs, &out, 0);
    assert_said(
        &said,
        &["1 pairs are left out", "trainA/05.png has no partner"],
    );
    save(&pairs.join("trainB/only.png"), picture);
    let said = train_on(&pairs, &out, 3);
    assert_said(
        &said,
        &["2 of 12 names", "have no partner", "trainA", "05.png"],
    );

    // Pairs must show the same place at the same size.
    let pairs = place("sizes");
    write_two_folders(&pairs, 11);
    save(&pairs.join("trainB/02.png"), pattern(2, 36, 40));
    let said = train_on(&pairs, &out, 0);
    let parts = [
        "1 pairs are left out",
        "36 x 36",
        "36 x 40",
        "must show the same place at the same size",
    ];
    assert_said(&said, &parts);
    save(&pairs.join("trainB/04.png"), pattern(2, 30, 36));
    assert_said(&train_on(&pairs, &out, 3), &["2 of 11 pictures", "02.png"]);
}

#[test]
fn folders_without_pairs_are_refused_with_what_was_expected() {
    let folder = tempfile::tempdir().unwrap();
    let place = |name: &str| folder.path().join(name);
    let out = place("out");
    std::fs::create_dir(place("empty")).unwrap();
    assert_said(
        &train_on(&place("empty"), &out, 3),
        &["there are no pictures under", "empty"],
    );
    assert_said(&train_on(&place("nowhere"), &out, 3), &["nowhere"]);
    write_pairs(&place("tests"), 0, 3);
    let said = train_on(&place("tests"), &out, 3);
    assert_said(&said, &["holds no part to train on", "train/", "trainA/"]);
    assert_said(
        &fail(BINARY, &["data", "check", &text(&place("tests"))], 3),
        &["holds no part to train on"],
    );
    write_pairs(&place("one"), 1, 1);
    let (data, out_text) = (text(&place("one")), text(&out));
    let mut command = vec![
        "train",
        "--data",
        &data,
        "--out",
        &out_text,
        "--batch-size",
        "4",
    ];
    command.extend(SMALL);
    refuse(
        BINARY,
        &command,
        3,
        &["1 pairs under", "fewer than a batch of 4", "--batch-size"],
    );
    std::fs::create_dir_all(place("half/trainA")).unwrap();
    save(&place("half/trainA/0.png"), pattern(1, 36, 36));
    assert_said(
        &train_on(&place("half"), &out, 3),
        &["holds no part to train on", "trainB is not"],
    );
    // Nor are its pictures halved as if each were a pair.
    for one in ["A", "B", "A/train", "train/B", "testA"] {
        let data = place(&format!("only-{}", one.replace('/', "-")));
        save(&data.join(one).join("0.png"), pattern(1, 36, 36));
        let said = fail(BINARY, &["data", "check", &text(&data)], 3);
        assert_said(&said, &["is there, but its partner"]);
    }
    assert!(!out.join("pix2pix").exists(), "nothing was written");

    // Without a test set it trains, and says what is missed; with pairs in any layout, too.
    write_pairs(&place("plain"), 3, 0);
    let said = train_on(&place("plain"), &out, 0);
    assert_said(
        &said,
        &["has no test pairs", "no checkpoint is chosen as the best"],
    );
    let run = out.join("pix2pix/001");
    assert_eq!(best_and_steps(&run), (None, vec![1]));
    for (number, layout) in ["A/train B/train", "train/A train/B", "trainA trainB", "A B"]
        .into_iter()
        .enumerate()
    {
        let place = place(&format!("layout-{number}"));
        for (folder, way) in layout.split(' ').zip(["a", "b"]) {
            let picture = pattern(if way == "a" { 1 } else { 2 }, 36, 36);
            save(&place.join(folder).join("x.png"), picture);
        }
        train_on(&place, &out, 0);
    }
    save(&place("flat/1.png"), side_by_side(1, 36, 36));
    train_on(&place("flat"), &out, 0);
}

#[test]
fn grey_pictures_are_translated_too() {
    let grey = |picture: &RgbImage| picture.pixels().all(|Rgb([r, g, b])| r == g && g == b);
    let trained = Trained::new(&["--input-channels=1", "--output-channels=1"]);
    trained.translate("in", "out", &[]);
    let made = gan_core::images::read(&trained.folder.path().join("out/a.png")).unwrap();
    assert!(grey(&made.into_rgb8()));
}
