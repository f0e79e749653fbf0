//! What a batch is: square pictures from any folder or from idx files, or procedural faces.

use crate::config::Config;
use crate::faces;
use anyhow::Result;
use gan_core::checkpoint::sha256;
use gan_core::dataset::{Datasets, Known, KnownFile};
use gan_core::failure::{Kind, at_path, failure};
use gan_core::files::Files;
use gan_core::folder::Inspection;
use gan_core::idx;
use gan_core::images::{self, Broken, MOST_BROKEN, planar, to_unit};
use gan_core::random::{Orders, Stream};
use gan_core::stage::Source;
use image::RgbImage;
use std::path::Path;

/// Pictures of the procedural stand-in.
pub const PROCEDURAL_COUNT: usize = 2000;

/// What the built-in data is, for the first line, the configuration and the report.
pub const PROCEDURAL: &str = "drawn cartoon faces, not photographs and not anime";

/// Decoded pictures up to this many bytes stay in memory; beyond, each is decoded when it is needed.
const MEMORY_BYTES: usize = 2 << 30;

/// Pictures of a folder, in an order that is a pure function of (seed, epoch).
#[derive(Debug)]
pub struct Data {
    store: Store,
    config: Config,
    fingerprint: String,
    /// Files that could not be read, with the reason; they are left out.
    pub broken: Vec<String>,
    /// Of files that are read while training goes on: those that could not be.
    found_broken: Broken,
    orders: Orders,
}

#[derive(Debug)]
enum Store {
    /// `channels * side * side` bytes a picture, planar.
    Memory(Vec<Vec<u8>>),
    /// As they were read: small, and brought to the network's size when they are needed.
    Idx(idx::Pictures),
    Files(Files),
}

impl Store {
    fn len(&self) -> usize {
        match self {
            Self::Memory(pictures) => pictures.len(),
            Self::Idx(pictures) => pictures.len(),
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
        Self::open_within(config, MEMORY_BYTES)
    }

    fn open_within(config: &Config, memory: usize) -> Result<Self> {
        let folder = &config.training.data;
        let mut broken = Vec::new();
        let store = if folder.is_empty() {
            Store::Memory(procedural(config))
        } else {
            let place = Path::new(folder);
            let bytes = config.channels * config.image_size * config.image_size;
            if place.is_file() || idx::is_here(place, "train") {
                let pictures = idx::Pictures::read(place, "train")?;
                let store = if pictures.len().saturating_mul(bytes) <= memory {
                    Store::Memory(from_idx(&pictures, config))
                } else {
                    Store::Idx(pictures)
                };
                return Self::new(store, config, broken);
            }
            let files = images::list(place)?;
            if files.len().saturating_mul(bytes) <= memory {
                let decoded = files.map(|file| decode(file, config));
                let keep = |result: Result<Vec<u8>>| {
                    result
                        .map_err(|error| broken.push(format!("{error:#}")))
                        .ok()
                };
                Store::Memory(decoded.into_iter().filter_map(keep).collect())
            } else {
                Store::Files(files)
            }
        };
        Self::new(store, config, broken)
    }

    fn new(store: Store, config: &Config, broken: Vec<String>) -> Result<Self> {
        let count = store.len();
        let data = Self {
            fingerprint: fingerprint(&store),
            store,
            config: config.clone(),
            broken,
            found_broken: Broken::new(count),
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
            Store::Idx(pictures) => Ok(enlarged(pictures, index, &self.config).into()),
            Store::Files(files) => Ok(self.read(files, index)?.into()),
        }
    }

    /// Picture `index`, or the next one that can be read.
    fn read(&self, files: &Files, index: usize) -> Result<Vec<u8>> {
        let count = files.len();
        for index in (index..count).chain(0..index) {
            if self.found_broken.knows(index) {
                continue;
            }
            match decode(&files.path(index), &self.config) {
                Ok(bytes) => return Ok(bytes),
                Err(error) => self.found_broken.note(index, &error)?,
            }
        }
        Err(failure(
            Kind::Data,
            format!(
                "no picture under {} can be read any more",
                files.folder().display()
            ),
        ))
    }
}

/// What the pictures are: a sum over decoded ones, or over names and sizes of files.
fn fingerprint(store: &Store) -> String {
    match store {
        Store::Memory(pictures) => {
            format!(
                "{} pictures, sha256 {}",
                pictures.len(),
                sha256(&pictures.concat())
            )
        }
        Store::Idx(pictures) => {
            format!(
                "{} pictures, sha256 before they were resized {}",
                pictures.len(),
                sha256(&pictures.pixels)
            )
        }
        Store::Files(files) => {
            let mut names = String::new();
            for index in 0..files.len() {
                let bytes = files.path(index).metadata().map_or(0, |data| data.len());
                names.push_str(&format!("{} {bytes}\n", files.name(index).display()));
            }
            let sum = sha256(names.as_bytes());
            format!("{} files, sha256 of names and sizes {sum}", files.len())
        }
    }
}

/// Side of the stand-in's files in pixels, that of the anime faces of chapter 4 as they are collected.
const PROCEDURAL_SIDE: u32 = 96;

/// What `data` does for this architecture.
pub const DATASETS: Datasets = Datasets {
    word: "dcgan",
    known: &[Known {
        name: "celeba",
        about: "202,599 aligned faces, 178 x 218, 1.4 GB, for non-commercial research",
        page: "get img_align_celeba.zip from the Google Drive of \
               http://mmlab.ie.cuhk.edu.hk/projects/CelebA.html (img, Align&Cropped Images)",
        files: &[KnownFile {
            name: "img_align_celeba.zip",
            mirrors: &[
                "https://drive.usercontent.google.com/download?id=0B7EVK8r0v71pZjFTYXZWM3FlRnM&export=download&confirm=t",
            ],
            sha256: None,
            bytes: None,
            most_bytes: 2 << 30,
        }],
    }],
    procedural: write_procedural,
    procedural_count: PROCEDURAL_COUNT,
    procedural_about: PROCEDURAL,
    suggest,
    check: None,
    pairs: None,
    resolutions: None,
    shapes: None,
};

fn write_procedural(folder: &Path, count: usize) -> Result<()> {
    let folder = folder.join("faces");
    std::fs::create_dir_all(&folder)
        .map_err(|error| at_path(Kind::Disk, "create", &folder, &error))?;
    for number in 0..count as u64 {
        let face = faces::face(PROCEDURAL_SIDE, &mut Stream::new(0, "face", number));
        let path = folder.join(format!("{number:06}.jpg"));
        let write = || -> Result<(), image::ImageError> {
            let file = std::io::BufWriter::new(std::fs::File::create(&path)?);
            image::codecs::jpeg::JpegEncoder::new_with_quality(file, 95).encode_image(&face)
        };
        write().map_err(|error| {
            failure(
                Kind::Disk,
                format!("cannot write {}: {error}", path.display()),
            )
        })?;
    }
    Ok(())
}

/// The flags that suit a folder of pictures.
fn suggest(found: &Inspection) -> Vec<String> {
    let mut lines = Vec::new();
    let shortest = found.shortest_side();
    let size = [128, 64, 32].into_iter().find(|size| *size <= shortest);
    lines.push(match size {
        Some(size) if size < 64 => {
            format!("--image-size {size}: the shortest side has {shortest} pixels")
        }
        Some(64) => format!("--image-size 64: the shortest side has {shortest} pixels"),
        Some(size) => format!("--image-size 64 or {size}: the shortest side has {shortest} pixels"),
        None => format!("a shortest side of {shortest} pixels is enlarged to --image-size"),
    });
    if found.is_grey() {
        lines.push("--channels 1: no picture has colours".to_owned());
    }
    if found.readable < 2 {
        lines.push("add pictures: a batch needs 2 at least".to_owned());
    } else if found.readable < 128 {
        lines.push(format!("--batch-size at most {}", found.readable));
    }
    if found.readable < 5000 {
        lines.push(format!(
            "--augment color-translation: {} pictures are few, and would be learned by heart",
            found.readable
        ));
    }
    if !found.duplicates.is_empty() {
        lines.push(
            "dcgan data prepare --dedupe -i FOLDER -o NEW leaves the duplicates out".to_owned(),
        );
    }
    lines
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
    (0..pictures.len())
        .map(|index| enlarged(pictures, index, config))
        .collect()
}

fn enlarged(pictures: &idx::Pictures, index: usize, config: &Config) -> Vec<u8> {
    let (width, height) = (pictures.width as u32, pictures.height as u32);
    let bytes = pictures.picture(index);
    let picture = RgbImage::from_fn(width, height, |x, y| {
        image::Rgb([bytes[(y * width + x) as usize]; 3])
    });
    planar(
        &images::square(&picture, config.image_size as u32),
        config.channels,
    )
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

    fn warning(&self) -> Option<String> {
        self.found_broken.untold()
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
                    let values: Vec<f32> = row.iter().copied().map(to_unit).collect();
                    batch.extend(values.into_iter().rev());
                }
            } else {
                batch.extend(bytes.iter().copied().map(to_unit));
            }
        }
        Ok(batch)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(folder: &Path) -> Config {
        let mut config = Config {
            image_size: 32,
            ..Config::default()
        };
        config.training.data = folder.display().to_string();
        config.training.batch_size = 5;
        config
    }

    #[test]
    fn idx_pictures_that_memory_does_not_hold_are_resized_when_they_are_needed() {
        let folder = tempfile::tempdir().unwrap();
        let pictures = idx::Pictures {
            pixels: (0..12 * 28 * 28).map(|at| (at % 251) as u8).collect(),
            labels: Vec::new(),
            height: 28,
            width: 28,
        };
        pictures.write(folder.path(), "train").unwrap();
        let config = config(folder.path());
        let kept = Data::open(&config).unwrap();
        let resized = Data::open_within(&config, 1000).unwrap();
        assert!(matches!(resized.store, Store::Idx(_)));
        for index in 0..2 {
            assert!(kept.batch(1, index).unwrap() == resized.batch(1, index).unwrap());
        }
    }

    #[test]
    fn pictures_that_break_while_training_goes_on_are_passed_over_until_they_are_too_many() {
        let folder = tempfile::tempdir().unwrap();
        write_procedural(folder.path(), 20).unwrap();
        let config = config(folder.path());
        let place = |number: u64| folder.path().join(format!("faces/{number:06}.jpg"));
        let data = Data::open_within(&config, 0).unwrap();
        let whole: Vec<_> = (0..4).map(|index| data.batch(0, index).unwrap()).collect();
        assert_eq!(data.warning(), None);
        assert_eq!(
            whole,
            (0..4)
                .map(|index| Data::open(&config).unwrap().batch(0, index).unwrap())
                .collect::<Vec<_>>(),
            "the same pictures from memory and from files"
        );

        std::fs::write(place(7), "<html>").unwrap();
        std::fs::remove_file(place(8)).unwrap();
        let pass = |data: &Data| -> Result<Vec<Batch>> {
            (0..4).map(|index| data.batch(0, index)).collect()
        };
        let others = pass(&data).unwrap();
        assert_ne!(others, whole);
        let warning = data.warning().unwrap();
        assert!(warning.starts_with("2 of 20 pictures"), "{warning}");
        assert!(
            warning.contains("00000") && data.warning().is_none(),
            "said once"
        );
        std::fs::write(place(9), "").unwrap();
        let error = pass(&Data::open_within(&config, 0).unwrap()).unwrap_err();
        assert!(error.to_string().contains("could not be read"), "{error:#}");
        assert_eq!(gan_core::failure::exit_code(&error), 3);
    }
}
