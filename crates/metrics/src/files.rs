//! Which files of a folder count as pictures, and in which order.
//!
//! The tools disagree: an upper-case ending or a subfolder is in one tool's set and not in another's, and the
//! order decides splits of the Inception Score and draws of KID. Each [`Listing`] repeats one tool; what it
//! leaves out is told.

use crate::failure::{Kind, failure};
use anyhow::Result;
use std::collections::{BTreeMap, HashSet};
use std::ffi::OsStr;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// Endings of the files that pytorch-fid takes, and [`Listing::All`] in either case.
const ENDINGS: [&str; 9] = [
    "bmp", "jpg", "jpeg", "pgm", "png", "ppm", "tif", "tiff", "webp",
];
/// Endings that clean-fid takes besides; it takes `npy` too, which is no picture.
const CLEAN_ENDINGS: [&str; 3] = ["JPEG", "JPG", "PNG"];
/// Endings that torch-fidelity takes, in either case.
const FIDELITY_ENDINGS: [&str; 3] = ["png", "jpg", "jpeg"];
/// Endings of files whose pixels are not those that were saved.
const LOSSY_ENDINGS: [&str; 2] = ["jpg", "jpeg"];

/// Whose choice of files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Listing {
    /// Every picture that can be decoded: bmp, jpg, jpeg, pgm, png, ppm, tif, tiff, webp in upper or lower
    /// case, sorted by path. Hidden files and folders are left out, and links to a file that is there already.
    #[default]
    All,
    /// pytorch-fid 0.3.0: the same endings, lower case only, hidden files too.
    PytorchFid,
    /// torch-fidelity 0.4.0: png, jpg, jpeg in upper or lower case, hidden files too; links are resolved before
    /// sorting, and a file that is linked twice counts twice.
    TorchFidelity,
    /// clean-fid 0.1.35: as pytorch-fid, and JPEG, JPG, PNG; always with subfolders, also linked ones; nothing
    /// hidden. Its `npy` files are not read.
    Clean,
}

/// Whether subfolders count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Recursion {
    /// The folder alone.
    #[default]
    Flat,
    /// Subfolders at any depth; the tools pytorch-fid and (unless asked) torch-fidelity never look there.
    Deep,
}

/// Why a file was left out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reason {
    /// Its ending is none of those taken.
    Ending,
    /// Its ending would be taken in lower case.
    Case,
    /// Its name begins with a point.
    Hidden,
    /// It is a link to nothing, a socket or the like.
    NotAFile,
    /// It is a link to this file, which is in the list already.
    SameAs(PathBuf),
    /// A linked folder that leads back to one above it.
    Loop,
}

impl std::fmt::Display for Reason {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Ending => write!(formatter, "not an ending of a picture"),
            Self::Case => write!(formatter, "an ending in upper case"),
            Self::Hidden => write!(formatter, "hidden"),
            Self::NotAFile => write!(formatter, "not a file"),
            Self::SameAs(other) => write!(formatter, "the same file as {}", other.display()),
            Self::Loop => write!(formatter, "a link to a folder above"),
        }
    }
}

/// The pictures of a folder.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Files {
    /// Their paths, in the tool's order.
    pub paths: Vec<PathBuf>,
    /// How many there are of which ending, in lower case.
    pub endings: BTreeMap<String, usize>,
    /// What was left out, sorted, and why.
    pub skipped: Vec<(PathBuf, Reason)>,
    /// Subfolders that were not looked into.
    pub subfolders: usize,
}

impl Files {
    /// How many are JPEG files by their ending, and how many are not. Both above zero, in one set or between
    /// two, is worth a warning: compression moves the metrics.
    pub fn lossy_and_not(&self) -> (usize, usize) {
        let lossy = LOSSY_ENDINGS
            .iter()
            .filter_map(|ending| self.endings.get(*ending))
            .sum();
        (lossy, self.paths.len() - lossy)
    }

    /// The endings with their counts, the most frequent first: `png 10000, jpg 3`.
    pub fn endings_text(&self) -> String {
        let mut endings: Vec<_> = self.endings.iter().collect();
        endings.sort_by_key(|(_, count)| std::cmp::Reverse(**count));
        let text: Vec<String> = endings
            .iter()
            .map(|(ending, count)| format!("{ending} {count}"))
            .collect();
        text.join(", ")
    }
}

impl Listing {
    /// Whether a file of this ending is taken, or why not.
    fn judge(self, name: &OsStr) -> Result<(), Reason> {
        let hidden = name.as_encoded_bytes().starts_with(b".");
        if hidden && matches!(self, Self::All | Self::Clean) {
            return Err(Reason::Hidden);
        }
        let ending = ending(name, self);
        let lower = ending.to_ascii_lowercase();
        let taken = match self {
            Self::All => ENDINGS.contains(&lower.as_str()),
            Self::TorchFidelity => FIDELITY_ENDINGS.contains(&lower.as_str()),
            Self::PytorchFid => ENDINGS.contains(&ending),
            Self::Clean => ENDINGS.contains(&ending) || CLEAN_ENDINGS.contains(&ending),
        };
        if taken {
            Ok(())
        } else if ENDINGS.contains(&lower.as_str()) && ending != lower {
            Err(Reason::Case)
        } else {
            Err(Reason::Ending)
        }
    }

    fn endings_text(self) -> String {
        match self {
            Self::All => format!("{} in upper or lower case", ENDINGS.join(", ")),
            Self::PytorchFid => format!("{} in lower case, as pytorch-fid", ENDINGS.join(", ")),
            Self::TorchFidelity => format!("{}, as torch-fidelity", FIDELITY_ENDINGS.join(", ")),
            Self::Clean => format!(
                "{}, {}, as clean-fid",
                ENDINGS.join(", "),
                CLEAN_ENDINGS.join(", ")
            ),
        }
    }
}

/// What stands after the last point; empty if nothing or no text does.
fn ending(name: &OsStr, listing: Listing) -> &str {
    let bytes = name.as_encoded_bytes();
    // Python's `splitext` counts leading points to the name; the others match the end of the name alone.
    let leading = match listing {
        Listing::TorchFidelity => bytes.iter().take_while(|byte| **byte == b'.').count(),
        _ => 0,
    };
    let rest = &bytes[leading..];
    let point = rest.iter().rposition(|byte| *byte == b'.');
    point.map_or("", |point| {
        std::str::from_utf8(&rest[point + 1..]).unwrap_or("")
    })
}

/// A folder that is looked into.
struct Place {
    /// From the folder on.
    inner: PathBuf,
    /// Where the folders above it, and itself, really are; empty until a link was followed.
    above: Vec<PathBuf>,
}

/// Lists the pictures of a folder.
///
/// # Errors
/// A [`Kind::Data`] failure when the folder cannot be read or holds no picture; it tells what was looked for
/// and what is there instead.
pub fn list(folder: &Path, listing: Listing, recursion: Recursion) -> Result<Files> {
    let is_deep = recursion == Recursion::Deep || listing == Listing::Clean;
    let mut files = Files::default();
    let mut waiting = vec![Place {
        inner: PathBuf::new(),
        above: Vec::new(),
    }];
    let mut links = Vec::new();
    while let Some(place) = waiting.pop() {
        let here = folder.join(&place.inner);
        let unreadable = |error: std::io::Error| {
            let hint = match error.kind() {
                ErrorKind::NotFound => " (check the path)",
                ErrorKind::PermissionDenied => " (check the permissions)",
                ErrorKind::NotADirectory => " (give the folder that holds the pictures)",
                _ => "",
            };
            let text = format!("cannot read the folder {}: {error}{hint}", here.display());
            failure(Kind::Data, text)
        };
        for entry in std::fs::read_dir(&here).map_err(unreadable)? {
            let entry = entry.map_err(unreadable)?;
            let name = entry.file_name();
            let inner = place.inner.join(&name);
            let kind = entry.file_type().map_err(unreadable)?;
            let is_link = kind.is_symlink();
            // A link is judged by what it leads to.
            let kind = if is_link {
                std::fs::metadata(entry.path())
                    .ok()
                    .map(|data| data.file_type())
            } else {
                Some(kind)
            };
            if kind.is_some_and(|kind| kind.is_dir()) {
                if !is_deep || (is_link && listing != Listing::Clean) {
                    files.subfolders += 1;
                } else if is_hidden_folder(&name, listing) {
                    files.skipped.push((inner, Reason::Hidden));
                } else {
                    match descend(folder, &place, inner, is_link) {
                        Ok(place) => waiting.push(place),
                        Err(inner) => files.skipped.push((inner, Reason::Loop)),
                    }
                }
                continue;
            }
            match listing.judge(&name) {
                Err(reason) => files.skipped.push((inner, reason)),
                Ok(()) if !kind.is_some_and(|kind| kind.is_file()) => {
                    files.skipped.push((inner, Reason::NotAFile));
                }
                Ok(()) if is_link && matches!(listing, Listing::All | Listing::TorchFidelity) => {
                    links.push(inner);
                }
                Ok(()) => files.paths.push(inner),
            }
        }
    }
    resolve(folder, listing, links, &mut files)?;
    files
        .skipped
        .sort_by(|one, other| by_bytes(&one.0, &other.0));
    if files.paths.is_empty() {
        return Err(nothing(folder, listing, is_deep, &files));
    }
    for path in &files.paths {
        let name = path.file_name().unwrap_or_default();
        let ending = ending(name, listing).to_ascii_lowercase();
        *files.endings.entry(ending).or_default() += 1;
    }
    Ok(files)
}

fn is_hidden_folder(name: &OsStr, listing: Listing) -> bool {
    let looks_hidden = name.as_encoded_bytes().starts_with(b".");
    match listing {
        Listing::All => looks_hidden || name == "__MACOSX",
        Listing::Clean => looks_hidden,
        Listing::PytorchFid | Listing::TorchFidelity => false,
    }
}

/// The subfolder `inner`; gives it back if it is a link to a folder above.
fn descend(folder: &Path, place: &Place, inner: PathBuf, is_link: bool) -> Result<Place, PathBuf> {
    if !is_link && place.above.is_empty() {
        return Ok(Place {
            inner,
            above: Vec::new(),
        });
    }
    let real = |path: &Path| std::fs::canonicalize(folder.join(path)).ok();
    let mut above = place.above.clone();
    if above.is_empty() {
        above.extend(place.inner.ancestors().filter_map(real));
    }
    match real(&inner) {
        Some(target) if !above.contains(&target) => {
            above.push(target);
            Ok(Place { inner, above })
        }
        _ => Err(inner),
    }
}

/// Makes paths of names, in the tool's order, and settles what links lead to.
fn resolve(
    folder: &Path,
    listing: Listing,
    mut links: Vec<PathBuf>,
    files: &mut Files,
) -> Result<()> {
    let real = |path: &Path| {
        std::fs::canonicalize(path).map_err(|error| {
            let text = format!("cannot resolve {}: {error}", path.display());
            failure(Kind::Data, text)
        })
    };
    let root = match listing {
        Listing::TorchFidelity => real(folder)?,
        _ => folder.to_owned(),
    };
    files
        .paths
        .iter_mut()
        .for_each(|path| *path = root.join(&*path));
    links.sort_by(|one, other| by_bytes(one, other));
    match listing {
        Listing::TorchFidelity => {
            for link in links {
                files.paths.push(real(&folder.join(link))?);
            }
        }
        _ if !links.is_empty() => {
            let mut known = HashSet::new();
            for path in &files.paths {
                known.insert(real(path)?);
            }
            for link in links {
                let path = folder.join(&link);
                let target = real(&path)?;
                if known.insert(target.clone()) {
                    files.paths.push(path);
                } else {
                    files.skipped.push((link, Reason::SameAs(target)));
                }
            }
        }
        _ => {}
    }
    files.paths.sort_by(|one, other| by_bytes(one, other));
    Ok(())
}

/// The order of the whole path's characters, as Python sorts strings; `Path` compares part by part.
fn by_bytes(one: &Path, other: &Path) -> std::cmp::Ordering {
    let other = other.as_os_str().as_encoded_bytes();
    one.as_os_str().as_encoded_bytes().cmp(other)
}

fn nothing(folder: &Path, listing: Listing, is_deep: bool, files: &Files) -> anyhow::Error {
    let mut text = format!(
        "there are no pictures in {}: looked for files ending in {}",
        folder.display(),
        listing.endings_text()
    );
    let count = |reason: &Reason| {
        files
            .skipped
            .iter()
            .filter(|(_, why)| why == reason)
            .count()
    };
    let plural = |count: usize| if count == 1 { "" } else { "s" };
    let others = files.skipped.len();
    if others == 0 && files.subfolders == 0 {
        text.push_str("; it is empty");
    }
    if others > 0 {
        let example = files.skipped[0].0.display();
        text.push_str(&format!(
            "; it holds {others} other file{} ({example})",
            plural(others)
        ));
    }
    let upper = count(&Reason::Case);
    if upper > 0 {
        text.push_str(&format!(", {upper} of them with an ending in upper case"));
    }
    if files.subfolders > 0 {
        let hint = if is_deep {
            "which are links and not followed"
        } else {
            "add --recursive to look there"
        };
        text.push_str(&format!(
            "; it holds {} subfolder{}, {hint}",
            files.subfolders,
            plural(files.subfolders)
        ));
    }
    failure(Kind::Data, text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree() -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for name in [
            "b.png",
            "a.PNG",
            "a.jpg",
            "c.Jpg",
            ".hidden.png",
            ".png",
            "..png",
            "notes.txt",
            "e.webp",
            "z/1.png",
            "z-0.png",
            "z/.h/2.png",
            "z/q/3.JPG",
            "noending",
            "ü.png",
        ] {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, b"x").unwrap();
        }
        folder
    }

    fn names(folder: &Path, listing: Listing, recursion: Recursion) -> Vec<String> {
        let root = match listing {
            Listing::TorchFidelity => folder.canonicalize().unwrap(),
            _ => folder.to_owned(),
        };
        let files = list(folder, listing, recursion).unwrap();
        let name = |path: &PathBuf| path.strip_prefix(&root).unwrap().display().to_string();
        files.paths.iter().map(name).collect()
    }

    /// `check.py` compares the same kind of tree with the tools' own functions.
    #[test]
    fn each_tool_takes_its_files_in_its_order() {
        let folder = tree();
        let here = folder.path();
        let flat = Recursion::Flat;
        assert_eq!(
            names(here, Listing::All, flat),
            [
                "a.PNG", "a.jpg", "b.png", "c.Jpg", "e.webp", "z-0.png", "ü.png"
            ]
        );
        assert_eq!(
            names(here, Listing::PytorchFid, flat),
            [
                "..png",
                ".hidden.png",
                ".png",
                "a.jpg",
                "b.png",
                "e.webp",
                "z-0.png",
                "ü.png"
            ]
        );
        assert_eq!(
            names(here, Listing::TorchFidelity, flat),
            [
                ".hidden.png",
                "a.PNG",
                "a.jpg",
                "b.png",
                "c.Jpg",
                "z-0.png",
                "ü.png"
            ]
        );
        assert_eq!(
            names(here, Listing::Clean, flat),
            [
                "a.PNG",
                "a.jpg",
                "b.png",
                "e.webp",
                "z-0.png",
                "z/1.png",
                "z/q/3.JPG",
                "ü.png"
            ]
        );
        // A point sorts before a slash, a slash before a letter: the whole path counts.
        assert_eq!(
            names(here, Listing::All, Recursion::Deep)[5..],
            ["z-0.png", "z/1.png", "z/q/3.JPG", "ü.png"]
        );
    }

    #[test]
    fn what_is_left_out_is_told() {
        let folder = tree();
        let files = list(folder.path(), Listing::PytorchFid, Recursion::Flat).unwrap();
        let reason = |name: &str| {
            let found = files
                .skipped
                .iter()
                .find(|(path, _)| path == Path::new(name));
            found.map(|(_, reason)| reason.clone())
        };
        assert_eq!(reason("a.PNG"), Some(Reason::Case));
        assert_eq!(reason("notes.txt"), Some(Reason::Ending));
        assert_eq!(reason("noending"), Some(Reason::Ending));
        assert_eq!(reason("a.jpg"), None);
        assert_eq!(files.subfolders, 1);
        assert_eq!(files.lossy_and_not(), (1, 7));
        assert_eq!(files.endings_text(), "png 6, jpg 1, webp 1");
        let files = list(folder.path(), Listing::All, Recursion::Deep).unwrap();
        assert!(
            files
                .skipped
                .contains(&(PathBuf::from("z/.h"), Reason::Hidden))
        );
        assert_eq!(files.subfolders, 0);
    }

    #[cfg(unix)]
    #[test]
    fn names_need_not_be_text_and_links_may_lead_anywhere() {
        use std::os::unix::ffi::OsStrExt;
        use std::os::unix::fs::symlink;
        let folder = tree();
        let here = folder.path();
        std::fs::write(here.join(OsStr::from_bytes(b"odd-\xff.png")), b"x").unwrap();
        symlink(here.join("b.png"), here.join("link.png")).unwrap();
        symlink(here.join("z/1.png"), here.join("other.png")).unwrap();
        symlink(here.join("nowhere"), here.join("broken.png")).unwrap();
        symlink(here, here.join("z/up")).unwrap();
        for listing in [
            Listing::All,
            Listing::PytorchFid,
            Listing::TorchFidelity,
            Listing::Clean,
        ] {
            let files = list(here, listing, Recursion::Flat).unwrap();
            let odd = |path: &PathBuf| path.as_os_str().as_bytes().ends_with(b"odd-\xff.png");
            assert!(files.paths.iter().any(odd), "{listing:?}");
            let broken = (PathBuf::from("broken.png"), Reason::NotAFile);
            assert!(files.skipped.contains(&broken), "{listing:?}");
        }
        let files = list(here, Listing::All, Recursion::Flat).unwrap();
        assert!(files.paths.contains(&here.join("other.png")));
        assert!(!files.paths.contains(&here.join("link.png")));
        let real = here.canonicalize().unwrap().join("b.png");
        let twice = (PathBuf::from("link.png"), Reason::SameAs(real.clone()));
        assert!(files.skipped.contains(&twice));
        let files = list(here, Listing::TorchFidelity, Recursion::Flat).unwrap();
        assert_eq!(files.paths.iter().filter(|path| **path == real).count(), 2);
        let files = list(here, Listing::Clean, Recursion::Flat).unwrap();
        assert!(
            files
                .skipped
                .contains(&(PathBuf::from("z/up"), Reason::Loop))
        );
    }

    #[test]
    fn nothing_found_is_explained() {
        let folder = tempfile::tempdir().unwrap();
        let here = folder.path();
        let error = |listing| {
            list(here, listing, Recursion::Flat)
                .unwrap_err()
                .to_string()
        };
        assert!(error(Listing::All).ends_with("it is empty"));
        std::fs::create_dir(here.join("inside")).unwrap();
        std::fs::write(here.join("inside/a.png"), b"x").unwrap();
        let text = error(Listing::All);
        assert!(text.contains("1 subfolder, add --recursive"), "{text}");
        assert!(text.contains("webp in upper or lower case"), "{text}");
        std::fs::write(here.join("A.PNG"), b"x").unwrap();
        std::fs::write(here.join("readme"), b"x").unwrap();
        let text = error(Listing::PytorchFid);
        assert!(text.contains("2 other files (A.PNG), 1 of them"), "{text}");
        let missing = list(&here.join("missing"), Listing::All, Recursion::Flat);
        let text = missing.unwrap_err().to_string();
        assert!(
            text.contains("missing") && text.contains("check the path"),
            "{text}"
        );
        let file = list(&here.join("readme"), Listing::All, Recursion::Flat);
        assert!(
            file.unwrap_err()
                .to_string()
                .contains("cannot read the folder")
        );
    }
}
