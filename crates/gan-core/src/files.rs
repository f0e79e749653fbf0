//! The files of a kind under a folder.

use crate::failure::{Kind, at_path, failure};
use anyhow::Result;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Which files are looked for.
#[derive(Debug, Clone, Copy)]
pub struct Wanted {
    /// Their endings in small letters, without the dot.
    pub endings: &'static [&'static str],
    /// What such files are, for messages: "pictures".
    pub what: &'static str,
}

impl Wanted {
    fn is(&self, path: &Path) -> bool {
        path.extension()
            .and_then(|ending| ending.to_str())
            .is_some_and(|ending| self.endings.contains(&ending.to_ascii_lowercase().as_str()))
    }
}

/// Names of files under one folder, in order, without a separate allocation for each: a million of them
/// take about as many bytes as their names.
#[derive(Debug, Clone, Default)]
pub struct Files {
    folder: PathBuf,
    names: String,
    ends: Vec<usize>,
    /// The few whose names are not Unicode; they come last.
    odd: Vec<PathBuf>,
    left_out: BTreeMap<String, usize>,
}

impl Files {
    /// How many.
    pub fn len(&self) -> usize {
        self.ends.len() + self.odd.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The folder that they lie under.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// What lies under the folder and is not among them, and how often: files by their endings, links to
    /// folders, what is no plain file. Hidden files are not counted.
    pub fn left_out(&self) -> &BTreeMap<String, usize> {
        &self.left_out
    }

    /// File `index`, from the folder on.
    ///
    /// # Panics
    /// If there are fewer files.
    pub fn name(&self, index: usize) -> &Path {
        let Some(end) = self.ends.get(index) else {
            return &self.odd[index - self.ends.len()];
        };
        let start = index.checked_sub(1).map_or(0, |before| self.ends[before]);
        Path::new(&self.names[start..*end])
    }

    /// File `index`.
    ///
    /// # Panics
    /// As [`Files::name`].
    pub fn path(&self, index: usize) -> PathBuf {
        self.folder.join(self.name(index))
    }

    fn push(&mut self, name: PathBuf) {
        match name.to_str() {
            Some(text) => {
                self.names.push_str(text);
                self.ends.push(self.names.len());
            }
            None => self.odd.push(name),
        }
    }

    fn sorted(mut self) -> Self {
        let mut order: Vec<usize> = (0..self.ends.len()).collect();
        order.sort_unstable_by_key(|index| self.name(*index));
        self.odd.sort();
        let mut sorted = Self {
            folder: std::mem::take(&mut self.folder),
            names: String::with_capacity(self.names.len()),
            ends: Vec::with_capacity(self.ends.len()),
            odd: std::mem::take(&mut self.odd),
            left_out: std::mem::take(&mut self.left_out),
        };
        for index in order {
            sorted.push(self.name(index).to_owned());
        }
        sorted
    }

    /// Calls `work` for every file on all cores, and gives the results in order.
    pub fn map<T: Send>(&self, work: impl Fn(&Path) -> T + Sync) -> Vec<T> {
        let threads = std::thread::available_parallelism().map_or(1, |count| count.get());
        let share = self.len().div_ceil(threads).max(1);
        let work = &work;
        std::thread::scope(|scope| {
            let workers: Vec<_> = (0..self.len())
                .step_by(share)
                .map(|first| {
                    let part = first..(first + share).min(self.len());
                    scope.spawn(move || part.map(|index| work(&self.path(index))).collect())
                })
                .collect();
            workers
                .into_iter()
                .flat_map(|worker| -> Vec<T> {
                    match worker.join() {
                        Ok(results) => results,
                        Err(panic) => std::panic::resume_unwind(panic),
                    }
                })
                .collect()
        })
    }
}

/// Every file of a kind under `folder`, at any depth, in path order: plain files, and links to such. Hidden
/// files and folders (and macOS's `__MACOSX`) are passed over; links to folders are not followed.
///
/// # Errors
/// A [`Kind::Data`] failure when the folder cannot be read or holds no such file.
pub fn list(folder: &Path, wanted: &Wanted) -> Result<Files> {
    let mut found = Files {
        folder: folder.to_owned(),
        ..Files::default()
    };
    let mut waiting = vec![PathBuf::new()];
    while let Some(inner) = waiting.pop() {
        let place = folder.join(&inner);
        let entries = std::fs::read_dir(&place)
            .map_err(|error| at_path(Kind::Data, "read the folder", &place, &error))?;
        for entry in entries {
            let entry = entry.map_err(|error| at_path(Kind::Data, "read", &place, &error))?;
            let name = entry.file_name();
            let text = name.to_string_lossy();
            if text.starts_with('.') || text == "__MACOSX" {
                continue;
            }
            let path = inner.join(&name);
            let other = match entry.file_type() {
                Ok(kind) if kind.is_dir() => {
                    waiting.push(path);
                    continue;
                }
                Ok(kind) if kind.is_symlink() => match place.join(&name).metadata() {
                    Ok(metadata) if metadata.is_file() => None,
                    Ok(metadata) if metadata.is_dir() => Some("links to folders"),
                    Ok(_) => Some(NO_PLAIN_FILE),
                    Err(_) => Some("links that lead nowhere"),
                },
                Ok(kind) if !kind.is_file() => Some(NO_PLAIN_FILE),
                _ => None,
            };
            match other {
                Some(other) => *found.left_out.entry(other.to_owned()).or_default() += 1,
                None if wanted.is(&path) => found.push(path),
                None => *found.left_out.entry(ending_of(&path)).or_default() += 1,
            }
        }
    }
    if found.is_empty() {
        let mut others: Vec<_> = found.left_out.iter().collect();
        others.sort_by_key(|(_, count)| std::cmp::Reverse(**count));
        let others: Vec<_> = others
            .iter()
            .take(5)
            .map(|(what, count)| format!("{what}: {count}"))
            .collect();
        return Err(failure(
            Kind::Data,
            format!(
                "there are no {} under {}; expected files ending in {} at any depth{}{}",
                wanted.what,
                folder.display(),
                wanted.endings.join(", "),
                if others.is_empty() { "" } else { ", found " },
                others.join(", ")
            ),
        ));
    }
    Ok(found.sorted())
}

const NO_PLAIN_FILE: &str = "named pipes, sockets and devices";

/// The ending of a file that is none of them, for a list.
fn ending_of(path: &Path) -> String {
    match path.extension() {
        Some(ending) => {
            let short: String = ending.to_string_lossy().chars().take(12).collect();
            format!("files ending in .{}", short.to_lowercase())
        }
        None => "files without an ending".to_owned(),
    }
}
