//! What one batch does to the three players: Alice and Bob take one step, then Eve takes hers (Abadi and Andersen 2016,
//! <https://arxiv.org/abs/1610.06918>).

use crate::config::{Config, Flags};
use crate::data::{Batch, Drawn, Messages};
use crate::history::{EVERY, History};
use crate::loss::{alone, distance, together};
use crate::measure::{self, errors};
use crate::mix::{self, MixTransform};
use crate::plot::{BLUE, Curve, RED, plot};
use crate::{discriminator, generator};
use anyhow::{Context, Result};
use burn::tensor::{Device, Tensor};
use gan_core::checkpoint::Checkpoint;
use gan_core::command::{Launch, TrainCommand};
use gan_core::device;
use gan_core::failure::{Kind, failure};
use gan_core::learner::{Gathered, Learner};
use gan_core::located::{self, is_single_file};
use gan_core::optimizer::Schedule;
use gan_core::random::Stream;
use gan_core::stage::{At, Best, Panel, Scalars, Stage, fit};
use gan_core::weights::{self, Metadata};
use std::path::Path;

/// The name of the only stage.
pub const STAGE: &str = "gan";

/// The three players, as in a checkpoint.
pub const PLAYERS: [&str; 3] = ["alice", "bob", "eve"];

/// Messages on which the players are measured after every epoch.
const HELD: usize = 8192;

/// Alice and Bob against Eve.
#[derive(Debug)]
pub struct Gan {
    config: Config,
    alice: Learner<MixTransform>,
    bob: Learner<MixTransform>,
    eve: Learner<MixTransform>,
    history: History,
    device: Device,
}

/// Fresh weights from a seed, and what moves them.
pub(crate) fn learner(
    network: MixTransform,
    config: &Config,
    seed: u64,
    name: &str,
) -> Learner<MixTransform> {
    let network = mix::begin(network, config.start, seed, name);
    Learner::new(network, config.rule(), config.lr, Schedule::Constant)
}

impl Gan {
    /// All players with fresh weights from the run's seed.
    pub fn new(config: &Config, device: &Device) -> Self {
        let autodiff = device.clone().autodiff();
        let seed = config.training.seed;
        let [alice, bob, eve] = PLAYERS;
        Self {
            alice: learner(generator::new(config, &autodiff), config, seed, alice),
            bob: learner(generator::new(config, &autodiff), config, seed, bob),
            eve: learner(discriminator::new(config, &autodiff), config, seed, eve),
            history: History::default(),
            config: config.clone(),
            device: device.clone(),
        }
    }

    /// Takes the weights of all players from a run or a step folder.
    ///
    /// # Errors
    /// When one is missing, or of another network.
    pub fn init_from(&mut self, place: &Path, out: &Path) -> Result<()> {
        if is_single_file(place) {
            return Err(failure(
                Kind::Usage,
                "it holds one network, and the three of a training fit together: name a run or a step folder",
            ));
        }
        let learners = [&mut self.alice, &mut self.bob, &mut self.eve];
        for (learner, name) in learners.into_iter().zip(PLAYERS) {
            let found = located::find(Some(place), out, "crypto", &[STAGE], &[name])?;
            learner
                .load_weights(&found.file.tensors)
                .with_context(|| format!("{} does not fit", found.path.display()))?;
        }
        Ok(())
    }

    /// The printed networks of Alice, who is like Bob, and Eve.
    pub fn describe(&self) -> String {
        format!("{}\n{}", self.alice.network(), self.eve.network())
    }

    /// Messages and keys of each part of a minibatch.
    fn parts_of(&self, messages: &Messages) -> Vec<(Tensor<2>, Tensor<2>)> {
        let (plain, key) = measure::tensors(messages, &self.device.clone().autodiff());
        let parts = self.config.training.accumulate;
        if parts == 1 {
            return vec![(plain, key)];
        }
        let some = messages.count / parts;
        let cut = |tensor: &Tensor<2>, part: usize| tensor.clone().narrow(1, part * some, some);
        (0..parts)
            .map(|part| (cut(&plain, part), cut(&key, part)))
            .collect()
    }

    /// The share of one part of a batch in its loss.
    fn share(&self, loss: Tensor<1>) -> Tensor<1> {
        match self.config.training.accumulate {
            1 => loss,
            parts => loss / parts as f64,
        }
    }

    /// One step of Alice and Bob, while Eve stands still.
    fn step_together(&mut self, messages: &Messages, at: &At, scalars: &mut Scalars) {
        let (bits, averaged) = (self.config.message_bits, self.config.averaged);
        let eve = self.eve.still();
        let mut gathered = [Gathered::default(), Gathered::default()];
        let mut seen = Vec::new();
        for (plain, key) in self.parts_of(messages) {
            let cipher = self.alice.network().with_key(plain.clone(), key.clone());
            let read = self.bob.network().with_key(cipher.clone(), key);
            let bob_bits = distance(read, plain.clone());
            let eve_bits = distance(eve.forward(cipher), plain);
            let means = [bob_bits.clone().mean(), eve_bits.clone().mean()];
            let loss = together(bob_bits, eve_bits, bits, averaged);
            scalars.add("loss_ab", loss.clone());
            for (name, mean) in ["bob_bits", "eve_bits"].into_iter().zip(&means) {
                scalars.add(name, mean.clone());
            }
            seen.push(Tensor::cat(means.to_vec(), 0).inner());
            let mut gradients = self.share(loss).backward();
            let [of_alice, of_bob] = gathered;
            gathered = [
                self.alice.take(&mut gradients, of_alice),
                self.bob.take(&mut gradients, of_bob),
            ];
        }
        if at.step.is_multiple_of(EVERY) {
            let all = weights::values(Tensor::cat(seen, 0));
            let parts = (all.len() / 2) as f32;
            let mean = |reader: usize| all.iter().skip(reader).step_by(2).sum::<f32>() / parts;
            self.history.push(at.step, mean(0), mean(1));
        }
        let [of_alice, of_bob] = gathered;
        let moved = self.alice.apply(of_alice, at);
        moved.tell(scalars, ["lr", "grad_norm_alice"]);
        if let Some(norm) = self.bob.apply(of_bob, at).gradient_norm {
            scalars.add("grad_norm_bob", norm);
        }
    }

    /// One step of Eve, while Alice stands still.
    fn step_eve(&mut self, messages: &Messages, at: &At, scalars: &mut Scalars) {
        let alice = self.alice.still();
        let mut gathered = Gathered::default();
        for (plain, key) in self.parts_of(messages) {
            let cipher = alice.with_key(plain.clone(), key).detach();
            let guess = self.eve.network().forward(cipher);
            let loss = alone(distance(guess, plain), self.config.message_bits);
            scalars.add("loss_eve", loss.clone());
            gathered = self.eve.gather(self.share(loss), gathered);
        }
        if let Some(norm) = self.eve.apply(gathered, at).gradient_norm {
            scalars.add("grad_norm_eve", norm);
        }
    }
}

impl Stage for Gan {
    type Batch = Batch;
    const NAME: &'static str = STAGE;
    // How well this Eve does tells little about another: `crypto attack` does.
    const BEST: Best = Best::Untold;

    fn step(&mut self, batch: Batch, at: &At) -> Result<Scalars> {
        let mut scalars = Scalars::default();
        for (number, messages) in batch.iter().enumerate() {
            at.note(&format!("plain.{number}"), || messages.plain.clone());
            at.note(&format!("key.{number}"), || messages.key.clone());
            if number == 0 {
                self.step_together(messages, at, &mut scalars);
            } else {
                self.step_eve(messages, at, &mut scalars);
            }
        }
        Ok(scalars)
    }

    fn preview(&self, at: &At) -> Result<(Vec<Panel>, Scalars)> {
        let history = &self.history;
        let curve = |colour, values: &[f32]| {
            let points = history.steps.iter().zip(values);
            Curve {
                colour,
                points: points.map(|(step, bits)| [*step, *bits]).collect(),
            }
        };
        let curves = [curve(BLUE, &history.bob), curve(RED, &history.eve)];
        let last = |values: &[f32]| {
            values
                .last()
                .map_or("-".to_owned(), |bits| format!("{bits:.2}"))
        };
        let bits = self.config.message_bits;
        let caption = format!(
            "{bits} bits: Bob (blue) {}, Eve (red) {} wrong",
            last(&history.bob),
            last(&history.eve)
        );
        let guess = bits as f32 / 2.0;
        let panel = Panel {
            name: "step",
            picture: plot(&curves, at.total as f32, guess, &caption),
        };
        Ok((vec![panel], Scalars::default()))
    }

    fn validate(&self, at: &At) -> Result<Scalars> {
        let [alice, bob, eve] =
            [&self.alice, &self.bob, &self.eve].map(|learner| learner.snapshot());
        let mut stream = Stream::new(at.seed, "held", 0);
        let players = [&alice, &bob, &eve];
        let found = errors(players, &self.config, HELD, &mut stream, &self.device);
        let mut scalars = Scalars::default();
        scalars.put("test_bob_bits", found.bob.distance);
        scalars.put("test_eve_bits", found.eve.distance);
        scalars.put("test_bob_wrong", found.bob.wrong);
        scalars.put("test_eve_wrong", found.eve.wrong);
        Ok(scalars)
    }

    fn activations(&self) -> u64 {
        let config = &self.config;
        let of = |mixing| mix::activations(config.structure, config.message_bits, mixing);
        2 * of(generator::MIXING) + of(discriminator::mixing(config))
    }

    fn parts(
        &mut self,
        visit: &mut dyn FnMut(&str, &mut dyn Checkpoint) -> Result<()>,
    ) -> Result<()> {
        let [alice, bob, eve] = PLAYERS;
        visit(alice, &mut self.alice)?;
        visit(bob, &mut self.bob)?;
        visit(eve, &mut self.eve)?;
        visit("history", &mut self.history)
    }
}

/// `crypto train`.
///
/// # Errors
/// As [`gan_core::stage::fit`], and [`Kind::Usage`] for a wrong configuration.
pub fn train(command: &TrainCommand<Flags>) -> Result<()> {
    let launch = Launch::<Config>::new(command)?;
    let config = &launch.config;
    let device = device::parse(&config.training.device)?;
    let source = Drawn::new(config);
    let mut gan = Gan::new(config, &device);
    if let Some(place) = launch.init_from() {
        gan.init_from(place, launch.out())
            .with_context(|| format!("--init-from {}", place.display()))?;
    }
    if launch.is_dry(&gan.describe())? {
        return Ok(());
    }
    let extra = Metadata::from([("value_range".to_owned(), "[-1, 1]".to_owned())]);
    let (mut run, plan) = launch.start(&source, None, extra)?;
    fit(&mut gan, &source, &plan, &mut run)
}
