//! From a checkpoint alone, and a sentence, to pictures.

use crate::config::{Config, Variant};
use crate::embeddings;
use crate::gan::{Maker, pictures};
use crate::generator::{Shape, StageOne, StageTwo};
use crate::read::embed;
use crate::recognise;
use crate::text::{self, TextEncoder};
use anyhow::{Context, Result};
use burn::module::Module;
use burn::tensor::Device;
use gan_core::animation;
use gan_core::command::{self, CheckpointArguments, save_picture};
use gan_core::config::from_identity;
use gan_core::console::{Console, Voice};
use gan_core::device;
use gan_core::failure::{Kind, at_path, failure};
use gan_core::latent;
use gan_core::located::{self, Located, is_single_file};
use gan_core::picture;
use gan_core::weights;
use image::RgbImage;
use std::path::{Path, PathBuf};

/// The stages that pictures come from, the preferred one first.
const STAGES: [&str; 2] = [StageTwo::NAME, StageOne::NAME];

/// The configuration of a network of this workspace.
///
/// # Errors
/// [`Kind::Checkpoint`] for a file without one.
pub(crate) fn checked_config(found: &Located) -> Result<Config> {
    let path = found.path.display().to_string();
    match found.config() {
        Some(text) => from_identity(&path, text),
        None => Err(failure(
            Kind::Checkpoint,
            format!(
                "{path} does not say how its network is built: name a run, a step folder or a .safetensors of `stackgan train`"
            ),
        )),
    }
}

/// The text encoder of a run or a step folder, without autodiff, for embeddings of the configuration's width.
///
/// # Errors
/// [`Kind::Checkpoint`] when there is none, or of another width.
pub(crate) fn text_encoder(
    place: &Path,
    out: &Path,
    config: &Config,
    device: &Device,
) -> Result<TextEncoder> {
    let stages = [StageTwo::NAME, StageOne::NAME, "text"];
    let found = located::find(Some(place), out, "stackgan", &stages, &["text_encoder"])?;
    let trained = checked_config(&found)?;
    let path = found.path.display().to_string();
    if trained.text_dim != config.text_dim {
        return Err(failure(
            Kind::Checkpoint,
            format!(
                "{path} gives embeddings of {} numbers, not of {}: --text-dim {}",
                trained.text_dim, config.text_dim, trained.text_dim
            ),
        ));
    }
    let shape = text::Shape::new(&trained);
    weights::check_size(shape.least_size(), &found.file.tensors)
        .with_context(|| format!("reading {path}"))?;
    let network = weights::apply(TextEncoder::new(&shape, device), &found.file.tensors)
        .with_context(|| format!("loading {path}"))?;
    Ok(network.valid())
}

/// A generator of one of the stages.
#[derive(Debug)]
enum Network {
    One(Box<StageOne>),
    Two(Box<StageTwo>),
}

/// A trained generator with what reads sentences for it.
#[derive(Debug)]
pub struct Sampler {
    network: Network,
    encoder: Option<TextEncoder>,
    shape: Shape,
    device: Device,
    path: PathBuf,
}

impl Sampler {
    /// Loads a run, a step folder, a safetensors file or a published `.pth`, on the CPU; the running average where there
    /// is one, and the second stage rather than the first.
    ///
    /// # Errors
    /// When there is no such checkpoint, or it is damaged or of another model.
    pub fn open(checkpoint: impl AsRef<Path>) -> Result<Self> {
        let networks = ["generator_ema", "generator"];
        let (place, out) = (Some(checkpoint.as_ref()), Path::new("runs"));
        let found = located::find(place, out, "stackgan", &STAGES, &networks)?;
        Self::new(found, None, out, device::parse("cpu")?)
    }

    /// Loads what the arguments name: the given stage (1 or 2) or the best there is, and the text encoder of another
    /// place where one is named.
    ///
    /// # Errors
    /// As [`Sampler::open`].
    pub fn find(
        arguments: &CheckpointArguments,
        stage: Option<u8>,
        encoder: Option<&Path>,
    ) -> Result<Self> {
        let device = device::parse(&arguments.device)?;
        let stages: &[&str] = match stage {
            Some(1) => &STAGES[1..],
            Some(_) => &STAGES[..1],
            None => &STAGES,
        };
        let found = arguments.find("stackgan", stages, "generator")?;
        let sampler = Self::new(found, encoder, &arguments.out, device)?;
        // A step folder or a file has one stage only.
        let is_second = matches!(sampler.network, Network::Two(_));
        if let Some(stage) = stage
            && (stage == 2) != is_second
        {
            return match sampler.network {
                Network::Two(network) => Ok(Self {
                    network: Network::One(Box::new(Maker::first(&*network).clone())),
                    ..sampler
                }),
                Network::One(_) => Err(failure(
                    Kind::Checkpoint,
                    format!(
                        "{} is of the first stage: --stage 1, or name a checkpoint of the second",
                        sampler.path.display()
                    ),
                )),
            };
        }
        Ok(sampler)
    }

    fn new(found: Located, encoder: Option<&Path>, out: &Path, device: Device) -> Result<Self> {
        let path = found.path.clone();
        let named = |what: &str| format!("{what} {}", path.display());
        let shape = match found.config() {
            Some(_) => Shape::new(&checked_config(&found)?),
            None => recognise::shape(&found.file.tensors).with_context(|| named("reading"))?,
        };
        let tensors = &found.file.tensors;
        let is_second = tensors.keys().any(|name| name.starts_with("STAGE1_G."));
        let least = shape.least_size_one() + if is_second { shape.least_size_two() } else { 0 };
        weights::check_size(least, tensors).with_context(|| named("reading"))?;
        let loading = || named("loading");
        let network = if is_second {
            let network = weights::apply(StageTwo::new(&shape, &device), tensors);
            Network::Two(Box::new(network.with_context(loading)?.valid()))
        } else {
            let network = weights::apply(StageOne::new(&shape, &device), tensors);
            Network::One(Box::new(network.with_context(loading)?.valid()))
        };
        // It lies beside the generator, or where it is said to lie.
        let beside = path.with_file_name("text_encoder.safetensors").is_file();
        let home = match (encoder, path.parent()) {
            (Some(place), _) => Some(place),
            (None, Some(folder)) if beside && !is_single_file(folder) => Some(folder),
            _ => None,
        };
        let config = Config {
            text_dim: shape.text,
            ..Config::default()
        };
        let encoder = home
            .map(|place| text_encoder(place, out, &config, &device))
            .transpose()?;
        Ok(Self {
            network,
            encoder,
            shape,
            device,
            path,
        })
    }

    /// The file that the weights came from.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Sides of its pictures in pixels.
    pub fn side(&self) -> usize {
        match self.network {
            Network::One(_) => self.shape.side,
            Network::Two(_) => 4 * self.shape.side,
        }
    }

    /// Numbers of a caption's embedding.
    pub fn text_width(&self) -> usize {
        self.shape.text
    }

    /// The embedding of each sentence.
    ///
    /// # Errors
    /// [`Kind::Usage`] for a sentence without letters, [`Kind::Checkpoint`] when the checkpoint has no text encoder.
    pub fn read(&self, sentences: &[String]) -> Result<Vec<Vec<f32>>> {
        let Some(encoder) = &self.encoder else {
            return Err(failure(
                Kind::Checkpoint,
                format!(
                    "{} lies without a text encoder: name a run that has one with --text-encoder, or give --embeddings \
                     instead of --text",
                    self.path.display()
                ),
            ));
        };
        let checked: Result<Vec<String>> =
            sentences.iter().map(|line| text::checked(line)).collect();
        Ok(embed(encoder, &checked?, &self.device))
    }

    /// The noise of a seed: z, then what moves conditions within their caption. The second stage's begins as the
    /// first's, so that one seed is one bird in both.
    fn noise(&self, seed: u64) -> Vec<Vec<f32>> {
        let is_second = matches!(self.network, Network::Two(_));
        let (latent, condition) = (self.shape.latent, self.shape.condition);
        let width = latent + condition * (1 + usize::from(is_second));
        let mut all = gan_core::random::Prior::Normal.latent(seed, width);
        if self.shape.variant == Variant::Tf {
            // Training has seen none beyond.
            all[latent..]
                .iter_mut()
                .for_each(|value| *value = value.clamp(-2.0, 2.0));
        }
        let rest = all.split_off(latent);
        let conditions = rest.chunks_exact(condition).map(<[f32]>::to_vec);
        std::iter::once(all).chain(conditions).collect()
    }

    /// The picture of each embedding under the seed at the same place.
    ///
    /// # Panics
    /// If there are more or fewer seeds than embeddings.
    pub fn sample(&self, texts: &[Vec<f32>], seeds: &[u64]) -> Vec<RgbImage> {
        assert_eq!(texts.len(), seeds.len());
        if texts.is_empty() {
            return Vec::new();
        }
        let of_seeds: Vec<_> = seeds.iter().map(|seed| self.noise(*seed)).collect();
        let kinds = of_seeds[0].len();
        let noise = (0..kinds)
            .map(|kind| {
                of_seeds
                    .iter()
                    .flat_map(|noise| &noise[kind])
                    .copied()
                    .collect()
            })
            .collect();
        let texts = texts.concat();
        match &self.network {
            Network::One(network) => pictures(&**network, texts, noise, &self.shape, &self.device),
            Network::Two(network) => pictures(&**network, texts, noise, &self.shape, &self.device),
        }
    }

    /// As [`Sampler::sample`], a few at a time.
    pub fn sample_all(&self, texts: &[Vec<f32>], seeds: &[u64], together: usize) -> Vec<RgbImage> {
        let parts = texts.chunks(together).zip(seeds.chunks(together));
        parts
            .flat_map(|(texts, seeds)| self.sample(texts, seeds))
            .collect()
    }
}

/// What is asked for: sentences, or embeddings.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct Asked {
    /// A sentence to make pictures of; may be given several times.
    #[arg(long, value_name = "SENTENCE")]
    pub text: Vec<String>,
    /// A file with a sentence a line.
    #[arg(long, value_name = "FILE")]
    pub texts: Option<PathBuf>,
    /// Embeddings that were computed elsewhere: a .npz or a pickle, a picture for each row.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["text", "texts"])]
    pub embeddings: Option<PathBuf>,
    /// The text encoder of another run or step folder.
    #[arg(long, value_name = "PATH")]
    pub text_encoder: Option<PathBuf>,
}

/// Most sentences of one command.
const MOST_SENTENCES: usize = 100_000;

impl Asked {
    /// The sentences (or the names of rows) with their embeddings.
    fn read(&self, sampler: &Sampler) -> Result<Vec<(String, Vec<f32>)>> {
        if let Some(place) = &self.embeddings {
            let rows = embeddings::rows(place, sampler.text_width())?;
            let named = rows.into_iter().enumerate();
            return Ok(named
                .map(|(row, text)| (format!("row {row}"), text))
                .collect());
        }
        let mut sentences = self.text.clone();
        if let Some(place) = &self.texts {
            let text = std::fs::read_to_string(place)
                .map_err(|error| at_path(Kind::Data, "read", place, &error))?;
            let lines = text.lines().filter(|line| !line.trim().is_empty());
            sentences.extend(lines.map(str::to_owned));
        }
        if sentences.is_empty() || sentences.len() > MOST_SENTENCES {
            return Err(failure(
                Kind::Usage,
                format!(
                    "{} sentences: say what to make, such as --text \"a small red bird with black wings\" (at most \
                     {MOST_SENTENCES})",
                    sentences.len()
                ),
            ));
        }
        let console = Console::new(Voice::Normal);
        for sentence in &sentences {
            if let Some(line) = text::unread(sentence) {
                console.warn(&format!("{sentence:?}: {line}"));
            }
        }
        let texts = sampler.read(&sentences)?;
        Ok(sentences.into_iter().zip(texts).collect())
    }
}

/// `generate`.
#[derive(Debug, Clone, clap::Args)]
pub struct GenerateCommand {
    /// Which weights.
    #[command(flatten)]
    pub weights: CheckpointArguments,
    /// What is made.
    #[command(flatten)]
    pub asked: Asked,
    /// Pictures of which stage: 1 (small) or 2 (four times as large); without it the best there is.
    #[arg(long, value_parser = clap::value_parser!(u8).range(1..=2))]
    pub stage: Option<u8>,
    /// Seeds, such as 0,1,4-6: a picture of each sentence for each.
    #[arg(long, value_name = "LIST", conflicts_with = "num")]
    pub seeds: Option<String>,
    /// How many pictures of each sentence: seeds 0 to NUM - 1; 8 without it.
    #[arg(long)]
    pub num: Option<usize>,
    /// Write one sheet with each sentence above its pictures, instead of single pictures.
    #[arg(long)]
    pub sheet: bool,
    /// Folder of the pictures (or the sheet's file, with --sheet and a name ending in .png); without it, `generated/` in
    /// the run of the checkpoint.
    #[arg(short, long, value_name = "DIR")]
    pub output: Option<PathBuf>,
    /// Pictures computed at once.
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub batch_size: u16,
}

/// Most pictures on one sheet.
const MOST_ON_SHEET: usize = 1024;

/// `stackgan generate`.
///
/// # Errors
/// When the checkpoint cannot be used, a sentence cannot be read or a file cannot be written.
pub fn generate(command: &GenerateCommand) -> Result<()> {
    let seeds = match (&command.seeds, command.num) {
        (Some(list), _) => latent::parse_seeds(list)?,
        (None, count) => {
            let count = count.unwrap_or(8);
            if !(1..=1_000_000).contains(&count) {
                let what = format!("--num {count} is not legal: 1 to 1000000");
                return Err(failure(Kind::Usage, what));
            }
            (0..count as u64).collect()
        }
    };
    let encoder = command.asked.text_encoder.as_deref();
    let sampler = Sampler::find(&command.weights, command.stage, encoder)?;
    let asked = command.asked.read(&sampler)?;
    let target = command.output.clone().unwrap_or_else(|| {
        let home = command::run_of(sampler.path()).unwrap_or_else(|| PathBuf::from("."));
        home.join("generated")
    });
    let is_png = target.extension().is_some_and(|ending| ending == "png");
    if is_png && !command.sheet {
        return Err(failure(
            Kind::Usage,
            format!(
                "-o {} is a picture's name, but each picture gets its own: name a folder, or add --sheet",
                target.display()
            ),
        ));
    }
    if command.sheet && asked.len() * seeds.len() > MOST_ON_SHEET {
        return Err(failure(
            Kind::Usage,
            format!(
                "{} pictures are too many for one sheet: at most {MOST_ON_SHEET}; lower --num, or leave out --sheet",
                asked.len() * seeds.len()
            ),
        ));
    }
    let folder = match is_png {
        true => target.parent().unwrap_or(Path::new("")).to_owned(),
        false => target.clone(),
    };
    if !folder.as_os_str().is_empty() {
        std::fs::create_dir_all(&folder)
            .map_err(|error| at_path(Kind::Disk, "create", &folder, &error))?;
    }
    let console = Console::new(Voice::Normal);
    let mut rows = Vec::new();
    let mut list = String::new();
    for (place, (caption, text)) in asked.iter().enumerate() {
        let mut row = Vec::new();
        for some in seeds.chunks(usize::from(command.batch_size)) {
            let texts = vec![text.clone(); some.len()];
            for (seed, picture) in some.iter().zip(sampler.sample(&texts, some)) {
                if command.sheet {
                    row.push(picture);
                    continue;
                }
                let name = format!("text_{place:04}_seed_{seed:08}.png");
                save_picture(&folder.join(&name), &picture)?;
                list.push_str(&format!("{name}\t{caption}\n"));
            }
        }
        if command.sheet {
            let columns = row.len().min(8);
            rows.push((caption.clone(), picture::grid(&row, columns, 2)));
        }
    }
    if command.sheet {
        let place = match is_png {
            true => target,
            false => folder.join("sheet.png"),
        };
        save_picture(&place, &picture::labelled(&rows))?;
        console.say(&format!("{} sentences in {}", rows.len(), place.display()));
        return Ok(());
    }
    let place = folder.join("captions.tsv");
    std::fs::write(&place, list).map_err(|error| at_path(Kind::Disk, "write", &place, &error))?;
    console.say(&format!(
        "{} pictures in {}, and what each shows in captions.tsv",
        asked.len() * seeds.len(),
        folder.display()
    ));
    Ok(())
}

/// `interpolate`.
#[derive(Debug, Clone, clap::Args)]
pub struct InterpolateCommand {
    /// Which weights.
    #[command(flatten)]
    pub weights: CheckpointArguments,
    /// The first sentence.
    #[arg(long, value_name = "SENTENCE")]
    pub from: String,
    /// The last sentence.
    #[arg(long, value_name = "SENTENCE")]
    pub to: String,
    /// The text encoder of another run or step folder.
    #[arg(long, value_name = "PATH")]
    pub text_encoder: Option<PathBuf>,
    /// Pictures of which stage: 1 or 2; without it the best there is.
    #[arg(long, value_parser = clap::value_parser!(u8).range(1..=2))]
    pub stage: Option<u8>,
    /// Seeds of the birds, side by side.
    #[arg(long, value_name = "LIST", default_value = "0-3")]
    pub seeds: String,
    /// Pictures from the first sentence to the last.
    #[arg(long, default_value_t = 24, value_parser = clap::value_parser!(u16).range(2..=1000))]
    pub frames: u16,
    /// The animation: a name ending in .gif, .apng or .png. Beside it, a sheet of eight of its pictures.
    #[arg(short, long, value_name = "FILE", default_value = "sentences.gif")]
    pub output: PathBuf,
}

/// Pixels of all frames of an animation at most: they are in memory together.
const MOST_PIXELS: usize = 300_000_000;

/// Pictures on the sheet beside an animation.
const ON_SHEET: usize = 8;

/// `stackgan interpolate`: the same noise while one sentence becomes another.
///
/// # Errors
/// When the checkpoint cannot be used or a file cannot be written.
pub fn interpolate(command: &InterpolateCommand) -> Result<()> {
    let ending = command
        .output
        .extension()
        .and_then(|ending| ending.to_str());
    if !ending.is_some_and(|ending| ["gif", "apng", "png"].contains(&ending)) {
        return Err(failure(
            Kind::Usage,
            "-o is not legal: a name that ends in .gif, .apng or .png",
        ));
    }
    let seeds = latent::parse_seeds(&command.seeds)?;
    let encoder = command.text_encoder.as_deref();
    let sampler = Sampler::find(&command.weights, command.stage, encoder)?;
    let frames = usize::from(command.frames);
    if seeds.len() > 16 || seeds.len() * frames * sampler.side().pow(2) > MOST_PIXELS {
        return Err(failure(
            Kind::Usage,
            "--seeds with so many --frames is not legal: at most 16 seeds; lower one of them",
        ));
    }
    let ends = sampler.read(&[command.from.clone(), command.to.clone()])?;
    let mut all = Vec::with_capacity(frames);
    for frame in 0..frames {
        let share = frame as f32 / (frames - 1) as f32;
        let pairs = ends[0].iter().zip(&ends[1]);
        let text: Vec<f32> = pairs.map(|(from, to)| from + (to - from) * share).collect();
        let texts = vec![text; seeds.len()];
        all.push(sampler.sample_all(&texts, &seeds, 8));
    }
    let captioned = |frame: usize| -> RgbImage {
        let share = frame as f32 / (frames - 1) as f32;
        let sheet = picture::grid(&all[frame], seeds.len(), 2);
        picture::labelled(&[(format!("{:.0} %", 100.0 * share), sheet)])
    };
    if let Some(folder) = command
        .output
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty())
    {
        std::fs::create_dir_all(folder)
            .map_err(|error| at_path(Kind::Disk, "create", folder, &error))?;
    }
    let pictures: Vec<RgbImage> = (0..frames).map(captioned).collect();
    animation::write(&command.output, &pictures, 80)?;
    let shown = ON_SHEET.min(frames);
    let chosen: Vec<usize> = (0..shown)
        .map(|place| place * (frames - 1) / (shown - 1).max(1))
        .collect();
    let of_seed = |seed: usize| -> Vec<RgbImage> {
        chosen
            .iter()
            .map(|frame| all[*frame][seed].clone())
            .collect()
    };
    let cells: Vec<RgbImage> = (0..seeds.len()).flat_map(of_seed).collect();
    let title = format!("{} -> {}", command.from, command.to);
    let sheet = picture::labelled(&[(title, picture::grid(&cells, shown, 2))]);
    let place = command.output.with_extension("sheet.png");
    save_picture(&place, &sheet)?;
    Console::new(Voice::Normal).say(&format!(
        "{frames} frames in {}, and {shown} of them in {}",
        command.output.display(),
        place.display()
    ));
    Ok(())
}
