//! Divergences of two histograms, and histograms of pixels and of labels.

use std::fmt;

use crate::failure::{Kind, failure};
use crate::features::Features;
use crate::paired::{Picture, Samples};

/// BT.601 luma in full swing: `Y = 0.299 R + 0.587 G + 0.114 B`, in the range of the picture.
const LUMA_WEIGHTS: [f64; 3] = [0.299, 0.587, 0.114];

/// How many values a byte has.
const BYTE_LEVELS: usize = 256;

/// The unit of a divergence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Logarithm {
    /// Nats, SciPy's default.
    #[default]
    Natural,
    /// Bits, in which the Jensen-Shannon divergence and distance are at most 1.
    Two,
}

impl Logarithm {
    /// The size of one unit in nats.
    fn nats(self) -> f64 {
        match self {
            Self::Natural => 1.0,
            Self::Two => std::f64::consts::LN_2,
        }
    }
}

impl fmt::Display for Logarithm {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Natural => "nats",
            Self::Two => "bits",
        })
    }
}

/// How far two histograms with the same bins are apart.
///
/// The counts become shares `p` and `q`; with a smoothing of `e` and `k` bins each share becomes
/// `(share + e) / (1 + k e)`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Divergences {
    /// `KL(p || q) = sum p log(p / q)`, infinite where `p` has a bin that `q` lacks (never when smoothed).
    pub first_to_second: f64,
    /// `KL(q || p)`.
    pub second_to_first: f64,
    /// Jensen-Shannon divergence, `(KL(p || m) + KL(q || m)) / 2` with `m = (p + q) / 2`: from 0 to 1 bit
    /// or ln 2 nats.
    pub jensen_shannon: f64,
    /// Jensen-Shannon distance: the square root of the divergence in the same unit, a metric;
    /// `scipy.spatial.distance.jensenshannon` gives this one.
    pub jensen_shannon_distance: f64,
}

/// The divergences of two histograms, in nats or bits.
///
/// # Shapes
/// - `first`, `second`: `[bins]`, counts or shares: each is divided by its sum
///
/// # Errors
/// `Usage` for a smoothing that is negative or not finite; `Data` for histograms of different lengths,
/// without bins or counts, or with a count that is negative or not finite.
pub fn divergences(
    first: &[f64],
    second: &[f64],
    smoothing: f64,
    logarithm: Logarithm,
) -> anyhow::Result<Divergences> {
    if !(smoothing >= 0.0 && smoothing.is_finite()) {
        return Err(failure(
            Kind::Usage,
            format!(
                "a smoothing of {smoothing} makes no sense: give 0 for none, or 1e-10 for instance"
            ),
        ));
    }
    if first.len() != second.len() {
        return Err(failure(
            Kind::Data,
            format!(
                "histograms of {} and {} bins cannot be compared: make both with the same bins",
                first.len(),
                second.len()
            ),
        ));
    }
    let p = shares(first, "first", smoothing)?;
    let q = shares(second, "second", smoothing)?;
    let middle: Vec<f64> = p.iter().zip(&q).map(|(p, q)| 0.5 * (p + q)).collect();
    let unit = logarithm.nats();
    // Rounding may leave -1e-17 for equal histograms.
    let divergence = |p: &[f64], q: &[f64]| (kullback_leibler(p, q) / unit).max(0.0);
    let jensen_shannon = 0.5 * (divergence(&p, &middle) + divergence(&q, &middle));
    Ok(Divergences {
        first_to_second: divergence(&p, &q),
        second_to_first: divergence(&q, &p),
        jensen_shannon,
        jensen_shannon_distance: jensen_shannon.sqrt(),
    })
}

fn shares(counts: &[f64], name: &str, smoothing: f64) -> anyhow::Result<Vec<f64>> {
    if let Some(bin) = counts
        .iter()
        .position(|count| !(*count >= 0.0 && count.is_finite()))
    {
        return Err(failure(
            Kind::Data,
            format!(
                "bin {bin} of the {name} histogram holds {}: counts are finite and at least 0",
                counts[bin]
            ),
        ));
    }
    // Divided by the largest first, so that the sum of huge counts stays finite.
    let largest = counts.iter().copied().fold(0.0, f64::max);
    if largest == 0.0 {
        return Err(failure(
            Kind::Data,
            format!("the {name} histogram is empty: nothing was counted"),
        ));
    }
    let total: f64 = counts.iter().map(|count| count / largest).sum();
    let smoothed = 1.0 + smoothing * counts.len() as f64;
    let share = |count: &f64| (count / largest / total + smoothing) / smoothed;
    Ok(counts.iter().map(share).collect())
}

/// In nats; `0 ln 0` is 0.
fn kullback_leibler(p: &[f64], q: &[f64]) -> f64 {
    let term = |(&p, &q): (&f64, &f64)| if p > 0.0 { p * (p / q).ln() } else { 0.0 };
    p.iter().zip(q).map(term).sum()
}

/// Which values a pixel histogram counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum HistogramOf {
    /// The values of each channel, one histogram a channel.
    #[default]
    Channels,
    /// BT.601 luma in full swing, `0.299 R + 0.587 G + 0.114 B`: one histogram.
    Luma,
}

/// Counts pixel values of some pictures into bins of equal width.
///
/// Bytes: bin `floor(value * bins / 256)`, as `numpy.histogram(.., bins, range=(0, 256))`. Floats:
/// bins over `0..=data_range`, the last one with its upper edge, as
/// `numpy.histogram(.., bins, range=(0, data_range))` up to values within rounding of an edge.
/// The luma of bytes is not rounded before it is counted.
///
/// # Shapes
/// - result: `[channels][bins]`, or `[1][bins]` for luma
///
/// # Errors
/// `Usage` for zero bins or a data range that is not positive; `Data` for no pictures, pictures with
/// different channels, luma without 3 channels, or a float outside of `0..=data_range`.
pub fn pixel_histogram(
    pictures: &[Picture<'_>],
    bins: usize,
    of: HistogramOf,
    data_range: f64,
) -> anyhow::Result<Vec<Vec<f64>>> {
    if bins == 0 || !(data_range > 0.0 && data_range.is_finite()) {
        return Err(failure(
            Kind::Usage,
            format!(
                "a histogram of {bins} bins over 0..{data_range} makes no sense: both must be positive"
            ),
        ));
    }
    let Some(channels) = pictures.first().map(Picture::channels) else {
        return Err(failure(Kind::Data, "no pictures: give at least one"));
    };
    if let Some(other) = pictures
        .iter()
        .find(|picture| picture.channels() != channels)
    {
        return Err(failure(
            Kind::Data,
            format!(
                "some pictures have {channels} channels and some {}: convert them to one kind",
                other.channels()
            ),
        ));
    }
    if of == HistogramOf::Luma && channels != 3 {
        return Err(failure(
            Kind::Data,
            format!(
                "luma needs red, green and blue, these pictures have {channels} channels: count the channels instead"
            ),
        ));
    }
    let histograms = match of {
        HistogramOf::Channels => channels,
        HistogramOf::Luma => 1,
    };
    let mut counts = vec![vec![0.0; bins]; histograms];
    for (index, picture) in pictures.iter().enumerate() {
        let pixels = picture.height() * picture.width();
        if pixels == 0 {
            continue;
        }
        match picture.samples() {
            Samples::Bytes(bytes) => {
                let planes = bytes.chunks_exact(pixels);
                match of {
                    HistogramOf::Channels => {
                        for (counts, plane) in counts.iter_mut().zip(planes) {
                            count_bytes(plane, counts);
                        }
                    }
                    HistogramOf::Luma => count_luma(planes, BYTE_LEVELS as f64, &mut counts[0]),
                }
            }
            Samples::Floats(floats) => {
                let outside = |value: &&f32| !(0.0..=data_range).contains(&f64::from(**value));
                if let Some(value) = floats.iter().find(outside) {
                    return Err(failure(
                        Kind::Data,
                        format!(
                            "picture {index} has the value {value} outside of 0..{data_range}: \
                             scale the pictures, or state their data range"
                        ),
                    ));
                }
                let planes = floats.chunks_exact(pixels);
                match of {
                    HistogramOf::Channels => {
                        for (counts, plane) in counts.iter_mut().zip(planes) {
                            for &value in plane {
                                let bin = bin(f64::from(value), data_range, bins);
                                counts[bin] += 1.0;
                            }
                        }
                    }
                    HistogramOf::Luma => count_luma(planes, data_range, &mut counts[0]),
                }
            }
        }
    }
    Ok(counts)
}

fn bin(value: f64, range: f64, bins: usize) -> usize {
    ((value / range * bins as f64) as usize).min(bins - 1)
}

fn count_bytes(plane: &[u8], counts: &mut [f64]) {
    let mut levels = [0u64; BYTE_LEVELS];
    for &byte in plane {
        levels[usize::from(byte)] += 1;
    }
    for (level, number) in levels.iter().enumerate() {
        counts[level * counts.len() / BYTE_LEVELS] += *number as f64;
    }
}

fn count_luma<'a, T>(mut planes: impl Iterator<Item = &'a [T]>, range: f64, counts: &mut [f64])
where
    T: Copy + 'a,
    f64: From<T>,
{
    let mut next = || planes.next().unwrap_or_default();
    let (reds, greens, blues) = (next(), next(), next());
    let [red, green, blue] = LUMA_WEIGHTS;
    for ((&r, &g), &b) in reds.iter().zip(greens).zip(blues) {
        let luma = red * f64::from(r) + green * f64::from(g) + blue * f64::from(b);
        counts[bin(luma, range, counts.len())] += 1.0;
    }
}

/// Counts the most likely class of each picture; of equal logits the first class.
///
/// # Shapes
/// - `logits`: `[pictures, classes]`; result `[classes]`
///
/// # Errors
/// `Data` for no pictures, or a logit that is not a number.
pub fn label_histogram(logits: &Features) -> anyhow::Result<Vec<f64>> {
    if logits.rows() == 0 {
        return Err(failure(Kind::Data, "no pictures: give at least one"));
    }
    let mut counts = vec![0.0; logits.dims()];
    for row in 0..logits.rows() {
        let mut best = 0;
        let logits = logits.row(row);
        for (class, logit) in logits.iter().enumerate() {
            if logit.is_nan() {
                return Err(failure(
                    Kind::Data,
                    format!(
                        "logit {class} of picture {row} is NaN: the network's weights or the picture are damaged"
                    ),
                ));
            }
            if *logit > logits[best] {
                best = class;
            }
        }
        counts[best] += 1.0;
    }
    Ok(counts)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(a: f64, b: f64) {
        assert!((a - b).abs() <= 1e-14, "{a} {b}");
    }

    #[test]
    fn scipys_numbers() {
        // p, q = [1, 0, 3, 6], [2, 2, 0, 4]; scipy.spatial.distance.jensenshannon(p, q, base)
        let (p, q) = ([1.0, 0.0, 3.0, 6.0], [2.0, 2.0, 0.0, 4.0]);
        let nats = divergences(&p, &q, 0.0, Logarithm::Natural).unwrap();
        close(nats.jensen_shannon_distance, 0.4577061517997798);
        close(nats.jensen_shannon, nats.jensen_shannon_distance.powi(2));
        let bits = divergences(&p, &q, 0.0, Logarithm::Two).unwrap();
        close(bits.jensen_shannon_distance, 0.549761115566128);
        assert_eq!(nats.first_to_second, f64::INFINITY);
        assert_eq!(nats.second_to_first, f64::INFINITY);
        // scipy.stats.entropy(p, q, base=2) after p = (p / 10 + 0.01) / 1.04, q = (q / 8 + 0.01) / 1.04
        let smooth = divergences(&p, &q, 0.01, Logarithm::Two).unwrap();
        close(smooth.first_to_second, 1.451784505196011);
        close(smooth.second_to_first, 1.3110532228194156);
    }

    #[test]
    fn a_bin_that_only_the_second_has_costs_nothing() {
        // 0.5 ln(0.5 / 0.25) * 2 = ln 2
        let result = divergences(&[1.0, 1.0, 0.0], &[1.0, 1.0, 2.0], 0.0, Logarithm::Two).unwrap();
        close(result.first_to_second, 1.0);
        assert_eq!(result.second_to_first, f64::INFINITY);
    }

    #[test]
    fn equal_shares_are_zero_apart_and_disjoint_ones_one_bit() {
        let p = [3.0, 1.0, 0.0, 7.0];
        let scaled = p.map(|count| count * 1e300);
        let same = divergences(&p, &scaled, 0.0, Logarithm::Natural).unwrap();
        close(same.first_to_second, 0.0);
        close(same.jensen_shannon, 0.0);
        let apart = divergences(&[4.0, 0.0], &[0.0, 9.0], 0.0, Logarithm::Two).unwrap();
        close(apart.jensen_shannon, 1.0);
        close(apart.jensen_shannon_distance, 1.0);
    }

    #[test]
    fn wrong_histograms_are_named() {
        let message = |p: &[f64], q: &[f64], smoothing| {
            divergences(p, q, smoothing, Logarithm::Natural)
                .unwrap_err()
                .to_string()
        };
        assert!(message(&[1.0], &[1.0, 2.0], 0.0).contains("1 and 2 bins"));
        assert!(message(&[1.0, -1.0], &[1.0, 2.0], 0.0).contains("bin 1 of the first"));
        assert!(message(&[1.0, 1.0], &[f64::NAN, 2.0], 0.0).contains("bin 0 of the second"));
        assert!(message(&[1.0, 1.0], &[0.0, 0.0], 0.1).contains("second histogram is empty"));
        assert!(message(&[], &[], 0.0).contains("empty"));
        assert!(message(&[1.0], &[1.0], -1.0).contains("smoothing"));
    }

    #[test]
    fn pixels_fall_into_numpys_bins() {
        let bytes: Vec<u8> = (0..=255).collect();
        let picture = Picture::bytes(1, 16, 16, &bytes);
        // np.histogram(np.arange(256), 10, range=(0, 256))[0]
        assert_eq!(
            pixel_histogram(&[picture], 10, HistogramOf::Channels, 255.0).unwrap(),
            [[26.0, 26.0, 25.0, 26.0, 25.0, 26.0, 26.0, 25.0, 26.0, 25.0]]
        );
        let floats: Vec<f32> = (0..=4).map(|value| value as f32 / 4.0).collect();
        let picture = Picture::floats(1, 1, 5, &floats);
        // np.histogram([0, .25, .5, .75, 1], 4, range=(0, 1))[0]
        assert_eq!(
            pixel_histogram(&[picture, picture], 4, HistogramOf::Channels, 1.0).unwrap(),
            [[2.0, 2.0, 2.0, 4.0]]
        );
    }

    #[test]
    fn channels_are_apart_and_luma_mixes_them() {
        // Four pixels: red 255, green 255, blue 255 and blue 255: luma 76.245, 149.685, 29.07, 29.07.
        let planes = [255, 0, 0, 0, 0, 255, 0, 0, 0, 0, 255, 255];
        let picture = Picture::bytes(3, 2, 2, &planes);
        let channels = pixel_histogram(&[picture], 2, HistogramOf::Channels, 255.0).unwrap();
        assert_eq!(channels, [[3.0, 1.0], [3.0, 1.0], [2.0, 2.0]]);
        let luma = pixel_histogram(&[picture], 4, HistogramOf::Luma, 255.0).unwrap();
        assert_eq!(luma, [[2.0, 1.0, 1.0, 0.0]]);
    }

    #[test]
    fn wrong_pictures_are_named() {
        let values = [0.0, 0.5, 1.5];
        let picture = Picture::floats(3, 1, 1, &values);
        let grey = Picture::floats(1, 1, 3, &values);
        let message = |pictures: &[Picture<'_>], bins, of| {
            pixel_histogram(pictures, bins, of, 1.0)
                .unwrap_err()
                .to_string()
        };
        assert!(message(&[picture], 4, HistogramOf::Channels).contains("1.5"));
        assert!(message(&[picture, grey], 4, HistogramOf::Channels).contains("some 1"));
        assert!(message(&[grey], 4, HistogramOf::Luma).contains("1 channels"));
        assert!(message(&[], 4, HistogramOf::Luma).contains("no pictures"));
        assert!(message(&[picture], 0, HistogramOf::Channels).contains("0 bins"));
        let broken = [f32::NAN];
        let broken = Picture::floats(1, 1, 1, &broken);
        assert!(message(&[broken], 4, HistogramOf::Channels).contains("NaN"));
    }

    #[test]
    fn the_first_of_the_largest_logits_counts() {
        let logits = Features::new(
            3,
            vec![0.0, 2.0, 2.0, -1.0, -2.0, -3.0, 0.0, 0.0, f32::INFINITY],
        );
        assert_eq!(label_histogram(&logits).unwrap(), [1.0, 1.0, 1.0]);
        assert!(label_histogram(&Features::new(1, vec![f32::NAN])).is_err());
        assert!(label_histogram(&Features::new(2, Vec::new())).is_err());
    }
}
