//! Matrix products of rows, and sums whose order never depends on the processor.

use std::ops::Range;

use faer::linalg::matmul::matmul;
use faer::traits::ComplexField;
use faer::{Accum, MatMut, MatRef, Par};

/// Columns of a product that are taken at once: it bounds the memory, and the error of float32 sums.
pub(crate) const DEPTH: usize = 2048;

/// Some columns of some rows, row after row, each value changed by `change(column, value)`.
pub(crate) fn gather<T>(
    rows: &[f32],
    dims: usize,
    columns: Range<usize>,
    change: impl Fn(usize, f32) -> T,
    gathered: &mut Vec<T>,
) {
    gathered.clear();
    for row in rows.chunks_exact(dims) {
        let first = columns.start;
        let values = row[columns.clone()].iter().enumerate();
        gathered.extend(values.map(|(column, value)| change(first + column, *value)));
    }
}

/// The inner product of every row of `left` with every row of `right`, on the calling thread: written
/// to `products`, or added to them.
///
/// # Shapes
/// - `left`: `[n, dims]`, `right`: `[m, dims]`, `products`: `[n, m]`, all row after row
pub(crate) fn inner_products<T: ComplexField>(
    left: &[T],
    right: &[T],
    dims: usize,
    accumulate: Accum,
    products: &mut [T],
) {
    let (rows, columns) = (left.len() / dims, right.len() / dims);
    matmul(
        MatMut::from_row_major_slice_mut(products, rows, columns),
        accumulate,
        MatRef::from_row_major_slice(left, rows, dims),
        MatRef::from_row_major_slice(right, columns, dims).transpose(),
        T::one_impl(),
        Par::Seq,
    );
}

/// Partial sums that are kept side by side, so that any vector width adds in the same order.
pub(crate) const LANES: usize = 8;

/// The sum of `values`, added in an order that depends on their number alone.
#[inline(always)]
pub(crate) fn sum(values: &[f64]) -> f64 {
    let mut lanes = [0.0; LANES];
    let (chunks, rest) = values.as_chunks::<LANES>();
    for chunk in chunks {
        for (lane, value) in lanes.iter_mut().zip(chunk) {
            *lane += value;
        }
    }
    let mut total = 0.0;
    for value in lanes.iter().chain(rest) {
        total += value;
    }
    total
}

/// The squared length of a row in float64, by the rules of [`sum`].
#[inline(always)]
pub(crate) fn squared_length<T: Copy>(row: &[T]) -> f64
where
    f64: From<T>,
{
    let mut lanes = [0.0; LANES];
    let (chunks, rest) = row.as_chunks::<LANES>();
    for chunk in chunks {
        for (lane, value) in lanes.iter_mut().zip(chunk) {
            *lane += f64::from(*value) * f64::from(*value);
        }
    }
    let mut total = lanes.iter().sum();
    for value in rest {
        total += f64::from(*value) * f64::from(*value);
    }
    total
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn products_are_of_rows_with_rows() {
        let left = [1.0f64, 2.0, 3.0, 4.0, 5.0, 6.0];
        let right = [1.0, 0.0, -1.0, 2.0];
        let mut products = [9.0; 6];
        inner_products(&left, &right, 2, Accum::Replace, &mut products);
        assert_eq!(products, [1.0, 3.0, 3.0, 5.0, 5.0, 7.0]);
        inner_products(&left, &right, 2, Accum::Add, &mut products);
        assert_eq!(products, [2.0, 6.0, 6.0, 10.0, 10.0, 14.0]);
    }

    #[test]
    fn gathered_columns_are_told_which_they_are() {
        let rows = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0];
        let mut gathered = vec![0.0];
        gather(
            &rows,
            3,
            1..3,
            |column, value| value + 100.0 * column as f32,
            &mut gathered,
        );
        assert_eq!(gathered, [102.0, 203.0, 105.0, 206.0]);
    }

    #[test]
    fn a_sum_takes_every_value_once() {
        for count in [0usize, 1, 7, 8, 9, 1000] {
            let values: Vec<f64> = (1..=count).map(|value| value as f64).collect();
            assert_eq!(sum(&values), (count * (count + 1) / 2) as f64);
        }
    }
}
