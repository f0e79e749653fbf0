//! From a checkpoint alone to faces of an asked age.

use crate::classes::Classes;
use crate::config::Config;
use crate::gan::sample;
use crate::generator::Generator;
use anyhow::{Context, Result};
use burn::module::Module;
use burn::tensor::Device;
use gan_core::animation;
use gan_core::command::{self, CheckpointArguments};
use gan_core::config::from_identity;
use gan_core::console::{Console, Voice};
use gan_core::device;
use gan_core::failure::{Kind, at_path, failure};
use gan_core::latent;
use gan_core::located::{self, Located};
use gan_core::picture;
use gan_core::weights;
use image::RgbImage;
use std::path::{Path, PathBuf};

/// The stage that pictures come from.
const GAN: &str = <crate::gan::Gan as gan_core::stage::Stage>::NAME;

/// The configuration of a network of this workspace.
///
/// # Errors
/// [`Kind::Checkpoint`] for a file without one: no project publishes weights of an Age-cGAN.
pub(crate) fn config_of(found: &Located) -> Result<Config> {
    let path = found.path.display().to_string();
    match found.config() {
        Some(text) => from_identity(&path, text),
        None => Err(failure(
            Kind::Checkpoint,
            format!(
                "{path} does not say how its network is built: name a run, a step folder or a .safetensors of `cgan train`"
            ),
        )),
    }
}

/// The configuration of the run that a file of weights lies in, with the paths that weights do not tell.
pub(crate) fn run_config(weights: &Path) -> Option<Config> {
    let place = command::run_of(weights)?.join("config.toml");
    let layer = gan_core::config::Layer::read(&place).ok()?;
    gan_core::config::merge(&[layer]).ok()
}

/// A trained generator.
#[derive(Debug)]
pub struct Sampler {
    pub(crate) generator: Generator,
    config: Config,
    pub(crate) device: Device,
    pub(crate) path: PathBuf,
}

impl Sampler {
    /// Loads a run, a step folder or a safetensors file, on the CPU; the running average where there is one.
    ///
    /// # Errors
    /// When there is no such checkpoint, or it is damaged or of another model.
    pub fn open(checkpoint: impl AsRef<Path>) -> Result<Self> {
        let networks = ["generator_ema", "generator"];
        let place = Some(checkpoint.as_ref());
        let found = located::find(place, Path::new("runs"), "cgan", &[GAN], &networks)?;
        Self::new(found, device::parse("cpu")?)
    }

    pub(crate) fn find(arguments: &CheckpointArguments) -> Result<Self> {
        let device = device::parse(&arguments.device)?;
        Self::new(arguments.find("cgan", &[GAN], "generator")?, device)
    }

    fn new(found: Located, device: Device) -> Result<Self> {
        let config = config_of(&found)?;
        let path = found.path.clone();
        let inner = config.generator();
        let channels = (inner.width_g as u64) << (inner.doublings() - 1);
        let least = 16 * inner.latent_dim as u64 * channels + inner.least_size(inner.width_g);
        weights::check_size(least, &found.file.tensors)
            .with_context(|| format!("reading {}", path.display()))?;
        let generator = weights::apply(Generator::new(&config, &device), &found.file.tensors)
            .with_context(|| format!("loading {}", path.display()))?;
        Ok(Self {
            generator: generator.valid(),
            config,
            device,
            path,
        })
    }

    /// The picture of each seed, of the class at the same place.
    ///
    /// # Panics
    /// If there are more or fewer classes than seeds.
    pub fn sample(&self, seeds: &[u64], classes: &[usize]) -> Vec<RgbImage> {
        assert_eq!(seeds.len(), classes.len());
        let known = self.config.classes();
        let latents: Vec<_> = seeds.iter().map(|seed| self.latent(*seed)).collect();
        let told: Vec<_> = classes
            .iter()
            .map(|class| known.condition(*class))
            .collect();
        self.decode(&latents, &told)
    }

    /// The latent vector of a seed.
    pub fn latent(&self, seed: u64) -> Vec<f32> {
        self.config.prior().latent(seed, self.config.latent_dim)
    }

    /// The picture of each latent vector of `latent_dim` values, under the condition at the same place.
    pub fn decode(&self, latents: &[Vec<f32>], conditions: &[Vec<f32>]) -> Vec<RgbImage> {
        if latents.is_empty() {
            return Vec::new();
        }
        sample(
            &self.generator,
            latents.concat(),
            conditions.concat(),
            &self.config,
            &self.device,
        )
    }

    /// The configuration of the network.
    pub fn config(&self) -> &Config {
        &self.config
    }
}

/// `generate`.
#[derive(Debug, Clone, clap::Args)]
pub struct GenerateCommand {
    /// What is made, and where it goes.
    #[command(flatten)]
    pub shared: command::GenerateCommand,
    /// The age of all faces, in years (or the digit); without it, seed 0 is of the first class, seed 1 of the second, and
    /// so on in a circle.
    #[arg(long)]
    pub age: Option<f32>,
}

/// Pixels of all frames of an animation at most: they are in memory together.
const MOST_PIXELS: usize = 300_000_000;

/// The class of an age that a user names.
pub(crate) fn class_of(age: f32, classes: &Classes) -> Result<usize> {
    let most = match classes {
        Classes::Ages(_) => 130.0,
        Classes::Digits => 9.0,
    };
    if !(0.0..=most).contains(&age) {
        return Err(failure(
            Kind::Usage,
            format!(
                "{age} is not legal here: 0 to {most}; the classes are {}",
                classes.names().join(", ")
            ),
        ));
    }
    Ok(classes.of(age))
}

/// `cgan generate`.
///
/// # Errors
/// When the checkpoint cannot be used or a file cannot be written.
pub fn generate(command: &GenerateCommand) -> Result<()> {
    let sampler = Sampler::find(&command.shared.weights)?;
    let classes = sampler.config.classes();
    let asked = command.age.map(|age| class_of(age, &classes)).transpose()?;
    let seeds = command.shared.seeds()?;
    let mut told = seeds.iter().map(|seed| {
        let class = asked.unwrap_or((*seed % classes.count() as u64) as usize);
        classes.condition(class)
    });
    let (prior, width) = (sampler.config.prior(), sampler.config.latent_dim);
    command
        .shared
        .write(&sampler.path, prior, width, &mut |latents| {
            let told: Vec<_> = told.by_ref().take(latents.len()).collect();
            Ok(sampler.decode(latents, &told))
        })?;
    Ok(())
}

/// `interpolate`.
#[derive(Debug, Clone, clap::Args)]
pub struct InterpolateCommand {
    /// Which weights.
    #[command(flatten)]
    pub weights: CheckpointArguments,
    /// The first age in years (or the first digit).
    #[arg(long)]
    pub from: f32,
    /// The last age.
    #[arg(long)]
    pub to: f32,
    /// Seeds of the faces, side by side.
    #[arg(long, value_name = "LIST", default_value = "0-3")]
    pub seeds: String,
    /// Pictures from the first age to the last.
    #[arg(long, default_value_t = 48)]
    pub frames: usize,
    /// Side of each enlarged face in pixels, at least the network's own.
    #[arg(long, default_value_t = 128)]
    pub size: u32,
    /// The animation: a name ending in .gif, .apng or .png.
    #[arg(short, long, value_name = "FILE", default_value = "ages.gif")]
    pub output: PathBuf,
}

/// `cgan interpolate`: the same faces while they grow older. Between the middles of two classes, the condition is a
/// mixture that no training has seen.
///
/// # Errors
/// When the checkpoint cannot be used or the file cannot be written.
pub fn interpolate(command: &InterpolateCommand) -> Result<()> {
    let legal = |is_legal: bool, flag: &str, rule: &str| {
        let refused = || failure(Kind::Usage, format!("{flag} is not legal: {rule}"));
        if is_legal { Ok(()) } else { Err(refused()) }
    };
    legal(
        (2..=1000).contains(&command.frames),
        "--frames",
        "2 to 1000",
    )?;
    legal((1..=1024).contains(&command.size), "--size", "1 to 1024")?;
    let ending = command
        .output
        .extension()
        .and_then(|ending| ending.to_str());
    legal(
        ending.is_some_and(|ending| ["gif", "apng", "png"].contains(&ending)),
        "-o",
        "a name that ends in .gif, .apng or .png",
    )?;
    let seeds = latent::parse_seeds(&command.seeds)?;
    let pixels = seeds.len() * command.frames * (command.size as usize).pow(2);
    legal(
        pixels <= MOST_PIXELS,
        "--size with so many --frames and --seeds",
        "lower one of them",
    )?;
    legal(seeds.len() <= 16, "--seeds", "at most 16")?;
    let sampler = Sampler::find(&command.weights)?;
    let classes = sampler.config.classes();
    for age in [command.from, command.to] {
        class_of(age, &classes)?;
    }
    let latents: Vec<_> = seeds.iter().map(|seed| sampler.latent(*seed)).collect();
    let factor = (command.size / sampler.config.image_size as u32).max(1);
    let frames: Vec<RgbImage> = (0..command.frames)
        .map(|frame| {
            let share = frame as f32 / (command.frames - 1) as f32;
            let age = command.from + (command.to - command.from) * share;
            let told = vec![classes.between(age); latents.len()];
            let faces = sampler.decode(&latents, &told);
            let faces: Vec<_> = faces
                .iter()
                .map(|face| picture::enlarge(face, factor))
                .collect();
            let sheet = picture::grid(&faces, faces.len(), 2);
            picture::labelled(&[(format!("{age:.0}"), sheet)])
        })
        .collect();
    if let Some(folder) = command
        .output
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty())
    {
        std::fs::create_dir_all(folder)
            .map_err(|error| at_path(Kind::Disk, "create", folder, &error))?;
    }
    animation::write(&command.output, &frames, 80)?;
    Console::new(Voice::Normal).say(&format!(
        "{} frames from {} to {} in {}",
        frames.len(),
        command.from,
        command.to,
        command.output.display()
    ));
    Ok(())
}
