//! The stand-in: drawn birds with captions, in memory or in the layout of CUB-200-2011.

use super::Sample;
use crate::drawn_birds::{Attributes, captions, draw};
use crate::pickle;
use anyhow::Result;
use gan_core::failure::{Kind, at_path, failure};
use gan_core::images::planar;
use gan_core::random::Stream;
use gan_core::samples::in_parallel;
use std::fmt::Write as _;
use std::path::Path;

/// What the built-in data is, for the first line, the configuration and the report.
pub const PROCEDURAL: &str = "constructed birds with constructed captions, not photographs";

/// The parts of the drawn birds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// What is trained on.
    Train,
    /// Other birds, whose colour, size and shape occur together in training.
    Held,
    /// Birds whose colour, size and shape do not occur together in training (one in five of all combinations).
    Unseen,
    /// Birds of all kinds, which the judge learns from.
    Judge,
}

impl Part {
    /// The stream that its birds come from.
    fn stream(self) -> &'static str {
        match self {
            Self::Train => "bird/train",
            Self::Held => "bird/held",
            Self::Unseen => "bird/unseen",
            Self::Judge => "bird/judge",
        }
    }

    /// How many birds it has where nobody says.
    fn count(self) -> usize {
        match self {
            Self::Train | Self::Judge => 4800,
            Self::Held | Self::Unseen => 240,
        }
    }
}

/// Bird `number` of a part: what it is, its ten captions, and the stream that draws it. Not of the run's seed: every
/// run sees the same birds.
pub fn drawn(part: Part, number: usize) -> (Attributes, [String; 10], Stream) {
    let mut stream = Stream::new(0, part.stream(), number as u64);
    let attributes = loop {
        let attributes = Attributes::draw(&mut stream);
        if part == Part::Judge || attributes.is_held_out() == (part == Part::Unseen) {
            break attributes;
        }
    };
    let said = captions(&attributes, &mut stream);
    (attributes, said, stream)
}

/// All attributes as one number: birds of one class look alike but for their pose.
fn class(attributes: &Attributes) -> u32 {
    let pairs = attributes.indices().into_iter().zip(Attributes::KINDS);
    pairs.fold(0, |sum, (index, (_, values))| {
        sum * values as u32 + index as u32
    })
}

/// What the birds of a class are.
pub fn attributes_of(class: u32) -> Attributes {
    let mut rest = class as usize;
    let mut indices = [0; Attributes::KINDS.len()];
    for (index, (_, values)) in indices.iter_mut().zip(Attributes::KINDS).rev() {
        *index = rest % values;
        rest /= values;
    }
    Attributes::from_indices(indices)
}

/// The birds of a part with `load` pixels per side, and their captions.
pub(super) fn samples(part: Part, load: usize) -> (Vec<Sample>, Vec<Vec<String>>) {
    let numbers: Vec<usize> = (0..part.count()).collect();
    in_parallel(&numbers, |number| {
        let (attributes, said, mut stream) = drawn(part, *number);
        let picture = draw(load as u32, &attributes, &mut stream).picture;
        let sample = Sample {
            pixels: planar(&picture, 3),
            class: class(&attributes),
            place: *number as u32,
        };
        (sample, said.to_vec())
    })
    .into_iter()
    .unzip()
}

/// Side of the files in pixels: what the second stage loads.
const SIDE: u32 = 304;

/// Writes `count` birds with their captions, one in five of them for the test, in the layout of CUB-200-2011 with the
/// authors' lists: a class for each combination of colour, size and shape, those of training apart from those of test.
///
/// # Errors
/// [`Kind::Disk`].
pub(super) fn write(folder: &Path, count: usize) -> Result<()> {
    let disk = |path: &Path, error: std::io::Error| at_path(Kind::Disk, "write", path, &error);
    let root = folder.join("CUB_200_2011");
    let tests = count / 5;
    let numbers: Vec<(Part, usize)> = (0..count - tests)
        .map(|number| (Part::Train, number))
        .chain((0..tests).map(|number| (Part::Unseen, number)))
        .collect();
    let written = in_parallel(&numbers, |(part, number)| {
        let (attributes, said, mut stream) = drawn(*part, *number);
        let drawn = draw(SIDE, &attributes, &mut stream);
        let [_, sizes, shapes, ..] = Attributes::KINDS.map(|(_, values)| values);
        let [colour, size, shape, ..] = attributes.indices();
        let class = 1 + (colour * sizes + size) * shapes + shape;
        let kind = format!(
            "{} {} {}",
            attributes.size.name(),
            attributes.colour.name(),
            attributes.shape.name()
        );
        let kind = kind.replace([' ', '-'], "_");
        let part = if *part == Part::Train {
            "train"
        } else {
            "test"
        };
        let key = format!("{class:03}.{kind}/{kind}_{part}_{number:05}");
        let path = root.join("images").join(format!("{key}.jpg"));
        let texts = folder.join("text_c10").join(format!("{key}.txt"));
        for path in [&path, &texts] {
            let parent = path.parent().unwrap_or(folder);
            std::fs::create_dir_all(parent).map_err(|error| disk(parent, error))?;
        }
        let file = std::fs::File::create(&path).map_err(|error| disk(&path, error))?;
        image::codecs::jpeg::JpegEncoder::new_with_quality(std::io::BufWriter::new(file), 95)
            .encode_image(&drawn.picture)
            .map_err(|error| {
                let what = format!("cannot write {}: {error}", path.display());
                failure(Kind::Disk, what)
            })?;
        std::fs::write(&texts, said.join("\n") + "\n").map_err(|error| disk(&texts, error))?;
        Ok((key, class, drawn.bounding_box))
    });
    let written = written.into_iter().collect::<Result<Vec<_>>>()?;
    let (mut images, mut boxes) = (String::new(), String::new());
    for (place, (key, _, [x, y, width, height])) in written.iter().enumerate() {
        let number = place + 1;
        let _ = writeln!(images, "{number} {key}.jpg");
        let _ = writeln!(boxes, "{number} {x:.1} {y:.1} {width:.1} {height:.1}");
    }
    for (name, text) in [("images.txt", images), ("bounding_boxes.txt", boxes)] {
        let path = root.join(name);
        std::fs::create_dir_all(&root).map_err(|error| disk(&root, error))?;
        std::fs::write(&path, text).map_err(|error| disk(&path, error))?;
    }
    let (train, test) = written.split_at(count - tests);
    for (name, part) in [("train", train), ("test", test)] {
        let lists = folder.join(name);
        std::fs::create_dir_all(&lists).map_err(|error| disk(&lists, error))?;
        let keys: Vec<String> = part.iter().map(|(key, _, _)| key.clone()).collect();
        let classes: Vec<i64> = part.iter().map(|(_, class, _)| *class as i64).collect();
        pickle::write_strings(&lists.join("filenames.pickle"), &keys)?;
        pickle::write_integers(&lists.join("class_info.pickle"), &classes)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_class_tells_all_attributes() {
        for number in 0..200 {
            let (attributes, _, _) = drawn(Part::Judge, number);
            assert_eq!(attributes_of(class(&attributes)), attributes);
        }
    }

    #[test]
    fn parts_share_no_combination_they_should_not() {
        for number in 0..100 {
            assert!(!drawn(Part::Train, number).0.is_held_out());
            assert!(!drawn(Part::Held, number).0.is_held_out());
            assert!(drawn(Part::Unseen, number).0.is_held_out());
        }
        assert_ne!(drawn(Part::Train, 0).1, drawn(Part::Held, 0).1);
    }
}
