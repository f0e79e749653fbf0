//! Networks that judge: the classifier of age, and the small embedding that tells persons apart.

use crate::config::Config;
use crate::data::{Batch, Sample, pictures};
use crate::embedding::EMBEDDING;
use crate::gan::share;
use crate::generate::config_of;
use crate::views::Pairs;
use anyhow::{Context, Result};
use burn::module::Module;
use burn::tensor::{Device, Tensor};
use gan_core::checkpoint::Checkpoint;
use gan_core::failure::{Kind, failure};
use gan_core::images::to_unit;
use gan_core::init::{Initial, initialise};
use gan_core::judge::Judge;
use gan_core::layers::Statistics;
use gan_core::learner::{Gathered, Learner};
use gan_core::located;
use gan_core::loss::{contrast, cross_entropy};
use gan_core::optimizer::Schedule;
use gan_core::stage::{At, Best, Panel, Scalars, Stage};
use gan_core::weights::{self, values};
use std::path::Path;

/// Divides similarities before the softmax (Chen et al. 2020, <https://arxiv.org/abs/2002.05709>, table 5).
const TEMPERATURE: f64 = 0.1;

/// Held-out pictures that are looked at together.
const TOGETHER: usize = 256;

/// Values of pictures in [-1, 1], one after the other.
fn unit(samples: &[Sample]) -> Vec<f32> {
    let bytes = samples.iter().flat_map(|sample| &sample.pixels);
    bytes.copied().map(to_unit).collect()
}

/// Rows that `look` gives for pictures, a few at a time.
pub(crate) fn rows(
    samples: &[Sample],
    config: &Config,
    device: &Device,
    look: impl Fn(Tensor<4>) -> Tensor<2>,
) -> Vec<Vec<f32>> {
    let mut all = Vec::with_capacity(samples.len());
    for some in samples.chunks(TOGETHER) {
        let found = look(pictures(unit(some), config, device));
        let width = found.dims()[1];
        all.extend(values(found).chunks_exact(width).map(<[f32]>::to_vec));
    }
    all
}

fn learner(network: Judge, config: &Config, name: &str) -> Learner<Judge> {
    let network = initialise(network, Initial::FanIn, config.training.seed, name);
    let decay = Schedule::LinearDecay { start: 0.5 };
    Learner::new(network, Config::plain_rule(), config.judge_lr, decay)
}

/// A classifier of age, or of digits.
#[derive(Debug)]
pub struct Classify {
    config: Config,
    network: Learner<Judge>,
    held: Vec<Sample>,
    device: Device,
}

impl Classify {
    /// A classifier with fresh weights from the run's seed; `held` are pictures that are kept out of training.
    pub fn new(config: &Config, held: Vec<Sample>, device: &Device) -> Self {
        let autodiff = device.clone().autodiff();
        let count = config.classes().count();
        let network = Judge::new(&config.judge(config.width_embedding, count), &autodiff);
        Self {
            network: learner(network, config, "classifier"),
            held,
            config: config.clone(),
            device: device.clone(),
        }
    }

    /// The printed network.
    pub fn describe(&self) -> String {
        self.network.network().to_string()
    }
}

/// The classifier of a run of `cgan train-classifier`, for pictures and classes of `config`.
///
/// # Errors
/// [`Kind::Checkpoint`] when there is none, it is damaged, or it tells other classes or other pictures apart.
pub(crate) fn classifier(
    place: &Path,
    out: &Path,
    config: &Config,
    device: &Device,
) -> Result<Judge> {
    let found = located::find(Some(place), out, "cgan", &["classifier"], &["classifier"])?;
    let trained = config_of(&found)?;
    let what = |config: &Config| (config.image_size, config.channels, config.classes());
    if what(&trained) != what(config) {
        return Err(failure(
            Kind::Checkpoint,
            format!(
                "{} tells {} classes of {} pixels and {} channels apart, the generator makes {} of {} and {}: train one \
                 with the same --ages, --dataset, --image-size and --channels",
                found.path.display(),
                trained.classes().names().join(", "),
                trained.image_size,
                trained.channels,
                config.classes().names().join(", "),
                config.image_size,
                config.channels
            ),
        ));
    }
    let shape = trained.judge(trained.width_embedding, trained.classes().count());
    weights::check_size(shape.least_size(), &found.file.tensors)
        .with_context(|| format!("reading {}", found.path.display()))?;
    let network = Judge::new(&shape, device);
    let network = weights::apply(network, &found.file.tensors)
        .with_context(|| format!("loading {}", found.path.display()))?;
    Ok(network.valid())
}

/// The class with the largest logit of each picture.
pub(crate) fn classified(
    network: &Judge,
    samples: &[Sample],
    config: &Config,
    device: &Device,
) -> Vec<u8> {
    let logits = rows(samples, config, device, |pictures| {
        network.forward(pictures, Statistics::Running)
    });
    logits.iter().map(|logits| largest(logits)).collect()
}

/// The place of the largest value; the first of equals.
pub(crate) fn largest(values: &[f32]) -> u8 {
    let mut best = 0;
    for (place, value) in values.iter().enumerate() {
        if *value > values[best] {
            best = place;
        }
    }
    best as u8
}

impl Stage for Classify {
    type Batch = Batch;
    const NAME: &'static str = "classifier";
    const BEST: Best = Best::Largest;

    fn step(&mut self, batch: Batch, at: &At) -> Result<Scalars> {
        let mut scalars = Scalars::default();
        let autodiff = self.device.clone().autodiff();
        let parts = self.config.training.accumulate;
        let count = batch.classes.len() / parts;
        let whole = batch.pixels.chunks(count * self.config.pixels());
        let mut gathered = Gathered::default();
        for (pixels, told) in whole.zip(batch.classes.chunks(count)) {
            let pictures = pictures(pixels.to_vec(), &self.config, &autodiff);
            let logits = self.network.network().forward(pictures, Statistics::Update);
            let told: Vec<usize> = told.iter().copied().map(usize::from).collect();
            let loss = cross_entropy(logits, &told);
            scalars.add("cross_entropy", loss.clone());
            gathered = self.network.gather(share(loss, parts), gathered);
        }
        let moved = self.network.apply(gathered, at);
        moved.tell(&mut scalars, ["lr", "grad_norm"]);
        Ok(scalars)
    }

    fn preview(&self, _at: &At) -> Result<(Vec<Panel>, Scalars)> {
        Ok((Vec::new(), Scalars::default()))
    }

    fn validate(&self, _at: &At) -> Result<Scalars> {
        let mut scalars = Scalars::default();
        if self.held.is_empty() {
            return Ok(scalars);
        }
        let network = self.network.snapshot();
        let found = classified(&network, &self.held, &self.config, &self.device);
        let pairs = found.iter().zip(&self.held);
        let right = pairs
            .filter(|(found, sample)| **found == sample.class)
            .count();
        scalars.put("accuracy", right as f64 / self.held.len() as f64);
        Ok(scalars)
    }

    fn activations(&self) -> u64 {
        let config = &self.config;
        config.judge(config.width_embedding, 0).activations()
    }

    fn parts(
        &mut self,
        visit: &mut dyn FnMut(&str, &mut dyn Checkpoint) -> Result<()>,
    ) -> Result<()> {
        visit("classifier", &mut self.network)
    }
}

/// A small embedding, from pairs: each picture should be more like its partner than like any other of the batch (Chen et
/// al. 2020: NT-Xent, here between the two halves).
#[derive(Debug)]
pub struct Embed {
    config: Config,
    network: Learner<Judge>,
    held: Vec<Sample>,
    device: Device,
}

impl Embed {
    /// An embedding with fresh weights from the run's seed; `held` are pictures of persons who are kept out of training.
    pub fn new(config: &Config, held: Vec<Sample>, device: &Device) -> Self {
        let autodiff = device.clone().autodiff();
        let network = Judge::new(&config.judge(config.width_embedding, EMBEDDING), &autodiff);
        Self {
            network: learner(network, config, "embedding"),
            held,
            config: config.clone(),
            device: device.clone(),
        }
    }

    /// The embedding, without autodiff.
    pub fn network(&self) -> Judge {
        self.network.snapshot()
    }

    /// The printed network.
    pub fn describe(&self) -> String {
        self.network.network().to_string()
    }
}

/// Of pairs of pictures of one person and pairs of two persons: how often the first are the more alike, ties counted
/// half (the area under the ROC curve). Nothing where there are no such pairs.
pub fn verification(embedded: &[Vec<f32>], persons: &[Option<u32>]) -> Option<f64> {
    let (same, other) = similarities(embedded, persons);
    if same.is_empty() || other.is_empty() {
        return None;
    }
    let mut all: Vec<(f32, bool)> = same
        .iter()
        .map(|value| (*value, true))
        .chain(other.iter().map(|value| (*value, false)))
        .collect();
    all.sort_by(|a, b| a.0.total_cmp(&b.0));
    // The sum over same pairs of the others below them.
    let (mut below, mut sum) = (0.0, 0.0);
    let mut start = 0;
    while start < all.len() {
        let end = start
            + all[start..].partition_point(|(value, _)| value.total_cmp(&all[start].0).is_le());
        let tied = &all[start..end];
        let others = tied.iter().filter(|(_, is_same)| !is_same).count() as f64;
        sum += (tied.len() as f64 - others) * (below + others / 2.0);
        below += others;
        start = end;
    }
    Some(sum / (same.len() as f64 * other.len() as f64))
}

/// The similarities of all pairs of one person, and of all pairs of two.
pub fn similarities(embedded: &[Vec<f32>], persons: &[Option<u32>]) -> (Vec<f32>, Vec<f32>) {
    let (mut same, mut other) = (Vec::new(), Vec::new());
    for (place, first) in embedded.iter().enumerate() {
        for before in 0..place {
            let (Some(one), Some(two)) = (persons[place], persons[before]) else {
                continue;
            };
            let value = similarity(first, &embedded[before]);
            if one == two {
                same.push(value);
            } else {
                other.push(value);
            }
        }
    }
    (same, other)
}

/// The cosine of two embeddings of length 1.
pub fn similarity(first: &[f32], second: &[f32]) -> f32 {
    first.iter().zip(second).map(|(a, b)| a * b).sum()
}

impl Stage for Embed {
    type Batch = Pairs;
    const NAME: &'static str = "embedding";
    const BEST: Best = Best::Largest;

    fn step(&mut self, batch: Pairs, at: &At) -> Result<Scalars> {
        let mut scalars = Scalars::default();
        let autodiff = self.device.clone().autodiff();
        let network = self.network.network();
        // Whole, whatever --accumulate says: in a part of a batch, each picture would have fewer others to differ from.
        let [first, second] = [batch.first, batch.second].map(|values| {
            let pictures = pictures(values, &self.config, &autodiff);
            network.embed(pictures, Statistics::Update)
        });
        let loss = contrast(first, second, TEMPERATURE);
        scalars.add("contrast", loss.clone());
        let moved = self.network.descend(loss, at);
        moved.tell(&mut scalars, ["lr", "grad_norm"]);
        Ok(scalars)
    }

    fn preview(&self, _at: &At) -> Result<(Vec<Panel>, Scalars)> {
        Ok((Vec::new(), Scalars::default()))
    }

    fn validate(&self, _at: &At) -> Result<Scalars> {
        let mut scalars = Scalars::default();
        let network = self.network();
        let embedded = rows(&self.held, &self.config, &self.device, |pictures| {
            network.embed(pictures, Statistics::Running)
        });
        let persons: Vec<_> = self.held.iter().map(|sample| sample.person).collect();
        if let Some(area) = verification(&embedded, &persons) {
            scalars.put("verification", area);
        }
        Ok(scalars)
    }

    fn activations(&self) -> u64 {
        // Both pictures of each pair. --accumulate, by which the estimate divides, leaves these batches whole.
        let whole = 2 * self.config.training.accumulate as u64;
        let config = &self.config;
        whole
            * config
                .judge(config.width_embedding, EMBEDDING)
                .activations()
    }

    fn parts(
        &mut self,
        visit: &mut dyn FnMut(&str, &mut dyn Checkpoint) -> Result<()>,
    ) -> Result<()> {
        visit("embedding", &mut self.network)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn verification_by_hand() {
        let embedded = [[1.0f32, 0.0], [0.8, 0.6], [0.6, 0.8], [0.0, 1.0]].map(|row| row.to_vec());
        let persons = [Some(1), Some(1), Some(2), Some(2)];
        // Same: 0.8, 0.8. Others: 0.6, 0, 0.96, 0.6.
        let area = verification(&embedded, &persons).unwrap();
        assert!((area - 6.0 / 8.0).abs() < 1e-9, "{area}");
        // Numbers that are none come last, and end.
        let broken = vec![vec![f32::NAN, 0.0]; 4];
        assert!(verification(&broken, &persons).is_some());
        // Alike all: as good as a coin.
        let alike = vec![vec![1.0f32, 0.0]; 4];
        assert_eq!(verification(&alike, &persons), Some(0.5));
        assert_eq!(verification(&embedded, &[None; 4]), None);
    }
}
