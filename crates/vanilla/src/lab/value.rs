//! The value of the game at the optimal discriminator, `-log 4 + 2 JSD(p_data, p_g)` (Goodfellow et al. 2014, theorem 1),
//! for Gaussians at growing distances.

use super::discriminator::{fresh, train_alone};
use super::gaussian::{Gaussian, Pair, mean_and_error};
use super::perceptron::log_sigmoid;
use super::{Experiment, Report, check};
use anyhow::Result;
use gan_core::plot::{BLUE, GREY, Plot, Style, VERMILION, panels};
use gan_core::random::Stream;
use serde::Serialize;
use std::f64::consts::LN_2;
use std::fmt::Write as _;

/// Distances between the means, in standard deviations of both.
const DISTANCES: [f64; 9] = [0.0, 0.5, 1.0, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0];

/// Fresh draws from each side on which a trained discriminator is measured.
const DRAWS: usize = 50_000;

/// `lab value`.
#[derive(Debug, Clone, PartialEq, clap::Args)]
pub struct OptimalValue {
    /// Steps of the discriminator at each distance.
    #[arg(long, default_value_t = 300)]
    pub steps: u64,
    /// Seed of weights and draws.
    #[arg(long, default_value_t = 0)]
    pub seed: u64,
}

impl Default for OptimalValue {
    fn default() -> Self {
        Self {
            steps: 300,
            seed: 0,
        }
    }
}

/// One distance; values in nats.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Row {
    /// Between the means.
    pub distance: f64,
    /// The Jensen-Shannon divergence, by integration of its own definition.
    pub jensen_shannon: f64,
    /// `-log 4 + 2 JSD`.
    pub theorem: f64,
    /// `E log D* + E log(1 - D*)`, by integration.
    pub integrated: f64,
    /// The same of the trained discriminator, over fresh draws.
    pub trained: f64,
    /// Its standard error.
    pub error: f64,
}

/// `E log D* + E log(1 - D*)`, by numerical integration.
fn value_at_optimum(pair: Pair) -> f64 {
    pair.integral(|x| {
        let logit = pair.p.log_density(x) - pair.q.log_density(x);
        pair.p.density(x) * log_sigmoid(logit) + pair.q.density(x) * log_sigmoid(-logit)
    })
}

impl OptimalValue {
    /// Measures every distance. The discriminator of one goes on to the next.
    pub fn observe(&self) -> Vec<Row> {
        let mut network = fresh(self.seed, "value");
        DISTANCES
            .into_iter()
            .enumerate()
            .map(|(index, distance)| {
                let pair = Pair {
                    p: Gaussian::new(0.0, 1.0),
                    q: Gaussian::new(distance, 1.0),
                };
                let name = format!("value/{index}");
                network = train_alone(
                    network.clone(),
                    pair,
                    self.steps,
                    (self.seed, &name),
                    |_, _| (),
                );
                let logits = |density: Gaussian, side: &str| {
                    let mut stream = Stream::new(self.seed, &format!("{name}/measured/{side}"), 0);
                    network.at(density.draw(&mut stream, DRAWS))
                };
                let terms: Vec<f64> = logits(pair.p, "real")
                    .into_iter()
                    .zip(logits(pair.q, "fake"))
                    .map(|(real, fake)| log_sigmoid(real) + log_sigmoid(-fake))
                    .collect();
                let (trained, error) = mean_and_error(&terms);
                let jensen_shannon = pair.jensen_shannon();
                Row {
                    distance,
                    jensen_shannon,
                    theorem: 2.0 * jensen_shannon - 2.0 * LN_2,
                    integrated: value_at_optimum(pair),
                    trained,
                    error,
                }
            })
            .collect()
    }
}

impl Experiment for OptimalValue {
    const WORD: &'static str = "value";

    fn with(self, steps: Option<u64>, seed: u64) -> Self {
        let steps = steps.unwrap_or(self.steps);
        Self { steps, seed }
    }

    fn check(&self) -> Result<()> {
        check("steps", self.steps, 1..=100_000)
    }

    fn report(&self) -> Result<Report> {
        let rows = self.observe();
        let mut text = String::from(
            "data N(0, 1), generator N(distance, 1), in nats\n\
             distance       JSD  -log 4 + 2 JSD   V(D*, G) integrated   V(D, G) of a trained D\n",
        );
        for row in &rows {
            let _ = writeln!(
                text,
                "{:8.1} {:9.6} {:15.6} {:21.6} {:13.4} +- {:.4}",
                row.distance,
                row.jensen_shannon,
                row.theorem,
                row.integrated,
                row.trained,
                row.error
            );
        }
        let away = |of: fn(&Row) -> f64| {
            rows.iter()
                .map(|row| (of(row) - row.theorem).abs())
                .fold(0.0, f64::max)
        };
        let _ = writeln!(
            text,
            "largest distance from the theorem: integrated {:.1e}, trained {:.4}; -log 4 = {:.6}",
            away(|row| row.integrated),
            away(|row| row.trained),
            -2.0 * LN_2
        );
        let farthest = DISTANCES[DISTANCES.len() - 1];
        let across = |value: f64| [[0.0, value], [farthest, value]];
        let curve = super::evenly(0.0, farthest, 101).map(|distance| {
            let pair = Pair {
                p: Gaussian::new(0.0, 1.0),
                q: Gaussian::new(distance, 1.0),
            };
            [distance, 2.0 * pair.jensen_shannon() - 2.0 * LN_2]
        });
        let plot = Plot::new(
            "The value of the game",
            "distance between the means",
            "nats",
        )
        .x_range(-0.2, farthest + 0.2)
        .y_range(-1.55, 0.15)
        .line("-log 4 and 0", across(-2.0 * LN_2), Style::dotted(GREY))
        .line("", across(0.0), Style::dotted(GREY))
        .line("-log 4 + 2 JSD", curve, Style::solid(BLUE))
        .dots(
            "V(D, G) of a trained D",
            rows.iter().map(|row| [row.distance, row.trained]),
            VERMILION,
            4.5,
        );
        let errors = || {
            rows.iter()
                .map(|row| [row.distance, -2.0 * row.error, 2.0 * row.error])
        };
        let largest = errors()
            .map(|[_, _, error]| error)
            .chain(rows.iter().map(|row| (row.trained - row.theorem).abs()))
            .fold(0.0, f64::max);
        let short = Plot::new(
            "What the trained D lacks",
            "distance between the means",
            "nats",
        )
        .x_range(-0.2, farthest + 0.2)
        .y_range(-1.6 * largest, 1.6 * largest)
        .band("two standard errors", errors(), BLUE)
        .line("", across(0.0), Style::solid(GREY).width(1.0))
        .line(
            "trained minus theorem",
            rows.iter()
                .map(|row| [row.distance, row.trained - row.theorem]),
            Style::solid(VERMILION),
        );
        Ok(Report {
            text,
            numbers: serde_json::to_value(&rows)?,
            plot: panels(&[plot, short], 2, 600, 440),
            frames: Vec::new(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_value_is_that_of_the_theorem() {
        let rows = OptimalValue {
            steps: 150,
            ..OptimalValue::default()
        }
        .observe();
        let first = rows[0];
        assert!((first.integrated + 4f64.ln()).abs() < 1e-12, "{first:?}");
        for row in &rows {
            assert!((row.integrated - row.theorem).abs() < 1e-10, "{row:?}");
            // No discriminator is better than the optimal one, but its draws may be.
            assert!(
                (row.trained - row.theorem).abs() < 0.02 + 3.0 * row.error,
                "{row:?}"
            );
        }
        assert!(
            rows.windows(2)
                .all(|pair| pair[0].integrated < pair[1].integrated)
        );
        assert!(rows[rows.len() - 1].integrated < 0.0);
    }
}
