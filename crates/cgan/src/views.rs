//! Two looks at the same person: what an embedding learns to find alike, and a classifier not to be led by.

use crate::config::{Config, Persons};
use crate::data::{Faces, Sample};
use anyhow::Result;
use gan_core::failure::{Kind, failure};
use gan_core::images::to_unit;
use gan_core::random::{Orders, Stream};
use gan_core::stage::Source;
use std::collections::BTreeMap;
use std::sync::Arc;

/// A picture as another photograph might have it: moved by up to a twelfth, enlarged by up to a seventh or shrunk by as
/// much, mirrored (not where mirrored things are others), lighter or darker, and tinted.
///
/// # Shapes
/// - `pixels`: `channels * side * side` bytes, planar; the result as many values in [-1, 1]
pub fn view(pixels: &[u8], config: &Config, is_mirrorable: bool, stream: &mut Stream) -> Vec<f32> {
    let side = config.image_size;
    let drawn = stream.uniform(10, -1.0, 1.0);
    let scale = 1.0 + drawn[0] / 7.0;
    let [right, down] = [drawn[1], drawn[2]].map(|share| share * side as f32 / 12.0);
    let is_mirrored = is_mirrorable && drawn[3] > 0.0;
    let (gain, lift) = (1.0 + 0.2 * drawn[4], 0.1 * drawn[5]);
    let tint = if config.channels == 3 {
        [drawn[6], drawn[7], drawn[8]].map(|share| 0.06 * share)
    } else {
        [0.0; 3]
    };
    let middle = (side as f32 - 1.0) / 2.0;
    let last = (side - 1) as f32;
    // For each place along a row or column: the two places that it lies between, and how far along.
    let along = |shift: f32, mirror: bool| -> Vec<(usize, usize, f32)> {
        (0..side)
            .map(|place| {
                let place = if mirror { side - 1 - place } else { place };
                let from = (middle + (place as f32 - middle) * scale + shift).clamp(0.0, last);
                let first = from.floor() as usize;
                (first, (first + 1).min(side - 1), from - first as f32)
            })
            .collect()
    };
    let (columns, rows) = (along(right, is_mirrored), along(down, false));
    let mut values = Vec::with_capacity(pixels.len());
    for (channel, plane) in pixels.chunks_exact(side * side).enumerate() {
        for (top, bottom, below) in &rows {
            for (left, right, beyond) in &columns {
                let at = |row: usize, column: usize| to_unit(plane[row * side + column]);
                let upper = at(*top, *left) * (1.0 - beyond) + at(*top, *right) * beyond;
                let lower = at(*bottom, *left) * (1.0 - beyond) + at(*bottom, *right) * beyond;
                let value = upper * (1.0 - below) + lower * below;
                values.push((value * gain + lift + tint[channel % 3]).clamp(-1.0, 1.0));
            }
        }
    }
    values
}

/// Views of pictures with their classes, for a classifier.
#[derive(Debug)]
pub struct Views {
    data: crate::data::Data,
    config: Config,
}

impl Views {
    /// Views of the pictures of `data`.
    pub fn new(data: crate::data::Data, config: &Config) -> Self {
        Self {
            data,
            config: config.clone(),
        }
    }
}

impl Source for Views {
    type Batch = crate::data::Batch;

    fn len(&self) -> usize {
        self.data.len()
    }

    fn fingerprint(&self) -> String {
        self.data.fingerprint()
    }

    fn warning(&self) -> Option<String> {
        self.data.warning()
    }

    fn batch(&self, epoch: u64, index: usize) -> Result<Self::Batch> {
        let (samples, number) = self.data.samples(epoch, index)?;
        let mut stream = Stream::new(self.config.training.seed, "view", number);
        let is_mirrorable = self.config.classes() != crate::classes::Classes::Digits;
        let mut batch = crate::data::Batch::default();
        for sample in samples {
            let values = view(&sample.pixels, &self.config, is_mirrorable, &mut stream);
            batch.pixels.extend(values);
            batch.classes.push(sample.class);
        }
        Ok(batch)
    }
}

/// Two pictures of each of some persons.
#[derive(Debug, Clone, PartialEq)]
pub struct Pairs {
    /// `batch_size` pictures in [-1, 1], planar, one after the other.
    pub first: Vec<f32>,
    /// Others of the same persons, in the same order.
    pub second: Vec<f32>,
}

/// Pairs of pictures: of persons where they are known, else of single pictures, seen twice.
pub struct PairData {
    faces: Arc<Faces>,
    config: Config,
    /// The places of the pictures of each person.
    groups: Vec<Vec<usize>>,
    /// Whether groups are persons.
    pub has_persons: bool,
    orders: Orders,
}

impl PairData {
    /// Pairs of `faces`.
    ///
    /// # Errors
    /// [`Kind::Data`] when there are too few persons or pictures for a batch.
    pub fn new(faces: Arc<Faces>, config: &Config) -> Result<Self> {
        let mut persons: BTreeMap<u32, Vec<usize>> = BTreeMap::new();
        let mut unknown = Vec::new();
        for (place, person) in faces.persons().iter().enumerate() {
            match person {
                Some(person) => persons.entry(*person).or_default().push(place),
                None => unknown.push(vec![place]),
            }
        }
        let has_persons = persons.values().any(|group| group.len() > 1);
        let groups = persons.into_values().chain(unknown).enumerate();
        let groups: Vec<_> = groups
            .filter(|(number, _)| match config.persons {
                Persons::All => true,
                Persons::Even => number.is_multiple_of(2),
                Persons::Odd => !number.is_multiple_of(2),
            })
            .map(|(_, group)| group)
            .collect();
        let batch_size = config.training.batch_size;
        if groups.len() < batch_size {
            return Err(failure(
                Kind::Data,
                format!(
                    "an embedding tells {batch_size} persons of a batch apart, and there are {} to learn from: lower \
                     --batch-size, or add pictures",
                    groups.len()
                ),
            ));
        }
        Ok(Self {
            orders: Orders::new(config.training.seed, groups.len()),
            faces,
            config: config.clone(),
            groups,
            has_persons,
        })
    }

    /// Passes over all groups that make an epoch: as many pairs as there are pictures.
    fn passes(&self) -> usize {
        let pictures: usize = self.groups.iter().map(Vec::len).sum();
        (pictures / self.groups.len()).max(1)
    }
}

impl Source for PairData {
    type Batch = Pairs;

    fn len(&self) -> usize {
        self.passes() * (self.groups.len() / self.config.training.batch_size)
    }

    fn fingerprint(&self) -> String {
        self.faces.fingerprint()
    }

    fn warning(&self) -> Option<String> {
        self.faces.warning()
    }

    fn batch(&self, epoch: u64, index: usize) -> Result<Pairs> {
        let count = self.config.training.batch_size;
        let each = self.groups.len() / count;
        let order = self
            .orders
            .of(epoch * self.passes() as u64 + (index / each) as u64);
        let start = index % each * count;
        let number = epoch * self.len() as u64 + index as u64;
        let mut stream = Stream::new(self.config.training.seed, "pair", number);
        let mut pairs = Pairs {
            first: Vec::with_capacity(count * self.config.pixels()),
            second: Vec::with_capacity(count * self.config.pixels()),
        };
        for group in &order[start..start + count] {
            let group = &self.groups[*group as usize];
            let first = stream.integers(1, group.len())[0];
            // Another one where there is another.
            let step = stream.integers(1, group.len().max(2) - 1)[0] + 1;
            let second = (first + step) % group.len();
            let sample: std::borrow::Cow<'_, Sample> = self.faces.sample(group[first])?;
            let mut partner = self.faces.sample(group[second])?;
            // A file that broke meanwhile has its place taken by another's.
            if partner.person != sample.person {
                partner = sample.clone();
            }
            for (sample, out) in [(sample, &mut pairs.first), (partner, &mut pairs.second)] {
                out.extend(view(&sample.pixels, &self.config, true, &mut stream));
            }
        }
        Ok(pairs)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::Part;

    fn config() -> Config {
        let mut config = Config {
            image_size: 32,
            ..Config::default()
        };
        config.training.batch_size = 20;
        config
    }

    #[test]
    fn a_view_without_change_is_the_picture() {
        let config = config();
        let pixels: Vec<u8> = (0..config.pixels())
            .map(|at| (at * 7 % 256) as u8)
            .collect();
        let mut still = Stream::replaying([vec![0.0; 10]]);
        let same = view(&pixels, &config, true, &mut still);
        let expected: Vec<f32> = pixels.iter().copied().map(to_unit).collect();
        assert_eq!(same, expected);
        let mut mirroring = vec![0.0; 10];
        mirroring[3] = 1.0;
        let mirrored = view(
            &pixels,
            &config,
            true,
            &mut Stream::replaying([mirroring.clone()]),
        );
        let rows = expected.chunks_exact(32);
        let reversed: Vec<f32> = rows.flat_map(|row| row.iter().rev().copied()).collect();
        assert_eq!(mirrored, reversed);
        let not = view(&pixels, &config, false, &mut Stream::replaying([mirroring]));
        assert_eq!(not, expected);
    }

    #[test]
    fn pairs_are_of_one_person_and_batches_of_different_ones() {
        let config = config();
        let faces = Arc::new(Faces::open(&config, Part::Held).unwrap());
        let data = PairData::new(faces.clone(), &config).unwrap();
        assert!(data.has_persons);
        // 120 persons, 6 pictures each.
        assert_eq!((data.groups.len(), data.len()), (120, 36));
        let batch = data.batch(1, 5).unwrap();
        assert_eq!(batch, data.batch(1, 5).unwrap());
        assert_eq!(batch.first.len(), 20 * config.pixels());
        assert_ne!(batch.first, batch.second);
        let halves = [Persons::Even, Persons::Odd].map(|persons| {
            let config = Config {
                persons,
                ..config.clone()
            };
            PairData::new(faces.clone(), &config).unwrap().groups
        });
        assert_eq!(halves[0].len() + halves[1].len(), 120);
        assert!(halves[0].iter().all(|group| !halves[1].contains(group)));
    }
}
