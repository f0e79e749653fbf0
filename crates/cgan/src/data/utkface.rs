//! UTKFace (Zhang et al. 2017): a face's age is the first field of its file's name.

use super::listing::{Label, Listing};
use anyhow::Result;
use gan_core::images;
use std::path::Path;

/// The oldest age that is believed.
const OLDEST: u32 = 120;

/// The age in years that a name such as `25_0_2_20170116174525125.jpg.chip.jpg` tells: age, gender (0, 1), race (0 to
/// 4), date and time. The other fields are not needed; some names of the published set lack the race.
///
/// # Errors
/// What is wrong with the name.
pub(super) fn age(name: &str) -> Result<f32, &'static str> {
    let stem = name.split('.').next().unwrap_or(name);
    let fields: Vec<&str> = stem.split('_').collect();
    if !(3..=4).contains(&fields.len()) {
        return Err("a name that is not AGE_GENDER_RACE_DATE");
    }
    let age: u32 = fields[0]
        .parse()
        .map_err(|_| "a name that does not begin with an age")?;
    if age > OLDEST {
        return Err("an impossible age");
    }
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if !fields[1..].iter().all(|field| digits(field)) {
        return Err("a name that is not AGE_GENDER_RACE_DATE");
    }
    Ok(age as f32)
}

/// The faces of a folder, at any depth.
///
/// # Errors
/// As [`images::list`], and for a table of persons that is broken.
pub(super) fn list(folder: &Path) -> Result<Listing> {
    let mut persons = super::table::persons(folder)?;
    let files = images::list(folder)?;
    let mut listing = Listing::new(folder, folder);
    for index in 0..files.len() {
        let name = files.name(index);
        let last = name.file_name().unwrap_or_default().to_string_lossy();
        match age(&last) {
            Ok(age) => {
                let person = persons.remove(name);
                listing.add(files.path(index), Label { age, person });
            }
            Err(reason) => listing.skipped.skip(reason, &name.display().to_string()),
        }
    }
    if let Some((path, _)) = persons.first_key_value() {
        let first = path.display().to_string();
        for _ in 0..persons.len() {
            listing
                .skipped
                .skip("a row of persons.csv that names no face", &first);
        }
    }
    Ok(listing)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_as_they_are_and_as_they_should_not_be() {
        for (name, expected) in [
            ("100_1_0_20170110183726390.jpg.chip.jpg", Some(100.0)),
            ("39_1_20170116174525125.jpg.chip.jpg", Some(39.0)),
            ("0_0_3_20170119201210.png", Some(0.0)),
            ("121_0_3_20170119201210.png", None),
            ("_1_0_20170110183726390.jpg", None),
            ("1e1_1_0_20170110183726390.jpg", None),
            ("-5_1_0_20170110183726390.jpg", None),
            ("25_a_0_20170110183726390.jpg", None),
            ("25_1_0_1_20170110183726390.jpg", None),
            ("25.jpg", None),
            ("", None),
            ("99999999999999999999_1_0_1.jpg", None),
        ] {
            assert_eq!(age(name).ok(), expected, "{name}");
        }
    }

    #[test]
    fn real_names() {
        let Ok(data) = std::env::var("GAN_DATA") else {
            return;
        };
        let listing = list(&Path::new(&data).join("UTKFace")).unwrap();
        assert_eq!((listing.files.len(), listing.skipped.total()), (1781, 0));
        let classes = crate::classes::Classes::ages("19,30,40,50,60").unwrap();
        let mut counts = [0; 6];
        for (_, label) in &listing.files {
            counts[classes.of(label.age)] += 1;
        }
        assert_eq!(counts, [360, 220, 200, 200, 200, 601]);
    }
}
