//! The stand-in: drawn persons at drawn ages, in memory or as files in UTKFace's names.

use super::{Part, Sample, pixels, table};
use crate::aged_faces::{Identity, Shot, face};
use crate::classes::Classes;
use crate::config::Config;
use anyhow::Result;
use gan_core::failure::{Kind, at_path, failure};
use gan_core::random::Stream;
use gan_core::samples::in_parallel;
use std::path::Path;

/// What the built-in data is, for the first line, the configuration and the report.
pub const PROCEDURAL: &str =
    "constructed portraits of constructed persons at constructed ages, not photographs";

/// Persons that are trained on, and persons that are held out.
const PERSONS: [usize; 2] = [1000, 120];

/// Pictures of each person, classes in turn.
const PICTURES: usize = 6;

/// The oldest age that is drawn.
const OLDEST: f32 = 90.0;

/// Side of the files in pixels, that of UTKFace's.
const SIDE: u32 = 200;

/// A picture to be drawn.
struct Portrait {
    person: usize,
    age: f32,
    shot: Shot,
}

/// Picture `number` of a person, at an age of the class whose turn it is.
fn portrait(person: usize, number: usize, classes: &Classes) -> Portrait {
    // Not the run's seed: every run sees the same stand-in.
    let mut stream = Stream::new(person as u64, "portrait", number as u64);
    // Where there are more classes than pictures of a person, others take their turn.
    let class =
        (number + person * (classes.count() - PICTURES.min(classes.count()))) % classes.count();
    let bound = |class: usize| match classes {
        Classes::Ages(bounds) if class > 0 => bounds.get(class - 1).map(|age| *age as f32),
        _ => Some(0.0),
    };
    let first = bound(class).unwrap_or(0.0);
    let next = bound(class + 1).unwrap_or(OLDEST.max(first + 1.0));
    // Years are whole in file names: a face has the age that its name tells.
    let age = stream.uniform(1, first, next)[0].floor();
    Portrait {
        person,
        age,
        shot: Shot::draw(&mut stream),
    }
}

fn identity(person: usize) -> Identity {
    Identity::draw(&mut Stream::new(0, "person", person as u64))
}

/// The faces of a part, at the configuration's size: six of each of 1,000 persons to train on, and of 120 others.
pub fn drawn(config: &Config, part: Part) -> Vec<Sample> {
    let classes = config.classes();
    let persons = match part {
        Part::Train => 0..PERSONS[0],
        Part::Held => PERSONS[0]..PERSONS[0] + PERSONS[1],
    };
    let all: Vec<(usize, usize)> = persons
        .flat_map(|person| (0..PICTURES).map(move |number| (person, number)))
        .collect();
    in_parallel(&all, |(person, number)| {
        let portrait = portrait(*person, *number, &classes);
        let side = config.image_size as u32;
        let picture = face(
            side,
            &identity(portrait.person),
            portrait.age,
            &portrait.shot,
        );
        Sample {
            pixels: pixels(&picture, config),
            class: classes.of(portrait.age) as u8,
            age: portrait.age,
            person: Some(portrait.person as u32),
        }
    })
}

/// Writes `count` portraits in UTKFace's names, six of each person, and a table of whose they are.
///
/// # Errors
/// [`Kind::Disk`].
pub(super) fn write(folder: &Path, count: usize) -> Result<()> {
    let classes = Config::default().classes();
    let numbers: Vec<usize> = (0..count).collect();
    let written: Result<Vec<String>> = in_parallel(&numbers, |number| {
        let (person, shot) = (number / PICTURES, number % PICTURES);
        let identity = identity(person);
        let portrait = portrait(person, shot, &classes);
        let name = format!(
            "{}_{}_{}_2017{:013}.jpg",
            portrait.age,
            identity.gender(),
            identity.race(),
            number
        );
        let path = folder.join(&name);
        let picture = face(SIDE, &identity, portrait.age, &portrait.shot);
        let file = std::fs::File::create(&path);
        let mut file = std::io::BufWriter::new(
            file.map_err(|error| at_path(Kind::Disk, "write", &path, &error))?,
        );
        image::codecs::jpeg::JpegEncoder::new_with_quality(&mut file, 95)
            .encode_image(&picture)
            .map_err(|error| {
                failure(
                    Kind::Disk,
                    format!("cannot write {}: {error}", path.display()),
                )
            })?;
        Ok(format!("{name},{person}\n"))
    })
    .into_iter()
    .collect();
    let path = folder.join(table::PERSONS);
    let text = format!("path,person\n{}", written?.concat());
    std::fs::write(&path, text).map_err(|error| at_path(Kind::Disk, "write", &path, &error))
}
