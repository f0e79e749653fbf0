//! From a checkpoint alone, and a sentence, to pictures.

use crate::config::Config;
use crate::embeddings;
use crate::gan::{Maker, normal, pictures};
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
use gan_core::located::{self, Located};
use gan_core::picture;
use gan_core::random::{Prior, Stream};
use gan_core::regular;
use gan_core::weights;
use image::RgbImage;
use std::collections::BTreeMap;
use std::io::Write;
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

/// The text encoder of a run or a step folder, without autodiff, and where it was found.
///
/// # Errors
/// [`Kind::Checkpoint`] when there is none.
pub(crate) fn text_encoder(
    place: &Path,
    out: &Path,
    device: &Device,
) -> Result<(TextEncoder, Located)> {
    let stages = ["text", StageTwo::NAME, StageOne::NAME];
    let found = located::find(Some(place), out, "stackgan", &stages, &["text_encoder"])?;
    let trained = checked_config(&found)?;
    let path = found.path.display().to_string();
    let shape = text::Shape::new(&trained);
    weights::check_size(shape.least_size(), &found.file.tensors)
        .with_context(|| format!("reading {path}"))?;
    let network = weights::apply(TextEncoder::new(&shape, device), &found.file.tensors)
        .with_context(|| format!("loading {path}"))?;
    Ok((network.valid(), found))
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
        if let Some(stage) = stage
            && (stage == 2) != sampler.is_second()
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
        // It lies where it is said to lie, beside the generator, or in another stage of the run.
        let beside = path.with_file_name("text_encoder.safetensors");
        let of_run = command::run_of(&path).filter(|run| run.join("checkpoints/text").is_dir());
        let home = match encoder {
            Some(place) => Some(place.to_owned()),
            None if beside.is_file() => path.parent().map(Path::to_owned),
            None => of_run,
        };
        let encoder = match home {
            Some(place) => {
                let (network, found) = text_encoder(&place, out, &device)?;
                let width = checked_config(&found)?.text_dim;
                if width != shape.text {
                    return Err(failure(
                        Kind::Checkpoint,
                        format!(
                            "{} gives embeddings of {width} numbers, and {} takes {}: name the text encoder of its run",
                            found.path.display(),
                            path.display(),
                            shape.text
                        ),
                    ));
                }
                Some(network)
            }
            None => None,
        };
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

    /// Whether it is of the second stage.
    pub fn is_second(&self) -> bool {
        matches!(self.network, Network::Two(_))
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
        let (latent, condition) = (self.shape.latent, self.shape.condition);
        let conditions = (0..1 + u64::from(self.is_second())).map(|place| {
            let mut stream = Stream::new(seed, "condition", place);
            normal(&mut stream, condition, self.shape.variant)
        });
        let latent = Prior::Normal.latent(seed, latent);
        std::iter::once(latent).chain(conditions).collect()
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
    #[arg(long, value_name = "PATH", conflicts_with = "embeddings")]
    pub text_encoder: Option<PathBuf>,
}

/// Most bytes of a file of sentences.
const MOST_BYTES: u64 = 64 << 20;

/// Says what of sentences is not read.
fn tell_unread(sentences: &[String]) {
    let console = Console::new(Voice::Normal);
    for sentence in sentences {
        if let Some(line) = text::unread(sentence) {
            let start: String = sentence.chars().take(60).collect();
            console.warn(&format!("{start:?}: {line}"));
        }
    }
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
            let bytes = regular::read(Kind::Data, place, MOST_BYTES)?;
            let text = String::from_utf8(bytes).map_err(|_| {
                let what = format!("{} is no text in UTF-8", place.display());
                failure(Kind::Data, what)
            })?;
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
        let checked: Result<Vec<String>> =
            sentences.iter().map(|line| text::checked(line)).collect();
        let sentences = checked?;
        tell_unread(&sentences);
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

/// What each picture of a folder shows, in its `captions.tsv`: a name, a tab, a sentence.
struct List {
    place: PathBuf,
    lines: BTreeMap<String, String>,
}

impl List {
    /// What is told of the pictures that are there already.
    fn open(folder: &Path) -> Result<Self> {
        let place = folder.join("captions.tsv");
        let mut lines = BTreeMap::new();
        if place.is_file() {
            let bytes = regular::read(Kind::Data, &place, MOST_BYTES)?;
            let text = String::from_utf8_lossy(&bytes).into_owned();
            let pairs = text.lines().filter_map(|line| line.split_once('\t'));
            lines.extend(pairs.map(|(name, caption)| (name.to_owned(), caption.to_owned())));
        }
        Ok(Self { place, lines })
    }

    /// Tells of one more picture. At the end of the file, so that a command which is ended has told of all it made.
    fn add(&mut self, name: String, caption: &str) -> Result<()> {
        let disk = |error: std::io::Error| at_path(Kind::Disk, "write", &self.place, &error);
        let line = format!("{name}\t{caption}\n");
        let is_new = self.lines.insert(name, caption.to_owned()).is_none();
        if is_new {
            let mut file = std::fs::OpenOptions::new()
                .create(true)
                .append(true)
                .open(&self.place)
                .map_err(disk)?;
            return file.write_all(line.as_bytes()).map_err(disk);
        }
        let lines = self.lines.iter();
        let text: String = lines
            .map(|(name, caption)| format!("{name}\t{caption}\n"))
            .collect();
        std::fs::write(&self.place, text).map_err(disk)
    }
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
    let mut list = List::open(&folder)?;
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
                list.add(name, caption)?;
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
    let sentences = [command.from.clone(), command.to.clone()];
    tell_unread(&sentences);
    let ends = sampler.read(&sentences)?;
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
