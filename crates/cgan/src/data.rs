//! What a batch is: faces with a class of age (or digits), and what is kept out of training to judge by.

mod imdb_wiki;
mod listing;
mod prepare;
mod procedural;
mod table;
mod utkface;

pub use listing::{Label, Listing};
pub use prepare::Shared;
pub use procedural::{PROCEDURAL, drawn};

use crate::classes::Classes;
use crate::config::{Config, Dataset};
use anyhow::Result;
use burn::tensor::{Device, Tensor, TensorData};
use gan_core::checkpoint::sha256;
use gan_core::command::print;
use gan_core::dataset::{Datasets, Known, KnownFile};
use gan_core::failure::{Kind, failure};
use gan_core::idx;
use gan_core::images::{self, MOST_BROKEN, planar, to_unit};
use gan_core::random::{Orders, Stream};
use gan_core::samples::{Content, MEMORY_BYTES, Pictures};
use gan_core::stage::Source;
use image::RgbImage;
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Of this many persons (or files, where nobody is known), about one is held out.
const HELD_OUT: u64 = 10;

/// Most held-out pictures that are kept at hand.
pub const MOST_HELD: usize = 10_000;

/// One face.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    /// `channels * side * side` bytes, planar.
    pub pixels: Vec<u8>,
    /// Its class.
    pub class: u8,
    /// In years; of digits, the digit.
    pub age: f32,
    /// Whose face it is: a number, where that is known.
    pub person: Option<u32>,
}

impl Content for Sample {
    fn sum(&self) -> String {
        let person = self.person.map_or(-1, i64::from);
        format!("{} {} {person}\n", sha256(&self.pixels), self.class)
    }
}

/// The two parts of a dataset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// What is trained on.
    Train,
    /// Other persons, or other files where nobody is known.
    Held,
}

/// Which part a person or a file belongs to, by its name alone: the same in every run, whatever else there is.
fn part_of(name: &str) -> Part {
    let sum = sha256(name.as_bytes());
    let number = u64::from_str_radix(&sum[..8], 16).unwrap_or(0);
    if number.is_multiple_of(HELD_OUT) {
        Part::Held
    } else {
        Part::Train
    }
}

/// The faces that `place` tells of: a table, IMDB-WIKI, or a folder in UTKFace's names.
///
/// # Errors
/// [`Kind::Data`] when it holds no such faces.
pub fn listing(place: &Path, least_score: f64) -> Result<Listing> {
    let is_table = place
        .extension()
        .is_some_and(|ending| ending.eq_ignore_ascii_case("csv"));
    let found = if is_table {
        table::list(place)?
    } else if let Some(description) = imdb_wiki::description(place) {
        imdb_wiki::list(&description, least_score)?
    } else {
        utkface::list(place)?
    };
    found.checked()
}

/// All pictures of one part, in an order of their own.
pub struct Faces {
    pictures: Pictures<Sample>,
    // Of each file, whose face it shows; empty where nothing is a file.
    persons: Vec<Option<u32>>,
    // What those persons are called, by their numbers; empty where nobody named them.
    names: Vec<String>,
    // A sum over the labels of files.
    labels: String,
    /// What was left out before any picture was read, a line for each reason.
    pub skipped: Vec<String>,
}

impl std::fmt::Debug for Faces {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "Faces({})", self.pictures.fingerprint())
    }
}

impl Faces {
    /// The pictures of `part` of what a configuration names, or procedural faces.
    ///
    /// # Errors
    /// [`Kind::Data`] when there are none, or too many broken ones.
    pub fn open(config: &Config, part: Part) -> Result<Self> {
        let place = Path::new(&config.training.data);
        let made = |samples: Vec<Sample>| Self {
            pictures: Pictures::drawn(samples),
            persons: Vec::new(),
            names: Vec::new(),
            labels: String::new(),
            skipped: Vec::new(),
        };
        match config.dataset {
            Dataset::Mnist => Ok(made(digits(place, part, config)?)),
            Dataset::Faces if config.training.data.is_empty() => Ok(made(drawn(config, part))),
            Dataset::Faces => files(listing(place, config.min_face_score)?, part, config),
        }
    }

    /// How many pictures.
    pub fn len(&self) -> usize {
        self.pictures.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What could not be read.
    pub fn broken(&self) -> &[String] {
        &self.pictures.broken
    }

    /// What the pictures are: a sum over them, or over their names and sizes; and over what is known of them.
    pub fn fingerprint(&self) -> String {
        format!("{}{}", self.pictures.fingerprint(), self.labels)
    }

    /// Files that had to be passed over since the last call, in one line.
    pub fn warning(&self) -> Option<String> {
        self.pictures.warning()
    }

    /// Picture `index`, or the next one that can be read.
    ///
    /// # Errors
    /// As [`Pictures::sample`].
    pub fn sample(&self, index: usize) -> Result<Cow<'_, Sample>> {
        self.pictures.sample(index)
    }

    /// Whose face each picture shows, where that is known.
    pub fn persons(&self) -> Vec<Option<u32>> {
        match self.pictures.in_memory() {
            // Pictures that could not be read are not among them.
            Some(samples) => samples.iter().map(|sample| sample.person).collect(),
            None => self.persons.clone(),
        }
    }

    /// What a person is called in the data: a number where nobody has a name.
    pub fn name(&self, person: u32) -> String {
        let name = self.names.get(person as usize);
        name.cloned().unwrap_or_else(|| person.to_string())
    }

    /// How many pictures of each class there are, where they are in memory.
    pub fn counts(&self, classes: &Classes) -> Option<Vec<usize>> {
        let mut counts = vec![0; classes.count()];
        for sample in self.pictures.in_memory()? {
            counts[usize::from(sample.class)] += 1;
        }
        Some(counts)
    }

    /// Up to `most` of them, drawn from all without order, always the same.
    ///
    /// # Errors
    /// As [`Pictures::sample`].
    pub fn some(&self, most: usize) -> Result<Vec<Sample>> {
        let order = Stream::new(0, "held", 0).permutation(self.len());
        let chosen = order.into_iter().take(most.min(MOST_HELD));
        let sample = |index: u32| Ok(self.pictures.sample(index as usize)?.into_owned());
        chosen.map(sample).collect()
    }
}

/// The digits of a part: MNIST has its own.
fn digits(place: &Path, part: Part, config: &Config) -> Result<Vec<Sample>> {
    let prefix = match part {
        Part::Train => "train",
        Part::Held => "t10k",
    };
    if !place.is_dir() {
        let kind = if config.training.data.is_empty() {
            Kind::Usage
        } else {
            Kind::Data
        };
        return Err(failure(
            kind,
            format!(
                "--dataset mnist needs --data FOLDER with the four idx files; {:?} is no folder",
                place.display()
            ),
        ));
    }
    let pictures = idx::Pictures::read(place, prefix)?;
    if pictures.labels.len() != pictures.len() {
        return Err(failure(
            Kind::Data,
            format!(
                "{}: {} pictures have {} labels: put the labels' file beside them",
                place.display(),
                pictures.len(),
                pictures.labels.len()
            ),
        ));
    }
    if let Some(label) = pictures.labels.iter().find(|label| **label > 9) {
        let what = format!("{}: label {label} is no digit", place.display());
        return Err(failure(Kind::Data, what));
    }
    let (width, height) = (pictures.width as u32, pictures.height as u32);
    let sample = |index: usize| {
        let bytes = pictures.picture(index);
        let grey = |x: u32, y: u32| image::Rgb([bytes[(y * width + x) as usize]; 3]);
        let picture = RgbImage::from_fn(width, height, grey);
        let class = pictures.labels[index];
        Sample {
            pixels: pixels(&picture, config),
            class,
            age: f32::from(class),
            person: None,
        }
    };
    Ok((0..pictures.len()).map(sample).collect())
}

fn pixels(picture: &RgbImage, config: &Config) -> Vec<u8> {
    planar(
        &images::square(picture, config.image_size as u32),
        config.channels,
    )
}

/// The files of a part. A label is found by its file's path, so that a file which cannot be read takes its label with
/// it.
fn files(listing: Listing, part: Part, config: &Config) -> Result<Faces> {
    let skipped = listing.skipped.lines();
    let classes = config.classes();
    let folder = listing.folder.clone();
    let mut numbers: BTreeMap<String, u32> = BTreeMap::new();
    let mut names = Vec::new();
    let mut labels: BTreeMap<PathBuf, (f32, Option<u32>)> = BTreeMap::new();
    for (path, label) in listing.files {
        let name = match &label.person {
            Some(person) => person.clone(),
            // From the folder on: pictures of many folders may have one name.
            None => {
                let inner = path.strip_prefix(&folder).unwrap_or(&path);
                inner.to_string_lossy().into_owned()
            }
        };
        if part_of(&name) != part {
            continue;
        }
        let person = label.person.map(|person| {
            *numbers.entry(person).or_insert_with_key(|person| {
                names.push(person.clone());
                names.len() as u32 - 1
            })
        });
        labels.insert(path, (label.age, person));
    }
    let paths: Vec<Vec<PathBuf>> = labels.keys().map(|path| vec![path.clone()]).collect();
    if paths.is_empty() {
        let what = match part {
            Part::Train => "nothing is left to train on",
            Part::Held => "nothing is held out to judge by",
        };
        return Err(failure(
            Kind::Data,
            format!(
                "{}: {what}: one of {HELD_OUT} faces is held out, by name; add faces",
                folder.display()
            ),
        ));
    }
    let bytes = config.pixels();
    let config = config.clone();
    let persons = labels.values().map(|(_, person)| *person).collect();
    let told: String = labels
        .iter()
        .map(|(path, (age, person))| {
            let inner = path.strip_prefix(&folder).unwrap_or(path);
            format!("{} {age} {person:?}\n", inner.display())
        })
        .collect();
    let told = format!(", labels {}", sha256(told.as_bytes()));
    let decode = move |paths: &[PathBuf]| {
        let (age, person) = labels[&paths[0]];
        let picture = images::to_rgb(&images::read(&paths[0])?);
        Ok(Sample {
            pixels: pixels(&picture, &config),
            class: classes.of(age) as u8,
            age,
            person,
        })
    };
    Ok(Faces {
        pictures: Pictures::open(&folder, paths, bytes, MEMORY_BYTES, Box::new(decode))?,
        persons,
        names,
        labels: told,
        skipped,
    })
}

/// Pictures on a device, `[count, channels, side, side]`.
pub fn pictures(values: Vec<f32>, config: &Config, device: &Device) -> Tensor<4> {
    let (channels, side) = (config.channels, config.image_size);
    let count = values.len() / config.pixels();
    Tensor::from_data(
        TensorData::new(values, [count, channels, side, side]),
        device,
    )
}

/// The conditions of some classes on a device, `[count, classes]`: 1 in the place of each, 0 elsewhere.
pub fn conditions(of: &[u8], classes: &Classes, device: &Device) -> Tensor<2> {
    let values: Vec<f32> = of
        .iter()
        .flat_map(|class| classes.condition(usize::from(*class)))
        .collect();
    Tensor::from_data(TensorData::new(values, [of.len(), classes.count()]), device)
}

/// Pictures with their classes.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Batch {
    /// `batch_size` pictures in [-1, 1], planar, one after the other.
    pub pixels: Vec<f32>,
    /// The class of each.
    pub classes: Vec<u8>,
}

/// Faces in an order that is a pure function of (seed, epoch).
#[derive(Debug)]
pub struct Data {
    faces: Arc<Faces>,
    // What is held out, which later stages are measured on.
    held: String,
    config: Config,
    orders: Orders,
}

impl Data {
    /// What a configuration trains on.
    ///
    /// # Errors
    /// As [`Faces::open`], and when there are fewer pictures than a batch.
    pub fn open(config: &Config) -> Result<Self> {
        Self::new(Arc::new(Faces::open(config, Part::Train)?), config)
    }

    /// As [`Data::open`], of faces that are open already.
    ///
    /// # Errors
    /// [`Kind::Data`] when there are fewer than a batch.
    pub fn new(faces: Arc<Faces>, config: &Config) -> Result<Self> {
        let (count, batch_size) = (faces.len(), config.training.batch_size);
        if count < batch_size {
            return Err(failure(
                Kind::Data,
                format!(
                    "{count} pictures to train on under {} are fewer than a batch of {batch_size}: lower --batch-size, or \
                     add pictures",
                    config.training.data
                ),
            ));
        }
        Ok(Self {
            orders: Orders::new(config.training.seed, count),
            faces,
            held: String::new(),
            config: config.clone(),
        })
    }

    /// The same, with what is held out in its sum.
    #[must_use]
    pub fn with_held(mut self, held: &Faces) -> Self {
        self.held = format!("; held out {}", held.fingerprint());
        self
    }

    /// The faces themselves.
    pub fn faces(&self) -> &Arc<Faces> {
        &self.faces
    }

    /// The pictures of a batch as they are, with the number of the batch since the first epoch.
    ///
    /// # Errors
    /// As [`Pictures::sample`].
    pub fn samples(&self, epoch: u64, index: usize) -> Result<(Vec<Cow<'_, Sample>>, u64)> {
        let count = self.config.training.batch_size;
        let order = self.orders.of(epoch);
        let places = &order[index * count..(index + 1) * count];
        let number = epoch * self.len() as u64 + index as u64;
        let sample = |place: &u32| self.faces.sample(*place as usize);
        Ok((places.iter().map(sample).collect::<Result<_>>()?, number))
    }
}

impl Source for Data {
    type Batch = Batch;

    fn len(&self) -> usize {
        // The last incomplete batch of an epoch is left out: its statistics would be others.
        self.faces.len() / self.config.training.batch_size
    }

    fn fingerprint(&self) -> String {
        format!("{}{}", self.faces.fingerprint(), self.held)
    }

    fn warning(&self) -> Option<String> {
        self.faces.warning()
    }

    fn batch(&self, epoch: u64, index: usize) -> Result<Batch> {
        let (samples, number) = self.samples(epoch, index)?;
        let mirrored = if self.config.flip {
            Stream::new(self.config.training.seed, "flip", number).integers(samples.len(), 2)
        } else {
            vec![0; samples.len()]
        };
        let mut batch = Batch {
            pixels: Vec::with_capacity(samples.len() * self.config.pixels()),
            classes: Vec::with_capacity(samples.len()),
        };
        for (sample, mirrored) in samples.into_iter().zip(mirrored) {
            let values = sample.pixels.iter().copied().map(to_unit);
            if mirrored == 1 {
                let values: Vec<f32> = values.collect();
                let rows = values.chunks_exact(self.config.image_size);
                batch.pixels.extend(rows.flat_map(|row| row.iter().rev()));
            } else {
                batch.pixels.extend(values);
            }
            batch.classes.push(sample.class);
        }
        Ok(batch)
    }
}

/// Nothing, so often: for a stage that makes its own batches.
#[derive(Debug, Clone)]
pub struct Made {
    /// Batches an epoch.
    pub batches: usize,
    /// What they are made from.
    pub fingerprint: String,
}

impl Source for Made {
    type Batch = ();

    fn len(&self) -> usize {
        self.batches
    }

    fn fingerprint(&self) -> String {
        self.fingerprint.clone()
    }

    fn batch(&self, _epoch: u64, _index: usize) -> Result<()> {
        Ok(())
    }
}

/// What `data` does for this architecture.
pub const DATASETS: Datasets = Datasets {
    word: "cgan",
    known: &[
        Known {
            name: "wiki",
            about: "62,328 photographs of Wikipedia's persons with dates of birth, cropped to faces, 1 GB, for research",
            page: "get \"faces only\" of WIKI from https://data.vision.ee.ethz.ch/cvl/rrothe/imdb-wiki",
            files: &[KnownFile {
                name: "wiki_crop.tar",
                mirrors: &[
                    "https://data.vision.ee.ethz.ch/cvl/rrothe/imdb-wiki/static/wiki_crop.tar",
                ],
                sha256: None,
                bytes: None,
                most_bytes: 4 << 30,
            }],
        },
        Known {
            name: "imdb",
            about: "460,723 photographs of IMDB's persons with dates of birth, cropped to faces, 7 GB, for research",
            page: "get \"faces only\" of IMDB from https://data.vision.ee.ethz.ch/cvl/rrothe/imdb-wiki",
            files: &[KnownFile {
                name: "imdb_crop.tar",
                mirrors: &[
                    "https://data.vision.ee.ethz.ch/cvl/rrothe/imdb-wiki/static/imdb_crop.tar",
                ],
                sha256: None,
                bytes: None,
                most_bytes: 16 << 30,
            }],
        },
    ],
    procedural: procedural::write,
    procedural_count: 1200,
    procedural_about: PROCEDURAL,
    suggest: |_| Vec::new(),
    check: Some(check),
    pairs: None,
    resolutions: None,
    shapes: None,
};

/// `data check`: how many faces of each class, what is left out, and which files cannot be read.
fn check(place: &Path) -> Result<String> {
    let mut config = Config::default();
    if place.is_dir() && idx::is_here(place, "train") {
        config.dataset = Dataset::Mnist;
        config.image_size = 32;
    }
    config.training.data = place.display().to_string();
    let classes = config.classes();
    let mut lines = Vec::new();
    let mut counts = vec![0; classes.count()];
    let (mut readable, mut broken) = (0, Vec::new());
    if config.dataset == Dataset::Mnist {
        for part in [Part::Train, Part::Held] {
            for sample in digits(place, part, &config)? {
                counts[usize::from(sample.class)] += 1;
                readable += 1;
            }
        }
    } else {
        let found = listing(place, config.min_face_score)?;
        lines.extend(
            found
                .skipped
                .lines()
                .into_iter()
                .map(|line| format!("left out: {line}")),
        );
        let persons: std::collections::BTreeSet<_> = found
            .files
            .iter()
            .filter_map(|(_, label)| label.person.as_ref())
            .collect();
        if !persons.is_empty() {
            lines.push(format!("{} persons are known", persons.len()));
        }
        let read = gan_core::samples::in_parallel(&found.files, |(path, label)| {
            images::read(path).map(|_| classes.of(label.age))
        });
        for result in read {
            match result {
                Ok(class) => {
                    counts[class] += 1;
                    readable += 1;
                }
                Err(error) => broken.push(format!("cannot be read: {error:#}")),
            }
        }
    }
    /// Broken files that are named; the others are counted.
    const NAMED: usize = 20;
    lines.extend(broken.iter().take(NAMED).cloned());
    if broken.len() > NAMED {
        lines.push(format!("and {} more", broken.len() - NAMED));
    }
    for (class, count) in counts.iter().enumerate() {
        lines.push(format!("{:>6} of class {}", count, classes.name(class)));
    }
    print(&lines.join("\n"));
    let all = readable + broken.len();
    if broken.len() as f64 > MOST_BROKEN * all as f64 {
        return Err(failure(
            Kind::Data,
            format!(
                "{} of {all} pictures under {} cannot be read: training would refuse them",
                broken.len(),
                place.display()
            ),
        ));
    }
    let flags = match config.dataset {
        Dataset::Mnist => "--preset mnist",
        Dataset::Faces if readable < 10_000 => "--preset utkface",
        Dataset::Faces => "--preset paper",
    };
    Ok(format!(
        "{readable} faces can be read: cgan train {flags} --data {}",
        place.display()
    ))
}

#[cfg(test)]
mod tests;
