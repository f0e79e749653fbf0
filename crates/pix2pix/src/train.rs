//! What one batch does to the two players: a real and a detached made pair for the discriminator, then the same made
//! pair, live, for the generator, which also learns from its distance to the right answer (Isola et al. 2017,
//! section 3; the order of the authors' program).

use crate::config::{Config, Flags};
use crate::data::{Data, Examples, PROCEDURAL};
use crate::discriminator::{self, Discriminator};
use crate::generator::{self, Generator};
use anyhow::{Context, Result};
use burn::tensor::{Device, Tensor};
use gan_core::checkpoint::Checkpoint;
use gan_core::command::{Launch, TrainCommand};
use gan_core::device;
use gan_core::images::planar;
use gan_core::init::{Initial, initialise};
use gan_core::layers::Statistics;
use gan_core::learner::{Gathered, Learner};
use gan_core::located::is_single_file;
use gan_core::loss::l1;
use gan_core::random::Stream;
use gan_core::stage::{At, Panel, Scalars, Stage, fit};
use gan_core::technique::signals;
use gan_core::weights::{self, Metadata};
use image::RgbImage;
use metrics::paired::{Colour, Pair, Picture, Rule, View};
use std::path::Path;
use translation::pictures::Batch;
use translation::settings;
use translation::translator::{
    Inference, Start, mean_distance, reals, sheet, to_picture, to_tensor,
};

/// The name of the only stage.
pub const STAGE: &str = "gan";

/// Pairs in a sample picture.
const SHOWN: usize = 8;

/// Generator against discriminator.
#[derive(Debug)]
pub struct Gan {
    config: Config,
    generator: Learner<Generator>,
    discriminator: Learner<Discriminator>,
    examples: Examples,
    device: Device,
}

impl Gan {
    /// Both players with fresh weights from the run's seed: N(0, 0.02) (section 6.2).
    pub fn new(config: &Config, device: &Device) -> Self {
        let seed = config.training.seed;
        let autodiff = device.clone().autodiff();
        let generator = generator::generator(config, &autodiff);
        let generator = initialise(generator, Initial::Dcgan, seed, "generator");
        let discriminator = discriminator::discriminator(config, &autodiff);
        let discriminator = initialise(discriminator, Initial::Dcgan, seed, "discriminator");
        let rule = settings::rule(config.beta1, config.beta2);
        let (rate, schedule) = (config.lr, settings::schedule(config.decay_start));
        Self {
            generator: Learner::new(generator, rule, rate, schedule),
            discriminator: Learner::new(discriminator, rule, rate, schedule),
            examples: Examples::default(),
            config: config.clone(),
            device: device.clone(),
        }
    }

    /// Shows and measures these pairs, which are kept out of training.
    #[must_use]
    pub fn with_examples(mut self, examples: Examples) -> Self {
        self.examples = examples;
        self
    }

    /// Takes the weights of both players, or of the generator alone, from a checkpoint.
    ///
    /// # Errors
    /// When the file is missing or of another network.
    pub fn init_from(&mut self, place: &Path, out: &Path) -> Result<()> {
        let start = Start {
            place,
            out,
            word: "pix2pix",
            stage: STAGE,
        };
        start.load("generator", &mut self.generator)?;
        if !is_single_file(place) {
            start.load("discriminator", &mut self.discriminator)?;
        }
        Ok(())
    }

    /// The printed networks.
    pub fn describe(&self) -> String {
        format!(
            "{}\n{}",
            self.generator.network(),
            self.discriminator.network()
        )
    }

    fn pictures(&self, values: &[f32], channels: usize, device: &Device) -> Tensor<4> {
        to_tensor(values, channels, self.config.crop_size, device)
    }

    /// The translation of each example, `[output, side, side]`: the authors' protocol, one at a time with the
    /// statistics of that picture, dropout on and the same each time.
    fn translated(&self, count: usize, seed: u64) -> Vec<Vec<f32>> {
        let network = self.generator.snapshot();
        let pairs = self.examples.pairs.iter().take(count).enumerate();
        pairs
            .map(|(number, (input, _))| {
                let input = self.pictures(input, self.config.input_channels, &self.device);
                let inference = Inference::protocol(seed);
                let mut stream = inference.stream(number as u64);
                weights::values(network.forward(input, inference.statistics, stream.as_mut()))
            })
            .collect()
    }
}

impl Stage for Gan {
    type Batch = Batch;
    const NAME: &'static str = STAGE;

    fn step(&mut self, batch: Batch, at: &At) -> Result<Scalars> {
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
        // Made anew for the generator's step where it is computed twice: the same masks.
        let dropout = |part: usize| -> Stream { at.rng(&format!("dropout/{part}")) };
        let mut waiting = Vec::new();
        let mut gathered = Gathered::default();
        let halves = [&batch.a, &batch.b].map(|values| values.chunks(values.len() / parts));
        let [inputs, targets] = halves;
        for (part, (input, target)) in inputs.zip(targets).enumerate() {
            let input = self.pictures(input, config.input_channels, &autodiff);
            let target = self.pictures(target, config.output_channels, &autodiff);
            let mut stream = dropout(part);
            // With several parts their graphs would not fit into memory together.
            let fake = if parts == 1 {
                self.generator.network().forward(
                    input.clone(),
                    Statistics::Update,
                    Some(&mut stream),
                )
            } else {
                self.generator
                    .still()
                    .forward(input.clone(), Statistics::Update, Some(&mut stream))
            };
            let judge = self.discriminator.network();
            let together = |output: Tensor<4>| Tensor::cat(vec![input.clone(), output], 1);
            let made = judge.forward(together(fake.clone().detach()), Statistics::Update);
            let real = judge.forward(together(target.clone()), Statistics::Update);
            let middle = Some(mode.middle());
            signals(&mut scalars, at, [&real, &made], middle, [&target, &fake]);
            let (made, real) = (mode.fake(made), mode.real(real));
            scalars.add("D_fake", made.clone());
            scalars.add("D_real", real.clone());
            gathered = self
                .discriminator
                .gather(share((made + real) * 0.5), gathered);
            waiting.push((input, target, (parts == 1).then_some(fake)));
        }
        let moved = self.discriminator.apply(gathered, at);
        moved.tell(&mut scalars, ["lr_d", "grad_norm_d"]);

        let judge = self.discriminator.still();
        let mut gathered = Gathered::default();
        for (part, (input, target, fake)) in waiting.into_iter().enumerate() {
            // The running statistics have seen it.
            let fake = fake.unwrap_or_else(|| {
                let mut stream = dropout(part);
                self.generator.network().forward(
                    input.clone(),
                    Statistics::Batch,
                    Some(&mut stream),
                )
            });
            let pair = Tensor::cat(vec![input, fake.clone()], 1);
            let adversarial = mode.real(judge.forward(pair, Statistics::Update));
            let distance = l1(fake, target) * config.lambda_l1;
            scalars.add("G_GAN", adversarial.clone());
            scalars.add("G_L1", distance.clone());
            gathered = self
                .generator
                .gather(share(adversarial + distance), gathered);
        }
        let moved = self.generator.apply(gathered, at);
        moved.tell(&mut scalars, ["lr_g", "grad_norm_g"]);
        Ok(scalars)
    }

    fn preview(&self, at: &At) -> Result<(Vec<Panel>, Scalars)> {
        let side = self.config.crop_size;
        let fakes = self.translated(SHOWN, at.seed);
        let rows: Vec<Vec<RgbImage>> = self
            .examples
            .pairs
            .iter()
            .zip(&fakes)
            .map(|((input, target), fake)| {
                [input, fake, target]
                    .map(|values| to_picture(values, side))
                    .into()
            })
            .collect();
        let panel = sheet("step", &["real_A", "fake_B", "real_B"], &rows);
        Ok((panel.into_iter().collect(), Scalars::default()))
    }

    fn validate(&self, at: &At) -> Result<Scalars> {
        let mut scalars = Scalars::default();
        // There may be more, to be shown.
        let count = self.config.validation.min(self.examples.pairs.len());
        let pairs = &self.examples.pairs[..count];
        if pairs.is_empty() {
            return Ok(scalars);
        }
        let fakes = self.translated(pairs.len(), at.seed);
        let side = self.config.crop_size;
        let view = View {
            data_range: 255.0,
            colour: Colour::Channels,
            crop_border: 0,
        };
        let (mut distance, mut similarity) = (0.0, 0.0);
        for (fake, (_, target)) in fakes.iter().zip(pairs) {
            distance += mean_distance(fake, target);
            // On bytes, as `eval ssim` sees the written pictures: it is another number on [-1, 1].
            let [fake, target] = [fake, target].map(|values| planar(&to_picture(values, side), 3));
            let [fake, target] = [&fake, &target].map(|bytes| Picture::bytes(3, side, side, bytes));
            similarity += Pair::new(&fake, &target, &view)?.ssim(Rule::Torchmetrics)?;
        }
        scalars.put("test_L1", distance / pairs.len() as f64);
        scalars.put("test_SSIM", similarity / pairs.len() as f64);
        Ok(scalars)
    }

    fn activations(&self) -> u64 {
        let (config, side) = (&self.config, self.config.crop_size);
        // The generator's graph waits while the discriminator sees both pairs.
        let networks = generator::shape(config).activations(side)
            + 2 * discriminator::shape(config).activations(side);
        networks + 4 * ((config.input_channels + config.output_channels) * side * side) as u64
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
        visit("generator", &mut self.generator)?;
        visit("discriminator", &mut self.discriminator)
    }
}

/// `pix2pix train`.
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
            launch.say("the file holds one generator: the discriminator begins with fresh weights");
        }
    }
    if launch.is_dry(&gan.describe())? {
        return Ok(());
    }
    let source = Data::open(config)?;
    let examples = Examples::open(config, config.validation.max(SHOWN))?;
    let has_tests = !examples.pairs.is_empty();
    let broken_tests = examples.broken.clone();
    let mut gan = gan.with_examples(examples);
    let is_procedural = config.training.data.is_empty();
    let extra = Metadata::from([("value_range".to_owned(), "[-1, 1]".to_owned())]);
    let (mut run, plan) = launch.start(&source, is_procedural.then_some(PROCEDURAL), extra)?;
    run.console().left_out("pairs", source.broken());
    run.console().left_out("test pairs", &broken_tests);
    if !has_tests {
        run.console().warn(&format!(
            "{} has no test pairs (test/, val/ or testA/ and testB/): there will be no sample pictures, and no \
             checkpoint is chosen as the best",
            config.training.data
        ));
    }
    fit(&mut gan, &source, &plan, &mut run)
}
