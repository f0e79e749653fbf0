//! Optimizers whose state is named tensors.
//!
//! burn's own optimizers key their state by random parameter ids and their record can panic on a
//! damaged file; here the state is keyed by the parameter's PyTorch name, so equal training gives
//! equal files, and a damaged file is an error.

use crate::failure::{Kind, failure};
use crate::weights::{HostTensor, Tensors};
use anyhow::Result;
use burn::tensor::{Device, Tensor, TensorData};
use convolution::{Adam, layers::adam};
use std::collections::BTreeMap;

/// What one step does with a gradient.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Rule {
    /// Adam (Kingma and Ba 2015), as in PyTorch: epsilon is added outside the square root.
    Adam {
        /// Decay of the first moment.
        beta1: f64,
        /// Decay of the second moment.
        beta2: f64,
        /// Added to the denominator; PyTorch's default is 1e-8.
        epsilon: f64,
    },
    /// Stochastic gradient descent with momentum, as in PyTorch: `v = m v + g`, `p -= lr v`.
    Sgd,
}

/// How the learning rate and the momentum follow the step: pure functions, so nothing is stored.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Schedule {
    /// The same learning rate at every step.
    Constant,
    /// The learning rate is divided by `factor` at each step, down to `minimum`, while the momentum
    /// rises linearly from `momentum` to `final_momentum` over `saturate` steps (pylearn2, as in
    /// Goodfellow et al. 2014).
    Pylearn2 {
        /// Divisor a step, slightly above 1.
        factor: f64,
        /// Smallest learning rate.
        minimum: f64,
        /// Momentum at step 0.
        momentum: f64,
        /// Momentum from step `saturate` on.
        final_momentum: f64,
        /// Number of steps over which the momentum rises.
        saturate: u64,
    },
    /// Constant until `start` (a share of the run in [0, 1]), then linear to 0 at its end.
    LinearDecay {
        /// Where in the run the decay starts.
        start: f64,
    },
    /// Constant until `start` (a share of the run in [0, 1]), then multiplied by `factor` once and for all.
    Drop {
        /// Where in the run the learning rate falls.
        start: f64,
        /// What is left of it, as a share.
        factor: f64,
    },
    /// Halved each time that another `every` (a share of the run in (0, 1]) of it is over.
    Halving {
        /// How long each learning rate is kept.
        every: f64,
    },
}

impl Schedule {
    /// The learning rate at `step` of `total` for a base rate.
    pub fn learning_rate(self, base: f64, step: u64, total: u64) -> f64 {
        match self {
            Self::Constant => base,
            Self::Pylearn2 {
                factor, minimum, ..
            } => (base / factor.powf(step as f64)).max(minimum),
            Self::LinearDecay { start } => {
                let progress = step as f64 / total.max(1) as f64;
                if progress <= start {
                    base
                } else {
                    base * ((1.0 - progress) / (1.0 - start)).max(0.0)
                }
            }
            // Counted in steps: a share of them need not be a number of binary digits.
            Self::Drop { start, factor } => {
                let first = (start * total as f64).round();
                if (step as f64) < first {
                    base
                } else {
                    base * factor
                }
            }
            Self::Halving { every } => {
                let length = (every * total as f64).round().max(1.0);
                base * 0.5f64.powf((step as f64 / length).floor())
            }
        }
    }

    /// The momentum of [`Rule::Sgd`] at `step`.
    pub fn momentum(self, step: u64) -> f64 {
        match self {
            Self::Pylearn2 {
                momentum,
                final_momentum,
                saturate,
                ..
            } => {
                let share = (step as f64 / saturate.max(1) as f64).min(1.0);
                momentum + (final_momentum - momentum) * share
            }
            _ => 0.0,
        }
    }
}

/// The moments of one parameter, flattened.
#[derive(Debug, Clone)]
struct Moments {
    first: Tensor<1>,
    second: Option<Tensor<1>>,
    shape: Vec<usize>,
}

/// An optimizer with the state of every parameter that it has moved.
#[derive(Debug, Clone)]
pub struct Optimizer {
    rule: Rule,
    updates: u64,
    moments: BTreeMap<String, Moments>,
}

impl Optimizer {
    /// An optimizer that has moved nothing yet.
    pub fn new(rule: Rule) -> Self {
        Self {
            rule,
            updates: 0,
            moments: BTreeMap::new(),
        }
    }

    /// How many steps it has taken.
    pub fn updates(&self) -> u64 {
        self.updates
    }

    /// Announces a new step; every parameter is then moved once with [`Optimizer::moved`].
    pub(crate) fn begin(&mut self) {
        self.updates += 1;
    }

    /// The value of parameter `name` after this step. Both tensors are without autodiff.
    pub(crate) fn moved<const D: usize>(
        &mut self,
        name: &str,
        parameter: Tensor<D>,
        gradient: Tensor<D>,
        learning_rate: f64,
        momentum: f64,
    ) -> Tensor<D> {
        let dims = parameter.dims();
        let count = dims.iter().product::<usize>();
        let gradient = gradient.reshape([count]);
        let old = self.moments.remove(name);
        match self.rule {
            Rule::Adam {
                beta1,
                beta2,
                epsilon,
            } => {
                let (first, second) = match old {
                    Some(Moments {
                        first,
                        second: Some(second),
                        ..
                    }) => (first, second),
                    _ => (gradient.zeros_like(), gradient.zeros_like()),
                };
                let step = Adam::new(learning_rate, beta1, beta2, epsilon, self.updates);
                let parameter = parameter.reshape([count]);
                let (parameter, first, second) = adam(parameter, gradient, first, second, step);
                self.moments.insert(
                    name.to_owned(),
                    Moments {
                        first,
                        second: Some(second),
                        shape: dims.to_vec(),
                    },
                );
                parameter.reshape(dims)
            }
            Rule::Sgd => {
                let velocity = match old {
                    Some(Moments { first, .. }) => first.mul_scalar(momentum) + gradient,
                    None => gradient,
                };
                let step = velocity.clone().mul_scalar(learning_rate);
                self.moments.insert(
                    name.to_owned(),
                    Moments {
                        first: velocity,
                        second: None,
                        shape: dims.to_vec(),
                    },
                );
                parameter - step.reshape(dims)
            }
        }
    }

    /// The state as named tensors: `<parameter>.exp_avg` and `.exp_avg_sq` (Adam) or
    /// `.momentum_buffer` (SGD), named as in PyTorch, in burn's layout.
    pub fn state(&self) -> Tensors {
        let mut tensors = Tensors::new();
        for (name, moments) in &self.moments {
            let mut add = |suffix: &str, tensor: &Tensor<1>| {
                let mut host = HostTensor::read(tensor.clone());
                host.shape = moments.shape.clone();
                tensors.insert(format!("{name}.{suffix}"), host);
            };
            match &moments.second {
                Some(second) => {
                    add("exp_avg", &moments.first);
                    add("exp_avg_sq", second);
                }
                None => add("momentum_buffer", &moments.first),
            }
        }
        tensors
    }

    /// Restores [`Optimizer::state`] after `updates` steps.
    ///
    /// # Errors
    /// A [`Kind::Checkpoint`] failure for a tensor that is not of this optimizer, lacks its twin,
    /// or is not finite.
    pub fn restore(&mut self, tensors: Tensors, updates: u64, device: &Device) -> Result<()> {
        let wrong = |name: &str, what: &str| {
            failure(
                Kind::Checkpoint,
                format!("optimizer tensor {name} {what}: the file is of another optimizer"),
            )
        };
        let load = |tensor: &HostTensor| {
            let data = TensorData::new(tensor.values.clone(), [tensor.values.len()]);
            Tensor::<1>::from_data(data, device)
        };
        let mut moments = BTreeMap::new();
        for (name, tensor) in &tensors {
            if tensor.values.iter().any(|value| !value.is_finite()) {
                return Err(wrong(name, "holds a value that is not finite"));
            }
            match self.rule {
                Rule::Adam { .. } => {
                    if let Some(parameter) = name.strip_suffix(".exp_avg") {
                        let twin = tensors
                            .get(&format!("{parameter}.exp_avg_sq"))
                            .filter(|twin| twin.shape == tensor.shape)
                            .ok_or_else(|| wrong(name, "lacks its .exp_avg_sq"))?;
                        let state = Moments {
                            first: load(tensor),
                            second: Some(load(twin)),
                            shape: tensor.shape.clone(),
                        };
                        moments.insert(parameter.to_owned(), state);
                    } else if !name.ends_with(".exp_avg_sq") {
                        return Err(wrong(name, "is not a moment of Adam"));
                    }
                }
                Rule::Sgd => {
                    let parameter = name
                        .strip_suffix(".momentum_buffer")
                        .ok_or_else(|| wrong(name, "is not a momentum"))?;
                    let state = Moments {
                        first: load(tensor),
                        second: None,
                        shape: tensor.shape.clone(),
                    };
                    moments.insert(parameter.to_owned(), state);
                }
            }
        }
        self.moments = moments;
        self.updates = updates;
        Ok(())
    }

    /// The names and shapes of the parameters that have state.
    pub(crate) fn shapes(&self) -> impl Iterator<Item = (&String, &Vec<usize>)> {
        self.moments.iter().map(|(name, m)| (name, &m.shape))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tensor(values: [f32; 2]) -> Tensor<1> {
        Tensor::from_data(values, &Device::flex())
    }

    fn read(tensor: Tensor<1>) -> Vec<f32> {
        tensor.into_data().iter::<f32>().collect()
    }

    #[test]
    fn adam_by_hand() {
        // The first step moves every parameter by lr in the direction of its gradient's sign.
        let rule = Rule::Adam {
            beta1: 0.5,
            beta2: 0.999,
            epsilon: 1e-8,
        };
        let mut optimizer = Optimizer::new(rule);
        optimizer.begin();
        let moved = optimizer.moved("p", tensor([1.0, 1.0]), tensor([0.5, -4.0]), 0.1, 0.0);
        let moved = read(moved);
        assert!((moved[0] - 0.9).abs() < 1e-6 && (moved[1] - 1.1).abs() < 1e-6);
        // Second step with gradient (0, 0): m = 0.5 m, v = 0.999 v; corrections 0.75 and 1 - 0.999^2.
        optimizer.begin();
        let again = read(optimizer.moved("p", tensor([0.9, 1.1]), tensor([0.0, 0.0]), 0.1, 0.0));
        let m = 0.125f64 / 0.75;
        let v = 0.999 * 0.001 * 0.25 / (1.0 - 0.999f64.powi(2));
        assert!((f64::from(again[0]) - (0.9 - 0.1 * m / v.sqrt())).abs() < 1e-6);
    }

    #[test]
    fn momentum_by_hand_and_state_round_trip() {
        let mut optimizer = Optimizer::new(Rule::Sgd);
        optimizer.begin();
        optimizer.moved("p", tensor([0.0, 0.0]), tensor([1.0, 2.0]), 0.1, 0.5);
        let mut copy = Optimizer::new(Rule::Sgd);
        copy.restore(optimizer.state(), optimizer.updates(), &Device::flex())
            .unwrap();
        for optimizer in [&mut optimizer, &mut copy] {
            optimizer.begin();
            let moved =
                read(optimizer.moved("p", tensor([0.0, 0.0]), tensor([1.0, 2.0]), 0.1, 0.5));
            assert!((moved[0] + 0.15).abs() < 1e-7 && (moved[1] + 0.3).abs() < 1e-7);
        }
        let adam = Rule::Adam {
            beta1: 0.5,
            beta2: 0.9,
            epsilon: 1e-8,
        };
        let error = Optimizer::new(adam)
            .restore(copy.state(), 1, &Device::flex())
            .unwrap_err();
        assert!(error.to_string().contains("p.momentum_buffer"), "{error}");
    }

    #[test]
    fn halving_keeps_each_rate_for_a_share_of_the_run() {
        let schedule = Schedule::Halving { every: 0.25 };
        let rates: Vec<f64> = [0, 24, 25, 49, 50, 99]
            .into_iter()
            .map(|step| schedule.learning_rate(0.8, step, 100))
            .collect();
        assert_eq!(rates, [0.8, 0.8, 0.4, 0.4, 0.2, 0.1]);
        // A twelfth, as 50 of 600 epochs.
        let schedule = Schedule::Halving { every: 1.0 / 12.0 };
        assert_eq!(schedule.learning_rate(0.8, 1199, 1200), 0.8 / 2048.0);
    }

    #[test]
    fn schedules_by_hand() {
        let pylearn2 = Schedule::Pylearn2 {
            factor: 1.000004,
            minimum: 1e-6,
            momentum: 0.5,
            final_momentum: 0.7,
            saturate: 100,
        };
        assert_eq!(pylearn2.learning_rate(0.1, 0, 0), 0.1);
        assert!((pylearn2.learning_rate(0.1, 250_000, 0) - 0.1 / std::f64::consts::E).abs() < 1e-6);
        assert_eq!(pylearn2.learning_rate(0.1, 100_000_000, 0), 1e-6);
        assert!((pylearn2.momentum(50) - 0.6).abs() < 1e-12);
        let decay = Schedule::LinearDecay { start: 0.5 };
        assert_eq!(decay.learning_rate(1.0, 50, 100), 1.0);
        assert!((decay.learning_rate(1.0, 75, 100) - 0.5).abs() < 1e-12);
        assert_eq!(decay.learning_rate(1.0, 100, 100), 0.0);
        // Ledig et al. 2017, section 3.2: 10^5 steps at 1e-4 and as many at 1e-5.
        let drop = |start| Schedule::Drop { start, factor: 0.1 };
        let rate = |start, step| drop(start).learning_rate(1e-4, step, 200_000);
        assert_eq!(rate(0.5, 0), 1e-4);
        assert_eq!(rate(0.5, 99_999), 1e-4);
        assert!((rate(0.5, 100_000) - 1e-5).abs() < 1e-18);
        assert!((rate(0.5, 199_999) - 1e-5).abs() < 1e-18);
        assert!((rate(0.0, 0) - 1e-5).abs() < 1e-18);
        assert_eq!(rate(1.0, 199_999), 1e-4);
        // 0.3 is no number of binary digits.
        assert_eq!(drop(0.3).learning_rate(1.0, 2, 10), 1.0);
        assert_eq!(drop(0.3).learning_rate(1.0, 3, 10), 0.1);
        assert_eq!(drop(0.5).momentum(0), 0.0);
    }
}
