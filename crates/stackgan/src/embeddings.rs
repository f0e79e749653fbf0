//! Embeddings of captions that were computed elsewhere.

use crate::config::{Config, PICKLES};
use crate::data::{Birds, Texts};
use crate::pickle;
use anyhow::Result;
use gan_core::failure::{Kind, failure};
use gan_core::npz::Archive;
use std::collections::BTreeSet;
use std::path::Path;

/// Numbers of all embeddings of one command at most.
const MOST_NUMBERS: usize = 1 << 28;

/// The embeddings that a configuration names, of the birds to train on and of those held out; none where a text encoder
/// makes them.
///
/// # Errors
/// [`Kind::Data`] when they are missing, of other birds or of another width.
pub fn given(
    config: &Config,
    birds: &Birds,
    held: Option<&Birds>,
) -> Result<Option<(Texts, Option<Texts>)>> {
    let place = config.embeddings.as_str();
    if place.is_empty() {
        return Ok(None);
    }
    let (texts, of_held) = if place == PICKLES {
        let Some(texts) = birds.given.clone() else {
            if config.training.data.is_empty() {
                let what = "--embeddings pickles are those beside --data, which is missing";
                return Err(failure(Kind::Usage, what));
            }
            return Err(failure(
                Kind::Data,
                format!(
                    "{}: there is no char-CNN-RNN-embeddings.pickle beside train/filenames.pickle: leave out --embeddings, \
                     and a text encoder is trained",
                    config.training.data
                ),
            ));
        };
        let of_held = held.and_then(|held| held.given.clone());
        let of_held = of_held.filter(|of_held| of_held.width() == texts.width());
        (texts, of_held)
    } else {
        let mut archive = Archive::open(Path::new(place))?;
        let texts = of_keys(&mut archive, &birds.keys, place)?;
        // What is held out is only shown.
        let of_held = held.and_then(|held| of_keys(&mut archive, &held.keys, place).ok());
        let of_held = of_held.filter(|of_held| of_held.width() == texts.width());
        (texts, of_held)
    };
    let width = texts.width();
    if width != config.text_dim {
        let what = format!(
            "{place}: embeddings have {width} numbers, and the network takes {}: --text-dim {width}",
            config.text_dim
        );
        return Err(failure(Kind::Data, what));
    }
    Ok(Some((texts, of_held)))
}

/// Embeddings to make pictures of, a row each: from a pickle or an `.npz`.
///
/// # Errors
/// [`Kind::Data`] when the file cannot be read, or its rows have another width.
pub fn rows(place: &Path, width: usize) -> Result<Vec<Vec<f32>>> {
    let is_archive = place.extension().is_some_and(|ending| ending == "npz");
    let (found, values) = if is_archive {
        all(&mut Archive::open(place)?, place)?
    } else {
        let embeddings = pickle::embeddings(place)?;
        (embeddings.shape[2], embeddings.values)
    };
    if found != width {
        return Err(failure(
            Kind::Data,
            format!(
                "{}: its rows have {found} numbers, and this checkpoint takes rows of {width}",
                place.display()
            ),
        ));
    }
    Ok(values
        .chunks_exact(width.max(1))
        .map(<[f32]>::to_vec)
        .collect())
}

/// An array as rows: of the shape `[width]` or `[rows, width]`.
fn as_rows(archive: &mut Archive, name: &str, place: &str) -> Result<(usize, Vec<f32>)> {
    let (shape, values) = archive.numbers(name)?;
    let width = match shape.as_slice() {
        [width] | [_, width] if !values.is_empty() => *width,
        _ => {
            let what = format!(
                "{place}: array {name} has the shape {shape:?}; an embedding, or a row for each, is expected"
            );
            return Err(failure(Kind::Data, what));
        }
    };
    let values: Vec<f32> = values.into_iter().map(|value| value as f32).collect();
    match values.iter().find(|value| !value.is_finite()) {
        Some(bad) => Err(failure(
            Kind::Data,
            format!("{place}: array {name} holds {bad}"),
        )),
        None => Ok((width, values)),
    }
}

/// The embeddings of birds, each an array under its name.
fn of_keys(archive: &mut Archive, keys: &[String], place: &str) -> Result<Texts> {
    let names: BTreeSet<String> = archive.names().into_iter().collect();
    let lacking: Vec<&String> = keys.iter().filter(|key| !names.contains(*key)).collect();
    if let Some(first) = lacking.first() {
        return Err(failure(
            Kind::Data,
            format!(
                "{place}: {} of {} pictures have no array of embeddings, the first: {first}; an array of the shape \
                 [captions, width] is expected under each name",
                lacking.len(),
                keys.len()
            ),
        ));
    }
    let mut texts: Option<Texts> = None;
    for key in keys {
        let (width, values) = as_rows(archive, key, place)?;
        let texts = texts.get_or_insert_with(|| Texts::new(width));
        if texts.width() != width {
            let what = format!(
                "{place}: array {key} has embeddings of {width} numbers, those before it of {}",
                texts.width()
            );
            return Err(failure(Kind::Data, what));
        }
        texts.push(values.chunks_exact(width));
    }
    Ok(texts.unwrap_or_default())
}

/// The rows of all arrays, one after the other.
fn all(archive: &mut Archive, place: &Path) -> Result<(usize, Vec<f32>)> {
    let place = place.display().to_string();
    let (mut width, mut rows) = (0, Vec::new());
    for name in archive.names() {
        let (found, values) = as_rows(archive, &name, &place)?;
        if width != 0 && found != width {
            let what = format!(
                "{place}: array {name} has rows of {found} numbers, those before it of {width}"
            );
            return Err(failure(Kind::Data, what));
        }
        width = found;
        rows.extend(values);
        if rows.len() > MOST_NUMBERS {
            let what = format!("{place}: more than {MOST_NUMBERS} numbers; split the file");
            return Err(failure(Kind::Data, what));
        }
    }
    if rows.is_empty() {
        return Err(failure(Kind::Data, format!("{place} holds no array")));
    }
    Ok((width, rows))
}
