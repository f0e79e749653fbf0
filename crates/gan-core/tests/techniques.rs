//! The stabilisation kit against what PyTorch computes (tests/fixtures/techniques_make.py).

#[path = "../../../tests/fixtures/compare.rs"]
mod compare;

use burn::module::{Param, RunningState};
use burn::tensor::{Device, Tensor, TensorData};
use compare::{TOLERANCE, assert_close, difference, fixture, under};
use gan_core::layers::{
    Activation, Conv2dConfig, Layer, Linear, MinibatchDiscrimination, SpectralNorm, Statistics,
    VirtualBatchNorm,
};
use gan_core::loss::{Loss, Targets, feature_matching};
use gan_core::stage::At;
use gan_core::technique::{Around, Techniques};
use gan_core::weights::{HostTensor, Tensors};

fn tensor<const D: usize>(host: &HostTensor) -> Tensor<D> {
    let data = TensorData::new(host.values.clone(), host.shape.clone());
    Tensor::from_data(data, &Device::flex().autodiff())
}

fn read<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.into_data().iter::<f32>().collect()
}

const GAMES: [(&str, Loss); 7] = [
    ("non-saturating", Loss::NonSaturating),
    ("saturating", Loss::Saturating),
    ("lsgan", Loss::Lsgan),
    ("hinge", Loss::Hinge),
    ("wasserstein", Loss::Wasserstein),
    ("relativistic", Loss::Relativistic),
    ("relativistic-average", Loss::RelativisticAverage),
];

#[test]
fn every_game_and_its_gradients() {
    let found = under(&fixture("techniques.safetensors").tensors, "losses");
    let targets = Targets {
        real: 0.9,
        fake: 0.1,
    };
    for (name, game) in GAMES {
        for player in ["discriminator", "generator"] {
            let [real, fake] =
                ["real", "fake"].map(|side| tensor::<2>(&found[side]).require_grad());
            let value = if player == "discriminator" {
                game.discriminator(real.clone(), fake.clone(), targets)
            } else {
                game.generator(Some(real.clone()), fake.clone())
            };
            let start = format!("{name}.{player}");
            assert_close(&start, &read(value.clone().inner()), &found[&start].values);
            let gradients = value.backward();
            for (side, logits) in [("real", real), ("fake", fake)] {
                let name = format!("{start}.{side}_gradient");
                let gradient = logits.grad(&gradients).map(read);
                match (gradient, found.get(&name)) {
                    (Some(gradient), Some(expected)) => {
                        assert_close(&name, &gradient, &expected.values);
                    }
                    // Zeros where PyTorch has no path to the reals.
                    (gradient, None) => {
                        assert!(gradient.is_none_or(|values| values.iter().all(|v| *v == 0.0)));
                    }
                    (None, Some(_)) => panic!("{name} is missing"),
                }
            }
        }
    }
    // No two games are the same to either player, but for the generator of hinge and Wasserstein.
    for (first, one) in GAMES {
        for (second, other) in GAMES {
            let value = |game: Loss| {
                let [real, fake] = ["real", "fake"].map(|side| tensor::<2>(&found[side]));
                read(game.discriminator(real, fake, Targets::HARD))[0]
            };
            let is_same = first == second || (one.has_targets() && other.has_targets());
            assert!(is_same || value(one) != value(other), "{first} {second}");
        }
    }
}

#[test]
fn feature_matching_and_its_gradient() {
    let found = under(&fixture("techniques.safetensors").tensors, "matching");
    let fake = tensor::<2>(&found["fake"]).require_grad();
    let value = feature_matching(tensor(&found["real"]), fake.clone());
    assert_close(
        "value",
        &read(value.clone().inner()),
        &found["value"].values,
    );
    let gradient = fake.grad(&value.backward()).unwrap();
    assert_close("gradient", &read(gradient), &found["gradient"].values);
}

fn vector(host: &HostTensor) -> RunningState<Tensor<1>> {
    let data = TensorData::new(host.values.clone(), host.shape.clone());
    RunningState::new(Tensor::from_data(data, &Device::flex().autodiff()))
}

/// The largest difference of all that spectral normalisation gives in two steps and afterwards, where `start` has its
/// weights. `apply` is the layer of a weight in PyTorch's layout.
fn spectral<const D: usize>(
    start: &Tensors,
    expected: &Tensors,
    apply: &dyn Fn(&Tensor<2>, &SpectralNorm, Tensor<D>, Statistics) -> Tensor<D>,
) -> f64 {
    let shape = &start["weight"].shape;
    let (outputs, inputs) = (shape[0], shape[1..].iter().product::<usize>());
    let device = Device::flex().autodiff();
    let mut norm = SpectralNorm::new(outputs, inputs, &device);
    norm.running_u = vector(&start["u"]);
    norm.running_v = vector(&start["v"]);
    let matrix = TensorData::new(start["weight"].values.clone(), [outputs, inputs]);
    let matrix = Tensor::<2>::from_data(matrix, &device).require_grad();
    let mut furthest = 0f64;
    for step in 0..2 {
        let mut compare = |name: &str, ours: Vec<f32>| {
            let name = format!("{name}.{step}");
            furthest = furthest.max(difference(&ours, &expected[&name].values));
        };
        let input = tensor::<D>(&expected[&format!("input.{step}")]).require_grad();
        let output = apply(&matrix, &norm, input.clone(), Statistics::Update);
        compare("output", read(output.clone().inner()));
        let factors = tensor::<D>(&expected[&format!("factors.{step}")]);
        let gradients = (output * factors).sum().backward();
        compare("input_gradient", read(input.grad(&gradients).unwrap()));
        compare("weight_gradient", read(matrix.grad(&gradients).unwrap()));
        compare("u", read(norm.running_u.value()));
    }
    let running = apply(
        &matrix,
        &norm,
        tensor(&expected["input.1"]),
        Statistics::Running,
    );
    furthest.max(difference(
        &read(running.inner()),
        &expected["running"].values,
    ))
}

#[test]
fn spectral_normalisation_is_pytorchs() {
    let found = fixture("techniques.safetensors").tensors;
    let check = |name: &str, away: &dyn Fn(&Tensors, &Tensors) -> f64| {
        let tensors = under(&found, name);
        let ours = away(&tensors, &tensors);
        assert!(ours <= TOLERANCE, "{name} differs by {ours:.2e}");
        for changed in ["weight", "v", "bias"] {
            let mut start = tensors.clone();
            for (place, value) in start
                .get_mut(changed)
                .unwrap()
                .values
                .iter_mut()
                .enumerate()
            {
                *value += 0.05 * (1.0 + place as f32 % 3.0);
            }
            let other = away(&start, &tensors);
            assert!(
                other > TOLERANCE,
                "{name} does not notice another {changed}"
            );
        }
    };
    check("linear", &|start, expected| {
        let bias = tensor::<1>(&start["bias"]);
        spectral::<2>(start, expected, &|matrix, norm, input, statistics| {
            let input = norm.divided(input, matrix.clone(), statistics);
            input.matmul(matrix.clone().transpose()) + bias.clone().reshape([1, 4])
        })
    });
    check("convolution", &|start, expected| {
        let bias = tensor::<1>(&start["bias"]);
        spectral::<4>(start, expected, &|matrix, norm, input, statistics| {
            let input = norm.divided(input, matrix.clone(), statistics);
            // As a matrix product over patches, so that the weight stays one tensor of this test.
            let [batch, channels, side, _] = input.dims();
            let padded = input.pad((1, 1, 1, 1), 0.0);
            let half = side / 2;
            let mut rows = Vec::new();
            for y in 0..half {
                for x in 0..half {
                    let patch = padded.clone().narrow(2, 2 * y, 4).narrow(3, 2 * x, 4);
                    rows.push(patch.reshape([batch, 1, channels * 16]));
                }
            }
            let rows = Tensor::cat(rows, 1).reshape([batch * half * half, channels * 16]);
            let made = rows.matmul(matrix.clone().transpose()) + bias.clone().reshape([1, 4]);
            made.reshape([batch, half, half, 4]).permute([0, 3, 1, 2])
        })
    });
    // What the networks use: the layer itself behind the divided input.
    let tensors = under(&found, "convolution");
    let device = Device::flex().autodiff();
    let mut layer = Conv2dConfig::new([3, 4], [4, 4])
        .stride([2, 2])
        .padding([1, 1])
        .with_bias()
        .init(&device);
    layer.weight = Param::from_tensor(tensor(&tensors["weight"]));
    layer.bias = Some(Param::from_tensor(tensor(&tensors["bias"])));
    let mut norm = SpectralNorm::new(4, 48, &device);
    norm.running_u = vector(&tensors["u"]);
    norm.running_v = vector(&tensors["v"]);
    let matrix = layer.weight.val().reshape([4, 48]);
    let input = norm.divided(tensor(&tensors["input.0"]), matrix, Statistics::Update);
    let output = layer.activated(input, Activation::Identity);
    assert_close("layer", &read(output.inner()), &tensors["output.0"].values);
}

#[test]
fn minibatch_discrimination_and_its_gradients() {
    let found = under(&fixture("techniques.safetensors").tensors, "minibatch");
    let mut layer = MinibatchDiscrimination::new(5, 3, 2, &Device::flex().autodiff());
    layer.weight = Param::from_tensor(tensor(&found["weight"]));
    let features = tensor::<2>(&found["features"]).require_grad();
    let output = layer.forward(features.clone());
    assert_close(
        "output",
        &read(output.clone().inner()),
        &found["output"].values,
    );
    let gradients = (output * tensor::<2>(&found["factors"])).sum().backward();
    let of_features = features.grad(&gradients).unwrap();
    let of_weight = layer.weight.val().grad(&gradients).unwrap();
    for (name, gradient) in [("features", of_features), ("weight", of_weight)] {
        let name = format!("{name}_gradient");
        assert_close(&name, &read(gradient), &found[&name].values);
    }
}

#[test]
fn virtual_batch_normalisation_and_its_gradients() {
    let found = under(&fixture("techniques.safetensors").tensors, "virtual");
    let mut layer = VirtualBatchNorm::new(3, &Device::flex().autodiff());
    layer.weight = Param::from_tensor(tensor(&found["weight"]));
    layer.bias = Param::from_tensor(tensor(&found["bias"]));
    let input = tensor::<4>(&found["input"]).require_grad();
    let output = layer.forward(input.clone(), 4);
    assert_close(
        "output",
        &read(output.clone().inner()),
        &found["output"].values,
    );
    // Another number of references is another result.
    let other = read(layer.forward(input.clone(), 3).inner());
    assert!(difference(&other, &found["output"].values) > 0.01);
    let gradients = (output * tensor::<4>(&found["factors"])).sum().backward();
    let of_input = read(input.grad(&gradients).unwrap());
    assert_close("input", &of_input, &found["input_gradient"].values);
    let of_weight = read(layer.weight.val().grad(&gradients).unwrap());
    assert_close("weight", &of_weight, &found["weight_gradient"].values);
}

#[test]
fn finite_differences_come_near_to_r1() {
    let found = under(&fixture("techniques.safetensors").tensors, "penalty");
    let device = Device::flex().autodiff();
    // PyTorch's [out, in], turned.
    let linear = |name: &str| {
        let weight = tensor::<2>(&found[name]).transpose();
        let [inputs, outputs] = weight.dims();
        let mut linear = Linear::new(inputs, outputs, &device);
        linear.weight = Param::from_tensor(weight);
        linear
    };
    let (mut first, second) = (linear("first"), linear("second"));
    first.bias = Some(Param::from_tensor(tensor(&found["first_bias"])));
    let look = |samples: Tensor<2>| second.forward(first.activated(samples, Activation::Tanh));
    // Many directions for each of the samples.
    let samples = tensor::<2>(&found["samples"]).repeat_dim(0, 4000);
    let techniques = Techniques {
        gradient_penalty: 2.0,
        penalty_around: Around::Real,
        ..Techniques::default()
    };
    let at = At::new(5, 0, 1);
    let penalty = techniques.penalty(&look, &samples, &samples, &at).unwrap();
    let (ours, exact) = (read(penalty.clone().inner())[0], found["value"].values[0]);
    assert!((ours / exact - 1.0).abs() < 0.03, "{ours} {exact}");
    // It moves the weights.
    let gradient = first.weight.val().grad(&penalty.backward()).unwrap();
    assert!(read(gradient).iter().any(|value| value.abs() > 1e-3));
}
