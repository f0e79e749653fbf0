//! The networks against PyTorch's, with the weights of tests/fixtures/translation_make.py.

#[path = "../../../tests/fixtures/compare.rs"]
mod compare;

use burn::tensor::{Device, Tensor, TensorData};
use compare::{assert_close, difference, fixture, under};
use gan_core::layers::{InstanceNorm, Statistics, reflect};
use gan_core::loss::{GanMode, l1};
use gan_core::random::Stream;
use gan_core::weights::{self, HostTensor, Network, Tensors};
use translation::generator::{Generator, Kind, Shape};
use translation::norm::Norm;
use translation::{Discriminator, discriminator, recognise};

fn tensor(host: &HostTensor, device: &Device) -> Tensor<4> {
    let shape: [usize; 4] = host.shape.as_slice().try_into().expect("a picture");
    Tensor::from_data(TensorData::new(host.values.clone(), shape), device)
}

/// The statistics that one training pass leaves behind.
fn assert_moved<M: Network>(network: &M, expected: &Tensors) {
    let tensors = weights::collect(network);
    for (name, after) in expected {
        assert_close(name, &tensors[name].values, &after.values);
    }
}

fn generator(name: &str, shape: Shape) {
    let device = Device::flex();
    let file = fixture(&format!("translation_{name}.safetensors")).tensors;
    let weights = under(&file, "weights");
    // A U-Net's dropout has no tensors: without normalisation of the batch it is not expected.
    let told = recognise::generator(&weights).unwrap();
    let is_unet = matches!(shape.kind, Kind::Unet { .. });
    let dropout = if is_unet { told.dropout } else { shape.dropout };
    assert_eq!(told, Shape { dropout, ..shape }, "{name}");
    let network = || weights::apply(Generator::new(&shape, &device), &weights).unwrap();
    for wide in ["", "_wide"] {
        let Some(input) = file.get(&format!("input{wide}")) else {
            continue;
        };
        let run = |statistics| {
            let network = network();
            let output = network.forward(tensor(input, &device), statistics, None);
            (weights::values(output), network)
        };
        let modes = [
            ("batch", Statistics::Batch),
            ("running", Statistics::Running),
        ];
        for (mode, statistics) in modes {
            if let Some(expected) = file.get(&format!("output_{mode}{wide}")) {
                let what = format!("{name} output_{mode}{wide}");
                assert_close(&what, &run(statistics).0, &expected.values);
            }
        }
        if wide.is_empty() && file.keys().any(|name| name.starts_with("after.")) {
            assert_moved(&run(Statistics::Update).1, &under(&file, "after"));
        }
    }
    if let Some(expected) = file.get("output_alone") {
        let first = tensor(&file["input"], &device).narrow(0, 0, 1);
        let output = network().forward(first, Statistics::Batch, None);
        assert_close("output_alone", &weights::values(output), &expected.values);
    }
    // One tensor changed must be seen.
    let mut wrong = weights.clone();
    // Not a bias: instance normalisation takes it out again.
    let changed = wrong
        .values_mut()
        .find(|tensor| tensor.shape.len() == 4)
        .unwrap();
    let values = changed.values.iter_mut().step_by(2);
    values.for_each(|value| *value = *value * 1.01 + 0.01);
    let wrong = weights::apply(Generator::new(&shape, &device), &wrong).unwrap();
    let output = wrong.forward(tensor(&file["input"], &device), Statistics::Batch, None);
    if let Some(expected) = file.get("output_batch") {
        let away = difference(&weights::values(output), &expected.values);
        assert!(away > 10.0 * compare::TOLERANCE, "{name}: {away}");
    }
}

#[test]
fn unets_are_the_authors() {
    for (name, norm) in [
        ("unet_batch", Norm::Batch),
        ("unet_instance", Norm::Instance),
        ("unet_none", Norm::None),
    ] {
        let shape = Shape {
            kind: Kind::Unet { levels: 5 },
            width: 4,
            norm,
            dropout: false,
            input: 3,
            output: 3,
        };
        generator(name, shape);
    }
}

#[test]
fn resnets_are_the_authors() {
    for (name, norm) in [
        ("resnet_batch", Norm::Batch),
        ("resnet_instance", Norm::Instance),
    ] {
        let shape = Shape {
            kind: Kind::Resnet { blocks: 2 },
            width: 4,
            norm,
            dropout: false,
            input: 3,
            output: 3,
        };
        generator(name, shape);
    }
}

#[test]
fn dropout_acts_where_the_authors_have_it() {
    let device = Device::flex();
    let unet = Kind::Unet { levels: 7 };
    let resnet = Kind::Resnet { blocks: 2 };
    for (name, kind, width, norm, channels) in [
        ("unet_dropout_batch", unet, 2, Norm::Batch, 1),
        ("unet_dropout_instance", unet, 2, Norm::Instance, 1),
        ("resnet_dropout_batch", resnet, 4, Norm::Batch, 3),
        ("resnet_dropout_instance", resnet, 4, Norm::Instance, 3),
    ] {
        let shape = Shape {
            kind,
            width,
            norm,
            dropout: true,
            input: channels,
            output: channels,
        };
        let file = fixture(&format!("translation_{name}.safetensors")).tensors;
        let network = Generator::new(&shape, &device);
        let network = weights::apply(network, &under(&file, "weights")).unwrap();
        // A mask of 0 and 2; below a half a draw keeps its value.
        let draws = under(&file, "mask").into_values().map(|mask| {
            let draw = |kept: f32| if kept > 0.0 { 0.0 } else { 0.75 };
            mask.values.into_iter().map(draw).collect()
        });
        let mut stream = Stream::replaying(draws);
        let input = tensor(&file["input"], &device);
        let output = network.forward(input, Statistics::Batch, Some(&mut stream));
        assert_close(
            name,
            &weights::values(output),
            &file["output_dropout"].values,
        );
    }
}

#[test]
fn discriminators_are_the_authors() {
    let device = Device::flex();
    for (net, layers) in [("basic", Some(3)), ("n_layers", Some(4)), ("pixel", None)] {
        for (name, norm, input) in [("batch", Norm::Batch, 6), ("instance", Norm::Instance, 3)] {
            let file = fixture(&format!("translation_patch_{net}_{name}.safetensors")).tensors;
            let shape = discriminator::Shape {
                layers,
                width: 4,
                norm,
                input,
            };
            let run = |statistics| {
                let network = Discriminator::new(&shape, &device);
                let network = weights::apply(network, &under(&file, "weights")).unwrap();
                let output = network.forward(tensor(&file["input"], &device), statistics);
                (weights::values(output), network)
            };
            let what = format!("{net} {name}");
            let (output, network) = run(Statistics::Update);
            assert_close(&what, &output, &file["output_batch"].values);
            if let Some(expected) = file.get("output_running") {
                assert_close(&what, &run(Statistics::Running).0, &expected.values);
                assert_moved(&network, &under(&file, "after"));
            }
        }
    }
}

#[test]
fn parameters_are_as_many_as_the_authors() {
    let count = |tensors: Tensors| -> usize {
        let learned = tensors
            .iter()
            .filter(|(name, _)| !name.contains("running_"));
        learned.map(|(_, tensor)| tensor.values.len()).sum()
    };
    let shape = |kind, norm| Shape {
        kind,
        width: 64,
        norm,
        dropout: false,
        input: 3,
        output: 3,
    };
    let (unet, resnet) = (
        |levels| Kind::Unet { levels },
        |blocks| Kind::Resnet { blocks },
    );
    for (kind, norm, expected) in [
        (unet(8), Norm::Batch, 54_413_955),
        (unet(7), Norm::Batch, 41_828_995),
        (resnet(9), Norm::Instance, 11_378_179),
        (resnet(6), Norm::Instance, 7_837_699),
    ] {
        let network = Generator::new(&shape(kind, norm), &Device::flex());
        assert_eq!(count(weights::collect(&network)), expected, "{kind:?}");
    }
    for (norm, input, expected) in [(Norm::Batch, 6, 2_768_705), (Norm::Instance, 3, 2_764_737)] {
        let shape = discriminator::Shape {
            layers: Some(3),
            width: 64,
            norm,
            input,
        };
        let network = Discriminator::new(&shape, &Device::flex());
        assert_eq!(count(weights::collect(&network)), expected, "{norm:?}");
    }
}

#[test]
fn reflection_and_instance_normalisation_are_pytorchs_both_ways() {
    let device = Device::flex();
    let file = fixture("reflection.safetensors").tensors;
    for margin in [1, 3] {
        let input = Tensor::from_inner(tensor(&file["input"], &device)).require_grad();
        let output = reflect(input.clone(), margin);
        let expected = &file[&format!("output.{margin}")].values;
        assert_close(
            "reflection",
            &weights::values(output.clone().inner()),
            expected,
        );
        let factors = Tensor::from_inner(tensor(&file[&format!("factors.{margin}")], &device));
        let gradients = (output * factors).sum().backward();
        let gradient = weights::values(input.grad(&gradients).unwrap());
        let expected = &file[&format!("gradient.{margin}")].values;
        assert_close("its gradient", &gradient, expected);
    }
    let file = fixture("instance_norm.safetensors").tensors;
    let input = Tensor::from_inner(tensor(&file["input"], &device)).require_grad();
    let identity = gan_core::layers::Activation::Identity;
    let output = InstanceNorm::default().activated(input.clone(), identity);
    let values = weights::values(output.clone().inner());
    assert_close("instance norm", &values, &file["output"].values);
    let factors = Tensor::from_inner(tensor(&file["factors"], &device));
    let gradients = (output * factors).sum().backward();
    let gradient = weights::values(input.grad(&gradients).unwrap());
    assert_close("its gradient", &gradient, &file["gradient"].values);
}

#[test]
fn losses_are_pytorchs_both_ways() {
    let device = Device::flex();
    let file = fixture("translation_losses.safetensors").tensors;
    let check = |name: &str, of: &str, loss: &dyn Fn(Tensor<4>) -> Tensor<1>| {
        let input = Tensor::from_inner(tensor(&file[of], &device)).require_grad();
        let loss = loss(input.clone());
        assert_close(
            name,
            &weights::values(loss.clone().inner()),
            &file[name].values,
        );
        let gradients = loss.backward();
        let gradient = weights::values(input.grad(&gradients).unwrap());
        let expected = &file[&format!("{name}.gradient")].values;
        assert_close(name, &gradient, expected);
    };
    for (name, mode) in [("vanilla", GanMode::Vanilla), ("lsgan", GanMode::Lsgan)] {
        check(&format!("{name}_real"), "logits", &|logits| {
            mode.real(logits)
        });
        check(&format!("{name}_fake"), "logits", &|logits| {
            mode.fake(logits)
        });
    }
    let wanted = || Tensor::from_inner(tensor(&file["wanted"], &device));
    check("l1", "made", &|made| l1(made, wanted()));
}

#[test]
fn published_layouts_load_as_they_are() {
    let device = Device::flex();
    let expected = fixture("translation_pth.safetensors").tensors;
    for (name, file) in [
        ("resnet", "translation_resnet_legacy.pth"),
        ("unet", "translation_unet_module.pth"),
    ] {
        let tensors = recognise::without_stale_statistics(fixture(file).tensors);
        let shape = recognise::generator(&tensors).unwrap();
        let network = weights::apply(Generator::new(&shape, &device), &tensors).unwrap();
        let input = || tensor(&expected[&format!("{name}.input")], &device);
        let output = network.forward(input(), Statistics::Running, None);
        let wanted = &expected[&format!("{name}.output")].values;
        assert_close(file, &weights::values(output), wanted);
        if let Some(wanted) = expected.get(&format!("{name}.output_alone")) {
            let output = network.forward(input(), Statistics::Batch, None);
            assert_close(file, &weights::values(output), &wanted.values);
        }
    }
}
