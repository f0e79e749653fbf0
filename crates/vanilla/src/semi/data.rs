//! What a batch is: a few pictures whose classes are told, and others whose classes are not.

use super::CLASSES;
use super::config::{Config, Method};
use crate::data::{PROCEDURAL_COUNT, procedural};
use anyhow::Result;
use gan_core::checkpoint::sha256;
use gan_core::failure::{Kind, failure};
use gan_core::idx::Pictures;
use gan_core::random::{Orders, Stream};
use gan_core::stage::Source;
use std::path::Path;
use std::sync::Arc;

/// Test pictures of the procedural stand-in.
const PROCEDURAL_TEST: usize = 2000;

/// Pictures that fresh weights are fitted to, as in the released code.
const CALIBRATING: usize = 500;

/// Pictures to learn from, of which a few have labels, and pictures to be measured on.
#[derive(Debug)]
pub struct Data {
    train: Pictures,
    test: Arc<Pictures>,
    /// Places of the labelled pictures, class by class.
    labelled: Vec<usize>,
    orders: Orders,
    config: Config,
}

/// Pictures as values in [0, 1], one after the other.
#[derive(Debug, Clone, PartialEq)]
pub struct Batch {
    /// Those whose classes are told.
    pub labelled: Vec<f32>,
    /// Their classes.
    pub classes: Vec<usize>,
    /// Those whose classes are not; none where the labelled ones teach alone.
    pub unlabelled: Vec<f32>,
}

/// Reads one part of a folder of idx files, or draws it. Every picture has a label.
fn read(folder: &str, prefix: &str) -> Result<Pictures> {
    if folder.is_empty() {
        // Not the run's seed: every run sees the same stand-in, as it would see the same MNIST.
        return Ok(match prefix {
            "train" => procedural(0, PROCEDURAL_COUNT),
            _ => procedural(1, PROCEDURAL_TEST),
        });
    }
    let pictures = Pictures::read(Path::new(folder), prefix)?;
    if pictures.labels.is_empty() {
        return Err(failure(
            Kind::Data,
            format!(
                "{folder} holds no {prefix}-labels-idx1-ubyte(.gz): name a folder with the four files of MNIST"
            ),
        ));
    }
    if let Some(label) = pictures
        .labels
        .iter()
        .find(|label| usize::from(**label) >= CLASSES)
    {
        return Err(failure(
            Kind::Data,
            format!(
                "{folder}: a {prefix} picture has the label {label}, but there are {CLASSES} classes, 0 to {}",
                CLASSES - 1
            ),
        ));
    }
    Ok(pictures)
}

/// The test pictures of a folder of idx files, or drawn ones where it is empty.
///
/// # Errors
/// [`Kind::Data`] when they or their labels cannot be read.
pub fn test(folder: &str) -> Result<Pictures> {
    read(folder, "t10k")
}

/// Values in [0, 1] of the pictures at some places.
pub fn values(pictures: &Pictures, places: impl Iterator<Item = usize>) -> Vec<f32> {
    places
        .flat_map(|place| pictures.picture(place))
        .map(|pixel| f32::from(*pixel) / 255.0)
        .collect()
}

impl Data {
    /// Opens the data that a configuration names, and chooses the labelled pictures by its seed: the same for either
    /// method.
    ///
    /// # Errors
    /// [`Kind::Data`] when it cannot be read, has no labels, or has too few pictures of a class.
    pub fn open(config: &Config) -> Result<Self> {
        let training = &config.training;
        let train = read(&training.data, "train")?;
        let test = test(&training.data)?;
        if (test.height, test.width) != (train.height, train.width) {
            return Err(failure(
                Kind::Data,
                format!(
                    "{}: the pictures to learn from are {} x {} pixels, those of the test {} x {}",
                    training.data, train.width, train.height, test.width, test.height
                ),
            ));
        }
        if train.len() < training.batch_size {
            return Err(failure(
                Kind::Data,
                format!(
                    "{} pictures are fewer than a batch of {}: lower --batch-size",
                    train.len(),
                    training.batch_size
                ),
            ));
        }
        let order = Stream::new(training.seed, "labels", 0).permutation(train.len());
        let mut labelled = Vec::with_capacity(config.labels);
        let each = config.labels / CLASSES;
        for class in 0..CLASSES {
            let of_class = order
                .iter()
                .map(|place| *place as usize)
                .filter(|place| usize::from(train.labels[*place]) == class);
            labelled.extend(of_class.take(each));
            if labelled.len() < each * (class + 1) {
                return Err(failure(
                    Kind::Data,
                    format!(
                        "there are fewer than {each} pictures of class {class}: lower --labels {}",
                        config.labels
                    ),
                ));
            }
        }
        Ok(Self {
            orders: Orders::new(training.seed, train.len()),
            train,
            test: Arc::new(test),
            labelled,
            config: config.clone(),
        })
    }

    /// Height and width of a picture in pixels.
    pub fn size(&self) -> (usize, usize) {
        (self.train.height, self.train.width)
    }

    /// What errors are counted on.
    pub fn test(&self) -> Arc<Pictures> {
        self.test.clone()
    }

    /// Values of the pictures that fresh weights are fitted to: some of all pictures; where the labelled ones teach
    /// alone, those, for nothing else may tell what pictures look like.
    pub fn calibrating(&self) -> Vec<f32> {
        if self.config.method == Method::Labels {
            return values(&self.train, self.labelled.iter().copied());
        }
        let order = self.orders.of(0);
        let some = order.iter().take(CALIBRATING);
        values(&self.train, some.map(|place| *place as usize))
    }

    /// The labelled pictures of a batch: each once in turn, in an order of its own each time; all of them, where there
    /// are fewer than a batch.
    fn told(&self, number: u64) -> Vec<usize> {
        let count = self.labelled.len();
        let size = self.config.training.batch_size.min(count) as u64;
        let seed = self.config.training.seed;
        let order = |pass| Stream::new(seed, "order/labelled", pass).permutation(count);
        let first = number * size;
        let mut pass = first / count as u64;
        let mut shuffled = order(pass);
        (first..first + size)
            .map(|place| {
                if place / count as u64 != pass {
                    pass = place / count as u64;
                    shuffled = order(pass);
                }
                self.labelled[shuffled[(place % count as u64) as usize] as usize]
            })
            .collect()
    }
}

impl Source for Data {
    type Batch = Batch;

    fn len(&self) -> usize {
        // As many steps an epoch for either method, so that epochs and schedules mean the same.
        self.train.len() / self.config.training.batch_size
    }

    fn fingerprint(&self) -> String {
        format!(
            "{} pictures, sha256 {}, of their labels {}, of the test pictures {}",
            self.train.len(),
            sha256(&self.train.pixels),
            sha256(&self.train.labels),
            sha256(&self.test.pixels)
        )
    }

    fn batch(&self, epoch: u64, index: usize) -> Result<Batch> {
        let told = self.told(epoch * self.len() as u64 + index as u64);
        let unlabelled = match self.config.method {
            Method::Labels => Vec::new(),
            Method::Gan => {
                let size = self.config.training.batch_size;
                let order = self.orders.of(epoch);
                let some = order[index * size..(index + 1) * size].iter();
                values(&self.train, some.map(|place| *place as usize))
            }
        };
        let class = |place: &usize| usize::from(self.train.labels[*place]);
        Ok(Batch {
            classes: told.iter().map(class).collect(),
            labelled: values(&self.train, told.into_iter()),
            unlabelled,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn data(labels: usize, batch_size: usize) -> Data {
        let mut config = Config {
            labels,
            ..Config::default()
        };
        config.training.batch_size = batch_size;
        Data::open(&config).unwrap()
    }

    #[test]
    fn labels_are_balanced_and_every_one_comes_once_a_pass() {
        let data = data(60, 40);
        let mut counts = [0; CLASSES];
        for place in &data.labelled {
            counts[usize::from(data.train.labels[*place])] += 1;
        }
        assert_eq!(counts, [6; CLASSES]);
        // Three batches of 40 are two passes over 60.
        let mut told: Vec<usize> = (0..3).flat_map(|number| data.told(number)).collect();
        let mut first = told[..60].to_vec();
        first.sort_unstable();
        let mut all = data.labelled.clone();
        all.sort_unstable();
        assert_eq!(first, all);
        told.drain(..60);
        told.sort_unstable();
        assert_eq!(told, all);
    }

    #[test]
    fn few_labels_make_a_small_batch_and_the_classes_are_theirs() {
        let data = data(20, 50);
        let batch = data.batch(3, 7).unwrap();
        assert_eq!(
            (batch.classes.len(), batch.unlabelled.len()),
            (20, 50 * 784)
        );
        assert_eq!(batch.labelled.len(), 20 * 784);
        let mut counts = [0; CLASSES];
        batch.classes.iter().for_each(|class| counts[*class] += 1);
        assert_eq!(counts, [2; CLASSES]);
        assert!(
            batch
                .labelled
                .iter()
                .all(|value| (0.0..=1.0).contains(value))
        );
        assert_eq!(batch, data.batch(3, 7).unwrap(), "a pure function");
    }
}
