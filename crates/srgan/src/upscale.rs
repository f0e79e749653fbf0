//! From a checkpoint alone to upscaled pictures.

use crate::config::Config;
use crate::generator::{Generator, Shape};
use crate::recognise;
use crate::train::STAGES;
use anyhow::{Context, Result};
use burn::module::Module;
use burn::tensor::{Device, Tensor, TensorData};
use gan_core::config::Configuration;
use gan_core::console::{Console, Voice};
use gan_core::conversion::{self, ConversionArguments, Converter, Emit, Planes};
use gan_core::device;
use gan_core::failure::{Kind, failure};
use gan_core::layers::Statistics;
use gan_core::located::{self, Located};
use gan_core::tiles::{Tile, TileArguments, Tiling};
use gan_core::{images, weights};
use image::RgbImage;
use std::path::{Path, PathBuf};

/// Which generator.
#[derive(Debug, Clone, clap::Args)]
pub struct GeneratorArguments {
    /// A run, a step folder, the file `best` or `latest` of a stage, a .safetensors or a .pth; the newest run without
    /// it.
    #[arg(long, value_name = "PATH")]
    pub checkpoint: Option<PathBuf>,
    /// The root of all runs.
    #[arg(long, default_value = "runs", value_name = "DIR")]
    pub out: PathBuf,
    /// Where to compute.
    #[arg(long, default_value = "auto")]
    pub device: String,
    /// How many times as wide and high results are; the generator's own number, which it is checked against.
    #[arg(short, long, value_name = "2|4|8")]
    pub scale: Option<usize>,
    /// MiB that the network may take: larger pictures go through in tiles, which changes no result.
    #[arg(long, value_name = "MIB", default_value_t = 1024, value_parser = clap::value_parser!(u64).range(16..=1_048_576))]
    pub memory: u64,
}

/// `upscale`.
#[derive(Debug, Clone, clap::Args)]
pub struct UpscaleCommand {
    /// Which generator.
    #[command(flatten)]
    pub generator: GeneratorArguments,
    /// Which pictures become which.
    #[command(flatten)]
    pub conversion: ConversionArguments,
}

/// A generator on its device.
#[derive(Debug)]
pub struct Upscaler {
    generator: Generator,
    shape: Shape,
    device: Device,
    memory: u64,
    path: PathBuf,
}

/// What [`Upscaler::open`] lets a network take.
const MEMORY: u64 = 1 << 30;

fn find(place: Option<&Path>, out: &Path) -> Result<Located> {
    located::find(place, out, Config::WORD, &STAGES, &["generator"])
}

impl Upscaler {
    /// Loads the generator of a run or a step folder, a safetensors file, or a published `.pth` of any layout that is
    /// known ([`crate::generator::Layout`]), on the CPU.
    ///
    /// # Errors
    /// When there is no such checkpoint, or it is damaged or of another model.
    pub fn open(checkpoint: impl AsRef<Path>) -> Result<Self> {
        let found = find(Some(checkpoint.as_ref()), Path::new("runs"))?;
        Self::new(found, "cpu", MEMORY)
    }

    fn new(found: Located, device: &str, memory: u64) -> Result<Self> {
        let device = device::parse(device)?;
        let path = found.path;
        let (generator, shape) = recognise::generator(found.file.tensors, &device)
            .with_context(|| format!("reading {}", path.display()))?;
        Ok(Self {
            generator: generator.valid(),
            shape,
            device,
            memory,
            path,
        })
    }

    /// The generator that the arguments name; says which it is.
    ///
    /// # Errors
    /// As [`Upscaler::open`]; [`Kind::Usage`] when it enlarges by another number than was asked for.
    pub fn of(arguments: &GeneratorArguments, console: &Console) -> Result<Self> {
        let found = find(arguments.checkpoint.as_deref(), &arguments.out)?;
        found.warnings.iter().for_each(|line| console.warn(line));
        let memory = arguments.memory << 20;
        let upscaler = Self::new(found, &arguments.device, memory).context("--checkpoint")?;
        let (shape, path) = (&upscaler.shape, upscaler.path.display());
        console.say(&format!(
            "weights: {path} ({:?}, {} blocks, x{})",
            shape.layout.net(),
            shape.blocks,
            shape.scale
        ));
        match arguments.scale {
            Some(asked) if asked != shape.scale => Err(failure(
                Kind::Usage,
                format!(
                    "--scale {asked}: the generator of {path} enlarges {} times; leave --scale out, or name another \
                     --checkpoint",
                    shape.scale
                ),
            )),
            _ => Ok(upscaler),
        }
    }

    /// What the generator is made of.
    pub fn shape(&self) -> &Shape {
        &self.shape
    }

    /// Upscales a picture of any size. The result's bytes are those nearest to the network's values.
    ///
    /// # Errors
    /// [`Kind::Diverged`] when the network's result is not finite.
    pub fn picture(&self, low: &RgbImage) -> Result<RgbImage> {
        let arguments = TileArguments {
            tile: Tile::Auto,
            tile_pad: None,
        };
        let (width, height) = (low.width() as usize, low.height() as usize);
        let planes = Planes::new(
            width,
            height,
            images::planar(low, 3)
                .into_iter()
                .map(images::to_unit)
                .collect(),
        );
        let mut network = |part: &Planes| self.part(part);
        let made = self.tiling(arguments)?.run(&planes, &mut network)?;
        Ok(images::from_unit(&made.values, 3, made.height, made.width))
    }

    fn tiling(&self, arguments: TileArguments) -> Result<Tiling> {
        let tiling = Tiling::new(arguments, self.shape.requirements())?;
        Ok(tiling.with_budget(self.memory))
    }

    /// Planes in [-1, 1] to planes in [-1, 1].
    fn part(&self, part: &Planes) -> Result<Planes> {
        let low: Vec<f32> = part
            .values
            .iter()
            .map(|value| (value + 1.0) / 2.0)
            .collect();
        let data = TensorData::new(low, [1, 3, part.height, part.width]);
        let low = Tensor::<4>::from_data(data, &self.device);
        let made = self.generator.forward(low, Statistics::Running);
        let [_, _, height, width] = made.dims();
        let mut values = weights::values(made);
        // Clamping would hide it.
        if !values.iter().all(|value| value.is_finite()) {
            let what = "the network's result is not finite: take other weights";
            return Err(failure(Kind::Diverged, what));
        }
        for value in &mut values {
            *value = value.clamp(0.0, 1.0) * 2.0 - 1.0;
        }
        Ok(Planes::new(width, height, values))
    }
}

/// Pictures of any size through a generator.
struct Upscaling<'a> {
    upscaler: &'a Upscaler,
    tiling: Tiling,
}

impl Converter for Upscaling<'_> {
    fn scale(&self) -> usize {
        self.upscaler.shape.scale
    }

    fn keeps_grey(&self) -> bool {
        true
    }

    fn convert(&mut self, picture: &Planes, emit: &mut Emit<'_>) -> Result<()> {
        let mut network = |part: &Planes| self.upscaler.part(part);
        self.tiling.run_in_strips(picture, &mut network, emit)
    }
}

/// `srgan upscale`.
///
/// # Errors
/// When the checkpoint cannot be used, or a picture cannot be read or written.
pub fn upscale(command: &UpscaleCommand) -> Result<()> {
    upscale_with(command, &mut Console::new(Voice::Normal))
}

/// As [`upscale`], talking to `console`.
///
/// # Errors
/// As [`upscale`].
pub fn upscale_with(command: &UpscaleCommand, console: &mut Console) -> Result<()> {
    let upscaler = Upscaler::of(&command.generator, console)?;
    let mut tiling = upscaler.tiling(command.conversion.tiles)?;
    if !device::is_processor(&command.generator.device) {
        // Memory of its own, of which nothing is known here.
        tiling = tiling.with_memory(|| None);
    }
    let mut upscaling = Upscaling {
        upscaler: &upscaler,
        tiling,
    };
    let done = conversion::run(&command.conversion, console, &mut upscaling)?;
    if let Some(summary) = upscaling.tiling.summary() {
        console.say(&summary);
    }
    done.check()
}
