//! Sums of many values, in an order that depends on their number alone.

/// The sum of the values: thirty-two partial sums of up to 32 values each, then `f64`.
pub fn sum(values: &[f32]) -> f64 {
    sum_of(values, |value| value)
}

/// The sum of a function of each value, in an order that depends on their number alone.
#[inline(always)]
pub(crate) fn sum_of(values: &[f32], function: impl Fn(f32) -> f32) -> f64 {
    let mut total = 0.0;
    for block in values.chunks(1024) {
        let (chunks, rest) = block.as_chunks::<32>();
        let mut sums = [0.0_f32; 32];
        for chunk in chunks {
            for (sum, value) in sums.iter_mut().zip(chunk) {
                *sum += function(*value);
            }
        }
        for value in rest {
            total += f64::from(function(*value));
        }
        total += sums.iter().map(|sum| f64::from(*sum)).sum::<f64>();
    }
    total
}
