//! The networks and whole training steps against PyTorch (tests/fixtures/crypto_make.py).

#[path = "../../../tests/fixtures/compare.rs"]
mod compare;
#[path = "../../../tests/fixtures/training.rs"]
mod training;

use burn::tensor::{Device, Tensor, TensorData};
use compare::{TOLERANCE, assert_close, difference, fixture, under};
use crypto::config::{Averaged, Config, Structure};
use crypto::data::{Batch, Messages};
use crypto::mix::MixTransform;
use crypto::train::{Gan, PLAYERS};
use crypto::{discriminator, generator};
use gan_core::contract;
use gan_core::stage::{At, Stage};
use gan_core::weights::{self, HostTensor, Tensors};
use training::{assert_arrived, assert_losses, assert_moments, begin};

const BITS: usize = 8;
const KEY: usize = 6;

fn config(structure: Structure, averaged: Averaged) -> Config {
    let mut config = Config {
        structure,
        averaged,
        message_bits: BITS,
        key_bits: KEY,
        lr: 0.002,
        ..Config::default()
    };
    config.training.batch_size = 48;
    config
}

fn matrix(host: &HostTensor) -> Tensor<2> {
    Tensor::from_data(
        TensorData::new(host.values.clone(), host.shape.clone()),
        &Device::flex(),
    )
}

/// Names and shapes are PyTorch's, the output is, and no tensor can be another.
fn forward(file: &str, fresh: impl Fn() -> MixTransform) {
    let reference = fixture(file).tensors;
    let start = under(&reference, "weights");
    let output = |tensors: &Tensors| {
        let network = weights::apply(fresh(), tensors).unwrap();
        assert_eq!(
            &weights::collect(&network),
            tensors,
            "{file}: what goes in comes out"
        );
        HostTensor::read(network.forward(matrix(&reference["input"])))
    };
    let expected = &reference["output"];
    let ours = output(&start);
    assert_eq!(ours.shape, expected.shape);
    assert_close(file, &ours.values, &expected.values);
    for name in start.keys() {
        let mut wrong = start.clone();
        for value in &mut wrong.get_mut(name).unwrap().values {
            *value = *value * 1.01 + 0.01;
        }
        let away = difference(&output(&wrong).values, &expected.values);
        assert!(away > TOLERANCE, "{file} does not notice another {name}");
    }
}

#[test]
fn networks() {
    let device = Device::flex();
    for (name, structure) in [
        ("paper", Structure::Paper),
        ("released", Structure::Released),
    ] {
        let config = config(structure, Averaged::Message);
        forward(&format!("crypto_alice_{name}.safetensors"), || {
            generator::new(&config, &device)
        });
        forward(&format!("crypto_eve_{name}.safetensors"), || {
            discriminator::new(&config, &device)
        });
    }
}

/// The minibatches that PyTorch had in a step.
fn batch(reference: &Tensors, step: u64) -> Batch {
    (0..3)
        .map(|number| {
            let plain = &reference[&format!("plain.{step}.{number}")];
            let key = &reference[&format!("key.{step}.{number}")];
            Messages {
                plain: plain.values.clone(),
                key: key.values.clone(),
                count: plain.shape[1],
            }
        })
        .collect()
}

/// Moments have burn's layout: of a linear weight `[in, out]`, of PyTorch's `[out, in]`.
fn turned(moments: &Tensors) -> Tensors {
    let turn = |tensor: &HostTensor| {
        let &[rows, columns] = tensor.shape.as_slice() else {
            return tensor.clone();
        };
        let places = 0..rows * columns;
        HostTensor {
            shape: vec![columns, rows],
            values: places
                .map(|place| tensor.values[place % rows * columns + place / rows])
                .collect(),
        }
    };
    moments
        .iter()
        .map(|(name, tensor)| (name.clone(), turn(tensor)))
        .collect()
}

fn steps(file: &str, config: &Config) {
    let reference = fixture(file).tensors;
    let mut gan = Gan::new(config, &Device::flex());
    begin(&mut gan, &|part| {
        PLAYERS
            .contains(&part)
            .then(|| under(&reference, &format!("{part}.before")))
    });
    for step in 0..3 {
        let scalars = gan.step(batch(&reference, step), &At::new(0, step, 3));
        let again = scalars.unwrap().read();
        let of_eve: Vec<f32> = again
            .iter()
            .filter(|(name, _)| *name == "loss_eve")
            .map(|(_, value)| *value as f32)
            .collect();
        let some = step as usize * 2..step as usize * 2 + 2;
        assert_close("loss_eve", &of_eve, &reference["loss_eve"].values[some]);
        let mut scalars = gan_core::stage::Scalars::default();
        for (name, value) in again {
            scalars.put(name, value);
        }
        let names = ["loss_ab", "bob_bits", "eve_bits"];
        assert_losses(scalars, &names, step as usize, &reference);
        if step == 0 {
            let parts = contract::snapshot(&mut gan);
            for player in PLAYERS {
                let ours = turned(&parts[&format!("{player}_optimizer")]);
                let expected = under(&reference, &format!("{player}.moments"));
                let expected: Tensors = expected
                    .into_iter()
                    .map(|(name, moment)| (format!("{name}.exp_avg"), moment))
                    .collect();
                assert_moments(player, &ours, &expected);
            }
        }
    }
    let parts = contract::snapshot(&mut gan);
    for player in PLAYERS {
        let start = under(&reference, &format!("{player}.before"));
        let end = under(&reference, &format!("{player}.after"));
        assert_arrived(player, &parts[player], &start, &end);
        for (name, end) in &end {
            assert_close(
                &format!("{player} {name}"),
                &parts[player][name].values,
                &end.values,
            );
        }
    }
}

#[test]
fn steps_of_the_papers_networks() {
    let config = config(Structure::Paper, Averaged::Message);
    steps("crypto_steps_paper.safetensors", &config);
}

#[test]
fn steps_of_the_released_networks_with_an_average_over_the_batch() {
    let config = config(Structure::Released, Averaged::Batch);
    steps("crypto_steps_released.safetensors", &config);
}
