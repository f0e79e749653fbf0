//! What a batch is: pairs, from pictures that stand side by side in one file or under equal names in two folders, or
//! procedural facades.

use crate::config::{Config, Direction};
use crate::{facades, pairs};
use anyhow::Result;
use gan_core::command::{print, save_picture};
use gan_core::dataset::{Datasets, Known, KnownFile};
use gan_core::failure::{Kind, at_path, failure};
use gan_core::images::{self, to_unit};
use gan_core::random::{Orders, Stream};
use gan_core::samples::{Decode, MEMORY_BYTES, Pictures};
use gan_core::stage::Source;
use image::RgbImage;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use translation::pictures::{Batch, Cut, Flip, Sample, squeezed};

/// Pairs of the procedural stand-in: to train on, and to test with.
pub const PROCEDURAL_COUNTS: (usize, usize) = (400, 50);

/// What the built-in data is, for the first line, the configuration and the report.
pub const PROCEDURAL: &str = "drawn facades with their label maps, not photographs";

/// The pairs of a part of a dataset, and how they lie on the disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// The files of each pair: one with both pictures side by side, or two.
    pub pairs: Vec<Vec<PathBuf>>,
    /// The name of each pair: that of its first file, from the folder of the part on.
    pub names: Vec<PathBuf>,
    /// Pictures without a partner.
    pub alone: Vec<PathBuf>,
    /// Where they were looked for.
    pub layout: String,
}

/// Finds the pairs of `part` ("train" or "test"; a folder `val` is as good as `test`) under a folder, in one of the
/// layouts that are in use:
///
/// - `train/*.jpg`: pairs side by side, the authors' layout,
/// - `A/train` and `B/train`, `train/A` and `train/B`, `trainA` and `trainB`: equal names, whatever the ending,
/// - for training, also the folder itself: pairs side by side, or in `A` and `B`.
///
/// `None` where the folder has no such part.
///
/// # Errors
/// [`Kind::Data`] when a folder cannot be read.
pub fn find(folder: &Path, part: &str) -> Result<Option<Found>> {
    let names: &[&str] = if part == "test" {
        &["test", "val"]
    } else {
        &[part]
    };
    for name in names {
        let places = [
            [folder.join("A").join(name), folder.join("B").join(name)],
            [folder.join(name).join("A"), folder.join(name).join("B")],
            [
                folder.join(format!("{name}A")),
                folder.join(format!("{name}B")),
            ],
        ];
        for [a, b] in &places {
            if are_there(a, b)? {
                return two_folders(a, b).map(Some);
            }
        }
        let together = folder.join(name);
        // An empty test/ hides no val/.
        let is_last = names.last() == Some(name);
        if together.is_dir() && (is_last || images::list(&together).is_ok()) {
            return side_by_side(&together).map(Some);
        }
    }
    let has_parts = ["train", "test", "val", "trainA", "testA"]
        .iter()
        .any(|name| folder.join(name).is_dir());
    if part != "train" || has_parts {
        return Ok(None);
    }
    let (a, b) = (folder.join("A"), folder.join("B"));
    if are_there(&a, &b)? {
        return two_folders(&a, &b).map(Some);
    }
    side_by_side(folder).map(Some)
}

/// Whether both folders of a layout are there. One alone is not taken for pairs side by side: its pictures would be
/// cut in halves.
fn are_there(a: &Path, b: &Path) -> Result<bool> {
    let (there, missing) = match (a.is_dir(), b.is_dir()) {
        (true, true) => return Ok(true),
        (false, false) => return Ok(false),
        (true, false) => (a, b),
        (false, true) => (b, a),
    };
    Err(failure(
        Kind::Data,
        format!(
            "{} is there, but its partner {} is not, so it holds no part to train on: the pictures of a pair lie under \
             equal names in both",
            there.display(),
            missing.display()
        ),
    ))
}

fn side_by_side(folder: &Path) -> Result<Found> {
    let files = images::list(folder)?;
    Ok(Found {
        pairs: (0..files.len()).map(|at| vec![files.path(at)]).collect(),
        names: (0..files.len())
            .map(|at| files.name(at).to_owned())
            .collect(),
        alone: Vec::new(),
        layout: format!("side by side in {}", folder.display()),
    })
}

fn two_folders(a: &Path, b: &Path) -> Result<Found> {
    // Of a.jpg and a.png in one folder, one has a partner.
    let mut alone = Vec::new();
    let mut by_name = |folder: &Path| -> Result<BTreeMap<PathBuf, PathBuf>> {
        let files = images::list(folder)?;
        let mut named = BTreeMap::new();
        for at in 0..files.len() {
            alone.extend(named.insert(files.name(at).with_extension(""), files.path(at)));
        }
        Ok(named)
    };
    let (first, mut second) = (by_name(a)?, by_name(b)?);
    let mut found = Found {
        pairs: Vec::new(),
        names: Vec::new(),
        alone,
        layout: format!("{} and {}", a.display(), b.display()),
    };
    for (name, path) in first {
        match second.remove(&name) {
            Some(partner) => {
                found
                    .names
                    .push(path.strip_prefix(a).unwrap_or(&path).to_owned());
                found.pairs.push(vec![path, partner]);
            }
            None => found.alone.push(path),
        }
    }
    found.alone.extend(second.into_values());
    Ok(found)
}

/// Both pictures of a pair, A and B, as they are.
///
/// # Errors
/// [`Kind::Data`] that names the file: it cannot be read, is too narrow or of odd width to hold two pictures, or the
/// two are of different sizes.
pub fn read(paths: &[PathBuf]) -> Result<[RgbImage; 2]> {
    let picture = |path: &PathBuf| images::read(path).map(|picture| images::to_rgb(&picture));
    if let [first, second] = paths {
        let pair = [picture(first)?, picture(second)?];
        let [a, b] = [pair[0].dimensions(), pair[1].dimensions()];
        if a != b {
            return Err(failure(
                Kind::Data,
                format!(
                    "{} has {} x {} pixels, its partner {} has {} x {}: the pictures of a pair must show the same \
                     place at the same size",
                    first.display(),
                    a.0,
                    a.1,
                    second.display(),
                    b.0,
                    b.1
                ),
            ));
        }
        return Ok(pair);
    }
    let path = &paths[0];
    let both = picture(path)?;
    let (width, height) = both.dimensions();
    if !width.is_multiple_of(2) {
        return Err(failure(
            Kind::Data,
            format!(
                "{}: a width of {width} pixels cannot be halved into a pair; `pix2pix data prepare --pairs \
                 combine` puts two pictures side by side",
                path.display()
            ),
        ));
    }
    let half = |left| image::imageops::crop_imm(&both, left, 0, width / 2, height).to_image();
    Ok([half(0), half(width / 2)])
}

/// What a pair becomes: its input, then its target, planar.
fn sample(pair: &[RgbImage; 2], side: usize, config: &Config) -> Sample {
    let [a, b] = pair;
    let (input, target) = match config.direction {
        Direction::A2b => (a, b),
        Direction::B2a => (b, a),
    };
    let mut bytes = squeezed(input, side as u32, config.input_channels);
    bytes.extend(squeezed(target, side as u32, config.output_channels));
    bytes
}

fn decode(side: usize, config: &Config) -> Decode {
    let config = config.clone();
    Box::new(move |paths| Ok(sample(&read(paths)?, side, &config)))
}

/// Facade `number` of the stand-in: the same in each run. A is the photograph, B the label map, as in the real set.
fn procedural(number: u64, side: usize) -> [RgbImage; 2] {
    // Drawn at a size that the painter has.
    let facade = facades::facade(side as u32, &mut Stream::new(0, "facade", number));
    [facade.photo, facade.labels]
}

/// Drawn pairs from `first` on.
fn drawn(first: usize, count: usize, side: usize, config: &Config) -> Pictures {
    let draw = |number| sample(&procedural(number as u64, side), side, config);
    Pictures::drawn((first..first + count).map(draw).collect())
}

/// Pairs to train on, in an order that is a pure function of (seed, epoch).
pub struct Data {
    pictures: Pictures,
    config: Config,
    orders: Orders,
}

/// Pairs that are kept out of training.
#[derive(Debug, Clone, Default)]
pub struct Examples {
    /// Input and target of each, planar, in [-1, 1], `crop_size` pixels a side.
    pub pairs: Vec<(Vec<f32>, Vec<f32>)>,
    /// Pairs that cannot be read, or are none, with the reason; they are left out.
    pub broken: Vec<String>,
}

impl Data {
    /// Opens the folder that a configuration names, or draws procedural facades.
    ///
    /// # Errors
    /// [`Kind::Data`] when there are no pairs, fewer than a batch, or too many broken ones.
    pub fn open(config: &Config) -> Result<Self> {
        let folder = Path::new(&config.training.data);
        let load = config.load_size;
        let bytes = (config.input_channels + config.output_channels) * load * load;
        let pictures = if config.training.data.is_empty() {
            drawn(0, PROCEDURAL_COUNTS.0, load, config)
        } else {
            let found = find(folder, "train")?.ok_or_else(|| {
                failure(
                    Kind::Data,
                    format!(
                        "{} holds no part to train on: expected train/ with pairs side by side, or trainA/ and \
                         trainB/",
                        folder.display()
                    ),
                )
            })?;
            found.check(folder)?;
            let decode = decode(load, config);
            let mut pictures = Pictures::open(folder, found.pairs, bytes, MEMORY_BYTES, decode)?;
            let alone = found.alone.iter();
            pictures
                .broken
                .extend(alone.map(|path| format!("{} has no partner", path.display())));
            pictures
        };
        let batch = config.training.batch_size;
        if pictures.len() < batch {
            return Err(failure(
                Kind::Data,
                format!(
                    "{} pairs under {} are fewer than a batch of {batch}: lower --batch-size, or add pairs",
                    pictures.len(),
                    folder.display()
                ),
            ));
        }
        Ok(Self {
            orders: Orders::new(config.training.seed, pictures.len()),
            pictures,
            config: config.clone(),
        })
    }

    /// Pairs that cannot be read, or are none, with the reason; they are left out.
    pub fn broken(&self) -> &[String] {
        &self.pictures.broken
    }
}

impl Found {
    /// Refuses a dataset of which too much has no partner.
    fn check(&self, folder: &Path) -> Result<()> {
        let all = self.pairs.len() + self.alone.len();
        if self.alone.len() as f64 > images::MOST_BROKEN * all as f64 {
            return Err(failure(
                Kind::Data,
                format!(
                    "{} of {all} names under {} have no partner ({}), the first: {}",
                    self.alone.len(),
                    folder.display(),
                    self.layout,
                    self.alone[0].display()
                ),
            ));
        }
        Ok(())
    }
}

impl Examples {
    /// Up to `count` pairs of the test set, evenly spread; none where there is no test set.
    ///
    /// # Errors
    /// [`Kind::Data`] when the folder of the test set holds no pictures.
    pub fn open(config: &Config, count: usize) -> Result<Self> {
        let folder = Path::new(&config.training.data);
        let side = config.crop_size;
        let mut examples = Self::default();
        if config.training.data.is_empty() {
            let (first, all) = PROCEDURAL_COUNTS;
            for number in first..first + all.min(count) {
                examples.push(
                    &sample(&procedural(number as u64, side), side, config),
                    config,
                );
            }
            return Ok(examples);
        }
        let Some(found) = find(folder, "test")? else {
            return Ok(examples);
        };
        let alone = found.alone.iter();
        examples.broken = alone
            .map(|path| format!("{} has no partner", path.display()))
            .collect();
        let all = found.pairs.len();
        let chosen = count.min(all);
        for at in 0..chosen {
            match read(&found.pairs[at * all / chosen]) {
                Ok(pair) => examples.push(&sample(&pair, side, config), config),
                Err(error) => examples.broken.push(format!("{error:#}")),
            }
        }
        Ok(examples)
    }

    fn push(&mut self, sample: &[u8], config: &Config) {
        let unit = |bytes: &[u8]| bytes.iter().copied().map(to_unit).collect();
        let (input, target) = sample.split_at(config.input_channels * config.crop_size.pow(2));
        self.pairs.push((unit(input), unit(target)));
    }
}

impl Source for Data {
    type Batch = Batch;

    fn len(&self) -> usize {
        // The last incomplete batch of an epoch is left out: its statistics would be others.
        self.pictures.len() / self.config.training.batch_size
    }

    fn fingerprint(&self) -> String {
        self.pictures.fingerprint().to_owned()
    }

    fn warning(&self) -> Option<String> {
        self.pictures.warning()
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
        let mut stream = Stream::new(config.training.seed, "cut", number);
        let flip = if config.flip { Flip::Half } else { Flip::Never };
        let mut batch = Batch::default();
        for place in &order[index * count..(index + 1) * count] {
            let bytes = self.pictures.sample(*place as usize)?;
            let (input, target) = bytes.split_at(config.input_channels * load * load);
            let cut = Cut::draw(load, crop, flip, &mut stream);
            cut.append(input, &mut batch.a);
            cut.append(target, &mut batch.b);
        }
        Ok(batch)
    }
}

/// A set of the authors, by its name there.
macro_rules! set {
    ($name:literal, $about:literal, $most:expr) => {
        Known {
            name: $name,
            about: $about,
            page: "https://efrosgans.eecs.berkeley.edu/pix2pix/datasets/",
            files: &[KnownFile {
                name: concat!($name, ".tar.gz"),
                mirrors: &[concat!(
                    "https://efrosgans.eecs.berkeley.edu/pix2pix/datasets/",
                    $name,
                    ".tar.gz"
                )],
                sha256: None,
                bytes: None,
                most_bytes: $most,
            }],
        }
    };
}

/// What `data` does for this architecture.
pub const DATASETS: Datasets = Datasets {
    word: "pix2pix",
    known: &[
        set!(
            "facades",
            "400 facades to train on, 100 and 106 to test with: photograph left, label map right (--direction b2a)",
            1 << 30
        ),
        set!("maps", "aerial views beside street maps", 1 << 30),
        set!("cityscapes", "street scenes beside label maps", 1 << 30),
        set!("night2day", "places at night and by day", 8 << 30),
        set!(
            "edges2shoes",
            "drawn edges beside photographs of shoes",
            8 << 30
        ),
        set!(
            "edges2handbags",
            "drawn edges beside photographs of handbags",
            16 << 30
        ),
    ],
    procedural: write_procedural,
    procedural_count: PROCEDURAL_COUNTS.0 + PROCEDURAL_COUNTS.1,
    procedural_about: PROCEDURAL,
    suggest: |_| Vec::new(),
    check: Some(check),
    pairs: Some(pairs::prepare),
    resolutions: None,
    shapes: None,
};

/// Side of the stand-in's files in pixels, that of the real facades.
const PROCEDURAL_SIDE: u32 = 256;

/// Writes pairs side by side, a ninth of them for testing.
fn write_procedural(folder: &Path, count: usize) -> Result<()> {
    let test = count / 9;
    for number in 0..count {
        let part = if number < count - test {
            "train"
        } else {
            "test"
        };
        let folder = folder.join(part);
        std::fs::create_dir_all(&folder)
            .map_err(|error| at_path(Kind::Disk, "create", &folder, &error))?;
        let pair = procedural(number as u64, PROCEDURAL_SIDE as usize);
        let both = pairs::beside(&pair);
        save_picture(&folder.join(format!("{:04}.png", number + 1)), &both)?;
    }
    Ok(())
}

/// Looks at every pair of a dataset: what is there, what has no partner, what cannot be read or halved.
fn check(folder: &Path) -> Result<String> {
    let mut text = String::new();
    let (mut all, mut bad, mut has_training) = (0, Vec::new(), false);
    for part in ["train", "test"] {
        let Some(found) = find(folder, part)? else {
            continue;
        };
        has_training |= part == "train";
        let mut sizes: BTreeMap<(u32, u32), usize> = BTreeMap::new();
        for paths in &found.pairs {
            match read(paths) {
                Ok([a, _]) => *sizes.entry(a.dimensions()).or_default() += 1,
                Err(error) => bad.push(format!("{error:#}")),
            }
        }
        bad.extend(
            found
                .alone
                .iter()
                .map(|path| format!("{} has no partner", path.display())),
        );
        all += found.pairs.len() + found.alone.len();
        let sizes: Vec<String> = sizes
            .iter()
            .map(|((width, height), count)| format!("{count} of {width} x {height}"))
            .collect();
        text.push_str(&format!(
            "{part}: {} pairs, {}; {}\n",
            found.pairs.len(),
            found.layout,
            sizes.join(", ")
        ));
    }
    for line in bad.iter().take(20) {
        text.push_str(&format!("broken: {line}\n"));
    }
    if bad.len() > 20 {
        text.push_str(&format!("broken: {} more\n", bad.len() - 20));
    }
    print(&text);
    if !has_training {
        return Err(failure(
            Kind::Data,
            format!(
                "{} holds no part to train on: expected train/ with pairs side by side, or trainA/ and trainB/",
                folder.display()
            ),
        ));
    }
    if bad.len() as f64 > images::MOST_BROKEN * all as f64 {
        return Err(failure(
            Kind::Data,
            format!(
                "{} of {all} pairs under {} cannot be used: training would refuse them",
                bad.len(),
                folder.display()
            ),
        ));
    }
    Ok("suggestion: --direction b2a where the right picture is the input (facades); a2b where it is the left one"
        .to_owned())
}
