//! What a batch is: pictures of two domains that have nothing to do with each other, from two folders, or procedural
//! paintings and photographs.

use crate::config::Config;
use crate::scenes::Scene;
use anyhow::Result;
use gan_core::checkpoint::sha256;
use gan_core::command::{print, save_picture};
use gan_core::dataset::{Datasets, Known, KnownFile};
use gan_core::failure::{Kind, at_path, failure};
use gan_core::folder;
use gan_core::images::{self, to_unit};
use gan_core::random::{Orders, Stream};
use gan_core::samples::{Decode, MEMORY_BYTES, Pictures};
use gan_core::stage::Source;
use image::RgbImage;
use std::path::{Path, PathBuf};
use translation::pictures::{Batch, Cut, Flip, squeezed};

/// Scenes of each domain of the procedural stand-in: to train on, and to test with.
pub const PROCEDURAL_COUNTS: (usize, usize) = (400, 40);

/// What the built-in data is, for the first line, the configuration and the report.
pub const PROCEDURAL: &str = "drawn landscapes, painted (A) and photographed (B), not real ones";

/// Pictures that are shown and measured while a training goes on, at most.
const MOST_EXAMPLES: usize = 40;

/// The domains, as folders call them.
pub const DOMAINS: [&str; 2] = ["A", "B"];

/// The folder of a domain's pictures of `part` ("train" or "test"): `trainA`, `train/A`, or for training also `A`.
///
/// # Errors
/// [`Kind::Data`] for a missing folder of training pictures.
pub fn folder_of(folder: &Path, part: &str, domain: &str) -> Result<Option<PathBuf>> {
    let mut places = vec![
        folder.join(format!("{part}{domain}")),
        folder.join(part).join(domain),
    ];
    if part == "train" {
        places.push(folder.join(domain));
    }
    if let Some(found) = places.into_iter().find(|place| place.is_dir()) {
        return Ok(Some(found));
    }
    if part != "train" {
        return Ok(None);
    }
    Err(failure(
        Kind::Data,
        format!(
            "{} has no pictures of domain {domain}: expected the folders trainA and trainB (and testA and testB), or \
             A and B",
            folder.display()
        ),
    ))
}

fn decode(side: usize, channels: usize) -> Decode {
    Box::new(move |paths| {
        let picture = images::to_rgb(&images::read(&paths[0])?);
        Ok(squeezed(&picture, side as u32, channels))
    })
}

/// Scene `number` of the stand-in: the same in each run.
fn scene(number: usize) -> Scene {
    Scene::design(&mut Stream::new(0, "scene", number as u64))
}

/// How scene `number` looks in a domain.
pub(crate) fn drawn(number: usize, domain: usize, side: usize) -> RgbImage {
    let scene = scene(number);
    if domain == 0 {
        scene.painting(side as u32)
    } else {
        scene.photograph(side as u32)
    }
}

/// The numbers of the scenes that a domain has: no scene is in both.
pub(crate) fn scenes(part: &str, domain: usize) -> std::ops::Range<usize> {
    let (train, test) = PROCEDURAL_COUNTS;
    let (first, count) = if part == "train" {
        (domain * train, train)
    } else {
        (2 * train + domain * test, test)
    };
    first..first + count
}

/// Pictures of both domains, in an order that is a pure function of (seed, epoch); those of B are drawn at random
/// beside them.
pub struct Data {
    domains: [Pictures; 2],
    fingerprint: String,
    config: Config,
    orders: Orders,
}

/// Pictures that are shown and measured while a training goes on.
#[derive(Debug, Clone, Default)]
pub struct Examples {
    /// Of each domain, planar, in [-1, 1], `crop_size` pixels a side.
    pub pictures: [Vec<Vec<f32>>; 2],
    /// What each is in the other domain, where that is known.
    pub answers: [Vec<Vec<f32>>; 2],
    /// Pictures that cannot be read, or whose answers cannot, with the reason; they are left out.
    pub broken: Vec<String>,
}

fn channels(config: &Config) -> [usize; 2] {
    [config.input_channels, config.output_channels]
}

impl Data {
    /// Opens the folder that a configuration names, or draws procedural landscapes.
    ///
    /// # Errors
    /// [`Kind::Data`] when a domain is empty, has fewer pictures than a batch, or too many broken ones.
    pub fn open(config: &Config) -> Result<Self> {
        let side = config.load_size;
        let folder = Path::new(&config.training.data);
        let open = |domain: usize| -> Result<Pictures> {
            let channels = channels(config)[domain];
            if config.training.data.is_empty() {
                let draw = |number| squeezed(&drawn(number, domain, side), side as u32, channels);
                return Ok(Pictures::drawn(scenes("train", domain).map(draw).collect()));
            }
            let place = folder_of(folder, "train", DOMAINS[domain])?.unwrap_or_default();
            let files = images::list(&place)?;
            let paths = (0..files.len()).map(|at| vec![files.path(at)]).collect();
            let bytes = channels * side * side;
            // Both share the memory.
            let memory = MEMORY_BYTES / 2;
            Pictures::open(&place, paths, bytes, memory, decode(side, channels))
        };
        let domains = [open(0)?, open(1)?];
        let batch = config.training.batch_size;
        for (pictures, name) in domains.iter().zip(DOMAINS) {
            if pictures.len() < batch {
                return Err(failure(
                    Kind::Data,
                    format!(
                        "{} pictures of domain {name} under {} are fewer than a batch of {batch}: lower \
                         --batch-size, or add pictures",
                        pictures.len(),
                        folder.display()
                    ),
                ));
            }
        }
        let longest = domains[0].len().max(domains[1].len());
        let both = domains.each_ref().map(|pictures| pictures.fingerprint());
        Ok(Self {
            fingerprint: format!(
                "{} and {} pictures, sha256 {}",
                domains[0].len(),
                domains[1].len(),
                sha256(both.join("\n").as_bytes())
            ),
            orders: Orders::new(config.training.seed, longest),
            domains,
            config: config.clone(),
        })
    }

    /// Files of each domain that cannot be read, with the reason; they are left out.
    pub fn broken(&self) -> [&[String]; 2] {
        self.domains
            .each_ref()
            .map(|pictures| pictures.broken.as_slice())
    }
}

impl Examples {
    /// Pictures of the test set, evenly spread, or of the training set where there is no test set; with the right
    /// answers of procedural ones.
    ///
    /// # Errors
    /// [`Kind::Data`] when a domain's folder holds no pictures.
    pub fn open(config: &Config) -> Result<Self> {
        let side = config.crop_size;
        let unit = |bytes: &[u8]| -> Vec<f32> { bytes.iter().copied().map(to_unit).collect() };
        let mut examples = Self::default();
        let folder = Path::new(&config.training.data);
        let tests = match config.training.data.is_empty() {
            true => None,
            false => tests_of(folder)?,
        };
        // What judges a translation sees colours.
        let is_known = channels(config) == [3, 3];
        for (domain, name) in DOMAINS.into_iter().enumerate() {
            let channels = channels(config)[domain];
            if config.training.data.is_empty() {
                for number in scenes("test", domain).take(MOST_EXAMPLES / 2) {
                    let bytes =
                        |domain| squeezed(&drawn(number, domain, side), side as u32, channels);
                    examples.pictures[domain].push(unit(&bytes(domain)));
                    if is_known {
                        examples.answers[domain].push(unit(&bytes(1 - domain)));
                    }
                }
                continue;
            }
            let place = match tests.clone() {
                Some(places) => places[domain].clone(),
                None => folder_of(folder, "train", name)?.unwrap_or_default(),
            };
            let files = images::list(&place)?;
            let count = files.len().min(MOST_EXAMPLES / 2);
            let answers = answers_of(folder, name).filter(|_| is_known);
            for at in 0..count {
                let index = at * files.len() / count;
                let decode = decode(side, channels);
                let answer = answers
                    .as_ref()
                    .map(|answers| answers.join(files.name(index)));
                // Both or none: they are told apart by their places.
                let read = || -> Result<_> {
                    let picture = decode(&[files.path(index)])?;
                    let answer = answer.map(|answer| decode(&[answer])).transpose()?;
                    Ok((picture, answer))
                };
                match read() {
                    Ok((picture, answer)) => {
                        examples.pictures[domain].push(unit(&picture));
                        examples.answers[domain].extend(answer.as_deref().map(unit));
                    }
                    Err(error) => examples.broken.push(format!("{error:#}")),
                }
            }
        }
        Ok(examples)
    }
}

/// Both folders of test pictures; none where there is none.
///
/// # Errors
/// [`Kind::Data`] when one is there without the other.
fn tests_of(folder: &Path) -> Result<Option<[PathBuf; 2]>> {
    let [a, b] = DOMAINS.map(|domain| folder_of(folder, "test", domain));
    match (a?, b?) {
        (Some(a), Some(b)) => Ok(Some([a, b])),
        (None, None) => Ok(None),
        (Some(there), None) | (None, Some(there)) => Err(failure(
            Kind::Data,
            format!(
                "{} is there, but its partner is not: test pictures are of both domains (testA and testB)",
                there.display()
            ),
        )),
    }
}

/// Where the right answers to a domain's test pictures lie, under equal names, in a dataset that has them.
pub fn answers_of(folder: &Path, domain: &str) -> Option<PathBuf> {
    let place = folder.join(format!("test{domain}_answers"));
    place.is_dir().then_some(place)
}

impl Source for Data {
    type Batch = Batch;

    fn len(&self) -> usize {
        let longest = self.domains[0].len().max(self.domains[1].len());
        longest / self.config.training.batch_size
    }

    fn fingerprint(&self) -> String {
        self.fingerprint.clone()
    }

    fn warning(&self) -> Option<String> {
        self.domains.iter().find_map(Pictures::warning)
    }

    fn batch(&self, epoch: u64, index: usize) -> Result<Batch> {
        let config = &self.config;
        let (count, load, crop) = (
            config.training.batch_size,
            config.load_size,
            config.crop_size,
        );
        let order = self.orders.of(epoch);
        let number = epoch * self.len() as u64 + index as u64;
        let seed = config.training.seed;
        let mut cuts = Stream::new(seed, "cut", number);
        let mut partners = Stream::new(seed, "partner", number);
        let flip = if config.flip { Flip::Half } else { Flip::Never };
        let mut batch = Batch::default();
        for place in &order[index * count..(index + 1) * count] {
            let a = *place as usize % self.domains[0].len();
            let b = partners.integers(1, self.domains[1].len())[0];
            let chosen = [(0, a, &mut batch.a), (1, b, &mut batch.b)];
            for (domain, index, out) in chosen {
                let bytes = self.domains[domain].sample(index)?;
                Cut::draw(load, crop, flip, &mut cuts).append(&bytes, out);
            }
        }
        Ok(batch)
    }
}

/// A set of the authors, by its name there.
macro_rules! set {
    ($name:literal, $about:literal) => {
        Known {
            name: $name,
            about: $about,
            page: "https://efrosgans.eecs.berkeley.edu/cyclegan/datasets/",
            files: &[KnownFile {
                name: concat!($name, ".zip"),
                mirrors: &[concat!(
                    "https://efrosgans.eecs.berkeley.edu/cyclegan/datasets/",
                    $name,
                    ".zip"
                )],
                sha256: None,
                bytes: None,
                most_bytes: 2 << 30,
            }],
        }
    };
}

/// What `data` does for this architecture.
pub const DATASETS: Datasets = Datasets {
    word: "cyclegan",
    known: &[
        set!(
            "monet2photo",
            "chapter 7's set: 1,072 paintings by Monet (A) and 6,287 photographs (B) to train on, about 290 MB"
        ),
        set!("horse2zebra", "horses (A) and zebras (B)"),
        set!("apple2orange", "apples (A) and oranges (B)"),
        set!(
            "summer2winter_yosemite",
            "Yosemite in summer (A) and in winter (B)"
        ),
        set!(
            "vangogh2photo",
            "paintings by van Gogh (A) and photographs (B)"
        ),
        set!(
            "cezanne2photo",
            "paintings by Cezanne (A) and photographs (B)"
        ),
        set!("ukiyoe2photo", "Japanese prints (A) and photographs (B)"),
        set!("maps", "aerial views (A) and street maps (B)"),
        set!("facades", "facades (A) and label maps (B)"),
        set!(
            "iphone2dslr_flower",
            "flowers by a telephone (A) and by a camera (B)"
        ),
    ],
    procedural: write_procedural,
    procedural_count: 2 * (PROCEDURAL_COUNTS.0 + PROCEDURAL_COUNTS.1),
    procedural_about: PROCEDURAL,
    suggest: |_| Vec::new(),
    check: Some(check),
    pairs: None,
    resolutions: None,
    shapes: None,
};

/// Side of the stand-in's files in pixels, that of monet2photo.
const PROCEDURAL_SIDE: usize = 256;

/// Writes `count` pictures, half of them of each domain, an eleventh of them for testing with their right answers.
fn write_procedural(folder: &Path, count: usize) -> Result<()> {
    let each = count.div_ceil(2);
    let test = each / 11;
    for (domain, name) in DOMAINS.into_iter().enumerate() {
        for number in 0..each {
            // No scene is in both domains.
            let scene = domain * each + number;
            let is_test = number >= each - test;
            let part = if is_test { "test" } else { "train" };
            let mut places = vec![(format!("{part}{name}"), domain)];
            if is_test {
                places.push((format!("test{name}_answers"), 1 - domain));
            }
            for (place, shown) in places {
                let place = folder.join(place);
                std::fs::create_dir_all(&place)
                    .map_err(|error| at_path(Kind::Disk, "create", &place, &error))?;
                let picture = drawn(scene, shown, PROCEDURAL_SIDE);
                save_picture(&place.join(format!("{:05}.png", scene + 1)), &picture)?;
            }
        }
    }
    Ok(())
}

/// Looks at every picture of both domains.
fn check(folder: &Path) -> Result<String> {
    let mut text = String::new();
    let (mut all, mut bad, mut counts) = (0, 0, Vec::new());
    for part in ["train", "test"] {
        for name in DOMAINS {
            let Some(place) = folder_of(folder, part, name)? else {
                continue;
            };
            let inspection = folder::inspect(&place)?;
            text.push_str(&format!("{part}{name}\n{}", inspection.text(&place)));
            all += inspection.readable + inspection.unreadable.len();
            bad += inspection.unreadable.len();
            if part == "train" {
                counts.push(inspection.readable);
            }
        }
    }
    print(&text);
    if bad as f64 > images::MOST_BROKEN * all as f64 {
        return Err(failure(
            Kind::Data,
            format!(
                "{bad} of {all} pictures under {} cannot be read: training would refuse them",
                folder.display()
            ),
        ));
    }
    Ok(format!(
        "an epoch has {} steps: as many as the larger domain has pictures; those of the smaller one come again",
        counts.iter().max().unwrap_or(&0)
    ))
}
