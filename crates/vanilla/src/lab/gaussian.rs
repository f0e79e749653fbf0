//! Gaussians of one real number, mixtures of them, and integrals.

use gan_core::random::Stream;
use std::f64::consts::{E, TAU};

/// N(mean, std^2).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Gaussian {
    /// Its mean.
    pub mean: f64,
    /// Its standard deviation, above 0.
    pub std: f64,
}

impl Gaussian {
    /// N(mean, std^2).
    pub const fn new(mean: f64, std: f64) -> Self {
        Self { mean, std }
    }

    /// The natural logarithm of the density at `x`.
    pub fn log_density(self, x: f64) -> f64 {
        let away = (x - self.mean) / self.std;
        -0.5 * away * away - self.std.ln() - 0.5 * TAU.ln()
    }

    /// The density at `x`.
    pub fn density(self, x: f64) -> f64 {
        self.log_density(x).exp()
    }

    /// The differential entropy in nats, `ln(2 pi e std^2) / 2`.
    pub fn entropy(self) -> f64 {
        0.5 * (TAU * E).ln() + self.std.ln()
    }

    /// The cross-entropy `-E_self log other` in nats, from its closed form.
    pub fn cross_entropy(self, other: Self) -> f64 {
        let apart = self.mean - other.mean;
        0.5 * TAU.ln()
            + other.std.ln()
            + (self.std.powi(2) + apart * apart) / (2.0 * other.std.powi(2))
    }

    /// The Kullback-Leibler divergence `KL(self || other)` in nats, from its closed form.
    pub fn divergence(self, other: Self) -> f64 {
        let (ratio, apart) = (self.std / other.std, (self.mean - other.mean) / other.std);
        0.5 * (ratio * ratio + apart * apart - 1.0) - ratio.ln()
    }

    /// `count` draws.
    pub fn draw(self, stream: &mut Stream, count: usize) -> Vec<f64> {
        let draws = stream.normal(count);
        draws
            .into_iter()
            .map(|draw| self.mean + self.std * f64::from(draw))
            .collect()
    }
}

/// Gaussians in equal parts.
#[derive(Debug, Clone, PartialEq)]
pub struct Mixture(
    /// The parts, at least one.
    pub Vec<Gaussian>,
);

impl Mixture {
    /// The density at `x`.
    pub fn density(&self, x: f64) -> f64 {
        let sum: f64 = self.0.iter().map(|part| part.density(x)).sum();
        sum / self.0.len() as f64
    }

    /// Its mean and its standard deviation.
    pub fn moments(&self) -> (f64, f64) {
        let share = 1.0 / self.0.len() as f64;
        let mean: f64 = self.0.iter().map(|part| share * part.mean).sum();
        let second: f64 = self
            .0
            .iter()
            .map(|part| share * (part.std.powi(2) + (part.mean - mean).powi(2)))
            .sum();
        (mean, second.sqrt())
    }

    /// `count` draws.
    pub fn draw(&self, stream: &mut Stream, count: usize) -> Vec<f32> {
        let parts = stream.integers(count, self.0.len());
        let draws = stream.normal(count);
        let place = |(part, draw): (usize, f32)| {
            let part = self.0[part];
            (part.mean + part.std * f64::from(draw)) as f32
        };
        parts.into_iter().zip(draws).map(place).collect()
    }
}

/// The integral of a smooth function that has faded to nothing at both ends, by the trapezoidal rule: for such functions
/// its error falls faster than any power of the width of the intervals.
pub fn integral(function: impl Fn(f64) -> f64, [low, high]: [f64; 2], intervals: usize) -> f64 {
    let width = (high - low) / intervals as f64;
    let inner: f64 = (1..intervals)
        .map(|index| function(low + width * index as f64))
        .sum();
    width * (inner + 0.5 * (function(low) + function(high)))
}

/// Two Gaussians beside each other.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Pair {
    /// The first one: in a GAN the data.
    pub p: Gaussian,
    /// The second one: in a GAN what the generator makes.
    pub q: Gaussian,
}

impl Pair {
    /// The logarithm of the density of their mean `m = (p + q) / 2` at `x`.
    pub fn log_middle(self, x: f64) -> f64 {
        let (p, q) = (self.p.log_density(x), self.q.log_density(x));
        let (low, high) = (p.min(q), p.max(q));
        high + ((low - high).exp() * 0.5 + 0.5).ln()
    }

    /// Where the optimal discriminator sees data, `p / (p + q)` (Goodfellow et al. 2014, proposition 1).
    pub fn optimal(self, x: f64) -> f64 {
        1.0 / (1.0 + (self.q.log_density(x) - self.p.log_density(x)).exp())
    }

    /// The integral of a function that fades like the two densities.
    pub fn integral(self, function: impl Fn(f64) -> f64) -> f64 {
        // From 12 standard deviations on, nothing is left of a density in 64 bits, whatever logarithm multiplies it.
        let low = (self.p.mean - 12.0 * self.p.std).min(self.q.mean - 12.0 * self.q.std);
        let high = (self.p.mean + 12.0 * self.p.std).max(self.q.mean + 12.0 * self.q.std);
        let finest = self.p.std.min(self.q.std) / 16.0;
        integral(
            function,
            [low, high],
            ((high - low) / finest).ceil() as usize,
        )
    }

    /// `KL(p || q)` in nats, by numerical integration.
    pub fn divergence(self) -> f64 {
        self.integral(|x| {
            let (p, q) = (self.p.log_density(x), self.q.log_density(x));
            p.exp() * (p - q)
        })
    }

    /// The Jensen-Shannon divergence in nats, 0 to ln 2 (Lin 1991), by numerical integration; it has no closed form.
    pub fn jensen_shannon(self) -> f64 {
        self.integral(|x| {
            let (p, q, middle) = (
                self.p.log_density(x),
                self.q.log_density(x),
                self.log_middle(x),
            );
            0.5 * (p.exp() * (p - middle) + q.exp() * (q - middle))
        })
    }

    /// The same pair the other way around.
    #[must_use]
    pub const fn turned(self) -> Self {
        Self {
            p: self.q,
            q: self.p,
        }
    }
}

/// The mean of some values, and its standard error.
pub fn mean_and_error(values: &[f64]) -> (f64, f64) {
    let count = values.len() as f64;
    let mean = values.iter().sum::<f64>() / count;
    let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    (mean, (squares / (count - 1.0).max(1.0) / count).sqrt())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_density_integrates_to_one_and_has_its_moments() {
        let mixture = Mixture(vec![Gaussian::new(-1.0, 0.5), Gaussian::new(2.0, 1.0)]);
        let of = |function: &dyn Fn(f64) -> f64| {
            integral(|x| mixture.density(x) * function(x), [-12.0, 14.0], 2000)
        };
        let (mean, std) = mixture.moments();
        assert!((of(&|_| 1.0) - 1.0).abs() < 1e-12);
        assert!((of(&|x| x) - mean).abs() < 1e-12 && (mean - 0.5).abs() < 1e-12);
        assert!((of(&|x| (x - mean).powi(2)).sqrt() - std).abs() < 1e-12);
        let draws = mixture.draw(&mut Stream::new(0, "t", 0), 40_000);
        let drawn = draws.iter().sum::<f32>() / 4e4;
        assert!((f64::from(drawn) - mean).abs() < 0.03, "{drawn}");
    }

    #[test]
    fn a_closed_form_by_hand() {
        // One standard deviation apart: half a nat.
        let (p, q) = (Gaussian::new(0.0, 1.0), Gaussian::new(1.0, 1.0));
        assert!((p.divergence(q) - 0.5).abs() < 1e-15);
        // Twice as wide: ln 2 + 1/8 - 1/2.
        let wide = Gaussian::new(0.0, 2.0);
        assert!((p.divergence(wide) - (2f64.ln() - 0.375)).abs() < 1e-15);
        assert!((Gaussian::new(3.0, 1.0).entropy() - 1.418_938_533_204_672_7).abs() < 1e-14);
    }

    #[test]
    fn the_middle_stays_finite_far_out() {
        let pair = Pair {
            p: Gaussian::new(0.0, 0.01),
            q: Gaussian::new(100.0, 0.01),
        };
        assert!(pair.log_middle(50.0).is_finite());
        assert!((pair.jensen_shannon() - std::f64::consts::LN_2).abs() < 1e-9);
        assert_eq!(pair.optimal(0.0), 1.0);
        assert_eq!(pair.optimal(100.0), 0.0);
    }

    #[test]
    fn the_error_of_a_mean_by_hand() {
        let (mean, error) = mean_and_error(&[1.0, 3.0]);
        assert_eq!((mean, error), (2.0, 1.0));
    }
}
