//! The parts of a shape that hang together.

use crate::voxels::Voxels;

/// Which full voxels belong together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Neighbours {
    /// Those that share a face (6-connected).
    Faces,
    /// Those that share a face or an edge (18-connected).
    Edges,
    /// Those that share a face, an edge or a corner (26-connected).
    Corners,
    /// Those whose middles are no farther apart than so many voxels, even with a gap between. The authors of 3D-GAN
    /// keep the largest component at distance 3 (`max_connected` in their `visualization/python/util.py`); 1 is
    /// [`Self::Faces`].
    Within(usize),
}

impl Neighbours {
    /// The steps to the half of the neighbours that come later in index order.
    fn steps(self) -> Vec<[isize; 3]> {
        let (reach, most) = match self {
            Self::Faces => (1, 1),
            Self::Edges => (1, 2),
            Self::Corners => (1, 3),
            Self::Within(distance) => {
                let reach = distance.min(Voxels::MOST_SIDE) as isize;
                (reach, reach * reach)
            }
        };
        let mut steps = Vec::new();
        for x in 0..=reach {
            for y in -reach..=reach {
                for z in -reach..=reach {
                    if [x, y, z] > [0, 0, 0] && x * x + y * y + z * z <= most {
                        steps.push([x, y, z]);
                    }
                }
            }
        }
        steps
    }
}

/// The components of a shape.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Components {
    size: [usize; 3],
    /// Each full voxel, in index order, and the component that it belongs to.
    members: Vec<([usize; 3], usize)>,
    sizes: Vec<usize>,
}

impl Components {
    /// The components of the full voxels, in the order of their first voxels.
    pub fn of(voxels: &Voxels, neighbours: Neighbours) -> Self {
        let size = voxels.size();
        let full: Vec<[usize; 3]> = voxels.full().collect();
        let index = |[x, y, z]: [usize; 3]| (x * size[1] + y) * size[2] + z;
        let mut number = vec![u32::MAX; voxels.len()];
        for (place, &at) in full.iter().enumerate() {
            number[index(at)] = place as u32;
        }
        // Each full voxel points to an earlier one of its component, the first to itself.
        let mut parent: Vec<u32> = (0..full.len() as u32).collect();
        let steps = neighbours.steps();
        for (place, &at) in full.iter().enumerate() {
            for step in &steps {
                let Some(beside) = moved(at, step, size) else {
                    continue;
                };
                let other = number[index(beside)];
                if other != u32::MAX {
                    let [a, b] = [root(&mut parent, place as u32), root(&mut parent, other)];
                    parent[a.max(b) as usize] = a.min(b);
                }
            }
        }
        let mut sizes = Vec::new();
        let mut component = vec![0; full.len()];
        let members = full
            .into_iter()
            .enumerate()
            .map(|(place, at)| {
                let parent = parent[place] as usize;
                component[place] = if parent == place {
                    sizes.push(0);
                    sizes.len() - 1
                } else {
                    component[parent]
                };
                sizes[component[place]] += 1;
                (at, component[place])
            })
            .collect();
        Self {
            size,
            members,
            sizes,
        }
    }

    /// The number of voxels of each component.
    pub fn sizes(&self) -> &[usize] {
        &self.sizes
    }

    /// The component with this number, alone.
    ///
    /// # Panics
    /// If there is no such component.
    pub fn alone(&self, component: usize) -> Voxels {
        assert!(component < self.sizes.len(), "component {component}");
        self.keep(Some(component))
    }

    /// The largest component, alone; of several as large, the first; of none, nothing.
    pub fn largest(&self) -> Voxels {
        let most = self.sizes.iter().copied().max();
        self.keep(self.sizes.iter().position(|&size| Some(size) == most))
    }

    fn keep(&self, component: Option<usize>) -> Voxels {
        let mut kept = Voxels::new(self.size);
        for &(at, of) in &self.members {
            if Some(of) == component {
                kept.set(at, true);
            }
        }
        kept
    }
}

/// The largest component of a shape, alone; of several as large, the first.
pub fn largest(voxels: &Voxels, neighbours: Neighbours) -> Voxels {
    Components::of(voxels, neighbours).largest()
}

fn moved(at: [usize; 3], step: &[isize; 3], size: [usize; 3]) -> Option<[usize; 3]> {
    let mut to = at;
    for axis in 0..3 {
        to[axis] = at[axis].checked_add_signed(step[axis])?;
        if to[axis] >= size[axis] {
            return None;
        }
    }
    Some(to)
}

/// The first of a component, which everything on the way there then points past.
fn root(parent: &mut [u32], mut place: u32) -> u32 {
    while parent[place as usize] != place {
        parent[place as usize] = parent[parent[place as usize] as usize];
        place = parent[place as usize];
    }
    place
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(size: [usize; 3], full: &[[usize; 3]]) -> Voxels {
        let mut voxels = Voxels::new(size);
        for &at in full {
            voxels.set(at, true);
        }
        voxels
    }

    fn sizes(voxels: &Voxels, neighbours: Neighbours) -> Vec<usize> {
        Components::of(voxels, neighbours).sizes().to_vec()
    }

    #[test]
    fn neighbours_are_as_near_as_they_say() {
        // A face, an edge and a corner apart, then two and three voxels away.
        for (step, joined) in [
            ([1, 0, 0], [true, true, true, true, true]),
            ([0, 1, 1], [false, true, true, true, true]),
            ([1, 1, 1], [false, false, true, true, true]),
            ([0, 0, 2], [false, false, false, true, true]),
            ([1, 2, 2], [false, false, false, false, true]),
            ([0, 3, 1], [false, false, false, false, false]),
        ] {
            let pair = with([4, 5, 6], &[[1, 1, 1], step.map(|k| k + 1)]);
            let kinds = [
                Neighbours::Faces,
                Neighbours::Edges,
                Neighbours::Corners,
                Neighbours::Within(2),
                Neighbours::Within(3),
            ];
            for (kind, joined) in kinds.into_iter().zip(joined) {
                let count = if joined { 1 } else { 2 };
                assert_eq!(sizes(&pair, kind).len(), count, "{step:?} {kind:?}");
            }
        }
        let offsets = |kind: Neighbours| 2 * kind.steps().len();
        assert_eq!(offsets(Neighbours::Faces), 6);
        assert_eq!(offsets(Neighbours::Edges), 18);
        assert_eq!(offsets(Neighbours::Corners), 26);
        // The points of a lattice in a ball of radius 3, without its middle (OEIS A000605).
        assert_eq!(offsets(Neighbours::Within(3)), 122);
    }

    #[test]
    fn the_ends_of_rows_are_no_neighbours() {
        // Neighbours in index order, each at the other end of its row or plane.
        let voxels = with([4, 4, 4], &[[0, 0, 3], [0, 1, 0], [1, 3, 3], [2, 0, 0]]);
        assert_eq!(sizes(&voxels, Neighbours::Corners), [1, 1, 1, 1]);
    }

    #[test]
    fn components_are_those_of_a_flood() {
        let mut state = 9u64;
        for _ in 0..50 {
            let voxels = Voxels::from_fn([7, 6, 8], |_| {
                state = state
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1);
                state >> 62 == 0
            });
            for kind in [
                Neighbours::Faces,
                Neighbours::Edges,
                Neighbours::Corners,
                Neighbours::Within(2),
            ] {
                let found = Components::of(&voxels, kind);
                let mut seen = Voxels::new(voxels.size());
                let mut expected = Vec::new();
                for start in voxels.full() {
                    if seen.is_full(start) {
                        continue;
                    }
                    let (mut stack, mut count) = (vec![start], 0);
                    seen.set(start, true);
                    while let Some(at) = stack.pop() {
                        count += 1;
                        for other in voxels.full() {
                            let away: [usize; 3] =
                                std::array::from_fn(|axis| at[axis].abs_diff(other[axis]));
                            let square: usize = away.iter().map(|k| k * k).sum();
                            let most = away.iter().max().copied().unwrap_or(0);
                            let is_near = match kind {
                                Neighbours::Faces => square <= 1,
                                Neighbours::Edges => square <= 2,
                                Neighbours::Corners => most <= 1,
                                Neighbours::Within(distance) => square <= distance * distance,
                            };
                            if is_near && !seen.is_full(other) {
                                seen.set(other, true);
                                stack.push(other);
                            }
                        }
                    }
                    expected.push(count);
                }
                assert_eq!(found.sizes(), expected, "{kind:?}");
                let largest = found.largest();
                assert_eq!(Some(largest.count()), expected.iter().copied().max());
                assert_eq!(sizes(&largest, kind), [largest.count()]);
                for (number, &count) in expected.iter().enumerate() {
                    assert_eq!(found.alone(number).count(), count);
                }
            }
        }
    }

    #[test]
    fn nothing_has_no_components() {
        let empty = Voxels::new([4; 3]);
        assert_eq!(sizes(&empty, Neighbours::Within(3)), [0; 0]);
        assert_eq!(largest(&empty, Neighbours::Faces), empty);
    }
}
