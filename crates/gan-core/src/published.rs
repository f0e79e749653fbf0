//! The verb `weights`: files of trained weights that others have published, fetched once and used by name.
//!
//! The list is `published.toml`.

use crate::checkpoint::sha256;
use crate::command::print;
use crate::console::{Console, Voice};
use crate::dataset;
use crate::download::{Remote, forget_sum};
use crate::failure::{Kind, failure};
use crate::regular;
use anyhow::Result;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

/// A published file of weights.
#[derive(Debug, Clone, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Published {
    /// What a user types.
    pub name: String,
    /// The architecture that reads it.
    pub word: String,
    /// What it is.
    pub about: String,
    /// Its licence, as its publishers state it.
    pub licence: String,
    /// Where it lies, tried in this order; the last part of the first is its file's name.
    pub mirrors: Vec<String>,
    /// Its sha256, or as many leading digits as its publishers put into its name; empty where they put none.
    pub sha256: String,
    /// Its size in MB, about.
    pub megabytes: u64,
}

#[derive(serde::Deserialize)]
struct List {
    published: Vec<Published>,
}

/// Every published file that is known, by architecture.
pub fn all() -> &'static [Published] {
    static ALL: LazyLock<Vec<Published>> = LazyLock::new(|| {
        let list: List =
            toml::from_str(include_str!("../published.toml")).expect("a list that a test reads");
        list.published
    });
    &ALL
}

/// The folder of fetched weights: `$GAN_CACHE`, else `gan` in `$XDG_CACHE_HOME` or `~/.cache`.
pub fn cache() -> PathBuf {
    let place = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
    if let Some(folder) = place("GAN_CACHE") {
        return folder.into();
    }
    let folder = place("XDG_CACHE_HOME").map(PathBuf::from);
    let folder = folder.or_else(|| std::env::home_dir().map(|home| home.join(".cache")));
    folder.unwrap_or_else(std::env::temp_dir).join("gan")
}

impl Published {
    /// The name of its file.
    pub fn file(&self) -> &str {
        let first = self.mirrors.first().unwrap_or(&self.name);
        first.rsplit('/').next().unwrap_or(first)
    }

    /// Its place in the cache. Files of one name belong to different architectures.
    fn place(&self) -> PathBuf {
        cache().join(&self.word).join(self.file())
    }

    /// The places where the file is already, whatever it holds: in the cache, or where `torch.hub` keeps its
    /// downloads.
    fn places(&self) -> impl Iterator<Item = PathBuf> {
        let home = std::env::var_os("TORCH_HOME")
            .map(PathBuf::from)
            .or_else(|| std::env::home_dir().map(|home| home.join(".cache/torch")));
        // torch.hub keeps the name of the address, and mirrors differ in it.
        let names = self.mirrors.iter().filter_map(|url| url.rsplit('/').next());
        let hub = home.into_iter().flat_map(move |home| {
            let folder = home.join("hub/checkpoints");
            names
                .clone()
                .map(move |name| folder.join(name))
                .collect::<Vec<_>>()
        });
        std::iter::once(self.place())
            .chain(hub)
            .filter(|path| path.is_file())
    }

    /// The file, if it is here already and is the one that was published, as far as its sum is known. What
    /// only has its name is passed over, with a warning.
    pub fn found(&self, console: &Console) -> Option<PathBuf> {
        self.places().find(|place| self.is_whole(place, console))
    }

    fn is_whole(&self, place: &Path, console: &Console) -> bool {
        if self.sha256.is_empty() {
            return true;
        }
        let sum = regular::read(Kind::Download, place, 4_000_000 * self.megabytes.max(1))
            .map(|bytes| sha256(&bytes));
        match sum {
            Ok(sum) if sum.starts_with(&self.sha256) => return true,
            Ok(sum) => console.warn(&format!(
                "{} has the sha256 {sum}, and {} begins with {}: passed over, remove it",
                place.display(),
                self.name,
                self.sha256
            )),
            Err(error) => console.warn(&format!("{error:#}: passed over")),
        }
        false
    }

    /// Fetches the file into the cache and gives its place.
    ///
    /// # Errors
    /// [`Kind::Download`] with each mirror's reason and how to get the file by hand.
    pub fn fetch(&self, console: &Console) -> Result<PathBuf> {
        let target = self.place();
        if let Some(folder) = target.parent() {
            std::fs::create_dir_all(folder)
                .map_err(|error| crate::failure::at_path(Kind::Disk, "create", folder, &error))?;
        }
        let is_whole = self.sha256.len() == 64;
        let remote = Remote {
            file: self.file().to_owned(),
            mirrors: self.mirrors.clone(),
            sha256: is_whole.then(|| self.sha256.clone()),
            bytes: None,
            most_bytes: 2 * self.megabytes * 1_000_000,
            by_hand: format!("{} ({})", self.about, self.licence),
        };
        let sum = dataset::get(&remote, &target, console)?;
        if !sum.starts_with(&self.sha256) {
            let bad = target.with_extension("bad");
            let _ = std::fs::rename(&target, &bad);
            forget_sum(&target);
            return Err(failure(
                Kind::Download,
                format!(
                    "{} has the sha256 {sum}, and its name promises one that begins with {}: moved to {}",
                    target.display(),
                    self.sha256,
                    bad.display()
                ),
            ));
        }
        Ok(target)
    }
}

/// The published file of an architecture that is called `name`.
///
/// # Errors
/// [`Kind::Usage`] for an unknown name, with the nearest ones.
pub fn find(word: &str, name: &str) -> Result<&'static Published> {
    let known = || {
        all()
            .iter()
            .filter(|published| word.is_empty() || published.word == word)
    };
    known()
        .find(|published| published.name == name)
        .ok_or_else(|| {
            let nearest = known()
                .map(|published| published.name.as_str())
                .max_by(|a, b| strsim::jaro(a, name).total_cmp(&strsim::jaro(b, name)));
            failure(
                Kind::Usage,
                format!(
                    "no published weights are called {name}{}; `weights list` shows all",
                    nearest.map_or(String::new(), |nearest| format!(
                        ": did you mean {nearest}?"
                    ))
                ),
            )
        })
}

/// `weights`.
#[derive(Debug, Clone, clap::Subcommand)]
pub enum WeightsCommand {
    /// Published weights: what they are, how large, under which licence, and whether they are here.
    List,
    /// Fetch published weights into the cache ($GAN_CACHE, or ~/.cache/gan).
    Download {
        /// Which, as `weights list` calls them; ARCHITECTURE/NAME where two share a name.
        name: String,
    },
}

impl WeightsCommand {
    /// Does what was asked.
    ///
    /// # Errors
    /// [`Kind::Usage`] for an unknown name, [`Kind::Download`], [`Kind::Disk`].
    pub fn run(&self) -> Result<()> {
        match self {
            Self::List => {
                print(&table());
                Ok(())
            }
            Self::Download { name } => {
                let (word, name) = name.split_once('/').unwrap_or(("", name));
                let published = find(word, name)?;
                let place = published.fetch(&Console::new(Voice::Normal))?;
                print(&place.display().to_string());
                Ok(())
            }
        }
    }
}

fn table() -> String {
    let mut lines = vec![format!(
        "{:<9} {:<24} {:>5}  {:<4}  what it is; licence; sha256",
        "for", "name", "MB", "here"
    )];
    for published in all() {
        let sum = match published.sha256.as_str() {
            "" => "not published",
            sum => sum,
        };
        lines.push(format!(
            "{:<9} {:<24} {:>5}  {:<4}  {}; {}; {sum}",
            published.word,
            published.name,
            published.megabytes,
            if published.places().next().is_some() {
                "yes"
            } else {
                "no"
            },
            published.about,
            published.licence,
        ));
    }
    lines.push(format!("cache: {}", cache().display()));
    lines.join("\n")
}

/// The file that a `--weights` flag means: a path, or the name of published weights, fetched if need be.
///
/// # Errors
/// As [`find`] and [`Published::fetch`].
pub fn file_or_name(word: &str, text: &str, console: &Console) -> Result<PathBuf> {
    if Path::new(text).exists() {
        return Ok(text.into());
    }
    let published = find(word, text)?;
    match published.found(console) {
        Some(place) => Ok(place),
        None => published.fetch(console),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_for_each_architecture_and_sums_are_sums() {
        let mut seen = std::collections::BTreeSet::new();
        for published in all() {
            assert!(
                seen.insert((&published.word, &published.name)),
                "{}",
                published.name
            );
            assert!(
                published
                    .sha256
                    .chars()
                    .all(|digit| digit.is_ascii_hexdigit())
            );
            assert!(
                published.sha256.is_empty() || published.file().contains(&published.sha256[..8])
            );
            let is_safe = |url: &String| url.starts_with("https://");
            assert!(published.mirrors.iter().all(is_safe), "{}", published.name);
        }
        assert_eq!(
            find("cyclegan", "horse2zebra").unwrap().file(),
            "horse2zebra.pth"
        );
        let error = find("cyclegan", "horse2zebr").unwrap_err().to_string();
        assert!(error.contains("did you mean horse2zebra?"), "{error}");
    }

    #[test]
    fn a_file_that_only_has_the_name_is_passed_over() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("weights.pth");
        std::fs::write(&file, "abc").unwrap();
        let mut published = find("cyclegan", "horse2zebra").unwrap().clone();
        let console = Console::new(Voice::Quiet);
        for (sum, expected) in [("", true), ("ba7816bf", true), ("ba7816be", false)] {
            published.sha256 = sum.to_owned();
            assert_eq!(published.is_whole(&file, &console), expected, "{sum}");
        }
    }

    #[test]
    fn a_path_is_taken_as_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("mine.pth");
        std::fs::write(&file, "x").unwrap();
        let text = file.display().to_string();
        let console = Console::new(Voice::Quiet);
        assert_eq!(file_or_name("cyclegan", &text, &console).unwrap(), file);
        assert!(file_or_name("cyclegan", "no-such", &console).is_err());
    }
}
