//! What one batch does to the four players: both generators learn from one sum of losses, then each discriminator
//! from real pictures and from made ones out of its pool (Zhu et al. 2017, sections 3 and 4; the order of the
//! authors' program).

use crate::config::{Config, Flags};
use crate::data::{DOMAINS, Data, Examples, PROCEDURAL};
use crate::discriminator::{self, Discriminator};
use crate::generator::{self, Generator};
use crate::judge::{SHORTEST_SIDE, judge};
use crate::pool::Pool;
use anyhow::{Context, Result};
use burn::tensor::{Device, Tensor, TensorData};
use gan_core::checkpoint::Checkpoint;
use gan_core::command::{Launch, TrainCommand};
use gan_core::device;
use gan_core::init::{Initial, initialise};
use gan_core::layers::Statistics;
use gan_core::learner::{Gathered, Learner, Moved};
use gan_core::located::is_single_file;
use gan_core::loss::l1;
use gan_core::stage::{At, Panel, Scalars, Stage, fit};
use gan_core::technique::signals;
use gan_core::weights::{self, Metadata, Network};
use image::RgbImage;
use std::path::Path;
use translation::pictures::Batch;
use translation::settings;
use translation::translator::{
    Inference, Start, mean_distance, reals, sheet, to_picture, to_tensor,
};

/// The name of the only stage.
pub const STAGE: &str = "gan";

/// Pictures of each domain in a sample sheet.
const SHOWN: usize = 6;

/// The names of the generators in a checkpoint: from A to B, and back.
pub const GENERATORS: [&str; 2] = ["generator_a", "generator_b"];
const DISCRIMINATORS: [&str; 2] = ["discriminator_a", "discriminator_b"];
/// What D_A and D_B see besides real pictures: made pictures of B, and of A.
const POOLS: [&str; 2] = ["pool_b", "pool_a"];

/// Chooses for a pool which of its pictures is shown instead of a new one.
pub type DrawOlder<'a> = dyn FnMut(&'static str, &Pool) -> Option<usize> + 'a;

/// Two generators against two discriminators. Of each pair the first belongs to the way from A to B.
#[derive(Debug)]
pub struct Gan {
    config: Config,
    generators: [Learner<Generator>; 2],
    discriminators: [Learner<Discriminator>; 2],
    pools: [Pool; 2],
    examples: Examples,
    device: Device,
}

impl Gan {
    /// All players with fresh weights from the run's seed: N(0, 0.02) (section 4).
    pub fn new(config: &Config, device: &Device) -> Self {
        let autodiff = device.clone().autodiff();
        let generators = generator::generators(config, &autodiff);
        let discriminators = discriminator::discriminators(config, &autodiff);
        Self::of(config, generators, discriminators, device)
    }

    /// As [`Gan::new`], with these networks instead of those that the configuration names.
    pub fn of(
        config: &Config,
        generators: [Generator; 2],
        discriminators: [Discriminator; 2],
        device: &Device,
    ) -> Self {
        let generators = learners(config, generators, GENERATORS);
        let discriminators = learners(config, discriminators, DISCRIMINATORS);
        let side = config.crop_size;
        let pool = |channels| Pool::new(config.pool_size, [channels, side, side]);
        Self {
            generators,
            discriminators,
            pools: [pool(config.output_channels), pool(config.input_channels)],
            examples: Examples::default(),
            config: config.clone(),
            device: device.clone(),
        }
    }

    /// Shows these pictures, and measures their translations where the right answers are known.
    #[must_use]
    pub fn with_examples(mut self, examples: Examples) -> Self {
        self.examples = examples;
        self
    }

    /// Takes the weights of all players from a checkpoint; of a single file, those of the generator from A to B.
    ///
    /// # Errors
    /// When the file is missing or of another network.
    pub fn init_from(&mut self, place: &Path, out: &Path) -> Result<()> {
        let start = Start {
            place,
            out,
            word: "cyclegan",
            stage: STAGE,
        };
        let count = if is_single_file(place) { 1 } else { 2 };
        for (learner, name) in self.generators.iter_mut().zip(GENERATORS).take(count) {
            start.load(name, learner)?;
        }
        if !is_single_file(place) {
            for (learner, name) in self.discriminators.iter_mut().zip(DISCRIMINATORS) {
                start.load(name, learner)?;
            }
        }
        Ok(())
    }

    /// The printed networks of one direction.
    pub fn describe(&self) -> String {
        format!(
            "{}\n{}",
            self.generators[0].network(),
            self.discriminators[0].network()
        )
    }

    fn pictures(&self, values: &[f32], channels: usize, device: &Device) -> Tensor<4> {
        to_tensor(values, channels, self.config.crop_size, device)
    }

    /// One step; `draw` says which older picture a discriminator sees.
    ///
    /// # Errors
    /// As [`Stage::step`].
    pub fn step_with(
        &mut self,
        batch: &Batch,
        at: &At,
        draw: &mut DrawOlder<'_>,
    ) -> Result<Scalars> {
        at.note("a", || batch.a.clone());
        at.note("b", || batch.b.clone());
        let mut scalars = Scalars::default();
        let config = &self.config;
        let (mode, parts) = (config.gan_mode, config.training.accumulate);
        let autodiff = self.device.clone().autodiff();
        let share = |loss: Tensor<1>| match parts {
            1 => loss,
            parts => loss / parts as f64,
        };
        let identity = config.lambda_cycle * config.lambda_identity;
        let judges = [
            self.discriminators[0].still(),
            self.discriminators[1].still(),
        ];
        let mut gathered = [Gathered::default(), Gathered::default()];
        // Of each part: the real pictures of B and A, and those that were made.
        let mut waiting = Vec::new();
        let halves = [&batch.a, &batch.b].map(|values| values.chunks(values.len() / parts));
        let [of_a, of_b] = halves;
        for (part, (a, b)) in of_a.zip(of_b).enumerate() {
            let real_a = self.pictures(a, config.input_channels, &autodiff);
            let real_b = self.pictures(b, config.output_channels, &autodiff);
            let mut dropout = at.rng(&format!("dropout/{part}"));
            let mut made = |way: usize, picture: &Tensor<4>| {
                let network = self.generators[way].network();
                network.forward(picture.clone(), Statistics::Update, Some(&mut dropout))
            };
            let fake_b = made(0, &real_a);
            let rec_a = made(1, &fake_b);
            let fake_a = made(1, &real_b);
            let rec_b = made(0, &fake_a);
            let judged = |way: usize, picture: &Tensor<4>| {
                mode.real(judges[way].forward(picture.clone(), Statistics::Update))
            };
            let mut losses = vec![
                ("G_A", judged(0, &fake_b)),
                ("G_B", judged(1, &fake_a)),
                ("cycle_A", l1(rec_a, real_a.clone()) * config.lambda_cycle),
                ("cycle_B", l1(rec_b, real_b.clone()) * config.lambda_cycle),
            ];
            if identity > 0.0 {
                let idt_a = l1(made(0, &real_b), real_b.clone()) * identity;
                let idt_b = l1(made(1, &real_a), real_a.clone()) * identity;
                losses.extend([("idt_A", idt_a), ("idt_B", idt_b)]);
            }
            for (name, loss) in &losses {
                scalars.add(name, loss.clone());
            }
            let all = losses.into_iter().map(|(_, loss)| loss).collect();
            let sum = Tensor::cat(all, 0).sum();
            let mut gradients = share(sum).backward();
            let [first, second] = gathered;
            gathered = [
                self.generators[0].take(&mut gradients, first),
                self.generators[1].take(&mut gradients, second),
            ];
            waiting.push(([real_b, real_a], [fake_b.detach(), fake_a.detach()]));
        }
        let moved = moved_all(&mut self.generators, gathered, at);
        scalars.put("lr_g", moved[0].learning_rate);
        let norms = ["grad_norm_g_a", "grad_norm_g_b"];
        for (moved, name) in moved.into_iter().zip(norms) {
            if let Some(norm) = moved.gradient_norm {
                scalars.add(name, norm);
            }
        }

        for (way, name) in ["D_A", "D_B"].into_iter().enumerate() {
            let mut gathered = Gathered::default();
            for (reals, fakes) in &waiting {
                let shown = self.with_pool(way, &fakes[way], draw, &autodiff);
                let judge = self.discriminators[way].network();
                let real = judge.forward(reals[way].clone(), Statistics::Update);
                let fake = judge.forward(shown.clone(), Statistics::Update);
                let (logits, samples) = ([&real, &fake], [&reals[way], &shown]);
                // Of both ways under one name: the log has their mean.
                signals(&mut scalars, at, logits, Some(mode.middle()), samples);
                let loss = (mode.real(real) + mode.fake(fake)) * 0.5;
                scalars.add(name, loss.clone());
                gathered = self.discriminators[way].gather(share(loss), gathered);
            }
            let moved = self.discriminators[way].apply(gathered, at);
            scalars.put("lr_d", moved.learning_rate);
            if let Some(norm) = moved.gradient_norm {
                scalars.add(["grad_norm_d_a", "grad_norm_d_b"][way], norm);
            }
        }
        Ok(scalars)
    }

    /// What a discriminator sees of new pictures: themselves, or older ones.
    fn with_pool(
        &mut self,
        way: usize,
        fakes: &Tensor<4>,
        draw: &mut DrawOlder<'_>,
        device: &Device,
    ) -> Tensor<4> {
        let pool = &mut self.pools[way];
        let dims = fakes.dims();
        let values = weights::values(fakes.clone());
        let mut shown = Vec::with_capacity(values.len());
        for picture in values.chunks_exact(values.len() / dims[0]) {
            let older = draw(POOLS[way], pool);
            shown.extend(pool.exchange(picture.to_vec(), older));
        }
        Tensor::from_data(TensorData::new(shown, dims), device)
    }

    /// Each picture of a domain, its translation, and that translated back; and what the other generator, which
    /// should leave it alone, makes of it.
    fn rows(&self, way: usize, seed: u64) -> Vec<Vec<RgbImage>> {
        let config = &self.config;
        let (mut channels, side) = (
            [config.input_channels, config.output_channels],
            config.crop_size,
        );
        channels.rotate_left(way);
        let [there, back] = [way, 1 - way].map(|way| self.generators[way].snapshot());
        let run = |network: &Generator, input: &Tensor<4>| translated(network, input.clone(), seed);
        let pictures = self.examples.pictures[way].iter().take(SHOWN);
        pictures
            .map(|values| {
                let real = self.pictures(values, channels[0], &self.device);
                let fake = run(&there, &real);
                let mut row = vec![real.clone(), fake.clone(), run(&back, &fake)];
                if channels[0] == channels[1] {
                    row.push(run(&back, &real));
                }
                row.into_iter()
                    .map(|picture| to_picture(&weights::values(picture), side))
                    .collect()
            })
            .collect()
    }
}

/// Fresh weights, and what moves them.
fn learners<N>(config: &Config, networks: [N; 2], names: [&str; 2]) -> [Learner<N>; 2]
where
    N: Network,
{
    let rule = settings::rule(config.beta1, config.beta2);
    let schedule = settings::schedule(config.decay_start);
    let mut names = names.into_iter();
    networks.map(|network| {
        let name = names.next().unwrap_or_default();
        let network = initialise(network, Initial::Dcgan, config.training.seed, name);
        Learner::new(network, rule, config.lr, schedule)
    })
}

/// The authors' protocol.
fn translated(network: &Generator, input: Tensor<4>, seed: u64) -> Tensor<4> {
    let inference = Inference::protocol(seed);
    let mut stream = inference.stream(0);
    network.forward(input, inference.statistics, stream.as_mut())
}

fn moved_all(
    learners: &mut [Learner<Generator>; 2],
    gathered: [Gathered; 2],
    at: &At,
) -> Vec<Moved> {
    learners
        .iter_mut()
        .zip(gathered)
        .map(|(learner, gathered)| learner.apply(gathered, at))
        .collect()
}

impl Stage for Gan {
    type Batch = Batch;
    const NAME: &'static str = STAGE;

    fn step(&mut self, batch: Batch, at: &At) -> Result<Scalars> {
        let mut streams = POOLS.map(|name| (name, at.rng(name)));
        let mut draw = |name: &'static str, pool: &Pool| {
            let (_, stream) = streams.iter_mut().find(|(of, _)| *of == name)?;
            pool.draw(stream)
        };
        self.step_with(&batch, at, &mut draw)
    }

    fn preview(&self, at: &At) -> Result<(Vec<Panel>, Scalars)> {
        let names = [
            ["real_A", "fake_B", "rec_A", "idt_B"],
            ["real_B", "fake_A", "rec_B", "idt_A"],
        ];
        let [mut rows, others] = [0, 1].map(|way| self.rows(way, at.seed));
        let width = rows.first().map_or(0, Vec::len);
        let count = rows.len().min(others.len());
        rows.truncate(count);
        for (row, other) in rows.iter_mut().zip(others) {
            row.extend(other);
        }
        let columns: Vec<&str> = names
            .iter()
            .flat_map(|names| &names[..width])
            .copied()
            .collect();
        let panel = sheet("step", &columns, &rows);
        Ok((panel.into_iter().collect(), Scalars::default()))
    }

    fn validate(&self, at: &At) -> Result<Scalars> {
        let mut scalars = Scalars::default();
        let side = self.config.crop_size;
        let is_judged = side >= SHORTEST_SIDE as usize;
        let mut all = Vec::new();
        let (mut distance, mut count) = (0.0, 0.0);
        for way in 0..2 {
            let network = self.generators[way].snapshot();
            let known = self.examples.pictures[way]
                .iter()
                .zip(&self.examples.answers[way]);
            for (values, answer) in known {
                let input = self.pictures(values, 3, &self.device);
                let made = weights::values(translated(&network, input, at.seed));
                distance += mean_distance(&made, answer);
                count += 1.0;
                if is_judged {
                    let [input, made, answer] =
                        [values, &made, answer].map(|values| to_picture(values, side));
                    all.push(judge(&input, &made, &answer));
                }
            }
        }
        if count > 0.0 {
            scalars.put("answer_L1", distance / count);
        }
        if all.is_empty() {
            return Ok(scalars);
        }
        let share = |is: fn(&crate::judge::Judgement) -> bool| {
            all.iter().filter(|judged| is(judged)).count() as f64 / count
        };
        scalars.put("changed", share(|judged| judged.changed));
        scalars.put("kept", share(|judged| judged.kept));
        scalars.put(
            "changed_and_kept",
            share(|judged| judged.changed && judged.kept),
        );
        Ok(scalars)
    }

    fn activations(&self) -> u64 {
        let (config, side) = (&self.config, self.config.crop_size);
        // Four passes of generators, two more for the identity, and two of discriminators wait for one backward pass.
        let passes = if config.lambda_identity > 0.0 { 6 } else { 4 };
        passes * generator::shape(config).activations(side)
            + 2 * discriminator::shape(config, config.output_channels).activations(side)
    }

    fn reals(&self, batch: &Batch) -> Option<RgbImage> {
        let config = &self.config;
        let channels = [config.input_channels, config.output_channels];
        reals(batch, channels, config.crop_size, SHOWN)
    }

    fn parts(
        &mut self,
        visit: &mut dyn FnMut(&str, &mut dyn Checkpoint) -> Result<()>,
    ) -> Result<()> {
        for (name, learner) in GENERATORS.into_iter().zip(&mut self.generators) {
            visit(name, learner)?;
        }
        for (name, learner) in DISCRIMINATORS.into_iter().zip(&mut self.discriminators) {
            visit(name, learner)?;
        }
        if self.config.pool_size > 0 {
            for (name, pool) in POOLS.into_iter().zip(&mut self.pools) {
                visit(name, pool)?;
            }
        }
        Ok(())
    }
}

/// `cyclegan train`.
///
/// # Errors
/// As [`gan_core::stage::fit`], and [`gan_core::failure::Kind::Usage`] for a wrong configuration.
pub fn train(command: &TrainCommand<Flags>) -> Result<()> {
    let launch = Launch::<Config>::new(command)?;
    let config = &launch.config;
    let device = device::parse(&config.training.device)?;
    let mut gan = Gan::new(config, &device);
    if let Some(place) = launch.init_from() {
        gan.init_from(place, launch.out())
            .with_context(|| format!("--init-from {}", place.display()))?;
        if is_single_file(place) {
            launch.say("the file holds one generator: the generator from B to A and both discriminators begin with fresh weights");
        }
    }
    if launch.is_dry(&gan.describe())? {
        return Ok(());
    }
    let source = Data::open(config)?;
    let examples = Examples::open(config)?;
    let broken_examples = examples.broken.clone();
    let has_answers = examples.answers.iter().any(|answers| !answers.is_empty());
    let mut gan = gan.with_examples(examples);
    let is_procedural = config.training.data.is_empty();
    let extra = Metadata::from([("value_range".to_owned(), "[-1, 1]".to_owned())]);
    let (mut run, plan) = launch.start(&source, is_procedural.then_some(PROCEDURAL), extra)?;
    for (broken, domain) in source.broken().into_iter().zip(DOMAINS) {
        let what = format!("pictures of domain {domain}");
        run.console().left_out(&what, broken);
    }
    run.console()
        .left_out("pictures that would be shown", &broken_examples);
    if !has_answers {
        run.console().say(
            "the right answers are not known: nothing is measured, and no checkpoint is chosen as the best",
        );
    }
    fit(&mut gan, &source, &plan, &mut run)
}
