//! Parameter counts, the printed networks, the stage contract, learning, and the binary from end to end.

#[path = "../../../tests/fixtures/translating.rs"]
mod translating;

use burn::tensor::{Device, Tensor, TensorData};
use cyclegan::data::{Data, Examples};
use cyclegan::train::{GENERATORS, Gan};
use cyclegan::{Config, Direction, discriminator, generator};
use gan_core::checkpoint::{self, FileRecord, Manifest};
use gan_core::config::{Configuration, Layer, Training, merge};
use gan_core::contract::{self, fail, succeed};
use gan_core::images::to_unit;
use gan_core::layers::Statistics;
use gan_core::loss::GanMode;
use gan_core::random::Stream;
use gan_core::stage::{At, Source, Stage};
use gan_core::weights::{self, HostTensor, Tensors};
use image::RgbImage;
use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use translating::{
    assert_translated, best_and_steps, bytes, newest, pattern, refuse, save, text, write_foreign,
    write_inputs,
};
use translation::discriminator::NetD;
use translation::generator::NetG;
use translation::norm::Norm;
use translation::pictures::Batch;

const BINARY: &str = env!("CARGO_BIN_EXE_cyclegan");

/// The four players as a checkpoint names them.
const PLAYERS: [&str; 4] = [
    "generator_a",
    "generator_b",
    "discriminator_a",
    "discriminator_b",
];

fn preset(name: &str) -> Config {
    merge(&[Layer::preset::<Config>(name).unwrap()]).unwrap()
}

fn numbers(tensors: &Tensors) -> usize {
    tensors.values().map(|tensor| tensor.values.len()).sum()
}

#[test]
fn the_default_networks_have_the_authors_parameters() {
    let (device, config) = (Device::flex(), Config::default());
    // The authors' program prints 11.378 M and 2.765 M; instance normalisation has no numbers.
    for generator in generator::generators(&config, &device) {
        assert_eq!(numbers(&weights::collect(&generator)), 11_378_179);
    }
    for discriminator in discriminator::discriminators(&config, &device) {
        assert_eq!(numbers(&weights::collect(&discriminator)), 2_764_737);
    }
}

#[test]
fn the_printed_networks_are_pinned() {
    let device = Device::flex();
    let unet = Config {
        net_g: NetG::Unet128,
        net_d: NetD::Pixel,
        norm: Norm::Batch,
        dropout: true,
        output_channels: 1,
        lambda_identity: 0.0,
        ..preset("paper")
    };
    for (name, config) in [
        ("paper", preset("paper")),
        ("quick", preset("quick")),
        ("faces", preset("faces")),
        ("unet", unet),
    ] {
        let [there, back] = generator::generators(&config, &device);
        let [of_b, of_a] = discriminator::discriminators(&config, &device);
        let printed = format!("{there}\n{back}\n{of_b}\n{of_a}\n");
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

/// The smallest networks on pictures of 16 pixels, and a pool that is full after three.
fn small() -> Config {
    Config {
        net_g: NetG::Resnet3,
        net_d: NetD::NLayers,
        layers_d: 1,
        width_g: 4,
        width_d: 4,
        load_size: 16,
        crop_size: 16,
        pool_size: 3,
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
    let configs = [
        small(),
        // Batches in parts, dropout, and statistics of the batch.
        Config {
            norm: Norm::Batch,
            dropout: true,
            training: Training {
                batch_size: 4,
                accumulate: 2,
                ..Training::default()
            },
            ..small()
        },
        Config {
            net_g: NetG::Unet32,
            net_d: NetD::Pixel,
            load_size: 32,
            crop_size: 32,
            gan_mode: GanMode::Vanilla,
            output_channels: 1,
            lambda_identity: 0.0,
            pool_size: 0,
            ..small()
        },
        Config {
            norm: Norm::None,
            lambda_cycle: 0.0,
            decay_start: 0.0,
            pool_size: 1,
            ..small()
        },
    ];
    for config in configs {
        config.validate().unwrap();
        let make = || Gan::new(&config, &Device::flex());
        contract::holds(make, |step| noise(&config, step), 4);
    }
}

#[test]
fn all_players_move_and_the_pools_fill_and_turn() {
    let config = small();
    let mut gan = Gan::new(&config, &Device::flex());
    let mut last = contract::snapshot(&mut gan);
    let mut lengths = Vec::new();
    let mut rates = Vec::new();
    let mut turned = 0;
    for step in 0..8 {
        let scalars = gan
            .step(noise(&config, step), &At::new(0, step, 8))
            .unwrap();
        let read = scalars.read();
        let value = |name: &str| read.iter().find(|(found, _)| *found == name).unwrap().1;
        for name in [
            "G_A", "G_B", "D_A", "D_B", "cycle_A", "cycle_B", "idt_A", "idt_B",
        ] {
            assert!(value(name) > 0.0, "{name}");
        }
        assert_eq!(value("lr_g"), value("lr_d"));
        rates.push(value("lr_g"));
        let now = contract::snapshot(&mut gan);
        for name in PLAYERS {
            assert_ne!(last[name], now[name], "{name} at step {step}");
        }
        lengths.push(["pool_a", "pool_b"].map(|pool| now[pool]["pictures"].shape[0]));
        turned += u32::from(step > 1 && last["pool_b"] != now["pool_b"]);
        last = now;
    }
    assert_eq!(lengths[..3], [[2, 2], [3, 3], [3, 3]]);
    assert!(turned > 0, "no older picture was shown");
    assert_eq!(rates[..4], [2e-4; 4]);
    assert!(
        rates[4..].windows(2).all(|pair| pair[1] < pair[0]),
        "{rates:?}"
    );
}

/// The tensors of all players after `steps` steps.
fn after(config: &Config, seed: u64, steps: u64) -> BTreeMap<String, Tensors> {
    let mut gan = Gan::new(config, &Device::flex());
    for step in 0..steps {
        gan.step(noise(config, step), &At::new(seed, step, 8))
            .unwrap();
    }
    contract::snapshot(&mut gan)
}

#[test]
fn a_seed_reaches_dropout_and_the_pools_alone() {
    let plain = Config {
        pool_size: 0,
        ..small()
    };
    assert_eq!(after(&plain, 1, 4), after(&plain, 2, 4));
    let pools = small();
    let (one, two) = (after(&pools, 1, 4), after(&pools, 2, 4));
    assert_ne!(one["discriminator_a"], two["discriminator_a"]);
    // A pool changes what the discriminators see, from the step on in which it gives older pictures.
    let unlimited = Config {
        pool_size: 50,
        ..small()
    };
    let (none, never) = (after(&plain, 1, 4), after(&unlimited, 1, 4));
    assert_eq!(none["generator_a"], never["generator_a"]);
    let dropout = Config {
        dropout: true,
        ..plain
    };
    assert_ne!(after(&dropout, 1, 1), after(&dropout, 2, 1));
}

#[test]
fn batches_in_parts_weigh_as_one() {
    let whole = Config {
        norm: Norm::None,
        training: Training {
            batch_size: 4,
            ..Training::default()
        },
        ..small()
    };
    let mut parts = whole.clone();
    parts.training.accumulate = 2;
    let (whole, parts) = (after(&whole, 1, 1), after(&parts, 1, 1));
    for player in PLAYERS {
        let name = format!("{player}_optimizer");
        for (tensor, ours) in &parts[&name] {
            let reference = &whole[&name][tensor].values;
            let largest = reference
                .iter()
                .fold(0f32, |most, value| most.max(value.abs()));
            for (a, b) in ours.values.iter().zip(reference) {
                assert!((a - b).abs() <= 1e-4 * largest, "{name} {tensor}: {a} {b}");
            }
        }
    }
    // Statistics of the batch are followed, too.
    let config = Config {
        norm: Norm::Batch,
        training: Training {
            batch_size: 4,
            accumulate: 2,
            ..Training::default()
        },
        ..small()
    };
    let start = contract::snapshot(&mut Gan::new(&config, &Device::flex()));
    let moved = after(&config, 1, 1);
    let mut seen = 0;
    for player in PLAYERS {
        for (name, tensor) in &moved[player] {
            if name.contains("running_mean") {
                assert_ne!(tensor, &start[player][name], "{player} {name}");
                seen += 1;
            }
        }
    }
    assert!(seen > 10, "{seen}");
}

fn planar(picture: &RgbImage) -> Vec<f32> {
    let bytes = gan_core::images::planar(picture, 3);
    bytes.into_iter().map(to_unit).collect()
}

/// What a picture of A is in domain B: without its red, and brighter.
fn bluer(picture: &RgbImage) -> RgbImage {
    let mut picture = picture.clone();
    for pixel in picture.pixels_mut() {
        let [red, green, blue] = pixel.0;
        pixel.0 = [red / 3, green, 128 + blue / 2];
    }
    picture
}

#[test]
fn it_learns_the_colours_of_the_other_domain_without_pairs() {
    let config = Config {
        width_g: 8,
        width_d: 8,
        lr: 2e-3,
        load_size: 32,
        crop_size: 32,
        lambda_identity: 0.0,
        training: Training::default(),
        ..small()
    };
    let of_a = |number: u32| planar(&pattern(number, 32, 32));
    let of_b = |number: u32| planar(&bluer(&pattern(number, 32, 32)));
    let examples = Examples {
        pictures: [
            (100..104).map(of_a).collect(),
            (200..204).map(of_b).collect(),
        ],
        answers: [
            (100..104).map(of_b).collect(),
            (200..204).map(of_a).collect(),
        ],
        ..Examples::default()
    };
    let mut gan = Gan::new(&config, &Device::flex()).with_examples(examples);
    let measure = |gan: &Gan| gan.validate(&At::new(0, 0, 1)).unwrap().read();
    let before = measure(&gan);
    let mut cycles = Vec::new();
    for step in 0..150u32 {
        let batch = Batch {
            a: of_a(step % 40),
            b: of_b(50 + (step * 7) % 40),
        };
        let scalars = gan.step(batch, &At::new(0, u64::from(step), 150)).unwrap();
        let read = scalars.read();
        let both = read.iter().filter(|(name, _)| name.starts_with("cycle"));
        cycles.push(both.map(|(_, value)| value).sum::<f64>());
    }
    let after = measure(&gan);
    let names: Vec<_> = after.iter().map(|(name, _)| *name).collect();
    assert_eq!(names, ["answer_L1", "changed", "kept", "changed_and_kept"]);
    let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
    let (first, last) = (mean(&cycles[..10]), mean(&cycles[140..]));
    assert!(
        after[0].1 < 0.95 * before[0].1 && last < 0.75 * first,
        "{before:?} became {after:?}, the cycle's loss {first} became {last}"
    );
}

/// The judge needs pictures of 32 pixels; smaller ones are measured without it.
#[test]
fn pictures_that_are_too_small_for_the_judge_are_measured_all_the_same() {
    let config = small();
    let picture = |number| planar(&pattern(number, 16, 16));
    let examples = Examples {
        pictures: [vec![picture(1)], vec![]],
        answers: [vec![picture(2)], vec![]],
        ..Examples::default()
    };
    let gan = Gan::new(&config, &Device::flex()).with_examples(examples);
    let measured = gan.validate(&At::new(0, 0, 1)).unwrap().read();
    assert!(
        matches!(measured[..], [("answer_L1", value)] if value > 0.0),
        "{measured:?}"
    );
}

/// Only the CPU in a plain build; `cargo test -p cyclegan --features ndarray devices` compares another one.
#[test]
fn devices_agree() {
    let config = small();
    let forward = |device: &Device, tensors: &Tensors| {
        let [there, _] = generator::generators(&config, device);
        let network = weights::apply(there, tensors).unwrap();
        let input = TensorData::new(noise(&config, 5).a, [2, 3, 16, 16]);
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

/// `trainA/` and `trainB/` with so many pictures, of mixed sizes.
fn write_domains(folder: &Path, [a, b]: [u32; 2]) {
    for (domain, count) in [("trainA", a), ("trainB", b)] {
        for number in 0..count {
            let side = [36, 40, 51][number as usize % 3];
            let picture = if domain == "trainA" {
                pattern(number, side, 36)
            } else {
                bluer(&pattern(50 + number, side, 36))
            };
            save(
                &folder.join(domain).join(format!("{number:02}.png")),
                picture,
            );
        }
    }
}

/// Test pictures of both domains with their answers.
fn write_tests(folder: &Path, count: u32) {
    for number in 100..100 + count {
        let name = format!("{number}.png");
        let (a, b) = (pattern(number, 40, 40), pattern(50 + number, 40, 40));
        save(&folder.join("testA_answers").join(&name), bluer(&a));
        save(&folder.join("testA").join(&name), a);
        save(&folder.join("testB").join(&name), bluer(&b));
        save(&folder.join("testB_answers").join(&name), b);
    }
}

const SMALL: [&str; 9] = [
    "--net-g=resnet_3blocks",
    "--net-d=n_layers",
    "--layers-d=1",
    "--width-g=4",
    "--width-d=4",
    "--load-size=36",
    "--crop-size=32",
    "--pool-size=3",
    "--log-every=3",
];

#[test]
fn a_killed_run_resumes_bit_for_bit_with_its_pools_and_its_best() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("domains");
    write_domains(&data, [4, 6]);
    write_tests(&data, 2);
    let data = text(&data);
    // 6 batches an epoch: 20 steps cross three ends of an epoch with their measurements, two saves and the decay;
    // the pools are full after three.
    let plain = ["--keep=1"];
    let parts = [
        "--batch-size=2",
        "--accumulate=2",
        "--dropout",
        "--norm=batch",
        "--gan-mode=vanilla",
    ];
    for (name, more) in [("plain", &plain[..]), ("parts", &parts)] {
        let mut command = vec!["train", "--data", &data, "--steps", "20"];
        command.extend(SMALL);
        command.extend(["--sample-every=8", "--save-every=7"]);
        command.extend(more);
        let place = folder.path().join(name);
        contract::resume_is_the_same_run(BINARY, "cyclegan", "gan", &command, &place);
        let runs = ["straight", "killed"].map(|run| place.join(run).join("cyclegan/run"));
        let [straight, killed] = runs.each_ref().map(|run| best_and_steps(run));
        assert!(straight.0.is_some(), "{straight:?}");
        assert_eq!(straight, killed, "{name}");
        let pool = weights::read(&newest(&runs[1]).join("pool_a.safetensors")).unwrap();
        assert_eq!(pool.tensors["pictures"].shape, [3, 3, 32, 32]);
    }
}

#[test]
fn threads_do_not_change_a_byte() {
    // Wide enough that the convolutions do use several threads.
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("domains");
    write_domains(&data, [3, 3]);
    let data = text(&data);
    let command = [
        "train",
        "--data",
        &data,
        "--steps=2",
        "--net-g=resnet_3blocks",
        "--net-d=n_layers",
        "--layers-d=2",
        "--width-g=16",
        "--width-d=16",
        "--load-size=64",
        "--crop-size=64",
    ];
    contract::threads_do_not_matter(BINARY, "cyclegan", "gan", &command, folder.path());
}

#[test]
fn without_flags_it_trains_on_drawn_landscapes() {
    let folder = tempfile::tempdir().unwrap();
    let out = text(folder.path());
    let said = succeed(BINARY, &["train", "--steps", "1", "--out", &out]);
    let first = said.lines().next().unwrap_or_default();
    assert!(
        first.starts_with("PROCEDURAL data: drawn landscapes"),
        "{said}"
    );
    assert!(said.contains("parameters: generator_a"), "{said}");
    let run = folder.path().join("cyclegan/001");
    for file in [
        "report.html",
        "samples/reals.png",
        "samples/step_00000000.png",
        "checkpoints/gan/best",
        "checkpoints/gan/step_00000001/generator_b.safetensors",
        "checkpoints/gan/step_00000001/pool_b.safetensors",
    ] {
        assert!(run.join(file).is_file(), "{file} is missing");
    }
    let log = std::fs::read_to_string(run.join("metrics.jsonl")).unwrap();
    for name in ["answer_L1", "changed_and_kept", "cycle_A", "idt_B"] {
        assert!(
            log.contains(&format!("\"{name}\":")),
            "{name} is not in {log}"
        );
    }
}

#[test]
fn the_stand_in_is_written_checked_trained_on_and_judged() {
    let folder = tempfile::tempdir().unwrap();
    let place = |name: &str| text(&folder.path().join(name));
    let (data, out) = (place("drawn"), text(folder.path()));
    let prepare = [
        "data",
        "prepare",
        "--procedural",
        "--num",
        "22",
        "-o",
        &data,
    ];
    succeed(BINARY, &prepare);
    let said = succeed(BINARY, &["data", "check", &data]);
    for part in [
        "PROCEDURAL",
        "trainA",
        "testB",
        "10 readable",
        "an epoch has 10 steps",
    ] {
        assert!(said.contains(part), "{part} is missing in {said}");
    }
    let mut command = vec!["train", "--data", &data, "--steps", "1", "--out", &out];
    command.extend(SMALL);
    let said = succeed(BINARY, &command);
    assert!(
        said.starts_with("PROCEDURAL data: drawn landscapes"),
        "{said}"
    );
    assert!(
        best_and_steps(&folder.path().join("cyclegan/001"))
            .0
            .is_some()
    );

    let (input, answers) = (place("drawn/testA"), place("drawn/testA_answers"));
    let judge = |translated: &str| {
        let command = [
            "judge",
            "-i",
            &input,
            "--translated",
            translated,
            "--answers",
            &answers,
        ];
        let said = succeed(BINARY, &command);
        let values = said.lines().map(|line| {
            let mut words = line.split_whitespace();
            (
                words.next().unwrap().to_owned(),
                words.next().unwrap().parse::<f64>().unwrap(),
            )
        });
        values.collect::<BTreeMap<_, _>>()
    };
    let (right, wrong) = (judge(&answers), judge(&input));
    assert_eq!((right["changed_and_kept"], wrong["changed"]), (1.0, 0.0));
    let translated = place("translated");
    succeed(
        BINARY,
        &["translate", "--out", &out, "-i", &input, "-o", &translated],
    );
    assert_eq!(judge(&translated)["pictures"], 1.0);

    // Pictures that cannot be judged are refused, and not a bug.
    let judged = |input: &str, translated: &str, part: &str| {
        let command = [
            "judge",
            "-i",
            input,
            "--translated",
            translated,
            "--answers",
            translated,
        ];
        refuse(BINARY, &command, 3, &[part]);
    };
    save(&folder.path().join("tiny/1.png"), pattern(1, 31, 64));
    save(&folder.path().join("large/1.png"), pattern(1, 64, 64));
    judged(&place("tiny"), &place("tiny"), "31 x 64");
    judged(&place("large"), &place("tiny"), "(31, 64)");
    judged(&place("large"), &place("nothing"), "nothing");
}

/// A run that was trained for some steps, and pictures to translate.
struct Trained {
    folder: tempfile::TempDir,
}

impl Trained {
    fn new(more: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("domains");
        write_domains(&data, [3, 2]);
        write_tests(&data, 1);
        write_inputs(&folder.path().join("in"));
        let (data, out) = (text(&data), text(folder.path()));
        let mut command = vec!["train", "--data", &data, "--out", &out, "--quiet"];
        command.extend(["--steps=5", "--save-every=4"]);
        command.extend(SMALL);
        command.extend(more);
        succeed(BINARY, &command);
        Self { folder }
    }

    fn run(&self) -> PathBuf {
        self.folder.path().join("cyclegan/001")
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
    fn translate(&self, input: &str, output: &str, more: &[&str]) -> BTreeMap<PathBuf, Vec<u8>> {
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

    fn resume(&self, more: &[&str]) -> Vec<String> {
        let out = text(self.folder.path());
        let own = ["train", "--resume", "001", "--quiet", "--out", &out];
        own.iter()
            .chain(more)
            .map(|part| (*part).to_owned())
            .collect()
    }
}

#[test]
fn a_checkpoint_in_any_form_is_all_you_need() {
    let trained = Trained::new(&[]);
    let place = |name: &str| trained.folder.path().join(name);
    let first = trained.translate("in", "first", &[]);
    assert_translated(&place("in"), &place("first"));
    let back = trained.translate("in", "back", &["--direction=b2a"]);
    assert_translated(&place("in"), &place("back"));
    for (name, bytes) in &first {
        assert!(
            bytes != &back[name],
            "{} is the same both ways",
            name.display()
        );
    }
    assert!(back == trained.translate("in", "btoa", &["--direction", "BtoA"]));
    assert!(first == trained.translate("in", "atob", &["--direction", "AtoB"]));

    let step = text(&newest(&trained.run()));
    let (run, out) = (text(&trained.run()), text(trained.folder.path()));
    for (network, direction, expected) in [
        ("generator_a", "a2b", &first),
        ("generator_b", "b2a", &back),
    ] {
        let exported = text(&place(&format!("{network}.safetensors")));
        let export = [
            "export",
            "--out",
            &out,
            "--network",
            network,
            "-o",
            &exported,
        ];
        succeed(BINARY, &export);
        let of_step = format!("{step}/{network}.safetensors");
        for (number, form) in ["001", &run, &step, &of_step, &exported]
            .into_iter()
            .enumerate()
        {
            let output = format!("{direction}-{number}");
            let more = ["--checkpoint", form, "--direction", direction];
            assert!(
                trained.translate("in", &output, &more) == *expected,
                "{form}"
            );
        }
        // A single file is one network, whatever the direction.
        let more = ["--checkpoint", &exported];
        assert!(trained.translate("in", &format!("single-{direction}"), &more) == *expected);
    }

    let best = best_and_steps(&trained.run()).0.unwrap();
    let name = best.lines().next().unwrap();
    let pointer = text(&trained.run().join("checkpoints/gan/best"));
    let named = text(&trained.run().join("checkpoints/gan").join(name));
    for direction in ["a2b", "b2a"] {
        let made = |output: &str, form: &str| {
            let output = format!("{output}-{direction}");
            trained.translate(
                "in",
                &output,
                &["--checkpoint", form, "--direction", direction],
            )
        };
        assert!(
            made("pointer", &pointer) == made("named", &named),
            "{direction}"
        );
    }

    // From Rust, and the same whatever lies beside it.
    let input = gan_core::images::read(&place("in/a.png"))
        .unwrap()
        .into_rgb8();
    let made = |direction| {
        cyclegan::open(&run, direction)
            .unwrap()
            .picture(&input)
            .unwrap()
    };
    let read = |name: &str| gan_core::images::read(&place(name)).unwrap().into_rgb8();
    assert_eq!(made(Direction::A2b), read("first/a.png"));
    assert_eq!(made(Direction::B2a), read("back/a.png"));
    let alone = trained.translate("in/a.png", "alone", &[]);
    assert!(alone[Path::new("a.png")] == first[Path::new("a.png")]);

    for place in [&run, &pointer] {
        let info = succeed(BINARY, &["info", place]);
        for part in [
            "generator_a.safetensors",
            "pool_b.safetensors",
            "model.1.weight",
            "net_g",
        ] {
            assert!(info.contains(part), "{part} is not in {info}");
        }
    }
    let exported = text(&place("generator_b.safetensors"));
    assert!(succeed(BINARY, &["info", &exported]).contains("model.1.weight"));
    // There is no plain `generator`: the one from A to B is taken.
    let plain = text(&place("plain.safetensors"));
    let said = succeed(BINARY, &["export", "--out", &out, "-o", &plain]);
    assert!(said.contains("generator_a"), "{said}");
    // The message says what there is.
    let export = [
        "export",
        "--network",
        "judge",
        "--out",
        &out,
        "-o",
        &exported,
    ];
    let parts = ["holds none of: ", "judge", "generator_a", "generator_b"];
    refuse(BINARY, &export, 4, &parts);
}

#[test]
fn translations_that_cannot_be_are_refused_in_a_sentence() {
    let trained = Trained::new(&["--dropout"]);
    let place = |name: &str| trained.folder.path().join(name);
    trained.refuse("missing.png", "out", &[], 3, &["missing.png"]);
    trained.refuse(
        "in",
        "in",
        &[],
        2,
        &["results would replace their pictures"],
    );
    trained.refuse("in", "out", &["--direction=up"], 2, &["up", "a2b", "b2a"]);
    assert!(!place("out").exists(), "nothing was written");
    std::fs::write(place("in/c2.png"), "<html>").unwrap();
    let said = trained.refuse("in", "out", &[], 3, &["c2.png", "1 of 9 pictures"]);
    assert!(said.contains("the others were written"), "{said}");
    std::fs::remove_file(place("in/c2.png")).unwrap();
    assert_translated(&place("in"), &place("out"));
    let before = bytes(&place("out"));
    trained.refuse(
        "in",
        "out",
        &["--direction=b2a"],
        2,
        &["are there already", "--overwrite"],
    );
    assert!(before == bytes(&place("out")));
    // Dropout is of training alone.
    assert!(before == trained.translate("in", "out", &["--overwrite"]));
    assert!(before != trained.translate("in", "out", &["--direction=b2a", "--overwrite"]));
}

#[test]
fn checkpoints_that_are_no_generators_are_refused_in_a_sentence() {
    let trained = Trained::new(&[]);
    let place = |name: &str| trained.folder.path().join(name);
    let refuse = |checkpoint: &Path, parts: &[&str]| {
        let checkpoint = text(checkpoint);
        trained.refuse("in", "out", &["--checkpoint", &checkpoint], 4, parts)
    };
    for foreign in write_foreign(trained.folder.path(), "pix2pix", "generator") {
        let said = refuse(&foreign, &["is a checkpoint of pix2pix, not of cyclegan"]);
        assert!(said.trim().lines().count() <= 2, "{said}");
    }
    refuse(&place("nothing"), &["nothing does not exist"]);
    let step = newest(&trained.run());
    for other in ["discriminator_a", "pool_a"] {
        let said = format!("holds a {other}; wanted: generator_a or generator_b");
        refuse(&step.join(format!("{other}.safetensors")), &[&said]);
    }
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures");
    refuse(
        &fixtures.join("dcgan_zip.pth"),
        &["dcgan_zip.pth", "not a generator of pix2pix or CycleGAN"],
    );
    let whole = std::fs::read(fixtures.join("translation_resnet_legacy.pth")).unwrap();
    for (name, length) in [
        ("cut.pth", whole.len() / 2),
        ("none.pth", 0),
        ("few.pth", 3),
    ] {
        std::fs::write(place(name), &whole[..length]).unwrap();
        refuse(&place(name), &[name]);
    }
    let authors = text(&fixtures.join("translation_resnet_legacy.pth"));
    let authors = ["--checkpoint", &authors];
    trained.translate("in/a.png", "of-authors", &authors);
    // It holds one generator, and says so to who asks for the other.
    let turned = [&authors[..], &["--direction=b2a"]].concat();
    let command = trained.arguments("in/a.png", "turned", &turned);
    let command: Vec<_> = command.iter().map(String::as_str).collect();
    let (code, _, said) = contract::call(BINARY, &command);
    assert_eq!(code, Some(0), "{said}");
    assert_said(&said, &["holds one generator: --direction has no effect"]);

    // The tensors say what the network is, whatever the file says beside them.
    let file = weights::read(&step.join("generator_a.safetensors")).unwrap();
    let told = |name: &str, from: &str, to: &str| {
        let mut metadata = file.metadata.clone();
        let config = metadata.get_mut("config").unwrap();
        assert!(config.contains(from), "{config}");
        *config = config.replace(from, to);
        weights::write(&place(name), &file.tensors, &metadata).unwrap();
    };
    told("other.safetensors", "resnet_3blocks", "unet_32");
    let other = text(&place("other.safetensors"));
    let same = trained.translate("in", "same", &[]);
    assert!(same == trained.translate("in", "other", &["--checkpoint", &other]));
    told("strange.safetensors", "pool_size = 3", "pool = 3");
    refuse(
        &place("strange.safetensors"),
        &["its configuration", "pool"],
    );

    // The best that was removed by hand; the run itself is whole.
    let stage = trained.run().join("checkpoints/gan");
    std::fs::write(stage.join("best"), "step_00000001\n0.5\n").unwrap();
    refuse(&stage.join("best"), &["names no checkpoint that is there"]);
    let resume = trained.resume(&["--steps=6"]);
    let resume: Vec<_> = resume.iter().map(String::as_str).collect();
    let (code, _, said) = contract::call(BINARY, &resume);
    assert_eq!(code, Some(0), "{said}");
    assert_said(&said, &["now 6 steps long", "learning rate"]);
    assert!(
        best_and_steps(&trained.run())
            .0
            .unwrap()
            .starts_with("step_00000006")
    );
}

/// Replaces a file of a step folder, as somebody would who means harm: the manifest says what is there.
fn forge(step: &Path, part: &str, change: impl Fn(&mut Tensors)) {
    let path = step.join(format!("{part}.safetensors"));
    let mut file = weights::read(&path).unwrap();
    change(&mut file.tensors);
    weights::write(&path, &file.tensors, &file.metadata).unwrap();
    let place = step.join("manifest.json");
    let mut manifest: Manifest = serde_json::from_slice(&std::fs::read(&place).unwrap()).unwrap();
    let bytes = std::fs::read(&path).unwrap();
    let record = FileRecord {
        bytes: bytes.len() as u64,
        sha256: checkpoint::sha256(&bytes),
    };
    manifest.files.insert(format!("{part}.safetensors"), record);
    std::fs::write(place, manifest.text().unwrap()).unwrap();
}

#[test]
fn a_pool_of_another_shape_is_refused_on_resumption() {
    let trained = Trained::new(&[]);
    let step = newest(&trained.run());
    let resume = |code: i32, parts: &[&str]| {
        let command = trained.resume(&["--steps=7"]);
        let command: Vec<_> = command.iter().map(String::as_str).collect();
        refuse(BINARY, &command, code, parts);
    };
    let whole = weights::read(&step.join("pool_b.safetensors"))
        .unwrap()
        .tensors;
    let shapes = [[1, 3, 16, 16], [4, 3, 32, 32], [3, 1, 32, 32]];
    for shape in shapes {
        forge(&step, "pool_b", |tensors| {
            let values = vec![0.0; shape.iter().product()];
            let pictures = HostTensor {
                shape: shape.to_vec(),
                values,
            };
            tensors.insert("pictures".to_owned(), pictures);
        });
        resume(
            4,
            &["pool_b", "tensor pictures is", "the pool takes up to 3"],
        );
    }
    forge(&step, "pool_b", Tensors::clear);
    resume(4, &["pool_b", "tensor pictures is missing"]);
    // Nothing was lost by it.
    forge(&step, "pool_b", |tensors| tensors.clone_from(&whole));
    let command = trained.resume(&["--steps=7"]);
    succeed(
        BINARY,
        &command.iter().map(String::as_str).collect::<Vec<_>>(),
    );
    // The pool's size decides the bytes: it cannot be changed on the way.
    let command = trained.resume(&["--pool-size=5"]);
    let command: Vec<_> = command.iter().map(String::as_str).collect();
    refuse(
        BINARY,
        &command,
        2,
        &["pool_size is 3 in the run, 5 was asked for"],
    );
}

#[test]
fn fine_tuning_starts_from_all_players() {
    let trained = Trained::new(&[]);
    let (out, data) = (
        text(trained.folder.path()),
        text(&trained.folder.path().join("domains")),
    );
    let stage = trained.run().join("checkpoints/gan");
    let (best, latest) = (text(&stage.join("best")), text(&stage.join("latest")));
    let step = newest(&trained.run());
    let single = text(&step.join("generator_b.safetensors"));
    let of = |folder: &Path| {
        PLAYERS.map(|network| {
            let path = folder.join(format!("{network}.safetensors"));
            weights::read(&path).unwrap().tensors
        })
    };
    let begun = |name: &str, from: &str| {
        let mut command = vec!["train", "--data", &data, "--out", &out, "--name", name];
        command.extend(["--init-from", from, "--steps=1", "--keep=2", "--quiet"]);
        command.extend(SMALL);
        let (code, _, error) = contract::call(BINARY, &command);
        let start = trained.folder.path().join("cyclegan").join(name);
        (code, error, start.join("checkpoints/gan/step_00000000"))
    };
    let equal = |name: &str, from: &str, folder: &Path| {
        let (code, error, start) = begun(name, from);
        assert_eq!(code, Some(0), "{error}");
        assert!(of(&start) == of(folder), "{name}");
    };
    equal("run", "001", &step);
    equal("latest-file", &latest, &step);
    let name = best_and_steps(&trained.run()).0.unwrap();
    equal(
        "best-file",
        &best,
        &stage.join(name.lines().next().unwrap()),
    );
    // A single file holds the generator from A to B.
    let single_a = text(&step.join("generator_a.safetensors"));
    let (code, error, start) = begun("single", &single_a);
    assert_eq!(code, Some(0), "{error}");
    assert!(of(&start)[0] == of(&step)[0] && of(&start)[1] != of(&step)[1]);
    let (code, error, _) = begun("other", &single);
    assert_eq!(code, Some(4), "{error}");
    assert!(
        error.contains("holds a generator_b; wanted: generator_a"),
        "{error}"
    );
    // Another network's file says with which flags it would fit.
    let mut command = vec!["train", "--data", &data, "--out", &out, "--name", "wider"];
    command.extend(["--init-from", &single_a]);
    let net = SMALL.iter().position(|flag| flag.starts_with("--width-g"));
    let mut wider = SMALL.to_vec();
    wider[net.unwrap()] = "--width-g=6";
    command.extend(wider);
    let said = refuse(
        BINARY,
        &command,
        4,
        &["--net-g resnet_3blocks --width-g 4 --norm"],
    );
    assert!(said.contains("does not fit"), "{said}");
}

#[test]
fn wrong_requests_are_answered_with_their_exit_code() {
    let folder = tempfile::tempdir().unwrap();
    let out = text(folder.path());
    let refused = |more: &[&str], parts: &[&str]| {
        let command = [&["train", "--out", &out], more].concat();
        refuse(BINARY, &command, 2, parts)
    };
    refused(&["--crop-size", "42"], &["crop_size = 42", "multiple of 4"]);
    refused(&["--crop-size", "8"], &["crop_size = 8", "from 12"]);
    refused(
        &["--load-size", "48"],
        &["load_size = 48", "from crop_size, 64"],
    );
    refused(
        &["--net-g", "resnet_4blocks"],
        &["resnet_4blocks", "resnet_9blocks"],
    );
    refused(
        &["--input-channels", "1"],
        &[
            "lambda_identity = 0.5",
            "different channels have no identity",
        ],
    );
    refused(
        &["--output-channels", "2"],
        &["output_channels = 2", "1 or 3"],
    );
    refused(&["--lambda-cycle=-1"], &["lambda_cycle = -1"]);
    refused(&["--lambda-identity", "nan"], &["lambda_identity = NaN"]);
    refused(&["--pool-size", "10001"], &["pool_size = 10001"]);
    refused(&["--pool-size=-1"], &["pool-size"]);
    refused(&["--lr", "0"], &["lr = 0"]);
    refused(&["--direction", "a2b"], &["--direction"]);
    assert!(
        !folder.path().join("cyclegan").exists(),
        "nothing was written"
    );
    // The authors' spellings.
    let theirs = [
        "train",
        "--netG=resnet_6blocks",
        "--ngf=9",
        "--pool_size=7",
        "--dry-run",
    ];
    let said = succeed(BINARY, &theirs);
    assert_said(
        &said,
        &["net_g = \"resnet_6blocks\"", "width_g = 9", "pool_size = 7"],
    );
    let dry = [
        "train",
        "--input-channels=1",
        "--lambda-identity=0",
        "--dry-run",
    ];
    succeed(BINARY, &dry);
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
fn domains_that_are_missing_or_empty_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let place = |name: &str| folder.path().join(name);
    let out = place("out");
    assert_said(&train_on(&place("nowhere"), &out, 3), &["nowhere"]);
    write_domains(&place("half"), [3, 0]);
    let said = train_on(&place("half"), &out, 3);
    assert_said(
        &said,
        &["half has no pictures of domain B", "trainA and trainB"],
    );
    let check = |code| fail(BINARY, &["data", "check", &text(&place("half"))], code);
    assert_said(&check(3), &["no pictures of domain B"]);
    std::fs::create_dir(place("half/trainB")).unwrap();
    assert_said(
        &train_on(&place("half"), &out, 3),
        &["there are no pictures under", "trainB"],
    );
    std::fs::write(place("half/trainB/0.png"), "<html>").unwrap();
    assert_said(
        &train_on(&place("half"), &out, 3),
        &["1 of 1 pictures", "trainB/0.png"],
    );
    write_domains(&place("untested"), [2, 2]);
    std::fs::create_dir(place("untested/testB")).unwrap();
    let said = train_on(&place("untested"), &out, 3);
    assert_said(&said, &["testB is there, but its partner is not"]);
    let (data, out_text) = (text(&place("few")), text(&out));
    write_domains(&place("few"), [3, 1]);
    let mut command = vec![
        "train",
        "--data",
        &data,
        "--out",
        &out_text,
        "--batch-size",
        "2",
    ];
    command.extend(SMALL);
    refuse(
        BINARY,
        &command,
        3,
        &["1 pictures of domain B", "fewer than a batch of 2"],
    );
    assert!(!out.join("cyclegan").exists(), "nothing was written");

    for (number, layout) in ["trainA trainB", "train/A train/B", "A B"]
        .into_iter()
        .enumerate()
    {
        let place = place(&format!("layout-{number}"));
        for (number, folder) in layout.split(' ').enumerate() {
            save(
                &place.join(folder).join("x.png"),
                pattern(number as u32, 36, 36),
            );
        }
        train_on(&place, &out, 0);
    }
}

#[test]
fn few_broken_pictures_are_left_out_with_a_warning() {
    let folder = tempfile::tempdir().unwrap();
    let (data, out) = (folder.path().join("domains"), folder.path().join("out"));
    write_domains(&data, [10, 2]);
    // Without a test set, pictures to train on are shown: each of these.
    std::fs::write(data.join("trainA/03.jpg"), b"\xff\xd8\xff\xe0broken").unwrap();
    let said = train_on(&data, &out, 0);
    assert_said(
        &said,
        &[
            "1 pictures of domain A are left out",
            "1 pictures that would be shown",
            "03.jpg",
        ],
    );
    assert_eq!(best_and_steps(&out.join("cyclegan/001")).0, None);
    std::fs::write(data.join("trainA/04.jpg"), "").unwrap();
    assert_said(&train_on(&data, &out, 3), &["2 of 12 pictures", "03.jpg"]);

    // A picture without its answer is not measured.
    std::fs::remove_file(data.join("trainA/03.jpg")).unwrap();
    std::fs::remove_file(data.join("trainA/04.jpg")).unwrap();
    write_tests(&data, 2);
    std::fs::remove_file(data.join("testB_answers/100.png")).unwrap();
    let said = train_on(&data, &out, 0);
    assert_said(
        &said,
        &[
            "1 pictures that would be shown",
            "testB_answers",
            "answer_L1",
        ],
    );
}

#[test]
fn domains_of_different_lengths_are_both_seen() {
    let folder = tempfile::tempdir().unwrap();
    // One grey each, so that a picture is told by its colour.
    for (domain, count) in [("trainA", 3u8), ("trainB", 7)] {
        for number in 0..count {
            let grey = RgbImage::from_pixel(16, 16, image::Rgb([20 * number + 5; 3]));
            save(
                &folder.path().join(domain).join(format!("{number}.png")),
                grey,
            );
        }
    }
    let mut config = small();
    config.training.data = text(folder.path());
    config.training.batch_size = 1;
    let data = Data::open(&config).unwrap();
    assert_eq!(data.len(), 7);
    let grey = |values: &[f32]| ((values[0] + 1.0) * 127.5).round() as u8 / 20;
    let mut seen = [vec![0; 7], vec![0; 7]];
    let mut pairs = std::collections::BTreeSet::new();
    for epoch in 0..30 {
        let mut of_a = [0; 3];
        for index in 0..7 {
            let batch = data.batch(epoch, index).unwrap();
            assert!(batch == data.batch(epoch, index).unwrap());
            let [a, b] = [&batch.a, &batch.b].map(|values| usize::from(grey(values)));
            of_a[a] += 1;
            seen[0][a] += 1;
            seen[1][b] += 1;
            pairs.insert((a, b));
        }
        // Each picture of the smaller domain twice, and one a third time.
        of_a.sort_unstable();
        assert_eq!(of_a, [2, 2, 3]);
    }
    assert!(seen[1].iter().all(|count| *count > 10), "{seen:?}");
    assert_eq!(pairs.len(), 21, "some never meet");

    // The other way round.
    let swapped = folder.path().join("swapped");
    std::fs::create_dir(&swapped).unwrap();
    for (from, to) in [("trainA", "trainB"), ("trainB", "trainA")] {
        std::fs::rename(folder.path().join(from), swapped.join(to)).unwrap();
    }
    config.training.data = text(&swapped);
    let data = Data::open(&config).unwrap();
    assert_eq!(data.len(), 7);
    let mut of_b = std::collections::BTreeSet::new();
    for index in 0..7 {
        of_b.insert(grey(&data.batch(0, index).unwrap().b));
    }
    assert!(of_b.iter().all(|grey| *grey < 3));
    assert_eq!(GENERATORS, ["generator_a", "generator_b"]);
}
