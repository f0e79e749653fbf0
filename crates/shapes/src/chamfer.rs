//! How far apart the surfaces of two shapes are: the Chamfer distance, on points of equal weight.
//!
//! The points of a shape are the middles of its surface voxels: full ones with an empty voxel, or the outside of the
//! grid, beyond one of their six faces. An exact distance transform of the grid (Felzenszwalb and Huttenlocher,
//! "Distance Transforms of Sampled Functions", Theory of Computing 8, 2012) answers for every voxel how far the nearest
//! point of a shape is; a comparison of two shapes is then one look-up for each point.

use crate::voxels::Voxels;

/// The middles of the surface voxels of a shape.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SurfacePoints {
    size: [usize; 3],
    voxels: Vec<[usize; 3]>,
}

impl SurfacePoints {
    /// The surface voxels of a shape, in index order.
    pub fn of(shape: &Voxels) -> Self {
        let size = shape.size();
        let is_surface = |at: &[usize; 3]| {
            (0..3).any(|axis| {
                let is_empty_at = |k: usize| {
                    let mut beside = *at;
                    beside[axis] = k;
                    !shape.is_full(beside)
                };
                at[axis] == 0
                    || at[axis] + 1 == size[axis]
                    || is_empty_at(at[axis] - 1)
                    || is_empty_at(at[axis] + 1)
            })
        };
        Self {
            size,
            voxels: shape.full().filter(is_surface).collect(),
        }
    }

    /// How many there are; 0 for an empty shape only.
    pub fn len(&self) -> usize {
        self.voxels.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.voxels.is_empty()
    }

    /// Where they are, in units of the grid's longest side: from 0 to 1 along that.
    pub fn positions(&self) -> impl Iterator<Item = [f32; 3]> {
        let unit = longest(self.size);
        self.voxels
            .iter()
            .map(move |at| at.map(|index| (index as f32 + 0.5) / unit))
    }
}

/// The distance from every voxel of a grid to the nearest surface voxel of a shape, between middles, in units of the
/// grid's longest side.
///
/// For a shape without voxels it is everywhere the diagonal of the grid, which no distance can exceed, so that a
/// network that makes nothing gets a bad number and not an infinite one.
#[derive(Debug, Clone, PartialEq)]
pub struct DistanceField {
    size: [usize; 3],
    distances: Vec<f32>,
}

impl DistanceField {
    /// The field around the surface of a shape.
    pub fn of(shape: &Voxels) -> Self {
        Self::around(&SurfacePoints::of(shape))
    }

    /// The field around points.
    pub fn around(points: &SurfacePoints) -> Self {
        let size = points.size;
        let count = size.iter().product();
        let unit = longest(size);
        if points.is_empty() {
            let diagonal = size.map(|side| side as f32 / unit);
            let diagonal = diagonal.iter().map(|side| side * side).sum::<f32>().sqrt();
            return Self {
                size,
                distances: vec![diagonal; count],
            };
        }
        let mut squares = vec![f64::INFINITY; count];
        for &[x, y, z] in &points.voxels {
            squares[(x * size[1] + y) * size[2] + z] = 0.0;
        }
        let strides = [size[1] * size[2], size[2], 1];
        let mut line = Line::new(*size.iter().max().unwrap_or(&1));
        for axis in [2, 1, 0] {
            let [b, c] = [(axis + 1) % 3, (axis + 2) % 3];
            for i in 0..size[b] {
                for j in 0..size[c] {
                    let first = i * strides[b] + j * strides[c];
                    line.transform(&mut squares, first, strides[axis], size[axis]);
                }
            }
        }
        Self {
            size,
            distances: squares
                .into_iter()
                .map(|square| (square.sqrt() / f64::from(unit)) as f32)
                .collect(),
        }
    }

    /// The distance at a voxel.
    ///
    /// # Panics
    /// If `at` is outside of the grid.
    pub fn at(&self, at: [usize; 3]) -> f32 {
        assert!(at.iter().zip(&self.size).all(|(at, side)| at < side));
        self.distances[(at[0] * self.size[1] + at[1]) * self.size[2] + at[2]]
    }

    /// The mean distance from points to the shape of this field; for no points the diagonal of the grid, unless this
    /// shape is empty as well: then 0.
    ///
    /// # Panics
    /// If the points are of a grid of another size.
    pub fn mean_over(&self, points: &SurfacePoints) -> f64 {
        assert_eq!(self.size, points.size, "grids of different sizes");
        let unit = f64::from(longest(self.size));
        let diagonal = self.size.map(|side| (side as f64 / unit).powi(2));
        let diagonal = diagonal.iter().sum::<f64>().sqrt();
        if points.is_empty() {
            let is_empty = self.distances.iter().all(|&distance| distance > 0.0);
            return if is_empty { 0.0 } else { diagonal };
        }
        let sum: f64 = points.voxels.iter().map(|&at| f64::from(self.at(at))).sum();
        sum / points.len() as f64
    }
}

/// A shape, ready to be compared with many others.
#[derive(Debug, Clone, PartialEq)]
pub struct Compared {
    points: SurfacePoints,
    field: DistanceField,
}

impl Compared {
    /// The points and the field of a shape.
    pub fn new(shape: &Voxels) -> Self {
        let points = SurfacePoints::of(shape);
        let field = DistanceField::around(&points);
        Self { points, field }
    }

    /// The symmetric Chamfer distance: the mean of the Euclidean distances (not squared) from each point of one shape
    /// to the nearest of the other, taken both ways, and of the two means the mean. In units of the grid's longest
    /// side.
    ///
    /// Two empty shapes are at 0; an empty one and another are apart by the diagonal of the grid.
    ///
    /// # Panics
    /// If the grids have different sizes.
    pub fn distance(&self, other: &Self) -> f64 {
        (self.field.mean_over(&other.points) + other.field.mean_over(&self.points)) / 2.0
    }
}

/// The symmetric Chamfer distance of two shapes, as [`Compared::distance`].
///
/// # Panics
/// If the grids have different sizes.
pub fn chamfer(one: &Voxels, other: &Voxels) -> f64 {
    Compared::new(one).distance(&Compared::new(other))
}

fn longest(size: [usize; 3]) -> f32 {
    size.iter().copied().max().unwrap_or(1) as f32
}

/// Room for the distance transform of one line: the lower envelope of parabolas.
struct Line {
    values: Vec<f64>,
    /// Where the parabolas of the envelope stand, and from where on each is the lowest.
    feet: Vec<usize>,
    starts: Vec<f64>,
}

impl Line {
    fn new(longest: usize) -> Self {
        Self {
            values: Vec::with_capacity(longest),
            feet: Vec::with_capacity(longest),
            starts: Vec::with_capacity(longest),
        }
    }

    /// Replaces the values at `first`, `first + stride`, ... by the smallest of value and squared distance.
    fn transform(&mut self, values: &mut [f64], first: usize, stride: usize, count: usize) {
        self.values.clear();
        self.values
            .extend((0..count).map(|k| values[first + k * stride]));
        self.feet.clear();
        self.starts.clear();
        for (foot, &value) in self.values.iter().enumerate() {
            if value.is_infinite() {
                continue;
            }
            let height = |foot: usize, value: f64| value + (foot * foot) as f64;
            let mut start = f64::NEG_INFINITY;
            while let (Some(&last), Some(&from)) = (self.feet.last(), self.starts.last()) {
                start = (height(foot, value) - height(last, self.values[last]))
                    / (2 * (foot - last)) as f64;
                if start > from {
                    break;
                }
                self.feet.pop();
                self.starts.pop();
                start = f64::NEG_INFINITY;
            }
            self.feet.push(foot);
            self.starts.push(start);
        }
        let mut envelope = 0;
        for k in 0..count {
            while envelope + 1 < self.starts.len() && self.starts[envelope + 1] < k as f64 {
                envelope += 1;
            }
            if let Some(&foot) = self.feet.get(envelope) {
                let away = k.abs_diff(foot);
                values[first + k * stride] = self.values[foot] + (away * away) as f64;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn noise(size: [usize; 3], one_in: u64, state: &mut u64) -> Voxels {
        Voxels::from_fn(size, |_| {
            *state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            (*state >> 33).is_multiple_of(one_in)
        })
    }

    fn nearest(from: [f32; 3], to: &SurfacePoints) -> f64 {
        to.positions()
            .map(|at| {
                (0..3)
                    .map(|axis| f64::from(at[axis] - from[axis]).powi(2))
                    .sum::<f64>()
                    .sqrt()
            })
            .fold(f64::INFINITY, f64::min)
    }

    #[test]
    fn fields_and_distances_are_those_of_all_pairs() {
        let mut state = 1;
        for (trial, size) in [[9, 9, 9], [5, 8, 11], [1, 6, 3], [12, 1, 1]]
            .into_iter()
            .cycle()
            .take(40)
            .enumerate()
        {
            // From crowded to a few voxels: rows and planes without any must be passed.
            let one_in = [2, 9, 40][trial % 3];
            let (mut one, mut other) = (
                noise(size, one_in, &mut state),
                noise(size, one_in, &mut state),
            );
            one.set([0; 3], true);
            other.set(size.map(|side| side - 1), true);
            let [a, b] = [SurfacePoints::of(&one), SurfacePoints::of(&other)];
            let unit = *size.iter().max().unwrap() as f32;
            let field = DistanceField::of(&one);
            for x in 0..size[0] {
                for y in 0..size[1] {
                    for z in 0..size[2] {
                        let middle = [x, y, z].map(|index| (index as f32 + 0.5) / unit);
                        let expected = nearest(middle, &a);
                        let found = f64::from(field.at([x, y, z]));
                        assert!(
                            (found - expected).abs() < 1e-6,
                            "{size:?} at {x} {y} {z}: {found}, not {expected}"
                        );
                    }
                }
            }
            let mean = |from: &SurfacePoints, to: &SurfacePoints| {
                from.positions().map(|at| nearest(at, to)).sum::<f64>() / from.len() as f64
            };
            let expected = (mean(&a, &b) + mean(&b, &a)) / 2.0;
            assert!((chamfer(&one, &other) - expected).abs() < 1e-6);
            assert_eq!(chamfer(&one, &other), chamfer(&other, &one));
            assert_eq!(chamfer(&one, &one), 0.0);
        }
    }

    #[test]
    fn surface_voxels_have_an_open_face() {
        let block = Voxels::from_fn([8; 3], |at| at.iter().all(|&k| (1..6).contains(&k)));
        let points = SurfacePoints::of(&block);
        assert_eq!(points.len(), 5 * 5 * 5 - 3 * 3 * 3);
        assert_eq!(points.positions().next(), Some([1.5 / 8.0; 3]));
        // The border of the grid is a surface too.
        let all = SurfacePoints::of(&Voxels::from_fn([4, 5, 6], |_| true));
        assert_eq!(all.len(), 4 * 5 * 6 - 2 * 3 * 4);
    }

    #[test]
    fn a_shifted_plate_is_as_far_as_the_shift() {
        let plate = |x: usize| Voxels::from_fn([10; 3], move |at| at[0] == x);
        assert!((chamfer(&plate(2), &plate(5)) - 0.3).abs() < 1e-6);
        // Between middles, in units of the longest side.
        let long = |x: usize| Voxels::from_fn([10, 20, 5], move |at| at[0] == x);
        assert!((chamfer(&long(2), &long(5)) - 0.15).abs() < 1e-6);
    }

    #[test]
    fn nothing_is_as_far_as_can_be() {
        let (empty, full) = (
            Voxels::new([6; 3]),
            Voxels::from_fn([6; 3], |at| at == [1, 2, 3]),
        );
        assert_eq!(chamfer(&empty, &empty), 0.0);
        let far = chamfer(&empty, &full);
        assert!((far - 3f64.sqrt()).abs() < 1e-6, "{far}");
        assert_eq!(far, chamfer(&full, &empty));
    }
}
