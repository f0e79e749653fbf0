//! The judge: a network that learns from drawn birds what the attributes of a picture are, and is asked about generated
//! ones.

use crate::config::Config;
use crate::data::{Birds, Read, attributes_of};
use crate::drawn_birds::Attributes;
use anyhow::{Context, Result};
use burn::module::Module;
use burn::tensor::{Device, Tensor, TensorData};
use gan_core::checkpoint::Checkpoint;
use gan_core::config::from_identity;
use gan_core::failure::{Kind, failure};
use gan_core::init::{Initial, initialise};
use gan_core::judge::{Judge, JudgeShape};
use gan_core::layers::Statistics;
use gan_core::learner::Learner;
use gan_core::located;
use gan_core::loss::cross_entropy;
use gan_core::optimizer::Schedule;
use gan_core::stage::{At, Best, Panel, Scalars, Stage};
use gan_core::weights::{self, values};
use std::path::Path;

/// Kinds of attributes.
const KINDS: usize = Attributes::KINDS.len();

/// Pictures that are looked at together.
const TOGETHER: usize = 128;

/// A logit for each value of each kind of attribute, one kind after the other.
fn shape(config: &Config) -> JudgeShape {
    JudgeShape {
        channels: 3,
        side: config.image_size,
        width: config.width_judge,
        outputs: Attributes::KINDS.iter().map(|(_, values)| values).sum(),
    }
}

/// The judge while it learns.
#[derive(Debug)]
pub struct Judging {
    config: Config,
    network: Learner<Judge>,
    held: Vec<(Vec<f32>, [usize; KINDS])>,
    device: Device,
}

impl Judging {
    /// A judge with fresh weights from the run's seed, measured on up to `most` of `held`.
    ///
    /// # Errors
    /// When a picture cannot be read.
    pub fn new(config: &Config, held: Option<&Birds>, device: &Device) -> Result<Self> {
        let network = Judge::new(&shape(config), &device.clone().autodiff());
        let network = initialise(network, Initial::FanIn, config.training.seed, "judge");
        let decay = Schedule::LinearDecay { start: 0.5 };
        Ok(Self {
            network: Learner::new(network, Config::plain_rule(), config.judge_lr, decay),
            held: match held {
                Some(birds) => pictured(birds, usize::MAX)?,
                None => Vec::new(),
            },
            config: config.clone(),
            device: device.clone(),
        })
    }

    /// The printed network.
    pub fn describe(&self) -> String {
        self.network.network().to_string()
    }
}

/// The middles of up to `most` drawn birds, with what they are.
pub fn pictured(birds: &Birds, most: usize) -> Result<Vec<(Vec<f32>, [usize; KINDS])>> {
    let samples = birds.some(most)?.into_iter();
    Ok(samples
        .map(|sample| (birds.middle(&sample), attributes_of(sample.class).indices()))
        .collect())
}

/// The share of right answers for each kind of attribute.
pub fn accuracy(found: &[[usize; KINDS]], asked: &[[usize; KINDS]]) -> [f64; KINDS] {
    let mut right = [0.0; KINDS];
    for (found, asked) in found.iter().zip(asked) {
        for (right, (found, asked)) in right.iter_mut().zip(found.iter().zip(asked)) {
            *right += f64::from(u8::from(found == asked));
        }
    }
    right.map(|right| right / found.len().max(1) as f64)
}

/// What a judge sees in pictures of its side, in [-1, 1], planar.
pub fn judged(
    network: &Judge,
    pictures: &[Vec<f32>],
    side: usize,
    device: &Device,
) -> Vec<[usize; KINDS]> {
    let mut all = Vec::with_capacity(pictures.len());
    for some in pictures.chunks(TOGETHER) {
        let data = TensorData::new(some.concat(), [some.len(), 3, side, side]);
        let logits = network.forward(Tensor::from_data(data, device), Statistics::Running);
        let width = logits.dims()[1];
        for row in values(logits).chunks_exact(width) {
            let mut start = 0;
            all.push(Attributes::KINDS.map(|(_, count)| {
                let of_kind = &row[start..start + count];
                start += count;
                let best = (0..count).max_by(|one, two| of_kind[*one].total_cmp(&of_kind[*two]));
                best.unwrap_or(0)
            }));
        }
    }
    all
}

impl Stage for Judging {
    type Batch = Read;
    const NAME: &'static str = "judge";
    const BEST: Best = Best::Largest;

    fn step(&mut self, batch: Read, at: &At) -> Result<Scalars> {
        let mut scalars = Scalars::default();
        let autodiff = self.device.clone().autodiff();
        let side = self.config.image_size;
        let count = batch.classes.len();
        let data = TensorData::new(batch.pixels, [count, 3, side, side]);
        let pictures = Tensor::from_data(data, &autodiff);
        let logits = self.network.network().forward(pictures, Statistics::Update);
        let asked: Vec<[usize; KINDS]> = batch
            .classes
            .iter()
            .map(|class| attributes_of(*class).indices())
            .collect();
        let mut start = 0;
        let mut losses = Vec::new();
        for (kind, (_, values)) in Attributes::KINDS.iter().enumerate() {
            let of_kind: Vec<usize> = asked.iter().map(|indices| indices[kind]).collect();
            losses.push(cross_entropy(
                logits.clone().narrow(1, start, *values),
                &of_kind,
            ));
            start += values;
        }
        let loss = Tensor::cat(losses, 0).sum();
        scalars.add("cross_entropy", loss.clone());
        let moved = self.network.descend(loss, at);
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
        let (pictures, asked): (Vec<_>, Vec<_>) = self.held.iter().cloned().unzip();
        let network = self.network.snapshot();
        let found = judged(&network, &pictures, self.config.image_size, &self.device);
        let of_kinds = accuracy(&found, &asked);
        scalars.put("accuracy", of_kinds.iter().sum::<f64>() / KINDS as f64);
        for ((name, _), share) in Attributes::KINDS.iter().zip(of_kinds) {
            scalars.put(name, share);
        }
        Ok(scalars)
    }

    fn activations(&self) -> u64 {
        // --accumulate, by which the estimate divides, leaves these batches whole.
        self.config.training.accumulate as u64 * shape(&self.config).activations()
    }

    fn parts(
        &mut self,
        visit: &mut dyn FnMut(&str, &mut dyn Checkpoint) -> Result<()>,
    ) -> Result<()> {
        visit("judge", &mut self.network)
    }
}

/// A trained judge, and the side of the pictures that it looks at.
///
/// # Errors
/// [`Kind::Checkpoint`] when there is none.
pub fn open(place: Option<&Path>, out: &Path, device: &Device) -> Result<(Judge, usize)> {
    let found = located::find(place, out, "stackgan", &["judge"], &["judge"])
        .context("a judge of `stackgan train-judge` is needed")?;
    let path = found.path.display().to_string();
    let Some(text) = found.config() else {
        let what = format!("{path} is no judge of `stackgan train-judge`");
        return Err(failure(Kind::Checkpoint, what));
    };
    let config: Config = from_identity(&path, text)?;
    let shape = shape(&config);
    weights::check_size(shape.least_size(), &found.file.tensors)
        .with_context(|| format!("reading {path}"))?;
    let network = weights::apply(Judge::new(&shape, device), &found.file.tensors)
        .with_context(|| format!("loading {path}"))?;
    Ok((network.valid(), shape.side))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accuracy_is_counted_for_each_kind() {
        let one = [0, 1, 2, 3, 0, 1];
        let two = [0, 1, 2, 3, 1, 0];
        assert_eq!(
            accuracy(&[one, two], &[one, one]),
            [1.0, 1.0, 1.0, 1.0, 0.5, 0.5]
        );
    }
}
