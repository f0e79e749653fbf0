//! A discriminator that is trained alone, beside the optimal one, `p_data / (p_data + p_g)` (Goodfellow et al. 2014,
//! proposition 1).

use super::gaussian::{Gaussian, Pair};
use super::perceptron::{ADAM, Perceptron, rows, sigmoid};
use super::{Experiment, Report, check, evenly, moments};
use anyhow::Result;
use gan_core::init::Initial;
use gan_core::layers::Activation;
use gan_core::learner::Learner;
use gan_core::loss::discriminator_loss;
use gan_core::optimizer::Schedule;
use gan_core::plot::{BLUE, GREEN, INK, ORANGE, Plot, SKY, Style, VERMILION, panels};
use gan_core::stage::At;
use serde::Serialize;

/// Draws from each side a step.
const BATCH: usize = 512;

/// Where there is less of both densities than this share of their highest sum, errors cost nothing and are not counted.
const MASS: f64 = 0.05;

/// `lab optimal-discriminator`.
#[derive(Debug, Clone, PartialEq, clap::Args)]
pub struct OptimalDiscriminator {
    /// Mean of what the generator makes; the data are N(0, 1).
    #[arg(long, default_value_t = 1.5, allow_negative_numbers = true)]
    pub mean: f64,
    /// Standard deviation of what the generator makes.
    #[arg(long, default_value_t = 0.7)]
    pub std: f64,
    /// Steps of the discriminator.
    #[arg(long, default_value_t = 1500)]
    pub steps: u64,
    /// Seed of weights and draws.
    #[arg(long, default_value_t = 0)]
    pub seed: u64,
}

impl Default for OptimalDiscriminator {
    fn default() -> Self {
        Self {
            mean: 1.5,
            std: 0.7,
            steps: 1500,
            seed: 0,
        }
    }
}

/// How far a discriminator is from the optimal one.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Distance {
    /// After how many steps.
    pub step: u64,
    /// The mean of `|D - D*|`, over data and samples alike.
    pub mean: f64,
    /// The largest `|D - D*|` where `p_data + p_g` is at least 5 % of its highest value.
    pub largest: f64,
}

/// What was found.
#[derive(Debug, Clone, Serialize)]
pub struct Found {
    /// In the course of the training, the last one at its end.
    pub distances: Vec<Distance>,
    /// Where the curves were read.
    pub x: Vec<f64>,
    /// `D*(x)`.
    pub optimal: Vec<f64>,
    /// `D(x)` in the end.
    pub trained: Vec<f64>,
    /// `D(x)` on the way, after these steps.
    pub earlier: Vec<(u64, Vec<f64>)>,
}

impl Found {
    /// How far the trained discriminator is from the optimal one in the end.
    pub fn last(&self) -> Distance {
        // There is one for the network before its first step at least.
        self.distances[self.distances.len() - 1]
    }
}

/// A discriminator of single numbers with fresh weights.
pub(crate) fn fresh(seed: u64, name: &str) -> Perceptron {
    Perceptron::new(
        &[1, 32, 32, 1],
        Activation::Tanh,
        false,
        Initial::FanIn,
        (seed, name),
    )
}

/// Trains a discriminator alone against two fixed densities, and shows it to `look` before every step and in the end.
pub(crate) fn train_alone(
    network: Perceptron,
    pair: Pair,
    steps: u64,
    (seed, name): (u64, &str),
    mut look: impl FnMut(u64, &Perceptron),
) -> Perceptron {
    let schedule = Schedule::LinearDecay { start: 0.2 };
    let mut learner = Learner::new(network, ADAM, 1e-2, schedule);
    for step in 0..steps {
        look(step, learner.network());
        let at = At::new(seed, step, steps);
        let draw = |density: Gaussian, side: &str| {
            let draws = density.draw(&mut at.rng(&format!("{name}/{side}")), BATCH);
            rows(draws.into_iter().map(|draw| draw as f32).collect(), 1)
        };
        let real = learner.network().forward(draw(pair.p, "real"));
        let fake = learner.network().forward(draw(pair.q, "fake"));
        learner.descend(discriminator_loss(real, fake, 1.0), &at);
    }
    look(steps, learner.network());
    learner.network().clone()
}

impl OptimalDiscriminator {
    fn pair(&self) -> Pair {
        Pair {
            p: Gaussian::new(0.0, 1.0),
            q: Gaussian::new(self.mean, self.std),
        }
    }

    /// Trains, and compares on a grid.
    pub fn observe(&self) -> Found {
        let pair = self.pair();
        let low = (-4.0_f64).min(self.mean - 4.0 * self.std);
        let high = 4.0_f64.max(self.mean + 4.0 * self.std);
        let x: Vec<f64> = evenly(low, high, 401).collect();
        let optimal: Vec<f64> = x.iter().map(|x| pair.optimal(*x)).collect();
        let mass: Vec<f64> = x.iter().map(|x| pair.log_middle(*x).exp()).collect();
        let (all, most) = (
            mass.iter().sum::<f64>(),
            mass.iter().copied().fold(0.0, f64::max),
        );
        let probabilities = |network: &Perceptron| -> Vec<f64> {
            network
                .at(x.iter().copied())
                .into_iter()
                .map(sigmoid)
                .collect()
        };
        let compare = |step: u64, found: &[f64]| {
            let mut distance = Distance {
                step,
                mean: 0.0,
                largest: 0.0,
            };
            for ((found, optimal), mass) in found.iter().zip(&optimal).zip(&mass) {
                let away = (found - optimal).abs();
                distance.mean += away * mass / all;
                if *mass >= MASS * most {
                    distance.largest = distance.largest.max(away);
                }
            }
            distance
        };
        let looks = moments(self.steps, 30);
        let shown = [self.steps / 100, self.steps / 20];
        let (mut distances, mut earlier) = (Vec::new(), Vec::new());
        let look = |step: u64, network: &Perceptron| {
            if looks.contains(&step) {
                distances.push(compare(step, &probabilities(network)));
            }
            if shown.contains(&step) && earlier.iter().all(|(before, _)| *before != step) {
                earlier.push((step, probabilities(network)));
            }
        };
        let start = fresh(self.seed, "optimal");
        let trained = train_alone(start, pair, self.steps, (self.seed, "optimal"), look);
        Found {
            trained: probabilities(&trained),
            distances,
            x,
            optimal,
            earlier,
        }
    }
}

impl Experiment for OptimalDiscriminator {
    const WORD: &'static str = "optimal-discriminator";

    fn with(self, steps: Option<u64>, seed: u64) -> Self {
        let steps = steps.unwrap_or(self.steps);
        Self {
            steps,
            seed,
            ..self
        }
    }

    fn check(&self) -> Result<()> {
        check("mean", self.mean, -5.0..=5.0)?;
        check("std", self.std, 0.1..=5.0)?;
        check("steps", self.steps, 1..=1_000_000)
    }

    fn report(&self) -> Result<Report> {
        let found = self.observe();
        let (first, last) = (found.distances[0], found.last());
        let text = format!(
            "data N(0, 1), generator N({}, {}^2); |D - D*| with D* = p_data / (p_data + p_g)\n\
             after {:>6} steps: mean {:.4}, largest {:.4}\n\
             after {:>6} steps: mean {:.4}, largest {:.4}\n",
            self.mean,
            self.std,
            first.step,
            first.mean,
            first.largest,
            last.step,
            last.mean,
            last.largest
        );
        let curve = |values: &[f64]| -> Vec<[f64; 2]> {
            found.x.iter().zip(values).map(|(x, y)| [*x, *y]).collect()
        };
        let pair = self.pair();
        let densities = |of: Gaussian| -> Vec<[f64; 2]> {
            found.x.iter().map(|x| [*x, of.density(*x)]).collect()
        };
        let mut curves = Plot::new(
            "The trained and the optimal discriminator",
            "x",
            "D(x); densities",
        )
        .y_range(0.0, 1.05)
        .line("p_data", densities(pair.p), Style::dotted(INK))
        .line("p_g", densities(pair.q), Style::solid(GREEN));
        for ((step, values), colour) in found.earlier.iter().zip([SKY, ORANGE]) {
            let style = Style::solid(colour).width(1.5);
            curves = curves.line(&format!("D, {step} steps"), curve(values), style);
        }
        let curves = curves
            .line(
                &format!("D, {} steps", last.step),
                curve(&found.trained),
                Style::solid(BLUE).width(3.0),
            )
            .line(
                "D*, the optimal one",
                curve(&found.optimal),
                Style::dashed(VERMILION),
            );
        let course = |of: fn(&Distance) -> f64| -> Vec<[f64; 2]> {
            found
                .distances
                .iter()
                .map(|distance| [distance.step as f64, of(distance)])
                .collect()
        };
        let course = Plot::new("Its distance in the course of training", "step", "|D - D*|")
            .log_y()
            .line(
                "largest",
                course(|distance| distance.largest),
                Style::solid(VERMILION),
            )
            .line("mean", course(|distance| distance.mean), Style::solid(BLUE));
        Ok(Report {
            text,
            numbers: serde_json::to_value(&found)?,
            plot: panels(&[curves, course], 2, 640, 460),
            frames: Vec::new(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_discriminator_alone_becomes_the_optimal_one() {
        let found = OptimalDiscriminator {
            steps: 600,
            ..OptimalDiscriminator::default()
        }
        .observe();
        let (first, last) = (found.distances[0], found.last());
        assert!(first.mean > 0.2, "{first:?}");
        assert!(last.mean < 0.015 && last.largest < 0.08, "{last:?}");
        assert_eq!(last.step, 600);
    }

    #[test]
    fn the_same_seed_gives_the_same_numbers() {
        let of = |seed: u64| {
            let asked = OptimalDiscriminator::default().with(Some(3), seed);
            asked.observe().distances
        };
        assert_eq!(of(1), of(1));
        assert_ne!(of(1), of(2));
    }
}
