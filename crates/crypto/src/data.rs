//! What a batch is: random messages and random keys, drawn afresh for every step of every player.

use crate::config::Config;
use anyhow::Result;
use gan_core::dataset::Datasets;
use gan_core::failure::{Kind, failure};
use gan_core::random::Stream;
use gan_core::stage::Source;
use rand::Rng;

/// Why there are no files of data.
const NO_FILES: &str =
    "crypto draws its messages and keys afresh for every step: there are no files of them";

/// What `data` does for this architecture: it says that there is none.
pub const DATASETS: Datasets = Datasets {
    word: "crypto",
    known: &[],
    procedural: |_, _| Err(failure(Kind::Usage, NO_FILES)),
    procedural_count: 1,
    procedural_about: NO_FILES,
    suggest: |_| vec![NO_FILES.to_owned()],
    check: Some(|_| Err(failure(Kind::Usage, NO_FILES))),
    pairs: None,
    resolutions: None,
    shapes: None,
};

/// Steps that are called an epoch: messages never repeat, so any round number does.
const EPOCH: usize = 1000;

/// Messages with a key for each; every bit is -1 or 1, both equally likely.
#[derive(Debug, Clone, PartialEq)]
pub struct Messages {
    /// `[message_bits, count]`: a column is a message.
    pub plain: Vec<f32>,
    /// `[key_bits, count]`.
    pub key: Vec<f32>,
    /// How many there are.
    pub count: usize,
}

impl Messages {
    /// `count` messages and keys from a stream.
    pub fn draw(config: &Config, count: usize, stream: &mut Stream) -> Self {
        Self {
            plain: bits(config.message_bits * count, stream),
            key: bits(config.key_bits * count, stream),
            count,
        }
    }
}

/// `count` values, each -1 or 1.
pub fn bits(count: usize, stream: &mut Stream) -> Vec<f32> {
    let mut values = Vec::with_capacity(count);
    while values.len() < count {
        // A step takes hundreds of thousands of bits: each draw gives as many as it has.
        let word = stream.next_u64();
        let some = 64.min(count - values.len());
        values.extend((0..some).map(|place| if word >> place & 1 == 1 { 1.0 } else { -1.0 }));
    }
    values
}

/// A minibatch for Alice and Bob, then one for each step of Eve.
pub type Batch = Vec<Messages>;

/// Where batches come from: a pure function of (seed, step).
#[derive(Debug)]
pub struct Drawn {
    config: Config,
}

impl Drawn {
    /// The messages of a configuration's seed.
    pub fn new(config: &Config) -> Self {
        Self {
            config: config.clone(),
        }
    }
}

impl Source for Drawn {
    type Batch = Batch;

    fn len(&self) -> usize {
        EPOCH
    }

    fn fingerprint(&self) -> String {
        "drawn".to_owned()
    }

    fn batch(&self, epoch: u64, index: usize) -> Result<Batch> {
        let training = &self.config.training;
        let number = epoch * EPOCH as u64 + index as u64;
        let mut stream = Stream::new(training.seed, "messages", number);
        Ok((0..=self.config.eve_steps)
            .map(|_| Messages::draw(&self.config, training.batch_size, &mut stream))
            .collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_is_a_pure_function_of_its_place_and_never_another() {
        let mut config = Config::default();
        config.training.batch_size = 100;
        let source = Drawn::new(&config);
        let batch = source.batch(2, 7).unwrap();
        assert_eq!(batch.len(), 3, "one for Alice and Bob, two for Eve");
        assert_eq!(batch, source.batch(2, 7).unwrap());
        assert_ne!(batch, source.batch(2, 8).unwrap());
        assert_ne!(batch, source.batch(0, 7).unwrap());
        assert_ne!(batch[1], batch[2]);
        assert_ne!(batch[0].plain, batch[0].key);
        assert_eq!(batch[0].plain.len(), 1600);
    }

    #[test]
    fn bits_are_even_and_independent_of_their_neighbours() {
        let values = bits(100_001, &mut Stream::new(0, "t", 0));
        assert_eq!(values.len(), 100_001);
        assert!(values.iter().all(|bit| bit.abs() == 1.0));
        // Four standard errors.
        let bound = 4.0 / 1e5_f32.sqrt();
        let mean = |products: &mut dyn Iterator<Item = f32>| products.sum::<f32>() / 1e5;
        assert!(mean(&mut values.iter().copied()).abs() < bound);
        for away in [1, 16, 64] {
            let pairs = values.iter().zip(&values[away..]);
            assert!(mean(&mut pairs.map(|(a, b)| a * b)).abs() < bound, "{away}");
        }
    }
}
