//! Precision and recall (Kynkaanniemi et al. 2019, <https://arxiv.org/abs/1904.06991>), density and coverage
//! (Naeem et al. 2020, <https://arxiv.org/abs/2002.09797>): which pictures lie in the balls around the others.
//!
//! A ball reaches from a picture to its k-th nearest neighbour of the same set. Distances come from matrix
//! products in float32 around the mean; those that rounding could put on the other side of a ball's surface
//! are computed again in float64, so that no share depends on it.

use crate::failure::{Kind, failure};
use crate::features::Features;
use crate::products::{gather, inner_products, squared_length};
use faer::Accum;
use rayon::prelude::*;
use std::sync::{Mutex, PoisonError};

/// Neighbours that a ball reaches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// For precision and recall.
    pub neighbours: usize,
    /// For density and coverage.
    pub density_neighbours: usize,
}

impl Default for Settings {
    /// 3 as in torch-fidelity 0.4.0, and 5 as in Naeem et al.'s `prdc`.
    fn default() -> Self {
        Self {
            neighbours: 3,
            density_neighbours: 5,
        }
    }
}

/// The shares, each from 0 to 1 but density, which has no upper end.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Prdc {
    /// Generated pictures that lie in a ball around a real one, surface included.
    pub precision: f64,
    /// Real pictures that lie in a ball around a generated one, surface included.
    pub recall: f64,
    /// Balls around real pictures that a generated one lies in, over k: around 1 for equal distributions.
    pub density: f64,
    /// Real pictures in whose ball a generated one lies.
    pub coverage: f64,
}

impl Prdc {
    /// The harmonic mean of precision and recall, by torch-fidelity's formula.
    pub fn f_score(&self) -> f64 {
        let (precision, recall) = (self.precision, self.recall);
        2.0 * precision * recall / (precision + recall).max(1e-5)
    }
}

/// Rows of a tile.
const TILE: usize = 256;
/// More neighbours than asked for are found, so that rounding cannot hide the true ones.
const SPARE: usize = 8;
/// What rounding may move a squared distance by, as a share of both rows' squared lengths: a sum of d products
/// is off by some 1e-7 times the root of d. Ten times that costs a few pairs.
const ROUNDING: f64 = 4e-6;

/// The shares for generated and real pictures.
///
/// # Shapes
/// - `generated`: `[n, d]`, `real`: `[m, d]`
///
/// # Errors
/// [`Kind::Data`] when a side has no more pictures than a ball has neighbours, [`Kind::Usage`] for none.
///
/// # Panics
/// If the sides have rows of different lengths.
pub fn prdc(generated: &Features, real: &Features, settings: &Settings) -> anyhow::Result<Prdc> {
    assert_eq!(generated.dims(), real.dims(), "features of one network");
    let most = settings.neighbours.max(settings.density_neighbours);
    if settings.neighbours == 0 || settings.density_neighbours == 0 {
        return Err(failure(
            Kind::Usage,
            "a ball reaches to the 1st neighbour at least",
        ));
    }
    for (side, features) in [("generated", generated), ("real", real)] {
        if features.rows() <= most {
            return Err(failure(
                Kind::Data,
                format!(
                    "{} {side} pictures have no {most}th neighbour: give more, or ask for fewer neighbours",
                    features.rows()
                ),
            ));
        }
    }
    let centre = centre(real);
    let (generated, real) = (Set::new(generated, &centre), Set::new(real, &centre));
    let wanted = [settings.neighbours, settings.density_neighbours];
    let real_radii = real.radii(wanted);
    let generated_radii = generated.radii([settings.neighbours; 2]);
    Ok(count(
        &generated,
        &real,
        &generated_radii[0],
        &real_radii,
        settings,
    ))
}

/// The mean row: distances do not change when it is taken off, but rounding does.
fn centre(features: &Features) -> Vec<f32> {
    let mut sums = vec![0.0f64; features.dims()];
    for row in 0..features.rows() {
        for (sum, value) in sums.iter_mut().zip(features.row(row)) {
            *sum += f64::from(*value);
        }
    }
    let count = features.rows() as f64;
    sums.into_iter().map(|sum| (sum / count) as f32).collect()
}

/// Rows with what their distances need.
struct Set<'a> {
    features: &'a Features,
    centre: &'a [f32],
    /// Squared lengths of the rows without the centre.
    lengths: Vec<f64>,
}

/// A place among the nearest: squared distance and row.
type Near = (f64, usize);

impl<'a> Set<'a> {
    fn new(features: &'a Features, centre: &'a [f32]) -> Self {
        let lengths = (0..features.rows())
            .into_par_iter()
            .map(|row| {
                let values = features.row(row).iter().zip(centre);
                let centred: Vec<f32> = values.map(|(value, middle)| value - middle).collect();
                squared_length(&centred)
            })
            .collect();
        Self {
            features,
            centre,
            lengths,
        }
    }

    fn rows(&self) -> usize {
        self.features.rows()
    }

    fn blocks(&self) -> usize {
        self.rows().div_ceil(TILE)
    }

    fn block(&self, number: usize) -> std::ops::Range<usize> {
        number * TILE..((number + 1) * TILE).min(self.rows())
    }

    /// Squared distance in float64 of the rows as they are.
    fn exact(&self, row: usize, other: &Set<'_>, other_row: usize) -> f64 {
        let pairs = self
            .features
            .row(row)
            .iter()
            .zip(other.features.row(other_row));
        let mut lanes = [0.0f64; 8];
        for (place, (a, b)) in pairs.enumerate() {
            let away = f64::from(*a) - f64::from(*b);
            lanes[place % 8] += away * away;
        }
        lanes.iter().sum()
    }

    /// Squared distances of a block of rows from a block of another set, up to rounding.
    fn distances(
        &self,
        block: usize,
        other: &Set<'_>,
        other_block: usize,
        room: &mut Room,
    ) -> usize {
        let dims = self.features.dims();
        for (set, number, to) in [
            (self, block, &mut room.left),
            (other, other_block, &mut room.right),
        ] {
            let rows = set.block(number);
            let values = &set.features.values()[rows.start * dims..rows.end * dims];
            gather(
                values,
                dims,
                0..dims,
                |column, value| value - set.centre[column],
                to,
            );
        }
        let width = other.block(other_block).len();
        let count = self.block(block).len() * width;
        room.products.resize(count, 0.0);
        inner_products(
            &room.left,
            &room.right,
            dims,
            Accum::Replace,
            &mut room.products,
        );
        room.distances.clear();
        for (row, products) in self.block(block).zip(room.products.chunks_exact(width)) {
            let length = self.lengths[row];
            let others = &other.lengths[other.block(other_block)];
            let distances = products
                .iter()
                .zip(others)
                .map(|(product, other)| length + other - 2.0 * f64::from(*product));
            room.distances.extend(distances);
        }
        width
    }

    /// The squared distances of each row from its k-th nearest others, for two numbers k.
    fn radii(&self, wanted: [usize; 2]) -> [Vec<f64>; 2] {
        let kept = wanted[0].max(wanted[1]) + SPARE;
        let blocks = self.blocks();
        let nearest: Vec<Mutex<Vec<Vec<Near>>>> = (0..blocks)
            .map(|block| Mutex::new(vec![Vec::with_capacity(kept + 1); self.block(block).len()]))
            .collect();
        let tiles: Vec<(usize, usize)> = (0..blocks)
            .flat_map(|row| (row..blocks).map(move |column| (row, column)))
            .collect();
        tiles
            .par_iter()
            .for_each_init(Room::default, |room, (row, column)| {
                let width = self.distances(*row, self, *column, room);
                let (rows, columns) = (self.block(*row), self.block(*column));
                {
                    let mut lists = lock(&nearest[*row]);
                    for (list, (number, distances)) in lists
                        .iter_mut()
                        .zip(rows.clone().zip(room.distances.chunks_exact(width)))
                    {
                        for (other, distance) in columns.clone().zip(distances) {
                            if other != number {
                                insert(list, (*distance, other), kept);
                            }
                        }
                    }
                }
                // A distance belongs to both of its ends.
                if row != column {
                    let mut lists = lock(&nearest[*column]);
                    for (number, distances) in rows.zip(room.distances.chunks_exact(width)) {
                        for (list, distance) in lists.iter_mut().zip(distances) {
                            insert(list, (*distance, number), kept);
                        }
                    }
                }
            });
        let lists: Vec<Vec<Near>> = nearest
            .into_iter()
            .flat_map(|block| block.into_inner().unwrap_or_else(PoisonError::into_inner))
            .collect();
        let radii: Vec<[f64; 2]> = lists
            .par_iter()
            .enumerate()
            .map(|(row, list)| {
                let mut distances: Vec<f64> = list
                    .iter()
                    .map(|(_, other)| self.exact(row, self, *other))
                    .collect();
                distances.sort_by(f64::total_cmp);
                wanted.map(|k| distances[k - 1])
            })
            .collect();
        [0, 1].map(|place| radii.iter().map(|radii| radii[place]).collect())
    }
}

/// Keeps the nearest `most`, in ascending order.
#[inline]
fn insert(list: &mut Vec<Near>, near: Near, most: usize) {
    if list.len() == most && near.0 >= list[most - 1].0 {
        return;
    }
    let place = list.partition_point(|known| known.0 <= near.0);
    list.insert(place, near);
    list.truncate(most);
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Working memory of a thread.
#[derive(Default)]
struct Room {
    left: Vec<f32>,
    right: Vec<f32>,
    products: Vec<f32>,
    distances: Vec<f64>,
}

/// What one tile of generated by real pictures has found.
#[derive(Clone, Copy, Default)]
struct Hits {
    /// A generated picture in a ball around a real one, and the balls of the density that it lies in.
    precise: bool,
    dense: u64,
    /// A real picture in a ball around a generated one, and a generated one in its own.
    recalled: bool,
    covered: bool,
}

fn count(
    generated: &Set<'_>,
    real: &Set<'_>,
    generated_radii: &[f64],
    real_radii: &[Vec<f64>; 2],
    settings: &Settings,
) -> Prdc {
    // A row of tiles at a time: its own hits are counted at once, those of the columns are joined.
    let (rows, columns) = (0..generated.blocks())
        .into_par_iter()
        .map_init(Room::default, |room, block| {
            let mut of_rows = vec![Hits::default(); generated.block(block).len()];
            let mut of_columns = vec![Hits::default(); real.rows()];
            for other in 0..real.blocks() {
                let width = generated.distances(block, real, other, room);
                let lines = room.distances.chunks_exact(width);
                for ((row, hits), distances) in generated.block(block).zip(&mut of_rows).zip(lines)
                {
                    for (column, distance) in real.block(other).zip(distances) {
                        let rounding = ROUNDING * (generated.lengths[row] + real.lengths[column]);
                        let bounds = [
                            real_radii[0][column],
                            generated_radii[row],
                            real_radii[1][column],
                        ];
                        let is_close = bounds
                            .iter()
                            .any(|bound| (distance - bound).abs() <= rounding);
                        let distance = if is_close {
                            generated.exact(row, real, column)
                        } else {
                            *distance
                        };
                        let found = &mut of_columns[column];
                        hits.precise |= distance <= bounds[0];
                        found.recalled |= distance <= bounds[1];
                        if distance < bounds[2] {
                            hits.dense += 1;
                            found.covered = true;
                        }
                    }
                }
            }
            (of_rows, of_columns)
        })
        .reduce(
            || (Vec::new(), Vec::new()),
            |(mut rows, columns), (more_rows, more_columns)| {
                rows.extend(more_rows);
                if columns.is_empty() {
                    return (rows, more_columns);
                }
                if more_columns.is_empty() {
                    return (rows, columns);
                }
                let joined = columns.iter().zip(&more_columns).map(|(one, other)| Hits {
                    recalled: one.recalled || other.recalled,
                    covered: one.covered || other.covered,
                    ..Hits::default()
                });
                (rows, joined.collect())
            },
        );
    let share = |hits: &[Hits], is_hit: fn(&Hits) -> bool| {
        hits.iter().filter(|hits| is_hit(hits)).count() as f64 / hits.len() as f64
    };
    let dense: u64 = rows.iter().map(|hits| hits.dense).sum();
    Prdc {
        precision: share(&rows, |hits| hits.precise),
        recall: share(&columns, |hits| hits.recalled),
        density: dense as f64 / (settings.density_neighbours * rows.len()) as f64,
        coverage: share(&columns, |hits| hits.covered),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn features(rows: usize, dims: usize, seed: u64, shift: f32) -> Features {
        let mut state = seed;
        let values = (0..rows * dims).map(|_| {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            (state >> 40) as f32 / (1u64 << 24) as f32 + shift
        });
        Features::new(dims, values.collect())
    }

    /// The definitions, by plain loops in float64.
    fn plainly(generated: &Features, real: &Features, k: usize, density_k: usize) -> Prdc {
        let distance = |a: &[f32], b: &[f32]| -> f64 {
            a.iter()
                .zip(b)
                .map(|(a, b)| (f64::from(*a) - f64::from(*b)).powi(2))
                .sum()
        };
        let radius = |set: &Features, row: usize, k: usize| {
            let mut all: Vec<f64> = (0..set.rows())
                .filter(|other| *other != row)
                .map(|other| distance(set.row(row), set.row(other)))
                .collect();
            all.sort_by(f64::total_cmp);
            all[k - 1]
        };
        let (n, m) = (generated.rows(), real.rows());
        let away: Vec<Vec<f64>> = (0..n)
            .map(|i| {
                (0..m)
                    .map(|j| distance(generated.row(i), real.row(j)))
                    .collect()
            })
            .collect();
        let real_radii: Vec<f64> = (0..m).map(|j| radius(real, j, k)).collect();
        let fake_radii: Vec<f64> = (0..n).map(|i| radius(generated, i, k)).collect();
        let density_radii: Vec<f64> = (0..m).map(|j| radius(real, j, density_k)).collect();
        let share = |count: usize, all: usize| count as f64 / all as f64;
        Prdc {
            precision: share(
                (0..n)
                    .filter(|i| (0..m).any(|j| away[*i][j] <= real_radii[j]))
                    .count(),
                n,
            ),
            recall: share(
                (0..m)
                    .filter(|j| (0..n).any(|i| away[i][*j] <= fake_radii[i]))
                    .count(),
                m,
            ),
            density: (0..n)
                .map(|i| (0..m).filter(|j| away[i][*j] < density_radii[*j]).count())
                .sum::<usize>() as f64
                / (density_k * n) as f64,
            coverage: share(
                (0..m)
                    .filter(|j| (0..n).any(|i| away[i][*j] < density_radii[*j]))
                    .count(),
                m,
            ),
        }
    }

    #[test]
    fn tiles_give_what_the_definitions_give() {
        for (n, m, dims, shift) in [(300, 280, 6, 0.1), (60, 257, 3, 0.3), (20, 30, 40, 0.0)] {
            let (generated, real) = (features(n, dims, 1, shift), features(m, dims, 2, 0.0));
            let ours = prdc(&generated, &real, &Settings::default()).unwrap();
            let theirs = plainly(&generated, &real, 3, 5);
            assert_eq!(ours, theirs);
            assert!(theirs.precision > 0.1 && theirs.recall > 0.1, "{theirs:?}");
        }
    }

    #[test]
    fn a_set_lies_in_its_own_balls() {
        let set = features(300, 8, 3, 0.0);
        let found = prdc(&set, &set, &Settings::default()).unwrap();
        assert_eq!(
            (found.precision, found.recall, found.coverage),
            (1.0, 1.0, 1.0)
        );
        // Far from zero, where rounding is largest, nothing changes.
        let far = |shift| features(300, 8, 3, shift);
        let moved = prdc(&far(64.0), &far(64.0), &Settings::default()).unwrap();
        assert_eq!((moved.precision, moved.recall), (1.0, 1.0));
    }

    #[test]
    fn sets_far_apart_share_nothing() {
        let found = prdc(
            &features(50, 4, 1, 9.0),
            &features(60, 4, 2, 0.0),
            &Settings::default(),
        )
        .unwrap();
        assert_eq!(
            (found.precision, found.recall, found.density, found.coverage),
            (0.0, 0.0, 0.0, 0.0)
        );
        assert_eq!(found.f_score(), 0.0);
    }

    #[test]
    fn too_few_pictures_are_refused() {
        let error = prdc(
            &features(5, 4, 1, 0.0),
            &features(60, 4, 2, 0.0),
            &Settings::default(),
        );
        assert!(
            error
                .unwrap_err()
                .to_string()
                .contains("5 generated pictures")
        );
    }
}
