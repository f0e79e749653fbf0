//! The stabilisation kit: what steadies two players, each thing a switch, whatever their networks.
//!
//! A [`View`] changes what the discriminator is shown; [`Techniques::discriminator_loss`] and
//! [`Techniques::generator_loss`] choose the game; [`Techniques::penalty`] keeps the discriminator smooth. What belongs
//! into a network ([`layers`](crate::layers)), to a player's steps ([`learner`](crate::learner)) or to its past
//! ([`history`](crate::history)) lies there.

use crate::augment::Augment;
use crate::config::illegal;
use crate::loss::{Loss, Targets, feature_matching};
use crate::random::Stream;
use crate::stage::{At, Scalars};
use anyhow::Result;
use burn::tensor::{Bool, Tensor, TensorData};

/// Around which samples a discriminator is kept smooth.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize, clap::ValueEnum,
)]
#[serde(rename_all = "kebab-case")]
pub enum Around {
    /// Reals: R1 (Mescheder et al. 2018, arXiv 1801.04406, equation 9).
    Real,
    /// Fakes: R2 (equation 10).
    Fake,
    /// Both.
    Both,
}

crate::configuration! {
    /// What steadies two players.
    Techniques, TechniqueFlags;
    /// Which game the players play.
    loss: Loss = Loss::NonSaturating;
    /// Let the generator match the mean features of reals, and not fool the discriminator.
    #[arg(num_args = 0..=1, default_missing_value = "true", require_equals = true)]
    feature_matching: bool = false;
    /// Target of the discriminator for reals; below 1 it is one-sided label smoothing.
    label_smoothing: f64 = 1.0;
    /// Target of the discriminator for fakes; above 0 smoothing has two sides, which draws the generator to where fakes
    /// are already.
    fake_label: f64 = 0.0;
    /// Weight of the squared slope of the discriminator, halved, as finite differences in random directions see it; 0
    /// is none.
    gradient_penalty: f64 = 0.0;
    /// Around which samples: reals (R1), fakes (R2) or both.
    #[arg(value_enum)]
    penalty_around: Around = Around::Real;
    /// Largest weight of the discriminator after each of its steps; 0 is any.
    clip_weights: f64 = 0.0;
    /// Longest gradient of either player's step, over all of its parameters; 0 is any.
    clip_gradients: f64 = 0.0;
    /// Weight of the squared distance of each player's parameters from their mean so far; 0 is none.
    historical_averaging: f64 = 0.0;
    /// Divide the discriminator's weights by their largest singular values.
    #[arg(num_args = 0..=1, default_missing_value = "true", require_equals = true)]
    spectral_norm: bool = false;
    /// Kernels of minibatch discrimination in front of the discriminator's last layer; 0 is none.
    minibatch_kernels: usize = 0;
    /// Numbers of each kernel.
    minibatch_dims: usize = 5;
    /// Standard deviation of the noise added to the discriminator's inputs at the start, falling linearly to 0 over the
    /// run (instance noise, Sonderby et al. 2016); 0 is none.
    instance_noise: f64 = 0.0;
    /// Differentiable augmentation in front of the discriminator; with a few thousand pictures it decides whether the
    /// discriminator learns them by heart.
    augment: Augment = Augment::None;
}

/// What a discriminator says of a batch, and what it has seen.
#[derive(Debug, Clone)]
pub struct Seen {
    /// Before the sigmoid, `[batch, 1]`.
    pub logits: Tensor<2>,
    /// What its last layer looks at, `[batch, features]`.
    pub features: Tensor<2>,
}

/// How the discriminator is shown samples of one side in one step.
#[derive(Debug)]
pub struct View {
    augment: Augment,
    strength: f64,
    changes: Stream,
    noise: Stream,
}

impl View {
    /// Samples as they are shown: augmented, then with noise. Gradients pass through.
    ///
    /// # Shapes
    /// - `samples` and result: `[batch, ..]`, `size` (channels, height, width) together
    pub fn of<const D: usize>(&mut self, samples: Tensor<D>, size: [usize; 3]) -> Tensor<D> {
        let dims = samples.dims();
        let mut samples = samples;
        if self.augment != Augment::None {
            let [channels, height, width] = size;
            let pictures = samples.reshape([dims[0], channels, height, width]);
            samples = self
                .augment
                .apply(pictures, &mut self.changes)
                .reshape(dims);
        }
        if self.strength > 0.0 {
            let noise = noise_like(&samples, &mut self.noise);
            samples = samples + noise * self.strength;
        }
        samples
    }
}

/// Values from N(0, 1) in the shape of a tensor, on its device.
fn noise_like<const D: usize>(like: &Tensor<D>, stream: &mut Stream) -> Tensor<D> {
    let dims = like.dims();
    let values = stream.normal(dims.iter().product());
    let device = like.device().without_autodiff();
    let noise = Tensor::<D>::from_data(TensorData::new(values, dims), &device);
    if like.is_autodiff() {
        Tensor::from_inner(noise)
    } else {
        noise
    }
}

/// Length of the steps by which slopes are measured, in standard deviations of the direction: short beside the values of
/// samples, long beside the rounding of logits.
const STEP: f64 = 0.01;

impl Techniques {
    /// Checks what types cannot.
    ///
    /// # Errors
    /// [`crate::failure::Kind::Usage`] for what is not legal, and for what would do nothing.
    pub fn validate(&self) -> Result<()> {
        if !(self.label_smoothing > 0.0 && self.label_smoothing <= 1.0) {
            let rule = "it must be in (0, 1]";
            return Err(illegal("label_smoothing", self.label_smoothing, rule));
        }
        if !(0.0..1.0).contains(&self.fake_label) || self.fake_label >= self.label_smoothing {
            let rule = "it must be at least 0 and below the target of reals";
            return Err(illegal("fake_label", self.fake_label, rule));
        }
        let is_smooth = self.label_smoothing < 1.0 || self.fake_label > 0.0;
        if is_smooth && !self.loss.has_targets() {
            let key = if self.label_smoothing < 1.0 {
                ("label_smoothing", self.label_smoothing)
            } else {
                ("fake_label", self.fake_label)
            };
            let rule =
                "this loss has no targets to smooth: non-saturating, saturating and lsgan have";
            return Err(illegal(key.0, key.1, rule));
        }
        for (key, value) in [
            ("gradient_penalty", self.gradient_penalty),
            ("clip_weights", self.clip_weights),
            ("clip_gradients", self.clip_gradients),
            ("historical_averaging", self.historical_averaging),
            ("instance_noise", self.instance_noise),
        ] {
            if !(value >= 0.0 && value.is_finite()) {
                return Err(illegal(key, value, "it must be at least 0 and finite"));
            }
        }
        if self.minibatch_kernels > 1024 {
            let rule = "it must be at most 1024";
            return Err(illegal("minibatch_kernels", self.minibatch_kernels, rule));
        }
        if !(1..=1024).contains(&self.minibatch_dims) {
            let rule = "it must be from 1 to 1024";
            return Err(illegal("minibatch_dims", self.minibatch_dims, rule));
        }
        Ok(())
    }

    /// The logit above which the discriminator calls a sample real, where its loss has one.
    pub fn middle(&self) -> Option<f64> {
        match self.loss {
            Loss::NonSaturating | Loss::Saturating | Loss::Hinge => Some(0.0),
            Loss::Lsgan => Some((self.label_smoothing + self.fake_label) / 2.0),
            Loss::Wasserstein | Loss::Relativistic | Loss::RelativisticAverage => None,
        }
    }

    /// How samples of one side (`real`, `fake`, or `generator` for fakes in its own step) are shown in this step.
    pub fn view(&self, at: &At, side: &str) -> View {
        View {
            augment: self.augment,
            strength: self.instance_noise * (1.0 - at.step as f64 / at.total.max(1) as f64),
            changes: at.rng(&format!("augment/{side}")),
            noise: at.rng(&format!("noise/{side}")),
        }
    }

    /// Whether the generator's loss looks at reals, too.
    pub fn needs_reals(&self) -> bool {
        self.feature_matching || self.loss.compares()
    }

    /// The discriminator's loss, `[1]`.
    pub fn discriminator_loss(&self, real: &Seen, fake: &Seen) -> Tensor<1> {
        let targets = Targets {
            real: self.label_smoothing,
            fake: self.fake_label,
        };
        self.loss
            .discriminator(real.logits.clone(), fake.logits.clone(), targets)
    }

    /// The generator's loss, `[1]`. Reals are given where it [needs them](Self::needs_reals).
    pub fn generator_loss(&self, real: Option<Seen>, fake: Seen) -> Tensor<1> {
        match real {
            Some(real) if self.feature_matching => feature_matching(real.features, fake.features),
            real => self
                .loss
                .generator(real.map(|real| real.logits), fake.logits),
        }
    }

    /// Half of [`Techniques::gradient_penalty`] times the mean squared slope of the discriminator, `[1]`: R1 or R2, but
    /// approximated. burn differentiates once only, so the slope is not differentiated: along a direction u from N(0, 1)
    /// the logit changes by `(D(x + h u) - D(x)) / h`, whose mean square over directions is the squared length of the
    /// gradient.
    ///
    /// # Shapes
    /// - `look`: from samples to logits, `[batch, 1]`, the same function both times (no dropout)
    pub fn penalty<const D: usize>(
        &self,
        look: &dyn Fn(Tensor<D>) -> Tensor<2>,
        real: &Tensor<D>,
        fake: &Tensor<D>,
        at: &At,
    ) -> Option<Tensor<1>> {
        if self.gradient_penalty <= 0.0 {
            return None;
        }
        let mut stream = at.rng("penalty");
        let sides: &[&Tensor<D>] = match self.penalty_around {
            Around::Real => &[real],
            Around::Fake => &[fake],
            Around::Both => &[real, fake],
        };
        let slopes = sides.iter().map(|samples| {
            let samples = (*samples).clone().detach();
            let moved = samples.clone() + noise_like(&samples, &mut stream) * STEP;
            let slope = (look(moved) - look(samples)) / STEP;
            (slope.clone() * slope).mean()
        });
        let sum = slopes.reduce(|sum, slope| sum + slope)?;
        Some(sum * (self.gradient_penalty / 2.0))
    }
}

/// Adds what tells whether a game is healthy: the share of reals and fakes that the discriminator gets right, how much
/// fakes differ from each other beside how much reals do, and the share of values at the end of the range [-1, 1]. Only
/// on steps that are logged.
///
/// # Shapes
/// - `logits`: of reals and of fakes, any; `samples`: reals and fakes, `[batch, ..]`
/// - `middle`: the logit between both; none where only their difference counts
pub fn signals<const L: usize, const D: usize>(
    scalars: &mut Scalars,
    at: &At,
    logits: [&Tensor<L>; 2],
    middle: Option<f64>,
    samples: [&Tensor<D>; 2],
) {
    if !at.logged {
        return;
    }
    if let Some(middle) = middle {
        let share = |is_so: Tensor<L, Bool>| is_so.float().mean();
        let [real, fake] = logits.map(|logits| logits.clone().inner_or_self());
        scalars.add("accuracy_real", share(real.greater_elem(middle)));
        scalars.add("accuracy_fake", share(fake.lower_elem(middle)));
    }
    // Of a few samples nobody can say whether they are all alike.
    if samples[0].dims()[0] < 4 {
        return;
    }
    let [real, fake] = samples.map(|samples| {
        let samples = samples.clone().inner_or_self();
        let count = samples.dims()[0];
        let width = samples.dims().iter().skip(1).product::<usize>();
        samples.reshape([count, width])
    });
    let spread = |rows: &Tensor<2>| {
        let away = rows.clone() - rows.clone().mean_dim(0);
        (away.clone() * away).sum().sqrt()
    };
    let reals = spread(&real).clamp_min(1e-12);
    scalars.add("diversity", spread(&fake) / reals);
    let at_the_end = |rows: Tensor<2>| rows.abs().greater_elem(0.99).float().mean();
    scalars.add("saturation_real", at_the_end(real));
    scalars.add("saturation_fake", at_the_end(fake));
}

/// A tensor without its graph, whether it has one or not.
trait Plain {
    fn inner_or_self(self) -> Self;
}

impl<const D: usize> Plain for Tensor<D> {
    fn inner_or_self(self) -> Self {
        if self.is_autodiff() {
            self.inner()
        } else {
            self
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::Device;

    fn value(tensor: Tensor<1>) -> f64 {
        f64::from(tensor.into_scalar::<f32>())
    }

    #[test]
    fn the_penalty_is_half_the_squared_slope() {
        // D(x) = 3 x - 4 y: the squared length of its gradient is 25 everywhere.
        let device = Device::flex();
        let look = |samples: Tensor<2>| {
            let weight = Tensor::<2>::from_data([[3.0f32], [-4.0]], &samples.device());
            samples.matmul(weight)
        };
        let samples = Tensor::<2>::zeros([20_000, 2], &device);
        let mut techniques = Techniques {
            gradient_penalty: 0.2,
            ..Techniques::default()
        };
        let at = At::new(1, 0, 1);
        let found = |techniques: &Techniques| {
            let found = techniques.penalty(&look, &samples, &samples, &at);
            found.map(value)
        };
        let one = found(&techniques).unwrap();
        assert!((one - 2.5).abs() < 0.1, "{one}");
        techniques.penalty_around = Around::Both;
        let both = found(&techniques).unwrap();
        assert!((both - 5.0).abs() < 0.2, "{both}");
        techniques.gradient_penalty = 0.0;
        assert_eq!(found(&techniques), None);
    }

    #[test]
    fn signals_by_hand() {
        let device = Device::flex();
        let column = |values: [f32; 4]| {
            Tensor::<2>::from_data(TensorData::new(values.to_vec(), [4, 1]), &device)
        };
        let mut at = At::new(0, 0, 1);
        at.logged = true;
        let mut scalars = Scalars::default();
        let logits = [column([1.0, -1.0, 2.0, 3.0]), column([-1.0, 1.0, 2.0, 3.0])];
        let samples = [column([-1.0, 1.0, -1.0, 1.0]), column([0.0, 0.5, 0.0, 0.5])];
        signals(
            &mut scalars,
            &at,
            [&logits[0], &logits[1]],
            Some(0.0),
            [&samples[0], &samples[1]],
        );
        let expected = [
            ("accuracy_real", 0.75),
            ("accuracy_fake", 0.25),
            ("diversity", 0.25),
            ("saturation_real", 1.0),
            ("saturation_fake", 0.0),
        ];
        for ((name, value), (expected, number)) in scalars.read().into_iter().zip(expected) {
            assert_eq!(name, expected);
            assert!((value - number).abs() < 1e-6, "{name} {value}");
        }
    }

    #[test]
    fn noise_falls_to_nothing_and_views_are_drawn_apart() {
        let device = Device::flex();
        let techniques = Techniques {
            instance_noise: 0.5,
            ..Techniques::default()
        };
        let shown = |step: u64, side: &str| {
            let at = At::new(3, step, 100);
            let samples = Tensor::<2>::zeros([500, 4], &device);
            let shown = techniques.view(&at, side).of(samples, [1, 2, 2]);
            shown.into_data().iter::<f32>().collect::<Vec<f32>>()
        };
        let spread = |values: &[f32]| {
            (values.iter().map(|v| v * v).sum::<f32>() / values.len() as f32).sqrt()
        };
        assert!((spread(&shown(0, "real")) - 0.5).abs() < 0.02);
        assert!((spread(&shown(50, "real")) - 0.25).abs() < 0.01);
        assert!(shown(100, "real").iter().all(|value| *value == 0.0));
        assert_ne!(shown(0, "real"), shown(0, "fake"));
    }

    #[test]
    fn what_would_do_nothing_is_refused() {
        type Change = fn(&mut Techniques);
        let changes: [(&str, Change); 7] = [
            ("label_smoothing", |keys| keys.label_smoothing = 0.0),
            ("label_smoothing", |keys| {
                (keys.loss, keys.label_smoothing) = (Loss::Hinge, 0.9);
            }),
            ("fake_label", |keys| keys.fake_label = 1.0),
            ("fake_label", |keys| {
                (keys.loss, keys.fake_label) = (Loss::Wasserstein, 0.1);
            }),
            ("gradient_penalty", |keys| keys.gradient_penalty = -1.0),
            ("instance_noise", |keys| keys.instance_noise = f64::NAN),
            ("minibatch_dims", |keys| keys.minibatch_dims = 0),
        ];
        Techniques::default().validate().unwrap();
        for (key, change) in changes {
            let mut techniques = Techniques::default();
            change(&mut techniques);
            let error = techniques.validate().unwrap_err().to_string();
            assert!(error.starts_with(key), "{key}: {error}");
        }
    }
}
