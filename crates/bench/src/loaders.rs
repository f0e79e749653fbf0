//! The share of a training step that waits for its batch: real trainings, read from their own log.

use crate::Options;
use crate::table::{self, Kind, Row};
use anyhow::{Context, Result};
use clap::Parser;
use gan_core::command::TrainCommand;
use serde_json::Value;
use std::path::Path;

#[derive(Parser)]
struct Vanilla {
    #[command(flatten)]
    train: TrainCommand<vanilla::config::Flags>,
}

#[derive(Parser)]
struct Dcgan {
    #[command(flatten)]
    train: TrainCommand<dcgan::config::Flags>,
}

#[derive(Parser)]
struct Pix2pix {
    #[command(flatten)]
    train: TrainCommand<pix2pix::config::Flags>,
}

#[derive(Parser)]
struct Cyclegan {
    #[command(flatten)]
    train: TrainCommand<cyclegan::config::Flags>,
}

#[derive(Parser)]
struct Srgan {
    #[command(flatten)]
    train: TrainCommand<srgan::config::Flags>,
}

#[derive(Parser)]
struct Gan3d {
    #[command(flatten)]
    train: TrainCommand<gan3d::config::Flags>,
}

#[derive(Parser)]
struct Cgan {
    #[command(flatten)]
    train: TrainCommand<cgan::config::Flags>,
}

#[derive(Parser)]
struct Stackgan {
    #[command(flatten)]
    train: TrainCommand<stackgan::config::Flags>,
}

/// Each architecture adds its own: word, steps, and `train`.
type Training = fn(&[String]) -> Result<()>;
const TRAININGS: &[(&str, u32, Training)] = &[
    ("vanilla", 300, |words| {
        vanilla::train::train(&Vanilla::try_parse_from(words)?.train)
    }),
    ("dcgan", 60, |words| {
        dcgan::train::train(&Dcgan::try_parse_from(words)?.train)
    }),
    ("pix2pix", 60, |words| {
        pix2pix::train::train(&Pix2pix::try_parse_from(words)?.train)
    }),
    ("cyclegan", 60, |words| {
        cyclegan::train::train(&Cyclegan::try_parse_from(words)?.train)
    }),
    ("srgan", 60, |words| {
        srgan::train::train(&Srgan::try_parse_from(words)?.train)
    }),
    ("gan3d", 30, |words| {
        gan3d::train::train(&Gan3d::try_parse_from(words)?.train)
    }),
    ("cgan", 60, |words| {
        let mut command = Cgan::try_parse_from(words)?.train;
        command.flags.stages = Some("gan".to_owned());
        cgan::train::train(&command, cgan::train::Verb::Train)
    }),
    ("stackgan", 60, |words| {
        let mut command = Stackgan::try_parse_from(words)?.train;
        command.flags.stages = Some("text".to_owned());
        command.flags.text_steps = command.flags.training.steps;
        stackgan::train::train(&command, stackgan::train::Verb::Train)
    }),
];

pub(crate) fn measure(options: &Options) -> Result<Vec<Row>> {
    table::start();
    let mut rows = Vec::new();
    for (word, steps, train) in TRAININGS
        .iter()
        .filter(|(word, ..)| word.contains(&options.only))
    {
        let folder = tempfile::tempdir().context("a folder for the run")?;
        let out = folder.path().display().to_string();
        let text = format!(
            "{word} --preset quick --quiet --out {out} --name bench --steps {steps} --log-every 10 \
             --sample-every {steps} --save-every {steps}"
        );
        let words: Vec<String> = text.split(' ').map(str::to_owned).collect();
        train(&words)?;
        let log = folder.path().join(word).join("bench").join("metrics.jsonl");
        rows.push(row(word, &log)?);
        table::print(&rows[rows.len() - 1]);
    }
    Ok(rows)
}

/// The step time and the share of waiting over the second half of a log: the first steps also fill caches.
fn row(word: &str, log: &Path) -> Result<Row> {
    let text =
        std::fs::read_to_string(log).with_context(|| format!("reading {}", log.display()))?;
    let lines: Vec<Value> = text
        .lines()
        .map(serde_json::from_str)
        .collect::<Result<_, _>>()?;
    let late = &lines[lines.len() / 2..];
    let values =
        |key: &str| -> Vec<f64> { late.iter().filter_map(|line| line[key].as_f64()).collect() };
    let (steps, clock, waits) = (values("step"), values("elapsed_s"), values("data_wait"));
    let seconds: Vec<f64> = steps
        .windows(2)
        .zip(clock.windows(2))
        .map(|(steps, clock)| (clock[1] - clock[0]) / (steps[1] - steps[0]))
        .collect();
    let name = format!("{word} train, quick, procedural data");
    let mut row = Row::new(&name, Kind::Data, &seconds, None);
    row.wait = Some(waits.iter().sum::<f64>() / waits.len().max(1) as f64);
    Ok(row)
}
