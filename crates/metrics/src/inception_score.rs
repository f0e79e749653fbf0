//! Inception Score (Salimans et al. 2016, "Improved techniques for training GANs", section 4) and
//! Mode Score (Che et al. 2017, "Mode regularized GANs", section 4.1), from a classifier's logits.

use std::fmt;
use std::ops::Range;

use rayon::prelude::*;

use crate::failure::{Kind, failure};
use crate::features::Features;
use crate::rows::first_not_finite;

/// Rows whose sums are made together: fixed, so that the result does not depend on the threads.
const ROWS_AT_ONCE: usize = 256;

/// What Xu et al.'s code adds to every probability before its logarithm.
const XU_EPSILON: f64 = 1e-20;

/// How far the sum of a given label distribution may be from 1.
const SUM_TOLERANCE: f64 = 1e-6;

/// Which tool's way to divide the pictures and to report the spread.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Division {
    /// torch-fidelity 0.4.0: split `i` of `k` is rows `i * n / k` up to `(i + 1) * n / k`, and the
    /// deviation is that of the population (divided by `k`). This is also Salimans et al.'s own way.
    TorchFidelity,
    /// torchmetrics 1.9.0: chunks of `ceil(n / k)` rows, the last one shorter and perhaps fewer than
    /// `k` of them, and the sample deviation (divided by chunks - 1). In float64, where torchmetrics
    /// keeps the network's float32.
    Torchmetrics,
}

impl fmt::Display for Division {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::TorchFidelity => "torch-fidelity 0.4.0",
            Self::Torchmetrics => "torchmetrics 1.9.0",
        })
    }
}

/// An Inception Score with its spread over the splits.
#[derive(Debug, Clone, PartialEq)]
pub struct InceptionScore {
    /// Mean of the splits' scores, from 1 up to the number of classes.
    pub mean: f64,
    /// Standard deviation of the splits' scores. With a single split it is 0 for
    /// [`Division::TorchFidelity`] and NaN for [`Division::Torchmetrics`], as in these tools.
    pub deviation: f64,
    /// The score of each split.
    pub splits: Vec<f64>,
}

/// The Inception Score: `exp(mean KL(p(y|x) || p(y)))` in each split, `p` the softmax of the logits.
///
/// The pictures are taken in the order `order`, a permutation of all rows (torch-fidelity's default is
/// numpy's `RandomState(2020).permutation(n)`). A probability that rounds to zero adds nothing; only
/// there does the result differ from torch-fidelity's, which is then NaN.
///
/// # Shapes
/// - `logits`: `[pictures, classes]`, for the usual score the Inception network's `logits_unbiased`
///   with 1008 classes
///
/// # Errors
/// `Usage` for zero splits, `Data` for fewer pictures than splits or a logit that is not finite.
///
/// # Panics
/// If `order` has another length than `logits` has rows, or an index out of range.
pub fn inception_score(
    logits: &Features,
    order: &[usize],
    splits: usize,
    division: Division,
) -> anyhow::Result<InceptionScore> {
    let count = logits.rows();
    assert_eq!(order.len(), count, "an order holds every row once");
    if splits == 0 {
        return Err(failure(
            Kind::Usage,
            "the Inception Score needs at least 1 split",
        ));
    }
    if count < splits {
        return Err(failure(
            Kind::Data,
            format!(
                "the Inception Score of {count} pictures cannot have {splits} splits: \
                 give more pictures, or fewer splits"
            ),
        ));
    }
    check_finite(logits)?;
    let scores: Vec<f64> = ranges(count, splits, division)
        .into_iter()
        .map(|range| {
            let sums = LabelSums::of(logits, &order[range]);
            let marginal = sums.marginal();
            (sums.mean_negative_entropy() + entropy(&marginal)).exp()
        })
        .collect();
    let number = scores.len() as f64;
    let mean = scores.iter().sum::<f64>() / number;
    let squares: f64 = scores.iter().map(|score| (score - mean).powi(2)).sum();
    let deviation = match division {
        Division::TorchFidelity => (squares / number).sqrt(),
        Division::Torchmetrics => (squares / (number - 1.0)).sqrt(),
    };
    Ok(InceptionScore {
        mean,
        deviation,
        splits: scores,
    })
}

/// The rows of each split.
fn ranges(count: usize, splits: usize, division: Division) -> Vec<Range<usize>> {
    match division {
        Division::TorchFidelity => (0..splits)
            .map(|split| split * count / splits..(split + 1) * count / splits)
            .collect(),
        Division::Torchmetrics => {
            let size = count.div_ceil(splits);
            (0..count)
                .step_by(size)
                .map(|start| start..(start + size).min(count))
                .collect()
        }
    }
}

/// Which formula is called "Mode Score": the literature has three.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ModeScore {
    /// `exp(E KL(p(y|x) || p(y)) - KL(p(y) || p*))`: the code of Xu et al. 2018 ("An empirical study on
    /// evaluation metrics of GANs", `GAN-Metrics`), with their 1e-20 inside of each logarithm. (The
    /// function's first argument is the generated set; their own script passes the real one there.)
    #[default]
    Xu,
    /// `exp(E KL(p(y|x) || p*) - KL(p(y) || p*))`: the form that surveys print. It is the Inception
    /// Score in one split: `p*` cancels.
    Survey,
    /// `exp(E KL(p(y|x) || p(y)) - KL(p* || p(y)))`: as [`ModeScore::Xu`], the last divergence reversed.
    Reversed,
}

impl fmt::Display for ModeScore {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Xu => "Xu 2018: exp(E KL(p(y|x)||p(y)) - KL(p(y)||p*))",
            Self::Survey => {
                "survey form: exp(E KL(p(y|x)||p*) - KL(p(y)||p*)), equal to the Inception Score"
            }
            Self::Reversed => "reversed: exp(E KL(p(y|x)||p(y)) - KL(p*||p(y)))",
        })
    }
}

/// The Mode Score of generated pictures, over all of them at once.
///
/// `p(y|x)` is the softmax of a generated picture's logits, `p(y)` its mean, and `p*` the label
/// distribution of the real pictures: [`label_distribution`] of their logits, or known shares of the
/// classes. Unlike the Inception Score it falls where the classes are not as frequent as in the real
/// pictures.
///
/// # Shapes
/// - `fake_logits`: `[pictures, classes]`; `real_labels`: `[classes]`, probabilities
///
/// # Errors
/// `Data` for no pictures, a logit that is not finite, another number of classes, or numbers that are
/// not a distribution.
pub fn mode_score(
    fake_logits: &Features,
    real_labels: &[f64],
    variant: ModeScore,
) -> anyhow::Result<f64> {
    let classes = fake_logits.dims();
    if real_labels.len() != classes {
        return Err(failure(
            Kind::Data,
            format!(
                "the real label distribution has {} classes, the generated pictures' logits {classes}: \
                 use the same classifier for both",
                real_labels.len()
            ),
        ));
    }
    let total: f64 = real_labels.iter().sum();
    let valid = |share: &f64| share.is_finite() && *share >= 0.0;
    if !real_labels.iter().all(valid) || (total - 1.0).abs() > SUM_TOLERANCE {
        return Err(failure(
            Kind::Data,
            format!(
                "the real label distribution is none (its sum is {total}): \
                 give shares of at least 0 whose sum is 1"
            ),
        ));
    }
    let sums = checked_sums(fake_logits)?;
    let marginal = sums.marginal();
    let inner = sums.mean_negative_entropy();
    let to_marginal = inner + entropy(&marginal);
    let exponent = match variant {
        ModeScore::Xu => to_marginal - divergence(&marginal, real_labels),
        ModeScore::Survey => {
            // E of the cross term over the pictures is the cross term of their mean.
            let to_real = inner - cross(&marginal, real_labels);
            to_real - divergence(&marginal, real_labels)
        }
        ModeScore::Reversed => to_marginal - divergence(real_labels, &marginal),
    };
    Ok(exponent.exp())
}

/// The mean softmax of logits: the label distribution that a classifier sees in some pictures.
///
/// # Shapes
/// - `logits`: `[pictures, classes]`; result `[classes]`, probabilities
///
/// # Errors
/// `Data` for no pictures, or a logit that is not finite.
pub fn label_distribution(logits: &Features) -> anyhow::Result<Vec<f64>> {
    Ok(checked_sums(logits)?.marginal())
}

fn checked_sums(logits: &Features) -> anyhow::Result<LabelSums> {
    if logits.rows() == 0 {
        return Err(failure(Kind::Data, "no pictures: give at least one"));
    }
    check_finite(logits)?;
    let order: Vec<usize> = (0..logits.rows()).collect();
    Ok(LabelSums::of(logits, &order))
}

fn check_finite(logits: &Features) -> anyhow::Result<()> {
    match first_not_finite(logits) {
        None => Ok(()),
        Some((picture, class)) => Err(failure(
            Kind::Data,
            format!(
                "logit {class} of picture {picture} is {}: the network's weights or the picture are damaged",
                logits.row(picture)[class]
            ),
        )),
    }
}

/// `- sum p ln p`, where `0 ln 0` is 0.
fn entropy(distribution: &[f64]) -> f64 {
    let term = |&p: &f64| if p > 0.0 { p * p.ln() } else { 0.0 };
    -distribution.iter().map(term).sum::<f64>()
}

/// `sum p ln (q + epsilon)`.
fn cross(p: &[f64], q: &[f64]) -> f64 {
    p.iter()
        .zip(q)
        .map(|(p, q)| p * (q + XU_EPSILON).ln())
        .sum()
}

/// `KL(p || q)` with the epsilon of [`cross`].
fn divergence(p: &[f64], q: &[f64]) -> f64 {
    -entropy(p) - cross(p, q)
}

/// Sums over pictures from which both divergences follow: nothing of the size of the logits is kept.
struct LabelSums {
    rows: usize,
    /// Sum of `p(y|x) ln p(y|x)` over pictures and classes.
    negative_entropy: f64,
    /// Sum of `p(y|x)` over pictures.
    probabilities: Vec<f64>,
}

impl LabelSums {
    fn of(logits: &Features, order: &[usize]) -> Self {
        let parts: Vec<Self> = order
            .par_chunks(ROWS_AT_ONCE)
            .map(|rows| Self::of_some(logits, rows))
            .collect();
        let mut sums = Self::none(logits.dims());
        for part in parts {
            sums.rows += part.rows;
            sums.negative_entropy += part.negative_entropy;
            for (sum, value) in sums.probabilities.iter_mut().zip(&part.probabilities) {
                *sum += value;
            }
        }
        sums
    }

    fn none(classes: usize) -> Self {
        Self {
            rows: 0,
            negative_entropy: 0.0,
            probabilities: vec![0.0; classes],
        }
    }

    fn of_some(logits: &Features, rows: &[usize]) -> Self {
        let mut sums = Self::none(logits.dims());
        sums.rows = rows.len();
        let mut weights = vec![0.0; logits.dims()];
        for &row in rows {
            let logits = logits.row(row);
            let largest = f64::from(logits.iter().copied().fold(f32::NEG_INFINITY, f32::max));
            let mut total = 0.0;
            let mut weighted = 0.0;
            for (weight, logit) in weights.iter_mut().zip(logits) {
                let shifted = f64::from(*logit) - largest;
                *weight = shifted.exp();
                total += *weight;
                weighted += *weight * shifted;
            }
            sums.negative_entropy += weighted / total - total.ln();
            for (sum, weight) in sums.probabilities.iter_mut().zip(&weights) {
                *sum += weight / total;
            }
        }
        sums
    }

    /// `E sum_y p(y|x) ln p(y|x)`.
    fn mean_negative_entropy(&self) -> f64 {
        self.negative_entropy / self.rows as f64
    }

    /// `p(y)`.
    fn marginal(&self) -> Vec<f64> {
        let rows = self.rows as f64;
        self.probabilities.iter().map(|sum| sum / rows).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `h = (i + 1) * 2654435761 & m; h ^= h >> 15; h = h * 2246822519 & m; h ^= h >> 13` with
    /// `m = 2**32 - 1`, then `(h >> 8) / 2**24`.
    fn uniform(index: usize) -> f32 {
        let mut hash = (index as u32 + 1).wrapping_mul(2_654_435_761);
        hash ^= hash >> 15;
        hash = hash.wrapping_mul(2_246_822_519);
        hash ^= hash >> 13;
        (hash >> 8) as f32 / 16_777_216.0
    }

    fn logits(rows: usize, classes: usize, first: usize, scale: f32) -> Features {
        let value = |index| scale * (uniform(first + index) - 0.5);
        Features::new(classes, (0..rows * classes).map(value).collect())
    }

    fn natural(logits: &Features) -> Vec<usize> {
        (0..logits.rows()).collect()
    }

    fn close(a: f64, b: f64) {
        assert!((a - b).abs() <= 1e-12 * b.abs().max(1.0), "{a} {b}");
    }

    #[test]
    fn torch_fidelity_is_repeated() {
        // isc_features_to_metric(torch.tensor(logits), splits=10, shuffle=..., rng_seed=2020)
        let logits = logits(103, 12, 0, 8.0);
        let score =
            |order: &[usize]| inception_score(&logits, order, 10, Division::TorchFidelity).unwrap();
        let plain = score(&natural(&logits));
        close(plain.mean, 2.374930931311828);
        close(plain.deviation, 0.17716033999995315);
        // np.random.RandomState(2020).permutation(103)
        let order = [
            45, 12, 64, 23, 4, 31, 66, 37, 49, 25, 81, 60, 88, 72, 7, 95, 43, 39, 77, 61, 92, 17,
            68, 58, 98, 13, 70, 26, 41, 84, 59, 44, 15, 0, 47, 10, 35, 54, 5, 87, 50, 40, 14, 27,
            30, 79, 53, 16, 33, 2, 42, 57, 82, 18, 19, 89, 52, 76, 86, 80, 97, 34, 36, 46, 75, 102,
            63, 22, 78, 6, 94, 21, 85, 73, 90, 83, 1, 65, 38, 101, 20, 28, 93, 69, 99, 62, 55, 11,
            51, 9, 74, 24, 32, 48, 29, 56, 71, 3, 91, 100, 67, 8, 96,
        ];
        let shuffled = score(&order);
        close(shuffled.mean, 2.3563861426875063);
        close(shuffled.deviation, 0.2653094804173982);
    }

    #[test]
    fn torchmetrics_is_repeated() {
        // InceptionScore(feature=identity, splits=10).compute() on float64, torch.randperm replaced by arange
        let logits = logits(103, 12, 0, 8.0);
        let score =
            inception_score(&logits, &natural(&logits), 10, Division::Torchmetrics).unwrap();
        assert_eq!(score.splits.len(), 10);
        close(score.mean, 2.3006869206783542);
        close(score.deviation, 0.2736415132557654);
    }

    #[test]
    fn every_split_of_11_rows_in_10_is_torchs() {
        let sizes =
            |division| -> Vec<usize> { ranges(11, 10, division).iter().map(Range::len).collect() };
        assert_eq!(
            sizes(Division::TorchFidelity),
            [1, 1, 1, 1, 1, 1, 1, 1, 1, 2]
        );
        // [len(c) for c in torch.arange(11).chunk(10)]
        assert_eq!(sizes(Division::Torchmetrics), [2, 2, 2, 2, 2, 1]);
    }

    #[test]
    fn certain_and_balanced_labels_score_the_number_of_classes() {
        let mut values = vec![0.0; 4 * 4];
        for class in 0..4 {
            values[class * 4 + class] = 2000.0;
        }
        // At a distance of 2000 the other probabilities are exactly zero, where torch-fidelity gives NaN.
        let score = inception_score(
            &Features::new(4, values),
            &[2, 0, 3, 1],
            1,
            Division::TorchFidelity,
        )
        .unwrap();
        close(score.mean, 4.0);
        assert_eq!(score.deviation, 0.0);
        let same = Features::new(3, [1.0, 2.0, 3.0].repeat(8));
        let score = inception_score(&same, &natural(&same), 2, Division::TorchFidelity).unwrap();
        close(score.mean, 1.0);
    }

    #[test]
    fn the_order_decides_which_rows_share_a_split() {
        let logits = logits(20, 5, 0, 6.0);
        let forward = natural(&logits);
        let backward: Vec<usize> = forward.iter().rev().copied().collect();
        let score =
            |order: &[usize]| inception_score(&logits, order, 4, Division::TorchFidelity).unwrap();
        let mut reversed = score(&backward).splits;
        reversed.reverse();
        for (a, b) in score(&forward).splits.iter().zip(&reversed) {
            close(*a, *b);
        }
        let mixed: Vec<usize> = (0..20).map(|index| index * 7 % 20).collect();
        assert!((score(&mixed).mean - score(&forward).mean).abs() > 1e-3);
    }

    #[test]
    fn mode_scores_are_numpys() {
        // e = mean sum X (ln(X + 1e-20) - ln(q + 1e-20)), X the fakes' softmax, q its mean, r the reals' mean:
        // exp(e - KL(q || r)), exp(e - KL(r || q)), exp(mean KL(X || r) - KL(q || r))
        let fake = logits(64, 10, 0, 6.0);
        let real = label_distribution(&logits(48, 10, 3000, 9.0)).unwrap();
        for (variant, expected) in [
            (ModeScore::default(), 2.0248282087976532),
            (ModeScore::Reversed, 2.027169406907544),
            (ModeScore::Survey, 2.1385143831761875),
        ] {
            close(mode_score(&fake, &real, variant).unwrap(), expected);
        }
    }

    #[test]
    fn the_survey_form_is_the_inception_score() {
        let fake = logits(300, 10, 0, 6.0);
        let inception =
            inception_score(&fake, &natural(&fake), 1, Division::TorchFidelity).unwrap();
        for first in [5000, 9000] {
            let real = label_distribution(&logits(70, 10, first, 9.0)).unwrap();
            close(
                mode_score(&fake, &real, ModeScore::Survey).unwrap(),
                inception.mean,
            );
        }
    }

    #[test]
    fn the_real_labels_themselves_lose_nothing() {
        let fake = logits(60, 10, 0, 6.0);
        let own = label_distribution(&fake).unwrap();
        let inception =
            inception_score(&fake, &natural(&fake), 1, Division::TorchFidelity).unwrap();
        for variant in [ModeScore::Xu, ModeScore::Reversed] {
            close(mode_score(&fake, &own, variant).unwrap(), inception.mean);
        }
        // A class that the real pictures lack costs its share times ln 1e20, and the score stays a number.
        let mut one_sided = vec![0.0; 10];
        one_sided[0] = 1.0;
        let score = mode_score(&fake, &one_sided, ModeScore::Xu).unwrap();
        assert!(score > 0.0 && score < 1e-10, "{score}");
    }

    #[test]
    fn wrong_inputs_are_named() {
        let logits = logits(5, 3, 0, 1.0);
        let order = natural(&logits);
        let message = |result: anyhow::Result<InceptionScore>| result.unwrap_err().to_string();
        let division = Division::TorchFidelity;
        assert!(message(inception_score(&logits, &order, 10, division)).contains("5 pictures"));
        assert!(message(inception_score(&logits, &order, 0, division)).contains("1 split"));
        let broken = Features::new(2, vec![0.0, 1.0, 2.0, f32::NAN]);
        let text = message(inception_score(&broken, &[0, 1], 1, division));
        assert!(text.contains("logit 1 of picture 1"), "{text}");
        let empty = Features::new(3, Vec::new());
        assert!(label_distribution(&empty).is_err());
        assert!(mode_score(&logits, &[0.5, 0.5], ModeScore::Xu).is_err());
        assert!(mode_score(&logits, &[0.5, 0.6, -0.1], ModeScore::Xu).is_err());
        assert!(mode_score(&logits, &[0.5, 0.5, 0.5], ModeScore::Xu).is_err());
        assert!(ModeScore::Survey.to_string().contains("Inception Score"));
    }
}
