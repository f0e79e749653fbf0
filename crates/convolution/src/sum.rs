//! Sums of many values, in an order that depends on their number alone.

/// The sum of the values: sixteen partial sums of up to 4096 values each, then `f64`.
pub fn sum(values: &[f32]) -> f64 {
    values.chunks(4096).map(block).sum()
}

fn block(values: &[f32]) -> f64 {
    let (chunks, rest) = values.as_chunks::<16>();
    let mut sums = [0.0_f32; 16];
    for chunk in chunks {
        for (sum, value) in sums.iter_mut().zip(chunk) {
            *sum += value;
        }
    }
    let mut total = 0.0;
    for sum in sums {
        total += f64::from(sum);
    }
    for value in rest {
        total += f64::from(*value);
    }
    total
}
