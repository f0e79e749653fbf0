//! The training pictures nearest to generated ones, and what their distances say about copying.

use faer::Accum;
use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;

use crate::failure::{Kind, failure};
use crate::features::Features;
use crate::rows::{DEPTH, Gather, LANES, first_not_finite, inner_products};

/// Queries whose distances to a tile of training rows are one matrix product.
const QUERIES_AT_ONCE: usize = 256;
/// Training rows of a tile.
const ROWS_AT_ONCE: usize = 512;
/// Training rows of one task.
const ROWS_PER_TASK: usize = 8 * ROWS_AT_ONCE;

/// Ratio of the distances to the nearest and the second nearest training row below which Yoon et al.
/// 2023 and Gu et al. 2023 call a picture a replica.
const REPLICA_RATIO: f64 = 1.0 / 3.0;

/// A training row and how far away it is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Neighbour {
    /// Which row.
    pub index: usize,
    /// Euclidean distance, in the features' own unit.
    pub distance: f64,
}

/// The two nearest training rows of one query.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Neighbours {
    /// The nearest row; of equally near ones the lowest index.
    pub nearest: Neighbour,
    /// The nearest of all others, by the same rule; none if there is no other.
    pub second: Option<Neighbour>,
}

/// The two nearest training rows of each sample, by Euclidean distance.
///
/// Exact: distances are sums of squared differences in float64. Products of float32 only rule out rows
/// that are farther by more than the products' own largest error. Memory is a few tiles for each
/// thread, whatever the number of rows.
///
/// # Shapes
/// - `samples`: `[n, dims]`, `training`: `[m, dims]`: pixels, or a network's features
///
/// # Errors
/// `Data` for no training rows, different `dims`, or a value that is not finite.
pub fn nearest(samples: &Features, training: &Features) -> anyhow::Result<Vec<Neighbours>> {
    check(samples, training)?;
    let queries: Vec<Query<'_>> = (0..samples.rows())
        .map(|index| Query {
            row: samples.row(index),
            excluded: None,
        })
        .collect();
    Ok(search(&queries, training))
}

/// The two nearest other training rows of some training rows.
///
/// Another row with the same content is a neighbour at distance 0.
///
/// # Errors
/// `Data` for fewer than 2 training rows, or a value that is not finite.
///
/// # Panics
/// If one of `rows` is not a training row.
pub fn nearest_other(training: &Features, rows: &[usize]) -> anyhow::Result<Vec<Neighbours>> {
    check_finite(training, "training")?;
    if training.rows() < 2 {
        return Err(failure(
            Kind::Data,
            "a single training picture has no other one beside it: give at least 2",
        ));
    }
    let queries: Vec<Query<'_>> = rows
        .iter()
        .map(|&index| Query {
            row: training.row(index),
            excluded: Some(index),
        })
        .collect();
    Ok(search(&queries, training))
}

/// How near one generated picture is to the training pictures.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Closeness {
    /// The nearest training row.
    pub nearest: Neighbour,
    /// The second nearest training row.
    pub second: Neighbour,
    /// The other training row that is nearest to [`Closeness::nearest`].
    pub beside: Neighbour,
}

impl Closeness {
    /// Distance to the nearest training row over that row's distance to its own nearest other one.
    ///
    /// Below 1 the picture is nearer to a training picture than any other training picture is. 0 for
    /// an exact copy (even of a training row that is there twice), and infinite beside such a pair.
    pub fn ratio(&self) -> f64 {
        ratio(self.nearest.distance, self.beside.distance)
    }

    /// Alaa et al.'s test: the picture is farther from its nearest training row than that row is from
    /// its own nearest other one. Not for equal distances.
    pub fn is_authentic(&self) -> bool {
        self.nearest.distance > self.beside.distance
    }

    /// Yoon et al.'s test: less than a third as far from the nearest training row as from the second
    /// nearest. An exact copy is a replica even if the training row is there twice.
    pub fn is_replica(&self) -> bool {
        ratio(self.nearest.distance, self.second.distance) < REPLICA_RATIO
    }
}

fn ratio(distance: f64, reference: f64) -> f64 {
    if distance == 0.0 {
        0.0
    } else {
        distance / reference
    }
}

/// What the distances of many generated pictures say together.
#[derive(Debug, Clone, PartialEq)]
pub struct Memorisation {
    /// Share of pictures that pass [`Closeness::is_authentic`]: the authenticity of Alaa et al. 2022
    /// ("How faithful is your synthetic data? Sample-level metrics for evaluating and auditing
    /// generative models", on authenticity), `AuthPct` / 100 in `dgm-eval`. 0 for copies. What new
    /// pictures of the same distribution reach grows with the dimensions (normal ones: 0.47 in 3, 0.81
    /// in 64, 0.9 in 512, with 2000 training rows): compare with that of held-out real pictures.
    ///
    /// Alaa et al.'s published code searches from the training rows instead, and so counts other pairs
    /// than the paper defines.
    pub authenticity: f64,
    /// Share of pictures that are replicas by [`Closeness::is_replica`], the test of Yoon et al. 2023
    /// ("Diffusion probabilistic models generalize when they fail to memorize") and Gu et al. 2023
    /// ("On memorization in diffusion models").
    pub replicas: f64,
    /// Median of [`Closeness::ratio`]; of an even number the mean of the two in the middle.
    pub median_ratio: f64,
    /// The threshold of [`Memorisation::copies`].
    pub threshold: f64,
    /// Share of pictures whose ratio is below the threshold.
    pub copies: f64,
    /// Each picture's own distances.
    pub pictures: Vec<Closeness>,
}

/// The default of [`memorisation`]'s threshold: half as far from a training picture as its nearest
/// neighbour is. A convention of this crate; the published tests are `authenticity` and `replicas`.
pub const DEFAULT_THRESHOLD: f64 = 0.5;

/// Whether a generator copies its training pictures: their distances, against those among the training
/// pictures themselves.
///
/// # Shapes
/// - `fakes`: `[n, dims]`, `training`: `[m, dims]`: pixels find exact copies, a network's features also
///   shifted or recoloured ones
///
/// # Errors
/// `Usage` for a threshold that is not positive; `Data` for no fakes, fewer than 2 training rows,
/// different `dims` or a value that is not finite.
pub fn memorisation(
    fakes: &Features,
    training: &Features,
    threshold: f64,
) -> anyhow::Result<Memorisation> {
    if !(threshold > 0.0 && threshold.is_finite()) {
        return Err(failure(
            Kind::Usage,
            format!("a copy threshold of {threshold} makes no sense: give a ratio such as 0.5"),
        ));
    }
    if fakes.rows() == 0 {
        return Err(failure(
            Kind::Data,
            "no generated pictures: give at least one",
        ));
    }
    let found = nearest(fakes, training)?;
    let mut rows: Vec<usize> = found.iter().map(|found| found.nearest.index).collect();
    rows.sort_unstable();
    rows.dedup();
    let others = nearest_other(training, &rows)?;
    let pictures: Vec<Closeness> = found
        .iter()
        .filter_map(|found| {
            let place = rows.binary_search(&found.nearest.index).ok()?;
            Some(Closeness {
                nearest: found.nearest,
                second: found.second?,
                beside: others[place].nearest,
            })
        })
        .collect();
    let share = |test: &dyn Fn(&Closeness) -> bool| {
        pictures.iter().filter(|picture| test(picture)).count() as f64 / pictures.len() as f64
    };
    let mut ratios: Vec<f64> = pictures.iter().map(Closeness::ratio).collect();
    ratios.sort_unstable_by(f64::total_cmp);
    let middle = ratios.len() / 2;
    let median_ratio = if ratios.len().is_multiple_of(2) {
        0.5 * (ratios[middle - 1] + ratios[middle])
    } else {
        ratios[middle]
    };
    Ok(Memorisation {
        authenticity: share(&Closeness::is_authentic),
        replicas: share(&Closeness::is_replica),
        median_ratio,
        threshold,
        copies: share(&|picture| picture.ratio() < threshold),
        pictures,
    })
}

fn check(samples: &Features, training: &Features) -> anyhow::Result<()> {
    if training.rows() == 0 {
        return Err(failure(
            Kind::Data,
            "no training pictures: give at least one",
        ));
    }
    if samples.dims() != training.dims() {
        return Err(failure(
            Kind::Data,
            format!(
                "the generated pictures have {} values each and the training pictures {}: \
                 bring them to one size",
                samples.dims(),
                training.dims()
            ),
        ));
    }
    check_finite(samples, "generated")?;
    check_finite(training, "training")
}

fn check_finite(pictures: &Features, name: &str) -> anyhow::Result<()> {
    match first_not_finite(pictures) {
        None => Ok(()),
        Some((row, column)) => Err(failure(
            Kind::Data,
            format!(
                "row {row} of the {name} pictures holds {}: it is damaged, or its maker diverged",
                pictures.row(row)[column]
            ),
        )),
    }
}

/// A row to search for, and the training row that it must not find.
struct Query<'a> {
    row: &'a [f32],
    excluded: Option<usize>,
}

/// The two smallest squared distances found so far, each with its training row.
#[derive(Debug, Clone, Copy)]
struct Best {
    pairs: [(f64, usize); 2],
}

impl Best {
    const NONE: Self = Self {
        pairs: [(f64::INFINITY, usize::MAX); 2],
    };

    #[inline(always)]
    fn offer(&mut self, squared: f64, index: usize) {
        let candidate = (squared, index);
        if candidate < self.pairs[0] {
            self.pairs = [candidate, self.pairs[0]];
        } else if candidate < self.pairs[1] {
            self.pairs[1] = candidate;
        }
    }

    fn neighbours(&self) -> Neighbours {
        let [nearest, second] = self.pairs.map(|(squared, index)| Neighbour {
            index,
            distance: squared.sqrt(),
        });
        Neighbours {
            nearest,
            second: (second.index != usize::MAX).then_some(second),
        }
    }
}

fn search(queries: &[Query<'_>], training: &Features) -> Vec<Neighbours> {
    let training = Training::of(training);
    let parts = training.rows.rows().div_ceil(ROWS_PER_TASK);
    let blocks: Vec<&[Query<'_>]> = queries.chunks(QUERIES_AT_ONCE).collect();
    let tasks: Vec<Vec<Best>> = (0..blocks.len() * parts)
        .into_par_iter()
        .map(|task| search_part(blocks[task / parts], &training, task % parts))
        .collect();
    let mut found = Vec::with_capacity(queries.len());
    for parts in tasks.chunks_exact(parts) {
        for query in 0..parts[0].len() {
            let mut best = Best::NONE;
            for part in parts {
                for (squared, index) in part[query].pairs {
                    best.offer(squared, index);
                }
            }
            found.push(best.neighbours());
        }
    }
    found
}

/// The training rows with what every task needs of them.
struct Training<'a> {
    rows: &'a Features,
    /// Their mean: with it taken away, what all rows share does not drown the distances' digits.
    centre: Vec<f32>,
    /// The length of each row without the centre.
    lengths: Vec<f64>,
}

impl<'a> Training<'a> {
    fn of(rows: &'a Features) -> Self {
        let dims = rows.dims();
        let parts: Vec<Vec<f64>> = rows
            .values()
            .par_chunks(ROWS_PER_TASK * dims)
            .map(|rows| Arch::new().dispatch(SumOfRows { rows, dims }))
            .collect();
        let mut sums = vec![0.0; dims];
        for part in parts {
            for (sum, value) in sums.iter_mut().zip(part) {
                *sum += value;
            }
        }
        let count = rows.rows() as f64;
        let centre: Vec<f32> = sums.iter().map(|sum| (sum / count) as f32).collect();
        let centre_row = &centre;
        let length = |row| {
            Arch::new().dispatch(CentredLength {
                row,
                centre: centre_row,
            })
        };
        let lengths = rows.values().par_chunks(dims).map(length).collect();
        Self {
            rows,
            centre,
            lengths,
        }
    }
}

/// The sum of some rows.
struct SumOfRows<'a> {
    rows: &'a [f32],
    dims: usize,
}

impl WithSimd for SumOfRows<'_> {
    type Output = Vec<f64>;

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) -> Vec<f64> {
        let mut sums = vec![0.0; self.dims];
        for row in self.rows.chunks_exact(self.dims) {
            for (sum, value) in sums.iter_mut().zip(row) {
                *sum += f64::from(*value);
            }
        }
        sums
    }
}

/// The length of a row without the centre, which is taken away in float32 as in the products.
struct CentredLength<'a> {
    row: &'a [f32],
    centre: &'a [f32],
}

impl WithSimd for CentredLength<'_> {
    type Output = f64;

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) -> f64 {
        squared_distance(self.row, self.centre, |a, b| f64::from(a - b)).sqrt()
    }
}

/// How large the error of `|x|^2 + |s|^2 - 2 x.s` can be, in units of `(|x| + |s|)^2`, for rows without
/// the centre in float32 and products of at most [`DEPTH`] columns, added up in float64.
///
/// A float32 inner product of `n` terms is off by at most `n u |x| |s|` with `u = 2^-24`, in whatever
/// order it is summed (Higham 2002, "Accuracy and stability of numerical algorithms", section 3.1), and
/// `|x| |s|` is at most a quarter of the unit; taking the centre away moves the distance by at most
/// `2 u` units. A tenth more covers the terms of second order and the float64 sums.
fn largest_error(dims: usize) -> f64 {
    let roundoff = f64::from(f32::EPSILON) / 2.0;
    let products = dims.min(DEPTH) as f64 * roundoff;
    1.1 * (0.5 * products + 2.0 * roundoff)
}

fn search_part(queries: &[Query<'_>], training: &Training<'_>, part: usize) -> Vec<Best> {
    let dims = training.rows.dims();
    let query_rows: Vec<&[f32]> = queries.iter().map(|query| query.row).collect();
    let centre = &training.centre;
    let length = |row: &&[f32]| Arch::new().dispatch(CentredLength { row, centre });
    let query_lengths: Vec<f64> = query_rows.iter().map(length).collect();
    let mut best = vec![Best::NONE; queries.len()];
    let mut products = Products::default();
    let start = part * ROWS_PER_TASK;
    let end = (start + ROWS_PER_TASK).min(training.rows.rows());
    for first in (start..end).step_by(ROWS_AT_ONCE) {
        let last = (first + ROWS_AT_ONCE).min(end);
        let rows = &training.rows.values()[first * dims..last * dims];
        products.multiply(&query_rows, rows, centre);
        Arch::new().dispatch(Comparison {
            queries,
            query_lengths: &query_lengths,
            rows,
            row_lengths: &training.lengths[first..last],
            first,
            products: &products.sums,
            best: &mut best,
        });
    }
    best
}

/// Inner products of queries and training rows without the centre.
#[derive(Default)]
struct Products {
    query_values: Vec<f32>,
    row_values: Vec<f32>,
    /// Products of at most [`DEPTH`] columns.
    some: Vec<f32>,
    /// Their sums over all columns.
    sums: Vec<f64>,
}

impl Products {
    fn multiply(&mut self, queries: &[&[f32]], rows: &[f32], centre: &[f32]) {
        let dims = centre.len();
        let rows: Vec<&[f32]> = rows.chunks_exact(dims).collect();
        let count = queries.len() * rows.len();
        self.some.resize(count, 0.0);
        self.sums.clear();
        self.sums.resize(count, 0.0);
        for first in (0..dims).step_by(DEPTH) {
            let columns = first..(first + DEPTH).min(dims);
            let depth = columns.len();
            let centre = &centre[columns.clone()];
            for (rows, gathered) in [
                (queries, &mut self.query_values),
                (&rows, &mut self.row_values),
            ] {
                Arch::new().dispatch(Gather {
                    rows,
                    columns: columns.clone(),
                    change: |from: &[f32], to: &mut [f32]| {
                        for ((to, from), centre) in to.iter_mut().zip(from).zip(centre) {
                            *to = from - centre;
                        }
                    },
                    gathered,
                });
            }
            let (queries, rows) = (&self.query_values, &self.row_values);
            inner_products(queries, rows, depth, Accum::Replace, &mut self.some);
            for (sum, some) in self.sums.iter_mut().zip(&self.some) {
                *sum += f64::from(*some);
            }
        }
    }
}

/// Looks for nearer rows in one tile.
struct Comparison<'a> {
    queries: &'a [Query<'a>],
    query_lengths: &'a [f64],
    /// The training rows as they were given.
    rows: &'a [f32],
    row_lengths: &'a [f64],
    /// Index of the first of them.
    first: usize,
    products: &'a [f64],
    best: &'a mut [Best],
}

impl WithSimd for Comparison<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let row_lengths = self.row_lengths;
        let mut bounds = vec![0.0; row_lengths.len()];
        let mut candidates: Vec<(f64, usize)> = Vec::new();
        let products = self.products.chunks_exact(row_lengths.len());
        let queries = self.queries.iter().zip(self.query_lengths);
        for (((query, length), products), best) in queries.zip(products).zip(self.best) {
            let dims = query.row.len();
            let error = largest_error(dims);
            // Products below the smallest float32 may have become zero.
            let underflow = 4.0 * dims as f64 * f64::from(f32::MIN_POSITIVE);
            for ((bound, row_length), product) in bounds.iter_mut().zip(row_lengths).zip(products) {
                let reach = length + row_length;
                let squared = length * length + row_length * row_length - 2.0 * product;
                let lower = squared - error * (reach * reach) - underflow;
                // Where float32 overflowed nothing is known.
                *bound = if product.abs() < f64::INFINITY {
                    lower
                } else {
                    f64::NEG_INFINITY
                };
            }
            if let Some(excluded) = query.excluded.and_then(|row| row.checked_sub(self.first))
                && let Some(bound) = bounds.get_mut(excluded)
            {
                *bound = f64::NAN;
            }
            candidates.clear();
            for (row, bound) in bounds.iter().enumerate() {
                if *bound <= best.pairs[1].0 {
                    candidates.push((*bound, row));
                }
            }
            if candidates.len() > 2 {
                // The likeliest two first: after them few others are still near enough.
                candidates.select_nth_unstable_by(1, |a, b| a.0.total_cmp(&b.0));
            }
            for &(bound, row) in &candidates {
                if bound > best.pairs[1].0 {
                    continue;
                }
                let values = &self.rows[row * dims..(row + 1) * dims];
                best.offer(
                    squared_distance(query.row, values, exact_difference),
                    self.first + row,
                );
            }
        }
    }
}

/// The sum of squared differences in float64, in an order that no processor changes.
#[inline(always)]
fn squared_distance(a: &[f32], b: &[f32], difference: impl Fn(f32, f32) -> f64) -> f64 {
    let (chunks, rest) = a.as_chunks::<LANES>();
    let (other_chunks, other_rest) = b.as_chunks::<LANES>();
    let mut lanes = [0.0; LANES];
    for (chunk, other) in chunks.iter().zip(other_chunks) {
        for ((lane, a), b) in lanes.iter_mut().zip(chunk).zip(other) {
            let difference = difference(*a, *b);
            *lane += difference * difference;
        }
    }
    let mut total = lanes.iter().sum::<f64>();
    for (a, b) in rest.iter().zip(other_rest) {
        let difference = difference(*a, *b);
        total += difference * difference;
    }
    total
}

/// The difference without rounding to float32.
#[inline(always)]
fn exact_difference(a: f32, b: f32) -> f64 {
    f64::from(a) - f64::from(b)
}

#[cfg(test)]
mod tests {
    use super::*;

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

    fn line(values: &[f32]) -> Features {
        Features::new(1, values.to_vec())
    }

    /// Every distance, in the plainest way.
    fn brute(query: &[f32], training: &Features, excluded: Option<usize>) -> Vec<(f64, usize)> {
        let mut pairs: Vec<(f64, usize)> = (0..training.rows())
            .filter(|row| Some(*row) != excluded)
            .map(|row| {
                (
                    squared_distance(query, training.row(row), exact_difference),
                    row,
                )
            })
            .collect();
        pairs.sort_by(|a, b| a.partial_cmp(b).unwrap());
        pairs
    }

    fn check_against_brute(samples: &Features, training: &Features) {
        for (index, found) in nearest(samples, training).unwrap().iter().enumerate() {
            let pairs = brute(samples.row(index), training, None);
            assert_eq!(
                (found.nearest.distance, found.nearest.index),
                (pairs[0].0.sqrt(), pairs[0].1)
            );
            let second = found.second.unwrap();
            assert_eq!(
                (second.distance, second.index),
                (pairs[1].0.sqrt(), pairs[1].1)
            );
        }
    }

    #[test]
    fn the_plain_search_finds_the_same() {
        // Beyond one tile, one task and one block of queries.
        check_against_brute(&rows(300, 5, 0), &rows(4700, 5, 10_000));
        // Beyond the columns of one product.
        check_against_brute(&rows(7, DEPTH + 40, 0), &rows(30, DEPTH + 40, 100_000));
    }

    #[test]
    fn distances_far_below_float32s_digits_are_told_apart() {
        // Two clusters at +-1000 whose members differ by 2^-14 steps, which |x|^2 in float32 cannot see.
        let value = |index: usize| {
            let side = if (index / 3).is_multiple_of(2) {
                1000.0
            } else {
                -1000.0
            };
            side + (uniform(index) * 64.0).floor() / 16_384.0
        };
        let training = Features::new(3, (0..3 * 600).map(value).collect());
        let samples = Features::new(3, (9000..9000 + 3 * 40).map(value).collect());
        check_against_brute(&samples, &training);
    }

    #[test]
    fn products_that_overflow_rule_nothing_out() {
        let training = line(&[3e38, -3e38, 2e38, 1.0]);
        let found = nearest(&line(&[2.4e38, 0.0, 2.6e38]), &training).unwrap();
        let indices: Vec<usize> = found.iter().map(|found| found.nearest.index).collect();
        assert_eq!(indices, [2, 3, 0]);
        let tiny = line(&[1e-30, 3e-30, 4e-30]);
        let found = nearest(&line(&[2.9e-30]), &tiny).unwrap();
        assert_eq!(found[0].nearest.index, 1);
        assert_eq!(found[0].second.unwrap().index, 2);
    }

    #[test]
    fn equally_near_rows_go_by_their_index() {
        let mut values = vec![5.0; 5000];
        values[4100] = 1.0;
        values[700] = 1.0;
        values[300] = -1.0;
        let found = nearest(&line(&[0.0, 5.0]), &line(&values)).unwrap();
        let indices = |found: &Neighbours| (found.nearest.index, found.second.unwrap().index);
        assert_eq!(indices(&found[0]), (300, 700));
        assert_eq!(indices(&found[1]), (0, 1));
    }

    #[test]
    fn a_row_is_not_its_own_neighbour() {
        let training = rows(900, 4, 0);
        let chosen = [0, 511, 512, 899];
        let found = nearest_other(&training, &chosen).unwrap();
        for (row, found) in chosen.into_iter().zip(found) {
            let pairs = brute(training.row(row), &training, Some(row));
            assert_eq!(found.nearest.index, pairs[0].1);
            assert_eq!(found.second.unwrap().index, pairs[1].1);
        }
        let twins = nearest_other(&line(&[2.0, 2.0]), &[0, 1]).unwrap();
        assert_eq!(
            (twins[0].nearest.index, twins[0].nearest.distance),
            (1, 0.0)
        );
        assert_eq!((twins[1].nearest.index, twins[1].second), (0, None));
    }

    #[test]
    fn memorisation_on_a_line() {
        // Nearest, its distance / that row's distance to its own nearest other one, second nearest:
        // 0: row 0, 0 / 1. 0.125: row 0, 0.125 / 1, second 0.875. 2: row 1 (tied with row 2), 1 / 1.
        // 5.5: row 3, 1.5 / 4, second 2.5. 20: row 3, 13 / 4, second 17.
        let training = line(&[0.0, 1.0, 3.0, 7.0]);
        let fakes = line(&[0.0, 0.125, 2.0, 5.5, 20.0]);
        let result = memorisation(&fakes, &training, DEFAULT_THRESHOLD).unwrap();
        let ratios: Vec<f64> = result.pictures.iter().map(Closeness::ratio).collect();
        assert_eq!(ratios, [0.0, 0.125, 1.0, 0.375, 3.25]);
        assert_eq!(result.median_ratio, 0.375);
        assert_eq!(result.copies, 3.0 / 5.0);
        assert_eq!(result.authenticity, 1.0 / 5.0);
        assert_eq!(result.replicas, 2.0 / 5.0);
        let fewer = memorisation(&line(&[0.0, 20.0]), &training, 0.25).unwrap();
        assert_eq!((fewer.median_ratio, fewer.copies), (1.625, 0.5));
    }

    #[test]
    fn copies_are_seen_even_of_rows_that_are_there_twice() {
        let training = line(&[0.0, 4.0, 4.0, 9.0]);
        let result = memorisation(&line(&[4.0, 4.5]), &training, 0.5).unwrap();
        let [copy, beside] = [result.pictures[0], result.pictures[1]];
        assert!(copy.ratio() == 0.0 && copy.is_replica() && !copy.is_authentic());
        assert!(beside.ratio() == f64::INFINITY && !beside.is_replica() && beside.is_authentic());
        let all = memorisation(&training, &training, 0.5).unwrap();
        assert_eq!(
            (all.copies, all.replicas, all.authenticity),
            (1.0, 1.0, 0.0)
        );
    }

    #[test]
    fn new_draws_in_few_dimensions_are_about_as_often_authentic_as_not() {
        let result = memorisation(&rows(400, 3, 0), &rows(1500, 3, 40_000), 0.5).unwrap();
        assert!(
            (result.authenticity - 0.5).abs() < 0.1,
            "{}",
            result.authenticity
        );
    }

    #[test]
    fn wrong_inputs_are_named() {
        let pair = line(&[0.0, 1.0]);
        let message = |fakes: &Features, training: &Features, threshold| {
            let result = memorisation(fakes, training, threshold);
            result.unwrap_err().to_string()
        };
        assert!(message(&pair, &line(&[1.0]), 0.5).contains("at least 2"));
        assert!(message(&pair, &line(&[]), 0.5).contains("no training"));
        assert!(message(&line(&[]), &pair, 0.5).contains("no generated"));
        assert!(message(&pair, &pair, 0.0).contains("threshold"));
        assert!(message(&pair, &Features::new(2, vec![0.0; 4]), 0.5).contains("1 values each"));
        assert!(message(&line(&[f32::NAN]), &pair, 0.5).contains("row 0 of the generated"));
    }
}
