//! The laboratory: statements of the theory, computed, printed and plotted (`vanilla lab`).
//!
//! Each experiment is small enough for a few seconds on a processor, and trains where the theory speaks of training. What
//! is drawn at random comes from streams of the seed, so an experiment gives the same numbers every time.

pub mod covariate_shift;
pub mod density;
pub mod discriminator;
pub mod divergences;
pub mod games;
pub mod gaussian;
pub mod gradients;
pub mod perceptron;
pub mod value;
pub mod vanishing;

use anyhow::Result;
use gan_core::animation;
use gan_core::command::{print, save_picture};
use gan_core::console::{Console, Voice};
use gan_core::failure::{Kind, at_path, failure};
use image::RgbImage;
use serde_json::{Map, Value};
use std::fmt::Display;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};

/// `lab`.
#[derive(Debug, Clone, clap::Subcommand)]
pub enum LabCommand {
    /// A GAN in one dimension in four stages of its training: figure 1 of Goodfellow et al. 2014.
    Density(Ask<density::Density>),
    /// A discriminator trained alone, beside the optimal one.
    OptimalDiscriminator(Ask<discriminator::OptimalDiscriminator>),
    /// The value of the game at the optimal discriminator, in three ways.
    Value(Ask<value::OptimalValue>),
    /// The generator's two losses and their slopes.
    Gradients(Ask<gradients::LossSlopes>),
    /// Kullback-Leibler and Jensen-Shannon divergence of two Gaussians, in three ways.
    Divergences(Ask<divergences::Divergences>),
    /// Equilibria of the prisoner's dilemma, and descent that circles around one.
    Games(Ask<games::Games>),
    /// How gradients vanish in deep networks, and what keeps them.
    Vanishing(Ask<vanishing::Vanishing>),
    /// How the input of a hidden unit shifts in training, with and without batch normalisation.
    CovariateShift(Ask<covariate_shift::CovariateShift>),
    /// Every experiment, one after the other.
    All(AllCommand),
}

/// An experiment, and where its results go.
#[derive(Debug, Clone, clap::Args)]
pub struct Ask<E: clap::Args> {
    /// What is done.
    #[command(flatten)]
    pub experiment: E,
    /// The plot, a name ending in .png; the experiment's own name without it.
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// Write all numbers as JSON.
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
}

/// `lab all`.
#[derive(Debug, Clone, clap::Args)]
pub struct AllCommand {
    /// Folder of the plots.
    #[arg(short, long, value_name = "DIR", default_value = "lab")]
    pub output: PathBuf,
    /// Write all numbers as JSON.
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// Steps of every experiment that takes some; each has its own number without it.
    #[arg(long)]
    pub steps: Option<u64>,
    /// Seed of everything that is drawn at random.
    #[arg(long, default_value_t = 0)]
    pub seed: u64,
}

/// What an experiment gives.
#[derive(Debug, Clone)]
pub struct Report {
    /// What is printed.
    pub text: String,
    /// Every number.
    pub numbers: Value,
    /// The plot.
    pub plot: RgbImage,
    /// The course of it as an animation, where time matters.
    pub frames: Vec<RgbImage>,
}

/// Something to find out.
pub trait Experiment: Default {
    /// Its verb, and the stem of its files.
    const WORD: &'static str;

    /// Takes the steps, where it has some, and the seed that are given to all.
    #[must_use]
    fn with(self, steps: Option<u64>, seed: u64) -> Self;

    /// Whether its settings are legal, before anything is computed.
    ///
    /// # Errors
    /// [`Kind::Usage`], with the flag and what it may be.
    fn check(&self) -> Result<()>;

    /// Does it.
    ///
    /// # Errors
    /// When numbers cannot be told as JSON.
    fn report(&self) -> Result<Report>;
}

impl LabCommand {
    /// Does what was asked.
    ///
    /// # Errors
    /// [`Kind::Usage`] for a wrong request, [`Kind::Disk`] when a file cannot be written.
    pub fn run(&self) -> Result<()> {
        match self {
            Self::Density(ask) => ask.answer(),
            Self::OptimalDiscriminator(ask) => ask.answer(),
            Self::Value(ask) => ask.answer(),
            Self::Gradients(ask) => ask.answer(),
            Self::Divergences(ask) => ask.answer(),
            Self::Games(ask) => ask.answer(),
            Self::Vanishing(ask) => ask.answer(),
            Self::CovariateShift(ask) => ask.answer(),
            Self::All(command) => command.run(),
        }
    }
}

impl<E: Experiment + clap::Args> Ask<E> {
    fn answer(&self) -> Result<()> {
        let output = match &self.output {
            Some(output) => output.clone(),
            None => PathBuf::from(format!("{}.png", E::WORD)),
        };
        if output.extension().is_none_or(|ending| ending != "png") {
            return Err(failure(
                Kind::Usage,
                format!("-o {} does not end in .png", output.display()),
            ));
        }
        self.experiment.check()?;
        prepare(&output)?;
        self.json.as_deref().map_or(Ok(()), prepare)?;
        let report = self.experiment.report()?;
        print(&report.text);
        report.write(&output)?;
        write_json(self.json.as_deref(), &report.numbers)
    }
}

impl AllCommand {
    fn run(&self) -> Result<()> {
        // As many as each of them allows.
        check("steps", self.steps.unwrap_or(1), 1..=10_000)?;
        create(&self.output)?;
        self.json.as_deref().map_or(Ok(()), prepare)?;
        let mut numbers = Map::new();
        self.add::<density::Density>(&mut numbers)?;
        self.add::<discriminator::OptimalDiscriminator>(&mut numbers)?;
        self.add::<value::OptimalValue>(&mut numbers)?;
        self.add::<gradients::LossSlopes>(&mut numbers)?;
        self.add::<divergences::Divergences>(&mut numbers)?;
        self.add::<games::Games>(&mut numbers)?;
        self.add::<vanishing::Vanishing>(&mut numbers)?;
        self.add::<covariate_shift::CovariateShift>(&mut numbers)?;
        write_json(self.json.as_deref(), &Value::Object(numbers))
    }

    fn add<E: Experiment>(&self, numbers: &mut Map<String, Value>) -> Result<()> {
        let report = E::default().with(self.steps, self.seed).report()?;
        print(&format!("== {}\n{}", E::WORD, report.text));
        report.write(&self.output.join(format!("{}.png", E::WORD)))?;
        numbers.insert(E::WORD.to_owned(), report.numbers);
        Ok(())
    }
}

impl Report {
    /// Writes the plot, and the animation under the same name with another ending.
    fn write(&self, output: &Path) -> Result<()> {
        save_picture(output, &self.plot)?;
        let console = Console::new(Voice::Normal);
        if self.frames.is_empty() {
            console.say(&format!("the plot is {}", output.display()));
            return Ok(());
        }
        let course = output.with_extension("gif");
        animation::write(&course, &self.frames, 90)?;
        console.say(&format!(
            "the plot is {}, its course {}",
            output.display(),
            course.display()
        ));
        Ok(())
    }
}

/// Makes the folder of a file before work is done whose result would not find a place.
fn prepare(file: &Path) -> Result<()> {
    match file
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty())
    {
        Some(folder) => create(folder),
        None => Ok(()),
    }
}

fn create(folder: &Path) -> Result<()> {
    std::fs::create_dir_all(folder).map_err(|error| at_path(Kind::Disk, "create", folder, &error))
}

fn write_json(path: Option<&Path>, numbers: &Value) -> Result<()> {
    let Some(path) = path else {
        return Ok(());
    };
    let text = serde_json::to_string_pretty(numbers)?;
    std::fs::write(path, text).map_err(|error| at_path(Kind::Disk, "write", path, &error))
}

/// Refuses a setting that is not legal.
///
/// # Errors
/// [`Kind::Usage`], with the flag and what it may be.
pub(crate) fn check<T: PartialOrd + Display>(
    flag: &str,
    value: T,
    legal: RangeInclusive<T>,
) -> Result<()> {
    if legal.contains(&value) {
        return Ok(());
    }
    Err(failure(
        Kind::Usage,
        format!(
            "--{flag} {value} is not legal: {} to {}",
            legal.start(),
            legal.end()
        ),
    ))
}

/// `count` numbers at equal distances, both ends among them; `count` is at least 2.
pub(crate) fn evenly(low: f64, high: f64, count: usize) -> impl Iterator<Item = f64> + Clone {
    (0..count).map(move |index| low + (high - low) * index as f64 / (count - 1) as f64)
}

/// The steps 0 to `total` at which a training is looked at: `count` of them, closer together at its start.
pub(crate) fn moments(total: u64, count: u64) -> Vec<u64> {
    let mut moments: Vec<u64> = (0..=count)
        .map(|index| {
            let share = index as f64 / count as f64;
            (share * share * total as f64).round() as u64
        })
        .collect();
    moments.dedup();
    moments
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_at_equal_distances_have_both_ends() {
        let found: Vec<f64> = evenly(-1.0, 1.0, 5).collect();
        assert_eq!(found, [-1.0, -0.5, 0.0, 0.5, 1.0]);
    }

    #[test]
    fn moments_begin_and_end_with_the_training() {
        assert_eq!(moments(100, 5), [0, 4, 16, 36, 64, 100]);
        assert_eq!(moments(2, 5), [0, 1, 2]);
    }

    #[test]
    fn a_setting_is_refused_with_its_flag() {
        assert!(check("std", 0.5, 0.1..=2.0).is_ok());
        let said = check("std", f64::NAN, 0.1..=2.0).unwrap_err().to_string();
        assert_eq!(said, "--std NaN is not legal: 0.1 to 2");
    }
}
