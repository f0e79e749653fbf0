//! Internal covariate shift: how the input of a hidden unit moves while the layers below it learn, with and without batch
//! normalisation (Ioffe and Szegedy 2015, <https://arxiv.org/abs/1502.03167>, section 4.1 and figure 1).
//!
//! Their network: three hidden layers of 100 sigmoid units that tell digits apart, batches of 60; and what they show: the
//! 15th, 50th and 85th percentile of the input of a typical sigmoid in the last hidden layer. Here it learns the drawn
//! digits of this crate.

use super::perceptron::{Perceptron, rows};
use super::{Experiment, Report, check, evenly};
use crate::data::procedural;
use anyhow::Result;
use gan_core::failure::{Kind, failure};
use gan_core::init::Initial;
use gan_core::layers::Activation;
use gan_core::learner::Learner;
use gan_core::loss::cross_entropy;
use gan_core::optimizer::{Rule, Schedule};
use gan_core::plot::{BLUE, INK, Plot, Style, VERMILION, panels};
use gan_core::stage::At;
use gan_core::weights::values;
use serde::Serialize;
use std::fmt::Write as _;

/// Units a hidden layer.
const WIDTH: usize = 100;
/// Pictures a step.
const BATCH: usize = 60;
/// Pictures to learn from.
const LEARNED: usize = 4000;
/// Others, on which distributions and accuracy are measured.
const MEASURED: usize = 500;
/// Values a picture.
const PIXELS: usize = 784;
/// How often a training is looked at.
const LOOKS: usize = 80;

/// `lab covariate-shift`.
#[derive(Debug, Clone, PartialEq, clap::Args)]
pub struct CovariateShift {
    /// Steps of each network.
    #[arg(long, default_value_t = 1500)]
    pub steps: u64,
    /// Learning rate of both.
    #[arg(long, default_value_t = 0.5)]
    pub lr: f64,
    /// Seed of pictures and weights.
    #[arg(long, default_value_t = 0)]
    pub seed: u64,
}

impl Default for CovariateShift {
    fn default() -> Self {
        Self {
            steps: 1500,
            lr: 0.5,
            seed: 0,
        }
    }
}

/// The distribution of a unit's input at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Moment {
    /// After how many steps.
    pub step: u64,
    /// Its mean.
    pub mean: f64,
    /// Its standard deviation.
    pub std: f64,
    /// Its 15th, 50th and 85th percentile.
    pub percentiles: [f64; 3],
}

/// One network's training.
#[derive(Debug, Clone, Serialize)]
pub struct Course {
    /// Whether batch normalisation stands before every sigmoid.
    pub is_normalised: bool,
    /// The typical unit of the last hidden layer: the one whose drift is the median.
    pub unit: usize,
    /// Its course.
    pub moments: Vec<Moment>,
    /// How far the mean of a unit's input goes in all, from lowest to highest: the mean over the units.
    pub drift_of_mean: f64,
    /// The same of its standard deviation.
    pub drift_of_std: f64,
    /// The share of pictures that are recognised after each look, by step.
    pub accuracy: Vec<(u64, f64)>,
}

fn measured(step: u64, mut inputs: Vec<f32>) -> Moment {
    inputs.sort_unstable_by(f32::total_cmp);
    let count = inputs.len() as f64;
    let mean = inputs.iter().map(|value| f64::from(*value)).sum::<f64>() / count;
    let squares: f64 = inputs
        .iter()
        .map(|value| (f64::from(*value) - mean).powi(2))
        .sum();
    let percentile = |share: f64| f64::from(inputs[(share * (count - 1.0)).round() as usize]);
    Moment {
        step,
        mean,
        std: (squares / count).sqrt(),
        percentiles: [0.15, 0.5, 0.85].map(percentile),
    }
}

/// From lowest to highest.
fn span(values: impl Iterator<Item = f64> + Clone) -> f64 {
    values.clone().fold(f64::NEG_INFINITY, f64::max) - values.fold(f64::INFINITY, f64::min)
}

impl CovariateShift {
    /// Trains both networks, the plain one first.
    ///
    /// # Errors
    /// [`Kind::Diverged`] when an input is no longer finite.
    pub fn observe(&self) -> Result<[Course; 2]> {
        let pictures = procedural(self.seed, LEARNED + MEASURED);
        let unit: Vec<f32> = pictures
            .pixels
            .iter()
            .map(|pixel| f32::from(*pixel) / 255.0)
            .collect();
        let labels: Vec<usize> = pictures
            .labels
            .iter()
            .map(|label| usize::from(*label))
            .collect();
        let course = |is_normalised| self.course(is_normalised, &unit, &labels);
        Ok([course(false)?, course(true)?])
    }

    fn course(&self, is_normalised: bool, pixels: &[f32], labels: &[usize]) -> Result<Course> {
        let widths = [PIXELS, WIDTH, WIDTH, WIDTH, 10];
        // "Small random Gaussian values" in the paper; these keep the variance of a linear layer's input.
        let range = (3.0 / WIDTH as f64).sqrt() as f32;
        let initial = Initial::Uniform { range };
        let start = Perceptron::new(
            &widths,
            Activation::Sigmoid,
            is_normalised,
            initial,
            (self.seed, "shift"),
        );
        let mut learner = Learner::new(start, Rule::Sgd, self.lr, Schedule::Constant);
        let looks: Vec<u64> = evenly(0.0, self.steps as f64, LOOKS + 1)
            .map(|step| step.round() as u64)
            .collect();
        let held_out = &pixels[LEARNED * PIXELS..];
        // By look, by unit.
        let mut moments: Vec<Vec<Moment>> = Vec::new();
        let mut accuracy = Vec::new();
        let mut look = |step: u64, network: &Perceptron| {
            if !looks.contains(&step) {
                return;
            }
            let inputs = values(network.before_last_activation(rows(held_out.to_vec(), PIXELS)));
            let of_unit = |unit: usize| inputs.iter().skip(unit).step_by(WIDTH).copied().collect();
            moments.push(
                (0..WIDTH)
                    .map(|unit| measured(step, of_unit(unit)))
                    .collect(),
            );
            let logits = values(network.forward(rows(held_out.to_vec(), PIXELS)));
            let right = logits
                .chunks(10)
                .zip(&labels[LEARNED..])
                .filter(|(logits, label)| {
                    let best = (0..10).max_by(|a, b| logits[*a].total_cmp(&logits[*b]));
                    best == Some(**label)
                });
            accuracy.push((step, right.count() as f64 / MEASURED as f64));
        };
        for step in 0..self.steps {
            look(step, learner.network());
            let at = At::new(self.seed, step, self.steps);
            let chosen = at.rng("shift/batch").integers(BATCH, LEARNED);
            let batch = chosen
                .iter()
                .flat_map(|picture| &pixels[picture * PIXELS..(picture + 1) * PIXELS])
                .copied()
                .collect();
            let classes: Vec<usize> = chosen.iter().map(|picture| labels[*picture]).collect();
            let logits = learner.network().forward(rows(batch, PIXELS));
            learner.descend(cross_entropy(logits, &classes), &at);
        }
        look(self.steps, learner.network());
        let is_finite = |moment: &Moment| moment.mean.is_finite() && moment.std.is_finite();
        if !moments.iter().flatten().all(is_finite) {
            return Err(failure(
                Kind::Diverged,
                format!("the network diverged: give a lower --lr than {}", self.lr),
            ));
        }
        let drift = |of: fn(&Moment) -> f64| -> Vec<f64> {
            (0..WIDTH)
                .map(|unit| span(moments.iter().map(|look| of(&look[unit]))))
                .collect()
        };
        let (means, stds) = (drift(|moment| moment.mean), drift(|moment| moment.std));
        let mut order: Vec<usize> = (0..WIDTH).collect();
        order.sort_by(|a, b| means[*a].total_cmp(&means[*b]));
        let unit = order[WIDTH / 2];
        Ok(Course {
            is_normalised,
            unit,
            moments: moments.iter().map(|look| look[unit]).collect(),
            drift_of_mean: means.iter().sum::<f64>() / WIDTH as f64,
            drift_of_std: stds.iter().sum::<f64>() / WIDTH as f64,
            accuracy,
        })
    }
}

impl Experiment for CovariateShift {
    const WORD: &'static str = "covariate-shift";

    fn with(self, steps: Option<u64>, seed: u64) -> Self {
        let steps = steps.unwrap_or(self.steps);
        Self {
            steps,
            seed,
            ..self
        }
    }

    fn check(&self) -> Result<()> {
        check("steps", self.steps, 1..=100_000)?;
        check("lr", self.lr, 1e-6..=10.0)
    }

    fn report(&self) -> Result<Report> {
        let courses = self.observe()?;
        let mut text = String::from(
            "input of the sigmoids of the last hidden layer, over training\n\
             \x20                   drift of the mean   drift of the deviation   typical unit, mean +- deviation   accuracy\n",
        );
        let mut plots = Vec::new();
        let all = || {
            courses
                .iter()
                .flat_map(|course| &course.moments)
                .flat_map(|moment| moment.percentiles)
        };
        let (low, high) = (
            all().fold(f64::INFINITY, f64::min),
            all().fold(f64::NEG_INFINITY, f64::max),
        );
        let mut accuracy =
            Plot::new("How many digits are recognised", "step", "share").y_range(0.0, 1.0);
        for (course, colour) in courses.iter().zip([VERMILION, BLUE]) {
            let name = if course.is_normalised {
                "with batch norm"
            } else {
                "without batch norm"
            };
            let (first, last) = (course.moments[0], course.moments[course.moments.len() - 1]);
            let _ = writeln!(
                text,
                "{name:20} {:16.3} {:24.3}      {:7.2} +- {:.2} to {:6.2} +- {:.2} {:11.3}",
                course.drift_of_mean,
                course.drift_of_std,
                first.mean,
                first.std,
                last.mean,
                last.std,
                course.accuracy[course.accuracy.len() - 1].1
            );
            let line = |number: usize| {
                course
                    .moments
                    .iter()
                    .map(move |moment| [moment.step as f64, moment.percentiles[number]])
            };
            let area = course.moments.iter().map(|moment| {
                let [lower, _, upper] = moment.percentiles;
                [moment.step as f64, lower, upper]
            });
            let title = format!("A sigmoid's input {name}");
            let plot = Plot::new(&title, "step", "input")
                .y_range(low - 0.1 * (high - low), high + 0.25 * (high - low))
                .band("15 % to 85 %", area, colour)
                .line("", line(0), Style::solid(colour).width(1.2))
                .line("", line(2), Style::solid(colour).width(1.2))
                .line("median", line(1), Style::solid(INK));
            plots.push(plot);
            let shares = course
                .accuracy
                .iter()
                .map(|(step, share)| [*step as f64, *share]);
            accuracy = accuracy.line(name, shares, Style::solid(colour));
        }
        plots.push(accuracy);
        Ok(Report {
            text,
            numbers: serde_json::to_value(&courses)?,
            plot: panels(&plots, 3, 500, 420),
            frames: Vec::new(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn batch_normalisation_holds_inputs_in_place() {
        let [plain, normalised] = CovariateShift {
            steps: 400,
            ..CovariateShift::default()
        }
        .observe()
        .unwrap();
        assert!(
            plain.drift_of_mean > 2.0 * normalised.drift_of_mean,
            "{} {}",
            plain.drift_of_mean,
            normalised.drift_of_mean
        );
        let start = normalised.moments[0];
        assert!(
            start.mean.abs() < 1e-4 && (start.std - 1.0).abs() < 0.01,
            "{start:?}"
        );
        let last = |course: &Course| course.accuracy[course.accuracy.len() - 1].1;
        assert!(last(&normalised) > last(&plain), "it learns faster");
    }

    #[test]
    fn percentiles_by_hand() {
        let moment = measured(7, (0..=100).rev().map(|value| value as f32).collect());
        assert_eq!(moment.percentiles, [15.0, 50.0, 85.0]);
        assert_eq!((moment.step, moment.mean), (7, 50.0));
        assert!((moment.std - 850f64.sqrt()).abs() < 1e-9);
        assert_eq!(span([3.0, -1.0, 2.0].into_iter()), 4.0);
    }
}
