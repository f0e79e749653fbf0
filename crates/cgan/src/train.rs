//! `train`, `train-embedding` and `train-classifier`: which stages follow one another, and what each takes from those
//! before it.

use crate::config::{Config, Dataset, Flags};
use crate::data::{Data, Faces, Made, PROCEDURAL, Part};
use crate::embedding::Embedding;
use crate::encode::Encode;
use crate::encoder::Encoder;
use crate::gan::Gan;
use crate::generate::config_of;
use crate::generator::Generator;
use crate::latents::{Latents, Seeker};
use crate::recognise::{Classify, Embed};
use crate::views::{PairData, Views};
use anyhow::{Context, Result};
use burn::module::Module;
use burn::tensor::Device;
use gan_core::checkpoint::{self, PartFile};
use gan_core::command::{Launch, TrainCommand};
use gan_core::device;
use gan_core::failure::{Kind, failure};
use gan_core::located::{self, Located};
use gan_core::run::Run;
use gan_core::stage::{Plan, Source, Stage, fit, save_start};
use gan_core::weights::{self, Metadata, Network, Tensors};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The stages of a checkpoint, those that pictures come from first.
pub const STAGES: [&str; 5] = [
    Gan::NAME,
    Encode::NAME,
    Embed::NAME,
    Latents::NAME,
    Classify::NAME,
];

/// Which command trains.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verb {
    /// `train`: the stages of the configuration.
    Train,
    /// `train-embedding`: that stage alone.
    Embedding,
    /// `train-classifier`: that stage alone.
    Classifier,
}

/// A network of another run, if it is of the same classes.
fn borrowed(
    place: &Path,
    out: &Path,
    stage: &str,
    networks: &[&str],
    config: &Config,
) -> Result<Located> {
    let found = located::find(Some(place), out, "cgan", &[stage], networks)?;
    let trained = config_of(&found)?;
    if trained.classes() != config.classes() {
        return Err(failure(
            Kind::Checkpoint,
            format!(
                "{} was trained on the classes {}, and this run has {}: take its --ages and --dataset",
                found.path.display(),
                trained.classes().names().join(", "),
                config.classes().names().join(", ")
            ),
        ));
    }
    Ok(found)
}

fn fitting<M: Network>(network: M, found: &Located) -> Result<M> {
    weights::apply(network, &found.file.tensors)
        .with_context(|| format!("{} does not fit", found.path.display()))
}

/// A generator of a checkpoint, without autodiff.
///
/// # Errors
/// When there is none, or it is of another network or other classes.
fn generator(place: &Path, out: &Path, config: &Config, device: &Device) -> Result<Generator> {
    let networks = ["generator_ema", "generator"];
    let found = borrowed(place, out, Gan::NAME, &networks, config)?;
    Ok(fitting(Generator::new(config, device), &found)?.valid())
}

/// An encoder of a checkpoint, without autodiff.
///
/// # Errors
/// As [`generator`].
fn encoder(place: &Path, out: &Path, config: &Config, device: &Device) -> Result<Encoder> {
    let found = borrowed(place, out, Encode::NAME, &["encoder"], config)?;
    Ok(fitting(Encoder::new(config, device), &found)?.valid())
}

/// The stages that a configuration needs and does not train.
fn missing(config: &Config) -> Vec<&'static str> {
    let mut needed = Vec::new();
    if config.has(Latents::NAME) {
        if config.embedding.is_empty() {
            needed.push(Embed::NAME);
        }
        needed.push(Encode::NAME);
    }
    if config.has(Encode::NAME) || config.has(Latents::NAME) {
        needed.push(Gan::NAME);
    }
    needed.retain(|stage| !config.has(stage));
    needed
}

/// A whole training: its stages in order, with what they share.
struct Training<'a> {
    config: &'a Config,
    device: Device,
    faces: Arc<Faces>,
    held: Arc<Faces>,
    plan: Plan,
    run: Run,
    init_from: Option<PathBuf>,
    out: PathBuf,
}

impl Training<'_> {
    /// Trains one stage for so many steps, or loads it where it is finished.
    fn fit<S: Stage>(
        &mut self,
        stage: &mut S,
        source: &impl Source<Batch = S::Batch>,
        steps: u64,
    ) -> Result<()> {
        let trace = self.plan.trace.as_ref();
        let plan = Plan {
            steps,
            trace: trace.map(|(folder, steps)| (folder.join(S::NAME), *steps)),
            ..self.plan.clone()
        };
        fit(stage, source, &plan, &mut self.run)
    }

    /// Puts a network that was trained elsewhere into this run, once, so that the run is all that pictures need.
    fn keep(&mut self, stage: &str, part: &str, tensors: Tensors) -> Result<()> {
        let folder = self.run.folder().join("checkpoints").join(stage);
        if !checkpoint::steps(&folder)?.is_empty() {
            return Ok(());
        }
        let parts = [(part.to_owned(), vec![PartFile::weights(tensors)])];
        self.run.save(stage, 0, &self.plan, &parts)
    }

    /// Where a stage that is not trained here is taken from: the run itself, once it has it.
    fn earlier(&self, stage: &str) -> Result<PathBuf> {
        let own = self.run.folder().join("checkpoints").join(stage);
        if !checkpoint::steps(&own)?.is_empty() {
            return Ok(self.run.folder().to_owned());
        }
        Err(lacking(stage, self.config))
    }

    /// Takes from `--init-from` what stages need, before the first of them: a run that is killed goes on without it.
    fn borrow(&mut self) -> Result<()> {
        let Some(place) = self.init_from.clone() else {
            return Ok(());
        };
        let (config, device) = (self.config, self.device.clone());
        for stage in missing(config) {
            match stage {
                Embed::NAME => {
                    let found = Embedding::open(&place, &self.out, config, &device)?;
                    if let Embedding::Small(network) = &found {
                        self.keep(stage, "embedding", weights::collect(&**network))?;
                    }
                }
                Gan::NAME => {
                    let found = generator(&place, &self.out, config, &device)?;
                    self.keep(stage, "generator", weights::collect(&found))?;
                }
                _ => {
                    let found = encoder(&place, &self.out, config, &device)?;
                    self.keep(stage, "encoder", weights::collect(&found))?;
                }
            }
        }
        if config.has(Gan::NAME) {
            borrowed(
                &place,
                &self.out,
                Gan::NAME,
                &["generator", "generator_ema"],
                config,
            )?;
            let mut stage = Gan::new(config, &device);
            stage.init_from(&place, &self.out)?;
            save_start(&mut stage, &self.plan, &mut self.run)?;
        }
        Ok(())
    }

    /// Refuses to train the generator on when what follows it was made for it as it is.
    fn check_length(&self) -> Result<()> {
        let place = |stage: &str| self.run.folder().join("checkpoints").join(stage);
        let newest = |stage: &str| -> Result<Option<u64>> {
            Ok(checkpoint::steps(&place(stage))?
                .last()
                .map(|(step, _)| *step))
        };
        let (Some(done), Some(_)) = (newest(Gan::NAME)?, newest(Encode::NAME)?) else {
            return Ok(());
        };
        if !self.config.has(Gan::NAME) || done >= self.plan.steps {
            return Ok(());
        }
        Err(failure(
            Kind::Usage,
            format!(
                "the encoder has learned from the generator as it was after {done} steps, and {} are asked for: start a new \
                 run with --init-from {}",
                self.plan.steps,
                self.run.folder().display()
            ),
        ))
    }

    fn embedding(&mut self) -> Result<Option<Embedding>> {
        let (config, device) = (self.config, self.device.clone());
        if !config.embedding.is_empty() {
            let place = Path::new(&config.embedding);
            let found = Embedding::open(place, &self.out, config, &device)?;
            self.run
                .console()
                .say(&format!("faces are compared by {}", found.name()));
            return Ok(Some(found));
        }
        if config.has(Embed::NAME) {
            let held = self.held.some(MEASURED)?;
            let mut stage = Embed::new(config, held, &device);
            let source = PairData::new(self.faces.clone(), config)?;
            if !source.has_persons {
                self.run.console().say(
                    "whose faces they are is not known: the embedding learns to know a picture again, not a person",
                );
            }
            self.fit(&mut stage, &source, config.embedding_steps)?;
            return Ok(Some(Embedding::Small(Box::new(stage.network()))));
        }
        if !config.has(Latents::NAME) {
            return Ok(None);
        }
        let place = self.earlier(Embed::NAME)?;
        Embedding::open(&place, &self.out, config, &device).map(Some)
    }

    fn generator(&mut self) -> Result<Option<Generator>> {
        let (config, device) = (self.config, self.device.clone());
        if config.has(Gan::NAME) {
            let mut stage = Gan::new(config, &device);
            let source = Data::new(self.faces.clone(), config)?;
            self.fit(&mut stage, &source, self.plan.steps)?;
            return Ok(Some(stage.sampler().clone()));
        }
        if !(config.has(Encode::NAME) || config.has(Latents::NAME)) {
            return Ok(None);
        }
        let place = self.earlier(Gan::NAME)?;
        generator(&place, &self.out, config, &device).map(Some)
    }

    fn encoder(&mut self, generator: &Generator) -> Result<Option<Encoder>> {
        let (config, device) = (self.config, self.device.clone());
        if config.has(Encode::NAME) {
            let held = self.held.some(MEASURED)?;
            let mut stage = Encode::new(config, generator.clone(), held, &device);
            let source = Made {
                batches: config.encoder_steps as usize,
                fingerprint: self.plan.data.clone(),
            };
            self.fit(&mut stage, &source, config.encoder_steps)?;
            return Ok(Some(stage.network()));
        }
        if !config.has(Latents::NAME) {
            return Ok(None);
        }
        let place = self.earlier(Encode::NAME)?;
        encoder(&place, &self.out, config, &device).map(Some)
    }

    fn latents(
        &mut self,
        generator: Generator,
        encoder: Encoder,
        embedding: Embedding,
    ) -> Result<()> {
        let config = self.config;
        let seeker = Seeker::new(config, generator, encoder, Some(embedding), &self.device);
        let faces = self.held.some(config.latent_pictures)?;
        let mut stage = Latents::new(config, seeker, faces, &self.device);
        let source = Made {
            batches: stage.steps(),
            fingerprint: self.plan.data.clone(),
        };
        let steps = stage.steps() as u64;
        self.fit(&mut stage, &source, steps)
    }

    fn classifier(&mut self) -> Result<()> {
        let config = self.config;
        let held = self.held.some(usize::MAX)?;
        let mut stage = Classify::new(config, held, &self.device);
        let source = Views::new(Data::new(self.faces.clone(), config)?, config);
        self.fit(&mut stage, &source, config.classifier_steps)
    }
}

fn lacking(stage: &str, config: &Config) -> anyhow::Error {
    failure(
        Kind::Usage,
        format!(
            "--stages {} leaves {stage} out, which a later stage needs: add it, or name a run that has it with --init-from",
            config.stages
        ),
    )
}

/// Held-out pictures on which an embedding and an encoder are measured.
const MEASURED: usize = 720;

/// `cgan train`, `cgan train-embedding` and `cgan train-classifier`.
///
/// # Errors
/// As [`gan_core::stage::fit`], and [`Kind::Usage`] for a wrong configuration.
pub fn train(command: &TrainCommand<Flags>, verb: Verb) -> Result<()> {
    let mut command = command.clone();
    let only = match verb {
        Verb::Train => None,
        Verb::Embedding => Some(Embed::NAME),
        Verb::Classifier => Some(Classify::NAME),
    };
    if let Some(stage) = only {
        if command.flags.stages.is_some() {
            return Err(failure(
                Kind::Usage,
                format!("--stages is for `cgan train`: this command trains {stage} alone"),
            ));
        }
        // A run that is resumed keeps its own.
        if command.run.resume.is_none() {
            command.flags.stages = Some(stage.to_owned());
        }
    }
    let launch = Launch::<Config>::new(&command)?;
    let config = &launch.config;
    if let Some(stage) = only
        && config.stages()? != [stage]
    {
        return Err(failure(
            Kind::Usage,
            format!(
                "this run trains {}: resume it with `cgan train --resume`",
                config.stages
            ),
        ));
    }
    if only == Some(Embed::NAME) && !config.embedding.is_empty() {
        return Err(failure(
            Kind::Usage,
            "--embedding names one that is trained already: leave it out",
        ));
    }
    if config.dataset == Dataset::Mnist && config.has(Latents::NAME) {
        return Err(failure(
            Kind::Usage,
            "digits have no persons to keep: leave latent out of --stages (the preset mnist does)",
        ));
    }
    if let (Some(stage), None, None) = (
        missing(config).first(),
        launch.init_from(),
        &command.run.resume,
    ) {
        return Err(lacking(stage, config));
    }
    let device = device::parse(&config.training.device)?;
    let gan = Gan::new(config, &device);
    if launch.is_dry(&described(config, &gan, &device))? {
        return Ok(());
    }
    drop(gan);
    let faces = Arc::new(Faces::open(config, Part::Train)?);
    let held = Arc::new(Faces::open(config, Part::Held)?);
    let source = Data::new(faces.clone(), config)?.with_held(&held);
    let is_procedural = config.training.data.is_empty();
    let extra = Metadata::from([("value_range".to_owned(), "[-1, 1]".to_owned())]);
    let (run, plan) = launch.start(&source, is_procedural.then_some(PROCEDURAL), extra)?;
    run.console().left_out("faces", &faces.skipped);
    run.console().left_out("pictures", faces.broken());
    run.console().say(&format!(
        "{} pictures to train on, {} held out",
        faces.len(),
        held.len()
    ));
    let empty: Vec<String> = faces
        .counts(&config.classes())
        .unwrap_or_default()
        .into_iter()
        .enumerate()
        .filter(|(_, count)| *count == 0)
        .map(|(class, _)| config.classes().name(class))
        .collect();
    if !empty.is_empty() {
        run.console().warn(&format!(
            "no picture to train on is of class {}: what is made of it will be anything; other --ages have pictures in all",
            empty.join(", ")
        ));
    }
    let mut training = Training {
        config,
        device,
        faces,
        held,
        plan,
        run,
        init_from: launch.init_from().map(Path::to_owned),
        out: launch.out().to_owned(),
    };
    training.check_length()?;
    training.borrow()?;
    let embedding = training.embedding()?;
    if let Some(generator) = training.generator()?
        && let Some(encoder) = training.encoder(&generator)?
        && let Some(embedding) = embedding
        && config.has(Latents::NAME)
    {
        training.latents(generator, encoder, embedding)?;
    }
    if config.has(Classify::NAME) {
        training.classifier()?;
    }
    Ok(())
}

/// The printed networks of all stages that are trained.
fn described(config: &Config, gan: &Gan, device: &Device) -> String {
    let mut parts = Vec::new();
    if config.has(Embed::NAME) && config.embedding.is_empty() {
        parts.push(Embed::new(config, Vec::new(), device).describe());
    }
    if config.has(Gan::NAME) {
        parts.push(gan.describe());
    }
    if config.has(Encode::NAME) {
        parts.push(Encoder::new(config, device).to_string());
    }
    if config.has(Classify::NAME) {
        parts.push(Classify::new(config, Vec::new(), device).describe());
    }
    parts.join("\n")
}
