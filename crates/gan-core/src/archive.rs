//! Unpacking of zip, tar and tar.gz files that strangers made.
//!
//! Nothing in such a file is believed: the format is told from the first bytes and not from the
//! file's name, every entry's name is checked before anything is created, sizes are counted while
//! bytes are written, and the result appears under its final name only when the whole archive was
//! read and every check sum matched. An archive is taken as a whole or refused as a whole.

use crate::failure::{Kind, at_path, failure};
use anyhow::Result;
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io::{self, BufReader, ErrorKind, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

/// The file inside an unpacked folder that says which archive it came from: two lines of text,
/// `sha256 <64 hexadecimal digits>` and `bytes <size of the archive>`.
pub const MARKER: &str = ".archive";

/// Unpacked bytes that are always allowed before a ratio is looked at: small files of one colour
/// are packed very tightly without any harm.
const RATIO_FREE_BYTES: u64 = 16 << 20;
/// The longest component of a name, in bytes: what the common file systems can hold.
const COMPONENT_BYTES: usize = 255;
/// The longest name of an entry, in bytes.
const NAME_BYTES: usize = 2048;
/// The most components that a name may have.
const NAME_DEPTH: usize = 64;
/// All names of an archive together, in bytes: they are held in memory to find duplicates.
const ALL_NAME_BYTES: usize = 512 << 20;
/// The largest tar header extension (a long name, pax records), in bytes: it is held in memory.
const EXTENSION_BYTES: u64 = 1 << 20;
/// How many passed-over names are reported.
const REPORTED_NAMES: usize = 20;
/// A tar file is a sequence of blocks of this many bytes.
const TAR_BLOCK: usize = 512;

const AGAIN: &str = "the file is damaged, incomplete or made wrongly: download it again";
const BY_HAND: &str = "if you trust it, unpack it by hand and give the folder instead";

/// The most that [`extract`] takes from one archive. Going past any of them refuses the archive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Entries listed in the archive, and also files and folders made from it (a deep name makes
    /// several folders).
    pub entries: usize,
    /// Unpacked bytes of all files together, those passed over included.
    pub bytes: u64,
    /// Unpacked bytes of any single file.
    pub file_bytes: u64,
    /// Unpacked bytes for each packed byte, once more than 16 MiB are unpacked: counted against
    /// the size of the archive as a whole, and for a zip file against each entry's packed size
    /// too. This is what stops an archive bomb early.
    pub ratio: u64,
}

impl Default for Limits {
    /// 2,000,000 entries, 200 GiB in all, 16 GiB for one file, and a ratio of 1000.
    fn default() -> Self {
        Self {
            entries: 2_000_000,
            bytes: 200 << 30,
            file_bytes: 16 << 30,
            ratio: 1000,
        }
    }
}

/// What [`extract`] did.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Extracted {
    /// Files written, the marker not counted; 0 when `already` was found at the start.
    pub files: u64,
    /// Bytes written to those files.
    pub bytes: u64,
    /// The folder had been unpacked from this very archive before, or by another process
    /// meanwhile, and was left as it is.
    pub already: bool,
    /// The first 20 names of entries left out because they only serve a desktop: `__MACOSX/`,
    /// `._*`, `.DS_Store`, `Thumbs.db` and `desktop.ini`.
    pub passed_over: Vec<String>,
    /// How many entries were left out for that reason, those not named included.
    pub passed_over_count: u64,
}

/// The kinds of file that the first bytes tell apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Format {
    Zip,
    Tar,
    TarGz,
    /// A gzip file of something else than a tar archive, or too broken to say.
    Gzip,
    /// A format that is known by name but not read.
    Named(&'static str),
    Unknown,
}

/// Whether the file is an archive that [`extract`] reads, judged by its content: a zip file, a tar
/// file or a gzip-compressed tar file. A gzip file of anything else is not one, and neither is a
/// folder, a missing file or one that cannot be read.
pub fn is_archive(path: &Path) -> bool {
    // Opening a named pipe would wait for a writer.
    if !fs::metadata(path).is_ok_and(|metadata| metadata.is_file()) {
        return false;
    }
    File::open(path)
        .and_then(|file| recognize(&file))
        .is_ok_and(|format| matches!(format, Format::Zip | Format::Tar | Format::TarGz))
}

/// Unpacks a zip, tar or tar.gz file into the folder `into`, which may be missing or empty.
///
/// Only regular files and folders are made, with the usual permissions. The work happens in a
/// sibling folder `.<name>.partial-<process>-<number>` that takes the name `into` once everything
/// is in place and is removed on any error; such folders of dead processes are removed first
/// (on Linux, where one can tell). If `into` was unpacked from the same archive before, nothing is
/// done. `progress` hears the files and bytes written so far, after each file and during long ones.
///
/// # Errors
///
/// [`Kind::Data`] if the archive is missing, damaged, not of a known format, past a limit, or
/// holds an entry that is refused: a link, a device, a sparse or encrypted file, a compression
/// method that is not read, a name that leaves the folder or cannot be written everywhere, or two
/// names that are equal or differ in case only. [`Kind::Usage`] if `into` is a file or holds
/// something else. [`Kind::Disk`] if reading or writing fails, as on a full disk.
pub fn extract(
    archive: &Path,
    into: &Path,
    limits: &Limits,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<Extracted> {
    let open = |error: &io::Error| at_path(Kind::Data, "read the archive", archive, error);
    let metadata = fs::metadata(archive).map_err(|error| open(&error))?;
    if !metadata.is_file() {
        return Err(failure(
            Kind::Data,
            format!(
                "{}: not a regular file; give the path of a zip, tar or tar.gz file",
                archive.display()
            ),
        ));
    }
    let file = File::open(archive).map_err(|error| open(&error))?;
    let format = recognize(&file).map_err(|error| open(&error))?;
    let wrong = match format {
        Format::Zip | Format::Tar | Format::TarGz => None,
        Format::Gzip => Some(
            "a gzip file that holds no tar archive, or is cut short; if it is a single compressed \
             file, unpack it by hand, otherwise download it again"
                .to_owned(),
        ),
        Format::Named(name) => Some(format!(
            "{name}, which is not read here; unpack it by hand and give the folder instead"
        )),
        Format::Unknown => Some(
            "not a zip, tar or tar.gz file by its content; check the path, or download it again"
                .to_owned(),
        ),
    };
    if let Some(wrong) = wrong {
        let message = format!("{}: {wrong}", archive.display());
        return Err(failure(Kind::Data, message));
    }

    let target = Target::find(archive, into)?;
    target.remove_stale();
    let before = target.state()?;
    if matches!(before, State::Other) {
        return Err(target.occupied());
    }
    let marker = marker_text(&file).map_err(|error| open(&error))?;
    if let State::Unpacked(found) = before {
        if found != marker {
            return Err(target.occupied());
        }
        return Ok(Extracted {
            already: true,
            ..Extracted::default()
        });
    }

    let mut partial = target.start()?;
    let marker_path = partial.folder.join(MARKER);
    fs::write(&marker_path, &marker)
        .map_err(|error| at_path(Kind::Disk, "write", &marker_path, &error))?;
    let mut unpacker = Unpacker {
        archive,
        root: partial.folder.clone(),
        limits,
        progress,
        packed: metadata.len(),
        names: Names::new(),
        entries: 0,
        counted: 0,
        done: Extracted::default(),
        place: "the start".to_owned(),
        buffer: vec![0; 128 << 10],
    };
    match format {
        Format::Zip => unpacker.zip(&file)?,
        Format::TarGz => {
            let packed = BufReader::with_capacity(128 << 10, &file);
            let metered = Metered {
                inner: flate2::bufread::MultiGzDecoder::new(packed),
                count: 0,
                most: unpacker.most_stream_bytes(),
                reason: "unpacks to far more than its packed size or the limits allow",
            };
            unpacker.tar(&mut BufReader::with_capacity(128 << 10, metered))?;
        }
        _ => unpacker.tar(&mut BufReader::with_capacity(128 << 10, &file))?,
    }
    let mut done = unpacker.done;
    let refuse = |what: &str| failure(Kind::Data, format!("{}: {what}", archive.display()));
    if done.files == 0 {
        return Err(refuse("holds no files; check that it is the right archive"));
    }
    // A download that is still running would leave a marker that fits no archive.
    let after = file.metadata().map_err(|error| open(&error))?;
    if after.len() != metadata.len() || after.modified().ok() != metadata.modified().ok() {
        return Err(refuse(
            "changed while it was unpacked; wait until it is written, then try again",
        ));
    }
    done.already = target.finish(&mut partial, &marker)?;
    Ok(done)
}

/// Tells the format from the first bytes, and leaves the file at its start.
fn recognize(file: &File) -> io::Result<Format> {
    let mut reader = file;
    reader.seek(SeekFrom::Start(0))?;
    let mut head = Vec::new();
    reader.take(TAR_BLOCK as u64).read_to_end(&mut head)?;
    reader.seek(SeekFrom::Start(0))?;
    let starts = |magic: &[u8]| head.starts_with(magic);
    if starts(b"PK\x03\x04") || starts(b"PK\x05\x06") {
        return Ok(Format::Zip);
    }
    if starts(b"\x1f\x8b") {
        let mut inner = Vec::new();
        let decoder = flate2::read::MultiGzDecoder::new(reader);
        let read = decoder.take(TAR_BLOCK as u64).read_to_end(&mut inner);
        reader.seek(SeekFrom::Start(0))?;
        return Ok(match read {
            Err(error) if error.raw_os_error().is_some() => return Err(error),
            Ok(_) if tar_checksum_fits(&inner) => Format::TarGz,
            _ => Format::Gzip,
        });
    }
    if tar_checksum_fits(&head) {
        return Ok(Format::Tar);
    }
    let named: [(&[u8], &str); 7] = [
        (b"\xfd7zXZ\0", "an xz file"),
        (b"BZh", "a bzip2 file"),
        (b"\x28\xb5\x2f\xfd", "a zstd file"),
        (b"7z\xbc\xaf\x27\x1c", "a 7z file"),
        (b"Rar!\x1a\x07", "a rar file"),
        (b"PK\x07\x08", "one part of a zip file in several parts"),
        (b"PK00", "one part of a zip file in several parts"),
    ];
    let known = named.iter().find(|(magic, _)| starts(magic));
    Ok(known.map_or(Format::Unknown, |(_, name)| Format::Named(name)))
}

/// Hashes the whole file and gives the marker's text for it; leaves the file at its start.
fn marker_text(mut file: &File) -> io::Result<String> {
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; 1 << 20];
    let mut bytes = 0u64;
    loop {
        let read = match file.read(&mut buffer) {
            Ok(0) => break,
            Ok(read) => read,
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        hasher.update(&buffer[..read]);
        bytes += read as u64;
    }
    file.seek(SeekFrom::Start(0))?;
    let digest = hasher.finalize();
    let hex: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    Ok(format!("sha256 {hex}\nbytes {bytes}\n"))
}

/// What lies where the archive is to be unpacked.
enum State {
    /// Nothing, or an empty folder.
    Free,
    /// A folder with a marker of this text.
    Unpacked(String),
    /// A folder with other content.
    Other,
}

/// Where an archive is unpacked to.
struct Target<'a> {
    archive: &'a Path,
    /// The final folder; behind a symbolic link, the folder that it points to.
    into: PathBuf,
    parent: PathBuf,
    /// `.<name>.partial-`
    prefix: OsString,
}

/// A folder that is removed again unless it was moved to its final name.
struct Partial {
    folder: PathBuf,
    /// Parents that did not exist before, the outermost first.
    made: Vec<PathBuf>,
    keep: bool,
}

impl Drop for Partial {
    fn drop(&mut self) {
        if self.keep {
            return;
        }
        // There is nobody left to tell if this fails; the next run tries once more.
        let _ = fs::remove_dir_all(&self.folder);
        for parent in self.made.iter().rev() {
            let _ = fs::remove_dir(parent);
        }
    }
}

impl<'a> Target<'a> {
    fn find(archive: &'a Path, into: &Path) -> Result<Self> {
        let usage = |what: &str| failure(Kind::Usage, format!("{}: {what}", into.display()));
        let mut into = into.to_path_buf();
        if fs::symlink_metadata(&into).is_ok() {
            let metadata = fs::metadata(&into)
                .map_err(|_| usage("a link that leads nowhere; remove it or choose another"))?;
            if !metadata.is_dir() {
                return Err(usage(
                    "not a folder; remove it or choose another place to unpack to",
                ));
            }
            into = fs::canonicalize(&into)
                .map_err(|error| at_path(Kind::Usage, "look up", &into, &error))?;
        }
        let Some(name) = into.file_name() else {
            return Err(failure(
                Kind::Usage,
                format!(
                    "{}: cannot unpack {} here; choose a folder with a name of its own",
                    into.display(),
                    archive.display()
                ),
            ));
        };
        let mut prefix = OsString::from(".");
        prefix.push(name);
        prefix.push(".partial-");
        let parent = match into.parent() {
            Some(parent) if parent != Path::new("") => parent.to_path_buf(),
            _ => PathBuf::from("."),
        };
        Ok(Self {
            archive,
            into,
            parent,
            prefix,
        })
    }

    fn state(&self) -> Result<State> {
        let problem = |error: &io::Error| at_path(Kind::Disk, "look into", &self.into, error);
        let mut entries = match fs::read_dir(&self.into) {
            Ok(entries) => entries,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(State::Free),
            Err(error) => return Err(problem(&error)),
        };
        if entries.next().is_none() {
            return Ok(State::Free);
        }
        let path = self.into.join(MARKER);
        if !fs::symlink_metadata(&path).is_ok_and(|metadata| metadata.is_file()) {
            return Ok(State::Other);
        }
        let mut text = String::new();
        let read = File::open(&path).and_then(|file| file.take(256).read_to_string(&mut text));
        Ok(read.map_or(State::Other, |_| State::Unpacked(text)))
    }

    fn occupied(&self) -> anyhow::Error {
        failure(
            Kind::Usage,
            format!(
                "{}: this folder holds something else than the content of {}; remove it or choose \
                 another folder",
                self.into.display(),
                self.archive.display()
            ),
        )
    }

    /// Removes what dead processes left half done beside the target.
    fn remove_stale(&self) {
        // Only Linux tells by a path which processes live, and only where /proc is mounted.
        if !cfg!(target_os = "linux") || !Path::new("/proc/self").exists() {
            return;
        }
        let Ok(siblings) = fs::read_dir(&self.parent) else {
            return;
        };
        for sibling in siblings.flatten() {
            let Some(process) = partial_process(&self.prefix, &sibling.file_name()) else {
                continue;
            };
            let folder = sibling.file_type().is_ok_and(|kind| kind.is_dir());
            if folder && !Path::new(&format!("/proc/{process}")).exists() {
                let _ = fs::remove_dir_all(sibling.path());
            }
        }
    }

    /// Makes the folder to work in, and the target's parents where they are missing.
    fn start(&self) -> Result<Partial> {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let mut partial = Partial {
            folder: PathBuf::new(),
            made: Vec::new(),
            keep: true,
        };
        let mut missing: Vec<&Path> = self
            .parent
            .ancestors()
            .take_while(|ancestor| *ancestor != Path::new("") && !ancestor.exists())
            .collect();
        while let Some(parent) = missing.pop() {
            match fs::create_dir(parent) {
                Ok(()) => partial.made.push(parent.to_path_buf()),
                Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
                Err(error) => {
                    partial.keep = partial.made.is_empty();
                    return Err(at_path(Kind::Disk, "make the folder", parent, &error));
                }
            }
        }
        loop {
            let number = NUMBER.fetch_add(1, Ordering::Relaxed);
            let mut name = self.prefix.clone();
            name.push(format!("{}-{number}", std::process::id()));
            let folder = self.parent.join(name);
            match fs::create_dir(&folder) {
                Ok(()) => {
                    partial.folder = folder;
                    partial.keep = false;
                    return Ok(partial);
                }
                // Left by an earlier process of the same number.
                Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
                Err(error) => {
                    partial.keep = partial.made.is_empty();
                    return Err(at_path(Kind::Disk, "make the folder", &folder, &error));
                }
            }
        }
    }

    /// Gives the finished folder its name. True if another process was faster with the same
    /// archive, in which case its folder stays and ours goes.
    fn finish(&self, partial: &mut Partial, marker: &str) -> Result<bool> {
        let mut renamed = fs::rename(&partial.folder, &self.into);
        // Some systems do not replace an empty folder; one that is not empty is never removed here.
        if renamed.is_err() && fs::remove_dir(&self.into).is_ok() {
            renamed = fs::rename(&partial.folder, &self.into);
        }
        let Err(error) = renamed else {
            partial.keep = true;
            return Ok(false);
        };
        match self.state()? {
            State::Unpacked(found) if found == marker => Ok(true),
            State::Free => {
                let action = format!("move the unpacked {} to", self.archive.display());
                Err(at_path(Kind::Disk, &action, &self.into, &error))
            }
            _ => Err(self.occupied()),
        }
    }
}

/// The process number in the name of a partial folder, if it is one.
fn partial_process(prefix: &OsStr, name: &OsStr) -> Option<u32> {
    let rest = name
        .as_encoded_bytes()
        .strip_prefix(prefix.as_encoded_bytes())?;
    let (process, number) = std::str::from_utf8(rest).ok()?.split_once('-')?;
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if !digits(process) || !digits(number) {
        return None;
    }
    process.parse().ok()
}

/// A reader that fails once more than `most` bytes came through.
struct Metered<R> {
    inner: R,
    count: u64,
    most: u64,
    reason: &'static str,
}

impl<R: Read> Read for Metered<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.count += read as u64;
        if self.count > self.most {
            return Err(io::Error::new(ErrorKind::QuotaExceeded, self.reason));
        }
        Ok(read)
    }
}

/// The names made so far, to find those that clash.
struct Names {
    /// By the name in lower case.
    seen: HashMap<Box<str>, Node>,
    /// The folder of the last name: most entries share it, and then it needs no new look.
    last_folder: String,
    bytes: usize,
}

struct Node {
    /// The name as written, where it differs from its lower case.
    written: Option<Box<str>>,
    folder: bool,
}

impl Names {
    fn new() -> Self {
        let mut names = Self {
            seen: HashMap::new(),
            last_folder: String::new(),
            bytes: 0,
        };
        let marker = Node {
            written: None,
            folder: false,
        };
        names.seen.insert(MARKER.into(), marker);
        names
    }

    /// Notes a name; true if it is new. The error says what it clashes with.
    fn add(&mut self, name: &str, folder: bool) -> Result<bool, String> {
        let lower = name.to_lowercase();
        if let Some(node) = self.seen.get(lower.as_str()) {
            let other = node.written.as_deref().unwrap_or(&lower);
            if lower == MARKER {
                return Err(format!(
                    "{name:?} is the name of a file kept for {MARKER:?}"
                ));
            }
            return match (folder, node.folder) {
                (true, true) if other == name => Ok(false),
                (true, false) => Err(format!(
                    "{name:?} must be a folder, but {other:?} is a file"
                )),
                (false, true) => Err(format!("{name:?} is a file, but {other:?} is a folder")),
                _ if other == name => Err(format!("{name:?} and {other:?} are the same name")),
                _ => Err(format!("{name:?} and {other:?} differ in case only")),
            };
        }
        let written: Option<Box<str>> = (lower != name).then(|| name.into());
        self.bytes += lower.len() + written.as_ref().map_or(0, |text| text.len());
        let key = lower.into_boxed_str();
        self.seen.insert(key, Node { written, folder });
        Ok(true)
    }
}

/// Checks an entry's name and gives it with `/` between components. An empty result is the
/// archive's own top folder.
fn clean_name(raw: &str) -> Result<String, String> {
    if raw.contains('\0') {
        return Err("the name holds a NUL byte".to_owned());
    }
    if raw.len() > NAME_BYTES {
        return Err(format!("the name is longer than {NAME_BYTES} bytes"));
    }
    let bytes = raw.as_bytes();
    if bytes.first().is_some_and(u8::is_ascii_alphabetic) && bytes.get(1) == Some(&b':') {
        return Err("the name starts with a drive letter".to_owned());
    }
    if raw.starts_with(['/', '\\']) {
        return Err("the name is an absolute path".to_owned());
    }
    let mut clean = String::with_capacity(raw.len());
    let mut depth = 0;
    for component in raw.split(['/', '\\']) {
        match component {
            "" | "." => continue,
            ".." => return Err("the name climbs out of its folder with '..'".to_owned()),
            _ if component.len() > COMPONENT_BYTES => {
                let most = COMPONENT_BYTES;
                return Err(format!("a part of the name is longer than {most} bytes"));
            }
            _ => {}
        }
        if cfg!(windows) && !windows_can_hold(component) {
            return Err("Windows cannot hold a file of this name".to_owned());
        }
        depth += 1;
        if depth > NAME_DEPTH {
            return Err(format!("the name is nested deeper than {NAME_DEPTH}"));
        }
        if !clean.is_empty() {
            clean.push('/');
        }
        clean.push_str(component);
    }
    Ok(clean)
}

/// Whether Windows takes the component as the plain name that it looks like.
fn windows_can_hold(component: &str) -> bool {
    let stem = component.split('.').next().unwrap_or_default().trim_end();
    let upper = stem.to_ascii_uppercase();
    let numbered = (upper.starts_with("COM") || upper.starts_with("LPT"))
        && upper.chars().count() == 4
        && !upper.ends_with(|last: char| last.is_ascii_alphabetic());
    let device = ["CON", "PRN", "AUX", "NUL", "CONIN$", "CONOUT$"].contains(&upper.as_str());
    !(numbered
        || device
        || component.ends_with(['.', ' '])
        || component.contains(['<', '>', ':', '"', '|', '?', '*'])
        || component.contains(|character: char| character < ' '))
}

/// Whether the entry only serves a desktop's file browser.
fn is_clutter(name: &str) -> bool {
    name.split('/').any(|component| {
        component == "__MACOSX"
            || component.starts_with("._")
            || [".ds_store", "thumbs.db", "desktop.ini"]
                .contains(&component.to_ascii_lowercase().as_str())
    })
}

/// The state of one archive's unpacking.
struct Unpacker<'a> {
    archive: &'a Path,
    /// The folder that everything is written below.
    root: PathBuf,
    limits: &'a Limits,
    progress: &'a mut dyn FnMut(u64, u64),
    /// The size of the archive in bytes.
    packed: u64,
    names: Names,
    entries: usize,
    /// Unpacked bytes, those of passed-over entries included.
    counted: u64,
    done: Extracted,
    /// Where in the archive a complaint belongs to, as an error message says it.
    place: String,
    buffer: Vec<u8>,
}

impl Unpacker<'_> {
    /// Refuses the archive because of what is wrong at the current place.
    fn refuse(&self, what: &str, fix: &str) -> anyhow::Error {
        let (archive, place) = (self.archive.display(), &self.place);
        failure(Kind::Data, format!("{archive}: {place}: {what}; {fix}"))
    }

    /// Tells a failing disk from bytes that make no sense.
    fn unreadable(&self, error: &io::Error) -> anyhow::Error {
        if error.raw_os_error().is_some() {
            let action = format!("read {} of", self.place);
            return at_path(Kind::Disk, &action, self.archive, error);
        }
        match error.kind() {
            ErrorKind::QuotaExceeded => self.refuse(&error.to_string(), BY_HAND),
            ErrorKind::UnexpectedEof => self.refuse("the archive is cut short", AGAIN),
            _ => self.refuse(&format!("cannot be unpacked ({error})"), AGAIN),
        }
    }

    fn unwritable(&self, path: &Path, error: &io::Error) -> anyhow::Error {
        // Every name is new here, so two names are one to this file system alone.
        if error.kind() == ErrorKind::AlreadyExists {
            let what = "the file system takes this name and an earlier one for the same";
            return self.refuse(what, BY_HAND);
        }
        let action = format!("unpack {} of {} to", self.place, self.archive.display());
        at_path(Kind::Disk, &action, path, error)
    }

    fn at_entry(&mut self, name: &str) {
        // Strangers' names are shown escaped and in a bearable length.
        let shown: String = name.chars().take(300).collect();
        self.place = format!("entry {shown:?}");
    }

    fn count_entry(&mut self) -> Result<()> {
        self.entries += 1;
        self.check_entries(self.entries)
    }

    fn check_entries(&self, count: usize) -> Result<()> {
        if count <= self.limits.entries {
            return Ok(());
        }
        let most = self.limits.entries;
        Err(self.refuse(&format!("more than {most} files and folders"), BY_HAND))
    }

    /// The most bytes that `packed` bytes may unpack to.
    fn most_for(&self, packed: u64) -> u64 {
        packed
            .saturating_mul(self.limits.ratio)
            .max(RATIO_FREE_BYTES)
    }

    /// The most bytes that a compressed tar file may unpack to, headers and padding included.
    fn most_stream_bytes(&self) -> u64 {
        let headers = (self.limits.entries as u64).saturating_mul(8 * TAR_BLOCK as u64);
        let limit = self.limits.bytes.saturating_add(headers);
        self.most_for(self.packed)
            .min(limit.saturating_add(RATIO_FREE_BYTES))
    }

    /// Checks an entry's name against the rules and all names before it, and makes its folders.
    /// `None` if nothing is to be written for it: a folder, or clutter.
    fn place_entry(&mut self, raw: &str, folder: bool) -> Result<Option<PathBuf>> {
        let name = clean_name(raw).map_err(|what| self.refuse(&what, BY_HAND))?;
        if name.is_empty() {
            if folder {
                return Ok(None);
            }
            return Err(self.refuse("a file without a name", BY_HAND));
        }
        if is_clutter(&name) {
            self.done.passed_over_count += 1;
            if self.done.passed_over.len() < REPORTED_NAMES {
                self.done.passed_over.push(raw.to_owned());
            }
            return Ok(None);
        }
        let parent = name.rfind('/').map_or("", |slash| &name[..slash]);
        if parent != self.names.last_folder {
            for (slash, _) in name.match_indices('/') {
                self.make_folder(&name[..slash])?;
            }
            self.names.last_folder.clear();
            self.names.last_folder.push_str(parent);
        }
        if folder {
            self.make_folder(&name)?;
            return Ok(None);
        }
        self.note_name(&name, false)?;
        Ok(Some(self.root.join(name)))
    }

    fn note_name(&mut self, name: &str, folder: bool) -> Result<bool> {
        let added = self.names.add(name, folder);
        let new =
            added.map_err(|what| self.refuse(&format!("two names clash: {what}"), BY_HAND))?;
        // One of the names is the marker's.
        self.check_entries(self.names.seen.len() - 1)?;
        if self.names.bytes > ALL_NAME_BYTES {
            return Err(self.refuse("the names need too much memory", BY_HAND));
        }
        Ok(new)
    }

    fn make_folder(&mut self, name: &str) -> Result<()> {
        if self.note_name(name, true)? {
            let path = self.root.join(name);
            fs::create_dir(&path).map_err(|error| self.unwritable(&path, &error))?;
        }
        Ok(())
    }

    /// Copies everything that `reader` gives to a new file at `path`, or only counts it where
    /// there is no path. `most` is what the entry's packed size allows. Gives the number of bytes
    /// and their check sum.
    fn copy(
        &mut self,
        reader: &mut dyn Read,
        path: Option<&Path>,
        most: u64,
    ) -> Result<(u64, u32)> {
        let mut file = None;
        if let Some(path) = path {
            let created = File::options().write(true).create_new(true).open(path);
            let created = created.map_err(|error| self.unwritable(path, &error))?;
            file = Some((created, path));
        }
        let mut sum = flate2::Crc::new();
        let mut bytes = 0u64;
        loop {
            let read = match reader.read(&mut self.buffer) {
                Ok(0) => break,
                Ok(read) => read,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => return Err(self.unreadable(&error)),
            };
            bytes += read as u64;
            self.counted += read as u64;
            let past = |most: u64, of: &str| {
                let what = format!("more than {most} bytes {of} when unpacked");
                Err(self.refuse(&what, BY_HAND))
            };
            if bytes > self.limits.file_bytes {
                return past(self.limits.file_bytes, "in one file");
            }
            if self.counted > self.limits.bytes {
                return past(self.limits.bytes, "in all");
            }
            if bytes > most || self.counted > self.most_for(self.packed) {
                let what = format!(
                    "unpacks to more than {} times its packed size",
                    self.limits.ratio
                );
                return Err(self.refuse(&what, BY_HAND));
            }
            sum.update(&self.buffer[..read]);
            if let Some((file, path)) = &mut file {
                let written = file.write_all(&self.buffer[..read]);
                written.map_err(|error| self.unwritable(path, &error))?;
                self.done.bytes += read as u64;
                (self.progress)(self.done.files, self.done.bytes);
            }
        }
        if file.is_some() {
            self.done.files += 1;
            (self.progress)(self.done.files, self.done.bytes);
        }
        Ok((bytes, sum.sum()))
    }

    /// Reads exactly this many bytes into memory; callers bound them.
    fn read_bytes(&self, reader: &mut dyn Read, count: u64) -> Result<Vec<u8>> {
        let mut bytes = Vec::new();
        let read = reader.take(count).read_to_end(&mut bytes);
        read.map_err(|error| self.unreadable(&error))?;
        if bytes.len() as u64 != count {
            return Err(self.refuse("the archive is cut short", AGAIN));
        }
        Ok(bytes)
    }
}

// Tar files.

/// A number in a tar header: octal digits, or a big-endian number after a byte 0x80.
fn tar_number(field: &[u8]) -> Option<u64> {
    if field.first()? & 0x80 != 0 {
        let (high, low) = field.split_at(field.len().saturating_sub(8));
        let fits = high.first() == Some(&0x80) && high[1..].iter().all(|byte| *byte == 0);
        return fits.then(|| low.iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte)));
    }
    let text = field.trim_ascii_start();
    let digits = text.iter().take_while(|byte| (b'0'..=b'7').contains(*byte));
    let mut number = 0u64;
    let mut length = 0;
    for digit in digits {
        number = number.checked_mul(8)? + u64::from(digit - b'0');
        length += 1;
    }
    let clean = text[length..].iter().all(|byte| matches!(byte, 0 | b' '));
    clean.then_some(number)
}

/// Whether the first block is a tar header, by its check sum: old tar files have no magic bytes.
fn tar_checksum_fits(block: &[u8]) -> bool {
    if block.len() < TAR_BLOCK || block[0] == 0 && block[345] == 0 {
        return false;
    }
    let sum: u64 = block[..TAR_BLOCK]
        .iter()
        .enumerate()
        .map(|(at, byte)| {
            if (148..156).contains(&at) {
                32
            } else {
                u64::from(*byte)
            }
        })
        .sum();
    tar_number(&block[148..156]) == Some(sum)
}

fn until_nul(field: &[u8]) -> &[u8] {
    let end = field.iter().position(|byte| *byte == 0);
    &field[..end.unwrap_or(field.len())]
}

/// What extensions say about the next tar entry.
#[derive(Default)]
struct Extension {
    long_name: Option<Vec<u8>>,
    long_link: bool,
    pax: bool,
    pax_name: Option<Vec<u8>>,
    pax_size: Option<u64>,
}

/// Splits pax records, each `<length> <key>=<value>\n`; `None` if they are malformed.
fn pax_records(mut rest: &[u8]) -> Option<Vec<(&[u8], &[u8])>> {
    let mut records = Vec::new();
    while !rest.is_empty() {
        let space = rest.iter().position(|byte| *byte == b' ')?;
        let length: usize = std::str::from_utf8(&rest[..space]).ok()?.parse().ok()?;
        let record = rest.get(space + 1..length)?.strip_suffix(b"\n")?;
        let equals = record.iter().position(|byte| *byte == b'=')?;
        records.push((&record[..equals], &record[equals + 1..]));
        rest = &rest[length..];
    }
    Some(records)
}

impl Unpacker<'_> {
    fn tar(&mut self, reader: &mut dyn Read) -> Result<()> {
        let mut next = Extension::default();
        loop {
            let block = self.read_bytes(reader, TAR_BLOCK as u64)?;
            if block.iter().all(|byte| *byte == 0) {
                break;
            }
            if !tar_checksum_fits(&block) {
                return Err(self.refuse("no tar header where one must be", AGAIN));
            }
            let Some(header_size) = tar_number(&block[124..136]) else {
                return Err(self.refuse("a size that is not a number", AGAIN));
            };
            let kind = block[156];
            if matches!(kind, b'L' | b'K' | b'x' | b'g') {
                self.tar_extension(reader, kind, header_size, &mut next)?;
                continue;
            }
            let extension = std::mem::take(&mut next);
            let mut name = extension.pax_name.or(extension.long_name);
            if name.is_none() {
                let mut joined = Vec::new();
                if &block[257..263] == b"ustar\0" && block[345] != 0 {
                    joined.extend_from_slice(until_nul(&block[345..500]));
                    joined.push(b'/');
                }
                joined.extend_from_slice(until_nul(&block[..100]));
                name = Some(joined);
            }
            let name = name.unwrap_or_default();
            self.at_entry(&String::from_utf8_lossy(&name));
            let Ok(name) = String::from_utf8(name) else {
                return Err(self.refuse("the name is not UTF-8 text", BY_HAND));
            };
            self.count_entry()?;
            self.tar_entry(
                reader,
                &name,
                kind,
                extension.pax_size.unwrap_or(header_size),
            )?;
            self.place = format!("after {}", self.place);
        }
        if next.pax || next.long_link || next.long_name.is_some() {
            return Err(self.refuse("a header extension without an entry", AGAIN));
        }
        self.place = "after the last entry".to_owned();
        self.tar_end(reader)
    }

    /// Reads one of the headers that describe the next one.
    fn tar_extension(
        &mut self,
        reader: &mut dyn Read,
        kind: u8,
        size: u64,
        next: &mut Extension,
    ) -> Result<()> {
        if size > EXTENSION_BYTES {
            return Err(self.refuse("a header extension of more than 1 MiB", BY_HAND));
        }
        let mut data = self.read_bytes(reader, size.next_multiple_of(TAR_BLOCK as u64))?;
        data.truncate(size as usize);
        let twice = match kind {
            b'L' => {
                while data.last() == Some(&0) {
                    data.pop();
                }
                next.long_name.replace(data).is_some()
            }
            b'K' => std::mem::replace(&mut next.long_link, true),
            b'x' => {
                self.pax(&data, next)?;
                std::mem::replace(&mut next.pax, true)
            }
            _ => {
                // Nothing else bounds how many of these there are.
                self.count_entry()?;
                let mut global = Extension::default();
                self.pax(&data, &mut global)?;
                if global.pax_name.is_some() || global.pax_size.is_some() {
                    return Err(self.refuse("one name or size for all entries", BY_HAND));
                }
                false
            }
        };
        if twice {
            return Err(self.refuse("two header extensions for the same entry", AGAIN));
        }
        Ok(())
    }

    fn pax(&self, data: &[u8], next: &mut Extension) -> Result<()> {
        let Some(records) = pax_records(data) else {
            return Err(self.refuse("malformed pax records", AGAIN));
        };
        for (key, value) in records {
            if key.starts_with(b"GNU.sparse.") {
                return Err(self.refuse("a sparse file, which is not read here", BY_HAND));
            }
            match key {
                b"path" => next.pax_name = Some(value.to_vec()),
                b"size" => {
                    let text = std::str::from_utf8(value).unwrap_or_default();
                    let Ok(size) = text.parse() else {
                        return Err(self.refuse("a size that is not a number", AGAIN));
                    };
                    next.pax_size = Some(size);
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn tar_entry(&mut self, reader: &mut dyn Read, name: &str, kind: u8, size: u64) -> Result<()> {
        let what = match kind {
            0 | b'0' | b'5' | b'7' => "",
            b'1' => "a hard link",
            b'2' => "a symbolic link",
            b'3' | b'4' => "a device",
            b'6' => "a named pipe",
            b'S' => "a sparse file",
            _ => "an entry of an unknown type",
        };
        if !what.is_empty() {
            let what = format!("{what}, and only plain files and folders are taken");
            return Err(self.refuse(&what, BY_HAND));
        }
        // Before there was a type for folders, a slash at the end made one.
        let folder = kind == b'5' || name.ends_with(['/', '\\']);
        if folder && size != 0 {
            return Err(self.refuse("a folder with content of its own", BY_HAND));
        }
        let path = self.place_entry(name, folder)?;
        if folder {
            return Ok(());
        }
        let (bytes, _) = self.copy(&mut (&mut *reader).take(size), path.as_deref(), u64::MAX)?;
        if bytes != size {
            return Err(self.refuse("the archive is cut short", AGAIN));
        }
        let padding = (TAR_BLOCK as u64 - size % TAR_BLOCK as u64) % TAR_BLOCK as u64;
        self.read_bytes(reader, padding)?;
        Ok(())
    }

    /// Reads to the very end, where only padding is allowed. A compressed file's last check sum is
    /// looked at on the way.
    fn tar_end(&mut self, reader: &mut dyn Read) -> Result<()> {
        loop {
            match reader.read(&mut self.buffer) {
                Ok(0) => return Ok(()),
                Ok(read) if self.buffer[..read].iter().all(|byte| *byte == 0) => {}
                Ok(_) => return Err(self.refuse("other bytes follow its end", AGAIN)),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(self.unreadable(&error)),
            }
        }
    }
}

// Zip files.

/// One line of a zip file's directory.
struct ZipEntry {
    name: Box<str>,
    /// The name's bytes where they are not the same as `name`'s.
    raw: Option<Box<[u8]>>,
    offset: u64,
    packed: u64,
    size: u64,
    sum: u32,
    mode: u32,
    flags: u16,
    method: u16,
}

/// Where a zip file's directory lies, and how many entries it claims.
struct ZipDirectory {
    start: u64,
    size: u64,
    entries: u64,
}

/// Little-endian numbers at fixed places; callers read the record in full first.
fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes([bytes[at], bytes[at + 1]])
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from(u16_at(bytes, at)) | u32::from(u16_at(bytes, at + 2)) << 16
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from(u32_at(bytes, at)) | u64::from(u32_at(bytes, at + 4)) << 32
}

/// The upper half of code page 437, in which zip names are written that are not UTF-8.
const CODE_PAGE_437: &str = "ÇüéâäàåçêëèïîìÄÅÉæÆôöòûùÿÖÜ¢£¥₧ƒáíóúñÑªº¿⌐¬½¼¡«»░▒▓│┤╡╢╖╕╣║╗╝╜╛┐\
    └┴┬├─┼╞╟╚╔╩╦╠═╬╧╨╤╥╙╘╒╓╫╪┘┌█▄▌▐▀αßΓπΣσµτΦΘΩδ∞φε∩≡±≥≤⌠⌡÷≈°∙·√ⁿ²■\u{a0}";

fn from_code_page_437(bytes: &[u8]) -> String {
    let upper: Vec<char> = CODE_PAGE_437.chars().collect();
    let decode = |byte: &u8| match byte {
        0..=127 => char::from(*byte),
        _ => upper[usize::from(byte - 128)],
    };
    bytes.iter().map(decode).collect()
}

impl Unpacker<'_> {
    fn zip(&mut self, file: &File) -> Result<()> {
        self.place = "the directory at its end".to_owned();
        let directory = self.zip_directory(file)?;
        let mut entries = self.zip_entries(file, &directory)?;
        // In the order of the bytes, so that the disk is read once and overlaps show.
        entries.sort_by_key(|entry| entry.offset);
        let mut reader = BufReader::with_capacity(128 << 10, file);
        let start = reader.seek(SeekFrom::Start(0));
        start.map_err(|error| self.unreadable(&error))?;
        let mut position = 0;
        for entry in &entries {
            self.at_entry(&entry.name);
            if entry.offset < position {
                return Err(self.refuse("shares bytes with another entry", BY_HAND));
            }
            self.skip(&mut reader, entry.offset - position)?;
            position = self.zip_local_header(&mut reader, entry, directory.start)?;
            position += self.zip_entry(&mut reader, entry)?;
        }
        Ok(())
    }

    fn skip(&self, reader: &mut BufReader<&File>, bytes: u64) -> Result<()> {
        // Every position was checked to be inside of the file.
        let bytes = i64::try_from(bytes).map_err(|_| self.refuse("a wrong position", AGAIN))?;
        let skipped = reader.seek_relative(bytes);
        skipped.map_err(|error| self.unreadable(&error))
    }

    fn read_at(&self, mut file: &File, position: u64, count: u64) -> Result<Vec<u8>> {
        let sought = file.seek(SeekFrom::Start(position));
        sought.map_err(|error| self.unreadable(&error))?;
        self.read_bytes(&mut file, count)
    }

    /// Finds the directory: its end record must be the very end of the file.
    fn zip_directory(&self, file: &File) -> Result<ZipDirectory> {
        const RECORD: usize = 22;
        const LOCATOR: u64 = 20;
        const RECORD_64: u64 = 56;
        let length = self.packed.min((RECORD + usize::from(u16::MAX)) as u64);
        let tail_start = self.packed - length;
        let tail = self.read_at(file, tail_start, length)?;
        let mut at = tail.len().saturating_sub(RECORD - 1);
        while at > 0 {
            at -= 1;
            let record = &tail[at..];
            let comment = RECORD + usize::from(u16_at(record, 20));
            if !record.starts_with(b"PK\x05\x06") || comment != record.len() {
                continue;
            }
            let mut end = tail_start + at as u64;
            let mut directory = ZipDirectory {
                start: u64::from(u32_at(record, 16)),
                size: u64::from(u32_at(record, 12)),
                entries: u64::from(u16_at(record, 10)),
            };
            let mut parts = [u16_at(record, 4), u16_at(record, 6)].map(u32::from);
            let mut on_this_part = u64::from(u16_at(record, 8));
            if end >= LOCATOR {
                let locator = self.read_at(file, end - LOCATOR, LOCATOR)?;
                if locator.starts_with(b"PK\x06\x07") {
                    let start = u64_at(&locator, 8);
                    let most = end - LOCATOR;
                    if start.checked_add(RECORD_64).is_none_or(|end| end > most) {
                        return Err(self.refuse("points outside of the file", AGAIN));
                    }
                    let record = self.read_at(file, start, RECORD_64)?;
                    let size = u64_at(&record, 4);
                    let whole = start + 12;
                    if !record.starts_with(b"PK\x06\x06") || whole.checked_add(size) != Some(most) {
                        return Err(self.refuse("a 64-bit record that is wrong", AGAIN));
                    }
                    parts = [u32_at(&record, 16), u32_at(&record, 20)];
                    on_this_part = u64_at(&record, 24);
                    directory = ZipDirectory {
                        start: u64_at(&record, 48),
                        size: u64_at(&record, 40),
                        entries: u64_at(&record, 32),
                    };
                    end = start;
                }
            }
            if parts != [0, 0] || on_this_part != directory.entries {
                let what = "one part of a zip file in several parts";
                return Err(self.refuse(what, BY_HAND));
            }
            if directory.start.checked_add(directory.size) != Some(end) {
                let what = "the directory does not lie where the end record says";
                return Err(self.refuse(what, AGAIN));
            }
            return Ok(directory);
        }
        let what = "no end record at the very end: the archive is cut short, or other bytes follow";
        Err(self.refuse(what, AGAIN))
    }

    fn zip_entries(&mut self, mut file: &File, directory: &ZipDirectory) -> Result<Vec<ZipEntry>> {
        const HEADER: u64 = 46;
        let sought = file.seek(SeekFrom::Start(directory.start));
        sought.map_err(|error| self.unreadable(&error))?;
        let mut reader = BufReader::with_capacity(128 << 10, file).take(directory.size);
        let mut entries = Vec::new();
        let mut name_bytes = 0;
        while reader.limit() > 0 {
            let header = self.read_bytes(&mut reader, HEADER)?;
            if !header.starts_with(b"PK\x01\x02") {
                return Err(self.refuse("no directory header where one must be", AGAIN));
            }
            let raw = self.read_bytes(&mut reader, u64::from(u16_at(&header, 28)))?;
            let extra = self.read_bytes(&mut reader, u64::from(u16_at(&header, 30)))?;
            self.read_bytes(&mut reader, u64::from(u16_at(&header, 32)))?;
            let flags = u16_at(&header, 8);
            let (name, raw) = match String::from_utf8(raw) {
                Ok(name) => (name, None),
                Err(error) => {
                    let raw = error.into_bytes();
                    let name = from_code_page_437(&raw);
                    self.at_entry(&name);
                    if flags & 0x800 != 0 {
                        return Err(self.refuse("the name is not the UTF-8 it claims", AGAIN));
                    }
                    (name, Some(raw.into_boxed_slice()))
                }
            };
            self.at_entry(&name);
            self.count_entry()?;
            // Checked here as well, so that no memory is spent on names that are refused later.
            clean_name(&name).map_err(|what| self.refuse(&what, BY_HAND))?;
            name_bytes += name.len() + raw.as_ref().map_or(0, |raw| raw.len());
            if name_bytes > ALL_NAME_BYTES {
                return Err(self.refuse("the names need too much memory", BY_HAND));
            }
            let mut entry = ZipEntry {
                name: name.into_boxed_str(),
                raw,
                offset: u64::from(u32_at(&header, 42)),
                packed: u64::from(u32_at(&header, 20)),
                size: u64::from(u32_at(&header, 24)),
                sum: u32_at(&header, 16),
                mode: u32_at(&header, 38) >> 16,
                flags,
                method: u16_at(&header, 10),
            };
            if zip_64_sizes(&extra, &mut entry).is_none() {
                return Err(self.refuse("its 64-bit sizes are missing", AGAIN));
            }
            if u32_at(&header, 38) & 0x10 != 0 && entry.mode == 0 {
                entry.mode = FOLDER_MODE;
            }
            entries.push(entry);
        }
        if entries.len() as u64 != directory.entries {
            let (found, said) = (entries.len(), directory.entries);
            self.place = "the directory at its end".to_owned();
            let what = format!("lists {found} entries but claims {said}");
            return Err(self.refuse(&what, AGAIN));
        }
        Ok(entries)
    }

    /// Reads the header in front of an entry's bytes, which must agree with the directory, and
    /// gives the position of the first byte.
    fn zip_local_header(
        &self,
        reader: &mut BufReader<&File>,
        entry: &ZipEntry,
        most: u64,
    ) -> Result<u64> {
        const HEADER: u64 = 30;
        let outside = || self.refuse("its bytes lie outside of the archive's data", AGAIN);
        let header_end = entry.offset.checked_add(HEADER);
        if header_end.is_none_or(|end| end > most) {
            return Err(outside());
        }
        let header = self.read_bytes(reader, HEADER)?;
        if !header.starts_with(b"PK\x03\x04") {
            return Err(self.refuse("no header in front of its bytes", AGAIN));
        }
        let (name_bytes, extra_bytes) = (u16_at(&header, 26), u16_at(&header, 28));
        let name = self.read_bytes(reader, u64::from(name_bytes))?;
        self.skip(reader, u64::from(extra_bytes))?;
        let start = entry.offset + HEADER + u64::from(name_bytes) + u64::from(extra_bytes);
        if start.checked_add(entry.packed).is_none_or(|end| end > most) {
            return Err(outside());
        }
        let listed = entry.raw.as_deref().unwrap_or(entry.name.as_bytes());
        // With this flag the sum and sizes follow the bytes, and the header has none.
        let sums_follow = u16_at(&header, 6) & 8 != 0;
        let differs = |at: usize, listed: u64| {
            let here = u32_at(&header, at);
            !sums_follow && here != u32::MAX && u64::from(here) != listed
        };
        let agrees = name == listed
            && u16_at(&header, 8) == entry.method
            && (u16_at(&header, 6) ^ entry.flags) & 1 == 0
            && (sums_follow || u32_at(&header, 14) == entry.sum)
            && !differs(18, entry.packed)
            && !differs(22, entry.size);
        if !agrees {
            return Err(self.refuse("its header and the directory disagree", AGAIN));
        }
        Ok(start)
    }

    /// Unpacks the entry whose bytes come next, and gives how many of them were read.
    fn zip_entry(&mut self, reader: &mut BufReader<&File>, entry: &ZipEntry) -> Result<u64> {
        let what = match entry.mode & 0o170_000 {
            0 | 0o100_000 | FOLDER_MODE => "",
            0o120_000 => "a symbolic link",
            0o020_000 | 0o060_000 => "a device",
            0o010_000 => "a named pipe",
            _ => "an entry of an unknown type",
        };
        if !what.is_empty() {
            let what = format!("{what}, and only plain files and folders are taken");
            return Err(self.refuse(&what, BY_HAND));
        }
        if entry.flags & (1 | 1 << 6 | 1 << 13) != 0 || entry.method == 99 {
            let fix = "unpack it by hand with its password and give the folder instead";
            return Err(self.refuse("it is encrypted", fix));
        }
        let method = match entry.method {
            0 | 8 => "",
            9 => "Deflate64",
            12 => "bzip2",
            14 => "LZMA",
            93 => "zstd",
            95 => "xz",
            _ => "an unusual method",
        };
        if !method.is_empty() {
            let number = entry.method;
            let what = format!("packed with {method} (method {number}), which is not read here");
            let fix = "unpack it by hand, or pack it again with the common method Deflate";
            return Err(self.refuse(&what, fix));
        }
        if entry.flags & (1 << 5) != 0 {
            return Err(self.refuse("a patch to another file, which is not read here", BY_HAND));
        }
        let folder = entry.mode & 0o170_000 == FOLDER_MODE || entry.name.ends_with(['/', '\\']);
        if folder && entry.size != 0 {
            return Err(self.refuse("a folder with content of its own", BY_HAND));
        }
        let path = self.place_entry(&entry.name, folder)?;
        if folder {
            return Ok(0);
        }
        let most = self.most_for(entry.packed);
        let mut packed = reader.take(entry.packed);
        let (size, sum) = if entry.method == 0 {
            self.copy(&mut packed, path.as_deref(), most)?
        } else {
            let mut decoder = flate2::bufread::DeflateDecoder::new(&mut packed);
            self.copy(&mut decoder, path.as_deref(), most)?
        };
        let left = packed.limit();
        if left != 0 {
            return Err(self.refuse(
                "its packed bytes are more than it needs, or cut short",
                AGAIN,
            ));
        }
        if size != entry.size {
            let what = format!("unpacks to {size} bytes but claims {}", entry.size);
            return Err(self.refuse(&what, AGAIN));
        }
        if sum != entry.sum {
            return Err(self.refuse("its check sum does not match", AGAIN));
        }
        Ok(entry.packed)
    }
}

/// The type bits of a folder's mode.
const FOLDER_MODE: u32 = 0o040_000;

/// Takes the sizes that do not fit into 32 bits from the extra field; `None` if they are not there.
fn zip_64_sizes(mut extra: &[u8], entry: &mut ZipEntry) -> Option<()> {
    let wide = u64::from(u32::MAX);
    let mut wanted = [&mut entry.size, &mut entry.packed, &mut entry.offset]
        .into_iter()
        .filter(|value| **value == wide)
        .peekable();
    if wanted.peek().is_none() {
        return Some(());
    }
    while extra.len() >= 4 {
        let length = usize::from(u16_at(extra, 2));
        let mut field = extra.get(4..4 + length)?;
        if u16_at(extra, 0) == 1 {
            for value in wanted {
                *value = u64_at(field.get(..8)?, 0);
                field = &field[8..];
            }
            return Some(());
        }
        extra = &extra[4 + length..];
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::failure::Failure;

    /// A folder of its own, with the archive in it and a file that nobody may touch.
    struct Place {
        folder: tempfile::TempDir,
    }

    impl Place {
        fn new() -> Self {
            let folder = tempfile::tempdir().unwrap();
            fs::write(folder.path().join("bystander"), "untouched").unwrap();
            Self { folder }
        }

        fn path(&self, name: &str) -> PathBuf {
            self.folder.path().join(name)
        }

        fn extract_within(&self, bytes: &[u8], limits: &Limits) -> Result<Extracted> {
            fs::write(self.path("given"), bytes).unwrap();
            extract(
                &self.path("given"),
                &self.path("into"),
                limits,
                &mut |_, _| {},
            )
        }

        fn extract(&self, bytes: &[u8]) -> Result<Extracted> {
            self.extract_within(bytes, &Limits::default())
        }

        fn read(&self, name: &str) -> Vec<u8> {
            fs::read(self.path("into").join(name)).unwrap()
        }

        fn listing(&self) -> Vec<String> {
            let entries = fs::read_dir(self.folder.path()).unwrap();
            let name = |entry: fs::DirEntry| entry.file_name().into_string().unwrap();
            let mut names: Vec<String> = entries.map(|entry| name(entry.unwrap())).collect();
            names.sort();
            names
        }

        fn assert_nothing_left(&self) {
            assert_eq!(self.listing(), ["bystander", "given"]);
            assert_eq!(fs::read(self.path("bystander")).unwrap(), b"untouched");
        }
    }

    fn kind_of(error: &anyhow::Error) -> Kind {
        error.downcast_ref::<Failure>().unwrap().kind
    }

    fn assert_refused_within(bytes: &[u8], limits: &Limits, parts: &[&str]) {
        let place = Place::new();
        let error = place.extract_within(bytes, limits).unwrap_err();
        let message = error.to_string();
        assert_eq!(kind_of(&error), Kind::Data, "{message}");
        for part in parts.iter().chain(&["given", ";"]) {
            assert!(message.contains(part), "{message:?} lacks {part:?}");
        }
        place.assert_nothing_left();
    }

    fn assert_refused(bytes: &[u8], parts: &[&str]) {
        assert_refused_within(bytes, &Limits::default(), parts);
    }

    /// A tar entry by hand: what the usual writers refuse to write too.
    fn tar_raw(name: &[u8], kind: u8, size: &[u8], data: &[u8]) -> Vec<u8> {
        let mut block = vec![0u8; TAR_BLOCK];
        block[..name.len()].copy_from_slice(name);
        block[100..107].copy_from_slice(b"0004777");
        block[124..124 + size.len()].copy_from_slice(size);
        block[156] = kind;
        block[257..265].copy_from_slice(b"ustar\x0000");
        fix_checksum(&mut block);
        block.extend_from_slice(data);
        block.resize(block.len().next_multiple_of(TAR_BLOCK), 0);
        block
    }

    fn fix_checksum(block: &mut [u8]) {
        block[148..156].fill(b' ');
        let sum: u32 = block[..TAR_BLOCK].iter().map(|byte| u32::from(*byte)).sum();
        block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    }

    fn tar_entry(name: &str, kind: u8, data: &[u8]) -> Vec<u8> {
        let size = format!("{:011o}", data.len());
        tar_raw(name.as_bytes(), kind, size.as_bytes(), data)
    }

    fn tar_end(mut entries: Vec<u8>) -> Vec<u8> {
        entries.resize(entries.len() + 2 * TAR_BLOCK, 0);
        entries
    }

    fn tar_of(names: &[&str]) -> Vec<u8> {
        tar_end(
            names
                .iter()
                .flat_map(|name| tar_entry(name, b'0', b"data"))
                .collect(),
        )
    }

    fn pax(records: &[(&str, &[u8])]) -> Vec<u8> {
        let mut data = Vec::new();
        for (key, value) in records {
            let rest = key.len() + value.len() + 3;
            let mut length = rest + 1;
            while rest + length.to_string().len() != length {
                length += 1;
            }
            data.extend_from_slice(format!("{length} {key}=").as_bytes());
            data.extend_from_slice(value);
            data.push(b'\n');
        }
        tar_entry("pax", b'x', &data)
    }

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    fn deflate(bytes: &[u8]) -> Vec<u8> {
        let level = flate2::Compression::best();
        let mut encoder = flate2::write::DeflateEncoder::new(Vec::new(), level);
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    /// A zip entry by hand.
    #[derive(Clone)]
    struct Zipped {
        name: Vec<u8>,
        packed: Vec<u8>,
        size: u32,
        sum: u32,
        mode: u32,
        flags: u16,
        method: u16,
        /// Where the directory says that the entry starts, if not where it does.
        offset: Option<u32>,
    }

    impl Zipped {
        fn new(name: &str, data: &[u8]) -> Self {
            let mut sum = flate2::Crc::new();
            sum.update(data);
            Self {
                name: name.as_bytes().to_vec(),
                packed: deflate(data),
                size: data.len() as u32,
                sum: sum.sum(),
                mode: 0o100_644,
                flags: 0,
                method: 8,
                offset: None,
            }
        }

        fn with(mut self, change: impl FnOnce(&mut Self)) -> Self {
            change(&mut self);
            self
        }
    }

    fn zip_by_hand(entries: &[Zipped], claimed: u16, comment: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut directory = Vec::new();
        for entry in entries {
            let offset = entry.offset.unwrap_or(bytes.len() as u32);
            let mut common = Vec::new();
            for number in [20, entry.flags, entry.method, 0, 0x21] {
                common.extend_from_slice(&number.to_le_bytes());
            }
            for number in [entry.sum, entry.packed.len() as u32, entry.size] {
                common.extend_from_slice(&number.to_le_bytes());
            }
            common.extend_from_slice(&(entry.name.len() as u16).to_le_bytes());
            common.extend_from_slice(&[0, 0]);
            bytes.extend_from_slice(b"PK\x03\x04");
            bytes.extend_from_slice(&common);
            bytes.extend_from_slice(&entry.name);
            bytes.extend_from_slice(&entry.packed);
            directory.extend_from_slice(b"PK\x01\x02\x14\x03");
            directory.extend_from_slice(&common);
            directory.extend_from_slice(&[0; 6]);
            directory.extend_from_slice(&(entry.mode << 16).to_le_bytes());
            directory.extend_from_slice(&offset.to_le_bytes());
            directory.extend_from_slice(&entry.name);
        }
        let start = bytes.len() as u32;
        bytes.extend_from_slice(&directory);
        bytes.extend_from_slice(b"PK\x05\x06\0\0\0\0");
        bytes.extend_from_slice(&claimed.to_le_bytes());
        bytes.extend_from_slice(&claimed.to_le_bytes());
        bytes.extend_from_slice(&(directory.len() as u32).to_le_bytes());
        bytes.extend_from_slice(&start.to_le_bytes());
        bytes.extend_from_slice(&(comment.len() as u16).to_le_bytes());
        bytes.extend_from_slice(comment);
        bytes
    }

    fn zip_of(entries: &[Zipped]) -> Vec<u8> {
        zip_by_hand(entries, entries.len() as u16, b"")
    }

    fn zip_of_names(names: &[&str]) -> Vec<u8> {
        let entries: Vec<Zipped> = names
            .iter()
            .map(|name| Zipped::new(name, b"data"))
            .collect();
        zip_of(&entries)
    }

    /// The same files in every format.
    fn all_formats(names: &[&str]) -> [Vec<u8>; 3] {
        let tar = tar_of(names);
        [zip_of_names(names), gzip(&tar), tar]
    }

    #[test]
    fn every_format_unpacks_alike() {
        let data = vec![b"picture".repeat(1000), Vec::new(), vec![7; 512]];
        let long = format!("{}/{}.png", "folder".repeat(20), "name".repeat(30));
        let names = ["a/one.png", "./b/empty.txt", long.as_str()];
        let mut tar = tar::Builder::new(Vec::new());
        for (name, data) in names.iter().zip(&data) {
            let mut header = tar::Header::new_gnu();
            header.set_size(data.len() as u64);
            header.set_mode(0o6755);
            tar.append_data(&mut header, name, data.as_slice()).unwrap();
        }
        let tar = tar.into_inner().unwrap();

        let by_path = zip::write::SimpleFileOptions::default();
        let mut zip = zip::ZipWriter::new(io::Cursor::new(Vec::new()));
        zip.add_directory("a/", by_path).unwrap();
        for ((name, data), wide) in names.iter().zip(&data).zip([false, true, true]) {
            let method = [
                zip::CompressionMethod::Deflated,
                zip::CompressionMethod::Stored,
            ];
            let options = by_path.large_file(wide).unix_permissions(0o755);
            let options = options.compression_method(method[usize::from(wide)]);
            zip.start_file(*name, options).unwrap();
            zip.write_all(data).unwrap();
        }
        let zip = zip.finish().unwrap().into_inner();

        let mut streamed = zip::ZipWriter::new_stream(Vec::new());
        for (name, data) in names.iter().zip(&data) {
            streamed.start_file(*name, by_path).unwrap();
            streamed.write_all(data).unwrap();
        }
        let streamed = streamed.finish().unwrap().into_inner();

        let halves = [gzip(&tar[..700]), gzip(&tar[700..])].concat();
        for archive in [&zip, &streamed, &tar, &gzip(&tar), &halves] {
            let place = Place::new();
            fs::create_dir(place.path("into")).unwrap();
            let done = place.extract(archive).unwrap();
            assert_eq!((done.files, done.bytes, done.already), (3, 7512, false));
            assert!(is_archive(&place.path("given")));
            for (name, data) in names.iter().zip(&data) {
                assert_eq!(&place.read(name), data, "{name}");
            }
            assert_eq!(place.listing(), ["bystander", "given", "into"]);
            let marker = String::from_utf8(place.read(MARKER)).unwrap();
            let ends = format!("\nbytes {}\n", archive.len());
            assert!(
                marker.starts_with("sha256 ") && marker.ends_with(&ends),
                "{marker}"
            );
            #[cfg(unix)]
            {
                use std::os::unix::fs::PermissionsExt;
                let path = place.path("into").join(names[0]);
                assert_eq!(fs::metadata(path).unwrap().permissions().mode() & 0o7111, 0);
            }
        }
    }

    #[test]
    fn pax_names_and_sizes_count() {
        let long = format!("{}/ä.png", "long".repeat(40));
        let records: [(&str, &[u8]); 3] = [
            ("path", long.as_bytes()),
            ("size", b"4"),
            ("SCHILY.xattr.user", b"with\na line"),
        ];
        let mut tar = tar_entry("global", b'g', b"20 comment=whatever\n");
        tar.extend(pax(&records));
        tar.extend(tar_raw(b"short", b'0', b"00000000000", b"data"));
        let mut prefixed = tar_entry("name.png", b'0', b"data");
        prefixed[345..351].copy_from_slice(b"prefix");
        fix_checksum(&mut prefixed);
        tar.extend(prefixed);
        let place = Place::new();
        assert_eq!(place.extract(&tar_end(tar)).unwrap().files, 2);
        assert_eq!(place.read(&long), b"data");
        assert_eq!(place.read("prefix/name.png"), b"data");
    }

    #[test]
    fn a_64_bit_zip_directory_is_found() {
        let count = 70_000;
        let options = zip::write::SimpleFileOptions::default();
        let options = options.compression_method(zip::CompressionMethod::Stored);
        let mut zip = zip::ZipWriter::new(io::Cursor::new(Vec::new()));
        for number in 0..count {
            zip.start_file(format!("__MACOSX/{number}"), options)
                .unwrap();
        }
        zip.start_file("one.png", options).unwrap();
        let bytes = zip.finish().unwrap().into_inner();
        let done = Place::new().extract(&bytes).unwrap();
        assert_eq!((done.files, done.passed_over_count), (1, count));
        assert_eq!(done.passed_over.len(), REPORTED_NAMES);
    }

    #[test]
    fn zip_names_that_are_not_utf_8_are_read_as_code_page_437() {
        assert_eq!(CODE_PAGE_437.chars().count(), 128);
        let entry = Zipped::new("", b"data").with(|entry| entry.name = b"\x84\xe1.png".to_vec());
        let place = Place::new();
        place
            .extract(&zip_of(std::slice::from_ref(&entry)))
            .unwrap();
        assert_eq!(place.read("äß.png"), b"data");
        let claims = entry.with(|entry| entry.flags = 0x800);
        assert_refused(&zip_of(&[claims]), &["UTF-8", "download it again"]);
        let bad = tar_end(tar_raw(b"\xff.png", b'0', b"0", b""));
        assert_refused(&bad, &["UTF-8", "unpack it by hand"]);
    }

    #[test]
    fn names_that_leave_the_folder_are_refused() {
        let long = format!("a/{}", "x".repeat(256));
        let deep = "d/".repeat(70) + "x";
        for (name, what) in [
            ("/etc/passwd", "absolute"),
            ("\\\\server\\share", "absolute"),
            ("../x", "climbs"),
            ("a/../../x", "climbs"),
            ("a\\..\\..\\x", "climbs"),
            ("a/..", "climbs"),
            ("C:\\x", "drive"),
            ("c:x", "drive"),
            (long.as_str(), "longer than 255"),
            (deep.as_str(), "deeper"),
            (".archive", "kept"),
            (".ARCHIVE/x", "kept"),
        ] {
            let mut tar = Vec::new();
            if name.len() > 100 {
                tar.extend(tar_entry("././@LongLink", b'L', name.as_bytes()));
            }
            tar.extend(tar_entry(&name[..name.len().min(100)], b'0', b"data"));
            let tar = tar_end(tar);
            for archive in [zip_of_names(&["good", name]), gzip(&tar), tar] {
                assert_refused(&archive, &[what, "entry", "unpack it by hand"]);
            }
        }
        for archive in [zip_of_names(&["a\0b"]), {
            let mut tar = pax(&[("path", b"a\0b")]);
            tar.extend(tar_of(&["a"]));
            tar
        }] {
            assert_refused(&archive, &["NUL", "a\\0b"]);
        }
        assert_refused(&zip_of_names(&["."]), &["without a name"]);
        for name in ["a//b/./c", "a\\b\\c"] {
            for archive in all_formats(&[name]) {
                let place = Place::new();
                place.extract(&archive).unwrap();
                assert_eq!(place.read("a/b/c"), b"data");
            }
        }
    }

    #[test]
    fn names_that_clash_are_refused_with_both_named() {
        for (names, parts) in [
            (["a/x", "a/x"], ["a/x", "same name"]),
            (["a/x", "a//x"], ["a/x", "same name"]),
            (["a/x", "a/X"], ["\"a/X\" and \"a/x\"", "case"]),
            (["a/x", "A/y"], ["\"A\" and \"a\"", "case"]),
            (["Ärger", "ärger"], ["\"ärger\" and \"Ärger\"", "case"]),
            (["a", "a/x"], ["must be a folder", "\"a\""]),
            (["a/x", "a"], ["is a folder", "\"a\""]),
        ] {
            for archive in all_formats(&names) {
                assert_refused(&archive, &parts);
            }
        }
        // A folder may be listed again, as programs that add to a tar file do.
        let folder = || tar_entry("a/", b'5', b"");
        let tar = [folder(), tar_entry("a/x", b'0', b"data"), folder()].concat();
        assert_eq!(Place::new().extract(&tar_end(tar)).unwrap().files, 1);
    }

    #[test]
    fn only_plain_files_and_folders_are_taken() {
        for (kind, mode, what) in [
            (b'1', None, "hard link"),
            (b'2', Some(0o120_777), "symbolic link"),
            (b'3', Some(0o020_644), "device"),
            (b'4', Some(0o060_644), "device"),
            (b'6', Some(0o010_644), "named pipe"),
            (b'S', None, "sparse"),
            (b'V', Some(0o140_644), "unknown type"),
        ] {
            let good = tar_entry("good", b'0', b"data");
            let tar = tar_end([good, tar_entry("bad", kind, b"")].concat());
            assert_refused(&gzip(&tar), &["\"bad\"", what]);
            assert_refused(&tar, &["\"bad\"", what, "unpack it by hand"]);
            if let Some(mode) = mode {
                let bad = Zipped::new("bad", b"/etc").with(|entry| entry.mode = mode);
                let zip = zip_of(&[Zipped::new("good", b""), bad]);
                assert_refused(&zip, &["\"bad\"", what, "unpack it by hand"]);
            }
        }
        let mut sparse = pax(&[("GNU.sparse.major", b"1")]);
        sparse.extend(tar_of(&["x"]));
        assert_refused(&sparse, &["sparse"]);
        assert_refused(
            &tar_end(tar_entry("a/", b'5', b"data")),
            &["folder with content"],
        );
        assert_refused(&zip_of_names(&["a/"]), &["folder with content"]);
    }

    #[test]
    fn encrypted_and_unknown_zip_methods_are_refused() {
        let good = Zipped::new("bad", b"data");
        for flags in [1, 1 << 6, 1 << 13] {
            let bad = good.clone().with(|entry| entry.flags = flags);
            assert_refused(&zip_of(&[bad]), &["\"bad\"", "encrypted", "password"]);
        }
        for (method, what) in [(9, "Deflate64"), (12, "bzip2"), (14, "LZMA"), (97, "97")] {
            let bad = good.clone().with(|entry| entry.method = method);
            assert_refused(&zip_of(&[bad]), &["\"bad\"", what, "Deflate"]);
        }
        let aes = good.clone().with(|entry| entry.method = 99);
        assert_refused(&zip_of(&[aes]), &["encrypted"]);
        let patch = good.with(|entry| entry.flags = 1 << 5);
        assert_refused(&zip_of(&[patch]), &["patch"]);
    }

    #[test]
    fn damaged_and_lying_zips_are_refused() {
        let good = || Zipped::new("x.png", b"some data, some data");
        let again = |archive: &[u8], what| assert_refused(archive, &[what, "download it again"]);
        again(&zip_of(&[good().with(|entry| entry.sum ^= 1)]), "check sum");
        again(
            &zip_of(&[good().with(|entry| entry.size += 1)]),
            "claims 21",
        );
        again(
            &zip_of(&[good().with(|entry| entry.size -= 1)]),
            "claims 19",
        );
        again(
            &zip_of(&[good().with(|entry| entry.size = u32::MAX)]),
            "64-bit",
        );
        again(
            &zip_of(&[good().with(|entry| entry.packed.push(0))]),
            "more than it needs",
        );
        again(
            &zip_of(&[good().with(|entry| entry.packed.truncate(9))]),
            "\"x.png\"",
        );
        again(
            &zip_of(&[good().with(|entry| entry.packed[0] = 7)]),
            "\"x.png\"",
        );
        again(
            &zip_of(&[good().with(|entry| entry.offset = Some(5))]),
            "no header",
        );
        again(
            &zip_of(&[good().with(|entry| entry.offset = Some(9999))]),
            "outside",
        );
        again(&zip_by_hand(&[good()], 2, b""), "claims 2");
        let whole = zip_of(&[good()]);
        again(&[whole.as_slice(), b"tail"].concat(), "other bytes follow");
        for length in 4..whole.len() {
            let place = Place::new();
            assert!(place.extract(&whole[..length]).is_err(), "{length}");
            place.assert_nothing_left();
        }
        let mut other_name = whole.clone();
        other_name[30] = b'y';
        again(&other_name, "disagree");
        // Two entries that share their bytes are how the tightest archive bombs are made.
        let twin = good().with(|entry| entry.offset = Some(0));
        assert_refused(&zip_of(&[good(), twin]), &["shares bytes"]);
        let commented = zip_by_hand(&[good()], 1, b"a comment");
        assert_eq!(Place::new().extract(&commented).unwrap().files, 1);
        assert_refused(&zip_of(&[]), &["no files"]);
    }

    #[test]
    fn damaged_and_lying_tars_are_refused() {
        let again = |archive: &[u8], what| assert_refused(archive, &[what, "download it again"]);
        let whole = tar_of(&["x.png"]);
        for length in [512, 513, 600, 1024, 1200] {
            again(&whole[..length], "cut short");
            again(&gzip(&whole[..length]), "cut short");
        }
        again(&[whole.as_slice(), b"tail"].concat(), "other bytes follow");
        again(
            &[whole.clone(), whole.clone()].concat(),
            "other bytes follow",
        );
        let packed = gzip(&whole);
        for length in 18..packed.len() {
            let place = Place::new();
            assert!(place.extract(&packed[..length]).is_err(), "{length}");
            place.assert_nothing_left();
        }
        for tail in [&b"tail"[..], b"\0\0\0\0", b"\x1f\x8b\x08", b"\x1f"] {
            assert_refused(&[packed.as_slice(), tail].concat(), &["download it again"]);
        }
        let mut sum = packed.clone();
        let at = sum.len() - 8;
        sum[at] ^= 1;
        again(&sum, "after the last entry");
        for size in [
            &b"77777777777"[..],
            b"\x80\0\0\0\x7f\xff\xff\xff\xff\xff\xff\xff",
        ] {
            again(&tar_end(tar_raw(b"x", b'0', size, b"data")), "cut short");
        }
        for size in [
            &b"4x"[..],
            b"-1",
            b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff",
        ] {
            again(&tar_end(tar_raw(b"x", b'0', size, b"data")), "not a number");
        }
        // The second file's header would be read from inside of the first one's data.
        let two = [
            tar_raw(b"x", b'0', b"1", &[1; 600]),
            tar_entry("y", b'0', b""),
        ]
        .concat();
        again(&tar_end(two), "no tar header");
        again(
            &tar_end([tar_entry("x", b'0', b""), pax(&[])].concat()),
            "without an entry",
        );
        again(
            &tar_end([pax(&[]), pax(&[]), tar_of(&["x"])].concat()),
            "two header",
        );
        again(
            &tar_end([tar_entry("p", b'x', b"9 a=b\n"), tar_of(&["x"])].concat()),
            "malformed",
        );
        let huge = tar_raw(b"long", b'L', b"77777777777", b"");
        assert_refused(&tar_end(huge), &["1 MiB"]);
    }

    #[test]
    fn limits_stop_an_archive() {
        let limits = Limits::default();
        let few = Limits {
            entries: 3,
            ..limits
        };
        for archive in all_formats(&["a", "b", "c"]) {
            assert_eq!(
                Place::new().extract_within(&archive, &few).unwrap().files,
                3
            );
        }
        for names in [
            &["a", "b", "c", "d"][..],
            &["a/b/c/d"],
            &["._a", "._b", "._c", "d"],
        ] {
            for archive in all_formats(names) {
                assert_refused_within(&archive, &few, &["more than 3 files and folders"]);
            }
        }
        for archive in all_formats(&["a", "._b", "c"]) {
            let small = Limits {
                bytes: 11,
                ..limits
            };
            assert_refused_within(&archive, &small, &["more than 11 bytes in all", "\"c\""]);
            let small = Limits {
                file_bytes: 3,
                ..limits
            };
            assert_refused_within(
                &archive,
                &small,
                &["more than 3 bytes in one file", "\"a\""],
            );
        }
    }

    #[test]
    fn bombs_are_refused() {
        let tight = Limits {
            ratio: 100,
            ..Limits::default()
        };
        let zeros = vec![0; 20 << 20];
        let part = &zeros[..RATIO_FREE_BYTES as usize];
        let tar = tar_end(tar_entry("bomb", b'0', &zeros));
        assert_refused_within(&gzip(&tar), &tight, &["packed size", "unpack it by hand"]);
        let zip = zip_of(&[Zipped::new("bomb", &zeros)]);
        assert_refused_within(&zip, &tight, &["\"bomb\"", "100 times"]);
        // Many small ones together.
        let zip = zip_of(&[Zipped::new("a", part), Zipped::new("b", part)]);
        assert_refused_within(&zip, &tight, &["\"b\"", "100 times"]);
        // One entry is looked at by itself even where the rest does not pack at all.
        let mut random = SplitMix(5);
        let noise: Vec<u8> = (0..1 << 17)
            .flat_map(|_| random.next().to_le_bytes())
            .collect();
        let bomb = Zipped::new("b", &zeros);
        let stored = Zipped::new("a", &noise).with(|entry| {
            entry.method = 0;
            entry.packed = noise.clone();
        });
        assert_refused_within(&zip_of(&[stored, bomb]), &tight, &["\"b\"", "100 times"]);
        // Endless padding after the last entry writes nothing, but takes time.
        let mut padded = tar_of(&["x"]);
        padded.extend_from_slice(&zeros);
        assert_refused_within(&gzip(&padded), &tight, &["packed size"]);
        assert_eq!(
            Place::new()
                .extract(&zip_of(&[Zipped::new("a", part)]))
                .unwrap()
                .files,
            1
        );
    }

    #[test]
    fn clutter_is_passed_over() {
        let names = [
            "__MACOSX/._x.png",
            "a/.DS_Store",
            "a/Thumbs.db",
            "a/x.png",
            "._y",
        ];
        for archive in all_formats(&names) {
            let place = Place::new();
            let done = place.extract(&archive).unwrap();
            assert_eq!((done.files, done.passed_over_count), (1, 4));
            assert_eq!(done.passed_over, [names[0], names[1], names[2], names[4]]);
            assert!(!place.path("into/__MACOSX").exists());
        }
    }

    #[test]
    fn the_content_tells_what_is_an_archive() {
        let place = Place::new();
        for (bytes, expected, what) in [
            (&b"plain text"[..], false, "by its content"),
            (b"", false, "by its content"),
            (&[0; 1024], false, "by its content"),
            (&gzip(b"an idx file"), false, "holds no tar"),
            (&gzip(b""), false, "holds no tar"),
            (b"\xfd7zXZ\0", false, "xz"),
            (b"Rar!\x1a\x07\x01", false, "rar"),
            (&tar_of(&["x"]), true, ""),
            (&gzip(&tar_of(&["x"])), true, ""),
            (&zip_of_names(&["x"]), true, ""),
        ] {
            fs::write(place.path("given"), bytes).unwrap();
            assert_eq!(is_archive(&place.path("given")), expected);
            if !expected {
                assert_refused(bytes, &[what]);
            }
        }
        assert!(!is_archive(place.folder.path()));
        assert!(!is_archive(&place.path("missing")));
        for path in [place.path("missing"), place.folder.path().to_path_buf()] {
            let into = place.path("into");
            let error = extract(&path, &into, &Limits::default(), &mut |_, _| {}).unwrap_err();
            assert_eq!(kind_of(&error), Kind::Data);
        }
    }

    #[test]
    fn a_second_run_finds_the_work_done() {
        let place = Place::new();
        assert!(!place.extract(&tar_of(&["x"])).unwrap().already);
        fs::write(place.path("into/extra"), "kept").unwrap();
        let done = place.extract(&tar_of(&["x"])).unwrap();
        assert!(done.already && done.files == 0);
        assert_eq!(place.read("extra"), b"kept");
        let error = place.extract(&tar_of(&["y"])).unwrap_err();
        assert_eq!(kind_of(&error), Kind::Usage);
        assert!(error.to_string().contains("into") && error.to_string().contains("remove it"));
        assert_eq!(place.read("x"), b"data");
        fs::remove_file(place.path("into").join(MARKER)).unwrap();
        assert_eq!(
            kind_of(&place.extract(&tar_of(&["x"])).unwrap_err()),
            Kind::Usage
        );
        fs::remove_dir_all(place.path("into")).unwrap();
        fs::write(place.path("into"), "a file").unwrap();
        assert_eq!(
            kind_of(&place.extract(&tar_of(&["x"])).unwrap_err()),
            Kind::Usage
        );
        assert_eq!(place.listing(), ["bystander", "given", "into"]);
    }

    #[test]
    fn two_at_once_end_with_one_folder() {
        for (inner_names, same) in [(["x"], true), (["y"], false)] {
            let place = Place::new();
            let (outer, inner) = (place.path("given"), place.path("inner"));
            fs::write(&outer, tar_of(&["x"])).unwrap();
            fs::write(&inner, tar_of(&inner_names)).unwrap();
            let (into, limits) = (place.path("into"), Limits::default());
            let mut faster = |_, _| {
                extract(&inner, &into, &limits, &mut |_, _| {}).unwrap();
            };
            let outcome = extract(&outer, &into, &limits, &mut faster);
            match outcome {
                Ok(done) => assert!(same && done.already && done.files == 1),
                Err(error) => assert!(!same && kind_of(&error) == Kind::Usage),
            }
            assert_eq!(place.read(inner_names[0]), b"data");
            assert_eq!(place.listing(), ["bystander", "given", "inner", "into"]);
        }
    }

    #[test]
    fn missing_parents_are_made_and_removed_on_failure() {
        let place = Place::new();
        fs::write(place.path("given"), tar_of(&["x", "x"])).unwrap();
        let (given, into) = (place.path("given"), place.path("new/deep/into"));
        let limits = Limits::default();
        assert!(extract(&given, &into, &limits, &mut |_, _| {}).is_err());
        place.assert_nothing_left();
        fs::write(place.path("given"), tar_of(&["x"])).unwrap();
        assert_eq!(
            extract(&given, &into, &limits, &mut |_, _| {})
                .unwrap()
                .files,
            1
        );
        assert!(into.join("x").exists());
    }

    #[test]
    fn an_archive_that_still_grows_is_refused() {
        let place = Place::new();
        let given = place.path("given");
        fs::write(&given, tar_of(&["x"])).unwrap();
        let mut grow = |_, _| {
            let mut file = File::options().append(true).open(&given).unwrap();
            file.write_all(&[0; 512]).unwrap();
        };
        let error = extract(&given, &place.path("into"), &Limits::default(), &mut grow);
        assert!(error.unwrap_err().to_string().contains("changed"));
        place.assert_nothing_left();
    }

    #[test]
    fn a_panic_in_the_caller_leaves_nothing() {
        let place = Place::new();
        let given = place.path("given");
        fs::write(&given, tar_of(&["x"])).unwrap();
        let outcome = std::panic::catch_unwind(|| {
            let limits = Limits::default();
            extract(&given, &place.path("into"), &limits, &mut |_, _| {
                panic!("by the caller")
            })
        });
        assert!(outcome.is_err());
        place.assert_nothing_left();
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn what_killed_processes_left_is_removed() {
        let place = Place::new();
        let own = std::process::id();
        let dead = [".into.partial-4294967294-0", ".into.partial-4294967293-12"];
        let kept = [
            ".into.partial-1-0".to_owned(),
            format!(".into.partial-{own}-987654"),
            ".into.partial-4294967294-x".to_owned(),
            ".into.partial-4294967294".to_owned(),
            ".other.partial-4294967294-0".to_owned(),
        ];
        for name in dead.iter().copied().chain(kept.iter().map(String::as_str)) {
            fs::create_dir(place.path(name)).unwrap();
            fs::write(place.path(name).join("half"), "half").unwrap();
        }
        place.extract(&tar_of(&["x"])).unwrap();
        let mut expected = kept.to_vec();
        expected.extend(["bystander", "given", "into"].map(str::to_owned));
        expected.sort();
        assert_eq!(place.listing(), expected);
    }

    #[test]
    #[cfg(unix)]
    fn a_link_as_target_leads_to_its_folder() {
        let place = Place::new();
        fs::create_dir(place.path("real")).unwrap();
        std::os::unix::fs::symlink("real", place.path("into")).unwrap();
        place.extract(&tar_of(&["x"])).unwrap();
        assert_eq!(fs::read(place.path("real/x")).unwrap(), b"data");
        assert_eq!(place.listing(), ["bystander", "given", "into", "real"]);
        fs::remove_dir_all(place.path("real")).unwrap();
        assert_eq!(
            kind_of(&place.extract(&tar_of(&["x"])).unwrap_err()),
            Kind::Usage
        );
    }

    #[test]
    fn a_full_disk_is_no_fault_of_the_archive() {
        let limits = Limits::default();
        let mut unpacker = Unpacker {
            archive: Path::new("given.zip"),
            root: PathBuf::new(),
            limits: &limits,
            progress: &mut |_, _| {},
            packed: 1,
            names: Names::new(),
            entries: 0,
            counted: 0,
            done: Extracted::default(),
            place: String::new(),
            buffer: Vec::new(),
        };
        unpacker.at_entry("a.png");
        let full = io::Error::from(ErrorKind::StorageFull);
        let error = unpacker.unwritable(Path::new("into/a.png"), &full);
        assert_eq!(kind_of(&error), Kind::Disk);
        for part in ["given.zip", "a.png", "free some space"] {
            assert!(error.to_string().contains(part), "{error}");
        }
        let broken = io::Error::from_raw_os_error(5);
        assert_eq!(kind_of(&unpacker.unreadable(&broken)), Kind::Disk);
    }

    #[test]
    fn windows_names() {
        for name in [
            "CON", "nul.txt", "a:b", "dot.", "space ", "com1.png", "a\u{1}",
        ] {
            assert!(!windows_can_hold(name), "{name}");
        }
        for name in ["CONE", "a.b", "com.png", "company", "ä.png", "lpta"] {
            assert!(windows_can_hold(name), "{name}");
        }
    }

    /// The SplitMix64 generator.
    struct SplitMix(u64);

    impl SplitMix {
        fn next(&mut self) -> u64 {
            self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mut mixed = self.0;
            mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            mixed ^ (mixed >> 31)
        }

        fn below(&mut self, end: usize) -> usize {
            (self.next() % end as u64) as usize
        }

        /// Damages the bytes in one of several ways.
        fn damage(&mut self, bytes: &mut Vec<u8>) {
            for _ in 0..=self.below(4) {
                let at = self.below(bytes.len());
                match self.below(8) {
                    0 => bytes.truncate(at.max(1)),
                    1 => bytes.insert(at, self.next() as u8),
                    2 => bytes[at] = [0, 0xff, b'/', b'.', b'\\', b'7'][self.below(6)],
                    3 => {
                        let from = self.below(bytes.len());
                        bytes[at] = bytes[from];
                    }
                    _ => bytes[at] ^= 1 << self.below(8),
                }
            }
        }
    }

    fn survives_damage(seed: u64, archive: impl Fn(&mut SplitMix) -> Vec<u8>) {
        let place = Place::new();
        let limits = Limits {
            entries: 50,
            bytes: 1 << 20,
            file_bytes: 1 << 19,
            ratio: 100,
        };
        let mut random = SplitMix(seed);
        let mut taken = 0;
        for case in 0..3000 {
            let bytes = archive(&mut random);
            match place.extract_within(&bytes, &limits) {
                Ok(_) => {
                    taken += 1;
                    assert_eq!(place.listing(), ["bystander", "given", "into"], "{case}");
                    fs::remove_dir_all(place.path("into")).unwrap();
                }
                Err(error) => {
                    let message = error.to_string();
                    assert!(message.contains("given"), "{case}: {message}");
                    assert_eq!(kind_of(&error), Kind::Data, "{case}: {message}");
                }
            }
            place.assert_nothing_left();
        }
        // Damage that hits nothing of worth shows that the loop gets to the end at times.
        assert!(taken > 10 && taken < 3000, "{taken}");
    }

    #[test]
    fn damaged_zips_never_get_out() {
        let options = zip::write::SimpleFileOptions::default();
        let mut zip = zip::ZipWriter::new(io::Cursor::new(Vec::new()));
        zip.start_file("a/b.txt", options.large_file(true)).unwrap();
        zip.write_all(&b"some text ".repeat(30)).unwrap();
        let wide = zip.finish().unwrap().into_inner();
        let plain = zip_of(&[Zipped::new("x/y.png", &[9; 99]), Zipped::new("d/", b"")]);
        survives_damage(1, |random| {
            let mut bytes = [&wide, &plain][random.below(2)].clone();
            random.damage(&mut bytes);
            bytes
        });
    }

    fn small_tar() -> Vec<u8> {
        let mut tar = pax(&[("path", b"long/name.png"), ("size", b"4")]);
        tar.extend(tar_entry("short", b'0', b"data"));
        tar.extend(tar_entry("././@LongLink", b'L', b"other/long.png\0"));
        tar.extend(tar_entry("other", b'0', b"data"));
        tar.extend(tar_entry("folder/", b'5', b""));
        tar_end(tar)
    }

    /// Damages headers too where it matters: with a check sum that fits again.
    fn damaged_tar(random: &mut SplitMix) -> Vec<u8> {
        let mut tar = small_tar();
        if random.below(2) == 0 {
            random.damage(&mut tar);
            return tar;
        }
        for _ in 0..=random.below(2) {
            let block = [0, 1, 2, 4, 5, 6, 8][random.below(7)] * TAR_BLOCK;
            let fields = [0..20, 100..136, 156..160, 257..265, 345..350];
            let field = fields[random.below(5)].clone();
            let at = block + field.start + random.below(field.len());
            tar[at] = match random.below(3) {
                0 => b"/.\\07Lx5\0\x80"[random.below(10)],
                _ => tar[at] ^ 1 << random.below(8),
            };
            if block != TAR_BLOCK && block != 5 * TAR_BLOCK {
                fix_checksum(&mut tar[block..block + TAR_BLOCK]);
            }
        }
        tar
    }

    #[test]
    fn damaged_tars_never_get_out() {
        survives_damage(2, damaged_tar);
    }

    #[test]
    fn damaged_compressed_tars_never_get_out() {
        let packed = gzip(&small_tar());
        survives_damage(3, |random| {
            if random.below(2) == 0 {
                return gzip(&damaged_tar(random));
            }
            let mut bytes = packed.clone();
            random.damage(&mut bytes);
            bytes
        });
    }
}
