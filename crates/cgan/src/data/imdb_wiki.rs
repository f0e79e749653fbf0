//! IMDB-WIKI (Rothe et al. 2015): photographs of the famous with dates of birth, described by one MATLAB file.

use super::listing::{Label, Listing};
use anyhow::{Context, Result};
use chrono::{Datelike, NaiveDate};
use gan_core::failure::{Kind, failure};
use gan_core::matlab::{self, Value};
use std::path::{Path, PathBuf};

/// The names of the file and of the struct in it.
const SETS: [&str; 2] = ["wiki", "imdb"];

/// The oldest age that is believed.
const OLDEST: i64 = 100;

/// The year of birth of a serial date, and whether it was in the first half of the year. MATLAB counts days from year
/// 0, the calendar's ordinals from year 1: 366 days lie between.
fn birth(serial: f64) -> Option<(i64, bool)> {
    if !serial.is_finite() || serial >= 4e6 {
        return None;
    }
    let ordinal = (serial.max(0.0) as i64 - 366).max(1);
    let date = NaiveDate::from_num_days_from_ce_opt(i32::try_from(ordinal).ok()?)?;
    Some((i64::from(date.year()), date.month() < 7))
}

/// The age in whole years in the middle of the year in which a photograph was `taken`, of somebody born on the day with
/// this serial number.
pub(super) fn age(serial: f64, taken: f64) -> Option<i64> {
    let (year, is_early) = birth(serial)?;
    let taken = if taken.is_finite() && taken.abs() < 1e6 {
        taken as i64
    } else {
        return None;
    };
    Some(taken - year - i64::from(!is_early))
}

/// The file that describes a folder: `wiki.mat` or `imdb.mat` in it, or the path itself.
pub(super) fn description(place: &Path) -> Option<PathBuf> {
    if place.is_file() {
        return place
            .extension()
            .is_some_and(|ending| ending.eq_ignore_ascii_case("mat"))
            .then(|| place.to_owned());
    }
    SETS.iter()
        .map(|set| place.join(format!("{set}.mat")))
        .find(|path| path.is_file())
}

/// One field as numbers, one for each of `count` rows; any number of them without `count`.
fn numbers(set: &Value, name: &str, count: Option<usize>) -> Result<Vec<f64>> {
    let values = set.field(name)?.numbers()?.values();
    match count {
        Some(count) if values.len() != count => Err(failure(
            Kind::Data,
            format!(
                "field {name} has {} rows and full_path {count}: the file is damaged, get it again",
                values.len()
            ),
        )),
        _ => Ok(values),
    }
}

/// The faces that the file `path` describes, with their paths from its folder on. Whose they are is told by the
/// beginnings of their files' names, up to the first underscore.
///
/// # Errors
/// [`Kind::Data`] when it is not such a file. Rows with no face, two faces, a score below `least_score` or an impossible
/// age are left out and counted.
pub(super) fn list(path: &Path, least_score: f64) -> Result<Listing> {
    let variables = matlab::read(path)?;
    let set = SETS.iter().find_map(|set| variables.get(set).ok());
    let Some(set) = set else {
        let names: Vec<&str> = variables.iter().map(|(name, _)| name).collect();
        return Err(failure(
            Kind::Data,
            format!(
                "{}: holds {}, not the struct wiki or imdb of IMDB-WIKI",
                path.display(),
                names.join(", ")
            ),
        ));
    };
    rows(set, path, least_score).with_context(|| path.display().to_string())
}

fn rows(set: &Value, path: &Path, least_score: f64) -> Result<Listing> {
    let paths = set.field("full_path")?.texts()?;
    let count = Some(paths.len());
    let births = numbers(set, "dob", count)?;
    let years = numbers(set, "photo_taken", count)?;
    let scores = numbers(set, "face_score", count)?;
    let seconds = numbers(set, "second_face_score", count)?;
    let folder = path.parent().unwrap_or(Path::new(""));
    let mut listing = Listing::new(path, folder);
    for (row, name) in paths.iter().enumerate() {
        let place = format!("row {} ({name})", row + 1);
        let found = age(births[row], years[row]).filter(|age| (0..=OLDEST).contains(age));
        match found {
            _ if !scores[row].is_finite() => listing.skipped.skip("no face", &place),
            _ if !seconds[row].is_nan() => listing.skipped.skip("two faces", &place),
            None => listing.skipped.skip("an impossible age", &place),
            Some(_) if scores[row] < least_score => {
                listing.skipped.skip("a face of low score", &place)
            }
            Some(_) if !is_inside(name) => listing.skipped.skip("a path that leads out", &place),
            Some(age) => {
                let person = name
                    .rsplit('/')
                    .next()
                    .and_then(|file| file.split('_').next());
                let label = Label {
                    age: age as f32,
                    person: person.map(str::to_owned),
                };
                listing.add(folder.join(name), label);
            }
        }
    }
    Ok(listing)
}

/// Whether a path stays under the folder that it is told from.
fn is_inside(name: &str) -> bool {
    let is_plain = |part| matches!(part, std::path::Component::Normal(_));
    !name.is_empty() && Path::new(name).components().all(is_plain)
}

#[cfg(test)]
mod tests {
    use super::*;
    use gan_core::matlab::Array;

    type Fields = Vec<(&'static str, Array)>;

    #[test]
    fn ages_by_the_calendar() {
        // Python: datetime.date.fromordinal(723671 - 366) is 1981-05-05, of 717306 it is 1963-12-01.
        assert_eq!(age(723_671.0, 2009.0), Some(28));
        assert_eq!(birth(717_306.0), Some((1963, false)));
        assert_eq!(age(717_306.0, 2000.0), Some(36));
        // A date before the calendar counts as its first day; the fraction of a day does not.
        assert_eq!(birth(12.0), Some((1, true)));
        assert_eq!(birth(723_671.9), birth(723_671.0));
        for (serial, taken) in [
            (f64::NAN, 2000.0),
            (f64::INFINITY, 2000.0),
            (1e300, 2000.0),
            (723_671.0, f64::NAN),
            (723_671.0, 1e18),
        ] {
            assert_eq!(age(serial, taken), None);
        }
        assert_eq!(age(-1e300, 2000.0), Some(1999));
    }

    /// A file of four faces, with what `change` does to its fields.
    fn written(folder: &Path, change: impl Fn(&mut Fields)) -> PathBuf {
        let row = |values: &[f64]| Array::doubles(&[1, values.len()], values);
        let names = [
            "00/7_1981-05-05_2009.jpg",
            "00/7_b.jpg",
            "01/8_c.jpg",
            "../9_d.jpg",
        ];
        let cells = names.map(Array::text).to_vec();
        let mut fields = vec![
            ("dob", row(&[723_671.0; 4])),
            ("photo_taken", row(&[2009.0, 1950.0, 2009.0, 2009.0])),
            ("full_path", Array::cells(&[1, 4], cells)),
            ("face_score", row(&[3.0, 3.0, f64::NEG_INFINITY, 3.0])),
            ("second_face_score", row(&[f64::NAN; 4])),
        ];
        change(&mut fields);
        let set = Array::structure(fields);
        let path = folder.join("wiki.mat");
        matlab::write(&path, &[("wiki", set)]).unwrap();
        path
    }

    #[test]
    fn rows_are_left_out_and_counted() {
        let folder = tempfile::tempdir().unwrap();
        let listing = list(&written(folder.path(), |_| ()), 1.0).unwrap();
        assert_eq!(listing.files.len(), 1);
        let (path, label) = &listing.files[0];
        assert_eq!(*path, folder.path().join("00/7_1981-05-05_2009.jpg"));
        assert_eq!((label.age, label.person.as_deref()), (28.0, Some("7")));
        let counts: Vec<_> = listing.skipped.counts().collect();
        assert_eq!(
            counts,
            [
                ("a path that leads out", 1),
                ("an impossible age", 1),
                ("no face", 1)
            ]
        );
        assert!(listing.skipped.lines()[1].contains("row 2 (00/7_b.jpg)"));
    }

    #[test]
    fn damaged_files_name_themselves_and_the_field() {
        let folder = tempfile::tempdir().unwrap();
        let told = |change: &dyn Fn(&mut Fields)| {
            let path = written(folder.path(), change);
            let error = list(&path, 1.0).unwrap_err();
            assert_eq!(gan_core::failure::exit_code(&error), 3);
            let text = format!("{error:#}");
            assert!(text.contains("wiki.mat"), "{text}");
            text
        };
        let text = told(&|fields| fields[1].1 = Array::doubles(&[1, 3], &[2000.0; 3]));
        assert!(
            text.contains("field photo_taken has 3 rows and full_path 4"),
            "{text}"
        );
        let text = told(&|fields| {
            fields.remove(3);
        });
        assert!(text.contains("face_score"), "{text}");
        let text = told(&|fields| fields[0].1 = Array::text("1981"));
        assert!(text.contains("dob"), "{text}");
    }

    #[test]
    fn the_real_file() {
        let Ok(data) = std::env::var("GAN_DATA") else {
            return;
        };
        let path = Path::new(&data).join("wiki_crop/wiki.mat");
        let listing = list(&path, 1.0).unwrap();
        // By scipy.io.loadmat and datetime.date.fromordinal, with the same rules in the same order.
        let counts: Vec<_> = listing.skipped.counts().collect();
        assert_eq!(
            counts,
            [
                ("a face of low score", 1287),
                ("an impossible age", 55),
                ("no face", 18_016),
                ("two faces", 4096),
            ]
        );
        let classes = crate::classes::Classes::ages("19,30,40,50,60").unwrap();
        let mut histogram = [0; 6];
        for (_, label) in &listing.files {
            histogram[classes.of(label.age)] += 1;
        }
        assert_eq!(histogram, [1446, 14_555, 8241, 5494, 4175, 4963]);
        let sum: f64 = listing
            .files
            .iter()
            .map(|(_, label)| f64::from(label.age))
            .sum();
        assert_eq!(sum, 1_476_405.0);
    }
}
