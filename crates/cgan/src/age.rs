//! `age`: a photograph in, the same face at other ages out.

use crate::config::Config;
use crate::data::pictures;
use crate::embedding::Embedding;
use crate::encoder::Encoder;
use crate::gan::to_picture;
use crate::generate::{Sampler, class_of, config_of, run_config};
use crate::latents::{Latent, Seeker};
use crate::recognise::{self, Classify, Embed};
use anyhow::{Context, Result};
use burn::module::Module;
use gan_core::command::{CheckpointArguments, save_picture};
use gan_core::console::{Console, Voice};
use gan_core::failure::{Kind, at_path, failure};
use gan_core::folder::Crop;
use gan_core::images::{self, planar, to_unit};
use gan_core::judge::Judge;
use gan_core::layers::Statistics;
use gan_core::located;
use gan_core::picture;
use gan_core::stage::Stage;
use gan_core::weights::{self, values};
use image::RgbImage;
use std::path::{Path, PathBuf};

/// `age`.
#[derive(Debug, Clone, clap::Args)]
pub struct AgeCommand {
    /// Which weights: a run with the stages gan and encoder.
    #[command(flatten)]
    pub weights: CheckpointArguments,
    /// The face, or a folder of faces: cut and turned as those that were trained on, which UTKFace's and IMDB-WIKI's are
    /// already.
    #[arg(short, long, value_name = "PATH")]
    pub input: PathBuf,
    /// The age in years to show the face at, or all.
    #[arg(long, default_value = "all", value_name = "AGE")]
    pub to: String,
    /// The age in years that the face has, which is better than both guesses. Without it, the classifier tells the class, and
    /// how sure it is; without one, the class whose picture is most like the face, pixel by pixel, is taken, which is wrong
    /// for many faces.
    #[arg(long, value_name = "AGE")]
    pub from: Option<f32>,
    /// A run of `cgan train-classifier` on the same classes, which tells the age where --from does not; without it, that of
    /// the run itself, if it trained one.
    #[arg(long, value_name = "PATH")]
    pub classifier: Option<PathBuf>,
    /// How the latent vector is found: initial (by the encoder alone), pixels, or identity (the paper's).
    #[arg(long, value_enum, default_value_t = Latent::Identity)]
    pub by: Latent,
    /// The embedding whose distances tell whether it is the same person; that of the run without it.
    #[arg(long, value_name = "PATH")]
    pub embedding: Option<PathBuf>,
    /// Steps of Adam for each face; the run's own number without it.
    #[arg(long)]
    pub steps: Option<u64>,
    /// What is cut out first: center (the largest square), or left,top,width,height in pixels.
    #[arg(long, value_name = "CROP", default_value = "center")]
    pub crop: Crop,
    /// Folder of the strips and of the single faces.
    #[arg(short, long, value_name = "DIR", default_value = "aged")]
    pub output: PathBuf,
}

/// A face as the networks take it: values in [-1, 1], planar.
fn read(path: &Path, crop: Crop, config: &Config) -> Result<Vec<f32>> {
    let picture = images::to_rgb(&images::read(path)?);
    let cut = match crop {
        Crop::Center => picture,
        Crop::Rectangle([left, top, width, height]) => {
            let (most_width, most_height) = picture.dimensions();
            let fits = left
                .checked_add(width)
                .is_some_and(|right| right <= most_width)
                && top
                    .checked_add(height)
                    .is_some_and(|bottom| bottom <= most_height);
            if !fits {
                return Err(failure(
                    Kind::Usage,
                    format!(
                        "--crop {left},{top},{width},{height} leaves {} of {most_width} x {most_height} pixels",
                        path.display()
                    ),
                ));
            }
            image::imageops::crop_imm(&picture, left, top, width, height).to_image()
        }
    };
    let square = images::square(&cut, config.image_size as u32);
    Ok(planar(&square, config.channels)
        .into_iter()
        .map(to_unit)
        .collect())
}

/// Everything that ageing needs, from a run.
pub struct Ager {
    sampler: Sampler,
    seeker: Seeker,
    classifier: Option<Judge>,
    has_embedding: bool,
}

impl Ager {
    /// Loads the networks of a run; without an embedding, latent vectors are not sought by identity, and without a
    /// classifier, classes are guessed by pixels.
    ///
    /// # Errors
    /// When a network is missing or damaged.
    pub fn open(
        arguments: &CheckpointArguments,
        embedding: Option<&Path>,
        classifier: Option<&Path>,
        steps: Option<u64>,
    ) -> Result<Self> {
        let sampler = Sampler::find(arguments)?;
        let device = sampler.device.clone();
        let mut config = sampler.config().clone();
        config.latent_steps = steps.unwrap_or(config.latent_steps);
        // Of the same run as the generator: without a name, another run's may be newer.
        let run = gan_core::command::run_of(&sampler.path);
        let place = run.as_deref().or(arguments.checkpoint.as_deref());
        let found = located::find(place, &arguments.out, "cgan", &["encoder"], &["encoder"])
            .context(
                "faces cannot be aged without an encoder: train one with `cgan train --stages encoder --init-from RUN` and the \
                 configuration of that run (--config RUN/config.toml)",
            )?;
        let trained = config_of(&found)?;
        let sizes = |config: &Config| {
            (
                [config.image_size, config.channels, config.latent_dim],
                config.classes(),
            )
        };
        if sizes(&trained) != sizes(&config) {
            return Err(failure(
                Kind::Checkpoint,
                format!(
                    "{} is not the encoder of {}: sizes or classes differ",
                    found.path.display(),
                    sampler.path.display()
                ),
            ));
        }
        weights::check_size(Encoder::least_size(&trained), &found.file.tensors)
            .with_context(|| format!("reading {}", found.path.display()))?;
        let encoder = weights::apply(Encoder::new(&trained, &device), &found.file.tensors)
            .with_context(|| format!("loading {}", found.path.display()))?;
        let open = |place: &Path| Embedding::open(place, &arguments.out, &config, &device);
        let place = match embedding {
            Some(place) => Some(place.to_owned()),
            // As it was trained: by the run's own, or by the file that its configuration names.
            None => run_config(&sampler.path)
                .map(|config| PathBuf::from(config.embedding))
                .filter(|place| !place.as_os_str().is_empty() && place.exists())
                .or_else(|| run_with(Embed::NAME, &found.path)),
        };
        let embedding = place.map(|place| open(&place)).transpose()?;
        let has_embedding = embedding.is_some();
        let classifier = classifier
            .map(Path::to_owned)
            .or_else(|| run_with(Classify::NAME, &found.path))
            .map(|place| recognise::classifier(&place, &arguments.out, &config, &device))
            .transpose()?;
        let seeker = Seeker::new(
            &config,
            sampler.generator.clone(),
            encoder.valid(),
            embedding,
            &device,
        );
        Ok(Self {
            sampler,
            seeker,
            classifier,
            has_embedding,
        })
    }

    /// The class that a face seems to be of: what the classifier says with how sure it is, from 0 to 1. Without a
    /// classifier, the class whose picture, made of what the encoder sees, is most like the face by its pixels: an embedding
    /// of persons has learned not to see ages.
    pub fn likely_class(&self, face: &[f32]) -> (usize, Option<f32>) {
        let config = self.sampler.config();
        if let Some(classifier) = &self.classifier {
            let seen = pictures(face.to_vec(), config, &self.sampler.device);
            let logits = values(classifier.forward(seen, Statistics::Running));
            let class = usize::from(recognise::largest(&logits));
            let odds = logits.iter().map(|logit| (logit - logits[class]).exp());
            return (class, Some(1.0 / odds.sum::<f32>()));
        }
        let classes = config.classes();
        let latent = self.seeker.seek(face, &[0], Latent::Initial);
        let alike: Vec<f32> = (0..classes.count())
            .map(|class| {
                let made = self.made(&latent, &classes.condition(class));
                let squares = face.iter().zip(&made).map(|(a, b)| (a - b).powi(2));
                -squares.sum::<f32>()
            })
            .collect();
        (usize::from(recognise::largest(&alike)), None)
    }

    /// The values of one picture.
    fn made(&self, latent: &[f32], condition: &[f32]) -> Vec<f32> {
        let made = self
            .sampler
            .decode(&[latent.to_vec()], &[condition.to_vec()]);
        let config = self.sampler.config();
        planar(&made[0], config.channels)
            .into_iter()
            .map(to_unit)
            .collect()
    }

    /// A face of a class in all classes.
    ///
    /// # Panics
    /// For [`Latent::Identity`], without an embedding.
    pub fn ages(&self, face: &[f32], class: usize, by: Latent) -> Vec<RgbImage> {
        let classes = self.sampler.config().classes();
        let latent = self.seeker.seek(face, &[class as u8], by);
        let count = classes.count();
        let told: Vec<_> = (0..count).map(|class| classes.condition(class)).collect();
        self.sampler.decode(&vec![latent; count], &told)
    }
}

/// The run that a file belongs to, if it has this stage.
fn run_with(stage: &str, file: &Path) -> Option<PathBuf> {
    let run = gan_core::command::run_of(file)?;
    run.join("checkpoints").join(stage).is_dir().then_some(run)
}

/// `cgan age`.
///
/// # Errors
/// When the checkpoint cannot be used, a picture cannot be read, or a file cannot be written.
pub fn age(command: &AgeCommand) -> Result<()> {
    let ager = Ager::open(
        &command.weights,
        command.embedding.as_deref(),
        command.classifier.as_deref(),
        command.steps,
    )?;
    if command.by == Latent::Identity && !ager.has_embedding {
        return Err(failure(
            Kind::Usage,
            "the run has no embedding to keep the person by: name one with --embedding, or choose --by pixels",
        ));
    }
    let config = ager.sampler.config();
    let classes = config.classes();
    let wanted = match command.to.as_str() {
        "all" => None,
        text => {
            let age: f32 = text.parse().map_err(|_| {
                failure(
                    Kind::Usage,
                    format!("--to {text} is neither an age in years nor all"),
                )
            })?;
            Some(class_of(age, &classes)?)
        }
    };
    let known = command
        .from
        .map(|age| class_of(age, &classes))
        .transpose()?;
    let files: Vec<PathBuf> = if command.input.is_dir() {
        let files = images::list(&command.input)?;
        (0..files.len()).map(|index| files.path(index)).collect()
    } else {
        vec![command.input.clone()]
    };
    std::fs::create_dir_all(&command.output)
        .map_err(|error| at_path(Kind::Disk, "create", &command.output, &error))?;
    let console = Console::new(Voice::Normal);
    let mut unreadable = Vec::new();
    let mut stems = std::collections::BTreeSet::new();
    for path in &files {
        let face = match read(path, command.crop, config) {
            Ok(face) => face,
            Err(error) if files.len() > 1 => {
                unreadable.push(format!("{error:#}"));
                continue;
            }
            Err(error) => return Err(error),
        };
        let (class, told) = match known {
            Some(class) => (class, String::new()),
            None => match ager.likely_class(&face) {
                (class, Some(share)) => (
                    class,
                    format!(" (the classifier is {:.0} % sure)", 100.0 * share),
                ),
                (class, None) => (class, " (a guess by pixels)".to_owned()),
            },
        };
        let aged = ager.ages(&face, class, command.by);
        let stem = path
            .file_stem()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        // Two folders may have pictures of one name.
        let mut name = stem.clone();
        let mut number = 1;
        while !stems.insert(name.clone()) {
            number += 1;
            name = format!("{stem}_{number}");
        }
        let shown: Vec<usize> = wanted.map_or((0..aged.len()).collect(), |class| vec![class]);
        let mut row = vec![to_picture(&face, config)];
        let mut names = vec!["face".to_owned()];
        for class in shown {
            let file = command
                .output
                .join(format!("{name}_{}.png", classes.name(class)));
            save_picture(&file, &aged[class])?;
            row.push(aged[class].clone());
            names.push(classes.name(class));
        }
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let row: Vec<_> = row.iter().map(|face| picture::enlarge(face, 2)).collect();
        let strip = command.output.join(format!("{name}_strip.png"));
        save_picture(&strip, &picture::table(&names, &[row]))?;
        console.say(&format!(
            "{}: taken for {}{told}; {}",
            path.display(),
            classes.name(class),
            strip.display()
        ));
    }
    if known.is_none() && ager.classifier.is_none() {
        console.warn(
            "guesses by pixels are wrong for many faces, and a face of another class ages from there: name the age with --from, \
             or a run of `cgan train-classifier` with --classifier",
        );
    }
    console.left_out("pictures", &unreadable);
    if unreadable.len() == files.len() {
        return Err(failure(
            Kind::Data,
            format!("no picture could be read, the first: {}", unreadable[0]),
        ));
    }
    Ok(())
}

/// The embeddings of pictures in [-1, 1], flat.
pub(crate) fn embedded(
    embedding: &Embedding,
    faces: Vec<f32>,
    config: &Config,
    device: &burn::tensor::Device,
) -> Vec<Vec<f32>> {
    let mut all = Vec::new();
    for some in faces.chunks(64 * config.pixels()) {
        let found = embedding.embed(pictures(some.to_vec(), config, device));
        let width = found.dims()[1];
        all.extend(values(found).chunks_exact(width).map(<[f32]>::to_vec));
    }
    all
}
