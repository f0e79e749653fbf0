//! From a checkpoint alone to shapes: as files of voxels, as meshes, and as pictures.

use crate::config::Config;
use crate::discriminator::Discriminator;
use crate::generator::Generator;
use crate::picture;
use crate::train::{STAGE, sample};
use crate::volume::Volume;
use anyhow::{Context, Result};
use burn::module::Module;
use burn::tensor::Device;
use gan_core::command::{CheckpointArguments, InterpolateCommand, print, run_of, save_picture};
use gan_core::config::{Configuration, from_identity};
use gan_core::console::{Console, Voice};
use gan_core::failure::{Kind, at_path, failure};
use gan_core::located::{self, Located};
use gan_core::random::Prior;
use gan_core::weights::{self, Tensors};
use gan_core::{animation, device, latent, picture as sheets};
use image::RgbImage;
use shapes::components::{Neighbours, largest};
use shapes::mesh::Mesh;
use shapes::render::{self, Material};
use shapes::voxels::Voxels;
use shapes::{arrays, files};
use std::path::{Path, PathBuf};

/// A trained generator.
#[derive(Debug)]
pub struct Sampler {
    pub(crate) generator: Generator,
    config: Config,
    pub(crate) device: Device,
    path: PathBuf,
}

impl Sampler {
    /// Loads a run, a step folder, a safetensors file, or a PyTorch state dict with the names `layer1.0.weight`, ..., on
    /// the CPU; the running average where there is one.
    ///
    /// # Errors
    /// When there is no such checkpoint, or it is damaged or of another model.
    pub fn open(checkpoint: impl AsRef<Path>) -> Result<Self> {
        let networks = ["generator_ema", "generator"];
        let place = Some(checkpoint.as_ref());
        let found = located::find(place, Path::new("runs"), "gan3d", &[STAGE], &networks)?;
        Self::new(found, &Untold::default(), device::parse("cpu")?)
    }

    pub(crate) fn find(arguments: &CheckpointArguments, untold: &Untold) -> Result<Self> {
        let device = device::parse(&arguments.device)?;
        let found = arguments.find("gan3d", &[STAGE], "generator")?;
        if found.config().is_none() {
            Console::new(Voice::Normal).say(&untold.assumed(&found.file.tensors)?);
        }
        Self::new(found, untold, device)
    }

    fn new(found: Located, untold: &Untold, device: Device) -> Result<Self> {
        let path = found.path.clone();
        let reading = || format!("reading {}", path.display());
        let config = match found.config() {
            Some(text) => from_identity(&path.display().to_string(), text)?,
            None => untold
                .complete(generator_config(&found.file.tensors).with_context(reading)?)
                .with_context(reading)?,
        };
        let project =
            64 * config.latent_dim as u64 * ((config.width_g as u64) << (config.layers() - 2));
        let least = project + config.least_size(config.width_g);
        weights::check_size(least, &found.file.tensors).with_context(reading)?;
        let generator = weights::apply(Generator::new(&config, &device), &found.file.tensors)
            .with_context(|| format!("loading {}", path.display()))?;
        Ok(Self {
            generator: generator.valid(),
            config,
            device,
            path,
        })
    }

    /// The volume of each seed.
    pub fn sample(&self, seeds: &[u64]) -> Vec<Volume> {
        let prior = self.config.prior;
        let latents: Vec<_> = seeds
            .iter()
            .map(|seed| prior.latent(*seed, self.config.latent_dim))
            .collect();
        self.decode(&latents)
    }

    /// The volume of each latent vector of `latent_dim` values in the range of the configuration's prior.
    pub fn decode(&self, latents: &[Vec<f32>]) -> Vec<Volume> {
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

    /// The file that the weights are from.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

/// The kernels of `layer1.0.weight`, `layer2.0.weight`, ..., by their shapes.
fn kernels(tensors: &Tensors) -> Result<Vec<&[usize]>> {
    let kernel = |layer: usize| tensors.get(&format!("layer{layer}.0.weight"));
    let found: Vec<&[usize]> = (1..)
        .map_while(|layer| kernel(layer).map(|tensor| tensor.shape.as_slice()))
        .collect();
    let is_cube = |shape: &&[usize]| shape.len() == 5 && shape[2..] == [4; 3];
    if !(3..=7).contains(&found.len()) || !found.iter().all(is_cube) {
        return Err(failure(
            Kind::Checkpoint,
            "not the layout of a 3D-GAN (layer1.0.weight, ... of 4 x 4 x 4), and no configuration in the file",
        ));
    }
    Ok(found)
}

/// The configuration of a generator whose file says nothing, from the shapes of its tensors. PyTorch programs of this
/// layout begin with 4 x 4 x 4 for 64 voxels and with 2 x 2 x 2 for 32, and have half as many channels in the last hidden
/// layer for 32: by that they are told apart.
///
/// # Errors
/// [`Kind::Checkpoint`] when the tensors are not those of a 3D-GAN's generator.
pub fn generator_config(tensors: &Tensors) -> Result<Config> {
    let shapes = kernels(tensors)?;
    let (first, last) = (shapes[0], shapes[shapes.len() - 1]);
    let config = Config {
        latent_dim: first[0],
        width_g: last[0],
        ..told(shapes.len(), last[0], tensors)
    };
    config.validate().context("the shapes of the tensors")?;
    Ok(config)
}

/// The configuration of a discriminator whose file says nothing, as [`generator_config`].
///
/// # Errors
/// [`Kind::Checkpoint`] when the tensors are not those of a 3D-GAN's discriminator.
pub fn discriminator_config(tensors: &Tensors) -> Result<Config> {
    let shapes = kernels(tensors)?;
    let config = Config {
        width_d: shapes[0][0],
        ..told(shapes.len(), shapes[0][0], tensors)
    };
    config.validate().context("the shapes of the tensors")?;
    Ok(config)
}

fn told(layers: usize, width: usize, tensors: &Tensors) -> Config {
    let start = if layers == 5 && width == 32 { 2 } else { 4 };
    Config {
        resolution: start << (layers - 1),
        start,
        first_norm: tensors.contains_key("layer1.1.weight"),
        bias: tensors.contains_key("layer1.0.bias"),
        ..Config::default()
    }
}

/// Loads the discriminator of a checkpoint, with its configuration.
///
/// # Errors
/// As [`located::find`].
pub fn discriminator(
    arguments: &CheckpointArguments,
    device: &Device,
) -> Result<(Discriminator, Config)> {
    let place = arguments.checkpoint.as_deref();
    let networks = ["discriminator"];
    let found = located::find(place, &arguments.out, "gan3d", &[STAGE], &networks)?;
    let reading = || format!("reading {}", found.path.display());
    let is_generator = found.config().is_none()
        && kernels(&found.file.tensors).is_ok_and(|shapes| shapes[0][1] > 1);
    if is_generator {
        return Err(failure(
            Kind::Checkpoint,
            format!(
                "{} is a generator, and a discriminator is needed here: name a run, or a step folder (complete does without \
                 one with --prior-weight 0)",
                found.path.display()
            ),
        ));
    }
    let config = match found.config() {
        Some(text) => from_identity(&found.path.display().to_string(), text)?,
        None => discriminator_config(&found.file.tensors).with_context(reading)?,
    };
    weights::check_size(config.least_size(config.width_d), &found.file.tensors)
        .with_context(reading)?;
    let network = weights::apply(Discriminator::new(&config, device), &found.file.tensors)
        .with_context(|| format!("loading {}", found.path.display()))?;
    Ok((network.valid(), config))
}

/// What a file without a configuration, such as a `.pth`, does not say.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct Untold {
    /// How z was drawn, where the file does not say it, as a .pth: unit (the paper's, without this flag) or normal (that
    /// of the presets quick and chairs).
    #[arg(long)]
    pub prior: Option<Prior>,
    /// Voxels along a side, where the file does not say it and its tensors fit two sizes.
    #[arg(long, value_name = "VOXELS")]
    pub resolution: Option<usize>,
}

impl Untold {
    /// A configuration that was read from tensors, with what they do not tell.
    fn complete(&self, config: Config) -> Result<Config> {
        let mut config = config;
        config.prior = self.prior.unwrap_or(config.prior);
        if let Some(resolution) = self.resolution {
            let doublings = config.layers() - 1;
            let start = resolution >> doublings;
            if ![2, 4].contains(&start) || start << doublings != resolution {
                return Err(failure(
                    Kind::Usage,
                    format!(
                        "--resolution {resolution} is not legal: with so many layers it is {} or {}",
                        2 << doublings,
                        4 << doublings
                    ),
                ));
            }
            (config.start, config.resolution) = (start, resolution);
        }
        Ok(config)
    }

    /// What is assumed of a file, in a sentence.
    fn assumed(&self, tensors: &Tensors) -> Result<String> {
        let config = self.complete(generator_config(tensors)?)?;
        let prior = match config.prior {
            Prior::Normal => "normal",
            Prior::Uniform => "uniform",
            Prior::Unit => "unit",
        };
        Ok(format!(
            "the file has no configuration: taken for {0} x {0} x {0} voxels (--resolution) and z from the prior {prior} \
             (--prior)",
            config.resolution
        ))
    }
}

/// What a volume becomes.
#[derive(Debug, Clone, clap::Args)]
pub struct ShapeArguments {
    /// What the file does not say.
    #[command(flatten)]
    pub untold: Untold,
    /// From this probability on, a voxel is full. The authors use 0.1 for pictures.
    #[arg(long, default_value_t = picture::THRESHOLD)]
    pub threshold: f32,
    /// Keep everything: without it, of parts that do not hang together the largest alone is kept, as the authors do
    /// (voxels up to 3 apart count as together).
    #[arg(long)]
    pub all_parts: bool,
}

impl ShapeArguments {
    /// # Errors
    /// [`Kind::Usage`] for a threshold that is no probability.
    pub fn check(&self) -> Result<()> {
        if self.threshold > 0.0 && self.threshold < 1.0 {
            return Ok(());
        }
        Err(failure(
            Kind::Usage,
            format!(
                "--threshold {} is not legal: above 0 and below 1",
                self.threshold
            ),
        ))
    }

    /// The full voxels of a volume.
    pub fn voxels(&self, volume: &Volume) -> Voxels {
        let voxels = volume.voxels(self.threshold);
        if self.all_parts {
            return voxels;
        }
        largest(&voxels, Neighbours::Within(3))
    }
}

/// A kind of file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// Numpy: bool `[1, side, side, side]`.
    Npy,
    /// Numpy: the probabilities, float32 `[1, side, side, side]`, as SEED_probabilities.npy.
    Probabilities,
    /// Run lengths, as Patrick Min's binvox writes them.
    Binvox,
    /// MATLAB, as 3D-ShapeNets has it.
    Mat,
    /// A mesh as text.
    Obj,
    /// A mesh, binary.
    Ply,
    /// A mesh for printers, binary.
    Stl,
    /// A mesh for browsers and engines: glTF 2.0.
    Glb,
}

impl Format {
    fn ending(self) -> &'static str {
        match self {
            Self::Npy => "npy",
            Self::Probabilities => "",
            Self::Binvox => "binvox",
            Self::Mat => "mat",
            Self::Obj => "obj",
            Self::Ply => "ply",
            Self::Stl => "stl",
            Self::Glb => "glb",
        }
    }

    fn is_mesh(self) -> bool {
        matches!(self, Self::Obj | Self::Ply | Self::Stl | Self::Glb)
    }

    /// Writes a shape into a folder; an empty one has no mesh.
    fn write(
        self,
        folder: &Path,
        name: &str,
        volume: &Volume,
        voxels: &Voxels,
        mesh: &Mesh,
    ) -> Result<()> {
        let path = folder.join(format!("{name}.{}", self.ending()));
        match self {
            Self::Probabilities => {
                let path = folder.join(format!("{name}_probabilities.npy"));
                let size = [volume.side(); 3];
                arrays::write_values(&path, size, std::iter::once(volume.values()))
            }
            _ if self.is_mesh() => files::write_mesh(mesh, &path),
            _ => files::write_voxels(std::slice::from_ref(voxels), &path),
        }
    }
}

/// `generate`.
#[derive(Debug, Clone, clap::Args)]
pub struct GenerateCommand {
    /// Which weights.
    #[command(flatten)]
    pub weights: CheckpointArguments,
    /// Seeds of the samples, such as 0,1,4-6; each seed is one shape, whatever else is made.
    #[arg(long, value_name = "LIST", conflicts_with = "num")]
    pub seeds: Option<String>,
    /// How many samples: seeds 0 to NUM - 1.
    #[arg(long, default_value_t = 16)]
    pub num: usize,
    /// The files of each shape, such as npy,glb.
    #[arg(long, value_delimiter = ',', default_value = "npy,glb")]
    pub formats: Vec<Format>,
    /// What becomes of volumes.
    #[command(flatten)]
    pub shape: ShapeArguments,
    /// Folder of the files, of sheet.png and turntable.gif; without it, `generated/` in the run of the checkpoint.
    #[arg(short, long, value_name = "DIR")]
    pub output: Option<PathBuf>,
    /// Side of each shape's picture in pixels.
    #[arg(long, default_value_t = 192)]
    pub size: u32,
    /// Pictures of a turn in turntable.gif; 0 writes none.
    #[arg(long, default_value_t = 36)]
    pub frames: usize,
    /// Samples computed at once.
    #[arg(long, default_value_t = 16)]
    pub batch_size: usize,
}

/// Shapes in the sheet and on the turntable at most.
const SHOWN: usize = 64;
/// Shapes on the turntable at most: each frame draws all of them.
const TURNED: usize = 16;
/// Pixels of all frames of the turntable at most: they are in memory together.
const MOST_PIXELS: usize = 200_000_000;
/// Between two frames.
const DELAY: u32 = 90;

impl GenerateCommand {
    fn seeds(&self) -> Result<Vec<u64>> {
        for (name, value, legal) in [
            ("--batch-size", self.batch_size, 1..=10_000),
            ("--num", self.num, 1..=1_000_000),
            ("--size", self.size as usize, 16..=2048),
            ("--frames", self.frames, 0..=1000),
        ] {
            if !legal.contains(&value) {
                return Err(failure(
                    Kind::Usage,
                    format!(
                        "{name} {value} is not legal: {} to {}",
                        legal.start(),
                        legal.end()
                    ),
                ));
            }
        }
        self.shape.check()?;
        let seeds = match &self.seeds {
            Some(text) => latent::parse_seeds(text)?,
            None => (0..self.num as u64).collect(),
        };
        let turned = seeds.len().min(TURNED) * self.frames;
        if turned.saturating_mul((self.size as usize).pow(2)) > MOST_PIXELS {
            return Err(failure(
                Kind::Usage,
                format!(
                    "--size {} with --frames {} is more than a turntable can hold: lower one of them",
                    self.size, self.frames
                ),
            ));
        }
        Ok(seeds)
    }
}

/// `gan3d generate`.
///
/// # Errors
/// When the checkpoint cannot be used or a file cannot be written.
pub fn generate(command: &GenerateCommand) -> Result<()> {
    let seeds = command.seeds()?;
    let sampler = Sampler::find(&command.weights, &command.shape.untold)?;
    let folder = match &command.output {
        Some(folder) => folder.clone(),
        None => run_of(sampler.path())
            .map(|run| run.join("generated"))
            .ok_or_else(|| {
                failure(
                    Kind::Usage,
                    "say where with -o DIR: the weights are of no run",
                )
            })?,
    };
    std::fs::create_dir_all(&folder)
        .map_err(|error| at_path(Kind::Disk, "create", &folder, &error))?;
    warn_of_others(&folder, &seeds);
    let mut meshes = Vec::new();
    let mut empty = Vec::new();
    for some in seeds.chunks(command.batch_size) {
        for (seed, volume) in some.iter().zip(sampler.sample(some)) {
            let voxels = command.shape.voxels(&volume);
            let mesh = picture::mesh(&voxels);
            let is_empty = voxels.count() == 0;
            if is_empty {
                empty.push(seed.to_string());
            }
            for format in &command.formats {
                if !(is_empty && format.is_mesh()) {
                    format.write(&folder, &format!("seed_{seed:06}"), &volume, &voxels, &mesh)?;
                }
            }
            if meshes.len() < SHOWN {
                meshes.push(mesh);
            }
        }
    }
    let columns = columns(meshes.len());
    let material = Material::default();
    let sheet = render::sheet(
        &meshes,
        columns,
        command.size,
        &picture::camera_of(&meshes),
        &material,
    );
    save_picture(&folder.join("sheet.png"), &sheet)?;
    if command.frames > 0 {
        meshes.truncate(TURNED);
        let frames = turning(&meshes, command.frames, command.size);
        animation::write(&folder.join("turntable.gif"), &frames, DELAY)?;
    }
    let none = match empty.as_slice() {
        [] => String::new(),
        empty => format!(
            "\nwithout a full voxel, and so without a mesh: seeds {}; lower --threshold, or train longer",
            empty.join(", ")
        ),
    };
    print(&format!(
        "{} shapes in {}{none}",
        seeds.len(),
        folder.display()
    ));
    Ok(())
}

/// Says that shapes of other seeds lie in a folder: `eval voxels` would count them.
fn warn_of_others(folder: &Path, seeds: &[u64]) {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let others = entries
        .filter_map(|entry| {
            let name = entry.file_name().to_string_lossy().into_owned();
            let digits: String = name
                .strip_prefix("seed_")?
                .chars()
                .take_while(char::is_ascii_digit)
                .collect();
            digits.parse::<u64>().ok()
        })
        .filter(|seed| !seeds.contains(seed))
        .count();
    if others > 0 {
        Console::new(Voice::Normal).warn(&format!(
            "{} holds {others} files of other seeds, which stay",
            folder.display()
        ));
    }
}

/// Shapes to a row.
fn columns(count: usize) -> usize {
    if count > 16 { 8 } else { 4 }
}

/// Shapes beside each other, all turning.
fn turning(meshes: &[Mesh], frames: usize, cell: u32) -> Vec<RgbImage> {
    let (camera, material) = (picture::camera_of(meshes), Material::default());
    let turns: Vec<Vec<RgbImage>> = meshes
        .iter()
        .map(|mesh| render::turntable(mesh, frames, cell, &camera, &material))
        .collect();
    (0..frames)
        .map(|frame| {
            let pictures: Vec<RgbImage> = turns.iter().map(|turn| turn[frame].clone()).collect();
            sheets::grid(&pictures, columns(meshes.len()), 0)
        })
        .collect()
}

/// `interpolate`.
#[derive(Debug, Clone, clap::Args)]
pub struct WalkCommand {
    /// The walk.
    #[command(flatten)]
    pub walk: InterpolateCommand,
    /// What becomes of volumes.
    #[command(flatten)]
    pub shape: ShapeArguments,
    /// Also write the mesh of each frame into this new folder.
    #[arg(long, value_name = "DIR")]
    pub meshes: Option<PathBuf>,
    /// The kind of those meshes: obj, ply, stl or glb.
    #[arg(long, value_name = "FORMAT", default_value = "glb")]
    pub format: Format,
}

/// `gan3d interpolate`.
///
/// # Errors
/// When the checkpoint cannot be used or a file cannot be written.
pub fn interpolate(command: &WalkCommand) -> Result<()> {
    command.shape.check()?;
    if !command.format.is_mesh() {
        return Err(failure(
            Kind::Usage,
            "--format must be obj, ply, stl or glb",
        ));
    }
    if let Some(folder) = &command.meshes
        && std::fs::read_dir(folder).is_ok_and(|mut entries| entries.next().is_some())
    {
        return Err(failure(
            Kind::Usage,
            format!(
                "--meshes {} is not empty: name a new folder",
                folder.display()
            ),
        ));
    }
    let sampler = Sampler::find(&command.walk.weights, &command.shape.untold)?;
    let (prior, width) = (sampler.config.prior, sampler.config.latent_dim);
    let cell = command.walk.size.max(64);
    let stops = match &command.walk.expression {
        Some(_) => 1,
        None => latent::parse_seeds(&command.walk.seeds)?.len(),
    };
    // The points of the walk are drawn once more in the end.
    let frames = stops * command.walk.frames + 1;
    let mut number = 0;
    command.walk.write(prior, width, &mut |latents| {
        let volumes = sampler.decode(latents);
        volumes
            .iter()
            .map(|volume| {
                let voxels = command.shape.voxels(volume);
                let mesh = picture::mesh(&voxels);
                if let Some(folder) = &command.meshes
                    && voxels.count() > 0
                    && number < frames
                {
                    std::fs::create_dir_all(folder)
                        .map_err(|error| at_path(Kind::Disk, "create", folder, &error))?;
                    let name = format!("frame_{number:04}");
                    command
                        .format
                        .write(folder, &name, volume, &voxels, &mesh)?;
                }
                number += 1;
                Ok(render::render(
                    &mesh,
                    &picture::camera(),
                    &Material::default(),
                    cell,
                    cell,
                ))
            })
            .collect()
    })
}
