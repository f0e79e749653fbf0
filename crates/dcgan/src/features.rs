//! A trained discriminator as a feature extractor, and the linear classifier that proves it
//! (Radford et al. 2016, section 5.1).

use crate::config::Config;
use crate::data::from_idx;
use crate::discriminator::Discriminator;
use crate::generate::discriminator;
use anyhow::Result;
use burn::tensor::{Device, Tensor, TensorData};
use gan_core::command::{CheckpointArguments, print};
use gan_core::failure::{Kind, failure};
use gan_core::idx::Pictures;
use gan_core::images::to_unit;
use gan_core::probe::probe;
use gan_core::random::Stream;
use gan_core::weights::{self, HostTensor, Metadata, Tensors};
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
