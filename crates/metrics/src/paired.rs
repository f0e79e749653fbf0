//! How close two pictures of the same thing are: PSNR, SSIM (Wang et al. 2004, "Image quality
//! assessment: from error visibility to structural similarity") and MS-SSIM (Wang et al. 2003,
//! "Multiscale structural similarity for image quality assessment").

use std::fmt;

use pulp::{Arch, Simd, WithSimd};

use crate::failure::{Kind, failure};
use crate::rows::sum;

/// Taps of the Gaussian window.
const WINDOW: usize = 11;
/// How far the window reaches to either side.
const REACH: usize = WINDOW / 2;
/// Standard deviation of the Gaussian window, in pixels.
const SIGMA: f64 = 1.5;
/// The constants K1 and K2 of Wang et al. 2004.
const STABILISERS: (f64, f64) = (0.01, 0.03);
/// The scales' exponents of Wang et al. 2003, the finest first.
const SCALE_EXPONENTS: [f64; 5] = [0.0448, 0.2856, 0.3001, 0.2363, 0.1333];
/// The peak of a luma picture, whose values lie in 16..=235.
const LUMA_PEAK: f64 = 255.0;

/// The values of a picture.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Samples<'a> {
    /// Values 0..=255.
    Bytes(&'a [u8]),
    /// Values of any range, which the caller states.
    Floats(&'a [f32]),
}

/// A picture as planes: all of the first channel row after row, then the next channel.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Picture<'a> {
    channels: usize,
    height: usize,
    width: usize,
    samples: Samples<'a>,
}

impl<'a> Picture<'a> {
    /// A picture of bytes, `[channels, height, width]`.
    ///
    /// # Panics
    /// If `samples` has another length.
    pub fn bytes(channels: usize, height: usize, width: usize, samples: &'a [u8]) -> Self {
        assert_eq!(
            samples.len(),
            channels * height * width,
            "samples of all planes"
        );
        let samples = Samples::Bytes(samples);
        Self {
            channels,
            height,
            width,
            samples,
        }
    }

    /// A picture of floats, `[channels, height, width]`.
    ///
    /// # Panics
    /// If `samples` has another length.
    pub fn floats(channels: usize, height: usize, width: usize, samples: &'a [f32]) -> Self {
        assert_eq!(
            samples.len(),
            channels * height * width,
            "samples of all planes"
        );
        let samples = Samples::Floats(samples);
        Self {
            channels,
            height,
            width,
            samples,
        }
    }

    /// How many planes.
    pub fn channels(&self) -> usize {
        self.channels
    }

    /// Rows of a plane.
    pub fn height(&self) -> usize {
        self.height
    }

    /// Columns of a plane.
    pub fn width(&self) -> usize {
        self.width
    }

    /// All values, plane after plane.
    pub fn samples(&self) -> Samples<'a> {
        self.samples
    }

    fn plane(&self, channel: usize) -> Plane {
        let pixels = self.height * self.width;
        let range = channel * pixels..(channel + 1) * pixels;
        let values = match self.samples {
            Samples::Bytes(bytes) => bytes[range].iter().map(|&byte| f64::from(byte)).collect(),
            Samples::Floats(floats) => floats[range]
                .iter()
                .map(|&value| f64::from(value))
                .collect(),
        };
        Plane {
            height: self.height,
            width: self.width,
            values,
        }
    }
}

/// Which values of the pictures are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Colour {
    /// Every channel as it is.
    #[default]
    Channels,
    /// BT.601 luma in studio swing, `Y = 16 + 65.481 R + 128.553 G + 24.966 B` for R, G, B in `[0, 1]`:
    /// the coefficients of MATLAB's `rgb2ycbcr`, in which papers on super-resolution report. Not
    /// rounded, as in BasicSR's `to_y_channel`; the peak is 255 whatever the pictures' range.
    Luma,
    /// [`Colour::Luma`] rounded to whole numbers, as MATLAB's `rgb2ycbcr` does for `uint8` pictures.
    RoundedLuma,
}

/// How to look at two pictures.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct View {
    /// The largest value minus the smallest that a picture can have: 255 for bytes, 1 for floats in
    /// `[0, 1]`, 2 for floats in `[-1, 1]`. Luma needs pictures whose smallest value is 0.
    pub data_range: f64,
    /// Which values are compared.
    pub colour: Colour,
    /// Rows and columns left out at each edge before anything else; super-resolution by `s` usually
    /// takes `s`.
    pub crop_border: usize,
}

/// Whose rules SSIM and MS-SSIM follow; both use a Gaussian window of 11 x 11 with sigma 1.5.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rule {
    /// torchmetrics 1.9.0: the picture is reflected at its edges, SSIM is the mean over every pixel.
    /// MS-SSIM averages over the channels before the powers, its contrast terms leave 5 pixels out at
    /// each edge but its last SSIM does not, and an odd row or column is dropped when the size halves.
    Torchmetrics,
    /// pytorch-msssim 1.0.0: only windows that lie within the picture, as in Wang's `ssim.m` and in
    /// BasicSR. MS-SSIM takes the powers of each channel, and an odd size gets a row or column of zeros
    /// in front before it halves. Its float32 window, as torch 2.9 makes it, is
    /// repeated to the digit.
    PytorchMsssim,
}

impl fmt::Display for Rule {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Torchmetrics => "torchmetrics 1.9.0",
            Self::PytorchMsssim => "pytorch-msssim 1.0.0",
        })
    }
}

/// The squared error of some values: add up those of many pictures for the PSNR of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct SquaredError {
    /// Sum of the squared differences.
    pub sum: f64,
    /// How many values were compared.
    pub count: u64,
}

impl SquaredError {
    /// The error of this and another batch together.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self {
            sum: self.sum + other.sum,
            count: self.count + other.count,
        }
    }

    /// Peak signal-to-noise ratio in dB, `10 log10(peak^2 / mean squared error)`.
    ///
    /// Of the sum over a batch it is what torchmetrics 1.9.0 reports; the usual figure of papers is the
    /// mean of the pictures' own ratios. Infinite for identical pictures, NaN for no values.
    pub fn psnr(&self, peak: f64) -> f64 {
        10.0 * (peak * peak / (self.sum / self.count as f64)).log10()
    }
}

/// Two pictures, ready to be compared.
#[derive(Debug, Clone)]
pub struct Pair {
    planes: Vec<[Plane; 2]>,
    peak: f64,
}

impl Pair {
    /// Takes the values that `view` names out of two pictures.
    ///
    /// # Errors
    /// `Usage` for a data range that is not positive; `Data` for pictures of different sizes or kinds,
    /// a crop that leaves nothing, luma of pictures without 3 channels, or a value that is not finite.
    pub fn new(first: &Picture<'_>, second: &Picture<'_>, view: &View) -> anyhow::Result<Self> {
        if !(view.data_range > 0.0 && view.data_range.is_finite()) {
            return Err(failure(
                Kind::Usage,
                format!(
                    "a data range of {} makes no sense: give 255 for bytes, 1 for values in [0, 1]",
                    view.data_range
                ),
            ));
        }
        check(first, second, view)?;
        let [first, second] = [first, second].map(|picture| planes(picture, view));
        let peak = match view.colour {
            Colour::Channels => view.data_range,
            Colour::Luma | Colour::RoundedLuma => LUMA_PEAK,
        };
        let planes = first?.into_iter().zip(second?).map(|(a, b)| [a, b]);
        Ok(Self {
            planes: planes.collect(),
            peak,
        })
    }

    /// The peak of the compared values: the data range, or 255 for luma.
    pub fn peak(&self) -> f64 {
        self.peak
    }

    /// The squared error over all compared values.
    pub fn squared_error(&self) -> SquaredError {
        let mut error = SquaredError::default();
        for [first, second] in &self.planes {
            let count = first.values.len() as u64;
            let sum = Arch::new().dispatch(SumOfSquares { first, second });
            error = error.and(SquaredError { sum, count });
        }
        error
    }

    /// Peak signal-to-noise ratio in dB of these two pictures; infinite if they are identical.
    pub fn psnr(&self) -> f64 {
        self.squared_error().psnr(self.peak)
    }

    /// Structural similarity, at most 1; exactly 1 for identical pictures.
    ///
    /// In float64. torchmetrics' clamp of negative variances is left out: it only hides rounding, which
    /// here is 1e-16 of the peak squared.
    ///
    /// # Errors
    /// `Data` where a side is smaller than 6 pixels ([`Rule::Torchmetrics`], whose reflection needs
    /// them) or 11 pixels ([`Rule::PytorchMsssim`], whose window must fit).
    pub fn ssim(&self, rule: Rule) -> anyhow::Result<f64> {
        self.need_side(
            "SSIM",
            rule,
            match rule {
                Rule::Torchmetrics => REACH + 1,
                Rule::PytorchMsssim => WINDOW,
            },
        )?;
        let mut total = 0.0;
        for [first, second] in &self.planes {
            let means = similarity(first, second, self.peak, rule);
            total += match rule {
                Rule::Torchmetrics => means.similarity,
                Rule::PytorchMsssim => means.inner_similarity,
            };
        }
        Ok(total / self.planes.len() as f64)
    }

    /// Multi-scale structural similarity over 5 scales, from 0 to 1; negative terms count as 0.
    ///
    /// # Errors
    /// `Data` where a side is smaller than 176 pixels ([`Rule::Torchmetrics`]) or 161 pixels
    /// ([`Rule::PytorchMsssim`]): the limits of these tools.
    pub fn ms_ssim(&self, rule: Rule) -> anyhow::Result<f64> {
        let coarsest = 1 << (SCALE_EXPONENTS.len() - 1);
        self.need_side(
            "MS-SSIM",
            rule,
            match rule {
                Rule::Torchmetrics => WINDOW * coarsest,
                Rule::PytorchMsssim => (WINDOW - 1) * coarsest + 1,
            },
        )?;
        let terms: Vec<[f64; SCALE_EXPONENTS.len()]> = self
            .planes
            .iter()
            .map(|[first, second]| scale_terms(first, second, self.peak, rule))
            .collect();
        let channels = terms.len() as f64;
        let score = match rule {
            Rule::Torchmetrics => {
                let mut means = [0.0; SCALE_EXPONENTS.len()];
                for channel in &terms {
                    for (mean, term) in means.iter_mut().zip(channel) {
                        *mean += term / channels;
                    }
                }
                powers(&means)
            }
            Rule::PytorchMsssim => terms.iter().map(powers).sum::<f64>() / channels,
        };
        Ok(score)
    }

    fn need_side(&self, name: &str, rule: Rule, side: usize) -> anyhow::Result<()> {
        let [Plane { height, width, .. }, _] = &self.planes[0];
        if *height >= side && *width >= side {
            return Ok(());
        }
        Err(failure(
            Kind::Data,
            format!(
                "{name} by the rules of {rule} needs at least {side}x{side} pixels, \
                 these pictures have {width}x{height} after the crop"
            ),
        ))
    }
}

/// The product of the scales' terms, each to its exponent.
fn powers(terms: &[f64; SCALE_EXPONENTS.len()]) -> f64 {
    let term = |(term, exponent): (&f64, f64)| term.max(0.0).powf(exponent);
    terms.iter().zip(SCALE_EXPONENTS).map(term).product()
}

/// The contrast terms of one channel from the finest scale on, then the SSIM of the coarsest.
fn scale_terms(
    first: &Plane,
    second: &Plane,
    peak: f64,
    rule: Rule,
) -> [f64; SCALE_EXPONENTS.len()] {
    let mut terms = [0.0; SCALE_EXPONENTS.len()];
    let last = terms.len() - 1;
    let mut halved: Option<[Plane; 2]> = None;
    for (scale, term) in terms.iter_mut().enumerate() {
        let [first, second] = match &halved {
            None => [first, second],
            Some([first, second]) => [first, second],
        };
        let means = similarity(first, second, peak, rule);
        *term = match rule {
            _ if scale < last => means.inner_contrast,
            Rule::Torchmetrics => means.similarity,
            Rule::PytorchMsssim => means.inner_similarity,
        };
        if scale < last {
            halved = Some([first, second].map(|plane| plane.halved(rule)));
        }
    }
    terms
}

fn check(first: &Picture<'_>, second: &Picture<'_>, view: &View) -> anyhow::Result<()> {
    let size = |picture: &Picture<'_>| {
        let Picture {
            channels,
            height,
            width,
            ..
        } = picture;
        format!("{width}x{height} with {channels} channels")
    };
    let same_size = first.channels == second.channels
        && first.height == second.height
        && first.width == second.width;
    if !same_size {
        return Err(failure(
            Kind::Data,
            format!(
                "the pictures differ in size: {} and {}; resize or pair them otherwise",
                size(first),
                size(second)
            ),
        ));
    }
    if std::mem::discriminant(&first.samples) != std::mem::discriminant(&second.samples) {
        return Err(failure(
            Kind::Data,
            "one picture has bytes and the other floats: convert one of them, they share one data range",
        ));
    }
    if first.channels == 0 || first.height.min(first.width) <= view.crop_border.saturating_mul(2) {
        return Err(failure(
            Kind::Data,
            format!(
                "nothing is left of {} without {} pixels at each edge",
                size(first),
                view.crop_border
            ),
        ));
    }
    if view.colour != Colour::Channels && first.channels != 3 {
        return Err(failure(
            Kind::Data,
            format!(
                "luma needs red, green and blue, these pictures have {} channels: compare the channels instead",
                first.channels
            ),
        ));
    }
    Ok(())
}

fn planes(picture: &Picture<'_>, view: &View) -> anyhow::Result<Vec<Plane>> {
    let planes: Vec<Plane> = (0..picture.channels)
        .map(|channel| picture.plane(channel).cropped(view.crop_border))
        .collect();
    if !planes
        .iter()
        .all(|plane| plane.values.iter().all(|value| value.is_finite()))
    {
        return Err(failure(
            Kind::Data,
            "a picture holds a value that is not finite: it is damaged, or its maker diverged",
        ));
    }
    Ok(match view.colour {
        Colour::Channels => planes,
        Colour::Luma => vec![luma(&planes, view.data_range)],
        Colour::RoundedLuma => {
            let mut plane = luma(&planes, view.data_range);
            for value in &mut plane.values {
                *value = value.round();
            }
            vec![plane]
        }
    })
}

fn luma(planes: &[Plane], data_range: f64) -> Plane {
    const WEIGHTS: [f64; 3] = [65.481, 128.553, 24.966];
    let [red, green, blue] = WEIGHTS.map(|weight| weight / data_range);
    let colours = planes[0].values.iter().zip(&planes[1].values);
    let values = colours
        .zip(&planes[2].values)
        .map(|((r, g), b)| 16.0 + (red * r + green * g + blue * b))
        .collect();
    Plane {
        height: planes[0].height,
        width: planes[0].width,
        values,
    }
}

/// One channel of a picture, row after row.
#[derive(Debug, Clone)]
struct Plane {
    height: usize,
    width: usize,
    values: Vec<f64>,
}

impl Plane {
    fn row(&self, index: usize) -> &[f64] {
        &self.values[index * self.width..(index + 1) * self.width]
    }

    fn cropped(self, border: usize) -> Self {
        if border == 0 {
            return self;
        }
        let (height, width) = (self.height - 2 * border, self.width - 2 * border);
        let rows = (border..border + height).map(|row| &self.row(row)[border..border + width]);
        let values = rows.flatten().copied().collect();
        Self {
            height,
            width,
            values,
        }
    }

    /// Means of 2 x 2 pixels.
    fn halved(&self, rule: Rule) -> Self {
        // The first row and column of pixels: one before the picture where zeros are put in front.
        let lead = |size: usize| match rule {
            Rule::Torchmetrics => 0,
            Rule::PytorchMsssim => size % 2,
        };
        let (top, left) = (lead(self.height), lead(self.width));
        let (height, width) = ((self.height + top) / 2, (self.width + left) / 2);
        let mut values = vec![0.0; height * width];
        for (row, line) in values.chunks_exact_mut(width).enumerate() {
            for source in [2 * row, 2 * row + 1] {
                let Some(source) = source.checked_sub(top) else {
                    continue;
                };
                let source = self.row(source);
                for (column, value) in line.iter_mut().enumerate() {
                    let second = 2 * column + 1 - left;
                    let first = if second > 0 { source[second - 1] } else { 0.0 };
                    *value += (first + source[second]) * 0.25;
                }
            }
        }
        Self {
            height,
            width,
            values,
        }
    }
}

struct SumOfSquares<'a> {
    first: &'a Plane,
    second: &'a Plane,
}

impl WithSimd for SumOfSquares<'_> {
    type Output = f64;

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) -> f64 {
        let mut squares = vec![0.0; self.first.width];
        let mut total = 0.0;
        let rows = self.first.values.chunks_exact(self.first.width);
        for (first, second) in rows.zip(self.second.values.chunks_exact(self.first.width)) {
            for ((square, a), b) in squares.iter_mut().zip(first).zip(second) {
                *square = (a - b) * (a - b);
            }
            total += sum(&squares);
        }
        total
    }
}

/// Means over one channel of a pair of pictures.
struct Means {
    /// SSIM over every pixel of the picture, reflected at its edges.
    similarity: f64,
    /// SSIM where the window lies within the picture; NaN where it nowhere does.
    inner_similarity: f64,
    /// The contrast and structure term there.
    inner_contrast: f64,
}

fn similarity(first: &Plane, second: &Plane, peak: f64, rule: Rule) -> Means {
    Arch::new().dispatch(Similarity {
        first,
        second,
        weights: window(rule),
        luminance: (STABILISERS.0 * peak).powi(2),
        contrast: (STABILISERS.1 * peak).powi(2),
    })
}

/// The Gaussian's weights: of the middle, then of each distance from it.
fn window(rule: Rule) -> [f64; REACH + 1] {
    match rule {
        Rule::Torchmetrics => {
            let mut weights = [0.0; REACH + 1];
            for (distance, weight) in weights.iter_mut().enumerate() {
                *weight = (-(distance as f64 / SIGMA).powi(2) / 2.0).exp();
            }
            let total = 2.0 * weights.iter().sum::<f64>() - weights[0];
            weights.map(|weight| weight / total)
        }
        // Its digits, because their sum is 1 - 3e-8 and that moves SSIM by up to 1e-5.
        Rule::PytorchMsssim => [
            0.266_011_71_f32,
            0.213_005_53,
            0.109_360_69,
            0.036_000_773,
            0.007_598_758,
            0.001_028_380_4,
        ]
        .map(f64::from),
    }
}

/// Fields whose local means make SSIM: both pictures, the sum of their squares and their product.
const FIELDS: usize = 4;

/// The position that lies at `index` of a line of `size` which was reflected by [`REACH`] at both ends.
#[inline(always)]
fn reflected(index: usize, size: usize) -> usize {
    if index < REACH {
        REACH - index
    } else if index < size + REACH {
        index - REACH
    } else {
        2 * (size - 1) - (index - REACH)
    }
}

struct Similarity<'a> {
    first: &'a Plane,
    second: &'a Plane,
    weights: [f64; REACH + 1],
    luminance: f64,
    contrast: f64,
}

impl WithSimd for Similarity<'_> {
    type Output = Means;

    // Rows go through a ring of 11, so that nothing but the pictures leaves the cache. Every line is as
    // long as whole vectors are; what lies behind its end is never looked at.
    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> Means {
        let Plane { height, width, .. } = *self.first;
        let line = width.next_multiple_of(S::F64_LANES);
        let mut ring = vec![0.0; WINDOW * FIELDS * line];
        let mut columns = vec![0.0; line + 2 * REACH];
        let mut fields: [Vec<f64>; FIELDS] = std::array::from_fn(|_| vec![0.0; line]);
        let mut similarities = vec![0.0; width];
        let mut contrasts = vec![0.0; width];
        let (mut total, mut inner_total, mut inner_contrast) = (0.0, 0.0, 0.0);
        for padded in 0..height + 2 * REACH {
            let source = reflected(padded, height);
            let slot = padded % WINDOW * FIELDS * line;
            moments(
                self.first.row(source),
                self.second.row(source),
                line,
                &mut ring[slot..slot + FIELDS * line],
            );
            let Some(row) = padded.checked_sub(2 * REACH) else {
                continue;
            };
            for (field, output) in fields.iter_mut().enumerate() {
                let above = |tap: usize| {
                    let start = ((row + tap) % WINDOW * FIELDS + field) * line;
                    &ring[start..start + line]
                };
                let above = std::array::from_fn(above);
                blur(
                    simd,
                    above,
                    &self.weights,
                    &mut columns[REACH..REACH + line],
                );
                for edge in 0..REACH {
                    columns[edge] = columns[REACH + reflected(edge, width)];
                    let end = width + REACH + edge;
                    columns[end] = columns[REACH + reflected(end, width)];
                }
                let beside = std::array::from_fn(|tap| &columns[tap..tap + line]);
                blur(simd, beside, &self.weights, output);
            }
            self.map(&fields, &mut similarities, &mut contrasts);
            total += sum(&similarities);
            if row >= REACH && row + REACH < height && width >= WINDOW {
                inner_total += sum(&similarities[REACH..width - REACH]);
                inner_contrast += sum(&contrasts[REACH..width - REACH]);
            }
        }
        let inner = (height.saturating_sub(2 * REACH) * width.saturating_sub(2 * REACH)) as f64;
        Means {
            similarity: total / (height * width) as f64,
            inner_similarity: inner_total / inner,
            inner_contrast: inner_contrast / inner,
        }
    }
}

impl Similarity<'_> {
    #[inline(always)]
    fn map(&self, fields: &[Vec<f64>; FIELDS], similarities: &mut [f64], contrasts: &mut [f64]) {
        let width = similarities.len();
        let [first, second, squares, products] = fields.each_ref().map(|field| &field[..width]);
        let contrasts = &mut contrasts[..width];
        for column in 0..width {
            let (a, b) = (first[column], second[column]);
            let (mean_squares, mean_product) = (a * a + b * b, a * b);
            let contrast = (2.0 * (products[column] - mean_product) + self.contrast)
                / ((squares[column] - mean_squares) + self.contrast);
            contrasts[column] = contrast;
            similarities[column] =
                (2.0 * mean_product + self.luminance) / (mean_squares + self.luminance) * contrast;
        }
    }
}

/// Both rows, the sum of their squares and their product, each at the start of a line of its own.
#[inline(always)]
fn moments(first: &[f64], second: &[f64], line: usize, output: &mut [f64]) {
    let width = first.len();
    let second = &second[..width];
    let (a, rest) = output.split_at_mut(line);
    let (b, rest) = rest.split_at_mut(line);
    let (squares, products) = rest.split_at_mut(line);
    let (squares, products) = (&mut squares[..width], &mut products[..width]);
    a[..width].copy_from_slice(first);
    b[..width].copy_from_slice(second);
    for column in 0..width {
        let (x, y) = (first[column], second[column]);
        squares[column] = x * x + y * y;
        products[column] = x * y;
    }
}

/// The weighted mean of 11 lines, the heaviest in the middle; whole vectors only.
#[inline(always)]
fn blur<S: Simd>(simd: S, lines: [&[f64]; WINDOW], weights: &[f64; REACH + 1], output: &mut [f64]) {
    let (output, _) = S::as_mut_simd_f64s(output);
    let count = output.len();
    let lines: [&[S::f64s]; WINDOW] =
        std::array::from_fn(|tap| &S::as_simd_f64s(lines[tap]).0[..count]);
    let weights: [S::f64s; REACH + 1] = std::array::from_fn(|tap| simd.splat_f64s(weights[tap]));
    for index in 0..count {
        let mut value = simd.mul_f64s(weights[0], lines[REACH][index]);
        for distance in 1..=REACH {
            let ends = simd.add_f64s(
                lines[REACH - distance][index],
                lines[REACH + distance][index],
            );
            value = simd.add_f64s(value, simd.mul_f64s(weights[distance], ends));
        }
        output[index] = value;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BYTES: View = View {
        data_range: 255.0,
        colour: Colour::Channels,
        crop_border: 0,
    };

    /// `h = (i + 1) * 2654435761 & m; h ^= h >> 15; h = h * 2246822519 & m; h ^= h >> 13` with
    /// `m = 2**32 - 1`, then `(h >> 8) / 2**24`.
    fn uniform(index: usize) -> f32 {
        let mut hash = (index as u32 + 1).wrapping_mul(2_654_435_761);
        hash ^= hash >> 15;
        hash = hash.wrapping_mul(2_246_822_519);
        hash ^= hash >> 13;
        (hash >> 8) as f32 / 16_777_216.0
    }

    /// `abs((3 i + 2 j + 31 k) % 510 - 255)` in row i, column j of channel k.
    fn smooth(channels: usize, height: usize, width: usize) -> Vec<u8> {
        let mut values = Vec::new();
        for k in 0..channels {
            for i in 0..height {
                for j in 0..width {
                    let phase = (3 * i + 2 * j + 31 * k) % 510;
                    values.push(phase.abs_diff(255) as u8);
                }
            }
        }
        values
    }

    /// `clip(p + int(uniform * 64) - 32, 0, 255)`.
    fn noisy(values: &[u8]) -> Vec<u8> {
        let noise = |(index, value): (usize, &u8)| {
            (i32::from(*value) + (uniform(index) * 64.0) as i32 - 32).clamp(0, 255) as u8
        };
        values.iter().enumerate().map(noise).collect()
    }

    fn pair(channels: usize, height: usize, width: usize, view: &View) -> Pair {
        let first = smooth(channels, height, width);
        let second = noisy(&first);
        let [first, second] =
            [&first, &second].map(|values| Picture::bytes(channels, height, width, values));
        Pair::new(&first, &second, view).unwrap()
    }

    fn close(a: f64, b: f64, tolerance: f64) {
        assert!((a - b).abs() <= tolerance, "{a} {b}");
    }

    /// torchmetrics rounds `10 / ln 10` to float32.
    const PSNR_TOLERANCE: f64 = 2e-6;
    #[test]
    fn the_references_are_repeated() {
        // peak_signal_noise_ratio(b, a, 255.), structural_similarity_index_measure(b, a, data_range=255.)
        // and pytorch_msssim.ssim(b, a, data_range=255) on float64 tensors
        for (channels, height, width, psnr, torchmetrics, msssim) in [
            (
                3,
                31,
                45,
                22.784604662981778,
                0.25929876287443687,
                0.2600105520202807,
            ),
            (
                3,
                64,
                64,
                23.064016570885904,
                0.26273333169657015,
                0.2659319126100219,
            ),
            (
                1,
                177,
                201,
                23.062982286025022,
                0.26914249483216596,
                0.2705059050088071,
            ),
        ] {
            let pair = pair(channels, height, width, &BYTES);
            close(pair.psnr(), psnr, PSNR_TOLERANCE);
            close(pair.ssim(Rule::Torchmetrics).unwrap(), torchmetrics, 1e-12);
            close(pair.ssim(Rule::PytorchMsssim).unwrap(), msssim, 1e-11);
        }
    }

    #[test]
    fn the_references_are_repeated_over_scales() {
        // multiscale_structural_similarity_index_measure(b, a, data_range=255.) and
        // pytorch_msssim.ms_ssim(b, a, data_range=255) on float64 tensors; the first has odd sizes
        for (channels, height, width, torchmetrics, msssim) in [
            (1, 177, 201, 0.8694704942832834, 0.8687304414440051),
            (3, 176, 190, 0.8682587374376731, 0.8682215809195767),
        ] {
            let pair = pair(channels, height, width, &BYTES);
            // Both round the exponents or the window to float32.
            close(
                pair.ms_ssim(Rule::Torchmetrics).unwrap(),
                torchmetrics,
                1e-7,
            );
            close(pair.ms_ssim(Rule::PytorchMsssim).unwrap(), msssim, 1e-11);
        }
    }

    #[test]
    fn luma_and_crop_are_those_of_super_resolution() {
        // y = 16 + np.tensordot([65.481, 128.553, 24.966], p[:, 2:-2, 2:-2] / 255, 1), and
        // np.floor(y + .5); 10 * np.log10(255**2 / mse), pytorch_msssim.ssim(.., data_range=255)
        for (colour, psnr, ssim) in [
            (Colour::Luma, 27.684238266071546, 0.4947823570694842),
            (Colour::RoundedLuma, 27.67930601428807, 0.49533291453531003),
        ] {
            let view = View {
                colour,
                crop_border: 2,
                ..BYTES
            };
            let pair = pair(3, 31, 45, &view);
            assert_eq!(pair.peak(), 255.0);
            close(pair.psnr(), psnr, 1e-11);
            close(pair.ssim(Rule::PytorchMsssim).unwrap(), ssim, 1e-11);
        }
    }

    #[test]
    fn floats_in_another_range_give_the_same() {
        let first = smooth(3, 24, 33);
        let second = noisy(&first);
        let scaled =
            |values: &[u8]| -> Vec<f32> { values.iter().map(|&v| f32::from(v) / 255.0).collect() };
        let (first, second) = (scaled(&first), scaled(&second));
        let [first, second] = [&first, &second].map(|values| Picture::floats(3, 24, 33, values));
        for colour in [Colour::Channels, Colour::Luma] {
            let floats = View {
                data_range: 1.0,
                colour,
                crop_border: 0,
            };
            let floats = Pair::new(&first, &second, &floats).unwrap();
            let bytes = pair(3, 24, 33, &View { colour, ..BYTES });
            close(floats.psnr(), bytes.psnr(), 1e-5);
            for rule in [Rule::Torchmetrics, Rule::PytorchMsssim] {
                close(floats.ssim(rule).unwrap(), bytes.ssim(rule).unwrap(), 1e-6);
            }
        }
    }

    #[test]
    fn a_batch_shares_one_mean_error() {
        let near = SquaredError {
            sum: 100.0,
            count: 100,
        };
        let far = SquaredError {
            sum: 900.0,
            count: 100,
        };
        close(near.psnr(10.0), 20.0, 1e-12);
        // 10 log10(100 / 5)
        close(near.and(far).psnr(10.0), 13.010299956639813, 1e-12);
        assert!(SquaredError::default().psnr(1.0).is_nan());
    }

    #[test]
    fn identical_pictures_are_exactly_alike() {
        let values: Vec<f32> = (0..3 * 180 * 177).map(uniform).collect();
        let picture = Picture::floats(3, 180, 177, &values);
        let view = View {
            data_range: 1.0,
            ..BYTES
        };
        let pair = Pair::new(&picture, &picture, &view).unwrap();
        assert_eq!(pair.psnr(), f64::INFINITY);
        for rule in [Rule::Torchmetrics, Rule::PytorchMsssim] {
            assert_eq!(pair.ssim(rule).unwrap(), 1.0);
            assert_eq!(pair.ms_ssim(rule).unwrap(), 1.0);
        }
    }

    #[test]
    fn every_processor_gives_the_same_digits() {
        let pair = pair(1, 21, 37, &BYTES);
        let [first, second] = &pair.planes[0];
        let rule = Rule::Torchmetrics;
        let means = similarity(first, second, 255.0, rule);
        let plain = Similarity {
            first,
            second,
            weights: window(rule),
            luminance: (0.01f64 * 255.0).powi(2),
            contrast: (0.03f64 * 255.0).powi(2),
        }
        .with_simd(pulp::Scalar);
        assert_eq!(means.similarity, plain.similarity);
        assert_eq!(means.inner_similarity, plain.inner_similarity);
        assert_eq!(means.inner_contrast, plain.inner_contrast);
    }

    #[test]
    fn the_smallest_pictures_of_each_rule() {
        let ssim = |side, rule| pair(1, side, side + 3, &BYTES).ssim(rule);
        let ms_ssim = |side, rule| pair(1, side + 3, side, &BYTES).ms_ssim(rule);
        for (rule, smallest, smallest_of_scales) in
            [(Rule::Torchmetrics, 6, 176), (Rule::PytorchMsssim, 11, 161)]
        {
            assert!(ssim(smallest, rule).unwrap().is_finite());
            let message = ssim(smallest - 1, rule).unwrap_err().to_string();
            assert!(
                message.contains(&format!("{smallest}x{smallest}")),
                "{message}"
            );
            assert!(ms_ssim(smallest_of_scales, rule).unwrap() > 0.5);
            assert!(ms_ssim(smallest_of_scales - 1, rule).is_err());
        }
    }

    #[test]
    fn wrong_pairs_are_named() {
        let (small, large) = (vec![0u8; 3 * 4 * 4], vec![0u8; 3 * 4 * 5]);
        let floats = vec![0f32; 3 * 4 * 4];
        let mut broken = floats.clone();
        broken[7] = f32::INFINITY;
        let picture = Picture::bytes(3, 4, 4, &small);
        let message = |second: &Picture<'_>, view: View| {
            let first = match second.samples() {
                Samples::Floats(_) if second.samples() != Samples::Floats(&floats) => *second,
                _ => picture,
            };
            Pair::new(&first, second, &view).unwrap_err().to_string()
        };
        assert!(message(&Picture::bytes(3, 4, 5, &large), BYTES).contains("5x4"));
        assert!(message(&Picture::floats(3, 4, 4, &floats), BYTES).contains("floats"));
        assert!(message(&Picture::floats(3, 4, 4, &broken), BYTES).contains("not finite"));
        let cropped = View {
            crop_border: 2,
            ..BYTES
        };
        assert!(message(&picture, cropped).contains("nothing is left"));
        let dark = View {
            data_range: 0.0,
            ..BYTES
        };
        assert!(message(&picture, dark).contains("data range"));
        let grey = Picture::bytes(1, 12, 4, &small);
        let luma = View {
            colour: Colour::Luma,
            ..BYTES
        };
        let luma = Pair::new(&grey, &grey, &luma).unwrap_err().to_string();
        assert!(luma.contains("1 channels"), "{luma}");
    }
}
