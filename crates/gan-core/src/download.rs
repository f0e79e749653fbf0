//! Fetching dataset and weight files: mirrors, resuming after a cut, checksums, and no half files.
//!
//! Bytes go first into a folder of this process's own beside the target, named
//! `.<file>.part-<pid>-<n>`:
//!
//! - `data` holds the bytes so far, and is locked for as long as a process writes to it;
//! - `state` (small text) holds what is needed to go on later: the address, the strong `ETag`, the
//!   total size and the machine's boot. It exists only where the site made resuming possible.
//!
//! A part whose `data` nobody has locked belongs to a process that has ended (killed or not): the
//! next download of the same target takes it over by renaming the folder to a name of its own, or
//! removes it. The lock rather than the process number decides, because process numbers repeat
//! (in containers nearly always); the number is asked only on file systems without locks. The
//! end is always the same: the bytes are flushed to the disk, then renamed once onto the target.
//!
//! Everything here blocks, and must not be called from inside an asynchronous runtime.

use std::fmt::Write as _;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{ErrorKind, Read, Seek, SeekFrom, Write};
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use reqwest::blocking::{Client, Response};
use reqwest::header::{self, HeaderMap, HeaderName};
use reqwest::{StatusCode, Url};
use sha2::{Digest, Sha256};

use crate::failure::{Kind, at_path, failure};
use crate::process::may_be_alive;

/// The most redirects that are followed for one request.
const MOST_REDIRECTS: usize = 5;
/// How many bytes are read and written at once.
const BUFFER_BYTES: usize = 64 * 1024;
/// How many bytes are looked at to tell a web page from a file.
const SNIFFED_BYTES: usize = 512;
/// An attempt that brought the part this many bytes further gives back the attempts used before:
/// a long file over a line that breaks now and then still arrives.
const WORTHWHILE_BYTES: u64 = 1024 * 1024;
/// The first line of a part's `state` file; another first line means another layout.
const STATE_LAYOUT: &str = "download state 1";

/// A file to fetch, and everything that is known about it beforehand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remote {
    /// The file's name, for messages.
    pub file: String,
    /// Where it can be fetched, tried in this order. `https` only; plain `http` is accepted with a
    /// known `sha256`, or to this machine itself.
    pub mirrors: Vec<String>,
    /// The file's SHA-256 sum in hexadecimal (64 digits, either case), where known.
    pub sha256: Option<String>,
    /// The file's exact size in bytes, where known.
    pub bytes: Option<u64>,
    /// The most bytes to accept, whatever a site announces.
    pub most_bytes: u64,
    /// A sentence that says where a person gets the file when every mirror fails.
    pub by_hand: String,
}

/// How long to wait for a site, and how often to ask again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patience {
    /// The longest wait for a connection (TCP and TLS).
    pub connect: Duration,
    /// The longest wait for an answer's head, and then for each further piece of the body.
    pub read: Duration,
    /// How often each mirror is asked; 0 counts as 1. An attempt that resumes and gets at least
    /// 1 MiB further starts the count again.
    pub attempts: u32,
    /// The pause after the first failed attempt; doubled after each further one.
    pub pause: Duration,
    /// The longest pause, also where a site asks for a longer one (`Retry-After`).
    pub most_pause: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(20),
            read: Duration::from_secs(30),
            attempts: 5,
            pause: Duration::from_secs(1),
            most_pause: Duration::from_secs(60),
        }
    }
}

/// A file that is now in its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Downloaded {
    /// The file's SHA-256 sum, 64 lower-case hexadecimal digits.
    pub sha256: String,
    /// The file's size in bytes.
    pub bytes: u64,
    /// Whether the file was there already, so that this call fetched nothing (or another process
    /// put it there first).
    pub already: bool,
    /// Whether the file was compared with a sum known before this call, given in
    /// [`Remote::sha256`] or recorded in `<target>.sha256` by an earlier one. `false` means that
    /// the sum was seen for the first time, and is recorded now.
    pub was_known: bool,
}

/// Fetches `remote` to `target`, or checks the file that is already there.
///
/// `progress` is called with the bytes so far and the total, where known, after every piece; the
/// count falls back to zero when a download has to start again.
///
/// Where no sum is given, the sum of the first download is recorded in `<target>.sha256`, in the
/// format of the `sha256sum` tool, and compared from then on.
///
/// A file that arrives whole with another sum is kept as `<target>.bad`, in place of an earlier
/// one.
///
/// # Errors
///
/// - [`Kind::Download`] when every mirror failed; the message has one line for each, then says how
///   to get the file by hand. What arrived so far is kept, where it can be resumed.
/// - [`Kind::Data`] when `target` exists with another sum or size, or the recorded sum cannot be
///   read. Neither is ever overwritten.
/// - [`Kind::Disk`] when the disk is full or cannot be written.
/// - [`Kind::Usage`] when `target` has no file name or `remote.sha256` is not a SHA-256 sum.
pub fn download(
    remote: &Remote,
    target: &Path,
    patience: &Patience,
    progress: &mut dyn FnMut(u64, Option<u64>),
) -> anyhow::Result<Downloaded> {
    let place = Place::of(target)?;
    let expected = Expected::of(remote, &place)?;
    if place.is_taken()? {
        let found = check_present(remote, &place, expected.as_ref())?;
        place.remove_abandoned_parts();
        return Ok(found);
    }
    fs::create_dir_all(&place.folder)
        .map_err(|error| at_path(Kind::Disk, "create the folder", &place.folder, &error))?;

    let mut fetch = Fetch {
        remote,
        patience,
        place: &place,
        expected: expected.as_ref(),
        clients: Clients::new(patience),
        progress,
    };
    let mut part = Part::take_over_or_new(&place, remote)?;
    let mut reasons = Vec::new();
    for mirror in &remote.mirrors {
        let shown = without_credentials(mirror);
        match fetch.try_mirror(mirror, &shown, &mut part) {
            Ok(()) => return part.finish(remote, expected.as_ref()),
            Err(Trouble::Local(error)) => return Err(error),
            Err(Trouble::Retry { reason, .. } | Trouble::NextMirror(reason)) => {
                reasons.push(format!("{shown}: {reason}"));
            }
        }
    }
    Err(everything_failed(
        remote,
        &place,
        expected.as_ref(),
        &reasons,
    ))
}

/// The one error for a download that no mirror could give.
fn everything_failed(
    remote: &Remote,
    place: &Place,
    expected: Option<&Expected>,
    reasons: &[String],
) -> anyhow::Error {
    let mut message = format!("cannot download {}:\n", remote.file);
    for reason in reasons {
        // A reason is one line whatever a site or a library put into it.
        let line = reason.split_whitespace().collect::<Vec<_>>().join(" ");
        let _ = writeln!(message, "  {line}");
    }
    if reasons.is_empty() {
        message.push_str("  no address is known for it\n");
    }
    let _ = write!(
        message,
        "To get it by hand: {}\nSave {} as {}",
        remote.by_hand,
        remote.file,
        place.target.display()
    );
    if let Some(expected) = expected {
        let _ = write!(message, "; its sha256 must be {}", expected.sum);
    }
    if let Some(bytes) = remote.bytes {
        let _ = write!(message, "; its size is {bytes} bytes");
    }
    failure(Kind::Download, message)
}

/// Forgets the sum that was recorded for `target`, which turned out to be another file than the one meant.
pub fn forget_sum(target: &Path) {
    if let Ok(place) = Place::of(target) {
        let _ = fs::remove_file(place.record_path());
    }
}

/// Checks a file that is already in place, and records its sum where none was known.
fn check_present(
    remote: &Remote,
    place: &Place,
    expected: Option<&Expected>,
) -> anyhow::Result<Downloaded> {
    let target = &place.target;
    let mut file =
        File::open(target).map_err(|error| at_path(Kind::Data, "open", target, &error))?;
    let mut hasher = Sha256::new();
    let bytes = hash_all(&mut file, &mut hasher)
        .map_err(|error| at_path(Kind::Disk, "read", target, &error))?;
    let sha256 = hexadecimal(hasher);
    match expected {
        Some(expected) if expected.sum != sha256 => {
            return Err(failure(
                Kind::Data,
                format!(
                    "{} exists, but its sha256 is {sha256} where {} is expected ({}): remove the \
                     file to download it again, or put the right one there by hand{}",
                    target.display(),
                    expected.sum,
                    expected.origin(place),
                    expected.if_on_purpose(place),
                ),
            ));
        }
        Some(_) => {}
        None => {
            // A half file of another tool must not become the recorded truth.
            if let Some(wanted) = remote.bytes.filter(|&wanted| wanted != bytes) {
                return Err(failure(
                    Kind::Data,
                    format!(
                        "{} exists, but has {bytes} bytes where {wanted} are expected: remove the \
                         file to download it again, or put the right one there by hand",
                        target.display()
                    ),
                ));
            }
            place.record_sum(&sha256)?;
        }
    }
    Ok(Downloaded {
        sha256,
        bytes,
        already: true,
        was_known: expected.is_some(),
    })
}

/// A sum that the file must have.
struct Expected {
    /// 64 lower-case hexadecimal digits.
    sum: String,
    source: SumSource,
}

/// Where an expected sum comes from.
#[derive(Clone, Copy, PartialEq, Eq)]
enum SumSource {
    /// The caller.
    Given,
    /// `<target>.sha256`.
    Recorded,
    /// A copy that has just arrived.
    Arrived,
}

impl Expected {
    /// The caller's sum, or else the recorded one.
    fn of(remote: &Remote, place: &Place) -> anyhow::Result<Option<Self>> {
        if let Some(given) = &remote.sha256 {
            return match parse_sum(given) {
                Some(sum) => Ok(Some(Self {
                    sum,
                    source: SumSource::Given,
                })),
                None => Err(failure(
                    Kind::Usage,
                    format!(
                        "the sha256 given for {} is not 64 hexadecimal digits: {given:?}",
                        remote.file
                    ),
                )),
            };
        }
        let path = place.record_path();
        match fs::read_to_string(&path) {
            Ok(text) => match text.split_whitespace().next().and_then(parse_sum) {
                Some(sum) => Ok(Some(Self {
                    sum,
                    source: SumSource::Recorded,
                })),
                None => Err(failure(
                    Kind::Data,
                    format!(
                        "{} does not begin with a sha256 sum: correct it, or remove it to record \
                         the sum again",
                        path.display()
                    ),
                )),
            },
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(at_path(Kind::Data, "read", &path, &error)),
        }
    }

    /// Where the sum comes from, for a message.
    fn origin(&self, place: &Place) -> String {
        match self.source {
            SumSource::Given => "the published sum".to_owned(),
            SumSource::Recorded => format!("recorded in {}", place.record_path().display()),
            SumSource::Arrived => "the sum of a copy that has just arrived".to_owned(),
        }
    }

    /// What else to do about a recorded sum that differs.
    fn if_on_purpose(&self, place: &Place) -> String {
        if self.source == SumSource::Recorded {
            format!(
                "; if the file was changed on purpose, remove {}",
                place.record_path().display()
            )
        } else {
            String::new()
        }
    }
}

/// 64 hexadecimal digits in lower case, or nothing.
fn parse_sum(text: &str) -> Option<String> {
    let text = text.trim();
    (text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit()))
        .then(|| text.to_ascii_lowercase())
}

/// The sum of everything given to `hasher`, in lower-case hexadecimal digits.
fn hexadecimal(hasher: Sha256) -> String {
    let mut text = String::with_capacity(64);
    for byte in hasher.finalize() {
        let _ = write!(text, "{byte:02x}");
    }
    text
}

/// Gives the rest of `file` to `hasher`; returns how many bytes that was.
fn hash_all(file: &mut File, hasher: &mut Sha256) -> std::io::Result<u64> {
    let mut buffer = vec![0; BUFFER_BYTES];
    let mut bytes = 0;
    loop {
        match file.read(&mut buffer) {
            Ok(0) => return Ok(bytes),
            Ok(count) => {
                hasher.update(&buffer[..count]);
                bytes += count as u64;
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// Where the file goes, and the names of what lies beside it.
struct Place {
    target: PathBuf,
    folder: PathBuf,
    /// The target's own file name.
    file: String,
}

impl Place {
    fn of(target: &Path) -> anyhow::Result<Self> {
        let file = target.file_name().and_then(|name| name.to_str());
        let Some(file) = file else {
            return Err(failure(
                Kind::Usage,
                format!("{} does not name a file", target.display()),
            ));
        };
        let folder = match target.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
            _ => PathBuf::from("."),
        };
        Ok(Self {
            target: target.to_owned(),
            folder,
            file: file.to_owned(),
        })
    }

    fn is_taken(&self) -> anyhow::Result<bool> {
        match fs::metadata(&self.target) {
            Ok(metadata) if metadata.is_file() => Ok(true),
            Ok(_) => Err(failure(
                Kind::Data,
                format!("{} exists, but is not a file", self.target.display()),
            )),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
            Err(error) => Err(at_path(Kind::Disk, "look at", &self.target, &error)),
        }
    }

    fn record_path(&self) -> PathBuf {
        self.folder.join(format!("{}.sha256", self.file))
    }

    fn bad_path(&self) -> PathBuf {
        self.folder.join(format!("{}.bad", self.file))
    }

    fn part_prefix(&self) -> String {
        format!(".{}.part-", self.file)
    }

    /// The path of a part folder that no other download uses, and none did before.
    fn fresh_part_path(&self) -> PathBuf {
        self.folder
            .join(format!("{}{}", self.part_prefix(), unique_suffix()))
    }

    /// Writes `<target>.sha256` at once as a whole, in the format of the `sha256sum` tool.
    fn record_sum(&self, sum: &str) -> anyhow::Result<()> {
        let path = self.record_path();
        let temporary = self
            .folder
            .join(format!(".{}.sha256-{}", self.file, unique_suffix()));
        let written = File::create_new(&temporary)
            .and_then(|mut file| {
                file.write_all(format!("{sum}  {}\n", self.file).as_bytes())?;
                file.sync_all()
            })
            .and_then(|()| fs::rename(&temporary, &path));
        written.map_err(|error| {
            let _ = fs::remove_file(&temporary);
            at_path(Kind::Disk, "write", &path, &error)
        })
    }

    /// The part folders of this target, each with the number of the process that named it.
    fn parts(&self) -> Vec<(PathBuf, u32)> {
        let prefix = self.part_prefix();
        let Ok(entries) = fs::read_dir(&self.folder) else {
            return Vec::new();
        };
        entries
            .filter_map(|entry| {
                let entry = entry.ok()?;
                let name = entry.file_name();
                let (process, _) = name.to_str()?.strip_prefix(&prefix)?.split_once('-')?;
                Some((entry.path(), process.parse().ok()?))
            })
            .collect()
    }

    /// Makes an abandoned part this process's own; nothing where it is in use, or another process
    /// was faster.
    fn claim(&self, path: &Path, process: u32) -> Option<(PathBuf, File)> {
        let data = path.join("data");
        let file = match OpenOptions::new().read(true).write(true).open(&data) {
            Ok(file) => file,
            Err(error) => {
                // A part has no data for a moment while it is made and while it is finished.
                if error.kind() == ErrorKind::NotFound && !may_be_alive(process) {
                    let _ = fs::remove_dir_all(path);
                }
                return None;
            }
        };
        match file.try_lock() {
            // The owner may have moved the data onto the target between our opening and locking.
            // A part's name and its data are never used a second time, so this look is enough.
            Ok(()) => {
                if !data.exists() {
                    return None;
                }
            }
            Err(TryLockError::WouldBlock) => return None,
            Err(TryLockError::Error(_)) => {
                if may_be_alive(process) {
                    return None;
                }
            }
        }
        let own = self.fresh_part_path();
        fs::rename(path, &own).ok()?;
        Some((own, file))
    }

    fn remove_abandoned_parts(&self) {
        for (path, process) in self.parts() {
            if let Some((own, file)) = self.claim(&path, process) {
                let _ = fs::remove_dir_all(own);
                drop(file);
            }
        }
    }
}

/// `<pid>-<n>`: never given twice by one process, and hardly ever by two with the same number.
fn unique_suffix() -> String {
    static GIVEN: AtomicU64 = AtomicU64::new(0);
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |elapsed| elapsed.subsec_nanos());
    let count = GIVEN.fetch_add(1, Ordering::Relaxed);
    format!("{}-{count}{now:09}", std::process::id())
}

/// What tells one start of this machine from another, where the system says.
fn boot() -> Option<String> {
    let text = fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    Some(text.trim().to_owned()).filter(|text| !text.is_empty())
}

/// What a later request needs to go on where this one stopped.
#[derive(Debug, Clone, PartialEq, Eq)]
struct State {
    /// The mirror, without credentials.
    url: String,
    /// A strong entity tag, with its quotes.
    etag: String,
    total: Option<u64>,
    boot: Option<String>,
}

impl State {
    fn to_text(&self) -> String {
        let total = self
            .total
            .map_or("unknown".to_owned(), |total| total.to_string());
        let boot = self.boot.as_deref().unwrap_or("unknown");
        format!(
            "{STATE_LAYOUT}\nurl {}\netag {}\ntotal {total}\nboot {boot}\n",
            self.url, self.etag
        )
    }

    fn from_text(text: &str) -> Option<Self> {
        let mut lines = text.lines();
        if lines.next()? != STATE_LAYOUT {
            return None;
        }
        let mut value = |name: &str| lines.next()?.strip_prefix(name)?.strip_prefix(' ');
        let url = value("url")?.to_owned();
        let etag = strong_etag(value("etag")?)?;
        let total = match value("total")? {
            "unknown" => None,
            digits => Some(digits.parse().ok()?),
        };
        let boot = Some(value("boot")?.to_owned()).filter(|boot| boot != "unknown");
        Some(Self {
            url,
            etag,
            total,
            boot,
        })
    }
}

/// The tag if it is a strong one: only those promise the same bytes.
fn strong_etag(text: &str) -> Option<String> {
    let text = text.trim();
    let inner = text.strip_prefix('"')?.strip_suffix('"')?;
    (!inner.is_empty() && !inner.contains('"')).then(|| text.to_owned())
}

/// The bytes so far. Dropping it keeps what can be resumed, and removes the rest.
struct Part<'a> {
    place: &'a Place,
    path: PathBuf,
    /// Locked, positioned at its end.
    file: File,
    written: u64,
    hasher: Sha256,
    state: Option<State>,
    /// The size that the whole must have, as far as known.
    total: Option<u64>,
    /// Whether the bytes come from more than one answer.
    resumed: bool,
}

impl<'a> Part<'a> {
    /// The longest usable part that an ended process left for one of the mirrors, or an empty
    /// one. Other abandoned parts are removed.
    fn take_over_or_new(place: &'a Place, remote: &Remote) -> anyhow::Result<Self> {
        let mut best: Option<Self> = None;
        for (path, process) in place.parts() {
            let Some((path, file)) = place.claim(&path, process) else {
                continue;
            };
            let mut part = Self::around(place, path, file);
            part.load_state(remote);
            if part.written > best.as_ref().map_or(0, |best| best.written) {
                if let Some(mut shorter) = best.replace(part) {
                    shorter.state = None;
                }
            } else {
                part.state = None;
            }
        }
        let Some(mut part) = best else {
            return Self::new(place);
        };
        let data = part.path.join("data");
        let mut prepare = || {
            // A part that is complete cannot be asked for the rest; with its last byte asked for
            // again, the site still has to confirm that the file is the same.
            if part.total == Some(part.written) {
                part.written -= 1;
                part.file.set_len(part.written)?;
            }
            part.file.rewind()?;
            hash_all(&mut part.file, &mut part.hasher)
        };
        let hashed = prepare().map_err(|error| at_path(Kind::Disk, "read", &data, &error))?;
        part.written = hashed;
        Ok(part)
    }

    fn new(place: &'a Place) -> anyhow::Result<Self> {
        let path = place.fresh_part_path();
        let create = || {
            fs::create_dir(&path)?;
            // Locked before it has the name under which others look for it.
            let unnamed = path.join("data.new");
            let file = File::create_new(&unnamed)?;
            let _ = file.try_lock();
            fs::rename(&unnamed, path.join("data"))?;
            Ok(file)
        };
        match create() {
            Ok(file) => Ok(Self::around(place, path, file)),
            Err(error) => {
                let _ = fs::remove_dir_all(&path);
                Err(at_path(Kind::Disk, "create", &path, &error))
            }
        }
    }

    fn around(place: &'a Place, path: PathBuf, file: File) -> Self {
        Self {
            place,
            path,
            file,
            written: 0,
            hasher: Sha256::new(),
            state: None,
            total: None,
            resumed: false,
        }
    }

    /// Reads the state of a part just taken over; leaves it without one where it is of no use.
    fn load_state(&mut self, remote: &Remote) {
        let state = fs::read_to_string(self.path.join("state")).ok();
        let Some(state) = state.as_deref().and_then(State::from_text) else {
            return;
        };
        let written = self.file.metadata().map_or(0, |metadata| metadata.len());
        // After a power cut a file can have its length without its bytes: only a sum shows that.
        let intact = remote.sha256.is_some() || (state.boot.is_some() && state.boot == boot());
        let known_mirror = remote
            .mirrors
            .iter()
            .any(|mirror| without_credentials(mirror) == state.url);
        let fits = state.total.is_none_or(|total| written <= total)
            && remote.bytes.is_none_or(|bytes| state.total == Some(bytes))
            && written <= remote.most_bytes;
        if intact && known_mirror && fits && written > 0 {
            self.written = written;
            self.total = state.total;
            self.state = Some(state);
            self.resumed = true;
        }
    }

    /// Where, and on what condition, the mirror can go on.
    fn resume_point(&self, url: &str) -> Option<(u64, &str)> {
        let state = self.state.as_ref().filter(|state| state.url == url)?;
        (self.written > 0).then_some((self.written, state.etag.as_str()))
    }

    /// Empties the part. The state goes first: at no moment does it speak of other bytes.
    fn restart(&mut self) -> Result<(), Trouble> {
        self.state = None;
        self.total = None;
        self.resumed = false;
        self.written = 0;
        self.hasher = Sha256::new();
        let state = self.path.join("state");
        match fs::remove_file(&state) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                return Err(local("remove", &state, &error));
            }
            _ => {}
        }
        self.file
            .set_len(0)
            .and_then(|()| self.file.seek(SeekFrom::Start(0)))
            .map_err(|error| local("empty", &self.path.join("data"), &error))?;
        Ok(())
    }

    /// Empties the part for an answer that begins at the first byte.
    fn begin(
        &mut self,
        url: &str,
        etag: Option<String>,
        total: Option<u64>,
    ) -> Result<(), Trouble> {
        self.restart()?;
        self.total = total;
        let Some(etag) = etag else {
            return Ok(());
        };
        let state = State {
            url: url.to_owned(),
            etag,
            total,
            boot: boot(),
        };
        let path = self.path.join("state");
        let temporary = self.path.join("state.new");
        fs::write(&temporary, state.to_text())
            .and_then(|()| fs::rename(&temporary, &path))
            .map_err(|error| local("write", &path, &error))?;
        self.state = Some(state);
        Ok(())
    }

    fn append(&mut self, bytes: &[u8]) -> Result<(), Trouble> {
        self.file
            .write_all(bytes)
            .map_err(|error| local("write", &self.path.join("data"), &error))?;
        self.hasher.update(bytes);
        self.written += bytes.len() as u64;
        Ok(())
    }

    fn sum(&self) -> String {
        hexadecimal(self.hasher.clone())
    }

    /// Moves the bytes to `<target>.bad`, and goes on with an empty part in another folder.
    fn set_aside(&mut self) -> Result<PathBuf, Trouble> {
        let next = Self::new(self.place).map_err(Trouble::Local)?;
        let bad = self.place.bad_path();
        fs::rename(self.path.join("data"), &bad).map_err(|error| local("write", &bad, &error))?;
        self.state = None;
        *self = next;
        Ok(bad)
    }

    /// Puts the bytes into their place for good.
    fn finish(
        mut self,
        remote: &Remote,
        expected: Option<&Expected>,
    ) -> anyhow::Result<Downloaded> {
        let place = self.place;
        let target = &place.target;
        let sha256 = self.sum();
        let known = |already| Downloaded {
            sha256: sha256.clone(),
            bytes: self.written,
            already,
            was_known: expected.is_some(),
        };
        if place.is_taken()? {
            // Another process was faster. Its file stays; with no sum to go by, ours is the judge.
            let ours = Expected {
                sum: sha256.clone(),
                source: SumSource::Arrived,
            };
            check_present(remote, place, Some(expected.unwrap_or(&ours)))?;
            if expected.is_none() {
                place.record_sum(&sha256)?;
            }
            let found = known(true);
            self.state = None;
            drop(self);
            place.remove_abandoned_parts();
            return Ok(found);
        }
        let data = self.path.join("data");
        self.file
            .sync_all()
            .map_err(|error| at_path(Kind::Disk, "write", &data, &error))?;
        fs::rename(&data, target).map_err(|error| at_path(Kind::Disk, "write", target, &error))?;
        // Without this a power cut could take the new name back; not every system can do it.
        if let Ok(folder) = File::open(&place.folder) {
            let _ = folder.sync_all();
        }
        let done = known(false);
        self.state = None;
        drop(self);
        if expected.is_none() {
            place.record_sum(&sha256)?;
        }
        place.remove_abandoned_parts();
        Ok(done)
    }
}

impl Drop for Part<'_> {
    fn drop(&mut self) {
        if self.state.is_none() || self.written == 0 {
            let _ = fs::remove_dir_all(&self.path);
        }
    }
}

/// Why an attempt failed, and what to do next.
enum Trouble {
    /// Nothing to do with the site: give up.
    Local(anyhow::Error),
    /// The same mirror may do better later, after the pause that it asks for.
    Retry {
        reason: String,
        pause: Option<Duration>,
    },
    /// Asking this mirror again makes no sense.
    NextMirror(String),
}

fn local(action: &str, path: &Path, error: &std::io::Error) -> Trouble {
    Trouble::Local(at_path(Kind::Disk, action, path, error))
}

fn retry(reason: impl Into<String>) -> Trouble {
    Trouble::Retry {
        reason: reason.into(),
        pause: None,
    }
}

/// The two ways to ask: this machine itself is never asked through a proxy, and needs no
/// certificates.
struct Clients {
    connect: Duration,
    read: Duration,
    own_machine: Option<Client>,
    elsewhere: Option<Client>,
}

impl Clients {
    fn new(patience: &Patience) -> Self {
        Self {
            connect: patience.connect,
            read: patience.read,
            own_machine: None,
            elsewhere: None,
        }
    }

    fn of(&mut self, url: &Url) -> Result<&Client, Trouble> {
        let own_machine = url.scheme() == "http" && is_loopback(url);
        let slot = if own_machine {
            &mut self.own_machine
        } else {
            &mut self.elsewhere
        };
        if slot.is_none() {
            // Fails only where a provider is installed already, which is then as good.
            let _ = rustls::crypto::ring::default_provider().install_default();
            let mut builder = Client::builder()
                .user_agent(concat!(
                    env!("CARGO_PKG_NAME"),
                    "/",
                    env!("CARGO_PKG_VERSION")
                ))
                // Redirects are followed here by hand, each checked.
                .redirect(reqwest::redirect::Policy::none())
                .retry(reqwest::retry::never())
                .referer(false)
                .pool_max_idle_per_host(0)
                .connect_timeout(self.connect)
                .timeout(self.read);
            if own_machine {
                builder = builder.no_proxy().tls_certs_only([]);
            }
            let client = builder.build().map_err(|error| {
                Trouble::NextMirror(format!(
                    "cannot set up encrypted connections: {} (is the ca-certificates package \
                     installed, or SSL_CERT_FILE set?)",
                    whole_chain(&error)
                ))
            })?;
            *slot = Some(client);
        }
        slot.as_ref()
            .ok_or_else(|| Trouble::NextMirror("no client".to_owned()))
    }
}

/// One call of [`download`].
struct Fetch<'a> {
    remote: &'a Remote,
    patience: &'a Patience,
    place: &'a Place,
    expected: Option<&'a Expected>,
    clients: Clients,
    progress: &'a mut dyn FnMut(u64, Option<u64>),
}

impl Fetch<'_> {
    /// Fills `part` with the whole, right file, in as many attempts as patience allows.
    fn try_mirror(&mut self, mirror: &str, shown: &str, part: &mut Part) -> Result<(), Trouble> {
        let url = Url::parse(mirror)
            .map_err(|error| Trouble::NextMirror(format!("not an address: {error}")))?;
        check_address(&url, self.remote.sha256.is_some()).map_err(Trouble::NextMirror)?;

        let attempts = self.patience.attempts.max(1);
        let mut used = 0;
        let mut pause = self.patience.pause;
        let mut furthest = part.written;
        loop {
            used += 1;
            let outcome = self
                .attempt(&url, shown, part)
                .and_then(|()| self.check_sum(part, used < attempts));
            let (reason, asked_pause) = match outcome {
                Err(Trouble::Retry { reason, pause }) => (reason, pause),
                other => return other,
            };
            if part.resume_point(shown).is_some() && part.written >= furthest + WORTHWHILE_BYTES {
                furthest = part.written;
                used = 0;
                pause = self.patience.pause;
            }
            if used >= attempts {
                let times = if attempts == 1 {
                    String::new()
                } else {
                    format!(" (asked {attempts} times)")
                };
                return Err(Trouble::NextMirror(format!("{reason}{times}")));
            }
            let wait = asked_pause.unwrap_or(pause);
            std::thread::sleep(wait.min(self.patience.most_pause));
            pause = pause.saturating_mul(2);
        }
    }

    /// Compares the complete part with the sum that it must have.
    fn check_sum(&mut self, part: &mut Part, may_retry: bool) -> Result<(), Trouble> {
        let Some(expected) = self.expected else {
            return Ok(());
        };
        let sum = part.sum();
        if sum == expected.sum {
            return Ok(());
        }
        // Pieces of several answers may not fit together although the site said so.
        if part.resumed && may_retry {
            part.restart()?;
            return Err(retry(format!(
                "the resumed file's sha256 is {sum}, expected {}",
                expected.sum
            )));
        }
        let bad = part.set_aside()?;
        Err(Trouble::NextMirror(format!(
            "gave another file: its sha256 is {sum}, expected {} ({}{}); kept as {}",
            expected.sum,
            expected.origin(self.place),
            expected.if_on_purpose(self.place),
            bad.display()
        )))
    }

    /// Asks once, from where the part ends if the site can go on there, and reads to the end.
    fn attempt(&mut self, url: &Url, shown: &str, part: &mut Part) -> Result<(), Trouble> {
        let point = part
            .resume_point(shown)
            .map(|(offset, etag)| (offset, etag.to_owned()));
        let point = point.as_ref().map(|(offset, etag)| (*offset, &**etag));
        let mut response = self.ask(url, point)?;
        if let Some((offset, etag)) = point
            && response.status() != StatusCode::OK
        {
            // 206 or 416: the rest of the very same file, or nothing.
            match continuation(&response, offset, etag, part.total, self.remote.most_bytes) {
                Some(total) => {
                    check_encoding(&response)?;
                    part.total = Some(total);
                    part.resumed = true;
                    (self.progress)(part.written, part.total);
                    return self.read_rest(&mut response, part);
                }
                None => {
                    drop(response);
                    part.restart()?;
                    response = self.ask(url, None)?;
                }
            }
        }
        if response.status() != StatusCode::OK {
            return Err(retry("answered with a part of the file, unasked"));
        }
        self.read_whole(&mut response, shown, part)
    }

    /// Reads an answer that begins at the first byte.
    fn read_whole(
        &mut self,
        response: &mut Response,
        shown: &str,
        part: &mut Part,
    ) -> Result<(), Trouble> {
        check_encoding(response)?;
        let headers = response.headers();
        let page_is_wrong = ![".html", ".htm"]
            .iter()
            .any(|ending| self.place.file.to_ascii_lowercase().ends_with(ending));
        if page_is_wrong && is_page_type(text_of(headers, &header::CONTENT_TYPE)) {
            return Err(answered_with_page(response));
        }
        let etag = text_of(headers, &header::ETAG).and_then(strong_etag);
        let announced = text_of(headers, &header::CONTENT_LENGTH)
            .and_then(|digits| digits.trim().parse::<u64>().ok());
        if let Some(announced) = announced
            && announced > self.remote.most_bytes
        {
            return Err(Trouble::NextMirror(format!(
                "announces {announced} bytes, more than the {} allowed",
                self.remote.most_bytes
            )));
        }
        // The first bytes are judged before the part is emptied: a login page in the place of the
        // file must not cost what has arrived already.
        let mut first = Vec::with_capacity(SNIFFED_BYTES);
        let outcome = response
            .by_ref()
            .take(SNIFFED_BYTES as u64)
            .read_to_end(&mut first);
        if page_is_wrong && looks_like_page(&first) {
            return Err(answered_with_page(response));
        }
        part.begin(shown, etag, self.remote.bytes.or(announced))?;
        self.append(part, &first)?;
        match outcome {
            Ok(_) => self.read_rest(response, part),
            Err(error) => self.after_cut(part, &error),
        }
    }

    /// Reads to the answer's end, and sees whether the part is complete then.
    fn read_rest(&mut self, response: &mut Response, part: &mut Part) -> Result<(), Trouble> {
        let mut buffer = vec![0; BUFFER_BYTES];
        loop {
            match response.read(&mut buffer) {
                Ok(0) => break,
                Ok(count) => self.append(part, &buffer[..count])?,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return self.after_cut(part, &error),
            }
        }
        match part.total {
            Some(total) if part.written < total => Err(retry(format!(
                "ended after {} of {total} bytes",
                part.written
            ))),
            None if part.written == 0 && self.expected.is_none() => {
                Err(retry("answered with an empty file"))
            }
            _ => Ok(()),
        }
    }

    /// A cut after the last byte is none: sites announce more than they have.
    fn after_cut(&self, part: &Part, error: &std::io::Error) -> Result<(), Trouble> {
        if part.total == Some(part.written) {
            return Ok(());
        }
        let total = part
            .total
            .map_or(String::new(), |total| format!(" of {total}"));
        let inner = error
            .get_ref()
            .and_then(|inner| inner.downcast_ref::<reqwest::Error>());
        let cause = match inner {
            Some(inner) => self.describe(inner),
            None => error.to_string(),
        };
        Err(retry(format!(
            "stopped after {}{total} bytes: {cause}",
            part.written
        )))
    }

    /// Adds bytes to the part, unless that makes it longer than it may be.
    fn append(&mut self, part: &mut Part, bytes: &[u8]) -> Result<(), Trouble> {
        let limits = [
            (self.remote.bytes, "expected"),
            (part.total, "announced"),
            (Some(self.remote.most_bytes), "allowed"),
        ];
        let would_be = part.written.saturating_add(bytes.len() as u64);
        for (limit, what) in limits {
            if let Some(limit) = limit.filter(|&limit| would_be > limit) {
                part.restart()?;
                return Err(Trouble::NextMirror(format!(
                    "sends more than the {limit} bytes {what}"
                )));
            }
        }
        part.append(bytes)?;
        (self.progress)(part.written, part.total);
        Ok(())
    }

    /// Sends the request, follows redirects, and sorts out every answer but 200, and 206 and 416
    /// for a request that resumes.
    fn ask(&mut self, url: &Url, point: Option<(u64, &str)>) -> Result<Response, Trouble> {
        let mut url = url.clone();
        for _ in 0..=MOST_REDIRECTS {
            let mut request = self
                .clients
                .of(&url)?
                .get(url.clone())
                .header(header::ACCEPT_ENCODING, "identity");
            if let Some((offset, etag)) = point {
                request = request
                    .header(header::RANGE, format!("bytes={offset}-"))
                    .header(header::IF_RANGE, etag);
            }
            let response = request
                .send()
                .map_err(|error| retry(self.describe(&error)))?;
            let status = response.status();
            match status.as_u16() {
                200 | 206 => return Ok(response),
                416 if point.is_some() => return Ok(response),
                301 | 302 | 303 | 307 | 308 => {
                    let location = text_of(response.headers(), &header::LOCATION)
                        .ok_or_else(|| retry(format!("answered {status} without an address")))?;
                    let next = url.join(location).map_err(|error| {
                        Trouble::NextMirror(format!("redirects to no address: {error}"))
                    })?;
                    check_redirect(&url, &next, self.remote.sha256.is_some())
                        .map_err(Trouble::NextMirror)?;
                    url = next;
                }
                408 | 425 | 429 | 500 | 502 | 503 | 504 => {
                    let pause = text_of(response.headers(), &header::RETRY_AFTER)
                        .and_then(|seconds| seconds.trim().parse().ok())
                        .map(Duration::from_secs);
                    return Err(Trouble::Retry {
                        reason: format!("answered {status}"),
                        pause,
                    });
                }
                _ => return Err(Trouble::NextMirror(format!("answered {status}"))),
            }
        }
        Err(Trouble::NextMirror(format!(
            "redirects more than {MOST_REDIRECTS} times"
        )))
    }

    /// What went wrong with a request, without the address.
    fn describe(&self, error: &reqwest::Error) -> String {
        if error.is_connect() && error.is_timeout() {
            return format!("no connection within {:?}", self.patience.connect);
        }
        if error.is_timeout() {
            return format!("nothing came for {:?}", self.patience.read);
        }
        whole_chain(error)
    }
}

/// The value of a header, where it is text.
fn text_of<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Option<&'h str> {
    headers.get(name)?.to_str().ok()
}

/// Refuses bytes that are not the file's own: nothing here decompresses them.
fn check_encoding(response: &Response) -> Result<(), Trouble> {
    let refused = response
        .headers()
        .get_all(header::CONTENT_ENCODING)
        .iter()
        .find(|value| !value.as_bytes().eq_ignore_ascii_case(b"identity"));
    match refused {
        None => Ok(()),
        Some(value) => Err(Trouble::NextMirror(format!(
            "sends the file encoded ({value:?}) although asked not to"
        ))),
    }
}

/// The total size, if the answer is exactly the rest of the file that the part began with.
fn continuation(
    response: &Response,
    offset: u64,
    etag: &str,
    total: Option<u64>,
    most_bytes: u64,
) -> Option<u64> {
    let headers = response.headers();
    let (start, _, announced) = text_of(headers, &header::CONTENT_RANGE).and_then(content_range)?;
    let same = response.status() == StatusCode::PARTIAL_CONTENT
        && text_of(headers, &header::ETAG).and_then(strong_etag)? == etag
        && start == offset
        && total.is_none_or(|total| total == announced)
        && announced <= most_bytes;
    same.then_some(announced)
}

/// Start, end (inclusive) and total of a `Content-Range` value, where they make sense.
fn content_range(text: &str) -> Option<(u64, u64, u64)> {
    let (unit, range) = text.trim().split_once(' ')?;
    let (range, total) = range.trim().split_once('/')?;
    let (start, end) = range.split_once('-')?;
    let number = |digits: &str| {
        let all_digits = digits.bytes().all(|byte| byte.is_ascii_digit());
        all_digits.then(|| digits.parse::<u64>().ok()).flatten()
    };
    let (start, end, total) = (number(start)?, number(end)?, number(total)?);
    (unit.eq_ignore_ascii_case("bytes") && start <= end && end < total)
        .then_some((start, end, total))
}

fn is_page_type(content_type: Option<&str>) -> bool {
    let essence = content_type
        .and_then(|value| value.split(';').next())
        .unwrap_or("")
        .trim();
    ["text/html", "application/xhtml+xml"]
        .iter()
        .any(|page| essence.eq_ignore_ascii_case(page))
}

fn looks_like_page(first: &[u8]) -> bool {
    let first = first.strip_prefix(b"\xef\xbb\xbf").unwrap_or(first);
    let first = first.trim_ascii_start();
    ["<!doctype html", "<html"].iter().any(|opening| {
        first
            .get(..opening.len())
            .is_some_and(|bytes| bytes.eq_ignore_ascii_case(opening.as_bytes()))
    })
}

fn answered_with_page(response: &Response) -> Trouble {
    // Only the host: after redirects the rest of an address can be a signed secret.
    Trouble::NextMirror(format!(
        "the site ({}) answered with a web page instead of the file, for example to log in, to \
         warn of viruses (Google Drive) or to say that a quota is used up",
        response.url().host_str().unwrap_or("unknown host")
    ))
}

/// An error and its causes on one line, without the address (the caller names it).
fn whole_chain(error: &reqwest::Error) -> String {
    let full = error.to_string();
    let mut text = match error.url() {
        Some(url) => full.replace(&format!(" for url ({url})"), ""),
        None => full,
    };
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        let _ = write!(text, ": {cause}");
        source = cause.source();
    }
    text
}

/// The address as it may be shown and written down: without a user's name and password.
fn without_credentials(address: &str) -> String {
    let Ok(mut url) = Url::parse(address) else {
        return address.to_owned();
    };
    if url.username().is_empty() && url.password().is_none() {
        return address.to_owned();
    }
    let _ = url.set_username("");
    let _ = url.set_password(None);
    url.into()
}

fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or("");
    let address = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost"
        || address
            .parse::<IpAddr>()
            .is_ok_and(|address| address.is_loopback())
}

/// Whether a file may be fetched from there at all.
fn check_address(url: &Url, sum_is_known: bool) -> Result<(), String> {
    match url.scheme() {
        "https" => Ok(()),
        "http" if sum_is_known || is_loopback(url) => Ok(()),
        "http" => Err(format!(
            "plain http to {} is refused, because no sha256 is known that would show a changed \
             file",
            url.host_str().unwrap_or("unknown host")
        )),
        other => Err(format!("addresses of the kind {other}: are not supported")),
    }
}

/// Whether a redirect may be followed.
fn check_redirect(from: &Url, to: &Url, sum_is_known: bool) -> Result<(), String> {
    let host = to.host_str().unwrap_or("unknown host");
    if from.scheme() == "https" && to.scheme() == "http" && !is_loopback(to) {
        return Err(format!("redirects from https to plain http ({host})"));
    }
    check_address(to, sum_is_known).map_err(|reason| format!("redirects to {host}: {reason}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::failure::{Failure, exit_code};
    use std::io::{BufRead, BufReader};
    use std::net::{Shutdown, TcpListener, TcpStream};
    use std::process::{Child, Command, Stdio};
    use std::sync::{Arc, Mutex};
    use std::time::Instant;

    const FILE: &str = "weights.bin";
    const ADDRESS_VARIABLE: &str = "DOWNLOAD_TEST_ADDRESS";
    const TARGET_VARIABLE: &str = "DOWNLOAD_TEST_TARGET";

    /// What a client asked for.
    #[derive(Debug, Clone)]
    struct Asked {
        path: String,
        headers: Vec<(String, String)>,
    }

    impl Asked {
        fn header(&self, name: &str) -> Option<&str> {
            self.headers
                .iter()
                .find(|(other, _)| other.eq_ignore_ascii_case(name))
                .map(|(_, value)| value.as_str())
        }

        fn offset(&self) -> Option<usize> {
            let range = self.header("Range")?.strip_prefix("bytes=")?;
            range.strip_suffix('-')?.parse().ok()
        }
    }

    /// A small HTTP server whose every answer the test scripts: it gives the script the number of
    /// the request (from zero), the request, and the raw connection.
    struct Server {
        address: String,
        asked: Arc<Mutex<Vec<Asked>>>,
    }

    impl Server {
        fn new(script: impl Fn(usize, &Asked, &mut TcpStream) + Send + Sync + 'static) -> Self {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let address = format!("http://{}", listener.local_addr().unwrap());
            let asked = Arc::new(Mutex::new(Vec::new()));
            let script = Arc::new(script);
            let log = Arc::clone(&asked);
            std::thread::spawn(move || {
                for stream in listener.incoming() {
                    let mut stream = stream.unwrap();
                    let (script, log) = (Arc::clone(&script), Arc::clone(&log));
                    std::thread::spawn(move || {
                        let Some(request) = read_request(&stream) else {
                            return;
                        };
                        let number = {
                            let mut log = log.lock().unwrap();
                            log.push(request.clone());
                            log.len() - 1
                        };
                        script(number, &request, &mut stream);
                        let _ = stream.shutdown(Shutdown::Both);
                    });
                }
            });
            Self { address, asked }
        }

        fn url(&self) -> String {
            format!("{}/{FILE}", self.address)
        }

        fn asked(&self) -> Vec<Asked> {
            self.asked.lock().unwrap().clone()
        }
    }

    fn read_request(stream: &TcpStream) -> Option<Asked> {
        let mut lines = BufReader::new(stream).lines();
        let first = lines.next()?.ok()?;
        let path = first.split(' ').nth(1)?.to_owned();
        let mut headers = Vec::new();
        for line in lines {
            let line = line.ok()?;
            let Some((name, value)) = line.split_once(':') else {
                break;
            };
            headers.push((name.to_owned(), value.trim().to_owned()));
        }
        Some(Asked { path, headers })
    }

    /// Sends a head with exactly these headers, then the body; a client that has gone is no error.
    fn answer(stream: &mut TcpStream, status: &str, headers: &[(&str, String)], body: &[u8]) {
        let mut head = format!("HTTP/1.1 {status}\r\nConnection: close\r\n");
        for (name, value) in headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        head.push_str("\r\n");
        let _ = stream.write_all(head.as_bytes());
        let _ = stream.write_all(body);
    }

    fn length(bytes: usize) -> (&'static str, String) {
        ("Content-Length", bytes.to_string())
    }

    fn etag(tag: &str) -> (&'static str, String) {
        ("ETag", format!("\"{tag}\""))
    }

    /// What a well-behaved site does: 206 where the tag is still the same, 200 otherwise.
    fn answer_properly(asked: &Asked, stream: &mut TcpStream, body: &[u8]) {
        match asked.offset() {
            Some(offset) if asked.header("If-Range") == Some("\"one\"") => {
                answer_rest(stream, body, offset, offset, "one");
            }
            _ => answer(stream, "200 OK", &[length(body.len()), etag("one")], body),
        }
    }

    fn answer_rest(stream: &mut TcpStream, body: &[u8], offset: usize, claimed: usize, tag: &str) {
        let range = format!("bytes {claimed}-{}/{}", body.len() - 1, body.len());
        answer(
            stream,
            "206 Partial Content",
            &[
                length(body.len() - offset),
                etag(tag),
                ("Content-Range", range),
            ],
            &body[offset..],
        );
    }

    /// Announces the whole, but stops at 41 %.
    fn answer_cut(stream: &mut TcpStream, body: &[u8], headers: &[(&str, String)]) {
        let mut all = vec![length(body.len())];
        all.extend_from_slice(headers);
        answer(stream, "200 OK", &all, &body[..cut(body)]);
    }

    fn cut(body: &[u8]) -> usize {
        body.len() * 41 / 100
    }

    /// Bytes that differ at every offset, so that a misplaced piece changes the sum.
    fn body_of(bytes: usize) -> Vec<u8> {
        let mut state = 12345_u32;
        (0..bytes)
            .map(|_| {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                (state >> 24) as u8
            })
            .collect()
    }

    fn body() -> Vec<u8> {
        body_of(100_000)
    }

    fn sum_of(bytes: &[u8]) -> String {
        let mut hasher = Sha256::new();
        hasher.update(bytes);
        hexadecimal(hasher)
    }

    fn remote(mirrors: &[String], body: &[u8]) -> Remote {
        Remote {
            file: FILE.to_owned(),
            mirrors: mirrors.to_vec(),
            sha256: Some(sum_of(body)),
            bytes: None,
            most_bytes: 1_000_000,
            by_hand: "It is linked on https://example.org/weights.".to_owned(),
        }
    }

    fn without_sum(mirrors: &[String]) -> Remote {
        Remote {
            sha256: None,
            ..remote(mirrors, b"")
        }
    }

    fn patience() -> Patience {
        Patience {
            connect: Duration::from_millis(500),
            read: Duration::from_millis(300),
            attempts: 3,
            pause: Duration::from_millis(5),
            most_pause: Duration::from_millis(200),
        }
    }

    /// A folder for one test, with the target's path in it.
    fn folder() -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join(FILE);
        (folder, target)
    }

    fn fetch(remote: &Remote, target: &Path) -> anyhow::Result<Downloaded> {
        download(remote, target, &patience(), &mut |_, _| {})
    }

    fn names_in(folder: &Path) -> Vec<String> {
        let mut names: Vec<String> = fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    /// The target holds exactly `body`, and nothing else lies in its folder.
    #[track_caller]
    fn assert_only(target: &Path, body: &[u8]) {
        assert_eq!(names_in(target.parent().unwrap()), [FILE]);
        assert!(fs::read(target).unwrap() == body, "another file");
    }

    /// The error's message, after checking its kind.
    #[track_caller]
    fn message_of(result: anyhow::Result<Downloaded>, kind: Kind) -> String {
        let error = result.unwrap_err();
        assert_eq!(exit_code(&error), kind.exit_code(), "{error}");
        assert_eq!(error.downcast_ref::<Failure>().unwrap().kind, kind);
        error.to_string()
    }

    /// The one part folder that a failure left.
    #[track_caller]
    fn the_part(folder: &Path) -> PathBuf {
        let names = names_in(folder);
        assert_eq!(names.len(), 1, "{names:?}");
        assert!(names[0].starts_with(".weights.bin.part-"), "{names:?}");
        folder.join(&names[0])
    }

    #[test]
    fn a_whole_file_arrives() {
        let body = body();
        let served = body.clone();
        let server = Server::new(move |_, asked, stream| answer_properly(asked, stream, &served));
        let (_folder, target) = folder();
        let mut calls = Vec::new();
        let done = download(
            &remote(&[server.url()], &body),
            &target,
            &patience(),
            &mut |so_far, total| calls.push((so_far, total)),
        )
        .unwrap();
        let wanted = Downloaded {
            sha256: sum_of(&body),
            bytes: 100_000,
            already: false,
            was_known: true,
        };
        assert_eq!(done, wanted);
        assert_only(&target, &body);
        assert_eq!(calls.last(), Some(&(100_000, Some(100_000))));
        assert!(calls.is_sorted());
        let asked = server.asked();
        assert_eq!(asked.len(), 1);
        assert_eq!(asked[0].header("Accept-Encoding"), Some("identity"));
        assert!(asked[0].header("User-Agent").unwrap().contains('/'));
        assert_eq!(asked[0].header("Range"), None);
    }

    #[test]
    fn a_folder_that_is_missing_is_made() {
        let body = body();
        let served = body.clone();
        let server = Server::new(move |_, asked, stream| answer_properly(asked, stream, &served));
        let (folder, _) = folder();
        let target = folder.path().join("a/b").join(FILE);
        fetch(&remote(&[server.url()], &body), &target).unwrap();
        assert_only(&target, &body);
    }

    #[test]
    fn a_cut_is_resumed() {
        let body = body();
        let served = body.clone();
        let server = Server::new(move |number, asked, stream| match number {
            0 => answer_cut(stream, &served, &[etag("one")]),
            _ => answer_properly(asked, stream, &served),
        });
        let (_folder, target) = folder();
        fetch(&remote(&[server.url()], &body), &target).unwrap();
        assert_only(&target, &body);
        let asked = server.asked();
        assert_eq!(asked.len(), 2);
        assert_eq!(asked[1].offset(), Some(cut(&body)));
        assert_eq!(asked[1].header("If-Range"), Some("\"one\""));
    }

    #[test]
    fn many_cuts_of_a_long_file_cost_no_attempts() {
        let body = body_of(9 * 1024 * 1024);
        let served = body.clone();
        let server = Server::new(move |_, asked, stream| {
            let offset = asked.offset().unwrap_or(0);
            let end = served.len().min(offset + 1536 * 1024);
            let total = served.len();
            let headers = [
                length(total - offset),
                etag("one"),
                (
                    "Content-Range",
                    format!("bytes {offset}-{}/{total}", total - 1),
                ),
            ];
            let status = if offset == 0 {
                "200 OK"
            } else {
                "206 Partial Content"
            };
            answer(stream, status, &headers, &served[offset..end]);
        });
        let (_folder, target) = folder();
        let mut wanted = remote(&[server.url()], &body);
        wanted.most_bytes = 10 * 1024 * 1024;
        fetch(&wanted, &target).unwrap();
        assert_only(&target, &body);
        assert_eq!(server.asked().len(), 6);
    }

    #[test]
    fn without_a_strong_tag_nothing_is_resumed() {
        for tag in [None, Some("W/\"weak\"")] {
            let body = body();
            let served = body.clone();
            let server = Server::new(move |number, asked, stream| {
                let headers: Vec<_> = tag.iter().map(|tag| ("ETag", (*tag).to_owned())).collect();
                match number {
                    0 => answer_cut(stream, &served, &headers),
                    _ => answer_properly(asked, stream, &served),
                }
            });
            let (folder, target) = folder();
            let mut once = patience();
            once.attempts = 1;
            let wanted = remote(&[server.url()], &body);
            let failed = download(&wanted, &target, &once, &mut |_, _| {});
            message_of(failed, Kind::Download);
            assert!(names_in(folder.path()).is_empty());
            fetch(&wanted, &target).unwrap();
            assert_only(&target, &body);
            assert_eq!(server.asked()[1].offset(), None);
        }
    }

    /// The first answer is cut; the second is `second`; later ones are proper. Gives the ranges
    /// asked for. The file must be right whatever the second answer is.
    fn after_a_cut(
        second: impl Fn(&mut TcpStream, &[u8]) + Send + Sync + 'static,
    ) -> Vec<Option<usize>> {
        let body = body();
        let served = body.clone();
        let server = Server::new(move |number, asked, stream| match number {
            0 => answer_cut(stream, &served, &[etag("one")]),
            1 => second(stream, &served),
            _ => answer_properly(asked, stream, &served),
        });
        let (_folder, target) = folder();
        // Without a sum, only the range rules stand between a wrong piece and the file.
        let done = fetch(&without_sum(&[server.url()]), &target).unwrap();
        assert_eq!(done.sha256, sum_of(&body));
        assert_eq!(fs::read(&target).unwrap(), body);
        assert_eq!(
            names_in(target.parent().unwrap()),
            [FILE, "weights.bin.sha256"]
        );
        server.asked().iter().map(Asked::offset).collect()
    }

    #[test]
    fn a_site_that_ignores_the_range_is_read_from_zero() {
        let ranges = after_a_cut(|stream, body| {
            answer(stream, "200 OK", &[length(body.len()), etag("one")], body);
        });
        assert_eq!(ranges, [None, Some(41_000)]);
    }

    #[test]
    fn a_wrong_continuation_is_never_appended() {
        let restarted = [None, Some(41_000), None];
        // Another offset than asked for.
        let ranges =
            after_a_cut(|stream, body| answer_rest(stream, body, 41_000 - 7, 41_000 - 7, "one"));
        assert_eq!(ranges, restarted);
        // Another file by now.
        let ranges = after_a_cut(|stream, body| answer_rest(stream, body, 41_000, 41_000, "two"));
        assert_eq!(ranges, restarted);
        // Another size by now.
        let ranges = after_a_cut(|stream, body| {
            answer_rest(stream, &body[..body.len() - 1], 41_000, 41_000, "one");
        });
        assert_eq!(ranges, restarted);
        // No tag, no range at all.
        let ranges = after_a_cut(|stream, body| {
            let headers = [length(body.len() - 41_000)];
            answer(stream, "206 Partial Content", &headers, &body[41_000..]);
        });
        assert_eq!(ranges, restarted);
        let ranges = after_a_cut(|stream, body| {
            let range = format!("bytes */{}", body.len());
            let headers = [length(0), ("Content-Range", range)];
            answer(stream, "416 Range Not Satisfiable", &headers, b"");
        });
        assert_eq!(ranges, restarted);
    }

    #[test]
    fn a_continuation_that_lies_is_found_by_the_sum_and_fetched_again() {
        let body = body();
        let served = body.clone();
        let server = Server::new(move |number, asked, stream| match number {
            0 => answer_cut(stream, &served, &[etag("one")]),
            1 => {
                let mut other = served.clone();
                other[99_999] ^= 1;
                answer_rest(stream, &other, 41_000, 41_000, "one");
            }
            _ => answer_properly(asked, stream, &served),
        });
        let (_folder, target) = folder();
        fetch(&remote(&[server.url()], &body), &target).unwrap();
        assert_only(&target, &body);
        assert_eq!(server.asked()[2].offset(), None);
    }

    #[test]
    fn a_page_in_the_place_of_the_file_is_refused() {
        let cases: [(&str, &[u8]); 3] = [
            ("text/html; charset=utf-8", b"virus scan warning"),
            (
                "application/octet-stream",
                b"\xef\xbb\xbf \r\n<!DOCTYPE html><p>log in",
            ),
            ("application/zip", b"<HTML><body>quota"),
        ];
        for (content_type, page) in cases {
            let server = Server::new(move |_, _, stream| {
                let headers = [
                    length(page.len()),
                    ("Content-Type", content_type.to_owned()),
                ];
                answer(stream, "200 OK", &headers, page);
            });
            let (folder, target) = folder();
            let failed = fetch(&without_sum(&[server.url()]), &target);
            let message = message_of(failed, Kind::Download);
            assert!(message.contains(&server.url()), "{message}");
            assert!(message.contains("web page"), "{message}");
            assert_eq!(server.asked().len(), 1);
            assert!(names_in(folder.path()).is_empty());

            let page_target = folder.path().join("page.HTML");
            fetch(&without_sum(&[server.url()]), &page_target).unwrap();
            assert_eq!(fs::read(&page_target).unwrap(), page);
        }
    }

    #[test]
    fn a_page_costs_nothing_that_has_arrived() {
        let body = body();
        let served = body.clone();
        let server = Server::new(move |number, asked, stream| match number {
            0 => answer_cut(stream, &served, &[etag("one")]),
            1 => answer(stream, "200 OK", &[length(6)], b"<html>"),
            _ => answer_properly(asked, stream, &served),
        });
        let (folder, target) = folder();
        let wanted = remote(&[server.url()], &body);
        message_of(fetch(&wanted, &target), Kind::Download);
        let part = the_part(folder.path());
        assert_eq!(fs::read(part.join("data")).unwrap(), body[..cut(&body)]);
        fetch(&wanted, &target).unwrap();
        assert_only(&target, &body);
        assert_eq!(server.asked()[2].offset(), Some(cut(&body)));
    }

    #[test]
    fn a_compressed_answer_is_refused() {
        let server = Server::new(|_, _, stream| {
            let headers = [length(3), ("Content-Encoding", "gzip".to_owned())];
            answer(stream, "200 OK", &headers, b"abc");
        });
        let (folder, target) = folder();
        let message = message_of(
            fetch(&without_sum(&[server.url()]), &target),
            Kind::Download,
        );
        assert!(message.contains("gzip"), "{message}");
        assert!(names_in(folder.path()).is_empty());
    }

    #[test]
    fn a_missing_file_leads_to_the_next_mirror_at_once() {
        let body = body();
        let missing = Server::new(|number, _, stream| {
            let status = ["404 Not Found", "403 Forbidden"][number];
            answer(stream, status, &[length(0)], b"");
        });
        let served = body.clone();
        let server = Server::new(move |_, asked, stream| answer_properly(asked, stream, &served));
        let (_folder, target) = folder();
        let mirrors = [missing.url(), missing.url(), server.url()];
        fetch(&remote(&mirrors, &body), &target).unwrap();
        assert_only(&target, &body);
        assert_eq!(missing.asked().len(), 2);
    }

    #[test]
    fn a_busy_site_is_asked_again_after_the_pause_it_asks_for() {
        let body = body();
        let served = body.clone();
        let server = Server::new(move |number, asked, stream| {
            let later = |seconds: &str| [length(0), ("Retry-After", seconds.to_owned())];
            match number {
                0 => answer(stream, "429 Too Many Requests", &later("1"), b""),
                1 => answer(stream, "503 Service Unavailable", &later("0"), b""),
                _ => answer_properly(asked, stream, &served),
            }
        });
        let (_folder, target) = folder();
        let started = Instant::now();
        fetch(&remote(&[server.url()], &body), &target).unwrap();
        assert_only(&target, &body);
        // One second was asked for, 0.2 is the most; the pause of our own would be 0.005.
        let took = started.elapsed();
        assert!(
            took >= Duration::from_millis(200) && took < Duration::from_millis(900),
            "{took:?}"
        );
    }

    #[test]
    fn attempts_are_limited_and_every_reason_is_named() {
        let broken = Server::new(|_, _, stream| {
            answer(stream, "500 Internal Server Error", &[length(0)], b"");
        });
        // A port where nobody listens any more.
        let closed = {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            format!("http://{}/{FILE}", listener.local_addr().unwrap())
        };
        let body = body();
        let with_password = broken.url().replace("http://", "http://name:secret@");
        let mirrors = [with_password, closed.clone(), "ftp://example.org/x".into()];
        let wanted = remote(&mirrors, &body);
        let (folder, target) = folder();
        let message = message_of(fetch(&wanted, &target), Kind::Download);
        assert_eq!(broken.asked().len(), 3);
        let lines: Vec<&str> = message.lines().collect();
        assert_eq!(lines[0], "cannot download weights.bin:");
        assert!(
            lines[1].contains(&broken.url()) && lines[1].contains("500"),
            "{message}"
        );
        assert!(!message.contains("secret"), "{message}");
        assert!(
            lines[2].contains(&closed) && lines[2].contains("refused"),
            "{message}"
        );
        assert!(lines[3].contains("ftp"), "{message}");
        assert!(lines[4].contains(&wanted.by_hand), "{message}");
        assert!(
            lines[5].contains(target.to_str().unwrap()) && lines[5].contains(&sum_of(&body)),
            "{message}"
        );
        assert!(names_in(folder.path()).is_empty());
    }

    #[test]
    fn an_announced_length_that_is_too_short_is_mended_by_range() {
        let body = body();
        let served = body.clone();
        let server = Server::new(move |number, asked, stream| match number {
            0 => answer(stream, "200 OK", &[length(50_000), etag("one")], &served),
            _ => answer_properly(asked, stream, &served),
        });
        let (_folder, target) = folder();
        let mut wanted = remote(&[server.url()], &body);
        wanted.bytes = Some(100_000);
        fetch(&wanted, &target).unwrap();
        assert_only(&target, &body);
        assert_eq!(server.asked()[1].offset(), Some(50_000));
    }

    #[test]
    fn an_announced_length_that_is_too_long_does_not_matter_once_all_is_there() {
        let body = body();
        let served = body.clone();
        let server = Server::new(move |_, _, stream| {
            answer(stream, "200 OK", &[length(150_000), etag("one")], &served);
        });
        let (_folder, target) = folder();
        let mut wanted = remote(&[server.url()], &body);
        wanted.bytes = Some(100_000);
        fetch(&wanted, &target).unwrap();
        assert_only(&target, &body);
        assert_eq!(server.asked().len(), 1);

        // Without the true size, the announced one is all there is, and the file is not whole.
        fs::remove_file(&target).unwrap();
        wanted.bytes = None;
        let message = message_of(fetch(&wanted, &target), Kind::Download);
        assert!(message.contains("100000 of 150000"), "{message}");
    }

    #[test]
    fn too_many_bytes_are_refused() {
        let body = body();
        let server = Server::new(move |_, _, stream| {
            answer(stream, "200 OK", &[etag("one")], &body);
        });
        let (folder, target) = folder();
        let mut wanted = without_sum(&[server.url()]);
        wanted.bytes = Some(99_999);
        let message = message_of(fetch(&wanted, &target), Kind::Download);
        assert!(message.contains("99999 bytes expected"), "{message}");
        wanted.bytes = None;
        wanted.most_bytes = 80_000;
        let message = message_of(fetch(&wanted, &target), Kind::Download);
        assert!(message.contains("80000 bytes allowed"), "{message}");
        assert_eq!(server.asked().len(), 2);
        assert!(names_in(folder.path()).is_empty());

        let server = Server::new(move |_, _, stream| {
            answer(stream, "200 OK", &[length(80_001)], b"");
        });
        wanted.mirrors = vec![server.url()];
        let message = message_of(fetch(&wanted, &target), Kind::Download);
        assert!(message.contains("announces 80001 bytes"), "{message}");
    }

    /// A chunked answer of pieces of 7,000 bytes; without its end where `whole` is false.
    fn answer_chunked(stream: &mut TcpStream, body: &[u8], whole: bool) {
        let headers = [("Transfer-Encoding", "chunked".to_owned()), etag("one")];
        answer(stream, "200 OK", &headers, b"");
        for piece in body.chunks(7_000) {
            let _ = write!(stream, "{:x}\r\n", piece.len());
            let _ = stream.write_all(piece);
            let _ = stream.write_all(b"\r\n");
        }
        if whole {
            let _ = stream.write_all(b"0\r\n\r\n");
        }
    }

    #[test]
    fn a_chunked_answer_works_and_a_cut_in_it_is_resumed() {
        let body = body();
        let served = body.clone();
        let server = Server::new(move |number, asked, stream| match number {
            0 => answer_chunked(stream, &served[..40_000], false),
            1 => answer_properly(asked, stream, &served),
            _ => answer_chunked(stream, &served, true),
        });
        let (_folder, target) = folder();
        fetch(&remote(&[server.url()], &body), &target).unwrap();
        assert_only(&target, &body);
        assert_eq!(server.asked()[1].offset(), Some(40_000));
        fs::remove_file(&target).unwrap();
        fetch(&remote(&[server.url()], &body), &target).unwrap();
        assert_only(&target, &body);
    }

    #[test]
    fn a_stalled_site_is_given_up_and_resumed() {
        let body = body();
        let served = body.clone();
        let server = Server::new(move |number, asked, stream| match number {
            0 => {
                answer_cut(stream, &served, &[etag("one")]);
                std::thread::sleep(Duration::from_secs(3));
            }
            1 => std::thread::sleep(Duration::from_secs(3)),
            _ => answer_properly(asked, stream, &served),
        });
        let (_folder, target) = folder();
        let started = Instant::now();
        fetch(&remote(&[server.url()], &body), &target).unwrap();
        assert_only(&target, &body);
        assert!(started.elapsed() < Duration::from_secs(2));
        assert_eq!(server.asked()[2].offset(), Some(cut(&body)));

        let silent = Server::new(|_, _, _| std::thread::sleep(Duration::from_secs(3)));
        fs::remove_file(&target).unwrap();
        let failed = fetch(&remote(&[silent.url()], &body), &target);
        let message = message_of(failed, Kind::Download);
        assert!(message.contains("nothing came for 300ms"), "{message}");
    }

    #[test]
    fn redirects_are_followed_but_not_for_ever() {
        let body = body();
        let served = body.clone();
        let server = Server::new(move |_, asked, stream| {
            let step: Option<u32> = asked.path.strip_prefix("/step").map(|n| n.parse().unwrap());
            match step {
                Some(5) => answer_properly(asked, stream, &served),
                other => {
                    let next = format!("/step{}", other.map_or(1, |step| step + 1));
                    answer(stream, "302 Found", &[length(0), ("Location", next)], b"");
                }
            }
        });
        let (folder, target) = folder();
        fetch(&remote(&[server.url()], &body), &target).unwrap();
        assert_only(&target, &body);
        assert_eq!(server.asked().len(), 6);

        let turning = Server::new(|_, asked, stream| {
            let headers = [length(0), ("Location", asked.path.clone())];
            answer(stream, "307 Temporary Redirect", &headers, b"");
        });
        fs::remove_file(&target).unwrap();
        let failed = fetch(&remote(&[turning.url()], &body), &target);
        let message = message_of(failed, Kind::Download);
        assert!(message.contains("more than 5"), "{message}");
        assert_eq!(turning.asked().len(), 6);

        let leading_away = Server::new(|_, _, stream| {
            let next = "http://example.org/weights.bin".to_owned();
            answer(stream, "302 Found", &[length(0), ("Location", next)], b"");
        });
        let failed = fetch(&without_sum(&[leading_away.url()]), &target);
        let message = message_of(failed, Kind::Download);
        assert!(message.contains("plain http to example.org"), "{message}");
        assert!(names_in(folder.path()).is_empty());
    }

    #[test]
    fn only_safe_addresses_are_asked() {
        let url = |text: &str| Url::parse(text).unwrap();
        for (address, known, unknown) in [
            ("https://example.org/a", true, true),
            ("http://example.org/a", true, false),
            ("http://127.0.0.1:8/a", true, true),
            ("http://[::1]/a", true, true),
            ("http://localhost/a", true, true),
            ("http://127.0.0.1.example.org/a", true, false),
            ("http://localhost.example.org/a", true, false),
            ("file:///etc/passwd", false, false),
        ] {
            assert_eq!(check_address(&url(address), true).is_ok(), known);
            assert_eq!(check_address(&url(address), false).is_ok(), unknown);
        }
        for (from, to, known, unknown) in [
            ("https://a.org/", "https://b.org/", true, true),
            ("https://a.org/", "http://b.org/", false, false),
            ("https://a.org/", "http://127.0.0.1/", true, true),
            ("http://127.0.0.1/", "http://b.org/", true, false),
            ("http://a.org/", "http://b.org/", true, false),
            ("https://a.org/", "file:///etc/passwd", false, false),
        ] {
            assert_eq!(check_redirect(&url(from), &url(to), true).is_ok(), known);
            assert_eq!(check_redirect(&url(from), &url(to), false).is_ok(), unknown);
        }
    }

    #[test]
    fn a_client_for_https_can_be_made_with_the_built_in_cryptography() {
        // Without any root certificate on the machine this gives a message, and must not panic.
        let mut clients = Clients::new(&patience());
        if let Err(trouble) = clients.of(&Url::parse("https://example.org/").unwrap()) {
            let Trouble::NextMirror(reason) = trouble else {
                panic!("another trouble");
            };
            assert!(reason.contains("ca-certificates"), "{reason}");
        }
    }

    #[test]
    fn another_file_is_set_aside_and_the_next_mirror_tried() {
        let body = body();
        let mut other = body.clone();
        other[5] ^= 1;
        let (served, served_wrong) = (body.clone(), other.clone());
        let wrong =
            Server::new(move |_, asked, stream| answer_properly(asked, stream, &served_wrong));
        let right = Server::new(move |_, asked, stream| answer_properly(asked, stream, &served));
        let (folder, target) = folder();
        let failed = fetch(&remote(&[wrong.url()], &body), &target);
        let message = message_of(failed, Kind::Download);
        assert!(
            message.contains(&sum_of(&body)) && message.contains(&sum_of(&other)),
            "{message}"
        );
        assert!(message.contains("weights.bin.bad"), "{message}");
        assert_eq!(names_in(folder.path()), ["weights.bin.bad"]);

        fetch(&remote(&[wrong.url(), right.url()], &body), &target).unwrap();
        assert_eq!(names_in(folder.path()), [FILE, "weights.bin.bad"]);
        assert_eq!(fs::read(&target).unwrap(), body);
        let bad = folder.path().join("weights.bin.bad");
        assert_eq!(fs::read(bad).unwrap(), other);
        assert_eq!(wrong.asked().len(), 2);
    }

    #[test]
    fn a_file_in_place_is_checked_and_never_replaced() {
        let body = body();
        let (folder, target) = folder();
        let mut wanted = remote(&[], &body);
        wanted.sha256 = Some(sum_of(&body).to_uppercase());
        fs::write(&target, &body).unwrap();
        let found = fetch(&wanted, &target).unwrap();
        assert!(found.already && found.was_known);
        assert_eq!((found.bytes, found.sha256), (100_000, sum_of(&body)));
        assert_only(&target, &body);

        fs::write(&target, b"my own").unwrap();
        let message = message_of(fetch(&wanted, &target), Kind::Data);
        assert!(
            message.contains(&sum_of(b"my own")) && message.contains(&sum_of(&body)),
            "{message}"
        );
        assert!(message.contains("remove the file"), "{message}");
        assert_only(&target, b"my own");

        fs::remove_file(&target).unwrap();
        fs::create_dir(&target).unwrap();
        message_of(fetch(&wanted, &target), Kind::Data);
        wanted.sha256 = Some("abc".to_owned());
        message_of(fetch(&wanted, &target), Kind::Usage);
        message_of(fetch(&wanted, &folder.path().join("..")), Kind::Usage);
    }

    #[test]
    fn an_unknown_sum_is_recorded_and_compared_later() {
        let body = body();
        let served = body.clone();
        let server = Server::new(move |number, asked, stream| {
            let mut served = served.clone();
            served[0] ^= u8::from(number > 0);
            answer_properly(asked, stream, &served);
        });
        let (folder, target) = folder();
        let record = folder.path().join("weights.bin.sha256");
        let wanted = without_sum(&[server.url()]);
        let done = fetch(&wanted, &target).unwrap();
        assert!(!done.already && !done.was_known);
        let text = fs::read_to_string(&record).unwrap();
        assert_eq!(text, format!("{}  weights.bin\n", sum_of(&body)));
        let found = fetch(&wanted, &target).unwrap();
        assert!(found.already && found.was_known);

        // The site gives another file from now on: only the record can tell.
        fs::remove_file(&target).unwrap();
        let message = message_of(fetch(&wanted, &target), Kind::Download);
        assert!(message.contains("recorded in"), "{message}");
        assert_eq!(
            names_in(folder.path()),
            ["weights.bin.bad", "weights.bin.sha256"]
        );

        fs::write(&target, b"changed").unwrap();
        let message = message_of(fetch(&wanted, &target), Kind::Data);
        assert!(message.contains("weights.bin.sha256"), "{message}");
        fs::write(&record, "nonsense\n").unwrap();
        message_of(fetch(&wanted, &target), Kind::Data);

        // A file put there by hand, of which nothing is known: its sum counts from now on.
        fs::remove_file(&record).unwrap();
        let found = fetch(&wanted, &target).unwrap();
        assert!(found.already && !found.was_known);
        assert!(record.exists());

        // But not if its size is wrong.
        fs::remove_file(&record).unwrap();
        let mut sized = wanted.clone();
        sized.bytes = Some(100_000);
        message_of(fetch(&sized, &target), Kind::Data);
        assert!(!record.exists());
    }

    #[test]
    fn an_empty_answer_is_no_file() {
        let server = Server::new(|_, _, stream| answer(stream, "200 OK", &[], b""));
        let (folder, target) = folder();
        let failed = fetch(&without_sum(&[server.url()]), &target);
        message_of(failed, Kind::Download);
        assert!(names_in(folder.path()).is_empty());
    }

    #[test]
    fn a_part_is_resumed_by_a_later_call_only_where_it_still_fits() {
        let body = body();
        // What is done to the part in between, and whether it can still be resumed.
        type Change = fn(&Path, &mut Remote);
        let cases: [(Change, bool); 6] = [
            (|_, _| {}, true),
            (
                |part, _| fs::remove_file(part.join("state")).unwrap(),
                false,
            ),
            (
                |part, _| fs::write(part.join("state"), "half a li").unwrap(),
                false,
            ),
            (|_, wanted| wanted.mirrors[0].push_str("?other"), false),
            (|_, wanted| wanted.bytes = Some(77), false),
            (
                // Another boot, and no sum that would show lost bytes.
                |part, wanted| {
                    let state = fs::read_to_string(part.join("state")).unwrap();
                    let (kept, _) = state.split_once("boot").unwrap();
                    fs::write(part.join("state"), format!("{kept}boot another\n")).unwrap();
                    wanted.sha256 = None;
                },
                false,
            ),
        ];
        for (number, (change, resumable)) in cases.into_iter().enumerate() {
            let served = body.clone();
            let server = Server::new(move |number, asked, stream| match number {
                0 => answer_cut(stream, &served, &[etag("one")]),
                _ => answer_properly(asked, stream, &served),
            });
            let (folder, target) = folder();
            let mut once = patience();
            once.attempts = 1;
            let mut wanted = remote(&[server.url()], &body);
            let failed = download(&wanted, &target, &once, &mut |_, _| {});
            message_of(failed, Kind::Download);
            change(&the_part(folder.path()), &mut wanted);
            let result = fetch(&wanted, &target);
            let offset = resumable.then(|| cut(&body));
            assert_eq!(server.asked()[1].offset(), offset, "case {number}");
            if wanted.bytes == Some(77) {
                message_of(result, Kind::Download);
                assert!(names_in(folder.path()).is_empty());
            } else {
                result.unwrap();
                assert_eq!(fs::read(&target).unwrap(), body);
                let names = names_in(folder.path());
                assert!(names.iter().all(|name| !name.contains("part")), "{names:?}");
            }
        }
    }

    #[test]
    fn a_part_that_is_complete_is_confirmed_by_the_site() {
        let body = body();
        let served = body.clone();
        let server = Server::new(move |_, asked, stream| answer_properly(asked, stream, &served));
        let (folder, target) = folder();
        let left = folder.path().join(".weights.bin.part-4194999-1");
        fs::create_dir(&left).unwrap();
        fs::write(left.join("data"), &body).unwrap();
        let state = State {
            url: server.url(),
            etag: "\"one\"".to_owned(),
            total: Some(100_000),
            boot: None,
        };
        fs::write(left.join("state"), state.to_text()).unwrap();
        // A shorter part of another ended process, and one of a process that died at the start.
        let shorter = folder.path().join(".weights.bin.part-4194998-1");
        fs::create_dir(&shorter).unwrap();
        fs::write(shorter.join("data"), &body[..10]).unwrap();
        fs::write(shorter.join("state"), state.to_text()).unwrap();
        if cfg!(target_os = "linux") {
            fs::create_dir(folder.path().join(".weights.bin.part-4194997-1")).unwrap();
        }
        fetch(&remote(&[server.url()], &body), &target).unwrap();
        assert_only(&target, &body);
        let ranges: Vec<_> = server.asked().iter().map(Asked::offset).collect();
        assert_eq!(ranges, [Some(99_999)]);
    }

    #[test]
    fn a_part_in_use_is_left_alone() {
        let body = body();
        let served = body.clone();
        let server = Server::new(move |_, asked, stream| answer_properly(asked, stream, &served));
        let (folder, target) = folder();
        let place = Place::of(&target).unwrap();
        let mut other = Part::new(&place).unwrap();
        let _ = other.append(b"not yet finished");
        fetch(&remote(&[server.url()], &body), &target).unwrap();
        assert_eq!(
            fs::read(other.path.join("data")).unwrap(),
            b"not yet finished"
        );
        drop(other);
        assert_only(&target, &body);
        drop(folder);
    }

    #[test]
    fn a_file_that_appears_meanwhile_stays() {
        let body = body();
        for (other, same) in [(body.clone(), true), (b"another".to_vec(), false)] {
            let (folder, target) = folder();
            let (served, placed, place) = (body.clone(), other.clone(), target.clone());
            let server = Server::new(move |_, _, stream| {
                fs::write(&place, &placed).unwrap();
                answer(stream, "200 OK", &[length(served.len())], &served);
            });
            let result = fetch(&without_sum(&[server.url()]), &target);
            assert_eq!(fs::read(&target).unwrap(), other);
            if same {
                let found = result.unwrap();
                assert!(found.already && !found.was_known);
                assert_eq!(names_in(folder.path()), [FILE, "weights.bin.sha256"]);
            } else {
                let message = message_of(result, Kind::Data);
                assert!(message.contains(&sum_of(&body)), "{message}");
                assert_only(&target, b"another");
            }
        }
    }

    #[test]
    fn what_a_process_abandons_meanwhile_is_removed() {
        let body = body();
        let (folder, target) = folder();
        let left = folder.path().join(".weights.bin.part-4194996-1");
        let served = body.clone();
        let server = Server::new(move |_, asked, stream| {
            fs::create_dir(&left).unwrap();
            fs::write(left.join("data"), b"half").unwrap();
            answer_properly(asked, stream, &served);
        });
        fetch(&remote(&[server.url()], &body), &target).unwrap();
        assert_only(&target, &body);
    }

    #[test]
    fn a_folder_that_cannot_be_written_is_a_disk_failure() {
        let (folder, _) = folder();
        let file = folder.path().join("file");
        fs::write(&file, b"").unwrap();
        let wanted = without_sum(&[]);
        message_of(fetch(&remote(&[], b""), &file.join("x")), Kind::Disk);

        let place = Place::of(&folder.path().join(FILE)).unwrap();
        let mut part = Part::new(&place).unwrap();
        part.file = File::open(part.path.join("data")).unwrap();
        let Err(Trouble::Local(error)) = part.append(b"abc") else {
            panic!("written to a file that cannot be written");
        };
        assert_eq!(exit_code(&error), Kind::Disk.exit_code());
        drop(part);
        assert_eq!(names_in(folder.path()), ["file"]);

        let (folder, target) = self::folder();
        let message = message_of(fetch(&wanted, &target), Kind::Download);
        assert!(message.contains("no address is known"), "{message}");
        assert!(names_in(folder.path()).is_empty());
    }

    #[test]
    fn ranges_and_tags_are_read_strictly() {
        assert_eq!(content_range("bytes 5-9/10"), Some((5, 9, 10)));
        for wrong in [
            "bytes 5-9/*",
            "bytes */10",
            "bytes 5-10/10",
            "bytes 9-5/10",
            "items 5-9/10",
            "bytes +5-9/10",
            "bytes -9/10",
            "5-9/10",
            "",
        ] {
            assert_eq!(content_range(wrong), None, "{wrong}");
        }
        assert_eq!(strong_etag("\"a\"").as_deref(), Some("\"a\""));
        for wrong in ["W/\"a\"", "a", "\"\"", "\"", "\"a\", \"b\"", ""] {
            assert_eq!(strong_etag(wrong), None, "{wrong}");
        }
    }

    /// Not a test of its own: what the tests with several processes run in each of them.
    #[test]
    #[ignore = "started by other tests"]
    fn a_process_of_its_own() {
        let variables = (
            std::env::var(ADDRESS_VARIABLE),
            std::env::var(TARGET_VARIABLE),
        );
        let (Ok(address), Ok(target)) = variables else {
            return;
        };
        let mut long = patience();
        long.read = Duration::from_secs(20);
        let wanted = remote(&[address], &body());
        download(&wanted, Path::new(&target), &long, &mut |_, _| {}).unwrap();
    }

    fn start_process(address: &str, target: &Path) -> Child {
        let (_, module) = module_path!().split_once("::").unwrap();
        let test = format!("{module}::a_process_of_its_own");
        Command::new(std::env::current_exe().unwrap())
            .args(["--exact", &test, "--ignored"])
            .env(ADDRESS_VARIABLE, address)
            .env(TARGET_VARIABLE, target)
            .stdout(Stdio::null())
            .spawn()
            .unwrap()
    }

    /// Waits for something that another process or thread does.
    #[track_caller]
    fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
        let started = Instant::now();
        while !is_so() {
            assert!(started.elapsed() < Duration::from_secs(8), "{what}");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    #[test]
    fn a_killed_process_is_resumed_by_the_next() {
        let body = body();
        let served = body.clone();
        let server = Server::new(move |number, asked, stream| match number {
            0 => {
                answer_cut(stream, &served, &[etag("one")]);
                std::thread::sleep(Duration::from_secs(15));
            }
            _ => answer_properly(asked, stream, &served),
        });
        let (folder, target) = folder();
        let mut first = start_process(&server.url(), &target);
        let place = Place::of(&target).unwrap();
        wait_until("41 % have arrived", || {
            let parts = place.parts();
            let data = parts.first().map(|(path, _)| path.join("data"));
            let arrived = data.and_then(|data| fs::metadata(data).ok());
            arrived.is_some_and(|arrived| arrived.len() == cut(&body) as u64)
        });
        first.kill().unwrap();
        first.wait().unwrap();
        the_part(folder.path());

        let mut second = start_process(&server.url(), &target);
        assert!(second.wait().unwrap().success());
        assert_only(&target, &body);
        let ranges: Vec<_> = server.asked().iter().map(Asked::offset).collect();
        assert_eq!(ranges, [None, Some(cut(&body))]);
    }

    #[test]
    fn two_processes_at_once_make_one_file() {
        let body = body();
        let served = body.clone();
        let both = Arc::new(std::sync::Barrier::new(2));
        let server = Server::new(move |_, asked, stream| {
            // Neither gets a byte before both have begun.
            both.wait();
            answer_properly(asked, stream, &served);
        });
        let (_folder, target) = folder();
        let mut processes = [(); 2].map(|()| start_process(&server.url(), &target));
        for process in &mut processes {
            assert!(process.wait().unwrap().success());
        }
        assert_only(&target, &body);
        assert_eq!(server.asked().len(), 2);
    }
}
