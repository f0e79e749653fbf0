//! The networks and whole training steps against PyTorch (tests/fixtures/make.py).

#[path = "../../../tests/fixtures/compare.rs"]
mod compare;

use burn::tensor::{Device, Tensor, TensorData};
use compare::{TOLERANCE, assert_close, difference, fixture, under};
use gan_core::init::Initial;
use gan_core::stage::{At, Scalars, Stage};
use gan_core::technique::Techniques;
use gan_core::weights::{self, HostTensor, Metadata, Network, Tensors, WeightFile};
use vanilla::config::{Activation, Config, Optimizing, Squash};
use vanilla::discriminator::Discriminator;
use vanilla::generator::Generator;
use vanilla::train::Gan;

const LATENT: usize = 16;

/// Values a sample of the networks that do not train.
const WIDTH: usize = 15;

fn matrix(host: &HostTensor) -> Tensor<2> {
    Tensor::from_data(
        TensorData::new(host.values.clone(), host.shape.clone()),
        &Device::flex(),
    )
}

/// The same tensors, but for one.
fn changed(tensors: &Tensors, name: &str) -> Tensors {
    let mut tensors = tensors.clone();
    for value in &mut tensors.get_mut(name).unwrap().values {
        *value = *value * 1.01 + 0.01;
    }
    tensors
}

/// Names and shapes are PyTorch's, the output is, and no tensor can be another.
fn forward<M: Network>(
    file: &str,
    fresh: impl Fn() -> M,
    run: impl Fn(&M, Tensor<2>) -> Tensor<2>,
) {
    let reference = fixture(file).tensors;
    let start = under(&reference, "weights");
    let output = |tensors: &Tensors| {
        let network = weights::apply(fresh(), tensors).unwrap();
        assert_eq!(
            &weights::collect(&network),
            tensors,
            "{file}: what goes in comes out"
        );
        HostTensor::read(run(&network, matrix(&reference["input"])))
    };
    let expected = &reference["output"];
    let ours = output(&start);
    assert_eq!(ours.shape, expected.shape);
    assert_close(file, &ours.values, &expected.values);
    for name in start.keys() {
        let away = difference(&output(&changed(&start, name)).values, &expected.values);
        assert!(away > TOLERANCE, "{file} does not notice another {name}");
    }
}

#[test]
fn generators() {
    for (file, activation, output) in [
        (
            "vanilla_generator_relu.safetensors",
            Activation::Relu,
            Squash::Tanh,
        ),
        (
            "vanilla_generator_leaky-relu.safetensors",
            Activation::LeakyRelu,
            Squash::Sigmoid,
        ),
        (
            "vanilla_generator_tanh.safetensors",
            Activation::Tanh,
            Squash::Linear,
        ),
    ] {
        let config = Config {
            latent_dim: LATENT,
            generator_hidden: vec![24, 20],
            generator_activation: activation,
            output,
            ..Config::default()
        };
        forward(
            file,
            || Generator::new(&config, WIDTH, &Device::flex()),
            Generator::forward,
        );
    }
}

#[test]
fn discriminators() {
    for (file, activation) in [
        (
            "vanilla_discriminator_leaky-relu.safetensors",
            Activation::LeakyRelu,
        ),
        ("vanilla_discriminator_relu.safetensors", Activation::Relu),
        (
            "vanilla_discriminator_maxout.safetensors",
            Activation::Maxout,
        ),
    ] {
        let config = Config {
            discriminator_hidden: vec![24, 20],
            discriminator_activation: activation,
            ..Config::default()
        };
        forward(
            file,
            || Discriminator::new(&config, WIDTH, &Device::flex()),
            |network, samples| network.forward(samples, None),
        );
    }
}

/// Both players with the weights of a fixture, and optimizers that have moved nothing.
fn players(config: &Config, reference: &Tensors) -> Gan {
    let mut gan = Gan::new(config, (4, 5), None, 1, &Device::flex());
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
            let expected = reference[name].values[step];
            assert_close(
                &format!("{name} at step {step}"),
                &[value as f32],
                &[expected],
            );
        }
    }
}

/// A linear weight is kept as `[in, out]` in moments, as `[out, in]` in PyTorch.
fn turned(tensor: &HostTensor) -> Vec<f32> {
    let &[rows, columns] = tensor.shape.as_slice() else {
        return tensor.values.clone();
    };
    (0..columns * rows)
        .map(|place| tensor.values[place % rows * columns + place / rows])
        .collect()
}

fn config() -> Config {
    let mut config = Config {
        latent_dim: LATENT,
        generator_hidden: vec![16, 12],
        discriminator_hidden: vec![14, 10],
        ..Config::default()
    };
    config.training.seed = 1;
    config.techniques.label_smoothing = 0.9;
    config
}

#[test]
fn steps_with_adam() {
    let reference = fixture("vanilla_step_adam.safetensors").tensors;
    let config = config();
    let mut gan = players(&config, &reference);
    assert_losses(step(&mut gan, &reference, 0), &reference, 0);
    for role in ["g", "d"] {
        let (weights, moments) = part(&mut gan, role);
        let before = under(&reference, &format!("{role}.before"));
        let after = under(&reference, &format!("{role}.after_1"));
        let expected = under(&reference, &format!("{role}.moments"));
        assert!(moments.keys().eq(expected.keys()));
        for (name, moment) in &expected {
            assert_close(name, &turned(&moments[name]), &moment.values);
        }
        for (name, after) in &after {
            let gradient = &expected[&format!("{name}.exp_avg")].values;
            let largest = gradient
                .iter()
                .fold(0f32, |most, value| most.max(value.abs()));
            for (place, expected) in after.values.iter().enumerate() {
                let ours = weights[name].values[place];
                let moved = f64::from(expected - before[name].values[place]).abs();
                let away = f64::from(ours - expected).abs();
                // The first step of Adam is the learning rate times the gradient's sign: certain
                // where the gradient is not rounding. Beside it stands the weight's last bit.
                let bound = if gradient[place].abs() > 1e-4 * largest {
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
fn steps_of_the_2014_networks() {
    let reference = fixture("vanilla_step_goodfellow.safetensors").tensors;
    let config = Config {
        prior: gan_core::random::Prior::Uniform,
        output: Squash::Sigmoid,
        discriminator_activation: Activation::Maxout,
        optimizer: Optimizing::Goodfellow,
        lr: 0.1,
        techniques: Techniques::default(),
        ..config()
    };
    let mut gan = players(&config, &reference);
    for number in 0..3 {
        assert_losses(
            step(&mut gan, &reference, number as u64),
            &reference,
            number,
        );
        if number == 1 {
            continue;
        }
        for role in ["g", "d"] {
            let (weights, _) = part(&mut gan, role);
            let before = under(&reference, &format!("{role}.before"));
            for (name, after) in under(&reference, &format!("{role}.after_{}", number + 1)) {
                let start = &before[&name].values;
                let way = |end: &[f32]| -> Vec<f32> {
                    end.iter().zip(start).map(|(a, b)| a - b).collect()
                };
                let (ours, expected) = (way(&weights[&name].values), way(&after.values));
                // The last bit of a weight of 2 is 2e-7; the largest change of a tensor is 1e-3 and
                // more, so a change is known to 2e-4 of it.
                let away = difference(&ours, &expected);
                assert!(
                    away <= 5e-4,
                    "{role} {name} after step {number}: {away:.2e}"
                );
            }
        }
    }
}

#[test]
fn initial_weights_have_pytorchs_bound() {
    let config = Config::default();
    let network = Generator::new(&config, 784, &Device::flex());
    let tensors = weights::collect(&network.initialised(Initial::FanIn, 0));
    let inputs = [100, 100, 500, 500, 500, 500];
    for ((name, tensor), inputs) in tensors.iter().zip(inputs) {
        let bound = 1.0 / f32::sqrt(inputs as f32);
        let largest = tensor
            .values
            .iter()
            .fold(0f32, |most, value| most.max(value.abs()));
        assert!(
            largest <= bound && largest > 0.98 * bound,
            "{name}: {largest} of {bound}"
        );
        let count = tensor.values.len() as f32;
        let mean = tensor.values.iter().sum::<f32>() / count;
        let variance = tensor.values.iter().map(|value| value * value).sum::<f32>() / count;
        // A uniform distribution's standard deviation is its bound / sqrt 3; 4 standard errors.
        let error = 4.0 / count.sqrt();
        assert!(mean.abs() < error * bound, "{name}: mean {mean}");
        let spread = variance.sqrt() * f32::sqrt(3.0) / bound;
        assert!((spread - 1.0).abs() < error, "{name}: spread {spread}");
    }
}
