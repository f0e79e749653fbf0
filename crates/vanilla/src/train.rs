//! What one batch does to the two players (Algorithm 1 of Goodfellow et al. 2014).

use crate::config::{Config, Dataset, Flags, Start};
use crate::data::{self, Batch, Data, PROCEDURAL};
use crate::discriminator::Discriminator;
use crate::generator::Generator;
use anyhow::{Context, Result};
use burn::tensor::{Device, Tensor, TensorData, activation::sigmoid};
use gan_core::checkpoint::Checkpoint;
use gan_core::command::{Launch, TrainCommand};
use gan_core::history::HistoricalAverage;
use gan_core::layers::Statistics;
use gan_core::learner::{Ema, Gathered, Learner, begin_from};
use gan_core::random::{Prior, Stream};
use gan_core::stage::{At, Panel, Scalars, Source, Stage, fit};
use gan_core::technique::signals;
use gan_core::weights::{self, Metadata, rebuild};
use gan_core::{device, images, picture};
use image::RgbImage;

/// The name of the only stage.
pub const STAGE: &str = "gan";

/// Samples on which the ring is measured.
const RING_SAMPLES: usize = 2500;

/// Generator against discriminator.
#[derive(Debug)]
pub struct Gan {
    config: Config,
    size: (usize, usize),
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
    /// Both players with fresh weights from the run's seed. `size` is a sample's height and width;
    /// `mean` the mean of each pixel in [0, 1], for the output bias of the 2014 networks.
    pub fn new(
        config: &Config,
        size: (usize, usize),
        mean: Option<&[f64]>,
        epoch_length: usize,
        device: &Device,
    ) -> Self {
        let width = size.0 * size.1;
        let seed = config.training.seed;
        let autodiff = device.clone().autodiff();
        let (initial_g, initial_d) = config.initial();
        let generator = Generator::new(config, width, &autodiff);
        let mut generator = generator.initialised(initial_g, seed);
        if let (Start::Goodfellow, Some(mean)) = (config.start, mean) {
            generator = with_output_bias(generator, mean);
        }
        let discriminator = Discriminator::new(config, width, &autodiff);
        let discriminator = discriminator.initialised(initial_d, seed);
        let (rate_g, rate_d) = config.learning_rates();
        let schedule = config.schedule(epoch_length);
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
            generator: Learner::new(generator, config.rule(), rate_g, schedule).clipped(most),
            discriminator: Learner::new(discriminator, config.rule(), rate_d, schedule)
                .clipped(most),
            config: config.clone(),
            size,
            device: device.clone(),
        }
    }

    /// Takes the weights of both players, or of the generator alone, from a checkpoint.
    ///
    /// # Errors
    /// When the file is missing or of another network.
    pub fn init_from(&mut self, place: &std::path::Path, out: &std::path::Path) -> Result<()> {
        let (generator, discriminator) = (&mut self.generator, &mut self.discriminator);
        begin_from(place, out, ["vanilla", STAGE], generator, discriminator)?;
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

    fn tensor(&self, values: Vec<f32>, columns: usize) -> Tensor<2> {
        let rows = values.len() / columns;
        let data = TensorData::new(values, [rows, columns]);
        Tensor::from_data(data, &self.device.clone().autodiff())
    }

    fn latent(&self, stream: &mut Stream, count: usize) -> Tensor<2> {
        let width = self.config.latent_dim;
        self.tensor(self.config.prior.draw(stream, count * width), width)
    }
}

/// The generator's output starts at the mean picture: pylearn2's `init_bias_target_marginals`.
fn with_output_bias(generator: Generator, mean: &[f64]) -> Generator {
    rebuild(generator, &mut |path, _, _| {
        path.ends_with("output.bias").then(|| {
            mean.iter()
                .map(|p| {
                    // As in pylearn2: probabilities are kept away from 0 and 1.
                    let p = p.clamp(1e-7, 1.0 - 1e-7);
                    (p / (1.0 - p)).ln() as f32
                })
                .collect()
        })
    })
}

impl Stage for Gan {
    type Batch = Batch;
    const NAME: &'static str = STAGE;

    fn step(&mut self, batch: Batch, at: &At) -> Result<Scalars> {
        let columns = self.size.0 * self.size.1;
        let count = batch.len() / columns;
        at.note("real", || batch.clone());
        let mut scalars = Scalars::default();
        let generator_moves = at.step % self.config.n_critic == self.config.n_critic - 1;

        let parts = self.config.training.accumulate;
        let share = |loss: Tensor<1>| {
            if parts == 1 {
                loss
            } else {
                loss / parts as f64
            }
        };
        let techniques = &self.config.techniques;
        let size = [1, self.size.0, self.size.1];
        let mut for_latent = at.rng("latent");
        let (mut view_real, mut view_fake) =
            (techniques.view(at, "real"), techniques.view(at, "fake"));
        let (mut drop_real, mut drop_fake) = (at.rng("dropout/real"), at.rng("dropout/fake"));
        // What the generator's step needs of each part: the fakes with their graph, where all fit into
        // memory, or what they are made of; and the reals as they were shown, where its loss looks at them.
        let mut waiting = Vec::new();
        let mut gathered = Gathered::default();
        for part in batch.chunks(count / parts * columns) {
            let latent = self.latent(&mut for_latent, part.len() / columns);
            let is_live = generator_moves && parts == 1;
            let fake = if is_live {
                let generator = self.generator.network();
                generator.make(latent.clone(), Statistics::Update)
            } else {
                let generator = self.generator.still();
                generator.make(latent.clone(), Statistics::Update)
            };
            let real = self.tensor(part.to_vec(), columns);
            let shown_real = view_real.of(real.clone(), size);
            let shown_fake = view_fake.of(fake.clone().detach(), size);
            let discriminator = self.discriminator.network();
            let update = Statistics::Update;
            let seen_real = discriminator.see(shown_real.clone(), update, Some(&mut drop_real));
            let seen_fake = discriminator.see(shown_fake.clone(), update, Some(&mut drop_fake));
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
            let look =
                |samples: Tensor<2>| discriminator.see(samples, Statistics::Batch, None).logits;
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
            let (mut view, mut drop) = (
                techniques.view(at, "generator"),
                at.rng("dropout/generator"),
            );
            let judge = self.discriminator.still();
            let mut gathered = Gathered::default();
            for (latent, fake, real) in waiting {
                let generator = self.generator.network();
                // The running statistics have seen these fakes.
                let make = || generator.make(latent, Statistics::Batch);
                let shown = view.of(fake.unwrap_or_else(make), size);
                let update = Statistics::Update;
                let real = real.map(|real| judge.see(real, update, Some(&mut drop)));
                let fake = judge.see(shown, update, Some(&mut drop));
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
        let mut scalars = Scalars::default();
        let is_ring = self.config.dataset == Dataset::Ring;
        let count = if is_ring { RING_SAMPLES } else { 64 };
        let width = self.config.latent_dim;
        let noise = self
            .config
            .prior
            .draw(&mut Stream::new(at.seed, "preview", 0), count * width);
        let samples = sample(self.average.network(), noise, width, &self.device);
        let picture = if is_ring {
            let ring = data::ring(&self.config);
            let coverage = ring.coverage(&samples);
            scalars.put("modes", coverage.modes as f64);
            scalars.put("high_quality", coverage.high_quality);
            scalars.put("js_divergence", coverage.divergence);
            scatter(&samples, &self.config, &format!("step {}", at.step))
        } else {
            sheet(&samples, self.size, &self.config)
        };
        let panel = Panel {
            name: "step",
            picture,
        };
        Ok((vec![panel], scalars))
    }

    fn activations(&self) -> u64 {
        let sum = |widths: &[usize]| widths.iter().sum::<usize>() as u64;
        let picture = (self.size.0 * self.size.1) as u64;
        let config = &self.config;
        let hidden = sum(&config.generator_hidden) + 2 * sum(&config.discriminator_hidden);
        2 * hidden + 4 * picture
    }

    fn reals(&self, batch: &Batch) -> Option<RgbImage> {
        let count = (64 * self.size.0 * self.size.1).min(batch.len());
        Some(match self.config.dataset {
            Dataset::Ring => scatter(batch, &self.config, "data"),
            Dataset::Digits => sheet(&batch[..count], self.size, &self.config),
        })
    }

    fn parts(
        &mut self,
        visit: &mut dyn FnMut(&str, &mut dyn Checkpoint) -> Result<()>,
    ) -> Result<()> {
        visit("generator", &mut self.generator)?;
        visit("discriminator", &mut self.discriminator)?;
        if let Some((generator, discriminator)) = &mut self.histories {
            visit("generator_history", generator)?;
            visit("discriminator_history", discriminator)?;
        }
        let network = self.generator.network();
        self.average.visit("generator_ema", network, visit)
    }
}

/// Flat samples for flat latent vectors of `width` values each.
pub(crate) fn sample(
    generator: &Generator,
    latent: Vec<f32>,
    width: usize,
    device: &Device,
) -> Vec<f32> {
    let rows = latent.len() / width;
    let latent = Tensor::<2>::from_data(TensorData::new(latent, [rows, width]), device);
    weights::values(generator.forward(latent))
}

/// As [`sample`], one latent vector after the other: which of several generators makes a sample then depends on its own
/// noise, not on its place among others.
pub(crate) fn sample_each(
    generator: &Generator,
    latents: &[Vec<f32>],
    device: &Device,
) -> Vec<f32> {
    let parts = generator.parts();
    if parts == 1 {
        let width = latents.first().map_or(1, Vec::len);
        return sample(generator, latents.concat(), width, device);
    }
    let mut samples = Vec::new();
    for latent in latents {
        let bits = latent.iter().fold(0u32, |sum, value| {
            sum.wrapping_mul(31).wrapping_add(value.to_bits())
        });
        let part = (bits >> 8) as usize % parts;
        let latent = TensorData::new(latent.clone(), [1, latent.len()]);
        let latent = Tensor::<2>::from_data(latent, device);
        let made = generator.make_by(part, latent, Statistics::Running);
        samples.extend(weights::values(made));
    }
    samples
}

/// Pictures from flat samples.
pub(crate) fn pictures(samples: &[f32], size: (usize, usize), config: &Config) -> Vec<RgbImage> {
    let (low, high) = config.value_range();
    samples
        .chunks_exact(size.0 * size.1)
        .map(|values| {
            let unit: Vec<f32> = values
                .iter()
                .map(|value| 2.0 * (value - low) / (high - low) - 1.0)
                .collect();
            images::from_unit(&unit, 1, size.0, size.1)
        })
        .collect()
}

fn sheet(samples: &[f32], size: (usize, usize), config: &Config) -> RgbImage {
    picture::grid(&pictures(samples, size, config), 8, 2)
}

/// A plot of points with the ring's centres.
pub(crate) fn scatter(points: &[f32], config: &Config, caption: &str) -> RgbImage {
    let ring = data::ring(config);
    let points: Vec<[f32; 2]> = points.chunks_exact(2).map(|p| [p[0], p[1]]).collect();
    let limit = (ring.radius * 1.5) as f32;
    picture::scatter(&points, &ring.centres(), limit, 400, caption)
}

/// What a weights file says beside its configuration.
pub(crate) fn extra(config: &Config, size: (usize, usize)) -> Metadata {
    let (low, high) = config.value_range();
    Metadata::from([
        ("value_range".to_owned(), format!("[{low}, {high}]")),
        ("sample_size".to_owned(), format!("{}x{}", size.0, size.1)),
    ])
}

/// `vanilla train`.
///
/// # Errors
/// As [`gan_core::stage::fit`], and [`gan_core::failure::Kind::Usage`] for a wrong configuration.
pub fn train(command: &TrainCommand<Flags>) -> Result<()> {
    let launch = Launch::<Config>::new(command)?;
    let config = &launch.config;
    let device = device::parse(&config.training.device)?;
    let source = Data::open(config)?;
    let mean = source.mean();
    let mut gan = Gan::new(
        config,
        source.size(),
        mean.as_deref(),
        source.len(),
        &device,
    );
    if let Some(place) = launch.init_from() {
        gan.init_from(place, launch.out())
            .with_context(|| format!("--init-from {}", place.display()))?;
    }
    if launch.is_dry(&gan.describe())? {
        return Ok(());
    }
    let is_procedural = config.dataset == Dataset::Digits && config.training.data.is_empty();
    let (mut run, plan) = launch.start(
        &source,
        is_procedural.then_some(PROCEDURAL),
        extra(config, source.size()),
    )?;
    fit(&mut gan, &source, &plan, &mut run)
}

/// The prior of a configuration, for generation.
pub(crate) fn prior(config: &Config) -> Prior {
    config.prior
}
