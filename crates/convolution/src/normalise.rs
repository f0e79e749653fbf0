//! Normalisation with its activation, in one pass over the values each way.

use rayon::prelude::*;

use crate::activation::{Activation, for_each_kind};
use crate::operators::unwritten;
use crate::simd::{Level, Machine, Work, with};
use crate::sum::sum_of;
use crate::workspace::Shared;

/// Which values share a mean and a variance: `groups` groups of `repeats` stretches of `length` values.
///
/// Stretch `i` of group `g` begins at `(i * groups + g) * length`: for pictures `[batch, channels, plane]`
/// that is batch normalisation with `groups = channels, repeats = batch`, and instance normalisation with
/// `groups = batch * channels, repeats = 1`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Groups {
    /// How many means there are.
    pub groups: usize,
    /// Stretches of a group.
    pub repeats: usize,
    /// Values of a stretch.
    pub length: usize,
}

impl Groups {
    fn count(self) -> usize {
        self.repeats * self.length
    }

    fn values(self) -> usize {
        self.groups * self.count()
    }

    /// Where the stretches of a group begin.
    #[inline(always)]
    fn starts(self, group: usize) -> impl Iterator<Item = usize> {
        (0..self.repeats).map(move |repeat| (repeat * self.groups + group) * self.length)
    }

    /// Groups that one thread takes at once: enough work to be worth the change.
    fn at_once(self) -> usize {
        (8192 / self.count().max(1)).max(1)
    }
}

/// What normalisation gives.
pub struct Normalised {
    /// As many values as the input.
    pub output: Vec<f32>,
    /// The mean of each group.
    pub mean: Vec<f32>,
    /// The biased variance of each group.
    pub variance: Vec<f32>,
}

/// `activation(weight * (input - mean) / sqrt(variance + epsilon) + bias)`, with each group's own mean and
/// biased variance. Weight and bias go round: group g uses number `g % weight.len()`.
///
/// # Panics
/// If a length does not fit.
pub fn normalise(
    groups: Groups,
    input: &[f32],
    weight: &[f32],
    bias: &[f32],
    epsilon: f64,
    activation: Activation,
) -> Normalised {
    assert_eq!(input.len(), groups.values(), "values of {groups:?}");
    assert_eq!(weight.len(), bias.len(), "one bias for each weight");
    assert!(
        !weight.is_empty() || groups.groups == 0,
        "at least one weight"
    );
    let mut output = unwritten(input.len());
    let mut mean = vec![0.0; groups.groups];
    let mut variance = vec![0.0; groups.groups];
    let target = Shared::new(&mut output);
    let level = Level::current();
    (mean.par_iter_mut(), variance.par_iter_mut())
        .into_par_iter()
        .enumerate()
        .with_min_len(groups.at_once())
        .for_each(|(group, (mean, variance))| {
            let (weight, bias) = (weight[group % weight.len()], bias[group % bias.len()]);
            let forward = Forward {
                groups,
                group,
                input,
                weight,
                bias,
                epsilon,
                activation,
                target,
            };
            (*mean, *variance) = with(level, forward);
        });
    Normalised {
        output,
        mean,
        variance,
    }
}

struct Forward<'a> {
    groups: Groups,
    group: usize,
    input: &'a [f32],
    weight: f32,
    bias: f32,
    epsilon: f64,
    activation: Activation,
    target: Shared,
}

impl Work for Forward<'_> {
    type Output = (f32, f32);

    #[inline(always)]
    fn run<M: Machine>(self, _: M) -> (f32, f32) {
        let Self {
            groups,
            group,
            input,
            weight,
            bias,
            epsilon,
            activation,
            target,
        } = self;
        let count = groups.count() as f64;
        let stretches = || {
            groups
                .starts(group)
                .map(|start| &input[start..start + groups.length])
        };
        // Two passes over values that stay in the cache: exact also where the mean is far from zero.
        let mean = stretches()
            .map(|values| sum_of(values, |value| value))
            .sum::<f64>()
            / count;
        let centre = mean as f32;
        let squares = |value: f32| (value - centre) * (value - centre);
        let variance = stretches()
            .map(|values| sum_of(values, squares))
            .sum::<f64>()
            / count;
        // The rounding of the mean to single precision shifts the squares by its square.
        let variance = (variance - (mean - f64::from(centre)).powi(2)).max(0.0);
        let scale = f64::from(weight) / (variance + epsilon).sqrt();
        let shift = (f64::from(bias) - mean * scale) as f32;
        let scale = scale as f32;
        for start in groups.starts(group) {
            let from = &input[start..start + groups.length];
            // SAFETY: this group's stretches belong to this task alone and lie in the output, which is as
            // long as the input.
            let to =
                unsafe { std::slice::from_raw_parts_mut(target.get().add(start), groups.length) };
            scale_stretch(to, from, scale, shift, activation);
        }
        (mean as f32, variance as f32)
    }
}

#[inline(always)]
fn scale_stretch(to: &mut [f32], from: &[f32], scale: f32, shift: f32, activation: Activation) {
    for_each_kind!(activation, kind => {
        for (to, from) in to.iter_mut().zip(from) {
            *to = kind.value(*from * scale + shift);
        }
    });
}

/// `activation(scale * input + shift)`, with each group's own scale and shift.
///
/// # Panics
/// If a length does not fit.
pub fn scale(
    groups: Groups,
    input: &[f32],
    scale: &[f32],
    shift: &[f32],
    activation: Activation,
) -> Vec<f32> {
    assert_eq!(input.len(), groups.values(), "values of {groups:?}");
    assert_eq!(
        (scale.len(), shift.len()),
        (groups.groups, groups.groups),
        "a scale for each group"
    );
    let mut output = unwritten(input.len());
    let level = Level::current();
    let some = (8192 / groups.length.max(1)).max(1);
    output
        .par_chunks_mut(groups.length.max(1))
        .zip(input.par_chunks(groups.length.max(1)))
        .enumerate()
        .with_min_len(some)
        .for_each(|(stretch, (to, from))| {
            let group = stretch % groups.groups;
            with(
                level,
                Scale {
                    to,
                    from,
                    scale: scale[group],
                    shift: shift[group],
                    activation,
                },
            );
        });
    output
}

struct Scale<'a> {
    to: &'a mut [f32],
    from: &'a [f32],
    scale: f32,
    shift: f32,
    activation: Activation,
}

impl Work for Scale<'_> {
    type Output = ();

    #[inline(always)]
    fn run<M: Machine>(self, _: M) {
        scale_stretch(self.to, self.from, self.scale, self.shift, self.activation);
    }
}

/// The gradients of a normalisation.
pub struct NormalisedGradient {
    /// Of the input.
    pub input: Vec<f32>,
    /// Of the weight: one value for each group. Where a weight serves several groups, add them up.
    pub weight: Vec<f32>,
    /// Of the bias: one value for each group.
    pub bias: Vec<f32>,
}

/// The gradients of [`normalise`], from its input and the mean and variance that it gave.
///
/// # Panics
/// If a length does not fit.
#[expect(
    clippy::too_many_arguments,
    reason = "each is one operand of the formula"
)]
pub fn normalise_gradient(
    groups: Groups,
    input: &[f32],
    weight: &[f32],
    bias: &[f32],
    mean: &[f32],
    variance: &[f32],
    epsilon: f64,
    activation: Activation,
    gradient: &[f32],
) -> NormalisedGradient {
    assert_eq!(input.len(), groups.values(), "values of {groups:?}");
    assert_eq!(gradient.len(), input.len(), "one gradient for each value");
    assert_eq!(
        (mean.len(), variance.len()),
        (groups.groups, groups.groups),
        "a mean for each group"
    );
    assert_eq!(weight.len(), bias.len(), "one bias for each weight");
    let mut of_input = unwritten(input.len());
    let mut of_weight = vec![0.0; groups.groups];
    let mut of_bias = vec![0.0; groups.groups];
    let target = Shared::new(&mut of_input);
    let level = Level::current();
    (of_weight.par_iter_mut(), of_bias.par_iter_mut())
        .into_par_iter()
        .enumerate()
        .with_min_len(groups.at_once())
        .for_each(|(group, (of_weight, of_bias))| {
            let backward = Backward {
                groups,
                group,
                input,
                gradient,
                weight: weight[group % weight.len()],
                bias: bias[group % bias.len()],
                mean: mean[group],
                deviation: (f64::from(variance[group]) + epsilon).sqrt(),
                activation,
                target,
            };
            (*of_weight, *of_bias) = with(level, backward);
        });
    NormalisedGradient {
        input: of_input,
        weight: of_weight,
        bias: of_bias,
    }
}

struct Backward<'a> {
    groups: Groups,
    group: usize,
    input: &'a [f32],
    gradient: &'a [f32],
    weight: f32,
    bias: f32,
    mean: f32,
    deviation: f64,
    activation: Activation,
    target: Shared,
}

impl Work for Backward<'_> {
    type Output = (f32, f32);

    #[inline(always)]
    fn run<M: Machine>(self, _: M) -> (f32, f32) {
        let (weight, bias) = (self.weight, self.bias);
        // The gradient before the activation, from the normalised value.
        match self.activation {
            Activation::Identity => self.pass(|_, gradient| gradient),
            Activation::LeakyRelu(slope) => self.pass(move |normal, gradient| {
                if normal * weight + bias > 0.0 {
                    gradient
                } else {
                    gradient * slope
                }
            }),
            other => self.pass(move |normal, gradient| {
                let output = other.value(normal * weight + bias);
                gradient * other.slope(output)
            }),
        }
    }
}

impl Backward<'_> {
    #[inline(always)]
    fn pass(self, before: impl Fn(f32, f32) -> f32) -> (f32, f32) {
        let Self {
            groups,
            group,
            input,
            gradient,
            weight,
            mean,
            deviation,
            target,
            ..
        } = self;
        let inverse = (1.0 / deviation) as f32;
        let (mut of_weight, mut of_bias) = (0.0_f64, 0.0_f64);
        for start in groups.starts(group) {
            let stretch = start..start + groups.length;
            for (values, gradients) in input[stretch.clone()]
                .chunks(1024)
                .zip(gradient[stretch].chunks(1024))
            {
                let (mut products, mut sums) = ([0.0_f32; 16], [0.0_f32; 16]);
                let (value_chunks, value_rest) = values.as_chunks::<16>();
                let (gradient_chunks, gradient_rest) = gradients.as_chunks::<16>();
                for (values, gradients) in value_chunks.iter().zip(gradient_chunks) {
                    for lane in 0..16 {
                        let normal = (values[lane] - mean) * inverse;
                        let gradient = before(normal, gradients[lane]);
                        sums[lane] += gradient;
                        products[lane] += gradient * normal;
                    }
                }
                for (value, gradient) in value_rest.iter().zip(gradient_rest) {
                    let normal = (value - mean) * inverse;
                    let gradient = before(normal, *gradient);
                    of_bias += f64::from(gradient);
                    of_weight += f64::from(gradient * normal);
                }
                of_bias += sums.iter().map(|sum| f64::from(*sum)).sum::<f64>();
                of_weight += products.iter().map(|sum| f64::from(*sum)).sum::<f64>();
            }
        }
        let count = groups.count() as f64;
        let (of_mean, of_spread) = ((of_bias / count) as f32, (of_weight / count) as f32);
        let scale = (f64::from(weight) / deviation) as f32;
        for start in groups.starts(group) {
            let stretch = start..start + groups.length;
            // SAFETY: this group's stretches belong to this task alone and lie in the result, which is as
            // long as the input.
            let to =
                unsafe { std::slice::from_raw_parts_mut(target.get().add(start), groups.length) };
            let pairs = input[stretch.clone()].iter().zip(&gradient[stretch]);
            for (to, (value, gradient)) in to.iter_mut().zip(pairs) {
                let normal = (value - mean) * inverse;
                *to = (before(normal, *gradient) - of_mean - normal * of_spread) * scale;
            }
        }
        (of_weight as f32, of_bias as f32)
    }
}
