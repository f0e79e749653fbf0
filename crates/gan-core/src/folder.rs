//! A folder of pictures before it is trained on: what it holds, and how to bring it to one shape.

use crate::console::Console;
use crate::failure::{Kind, at_path, exit_code, failure};
use crate::files::Files;
use crate::images;
use crate::process::may_be_alive;
use anyhow::Result;
use image::{DynamicImage, RgbImage};
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// What a folder of pictures holds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Inspection {
    /// Pictures that can be read.
    pub readable: usize,
    /// Bytes of all files.
    pub bytes: u64,
    /// How many pictures have which width and height, in pixels and upright.
    pub sizes: BTreeMap<(u32, u32), usize>,
    /// How many pictures have which kind of channels.
    pub kinds: BTreeMap<&'static str, usize>,
    /// Files that cannot be read, and why.
    pub unreadable: Vec<String>,
    /// Pictures whose pixels are those of an earlier one, beside that one.
    pub duplicates: Vec<(PathBuf, PathBuf)>,
    /// What lies there and is not looked at, and how often, as [`Files::left_out`].
    pub left_out: BTreeMap<String, usize>,
}

struct Seen {
    bytes: u64,
    size: (u32, u32),
    kind: &'static str,
    sum: [u8; 32],
}

fn kind_of(picture: &DynamicImage) -> &'static str {
    let color = picture.color();
    match (
        color.has_color(),
        color.has_alpha(),
        color.bytes_per_pixel() / color.channel_count(),
    ) {
        (true, false, 1) => "RGB",
        (true, true, 1) => "RGB with alpha",
        (false, false, 1) => "grey",
        (false, true, 1) => "grey with alpha",
        (true, ..) => "RGB, 16 bits",
        (false, ..) => "grey, 16 bits",
    }
}

/// The sum that tells pictures with equal pixels, whatever their files.
fn sum_of(picture: &RgbImage) -> [u8; 32] {
    let mut sum = Sha256::new();
    sum.update(picture.width().to_le_bytes());
    sum.update(picture.as_raw());
    sum.finalize().into()
}

/// Reads every picture under a folder and tells what there is.
///
/// # Errors
/// [`Kind::Data`] when the folder cannot be read or holds no picture; pictures that cannot be read are part
/// of the answer.
pub fn inspect(folder: &Path) -> Result<Inspection> {
    let files = images::list(folder)?;
    let seen = files.map(|path| -> Result<Seen> {
        let picture = images::read(path)?;
        Ok(Seen {
            bytes: path.metadata().map_or(0, |data| data.len()),
            size: (picture.width(), picture.height()),
            kind: kind_of(&picture),
            sum: sum_of(&images::to_rgb(&picture)),
        })
    });
    let mut inspection = Inspection {
        left_out: files.left_out().clone(),
        ..Inspection::default()
    };
    let mut first_with: HashMap<[u8; 32], usize> = HashMap::new();
    for (index, seen) in seen.into_iter().enumerate() {
        match seen {
            Err(error) => inspection.unreadable.push(format!("{error:#}")),
            Ok(seen) => {
                inspection.readable += 1;
                inspection.bytes += seen.bytes;
                *inspection.sizes.entry(seen.size).or_default() += 1;
                *inspection.kinds.entry(seen.kind).or_default() += 1;
                match first_with.get(&seen.sum) {
                    None => drop(first_with.insert(seen.sum, index)),
                    Some(first) => inspection
                        .duplicates
                        .push((files.path(index), files.path(*first))),
                }
            }
        }
    }
    Ok(inspection)
}

/// Lines of a list that are printed before "and N more".
const SHOWN: usize = 10;

fn list_some(text: &mut String, title: &str, lines: impl ExactSizeIterator<Item = String>) {
    let count = lines.len();
    if count == 0 {
        return;
    }
    let _ = writeln!(text, "{title} {count}");
    for line in lines.take(SHOWN) {
        let _ = writeln!(text, "  {line}");
    }
    if count > SHOWN {
        let _ = writeln!(text, "  and {} more", count - SHOWN);
    }
}

impl Inspection {
    /// The shortest side of all pictures, in pixels; 0 without any.
    pub fn shortest_side(&self) -> u32 {
        let sides = self.sizes.keys().map(|(width, height)| *width.min(height));
        sides.min().unwrap_or(0)
    }

    /// Whether no picture has colours.
    pub fn is_grey(&self) -> bool {
        !self.kinds.is_empty() && self.kinds.keys().all(|kind| kind.starts_with("grey"))
    }

    /// What a person reads.
    pub fn text(&self, folder: &Path) -> String {
        let mut text = format!(
            "{}: {} readable pictures, {:.1} MB\n",
            folder.display(),
            self.readable,
            self.bytes as f64 / 1e6
        );
        let mut sizes: Vec<_> = self.sizes.iter().collect();
        sizes.sort_by_key(|(_, count)| std::cmp::Reverse(**count));
        list_some(
            &mut text,
            "sizes",
            sizes
                .into_iter()
                .map(|((width, height), count)| format!("{width} x {height}: {count}")),
        );
        list_some(
            &mut text,
            "channels",
            self.kinds
                .iter()
                .map(|(kind, count)| format!("{kind}: {count}")),
        );
        list_some(
            &mut text,
            "unreadable",
            self.unreadable.iter().map(Clone::clone),
        );
        list_some(
            &mut text,
            "duplicates (equal pixels)",
            self.duplicates
                .iter()
                .map(|(later, first)| format!("{} = {}", later.display(), first.display())),
        );
        list_some(
            &mut text,
            "not looked at, kinds",
            self.left_out
                .iter()
                .map(|(what, count)| format!("{what}: {count}")),
        );
        text
    }
}

/// Which part of a picture is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Crop {
    /// The largest square in the middle.
    Center,
    /// Left, top, width and height in pixels of the upright picture.
    Rectangle([u32; 4]),
}

impl std::str::FromStr for Crop {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "center" {
            return Ok(Self::Center);
        }
        let numbers: Option<Vec<u32>> = text.split(',').map(|part| part.parse().ok()).collect();
        match numbers.as_deref() {
            Some(&[left, top, width, height]) if width > 0 && height > 0 => {
                Ok(Self::Rectangle([left, top, width, height]))
            }
            _ => Err("expected center or left,top,width,height in pixels".to_owned()),
        }
    }
}

/// How pictures are brought to one shape.
#[derive(Debug, Clone, Default)]
pub struct Preparation {
    /// The side of the square pictures that come out, in pixels; without it, sizes stay.
    pub size: Option<u32>,
    /// What is cut out first.
    pub crop: Option<Crop>,
    /// Pictures with a shorter side than this, in pixels, after cropping, are left out.
    pub min_size: u32,
    /// Leave out pictures whose pixels are those of an earlier one.
    pub dedupe: bool,
    /// The share of pictures that goes to `train`; the others go to `test`. Which ones follows from their
    /// names alone, so more pictures later move none.
    pub split: Option<f64>,
}

/// What [`Preparation::run`] did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Prepared {
    /// Pictures written.
    pub written: usize,
    /// Left out: too small, or the rectangle does not fit.
    pub small: usize,
    /// Left out: equal to an earlier one.
    pub duplicates: usize,
    /// Left out: unreadable, and why.
    pub unreadable: Vec<String>,
}

/// Where a name lies among all names, in [0, 1): with a share of `train` above that, it belongs to `train`. It
/// follows from the name alone, so more pictures later move none.
pub fn place_of(name: &Path) -> f64 {
    let sum = Sha256::digest(name.to_string_lossy().as_bytes());
    let number = sum[..4]
        .iter()
        .fold(0_u32, |number, byte| number << 8 | u32::from(*byte));
    f64::from(number) / (f64::from(u32::MAX) + 1.0)
}

impl Preparation {
    /// Writes the pictures under `input` as PNG files into the new folder `output`, which appears when it
    /// is whole.
    ///
    /// # Errors
    /// [`Kind::Usage`] when `output` is there already or lies inside `input`, [`Kind::Data`] when nothing is
    /// left to write, [`Kind::Disk`] when it cannot be written; then nothing stays behind.
    pub fn run(&self, input: &Path, output: &Path) -> Result<Prepared> {
        let files = images::list(input)?;
        let new = NewFolder::outside(input, output)?;
        let prepared = self.fill(&files, new.path())?;
        if prepared.written == 0 {
            return Err(failure(
                Kind::Data,
                format!(
                    "none of the {} pictures under {} is left: {} too small, {} unreadable{}",
                    files.len(),
                    input.display(),
                    prepared.small,
                    prepared.unreadable.len(),
                    prepared
                        .unreadable
                        .first()
                        .map_or(String::new(), |first| format!(", the first: {first}"))
                ),
            ));
        }
        new.publish()?;
        Ok(prepared)
    }

    /// One picture as it will be written, or `None` where it is too small.
    fn shape(&self, path: &Path) -> Result<Option<RgbImage>> {
        let mut picture = images::to_rgb(&images::read(path)?);
        let (width, height) = picture.dimensions();
        let cut = match self.crop {
            None => None,
            Some(Crop::Center) => {
                let side = width.min(height);
                Some([(width - side) / 2, (height - side) / 2, side, side])
            }
            Some(Crop::Rectangle(rectangle)) => Some(rectangle),
        };
        if let Some([left, top, wide, high]) = cut {
            let fits = |from: u32, length: u32, side: u32| {
                from.checked_add(length).is_some_and(|end| end <= side)
            };
            if !fits(left, wide, width) || !fits(top, high, height) {
                return Ok(None);
            }
            picture = image::imageops::crop_imm(&picture, left, top, wide, high).to_image();
        }
        if picture.width().min(picture.height()) < self.min_size {
            return Ok(None);
        }
        Ok(Some(match self.size {
            Some(size) => images::square(&picture, size),
            None => picture,
        }))
    }

    fn fill(&self, files: &Files, folder: &Path) -> Result<Prepared> {
        let mut prepared = Prepared::default();
        let mut sums = BTreeSet::new();
        let mut places = Places::default();
        for index in 0..files.len() {
            let picture = match self.shape(&files.path(index)) {
                Ok(Some(picture)) => picture,
                Ok(None) => {
                    prepared.small += 1;
                    continue;
                }
                Err(error) => {
                    prepared.unreadable.push(format!("{error:#}"));
                    continue;
                }
            };
            if self.dedupe && !sums.insert(sum_of(&picture)) {
                prepared.duplicates += 1;
                continue;
            }
            let name = files.name(index);
            let place = match self.split {
                None => places.png("", name),
                Some(share) => {
                    let (domain, rest) = without_part(name);
                    let is_train = place_of(rest) < share;
                    let part = if is_train { "train" } else { "test" };
                    places.png(&format!("{part}{domain}"), rest)
                }
            };
            let place = folder.join(place);
            if let Some(parent) = place.parent() {
                std::fs::create_dir_all(parent)
                    .map_err(|error| at_path(Kind::Disk, "create", parent, &error))?;
            }
            picture.save(&place).map_err(|error| {
                failure(
                    Kind::Disk,
                    format!("cannot write {}: {error}", place.display()),
                )
            })?;
            prepared.written += 1;
        }
        Ok(prepared)
    }
}

/// What is to follow the name of a part so that a picture stays in its domain ("A", "/A", or nothing), and the picture's
/// name without domain and part: `trainA/1.png`, `test/A/1.png` and `A/1.png` are all 1.png of domain A. So a dataset
/// that has parts is dealt out anew, and what belongs together stays together.
fn without_part(name: &Path) -> (&'static str, &Path) {
    let file = name;
    let mut rest = name.components();
    // The folder that comes next, unless it is the file's name.
    let next = |rest: &mut std::path::Components<'_>| {
        let first = rest.next()?.as_os_str().to_str().map(str::to_owned)?;
        (!rest.as_path().as_os_str().is_empty()).then_some(first)
    };
    let mut ahead = rest.clone();
    let Some(first) = next(&mut ahead) else {
        return ("", file);
    };
    let parts = ["train", "test", "valid", "val"];
    let tail = parts.iter().find_map(|part| first.strip_prefix(part));
    match tail {
        Some("A") => return ("A", ahead.as_path()),
        Some("B") => return ("B", ahead.as_path()),
        Some("") => rest = ahead,
        _ => {}
    }
    let mut ahead = rest.clone();
    match next(&mut ahead).as_deref() {
        Some("A") => ("/A", ahead.as_path()),
        Some("B") => ("/B", ahead.as_path()),
        _ => ("", rest.as_path()),
    }
}

/// Places of PNG files in a new folder: no two files get the same one.
#[derive(Debug, Clone, Default)]
pub struct Places {
    taken: BTreeSet<PathBuf>,
}

impl Places {
    /// The place, from the new folder on, of what is made of the file `name` for `part`.
    pub fn png(&mut self, part: &str, name: &Path) -> PathBuf {
        let mut place = Path::new(part).join(name).with_extension("png");
        // 1.jpg and 1.png are two pictures.
        let mut number = 2;
        while !self.taken.insert(place.clone()) {
            let stem = name.file_stem().unwrap_or_default().to_string_lossy();
            place = Path::new(part)
                .join(name)
                .with_file_name(format!("{stem}_{number}.png"));
            number += 1;
        }
        place
    }
}

/// Does the jobs 0..`count` on all cores, with progress on the console. Gives the jobs that cannot be done, and why, in
/// order; no further one is begun when there are more than `most` of them.
///
/// # Errors
/// The first one of a job that is not [`Kind::Data`]: a picture that cannot be used costs no other, a full disk does.
pub fn make_all(
    count: usize,
    most: usize,
    console: &Console,
    make: &(dyn Fn(usize) -> Result<()> + Sync),
) -> Result<Vec<(usize, String)>> {
    let threads = std::thread::available_parallelism().map_or(1, |count| count.get());
    let (next, done, unusable) = (
        AtomicUsize::new(0),
        AtomicUsize::new(0),
        AtomicUsize::new(0),
    );
    let is_over = AtomicBool::new(false);
    let work = || -> Result<Vec<(usize, String)>> {
        let mut left_out = Vec::new();
        while !is_over.load(Ordering::Relaxed) {
            let at = next.fetch_add(1, Ordering::Relaxed);
            if at >= count {
                break;
            }
            match make(at) {
                Ok(()) => {}
                Err(error) if exit_code(&error) != Kind::Data.exit_code() => {
                    is_over.store(true, Ordering::Relaxed);
                    return Err(error);
                }
                Err(error) => {
                    left_out.push((at, format!("{error:#}")));
                    if unusable.fetch_add(1, Ordering::Relaxed) + 1 > most {
                        is_over.store(true, Ordering::Relaxed);
                    }
                }
            }
            console.tick(done.fetch_add(1, Ordering::Relaxed) as u64 + 1);
        }
        Ok(left_out)
    };
    let parts: Vec<Result<Vec<(usize, String)>>> = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads.min(count)).map(|_| scope.spawn(work)).collect();
        let parts = workers.into_iter().map(|worker| worker.join());
        parts
            .map(|part| part.unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
            .collect()
    });
    let mut left_out = Vec::new();
    for part in parts {
        left_out.extend(part?);
    }
    left_out.sort_unstable();
    Ok(left_out)
}

/// A folder beside the one that is asked for, for what will be there when it is whole; removed again unless it
/// took that name.
#[derive(Debug)]
pub struct NewFolder {
    partial: PathBuf,
    target: PathBuf,
}

impl NewFolder {
    /// Makes the folder beside `output`, which may be missing, or empty, also behind a link. What ended
    /// processes left there is removed.
    ///
    /// # Errors
    /// [`Kind::Usage`] when `output` is there already and not empty, or cannot be replaced in the end,
    /// [`Kind::Disk`].
    pub fn start(output: &Path) -> Result<Self> {
        let target = target_of(output)?;
        let name = target.file_name().unwrap_or_default().to_string_lossy();
        let start = format!(".{name}.partial-");
        let parent = target.parent().unwrap_or(Path::new("."));
        std::fs::create_dir_all(parent)
            .map_err(|error| at_path(Kind::Disk, "create", parent, &error))?;
        for entry in std::fs::read_dir(parent).into_iter().flatten().flatten() {
            let left = entry.file_name().to_string_lossy().into_owned();
            let digits = left.strip_prefix(&start).unwrap_or_default();
            let is_number = digits.bytes().all(|byte| byte.is_ascii_digit());
            let owner = digits.parse::<u32>().ok().filter(|_| is_number);
            if owner.is_some_and(|process| !may_be_alive(process)) {
                let _ = std::fs::remove_dir_all(entry.path());
            }
        }
        let partial = parent.join(format!("{start}{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&partial);
        std::fs::create_dir(&partial)
            .map_err(|error| at_path(Kind::Disk, "create", &partial, &error))?;
        Ok(Self { partial, target })
    }

    /// [`NewFolder::start`] for what is made of the files under `input`.
    ///
    /// # Errors
    /// [`Kind::Usage`] also when `output` lies inside `input`.
    pub fn outside(input: &Path, output: &Path) -> Result<Self> {
        let target = target_of(output)?;
        if std::fs::canonicalize(input).is_ok_and(|input| target.starts_with(input)) {
            return Err(failure(
                Kind::Usage,
                format!(
                    "-o {} lies inside -i {}: the next time, its pictures would be read too. Choose a folder \
                     outside",
                    output.display(),
                    input.display()
                ),
            ));
        }
        Self::start(output)
    }

    /// Where to write meanwhile.
    pub fn path(&self) -> &Path {
        &self.partial
    }

    /// Gives the folder its name.
    ///
    /// # Errors
    /// [`Kind::Disk`].
    pub fn publish(self) -> Result<()> {
        // An empty folder may be there; a rename does not replace it everywhere.
        let _ = std::fs::remove_dir(&self.target);
        std::fs::rename(&self.partial, &self.target)
            .map_err(|error| at_path(Kind::Disk, "create", &self.target, &error))
    }
}

impl Drop for NewFolder {
    fn drop(&mut self) {
        // Gone already where it took its name.
        let _ = std::fs::remove_dir_all(&self.partial);
    }
}

/// The folder that `output` means, without links: missing, or empty and free to be replaced.
///
/// # Errors
/// [`Kind::Usage`] for anything else, before hours of work are done for it.
fn target_of(output: &Path) -> Result<PathBuf> {
    let refuse = |what: &str| failure(Kind::Usage, format!("-o {}: {what}", output.display()));
    match std::fs::symlink_metadata(output) {
        Ok(_) => {}
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return missing(output),
        Err(error) => return Err(at_path(Kind::Usage, "use as a folder", output, &error)),
    }
    let target = std::fs::canonicalize(output)
        .map_err(|_| refuse("a link that leads nowhere; remove it, or choose another folder"))?;
    if !target.is_dir() {
        return Err(refuse("not a folder; choose another name"));
    }
    let mut entries = std::fs::read_dir(&target)
        .map_err(|error| at_path(Kind::Usage, "use as a folder", output, &error))?;
    if entries.next().is_some() {
        return Err(refuse(
            "the folder is there already; remove it, or choose another one",
        ));
    }
    if std::env::current_dir().is_ok_and(|here| here == target) || target.parent().is_none() {
        return Err(refuse("the folder is in use; name a new folder in it"));
    }
    // It is replaced in the end. Whether that can be, as it cannot where a disk is mounted, shows now.
    std::fs::remove_dir(&target).map_err(|error| {
        refuse(&format!(
            "cannot be replaced ({error}); name a new folder in it"
        ))
    })?;
    std::fs::create_dir(&target).map_err(|error| at_path(Kind::Disk, "create", &target, &error))?;
    Ok(target)
}

/// A path that is not there, below the real path of what is.
fn missing(output: &Path) -> Result<PathBuf> {
    let Some(name) = output.file_name() else {
        return Err(failure(
            Kind::Usage,
            format!("-o {}: name a new folder", output.display()),
        ));
    };
    let parent = match output.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    match std::fs::canonicalize(parent) {
        Ok(parent) => Ok(parent.join(name)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound && parent != Path::new(".") => {
            Ok(missing(parent)?.join(name))
        }
        Err(error) => Err(at_path(Kind::Usage, "use as a folder", parent, &error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::Rgb;

    /// Four good pictures (two of them equal), a grey one, and one that is no picture.
    fn folder() -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        let place = |name: &str| folder.path().join(name);
        std::fs::create_dir(place("inner")).unwrap();
        let draw = |width, height, shade: u8| {
            RgbImage::from_fn(width, height, |x, y| Rgb([shade, x as u8, y as u8]))
        };
        draw(40, 30, 1).save(place("a.png")).unwrap();
        draw(40, 30, 1).save(place("inner/b.png")).unwrap();
        draw(64, 64, 2).save(place("c.bmp")).unwrap();
        draw(8, 64, 3).save(place("c.png")).unwrap();
        let grey = image::GrayImage::from_pixel(40, 30, image::Luma([9]));
        grey.save(place("grey.png")).unwrap();
        std::fs::write(place("page.jpg"), "<html>not found</html>").unwrap();
        std::fs::write(place("phone.HEIC"), "x").unwrap();
        folder
    }

    fn names(folder: &Path) -> Vec<String> {
        let files = images::list(folder).unwrap();
        (0..files.len())
            .map(|index| files.name(index).display().to_string())
            .collect()
    }

    #[test]
    fn an_inspection_tells_what_there_is() {
        let folder = folder();
        let found = inspect(folder.path()).unwrap();
        assert_eq!(found.readable, 5);
        assert_eq!(found.sizes[&(40, 30)], 3);
        assert_eq!(found.kinds["grey"], 1);
        assert_eq!(found.shortest_side(), 8);
        assert!(!found.is_grey());
        assert_eq!(found.unreadable.len(), 1);
        assert!(found.unreadable[0].contains("page.jpg"));
        let (later, first) = &found.duplicates[0];
        assert!(later.ends_with("inner/b.png") && first.ends_with("a.png"));
        let text = found.text(folder.path());
        for part in [
            "5 readable",
            "40 x 30: 3",
            "page.jpg",
            "inner/b.png =",
            "ending in .heic: 1",
        ] {
            assert!(text.contains(part), "{text}");
        }
    }

    #[test]
    fn pictures_are_brought_to_one_shape() {
        let folder = folder();
        let out = tempfile::tempdir().unwrap();
        let output = out.path().join("ready");
        let preparation = Preparation {
            size: Some(16),
            crop: Some(Crop::Center),
            min_size: 10,
            dedupe: true,
            split: None,
        };
        let prepared = preparation.run(folder.path(), &output).unwrap();
        assert_eq!(
            (prepared.written, prepared.small, prepared.duplicates),
            (3, 1, 1)
        );
        assert_eq!(prepared.unreadable.len(), 1);
        assert_eq!(names(&output), ["a.png", "c.png", "grey.png"]);
        let picture = images::read(&output.join("a.png")).unwrap();
        assert_eq!((picture.width(), picture.height()), (16, 16));
        // Once there, a folder is not touched.
        let error = preparation.run(folder.path(), &output).unwrap_err();
        assert!(error.to_string().contains("is there already"), "{error}");
        assert_eq!(std::fs::read_dir(out.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_split_follows_from_the_names() {
        let folder = folder();
        let out = tempfile::tempdir().unwrap();
        let half = Preparation {
            split: Some(0.5),
            ..Preparation::default()
        };
        let prepared = half.run(folder.path(), &out.path().join("half")).unwrap();
        // c.bmp and c.png both become c.png: neither is lost.
        assert_eq!(prepared.written, 5);
        let halves = names(&out.path().join("half"));
        assert_eq!(halves.len(), 5);
        for name in &halves {
            assert!(name.starts_with("train/") || name.starts_with("test/"));
        }
        std::fs::remove_file(folder.path().join("a.png")).unwrap();
        half.run(folder.path(), &out.path().join("less")).unwrap();
        let less = names(&out.path().join("less"));
        assert!(less.iter().all(|name| halves.contains(name)), "{less:?}");
    }

    #[test]
    fn a_dataset_with_parts_is_dealt_out_anew() {
        let told = |name: &'static str| {
            let (domain, rest) = without_part(Path::new(name));
            (domain, rest.to_str().unwrap())
        };
        for (name, domain, rest) in [
            ("1.png", "", "1.png"),
            ("trainA/1.png", "A", "1.png"),
            ("testB/in/1.png", "B", "in/1.png"),
            ("val/A/1.png", "/A", "1.png"),
            ("train/in/1.png", "", "in/1.png"),
            ("B/1.png", "/B", "1.png"),
            ("A.png", "", "A.png"),
            ("train", "", "train"),
            ("trains/1.png", "", "trains/1.png"),
            ("Anna/1.png", "", "Anna/1.png"),
        ] {
            assert_eq!(told(name), (domain, rest), "{name}");
        }
        let folder = tempfile::tempdir().unwrap();
        for number in 0..12 {
            for domain in ["A", "B"] {
                let place = folder.path().join(format!("in/train{domain}/{number}.png"));
                std::fs::create_dir_all(place.parent().unwrap()).unwrap();
                RgbImage::new(2, 2).save(place).unwrap();
            }
        }
        let half = Preparation {
            split: Some(0.5),
            ..Preparation::default()
        };
        half.run(&folder.path().join("in"), &folder.path().join("out"))
            .unwrap();
        let names = names(&folder.path().join("out"));
        assert_eq!(names.len(), 24);
        for name in names.iter().filter(|name| name.contains("A/")) {
            assert!(
                name.starts_with("trainA/") || name.starts_with("testA/"),
                "{name}"
            );
            assert!(
                names.contains(&name.replace("A/", "B/")),
                "{name} lost its partner"
            );
        }
        assert!(names.iter().any(|name| name.starts_with("testB/")));
    }

    #[test]
    fn nothing_left_leaves_nothing() {
        let folder = folder();
        let out = tempfile::tempdir().unwrap();
        let preparation = Preparation {
            crop: Some("30,30,200,200".parse().unwrap()),
            ..Preparation::default()
        };
        let error = preparation
            .run(folder.path(), &out.path().join("none"))
            .unwrap_err()
            .to_string();
        assert!(error.contains("5 too small"), "{error}");
        assert_eq!(std::fs::read_dir(out.path()).unwrap().count(), 0);
        assert!("1,2,3".parse::<Crop>().is_err() && "0,0,0,5".parse::<Crop>().is_err());
    }
    #[test]
    fn where_pictures_go_is_checked_before_the_work() {
        let folder = folder();
        let out = tempfile::tempdir().unwrap();
        let place = |name: &str| out.path().join(name);
        let run = |output: &Path| Preparation::default().run(folder.path(), output);
        let refused = |output: &Path, part: &str| {
            let error = run(output).unwrap_err();
            let said = format!("{error:#}");
            assert_eq!(crate::failure::exit_code(&error), 2, "{said}");
            assert!(said.contains(part), "{said}");
        };
        refused(&folder.path().join("ready"), "lies inside -i");
        std::fs::write(place("file"), "x").unwrap();
        refused(&place("file"), "not a folder");
        refused(&place("file/ready"), "cannot use as a folder");
        refused(&place(".."), "there already");
        refused(Path::new("/"), "there already");
        std::fs::create_dir(place("empty")).unwrap();
        run(&place("empty")).unwrap();
        run(&place("deep/er")).unwrap();
        assert_eq!(names(&place("empty")), names(&place("deep/er")));
        #[cfg(unix)]
        {
            use std::os::unix::fs::symlink;
            symlink(place("nowhere"), place("dangling")).unwrap();
            refused(&place("dangling"), "leads nowhere");
            std::fs::create_dir(place("real")).unwrap();
            symlink(place("real"), place("link")).unwrap();
            run(&place("link")).unwrap();
            assert_eq!(names(&place("real")), names(&place("empty")));
            symlink(folder.path(), place("back")).unwrap();
            refused(&place("back/ready"), "lies inside -i");
        }
        let left = std::fs::read_dir(out.path()).unwrap().flatten();
        let hidden = left.filter(|entry| entry.file_name().to_string_lossy().starts_with('.'));
        assert_eq!(hidden.count(), 0);
    }
}
