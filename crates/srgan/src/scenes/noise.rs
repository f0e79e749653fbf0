//! Noise as a pure function of a place.

/// A number from 0 to 1 for a cell of a grid.
pub(super) fn grain(seed: u32, x: i32, y: i32) -> f32 {
    let mut bits = (seed ^ (seed >> 16))
        .wrapping_add((x as u32).wrapping_mul(0x9E37_79B1))
        .wrapping_add((y as u32).wrapping_mul(0x85EB_CA77));
    bits = (bits ^ (bits >> 15)).wrapping_mul(0x2C1B_3C6D);
    bits = (bits ^ (bits >> 13)).wrapping_mul(0x297A_2D39);
    // The upper 24 bits, which a float holds exactly.
    (bits >> 8) as i32 as f32 * (1.0 / 16_777_216.0)
}

/// The whole number below, and the fraction above it.
pub(super) fn split(value: f32) -> (i32, f32) {
    // A conversion and a comparison: `floor` is a slow call on processors without it.
    let mut whole = value as i32;
    whole -= i32::from(value < whole as f32);
    (whole, value - whole as f32)
}

/// Smooth noise from 0 to 1 with one bump for each unit of length.
pub(super) fn noise(seed: u32, x: f32, y: f32) -> f32 {
    let ((column, u), (row, v)) = (split(x), split(y));
    let [u, v] = [u, v].map(|t| t * t * (3.0 - 2.0 * t));
    let across = |row: i32| {
        let left = grain(seed, column, row);
        left + (grain(seed, column + 1, row) - left) * u
    };
    let upper = across(row);
    upper + (across(row + 1) - upper) * v
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
pub(super) fn ramp(low: f32, high: f32, value: f32) -> f32 {
    let t = ((value - low) / (high - low)).clamp(0.0, 1.0);
    t * t * (3.0 - 2.0 * t)
}
