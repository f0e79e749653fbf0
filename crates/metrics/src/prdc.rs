//! How far two sets of features cover each other: precision and recall (Kynkäänniemi et al. 2019,
//! "Improved Precision and Recall Metric for Assessing Generative Models", section 2), density and
//! coverage (Naeem et al. 2020, "Reliable Fidelity and Diversity Metrics for Generative Models",
//! section 3).
//!
//! Every comparison of two distances comes out as in float64. Products of tiles in float32 give bounds
//! of each distance first; what they leave open is decided by products in float64, and what those leave
//! open by the sum of squared differences.

use faer::linalg::matmul::matmul;
use faer::{Accum, MatMut, MatRef, Par};
use pulp::{Arch, NullaryFnOnce};
use rayon::prelude::*;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::failure::{Kind, failure};
use crate::features::Features;

/// Which neighbour's distance is the radius of a picture's ball.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// For precision and recall: 3 in Kynkäänniemi et al. and torch-fidelity 0.4.0.
    pub neighbours: usize,
    /// For density and coverage: 5 in Naeem et al.
    pub density_neighbours: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            neighbours: 3,
            density_neighbours: 5,
        }
    }
}

/// The four shares and their summary. All but the density lie in 0..=1.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Coverage {
    /// Share of the fake pictures that lie in a ball of a real one, its surface included.
    pub precision: f64,
    /// Share of the real pictures that lie in a ball of a fake one, its surface included.
    pub recall: f64,
    /// 2 `precision` `recall` / max(1e-5, `precision` + `recall`), as torch-fidelity 0.4.0.
    pub f_score: f64,
    /// In how many balls of real pictures, without their surface, a fake one lies on average, divided by
    /// the number of neighbours. May exceed 1.
    pub density: f64,
    /// Share of the real pictures in whose ball, without its surface, a fake one lies.
    pub coverage: f64,
}

/// Precision, recall, density and coverage of `fake` with respect to `real`.
///
/// The radius of a picture's ball is the distance to its `neighbours`-th nearest other picture of the
/// same set. Memory beyond the features: some hundred bytes a picture, and a few tiles for each thread.
/// Sets whose pictures are nearly all alike take up to four times as long, for float32 cannot tell their
/// distances apart.
///
/// # Errors
/// [`Kind::Data`] for sets of different numbers of features, of no more pictures than neighbours, or with
/// numbers that are not finite or beyond 1e17; [`Kind::Usage`] for no neighbours.
pub fn coverage(real: &Features, fake: &Features, settings: Settings) -> anyhow::Result<Coverage> {
    check(real, fake, settings)?;
    let real = Set::of(real);
    let fake = Set::of(fake);
    let furthest = settings.neighbours.max(settings.density_neighbours);
    let real_nearest = real.nearest(furthest);
    let fake_nearest = fake.nearest(settings.neighbours);
    let radii = |nearest: &[Vec<f64>], neighbours: usize| {
        nearest
            .iter()
            .map(|nearest| nearest[neighbours - 1])
            .collect()
    };
    let inside = count_inside(
        &real,
        &fake,
        &Radii {
            real: radii(&real_nearest, settings.neighbours),
            real_density: radii(&real_nearest, settings.density_neighbours),
            fake: radii(&fake_nearest, settings.neighbours),
        },
    );
    let share = |count: usize, of: usize| count as f64 / of as f64;
    let precision = share(inside.fake_covered, fake.rows());
    let recall = share(inside.real_covered, real.rows());
    Ok(Coverage {
        precision,
        recall,
        f_score: 2.0 * precision * recall / (precision + recall).max(1e-5),
        density: share(inside.pairs, settings.density_neighbours * fake.rows()),
        coverage: share(inside.real_balls_met, real.rows()),
    })
}

fn check(real: &Features, fake: &Features, settings: Settings) -> anyhow::Result<()> {
    let furthest = settings.neighbours.max(settings.density_neighbours);
    if settings.neighbours.min(settings.density_neighbours) == 0 {
        return Err(failure(
            Kind::Usage,
            "the number of neighbours must be at least 1",
        ));
    }
    if real.dims() != fake.dims() {
        return Err(failure(
            Kind::Data,
            format!(
                "the real set has {} features a picture and the fake set {}; \
                 take both from the same layer of the same network",
                real.dims(),
                fake.dims()
            ),
        ));
    }
    for (features, needed, name) in [
        (real, furthest, "real"),
        (fake, settings.neighbours, "fake"),
    ] {
        if features.rows() <= needed {
            return Err(failure(
                Kind::Data,
                format!(
                    "the {name} set has {} pictures; the distance to neighbour {needed} needs at least {}",
                    features.rows(),
                    needed + 1
                ),
            ));
        }
        let usable = |value: &f32| value.abs() <= LARGEST_FEATURE;
        if let Some(index) = features.values().iter().position(|value| !usable(value)) {
            return Err(failure(
                Kind::Data,
                format!(
                    "the {name} set: row {} of the features holds {}, which is no number to take distances of; \
                     extract the features again",
                    index / features.dims(),
                    features.values()[index]
                ),
            ));
        }
    }
    Ok(())
}

/// Beyond this, squares of up to a million features would leave float32.
const LARGEST_FEATURE: f32 = 1e15;

/// Side of the tiles of the matrices of distances.
const SIDE: usize = 512;

/// Neighbours that are kept beyond those wanted, for bounds that overlap.
const SPARE: usize = 8;

/// Below this, products in float32 lose digits; bounds are widened by it.
const UNDERFLOW: f64 = 1e-36;

/// Products of fewer terms than this are summed at once; their sums are then added.
const DEPTH: usize = 512;

/// How far products in some precision, of unit roundoff `unit`, may be from exact ones: as a share of the
/// sum of the two rows' squared norms. A product of n terms is off by at most n u / (1 - n u) times half
/// that sum (Higham 2002, "Accuracy and Stability of Numerical Algorithms", section 3.1); a few u more
/// go to the other sums.
fn error_share(dims: usize, unit: f64) -> f64 {
    (dims.min(DEPTH) + dims.div_ceil(DEPTH) + 16) as f64 * unit
}

const UNIT_FLOAT32: f64 = f32::EPSILON as f64 / 2.0;
const UNIT_FLOAT64: f64 = f64::EPSILON / 2.0;

/// A lower and an upper bound of the square of a distance.
#[derive(Debug, Clone, Copy)]
struct Bounds {
    low: f64,
    high: f64,
}

/// A set of features with what the bounds of its distances need.
struct Set<'a> {
    features: &'a Features,
    /// Squared norms.
    norms: Vec<f64>,
    /// With p the product of two rows in float32, `low[i] + low[j] - 2 p`, in float32, is never above the
    /// square of their distance, nor below it by more than twice [`Set::slack`] of both.
    low: Vec<f32>,
}

impl<'a> Set<'a> {
    fn of(features: &'a Features) -> Self {
        let mut set = Self {
            features,
            norms: features
                .values()
                .par_chunks_exact(features.dims())
                .map(|row| Arch::new().dispatch(SquaredNorm { row }))
                .collect(),
            low: Vec::new(),
        };
        set.low = (0..set.rows())
            .map(|row| (set.norms[row] - set.slack(row)) as f32)
            .collect();
        set
    }

    fn slack(&self, row: usize) -> f64 {
        error_share(self.features.dims(), UNIT_FLOAT32) * self.norms[row] + UNDERFLOW
    }

    fn rows(&self) -> usize {
        self.features.rows()
    }

    fn blocks(&self) -> usize {
        self.rows().div_ceil(SIDE)
    }

    fn block(&self, index: usize) -> Block<'_> {
        let start = index * SIDE;
        let end = self.rows().min(start + SIDE);
        let dims = self.features.dims();
        Block {
            start,
            values: &self.features.values()[start * dims..end * dims],
            dims,
            low: &self.low[start..end],
        }
    }

    /// Bounds from the lower one that float32 gave.
    fn bounds(&self, row: usize, other: &Set<'_>, other_row: usize, low: f32) -> Bounds {
        let low = f64::from(low);
        let slack = self.slack(row) + other.slack(other_row);
        Bounds {
            low,
            high: low + 2.01 * slack,
        }
    }

    /// Bounds from a product in float64.
    fn close_bounds(&self, row: usize, other: &Set<'_>, other_row: usize, product: f64) -> Bounds {
        let norms = self.norms[row] + other.norms[other_row];
        let error = 2.0 * error_share(self.features.dims(), UNIT_FLOAT64) * norms;
        let square = norms - 2.0 * product;
        Bounds {
            low: square - error,
            high: square + error,
        }
    }

    /// The square of a distance in float64.
    fn exact(&self, row: usize, other: &Set<'_>, other_row: usize) -> f64 {
        Arch::new().dispatch(SquaredDistance {
            left: self.features.row(row),
            right: other.features.row(other_row),
        })
    }

    /// The squares of every row's distances to its nearest other rows, `wanted` of them in ascending
    /// order.
    fn nearest(&self, wanted: usize) -> Vec<Vec<f64>> {
        let kept = (wanted + SPARE).min(self.rows() - 1);
        let mut nearest = self.nearest_by_float32(wanted, kept);
        let open: Vec<usize> = (0..self.rows())
            .filter(|row| nearest[*row].is_none())
            .collect();
        let closed: Vec<Vec<f64>> = open
            .par_chunks(OPEN_SIDE)
            .flat_map_iter(|rows| self.nearest_by_float64(rows, wanted, kept))
            .collect();
        for (row, closed) in open.into_iter().zip(closed) {
            nearest[row] = Some(closed);
        }
        nearest.into_iter().flatten().collect()
    }

    fn nearest_by_float32(&self, wanted: usize, kept: usize) -> Vec<Option<Vec<f64>>> {
        let blocks: Vec<Mutex<Candidates<f32>>> = (0..self.blocks())
            .map(|block| Mutex::new(Candidates::new(self.block(block).low.len(), kept)))
            .collect();
        let tiles: Vec<(usize, usize)> = (0..self.blocks())
            .flat_map(|rows| (0..=rows).map(move |columns| (rows, columns)))
            .collect();
        tiles
            .par_iter()
            .for_each_init(Vec::new, |products, (rows, columns)| {
                let (rows_of, columns_of) = (self.block(*rows), self.block(*columns));
                rows_of.multiply(&columns_of, products);
                // Always in ascending order, so that no two tasks wait for each other.
                let of_columns = (rows != columns).then(|| held(&blocks[*columns]));
                Arch::new().dispatch(Scan {
                    products,
                    row_low: rows_of.low,
                    column_low: columns_of.low,
                    visitor: Neighbours {
                        row_start: rows_of.start,
                        column_start: columns_of.start,
                        of_rows: held(&blocks[*rows]),
                        of_columns,
                    },
                });
            });
        blocks
            .into_par_iter()
            .enumerate()
            .flat_map(|(block, candidates)| {
                let candidates = candidates
                    .into_inner()
                    .unwrap_or_else(PoisonError::into_inner);
                (0..candidates.limits.len())
                    .into_par_iter()
                    .map(move |place| {
                        let row = block * SIDE + place;
                        self.nearest_among(row, wanted, candidates.of(place), |candidate| {
                            self.bounds(row, self, candidate.row as usize, candidate.low)
                        })
                    })
            })
            .collect()
    }

    fn nearest_by_float64(&self, rows: &[usize], wanted: usize, kept: usize) -> Vec<Vec<f64>> {
        let dims = self.features.dims();
        let mut gathered = Vec::with_capacity(rows.len() * dims);
        for row in rows {
            gathered.extend_from_slice(self.features.row(*row));
        }
        let left = wide(&gathered);
        let mut products = Vec::new();
        let mut candidates = Candidates::new(rows.len(), kept);
        for block in 0..self.blocks() {
            let columns = self.block(block);
            multiply_wide(&left, &wide(columns.values), dims, &mut products);
            for (column, products) in (columns.start..).zip(products.chunks_exact(rows.len())) {
                for ((place, row), product) in rows.iter().enumerate().zip(products) {
                    let low = self.close_bounds(*row, self, column, *product).low;
                    if low <= candidates.limits[place] && *row != column {
                        candidates.offer(
                            place,
                            Candidate {
                                low,
                                row: column as u32,
                            },
                        );
                    }
                }
            }
        }
        rows.iter()
            .enumerate()
            .map(|(place, row)| {
                let error = |column: usize| {
                    let bounds = self.close_bounds(*row, self, column, 0.0);
                    bounds.high - bounds.low
                };
                self.nearest_among(*row, wanted, candidates.of(place), |candidate| Bounds {
                    low: candidate.low,
                    high: candidate.low + error(candidate.row as usize),
                })
                .unwrap_or_else(|| self.nearest_of_all(*row, wanted))
            })
            .collect()
    }

    /// The squares of the `wanted` smallest distances of `row`, where they are surely among the
    /// candidates.
    fn nearest_among<T: Copy + Into<f64>>(
        &self,
        row: usize,
        wanted: usize,
        candidates: &[Candidate<T>],
        bounds: impl Fn(&Candidate<T>) -> Bounds,
    ) -> Option<Vec<f64>> {
        let mut high: Vec<f64> = candidates
            .iter()
            .map(|candidate| bounds(candidate).high)
            .collect();
        high.sort_unstable_by(f64::total_cmp);
        // At least `wanted` rows are no further than this.
        let reach = high[wanted - 1];
        let squares: Vec<f64> = candidates
            .iter()
            .filter(|candidate| candidate.low.into() <= reach)
            .map(|candidate| self.exact(row, self, candidate.row as usize))
            .collect();
        let squares = smallest(squares, wanted);
        let furthest = squares[wanted - 1];
        // No other row is nearer than the last candidate's lower bound, and none nearer than nothing.
        let complete = candidates.len() + 1 == self.rows()
            || furthest == 0.0
            || candidates
                .last()
                .is_some_and(|last| last.low.into() >= furthest);
        complete.then_some(squares)
    }

    fn nearest_of_all(&self, row: usize, wanted: usize) -> Vec<f64> {
        let squares = (0..self.rows())
            .filter(|other| *other != row)
            .map(|other| self.exact(row, self, other));
        smallest(squares.collect(), wanted)
    }
}

/// The `wanted` smallest numbers in ascending order.
fn smallest(mut numbers: Vec<f64>, wanted: usize) -> Vec<f64> {
    numbers.select_nth_unstable_by(wanted - 1, f64::total_cmp);
    numbers.truncate(wanted);
    numbers.sort_unstable_by(f64::total_cmp);
    numbers
}

/// Rows that float32 left open which are taken up together.
const OPEN_SIDE: usize = 128;

/// Some rows of a set.
struct Block<'a> {
    start: usize,
    values: &'a [f32],
    dims: usize,
    low: &'a [f32],
}

impl Block<'_> {
    /// Writes the scalar products with another block into `products`, column after column.
    fn multiply(&self, columns: &Self, products: &mut Vec<f32>) {
        let (height, width) = (self.low.len(), columns.low.len());
        products.resize(height * width, 0.0);
        let left = MatRef::from_row_major_slice(self.values, height, self.dims);
        let right = MatRef::from_row_major_slice(columns.values, width, self.dims);
        for start in (0..self.dims).step_by(DEPTH) {
            let depth = DEPTH.min(self.dims - start);
            matmul(
                MatMut::from_column_major_slice_mut(products, height, width),
                if start == 0 {
                    Accum::Replace
                } else {
                    Accum::Add
                },
                left.subcols(start, depth),
                right.subcols(start, depth).transpose(),
                1.0,
                Par::Seq,
            );
        }
    }
}

fn wide(values: &[f32]) -> Vec<f64> {
    values.iter().map(|value| f64::from(*value)).collect()
}

/// Writes the scalar products of rows into `products`, column after column.
fn multiply_wide(rows: &[f64], columns: &[f64], dims: usize, products: &mut Vec<f64>) {
    let (height, width) = (rows.len() / dims, columns.len() / dims);
    products.resize(height * width, 0.0);
    let left = MatRef::from_row_major_slice(rows, height, dims);
    let right = MatRef::from_row_major_slice(columns, width, dims);
    for start in (0..dims).step_by(DEPTH) {
        let depth = DEPTH.min(dims - start);
        matmul(
            MatMut::from_column_major_slice_mut(products, height, width),
            if start == 0 {
                Accum::Replace
            } else {
                Accum::Add
            },
            left.subcols(start, depth),
            right.subcols(start, depth).transpose(),
            1.0,
            Par::Seq,
        );
    }
}

fn held<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The sum of the squares of a row, in float64.
struct SquaredNorm<'a> {
    row: &'a [f32],
}

impl NullaryFnOnce for SquaredNorm<'_> {
    type Output = f64;

    #[inline(always)]
    fn call(self) -> f64 {
        let (lanes, rest) = self.row.as_chunks::<16>();
        let mut sums = [0.0; 16];
        for values in lanes {
            for (sum, value) in sums.iter_mut().zip(values) {
                *sum += f64::from(*value) * f64::from(*value);
            }
        }
        let rest: f64 = rest
            .iter()
            .map(|value| f64::from(*value) * f64::from(*value))
            .sum();
        sums.iter().sum::<f64>() + rest
    }
}

/// The sum of the squares of the differences of two rows, in float64; the same in either order.
struct SquaredDistance<'a> {
    left: &'a [f32],
    right: &'a [f32],
}

impl NullaryFnOnce for SquaredDistance<'_> {
    type Output = f64;

    #[inline(always)]
    fn call(self) -> f64 {
        let square = |left: f32, right: f32| {
            let difference = f64::from(left) - f64::from(right);
            difference * difference
        };
        let (left_lanes, left_rest) = self.left.as_chunks::<16>();
        let (right_lanes, right_rest) = self.right.as_chunks::<16>();
        let mut sums = [0.0; 16];
        for (left, right) in left_lanes.iter().zip(right_lanes) {
            for lane in 0..16 {
                sums[lane] += square(left[lane], right[lane]);
            }
        }
        let rest: f64 = left_rest
            .iter()
            .zip(right_rest)
            .map(|(left, right)| square(*left, *right))
            .sum();
        sums.iter().sum::<f64>() + rest
    }
}

/// What looks at the pairs of a tile.
trait Visitor {
    /// Pairs whose lower bound is above their row's limit, and above their column's, are passed over.
    fn row_limits(&self) -> &[f32];
    fn column_limit(&self, column: usize) -> f32;
    fn visit(&mut self, row: usize, column: usize, low: f32);
}

/// Pairs that are looked at together.
const LANES: usize = 32;

/// Shows a visitor the pairs of a tile that are within its limits.
struct Scan<'a, V> {
    products: &'a [f32],
    row_low: &'a [f32],
    column_low: &'a [f32],
    visitor: V,
}

impl<V: Visitor> NullaryFnOnce for Scan<'_, V> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        let Self {
            products,
            row_low,
            column_low,
            mut visitor,
        } = self;
        let (row_chunks, row_rest) = row_low.as_chunks::<LANES>();
        for (column, (products, column_low)) in products
            .chunks_exact(row_low.len())
            .zip(column_low)
            .enumerate()
        {
            let (chunks, rest) = products.as_chunks::<LANES>();
            for (index, (products, row_low)) in chunks.iter().zip(row_chunks).enumerate() {
                let column_limit = visitor.column_limit(column);
                let row_limits = &visitor.row_limits()[index * LANES..][..LANES];
                let mut low = [0.0; LANES];
                let mut within = 0;
                for lane in 0..LANES {
                    low[lane] = (row_low[lane] + column_low) - 2.0 * products[lane];
                    within |= u32::from(low[lane] <= row_limits[lane])
                        | u32::from(low[lane] <= column_limit);
                }
                if within != 0 {
                    visit_all(&mut visitor, index * LANES, column, &low);
                }
            }
            let mut low = [0.0; LANES];
            for ((place, row_low), product) in low.iter_mut().zip(row_rest).zip(rest) {
                *place = (row_low + column_low) - 2.0 * product;
            }
            visit_all(
                &mut visitor,
                row_chunks.len() * LANES,
                column,
                &low[..rest.len()],
            );
        }
    }
}

#[inline(never)]
fn visit_all(visitor: &mut impl Visitor, start: usize, column: usize, low: &[f32]) {
    for (row, low) in (start..).zip(low) {
        if *low <= visitor.row_limits()[row] || *low <= visitor.column_limit(column) {
            visitor.visit(row, column, *low);
        }
    }
}

/// A row, and a lower bound of the square of the distance to it.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd)]
struct Candidate<T> {
    low: T,
    row: u32,
}

/// For each of some rows the other rows of the smallest lower bounds. Equal bounds are kept in the order
/// of the rows, so that it does not matter in which order tiles come.
struct Candidates<T> {
    kept: usize,
    /// `kept` for each row, in ascending order.
    nearest: Vec<Candidate<T>>,
    /// The largest of each row.
    limits: Vec<T>,
}

impl<T: Copy + PartialOrd + From<f32>> Candidates<T> {
    fn new(rows: usize, kept: usize) -> Self {
        let none = Candidate {
            low: f32::INFINITY.into(),
            row: u32::MAX,
        };
        Self {
            kept,
            nearest: vec![none; rows * kept],
            limits: vec![f32::INFINITY.into(); rows],
        }
    }

    fn of(&self, row: usize) -> &[Candidate<T>] {
        &self.nearest[row * self.kept..][..self.kept]
    }

    fn offer(&mut self, row: usize, candidate: Candidate<T>) {
        let nearest = &mut self.nearest[row * self.kept..][..self.kept];
        let place = nearest.partition_point(|kept| *kept < candidate);
        if place == nearest.len() {
            return;
        }
        nearest[place..].rotate_right(1);
        nearest[place] = candidate;
        self.limits[row] = nearest[nearest.len() - 1].low;
    }
}

/// Notes the nearest rows of a tile within one set.
struct Neighbours<'a> {
    row_start: usize,
    column_start: usize,
    of_rows: MutexGuard<'a, Candidates<f32>>,
    /// `None` on the diagonal, where both are the same.
    of_columns: Option<MutexGuard<'a, Candidates<f32>>>,
}

impl Visitor for Neighbours<'_> {
    #[inline(always)]
    fn row_limits(&self) -> &[f32] {
        &self.of_rows.limits
    }

    #[inline(always)]
    fn column_limit(&self, column: usize) -> f32 {
        match &self.of_columns {
            Some(candidates) => candidates.limits[column],
            None => f32::NEG_INFINITY,
        }
    }

    fn visit(&mut self, row: usize, column: usize, low: f32) {
        let (this, other) = (self.row_start + row, self.column_start + column);
        if this == other {
            return;
        }
        let candidate = |row: usize| Candidate {
            low,
            row: row as u32,
        };
        self.of_rows.offer(row, candidate(other));
        if let Some(candidates) = &mut self.of_columns {
            candidates.offer(column, candidate(this));
        }
    }
}

/// Squares of the radii of all balls.
struct Radii {
    real: Vec<f64>,
    real_density: Vec<f64>,
    fake: Vec<f64>,
}

/// What lies in which balls.
struct Inside {
    fake_covered: usize,
    real_covered: usize,
    /// Pairs of a fake picture and a real one's ball for the density.
    pairs: usize,
    real_balls_met: usize,
}

/// A number of float32 that is not below `number`.
fn not_below(number: f64) -> f32 {
    let rounded = number as f32;
    if f64::from(rounded) < number {
        rounded.next_up()
    } else {
        rounded
    }
}

fn count_inside(real: &Set<'_>, fake: &Set<'_>, radii: &Radii) -> Inside {
    let balls = Balls {
        real,
        fake,
        radii,
        real_limits: radii
            .real
            .iter()
            .zip(&radii.real_density)
            .map(|(radius, density)| not_below(radius.max(*density)))
            .collect(),
        fake_limits: radii.fake.iter().map(|radius| not_below(*radius)).collect(),
        real_covered: (0..real.rows()).map(|_| AtomicBool::new(false)).collect(),
        fake_covered: (0..fake.rows()).map(|_| AtomicBool::new(false)).collect(),
        met: (0..real.rows()).map(|_| AtomicUsize::new(0)).collect(),
    };
    let tiles: Vec<(usize, usize)> = (0..real.blocks())
        .flat_map(|rows| (0..fake.blocks()).map(move |columns| (rows, columns)))
        .collect();
    tiles
        .par_iter()
        .for_each_init(Vec::new, |products, (rows, columns)| {
            let (rows, columns) = (real.block(*rows), fake.block(*columns));
            rows.multiply(&columns, products);
            let mut open = Vec::new();
            Arch::new().dispatch(Scan {
                products,
                row_low: rows.low,
                column_low: columns.low,
                visitor: BallsOfTile {
                    balls: &balls,
                    row_start: rows.start,
                    column_start: columns.start,
                    row_limits: &balls.real_limits[rows.start..][..rows.low.len()],
                    open: &mut open,
                },
            });
            if open.len() > products.len() / MANY {
                balls.decide_by_float64(&rows, &columns, &mut open);
            }
            for (row, column) in open {
                balls.decide(row, column, real.exact(row, fake, column));
            }
        });
    let count = |covered: Vec<AtomicBool>| {
        covered
            .into_iter()
            .filter(|covered| covered.load(Ordering::Relaxed))
            .count()
    };
    let met: Vec<usize> = balls.met.into_iter().map(AtomicUsize::into_inner).collect();
    Inside {
        fake_covered: count(balls.fake_covered),
        real_covered: count(balls.real_covered),
        pairs: met.iter().sum(),
        real_balls_met: met.iter().filter(|count| **count > 0).count(),
    }
}

/// All balls, and what was found in them. The order in which it is found does not matter.
struct Balls<'a> {
    real: &'a Set<'a>,
    fake: &'a Set<'a>,
    radii: &'a Radii,
    real_limits: Vec<f32>,
    fake_limits: Vec<f32>,
    real_covered: Vec<AtomicBool>,
    fake_covered: Vec<AtomicBool>,
    /// How many fake pictures lie in a real one's ball for the density.
    met: Vec<AtomicUsize>,
}

/// Where more than one in so many pairs of a tile is open, products in float64 are worth their time.
const MANY: usize = 64;

impl Balls<'_> {
    /// Notes which balls a pair's squared distance puts the two into, where the bounds leave no doubt.
    fn decide_within(&self, row: usize, column: usize, bounds: Bounds) -> bool {
        let radii = [
            self.radii.real[row],
            self.radii.real_density[row],
            self.radii.fake[column],
        ];
        if radii
            .iter()
            .any(|radius| bounds.low <= *radius && *radius <= bounds.high)
        {
            return false;
        }
        // With no radius between the bounds, all numbers between them give the same answers.
        self.decide(row, column, bounds.high);
        true
    }

    fn decide(&self, row: usize, column: usize, square: f64) {
        if square <= self.radii.real[row] {
            self.fake_covered[column].store(true, Ordering::Relaxed);
        }
        if square < self.radii.real_density[row] {
            self.met[row].fetch_add(1, Ordering::Relaxed);
        }
        if square <= self.radii.fake[column] {
            self.real_covered[row].store(true, Ordering::Relaxed);
        }
    }

    /// Decides the open pairs of a tile that products in float64 can, and leaves the rest.
    fn decide_by_float64(
        &self,
        rows: &Block<'_>,
        columns: &Block<'_>,
        open: &mut Vec<(usize, usize)>,
    ) {
        let mut products = Vec::new();
        let (left, right) = (wide(rows.values), wide(columns.values));
        multiply_wide(&left, &right, rows.dims, &mut products);
        open.retain(|(row, column)| {
            let place = (column - columns.start) * rows.low.len() + row - rows.start;
            let bounds = self
                .real
                .close_bounds(*row, self.fake, *column, products[place]);
            !self.decide_within(*row, *column, bounds)
        });
    }
}

struct BallsOfTile<'a> {
    balls: &'a Balls<'a>,
    row_start: usize,
    column_start: usize,
    row_limits: &'a [f32],
    /// Pairs that float32 cannot decide.
    open: &'a mut Vec<(usize, usize)>,
}

impl Visitor for BallsOfTile<'_> {
    #[inline(always)]
    fn row_limits(&self) -> &[f32] {
        self.row_limits
    }

    #[inline(always)]
    fn column_limit(&self, column: usize) -> f32 {
        self.balls.fake_limits[self.column_start + column]
    }

    fn visit(&mut self, row: usize, column: usize, low: f32) {
        let (row, column) = (self.row_start + row, self.column_start + column);
        let bounds = self.balls.real.bounds(row, self.balls.fake, column, low);
        if !self.balls.decide_within(row, column, bounds) {
            self.open.push((row, column));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples::{on_one_and_three_threads, sample};

    fn assert_shares(found: Coverage, expected: [f64; 5]) {
        let found = [
            found.precision,
            found.recall,
            found.f_score,
            found.density,
            found.coverage,
        ];
        for (found, expected) in found.iter().zip(expected) {
            assert!(
                (found - expected).abs() < 1e-14,
                "{found:?} is not {expected:?}"
            );
        }
    }

    /// The definitions, word for word.
    fn by_definition(real: &Features, fake: &Features, settings: Settings) -> [f64; 5] {
        let square = |left: &[f32], right: &[f32]| {
            let differences = left
                .iter()
                .zip(right)
                .map(|(left, right)| f64::from(*left) - f64::from(*right));
            differences
                .map(|difference| difference * difference)
                .sum::<f64>()
        };
        let radius = |set: &Features, row: usize, neighbours: usize| {
            let squares = (0..set.rows()).map(|other| square(set.row(row), set.row(other)));
            smallest(squares.collect(), neighbours + 1)[neighbours]
        };
        let [mut precision, mut recall, mut density, mut coverage] = [0.0; 4];
        let real_radii: Vec<[f64; 2]> = (0..real.rows())
            .map(|row| {
                [settings.neighbours, settings.density_neighbours].map(|k| radius(real, row, k))
            })
            .collect();
        let fake_radii: Vec<f64> = (0..fake.rows())
            .map(|row| radius(fake, row, settings.neighbours))
            .collect();
        let mut fake_covered = vec![false; fake.rows()];
        for (row, radii) in real_radii.iter().enumerate() {
            let mut met = 0;
            let mut covered = false;
            for column in 0..fake.rows() {
                let square = square(real.row(row), fake.row(column));
                fake_covered[column] |= square <= radii[0];
                covered |= square <= fake_radii[column];
                met += usize::from(square < radii[1]);
            }
            recall += f64::from(covered) / real.rows() as f64;
            coverage += f64::from(met > 0) / real.rows() as f64;
            density += met as f64 / (settings.density_neighbours * fake.rows()) as f64;
        }
        for covered in fake_covered {
            precision += f64::from(covered) / fake.rows() as f64;
        }
        let f_score = 2.0 * precision * recall / (precision + recall).max(1e-5);
        [precision, recall, f_score, density, coverage]
    }

    #[test]
    fn shares_are_those_of_the_tools() {
        // torch_fidelity.metric_prc.prc_features_to_metric (fake first) of float64 tensors gives the
        // first three, numpy the other two by the definitions.
        let (real, fake) = (sample(60, 24, 1), sample(50, 24, 2));
        let found = coverage(&real, &fake, Settings::default()).unwrap();
        assert_shares(
            found,
            [
                0.94,
                0.8,
                0.864_367_816_091_954,
                0.98,
                0.933_333_333_333_333_3,
            ],
        );
        let settings = Settings {
            neighbours: 5,
            density_neighbours: 2,
        };
        let found = coverage(&real, &fake, settings).unwrap();
        assert_shares(
            found,
            [
                0.98,
                0.966_666_666_666_666_7,
                0.973_287_671_232_876_7,
                0.91,
                0.65,
            ],
        );
        let (real, fake) = (sample(600, 24, 1), sample(530, 24, 2));
        let found = coverage(&real, &fake, Settings::default()).unwrap();
        let expected = [
            0.890_566_037_735_849_1,
            0.905,
            0.897_725_003_940_524_3,
            0.933_962_264_150_943_4,
            0.971_666_666_666_666_7,
        ];
        assert_shares(found, expected);
    }

    /// `rows` copies of a few rows of a sample, each moved by up to `step`.
    fn crowded(rows: usize, modes: usize, step: f32, stream: u64) -> Features {
        let centres = sample(modes, 24, 7);
        let moves = sample(rows, 24, stream);
        let values = (0..rows * 24).map(|index| {
            // An offset makes float32 products coarse.
            8.0 + centres.row(index / 24 % modes)[index % 24] + step * moves.values()[index]
        });
        Features::new(24, values.collect())
    }

    #[test]
    fn sets_that_float32_cannot_tell_apart_are_still_exact() {
        for (modes, step) in [
            (1, 0.0),
            (3, 0.0),
            (1, 1e-4),
            (3, 1e-3),
            (1, 1e-2),
            (5, 0.1),
        ] {
            let (real, fake) = (crowded(150, modes, step, 1), crowded(130, modes, step, 2));
            let expected = by_definition(&real, &fake, Settings::default());
            let found = coverage(&real, &fake, Settings::default()).unwrap();
            for (found, expected) in [
                (found.precision, expected[0]),
                (found.recall, expected[1]),
                (found.density, expected[3]),
                (found.coverage, expected[4]),
            ] {
                assert!(
                    (found - expected).abs() < 1e-12,
                    "{modes} {step}: {found} is not {expected}"
                );
            }
        }
    }

    #[test]
    fn many_rows_at_one_distance_are_told_apart_from_nearer_ones() {
        // 40 equal rows at the same distance of every other: more than the candidates that are kept.
        let mut values = sample(20, 24, 1).values().to_vec();
        values.extend(std::iter::repeat_n(vec![3.0; 24], 40).flatten());
        let real = Features::new(24, values);
        let fake = sample(30, 24, 2);
        let settings = Settings {
            neighbours: 25,
            density_neighbours: 30,
        };
        let found = coverage(
            &real,
            &fake,
            Settings {
                neighbours: 25,
                ..settings
            },
        )
        .unwrap();
        let expected = by_definition(&real, &fake, settings);
        for (found, expected) in [
            (found.precision, expected[0]),
            (found.recall, expected[1]),
            (found.density, expected[3]),
            (found.coverage, expected[4]),
        ] {
            assert!(
                (found - expected).abs() < 1e-12,
                "{found} is not {expected}"
            );
        }
    }

    #[test]
    fn lower_bounds_are_below_the_distances_and_close() {
        let features = crowded(40, 3, 0.1, 1);
        let set = Set::of(&features);
        let block = set.block(0);
        let mut products = Vec::new();
        block.multiply(&block, &mut products);
        let mut wide_products = Vec::new();
        multiply_wide(
            &wide(block.values),
            &wide(block.values),
            24,
            &mut wide_products,
        );
        for row in 0..40 {
            for column in 0..40 {
                let exact = set.exact(row, &set, column);
                let place = column * 40 + row;
                let low = (set.low[row] + set.low[column]) - 2.0 * products[place];
                let bounds = set.bounds(row, &set, column, low);
                assert!(bounds.low <= exact && exact <= bounds.high);
                assert!(bounds.high - bounds.low < 0.1);
                let close = set.close_bounds(row, &set, column, wide_products[place]);
                assert!(close.low <= exact && exact <= close.high);
                assert!(close.high - close.low < 1e-10);
            }
        }
    }

    #[test]
    fn a_set_covers_itself() {
        let set = sample(80, 24, 1);
        let found = coverage(&set, &set, Settings::default()).unwrap();
        assert_eq!(
            (found.precision, found.recall, found.f_score),
            (1.0, 1.0, 1.0)
        );
        // Each ball holds its own centre and four of its five neighbours, for the fifth is on its surface.
        assert_eq!((found.density, found.coverage), (1.0, 1.0));
    }

    #[test]
    fn threads_do_not_matter() {
        let (real, fake) = (crowded(1100, 7, 0.1, 1), crowded(600, 7, 0.1, 2));
        let [one, three] =
            on_one_and_three_threads(|| coverage(&real, &fake, Settings::default()).unwrap());
        assert_eq!(one, three);
    }

    #[test]
    fn unfit_sets_are_errors_with_their_numbers() {
        let error = |real: &Features, fake: &Features| {
            coverage(real, fake, Settings::default())
                .unwrap_err()
                .to_string()
        };
        let set = sample(60, 24, 1);
        assert!(error(&sample(5, 24, 1), &set).contains("the real set has 5 pictures"));
        assert!(error(&set, &sample(3, 24, 1)).contains("the fake set has 3 pictures"));
        assert!(coverage(&sample(6, 24, 1), &sample(4, 24, 1), Settings::default()).is_ok());
        assert!(error(&set, &sample(60, 23, 1)).contains("24 features"));
        let mut values = set.values().to_vec();
        values[24 * 9] = f32::NAN;
        let found = error(&set, &Features::new(24, values));
        assert!(
            found.contains("the fake set: row 9") && found.contains("NaN"),
            "{found}"
        );
        let none = Settings {
            neighbours: 0,
            density_neighbours: 5,
        };
        assert!(coverage(&set, &set, none).is_err());
    }
}
