//! `train`, `train-text` and `train-judge`: which stages follow one another, and what each takes from those before it.

use crate::config::{Config, Flags, Variant};
use crate::cub;
use crate::data::{Birds, Data, PROCEDURAL, Part, Reading, Texts};
use crate::embeddings;
use crate::gan::{Example, Gan, Maker};
use crate::generate::{checked_config, text_encoder};
use crate::generator::{Shape, StageOne, StageTwo};
use crate::judge::Judging;
use crate::read::{Held, Reader, embed_all};
use crate::text::TextEncoder;
use anyhow::{Context, Result};
use burn::module::Module;
use burn::tensor::Device;
use gan_core::checkpoint::{self, PartFile};
use gan_core::command::{Launch, TrainCommand};
use gan_core::device;
use gan_core::failure::{Kind, failure};
use gan_core::located::{self, Located};
use gan_core::run::{self, Run};
use gan_core::stage::{Plan, Source, Stage, fit, save_start};
use gan_core::weights::{self, Metadata, Tensors};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The stages of a checkpoint, those that pictures come from first.
pub const STAGES: [&str; 4] = [StageTwo::NAME, StageOne::NAME, Reader::NAME, Judging::NAME];

/// Held-out birds on which the text encoder is measured, and whose captions are shown.
const MEASURED: usize = 240;

/// Which command trains.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verb {
    /// `train`: the stages of the configuration.
    Train,
    /// `train-text`: the text encoder alone.
    Text,
    /// `train-judge`: the judge alone.
    Judge,
}

/// A whole training: its stages in order, with what they share.
struct Training<'a> {
    config: &'a Config,
    device: Device,
    plan: Plan,
    run: Run,
    out: PathBuf,
}

/// The stages that a configuration needs and does not train.
fn missing(config: &Config) -> Vec<&'static str> {
    let mut needed = Vec::new();
    let is_adversarial = config.has(StageOne::NAME) || config.has(StageTwo::NAME);
    if is_adversarial && config.embeddings.is_empty() {
        needed.push(Reader::NAME);
    }
    if config.has(StageTwo::NAME) {
        needed.push(StageOne::NAME);
    }
    needed.retain(|stage| !config.has(stage));
    needed
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

/// What a run begins from, of `--init-from`: networks that it needs and does not train, and stages whose networks it
/// trains on. All is loaded before there is a run.
#[derive(Default)]
struct Borrowed {
    text: Option<TextEncoder>,
    first: Option<StageOne>,
    reader: Option<Reader>,
    one: Option<Gan<StageOne>>,
    two: Option<Gan<StageTwo>>,
}

/// Whether a run, a step folder or a file has networks of a stage.
fn has_stage(place: &Path, out: &Path, stage: &str) -> Result<bool> {
    let found = if place.exists() {
        place.to_owned()
    } else {
        run::find(out, "stackgan", Some(&place.to_string_lossy()))?
    };
    if found.join("checkpoints").is_dir() {
        return Ok(found.join("checkpoints").join(stage).is_dir());
    }
    if located::is_single_file(&found) {
        let tensors = weights::read(&found)?.tensors;
        let is_second = tensors.keys().any(|name| name.starts_with("STAGE1_G."));
        let is_first = !is_second && tensors.contains_key("fc.0.weight");
        return Ok((stage == StageOne::NAME && is_first) || (stage == StageTwo::NAME && is_second));
    }
    let (saved, _) = located::step_folder(&found, &[stage])?;
    Ok(saved.manifest.stage == stage)
}

impl Borrowed {
    fn open(place: &Path, out: &Path, config: &Config, device: &Device) -> Result<Self> {
        let mut borrowed = Self::default();
        let mut names = Vec::new();
        for stage in missing(config) {
            if stage == Reader::NAME {
                borrowed.text = Some(borrowed_text(place, out, config, device)?);
            } else {
                borrowed.first = Some(first(place, out, config, device)?);
            }
            names.push(stage);
        }
        if config.has(Reader::NAME) && has_stage(place, out, Reader::NAME)? {
            let mut stage = Reader::new(config, Held::default(), device);
            stage.init_from(place, out)?;
            borrowed.reader = Some(stage);
            names.push(Reader::NAME);
        }
        if config.has(StageOne::NAME) && has_stage(place, out, StageOne::NAME)? {
            let mut stage = Gan::<StageOne>::new(config, device);
            stage.init_from(place, out)?;
            borrowed.one = Some(stage);
            names.push(StageOne::NAME);
        }
        // A second stage fits the first one that it has learned from.
        let is_alone = config.has(StageTwo::NAME) && !config.has(StageOne::NAME);
        if is_alone && has_stage(place, out, StageTwo::NAME)? {
            let mut stage = Gan::<StageTwo>::new(config, device);
            stage.init_from(place, out)?;
            borrowed.two = Some(stage);
            names.push(StageTwo::NAME);
        }
        if names.is_empty() {
            return Err(failure(
                Kind::Checkpoint,
                format!(
                    "{} holds nothing that --stages {} could begin from",
                    place.display(),
                    config.stages
                ),
            ));
        }
        Ok(borrowed)
    }
}

impl Training<'_> {
    /// Trains one stage for so many steps, or loads it where it is finished.
    fn fit<S: Stage>(
        &mut self,
        stage: &mut S,
        source: &impl Source<Batch = S::Batch>,
        steps: u64,
        batch_size: usize,
    ) -> Result<()> {
        let trace = self.plan.trace.as_ref();
        let plan = Plan {
            steps,
            batch_size,
            trace: trace.map(|(folder, steps)| (folder.join(S::NAME), *steps)),
            ..self.plan.clone()
        };
        fit(stage, source, &plan, &mut self.run)
    }

    fn folder(&self, stage: &str) -> PathBuf {
        self.run.folder().join("checkpoints").join(stage)
    }

    /// Puts a network that was trained elsewhere into this run, once, so that the run is all that pictures need.
    fn keep(&mut self, stage: &str, part: &str, tensors: Tensors) -> Result<()> {
        if !checkpoint::steps(&self.folder(stage))?.is_empty() {
            return Ok(());
        }
        let parts = [(part.to_owned(), vec![PartFile::weights(tensors)])];
        self.run.save(stage, 0, &self.plan, &parts)
    }

    /// Keeps what was borrowed, before the first stage: a run that is killed goes on without the other one.
    fn keep_borrowed(&mut self, borrowed: Borrowed) -> Result<()> {
        if let Some(network) = borrowed.text {
            self.keep(Reader::NAME, "text_encoder", weights::collect(&network))?;
        }
        if let Some(network) = borrowed.first {
            self.keep(StageOne::NAME, "generator", weights::collect(&network))?;
        }
        let (plan, run) = (&self.plan, &mut self.run);
        if let Some(mut stage) = borrowed.reader {
            save_start(&mut stage, plan, run)?;
        }
        if let Some(mut stage) = borrowed.one {
            save_start(&mut stage, plan, run)?;
        }
        if let Some(mut stage) = borrowed.two {
            save_start(&mut stage, plan, run)?;
        }
        Ok(())
    }

    /// Refuses to train a stage on when what follows it was made for it as it is.
    fn check_length(&self) -> Result<()> {
        let newest = |stage: &str| -> Result<Option<u64>> {
            let steps = checkpoint::steps(&self.folder(stage))?;
            Ok(steps.last().map(|(step, _)| *step))
        };
        let (Some(done), Some(_)) = (newest(StageOne::NAME)?, newest(StageTwo::NAME)?) else {
            return Ok(());
        };
        if !self.config.has(StageOne::NAME) || done >= self.plan.steps {
            return Ok(());
        }
        Err(failure(
            Kind::Usage,
            format!(
                "the second stage has learned from the first as it was after {done} steps, and {} are asked for: start a \
                 new run with --init-from {}",
                self.plan.steps,
                self.run.folder().display()
            ),
        ))
    }

    /// The text encoder, trained or found in the run; none where embeddings are given.
    fn encoder(&mut self, birds: &Arc<Birds>, held: Held) -> Result<Option<TextEncoder>> {
        let (config, device) = (self.config, self.device.clone());
        if !config.embeddings.is_empty() {
            return Ok(None);
        }
        if config.has(Reader::NAME) {
            let mut stage = Reader::new(config, held, &device);
            let source = Reading::new(birds.clone(), config)?;
            let batch_size = config.training.batch_size;
            self.fit(&mut stage, &source, config.text_steps, batch_size)?;
            return Ok(Some(stage.encoder()));
        }
        if missing(config).contains(&Reader::NAME) {
            let own = self.run.folder().to_owned();
            return borrowed_text(&own, &self.out, config, &device).map(Some);
        }
        Ok(None)
    }

    fn first(
        &mut self,
        birds: &Arc<Birds>,
        texts: &Arc<Texts>,
        encoder: Option<&TextEncoder>,
        examples: &Arc<Vec<Example>>,
    ) -> Result<StageOne> {
        let (config, device) = (self.config, self.device.clone());
        if !config.has(StageOne::NAME) {
            let own = self.run.folder().to_owned();
            return first(&own, &self.out, config, &device);
        }
        let mut stage = Gan::<StageOne>::new(config, &device)
            .with_text(encoder)
            .with_examples(examples.clone());
        let source = Data::new(birds.clone(), texts.clone(), config, false)?;
        let steps = self.plan.steps;
        self.fit(&mut stage, &source, steps, config.batch_size(false))?;
        Ok(stage.sampler().clone())
    }

    fn second(
        &mut self,
        texts: &Arc<Texts>,
        first: &StageOne,
        encoder: Option<&TextEncoder>,
        examples: &Arc<Vec<Example>>,
    ) -> Result<()> {
        let (config, device) = (self.config, self.device.clone());
        let birds = Arc::new(Birds::open(config, cub::Part::Train, config.side(true))?);
        let mut stage = Gan::<StageTwo>::new(config, &device)
            .with_text(encoder)
            .with_examples(examples.clone());
        stage.take_first(first)?;
        let source = Data::new(birds, texts.clone(), config, true)?;
        let steps = match config.steps_two {
            0 => config.epochs_two.saturating_mul(source.len() as u64),
            steps => steps,
        };
        self.fit(&mut stage, &source, steps, config.batch_size(true))
    }

    fn judge(&mut self) -> Result<()> {
        let config = self.config;
        let side = config.image_size;
        let held = Birds::drawn(config, Part::Held, side);
        let mut stage = Judging::new(config, Some(&held), &self.device.clone())?;
        let birds = Arc::new(Birds::drawn(config, Part::Judge, side));
        let source = Reading::new(birds, config)?;
        let batch_size = config.training.batch_size;
        self.fit(&mut stage, &source, config.judge_steps, batch_size)
    }
}

/// Refuses a network of another configuration, by the keys that have to be equal.
fn check_equal(found: &Located, keys: &[(&str, String, String)]) -> Result<()> {
    let differing: Vec<String> = keys
        .iter()
        .filter(|(_, theirs, ours)| theirs != ours)
        .map(|(flag, theirs, _)| format!("{flag} {theirs}"))
        .collect();
    if differing.is_empty() {
        return Ok(());
    }
    Err(failure(
        Kind::Checkpoint,
        format!(
            "{} was trained with {}: train with the same",
            found.path.display(),
            differing.join(" ")
        ),
    ))
}

/// The text encoder of a run, for one with the same.
fn borrowed_text(
    place: &Path,
    out: &Path,
    config: &Config,
    device: &Device,
) -> Result<TextEncoder> {
    let (network, found) = text_encoder(place, out, device)?;
    let trained = checked_config(&found)?;
    let both = |key: fn(&Config) -> usize| (key(&trained).to_string(), key(config).to_string());
    let (dim, width) = (
        both(|config| config.text_dim),
        both(|config| config.width_text),
    );
    check_equal(
        &found,
        &[
            ("--text-dim", dim.0, dim.1),
            ("--width-text", width.0, width.1),
        ],
    )?;
    Ok(network)
}

/// The first stage's generator of a run, without autodiff.
fn first(place: &Path, out: &Path, config: &Config, device: &Device) -> Result<StageOne> {
    let networks = ["generator_ema", "generator"];
    let found = located::find(Some(place), out, "stackgan", &[StageOne::NAME], &networks)?;
    let trained = checked_config(&found)?;
    let variant = |config: &Config| match config.variant {
        Variant::Tf => "tf".to_owned(),
        Variant::Pytorch => "pytorch".to_owned(),
    };
    type Key = fn(&Config) -> usize;
    let keys: [(&str, Key); 5] = [
        ("--image-size", |config| config.image_size),
        ("--latent-dim", |config| config.latent_dim),
        ("--condition-dim", |config| config.condition_dim),
        ("--text-dim", |config| config.text_dim),
        ("--width-g", |config| config.width_g),
    ];
    let mut compared = vec![("--variant", variant(&trained), variant(config))];
    compared
        .extend(keys.map(|(flag, key)| (flag, key(&trained).to_string(), key(config).to_string())));
    check_equal(&found, &compared)?;
    let network = StageOne::new(&Shape::new(config), device);
    let network = weights::apply(network, &found.file.tensors)
        .with_context(|| format!("{} does not fit", found.path.display()))?;
    Ok(network.valid())
}

/// Captions of held-out birds, no two of one picture, with their embeddings.
fn examples(birds: &Birds, texts: &Texts) -> Result<Vec<Example>> {
    let mut all = Vec::new();
    for sample in birds.some(16)? {
        let place = sample.place as usize;
        all.push(Example {
            caption: birds.captions[place].first().cloned().unwrap_or_default(),
            text: texts.one(place, 0).to_vec(),
        });
    }
    Ok(all)
}

/// `stackgan train`, `stackgan train-text` and `stackgan train-judge`.
///
/// # Errors
/// As [`gan_core::stage::fit`], and [`Kind::Usage`] for a wrong configuration.
pub fn train(command: &TrainCommand<Flags>, verb: Verb) -> Result<()> {
    let mut command = command.clone();
    let only = match verb {
        Verb::Train => None,
        Verb::Text => Some(Reader::NAME),
        Verb::Judge => Some(Judging::NAME),
    };
    if let Some(stage) = only {
        if command.flags.stages.is_some() {
            return Err(failure(
                Kind::Usage,
                format!("--stages is for `stackgan train`: this command trains {stage} alone"),
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
                "this run trains {}: resume it with `stackgan train --resume`",
                config.stages
            ),
        ));
    }
    let is_adversarial = config.has(StageOne::NAME) || config.has(StageTwo::NAME);
    if config.has(Reader::NAME) && !config.embeddings.is_empty() && !is_adversarial {
        return Err(failure(
            Kind::Usage,
            "--embeddings names what a text encoder would give: leave it out",
        ));
    }
    if config.has(Judging::NAME) && !config.training.data.is_empty() {
        return Err(failure(
            Kind::Usage,
            "the judge learns from drawn birds, whose attributes are known: leave out --data",
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
    if launch.is_dry(&described(config, &device)?)? {
        return Ok(());
    }
    let side = config.image_size;
    let birds = Arc::new(Birds::open(config, cub::Part::Train, side)?);
    let held = Birds::open(config, cub::Part::Test, side);
    let given = embeddings::given(config, &birds, held.as_ref().ok())?;
    let source = Reading::new(birds.clone(), config)?
        .with_embeddings(given.as_ref().map(|(texts, _)| texts))
        .with_held(held.as_ref().ok());
    // Before there is a run: one that cannot begin leaves nothing behind.
    let borrowed = match launch.init_from() {
        Some(place) => Some(Borrowed::open(place, launch.out(), config, &device)?),
        None => None,
    };
    let is_procedural = config.training.data.is_empty();
    let extra = Metadata::from([("value_range".to_owned(), "[-1, 1]".to_owned())]);
    let (run, plan) = launch.start(&source, is_procedural.then_some(PROCEDURAL), extra)?;
    run.console().left_out("birds", &birds.skipped);
    run.console().left_out("pictures", birds.broken());
    let held = match held {
        Ok(held) => Some(held),
        Err(error) => {
            run.console().warn(&format!(
                "no captions are held out to be shown, those of training are: {error:#}"
            ));
            None
        }
    };
    run.console().say(&format!(
        "{} birds to train on, {} held out",
        birds.len(),
        held.as_ref().map_or(0, Birds::len)
    ));
    let mut training = Training {
        config,
        device: device.clone(),
        plan,
        run,
        out: launch.out().to_owned(),
    };
    training.check_length()?;
    if let Some(borrowed) = borrowed {
        training.keep_borrowed(borrowed)?;
    }
    if config.has(Judging::NAME) {
        training.judge()?;
    }
    // What is trained on is not measured on.
    let measured = match &held {
        Some(held) => Held::new(held, MEASURED)?,
        None => Held::default(),
    };
    let encoder = training.encoder(&birds, measured)?;
    if !config.has(StageOne::NAME) && !config.has(StageTwo::NAME) {
        return Ok(());
    }
    let (texts, of_held) = match (given, &encoder) {
        (Some(given), _) => given,
        (None, Some(encoder)) => {
            let texts = embed_all(encoder, &birds.captions, &device);
            let embed = |held: &Birds| embed_all(encoder, &held.captions, &device);
            (texts, held.as_ref().map(embed))
        }
        (None, None) => return Err(lacking(Reader::NAME, config)),
    };
    let examples = match (&held, &of_held) {
        (Some(held), Some(of_held)) => examples(held, of_held)?,
        (held, _) => {
            if held.is_some() {
                training.run.console().warn(
                    "held-out birds have no embeddings of this width: captions of training are shown instead",
                );
            }
            examples(&birds, &texts)?
        }
    };
    let examples = Arc::new(examples);
    let texts = Arc::new(texts);
    let first = training.first(&birds, &texts, encoder.as_ref(), &examples)?;
    drop(birds);
    if config.has(StageTwo::NAME) {
        training.second(&texts, &first, encoder.as_ref(), &examples)?;
    }
    Ok(())
}

/// The printed networks of all stages that are trained.
fn described(config: &Config, device: &Device) -> Result<String> {
    let mut parts = Vec::new();
    if config.has(Reader::NAME) && config.embeddings.is_empty() {
        parts.push(Reader::new(config, Held::default(), device).describe());
    }
    if config.has(StageOne::NAME) {
        parts.push(Gan::<StageOne>::new(config, device).describe());
    }
    if config.has(StageTwo::NAME) {
        parts.push(Gan::<StageTwo>::new(config, device).describe());
    }
    if config.has(Judging::NAME) {
        parts.push(Judging::new(config, None, device)?.describe());
    }
    Ok(parts.join("\n"))
}
