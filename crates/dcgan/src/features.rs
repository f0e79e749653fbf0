//! A trained discriminator as a feature extractor, and the linear classifier that proves it
//! (Radford et al. 2016, section 5.1).

use crate::config::Config;
use crate::data::from_idx;
use crate::discriminator::Discriminator;
use crate::generate::discriminator;
use anyhow::Result;
use burn::module::{Initializer, Module};
use burn::nn::{Linear, LinearConfig};
use burn::tensor::{Device, Int, Tensor, TensorData, activation::log_softmax};
use gan_core::command::{CheckpointArguments, print};
use gan_core::failure::{Kind, failure};
use gan_core::idx::Pictures;
use gan_core::images::to_unit;
use gan_core::learner::Learner;
use gan_core::optimizer::{Rule, Schedule};
use gan_core::random::Stream;
use gan_core::stage::At;
use gan_core::weights::{self, HostTensor, Metadata, Network, Tensors};
use gan_core::{device, images};
use std::path::{Path, PathBuf};

/// `features`.
#[derive(Debug, Clone, clap::Args)]
pub struct FeaturesCommand {
    /// Which weights.
    #[command(flatten)]
    pub weights: CheckpointArguments,
    /// Pictures: a folder of idx files (MNIST), or a folder with one folder a class.
    #[arg(short, long, value_name = "DIR")]
    pub input: PathBuf,
    /// The safetensors file to write: `features` (N x F) and `labels` (N).
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// Train a linear classifier on this many labelled pictures, once on the features and once on
    /// the pixels, and compare them on the test pictures (idx: the t10k files; folders: the rest).
    #[arg(long, value_name = "COUNT")]
    pub probe: Option<usize>,
    /// Most pictures that are used, of training and test each; 0 is all.
    #[arg(long, default_value_t = 0)]
    pub num: usize,
    /// Pictures computed at once.
    #[arg(long, default_value_t = 100)]
    pub batch_size: usize,
}

/// Planar bytes and labels.
struct Labelled {
    pictures: Vec<Vec<u8>>,
    labels: Vec<u8>,
}

impl Labelled {
    fn truncated(mut self, most: usize) -> Self {
        if most > 0 && self.pictures.len() > most {
            self.pictures.truncate(most);
            self.labels.truncate(most);
        }
        self
    }

    fn split_off(&mut self, at: usize) -> Self {
        Self {
            pictures: self.pictures.split_off(at),
            labels: self.labels.split_off(at),
        }
    }
}

fn read_idx(folder: &Path, prefix: &str, config: &Config) -> Result<Labelled> {
    let read = Pictures::read(folder, prefix)?;
    if read.labels.is_empty() {
        return Err(failure(
            Kind::Data,
            format!(
                "{} holds no {prefix}-labels-idx1-ubyte(.gz)",
                folder.display()
            ),
        ));
    }
    Ok(Labelled {
        pictures: from_idx(&read, config),
        labels: read.labels,
    })
}

/// Pictures of class folders, in an order drawn from a fixed stream.
fn read_folders(folder: &Path, config: &Config) -> Result<Labelled> {
    let files = images::list(folder)?;
    let class = |file: &Path| {
        let first = file.components().next();
        let is_nested = file.components().count() > 1;
        first
            .filter(|_| is_nested)
            .map(|name| name.as_os_str().to_owned())
    };
    let mut classes: Vec<_> = (0..files.len())
        .filter_map(|index| class(files.name(index)))
        .collect();
    classes.sort();
    classes.dedup();
    if classes.len() > 256 {
        return Err(failure(
            Kind::Data,
            format!(
                "{} holds {} class folders; at most 256",
                folder.display(),
                classes.len()
            ),
        ));
    }
    let mut all = Labelled {
        pictures: Vec::new(),
        labels: Vec::new(),
    };
    for place in Stream::new(0, "features", 0).permutation(files.len()) {
        let place = place as usize;
        let label = class(files.name(place)).and_then(|class| classes.binary_search(&class).ok());
        all.pictures
            .push(crate::data::decode(&files.path(place), config)?);
        all.labels.push(label.unwrap_or(0) as u8);
    }
    Ok(all)
}

/// The features of pictures, one row each.
fn extract(
    network: &Discriminator,
    pictures: &[Vec<u8>],
    config: &Config,
    batch_size: usize,
    device: &Device,
) -> HostTensor {
    let (channels, side) = (config.channels, config.image_size);
    let mut values = Vec::new();
    let mut width = 0;
    for chunk in pictures.chunks(batch_size) {
        let batch: Vec<f32> = chunk
            .iter()
            .flat_map(|picture| picture.iter().copied().map(to_unit))
            .collect();
        let data = TensorData::new(batch, [chunk.len(), channels, side, side]);
        let features = network.features(Tensor::from_data(data, device));
        width = features.dims()[1];
        values.extend(weights::values(features));
    }
    HostTensor {
        shape: vec![pictures.len(), width],
        values,
    }
}

fn pixels(pictures: &[Vec<u8>]) -> HostTensor {
    let width = pictures.first().map_or(0, Vec::len);
    HostTensor {
        shape: vec![pictures.len(), width],
        values: pictures
            .iter()
            .flat_map(|picture| picture.iter().copied().map(to_unit))
            .collect(),
    }
}

/// `dcgan features`.
///
/// # Errors
/// When the checkpoint or the pictures cannot be read, or the file cannot be written.
pub fn features(command: &FeaturesCommand) -> Result<()> {
    if command.batch_size == 0 {
        return Err(failure(Kind::Usage, "--batch-size must be at least 1"));
    }
    if command.output.is_none() && command.probe.is_none() {
        return Err(failure(
            Kind::Usage,
            "say what to do with the features: --output FILE, --probe COUNT, or both",
        ));
    }
    let device = device::parse(&command.weights.device)?;
    let (network, config) = discriminator(&command.weights, &device)?;
    let is_idx = gan_core::idx::is_here(&command.input, "train");
    let mut train = if is_idx {
        read_idx(&command.input, "train", &config)?
    } else {
        read_folders(&command.input, &config)?
    }
    .truncated(command.num);
    let extract = |data: &Labelled| {
        extract(
            &network,
            &data.pictures,
            &config,
            command.batch_size,
            &device,
        )
    };
    if let Some(output) = &command.output {
        let labels = train.labels.iter().map(|label| f32::from(*label)).collect();
        let tensors = Tensors::from([
            ("features".to_owned(), extract(&train)),
            ("labels".to_owned(), HostTensor::vector(labels)),
        ]);
        weights::write(output, &tensors, &Metadata::new())?;
        print(&format!(
            "{} rows in {}",
            train.labels.len(),
            output.display()
        ));
    }
    let Some(count) = command.probe else {
        return Ok(());
    };
    if count < 10 || count > train.labels.len() {
        return Err(failure(
            Kind::Usage,
            format!("--probe {count} is not legal: 10 to {}", train.labels.len()),
        ));
    }
    let rest = train.split_off(count);
    let test = if is_idx {
        read_idx(&command.input, "t10k", &config)?.truncated(command.num)
    } else {
        rest
    };
    if test.labels.is_empty() {
        return Err(failure(
            Kind::Usage,
            "--probe leaves no pictures for the test",
        ));
    }
    let mut lines = vec![format!(
        "linear classifier on {count} labelled pictures, tested on {}",
        test.labels.len()
    )];
    for (name, train_rows, test_rows) in [
        ("pixels", pixels(&train.pictures), pixels(&test.pictures)),
        ("features", extract(&train), extract(&test)),
    ] {
        let accuracy = probe(train_rows, &train.labels, test_rows, &test.labels, &device);
        lines.push(format!("{name:<9} {:.2} %", 100.0 * accuracy));
    }
    print(&lines.join("\n"));
    Ok(())
}

/// Softmax regression.
#[derive(Module, Debug)]
struct Classifier {
    linear: Linear,
}

impl Network for Classifier {}

/// Subtracts each column's mean and divides by its standard deviation, both of the training rows.
fn standardise(train: &mut HostTensor, test: &mut HostTensor) {
    let width = train.shape[1];
    let count = train.shape[0] as f64;
    let mut mean = vec![0.0f64; width];
    let mut square = vec![0.0f64; width];
    for row in train.values.chunks_exact(width) {
        for (column, value) in row.iter().enumerate() {
            mean[column] += f64::from(*value) / count;
            square[column] += f64::from(*value).powi(2) / count;
        }
    }
    for rows in [train, test] {
        for row in rows.values.chunks_exact_mut(width) {
            for (column, value) in row.iter_mut().enumerate() {
                // Columns that never vary say nothing; the floor keeps them at 0.
                let std = (square[column] - mean[column].powi(2)).max(1e-6).sqrt();
                *value = ((f64::from(*value) - mean[column]) / std) as f32;
            }
        }
    }
}

/// The share of test rows that a linear classifier gets right: softmax regression on standardised
/// columns with an L2 penalty, 60 epochs of Adam. The penalty is chosen among four on a fifth of the
/// training rows that is held out.
fn probe(
    mut train: HostTensor,
    train_labels: &[u8],
    mut test: HostTensor,
    test_labels: &[u8],
    device: &Device,
) -> f64 {
    standardise(&mut train, &mut test);
    let classes = 1 + train_labels
        .iter()
        .chain(test_labels)
        .max()
        .map_or(0, |l| usize::from(*l));
    let width = train.shape[1];
    let held = train_labels.len() / 5;
    let inner = train_labels.len() - held;
    let part = |from: usize, to: usize| &train.values[from * width..to * width];
    let best = [1e-4, 1e-3, 1e-2, 1e-1]
        .into_iter()
        .map(|penalty| {
            let fitted = fit_linear(
                part(0, inner),
                &train_labels[..inner],
                width,
                classes,
                penalty,
                device,
            );
            let rows = part(inner, train_labels.len());
            (
                accuracy(&fitted, rows, &train_labels[inner..], width, device),
                penalty,
            )
        })
        .max_by(|(a, _), (b, _)| a.total_cmp(b));
    let penalty = best.map_or(1e-3, |(_, penalty)| penalty);
    let fitted = fit_linear(&train.values, train_labels, width, classes, penalty, device);
    accuracy(&fitted, &test.values, test_labels, width, device)
}

fn rows(values: &[f32], width: usize, device: &Device) -> Tensor<2> {
    let data = TensorData::new(values.to_vec(), [values.len() / width, width]);
    Tensor::from_data(data, device)
}

fn fit_linear(
    values: &[f32],
    labels: &[u8],
    width: usize,
    classes: usize,
    penalty: f64,
    device: &Device,
) -> Classifier {
    let autodiff = device.clone().autodiff();
    let linear = LinearConfig::new(width, classes)
        .with_initializer(Initializer::Zeros)
        .init(&autodiff);
    let rule = Rule::Adam {
        beta1: 0.9,
        beta2: 0.999,
        epsilon: 1e-8,
    };
    let batch = labels.len().min(250);
    let batches = labels.len() / batch;
    let total = 60 * batches as u64;
    let decay = Schedule::LinearDecay { start: 0.0 };
    let mut learner = Learner::new(Classifier { linear }, rule, 2e-3, decay);
    for step in 0..total {
        let (epoch, index) = (step / batches as u64, step as usize % batches);
        let order = Stream::new(0, "probe", epoch).permutation(labels.len());
        let chosen = &order[index * batch..(index + 1) * batch];
        let mut picked = Vec::with_capacity(batch * width);
        for row in chosen {
            let start = *row as usize * width;
            picked.extend_from_slice(&values[start..start + width]);
        }
        let wanted: Vec<i64> = chosen
            .iter()
            .map(|row| i64::from(labels[*row as usize]))
            .collect();
        let wanted = TensorData::new(wanted, [batch, 1]);
        let wanted = Tensor::<2, Int>::from_data(wanted, &autodiff);
        let network = learner.network();
        let scores = network.linear.forward(rows(&picked, width, &autodiff));
        let likelihood = log_softmax(scores, 1).gather(1, wanted).mean();
        let weight = network.linear.weight.val();
        let loss = (weight.clone() * weight).sum().mul_scalar(penalty) - likelihood;
        learner.descend(loss, &At::new(0, step, total));
    }
    learner.snapshot()
}

fn accuracy(
    classifier: &Classifier,
    values: &[f32],
    labels: &[u8],
    width: usize,
    device: &Device,
) -> f64 {
    let mut right = 0;
    for (values, labels) in values.chunks(1000 * width).zip(labels.chunks(1000)) {
        let scores = classifier.linear.forward(rows(values, width, device));
        let answers = scores.argmax(1).into_data();
        right += answers
            .iter::<i64>()
            .zip(labels)
            .filter(|(answer, label)| *answer == i64::from(**label))
            .count();
    }
    right as f64 / labels.len() as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_probe_learns_what_is_linear_and_nothing_else() {
        let mut stream = Stream::new(0, "test", 0);
        let mut make = |count: usize, informative: f32| {
            let labels: Vec<u8> = (0..count).map(|i| (i % 3) as u8).collect();
            let noise = stream.normal(count * 4);
            let values = (0..count * 4)
                .map(|at| {
                    let hit = at % 4 == usize::from(labels[at / 4]);
                    noise[at] + if hit { informative } else { 0.0 }
                })
                .collect();
            (
                HostTensor {
                    shape: vec![count, 4],
                    values,
                },
                labels,
            )
        };
        let device = Device::flex();
        let ((train, train_labels), (test, test_labels)) = (make(300, 6.0), make(300, 6.0));
        assert!(probe(train, &train_labels, test, &test_labels, &device) > 0.98);
        let ((train, train_labels), (test, test_labels)) = (make(300, 0.0), make(300, 0.0));
        assert!(probe(train, &train_labels, test, &test_labels, &device) < 0.5);
    }
}
