//! The Fréchet distance between two sets of features (FID; Heusel et al. 2017, "GANs Trained by a Two
//! Time-Scale Update Rule", section 4).
//!
//! |m1 - m2|^2 + tr S1 + tr S2 - 2 tr (S1 S2)^(1/2), with means m and unbiased covariances S, all in
//! float64. The last trace is the sum of the roots of the eigenvalues of S1 S2, and also the sum of the
//! singular values of F1 F2^T for any factors with F^T F = S. Both are sums over real numbers, so
//! nothing here can turn imaginary, and sets smaller than their number of features need no ridge.

use faer::dyn_stack::{MemBuffer, MemStack};
use faer::linalg::cholesky::llt;
use faer::linalg::evd::{self, ComputeEigenvectors};
use faer::linalg::matmul::matmul;
use faer::linalg::matmul::triangular::{self, BlockStructure};
use faer::linalg::svd::{self, ComputeSvdVectors};
use faer::{Accum, ColMut, Mat, MatRef, Par};
use rayon::prelude::*;
use std::borrow::Cow;

use crate::eigenvalues::symmetric_eigenvalues;
use crate::failure::{Kind, failure};
use crate::features::Features;
use crate::random::MersenneTwister;
use crate::statistics::{Mean, Moments, Statistics, column_means};

/// Into how many parts products of matrices are divided. Fixed, for some sums in faer follow it.
fn division() -> Par {
    Par::rayon(4)
}

/// A Fréchet distance and its parts.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Distance {
    /// The distance: `mean_term + trace_term`, never negative.
    pub value: f64,
    /// |m1 - m2|^2.
    pub mean_term: f64,
    /// tr S1 + tr S2 - 2 tr (S1 S2)^(1/2); rounding below zero is cut off.
    pub trace_term: f64,
    /// How the trace of the root was found.
    pub route: Route,
}

/// How the trace of (S1 S2)^(1/2) was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Route {
    /// The two sides are equal, number for number: the distance is exactly zero.
    Identical,
    /// Roots of the eigenvalues of L^T S2 L, where S1 = L L^T: both covariances have full rank.
    Eigenvalues,
    /// Singular values of F1 F2^T, where S = F^T F: a covariance lacks rank, or is close to it.
    SingularValues,
}

impl std::fmt::Display for Route {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(match self {
            Self::Identical => "identical",
            Self::Eigenvalues => "eigenvalues",
            Self::SingularValues => "singular values",
        })
    }
}

/// The distance between two sets of features, whatever their sizes.
///
/// A set with no more pictures than features is never turned into a covariance.
///
/// # Errors
/// [`Kind::Data`] for a set of fewer than two pictures, for numbers that are not finite and for sets
/// of different numbers of features.
pub fn exact(real: &Features, fake: &Features, mean: Mean) -> anyhow::Result<Distance> {
    same_dims(real.dims(), fake.dims())?;
    let (real_side, fake_side) = (
        Side::of_features(real, mean, "real")?,
        Side::of_features(fake, mean, "fake")?,
    );
    if real == fake {
        return Ok(IDENTICAL);
    }
    between(&real_side, &fake_side, mean)
}

/// The distance between two stored statistics.
///
/// With [`Mean::Float32`], the means are rounded to float32 and subtracted in it, as in tools that keep
/// them so.
///
/// # Errors
/// [`Kind::Data`] for numbers that are not finite, for a matrix that is no covariance (it is not
/// symmetric, or has negative eigenvalues beyond rounding) and for different numbers of features.
pub fn from_statistics(
    real: &Statistics,
    fake: &Statistics,
    mean: Mean,
) -> anyhow::Result<Distance> {
    same_dims(real.dims(), fake.dims())?;
    let (real_side, fake_side) = (
        Side::of_statistics(real, "real")?,
        Side::of_statistics(fake, "fake")?,
    );
    if real == fake {
        return Ok(IDENTICAL);
    }
    between(&real_side, &fake_side, mean)
}

/// The distance between stored statistics of the real pictures and features of the fake ones.
///
/// # Errors
/// Those of [`exact`] and [`from_statistics`].
pub fn to_statistics(real: &Statistics, fake: &Features, mean: Mean) -> anyhow::Result<Distance> {
    same_dims(real.dims(), fake.dims())?;
    between(
        &Side::of_statistics(real, "real")?,
        &Side::of_features(fake, mean, "fake")?,
        mean,
    )
}

/// How [`infinity`] draws its subsets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Extrapolation {
    /// How many sizes of subsets; the authors take 15.
    pub points: usize,
    /// Size of the smallest subset; the authors take 5000 of 50 000.
    pub smallest: usize,
    /// Seed of numpy's `RandomState`, which chooses each subset without replacement.
    pub seed: u32,
}

/// A distance extrapolated to infinitely many fake pictures.
#[derive(Debug, Clone, PartialEq)]
pub struct Infinity {
    /// The intercept of the fitted line. Noise can make it negative for sets that are nearly alike.
    pub value: f64,
    /// The slope over 1 / size: the bias of a subset of N pictures is about `slope` / N.
    pub slope: f64,
    /// The size of each subset and its distance.
    pub points: Vec<(usize, f64)>,
}

/// The distance that infinitely many fake pictures would have (Chong and Forsyth 2020, "Effectively
/// Unbiased FID and Inception Score and Where to Find Them", section 4): distances of random subsets at
/// evenly spaced sizes, a line fitted to them over 1 / size by least squares, its value at zero.
///
/// # Errors
/// Those of [`exact`]; [`Kind::Usage`] for fewer than two points, and for a smallest size below 2
/// or not below the number of fake pictures.
pub fn infinity(
    real: &Features,
    fake: &Features,
    mean: Mean,
    settings: Extrapolation,
) -> anyhow::Result<Infinity> {
    let Extrapolation {
        points,
        smallest,
        seed,
    } = settings;
    if points < 2 {
        return Err(failure(
            Kind::Usage,
            format!("a line needs at least 2 points, not {points}"),
        ));
    }
    if smallest < 2 || smallest >= fake.rows() {
        return Err(failure(
            Kind::Usage,
            format!(
                "the smallest subset of {} fake pictures must have from 2 to {} of them, not {smallest}",
                fake.rows(),
                fake.rows().saturating_sub(1)
            ),
        ));
    }
    same_dims(real.dims(), fake.dims())?;
    let real = Side::of_features(real, mean, "real")?;
    let mut generator = MersenneTwister::new(seed);
    let points: Vec<(usize, f64)> = (0..points)
        .map(|index| {
            let step = (fake.rows() - smallest) as f64 / (points - 1) as f64;
            let size = if index + 1 == points {
                fake.rows()
            } else {
                smallest + (index as f64 * step) as usize
            };
            let mut values = Vec::with_capacity(size * fake.dims());
            for row in generator.choice_without_replacement(fake.rows(), size) {
                values.extend_from_slice(fake.row(row));
            }
            let subset = Features::new(fake.dims(), values);
            let side = Side::of_features(&subset, mean, "fake")?;
            Ok((size, between(&real, &side, mean)?.value))
        })
        .collect::<anyhow::Result<_>>()?;
    let (value, slope) = fit_over_inverse_size(&points);
    Ok(Infinity {
        value,
        slope,
        points,
    })
}

/// Intercept and slope of the least-squares line of the distances over 1 / size.
fn fit_over_inverse_size(points: &[(usize, f64)]) -> (f64, f64) {
    let count = points.len() as f64;
    let places: Vec<f64> = points.iter().map(|point| 1.0 / point.0 as f64).collect();
    let middle = places.iter().sum::<f64>() / count;
    let height = points.iter().map(|point| point.1).sum::<f64>() / count;
    let (mut along, mut spread) = (0.0, 0.0);
    for (place, point) in places.iter().zip(points) {
        along += (place - middle) * (point.1 - height);
        spread += (place - middle) * (place - middle);
    }
    let slope = along / spread;
    (height - slope * middle, slope)
}

const IDENTICAL: Distance = Distance {
    value: 0.0,
    mean_term: 0.0,
    trace_term: 0.0,
    route: Route::Identical,
};

fn same_dims(real: usize, fake: usize) -> anyhow::Result<()> {
    if real == fake {
        return Ok(());
    }
    Err(failure(
        Kind::Data,
        format!(
            "the real set has {real} features a picture and the fake set {fake}; \
             take both from the same layer of the same network"
        ),
    ))
}

/// One side of a distance.
struct Side<'a> {
    mean: Vec<f64>,
    trace: f64,
    /// A power of four near the largest variance, which products are divided by: no root or square of
    /// them leaves the range of float64.
    scale: f64,
    spread: Spread<'a>,
    name: &'static str,
}

enum Spread<'a> {
    /// Centred rows F with F^T F = S.
    Rows(Mat<f64>),
    /// S, `dims` rows of `dims` numbers.
    Covariance(Cow<'a, [f64]>),
}

impl<'a> Side<'a> {
    fn of_features(features: &Features, mean: Mean, name: &'static str) -> anyhow::Result<Self> {
        let (rows, dims) = (features.rows(), features.dims());
        if rows < 2 {
            return Err(failure(
                Kind::Data,
                format!("the {name} set has {rows} pictures; a covariance needs at least 2"),
            ));
        }
        if let Some(index) = features
            .values()
            .iter()
            .position(|value| !value.is_finite())
        {
            let what = format!("row {} of the features", index / dims);
            return Err(not_finite(name, &what));
        }
        if rows > dims {
            let mut moments = Moments::new(dims);
            moments.push(features);
            let (mean, covariance) = moments.statistics(mean)?.into_parts();
            return Self::of_covariance(mean, Cow::Owned(covariance), name);
        }
        let middle = column_means(features, Mean::Float64);
        let root = ((rows - 1) as f64).sqrt();
        let spread = Mat::from_fn(rows, dims, |row, column| {
            (f64::from(features.row(row)[column]) - middle[column]) / root
        });
        let largest = spread.norm_max();
        Ok(Self {
            mean: match mean {
                Mean::Float64 => middle,
                Mean::Float32 => column_means(features, Mean::Float32),
            },
            trace: spread.squared_norm_l2(),
            scale: power_of_four(largest * largest),
            spread: Spread::Rows(spread),
            name,
        })
    }

    fn of_statistics(statistics: &'a Statistics, name: &'static str) -> anyhow::Result<Self> {
        let dims = statistics.dims();
        let covariance = statistics.covariance();
        if !statistics.mean().iter().all(|value| value.is_finite()) {
            return Err(not_finite(name, "the mean"));
        }
        if !covariance
            .par_chunks(dims)
            .all(|row| row.iter().all(|value| value.is_finite()))
        {
            return Err(not_finite(name, "the covariance"));
        }
        let largest = (0..dims).fold(0.0, |largest: f64, index| {
            largest.max(covariance[index * dims + index])
        });
        if !is_symmetric(covariance, dims, ASYMMETRY * largest) {
            return Err(no_covariance(name, "is not symmetric"));
        }
        Self::of_covariance(statistics.mean().to_vec(), Cow::Borrowed(covariance), name)
    }

    fn of_covariance(
        mean: Vec<f64>,
        covariance: Cow<'a, [f64]>,
        name: &'static str,
    ) -> anyhow::Result<Self> {
        let variances = || covariance.iter().step_by(mean.len() + 1);
        let largest = variances().copied().fold(0.0, f64::max);
        if largest > LARGEST_VARIANCE {
            return Err(beyond_range());
        }
        Ok(Self {
            trace: variances().sum(),
            scale: power_of_four(largest),
            mean,
            spread: Spread::Covariance(covariance),
            name,
        })
    }
}

/// Products of two covariances up to this stay within float64. Features in float32 stay below 1e77.
const LARGEST_VARIANCE: f64 = 1e140;

/// Whether the numbers on the two sides of the diagonal differ by no more than `tolerance`.
fn is_symmetric(matrix: &[f64], dims: usize, tolerance: f64) -> bool {
    // Square by square, for whole columns would miss the cache at every number.
    (0..dims).into_par_iter().step_by(SQUARE).all(|rows| {
        (0..=rows).step_by(SQUARE).all(|columns| {
            (rows..dims.min(rows + SQUARE)).all(|row| {
                let line = &matrix[row * dims..][..row];
                line[columns.min(row)..row.min(columns + SQUARE)]
                    .iter()
                    .zip(columns..)
                    .all(|(value, column)| (value - matrix[column * dims + row]).abs() <= tolerance)
            })
        })
    })
}

const SQUARE: usize = 64;

/// By how much the halves of a covariance may differ, as a share of its largest variance.
const ASYMMETRY: f64 = 1e-5;

/// How negative an eigenvalue of a covariance may be, as a share of the largest: a matrix that was kept
/// in float32 has about 1e-6.
const NEGATIVE: f64 = 1e-4;

fn not_finite(name: &str, what: &str) -> anyhow::Error {
    failure(
        Kind::Data,
        format!("the {name} set: {what} holds a number that is not finite; make it again"),
    )
}

fn no_covariance(name: &str, what: &str) -> anyhow::Error {
    failure(
        Kind::Data,
        format!("the {name} set: the covariance {what}; make the statistics again"),
    )
}

fn beyond_range() -> anyhow::Error {
    failure(
        Kind::Data,
        "the distance is beyond the range of float64; the features are far too large",
    )
}

/// The power of four about a number; 1 for zero.
fn power_of_four(number: f64) -> f64 {
    if number == 0.0 {
        return 1.0;
    }
    4.0_f64.powi((number.log2() / 2.0).round() as i32)
}

fn between(real: &Side<'_>, fake: &Side<'_>, mean: Mean) -> anyhow::Result<Distance> {
    let mean_term: f64 = real
        .mean
        .iter()
        .zip(&fake.mean)
        .map(|(real, fake)| match mean {
            Mean::Float64 => real - fake,
            Mean::Float32 => f64::from(*real as f32 - *fake as f32),
        })
        .map(|difference| difference * difference)
        .sum();
    let (root, route) = trace_of_root(real, fake)?;
    let trace_term = real.trace + fake.trace - 2.0 * root;
    // The inequality of Cauchy and Schwarz forbids it: what is below zero beyond rounding is a mistake of ours.
    if trace_term < -1e-6 * (real.trace + fake.trace) {
        return Err(anyhow::anyhow!(
            "the trace term came out as {trace_term}, which no two covariances have: please report it"
        ));
    }
    let value = mean_term + trace_term.max(0.0);
    if !value.is_finite() {
        return Err(beyond_range());
    }
    Ok(Distance {
        value,
        mean_term,
        trace_term: trace_term.max(0.0),
        route,
    })
}

/// The trace of (S1 S2)^(1/2).
fn trace_of_root(real: &Side<'_>, fake: &Side<'_>) -> anyhow::Result<(f64, Route)> {
    let dims = real.mean.len();
    // The root of a power of four is exact, and so are the products with it.
    let scale = real.scale.sqrt() * fake.scale.sqrt();
    if let (Spread::Covariance(first), Spread::Covariance(second)) = (&real.spread, &fake.spread) {
        let first = MatRef::from_column_major_slice(first, dims, dims);
        let second = MatRef::from_column_major_slice(second, dims, dims);
        if let Some(root) = by_eigenvalues(first, second, 1.0 / scale) {
            return Ok((root * scale, Route::Eigenvalues));
        }
    }
    let real = factor(real)?;
    let fake = factor(fake)?;
    let mut product = Mat::<f64>::zeros(real.nrows(), fake.nrows());
    matmul(
        product.as_mut(),
        Accum::Replace,
        real.as_ref(),
        fake.transpose(),
        1.0 / scale,
        division(),
    );
    let root = sum_of_singular_values(product.as_ref())?;
    Ok((root * scale, Route::SingularValues))
}

/// The Cholesky factor of a covariance of clearly full rank. What stands above its diagonal has no meaning.
fn cholesky(covariance: MatRef<'_, f64>) -> Option<Mat<f64>> {
    let dims = covariance.nrows();
    let mut lower = Mat::zeros(dims, dims);
    lower.copy_from_triangular_lower(covariance);
    let mut memory = MemBuffer::new(llt::factor::cholesky_in_place_scratch::<f64>(
        dims,
        division(),
        Default::default(),
    ));
    llt::factor::cholesky_in_place(
        lower.as_mut(),
        Default::default(),
        division(),
        MemStack::new(&mut memory),
        Default::default(),
    )
    .ok()?;
    let pivots = || (0..dims).map(|index| lower[(index, index)] * lower[(index, index)]);
    let largest = pivots().fold(0.0, f64::max);
    let smallest = pivots().fold(f64::INFINITY, f64::min);
    // Below this a pivot may be nothing but rounding.
    (smallest > rounding(dims) * largest).then_some(lower)
}

fn rounding(dims: usize) -> f64 {
    dims as f64 * f64::EPSILON
}

/// How large a share of the sum the rounding of eigenvalues may reach before singular values, which
/// are slower and lose nothing to the root, take their place.
const ROOT_ROUNDING: f64 = 1e-8;

/// The sum of the roots of the eigenvalues of L^T S2 L, times `factor`; `None` where a covariance is not clearly of full
/// rank, for there the root turns rounding of 1e-16 into 1e-8.
fn by_eigenvalues(first: MatRef<'_, f64>, second: MatRef<'_, f64>, factor: f64) -> Option<f64> {
    let dims = first.nrows();
    let lower = cholesky(first)?;
    let mut half = Mat::<f64>::zeros(dims, dims);
    triangular::matmul(
        half.as_mut(),
        BlockStructure::Rectangular,
        Accum::Replace,
        second,
        BlockStructure::Rectangular,
        lower.as_ref(),
        BlockStructure::TriangularLower,
        factor,
        division(),
    );
    let mut product = Mat::<f64>::zeros(dims, dims);
    triangular::matmul(
        product.as_mut(),
        BlockStructure::TriangularLower,
        Accum::Replace,
        lower.transpose(),
        BlockStructure::TriangularUpper,
        half.as_ref(),
        BlockStructure::Rectangular,
        factor,
        division(),
    );
    drop((lower, half));
    let eigenvalues = symmetric_eigenvalues(product, division())?;
    let largest = eigenvalues.last().copied()?;
    // An eigenvalue is known to about this, so its root to this over twice the root. Roots of noise add
    // up, the other errors have either sign.
    let error = 4.0 * f64::EPSILON * largest;
    let (mut sum, mut noise, mut spread) = (0.0, 0.0, 0.0);
    for eigenvalue in eigenvalues {
        sum += eigenvalue.max(0.0).sqrt();
        if eigenvalue > error {
            spread += error * error / (4.0 * eigenvalue);
        } else {
            noise += error.sqrt();
        }
    }
    (noise + spread.sqrt() <= ROOT_ROUNDING * sum).then_some(sum)
}

/// Rows F with F^T F = S.
fn factor(side: &Side<'_>) -> anyhow::Result<Mat<f64>> {
    match &side.spread {
        Spread::Rows(rows) => Ok(rows.clone()),
        Spread::Covariance(covariance) => {
            let dims = side.mean.len();
            let covariance = MatRef::from_column_major_slice(covariance, dims, dims);
            match cholesky(covariance) {
                Some(lower) => {
                    let mut upper = Mat::zeros(dims, dims);
                    upper.copy_from_triangular_upper(lower.transpose());
                    Ok(upper)
                }
                None => factor_of_deficient(covariance, side.name),
            }
        }
    }
}

/// Eigenvectors times the roots of their eigenvalues, without those that are rounding.
fn factor_of_deficient(covariance: MatRef<'_, f64>, name: &str) -> anyhow::Result<Mat<f64>> {
    let dims = covariance.nrows();
    let mut values = vec![0.0; dims];
    let mut vectors = Mat::<f64>::zeros(dims, dims);
    let mut memory = MemBuffer::new(evd::self_adjoint_evd_scratch::<f64>(
        dims,
        ComputeEigenvectors::Yes,
        division(),
        Default::default(),
    ));
    evd::self_adjoint_evd(
        covariance,
        ColMut::from_slice_mut(&mut values).as_diagonal_mut(),
        Some(vectors.as_mut()),
        division(),
        MemStack::new(&mut memory),
        Default::default(),
    )
    .map_err(|_| no_convergence())?;
    let largest = values[dims - 1].max(0.0);
    if values[0] < -NEGATIVE * largest || (largest == 0.0 && values[0] < 0.0) {
        return Err(no_covariance(name, "has negative eigenvalues"));
    }
    let kept = values
        .iter()
        .filter(|value| **value > rounding(dims) * largest)
        .count();
    Ok(Mat::from_fn(kept, dims, |row, column| {
        let index = dims - kept + row;
        values[index].sqrt() * vectors[(column, index)]
    }))
}

fn sum_of_singular_values(matrix: MatRef<'_, f64>) -> anyhow::Result<f64> {
    let (rows, columns) = matrix.shape();
    if rows == 0 || columns == 0 {
        return Ok(0.0);
    }
    let mut values = vec![0.0; rows.min(columns)];
    let mut memory = MemBuffer::new(svd::svd_scratch::<f64>(
        rows,
        columns,
        ComputeSvdVectors::No,
        ComputeSvdVectors::No,
        division(),
        Default::default(),
    ));
    svd::svd(
        matrix,
        ColMut::from_slice_mut(&mut values).as_diagonal_mut(),
        None,
        None,
        division(),
        MemStack::new(&mut memory),
        Default::default(),
    )
    .map_err(|_| no_convergence())?;
    Ok(values.iter().sum())
}

fn no_convergence() -> anyhow::Error {
    failure(
        Kind::Data,
        "the covariances have no decomposition; the features are damaged",
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples::{on_one_and_three_threads, sample};

    fn statistics_of(features: &Features) -> Statistics {
        let mut moments = Moments::new(features.dims());
        moments.push(features);
        moments.statistics(Mean::Float64).unwrap()
    }

    fn value(real: &Features, fake: &Features) -> f64 {
        exact(real, fake, Mean::Float64).unwrap().value
    }

    fn assert_near(found: f64, expected: f64, tolerance: f64) {
        assert!(
            (found - expected).abs() <= tolerance * expected.abs(),
            "{found} is not {expected}"
        );
    }

    #[test]
    fn distances_of_full_rank_are_those_of_the_tools() {
        let (real, fake) = (sample(60, 24, 1), sample(50, 24, 2));
        let found = exact(&real, &fake, Mean::Float64).unwrap();
        // pytorch_fid.fid_score.calculate_frechet_distance of the float64 means and numpy.cov
        assert_near(found.value, 0.186_504_808_177_961_21, 1e-11);
        assert_eq!(found.route, Route::Eigenvalues);
        assert_eq!(found.value, found.mean_term + found.trace_term);
        let stored = from_statistics(&statistics_of(&real), &statistics_of(&fake), Mean::Float64);
        assert_eq!(stored.unwrap(), found);
    }

    #[test]
    fn float32_means_give_the_digits_of_the_tools_that_keep_them() {
        // torch_fidelity.metric_fid.fid_statistics_to_metric of numpy.mean(x, axis=0), numpy.cov; its
        // product of the difference with itself is in float32 too.
        let found = exact(&sample(60, 24, 1), &sample(50, 24, 2), Mean::Float32).unwrap();
        assert_near(found.value, 0.186_504_823_794_704_23, 2e-8);
    }

    #[test]
    fn distances_without_full_rank_are_exact() {
        // For a, b centred and divided by sqrt(N - 1), in numpy: |ma - mb|^2 + sum(a^2) + sum(b^2)
        // - 2 sum(svd(a @ b.T)); pytorch-fid prints 1.0557823 for the first.
        let small = (sample(10, 24, 1), sample(13, 24, 2));
        assert_near(value(&small.0, &small.1), 1.055_782_390_196_859_5, 1e-12);
        let mixed = (sample(60, 24, 1), sample(13, 24, 2));
        assert_near(value(&mixed.0, &mixed.1), 0.549_661_762_371_086_7, 1e-12);
        assert_near(value(&mixed.1, &mixed.0), 0.549_661_762_371_086_7, 1e-12);
        for (real, fake) in [small, mixed] {
            let expected = value(&real, &fake);
            let (real_stored, fake_stored) = (statistics_of(&real), statistics_of(&fake));
            for found in [
                from_statistics(&real_stored, &fake_stored, Mean::Float64).unwrap(),
                to_statistics(&real_stored, &fake, Mean::Float64).unwrap(),
            ] {
                assert_near(found.value, expected, 1e-11);
                assert_eq!(found.route, Route::SingularValues);
            }
        }
    }

    /// Thousands of real pictures against a few generated ones, in either order, from rows and from
    /// statistics: against the trace of the root of an explicitly formed product.
    #[test]
    fn one_side_of_full_rank_is_enough_for_no_mistake() {
        for (many, few, dims) in [(200, 20, 24), (90, 31, 64), (400, 12, 130)] {
            let (large, small) = (sample(many, dims, 1), sample(few, dims, 2));
            // The small side's rows F have F^T F = S2, so tr (S1 S2)^(1/2) = tr (F S1 F^T)^(1/2).
            let rows = Side::of_features(&small, Mean::Float64, "fake").unwrap();
            let Spread::Rows(rows) = rows.spread else {
                panic!("fewer rows than dimensions");
            };
            let statistics = statistics_of(&large);
            let covariance = MatRef::from_column_major_slice(statistics.covariance(), dims, dims);
            let inner = &rows * covariance * rows.transpose();
            let roots = inner
                .self_adjoint_eigenvalues(faer::Side::Lower)
                .unwrap()
                .into_iter()
                .map(|value| value.max(0.0).sqrt())
                .sum::<f64>();
            let other = statistics_of(&small);
            let trace = |statistics: &Statistics| -> f64 {
                statistics.covariance().iter().step_by(dims + 1).sum()
            };
            let apart: f64 = statistics
                .mean()
                .iter()
                .zip(other.mean())
                .map(|(a, b)| (a - b) * (a - b))
                .sum();
            let expected = apart + trace(&statistics) + trace(&other) - 2.0 * roots;
            for found in [
                exact(&large, &small, Mean::Float64),
                exact(&small, &large, Mean::Float64),
                from_statistics(&statistics, &other, Mean::Float64),
                from_statistics(&other, &statistics, Mean::Float64),
                to_statistics(&statistics, &small, Mean::Float64),
                to_statistics(&other, &large, Mean::Float64),
            ] {
                let found = found.unwrap();
                assert!(found.trace_term > 0.0, "{found:?}");
                assert_near(found.value, expected, 1e-6);
            }
        }
    }

    #[test]
    fn a_nearly_deficient_covariance_takes_the_route_that_loses_nothing() {
        // Diagonal covariances, whose distance is the sum of (a - b)^2 over the deviations.
        let diagonal = |deviation: &dyn Fn(usize) -> f64| {
            let mut covariance = vec![0.0; 40 * 40];
            for index in 0..40 {
                covariance[index * 41] = deviation(index).powi(2);
            }
            Statistics::new(vec![0.0; 40], covariance).unwrap()
        };
        let steep = |index: usize| 10.0_f64.powf(-(index as f64) / 7.0);
        let (real, fake) = (diagonal(&steep), diagonal(&|index| 1.5 * steep(index)));
        let found = from_statistics(&real, &fake, Mean::Float64).unwrap();
        let expected: f64 = (0..40).map(|index| (0.5 * steep(index)).powi(2)).sum();
        assert_eq!(found.route, Route::SingularValues);
        assert_near(found.value, expected, 1e-9);
        // Turned by a dense reflection it is the same.
        let turned = |statistics: &Statistics| {
            let given = statistics.covariance();
            let reflect = |row: usize, column: usize| f64::from(row == column) - 2.0 / 40.0;
            let mut covariance = vec![0.0; 40 * 40];
            for row in 0..40 {
                for column in 0..40 {
                    covariance[row * 40 + column] = (0..40)
                        .map(|index| {
                            reflect(row, index) * given[index * 41] * reflect(index, column)
                        })
                        .sum();
                }
            }
            Statistics::new(vec![0.0; 40], covariance).unwrap()
        };
        let found = from_statistics(&turned(&real), &turned(&fake), Mean::Float64).unwrap();
        assert_near(found.value, expected, 1e-6);
    }

    #[test]
    fn a_set_is_at_no_distance_from_itself() {
        for rows in [2, 10, 60] {
            let set = sample(rows, 24, 1);
            let found = exact(&set, &set.clone(), Mean::Float64).unwrap();
            assert_eq!((found.value, found.route), (0.0, Route::Identical));
            let stored = statistics_of(&set);
            let found = from_statistics(&stored, &stored.clone(), Mean::Float32).unwrap();
            assert_eq!((found.value, found.route), (0.0, Route::Identical));
            let reversed: Vec<f32> = (0..rows)
                .rev()
                .flat_map(|row| set.row(row))
                .copied()
                .collect();
            let found = value(&set, &Features::new(24, reversed));
            assert!((0.0..1e-12).contains(&found), "{found}");
        }
    }

    #[test]
    fn constant_features_have_a_distance() {
        let constant = |value: f32| Features::new(24, vec![value; 24 * 5]);
        assert_eq!(value(&constant(0.5), &constant(1.0)), 6.0);
        let set = sample(60, 24, 1);
        let found = exact(&set, &constant(0.0), Mean::Float64).unwrap();
        let stored = statistics_of(&set);
        let trace: f64 = stored.covariance().iter().step_by(25).sum();
        assert_near(found.trace_term, trace, 1e-14);
        let stored = from_statistics(&stored, &statistics_of(&constant(0.0)), Mean::Float64);
        assert_near(stored.unwrap().trace_term, trace, 1e-14);
    }

    #[test]
    fn the_size_of_the_features_only_scales_the_distance() {
        for rows in [10, 60] {
            let (real, fake) = (sample(rows, 24, 1), sample(rows, 24, 2));
            let expected = value(&real, &fake);
            for exponent in [-100, 110] {
                let factor = 2.0_f32.powi(exponent);
                let scaled = |features: &Features| {
                    let values = features.values().iter().map(|value| value * factor);
                    Features::new(24, values.collect())
                };
                let found = value(&scaled(&real), &scaled(&fake));
                assert_near(found, expected * 4.0_f64.powi(exponent), 1e-12);
            }
        }
    }

    #[test]
    fn threads_do_not_matter() {
        let (real, fake, few) = (sample(300, 200, 1), sample(320, 200, 2), sample(90, 200, 3));
        let [one, three] = on_one_and_three_threads(|| [value(&real, &fake), value(&real, &few)]);
        assert_eq!(one, three);
    }

    #[test]
    fn unusable_numbers_are_errors_that_name_the_side() {
        let good = sample(60, 24, 1);
        let mut values = good.values().to_vec();
        values[24 * 7 + 3] = f32::NAN;
        let bad = Features::new(24, values);
        let error = exact(&good, &bad, Mean::Float64).unwrap_err().to_string();
        assert!(error.contains("the fake set: row 7"), "{error}");
        let error = exact(&bad, &good, Mean::Float64).unwrap_err().to_string();
        assert!(error.contains("the real set: row 7"), "{error}");
        let error = exact(&good, &sample(1, 24, 1), Mean::Float64)
            .unwrap_err()
            .to_string();
        assert!(error.contains("the fake set has 1 pictures"), "{error}");
        let error = exact(&good, &sample(60, 23, 1), Mean::Float64)
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("24 features") && error.contains("23"),
            "{error}"
        );

        let stored = statistics_of(&good);
        let against = |change: &dyn Fn(&mut Vec<f64>, &mut Vec<f64>)| {
            let (mut mean, mut covariance) = stored.clone().into_parts();
            change(&mut mean, &mut covariance);
            let changed = Statistics::new(mean, covariance).unwrap();
            from_statistics(&stored, &changed, Mean::Float64)
                .unwrap_err()
                .to_string()
        };
        let error = against(&|mean, _| mean[3] = f64::INFINITY);
        assert!(error.contains("the fake set: the mean"), "{error}");
        let error = against(&|_, covariance| covariance[5] = f64::NAN);
        assert!(
            error.contains("the fake set: the covariance holds"),
            "{error}"
        );
        let error = against(&|_, covariance| covariance[5] += 0.1);
        assert!(error.contains("is not symmetric"), "{error}");
        let error = against(&|_, covariance| covariance[25] = -0.1);
        assert!(error.contains("negative eigenvalues"), "{error}");
        let error =
            against(&|_, covariance| covariance.iter_mut().for_each(|value| *value *= 1e200));
        assert!(error.contains("beyond the range"), "{error}");
    }

    #[test]
    fn the_extrapolation_is_numpys_line() {
        // r = numpy.random.RandomState(5); for n in numpy.linspace(20, 200, 5).astype('int32') the exact
        // distance of sample(300, 24, 1) and sample(200, 24, 2)[r.permutation(200)[:n]];
        // numpy.polyfit of them over 1 / n
        let real = sample(300, 24, 1);
        let fake = sample(200, 24, 2);
        let settings = Extrapolation {
            points: 5,
            smallest: 20,
            seed: 5,
        };
        let found = infinity(&real, &fake, Mean::Float64, settings).unwrap();
        let expected = [
            (20, 0.228_944_868_575_563_3),
            (65, 0.146_685_824_730_414_36),
            (110, 0.053_080_353_131_715_34),
            (155, 0.049_714_421_903_740_2),
            (200, 0.045_314_166_908_914_99),
        ];
        for (found, expected) in found.points.iter().zip(&expected) {
            assert_eq!(found.0, expected.0);
            assert_near(found.1, expected.1, 1e-10);
        }
        assert_near(found.value, 0.034_834_583_933_993_434, 1e-9);
        assert_near(found.slope, 4.068_175_971_457_754, 1e-9);
        for (points, smallest) in [(1, 20), (5, 1), (5, 200)] {
            let settings = Extrapolation {
                points,
                smallest,
                seed: 5,
            };
            assert!(infinity(&real, &fake, Mean::Float64, settings).is_err());
        }
    }
}
