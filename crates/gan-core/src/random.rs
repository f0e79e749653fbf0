//! Randomness as a pure function of (seed, stream name, index).
//!
//! Nothing here keeps state between steps, so a resumed run draws exactly what the uninterrupted
//! run would have drawn, on every backend: the numbers are made on the host by ChaCha8
//! (counter-based) and moved to the device. burn's own generators are process-global and cannot be
//! read back, so they are not used.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, VecDeque};
use std::convert::Infallible;
use std::sync::{Arc, Mutex};

/// A stream of random numbers. Two streams with the same seed, name and index are equal; any
/// difference in one of the three makes them independent.
#[derive(Debug, Clone)]
pub struct Stream {
    generator: ChaCha8Rng,
    // Where draws are noted, for a comparison with another implementation.
    tape: Option<(Tape, String, usize)>,
    // What another implementation drew, in order.
    replayed: Option<VecDeque<Vec<f32>>>,
}

/// Every draw of a step, by stream name and number: `latent.0`, `latent.1`, ...
pub type Tape = Arc<Mutex<BTreeMap<String, Vec<f32>>>>;

impl Stream {
    /// The stream `name` at `index` (a step, an epoch, a sample number) of a run with `seed`.
    pub fn new(seed: u64, name: &str, index: u64) -> Self {
        let mut hash = Sha256::new();
        hash.update(seed.to_le_bytes());
        hash.update(index.to_le_bytes());
        hash.update(name.as_bytes());
        Self {
            generator: ChaCha8Rng::from_seed(hash.finalize().into()),
            tape: None,
            replayed: None,
        }
    }

    /// A stream that gives these draws, one a call, for a comparison with another implementation.
    ///
    /// # Panics
    /// Later, if a call asks for more or other numbers of values.
    pub fn replaying(draws: impl IntoIterator<Item = Vec<f32>>) -> Self {
        Self {
            replayed: Some(draws.into_iter().collect()),
            ..Self::new(0, "", 0)
        }
    }

    fn replay(&mut self, count: usize) -> Option<Vec<f32>> {
        let draws = self.replayed.as_mut()?;
        let values = draws.pop_front().expect("a draw that was recorded");
        assert_eq!(values.len(), count, "the recorded draw has another length");
        Some(values)
    }

    /// The same stream, whose draws are noted on `tape` under `name`.
    pub fn noted(mut self, tape: Tape, name: &str) -> Self {
        self.tape = Some((tape, name.to_owned(), 0));
        self
    }

    fn note(&mut self, values: impl FnOnce() -> Vec<f32>) {
        if let Some((tape, name, count)) = &mut self.tape {
            if let Ok(mut tape) = tape.lock() {
                tape.insert(format!("{name}.{count}"), values());
            }
            *count += 1;
        }
    }

    /// `count` values from N(0, 1).
    pub fn normal(&mut self, count: usize) -> Vec<f32> {
        if let Some(values) = self.replay(count) {
            return values;
        }
        let values: Vec<f32> = (0..count)
            .map(|_| StandardNormal.sample(&mut self.generator))
            .collect();
        self.note(|| values.clone());
        values
    }

    /// `count` values from U[`low`, `high`).
    pub fn uniform(&mut self, count: usize, low: f32, high: f32) -> Vec<f32> {
        if let Some(values) = self.replay(count) {
            return values;
        }
        let values: Vec<f32> = (0..count)
            .map(|_| low + (high - low) * self.generator.random::<f32>())
            .collect();
        self.note(|| values.clone());
        values
    }

    /// `count` integers from 0 to `bound` - 1. `bound` must be at least 1.
    pub fn integers(&mut self, count: usize, bound: usize) -> Vec<usize> {
        let values: Vec<usize> = (0..count)
            .map(|_| self.generator.random_range(0..bound))
            .collect();
        self.note(|| values.iter().map(|value| *value as f32).collect());
        values
    }

    /// A uniformly random order of 0..`count` (Fisher-Yates).
    pub fn permutation(&mut self, count: usize) -> Vec<u32> {
        let mut order: Vec<u32> = (0..count as u32).collect();
        for last in (1..count).rev() {
            order.swap(last, self.generator.random_range(0..=last));
        }
        order
    }
}

impl rand::rand_core::TryRng for Stream {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        self.generator.try_next_u32()
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        self.generator.try_next_u64()
    }

    fn try_fill_bytes(&mut self, destination: &mut [u8]) -> Result<(), Infallible> {
        self.generator.try_fill_bytes(destination)
    }
}

/// The order in which an epoch passes over a data set: a pure function of (seed, epoch). The order of
/// the epoch asked for last is kept, for making it anew for each batch would be wasteful.
#[derive(Debug)]
pub struct Orders {
    seed: u64,
    count: usize,
    kept: Mutex<(u64, Arc<Vec<u32>>)>,
}

impl Orders {
    /// Orders of 0..`count` from the stream `order` of `seed`.
    pub fn new(seed: u64, count: usize) -> Self {
        Self {
            seed,
            count,
            kept: Mutex::new((u64::MAX, Arc::new(Vec::new()))),
        }
    }

    /// The order of `epoch`.
    pub fn of(&self, epoch: u64) -> Arc<Vec<u32>> {
        let make = || Arc::new(Stream::new(self.seed, "order", epoch).permutation(self.count));
        match self.kept.lock() {
            Ok(mut kept) => {
                if kept.0 != epoch {
                    *kept = (epoch, make());
                }
                kept.1.clone()
            }
            Err(_) => make(),
        }
    }
}

/// How latent vectors are drawn.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize, clap::ValueEnum,
)]
#[serde(rename_all = "kebab-case")]
pub enum Prior {
    /// N(0, 1) in every coordinate.
    Normal,
    /// U(-sqrt 3, sqrt 3) in every coordinate: variance 1 (Goodfellow et al. 2014, released code).
    Uniform,
    /// U(0, 1) in every coordinate (Wu et al. 2016, section 3.1).
    Unit,
}

impl Prior {
    /// `count` values of the prior.
    pub fn draw(self, stream: &mut Stream, count: usize) -> Vec<f32> {
        match self {
            Self::Normal => stream.normal(count),
            Self::Uniform => {
                let limit = 3f32.sqrt();
                stream.uniform(count, -limit, limit)
            }
            Self::Unit => stream.uniform(count, 0.0, 1.0),
        }
    }

    /// The latent vector that belongs to sample `seed`: the same whatever else is generated.
    pub fn latent(self, seed: u64, width: usize) -> Vec<f32> {
        self.draw(&mut Stream::new(seed, "generate", 0), width)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_is_a_pure_function_of_its_three_names() {
        let draw = |seed, name, index| Stream::new(seed, name, index).normal(8);
        assert_eq!(draw(1, "latent", 5), draw(1, "latent", 5));
        assert_ne!(draw(1, "latent", 5), draw(2, "latent", 5));
        assert_ne!(draw(1, "latent", 5), draw(1, "order", 5));
        assert_ne!(draw(1, "latent", 5), draw(1, "latent", 6));
    }

    #[test]
    fn the_bytes_of_a_stream_are_pinned() {
        // A change here changes every training run that a user wants to repeat.
        let values = Stream::new(42, "latent", 7).integers(6, 1000);
        assert_eq!(values, [524, 675, 78, 793, 839, 564]);
    }

    #[test]
    fn priors_have_variance_one() {
        for prior in [Prior::Normal, Prior::Uniform] {
            let values = prior.draw(&mut Stream::new(0, "t", 0), 40_000);
            let mean = values.iter().sum::<f32>() / 4e4;
            let variance = values.iter().map(|v| (v - mean).powi(2)).sum::<f32>() / 4e4;
            assert!(mean.abs() < 0.02, "{prior:?} mean {mean}");
            assert!(
                (variance - 1.0).abs() < 0.03,
                "{prior:?} variance {variance}"
            );
        }
    }

    #[test]
    fn a_permutation_holds_every_index_once() {
        let mut order = Stream::new(3, "order", 0).permutation(1000);
        assert_ne!(order[..10], [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
        order.sort_unstable();
        assert!(order.iter().enumerate().all(|(i, &v)| i as u32 == v));
    }
}
