//! Reflection padding: a picture continued beyond its edges by its own mirror image, the edge itself not
//! repeated (PyTorch's `ReflectionPad2d`).

use rayon::prelude::*;

use crate::operators::unwritten;

/// The places of a side of `size` values that stand in a side with `margin` more on both ends.
///
/// # Panics
/// If the margin is not smaller than the side: there is nothing to mirror then.
pub(crate) fn places(size: usize, margin: usize) -> impl ExactSizeIterator<Item = usize> + Clone {
    assert!(
        margin < size,
        "a reflection of {margin} needs more than {size} values"
    );
    (0..size + 2 * margin).map(move |place| {
        let inner = place.abs_diff(margin);
        if inner < size {
            inner
        } else {
            2 * (size - 1) - inner
        }
    })
}

/// Continues each picture of `input` by `margin` values on all four sides.
///
/// # Shapes
/// - input: `[pictures, height, width]` with `size = [height, width]`
/// - result: `[pictures, height + 2 margin, width + 2 margin]`
///
/// # Panics
/// If the margin is not smaller than both sides, or the length is not that of whole pictures.
pub fn reflect(margin: usize, size: [usize; 2], input: &[f32]) -> Vec<f32> {
    let [height, width] = size;
    let [large_height, large_width] = size.map(|side| side + 2 * margin);
    let rows = places(height, margin);
    assert!(
        margin < width && input.len().is_multiple_of(height * width),
        "{} values are not whole pictures of {size:?} to reflect by {margin}",
        input.len()
    );
    let pictures = input.len() / (height * width);
    let mut output = unwritten(pictures * large_height * large_width);
    output
        .par_chunks_mut(large_height * large_width)
        .zip(input.par_chunks(height * width))
        .for_each(|(output, input)| {
            for (line, row) in output.chunks_exact_mut(large_width).zip(rows.clone()) {
                let row = &input[row * width..(row + 1) * width];
                line[margin..margin + width].copy_from_slice(row);
                for away in 1..=margin {
                    line[margin - away] = row[away];
                    line[margin + width - 1 + away] = row[width - 1 - away];
                }
            }
        });
    output
}

/// The gradient of the input of [`reflect`]: each value gathers what reached all of its images.
///
/// # Shapes
/// - gradient: `[pictures, height + 2 margin, width + 2 margin]` with `size = [height, width]`
/// - result: `[pictures, height, width]`
///
/// # Panics
/// As [`reflect`].
pub fn reflect_gradient(margin: usize, size: [usize; 2], gradient: &[f32]) -> Vec<f32> {
    let [height, width] = size;
    let [large_height, large_width] = size.map(|side| side + 2 * margin);
    let rows = places(height, margin);
    assert!(
        margin < width && gradient.len().is_multiple_of(large_height * large_width),
        "{} values are not whole pictures of {size:?} reflected by {margin}",
        gradient.len()
    );
    let pictures = gradient.len() / (large_height * large_width);
    let mut result = vec![0.0; pictures * height * width];
    result
        .par_chunks_mut(height * width)
        .zip(gradient.par_chunks(large_height * large_width))
        .for_each(|(result, gradient)| {
            for (line, row) in gradient.chunks_exact(large_width).zip(rows.clone()) {
                let row = &mut result[row * width..(row + 1) * width];
                for (sum, value) in row.iter_mut().zip(&line[margin..]) {
                    *sum += value;
                }
                for away in 1..=margin {
                    row[away] += line[margin - away];
                    row[width - 1 - away] += line[margin + width - 1 + away];
                }
            }
        });
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_edge_is_not_repeated() {
        // torch.nn.ReflectionPad2d(2)(torch.arange(12.).reshape(1, 3, 4))[0, 1]
        let input: Vec<f32> = (0..12).map(|number| number as f32).collect();
        let output = reflect(2, [3, 4], &input);
        assert_eq!(output.len(), 7 * 8);
        assert_eq!(output[8..16], [6.0, 5.0, 4.0, 5.0, 6.0, 7.0, 6.0, 5.0]);
        assert_eq!(output[..8], [10.0, 9.0, 8.0, 9.0, 10.0, 11.0, 10.0, 9.0]);
        assert_eq!(reflect(0, [3, 4], &input), input);
    }

    #[test]
    fn the_gradient_is_the_transpose() {
        // <reflect(x), y> = <x, gradient(y)> for any x and y, in two pictures.
        let (margin, size) = (3, [5, 4]);
        let draw = |count: usize, seed: f32| -> Vec<f32> {
            (0..count).map(|at| (at as f32 * seed).sin()).collect()
        };
        let (x, y) = (draw(40, 0.7), draw(2 * 11 * 10, 1.3));
        let dot =
            |a: &[f32], b: &[f32]| -> f64 { a.iter().zip(b).map(|(a, b)| f64::from(a * b)).sum() };
        let there = dot(&reflect(margin, size, &x), &y);
        let back = dot(&x, &reflect_gradient(margin, size, &y));
        assert!((there - back).abs() < 1e-4, "{there} {back}");
    }

    #[test]
    #[should_panic(expected = "reflect")]
    fn a_margin_as_wide_as_the_picture_is_refused() {
        let _ = reflect(3, [3, 9], &[0.0; 27]);
    }
}
