//! Differentiable augmentation (DiffAugment, Zhao et al. 2020, arXiv 2006.10738): the same kind of
//! random change on reals and fakes, in front of the discriminator, so that it cannot learn a small
//! data set by heart and the generator never learns the change itself.

use crate::random::Stream;
use burn::tensor::{Int, Tensor, TensorData};

/// Which changes are made.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize, clap::ValueEnum,
)]
#[serde(rename_all = "kebab-case")]
pub enum Augment {
    /// None.
    None,
    /// Brightness, saturation and contrast.
    Color,
    /// Shifts by up to an eighth of the picture, zeros coming in.
    Translation,
    /// A square of half the sides, somewhere, becomes zero.
    Cutout,
    /// Colour and translation.
    ColorTranslation,
    /// Translation and cutout: what the authors take for pictures whose colours matter.
    TranslationCutout,
    /// All three.
    ColorTranslationCutout,
}

impl Augment {
    /// Changes each picture of a batch by amounts drawn from `stream`. Gradients pass through.
    ///
    /// # Shapes
    /// - `pictures` and result: `[batch, channels, height, width]`
    pub fn apply(self, pictures: Tensor<4>, stream: &mut Stream) -> Tensor<4> {
        let [colours, moves, cuts] = self.parts();
        let mut pictures = pictures;
        if colours {
            pictures = color(pictures, stream);
        }
        if moves {
            pictures = translation(pictures, stream);
        }
        if cuts {
            pictures = cutout(pictures, stream);
        }
        pictures
    }

    /// Whether it has colour, translation and cutout, which are made in this order.
    fn parts(self) -> [bool; 3] {
        match self {
            Self::None => [false, false, false],
            Self::Color => [true, false, false],
            Self::Translation => [false, true, false],
            Self::Cutout => [false, false, true],
            Self::ColorTranslation => [true, true, false],
            Self::TranslationCutout => [false, true, true],
            Self::ColorTranslationCutout => [true, true, true],
        }
    }
}

fn column(values: Vec<f32>, like: &Tensor<4>) -> Tensor<4> {
    let device = like.device().without_autodiff();
    let shape = [values.len(), 1, 1, 1];
    let column = Tensor::<4>::from_data(TensorData::new(values, shape), &device);
    if like.is_autodiff() {
        Tensor::from_inner(column)
    } else {
        column
    }
}

/// Brightness `x + b`, b in U(-0.5, 0.5); saturation `(x - mean over channels) s + mean`, s in
/// U(0, 2); contrast `(x - mean) c + mean`, c in U(0.5, 1.5): section 3 and the released code.
fn color(pictures: Tensor<4>, stream: &mut Stream) -> Tensor<4> {
    let batch = pictures.dims()[0];
    let brightness = column(stream.uniform(batch, -0.5, 0.5), &pictures);
    let saturation = column(stream.uniform(batch, 0.0, 2.0), &pictures);
    let contrast = column(stream.uniform(batch, 0.5, 1.5), &pictures);
    let pictures = pictures + brightness;
    let grey = pictures.clone().mean_dim(1);
    let pictures = (pictures - grey.clone()) * saturation + grey;
    let mean = pictures.clone().mean_dim(1).mean_dim(2).mean_dim(3);
    (pictures - mean.clone()) * contrast + mean
}

/// Moves each picture by whole pixels; what comes in from outside is zero.
fn translation(pictures: Tensor<4>, stream: &mut Stream) -> Tensor<4> {
    let [batch, channels, height, width] = pictures.dims();
    let reach = |size: usize| (size as f64 / 8.0 + 0.5) as usize;
    let (reach_y, reach_x) = (reach(height), reach(width));
    let down = stream.integers(batch, 2 * reach_y + 1);
    let right = stream.integers(batch, 2 * reach_x + 1);
    let outside = (height * width) as i64;
    let mut index = Vec::with_capacity(batch * channels * height * width);
    for (down, right) in down.into_iter().zip(right) {
        let plane_start = index.len();
        for y in 0..height {
            let from_y = y as i64 + down as i64 - reach_y as i64;
            for x in 0..width {
                let from_x = x as i64 + right as i64 - reach_x as i64;
                let inside =
                    (0..height as i64).contains(&from_y) && (0..width as i64).contains(&from_x);
                index.push(if inside {
                    from_y * width as i64 + from_x
                } else {
                    outside
                });
            }
        }
        for _ in 1..channels {
            index.extend_from_within(plane_start..plane_start + height * width);
        }
    }
    let device = pictures.device();
    let plain = device.clone().without_autodiff();
    let shape = [batch, channels, height * width];
    let index = Tensor::<3, Int>::from_data(TensorData::new(index, shape), &device);
    let zero = Tensor::<3>::zeros([batch, channels, 1], &plain);
    let zero = if pictures.is_autodiff() {
        Tensor::from_inner(zero)
    } else {
        zero
    };
    let flat = Tensor::cat(vec![pictures.reshape(shape), zero], 2);
    flat.gather(2, index)
        .reshape([batch, channels, height, width])
}

/// Sets to zero what lies in a square of half the picture's sides, whose centre is anywhere in the picture: near an edge
/// a part of the square is outside.
fn cutout(pictures: Tensor<4>, stream: &mut Stream) -> Tensor<4> {
    let [batch, _, height, width] = pictures.dims();
    let length = |side: usize| (side as f64 * 0.5 + 0.5) as usize;
    let (high, wide) = (length(height), length(width));
    let mut places = |side: usize, length: usize| stream.integers(batch, side + 1 - length % 2);
    let (rows, columns) = (places(height, high), places(width, wide));
    let mut kept = Vec::with_capacity(batch * height * width);
    for (row, column) in rows.into_iter().zip(columns) {
        let inside = |place: usize, centre: usize, length: usize| {
            let start = centre as i64 - (length / 2) as i64;
            (start..start + length as i64).contains(&(place as i64))
        };
        for y in 0..height {
            let is_cut = inside(y, row, high);
            kept.extend((0..width).map(|x| {
                let is_cut = is_cut && inside(x, column, wide);
                f32::from(u8::from(!is_cut))
            }));
        }
    }
    let device = pictures.device().without_autodiff();
    let kept = Tensor::<4>::from_data(TensorData::new(kept, [batch, 1, height, width]), &device);
    if pictures.is_autodiff() {
        pictures * Tensor::from_inner(kept)
    } else {
        pictures * kept
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::Device;

    fn ramp(batch: usize) -> Tensor<4> {
        let values: Vec<f32> = (0..batch * 3 * 64).map(|v| v as f32 / 100.0).collect();
        Tensor::from_data(TensorData::new(values, [batch, 3, 8, 8]), &Device::flex())
    }

    fn read(tensor: Tensor<4>) -> Vec<f32> {
        tensor.into_data().iter::<f32>().collect()
    }

    #[test]
    fn none_changes_nothing() {
        let mut stream = Stream::new(0, "augment", 0);
        assert_eq!(
            read(Augment::None.apply(ramp(2), &mut stream)),
            read(ramp(2))
        );
    }

    #[test]
    fn translation_moves_whole_pixels_and_brings_in_zeros() {
        let tape = crate::random::Tape::default();
        let mut stream = Stream::new(1, "augment", 0).noted(tape.clone(), "a");
        let input = read(ramp(6) + 1.0);
        let output = read(Augment::Translation.apply(ramp(6) + 1.0, &mut stream));
        let tape = tape.lock().unwrap();
        let mut moved = false;
        for picture in 0..6 {
            let down = tape["a.0"][picture] as i64 - 1;
            let right = tape["a.1"][picture] as i64 - 1;
            moved |= down != 0 && right != 0;
            for plane in 0..3 {
                for y in 0..8i64 {
                    for x in 0..8i64 {
                        let base = (picture * 3 + plane) * 64;
                        let (fy, fx) = (y + down, x + right);
                        let inside = (0..8).contains(&fy) && (0..8).contains(&fx);
                        let expected = if inside {
                            input[base + (fy * 8 + fx) as usize]
                        } else {
                            0.0
                        };
                        assert_eq!(output[base + (y * 8 + x) as usize], expected);
                    }
                }
            }
        }
        assert!(moved);
    }

    #[test]
    fn cutout_makes_a_square_of_zeros() {
        let tape = crate::random::Tape::default();
        let mut stream = Stream::new(5, "augment", 0).noted(tape.clone(), "a");
        let input = read(ramp(6) + 1.0);
        let output = read(Augment::Cutout.apply(ramp(6) + 1.0, &mut stream));
        let tape = tape.lock().unwrap();
        let mut at_an_edge = false;
        for picture in 0..6 {
            let (row, column) = (tape["a.0"][picture] as i64, tape["a.1"][picture] as i64);
            at_an_edge |= row < 2 || column < 2;
            for place in 0..192 {
                let (y, x) = ((place % 64 / 8) as i64, (place % 8) as i64);
                // Four of eight pixels.
                let is_cut =
                    (row - 2..row + 2).contains(&y) && (column - 2..column + 2).contains(&x);
                let place = picture * 192 + place;
                let expected = if is_cut { 0.0 } else { input[place] };
                assert_eq!(output[place], expected);
            }
        }
        assert!(at_an_edge && output.contains(&0.0));
    }

    #[test]
    fn colour_by_hand() {
        let tape = crate::random::Tape::default();
        let mut stream = Stream::new(2, "augment", 0).noted(tape.clone(), "a");
        let output = read(Augment::Color.apply(ramp(2), &mut stream));
        let tape = tape.lock().unwrap();
        let input = read(ramp(2));
        let picture = 1;
        let (b, s, c) = (
            tape["a.0"][picture],
            tape["a.1"][picture],
            tape["a.2"][picture],
        );
        let bright: Vec<f32> = input[192..].iter().map(|v| v + b).collect();
        let saturated: Vec<f32> = (0..192)
            .map(|i| {
                let grey = (bright[i % 64] + bright[64 + i % 64] + bright[128 + i % 64]) / 3.0;
                (bright[i] - grey) * s + grey
            })
            .collect();
        let mean = saturated.iter().sum::<f32>() / 192.0;
        for i in 0..192 {
            let expected = (saturated[i] - mean) * c + mean;
            assert!((output[192 + i] - expected).abs() < 1e-5);
        }
    }

    #[test]
    fn gradients_pass_through() {
        let mut stream = Stream::new(3, "augment", 0);
        let input = Tensor::from_inner(ramp(2)).require_grad();
        let output = Augment::ColorTranslationCutout.apply(input.clone(), &mut stream);
        let gradients = output.sum().backward();
        let gradient = read(input.grad(&gradients).unwrap());
        assert!(gradient.iter().any(|v| *v != 0.0) && gradient.iter().all(|v| v.is_finite()));
    }
}
