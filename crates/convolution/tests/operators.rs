//! Every operator against plain loops in `f64`, over random shapes, with every set of vector instructions.

use convolution::{
    Activation, Geometry, Groups, Level, activate, activate_gradient, bias_gradient, convolve,
    normalise, normalise_gradient, transpose, weight_gradient,
};

/// A small generator of repeatable numbers (SplitMix64).
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut value = self.0;
        value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        value ^ (value >> 31)
    }

    fn among(&mut self, from: usize, to: usize) -> usize {
        from + (self.next() % (to - from + 1) as u64) as usize
    }

    fn values(&mut self, count: usize) -> Vec<f32> {
        (0..count)
            .map(|_| (self.next() >> 40) as f32 / (1 << 23) as f32 - 1.0)
            .collect()
    }

    /// A random geometry of one to three dimensions.
    fn geometry(&mut self) -> Geometry {
        let dimensions = self.among(1, 3);
        let groups = [1, 1, 1, 2, 3][self.among(0, 4)];
        let mut sizes = [[1; 3]; 6];
        let mut padding = [(0, 0); 3];
        loop {
            for axis in 3 - dimensions..3 {
                let largest = if dimensions == 3 { 8 } else { 21 };
                sizes[0][axis] = self.among(1, largest);
                sizes[1][axis] = self.among(1, 5);
                sizes[2][axis] = self.among(1, 3);
                padding[axis] = (self.among(0, 3), self.among(0, 3));
                sizes[4][axis] = self.among(1, 3);
            }
            let [large, kernel, stride, _, dilation, _] = sizes;
            let Some(small) = Geometry::convolved(large, kernel, stride, padding, dilation) else {
                continue;
            };
            return Geometry {
                batch: self.among(1, 4),
                large_channels: groups * self.among(1, 11),
                small_channels: groups * self.among(1, 40),
                large,
                small,
                kernel,
                stride,
                padding,
                dilation,
                groups,
            };
        }
    }
}

/// Calls `visit` with (index in large, index in small, index in weight) of every multiplication.
fn every(geometry: &Geometry, mut visit: impl FnMut(usize, usize, usize)) {
    let g = geometry;
    let (rows, columns) = (g.small_channels / g.groups, g.large_channels / g.groups);
    for image in 0..g.batch {
        for row in 0..g.small_channels {
            for column in 0..columns {
                let channel = row / rows * columns + column;
                for tap in 0..g.taps() {
                    for pixel in 0..g.small_plane() {
                        let split = |number: usize, size: [usize; 3]| {
                            [
                                number / (size[1] * size[2]),
                                number / size[2] % size[1],
                                number % size[2],
                            ]
                        };
                        let (tap, pixel_at) = (split(tap, g.kernel), split(pixel, g.small));
                        let mut place = Some(0);
                        for axis in 0..3 {
                            let at = pixel_at[axis] * g.stride[axis] + tap[axis] * g.dilation[axis];
                            let at = at
                                .checked_sub(g.padding[axis].0)
                                .filter(|at| *at < g.large[axis]);
                            place = place.and_then(|place| at.map(|at| place * g.large[axis] + at));
                        }
                        let Some(place) = place else { continue };
                        let tap = (tap[0] * g.kernel[1] + tap[1]) * g.kernel[2] + tap[2];
                        visit(
                            (image * g.large_channels + channel) * g.large_plane() + place,
                            (image * g.small_channels + row) * g.small_plane() + pixel,
                            (row * columns + column) * g.taps() + tap,
                        );
                    }
                }
            }
        }
    }
}

fn agree(name: &str, geometry: &Geometry, ours: &[f32], reference: &[f64]) {
    assert_eq!(ours.len(), reference.len(), "{name} of {geometry:?}");
    let largest = reference
        .iter()
        .fold(1.0_f64, |largest, value| largest.max(value.abs()));
    for (place, (ours, reference)) in ours.iter().zip(reference).enumerate() {
        // A sum of up to some thousand products in single precision: 1e-5 of the largest result.
        assert!(
            (f64::from(*ours) - reference).abs() <= 1e-5 * largest,
            "{name}: value {place} is {ours} instead of {reference} in {geometry:?}"
        );
    }
}

fn compare(geometry: &Geometry, numbers: &mut Numbers) {
    let g = geometry;
    let large = numbers.values(g.large_length());
    let small = numbers.values(g.small_length());
    let weight = numbers.values(g.weight_length());
    let small_bias = numbers.values(g.small_channels);
    let large_bias = numbers.values(g.large_channels);
    let spread = |bias: &[f32], length: usize, plane: usize| -> Vec<f64> {
        (0..length)
            .map(|place| f64::from(bias[place / plane % bias.len()]))
            .collect()
    };
    let mut convolved = spread(&small_bias, small.len(), g.small_plane());
    let mut transposed = spread(&large_bias, large.len(), g.large_plane());
    let mut gradient = vec![0.0_f64; weight.len()];
    every(g, |in_large, in_small, in_weight| {
        let [l, s, w] = [large[in_large], small[in_small], weight[in_weight]].map(f64::from);
        convolved[in_small] += l * w;
        transposed[in_large] += s * w;
        gradient[in_weight] += l * s;
    });
    agree(
        "convolve",
        g,
        &convolve(g, &large, &weight, Some(&small_bias)),
        &convolved,
    );
    agree(
        "transpose",
        g,
        &transpose(g, &small, &weight, Some(&large_bias)),
        &transposed,
    );
    agree(
        "weight_gradient",
        g,
        &weight_gradient(g, &large, &small),
        &gradient,
    );
    let sums: Vec<f64> = (0..g.small_channels)
        .map(|channel| {
            let plane = g.small_plane();
            (0..small.len())
                .filter(|place| place / plane % g.small_channels == channel)
                .map(|place| f64::from(small[place]))
                .sum()
        })
        .collect();
    agree(
        "bias_gradient",
        g,
        &bias_gradient(g.batch, g.small_channels, g.small_plane(), &small),
        &sums,
    );
}

/// Forcing a level is for the whole process: one test tries all of them in turn.
#[test]
fn plain_loops_agree_with_every_level() {
    for level in Level::available() {
        Level::force(Some(level));
        let mut numbers = Numbers(1);
        for _ in 0..300 {
            let geometry = numbers.geometry();
            compare(&geometry, &mut numbers);
        }
        // A kernel that covers the whole picture once, as first and last layers have it.
        for _ in 0..20 {
            let kernel = [
                numbers.among(1, 2),
                numbers.among(1, 4),
                numbers.among(1, 4),
            ];
            let geometry = Geometry {
                batch: numbers.among(1, 9),
                large_channels: numbers.among(1, 30),
                small_channels: numbers.among(1, 60),
                large: kernel,
                small: [1; 3],
                kernel,
                stride: [numbers.among(1, 4); 3],
                padding: [(0, 0); 3],
                dilation: [1; 3],
                groups: 1,
            };
            compare(&geometry, &mut numbers);
        }
    }
    Level::force(None);
}

/// The slope of `loss` where `values[place]` is varied, by central differences in double precision.
fn slope(values: &[f64], place: usize, loss: impl Fn(&[f64]) -> f64) -> f64 {
    let step = 1e-5;
    let mut moved = values.to_vec();
    moved[place] = values[place] + step;
    let above = loss(&moved);
    moved[place] = values[place] - step;
    (above - loss(&moved)) / (2.0 * step)
}

fn wide(values: &[f32]) -> Vec<f64> {
    values.iter().copied().map(f64::from).collect()
}

#[track_caller]
fn near(what: &str, ours: f32, reference: f64) {
    assert!(
        (f64::from(ours) - reference).abs() <= 2e-5 * reference.abs().max(1.0),
        "{what}: {ours} instead of {reference}"
    );
}

#[test]
fn gradients_of_convolutions_are_finite_differences() {
    let mut numbers = Numbers(7);
    for _ in 0..60 {
        let g = numbers.geometry();
        let large = numbers.values(g.large_length());
        let weight = numbers.values(g.weight_length());
        let small = numbers.values(g.small_length());
        // The loss of a convolution whose output is weighed by `small`; as a function of `small`, that of a
        // transposed convolution weighed by `large`.
        let loss = |large: &[f64], weight: &[f64], small: &[f64]| {
            let mut loss = 0.0;
            every(&g, |l, s, w| loss += large[l] * small[s] * weight[w]);
            loss
        };
        let (l, w, s) = (wide(&large), wide(&weight), wide(&small));
        let of_large = transpose(&g, &small, &weight, None);
        let of_small = convolve(&g, &large, &weight, None);
        let of_weight = weight_gradient(&g, &large, &small);
        for _ in 0..4 {
            let place = numbers.among(0, l.len() - 1);
            let reference = slope(&l, place, |l| loss(l, &w, &s));
            near("large picture", of_large[place], reference);
            let place = numbers.among(0, s.len() - 1);
            let reference = slope(&s, place, |s| loss(&l, &w, s));
            near("small picture", of_small[place], reference);
            let place = numbers.among(0, w.len() - 1);
            let reference = slope(&w, place, |w| loss(&l, w, &s));
            near("weight", of_weight[place], reference);
        }
    }
}

/// An activation in double precision.
fn exactly(activation: Activation, x: f64) -> f64 {
    match activation {
        Activation::Identity => x,
        Activation::LeakyRelu(slope) => x.max(0.0) + f64::from(slope) * x.min(0.0),
        Activation::Tanh => x.tanh(),
        Activation::Sigmoid => 1.0 / (1.0 + (-x).exp()),
    }
}

#[test]
fn gradients_of_normalisations_and_activations_are_finite_differences() {
    let mut numbers = Numbers(8);
    for activation in [
        Activation::Identity,
        Activation::LeakyRelu(0.2),
        Activation::Tanh,
        Activation::Sigmoid,
    ] {
        for _ in 0..10 {
            let groups = Groups {
                groups: numbers.among(1, 5),
                repeats: numbers.among(1, 3),
                length: numbers.among(4, 40),
            };
            let count = groups.groups * groups.repeats * groups.length;
            let input = numbers.values(count);
            let (weight, bias) = (numbers.values(groups.groups), numbers.values(groups.groups));
            let weights = numbers.values(count);
            let loss = |input: &[f64], weight: &[f64], bias: &[f64]| {
                let mut loss = 0.0;
                for group in 0..groups.groups {
                    let places: Vec<usize> = (0..count)
                        .filter(|place| place / groups.length % groups.groups == group)
                        .collect();
                    let number = places.len() as f64;
                    let mean = places.iter().map(|place| input[*place]).sum::<f64>() / number;
                    let squares = places.iter().map(|place| (input[*place] - mean).powi(2));
                    let deviation = (squares.sum::<f64>() / number + 1e-5).sqrt();
                    for place in places {
                        let normal = (input[place] - mean) / deviation;
                        let value = exactly(activation, weight[group] * normal + bias[group]);
                        loss += value * f64::from(weights[place]);
                    }
                }
                loss
            };
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
                &weights,
            );
            let (i, w, b) = (wide(&input), wide(&weight), wide(&bias));
            for _ in 0..5 {
                let place = numbers.among(0, count - 1);
                let reference = slope(&i, place, |i| loss(i, &w, &b));
                near("input", gradient.input[place], reference);
                let group = numbers.among(0, groups.groups - 1);
                let reference = slope(&w, group, |w| loss(&i, w, &b));
                near("weight", gradient.weight[group], reference);
                let reference = slope(&b, group, |b| loss(&i, &w, b));
                near("bias", gradient.bias[group], reference);
            }
        }
        let input = numbers.values(100);
        let ones = vec![1.0; 100];
        let gradient = activate_gradient(activation, &activate(activation, &input), &ones);
        for (input, gradient) in wide(&input).into_iter().zip(gradient) {
            let reference = slope(&[input], 0, |x| exactly(activation, x[0]));
            near("activation", gradient, reference);
        }
    }
}

#[test]
fn long_sums_keep_their_last_places() {
    let geometry = Geometry {
        batch: 128,
        large_channels: 1,
        small_channels: 1,
        large: [1, 32, 32],
        small: [1, 32, 32],
        kernel: [1; 3],
        stride: [1; 3],
        padding: [(0, 0); 3],
        dilation: [1; 3],
        groups: 1,
    };
    let large = vec![0.1; geometry.large_length()];
    let small = vec![1.0; geometry.small_length()];
    let sum = f64::from(weight_gradient(&geometry, &large, &small)[0]);
    let exact = f64::from(0.1_f32) * large.len() as f64;
    assert!(
        (sum - exact).abs() < 1e-5 * exact,
        "{sum} instead of {exact}"
    );
}

#[test]
fn nothing_gives_nothing() {
    let linear = |batch, inputs, outputs| {
        let (input, weight) = (vec![1.0; batch * inputs], vec![1.0; inputs * outputs]);
        let (bias, kind) = (vec![2.0; outputs], Activation::Identity);
        convolution::linear(batch, &input, &weight, Some(&bias), outputs, kind)
    };
    assert_eq!(linear(3, 0, 2), [2.0; 6]);
    assert!(linear(0, 2, 2).is_empty());
    assert!(linear(3, 2, 0).is_empty());
    for (batch, from, to) in [(0, 2, 3), (2, 0, 3), (2, 2, 0)] {
        let geometry = Geometry {
            batch,
            large_channels: from,
            small_channels: to,
            large: [1, 4, 4],
            small: [1; 3],
            kernel: [1, 4, 4],
            stride: [1; 3],
            padding: [(0, 0); 3],
            dilation: [1; 3],
            groups: 1,
        };
        let large = vec![1.0; geometry.large_length()];
        let small = vec![1.0; geometry.small_length()];
        let weight = vec![1.0; geometry.weight_length()];
        let is_zero = |values: Vec<f32>| values.iter().all(|value| *value == 0.0);
        assert!(is_zero(convolve(&geometry, &large, &weight, None)));
        assert!(is_zero(transpose(&geometry, &small, &weight, None)));
        assert!(is_zero(weight_gradient(&geometry, &large, &small)));
    }
}

#[test]
fn sizes_beyond_memory_are_refused_and_not_wrapped() {
    let geometry = Geometry {
        batch: 1,
        large_channels: 64,
        small_channels: 64,
        large: [1 << 32, 1 << 32, 4],
        small: [1, 4096, 4],
        kernel: [1; 3],
        stride: [1; 3],
        padding: [(0, 0); 3],
        dilation: [1; 3],
        groups: 1,
    };
    let refused = std::panic::catch_unwind(|| convolve(&geometry, &[], &[0.0; 4096], None));
    assert!(refused.is_err());
}
