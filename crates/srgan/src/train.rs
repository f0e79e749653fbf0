//! What one batch does, in each of the two stages (section 3.2): first the generator alone learns from the squared
//! error of pixels, which is SRResNet; then, from there, it learns against a discriminator.

use crate::config::{Config, Flags};
use crate::data::{Batch, Data, Examples, PROCEDURAL};
use crate::discriminator::{self, Discriminator};
use crate::generator::{Generator, Shape};
use crate::recognise;
use crate::validation::{self, measure, sheet, to_picture};
use crate::vgg::Vgg;
use anyhow::{Context, Result};
use burn::tensor::{Device, Tensor, TensorData};
use gan_core::checkpoint::Checkpoint;
use gan_core::command::{Launch, TrainCommand};
use gan_core::device;
use gan_core::failure::{Kind, failure};
use gan_core::init::{Initial, initialise};
use gan_core::layers::Statistics;
use gan_core::learner::{Gathered, Learner};
use gan_core::located::{self, is_single_file};
use gan_core::loss::{GeneratorLoss, binary_cross_entropy};
use gan_core::optimizer::Schedule;
use gan_core::picture;
use gan_core::run::Run;
use gan_core::stage::{At, Best, Panel, Plan, Scalars, Source, Stage, fit};
use gan_core::technique::signals;
use gan_core::weights::{self, Metadata};
use image::RgbImage;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The stages in the order in which their generators are preferred: the last one first.
pub const STAGES: [&str; 2] = [Gan::NAME, Resnet::NAME];

/// Crops in the picture of a batch.
const SHOWN: usize = 8;

/// The generator alone, against the squared error.
#[derive(Debug)]
pub struct Resnet {
    config: Config,
    generator: Learner<Generator>,
    examples: Arc<Examples>,
    device: Device,
}

/// The generator, as the first stage left it, against a discriminator.
#[derive(Debug)]
pub struct Gan {
    config: Config,
    generator: Learner<Generator>,
    discriminator: Learner<Discriminator>,
    vgg: Option<Vgg>,
    examples: Arc<Examples>,
    device: Device,
}

/// The generator with fresh weights from the run's seed.
fn generator(config: &Config, schedule: Schedule, device: &Device) -> Learner<Generator> {
    let network = Generator::new(&Shape::new(config), &device.clone().autodiff());
    let network = network.initialised(config.training.seed);
    Learner::new(network, config.rule(), config.lr, schedule)
}

/// Crops of a batch on the device, `[count, 3, side, side]`.
fn crops(values: &[f32], side: usize, device: &Device) -> Tensor<4> {
    let count = values.len() / (3 * side * side);
    let data = TensorData::new(values.to_vec(), [count, 3, side, side]);
    Tensor::from_data(data, device)
}

/// Both sides of each part of a batch.
fn parts<'a>(batch: &'a Batch, config: &Config) -> impl Iterator<Item = (&'a [f32], &'a [f32])> {
    let parts = config.training.accumulate;
    let [low, high] = [&batch.low, &batch.high].map(|values| values.chunks(values.len() / parts));
    low.zip(high)
}

/// What a part of a batch adds to the loss of the whole.
fn share(loss: Tensor<1>, config: &Config) -> Tensor<1> {
    match config.training.accumulate {
        1 => loss,
        parts => loss / parts as f64,
    }
}

/// The mean squared difference.
fn squared<const D: usize>(first: Tensor<D>, second: Tensor<D>) -> Tensor<1> {
    let away = first - second;
    (away.clone() * away).mean()
}

/// What is in [0, 1], in [-1, 1]: there the paper has its high-resolution pictures, and its squared error.
fn signed(pictures: Tensor<4>) -> Tensor<4> {
    pictures * 2.0 - 1.0
}

fn note_batch(batch: &Batch, at: &At) {
    at.note("low", || batch.low.clone());
    at.note("high", || batch.high.clone());
}

/// The first crops of a batch: low resolution, enlarged, and high.
fn reals(batch: &Batch, config: &Config) -> Option<RgbImage> {
    let pictures = |values: &[f32], side: usize| -> Vec<RgbImage> {
        let all = values.chunks_exact(3 * side * side).take(SHOWN);
        all.map(|values| to_picture(values, [side, side])).collect()
    };
    let low = pictures(&batch.low, config.low_side());
    let high = pictures(&batch.high, config.crop_size);
    let rows: Vec<_> = low
        .iter()
        .zip(high)
        .map(|(low, high)| vec![picture::enlarge(low, config.scale as u32), high])
        .collect();
    (!rows.is_empty()).then(|| picture::table(&["low", "real"], &rows))
}

impl Resnet {
    /// The generator with fresh weights from the run's seed.
    pub fn new(config: &Config, device: &Device) -> Self {
        Self {
            generator: generator(config, Schedule::Constant, device),
            examples: Arc::default(),
            config: config.clone(),
            device: device.clone(),
        }
    }

    /// Shows and measures these pictures, which are kept out of training.
    #[must_use]
    pub fn with_examples(mut self, examples: Arc<Examples>) -> Self {
        self.examples = examples;
        self
    }

    /// Takes the generator's weights from a checkpoint, or from a file whose generator is one that is trained here: in
    /// the layout of leftthomas/SRGAN with shared slopes and batch norm, or in MMagic's.
    ///
    /// # Errors
    /// When the file is missing or of another network than the configuration asks for.
    pub fn init_from(&mut self, place: &Path, out: &Path) -> Result<()> {
        let found = located::find(Some(place), out, "srgan", &STAGES, &["generator"])?;
        let tensors = recognise::without_others(found.file.tensors);
        let named = || format!("{} does not fit", found.path.display());
        let (told, asked) = (
            recognise::shape(&tensors).with_context(named)?,
            Shape::new(&self.config),
        );
        if told != asked {
            return Err(failure(
                Kind::Checkpoint,
                format!(
                    "{} holds another generator than the configuration asks for: {}; {}",
                    found.path.display(),
                    told.difference(&asked),
                    told.advice()
                ),
            ));
        }
        self.generator.load_weights(&tensors).with_context(named)
    }

    /// The printed network.
    pub fn describe(&self) -> String {
        self.generator.network().to_string()
    }
}

impl Stage for Resnet {
    type Batch = Batch;
    const NAME: &'static str = "srresnet";
    const BEST: Best = Best::Largest;

    fn step(&mut self, batch: Batch, at: &At) -> Result<Scalars> {
        note_batch(&batch, at);
        let mut scalars = Scalars::default();
        let autodiff = self.device.clone().autodiff();
        let mut gathered = Gathered::default();
        for (low, high) in parts(&batch, &self.config) {
            let low = crops(low, self.config.low_side(), &autodiff);
            let high = crops(high, self.config.crop_size, &autodiff);
            let fake = self.generator.network().forward(low, Statistics::Update);
            let loss = squared(signed(fake), signed(high));
            scalars.add("mse", loss.clone());
            gathered = self.generator.gather(share(loss, &self.config), gathered);
        }
        let moved = self.generator.apply(gathered, at);
        moved.tell(&mut scalars, ["lr_g", "grad_norm_g"]);
        Ok(scalars)
    }

    fn preview(&self, _at: &At) -> Result<(Vec<Panel>, Scalars)> {
        let network = self.generator.snapshot();
        // The pictures of the second stage are the run's: these stand beside them.
        let panel = sheet(Self::NAME, &network, &self.examples, &self.device);
        Ok((panel.into_iter().collect(), Scalars::default()))
    }

    fn validate(&self, _at: &At) -> Result<Scalars> {
        let network = self.generator.snapshot();
        let (scale, count) = (self.config.scale, self.config.validation);
        measure(&network, scale, &self.examples, count, &self.device)
    }

    fn activations(&self) -> u64 {
        Shape::new(&self.config).activations(self.config.crop_size)
    }

    fn reals(&self, batch: &Batch) -> Option<RgbImage> {
        reals(batch, &self.config)
    }

    fn parts(
        &mut self,
        visit: &mut dyn FnMut(&str, &mut dyn Checkpoint) -> Result<()>,
    ) -> Result<()> {
        visit("generator", &mut self.generator)
    }
}

impl Gan {
    /// Both players with fresh weights from the run's seed. `vgg` is what the configuration's content loss compares.
    ///
    /// # Panics
    /// If the content loss needs a VGG and there is none.
    pub fn new(config: &Config, vgg: Option<Vgg>, device: &Device) -> Self {
        let is_needed = config.content_loss.features().is_some();
        assert_eq!(is_needed, vgg.is_some(), "{:?}", config.content_loss);
        let shape = discriminator::Shape::new(config);
        let network = Discriminator::new(&shape, &device.clone().autodiff());
        let seed = config.training.seed;
        let network = initialise(network, Initial::FanIn, seed, "discriminator");
        let (rule, schedule) = (config.rule(), config.schedule());
        Self {
            generator: generator(config, schedule, device),
            discriminator: Learner::new(network, rule, config.lr, schedule),
            vgg,
            examples: Arc::default(),
            config: config.clone(),
            device: device.clone(),
        }
    }

    /// Shows and measures these pictures, which are kept out of training.
    #[must_use]
    pub fn with_examples(mut self, examples: Arc<Examples>) -> Self {
        self.examples = examples;
        self
    }

    /// Takes the discriminator's weights from a checkpoint of this stage, where there is one.
    ///
    /// # Errors
    /// When it is of another network.
    pub fn init_from(&mut self, place: &Path, out: &Path) -> Result<()> {
        if is_single_file(place) {
            return Ok(());
        }
        let found = located::find(Some(place), out, "srgan", &STAGES, &["generator"])?;
        let path = found.path.with_file_name("discriminator.safetensors");
        if !path.is_file() {
            return Ok(());
        }
        let tensors = weights::read(&path)?.tensors;
        self.discriminator
            .load_weights(&tensors)
            .with_context(|| format!("{} does not fit", path.display()))
    }

    /// Goes on with the generator of the first stage.
    ///
    /// # Errors
    /// When it is not of the same configuration.
    pub fn take_generator(&mut self, resnet: &Resnet) -> Result<()> {
        let tensors = weights::collect(resnet.generator.network());
        self.generator.load_weights(&tensors)
    }

    /// The printed networks.
    pub fn describe(&self) -> String {
        format!(
            "{}\n{}",
            self.generator.network(),
            self.discriminator.network()
        )
    }

    /// How far a picture is from what it should be, as the configuration's content loss sees it (section 2.2.1).
    fn content(&self, fake: Tensor<4>, high: Tensor<4>) -> Tensor<1> {
        match &self.vgg {
            Some(vgg) => squared(vgg.forward(fake), vgg.forward(high)),
            None => squared(signed(fake), signed(high)),
        }
    }
}

impl Stage for Gan {
    type Batch = Batch;
    const NAME: &'static str = "srgan";
    // What this stage gains, PSNR does not see: the best by it would be the first.
    const BEST: Best = Best::Untold;

    fn step(&mut self, batch: Batch, at: &At) -> Result<Scalars> {
        note_batch(&batch, at);
        let mut scalars = Scalars::default();
        let config = &self.config;
        let is_whole = config.training.accumulate == 1;
        let autodiff = self.device.clone().autodiff();
        let mut waiting = Vec::new();
        let mut gathered = Gathered::default();
        for (low, high) in parts(&batch, config) {
            let low = crops(low, config.low_side(), &autodiff);
            let high = crops(high, config.crop_size, &autodiff);
            // With several parts their graphs would not fit into memory together.
            let fake = if is_whole {
                let network = self.generator.network();
                network.forward(low.clone(), Statistics::Update)
            } else {
                let network = self.generator.still();
                network.forward(low.clone(), Statistics::Update)
            };
            let judge = self.discriminator.network();
            let real = judge.forward(signed(high.clone()), Statistics::Update);
            let made = judge.forward(signed(fake.clone().detach()), Statistics::Update);
            signals(&mut scalars, at, [&real, &made], Some(0.0), [&high, &fake]);
            let real = binary_cross_entropy(real, 1.0);
            let made = binary_cross_entropy(made, 0.0);
            scalars.add("D_real", real.clone());
            scalars.add("D_fake", made.clone());
            gathered = self
                .discriminator
                .gather(share(real + made, config), gathered);
            waiting.push((low, high, is_whole.then_some(fake)));
        }
        let moved = self.discriminator.apply(gathered, at);
        moved.tell(&mut scalars, ["lr_d", "grad_norm_d"]);

        let judge = self.discriminator.still();
        let mut gathered = Gathered::default();
        for (low, high, fake) in waiting {
            // The running statistics have seen it.
            let fake = fake.unwrap_or_else(|| {
                let network = self.generator.network();
                network.forward(low, Statistics::Batch)
            });
            let logits = judge.forward(signed(fake.clone()), Statistics::Update);
            let adversarial = GeneratorLoss::NonSaturating.of(logits);
            let content = self.content(fake, high);
            scalars.add("content", content.clone());
            scalars.add("adversarial", adversarial.clone());
            let loss = content + adversarial * self.config.lambda_adversarial;
            gathered = self.generator.gather(share(loss, &self.config), gathered);
        }
        let moved = self.generator.apply(gathered, at);
        moved.tell(&mut scalars, ["lr_g", "grad_norm_g"]);
        Ok(scalars)
    }

    fn preview(&self, _at: &At) -> Result<(Vec<Panel>, Scalars)> {
        let network = self.generator.snapshot();
        let panel = sheet("step", &network, &self.examples, &self.device);
        Ok((panel.into_iter().collect(), Scalars::default()))
    }

    fn validate(&self, _at: &At) -> Result<Scalars> {
        let network = self.generator.snapshot();
        let (scale, count) = (self.config.scale, self.config.validation);
        measure(&network, scale, &self.examples, count, &self.device)
    }

    fn activations(&self) -> u64 {
        let side = self.config.crop_size;
        // The generator's graph waits while the discriminator sees both.
        let judge = discriminator::Shape::new(&self.config).activations();
        let features = self.config.content_loss.features();
        Shape::new(&self.config).activations(side)
            + 2 * judge
            + features.map_or(0, |features| features.activations(side))
    }

    fn reals(&self, batch: &Batch) -> Option<RgbImage> {
        reals(batch, &self.config)
    }

    fn parts(
        &mut self,
        visit: &mut dyn FnMut(&str, &mut dyn Checkpoint) -> Result<()>,
    ) -> Result<()> {
        visit("generator", &mut self.generator)?;
        visit("discriminator", &mut self.discriminator)
    }
}

/// Trains the first stage, for its own number of steps; `plan` is that of the second.
///
/// # Errors
/// As [`fit`].
pub fn fit_first(
    resnet: &mut Resnet,
    source: &impl Source<Batch = Batch>,
    plan: &Plan,
    run: &mut Run,
) -> Result<()> {
    let steps = resnet.config.mse_steps;
    if steps == 0 {
        return Ok(());
    }
    let first = Plan {
        steps,
        trace: trace(plan, Resnet::NAME),
        ..plan.clone()
    };
    fit(resnet, source, &first, run)
}

/// Where a stage's batches and draws are written.
fn trace(plan: &Plan, stage: &str) -> Option<(PathBuf, u64)> {
    let trace = plan.trace.as_ref();
    trace.map(|(folder, steps)| (folder.join(stage), *steps))
}

/// Trains both stages, the second from the generator that the first ends with. A stage that is finished already is
/// loaded, so that the same call resumes in the right one.
///
/// # Errors
/// As [`fit`].
pub fn fit_both(
    mut resnet: Resnet,
    mut gan: Gan,
    source: &impl Source<Batch = Batch>,
    plan: &Plan,
    run: &mut Run,
) -> Result<()> {
    fit_first(&mut resnet, source, plan, run)?;
    let has_first = resnet.config.mse_steps > 0;
    gan.take_generator(&resnet)?;
    // Its optimizer is not needed any more.
    drop(resnet);
    let second = Plan {
        trace: trace(plan, Gan::NAME),
        // What it starts from is kept where the first stage ends.
        initialised: plan.initialised && !has_first,
        ..plan.clone()
    };
    fit(&mut gan, source, &second, run)
}

/// `srgan train`.
///
/// # Errors
/// As [`gan_core::stage::fit`], and [`gan_core::failure::Kind::Usage`] for a wrong configuration.
pub fn train(command: &TrainCommand<Flags>) -> Result<()> {
    let launch = Launch::<Config>::new(command)?;
    let config = &launch.config;
    let device = device::parse(&config.training.device)?;
    // Before the first stage: nobody wants to hear after it that a file is missing.
    let features = config.content_loss.features();
    let vgg = features
        .filter(|_| config.adversarial)
        .map(|features| Vgg::open(&config.vgg, features, &device.clone().autodiff()))
        .transpose()?;
    let mut resnet = Resnet::new(config, &device);
    let mut gan = config.adversarial.then(|| Gan::new(config, vgg, &device));
    if let Some(place) = launch.init_from() {
        let named = || format!("--init-from {}", place.display());
        resnet.init_from(place, launch.out()).with_context(named)?;
        if let (Some(gan), 0) = (&mut gan, config.mse_steps) {
            gan.init_from(place, launch.out()).with_context(named)?;
        }
    }
    let networks = gan
        .as_ref()
        .map_or_else(|| resnet.describe(), Gan::describe);
    if launch.is_dry(&networks)? {
        return Ok(());
    }
    let source = Data::open(config)?;
    let examples = Examples::open(config, config.validation.max(validation::SHOWN))?;
    let is_procedural = config.training.data.is_empty();
    let extra = Metadata::from([("value_range".to_owned(), "[0, 1]".to_owned())]);
    let (mut run, plan) = launch.start(&source, is_procedural.then_some(PROCEDURAL), extra)?;
    if !config.adversarial {
        run.console().say(&format!(
            "the first stage alone, of --mse-steps {}: --steps and --epochs have no effect",
            config.mse_steps
        ));
    } else if features.is_none() {
        run.console().say(
            "the content loss of the second stage compares pixels (SRGAN-MSE), not features of VGG19: those are for \
             --content-loss vgg54 --vgg FILE",
        );
    }
    run.console().left_out("pictures", source.broken());
    run.console().left_out("test pictures", &examples.broken);
    if examples.pairs.is_empty() {
        run.console().warn(&format!(
            "{} has no test pictures (test/ or val/): there will be no sample pictures, and no checkpoint is chosen as \
             the best",
            config.training.data
        ));
    }
    let examples = Arc::new(examples);
    let mut resnet = resnet.with_examples(examples.clone());
    match gan {
        Some(gan) => {
            let gan = gan.with_examples(examples);
            fit_both(resnet, gan, &source, &plan, &mut run)
        }
        None => fit_first(&mut resnet, &source, &plan, &mut run),
    }
}
