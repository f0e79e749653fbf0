//! What one batch does to the two players: reals and detached fakes for the discriminator, then the
//! same fakes, live, for the generator (pytorch/examples' order).

use crate::config::{Config, Flags};
use crate::data::{Batch, Data, PROCEDURAL};
use crate::discriminator::Discriminator;
use crate::generator::Generator;
use anyhow::{Context, Result};
use burn::tensor::{Device, Tensor, TensorData, activation::sigmoid};
use gan_core::checkpoint::Checkpoint;
use gan_core::command::{Launch, TrainCommand};
use gan_core::history::HistoricalAverage;
use gan_core::init::{Initial, initialise};
use gan_core::layers::Statistics;
use gan_core::learner::{Ema, Gathered, Learner, begin_from};
use gan_core::random::Stream;
use gan_core::stage::{At, Panel, Scalars, Stage, fit};
use gan_core::technique::signals;
use gan_core::weights::{self, Metadata};
use gan_core::{device, images, picture};
use image::RgbImage;

/// The name of the only stage.
pub const STAGE: &str = "gan";

/// Generator against discriminator.
#[derive(Debug)]
pub struct Gan {
    config: Config,
    generator: Learner<Generator>,
    discriminator: Learner<Discriminator>,
    average: Ema<Generator>,
    histories: Option<(
        HistoricalAverage<Generator>,
        HistoricalAverage<Discriminator>,
    )>,
    device: Device,
}

impl Gan {
    /// Both players with fresh weights from the run's seed: N(0, 0.02) (section 4).
    pub fn new(config: &Config, device: &Device) -> Self {
        let seed = config.training.seed;
        let autodiff = device.clone().autodiff();
        let generator = Generator::new(config, &autodiff);
        let generator = initialise(generator, Initial::Dcgan, seed, "generator");
        let discriminator = Discriminator::new(config, &autodiff);
        let discriminator = initialise(discriminator, Initial::Dcgan, seed, "discriminator");
        let (rate_g, rate_d) = config.learning_rates();
        let (rule, schedule) = (config.rule(), config.schedule());
        let most = config.techniques.clip_gradients;
        let has_histories = config.techniques.historical_averaging > 0.0;
        Self {
            average: Ema::new(&generator, config.ema_decay),
            histories: has_histories.then(|| {
                (
                    HistoricalAverage::new(&generator),
                    HistoricalAverage::new(&discriminator),
                )
            }),
            generator: Learner::new(generator, rule, rate_g, schedule).clipped(most),
            discriminator: Learner::new(discriminator, rule, rate_d, schedule).clipped(most),
            config: config.clone(),
            device: device.clone(),
        }
    }

    /// Takes the weights of both players, or of the generator alone, from a checkpoint.
    ///
    /// # Errors
    /// When the file is missing or of another network.
    pub fn init_from(&mut self, place: &std::path::Path, out: &std::path::Path) -> Result<()> {
        let (generator, discriminator) = (&mut self.generator, &mut self.discriminator);
        begin_from(place, out, ["dcgan", STAGE], generator, discriminator)?;
        self.average.reset(self.generator.network());
        if self.histories.is_some() {
            self.histories = Some((
                HistoricalAverage::new(self.generator.network()),
                HistoricalAverage::new(self.discriminator.network()),
            ));
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

    fn pictures(&self, values: Vec<f32>) -> Tensor<4> {
        let (channels, side) = (self.config.channels, self.config.image_size);
        let count = values.len() / (channels * side * side);
        let data = TensorData::new(values, [count, channels, side, side]);
        Tensor::from_data(data, &self.device.clone().autodiff())
    }

    fn latent(&self, stream: &mut Stream, count: usize) -> Tensor<2> {
        let width = self.config.latent_dim;
        let values = self.config.prior().draw(stream, count * width);
        let data = TensorData::new(values, [count, width]);
        Tensor::from_data(data, &self.device.clone().autodiff())
    }
}

impl Stage for Gan {
    type Batch = Batch;
    const NAME: &'static str = STAGE;

    fn step(&mut self, batch: Batch, at: &At) -> Result<Scalars> {
        at.note("real", || batch.clone());
        let mut scalars = Scalars::default();
        let techniques = &self.config.techniques;
        let (channels, side) = (self.config.channels, self.config.image_size);
        let size = [channels, side, side];
        let generator_moves = at.step % self.config.n_critic == self.config.n_critic - 1;
        let parts = self.config.training.accumulate;
        let share = |loss: Tensor<1>| {
            if parts == 1 {
                loss
            } else {
                loss / parts as f64
            }
        };
        let mut for_latent = at.rng("latent");
        let (mut view_real, mut view_fake) =
            (techniques.view(at, "real"), techniques.view(at, "fake"));
        // What the generator's step needs of each part: the fakes with their graph, where all fit into
        // memory, or what they are made of; and the reals as they were shown, where its loss looks at them.
        let mut waiting = Vec::new();
        let mut gathered = Gathered::default();
        for part in batch.chunks(batch.len() / parts) {
            let real = self.pictures(part.to_vec());
            let latent = self.latent(&mut for_latent, real.dims()[0]);
            let is_live = generator_moves && parts == 1;
            let fake = if is_live {
                self.generator
                    .network()
                    .forward(latent.clone(), Statistics::Update)
            } else {
                self.generator
                    .still()
                    .forward(latent.clone(), Statistics::Update)
            };
            let shown_real = view_real.of(real.clone(), size);
            let shown_fake = view_fake.of(fake.clone().detach(), size);
            let discriminator = self.discriminator.network();
            // Reals and fakes each in a batch of their own, as batch normalisation needs here.
            let seen_real = discriminator.see(shown_real.clone(), Statistics::Update);
            let seen_fake = discriminator.see(shown_fake.clone(), Statistics::Update);
            let logits = [&seen_real.logits, &seen_fake.logits];
            scalars.add("d_real", sigmoid(logits[0].clone()).mean());
            scalars.add("d_fake", sigmoid(logits[1].clone()).mean());
            signals(
                &mut scalars,
                at,
                logits,
                techniques.middle(),
                [&real, &fake],
            );
            let mut loss = techniques.discriminator_loss(&seen_real, &seen_fake);
            scalars.add("loss_d", loss.clone());
            let look = |samples: Tensor<4>| discriminator.forward(samples, Statistics::Batch);
            if let Some(penalty) = techniques.penalty(&look, &shown_real, &shown_fake, at) {
                scalars.add("penalty_d", penalty.clone());
                loss = loss + penalty;
            }
            if let Some((_, history)) = &self.histories {
                let distance = history.distance(discriminator);
                loss = loss + distance * techniques.historical_averaging;
            }
            gathered = self.discriminator.gather(share(loss), gathered);
            let compared = techniques.needs_reals().then_some(shown_real);
            waiting.push((latent, is_live.then_some(fake), compared));
        }
        let moved = self.discriminator.apply(gathered, at);
        moved.tell(&mut scalars, ["lr_d", "grad_norm_d"]);
        if techniques.clip_weights > 0.0 {
            self.discriminator.clip_weights(techniques.clip_weights);
        }
        if let Some((_, history)) = &mut self.histories {
            history.follow(self.discriminator.network());
        }

        if generator_moves {
            let mut view = techniques.view(at, "generator");
            let judge = self.discriminator.still();
            let mut gathered = Gathered::default();
            for (latent, fake, real) in waiting {
                let generator = self.generator.network();
                // The running statistics have seen these fakes.
                let make = || generator.forward(latent, Statistics::Batch);
                let shown = view.of(fake.unwrap_or_else(make), size);
                let real = real.map(|real| judge.see(real, Statistics::Update));
                let fake = judge.see(shown, Statistics::Update);
                scalars.add("d_fake_after", sigmoid(fake.logits.clone()).mean());
                let mut loss = techniques.generator_loss(real, fake);
                scalars.add("loss_g", loss.clone());
                if let Some((history, _)) = &self.histories {
                    let distance = history.distance(generator);
                    loss = loss + distance * techniques.historical_averaging;
                }
                gathered = self.generator.gather(share(loss), gathered);
            }
            let moved = self.generator.apply(gathered, at);
            moved.tell(&mut scalars, ["lr_g", "grad_norm_g"]);
            let updates = self.generator.updates();
            self.average.follow(self.generator.network(), updates);
            if let Some((history, _)) = &mut self.histories {
                history.follow(self.generator.network());
            }
        }
        Ok(scalars)
    }

    fn preview(&self, at: &At) -> Result<(Vec<Panel>, Scalars)> {
        let width = self.config.latent_dim;
        let mut stream = Stream::new(at.seed, "preview", 0);
        let noise = self.config.prior().draw(&mut stream, 64 * width);
        let pictures = sample(self.average.network(), noise, &self.config, &self.device);
        let panel = Panel {
            name: "step",
            picture: picture::grid(&pictures, 8, 2),
        };
        Ok((vec![panel], Scalars::default()))
    }

    fn activations(&self) -> u64 {
        let config = &self.config;
        let (image, base) = (config.image_size as u64, 4);
        // Twice: what a convolution gives, and what normalisation and activation make of it.
        let layers = |width: usize| -> u64 {
            let mut total = 0;
            let (mut side, mut channels) = (image / 2, width as u64);
            while side >= base {
                total += 2 * channels * side * side;
                (side, channels) = (side / 2, channels * 2);
            }
            total
        };
        let picture = config.channels as u64 * image * image;
        // The generator's graph waits while the discriminator sees reals and fakes.
        layers(config.width_g) + 2 * layers(config.width_d) + 4 * picture
    }

    fn reals(&self, batch: &Batch) -> Option<RgbImage> {
        let size = self.config.channels * self.config.image_size.pow(2);
        let count = (64 * size).min(batch.len());
        Some(picture::grid(
            &to_pictures(&batch[..count], &self.config),
            8,
            2,
        ))
    }

    fn parts(
        &mut self,
        visit: &mut dyn FnMut(&str, &mut dyn Checkpoint) -> Result<()>,
    ) -> Result<()> {
        visit("generator", &mut self.generator)?;
        visit("discriminator", &mut self.discriminator)?;
        let network = self.generator.network();
        if let Some((generator, discriminator)) = &mut self.histories {
            visit("generator_history", generator)?;
            visit("discriminator_history", discriminator)?;
        }
        self.average.visit("generator_ema", network, visit)
    }
}

/// Pictures for flat latent vectors. Running statistics make each picture independent of the others.
pub(crate) fn sample(
    generator: &Generator,
    latent: Vec<f32>,
    config: &Config,
    device: &Device,
) -> Vec<RgbImage> {
    let rows = latent.len() / config.latent_dim;
    let latent = TensorData::new(latent, [rows, config.latent_dim]);
    let latent = Tensor::<2>::from_data(latent, device);
    let samples = generator.forward(latent, Statistics::Running);
    to_pictures(&weights::values(samples), config)
}

pub(crate) fn to_pictures(values: &[f32], config: &Config) -> Vec<RgbImage> {
    let (channels, side) = (config.channels, config.image_size);
    values
        .chunks_exact(channels * side * side)
        .map(|picture| images::from_unit(picture, channels, side, side))
        .collect()
}

/// `dcgan train`.
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
    }
    if launch.is_dry(&gan.describe())? {
        return Ok(());
    }
    let source = Data::open(config)?;
    let is_procedural = config.training.data.is_empty();
    let extra = Metadata::from([("value_range".to_owned(), "[-1, 1]".to_owned())]);
    let (mut run, plan) = launch.start(&source, is_procedural.then_some(PROCEDURAL), extra)?;
    run.console().left_out("pictures", &source.broken);
    fit(&mut gan, &source, &plan, &mut run)
}
