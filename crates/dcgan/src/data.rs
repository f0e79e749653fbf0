//! What a batch is: square pictures from any folder or from idx files, or procedural faces.

use crate::config::Config;
use crate::faces;
use anyhow::Result;
use gan_core::checkpoint::sha256;
use gan_core::failure::{Kind, failure};
use gan_core::random::{Orders, Stream};
use gan_core::stage::Source;
use gan_core::{idx, images};
use image::RgbImage;
use std::path::{Path, PathBuf};

/// Pictures of the procedural stand-in.
pub const PROCEDURAL_COUNT: usize = 2000;

/// What the built-in data is, for the first line, the configuration and the report.
pub const PROCEDURAL: &str = "drawn cartoon faces, not photographs and not anime";

/// Decoded pictures up to this many bytes stay in memory; beyond, each is decoded when it is needed.
const MEMORY_BYTES: usize = 2 << 30;

/// Share of unreadable pictures above which training does not start.
const MOST_BROKEN: f64 = 0.1;

/// Pictures of a folder, in an order that is a pure function of (seed, epoch).
#[derive(Debug)]
pub struct Data {
    store: Store,
    config: Config,
    fingerprint: String,
    /// Files that could not be read, with the reason; they are left out.
    pub broken: Vec<String>,
    orders: Orders,
}

#[derive(Debug)]
enum Store {
    /// `channels * side * side` bytes a picture, planar.
    Memory(Vec<Vec<u8>>),
    Files(Vec<PathBuf>),
}

impl Store {
    fn len(&self) -> usize {
        match self {
            Self::Memory(pictures) => pictures.len(),
            Self::Files(files) => files.len(),
        }
    }
}

impl Data {
    /// Opens the folder that a configuration names, or draws procedural faces.
    ///
    /// # Errors
    /// [`Kind::Data`] when there are no pictures, fewer than a batch, or too many broken ones.
    pub fn open(config: &Config) -> Result<Self> {
        let folder = &config.training.data;
        let mut broken = Vec::new();
        let store = if folder.is_empty() {
            Store::Memory(procedural(config))
        } else {
            let place = Path::new(folder);
            if place.is_file() || idx::is_here(place, "train") {
                let pictures = idx::Pictures::read(place, "train")?;
                return Self::new(Store::Memory(from_idx(&pictures, config)), config, broken);
            }
            let files = images::list(place)?;
            let bytes = config.channels * config.image_size * config.image_size;
            if files.len().saturating_mul(bytes) <= MEMORY_BYTES {
                Store::Memory(decode_all(&files, config, &mut broken))
            } else {
                Store::Files(files)
            }
        };
        Self::new(store, config, broken)
    }

    fn new(store: Store, config: &Config, broken: Vec<String>) -> Result<Self> {
        let count = store.len();
        let data = Self {
            fingerprint: fingerprint(&store, &config.training.data),
            store,
            config: config.clone(),
            broken,
            orders: Orders::new(config.training.seed, count),
        };
        data.check(&config.training.data)?;
        Ok(data)
    }

    fn check(&self, folder: &str) -> Result<()> {
        let readable = self.pictures();
        let all = readable + self.broken.len();
        if self.broken.len() as f64 > MOST_BROKEN * all as f64 {
            return Err(failure(
                Kind::Data,
                format!(
                    "{} of {all} pictures under {folder} cannot be read, the first: {}",
                    self.broken.len(),
                    self.broken[0]
                ),
            ));
        }
        let batch_size = self.config.training.batch_size;
        if readable < batch_size {
            return Err(failure(
                Kind::Data,
                format!(
                    "{readable} pictures under {folder} are fewer than a batch of {batch_size}: \
                     lower --batch-size, or add pictures"
                ),
            ));
        }
        Ok(())
    }

    /// How many pictures there are.
    pub fn pictures(&self) -> usize {
        self.store.len()
    }

    /// Picture `index` as planar bytes.
    fn picture(&self, index: usize) -> Result<std::borrow::Cow<'_, [u8]>> {
        match &self.store {
            Store::Memory(pictures) => Ok(pictures[index].as_slice().into()),
            Store::Files(files) => Ok(decode(&files[index], &self.config)?.into()),
        }
    }
}

/// What the pictures are: a sum over decoded ones, or over names and sizes of files.
fn fingerprint(store: &Store, folder: &str) -> String {
    match store {
        Store::Memory(pictures) => {
            format!(
                "{} pictures, sha256 {}",
                pictures.len(),
                sha256(&pictures.concat())
            )
        }
        Store::Files(files) => {
            let mut names = String::new();
            for file in files {
                let bytes = file.metadata().map_or(0, |data| data.len());
                let name = file.strip_prefix(folder).unwrap_or(file);
                names.push_str(&format!("{} {bytes}\n", name.display()));
            }
            let sum = sha256(names.as_bytes());
            format!("{} files, sha256 of names and sizes {sum}", files.len())
        }
    }
}

fn procedural(config: &Config) -> Vec<Vec<u8>> {
    let size = config.image_size as u32;
    (0..PROCEDURAL_COUNT as u64)
        .map(|number| {
            // Not the run's seed: every run sees the same stand-in.
            let face = faces::face(size, &mut Stream::new(0, "face", number));
            planar(&face, config.channels)
        })
        .collect()
}

/// Idx pictures at the network's size and with its channels.
pub(crate) fn from_idx(pictures: &idx::Pictures, config: &Config) -> Vec<Vec<u8>> {
    let (width, height) = (pictures.width as u32, pictures.height as u32);
    (0..pictures.len())
        .map(|index| {
            let bytes = pictures.picture(index);
            let picture = RgbImage::from_fn(width, height, |x, y| {
                image::Rgb([bytes[(y * width + x) as usize]; 3])
            });
            planar(
                &images::square(&picture, config.image_size as u32),
                config.channels,
            )
        })
        .collect()
}

fn decode_all(files: &[PathBuf], config: &Config, broken: &mut Vec<String>) -> Vec<Vec<u8>> {
    let threads = std::thread::available_parallelism().map_or(1, |count| count.get());
    let mut decoded: Vec<Result<Vec<u8>>> = Vec::with_capacity(files.len());
    std::thread::scope(|scope| {
        let workers: Vec<_> = files
            .chunks(files.len().div_ceil(threads))
            .map(|chunk| {
                scope.spawn(move || {
                    chunk
                        .iter()
                        .map(|file| decode(file, config))
                        .collect::<Vec<_>>()
                })
            })
            .collect();
        for worker in workers {
            match worker.join() {
                Ok(results) => decoded.extend(results),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
    });
    decoded
        .into_iter()
        .filter_map(|result| {
            result
                .map_err(|error| broken.push(format!("{error:#}")))
                .ok()
        })
        .collect()
}

/// Reads a picture as `channels * side * side` planar bytes.
///
/// # Errors
/// As [`images::read`].
pub fn decode(file: &Path, config: &Config) -> Result<Vec<u8>> {
    let picture = images::to_rgb(&images::read(file)?);
    let cut = images::square(&picture, config.image_size as u32);
    Ok(planar(&cut, config.channels))
}

fn planar(picture: &RgbImage, channels: usize) -> Vec<u8> {
    if channels == 1 {
        return image::imageops::grayscale(picture).into_raw();
    }
    (0..3)
        .flat_map(|channel| picture.pixels().map(move |pixel| pixel.0[channel]))
        .collect()
}

/// Bytes to [-1, 1].
pub(crate) fn to_unit(bytes: &[u8]) -> impl Iterator<Item = f32> + '_ {
    bytes.iter().map(|byte| f32::from(*byte) / 127.5 - 1.0)
}

/// `batch_size` pictures in [-1, 1], planar, one after the other.
pub type Batch = Vec<f32>;

impl Source for Data {
    type Batch = Batch;

    fn len(&self) -> usize {
        // The last incomplete batch of an epoch is left out: its statistics would be others.
        self.pictures() / self.config.training.batch_size
    }

    fn fingerprint(&self) -> String {
        self.fingerprint.clone()
    }

    fn batch(&self, epoch: u64, index: usize) -> Result<Batch> {
        let count = self.config.training.batch_size;
        let side = self.config.image_size;
        let order = self.orders.of(epoch);
        let seed = self.config.training.seed;
        let number = epoch * self.len() as u64 + index as u64;
        let mirrored = if self.config.flip {
            Stream::new(seed, "flip", number).integers(count, 2)
        } else {
            vec![0; count]
        };
        let mut batch = Vec::with_capacity(count * self.config.channels * side * side);
        for (place, mirrored) in order[index * count..(index + 1) * count]
            .iter()
            .zip(mirrored)
        {
            let bytes = self.picture(*place as usize)?;
            if mirrored == 1 {
                for row in bytes.chunks_exact(side) {
                    let values: Vec<f32> = to_unit(row).collect();
                    batch.extend(values.into_iter().rev());
                }
            } else {
                batch.extend(to_unit(&bytes));
            }
        }
        Ok(batch)
    }
}
