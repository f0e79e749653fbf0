//! From a checkpoint alone to samples.

use crate::config::{Config, Dataset};
use crate::generator::Generator;
use crate::train::{STAGE, pictures, prior, sample_each, scatter};
use anyhow::{Context, Result};
use burn::module::Module;
use burn::tensor::Device;
use gan_core::command::{
    CheckpointArguments, GenerateCommand, InterpolateCommand, run_of, save_picture,
};
use gan_core::config::from_identity;
use gan_core::console::{Console, Voice};
use gan_core::failure::{Kind, at_path, failure};
use gan_core::located::{self, Located};
use gan_core::{device, weights};
use image::RgbImage;
use std::path::{Path, PathBuf};

/// A trained generator that makes pictures.
#[derive(Debug)]
pub struct Sampler {
    generator: Generator,
    config: Config,
    size: (usize, usize),
    device: Device,
    path: PathBuf,
}

impl Sampler {
    /// Loads a run, a step folder or a weights file, on the CPU; the running average where there is
    /// one.
    ///
    /// # Errors
    /// When there is no such checkpoint, or it is damaged or of another model.
    pub fn open(checkpoint: impl AsRef<Path>) -> Result<Self> {
        let networks = ["generator_ema", "generator"];
        let place = Some(checkpoint.as_ref());
        let found = located::find(place, Path::new("runs"), "vanilla", &[STAGE], &networks)?;
        Self::new(found, device::parse("cpu")?)
    }

    fn find(arguments: &CheckpointArguments) -> Result<Self> {
        let device = device::parse(&arguments.device)?;
        Self::new(arguments.find("vanilla", &[STAGE], "generator")?, device)
    }

    fn new(found: Located, device: Device) -> Result<Self> {
        let path = found.path.clone();
        let lacks = |what: &str| {
            failure(
                Kind::Checkpoint,
                format!(
                    "{} lacks the metadata {what}: a vanilla generator needs a file that this \
                     program wrote",
                    path.display()
                ),
            )
        };
        let text = found.config().ok_or_else(|| lacks("config"))?;
        let config: Config = from_identity(&path.display().to_string(), text)?;
        let size = found
            .file
            .metadata
            .get("sample_size")
            .and_then(|size| size.split_once('x'))
            .and_then(|(height, width)| Some((height.parse().ok()?, width.parse().ok()?)))
            .filter(|(height, width)| (1..=1024).contains(height) && (1..=1024).contains(width))
            .ok_or_else(|| lacks("sample_size"))?;
        weights::check_size(config.generator_size(size.0 * size.1), &found.file.tensors)
            .with_context(|| format!("reading {}", path.display()))?;
        let generator = Generator::new(&config, size.0 * size.1, &device);
        let generator = weights::apply(generator, &found.file.tensors)
            .with_context(|| format!("loading {}", path.display()))?;
        Ok(Self {
            generator: generator.valid(),
            config,
            size,
            device,
            path,
        })
    }

    /// The picture of each seed, grey in RGB.
    pub fn sample(&self, seeds: &[u64]) -> Vec<RgbImage> {
        let width = self.config.latent_dim;
        let latents: Vec<_> = seeds
            .iter()
            .map(|seed| prior(&self.config).latent(*seed, width))
            .collect();
        self.decode(&latents)
    }

    /// The picture of each latent vector of `latent_dim` values.
    pub fn decode(&self, latents: &[Vec<f32>]) -> Vec<RgbImage> {
        if latents.is_empty() {
            return Vec::new();
        }
        let samples = self.values(latents);
        match self.config.dataset {
            Dataset::Digits => pictures(&samples, self.size, &self.config),
            Dataset::Ring => samples
                .chunks_exact(2)
                .map(|point| scatter(point, &self.config, ""))
                .collect(),
        }
    }

    fn values(&self, latents: &[Vec<f32>]) -> Vec<f32> {
        sample_each(&self.generator, latents, &self.device)
    }
}

/// `vanilla generate`: pictures; for a ring, the points as a table and a plot.
///
/// # Errors
/// When the checkpoint cannot be used or a file cannot be written.
pub fn generate(command: &GenerateCommand) -> Result<()> {
    let sampler = Sampler::find(&command.weights)?;
    let width = sampler.config.latent_dim;
    if sampler.config.dataset == Dataset::Digits {
        command.write(
            &sampler.path,
            prior(&sampler.config),
            width,
            &mut |latents| Ok(sampler.decode(latents)),
        )?;
        return Ok(());
    }
    if command.grid.is_some() {
        return Err(failure(
            Kind::Usage,
            "a ring has points, not pictures: leave out --grid",
        ));
    }
    let seeds = command.seeds()?;
    let latents: Vec<_> = seeds
        .iter()
        .map(|seed| prior(&sampler.config).latent(*seed, width))
        .collect();
    let points = sampler.values(&latents);
    let folder = command.output.clone().unwrap_or_else(|| {
        let run = run_of(&sampler.path).unwrap_or_else(|| PathBuf::from("."));
        run.join("generated")
    });
    std::fs::create_dir_all(&folder)
        .map_err(|error| at_path(Kind::Disk, "create", &folder, &error))?;
    let mut table = "seed,x,y\n".to_owned();
    for (seed, point) in seeds.iter().zip(points.chunks_exact(2)) {
        table.push_str(&format!("{seed},{},{}\n", point[0], point[1]));
    }
    weights::write_atomically(&folder.join("points.csv"), table.as_bytes())?;
    save_picture(
        &folder.join("points.png"),
        &scatter(&points, &sampler.config, ""),
    )?;
    Console::new(Voice::Normal).say(&format!("{} points in {}", seeds.len(), folder.display()));
    Ok(())
}

/// `vanilla interpolate`.
///
/// # Errors
/// When the checkpoint cannot be used or a file cannot be written.
pub fn interpolate(command: &InterpolateCommand) -> Result<()> {
    let sampler = Sampler::find(&command.weights)?;
    let width = sampler.config.latent_dim;
    command.write(prior(&sampler.config), width, &mut |latents| {
        Ok(sampler.decode(latents))
    })
}
