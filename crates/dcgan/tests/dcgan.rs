//! Shapes, parameter counts, the printed networks, the stage contract, and the binary from end to
//! end.

use burn::module::Module;
use burn::tensor::{Device, Tensor, TensorData};
use dcgan::config::Upsample;
use dcgan::data::Data;
use dcgan::discriminator::Discriminator;
use dcgan::generator::Generator;
use dcgan::train::Gan;
use dcgan::{Config, Sampler, faces};
use gan_core::augment::Augment;
use gan_core::config::{Configuration, Layer, Training, merge};
use gan_core::contract::{self, fail, succeed};
use gan_core::layers::{Norm, Statistics};
use gan_core::loss::Loss;
use gan_core::random::Stream;
use gan_core::stage::{At, Source, Stage};
use gan_core::technique::Techniques;
use image::DynamicImage;
use std::io::Write;
use std::path::Path;

const BINARY: &str = env!("CARGO_BIN_EXE_dcgan");

fn preset(name: &str) -> Config {
    merge(&[Layer::preset::<Config>(name).unwrap()]).unwrap()
}

#[test]
fn the_default_networks_have_the_papers_parameters() {
    let device = Device::flex();
    let config = Config::default();
    assert_eq!(
        Generator::new(&config, &device).num_params(),
        TRAINED_G + 1920
    );
    assert_eq!(
        Discriminator::new(&config, &device).num_params(),
        TRAINED_D + 1792
    );
}
/// Parameters as PyTorch counts them; burn adds the running statistics, which are no parameters:
/// 2 x (512 + 256 + 128 + 64) in the generator, 2 x (128 + 256 + 512) in the discriminator.
const TRAINED_G: usize = 3_576_704;
const TRAINED_D: usize = 2_765_568;

#[test]
fn every_size_gives_its_shapes() {
    let device = Device::flex();
    for image_size in [32, 64, 128] {
        for upsample in [Upsample::Transpose, Upsample::Resize] {
            for channels in [1, 3] {
                let config = Config {
                    image_size,
                    upsample,
                    channels,
                    latent_dim: 7,
                    width_g: 4,
                    width_d: 4,
                    ..Config::default()
                };
                let generator = Generator::new(&config, &device);
                let pictures =
                    generator.forward(Tensor::zeros([2, 7], &device), Statistics::Running);
                assert_eq!(pictures.dims(), [2, channels, image_size, image_size]);
                let discriminator = Discriminator::new(&config, &device);
                let logits = discriminator.forward(pictures.clone(), Statistics::Running);
                assert_eq!(logits.dims(), [2, 1]);
                let layers: usize = (0..config.doublings()).map(|layer| 4 << layer).sum();
                assert_eq!(discriminator.features(pictures).dims(), [2, 16 * layers]);
            }
        }
    }
}

#[test]
fn the_printed_networks_are_pinned() {
    let device = Device::flex();
    let large = Config {
        image_size: 128,
        ..preset("paper")
    };
    let resize = Config {
        upsample: Upsample::Resize,
        ..preset("paper")
    };
    for (name, config) in [
        ("paper", preset("paper")),
        ("128", large),
        ("resize", resize),
    ] {
        let printed = format!(
            "{}\n{}\n",
            Generator::new(&config, &device),
            Discriminator::new(&config, &device)
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
fn initial_weights_are_normal_with_0_02() {
    let mut gan = Gan::new(&Config::default(), &Device::flex());
    let parts = contract::snapshot(&mut gan);
    let mut checked = 0;
    for part in ["generator", "discriminator"] {
        for (name, tensor) in &parts[part] {
            let values = &tensor.values;
            let count = values.len() as f64;
            let mean = values.iter().map(|v| f64::from(*v)).sum::<f64>() / count;
            let variance = values
                .iter()
                .map(|v| (f64::from(*v) - mean).powi(2))
                .sum::<f64>()
                / count;
            let (expected_mean, expected_std) = match (name.as_str(), tensor.shape.len()) {
                (_, 4) => (0.0, 0.02),
                (name, _) if name.ends_with("weight") => (1.0, 0.02),
                (name, _) if name.ends_with("running_var") => (1.0, 0.0),
                _ => (0.0, 0.0),
            };
            // Four standard errors of the mean and of the standard deviation.
            let room = 4.0 * 0.02 / count.sqrt();
            assert!(
                (mean - expected_mean).abs() <= room,
                "{part} {name} mean {mean}"
            );
            assert!(
                (variance.sqrt() - expected_std).abs() <= room,
                "{part} {name}"
            );
            checked += 1;
        }
    }
    assert_eq!(checked, 5 + 4 * 4 + 5 + 3 * 4);
}

fn small(name: &str) -> Config {
    let config = preset(name);
    Config {
        image_size: 32,
        latent_dim: 8,
        width_g: 4,
        width_d: 4,
        training: Training {
            batch_size: 8,
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
        let mut config = config;
        // Batches in parts keep the contract, too.
        if *name == "quick" {
            config.training.accumulate = 2;
        }
        let data = Data::open(&config).unwrap();
        let make = || Gan::new(&config, &Device::flex());
        contract::holds(make, |step| data.batch(0, step as usize).unwrap(), 6);
    }
}

#[test]
fn every_technique_acts_and_resumes_bit_for_bit() {
    type Change = fn(&mut Config);
    let changes: [(&str, Change); 15] = [
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
        ("clipping", |config| config.techniques.clip_gradients = 0.1),
        ("historical averaging", |config| {
            config.techniques.historical_averaging = 0.1;
        }),
        ("spectral norm", |config| {
            config.techniques.spectral_norm = true
        }),
        ("minibatch discrimination", |config| {
            config.techniques.minibatch_kernels = 4;
        }),
        ("noise and cutout", |config| {
            config.techniques.instance_noise = 0.1;
            config.techniques.augment = Augment::TranslationCutout;
        }),
        ("virtual batch norm", |config| config.norm_g = Norm::Virtual),
        ("instance norm", |config| {
            (config.norm_g, config.norm_d) = (Norm::Instance, Norm::Instance);
        }),
    ];
    let trained = |config: &Config| {
        let data = Data::open(config).unwrap();
        let mut gan = Gan::new(config, &Device::flex());
        for step in 0..2 {
            gan.step(data.batch(0, step).unwrap(), &At::new(0, step as u64, 4))
                .unwrap();
        }
        contract::snapshot(&mut gan)
    };
    let plain = trained(&small("quick"));
    for (name, change) in changes {
        let mut config = small("quick");
        config.techniques.augment = Augment::None;
        change(&mut config);
        config.validate().unwrap();
        let found = trained(&config);
        for part in ["generator", "discriminator"] {
            assert_ne!(
                found[part], plain[part],
                "{name} does nothing to the {part}"
            );
        }
        let data = Data::open(&config).unwrap();
        let make = || Gan::new(&config, &Device::flex());
        contract::holds(make, |step| data.batch(0, step as usize).unwrap(), 3);
    }
}

#[test]
fn each_player_moves_only_in_its_own_step() {
    let config = Config {
        n_critic: 2,
        techniques: Techniques {
            augment: Augment::ColorTranslation,
            ..Techniques::default()
        },
        ..small("quick")
    };
    let data = Data::open(&config).unwrap();
    let mut gan = Gan::new(&config, &Device::flex());
    let mut last = contract::snapshot(&mut gan);
    for step in 0..4 {
        gan.step(data.batch(0, step).unwrap(), &At::new(0, step as u64, 4))
            .unwrap();
        let now = contract::snapshot(&mut gan);
        let weights = |parts: &std::collections::BTreeMap<String, gan_core::weights::Tensors>| {
            parts["generator"]["main.0.weight"].clone()
        };
        // Running statistics follow every forward; weights move every second step.
        assert_eq!(
            weights(&last) != weights(&now),
            step % 2 == 1,
            "step {step}"
        );
        let moved = contract::moved(&last, &now);
        assert!(moved.contains(&"discriminator_optimizer".to_owned()));
        assert_eq!(
            moved.contains(&"generator_optimizer".to_owned()),
            step % 2 == 1
        );
        last = now;
    }
}

/// A folder as people have them: nested, mixed sizes, formats, channels and depths.
fn write_pictures(folder: &Path, count: u64) {
    let inner = folder.join("a/b");
    std::fs::create_dir_all(&inner).unwrap();
    std::fs::write(folder.join(".DS_Store"), b"x").unwrap();
    for number in 0..count {
        let size = [32, 40, 64, 77][number as usize % 4];
        let face = faces::face(size, &mut Stream::new(1, "face", number));
        let face = DynamicImage::ImageRgb8(face);
        let (face, ending) = match number % 6 {
            0 => (face, "jpg"),
            1 => (face, "webp"),
            2 => (face, "bmp"),
            3 => (DynamicImage::ImageLuma8(face.into_luma8()), "png"),
            4 => (DynamicImage::ImageRgba8(face.into_rgba8()), "png"),
            _ => (DynamicImage::ImageRgb16(face.into_rgb16()), "png"),
        };
        let place = if number % 2 == 0 { folder } else { &inner };
        face.save(place.join(format!("{number}.{ending}"))).unwrap();
    }
}

#[test]
fn real_pictures_are_read() {
    let Some(data) = std::env::var_os("GAN_DATA") else {
        return;
    };
    let faces = Path::new(&data).join("anime_faces");
    let config = Config {
        training: Training {
            data: faces.to_string_lossy().into_owned(),
            ..Training::default()
        },
        ..Config::default()
    };
    let data = Data::open(&config).unwrap();
    assert_eq!((data.pictures(), data.broken.len()), (2000, 0));
    let batch = data.batch(0, 0).unwrap();
    assert_eq!(batch.len(), 128 * 3 * 64 * 64);
    assert!(batch.iter().all(|value| (-1.0..=1.0).contains(value)));
}

const SMALL: [&str; 18] = [
    "--image-size",
    "32",
    "--latent-dim",
    "8",
    "--width-g",
    "4",
    "--width-d",
    "4",
    "--batch-size",
    "8",
    "--log-every",
    "3",
    "--sample-every",
    "9",
    "--save-every",
    "7",
    "--ema-decay",
    "0.9",
];

#[test]
fn a_killed_run_of_every_preset_resumes_bit_for_bit() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("pictures");
    write_pictures(&data, 42);
    let data = data.to_string_lossy();
    for (name, _) in Config::PRESETS {
        // 5 batches an epoch: 24 steps cross four ends of an epoch, three saves and the decay.
        let mut command = vec!["train", "--preset", name, "--data", &data, "--steps", "24"];
        command.extend(SMALL);
        command.extend(["--decay-start", "0.5"]);
        let place = folder.path().join(name);
        contract::resume_is_the_same_run(BINARY, "dcgan", "gan", &command, &place);
    }
}

#[test]
fn threads_do_not_change_a_byte() {
    // Wide enough that gemm and the convolutions do use several threads.
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("pictures");
    write_pictures(&data, 16);
    let data = data.to_string_lossy();
    let mut command = vec![
        "train", "--preset", "quick", "--steps", "3", "--data", &data,
    ];
    command.extend(["--image-size", "64", "--batch-size", "16"]);
    contract::threads_do_not_matter(BINARY, "dcgan", "gan", &command, folder.path());
}

#[test]
fn a_folder_becomes_a_run_and_a_checkpoint_is_all_you_need() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("pictures");
    write_pictures(&data, 42);
    std::fs::write(data.join("broken.png"), b"\x89PNG\r\n\x1a\nnothing").unwrap();
    let out = folder.path().to_string_lossy().into_owned();
    let data = data.to_string_lossy().into_owned();
    let mut command = vec!["train", "--data", &data, "--steps", "12", "--out", &out];
    command.extend(SMALL);
    command.extend(["--augment", "color-translation", "--flip"]);
    let said = succeed(BINARY, &command);
    assert!(!said.contains("PROCEDURAL"), "{said}");
    assert!(
        said.contains("1 pictures are left out") && said.contains("broken.png"),
        "{said}"
    );
    let run = folder.path().join("dcgan/001");
    for file in [
        "report.html",
        "samples/training.gif",
        "checkpoints/gan/step_00000012/generator_ema.safetensors",
    ] {
        assert!(run.join(file).is_file(), "{file} is missing");
    }

    let sampled = folder.path().join("sampled");
    let sampled_text = sampled.to_string_lossy().into_owned();
    let generate = ["generate", "--out", &out, "-o", &sampled_text];
    succeed(BINARY, &[&generate[..], &["--seeds", "7,3-4"]].concat());
    let read = |seed: u64| {
        let place = sampled.join(format!("seed_{seed:08}.png"));
        gan_core::images::read(&place).unwrap().into_rgb8()
    };
    let average = read(7);
    assert_eq!(average.dimensions(), (32, 32));
    succeed(
        BINARY,
        &[&generate[..], &["--num", "9", "--batch-size", "4"]].concat(),
    );
    assert_eq!(
        average,
        read(7),
        "a seed is a sample, whatever else is generated"
    );
    assert_eq!(Sampler::open(&run).unwrap().sample(&[7])[0], average);
    succeed(
        BINARY,
        &[&generate[..], &["--seeds", "7", "--no-ema"]].concat(),
    );
    assert_ne!(average, read(7), "the newest weights are not their average");

    let walk = folder
        .path()
        .join("walk.gif")
        .to_string_lossy()
        .into_owned();
    let walking = ["interpolate", "--out", &out, "--frames", "2", "-o", &walk];
    succeed(
        BINARY,
        &[
            &walking[..],
            &["--seeds", "1-3", "--expression", "[1,2]-b+c"],
        ]
        .concat(),
    );
    let export = folder
        .path()
        .join("g.safetensors")
        .to_string_lossy()
        .into_owned();
    succeed(BINARY, &["export", "--out", &out, "-o", &export]);
    assert_eq!(Sampler::open(&export).unwrap().sample(&[7])[0], average);
    let info = succeed(BINARY, &["info", "--out", &out]);
    assert!(
        info.contains("main.10.running_var") || info.contains("main.7.running_var"),
        "{info}"
    );
    succeed(BINARY, &["runs", "list", "--out", &out]);

    let features = folder
        .path()
        .join("f.safetensors")
        .to_string_lossy()
        .into_owned();
    succeed(
        BINARY,
        &[
            "features",
            "--out",
            &out,
            "-i",
            &export_folder(folder.path()),
            "-o",
            &features,
        ],
    );
    let file = gan_core::weights::read(Path::new(&features)).unwrap();
    // 4 + 8 + 16 channels, each pooled to 4 x 4.
    assert_eq!(file.tensors["features"].shape, [12, 448]);

    let mut tune = vec![
        "train",
        "--data",
        &data,
        "--init-from",
        "001",
        "--steps",
        "2",
        "--out",
        &out,
    ];
    tune.extend(SMALL);
    succeed(BINARY, &tune);
}

/// Two class folders of whole pictures.
fn export_folder(root: &Path) -> String {
    let place = root.join("classes");
    for (class, seed) in [("one", 5), ("two", 6)] {
        std::fs::create_dir_all(place.join(class)).unwrap();
        for number in 0..6 {
            let face = faces::face(32, &mut Stream::new(seed, "face", number));
            face.save(place.join(class).join(format!("{number}.png")))
                .unwrap();
        }
    }
    place.to_string_lossy().into_owned()
}

#[test]
fn wrong_requests_are_answered_with_their_exit_code() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().to_string_lossy().into_owned();
    let train =
        |more: &[&str], code: i32| fail(BINARY, &[&["train", "--out", &out], more].concat(), code);
    assert!(train(&["--image-size", "48"], 2).contains("32, 64 or 128"));
    assert!(train(&["--batch-size", "1"], 2).contains("at least 2 pictures"));
    assert!(train(&["--data", &out], 3).contains("there are no pictures under"));
    let pictures = folder.path().join("pictures");
    write_pictures(&pictures, 4);
    let data = pictures.to_string_lossy().into_owned();
    assert!(train(&["--data", &data], 3).contains("fewer than a batch"));
    std::fs::write(pictures.join("bad.png"), b"<html>").unwrap();
    assert!(train(&["--data", &data, "--batch-size", "2"], 3).contains("bad.png"));
    assert!(!folder.path().join("dcgan").exists(), "nothing was written");

    // A file of another model says so in one sentence.
    let other = folder.path().join("other.safetensors");
    let metadata = [("architecture", "vanilla"), ("network", "generator")]
        .map(|(key, value)| (key.to_owned(), value.to_owned()));
    gan_core::weights::write(&other, &Default::default(), &metadata.into()).unwrap();
    let error = fail(
        BINARY,
        &["generate", "--checkpoint", &other.to_string_lossy()],
        4,
    );
    assert!(
        error.contains("is a checkpoint of vanilla, not of dcgan"),
        "{error}"
    );
    // A foreign file that is no DCGAN.
    let tensor = gan_core::weights::HostTensor::vector(vec![1.0]);
    let tensors = [("fc.weight".to_owned(), tensor)].into();
    gan_core::weights::write(&other, &tensors, &Default::default()).unwrap();
    let error = fail(
        BINARY,
        &["generate", "--checkpoint", &other.to_string_lossy()],
        4,
    );
    assert!(
        error.contains("fc.weight") && error.contains("not the layout of a DCGAN"),
        "{error}"
    );
}

/// Only the CPU in a plain build; `cargo test -p dcgan --features ndarray devices` compares another one.
#[test]
fn devices_agree() {
    let config = small("paper");
    let data = Data::open(&config).unwrap();
    let forward = |device: &Device, weights: &gan_core::weights::Tensors| {
        let network = Generator::new(&config, device);
        let network = gan_core::weights::apply(network, weights).unwrap();
        let latent = Stream::new(3, "test", 0).normal(4 * config.latent_dim);
        let latent = TensorData::new(latent, [4, config.latent_dim]);
        let latent = Tensor::<2>::from_data(latent, device);
        gan_core::weights::values(network.forward(latent, Statistics::Running))
    };
    let lines = contract::devices_agree(
        |device| Gan::new(&config, device),
        || data.batch(0, 0).unwrap(),
        forward,
    );
    let _ = writeln!(std::io::stderr(), "{}", lines.join("\n"));
}

#[test]
fn data_is_written_checked_and_prepared() {
    let folder = tempfile::tempdir().unwrap();
    let text = |name: &str| folder.path().join(name).to_string_lossy().into_owned();
    let (drawn, ready, out) = (text("drawn"), text("ready"), text("runs"));
    let prepare = ["data", "prepare", "--procedural", "--num", "12"];
    succeed(BINARY, &[&prepare[..], &["-o", &drawn]].concat());
    assert!(folder.path().join("drawn/faces/000011.jpg").is_file());

    std::fs::copy(
        folder.path().join("drawn/faces/000001.jpg"),
        folder.path().join("drawn/faces/again.jpg"),
    )
    .unwrap();
    std::fs::write(folder.path().join("drawn/faces/page.png"), "<html>").unwrap();
    let (code, said, _) = contract::call(BINARY, &["data", "check", &drawn]);
    assert_eq!(code, Some(0));
    for part in [
        "PROCEDURAL",
        "13 readable",
        "96 x 96: 13",
        "page.png",
        "again.jpg =",
        "--batch-size at most 13",
    ] {
        assert!(said.contains(part), "{part} is missing in {said}");
    }
    let prepare = [
        "data", "prepare", "-i", &drawn, "-o", &ready, "--size", "32",
    ];
    let said = succeed(
        BINARY,
        &[&prepare[..], &["--dedupe", "--split", "0.5"]].concat(),
    );
    assert!(
        said.contains("12 pictures") && said.contains("1 duplicates"),
        "{said}"
    );
    let (code, _, error) = contract::call(BINARY, &prepare);
    assert_eq!(code, Some(2), "{error}");
    assert!(error.contains("is there already"), "{error}");

    // One picture is no batch.
    let single = folder.path().join("single");
    std::fs::create_dir(&single).unwrap();
    std::fs::copy(
        folder.path().join("drawn/faces/000001.jpg"),
        single.join("1.jpg"),
    )
    .unwrap();
    std::fs::write(single.join("2.tif"), "x").unwrap();
    let said = succeed(BINARY, &["data", "check", &text("single")]);
    assert!(
        said.contains("a batch needs 2") && !said.contains("--batch-size at most"),
        "{said}"
    );
    assert!(said.contains("files ending in .tif: 1"), "{said}");

    // The mark goes with the folder: nobody takes it for photographs.
    let mut command = vec!["train", "--data", &drawn, "--steps", "1", "--out", &out];
    command.extend(SMALL);
    let said = succeed(BINARY, &command);
    let first = said.lines().next().unwrap_or_default();
    assert!(
        first.starts_with("PROCEDURAL data: drawn cartoon faces"),
        "{said}"
    );
    assert!(said.contains("parameters: generator"), "{said}");
    assert!(
        said.contains("MB of memory") && said.contains("MB of disk"),
        "{said}"
    );
}

#[test]
fn what_is_unknown_is_named() {
    for (command, code, part) in [
        (&["data", "download", "celebb"][..], 2, "celeba"),
        (&["data", "check", "/no/such/folder"], 3, "/no/such/folder"),
        (&["data", "prepare", "-o", "x"], 2, "--input"),
        (&["weights", "download", "horse2zebr"], 2, "horse2zebra"),
        (&["train", "--device", "vulkan"], 2, "--features vulkan"),
    ] {
        let (found, _, error) = contract::call(BINARY, command);
        assert_eq!(found, Some(code), "{command:?}: {error}");
        assert!(error.contains(part), "{command:?}: {error}");
    }
    let (code, said, _) = contract::call(BINARY, &["devices"]);
    assert_eq!(code, Some(0));
    assert!(said.contains("cpu        yes"), "{said}");
    let (code, said, _) = contract::call(BINARY, &["weights", "list"]);
    assert_eq!(code, Some(0));
    assert!(
        said.contains("inception") && said.contains("6726825d"),
        "{said}"
    );
}
