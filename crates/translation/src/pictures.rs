//! Pictures for training: resized, cropped and mirrored the authors' way, several that belong together alike.

use anyhow::Result;
use gan_core::checkpoint::sha256;
use gan_core::failure::{Kind, failure};
use gan_core::images::{Broken, MOST_BROKEN};
use gan_core::random::Stream;
use image::{RgbImage, imageops};
use std::borrow::Cow;
use std::path::{Path, PathBuf};

/// Decoded pictures up to this many bytes stay in memory; beyond, each is decoded when it is needed.
pub const MEMORY_BYTES: usize = 2 << 30;

/// One training picture, or several that belong together: planar bytes, one after the other, all of one size.
pub type Sample = Vec<u8>;

/// Reads the files of one sample.
pub type Decode = Box<dyn Fn(&[PathBuf]) -> Result<Sample> + Send + Sync>;

/// The samples of a training or a test set.
pub struct Pictures {
    store: Store,
    fingerprint: String,
    /// Files that could not be read, with the reason; they are left out.
    pub broken: Vec<String>,
    found_broken: Broken,
}

enum Store {
    Memory(Vec<Sample>),
    Files {
        folder: PathBuf,
        samples: Vec<Vec<PathBuf>>,
        decode: Decode,
    },
}

impl Pictures {
    /// Samples that were made and not read.
    pub fn drawn(samples: Vec<Sample>) -> Self {
        Self::new(Store::Memory(samples), Vec::new())
    }

    /// Opens samples of `bytes` bytes each under `folder`: all of them at once where they fit into `memory` bytes.
    ///
    /// # Errors
    /// [`Kind::Data`] when too many cannot be read.
    pub fn open(
        folder: &Path,
        samples: Vec<Vec<PathBuf>>,
        bytes: usize,
        memory: usize,
        decode: Decode,
    ) -> Result<Self> {
        let count = samples.len();
        if count.saturating_mul(bytes) > memory {
            let folder = folder.to_owned();
            let store = Store::Files {
                folder,
                samples,
                decode,
            };
            return Ok(Self::new(store, Vec::new()));
        }
        let mut broken = Vec::new();
        let decoded = in_parallel(&samples, &decode);
        let kept: Vec<Sample> = decoded
            .into_iter()
            .filter_map(|result| {
                result
                    .map_err(|error| broken.push(format!("{error:#}")))
                    .ok()
            })
            .collect();
        if broken.len() as f64 > MOST_BROKEN * count as f64 {
            return Err(failure(
                Kind::Data,
                format!(
                    "{} of {count} pictures under {} cannot be read, the first: {}",
                    broken.len(),
                    folder.display(),
                    broken[0]
                ),
            ));
        }
        Ok(Self::new(Store::Memory(kept), broken))
    }

    fn new(store: Store, broken: Vec<String>) -> Self {
        let fingerprint = match &store {
            Store::Memory(samples) => {
                let sums: String = samples.iter().map(|sample| sha256(sample)).collect();
                format!(
                    "{} pictures, sha256 {}",
                    samples.len(),
                    sha256(sums.as_bytes())
                )
            }
            Store::Files {
                folder, samples, ..
            } => {
                let mut names = String::new();
                for path in samples.iter().flatten() {
                    let bytes = path.metadata().map_or(0, |data| data.len());
                    let name = path.strip_prefix(folder).unwrap_or(path);
                    names.push_str(&format!("{} {bytes}\n", name.display()));
                }
                let sum = sha256(names.as_bytes());
                format!("{} files, sha256 of names and sizes {sum}", samples.len())
            }
        };
        let count = match &store {
            Store::Memory(samples) => samples.len(),
            Store::Files { samples, .. } => samples.len(),
        };
        Self {
            store,
            fingerprint,
            broken,
            found_broken: Broken::new(count),
        }
    }

    /// How many samples.
    pub fn len(&self) -> usize {
        match &self.store {
            Store::Memory(samples) => samples.len(),
            Store::Files { samples, .. } => samples.len(),
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What the samples are: a sum over them, or over their names and sizes.
    pub fn fingerprint(&self) -> &str {
        &self.fingerprint
    }

    /// Files that had to be passed over since the last call, in one line.
    pub fn warning(&self) -> Option<String> {
        self.found_broken.untold()
    }

    /// Sample `index`, or the next one that can be read.
    ///
    /// # Errors
    /// [`Kind::Data`] when too many cannot be read by now.
    ///
    /// # Panics
    /// If there are fewer.
    pub fn sample(&self, index: usize) -> Result<Cow<'_, [u8]>> {
        let (folder, samples, decode) = match &self.store {
            Store::Memory(samples) => return Ok(samples[index].as_slice().into()),
            Store::Files {
                folder,
                samples,
                decode,
            } => (folder, samples, decode),
        };
        for index in (index..samples.len()).chain(0..index) {
            if self.found_broken.knows(index) {
                continue;
            }
            match decode(&samples[index]) {
                Ok(bytes) => return Ok(bytes.into()),
                Err(error) => self.found_broken.note(index, &error)?,
            }
        }
        Err(failure(
            Kind::Data,
            format!("no picture under {} can be read any more", folder.display()),
        ))
    }
}

/// Decodes on all cores, in order.
fn in_parallel(samples: &[Vec<PathBuf>], decode: &Decode) -> Vec<Result<Sample>> {
    let threads = std::thread::available_parallelism().map_or(1, |count| count.get());
    let share = samples.len().div_ceil(threads).max(1);
    std::thread::scope(|scope| {
        let workers: Vec<_> = samples
            .chunks(share)
            .map(|part| {
                scope.spawn(move || part.iter().map(|paths| decode(paths)).collect::<Vec<_>>())
            })
            .collect();
        workers
            .into_iter()
            .flat_map(|worker| match worker.join() {
                Ok(results) => results,
                Err(panic) => std::panic::resume_unwind(panic),
            })
            .collect()
    })
}

/// A picture as `side` x `side` planar bytes with 1 or 3 channels: both sides are brought to that length, whatever
/// they were (the authors' `resize`), with an antialiased bicubic filter (a = -0.5, as Pillow's).
pub fn squeezed(picture: &RgbImage, side: u32, channels: usize) -> Sample {
    if picture.dimensions() == (side, side) {
        return planar(picture, channels);
    }
    let resized = imageops::resize(picture, side, side, imageops::FilterType::CatmullRom);
    planar(&resized, channels)
}

/// `channels * height * width` bytes of a picture.
pub fn planar(picture: &RgbImage, channels: usize) -> Sample {
    if channels == 1 {
        return imageops::grayscale(picture).into_raw();
    }
    (0..3)
        .flat_map(|channel| picture.pixels().map(move |pixel| pixel.0[channel]))
        .collect()
}

/// Bytes to [-1, 1].
pub fn to_unit(byte: u8) -> f32 {
    f32::from(byte) / 127.5 - 1.0
}

/// How a sample of `load` x `load` pixels becomes one of `crop` x `crop`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cut {
    /// Side before.
    pub load: usize,
    /// Side after, at most `load`.
    pub crop: usize,
    /// First column.
    pub left: usize,
    /// First row.
    pub top: usize,
    /// Whether left and right change places.
    pub mirrored: bool,
}

/// Whether samples are mirrored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flip {
    /// Half of them.
    Half,
    /// None.
    Never,
}

impl Cut {
    /// Draws where to cut.
    pub fn draw(load: usize, crop: usize, flip: Flip, stream: &mut Stream) -> Self {
        let offset = stream.integers(2, load - crop + 1);
        let mirrored = stream.integers(1, 2)[0] == 1;
        Self {
            load,
            crop,
            left: offset[0],
            top: offset[1],
            mirrored: mirrored && flip == Flip::Half,
        }
    }

    /// Appends the cut of each `load * load` plane of `planes`, in [-1, 1].
    pub fn append(&self, planes: &[u8], out: &mut Vec<f32>) {
        for plane in planes.chunks_exact(self.load * self.load) {
            for row in plane.chunks_exact(self.load).skip(self.top).take(self.crop) {
                let row = &row[self.left..self.left + self.crop];
                if self.mirrored {
                    out.extend(row.iter().rev().copied().map(to_unit));
                } else {
                    out.extend(row.iter().copied().map(to_unit));
                }
            }
        }
    }
}

/// Pictures of both domains for one step, in [-1, 1], planar, one after the other.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Batch {
    /// Of domain A, or the inputs.
    pub a: Vec<f32>,
    /// Of domain B, or the targets.
    pub b: Vec<f32>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbered(side: usize) -> Vec<u8> {
        (0..side * side).map(|number| number as u8).collect()
    }

    #[test]
    fn what_belongs_together_is_cut_alike() {
        let cut = Cut {
            load: 4,
            crop: 2,
            left: 1,
            top: 2,
            mirrored: true,
        };
        let mut out = Vec::new();
        cut.append(&[numbered(4), numbered(4)].concat(), &mut out);
        let bytes: Vec<u8> = out
            .iter()
            .map(|v| ((v + 1.0) * 127.5).round() as u8)
            .collect();
        assert_eq!(bytes, [10, 9, 14, 13, 10, 9, 14, 13]);
    }

    #[test]
    fn cuts_reach_every_place_and_both_ways() {
        let mut seen = std::collections::BTreeSet::new();
        for number in 0..400 {
            let mut stream = Stream::new(3, "cut", number);
            let cut = Cut::draw(6, 4, Flip::Half, &mut stream);
            assert!(cut.left <= 2 && cut.top <= 2);
            seen.insert((cut.left, cut.top, cut.mirrored));
        }
        assert_eq!(seen.len(), 18);
        let never = Cut::draw(4, 4, Flip::Never, &mut Stream::new(1, "cut", 0));
        assert!(!never.mirrored && never.left == 0);
    }

    #[test]
    fn files_and_memory_give_the_same_and_few_broken_ones_are_passed_over() {
        let folder = tempfile::tempdir().unwrap();
        let paths: Vec<Vec<PathBuf>> = (0..12u8)
            .map(|number| {
                let path = folder.path().join(format!("{number:02}.png"));
                RgbImage::from_pixel(4, 3, image::Rgb([number * 20; 3]))
                    .save(&path)
                    .unwrap();
                vec![path]
            })
            .collect();
        let decode = || -> Decode {
            Box::new(|paths| {
                let picture = gan_core::images::to_rgb(&gan_core::images::read(&paths[0])?);
                Ok(squeezed(&picture, 4, 1))
            })
        };
        let open = |memory| Pictures::open(folder.path(), paths.clone(), 16, memory, decode());
        let (kept, read) = (open(MEMORY_BYTES).unwrap(), open(0).unwrap());
        assert_ne!(kept.fingerprint(), read.fingerprint());
        for index in 0..12 {
            assert_eq!(kept.sample(index).unwrap(), read.sample(index).unwrap());
        }
        std::fs::write(&paths[3][0], "<html>").unwrap();
        let kept = open(MEMORY_BYTES).unwrap();
        assert_eq!((kept.len(), kept.broken.len()), (11, 1));
        assert!(kept.broken[0].contains("03.png"), "{:?}", kept.broken);
        assert_eq!(read.sample(3).unwrap(), read.sample(4).unwrap());
        assert!(read.warning().unwrap().contains("03.png"));
        std::fs::write(&paths[5][0], "").unwrap();
        let error = open(MEMORY_BYTES).err().unwrap();
        assert_eq!(gan_core::failure::exit_code(&error), 3);
    }
}
