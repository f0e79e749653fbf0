//! Where the files are, and the lists of CUB-200-2011 itself.

use super::Part;
use anyhow::Result;
use gan_core::failure::{Kind, failure};
use gan_core::regular;
use gan_core::samples::Skipped;
use std::collections::{BTreeSet, HashMap};
use std::path::{Component, Path, PathBuf};

/// Most bytes of a list: CUB-200-2011's have one million.
const MOST_LIST_BYTES: u64 = 64 << 20;
/// Most bytes of the captions of a picture.
const MOST_CAPTION_BYTES: u64 = 1 << 20;
/// Most folders in the one that is named which are looked into.
const MOST_FOLDERS: usize = 1000;

const IMAGES: &str = "images.txt";
const BOXES: &str = "bounding_boxes.txt";

/// Left, top, width and height; none where there is no list of boxes.
type Frame = Option<[f64; 4]>;

/// A picture of `images.txt`.
pub(super) struct Listed {
    pub(super) key: String,
    pub(super) path: PathBuf,
    /// The box, or why the picture has none.
    pub(super) bounding_box: Result<Frame, &'static str>,
}

/// The folders of a dataset.
pub(super) struct Layout {
    /// `CUB_200_2011`.
    pictures: PathBuf,
    /// `text_c10`.
    texts: PathBuf,
    /// Where `train` and `test` may be.
    places: Vec<PathBuf>,
}

impl Layout {
    pub(super) fn find(root: &Path) -> Result<Self> {
        let expected = "expected CUB_200_2011/images.txt, CUB_200_2011/images/ and text_c10/, as StackGAN's authors have \
                        them; check the path, or unpack CUB_200_2011.tgz and birds.zip there";
        let refuse = |what: &str| {
            failure(
                Kind::Data,
                format!("{}: {what}; {expected}", root.display()),
            )
        };
        if !root.is_dir() {
            return Err(refuse("it is no folder"));
        }
        let around = std::iter::once(root.to_owned()).chain(folders(root));
        let pictures = around
            .flat_map(|place| [place.join("CUB_200_2011"), place])
            .find(|place| place.join(IMAGES).is_file() && place.join("images").is_dir());
        let Some(pictures) = pictures else {
            return Err(refuse("it has no pictures of birds"));
        };
        // By its name and not by "..", which leads elsewhere from behind a link.
        let beside = match pictures.parent() {
            Some(parent) if parent != Path::new("") => parent.to_owned(),
            _ => pictures.join(".."),
        };
        let mut places = vec![root.to_owned(), pictures.clone(), beside];
        places.extend(places.clone().iter().map(|place| place.join("birds")));
        let texts = places
            .iter()
            .map(|place| place.join("text_c10"))
            .find(|place| place.is_dir());
        match texts {
            Some(texts) => Ok(Self {
                pictures,
                texts,
                places,
            }),
            None => Err(refuse("it has no captions")),
        }
    }

    /// The folder of a part's lists.
    pub(super) fn lists(&self, part: Part) -> Option<PathBuf> {
        let mut folders = self.places.iter().map(|place| place.join(part.name()));
        folders.find(|folder| folder.join("filenames.pickle").exists())
    }

    /// All pictures of `images.txt`, each once.
    pub(super) fn pictures(&self, skipped: &mut Skipped) -> Result<Vec<Listed>> {
        let path = self.pictures.join(IMAGES);
        let boxes = self.boxes()?;
        let (mut listed, mut keys, mut numbers) = (Vec::new(), BTreeSet::new(), BTreeSet::new());
        for (line, text) in lines(&list(&path)?) {
            let parsed = text
                .split_once(char::is_whitespace)
                .and_then(|(number, name)| {
                    let name = name.trim();
                    Some((number.parse::<u32>().ok()?, name)).filter(|_| !name.is_empty())
                });
            let Some((number, name)) = parsed else {
                return Err(no_line(
                    &path,
                    line,
                    text,
                    "1 001.Albatross/Albatross_0001.jpg",
                ));
            };
            let key = match name.rsplit_once('.') {
                Some((key, ending)) if !ending.contains('/') => key,
                _ => name,
            };
            if !is_inside(name) {
                skipped.skip("a path that leads out", name);
            } else if !keys.insert(key.to_owned()) || !numbers.insert(number) {
                skipped.skip("a picture or a number that images.txt has twice", name);
            } else {
                listed.push(Listed {
                    key: key.to_owned(),
                    path: self.pictures.join("images").join(name),
                    bounding_box: match &boxes {
                        None => Ok(None),
                        Some(boxes) => match boxes.get(&number) {
                            None => Err("no bounding box"),
                            Some(frame) if has_area(frame) => Ok(Some(*frame)),
                            Some(_) => Err("a bounding box of no area"),
                        },
                    },
                });
            }
        }
        Ok(listed)
    }

    fn boxes(&self) -> Result<Option<HashMap<u32, [f64; 4]>>> {
        let path = self.pictures.join(BOXES);
        if !path.exists() {
            return Ok(None);
        }
        let mut boxes = HashMap::new();
        for (line, text) in lines(&list(&path)?) {
            let mut words = text.split_ascii_whitespace();
            let number = words.next().and_then(|word| word.parse().ok());
            let numbers: Option<Vec<f64>> = words.map(|word| word.parse().ok()).collect();
            let frame = numbers.and_then(|numbers| <[f64; 4]>::try_from(numbers).ok());
            let (Some(number), Some(frame)) = (number, frame) else {
                return Err(no_line(&path, line, text, "1 60.0 27.0 325.0 304.0"));
            };
            boxes.entry(number).or_insert(frame);
        }
        Ok(Some(boxes))
    }

    /// The captions of a picture, or why there are none.
    pub(super) fn captions(&self, key: &str) -> Result<Vec<String>, &'static str> {
        let path = self.texts.join(format!("{key}.txt"));
        if !path.exists() {
            return Err("no file of captions");
        }
        let Ok(bytes) = regular::read(Kind::Data, &path, MOST_CAPTION_BYTES) else {
            return Err("a file of captions that cannot be read");
        };
        let text = match String::from_utf8(bytes) {
            Ok(text) => text,
            // Latin-1, then.
            Err(error) => error.into_bytes().into_iter().map(char::from).collect(),
        };
        // Some of the published ones have U+FFFD where a blank was.
        let is_blank = |character: char| character.is_whitespace() || character == '\u{fffd}';
        let caption = |(_, line): (usize, &str)| {
            let words = line.split(is_blank).filter(|word| !word.is_empty());
            words.collect::<Vec<_>>().join(" ")
        };
        let captions = lines(&text).map(caption);
        let captions: Vec<String> = captions.filter(|caption| !caption.is_empty()).collect();
        if captions.is_empty() {
            return Err("no words in its captions");
        }
        Ok(captions)
    }
}

/// Whether a path stays under the folder that it is told from.
pub(super) fn is_inside(name: &str) -> bool {
    let is_plain = |part| matches!(part, Component::Normal(_));
    !name.is_empty() && !name.contains('\0') && Path::new(name).components().all(is_plain)
}

fn has_area(frame: &[f64; 4]) -> bool {
    frame.iter().all(|value| value.is_finite()) && frame[2] > 0.0 && frame[3] > 0.0
}

/// The folders in one, in order; what is hidden, or cannot be looked at, is none.
fn folders(root: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(root).into_iter().flatten().flatten();
    let mut folders: Vec<PathBuf> = entries
        .filter(|entry| !entry.file_name().to_string_lossy().starts_with('.'))
        .map(|entry| entry.path())
        .filter(|path| path.is_dir())
        .take(MOST_FOLDERS)
        .collect();
    folders.sort();
    folders
}

fn list(path: &Path) -> Result<String> {
    let bytes = regular::read(Kind::Data, path, MOST_LIST_BYTES)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// The lines that are not empty, counted from 1.
fn lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    (1..)
        .zip(text.lines().map(str::trim))
        .filter(|(_, line)| !line.is_empty())
}

fn no_line(path: &Path, line: usize, text: &str, expected: &str) -> anyhow::Error {
    let shown: String = text.chars().take(80).collect();
    let what = format!(
        "{}: line {line} is {:?}, expected a line as `{expected}`; get the file again",
        path.display(),
        shown
    );
    failure(Kind::Data, what)
}
