//! A network with what moves it, and a running average of a network.

use crate::checkpoint::{Checkpoint, PartFile};
use crate::failure::{Kind, failure};
use crate::located::{self, Located, is_single_file};
use crate::optimizer::{Optimizer, Rule, Schedule};
use crate::stage::{At, Scalars};
use crate::weights::{self, HostTensor, Network, Tensors, WeightFile};
use anyhow::{Context, Result};
use burn::module::{Module, ModuleMapper, ModuleVisitor, Param};
use burn::tensor::{Gradients, Tensor};
use std::collections::BTreeMap;
use std::path::Path;

/// A network with the optimizer and the schedule that move it. No other player's step can.
#[derive(Debug, Clone)]
pub struct Learner<M: Network> {
    // `None` only inside `apply` and `map`, so that parameters are moved and not copied.
    network: Option<M>,
    // The file name of every float tensor, in the order in which burn visits them.
    names: Vec<String>,
    optimizer: Optimizer,
    schedule: Schedule,
    learning_rate: f64,
    // Longest gradient of a step; 0 is any length.
    most: f64,
}

/// What a step of a [`Learner`] did.
#[derive(Debug, Clone)]
pub struct Moved {
    /// The learning rate that was used.
    pub learning_rate: f64,
    /// The L2 norm of the whole gradient, `[1]`; read only on steps that are logged.
    pub gradient_norm: Option<Tensor<1>>,
}

impl Moved {
    /// Adds to what a step reports: the learning rate under the first name, the norm under the second on steps that are
    /// logged.
    pub fn tell(self, scalars: &mut Scalars, [rate, norm]: [&'static str; 2]) {
        scalars.put(rate, self.learning_rate);
        if let Some(gradient_norm) = self.gradient_norm {
            scalars.add(norm, gradient_norm);
        }
    }
}

/// Gives two players the weights that `--init-from` names: both from a run or a step folder, the generator alone (or its
/// running average) from a single file.
///
/// # Errors
/// When the file is missing or of another network.
pub fn begin_from<G: Network, D: Network>(
    place: &Path,
    out: &Path,
    [word, stage]: [&str; 2],
    generator: &mut Learner<G>,
    discriminator: &mut Learner<D>,
) -> Result<()> {
    let find = |networks: &[&str]| located::find(Some(place), out, word, &[stage], networks);
    let named = |found: &Located| format!("{} does not fit", found.path.display());
    let found = find(&["generator", "generator_ema"])?;
    generator
        .load_weights(&found.file.tensors)
        .with_context(|| named(&found))?;
    if !is_single_file(place) {
        let found = find(&["discriminator"])?;
        discriminator
            .load_weights(&found.file.tensors)
            .with_context(|| named(&found))?;
    }
    Ok(())
}

/// Gradients of the parts of a batch, added up.
#[derive(Default)]
pub enum Gathered {
    /// None yet.
    #[default]
    Nothing,
    /// Those of one part.
    One(Gradients),
    /// The sums over several parts, flat, by the number of the parameter.
    Sums(BTreeMap<usize, Tensor<1>>),
}

impl<M: Network> Learner<M> {
    /// A learner for `network`, which is on an autodiff device.
    pub fn new(network: M, rule: Rule, learning_rate: f64, schedule: Schedule) -> Self {
        Self {
            names: weights::names(&network),
            network: Some(network),
            optimizer: Optimizer::new(rule),
            schedule,
            learning_rate,
            most: 0.0,
        }
    }

    /// Shortens gradients whose length over all parameters (L2) is more than `most`; 0 leaves them as they are. As
    /// PyTorch's `clip_grad_norm_`.
    #[must_use]
    pub fn clipped(mut self, most: f64) -> Self {
        self.most = most;
        self
    }

    /// The network, on its autodiff device.
    pub fn network(&self) -> &M {
        match &self.network {
            Some(network) => network,
            None => unreachable!("a learner always holds its network between calls"),
        }
    }

    /// The same network without gradients of its own, for the other player's step: gradients flow
    /// through it to its input, none are computed for its weights.
    pub fn still(&self) -> M {
        self.network().clone().no_grad()
    }

    /// A copy without autodiff, for sampling.
    pub fn snapshot(&self) -> M {
        self.network().valid()
    }

    /// How many steps were taken.
    pub fn updates(&self) -> u64 {
        self.optimizer.updates()
    }

    /// Backpropagates `loss` (`[1]`) and takes one step on this network alone.
    pub fn descend(&mut self, loss: Tensor<1>, at: &At) -> Moved {
        self.apply(Gathered::One(loss.backward()), at)
    }

    /// Backpropagates `loss` (`[1]`) and adds this network's gradients to those of earlier parts of a batch.
    pub fn gather(&self, loss: Tensor<1>, gathered: Gathered) -> Gathered {
        let mut gradients = loss.backward();
        match gathered {
            Gathered::Nothing => Gathered::One(gradients),
            gathered => self.take(&mut gradients, gathered),
        }
    }

    /// Moves this network's gradients out of those of a loss that several learners share, and adds them to
    /// those of earlier parts of a batch: CycleGAN's two generators learn from one sum.
    pub fn take(&self, gradients: &mut Gradients, gathered: Gathered) -> Gathered {
        let mut sums = match gathered {
            Gathered::Nothing => BTreeMap::new(),
            Gathered::One(mut first) => {
                let mut sums = BTreeMap::new();
                self.add(&mut first, &mut sums);
                sums
            }
            Gathered::Sums(sums) => sums,
        };
        self.add(gradients, &mut sums);
        Gathered::Sums(sums)
    }

    fn add(&self, gradients: &mut Gradients, sums: &mut BTreeMap<usize, Tensor<1>>) {
        struct Adder<'a> {
            number: usize,
            gradients: &'a mut Gradients,
            sums: &'a mut BTreeMap<usize, Tensor<1>>,
        }
        impl ModuleVisitor for Adder<'_> {
            fn visit_float<const D: usize>(&mut self, parameter: &Param<Tensor<D>>) {
                let gradient = parameter.val().grad_remove(self.gradients);
                if let Some(gradient) = gradient {
                    let length = gradient.dims().iter().product::<usize>();
                    let gradient = gradient.reshape([length]);
                    let sum = match self.sums.remove(&self.number) {
                        Some(sum) => sum + gradient,
                        None => gradient,
                    };
                    self.sums.insert(self.number, sum);
                }
                self.number += 1;
            }
        }
        self.network().visit(&mut Adder {
            number: 0,
            gradients,
            sums,
        });
    }

    /// The step alone, for gradients that were gathered. Parameters without a gradient stay where they are.
    pub fn apply(&mut self, gradients: Gathered, at: &At) -> Moved {
        struct Mover<'a> {
            names: std::slice::Iter<'a, String>,
            number: usize,
            gradients: Gathered,
            optimizer: &'a mut Optimizer,
            learning_rate: f64,
            momentum: f64,
            wants_norm: bool,
            squares: Vec<Tensor<1>>,
            // What every gradient is multiplied by.
            share: Option<Tensor<1>>,
        }
        impl ModuleMapper for Mover<'_> {
            fn map_float<const D: usize>(
                &mut self,
                parameter: Param<Tensor<D>>,
            ) -> Param<Tensor<D>> {
                let (id, tensor, mapper) = parameter.consume();
                let name = self.names.next().map_or("", String::as_str);
                let gradient = match &mut self.gradients {
                    Gathered::Nothing => None,
                    Gathered::One(gradients) => tensor.grad_remove(gradients),
                    Gathered::Sums(sums) => sums
                        .remove(&self.number)
                        .map(|sum| sum.reshape(tensor.dims())),
                };
                self.number += 1;
                let Some(gradient) = gradient else {
                    return Param::from_mapped_value(id, tensor, mapper);
                };
                if self.wants_norm {
                    let squares = gradient.clone() * gradient.clone();
                    self.squares.push(squares.sum());
                }
                let gradient = match &self.share {
                    Some(share) => gradient * share.clone().reshape([1; D]),
                    None => gradient,
                };
                let moved = self.optimizer.moved(
                    name,
                    tensor.inner(),
                    gradient,
                    self.learning_rate,
                    self.momentum,
                );
                Param::from_mapped_value(id, Tensor::from_inner(moved).require_grad(), mapper)
            }
        }
        let learning_rate = self
            .schedule
            .learning_rate(self.learning_rate, at.step, at.total);
        let share = (self.most > 0.0)
            .then(|| self.length(&gradients))
            .flatten()
            .map(|length| ((length + 1e-6).recip() * self.most).clamp_max(1.0));
        self.optimizer.begin();
        let network = self.network.take();
        let mut mover = Mover {
            names: self.names.iter(),
            number: 0,
            gradients,
            optimizer: &mut self.optimizer,
            learning_rate,
            momentum: self.schedule.momentum(at.step),
            wants_norm: at.logged,
            squares: Vec::new(),
            share,
        };
        self.network = network.map(|network| network.map(&mut mover));
        let gradient_norm = mover
            .squares
            .into_iter()
            .reduce(|sum, square| sum + square)
            .map(Tensor::sqrt);
        Moved {
            learning_rate,
            gradient_norm,
        }
    }

    /// The length of gathered gradients over all parameters, `[1]`; none where there are no gradients.
    fn length(&self, gradients: &Gathered) -> Option<Tensor<1>> {
        struct Measurer<'a> {
            number: usize,
            gradients: &'a Gathered,
            squares: Vec<Tensor<1>>,
        }
        impl ModuleVisitor for Measurer<'_> {
            fn visit_float<const D: usize>(&mut self, parameter: &Param<Tensor<D>>) {
                let gradient = match self.gradients {
                    Gathered::Nothing => None,
                    Gathered::One(gradients) => parameter.val().grad(gradients).map(|gradient| {
                        let count = gradient.dims().iter().product::<usize>();
                        gradient.reshape([count])
                    }),
                    Gathered::Sums(sums) => sums.get(&self.number).cloned(),
                };
                self.number += 1;
                if let Some(gradient) = gradient {
                    self.squares.push((gradient.clone() * gradient).sum());
                }
            }
        }
        let mut measurer = Measurer {
            number: 0,
            gradients,
            squares: Vec::new(),
        };
        self.network().visit(&mut measurer);
        let squares = measurer.squares.into_iter();
        squares.reduce(|sum, square| sum + square).map(Tensor::sqrt)
    }

    /// Brings every parameter into [-`most`, `most`], as the discriminator of a Wasserstein GAN needs it (Arjovsky et al.
    /// 2017, algorithm 1). Running statistics stay as they are.
    pub fn clip_weights(&mut self, most: f64) {
        struct Clipper {
            path: Vec<String>,
            most: f64,
        }
        impl ModuleMapper for Clipper {
            fn enter_module(&mut self, name: &str, _container: &str) {
                self.path.push(name.to_owned());
            }
            fn exit_module(&mut self, _name: &str, _container: &str) {
                self.path.pop();
            }
            fn map_float<const D: usize>(
                &mut self,
                parameter: Param<Tensor<D>>,
            ) -> Param<Tensor<D>> {
                let leaf = self.path.last();
                if leaf.is_some_and(|leaf| leaf.starts_with("running_")) {
                    return parameter;
                }
                let (id, tensor, mapper) = parameter.consume();
                let clipped = tensor.inner().clamp(-self.most, self.most);
                Param::from_mapped_value(id, Tensor::from_inner(clipped).require_grad(), mapper)
            }
        }
        self.map(|network| {
            network.map(&mut Clipper {
                path: Vec::new(),
                most,
            })
        });
    }

    /// Changes the network outside an optimizer step.
    pub fn map(&mut self, change: impl FnOnce(M) -> M) {
        self.network = self.network.take().map(change);
    }

    /// Replaces the weights, as fine-tuning from another checkpoint does.
    ///
    /// # Errors
    /// As [`weights::check`]; nothing is changed then.
    pub fn load_weights(&mut self, tensors: &Tensors) -> Result<()> {
        let network = weights::apply(fresh(self.network()), tensors)?;
        self.network = Some(network);
        Ok(())
    }
}

/// A copy that shares no running statistics with the original: burn's `clone` does share them.
fn fresh<M: Module>(network: &M) -> M {
    network.valid().train()
}

impl<M: Network> Checkpoint for Learner<M> {
    fn files(&self) -> Vec<PartFile> {
        let updates = self.optimizer.updates().to_string();
        vec![
            PartFile::weights(weights::collect(self.network())),
            PartFile {
                suffix: "_optimizer",
                tensors: self.optimizer.state(),
                metadata: BTreeMap::from([("updates".to_owned(), updates)]),
            },
        ]
    }

    fn restore(&mut self, read: &mut dyn FnMut(&str) -> Result<WeightFile>) -> Result<()> {
        let file = read("")?;
        let network = weights::apply(fresh(self.network()), &file.tensors)?;
        let optimizer = read("_optimizer").context("the optimizer is needed to resume")?;
        let updates = optimizer
            .metadata
            .get("updates")
            .and_then(|text| text.parse().ok())
            .ok_or_else(|| {
                failure(
                    Kind::Checkpoint,
                    "the optimizer file lacks its number of updates",
                )
            })?;
        let device = network
            .devices()
            .into_iter()
            .next()
            .unwrap_or_default()
            .without_autodiff();
        let mut restored = self.optimizer.clone();
        restored.restore(optimizer.tensors, updates, &device)?;
        for (name, shape) in restored.shapes() {
            // Optimizer tensors are in burn's layout: a linear weight is the transpose of the file's.
            let fits = file.tensors.get(name).is_some_and(|tensor: &HostTensor| {
                let reversed: Vec<usize> = tensor.shape.iter().rev().copied().collect();
                tensor.shape == *shape || (shape.len() == 2 && reversed == *shape)
            });
            if !fits {
                return Err(failure(
                    Kind::Checkpoint,
                    format!("the optimizer has state {shape:?} for {name}, the network does not"),
                ));
            }
        }
        self.network = Some(network);
        self.optimizer = restored;
        Ok(())
    }
}

/// A running average of a network: `average = decay * average + (1 - decay) * network` for the
/// weights, a copy of the newest for the running statistics (Yazici et al. 2019, arXiv 1806.04498).
///
/// A decay of 0 keeps no average: the network itself is then used.
#[derive(Debug, Clone)]
pub struct Ema<M: Network> {
    network: M,
    decay: f64,
}

impl<M: Network> Ema<M> {
    /// An average that starts at `network`.
    pub fn new(network: &M, decay: f64) -> Self {
        Self {
            network: network.valid(),
            decay,
        }
    }

    /// The average, without autodiff: for sampling.
    pub fn network(&self) -> &M {
        &self.network
    }

    /// Moves the average towards `network`, after its step `updates` (counted from 1). As in
    /// TensorFlow's `ExponentialMovingAverage`, early steps use the smaller decay
    /// `(1 + updates) / (10 + updates)`, so that the random start does not linger.
    pub fn follow(&mut self, network: &M, updates: u64) {
        if self.decay <= 0.0 {
            self.network = network.valid();
            return;
        }
        let warm = (1.0 + updates as f64) / (10.0 + updates as f64);
        let decay = self.decay.min(warm);
        let mut newest = Vec::new();
        struct Reader<'a>(&'a mut Vec<Tensor<1>>);
        impl burn::module::ModuleVisitor for Reader<'_> {
            fn visit_float<const D: usize>(&mut self, parameter: &Param<Tensor<D>>) {
                let tensor = parameter.val().inner();
                let count = tensor.dims().iter().product::<usize>();
                self.0.push(tensor.reshape([count]));
            }
        }
        network.visit(&mut Reader(&mut newest));
        newest.reverse();
        struct Averager {
            path: Vec<String>,
            newest: Vec<Tensor<1>>,
            decay: f64,
        }
        impl ModuleMapper for Averager {
            fn enter_module(&mut self, name: &str, _container: &str) {
                self.path.push(name.to_owned());
            }
            fn exit_module(&mut self, _name: &str, _container: &str) {
                self.path.pop();
            }
            fn map_float<const D: usize>(
                &mut self,
                parameter: Param<Tensor<D>>,
            ) -> Param<Tensor<D>> {
                let (id, average, mapper) = parameter.consume();
                let Some(newest) = self.newest.pop() else {
                    return Param::from_mapped_value(id, average, mapper);
                };
                let newest = newest.reshape(average.dims());
                let is_buffer = self
                    .path
                    .last()
                    .is_some_and(|leaf| leaf.starts_with("running_"));
                let value = if is_buffer {
                    newest
                } else {
                    convolution::layers::average(average, newest, self.decay, 1.0 - self.decay)
                };
                Param::from_mapped_value(id, value, mapper)
            }
        }
        let mut averager = Averager {
            path: Vec::new(),
            newest,
            decay,
        };
        // `valid` gives the average its own running statistics, whatever else holds a clone.
        self.network = self.network.valid().map(&mut averager);
    }

    /// Visits the average as the part `name` of a checkpoint. Without one, samples come from `network`, a restored one too.
    ///
    /// # Errors
    /// Whatever `visit` returns.
    pub fn visit(
        &mut self,
        name: &str,
        network: &M,
        visit: &mut dyn FnMut(&str, &mut dyn Checkpoint) -> Result<()>,
    ) -> Result<()> {
        if self.decay > 0.0 {
            return visit(name, self);
        }
        self.reset(network);
        Ok(())
    }

    /// Starts again from `network`.
    pub fn reset(&mut self, network: &M) {
        self.network = network.valid();
    }
}

impl<M: Network> Checkpoint for Ema<M> {
    fn files(&self) -> Vec<PartFile> {
        vec![PartFile::weights(weights::collect(&self.network))]
    }

    fn restore(&mut self, read: &mut dyn FnMut(&str) -> Result<WeightFile>) -> Result<()> {
        self.network = weights::apply(self.network.valid(), &read("")?.tensors)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::init::{Initial, initialise};
    use crate::layers::Linear;
    use burn::tensor::{Device, TensorData};

    #[derive(Module, Debug)]
    struct Lines {
        first: Linear,
        second: Linear,
    }

    impl Network for Lines {}

    impl Lines {
        fn forward(&self, input: Tensor<2>) -> Tensor<2> {
            self.second.forward(self.first.forward(input))
        }
    }

    fn learner(name: &str) -> Learner<Lines> {
        let device = Device::flex().autodiff();
        let lines = Lines {
            first: Linear::new(3, 4, &device),
            second: Linear::new(4, 3, &device),
        };
        let lines = initialise(lines, Initial::FanIn, 5, name);
        let rule = Rule::Adam {
            beta1: 0.5,
            beta2: 0.9,
            epsilon: 1e-8,
        };
        Learner::new(lines, rule, 0.1, Schedule::Constant)
    }

    fn input(part: usize) -> Tensor<2> {
        let values: Vec<f32> = (0..6)
            .map(|at| ((7 * at + 5 * part) % 11) as f32 - 4.0)
            .collect();
        Tensor::from_data(TensorData::new(values, [2, 3]), &Device::flex().autodiff())
    }

    /// There and back should be the picture itself, as CycleGAN has it; and each line alone should be small.
    fn loss(there: &Lines, back: &Lines, part: usize) -> Tensor<1> {
        let middle = there.forward(input(part));
        let away = back.forward(middle.clone()) - input(part);
        away.powi_scalar(2).mean() + middle.powi_scalar(2).mean()
    }

    fn files(learner: &Learner<Lines>) -> Vec<Tensors> {
        let files = learner.files();
        files.into_iter().map(|file| file.tensors).collect()
    }

    #[test]
    fn two_learners_of_one_backward_are_two_with_one_each() {
        let (mut there, mut back) = (learner("there"), learner("back"));
        let (mut alone, mut other) = (there.clone(), back.clone());
        for step in 0..3 {
            let at = At::new(5, step, 3);
            let mut gradients = loss(there.network(), back.network(), 0).backward();
            let of_there = there.take(&mut gradients, Gathered::Nothing);
            let of_back = back.take(&mut gradients, Gathered::Nothing);
            // Nothing is left for anybody else.
            let Gathered::Sums(rest) = there.take(&mut gradients, Gathered::Nothing) else {
                panic!("sums");
            };
            assert!(rest.is_empty());
            there.apply(of_there, &at);
            back.apply(of_back, &at);

            let (of_alone, of_other) = (
                loss(alone.network(), &other.still(), 0),
                loss(&alone.still(), other.network(), 0),
            );
            alone.descend(of_alone, &at);
            other.descend(of_other, &at);
            assert_eq!(files(&there), files(&alone), "step {step}");
            assert_eq!(files(&back), files(&other), "step {step}");
        }
        assert_ne!(files(&there), files(&learner("there")));
        assert_eq!(there.updates(), 3);
    }

    #[test]
    fn long_gradients_are_shortened_and_weights_clipped() {
        let at = At::new(5, 0, 1);
        // What the optimizer remembers after one step is a tenth of the gradient: beta1 is 0.5 here, so half of it.
        let gradient = |most: f64, gathered: bool| -> Vec<f32> {
            let mut learner = learner("there").clipped(most);
            let back = learner.still();
            let term = loss(learner.network(), &back, 0);
            let gradients = if gathered {
                let mut gradients = term.backward();
                learner.take(&mut gradients, Gathered::Nothing)
            } else {
                learner.gather(term, Gathered::Nothing)
            };
            learner.apply(gradients, &at);
            let moments = files(&learner).remove(1);
            let first = moments.iter().filter(|(name, _)| name.ends_with("exp_avg"));
            first
                .flat_map(|(_, tensor)| tensor.values.iter().map(|value| 2.0 * value))
                .collect()
        };
        let length = |values: &[f32]| values.iter().map(|v| v * v).sum::<f32>().sqrt();
        let free = gradient(0.0, false);
        let whole = length(&free);
        for gathered in [false, true] {
            let clipped = gradient(0.25 * f64::from(whole), gathered);
            for (clipped, free) in clipped.iter().zip(&free) {
                assert!((clipped - 0.25 * free).abs() < 1e-5 * whole);
            }
            // A short one stays as it is.
            assert_eq!(gradient(2.0 * f64::from(whole), gathered), free);
        }
        let mut learner = learner("there");
        learner.clip_weights(0.1);
        let values: Vec<f32> = files(&learner)[0]
            .values()
            .flat_map(|t| t.values.clone())
            .collect();
        assert!(values.iter().all(|value| value.abs() <= 0.1));
        assert!(values.iter().any(|value| value.abs() == 0.1));
        assert!(values.iter().any(|value| value.abs() < 0.1));
    }

    #[test]
    fn the_parts_of_a_batch_add_up() {
        let (mut parts, mut whole) = (learner("there"), learner("there"));
        let back = learner("back").still();
        let at = At::new(5, 0, 1);
        let mut gathered = Gathered::Nothing;
        let mut first = loss(parts.network(), &back, 0).backward();
        gathered = parts.take(&mut first, gathered);
        let mut second = loss(parts.network(), &back, 1).backward();
        gathered = parts.take(&mut second, gathered);
        parts.apply(gathered, &at);
        let sum = loss(whole.network(), &back, 0) + loss(whole.network(), &back, 1);
        whole.descend(sum, &at);
        for (ours, theirs) in files(&parts).iter().zip(&files(&whole)) {
            for (name, tensor) in ours {
                for (a, b) in tensor.values.iter().zip(&theirs[name].values) {
                    assert!((a - b).abs() <= 1e-5 * (1.0 + b.abs()), "{name}: {a} {b}");
                }
            }
        }
        // `gather` begins with gradients as they are, and gives the same.
        let mut gathering = learner("there");
        let mut gathered = Gathered::Nothing;
        for part in 0..2 {
            gathered = gathering.gather(loss(gathering.network(), &back, part), gathered);
        }
        gathering.apply(gathered, &at);
        assert_eq!(files(&gathering), files(&parts));
    }
}
