//! What a batch is: crops of high-resolution pictures and what they become at low resolution, pairs from two folders,
//! or procedural scenes.
//!
//! An epoch is one crop of each picture, at another place in each epoch. Its low-resolution picture is made of the crop
//! (section 3.2) and rounded to bytes, as a file would hold it; of pairs, both are cut at the same place.
//!
//! Decoded pictures stay in memory up to [`MEMORY_BYTES`]. Beyond, a picture is decoded whole for each crop of it: PNG
//! has no other way. Of a photograph of 2040 x 1356 pixels that took 49 ms a crop on one core, of its squares of 480
//! pixels 4 ms, so training says once that `data prepare --sub-images 480` makes such files. Keeping decoded pictures for
//! later crops would either fill the memory or let consecutive batches show the same pictures.

mod prepare;

use crate::config::Config;
use crate::{degrade, scenes};
use anyhow::Result;
use gan_core::checkpoint::sha256;
use gan_core::command::{print, save_picture};
use gan_core::config::illegal;
use gan_core::dataset::{Datasets, Known, KnownFile};
use gan_core::failure::{Kind, at_path, failure};
use gan_core::files::Files;
use gan_core::folder::{self, Inspection};
use gan_core::images;
use gan_core::random::{Orders, Stream};
use gan_core::samples::{Content, Decode, MEMORY_BYTES, Pictures, in_parallel};
use gan_core::stage::Source;
use image::{RgbImage, imageops};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

/// Scenes of the procedural stand-in: to train on, and to test with.
pub const PROCEDURAL_COUNTS: (usize, usize) = (200, 20);

/// What the built-in data is, for the first line, the configuration and the report.
pub const PROCEDURAL: &str = "drawn scenes with sharp edges, writing and textures, not photographs";

/// Side of the procedural scenes in pixels.
const PROCEDURAL_SIDE: u32 = 256;

/// The largest side of a test picture in pixels, so that validating costs little.
const EXAMPLE_SIDE: u32 = 128;

/// The smallest side of a test picture in pixels: without its border, a window of SSIM still fits.
const SMALLEST_EXAMPLE: u32 = 32;

/// Pictures of more pixels than this are worth cutting up before training when they are not kept in memory.
const MANY_PIXELS: usize = 1 << 20;

/// By how much low-resolution pictures may be smaller.
pub const SCALES: [u32; 3] = [2, 4, 8];

/// Folders of pairs: of high and of low resolution.
const PAIRS: [[&str; 2]; 4] = [["gt", "lq"], ["GT", "LQ"], ["HR", "LR"], ["hr", "lr"]];

/// The pictures of a part of a dataset, and how they lie on the disk.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Found {
    /// The files of each sample: its picture of high resolution, and that of low resolution where it has one.
    pub samples: Vec<Vec<PathBuf>>,
    /// The name of each sample: that of its first file, from the folder of the part on.
    pub names: Vec<PathBuf>,
    /// Pictures without a partner.
    pub alone: Vec<PathBuf>,
    /// Where they were looked for: the folder of high resolution, and that of low resolution where there is one.
    pub folders: Vec<PathBuf>,
}

impl Found {
    /// Whether there are pictures of both resolutions.
    pub fn is_paired(&self) -> bool {
        self.folders.len() == 2
    }

    fn layout(&self) -> String {
        let folders: Vec<String> = self
            .folders
            .iter()
            .map(|at| at.display().to_string())
            .collect();
        match folders.as_slice() {
            [high, low] if high == low => format!("{high} (..._HR and ..._LR)"),
            _ => folders.join(" and "),
        }
    }

    /// Refuses a dataset of which too much has no partner.
    fn check(&self, folder: &Path) -> Result<()> {
        let all = self.samples.len() + self.alone.len();
        if self.alone.len() as f64 > images::MOST_BROKEN * all as f64 {
            return Err(failure(
                Kind::Data,
                format!(
                    "{} of {all} names under {} have no partner ({}), the first: {}",
                    self.alone.len(),
                    folder.display(),
                    self.layout(),
                    self.alone[0].display()
                ),
            ));
        }
        Ok(())
    }

    fn why_alone(&self) -> impl Iterator<Item = String> {
        let alone = self.alone.iter();
        alone.map(|path| format!("{} has no partner", path.display()))
    }
}

/// Finds the pictures of `part` ("train" or "test"; folders `val` and `valid` are as good as `test`) under a folder, in
/// one of the layouts that are in use:
///
/// - pictures of high resolution at any depth under `train`, or DIV2K's `DIV2K_train_HR`,
/// - pairs under equal names, whatever the ending: `train/gt` and `train/lq`, `gt/train` and `lq/train`; `HR` and `LR`
///   are as good. In the folder of low resolution there may be one for each scale, `X4`, and names may end in the scale,
///   `0001x4.png`,
/// - DIV2K's `DIV2K_train_LR_bicubic/X4` beside `DIV2K_train_HR`,
/// - for training, also the folder itself: pictures at any depth, or `gt` and `lq`,
/// - pairs side by side, as Set5, Set14 and others are passed on: `img_001_SRF_4_HR.png` and `img_001_SRF_4_LR.png`.
///
/// Of low-resolution pictures in several scales, the first of `scales` is taken. `None` where the folder has no such
/// part.
///
/// # Errors
/// [`Kind::Data`] when a folder cannot be read, holds no pictures, or pictures of low resolution alone.
pub fn find(folder: &Path, part: &str, scales: &[u32]) -> Result<Option<Found>> {
    let (names, div2k): (&[&str], _) = if part == "test" {
        (&["test", "val", "valid"], "valid")
    } else {
        (&["train"], "train")
    };
    for name in names {
        for [high, low] in PAIRS {
            for [high, low] in [
                [folder.join(name).join(high), folder.join(name).join(low)],
                [folder.join(high).join(name), folder.join(low).join(name)],
            ] {
                if let Some(found) = pairs(&high, &low, scales)? {
                    return Ok(Some(found));
                }
            }
        }
        let together = folder.join(name);
        if together.is_dir() {
            return plain(&together, scales).map(Some);
        }
    }
    let high = folder.join(format!("DIV2K_{div2k}_HR"));
    if high.is_dir() {
        let low = format!("DIV2K_{div2k}_LR_bicubic");
        let in_archives = scales
            .iter()
            .map(|scale| folder.join(format!("{low}_X{scale}")).join(&low));
        let mut places = std::iter::once(folder.join(&low)).chain(in_archives);
        let low = places.find_map(|low| of_scale(&inner(low), scales));
        return match low {
            Some(low) => two_folders(&inner(high), &low, scales),
            None => plain(&high, scales),
        }
        .map(Some);
    }
    let has_parts = [
        "train",
        "test",
        "val",
        "valid",
        "DIV2K_train_HR",
        "DIV2K_valid_HR",
    ]
    .iter()
    .any(|name| {
        let mut places = PAIRS.iter().map(|[high, _]| folder.join(high).join(name));
        folder.join(name).is_dir() || places.any(|place| place.is_dir())
    });
    if part != "train" || has_parts {
        return Ok(None);
    }
    for [high, low] in PAIRS {
        if let Some(found) = pairs(&folder.join(high), &folder.join(low), scales)? {
            return Ok(Some(found));
        }
    }
    plain(folder, scales).map(Some)
}

/// What lies in two folders of a layout: pairs, or pictures of high resolution where those of low resolution are not
/// there. `None` where both are missing.
fn pairs(high: &Path, low: &Path, scales: &[u32]) -> Result<Option<Found>> {
    match (high.is_dir(), low.is_dir()) {
        (false, false) => Ok(None),
        (true, false) => plain(high, scales).map(Some),
        (true, true) => match of_scale(low, scales) {
            Some(low) => two_folders(high, &low, scales).map(Some),
            None => plain(high, scales).map(Some),
        },
        (false, true) => Err(failure(
            Kind::Data,
            format!(
                "{} is there, but its partner {} is not: pictures of low resolution alone teach nothing",
                low.display(),
                high.display()
            ),
        )),
    }
}

/// An archive may hold a folder of its own name.
fn inner(folder: PathBuf) -> PathBuf {
    let inner = folder.file_name().map(|name| folder.join(name));
    inner.filter(|inner| inner.is_dir()).unwrap_or(folder)
}

/// The folder of low-resolution pictures of one of the scales; `None` where there are only other scales.
fn of_scale(low: &Path, scales: &[u32]) -> Option<PathBuf> {
    let place = |scale: &u32| low.join(format!("X{scale}"));
    if let Some(found) = scales.iter().map(place).find(|place| place.is_dir()) {
        return Some(found);
    }
    let has_others = [2, 3, 4, 8].iter().any(|scale| place(scale).is_dir());
    (low.is_dir() && !has_others).then(|| low.to_owned())
}

/// Pictures of high resolution.
fn plain(folder: &Path, scales: &[u32]) -> Result<Found> {
    let files = images::list(folder)?;
    if let Some(found) = side_by_side(folder, &files, scales) {
        return Ok(found);
    }
    Ok(Found {
        samples: (0..files.len()).map(|at| vec![files.path(at)]).collect(),
        names: (0..files.len())
            .map(|at| files.name(at).to_owned())
            .collect(),
        alone: Vec::new(),
        folders: vec![folder.to_owned()],
    })
}

/// Pairs whose names end in `_SRF_4_HR` and `_SRF_4_LR`, of the first of the scales that there is; others beside them
/// are what some method made. `None` where no name is such a one.
fn side_by_side(folder: &Path, files: &Files, scales: &[u32]) -> Option<Found> {
    let ending_in = |mark: &str| -> BTreeMap<PathBuf, usize> {
        let names = (0..files.len()).filter_map(|at| {
            let name = files.name(at).with_extension("");
            let stem = name.file_name()?.to_str()?.strip_suffix(mark)?.to_owned();
            Some((name.with_file_name(stem), at))
        });
        names.collect()
    };
    scales.iter().find_map(|scale| {
        let [high, mut low] = ["HR", "LR"].map(|side| ending_in(&format!("_SRF_{scale}_{side}")));
        if high.is_empty() || low.is_empty() {
            return None;
        }
        let mut found = Found {
            folders: vec![folder.to_owned(); 2],
            ..Found::default()
        };
        for (stem, at) in high {
            match low.remove(&stem) {
                Some(partner) => {
                    found.names.push(files.name(at).to_owned());
                    found
                        .samples
                        .push(vec![files.path(at), files.path(partner)]);
                }
                None => found.alone.push(files.path(at)),
            }
        }
        found
            .alone
            .extend(low.into_values().map(|at| files.path(at)));
        Some(found)
    })
}

fn two_folders(high: &Path, low: &Path, scales: &[u32]) -> Result<Found> {
    let mut found = Found {
        folders: vec![high.to_owned(), low.to_owned()],
        ..Found::default()
    };
    let files = images::list(high)?;
    let mut named: BTreeMap<PathBuf, PathBuf> = BTreeMap::new();
    for at in 0..files.len() {
        // Of a.jpg and a.png in one folder, one has a partner.
        let name = files.name(at).with_extension("");
        found.alone.extend(named.insert(name, files.path(at)));
    }
    let files = images::list(low)?;
    let mut partners: BTreeMap<PathBuf, PathBuf> = BTreeMap::new();
    for at in 0..files.len() {
        let mut name = files.name(at).with_extension("");
        if !named.contains_key(&name) {
            name = without_scale(&name, scales).unwrap_or(name);
        }
        found.alone.extend(partners.insert(name, files.path(at)));
    }
    for (name, path) in named {
        match partners.remove(&name) {
            Some(partner) => {
                found
                    .names
                    .push(path.strip_prefix(high).unwrap_or(&path).to_owned());
                found.samples.push(vec![path, partner]);
            }
            None => found.alone.push(path),
        }
    }
    found.alone.extend(partners.into_values());
    Ok(found)
}

/// `0001x4` without `x4`.
fn without_scale(name: &Path, scales: &[u32]) -> Option<PathBuf> {
    let text = name.file_name()?.to_str()?;
    let mut stems = scales
        .iter()
        .filter_map(|scale| text.strip_suffix(&format!("x{scale}")));
    stems.next().map(|stem| name.with_file_name(stem))
}

/// A picture of high resolution, and that of low resolution where it is not to be made.
#[derive(Debug, Clone, PartialEq)]
struct Sample {
    high: RgbImage,
    low: Option<RgbImage>,
}

impl Content for Sample {
    fn sum(&self) -> String {
        let both = std::iter::once(&self.high).chain(&self.low);
        let sums: String = both
            .map(|picture| {
                let (width, height) = picture.dimensions();
                format!("{width} x {height} {}\n", sha256(picture.as_raw()))
            })
            .collect();
        sha256(sums.as_bytes())
    }
}

fn read_picture(path: &Path) -> Result<RgbImage> {
    images::read(path).map(|picture| images::to_rgb(&picture))
}

/// How many times as large as `low` the picture `high` is in both directions, but for columns and rows that make no
/// whole pixel.
fn scale_between(high: &RgbImage, low: &RgbImage) -> Option<u32> {
    let is =
        |scale: &u32| [high.width() / scale, high.height() / scale] == [low.width(), low.height()];
    SCALES.into_iter().find(is)
}

/// Reads the files of a sample. Of pairs, what makes no whole low-resolution pixel is cut off.
///
/// # Errors
/// [`Kind::Data`] that names the file: it cannot be read, or the high-resolution picture is not `scale` times as large
/// as the other one; without `scale`, one of [`SCALES`].
fn read(paths: &[PathBuf], scale: Option<u32>) -> Result<Sample> {
    let high = read_picture(&paths[0])?;
    let Some(path) = paths.get(1) else {
        return Ok(Sample { high, low: None });
    };
    let low = read_picture(path)?;
    let is = scale_between(&high, &low);
    let Some(scale) = is.filter(|is| scale.is_none_or(|scale| scale == *is)) else {
        return Err(failure(
            Kind::Data,
            format!(
                "{} has {} x {} pixels, its partner {} has {} x {}: expected {} times as many in both directions",
                paths[0].display(),
                high.width(),
                high.height(),
                path.display(),
                low.width(),
                low.height(),
                scale.map_or("2, 4 or 8".to_owned(), |scale| scale.to_string())
            ),
        ));
    };
    Ok(Sample {
        high: degrade::modcrop(high, scale),
        low: Some(low),
    })
}

/// [`read`] for training with a configuration.
fn decode(config: &Config) -> Decode<Sample> {
    let (scale, crop) = (config.scale as u32, config.crop_size as u32);
    Box::new(move |paths| {
        let sample = read(paths, Some(scale))?;
        let (width, height) = sample.high.dimensions();
        if width.min(height) < crop {
            let other = match paths {
                [_] => format!(
                    ", or leave such pictures out with `srgan data prepare --min-size {crop}`"
                ),
                _ => String::new(),
            };
            return Err(failure(
                Kind::Data,
                format!(
                    "{}: {width} x {height} pixels hold no crop of {crop} x {crop}; lower --crop-size{other}",
                    paths[0].display()
                ),
            ));
        }
        Ok(sample)
    })
}

/// Scene `number` of the stand-in: the same in each run.
fn procedural(number: usize) -> RgbImage {
    scenes::scene(PROCEDURAL_SIDE, &mut Stream::new(0, "scene", number as u64))
}

/// Scenes from `first` on.
fn drawn(first: usize, count: usize) -> Vec<RgbImage> {
    let numbers: Vec<usize> = (first..first + count).collect();
    in_parallel(&numbers, |number| procedural(*number))
}

/// Crops for one step, in [0, 1], planar, three channels, one after the other.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Batch {
    /// Of low resolution, `crop_size / scale` pixels a side.
    pub low: Vec<f32>,
    /// Of high resolution, `crop_size` pixels a side.
    pub high: Vec<f32>,
}

/// Appends a picture, planar, in [0, 1].
fn append(picture: &RgbImage, out: &mut Vec<f32>) {
    for channel in 0..3 {
        let values = picture.pixels().map(|pixel| f32::from(pixel.0[channel]));
        out.extend(values.map(|value| value / 255.0));
    }
}

/// Where a crop is cut out, and how it is turned then.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Cut {
    left: u32,
    top: u32,
    side: u32,
    mirrored: bool,
    /// Quarters clockwise.
    turns: usize,
}

impl Cut {
    /// Draws a crop of a picture; it begins at multiples of `step`.
    fn draw(picture: &RgbImage, step: u32, config: &Config, stream: &mut Stream) -> Self {
        let side = config.crop_size as u32;
        let mut begin = |length: u32| {
            let places = (length - side) / step + 1;
            stream.integers(1, places as usize)[0] as u32 * step
        };
        let (left, top) = (begin(picture.width()), begin(picture.height()));
        // Drawn in any case: without mirroring, crops and turns stay where they were.
        let mirrored = stream.integers(1, 2)[0] == 1;
        let turns = stream.integers(1, 4)[0];
        Self {
            left,
            top,
            side,
            mirrored: mirrored && config.flip,
            turns: if config.rotate { turns } else { 0 },
        }
    }

    /// The same place in a picture of low resolution.
    fn at_scale(self, scale: u32) -> Self {
        Self {
            left: self.left / scale,
            top: self.top / scale,
            side: self.side / scale,
            ..self
        }
    }

    fn of(self, picture: &RgbImage) -> RgbImage {
        let cut = imageops::crop_imm(picture, self.left, self.top, self.side, self.side);
        let mut cut = cut.to_image();
        if self.mirrored {
            imageops::flip_horizontal_in_place(&mut cut);
        }
        match self.turns {
            0 => cut,
            1 => imageops::rotate90(&cut),
            2 => imageops::rotate180(&cut),
            _ => imageops::rotate270(&cut),
        }
    }
}

/// Pictures to train on, in an order that is a pure function of (seed, epoch).
pub struct Data {
    pictures: Pictures<Sample>,
    config: Config,
    orders: Orders,
    /// What would make loading faster, until it has been told.
    advice: Option<String>,
    is_told: AtomicBool,
}

impl Data {
    /// Opens the folder that a configuration names, or draws procedural scenes.
    ///
    /// # Errors
    /// [`Kind::Data`] when there are no pictures, fewer than a batch, or too many broken or small ones;
    /// [`Kind::Usage`] when `scale` does not divide `crop_size`.
    pub fn open(config: &Config) -> Result<Self> {
        Self::open_within(config, MEMORY_BYTES)
    }

    fn open_within(config: &Config, memory: usize) -> Result<Self> {
        let folder = Path::new(&config.training.data);
        let (crop, scale) = (config.crop_size, config.scale);
        if crop == 0 || !crop.is_multiple_of(scale) {
            let legal = format!("a multiple of the scale, {scale}");
            return Err(illegal("crop_size", crop, &legal));
        }
        let mut advice = None;
        let pictures = if config.training.data.is_empty() {
            if crop > PROCEDURAL_SIDE as usize {
                let legal =
                    format!("at most {PROCEDURAL_SIDE} without --data, the side of drawn scenes");
                return Err(illegal("crop_size", crop, &legal));
            }
            let samples = drawn(0, PROCEDURAL_COUNTS.0).into_iter();
            Pictures::drawn(samples.map(|high| Sample { high, low: None }).collect())
        } else {
            let found = find(folder, "train", &[scale as u32])?.ok_or_else(|| no_part(folder))?;
            found.check(folder)?;
            let alone: Vec<String> = found.why_alone().collect();
            let bytes = bytes_each(&found.samples, memory);
            advice = bytes.map_or_else(|pixels| advice_on(pixels, config), |_| None);
            let bytes = bytes.unwrap_or(usize::MAX);
            let mut pictures =
                Pictures::open(folder, found.samples, bytes, memory, decode(config))?;
            pictures.broken.extend(alone);
            pictures
        };
        let batch = config.training.batch_size;
        if pictures.len() < batch {
            return Err(failure(
                Kind::Data,
                format!(
                    "{} pictures under {} are fewer than a batch of {batch}: lower --batch-size, or add pictures",
                    pictures.len(),
                    folder.display()
                ),
            ));
        }
        Ok(Self {
            orders: Orders::new(config.training.seed, pictures.len()),
            pictures,
            config: config.clone(),
            advice,
            is_told: AtomicBool::new(false),
        })
    }

    /// Pictures that cannot be read or used, with the reason; they are left out.
    pub fn broken(&self) -> &[String] {
        &self.pictures.broken
    }
}

fn no_part(folder: &Path) -> anyhow::Error {
    failure(
        Kind::Data,
        format!(
            "{} holds no part to train on: expected pictures in train/, pairs in train/gt and train/lq, or pictures at \
             any depth",
            folder.display()
        ),
    )
}

/// Bytes of a decoded sample, on average; `Err` with the pixels of one picture, on average, where all together take
/// more than `memory`.
fn bytes_each(samples: &[Vec<PathBuf>], memory: usize) -> Result<usize, usize> {
    let mut all = 0;
    for (number, paths) in samples.iter().enumerate() {
        // What does not begin as a picture is told when it is read.
        let pixels: u64 = paths.iter().flat_map(|path| images::pixels(path)).sum();
        all += pixels as usize;
        if 3 * all > memory {
            return Err(all / (number + 1));
        }
    }
    Ok((3 * all).div_ceil(samples.len().max(1)))
}

/// What would make it faster to decode pictures of so many pixels for each crop.
fn advice_on(pixels: usize, config: &Config) -> Option<String> {
    let side = (5 * config.crop_size).next_multiple_of(config.scale);
    (pixels > MANY_PIXELS).then(|| {
        format!(
            "pictures of {:.1} megapixels are decoded anew for each crop of {} pixels: `srgan data prepare -i {} -o NEW \
             --sub-images {side}` makes files that are read faster",
            pixels as f64 / 1e6,
            config.crop_size,
            config.training.data
        )
    })
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
        self.pictures.warning().or_else(|| {
            let advice = self.advice.clone()?;
            (!self.is_told.swap(true, Ordering::Relaxed)).then_some(advice)
        })
    }

    fn batch(&self, epoch: u64, index: usize) -> Result<Batch> {
        let config = &self.config;
        let (count, scale) = (config.training.batch_size, config.scale as u32);
        let order = self.orders.of(epoch);
        let number = epoch * self.len() as u64 + index as u64;
        let mut stream = Stream::new(config.training.seed, "crop", number);
        let mut batch = Batch::default();
        for place in &order[index * count..(index + 1) * count] {
            let sample = self.pictures.sample(*place as usize)?;
            let step = if sample.low.is_some() { scale } else { 1 };
            let cut = Cut::draw(&sample.high, step, config, &mut stream);
            let high = cut.of(&sample.high);
            let low = match &sample.low {
                Some(low) => cut.at_scale(scale).of(low),
                None => degrade::low_resolution(&high, scale),
            };
            append(&low, &mut batch.low);
            append(&high, &mut batch.high);
        }
        Ok(batch)
    }
}

/// Pictures that are kept out of training.
#[derive(Debug, Clone, Default)]
pub struct Examples {
    /// Of low and of high resolution: the centre of each picture, at most 128 x 128 pixels of high resolution.
    pub pairs: Vec<(RgbImage, RgbImage)>,
    /// Pictures that cannot be read or used, with the reason; they are left out.
    pub broken: Vec<String>,
}

impl Examples {
    /// Up to `count` pictures of the test set, evenly spread; none where there is no test set.
    ///
    /// # Errors
    /// [`Kind::Data`] when the folder of the test set holds no pictures.
    pub fn open(config: &Config, count: usize) -> Result<Self> {
        let folder = Path::new(&config.training.data);
        let scale = config.scale as u32;
        let mut examples = Self::default();
        if config.training.data.is_empty() {
            let (first, all) = PROCEDURAL_COUNTS;
            let scenes = drawn(first, all.min(count)).into_iter();
            let samples = scenes.map(|high| Sample { high, low: None });
            examples.pairs = samples.map(|sample| centre(&sample, scale)).collect();
            return Ok(examples);
        }
        let Some(found) = find(folder, "test", &[scale])? else {
            return Ok(examples);
        };
        examples.broken = found.why_alone().collect();
        let all = found.samples.len();
        let chosen = count.min(all);
        for at in 0..chosen {
            let paths = &found.samples[at * all / chosen];
            match read(paths, Some(scale)) {
                Ok(sample) => {
                    let (width, height) = sample.high.dimensions();
                    if width.min(height) < SMALLEST_EXAMPLE {
                        examples.broken.push(format!(
                            "{}: {width} x {height} pixels are too few to measure on: at least {SMALLEST_EXAMPLE} a \
                             side",
                            paths[0].display()
                        ));
                    } else {
                        examples.pairs.push(centre(&sample, scale));
                    }
                }
                Err(error) => examples.broken.push(format!("{error:#}")),
            }
        }
        Ok(examples)
    }
}

/// Pictures to measure on, one after the other.
#[derive(Debug, Clone)]
pub struct Tests {
    found: Found,
    are_trained_on: bool,
    scale: u32,
}

/// Finds pictures to measure on: those of the test part of a dataset, or all where it has no parts.
///
/// # Errors
/// As [`find`].
pub fn tests(folder: &Path, scale: usize) -> Result<Tests> {
    let scale = scale as u32;
    let found = find(folder, "test", &[scale])?;
    let are_tests = found.is_some();
    let found = match found {
        Some(found) => found,
        None => find(folder, "train", &[scale])?.unwrap_or_default(),
    };
    let are_trained_on = !are_tests && found.folders.iter().any(|place| place != folder);
    Ok(Tests {
        are_trained_on: are_trained_on && !found.is_paired(),
        found,
        scale,
    })
}

impl Tests {
    /// How many.
    pub fn len(&self) -> usize {
        self.found.samples.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The name of one, from the folder of the part on.
    ///
    /// # Panics
    /// If there are fewer.
    pub fn name(&self, index: usize) -> &Path {
        &self.found.names[index]
    }

    /// Pictures without a partner, with the reason.
    pub fn left_out(&self) -> Vec<String> {
        self.found.why_alone().collect()
    }

    /// Where they lie.
    pub fn layout(&self) -> String {
        self.found.layout()
    }

    /// What is to be said before they are measured.
    pub fn remark(&self) -> Option<String> {
        self.are_trained_on.then(|| {
            format!(
                "there is no part to test on: {} is measured, on which a training may have learned",
                self.layout()
            )
        })
    }

    /// What the low-resolution pictures are.
    pub fn origin(&self) -> &'static str {
        if self.found.is_paired() {
            "low resolution as given"
        } else {
            "low resolution by Pillow's bicubic"
        }
    }

    /// One of low and of high resolution. What makes no whole low-resolution pixel is cut off at right and bottom.
    ///
    /// # Errors
    /// [`Kind::Data`] that names the file: it cannot be read, is smaller than one pixel of low resolution, or the
    /// two do not belong together.
    ///
    /// # Panics
    /// If there are fewer.
    pub fn pair(&self, index: usize) -> Result<(RgbImage, RgbImage)> {
        let paths = &self.found.samples[index];
        let Sample { high, low } = read(paths, Some(self.scale))?;
        let (width, height) = high.dimensions();
        if width.min(height) < self.scale {
            return Err(failure(
                Kind::Data,
                format!(
                    "{}: {width} x {height} pixels are less than one of low resolution",
                    paths[0].display()
                ),
            ));
        }
        let high = degrade::modcrop(high, self.scale);
        let low = low.unwrap_or_else(|| degrade::low_resolution(&high, self.scale));
        Ok((low, high))
    }
}

/// The centre of a sample, of low and of high resolution.
fn centre(sample: &Sample, scale: u32) -> (RgbImage, RgbImage) {
    let [(left, width), (top, height)] = [sample.high.width(), sample.high.height()].map(|side| {
        let length = side.min(EXAMPLE_SIDE) / scale;
        ((side / scale - length) / 2, length)
    });
    let high = imageops::crop_imm(
        &sample.high,
        left * scale,
        top * scale,
        width * scale,
        height * scale,
    );
    let high = high.to_image();
    let low = match &sample.low {
        Some(low) => imageops::crop_imm(low, left, top, width, height).to_image(),
        None => degrade::low_resolution(&high, scale),
    };
    (low, high)
}

/// A set of DIV2K's authors.
macro_rules! div2k {
    ($name:literal, $about:literal, [$($file:literal: $most:expr),+]) => {
        Known {
            name: $name,
            about: $about,
            page: "https://data.vision.ee.ethz.ch/cvl/DIV2K/",
            files: &[$(KnownFile {
                name: concat!($file, ".zip"),
                mirrors: &[concat!(
                    "https://data.vision.ee.ethz.ch/cvl/DIV2K/",
                    $file,
                    ".zip"
                )],
                sha256: None,
                bytes: None,
                most_bytes: $most,
            }),+],
        }
    };
}

/// What `data` does for this architecture.
pub const DATASETS: Datasets = Datasets {
    word: "srgan",
    known: &[
        div2k!(
            "DIV2K",
            "800 photographs of about 2040 x 1400 to train on and 100 to test with, 4 GB, for academic research only",
            ["DIV2K_train_HR": 8 << 30, "DIV2K_valid_HR": 1 << 30]
        ),
        div2k!(
            "DIV2K_valid_HR",
            "the 100 test photographs of DIV2K alone, half a gigabyte: enough to try",
            ["DIV2K_valid_HR": 1 << 30]
        ),
        div2k!(
            "DIV2K_LR_bicubic_X4",
            "DIV2K at a quarter of its size by MATLAB's bicubic filter; with -o data/DIV2K, its partner",
            [
                "DIV2K_train_LR_bicubic_X4": 1 << 30,
                "DIV2K_valid_LR_bicubic_X4": 1 << 30
            ]
        ),
        Known {
            name: "celeba",
            about: "202,599 aligned faces, 178 x 218, 1.4 GB, for non-commercial research",
            page: "get img_align_celeba.zip from the Google Drive of \
                   http://mmlab.ie.cuhk.edu.hk/projects/CelebA.html (img, Align&Cropped Images)",
            files: &[KnownFile {
                name: "img_align_celeba.zip",
                mirrors: &[
                    "https://drive.usercontent.google.com/download?id=0B7EVK8r0v71pZjFTYXZWM3FlRnM&export=download&confirm=t",
                ],
                sha256: None,
                bytes: None,
                most_bytes: 2 << 30,
            }],
        },
    ],
    procedural: write_procedural,
    procedural_count: PROCEDURAL_COUNTS.0 + PROCEDURAL_COUNTS.1,
    procedural_about: PROCEDURAL,
    suggest: |_| Vec::new(),
    check: Some(check),
    pairs: None,
    resolutions: Some(prepare::prepare),
    shapes: None,
};

/// Writes scenes, an eleventh of them for testing.
fn write_procedural(folder: &Path, count: usize) -> Result<()> {
    let test = count / 11;
    for number in 0..count {
        let is_test = number >= count - test;
        let place = folder.join(if is_test { "test" } else { "train" });
        std::fs::create_dir_all(&place)
            .map_err(|error| at_path(Kind::Disk, "create", &place, &error))?;
        save_picture(
            &place.join(format!("{:04}.png", number + 1)),
            &procedural(number),
        )?;
    }
    Ok(())
}

/// Looks at every picture of a dataset: what is there, what has no partner or another size, what cannot be read.
fn check(folder: &Path) -> Result<String> {
    let mut text = String::new();
    let (mut all, mut bad, mut suggestion) = (0, 0, None);
    for part in ["train", "test"] {
        let Some(found) = find(folder, part, &SCALES)? else {
            continue;
        };
        text.push_str(&format!("{part}: {} pictures\n", found.samples.len()));
        let mut unusable: Vec<String> = found.why_alone().collect();
        let mut flags = Vec::new();
        let mut places = found.folders.clone();
        places.dedup();
        for (number, place) in places.iter().enumerate() {
            let inspection = folder::inspect(place)?;
            text.push_str(&inspection.text(place));
            if number == 0 {
                flags.extend(small(&inspection, &mut text));
                flags.extend(large(&inspection));
            }
            if !found.is_paired() {
                // They are in the text already.
                bad += inspection.unreadable.len();
            }
        }
        if found.is_paired() {
            let mut scales: BTreeMap<u32, usize> = BTreeMap::new();
            // The whole pictures are not kept.
            let results = in_parallel(&found.samples, |paths| {
                let sample = read(paths, None)?;
                let low = sample.low.as_ref().unwrap_or(&sample.high);
                anyhow::Ok(sample.high.width() / low.width())
            });
            for result in results {
                match result {
                    Ok(scale) => *scales.entry(scale).or_default() += 1,
                    Err(error) => unusable.push(format!("{error:#}")),
                }
            }
            for (scale, count) in &scales {
                text.push_str(&format!("pairs at scale {scale}: {count}\n"));
            }
            let usual = scales.iter().max_by_key(|(_, count)| **count);
            flags.extend(usual.map(|(scale, _)| format!("--scale {scale}")));
        }
        for line in unusable.iter().take(20) {
            text.push_str(&format!("unusable: {line}\n"));
        }
        if unusable.len() > 20 {
            text.push_str(&format!("unusable: {} more\n", unusable.len() - 20));
        }
        all += found.samples.len() + found.alone.len();
        bad += unusable.len();
        if part == "train" {
            suggestion = Some(flags);
        }
    }
    print(&text);
    let suggestion = suggestion.ok_or_else(|| no_part(folder))?;
    if bad as f64 > images::MOST_BROKEN * all as f64 {
        return Err(failure(
            Kind::Data,
            format!(
                "{bad} of {all} pictures under {} cannot be used: training would refuse them",
                folder.display()
            ),
        ));
    }
    Ok(match suggestion.as_slice() {
        [] => "an epoch is one crop of each picture".to_owned(),
        flags => format!("suggestion: {}", flags.join("; ")),
    })
}

/// What to do about pictures that hold no crop of the usual size.
fn small(inspection: &Inspection, text: &mut String) -> Option<String> {
    let crop = Config::default().crop_size as u32;
    let sizes = inspection.sizes.iter();
    let is_small = |size: &(u32, u32)| size.0.min(size.1) < crop;
    let count: usize = sizes
        .filter(|(size, _)| is_small(size))
        .map(|(_, count)| count)
        .sum();
    if count == 0 {
        return None;
    }
    text.push_str(&format!(
        "smaller than a crop of {crop} x {crop}: {count}\n"
    ));
    let multiple = crate::discriminator::Shape::MULTIPLE as u32;
    let shortest = inspection.shortest_side() / multiple * multiple;
    Some(if shortest >= multiple {
        format!("--crop-size {shortest}, which every picture holds")
    } else {
        format!("`srgan data prepare --min-size {crop}` leaves the small ones out")
    })
}

/// What to do about pictures that take long to decode.
fn large(inspection: &Inspection) -> Option<String> {
    let pixels = |size: &(u32, u32)| u64::from(size.0) * u64::from(size.1);
    let sizes = inspection.sizes.iter();
    let all: u64 = sizes
        .map(|(size, count)| pixels(size) * *count as u64)
        .sum();
    let is_large = all / inspection.readable.max(1) as u64 > MANY_PIXELS as u64;
    (is_large && 3 * all > MEMORY_BYTES as u64).then(|| {
        "`srgan data prepare --sub-images 480` makes files that are read faster than these"
            .to_owned()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use gan_core::config::Training;
    use gan_core::failure::exit_code;
    use image::{DynamicImage, GrayImage, ImageBuffer, Luma, Rgb, Rgba};
    use std::collections::BTreeSet;
    use tempfile::TempDir;

    /// A picture in which every pixel tells its place.
    fn places(width: u32, height: u32) -> RgbImage {
        RgbImage::from_fn(width, height, |x, y| Rgb([x as u8, y as u8, 7]))
    }

    fn save(place: &Path, picture: &RgbImage) {
        std::fs::create_dir_all(place.parent().unwrap()).unwrap();
        picture.save(place).unwrap();
    }

    fn config(folder: &Path) -> Config {
        Config {
            crop_size: 16,
            training: Training {
                data: folder.to_str().unwrap().to_owned(),
                batch_size: 2,
                seed: 5,
                ..Training::default()
            },
            ..Config::default()
        }
    }

    fn fails(config: &Config) -> (u8, String) {
        let error = Data::open(config).err().unwrap();
        (exit_code(&error), format!("{error:#}"))
    }

    /// So many scenes to train on.
    fn folder_of(count: usize, side: u32) -> TempDir {
        let folder = tempfile::tempdir().unwrap();
        for number in 0..count {
            let scene = scenes::scene(side, &mut Stream::new(9, "scene", number as u64));
            save(&folder.path().join(format!("deep/{number:02}.png")), &scene);
        }
        folder
    }

    #[test]
    fn the_low_resolution_crop_is_that_of_the_high_one_to_the_byte() {
        let folder = folder_of(5, 40);
        let config = config(folder.path());
        let data = Data::open(&config).unwrap();
        assert_eq!(data.len(), 2, "the incomplete batch is left out");
        let batch = data.batch(3, 1).unwrap();
        assert_eq!(
            (batch.low.len(), batch.high.len()),
            (2 * 3 * 16, 2 * 3 * 256)
        );
        for number in 0..2 {
            let picture = |planes: &[f32], side: u32| {
                let plane = (side * side) as usize;
                let planes = &planes[number * 3 * plane..(number + 1) * 3 * plane];
                RgbImage::from_fn(side, side, |x, y| {
                    let at = (y * side + x) as usize;
                    Rgb([0, 1, 2].map(|channel| {
                        let value = planes[channel * plane + at] * 255.0;
                        assert!((value - value.round()).abs() < 1e-4, "{value} is no byte");
                        value.round() as u8
                    }))
                })
            };
            let (low, high) = (picture(&batch.low, 4), picture(&batch.high, 16));
            assert_eq!(degrade::low_resolution(&high, 4), low);
        }
    }

    #[test]
    fn a_batch_is_a_pure_function_of_seed_epoch_and_index() {
        let folder = folder_of(6, 40);
        let config = config(folder.path());
        let kept = Data::open(&config).unwrap();
        let read = Data::open_within(&config, 0).unwrap();
        assert_ne!(kept.fingerprint(), read.fingerprint());
        assert_eq!(
            Data::open(&config).unwrap().fingerprint(),
            kept.fingerprint()
        );
        for (epoch, index) in [(0, 2), (7, 0), (0, 0), (0, 2)] {
            let batch = kept.batch(epoch, index).unwrap();
            assert_eq!(batch, read.batch(epoch, index).unwrap());
        }
        let first = kept.batch(0, 0).unwrap();
        assert_ne!(first, kept.batch(1, 0).unwrap());
        assert_ne!(first, kept.batch(0, 1).unwrap());
        let mut other = config.clone();
        other.training.seed = 6;
        assert_ne!(first, Data::open(&other).unwrap().batch(0, 0).unwrap());
        // Of one picture, each epoch has another crop.
        let folder = folder_of(1, 40);
        let mut config = self::config(folder.path());
        config.training.batch_size = 1;
        let data = Data::open(&config).unwrap();
        assert_ne!(data.batch(0, 0).unwrap(), data.batch(1, 0).unwrap());
    }

    #[test]
    fn crops_reach_every_place_and_all_eight_ways() {
        let picture = places(19, 18);
        let mut config = config(Path::new(""));
        let draw = |config: &Config, step| -> BTreeSet<_> {
            (0..1500)
                .map(|number| {
                    let mut stream = Stream::new(2, "crop", number);
                    let cut = Cut::draw(&picture, step, config, &mut stream);
                    (cut.left, cut.top, cut.mirrored, cut.turns)
                })
                .collect()
        };
        assert_eq!(draw(&config, 1).len(), 4 * 3 * 8);
        // Of pairs, only whole low-resolution pixels.
        assert_eq!(draw(&config, 2).len(), 2 * 2 * 8);
        config.flip = false;
        assert!(draw(&config, 1).iter().all(|cut| !cut.2));
        config.rotate = false;
        assert_eq!(draw(&config, 1).len(), 4 * 3);
    }

    #[test]
    fn a_crop_is_mirrored_before_it_is_turned() {
        let cut = Cut {
            left: 2,
            top: 1,
            side: 2,
            mirrored: true,
            turns: 1,
        };
        let found = cut.of(&places(5, 4));
        let at = |x, y| (found.get_pixel(x, y).0[0], found.get_pixel(x, y).0[1]);
        // Mirrored: 3 2 in each row; a quarter clockwise: the left column becomes the upper row, from below.
        assert_eq!(
            [at(0, 0), at(1, 0), at(0, 1), at(1, 1)],
            [(3, 2), (3, 1), (2, 2), (2, 1)]
        );
    }

    #[test]
    fn pairs_are_cut_at_the_same_place() {
        for (high, low, ending) in [
            ("gt", "lq", ".png"),
            ("train/HR", "train/LR", "x4.png"),
            ("DIV2K_train_HR", "DIV2K_train_LR_bicubic/X4", "x4.png"),
            ("gt/train", "lq/train/X4", ".bmp"),
        ] {
            let folder = tempfile::tempdir().unwrap();
            for number in 0..4 {
                // 43 x 41: three columns and a row are no whole pixel.
                let whole = places(43, 41);
                let small = RgbImage::from_fn(10, 10, |x, y| Rgb([4 * x as u8, 4 * y as u8, 9]));
                let name = format!("{number:04}");
                save(
                    &folder.path().join(high).join(format!("{name}.png")),
                    &whole,
                );
                save(
                    &folder.path().join(low).join(format!("{name}{ending}")),
                    &small,
                );
            }
            let config = config(folder.path());
            let data = Data::open(&config).unwrap();
            assert!(data.broken().is_empty(), "{:?}", data.broken());
            for epoch in 0..8 {
                let batch = data.batch(epoch, 0).unwrap();
                for channel in [0, 1] {
                    let mean = |values: &[f32]| values.iter().sum::<f32>() / values.len() as f32;
                    let high = mean(&batch.high[channel * 256..(channel + 1) * 256]);
                    let low = mean(&batch.low[channel * 16..(channel + 1) * 16]);
                    // Four pixels from the first one's place on: 1.5 more on average.
                    assert!(
                        (255.0 * (high - low) - 1.5).abs() < 1e-2,
                        "{ending}: {high} {low}"
                    );
                }
                assert_eq!(batch.low[2 * 16], 9.0 / 255.0);
            }
        }
    }

    #[test]
    fn pairs_side_by_side_are_told_by_their_names() {
        let folder = tempfile::tempdir().unwrap();
        for scale in [2, 4] {
            for number in 1..4 {
                let place = |what: &str| {
                    let name = format!("image_SRF_{scale}/img_{number:03}_SRF_{scale}_{what}.png");
                    folder.path().join(name)
                };
                save(&place("HR"), &places(32, 32));
                save(&place("bicubic"), &places(32, 32));
                save(&place("LR"), &places(32 / scale, 32 / scale));
            }
        }
        for scale in [4, 2] {
            let found = tests(folder.path(), scale).unwrap();
            assert_eq!((found.len(), found.left_out().len()), (3, 0));
            let name = format!("image_SRF_{scale}/img_001_SRF_{scale}_HR.png");
            assert_eq!(found.name(0), Path::new(&name));
            let (low, high) = found.pair(0).unwrap();
            assert_eq!(low.width() * scale as u32, high.width());
            assert_eq!(found.origin(), "low resolution as given");
        }
        check(folder.path()).unwrap();
        std::fs::remove_file(folder.path().join("image_SRF_2/img_001_SRF_2_LR.png")).unwrap();
        let found = tests(&folder.path().join("image_SRF_2"), 2).unwrap();
        assert_eq!((found.len(), found.left_out().len()), (2, 1));
    }

    #[test]
    fn what_does_not_fit_its_partner_is_left_out_and_too_much_of_it_refused() {
        let folder = tempfile::tempdir().unwrap();
        for number in 0..22 {
            let name = format!("{number:02}.png");
            save(&folder.path().join("gt").join(&name), &places(32, 32));
            let side = if number == 3 { 9 } else { 8 };
            save(&folder.path().join("lq").join(&name), &places(side, 8));
        }
        save(&folder.path().join("lq/alone.png"), &places(8, 8));
        let config = config(folder.path());
        let data = Data::open(&config).unwrap();
        assert_eq!(data.pictures.len(), 21);
        let said = data.broken().join("\n");
        assert!(
            said.contains("03.png has 32 x 32") && said.contains("9 x 8"),
            "{said}"
        );
        assert!(said.contains("alone.png has no partner"), "{said}");
        let (code, said) = fails(&Config {
            scale: 2,
            ..config.clone()
        });
        assert!(code == 3 && said.contains("expected 2 times"), "{said}");
        for number in 4..8 {
            std::fs::remove_file(folder.path().join(format!("lq/{number:02}.png"))).unwrap();
        }
        let (code, said) = fails(&config);
        assert!(
            code == 3 && said.contains("5 of 23 names") && said.contains("no partner"),
            "{said}"
        );
        std::fs::rename(folder.path().join("gt"), folder.path().join("other")).unwrap();
        let (code, said) = fails(&config);
        assert!(code == 3 && said.contains("low resolution alone"), "{said}");
    }

    #[test]
    fn small_and_broken_pictures_are_left_out_and_too_many_refused() {
        let folder = folder_of(21, 40);
        save(&folder.path().join("small.png"), &places(40, 15));
        let config = config(folder.path());
        let data = Data::open(&config).unwrap();
        assert_eq!((data.pictures.len(), data.broken().len()), (21, 1));
        assert!(
            data.broken()[0].contains("small.png: 40 x 15 pixels"),
            "{:?}",
            data.broken()
        );
        std::fs::write(folder.path().join("html.png"), "<html>").unwrap();
        assert_eq!(Data::open(&config).unwrap().broken().len(), 2);
        // Decoded when they are needed, the same are passed over.
        let read = Data::open_within(&config, 0).unwrap();
        (0..read.len()).for_each(|index| drop(read.batch(0, index).unwrap()));
        assert!(read.warning().unwrap().contains("2 of 23 pictures"));
        let (code, said) = fails(&Config {
            crop_size: 48,
            ..config
        });
        assert!(code == 3 && said.contains("lower --crop-size"), "{said}");
    }

    #[test]
    fn every_kind_of_picture_becomes_rgb() {
        let folder = tempfile::tempdir().unwrap();
        let place = |name: &str| folder.path().join(name);
        GrayImage::from_pixel(20, 20, Luma([90]))
            .save(place("grey.png"))
            .unwrap();
        let deep = ImageBuffer::from_pixel(20, 20, Rgb([90u16 * 257, 90 * 257, 90 * 257]));
        DynamicImage::ImageRgb16(deep)
            .save(place("deep.png"))
            .unwrap();
        let clear = ImageBuffer::from_pixel(20, 20, Rgba([90, 90, 90, 255]));
        DynamicImage::ImageRgba8(clear)
            .save(place("alpha.png"))
            .unwrap();
        RgbImage::from_pixel(20, 20, Rgb([90; 3]))
            .save(place("a.jpg"))
            .unwrap();
        let data = Data::open(&config(folder.path())).unwrap();
        for index in 0..2 {
            let batch = data.batch(0, index).unwrap();
            let values = batch.low.iter().chain(&batch.high);
            assert!(
                values
                    .clone()
                    .all(|value| (value * 255.0 - 90.0).abs() < 1.01)
            );
        }
    }

    #[test]
    fn parts_are_told_apart() {
        let folder = tempfile::tempdir().unwrap();
        for (place, count) in [("train", 3), ("val", 2), ("other", 4)] {
            for number in 0..count {
                save(
                    &folder.path().join(place).join(format!("{number}.png")),
                    &places(60, 200),
                );
            }
        }
        let config = config(folder.path());
        assert_eq!(Data::open(&config).unwrap().pictures.len(), 3);
        let examples = Examples::open(&config, 9).unwrap();
        assert_eq!(examples.pairs.len(), 2);
        for (low, high) in &examples.pairs {
            assert_eq!((low.dimensions(), high.dimensions()), ((15, 32), (60, 128)));
            assert_eq!(high.get_pixel(0, 0).0, [0, 36, 7], "the centre");
        }
        assert_eq!(Examples::open(&config, 1).unwrap().pairs.len(), 1);
        std::fs::rename(folder.path().join("train"), folder.path().join("test")).unwrap();
        let (code, said) = fails(&config);
        assert!(code == 3 && said.contains("no part to train on"), "{said}");
        std::fs::remove_dir_all(folder.path().join("test")).unwrap();
        std::fs::remove_dir_all(folder.path().join("val")).unwrap();
        assert_eq!(Data::open(&config).unwrap().pictures.len(), 4);
        assert!(Examples::open(&config, 9).unwrap().pairs.is_empty());
        // Too small to measure on.
        save(&folder.path().join("test/a.png"), &places(31, 40));
        let examples = Examples::open(&config, 9).unwrap();
        assert!(
            examples.broken[0].contains("too few to measure"),
            "{:?}",
            examples.broken
        );
    }

    #[test]
    fn without_data_scenes_are_drawn() {
        let config = Config {
            training: Training {
                data: String::new(),
                ..Training::default()
            },
            ..Config::default()
        };
        let examples = Examples::open(&config, 2).unwrap();
        assert_eq!(examples.pairs.len(), 2);
        assert_eq!(
            examples.pairs[0].1,
            centre(
                &Sample {
                    high: procedural(200),
                    low: None
                },
                4
            )
            .1
        );
        assert_eq!(examples.pairs[0].0.dimensions(), (32, 32));
        for (crop_size, what) in [(98, "a multiple of the scale"), (260, "at most 256")] {
            let (code, said) = fails(&Config {
                crop_size,
                ..config.clone()
            });
            assert!(code == 2 && said.contains(what), "{said}");
        }
    }

    #[test]
    fn large_pictures_that_do_not_fit_into_memory_come_with_advice_once() {
        let folder = tempfile::tempdir().unwrap();
        for number in 0..2 {
            save(
                &folder.path().join(format!("{number}.png")),
                &RgbImage::new(1200, 900),
            );
        }
        let config = config(folder.path());
        assert!(Data::open(&config).unwrap().warning().is_none());
        let data = Data::open_within(&config, 1 << 20).unwrap();
        let said = data.warning().unwrap();
        assert!(
            said.contains("1.1 megapixels") && said.contains("--sub-images 80"),
            "{said}"
        );
        assert!(data.warning().is_none());
    }

    #[test]
    fn the_stand_in_is_checked_and_trained_on() {
        let folder = tempfile::tempdir().unwrap();
        write_procedural(folder.path(), 22).unwrap();
        assert_eq!(
            check(folder.path()).unwrap(),
            "an epoch is one crop of each picture"
        );
        let config = Config {
            crop_size: 96,
            ..config(folder.path())
        };
        assert_eq!(Data::open(&config).unwrap().pictures.len(), 20);
        assert_eq!(Examples::open(&config, 20).unwrap().pairs.len(), 2);
        save(&folder.path().join("train/small.png"), &places(70, 80));
        assert!(check(folder.path()).unwrap().contains("--crop-size 64"));
        for number in 0..5 {
            std::fs::write(folder.path().join(format!("train/b{number}.png")), "").unwrap();
        }
        let error = check(folder.path()).unwrap_err();
        assert!(
            exit_code(&error) == 3 && error.to_string().contains("5 of 28"),
            "{error}"
        );
    }

    /// On real photographs, where there are some.
    #[test]
    fn photographs_are_read() {
        let Some(data) = std::env::var_os("GAN_DATA") else {
            return;
        };
        let folder = Path::new(&data).join("sr");
        if !folder.is_dir() {
            return;
        }
        let config = Config {
            crop_size: 96,
            ..config(&folder)
        };
        let data = Data::open(&config).unwrap();
        assert!(
            data.broken().is_empty() && data.pictures.len() >= 50,
            "{:?}",
            data.broken()
        );
        let batch = data.batch(0, 0).unwrap();
        assert_eq!(batch.low.len() * 16, batch.high.len());
        check(&folder).unwrap();
    }
}
