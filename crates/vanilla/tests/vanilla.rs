//! Shapes, parameter counts, the printed networks, the stage contract, learning on the ring, and the
//! binary from end to end.

use burn::module::Module;
use burn::tensor::{Device, Tensor, TensorData};
use gan_core::augment::Augment;
use gan_core::config::{Configuration, Layer, Training, merge};
use gan_core::contract::{self, fail, succeed};
use gan_core::layers::Norm;
use gan_core::loss::Loss;
use gan_core::stage::{At, Source, Stage};
use std::io::Write;
use std::path::Path;
use vanilla::config::Dataset;
use vanilla::data::Data;
use vanilla::discriminator::Discriminator;
use vanilla::generator::Generator;
use vanilla::train::Gan;
use vanilla::{Config, Sampler};

const BINARY: &str = env!("CARGO_BIN_EXE_vanilla");

fn preset(name: &str) -> Config {
    merge(&[Layer::preset::<Config>(name).unwrap()]).unwrap()
}

#[test]
fn the_default_networks_have_the_seeds_parameters() {
    let device = Device::flex();
    let config = Config::default();
    let generator = Generator::new(&config, 784, &device);
    let discriminator = Discriminator::new(&config, 784, &device);
    assert_eq!(generator.num_params(), 693_784);
    assert_eq!(discriminator.num_params(), 643_501);
    let samples = generator.forward(Tensor::zeros([3, 100], &device));
    assert_eq!(samples.dims(), [3, 784]);
    assert_eq!(discriminator.forward(samples, None).dims(), [3, 1]);
}

#[test]
fn the_2014_networks_have_the_papers_parameters() {
    let device = Device::flex();
    let config = preset("goodfellow");
    // 100*1200+1200 + 1200*1200+1200 + 1200*784+784 and, with five pieces a unit,
    // 784*1200+1200 + 240*1200+1200 + 240+1.
    assert_eq!(
        Generator::new(&config, 784, &device).num_params(),
        2_503_984
    );
    assert_eq!(
        Discriminator::new(&config, 784, &device).num_params(),
        1_231_441
    );
}

#[test]
fn the_printed_networks_are_pinned() {
    let device = Device::flex();
    for name in ["paper", "goodfellow", "ring"] {
        let config = preset(name);
        let width = if config.dataset == Dataset::Ring {
            2
        } else {
            784
        };
        let printed = format!(
            "{}\n{}\n",
            Generator::new(&config, width, &device),
            Discriminator::new(&config, width, &device)
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

#[test]
fn initial_weights_follow_their_rule() {
    let device = Device::flex();
    let weights = |config: &Config, mean: Option<&[f64]>| {
        contract::snapshot(&mut Gan::new(config, (28, 28), mean, 10, &device))
    };
    let spread = |values: &[f32]| {
        let mean = values.iter().sum::<f32>() / values.len() as f32;
        (values.iter().map(|v| (v - mean).powi(2)).sum::<f32>() / values.len() as f32).sqrt()
    };
    let default = weights(&Config::default(), None);
    let first = &default["generator"]["main.0.weight"];
    assert_eq!(first.shape, [500, 100], "PyTorch's layout");
    // U(-0.1, 0.1) has standard deviation 0.1 / sqrt 3.
    assert!(first.values.iter().all(|v| v.abs() <= 0.1));
    assert!((spread(&first.values) - 0.1 / 3f32.sqrt()).abs() < 1e-3);

    let marginals = vec![0.25; 784];
    let paper = weights(&preset("goodfellow"), Some(&marginals));
    let wide = &paper["generator"]["main.2.weight"].values;
    assert!(wide.iter().all(|v| v.abs() <= 0.05) && wide.iter().any(|v| v.abs() > 0.0499));
    let narrow = &paper["discriminator"]["main.0.weight"].values;
    assert!(narrow.iter().all(|v| v.abs() <= 0.005) && narrow.iter().any(|v| v.abs() > 0.0049));
    let bias = paper["generator"]["main.4.bias"].values[0];
    assert!(
        (bias - (0.25f32 / 0.75).ln()).abs() < 1e-6,
        "logit of the mean pixel"
    );
}

/// A configuration small enough for many steps in a test.
fn small(name: &str) -> Config {
    let config = preset(name);
    let hidden = |widths: &[usize]| widths.iter().map(|_| 16).collect();
    Config {
        generator_hidden: hidden(&config.generator_hidden),
        discriminator_hidden: hidden(&config.discriminator_hidden),
        training: Training {
            batch_size: 16,
            data: String::new(),
            ..config.training.clone()
        },
        ..config
    }
}

#[test]
fn every_preset_keeps_the_stage_contract() {
    for (name, _) in Config::PRESETS {
        let config = Config {
            ema_decay: 0.9,
            ..small(name)
        };
        let data = Data::open(&config).unwrap();
        let make = || {
            let mean = data.mean();
            Gan::new(
                &config,
                data.size(),
                mean.as_deref(),
                data.len(),
                &Device::flex(),
            )
        };
        contract::holds(make, |step| data.batch(0, step as usize).unwrap(), 10);
    }
}

#[test]
fn every_technique_acts_and_resumes_bit_for_bit() {
    type Change = fn(&mut Config);
    let changes: [(&str, Change); 18] = [
        ("saturating", |config| {
            config.techniques.loss = Loss::Saturating;
        }),
        ("lsgan", |config| config.techniques.loss = Loss::Lsgan),
        ("hinge", |config| config.techniques.loss = Loss::Hinge),
        ("wasserstein", |config| {
            config.techniques.loss = Loss::Wasserstein;
            config.techniques.clip_weights = 0.01;
        }),
        ("relativistic", |config| {
            config.techniques.loss = Loss::Relativistic;
        }),
        ("relativistic average", |config| {
            config.techniques.loss = Loss::RelativisticAverage;
        }),
        ("feature matching", |config| {
            config.techniques.feature_matching = true;
        }),
        ("two-sided", |config| {
            (
                config.techniques.label_smoothing,
                config.techniques.fake_label,
            ) = (0.9, 0.1);
        }),
        ("penalty", |config| config.techniques.gradient_penalty = 1.0),
        ("clipping", |config| config.techniques.clip_gradients = 0.01),
        ("historical averaging", |config| {
            config.techniques.historical_averaging = 0.1;
        }),
        ("spectral norm", |config| {
            config.techniques.spectral_norm = true
        }),
        ("minibatch discrimination", |config| {
            config.techniques.minibatch_kernels = 4;
        }),
        ("instance noise", |config| {
            config.techniques.instance_noise = 0.1
        }),
        ("batch norm", |config| {
            (config.norm_g, config.norm_d) = (Norm::Batch, Norm::Batch);
        }),
        ("virtual batch norm", |config| config.norm_g = Norm::Virtual),
        ("instance norm", |config| {
            (config.norm_g, config.norm_d) = (Norm::Instance, Norm::Instance);
        }),
        ("several generators", |config| {
            (config.generators, config.subsets) = (2, true);
        }),
    ];
    let start = |config: &Config| {
        let data = Data::open(config).unwrap();
        Gan::new(config, data.size(), None, data.len(), &Device::flex())
    };
    let batch = |config: &Config, step: u64| {
        let data = Data::open(config).unwrap();
        data.batch(0, step as usize).unwrap()
    };
    let trained = |config: &Config| {
        let mut gan = start(config);
        for step in 0..2 {
            gan.step(batch(config, step), &At::new(0, step, 4)).unwrap();
        }
        contract::snapshot(&mut gan)
    };
    let plain = trained(&small("ring"));
    for (name, change) in changes {
        let mut config = small("ring");
        change(&mut config);
        config.validate().unwrap();
        let found = trained(&config);
        for part in ["generator", "discriminator"] {
            // The minimax game changes what the generator minimises, and the discriminator a step later.
            assert_ne!(
                found[part], plain[part],
                "{name} does nothing to the {part}"
            );
        }
        contract::holds(|| start(&config), |step| batch(&config, step), 6);
    }
    // Pictures can be augmented, points cannot.
    let mut config = small("quick");
    config.techniques.augment = Augment::TranslationCutout;
    config.validate().unwrap();
    assert_ne!(
        trained(&config)["generator"],
        trained(&small("quick"))["generator"]
    );
    let mut config = small("ring");
    config.techniques.augment = Augment::Translation;
    assert!(
        config
            .validate()
            .unwrap_err()
            .to_string()
            .starts_with("augment")
    );
}

#[test]
fn accumulated_parts_are_the_whole_batch() {
    let moments = |accumulate: usize| {
        let mut config = small("paper");
        config.training.accumulate = accumulate;
        let data = Data::open(&config).unwrap();
        let mut gan = Gan::new(&config, data.size(), None, data.len(), &Device::flex());
        let scalars = gan.step(data.batch(0, 0).unwrap(), &At::new(7, 0, 1));
        let losses = scalars.unwrap().read();
        let of = |name: &str| {
            let values = losses.iter().filter(|(other, _)| *other == name);
            let values: Vec<f64> = values.map(|(_, value)| *value).collect();
            values.iter().sum::<f64>() / values.len() as f64
        };
        let tensors = contract::snapshot(&mut gan);
        (
            of("loss_d"),
            of("loss_g"),
            tensors["generator_optimizer"].clone(),
        )
    };
    let (whole, parts) = (moments(1), moments(4));
    assert!((whole.0 - parts.0).abs() < 1e-5 && (whole.1 - parts.1).abs() < 1e-5);
    assert!(whole.2.len() > 2);
    for (name, tensor) in &whole.2 {
        let largest = tensor
            .values
            .iter()
            .fold(0.0_f32, |most, value| most.max(value.abs()));
        for (a, b) in tensor.values.iter().zip(&parts.2[name].values) {
            assert!((a - b).abs() <= 1e-4 * largest, "{name}: {a} and {b}");
        }
    }
}

/// Only the CPU in a plain build; `cargo test -p vanilla --features ndarray devices` compares another one.
#[test]
fn devices_agree() {
    let config = small("paper");
    let data = Data::open(&config).unwrap();
    let (size, mean) = (data.size(), data.mean());
    let forward = |device: &Device, weights: &gan_core::weights::Tensors| {
        let network = Generator::new(&config, size.0 * size.1, device);
        let network = gan_core::weights::apply(network, weights).unwrap();
        let latent = config.prior.draw(
            &mut gan_core::random::Stream::new(3, "test", 0),
            4 * config.latent_dim,
        );
        let latent = TensorData::new(latent, [4, config.latent_dim]);
        gan_core::weights::values(network.forward(Tensor::from_data(latent, device)))
    };
    let lines = contract::devices_agree(
        |device| Gan::new(&config, size, mean.as_deref(), data.len(), device),
        || data.batch(0, 0).unwrap(),
        forward,
    );
    let _ = writeln!(std::io::stderr(), "{}", lines.join("\n"));
}

#[test]
fn each_player_moves_only_in_its_own_step() {
    let config = Config {
        n_critic: 2,
        ..small("quick")
    };
    let data = Data::open(&config).unwrap();
    let mut gan = Gan::new(&config, data.size(), None, data.len(), &Device::flex());
    let mut last = contract::snapshot(&mut gan);
    for step in 0..4 {
        gan.step(data.batch(0, step).unwrap(), &At::new(0, step as u64, 4))
            .unwrap();
        let now = contract::snapshot(&mut gan);
        let moved = contract::moved(&last, &now);
        let has_generator = moved.iter().any(|name| name.starts_with("generator"));
        assert_eq!(has_generator, step % 2 == 1, "step {step} moved {moved:?}");
        assert!(moved.contains(&"discriminator".to_owned()));
        last = now;
    }
}

#[test]
fn the_ring_is_learned() {
    let config = Config {
        training: Training {
            steps: 2500,
            ..preset("ring").training
        },
        ..preset("ring")
    };
    let data = Data::open(&config).unwrap();
    let mut gan = Gan::new(&config, data.size(), None, data.len(), &Device::flex());
    let measured = |gan: &Gan| -> Vec<f64> {
        let (_, scalars) = gan.preview(&At::new(0, 0, 1)).unwrap();
        scalars.read().into_iter().map(|(_, value)| value).collect()
    };
    assert_eq!(
        measured(&gan)[0],
        0.0,
        "an untrained generator covers no mode"
    );
    for step in 0..2500u64 {
        let batch = data.batch(step / 1000, (step % 1000) as usize).unwrap();
        gan.step(batch, &At::new(0, step, 2500)).unwrap();
    }
    let [modes, high_quality, divergence] = measured(&gan)[..] else {
        panic!("three measures")
    };
    // Most seeds reach 8 modes and 0.9 high quality at this length; 6 and 0.6 leave room.
    assert!(
        modes >= 6.0 && high_quality >= 0.6 && divergence < 0.2,
        "{modes} modes, {high_quality}, {divergence}"
    );
}

/// Where real data is, when the caller of the tests says so.
fn real_data() -> Option<std::path::PathBuf> {
    std::env::var_os("GAN_DATA").map(Into::into)
}

#[test]
fn the_real_files_are_read() {
    let Some(data) = real_data() else {
        return;
    };
    let mnist = gan_core::idx::Pictures::read(&data.join("mnist"), "train").unwrap();
    assert_eq!((mnist.len(), mnist.height, mnist.width), (60_000, 28, 28));
    assert_eq!(mnist.labels[..5], [5, 0, 4, 1, 9]);
    let test = gan_core::idx::Pictures::read(&data.join("mnist"), "t10k").unwrap();
    assert_eq!((test.len(), test.labels[0]), (10_000, 7));
    // The labels of Fashion-MNIST without its training pictures.
    let error = gan_core::idx::Pictures::read(&data.join("fashion-mnist"), "train").unwrap_err();
    assert!(
        error.to_string().contains("only labels: train-labels"),
        "{error}"
    );
}

const SMALL: [&str; 12] = [
    "--batch-size",
    "16",
    "--generator-hidden",
    "24,24",
    "--discriminator-hidden",
    "24,24",
    "--log-every",
    "3",
    "--sample-every",
    "9",
    "--save-every",
    "7",
];

/// A small copy of MNIST's layout: gzipped pictures, plain labels, drawn digits.
fn write_mnist(folder: &Path, count: u32) {
    use std::io::Write;
    let pictures = vanilla::data::procedural(3, count as usize);
    let mut body = 0x0803u32.to_be_bytes().to_vec();
    for size in [count, 28, 28] {
        body.extend(size.to_be_bytes());
    }
    body.extend(&pictures.pixels);
    let file = std::fs::File::create(folder.join("train-images-idx3-ubyte.gz")).unwrap();
    let mut encoder = flate2::write::GzEncoder::new(file, Default::default());
    encoder.write_all(&body).unwrap();
    encoder.finish().unwrap();
    let mut labels = 0x0801u32.to_be_bytes().to_vec();
    labels.extend(count.to_be_bytes());
    labels.extend(&pictures.labels);
    std::fs::write(folder.join("train-labels-idx1-ubyte"), labels).unwrap();
}

#[test]
fn a_killed_run_of_every_preset_resumes_bit_for_bit() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("mnist");
    std::fs::create_dir(&data).unwrap();
    // 5 batches an epoch: 60 steps cross eleven ends of an epoch.
    write_mnist(&data, 90);
    let data = data.to_string_lossy();
    for (name, _) in Config::PRESETS {
        let mut command = vec!["train", "--preset", name, "--data", &data, "--steps", "60"];
        command.extend(SMALL);
        command.extend(["--ema-decay", "0.9", "--decay-start", "0.5"]);
        let place = folder.path().join(name);
        contract::resume_is_the_same_run(BINARY, "vanilla", "gan", &command, &place);
    }
}

#[test]
fn threads_do_not_change_a_byte() {
    let folder = tempfile::tempdir().unwrap();
    let command = [
        "train",
        "--preset",
        "quick",
        "--steps",
        "20",
        "--batch-size",
        "128",
    ];
    contract::threads_do_not_matter(BINARY, "vanilla", "gan", &command, folder.path());
}

#[test]
fn a_run_explains_itself_and_a_checkpoint_is_all_you_need() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().to_string_lossy().into_owned();
    let mut command = vec!["train", "--steps", "20", "--out", &out];
    command.extend(SMALL);
    let said = succeed(BINARY, &command);
    assert!(said.starts_with("PROCEDURAL"), "{said}");
    let run = folder.path().join("vanilla/001");
    for file in [
        "config.toml",
        "metrics.jsonl",
        "report.html",
        "samples/reals.png",
        "samples/step_00000000.png",
        "samples/step_00000020.png",
        "samples/training.gif",
        "checkpoints/gan/latest",
        "checkpoints/gan/step_00000020/manifest.json",
    ] {
        assert!(run.join(file).is_file(), "{file} is missing");
    }
    let config = std::fs::read_to_string(run.join("config.toml")).unwrap();
    assert!(config.starts_with("# PROCEDURAL"), "{config}");
    let log = std::fs::read_to_string(run.join("metrics.jsonl")).unwrap();
    let row: serde_json::Value = serde_json::from_str(log.lines().next().unwrap()).unwrap();
    for key in [
        "loss_d",
        "loss_g",
        "d_real",
        "d_fake",
        "lr_g",
        "grad_norm_d",
        "images_per_second",
    ] {
        assert!(row[key].is_number(), "{key} in {row}");
    }

    // The same configuration again gives the same bytes.
    let again = run.join("config.toml").to_string_lossy().into_owned();
    succeed(
        BINARY,
        &[
            "train", "--config", &again, "--out", &out, "--name", "again", "--quiet",
        ],
    );
    let files =
        |name: &str| contract::newest_files(&folder.path().join("vanilla").join(name), "gan");
    assert_eq!(files("001"), files("again"));

    let sampled = folder.path().join("sampled");
    let sampled_text = sampled.to_string_lossy().into_owned();
    let generate = [
        "generate",
        "--out",
        &out,
        "--checkpoint",
        "001",
        "-o",
        &sampled_text,
    ];
    succeed(BINARY, &[&generate[..], &["--seeds", "7,3-4"]].concat());
    let names: Vec<_> = contract::walk(&sampled)
        .iter()
        .map(|path| path.file_name().unwrap().to_string_lossy().into_owned())
        .collect();
    assert_eq!(
        names,
        [
            "seed_00000003.png",
            "seed_00000004.png",
            "seed_00000007.png"
        ]
    );
    // A seed is a sample, whatever else is generated; and the library says the same.
    let before = std::fs::read(sampled.join("seed_00000007.png")).unwrap();
    succeed(
        BINARY,
        &[&generate[..], &["--num", "9", "--batch-size", "4"]].concat(),
    );
    assert_eq!(
        before,
        std::fs::read(sampled.join("seed_00000007.png")).unwrap()
    );
    let sampler = Sampler::open(&run).unwrap();
    let picture = gan_core::images::read(&sampled.join("seed_00000007.png"))
        .unwrap()
        .into_rgb8();
    assert_eq!(sampler.sample(&[7])[0], picture);
    succeed(BINARY, &[&generate[..], &["--grid", "4x2"]].concat());
    assert!(sampled.join("grid.png").is_file());

    for name in ["walk.gif", "walk.apng"] {
        let place = folder.path().join(name).to_string_lossy().into_owned();
        let walk = [
            "interpolate",
            "--out",
            &out,
            "--checkpoint",
            "001",
            "--frames",
            "3",
            "-o",
            &place,
        ];
        succeed(BINARY, &walk);
        succeed(
            BINARY,
            &[&walk[..], &["--seeds", "1-3", "--expression", "a-b+c"]].concat(),
        );
        assert!(Path::new(&place).with_extension("points.png").is_file());
    }
    let export = folder
        .path()
        .join("g.safetensors")
        .to_string_lossy()
        .into_owned();
    succeed(
        BINARY,
        &[
            "export",
            "--out",
            &out,
            "--checkpoint",
            "001",
            "-o",
            &export,
        ],
    );
    assert_eq!(Sampler::open(&export).unwrap().sample(&[7])[0], picture);
    let info = succeed(BINARY, &["info", "--out", &out, "001"]);
    assert!(
        info.contains("main.0.weight") && info.contains("matches its sha256"),
        "{info}"
    );
    assert!(succeed(BINARY, &["runs", "list", "--out", &out]).contains("PROCEDURAL"));
    succeed(BINARY, &["runs", "prune", "--out", &out]);
    assert_eq!(
        gan_core::checkpoint::steps(&run.join("checkpoints/gan"))
            .unwrap()
            .len(),
        1
    );

    // Fine-tuning starts from those weights in a new run.
    let mut tune = vec![
        "train",
        "--init-from",
        &export,
        "--steps",
        "2",
        "--out",
        &out,
        "--name",
        "tuned",
    ];
    tune.extend(SMALL);
    succeed(BINARY, &tune);
}

#[test]
fn wrong_requests_are_answered_with_their_exit_code() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().to_string_lossy().into_owned();
    let train =
        |more: &[&str], code: i32| fail(BINARY, &[&["train", "--out", &out], more].concat(), code);
    assert!(train(&["--batch-size", "0"], 2).contains("batch_size = 0"));
    assert!(train(&["--lr", "nan"], 2).contains("lr"));
    assert!(train(&["--preset", "mnits"], 2).contains("quick, paper"));
    assert!(train(&["--device", "cuda:7"], 2).contains("not in this build"));
    assert!(train(&["--data", "/nowhere"], 3).contains("/nowhere does not exist"));
    assert!(train(&["--resume", "nothing"], 2).contains("there is no run nothing"));
    let config = folder.path().join("my.toml");
    std::fs::write(&config, "bathc_size = 3\n").unwrap();
    let error = train(&["--config", &config.to_string_lossy()], 2);
    assert!(
        error.contains("my.toml: unknown key bathc_size; did you mean batch_size?"),
        "{error}"
    );
    let broken = folder.path().join("train-images-idx3-ubyte");
    std::fs::write(&broken, b"<html>").unwrap();
    assert!(train(&["--data", &out], 3).contains("train-images-idx3-ubyte"));
    assert!(
        !folder.path().join("vanilla").exists(),
        "nothing was written"
    );

    assert!(fail(BINARY, &["generate", "--out", &out], 2).contains("there is no run"));
    assert!(
        fail(BINARY, &["generate", "--out", &out, "--checkpoint", "x"], 4)
            .contains("x does not exist")
    );
    // A small file whose metadata asks for a network of gigabytes.
    let hostile = folder.path().join("hostile.safetensors");
    let metadata = [
        ("config", "generator_hidden = [16384, 16384, 16384, 16384]"),
        ("sample_size", "1024x1024"),
    ]
    .map(|(key, value)| (key.to_owned(), value.to_owned()));
    gan_core::weights::write(&hostile, &Default::default(), &metadata.into()).unwrap();
    let error = fail(
        BINARY,
        &["generate", "--checkpoint", &hostile.to_string_lossy()],
        4,
    );
    assert!(
        error.contains("hostile.safetensors") && error.contains("the file holds 0"),
        "{error}"
    );
    let error = fail(BINARY, &["info", &config.to_string_lossy()], 4);
    assert!(
        error.contains("neither a safetensors file nor a PyTorch state dict"),
        "{error}"
    );
}

#[test]
fn divergence_stops_the_run_and_saves_nothing_poisoned() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().to_string_lossy().into_owned();
    let mut command = vec!["train", "--steps", "40", "--out", &out, "--name", "run"];
    command.extend(SMALL);
    let stopped = [&command[..], &["--optimizer", "goodfellow", "--lr", "1e30"]].concat();
    let error = fail(BINARY, &stopped, 7);
    assert!(
        error.contains("step") && error.contains("seed 0"),
        "{error}"
    );
    let run = folder.path().join("vanilla/run");
    assert!(
        gan_core::checkpoint::newest(&run.join("checkpoints/gan"))
            .unwrap()
            .is_none()
    );
}

#[test]
fn a_damaged_newest_checkpoint_falls_back_to_the_one_before() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().to_string_lossy().into_owned();
    let mut command = vec!["train", "--steps", "21", "--out", &out, "--name", "run"];
    command.extend(SMALL);
    succeed(BINARY, &command);
    let gan = folder.path().join("vanilla/run/checkpoints/gan");
    let weights = gan.join("step_00000021/generator.safetensors");
    let before = std::fs::read(&weights).unwrap();
    let mut damaged = before.clone();
    let last = damaged.len() - 1;
    damaged[last] ^= 1;
    std::fs::write(&weights, &damaged).unwrap();
    let said = succeed(BINARY, &["train", "--resume", "run", "--out", &out]);
    assert!(
        said.contains("the file is damaged") && said.contains("resuming"),
        "{said}"
    );
    assert_eq!(
        before,
        std::fs::read(&weights).unwrap(),
        "trained again, and equal"
    );
    let step = gan.join("step_00000021").to_string_lossy().into_owned();
    std::fs::write(&weights, &damaged).unwrap();
    let error = fail(BINARY, &["generate", "--checkpoint", &step], 4);
    assert!(
        error.contains("generator.safetensors") && error.contains("sha256"),
        "{error}"
    );
}

#[test]
fn damaged_newer_checkpoints_never_cost_the_good_one() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().to_string_lossy().into_owned();
    let mut command = vec![
        "train", "--steps", "14", "--keep", "1", "--out", &out, "--name", "run",
    ];
    command.extend(SMALL);
    succeed(BINARY, &command);
    let gan = folder.path().join("vanilla/run/checkpoints/gan");
    std::fs::create_dir(gan.join("step_00003900")).unwrap();
    succeed(
        BINARY,
        &["train", "--resume", "run", "--steps", "20", "--out", &out],
    );
    let (newest, _) = gan_core::checkpoint::newest(&gan).unwrap().unwrap();
    assert_eq!(newest.manifest.step, 20);
    let error = fail(
        BINARY,
        &["train", "--resume", "run", "--steps", "16", "--out", &out],
        2,
    );
    assert!(error.contains("may only be raised"), "{error}");
}

#[test]
fn a_fine_tune_that_is_killed_at_once_keeps_its_weights_and_data_must_stay() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().to_string_lossy().into_owned();
    let data = folder.path().join("mnist");
    std::fs::create_dir(&data).unwrap();
    write_mnist(&data, 90);
    let data_text = data.to_string_lossy().into_owned();
    let mut command = vec![
        "train", "--data", &data_text, "--steps", "10", "--out", &out,
    ];
    command.extend(SMALL);
    succeed(BINARY, &[&command[..], &["--name", "first"]].concat());
    succeed(
        BINARY,
        &[&command[..], &["--name", "second", "--init-from", "first"]].concat(),
    );
    let run = folder.path().join("vanilla/second");
    let at_zero = run.join("checkpoints/gan/step_00000000");
    assert!(
        at_zero.is_dir()
            || gan_core::checkpoint::steps(&run.join("checkpoints/gan"))
                .unwrap()
                .len()
                == 2
    );
    write_mnist(&data, 89);
    let resume = [
        "train", "--resume", "second", "--steps", "12", "--out", &out,
    ];
    let error = fail(BINARY, &resume, 4);
    assert!(
        error.contains("trained on other data") && error.contains("90 pictures"),
        "{error}"
    );
}

#[test]
fn the_ring_has_a_preset_of_its_own() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().to_string_lossy().into_owned();
    let mut command = vec!["train", "--dataset", "ring", "--steps", "10", "--out", &out];
    command.extend(SMALL);
    let said = succeed(BINARY, &command);
    assert!(
        said.contains("high_quality") && !said.contains("PROCEDURAL"),
        "{said}"
    );
    succeed(BINARY, &["generate", "--num", "50", "--out", &out]);
    assert!(
        folder
            .path()
            .join("vanilla/001/generated/points.csv")
            .is_file()
    );
    fail(BINARY, &["generate", "--grid", "2x2", "--out", &out], 2);
    fail(BINARY, &["interpolate", "-o", "x.mp4", "--out", &out], 2);
    fail(
        BINARY,
        &["train", "--seed", "18446744073709551615", "--out", &out],
        2,
    );
}

#[cfg(unix)]
#[test]
fn ctrl_c_saves_and_a_second_trainer_is_refused() {
    use std::process::{Command, Stdio};
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().to_string_lossy().into_owned();
    let mut command = vec![
        "train", "--steps", "1000000", "--out", &out, "--name", "run",
    ];
    command.extend(SMALL);
    let child = Command::new(BINARY)
        .args(&command)
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let log = folder.path().join("vanilla/run/metrics.jsonl");
    while !log.is_file() {
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    let error = fail(BINARY, &["train", "--resume", "run", "--out", &out], 6);
    assert!(
        error.contains("another process") && error.contains("is training in"),
        "{error}"
    );
    let id = child.id().to_string();
    assert!(
        Command::new("kill")
            .args(["-INT", &id])
            .status()
            .unwrap()
            .success()
    );
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        said.contains("the checkpoint is saved. Go on with"),
        "{said}"
    );
    let run = folder.path().join("vanilla/run");
    let newest = gan_core::checkpoint::newest(&run.join("checkpoints/gan")).unwrap();
    assert!(newest.is_some());
    let error = fail(
        BINARY,
        &[
            "train",
            "--resume",
            "run",
            "--out",
            &out,
            "--batch-size",
            "8",
        ],
        2,
    );
    assert!(
        error.contains("batch_size is 16 in the run, 8 was asked for"),
        "{error}"
    );
}
