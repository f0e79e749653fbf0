//! The kernel distance between two sets of features (KID; Bińkowski et al. 2018, "Demystifying MMD
//! GANs", section 4).
//!
//! The kernel is (x . y / d + 1)^3. For each of many pairs of random subsets the unbiased estimate of the
//! squared maximum mean discrepancy is taken (Gretton et al. 2012, lemma 6). Products are in float32,
//! kernels and their sums in float64.

use faer::linalg::matmul::matmul;
use faer::linalg::matmul::triangular::{self, BlockStructure};
use faer::{Accum, MatMut, MatRef, Par};
use pulp::{Arch, NullaryFnOnce};
use rayon::prelude::*;

use crate::failure::{Kind, failure};
use crate::features::Features;
use crate::random::MersenneTwister;

/// Which of the two sets a round's subset is drawn from first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Order {
    /// The first set, then the second: torch-fidelity 0.4.0.
    #[default]
    FirstThenSecond,
    /// The second set, then the first: clean-fid 0.1.35.
    SecondThenFirst,
}

/// How many subsets of which size are drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// How many pairs of subsets.
    pub subsets: usize,
    /// How many pictures each subset has.
    pub subset_size: usize,
    /// Seed of numpy's `RandomState`, which draws every subset with `choice(count, size, replace=False)`.
    pub seed: u32,
    /// The order of the draws.
    pub order: Order,
}

impl Default for Settings {
    /// The settings of torch-fidelity 0.4.0. clean-fid 0.1.35 differs in the order, and in having no seed.
    fn default() -> Self {
        Self {
            subsets: 100,
            subset_size: 1000,
            seed: 2020,
            order: Order::FirstThenSecond,
        }
    }
}

/// A kernel distance.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Distance {
    /// The mean of the subsets' estimates. Near or below zero for sets that are alike.
    pub mean: f64,
    /// Their population standard deviation (divided by the number of subsets). clean-fid has none.
    pub deviation: f64,
}

/// The kernel distance between two sets.
///
/// # Errors
/// [`Kind::Data`] where a set has fewer pictures than a subset, the sets differ in their number of
/// features, or a number is not finite; [`Kind::Usage`] for no subsets, or subsets of fewer than two.
pub fn distance(
    first: &Features,
    second: &Features,
    settings: Settings,
) -> anyhow::Result<Distance> {
    check(first, second, settings)?;
    let rounds = draw(first.rows(), second.rows(), settings);
    let estimates = if whole_is_cheaper(first.rows(), second.rows(), settings) {
        from_whole(first, second, &rounds)
    } else {
        one_by_one(first, second, &rounds)
    };
    if !estimates.iter().all(|estimate| estimate.is_finite()) {
        return Err(failure(
            Kind::Data,
            "the kernel distance is not finite: a feature is not finite or far too large; extract them again",
        ));
    }
    let count = estimates.len() as f64;
    let mean = estimates.iter().sum::<f64>() / count;
    let squares = estimates
        .iter()
        .map(|estimate| (estimate - mean) * (estimate - mean));
    Ok(Distance {
        mean,
        deviation: (squares.sum::<f64>() / count).sqrt(),
    })
}

fn check(first: &Features, second: &Features, settings: Settings) -> anyhow::Result<()> {
    if settings.subsets == 0 || settings.subset_size < 2 {
        return Err(failure(
            Kind::Usage,
            format!(
                "a kernel distance needs at least 1 subset of at least 2 pictures, not {} of {}",
                settings.subsets, settings.subset_size
            ),
        ));
    }
    if first.dims() != second.dims() {
        return Err(failure(
            Kind::Data,
            format!(
                "the sets have {} and {} features a picture; take both from the same layer of the same network",
                first.dims(),
                second.dims()
            ),
        ));
    }
    let smaller = first.rows().min(second.rows());
    if smaller < settings.subset_size {
        return Err(failure(
            Kind::Data,
            format!(
                "subsets of {} pictures cannot be drawn from sets of {} and {}; take subsets of at most {smaller}",
                settings.subset_size,
                first.rows(),
                second.rows()
            ),
        ));
    }
    Ok(())
}

/// The two subsets of a round, as rows of the first and of the second set.
type Round = [Vec<usize>; 2];

fn draw(first: usize, second: usize, settings: Settings) -> Vec<Round> {
    let mut generator = MersenneTwister::new(settings.seed);
    let mut choose = |count| generator.choice_without_replacement(count, settings.subset_size);
    (0..settings.subsets)
        .map(|_| match settings.order {
            Order::FirstThenSecond => {
                let chosen = choose(first);
                [chosen, choose(second)]
            }
            Order::SecondThenFirst => {
                let chosen = choose(second);
                [choose(first), chosen]
            }
        })
        .collect()
}

/// Which kernels a sum is over: of pairs within the first set, across the sets, within the second.
#[derive(Debug, Clone, Copy)]
enum Pairs {
    First,
    Across,
    Second,
}

/// The sums of one round's kernels; those within a set are without the diagonal.
#[derive(Debug, Clone, Copy, Default)]
struct Sums {
    first: f64,
    across: f64,
    second: f64,
}

impl Sums {
    fn add(&mut self, pairs: Pairs, sum: f64) {
        match pairs {
            Pairs::First => self.first += sum,
            Pairs::Across => self.across += sum,
            Pairs::Second => self.second += sum,
        }
    }

    /// The unbiased estimate for subsets of `size`.
    fn estimate(&self, size: usize) -> f64 {
        let size = size as f64;
        (self.first + self.second) / (size * (size - 1.0)) - 2.0 * self.across / (size * size)
    }
}

/// A tile of a matrix of kernels: blocks of rows of the two sides. Within a set, only tiles with
/// `row_block` >= `column_block` are made, and stand for their mirror images too.
#[derive(Debug, Clone, Copy)]
struct Tile {
    pairs: Pairs,
    row_block: usize,
    column_block: usize,
}

impl Tile {
    fn is_diagonal(self) -> bool {
        self.row_block == self.column_block && !matches!(self.pairs, Pairs::Across)
    }

    /// How often each of the tile's kernels counts.
    fn weight(self) -> f64 {
        match self.pairs {
            Pairs::Across => 1.0,
            Pairs::First | Pairs::Second => 2.0,
        }
    }
}

/// All tiles of the three matrices, for so many blocks of each set.
fn tiles(first_blocks: usize, second_blocks: usize) -> Vec<Tile> {
    let within = |pairs, blocks: usize| {
        (0..blocks).flat_map(move |row_block| {
            (0..=row_block).map(move |column_block| Tile {
                pairs,
                row_block,
                column_block,
            })
        })
    };
    let across = (0..first_blocks).flat_map(|row_block| {
        (0..second_blocks).map(move |column_block| Tile {
            pairs: Pairs::Across,
            row_block,
            column_block,
        })
    });
    within(Pairs::First, first_blocks)
        .chain(across)
        .chain(within(Pairs::Second, second_blocks))
        .collect()
}

/// Rows of a set, one after the other.
#[derive(Clone, Copy)]
struct Rows<'a> {
    values: &'a [f32],
    dims: usize,
}

impl<'a> Rows<'a> {
    fn of(features: &'a Features) -> Self {
        Self {
            values: features.values(),
            dims: features.dims(),
        }
    }

    fn blocks(self, side: usize) -> usize {
        (self.values.len() / self.dims).div_ceil(side)
    }

    fn block(self, index: usize, side: usize) -> MatRef<'a, f32> {
        let start = index * side * self.dims;
        let end = self.values.len().min(start + side * self.dims);
        let values = &self.values[start..end];
        MatRef::from_row_major_slice(values, values.len() / self.dims, self.dims)
    }
}

/// Writes the scalar products of a tile into `products`, column after column; gives the height.
fn multiply(
    tile: Tile,
    first: Rows<'_>,
    second: Rows<'_>,
    side: usize,
    products: &mut Vec<f32>,
) -> usize {
    let (rows, columns) = match tile.pairs {
        Pairs::First => (first, first),
        Pairs::Across => (first, second),
        Pairs::Second => (second, second),
    };
    let rows = rows.block(tile.row_block, side);
    let columns = columns.block(tile.column_block, side);
    let (height, width) = (rows.nrows(), columns.nrows());
    products.resize(height * width, 0.0);
    let target = MatMut::from_column_major_slice_mut(products, height, width);
    if tile.is_diagonal() {
        triangular::matmul(
            target,
            BlockStructure::TriangularLower,
            Accum::Replace,
            rows,
            BlockStructure::Rectangular,
            columns.transpose(),
            BlockStructure::Rectangular,
            1.0,
            Par::Seq,
        );
    } else {
        matmul(
            target,
            Accum::Replace,
            rows,
            columns.transpose(),
            1.0,
            Par::Seq,
        );
    }
    height
}

/// Side of the tiles of whole matrices.
const WHOLE_SIDE: usize = 512;

/// Side of the tiles of one subset's matrices: smaller, for less is computed twice on the diagonal.
const SUBSET_SIDE: usize = 336;

/// Subsets that are gathered together, to give threads enough tiles.
const TOGETHER: usize = 2;

/// Whether all kernels of both sets are fewer than those of all subsets.
fn whole_is_cheaper(first: usize, second: usize, settings: Settings) -> bool {
    let pairs = |first: usize, second: usize, side: usize| {
        let within = |count: usize| count as f64 * (count + side) as f64 / 2.0;
        within(first) + within(second) + first as f64 * second as f64
    };
    let size = settings.subset_size;
    // Looking up a subset's kernels in a whole matrix takes about as long as a twentieth of making them.
    let subsets = settings.subsets as f64;
    let looked_up = 0.05 * subsets * 2.0 * (size * size) as f64;
    pairs(first, second, WHOLE_SIDE) + looked_up < subsets * pairs(size, size, SUBSET_SIDE)
}

/// Estimates from the kernels of all pairs, made tile by tile; each round looks up its own.
fn from_whole(first: &Features, second: &Features, rounds: &[Round]) -> Vec<f64> {
    let (dims, size) = (first.dims(), rounds[0][0].len());
    let (first, second) = (Rows::of(first), Rows::of(second));
    let tiles = tiles(first.blocks(WHOLE_SIDE), second.blocks(WHOLE_SIDE));
    let members: Vec<[Vec<Vec<usize>>; 2]> = rounds
        .iter()
        .map(|[of_first, of_second]| {
            [
                by_block(of_first, first.blocks(WHOLE_SIDE)),
                by_block(of_second, second.blocks(WHOLE_SIDE)),
            ]
        })
        .collect();
    let parts: Vec<Vec<f64>> = tiles
        .par_iter()
        .map_init(Vec::new, |products, tile| {
            let height = multiply(*tile, first, second, WHOLE_SIDE, products);
            members
                .iter()
                .map(|[of_first, of_second]| {
                    let (rows, columns) = match tile.pairs {
                        Pairs::First => (of_first, of_first),
                        Pairs::Across => (of_first, of_second),
                        Pairs::Second => (of_second, of_second),
                    };
                    let sum = sum_of_chosen(
                        products,
                        height,
                        dims,
                        &rows[tile.row_block],
                        &columns[tile.column_block],
                        tile.is_diagonal(),
                    );
                    tile.weight() * sum
                })
                .collect()
        })
        .collect();
    (0..rounds.len())
        .map(|round| {
            let mut sums = Sums::default();
            for (tile, part) in tiles.iter().zip(&parts) {
                sums.add(tile.pairs, part[round]);
            }
            sums.estimate(size)
        })
        .collect()
}

/// The places within each block of the rows that were chosen, in ascending order.
fn by_block(chosen: &[usize], blocks: usize) -> Vec<Vec<usize>> {
    let mut places = vec![Vec::new(); blocks];
    for row in chosen {
        places[row / WHOLE_SIDE].push(row % WHOLE_SIDE);
    }
    for places in &mut places {
        places.sort_unstable();
    }
    places
}

/// (product / d + 1)^3.
#[inline(always)]
fn kernel(product: f32, inverse_dims: f64) -> f64 {
    let base = f64::from(product) * inverse_dims + 1.0;
    base * base * base
}

/// The sum of the kernels of the chosen rows and columns; on the diagonal, of those below it.
fn sum_of_chosen(
    products: &[f32],
    height: usize,
    dims: usize,
    rows: &[usize],
    columns: &[usize],
    diagonal: bool,
) -> f64 {
    let inverse_dims = 1.0 / dims as f64;
    columns
        .iter()
        .enumerate()
        .map(|(index, column)| {
            let column = &products[column * height..][..height];
            let rows = if diagonal { &rows[index + 1..] } else { rows };
            let (fours, rest) = rows.as_chunks::<4>();
            let mut sums = [0.0; 4];
            for places in fours {
                for (sum, place) in sums.iter_mut().zip(places) {
                    *sum += kernel(column[*place], inverse_dims);
                }
            }
            let rest: f64 = rest
                .iter()
                .map(|place| kernel(column[*place], inverse_dims))
                .sum();
            (sums[0] + sums[2]) + (sums[1] + sums[3]) + rest
        })
        .sum()
}

/// Estimates from each round's own kernels.
fn one_by_one(first: &Features, second: &Features, rounds: &[Round]) -> Vec<f64> {
    let (dims, size) = (first.dims(), rounds[0][0].len());
    let blocks = size.div_ceil(SUBSET_SIDE);
    let tiles = tiles(blocks, blocks);
    let mut gathered = vec![[vec![0.0; size * dims], vec![0.0; size * dims]]; TOGETHER];
    let mut estimates = Vec::with_capacity(rounds.len());
    for rounds in rounds.chunks(TOGETHER) {
        gathered
            .par_iter_mut()
            .zip(rounds)
            .flat_map(|(targets, round)| targets.par_iter_mut().zip(round).zip([first, second]))
            .for_each(|((target, chosen), features)| {
                for (place, row) in target.chunks_exact_mut(dims).zip(chosen) {
                    place.copy_from_slice(features.row(*row));
                }
            });
        let work: Vec<(usize, Tile)> = (0..rounds.len())
            .flat_map(|round| tiles.iter().map(move |tile| (round, *tile)))
            .collect();
        let parts: Vec<f64> = work
            .par_iter()
            .map_init(Vec::new, |products, (round, tile)| {
                let [of_first, of_second] = gathered[*round]
                    .each_ref()
                    .map(|values| Rows { values, dims });
                let height = multiply(*tile, of_first, of_second, SUBSET_SIDE, products);
                let sum = Arch::new().dispatch(SumOfAll {
                    products,
                    height,
                    dims,
                    diagonal: tile.is_diagonal(),
                });
                tile.weight() * sum
            })
            .collect();
        for (tiles, parts) in work.chunks(tiles.len()).zip(parts.chunks(tiles.len())) {
            let mut sums = Sums::default();
            for ((_, tile), part) in tiles.iter().zip(parts) {
                sums.add(tile.pairs, *part);
            }
            estimates.push(sums.estimate(size));
        }
    }
    estimates
}

/// The sum of all kernels of a tile; on the diagonal, of those below it.
struct SumOfAll<'a> {
    products: &'a [f32],
    height: usize,
    dims: usize,
    diagonal: bool,
}

impl NullaryFnOnce for SumOfAll<'_> {
    type Output = f64;

    #[inline(always)]
    fn call(self) -> f64 {
        let inverse_dims = 1.0 / self.dims as f64;
        self.products
            .chunks_exact(self.height)
            .enumerate()
            .map(|(index, column)| {
                let column = if self.diagonal {
                    &column[index + 1..]
                } else {
                    column
                };
                let (lanes, rest) = column.as_chunks::<16>();
                let mut sums = [0.0; 16];
                for products in lanes {
                    for (sum, product) in sums.iter_mut().zip(products) {
                        *sum += kernel(*product, inverse_dims);
                    }
                }
                let rest: f64 = rest
                    .iter()
                    .map(|product| kernel(*product, inverse_dims))
                    .sum();
                sums.iter().sum::<f64>() + rest
            })
            .sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples::{on_one_and_three_threads, sample};

    fn settings(subsets: usize, subset_size: usize) -> Settings {
        Settings {
            subsets,
            subset_size,
            ..Settings::default()
        }
    }

    fn assert_near(found: f64, expected: f64) {
        assert!((found - expected).abs() < 2e-8, "{found} is not {expected}");
    }

    #[test]
    fn the_distance_is_that_of_torch_fidelity() {
        // torch_fidelity.metric_kid.kid_features_to_metric of float64 tensors, kid_subsets=7,
        // kid_subset_size=20; with float32 tensors it prints 0.0043629.
        let found = distance(&sample(60, 24, 1), &sample(50, 24, 2), settings(7, 20)).unwrap();
        assert_near(found.mean, 0.004_363_089_812_250_769);
        assert_near(found.deviation, 0.020_807_679_288_243_747);
        // The same of sample(1200, 24, 1) and sample(1100, 24, 2), kid_subsets=3
        let found = distance(
            &sample(1200, 24, 1),
            &sample(1100, 24, 2),
            settings(3, 1000),
        );
        let found = found.unwrap();
        assert_near(found.mean, 0.000_112_173_002_041_545_3);
        assert_near(found.deviation, 0.000_285_766_359_722_396_74);
    }

    #[test]
    fn the_other_order_is_that_of_clean_fid() {
        // numpy.random.seed(9); cleanfid.fid.kernel_distance(sample(60, 24, 1), sample(50, 24, 2),
        // num_subsets=4, max_subset_size=30), in float64
        let settings = Settings {
            subsets: 4,
            subset_size: 30,
            seed: 9,
            order: Order::SecondThenFirst,
        };
        let found = distance(&sample(60, 24, 1), &sample(50, 24, 2), settings).unwrap();
        assert_near(found.mean, -0.007_081_604_636_042_372);
    }

    #[test]
    fn both_ways_of_summing_give_the_same() {
        // More rows than a tile of either way has.
        let (first, second) = (sample(1100, 40, 1), sample(530, 40, 2));
        let rounds = draw(1100, 530, settings(5, 400));
        let whole = from_whole(&first, &second, &rounds);
        let single = one_by_one(&first, &second, &rounds);
        assert_eq!(whole.len(), 5);
        for (whole, single) in whole.iter().zip(&single) {
            assert!((whole - single).abs() < 1e-8, "{whole} is not {single}");
        }
        assert!(whole_is_cheaper(1100, 530, settings(100, 400)));
        assert!(!whole_is_cheaper(1100, 530, settings(2, 400)));
    }

    #[test]
    fn threads_do_not_matter() {
        let (first, second) = (sample(900, 70, 1), sample(800, 70, 2));
        for settings in [settings(3, 300), settings(40, 700)] {
            let [one, three] =
                on_one_and_three_threads(|| distance(&first, &second, settings).unwrap());
            assert_eq!(one, three);
        }
    }

    #[test]
    fn unfit_sets_are_errors_with_their_numbers() {
        let error = |first: &Features, second: &Features, settings| {
            distance(first, second, settings).unwrap_err().to_string()
        };
        let (first, second) = (sample(60, 24, 1), sample(50, 24, 2));
        let found = error(&first, &second, settings(1, 51));
        assert!(
            found.contains("51") && found.contains("60 and 50") && found.contains("at most 50")
        );
        assert!(error(&first, &second, settings(0, 20)).contains("0 of 20"));
        assert!(error(&first, &second, settings(3, 1)).contains("3 of 1"));
        assert!(error(&first, &sample(60, 23, 1), settings(3, 20)).contains("24 and 23"));
        let mut values = first.values().to_vec();
        values[30] = f32::INFINITY;
        let found = error(&Features::new(24, values), &second, settings(20, 40));
        assert!(found.contains("not finite"), "{found}");
    }
}
