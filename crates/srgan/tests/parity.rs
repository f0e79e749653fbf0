//! The networks, VGG19's features and training steps against PyTorch (tests/fixtures/srgan_make.py).

#[path = "../../../tests/fixtures/compare.rs"]
mod compare;
#[path = "../../../tests/fixtures/numbers.rs"]
mod numbers;
#[path = "../../../tests/fixtures/training.rs"]
mod training;

use burn::tensor::{Device, Tensor, TensorData};
use compare::{assert_close, difference, fixture, under};
use gan_core::contract::snapshot;
use gan_core::layers::Statistics;
use gan_core::stage::{At, Stage};
use gan_core::weights::{self, HostTensor, Metadata, Network, Tensors};
use image::imageops::crop_imm;
use numbers::numbers;
use srgan::config::{Config, ContentLoss};
use srgan::data::Batch;
use srgan::discriminator::{self, Discriminator};
use srgan::generator::{Generator, Layout, Shape, Slopes, Tail};
use srgan::recognise;
use srgan::train::{Gan, Resnet};
use srgan::vgg::{Features, Vgg};
use std::path::Path;
use training::{assert_arrived, assert_losses, assert_moments, begin};

fn tensor(host: &HostTensor, device: &Device) -> Tensor<4> {
    let shape: [usize; 4] = host.shape.as_slice().try_into().expect("a picture");
    Tensor::from_data(TensorData::new(host.values.clone(), shape), device)
}

/// The outputs in both modes, and the statistics that one training pass leaves behind.
fn both_modes<M: Network, const D: usize>(
    name: &str,
    file: &Tensors,
    network: impl Fn() -> M,
    forward: impl Fn(&M, Tensor<4>, Statistics) -> Tensor<D>,
) {
    let input = || tensor(&file["input"], &Device::flex());
    let modes = [
        ("output_running", Statistics::Running),
        ("output_batch", Statistics::Batch),
        ("output_batch", Statistics::Update),
    ];
    for (mode, statistics) in modes {
        let Some(expected) = file.get(mode) else {
            continue;
        };
        let network = network();
        let output = forward(&network, input(), statistics);
        let what = format!("{name} {mode}");
        assert_close(&what, &weights::values(output), &expected.values);
        if statistics == Statistics::Update {
            let tensors = weights::collect(&network);
            for (name, after) in under(file, "after") {
                assert_close(&name, &tensors[&name].values, &after.values);
            }
        }
    }
}

/// Any tensor changed must be seen.
fn assert_all_matter(
    name: &str,
    weights: &Tensors,
    output: &dyn Fn(Tensors) -> Vec<f32>,
    expected: &[f32],
) {
    for changed in weights.keys() {
        let mut wrong = weights.clone();
        let values = wrong.get_mut(changed).unwrap().values.iter_mut();
        values.for_each(|value| *value = *value * 1.05 + 0.02);
        let away = difference(&output(wrong), expected);
        assert!(
            away > 10.0 * compare::TOLERANCE,
            "{name} {changed}: {away:.1e}"
        );
    }
}

fn generator(name: &str, layout: Layout, [blocks, width, scale]: [usize; 3]) {
    let shape = Shape {
        layout,
        blocks,
        width,
        scale,
        slopes: if name.ends_with("channel") {
            Slopes::Channel
        } else {
            Slopes::Shared
        },
        tail: if name.contains("prelu") {
            Tail::Prelu
        } else {
            Tail::BatchNorm
        },
    };
    let device = Device::flex();
    let file = fixture(&format!("srgan_generator_{name}.safetensors")).tensors;
    let weights = under(&file, "weights");
    let build = |weights: Tensors, device: &Device| {
        let (network, told) = recognise::generator(weights, device).unwrap();
        assert_eq!(told, shape, "{name}");
        network
    };
    // As it upscales, with fixed slopes, and as it is trained, with learned ones.
    both_modes(
        name,
        &file,
        || build(weights.clone(), &device),
        |network, input, statistics| network.forward(input, statistics),
    );
    let autodiff = device.clone().autodiff();
    both_modes(
        name,
        &file,
        || build(weights.clone(), &autodiff),
        |network, input, statistics| {
            let output = network.forward(Tensor::from_inner(input), statistics);
            output.inner()
        },
    );
    let output = |weights: Tensors| {
        let input = tensor(&file["input"], &device);
        let network = build(weights, &device);
        weights::values(network.forward(input, Statistics::Running))
    };
    assert_all_matter(name, &weights, &output, &file["output_running"].values);
}

#[test]
fn generators_are_those_of_four_programs() {
    generator("blocks_shared", Layout::Blocks, [2, 4, 4]);
    generator("blocks_channel", Layout::Blocks, [1, 6, 2]);
    generator("blocks_prelu", Layout::Blocks, [3, 4, 8]);
    generator("blocks_prelu_channel", Layout::Blocks, [1, 4, 2]);
    generator("trunk", Layout::Trunk, [2, 4, 4]);
    generator("mmagic", Layout::Mmagic, [2, 4, 4]);
    generator("mmagic_2", Layout::Mmagic, [1, 4, 2]);
    generator("basicsr", Layout::Basicsr, [2, 4, 4]);
}

#[test]
fn the_discriminator_is_the_papers() {
    let file = fixture("srgan_discriminator.safetensors").tensors;
    let shape = discriminator::Shape { width: 2, side: 32 };
    let network = |weights: &Tensors| {
        weights::apply(Discriminator::new(&shape, &Device::flex()), weights).unwrap()
    };
    let weights = under(&file, "weights");
    both_modes(
        "discriminator",
        &file,
        || network(&weights),
        |network, input, statistics| network.forward(input, statistics),
    );
    let output = |weights: Tensors| {
        let input = tensor(&file["input"], &Device::flex());
        weights::values(network(&weights).forward(input, Statistics::Running))
    };
    let expected = &file["output_running"].values;
    assert_all_matter("discriminator", &weights, &output, expected);
}

#[test]
fn parameters_are_as_many_as_the_papers() {
    let count = |tensors: Tensors| -> usize {
        let learned = tensors
            .iter()
            .filter(|(name, _)| !name.contains("running_"));
        learned.map(|(_, tensor)| tensor.values.len()).sum()
    };
    let (config, device) = (Config::default(), Device::flex());
    let shape = Shape::new(&config);
    for (slopes, expected) in [(Slopes::Shared, 1_549_462), (Slopes::Channel, 1_550_659)] {
        let network = Generator::new(&Shape { slopes, ..shape }, &device);
        assert_eq!(count(weights::collect(&network)), expected, "{slopes:?}");
    }
    let network = Discriminator::new(&discriminator::Shape::new(&config), &device);
    assert_eq!(count(weights::collect(&network)), 23_565_505);
    // By hand: the first convolution, those of 16 blocks and the fine one, the doublings, the last.
    let layout = Layout::Mmagic;
    let network = Generator::new(&Shape { layout, ..shape }, &device);
    let inner = 9 * 64 * 64 + 64;
    let expected = (9 * 3 * 64 + 64) + 33 * inner + 2 * 4 * inner + (9 * 64 * 3 + 3);
    assert_eq!(count(weights::collect(&network)), expected);
}

/// VGG19 up to the features, read from a file as a user's is, with weights that the hash makes of their names.
fn hashed(features: Features, device: &Device) -> Vgg {
    let channels = [
        64, 64, 0, 128, 128, 0, 256, 256, 256, 256, 0, 512, 512, 512, 512, 0, 512, 512, 512, 512,
    ];
    let mut tensors = Tensors::new();
    let (mut place, mut from) = (0, 3);
    for to in channels {
        if to == 0 {
            place += 1;
            continue;
        }
        let kernel = (6.0 / (9 * from) as f64).sqrt();
        for (leaf, shape, spread) in [
            ("weight", vec![to, from, 3, 3], kernel),
            ("bias", vec![to], 0.3),
        ] {
            let name = format!("features.{place}.{leaf}");
            let values = numbers(&name, shape.iter().product());
            let values = values.map(|number| (spread * number) as f32).collect();
            tensors.insert(name, HostTensor { shape, values });
        }
        (place, from) = (place + 2, to);
        if features == Features::Phi22 && place == 9 {
            break;
        }
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("vgg19.safetensors");
    weights::write(&path, &tensors, &Metadata::new()).unwrap();
    Vgg::open(&path.display().to_string(), features, device).unwrap()
}

#[test]
fn features_are_torchvisions_both_ways() {
    let device = Device::flex();
    let file = fixture("srgan_vgg.safetensors").tensors;
    for (name, features) in [("phi22", Features::Phi22), ("phi54", Features::Phi54)] {
        let vgg = hashed(features, &device.clone().autodiff());
        let input = Tensor::from_inner(tensor(&file["input"], &device)).require_grad();
        let made = vgg.forward(input.clone());
        let values = weights::values(made.clone().inner());
        let some: Vec<f32> = values.iter().copied().step_by(7).collect();
        assert_close(name, &some, &file[name].values);
        let factors = numbers(&format!("factors.{name}"), values.len());
        let factors: Vec<f32> = factors.map(|number| number as f32).collect();
        let factors = Tensor::<4>::from_data(TensorData::new(factors, made.dims()), &device);
        let gradients = (made * Tensor::from_inner(factors)).sum().backward();
        let gradient = weights::values(input.grad(&gradients).unwrap());
        let expected = &file[&format!("{name}.gradient")].values;
        assert_close(&format!("{name}.gradient"), &gradient, expected);
    }
}

fn tiny(content_loss: ContentLoss) -> Config {
    let mut config = Config {
        blocks: 2,
        width_g: 4,
        width_d: 1,
        crop_size: 32,
        content_loss,
        // Larger than the paper's, so that it is seen.
        lambda_adversarial: 0.1,
        ..Config::default()
    };
    config.training.batch_size = 2;
    config
}

fn three_steps<S: Stage<Batch = Batch>>(
    name: &str,
    mut stage: S,
    losses: &[&str],
    networks: &[&str],
) {
    let reference = fixture(&format!("srgan_steps_{name}.safetensors")).tensors;
    let start = |network: &str| under(&reference, &format!("start.{network}"));
    begin(&mut stage, &|network| Some(start(network)));
    for step in 0..3 {
        let picture = |of: &str| reference[&format!("{of}.{step}")].values.clone();
        let batch = Batch {
            low: picture("low"),
            high: picture("high"),
        };
        let scalars = stage.step(batch, &At::new(0, step as u64, 3)).unwrap();
        assert_losses(scalars, losses, step, &reference);
        if step == 0 {
            for network in networks {
                let ours = &snapshot(&mut stage)[&format!("{network}_optimizer")];
                let expected = under(&reference, &format!("moments.{network}"));
                assert_moments(network, ours, &expected);
            }
        }
    }
    let ours = snapshot(&mut stage);
    for network in networks {
        let end = under(&reference, &format!("end.{network}"));
        assert_arrived(network, &ours[*network], &start(network), &end);
    }
}

#[test]
fn three_steps_of_the_first_stage() {
    let stage = Resnet::new(&tiny(ContentLoss::Mse), &Device::flex());
    three_steps("srresnet", stage, &["mse"], &["generator"]);
}

#[test]
fn three_steps_of_the_second_stage() {
    let device = Device::flex();
    for (name, content_loss) in [("mse", ContentLoss::Mse), ("vgg22", ContentLoss::Vgg22)] {
        let vgg = content_loss
            .features()
            .map(|features| hashed(features, &device.clone().autodiff()));
        three_steps(
            &format!("srgan_{name}"),
            Gan::new(&tiny(content_loss), vgg, &device),
            &["D_real", "D_fake", "content", "adversarial"],
            &["generator", "discriminator"],
        );
    }
}

/// The file that leftthomas/SRGAN publishes for four times the sides, as it is.
#[test]
fn the_published_generator_gives_what_it_gives_in_pytorch() {
    let Some(data) = std::env::var_os("GAN_DATA") else {
        return;
    };
    let data = Path::new(&data);
    let expected = fixture("srgan_published.safetensors").tensors;
    let file = weights::read(&data.join("weights/srgan/netG_epoch_4_100.pth")).unwrap();
    let (network, shape) = recognise::generator(file.tensors, &Device::flex()).unwrap();
    assert_eq!((shape.blocks, shape.width, shape.scale), (5, 64, 4));
    assert_eq!((shape.slopes, shape.tail), (Slopes::Shared, Tail::Prelu));
    let picture = gan_core::images::read(&data.join("sr/Set14/baboon.png")).unwrap();
    let picture = crop_imm(&picture.into_rgb8(), 100, 80, 24, 20).to_image();
    let plane = |channel: usize| picture.pixels().map(move |pixel| pixel.0[channel]);
    let values: Vec<f32> = (0..3)
        .flat_map(plane)
        .map(|byte| f32::from(byte) / 255.0)
        .collect();
    let low = Tensor::<4>::from_data(TensorData::new(values, [1, 3, 20, 24]), &Device::flex());
    let made = weights::values(network.forward(low, Statistics::Running));
    let mean = made.iter().map(|value| f64::from(*value)).sum::<f64>() / made.len() as f64;
    assert!((mean - f64::from(expected["mean"].values[0])).abs() < 1e-6);
    let pairs = made.iter().step_by(5).zip(&expected["made"].values);
    let furthest = pairs.fold(0.0, |most: f32, (ours, theirs)| {
        most.max((ours - theirs).abs())
    });
    // Absolute, of values in [0, 1]; a byte is 400 times as much.
    assert!(furthest < 1e-5, "{furthest:.1e}");
}
