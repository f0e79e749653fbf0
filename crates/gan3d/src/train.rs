//! What one batch does to the two players (Wu et al. 2016, section 3.1): the discriminator moves only while it is not
//! too good, the generator always.

use crate::config::{Config, Flags};
use crate::data::{Batch, Data, PROCEDURAL};
use crate::discriminator::Discriminator;
use crate::generator::Generator;
use crate::picture;
use crate::volume::Volume;
use anyhow::{Context, Result};
use burn::tensor::{Device, Tensor, TensorData, activation::sigmoid};
use gan_core::checkpoint::{Checkpoint, PartFile};
use gan_core::command::{Launch, TrainCommand};
use gan_core::device;
use gan_core::failure::{Kind, failure};
use gan_core::init::{Initial, initialise};
use gan_core::layers::Statistics;
use gan_core::learner::{Ema, Gathered, Learner, begin_from};
use gan_core::loss::{GeneratorLoss, discriminator_loss};
use gan_core::random::Stream;
use gan_core::stage::{At, Panel, Scalars, Stage, fit};
use gan_core::technique::signals;
use gan_core::weights::{self, HostTensor, Metadata, Tensors, WeightFile};
use image::RgbImage;
use shapes::voxels::Voxels;
use std::path::Path;

/// The name of the only stage.
pub const STAGE: &str = "gan";

/// Shapes in a picture of samples or reals.
const SHOWN: usize = 16;

/// Whether the discriminator may move: what it got right of the last batch.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Gate {
    /// The share of the last batch, reals and fakes, that the discriminator got right; 0 before the first.
    pub accuracy: f32,
}

impl Checkpoint for Gate {
    fn files(&self) -> Vec<PartFile> {
        let accuracy = HostTensor::vector(vec![self.accuracy]);
        vec![PartFile::weights(Tensors::from([(
            "accuracy".to_owned(),
            accuracy,
        )]))]
    }

    fn restore(&mut self, read: &mut dyn FnMut(&str) -> Result<WeightFile>) -> Result<()> {
        let tensors = read("")?.tensors;
        let values = tensors.get("accuracy").map(|tensor| &tensor.values[..]);
        match values {
            Some([accuracy]) if (0.0..=1.0).contains(accuracy) => self.accuracy = *accuracy,
            _ => {
                return Err(failure(
                    Kind::Checkpoint,
                    "tensor accuracy is not one number in [0, 1]",
                ));
            }
        }
        Ok(())
    }
}

/// Generator against discriminator.
#[derive(Debug)]
pub struct Gan {
    config: Config,
    generator: Learner<Generator>,
    discriminator: Learner<Discriminator>,
    average: Ema<Generator>,
    gate: Gate,
    device: Device,
}

impl Gan {
    /// Both players with fresh weights from the run's seed: N(0, 0.02), as in DCGAN.
    pub fn new(config: &Config, device: &Device) -> Self {
        let seed = config.training.seed;
        let autodiff = device.clone().autodiff();
        let generator = Generator::new(config, &autodiff);
        let generator = initialise(generator, Initial::Dcgan, seed, "generator");
        let discriminator = Discriminator::new(config, &autodiff);
        let discriminator = initialise(discriminator, Initial::Dcgan, seed, "discriminator");
        let (rule, schedule) = (config.rule(), config.schedule());
        Self {
            average: Ema::new(&generator, config.ema_decay),
            generator: Learner::new(generator, rule, config.lr_g, schedule),
            discriminator: Learner::new(discriminator, rule, config.lr_d, schedule),
            gate: Gate { accuracy: 0.0 },
            config: config.clone(),
            device: device.clone(),
        }
    }

    /// Takes the weights of both players, or of the generator alone, from a checkpoint.
    ///
    /// # Errors
    /// When the file is missing or of another network.
    pub fn init_from(&mut self, place: &Path, out: &Path) -> Result<()> {
        let (generator, discriminator) = (&mut self.generator, &mut self.discriminator);
        begin_from(place, out, ["gan3d", STAGE], generator, discriminator)?;
        self.average.reset(self.generator.network());
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

    /// What the discriminator got right of the last batch.
    pub fn gate(&self) -> Gate {
        self.gate
    }

    fn volumes(&self, values: Vec<f32>) -> Tensor<5> {
        let side = self.config.resolution;
        let count = values.len() / self.config.voxels();
        let data = TensorData::new(values, [count, 1, side, side, side]);
        Tensor::from_data(data, &self.device.clone().autodiff())
    }

    fn latent(&self, stream: &mut Stream, count: usize) -> Tensor<2> {
        let width = self.config.latent_dim;
        let values = self.config.prior.draw(stream, count * width);
        let data = TensorData::new(values, [count, width]);
        Tensor::from_data(data, &self.device.clone().autodiff())
    }
}

/// How many logits are on the right side.
fn right(logits: &Tensor<2>, are_real: bool) -> usize {
    let logits = weights::values(logits.clone().inner());
    logits
        .iter()
        .filter(|logit| (**logit >= 0.0) == are_real)
        .count()
}

impl Stage for Gan {
    type Batch = Batch;
    const NAME: &'static str = STAGE;

    fn step(&mut self, batch: Batch, at: &At) -> Result<Scalars> {
        at.note("real", || batch.clone());
        let mut scalars = Scalars::default();
        let parts = self.config.training.accumulate;
        let share = |loss: Tensor<1>| match parts {
            1 => loss,
            parts => loss / parts as f64,
        };
        let moves = f64::from(self.gate.accuracy) <= self.config.gate;
        let mut for_latent = at.rng("latent");
        let mut waiting = Vec::new();
        let mut gathered = Gathered::default();
        let (mut hits, mut seen) = (0, 0);
        for part in batch.chunks(batch.len() / parts) {
            let real = self.volumes(part.to_vec());
            let count = real.dims()[0];
            let latent = self.latent(&mut for_latent, count);
            let is_live = parts == 1;
            let network = if is_live {
                self.generator.network().clone()
            } else {
                // With several parts their graphs would not fit into memory together.
                self.generator.still()
            };
            let fake = network.forward(latent.clone(), Statistics::Update);
            let judge = if moves {
                self.discriminator.network().clone()
            } else {
                self.discriminator.still()
            };
            // Reals and fakes each in a batch of their own, as batch normalisation needs here.
            let logits_real = judge.forward(real.clone(), Statistics::Update);
            let logits_fake = judge.forward(fake.clone().detach(), Statistics::Update);
            let logits = [&logits_real, &logits_fake];
            signals(&mut scalars, at, logits, Some(0.0), [&real, &fake]);
            waiting.push((latent, is_live.then_some(fake)));
            hits += right(&logits_real, true) + right(&logits_fake, false);
            seen += 2 * count;
            scalars.add("d_real", sigmoid(logits_real.clone()).mean());
            scalars.add("d_fake", sigmoid(logits_fake.clone()).mean());
            let loss = discriminator_loss(logits_real, logits_fake, self.config.label_smoothing);
            scalars.add("loss_d", loss.clone());
            if moves {
                gathered = self.discriminator.gather(share(loss), gathered);
            }
        }
        if moves {
            let moved = self.discriminator.apply(gathered, at);
            moved.tell(&mut scalars, ["lr_d", "grad_norm_d"]);
        }
        self.gate.accuracy = hits as f32 / seen as f32;
        scalars.put("accuracy_d", f64::from(self.gate.accuracy));
        scalars.put("gate", f64::from(u8::from(moves)));

        let judge = self.discriminator.still();
        let mut gathered = Gathered::default();
        for (latent, fake) in waiting {
            // The running statistics have seen these fakes.
            let make = || self.generator.network().forward(latent, Statistics::Batch);
            let fake = fake.unwrap_or_else(make);
            scalars.add("occupancy", fake.clone().mean());
            let logits = judge.forward(fake, Statistics::Update);
            let loss = GeneratorLoss::NonSaturating.of(logits);
            scalars.add("loss_g", loss.clone());
            gathered = self.generator.gather(share(loss), gathered);
        }
        let moved = self.generator.apply(gathered, at);
        moved.tell(&mut scalars, ["lr_g", "grad_norm_g"]);
        let updates = self.generator.updates();
        self.average.follow(self.generator.network(), updates);
        Ok(scalars)
    }

    fn preview(&self, at: &At) -> Result<(Vec<Panel>, Scalars)> {
        let width = self.config.latent_dim;
        let mut stream = Stream::new(at.seed, "preview", 0);
        let noise = self.config.prior.draw(&mut stream, SHOWN * width);
        let volumes = sample(self.average.network(), noise, &self.config, &self.device);
        let shapes: Vec<Voxels> = volumes
            .iter()
            .map(|volume| volume.voxels(picture::THRESHOLD))
            .collect();
        let mut scalars = Scalars::default();
        let state = picture::Variety::of(&shapes);
        scalars.put("sample_occupancy", state.occupancy);
        scalars.put("sample_distance", state.distance);
        // Before the first step, they are noise.
        if at.step > 0
            && let Some(line) = state.trouble(shapes.len())
        {
            scalars.warn(line);
        }
        let panel = Panel {
            name: "step",
            picture: picture::sheet(&shapes),
        };
        Ok((vec![panel], scalars))
    }

    fn activations(&self) -> u64 {
        let config = &self.config;
        // Twice: what a convolution gives, and what normalisation and activation make of it.
        let layers = |width: usize| -> u64 {
            let mut total = 0;
            let (mut side, mut channels) = (config.resolution as u64 / 2, width as u64);
            while side >= config.start as u64 {
                total += 2 * channels * side.pow(3);
                (side, channels) = (side / 2, channels * 2);
            }
            total
        };
        // The generator's graph waits while the discriminator sees reals and fakes.
        layers(config.width_g) + 2 * layers(config.width_d) + 4 * config.voxels() as u64
    }

    fn reals(&self, batch: &Batch) -> Option<RgbImage> {
        let side = self.config.resolution;
        let shapes: Vec<Voxels> = batch
            .chunks_exact(self.config.voxels())
            .take(SHOWN)
            .map(|values| Volume::new(side, values.to_vec()).voxels(picture::THRESHOLD))
            .collect();
        Some(picture::sheet(&shapes))
    }

    fn parts(
        &mut self,
        visit: &mut dyn FnMut(&str, &mut dyn Checkpoint) -> Result<()>,
    ) -> Result<()> {
        visit("generator", &mut self.generator)?;
        visit("discriminator", &mut self.discriminator)?;
        visit("gate", &mut self.gate)?;
        let network = self.generator.network();
        self.average.visit("generator_ema", network, visit)
    }
}

/// Volumes for flat latent vectors. Running statistics make each one independent of the others.
pub(crate) fn sample(
    generator: &Generator,
    latent: Vec<f32>,
    config: &Config,
    device: &Device,
) -> Vec<Volume> {
    let rows = latent.len() / config.latent_dim;
    let latent = TensorData::new(latent, [rows, config.latent_dim]);
    let latent = Tensor::<2>::from_data(latent, device);
    let values = weights::values(generator.forward(latent, Statistics::Running));
    values
        .chunks_exact(config.voxels())
        .map(|values| Volume::new(config.resolution, values.to_vec()))
        .collect()
}

/// `gan3d train`.
///
/// # Errors
/// As [`gan_core::stage::fit`], and [`Kind::Usage`] for a wrong configuration.
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
    let extra = Metadata::from([("value_range".to_owned(), "[0, 1]".to_owned())]);
    let (mut run, plan) = launch.start(&source, is_procedural.then_some(PROCEDURAL), extra)?;
    run.console().left_out("files", &source.broken);
    if let Some(line) = &source.overlooked {
        run.console().warn(line);
    }
    fit(&mut gan, &source, &plan, &mut run)
}
