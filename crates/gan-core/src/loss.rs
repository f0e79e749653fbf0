//! Adversarial losses on logits (the discriminator's output before its sigmoid).
//!
//! Written with `log sigmoid`, which stays finite at any logit. Every loss is a mean over the
//! batch, of shape `[1]`.

use burn::tensor::activation::{log_sigmoid, log_softmax, relu};
use burn::tensor::{Int, Tensor, TensorData};

/// Which loss the generator minimises (Goodfellow et al. 2014, section 3).
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize, clap::ValueEnum,
)]
#[serde(rename_all = "kebab-case")]
pub enum GeneratorLoss {
    /// `-E log D(G(z))`: a strong gradient while the discriminator wins.
    NonSaturating,
    /// `E log(1 - D(G(z)))`: the minimax game itself; its gradient vanishes as D(G(z)) -> 0.
    Saturating,
}

impl GeneratorLoss {
    /// The loss of the generator for the logits of its samples.
    ///
    /// # Shapes
    /// - `fake`: any; result `[1]`
    pub fn of<const D: usize>(self, fake: Tensor<D>) -> Tensor<1> {
        match self {
            Self::NonSaturating => log_sigmoid(fake).mean().neg(),
            Self::Saturating => log_sigmoid(fake.neg()).mean(),
        }
    }
}

/// Which game two players play: what each of them minimises, on the discriminator's output before its sigmoid.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize, clap::ValueEnum,
)]
#[serde(rename_all = "kebab-case")]
pub enum Loss {
    /// Binary cross-entropy, the generator minimising `-E log D(G(z))` (Goodfellow et al. 2014, section 3).
    NonSaturating,
    /// Binary cross-entropy, the generator minimising `E log(1 - D(G(z)))`: the minimax game itself.
    Saturating,
    /// Least squares to 1 and 0, halved (Mao et al. 2017, arXiv 1611.04076, equation 9).
    Lsgan,
    /// `E max(0, 1 - D(x)) + E max(0, 1 + D(G(z)))` against `-E D(G(z))` (Lim and Ye 2017, arXiv 1705.02894).
    Hinge,
    /// `E D(G(z)) - E D(x)` against `-E D(G(z))`, for a discriminator that is kept smooth, as by --clip-weights
    /// (Arjovsky et al. 2017, arXiv 1701.07875).
    Wasserstein,
    /// `-E log sigmoid(D(x) - D(G(z)))` against the same with both changed: pairs of a real and a fake
    /// (Jolicoeur-Martineau 2018, arXiv 1807.00734, RSGAN).
    Relativistic,
    /// As relativistic, each against the mean of the others (the same paper, RaSGAN).
    RelativisticAverage,
}

/// What the discriminator is to say of reals and of fakes, where its loss has targets: 1 and 0, or nearer to each other
/// (label smoothing: Salimans et al. 2016, section 3.4).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Targets {
    /// Of reals, in (0, 1].
    pub real: f64,
    /// Of fakes, in [0, 1).
    pub fake: f64,
}

impl Targets {
    /// 1 and 0.
    pub const HARD: Self = Self {
        real: 1.0,
        fake: 0.0,
    };
}

fn squares<const D: usize>(logits: Tensor<D>, target: f64) -> Tensor<1> {
    let away = logits - target;
    (away.clone() * away).mean() / 2.0
}

/// `logits - mean of the others`.
fn against<const D: usize>(logits: Tensor<D>, others: Tensor<D>) -> Tensor<D> {
    logits - others.mean().reshape([1; D])
}

impl Loss {
    /// Whether the discriminator's loss has targets that can be smoothed.
    pub fn has_targets(self) -> bool {
        matches!(self, Self::NonSaturating | Self::Saturating | Self::Lsgan)
    }

    /// Whether the generator's loss looks at reals, too.
    pub fn compares(self) -> bool {
        matches!(self, Self::Relativistic | Self::RelativisticAverage)
    }

    /// The discriminator's loss.
    ///
    /// # Shapes
    /// - `real`, `fake`: any, the same; result `[1]`
    pub fn discriminator<const D: usize>(
        self,
        real: Tensor<D>,
        fake: Tensor<D>,
        targets: Targets,
    ) -> Tensor<1> {
        match self {
            Self::NonSaturating | Self::Saturating => {
                binary_cross_entropy(real, targets.real) + binary_cross_entropy(fake, targets.fake)
            }
            Self::Lsgan => squares(real, targets.real) + squares(fake, targets.fake),
            Self::Hinge => relu(real.neg() + 1.0).mean() + relu(fake + 1.0).mean(),
            Self::Wasserstein => fake.mean() - real.mean(),
            Self::Relativistic => log_sigmoid(real - fake).mean().neg(),
            Self::RelativisticAverage => {
                let reals = against(real.clone(), fake.clone());
                let fakes = against(fake, real);
                binary_cross_entropy(reals, 1.0) + binary_cross_entropy(fakes, 0.0)
            }
        }
    }

    /// The generator's loss. Reals are needed where it [compares](Self::compares).
    ///
    /// # Shapes
    /// - both: any, the same; result `[1]`
    pub fn generator<const D: usize>(self, real: Option<Tensor<D>>, fake: Tensor<D>) -> Tensor<1> {
        let real = || real.unwrap_or_else(|| fake.zeros_like());
        match self {
            Self::NonSaturating => GeneratorLoss::NonSaturating.of(fake),
            Self::Saturating => GeneratorLoss::Saturating.of(fake),
            Self::Lsgan => squares(fake, 1.0),
            Self::Hinge | Self::Wasserstein => fake.mean().neg(),
            Self::Relativistic => {
                let real = real();
                log_sigmoid(fake - real).mean().neg()
            }
            Self::RelativisticAverage => {
                let real = real();
                let reals = against(real.clone(), fake.clone());
                let fakes = against(fake, real);
                binary_cross_entropy(fakes, 1.0) + binary_cross_entropy(reals, 0.0)
            }
        }
    }
}

/// How far apart what the discriminator sees in reals and in fakes is on average: `|E f(x) - E f(G(z))|^2`
/// (Salimans et al. 2016, section 3.1).
///
/// # Shapes
/// - both: `[batch, features]`; result `[1]`
pub fn feature_matching(real: Tensor<2>, fake: Tensor<2>) -> Tensor<1> {
    let away = real.mean_dim(0) - fake.mean_dim(0);
    (away.clone() * away).sum()
}

/// Binary cross-entropy of logits against one target for all of them, in [0, 1].
///
/// # Shapes
/// - `logits`: any; result `[1]`
pub fn binary_cross_entropy<const D: usize>(logits: Tensor<D>, target: f64) -> Tensor<1> {
    let positive = |logits: Tensor<D>| log_sigmoid(logits).mean().mul_scalar(-target);
    let negative = |logits: Tensor<D>| log_sigmoid(logits.neg()).mean().mul_scalar(target - 1.0);
    if target >= 1.0 {
        positive(logits)
    } else if target <= 0.0 {
        negative(logits)
    } else {
        positive(logits.clone()) + negative(logits)
    }
}

/// The discriminator's loss: reals against `real_target` (1, or less with one-sided label
/// smoothing: Salimans et al. 2016, section 3.4) plus fakes against 0.
///
/// # Shapes
/// - `real`, `fake`: any; result `[1]`
pub fn discriminator_loss<const D: usize>(
    real: Tensor<D>,
    fake: Tensor<D>,
    real_target: f64,
) -> Tensor<1> {
    binary_cross_entropy(real, real_target) + binary_cross_entropy(fake, 0.0)
}

/// The mean cross-entropy of logits against one class each.
///
/// # Shapes
/// - `logits`: `[batch, classes]`; `classes`: `batch` places below the number of classes; result `[1]`
pub fn cross_entropy(logits: Tensor<2>, classes: &[usize]) -> Tensor<1> {
    let places: Vec<i64> = classes.iter().map(|class| *class as i64).collect();
    let places = TensorData::new(places, [classes.len(), 1]);
    let places = Tensor::<2, Int>::from_data(places, &logits.device());
    log_softmax(logits, 1).gather(1, places).mean().neg()
}

/// How much less each row is like its partner than like the other partners: the mean over both directions of the
/// cross-entropy of similarities (Sohn 2016; Chen et al. 2020, <https://arxiv.org/abs/2002.05709>: NT-Xent, here between
/// the two sides).
///
/// # Shapes
/// - both: `[batch, width]`, rows of length 1, partners at the same place; result `[1]`
/// - `temperature`: similarities are divided by it before the softmax, above 0
pub fn contrast(first: Tensor<2>, second: Tensor<2>, temperature: f64) -> Tensor<1> {
    let logits = first.matmul(second.transpose()) / temperature;
    let partners: Vec<usize> = (0..logits.dims()[0]).collect();
    let there = cross_entropy(logits.clone(), &partners);
    (there + cross_entropy(logits.transpose(), &partners)) / 2.0
}

/// Which adversarial loss both players of an image translation use.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize, clap::ValueEnum,
)]
#[serde(rename_all = "kebab-case")]
pub enum GanMode {
    /// Binary cross-entropy on logits, non-saturating (Goodfellow et al. 2014).
    Vanilla,
    /// Least squares to 1 and 0 (Mao et al. 2017, arXiv 1611.04076).
    Lsgan,
}

impl GanMode {
    /// The logit between real and made pictures.
    pub fn middle(self) -> f64 {
        match self {
            Self::Vanilla => 0.0,
            Self::Lsgan => 0.5,
        }
    }

    /// The loss of logits that should be those of a real picture.
    ///
    /// # Shapes
    /// - `logits`: any; result `[1]`
    pub fn real<const D: usize>(self, logits: Tensor<D>) -> Tensor<1> {
        self.against(logits, 1.0)
    }

    /// The loss of logits that should be those of a made one.
    ///
    /// # Shapes
    /// - `logits`: any; result `[1]`
    pub fn fake<const D: usize>(self, logits: Tensor<D>) -> Tensor<1> {
        self.against(logits, 0.0)
    }

    fn against<const D: usize>(self, logits: Tensor<D>, target: f64) -> Tensor<1> {
        match self {
            Self::Vanilla => binary_cross_entropy(logits, target),
            Self::Lsgan => {
                let away = logits - target;
                (away.clone() * away).mean()
            }
        }
    }
}

/// The mean absolute difference.
///
/// # Shapes
/// - both: any, the same; result `[1]`
pub fn l1<const D: usize>(first: Tensor<D>, second: Tensor<D>) -> Tensor<1> {
    (first - second).abs().mean()
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::{Device, activation::sigmoid};

    fn logits(device: &Device) -> Tensor<1> {
        Tensor::from_data([-1.0f32, 0.0, 3.0], device)
    }

    fn value(tensor: Tensor<1>) -> f64 {
        f64::from(tensor.into_scalar::<f32>())
    }

    #[test]
    fn values_by_hand() {
        // log(1 + e^-a) for a = -1, 0, 3: 1.3132617, 0.6931472, 0.0485874.
        let device = Device::flex();
        let one = (1.3132617 + std::f64::consts::LN_2 + 0.0485874) / 3.0;
        let zero = one + (-1.0 + 0.0 + 3.0) / 3.0;
        let close = |a: f64, b: f64| assert!((a - b).abs() < 1e-6, "{a} {b}");
        close(value(binary_cross_entropy(logits(&device), 1.0)), one);
        close(value(binary_cross_entropy(logits(&device), 0.0)), zero);
        let smooth = 0.9 * one + 0.1 * zero;
        close(value(binary_cross_entropy(logits(&device), 0.9)), smooth);
        close(value(GeneratorLoss::NonSaturating.of(logits(&device))), one);
        close(value(GeneratorLoss::Saturating.of(logits(&device))), -zero);
        let both = discriminator_loss(logits(&device), logits(&device), 0.9);
        close(value(both), smooth + zero);
    }

    #[test]
    fn cross_entropy_by_hand() {
        let device = Device::flex();
        let logits = Tensor::<2>::from_data([[0.0f32, 3f32.ln()], [0.0, 0.0]], &device);
        // -ln 1/4 and -ln 1/2.
        let expected = (4f64.ln() + 2f64.ln()) / 2.0;
        assert!((value(cross_entropy(logits, &[0, 1])) - expected).abs() < 1e-6);
    }

    #[test]
    fn contrast_by_hand() {
        let device = Device::flex();
        let first = Tensor::<2>::from_data([[1.0f32, 0.0], [0.0, 1.0]], &device);
        let second = Tensor::<2>::from_data([[1.0f32, 0.0], [0.6, 0.8]], &device);
        // Similarities 1, 0.6; 0, 0.8, by tenths: rows, then columns.
        let term = |own: f64, other: f64| ((10.0 * (other - own)).exp() + 1.0).ln();
        let rows = (term(1.0, 0.6) + term(0.8, 0.0)) / 2.0;
        let columns = (term(1.0, 0.0) + term(0.8, 0.6)) / 2.0;
        let found = value(contrast(first, second, 0.1));
        assert!((found - (rows + columns) / 2.0).abs() < 1e-5, "{found}");
    }

    #[test]
    fn gradients_by_hand_even_at_zero() {
        // d/da of -log sigmoid(a) is -(1 - sigmoid(a)); of log(1 - sigmoid(a)) it is -sigmoid(a).
        let device = Device::flex();
        let probabilities: Vec<f32> = sigmoid(logits(&device)).into_data().iter::<f32>().collect();
        for loss in [GeneratorLoss::NonSaturating, GeneratorLoss::Saturating] {
            let input = Tensor::from_inner(logits(&device)).require_grad();
            let gradients = loss.of(input.clone()).backward();
            let gradient: Vec<f32> = input
                .grad(&gradients)
                .unwrap()
                .into_data()
                .iter::<f32>()
                .collect();
            for (gradient, p) in gradient.iter().zip(&probabilities) {
                let expected = match loss {
                    GeneratorLoss::NonSaturating => -(1.0 - p) / 3.0,
                    GeneratorLoss::Saturating => -p / 3.0,
                };
                assert!(
                    (gradient - expected).abs() < 1e-6,
                    "{loss:?} {gradient} {expected}"
                );
            }
        }
    }

    #[test]
    fn huge_logits_stay_finite() {
        let device = Device::flex();
        let huge = Tensor::<1>::from_data([-1e4f32, 1e4], &device);
        for target in [0.0, 0.9, 1.0] {
            assert!(value(binary_cross_entropy(huge.clone(), target)).is_finite());
        }
    }
}
