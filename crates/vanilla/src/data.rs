//! What a batch is: grey pictures from idx files (MNIST, Fashion-MNIST), procedural digits, or
//! points of a ring.

use crate::config::{Config, Dataset};
use crate::digits;
use crate::ring::Ring;
use anyhow::Result;
use gan_core::checkpoint::sha256;
use gan_core::dataset::{Datasets, Known, KnownFile};
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

/// A file of MNIST as everybody has it.
const fn mnist(
    mirrors: &'static [&'static str],
    name: &'static str,
    bytes: u64,
    sha256: &'static str,
) -> KnownFile {
    KnownFile {
        name,
        mirrors,
        sha256: Some(sha256),
        bytes: Some(bytes),
        most_bytes: bytes,
    }
}

/// What `data` does for this architecture.
pub const DATASETS: Datasets = Datasets {
    word: "vanilla",
    known: &[
        Known {
            name: "mnist",
            about: "70,000 handwritten digits, 28 x 28, 12 MB, CC BY-SA 3.0",
            page: "MNIST is described at http://yann.lecun.com/exdb/mnist/; torchvision and many others carry \
                   the four files",
            files: &[
                mnist(
                    &[
                        "https://ossci-datasets.s3.amazonaws.com/mnist/train-images-idx3-ubyte.gz",
                        "https://storage.googleapis.com/cvdf-datasets/mnist/train-images-idx3-ubyte.gz",
                    ],
                    "train-images-idx3-ubyte.gz",
                    9_912_422,
                    "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
                ),
                mnist(
                    &[
                        "https://ossci-datasets.s3.amazonaws.com/mnist/train-labels-idx1-ubyte.gz",
                        "https://storage.googleapis.com/cvdf-datasets/mnist/train-labels-idx1-ubyte.gz",
                    ],
                    "train-labels-idx1-ubyte.gz",
                    28_881,
                    "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
                ),
                mnist(
                    &[
                        "https://ossci-datasets.s3.amazonaws.com/mnist/t10k-images-idx3-ubyte.gz",
                        "https://storage.googleapis.com/cvdf-datasets/mnist/t10k-images-idx3-ubyte.gz",
                    ],
                    "t10k-images-idx3-ubyte.gz",
                    1_648_877,
                    "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
                ),
                mnist(
                    &[
                        "https://ossci-datasets.s3.amazonaws.com/mnist/t10k-labels-idx1-ubyte.gz",
                        "https://storage.googleapis.com/cvdf-datasets/mnist/t10k-labels-idx1-ubyte.gz",
                    ],
                    "t10k-labels-idx1-ubyte.gz",
                    4_542,
                    "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
                ),
            ],
        },
        Known {
            name: "fashion-mnist",
            about: "70,000 articles of clothing, 28 x 28, 31 MB, MIT",
            page: "https://github.com/zalandoresearch/fashion-mnist",
            files: &[
                // Nobody here had the training pictures to compute their sum.
                KnownFile {
                    name: "train-images-idx3-ubyte.gz",
                    mirrors: &[
                        "https://github.com/zalandoresearch/fashion-mnist/raw/master/data/fashion/train-images-idx3-ubyte.gz",
                    ],
                    sha256: None,
                    bytes: None,
                    most_bytes: 64 << 20,
                },
                mnist(
                    &[
                        "https://github.com/zalandoresearch/fashion-mnist/raw/master/data/fashion/train-labels-idx1-ubyte.gz",
                        "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/train-labels-idx1-ubyte.gz",
                    ],
                    "train-labels-idx1-ubyte.gz",
                    29_515,
                    "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
                ),
                mnist(
                    &[
                        "https://github.com/zalandoresearch/fashion-mnist/raw/master/data/fashion/t10k-images-idx3-ubyte.gz",
                        "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/t10k-images-idx3-ubyte.gz",
                    ],
                    "t10k-images-idx3-ubyte.gz",
                    4_422_102,
                    "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
                ),
                mnist(
                    &[
                        "https://github.com/zalandoresearch/fashion-mnist/raw/master/data/fashion/t10k-labels-idx1-ubyte.gz",
                        "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/t10k-labels-idx1-ubyte.gz",
                    ],
                    "t10k-labels-idx1-ubyte.gz",
                    5_148,
                    "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5",
                ),
            ],
        },
    ],
    procedural: |folder, count| {
        procedural(0, count).write(folder, "train")?;
        procedural(1, count.div_ceil(10)).write(folder, "t10k")
    },
    procedural_count: PROCEDURAL_COUNT,
    procedural_about: PROCEDURAL,
    suggest: |_| vec!["vanilla reads idx files; for a folder of pictures use dcgan".to_owned()],
    check: None,
    pairs: None,
    resolutions: None,
    shapes: None,
};

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
        /// Parts of the Gaussians, each of which an equal share of a batch comes from.
        parts: usize,
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
                parts: if config.subsets { config.generators } else { 1 },
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
                parts,
                seed,
            } => {
                let number = epoch * self.len() as u64 + index as u64;
                let mut stream = Stream::new(*seed, "ring", number);
                Ok(ring.draw_parts(&mut stream, *batch_size, *parts))
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
