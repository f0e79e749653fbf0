//! Log-likelihood under a Gaussian Parzen window: the figure of Goodfellow et al. 2014 ("Generative
//! adversarial nets", section 5), as their `parzen_ll.py` computes it (after Breuleux et al. 2011).
//!
//! A density is made of the generated samples, one Gaussian of width sigma around each, and the mean
//! log-density of held-out data is reported. Theis et al. 2016 ("A note on the evaluation of
//! generative models", section 3.2) show that it says little about likelihood or quality in many
//! dimensions: report it for comparison with older papers only.

use std::ops::Range;

use faer::Accum;
use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;

use crate::failure::{Kind, failure};
use crate::features::Features;
use crate::rows::{DEPTH, Gather, LANES, first_not_finite, inner_products, sum};

/// Points whose distances to a tile of samples are one matrix product.
const POINTS_AT_ONCE: usize = 256;
/// Samples of a tile.
const SAMPLES_AT_ONCE: usize = 512;
/// Samples of one task: fixed, so that the order of the sums does not depend on the threads.
const SAMPLES_PER_TASK: usize = 8 * SAMPLES_AT_ONCE;

/// The log-likelihood of test data.
#[derive(Debug, Clone, PartialEq)]
pub struct Parzen {
    /// The width that was best on the validation set.
    pub sigma: f64,
    /// Mean log-likelihood of the test rows, in nats.
    pub mean: f64,
    /// Its standard error: the population standard deviation over `sqrt(rows)`.
    pub standard_error: f64,
    /// Every width tried with the mean log-likelihood of the validation rows, in the order given.
    pub tried: Vec<(f64, f64)>,
}

impl Parzen {
    /// Whether the best width was the smallest or the largest one tried, so that a wider range might
    /// hold a better one. False if only one was given.
    pub fn sigma_is_at_an_end(&self) -> bool {
        let others = || self.tried.iter().map(|(sigma, _)| *sigma);
        self.tried.len() > 1
            && (others().all(|sigma| sigma >= self.sigma)
                || others().all(|sigma| sigma <= self.sigma))
    }
}

/// Goodfellow et al.'s widths, `numpy.logspace(-1, 0, 10)`: from 0.1 to 1 in equal ratios.
pub fn default_sigmas() -> Vec<f64> {
    (0..10)
        .map(|step| 10f64.powf(f64::from(step) / 9.0 - 1.0))
        .collect()
}

/// The Parzen window log-likelihood of `test`, with the width of `sigmas` that is best on `validation`.
///
/// Of equally good widths the first is taken. In float64 throughout: the distances come from
/// `|x|^2 + |s|^2 - 2 x.s`, and at sigma 0.1 an error of 1e-5 in them, usual in float32, would be
/// 5e-4 nats.
///
/// # Shapes
/// - `samples`: `[n, dims]` of the generator, `validation`: `[v, dims]` and `test`: `[t, dims]` of the
///   data; pixels in `[0, 1]` for figures that compare with the paper's
///
/// # Errors
/// `Usage` for no widths or one that is not positive; `Data` for sets that are empty, differ in `dims`
/// or hold a value that is not finite.
pub fn parzen(
    samples: &Features,
    validation: &Features,
    test: &Features,
    sigmas: &[f64],
) -> anyhow::Result<Parzen> {
    let trials = log_likelihoods(samples, validation, sigmas)?;
    let tried: Vec<(f64, f64)> = sigmas
        .iter()
        .zip(&trials)
        .map(|(sigma, trial)| (*sigma, mean(trial)))
        .collect();
    let mut best = tried[0];
    for &trial in &tried {
        if trial.1 > best.1 {
            best = trial;
        }
    }
    let (sigma, _) = best;
    let likelihoods = log_likelihoods(samples, test, &[sigma])?.swap_remove(0);
    let mean = mean(&likelihoods);
    let squares: Vec<f64> = likelihoods
        .iter()
        .map(|value| (value - mean).powi(2))
        .collect();
    let rows = likelihoods.len() as f64;
    Ok(Parzen {
        sigma,
        mean,
        standard_error: (sum(&squares) / rows).sqrt() / rows.sqrt(),
        tried,
    })
}

fn mean(values: &[f64]) -> f64 {
    sum(values) / values.len() as f64
}

/// The log-density in nats of each point, for each width: `log mean_i N(x; s_i, sigma^2 I)`.
///
/// # Shapes
/// - `samples`: `[n, dims]`, `points`: `[p, dims]`; result `[sigmas][p]`
///
/// # Errors
/// As [`parzen`].
pub fn log_likelihoods(
    samples: &Features,
    points: &Features,
    sigmas: &[f64],
) -> anyhow::Result<Vec<Vec<f64>>> {
    check(samples, points, sigmas)?;
    let rates: Vec<f64> = sigmas.iter().map(|sigma| 0.5 / (sigma * sigma)).collect();
    let (measured_samples, measured_points) = (Measured::of(samples), Measured::of(points));
    let blocks = points.rows().div_ceil(POINTS_AT_ONCE);
    let parts = samples.rows().div_ceil(SAMPLES_PER_TASK);
    let tasks: Vec<Vec<Density>> = (0..blocks * parts)
        .into_par_iter()
        .map(|task| {
            let (samples, points) = (&measured_samples, &measured_points);
            densities(samples, task % parts, points, task / parts, &rates)
        })
        .collect();
    let mut likelihoods = vec![Vec::with_capacity(points.rows()); sigmas.len()];
    for parts in tasks.chunks_exact(parts) {
        for point in 0..parts[0].len() {
            let mut density = Density::none(sigmas.len());
            for part in parts {
                density.add(&part[point], &rates);
            }
            let columns = likelihoods.iter_mut().zip(sigmas.iter().zip(&rates));
            for ((column, (sigma, rate)), total) in columns.zip(&density.totals) {
                let scale = samples.dims() as f64 * (sigma * std::f64::consts::TAU.sqrt()).ln();
                let samples = samples.rows() as f64;
                column.push((total / samples).ln() - density.nearest * rate - scale);
            }
        }
    }
    Ok(likelihoods)
}

fn check(samples: &Features, points: &Features, sigmas: &[f64]) -> anyhow::Result<()> {
    let usable = |sigma: &f64| sigma.is_finite() && *sigma > 0.0;
    if sigmas.is_empty() || !sigmas.iter().all(usable) {
        return Err(failure(
            Kind::Usage,
            "the Parzen window needs at least one width sigma, and each must be positive",
        ));
    }
    if samples.dims() != points.dims() {
        return Err(failure(
            Kind::Data,
            format!(
                "the samples have {} values each and the data {}: bring the pictures to one size",
                samples.dims(),
                points.dims()
            ),
        ));
    }
    for (set, name) in [(samples, "samples"), (points, "data")] {
        if set.rows() == 0 {
            return Err(failure(
                Kind::Data,
                format!("the Parzen window has no {name}: give at least one row"),
            ));
        }
        if let Some((row, column)) = first_not_finite(set) {
            return Err(failure(
                Kind::Data,
                format!(
                    "row {row} of the {name} holds {}: it is damaged, or its maker diverged",
                    set.row(row)[column]
                ),
            ));
        }
    }
    Ok(())
}

/// The unscaled density at one point: the nearest sample's squared distance, and for each rate the sum
/// of `exp(-rate (distance^2 - nearest))`, which neither overflows nor vanishes.
#[derive(Debug, Clone)]
struct Density {
    nearest: f64,
    totals: Vec<f64>,
}

impl Density {
    fn none(rates: usize) -> Self {
        Self {
            nearest: f64::INFINITY,
            totals: vec![0.0; rates],
        }
    }

    /// Takes `nearest` as the new reference if it is smaller.
    #[inline(always)]
    fn refer_to(&mut self, nearest: f64, rates: &[f64]) {
        if nearest < self.nearest {
            for (total, rate) in self.totals.iter_mut().zip(rates) {
                *total *= (rate * (nearest - self.nearest)).exp();
            }
            self.nearest = nearest;
        }
    }

    fn add(&mut self, other: &Self, rates: &[f64]) {
        self.refer_to(other.nearest, rates);
        for ((total, other_total), rate) in self.totals.iter_mut().zip(&other.totals).zip(rates) {
            *total += other_total * (rate * (self.nearest - other.nearest)).exp();
        }
    }
}

/// Rows with their squared lengths.
struct Measured<'a> {
    rows: Vec<&'a [f32]>,
    lengths: Vec<f64>,
}

impl<'a> Measured<'a> {
    fn of(features: &'a Features) -> Self {
        let rows: Vec<&[f32]> = features.values().chunks_exact(features.dims()).collect();
        let length = |row: &&[f32]| Arch::new().dispatch(SquaredLength { row });
        let lengths = rows.par_iter().map(length).collect();
        Self { rows, lengths }
    }

    fn range(&self, first: usize, count: usize) -> Range<usize> {
        first..(first + count).min(self.rows.len())
    }
}

struct SquaredLength<'a> {
    row: &'a [f32],
}

impl WithSimd for SquaredLength<'_> {
    type Output = f64;

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) -> f64 {
        let mut lanes = [0.0; LANES];
        let (chunks, rest) = self.row.as_chunks::<LANES>();
        for chunk in chunks {
            for (lane, value) in lanes.iter_mut().zip(chunk) {
                *lane += f64::from(*value) * f64::from(*value);
            }
        }
        let rest: f64 = rest.iter().map(|value| f64::from(*value).powi(2)).sum();
        lanes.iter().sum::<f64>() + rest
    }
}

/// The densities that one part of the samples gives to one block of the points.
fn densities(
    samples: &Measured<'_>,
    part: usize,
    points: &Measured<'_>,
    block: usize,
    rates: &[f64],
) -> Vec<Density> {
    let block = points.range(block * POINTS_AT_ONCE, POINTS_AT_ONCE);
    let part = samples.range(part * SAMPLES_PER_TASK, SAMPLES_PER_TASK);
    let mut densities = vec![Density::none(rates.len()); block.len()];
    let mut products = Products::default();
    for first in part.clone().step_by(SAMPLES_AT_ONCE) {
        let tile = first..(first + SAMPLES_AT_ONCE).min(part.end);
        products.multiply(&points.rows[block.clone()], &samples.rows[tile.clone()]);
        Arch::new().dispatch(Addition {
            point_lengths: &points.lengths[block.clone()],
            sample_lengths: &samples.lengths[tile],
            products: &mut products.sums,
            rates,
            densities: &mut densities,
        });
    }
    densities
}

/// Inner products of points and samples.
#[derive(Default)]
struct Products {
    point_values: Vec<f64>,
    sample_values: Vec<f64>,
    sums: Vec<f64>,
}

impl Products {
    fn multiply(&mut self, points: &[&[f32]], samples: &[&[f32]]) {
        let dims = points[0].len();
        self.sums.clear();
        self.sums.resize(points.len() * samples.len(), 0.0);
        for first in (0..dims).step_by(DEPTH) {
            let columns = first..(first + DEPTH).min(dims);
            for (rows, gathered) in [
                (points, &mut self.point_values),
                (samples, &mut self.sample_values),
            ] {
                Arch::new().dispatch(Gather {
                    rows,
                    columns: columns.clone(),
                    change: |from: &[f32], to: &mut [f64]| {
                        for (to, from) in to.iter_mut().zip(from) {
                            *to = f64::from(*from);
                        }
                    },
                    gathered,
                });
            }
            let (points, samples) = (&self.point_values, &self.sample_values);
            inner_products(points, samples, columns.len(), Accum::Add, &mut self.sums);
        }
    }
}

/// Adds a tile of samples to the densities of some points; the products become squared distances.
struct Addition<'a> {
    point_lengths: &'a [f64],
    sample_lengths: &'a [f64],
    products: &'a mut [f64],
    rates: &'a [f64],
    densities: &'a mut [Density],
}

impl WithSimd for Addition<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let sample_lengths = self.sample_lengths;
        let mut terms = vec![0.0; sample_lengths.len()];
        let rows = self.products.chunks_exact_mut(sample_lengths.len());
        let points = rows.zip(self.point_lengths).zip(self.densities);
        for ((row, length), density) in points {
            for (distance, sample_length) in row.iter_mut().zip(sample_lengths) {
                *distance = (length + sample_length - 2.0 * *distance).max(0.0);
            }
            density.refer_to(smallest(row), self.rates);
            for (total, rate) in density.totals.iter_mut().zip(self.rates) {
                for (term, distance) in terms.iter_mut().zip(&*row) {
                    *term = exponential(rate * (density.nearest - distance));
                }
                *total += sum(&terms);
            }
        }
    }
}

#[inline(always)]
fn smallest(values: &[f64]) -> f64 {
    let mut lanes = [f64::INFINITY; LANES];
    let (chunks, rest) = values.as_chunks::<LANES>();
    for chunk in chunks {
        for (lane, value) in lanes.iter_mut().zip(chunk) {
            *lane = if value < lane { *value } else { *lane };
        }
    }
    lanes
        .iter()
        .chain(rest)
        .copied()
        .fold(f64::INFINITY, f64::min)
}

/// `e^x` for `x <= 0` within 2e-16 of itself; 0 below -700, where nothing is left to add to.
///
/// Without branches or calls, so that a loop over it becomes vector instructions, and without fused
/// operations, so that every processor gives the same digits.
#[inline(always)]
fn exponential(x: f64) -> f64 {
    /// `1.5 * 2^52`: adding it rounds to a whole number and leaves that in the lowest bits.
    const ROUNDER: f64 = 6_755_399_441_055_744.0;
    /// ln 2 in two parts, the first with zeros at its end so that its multiples are exact.
    const LN_2_HIGH: f64 = f64::from_bits(0x3FE6_2E42_FEE0_0000);
    const LN_2_LOW: f64 = 1.908_214_929_270_587_7e-10;
    const LOWEST: f64 = -700.0;
    /// `1 / n!` from `n = 13` down to 0.
    const TAYLOR: [f64; 14] = [
        1.0 / 6_227_020_800.0,
        1.0 / 479_001_600.0,
        1.0 / 39_916_800.0,
        1.0 / 3_628_800.0,
        1.0 / 362_880.0,
        1.0 / 40_320.0,
        1.0 / 5_040.0,
        1.0 / 720.0,
        1.0 / 120.0,
        1.0 / 24.0,
        1.0 / 6.0,
        0.5,
        1.0,
        1.0,
    ];
    let clamped = if x > LOWEST { x } else { LOWEST };
    let rounded = clamped * std::f64::consts::LOG2_E + ROUNDER;
    let exponent = rounded - ROUNDER;
    let rest = (clamped - exponent * LN_2_HIGH) - exponent * LN_2_LOW;
    let mut value = 0.0;
    for coefficient in TAYLOR {
        value = value * rest + coefficient;
    }
    let bits = rounded.to_bits().wrapping_sub(ROUNDER.to_bits());
    let power = f64::from_bits(bits.wrapping_add(1023) << 52);
    if x > LOWEST { value * power } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `h = (i + 1) * 2654435761 & m; h ^= h >> 15; h = h * 2246822519 & m; h ^= h >> 13` with
    /// `m = 2**32 - 1`, then `(h >> 8) / 2**24`.
    fn uniform(index: usize) -> f32 {
        let mut hash = (index as u32 + 1).wrapping_mul(2_654_435_761);
        hash ^= hash >> 15;
        hash = hash.wrapping_mul(2_246_822_519);
        hash ^= hash >> 13;
        (hash >> 8) as f32 / 16_777_216.0
    }

    fn rows(count: usize, dims: usize, first: usize) -> Features {
        Features::new(dims, (first..first + count * dims).map(uniform).collect())
    }

    fn close(a: f64, b: f64) {
        assert!((a - b).abs() <= 1e-11 * b.abs().max(1.0), "{a} {b}");
    }

    #[test]
    fn numpys_likelihoods() {
        // a = -((x[:, None] - s[None])**2).sum(2) / (2 * sigma**2); m = a.max(1);
        // m + np.log(np.exp(a - m[:, None]).mean(1)) - 6 * np.log(sigma * np.sqrt(2 * np.pi)): first, last, mean.
        // The sizes go beyond a tile and a task.
        let (samples, points) = (rows(4200, 6, 0), rows(300, 6, 50_000));
        let result = log_likelihoods(&samples, &points, &[0.02, 0.1, 0.7]).unwrap();
        for (likelihoods, expected) in result.iter().zip([
            [-31.68717004664036, -28.040098322015936, -38.32717544223511],
            [
                0.13039283095211118,
                -0.06535655135437857,
                -0.7535945302941723,
            ],
            [-4.079582068866072, -4.128540762758868, -4.2948149096026835],
        ]) {
            assert_eq!(likelihoods.len(), 300);
            close(likelihoods[0], expected[0]);
            close(likelihoods[299], expected[1]);
            close(mean(likelihoods), expected[2]);
        }
    }

    #[test]
    fn the_width_is_validated() {
        let (samples, points) = (rows(4200, 6, 0), rows(300, 6, 50_000));
        let validation = rows(40, 6, 90_000);
        let result = parzen(&samples, &validation, &points, &default_sigmas()).unwrap();
        // np.argmax([ll(validation, samples, sigma).mean() for sigma in np.logspace(-1, 0, 10)]) is 0
        assert_eq!(result.sigma, 0.1);
        assert!(result.sigma_is_at_an_end());
        close(result.tried[0].1, -0.8402289356923985);
        close(result.tried[4].1, -1.672244815433266);
        close(result.tried[9].1, -6.002608773195246);
        close(result.mean, -0.7535945302941723);
        // ll.std() / np.sqrt(300)
        close(result.standard_error, 0.04785628113531257);
        let within = parzen(&samples, &validation, &points, &[0.02, 0.1, 0.7]).unwrap();
        assert_eq!((within.sigma, within.mean), (0.1, result.mean));
        assert!(!within.sigma_is_at_an_end());
    }

    #[test]
    fn the_default_widths_are_numpys() {
        // np.logspace(-1, 0, 10)
        let sigmas = default_sigmas();
        assert_eq!(sigmas.len(), 10);
        for (place, expected) in [
            (0, 0.1),
            (1, 0.1291549665014884),
            (5, 0.35938136638046275),
            (9, 1.0),
        ] {
            close(sigmas[place], expected);
        }
    }

    #[test]
    fn many_columns_are_added_up() {
        // More columns than one product takes, against direct sums.
        let dims = DEPTH + 52;
        let (samples, points) = (rows(3, dims, 0), rows(2, dims, 20_000));
        let sigma = 0.9;
        let result = log_likelihoods(&samples, &points, &[sigma]).unwrap();
        for (point, likelihood) in result[0].iter().enumerate() {
            let exponents: Vec<f64> = (0..3)
                .map(|sample| {
                    let pairs = points.row(point).iter().zip(samples.row(sample));
                    let squared: f64 = pairs
                        .map(|(x, s)| (f64::from(*x) - f64::from(*s)).powi(2))
                        .sum();
                    -squared / (2.0 * sigma * sigma)
                })
                .collect();
            let largest = exponents.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            let total: f64 = exponents.iter().map(|e| (e - largest).exp()).sum();
            let scale = dims as f64 * (sigma * std::f64::consts::TAU.sqrt()).ln();
            close(*likelihood, largest + (total / 3.0).ln() - scale);
        }
    }

    #[test]
    fn the_result_does_not_depend_on_the_threads() {
        let (samples, points) = (rows(9000, 3, 0), rows(600, 3, 50_000));
        let with = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads);
            pool.build()
                .unwrap()
                .install(|| log_likelihoods(&samples, &points, &[0.2]).unwrap())
        };
        assert_eq!(with(1), with(3));
    }

    #[test]
    fn far_points_stay_finite() {
        let samples = Features::new(1, vec![0.0, 1000.0]);
        let points = Features::new(1, vec![500.0, 1000.0]);
        let result = log_likelihoods(&samples, &points, &[0.1]).unwrap();
        // Both samples are 500 away, so the mean is one Gaussian: -500^2 / 0.02 - ln(0.1 sqrt(2 pi)).
        let scale = (0.1 * std::f64::consts::TAU.sqrt()).ln();
        close(result[0][0], -12_500_000.0 - scale);
        close(result[0][1], -std::f64::consts::LN_2 - scale);
    }

    #[test]
    fn the_exponential_is_the_standard_librarys() {
        let mut worst: f64 = 0.0;
        for step in 0..200_000 {
            let x = -f64::from(step) * 0.0035;
            if x > -700.0 {
                worst = worst.max((exponential(x) / x.exp() - 1.0).abs());
            }
        }
        assert!(worst < 5e-16, "{worst}");
        assert_eq!(exponential(0.0), 1.0);
        assert_eq!(exponential(-701.0), 0.0);
        assert_eq!(exponential(f64::NEG_INFINITY), 0.0);
    }

    #[test]
    fn wrong_inputs_are_named() {
        let rows = rows(3, 2, 0);
        let message = |samples: &Features, points: &Features, sigmas: &[f64]| {
            parzen(samples, points, &rows, sigmas)
                .unwrap_err()
                .to_string()
        };
        assert!(message(&rows, &rows, &[]).contains("width"));
        assert!(message(&rows, &rows, &[0.1, 0.0]).contains("positive"));
        let other = Features::new(3, vec![0.0; 3]);
        assert!(message(&rows, &other, &[0.1]).contains("2 values each and the data 3"));
        let empty = Features::new(2, Vec::new());
        assert!(message(&empty, &rows, &[0.1]).contains("no samples"));
        assert!(message(&rows, &empty, &[0.1]).contains("no data"));
        let broken = Features::new(2, vec![0.0, 0.0, f32::NAN, 0.0]);
        assert!(message(&broken, &rows, &[0.1]).contains("row 1 of the samples"));
    }
}
