//! Eigenvalues of a symmetric matrix in two stages: to a band by products of matrices, then from the
//! band to three diagonals within the cache (Bischof, Lang and Sun 2000, "A framework for symmetric
//! band reduction"). In one stage most of the time goes to waiting for memory.

use faer::linalg::matmul::matmul;
use faer::linalg::matmul::triangular::{self, BlockStructure};
use faer::reborrow::{Reborrow, ReborrowMut};
use faer::{Accum, Mat, MatMut, MatRef, Par};
use pulp::{Arch, NullaryFnOnce};
use rayon::prelude::*;

/// How many diagonals below the main one the first stage leaves.
const BAND: usize = 32;

/// A column of the band in the second stage: bulges reach twice as far down as the band.
const REACH: usize = 2 * BAND;

/// Rows of a symmetric matrix that one task multiplies.
const STRIP: usize = 128;

/// The eigenvalues, in ascending order, of the symmetric matrix whose lower triangle is given.
///
/// The errors are a few units of rounding of the largest eigenvalue. The result is the same for any
/// number of threads; `products` divides the products of matrices. `None` where the iteration does
/// not end, which finite numbers of moderate size do not cause.
///
/// # Panics
/// Where the matrix is not square.
pub(crate) fn symmetric_eigenvalues(mut matrix: Mat<f64>, products: Par) -> Option<Vec<f64>> {
    assert_eq!(matrix.nrows(), matrix.ncols(), "a square matrix");
    if matrix.nrows() == 0 {
        return Some(Vec::new());
    }
    reduce_to_band(matrix.as_mut(), products);
    let (diagonal, below) = reduce_to_three_diagonals(&matrix);
    eigenvalues_of_three_diagonals(diagonal, &below)
}

/// Sum of products in eight lanes, so that the order of the sum is the same on every machine.
#[inline(always)]
fn dot(left: &[f64], right: &[f64]) -> f64 {
    let (left_lanes, left_rest) = left.as_chunks::<8>();
    let (right_lanes, right_rest) = right.as_chunks::<8>();
    let mut sums = [0.0; 8];
    for (left, right) in left_lanes.iter().zip(right_lanes) {
        for lane in 0..8 {
            sums[lane] += left[lane] * right[lane];
        }
    }
    for half in [4, 2, 1] {
        for lane in 0..half {
            sums[lane] += sums[lane + half];
        }
    }
    left_rest
        .iter()
        .zip(right_rest)
        .fold(sums[0], |sum, (left, right)| sum + left * right)
}

#[inline(always)]
fn add_scaled(target: &mut [f64], scale: f64, values: &[f64]) {
    for (place, value) in target.iter_mut().zip(values) {
        *place += scale * value;
    }
}

/// Turns `x` into the v, with v\[0\] = 1, of the reflection 1 - tau v v^T that maps it to beta e0. Gives
/// tau and beta.
#[inline(always)]
fn make_reflection(x: &mut [f64]) -> (f64, f64) {
    let head = std::mem::replace(&mut x[0], 1.0);
    let tail = dot(&x[1..], &x[1..]);
    if tail == 0.0 {
        return (0.0, head);
    }
    let norm = (head * head + tail).sqrt();
    // The sign that the difference below cannot cancel with.
    let beta = -norm.copysign(head);
    let scale = 1.0 / (head - beta);
    for value in &mut x[1..] {
        *value *= scale;
    }
    ((beta - head) / beta, beta)
}

/// Makes a panel upper triangular, and notes the reflections that did it.
struct Panel<'a> {
    /// Columns of `height` numbers.
    values: &'a mut [f64],
    height: usize,
    /// A column for each reflection, zero above its leading 1.
    reflections: &'a mut [f64],
    taus: &'a mut [f64],
}

impl NullaryFnOnce for Panel<'_> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        let height = self.height;
        for (index, tau) in self.taus.iter_mut().enumerate() {
            let (done, rest) = self.values.split_at_mut((index + 1) * height);
            let column = &mut done[index * height + index..];
            let reflection = &mut self.reflections[index * height + index..(index + 1) * height];
            reflection.copy_from_slice(column);
            let (this_tau, beta) = make_reflection(reflection);
            *tau = this_tau;
            column[0] = beta;
            column[1..].fill(0.0);
            for other in rest.chunks_exact_mut(height) {
                let other = &mut other[index..];
                let along = this_tau * dot(reflection, other);
                add_scaled(other, -along, reflection);
            }
        }
    }
}

/// Leaves `BAND` diagonals below the main one. Only the lower triangle is read and written.
fn reduce_to_band(mut matrix: MatMut<'_, f64>, products: Par) {
    let count = matrix.nrows();
    for start in (0..count).step_by(BAND) {
        let below = start + BAND;
        // A single row below the panel lies within the band already.
        if below + 1 >= count {
            break;
        }
        let rest = count - below;
        let width = BAND.min(rest);
        let mut panel = matrix.rb_mut().submatrix_mut(below, start, rest, BAND);
        let mut values = vec![0.0; rest * BAND];
        MatMut::from_column_major_slice_mut(&mut values, rest, BAND).copy_from(panel.rb());
        let mut reflections = vec![0.0; rest * width];
        let mut taus = vec![0.0; width];
        Arch::new().dispatch(Panel {
            values: &mut values,
            height: rest,
            reflections: &mut reflections,
            taus: &mut taus,
        });
        panel.copy_from(MatRef::from_column_major_slice(&values, rest, BAND));
        let reflections = MatRef::from_column_major_slice(&reflections, rest, width);
        let trailing = matrix.rb_mut().submatrix_mut(below, below, rest, rest);
        reflect_both_sides(trailing, reflections, &taus, products);
    }
}

/// `matrix` := Q^T `matrix` Q, Q the product of the reflections.
///
/// With Q = 1 - V T V^T (Schreiber and Van Loan 1989) and P = A V T, the result is A - V W^T - W V^T
/// where W = P - V (T^T V^T P) / 2.
fn reflect_both_sides(
    mut matrix: MatMut<'_, f64>,
    reflections: MatRef<'_, f64>,
    taus: &[f64],
    products: Par,
) {
    let (rest, width) = reflections.shape();
    let multiply = |left: MatRef<'_, f64>, right: MatRef<'_, f64>| {
        let mut product = Mat::<f64>::zeros(left.nrows(), right.ncols());
        let target = product.as_mut();
        matmul(target, Accum::Replace, left, right, 1.0, Par::Seq);
        product
    };
    let factor = compact_factor(
        multiply(reflections.transpose(), reflections).as_ref(),
        taus,
    );
    let factor = factor.as_ref();
    let mut product = multiply(symmetric_product(matrix.rb(), reflections).as_ref(), factor);
    let inner = multiply(
        factor.transpose(),
        multiply(reflections.transpose(), product.as_ref()).as_ref(),
    );
    matmul(
        product.as_mut(),
        Accum::Add,
        reflections,
        inner.as_ref(),
        -0.5,
        Par::Seq,
    );
    let beside = |left: MatRef<'_, f64>, right: MatRef<'_, f64>| {
        let mut both = Mat::<f64>::zeros(rest, 2 * width);
        both.as_mut().subcols_mut(0, width).copy_from(left);
        both.as_mut().subcols_mut(width, width).copy_from(right);
        both
    };
    triangular::matmul(
        matrix.rb_mut(),
        BlockStructure::TriangularLower,
        Accum::Add,
        beside(reflections, product.as_ref()).as_ref(),
        BlockStructure::Rectangular,
        beside(product.as_ref(), reflections).transpose(),
        BlockStructure::Rectangular,
        -1.0,
        products,
    );
}

/// The upper triangular T of Q = 1 - V T V^T, from V^T V and the taus.
fn compact_factor(gram: MatRef<'_, f64>, taus: &[f64]) -> Mat<f64> {
    let mut factor = Mat::<f64>::zeros(taus.len(), taus.len());
    for (column, tau) in taus.iter().enumerate() {
        for row in 0..column {
            let sum: f64 = (row..column)
                .map(|index| factor[(row, index)] * gram[(index, column)])
                .sum();
            factor[(row, column)] = -tau * sum;
        }
        factor[(column, column)] = *tau;
    }
    factor
}

/// The product with `right` of the symmetric matrix whose lower triangle is given.
fn symmetric_product(matrix: MatRef<'_, f64>, right: MatRef<'_, f64>) -> Mat<f64> {
    let count = matrix.nrows();
    let mut product = Mat::<f64>::zeros(count, right.ncols());
    product
        .as_mut()
        .par_row_chunks_mut(STRIP)
        .enumerate()
        .for_each(|(index, mut strip)| {
            let start = index * STRIP;
            let height = strip.nrows();
            let after = start + height;
            let square = matrix.submatrix(start, start, height, height);
            let triangles = [
                (square, BlockStructure::TriangularLower),
                (square.transpose(), BlockStructure::StrictTriangularUpper),
            ];
            for (triangle, structure) in triangles {
                triangular::matmul(
                    strip.rb_mut(),
                    BlockStructure::Rectangular,
                    Accum::Add,
                    triangle,
                    structure,
                    right.subrows(start, height),
                    BlockStructure::Rectangular,
                    1.0,
                    Par::Seq,
                );
            }
            let left_of = matrix.submatrix(start, 0, height, start);
            let below = matrix.submatrix(after, start, count - after, height);
            for (left, right) in [
                (left_of, right.subrows(0, start)),
                (below.transpose(), right.subrows(after, count - after)),
            ] {
                matmul(strip.rb_mut(), Accum::Add, left, right, 1.0, Par::Seq);
            }
        });
    product
}

/// Chases each column's bulge out of the band (Lang 1993; the first column of every bulge is removed,
/// the rest is left to the next sweeps).
struct Chase<'a> {
    /// Columns of `REACH` numbers from the diagonal down.
    band: &'a mut [f64],
    count: usize,
}

impl NullaryFnOnce for Chase<'_> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        let Self { band, count } = self;
        let mut reflection = [0.0; BAND];
        for column in 0..count - 1 {
            let mut start = column + 1;
            let mut end = (start + BAND).min(count);
            let first = &mut band[column * REACH + 1..][..end - start];
            reflection[..end - start].copy_from_slice(first);
            let (mut tau, beta) = make_reflection(&mut reflection[..end - start]);
            first.fill(0.0);
            first[0] = beta;
            loop {
                let this = &reflection[..end - start];
                reflect_diagonal_block(&mut band[start * REACH..end * REACH], this, tau);
                let height = (end + BAND).min(count) - end;
                if height == 0 {
                    break;
                }
                let mut next = [0.0; BAND];
                tau = reflect_block_below(
                    &mut band[start * REACH..end * REACH],
                    this,
                    tau,
                    &mut next[..height],
                );
                reflection = next;
                start = end;
                end += height;
            }
        }
    }
}

/// Applies the reflection to both sides of the square that its rows and columns share.
#[inline(always)]
fn reflect_diagonal_block(columns: &mut [f64], reflection: &[f64], tau: f64) {
    let size = reflection.len();
    let mut product = [0.0; BAND];
    let product = &mut product[..size];
    for (index, column) in columns.chunks_exact(REACH).enumerate() {
        let below = &column[1..size - index];
        product[index] += column[0] * reflection[index] + dot(below, &reflection[index + 1..]);
        add_scaled(&mut product[index + 1..], reflection[index], below);
    }
    let share = -0.5 * tau * tau * dot(product, reflection);
    for (value, reflection) in product.iter_mut().zip(reflection) {
        *value = tau * *value + share * reflection;
    }
    for (index, column) in columns.chunks_exact_mut(REACH).enumerate() {
        let (along, across) = (reflection[index], product[index]);
        for ((place, value), reflection) in column
            .iter_mut()
            .zip(&product[index..])
            .zip(&reflection[index..])
        {
            *place -= reflection * across + value * along;
        }
    }
}

/// Applies the reflection to the right side of the block below the square, and finds and applies the
/// reflection of its rows that empties its first column, whose tau it gives.
#[inline(always)]
fn reflect_block_below(columns: &mut [f64], reflection: &[f64], tau: f64, next: &mut [f64]) -> f64 {
    let (size, height) = (reflection.len(), next.len());
    let mut product = [0.0; BAND];
    let product = &mut product[..height];
    for (index, column) in columns.chunks_exact(REACH).enumerate() {
        let block = &column[size - index..][..height];
        add_scaled(product, reflection[index], block);
    }
    let first = &mut columns[size..][..height];
    for ((place, value), product) in next.iter_mut().zip(&*first).zip(&*product) {
        *place = value - tau * product;
    }
    let (next_tau, beta) = make_reflection(next);
    first.fill(0.0);
    first[0] = beta;
    let crossed = dot(next, product);
    for (index, column) in columns.chunks_exact_mut(REACH).enumerate().skip(1) {
        let block = &mut column[size - index..][..height];
        let right = tau * reflection[index];
        let left = next_tau * (dot(block, next) - right * crossed);
        for ((place, product), next) in block.iter_mut().zip(&*product).zip(&*next) {
            *place -= right * product + left * next;
        }
    }
    next_tau
}

/// The diagonal and the subdiagonal that remain of a band in the lower triangle of `matrix`.
fn reduce_to_three_diagonals(matrix: &Mat<f64>) -> (Vec<f64>, Vec<f64>) {
    let count = matrix.nrows();
    let mut band = vec![0.0; count * REACH];
    for (column, places) in band.chunks_exact_mut(REACH).enumerate() {
        for (place, row) in places.iter_mut().zip(column..count).take(BAND + 1) {
            *place = matrix[(row, column)];
        }
    }
    Arch::new().dispatch(Chase {
        band: &mut band,
        count,
    });
    let diagonal = band.iter().step_by(REACH).copied().collect();
    let below = band[1..].iter().step_by(REACH).take(count - 1).copied();
    (diagonal, below.collect())
}

/// QL iteration without roots on the squares of the subdiagonal (the variant of Pal, Walker and Kahan
/// in Parlett 1980, "The Symmetric Eigenvalue Problem", section 8.15).
fn eigenvalues_of_three_diagonals(mut diagonal: Vec<f64>, below: &[f64]) -> Option<Vec<f64>> {
    let count = diagonal.len();
    let mut squares: Vec<f64> = below.iter().map(|value| value * value).collect();
    squares.push(0.0);
    let mut sweeps_left = 30 * count;
    let mut first = 0;
    while first < count {
        let mut last = first;
        while last + 1 < count {
            let scale = (diagonal[last] * diagonal[last + 1]).abs();
            if squares[last] <= f64::EPSILON * f64::EPSILON * scale + f64::MIN_POSITIVE {
                squares[last] = 0.0;
                break;
            }
            last += 1;
        }
        if last == first {
            first += 1;
            continue;
        }
        sweeps_left = sweeps_left.checked_sub(1)?;
        sweep(&mut diagonal[first..=last], &mut squares[first..last]);
    }
    diagonal.sort_unstable_by(f64::total_cmp);
    Some(diagonal)
}

/// One QL sweep, with Wilkinson's shift, over a block that no zero divides.
fn sweep(diagonal: &mut [f64], squares: &mut [f64]) {
    let head = diagonal[0];
    let root = squares[0].sqrt();
    let half = (diagonal[1] - head) / (2.0 * root);
    let shift = head - root / (half + half.hypot(1.0).copysign(half));
    let last = squares.len();
    let mut cosine = 1.0;
    let mut sine = 0.0;
    let mut gamma = diagonal[last] - shift;
    let mut power = gamma * gamma;
    for index in (0..last).rev() {
        let square = squares[index];
        let sum = power + square;
        if index + 1 < last {
            squares[index + 1] = sine * sum;
        }
        let cosine_before = std::mem::replace(&mut cosine, power / sum);
        sine = square / sum;
        let value = diagonal[index];
        let gamma_before = gamma;
        gamma = cosine * (value - shift) - sine * gamma_before;
        diagonal[index + 1] = gamma_before + (value - gamma);
        power = if cosine == 0.0 {
            cosine_before * square
        } else {
            gamma * gamma / cosine
        };
    }
    squares[0] = sine * power;
    diagonal[0] = shift + gamma;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples::{on_one_and_three_threads, sample};
    use std::f64::consts::PI;

    fn eigenvalues_of(count: usize, element: impl Fn(usize, usize) -> f64) -> Vec<f64> {
        // What stands above the diagonal must not matter.
        let matrix = Mat::from_fn(count, count, |row, column| {
            if row >= column {
                element(row, column)
            } else {
                f64::NAN
            }
        });
        symmetric_eigenvalues(matrix, Par::rayon(4)).unwrap()
    }

    #[test]
    fn a_dense_matrix_has_its_known_eigenvalues() {
        // min(i, j) is the inverse of the second difference with one free end.
        for count in [1, 2, 3, 31, 32, 33, 34, 64, 65, 66, 130, 300] {
            let found = eigenvalues_of(count, |row, column| (row.min(column) + 1) as f64);
            let expected = |index: usize| {
                let half = PI * (2 * (count - index) - 1) as f64 / (4 * count + 2) as f64;
                1.0 / (4.0 * half.sin().powi(2))
            };
            let largest = expected(count - 1);
            for (index, found) in found.iter().enumerate() {
                let error = (found - expected(index)).abs() / largest;
                assert!(error < 4e-15, "{count}: {found} is not {}", expected(index));
            }
        }
    }

    #[test]
    fn special_matrices_have_their_eigenvalues() {
        assert!(eigenvalues_of(0, |_, _| 1.0).is_empty());
        assert_eq!(eigenvalues_of(70, |_, _| 0.0), vec![0.0; 70]);
        let diagonal = eigenvalues_of(
            70,
            |row, column| {
                if row == column { -(row as f64) } else { 0.0 }
            },
        );
        let expected: Vec<f64> = (0..70).map(|index| index as f64 - 69.0).collect();
        assert_eq!(diagonal, expected);
        let ones = eigenvalues_of(70, |_, _| 1.0);
        assert!((ones[69] - 70.0).abs() < 1e-12 && ones[0].abs() < 1e-13 && ones[68].abs() < 1e-13);
    }

    #[test]
    fn traces_of_the_matrix_and_its_square_are_kept() {
        let features = sample(200, 200, 1);
        let element = |row: usize, column: usize| f64::from(features.row(row)[column]);
        let found = eigenvalues_of(200, element);
        let trace: f64 = (0..200).map(|index| element(index, index)).sum();
        let squares: f64 = (0..200)
            .flat_map(|row| (0..row).map(move |column| 2.0 * element(row, column).powi(2)))
            .chain((0..200).map(|index| element(index, index).powi(2)))
            .sum();
        let found_squares: f64 = found.iter().map(|value| value * value).sum();
        assert!((found.iter().sum::<f64>() - trace).abs() < 1e-12 * squares.sqrt());
        assert!((found_squares - squares).abs() < 1e-13 * squares);
    }

    #[test]
    fn threads_do_not_matter() {
        let features = sample(400, 400, 2);
        let [one, three] = on_one_and_three_threads(|| {
            eigenvalues_of(400, |row, column| f64::from(features.row(row)[column]))
        });
        assert_eq!(one, three);
    }
}
