//! The inner loops: tiles of results that stay in registers while a sum runs.

use crate::simd::Machine;

/// Repeats the body with `$index` = 0, 1, .. up to the limit, a constant of at most 12.
///
/// A loop would do the same, but the compiler then keeps the array of sums in memory as well as in
/// registers; places that are constants from the beginning stay in registers alone.
macro_rules! each {
    ($index:ident < $limit:expr => $body:block) => {
        each! { @ $index < $limit => $body; 0 1 2 3 4 5 6 7 8 9 10 11 }
    };
    (@ $index:ident < $limit:expr => $body:block; $($number:literal)*) => {
        $({
            const $index: usize = $number;
            if $index < $limit $body
        })*
    };
}

/// A tile `results[row][lane] += sum over k of left[k][row] * right[k][lane]`.
///
/// The rows come from packed weights (a broadcast value each), the lanes from packed pixels.
pub(crate) struct Tile {
    /// Terms of the sum.
    pub(crate) depth: usize,
    /// `[depth][M::ROWS]`.
    pub(crate) left: *const f32,
    /// `[depth][M::WIDTH]`.
    pub(crate) right: *const f32,
    /// `[M::ROWS][M::WIDTH]`.
    pub(crate) results: *mut f32,
    /// Whether `results` holds earlier terms of the sum, or nothing yet.
    pub(crate) continued: bool,
}

impl Tile {
    /// Adds `rows` rows of `vectors` vectors.
    ///
    /// # Safety
    /// The pointers must be valid for the shapes that the fields tell.
    #[inline(always)]
    pub(crate) unsafe fn add<M: Machine>(self, machine: M, vectors: usize, rows: usize) {
        macro_rules! choose {
            ($($vectors:literal: $($rows:literal)*;)*) => {
                match (vectors, rows) {
                    $($(($vectors, $rows) => {
                        // SAFETY: as the caller promised.
                        unsafe { self.fixed::<M, $vectors, $rows>(machine) }
                    })*)*
                    _ => unreachable!("a tile of {vectors} vectors and {rows} rows"),
                }
            };
        }
        choose! { 1: 1 2 3 4 5 6 7 8; 2: 1 2 3 4 5 6 7 8; 3: 1 2 3 4 5 6 7 8; 4: 1 2 3; }
    }

    #[inline(always)]
    unsafe fn fixed<M: Machine, const VECTORS: usize, const ROWS: usize>(self, machine: M) {
        if const { VECTORS > M::VECTORS || ROWS > M::ROWS } {
            unreachable!("this machine's tiles are smaller");
        }
        // SAFETY: all reads and writes lie in the shapes that the caller promised.
        unsafe {
            let mut sums = [[machine.splat_f32s(0.0); VECTORS]; ROWS];
            let (mut left, mut right) = (self.left, self.right);
            for _ in 0..self.depth {
                let mut lanes = [machine.splat_f32s(0.0); VECTORS];
                each! { VECTOR < VECTORS => {
                    lanes[VECTOR] = load(machine, right.add(VECTOR * M::F32_LANES));
                } }
                each! { ROW < ROWS => {
                    let weight = machine.splat_f32s(*left.add(ROW));
                    each! { VECTOR < VECTORS => {
                        sums[ROW][VECTOR] = machine.mul_add_e_f32s(weight, lanes[VECTOR], sums[ROW][VECTOR]);
                    } }
                } }
                left = left.add(M::ROWS);
                right = right.add(M::WIDTH);
            }
            // Each piece of a long sum begins at zero: its roundings stay as small as its own terms.
            each! { ROW < ROWS => {
                each! { VECTOR < VECTORS => {
                    let results = self.results.add(ROW * M::WIDTH + VECTOR * M::F32_LANES);
                    let sum = if self.continued {
                        machine.add_f32s(load(machine, results), sums[ROW][VECTOR])
                    } else {
                        sums[ROW][VECTOR]
                    };
                    store(machine, results, sum);
                } }
            } }
        }
    }
}

/// A stretch of pixels that lie side by side in one row of a picture.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Run {
    /// Where the first one's value lies in the (padded) source.
    pub(crate) source: usize,
    /// Where the first one's result lies in the target.
    pub(crate) target: usize,
    /// The first one's number in its panel or chunk.
    pub(crate) first: usize,
    /// How many they are.
    pub(crate) length: usize,
}

/// A tile `results[row][lane] += sum over pixels of source[pixel + taps[row]] * lanes[pixel][lane]`.
///
/// The rows are read straight from the picture, a broadcast value each; the lanes from packed gradients.
pub(crate) struct Correlation<'a> {
    /// Which pixels the sum runs over.
    pub(crate) runs: &'a [Run],
    /// The padded picture.
    pub(crate) source: *const f32,
    /// Offsets of the rows, as many as the tile has.
    pub(crate) taps: &'a [usize],
    /// `[pixels][width]`, pixels counted as in the runs.
    pub(crate) lanes: *const f32,
    /// Values of one pixel in `lanes`: a whole number of vectors.
    pub(crate) width: usize,
    /// `[M::TAPS][width]`.
    pub(crate) results: *mut f32,
}

impl Correlation<'_> {
    /// Adds the sum over the runs to `results`.
    ///
    /// # Safety
    /// Every run with every tap must lie in the source, every pixel of a run in `lanes`.
    #[inline(always)]
    pub(crate) unsafe fn add<M: Machine>(self, machine: M) {
        let vectors = self.width / M::F32_LANES;
        macro_rules! choose {
            ($($vectors:literal: $($rows:literal)*;)*) => {
                match (vectors, self.taps.len()) {
                    $($(($vectors, $rows) => {
                        // SAFETY: as the caller promised.
                        unsafe { self.fixed::<M, $vectors, $rows>(machine) }
                    })*)*
                    (vectors, rows) => unreachable!("a tile of {vectors} vectors and {rows} rows"),
                }
            };
        }
        choose! {
            1: 1 2 3 4 5 6 7 8 9 10 11 12; 2: 1 2 3 4 5 6 7 8 9 10 11 12; 3: 1 2 3 4 5 6 7 8; 4: 1 2 3;
        }
    }

    #[inline(always)]
    unsafe fn fixed<M: Machine, const VECTORS: usize, const ROWS: usize>(self, machine: M) {
        if const { VECTORS > M::BAND || ROWS > M::TAPS } {
            unreachable!("this machine's tiles are smaller");
        }
        // SAFETY: all reads and writes lie in the shapes that the caller promised.
        unsafe {
            // From zero, and added to the results at the end: one sum over all pixels of a batch would lose its
            // last places as it grows. The zeros are read: where the compiler knows them, it keeps the sums in
            // memory, and the loop takes twice the time.
            static ZEROS: [f32; 64] = [0.0; 64];
            assert!(VECTORS * M::F32_LANES <= ZEROS.len(), "a row of zeros");
            let zeros = std::hint::black_box(ZEROS.as_ptr());
            let mut sums = [[machine.splat_f32s(0.0); VECTORS]; ROWS];
            each! { ROW < ROWS => {
                each! { VECTOR < VECTORS => {
                    sums[ROW][VECTOR] = load(machine, zeros.add(VECTOR * M::F32_LANES));
                } }
            } }
            let mut sources = [self.source; ROWS];
            for (source, tap) in sources.iter_mut().zip(self.taps) {
                *source = self.source.add(*tap);
            }
            for run in self.runs {
                let mut lanes = self.lanes.add(run.first * self.width);
                for pixel in run.source..run.source + run.length {
                    let mut values = [machine.splat_f32s(0.0); VECTORS];
                    each! { VECTOR < VECTORS => {
                        values[VECTOR] = load(machine, lanes.add(VECTOR * M::F32_LANES));
                    } }
                    each! { ROW < ROWS => {
                        let value = machine.splat_f32s(*sources[ROW].add(pixel));
                        each! { VECTOR < VECTORS => {
                            sums[ROW][VECTOR] = machine.mul_add_e_f32s(value, values[VECTOR], sums[ROW][VECTOR]);
                        } }
                    } }
                    lanes = lanes.add(VECTORS * M::F32_LANES);
                }
            }
            each! { ROW < ROWS => {
                each! { VECTOR < VECTORS => {
                    let results = self.results.add(ROW * self.width + VECTOR * M::F32_LANES);
                    let sum = machine.add_f32s(load(machine, results), sums[ROW][VECTOR]);
                    store(machine, results, sum);
                } }
            } }
        }
    }
}

/// Reads a vector from any address.
///
/// # Safety
/// `M::F32_LANES` values must lie there.
#[inline(always)]
pub(crate) unsafe fn load<M: Machine>(_: M, from: *const f32) -> M::f32s {
    // SAFETY: as the caller promised; a vector is plain values.
    unsafe { from.cast::<M::f32s>().read_unaligned() }
}

/// Writes a vector to any address.
///
/// # Safety
/// `M::F32_LANES` values must have room there.
#[inline(always)]
pub(crate) unsafe fn store<M: Machine>(_: M, to: *mut f32, values: M::f32s) {
    // SAFETY: as the caller promised.
    unsafe { to.cast::<M::f32s>().write_unaligned(values) }
}
