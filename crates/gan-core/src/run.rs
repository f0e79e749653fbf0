//! A run folder: everything about one training, written so that it explains itself.
//!
//! ```text
//! runs/<word>/<name>/
//!   config.toml            everything, re-runnable with --config
//!   metrics.jsonl          one object a line
//!   tensorboard/<stage>/   the same as event files
//!   samples/               reals.png, step_00000000.png ... from fixed noise, training.gif
//!   checkpoints/<stage>/   step_00010000/ ..., latest
//!   report.html            one file, no server: curves, samples over time, configuration
//! ```

use crate::checkpoint::{self, Identity, PartFile, Saved};
use crate::console::{Console, Voice};
use crate::doctor::{self, Doctor};
use crate::failure::{Kind, at_path, failure};
use crate::process::owner;
use crate::stage::{Best, Plan, Stage, Window};
use crate::tensorboard::EventWriter;
use crate::{animation, device, report, weights};
use anyhow::{Context, Result};
use image::RgbImage;
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Instant;

static INTERRUPTS: AtomicU32 = AtomicU32::new(0);

/// Makes Ctrl-C (and SIGTERM) ask a training to stop after its step; a second one ends the process
/// at once, with exit code 130.
pub fn listen_for_interrupts() {
    // An error means that a handler is installed already: that one serves.
    let _ = ctrlc::set_handler(|| {
        if INTERRUPTS.fetch_add(1, Ordering::SeqCst) > 0 {
            std::process::exit(130);
        }
    });
}

/// Whether a run goes on when its data are not what they were.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChangedData {
    /// It does not.
    Refused,
    /// It does, with a warning: it is another run from there on.
    Allowed,
}

/// How a run goes on.
#[derive(Debug)]
pub struct Resumption {
    /// Its configuration from now on, for config.toml: written when the checkpoint has been read, so that a
    /// refused resumption changes nothing.
    pub config: String,
    /// What to do when the data changed.
    pub changed_data: ChangedData,
}

/// One training in one folder; no other process trains there while this value lives.
#[derive(Debug)]
pub struct Run {
    folder: PathBuf,
    resumption: Option<Resumption>,
    is_on_processor: bool,
    word: String,
    console: Console,
    notes: Vec<String>,
    events: Option<EventWriter>,
    // Held for its advisory lock, which the system releases even after kill -9.
    _lock: std::fs::File,
    began: Instant,
    // Seconds of the run before this process.
    earlier: f64,
    first_step: u64,
    estimated: bool,
    checkpoint_bytes: u64,
    doctor: Doctor,
}

/// The folder of runs of an architecture, `<out>/<word>`.
pub fn home(out: &Path, word: &str) -> PathBuf {
    out.join(word)
}

/// Every run of an architecture, the newest last (by the time of its config.toml, then by name).
pub fn list(out: &Path, word: &str) -> Vec<PathBuf> {
    let mut runs: Vec<_> = std::fs::read_dir(home(out, word))
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| {
            let config = entry.path().join("config.toml").metadata().ok()?;
            Some((config.modified().ok()?, entry.path()))
        })
        .collect();
    runs.sort();
    runs.into_iter().map(|(_, path)| path).collect()
}

/// Makes the first of 001, 002, .. that is not there. Two processes never get the same one.
fn numbered(home: &Path) -> Result<PathBuf> {
    std::fs::create_dir_all(home).map_err(|error| at_path(Kind::Disk, "create", home, &error))?;
    for number in 1_u64.. {
        let folder = home.join(format!("{number:03}"));
        match std::fs::create_dir(&folder) {
            Ok(()) => return Ok(folder),
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(at_path(Kind::Disk, "create", &folder, &error)),
        }
    }
    unreachable!("a folder holds fewer runs than there are numbers")
}

/// Finds a run by name under `<out>/<word>`, by path, or the newest when `name` is `None`.
///
/// # Errors
/// A [`Kind::Usage`] failure that lists the runs that exist.
pub fn find(out: &Path, word: &str, name: Option<&str>) -> Result<PathBuf> {
    let runs = list(out, word);
    let Some(name) = name.filter(|name| !name.is_empty()) else {
        return runs.last().cloned().ok_or_else(|| {
            failure(
                Kind::Usage,
                format!(
                    "there is no run of {word} under {}: train one with `{word} train`, or say \
                     where with --out or --checkpoint",
                    out.display()
                ),
            )
        });
    };
    for candidate in [home(out, word).join(name), PathBuf::from(name)] {
        if candidate.join("config.toml").is_file() {
            return Ok(candidate);
        }
    }
    let names: Vec<_> = runs
        .iter()
        .filter_map(|run| {
            run.file_name()
                .map(|name| name.to_string_lossy().into_owned())
        })
        .collect();
    Err(failure(
        Kind::Usage,
        format!(
            "there is no run {name} of {word} under {}; there are: {}",
            out.display(),
            if names.is_empty() {
                "none".to_owned()
            } else {
                names.join(", ")
            }
        ),
    ))
}

/// Takes the run's lock. The second value is a warning, where nothing guards the folder.
fn lock(folder: &Path) -> Result<(std::fs::File, Option<String>)> {
    let mut warning = None;
    let place = folder.join("lock");
    let mut file = std::fs::OpenOptions::new()
        .create(true)
        .truncate(false)
        .read(true)
        .write(true)
        .open(&place)
        .map_err(|error| at_path(Kind::Disk, "open", &place, &error))?;
    match file.try_lock() {
        Ok(()) => {}
        Err(std::fs::TryLockError::WouldBlock) => {
            let owner = std::fs::read_to_string(&place).unwrap_or_default();
            return Err(failure(
                Kind::Disk,
                format!(
                    "another process ({}) is training in {}; wait for it, or choose another --name",
                    owner.trim(),
                    folder.display()
                ),
            ));
        }
        // A file system without locks: training there still works, unguarded.
        Err(std::fs::TryLockError::Error(error)) => {
            warning = Some(format!(
                "{} cannot be locked ({error}): nothing keeps another process from training there too",
                place.display()
            ));
        }
    }
    let _ = file.set_len(0);
    let _ = writeln!(file, "process {}", std::process::id());
    Ok((file, warning))
}

impl Run {
    /// Makes a new run folder `<out>/<word>/<name>` (`001`, `002`, ... without a name) and writes
    /// its configuration.
    ///
    /// # Errors
    /// [`Kind::Usage`] when the folder holds a run already, [`Kind::Disk`] when it cannot be made.
    pub fn create(
        out: &Path,
        word: &str,
        name: Option<&str>,
        config: &str,
        voice: Voice,
        notes: Vec<String>,
    ) -> Result<Self> {
        let home = home(out, word);
        let folder = match name {
            Some(name) => {
                let plain =
                    !name.is_empty() && !name.starts_with('.') && !name.contains(['/', '\\', '\0']);
                if !plain {
                    return Err(failure(
                        Kind::Usage,
                        format!("--name {name:?} is not a plain folder name"),
                    ));
                }
                home.join(name)
            }
            None => numbered(&home)?,
        };
        // A process that was killed at once leaves a lock, or a configuration half written.
        let occupied = std::fs::read_dir(&folder).is_ok_and(|entries| {
            entries.flatten().any(|entry| {
                let name = entry.file_name();
                name != "lock" && owner(&name.to_string_lossy()).is_none()
            })
        });
        if occupied {
            return Err(failure(
                Kind::Usage,
                format!(
                    "{} exists: go on with `--resume {}`, or choose another --name",
                    folder.display(),
                    folder.file_name().unwrap_or_default().to_string_lossy()
                ),
            ));
        }
        std::fs::create_dir_all(&folder)
            .map_err(|error| at_path(Kind::Disk, "create", &folder, &error))?;
        let run = Self::open(folder, word, voice, notes)?;
        weights::write_atomically(&run.folder.join("config.toml"), config.as_bytes())?;
        Ok(run)
    }

    /// Opens an existing run folder to go on training in it, under its lock.
    ///
    /// # Errors
    /// [`Kind::Disk`] when another process trains there.
    pub fn resume(
        folder: PathBuf,
        word: &str,
        resumption: Resumption,
        voice: Voice,
        notes: Vec<String>,
    ) -> Result<Self> {
        let mut run = Self::open(folder, word, voice, notes)?;
        run.resumption = Some(resumption);
        Ok(run)
    }

    fn open(folder: PathBuf, word: &str, voice: Voice, notes: Vec<String>) -> Result<Self> {
        let (lock, warning) = lock(&folder)?;
        checkpoint::sweep(&folder);
        checkpoint::sweep(&folder.join("samples"));
        let console = Console::new(voice);
        warning.iter().for_each(|line| console.warn(line));
        Ok(Self {
            folder,
            resumption: None,
            is_on_processor: true,
            word: word.to_owned(),
            console,
            notes,
            events: None,
            _lock: lock,
            began: Instant::now(),
            earlier: 0.0,
            first_step: 0,
            estimated: false,
            checkpoint_bytes: 0,
            doctor: Doctor::default(),
        })
    }

    /// Says where the run computes: on other devices than processors, free memory here tells nothing.
    pub fn set_device(&mut self, name: &str) {
        self.is_on_processor = device::is_processor(name);
    }

    pub(crate) fn is_on_processor(&self) -> bool {
        self.is_on_processor
    }

    /// Where the run is.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// What it says.
    pub fn console(&self) -> &Console {
        &self.console
    }

    /// The command that goes on with this run.
    pub fn resume_command(&self) -> String {
        let name = self
            .folder
            .file_name()
            .unwrap_or_default()
            .to_string_lossy();
        let home = self.folder.parent().and_then(Path::parent);
        match home {
            Some(out) if out != Path::new("runs") => format!(
                "{} train --resume {name} --out {}",
                self.word,
                out.display()
            ),
            _ => format!("{} train --resume {name}", self.word),
        }
    }

    fn stage_folder(&self, stage: &str) -> PathBuf {
        self.folder.join("checkpoints").join(stage)
    }

    /// What a stage that stops now can go on from, in words.
    pub(crate) fn kept(&self, stage: &str) -> String {
        checkpoint::kept(&self.stage_folder(stage))
    }

    /// Loads the newest whole checkpoint of a stage into its parts and returns its step; 0 when
    /// there is none.
    ///
    /// # Errors
    /// [`Kind::Checkpoint`] when every checkpoint is damaged, is of another configuration or other data, or
    /// when there is none although the log says that one was saved.
    pub fn restore<S: Stage>(&mut self, stage: &mut S, plan: &Plan) -> Result<u64> {
        let folder = self.stage_folder(S::NAME);
        checkpoint::sweep(&folder);
        let Some((saved, warnings)) = checkpoint::newest(&folder)? else {
            if self.resumption.is_some() {
                self.check_begun(S::NAME, plan)?;
            }
            return Ok(0);
        };
        for warning in warnings {
            self.console.warn(&warning);
        }
        let manifest = &saved.manifest;
        if manifest.architecture != self.word || manifest.config != plan.identity {
            return Err(failure(
                Kind::Checkpoint,
                format!(
                    "{} was written with another configuration:\n{}",
                    saved.path.display(),
                    difference(&manifest.config, &plan.identity)
                ),
            ));
        }
        if manifest.data != plan.data {
            let told = format!(
                "{} was trained on other data ({}) than is there now ({}): files were added, \
                 removed or changed",
                saved.path.display(),
                manifest.data,
                plan.data
            );
            let allowed = ChangedData::Allowed;
            if self.resumption.as_ref().map(|how| how.changed_data) != Some(allowed) {
                return Err(failure(
                    Kind::Checkpoint,
                    format!(
                        "{told}. Put them back, go on all the same with --allow-changed-data, or \
                         start a new run with --init-from"
                    ),
                ));
            }
            self.console.warn(&format!(
                "{told}; the run goes on, but it is no longer the same bit for bit"
            ));
        }
        if manifest.burn != checkpoint::BURN_VERSION {
            self.console.warn(&format!(
                "the checkpoint was written with burn {}; with {} the run goes on, but not bit for bit",
                manifest.burn,
                checkpoint::BURN_VERSION
            ));
        }
        restore_parts(stage, &saved)?;
        // A process that was killed after it had saved left them.
        self.rotate(S::NAME, manifest.step, plan);
        Ok(manifest.step)
    }

    /// Refuses to start a stage again whose log goes past the first checkpoint: that one lies somewhere.
    fn check_begun(&self, stage: &str, plan: &Plan) -> Result<()> {
        let of_stage = |row: &Map<String, Value>| {
            let is_of_stage = row.get("stage").and_then(Value::as_str) == Some(stage);
            row.get("step")
                .and_then(Value::as_u64)
                .filter(|_| is_of_stage)
        };
        let rows = self.rows()?;
        let logged = rows.iter().filter_map(|(_, row)| of_stage(row)).max();
        let folder = self.stage_folder(stage);
        if let Some(logged) = logged.filter(|step| *step >= plan.save_every) {
            return Err(failure(
                Kind::Checkpoint,
                format!(
                    "{} holds no checkpoint, but metrics.jsonl goes on to step {logged}, and one is saved \
                     every {} steps: is a disk not mounted? Put the checkpoints back, or start anew under \
                     another --name",
                    folder.display(),
                    plan.save_every
                ),
            ));
        }
        // A stage whose turn had not come begins as in a new run.
        if logged.is_some() || folder.is_dir() {
            self.console.warn(&format!(
                "{} holds no checkpoint yet: the stage starts at step 0 again",
                folder.display()
            ));
        }
        Ok(())
    }

    /// The log's rows with their text. Lines that are torn, or no text at all, are left out.
    fn rows(&self) -> Result<Vec<(String, Map<String, Value>)>> {
        let place = self.folder.join("metrics.jsonl");
        let bytes = match std::fs::read(&place) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(at_path(Kind::Disk, "read", &place, &error)),
        };
        let row = |line: &[u8]| {
            let line = std::str::from_utf8(line).ok()?;
            let Ok(Value::Object(row)) = serde_json::from_str(line) else {
                return None;
            };
            Some((line.to_owned(), row))
        };
        Ok(bytes.split(|byte| *byte == b'\n').filter_map(row).collect())
    }

    /// Prepares the log for a stage that stands at `done`: rows and pictures past it are dropped. A resumed
    /// run has its configuration written.
    ///
    /// # Errors
    /// [`Kind::Disk`] when the folder cannot be written.
    pub fn begin_stage(&mut self, stage: &str, done: u64, plan: &Plan) -> Result<()> {
        if let Some(resumption) = &self.resumption {
            let place = self.folder.join("config.toml");
            weights::write_atomically(&place, resumption.config.as_bytes())?;
        }
        // A restart makes TensorBoard forget what follows in all of a folder: each stage has its own.
        let events = self.folder.join("tensorboard").join(stage);
        for folder in [
            self.folder.join("samples"),
            events.clone(),
            self.stage_folder(stage),
        ] {
            std::fs::create_dir_all(&folder)
                .map_err(|error| at_path(Kind::Disk, "create", &folder, &error))?;
        }
        self.forget_after(stage, done)?;
        self.events = Some(EventWriter::create(&events, done)?);
        self.began = Instant::now();
        self.first_step = done;
        self.estimated = false;
        // What is left of an earlier process counts; what it was told is not told again.
        let earlier = doctor::read(&self.folder).unwrap_or_default();
        let found = earlier.into_iter().find(|(name, _)| name == stage);
        self.doctor = found.map_or_else(|| Doctor::of(&self.folder), |(_, doctor)| doctor);
        self.doctor.news();
        if done >= plan.steps {
            self.console
                .say(&format!("stage {stage} is finished at step {done}"));
        } else if done > 0 {
            self.console.say(&format!(
                "resuming stage {stage} in {} at step {done} of {}",
                self.folder.display(),
                plan.steps
            ));
        } else {
            self.console.say(&format!(
                "training stage {stage} in {} for {} steps",
                self.folder.display(),
                plan.steps
            ));
        }
        if done < plan.steps {
            self.console.start(done, plan.steps);
        }
        Ok(())
    }

    /// Drops metric rows of `stage` after `done`, and torn lines, so that a resumed run has each
    /// step once.
    fn forget_after(&mut self, stage: &str, done: u64) -> Result<()> {
        let place = self.folder.join("metrics.jsonl");
        let mut kept = String::new();
        for (line, row) in self.rows()? {
            let step = row.get("step").and_then(Value::as_u64).unwrap_or(0);
            // A stage that starts again writes its first row again.
            let is_past = step > done || done == 0;
            if row.get("stage").and_then(Value::as_str) == Some(stage) && is_past {
                continue;
            }
            if let Some(elapsed) = row.get("elapsed_s").and_then(Value::as_f64) {
                self.earlier = elapsed;
            }
            kept.push_str(&line);
            kept.push('\n');
        }
        if std::fs::read(&place).is_ok_and(|bytes| bytes != kept.as_bytes()) {
            weights::write_atomically(&place, kept.as_bytes())?;
        }
        Ok(())
    }

    /// Whether Ctrl-C was pressed.
    pub fn interrupted(&self) -> bool {
        INTERRUPTS.load(Ordering::SeqCst) > 0
    }

    /// Writes `samples/<name>.png`, or `samples/<name>_<step>.png`.
    ///
    /// # Errors
    /// [`Kind::Disk`] when the picture cannot be written.
    pub fn picture(&mut self, name: &str, step: Option<u64>, picture: &RgbImage) -> Result<()> {
        let file = match step {
            Some(step) => format!("{name}_{step:08}.png"),
            None => format!("{name}.png"),
        };
        let bytes = png(picture)?;
        weights::write_atomically(&self.folder.join("samples").join(file), &bytes)?;
        if let Some(events) = &mut self.events {
            let step = step.unwrap_or(0);
            events.image(step, name, &bytes, picture.width(), picture.height())?;
        }
        Ok(())
    }

    /// Writes one log row: metrics.jsonl, TensorBoard, and a line or a message beside the bar.
    pub(crate) fn log(
        &mut self,
        stage: &str,
        step: u64,
        epoch: f64,
        values: &BTreeMap<&'static str, (f64, u64)>,
        window: &Window,
        plan: &Plan,
    ) -> Result<()> {
        let seconds = window.elapsed.as_secs_f64().max(1e-9);
        let mut row: Vec<(&str, f64)> = values
            .iter()
            .map(|(name, (sum, count))| (*name, sum / *count as f64))
            .collect();
        row.push((
            "images_per_second",
            window.steps as f64 * plan.batch_size as f64 / seconds,
        ));
        row.push(("data_wait", window.waited.as_secs_f64() / seconds));
        row.push(("epoch", epoch));
        row.push((
            "elapsed_s",
            self.earlier + self.began.elapsed().as_secs_f64(),
        ));
        let text: Vec<String> = row
            .iter()
            .filter(|(name, _)| !matches!(*name, "epoch" | "elapsed_s"))
            .map(|(name, value)| format!("{name} {}", short(*value)))
            .collect();
        self.console
            .status(&format!("step {step}/{}", plan.steps), &text.join("  "));
        self.doctor.observe(step, row.iter().copied());
        for line in self.doctor.news() {
            self.console.warn(&format!("step {step}: {line}"));
        }
        self.append(stage, step, &row)
    }

    /// Whether `value`, measured after `step`, is better than all before it; if so, that step is the `best` from now
    /// on. Written before the checkpoint itself is: one that names no folder does not count.
    pub(crate) fn is_best(
        &mut self,
        stage: &str,
        step: u64,
        value: f64,
        order: Best,
    ) -> Result<bool> {
        let folder = self.stage_folder(stage);
        // A run that fell back from a damaged checkpoint comes by its best again, and saves it anew.
        let best = checkpoint::best(&folder).filter(|(earlier, _)| *earlier < step);
        if !order.is_better(value, best.map(|(_, value)| value)) {
            return Ok(false);
        }
        std::fs::create_dir_all(&folder)
            .map_err(|error| at_path(Kind::Disk, "create", &folder, &error))?;
        let text = format!("{}\n{value}\n", checkpoint::step_name(step));
        weights::write_atomically(&folder.join("best"), text.as_bytes())?;
        Ok(true)
    }

    /// Writes a row of values that were measured on samples, or on data kept out of training.
    pub(crate) fn measured(
        &mut self,
        stage: &str,
        step: u64,
        on: &str,
        values: &[(&'static str, f64)],
    ) -> Result<()> {
        let text: Vec<String> = values
            .iter()
            .map(|(name, value)| format!("{name} {}", short(*value)))
            .collect();
        self.console
            .say(&format!("step {step} {on}: {}", text.join("  ")));
        self.append(stage, step, values)
    }

    fn append(&mut self, stage: &str, step: u64, values: &[(&str, f64)]) -> Result<()> {
        let mut row = Map::new();
        row.insert("stage".to_owned(), stage.into());
        row.insert("step".to_owned(), step.into());
        for (name, value) in values {
            row.insert((*name).to_owned(), (*value).into());
        }
        let line = Value::Object(row).to_string();
        self.console.row(&line);
        let place = self.folder.join("metrics.jsonl");
        let append = || -> std::io::Result<()> {
            let mut file = std::fs::OpenOptions::new()
                .create(true)
                .append(true)
                .open(&place)?;
            file.write_all(format!("{line}\n").as_bytes())
        };
        append().map_err(|error| at_path(Kind::Disk, "write", &place, &error))?;
        if let Some(events) = &mut self.events {
            for (name, value) in values {
                events.scalar(step, &format!("{stage}/{name}"), *value as f32)?;
            }
            events.flush()?;
        }
        Ok(())
    }

    /// Moves the progress bar; after ten steps says how long the rest takes.
    pub(crate) fn tick(&mut self, done: u64, plan: &Plan) {
        self.console.tick(done);
        let steps = done - self.first_step;
        if steps == 10 && !self.estimated {
            self.estimated = true;
            let seconds = self.began.elapsed().as_secs_f64() / steps as f64;
            let rest = seconds * (plan.steps - done) as f64;
            let memory = peak_memory()
                .map(|bytes| format!(", {} MB of memory so far", bytes / 1_000_000))
                .unwrap_or_default();
            self.console.say(&format!(
                "{} a step: about {} for the remaining {} steps{memory}; up to {} checkpoints are kept",
                duration(seconds),
                duration(rest),
                plan.steps - done,
                plan.keep,
            ));
        }
    }

    /// Saves a checkpoint, and drops surplus ones.
    ///
    /// # Errors
    /// As [`checkpoint::save`].
    pub fn save(
        &mut self,
        stage: &str,
        step: u64,
        plan: &Plan,
        parts: &[(String, Vec<PartFile>)],
    ) -> Result<()> {
        let identity = Identity {
            architecture: self.word.clone(),
            stage: stage.to_owned(),
            step,
            seed: plan.seed,
            config: plan.identity.clone(),
            data: plan.data.clone(),
            extra: plan.extra.clone(),
        };
        let folder = self.stage_folder(stage);
        let saved = checkpoint::save(&folder, &identity, parts)?;
        if self.checkpoint_bytes == 0 {
            self.checkpoint_bytes = parts
                .iter()
                .flat_map(|(_, files)| files)
                .flat_map(|file| file.tensors.values())
                .map(|tensor| 4 * tensor.values.len() as u64)
                .sum();
            self.console.say(&format!(
                "checkpoint {} ({} MB; --keep {})",
                saved.display(),
                self.checkpoint_bytes.div_ceil(1_000_000),
                plan.keep
            ));
        }
        self.rotate(stage, step, plan);
        Ok(())
    }

    /// Drops surplus checkpoints up to `step`.
    fn rotate(&self, stage: &str, step: u64, plan: &Plan) {
        let folder = self.stage_folder(stage);
        let mut pinned = plan.trace.as_ref().map_or(Vec::new(), |_| vec![0]);
        pinned.extend(checkpoint::best(&folder).map(|(step, _)| step));
        for warning in checkpoint::rotate(&folder, step, plan.keep, &pinned) {
            self.console.warn(&warning);
        }
    }

    /// Renews the report.
    ///
    /// # Errors
    /// [`Kind::Disk`] when it cannot be written.
    pub(crate) fn write_report(&self) -> Result<()> {
        let name = self
            .folder
            .file_name()
            .unwrap_or_default()
            .to_string_lossy();
        report::write(&self.folder, &format!("{} {name}", self.word), &self.notes)?;
        Ok(())
    }

    /// Ends a stage: the animation of its samples, the report, and a last word.
    ///
    /// # Errors
    /// [`Kind::Disk`] when they cannot be written.
    pub fn end_stage(&mut self, _stage: &str, plan: &Plan) -> Result<()> {
        self.console.finish();
        if !self.doctor.is_silent() {
            self.console
                .say(&format!("health: {}", self.doctor.health()));
        }
        self.animate()?;
        self.write_report()?;
        self.console.say(&format!(
            "done: {} steps in {}. Look at {}",
            plan.steps,
            duration(self.earlier + self.began.elapsed().as_secs_f64()),
            self.folder.join("report.html").display()
        ));
        Ok(())
    }

    /// Joins the sample pictures into `samples/training.gif`, at most 60 of them. Those that cannot be read
    /// any more are told and left out: the training is done.
    fn animate(&self) -> Result<()> {
        let folder = self.folder.join("samples");
        let mut names: Vec<PathBuf> = std::fs::read_dir(&folder)
            .into_iter()
            .flatten()
            .flatten()
            .map(|entry| entry.path())
            .filter(|path| {
                let name = path.file_name().unwrap_or_default().to_string_lossy();
                name.starts_with("step_") && name.ends_with(".png")
            })
            .collect();
        names.sort();
        if names.len() < 2 {
            return Ok(());
        }
        let stride = names.len().div_ceil(60);
        let last = names.len() - 1;
        let mut frames: Vec<RgbImage> = Vec::new();
        for (index, path) in names.iter().enumerate() {
            if index % stride == 0 || index == last {
                match crate::images::read(path) {
                    Ok(picture) => frames.push(picture.into_rgb8()),
                    Err(error) => self
                        .console
                        .warn(&format!("left out of the animation: {error:#}")),
                }
            }
        }
        let Some(size) = frames.last().map(RgbImage::dimensions) else {
            return Ok(());
        };
        frames.retain(|frame| frame.dimensions() == size);
        let place = folder.join("training.gif");
        if place.is_dir() {
            self.console.warn(&format!(
                "{} is a folder: there is no animation of the samples",
                place.display()
            ));
            return Ok(());
        }
        animation::write(&place, &frames, 150)
    }
}

/// Loads a checked checkpoint into the parts of a stage.
///
/// # Errors
/// [`Kind::Checkpoint`] when a file is missing or does not fit; it names the file.
pub fn restore_parts<S: Stage>(stage: &mut S, saved: &Saved) -> Result<()> {
    stage.parts(&mut |name, part| {
        part.restore(&mut |suffix| saved.read(name, suffix))
            .with_context(|| format!("loading {name} from {}", saved.path.display()))
    })
}

/// The lines in which two configurations differ.
fn difference(saved: &str, asked: &str) -> String {
    let lines = |text: &str| text.lines().map(str::to_owned).collect::<Vec<_>>();
    let (saved, asked) = (lines(saved), lines(asked));
    let mut out = Vec::new();
    out.extend(
        saved
            .iter()
            .filter(|l| !asked.contains(l))
            .map(|l| format!("  saved: {l}")),
    );
    out.extend(
        asked
            .iter()
            .filter(|l| !saved.contains(l))
            .map(|l| format!("  asked: {l}")),
    );
    out.join("\n")
}

fn png(picture: &RgbImage) -> Result<Vec<u8>> {
    let mut bytes = std::io::Cursor::new(Vec::new());
    picture
        .write_to(&mut bytes, image::ImageFormat::Png)
        .context("encoding a sample picture")?;
    Ok(bytes.into_inner())
}

/// Four significant digits.
fn short(value: f64) -> String {
    let size = value.abs();
    if size == 0.0 {
        "0".to_owned()
    } else if size >= 1000.0 {
        format!("{value:.0}")
    } else if size >= 1.0 {
        format!("{value:.2}")
    } else if size >= 0.001 {
        format!("{value:.4}")
    } else {
        format!("{value:.1e}")
    }
}

/// A duration as a person says it.
pub fn duration(seconds: f64) -> String {
    if seconds < 1.0 {
        format!("{:.0} ms", seconds * 1000.0)
    } else if seconds < 120.0 {
        format!("{seconds:.1} s")
    } else if seconds < 7200.0 {
        format!("{:.1} min", seconds / 60.0)
    } else {
        format!("{:.1} h", seconds / 3600.0)
    }
}

/// The largest resident size of this process so far, in bytes, where the system tells.
pub fn peak_memory() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    let kibibytes: u64 = line.split_whitespace().nth(1)?.parse().ok()?;
    Some(kibibytes * 1024)
}
