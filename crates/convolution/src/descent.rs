//! What follows the gradients: Adam and running averages, one pass over the parameters.

use rayon::prelude::*;

use crate::simd::{Level, Machine, Work, with};

/// Values that a thread takes at once.
const CHUNK: usize = 16384;

/// The numbers of one step of Adam (Kingma and Ba 2015), as PyTorch applies them.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Adam {
    /// Decay of the first moment.
    pub beta1: f32,
    /// `1 - beta1`, rounded once from double precision.
    pub rest1: f32,
    /// Decay of the second moment.
    pub beta2: f32,
    /// `1 - beta2`, rounded once from double precision.
    pub rest2: f32,
    /// The square root of `1 - beta2^t`.
    pub correction2: f32,
    /// Added to the denominator, outside the square root.
    pub epsilon: f32,
    /// The learning rate divided by `1 - beta1^t`.
    pub rate: f32,
}

impl Adam {
    /// The numbers of step `time`, counted from 1.
    pub fn new(learning_rate: f64, beta1: f64, beta2: f64, epsilon: f64, time: u64) -> Self {
        let time = time as f64;
        Self {
            beta1: beta1 as f32,
            rest1: (1.0 - beta1) as f32,
            beta2: beta2 as f32,
            rest2: (1.0 - beta2) as f32,
            correction2: (1.0 - beta2.powf(time)).sqrt() as f32,
            epsilon: epsilon as f32,
            rate: (learning_rate / (1.0 - beta1.powf(time))) as f32,
        }
    }
}

/// Moves the parameters and both moments.
///
/// # Panics
/// If the lengths differ.
pub fn adam(
    step: Adam,
    parameter: &mut [f32],
    gradient: &[f32],
    first: &mut [f32],
    second: &mut [f32],
) {
    let lengths = [gradient.len(), first.len(), second.len()];
    assert!(
        lengths.iter().all(|length| *length == parameter.len()),
        "moments of other lengths"
    );
    let level = Level::current();
    let moments = first
        .par_chunks_mut(CHUNK)
        .zip(second.par_chunks_mut(CHUNK));
    parameter
        .par_chunks_mut(CHUNK)
        .zip(gradient.par_chunks(CHUNK))
        .zip(moments)
        .for_each(|((parameter, gradient), (first, second))| {
            with(
                level,
                Move {
                    step,
                    parameter,
                    gradient,
                    first,
                    second,
                },
            );
        });
}

struct Move<'a> {
    step: Adam,
    parameter: &'a mut [f32],
    gradient: &'a [f32],
    first: &'a mut [f32],
    second: &'a mut [f32],
}

impl Work for Move<'_> {
    type Output = ();

    #[inline(always)]
    fn run<M: Machine>(self, _: M) {
        let step = self.step;
        let moments = self.first.iter_mut().zip(self.second);
        for ((parameter, gradient), (first, second)) in
            self.parameter.iter_mut().zip(self.gradient).zip(moments)
        {
            *first = *first * step.beta1 + gradient * step.rest1;
            *second = *second * step.beta2 + (gradient * gradient) * step.rest2;
            let denominator = second.sqrt() / step.correction2 + step.epsilon;
            *parameter -= (*first / denominator) * step.rate;
        }
    }
}

/// `average = keep * average + rest * newest`.
///
/// # Panics
/// If the lengths differ.
pub fn average(keep: f32, rest: f32, average: &mut [f32], newest: &[f32]) {
    assert_eq!(average.len(), newest.len(), "an average of other values");
    let level = Level::current();
    average
        .par_chunks_mut(CHUNK)
        .zip(newest.par_chunks(CHUNK))
        .for_each(|(average, newest)| {
            with(
                level,
                Follow {
                    keep,
                    rest,
                    average,
                    newest,
                },
            );
        });
}

struct Follow<'a> {
    keep: f32,
    rest: f32,
    average: &'a mut [f32],
    newest: &'a [f32],
}

impl Work for Follow<'_> {
    type Output = ();

    #[inline(always)]
    fn run<M: Machine>(self, _: M) {
        for (average, newest) in self.average.iter_mut().zip(self.newest) {
            *average = *average * self.keep + newest * self.rest;
        }
    }
}
