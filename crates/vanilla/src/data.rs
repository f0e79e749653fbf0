//! What a batch is: grey pictures from idx files (MNIST, Fashion-MNIST), procedural digits, or
//! points of a ring.

use crate::config::{Config, Dataset};
use crate::digits;
use crate::ring::Ring;
use anyhow::Result;
use gan_core::checkpoint::sha256;
use gan_core::failure::{Kind, failure};
use gan_core::idx::Pictures;
use gan_core::random::{Orders, Stream};
use gan_core::stage::Source;
use std::path::Path;

/// Pictures of the procedural stand-in.
pub const PROCEDURAL_COUNT: usize = 20_000;

/// What the built-in data is, for the first line, the configuration and the report.
pub const PROCEDURAL: &str = "drawn digits, not MNIST";

/// The built-in stand-in for MNIST: drawn digits, a pure function of the seed.
pub fn procedural(seed: u64, count: usize) -> Pictures {
    let (pictures, labels) = digits::dataset(count, &mut Stream::new(seed, "digits", 0));
    Pictures {
        pixels: pictures.concat(),
        labels,
        height: digits::DIGIT_SIDE,
        width: digits::DIGIT_SIDE,
    }
}

/// Where batches come from.
#[derive(Debug)]
pub enum Data {
    /// Pictures in memory, in a new order each epoch.
    Pictures(Shuffled),
    /// Fresh points for each batch.
    Ring {
        /// The distribution.
        ring: Ring,
        /// Points a batch.
        batch_size: usize,
        /// The run's seed.
        seed: u64,
    },
}

/// Pictures in an order that is a pure function of (seed, epoch).
#[derive(Debug)]
pub struct Shuffled {
    pictures: Pictures,
    range: (f32, f32),
    batch_size: usize,
    orders: Orders,
}

impl Data {
    /// Opens the data that a configuration names.
    ///
    /// # Errors
    /// [`Kind::Data`] when it cannot be read or has fewer pictures than a batch.
    pub fn open(config: &Config) -> Result<Self> {
        let training = &config.training;
        let (batch_size, seed) = (training.batch_size, training.seed);
        if config.dataset == Dataset::Ring {
            let ring = ring(config);
            return Ok(Self::Ring {
                ring,
                batch_size,
                seed,
            });
        }
        let pictures = if training.data.is_empty() {
            // Not the run's seed: every run sees the same stand-in, as it would see the same MNIST.
            procedural(0, PROCEDURAL_COUNT)
        } else {
            Pictures::read(Path::new(&training.data), "train")?
        };
        if pictures.len() < batch_size {
            return Err(failure(
                Kind::Data,
                format!(
                    "{} pictures are fewer than a batch of {batch_size}: lower --batch-size",
                    pictures.len()
                ),
            ));
        }
        Ok(Self::Pictures(Shuffled {
            orders: Orders::new(seed, pictures.len()),
            pictures,
            range: config.value_range(),
            batch_size,
        }))
    }

    /// Height and width of a sample; (1, 2) for points.
    pub fn size(&self) -> (usize, usize) {
        match self {
            Self::Pictures(data) => (data.pictures.height, data.pictures.width),
            Self::Ring { .. } => (1, 2),
        }
    }

    /// The mean of each value, in [0, 1]; `None` for points.
    pub fn mean(&self) -> Option<Vec<f64>> {
        match self {
            Self::Pictures(data) => Some(data.pictures.mean()),
            Self::Ring { .. } => None,
        }
    }
}

/// The ring that a configuration describes.
pub fn ring(config: &Config) -> Ring {
    Ring {
        modes: config.ring_modes,
        radius: config.ring_radius,
        std: config.ring_std,
    }
}

/// `batch_size` samples, one after the other, in the value range of the data.
pub type Batch = Vec<f32>;

impl Source for Data {
    type Batch = Batch;

    fn len(&self) -> usize {
        match self {
            // The last incomplete batch of an epoch is left out: its statistics would be others.
            Self::Pictures(data) => data.pictures.len() / data.batch_size,
            // Points never repeat; an epoch is a round number of steps.
            Self::Ring { .. } => 1000,
        }
    }

    fn fingerprint(&self) -> String {
        match self {
            Self::Pictures(data) => format!(
                "{} pictures, sha256 {}",
                data.pictures.len(),
                sha256(&data.pictures.pixels)
            ),
            Self::Ring { .. } => "drawn".to_owned(),
        }
    }

    fn batch(&self, epoch: u64, index: usize) -> Result<Batch> {
        match self {
            Self::Pictures(data) => Ok(data.batch(epoch, index)),
            Self::Ring {
                ring,
                batch_size,
                seed,
            } => {
                let number = epoch * self.len() as u64 + index as u64;
                Ok(ring.draw(&mut Stream::new(*seed, "ring", number), *batch_size))
            }
        }
    }
}

impl Shuffled {
    fn batch(&self, epoch: u64, index: usize) -> Batch {
        let order = self.orders.of(epoch);
        let (low, high) = self.range;
        let scale = (high - low) / 255.0;
        order[index * self.batch_size..(index + 1) * self.batch_size]
            .iter()
            .flat_map(|picture| self.pictures.picture(*picture as usize))
            .map(|pixel| low + scale * f32::from(*pixel))
            .collect()
    }
}
