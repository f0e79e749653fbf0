//! The verb `data`: fetch a dataset, look at one, bring one to shape, write the procedural stand-in.

use crate::archive;
use crate::command::print;
use crate::console::{Console, Voice};
use crate::download::{Patience, Remote, download, forget_sum};
use crate::failure::{Kind, at_path, exit_code, failure};
use crate::folder::{self, Crop, Inspection, NewFolder, Preparation};
use crate::idx;
use crate::images;
use anyhow::Result;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// A file of a dataset, as it lies on the web.
#[derive(Debug, Clone, Copy)]
pub struct KnownFile {
    /// Its name in the folder.
    pub name: &'static str,
    /// Where it lies, tried in this order.
    pub mirrors: &'static [&'static str],
    /// Its sha256, where somebody computed it on a good copy.
    pub sha256: Option<&'static str>,
    /// Its exact size in bytes, where known.
    pub bytes: Option<u64>,
    /// More bytes than this are refused.
    pub most_bytes: u64,
}

/// A dataset that `data download` knows.
#[derive(Debug, Clone, Copy)]
pub struct Known {
    /// What a user types, and the folder under `data/`.
    pub name: &'static str,
    /// What it is, how large, and under which licence.
    pub about: &'static str,
    /// Where a person gets it.
    pub page: &'static str,
    /// Its files; an archive is unpacked.
    pub files: &'static [KnownFile],
}

/// What an architecture has to say about its data.
pub struct Datasets {
    /// The architecture's word.
    pub word: &'static str,
    /// What can be downloaded.
    pub known: &'static [Known],
    /// Writes so many procedural samples into an empty folder, in the layout of the real data.
    pub procedural: fn(folder: &Path, count: usize) -> Result<()>,
    /// Samples of the stand-in, when nobody says how many.
    pub procedural_count: usize,
    /// What the stand-in is.
    pub procedural_about: &'static str,
    /// The flags of `train` that suit a folder of pictures.
    pub suggest: fn(&Inspection) -> Vec<String>,
    /// Looks at a dataset whose files belong together, prints what is there and gives a last line; without it a
    /// dataset is a folder of pictures or of idx files.
    pub check: Option<fn(&Path) -> Result<String>>,
    /// `data prepare --pairs`; only where samples are pairs of pictures.
    pub pairs: Option<fn(&PairPreparation, &mut Console) -> Result<PreparedPairs>>,
    /// `data prepare --sub-images` and `--low-resolution`; only where samples have two resolutions.
    pub resolutions: Option<fn(&ResolutionPreparation, &mut Console) -> Result<PreparedPairs>>,
    /// `data prepare` where samples are shapes and not pictures.
    pub shapes: Option<fn(&ShapePreparation, &mut Console) -> Result<PreparedPairs>>,
}

/// Which axis of shapes points up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum Up {
    /// The third, as in ModelNet.
    #[default]
    Z,
    /// The second, as in ShapeNetCore.
    Y,
}

/// `data prepare`, for the architecture whose samples are shapes.
#[derive(Debug, Clone)]
pub struct ShapePreparation {
    /// The folder, file or archive of shapes.
    pub input: PathBuf,
    /// The new folder.
    pub output: PathBuf,
    /// Voxels along each side.
    pub size: u32,
    /// Orientations of each shape, equal turns apart.
    pub turns: u32,
    /// Which axis of shapes points up.
    pub up: Up,
    /// The share of shapes that goes to `train`, as [`Preparation::split`], all orientations of a model together; without
    /// it, parts stay.
    pub split: Option<f64>,
}

/// What `data prepare --pairs` makes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Pairs {
    /// Of pictures with equal names in two folders (A/train and B/train, trainA and trainB, A and B, ...): pairs side by
    /// side, A left and B right, in train/ and test/.
    Combine,
    /// Of pairs side by side: pictures with equal names in A/train and B/train, A/test and B/test.
    Split,
    /// Of photographs: pairs side by side, a line drawing left and the photograph right, in train/ and, with --split,
    /// test/.
    Edges,
}

/// `data prepare --pairs`, for the architecture that does it.
#[derive(Debug, Clone)]
pub struct PairPreparation {
    /// What is made.
    pub pairs: Pairs,
    /// The folder of pairs or photographs.
    pub input: PathBuf,
    /// The new folder.
    pub output: PathBuf,
    /// The side of each square picture of a pair that comes out, in pixels; without it, sizes stay.
    pub size: Option<u32>,
    /// The share of photographs that goes to `train`, as [`Preparation::split`].
    pub split: Option<f64>,
}

/// `data prepare --sub-images` and `--low-resolution`, for the architecture that does it.
#[derive(Debug, Clone)]
pub struct ResolutionPreparation {
    /// The folder of pictures.
    pub input: PathBuf,
    /// The new folder.
    pub output: PathBuf,
    /// The side of the squares that each picture is cut into, in pixels; without it, pictures stay whole.
    pub sub_images: Option<u32>,
    /// From one square to the next, in pixels; half a side without it.
    pub stride: Option<u32>,
    /// By how much smaller the partners are that each picture gets; without it, it gets none.
    pub low_resolution: Option<u32>,
    /// The share of pictures that goes to `train`, as [`Preparation::split`].
    pub split: Option<f64>,
}

/// What `data prepare --pairs`, `--sub-images` or `--low-resolution` did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PreparedPairs {
    /// How many pairs or pictures each part has, by its name.
    pub parts: Vec<(String, usize)>,
    /// What was left out, and why.
    pub left_out: Vec<String>,
    /// What suits the pairs, for the last line.
    pub suggestion: String,
}

/// The file that marks a folder as procedural.
const MARK: &str = "PROCEDURAL.txt";

/// Whether `data prepare --procedural` wrote this folder: then it says what the data is.
pub fn procedural_mark(place: &Path) -> Option<String> {
    let text = std::fs::read_to_string(place.join(MARK)).ok()?;
    let first = text.lines().next().unwrap_or_default();
    Some(first.trim_start_matches("PROCEDURAL data: ").to_owned())
}

/// Marks what is made of procedural data as procedural, too.
///
/// # Errors
/// [`Kind::Disk`].
pub fn keep_procedural_mark(from: &Path, to: &Path) -> Result<()> {
    let Ok(text) = std::fs::read(from.join(MARK)) else {
        return Ok(());
    };
    let mark = to.join(MARK);
    std::fs::write(&mark, text).map_err(|error| at_path(Kind::Disk, "write", &mark, &error))
}

/// `data`.
#[derive(Debug, Clone, clap::Subcommand)]
pub enum DataCommand {
    /// Fetch a dataset; without a name, list those that are known.
    Download {
        /// Which dataset.
        name: Option<String>,
        /// Its folder; data/NAME without it.
        #[arg(short, long, value_name = "DIR")]
        output: Option<PathBuf>,
    },
    /// Read every file of a dataset: what is there, what is broken, which flags suit it.
    Check {
        /// A folder of pictures or of idx files.
        folder: PathBuf,
    },
    /// Bring a folder of pictures to one shape as PNG files, or write the procedural stand-in.
    Prepare(PrepareCommand),
}

/// `data prepare`.
#[derive(Debug, Clone, clap::Args)]
pub struct PrepareCommand {
    /// The folder of pictures, at any depth; with --pairs, of pairs or photographs; of shapes also a file or an archive.
    #[arg(
        short,
        long,
        value_name = "DIR",
        required_unless_present = "procedural"
    )]
    input: Option<PathBuf>,
    /// The new folder.
    #[arg(short, long, value_name = "DIR")]
    output: PathBuf,
    /// Side of the square pictures in pixels; without it, sizes stay. Of shapes, in voxels: 64 without it.
    #[arg(long)]
    size: Option<u32>,
    /// What is cut out first: center (the largest square), or left,top,width,height in pixels.
    #[arg(long, value_name = "CROP")]
    crop: Option<Crop>,
    /// Leave out pictures with a shorter side than this, in pixels.
    #[arg(long, default_value_t = 0, value_name = "PIXELS")]
    min_size: u32,
    /// Leave out pictures that are equal to an earlier one.
    #[arg(long)]
    dedupe: bool,
    /// Share of the pictures that goes to train/, the others to test/; told by their names alone.
    #[arg(long, value_name = "SHARE")]
    split: Option<f64>,
    /// Make a dataset of pairs (architectures that learn from pairs); --size is that of each picture of a pair.
    #[arg(long, value_name = "WHAT", conflicts_with_all = ["crop", "min_size", "dedupe"])]
    pairs: Option<Pairs>,
    /// Cut each picture into squares of this side in pixels, which are read faster than large pictures (architectures
    /// that upscale).
    #[arg(long, value_name = "SIDE", conflicts_with_all = ["size", "crop", "min_size", "dedupe", "pairs"])]
    sub_images: Option<u32>,
    /// From one square to the next, in pixels; half a side without it.
    #[arg(long, value_name = "PIXELS", requires = "sub_images")]
    stride: Option<u32>,
    /// Give each picture a partner this many times smaller, by a bicubic filter: 2, 4 or 8 (architectures that upscale).
    #[arg(long, value_name = "SCALE", conflicts_with_all = ["size", "crop", "min_size", "dedupe", "pairs"])]
    low_resolution: Option<u32>,
    /// Turn each shape about its vertical axis, and keep this many orientations of it (architectures that learn from
    /// shapes).
    #[arg(long, value_name = "COUNT", conflicts_with_all = ["crop", "min_size", "dedupe", "pairs"])]
    turns: Option<u32>,
    /// Which axis of shapes points up (architectures that learn from shapes).
    #[arg(long, value_name = "AXIS", conflicts_with_all = ["crop", "min_size", "dedupe", "pairs"])]
    up: Option<Up>,
    /// Write the procedural stand-in in the layout of the real data instead.
    #[arg(long, conflicts_with_all = ["input", "size", "crop", "min_size", "dedupe", "split", "pairs",
        "sub_images", "low_resolution", "turns", "up"])]
    procedural: bool,
    /// Samples of the stand-in.
    #[arg(long, requires = "procedural")]
    num: Option<usize>,
}

impl DataCommand {
    /// Does what was asked.
    ///
    /// # Errors
    /// [`Kind::Usage`], [`Kind::Data`], [`Kind::Download`] or [`Kind::Disk`], naming the file and the fix.
    pub fn run(&self, datasets: &Datasets) -> Result<()> {
        match self {
            Self::Download { name: None, .. } => {
                print(&list(datasets));
                Ok(())
            }
            Self::Download {
                name: Some(name),
                output,
            } => fetch(datasets, name, output.as_deref()),
            Self::Check { folder } => check(datasets, folder),
            Self::Prepare(command) => command.run(datasets),
        }
    }
}

fn list(datasets: &Datasets) -> String {
    let mut lines = Vec::new();
    for known in datasets.known {
        lines.push(format!(
            "{}\n  {}\n  {}",
            known.name, known.about, known.page
        ));
    }
    lines.push(format!(
        "{} data download NAME [-o DIR] fetches one; {} data prepare --procedural -o DIR writes the stand-in \
         ({})",
        datasets.word, datasets.word, datasets.procedural_about
    ));
    lines.join("\n")
}

fn fetch(datasets: &Datasets, name: &str, output: Option<&Path>) -> Result<()> {
    let Some(known) = datasets.known.iter().find(|known| known.name == name) else {
        let names: Vec<_> = datasets.known.iter().map(|known| known.name).collect();
        return Err(failure(
            Kind::Usage,
            format!(
                "{name} is not a dataset that {} knows: {}",
                datasets.word,
                names.join(", ")
            ),
        ));
    };
    let folder = output.map_or_else(|| Path::new("data").join(name), Path::to_owned);
    std::fs::create_dir_all(&folder)
        .map_err(|error| at_path(Kind::Disk, "create", &folder, &error))?;
    let console = Console::new(Voice::Normal);
    console.say(&format!("{name}: {}", known.about));
    for file in known.files {
        let target = folder.join(file.name);
        if target.exists() {
            // Put there by hand: before its sum is recorded as the right one.
            file.check_archive(&target, known.page)?;
        }
        let remote = file.remote(known.page);
        get(&remote, &target, &console)?;
        file.check_archive(&target, known.page)?;
        if archive::is_archive(&target) && !file.name.ends_with("-ubyte.gz") {
            let stem = file.name.split('.').next().unwrap_or(file.name);
            let into = folder.join(stem);
            let mut told = 0;
            let extracted = archive::extract(
                &target,
                &into,
                &archive::Limits::default(),
                &mut |files, bytes| {
                    if files / 20_000 > told {
                        told = files / 20_000;
                        console.say(&format!("{files} files, {} MB unpacked", bytes >> 20));
                    }
                },
            )
            .map_err(|error| file.not_unpacked(&target, error))?;
            console.say(&if extracted.already {
                format!("{} is unpacked already", into.display())
            } else {
                format!("{} files in {}", extracted.files, into.display())
            });
        }
    }
    console.say(&format!(
        "ready: {} data check {folder}; {} train --data {folder}",
        datasets.word,
        datasets.word,
        folder = folder.display()
    ));
    Ok(())
}

/// What a file begins with, for a person: a page of HTML looks different from an archive.
fn beginning(path: &Path) -> String {
    use std::io::Read;
    let mut start = Vec::new();
    let read = std::fs::File::open(path).and_then(|file| file.take(40).read_to_end(&mut start));
    match read {
        Err(error) => format!("cannot be read: {error}"),
        Ok(0) => "is empty".to_owned(),
        Ok(_) => format!("begins with \"{}\"", start.escape_ascii()),
    }
}

impl KnownFile {
    /// Refuses what has an archive's name and is none.
    fn check_archive(&self, target: &Path, page: &str) -> Result<()> {
        let is_named_so = [".zip", ".tar", ".tar.gz", ".tgz"]
            .iter()
            .any(|ending| self.name.ends_with(ending));
        if !is_named_so || !target.is_file() || archive::is_archive(target) {
            return Ok(());
        }
        if self.sha256.is_none() {
            forget_sum(target);
        }
        Err(failure(
            Kind::Data,
            format!(
                "{file} is no archive: it {}. Remove {file} and run again, or put the right file there: {page}",
                beginning(target),
                file = target.display(),
            ),
        ))
    }

    /// An archive that is damaged must not be the one to compare with.
    fn not_unpacked(&self, target: &Path, error: anyhow::Error) -> anyhow::Error {
        if self.sha256.is_some() || exit_code(&error) != Kind::Data.exit_code() {
            return error;
        }
        forget_sum(target);
        failure(
            Kind::Data,
            format!(
                "{error:#}. Remove {} and run again to fetch it anew",
                target.display()
            ),
        )
    }

    fn remote(&self, page: &str) -> Remote {
        Remote {
            file: self.name.to_owned(),
            mirrors: self.mirrors.iter().map(|url| (*url).to_owned()).collect(),
            sha256: self.sha256.map(str::to_owned),
            bytes: self.bytes,
            most_bytes: self.most_bytes,
            by_hand: page.to_owned(),
        }
    }
}

/// Downloads one file, says what came, and gives its sha256.
///
/// # Errors
/// As [`download`].
pub fn get(remote: &Remote, target: &Path, console: &Console) -> Result<String> {
    let mut told = 0;
    let mut progress = |done: u64, all: Option<u64>| {
        if done >> 26 > told {
            told = done >> 26;
            let all = all.map_or(String::new(), |all| format!(" of {}", all >> 20));
            console.say(&format!("{}: {}{all} MB", remote.file, done >> 20));
        }
    };
    let done = download(remote, target, &Patience::default(), &mut progress)?;
    let state = if done.already {
        "is there already"
    } else {
        "downloaded"
    };
    console.say(&match done.was_known {
        true => format!("{} {state}, sha256 as expected", target.display()),
        false => format!(
            "{} {state}; nobody published its sha256, this one is kept to compare with: {}",
            target.display(),
            done.sha256
        ),
    });
    Ok(done.sha256)
}

fn check(datasets: &Datasets, place: &Path) -> Result<()> {
    if let Some(mark) = procedural_mark(place) {
        print(&format!("PROCEDURAL data: {mark}"));
    }
    if let Some(check) = datasets.check {
        print(&check(place)?);
        return Ok(());
    }
    let is_idx = |part| idx::is_here(place, part) || idx::has_labels(place, part);
    if place.is_file() || is_idx("train") || is_idx("t10k") {
        return check_idx(datasets, place);
    }
    let inspection = folder::inspect(place)?;
    let mut text = inspection.text(place);
    for line in (datasets.suggest)(&inspection) {
        text.push_str(&format!("suggestion: {line}\n"));
    }
    print(&text);
    let all = inspection.readable + inspection.unreadable.len();
    if inspection.unreadable.len() as f64 > crate::images::MOST_BROKEN * all as f64 {
        return Err(failure(
            Kind::Data,
            format!(
                "{} of {all} pictures under {} cannot be read: training would refuse them",
                inspection.unreadable.len(),
                place.display()
            ),
        ));
    }
    Ok(())
}

fn check_idx(datasets: &Datasets, place: &Path) -> Result<()> {
    let mut text = String::new();
    for part in ["train", "t10k"] {
        if !place.is_file() && !idx::is_here(place, part) {
            if idx::has_labels(place, part) {
                text.push_str(&format!(
                    "{part}: labels without their pictures, {part}-images-idx3-ubyte(.gz)\n"
                ));
            }
            continue;
        }
        let pictures = idx::Pictures::read(place, part)?;
        let classes: std::collections::BTreeMap<u8, usize> =
            pictures
                .labels
                .iter()
                .fold(Default::default(), |mut counts, label| {
                    *counts.entry(*label).or_default() += 1;
                    counts
                });
        text.push_str(&format!(
            "{part}: {} pictures of {} x {}, {}\n",
            pictures.len(),
            pictures.width,
            pictures.height,
            match classes.len() {
                0 => "no labels".to_owned(),
                count => format!("{count} classes: {classes:?}"),
            }
        ));
        if place.is_file() {
            break;
        }
    }
    print(&text);
    if !place.is_file() && !idx::is_here(place, "train") {
        return Err(failure(
            Kind::Data,
            format!(
                "{} holds no train-images-idx3-ubyte(.gz), on which {} trains: add the file, or fetch a set \
                 with `{} data download`",
                place.display(),
                datasets.word,
                datasets.word
            ),
        ));
    }
    Ok(())
}

impl PrepareCommand {
    fn run(&self, datasets: &Datasets) -> Result<()> {
        let console = Console::new(Voice::Normal);
        if self.procedural {
            let count = self.num.unwrap_or(datasets.procedural_count);
            if !(1..=1_000_000).contains(&count) {
                return Err(failure(
                    Kind::Usage,
                    format!("--num {count} is not legal: 1 to 1000000"),
                ));
            }
            write_procedural(datasets, &self.output, count)?;
            console.say(&format!(
                "PROCEDURAL data ({}): {count} samples in {}",
                datasets.procedural_about,
                self.output.display()
            ));
            return Ok(());
        }
        if self.size == Some(0) || self.size.is_some_and(|size| size > 8192) {
            return Err(failure(Kind::Usage, "--size must be 1 to 8192"));
        }
        if self
            .split
            .is_some_and(|share| !(0.0..=1.0).contains(&share))
        {
            return Err(failure(
                Kind::Usage,
                "--split must be between 0 and 1, 0.9 for instance",
            ));
        }
        if let Some(prepare) = datasets.shapes {
            return self.run_shapes(prepare, datasets, console);
        }
        if self.turns.is_some() || self.up.is_some() {
            return Err(failure(
                Kind::Usage,
                format!(
                    "--turns and --up are for architectures that learn from shapes; {} does not",
                    datasets.word
                ),
            ));
        }
        if let Some(pairs) = self.pairs {
            return self.run_pairs(pairs, datasets, console);
        }
        if self.sub_images.is_some() || self.low_resolution.is_some() {
            return self.run_resolutions(datasets, console);
        }
        let preparation = Preparation {
            size: self.size,
            crop: self.crop,
            min_size: self.min_size,
            dedupe: self.dedupe,
            split: self.split,
        };
        let input = self.input.as_deref().unwrap_or(Path::new("."));
        let has_partners = datasets.pairs.is_some() || datasets.resolutions.is_some();
        if has_partners && (self.min_size > 0 || self.dedupe) && are_paired(input)? {
            return Err(failure(
                Kind::Usage,
                format!(
                    "pictures of equal names in folders of {} belong together: --min-size and --dedupe would leave \
                     some without their partners",
                    input.display()
                ),
            ));
        }
        let prepared = preparation.run(input, &self.output)?;
        for line in prepared.unreadable.iter().take(10) {
            console.warn(line);
        }
        console.say(&format!(
            "{} pictures in {}; left out: {} too small, {} duplicates, {} unreadable",
            prepared.written,
            self.output.display(),
            prepared.small,
            prepared.duplicates,
            prepared.unreadable.len()
        ));
        Ok(())
    }
}

/// Whether two folders of a dataset, beside its parts, hold pictures of one name.
fn are_paired(folder: &Path) -> Result<bool> {
    let files = images::list(folder)?;
    let mut homes: BTreeMap<PathBuf, PathBuf> = BTreeMap::new();
    for index in 0..files.len() {
        let name = files.name(index);
        let mut parts = name.components();
        let is_part = |part: std::path::Component<'_>| {
            let known = ["train", "test", "val", "valid"];
            known.iter().any(|known| part.as_os_str() == *known)
        };
        if name.components().next().is_some_and(is_part) {
            parts.next();
        }
        let rest = parts.as_path();
        let home = rest.parent().unwrap_or(Path::new("")).to_owned();
        let stem = rest.with_extension("");
        let stem = PathBuf::from(stem.file_name().unwrap_or_default());
        if homes.entry(stem).or_insert_with(|| home.clone()) != &home {
            return Ok(true);
        }
    }
    Ok(false)
}

impl PrepareCommand {
    fn run_shapes(
        &self,
        prepare: fn(&ShapePreparation, &mut Console) -> Result<PreparedPairs>,
        datasets: &Datasets,
        mut console: Console,
    ) -> Result<()> {
        let usage = |what: &str| Err(failure(Kind::Usage, what));
        let is_for_pictures = self.crop.is_some()
            || self.min_size > 0
            || self.dedupe
            || self.pairs.is_some()
            || self.sub_images.is_some()
            || self.low_resolution.is_some();
        if is_for_pictures {
            return usage("only --size, --turns, --up and --split are for shapes");
        }
        let size = self.size.unwrap_or(64);
        if ![16, 32, 64, 128].contains(&size) {
            return usage("--size must be 16, 32, 64 or 128 voxels");
        }
        let turns = self.turns.unwrap_or(1);
        if !(1..=360).contains(&turns) {
            return usage("--turns must be 1 to 360");
        }
        let preparation = ShapePreparation {
            input: self.input.clone().unwrap_or_else(|| PathBuf::from(".")),
            output: self.output.clone(),
            size,
            turns,
            up: self.up.unwrap_or_default(),
            split: self.split,
        };
        let prepared = prepare(&preparation, &mut console)?;
        self.tell("shapes", &prepared, datasets, &console);
        Ok(())
    }

    fn run_pairs(&self, pairs: Pairs, datasets: &Datasets, mut console: Console) -> Result<()> {
        let Some(prepare) = datasets.pairs else {
            return Err(failure(
                Kind::Usage,
                format!(
                    "--pairs is for architectures that learn from pairs of pictures; {} does not",
                    datasets.word
                ),
            ));
        };
        if self.split.is_some() && pairs != Pairs::Edges {
            return Err(failure(
                Kind::Usage,
                "--split goes with --pairs edges: combine and split keep the parts that are there",
            ));
        }
        let preparation = PairPreparation {
            pairs,
            input: self.input.clone().unwrap_or_else(|| PathBuf::from(".")),
            output: self.output.clone(),
            size: self.size,
            split: self.split,
        };
        let prepared = prepare(&preparation, &mut console)?;
        self.tell("pairs", &prepared, datasets, &console);
        Ok(())
    }

    fn run_resolutions(&self, datasets: &Datasets, mut console: Console) -> Result<()> {
        let usage = |what: &str| Err(failure(Kind::Usage, what));
        let Some(prepare) = datasets.resolutions else {
            return usage(&format!(
                "--sub-images and --low-resolution are for architectures that upscale pictures; {} does not",
                datasets.word
            ));
        };
        if self
            .sub_images
            .is_some_and(|side| !(16..=8192).contains(&side))
        {
            return usage("--sub-images must be 16 to 8192");
        }
        if self
            .stride
            .is_some_and(|stride| !(1..=8192).contains(&stride))
        {
            return usage("--stride must be 1 to 8192");
        }
        if self
            .low_resolution
            .is_some_and(|scale| ![2, 4, 8].contains(&scale))
        {
            return usage("--low-resolution must be 2, 4 or 8");
        }
        let preparation = ResolutionPreparation {
            input: self.input.clone().unwrap_or_else(|| PathBuf::from(".")),
            output: self.output.clone(),
            sub_images: self.sub_images,
            stride: self.stride,
            low_resolution: self.low_resolution,
            split: self.split,
        };
        let prepared = prepare(&preparation, &mut console)?;
        self.tell("pictures", &prepared, datasets, &console);
        Ok(())
    }

    /// Says what was made, and how to train on it.
    fn tell(&self, made: &str, prepared: &PreparedPairs, datasets: &Datasets, console: &Console) {
        for line in prepared.left_out.iter().take(10) {
            console.warn(line);
        }
        if prepared.left_out.len() > 10 {
            console.warn(&format!(
                "{} more are left out",
                prepared.left_out.len() - 10
            ));
        }
        let parts: Vec<String> = prepared
            .parts
            .iter()
            .map(|(part, count)| format!("{count} in {part}"))
            .collect();
        let ready = format!(
            "{} train --data {} {}",
            datasets.word,
            self.output.display(),
            prepared.suggestion
        );
        console.say(&format!(
            "{made} in {}: {}; left out: {}\nready: {}",
            self.output.display(),
            parts.join(", "),
            prepared.left_out.len(),
            ready.trim_end()
        ));
    }
}

fn write_procedural(datasets: &Datasets, output: &Path, count: usize) -> Result<()> {
    let new = NewFolder::start(output)?;
    let mark = new.path().join(MARK);
    let text = format!(
        "PROCEDURAL data: {}\nWritten by `{} data prepare --procedural`.\n",
        datasets.procedural_about, datasets.word
    );
    std::fs::write(&mark, text).map_err(|error| at_path(Kind::Disk, "write", &mark, &error))?;
    (datasets.procedural)(new.path(), count)?;
    new.publish()
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: KnownFile = KnownFile {
        name: "set.zip",
        mirrors: &[],
        sha256: None,
        bytes: None,
        most_bytes: 1 << 20,
    };

    const DATASETS: Datasets = Datasets {
        word: "sample",
        known: &[Known {
            name: "set",
            about: "a set",
            page: "ask for set.zip",
            files: &[FILE],
        }],
        procedural: |_, _| Ok(()),
        procedural_count: 1,
        procedural_about: "nothing",
        suggest: |_| Vec::new(),
        check: None,
        pairs: None,
        resolutions: None,
        shapes: None,
    };

    #[test]
    fn two_resolutions_are_refused_where_there_are_none() {
        use clap::Parser;
        #[derive(clap::Parser)]
        struct Line {
            #[command(subcommand)]
            data: DataCommand,
        }
        let line = ["x", "prepare", "-i", "here", "-o", "there"];
        let parse = |more: &[&str]| Line::try_parse_from(line.iter().chain(more));
        for flags in [&["--sub-images", "480"][..], &["--low-resolution", "4"]] {
            let error = parse(flags).unwrap().data.run(&DATASETS).unwrap_err();
            assert_eq!(exit_code(&error), 2);
            assert!(error.to_string().contains("sample does not"), "{error}");
            for other in [&["--dedupe"][..], &["--size", "9"], &["--pairs", "split"]] {
                assert!(
                    parse(&[flags, other].concat()).is_err(),
                    "{flags:?} {other:?}"
                );
            }
        }
        assert!(parse(&["--stride", "240"]).is_err(), "a stride of nothing");
        let upscaling = Datasets {
            resolutions: Some(|_, _| Ok(PreparedPairs::default())),
            ..DATASETS
        };
        for (flags, code) in [
            (
                &["--sub-images", "480", "--stride", "240", "--split", "0.9"][..],
                0,
            ),
            (&["--low-resolution", "2"], 0),
            (&["--low-resolution", "3"], 2),
            (&["--sub-images", "15"], 2),
            (&["--sub-images", "480", "--stride", "0"], 2),
            (&["--sub-images", "480", "--split", "1.5"], 2),
        ] {
            let done = parse(flags).unwrap().data.run(&upscaling);
            assert_eq!(
                done.err().map_or(0, |error| exit_code(&error)),
                code,
                "{flags:?}"
            );
        }
    }

    #[test]
    fn pairs_are_refused_where_there_are_none() {
        use clap::Parser;
        #[derive(clap::Parser)]
        struct Line {
            #[command(subcommand)]
            data: DataCommand,
        }
        let line = [
            "x", "prepare", "-i", "here", "-o", "there", "--pairs", "split",
        ];
        let parsed = Line::try_parse_from(line).unwrap();
        let error = parsed.data.run(&DATASETS).unwrap_err();
        assert_eq!(exit_code(&error), 2);
        assert!(error.to_string().contains("sample does not"), "{error}");
        for other in [
            &["--dedupe"][..],
            &["--crop", "center"],
            &["--min-size", "9"],
        ] {
            assert!(
                Line::try_parse_from(line.iter().chain(other)).is_err(),
                "{other:?}"
            );
        }
        let drawn = [
            "x",
            "prepare",
            "-o",
            "there",
            "--pairs",
            "split",
            "--procedural",
        ];
        assert!(Line::try_parse_from(drawn).is_err());
    }

    #[test]
    fn what_is_no_archive_is_told_and_its_sum_forgotten() {
        let folder = tempfile::tempdir().unwrap();
        let place = |name: &str| folder.path().join(name);
        let (target, record) = (place("set.zip"), place("set.zip.sha256"));
        let refused = |part: &str| {
            let error = fetch(&DATASETS, "set", Some(folder.path())).unwrap_err();
            let said = format!("{error:#}");
            assert_eq!(exit_code(&error), 3, "{said}");
            let fix = format!("emove {} and run again", target.display());
            assert!(said.contains(part) && said.contains(&fix), "{said}");
            assert!(!record.exists(), "the sum of a wrong file is kept");
        };
        std::fs::write(&target, "<!DOCTYPE html><title>quota</title>").unwrap();
        refused("begins with \"<!DOCTYPE html>");
        std::fs::write(&target, "").unwrap();
        refused("is empty");
        // An archive by its first bytes, and cut short.
        let mut zip = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
        zip.start_file("a.txt", zip::write::SimpleFileOptions::default())
            .unwrap();
        std::io::Write::write_all(&mut zip, b"hello").unwrap();
        let whole = zip.finish().unwrap().into_inner();
        std::fs::write(&target, &whole[..whole.len() / 2]).unwrap();
        refused("set.zip");
        // The right one is taken after that.
        std::fs::write(&target, &whole).unwrap();
        fetch(&DATASETS, "set", Some(folder.path())).unwrap();
        assert!(place("set/a.txt").is_file() && record.is_file());
    }
}
