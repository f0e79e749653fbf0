//! Whether generated digits are all ten of them, as a classifier sees it that has learned from the data's labels.

use crate::config::Config;
use crate::data::{PROCEDURAL_COUNT, procedural};
use crate::generate::Sampler;
use anyhow::Result;
use burn::module::Module;
use burn::tensor::activation::softmax;
use burn::tensor::{Device, Tensor, TensorData};
use gan_core::failure::{Kind, failure};
use gan_core::idx::Pictures;
use gan_core::init::{Initial, initialise};
use gan_core::judge::{Judge, JudgeShape};
use gan_core::layers::Statistics;
use gan_core::learner::Learner;
use gan_core::loss::cross_entropy;
use gan_core::optimizer::{Rule, Schedule};
use gan_core::random::Orders;
use gan_core::stage::At;
use gan_core::weights::values;
use image::RgbImage;
use metrics::features::Features;
use metrics::frechet;
use metrics::statistics::Mean;
use std::collections::BTreeMap;
use std::path::Path;

/// Classes of the pictures.
const CLASSES: usize = 10;
/// Side of the pictures that the classifier looks at: 28 with a margin.
const SIDE: usize = 32;
/// Pictures of a step.
const BATCH: usize = 64;
/// Steps: a few minutes' worth of certainty is not needed to tell a 3 from a 7.
const STEPS: u64 = 800;
/// Pictures that are kept out of its training, to know how often it is right.
const HELD: usize = 1000;

/// A classifier of the digits of a dataset, with what it makes of the dataset itself.
#[derive(Debug)]
pub struct Coverage {
    judge: Judge,
    device: Device,
    /// How often it is right on pictures that it has not learned from.
    pub accuracy: f64,
    /// The share of each class.
    shares: Vec<f64>,
    /// Of the pictures that were kept out.
    real: Features,
}

/// What the classifier makes of some pictures.
struct Looked {
    /// Probabilities, `CLASSES` for each picture.
    told: Vec<f32>,
    features: Features,
}

/// Grey bytes with a margin around them, in [-1, 1].
fn framed(bytes: &[u8], height: usize, width: usize) -> Vec<f32> {
    let mut values = vec![-1.0; SIDE * SIDE];
    let (down, right) = ((SIDE - height.min(SIDE)) / 2, (SIDE - width.min(SIDE)) / 2);
    for (y, row) in bytes.chunks_exact(width).take(SIDE).enumerate() {
        for (x, byte) in row.iter().take(SIDE).enumerate() {
            values[(down + y) * SIDE + right + x] = f32::from(*byte) / 127.5 - 1.0;
        }
    }
    values
}

impl Coverage {
    /// Learns the digits that a configuration trains on.
    ///
    /// # Errors
    /// [`Kind::Data`] when they cannot be read, have no labels or are too few.
    pub fn new(config: &Config, device: &Device) -> Result<Self> {
        let place = &config.training.data;
        let pictures = if place.is_empty() {
            procedural(0, PROCEDURAL_COUNT)
        } else {
            Pictures::read(Path::new(place), "train")?
        };
        if pictures.labels.len() != pictures.len() || pictures.len() < HELD + BATCH {
            return Err(failure(
                Kind::Data,
                format!(
                    "{place}: {} pictures with {} labels: to tell digits apart a sweep needs the labels of {} at least \
                     (train-labels-idx1-ubyte)",
                    pictures.len(),
                    pictures.labels.len(),
                    HELD + BATCH
                ),
            ));
        }
        let shape = JudgeShape {
            channels: 1,
            side: SIDE,
            width: 16,
            outputs: CLASSES,
        };
        let network = Judge::new(&shape, &device.clone().autodiff());
        let network = initialise(network, Initial::FanIn, 0, "coverage");
        let rule = Rule::Adam {
            beta1: 0.9,
            beta2: 0.999,
            epsilon: 1e-8,
        };
        let schedule = Schedule::LinearDecay { start: 0.5 };
        let mut learner = Learner::new(network, rule, 1e-3, schedule);
        let learned = pictures.len() - HELD;
        let orders = Orders::new(0, learned);
        let each = learned / BATCH;
        let picture =
            |index: usize| framed(pictures.picture(index), pictures.height, pictures.width);
        for step in 0..STEPS {
            let order = orders.of(step / each as u64);
            let first = (step as usize % each) * BATCH;
            let chosen = &order[first..first + BATCH];
            let batch: Vec<f32> = chosen.iter().flat_map(|at| picture(*at as usize)).collect();
            let classes: Vec<usize> = chosen
                .iter()
                .map(|at| usize::from(pictures.labels[*at as usize]).min(CLASSES - 1))
                .collect();
            let batch = TensorData::new(batch, [BATCH, 1, SIDE, SIDE]);
            let batch = Tensor::<4>::from_data(batch, &device.clone().autodiff());
            let logits = learner.network().forward(batch, Statistics::Update);
            learner.descend(cross_entropy(logits, &classes), &At::new(0, step, STEPS));
        }
        let mut coverage = Self {
            judge: learner.network().valid(),
            device: device.clone(),
            accuracy: 0.0,
            shares: vec![0.0; CLASSES],
            real: Features::empty(1),
        };
        for label in &pictures.labels {
            coverage.shares[usize::from(*label).min(CLASSES - 1)] += 1.0 / pictures.len() as f64;
        }
        let held: Vec<Vec<f32>> = (learned..pictures.len()).map(picture).collect();
        let looked = coverage.look(&held);
        let right = looked
            .told
            .chunks_exact(CLASSES)
            .zip(&pictures.labels[learned..])
            .filter(|(told, label)| most(told).0 == usize::from(**label));
        coverage.accuracy = right.count() as f64 / HELD as f64;
        coverage.real = looked.features;
        Ok(coverage)
    }

    fn look(&self, pictures: &[Vec<f32>]) -> Looked {
        let mut told = Vec::new();
        let mut features: Option<Features> = None;
        for some in pictures.chunks(250) {
            let batch = TensorData::new(some.concat(), [some.len(), 1, SIDE, SIDE]);
            let batch = Tensor::<4>::from_data(batch, &self.device);
            let hidden = self.judge.features(batch, Statistics::Running);
            told.extend(values(softmax(self.judge.told(hidden.clone()), 1)));
            let own = Features::new(hidden.dims()[1], values(hidden));
            match &mut features {
                Some(all) => all.append(&own),
                None => features = Some(own),
            }
        }
        Looked {
            told,
            features: features.unwrap_or_else(|| Features::empty(1)),
        }
    }

    /// What generated digits come to: `digits`, how many of the ten are at least a hundredth of them; `kl_divergence`,
    /// from their shares to the data's in nats; `certainty`, the mean probability of the likeliest digit; `distance`, the
    /// Frechet distance to the data in the classifier's last hidden layer.
    ///
    /// # Errors
    /// When the distance cannot be computed: values that are not finite.
    pub fn of(&self, pictures: &[RgbImage]) -> Result<BTreeMap<String, f64>> {
        let framed: Vec<Vec<f32>> = pictures
            .iter()
            .map(|picture| {
                let bytes: Vec<u8> = picture.pixels().map(|pixel| pixel.0[0]).collect();
                framed(&bytes, picture.height() as usize, picture.width() as usize)
            })
            .collect();
        let looked = self.look(&framed);
        let mut counts = [0usize; CLASSES];
        let mut certainty = 0.0;
        for told in looked.told.chunks_exact(CLASSES) {
            let (class, probability) = most(told);
            counts[class] += 1;
            certainty += f64::from(probability) / pictures.len() as f64;
        }
        let digits = counts
            .iter()
            .filter(|count| **count * 100 >= pictures.len());
        let divergence: f64 = counts
            .iter()
            .zip(&self.shares)
            .map(|(count, share)| {
                let own = *count as f64 / pictures.len() as f64;
                // A digit that the data lacks is as likely as one picture of it.
                let share = share.max(1.0 / (1.0 + pictures.len() as f64));
                if own > 0.0 {
                    own * (own / share).ln()
                } else {
                    0.0
                }
            })
            .sum();
        let distance = frechet::exact(&self.real, &looked.features, Mean::Float64)?;
        Ok([
            ("digits", digits.count() as f64),
            ("kl_divergence", divergence),
            ("certainty", certainty),
            ("distance", distance.value),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .into())
    }
}

/// The likeliest class and its probability.
fn most(told: &[f32]) -> (usize, f32) {
    let likeliest = told.iter().copied().enumerate();
    likeliest
        .max_by(|a, b| a.1.total_cmp(&b.1))
        .unwrap_or((0, 0.0))
}

/// So many pictures of a run, of the seeds from 0.
///
/// # Errors
/// When its checkpoint cannot be used.
pub fn pictures(run: &Path, count: usize) -> Result<Vec<RgbImage>> {
    let sampler = Sampler::open(run)?;
    let seeds: Vec<u64> = (0..count as u64).collect();
    Ok(seeds
        .chunks(250)
        .flat_map(|some| sampler.sample(some))
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::Rgb;

    fn drawn(bytes: &[u8]) -> RgbImage {
        RgbImage::from_fn(28, 28, |x, y| {
            let byte = bytes[(y * 28 + x) as usize];
            Rgb([byte; 3])
        })
    }

    #[test]
    fn all_digits_one_digit_and_noise_are_told_apart() {
        let config = Config::default();
        let coverage = Coverage::new(&config, &Device::flex()).unwrap();
        assert!(coverage.accuracy > 0.95, "{}", coverage.accuracy);
        let other = procedural(7, 400);
        let all: Vec<RgbImage> = (0..400).map(|at| drawn(other.picture(at))).collect();
        let of_all = coverage.of(&all).unwrap();
        assert_eq!(of_all["digits"], 10.0);
        assert!(of_all["kl_divergence"] < 0.05 && of_all["certainty"] > 0.9);
        let threes: Vec<RgbImage> = (0..400)
            .filter(|at| other.labels[*at] == 3)
            .map(|at| drawn(other.picture(at)))
            .collect();
        let of_threes = coverage.of(&threes).unwrap();
        assert!(of_threes["digits"] <= 2.0 && of_threes["kl_divergence"] > 1.5);
        assert!(of_threes["distance"] > 3.0 * of_all["distance"]);
        let flat = vec![RgbImage::from_pixel(28, 28, Rgb([90; 3])); 50];
        let of_flat = coverage.of(&flat).unwrap();
        assert!(of_flat["digits"] == 1.0 && of_flat["distance"] > 3.0 * of_all["distance"]);
    }
}
