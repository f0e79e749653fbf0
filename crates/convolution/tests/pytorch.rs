//! The operators against PyTorch: some hundred random convolutions and normalisations with all gradients,
//! computed there in double precision by tests/fixtures/make.py.

use convolution::{
    Activation, Geometry, Groups, Level, bias_gradient, convolve, normalise, normalise_gradient,
    transpose, weight_gradient,
};
use safetensors::SafeTensors;
use std::path::Path;

/// The rows of a fixture's cases, and the results of all of them on end.
fn fixture(name: &str) -> (Vec<Vec<usize>>, Vec<f32>) {
    let path =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/operators.safetensors");
    let bytes = std::fs::read(path).expect("the fixture");
    let file = SafeTensors::deserialize(&bytes).expect("a safetensors file");
    let words = |name: &str| -> (usize, Vec<[u8; 4]>) {
        let tensor = file.tensor(name).expect("a tensor");
        let words = tensor.data().as_chunks().0.to_vec();
        (*tensor.shape().last().unwrap(), words)
    };
    let (width, cases) = words(&format!("{name}.cases"));
    let cases: Vec<usize> = cases
        .into_iter()
        .map(|word| i32::from_le_bytes(word) as usize)
        .collect();
    let (_, results) = words(&format!("{name}.results"));
    (
        cases.chunks_exact(width).map(<[usize]>::to_vec).collect(),
        results.into_iter().map(f32::from_le_bytes).collect(),
    )
}

/// make.py's `numbers`.
fn numbers(seed: usize, count: usize) -> Vec<f32> {
    let number = |place: usize| {
        let mut value = ((place + seed * 7919) as u32).wrapping_mul(2_654_435_761);
        value = (value ^ (value >> 15)).wrapping_mul(2_246_822_519);
        value ^= value >> 13;
        (value >> 8) as f32 / (1 << 23) as f32 - 1.0
    };
    (0..count).map(number).collect()
}

/// Takes the next values of `results` and compares them with ours.
#[track_caller]
fn agree(what: &str, row: &[usize], ours: &[f32], results: &mut &[f32], tolerance: f32) {
    let (reference, others) = results.split_at(ours.len());
    *results = others;
    let largest = reference
        .iter()
        .fold(1.0_f32, |largest, value| largest.max(value.abs()));
    for (place, (ours, reference)) in ours.iter().zip(reference).enumerate() {
        assert!(
            (ours - reference).abs() <= tolerance * largest,
            "{what}, value {place}: {ours} instead of PyTorch's {reference}; {row:?}"
        );
    }
}

fn convolution(number: usize, row: &[usize], results: &mut &[f32]) {
    let three = |place: usize| [row[place], row[place + 1], row[place + 2]];
    let (is_transposed, batch) = (row[0] == 1, row[1]);
    let channels = [row[2], row[3]];
    let sizes = [three(5), three(20)];
    let (large, small) = if is_transposed { (1, 0) } else { (0, 1) };
    let geometry = Geometry {
        batch,
        large_channels: channels[large],
        small_channels: channels[small],
        large: sizes[large],
        small: sizes[small],
        kernel: three(8),
        stride: three(11),
        padding: three(14).map(|padding| (padding, padding)),
        dilation: three(17),
        groups: row[4],
    };
    let count = |side: usize| batch * channels[side] * sizes[side].iter().product::<usize>();
    let input = numbers(4 * number, count(0));
    let weight = numbers(4 * number + 1, geometry.weight_length());
    let bias = numbers(4 * number + 2, channels[1]);
    let slope = numbers(4 * number + 3, count(1));
    let (output, of_input, of_weight) = if is_transposed {
        (
            transpose(&geometry, &input, &weight, Some(&bias)),
            convolve(&geometry, &slope, &weight, None),
            weight_gradient(&geometry, &slope, &input),
        )
    } else {
        (
            convolve(&geometry, &input, &weight, Some(&bias)),
            transpose(&geometry, &slope, &weight, None),
            weight_gradient(&geometry, &input, &slope),
        )
    };
    let of_bias = bias_gradient(batch, channels[1], sizes[1].iter().product(), &slope);
    for (what, ours) in [
        ("output", output),
        ("input gradient", of_input),
        ("weight gradient", of_weight),
        ("bias gradient", of_bias),
    ] {
        agree(what, row, &ours, results, 3e-6);
    }
}

fn normalisation(number: usize, row: &[usize], results: &mut &[f32]) {
    let (is_instance, batch, channels) = (row[0] == 1, row[2], row[3]);
    let groups = Groups {
        groups: if is_instance {
            batch * channels
        } else {
            channels
        },
        repeats: if is_instance { 1 } else { batch },
        length: row[4] * row[5],
    };
    let activation = [
        Activation::Identity,
        Activation::RELU,
        Activation::LeakyRelu(0.2),
        Activation::Tanh,
        Activation::Sigmoid,
    ][row[1]];
    let count = batch * channels * groups.length;
    let input: Vec<f32> = numbers(4 * number, count)
        .into_iter()
        .map(|value| 3.0 * value + 5.0)
        .collect();
    let weight: Vec<f32> = numbers(4 * number + 1, channels)
        .into_iter()
        .map(|value| value + 1.5)
        .collect();
    let bias = numbers(4 * number + 2, channels);
    let slope = numbers(4 * number + 3, count);
    let ours = normalise(groups, &input, &weight, &bias, 1e-5, activation);
    let gradient = normalise_gradient(
        groups,
        &input,
        &weight,
        &bias,
        &ours.mean,
        &ours.variance,
        1e-5,
        activation,
        &slope,
    );
    // A group's own share of the gradient of a weight that serves several.
    let together = |of_groups: &[f32]| -> Vec<f32> {
        let of_channel = |channel: usize| of_groups.iter().skip(channel).step_by(channels).sum();
        (0..channels).map(of_channel).collect()
    };
    // Groups of two nearly equal values have a variance far below the squares of the values.
    let tolerance = 2e-4;
    agree("output", row, &ours.output, results, tolerance);
    agree("input gradient", row, &gradient.input, results, tolerance);
    for (what, of_groups) in [
        ("weight gradient", gradient.weight),
        ("bias gradient", gradient.bias),
    ] {
        agree(what, row, &together(&of_groups), results, tolerance);
    }
}

/// Forcing a level is for the whole process: one test tries all of them in turn.
#[test]
fn every_level_gives_what_pytorch_gives() {
    for level in Level::available() {
        Level::force(Some(level));
        for (name, compare) in [
            (
                "convolution",
                convolution as fn(usize, &[usize], &mut &[f32]),
            ),
            ("normalisation", normalisation),
        ] {
            let (cases, results) = fixture(name);
            assert!(cases.len() >= 60, "{} cases of {name}", cases.len());
            let mut results = results.as_slice();
            for (number, row) in cases.iter().enumerate() {
                compare(number, row, &mut results);
            }
            assert!(results.is_empty(), "results that nobody compared");
        }
    }
    Level::force(None);
}
