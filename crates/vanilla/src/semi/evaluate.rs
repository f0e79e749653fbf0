//! How often a classifier is wrong.

use super::CLASSES;
use super::config::Config;
use super::data::{test, values};
use super::networks::Classifier;
use super::train::STAGE;
use crate::data::PROCEDURAL;
use anyhow::{Context, Result};
use burn::module::Module;
use burn::tensor::{Device, Tensor, TensorData};
use gan_core::command::{CheckpointArguments, print, run_of};
use gan_core::config::{Configuration, Layer, from_identity, merge};
use gan_core::failure::{Kind, failure};
use gan_core::idx::Pictures;
use gan_core::located::Located;
use gan_core::{device, weights};
use serde_json::json;
use std::path::PathBuf;

/// Pictures that are looked at together.
const TOGETHER: usize = 1000;

/// How many pictures of each class there are, and how many of them were taken for another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mistakes {
    /// Pictures of each class.
    pub counts: [usize; CLASSES],
    /// Those that were taken for another.
    pub wrong: [usize; CLASSES],
}

impl Mistakes {
    /// Counts what a classifier (without autodiff) takes wrongly; without noise.
    ///
    /// # Errors
    /// [`Kind::Diverged`] when its logits are not finite.
    pub fn of(network: &Classifier, pictures: &Pictures, device: &Device) -> Result<Self> {
        let mut mistakes = Self {
            counts: [0; CLASSES],
            wrong: [0; CLASSES],
        };
        let width = pictures.height * pictures.width;
        let places: Vec<usize> = (0..pictures.len()).collect();
        for some in places.chunks(TOGETHER) {
            let shown = values(pictures, some.iter().copied());
            let data = TensorData::new(shown, [some.len(), width]);
            let logits = network.forward(Tensor::from_data(data, device), None);
            for (place, row) in some
                .iter()
                .zip(weights::values(logits).chunks_exact(CLASSES))
            {
                if row.iter().any(|logit| !logit.is_finite()) {
                    let what = "the classifier's logits are not finite: take another checkpoint";
                    return Err(failure(Kind::Diverged, what));
                }
                // Of equal ones, the first.
                let best = (0..CLASSES)
                    .rev()
                    .max_by(|a, b| row[*a].total_cmp(&row[*b]));
                let class = usize::from(pictures.labels[*place]);
                mistakes.counts[class] += 1;
                mistakes.wrong[class] += usize::from(best != Some(class));
            }
        }
        Ok(mistakes)
    }

    /// All errors.
    pub fn errors(&self) -> usize {
        self.wrong.iter().sum()
    }

    /// All pictures.
    pub fn pictures(&self) -> usize {
        self.counts.iter().sum()
    }

    /// Errors in percent.
    pub fn percent(&self) -> f64 {
        100.0 * self.errors() as f64 / self.pictures().max(1) as f64
    }
}

/// `semi evaluate`.
#[derive(Debug, Clone, clap::Args)]
pub struct EvaluateCommand {
    /// Which weights.
    #[command(flatten)]
    pub weights: CheckpointArguments,
    /// Folder of idx files, whose t10k pictures are classified; the run's own data without it.
    #[arg(long, value_name = "PATH")]
    pub data: Option<String>,
    /// Write all numbers as JSON.
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
}

/// A classifier of a checkpoint, without autodiff, with the number of values of its pictures.
fn classifier(found: &Located, device: &Device) -> Result<(Classifier, usize)> {
    let place = found.path.display();
    let text = found.config().ok_or_else(|| {
        failure(
            Kind::Checkpoint,
            format!("{place} lacks the metadata config: a file that this program wrote is needed"),
        )
    })?;
    let config: Config = from_identity(&place.to_string(), text)?;
    let tensors = &found.file.tensors;
    let first = tensors.get("main.0.weight_v").map(|tensor| &tensor.shape);
    let width = match first.map(Vec::as_slice) {
        Some([_, width]) => *width,
        _ => 0,
    };
    weights::check_size(config.classifier_size(width), tensors)
        .with_context(|| format!("reading {place}"))?;
    let network = weights::apply(Classifier::new(&config, width, device), tensors)
        .with_context(|| format!("loading {place}"))?;
    Ok((network.valid(), width))
}

/// `vanilla semi evaluate`.
///
/// # Errors
/// When the checkpoint or the pictures cannot be read, or the file cannot be written.
pub(super) fn evaluate(command: &EvaluateCommand) -> Result<()> {
    let device = device::parse(&command.weights.device)?;
    let found = command.weights.find(Config::WORD, &[STAGE], "classifier")?;
    let (network, width) = classifier(&found, &device)?;
    let folder = match (&command.data, run_of(&found.path)) {
        (Some(folder), _) => folder.clone(),
        (None, Some(run)) => {
            let layer = Layer::read(&run.join("config.toml"))?;
            merge::<Config>(&[layer])?.training.data
        }
        (None, None) => {
            return Err(failure(
                Kind::Usage,
                format!(
                    "{} is no part of a run, which would know its data: name a folder with --data",
                    found.path.display()
                ),
            ));
        }
    };
    let pictures = test(&folder)?;
    if pictures.height * pictures.width != width {
        return Err(failure(
            Kind::Data,
            format!(
                "{folder} has pictures of {} x {} pixels, and {} was trained on {width} values a picture",
                pictures.width,
                pictures.height,
                found.path.display()
            ),
        ));
    }
    let mistakes = Mistakes::of(&network, &pictures, &device)?;
    let what = if folder.is_empty() {
        PROCEDURAL
    } else {
        &folder
    };
    let mut lines = vec![format!(
        "{} errors of {} ({:.2} %) on the test pictures of {what}",
        mistakes.errors(),
        mistakes.pictures(),
        mistakes.percent()
    )];
    for class in 0..CLASSES {
        lines.push(format!(
            "class {class}: {} of {}",
            mistakes.wrong[class], mistakes.counts[class]
        ));
    }
    print(&lines.join("\n"));
    if let Some(place) = &command.json {
        let all = json!({
            "errors": mistakes.errors(),
            "pictures": mistakes.pictures(),
            "percent": mistakes.percent(),
            "wrong": mistakes.wrong,
            "counts": mistakes.counts,
        });
        weights::write_atomically(place, format!("{all:#}\n").as_bytes())?;
    }
    Ok(())
}
