//! Says of one translated picture whether it did what it should, where the right answer is known.
//!
//! A translation between domains can fail in two ways: it changes too little (the output still
//! looks like the input's domain) or too much (the output shows something else). Three numbers
//! tell these apart, all computed in Oklab (Ottosson 2020, "A perceptual color space for image
//! processing"), where equal steps look about equally large:
//!
//! - **colour**: the mean L, a and b of each cell of an 8 x 8 grid make a vector. With the vectors
//!   `i` of the input, `t` of the translation and `a` of the answer,
//!   `colour = <t - i, a - i> / <a - i, a - i>`: the share of the way from input to answer.
//! - **texture**: the same share for another vector: for L, a and b, the mean over each cell of a
//!   4 x 4 grid of `sqrt |m|`, where `m` is the plane smoothed over 3 x 3 pixels less the plane
//!   smoothed over 7 x 7. That band holds brush strokes, while most of the noise of single pixels
//!   is smoothed away. The root makes many faint contrasts weigh more than a few strong ones;
//!   otherwise the outlines of shapes, which both domains share, would drown the strokes.
//! - **shape**: the size of the gradient (all three planes smoothed twice over a 64th of the side
//!   each way, the three gradients added as vectors are) averaged over a 32 x 32 grid, less the
//!   mean of its row. The number is the correlation with the mean of the input's and the answer's
//!   maps: outlines are in both, the texture of either domain is in one. The row means go because
//!   nearly every landscape has level outlines somewhere near the middle, which would make any two
//!   landscapes, and a landscape and its mirror image, look alike.

use image::RgbImage;

/// The least share of the way in colour for a picture to count as changed.
///
/// Any share above 0.5 lies nearer to the answer than to the input. A half-and-half blend of the
/// two measures 0.49 to 0.52, and is nobody's translation; the margin keeps it out.
pub const CHANGED_COLOUR: f64 = 0.6;

/// The least share of the way in texture for a picture to count as changed.
///
/// Half of the way. There is no margin: noise of sigma 5/255 on a right photograph already takes
/// it back to 0.6 to 0.9, whereas no recolouring of the input was seen to pass 0.25.
pub const CHANGED_TEXTURE: f64 = 0.5;

/// The least shape for a picture to count as kept.
///
/// On procedural landscapes of 64 and 128 pixels, answers measure 0.9 and more, answers shifted by
/// one pixel 0.67 and more; answers for other scenes, mirrored answers, and answers shifted by an
/// eighth of the side hardly ever pass 0.5.
pub const KEPT_SHAPE: f64 = 0.6;

/// The shortest side of a picture that can be judged, in pixels.
pub const SHORTEST_SIDE: u32 = SHAPE_GRID as u32;

const COLOUR_GRID: usize = 8;
const TEXTURE_GRID: usize = 4;
const SHAPE_GRID: usize = 32;

/// How one translation compares with the known answer.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Judgement {
    /// Share of the way from the input's local colours to the answer's: 0 for the input, 1 for the
    /// answer. Unlimited: below 0 away from the answer, above 1 beyond it.
    pub colour: f64,
    /// Share of the way from the input's texture to the answer's, like `colour`.
    pub texture: f64,
    /// Agreement of the outlines with those of input and answer, a correlation in `-1..=1`.
    pub shape: f64,
    /// Whether colour and texture became the answer's: both shares pass [`CHANGED_COLOUR`] and
    /// [`CHANGED_TEXTURE`], and both lie nearer to the answer than the input does, so that going
    /// far beyond the answer, or off to the side, does not count.
    pub changed: bool,
    /// Whether the shapes stayed where they were: `shape` passes [`KEPT_SHAPE`].
    pub kept: bool,
}

/// Judges one translation.
///
/// `input` is a picture of one domain, `translated` what a network made of it, and `answer` the
/// same scene in the other domain. A translation is right if it is both changed and kept.
///
/// # Panics
///
/// If the pictures differ in size or a side is shorter than 32 pixels.
pub fn judge(input: &RgbImage, translated: &RgbImage, answer: &RgbImage) -> Judgement {
    assert!(
        input.dimensions() == translated.dimensions() && input.dimensions() == answer.dimensions(),
        "the pictures to compare must have one size"
    );
    let [input, translated, answer] = [input, translated, answer].map(Description::of);
    compare(&input, &translated, &answer)
}

/// What is compared of a picture.
struct Description {
    colour: Vec<f64>,
    texture: Vec<f64>,
    shape: Vec<f64>,
}

impl Description {
    fn of(image: &RgbImage) -> Self {
        let shortest = image.width().min(image.height()) as usize;
        assert!(shortest >= SHAPE_GRID, "a side is shorter than 32 pixels");
        let planes = oklab(image);
        let bands = planes.each_ref().map(|plane| {
            let mut band = plane.smoothed(1);
            let coarse = band.smoothed(3);
            for (value, coarse) in band.values.iter_mut().zip(&coarse.values) {
                *value = (*value - coarse).abs().sqrt();
            }
            band
        });
        Self {
            colour: all_cells(&planes, COLOUR_GRID),
            texture: all_cells(&bands, TEXTURE_GRID),
            shape: outlines(&planes, (shortest / 64).max(1)),
        }
    }
}

fn compare(input: &Description, translated: &Description, answer: &Description) -> Judgement {
    let colour = Progress::new(&input.colour, &translated.colour, &answer.colour);
    let texture = Progress::new(&input.texture, &translated.texture, &answer.texture);
    let expected: Vec<f64> = input
        .shape
        .iter()
        .zip(&answer.shape)
        .map(|(of_input, of_answer)| of_input + of_answer)
        .collect();
    let shape = correlation(&translated.shape, &expected);
    Judgement {
        colour: colour.share,
        texture: texture.share,
        shape,
        changed: colour.reaches(CHANGED_COLOUR) && texture.reaches(CHANGED_TEXTURE),
        kept: shape > KEPT_SHAPE,
    }
}

/// How far a translation went from the input to the answer.
struct Progress {
    share: f64,
    /// Distance to the answer over the distance of the input to the answer.
    miss: f64,
}

impl Progress {
    fn new(input: &[f64], translated: &[f64], answer: &[f64]) -> Self {
        let (mut along, mut whole, mut missed) = (0.0, 0.0, 0.0);
        for ((input, translated), answer) in input.iter().zip(translated).zip(answer) {
            along += (translated - input) * (answer - input);
            whole += (answer - input).powi(2);
            missed += (translated - answer).powi(2);
        }
        if whole == 0.0 {
            // Nothing had to change: the way is done as long as nothing did.
            let share = if missed == 0.0 { 1.0 } else { 0.0 };
            return Self { share, miss: 0.0 };
        }
        Self {
            share: along / whole,
            miss: (missed / whole).sqrt(),
        }
    }

    fn reaches(&self, share: f64) -> bool {
        self.share > share && self.miss < 1.0
    }
}

/// Pearson's correlation; 0 where one of the two does not vary.
fn correlation(first: &[f64], second: &[f64]) -> f64 {
    let [first_mean, second_mean] =
        [first, second].map(|values| values.iter().sum::<f64>() / values.len() as f64);
    let (mut both, mut first_square, mut second_square) = (0.0, 0.0, 0.0);
    for (first, second) in first.iter().zip(second) {
        let (first, second) = (first - first_mean, second - second_mean);
        both += first * second;
        first_square += first * first;
        second_square += second * second;
    }
    let product: f64 = first_square * second_square;
    if product > 0.0 {
        both / product.sqrt()
    } else {
        0.0
    }
}

/// The map of gradient sizes that the module's documentation describes.
fn outlines(planes: &[Plane; 3], radius: usize) -> Vec<f64> {
    let Plane { width, height, .. } = planes[0];
    let mut sizes = Plane {
        width,
        height,
        values: vec![0.0; width * height],
    };
    for plane in planes {
        let plane = plane.smoothed(radius).smoothed(radius);
        for row in 1..height - 1 {
            for column in 1..width - 1 {
                let across = plane.at(column + 1, row) - plane.at(column - 1, row);
                let down = plane.at(column, row + 1) - plane.at(column, row - 1);
                sizes.values[row * width + column] += across * across + down * down;
            }
        }
    }
    for size in &mut sizes.values {
        *size = size.sqrt();
    }
    let mut cells = sizes.cells(SHAPE_GRID);
    for row in cells.chunks_exact_mut(SHAPE_GRID) {
        let mean = row.iter().sum::<f64>() / SHAPE_GRID as f64;
        for cell in row {
            *cell -= mean;
        }
    }
    cells
}

/// One number per pixel, in rows.
struct Plane {
    width: usize,
    height: usize,
    values: Vec<f32>,
}

impl Plane {
    fn at(&self, column: usize, row: usize) -> f32 {
        self.values[row * self.width + column]
    }

    /// Means over squares that reach `radius` pixels each way, cut off at the borders.
    fn smoothed(&self, radius: usize) -> Self {
        let rows = smooth_rows(&self.values, self.width, radius);
        let turned = transpose(&rows, self.width);
        let columns = smooth_rows(&turned, self.height, radius);
        Self {
            values: transpose(&columns, self.height),
            ..*self
        }
    }

    /// Means over the cells of a grid.
    fn cells(&self, grid: usize) -> Vec<f64> {
        let mut means = Vec::with_capacity(grid * grid);
        for cell_row in 0..grid {
            let rows = cell_row * self.height / grid..(cell_row + 1) * self.height / grid;
            for cell_column in 0..grid {
                let first = cell_column * self.width / grid;
                let end = (cell_column + 1) * self.width / grid;
                let sum: f64 = rows
                    .clone()
                    .flat_map(|row| &self.values[row * self.width + first..row * self.width + end])
                    .map(|&value| f64::from(value))
                    .sum();
                means.push(sum / (rows.len() * (end - first)) as f64);
            }
        }
        means
    }
}

fn all_cells(planes: &[Plane; 3], grid: usize) -> Vec<f64> {
    planes.iter().flat_map(|plane| plane.cells(grid)).collect()
}

fn smooth_rows(values: &[f32], width: usize, radius: usize) -> Vec<f32> {
    let mut means = Vec::with_capacity(values.len());
    for row in values.chunks_exact(width) {
        for column in 0..width {
            let window = &row[column.saturating_sub(radius)..(column + radius + 1).min(width)];
            means.push(window.iter().sum::<f32>() / window.len() as f32);
        }
    }
    means
}

/// Columns become rows; `width` is the length of a row before.
fn transpose(values: &[f32], width: usize) -> Vec<f32> {
    (0..width)
        .flat_map(|column| values[column..].iter().step_by(width).copied())
        .collect()
}

/// The planes L, a and b of Oklab: L in `0..=1`, a and b within `-0.4..=0.4`.
fn oklab(image: &RgbImage) -> [Plane; 3] {
    let linear: [f32; 256] = std::array::from_fn(|level| {
        let value = level as f32 / 255.0;
        if value <= 0.04045 {
            value / 12.92
        } else {
            ((value + 0.055) / 1.055).powf(2.4)
        }
    });
    let (width, height) = (image.width() as usize, image.height() as usize);
    let mut planes = [(); 3].map(|()| Plane {
        width,
        height,
        values: Vec::with_capacity(width * height),
    });
    for pixel in image.pixels() {
        let [r, g, b] = pixel.0.map(|level| linear[usize::from(level)]);
        let l = (0.412_221_46 * r + 0.536_332_55 * g + 0.051_445_995 * b).cbrt();
        let m = (0.211_903_5 * r + 0.680_699_5 * g + 0.107_396_96 * b).cbrt();
        let s = (0.088_302_46 * r + 0.281_718_85 * g + 0.629_978_7 * b).cbrt();
        let lab = [
            0.210_454_26 * l + 0.793_617_8 * m - 0.004_072_047 * s,
            1.977_998_5 * l - 2.428_592_2 * m + 0.450_593_7 * s,
            0.025_904_037 * l + 0.782_771_77 * m - 0.808_675_77 * s,
        ];
        for (plane, value) in planes.iter_mut().zip(lab) {
            plane.values.push(value);
        }
    }
    planes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenes::Scene;
    use image::{Rgb, imageops};
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    const SCENES: usize = 100;

    /// A picture made of two others, value by value.
    fn merged(first: &RgbImage, second: &RgbImage, value: impl Fn(f32, f32) -> f32) -> RgbImage {
        RgbImage::from_fn(first.width(), first.height(), |x, y| {
            let (first, second) = (first.get_pixel(x, y).0, second.get_pixel(x, y).0);
            Rgb(std::array::from_fn(|channel| {
                (value(f32::from(first[channel]), f32::from(second[channel])) + 0.5) as u8
            }))
        })
    }

    fn blurred(image: &RgbImage, radius: usize) -> RgbImage {
        let mut result = image.clone();
        for channel in 0..3 {
            let plane = Plane {
                width: image.width() as usize,
                height: image.height() as usize,
                values: image
                    .pixels()
                    .map(|pixel| f32::from(pixel.0[channel]))
                    .collect(),
            };
            for (pixel, value) in result.pixels_mut().zip(plane.smoothed(radius).values) {
                pixel.0[channel] = (value + 0.5) as u8;
            }
        }
        result
    }

    fn noisy(image: &RgbImage, sigma: f32, rng: &mut ChaCha8Rng) -> RgbImage {
        let mut result = image.clone();
        for value in result.iter_mut() {
            let normal = (0..12).map(|_| rng.random::<f32>()).sum::<f32>() - 6.0;
            *value = (f32::from(*value) + sigma * normal + 0.5) as u8;
        }
        result
    }

    /// The picture with the mean colour of another.
    fn recoloured(image: &RgbImage, like: &RgbImage) -> RgbImage {
        let mean = |image: &RgbImage, channel: usize| {
            let sum: f32 = image
                .pixels()
                .map(|pixel| f32::from(pixel.0[channel]))
                .sum();
            sum / image.pixels().len() as f32
        };
        let mut result = image.clone();
        for channel in 0..3 {
            let shift = mean(like, channel) - mean(image, channel);
            for pixel in result.pixels_mut() {
                pixel.0[channel] = (f32::from(pixel.0[channel]) + shift + 0.5) as u8;
            }
        }
        result
    }

    /// The picture moved to the right and down; the border is repeated.
    fn moved(image: &RgbImage, right: u32, down: u32) -> RgbImage {
        RgbImage::from_fn(image.width(), image.height(), |x, y| {
            *image.get_pixel(x.saturating_sub(right), y.saturating_sub(down))
        })
    }

    /// How many of all scenes were changed, and how many kept, in per cent.
    struct Rates(Vec<(&'static str, Judgement)>);

    impl Rates {
        fn percent(&self, name: &str, property: fn(&Judgement) -> bool) -> f64 {
            let found: Vec<bool> = self
                .0
                .iter()
                .filter(|(found, _)| *found == name)
                .map(|(_, judgement)| property(judgement))
                .collect();
            assert!(!found.is_empty(), "no such case: {name}");
            100.0 * found.iter().filter(|&&yes| yes).count() as f64 / found.len() as f64
        }

        fn changed(&self, name: &str) -> f64 {
            self.percent(name, |judgement| judgement.changed)
        }

        fn kept(&self, name: &str) -> f64 {
            self.percent(name, |judgement| judgement.kept)
        }
    }

    fn rates(side: u32, to_photograph: bool) -> Rates {
        let mut rng = ChaCha8Rng::seed_from_u64(2017);
        let pairs: Vec<[RgbImage; 2]> = (0..SCENES)
            .map(|_| {
                let scene = Scene::design(&mut rng);
                let mut pair = [scene.painting(side), scene.photograph(side)];
                if !to_photograph {
                    pair.reverse();
                }
                pair
            })
            .collect();
        let described: Vec<[Description; 2]> = pairs
            .iter()
            .map(|pair| pair.each_ref().map(Description::of))
            .collect();
        let mut judgements = Vec::new();
        for (index, [input, answer]) in pairs.iter().enumerate() {
            let [before, after] = &described[index];
            for (name, translated) in [
                ("answer", after),
                ("input", before),
                ("other scene", &described[(index + 1) % SCENES][1]),
            ] {
                judgements.push((name, compare(before, translated, after)));
            }
            let mut add = |name: &'static str, translated: &RgbImage| {
                judgements.push((name, compare(before, &Description::of(translated), after)));
            };
            add("mirrored", &imageops::flip_horizontal(answer));
            add("recoloured", &recoloured(input, answer));
            if index % 4 > 0 {
                continue;
            }
            add("blurred", &blurred(answer, 1));
            add("noisy", &noisy(answer, 5.0, &mut rng));
            add("very noisy", &noisy(answer, 50.0, &mut rng));
            add(
                "half",
                &merged(input, answer, |input, answer| 0.5 * (input + answer)),
            );
            add("one pixel", &moved(answer, 1, 1));
            add("an eighth right", &moved(answer, side / 8, 0));
            add("an eighth down", &moved(answer, 0, side / 8));
            let [coarse_input, coarse_answer] =
                [input, answer].map(|image| blurred(image, side as usize / 16));
            let detail = merged(input, &coarse_input, |fine, coarse| {
                128.0 + 0.5 * (fine - coarse)
            });
            let colours_only = merged(&coarse_answer, &detail, |coarse, detail| {
                coarse + 2.0 * (detail - 128.0)
            });
            add("colours only", &colours_only);
        }
        Rates(judgements)
    }

    fn check(side: u32, to_photograph: bool) {
        let rates = rates(side, to_photograph);
        assert!(rates.changed("answer") >= 97.0 && rates.kept("answer") >= 97.0);
        // The input shows the right shapes, but nothing happened to it.
        assert_eq!(rates.changed("input"), 0.0);
        assert!(rates.kept("input") >= 97.0);
        assert!(rates.changed("recoloured") <= 5.0);
        assert!(rates.changed("colours only") <= 5.0);
        for name in ["other scene", "mirrored"] {
            assert!(rates.kept(name) <= 3.0, "{name}: {}", rates.kept(name));
        }
        for name in ["an eighth right", "an eighth down"] {
            assert!(rates.kept(name) <= 10.0, "{name}: {}", rates.kept(name));
        }
        // Slightly worse than the answer is still right.
        for name in ["blurred", "noisy", "one pixel"] {
            assert!(
                rates.changed(name) >= 90.0,
                "{name}: {}",
                rates.changed(name)
            );
            assert!(rates.kept(name) >= 97.0, "{name}: {}", rates.kept(name));
        }
        // Half of the way is not enough, and noise is no texture.
        assert_eq!(rates.changed("half"), 0.0);
        assert!(rates.kept("half") >= 97.0);
        assert!(rates.changed("very noisy") <= 5.0);
    }

    #[test]
    fn paintings_to_photographs_at_64_pixels() {
        check(64, true);
    }

    #[test]
    fn photographs_to_paintings_at_64_pixels() {
        check(64, false);
    }

    #[test]
    fn paintings_to_photographs_at_128_pixels() {
        check(128, true);
    }

    #[test]
    fn photographs_to_paintings_at_128_pixels() {
        check(128, false);
    }

    #[test]
    fn flat_pictures_have_no_undefined_numbers() {
        let grey = RgbImage::from_pixel(32, 40, Rgb([128; 3]));
        let judgement = judge(&grey, &grey, &grey);
        assert!(judgement.changed && !judgement.kept);
        assert_eq!((judgement.colour, judgement.texture), (1.0, 1.0));
        assert_eq!(judgement.shape, 0.0);
    }

    #[test]
    fn oklab_of_known_colours_is_right() {
        // Red, by the formulas of Ottosson 2020: L 0.62796, a 0.22486, b 0.12585.
        let planes = oklab(&RgbImage::from_pixel(1, 1, Rgb([255, 0, 0])));
        for (plane, expected) in planes.iter().zip([0.627_96, 0.224_86, 0.125_85]) {
            assert!((plane.values[0] - expected).abs() < 1e-4);
        }
    }

    #[test]
    fn smoothing_takes_means_over_squares_cut_at_the_border() {
        let plane = Plane {
            width: 3,
            height: 2,
            values: vec![1.0, 2.0, 3.0, 5.0, 8.0, 13.0],
        };
        let expected = [4.0, 32.0 / 6.0, 6.5, 4.0, 32.0 / 6.0, 6.5];
        for (value, expected) in plane.smoothed(1).values.iter().zip(expected) {
            assert!((value - expected).abs() < 1e-6);
        }
    }
}
