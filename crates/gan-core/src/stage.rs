//! The border between the shared loop and an architecture: one batch.
//!
//! [`fit`] decides when things happen (epochs, steps, resume) and what is kept (log, previews,
//! checkpoints). A [`Stage`] decides what one batch does to which network; a [`Source`] what a
//! batch is.

use crate::checkpoint::{Checkpoint, PartFile};
use crate::failure::{Kind, failure, of_training};
use crate::memory;
use crate::random::{Stream, Tape};
use crate::run::Run;
use crate::weights::{self, HostTensor, Metadata, Tensors};
use anyhow::{Context, Result};
use burn::tensor::Tensor;
use image::RgbImage;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::mpsc;
use std::time::{Duration, Instant};

/// Where training stands.
#[derive(Debug, Clone, Default)]
pub struct At {
    /// The run's seed.
    pub seed: u64,
    /// This step, counted from 0. One step is one batch.
    pub step: u64,
    /// This epoch, counted from 0.
    pub epoch: u64,
    /// Steps of the whole stage; schedules are measured against it.
    pub total: u64,
    /// Whether this step ends a log window: things that cost a little are measured then only.
    pub logged: bool,
    tape: Option<Tape>,
}

impl At {
    /// A place in a training outside [`fit`]: step `step` of `total` with `seed`.
    pub fn new(seed: u64, step: u64, total: u64) -> Self {
        Self {
            seed,
            step,
            total,
            ..Self::default()
        }
    }

    /// The random stream `name` of this step.
    pub fn rng(&self, name: &str) -> Stream {
        let stream = Stream::new(self.seed, name, self.step);
        match &self.tape {
            Some(tape) => stream.noted(tape.clone(), name),
            None => stream,
        }
    }

    /// Notes a value of this step for a comparison with another implementation (`--trace`).
    pub fn note(&self, name: &str, values: impl FnOnce() -> Vec<f32>) {
        if let Some(mut tape) = self.tape.as_ref().and_then(|tape| tape.lock().ok()) {
            tape.insert(name.to_owned(), values());
        }
    }
}

/// A dataset as a pure function of (epoch, index): that alone gives resume, workers and shards.
pub trait Source: Sync {
    /// What one step needs, in host memory.
    type Batch: Send;

    /// Batches an epoch; at least 1.
    fn len(&self) -> usize;

    /// Batch `index` (below [`Source::len`]) of `epoch`.
    ///
    /// # Errors
    /// When a file of it cannot be read.
    fn batch(&self, epoch: u64, index: usize) -> Result<Self::Batch>;

    /// What happened to the data since the last call, in one line: files that had to be passed over.
    fn warning(&self) -> Option<String> {
        None
    }

    /// What the data is: a sum over its content, or over its file names and sizes. A run is resumed
    /// only on equal data.
    fn fingerprint(&self) -> String;

    /// Whether there is nothing to train on; a source refuses to be built then.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// What a step reports: named values, read from the device only when a log line needs them.
#[derive(Debug, Default)]
pub struct Scalars {
    values: Vec<(&'static str, Value)>,
    warnings: Vec<String>,
}

#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "a handful live at a time")]
enum Value {
    Device(Tensor<1>),
    Host(f64),
}

impl Scalars {
    /// Adds a value that is still on its device, `[1]`; it is cut off from its graph.
    pub fn add(&mut self, name: &'static str, value: Tensor<1>) {
        self.values.push((name, Value::Device(value.inner())));
    }

    /// Adds a value that is known on the host.
    pub fn put(&mut self, name: &'static str, value: f64) {
        self.values.push((name, Value::Host(value)));
    }

    /// Adds what a person who watches the training must hear; told with [`Stage::preview`]'s.
    pub fn warn(&mut self, line: impl Into<String>) {
        self.warnings.push(line.into());
    }

    /// Reads every value, in order, in one transfer.
    pub fn read(self) -> Vec<(&'static str, f64)> {
        let on_device: Vec<Tensor<1>> = self
            .values
            .iter()
            .filter_map(|(_, value)| match value {
                Value::Device(tensor) => Some(tensor.clone()),
                Value::Host(_) => None,
            })
            .collect();
        let mut read = if on_device.is_empty() {
            Vec::new()
        } else {
            let all = Tensor::cat(on_device, 0).into_data();
            all.iter::<f32>().map(f64::from).collect()
        }
        .into_iter();
        self.values
            .into_iter()
            .map(|(name, value)| match value {
                Value::Device(_) => (name, read.next().unwrap_or(f64::NAN)),
                Value::Host(value) => (name, value),
            })
            .collect()
    }
}

/// A picture of how training is doing.
#[derive(Debug, Clone)]
pub struct Panel {
    /// File stem: `step` becomes `samples/step_00001000.png`.
    pub name: &'static str,
    /// The picture.
    pub picture: RgbImage,
}

/// Which checkpoint is the best, by the first number of [`Stage::validate`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Best {
    /// Where it is smallest: a distance.
    Smallest,
    /// Where it is largest: a similarity.
    Largest,
    /// None: the numbers do not tell.
    Untold,
}

impl Best {
    /// Whether a checkpoint with `value` is better than the best one so far.
    pub(crate) fn is_better(self, value: f64, best: Option<f64>) -> bool {
        let is_better = |best: f64| match self {
            Self::Smallest => value < best,
            Self::Largest => value > best,
            Self::Untold => false,
        };
        value.is_finite() && self != Self::Untold && best.is_none_or(is_better)
    }
}

/// The networks that learn together, and what one batch does to them.
pub trait Stage {
    /// What a step takes.
    type Batch: Send;
    /// The name of its folder under `checkpoints/`. Stages that follow one another have different ones.
    const NAME: &'static str;
    /// Which of its checkpoints is the best.
    const BEST: Best = Best::Smallest;

    /// Does to the networks what one batch does.
    ///
    /// # Errors
    /// Only for what a user's file or device can cause.
    fn step(&mut self, batch: Self::Batch, at: &At) -> Result<Scalars>;

    /// Pictures from fixed noise, and numbers measured on them.
    ///
    /// # Errors
    /// Only for what a user's file or device can cause.
    fn preview(&self, at: &At) -> Result<(Vec<Panel>, Scalars)>;

    /// Numbers measured on data that is kept out of training, at the end of every epoch and of the stage. The
    /// first of them decides which checkpoint is the `best`, as [`Stage::BEST`] says.
    ///
    /// # Errors
    /// Only for what a user's file or device can cause.
    fn validate(&self, _at: &At) -> Result<Scalars> {
        Ok(Scalars::default())
    }

    /// Values that a step keeps at once for each sample, about: what layers remember until they have been
    /// differentiated. For the estimate of memory before the first step.
    fn activations(&self) -> u64 {
        0
    }

    /// A picture of the reals of one batch, written once at the start.
    fn reals(&self, _batch: &Self::Batch) -> Option<RgbImage> {
        None
    }

    /// Everything that a checkpoint holds, by file name.
    ///
    /// # Errors
    /// Whatever `visit` returns.
    fn parts(
        &mut self,
        visit: &mut dyn FnMut(&str, &mut dyn Checkpoint) -> Result<()>,
    ) -> Result<()>;
}

/// How long to train, and when to do what; counted in steps.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Steps of the whole stage.
    pub steps: u64,
    /// The run's seed.
    pub seed: u64,
    /// Samples a step, for the speed in the log.
    pub batch_size: usize,
    /// Parts of a batch that are computed one after the other.
    pub accumulate: usize,
    /// Threads that prepare batches ahead; 0 prepares each when it is needed.
    pub workers: usize,
    /// A log line each so many steps.
    pub log_every: u64,
    /// A picture each so many steps.
    pub sample_every: u64,
    /// A checkpoint each so many steps.
    pub save_every: u64,
    /// Checkpoints kept.
    pub keep: usize,
    /// The configuration that decides the bytes, as TOML.
    pub identity: String,
    /// What the data is, so that a resumed run meets the same: a sum over it.
    pub data: String,
    /// Whether the networks start from given weights: then step 0 is saved at once, for a kill before
    /// the first checkpoint would lose them.
    pub initialised: bool,
    /// More metadata for weights files.
    pub extra: Metadata,
    /// A folder for the batches and draws of the first steps, and how many.
    pub trace: Option<(PathBuf, u64)>,
}

/// Trains `stage` to the end of its plan: resumes from the newest whole checkpoint of the run, logs,
/// previews and saves. A stage that is already finished is loaded, and nothing else happens.
///
/// # Errors
/// [`Kind::Diverged`] at the first value that is not finite, [`Kind::Interrupted`] after Ctrl-C with
/// a checkpoint saved, and whatever the source, the stage or the disk report.
pub fn fit<S: Stage>(
    stage: &mut S,
    source: &impl Source<Batch = S::Batch>,
    plan: &Plan,
    run: &mut Run,
) -> Result<()> {
    train(stage, source, plan, run).map_err(of_training)
}

fn train<S: Stage>(
    stage: &mut S,
    source: &impl Source<Batch = S::Batch>,
    plan: &Plan,
    run: &mut Run,
) -> Result<()> {
    let mut done = run.restore(stage, plan)?;
    run.begin_stage(S::NAME, done, plan)?;
    if done >= plan.steps {
        return Ok(());
    }
    announce(stage, plan, run)?;
    let epoch_length = source.len().max(1) as u64;
    if done == 0 {
        let is_kept = plan.trace.is_some() || plan.initialised;
        if is_kept {
            save(stage, 0, plan, run)?;
        }
        let first = source.batch(0, 0)?;
        if let Some(picture) = stage.reals(&first) {
            run.picture("reals", None, &picture)?;
        }
        let at = At {
            seed: plan.seed,
            total: plan.steps,
            ..At::default()
        };
        preview(stage, &at, 0, run)?;
        if is_kept {
            run.write_report()?;
        }
    }
    // The step of the newest checkpoint, or the one from which this process can begin again.
    let mut kept = done;
    std::thread::scope(|scope| {
        let mut loader = Loader::new(scope, source, plan.workers, done, plan.steps);
        let mut window = Window::new();
        while done < plan.steps {
            let step = done;
            let next = step + 1;
            let last = next == plan.steps;
            let sampled = last || next.is_multiple_of(plan.sample_every);
            let saved = last || next.is_multiple_of(plan.save_every);
            let traced = plan.trace.as_ref().filter(|(_, steps)| step < *steps);
            let at = At {
                seed: plan.seed,
                step,
                epoch: step / epoch_length,
                total: plan.steps,
                logged: last || next.is_multiple_of(plan.log_every),
                tape: traced.map(|_| Tape::default()),
            };
            let started = Instant::now();
            let batch = match loader.next(source, step) {
                Ok(batch) => batch,
                Err(error) => {
                    let is_unsaved = done > kept && window.read().is_ok();
                    return Err(rescue(error, is_unsaved.then_some(done), stage, plan, run));
                }
            };
            let waited = started.elapsed();
            let scalars = stage
                .step(batch, &at)
                .with_context(|| format!("at step {step}"))?;
            if let Some((folder, _)) = traced {
                write_trace(folder, &at)?;
            }
            window.push(step, scalars, waited, started.elapsed());
            done = next;
            let stopping = run.interrupted();
            let told = at.logged || stopping;
            let mut values = None;
            if told || sampled || saved {
                let read = window.read();
                values = Some(read.map_err(|bad| bad.failure(plan.seed, &run.kept(S::NAME)))?);
            }
            let mut measured = Vec::new();
            if last || next.is_multiple_of(epoch_length) {
                let at = At {
                    step: done,
                    tape: None,
                    ..at.clone()
                };
                measured = match stage.validate(&at) {
                    Ok(scalars) => scalars.read(),
                    Err(error) => {
                        let is_finite = values.is_some() || window.read().is_ok();
                        let unsaved = (done > kept && is_finite).then_some(done);
                        return Err(rescue(error, unsaved, stage, plan, run));
                    }
                };
            }
            let deciding = measured.first().filter(|_| S::BEST != Best::Untold);
            let is_best = match deciding {
                Some((_, value)) => {
                    // What is saved has been looked at.
                    if values.is_none() {
                        let read = window.read();
                        let read =
                            read.map_err(|bad| bad.failure(plan.seed, &run.kept(S::NAME)))?;
                        window.keep(read);
                    }
                    run.is_best(S::NAME, done, *value, S::BEST)?
                }
                None => false,
            };
            // Before anything is told: what can fail below costs no step.
            if saved || stopping || is_best {
                save(stage, done, plan, run)?;
                kept = done;
            }
            let tell = || -> Result<()> {
                if told {
                    source
                        .warning()
                        .iter()
                        .for_each(|line| run.console().warn(line));
                }
                if let Some(values) = values {
                    if told {
                        let epoch = done as f64 / epoch_length as f64;
                        run.log(S::NAME, done, epoch, &values, &window, plan)?;
                        window = Window::new();
                    } else {
                        window.keep(values);
                    }
                }
                if !measured.is_empty() {
                    run.measured(S::NAME, done, "validation", &measured)?;
                }
                run.tick(done, plan);
                if sampled {
                    let at = At {
                        step: done,
                        tape: None,
                        ..at
                    };
                    preview(stage, &at, done, run)?;
                }
                if saved || stopping {
                    run.write_report()?;
                }
                Ok(())
            };
            if let Err(error) = tell() {
                let unsaved = (done > kept).then_some(done);
                return Err(rescue(error, unsaved, stage, plan, run));
            }
            if stopping && !last {
                return Err(failure(
                    Kind::Interrupted,
                    format!(
                        "stopped at step {done} of {}; the checkpoint is saved. Go on with: {}",
                        plan.steps,
                        run.resume_command()
                    ),
                ));
            }
        }
        Ok(())
    })?;
    run.end_stage(S::NAME, plan)
}

/// Saves what was learned up to step `unsaved`, whose values are finite, before `error` ends the training:
/// between two steps the networks are whole, whatever failed.
fn rescue<S: Stage>(
    error: anyhow::Error,
    unsaved: Option<u64>,
    stage: &mut S,
    plan: &Plan,
    run: &mut Run,
) -> anyhow::Error {
    let Some(done) = unsaved else {
        return error;
    };
    match save(stage, done, plan, run) {
        Ok(()) => error.context(format!(
            "stopped at step {done} of {}; the checkpoint is saved, go on with: {}",
            plan.steps,
            run.resume_command()
        )),
        Err(second) => error.context(format!(
            "stopped at step {done} of {}, and it could not be saved ({second:#}); {}",
            plan.steps,
            run.kept(S::NAME)
        )),
    }
}

/// Says before the first step how large everything is: parameters, memory, checkpoints.
fn announce<S: Stage>(stage: &mut S, plan: &Plan, run: &Run) -> Result<()> {
    /// What the program takes before any network, and an activation with the gradient that some have at once.
    const PROGRAM: u64 = 30_000_000;
    const ACTIVATION: u64 = 6;
    let mut said = Vec::new();
    let (mut kept, mut saved) = (0, 0);
    for (name, files) in collect_parts(stage)? {
        let numbers = |is_counted: &dyn Fn(&str) -> bool| -> usize {
            files
                .iter()
                .filter(|file| file.suffix.is_empty())
                .flat_map(|file| &file.tensors)
                .filter(|(name, _)| is_counted(name))
                .map(|(_, tensor)| tensor.values.len())
                .sum()
        };
        let weights = numbers(&|_| true);
        // The optimizer's moments come with the first step: two for each weight at most.
        let is_learner = files.iter().any(|file| file.suffix == "_optimizer");
        if is_learner {
            // Running statistics are no parameters.
            let learned = numbers(&|name| !name.contains("running_"));
            said.push(format!("{name} {learned}"));
        }
        kept += 4 * weights as u64 * if is_learner { 4 } else { 1 };
        saved += 4 * weights as u64 * if is_learner { 3 } else { 1 };
    }
    let part = plan.batch_size.div_ceil(plan.accumulate.max(1)) as u64;
    let activations = ACTIVATION * stage.activations() * part;
    let needed = PROGRAM + kept + activations;
    let console = run.console();
    if !said.is_empty() {
        console.say(&format!("parameters: {}", said.join(", ")));
    }
    console.say(&format!(
        "about {:.0} MB of memory: {:.0} for weights, gradients and optimizer, {:.0} for a batch of {}; \
         {:.0} MB of disk for up to {} checkpoints",
        needed as f64 / 1e6,
        kept as f64 / 1e6,
        activations as f64 / 1e6,
        part,
        saved as f64 * (plan.keep.max(1) + 1) as f64 / 1e6,
        plan.keep.max(1) + 1
    ));
    let free = run.is_on_processor().then(memory::free).flatten();
    if let Some(free) = free.filter(|free| needed > *free) {
        console.warn(&format!(
            "only {:.0} MB of memory are free: the system may stop this program. A lower --batch-size, \
             or --accumulate N, takes less",
            free as f64 / 1e6
        ));
    }
    Ok(())
}

fn preview<S: Stage>(stage: &S, at: &At, done: u64, run: &mut Run) -> Result<()> {
    let (panels, scalars) = stage.preview(at)?;
    for line in &scalars.warnings {
        run.console().warn(&format!("step {done}: {line}"));
    }
    for panel in panels {
        run.picture(panel.name, Some(done), &panel.picture)?;
    }
    let measured = scalars.read();
    if !measured.is_empty() {
        run.measured(S::NAME, done, "samples", &measured)?;
    }
    Ok(())
}

/// Collects the files of every part of a stage.
///
/// # Errors
/// Whatever the parts report.
pub fn collect_parts<S: Stage>(stage: &mut S) -> Result<Vec<(String, Vec<PartFile>)>> {
    let mut parts = Vec::new();
    stage.parts(&mut |name, part| {
        parts.push((name.to_owned(), part.files()));
        Ok(())
    })?;
    Ok(parts)
}

/// Saves what a stage starts from before its turn comes, so that weights which were given once are not needed again.
///
/// # Errors
/// As [`crate::checkpoint::save`].
pub fn save_start<S: Stage>(stage: &mut S, plan: &Plan, run: &mut Run) -> Result<()> {
    save(stage, 0, plan, run)
}

fn save<S: Stage>(stage: &mut S, done: u64, plan: &Plan, run: &mut Run) -> Result<()> {
    let parts = collect_parts(stage)?;
    run.save(S::NAME, done, plan, &parts)
}

fn write_trace(folder: &std::path::Path, at: &At) -> Result<()> {
    std::fs::create_dir_all(folder)
        .with_context(|| format!("cannot create {}", folder.display()))?;
    let Some(tape) = at.tape.as_ref().and_then(|tape| tape.lock().ok()) else {
        return Ok(());
    };
    let tensors: Tensors = tape
        .iter()
        .map(|(name, values)| (name.clone(), HostTensor::vector(values.clone())))
        .collect();
    let place = folder.join(format!("step_{:08}.safetensors", at.step));
    weights::write(&place, &tensors, &Metadata::new())
}

/// The values of the steps since the last log line.
pub(crate) struct Window {
    pending: Vec<(u64, Scalars)>,
    sums: BTreeMap<&'static str, (f64, u64)>,
    pub(crate) steps: u64,
    pub(crate) waited: Duration,
    pub(crate) elapsed: Duration,
}

impl Window {
    fn new() -> Self {
        Self {
            pending: Vec::new(),
            sums: BTreeMap::new(),
            steps: 0,
            waited: Duration::ZERO,
            elapsed: Duration::ZERO,
        }
    }

    fn push(&mut self, step: u64, scalars: Scalars, waited: Duration, elapsed: Duration) {
        self.pending.push((step, scalars));
        self.steps += 1;
        self.waited += waited;
        self.elapsed += elapsed;
    }

    /// The sum and count of each value by name, or the first that is not finite.
    fn read(&mut self) -> Result<BTreeMap<&'static str, (f64, u64)>, NotFinite> {
        let mut sums = std::mem::take(&mut self.sums);
        for (step, scalars) in self.pending.drain(..) {
            for (name, value) in scalars.read() {
                if !value.is_finite() {
                    return Err(NotFinite { name, value, step });
                }
                let entry = sums.entry(name).or_default();
                entry.0 += value;
                entry.1 += 1;
            }
        }
        Ok(sums)
    }

    fn keep(&mut self, sums: BTreeMap<&'static str, (f64, u64)>) {
        self.sums = sums;
    }
}

/// A value that is no number, or an endless one.
struct NotFinite {
    name: &'static str,
    value: f64,
    step: u64,
}

impl NotFinite {
    fn failure(&self, seed: u64, kept: &str) -> anyhow::Error {
        let Self { name, value, step } = self;
        failure(
            Kind::Diverged,
            format!(
                "{name} is {value} at step {step} (seed {seed}): training stopped; {kept}. Try a lower --lr"
            ),
        )
    }
}

/// Hands out batches in order, prepared ahead by worker threads.
struct Loader<B> {
    // One channel a worker: worker w prepares the steps with step % workers == w.
    channels: Vec<mpsc::Receiver<Result<B>>>,
}

impl<B: Send> Loader<B> {
    fn new<'scope, 'env, S: Source<Batch = B>>(
        scope: &'scope std::thread::Scope<'scope, 'env>,
        source: &'env S,
        workers: usize,
        first: u64,
        end: u64,
    ) -> Self
    where
        B: 'scope,
    {
        let channels = (0..workers as u64)
            .map(|worker| {
                // Two batches ahead: enough to hide a slow picture, small in memory.
                let (sender, receiver) = mpsc::sync_channel(2);
                let stride = workers as u64;
                scope.spawn(move || {
                    let length = source.len().max(1) as u64;
                    for step in (first..end).filter(|step| step % stride == worker) {
                        let batch = source.batch(step / length, (step % length) as usize);
                        let failed = batch.is_err();
                        // The receiver is gone when training stopped early.
                        if sender.send(batch).is_err() || failed {
                            break;
                        }
                    }
                });
                receiver
            })
            .collect();
        Self { channels }
    }

    fn next<S: Source<Batch = B>>(&mut self, source: &S, step: u64) -> Result<B> {
        if self.channels.is_empty() {
            let length = source.len().max(1) as u64;
            return source.batch(step / length, (step % length) as usize);
        }
        let worker = (step % self.channels.len() as u64) as usize;
        self.channels[worker].recv().unwrap_or_else(|_| {
            Err(failure(
                Kind::Data,
                format!("the data worker for step {step} ended unexpectedly"),
            ))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::console::Voice;
    use crate::failure::exit_code;
    use crate::run::{ChangedData, Resumption};
    use crate::weights::WeightFile;
    use crate::{checkpoint, contract, located};
    use std::cell::RefCell;
    use std::path::Path;

    /// Counts its steps. What is measured after each epoch of two steps is given; nothing else is.
    #[derive(Default)]
    struct Counter {
        count: f32,
        measured: Vec<f64>,
        /// The step after which the measurement fails.
        failing: u64,
        home: PathBuf,
        /// The best and the step folders, as each measurement found them.
        found: RefCell<Vec<(Option<u64>, Vec<u64>)>>,
    }

    impl Checkpoint for Counter {
        fn files(&self) -> Vec<PartFile> {
            let count = HostTensor::vector(vec![self.count]);
            vec![PartFile::weights([("count".to_owned(), count)].into())]
        }

        fn restore(&mut self, read: &mut dyn FnMut(&str) -> Result<WeightFile>) -> Result<()> {
            self.count = read("")?.tensors["count"].values[0];
            Ok(())
        }
    }

    impl Stage for Counter {
        type Batch = f64;
        const NAME: &'static str = "gan";

        fn step(&mut self, batch: f64, _at: &At) -> Result<Scalars> {
            self.count += 1.0;
            let mut scalars = Scalars::default();
            scalars.put("loss", batch);
            Ok(scalars)
        }

        fn preview(&self, _at: &At) -> Result<(Vec<Panel>, Scalars)> {
            Ok(Default::default())
        }

        fn validate(&self, at: &At) -> Result<Scalars> {
            self.found
                .borrow_mut()
                .push((best(&self.home), folders(&self.home)));
            if at.step == self.failing {
                return Err(failure(Kind::Data, "test/0003.png: gone"));
            }
            let mut scalars = Scalars::default();
            if let Some(value) = self.measured.get(at.step as usize / 2 - 1) {
                scalars.put("distance", *value);
                // Falls all the time, and decides nothing.
                scalars.put("second", -(at.step as f64));
            }
            Ok(scalars)
        }

        fn parts(
            &mut self,
            visit: &mut dyn FnMut(&str, &mut dyn Checkpoint) -> Result<()>,
        ) -> Result<()> {
            visit("counter", self)
        }
    }

    /// The losses of the steps; the batch after the last cannot be read.
    struct Losses(Vec<f64>);

    impl Source for Losses {
        type Batch = f64;

        fn len(&self) -> usize {
            2
        }

        fn batch(&self, epoch: u64, index: usize) -> Result<f64> {
            let gone = || failure(Kind::Data, "train/0007.png: gone");
            let step = epoch as usize * 2 + index;
            self.0.get(step).copied().ok_or_else(gone)
        }

        fn fingerprint(&self) -> String {
            "numbers".to_owned()
        }
    }

    fn stage_folder(out: &Path) -> PathBuf {
        out.join("sample/run/checkpoints/gan")
    }

    fn best(stage: &Path) -> Option<u64> {
        checkpoint::best(stage).map(|(step, _)| step)
    }

    fn folders(stage: &Path) -> Vec<u64> {
        let steps = checkpoint::steps(stage).unwrap();
        steps.into_iter().map(|(step, _)| step).collect()
    }

    fn plan(steps: u64, save_every: u64, keep: usize) -> Plan {
        Plan {
            steps,
            seed: 3,
            batch_size: 1,
            accumulate: 1,
            workers: 0,
            log_every: 100,
            sample_every: 100,
            save_every,
            keep,
            identity: String::new(),
            data: "numbers".to_owned(),
            initialised: false,
            extra: Metadata::new(),
            trace: None,
        }
    }

    /// Begins the run, or goes on with it.
    fn go(out: &Path, counter: &mut Counter, plan: &Plan, losses: Vec<f64>) -> Result<()> {
        counter.home = stage_folder(out);
        counter.count = 0.0;
        let folder = out.join("sample/run");
        let mut run = if folder.is_dir() {
            let resumption = Resumption {
                config: String::new(),
                changed_data: ChangedData::Refused,
            };
            Run::resume(folder, "sample", resumption, Voice::Quiet, vec![])?
        } else {
            Run::create(out, "sample", Some("run"), "", Voice::Quiet, vec![])?
        };
        fit(counter, &Losses(losses), plan, &mut run)
    }

    fn measuring(measured: &[f64]) -> Counter {
        Counter {
            measured: measured.to_vec(),
            ..Counter::default()
        }
    }

    /// After steps 2, 4, ... 12.
    const MEASURED: [f64; 6] = [0.5, 0.7, 0.4, f64::NAN, 0.4, f64::NEG_INFINITY];

    #[test]
    fn the_best_moves_when_the_first_value_falls_and_stays_when_others_are_dropped() {
        let out = tempfile::tempdir().unwrap();
        let mut counter = measuring(&MEASURED);
        go(out.path(), &mut counter, &plan(12, 3, 1), vec![1.0; 12]).unwrap();
        let expected = [
            (None, vec![]),
            (Some(2), vec![2, 3]),
            (Some(2), vec![2, 3]),
            // Step 6 took the place of step 2, which only the pin had kept.
            (Some(6), vec![6]),
            (Some(6), vec![6, 9]),
            (Some(6), vec![6, 9]),
        ];
        assert_eq!(*counter.found.borrow(), expected);
        let stage = stage_folder(out.path());
        assert_eq!((best(&stage), folders(&stage)), (Some(6), vec![6, 12]));
        let text = std::fs::read_to_string(stage.join("best")).unwrap();
        assert_eq!(text, "step_00000006\n0.4\n");
        let found = |place: &Path| {
            let found = located::find(Some(place), out.path(), "sample", &["gan"], &["counter"]);
            found.unwrap().file.tensors["count"].values[0]
        };
        assert_eq!(found(&stage.join("best")), 6.0);
        assert_eq!(found(&stage.join("latest")), 12.0);
        assert_eq!(found(&out.path().join("sample/run")), 12.0);

        // Every measurement is in the log, one that is no number too.
        let log = std::fs::read_to_string(out.path().join("sample/run/metrics.jsonl")).unwrap();
        let rows = log.lines().filter(|line| line.contains("\"distance\""));
        assert_eq!(rows.count(), 6, "{log}");
    }

    #[test]
    fn the_best_is_the_smallest_the_largest_or_untold() {
        let better = |order: Best| {
            [
                (2.0, None),
                (2.0, Some(1.0)),
                (2.0, Some(2.0)),
                (2.0, Some(3.0)),
                (f64::NAN, None),
                (f64::INFINITY, None),
            ]
            .map(|(value, best)| order.is_better(value, best))
        };
        assert_eq!(
            better(Best::Smallest),
            [true, false, false, true, false, false]
        );
        assert_eq!(
            better(Best::Largest),
            [true, true, false, false, false, false]
        );
        assert_eq!(better(Best::Untold), [false; 6]);
    }

    #[test]
    fn without_measurements_there_is_no_best() {
        let out = tempfile::tempdir().unwrap();
        go(
            out.path(),
            &mut measuring(&[]),
            &plan(4, 3, 1),
            vec![1.0; 4],
        )
        .unwrap();
        assert!(!stage_folder(out.path()).join("best").exists());
        assert_eq!(folders(&stage_folder(out.path())), [4]);
    }

    #[test]
    fn the_best_of_a_resumed_run_is_that_of_a_straight_one() {
        let bytes = |out: &Path| {
            let files = contract::walk(&stage_folder(out));
            files
                .into_iter()
                .map(|path| {
                    (
                        path.strip_prefix(out).unwrap().to_owned(),
                        std::fs::read(&path).unwrap(),
                    )
                })
                .collect::<Vec<_>>()
        };
        let straight = tempfile::tempdir().unwrap();
        go(
            straight.path(),
            &mut measuring(&MEASURED),
            &plan(12, 3, 1),
            vec![1.0; 12],
        )
        .unwrap();
        for stop in 0..12 {
            let out = tempfile::tempdir().unwrap();
            let stopped = go(
                out.path(),
                &mut measuring(&MEASURED),
                &plan(12, 3, 1),
                vec![1.0; stop],
            );
            assert!(format!("{:#}", stopped.unwrap_err()).contains("0007.png"));
            if stop == 5 {
                // Killed after step 6 was called the best and before it was saved.
                let place = stage_folder(out.path()).join("best");
                std::fs::write(place, "step_00000006\n0.4\n").unwrap();
            }
            go(
                out.path(),
                &mut measuring(&MEASURED),
                &plan(12, 3, 1),
                vec![1.0; 12],
            )
            .unwrap();
            assert_eq!(
                bytes(out.path()),
                bytes(straight.path()),
                "stopped at {stop}"
            );
        }
    }

    #[test]
    fn a_best_that_is_damaged_is_saved_anew() {
        let out = tempfile::tempdir().unwrap();
        let stage = stage_folder(out.path());
        let values = [0.5, 0.3, 0.4];
        go(
            out.path(),
            &mut measuring(&values),
            &plan(7, 3, 3),
            vec![1.0; 4],
        )
        .unwrap_err();
        assert_eq!((best(&stage), folders(&stage)), (Some(4), vec![2, 3, 4]));
        std::fs::write(stage.join("step_00000004/counter.safetensors"), "x").unwrap();
        go(
            out.path(),
            &mut measuring(&values),
            &plan(7, 3, 3),
            vec![1.0; 7],
        )
        .unwrap();
        assert_eq!(best(&stage), Some(4));
        checkpoint::Saved::open(&stage.join("step_00000004")).unwrap();
    }

    #[test]
    fn a_measurement_that_fails_costs_no_step() {
        let train = |failing: u64, losses: Vec<f64>| {
            let out = tempfile::tempdir().unwrap();
            let mut counter = measuring(&[0.5, 0.4, 0.3]);
            counter.failing = failing;
            // Nothing but the measurements looks at a step.
            let error = go(out.path(), &mut counter, &plan(50, 100, 2), losses).unwrap_err();
            (error, folders(&stage_folder(out.path())))
        };
        for failing in [2, 4] {
            let (error, folders) = train(failing, vec![1.0; 50]);
            assert_eq!(folders.last(), Some(&failing), "{error:#}");
            assert_eq!(exit_code(&error), 3);
            let said = format!("{error:#}");
            let stopped = format!("stopped at step {failing} of 50; the checkpoint is saved");
            assert!(
                said.contains(&stopped) && said.contains("0003.png"),
                "{said}"
            );
        }
        // What was learned from a value that is no number is not kept.
        let (_, folders) = train(4, vec![1.0, 1.0, f64::NAN, 1.0]);
        assert_eq!(folders, [2]);
        // Nor is it the best, however small what is measured then.
        let out = tempfile::tempdir().unwrap();
        let mut counter = measuring(&[0.5, 0.4]);
        let losses = vec![1.0, 1.0, 1.0, f64::INFINITY];
        let error = go(out.path(), &mut counter, &plan(50, 100, 2), losses).unwrap_err();
        assert_eq!(exit_code(&error), 7, "{error:#}");
        let stage = stage_folder(out.path());
        assert_eq!((best(&stage), self::folders(&stage)), (Some(2), vec![2]));
    }
}
