//! The two stages of a training: what each moves, and that a run goes on bit for bit wherever it was cut, through the
//! border between them.

use burn::tensor::Device;
use clap::Parser;
use gan_core::checkpoint;
use gan_core::command::TrainCommand;
use gan_core::console::Voice;
use gan_core::contract::{self, walk};
use gan_core::located;
use gan_core::random::Stream;
use gan_core::run::{ChangedData, Resumption, Run};
use gan_core::stage::{At, Plan, Source, Stage};
use gan_core::weights::Metadata;
use image::RgbImage;
use srgan::config::{Config, ContentLoss, Flags, NetG};
use srgan::data::{Batch, Examples};
use srgan::train::{Gan, Resnet, STAGES, fit_both};
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

const DEVICE: fn() -> Device = Device::flex;

fn config(net_g: NetG, accumulate: usize) -> Config {
    let mut config = Config {
        scale: 2,
        net_g,
        blocks: 1,
        width_g: 3,
        width_d: 1,
        crop_size: 16,
        content_loss: ContentLoss::Mse,
        mse_steps: 5,
        lr: 1e-3,
        ..Config::default()
    };
    config.training.batch_size = 2;
    config.training.accumulate = accumulate;
    config
}

fn batch(seed: u64) -> Batch {
    let mut stream = Stream::new(seed, "crops", 0);
    Batch {
        low: stream.uniform(2 * 3 * 8 * 8, 0.0, 1.0),
        high: stream.uniform(2 * 3 * 16 * 16, 0.0, 1.0),
    }
}

#[test]
fn both_stages_keep_the_contract() {
    for net_g in [NetG::Srresnet, NetG::Msrresnet] {
        for accumulate in [1, 2] {
            let config = config(net_g, accumulate);
            contract::holds(|| Resnet::new(&config, &DEVICE()), batch, 4);
            contract::holds(|| Gan::new(&config, None, &DEVICE()), batch, 4);
        }
    }
}

/// The moments after a step of a batch in two halves are those of the whole: without normalisation, losses are means.
#[test]
fn the_parts_of_a_batch_add_up() {
    let moments = |accumulate: usize| {
        let mut stage = Resnet::new(&config(NetG::Msrresnet, accumulate), &DEVICE());
        stage.step(batch(3), &At::new(0, 0, 1)).unwrap();
        contract::snapshot(&mut stage)
            .remove("generator_optimizer")
            .unwrap()
    };
    let (whole, parts) = (moments(1), moments(2));
    for (name, whole) in whole {
        let largest = whole
            .values
            .iter()
            .fold(0.0, |most: f32, value| most.max(value.abs()));
        for (a, b) in whole.values.iter().zip(&parts[&name].values) {
            assert!((a - b).abs() <= 1e-4 * largest, "{name}: {a} {b}");
        }
    }
}

/// Three batches an epoch. What is asked for after `calls` of them ends the process, as a kill does.
struct Crops {
    calls: AtomicUsize,
}

impl Source for Crops {
    type Batch = Batch;

    fn len(&self) -> usize {
        3
    }

    fn batch(&self, epoch: u64, index: usize) -> anyhow::Result<Batch> {
        let left = self.calls.load(Ordering::SeqCst);
        if left == 0 {
            resume_unwind(Box::new("killed"));
        }
        self.calls.store(left - 1, Ordering::SeqCst);
        Ok(batch(10 * epoch + index as u64))
    }

    fn fingerprint(&self) -> String {
        "crops".to_owned()
    }
}

fn picture(width: usize, height: usize, seed: u64) -> RgbImage {
    let bytes = Stream::new(seed, "example", 0).uniform(3 * width * height, 0.0, 255.0);
    let bytes = bytes.into_iter().map(|value| value as u8).collect();
    RgbImage::from_raw(width as u32, height as u32, bytes).unwrap()
}

fn examples() -> Arc<Examples> {
    Arc::new(Examples {
        pairs: vec![
            (picture(12, 10, 0), picture(24, 20, 1)),
            (picture(9, 14, 2), picture(18, 28, 3)),
        ],
        ..Examples::default()
    })
}

/// Begins the run, or goes on with it; false when it was killed.
fn train(out: &Path, config: &Config, steps: u64, calls: usize) -> bool {
    let is_new = !out.join("srgan/run").is_dir();
    let plan = Plan {
        steps,
        seed: 3,
        batch_size: 2,
        accumulate: 1,
        workers: 0,
        log_every: 1,
        sample_every: 2,
        save_every: 2,
        keep: 2,
        identity: String::new(),
        data: "crops".to_owned(),
        initialised: is_new && config.mse_steps == 0,
        extra: Metadata::new(),
        trace: None,
    };
    let mut run = if is_new {
        Run::create(out, "srgan", Some("run"), "", Voice::Quiet, vec![]).unwrap()
    } else {
        let resumption = Resumption {
            config: String::new(),
            changed_data: ChangedData::Refused,
        };
        let folder = out.join("srgan/run");
        Run::resume(folder, "srgan", resumption, Voice::Quiet, vec![]).unwrap()
    };
    let mut of_seed = config.clone();
    // Weights that are given are there for the first start alone.
    if config.mse_steps == 0 && !is_new {
        of_seed.training.seed = 99;
    }
    let resnet = Resnet::new(&of_seed, &DEVICE()).with_examples(examples());
    let gan = Gan::new(&of_seed, None, &DEVICE()).with_examples(examples());
    let source = Crops {
        calls: AtomicUsize::new(calls),
    };
    let training = || fit_both(resnet, gan, &source, &plan, &mut run).unwrap();
    catch_unwind(AssertUnwindSafe(training)).is_ok()
}

/// Every file of both stages' checkpoints.
fn files(out: &Path) -> BTreeMap<String, Vec<u8>> {
    let home = out.join("srgan/run/checkpoints");
    let named = walk(&home).into_iter().map(|path| {
        let name = path.strip_prefix(&home).unwrap().display().to_string();
        (name, std::fs::read(&path).unwrap())
    });
    named.collect()
}

fn steps_in(out: &Path, stage: &str) -> Vec<u64> {
    let folder = out.join("srgan/run/checkpoints").join(stage);
    let steps = checkpoint::steps(&folder).unwrap();
    steps.into_iter().map(|(step, _)| step).collect()
}

#[test]
fn a_run_goes_on_bit_for_bit_wherever_it_was_cut() {
    for mse_steps in [5, 0] {
        let config = Config {
            mse_steps,
            ..config(NetG::Srresnet, 1)
        };
        let straight = tempfile::tempdir().unwrap();
        assert!(train(straight.path(), &config, 4, usize::MAX));
        let expected = files(straight.path());
        assert_eq!(steps_in(straight.path(), "srgan"), [2, 4]);
        // Each stage asks for its first batch twice: to show it, and to learn from it.
        let calls = if mse_steps == 0 { 5 } else { 11 };
        for cut in 0..calls {
            let out = tempfile::tempdir().unwrap();
            assert!(!train(out.path(), &config, 4, cut), "{cut}");
            // What there is by then is found, whichever stage it is of.
            let run = out.path().join("srgan/run");
            let newest = located::find(Some(&run), out.path(), "srgan", &STAGES, &["generator"]);
            let stage = STAGES
                .into_iter()
                .find(|stage| run.join("checkpoints").join(stage).join("latest").exists());
            assert_eq!(
                newest
                    .ok()
                    .and_then(|found| found.file.metadata.get("stage").cloned())
                    .as_deref(),
                stage
            );
            assert!(train(out.path(), &config, 4, usize::MAX));
            let found = files(out.path());
            let names =
                |files: &BTreeMap<String, Vec<u8>>| files.keys().cloned().collect::<Vec<_>>();
            assert_eq!(names(&found), names(&expected), "cut at {cut}");
            for (name, bytes) in &expected {
                assert!(found[name] == *bytes, "cut at {cut}: {name} differs");
            }
            // Each step of each stage is in the log once.
            let log = std::fs::read_to_string(out.path().join("srgan/run/metrics.jsonl")).unwrap();
            let count = |stage: &str, value: &str| {
                let is_of = |line: &&str| {
                    line.contains(&format!("\"stage\":\"{stage}\""))
                        && line.contains(&format!("\"{value}\""))
                };
                log.lines().filter(is_of).count() as u64
            };
            assert_eq!(count("srresnet", "mse"), mse_steps, "{log}");
            assert_eq!(count("srgan", "adversarial"), 4, "{log}");
        }
        // What is finished stays as it is; more steps go on with the second stage alone.
        assert!(train(straight.path(), &config, 4, 0));
        assert_eq!(files(straight.path()), expected);
        assert!(train(straight.path(), &config, 6, 2));
        assert_eq!(steps_in(straight.path(), "srgan"), [4, 6]);
        let of_first = |files: BTreeMap<String, Vec<u8>>| -> BTreeMap<String, Vec<u8>> {
            let kept = files
                .into_iter()
                .filter(|(name, _)| name.starts_with("srresnet"));
            kept.collect()
        };
        assert_eq!(of_first(files(straight.path())), of_first(expected));
    }
}

#[test]
fn a_run_shows_both_stages() {
    let out = tempfile::tempdir().unwrap();
    let config = config(NetG::Srresnet, 1);
    assert!(train(out.path(), &config, 4, usize::MAX));
    let run = out.path().join("srgan/run");
    // The best by PSNR, of the first stage alone; the last one stays whatever the best is.
    let best = std::fs::read_to_string(run.join("checkpoints/srresnet/best")).unwrap();
    assert!(best.starts_with("step_0000000"), "{best}");
    assert!(!run.join("checkpoints/srgan/best").exists());
    assert_eq!(steps_in(out.path(), "srresnet").last(), Some(&5));
    for name in [
        "samples/reals.png",
        "samples/srresnet_00000000.png",
        "samples/srresnet_00000005.png",
        "samples/step_00000000.png",
        "samples/step_00000004.png",
        "tensorboard/srresnet",
        "tensorboard/srgan",
        "report.html",
    ] {
        assert!(run.join(name).exists(), "{name}");
    }
    // The second stage begins where the first one ends.
    let picture = |name: &str| std::fs::read(run.join("samples").join(name)).unwrap();
    let end = picture("srresnet_00000005.png");
    assert_eq!(end, picture("step_00000000.png"));
    assert_ne!(end, picture("step_00000004.png"));
    let log = std::fs::read_to_string(run.join("metrics.jsonl")).unwrap();
    for value in ["test_PSNR", "test_SSIM"] {
        // After each epoch of three steps, and at the end: 3 and 5, 3 and 4.
        assert_eq!(log.matches(value).count(), 4, "{log}");
    }
}

#[derive(clap::Parser)]
struct Command {
    #[command(flatten)]
    train: TrainCommand<Flags>,
}

/// `train` with these flags, in networks so small that it takes no time.
fn command(out: &Path, more: &[&str]) -> anyhow::Result<()> {
    let out = out.display().to_string();
    let own = ["srgan", "--quiet", "--out", &out];
    let command = Command::parse_from(own.iter().chain(more));
    srgan::train::train(&command.train)
}

const TINY: [&str; 22] = [
    "--name",
    "run",
    "--scale",
    "2",
    "--blocks",
    "1",
    "--width-g",
    "2",
    "--width-d",
    "1",
    "--crop-size",
    "16",
    "--batch-size",
    "2",
    "--validation",
    "2",
    "--workers",
    "0",
    "--save-every",
    "2",
    "--mse-steps",
    "3",
];

#[test]
fn the_command_trains_resumes_and_starts_from_weights() {
    let out = tempfile::tempdir().unwrap();
    let home = out.path().join("srgan");
    let data = out.path().join("photographs");
    for (part, count) in [("train", 8), ("test", 2)] {
        std::fs::create_dir_all(data.join(part)).unwrap();
        for number in 0..count {
            let place = data.join(format!("{part}/{number}.png"));
            picture(64, 48, number).save(place).unwrap();
        }
    }
    let data = data.display().to_string();
    let with = |more: &[&'static str]| [&TINY[..], &["--data", &data], more].concat();
    let error = command(
        out.path(),
        &with(&["--content-loss", "vgg54", "--steps", "2"]),
    )
    .unwrap_err();
    assert_eq!(gan_core::failure::exit_code(&error), 2);
    assert!(format!("{error:#}").contains("--vgg"), "{error:#}");
    assert!(!home.exists(), "nothing is begun without VGG");

    command(
        out.path(),
        &with(&["--content-loss", "mse", "--steps", "2"]),
    )
    .unwrap();
    command(out.path(), &["--resume", "run", "--steps", "4"]).unwrap();
    assert_eq!(steps_in(out.path(), "srresnet"), [2, 3]);
    assert_eq!(steps_in(out.path(), "srgan"), [2, 4]);
    let error = command(out.path(), &["--resume", "run", "--mse-steps", "5"]).unwrap_err();
    assert!(format!("{error:#}").contains("mse_steps is 3"), "{error:#}");

    // From the run: both players, without the first stage. From a file: the generator.
    let run = home.join("run");
    let file = run.join("checkpoints/srresnet/step_00000003/generator.safetensors");
    let weights_of = |run: &str, stage: &str, step: u64, network: &str| {
        let place = format!("{run}/checkpoints/{stage}/step_{step:08}/{network}.safetensors");
        gan_core::weights::read(&home.join(place)).unwrap().tensors
    };
    for (name, from, stage, step) in [("both", &run, "srgan", 4), ("file", &file, "srresnet", 3)] {
        let from = from.display().to_string();
        let mut flags = TINY.to_vec();
        flags[1] = name;
        flags[21] = "0";
        flags.extend([
            "--content-loss",
            "mse",
            "--steps",
            "1",
            "--init-from",
            &from,
        ]);
        command(out.path(), &flags).unwrap();
        let begun = weights_of(name, "srgan", 0, "generator");
        assert_eq!(begun, weights_of("run", stage, step, "generator"), "{name}");
        let judge = weights_of(name, "srgan", 0, "discriminator");
        let is_of_run = judge == weights_of("run", "srgan", 4, "discriminator");
        assert_eq!(is_of_run, name == "both");
    }
    let mut flags = with(&[
        "--content-loss",
        "mse",
        "--steps",
        "1",
        "--init-from",
        "run",
    ]);
    (flags[1], flags[5]) = ("other", "2");
    let error = format!("{:#}", command(out.path(), &flags).unwrap_err());
    assert!(error.contains("blocks 1 instead of 2"), "{error}");
}
