//! Matrix products of rows, sums whose order never depends on the processor, and a look for broken
//! values.

use std::ops::Range;

use faer::linalg::matmul::matmul;
use faer::traits::ComplexField;
use faer::{Accum, MatMut, MatRef, Par};
use pulp::{Simd, WithSimd};
use rayon::prelude::*;

use crate::features::Features;

/// Columns of a product that are taken at once: it bounds the memory, and the error of float32 sums.
pub(crate) const DEPTH: usize = 2048;

/// Writes some columns of each row, one row after the other, each part changed by `change(from, to)`.
pub(crate) struct Gather<'a, T, Change> {
    pub(crate) rows: &'a [&'a [f32]],
    pub(crate) columns: Range<usize>,
    pub(crate) change: Change,
    pub(crate) gathered: &'a mut Vec<T>,
}

impl<T: Copy + Default, Change: Fn(&[f32], &mut [T])> WithSimd for Gather<'_, T, Change> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let depth = self.columns.len();
        self.gathered.resize(self.rows.len() * depth, T::default());
        for (row, to) in self.rows.iter().zip(self.gathered.chunks_exact_mut(depth)) {
            (self.change)(&row[self.columns.clone()], to);
        }
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

/// The first row with a value that is not finite, and the first such value in it.
pub(crate) fn first_not_finite(features: &Features) -> Option<(usize, usize)> {
    /// Values looked at without a way out, so that the look becomes vector instructions.
    const AT_ONCE: usize = 1 << 16;
    let chunk_is_finite = |chunk: &[f32]| {
        let all = |all: bool, value: &f32| all & value.is_finite();
        chunk.iter().fold(true, all)
    };
    let values = features.values();
    if values.par_chunks(AT_ONCE).all(chunk_is_finite) {
        return None;
    }
    let place = values.iter().position(|value| !value.is_finite())?;
    Some((place / features.dims(), place % features.dims()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use pulp::Arch;

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
    fn gathered_columns_are_whole_rows_parts() {
        let mut gathered = vec![0.0; 1];
        Arch::new().dispatch(Gather {
            rows: &[&[1.0, 2.0, 3.0], &[4.0, 5.0, 6.0]],
            columns: 1..3,
            change: |from: &[f32], to: &mut [f64]| {
                for (to, from) in to.iter_mut().zip(from) {
                    *to = f64::from(*from);
                }
            },
            gathered: &mut gathered,
        });
        assert_eq!(gathered, [2.0, 3.0, 5.0, 6.0]);
    }

    #[test]
    fn the_first_broken_value_is_found() {
        let mut values = vec![0.5; 70_000 * 3];
        assert_eq!(first_not_finite(&Features::new(3, values.clone())), None);
        values[69_000 * 3 + 2] = f32::NAN;
        values[69_500 * 3] = f32::INFINITY;
        assert_eq!(
            first_not_finite(&Features::new(3, values)),
            Some((69_000, 2))
        );
    }

    #[test]
    fn a_sum_takes_every_value_once() {
        for count in [0usize, 1, 7, 8, 9, 1000] {
            let values: Vec<f64> = (1..=count).map(|value| value as f64).collect();
            assert_eq!(sum(&values), (count * (count + 1) / 2) as f64);
        }
    }
}
