//! Tables in CSV: paths with ages, and paths with persons.

use super::listing::{Label, Listing};
use anyhow::Result;
use gan_core::failure::{Kind, failure};
use gan_core::regular;
use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};

/// Beside faces: whose they are, in the columns `path` (from the folder on) and `person`.
pub(super) const PERSONS: &str = "persons.csv";

/// Longest table that is read, in bytes.
const MOST_BYTES: u64 = 1 << 30;

/// The oldest age that is believed.
const OLDEST: f32 = 120.0;

/// A table's rows, by the names in its first line.
struct Table {
    path: PathBuf,
    columns: Vec<String>,
    reader: csv::Reader<std::io::Cursor<Vec<u8>>>,
}

impl Table {
    fn open(path: &Path) -> Result<Self> {
        let bytes = regular::read(Kind::Data, path, MOST_BYTES)?;
        let mut reader = csv::ReaderBuilder::new()
            .trim(csv::Trim::All)
            .from_reader(std::io::Cursor::new(bytes));
        let columns = match reader.headers() {
            Ok(names) => names.iter().map(str::to_lowercase).collect(),
            Err(error) => return Err(broken(path, &error)),
        };
        Ok(Self {
            path: path.to_owned(),
            columns,
            reader,
        })
    }

    /// The place of a column.
    fn column(&self, name: &str) -> Result<usize> {
        let place = self.optional(name);
        place.ok_or_else(|| {
            failure(
                Kind::Data,
                format!(
                    "{}: line 1 has no column {name:?}, but {}; the first line names the columns",
                    self.path.display(),
                    self.columns.join(", ")
                ),
            )
        })
    }

    fn optional(&self, name: &str) -> Option<usize> {
        self.columns.iter().position(|column| column == name)
    }

    /// Every row with the number of its line.
    fn rows(&mut self) -> impl Iterator<Item = Result<(u64, csv::StringRecord)>> + '_ {
        let path = &self.path;
        self.reader.records().map(move |record| {
            let record = record.map_err(|error| broken(path, &error))?;
            let line = record.position().map_or(0, csv::Position::line);
            Ok((line, record))
        })
    }
}

fn broken(path: &Path, error: &csv::Error) -> anyhow::Error {
    failure(
        Kind::Data,
        format!("{}: not a table of commas: {error}", path.display()),
    )
}

/// The faces of a table with the columns `path` (absolute, or from the table's folder on), `age` in years and, where
/// it is there, `person`.
///
/// # Errors
/// [`Kind::Data`] when it is no such table. Rows with ages that are none are left out and counted.
pub(super) fn list(path: &Path) -> Result<Listing> {
    let mut table = Table::open(path)?;
    let (paths, ages) = (table.column("path")?, table.column("age")?);
    let persons = table.optional("person");
    let folder = path.parent().unwrap_or(Path::new("")).to_owned();
    let mut listing = Listing::new(path, &folder);
    for row in table.rows() {
        let (line, row) = row?;
        let place = format!("line {line}");
        let age = row[ages].parse::<f32>().ok().filter(|age| age.is_finite());
        match age {
            None => listing.skipped.skip("an age that is no number", &place),
            Some(age) if !(0.0..=OLDEST).contains(&age) => {
                listing.skipped.skip("an impossible age", &place);
            }
            Some(_) if row[paths].is_empty() => listing.skipped.skip("no path", &place),
            Some(age) => {
                let person = persons.map(|column| row[column].to_owned());
                let person = person.filter(|person| !person.is_empty());
                listing.add(folder.join(&row[paths]), Label { age, person });
            }
        }
    }
    Ok(listing)
}

/// Whose faces lie under a folder, by their paths from there on; nothing where it has no such table.
///
/// # Errors
/// [`Kind::Data`] when the table is broken.
pub(super) fn persons(folder: &Path) -> Result<BTreeMap<PathBuf, String>> {
    let path = folder.join(PERSONS);
    if !path.is_file() {
        return Ok(BTreeMap::new());
    }
    let mut table = Table::open(&path)?;
    let (paths, persons) = (table.column("path")?, table.column("person")?);
    let mut all = BTreeMap::new();
    for row in table.rows() {
        let (_, row) = row?;
        if !row[persons].is_empty() {
            // `./a.jpg` is `a.jpg`.
            let name: PathBuf = Path::new(&row[paths])
                .components()
                .filter(|part| *part != Component::CurDir)
                .collect();
            all.insert(name, row[persons].to_owned());
        }
    }
    Ok(all)
}

/// Writes whose the pictures of a folder are.
///
/// # Errors
/// [`Kind::Disk`].
pub(super) fn write_persons(folder: &Path, rows: &[[&str; 2]]) -> Result<()> {
    let path = folder.join(PERSONS);
    let write = || -> csv::Result<()> {
        let mut table = csv::Writer::from_path(&path)?;
        table.write_record(["path", "person"])?;
        for row in rows {
            table.write_record(row)?;
        }
        Ok(table.flush()?)
    };
    write().map_err(|error| {
        let what = format!("cannot write {}: {error}", path.display());
        failure(Kind::Disk, what)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listed(text: &[u8]) -> Result<Listing> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("faces.csv");
        std::fs::write(&path, text).unwrap();
        list(&path)
    }

    #[test]
    fn rows_with_ages_and_persons() {
        let text = b"person, Age ,path\n7,30.5,a.jpg\n,x,b.jpg\n8,121,c.jpg\n8,0,\"d,e.jpg\"\n9,5,\n,1,f.jpg\n";
        let listing = listed(text).unwrap();
        let files: Vec<_> = listing
            .files
            .iter()
            .map(|(path, label)| {
                let name = path.file_name().unwrap().to_string_lossy().into_owned();
                (name, label.age, label.person.as_deref().unwrap_or("-"))
            })
            .collect();
        assert_eq!(
            files,
            [
                ("a.jpg".to_owned(), 30.5, "7"),
                ("d,e.jpg".to_owned(), 0.0, "8"),
                ("f.jpg".to_owned(), 1.0, "-"),
            ]
        );
        assert_eq!(
            listing.skipped.lines(),
            [
                "1 with an age that is no number, the first: line 3",
                "1 with an impossible age, the first: line 4",
                "1 with no path, the first: line 6"
            ]
        );
    }

    #[test]
    fn what_is_no_such_table_is_refused_with_its_line() {
        let told = |text: &[u8]| {
            let error = listed(text).unwrap_err();
            assert_eq!(gan_core::failure::exit_code(&error), 3);
            format!("{error:#}")
        };
        let text = told(b"file,years\na.jpg,3\n");
        assert!(
            text.contains("no column \"path\", but file, years"),
            "{text}"
        );
        let text = told(b"path,age\na.jpg,3\nb.jpg\n");
        assert!(text.contains("line: 3"), "{text}");
        let text = told(b"path,age\n\xff\xfe,3\n");
        assert!(text.contains("UTF-8"), "{text}");
        told(b"");
    }
}
