//! What a batch is: birds with captions, and what is kept out of training to judge by.

mod procedural;
mod texts;

pub use procedural::{PROCEDURAL, Part, attributes_of, drawn};
pub use texts::Texts;

use crate::config::Config;
use crate::cub;
use crate::text::{LENGTH, letters};
use anyhow::Result;
use gan_core::checkpoint::sha256;
use gan_core::command::print;
use gan_core::dataset::{Datasets, Known, KnownFile};
use gan_core::failure::{Kind, failure};
use gan_core::images::{self, MOST_BROKEN, planar, to_unit};
use gan_core::random::{Orders, Stream};
use gan_core::samples::{Content, MEMORY_BYTES, Pictures, in_parallel};
use gan_core::stage::Source;
use image::RgbImage;
use image::imageops::{FilterType, crop_imm, resize};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// One bird.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    /// `3 * load * load` bytes, planar, where `load` is the side that pictures are kept at.
    pub pixels: Vec<u8>,
    /// Pictures of one class may share captions.
    pub class: u32,
    /// Where its captions are.
    pub place: u32,
}

impl Content for Sample {
    fn sum(&self) -> String {
        format!("{} {} {}\n", sha256(&self.pixels), self.class, self.place)
    }
}

/// Captioned pictures of one part of a dataset, at the size of one stage.
pub struct Birds {
    pictures: Pictures<Sample>,
    /// Of each bird that the dataset tells of, its captions.
    pub captions: Vec<Vec<String>>,
    /// The name of each of them.
    pub keys: Vec<String>,
    /// Embeddings of these captions that lie beside the data.
    pub given: Option<Texts>,
    /// What was left out before any picture was read, a line for each reason.
    pub skipped: Vec<String>,
    // Of each picture; of one that cannot be read later, the next one's is taken.
    classes: Vec<u32>,
    load: usize,
    side: usize,
    // A sum over captions and classes.
    told: String,
}

impl std::fmt::Debug for Birds {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "Birds({})", self.pictures.fingerprint())
    }
}

/// A sum over the captions of all birds.
fn sum_of(captions: &[Vec<String>]) -> String {
    let lines: String = captions
        .iter()
        .map(|of_bird| format!("{}\n\n", of_bird.join("\n")))
        .collect();
    format!(", captions {}", sha256(lines.as_bytes()))
}

/// Sides that pictures are kept at for a stage whose pictures have `side`: the authors cut 64 out of 76, and 256 out of
/// 304.
fn load_side(config: &Config, side: usize) -> usize {
    if config.augment { side * 76 / 64 } else { side }
}

impl Birds {
    /// The birds of `part` for a stage whose pictures have `side`: of what the configuration names, or drawn ones.
    ///
    /// # Errors
    /// [`Kind::Data`] when there are none, or too many broken ones.
    pub fn open(config: &Config, part: cub::Part, side: usize) -> Result<Self> {
        if !config.training.data.is_empty() {
            return files(config, part, load_side(config, side), side);
        }
        let part = match part {
            cub::Part::Train => Part::Train,
            cub::Part::Test => Part::Unseen,
        };
        Ok(Self::drawn(config, part, side))
    }

    /// Drawn birds, whatever the configuration names.
    pub fn drawn(config: &Config, part: Part, side: usize) -> Self {
        let load = load_side(config, side);
        let (samples, captions) = procedural::samples(part, load);
        Self {
            told: sum_of(&captions),
            classes: samples.iter().map(|sample| sample.class).collect(),
            keys: (0..captions.len())
                .map(|number| number.to_string())
                .collect(),
            pictures: Pictures::drawn(samples),
            captions,
            given: None,
            skipped: Vec::new(),
            load,
            side,
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

    /// What the pictures are: a sum over them, or over their names and sizes; and over their captions.
    pub fn fingerprint(&self) -> String {
        format!("{}{}", self.pictures.fingerprint(), self.told)
    }

    /// Files that had to be passed over since the last call, in one line.
    pub fn warning(&self) -> Option<String> {
        self.pictures.warning()
    }

    /// Up to `most` birds, drawn from all without order, always the same.
    ///
    /// # Errors
    /// As [`Pictures::sample`].
    pub fn some(&self, most: usize) -> Result<Vec<Sample>> {
        let order = Stream::new(0, "shown", 0).permutation(self.len());
        let chosen = order.into_iter().take(most);
        let sample = |index: u32| Ok(self.pictures.sample(index as usize)?.into_owned());
        chosen.map(sample).collect()
    }

    /// The values of a picture in [-1, 1], planar: the square of the stage's side whose corner is at `x` and `y`, mirrored
    /// or not, appended to `values`.
    fn cut(&self, sample: &Sample, [x, y]: [usize; 2], is_mirrored: bool, values: &mut Vec<f32>) {
        for channel in sample.pixels.chunks_exact(self.load * self.load) {
            for row in channel.chunks_exact(self.load).skip(y).take(self.side) {
                let row = row[x..x + self.side].iter().copied().map(to_unit);
                if is_mirrored {
                    values.extend(row.rev());
                } else {
                    values.extend(row);
                }
            }
        }
    }

    /// The middle of a picture, in [-1, 1], planar.
    pub fn middle(&self, sample: &Sample) -> Vec<f32> {
        let mut values = Vec::with_capacity(3 * self.side * self.side);
        let margin = (self.load - self.side) / 2;
        self.cut(sample, [margin, margin], false, &mut values);
        values
    }
}

/// The birds of files in the layout of CUB-200-2011.
fn files(config: &Config, part: cub::Part, load: usize, side: usize) -> Result<Birds> {
    let root = Path::new(&config.training.data);
    let needs_pickles = config.embeddings == crate::config::PICKLES;
    let found = cub::read(root, part, needs_pickles)?;
    let mut skipped = found.skipped.lines();
    skipped.extend(found.notes);
    let (mut captions, mut keys) = (Vec::new(), Vec::new());
    let mut places: BTreeMap<PathBuf, (u32, u32, Option<[f64; 4]>)> = BTreeMap::new();
    let mut texts = found
        .embeddings
        .as_ref()
        .map(|embeddings| Texts::new(embeddings.shape[2]));
    for bird in found.birds {
        let place = captions.len() as u32;
        if let (Some(texts), Some(embeddings), Some(row)) =
            (&mut texts, &found.embeddings, bird.embedding)
        {
            let all = 0..embeddings.shape[1];
            texts.push(all.map(|caption| embeddings.caption(row, caption)));
        }
        captions.push(bird.captions);
        keys.push(bird.key);
        places.insert(bird.path, (bird.class, place, bird.bounding_box));
    }
    let told: String = places
        .values()
        .map(|(class, _, bounding_box)| format!("{class} {bounding_box:?}\n"))
        .collect();
    let told = format!("{}, labels {}", sum_of(&captions), sha256(told.as_bytes()));
    let paths: Vec<Vec<PathBuf>> = places.keys().map(|path| vec![path.clone()]).collect();
    if paths.is_empty() {
        return Err(failure(
            Kind::Data,
            format!(
                "{}: no picture with captions is left for {}: {}",
                root.display(),
                part.name(),
                if skipped.is_empty() {
                    "nothing is listed".to_owned()
                } else {
                    skipped.join("; ")
                }
            ),
        ));
    }
    let listed: Vec<u32> = places.values().map(|(class, ..)| *class).collect();
    let is_cropped = config.crop;
    let decode = move |paths: &[PathBuf]| {
        let (class, place, bounding_box) = places[&paths[0]];
        let picture = images::to_rgb(&images::read(&paths[0])?);
        let bounding_box = bounding_box.filter(|_| is_cropped);
        check_box(&paths[0], picture.dimensions(), bounding_box)?;
        Ok(Sample {
            pixels: pixels(&picture, bounding_box, load),
            class,
            place,
        })
    };
    let bytes = 3 * load * load;
    let pictures = Pictures::open(root, paths, bytes, MEMORY_BYTES, Box::new(decode))?;
    let classes = match pictures.in_memory() {
        Some(samples) => samples.iter().map(|sample| sample.class).collect(),
        None => listed,
    };
    Ok(Birds {
        pictures,
        classes,
        captions,
        keys,
        given: texts,
        skipped,
        load,
        side,
        told,
    })
}

/// Refuses a box beside its picture: the whole picture would be another than the lists mean.
fn check_box(
    path: &Path,
    (width, height): (u32, u32),
    bounding_box: Option<[f64; 4]>,
) -> Result<()> {
    match bounding_box {
        Some(found) if cub::misses(width, height, found) => Err(failure(
            Kind::Data,
            format!(
                "{}: its box {found:?} lies beside the picture of {width} x {height} pixels: mend bounding_boxes.txt",
                path.display()
            ),
        )),
        _ => Ok(()),
    }
}

/// A picture as it is kept: cut out around its bird, and brought to `load` x `load` pixels whatever its sides, as the
/// authors do.
fn pixels(picture: &RgbImage, bounding_box: Option<[f64; 4]>, load: usize) -> Vec<u8> {
    let (width, height) = picture.dimensions();
    let [x, y, wide, high] = match bounding_box {
        Some(bounding_box) => cub::crop(width, height, bounding_box),
        None => [0, 0, width, height],
    };
    let cut = crop_imm(picture, x, y, wide, high).to_image();
    let load = load as u32;
    planar(&resize(&cut, load, load, FilterType::CatmullRom), 3)
}

/// Pictures with what is said of them.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Batch {
    /// Pictures in [-1, 1], planar, one after the other.
    pub pixels: Vec<f32>,
    /// As many pictures of other classes; none where the next picture's caption is the wrong one.
    pub wrong: Vec<f32>,
    /// The embedding of a caption of each, or the mean of several.
    pub text: Vec<f32>,
    /// One of the captions of each, in words.
    pub captions: Vec<String>,
}

/// Captioned pictures for an adversarial stage, in an order that is a pure function of (seed, epoch).
#[derive(Debug)]
pub struct Data {
    birds: Arc<Birds>,
    texts: Arc<Texts>,
    config: Config,
    batch_size: usize,
    has_wrong: bool,
    orders: Orders,
}

/// Checks that there are enough birds for a batch, and as many classes as wrong pairs need.
fn check_enough(
    birds: &Birds,
    batch_size: usize,
    config: &Config,
    needs_classes: bool,
) -> Result<()> {
    if birds.len() < batch_size {
        return Err(failure(
            Kind::Data,
            format!(
                "{} pictures to train on under {} are fewer than a batch of {batch_size}: lower --batch-size, or add \
                 pictures",
                birds.len(),
                config.training.data
            ),
        ));
    }
    if !needs_classes || birds.classes.iter().any(|class| *class != birds.classes[0]) {
        return Ok(());
    }
    Err(failure(
        Kind::Data,
        format!(
            "{}: all pictures to train on are of class {}: captions of another class are the wrong ones, so at least two \
             are needed",
            config.training.data, birds.classes[0]
        ),
    ))
}

/// Pictures that are drawn before the search for one of another class ends.
const MOST_TRIES: usize = 10_000;

impl Data {
    /// Batches of the first (`is_second` false) or of the second stage.
    ///
    /// # Errors
    /// [`Kind::Data`] when there are fewer pictures than a batch, or of one class only.
    pub fn new(
        birds: Arc<Birds>,
        texts: Arc<Texts>,
        config: &Config,
        is_second: bool,
    ) -> Result<Self> {
        let batch_size = config.batch_size(is_second);
        let has_wrong = config.variant == crate::config::Variant::Tf;
        check_enough(&birds, batch_size, config, has_wrong)?;
        Ok(Self {
            orders: Orders::new(config.training.seed, birds.len()),
            has_wrong,
            birds,
            texts,
            config: config.clone(),
            batch_size,
        })
    }

    /// A picture of another class.
    fn wrong(&self, class: u32, stream: &mut Stream) -> Result<Cow<'_, Sample>> {
        for _ in 0..MOST_TRIES {
            let index = stream.integers(1, self.birds.len())[0];
            if self.birds.classes[index] == class {
                continue;
            }
            // One that cannot be read gives the next.
            let sample = self.birds.pictures.sample(index)?;
            if sample.class != class {
                return Ok(sample);
            }
        }
        let what = format!(
            "{}: of {MOST_TRIES} pictures none that can be read was of another class than {class}",
            self.config.training.data
        );
        Err(failure(Kind::Data, what))
    }
}

impl Source for Data {
    type Batch = Batch;

    fn len(&self) -> usize {
        // The last incomplete batch of an epoch is left out: its statistics would be others.
        self.birds.len() / self.batch_size
    }

    fn fingerprint(&self) -> String {
        format!("{}, {}", self.birds.fingerprint(), self.texts.sum())
    }

    fn warning(&self) -> Option<String> {
        self.birds.warning()
    }

    fn batch(&self, epoch: u64, index: usize) -> Result<Batch> {
        let number = epoch * self.len() as u64 + index as u64;
        let seed = self.config.training.seed;
        let stream = |name: &str| Stream::new(seed, name, number);
        let [mut cuts, mut chosen, mut wrongs] = ["cut", "captions", "wrong"].map(stream);
        let margin = self.birds.load - self.birds.side;
        let is_mirrored = |draw: usize| self.config.augment && draw == 1;
        let mut batch = Batch::default();
        let order = self.orders.of(epoch);
        for place in &order[index * self.batch_size..(index + 1) * self.batch_size] {
            let sample = self.birds.pictures.sample(*place as usize)?;
            let mut cut = |sample: &Sample, values: &mut Vec<f32>| {
                let corner = cuts.integers(2, margin + 1);
                let is_mirrored = is_mirrored(cuts.integers(1, 2)[0]);
                self.birds
                    .cut(sample, [corner[0], corner[1]], is_mirrored, values);
            };
            cut(&sample, &mut batch.pixels);
            if self.has_wrong {
                let other = self.wrong(sample.class, &mut wrongs)?;
                cut(&other, &mut batch.wrong);
            }
            let place = sample.place as usize;
            let order = chosen.permutation(self.texts.count(place));
            let some = &order[..order.len().min(self.config.captions)];
            batch.text.extend(self.texts.mean(place, some));
            let captions = &self.birds.captions[place];
            let said = some.first().and_then(|first| captions.get(*first as usize));
            batch.captions.push(said.cloned().unwrap_or_default());
        }
        Ok(batch)
    }
}

/// Pictures with two captions each, in letters.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Read {
    /// Pictures in [-1, 1], planar, one after the other.
    pub pixels: Vec<f32>,
    /// A caption of each, and another one (or the same, where there is only one).
    pub letters: [Vec<[u8; LENGTH]>; 2],
    /// The class of each.
    pub classes: Vec<u32>,
}

/// The same pictures for the text encoder.
#[derive(Debug)]
pub struct Reading {
    birds: Arc<Birds>,
    // Sums of what belongs to the data beside the birds themselves.
    more: String,
    // The pictures in the order of their classes, and where each of them stands there.
    by_class: Vec<u32>,
    ranks: Vec<u32>,
    config: Config,
    orders: Orders,
}

impl Reading {
    /// Batches of `batch_size` pictures.
    ///
    /// # Errors
    /// As [`Data::new`].
    pub fn new(birds: Arc<Birds>, config: &Config) -> Result<Self> {
        let needs_classes = config.has("text");
        check_enough(&birds, config.training.batch_size, config, needs_classes)?;
        let mut by_class: Vec<u32> = (0..birds.len() as u32).collect();
        by_class.sort_by_key(|index| birds.classes[*index as usize]);
        let mut ranks = vec![0; by_class.len()];
        for (rank, index) in by_class.iter().enumerate() {
            ranks[*index as usize] = rank as u32;
        }
        Ok(Self {
            orders: Orders::new(config.training.seed, birds.len()),
            birds,
            more: String::new(),
            by_class,
            ranks,
            config: config.clone(),
        })
    }

    /// The same, with embeddings that were computed elsewhere in its sum.
    #[must_use]
    pub fn with_embeddings(mut self, texts: Option<&Texts>) -> Self {
        if let Some(texts) = texts {
            self.more += &format!(", {}", texts.sum());
        }
        self
    }

    /// The same, with what is held out in its sum: it is measured on, and shown.
    #[must_use]
    pub fn with_held(mut self, held: Option<&Birds>) -> Self {
        if let Some(held) = held {
            self.more += &format!("; held out {}", held.fingerprint());
        }
        self
    }

    /// A picture of one of the next classes, which are the most alike: in CUB kinds of one family, of drawn birds those
    /// that differ in a detail.
    fn neighbour(&self, index: u32, stream: &mut Stream) -> u32 {
        let count = self.by_class.len();
        let class = |index: u32| self.birds.classes[index as usize];
        let first = self.ranks[index as usize] as usize + stream.integers(1, NEAR)[0];
        let others = (1..=count).map(|away| self.by_class[(first + away) % count]);
        let mut others = others.filter(|other| class(*other) != class(index));
        // There is another class: the source was not built without.
        others.next().unwrap_or(index)
    }
}

/// Pictures further on in the order of classes among which a neighbour is drawn.
const NEAR: usize = 8;

impl Source for Reading {
    type Batch = Read;

    fn len(&self) -> usize {
        self.birds.len() / self.config.training.batch_size
    }

    fn fingerprint(&self) -> String {
        format!("{}{}", self.birds.fingerprint(), self.more)
    }

    fn warning(&self) -> Option<String> {
        self.birds.warning()
    }

    fn batch(&self, epoch: u64, index: usize) -> Result<Read> {
        let number = epoch * self.len() as u64 + index as u64;
        let seed = self.config.training.seed;
        let stream = |name: &str| Stream::new(seed, name, number);
        let [mut cuts, mut chosen, mut near] = ["read/cut", "read/captions", "near"].map(stream);
        let margin = self.birds.load - self.birds.side;
        let count = self.config.training.batch_size;
        let mut batch = Read::default();
        let order = self.orders.of(epoch);
        // Every second one is hard to tell from the one before it: else what few pairs differ in alone would hardly count.
        let firsts = order[index * count..].iter().take(count.div_ceil(2));
        let pairs = firsts.flat_map(|first| [*first, self.neighbour(*first, &mut near)]);
        for place in pairs.take(count) {
            let sample = self.birds.pictures.sample(place as usize)?;
            let corner = cuts.integers(2, margin + 1);
            // Left and right are in some captions: never mirrored.
            self.birds
                .cut(&sample, [corner[0], corner[1]], false, &mut batch.pixels);
            let captions = &self.birds.captions[sample.place as usize];
            let order = chosen.permutation(captions.len());
            for (place, letters_of) in batch.letters.iter_mut().enumerate() {
                let caption = &captions[order[place % order.len()] as usize];
                letters_of.push(letters(caption));
            }
            batch.classes.push(sample.class);
        }
        Ok(batch)
    }
}

/// What `data` does for this architecture.
pub const DATASETS: Datasets = Datasets {
    word: "stackgan",
    known: &[Known {
        name: "cub",
        about: "11,788 photographs of 200 kinds of birds with bounding boxes, 1.1 GB, for research",
        page: "get \"Images and annotations\" from https://data.caltech.edu/records/65de6-vp158",
        files: &[KnownFile {
            name: "CUB_200_2011.tgz",
            mirrors: &["https://data.caltech.edu/records/65de6-vp158/files/CUB_200_2011.tgz"],
            sha256: None,
            bytes: None,
            most_bytes: 4 << 30,
        }],
    }],
    procedural: procedural::write,
    procedural_count: 1000,
    procedural_about: PROCEDURAL,
    suggest: |_| Vec::new(),
    check: Some(check),
    pairs: None,
    resolutions: None,
    shapes: None,
};

/// `data check`: how many birds of each part, what is left out, and which files cannot be read.
fn check(place: &Path) -> Result<String> {
    let mut lines = Vec::new();
    let (mut readable, mut broken) = (0, Vec::new());
    let mut has_pickles = false;
    for part in [cub::Part::Train, cub::Part::Test] {
        let found = cub::read(place, part, false)?;
        let skipped = found.skipped.lines().into_iter();
        lines.extend(skipped.map(|line| format!("{}: left out: {line}", part.name())));
        let notes = found.notes.iter();
        lines.extend(notes.map(|line| format!("{}: {line}", part.name())));
        let classes: std::collections::BTreeSet<u32> =
            found.birds.iter().map(|bird| bird.class).collect();
        let captions: usize = found.birds.iter().map(|bird| bird.captions.len()).sum();
        has_pickles |= part == cub::Part::Train && found.has_embeddings;
        lines.push(format!(
            "{}: {} birds of {} classes with {captions} captions{}",
            part.name(),
            found.birds.len(),
            classes.len(),
            if found.has_embeddings {
                ", and embeddings"
            } else {
                ""
            }
        ));
        let read = in_parallel(&found.birds, |bird| {
            let picture = images::read(&bird.path)?;
            check_box(
                &bird.path,
                (picture.width(), picture.height()),
                bird.bounding_box,
            )
        });
        for result in read {
            match result {
                Ok(()) => readable += 1,
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
    print(&lines.join("\n"));
    let all = readable + broken.len();
    if all == 0 {
        let what = format!("{}: no picture is there with captions", place.display());
        return Err(failure(Kind::Data, what));
    }
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
    let flags = match (readable < 5000, has_pickles) {
        (true, _) => " --preset birds",
        (false, true) => " --embeddings pickles",
        (false, false) => "",
    };
    Ok(format!(
        "{readable} birds can be read: stackgan train{flags} --data {}",
        place.display()
    ))
}

#[cfg(test)]
mod tests;
