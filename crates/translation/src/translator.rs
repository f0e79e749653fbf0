//! A trained generator: found, recognised, and applied to pictures.

use crate::generator::{Generator, Shape};
use crate::recognise;
use anyhow::{Context, Result};
use burn::module::Module;
use burn::tensor::{Device, Tensor, TensorData};
use gan_core::layers::Statistics;
use gan_core::located::{self, Located};
use gan_core::random::Stream;
use gan_core::stage::Panel;
use gan_core::weights::{self, Tensors};
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

/// Finds the tensors of `network` in a checkpoint or a file, without what no network reads.
///
/// # Errors
/// As [`located::find`].
pub fn load_into(
    place: &Path,
    out: &Path,
    word: &str,
    stage: &str,
    network: &str,
) -> Result<(PathBuf, Tensors)> {
    let found = located::find(Some(place), out, word, &[stage], &[network])?;
    let tensors = recognise::without_stale_statistics(found.file.tensors);
    Ok((found.path, tensors))
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
