//! The Kullback-Leibler and the Jensen-Shannon divergence of two Gaussians: from closed forms, by numerical integration,
//! and from samples (Kullback and Leibler 1951; Lin 1991).

use super::gaussian::{Gaussian, Pair, mean_and_error};
use super::{Experiment, Report, check, evenly};
use anyhow::Result;
use gan_core::plot::{BLUE, GREEN, GREY, Plot, Style, VERMILION, panels};
use gan_core::random::Stream;
use serde::Serialize;
use std::f64::consts::LN_2;
use std::fmt::Write as _;

/// `lab divergences`.
#[derive(Debug, Clone, PartialEq, clap::Args)]
pub struct Divergences {
    /// Mean of p.
    #[arg(long, default_value_t = 0.0, allow_negative_numbers = true)]
    pub mean_p: f64,
    /// Standard deviation of p.
    #[arg(long, default_value_t = 1.0)]
    pub std_p: f64,
    /// Mean of q.
    #[arg(long, default_value_t = 1.5, allow_negative_numbers = true)]
    pub mean_q: f64,
    /// Standard deviation of q.
    #[arg(long, default_value_t = 2.0)]
    pub std_q: f64,
    /// Draws from each.
    #[arg(long, default_value_t = 100_000)]
    pub samples: usize,
    /// Seed of the draws.
    #[arg(long, default_value_t = 0)]
    pub seed: u64,
}

impl Default for Divergences {
    fn default() -> Self {
        Self {
            mean_p: 0.0,
            std_p: 1.0,
            mean_q: 1.5,
            std_q: 2.0,
            samples: 100_000,
            seed: 0,
        }
    }
}

/// One quantity, in nats.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Quantity {
    /// From its closed form, where it has one.
    pub closed: Option<f64>,
    /// By numerical integration.
    pub integrated: f64,
    /// The mean over samples.
    pub sampled: f64,
    /// Its standard error.
    pub error: f64,
}

/// What was found.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Found {
    /// `KL(p || q)`.
    pub kl_p_q: Quantity,
    /// `KL(q || p)`.
    pub kl_q_p: Quantity,
    /// The Jensen-Shannon divergence.
    pub jensen_shannon: Quantity,
    /// The entropy `H(p)`.
    pub entropy: Quantity,
    /// The cross-entropy `H(p, q)`, which is `H(p) + KL(p || q)`.
    pub cross_entropy: Quantity,
}

impl Divergences {
    fn pair(&self) -> Pair {
        Pair {
            p: Gaussian::new(self.mean_p, self.std_p),
            q: Gaussian::new(self.mean_q, self.std_q),
        }
    }

    /// Measures everything.
    pub fn observe(&self) -> Found {
        let pair = self.pair();
        let (p, q) = (pair.p, pair.q);
        let of_p = p.draw(
            &mut Stream::new(self.seed, "divergences/p", 0),
            self.samples,
        );
        let of_q = q.draw(
            &mut Stream::new(self.seed, "divergences/q", 0),
            self.samples,
        );
        let quantity = |closed: Option<f64>, integrated: f64, terms: Vec<f64>| {
            let (sampled, error) = mean_and_error(&terms);
            Quantity {
                closed,
                integrated,
                sampled,
                error,
            }
        };
        let each = |draws: &[f64], term: &dyn Fn(f64) -> f64| -> Vec<f64> {
            draws.iter().map(|x| term(*x)).collect()
        };
        // Draws of p and q stand beside each other, so that each pair of them is one term.
        let to_middle = of_p
            .iter()
            .zip(&of_q)
            .map(|(x, y)| {
                let first = p.log_density(*x) - pair.log_middle(*x);
                let second = q.log_density(*y) - pair.log_middle(*y);
                0.5 * (first + second)
            })
            .collect();
        Found {
            kl_p_q: quantity(
                Some(p.divergence(q)),
                pair.divergence(),
                each(&of_p, &|x| p.log_density(x) - q.log_density(x)),
            ),
            kl_q_p: quantity(
                Some(q.divergence(p)),
                pair.turned().divergence(),
                each(&of_q, &|x| q.log_density(x) - p.log_density(x)),
            ),
            jensen_shannon: quantity(None, pair.jensen_shannon(), to_middle),
            entropy: quantity(
                Some(p.entropy()),
                pair.integral(|x| -p.density(x) * p.log_density(x)),
                each(&of_p, &|x| -p.log_density(x)),
            ),
            cross_entropy: quantity(
                Some(p.cross_entropy(q)),
                pair.integral(|x| -p.density(x) * q.log_density(x)),
                each(&of_p, &|x| -q.log_density(x)),
            ),
        }
    }
}

impl Experiment for Divergences {
    const WORD: &'static str = "divergences";

    fn with(self, _: Option<u64>, seed: u64) -> Self {
        Self { seed, ..self }
    }

    fn check(&self) -> Result<()> {
        check("mean-p", self.mean_p, -100.0..=100.0)?;
        check("mean-q", self.mean_q, -100.0..=100.0)?;
        check("std-p", self.std_p, 0.01..=100.0)?;
        check("std-q", self.std_q, 0.01..=100.0)?;
        check("samples", self.samples, 2..=10_000_000)
    }

    fn report(&self) -> Result<Report> {
        let found = self.observe();
        let mut text = format!(
            "p = N({}, {}^2), q = N({}, {}^2), in nats\n                    closed form    integral     samples\n",
            self.mean_p, self.std_p, self.mean_q, self.std_q
        );
        let rows = [
            ("KL(p || q)", found.kl_p_q),
            ("KL(q || p)", found.kl_q_p),
            ("JS(p, q)", found.jensen_shannon),
            ("H(p)", found.entropy),
            ("H(p, q)", found.cross_entropy),
        ];
        for (name, row) in rows {
            let closed = row
                .closed
                .map_or("none".to_owned(), |value| format!("{value:.6}"));
            let _ = writeln!(
                text,
                "{name:18} {closed:>12} {:>11.6} {:>11.5} +- {:.5}",
                row.integrated, row.sampled, row.error
            );
        }
        let _ = writeln!(
            text,
            "JS is at most ln 2 = {LN_2:.6}; H(p) + KL(p || q) = {:.6}",
            found.entropy.integrated + found.kl_p_q.integrated
        );
        Ok(Report {
            text,
            numbers: serde_json::to_value(found)?,
            plot: panels(&[self.densities(), self.apart()], 2, 600, 440),
            frames: Vec::new(),
        })
    }
}

impl Divergences {
    fn densities(&self) -> Plot {
        let pair = self.pair();
        let (p, q) = (pair.p, pair.q);
        let low = (p.mean - 4.0 * p.std).min(q.mean - 4.0 * q.std);
        let high = (p.mean + 4.0 * p.std).max(q.mean + 4.0 * q.std);
        let curve = |of: &dyn Fn(f64) -> f64| -> Vec<[f64; 2]> {
            evenly(low, high, 401).map(|x| [x, of(x)]).collect()
        };
        Plot::new("Two Gaussians and their mean", "x", "density")
            .line("p", curve(&|x| p.density(x)), Style::solid(BLUE))
            .line("q", curve(&|x| q.density(x)), Style::solid(VERMILION))
            .line(
                "m = (p + q) / 2",
                curve(&|x| pair.log_middle(x).exp()),
                Style::dashed(GREEN),
            )
    }

    /// The divergences for other distances between the means.
    fn apart(&self) -> Plot {
        let largest = 4.0 * self.std_p.max(self.std_q);
        let row: Vec<(f64, Pair)> = evenly(0.0, largest, 61)
            .map(|distance| {
                let q = Gaussian::new(self.mean_p + distance, self.std_q);
                let pair = Pair {
                    p: self.pair().p,
                    q,
                };
                (distance, pair)
            })
            .collect();
        let curve = |of: fn(&Pair) -> f64| -> Vec<[f64; 2]> {
            row.iter()
                .map(|(distance, pair)| [*distance, of(pair)])
                .collect()
        };
        // Beyond, the divergences of Kullback and Leibler only go on to grow.
        Plot::new(
            "Divergences, by integration",
            "distance between the means",
            "nats",
        )
        .y_range(0.0, 3.0)
        .line(
            "KL(p || q)",
            curve(|pair| pair.p.divergence(pair.q)),
            Style::solid(BLUE),
        )
        .line(
            "KL(q || p)",
            curve(|pair| pair.q.divergence(pair.p)),
            Style::solid(VERMILION),
        )
        .line(
            "JS(p, q)",
            curve(|pair| pair.jensen_shannon()),
            Style::solid(GREEN),
        )
        .line("ln 2", [[0.0, LN_2], [largest, LN_2]], Style::dotted(GREY))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_ways_give_one_number() {
        let found = Divergences::default().observe();
        let all = [
            found.kl_p_q,
            found.kl_q_p,
            found.jensen_shannon,
            found.entropy,
            found.cross_entropy,
        ];
        for quantity in all {
            let closed = quantity.closed.unwrap_or(quantity.integrated);
            assert!((quantity.integrated - closed).abs() < 1e-10, "{quantity:?}");
            let away = (quantity.sampled - quantity.integrated).abs();
            assert!(away < 4.0 * quantity.error, "{quantity:?}");
        }
        let sum = found.entropy.integrated + found.kl_p_q.integrated;
        assert!((found.cross_entropy.integrated - sum).abs() < 1e-10);
        let difference = found.kl_p_q.integrated - found.kl_q_p.integrated;
        assert!(difference.abs() > 0.5, "KL is not symmetric: {difference}");
    }

    #[test]
    fn jensen_shannon_is_symmetric_and_bounded() {
        let of = |distance: f64, std: f64| Pair {
            p: Gaussian::new(0.0, 1.0),
            q: Gaussian::new(distance, std),
        };
        assert!(of(0.0, 1.0).jensen_shannon().abs() < 1e-14);
        let mut before = 0.0;
        for distance in 1..=12 {
            let pair = of(f64::from(distance), 1.5);
            let (there, back) = (pair.jensen_shannon(), pair.turned().jensen_shannon());
            assert!((there - back).abs() < 1e-13);
            assert!(before < there && there <= LN_2, "{distance}: {there}");
            before = there;
        }
        assert!(LN_2 - before < 1e-4, "{before}");
    }
}
