//! A GAN in one dimension, drawn as in figure 1 of Goodfellow et al. 2014: the density of the data (dotted), that of the
//! generator (solid), the discriminator (dashed), and below how the generator carries z to x.
//!
//! Both players are trained as in Algorithm 1 with k = 2, after the discriminator had some steps alone, as the figure has
//! it. Their z is drawn from a Gaussian unless told otherwise: a uniform one, as in the figure, has no tails that could
//! be carried to those of the data, and the discriminator sees that.

use super::gaussian::{Gaussian, Mixture};
use super::perceptron::{Perceptron, rows, sigmoid};
use super::{Experiment, Report, check, evenly, moments};
use anyhow::Result;
use gan_core::init::Initial;
use gan_core::layers::Activation;
use gan_core::learner::Learner;
use gan_core::loss::{GeneratorLoss, discriminator_loss};
use gan_core::optimizer::{Rule, Schedule};
use gan_core::plot::{BLUE, GREEN, INK, Plot, Style, panels};
use gan_core::random::{Prior, Stream};
use gan_core::stage::At;
use serde::Serialize;
use std::f64::consts::{LN_2, TAU};
use std::fmt::Write as _;

/// Adam without a first moment: in a game, momentum carries the players around the equilibrium (Gidel et al. 2019,
/// <https://arxiv.org/abs/1807.04740>).
const RULE: Rule = Rule::Adam {
    beta1: 0.0,
    beta2: 0.99,
    epsilon: 1e-8,
};
/// Learning rates of generator and discriminator: the one that must keep up learns faster (Heusel et al. 2017,
/// <https://arxiv.org/abs/1706.08500>).
const RATES: [f64; 2] = [3e-4, 3e-3];
const SCHEDULE: Schedule = Schedule::LinearDecay { start: 0.2 };

/// Draws from each side a step.
const BATCH: usize = 256;
/// Samples from which the generator's density is estimated.
const SAMPLES: usize = 4000;
/// Places at which curves are read.
const PLACES: usize = 201;
/// Frames of the animation while both players learn.
const FRAMES: u64 = 44;
/// Arrows from z to x.
const ARROWS: usize = 21;
/// The highest point of the data's density in the drawing, where 1 is the highest that the discriminator can reach.
const PEAK: f64 = 0.8;

/// `lab density`.
#[derive(Debug, Clone, PartialEq, clap::Args)]
pub struct Density {
    /// Mean of the data.
    #[arg(long, default_value_t = 1.0, allow_negative_numbers = true)]
    pub mean: f64,
    /// Standard deviation of the data, or of each half of --mixture.
    #[arg(long, default_value_t = 0.6)]
    pub std: f64,
    /// Data of two halves, 2.5 standard deviations to the left and to the right of the mean.
    #[arg(long)]
    pub mixture: bool,
    /// How z is drawn; the figure of the paper has a uniform one, which has no tails to carry to those of the data.
    #[arg(long, value_enum, default_value_t = Prior::Normal)]
    pub prior: Prior,
    /// Steps of both players.
    #[arg(long, default_value_t = 3000)]
    pub steps: u64,
    /// Seed of weights and draws.
    #[arg(long, default_value_t = 0)]
    pub seed: u64,
}

impl Default for Density {
    fn default() -> Self {
        Self {
            mean: 1.0,
            std: 0.6,
            mixture: false,
            prior: Prior::Normal,
            steps: 3000,
            seed: 0,
        }
    }
}

/// Both players at one moment.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Moment {
    /// What has happened so far.
    pub name: String,
    /// Steps that the generator took.
    pub step: u64,
    /// Mean of the generator's samples.
    pub mean: f64,
    /// Their standard deviation.
    pub std: f64,
    /// The Jensen-Shannon divergence between data and the estimated density, in nats.
    pub jensen_shannon: f64,
    /// The largest `|D - 1/2|` where the data's density is at least a tenth of its highest value.
    pub from_half: f64,
    /// The largest `|D - D*|` there, `D*` being that of the estimated density.
    pub from_optimal: f64,
    /// The generator's density, at the places of [`Found::x`].
    pub generated: Vec<f64>,
    /// The discriminator, at the same places.
    pub discriminator: Vec<f64>,
    /// Where some z are carried, in ascending order of z: each stands for the same share of all.
    pub carried: Vec<[f64; 2]>,
}

/// What was found.
#[derive(Debug, Clone, Serialize)]
pub struct Found {
    /// Mean of the data.
    pub mean: f64,
    /// Standard deviation of the data.
    pub std: f64,
    /// Where curves are read.
    pub x: Vec<f64>,
    /// The density of the data there.
    pub data: Vec<f64>,
    /// The four stages of the figure.
    pub stages: Vec<Moment>,
    /// Everything on the way.
    #[serde(skip)]
    pub course: Vec<Moment>,
}

/// The density of samples at some places: a Gaussian around each sample, as wide as Silverman's rule has it (1986, equation
/// 3.31).
fn estimated(samples: &[f64], places: &[f64]) -> Vec<f64> {
    let count = samples.len() as f64;
    let mut sorted = samples.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    let (_, std) = moments_of(samples);
    let quartiles = sorted[sorted.len() * 3 / 4] - sorted[sorted.len() / 4];
    // A collapsed generator still has a width that can be drawn.
    let width = (0.9 * std.min(quartiles / 1.34) * count.powf(-0.2)).max(1e-4);
    places
        .iter()
        .map(|place| {
            // Farther away, nothing adds up.
            let near = |far: f64| sorted.partition_point(|sample| *sample < place + far * width);
            let sum: f64 = sorted[near(-6.0)..near(6.0)]
                .iter()
                .map(|sample| (-0.5 * ((place - sample) / width).powi(2)).exp())
                .sum();
            sum / (count * width * TAU.sqrt())
        })
        .collect()
}

fn moments_of(samples: &[f64]) -> (f64, f64) {
    let count = samples.len() as f64;
    let mean = samples.iter().sum::<f64>() / count;
    let squares: f64 = samples.iter().map(|sample| (sample - mean).powi(2)).sum();
    (mean, (squares / count).sqrt())
}

/// The Jensen-Shannon divergence of two densities at places `width` apart, in nats.
fn jensen_shannon(first: &[f64], second: &[f64], width: f64) -> f64 {
    let term = |p: f64, middle: f64| if p > 0.0 { p * (p / middle).ln() } else { 0.0 };
    let sum: f64 = first
        .iter()
        .zip(second)
        .map(|(p, q)| {
            let middle = 0.5 * (p + q);
            0.5 * (term(*p, middle) + term(*q, middle))
        })
        .sum();
    // What lies outside the places is missing on one side only, if the generator is far away.
    (sum * width).clamp(0.0, LN_2)
}

struct Game {
    data: Mixture,
    x: Vec<f64>,
    density: Vec<f64>,
    seed: u64,
    prior: Prior,
    generator: Learner<Perceptron>,
    discriminator: Learner<Perceptron>,
}

impl Game {
    fn new(asked: &Density) -> Self {
        let apart = if asked.mixture {
            vec![-2.5, 2.5]
        } else {
            vec![0.0]
        };
        let parts = apart
            .into_iter()
            .map(|away| Gaussian::new(asked.mean + away * asked.std, asked.std));
        let data = Mixture(parts.collect());
        let (mean, std) = data.moments();
        let x: Vec<f64> = evenly(mean - 4.5 * std, mean + 4.5 * std, PLACES).collect();
        let density = x.iter().map(|x| data.density(*x)).collect();
        // Wide enough that the first samples are not all the same.
        let initial = Initial::Uniform { range: 0.6 };
        let named = |name| (asked.seed, name);
        let generator = Perceptron::new(
            &[1, 32, 32, 1],
            Activation::Tanh,
            false,
            initial,
            named("density/generator"),
        );
        let discriminator = Perceptron::new(
            &[1, 64, 64, 1],
            Activation::LeakyRelu(0.2),
            false,
            Initial::FanIn,
            named("density/discriminator"),
        );
        Self {
            data,
            x,
            density,
            seed: asked.seed,
            prior: asked.prior,
            generator: Learner::new(generator, RULE, RATES[0], SCHEDULE),
            discriminator: Learner::new(discriminator, RULE, RATES[1], SCHEDULE),
        }
    }

    /// A step of the discriminator, and one of the generator if it moves.
    fn step(&mut self, phase: &str, at: &At, generator_moves: bool) {
        let stream = |name: &str| at.rng(&format!("density/{phase}/{name}"));
        let real = rows(self.data.draw(&mut stream("real"), BATCH), 1);
        let latent = rows(self.prior.draw(&mut stream("latent"), BATCH), 1);
        let fake = self.generator.network().forward(latent);
        let network = self.discriminator.network();
        let (real, shown) = (
            network.forward(real),
            network.forward(fake.clone().detach()),
        );
        self.discriminator
            .descend(discriminator_loss(real, shown, 1.0), at);
        if generator_moves {
            let logits = self.discriminator.still().forward(fake);
            self.generator
                .descend(GeneratorLoss::NonSaturating.of(logits), at);
        }
    }

    fn look(&self, name: &str, step: u64) -> Moment {
        let mut latent = self
            .prior
            .draw(&mut Stream::new(self.seed, "density/samples", 0), SAMPLES);
        let samples = self
            .generator
            .network()
            .at(latent.iter().copied().map(f64::from));
        let (mean, std) = moments_of(&samples);
        let generated = estimated(&samples, &self.x);
        let logits = self.discriminator.network().at(self.x.iter().copied());
        let discriminator: Vec<f64> = logits.into_iter().map(sigmoid).collect();
        let highest = self.density.iter().copied().fold(0.0, f64::max);
        let (mut from_half, mut from_optimal) = (0.0_f64, 0.0_f64);
        for ((found, data), made) in discriminator.iter().zip(&self.density).zip(&generated) {
            if *data >= 0.1 * highest {
                from_half = from_half.max((found - 0.5).abs());
                from_optimal = from_optimal.max((found - data / (data + made)).abs());
            }
        }
        latent.sort_unstable_by(f32::total_cmp);
        let shown: Vec<f64> = (0..ARROWS)
            .map(|arrow| f64::from(latent[(2 * arrow + 1) * SAMPLES / (2 * ARROWS)]))
            .collect();
        let carried = self.generator.network().at(shown.iter().copied());
        Moment {
            name: name.to_owned(),
            step,
            mean,
            std,
            jensen_shannon: jensen_shannon(&self.density, &generated, self.x[1] - self.x[0]),
            from_half,
            from_optimal,
            generated,
            discriminator,
            carried: shown
                .into_iter()
                .zip(carried)
                .map(|(z, x)| [z, x])
                .collect(),
        }
    }
}

impl Density {
    /// Trains both players.
    pub fn observe(&self) -> Found {
        let mut game = Game::new(self);
        let mut stages = vec![game.look("at the start", 0)];
        let mut course = stages.clone();
        let alone = (self.steps / 8).max(1);
        for step in 0..alone {
            game.step("alone", &At::new(self.seed, step, alone), false);
            if (step + 1) % (alone / 8).max(1) == 0 {
                course.push(game.look("D alone", 0));
            }
        }
        stages.push(game.look("D near its optimum", 0));
        // The discriminator's schedule and moments begin anew with the game.
        let trained = game.discriminator.network().clone();
        game.discriminator = Learner::new(trained, RULE, RATES[1], SCHEDULE);
        let looks = moments(self.steps, FRAMES);
        let early = (self.steps / 40).max(1);
        for step in 0..self.steps {
            let at = At::new(self.seed, step, self.steps);
            game.step("ahead", &at, false);
            game.step("both", &at, true);
            let done = step + 1;
            if looks.contains(&done) {
                course.push(game.look(&format!("{done} steps"), done));
            }
            if done == early {
                stages.push(game.look(&format!("G moved, {done} steps"), done));
            }
        }
        stages.push(game.look(&format!("in the end, {} steps", self.steps), self.steps));
        let (mean, std) = game.data.moments();
        Found {
            mean,
            std,
            x: game.x,
            data: game.density,
            stages,
            course,
        }
    }
}

impl Found {
    /// How it stands in the end.
    pub fn last(&self) -> &Moment {
        // The stages are four, whatever happened.
        &self.stages[self.stages.len() - 1]
    }

    /// One moment as in the figure.
    fn plot(&self, moment: &Moment, has_legend: bool) -> Plot {
        /// Heights of the lines of x and z.
        const LINES: [f64; 2] = [-0.12, -0.5];
        let (low, high) = (self.x[0], self.x[self.x.len() - 1]);
        let scale = PEAK / self.data.iter().copied().fold(0.0, f64::max);
        let curve = |values: &[f64], scale: f64| -> Vec<[f64; 2]> {
            self.x
                .iter()
                .zip(values)
                .map(|(x, y)| [*x, scale * y])
                .collect()
        };
        let name = |name: &str| {
            if has_legend {
                name.to_owned()
            } else {
                String::new()
            }
        };
        let across = |height: f64| [[low, height], [high, height]];
        // The line of z leads where the generator carries it at first, so that arrows need not cross.
        let [first, last] = [0, ARROWS - 1].map(|arrow| self.stages[0].carried[arrow]);
        let direction =
            (last[1] - first[1]).signum() * (high - low) / 3.5 / first[0].abs().max(last[0]);
        let place = |z: f64| (low + high) / 2.0 + z * direction;
        let arrows = moment
            .carried
            .iter()
            .map(|[z, x]| [[place(*z), LINES[1]], [*x, LINES[0]]]);
        let thin = Style::solid(INK).width(1.2);
        Plot::new(&moment.name, "x", "D(x); densities, scaled")
            .x_range(low, high)
            .y_range(-0.55, 1.15)
            .y_ticks(&[0.0, 0.5, 1.0])
            .line("", across(LINES[0]), thin)
            .line("", across(LINES[1]), thin)
            .arrows("", arrows, Style::solid(GREEN).width(1.0))
            .text([low + 0.02 * (high - low), LINES[0] - 0.06], "x")
            .text([low + 0.02 * (high - low), LINES[1] + 0.06], "z")
            .line(
                &name("p_data"),
                curve(&self.data, scale),
                Style::dotted(INK),
            )
            .line(
                &name("p_g"),
                curve(&moment.generated, scale),
                Style::solid(GREEN).width(2.4),
            )
            .line(
                &name("D(x)"),
                curve(&moment.discriminator, 1.0),
                Style::dashed(BLUE),
            )
    }
}

impl Experiment for Density {
    const WORD: &'static str = "density";

    fn with(self, steps: Option<u64>, seed: u64) -> Self {
        let steps = steps.unwrap_or(self.steps);
        Self {
            steps,
            seed,
            ..self
        }
    }

    fn check(&self) -> Result<()> {
        check("mean", self.mean, -3.0..=3.0)?;
        check("std", self.std, 0.1..=2.0)?;
        check("steps", self.steps, 1..=1_000_000)
    }

    fn report(&self) -> Result<Report> {
        let found = self.observe();
        let mut text = format!(
            "data: mean {:.3}, deviation {:.3}; D where there is data\n\
             \x20                         mean   deviation   JSD in nats   max |D - D*|   max |D - 1/2|\n",
            found.mean, found.std
        );
        for moment in &found.stages {
            let _ = writeln!(
                text,
                "{:22} {:8.3} {:11.3} {:13.4} {:14.3} {:15.3}",
                moment.name,
                moment.mean,
                moment.std,
                moment.jensen_shannon,
                moment.from_optimal,
                moment.from_half
            );
        }
        let plots: Vec<Plot> = found
            .stages
            .iter()
            .zip(["(a)", "(b)", "(c)", "(d)"])
            .enumerate()
            .map(|(index, (moment, letter))| {
                let named = Moment {
                    name: format!("{letter} {}", moment.name),
                    ..moment.clone()
                };
                found.plot(&named, index == 0)
            })
            .collect();
        let frames = found
            .course
            .iter()
            .map(|moment| found.plot(moment, true).draw(480, 400))
            .collect();
        Ok(Report {
            text,
            numbers: serde_json::to_value(&found)?,
            plot: panels(&plots, 4, 420, 420),
            frames,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_generator_arrives_at_the_data() {
        let found = Density::default().observe();
        let (start, last) = (&found.stages[0], found.last());
        assert_eq!(found.stages.len(), 4);
        assert!(
            (last.mean - found.mean).abs() < 0.15 * found.std,
            "{}",
            last.mean
        );
        assert!((last.std / found.std - 1.0).abs() < 0.15, "{}", last.std);
        assert!(start.jensen_shannon > 0.3, "{}", start.jensen_shannon);
        assert!(last.jensen_shannon < 0.01, "{}", last.jensen_shannon);
        assert!(last.from_half < 0.05, "{}", last.from_half);
        let alone = &found.stages[1];
        assert!(
            alone.from_half > 0.4 && alone.from_optimal < 0.2,
            "{}",
            alone.from_optimal
        );
    }

    #[test]
    fn estimated_densities_are_near_the_true_ones() {
        let gaussian = Gaussian::new(1.0, 0.5);
        let samples = gaussian.draw(&mut Stream::new(0, "t", 0), 20_000);
        let places: Vec<f64> = evenly(-2.0, 4.0, 121).collect();
        let density: Vec<f64> = places
            .iter()
            .map(|place| gaussian.density(*place))
            .collect();
        let found = estimated(&samples, &places);
        for (found, true_one) in found.iter().zip(&density) {
            assert!((found - true_one).abs() < 0.03, "{found} {true_one}");
        }
        assert!(jensen_shannon(&found, &density, 0.05) < 1e-3);
        assert!(
            estimated(&[1.0; 10], &places)
                .iter()
                .all(|value| value.is_finite())
        );
    }

    #[test]
    fn the_same_seed_gives_the_same_course() {
        let of = |seed: u64| Density::default().with(Some(4), seed).observe().course;
        assert_eq!(of(1), of(1));
        assert_ne!(of(1), of(2));
    }
}
