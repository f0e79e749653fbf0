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

/// One side of a distance. Its factor is divided by a power of two, so that no product of two sides
/// leaves the range of float64.
struct Side {
    mean: Vec<f64>,
    trace: f64,
    /// What the factor was divided by, and the root of what the covariance was.
    scale: f64,
    spread: Spread,
    name: &'static str,
}

enum Spread {
    /// Centred rows F with F^T F = S.
    Rows(Mat<f64>),
    Covariance(Mat<f64>),
}

impl Side {
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
            return Err(not_finite(
                name,
                &format!("the features of picture {}", index / dims + 1),
            ));
        }
        if rows > dims {
            let mut moments = Moments::new(dims);
            moments.push(features);
            return Self::of_statistics(&moments.statistics(mean)?, name);
        }
        let middle = column_means(features, Mean::Float64);
        let root = ((rows - 1) as f64).sqrt();
        let mut spread = Mat::from_fn(rows, dims, |row, column| {
            (f64::from(features.row(row)[column]) - middle[column]) / root
        });
        let trace = spread.squared_norm_l2();
        let largest = spread.norm_max();
        let scale = power_of_two(largest);
        spread *= faer::Scale(1.0 / scale);
        Ok(Self {
            mean: match mean {
                Mean::Float64 => middle,
                Mean::Float32 => column_means(features, Mean::Float32),
            },
            trace,
            scale,
            spread: Spread::Rows(spread),
            name,
        })
    }

    fn of_statistics(statistics: &Statistics, name: &'static str) -> anyhow::Result<Self> {
        let dims = statistics.dims();
        let covariance = statistics.covariance();
        if !statistics.mean().iter().all(|value| value.is_finite()) {
            return Err(not_finite(name, "the mean"));
        }
        if !covariance.iter().all(|value| value.is_finite()) {
            return Err(not_finite(name, "the covariance"));
        }
        let variances = || (0..dims).map(|index| covariance[index * dims + index]);
        let largest = variances().fold(0.0, f64::max);
        let scale = power_of_two(largest.sqrt());
        let inverse = 1.0 / scale;
        if !is_symmetric(covariance, dims, ASYMMETRY * largest) {
            return Err(no_covariance(name, "is not symmetric"));
        }
        let mut spread = Mat::<f64>::zeros(dims, dims);
        spread
            .as_mut()
            .par_col_iter_mut()
            .zip(covariance.par_chunks_exact(dims))
            .for_each(|(column, values)| {
                for (place, value) in column.iter_mut().zip(values) {
                    *place = value * inverse * inverse;
                }
            });
        Ok(Self {
            mean: statistics.mean().to_vec(),
            trace: variances().sum(),
            scale,
            spread: Spread::Covariance(spread),
            name,
        })
    }
}

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

/// The power of two next below a number; 1 for zero.
fn power_of_two(number: f64) -> f64 {
    if number < f64::MIN_POSITIVE {
        return 1.0;
    }
    f64::from_bits(number.to_bits() & 0x7ff0_0000_0000_0000)
}

fn between(real: &Side, fake: &Side, mean: Mean) -> anyhow::Result<Distance> {
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
    let trace_term = real.trace + fake.trace - 2.0 * root * real.scale * fake.scale;
    let value = mean_term + trace_term.max(0.0);
    if !value.is_finite() {
        return Err(failure(
            Kind::Data,
            "the distance is beyond the range of float64; the features are far too large",
        ));
    }
    Ok(Distance {
        value,
        mean_term,
        trace_term: trace_term.max(0.0),
        route,
    })
}

/// The trace of (S1 S2)^(1/2) of the scaled sides.
fn trace_of_root(real: &Side, fake: &Side) -> anyhow::Result<(f64, Route)> {
    if let (Spread::Covariance(first), Spread::Covariance(second)) = (&real.spread, &fake.spread)
        && let Some(root) = by_eigenvalues(first, second)
    {
        return Ok((root, Route::Eigenvalues));
    }
    let real = factor(real)?;
    let fake = factor(fake)?;
    let mut product = Mat::<f64>::zeros(real.nrows(), fake.nrows());
    matmul(
        product.as_mut(),
        Accum::Replace,
        real.as_ref(),
        fake.transpose(),
        1.0,
        division(),
    );
    Ok((
        sum_of_singular_values(product.as_ref())?,
        Route::SingularValues,
    ))
}

/// The Cholesky factor of a covariance of clearly full rank, with zeros above the diagonal.
fn cholesky(covariance: &Mat<f64>) -> Option<Mat<f64>> {
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

/// How large a share of the trace the rounding of eigenvalues may reach before singular values, which
/// are slower and lose nothing to the root, take their place.
const ROOT_ROUNDING: f64 = 1e-9;

/// The sum of the roots of the eigenvalues of L^T S2 L; `None` where a covariance is not clearly of full
/// rank, for there the root turns rounding of 1e-16 into 1e-8.
fn by_eigenvalues(first: &Mat<f64>, second: &Mat<f64>) -> Option<f64> {
    let dims = first.nrows();
    let lower = cholesky(first)?;
    let mut half = Mat::<f64>::zeros(dims, dims);
    triangular::matmul(
        half.as_mut(),
        BlockStructure::Rectangular,
        Accum::Replace,
        second.as_ref(),
        BlockStructure::Rectangular,
        lower.as_ref(),
        BlockStructure::TriangularLower,
        1.0,
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
        1.0,
        division(),
    );
    drop((lower, half));
    let eigenvalues = symmetric_eigenvalues(product, division())?;
    let largest = eigenvalues.last().copied()?;
    // An eigenvalue is known to about this, its root to this over twice the root.
    let error = 4.0 * f64::EPSILON * largest;
    let (mut sum, mut doubt) = (0.0, 0.0);
    for eigenvalue in eigenvalues {
        let root = eigenvalue.max(0.0).sqrt();
        sum += root;
        doubt += if eigenvalue > error {
            error / (2.0 * root)
        } else {
            error.sqrt()
        };
    }
    (doubt <= ROOT_ROUNDING * sum).then_some(sum)
}

/// Rows F with F^T F = S.
fn factor(side: &Side) -> anyhow::Result<Mat<f64>> {
    match &side.spread {
        Spread::Rows(rows) => Ok(rows.clone()),
        Spread::Covariance(covariance) => match cholesky(covariance) {
            Some(lower) => Ok(lower.transpose().to_owned()),
            None => factor_of_deficient(covariance, side.name),
        },
    }
}

/// Eigenvectors times the roots of their eigenvalues, without those that are rounding.
fn factor_of_deficient(covariance: &Mat<f64>, name: &str) -> anyhow::Result<Mat<f64>> {
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
        covariance.as_ref(),
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
