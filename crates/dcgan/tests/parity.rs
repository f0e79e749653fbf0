//! The networks, PyTorch's own files and whole training steps against PyTorch
//! (tests/fixtures/make.py).

#[path = "../../../tests/fixtures/compare.rs"]
mod compare;

use burn::tensor::{Device, Tensor, TensorData};
use compare::{TOLERANCE, assert_close, difference, fixture, under};
use dcgan::config::{Config, Upsample};
use dcgan::discriminator::Discriminator;
use dcgan::generator::Generator;
use dcgan::train::Gan;
use gan_core::init::{Initial, initialise};
use gan_core::layers::Statistics;
use gan_core::loss::Loss;
use gan_core::stage::{At, Scalars, Stage};
use gan_core::weights::{self, HostTensor, Metadata, Network, Tensors, WeightFile};

fn config(image_size: usize, channels: usize, width: usize, upsample: Upsample) -> Config {
    Config {
        image_size,
        channels,
        latent_dim: 16,
        width_g: width,
        width_d: width,
        upsample,
        ..Config::default()
    }
}

fn tensor<const D: usize>(host: &HostTensor, shape: [usize; D]) -> Tensor<D> {
    Tensor::from_data(TensorData::new(host.values.clone(), shape), &Device::flex())
}

/// The same tensors, but for one.
fn changed(tensors: &Tensors, name: &str) -> Tensors {
    let mut tensors = tensors.clone();
    for value in &mut tensors.get_mut(name).unwrap().values {
        *value = *value * 1.01 + 0.01;
    }
    tensors
}

/// Names and shapes are PyTorch's; the output is, with running statistics and with those of the
/// batch; so are the statistics afterwards; and no tensor can be another.
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
    assert_eq!(running.shape, reference["output.running"].shape);
    assert_close(file, &running.values, &reference["output.running"].values);
    let batch = run(&network, input, Statistics::Update);
    assert_close(file, &batch.values, &reference["output.batch"].values);
    let ours = weights::collect(&network);
    for (name, expected) in under(&reference, "after") {
        assert_close(&name, &ours[&name].values, &expected.values);
        let before = difference(&start[&name].values, &expected.values);
        assert!(before > TOLERANCE, "{file}: {name} stood still");
    }

    for name in start.keys() {
        let network = load(&changed(&start, name));
        let output = run(&network, input, Statistics::Running);
        let away = difference(&output.values, &reference["output.running"].values);
        assert!(away > TOLERANCE, "{file} does not notice another {name}");
    }
}

#[test]
fn generators() {
    for (size, channels, width, upsample, name) in [
        (32, 3, 8, Upsample::Transpose, "transpose"),
        (32, 1, 8, Upsample::Resize, "resize"),
        (64, 1, 4, Upsample::Transpose, "transpose"),
        (64, 3, 4, Upsample::Resize, "resize"),
    ] {
        let config = config(size, channels, width, upsample);
        forward(
            &format!("dcgan_generator_{size}_{name}.safetensors"),
            || Generator::new(&config, &Device::flex()),
            |network, latent, statistics| {
                HostTensor::read(network.forward(tensor(latent, [2, 16]), statistics))
            },
        );
    }
}

#[test]
fn discriminators() {
    for (size, channels, width) in [(32, 3, 8), (64, 1, 4)] {
        let config = config(size, channels, width, Upsample::Transpose);
        forward(
            &format!("dcgan_discriminator_{size}.safetensors"),
            || Discriminator::new(&config, &Device::flex()),
            |network, pictures, statistics| {
                let pictures = tensor(pictures, [4, channels, size, size]);
                HostTensor::read(network.forward(pictures, statistics))
            },
        );
    }
}

#[test]
fn files_that_pytorch_saved() {
    let reference = fixture("dcgan_pth.safetensors").tensors;
    let config = config(32, 3, 2, Upsample::Transpose);
    for file in ["dcgan_zip.pth", "dcgan_legacy.pth", "dcgan_module.pth"] {
        let network = Generator::new(&config, &Device::flex());
        let network = weights::apply(network, &fixture(file).tensors).unwrap();
        let latent = tensor(&reference["input"], [2, 16]);
        let output = HostTensor::read(network.forward(latent, Statistics::Running));
        assert_close(file, &output.values, &reference["output"].values);
    }
}

/// Both players with the weights of a fixture, and optimizers that have moved nothing.
fn players(config: &Config, reference: &Tensors) -> Gan {
    let mut gan = Gan::new(config, &Device::flex());
    gan.parts(&mut |part, learner| {
        learner.restore(&mut |suffix| {
            Ok(if suffix.is_empty() {
                let tensors = under(reference, &format!("{}.before", &part[..1]));
                WeightFile {
                    tensors,
                    metadata: Metadata::new(),
                }
            } else {
                let metadata = Metadata::from([("updates".to_owned(), "0".to_owned())]);
                WeightFile {
                    tensors: Tensors::new(),
                    metadata,
                }
            })
        })
    })
    .unwrap();
    gan
}

/// The files of a part by suffix: weights and moments.
fn part(gan: &mut Gan, wanted: &str) -> (Tensors, Tensors) {
    let (mut network, mut moments) = (Tensors::new(), Tensors::new());
    gan.parts(&mut |name, learner| {
        if name.starts_with(wanted) {
            for file in learner.files() {
                if file.suffix.is_empty() {
                    network = file.tensors;
                } else {
                    moments = file.tensors;
                }
            }
        }
        Ok(())
    })
    .unwrap();
    (network, moments)
}

fn step(gan: &mut Gan, reference: &Tensors, step: u64) -> Scalars {
    let mut at = At::default();
    at.seed = 1;
    at.step = step;
    at.total = 3;
    gan.step(reference["real"].values.clone(), &at).unwrap()
}

fn assert_losses(scalars: Scalars, reference: &Tensors, step: usize) {
    for (name, value) in scalars.read() {
        if name.starts_with("loss_") {
            let away = difference(&[value as f32], &[reference[name].values[step]]);
            // Later steps follow from the first, whose uncertain signs they magnify.
            let bound = if step == 0 { TOLERANCE } else { 1e-3 };
            assert!(away <= bound, "{name} at step {step} differs by {away:.2e}");
        }
    }
}

fn training(file: &str, channels: usize, upsample: Upsample, loss: Loss) {
    let reference = fixture(file).tensors;
    let mut config = config(32, channels, 4, upsample);
    config.techniques.label_smoothing = 0.9;
    config.techniques.loss = loss;
    config.training.seed = 1;
    let mut gan = players(&config, &reference);
    assert_losses(step(&mut gan, &reference, 0), &reference, 0);
    for role in ["g", "d"] {
        let (weights, moments) = part(&mut gan, role);
        let before = under(&reference, &format!("{role}.before"));
        let expected = under(&reference, &format!("{role}.moments"));
        assert!(moments.keys().eq(expected.keys()));
        for (name, moment) in &expected {
            assert_close(name, &moments[name].values, &moment.values);
        }
        for (name, after) in under(&reference, &format!("{role}.after_1")) {
            let ours = &weights[&name].values;
            let Some(gradient) = expected.get(&format!("{name}.exp_avg")) else {
                assert_close(&name, ours, &after.values);
                continue;
            };
            let largest = gradient
                .values
                .iter()
                .fold(0f32, |most, value| most.max(value.abs()));
            for (place, expected) in after.values.iter().enumerate() {
                let moved = f64::from(expected - before[&name].values[place]).abs();
                let away = f64::from(ours[place] - expected).abs();
                // The first step of Adam is the learning rate times the gradient's sign: certain
                // where the gradient is not rounding. Beside it stands the weight's last bit.
                let bound = if gradient.values[place].abs() > 1e-4 * largest {
                    1e-3 * config.lr + f64::from(f32::EPSILON * expected.abs())
                } else {
                    2.01 * config.lr
                };
                assert!(
                    away <= bound,
                    "{role} {name}[{place}] moved {moved:e}, {away:e} astray"
                );
            }
        }
    }
    for number in 1..3 {
        assert_losses(
            step(&mut gan, &reference, number as u64),
            &reference,
            number,
        );
    }
}

#[test]
fn steps_with_transposed_convolutions() {
    let loss = Loss::NonSaturating;
    training(
        "dcgan_step_transpose.safetensors",
        3,
        Upsample::Transpose,
        loss,
    );
}

#[test]
fn steps_with_resized_pictures() {
    let loss = Loss::Saturating;
    training("dcgan_step_resize.safetensors", 1, Upsample::Resize, loss);
}

#[test]
fn initial_weights_are_those_of_the_paper() {
    let config = Config::default();
    let generator = Generator::new(&config, &Device::flex());
    let generator = initialise(generator, Initial::Dcgan, 0, "generator");
    let discriminator = Discriminator::new(&config, &Device::flex());
    let discriminator = initialise(discriminator, Initial::Dcgan, 0, "discriminator");
    for tensors in [
        weights::collect(&generator),
        weights::collect(&discriminator),
    ] {
        for (name, tensor) in &tensors {
            let values = &tensor.values;
            let count = values.len() as f32;
            let mean = values.iter().sum::<f32>() / count;
            let deviation = |value: &f32| (value - mean).powi(2);
            let spread = (values.iter().map(deviation).sum::<f32>() / count).sqrt();
            let is_norm = tensor.shape.len() == 1;
            let expected = match name.rsplit('.').next() {
                Some("weight") => Some(if is_norm { 1.0 } else { 0.0 }),
                Some("running_var") => {
                    assert!(values.iter().all(|value| *value == 1.0), "{name}");
                    None
                }
                _ => {
                    assert!(values.iter().all(|value| *value == 0.0), "{name}");
                    None
                }
            };
            if let Some(expected) = expected {
                // 5 standard errors of a mean and of a standard deviation.
                assert!(
                    (mean - expected).abs() < 5.0 * 0.02 / count.sqrt(),
                    "{name}: mean {mean}"
                );
                let error = 5.0 * 0.02 / (2.0 * count).sqrt();
                assert!(
                    (spread - 0.02).abs() < error,
                    "{name}: standard deviation {spread}"
                );
            }
        }
    }
}
