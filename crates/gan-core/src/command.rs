//! What every binary shares: arguments, launching a training, writing samples, errors and exit codes.

use crate::checkpoint::Saved;
use crate::config::{self, Configuration, Layer};
use crate::console::{Console, Voice};
use crate::dataset::{DataCommand, Datasets};
use crate::failure::{Kind, at_path, exit_code, failure, of_training};
use crate::published::WeightsCommand;
use crate::random::Prior;
use crate::run::{self, ChangedData, Resumption, Run, listen_for_interrupts};
use crate::stage::{Plan, Source};
use crate::weights::{self, Metadata, WeightFile};
use crate::{animation, latent, located, picture, state_dict};
use anyhow::Result;
use image::RgbImage;
use serde::Serialize;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
#[cfg(unix)]
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, PoisonError};

/// The exit codes, for the end of `--help`.
pub const EXIT_CODES: &str = "Exit codes: 0 done, 1 other failure (a bug, which is told), 2 wrong flag or configuration, \
    3 bad data file, 4 bad checkpoint, 5 failed download, 6 disk, 7 diverged (a value was not finite), \
    130 stopped by Ctrl-C after saving a checkpoint.";

/// Runs a binary: parses the command line with underscores as good as hyphens, prints an error on
/// the standard error, and returns the documented exit code. Never shows a backtrace: a panic, of any
/// thread, is one line that says where, and exit code 1.
pub fn run<C: clap::Parser>(
    body: impl FnOnce(C) -> Result<()> + std::panic::UnwindSafe,
) -> ExitCode {
    #[cfg(unix)]
    fail_at_file_limits();
    convolution::allocator::keep_memory();
    convolution::threads::take_part(convolution::threads::usual());
    let command = C::parse_from(normalised(std::env::args_os()));
    match caught(std::panic::AssertUnwindSafe(|| body(command))) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "error: {error:#}");
            ExitCode::from(exit_code(&error))
        }
    }
}

/// Lets a write past the limit on file sizes (`ulimit -f`) fail like others, with the file's name: by
/// default its signal ends the process.
#[cfg(unix)]
fn fail_at_file_limits() {
    // Nobody reads it: the signal only must not do what it does by default.
    static MET: AtomicBool = AtomicBool::new(false);
    // Where it cannot be registered, things are as they were.
    let _ = signal_hook::flag::register(signal_hook::consts::SIGXFSZ, &MET);
}

/// Does `body`; a panic of any thread in it, which is always our own mistake or that of a library, becomes
/// an error of one line.
///
/// # Errors
/// As `body`, and for a panic.
fn caught(body: impl FnOnce() -> Result<()> + std::panic::UnwindSafe) -> Result<()> {
    // The first one: those that follow only tell that a thread of theirs ended.
    let first: Arc<Mutex<Option<String>>> = Arc::default();
    let noted = Arc::clone(&first);
    let earlier = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        let text = panic.payload_as_str().unwrap_or("no message");
        let place = panic.location().map_or(String::new(), |at| {
            format!(" ({}:{})", at.file(), at.line())
        });
        let mut noted = noted.lock().unwrap_or_else(PoisonError::into_inner);
        noted.get_or_insert_with(|| format!("{}{place}", one_line(text)));
    }));
    let outcome = std::panic::catch_unwind(body);
    std::panic::set_hook(earlier);
    outcome.unwrap_or_else(|_| {
        let first = first.lock().unwrap_or_else(PoisonError::into_inner).take();
        Err(bug(&first.unwrap_or_else(|| "no message".to_owned())))
    })
}

/// The first line of a text, of bearable length: some drivers panic with pages.
fn one_line(text: &str) -> String {
    let line = text.lines().find(|line| !line.trim().is_empty());
    line.unwrap_or("no message")
        .trim()
        .chars()
        .take(300)
        .collect()
}

/// What a user reads after a panic.
fn bug(told: &str) -> anyhow::Error {
    let lower = told.to_lowercase();
    let hint = if lower.contains("memory") || lower.contains("alloc") {
        ". Where memory does not do, a lower --batch-size or --accumulate N takes less"
    } else {
        ""
    };
    anyhow::anyhow!("this is a bug: {told}{hint}; please report it with the command line")
}

/// `--batch_size 3` becomes `--batch-size 3`, `--no-flip` becomes `--flip=false`.
fn normalised(
    arguments: impl Iterator<Item = std::ffi::OsString>,
) -> impl Iterator<Item = std::ffi::OsString> {
    let mut only_values = false;
    arguments.map(move |argument| {
        let Some(text) = argument
            .to_str()
            .filter(|text| text.starts_with("--") && !only_values)
        else {
            return argument;
        };
        only_values = text == "--";
        let (flag, value) = match text.split_once('=') {
            Some((flag, value)) => (flag, Some(value)),
            None => (text, None),
        };
        let flag = flag.replace('_', "-");
        match (flag.as_str(), value) {
            ("--no-flip", None) => "--flip=false".into(),
            (flag, Some(value)) => format!("{flag}={value}").into(),
            (flag, None) => flag.into(),
        }
    })
}

/// Which run to train, and how loudly.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct RunArguments {
    /// Name of the run folder; 001, 002, ... without it.
    #[arg(long)]
    pub name: Option<String>,
    /// The root of all runs.
    #[arg(long, default_value = "runs", value_name = "DIR")]
    pub out: PathBuf,
    /// A TOML file whose keys override the preset.
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// A configuration that is compiled in.
    #[arg(long, value_name = "NAME")]
    pub preset: Option<String>,
    /// Go on with a run (its name or path; the newest without one), bit for bit.
    #[arg(long, value_name = "RUN", num_args = 0..=1, default_missing_value = "")]
    pub resume: Option<String>,
    /// Go on with a run although its data changed: no longer bit for bit.
    #[arg(long, requires = "resume")]
    pub allow_changed_data: bool,
    /// Start a new run from the weights of a checkpoint, a .safetensors or a .pth.
    #[arg(long, value_name = "CHECKPOINT", conflicts_with = "resume")]
    pub init_from: Option<PathBuf>,
    /// Print the configuration and the networks, and train nothing.
    #[arg(long)]
    pub dry_run: bool,
    /// Say nothing but warnings and errors.
    #[arg(long, conflicts_with = "json")]
    pub quiet: bool,
    /// Write every log row as a JSON line on the standard output.
    #[arg(long)]
    pub json: bool,
    /// Keep batches and random draws of the first steps in this folder, for the PyTorch twin.
    #[arg(long, value_name = "DIR", hide = true)]
    pub trace: Option<PathBuf>,
    /// How many steps --trace keeps.
    #[arg(long, default_value_t = 10, hide = true)]
    pub trace_steps: u64,
}

/// `train`: run arguments, and a flag for every key of the configuration.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct TrainCommand<F: clap::Args> {
    /// Which run.
    #[command(flatten)]
    pub run: RunArguments,
    /// Overrides.
    #[command(flatten)]
    pub flags: F,
}

/// A training that is about to start: its merged configuration, and where it will live.
#[derive(Debug)]
pub struct Launch<C> {
    /// The whole configuration.
    pub config: C,
    arguments: RunArguments,
    resumed: Option<(PathBuf, C)>,
    voice: Voice,
}

impl<C: Configuration> Launch<C> {
    /// Merges the layers: flags > --config > --preset > defaults. Without data, config and preset the
    /// `quick` preset is used.
    ///
    /// # Errors
    /// [`Kind::Usage`] for a wrong key or value, or a run that cannot be resumed so.
    pub fn new<F: Serialize + clap::Args>(command: &TrainCommand<F>) -> Result<Self> {
        let arguments = command.run.clone();
        let flags = Layer::flags(&command.flags)?;
        let voice = match (arguments.quiet, arguments.json) {
            (true, _) => Voice::Quiet,
            (_, true) => Voice::Json,
            _ => Voice::Normal,
        };
        if let Some(name) = &arguments.resume {
            if arguments.config.is_some() || arguments.preset.is_some() {
                return Err(failure(
                    Kind::Usage,
                    "--resume takes the run's own configuration: leave out --config and --preset",
                ));
            }
            let folder = run::find(&arguments.out, C::WORD, Some(name.as_str()))?;
            let place = folder.join("config.toml");
            let saved_layer = Layer::read(&place)?;
            if saved_layer.table.is_empty() {
                return Err(failure(
                    Kind::Checkpoint,
                    format!(
                        "{} is damaged: it sets no keys. `{} info {}` prints those of the checkpoint",
                        place.display(),
                        C::WORD,
                        folder.display()
                    ),
                ));
            }
            let saved: C = config::merge(std::slice::from_ref(&saved_layer))?;
            let config: C = config::merge(&[saved_layer, flags])?;
            config::check_resumable(&saved, &config)?;
            return Ok(Self {
                config,
                arguments,
                resumed: Some((folder, saved)),
                voice,
            });
        }
        let mut layers = Vec::new();
        let has_data = flags
            .table
            .get("data")
            .is_some_and(|data| data.as_str() != Some(""));
        match &arguments.preset {
            Some(name) => layers.push(Layer::preset::<C>(name)?),
            None if arguments.config.is_none() && !has_data => {
                layers.push(Layer::preset::<C>(C::default_preset(&flags.table))?);
            }
            None => {}
        }
        if let Some(path) = &arguments.config {
            layers.push(Layer::read(path)?);
        }
        layers.push(flags);
        Ok(Self {
            config: config::merge(&layers)?,
            arguments,
            resumed: None,
            voice,
        })
    }

    /// The checkpoint to fine-tune from.
    pub fn init_from(&self) -> Option<&Path> {
        self.arguments.init_from.as_deref()
    }

    /// The root of all runs.
    pub fn out(&self) -> &Path {
        &self.arguments.out
    }

    /// Says a line before the run folder exists.
    pub fn say(&self, line: &str) {
        Console::new(self.voice).say(line);
    }

    /// With `--dry-run`: prints the configuration and `networks`, and returns true.
    ///
    /// # Errors
    /// Never in practice.
    pub fn is_dry(&self, networks: &str) -> Result<bool> {
        if self.arguments.dry_run {
            print(&format!("{}\n{networks}", config::to_toml(&self.config)?));
        }
        Ok(self.arguments.dry_run)
    }

    /// Opens or makes the run folder, and says how long to train on `source`; `procedural` tells what the built-in data is, when that is what is trained on.
    ///
    /// # Errors
    /// [`Kind::Usage`] when the folder is taken, [`Kind::Disk`] when it cannot be written or another
    /// process trains there.
    pub fn start(
        &self,
        source: &impl Source,
        procedural: Option<&str>,
        extra: Metadata,
    ) -> Result<(Run, Plan)> {
        let training = self.config.training();
        let steps_of = |config: &C| match config.training().steps {
            0 => config.training().epochs.saturating_mul(source.len() as u64),
            steps => steps,
        };
        let steps = steps_of(&self.config);
        if let Some((_, saved)) = &self.resumed
            && steps < steps_of(saved)
        {
            return Err(failure(
                Kind::Usage,
                format!(
                    "the run is planned for {} steps; {steps} were asked for: steps may only be \
                     raised on resume",
                    steps_of(saved)
                ),
            ));
        }
        if let Some((_, saved)) = &self.resumed
            && steps > steps_of(saved)
            && self.config.decays()
        {
            Console::new(self.voice).warn(&format!(
                "the run is now {steps} steps long instead of {}: its learning rate falls with the share of the run \
                 that is over, and so is higher from here on than it was",
                steps_of(saved)
            ));
        }
        let plan = Plan {
            steps,
            seed: training.seed,
            batch_size: training.batch_size,
            accumulate: training.accumulate,
            workers: training.workers,
            log_every: training.log_every,
            sample_every: training.sample_every,
            save_every: training.save_every,
            keep: training.keep,
            identity: config::identity(&self.config)?,
            data: source.fingerprint(),
            initialised: self.init_from().is_some(),
            extra,
            trace: self
                .arguments
                .trace
                .clone()
                .map(|folder| (folder, self.arguments.trace_steps)),
        };
        let mut notes = Vec::new();
        let mut header = String::new();
        let mark = crate::dataset::procedural_mark(Path::new(&training.data));
        if let Some(what) = procedural.map(str::to_owned).or(mark) {
            let note = format!("PROCEDURAL data: {what}");
            header = format!("# {note}\n");
            let paper = C::PRESETS.iter().find(|(name, _)| *name == "paper");
            self.say(&match paper {
                Some(_) => format!(
                    "{note}. Train on your own with `--data PATH`; the paper's configuration: \
                     `cargo run -p {} -- train --preset paper --data PATH`",
                    C::WORD
                ),
                None => note.clone(),
            });
            notes.push(note);
        }
        header.push_str(&format!(
            "# Train the same again: {} train --config FILE\n",
            C::WORD
        ));
        let text = header + &config::to_toml(&self.config)?;
        listen_for_interrupts();
        let run = match &self.resumed {
            Some((folder, _)) => Run::resume(
                folder.clone(),
                C::WORD,
                // Raised steps are part of the run from now on.
                Resumption {
                    config: text,
                    changed_data: if self.arguments.allow_changed_data {
                        ChangedData::Allowed
                    } else {
                        ChangedData::Refused
                    },
                },
                self.voice,
                notes,
            ),
            None => Run::create(
                &self.arguments.out,
                C::WORD,
                self.arguments.name.as_deref(),
                &text,
                self.voice,
                notes,
            ),
        };
        let mut run = run.map_err(of_training)?;
        run.set_device(&training.device);
        Ok((run, plan))
    }
}

/// Prints on the standard output; a closed pipe is not an error.
pub fn print(text: &str) {
    let mut out = std::io::stdout();
    let _ = out.write_all(text.as_bytes());
    if !text.ends_with('\n') {
        let _ = out.write_all(b"\n");
    }
    let _ = out.flush();
}

/// The verbs that are the same for every architecture.
#[derive(Debug, Clone, clap::Subcommand)]
pub enum SharedCommand {
    /// Fetch a dataset, check one, bring pictures to one shape, or write the procedural stand-in.
    #[command(subcommand)]
    Data(DataCommand),
    /// List published weights of all architectures, or fetch some.
    #[command(subcommand)]
    Weights(WeightsCommand),
    /// Say which devices this program can compute on, and which are here.
    Devices,
    /// Describe a checkpoint.
    Info(InfoCommand),
    /// Write weights for PyTorch, as .pth or .safetensors.
    Export(ExportCommand),
    /// List runs, or free disk space.
    #[command(subcommand)]
    Runs(RunsCommand),
    /// Say whether a run is healthy: who wins, whether gradients vanish, whether samples are all alike.
    Diagnose(DiagnoseCommand),
}

impl SharedCommand {
    /// Does what was asked, for an architecture with these stages and datasets.
    ///
    /// # Errors
    /// As each verb.
    pub fn run(&self, stages: &[&str], datasets: &Datasets) -> Result<()> {
        let word = datasets.word;
        match self {
            Self::Data(command) => command.run(datasets),
            Self::Weights(command) => command.run(),
            Self::Devices => {
                print(&crate::device::table());
                Ok(())
            }
            Self::Info(command) => command.print(word, stages),
            Self::Export(command) => command.write(word, stages),
            Self::Runs(command) => command.print(word),
            Self::Diagnose(command) => command.print(word),
        }
    }
}

/// `diagnose`.
#[derive(Debug, Clone, clap::Args)]
pub struct DiagnoseCommand {
    /// The folder of a run, or its name; the newest run without it.
    #[arg(value_name = "RUN")]
    pub run: Option<PathBuf>,
    /// The root of all runs.
    #[arg(long, default_value = "runs", value_name = "DIR")]
    pub out: PathBuf,
    /// Print the findings as JSON.
    #[arg(long)]
    pub json: bool,
}

impl DiagnoseCommand {
    /// Reads the log and prints what it tells.
    ///
    /// # Errors
    /// [`Kind::Usage`] when there is no such run.
    pub fn print(&self, word: &str) -> Result<()> {
        let folder = match &self.run {
            Some(run) if run.join("metrics.jsonl").is_file() => run.clone(),
            Some(run) => run::find(&self.out, word, run.to_str())?,
            None => run::find(&self.out, word, None)?,
        };
        let stages = crate::doctor::read(&folder)?;
        if self.json {
            let stages: Vec<_> = stages
                .iter()
                .map(|(name, doctor)| {
                    serde_json::json!({
                        "stage": name,
                        "has_players": !doctor.is_silent(),
                        "findings": doctor.findings(),
                    })
                })
                .collect();
            print(&serde_json::to_string_pretty(&stages)?);
            return Ok(());
        }
        let mut lines = vec![format!("{}", folder.display())];
        if stages.is_empty() {
            lines.push("nothing is logged yet".to_owned());
        }
        for (name, doctor) in &stages {
            if doctor.is_silent() {
                lines.push(format!("stage {name}: no two players, nothing to tell"));
                continue;
            }
            lines.push(format!("stage {name}: {}", doctor.health()));
            let passed = doctor.findings().into_iter().filter(|found| !found.is_now);
            lines.extend(passed.map(|finding| format!("  earlier: {}", finding.line())));
        }
        print(&lines.join("\n"));
        Ok(())
    }
}

/// Where weights come from, for every verb that only reads them.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct CheckpointArguments {
    /// A run, a step folder, a .safetensors or a .pth; the newest run without it.
    #[arg(long, value_name = "PATH")]
    pub checkpoint: Option<PathBuf>,
    /// The root of all runs.
    #[arg(long, default_value = "runs", value_name = "DIR")]
    pub out: PathBuf,
    /// Use the newest weights instead of their running average.
    #[arg(long)]
    pub no_ema: bool,
    /// Where to compute.
    #[arg(long, default_value = "auto")]
    pub device: String,
}

impl CheckpointArguments {
    /// Finds the weights of `network`: its running average where there is one, unless `--no-ema`.
    ///
    /// # Errors
    /// As [`located::find`].
    pub fn find(&self, word: &str, stages: &[&str], network: &str) -> Result<located::Located> {
        self.find_first(word, stages, &[network])
    }

    /// As [`CheckpointArguments::find`], of the first of `networks` that is there.
    ///
    /// # Errors
    /// As [`located::find`].
    fn find_first(
        &self,
        word: &str,
        stages: &[&str],
        networks: &[&str],
    ) -> Result<located::Located> {
        let mut names = Vec::new();
        for network in networks {
            if !self.no_ema {
                names.push(format!("{network}_ema"));
            }
            names.push((*network).to_owned());
        }
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let place = self.checkpoint.as_deref();
        let found = located::find(place, &self.out, word, stages, &names)?;
        let console = Console::new(Voice::Normal);
        for warning in &found.warnings {
            console.warn(warning);
        }
        console.say(&format!("weights: {}", found.path.display()));
        Ok(found)
    }
}

/// Turns latent vectors into pictures.
pub type Decode<'a> = dyn FnMut(&[Vec<f32>]) -> Result<Vec<RgbImage>> + 'a;

/// `generate`.
#[derive(Debug, Clone, clap::Args)]
pub struct GenerateCommand {
    /// Which weights.
    #[command(flatten)]
    pub weights: CheckpointArguments,
    /// Seeds of the samples, such as 0,1,4-6; each seed is one sample, whatever else is made.
    #[arg(long, value_name = "LIST", conflicts_with = "num")]
    pub seeds: Option<String>,
    /// How many samples: seeds 0 to NUM - 1.
    #[arg(long)]
    pub num: Option<usize>,
    /// Write one sheet instead of single pictures, COLUMNSxROWS.
    #[arg(long, value_name = "8x8")]
    pub grid: Option<String>,
    /// Folder of the pictures (or the sheet's file, with --grid and a name ending in .png); without
    /// it, `generated/` in the run of the checkpoint.
    #[arg(short, long, value_name = "DIR")]
    pub output: Option<PathBuf>,
    /// Samples computed at once.
    #[arg(long, default_value_t = 64)]
    pub batch_size: usize,
}

impl GenerateCommand {
    /// The seeds that were asked for: --seeds, --num, a grid's cells, or 0 to 63.
    ///
    /// # Errors
    /// [`Kind::Usage`] for an empty or endless request.
    pub fn seeds(&self) -> Result<Vec<u64>> {
        if self.batch_size == 0 {
            return Err(failure(Kind::Usage, "--batch-size must be at least 1"));
        }
        if let Some(text) = &self.seeds {
            return latent::parse_seeds(text);
        }
        let count = match (self.num, &self.grid) {
            (Some(count), _) => count,
            (None, Some(grid)) => {
                let (columns, rows) = latent::parse_grid(grid)?;
                columns * rows
            }
            (None, None) => 64,
        };
        if !(1..=1_000_000).contains(&count) {
            return Err(failure(
                Kind::Usage,
                format!("--num {count} is not legal: 1 to 1000000"),
            ));
        }
        Ok((0..count as u64).collect())
    }

    /// Makes samples in batches and writes them: `sample` turns latent vectors (one a seed) into
    /// pictures. Returns where they are.
    ///
    /// # Errors
    /// [`Kind::Disk`] when a picture cannot be written, and whatever `sample` reports.
    pub fn write(
        &self,
        weights: &Path,
        prior: Prior,
        width: usize,
        sample: &mut Decode<'_>,
    ) -> Result<PathBuf> {
        let seeds = self.seeds()?;
        let grid = self.grid.as_deref().map(latent::parse_grid).transpose()?;
        let target = self.output.clone().unwrap_or_else(|| {
            let home = run_of(weights).unwrap_or_else(|| PathBuf::from("."));
            home.join("generated")
        });
        let is_png = target.extension().is_some_and(|e| e == "png");
        if is_png && grid.is_none() {
            return Err(failure(
                Kind::Usage,
                format!(
                    "-o {} is a picture's name, but each sample gets its own: name a folder, or add \
                     --grid",
                    target.display()
                ),
            ));
        }
        let is_file = grid.is_some() && is_png;
        let folder = if is_file {
            target.parent().unwrap_or(Path::new("")).to_owned()
        } else {
            target.clone()
        };
        if !folder.as_os_str().is_empty() {
            std::fs::create_dir_all(&folder)
                .map_err(|error| at_path(Kind::Disk, "create", &folder, &error))?;
        }
        let mut sheet = Vec::new();
        let mut made = 0;
        for chunk in seeds.chunks(self.batch_size) {
            let latents: Vec<_> = chunk
                .iter()
                .map(|seed| prior.latent(*seed, width))
                .collect();
            for (seed, picture) in chunk.iter().zip(sample(&latents)?) {
                if grid.is_some() {
                    sheet.push(picture);
                } else {
                    save_picture(&folder.join(format!("seed_{seed:08}.png")), &picture)?;
                }
                made += 1;
            }
        }
        let console = Console::new(Voice::Normal);
        if let Some((columns, rows)) = grid {
            let place = if is_file {
                target
            } else {
                folder.join("grid.png")
            };
            sheet.truncate(columns * rows);
            save_picture(&place, &picture::grid(&sheet, columns, 2))?;
            console.say(&format!("{} samples in {}", sheet.len(), place.display()));
            return Ok(place);
        }
        console.say(&format!("{made} pictures in {}", folder.display()));
        Ok(folder)
    }
}

/// The run folder that a file of a checkpoint belongs to.
pub fn run_of(weights: &Path) -> Option<PathBuf> {
    weights
        .ancestors()
        .find(|place| place.join("config.toml").is_file() && place.join("checkpoints").is_dir())
        .map(Path::to_owned)
}

/// Writes a PNG.
///
/// # Errors
/// [`Kind::Disk`], naming the file.
pub fn save_picture(path: &Path, picture: &RgbImage) -> Result<()> {
    let mut bytes = std::io::Cursor::new(Vec::new());
    picture
        .write_to(&mut bytes, image::ImageFormat::Png)
        .map_err(|error| failure(Kind::Disk, format!("{}: {error}", path.display())))?;
    std::fs::write(path, bytes.into_inner())
        .map_err(|error| at_path(Kind::Disk, "write", path, &error))
}

/// `interpolate`.
#[derive(Debug, Clone, clap::Args)]
pub struct InterpolateCommand {
    /// Which weights.
    #[command(flatten)]
    pub weights: CheckpointArguments,
    /// Seeds that the walk passes, in order; it returns to the first.
    #[arg(long, value_name = "LIST", default_value = "0-3")]
    pub seeds: String,
    /// Latent arithmetic instead: a-b+c over --seeds, 12-7+3, or `[1,2,3]-4`. The walk goes from the
    /// first term to the result, and a sheet shows every term.
    #[arg(long, value_name = "EXPR", allow_hyphen_values = true)]
    pub expression: Option<String>,
    /// Pictures between one seed and the next.
    #[arg(long, default_value_t = 16)]
    pub frames: usize,
    /// Side of the enlarged pictures in pixels, at least the network's own.
    #[arg(long, default_value_t = 256)]
    pub size: u32,
    /// The animation: a name ending in .gif, .apng or .png.
    #[arg(short, long, value_name = "FILE", default_value = "interpolation.gif")]
    pub output: PathBuf,
}

impl InterpolateCommand {
    /// Makes the walk and writes it, and beside it a sheet of the points that it passes.
    ///
    /// # Errors
    /// [`Kind::Usage`] for a wrong request, [`Kind::Disk`] when a file cannot be written.
    pub fn write(&self, prior: Prior, width: usize, sample: &mut Decode<'_>) -> Result<()> {
        if !(1..=1000).contains(&self.frames) {
            return Err(failure(
                Kind::Usage,
                format!("--frames {} is not legal: 1 to 1000", self.frames),
            ));
        }
        if !(1..=2048).contains(&self.size) {
            return Err(failure(
                Kind::Usage,
                format!("--size {} is not legal: 1 to 2048", self.size),
            ));
        }
        let ending = self.output.extension().and_then(|ending| ending.to_str());
        if !ending.is_some_and(|ending| ["gif", "apng", "png"].contains(&ending)) {
            return Err(failure(
                Kind::Usage,
                format!(
                    "-o {} does not end in .gif, .apng or .png",
                    self.output.display()
                ),
            ));
        }
        let seeds = latent::parse_seeds(&self.seeds)?;
        if seeds.len() * self.frames > 5000 {
            return Err(failure(
                Kind::Usage,
                "a walk of more than 5000 frames: fewer --seeds or --frames",
            ));
        }
        let (points, names) = match &self.expression {
            Some(text) => {
                let expression = latent::Expression::parse(text, &seeds)?;
                let count = expression.terms.len();
                let mut sheet: Vec<_> = (0..count)
                    .map(|term| expression.term(term, prior, width))
                    .collect();
                let mut names: Vec<_> = expression
                    .terms
                    .iter()
                    .map(|(sign, name, seeds)| {
                        let sign = if *sign < 0.0 { "-" } else { "+" };
                        format!("{sign} {name} = seed {seeds:?}")
                    })
                    .collect();
                sheet.push(expression.result(prior, width));
                names.push("result".to_owned());
                (sheet, names)
            }
            None => {
                if seeds.len() < 2 {
                    return Err(failure(
                        Kind::Usage,
                        "--seeds needs at least two seeds for a walk",
                    ));
                }
                let names = seeds.iter().map(|seed| format!("seed {seed}")).collect();
                (
                    seeds
                        .iter()
                        .map(|seed| prior.latent(*seed, width))
                        .collect::<Vec<_>>(),
                    names,
                )
            }
        };
        let stops: Vec<&Vec<f32>> = match &self.expression {
            Some(_) => vec![&points[0], &points[points.len() - 1]],
            None => points.iter().chain(points.first()).collect(),
        };
        let mut walk = Vec::new();
        for pair in stops.windows(2) {
            for frame in 0..self.frames {
                let share = frame as f32 / self.frames as f32;
                walk.push(latent::between(prior, pair[0], pair[1], share));
            }
        }
        walk.extend(stops.last().map(|last| (*last).clone()));
        let mut frames = Vec::new();
        for chunk in walk.chunks(64) {
            frames.extend(sample(chunk)?);
        }
        let enlarged =
            |frame: &RgbImage| picture::enlarge(frame, (self.size / frame.width().max(1)).max(1));
        let frames: Vec<_> = frames.iter().map(enlarged).collect();
        if let Some(folder) = self.output.parent().filter(|f| !f.as_os_str().is_empty()) {
            std::fs::create_dir_all(folder)
                .map_err(|error| at_path(Kind::Disk, "create", folder, &error))?;
        }
        animation::write(&self.output, &frames, 60)?;
        let rows: Vec<_> = names
            .into_iter()
            .zip(sample(&points)?.iter().map(enlarged))
            .collect();
        let sheet = self.output.with_extension("points.png");
        save_picture(&sheet, &picture::labelled(&rows))?;
        Console::new(Voice::Normal).say(&format!(
            "{} frames in {}, its points in {}",
            frames.len(),
            self.output.display(),
            sheet.display()
        ));
        Ok(())
    }
}

/// `export`.
#[derive(Debug, Clone, clap::Args)]
pub struct ExportCommand {
    /// Which weights.
    #[command(flatten)]
    pub weights: CheckpointArguments,
    /// Which network of the checkpoint; without it the generator, of two generator_a.
    #[arg(long, value_name = "NAME")]
    pub network: Option<String>,
    /// The file to write: a PyTorch state dict where the name ends in .pth or .pt, or .safetensors.
    #[arg(short, long, value_name = "FILE")]
    pub output: PathBuf,
}

impl ExportCommand {
    /// Writes the weights, with PyTorch's names and layout, as one file: safetensors with its metadata, or a state
    /// dict without, with the counters of batch normalisation that PyTorch asks for.
    ///
    /// # Errors
    /// [`Kind::Usage`] when the name ends otherwise, [`Kind::Checkpoint`] when there are no such weights,
    /// [`Kind::Disk`] when the file cannot be written.
    pub fn write(&self, word: &str, stages: &[&str]) -> Result<()> {
        let ending = self.output.extension().and_then(|ending| ending.to_str());
        let is_state_dict = match ending {
            Some("pth" | "pt") => true,
            Some("safetensors") => false,
            _ => {
                return Err(failure(
                    Kind::Usage,
                    format!(
                        "-o {} does not end in .pth, .pt or .safetensors",
                        self.output.display()
                    ),
                ));
            }
        };
        let found = match &self.network {
            Some(network) => self.weights.find(word, stages, network)?,
            None => {
                let usual = ["generator", "generator_a"];
                self.weights.find_first(word, stages, &usual)?
            }
        };
        let WeightFile { tensors, metadata } = &found.file;
        let call = if is_state_dict {
            state_dict::write(&self.output, tensors)?;
            format!("torch.load({:?}, weights_only=True)", self.output)
        } else {
            weights::write(&self.output, tensors, metadata)?;
            // Counters of batch normalisation are not among them.
            format!(
                "safetensors.torch.load_file({:?}), strict=False",
                self.output
            )
        };
        Console::new(Voice::Normal).say(&format!(
            "{} tensors in {}. In PyTorch: net.load_state_dict({call})",
            tensors.len(),
            self.output.display()
        ));
        Ok(())
    }
}

/// `info`.
#[derive(Debug, Clone, clap::Args)]
pub struct InfoCommand {
    /// A run, a step folder, a .safetensors or a .pth; the newest run without it.
    pub checkpoint: Option<PathBuf>,
    /// The root of all runs.
    #[arg(long, default_value = "runs", value_name = "DIR")]
    pub out: PathBuf,
}

impl InfoCommand {
    /// Prints [`InfoCommand::text`].
    ///
    /// # Errors
    /// As [`located::find`].
    pub fn print(&self, word: &str, stages: &[&str]) -> Result<()> {
        print(&self.text(word, stages)?);
        Ok(())
    }

    /// Describes a checkpoint: where it is from, its configuration, its tensors.
    ///
    /// # Errors
    /// As [`located::find`].
    pub fn text(&self, word: &str, stages: &[&str]) -> Result<String> {
        use std::fmt::Write as _;
        let networks = ["generator_ema", "generator", "discriminator"];
        let place = self.checkpoint.as_deref();
        let found = located::find_any(place, &self.out, word, stages, &networks)?;
        let mut text = String::new();
        let folder = found.path.parent().unwrap_or(Path::new("."));
        let _ = writeln!(text, "file        {}", found.path.display());
        let mut files = vec![(found.path.clone(), found.file.clone())];
        let saved = folder
            .join("manifest.json")
            .is_file()
            .then(|| Saved::open(folder));
        if let Some(Err(error)) = &saved {
            let _ = writeln!(
                text,
                "warning     the checkpoint is damaged, no training goes on from it: {error:#}"
            );
        }
        if let Some(Ok(saved)) = &saved {
            let manifest = &saved.manifest;
            let _ = writeln!(
                text,
                "checkpoint  {} stage {}, step {}, seed {}, burn {}; every file matches its sha256",
                manifest.architecture, manifest.stage, manifest.step, manifest.seed, manifest.burn
            );
            files.clear();
            for name in manifest.files.keys() {
                let place = folder.join(name);
                let file = weights::read(&place)?;
                files.push((place, file));
            }
        }
        for key in ["value_range", "step", "seed"] {
            if let Some(value) = found.file.metadata.get(key) {
                let _ = writeln!(text, "{key:<11} {value}");
            }
        }
        if let Some(config) = found.config() {
            let _ = writeln!(text, "configuration\n{}", indented(config));
        }
        for (place, file) in files {
            let numbers: usize = file
                .tensors
                .values()
                .map(|tensor| tensor.values.len())
                .sum();
            let name = place.file_name().unwrap_or_default().to_string_lossy();
            let _ = writeln!(
                text,
                "{name}: {} tensors, {numbers} numbers",
                file.tensors.len()
            );
            for (tensor, values) in &file.tensors {
                let _ = writeln!(text, "  {tensor:<40} {:?}", values.shape);
            }
        }
        Ok(text)
    }
}

fn indented(text: &str) -> String {
    text.lines()
        .map(|line| format!("  {line}"))
        .collect::<Vec<_>>()
        .join("\n")
}

/// `runs`.
#[derive(Debug, Clone, clap::Subcommand)]
pub enum RunsCommand {
    /// Every run of this architecture: steps, size, the newest losses.
    List {
        /// The root of all runs.
        #[arg(long, default_value = "runs", value_name = "DIR")]
        out: PathBuf,
    },
    /// Frees disk space: keeps the newest checkpoints of each run and drops the older ones.
    Prune {
        /// The root of all runs.
        #[arg(long, default_value = "runs", value_name = "DIR")]
        out: PathBuf,
        /// Checkpoints kept a run and stage; at least 1.
        #[arg(long, default_value_t = 1)]
        keep: usize,
        /// Say what would be dropped, and drop nothing.
        #[arg(long)]
        dry_run: bool,
    },
}

impl RunsCommand {
    /// Prints [`RunsCommand::text`].
    ///
    /// # Errors
    /// Never for a folder without runs: that is said in the text.
    pub fn print(&self, word: &str) -> Result<()> {
        print(&self.text(word)?);
        Ok(())
    }

    /// Does what was asked and returns the table or the list.
    ///
    /// # Errors
    /// Never for a folder without runs: that is said in the text.
    pub fn text(&self, word: &str) -> Result<String> {
        match self {
            Self::List { out } => Ok(runs_table(out, word)),
            Self::Prune { out, keep, dry_run } => Ok(prune(out, word, *keep, *dry_run)),
        }
    }
}

fn folder_bytes(folder: &Path) -> u64 {
    std::fs::read_dir(folder)
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| match entry.metadata() {
            Ok(data) if data.is_dir() => folder_bytes(&entry.path()),
            Ok(data) => data.len(),
            Err(_) => 0,
        })
        .sum()
}

fn runs_table(out: &Path, word: &str) -> String {
    let runs = run::list(out, word);
    if runs.is_empty() {
        return format!("there is no run of {word} under {}", out.display());
    }
    let mut lines = vec![format!(
        "{:<24} {:>10} {:>9}  newest log row",
        "run", "step", "MB"
    )];
    for run in runs {
        let log = std::fs::read_to_string(run.join("metrics.jsonl")).unwrap_or_default();
        let row: serde_json::Value = log
            .lines()
            .rev()
            .find_map(|line| {
                let row: serde_json::Value = serde_json::from_str(line).ok()?;
                row.get("images_per_second").is_some().then_some(row)
            })
            .unwrap_or_default();
        let step = row["step"].as_u64().unwrap_or(0);
        let losses: Vec<String> = row
            .as_object()
            .into_iter()
            .flatten()
            .filter(|(name, _)| {
                ["loss", "d_", "G_", "D_", "cycle_"]
                    .iter()
                    .any(|beginning| name.starts_with(beginning))
            })
            .map(|(name, value)| format!("{name} {:.3}", value.as_f64().unwrap_or(f64::NAN)))
            .collect();
        let procedural = std::fs::read_to_string(run.join("config.toml"))
            .is_ok_and(|text| text.starts_with("# PROCEDURAL"));
        lines.push(format!(
            "{:<24} {step:>10} {:>9.1}  {}{}",
            run.file_name().unwrap_or_default().to_string_lossy(),
            folder_bytes(&run) as f64 / 1e6,
            losses.join("  "),
            if procedural {
                "  (PROCEDURAL data)"
            } else {
                ""
            }
        ));
    }
    lines.join("\n")
}

fn prune(out: &Path, word: &str, keep: usize, dry_run: bool) -> String {
    let mut lines = Vec::new();
    let mut freed = 0;
    for run in run::list(out, word) {
        let stages = std::fs::read_dir(run.join("checkpoints"));
        let stages = stages.into_iter().flatten().flatten();
        for stage in stages.filter(|stage| stage.path().is_dir()) {
            let steps = match crate::checkpoint::steps(&stage.path()) {
                Ok(steps) => steps,
                Err(error) => {
                    lines.push(format!("{error:#}"));
                    continue;
                }
            };
            // The newest whole one stays even when a newer folder is damaged.
            let whole = crate::checkpoint::newest(&stage.path());
            let newest = whole.ok().flatten().map(|(saved, _)| saved.path);
            let best = crate::checkpoint::best(&stage.path()).map(|(step, _)| step);
            let surplus = steps.len().saturating_sub(keep.max(1));
            for (step, path) in &steps[..surplus] {
                if Some(path) == newest.as_ref() || Some(*step) == best {
                    continue;
                }
                let bytes = folder_bytes(path);
                let removed = dry_run || std::fs::remove_dir_all(path).is_ok();
                if removed {
                    freed += bytes;
                    lines.push(format!("{} {:.1} MB", path.display(), bytes as f64 / 1e6));
                } else {
                    lines.push(format!("{} could not be removed", path.display()));
                }
            }
        }
    }
    let verb = if dry_run { "would be freed" } else { "freed" };
    lines.push(format!("{:.1} MB {verb}", freed as f64 / 1e6));
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checkpoint::{self, PartFile};

    /// The hook of panics belongs to the whole process: only this test changes it.
    #[test]
    fn a_panic_becomes_one_line() {
        let told = |body: fn() -> Result<()>| format!("{:#}", caught(body).unwrap_err());
        let said = told(|| panic!("index {} of 3\nand a page of details", 7));
        assert!(said.starts_with("this is a bug: index 7 of 3 ("), "{said}");
        assert!(
            said.contains("command.rs:") && !said.contains('\n'),
            "{said}"
        );
        assert!(said.ends_with("report it with the command line"), "{said}");
        assert!(!said.contains("--batch-size"), "{said}");
        // Of a thread: the scope's own panic says less.
        let said = told(|| {
            std::thread::scope(|scope| {
                scope.spawn(|| panic!("Out of Memory: 8 GB"));
            });
            Ok(())
        });
        assert!(
            said.contains("Out of Memory: 8 GB") && said.contains("--accumulate"),
            "{said}"
        );
        assert_eq!(told(|| Err(failure(Kind::Data, "a.png"))), "a.png");
        let error = caught(|| Err(failure(Kind::Data, "a.png"))).unwrap_err();
        assert_eq!((exit_code(&error), exit_code(&bug("x"))), (3, 1));
        assert!(caught(|| Ok(())).is_ok());
    }

    /// A run of step 3 whose networks have these names, and a pool.
    fn run_of_networks(folder: &Path, networks: &[&str]) {
        let tensors = |value: f32| {
            let tensor = weights::HostTensor::vector(vec![value]);
            weights::Tensors::from([("0.running_mean".to_owned(), tensor)])
        };
        let mut parts = Vec::new();
        for (number, name) in networks.iter().enumerate() {
            let mut files = vec![PartFile::weights(tensors(number as f32))];
            if !name.ends_with("_ema") {
                files.push(PartFile {
                    suffix: "_optimizer",
                    ..PartFile::weights(tensors(0.0))
                });
            }
            parts.push(((*name).to_owned(), files));
        }
        parts.push(("pool".to_owned(), vec![PartFile::weights(tensors(0.0))]));
        let identity = checkpoint::Identity {
            architecture: "x".to_owned(),
            stage: "gan".to_owned(),
            step: 3,
            seed: 0,
            config: String::new(),
            data: String::new(),
            extra: Metadata::new(),
        };
        std::fs::create_dir_all(folder.join("checkpoints/gan")).unwrap();
        checkpoint::save(&folder.join("checkpoints/gan"), &identity, &parts).unwrap();
    }

    #[test]
    fn export_finds_the_generator_and_names_what_there_is() {
        let folder = tempfile::tempdir().unwrap();
        let two = folder.path().join("two");
        let networks = ["discriminator_a", "generator_a", "generator_b"];
        run_of_networks(&two, &networks);
        let one = folder.path().join("one");
        run_of_networks(&one, &["generator", "generator_ema"]);
        let export = |run: &Path, network: Option<&str>, no_ema: bool, name: &str| {
            let output = folder.path().join(name);
            let command = ExportCommand {
                weights: CheckpointArguments {
                    checkpoint: Some(run.to_owned()),
                    no_ema,
                    ..CheckpointArguments::default()
                },
                network: network.map(str::to_owned),
                output: output.clone(),
            };
            command.write("x", &["gan"])?;
            let file = weights::read(&output)?;
            anyhow::Ok(file.tensors["0.running_mean"].values[0])
        };
        for name in ["g.pth", "g.pt", "g.safetensors"] {
            assert_eq!(export(&two, None, false, name).unwrap(), 1.0);
            let other = export(&two, Some("generator_b"), false, name);
            assert_eq!(other.unwrap(), 2.0);
            assert_eq!(export(&one, None, false, name).unwrap(), 1.0);
            assert_eq!(export(&one, None, true, name).unwrap(), 0.0);
        }
        let error = export(&two, Some("netG"), false, "g.pth").unwrap_err();
        assert_eq!(exit_code(&error), 4);
        assert!(error.to_string().contains(&networks.join(", ")), "{error}");
        for name in ["g", "g.onnx", "g.PTH"] {
            let error = export(&two, None, false, name).unwrap_err();
            assert_eq!(exit_code(&error), 2, "{error}");
        }
    }

    #[test]
    fn underscores_are_as_good_as_hyphens() {
        let given = [
            "x",
            "--batch_size",
            "3",
            "--sample_every=4",
            "--no-flip",
            "--",
            "--a_b",
        ];
        let out: Vec<_> = normalised(given.iter().map(Into::into)).collect();
        let expected = [
            "x",
            "--batch-size",
            "3",
            "--sample-every=4",
            "--flip=false",
            "--",
            "--a_b",
        ];
        assert_eq!(out, expected);
    }
}
