//! Shapes, the printed networks, the stage contract, and the binary from end to end.

use burn::tensor::{Device, Tensor};
use gan_core::config::{Configuration, Layer, Training, merge};
use gan_core::contract::{self, fail, succeed};
use gan_core::layers::Statistics;
use gan_core::stage::{Source, Stage};
use gan_core::weights;
use gan3d::data::Data;
use gan3d::discriminator::Discriminator;
use gan3d::generator::Generator;
use gan3d::train::Gan;
use gan3d::{Config, Sampler};
use std::path::Path;

const BINARY: &str = env!("CARGO_BIN_EXE_gan3d");

fn preset(name: &str) -> Config {
    merge(&[Layer::preset::<Config>(name).unwrap()]).unwrap()
}

fn text(path: &Path) -> String {
    path.display().to_string()
}

#[test]
fn every_size_gives_its_shapes() {
    let device = Device::flex();
    for resolution in [16, 32, 64] {
        for (start, first_norm) in [(4, true), (2, false)] {
            let config = Config {
                resolution,
                start,
                first_norm,
                latent_dim: 7,
                width_g: 2,
                width_d: 2,
                ..Config::default()
            };
            let generator = Generator::new(&config, &device);
            let volumes = generator.forward(Tensor::zeros([2, 7], &device), Statistics::Running);
            assert_eq!(volumes.dims(), [2, 1, resolution, resolution, resolution]);
            let discriminator = Discriminator::new(&config, &device);
            let logits = discriminator.forward(volumes, Statistics::Running);
            assert_eq!(logits.dims(), [2, 1]);
        }
    }
}

#[test]
fn the_printed_networks_are_pinned() {
    let device = Device::flex();
    for name in ["paper", "quick"] {
        let config = preset(name);
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

fn small(name: &str) -> Config {
    let config = preset(name);
    Config {
        resolution: 16,
        latent_dim: 8,
        width_g: 4,
        width_d: 4,
        ema_decay: 0.9,
        training: Training {
            batch_size: 4,
            ..config.training.clone()
        },
        ..config
    }
}

#[test]
fn every_preset_keeps_the_stage_contract() {
    for (name, _) in Config::PRESETS {
        let mut config = small(name);
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
fn what_pytorch_programs_of_this_layout_save_is_told_apart() {
    let device = Device::flex();
    // Five layers of 32 channels at most begin with 2 x 2 x 2, of 64 with 4 x 4 x 4.
    for (resolution, start, width, bias) in
        [(32, 2, 32, true), (64, 4, 64, false), (32, 4, 8, false)]
    {
        let config = Config {
            resolution,
            start,
            width_g: width,
            width_d: width,
            latent_dim: 5,
            bias,
            ..Config::default()
        };
        let generator = weights::collect(&Generator::new(&config, &device));
        let told = gan3d::generate::generator_config(&generator).unwrap();
        assert_eq!(
            (told.resolution, told.start, told.width_g),
            (resolution, start, width)
        );
        assert_eq!((told.latent_dim, told.bias), (5, bias));
        let discriminator = weights::collect(&Discriminator::new(&config, &device));
        let told = gan3d::generate::discriminator_config(&discriminator).unwrap();
        assert_eq!(
            (told.resolution, told.start, told.width_d),
            (resolution, start, width)
        );
        assert!(told.first_norm && told.bias == bias);
    }
}

/// A folder of furniture as 3D-ShapeNets has it.
fn furniture(folder: &Path, count: usize) -> String {
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

const SMALL: [&str; 16] = [
    "--resolution",
    "16",
    "--latent-dim",
    "8",
    "--width-g",
    "4",
    "--width-d",
    "4",
    "--batch-size",
    "6",
    "--log-every",
    "3",
    "--sample-every",
    "9",
    "--save-every",
    "7",
];

#[test]
fn a_killed_run_of_every_preset_resumes_bit_for_bit() {
    let folder = tempfile::tempdir().unwrap();
    let data = furniture(folder.path(), 40);
    for (name, _) in Config::PRESETS {
        // 6 batches an epoch; the gate is open at times and closed at others.
        let mut command = vec!["train", "--preset", name, "--data", &data, "--steps", "20"];
        command.extend(SMALL);
        command.extend(["--gate", "0.5", "--lr-d", "0.002", "--flip"]);
        let place = folder.path().join(name);
        contract::resume_is_the_same_run(BINARY, "gan3d", "gan", &command, &place);
    }
}

#[test]
fn threads_do_not_change_a_byte() {
    let folder = tempfile::tempdir().unwrap();
    let data = furniture(folder.path(), 20);
    let mut command = vec![
        "train", "--preset", "quick", "--steps", "2", "--data", &data,
    ];
    command.extend(["--batch-size", "4"]);
    contract::threads_do_not_matter(BINARY, "gan3d", "gan", &command, folder.path());
}

#[test]
fn shapes_become_a_run_and_a_checkpoint_is_all_you_need() {
    let folder = tempfile::tempdir().unwrap();
    let place = |name: &str| folder.path().join(name);
    let data = furniture(folder.path(), 40);
    let out = text(folder.path());
    let mut command = vec!["train", "--data", &data, "--steps", "12", "--out", &out];
    command.extend(SMALL);
    command.extend(["--ema-decay", "0.9"]);
    let said = succeed(BINARY, &command);
    assert!(said.starts_with("PROCEDURAL data"), "{said}");
    let run = place("gan3d/001");
    for file in [
        "report.html",
        "samples/reals.png",
        "samples/training.gif",
        "checkpoints/gan/step_00000012/generator_ema.safetensors",
        "checkpoints/gan/step_00000012/gate.safetensors",
    ] {
        assert!(run.join(file).is_file(), "{file} is missing");
    }
    let log = std::fs::read_to_string(run.join("metrics.jsonl")).unwrap();
    for name in ["gate", "accuracy_d", "occupancy", "sample_distance"] {
        assert!(
            log.contains(&format!("\"{name}\":")),
            "{name} is not in {log}"
        );
    }

    // Every kind of file; a low threshold, so that there is something.
    let made = text(&place("made"));
    let run = text(&run);
    let mut command = vec!["generate", "--checkpoint", &run, "--num", "3", "-o", &made];
    command.extend(["--threshold", "0.2", "--size", "64", "--frames", "4"]);
    command.extend(["--formats", "npy,probabilities,binvox,mat,obj,ply,stl,glb"]);
    succeed(BINARY, &command);
    let sampler = Sampler::open(&run).unwrap();
    let volumes = sampler.sample(&[0, 1, 2]);
    let reading = shapes::files::Reading::default();
    for (seed, volume) in volumes.iter().enumerate() {
        let whole = volume.voxels(0.2);
        let kept = shapes::components::largest(&whole, shapes::components::Neighbours::Within(3));
        assert!(kept.count() > 0, "lower the threshold of this test");
        for ending in ["npy", "binvox", "mat"] {
            let path = place(&format!("made/seed_{seed:06}.{ending}"));
            let read = shapes::files::read(&path, &reading).unwrap();
            assert_eq!(read, std::slice::from_ref(&kept), "{}", path.display());
        }
        for ending in ["obj", "ply", "stl"] {
            let path = place(&format!("made/seed_{seed:06}.{ending}"));
            let mesh = shapes::files::read_mesh(&path).unwrap();
            assert!(mesh.triangles.len() > 10, "{}", path.display());
        }
        assert!(place(&format!("made/seed_{seed:06}.glb")).is_file());
        assert!(place(&format!("made/seed_{seed:06}_probabilities.npy")).is_file());
    }
    for name in ["sheet.png", "turntable.gif"] {
        assert!(place("made").join(name).is_file(), "{name}");
    }

    // A walk with its meshes, and arithmetic.
    let walk = text(&place("walk.gif"));
    let meshes = text(&place("meshes"));
    let mut command = vec![
        "interpolate",
        "--checkpoint",
        &run,
        "-o",
        &walk,
        "--meshes",
        &meshes,
    ];
    command.extend([
        "--seeds",
        "0-2",
        "--frames",
        "3",
        "--size",
        "64",
        "--threshold",
        "0.2",
        "--format",
        "obj",
    ]);
    succeed(BINARY, &command);
    assert_eq!(std::fs::read_dir(&meshes).unwrap().count(), 10);
    let mut command = vec![
        "interpolate",
        "--checkpoint",
        &run,
        "-o",
        &walk,
        "--frames",
        "3",
    ];
    command.extend(["--seeds", "0-2", "--expression", "a-b+c", "--size", "64"]);
    succeed(BINARY, &command);

    // What a sample lacks is filled in from what is known of it.
    let given = text(&place("made/seed_000001.mat"));
    let done = text(&place("done"));
    let mut command = vec![
        "complete",
        "--checkpoint",
        &run,
        "-i",
        &given,
        "--truth",
        &given,
    ];
    command.extend([
        "--unknown",
        "0,0,0.5,1,1,1",
        "--steps",
        "20",
        "--restarts",
        "3",
        "-o",
        &done,
    ]);
    command.extend(["--threshold", "0.2"]);
    let said = succeed(BINARY, &command);
    assert!(said.contains("IoU with the whole shape"), "{said}");
    let whole = shapes::files::read(Path::new(&given), &reading)
        .unwrap()
        .remove(0);
    let completed = shapes::files::read(&place("done/completed.npy"), &reading)
        .unwrap()
        .remove(0);
    let lower = |voxels: &shapes::voxels::Voxels| voxels.full().filter(|at| at[2] < 8).count();
    assert_eq!(lower(&completed), lower(&whole), "what is known stays");

    // The description, its file and its test.
    let rows = text(&place("rows.npz"));
    let mut command = vec![
        "features",
        "--checkpoint",
        &run,
        "-i",
        &data,
        "--probe",
        "-o",
        &rows,
    ];
    command.extend(["--batch-size", "7"]);
    let said = succeed(BINARY, &command);
    assert!(
        said.contains("classifier of 3 classes on 36 shapes, tested on 4"),
        "{said}"
    );
    assert!(place("rows.npz").is_file());

    // Out and in again, without the configuration.
    let exported = text(&place("net.pth"));
    succeed(BINARY, &["export", "--checkpoint", &run, "-o", &exported]);
    let again = Sampler::open(&exported).unwrap();
    for (first, second) in volumes.iter().zip(again.sample(&[0, 1, 2])) {
        assert_eq!(first.values(), second.values());
    }
    let said = succeed(BINARY, &["info", &run]);
    assert!(said.contains("generator"), "{said}");
}

#[test]
fn what_cannot_be_is_refused_in_a_sentence() {
    let folder = tempfile::tempdir().unwrap();
    let out = text(folder.path());
    let empty = text(&folder.path().join("empty"));
    std::fs::create_dir(&empty).unwrap();
    let refused = |command: &[&str], code: i32, parts: &[&str]| {
        let said = fail(BINARY, command, code);
        for part in parts {
            assert!(
                said.contains(part),
                "{command:?}: {part:?} is not in {said}"
            );
        }
    };
    refused(
        &["train", "--out", &out, "--data", &empty],
        3,
        &["there are no shapes under"],
    );
    refused(
        &["train", "--out", &out, "--resolution", "48"],
        2,
        &["resolution = 48", "16, 32, 64 or 128"],
    );
    refused(
        &["train", "--out", &out, "--class", "boat"],
        2,
        &["--class boat", "chair, shelf, table"],
    );
    refused(
        &["generate", "--out", &out],
        2,
        &["there is no run of gan3d"],
    );
    refused(
        &["generate", "--out", &out, "--threshold", "1.5"],
        2,
        &["--threshold 1.5"],
    );
    let other = text(&folder.path().join("other.safetensors"));
    let tensor = weights::HostTensor::vector(vec![1.0]);
    let tensors = weights::Tensors::from([("main.0.weight".to_owned(), tensor)]);
    weights::write(Path::new(&other), &tensors, &weights::Metadata::new()).unwrap();
    refused(
        &["generate", "--checkpoint", &other, "-o", &empty],
        4,
        &["layer1.0.weight"],
    );
    refused(
        &[
            "data", "prepare", "-i", &empty, "-o", &other, "--size", "50",
        ],
        2,
        &["--size must be 16"],
    );
    let new = text(&folder.path().join("new"));
    refused(
        &[
            "data", "prepare", "-i", &empty, "-o", &new, "--crop", "center",
        ],
        2,
        &["only --size, --turns, --up and --split"],
    );
    assert!(!folder.path().join("gan3d").exists());
}

/// A broken file of each kind, and what its error has to say.
#[test]
fn broken_files_of_every_kind_are_named_with_their_fault() {
    let folder = tempfile::tempdir().unwrap();
    let good = furniture(folder.path(), 60);
    let part = Path::new(&good).join("volumetric_data/chair/30/train");
    let whole = std::fs::read(part.join("chair_000000000_1.mat")).unwrap();
    let header = "{'descr': '<f4', 'fortran_order': False, 'shape': (4000000000, 4000000000, 9), }";
    let array = [
        b"\x93NUMPY\x01\x00v\x00",
        format!("{header:<117}\n").as_bytes(),
    ]
    .concat();
    let triangles = [&[0; 80][..], &1000u32.to_le_bytes(), &[0; 100]].concat();
    let binvox = b"#binvox 1\ndim 4 4 4\ntranslate 0 0 0\nscale 1\ndata\n\x00\x05";
    let ply = b"ply\nformat ascii 1.0\nelement vertex 3\nproperty float x\nend_header\n0\n";
    let corners = "v 0 0 0\nv 1 0 0\nv 0 1 0\n";
    let broken: [(&str, Vec<u8>, &str); 9] = [
        (
            "html.mat",
            b"<html></html>".repeat(20),
            "no MATLAB file of level 5",
        ),
        ("cut.mat", whole[..300].to_vec(), "an element claims"),
        (
            "short.binvox",
            binvox.to_vec(),
            "4 x 4 x 4 voxels, which are 64",
        ),
        ("huge.npy", array, "has a side that is not 1 to 512"),
        (
            "count.off",
            b"OFF\n8 12 0\n0 0 0\n".to_vec(),
            "claims 8 vertices and 12 faces",
        ),
        (
            "index.obj",
            format!("{corners}f 1 2 9\n").into(),
            "line 4 names vertex 9",
        ),
        (
            "nan.obj",
            corners.replace("v 1", "v nan").into(),
            "line 2: a coordinate is NaN",
        ),
        ("short.stl", triangles, "claims 1000 triangles"),
        ("short.ply", ply.to_vec(), "claims 3 times `vertex`"),
    ];
    for (name, bytes, _) in &broken {
        std::fs::write(part.join(name), bytes).unwrap();
    }
    let (code, out, error) = contract::call(BINARY, &["data", "check", &good]);
    assert_eq!(code, Some(3), "{out}{error}");
    for (name, _, fault) in &broken {
        let is_told = |line: &str| line.contains(&format!("/{name}: ")) && line.contains(fault);
        assert!(out.lines().any(is_told), "{name}: {fault}: {out}");
    }
    assert!(error.contains("9 of 69 files"), "{error}");
    // Too many for a training, which names the first of them.
    let runs = text(&folder.path().join("runs"));
    let said = fail(BINARY, &["train", "--data", &good, "--out", &runs], 3);
    assert!(
        said.contains("9 of 63 files") && said.contains("count.off"),
        "{said}"
    );
}

/// Keeps the parts of a stage in the order of their names.
#[test]
fn the_gate_is_a_part_of_the_checkpoint() {
    let mut gan = Gan::new(&small("paper"), &Device::flex());
    let mut names = Vec::new();
    gan.parts(&mut |name, _| {
        names.push(name.to_owned());
        Ok(())
    })
    .unwrap();
    assert_eq!(
        names,
        ["generator", "discriminator", "gate", "generator_ema"]
    );
}
