//! The verb `translate`, but for the few flags that only one paper has.

use crate::generator::Kind;
use crate::translator::{Inference, Translator};
use anyhow::{Context, Result};
use gan_core::config::Configuration;
use gan_core::console::{Console, Voice};
use gan_core::conversion::{self, ConversionArguments, Converter, Emit, Planes};
use gan_core::device;
use gan_core::images;
use gan_core::located::Located;
use gan_core::tiles::{Requirements, Tile, TileArguments, Tiling};
use image::RgbImage;
use std::path::PathBuf;

/// Which weights, which pictures.
#[derive(Debug, Clone, clap::Args)]
pub struct TranslateArguments {
    /// A run, a step folder, the file `best` or `latest` of a run, a .safetensors or a .pth; the newest run without it.
    #[arg(long, value_name = "PATH")]
    pub checkpoint: Option<PathBuf>,
    /// The root of all runs.
    #[arg(long, default_value = "runs", value_name = "DIR")]
    pub out: PathBuf,
    /// Where to compute.
    #[arg(long, default_value = "auto")]
    pub device: String,
    /// Normalise by the running statistics and leave dropout out; without it, the authors' protocol: the statistics
    /// of each picture, and dropout on where the network has it.
    #[arg(long)]
    pub eval: bool,
    /// Dropout, the network's noise: on without --eval.
    #[arg(long, num_args = 0..=1, default_missing_value = "true", require_equals = true)]
    pub dropout: Option<bool>,
    /// The seed of dropout.
    #[arg(long, default_value_t = 0)]
    pub seed: u64,
    /// Which pictures become which.
    #[command(flatten)]
    pub conversion: ConversionArguments,
}

/// A configuration whose generator translates.
pub trait Translates: Configuration {
    /// Whether the generator has dropout, which no tensor of a U-Net tells.
    fn dropout(&self) -> bool;
}

impl TranslateArguments {
    fn inference(&self) -> Inference {
        let mut inference = if self.eval {
            Inference::evaluation()
        } else {
            Inference::protocol(self.seed)
        };
        if let Some(dropout) = self.dropout {
            inference.dropout = dropout.then_some(self.seed);
        }
        inference
    }

    /// `translate` with the generator that was found.
    ///
    /// # Errors
    /// When it cannot be used, or a picture cannot be read or written.
    pub fn run<C: Translates>(&self, found: Located) -> Result<()> {
        let console = Console::new(Voice::Normal);
        found.warnings.iter().for_each(|line| console.warn(line));
        console.say(&format!("weights: {}", found.path.display()));
        let translator = Translator::open::<C>(found, &self.device).context("--checkpoint")?;
        translator.run(self, self.inference())
    }
}

/// Pictures of any size through a generator.
struct Translation<'a> {
    translator: &'a Translator,
    inference: Inference,
    tiling: Tiling,
}

impl Converter for Translation<'_> {
    fn convert(&mut self, picture: &Planes, emit: &mut Emit<'_>) -> Result<()> {
        let mut network = |part: &Planes| Ok(self.translator.part(part, self.inference));
        self.tiling.run_in_strips(picture, &mut network, emit)
    }
}

impl Translator {
    /// What pictures have to be like, and how much memory one takes.
    pub fn requirements(&self) -> Requirements {
        let shape = self.shape();
        let width = shape.width as u64;
        // Numbers of four bytes a pixel that live at once at the widest place: what the peak grew by from 512 x 512
        // to 1024 x 1024 pixels at the paper's width was 427 bytes and 1434 bytes.
        let numbers = match shape.kind {
            Kind::Unet { .. } => 3 * width / 2 + 16,
            Kind::Resnet { .. } => 5 * width + 40,
        };
        Requirements {
            multiple: shape.multiple(),
            least: shape.shortest(),
            scale: 1,
            bytes_per_pixel: 4 * numbers,
            reach: None,
        }
    }

    /// Translates a picture of any size by the authors' protocol, with dropout of seed 0.
    ///
    /// # Errors
    /// Never in practice: memory alone can run out.
    pub fn picture(&self, picture: &RgbImage) -> Result<RgbImage> {
        self.picture_with(picture, Inference::protocol(0))
    }

    /// Translates a picture of any size: mirrored at its edges up to what the network takes, and cut back.
    ///
    /// # Errors
    /// As [`Translator::picture`].
    pub fn picture_with(&self, picture: &RgbImage, inference: Inference) -> Result<RgbImage> {
        let arguments = TileArguments {
            tile: Tile::Auto,
            tile_pad: None,
        };
        let mut tiling = Tiling::new(arguments, self.requirements())?;
        let (width, height) = (picture.width() as usize, picture.height() as usize);
        let values = images::planar(picture, 3)
            .into_iter()
            .map(images::to_unit)
            .collect();
        let planes = Planes::new(width, height, values);
        let made = tiling.run(&planes, &mut |part| Ok(self.part(part, inference)))?;
        Ok(images::from_unit(&made.values, 3, height, width))
    }

    fn part(&self, part: &Planes, inference: Inference) -> Planes {
        let size = [part.height, part.width];
        // The same noise for each picture: a result depends on its picture alone.
        let values = self.translate(part.values.clone(), size, inference, 0);
        Planes::new(part.width, part.height, values)
    }

    /// Whether a pixel's result depends on the whole picture (or tile) that the network sees.
    fn sees_everything(&self, inference: Inference) -> bool {
        use crate::norm::Norm;
        use gan_core::layers::Statistics;
        match self.shape().norm {
            Norm::Instance => true,
            Norm::Batch => inference.statistics != Statistics::Running,
            Norm::None => false,
        }
    }

    /// `translate`.
    ///
    /// # Errors
    /// As [`conversion::run`]; [`gan_core::failure::Kind::Data`] at the end when pictures were passed over.
    pub fn run(&self, arguments: &TranslateArguments, inference: Inference) -> Result<()> {
        let mut tiling = Tiling::new(arguments.conversion.tiles, self.requirements())?;
        if !device::is_processor(&arguments.device) {
            // Memory of its own, of which nothing is known here.
            tiling = tiling.with_memory(|| None);
        }
        let mut console = Console::new(Voice::Normal);
        let mut translation = Translation {
            translator: self,
            inference,
            tiling,
        };
        let done = conversion::run(&arguments.conversion, &mut console, &mut translation)?;
        let tiling = translation.tiling;
        if let Some(summary) = tiling.summary() {
            console.say(&summary);
            if self.sees_everything(inference) {
                console.warn(
                    "this network normalises by the statistics of what it sees, which differ from tile to tile: \
                     colours may drift across a picture. Larger tiles (--tile) or smaller pictures avoid it",
                );
            }
        }
        done.check()
    }
}
