//! A grid of any size as the cube that a network takes.

use crate::voxels::Voxels;

/// The shape in a cube of `side` voxels.
///
/// Each voxel becomes a cube of as many voxels as fit: the factor is the largest whole divisor of `side` with which the
/// longest side still fits, and what is missing is empty space, the same on both sides. So 30 voxels become 64 as
/// 3D-ShapeNets' files do in Wu et al. 2016: one empty layer around, then each voxel doubled. A grid that is too large is
/// made smaller by a whole factor, a voxel of the result being full where any of its voxels was.
///
/// # Panics
/// If `side` is zero or above [`Voxels::MOST_SIDE`].
pub fn fitted(voxels: &Voxels, side: usize) -> Voxels {
    let longest = voxels.size().into_iter().fold(1, usize::max);
    if longest > side {
        return smaller(voxels, side, longest.div_ceil(side));
    }
    let factors = (1..=side / longest).rev();
    let factor = factors
        .filter(|factor| side.is_multiple_of(*factor))
        .find(|factor| longest <= side / factor)
        .unwrap_or(1);
    let empty = voxels.size().map(|of| (side / factor - of) / 2);
    let mut fitted = Voxels::new([side; 3]);
    for at in voxels.full() {
        let first = [0, 1, 2].map(|axis| (at[axis] + empty[axis]) * factor);
        for x in 0..factor {
            for y in 0..factor {
                for z in 0..factor {
                    fitted.set([first[0] + x, first[1] + y, first[2] + z], true);
                }
            }
        }
    }
    fitted
}

/// `factor` voxels of each direction become one; the result is in the middle of the cube.
fn smaller(voxels: &Voxels, side: usize, factor: usize) -> Voxels {
    let whole = side * factor;
    let empty = voxels.size().map(|of| (whole - of) / 2);
    let mut fitted = Voxels::new([side; 3]);
    for at in voxels.full() {
        let place = [0, 1, 2].map(|axis| (at[axis] + empty[axis]) / factor);
        fitted.set(place, true);
    }
    fitted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thirty_voxels_become_sixty_four_as_in_the_paper() {
        let voxels = Voxels::from_fn([30; 3], |[x, y, z]| (x + 2 * y + 5 * z) % 7 == 0);
        let fitted = fitted(&voxels, 64);
        assert_eq!(fitted.count(), 8 * voxels.count());
        let expected = Voxels::from_fn([64; 3], |at| {
            let inner = at.map(|at| (at / 2).wrapping_sub(1));
            inner.iter().all(|at| *at < 30) && voxels.is_full(inner)
        });
        assert_eq!(fitted, expected);
    }

    #[test]
    fn every_size_finds_its_factor() {
        // The size, the side, and what one voxel at the first corner becomes: where, and how large.
        for (size, side, corner, factor) in [
            ([30, 30, 30], 32, [1, 1, 1], 1),
            ([64, 64, 64], 64, [0, 0, 0], 1),
            ([32, 16, 8], 64, [0, 16, 24], 2),
            ([20, 20, 20], 64, [12, 12, 12], 2),
            ([16, 15, 16], 64, [0, 0, 0], 4),
        ] {
            let mut voxels = Voxels::new(size);
            voxels.set([0; 3], true);
            let fitted = fitted(&voxels, side);
            assert_eq!(fitted.size(), [side; 3]);
            assert_eq!(fitted.count(), factor * factor * factor, "{size:?}");
            assert!(
                fitted.is_full(corner),
                "{size:?}: {:?}",
                fitted.full().next()
            );
        }
    }

    #[test]
    fn too_large_a_grid_becomes_smaller_and_loses_nothing_thin() {
        let mut voxels = Voxels::new([64; 3]);
        (0..64).for_each(|z| voxels.set([33, 7, z], true));
        let fitted = fitted(&voxels, 32);
        let full: Vec<_> = fitted.full().collect();
        assert_eq!(full.len(), 32);
        assert!(full.iter().all(|at| at[..2] == [16, 3]));
        // 50 do not divide into 32: they become 25 in the middle.
        let whole = Voxels::from_fn([50; 3], |_| true);
        assert_eq!(super::fitted(&whole, 32).count(), 26usize.pow(3));
    }
}
