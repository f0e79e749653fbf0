//! Filling in what a picture lacks: the latent vector is sought whose picture agrees with what is known and which the
//! discriminator takes for real (Yeh et al. 2017, <https://arxiv.org/abs/1607.07539>). Of the generated picture only the
//! missing part is taken, and its colours are led to those around it (Pérez et al. 2003, "Poisson image editing").

mod mask;
mod poisson;

pub use mask::{Half, Mask};

use crate::config::Config;
use crate::discriminator::Discriminator;
use crate::generate::{Sampler, discriminator};
use crate::generator::Generator;
use anyhow::{Context, Result};
use burn::module::{Module, Param};
use burn::tensor::activation::log_sigmoid;
use burn::tensor::{Device, Tensor, TensorData};
use gan_core::command::{CheckpointArguments, print, save_picture};
use gan_core::console::{Console, Voice};
use gan_core::failure::{Kind, at_path, exit_code, failure};
use gan_core::images::{self, planar, to_unit};
use gan_core::layers::Statistics;
use gan_core::learner::Learner;
use gan_core::optimizer::{Rule, Schedule};
use gan_core::picture;
use gan_core::stage::At;
use gan_core::weights::{self, Network};
use image::RgbImage;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// How a generated part is put into its picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Blend {
    /// Its gradients are kept and its colours follow from what lies around it (section 3.4 of the paper).
    Poisson,
    /// As it is.
    Paste,
}

/// `complete`.
#[derive(Debug, Clone, clap::Args)]
pub struct CompleteCommand {
    /// Which weights.
    #[command(flatten)]
    pub weights: CheckpointArguments,
    /// Pictures: files, and folders (every picture at any depth). The shorter side is brought to the network's and the
    /// centre cut out, as in training.
    #[arg(short, long, required = true, num_args = 1.., value_name = "PATH")]
    pub input: Vec<PathBuf>,
    /// What is missing: a picture of the network's size or of the input's, in which white (or transparent) is missing and
    /// black is known; or center (the middle square of half the side; center:0.3 another), left, right, top, bottom (one
    /// half), random (eight pixels in ten; random:0.5 another share).
    #[arg(long, value_name = "MASK")]
    pub mask: Mask,
    /// Folder of the completed pictures, as PNG; for a single picture also a file's name.
    #[arg(short, long, value_name = "DIR")]
    pub output: PathBuf,
    /// Also write a sheet with original, masked, completed and generated picture next to each other.
    #[arg(long, value_name = "FILE")]
    pub sheet: Option<PathBuf>,
    /// The pictures are whole although the mask is a file, which only hides a part: measure what is filled in. With the
    /// other masks that is always done.
    #[arg(long)]
    pub whole: bool,
    /// How a latent vector is sought.
    #[command(flatten)]
    pub search: Search,
    /// How the generated part is put into its picture.
    #[arg(long, value_enum, default_value_t = Blend::Poisson)]
    pub blend: Blend,
}

/// How a latent vector is sought.
#[derive(Debug, Clone, Copy, PartialEq, clap::Args)]
pub struct Search {
    /// Latent vectors that are tried at once; the one with the smallest loss is kept.
    #[arg(long, default_value_t = 4)]
    pub starts: usize,
    /// Steps of Adam on the latent vectors; the paper takes 1500.
    #[arg(long, default_value_t = 500)]
    pub steps: u64,
    /// Adam's learning rate, which falls to 0 over the second half of the steps.
    #[arg(long, default_value_t = 0.05)]
    pub lr: f64,
    /// Weight of the discriminator's opinion, log(1 - D(G(z))), against the agreement with what is known; 0 leaves it
    /// out. The paper takes 0.003.
    #[arg(long, default_value_t = 0.003)]
    pub prior_weight: f64,
    /// Side in pixels of the window around a known pixel whose missing ones make it count; odd. Beyond it known pixels do
    /// not count. The paper takes 7.
    #[arg(long, default_value_t = 7)]
    pub window: usize,
    /// The first latent vectors are those of `generate --seeds SEED, SEED + 1, ..`; random masks follow from it too.
    #[arg(long, default_value_t = 0)]
    pub seed: u64,
}

impl Search {
    /// # Errors
    /// [`Kind::Usage`] for a number that is not legal.
    fn check(&self) -> Result<()> {
        let usage = |what: &str| Err(failure(Kind::Usage, what));
        if !(1..=256).contains(&self.starts) || !(1..=100_000).contains(&self.steps) {
            return usage("--starts must be 1 to 256, --steps 1 to 100000");
        }
        if self.window.is_multiple_of(2) || !(3..=255).contains(&self.window) {
            return usage("--window must be odd, 3 to 255");
        }
        let is_legal = |value: f64| value >= 0.0 && value.is_finite();
        if !is_legal(self.prior_weight) || !is_legal(self.lr) || self.lr == 0.0 {
            return usage("--lr must be above 0, --prior-weight at least 0, both finite");
        }
        if self.seed > u64::MAX - 256 {
            return usage("--seed must be at most 2^64 - 257: the starts are counted from it");
        }
        Ok(())
    }
}

/// How much each known pixel counts: the share of missing ones among its neighbours in a window, 0 where it is missing
/// itself (section 3.2 of the paper). `missing` holds `side * side` values, and so does the result.
pub fn closeness(missing: &[bool], side: usize, window: usize) -> Vec<f32> {
    let reach = window / 2;
    let around = |at: usize| at.saturating_sub(reach)..(at + reach + 1).min(side);
    (0..side * side)
        .map(|place| {
            if missing[place] {
                return 0.0;
            }
            let (rows, columns) = (around(place / side), around(place % side));
            // The pixel is no neighbour of itself.
            let count = rows.len() * columns.len() - 1;
            let lacking = rows
                .flat_map(|y| columns.clone().map(move |x| y * side + x))
                .filter(|neighbour| missing[*neighbour])
                .count();
            lacking as f32 / count as f32
        })
        .collect()
}

/// Latent vectors that learn.
#[derive(Module, Debug)]
struct Sought {
    latents: Param<Tensor<2>>,
}

impl Network for Sought {}

/// How much longer a latent vector may be than sqrt(width), the length that one of N(0, 1) has on average: 2.8 standard
/// deviations, which one in 400 exceeds. Longer ones are none that the generator has learned to make pictures of.
const SLACK: f32 = 2.0;

impl Sought {
    /// Shortens vectors that have become too long.
    fn shortened(self) -> Self {
        let latents = self.latents.val();
        let dims = latents.dims();
        let most = (dims[1] as f32).sqrt() + SLACK;
        let mut values = weights::values(latents.clone().inner());
        let mut is_changed = false;
        for vector in values.chunks_exact_mut(dims[1]) {
            let length = vector.iter().map(|value| value * value).sum::<f32>().sqrt();
            if length > most {
                vector.iter_mut().for_each(|value| *value *= most / length);
                is_changed = true;
            }
        }
        if !is_changed {
            return self;
        }
        let data = TensorData::new(values, dims);
        Self {
            latents: Param::from_tensor(Tensor::from_data(data, &latents.device())),
        }
    }
}

/// What was found for a picture.
#[derive(Debug, Clone)]
pub struct Found {
    /// The smallest loss before the first step.
    pub first: f32,
    /// That of the latent vector that was kept.
    pub last: f32,
    /// The place of that vector among all that were tried, counted from 0.
    pub start: usize,
    /// Its picture: `channels * side * side` values in [-1, 1].
    pub made: Vec<f32>,
}

/// A generator that stands still, with what judges its pictures.
#[derive(Debug)]
pub struct Completer {
    generator: Generator,
    judge: Option<Discriminator>,
    config: Config,
    device: Device,
}

impl Completer {
    /// Loads the generator of a checkpoint, and the discriminator that was saved with it; without one, or with
    /// `prior_weight` 0, its opinion is left out.
    ///
    /// # Errors
    /// When there is no such checkpoint, or it is damaged or of another model.
    pub fn find(arguments: &CheckpointArguments, prior_weight: f64) -> Result<Self> {
        let sampler = Sampler::find(arguments)?;
        let config = sampler.config().clone();
        let folder = sampler.path.parent().unwrap_or(Path::new(""));
        let is_there = folder.join("manifest.json").is_file()
            && folder.join("discriminator.safetensors").is_file();
        let mut judge = None;
        if prior_weight > 0.0 && is_there {
            let beside = CheckpointArguments {
                checkpoint: Some(folder.to_owned()),
                ..arguments.clone()
            };
            let (network, judged) = discriminator(&beside, &sampler.device)?;
            let sizes = |config: &Config| [config.image_size, config.channels];
            if sizes(&judged) != sizes(&config) {
                return Err(failure(
                    Kind::Checkpoint,
                    format!(
                        "{}: the two networks are of different sizes",
                        folder.display()
                    ),
                ));
            }
            judge = Some(network.train().no_grad());
        } else if prior_weight > 0.0 {
            Console::new(Voice::Normal).say(
                "the discriminator was not saved with these weights: its opinion is left out, and only the agreement with \
                 what is known counts",
            );
        }
        Ok(Self {
            generator: sampler.generator.train().no_grad(),
            judge,
            config,
            device: sampler.device.autodiff(),
        })
    }

    /// The configuration of the generator.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// The loss of each generated picture: the weighted distance to what is known (L1, section 3.2 of the paper), and the
    /// discriminator's opinion (section 3.3).
    ///
    /// # Shapes
    /// - `made`: `[starts, channels, side, side]`; `known`, `closeness`: `[1, channels, side, side]`
    /// - result: `[starts, 1]`
    fn losses(
        &self,
        made: Tensor<4>,
        known: &Tensor<4>,
        closeness: &Tensor<4>,
        prior_weight: f64,
    ) -> Tensor<2> {
        let count = made.dims()[0];
        let away = (made.clone() - known.clone()).abs() * closeness.clone();
        let context = away.reshape([count as i64, -1]).sum_dim(1);
        match &self.judge {
            Some(judge) => {
                let logits = judge.forward(made, Statistics::Running);
                context + log_sigmoid(logits.neg()) * prior_weight
            }
            None => context,
        }
    }

    /// Seeks the latent vector whose picture is most like what is known of `pixels`, `channels * side * side` planar
    /// bytes; `missing` tells which of the `side * side` pixels are not known. `tick` is called after each step.
    ///
    /// # Errors
    /// [`Kind::Diverged`] when the losses are not finite.
    pub fn seek(
        &self,
        pixels: &[u8],
        missing: &[bool],
        search: &Search,
        tick: &mut dyn FnMut(),
    ) -> Result<Found> {
        let config = &self.config;
        let (channels, side, width) = (config.channels, config.image_size, config.latent_dim);
        let tensor = |values: Vec<f32>| -> Tensor<4> {
            Tensor::from_data(
                TensorData::new(values, [1, channels, side, side]),
                &self.device,
            )
        };
        let known = tensor(pixels.iter().copied().map(to_unit).collect());
        let counts = tensor(closeness(missing, side, search.window).repeat(channels));
        let first: Vec<f32> = (0..search.starts as u64)
            .flat_map(|number| config.prior().latent(search.seed + number, width))
            .collect();
        let data = TensorData::new(first, [search.starts, width]);
        let sought = Sought {
            latents: Param::from_tensor(Tensor::from_data(data, &self.device)),
        };
        let rule = Rule::Adam {
            beta1: 0.9,
            beta2: 0.999,
            epsilon: 1e-8,
        };
        let schedule = Schedule::LinearDecay { start: 0.5 };
        let mut learner = Learner::new(sought, rule, search.lr, schedule);
        let look = |latents: Tensor<2>| {
            let made = self.generator.forward(latents, Statistics::Running);
            let losses = self.losses(made.clone(), &known, &counts, search.prior_weight);
            (made, losses)
        };
        let mut first = f32::INFINITY;
        for step in 0..search.steps {
            let (_, losses) = look(learner.network().latents.val());
            if step == 0 {
                let values = weights::values(losses.clone().inner());
                first = values.into_iter().fold(first, f32::min);
            }
            learner.descend(losses.sum(), &At::new(search.seed, step, search.steps));
            learner.map(Sought::shortened);
            tick();
        }
        let (made, losses) = look(learner.network().latents.val());
        let losses = weights::values(losses.inner());
        if losses.iter().any(|loss| !loss.is_finite()) {
            let what = "the losses are not finite: take a lower --lr, or other weights";
            return Err(failure(Kind::Diverged, what));
        }
        let best = (0..losses.len()).min_by(|a, b| losses[*a].total_cmp(&losses[*b]));
        let best = best.unwrap_or(0);
        let size = channels * side * side;
        let made = weights::values(made.inner());
        Ok(Found {
            first,
            last: losses[best],
            start: best,
            made: made[best * size..][..size].to_vec(),
        })
    }
}

/// Puts a generated picture (`channels * side * side` values in [-1, 1]) into the missing part of `pixels`, planar bytes.
/// Known pixels stay as they are.
pub fn blended(
    pixels: &[u8],
    made: &[f32],
    missing: &[bool],
    side: usize,
    blend: Blend,
) -> Vec<u8> {
    let mut result = pixels.to_vec();
    let planes = result
        .chunks_exact_mut(side * side)
        .zip(made.chunks_exact(side * side));
    for (plane, made) in planes {
        let filled = match blend {
            Blend::Paste => made.iter().map(|value| f64::from(*value)).collect(),
            Blend::Poisson => {
                let around: Vec<f64> = plane.iter().map(|byte| f64::from(to_unit(*byte))).collect();
                let guide: Vec<f64> = made.iter().map(|value| f64::from(*value)).collect();
                poisson::solve(&around, &guide, missing, side)
            }
        };
        for ((byte, value), missing) in plane.iter_mut().zip(filled).zip(missing) {
            if *missing {
                *byte = ((value.clamp(-1.0, 1.0) + 1.0) * 127.5).round() as u8;
            }
        }
    }
    result
}

/// How far the missing part of a picture is from what was there.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Distance {
    /// The mean absolute difference of values in [0, 1].
    pub l1: f64,
    /// The peak signal-to-noise ratio in dB; infinite for equal bytes.
    pub psnr: f64,
}

impl Distance {
    /// Compares planar bytes where `missing` says so.
    pub fn new(found: &[u8], truth: &[u8], missing: &[bool]) -> Self {
        let (mut sum, mut squares, mut count) = (0.0, 0.0, 0.0);
        let plane = missing.len();
        for (place, (found, truth)) in found.iter().zip(truth).enumerate() {
            if missing[place % plane] {
                let away = (f64::from(*found) - f64::from(*truth)) / 255.0;
                sum += away.abs();
                squares += away * away;
                count += 1.0;
            }
        }
        Self {
            l1: sum / count,
            psnr: -10.0 * (squares / count).log10(),
        }
    }
}

/// A picture to complete, and where it goes.
#[derive(Debug)]
struct Job {
    source: PathBuf,
    target: PathBuf,
}

/// Finds all pictures and names their results.
fn plan(input: &[PathBuf], output: &Path) -> Result<Vec<Job>> {
    let png = |name: &Path| output.join(name).with_extension("png");
    let mut jobs = Vec::new();
    for place in input {
        if place.is_dir() {
            let files = images::list(place)?;
            jobs.extend((0..files.len()).map(|index| Job {
                source: files.path(index),
                target: png(files.name(index)),
            }));
        } else {
            let name = place.file_name().map(Path::new);
            jobs.push(Job {
                source: place.clone(),
                target: png(name.unwrap_or(Path::new("completed"))),
            });
        }
    }
    let ending = output.extension().unwrap_or_default().to_string_lossy();
    let is_file = ["png", "jpg", "jpeg", "webp", "bmp", "gif"]
        .contains(&ending.to_lowercase().as_str())
        && !output.is_dir();
    if is_file {
        let is_single = input.len() == 1 && !input[0].is_dir();
        let what = match (is_single, ending.eq_ignore_ascii_case("png")) {
            (false, _) => "is one picture's name, but there may be more: name a folder",
            (true, false) => "is no name of a result: they are PNG files",
            (true, true) => {
                output.clone_into(&mut jobs[0].target);
                return Ok(jobs);
            }
        };
        let said = format!("-o {} {what}", output.display());
        return Err(failure(Kind::Usage, said));
    }
    let mut taken = BTreeMap::new();
    for job in &jobs {
        if let Some(other) = taken.insert(&job.target, &job.source) {
            return Err(failure(
                Kind::Usage,
                format!(
                    "{} and {} would both become {}: rename one, or complete them into different folders",
                    other.display(),
                    job.source.display(),
                    job.target.display()
                ),
            ));
        }
        if same_file(&job.source, &job.target) {
            return Err(failure(
                Kind::Usage,
                format!(
                    "{} would be overwritten: name another -o",
                    job.source.display()
                ),
            ));
        }
    }
    Ok(jobs)
}

fn same_file(one: &Path, other: &Path) -> bool {
    match (std::fs::canonicalize(one), std::fs::canonicalize(other)) {
        (Ok(one), Ok(other)) => one == other,
        _ => false,
    }
}

/// Makes the folder of a file.
fn create_folder_of(place: &Path) -> Result<()> {
    match place
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty())
    {
        Some(folder) => std::fs::create_dir_all(folder)
            .map_err(|error| at_path(Kind::Disk, "create", folder, &error)),
        None => Ok(()),
    }
}

/// A picture of planar bytes.
fn shown(pixels: &[u8], channels: usize, side: usize) -> RgbImage {
    let unit: Vec<f32> = pixels.iter().copied().map(to_unit).collect();
    images::from_unit(&unit, channels, side, side)
}

/// What came of a picture.
struct Completed {
    line: String,
    row: Vec<RgbImage>,
    distance: Option<Distance>,
}

/// Completes one picture and writes it.
fn complete_one(
    completer: &Completer,
    command: &CompleteCommand,
    job: &Job,
    tick: &mut dyn FnMut(),
) -> Result<Completed> {
    let config = completer.config();
    let (channels, side) = (config.channels, config.image_size);
    let whole = images::to_rgb(&images::read(&job.source)?);
    let cut = images::square(&whole, side as u32);
    let missing = command
        .mask
        .missing(side, whole.dimensions(), command.search.seed)?;
    let lacking = missing.iter().filter(|missing| **missing).count();
    if lacking == 0 || lacking == missing.len() {
        let what = if lacking == 0 {
            "nothing"
        } else {
            "everything"
        };
        return Err(failure(
            Kind::Data,
            format!(
                "{}: of what the network sees, {what} is missing: white in the mask is missing, and black is known",
                job.source.display()
            ),
        ));
    }
    let pixels = planar(&cut, channels);
    let found = completer.seek(&pixels, &missing, &command.search, tick)?;
    let result = blended(&pixels, &found.made, &missing, side, command.blend);
    create_folder_of(&job.target)?;
    let picture = shown(&result, channels, side);
    save_picture(&job.target, &picture)?;

    let mut line = format!(
        "{}: {:.1} % missing, loss {:.3} -> {:.3} (start {} of {})",
        job.source.display(),
        100.0 * lacking as f64 / missing.len() as f64,
        found.first,
        found.last,
        found.start + 1,
        command.search.starts
    );
    let is_whole = command.whole || !matches!(command.mask, Mask::File(_));
    let distance = is_whole.then(|| Distance::new(&result, &pixels, &missing));
    if let Some(distance) = distance {
        // The surface without any gradients of its own, which knows no pictures.
        let flat = vec![0.0; pixels.len()];
        let smooth = blended(&pixels, &flat, &missing, side, Blend::Poisson);
        let smooth = Distance::new(&smooth, &pixels, &missing);
        line.push_str(&format!(
            "; on the missing part L1 {:.4}, PSNR {:.2} dB (smooth interpolation {:.4}, {:.2} dB)",
            distance.l1, distance.psnr, smooth.l1, smooth.psnr
        ));
    }
    let mut masked = pixels.clone();
    for (place, byte) in masked.iter_mut().enumerate() {
        if missing[place % missing.len()] {
            *byte = 128;
        }
    }
    let row = vec![
        shown(&pixels, channels, side),
        shown(&masked, channels, side),
        picture,
        images::from_unit(&found.made, channels, side, side),
    ];
    Ok(Completed {
        line,
        row,
        distance,
    })
}

/// Most rows of a sheet.
const MOST_ROWS: usize = 64;

/// `dcgan complete`.
///
/// # Errors
/// [`Kind::Usage`] for wrong requests, [`Kind::Data`] when a picture or the mask cannot be used: of several pictures, the
/// others are completed first. Whatever the checkpoint and the disk report.
pub fn complete(command: &CompleteCommand) -> Result<()> {
    command.search.check()?;
    if let Some(sheet) = command.sheet.as_deref().filter(|sheet| {
        let ending = sheet.extension().unwrap_or_default();
        !ending.eq_ignore_ascii_case("png")
    }) {
        return Err(failure(
            Kind::Usage,
            format!("--sheet {} does not end in .png", sheet.display()),
        ));
    }
    let jobs = plan(&command.input, &command.output)?;
    command.mask.check()?;
    let completer = Completer::find(&command.weights, command.search.prior_weight)?;
    let mut console = Console::new(Voice::Normal);
    console.count(jobs.len() as u64 * command.search.steps, "steps");
    let (mut rows, mut distances, mut failed) = (Vec::new(), Vec::new(), 0);
    for (number, job) in jobs.iter().enumerate() {
        let mut done = number as u64 * command.search.steps;
        let mut tick = || {
            done += 1;
            console.tick(done);
        };
        match complete_one(&completer, command, job, &mut tick) {
            Ok(completed) => {
                console.say(&completed.line);
                if command.sheet.is_some() && rows.len() < MOST_ROWS {
                    rows.push(completed.row);
                }
                distances.extend(completed.distance);
            }
            Err(error) if jobs.len() > 1 && exit_code(&error) == Kind::Data.exit_code() => {
                console.warn(&format!("passed over: {error:#}"));
                failed += 1;
            }
            Err(error) => return Err(error),
        }
    }
    console.finish();
    if let Some(place) = command.sheet.as_deref().filter(|_| !rows.is_empty()) {
        write_sheet(place, &rows).context("writing the sheet")?;
    }
    let mut said = match jobs.as_slice() {
        [job] => format!("completed picture: {}", job.target.display()),
        _ => format!(
            "{} pictures in {}",
            jobs.len() - failed,
            command.output.display()
        ),
    };
    if distances.len() > 1 {
        let count = distances.len() as f64;
        let l1 = distances.iter().map(|distance| distance.l1).sum::<f64>() / count;
        let psnr = distances.iter().map(|distance| distance.psnr).sum::<f64>() / count;
        said.push_str(&format!(
            "; mean on the missing parts: L1 {l1:.4}, PSNR {psnr:.2} dB"
        ));
    }
    print(&said);
    if failed > 0 {
        return Err(failure(
            Kind::Data,
            format!(
                "{failed} of {} pictures could not be completed (see the warnings above); the others were written",
                jobs.len()
            ),
        ));
    }
    Ok(())
}

/// Writes the pictures of all rows, enlarged so that their names fit.
fn write_sheet(place: &Path, rows: &[Vec<RgbImage>]) -> Result<()> {
    const LEAST: u32 = 128;
    let rows: Vec<Vec<RgbImage>> = rows
        .iter()
        .map(|row| {
            let enlarged =
                |shown: &RgbImage| picture::enlarge(shown, (LEAST / shown.width()).max(1));
            row.iter().map(enlarged).collect()
        })
        .collect();
    create_folder_of(place)?;
    let names = ["original", "masked", "completed", "generated"];
    save_picture(place, &picture::table(&names, &rows))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_pixels_count_as_their_neighbours_are_missing() {
        // Of 5 x 5 pixels the middle one is missing.
        let missing: Vec<bool> = (0..25).map(|place| place == 12).collect();
        let found = closeness(&missing, 5, 3);
        assert_eq!(found[12], 0.0, "missing itself");
        for near in [6, 7, 8, 11, 13, 16, 17, 18] {
            assert_eq!(found[near], 1.0 / 8.0);
        }
        for far in [0, 1, 4, 5, 9, 24] {
            assert_eq!(found[far], 0.0);
        }
        // Windows end with the picture: a corner sees three neighbours within one step, eight within two.
        let missing: Vec<bool> = (0..25).map(|place| [1, 5].contains(&place)).collect();
        assert_eq!(closeness(&missing, 5, 3)[0], 2.0 / 3.0);
        assert_eq!(closeness(&missing, 5, 5)[0], 2.0 / 8.0);
    }

    #[test]
    fn distances_by_hand() {
        let missing = [true, false, true, false];
        let truth = [10u8, 20, 30, 40];
        let found = [10u8, 99, 81, 99];
        // Differences 0 and 51 = 0.2 of 255.
        let distance = Distance::new(&found, &truth, &missing);
        assert!((distance.l1 - 0.1).abs() < 1e-9);
        assert!((distance.psnr + 10.0 * 0.02f64.log10()).abs() < 1e-9);
        assert_eq!(Distance::new(&truth, &truth, &missing).psnr, f64::INFINITY);
    }

    #[test]
    fn long_vectors_are_shortened_and_others_are_not() {
        let device = Device::flex().autodiff();
        let values = vec![3.0f32, 0.0, 0.0, 0.0, 0.0, 30.0, 0.0, 0.0];
        let data = TensorData::new(values, [2, 4]);
        let sought = Sought {
            latents: Param::from_tensor(Tensor::from_data(data, &device)),
        };
        let found = weights::values(sought.shortened().latents.val().inner());
        assert_eq!(found, [3.0, 0.0, 0.0, 0.0, 0.0, 4.0, 0.0, 0.0]);
    }

    #[test]
    fn known_bytes_stay_whatever_the_blend() {
        let pixels: Vec<u8> = (0..48).map(|at| (at * 5) as u8).collect();
        let made = vec![0.3f32; 48];
        let missing: Vec<bool> = (0..16).map(|at| [5, 6, 9].contains(&at)).collect();
        for blend in [Blend::Poisson, Blend::Paste] {
            let result = blended(&pixels, &made, &missing, 4, blend);
            for (place, (old, new)) in pixels.iter().zip(&result).enumerate() {
                let is_missing = missing[place % 16];
                assert!(old == new || is_missing);
                if blend == Blend::Paste && is_missing {
                    assert_eq!(*new, 166);
                }
            }
        }
    }
}
