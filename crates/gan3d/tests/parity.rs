//! The networks, their features and whole training steps against PyTorch (tests/fixtures/gan3d_make.py).

#[path = "../../../tests/fixtures/compare.rs"]
mod compare;

use burn::module::Module;
use burn::tensor::{Device, Tensor, TensorData};
use compare::{TOLERANCE, assert_close, difference, fixture, under};
use gan_core::layers::Statistics;
use gan_core::stage::{At, Stage};
use gan_core::weights::{self, HostTensor, Metadata, Network, Tensors, WeightFile};
use gan3d::Config;
use gan3d::discriminator::Discriminator;
use gan3d::features::features;
use gan3d::generator::Generator;
use gan3d::train::Gan;

fn config(resolution: usize, start: usize, width: usize) -> Config {
    Config {
        resolution,
        start,
        latent_dim: 16,
        width_g: width,
        width_d: width,
        bias: start == 2,
        ..Config::default()
    }
}

fn tensor<const D: usize>(host: &HostTensor, shape: [usize; D]) -> Tensor<D> {
    Tensor::from_data(TensorData::new(host.values.clone(), shape), &Device::flex())
}

#[test]
fn the_papers_networks_have_its_parameters() {
    let device = Device::flex();
    let config = Config::default();
    // Running statistics are no parameters: 2 x (512 + 256 + 128 + 64) in each network.
    let statistics = 2 * 960;
    assert_eq!(
        Generator::new(&config, &device).num_params(),
        17_569_664 + statistics
    );
    assert_eq!(
        Discriminator::new(&config, &device).num_params(),
        11_048_832 + statistics
    );
    let biased = Config {
        bias: true,
        ..config
    };
    assert_eq!(
        Generator::new(&biased, &device).num_params(),
        17_570_625 + statistics
    );
}

/// Names and shapes are PyTorch's; the output is, with running statistics and with those of the batch; so are the
/// statistics afterwards; and no tensor can be another.
fn forward<M: Network>(
    file: &str,
    fresh: impl Fn() -> M,
    run: impl Fn(&M, &HostTensor, Statistics) -> HostTensor,
) {
    let reference = fixture(file).tensors;
    let start = under(&reference, "weights");
    let input = &reference["input"];
    let load = |tensors: &Tensors| weights::apply(fresh(), tensors).unwrap();
    let network = load(&start);
    assert_eq!(
        weights::collect(&network),
        start,
        "{file}: what goes in comes out"
    );
    let running = run(&network, input, Statistics::Running);
    let expected = &reference["output_running"].values;
    assert_close(file, &running.values, expected);
    let batch = run(&network, input, Statistics::Update);
    assert_close(file, &batch.values, &reference["output_batch"].values);
    let ours = weights::collect(&network);
    for (name, after) in under(&reference, "after") {
        assert_close(&name, &ours[&name].values, &after.values);
        let before = difference(&start[&name].values, &after.values);
        assert!(before > TOLERANCE, "{file}: {name} stood still");
    }
    for name in start.keys() {
        let mut wrong = start.clone();
        for value in &mut wrong.get_mut(name).unwrap().values {
            *value = *value * 1.05 + 0.02;
        }
        let output = run(&load(&wrong), input, Statistics::Running);
        let away = difference(&output.values, expected);
        assert!(away > TOLERANCE, "{file} does not notice another {name}");
    }
}

#[test]
fn generators() {
    for (resolution, start, width) in [(16, 4, 4), (32, 2, 2)] {
        let config = config(resolution, start, width);
        forward(
            &format!("gan3d_generator_{resolution}.safetensors"),
            || Generator::new(&config, &Device::flex()),
            |network, latent, statistics| {
                let volumes = network.forward(tensor(latent, [2, 16]), statistics);
                assert_eq!(volumes.dims(), [2, 1, resolution, resolution, resolution]);
                HostTensor::read(volumes)
            },
        );
    }
}

#[test]
fn discriminators() {
    for (resolution, start, width) in [(16, 4, 4), (32, 2, 2)] {
        let config = config(resolution, start, width);
        forward(
            &format!("gan3d_discriminator_{resolution}.safetensors"),
            || Discriminator::new(&config, &Device::flex()),
            |network, volumes, statistics| {
                let volumes = tensor(volumes, [4, 1, resolution, resolution, resolution]);
                HostTensor::read(network.forward(volumes, statistics))
            },
        );
    }
}

#[test]
fn the_description_of_a_shape() {
    let reference = fixture("gan3d_features.safetensors").tensors;
    let config = config(32, 4, 2);
    let device = Device::flex();
    let network = Discriminator::new(&config, &device);
    let network = weights::apply(network, &under(&reference, "weights")).unwrap();
    let found = features(
        &network,
        reference["input"].values.clone(),
        &config,
        &device,
    );
    assert_eq!(found.shape, reference["output"].shape);
    assert_close("features", &found.values, &reference["output"].values);
}

/// Both players with the weights of a fixture, and optimizers that have moved nothing.
fn players(config: &Config, reference: &Tensors) -> Gan {
    let mut gan = Gan::new(config, &Device::flex());
    gan.parts(&mut |part, learner| {
        if part == "gate" {
            return Ok(());
        }
        learner.restore(&mut |suffix| {
            let (tensors, metadata) = if suffix.is_empty() {
                (
                    under(reference, &format!("{}.before", &part[..1])),
                    Metadata::new(),
                )
            } else {
                let metadata = Metadata::from([("updates".to_owned(), "0".to_owned())]);
                (Tensors::new(), metadata)
            };
            Ok(WeightFile { tensors, metadata })
        })
    })
    .unwrap();
    gan
}

#[test]
fn steps_through_an_open_and_a_closed_gate() {
    let reference = fixture("gan3d_steps.safetensors").tensors;
    let mut config = Config {
        lr_g: 0.004,
        lr_d: 0.01,
        gate: 0.7,
        ..config(16, 4, 4)
    };
    config.training.seed = 1;
    config.training.batch_size = 6;
    let mut gan = players(&config, &reference);
    for step in 0..3 {
        let at = At::new(1, step, 3);
        let scalars = gan.step(reference["real"].values.clone(), &at).unwrap();
        for (name, value) in scalars.read() {
            let expected = match name {
                "gate" => &reference["moves"],
                name => match reference.get(name) {
                    Some(expected) => expected,
                    None => continue,
                },
            };
            let away = difference(&[value as f32], &[expected.values[step as usize]]);
            // Later steps follow from the first, whose uncertain signs they magnify.
            let bound = if step == 0 { TOLERANCE } else { 1e-3 };
            let is_zero = value == 0.0 && expected.values[step as usize] == 0.0;
            assert!(
                away <= bound || is_zero,
                "{name} at step {step} differs by {away:.2e}"
            );
        }
    }
    // The gate closed before the last step: the discriminator moved twice, the generator three times.
    let mut updates = Vec::new();
    gan.parts(&mut |part, learner| {
        for file in learner.files() {
            if let Some(count) = file.metadata.get("updates") {
                updates.push(format!("{part} {count}"));
            }
            if file.suffix.is_empty() && part != "gate" {
                let expected = under(&reference, &format!("{}.after", &part[..1]));
                for (name, tensor) in &expected {
                    let away = difference(&file.tensors[name].values, &tensor.values);
                    assert!(away < 2e-2, "{part} {name}: {away:.1e}");
                }
            }
        }
        Ok(())
    })
    .unwrap();
    assert_eq!(updates, ["generator 3", "discriminator 2"]);
    assert_eq!(gan.gate().accuracy, reference["accuracy_d"].values[2]);
}
