//! The operators: what a geometry and numbers give.

use rayon::prelude::*;

use crate::activation::Activation;
use crate::geometry::Geometry;
use crate::linear::{linear, linear_input, linear_weight};
use crate::multiply::{Finish, Packed, Places, Product, write_all};
use crate::normalise::{self, Groups};
use crate::picture::{Padded, Pictures, Pixels};
use crate::simd::Level;
use crate::weights::WeightSum;
use crate::winograd;
use crate::workspace::Shared;

/// A vector of values that are all written before anyone reads them.
#[expect(clippy::uninit_vec, reason = "zeroing costs as much as some operators")]
pub(crate) fn unwritten(length: usize) -> Vec<f32> {
    let mut values = Vec::with_capacity(length);
    // SAFETY: the room is there, every pattern of bits is an f32, and every caller writes all of the values
    // before it reads any. (The letter of `set_len` wants them written before.)
    unsafe { values.set_len(length) };
    values
}

fn check(name: &str, values: &[f32], length: usize, geometry: &Geometry) {
    assert!(
        values.len() == length,
        "the {name} has {} values instead of {length} of {geometry:?}",
        values.len()
    );
}

/// From large to small: a convolution, or the input gradient of a transposed one.
///
/// # Shapes
/// - large: `[batch, large_channels, large..]`
/// - weight: `[small_channels, large_channels / groups, kernel..]`
/// - bias: `[small_channels]`
/// - result: `[batch, small_channels, small..]`
///
/// # Panics
/// If a length does not fit the geometry.
pub fn convolve(
    geometry: &Geometry,
    large: &[f32],
    weight: &[f32],
    bias: Option<&[f32]>,
) -> Vec<f32> {
    convolve_and(geometry, large, weight, None, bias, Activation::Identity)
}

/// As [`convolve`], then `activation(scale * sum + shift)` with one scale and shift for each channel: a
/// normalisation by known statistics costs nothing then.
///
/// # Panics
/// If a length does not fit the geometry.
pub fn convolve_and(
    geometry: &Geometry,
    large: &[f32],
    weight: &[f32],
    scale: Option<&[f32]>,
    shift: Option<&[f32]>,
    activation: Activation,
) -> Vec<f32> {
    geometry.check();
    check("large picture", large, geometry.large_length(), geometry);
    check("weight", weight, geometry.weight_length(), geometry);
    for values in [scale, shift].into_iter().flatten() {
        check("scale or shift", values, geometry.small_channels, geometry);
    }
    if is_whole(geometry) {
        // One sum over the whole picture for each channel: a matrix product.
        let taps = geometry.large_channels * geometry.taps();
        let small = linear_input(geometry.batch, large, weight, taps);
        return finished(
            geometry.batch,
            geometry.small_channels,
            small,
            scale,
            shift,
            activation,
        );
    }
    let finish = Finish {
        scale,
        shift,
        activation,
    };
    let level = Level::current();
    let mut small = unwritten(geometry.small_length());
    if winograd::suits(geometry) {
        winograd::convolve(level, geometry, large, weight, finish, &mut small);
        return small;
    }
    let (padded, taps) = padded_large(geometry);
    let channels = geometry.small_channels / geometry.groups;
    let pack = |group: usize| {
        let places = Places {
            channels,
            rows: 1,
            base: group * channels * taps.len(),
            channel_step: taps.len(),
            row_step: 0,
        };
        Packed::all(level, weight, places, &[(0..taps.len()).collect()])
    };
    let weights: Vec<Packed> = (0..geometry.groups).flat_map(pack).collect();
    let pictures = Pictures {
        padded: &padded,
        batch: geometry.batch,
        values: large,
    };
    let products: Vec<Product> = (0..geometry.groups)
        .map(|group| Product {
            weights: &weights[group],
            taps: &taps,
            pixels: pixels_of_small(geometry, &padded, group),
            target_plane: geometry.small_plane(),
            start: None,
            finish: finish.of(group * channels..(group + 1) * channels),
        })
        .collect();
    // SAFETY: pixels and planes count the small pictures' values of each group's channels, each once.
    unsafe { write_all(level, &products, pictures, Shared::new(&mut small)) };
    small
}

/// From small to large: a transposed convolution, or the input gradient of a convolution.
///
/// # Shapes
/// - small: `[batch, small_channels, small..]`
/// - weight: `[small_channels, large_channels / groups, kernel..]`
/// - bias: `[large_channels]`
/// - result: `[batch, large_channels, large..]`
///
/// # Panics
/// If a length does not fit the geometry.
pub fn transpose(
    geometry: &Geometry,
    small: &[f32],
    weight: &[f32],
    bias: Option<&[f32]>,
) -> Vec<f32> {
    transpose_and(geometry, small, weight, None, bias, Activation::Identity)
}

/// As [`transpose`], then `activation(scale * sum + shift)` with one scale and shift for each channel.
///
/// # Panics
/// If a length does not fit the geometry.
pub fn transpose_and(
    geometry: &Geometry,
    small: &[f32],
    weight: &[f32],
    scale: Option<&[f32]>,
    shift: Option<&[f32]>,
    activation: Activation,
) -> Vec<f32> {
    geometry.check();
    check("small picture", small, geometry.small_length(), geometry);
    check("weight", weight, geometry.weight_length(), geometry);
    for values in [scale, shift].into_iter().flatten() {
        check("scale or shift", values, geometry.large_channels, geometry);
    }
    if is_whole(geometry) {
        let taps = geometry.large_channels * geometry.taps();
        let large = linear(
            geometry.batch,
            small,
            weight,
            None,
            taps,
            Activation::Identity,
        );
        return finished(
            geometry.batch,
            geometry.large_channels,
            large,
            scale,
            shift,
            activation,
        );
    }
    let finish = Finish {
        scale,
        shift,
        activation,
    };
    let level = Level::current();
    let mut large = unwritten(geometry.large_length());
    if let Some(mirrored) = winograd::mirrored(geometry) {
        let weight = winograd::mirrored_weight(geometry, weight);
        winograd::convolve(level, &mirrored, small, &weight, finish, &mut large);
        return large;
    }
    // Value o of the large picture, plus the padding, is s * u + r: phase r of the stride s sees only the
    // places t of the kernel whose distance is r too, and reads the small picture at u - (t * d - r) / s.
    // So each phase is a small dense convolution without any multiplication by zero.
    let phases: Vec<Vec<Phase>> = (0..3).map(|axis| Phase::all(geometry, axis)).collect();
    let before: [usize; 3] = std::array::from_fn(|axis| {
        phases[axis]
            .iter()
            .map(|phase| phase.reach().saturating_sub(phase.first))
            .max()
            .unwrap_or(0)
    });
    let full: [usize; 3] = std::array::from_fn(|axis| {
        let last = phases[axis]
            .iter()
            .map(|phase| phase.first + phase.count)
            .max()
            .unwrap_or(0);
        before[axis] + last.max(geometry.small[axis])
    });
    let padded = Padded::new(geometry.small_channels, geometry.small, before, full, 1);
    let plane = geometry.large_plane();
    let rows = geometry.small_channels / geometry.groups;
    let channels = geometry.large_channels / geometry.groups;
    let strides = [geometry.large[1] * geometry.large[2], geometry.large[2], 1];
    let all: Vec<[&Phase; 3]> = phases[0]
        .iter()
        .flat_map(|deep| phases[1].iter().map(move |high| (deep, high)))
        .flat_map(|(deep, high)| phases[2].iter().map(move |wide| [deep, high, wide]))
        .collect();
    let seen: Vec<Vec<Tap>> = all
        .iter()
        .map(|phase| Phase::together(*phase, geometry, &padded, before))
        .collect();
    let of_weight: Vec<Vec<usize>> = seen
        .iter()
        .map(|taps| taps.iter().map(|tap| tap.weight).collect())
        .collect();
    let pack = |group: usize| {
        let places = Places {
            channels,
            rows,
            base: group * rows * channels * geometry.taps(),
            channel_step: geometry.taps(),
            row_step: channels * geometry.taps(),
        };
        Packed::all(level, weight, places, &of_weight)
    };
    let weights: Vec<Packed> = (0..geometry.groups).flat_map(pack).collect();
    let pictures = Pictures {
        padded: &padded,
        batch: geometry.batch,
        values: small,
    };
    let channel = padded.plane();
    let of_picture: Vec<Vec<usize>> = seen
        .iter()
        .map(|taps| {
            (0..rows)
                .flat_map(|row| taps.iter().map(move |tap| row * channel + tap.picture))
                .collect()
        })
        .collect();
    let products: Vec<Product> = weights
        .iter()
        .enumerate()
        .map(|(number, weights)| {
            let (group, phase) = (number / all.len(), number % all.len());
            let pixels = Pixels {
                batch: geometry.batch,
                size: all[phase].map(|phase| phase.count),
                source_image: padded.image(),
                source_base: group * rows * channel,
                source_step: [padded.offset([1, 0, 0]), padded.offset([0, 1, 0]), 1],
                target_image: geometry.large_channels * plane,
                target_base: group * channels * plane
                    + (0..3)
                        .map(|axis| all[phase][axis].target * strides[axis])
                        .sum::<usize>(),
                target_step: std::array::from_fn(|axis| geometry.stride[axis] * strides[axis]),
            };
            Product {
                weights,
                taps: &of_picture[phase],
                pixels: pixels.merged(),
                target_plane: plane,
                start: None,
                finish: finish.of(group * channels..(group + 1) * channels),
            }
        })
        .collect();
    // SAFETY: the phases and groups divide the large pictures' values among them.
    unsafe { write_all(level, &products, pictures, Shared::new(&mut large)) };
    large
}

/// A place of the kernel that a phase sees.
struct Tap {
    /// Where its value lies in the kernel of one pair of channels.
    weight: usize,
    /// Where the first pixel of the phase finds its value in a channel of the padded small picture.
    picture: usize,
}

/// Whether the kernel covers the large picture once: first layers of generators, last ones of discriminators.
fn is_whole(geometry: &Geometry) -> bool {
    // Empty pictures go the general way, which knows the size of its result without them.
    let is_any = geometry.batch > 0 && geometry.large_channels > 0 && geometry.small_channels > 0;
    is_any
        && geometry.groups == 1
        && geometry.small == [1; 3]
        && geometry.large == geometry.kernel
        && geometry.dilation == [1; 3]
        && geometry.padding.iter().all(|(before, _)| *before == 0)
}

/// `activation(scale * values + shift)` where any of it is asked for, as a pass of its own.
fn finished(
    batch: usize,
    channels: usize,
    values: Vec<f32>,
    scale: Option<&[f32]>,
    shift: Option<&[f32]>,
    activation: Activation,
) -> Vec<f32> {
    if scale.is_none() && shift.is_none() && activation == Activation::Identity {
        return values;
    }
    let length = values.len() / (batch * channels).max(1);
    let groups = Groups {
        groups: channels,
        repeats: batch,
        length,
    };
    let (ones, zeros) = (vec![1.0; channels], vec![0.0; channels]);
    normalise::scale(
        groups,
        &values,
        scale.unwrap_or(&ones),
        shift.unwrap_or(&zeros),
        activation,
    )
}

/// The values of the large picture that lie on one place of the stride, along one axis.
struct Phase {
    /// Places of the kernel that they see, with how many values back each reads.
    taps: Vec<(usize, usize)>,
    /// Where the first of them reads in the small picture (a tap of 0 back), seen from its beginning.
    first: usize,
    /// Where the first of them lies in the large picture.
    target: usize,
    /// How many they are.
    count: usize,
}

impl Phase {
    fn all(geometry: &Geometry, axis: usize) -> Vec<Self> {
        let (stride, padding) = (geometry.stride[axis], geometry.padding[axis].0);
        let dilation = geometry.dilation[axis];
        let phase = |rest: usize| {
            let taps = (0..geometry.kernel[axis])
                .map(|tap| (tap, tap * dilation))
                .filter(|(_, far)| far % stride == rest)
                .map(|(tap, far)| (tap, far / stride))
                .collect();
            let first = padding.saturating_sub(rest).div_ceil(stride);
            let target = first * stride + rest - padding;
            let count = geometry.large[axis].saturating_sub(target).div_ceil(stride);
            Self {
                taps,
                first,
                target,
                count,
            }
        };
        (0..stride)
            .map(phase)
            .filter(|phase| phase.count > 0)
            .collect()
    }

    /// The places of the kernel that a phase of all three axes sees.
    fn together(
        phase: [&Self; 3],
        geometry: &Geometry,
        padded: &Padded,
        before: [usize; 3],
    ) -> Vec<Tap> {
        let mut taps = Vec::new();
        for (z, back) in &phase[0].taps {
            for (y, up) in &phase[1].taps {
                for (x, left) in &phase[2].taps {
                    let far = [back, up, left];
                    let at =
                        std::array::from_fn(|axis| before[axis] + phase[axis].first - far[axis]);
                    taps.push(Tap {
                        weight: (z * geometry.kernel[1] + y) * geometry.kernel[2] + x,
                        picture: padded.offset(at),
                    });
                }
            }
        }
        taps
    }

    fn reach(&self) -> usize {
        self.taps.iter().map(|(_, back)| *back).max().unwrap_or(0)
    }
}

/// The gradient of a weight, of both kinds of convolution.
///
/// # Shapes
/// - large: `[batch, large_channels, large..]`, the input of a convolution or the gradient of a transposed one
/// - small: `[batch, small_channels, small..]`, the gradient of a convolution or the input of a transposed one
/// - result: `[small_channels, large_channels / groups, kernel..]`
///
/// # Panics
/// If a length does not fit the geometry.
pub fn weight_gradient(geometry: &Geometry, large: &[f32], small: &[f32]) -> Vec<f32> {
    geometry.check();
    check("large picture", large, geometry.large_length(), geometry);
    check("small picture", small, geometry.small_length(), geometry);
    if is_whole(geometry) {
        return linear_weight(geometry.batch, small, large);
    }
    let (padded, _) = padded_large(geometry);
    let pictures = Pictures {
        padded: &padded,
        batch: geometry.batch,
        values: large,
    };
    let kernel = kernel_places(geometry, &padded);
    let mut weight = unwritten(geometry.weight_length());
    let channels = geometry.small_channels / geometry.groups;
    let larges = geometry.large_channels / geometry.groups;
    let terms = larges * kernel.len();
    for (group, weight) in weight
        .chunks_exact_mut((channels * terms).max(1))
        .enumerate()
    {
        let sum = WeightSum {
            level: Level::current(),
            pictures,
            large_channels: group * larges..(group + 1) * larges,
            kernel: &kernel,
            pixels: pixels_of_small(geometry, &padded, group),
            gradient: small,
            gradient_plane: geometry.small_plane(),
            channels,
            target_step: terms,
        };
        sum.write(weight);
    }
    weight
}

/// The gradient of a bias: the sum of each channel.
///
/// # Shapes
/// - gradient: `[batch, channels, plane]`
/// - result: `[channels]`
///
/// # Panics
/// If the length is not `batch * channels * plane`.
pub fn bias_gradient(batch: usize, channels: usize, plane: usize, gradient: &[f32]) -> Vec<f32> {
    assert_eq!(
        gradient.len(),
        batch * channels * plane,
        "the gradient's length"
    );
    if plane == 1 {
        // Columns of a matrix: sixteen side by side.
        let columns = |(number, sums): (usize, &mut [f32])| {
            let mut totals = [0.0_f64; 16];
            for row in gradient.chunks_exact(channels) {
                for (total, value) in totals.iter_mut().zip(&row[number * 16..]) {
                    *total += f64::from(*value);
                }
            }
            for (sum, total) in sums.iter_mut().zip(totals) {
                *sum = total as f32;
            }
        };
        let mut sums = vec![0.0; channels];
        let some = (2048 / batch.max(1)).max(1);
        sums.par_chunks_mut(16)
            .enumerate()
            .with_min_len(some)
            .for_each(columns);
        return sums;
    }
    let sum = |channel: usize| {
        let mut sum = 0.0;
        for image in 0..batch {
            let start = (image * channels + channel) * plane;
            sum += crate::sum::sum(&gradient[start..start + plane]);
        }
        sum as f32
    };
    let some = (16384 / (batch * plane).max(1)).max(1);
    (0..channels)
        .into_par_iter()
        .with_min_len(some)
        .map(sum)
        .collect()
}

/// How the large picture is laid out for reading, and where each value of a kernel lies in one group.
fn padded_large(geometry: &Geometry) -> (Padded, Vec<usize>) {
    let full = std::array::from_fn(|axis| {
        let reach = (geometry.small[axis] - 1) * geometry.stride[axis]
            + geometry.dilation[axis] * (geometry.kernel[axis] - 1)
            + 1;
        reach.max(geometry.large[axis] + geometry.padding[axis].0)
    });
    let padded = Padded::new(
        geometry.large_channels,
        geometry.large,
        geometry.padding.map(|sides| sides.0),
        full,
        geometry.stride[2],
    );
    let kernel = kernel_places(geometry, &padded);
    let taps = (0..geometry.large_channels / geometry.groups)
        .flat_map(|channel| kernel.iter().map(move |place| (channel, *place)))
        .map(|(channel, place)| channel * padded.plane() + place)
        .collect();
    (padded, taps)
}

/// Where the values of a kernel lie in a channel of the padded large picture.
fn kernel_places(geometry: &Geometry, padded: &Padded) -> Vec<usize> {
    let mut places = Vec::with_capacity(geometry.taps());
    for z in 0..geometry.kernel[0] {
        for y in 0..geometry.kernel[1] {
            for x in 0..geometry.kernel[2] {
                let place = [z, y, x];
                places.push(padded.offset(std::array::from_fn(|axis| {
                    place[axis] * geometry.dilation[axis]
                })));
            }
        }
    }
    places
}

/// The small picture's values: where each reads in the padded large picture and where it lies itself.
fn pixels_of_small(geometry: &Geometry, padded: &Padded, group: usize) -> Pixels {
    let plane = geometry.small_plane();
    let [_, height, width] = geometry.small;
    let steps = [
        [geometry.stride[0], 0, 0],
        [0, geometry.stride[1], 0],
        [0, 0, geometry.stride[2]],
    ];
    Pixels {
        batch: geometry.batch,
        size: geometry.small,
        source_image: padded.image(),
        source_base: group * (geometry.large_channels / geometry.groups) * padded.plane(),
        source_step: steps.map(|step| padded.offset(step)),
        target_image: geometry.small_channels * plane,
        target_base: group * (geometry.small_channels / geometry.groups) * plane,
        target_step: [height * width, width, 1],
    }
    .merged()
}
