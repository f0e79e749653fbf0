//! Mean and covariance of features, gathered as they come.

use faer::linalg::matmul::matmul;
use faer::{Accum, MatMut, MatRef, Par};
use rayon::prelude::*;
use std::borrow::Cow;

use crate::failure::{Kind, failure};
use crate::features::Features;

/// Rows that are centred and multiplied together. A fixed number, so that sums are divided alike
/// however the rows arrive; one less than a power of two, for one row is added to them.
const BLOCK: usize = 255;

/// Side of the tiles that the scatter matrix is kept in.
const TILE: usize = 256;

/// How the mean of the rows is summed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Mean {
    /// Sums in float64, as pytorch-fid 0.3.0 and torchmetrics 1.9.0.
    #[default]
    Float64,
    /// Sums in float32, row after row, as `numpy.mean` of float32 features: clean-fid 0.1.35 and
    /// torch-fidelity 0.4.0. Moves a Fréchet distance by about 5e-8 of its value.
    Float32,
}

/// Mean and unbiased covariance of a set of features.
#[derive(Debug, Clone, PartialEq)]
pub struct Statistics {
    mean: Vec<f64>,
    covariance: Vec<f64>,
}

impl Statistics {
    /// A mean of `d` numbers and a covariance of `d` rows of `d` numbers, row after row.
    ///
    /// # Errors
    /// [`Kind::Data`] where the two shapes do not fit, or the mean is empty.
    pub fn new(mean: Vec<f64>, covariance: Vec<f64>) -> anyhow::Result<Self> {
        if mean.is_empty() {
            return Err(failure(
                Kind::Data,
                "the mean of these statistics is empty; make the file again",
            ));
        }
        if mean.len().checked_mul(mean.len()) != Some(covariance.len()) {
            return Err(failure(
                Kind::Data,
                format!(
                    "a mean of {dims} numbers needs a covariance of {dims} x {dims}, this one has {} numbers; \
                     make the file again",
                    covariance.len(),
                    dims = mean.len(),
                ),
            ));
        }
        Ok(Self { mean, covariance })
    }

    /// The mean and the covariance.
    pub fn into_parts(self) -> (Vec<f64>, Vec<f64>) {
        (self.mean, self.covariance)
    }

    /// How many numbers a row of the features had.
    pub fn dims(&self) -> usize {
        self.mean.len()
    }

    /// The mean of the rows.
    pub fn mean(&self) -> &[f64] {
        &self.mean
    }

    /// The covariance, `dims` rows of `dims` numbers.
    pub fn covariance(&self) -> &[f64] {
        &self.covariance
    }
}

/// What is known of a range of columns.
#[derive(Debug, Clone)]
struct Columns {
    start: usize,
    mean: Vec<f64>,
    float32_sum: Vec<f32>,
}

impl Columns {
    fn width(&self) -> usize {
        self.mean.len()
    }

    /// Takes rows into the mean, and gives them centred, `width` numbers a row. The last row holds the
    /// step between the mean so far and the mean of these rows, so weighted that the product of the
    /// result with itself is what the scatter about the new mean grows by (Chan, Golub and LeVeque 1983).
    fn absorb(&mut self, rows: &[f32], dims: usize, before: usize) -> Vec<f64> {
        let width = self.width();
        let range = self.start..self.start + width;
        let added = rows.len() / dims;
        let mut block_mean = vec![0.0; width];
        for row in rows.chunks_exact(dims) {
            for ((sum, float32_sum), value) in block_mean
                .iter_mut()
                .zip(&mut self.float32_sum)
                .zip(&row[range.clone()])
            {
                *sum += f64::from(*value);
                *float32_sum += value;
            }
        }
        block_mean.iter_mut().for_each(|sum| *sum /= added as f64);
        let mut centred = Vec::with_capacity((added + 1) * width);
        for row in rows.chunks_exact(dims) {
            centred.extend(
                row[range.clone()]
                    .iter()
                    .zip(&block_mean)
                    .map(|(value, mean)| f64::from(*value) - mean),
            );
        }
        let share = added as f64 / (before + added) as f64;
        let weight = (before as f64 * share).sqrt();
        for (mean, block_mean) in self.mean.iter_mut().zip(&block_mean) {
            let step = block_mean - *mean;
            centred.push(weight * step);
            *mean += share * step;
        }
        centred
    }
}

/// One tile of the scatter matrix: the rows of `first`, the columns of `second`, column after column.
#[derive(Debug, Clone)]
struct Tile {
    first: usize,
    second: usize,
    values: Vec<f64>,
}

/// Mean and scatter of rows that arrive in any portions.
///
/// Rows are summed in blocks of 255 about each block's own mean, in float64, so the result depends
/// neither on the portions nor on the number of threads. Memory: half of `dims` x `dims` float64 and
/// two blocks. [`Moments::merge`] joins two summaries; the same merges give the same digits.
#[derive(Debug, Clone)]
pub struct Moments {
    dims: usize,
    /// Rows in the mean and the scatter.
    absorbed: usize,
    /// Rows that wait for their block to fill.
    pending: Vec<f32>,
    columns: Vec<Columns>,
    scatter: Vec<Tile>,
}

impl Moments {
    /// Moments of no rows of `dims` numbers.
    ///
    /// # Panics
    /// Where `dims` is zero.
    pub fn new(dims: usize) -> Self {
        assert!(dims > 0, "features have at least one number a row");
        let columns: Vec<Columns> = (0..dims)
            .step_by(TILE)
            .map(|start| {
                let width = TILE.min(dims - start);
                Columns {
                    start,
                    mean: vec![0.0; width],
                    float32_sum: vec![0.0; width],
                }
            })
            .collect();
        let scatter = (0..columns.len())
            .flat_map(|first| (0..=first).map(move |second| (first, second)))
            .map(|(first, second)| Tile {
                first,
                second,
                values: vec![0.0; columns[first].width() * columns[second].width()],
            })
            .collect();
        Self {
            dims,
            absorbed: 0,
            pending: Vec::new(),
            columns,
            scatter,
        }
    }

    /// Takes in more rows.
    ///
    /// # Panics
    /// Where the rows have another length than those of [`Moments::new`].
    pub fn push(&mut self, features: &Features) {
        assert_eq!(
            features.dims(),
            self.dims,
            "all rows have the same number of features"
        );
        let block = BLOCK * self.dims;
        let mut rest = features.values();
        if !self.pending.is_empty() {
            let (filling, after) = rest.split_at(rest.len().min(block - self.pending.len()));
            self.pending.extend_from_slice(filling);
            rest = after;
            if self.pending.len() < block {
                return;
            }
            let full = std::mem::take(&mut self.pending);
            self.absorb(&full);
        }
        let mut blocks = rest.chunks_exact(block);
        for full in &mut blocks {
            self.absorb(full);
        }
        self.pending.extend_from_slice(blocks.remainder());
    }

    /// Takes in the rows of another summary.
    ///
    /// # Panics
    /// Where the other's rows have another length.
    pub fn merge(&mut self, mut other: Self) {
        assert_eq!(
            other.dims, self.dims,
            "all rows have the same number of features"
        );
        self.settle();
        other.settle();
        if other.absorbed == 0 {
            return;
        }
        let share = other.absorbed as f64 / (self.absorbed + other.absorbed) as f64;
        let weight = self.absorbed as f64 * share;
        let steps: Vec<Vec<f64>> = self
            .columns
            .iter_mut()
            .zip(&other.columns)
            .map(|(columns, others)| {
                for (sum, added) in columns.float32_sum.iter_mut().zip(&others.float32_sum) {
                    *sum += added;
                }
                let steps: Vec<f64> = columns
                    .mean
                    .iter()
                    .zip(&others.mean)
                    .map(|(mean, other)| other - mean)
                    .collect();
                for (mean, step) in columns.mean.iter_mut().zip(&steps) {
                    *mean += share * step;
                }
                steps
            })
            .collect();
        self.scatter
            .par_iter_mut()
            .zip(&other.scatter)
            .for_each(|(tile, added)| {
                let rows = &steps[tile.first];
                for ((column, added), step) in tile
                    .values
                    .chunks_exact_mut(rows.len())
                    .zip(added.values.chunks_exact(rows.len()))
                    .zip(&steps[tile.second])
                {
                    for ((value, added), row) in column.iter_mut().zip(added).zip(rows) {
                        *value += added + weight * row * step;
                    }
                }
            });
        self.absorbed += other.absorbed;
    }

    /// How many rows were taken in.
    pub fn count(&self) -> usize {
        self.absorbed + self.pending.len() / self.dims
    }

    /// How many numbers a row has.
    pub fn dims(&self) -> usize {
        self.dims
    }

    /// The mean of the rows, `dims` numbers, summed in float64; zeros where there are no rows.
    pub fn mean(&self) -> Vec<f64> {
        self.settled().float64_mean()
    }

    /// The unbiased covariance (divided by the count less one), `dims` rows of `dims` numbers, as
    /// `numpy.cov(rowvar=False)`.
    ///
    /// # Errors
    /// [`Kind::Data`] for fewer than two rows.
    pub fn covariance(&self) -> anyhow::Result<Vec<f64>> {
        if self.count() < 2 {
            return Err(failure(
                Kind::Data,
                format!(
                    "a covariance needs at least 2 pictures, here are {}; add pictures",
                    self.count()
                ),
            ));
        }
        Ok(self.settled().settled_covariance())
    }

    /// Mean and covariance together.
    ///
    /// # Errors
    /// [`Kind::Data`] for fewer than two rows.
    pub fn statistics(&self, mean: Mean) -> anyhow::Result<Statistics> {
        let covariance = self.covariance()?;
        let mean = match mean {
            Mean::Float64 => self.mean(),
            Mean::Float32 => self.float32_mean(),
        };
        Statistics::new(mean, covariance)
    }

    /// The mean of the rows summed in float32 in the order of [`Moments::push`], digit for digit what
    /// `numpy.mean(features, axis=0)` gives for float32 features.
    pub fn float32_mean(&self) -> Vec<f64> {
        let settled = self.settled();
        let count = settled.absorbed.max(1) as f64;
        settled
            .columns
            .iter()
            .flat_map(|columns| &columns.float32_sum)
            .map(|sum| f64::from((f64::from(*sum) / count) as f32))
            .collect()
    }

    fn float64_mean(&self) -> Vec<f64> {
        self.columns
            .iter()
            .flat_map(|columns| &columns.mean)
            .copied()
            .collect()
    }

    fn settled_covariance(&self) -> Vec<f64> {
        let dims = self.dims;
        let divisor = (self.absorbed - 1) as f64;
        let mut covariance = vec![0.0; dims * dims];
        covariance
            .par_chunks_mut(TILE * dims)
            .enumerate()
            .for_each(|(first, band)| {
                for (row, line) in band.chunks_exact_mut(dims).enumerate() {
                    for (second, place) in line.chunks_mut(TILE).enumerate() {
                        let tile = &self.tile(first.max(second), first.min(second)).values;
                        let height = self.columns[first.max(second)].width();
                        for (column, place) in place.iter_mut().enumerate() {
                            // The two triangles of a tile on the diagonal may differ in their last digit.
                            let below = first > second || (first == second && row >= column);
                            let (row, column) = if below { (row, column) } else { (column, row) };
                            *place = tile[column * height + row] / divisor;
                        }
                    }
                }
            });
        covariance
    }

    /// The tile of rows `first` and columns `second`, which is not beyond `first`.
    fn tile(&self, first: usize, second: usize) -> &Tile {
        &self.scatter[first * (first + 1) / 2 + second]
    }

    /// The same moments with no row waiting.
    fn settled(&self) -> Cow<'_, Self> {
        if self.pending.is_empty() {
            return Cow::Borrowed(self);
        }
        let mut settled = self.clone();
        settled.settle();
        Cow::Owned(settled)
    }

    fn settle(&mut self) {
        let pending = std::mem::take(&mut self.pending);
        if !pending.is_empty() {
            self.absorb(&pending);
        }
    }

    fn absorb(&mut self, rows: &[f32]) {
        let (dims, before) = (self.dims, self.absorbed);
        let count = rows.len() / dims;
        let centred: Vec<Vec<f64>> = self
            .columns
            .par_iter_mut()
            .map(|columns| columns.absorb(rows, dims, before))
            .collect();
        let columns = &self.columns;
        self.scatter.par_iter_mut().for_each(|tile| {
            let (height, width) = (columns[tile.first].width(), columns[tile.second].width());
            let left = MatRef::from_row_major_slice(&centred[tile.first], count + 1, height);
            let right = MatRef::from_row_major_slice(&centred[tile.second], count + 1, width);
            matmul(
                MatMut::from_column_major_slice_mut(&mut tile.values, height, width),
                Accum::Add,
                left.transpose(),
                right,
                1.0,
                Par::Seq,
            );
        });
        self.absorbed += count;
    }
}

/// The mean of every column, summed row after row; zeros where there are no rows.
pub(crate) fn column_means(features: &Features, mean: Mean) -> Vec<f64> {
    let dims = features.dims();
    let count = features.rows().max(1) as f64;
    match mean {
        Mean::Float64 => {
            let mut sums = vec![0.0; dims];
            for row in features.values().chunks_exact(dims) {
                for (sum, value) in sums.iter_mut().zip(row) {
                    *sum += f64::from(*value);
                }
            }
            sums.iter().map(|sum| sum / count).collect()
        }
        Mean::Float32 => {
            let mut sums = vec![0.0_f32; dims];
            for row in features.values().chunks_exact(dims) {
                for (sum, value) in sums.iter_mut().zip(row) {
                    *sum += value;
                }
            }
            sums.iter()
                .map(|sum| f64::from((f64::from(*sum) / count) as f32))
                .collect()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples::{on_one_and_three_threads, sample};

    fn moments_of(features: &Features) -> Moments {
        let mut moments = Moments::new(features.dims());
        moments.push(features);
        moments
    }

    fn rows(features: &Features, start: usize, end: usize) -> Features {
        let dims = features.dims();
        Features::new(dims, features.values()[start * dims..end * dims].to_vec())
    }

    fn assert_near(found: &[f64], expected: &[f64], tolerance: f64) {
        assert_eq!(found.len(), expected.len());
        for (found, expected) in found.iter().zip(expected) {
            assert!(
                (found - expected).abs() <= tolerance * expected.abs(),
                "{found} is not {expected}"
            );
        }
    }

    #[test]
    fn mean_and_covariance_are_numpys() {
        // x = sample(5, 3, 1); numpy.mean(x, axis=0, dtype='f8'); numpy.cov(x, rowvar=False)
        let moments = moments_of(&sample(5, 3, 1));
        let mean = [
            0.232_165_005_803_108_23,
            0.523_834_986_984_729_7,
            0.634_204_125_404_357_9,
        ];
        let covariance = [
            [
                0.033_138_014_462_984_3,
                0.061_452_818_274_115_965,
                0.021_235_528_328_531_17,
            ],
            [
                0.061_452_818_274_115_965,
                0.147_592_641_807_219_82,
                0.080_568_914_614_937_05,
            ],
            [
                0.021_235_528_328_531_17,
                0.080_568_914_614_937_05,
                0.130_205_139_442_091_06,
            ],
        ];
        assert_eq!(moments.count(), 5);
        assert_near(&moments.mean(), &mean, 1e-15);
        let found = moments.covariance().unwrap();
        assert_near(&found, covariance.as_flattened(), 1e-14);
    }

    #[test]
    fn a_float32_mean_is_numpys_to_the_digit() {
        // x = sample(1000, 2, 1); numpy.mean(x, axis=0); numpy.mean(x.astype('f8'), axis=0)
        let features = sample(1000, 2, 1);
        let float32 = [0.290_381_193_161_010_74, 0.510_507_822_036_743_2];
        let float64 = [0.290_381_364_971_399_3, 0.510_507_867_753_505_8];
        assert_eq!(moments_of(&features).float32_mean(), float32);
        assert_eq!(column_means(&features, Mean::Float32), float32);
        assert_near(&moments_of(&features).mean(), &float64, 1e-15);
        assert_near(&column_means(&features, Mean::Float64), &float64, 1e-15);
    }

    #[test]
    fn portions_and_threads_do_not_matter() {
        let features = sample(700, 300, 3);
        let whole = moments_of(&features).statistics(Mean::Float32).unwrap();
        let by_portions = || {
            let mut moments = Moments::new(300);
            let mut start = 0;
            for count in [1, 37, 0, 217, 255, 3, 187] {
                moments.push(&rows(&features, start, start + count));
                // Looking at a part must not change the rest.
                assert_eq!(moments.mean().len(), 300);
                start += count;
            }
            assert_eq!(moments.count(), 700);
            moments.statistics(Mean::Float32).unwrap()
        };
        for statistics in on_one_and_three_threads(by_portions) {
            assert!(statistics == whole);
        }
    }

    #[test]
    fn a_large_offset_does_not_drown_the_covariance() {
        let dims = 5;
        let shifted = |offset: f32| {
            let values = sample(900, dims, 4).values().to_vec();
            // Multiples of 2^-10, which stay exact beside 4096.
            let values = values
                .iter()
                .map(|value| (value * 1024.0).round() / 1024.0 + offset);
            moments_of(&Features::new(dims, values.collect()))
                .covariance()
                .unwrap()
        };
        let plain = shifted(0.0);
        for (found, expected) in shifted(4096.0).iter().zip(&plain) {
            assert!(
                (found - expected).abs() < 1e-12,
                "{found} is not {expected}"
            );
        }
    }

    #[test]
    fn merged_moments_are_those_of_all_rows() {
        let features = sample(700, 270, 5);
        let whole = moments_of(&features);
        let mut merged = moments_of(&rows(&features, 0, 300));
        merged.merge(moments_of(&rows(&features, 300, 301)));
        merged.merge(Moments::new(270));
        merged.merge(moments_of(&rows(&features, 301, 700)));
        assert_eq!(merged.count(), 700);
        assert_near(&merged.mean(), &whole.mean(), 1e-13);
        let (found, expected) = (merged.covariance().unwrap(), whole.covariance().unwrap());
        for (found, expected) in found.iter().zip(&expected) {
            assert!(
                (found - expected).abs() < 1e-15,
                "{found} is not {expected}"
            );
        }
        let mut empty = Moments::new(270);
        empty.merge(whole.clone());
        assert_eq!(empty.covariance().unwrap(), expected);
    }

    #[test]
    fn a_covariance_is_symmetric_to_the_digit() {
        let covariance = moments_of(&sample(40, 258, 6)).covariance().unwrap();
        for row in 0..258 {
            for column in 0..row {
                assert_eq!(
                    covariance[row * 258 + column],
                    covariance[column * 258 + row]
                );
            }
        }
    }

    #[test]
    fn too_few_rows_and_unfit_shapes_are_errors() {
        let error = moments_of(&sample(1, 4, 1)).covariance().unwrap_err();
        assert!(
            error
                .to_string()
                .contains("at least 2 pictures, here are 1")
        );
        let error = Statistics::new(vec![0.0; 3], vec![0.0; 8]).unwrap_err();
        assert!(error.to_string().contains("3 x 3"));
        assert!(Statistics::new(Vec::new(), Vec::new()).is_err());
    }
}
