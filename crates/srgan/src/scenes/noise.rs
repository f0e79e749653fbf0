//! Noise as a pure function of a place.

/// A number from 0 to 1 for a cell of a grid.
#[inline]
pub(super) fn grain(seed: u32, x: i32, y: i32) -> f32 {
    stirred(cell(seed, x, y))
}

/// What grows by [`STEP`] from a cell to its right and lower neighbours.
#[inline(always)]
fn cell(seed: u32, x: i32, y: i32) -> u32 {
    (seed ^ (seed >> 16))
        .wrapping_add((x as u32).wrapping_mul(STEP[0]))
        .wrapping_add((y as u32).wrapping_mul(STEP[1]))
}

const STEP: [u32; 2] = [0x9E37_79B1, 0x85EB_CA77];

#[inline(always)]
fn stirred(cell: u32) -> f32 {
    let mut bits = (cell ^ (cell >> 15)).wrapping_mul(0x2C1B_3C6D);
    bits = (bits ^ (bits >> 13)).wrapping_mul(0x297A_2D39);
    // The upper 24 bits, which a float holds exactly.
    (bits >> 8) as i32 as f32 * (1.0 / 16_777_216.0)
}

/// The whole number below, and the fraction above it, 0 to 1; of numbers up to four millions. Of a whole number, the
/// whole part may be one less and the fraction 1.
#[inline(always)]
pub(super) fn split(value: f32) -> (i32, f32) {
    // As large as this, a float has no fraction, and its last bits count: `floor` and conversions are slower.
    const LARGE: f32 = 12_582_912.0;
    let whole = value - 0.5 + LARGE;
    let number = whole.to_bits().wrapping_sub(LARGE.to_bits()) as i32;
    (number, value - (whole - LARGE))
}

/// Smooth noise from 0 to 1 with one bump for each unit of length.
pub(super) fn noise(seed: u32, x: f32, y: f32) -> f32 {
    let ((column, u), (row, v)) = (split(x), split(y));
    let [u, v] = [u, v].map(|t| t * t * (3.0 - 2.0 * t));
    let first = cell(seed, column, row);
    let across = |left: u32| {
        let [left, right] = [left, left.wrapping_add(STEP[0])].map(stirred);
        left + (right - left) * u
    };
    let upper = across(first);
    upper + (across(first.wrapping_add(STEP[1])) - upper) * v
}

/// Noise from 0 to 1 with details down to `2^-octaves` of a unit, each half as strong as the one before: as a
/// photograph's, its spectrum falls with the frequency.
pub(super) fn natural(seed: u32, x: f32, y: f32, octaves: u32) -> f32 {
    let (mut sum, mut weight, mut scale) = (0.0, 0.0, 1.0);
    for octave in 0..octaves {
        sum += noise(seed.wrapping_add(octave), x * scale, y * scale) / scale;
        weight += 1.0 / scale;
        scale *= 2.0;
    }
    sum / weight
}

/// Rises smoothly from 0 at `low` to 1 at `high`.
#[inline(always)]
pub(super) fn ramp(low: f32, high: f32, value: f32) -> f32 {
    let t = ((value - low) / (high - low)).clamp(0.0, 1.0);
    t * t * (3.0 - 2.0 * t)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_split_into_whole_and_fraction() {
        for (value, whole, fraction) in [
            (2.75, 2, 0.75),
            (-2.75, -3, 0.25),
            (0.5, 0, 0.5),
            (-900.25, -901, 0.75),
        ] {
            assert_eq!(split(value), (whole, fraction));
        }
        for whole in -5..5 {
            let (number, fraction) = split(whole as f32);
            assert_eq!(number as f32 + fraction, whole as f32);
        }
    }

    #[test]
    fn noise_is_smooth_and_within_its_range() {
        let mut last = noise(7, -3.0, 0.4);
        for step in -299..300 {
            let value = noise(7, step as f32 * 0.01, 0.4);
            assert!((0.0..=1.0).contains(&value) && (value - last).abs() < 0.03);
            last = value;
        }
    }
}
