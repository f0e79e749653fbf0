//! A trained generator: found, recognised, and applied to pictures.

use crate::generator::{Generator, Shape};
use crate::pictures::Batch;
use crate::recognise;
use crate::translate::Translates;
use anyhow::{Context, Result};
use burn::module::Module;
use burn::tensor::{Device, Tensor, TensorData};
use gan_core::config::from_identity;
use gan_core::device;
use gan_core::layers::Statistics;
use gan_core::learner::Learner;
use gan_core::located::{self, Located};
use gan_core::random::Stream;
use gan_core::stage::Panel;
use gan_core::weights::{self, Network};
use gan_core::{images, picture};
use image::RgbImage;
use std::path::{Path, PathBuf};

/// How a network is run when it is not trained.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Inference {
    /// Where batch normalisation takes its mean and variance from.
    pub statistics: Statistics,
    /// The seed of dropout, which acts where the network has it; none leaves it out.
    pub dropout: Option<u64>,
}

impl Inference {
    /// The authors' protocol: the statistics of the picture itself, and dropout on.
    pub fn protocol(seed: u64) -> Self {
        Self {
            statistics: Statistics::Batch,
            dropout: Some(seed),
        }
    }

    /// The running statistics, and no dropout (the authors' `--eval`).
    pub fn evaluation() -> Self {
        Self {
            statistics: Statistics::Running,
            dropout: None,
        }
    }

    /// The stream of dropout for picture `number`.
    pub fn stream(&self, number: u64) -> Option<Stream> {
        self.dropout
            .map(|seed| Stream::new(seed, "translate/dropout", number))
    }
}

/// A checkpoint, or a file with one network, from which a training begins.
#[derive(Debug, Clone, Copy)]
pub struct Start<'a> {
    /// What `--init-from` names.
    pub place: &'a Path,
    /// The root of all runs.
    pub out: &'a Path,
    /// The architecture's word.
    pub word: &'a str,
    /// The stage whose checkpoints are meant.
    pub stage: &'a str,
}

impl Start<'_> {
    /// Gives `learner` the weights of `network`, without what no network reads.
    ///
    /// # Errors
    /// As [`located::find`]; [`gan_core::failure::Kind::Checkpoint`] when they are another network's.
    pub fn load<M: Network>(&self, network: &str, learner: &mut Learner<M>) -> Result<()> {
        let stages = [self.stage];
        let found = located::find(Some(self.place), self.out, self.word, &stages, &[network])?;
        let tensors = recognise::without_stale_statistics(found.file.tensors);
        learner.load_weights(&tensors).with_context(|| {
            let flags = recognise::generator(&tensors)
                .ok()
                .and_then(|shape| shape.flags());
            let hint = flags.map(|flags| format!(", its generator is that of {flags}"));
            format!(
                "{} does not fit{}",
                found.path.display(),
                hint.unwrap_or_default()
            )
        })
    }
}

/// A generator on its device.
#[derive(Debug)]
pub struct Translator {
    generator: Generator,
    shape: Shape,
    device: Device,
    path: PathBuf,
}

impl Translator {
    /// Builds the network that a file holds; `dropout` where the file's configuration says so, since no tensor of a
    /// U-Net tells it.
    ///
    /// # Errors
    /// [`gan_core::failure::Kind::Checkpoint`] when the tensors are no generator's, or not whole.
    pub fn new(found: Located, dropout: Option<bool>, device: Device) -> Result<Self> {
        let path = found.path;
        let named = || format!("reading {}", path.display());
        let tensors = recognise::without_stale_statistics(found.file.tensors);
        let mut shape = recognise::generator(&tensors).with_context(named)?;
        if let (crate::generator::Kind::Unet { .. }, Some(dropout)) = (shape.kind, dropout) {
            shape.dropout = dropout;
        }
        weights::check_size(shape.least_size(), &tensors).with_context(named)?;
        let generator =
            weights::apply(Generator::new(&shape, &device), &tensors).with_context(named)?;
        Ok(Self {
            generator: generator.valid(),
            shape,
            device,
            path,
        })
    }

    /// As [`Translator::new`], of a file that may hold a configuration, on the device of this name.
    ///
    /// # Errors
    /// As [`Translator::new`]; [`gan_core::failure::Kind::Usage`] for a device that is not there.
    pub fn open<C: Translates>(found: Located, device: &str) -> Result<Self> {
        let device = device::parse(device)?;
        let origin = found.path.display().to_string();
        let config = found.config().map(|text| from_identity::<C>(&origin, text));
        let dropout = config.transpose()?.map(|config| config.dropout());
        Self::new(found, dropout, device)
    }

    /// What the generator is made of.
    pub fn shape(&self) -> &Shape {
        &self.shape
    }

    /// The file that it came from.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Translates one picture.
    ///
    /// # Shapes
    /// - `values`: `[3, height, width]` in [-1, 1], both sides as [`Shape::multiple`] says
    /// - result: the same
    ///
    /// # Panics
    /// If the sides are others.
    pub fn translate(
        &self,
        values: Vec<f32>,
        [height, width]: [usize; 2],
        inference: Inference,
        number: u64,
    ) -> Vec<f32> {
        let data = TensorData::new(values, [1, 3, height, width]);
        let mut input = Tensor::<4>::from_data(data, &self.device);
        if self.shape.input == 1 {
            // BT.601, as everything here that makes grey.
            let weights = Tensor::<1>::from_data([0.299f32, 0.587, 0.114], &self.device);
            input = (input * weights.reshape([1, 3, 1, 1])).sum_dim(1);
        }
        let mut stream = inference.stream(number);
        let mut output = self
            .generator
            .forward(input, inference.statistics, stream.as_mut());
        if self.shape.output == 1 {
            output = output.repeat_dim(1, 3);
        }
        weights::values(output)
    }
}

/// Planar values, one picture after the other, as `[count, channels, side, side]`.
pub fn to_tensor(values: &[f32], channels: usize, side: usize, device: &Device) -> Tensor<4> {
    let count = values.len() / (channels * side * side);
    let data = TensorData::new(values.to_vec(), [count, channels, side, side]);
    Tensor::from_data(data, device)
}

/// The mean absolute difference of values that lie in the same places.
pub fn mean_distance(first: &[f32], second: &[f32]) -> f64 {
    let away = first.iter().zip(second);
    let away = away.map(|(first, second)| f64::from((first - second).abs()));
    away.sum::<f64>() / first.len() as f64
}

/// Up to `most` pictures of a batch beside their partners, whose channels may be others; none of none.
pub fn reals(batch: &Batch, channels: [usize; 2], side: usize, most: usize) -> Option<RgbImage> {
    let pictures = |values: &[f32], channels: usize| -> Vec<RgbImage> {
        let all = values.chunks_exact(channels * side * side).take(most);
        all.map(|values| to_picture(values, side)).collect()
    };
    let first = pictures(&batch.a, channels[0]);
    let second = pictures(&batch.b, channels[1]);
    let rows: Vec<_> = first
        .into_iter()
        .zip(second)
        .map(|(a, b)| vec![a, b])
        .collect();
    sheet("reals", &["real_A", "real_B"], &rows).map(|panel| panel.picture)
}

/// A picture of planar values in [-1, 1], of 1 or 3 channels and `side` x `side` pixels.
pub fn to_picture(values: &[f32], side: usize) -> RgbImage {
    images::from_unit(values, values.len() / (side * side), side, side)
}

/// Rows of pictures under the names of their columns; none of none.
pub fn sheet(name: &'static str, columns: &[&str], rows: &[Vec<RgbImage>]) -> Option<Panel> {
    let first = rows.first()?;
    debug_assert_eq!(first.len(), columns.len(), "a name for each column");
    Some(Panel {
        name,
        picture: picture::table(columns, rows),
    })
}
