//! `data prepare` for faces: whose they are is kept beside the pictures that are made of them.

use super::{DATASETS, table};
use crate::train::STAGES;
use anyhow::Result;
use clap::{ArgMatches, Command, FromArgMatches, Subcommand};
use gan_core::command::SharedCommand;
use gan_core::console::{Console, Voice};
use gan_core::images;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// The verbs that all architectures have. From where to where `data prepare` goes is kept: the shared one brings pictures
/// to a shape and knows of no persons.
#[derive(Debug, Clone)]
pub struct Shared {
    command: SharedCommand,
    prepared: Option<[PathBuf; 2]>,
}

impl FromArgMatches for Shared {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let data = matches.subcommand_matches("data");
        let prepare = data.and_then(|data| data.subcommand_matches("prepare"));
        let path = |name| prepare?.get_one::<PathBuf>(name).cloned();
        Ok(Self {
            command: SharedCommand::from_arg_matches(matches)?,
            prepared: path("input").zip(path("output")).map(<[PathBuf; 2]>::from),
        })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

impl Subcommand for Shared {
    fn augment_subcommands(command: Command) -> Command {
        SharedCommand::augment_subcommands(command)
    }

    fn augment_subcommands_for_update(command: Command) -> Command {
        SharedCommand::augment_subcommands_for_update(command)
    }

    fn has_subcommand(name: &str) -> bool {
        SharedCommand::has_subcommand(name)
    }
}

impl Shared {
    /// Does what was asked.
    ///
    /// # Errors
    /// As [`SharedCommand::run`], and when a table of persons is broken or cannot be written.
    pub fn run(&self) -> Result<()> {
        let run = || self.command.run(&STAGES, &DATASETS);
        let Some([input, output]) = &self.prepared else {
            return run();
        };
        // Before the work, which a broken table would be told after.
        let persons = table::persons(input)?;
        run()?;
        if persons.is_empty() {
            return Ok(());
        }
        let kept = keep(&persons, input, output)?;
        Console::new(Voice::Normal).say(&format!(
            "{} tells whose {kept} pictures are, of {} before; the others were left out, or share a name",
            output.join(table::PERSONS).display(),
            persons.len()
        ));
        Ok(())
    }
}

/// What a picture is called before and after: without its ending, which becomes PNG's, and without its part, which
/// `--split` deals out anew.
fn key(name: &Path) -> PathBuf {
    let stem = name.with_extension("");
    let parts = ["train", "test", "valid", "val"];
    let inner = parts.iter().find_map(|part| stem.strip_prefix(part).ok());
    inner.map(Path::to_owned).unwrap_or(stem)
}

/// Writes whose the pictures under `output` are, which were made of those under `input`: into that folder and, as each may
/// be trained on alone, into its parts. Gives how many are known.
///
/// A second picture of one name has become NAME_2, or the first, if that was left out: of such, nobody is known.
fn keep(persons: &BTreeMap<PathBuf, String>, input: &Path, output: &Path) -> Result<usize> {
    let files = images::list(input)?;
    let mut sources: BTreeMap<PathBuf, Option<&String>> = BTreeMap::new();
    let mut doubled = BTreeSet::new();
    for index in 0..files.len() {
        let name = files.name(index);
        if sources.insert(key(name), persons.get(name)).is_some() {
            doubled.insert(key(name));
        }
    }
    let is_doubled = |key: &Path| {
        let text = key.to_string_lossy();
        let numbered = text.rsplit_once('_');
        doubled.contains(key)
            || numbered.is_some_and(|(first, _)| doubled.contains(Path::new(first)))
    };
    let made = images::list(output)?;
    let rows: Vec<(&Path, &String)> = (0..made.len())
        .filter_map(|index| {
            let name = made.name(index);
            let key = key(name);
            let person = (*sources.get(&key)?).filter(|_| !is_doubled(&key))?;
            Some((name, person))
        })
        .collect();
    for part in ["", "train", "test"] {
        let inner = rows.iter().filter_map(|(name, person)| {
            let name = name.strip_prefix(part).ok()?.to_str()?;
            Some([name, person.as_str()])
        });
        let inner: Vec<_> = inner.collect();
        if !inner.is_empty() {
            table::write_persons(&output.join(part), &inner)?;
        }
    }
    Ok(rows.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn persons_follow_their_pictures() {
        let folder = tempfile::tempdir().unwrap();
        let place = |name: &str| folder.path().join(name);
        let draw = |name: &str| {
            std::fs::create_dir_all(place(name).parent().unwrap()).unwrap();
            image::RgbImage::new(2, 2).save(place(name)).unwrap();
        };
        let text = "path,person\n1.jpg,ann\ntrain/2.jpg.chip.jpg,\"bo, jr\"\n3.jpg,cy\n3.png,di\n3_2.png,ed\n4.png,flo\n5.png,gus\n";
        for name in [
            "1.jpg",
            "train/2.jpg.chip.jpg",
            "3.jpg",
            "3.png",
            "3_2.png",
            "4.png",
            "5.png",
            "6.png",
        ] {
            draw(&format!("in/{name}"));
        }
        std::fs::write(place("in/persons.csv"), text).unwrap();
        // 4.png was left out, 2.jpg.chip.jpg changed its part, and nobody is known of 6.png.
        for name in [
            "train/1.png",
            "test/2.jpg.chip.png",
            "test/3.png",
            "train/3_2.png",
            "train/3_2_2.png",
            "train/5.png",
            "test/6.png",
        ] {
            draw(&format!("out/{name}"));
        }
        let persons = table::persons(&place("in")).unwrap();
        assert_eq!(keep(&persons, &place("in"), &place("out")).unwrap(), 3);
        let told = |folder: &str| -> Vec<(String, String)> {
            let rows = table::persons(&place(folder)).unwrap().into_iter();
            rows.map(|(path, person)| (path.display().to_string(), person))
                .collect()
        };
        let row = |path: &str, person: &str| (path.to_owned(), person.to_owned());
        assert_eq!(
            told("out"),
            [
                row("test/2.jpg.chip.png", "bo, jr"),
                row("train/1.png", "ann"),
                row("train/5.png", "gus")
            ]
        );
        assert_eq!(
            told("out/train"),
            [row("1.png", "ann"), row("5.png", "gus")]
        );
        assert_eq!(told("out/test"), [row("2.jpg.chip.png", "bo, jr")]);
    }
}
