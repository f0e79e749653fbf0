//! The networks, whole training steps, the search of latent vectors and the face embedding against PyTorch
//! (tests/fixtures/cgan_make.py).

#[path = "../../../tests/fixtures/compare.rs"]
mod compare;
#[path = "../../../tests/fixtures/numbers.rs"]
mod numbers;
#[path = "../../../tests/fixtures/training.rs"]
mod training;

use burn::module::Module;
use burn::tensor::{Device, Tensor, TensorData};
use cgan::Config;
use cgan::data::{Batch, Made};
use cgan::discriminator::Discriminator;
use cgan::embedding::{EMBEDDING, Embedding};
use cgan::encode::Encode;
use cgan::encoder::Encoder;
use cgan::gan::Gan;
use cgan::generator::Generator;
use cgan::inception_resnet::InceptionResnet;
use cgan::latents::{Latent, Seeker};
use compare::{TOLERANCE, assert_close, difference, fixture, under};
use gan_core::judge::Judge;
use gan_core::layers::Statistics;
use gan_core::random::Stream;
use gan_core::stage::{At, Source, Stage};
use gan_core::weights::{self, HostTensor, Network, Tensors};
use numbers::numbers;
use training::{assert_arrived, assert_losses, assert_moments, begin};

fn config() -> Config {
    let mut config = Config {
        image_size: 32,
        latent_dim: 16,
        width_g: 4,
        width_d: 4,
        width_e: 4,
        hidden_e: 24,
        width_embedding: 4,
        ..Config::default()
    };
    config.training.seed = 1;
    config.training.batch_size = 6;
    config
}

fn tensor<const D: usize>(host: &HostTensor) -> Tensor<D> {
    let shape: [usize; D] = host.shape.clone().try_into().expect("its rank");
    Tensor::from_data(TensorData::new(host.values.clone(), shape), &Device::flex())
}

#[test]
fn the_papers_networks_have_its_parameters() {
    let device = Device::flex();
    let config = Config::default();
    // DCGAN's generator with six more inputs, and its discriminator with six more channels after the first layer;
    // running statistics are no parameters.
    let statistics = |channels: usize| 2 * channels;
    assert_eq!(
        Generator::new(&config, &device).num_params(),
        3_576_704 + 6 * 512 * 16 + statistics(960)
    );
    assert_eq!(
        Discriminator::new(&config, &device).num_params(),
        2_765_568 + 6 * 128 * 16 + statistics(896)
    );
    // Four convolutions with kernel 5, two fully connected layers of 4096 and 100.
    let convolutions = 25 * (3 * 32 + 32 * 64 + 64 * 128 + 128 * 256) + 32 + 2 * (64 + 128 + 256);
    let connected = 4096 * 4096 + 2 * 4096 + 4096 * 100 + 100;
    assert_eq!(
        Encoder::new(&config, &device).num_params(),
        convolutions + connected + statistics(64 + 128 + 256 + 4096)
    );
    // facenet-pytorch's InceptionResnetV1 without its classifier over persons: by
    // sum(p.numel() for p in InceptionResnetV1(pretrained=None).parameters()).
    let network = InceptionResnet::new(&device);
    let learned: usize = weights::collect(&network)
        .iter()
        .filter(|(name, _)| !name.contains("running_"))
        .map(|(_, tensor)| tensor.values.len())
        .sum();
    assert_eq!(learned, 23_482_624);
}

/// Names and shapes are PyTorch's; the output is, with running statistics and with those of the batch; so are the
/// statistics afterwards; and no tensor can be another.
fn forward<M: Network>(
    file: &str,
    fresh: impl Fn() -> M,
    run: impl Fn(&M, &Tensors, Statistics) -> HostTensor,
) {
    let reference = fixture(file).tensors;
    let start = under(&reference, "weights");
    let load = |tensors: &Tensors| weights::apply(fresh(), tensors).unwrap();
    let network = load(&start);
    assert_eq!(
        weights::collect(&network),
        start,
        "{file}: what goes in comes out"
    );
    let running = run(&network, &reference, Statistics::Running);
    let expected = &reference["output_running"].values;
    assert_close(file, &running.values, expected);
    let batch = run(&network, &reference, Statistics::Update);
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
        let output = run(&load(&wrong), &reference, Statistics::Running);
        let away = difference(&output.values, expected);
        assert!(away > TOLERANCE, "{file} does not notice another {name}");
    }
}

#[test]
fn generator() {
    forward(
        "cgan_generator.safetensors",
        || Generator::new(&config(), &Device::flex()),
        |network, given, statistics| {
            let (latent, told) = (tensor(&given["latent"]), tensor(&given["conditions"]));
            HostTensor::read(network.forward(latent, told, statistics))
        },
    );
}

#[test]
fn discriminator() {
    forward(
        "cgan_discriminator.safetensors",
        || Discriminator::new(&config(), &Device::flex()),
        |network, given, statistics| {
            let (shown, told) = (tensor(&given["pictures"]), tensor(&given["conditions"]));
            HostTensor::read(network.forward(shown, told, statistics))
        },
    );
}

#[test]
fn encoder() {
    forward(
        "cgan_encoder.safetensors",
        || Encoder::new(&config(), &Device::flex()),
        |network, given, statistics| {
            HostTensor::read(network.forward(tensor(&given["pictures"]), statistics))
        },
    );
}

#[test]
fn judge() {
    forward(
        "cgan_judge.safetensors",
        || Judge::new(&config().judge(4, 5), &Device::flex()),
        |network, given, statistics| {
            HostTensor::read(network.forward(tensor(&given["pictures"]), statistics))
        },
    );
}

#[test]
fn steps_of_the_conditional_gan() {
    // What cgan_make.py has for the draws of this run.
    let asked = [[0, 1, 2, 3, 4, 5], [4, 2, 3, 0, 5, 1], [4, 5, 3, 0, 1, 2]];
    let away = [[1, 4, 3, 1, 0, 4], [4, 2, 0, 3, 3, 0], [0, 2, 1, 0, 4, 4]];
    for step in 0..3 {
        let order = Stream::new(1, "classes", step).permutation(6);
        assert_eq!(order, asked[step as usize]);
        let steps = Stream::new(1, "wrong", step).integers(6, 5);
        assert_eq!(steps, away[step as usize]);
    }
    let reference = fixture("cgan_gan_steps.safetensors").tensors;
    let config = Config {
        lr: 0.002,
        label_smoothing: 0.9,
        mismatch: 0.5,
        ..config()
    };
    let mut gan = Gan::new(&config, &Device::flex());
    let role = |part: &str| match part {
        "generator" => Some("g"),
        "discriminator" => Some("d"),
        _ => None,
    };
    let at = |part: &str, when: &str| Some(under(&reference, &format!("{}.{when}", role(part)?)));
    begin(&mut gan, &|part| at(part, "before"));
    for step in 0..3 {
        let batch = Batch {
            pixels: reference["real"].values.clone(),
            classes: vec![0, 1, 2, 3, 4, 5],
        };
        let scalars = gan.step(batch, &At::new(1, step, 3)).unwrap();
        assert_losses(scalars, &["loss_d", "loss_g"], step as usize, &reference);
        if step > 0 {
            continue;
        }
        gan.parts(&mut |part, learner| {
            if let Some(expected) = at(part, "moments") {
                assert_moments(part, &learner.files()[1].tensors, &expected);
            }
            Ok(())
        })
        .unwrap();
    }
    gan.parts(&mut |part, learner| {
        let (Some(start), Some(end)) = (at(part, "before"), at(part, "after")) else {
            return Ok(());
        };
        assert_arrived(part, &learner.files()[0].tensors, &start, &end);
        Ok(())
    })
    .unwrap();
}

#[test]
fn steps_of_the_encoder() {
    let reference = fixture("cgan_encoder_steps.safetensors").tensors;
    let config = Config {
        encoder_lr: 0.002,
        ..config()
    };
    let device = Device::flex();
    let generator = Generator::new(&config, &device);
    let generator = weights::apply(generator, &under(&reference, "g")).unwrap();
    let mut stage = Encode::new(&config, generator.valid(), Vec::new(), &device);
    begin(&mut stage, &|_| Some(under(&reference, "e.before")));
    let source = Made {
        batches: 3,
        fingerprint: String::new(),
    };
    for step in 0..3 {
        source.batch(0, step).unwrap();
        let scalars = stage.step((), &At::new(1, step as u64, 3)).unwrap();
        assert_losses(scalars, &["distance"], step, &reference);
    }
    let (start, end) = (under(&reference, "e.before"), under(&reference, "e.after"));
    stage
        .parts(&mut |part, learner| {
            assert_arrived(part, &learner.files()[0].tensors, &start, &end);
            Ok(())
        })
        .unwrap();
}

#[test]
fn the_search_of_latent_vectors() {
    let reference = fixture("cgan_latents.safetensors").tensors;
    let config = Config {
        latent_steps: 5,
        latent_lr: 0.05,
        ..config()
    };
    let device = Device::flex();
    let generator = Generator::new(&config, &device);
    let generator = weights::apply(generator, &under(&reference, "g")).unwrap();
    let encoder = weights::apply(Encoder::new(&config, &device), &under(&reference, "e")).unwrap();
    let judge = Judge::new(&config.judge(4, EMBEDDING), &device);
    let judge = weights::apply(judge, &under(&reference, "j")).unwrap();
    let seeker = Seeker::new(
        &config,
        generator.valid(),
        encoder.valid(),
        Some(Embedding::Small(Box::new(judge.valid()))),
        &device,
    );
    let mut all = Vec::new();
    for which in Latent::ALL {
        let found = seeker.seek(&reference["faces"].values, &[0, 2, 5], which);
        let expected = &reference[&format!("output_{}", which.name())].values;
        assert_close(which.name(), &found, expected);
        all.push(found);
    }
    for pair in [(0, 1), (0, 2), (1, 2)] {
        assert!(difference(&all[pair.0], &all[pair.1]) > 0.02, "{pair:?}");
    }
}

/// The gradient towards the pictures, along which latent vectors are sought, of a weighted sum of all that is embedded.
fn assert_gradient(embedding: Embedding, reference: &Tensors) {
    let pictures = tensor::<4>(&reference["pictures"]);
    let pictures = Tensor::from_inner(pictures).require_grad();
    let [count, channels, height, width] = pictures.dims();
    let embedded = embedding.embed(pictures.clone());
    let weights: Vec<f32> = numbers("gradient", count * 512)
        .map(|value| value as f32)
        .collect();
    let data = TensorData::new(weights, [count, 512]);
    let weights = Tensor::from_data(data, &embedded.device());
    let gradients = (embedded * weights * 512f64.sqrt()).sum().backward();
    let gradient = pictures.grad(&gradients).expect("a gradient");
    let along = |axis| weights::values(gradient.clone().sum_dim(axis));
    let (rows, columns) = (along(3), along(2));
    let all = weights::values(gradient);
    let some = (0..count * channels * height * width)
        .filter(|place| place % width % 4 == 2 && place / width % height % 4 == 1)
        .map(|place| all[place])
        .collect();
    for (name, found) in [("values", some), ("rows", rows), ("columns", columns)] {
        let expected = &reference[&format!("gradient.{name}")].values;
        let away = difference(&found, expected);
        // PyTorch in 32 bits is mostly 5e-6, and up to 2e-4, away from itself in 64.
        assert!(away <= 1e-3, "{name} of the gradient: {away:.2e}");
    }
}

#[test]
fn the_face_embedding() {
    let reference = fixture("cgan_facenet.safetensors").tensors;
    let mut tensors = weights::collect(&InceptionResnet::new(&Device::flex()));
    for (name, tensor) in &mut tensors {
        if let Some(measured) = reference.get(name) {
            assert_eq!(measured.shape, tensor.shape, "{name}");
            *tensor = measured.clone();
            continue;
        }
        let fan_in: usize = tensor.shape[1..].iter().product();
        let is_kernel = ["conv.weight", "conv2d.weight", "last_linear.weight"]
            .iter()
            .any(|ending| name.ends_with(ending));
        // Biases are far from 0 on either side in turn, so that no rounding turns a ReLU on or off.
        let (middle, spread, is_turning) = if is_kernel {
            (0.0, (6.0 / fan_in as f64).sqrt(), false)
        } else if name.ends_with("bn.weight") {
            (1.0, 0.3, false)
        } else if name == "last_bn.bias" {
            (0.0, 0.3, false)
        } else if name.ends_with("conv2d.bias") {
            (6.0, 0.3, true)
        } else {
            (4.0, 0.3, true)
        };
        let values = numbers(name, tensor.values.len()).enumerate();
        tensor.values = values
            .map(|(place, value)| {
                let value = middle + spread * value;
                (if is_turning && place % 2 == 1 {
                    -value
                } else {
                    value
                }) as f32
            })
            .collect();
    }
    // A published file ends with the classifier that it was trained by.
    let classifier = HostTensor {
        shape: vec![2, 512],
        values: vec![1.0; 1024],
    };
    tensors.insert("logits.weight".to_owned(), classifier);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("20180402-114759-vggface2.pt");
    gan_core::state_dict::write(&path, &tensors).unwrap();
    let config = Config::default();
    let embedding = Embedding::open(&path, folder.path(), &config, &Device::flex()).unwrap();
    let embedded = embedding.embed(tensor(&reference["pictures"]));
    let found: Vec<f32> = weights::values(embedded)
        .into_iter()
        .map(|value| value * 512f32.sqrt())
        .collect();
    assert_close("embedding", &found, &reference["output"].values);
    assert_gradient(embedding.still(), &reference);
    // Another file of another network is told apart.
    let path = folder.path().join("other.pt");
    tensors.retain(|name, _| name.starts_with("conv2d"));
    gan_core::state_dict::write(&path, &tensors).unwrap();
    let error = Embedding::open(&path, folder.path(), &config, &Device::flex()).unwrap_err();
    assert_eq!(gan_core::failure::exit_code(&error), 4, "{error:#}");
}
