//! Shapes, parameter counts, the printed networks, the stage contract, who moves when, and the binary from end to end.

use burn::module::Module;
use burn::tensor::{Device, Tensor};
use crypto::config::{Averaged, Config, Structure};
use crypto::data::Drawn;
use crypto::train::{Gan, PLAYERS};
use crypto::{Pair, discriminator, generator};
use gan_core::config::{Configuration, Layer, merge};
use gan_core::contract::{self, fail, succeed};
use gan_core::stage::{At, Source, Stage};
use std::path::Path;

const BINARY: &str = env!("CARGO_BIN_EXE_crypto");

fn preset(name: &str) -> Config {
    merge(&[Layer::preset::<Config>(name).unwrap()]).unwrap()
}

/// A configuration whose steps are quick.
fn small(name: &str) -> Config {
    let mut config = preset(name);
    config.training.batch_size = 32;
    config
}

#[test]
fn the_networks_have_the_parameters_of_their_layers() {
    let device = Device::flex();
    let counts = |structure| {
        let config = Config {
            structure,
            ..Config::default()
        };
        let (alice, eve) = (
            generator::new(&config, &device),
            discriminator::new(&config, &device),
        );
        let bits = Tensor::zeros([16, 5], &device);
        let cipher = alice.with_key(bits.clone(), bits);
        assert_eq!(cipher.dims(), [16, 5]);
        assert_eq!(eve.forward(cipher).dims(), [16, 5]);
        let counts = [alice.num_params(), eve.num_params()];
        let told = [generator::size(&config), discriminator::size(&config)];
        assert_eq!(counts.map(|count| count as u64), told);
        counts
    };
    // 32 x 32 + 32, then (4 + 1) x 2, (2 x 2 + 1) x 4, (4 + 1) x 4 and 4 + 1; Eve has 16 x 32 + 32 before that.
    assert_eq!(counts(Structure::Paper), [1111, 1655]);
    // 32 x 32 + 32, or 16 x 32 + 32, then (2 + 1) x 2, (2 + 1) x 2 and 2 + 1.
    assert_eq!(counts(Structure::Released), [1071, 559]);
}

#[test]
fn messages_and_keys_may_have_any_number_of_bits() {
    let device = Device::flex();
    for structure in [Structure::Paper, Structure::Released] {
        for (message_bits, key_bits) in [(1, 1), (7, 3), (8, 20)] {
            let config = Config {
                structure,
                message_bits,
                key_bits,
                ..Config::default()
            };
            let text = Tensor::zeros([message_bits, 2], &device);
            let key = Tensor::zeros([key_bits, 2], &device);
            let cipher = generator::new(&config, &device).with_key(text, key);
            assert_eq!(cipher.dims(), [message_bits, 2]);
            let guess = discriminator::new(&config, &device).forward(cipher);
            assert_eq!(guess.dims(), [message_bits, 2]);
        }
    }
}

#[test]
fn the_printed_networks_are_pinned() {
    for (name, _) in Config::PRESETS {
        let printed = Gan::new(&preset(name), &Device::flex()).describe() + "\n";
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
fn every_preset_keeps_the_stage_contract() {
    for (name, _) in Config::PRESETS {
        for averaged in [Averaged::Message, Averaged::Batch] {
            let config = Config {
                averaged,
                ..small(name)
            };
            let source = Drawn::new(&config);
            let make = || Gan::new(&config, &Device::flex());
            contract::holds(make, |step| source.batch(0, step as usize).unwrap(), 10);
        }
    }
}

#[test]
fn nobody_moves_in_the_step_of_another() {
    for (name, _) in Config::PRESETS {
        let config = small(name);
        let source = Drawn::new(&config);
        let mut gan = Gan::new(&config, &Device::flex());
        let start = contract::snapshot(&mut gan);
        let batch = source.batch(0, 0).unwrap();
        // Without minibatches for Eve, she stands still.
        gan.step(batch[..1].to_vec(), &At::new(0, 1, 4)).unwrap();
        let before = contract::snapshot(&mut gan);
        let moved = contract::moved(&start, &before);
        let optimizers = ["alice", "alice_optimizer", "bob", "bob_optimizer"];
        assert_eq!(moved, optimizers, "{name}");
        // Eve's steps come after the same step of the others.
        let mut other = Gan::new(&config, &Device::flex());
        other.step(batch, &At::new(0, 1, 4)).unwrap();
        let after = contract::snapshot(&mut other);
        assert_eq!(contract::moved(&before, &after), ["eve", "eve_optimizer"]);
    }
}

#[test]
fn accumulated_parts_are_the_whole_batch() {
    let moments = |accumulate: usize| {
        let mut config = small("paper");
        config.training.accumulate = accumulate;
        let source = Drawn::new(&config);
        let mut gan = Gan::new(&config, &Device::flex());
        gan.step(source.batch(0, 0).unwrap(), &At::new(7, 0, 1))
            .unwrap();
        contract::snapshot(&mut gan)
    };
    let (whole, parts) = (moments(1), moments(4));
    for part in PLAYERS.map(|player| format!("{player}_optimizer")) {
        for (name, tensor) in &whole[&part] {
            let values = tensor.values.iter();
            let largest = values.fold(0f32, |most, value| most.max(value.abs()));
            for (a, b) in tensor.values.iter().zip(&parts[&part][name].values) {
                assert!(
                    (a - b).abs() <= 1e-3 * largest,
                    "{part} {name}: {a} and {b}"
                );
            }
        }
    }
    let columns = |snapshot: &std::collections::BTreeMap<_, gan_core::weights::Tensors>| {
        let history = &snapshot["history"];
        (history["bob_bits"].values[0], history["eve_bits"].values[0])
    };
    let (whole, parts) = (columns(&whole), columns(&parts));
    assert!((whole.0 - parts.0).abs() < 1e-4 && (whole.1 - parts.1).abs() < 1e-4);
}

/// Without a need to hide anything, Bob learns to read: the fastest proof that gradients reach Alice through him.
#[test]
fn bob_learns_to_read() {
    let mut config = preset("quick");
    config.training.batch_size = 256;
    config.message_bits = 4;
    config.key_bits = 4;
    config.lr = 0.01;
    let source = Drawn::new(&config);
    let mut gan = Gan::new(&config, &Device::flex());
    for step in 0..1500 {
        let mut batch = source.batch(0, step).unwrap();
        batch.truncate(1);
        gan.step(batch, &At::new(0, step as u64, 1500)).unwrap();
    }
    let measured = gan.validate(&At::new(0, 1500, 1500)).unwrap().read();
    let (name, bits) = measured[0];
    assert_eq!(name, "test_bob_bits");
    assert!(bits < 0.8, "{bits} of 4 bits wrong; guessing gets 2");
}

const SMALL: [&str; 8] = [
    "--batch-size",
    "16",
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
    for (name, _) in Config::PRESETS {
        // Past two points of the history.
        let mut command = vec!["train", "--preset", name, "--steps", "120"];
        command.extend(SMALL);
        let place = folder.path().join(name);
        contract::resume_is_the_same_run(BINARY, "crypto", "gan", &command, &place);
    }
}

#[test]
fn threads_do_not_change_a_byte() {
    let folder = tempfile::tempdir().unwrap();
    let command = ["train", "--preset", "paper", "--steps", "5"];
    contract::threads_do_not_matter(BINARY, "crypto", "gan", &command, folder.path());
}

fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

/// A run of a few steps, and what was said.
fn trained(out: &str, name: &str, more: &[&str]) -> String {
    let mut command = vec!["train", "--steps", "20", "--out", out, "--name", name];
    command.extend(SMALL);
    command.extend(more);
    succeed(BINARY, &command)
}

#[test]
fn a_run_explains_itself_and_a_checkpoint_is_all_you_need() {
    let folder = tempfile::tempdir().unwrap();
    let out = text(folder.path());
    let said = trained(&out, "first", &[]);
    assert!(!said.contains("PROCEDURAL"), "{said}");
    let run = folder.path().join("crypto/first");
    for file in [
        "config.toml",
        "metrics.jsonl",
        "report.html",
        "samples/step_00000000.png",
        "samples/step_00000020.png",
        "samples/training.gif",
        "checkpoints/gan/latest",
        "checkpoints/gan/step_00000020/alice.safetensors",
        "checkpoints/gan/step_00000020/bob_optimizer.safetensors",
        "checkpoints/gan/step_00000020/eve.safetensors",
        "checkpoints/gan/step_00000020/history.safetensors",
        "checkpoints/gan/step_00000020/manifest.json",
    ] {
        assert!(run.join(file).is_file(), "{file} is missing");
    }
    assert!(!run.join("checkpoints/gan/best").exists());
    let log = std::fs::read_to_string(run.join("metrics.jsonl")).unwrap();
    let row: serde_json::Value = serde_json::from_str(log.lines().next().unwrap()).unwrap();
    for key in ["bob_bits", "eve_bits", "loss_ab", "loss_eve", "lr"] {
        assert!(row[key].is_number(), "{key} in {row}");
    }
    assert!(log.contains("test_eve_wrong"), "{log}");

    let figures = folder.path().join("figures.json");
    let figures_text = text(&figures);
    let evaluate = [
        "evaluate",
        "--out",
        &out,
        "--messages",
        "9000",
        "--json",
        &figures_text,
    ];
    let said = succeed(BINARY, &evaluate);
    assert!(said.contains("Bob with another key"), "{said}");
    let read = || -> serde_json::Value {
        serde_json::from_slice(&std::fs::read(&figures).unwrap()).unwrap()
    };
    let found = read();
    assert_eq!(found["message_bits"], 16);
    let distance = found["errors"]["eve"]["distance"].as_f64().unwrap();
    assert!((7.0..9.0).contains(&distance), "{found}");
    assert_eq!(found["understood"], false);
    succeed(BINARY, &evaluate);
    assert_eq!(found, read(), "equal seeds give equal figures");

    let picture = text(&folder.path().join("attack.png"));
    let attack = [
        "attack",
        "first",
        "--out",
        &out,
        "--eves",
        "2",
        "--steps",
        "30",
        "--messages",
        "500",
        "--json",
        &figures_text,
        "--plot",
        &picture,
    ];
    let before = contract::newest_files(&run, "gan");
    let said = succeed(BINARY, &attack);
    assert!(
        said.contains("fresh Eve 2") && said.contains("It did not withstand"),
        "{said}"
    );
    assert_eq!(
        before,
        contract::newest_files(&run, "gan"),
        "nobody else moved"
    );
    let found = read();
    assert_eq!(found["eves"].as_array().unwrap().len(), 2);
    assert_eq!(found["eves"][0]["way"].as_array().unwrap().len(), 15);
    assert_ne!(found["eves"][0]["end"], found["eves"][1]["end"]);
    assert!(Path::new(&picture).is_file());

    let info = succeed(BINARY, &["info", "--out", &out, "first"]);
    assert!(
        info.contains("fc.0.weight") && info.contains("matches its sha256"),
        "{info}"
    );
    let export = text(&folder.path().join("alice.pth"));
    succeed(
        BINARY,
        &["export", "--out", &out, "--network", "alice", "-o", &export],
    );
    assert!(succeed(BINARY, &["runs", "list", "--out", &out]).contains("first"));
    succeed(BINARY, &["devices"]);

    trained(&out, "second", &["--init-from", "first"]);
    let error = fail(BINARY, &["train", "--init-from", &export, "--out", &out], 2);
    assert!(error.contains("holds one network"), "{error}");
}

#[test]
fn texts_of_any_length_go_there_and_back() {
    let folder = tempfile::tempdir().unwrap();
    let out = text(folder.path());
    trained(&out, "run", &[]);
    let step = folder
        .path()
        .join("crypto/run/checkpoints/gan/step_00000020");
    let pair = Pair::open(&step).unwrap();
    for count in [1, 2, 3, 20_001] {
        let message = vec![b'x'; count];
        let cipher = pair.encrypt(&message, "k").unwrap();
        assert_eq!(cipher.blocks.len(), count.div_ceil(2) * 16);
        assert!(cipher.blocks.iter().all(|value| value.abs() < 1.0));
        // What Bob makes of it depends on him; it has the length of the text.
        assert_eq!(pair.decrypt(&cipher, "k").unwrap().len(), count);
    }
    // Equal blocks with equal keys are equal, as the README warns.
    let cipher = pair.encrypt(b"abab", "k").unwrap();
    assert_eq!(cipher.blocks[..16], cipher.blocks[16..]);
    assert_ne!(cipher, pair.encrypt(b"abab", "l").unwrap());

    let place = text(&folder.path().join("c.safetensors"));
    let encrypt = [
        "encrypt",
        "an odd text",
        "--key",
        "k",
        "-o",
        &place,
        "--out",
        &out,
    ];
    let said = succeed(BINARY, &encrypt);
    assert!(
        said.contains("no cryptography to rely on") && said.contains("11 bytes in 6 blocks"),
        "{said}"
    );
    assert!(
        said.contains("bits wrong"),
        "nobody reads after 20 steps: {said}"
    );
    let back = text(&folder.path().join("back.txt"));
    let decrypt = ["decrypt", &place, "--key", "k", "--out", &out];
    let said = succeed(BINARY, &decrypt);
    assert!(said.contains("no cryptography to rely on"), "{said}");
    succeed(BINARY, &[&decrypt[..], &["-o", &back]].concat());
    let cipher = crypto::generate::Ciphertext::read(Path::new(&place)).unwrap();
    let read = pair.decrypt(&cipher, "k").unwrap();
    assert_eq!(std::fs::read(&back).unwrap(), read);
    assert_eq!(read.len(), 11);

    // Another Bob refuses what was not made for him.
    trained(&out, "other", &["--seed", "5"]);
    let other = ["--checkpoint", "other"];
    let error = fail(BINARY, &[&decrypt[..], &other].concat(), 4);
    assert!(error.contains("made for another Bob"), "{error}");
}

#[test]
fn wrong_requests_are_answered_with_their_exit_code() {
    let folder = tempfile::tempdir().unwrap();
    let out = text(folder.path());
    let train =
        |more: &[&str], code: i32| fail(BINARY, &[&["train", "--out", &out], more].concat(), code);
    assert!(train(&["--message-bits", "0"], 2).contains("message_bits = 0"));
    assert!(train(&["--lr", "nan"], 2).contains("lr"));
    assert!(train(&["--eve-steps", "0"], 2).contains("eve_steps = 0"));
    assert!(train(&["--data", &out], 2).contains("drawn, not read"));
    assert!(train(&["--beta1", "1"], 2).contains("[0, 1)"));
    let batch = ["--averaged", "batch", "--accumulate", "2"];
    assert!(train(&batch, 2).contains("not the sum of its parts"));
    let error = fail(BINARY, &["data", "prepare", "--procedural", "-o", &out], 2);
    assert!(!error.is_empty());
    assert!(
        !folder.path().join("crypto").exists(),
        "nothing was written"
    );

    let use_it = |more: &[&str], code: i32| fail(BINARY, &[more, &["--out", &out]].concat(), code);
    assert!(use_it(&["evaluate"], 2).contains("there is no run"));
    assert!(use_it(&["attack", "x"], 4).contains("x does not exist"));
    trained(&out, "run", &[]);
    let place = text(&folder.path().join("c.safetensors"));
    let encrypt =
        |more: &[&str], code: i32| use_it(&[&["encrypt", "-o", &place], more].concat(), code);
    assert!(encrypt(&["text", "--key", ""], 2).contains("--key is empty"));
    assert!(encrypt(&["", "--key", "k"], 2).contains("1 to 1048576 bytes"));
    assert!(encrypt(&["--key", "k"], 2).contains("required"));
    assert!(encrypt(&["--key", "k", "-i", "/nowhere"], 3).contains("/nowhere"));
    let long = folder.path().join("long.txt");
    std::fs::write(&long, vec![b'x'; (1 << 20) + 1]).unwrap();
    assert!(encrypt(&["--key", "k", "-i", &text(&long)], 3).contains("encrypt a shorter text"));
    assert!(!Path::new(&place).exists());
    assert!(use_it(&["attack", "--lr", "0"], 2).contains("above 0"));
    assert!(use_it(&["attack", "--eves", "0"], 2).contains("0 is not in"));

    // Files that are no ciphertexts.
    let decrypt = |path: &str| use_it(&["decrypt", path, "--key", "k"], 3);
    assert!(decrypt("/nowhere").contains("/nowhere"));
    assert!(decrypt(&text(&long)).contains("long.txt"));
    let run = folder
        .path()
        .join("crypto/run/checkpoints/gan/step_00000020");
    let alice = text(&run.join("alice.safetensors"));
    assert!(decrypt(&alice).contains("no tensor ciphertext"));

    // Files that are no networks of this training.
    let error = use_it(&["evaluate", "--checkpoint", &alice], 4);
    assert!(error.contains("holds a alice; wanted: bob"), "{error}");
    let hostile = folder.path().join("hostile.safetensors");
    let metadata = [("config".to_owned(), "message_bits = 256".to_owned())];
    gan_core::weights::write(&hostile, &Default::default(), &metadata.into()).unwrap();
    let error = use_it(&["evaluate", "--checkpoint", &text(&hostile)], 4);
    assert!(error.contains("the file holds 0"), "{error}");
    gan_core::weights::write(&hostile, &Default::default(), &Default::default()).unwrap();
    let error = use_it(&["evaluate", "--checkpoint", &text(&hostile)], 4);
    assert!(error.contains("lacks the metadata config"), "{error}");
}
