//! Unpacking of zip, tar and tar.gz files that strangers made.
//!
//! The crates `zip` and `tar` take the files apart, but nothing is unpacked by them: the format is
//! told from the first bytes and not from the file's name, every entry's name is checked here
//! before anything is created, bytes are counted while they are written, and the result appears
//! under its final name only when the whole archive was read. An archive is taken as a whole or
//! refused as a whole.

use crate::failure::{Kind, at_path, failure};
use crate::process::may_be_alive;
use anyhow::Result;
use sha2::{Digest, Sha256};
use std::cell::Cell;
use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io::{self, BufReader, ErrorKind, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use tar::EntryType;
use zip::CompressionMethod;
use zip::read::{ArchiveOffset, Config};
use zip::result::ZipError;

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
/// The most that is read of a tar file from one entry's data to the next one's: headers, long
/// names and pax records, which are held in memory.
const TAR_HEADER_BYTES: u64 = 1 << 20;
/// The most that is read of a zip file's directory for each entry allowed, on top of the same for
/// 65,536 entries: it is held in memory before its entries can be counted.
const ZIP_HEADER_BYTES: u64 = 256;
/// How many passed-over names are reported.
const REPORTED_NAMES: usize = 20;
/// A tar file is a sequence of blocks of this many bytes.
const TAR_BLOCK: u64 = 512;
/// The bytes that are read at once.
const BUFFER_BYTES: usize = 128 << 10;

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
    /// Anything else; what it is, and what to do about it.
    Other(&'static str),
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
        .is_ok_and(|format| !matches!(format, Format::Other(_)))
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
    let open = |error: io::Error| at_path(Kind::Data, "read the archive", archive, &error);
    let refuse = |what: &str| failure(Kind::Data, format!("{}: {what}", archive.display()));
    let metadata = fs::metadata(archive).map_err(open)?;
    if !metadata.is_file() {
        return Err(refuse(
            "not a regular file; give the path of a zip, tar or tar.gz file",
        ));
    }
    let file = File::open(archive).map_err(open)?;
    let format = recognize(&file).map_err(open)?;
    if let Format::Other(what) = format {
        return Err(refuse(what));
    }

    let target = Target::find(archive, into)?;
    target.remove_stale();
    let found = target.state()?;
    if found.as_deref() == Some("") {
        return Err(target.occupied());
    }
    let marker = marker_text(&file).map_err(open)?;
    match found {
        Some(found) if found != marker => return Err(target.occupied()),
        Some(_) => {
            return Ok(Extracted {
                already: true,
                ..Extracted::default()
            });
        }
        None => {}
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
        names: HashMap::from([(MARKER.to_owned(), (MARKER.into(), false))]),
        name_bytes: 0,
        entries: 0,
        counted: 0,
        done: Extracted::default(),
        place: "the start".to_owned(),
        buffer: vec![0; BUFFER_BYTES],
    };
    let reader = BufReader::with_capacity(BUFFER_BYTES, &file);
    match format {
        Format::Zip => unpacker.zip(&file)?,
        Format::TarGz => unpacker.tar(BufReader::with_capacity(
            BUFFER_BYTES,
            flate2::bufread::MultiGzDecoder::new(reader),
        ))?,
        _ => unpacker.tar(reader)?,
    }
    let mut done = unpacker.done;
    if done.files == 0 {
        return Err(refuse("holds no files; check that it is the right archive"));
    }
    // A download that is still running would leave a marker that fits no archive.
    let after = file.metadata().map_err(open)?;
    if after.len() != metadata.len() || after.modified().ok() != metadata.modified().ok() {
        return Err(refuse(
            "changed while it was unpacked; wait until it is written, then try again",
        ));
    }
    done.already = target.finish(&mut partial, &marker)?;
    Ok(done)
}

/// Tells the format from the first bytes, and leaves the file at its start.
fn recognize(mut file: &File) -> io::Result<Format> {
    let mut head = Vec::new();
    file.take(TAR_BLOCK).read_to_end(&mut head)?;
    file.seek(SeekFrom::Start(0))?;
    let starts = |magic: &[u8]| head.starts_with(magic);
    if starts(b"PK\x03\x04") || starts(b"PK\x05\x06") {
        return Ok(Format::Zip);
    }
    if starts(b"\x1f\x8b") {
        let mut inner = Vec::new();
        let decoder = flate2::read::MultiGzDecoder::new(file);
        let read = decoder.take(TAR_BLOCK).read_to_end(&mut inner);
        file.seek(SeekFrom::Start(0))?;
        return Ok(match read {
            Err(error) if error.raw_os_error().is_some() => return Err(error),
            Ok(_) if is_tar_header(&inner) => Format::TarGz,
            _ => Format::Other(
                "a gzip file that holds no tar archive, or is cut short; if it is a single \
                 compressed file, unpack it by hand, otherwise download it again",
            ),
        });
    }
    if is_tar_header(&head) {
        return Ok(Format::Tar);
    }
    let known = [
        &b"\xfd7zXZ\0"[..],
        b"BZh",
        b"\x28\xb5\x2f\xfd",
        b"7z\xbc\xaf\x27\x1c",
        b"Rar!",
        b"PK",
    ];
    Ok(Format::Other(if known.into_iter().any(starts) {
        "an archive of a kind that is not read here (xz, bzip2, zstd, 7z, rar or a zip file in \
         parts); unpack it by hand and give the folder instead"
    } else {
        "not a zip, tar or tar.gz file by its content; check the path, or download it again"
    }))
}

/// Whether the first block is a tar header, by its check sum: old tar files have no magic bytes.
fn is_tar_header(block: &[u8]) -> bool {
    let mut archive = tar::Archive::new(block);
    let first = archive.entries().ok().and_then(|all| all.raw(true).next());
    matches!(first, Some(Ok(_)))
}

/// Hashes the whole file and gives the marker's text for it; leaves the file at its start.
fn marker_text(mut file: &File) -> io::Result<String> {
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; 1 << 20];
    let mut bytes = 0u64;
    loop {
        let read = file.read(&mut buffer)?;
        if read == 0 {
            break;
        }
        hasher.update(&buffer[..read]);
        bytes += read as u64;
    }
    file.seek(SeekFrom::Start(0))?;
    let digest = hasher.finalize();
    let hex: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    Ok(format!("sha256 {hex}\nbytes {bytes}\n"))
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
    /// Parents that did not exist before, the innermost first.
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
        for parent in &self.made {
            let _ = fs::remove_dir(parent);
        }
    }
}

impl<'a> Target<'a> {
    fn find(archive: &'a Path, into: &Path) -> Result<Self> {
        let usage = |what: &str| failure(Kind::Usage, format!("{}: {what}", into.display()));
        let mut into = into.to_path_buf();
        if fs::symlink_metadata(&into).is_ok() {
            into = fs::canonicalize(&into)
                .map_err(|_| usage("a link that leads nowhere; remove it or choose another"))?;
            if !into.is_dir() {
                return Err(usage(
                    "not a folder; remove it or choose another place to unpack to",
                ));
            }
        }
        let Some(name) = into.file_name() else {
            return Err(usage(
                "cannot unpack here; choose a folder with a name of its own",
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

    /// The marker's text in the target folder: empty if it holds anything else, `None` if the
    /// folder is missing or empty.
    fn state(&self) -> Result<Option<String>> {
        match fs::read_dir(&self.into).map(|mut entries| entries.next().is_none()) {
            Ok(true) => return Ok(None),
            Ok(false) => {}
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(at_path(Kind::Disk, "look into", &self.into, &error)),
        }
        let path = self.into.join(MARKER);
        let mut text = String::new();
        if fs::symlink_metadata(&path).is_ok_and(|metadata| metadata.is_file()) {
            let file = File::open(&path);
            if file
                .and_then(|file| file.take(256).read_to_string(&mut text))
                .is_err()
            {
                text.clear();
            }
        }
        Ok(Some(text))
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
        let Ok(siblings) = fs::read_dir(&self.parent) else {
            return;
        };
        for sibling in siblings.flatten() {
            let Some(process) = partial_process(&self.prefix, &sibling.file_name()) else {
                continue;
            };
            let folder = sibling.file_type().is_ok_and(|kind| kind.is_dir());
            if folder && !may_be_alive(process) {
                let _ = fs::remove_dir_all(sibling.path());
            }
        }
    }

    /// Makes the folder to work in, and the target's parents where they are missing.
    fn start(&self) -> Result<Partial> {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let problem = |path: &Path, error| at_path(Kind::Disk, "make the folder", path, &error);
        let ancestors = self.parent.ancestors();
        let missing = ancestors.filter(|path| *path != Path::new("") && !path.exists());
        let mut partial = Partial {
            folder: PathBuf::new(),
            made: missing.map(Path::to_path_buf).collect(),
            keep: false,
        };
        fs::create_dir_all(&self.parent).map_err(|error| problem(&self.parent, error))?;
        loop {
            let number = NUMBER.fetch_add(1, Ordering::Relaxed);
            let mut name = self.prefix.clone();
            name.push(format!("{}-{number}", std::process::id()));
            let folder = self.parent.join(name);
            match fs::create_dir(&folder) {
                Ok(()) => {
                    partial.folder = folder;
                    return Ok(partial);
                }
                // Left by an earlier process of the same number.
                Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
                Err(error) => return Err(problem(&folder, error)),
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
            Some(found) if found == marker => Ok(true),
            Some(_) => Err(self.occupied()),
            None => {
                let action = format!("move the unpacked {} to", self.archive.display());
                Err(at_path(Kind::Disk, &action, &self.into, &error))
            }
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

/// A reader that fails once too many bytes came through.
struct Metered<'a, R> {
    inner: R,
    /// What may still be read in the present stage of the work.
    stage: &'a Cell<u64>,
    /// What may still be read at all.
    total: u64,
    /// Whether the end was met.
    ended: bool,
}

impl<R: Read> Read for Metered<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = loop {
            match self.inner.read(buffer) {
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                read => break read?,
            }
        };
        self.ended |= read == 0 && !buffer.is_empty();
        let over = |what| io::Error::new(ErrorKind::QuotaExceeded, what);
        let left = self.total.checked_sub(read as u64);
        self.total = left
            .ok_or_else(|| over("unpacks to far more than its packed size or the limits allow"))?;
        let left = self.stage.get().checked_sub(read as u64);
        self.stage.set(
            left.ok_or_else(|| {
                over("its headers are larger than any that are made in good faith")
            })?,
        );
        Ok(read)
    }
}

impl<R: Seek> Seek for Metered<'_, R> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.inner.seek(to)
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

/// What strangers wrote, escaped and in a bearable length.
fn shown(text: &str) -> String {
    text.chars()
        .take(300)
        .flat_map(char::escape_debug)
        .collect()
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
    /// The names made so far, by their lower case: as written, and whether it is a folder.
    names: HashMap<String, (Box<str>, bool)>,
    name_bytes: usize,
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
        let what = format!("cannot be unpacked ({})", shown(&error.to_string()));
        match error.kind() {
            ErrorKind::QuotaExceeded => self.refuse(&error.to_string(), BY_HAND),
            ErrorKind::UnexpectedEof => self.refuse("the archive is cut short", AGAIN),
            // So the system answers to a position that no file has.
            ErrorKind::InvalidInput => self.refuse(&what, AGAIN),
            _ if error.raw_os_error().is_some() => {
                let action = format!("read {} of", self.place);
                at_path(Kind::Disk, &action, self.archive, error)
            }
            _ => self.refuse(&what, AGAIN),
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
        self.place = format!("entry \"{}\"", shown(name));
    }

    fn check_entries(&self, count: usize) -> Result<()> {
        if count <= self.limits.entries {
            return Ok(());
        }
        let most = self.limits.entries;
        Err(self.refuse(&format!("more than {most} files and folders"), BY_HAND))
    }

    /// Refuses an entry that is something else than a file or folder.
    fn check_plain(&self, what: &str) -> Result<()> {
        if what.is_empty() {
            return Ok(());
        }
        let what = format!("{what}, and only plain files and folders are taken");
        Err(self.refuse(&what, BY_HAND))
    }

    /// The most bytes that `packed` bytes may unpack to.
    fn most_for(&self, packed: u64) -> u64 {
        packed
            .saturating_mul(self.limits.ratio)
            .max(RATIO_FREE_BYTES)
    }

    /// Checks an entry's name against the rules and all names before it, and makes its folders.
    /// `None` if nothing is to be written for it: a folder, or clutter.
    fn place_entry(&mut self, raw: &str, folder: bool) -> Result<Option<PathBuf>> {
        self.entries += 1;
        self.check_entries(self.entries)?;
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
        for (slash, _) in name.match_indices('/') {
            self.make_folder(&name[..slash])?;
        }
        if folder {
            self.make_folder(&name)?;
            return Ok(None);
        }
        self.note_name(&name, false)?;
        Ok(Some(self.root.join(name)))
    }

    /// Notes a name that is made; true if it is new.
    fn note_name(&mut self, name: &str, folder: bool) -> Result<bool> {
        let lower = name.to_lowercase();
        if let Some((other, other_folder)) = self.names.get(&lower) {
            if folder && *other_folder && **other == *name {
                return Ok(false);
            }
            let what = format!(
                "{name:?} and {other:?} are the same name, or differ in case only, and cannot both \
                 be made"
            );
            return Err(self.refuse(&what, BY_HAND));
        }
        self.name_bytes += lower.len() + name.len();
        if self.name_bytes > ALL_NAME_BYTES {
            return Err(self.refuse("the names need too much memory", BY_HAND));
        }
        self.names.insert(lower, (name.into(), folder));
        // One of the names is the marker's.
        self.check_entries(self.names.len() - 1)?;
        Ok(true)
    }

    fn make_folder(&mut self, name: &str) -> Result<()> {
        if self.note_name(name, true)? {
            let path = self.root.join(name);
            fs::create_dir(&path).map_err(|error| self.unwritable(&path, &error))?;
        }
        Ok(())
    }

    /// Copies everything that `reader` gives to a new file at `path`, or only counts it where
    /// there is no path. `size` is what the archive claims, and `most` what the entry's packed
    /// size allows.
    fn copy(
        &mut self,
        reader: &mut dyn Read,
        path: Option<&Path>,
        size: u64,
        most: u64,
    ) -> Result<()> {
        let mut file = None;
        if let Some(path) = path {
            let created = File::options().write(true).create_new(true).open(path);
            let created = created.map_err(|error| self.unwritable(path, &error))?;
            file = Some((created, path));
        }
        let mut bytes = 0u64;
        loop {
            let read = match reader.read(&mut self.buffer) {
                Ok(0) => break,
                Ok(read) => read,
                Err(error) => return Err(self.unreadable(&error)),
            };
            bytes += read as u64;
            self.counted += read as u64;
            let Limits {
                bytes: all_bytes,
                file_bytes,
                ratio,
                ..
            } = *self.limits;
            if bytes > file_bytes || self.counted > all_bytes {
                let what = format!(
                    "more than {file_bytes} bytes in one file or {all_bytes} in all when unpacked"
                );
                return Err(self.refuse(&what, BY_HAND));
            }
            if bytes > most || self.counted > self.most_for(self.packed) {
                let what = format!("unpacks to more than {ratio} times its packed size");
                return Err(self.refuse(&what, BY_HAND));
            }
            if let Some((file, path)) = &mut file {
                let written = file.write_all(&self.buffer[..read]);
                written.map_err(|error| self.unwritable(path, &error))?;
                self.done.bytes += read as u64;
                (self.progress)(self.done.files, self.done.bytes);
            }
        }
        if bytes != size {
            let what = format!("cut short: unpacks to {bytes} bytes but claims {size}");
            return Err(self.refuse(&what, AGAIN));
        }
        if file.is_some() {
            self.done.files += 1;
            (self.progress)(self.done.files, self.done.bytes);
        }
        Ok(())
    }

    fn tar(&mut self, reader: impl Read) -> Result<()> {
        let stage = Cell::new(0);
        let headers = (self.limits.entries as u64).saturating_mul(8 * TAR_BLOCK);
        let limit = self.limits.bytes.saturating_add(headers);
        let mut archive = tar::Archive::new(Metered {
            inner: reader,
            stage: &stage,
            total: self
                .most_for(self.packed)
                .min(limit.saturating_add(RATIO_FREE_BYTES)),
            ended: false,
        });
        let mut entries = archive.entries().map_err(|error| self.unreadable(&error))?;
        loop {
            // Long names and pax records are read into memory before they can be looked at.
            stage.set(TAR_HEADER_BYTES);
            let Some(entry) = entries.next() else {
                break;
            };
            let mut entry = entry.map_err(|error| self.unreadable(&error))?;
            self.tar_entry(&mut entry, &stage)?;
            self.place = format!("after {}", self.place);
        }
        let mut rest = archive.into_inner();
        if rest.ended {
            return Err(self.refuse("the archive is cut short", AGAIN));
        }
        // Only padding may follow. A compressed file's last check sum is looked at on the way.
        stage.set(u64::MAX);
        self.place = "after the last entry".to_owned();
        loop {
            match rest.read(&mut self.buffer) {
                Ok(0) => return Ok(()),
                Ok(read) if self.buffer[..read].iter().all(|byte| *byte == 0) => {}
                Ok(_) => return Err(self.refuse("other bytes follow its end", AGAIN)),
                Err(error) => return Err(self.unreadable(&error)),
            }
        }
    }

    fn tar_entry(
        &mut self,
        entry: &mut tar::Entry<'_, impl Read>,
        stage: &Cell<u64>,
    ) -> Result<()> {
        let name = entry.path_bytes().into_owned();
        self.at_entry(&String::from_utf8_lossy(&name));
        let Ok(name) = String::from_utf8(name) else {
            return Err(self.refuse("the name is not UTF-8 text", BY_HAND));
        };
        let kind = entry.header().entry_type();
        if kind == EntryType::XGlobalHeader {
            // A comment on the whole archive; nothing in it is used.
            self.entries += 1;
            return self.check_entries(self.entries);
        }
        let sparse = |key: &[u8]| key.starts_with(b"GNU.sparse.");
        let mut records = entry.pax_extensions().ok().flatten().into_iter().flatten();
        let what = match kind {
            _ if records.any(|record| record.is_ok_and(|pair| sparse(pair.key_bytes()))) => {
                "a sparse file"
            }
            EntryType::Regular | EntryType::Continuous | EntryType::Directory => "",
            EntryType::Link | EntryType::Symlink => "a link",
            EntryType::Char | EntryType::Block | EntryType::Fifo => "a device or pipe",
            EntryType::GNUSparse => "a sparse file",
            _ => "an entry of an unknown type",
        };
        self.check_plain(what)?;
        // Before there was a type for folders, a slash at the end made one.
        let folder = kind == EntryType::Directory || name.ends_with(['/', '\\']);
        let size = entry.size();
        if folder && size != 0 {
            return Err(self.refuse("a folder with content of its own", BY_HAND));
        }
        let path = self.place_entry(&name, folder)?;
        if folder {
            return Ok(());
        }
        stage.set(u64::MAX);
        self.copy(entry, path.as_deref(), size, u64::MAX)
    }

    /// Tells what the zip reader complains about.
    fn zip_problem(&self, error: &ZipError) -> anyhow::Error {
        match error {
            ZipError::Io(error) => self.unreadable(error),
            error => self.refuse(&shown(&error.to_string()), AGAIN),
        }
    }

    fn zip(&mut self, file: &File) -> Result<()> {
        self.place = "the directory at its end".to_owned();
        let allowed = (self.limits.entries as u64).saturating_add(1 << 16);
        let stage = Cell::new(allowed.saturating_mul(ZIP_HEADER_BYTES));
        let reader = Metered {
            inner: file,
            stage: &stage,
            total: u64::MAX,
            ended: false,
        };
        // Small files lie close together, but each is looked for anew.
        let reader = BufReader::with_capacity(16 << 10, reader);
        let config = Config {
            archive_offset: ArchiveOffset::Known(0),
        };
        let zip = zip::ZipArchive::with_config(config, reader);
        let mut zip = zip.map_err(|error| self.zip_problem(&error))?;
        stage.set(u64::MAX);
        self.check_entries(zip.len())?;
        if zip.has_duplicate_names() {
            return Err(self.refuse("two entries have the same name", BY_HAND));
        }
        // In the order of the bytes, so that the disk is read once and overlaps show.
        let directory = zip.metadata();
        let mut order: Vec<usize> = (0..zip.len()).collect();
        let start = |index: &usize| {
            directory
                .entry(*index)
                .map_or(0, |entry| entry.header_start())
        };
        order.sort_by_key(start);
        let mut position = 0;
        for index in order {
            let entry = directory.entry(index);
            let entry = entry.map_err(|error| self.zip_problem(&error))?;
            // Many programs write UTF-8 without saying so.
            let name = match std::str::from_utf8(entry.name_raw()) {
                Ok(name) => name.into(),
                Err(_) => entry.name().map_err(|error| self.zip_problem(&error))?,
            };
            self.at_entry(&name);
            let folder = self.check_zip_entry(&entry, &name)?;
            if entry.header_start() < position {
                return Err(self.refuse("shares bytes with another entry", BY_HAND));
            }
            let data = zip.by_index(index);
            let mut data = data.map_err(|error| self.zip_problem(&error))?;
            let path = self.place_entry(&name, folder)?;
            let packed = data.compressed_size();
            position = data.data_start().unwrap_or(0).saturating_add(packed);
            if !folder {
                let most = self.most_for(packed);
                self.copy(&mut data, path.as_deref(), entry.size(), most)?;
            }
        }
        Ok(())
    }

    /// Whether the entry is a folder; an error if it is neither that nor a plain file.
    fn check_zip_entry(&self, entry: &zip::read::ZipFileEntry<'_>, name: &str) -> Result<bool> {
        const FOLDER: u32 = 0o040_000;
        let kind = entry.external_attributes() >> 16 & 0o170_000;
        let what = match kind {
            0 | 0o100_000 | FOLDER => "",
            0o120_000 => "a link",
            0o010_000 | 0o020_000 | 0o060_000 => "a device or pipe",
            _ => "an entry of an unknown type",
        };
        self.check_plain(what)?;
        if entry.encrypted() {
            let fix = "unpack it by hand with its password and give the folder instead";
            return Err(self.refuse("it is encrypted", fix));
        }
        let method = entry.compression();
        if !matches!(
            method,
            CompressionMethod::Stored | CompressionMethod::Deflated
        ) {
            let what = format!("packed with {method}, which is not read here");
            let fix = "unpack it by hand, or pack it again with the common method Deflate";
            return Err(self.refuse(&what, fix));
        }
        let dos_folder = kind == 0 && entry.external_attributes() & 0x10 != 0;
        let folder = kind == FOLDER || dos_folder || name.ends_with(['/', '\\']);
        if folder && entry.size() != 0 {
            return Err(self.refuse("a folder with content of its own", BY_HAND));
        }
        Ok(folder)
    }
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
            // In memory, where the system has such a folder: thousands of cases wait for a disk.
            let memory = Path::new("/dev/shm");
            let folder = if memory.is_dir() {
                tempfile::tempdir_in(memory)
            } else {
                tempfile::tempdir()
            };
            let folder = folder.unwrap();
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
        let mut block = vec![0u8; 512];
        block[..name.len()].copy_from_slice(name);
        block[100..107].copy_from_slice(b"0004777");
        block[124..124 + size.len()].copy_from_slice(size);
        block[156] = kind;
        block[257..265].copy_from_slice(b"ustar\x0000");
        fix_checksum(&mut block);
        block.extend_from_slice(data);
        block.resize(block.len().next_multiple_of(512), 0);
        block
    }

    fn fix_checksum(block: &mut [u8]) {
        block[148..156].fill(b' ');
        let sum: u32 = block[..512].iter().map(|byte| u32::from(*byte)).sum();
        block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    }

    fn tar_entry(name: &str, kind: u8, data: &[u8]) -> Vec<u8> {
        let size = format!("{:011o}", data.len());
        tar_raw(name.as_bytes(), kind, size.as_bytes(), data)
    }

    fn tar_end(mut entries: Vec<u8>) -> Vec<u8> {
        entries.resize(entries.len() + 1024, 0);
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

    fn zip_of(entries: &[Zipped]) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut directory = Vec::new();
        for entry in entries {
            let offset = entry.offset.unwrap_or(bytes.len() as u32);
            let mut common = Vec::new();
            for number in [20, entry.flags, entry.method, 0, 0x21] {
                common.extend(number.to_le_bytes());
            }
            for number in [entry.sum, entry.packed.len() as u32, entry.size] {
                common.extend(number.to_le_bytes());
            }
            common.extend((entry.name.len() as u32).to_le_bytes());
            bytes.extend([b"PK\x03\x04", common.as_slice(), &entry.name, &entry.packed].concat());
            directory.extend([b"PK\x01\x02\x14\x03", common.as_slice(), &[0; 6]].concat());
            directory.extend((entry.mode << 16).to_le_bytes());
            directory.extend([&offset.to_le_bytes(), entry.name.as_slice()].concat());
        }
        let start = bytes.len() as u32;
        bytes.extend([directory.as_slice(), b"PK\x05\x06\0\0\0\0"].concat());
        bytes.extend([entries.len() as u16; 2].map(u16::to_le_bytes).concat());
        bytes.extend(
            [directory.len() as u32, start]
                .map(u32::to_le_bytes)
                .concat(),
        );
        bytes.extend([0, 0]);
        bytes
    }

    /// The same files in every format.
    fn all_formats(names: &[&str]) -> [Vec<u8>; 3] {
        let tar = tar_of(names);
        let zipped: Vec<Zipped> = names
            .iter()
            .map(|name| Zipped::new(name, b"data"))
            .collect();
        [zip_of(&zipped), gzip(&tar), tar]
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
    fn names_are_read_alike() {
        let long = format!("{}/ä.png", "long".repeat(40));
        let path = format!("{} path={long}\n", long.len() + 10);
        let mut tar = tar_entry("global", b'g', b"20 comment=whatever\n");
        tar.extend(tar_entry(
            "pax",
            b'x',
            &[path.as_bytes(), b"9 size=4\n"].concat(),
        ));
        tar.extend(tar_raw(b"short", b'0', b"00000000000", b"data"));
        let mut prefixed = tar_entry("name.png", b'0', b"data");
        prefixed[345..351].copy_from_slice(b"prefix");
        fix_checksum(&mut prefixed);
        tar.extend(prefixed);
        let place = Place::new();
        assert_eq!(place.extract(&tar_end(tar)).unwrap().files, 2);
        assert_eq!(place.read(&long), b"data");
        assert_eq!(place.read("prefix/name.png"), b"data");

        let named = |name: &[u8]| Zipped::new("", b"data").with(|entry| entry.name = name.to_vec());
        let place = Place::new();
        place
            .extract(&zip_of(&[named(b"\x84\xe1.png"), named("ö".as_bytes())]))
            .unwrap();
        assert_eq!(place.read("äß.png"), b"data");
        assert_eq!(place.read("ö"), b"data");
        let bad = tar_end(tar_raw(b"\xff.png", b'0', b"0", b""));
        assert_refused(&bad, &["UTF-8", "unpack it by hand"]);
        for archive in all_formats(&["a//b/./c"])
            .iter()
            .chain(&all_formats(&["a\\b\\c"]))
        {
            let place = Place::new();
            place.extract(archive).unwrap();
            assert_eq!(place.read("a/b/c"), b"data");
        }
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
            (".archive", "same name"),
            (".ARCHIVE/x", "same name"),
            (".", "without a name"),
        ] {
            let mut tar = tar_entry("good", b'0', b"data");
            if name.len() > 100 {
                tar.extend(tar_entry("././@LongLink", b'L', name.as_bytes()));
            }
            tar.extend(tar_entry(&name[..name.len().min(100)], b'0', b"data"));
            let tar = tar_end(tar);
            let zip = zip_of(&[Zipped::new("good", b"data"), Zipped::new(name, b"data")]);
            for archive in [zip, gzip(&tar), tar] {
                assert_refused(&archive, &[what, "entry", "unpack it by hand"]);
            }
        }
        assert_refused(&zip_of(&[Zipped::new("a\0b", b"data")]), &["NUL", "a\\0b"]);
        let nul = tar_entry("long", b'L', b"a\0b");
        assert_refused(&[nul, tar_of(&["a"])].concat(), &["NUL", "a\\0b"]);
    }

    #[test]
    fn names_that_clash_are_refused() {
        for names in [
            ["a/x", "a/x"],
            ["a/x", "a//x"],
            ["a/x", "a/X"],
            ["a/x", "A/y"],
            ["Ärger", "ärger"],
            ["a", "a/x"],
            ["a/x", "a"],
        ] {
            for archive in all_formats(&names) {
                assert_refused(&archive, &["same name", "unpack it by hand"]);
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
            (b'1', 0o120_777, "a link"),
            (b'2', 0o120_777, "a link"),
            (b'3', 0o020_644, "device"),
            (b'4', 0o060_644, "device"),
            (b'6', 0o010_644, "pipe"),
            (b'S', 0, "sparse"),
            (b'V', 0o140_644, "unknown type"),
        ] {
            let good = tar_entry("good", b'0', b"data");
            let tar = tar_end([good, tar_entry("bad", kind, b"")].concat());
            assert_refused(&gzip(&tar), &[what]);
            assert_refused(&tar, &[what]);
            if mode != 0 {
                let bad = Zipped::new("bad", b"/etc").with(|entry| entry.mode = mode);
                let zip = zip_of(&[Zipped::new("good", b""), bad]);
                assert_refused(&zip, &["\"bad\"", what, "unpack it by hand"]);
            }
        }
        let sparse = tar_entry("pax", b'x', b"22 GNU.sparse.major=1\n");
        assert_refused(&[sparse, tar_of(&["x"])].concat(), &["sparse"]);
        let folder = tar_end(tar_entry("a/", b'5', b"data"));
        assert_refused(&folder, &["folder with content"]);
        assert_refused(
            &zip_of(&[Zipped::new("a/", b"data")]),
            &["folder with content"],
        );
        let bad = |flags, method| {
            let change = |entry: &mut Zipped| (entry.flags, entry.method) = (flags, method);
            zip_of(&[Zipped::new("bad", b"data").with(change)])
        };
        assert_refused(&bad(1, 8), &["\"bad\"", "encrypted", "password"]);
        for method in [9, 12, 14, 93, 97] {
            assert_refused(&bad(0, method), &["\"bad\"", "packed with", "Deflate"]);
        }
    }

    #[test]
    fn damaged_and_lying_zips_are_refused() {
        let good = || Zipped::new("x.png", b"some data, some data");
        type Change = fn(&mut Zipped);
        let changes: [(Change, &str); 8] = [
            (|entry| entry.sum ^= 1, "checksum"),
            (|entry| entry.size += 1, "claims 21"),
            (|entry| entry.size -= 1, "declared uncompressed size"),
            (|entry| entry.size = u32::MAX, "given"),
            (|entry| entry.packed.truncate(9), "\"x.png\""),
            (|entry| entry.packed[0] = 7, "\"x.png\""),
            (|entry| entry.offset = Some(5), "local file header"),
            (|entry| entry.offset = Some(9999), "Unexpected end"),
        ];
        for (change, what) in changes {
            let archive = zip_of(&[good().with(change)]);
            assert_refused(&archive, &[what, "download it again"]);
        }
        let whole = zip_of(&[good()]);
        for length in 4..whole.len() {
            let place = Place::new();
            assert!(place.extract(&whole[..length]).is_err(), "{length}");
            place.assert_nothing_left();
        }
        // Two entries that share their bytes are how the tightest archive bombs are made.
        let twin = Zipped::new("y.png", b"some data, some data");
        let twin = twin.with(|entry| entry.offset = Some(0));
        assert_refused(&zip_of(&[good(), twin]), &["shares bytes"]);
        assert_refused(&zip_of(&[]), &["no files"]);
    }

    #[test]
    fn damaged_and_lying_tars_are_refused() {
        let again = |archive: &[u8], what| assert_refused(archive, &[what, "download it again"]);
        let whole = tar_of(&["x.png"]);
        for length in [512, 513, 600, 1024, 1200] {
            again(&whole[..length], "given");
            again(&gzip(&whole[..length]), "given");
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
            again(&[packed.as_slice(), tail].concat(), "given");
        }
        let mut sum = packed.clone();
        let at = sum.len() - 8;
        sum[at] ^= 1;
        again(&sum, "after the last entry");
        let wide = b"\x80\0\0\0\x7f\xff\xff\xff\xff\xff\xff\xff";
        for size in [&b"77777777777"[..], wide, b"4x", b"-1", &[0xff; 12]] {
            again(&tar_end(tar_raw(b"x", b'0', size, b"data")), "given");
        }
        // The second file's header would be read from inside of the first one's data.
        let inside = tar_raw(b"x", b'0', b"1", &[1; 600]);
        again(
            &tar_end([inside, tar_entry("y", b'0', b"")].concat()),
            "not a number",
        );
        let (pax, file) = (tar_entry("pax", b'x', b""), tar_entry("x", b'0', b""));
        again(
            &tar_end([file.clone(), pax.clone()].concat()),
            "no future member",
        );
        again(&tar_end([pax.clone(), pax, file].concat()), "two pax");
        // What is held in memory is bounded, however well it packs.
        for kind in [b'L', b'K', b'x', b'g'] {
            let long = tar_entry("long", kind, &vec![b'x'; 2 << 20]);
            let tar = tar_end([tar_entry("x", b'0', b""), long].concat());
            assert_refused(&gzip(&tar), &["headers", "unpack it by hand"]);
            let mut unmarked = tar_entry("long", kind, &vec![b'x'; 2 << 20]);
            unmarked[257..265].fill(0);
            fix_checksum(&mut unmarked);
            assert_refused(
                &gzip(&tar_end([unmarked, tar_of(&["x"])].concat())),
                &["hand"],
            );
        }
    }

    #[test]
    fn limits_stop_an_archive() {
        let limits = |entries, bytes, file_bytes| Limits {
            entries,
            bytes,
            file_bytes,
            ratio: 1000,
        };
        for archive in all_formats(&["a", "._b", "c"]) {
            let done = Place::new()
                .extract_within(&archive, &limits(3, 12, 4))
                .unwrap();
            assert_eq!((done.files, done.passed_over_count), (2, 1));
            assert_refused_within(&archive, &limits(3, 11, 4), &["11 in all", "\"c\""]);
            assert_refused_within(
                &archive,
                &limits(3, 12, 3),
                &["3 bytes in one file", "\"a\""],
            );
        }
        for names in [
            &["a", "b", "c", "d"][..],
            &["a/b/c/d"],
            &["._a", "._b", "._c", "d"],
        ] {
            for archive in all_formats(names) {
                let what = "more than 3 files and folders";
                assert_refused_within(&archive, &limits(3, 99, 99), &[what]);
            }
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
        let noise: Vec<u8> = (0..1 << 20).map(|_| random.next() as u8).collect();
        let stored = Zipped::new("a", &noise).with(|entry| {
            entry.method = 0;
            entry.packed = noise.clone();
        });
        let zip = zip_of(&[stored, Zipped::new("b", &zeros)]);
        assert_refused_within(&zip, &tight, &["\"b\"", "100 times"]);
        // Endless padding after the last entry writes nothing, but takes time.
        let padded = [tar_of(&["x"]), zeros.clone()].concat();
        assert_refused_within(&gzip(&padded), &tight, &["packed size"]);
        let fair = zip_of(&[Zipped::new("a", part)]);
        assert_eq!(Place::new().extract(&fair).unwrap().files, 1);
    }

    #[test]
    fn clutter_is_passed_over() {
        let names = [
            "__MACOSX/._x.png",
            "a/.DS_Store",
            "a/Thumbs.db",
            "._y",
            "a/x.png",
        ];
        for archive in all_formats(&names) {
            let place = Place::new();
            let done = place.extract(&archive).unwrap();
            assert_eq!((done.files, done.passed_over_count), (1, 4));
            assert_eq!(done.passed_over, names[..4]);
            assert!(!place.path("into/__MACOSX").exists());
        }
    }

    #[test]
    fn the_content_tells_what_is_an_archive() {
        let place = Place::new();
        let [zip, packed, tar] = all_formats(&["x"]);
        for (bytes, what) in [
            (&b"plain text"[..], "by its content"),
            (b"", "by its content"),
            (&[0; 1024], "by its content"),
            (&gzip(b"an idx file"), "holds no tar"),
            (&gzip(b""), "holds no tar"),
            (b"\xfd7zXZ\0", "xz"),
            (b"Rar!\x1a\x07\x01", "rar"),
            (&tar, ""),
            (&packed, ""),
            (&zip, ""),
        ] {
            fs::write(place.path("given"), bytes).unwrap();
            assert_eq!(is_archive(&place.path("given")), what.is_empty());
            if !what.is_empty() {
                assert_refused(bytes, &[what]);
            }
        }
        for path in [place.path("missing"), place.folder.path().to_path_buf()] {
            assert!(!is_archive(&path));
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
    fn whatever_fails_leaves_nothing() {
        let place = Place::new();
        let (given, limits) = (place.path("given"), Limits::default());
        fs::write(&given, tar_of(&["x", "x"])).unwrap();
        let into = place.path("new/deep/into");
        assert!(extract(&given, &into, &limits, &mut |_, _| {}).is_err());
        place.assert_nothing_left();
        fs::write(&given, tar_of(&["x"])).unwrap();
        let mut grow = |_, _| {
            let mut file = File::options().append(true).open(&given).unwrap();
            file.write_all(&[0; 512]).unwrap();
        };
        let error = extract(&given, &place.path("into"), &limits, &mut grow).unwrap_err();
        assert!(error.to_string().contains("changed"));
        place.assert_nothing_left();
        let outcome = std::panic::catch_unwind(|| {
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

    /// Damages headers too where it matters: with a check sum that fits again.
    fn damaged_tar(random: &mut SplitMix) -> Vec<u8> {
        let mut tar = tar_entry("pax", b'x', b"22 path=long/name.png\n9 size=4\n");
        tar.extend(tar_entry("short", b'0', b"data"));
        tar.extend(tar_entry("././@LongLink", b'L', b"other/long.png\0"));
        tar.extend(tar_entry("other", b'0', b"data"));
        let mut tar = tar_end([tar, tar_entry("folder/", b'5', b"")].concat());
        if random.below(2) == 0 {
            random.damage(&mut tar);
            return tar;
        }
        for _ in 0..=random.below(2) {
            let block = [0, 1, 2, 4, 5, 6, 8][random.below(7)] * TAR_BLOCK as usize;
            let fields = [0..20, 100..136, 156..160, 257..265, 345..350];
            let field = fields[random.below(5)].clone();
            let at = block + field.start + random.below(field.len());
            tar[at] = match random.below(3) {
                0 => b"/.\\07Lx5\0\x80"[random.below(10)],
                _ => tar[at] ^ 1 << random.below(8),
            };
            if ![1, 5].contains(&(block / TAR_BLOCK as usize)) {
                fix_checksum(&mut tar[block..]);
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
        survives_damage(3, |random| {
            let mut bytes = gzip(&damaged_tar(random));
            if random.below(2) == 0 {
                random.damage(&mut bytes);
            }
            bytes
        });
    }
}
