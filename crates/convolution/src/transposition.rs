//! Transposition: what a kernel wants side by side often lies far apart in a tensor.

use crate::simd::Machine;

/// `to[column * to_step + row] = from[row * from_step + column]`.
///
/// # Safety
/// All `rows` rows of `columns` values must lie in `from`, and their places in `to` belong to this thread.
#[inline(always)]
pub(crate) unsafe fn transpose<M: Machine>(
    machine: M,
    (from, from_step): (*const f32, usize),
    (to, to_step): (*mut f32, usize),
    [rows, columns]: [usize; 2],
) {
    for column in (0..columns).step_by(8) {
        for row in (0..rows).step_by(8) {
            let present = (rows - row).min(8);
            // SAFETY: only rows and columns that exist are read and written.
            unsafe {
                let from = |place: usize| from.add((row + place) * from_step + column);
                let to = |place: usize| to.add((column + place) * to_step + row);
                if column + 8 > columns {
                    for place in 0..columns - column {
                        for other in 0..present {
                            *to(place).add(other) = *from(other).add(place);
                        }
                    }
                    continue;
                }
                // Of fewer than eight rows the last one is read again.
                let lines: [[f32; 8]; 8] = std::array::from_fn(|place| {
                    from(place.min(present - 1))
                        .cast::<[f32; 8]>()
                        .read_unaligned()
                });
                let turned = machine.turned(lines);
                if present == 8 {
                    for (place, line) in turned.into_iter().enumerate() {
                        to(place).cast::<[f32; 8]>().write_unaligned(line);
                    }
                } else {
                    for (place, line) in turned.iter().enumerate() {
                        for (other, value) in line[..present].iter().enumerate() {
                            *to(place).add(other) = *value;
                        }
                    }
                }
            }
        }
    }
}

/// Transposes eight rows of eight values with AVX: pairs of values, pairs of pairs, halves.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
pub(crate) fn turned(machine: pulp::x86::V3, lines: [[f32; 8]; 8]) -> [[f32; 8]; 8] {
    use std::arch::x86_64::__m256;
    let avx = machine.avx;
    let lines: [__m256; 8] = lines.map(pulp::cast);
    let low = |a, b| avx._mm256_unpacklo_ps(lines[a], lines[b]);
    let high = |a, b| avx._mm256_unpackhi_ps(lines[a], lines[b]);
    let pairs = [
        low(0, 1),
        high(0, 1),
        low(2, 3),
        high(2, 3),
        low(4, 5),
        high(4, 5),
        low(6, 7),
        high(6, 7),
    ];
    let low = |a: usize, b: usize| avx._mm256_shuffle_ps::<0b01_00_01_00>(pairs[a], pairs[b]);
    let high = |a: usize, b: usize| avx._mm256_shuffle_ps::<0b11_10_11_10>(pairs[a], pairs[b]);
    let fours = [
        low(0, 2),
        high(0, 2),
        low(1, 3),
        high(1, 3),
        low(4, 6),
        high(4, 6),
        low(5, 7),
        high(5, 7),
    ];
    let low = |a: usize| avx._mm256_permute2f128_ps::<0x20>(fours[a], fours[a + 4]);
    let high = |a: usize| avx._mm256_permute2f128_ps::<0x31>(fours[a], fours[a + 4]);
    [
        low(0),
        low(1),
        low(2),
        low(3),
        high(0),
        high(1),
        high(2),
        high(3),
    ]
    .map(pulp::cast)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simd::{Level, Work, with};

    struct Whole<'a>(&'a [f32], &'a mut [f32], [usize; 2]);

    impl Work for Whole<'_> {
        type Output = ();

        #[inline(always)]
        fn run<M: Machine>(self, machine: M) {
            let [rows, columns] = self.2;
            assert_eq!(
                (self.0.len(), self.1.len()),
                (rows * columns, rows * columns)
            );
            let (from, to) = (self.0.as_ptr(), self.1.as_mut_ptr());
            // SAFETY: both are whole matrices, as just seen.
            unsafe { transpose(machine, (from, columns), (to, rows), self.2) };
        }
    }

    #[test]
    fn every_size_is_transposed() {
        for level in Level::available() {
            for rows in 1..20 {
                for columns in 1..20 {
                    let values: Vec<f32> = (0..rows * columns).map(|value| value as f32).collect();
                    let mut turned = vec![-1.0; values.len()];
                    with(level, Whole(&values, &mut turned, [rows, columns]));
                    for row in 0..rows {
                        for column in 0..columns {
                            assert_eq!(
                                turned[column * rows + row],
                                values[row * columns + column],
                                "{level:?} {rows} {columns}"
                            );
                        }
                    }
                }
            }
        }
    }
}
