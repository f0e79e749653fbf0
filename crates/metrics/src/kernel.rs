//! Kernel Inception Distance (Binkowski et al. 2018, <https://arxiv.org/abs/1801.01401>), as torch-fidelity
//! 0.4.0 and clean-fid 0.1.35 compute it.
//!
//! Of each side some pictures are drawn, many times; each time the squared maximum mean discrepancy with the
//! kernel `(x y / d + 1)^3` is estimated without bias. Products and kernels are in float32, as in the tools,
//! their sums in float64.

use crate::failure::{Kind, failure};
use crate::features::Features;
use crate::products::inner_products;
use crate::random::MersenneTwister;
use faer::Accum;
use rayon::prelude::*;

/// What is drawn.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// How many times.
    pub subsets: usize,
    /// Pictures of each side each time.
    pub subset_size: usize,
    /// Seed of numpy's RandomState that draws: generated pictures first, real ones then, each time. clean-fid
    /// does the same, after `numpy.random.seed`, where the real set is its first argument.
    pub seed: u32,
}

impl Default for Settings {
    /// torch-fidelity's: 100 subsets of 1,000, seed 2020.
    fn default() -> Self {
        Self {
            subsets: 100,
            subset_size: 1000,
            seed: 2020,
        }
    }
}

/// The distance.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct KernelDistance {
    /// Mean over the subsets; small ones may be below zero, since the estimate has no bias.
    pub mean: f64,
    /// Population standard deviation over the subsets.
    pub deviation: f64,
}

/// Rows of a tile: two tiles' rows and their product fit into a core's cache.
const TILE: usize = 256;

/// The distance of generated from real pictures.
///
/// # Shapes
/// - `generated`: `[n, d]`, `real`: `[m, d]`
///
/// # Errors
/// [`Kind::Data`] when a side has fewer pictures than a subset, a subset fewer than 2, or there is none.
///
/// # Panics
/// If the sides have rows of different lengths.
pub fn kernel_distance(
    generated: &Features,
    real: &Features,
    settings: &Settings,
) -> anyhow::Result<KernelDistance> {
    assert_eq!(generated.dims(), real.dims(), "features of one network");
    let Settings {
        subsets,
        subset_size: size,
        seed,
    } = *settings;
    let fewest = generated.rows().min(real.rows());
    if size < 2 || size > fewest || subsets == 0 {
        return Err(failure(
            Kind::Data,
            format!(
                "{subsets} subsets of {size} pictures cannot be drawn from {} generated and {} real ones: a \
                 subset has 2 at least and {fewest} at most",
                generated.rows(),
                real.rows()
            ),
        ));
    }
    let mut dice = MersenneTwister::new(seed);
    let mut values = Vec::with_capacity(subsets);
    let (mut left, mut right) = (Vec::new(), Vec::new());
    for _ in 0..subsets {
        for (from, to) in [(generated, &mut left), (real, &mut right)] {
            to.clear();
            for index in dice.choice_without_replacement(from.rows(), size) {
                to.extend_from_slice(from.row(index));
            }
        }
        values.push(discrepancy(&left, &right, generated.dims(), size));
    }
    let mean = values.iter().sum::<f64>() / subsets as f64;
    let spread: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    Ok(KernelDistance {
        mean,
        deviation: (spread / subsets as f64).sqrt(),
    })
}

/// Which kernels a tile holds.
#[derive(Clone, Copy, PartialEq)]
enum Part {
    Left,
    Right,
    Between,
}

/// The unbiased estimate of the squared discrepancy of two subsets.
fn discrepancy(left: &[f32], right: &[f32], dims: usize, size: usize) -> f64 {
    let blocks = size.div_ceil(TILE);
    let mut tiles = Vec::new();
    for row in 0..blocks {
        for column in 0..blocks {
            tiles.push((Part::Between, row, column));
            // The other half of a symmetric matrix is the same again.
            if column >= row {
                tiles.push((Part::Left, row, column));
                tiles.push((Part::Right, row, column));
            }
        }
    }
    let sums: Vec<f64> = tiles
        .par_iter()
        .map_init(
            || vec![0.0f32; TILE * TILE],
            |products, (part, row, column)| {
                let (rows, columns) = match part {
                    Part::Left => (left, left),
                    Part::Right => (right, right),
                    Part::Between => (left, right),
                };
                let block = |values: &[f32], number: usize| {
                    let last = ((number + 1) * TILE).min(size);
                    number * TILE * dims..(last * dims).min(values.len())
                };
                let (rows, columns) = (&rows[block(rows, *row)], &columns[block(columns, *column)]);
                let products = &mut products[..rows.len() / dims * (columns.len() / dims)];
                inner_products(rows, columns, dims, Accum::Replace, products);
                let width = columns.len() / dims;
                let all = kernels(products, dims);
                if *part == Part::Between {
                    return all;
                }
                if row != column {
                    return 2.0 * all;
                }
                let diagonal: Vec<f32> = products.iter().step_by(width + 1).copied().collect();
                all - kernels(&diagonal, dims)
            },
        )
        .collect();
    let of = |wanted: Part| -> f64 {
        let parts = tiles.iter().zip(&sums);
        parts
            .filter(|((part, ..), _)| *part == wanted)
            .map(|(_, sum)| sum)
            .sum()
    };
    let m = size as f64;
    (of(Part::Left) + of(Part::Right)) / (m * (m - 1.0)) - 2.0 * of(Part::Between) / (m * m)
}

/// The sum of the kernels of some products.
fn kernels(products: &[f32], dims: usize) -> f64 {
    const LANES: usize = 16;
    let scale = 1.0 / dims as f32;
    let kernel = |product: f32| {
        let base = product * scale + 1.0;
        f64::from(base * base * base)
    };
    let mut lanes = [0.0; LANES];
    let (chunks, rest) = products.as_chunks::<LANES>();
    for chunk in chunks {
        for (lane, product) in lanes.iter_mut().zip(chunk) {
            *lane += kernel(*product);
        }
    }
    lanes.iter().sum::<f64>() + rest.iter().map(|product| kernel(*product)).sum::<f64>()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Numbers in [0, 2) by formula, on both sides: `((i * 7919 + seed * 104729) % 1000) / 500`.
    fn features(rows: usize, dims: usize, seed: usize) -> Features {
        let number = |i: usize| ((i * 7919 + seed * 104_729) % 1000) as f32 / 500.0;
        Features::new(dims, (0..rows * dims).map(number).collect())
    }

    /// The same by plain loops in float64.
    fn plainly(left: &Features, right: &Features, settings: &Settings) -> Vec<f64> {
        let d = left.dims() as f64;
        let kernel = |x: &[f32], y: &[f32]| {
            let product: f64 = x
                .iter()
                .zip(y)
                .map(|(a, b)| f64::from(*a) * f64::from(*b))
                .sum();
            (product / d + 1.0).powi(3)
        };
        let mut dice = MersenneTwister::new(settings.seed);
        let m = settings.subset_size;
        (0..settings.subsets)
            .map(|_| {
                let x = dice.choice_without_replacement(left.rows(), m);
                let y = dice.choice_without_replacement(right.rows(), m);
                let mut within = 0.0;
                let mut between = 0.0;
                for i in 0..m {
                    for j in 0..m {
                        if i != j {
                            within += kernel(left.row(x[i]), left.row(x[j]));
                            within += kernel(right.row(y[i]), right.row(y[j]));
                        }
                        between += kernel(left.row(x[i]), right.row(y[j]));
                    }
                }
                let m = m as f64;
                within / (m * (m - 1.0)) - 2.0 * between / (m * m)
            })
            .collect()
    }

    #[test]
    fn tiles_give_what_plain_loops_give() {
        // More rows than a tile, and neither a multiple of it.
        for (size, rows, dims) in [(300, 330, 5), (7, 9, 33), (256, 257, 3)] {
            let (left, right) = (features(rows, dims, 1), features(rows + 4, dims, 2));
            let settings = Settings {
                subsets: 3,
                subset_size: size,
                seed: 9,
            };
            let ours = kernel_distance(&left, &right, &settings).unwrap();
            let values = plainly(&left, &right, &settings);
            let mean = values.iter().sum::<f64>() / 3.0;
            assert!((ours.mean - mean).abs() < 2e-6, "{} {mean}", ours.mean);
            let spread: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
            let deviation = (spread / 3.0).sqrt();
            assert!((ours.deviation - deviation).abs() < 2e-6, "{deviation}");
        }
    }

    #[test]
    fn more_than_there_is_cannot_be_drawn() {
        let (left, right) = (features(5, 4, 1), features(9, 4, 2));
        let settings = Settings {
            subset_size: 6,
            ..Settings::default()
        };
        let error = kernel_distance(&left, &right, &settings).unwrap_err();
        assert!(
            error.to_string().contains("5 generated and 9 real"),
            "{error}"
        );
    }
}
