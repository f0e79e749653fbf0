//! Losses, batch normalisation and augmentation against what PyTorch computes
//! (tests/fixtures/make.py).

#[path = "../../../tests/fixtures/compare.rs"]
mod compare;

use burn::module::Module;
use burn::tensor::{Device, Tensor, TensorData};
use compare::{assert_close, difference, fixture, under};
use gan_core::augment::Augment;
use gan_core::layers::{BatchNorm, Statistics};
use gan_core::loss::{GeneratorLoss, binary_cross_entropy, discriminator_loss};
use gan_core::random::{Prior, Stream, Tape};
use gan_core::weights::{self, HostTensor, Metadata, Network, Tensors};
use std::path::Path;

/// The seed of the steps in the fixtures.
const SEED: u64 = 1;

const KINDS: [(&str, Augment); 3] = [
    ("color", Augment::Color),
    ("translation", Augment::Translation),
    ("color-translation", Augment::ColorTranslation),
];

fn tensor<const D: usize>(host: &HostTensor, device: &Device) -> Tensor<D> {
    let data = TensorData::new(host.values.clone(), host.shape.clone());
    Tensor::from_data(data, device)
}

fn read<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    HostTensor::read(tensor).values
}

/// The random numbers that make.py needs: latent vectors of three steps, and the amounts of each
/// augmentation for 5 pictures of 8 x 12.
fn draws() -> Tensors {
    let mut draws = Tensors::new();
    for (name, prior) in [("normal", Prior::Normal), ("uniform", Prior::Uniform)] {
        for step in 0..3 {
            let latent = prior.draw(&mut Stream::new(SEED, "latent", step), 128);
            draws.insert(format!("latent.{name}.{step}"), HostTensor::vector(latent));
        }
    }
    for (name, kind) in KINDS {
        let tape = Tape::default();
        let mut stream = Stream::new(SEED, "augment", 0).noted(tape.clone(), name);
        kind.apply(Tensor::zeros([5, 3, 8, 12], &Device::flex()), &mut stream);
        for (draw, values) in tape.lock().unwrap().iter() {
            draws.insert(
                format!("augment.{draw}"),
                HostTensor::vector(values.clone()),
            );
        }
    }
    draws
}

#[test]
#[ignore = "writes tests/fixtures/draws.safetensors, which make.py reads"]
fn write_draws() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures");
    weights::write(
        &folder.join("draws.safetensors"),
        &draws(),
        &Metadata::new(),
    )
    .unwrap();
}

#[test]
fn the_draws_of_the_fixtures_are_still_ours() {
    // Otherwise the steps of the fixtures are no longer the steps that the program takes.
    let (ours, written) = (draws(), fixture("draws.safetensors").tensors);
    assert!(ours.keys().eq(written.keys()));
    for (name, values) in &ours {
        assert_close(name, &values.values, &written[name].values);
    }
}

#[test]
fn losses_and_their_gradients() {
    let reference = fixture("losses.safetensors").tensors;
    let device = Device::flex().autodiff();
    let compare = |name: &str, loss: &dyn Fn(Tensor<1>) -> Tensor<1>| {
        let logits: Tensor<1> = tensor(&reference["logits"], &device).require_grad();
        let value = loss(logits.clone());
        assert_close(name, &read(value.clone().inner()), &reference[name].values);
        let gradient = logits.grad(&value.backward()).unwrap();
        let name = format!("{name}.gradient");
        assert_close(&name, &read(gradient), &reference[&name].values);
    };
    compare("bce_0.0", &|logits| binary_cross_entropy(logits, 0.0));
    compare("bce_0.9", &|logits| binary_cross_entropy(logits, 0.9));
    compare("bce_1.0", &|logits| binary_cross_entropy(logits, 1.0));
    compare("saturating", &|logits| GeneratorLoss::Saturating.of(logits));
    compare("non-saturating", &|logits| {
        GeneratorLoss::NonSaturating.of(logits)
    });
    compare("discriminator", &|logits| {
        discriminator_loss(logits.clone(), logits.flip([0]), 0.9)
    });
}

/// A network of one layer, to put weights into it.
#[derive(Module, Debug)]
struct Alone {
    norm: BatchNorm,
}

impl Network for Alone {
    fn tensor_name(&self, path: &str) -> String {
        path.trim_start_matches("norm.").to_owned()
    }
}

/// The largest difference of any output, gradient or running statistic over three updates.
fn batch_norm_difference<const D: usize>(reference: &Tensors, start: &Tensors) -> f64 {
    let device = Device::flex().autodiff();
    let channels = start["weight"].values.len();
    let norm = BatchNorm::new(channels, &device);
    let alone = weights::apply(Alone { norm }, start).unwrap();
    let mut furthest = 0f64;
    for update in 0..3 {
        let get = |name: &str| &reference[&format!("{name}.{update}")];
        let input: Tensor<D> = tensor(get("input"), &device).require_grad();
        let output = alone.norm.forward(input.clone(), Statistics::Update);
        furthest = furthest.max(difference(
            &read(output.clone().inner()),
            &get("output").values,
        ));
        let factors: Tensor<D> = tensor(get("factors"), &device);
        let gradient = input.grad(&(output * factors).sum().backward()).unwrap();
        furthest = furthest.max(difference(&read(gradient), &get("gradient").values));
        let ours = weights::collect(&alone);
        for (name, expected) in under(reference, &format!("after.{update}")) {
            furthest = furthest.max(difference(&ours[&name].values, &expected.values));
        }
    }
    let input: Tensor<D> = tensor(&reference["input.2"], &device);
    let running = alone.norm.forward(input, Statistics::Running);
    furthest.max(difference(
        &read(running.inner()),
        &reference["output.running"].values,
    ))
}

fn batch_norm<const D: usize>(file: &str) {
    let reference = fixture(file).tensors;
    let start = under(&reference, "weights");
    let away = batch_norm_difference::<D>(&reference, &start);
    assert!(away <= compare::TOLERANCE, "{file} differs by {away:.2e}");
    for name in start.keys() {
        let away = batch_norm_difference::<D>(&reference, &changed(&start, name));
        assert!(
            away > compare::TOLERANCE,
            "{file} does not notice another {name}"
        );
    }
}

/// The same tensors, but for one.
fn changed(tensors: &Tensors, name: &str) -> Tensors {
    let mut tensors = tensors.clone();
    for value in &mut tensors.get_mut(name).unwrap().values {
        *value = *value * 1.01 + 0.01;
    }
    tensors
}

#[test]
fn batch_normalisation_of_vectors() {
    batch_norm::<2>("batch_norm_2d.safetensors");
}

#[test]
fn batch_normalisation_of_pictures() {
    batch_norm::<4>("batch_norm_4d.safetensors");
}

#[test]
fn augmentation_and_its_gradient() {
    let reference = fixture("augment.safetensors").tensors;
    let device = Device::flex().autodiff();
    for (name, kind) in KINDS {
        let pictures: Tensor<4> = tensor(&reference["input"], &device).require_grad();
        let output = kind.apply(pictures.clone(), &mut Stream::new(SEED, "augment", 0));
        let expected = &reference[&format!("output.{name}")].values;
        assert_close(name, &read(output.clone().inner()), expected);
        let others = kind.apply(pictures.clone(), &mut Stream::new(SEED + 1, "augment", 0));
        assert!(
            difference(&read(others.inner()), expected) > 0.1,
            "{name} ignores its draws"
        );
        let factors: Tensor<4> = tensor(&reference["factors"], &device);
        let gradient = pictures.grad(&(output * factors).sum().backward()).unwrap();
        assert_close(
            name,
            &read(gradient),
            &reference[&format!("gradient.{name}")].values,
        );
    }
}

#[test]
fn state_dicts_of_every_kind_are_read() {
    let read = fixture("pytorch_kinds.pth").tensors;
    assert_eq!(read, fixture("pytorch_kinds.safetensors").tensors);
}
