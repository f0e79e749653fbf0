//! `evaluate`: whether pictures show what their captions say, as a judge that learned from drawn birds sees it.

use crate::data::{Part, drawn};
use crate::drawn_birds::{Attributes, draw};
use crate::generate::Sampler;
use crate::judge::{self, accuracy, judged};
use anyhow::Result;
use gan_core::command::{CheckpointArguments, print};
use gan_core::device;
use gan_core::failure::{Kind, at_path, failure};
use gan_core::images::{planar, to_unit};
use gan_core::samples::in_parallel;
use image::RgbImage;
use image::imageops::{FilterType, crop_imm, resize};
use std::path::PathBuf;

/// Kinds of attributes.
const KINDS: usize = Attributes::KINDS.len();

/// `evaluate`.
#[derive(Debug, Clone, clap::Args)]
pub struct EvaluateCommand {
    /// Which weights.
    #[command(flatten)]
    pub weights: CheckpointArguments,
    /// A run or a checkpoint of `stackgan train-judge`.
    #[arg(long, value_name = "PATH")]
    pub judge: PathBuf,
    /// Pictures of which stage: 1 or 2; without it both, where there are both.
    #[arg(long, value_parser = clap::value_parser!(u8).range(1..=2))]
    pub stage: Option<u8>,
    /// The text encoder of another run or step folder.
    #[arg(long, value_name = "PATH")]
    pub text_encoder: Option<PathBuf>,
    /// Birds of each kind: known and unseen combinations of colour, size and shape.
    #[arg(long, default_value_t = 240, value_parser = clap::value_parser!(u32).range(2..=100_000))]
    pub birds: u32,
    /// Pictures computed at once.
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub batch_size: u16,
    /// Write the figures to this file, too.
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
}

/// A picture as a judge of `side` takes it: in [-1, 1], planar.
fn seen(picture: &RgbImage, side: usize) -> Vec<f32> {
    let side = side as u32;
    let picture = if picture.dimensions() == (side, side) {
        picture.clone()
    } else {
        resize(picture, side, side, FilterType::CatmullRom)
    };
    planar(&picture, 3).into_iter().map(to_unit).collect()
}

/// The middle of a drawn bird as training cuts it out: 64 pixels of 76.
fn real(part: Part, number: usize, side: usize) -> RgbImage {
    let (attributes, _, mut stream) = drawn(part, number);
    let load = side * 76 / 64;
    let picture = draw(load as u32, &attributes, &mut stream).picture;
    let margin = ((load - side) / 2) as u32;
    crop_imm(&picture, margin, margin, side as u32, side as u32).to_image()
}

/// One line of the table.
struct Row {
    birds: &'static str,
    pictures: String,
    shares: [f64; KINDS],
}

impl Row {
    fn mean(&self) -> f64 {
        self.shares.iter().sum::<f64>() / KINDS as f64
    }
}

/// `stackgan evaluate`. Captions are the first of each bird's ten, none of which was trained on; seeds are the birds'
/// numbers.
///
/// # Errors
/// When a checkpoint cannot be used.
pub fn evaluate(command: &EvaluateCommand) -> Result<()> {
    let device = device::parse(&command.weights.device)?;
    let (judge, side) = judge::open(Some(&command.judge), &command.weights.out, &device)?;
    let encoder = command.text_encoder.as_deref();
    let best = Sampler::find(&command.weights, command.stage, encoder)?;
    let mut samplers = vec![best];
    if command.stage.is_none() && samplers[0].is_second() {
        samplers.insert(0, Sampler::find(&command.weights, Some(1), encoder)?);
    }
    if samplers.iter().any(|sampler| sampler.side() < side) {
        return Err(failure(
            Kind::Checkpoint,
            format!(
                "the judge looks at pictures of {side} pixels, and those of {} have {}: train one with its --image-size",
                samplers[0].path().display(),
                samplers[0].side()
            ),
        ));
    }
    let numbers: Vec<usize> = (0..command.birds as usize).collect();
    let seeds: Vec<u64> = numbers.iter().map(|number| *number as u64).collect();
    let mut rows = Vec::new();
    for (part, birds) in [(Part::Held, "known"), (Part::Unseen, "unseen")] {
        let told: Vec<_> = numbers.iter().map(|number| drawn(part, *number)).collect();
        let asked: Vec<[usize; KINDS]> = told.iter().map(|bird| bird.0.indices()).collect();
        let captions: Vec<String> = told.iter().map(|bird| bird.1[0].clone()).collect();
        let mut add = |pictures: String, found: &[[usize; KINDS]], asked: &[[usize; KINDS]]| {
            rows.push(Row {
                birds,
                pictures,
                shares: accuracy(found, asked),
            });
        };
        let reals = in_parallel(&numbers, |number| seen(&real(part, *number, side), side));
        let found = judged(&judge, &reals, side, &device);
        add("drawn".to_owned(), &found, &asked);
        // What a bird that was not asked for has by accident.
        let mut others = asked.clone();
        others.rotate_left(1);
        add("of another caption".to_owned(), &found, &others);
        for sampler in &samplers {
            let texts = sampler.read(&captions)?;
            let mut found = Vec::with_capacity(texts.len());
            let together = usize::from(command.batch_size);
            for (texts, seeds) in texts.chunks(together).zip(seeds.chunks(together)) {
                let made = sampler.sample(texts, seeds);
                let made: Vec<_> = made.iter().map(|picture| seen(picture, side)).collect();
                found.extend(judged(&judge, &made, side, &device));
            }
            let stage = if sampler.is_second() {
                "stage 2"
            } else {
                "stage 1"
            };
            add(stage.to_owned(), &found, &asked);
        }
    }
    let names = Attributes::KINDS.map(|(name, _)| name);
    if let Some(path) = &command.json {
        let all: Vec<_> = rows
            .iter()
            .map(|row| {
                let pairs = names.iter().zip(row.shares);
                let shares: serde_json::Map<_, _> = pairs
                    .map(|(name, share)| ((*name).to_owned(), share.into()))
                    .collect();
                serde_json::json!({
                    "combinations": row.birds,
                    "pictures": row.pictures,
                    "mean": row.mean(),
                    "accuracy": shares,
                })
            })
            .collect();
        let report = serde_json::json!({ "birds": command.birds, "rows": all });
        std::fs::write(path, serde_json::to_vec_pretty(&report)?)
            .map_err(|error| at_path(Kind::Disk, "write", path, &error))?;
    }
    let mut lines = vec![format!(
        "{:<8} {:<20}{}{:>9}",
        "birds",
        "pictures",
        names.map(|name| format!("{name:>9}")).concat(),
        "mean"
    )];
    for row in &rows {
        let shares = row.shares.map(|share| format!("{:>8.1}%", 100.0 * share));
        lines.push(format!(
            "{:<8} {:<20}{}{:>8.1}%",
            row.birds,
            row.pictures,
            shares.concat(),
            100.0 * row.mean()
        ));
    }
    lines.push(format!(
        "{} birds of each kind; known: their colour, size and shape occur together in training, unseen: they do not",
        command.birds
    ));
    print(&lines.join("\n"));
    Ok(())
}
