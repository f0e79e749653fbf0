//! What a batch is: grey pictures from idx files (MNIST, Fashion-MNIST), procedural digits, or
//! points of a ring.

use crate::config::{Config, Dataset};
use crate::digits;
use crate::ring::Ring;
use anyhow::Result;
use gan_core::failure::{Kind, at_path, failure};
use gan_core::random::Stream;
use gan_core::stage::Source;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

/// Most bytes of pictures that are read into memory.
const MOST_BYTES: u64 = 4 << 30;

/// Pictures of the procedural stand-in.
pub const PROCEDURAL_COUNT: usize = 20_000;

/// What the built-in data is, for the first line, the configuration and the report.
pub const PROCEDURAL: &str = "drawn digits, not MNIST";

/// Grey pictures of one size, one byte a pixel, with labels where there are any.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pictures {
    /// `count * height * width` bytes, row-major; 0 is black.
    pub pixels: Vec<u8>,
    /// The class of each picture; empty when there are no labels.
    pub labels: Vec<u8>,
    /// Pixels.
    pub height: usize,
    /// Pixels.
    pub width: usize,
}

impl Pictures {
    /// How many.
    pub fn len(&self) -> usize {
        self.pixels.len() / (self.height * self.width).max(1)
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.pixels.is_empty()
    }

    /// The bytes of picture `index`.
    pub fn picture(&self, index: usize) -> &[u8] {
        let size = self.height * self.width;
        &self.pixels[index * size..(index + 1) * size]
    }

    /// The mean of each pixel, in [0, 1].
    pub fn mean(&self) -> Vec<f64> {
        let size = self.height * self.width;
        let mut sums = vec![0u64; size];
        for picture in self.pixels.chunks_exact(size) {
            for (sum, pixel) in sums.iter_mut().zip(picture) {
                *sum += u64::from(*pixel);
            }
        }
        let scale = 255.0 * self.len().max(1) as f64;
        sums.into_iter().map(|sum| sum as f64 / scale).collect()
    }

    /// The built-in stand-in for MNIST: drawn digits, a pure function of the seed.
    pub fn procedural(seed: u64, count: usize) -> Self {
        let (pictures, labels) = digits::dataset(count, &mut Stream::new(seed, "digits", 0));
        Self {
            pixels: pictures.concat(),
            labels,
            height: digits::DIGIT_SIDE,
            width: digits::DIGIT_SIDE,
        }
    }

    /// Reads `prefix`-images and, where they exist, `prefix`-labels under a folder; or one file of
    /// pictures. Gzipped or not, with `-idx3-ubyte` or `.idx3-ubyte` endings, one folder deep.
    ///
    /// # Errors
    /// [`Kind::Data`], naming the file and what is wrong with it.
    pub fn read(place: &Path, prefix: &str) -> Result<Self> {
        if place.is_file() {
            return Self::read_files(place, None);
        }
        let images = find(place, &format!("{prefix}-images"), "idx3");
        let labels = find(place, &format!("{prefix}-labels"), "idx1");
        match images {
            Some(images) => Self::read_files(&images, labels.as_deref()),
            None if !place.exists() => Err(failure(
                Kind::Data,
                format!("{} does not exist: check --data", place.display()),
            )),
            None => Err(failure(
                Kind::Data,
                format!(
                    "{} holds no {prefix}-images-idx3-ubyte(.gz){}; expected the files of MNIST or \
                     Fashion-MNIST, gzipped or not",
                    place.display(),
                    labels
                        .map(|labels| format!(
                            " (only labels: {})",
                            labels.file_name().unwrap_or_default().to_string_lossy()
                        ))
                        .unwrap_or_default()
                ),
            )),
        }
    }

    fn read_files(images: &Path, labels: Option<&Path>) -> Result<Self> {
        let (sizes, pixels) = read_idx(images, 3)?;
        let [count, height, width] = [sizes[0], sizes[1], sizes[2]];
        let labels_read = labels.map(|path| read_idx(path, 1)).transpose()?;
        let labels_read = labels_read.map_or(Vec::new(), |(_, labels)| labels);
        if let Some(path) = labels
            && labels_read.len() != count
        {
            return Err(failure(
                Kind::Data,
                format!(
                    "{} has {count} pictures, but {} has {} labels: the files do not belong together",
                    images.display(),
                    path.display(),
                    labels_read.len()
                ),
            ));
        }
        Ok(Self {
            pixels,
            labels: labels_read,
            height,
            width,
        })
    }
}

fn find(folder: &Path, stem: &str, kind: &str) -> Option<PathBuf> {
    let inner = std::fs::read_dir(folder)
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.is_dir());
    let mut folders: Vec<PathBuf> = inner.collect();
    folders.sort();
    folders.insert(0, folder.to_owned());
    for folder in folders {
        for separator in ["-", "."] {
            for ending in ["", ".gz"] {
                let path = folder.join(format!("{stem}{separator}{kind}-ubyte{ending}"));
                if path.is_file() {
                    return Some(path);
                }
            }
        }
    }
    None
}

/// Reads an idx file of bytes with `rank` sizes: a big-endian magic 0x000008RR, the sizes, the
/// bytes. Gzip is told by content.
///
/// # Errors
/// [`Kind::Data`]: the magic of another kind of file, a body that is too short or too long, sizes
/// that are zero or absurd.
pub fn read_idx(path: &Path, rank: usize) -> Result<(Vec<usize>, Vec<u8>)> {
    let refuse = |what: String| failure(Kind::Data, format!("{}: {what}", path.display()));
    let open = || {
        std::fs::File::open(path).map_err(|error| at_path(Kind::Data, "open", path, &error))
    };
    let mut start = [0u8; 2];
    let mut file = open()?;
    let is_gzip = file.read(&mut start).is_ok_and(|read| read == 2) && start == [0x1f, 0x8b];
    let file = std::io::BufReader::new(open()?);
    let mut reader: Box<dyn Read> = if is_gzip {
        Box::new(flate2::bufread::MultiGzDecoder::new(file))
    } else {
        Box::new(file)
    };
    let mut header = vec![0u8; 4 + 4 * rank];
    let broken = |error: std::io::Error, what: &str| {
        refuse(format!("{what}: {error}; download the file again"))
    };
    reader
        .read_exact(&mut header)
        .map_err(|error| broken(error, "its header is cut short"))?;
    let word = |at: usize| {
        u32::from_be_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]])
    };
    let magic = word(0);
    if magic != 0x0800 + rank as u32 {
        let hint = match magic {
            0x0801 => " (a file of labels)",
            0x0803 => " (a file of pictures)",
            _ => "",
        };
        return Err(refuse(format!(
            "its magic number is {magic:#010x}{hint}, expected {:#010x} for an idx file of bytes \
             with {rank} sizes",
            0x0800 + rank
        )));
    }
    let sizes: Vec<usize> = (0..rank).map(|index| word(4 + 4 * index) as usize).collect();
    let bytes = sizes
        .iter()
        .try_fold(1u64, |product, size| product.checked_mul(*size as u64))
        .unwrap_or(u64::MAX);
    if bytes == 0 || bytes > MOST_BYTES || sizes.iter().skip(1).any(|side| *side > 1024) {
        return Err(refuse(format!(
            "its header claims sizes {sizes:?}: expected at least one picture of at most 1024 x \
             1024, {MOST_BYTES} bytes in all"
        )));
    }
    // Reading grows the buffer as bytes arrive: a lying header allocates nothing.
    let mut body = Vec::new();
    reader
        .by_ref()
        .take(bytes)
        .read_to_end(&mut body)
        .map_err(|error| broken(error, "its body is damaged"))?;
    if body.len() as u64 != bytes {
        return Err(refuse(format!(
            "it ends after {} of {bytes} bytes; download the file again",
            body.len()
        )));
    }
    let more = reader
        .read(&mut [0u8; 1])
        .map_err(|error| broken(error, "its end is damaged"))?;
    if more > 0 {
        return Err(refuse(format!(
            "it goes on after the {bytes} bytes that its header {sizes:?} announces"
        )));
    }
    Ok((sizes, body))
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
    seed: u64,
    // The order of the epoch asked for last: making it anew for each batch would be wasteful.
    order: Mutex<(u64, Arc<Vec<u32>>)>,
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
            Pictures::procedural(0, PROCEDURAL_COUNT)
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
            pictures,
            range: config.value_range(),
            batch_size,
            seed,
            order: Mutex::new((u64::MAX, Arc::new(Vec::new()))),
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
        let order = self.order(epoch);
        let (low, high) = self.range;
        let scale = (high - low) / 255.0;
        order[index * self.batch_size..(index + 1) * self.batch_size]
            .iter()
            .flat_map(|picture| self.pictures.picture(*picture as usize))
            .map(|pixel| low + scale * f32::from(*pixel))
            .collect()
    }

    fn order(&self, epoch: u64) -> Arc<Vec<u32>> {
        let make = || Arc::new(Stream::new(self.seed, "order", epoch).permutation(self.pictures.len()));
        match self.order.lock() {
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
