//! Pooling: the largest value, or the mean, of each window of a picture.

use rayon::prelude::*;

use crate::operators::unwritten;
use crate::simd::{Level, Machine, Work, with};

/// What is taken of a window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taken {
    /// The largest value; of no number, none.
    Maximum,
    /// The mean of the values that lie in the picture: the padding does not count.
    Average,
}

/// Square windows over pictures. Padding belongs to no window's result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pool {
    /// What is taken.
    pub taken: Taken,
    /// The side of a window.
    pub side: usize,
    /// Steps from one window to the next.
    pub stride: usize,
    /// Places before and after each side, at most half a window's side.
    pub padding: usize,
}

impl Pool {
    /// Windows in a side of `size` values.
    ///
    /// # Panics
    /// If no window fits, or the padding is more than half a window.
    pub fn windows(&self, size: usize) -> usize {
        let Self {
            side,
            stride,
            padding,
            ..
        } = *self;
        assert!(
            side > 0 && stride > 0 && 2 * padding <= side && side <= size + 2 * padding,
            "{self:?} does not fit into {size} values"
        );
        (size + 2 * padding - side) / stride + 1
    }

    /// The places of window `number` that lie in a side of `size` values.
    fn places(&self, number: usize, size: usize) -> std::ops::Range<usize> {
        let first = number * self.stride;
        first.saturating_sub(self.padding)..(first + self.side - self.padding).min(size)
    }
}

/// Pools each of the pictures of `input`.
///
/// # Shapes
/// - input: `[pictures, height, width]` with `size = [height, width]`
/// - result: `[pictures, pool.windows(height), pool.windows(width)]`
///
/// # Panics
/// If a window does not fit, or the length is not that of whole pictures.
pub fn pool(pool: Pool, size: [usize; 2], input: &[f32]) -> Vec<f32> {
    let [height, width] = size;
    let [rows, columns] = size.map(|side| pool.windows(side));
    let pictures = whole_pictures(input, height * width);
    let mut output = unwritten(pictures * rows * columns);
    let level = Level::current();
    output
        .par_chunks_mut(rows * columns)
        .zip(input.par_chunks(height * width))
        .for_each(|(output, input)| {
            with(
                level,
                Forward {
                    pool,
                    size,
                    columns,
                    input,
                    output,
                },
            );
        });
    output
}

fn whole_pictures(values: &[f32], of: usize) -> usize {
    assert!(
        values.len().is_multiple_of(of),
        "{} values are not whole pictures of {of}",
        values.len()
    );
    values.len() / of
}

struct Forward<'a> {
    pool: Pool,
    size: [usize; 2],
    columns: usize,
    input: &'a [f32],
    output: &'a mut [f32],
}

impl Work for Forward<'_> {
    type Output = ();

    #[inline(always)]
    fn run<M: Machine>(self, _: M) {
        match self.pool.taken {
            Taken::Maximum => self.fold(f32::NEG_INFINITY, larger),
            Taken::Average => self.fold(0.0, |sum, value| sum + value),
        }
    }
}

/// Not `f32::max`: what is not a number must be seen.
#[inline(always)]
fn larger(most: f32, value: f32) -> f32 {
    if value > most || value.is_nan() {
        value
    } else {
        most
    }
}

impl Forward<'_> {
    /// Each window down its columns first, so that whole rows are vectors, then along.
    #[inline(always)]
    fn fold(self, start: f32, join: impl Fn(f32, f32) -> f32 + Copy) {
        let Self {
            pool,
            size: [height, width],
            columns,
            input,
            output,
        } = self;
        let padding = pool.padding;
        let mut down = vec![start; width + 2 * padding];
        for (row, line) in output.chunks_exact_mut(columns).enumerate() {
            let places = pool.places(row, height);
            let high = places.len();
            let inside = &mut down[padding..padding + width];
            for (number, place) in places.enumerate() {
                let values = &input[place * width..(place + 1) * width];
                if number == 0 {
                    inside.copy_from_slice(values);
                } else {
                    for (most, value) in inside.iter_mut().zip(values) {
                        *most = join(*most, *value);
                    }
                }
            }
            if pool.stride == 1 {
                line.copy_from_slice(&down[..columns]);
                for step in 1..pool.side {
                    for (most, value) in line.iter_mut().zip(&down[step..]) {
                        *most = join(*most, *value);
                    }
                }
            } else {
                for (column, value) in line.iter_mut().enumerate() {
                    let first = column * pool.stride;
                    let window = &down[first..first + pool.side];
                    *value = window[1..].iter().fold(window[0], |a, b| join(a, *b));
                }
            }
            if pool.taken == Taken::Average {
                for (column, value) in line.iter_mut().enumerate() {
                    *value /= (high * pool.places(column, width).len()) as f32;
                }
            }
        }
    }
}

/// The gradient of the input of [`pool()`]: of a maximum's window, the first of its largest values has it all.
///
/// # Shapes
/// - input and result: `[pictures, height, width]`
/// - gradient: `[pictures, pool.windows(height), pool.windows(width)]`
///
/// # Panics
/// If a window does not fit, or a length is not that of whole pictures.
pub fn pool_gradient(pool: Pool, size: [usize; 2], input: &[f32], gradient: &[f32]) -> Vec<f32> {
    let [height, width] = size;
    let [rows, columns] = size.map(|side| pool.windows(side));
    let pictures = whole_pictures(input, height * width);
    assert_eq!(
        gradient.len(),
        pictures * rows * columns,
        "one gradient for each window"
    );
    let mut result = vec![0.0; input.len()];
    result
        .par_chunks_mut(height * width)
        .zip(input.par_chunks(height * width))
        .zip(gradient.par_chunks(rows * columns))
        .for_each(|((result, input), gradient)| {
            for row in 0..rows {
                let down = pool.places(row, height);
                for column in 0..columns {
                    let along = pool.places(column, width);
                    let gradient = gradient[row * columns + column];
                    let places = down
                        .clone()
                        .flat_map(|y| along.clone().map(move |x| y * width + x));
                    match pool.taken {
                        Taken::Average => {
                            let share = gradient / (down.len() * along.len()) as f32;
                            places.for_each(|place| result[place] += share);
                        }
                        Taken::Maximum => {
                            let first = down.start * width + along.start;
                            let most = places.fold(first, |most, place| {
                                let (value, largest) = (input[place], input[most]);
                                let is_new =
                                    value > largest || (value.is_nan() && !largest.is_nan());
                                if is_new { place } else { most }
                            });
                            result[most] += gradient;
                        }
                    }
                }
            }
        });
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    const WINDOWS: Pool = Pool {
        taken: Taken::Maximum,
        side: 3,
        stride: 2,
        padding: 1,
    };

    #[test]
    fn windows_are_those_of_pytorch() {
        // torch.nn.MaxPool2d(3, 2, 1) of 4 by 5 gives 2 by 3.
        assert_eq!([4, 5].map(|side| WINDOWS.windows(side)), [2, 3]);
        let input: Vec<f32> = (0..20).map(|number| -(number as f32)).collect();
        assert_eq!(
            pool(WINDOWS, [4, 5], &input),
            [0.0, -1.0, -3.0, -5.0, -6.0, -8.0],
            "padding is not a zero"
        );
        let average = Pool {
            taken: Taken::Average,
            ..WINDOWS
        };
        // torch.nn.AvgPool2d(3, 2, 1, count_include_pad=False)
        assert_eq!(
            pool(average, [4, 5], &input),
            [-3.0, -4.5, -6.0, -10.5, -12.0, -13.5]
        );
    }

    #[test]
    fn what_is_no_number_is_seen() {
        let mut input = vec![0.0; 25];
        input[12] = f32::NAN;
        let whole = Pool {
            side: 5,
            stride: 1,
            padding: 0,
            taken: Taken::Maximum,
        };
        assert!(pool(whole, [5, 5], &input)[0].is_nan());
    }

    #[test]
    #[should_panic(expected = "does not fit")]
    fn a_window_larger_than_the_picture_is_refused() {
        let _ = pool(WINDOWS, [4, 0], &[]);
    }
}
