//! How well a set of generated things covers a set of real ones, told from the distances between them alone: whatever
//! they are, and whatever a distance is.

use crate::failure::{Kind, failure};

/// Distances from each thing of one set to each of another.
#[derive(Debug, Clone, PartialEq)]
pub struct Distances {
    rows: usize,
    columns: usize,
    values: Vec<f32>,
}

impl Distances {
    /// `values` holds `rows * columns` distances, row after row.
    ///
    /// # Errors
    /// `Data` for an empty set, or a distance that is negative or not finite.
    ///
    /// # Panics
    /// If the number of values is another.
    pub fn new(rows: usize, columns: usize, values: Vec<f32>) -> anyhow::Result<Self> {
        assert_eq!(values.len(), rows * columns, "{rows} x {columns} distances");
        if values.is_empty() {
            return Err(failure(Kind::Data, "one of the two sets is empty"));
        }
        let is_wrong = |value: &f32| !(value.is_finite() && *value >= 0.0);
        if let Some(at) = values.iter().position(is_wrong) {
            return Err(failure(
                Kind::Data,
                format!(
                    "the distance from {} to {} is {}",
                    at / columns,
                    at % columns,
                    values[at]
                ),
            ));
        }
        Ok(Self {
            rows,
            columns,
            values,
        })
    }

    /// Things of the first set.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Things of the second set.
    pub fn columns(&self) -> usize {
        self.columns
    }

    fn row(&self, row: usize) -> &[f32] {
        &self.values[row * self.columns..(row + 1) * self.columns]
    }

    /// The place and the distance of the nearest of the second set, for each of the first; of equally near ones the
    /// first.
    fn nearest(&self) -> impl Iterator<Item = (usize, f32)> {
        (0..self.rows).map(|row| least(self.row(row).iter().copied()))
    }

    /// The mean over the pairs of a set with itself, each with every other one; 0 for a set of one.
    ///
    /// # Panics
    /// If the sets differ in size.
    pub fn mean_of_pairs(&self) -> f64 {
        assert_eq!(self.rows, self.columns, "of a set with itself");
        let pairs = (self.rows * (self.rows - 1)) as f64;
        let others = (0..self.rows).flat_map(|row| {
            let values = self.row(row).iter().enumerate();
            values.filter(move |(column, _)| *column != row)
        });
        others.map(|(_, value)| f64::from(*value)).sum::<f64>() / pairs.max(1.0)
    }
}

/// The first of the smallest values, and its place.
fn least(values: impl Iterator<Item = f32>) -> (usize, f32) {
    let first =
        |best: (usize, f32), found: (usize, f32)| if found.1 < best.1 { found } else { best };
    values.enumerate().fold((0, f32::INFINITY), first)
}

/// What part of the real set is found again, and how near (Achlioptas et al. 2018, <https://arxiv.org/abs/1707.02392>,
/// section 5).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Matching {
    /// The share of the real things that are the nearest one of at least one generated thing.
    pub coverage: f64,
    /// The mean over the real things of the distance to the nearest generated one.
    pub minimum_matching_distance: f64,
}

/// Coverage and minimum matching distance; `distances` are from each generated thing to each real one.
pub fn matching(distances: &Distances) -> Matching {
    let mut is_found = vec![false; distances.columns];
    for (place, _) in distances.nearest() {
        is_found[place] = true;
    }
    let found = is_found.iter().filter(|found| **found).count();
    let nearest = (0..distances.columns).map(|column| {
        let values = (0..distances.rows).map(|row| distances.row(row)[column]);
        f64::from(least(values).1)
    });
    Matching {
        coverage: found as f64 / distances.columns as f64,
        minimum_matching_distance: nearest.sum::<f64>() / distances.columns as f64,
    }
}

/// How often the nearest other thing of both sets together is of a thing's own set (Lopez-Paz and Oquab 2017; Yang et
/// al. 2019, <https://arxiv.org/abs/1906.12320>, section 5.1). One half is best: the sets cannot be told apart. 1: they are
/// apart; below a half: one repeats the other.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct NearestNeighbour {
    /// Over both sets.
    pub accuracy: f64,
    /// Over the real things.
    pub of_real: f64,
    /// Over the generated things.
    pub of_generated: f64,
}

/// The accuracy of a classifier that answers with the set of the nearest other thing. `real` and `generated` are the
/// distances of each set to itself, `between` those from each generated thing to each real one. Of equally near things a
/// real one counts, and of those the first.
///
/// # Panics
/// If the sizes do not fit together.
pub fn one_nearest_neighbour(
    real: &Distances,
    generated: &Distances,
    between: &Distances,
) -> NearestNeighbour {
    let (rows, columns) = (between.rows, between.columns);
    assert_eq!([real.rows, real.columns], [columns; 2], "the real set");
    assert_eq!(
        [generated.rows, generated.columns],
        [rows; 2],
        "the generated set"
    );
    let own = |of: &Distances, row: usize| {
        let others = of.row(row).iter().enumerate();
        least(others.map(|(column, value)| if column == row { f32::INFINITY } else { *value })).1
    };
    let real_hits = (0..columns)
        .filter(|column| {
            let others = (0..rows).map(|row| between.row(row)[*column]);
            own(real, *column) <= least(others).1
        })
        .count();
    let generated_hits = between
        .nearest()
        .enumerate()
        .filter(|(row, (_, other))| own(generated, *row) < *other)
        .count();
    let share = |hits: usize, of: usize| hits as f64 / of as f64;
    NearestNeighbour {
        accuracy: share(real_hits + generated_hits, rows + columns),
        of_real: share(real_hits, columns),
        of_generated: share(generated_hits, rows),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Distances of points on a line.
    fn line(rows: &[f32], columns: &[f32]) -> Distances {
        let values = rows
            .iter()
            .flat_map(|row| columns.iter().map(move |column| (row - column).abs()));
        Distances::new(rows.len(), columns.len(), values.collect()).unwrap()
    }

    #[test]
    fn coverage_and_matching_distance_by_hand() {
        let real = [0.0, 1.0, 5.0, 9.0];
        let found = matching(&line(&[0.2, 0.1, 6.0], &real));
        // 0.2 and 0.1 find 0; 6 finds 5. From 0: 0.1, from 1: 0.8, from 5: 1, from 9: 3.
        assert_eq!(found.coverage, 0.5);
        assert!((found.minimum_matching_distance - 4.9 / 4.0).abs() < 1e-6);
        let same = matching(&line(&real, &real));
        assert_eq!((same.coverage, same.minimum_matching_distance), (1.0, 0.0));
        // Everything at one place.
        assert_eq!(matching(&line(&[5.1; 100], &real)).coverage, 0.25);
        // Of equally near ones the first.
        assert_eq!(matching(&line(&[0.5, 0.5], &[0.0, 1.0])).coverage, 0.5);
    }

    #[test]
    fn nearest_neighbours_by_hand() {
        let apart = |real: &[f32], generated: &[f32]| {
            one_nearest_neighbour(
                &line(real, real),
                &line(generated, generated),
                &line(generated, real),
            )
        };
        let found = apart(&[0.0, 1.0, 2.0], &[10.0, 11.0]);
        assert_eq!(
            (found.of_real, found.of_generated, found.accuracy),
            (1.0, 1.0, 1.0)
        );
        // Copies: each one's nearest is its twin in the other set.
        let found = apart(&[0.0, 3.0, 6.0], &[0.1, 3.1, 6.1]);
        assert_eq!(found.accuracy, 0.0);
        // 0 - 1 real, 1.5 generated, 4 real, 4.5 and 5.5 generated.
        let found = apart(&[0.0, 1.0, 4.0], &[1.5, 4.5, 5.5]);
        // 0 -> 1 real, 1 -> 1.5 no, 4 -> 4.5 no; 1.5 -> 1 no, 4.5 -> 4 no, 5.5 -> 4.5 yes.
        assert_eq!((found.of_real, found.of_generated), (1.0 / 3.0, 1.0 / 3.0));
        // On a tie the real one counts.
        let found = apart(&[0.0, 2.0], &[1.0, 9.0]);
        assert_eq!((found.of_real, found.of_generated), (0.0, 0.0));
        let found = apart(&[0.0, 1.0, 9.0], &[2.0, 3.0]);
        assert_eq!((found.of_real, found.of_generated), (2.0 / 3.0, 0.5));
    }

    #[test]
    fn the_mean_of_pairs_leaves_out_a_thing_with_itself() {
        let points = [0.0, 1.0, 3.0];
        assert_eq!(line(&points, &points).mean_of_pairs(), 2.0);
        assert_eq!(line(&[7.0], &[7.0]).mean_of_pairs(), 0.0);
    }

    #[test]
    fn what_is_no_distance_is_refused() {
        assert!(Distances::new(0, 3, Vec::new()).is_err());
        let error = Distances::new(1, 2, vec![0.0, f32::NAN]).unwrap_err();
        assert!(error.to_string().contains("from 0 to 1"), "{error}");
        assert!(Distances::new(1, 1, vec![-1.0]).is_err());
    }
}
