//! What a training set is read into: all samples in memory, or each decoded when it is needed.

use crate::checkpoint::sha256;
use crate::failure::{Kind, failure};
use crate::images::{Broken, MOST_BROKEN};
use anyhow::Result;
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Decoded samples up to this many bytes stay in memory; beyond, each is decoded when it is needed.
pub const MEMORY_BYTES: usize = 2 << 30;

/// Reads the files of one sample.
pub type Decode<S = Vec<u8>> = Box<dyn Fn(&[PathBuf]) -> Result<S> + Send + Sync>;

/// What a sample is to the sum that tells one dataset from another.
pub trait Content: Clone + Send {
    /// A sum over all of it.
    fn sum(&self) -> String;
}

impl Content for Vec<u8> {
    fn sum(&self) -> String {
        sha256(self)
    }
}

/// Rows and files of a dataset that were left out, counted by reason, so that nothing is passed over in silence.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Skipped {
    // By reason: how many, and the first.
    reasons: BTreeMap<&'static str, (usize, String)>,
}

impl Skipped {
    /// Counts one more; `place` tells the first of them.
    pub fn skip(&mut self, reason: &'static str, place: &str) {
        let entry = self.reasons.entry(reason);
        entry.or_insert_with(|| (0, place.to_owned())).0 += 1;
    }

    /// How many there are.
    pub fn total(&self) -> usize {
        self.reasons.values().map(|(count, _)| count).sum()
    }

    /// How many for each reason, in alphabetical order.
    pub fn counts(&self) -> impl Iterator<Item = (&'static str, usize)> {
        self.reasons
            .iter()
            .map(|(reason, (count, _))| (*reason, *count))
    }

    /// A line for each reason: how many, and the first.
    pub fn lines(&self) -> Vec<String> {
        let line = |(reason, (count, first)): (&&str, &(usize, String))| {
            format!("{count} with {reason}, the first: {first}")
        };
        self.reasons.iter().map(line).collect()
    }
}

/// The samples of a training or a test set: pictures, or several that belong together.
pub struct Pictures<S = Vec<u8>> {
    store: Store<S>,
    fingerprint: String,
    /// Files that could not be read, with the reason; they are left out.
    pub broken: Vec<String>,
    found_broken: Broken,
}

enum Store<S> {
    Memory(Vec<S>),
    Files {
        folder: PathBuf,
        samples: Vec<Vec<PathBuf>>,
        decode: Decode<S>,
    },
}

impl<S: Content> Pictures<S> {
    /// Samples that were made and not read.
    pub fn drawn(samples: Vec<S>) -> Self {
        Self::new(Store::Memory(samples), Vec::new())
    }

    /// Opens samples of `bytes` bytes each, on average, under `folder`: all of them at once where they fit into
    /// `memory` bytes.
    ///
    /// # Errors
    /// [`Kind::Data`] when too many cannot be read.
    pub fn open(
        folder: &Path,
        samples: Vec<Vec<PathBuf>>,
        bytes: usize,
        memory: usize,
        decode: Decode<S>,
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
        let decoded = in_parallel(&samples, |paths| decode(paths));
        let kept: Vec<S> = decoded
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

    fn new(store: Store<S>, broken: Vec<String>) -> Self {
        let fingerprint = match &store {
            Store::Memory(samples) => {
                let sums: String = samples.iter().map(Content::sum).collect();
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

    /// All samples, where they are in memory.
    pub fn in_memory(&self) -> Option<&[S]> {
        match &self.store {
            Store::Memory(samples) => Some(samples),
            Store::Files { .. } => None,
        }
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
    pub fn sample(&self, index: usize) -> Result<Cow<'_, S>> {
        let (folder, samples, decode) = match &self.store {
            Store::Memory(samples) => return Ok(Cow::Borrowed(&samples[index])),
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
                Ok(sample) => return Ok(Cow::Owned(sample)),
                Err(error) => self.found_broken.note(index, &error)?,
            }
        }
        Err(failure(
            Kind::Data,
            format!("no picture under {} can be read any more", folder.display()),
        ))
    }
}

/// Does `work` for every item on all cores, and gives the results in order.
pub fn in_parallel<T: Sync, R: Send>(items: &[T], work: impl Fn(&T) -> R + Sync) -> Vec<R> {
    let threads = std::thread::available_parallelism().map_or(1, |count| count.get());
    let share = items.len().div_ceil(threads).max(1);
    let work = &work;
    std::thread::scope(|scope| {
        let workers: Vec<_> = items
            .chunks(share)
            .map(|part| scope.spawn(move || part.iter().map(work).collect::<Vec<_>>()))
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::failure::exit_code;
    use crate::images;
    use image::RgbImage;

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
                let picture = images::to_rgb(&images::read(&paths[0])?);
                Ok(picture.into_raw())
            })
        };
        let open = |memory| Pictures::open(folder.path(), paths.clone(), 36, memory, decode());
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
        assert_eq!(exit_code(&error), 3);
    }
}
