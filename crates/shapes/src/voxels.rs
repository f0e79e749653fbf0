//! Grids of voxels.

use anyhow::Result;
use gan_core::failure::{Kind, failure};

/// A direction of a grid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Axis {
    /// The first index.
    X,
    /// The second index.
    Y,
    /// The third index: up.
    Z,
}

/// Voxels, each full or empty. z is up, as in 3D-ShapeNets. A bit each, index `(x * size[1] + y) * size[2] + z`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Voxels {
    size: [usize; 3],
    bits: Vec<u64>,
}

impl Voxels {
    /// The largest side of a grid that is accepted from a file.
    pub const MOST_SIDE: usize = 512;

    /// An empty grid.
    ///
    /// # Panics
    /// If a side is zero or above [`Self::MOST_SIDE`].
    pub fn new(size: [usize; 3]) -> Self {
        assert!(
            size.iter().all(|side| (1..=Self::MOST_SIDE).contains(side)),
            "a grid of {size:?} voxels"
        );
        let count: usize = size.iter().product();
        Self {
            size,
            bits: vec![0; count.div_ceil(64)],
        }
    }

    /// The grid whose voxels are full where `is_full` says so.
    ///
    /// # Panics
    /// As [`Self::new`].
    pub fn from_fn(size: [usize; 3], mut is_full: impl FnMut([usize; 3]) -> bool) -> Self {
        let mut voxels = Self::new(size);
        let mut index = 0;
        for x in 0..size[0] {
            for y in 0..size[1] {
                for z in 0..size[2] {
                    voxels.bits[index / 64] |= u64::from(is_full([x, y, z])) << (index % 64);
                    index += 1;
                }
            }
        }
        voxels
    }

    /// Voxels along x, y and z.
    pub fn size(&self) -> [usize; 3] {
        self.size
    }

    /// How many voxels there are, full or empty; never zero.
    #[expect(clippy::len_without_is_empty, reason = "never zero")]
    pub fn len(&self) -> usize {
        self.size.iter().product()
    }

    /// Whether the voxel `at` is full.
    ///
    /// # Panics
    /// If `at` is outside of the grid.
    pub fn is_full(&self, at: [usize; 3]) -> bool {
        let index = self.index(at);
        self.bits[index / 64] >> (index % 64) & 1 == 1
    }

    /// Fills or empties the voxel `at`.
    ///
    /// # Panics
    /// If `at` is outside of the grid.
    pub fn set(&mut self, at: [usize; 3], is_full: bool) {
        let index = self.index(at);
        let bit = 1 << (index % 64);
        if is_full {
            self.bits[index / 64] |= bit;
        } else {
            self.bits[index / 64] &= !bit;
        }
    }

    /// The bytes that a grid of `size` takes in memory.
    pub fn bytes_of(size: [usize; 3]) -> u64 {
        let words = size.iter().product::<usize>().div_ceil(64);
        (8 * words + size_of::<Self>()) as u64
    }

    /// How many voxels are full.
    pub fn count(&self) -> usize {
        self.bits
            .iter()
            .map(|word| word.count_ones() as usize)
            .sum()
    }

    /// The full voxels in index order.
    pub fn full(&self) -> impl Iterator<Item = [usize; 3]> {
        let [_, height, depth] = self.size;
        self.bits.iter().enumerate().flat_map(move |(word, &bits)| {
            let mut left = bits;
            std::iter::from_fn(move || {
                let bit = (left != 0).then(|| left.trailing_zeros() as usize)?;
                left &= left - 1;
                let index = word * 64 + bit;
                Some([
                    index / (height * depth),
                    index / depth % height,
                    index % depth,
                ])
            })
        })
    }

    /// All voxels: bit i of the whole is bit i % 64 of word i / 64, the rest zero.
    pub fn bits(&self) -> &[u64] {
        &self.bits
    }

    fn index(&self, at: [usize; 3]) -> usize {
        assert!(
            at.iter().zip(&self.size).all(|(at, side)| at < side),
            "voxel {at:?} of {:?}",
            self.size
        );
        (at[0] * self.size[1] + at[1]) * self.size[2] + at[2]
    }
}

/// Other grids from one.
impl Voxels {
    /// This grid in the middle of an otherwise empty one of `size`. Where an odd number of layers is to be
    /// added, the larger part comes behind.
    ///
    /// # Errors
    /// A [`Kind::Data`] failure when `size` is smaller along an axis, or more than [`Self::MOST_SIDE`].
    pub fn padded(&self, size: [usize; 3]) -> Result<Self> {
        checked_size(size).map_err(|what| failure(Kind::Data, what))?;
        if (0..3).any(|axis| size[axis] < self.size[axis]) {
            return Err(failure(
                Kind::Data,
                format!(
                    "{} voxels do not fit into {}: choose a larger grid, or reduce the shape by a \
                     whole factor",
                    by(self.size),
                    by(size)
                ),
            ));
        }
        let mut padded = Self::new(size);
        for at in self.full() {
            padded.set(
                std::array::from_fn(|axis| at[axis] + (size[axis] - self.size[axis]) / 2),
                true,
            );
        }
        Ok(padded)
    }

    /// Each voxel as `factor` x `factor` x `factor` voxels.
    ///
    /// # Errors
    /// A [`Kind::Data`] failure when a side would be more than [`Self::MOST_SIDE`].
    ///
    /// # Panics
    /// If the factor is zero.
    pub fn enlarged(&self, factor: usize) -> Result<Self> {
        assert!(factor > 0, "a factor of zero");
        let size = self.size.map(|side| side.saturating_mul(factor));
        checked_size(size).map_err(|what| failure(Kind::Data, what))?;
        Ok(Self::from_fn(size, |at| {
            self.is_full(at.map(|index| index / factor))
        }))
    }

    /// Each block of `factor` x `factor` x `factor` voxels as one that is full where any of them is. Blocks
    /// at the end of an axis may be cut short.
    ///
    /// # Panics
    /// If the factor is zero.
    pub fn reduced(&self, factor: usize) -> Self {
        assert!(factor > 0, "a factor of zero");
        let mut reduced = Self::new(self.size.map(|side| side.div_ceil(factor)));
        for at in self.full() {
            reduced.set(at.map(|index| index / factor), true);
        }
        reduced
    }

    /// Turned about z by so many right angles, from x towards y: counter-clockwise seen from above. No
    /// voxel is lost; odd numbers exchange the sizes along x and y.
    pub fn quarter_turned(&self, turns: i32) -> Self {
        let [width, depth, _] = self.size;
        match turns.rem_euclid(4) {
            0 => self.clone(),
            1 => self.with_columns([depth, width], |x, y| Some([y, depth - 1 - x])),
            2 => self.with_columns([width, depth], |x, y| Some([width - 1 - x, depth - 1 - y])),
            _ => self.with_columns([depth, width], |x, y| Some([width - 1 - y, x])),
        }
    }

    /// Turned about z through the centre, from x towards y, in a grid of the same size: each voxel is that
    /// nearest to where it comes from. What is turned out of the grid is lost.
    ///
    /// # Panics
    /// If the angle is not finite.
    pub fn turned(&self, degrees: f64) -> Self {
        assert!(degrees.is_finite(), "an angle of {degrees}");
        let (sine, cosine) = degrees.to_radians().sin_cos();
        let [width, depth, _] = self.size;
        let centre = [width, depth].map(|side| (side as f64 - 1.0) / 2.0);
        let nearest = |place: f64, side: usize| {
            let rounded = place.round();
            (rounded >= 0.0 && rounded < side as f64).then_some(rounded as usize)
        };
        self.with_columns([width, depth], |x, y| {
            let [x, y] = [x as f64 - centre[0], y as f64 - centre[1]];
            Some([
                nearest(centre[0] + cosine * x + sine * y, width)?,
                nearest(centre[1] - sine * x + cosine * y, depth)?,
            ])
        })
    }

    /// The mirror image along an axis.
    pub fn mirrored(&self, axis: Axis) -> Self {
        let [width, depth, height] = self.size;
        match axis {
            Axis::X => self.with_columns([width, depth], |x, y| Some([width - 1 - x, y])),
            Axis::Y => self.with_columns([width, depth], |x, y| Some([x, depth - 1 - y])),
            Axis::Z => Self::from_fn(self.size, |[x, y, z]| self.is_full([x, y, height - 1 - z])),
        }
    }

    /// A shape whose second axis points up, as in ShapeNet, stood upright: x stays, y becomes z, and z
    /// becomes y backwards, so that nothing is mirrored.
    pub fn z_up_from_y_up(&self) -> Self {
        let [width, height, depth] = self.size;
        Self::from_fn([width, depth, height], |[x, y, z]| {
            self.is_full([x, z, depth - 1 - y])
        })
    }

    /// Voxels full in both by voxels full in any of the two, in [0, 1]; 1 for two empty grids.
    ///
    /// # Panics
    /// If the sizes differ.
    pub fn intersection_over_union(&self, other: &Self) -> f64 {
        assert_eq!(self.size, other.size, "grids of one size");
        let (mut both, mut any) = (0u64, 0u64);
        for (ours, theirs) in self.bits.iter().zip(&other.bits) {
            both += u64::from((ours & theirs).count_ones());
            any += u64::from((ours | theirs).count_ones());
        }
        if any == 0 {
            1.0
        } else {
            both as f64 / any as f64
        }
    }

    /// All voxels, eight a byte: voxel i is bit i % 8 of byte i / 8, as in
    /// `numpy.packbits(_, bitorder="little")`.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes: Vec<u8> = self
            .bits
            .iter()
            .flat_map(|word| word.to_le_bytes())
            .collect();
        bytes.truncate(self.len().div_ceil(8));
        bytes
    }

    /// The grid of `size` whose [`Self::to_bytes`] are `bytes`.
    ///
    /// # Errors
    /// A [`Kind::Data`] failure when `size` has a side that is not accepted, when there are more bytes or
    /// fewer than it asks for, or bits beyond the last voxel are set.
    pub fn from_bytes(size: [usize; 3], bytes: &[u8]) -> Result<Self> {
        let refuse = |what: String| Err(failure(Kind::Data, what));
        let count = match checked_size(size) {
            Ok(count) => count,
            Err(what) => return refuse(what),
        };
        if bytes.len() != count.div_ceil(8) {
            return refuse(format!(
                "{} packed voxels take {} bytes, and there are {}",
                by(size),
                count.div_ceil(8),
                bytes.len()
            ));
        }
        let mut voxels = Self::new(size);
        for (word, bytes) in voxels.bits.iter_mut().zip(bytes.chunks(8)) {
            let mut whole = [0; 8];
            whole[..bytes.len()].copy_from_slice(bytes);
            *word = u64::from_le_bytes(whole);
        }
        if !count.is_multiple_of(64)
            && voxels
                .bits
                .last()
                .is_some_and(|last| last >> (count % 64) != 0)
        {
            return refuse(format!(
                "bits beyond the last of {} packed voxels are set",
                by(size)
            ));
        }
        Ok(voxels)
    }

    /// Fills the voxel with this index in [`Self::bits`].
    pub(crate) fn fill(&mut self, index: usize) {
        debug_assert!(index < self.len());
        self.bits[index / 64] |= 1 << (index % 64);
    }

    /// The grid of as many layers whose column at x, y is ours at `source(x, y)`, or empty.
    fn with_columns(
        &self,
        [width, depth]: [usize; 2],
        source: impl Fn(usize, usize) -> Option<[usize; 2]>,
    ) -> Self {
        let height = self.size[2];
        let mut moved = Self::new([width, depth, height]);
        for x in 0..width {
            for y in 0..depth {
                let Some([from_x, from_y]) = source(x, y) else {
                    continue;
                };
                let from = self.index([from_x, from_y, 0]);
                let to = (x * depth + y) * height;
                for z in (0..height).step_by(64) {
                    let count = (height - z).min(64);
                    moved.or_bits(to + z, count, self.bits_at(from + z, count));
                }
            }
        }
        moved
    }

    /// `count` <= 64 bits from `index` on.
    fn bits_at(&self, index: usize, count: usize) -> u64 {
        let (word, shift) = (index / 64, index % 64);
        let mut bits = self.bits[word] >> shift;
        if shift + count > 64 {
            bits |= self.bits[word + 1] << (64 - shift);
        }
        bits & (u64::MAX >> (64 - count))
    }

    fn or_bits(&mut self, index: usize, count: usize, bits: u64) {
        let (word, shift) = (index / 64, index % 64);
        self.bits[word] |= bits << shift;
        if shift + count > 64 {
            self.bits[word + 1] |= bits >> (64 - shift);
        }
    }
}

/// How many voxels a grid of `size` has, or what is wrong with it.
pub(crate) fn checked_size(size: [usize; 3]) -> std::result::Result<usize, String> {
    if size
        .iter()
        .all(|side| (1..=Voxels::MOST_SIDE).contains(side))
    {
        return Ok(size.iter().product());
    }
    let fix = if size.contains(&0) {
        "save a grid that has voxels"
    } else {
        "reduce it first, for example to every second voxel"
    };
    Err(format!(
        "a grid of {} voxels has a side that is not 1 to {}: {fix}",
        by(size),
        Voxels::MOST_SIDE
    ))
}

/// A size in words.
pub(crate) fn by([x, y, z]: [usize; 3]) -> String {
    format!("{x} x {y} x {z}")
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A grid without any symmetry.
    pub(crate) fn sample(size: [usize; 3]) -> Voxels {
        Voxels::from_fn(size, |[x, y, z]| {
            (x * x + 3 * y + x * y * z + 5 * z * z) % 7 < 3
        })
    }

    #[test]
    fn bits_are_in_index_order() {
        let mut voxels = Voxels::new([3, 5, 7]);
        assert_eq!((voxels.len(), voxels.count()), (105, 0));
        voxels.set([2, 1, 3], true);
        let index = (2 * 5 + 1) * 7 + 3;
        assert_eq!(voxels.bits(), [0, 1 << (index - 64)]);
        assert_eq!(voxels.full().collect::<Vec<_>>(), [[2, 1, 3]]);
        voxels.set([2, 1, 3], false);
        assert_eq!(voxels, Voxels::new([3, 5, 7]));
        let voxels = sample([3, 5, 7]);
        let mut places = Vec::new();
        Voxels::from_fn([3, 5, 7], |at| {
            places.push(at);
            false
        });
        places.retain(|at| voxels.is_full(*at));
        assert_eq!(voxels.full().collect::<Vec<_>>(), places);
        assert_eq!(voxels.count(), places.len());
    }

    #[test]
    fn a_padded_grid_is_in_the_middle() {
        let voxels = sample([3, 4, 5]);
        let padded = voxels.padded([6, 4, 8]).unwrap();
        assert_eq!(padded.count(), voxels.count());
        for [x, y, z] in voxels.full() {
            assert!(padded.is_full([x + 1, y, z + 1]));
        }
        let said = voxels.padded([6, 3, 8]).unwrap_err().to_string();
        assert!(
            said.contains("3 x 4 x 5 voxels do not fit into 6 x 3 x 8"),
            "{said}"
        );
        assert!(voxels.padded([3, 4, 513]).is_err());
    }

    #[test]
    fn enlarged_and_reduced_are_inverse() {
        let voxels = sample([3, 4, 5]);
        let twice = voxels.enlarged(2).unwrap();
        assert_eq!(twice.size(), [6, 8, 10]);
        assert_eq!(twice.count(), 8 * voxels.count());
        assert!(
            twice
                .full()
                .all(|at| voxels.is_full(at.map(|index| index / 2)))
        );
        assert_eq!(twice.reduced(2), voxels);
        let mut one = Voxels::new([5, 5, 5]);
        one.set([4, 2, 3], true);
        assert_eq!(one.reduced(2).size(), [3, 3, 3]);
        assert_eq!(one.reduced(2).full().collect::<Vec<_>>(), [[2, 1, 1]]);
        let said = voxels.enlarged(200).unwrap_err().to_string();
        assert!(said.contains("600 x 800 x 1000"), "{said}");
    }

    #[test]
    fn quarter_turns_go_from_x_to_y() {
        let voxels = sample([5, 3, 130]);
        let turned = voxels.quarter_turned(1);
        assert_eq!(turned.size(), [3, 5, 130]);
        assert_eq!(turned.count(), voxels.count());
        for [x, y, z] in voxels.full() {
            assert!(turned.is_full([2 - y, x, z]));
        }
        assert_eq!(turned.quarter_turned(1), voxels.quarter_turned(2));
        assert_eq!(turned.quarter_turned(-1), voxels);
        assert_eq!(voxels.quarter_turned(3).quarter_turned(5), voxels);
    }

    #[test]
    fn turning_by_degrees_agrees_with_quarter_turns() {
        for side in [8, 9] {
            let voxels = sample([side, side, 67]);
            for turns in -4..5 {
                let degrees = 90.0 * f64::from(turns);
                assert_eq!(
                    voxels.turned(degrees),
                    voxels.quarter_turned(turns),
                    "{degrees}"
                );
            }
        }
        // A rod along x ends on the diagonal: (7, 4) is 3 away from the centre at (4, 4).
        let mut rod = Voxels::new([9, 9, 2]);
        for x in 4..8 {
            rod.set([x, 4, 1], true);
        }
        let turned = rod.turned(45.0);
        assert!((4..7).all(|at| turned.is_full([at, at, 1])), "{turned:?}");
        assert!(!turned.is_full([7, 7, 1]) && !turned.is_full([7, 4, 1]));
        assert!(turned.full().all(|[x, y, z]| z == 1 && x.abs_diff(y) <= 1));
    }

    #[test]
    fn mirrors_turn_back() {
        let voxels = sample([4, 5, 70]);
        for (axis, index) in [(Axis::X, 0), (Axis::Y, 1), (Axis::Z, 2)] {
            let mirrored = voxels.mirrored(axis);
            assert_ne!(mirrored, voxels);
            for mut at in voxels.full() {
                at[index] = voxels.size()[index] - 1 - at[index];
                assert!(mirrored.is_full(at));
            }
            assert_eq!(mirrored.mirrored(axis), voxels);
        }
    }

    #[test]
    fn what_was_up_along_y_is_up_along_z() {
        let voxels = sample([2, 3, 4]);
        let upright = voxels.z_up_from_y_up();
        assert_eq!(upright.size(), [2, 4, 3]);
        for [x, y, z] in voxels.full() {
            assert!(upright.is_full([x, 3 - z, y]));
        }
        assert_eq!(upright.count(), voxels.count());
    }

    #[test]
    fn overlap_is_counted_by_hand() {
        let mut one = Voxels::new([2, 2, 20]);
        let mut two = one.clone();
        assert_eq!(one.intersection_over_union(&two), 1.0);
        for z in 0..10 {
            one.set([0, 0, z], true);
            two.set([0, 0, z + 4], true);
        }
        two.set([1, 1, 19], true);
        assert_eq!(one.intersection_over_union(&two), 6.0 / 15.0);
        assert_eq!(one.intersection_over_union(&one), 1.0);
    }

    #[test]
    fn packed_bytes_are_those_of_numpy() {
        // >>> a = numpy.arange(2 * 3 * 5) % 7 < 3
        // >>> list(numpy.packbits(a, bitorder="little"))
        let mut index = 0;
        let voxels = Voxels::from_fn([2, 3, 5], |_| {
            index += 1;
            (index - 1) % 7 < 3
        });
        assert_eq!(voxels.to_bytes(), PACKED);
        assert_eq!(Voxels::from_bytes([2, 3, 5], &PACKED).unwrap(), voxels);
        let large = sample([5, 6, 7]);
        assert_eq!(
            Voxels::from_bytes([5, 6, 7], &large.to_bytes()).unwrap(),
            large
        );
    }

    #[test]
    fn packed_bytes_that_lie_are_refused() {
        let refused = |size, bytes: &[u8]| Voxels::from_bytes(size, bytes).unwrap_err().to_string();
        assert!(refused([2, 3, 5], &PACKED[..3]).contains("take 4 bytes, and there are 3"));
        assert!(refused([2, 3, 5], &[0, 0, 0, 0x40]).contains("beyond the last"));
        assert!(refused([0, 3, 5], &[]).contains("0 x 3 x 5"));
        assert!(refused([usize::MAX; 3], &[]).contains("not 1 to 512"));
    }

    const PACKED: [u8; 4] = [135, 195, 225, 48];
}
