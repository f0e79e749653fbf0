//! From a checkpoint alone to pictures.

use crate::config::{Config, Upsample};
use crate::discriminator::Discriminator;
use crate::generator::Generator;
use crate::train::{STAGE, sample};
use anyhow::{Context, Result};
use burn::module::Module;
use burn::tensor::Device;
use gan_core::command::{CheckpointArguments, GenerateCommand, InterpolateCommand};
use gan_core::config::{Configuration, from_identity};
use gan_core::device;
use gan_core::failure::{Kind, failure};
use gan_core::located::{self, Located};
use gan_core::weights::{self, Tensors};
use image::RgbImage;
use std::path::{Path, PathBuf};

/// A trained generator.
#[derive(Debug)]
pub struct Sampler {
    pub(crate) generator: Generator,
    config: Config,
    pub(crate) device: Device,
    pub(crate) path: PathBuf,
}

impl Sampler {
    /// Loads a run, a step folder, a safetensors file, or a PyTorch state dict of pytorch/examples'
    /// `dcgan`, on the CPU; the running average where there is one.
    ///
    /// # Errors
    /// When there is no such checkpoint, or it is damaged or of another model.
    pub fn open(checkpoint: impl AsRef<Path>) -> Result<Self> {
        let networks = ["generator_ema", "generator"];
        let place = Some(checkpoint.as_ref());
        let found = located::find(place, Path::new("runs"), "dcgan", &[STAGE], &networks)?;
        Self::new(found, device::parse("cpu")?)
    }

    pub(crate) fn find(arguments: &CheckpointArguments) -> Result<Self> {
        let device = device::parse(&arguments.device)?;
        Self::new(arguments.find("dcgan", &[STAGE], "generator")?, device)
    }

    fn new(found: Located, device: Device) -> Result<Self> {
        let path = found.path.clone();
        let config = match found.config() {
            Some(text) => from_identity(&path.display().to_string(), text)?,
            None => generator_config(&found.file.tensors)
                .with_context(|| format!("reading {}", path.display()))?,
        };
        let project =
            16 * config.latent_dim as u64 * ((config.width_g as u64) << (config.doublings() - 1));
        let least = project + config.least_size(config.width_g);
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

    /// The picture of each seed.
    pub fn sample(&self, seeds: &[u64]) -> Vec<RgbImage> {
        let latents: Vec<_> = seeds
            .iter()
            .map(|seed| self.config.prior().latent(*seed, self.config.latent_dim))
            .collect();
        self.decode(&latents)
    }

    /// The picture of each latent vector of `latent_dim` values.
    pub fn decode(&self, latents: &[Vec<f32>]) -> Vec<RgbImage> {
        if latents.is_empty() {
            return Vec::new();
        }
        sample(
            &self.generator,
            latents.concat(),
            &self.config,
            &self.device,
        )
    }

    /// The configuration of the network.
    pub fn config(&self) -> &Config {
        &self.config
    }
}

fn not_ours(what: &str) -> anyhow::Error {
    failure(
        Kind::Checkpoint,
        format!(
            "{what}: not the layout of a DCGAN (main.0.weight, ... as in pytorch/examples) and no \
             configuration in the file"
        ),
    )
}

/// The convolutions (rank 4) of a `Sequential`, in order of their place.
fn convolutions(tensors: &Tensors) -> Result<Vec<&[usize]>> {
    let mut found = Vec::new();
    for (name, tensor) in tensors {
        let place = name
            .strip_prefix("main.")
            .and_then(|rest| rest.split_once('.'))
            .and_then(|(place, _)| place.parse::<usize>().ok())
            .ok_or_else(|| not_ours(&format!("tensor {name}")))?;
        if tensor.shape.len() == 4 {
            found.push((place, tensor.shape.as_slice()));
        }
    }
    found.sort_unstable();
    if !(4..=6).contains(&found.len()) {
        return Err(not_ours(&format!("{} convolutions", found.len())));
    }
    Ok(found.into_iter().map(|(_, shape)| shape).collect())
}

/// The configuration of a generator whose file says nothing, from the shapes of its tensors.
///
/// # Errors
/// [`Kind::Checkpoint`] when the tensors are not those of a DCGAN generator.
pub fn generator_config(tensors: &Tensors) -> Result<Config> {
    let shapes = convolutions(tensors)?;
    let (first, last) = (shapes[0], shapes[shapes.len() - 1]);
    let is_resize = last[2] == 3;
    let (width_g, channels) = if is_resize {
        (last[1], last[0])
    } else {
        (last[0], last[1])
    };
    let config = Config {
        image_size: 4 << (shapes.len() - 1),
        channels,
        latent_dim: first[0],
        width_g,
        upsample: if is_resize {
            Upsample::Resize
        } else {
            Upsample::Transpose
        },
        ..Config::default()
    };
    config.validate().context("the shapes of the tensors")?;
    Ok(config)
}

/// The configuration of a discriminator whose file says nothing, from the shapes of its tensors.
///
/// # Errors
/// [`Kind::Checkpoint`] when the tensors are not those of a DCGAN discriminator.
pub fn discriminator_config(tensors: &Tensors) -> Result<Config> {
    let shapes = convolutions(tensors)?;
    let config = Config {
        image_size: 4 << (shapes.len() - 1),
        channels: shapes[0][1],
        width_d: shapes[0][0],
        ..Config::default()
    };
    config.validate().context("the shapes of the tensors")?;
    Ok(config)
}

/// Loads the discriminator of a checkpoint, with its configuration.
///
/// # Errors
/// As [`located::find`].
pub fn discriminator(
    arguments: &CheckpointArguments,
    device: &Device,
) -> Result<(Discriminator, Config)> {
    let networks = ["discriminator"];
    let place = arguments.checkpoint.as_deref();
    let found = located::find(place, &arguments.out, "dcgan", &[STAGE], &networks)?;
    let config = match found.config() {
        Some(text) => from_identity(&found.path.display().to_string(), text)?,
        None => discriminator_config(&found.file.tensors)?,
    };
    let described = Config {
        upsample: Upsample::Transpose,
        ..config.clone()
    };
    weights::check_size(described.least_size(config.width_d), &found.file.tensors)
        .with_context(|| format!("reading {}", found.path.display()))?;
    let network = weights::apply(Discriminator::new(&config, device), &found.file.tensors)
        .with_context(|| format!("loading {}", found.path.display()))?;
    Ok((network.valid(), config))
}

/// `dcgan generate`.
///
/// # Errors
/// When the checkpoint cannot be used or a file cannot be written.
pub fn generate(command: &GenerateCommand) -> Result<()> {
    let sampler = Sampler::find(&command.weights)?;
    let (prior, width) = (sampler.config.prior(), sampler.config.latent_dim);
    command.write(&sampler.path, prior, width, &mut |latents| {
        Ok(sampler.decode(latents))
    })?;
    Ok(())
}

/// `dcgan interpolate`.
///
/// # Errors
/// When the checkpoint cannot be used or a file cannot be written.
pub fn interpolate(command: &InterpolateCommand) -> Result<()> {
    let sampler = Sampler::find(&command.weights)?;
    let (prior, width) = (sampler.config.prior(), sampler.config.latent_dim);
    command.write(prior, width, &mut |latents| Ok(sampler.decode(latents)))
}
