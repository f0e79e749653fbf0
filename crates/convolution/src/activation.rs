//! Activations, one pass over the values each way.

use rayon::prelude::*;

use crate::operators::unwritten;
use crate::simd::{Level, Machine, Work, with};

/// What follows a layer.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Activation {
    /// Nothing.
    Identity,
    /// `x` where it is positive, else `slope * x`; a slope of 0 is ReLU. The slope is at least 0: the gradient
    /// is told from the output's sign.
    LeakyRelu(f32),
    /// The hyperbolic tangent.
    Tanh,
    /// `1 / (1 + exp(-x))`, within 5e-7 of 1: take no logarithm of it, but a loss on what stands before it.
    Sigmoid,
}

impl Activation {
    /// ReLU.
    pub const RELU: Self = Self::LeakyRelu(0.0);

    /// The activation of one value.
    #[inline(always)]
    pub(crate) fn value(self, value: f32) -> f32 {
        match self {
            Self::Identity => value,
            Self::LeakyRelu(slope) => {
                // An infinite value times 0 would be no number.
                let below = if slope == 0.0 { 0.0 } else { value * slope };
                if value < 0.0 { below } else { value }
            }
            Self::Tanh => tanh(value),
            Self::Sigmoid => 0.5 * tanh(0.5 * value) + 0.5,
        }
    }

    /// The derivative at a place whose activation is `output`. With a slope of at least 0 a leaky ReLU's
    /// output has the sign of its input, so no activation needs its input kept.
    #[inline(always)]
    pub(crate) fn slope(self, output: f32) -> f32 {
        match self {
            Self::Identity => 1.0,
            Self::LeakyRelu(slope) => {
                if output > 0.0 {
                    1.0
                } else {
                    slope
                }
            }
            Self::Tanh => 1.0 - output * output,
            Self::Sigmoid => output * (1.0 - output),
        }
    }
}

/// The hyperbolic tangent without a branch, so that the compiler makes vectors of it: the rational
/// minimax approximation of degree 13 over 6 (as in Eigen), within 4 units in the last place.
#[inline(always)]
fn tanh(value: f32) -> f32 {
    // Beyond this the result is 1 in single precision.
    let x = value.clamp(-7.905_311, 7.905_311);
    let square = x * x;
    let mut top = -2.760_768_5e-16_f32;
    for coefficient in [
        2.000_188e-13,
        -8.604_672e-11,
        5.122_297e-8,
        1.485_722_4e-5,
        6.372_619_3e-4,
        4.893_524_6e-3,
    ] {
        top = top * square + coefficient;
    }
    let mut bottom = 1.198_258_4e-6_f32;
    for coefficient in [1.185_347e-4, 2.268_434_6e-3, 4.893_525e-3] {
        bottom = bottom * square + coefficient;
    }
    // Near zero the fraction would lose the value's own last digits;
    // and what is not a number stays so.
    let is_itself = value.abs() < 4e-4 || value.is_nan();
    if is_itself {
        value
    } else {
        (x * top / bottom).clamp(-1.0, 1.0)
    }
}

/// Does `$work` with `$kind` set to the activation, in a branch of its own for each kind: so a loop inside
/// the work chooses once and not for each value.
macro_rules! for_each_kind {
    ($activation:expr, $kind:ident => $work:expr) => {
        match $activation {
            $crate::activation::Activation::Identity => {
                let $kind = $crate::activation::Activation::Identity;
                $work
            }
            // ReLU is the most frequent one, and a maximum instead of a product and a choice.
            $crate::activation::Activation::LeakyRelu(0.0) => {
                let $kind = $crate::activation::Activation::LeakyRelu(0.0);
                $work
            }
            $crate::activation::Activation::LeakyRelu(slope) => {
                let $kind = $crate::activation::Activation::LeakyRelu(slope);
                $work
            }
            $crate::activation::Activation::Tanh => {
                let $kind = $crate::activation::Activation::Tanh;
                $work
            }
            $crate::activation::Activation::Sigmoid => {
                let $kind = $crate::activation::Activation::Sigmoid;
                $work
            }
        }
    };
}
pub(crate) use for_each_kind;

/// Values that a thread takes at once.
const CHUNK: usize = 16384;

/// The activation of each value.
pub fn activate(activation: Activation, input: &[f32]) -> Vec<f32> {
    let mut output = unwritten(input.len());
    let level = Level::current();
    output
        .par_chunks_mut(CHUNK)
        .zip(input.par_chunks(CHUNK))
        .for_each(|(output, input)| {
            with(
                level,
                Forward {
                    activation,
                    input,
                    output,
                },
            );
        });
    output
}

struct Forward<'a> {
    activation: Activation,
    input: &'a [f32],
    output: &'a mut [f32],
}

impl Work for Forward<'_> {
    type Output = ();

    #[inline(always)]
    fn run<M: Machine>(self, _: M) {
        for_each_kind!(self.activation, kind => {
            for (output, input) in self.output.iter_mut().zip(self.input) {
                *output = kind.value(*input);
            }
        });
    }
}

/// The gradient before the activation, from its output and the gradient behind it.
///
/// # Panics
/// If the lengths differ.
pub fn activate_gradient(activation: Activation, output: &[f32], gradient: &[f32]) -> Vec<f32> {
    assert_eq!(output.len(), gradient.len(), "one gradient for each value");
    let mut result = unwritten(output.len());
    let level = Level::current();
    result
        .par_chunks_mut(CHUNK)
        .zip(output.par_chunks(CHUNK).zip(gradient.par_chunks(CHUNK)))
        .for_each(|(result, (output, gradient))| {
            with(
                level,
                Backward {
                    activation,
                    output,
                    gradient,
                    result,
                },
            );
        });
    result
}

struct Backward<'a> {
    activation: Activation,
    output: &'a [f32],
    gradient: &'a [f32],
    result: &'a mut [f32],
}

impl Work for Backward<'_> {
    type Output = ();

    #[inline(always)]
    fn run<M: Machine>(self, _: M) {
        let pairs = self.output.iter().zip(self.gradient);
        for_each_kind!(self.activation, kind => {
            for (result, (output, gradient)) in self.result.iter_mut().zip(pairs) {
                *result = gradient * kind.slope(*output);
            }
        });
    }
}
