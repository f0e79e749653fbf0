//! What a trained discriminator knows of shapes, and the linear classifier that proves it (section 4.2).

use crate::config::Config;
use crate::data::{numbers, reading, volumes};
use crate::discriminator::Discriminator;
use crate::generate;
use anyhow::Result;
use burn::tensor::{Device, Tensor};
use gan_core::command::{CheckpointArguments, print};
use gan_core::device;
use gan_core::failure::{Kind, at_path, failure};
use gan_core::layers::Statistics;
use gan_core::probe::probe;
use gan_core::random::Stream;
use gan_core::weights::{self, HostTensor};
use ndarray::{ArrayView1, ArrayView2};
use ndarray_npy::WriteNpyExt;
use shapes::dataset::{Part, Shape, Shapes};
use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::path::{Path, PathBuf};
use zip::write::{SimpleFileOptions, ZipWriter};

/// `features`.
#[derive(Debug, Clone, clap::Args)]
pub struct FeaturesCommand {
    /// Which weights.
    #[command(flatten)]
    pub weights: CheckpointArguments,
    /// Shapes: a folder with one folder a class, with train/ and test/ or without.
    #[arg(short, long, value_name = "DIR")]
    pub input: PathBuf,
    /// The .npz file to write: features (N x F, float32) and labels (N, uint8), the classes in alphabetical order;
    /// test_features and test_labels of the test part.
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// Train a linear classifier on the training part, once on the features and once on the voxels, and compare them on
    /// the test part; without a test part, every fifth model is one, with all its orientations.
    #[arg(long)]
    pub probe: bool,
    /// Shapes of each class and part at most, drawn at random; 0 is all.
    #[arg(long, default_value_t = 0)]
    pub num: usize,
    /// Shapes computed at once.
    #[arg(long, default_value_t = 16)]
    pub batch_size: usize,
}

/// The paper's description of shapes: what all hidden layers but the first give, max-pooled to 2 x 2 x 2, one after the
/// other; of 64 x 64 x 64 voxels (128 + 256 + 512) * 8 = 7168 numbers.
///
/// # Shapes
/// - `values`: volumes of `config.resolution` each, 0 or 1, one after the other
/// - result: `[shapes, 8 * (sum of the channels)]`
pub fn features(
    network: &Discriminator,
    values: Vec<f32>,
    config: &Config,
    device: &Device,
) -> HostTensor {
    let count = values.len() / config.voxels();
    let layers = network.hidden(volumes(values, config, device), Statistics::Running);
    let pooled: Vec<HostTensor> = layers.into_iter().skip(1).map(pooled).collect();
    let width = pooled.iter().map(|layer| layer.shape[1]).sum();
    let mut rows = Vec::with_capacity(count * width);
    for row in 0..count {
        for layer in &pooled {
            let each = layer.shape[1];
            rows.extend_from_slice(&layer.values[row * each..(row + 1) * each]);
        }
    }
    HostTensor {
        shape: vec![count, width],
        values: rows,
    }
}

/// The largest value of each eighth of a volume: `[count, channels, side, side, side]` to `[count, 8 * channels]`.
fn pooled(layer: Tensor<5>) -> HostTensor {
    let [count, channels, side, ..] = layer.dims();
    let half = side / 2;
    let values = weights::values(layer);
    let mut largest = Vec::with_capacity(8 * count * channels);
    for volume in values.chunks_exact(side.pow(3)) {
        for corner in 0..8 {
            let first = [4, 2, 1].map(|bit| if corner & bit == 0 { 0 } else { half });
            let mut most = f32::NEG_INFINITY;
            for x in first[0]..first[0] + half {
                for y in first[1]..first[1] + half {
                    let row = (x * side + y) * side + first[2];
                    most = volume[row..row + half].iter().copied().fold(most, f32::max);
                }
            }
            largest.push(most);
        }
    }
    HostTensor {
        shape: vec![count, 8 * channels],
        values: largest,
    }
}

/// Shapes of a part in a random order, `most` of each class at most, and the classes' names.
fn part(
    place: &Path,
    part: Part,
    config: &Config,
    most: usize,
) -> Result<(Vec<Shape>, Vec<String>)> {
    let found = Shapes::open(place, &reading(config.resolution, part, ""))?;
    if found.classes.len() > 256 {
        return Err(failure(
            Kind::Data,
            format!(
                "{} holds {} classes; at most 256",
                place.display(),
                found.classes.len()
            ),
        ));
    }
    let order = Stream::new(0, "features", part as u64).permutation(found.shapes.len());
    let mut left = vec![if most == 0 { usize::MAX } else { most }; found.classes.len()];
    let mut shapes = Vec::new();
    for place in order {
        let shape = &found.shapes[place as usize];
        if left[shape.class] > 0 {
            left[shape.class] -= 1;
            shapes.push(shape.clone());
        }
    }
    Ok((shapes, found.classes))
}

/// A fifth of the shapes, the last ones, or a little more of them where a model has several orientations: all of these are
/// on one side. Something always stays to train on.
fn split_by_model(shapes: Vec<Shape>) -> (Vec<Shape>, Vec<Shape>) {
    let mut counts: BTreeMap<PathBuf, usize> = BTreeMap::new();
    for shape in &shapes {
        *counts.entry(shape.model()).or_default() += 1;
    }
    let wanted = shapes.len() / 5;
    let mut kept_out = BTreeSet::new();
    let mut count = 0;
    for shape in shapes.iter().rev() {
        if count >= wanted {
            break;
        }
        let model = shape.model();
        let more = counts.get(&model).copied().unwrap_or(0);
        if count + more < shapes.len() && kept_out.insert(model) {
            count += more;
        }
    }
    let is_trained_on = |shape: &Shape| !kept_out.contains(&shape.model());
    shapes.into_iter().partition(is_trained_on)
}

fn labels(shapes: &[Shape]) -> Vec<u8> {
    shapes.iter().map(|shape| shape.class as u8).collect()
}

/// `gan3d features`.
///
/// # Errors
/// When the checkpoint or the shapes cannot be read, or the file cannot be written.
pub fn run(command: &FeaturesCommand) -> Result<()> {
    if command.batch_size == 0 {
        return Err(failure(Kind::Usage, "--batch-size must be at least 1"));
    }
    if command.output.is_none() && !command.probe {
        return Err(failure(
            Kind::Usage,
            "say what to do with the features: --output FILE, --probe, or both",
        ));
    }
    let device = device::parse(&command.weights.device)?;
    let (network, config) = generate::discriminator(&command.weights, &device)?;
    let (mut train, classes) = part(&command.input, Part::Train, &config, command.num)?;
    let (mut test, _) = part(&command.input, Part::Test, &config, command.num)?;
    if train.is_empty() {
        std::mem::swap(&mut train, &mut test);
    }
    if test.is_empty() && command.probe {
        (train, test) = split_by_model(train);
    }
    if train.is_empty() {
        return Err(failure(
            Kind::Data,
            format!("there are no shapes under {}", command.input.display()),
        ));
    }
    let extract = |shapes: &[Shape]| -> HostTensor {
        let mut all = HostTensor {
            shape: vec![shapes.len(), 0],
            values: Vec::new(),
        };
        for some in shapes.chunks(command.batch_size) {
            let values = numbers(some.iter().map(|shape| &shape.voxels), config.resolution);
            let rows = features(&network, values, &config, &device);
            all.shape[1] = rows.shape[1];
            all.values.extend(rows.values);
        }
        all
    };
    let (of_train, of_test) = (extract(&train), extract(&test));
    if let Some(output) = &command.output {
        write(
            output,
            [(&of_train, &labels(&train)), (&of_test, &labels(&test))],
        )?;
        print(&format!(
            "{} rows of {} numbers in {}; classes: {}",
            train.len() + test.len(),
            of_train.shape[1],
            output.display(),
            classes.join(", ")
        ));
    }
    if !command.probe {
        return Ok(());
    }
    if train.len() < 10 || test.is_empty() || classes.len() < 2 {
        return Err(failure(
            Kind::Data,
            format!(
                "--probe needs two classes, ten shapes to train on and one for the test; {} has {}, {} and {}",
                command.input.display(),
                classes.len(),
                train.len(),
                test.len()
            ),
        ));
    }
    let voxels = |shapes: &[Shape]| HostTensor {
        shape: vec![shapes.len(), config.voxels()],
        values: numbers(shapes.iter().map(|shape| &shape.voxels), config.resolution),
    };
    let mut lines = vec![format!(
        "linear classifier of {} classes on {} shapes, tested on {}",
        classes.len(),
        train.len(),
        test.len()
    )];
    for (name, train_rows, test_rows) in [
        ("voxels", voxels(&train), voxels(&test)),
        ("features", of_train, of_test),
    ] {
        let right = probe(
            train_rows,
            &labels(&train),
            test_rows,
            &labels(&test),
            &device,
        );
        lines.push(format!("{name:<9} {:.2} %", 100.0 * right));
    }
    print(&lines.join("\n"));
    Ok(())
}

/// Writes features and labels of both parts, whole or not at all; of an empty part nothing.
fn write(path: &Path, parts: [(&HostTensor, &Vec<u8>); 2]) -> Result<()> {
    let mut name = path.file_name().unwrap_or_default().to_os_string();
    name.push(format!(".tmp-{}", std::process::id()));
    let temporary = path.with_file_name(name);
    let attempt = || -> Result<()> {
        let mut archive = ZipWriter::new(File::create(&temporary)?);
        for ((features, labels), prefix) in parts.into_iter().zip(["", "test_"]) {
            if labels.is_empty() {
                continue;
            }
            let options = SimpleFileOptions::default()
                .compression_method(zip::CompressionMethod::Deflated)
                .large_file(features.values.len() > 1 << 29);
            archive.start_file(format!("{prefix}features.npy"), options)?;
            let rows = (features.shape[0], features.shape[1]);
            ArrayView2::from_shape(rows, &features.values)?.write_npy(&mut archive)?;
            archive.start_file(format!("{prefix}labels.npy"), options)?;
            ArrayView1::from(labels).write_npy(&mut archive)?;
        }
        archive.finish()?.sync_all()?;
        Ok(std::fs::rename(&temporary, path)?)
    };
    attempt().map_err(|error| {
        let _ = std::fs::remove_file(&temporary);
        at_path(Kind::Disk, "write", path, &std::io::Error::other(error))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use shapes::voxels::Voxels;

    fn named(names: impl Iterator<Item = String>) -> Vec<Shape> {
        let shape = |name| Shape {
            voxels: Voxels::new([1; 3]),
            class: 0,
            name,
        };
        names.map(shape).collect()
    }

    #[test]
    fn orientations_of_a_model_are_all_kept_out_or_none() {
        // In an order in which the orientations lie apart.
        let names = (0..120).map(|at| format!("a/chair_{:09}_{}.mat", at * 7 % 10, at / 10 + 1));
        let (train, test) = split_by_model(named(names));
        assert_eq!((train.len(), test.len()), (96, 24));
        let models =
            |shapes: &[Shape]| -> BTreeSet<PathBuf> { shapes.iter().map(Shape::model).collect() };
        assert!(models(&train).is_disjoint(&models(&test)));
        // Without orientations, the last fifth.
        let (train, test) = split_by_model(named((0..11).map(|at| format!("{at}.off"))));
        let names: Vec<_> = test.iter().map(|shape| shape.name.as_str()).collect();
        assert_eq!((train.len(), names), (9, vec!["9.off", "10.off"]));
        // One model alone cannot be on both sides.
        let (train, test) = split_by_model(named((1..13).map(|at| format!("x_1_{at}.mat"))));
        assert_eq!((train.len(), test.len()), (12, 0));
    }
}
