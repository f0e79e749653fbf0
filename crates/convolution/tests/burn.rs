//! The operators inside burn: against burn's own, forward and backward, and independent of the threads.

use burn::tensor::module::{
    avg_pool2d, conv_transpose2d, conv_transpose3d, conv2d, conv3d, max_pool2d,
};
use burn::tensor::ops::{AvgPoolOptions, ConvOptions, ConvTransposeOptions, MaxPoolOptions};
use burn::tensor::{Device, Tensor, TensorData, activation as burns};
use convolution::layers::{
    Conv2dConfig, Conv3dConfig, ConvTranspose2dConfig, ConvTranspose3dConfig, Layer, Linear,
    activation, adam, average, normalised, pool, scaled,
};
use convolution::{Activation, Adam, Pool, Taken};

struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        self.0 >> 33
    }

    fn among(&mut self, from: usize, to: usize) -> usize {
        from + (self.next() % (to - from + 1) as u64) as usize
    }

    fn tensor<const D: usize>(&mut self, shape: [usize; D], device: &Device) -> Tensor<D> {
        let count = shape.iter().product();
        let values: Vec<f32> = (0..count)
            .map(|_| self.next() as f32 / (1u64 << 30) as f32 - 1.0)
            .collect();
        Tensor::from_data(TensorData::new(values, shape), device)
    }
}

fn values<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.into_data().iter::<f32>().collect()
}

#[track_caller]
fn agree<const D: usize>(what: &str, ours: Tensor<D>, burns: Tensor<D>) {
    assert_eq!(ours.dims(), burns.dims(), "{what}");
    let (ours, burns) = (values(ours), values(burns));
    let largest = burns
        .iter()
        .fold(1.0_f32, |largest, value| largest.max(value.abs()));
    for (place, (ours, burns)) in ours.iter().zip(&burns).enumerate() {
        assert!(
            (ours - burns).abs() <= 2e-5 * largest,
            "{what}: value {place} is {ours} instead of {burns}"
        );
    }
}

/// Runs a function of tensors on an autodiff device and gives its output and the gradients of them all, for
/// a loss that weighs every output differently.
fn differentiate<const D: usize, const W: usize>(
    input: &Tensor<D>,
    weight: &Tensor<W>,
    bias: &Tensor<1>,
    run: impl FnOnce(Tensor<D>, Tensor<W>, Tensor<1>) -> Tensor<D>,
) -> (Tensor<D>, Tensor<D>, Tensor<W>, Tensor<1>) {
    let input = Tensor::from_inner(input.clone()).require_grad();
    let weight = Tensor::from_inner(weight.clone()).require_grad();
    let bias = Tensor::from_inner(bias.clone()).require_grad();
    let output = run(input.clone(), weight.clone(), bias.clone());
    let slope = Numbers(9).tensor(output.dims(), &Device::flex());
    let gradients = (output.clone() * Tensor::from_inner(slope))
        .sum()
        .backward();
    (
        output.inner(),
        input.grad(&gradients).unwrap(),
        weight.grad(&gradients).unwrap(),
        bias.grad(&gradients).unwrap(),
    )
}

macro_rules! compare {
    ($what:expr, $input:expr, $weight:expr, $bias:expr, $ours:expr, $burns:expr) => {{
        let ours = differentiate(&$input, &$weight, &$bias, $ours);
        let burns = differentiate(&$input, &$weight, &$bias, $burns);
        agree(&format!("{} forward", $what), ours.0, burns.0);
        agree(&format!("{} input gradient", $what), ours.1, burns.1);
        agree(&format!("{} weight gradient", $what), ours.2, burns.2);
        agree(&format!("{} bias gradient", $what), ours.3, burns.3);
    }};
}

/// A layer with the given parameters instead of zeros.
macro_rules! with {
    ($layer:expr, $weight:expr, $bias:expr) => {{
        let mut layer = $layer;
        layer.weight = burn::module::Param::from_tensor($weight);
        layer.bias = Some(burn::module::Param::from_tensor($bias));
        layer
    }};
}

#[test]
fn two_dimensions_give_what_burns_give() {
    let device = Device::flex();
    let auto = device.clone().autodiff();
    let mut numbers = Numbers(1);
    for case in 0..60 {
        let groups = [1, 1, 2][case % 3];
        let (from, to) = (groups * numbers.among(1, 6), groups * numbers.among(1, 20));
        let kernel = [numbers.among(1, 4), numbers.among(1, 4)];
        let stride = [numbers.among(1, 3), numbers.among(1, 3)];
        let dilation = [numbers.among(1, 2), numbers.among(1, 2)];
        let padding = [numbers.among(0, 2), numbers.among(0, 2)];
        let size = [numbers.among(7, 13), numbers.among(7, 13)];
        let batch = numbers.among(1, 3);
        let input = numbers.tensor([batch, from, size[0], size[1]], &device);
        let weight = numbers.tensor([to, from / groups, kernel[0], kernel[1]], &device);
        let bias = numbers.tensor([to], &device);
        let config = Conv2dConfig::new([from, to], kernel)
            .stride(stride)
            .padding(padding)
            .dilation(dilation)
            .groups(groups);
        compare!(
            "convolution",
            input,
            weight,
            bias,
            |input, weight, bias| with!(config.with_bias().init(&auto), weight, bias)
                .forward(input),
            |input, weight, bias| conv2d(
                input,
                weight,
                Some(bias),
                ConvOptions::new(stride, padding, dilation, groups)
            )
        );
        // burn's own needs the output padding below the stride.
        let more = stride.map(|stride| numbers.among(0, stride - 1));
        let padding = [0, 1].map(|axis| padding[axis].min(dilation[axis] * (kernel[axis] - 1)));
        let weight = numbers.tensor([from, to / groups, kernel[0], kernel[1]], &device);
        let mut config = ConvTranspose2dConfig::new([from, to], kernel)
            .stride(stride)
            .padding(padding)
            .dilation(dilation)
            .groups(groups);
        config.window().output_padding = [0, more[0], more[1]];
        compare!(
            "transposed convolution",
            input,
            weight,
            bias,
            |input, weight, bias| with!(config.with_bias().init(&auto), weight, bias)
                .forward(input),
            |input, weight, bias| conv_transpose2d(
                input,
                weight,
                Some(bias),
                ConvTransposeOptions::new(stride, padding, more, dilation, groups)
            )
        );
    }
}

/// Enough channels and pixels for the quick way with kernels of 3 x 3.
#[test]
fn many_channels_by_three_by_three_give_what_burns_give() {
    let device = Device::flex();
    let auto = device.clone().autodiff();
    let mut numbers = Numbers(8);
    for (from, to, size, padding) in [
        (28, 37, [14, 15], [1, 1]),
        (40, 24, [19, 13], [0, 2]),
        (24, 64, [16, 16], [2, 1]),
    ] {
        let input = numbers.tensor([3, from, size[0], size[1]], &device);
        let weight = numbers.tensor([to, from, 3, 3], &device);
        let bias = numbers.tensor([to], &device);
        let config = Conv2dConfig::new([from, to], [3, 3]).padding(padding);
        compare!(
            format!("convolution of {from} to {to}"),
            input,
            weight,
            bias,
            |input, weight, bias| with!(config.with_bias().init(&auto), weight, bias)
                .forward(input),
            |input, weight, bias| conv2d(
                input,
                weight,
                Some(bias),
                ConvOptions::new([1, 1], padding, [1, 1], 1)
            )
        );
        let weight = numbers.tensor([from, to, 3, 3], &device);
        let config = ConvTranspose2dConfig::new([from, to], [3, 3]).padding(padding);
        compare!(
            format!("transposed convolution of {from} to {to}"),
            input,
            weight,
            bias,
            |input, weight, bias| with!(config.with_bias().init(&auto), weight, bias)
                .forward(input),
            |input, weight, bias| conv_transpose2d(
                input,
                weight,
                Some(bias),
                ConvTransposeOptions::new([1, 1], padding, [0, 0], [1, 1], 1)
            )
        );
    }
}

#[test]
fn three_dimensions_give_what_burns_give() {
    let device = Device::flex();
    let auto = device.clone().autodiff();
    let mut numbers = Numbers(2);
    for _ in 0..10 {
        let (from, to) = (numbers.among(1, 5), numbers.among(1, 9));
        let stride = [numbers.among(1, 2); 3];
        let input = numbers.tensor([2, from, 5, 6, 4], &device);
        let weight = numbers.tensor([to, from, 4, 4, 4], &device);
        let bias = numbers.tensor([to], &device);
        let config = Conv3dConfig::new([from, to], [4; 3])
            .stride(stride)
            .padding([1; 3]);
        compare!(
            "convolution",
            input,
            weight,
            bias,
            |input, weight, bias| with!(config.with_bias().init(&auto), weight, bias)
                .forward(input),
            |input, weight, bias| conv3d(
                input,
                weight,
                Some(bias),
                ConvOptions::new(stride, [1; 3], [1; 3], 1)
            )
        );
        let weight = numbers.tensor([from, to, 4, 4, 4], &device);
        let config = ConvTranspose3dConfig::new([from, to], [4; 3])
            .stride(stride)
            .padding([1; 3]);
        compare!(
            "transposed convolution",
            input,
            weight,
            bias,
            |input, weight, bias| with!(config.with_bias().init(&auto), weight, bias)
                .forward(input),
            |input, weight, bias| conv_transpose3d(
                input,
                weight,
                Some(bias),
                ConvTransposeOptions::new(stride, [1; 3], [0; 3], [1; 3], 1)
            )
        );
    }
}

/// burn's own activation.
fn plain<const D: usize>(input: Tensor<D>, activation: Activation) -> Tensor<D> {
    match activation {
        Activation::Identity => input,
        Activation::LeakyRelu(slope) => burns::leaky_relu(input, f64::from(slope)),
        Activation::Tanh => input.tanh(),
        Activation::Sigmoid => burns::sigmoid(input),
    }
}

const ACTIVATIONS: [Activation; 5] = [
    Activation::Identity,
    Activation::RELU,
    Activation::LeakyRelu(0.2),
    Activation::Tanh,
    Activation::Sigmoid,
];

#[test]
fn layers_with_their_activation_give_what_burns_give() {
    let device = Device::flex();
    let auto = device.clone().autodiff();
    let mut numbers = Numbers(3);
    for kind in ACTIVATIONS {
        for (batch, from, to) in [
            (1, 1, 1),
            (3, 5, 7),
            (64, 100, 500),
            (17, 33, 20),
            (130, 50, 784),
        ] {
            let input = numbers.tensor([batch, from], &device);
            let weight = numbers.tensor([from, to], &device);
            let bias = numbers.tensor([to], &device);
            compare!(
                format!("fully connected {batch} {from} {to} {kind:?}"),
                input,
                weight,
                bias,
                |input, weight, bias| with!(Linear::new(from, to, &auto), weight, bias)
                    .activated(input, kind),
                |input, weight, bias: Tensor<1>| plain(
                    input.matmul(weight) + bias.unsqueeze(),
                    kind
                )
            );
        }
        let input = numbers.tensor([3, 4, 9, 9], &device);
        let weight = numbers.tensor([6, 4, 4, 4], &device);
        let bias = numbers.tensor([6], &device);
        compare!(
            format!("convolution {kind:?}"),
            input,
            weight,
            bias,
            |input, weight, bias| with!(
                Conv2dConfig::new([4, 6], [4, 4])
                    .stride([2, 2])
                    .padding([1, 1])
                    .with_bias()
                    .init(&auto),
                weight,
                bias
            )
            .activated(input, kind),
            |input, weight, bias| plain(
                conv2d(
                    input,
                    weight,
                    Some(bias),
                    ConvOptions::new([2, 2], [1, 1], [1, 1], 1)
                ),
                kind
            )
        );
    }
}

#[test]
fn normalisation_gives_what_burns_operators_give() {
    let device = Device::flex();
    let mut numbers = Numbers(4);
    for kind in ACTIVATIONS {
        for shape in [[5, 3, 4, 7], [7, 17, 1, 1], [33, 2, 8, 8], [1, 1, 40, 50]] {
            let channels = shape[1];
            // Away from zero: the mean must be taken off before the squares are summed.
            let input = numbers.tensor(shape, &device) * 3.0 + 5.0;
            let weight = numbers.tensor([channels], &device);
            let bias = numbers.tensor([channels], &device);
            let along = [1, channels, 1, 1];
            compare!(
                format!("{shape:?} {kind:?}"),
                input,
                weight,
                bias,
                |input, weight, bias| normalised(input, weight, bias, 1e-5, kind).output,
                |input: Tensor<4>, weight: Tensor<1>, bias: Tensor<1>| {
                    let mean = |tensor: Tensor<4>| tensor.mean_dim(0).mean_dim(2).mean_dim(3);
                    let centred = input.clone() - mean(input);
                    let variance = mean(centred.clone() * centred.clone());
                    let normal = centred / (variance + 1e-5).sqrt();
                    plain(normal * weight.reshape(along) + bias.reshape(along), kind)
                }
            );
            let ours = scaled(input.clone(), weight.clone(), bias.clone(), kind);
            agree(
                "scaled",
                ours,
                plain(input * weight.reshape(along) + bias.reshape(along), kind),
            );
        }
    }
}

#[test]
fn pools_give_what_burns_give() {
    let device = Device::flex();
    let mut numbers = Numbers(7);
    for case in 0..60 {
        let side = numbers.among(1, 5);
        let windows = Pool {
            taken: [Taken::Maximum, Taken::Average][case % 2],
            side,
            stride: numbers.among(1, 3),
            padding: numbers.among(0, side / 2),
        };
        let shape = [2, 3, numbers.among(5, 40), numbers.among(5, 40)];
        let input = numbers.tensor(shape, &device);
        let unused = numbers.tensor([1], &device);
        let burns = |input: Tensor<4>| {
            let [sides, strides, paddings] =
                [windows.side, windows.stride, windows.padding].map(|each| [each; 2]);
            match windows.taken {
                Taken::Maximum => max_pool2d(
                    input,
                    MaxPoolOptions::new(sides)
                        .with_stride(strides)
                        .with_padding(paddings),
                ),
                Taken::Average => avg_pool2d(
                    input,
                    AvgPoolOptions::new(sides)
                        .with_stride(strides)
                        .with_padding(paddings)
                        .with_count_include_pad(false),
                ),
            }
        };
        // The weight and the bias only so that all three have gradients.
        compare!(
            format!("{windows:?} of {shape:?}"),
            input,
            unused.clone(),
            unused,
            |input, weight, bias| pool(input, windows) * weight.reshape([1; 4])
                + bias.reshape([1; 4]),
            |input, weight: Tensor<1>, bias: Tensor<1>| burns(input) * weight.reshape([1; 4])
                + bias.reshape([1; 4])
        );
    }
}

#[test]
fn activations_are_exact_to_the_last_places_and_keep_what_is_no_number() {
    let device = Device::flex();
    let mut inputs: Vec<f32> = (-40_000..40_000)
        .map(|number| number as f32 / 2000.0)
        .collect();
    inputs.extend([
        0.0,
        -0.0,
        1e-30,
        1e-5,
        4e-4,
        3.9e-4,
        1e3,
        -1e3,
        f32::INFINITY,
        f32::NEG_INFINITY,
    ]);
    let tensor = Tensor::<1>::from_data(TensorData::new(inputs.clone(), [inputs.len()]), &device);
    for (kind, exact) in [
        (Activation::Tanh, f64::tanh as fn(f64) -> f64),
        (Activation::Sigmoid, |x: f64| 1.0 / (1.0 + (-x).exp())),
    ] {
        for (input, ours) in inputs.iter().zip(values(activation(tensor.clone(), kind))) {
            let exact = exact(f64::from(*input));
            // Of the value itself for a tangent, of 1 for a sigmoid.
            let scale = if kind == Activation::Tanh {
                exact.abs().max(1e-37)
            } else {
                1.0
            };
            assert!(
                (f64::from(ours) - exact).abs() <= 5e-7 * scale,
                "{kind:?} of {input} is {ours} instead of {exact}"
            );
            assert!(ours.abs() <= 1.0, "{kind:?} of {input} is {ours}");
        }
    }
    let far = Tensor::<1>::from_data([f32::NEG_INFINITY, f32::INFINITY], &device);
    assert_eq!(
        values(activation(far, Activation::RELU)),
        [0.0, f32::INFINITY]
    );
    for kind in ACTIVATIONS {
        let nothing = Tensor::<1>::from_data([f32::NAN], &device);
        assert!(
            values(activation(nothing, kind))[0].is_nan(),
            "{kind:?} hides that a value is no number"
        );
    }
}

#[test]
fn adam_and_averages_give_what_burns_operators_give() {
    let device = Device::flex();
    let mut numbers = Numbers(5);
    let mut tensors = || numbers.tensor([40_001], &device);
    let (parameter, gradient, first, second) = (tensors(), tensors(), tensors(), tensors().abs());
    let step = Adam::new(0.01, 0.5, 0.999, 1e-8, 7);
    let ours = adam(
        parameter.clone(),
        gradient.clone(),
        first.clone(),
        second.clone(),
        step,
    );
    let kept = values(parameter.clone());
    let first = first * 0.5 + gradient.clone() * 0.5;
    let second = second * 0.999 + gradient.clone() * gradient * 0.001;
    let denominator = second.clone().sqrt() / (1.0 - 0.999_f64.powi(7)).sqrt() + 1e-8;
    let moved = parameter.clone() - first.clone() / denominator * (0.01 / (1.0 - 0.5_f64.powi(7)));
    agree("parameter", ours.0, moved);
    agree("first moment", ours.1, first.clone());
    agree("second moment", ours.2, second.clone());
    assert_eq!(
        values(parameter),
        kept,
        "a tensor that others hold is not changed in place"
    );
    let ours = average(first.clone(), second.clone(), 0.9, 0.1);
    agree("average", ours, first * 0.9 + second * 0.1);
}

/// The bytes of a whole layer's passes, forward and backward.
fn bytes() -> Vec<u32> {
    let device = Device::flex();
    let auto = device.clone().autodiff();
    let mut numbers = Numbers(6);
    let mut all = Vec::new();
    for (batch, from, to, size) in [
        (9, 3, 20, 32),
        (2, 40, 70, 16),
        (1, 64, 3, 40),
        (32, 8, 1, 4),
    ] {
        let input = numbers.tensor([batch, from, size, size], &device);
        let weight = numbers.tensor([to, from, 4, 4], &device);
        let bias = numbers.tensor([to], &device);
        let scale = numbers.tensor([to], &device);
        let run = |input, weight, bias| {
            let layer = Conv2dConfig::new([from, to], [4, 4])
                .stride([2, 2])
                .padding([1, 1])
                .with_bias();
            let output =
                with!(layer.init(&auto), weight, bias).activated(input, Activation::LeakyRelu(0.2));
            let scale = Tensor::from_inner(scale);
            let shift = scale.clone();
            normalised(output, scale, shift, 1e-5, Activation::RELU).output
        };
        let (output, of_input, of_weight, of_bias) = differentiate(&input, &weight, &bias, run);
        for part in [
            values(output),
            values(of_input),
            values(of_weight),
            values(of_bias),
        ] {
            all.extend(part.into_iter().map(f32::to_bits));
        }
    }
    // More than four million values in one sum.
    let long = numbers.tensor([5, 1, 1000, 1000], &device);
    let one = Tensor::<1>::ones([1], &device);
    let result = normalised(long, one.clone(), one, 1e-5, Activation::Identity);
    all.extend(
        values(result.mean)
            .into_iter()
            .chain(values(result.variance))
            .map(f32::to_bits),
    );
    all
}

#[test]
fn the_bytes_do_not_depend_on_the_threads() {
    let with = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .build()
            .unwrap();
        pool.install(bytes)
    };
    let one = with(1);
    assert!(one == with(2), "two threads give other bytes than one");
    assert!(one == with(4), "four threads give other bytes than one");
    assert!(one == with(4), "the same again gives other bytes");
}
