//! Statistics in numpy's `.npz` files, exchangeable with pytorch-fid and clean-fid both ways.
//!
//! A file holds `mu` `[d]` and `sigma` `[d, d]`. Ours add `n`, the number of pictures, and `provenance`, a
//! JSON text as bytes: which tool, which preparation, which layer of which weights. Others ignore them.

use anyhow::Result;
use gan_core::failure::{Kind, at_path, failure};
use gan_core::weights::write_atomically;
use half::f16;
use ndarray::{ArrayD, ArrayView, IxDyn};
use ndarray_npy::{ReadNpyExt, WriteNpyExt};
use std::fs::File;
use std::io::{BufReader, Cursor, Read, Write};
use std::path::{Path, PathBuf};
use zip::ZipArchive;
use zip::write::{SimpleFileOptions, ZipWriter};

/// Most bytes of one array: a covariance of 2,048 dimensions takes 34 MB.
const MOST_BYTES: u64 = 1 << 30;
/// Most pictures that statistics can be of: beyond this a float64 does not count any more.
const MOST_PICTURES: f64 = 9_007_199_254_740_992.0;
/// Most bytes of an array's header; numpy's own take 128.
const MOST_HEADER: usize = 4096;

/// Where statistics come from: numbers of different origin must not be compared.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Provenance {
    /// The program that wrote it.
    pub tool: String,
    /// The tool whose rules were followed.
    pub compat: String,
    /// How pictures were brought to 299 x 299.
    pub resize: String,
    /// The layer of the network, by torch-fidelity's name.
    pub layer: String,
    /// The sha256 of the weights' file.
    pub weights: String,
}

impl Provenance {
    /// What differs between two, in words; `None` when their numbers may be compared.
    pub fn difference(&self, other: &Self) -> Option<String> {
        let pairs = [
            ("rules", &self.compat, &other.compat),
            ("resize", &self.resize, &other.resize),
            ("layer", &self.layer, &other.layer),
            ("weights", &self.weights, &other.weights),
        ];
        let found: Vec<String> = pairs
            .into_iter()
            .filter(|(_, ours, theirs)| ours != theirs)
            .map(|(what, ours, theirs)| format!("{what}: {ours} here, {theirs} there"))
            .collect();
        (!found.is_empty()).then(|| found.join("; "))
    }
}

/// Mean and covariance from a file.
#[derive(Debug, Clone, PartialEq)]
pub struct StatisticsFile {
    /// `[d]`
    pub mean: Vec<f64>,
    /// `[d, d]`, unbiased, row by row.
    pub covariance: Vec<f64>,
    /// Pictures, where the file says so.
    pub count: Option<u64>,
    /// Where the numbers come from, where the file says so.
    pub provenance: Option<Provenance>,
}

/// A `.npz` file that is open for reading.
struct Archive {
    path: PathBuf,
    zip: ZipArchive<BufReader<File>>,
}

impl Archive {
    fn open(path: &Path) -> Result<Self> {
        let is_file = std::fs::metadata(path)
            .map_err(|error| at_path(Kind::Data, "open", path, &error))?
            .is_file();
        if !is_file {
            return Err(refuse(path, "is not a plain file"));
        }
        let file = File::open(path).map_err(|error| at_path(Kind::Data, "open", path, &error))?;
        let zip = ZipArchive::new(BufReader::new(file))
            .map_err(|error| refuse(path, format!("is no .npz file of numpy: {error}")))?;
        Ok(Self {
            path: path.to_owned(),
            zip,
        })
    }

    fn entries(&self) -> Vec<String> {
        let names = self.zip.file_names().flatten();
        names.map(std::borrow::Cow::into_owned).collect()
    }

    fn has(&self, name: &str) -> bool {
        self.entries().contains(&format!("{name}.npy"))
    }

    fn bytes(&mut self, name: &str) -> Result<Vec<u8>> {
        let entry = format!("{name}.npy");
        let names = self.entries();
        let problem = |what: String| refuse(&self.path, what);
        let file = self.zip.by_name(&entry).map_err(|error| {
            problem(format!(
                "has no readable array {name} ({error}); it holds: {}",
                names.join(", ")
            ))
        })?;
        let claimed = file.size();
        if claimed > MOST_BYTES {
            return Err(problem(format!(
                "claims {claimed} bytes for {name}; at most {MOST_BYTES} are read"
            )));
        }
        let mut bytes = Vec::new();
        file.take(MOST_BYTES + 1)
            .read_to_end(&mut bytes)
            .map_err(|error| problem(format!("{name} cannot be unpacked: {error}")))?;
        if bytes.len() as u64 != claimed {
            return Err(problem(format!(
                "{name} unpacks to {} bytes, {claimed} were claimed",
                bytes.len()
            )));
        }
        Ok(bytes)
    }

    /// The numbers of an array of any float or integer type that statistics come in, with its shape.
    fn numbers(&mut self, name: &str) -> Result<(Vec<usize>, Vec<f64>)> {
        let bytes = self.bytes(name)?;
        let problem = |what: String| refuse(&self.path, format!("{name}: {what}"));
        let header = Header::check(&bytes).map_err(problem)?;
        let read = |error| problem(format!("{error}"));
        let bytes = header.widened(bytes);
        let cursor = Cursor::new(&bytes);
        macro_rules! read_as {
            ($number:ty) => {{
                let array = ArrayD::<$number>::read_npy(cursor).map_err(read)?;
                let values = array.iter().map(|number| *number as f64).collect();
                (array.shape().to_vec(), values)
            }};
        }
        Ok(match header.kind.as_str() {
            "<f8" | ">f8" => read_as!(f64),
            "<f4" | ">f4" | "<f2" | ">f2" => read_as!(f32),
            "<i8" | ">i8" => read_as!(i64),
            "<u8" | ">u8" => read_as!(u64),
            "<i4" | ">i4" => read_as!(i32),
            "<u4" | ">u4" => read_as!(u32),
            "<i2" | ">i2" => read_as!(i16),
            "<u2" | ">u2" => read_as!(u16),
            "|u1" => read_as!(u8),
            "|i1" => read_as!(i8),
            other => {
                return Err(problem(format!(
                    "its numbers are of type {other}; float64 or float32 are expected: save it with .astype(float)"
                )));
            }
        })
    }
}

fn refuse(path: &Path, what: impl std::fmt::Display) -> anyhow::Error {
    failure(Kind::Data, format!("{} {what}", path.display()))
}

/// What the header of a `.npy` array says, checked against its bytes before anything is allocated for it.
struct Header {
    kind: String,
    /// Where its numbers begin.
    start: usize,
}

impl Header {
    fn check(bytes: &[u8]) -> std::result::Result<Self, String> {
        let cut = || "its header is cut short".to_owned();
        if !bytes.starts_with(b"\x93NUMPY") {
            return Err("it is no array of numpy".to_owned());
        }
        let version = *bytes.get(6).ok_or_else(cut)?;
        let (length, start) = match version {
            1 => {
                let field = bytes.get(8..10).ok_or_else(cut)?;
                (usize::from(u16::from_le_bytes([field[0], field[1]])), 10)
            }
            2 | 3 => {
                let field = bytes.get(8..12).ok_or_else(cut)?;
                let length = u32::from_le_bytes([field[0], field[1], field[2], field[3]]);
                (length as usize, 12)
            }
            other => return Err(format!("its format has version {other}; 1 to 3 are read")),
        };
        if length > MOST_HEADER {
            return Err(format!("its header claims {length} bytes"));
        }
        let header = bytes.get(start..start + length).ok_or_else(cut)?;
        let text = std::str::from_utf8(header).map_err(|_| "its header is no text".to_owned())?;
        let kind = between(text, "'descr': '", "'").ok_or("its header names no type")?;
        let shape = between(text, "'shape': (", ")").ok_or("its header names no shape")?;
        let mut count = 1usize;
        for side in shape
            .split(',')
            .map(str::trim)
            .filter(|side| !side.is_empty())
        {
            let side: usize = side
                .parse()
                .map_err(|_| format!("its shape is ({shape})"))?;
            count = count
                .checked_mul(side)
                .ok_or_else(|| format!("its shape ({shape}) is beyond any memory"))?;
        }
        let each = kind
            .trim_start_matches(|c: char| !c.is_ascii_digit())
            .parse::<usize>()
            .map_err(|_| format!("its numbers are of type {kind}"))?;
        let held = bytes.len() - start - length;
        if count.checked_mul(each) != Some(held) {
            return Err(format!(
                "its header claims ({shape}) numbers of type {kind}, but {held} bytes follow"
            ));
        }
        Ok(Self {
            kind: kind.to_owned(),
            start: start + length,
        })
    }

    /// The array with numbers of half precision made single: the reader knows none smaller.
    fn widened(&self, bytes: Vec<u8>) -> Vec<u8> {
        let is_little = match self.kind.as_str() {
            "<f2" => true,
            ">f2" => false,
            _ => return bytes,
        };
        let (head, numbers) = bytes.split_at(self.start);
        let name = self.kind.as_bytes();
        let mut wide = head.to_vec();
        if let Some(place) = head.windows(name.len()).position(|part| part == name) {
            wide[place..place + name.len()].copy_from_slice(b"<f4");
        }
        for pair in numbers.chunks_exact(2) {
            let pair = [pair[0], pair[1]];
            let number = if is_little {
                f16::from_le_bytes(pair)
            } else {
                f16::from_be_bytes(pair)
            };
            wide.extend(number.to_f32().to_le_bytes());
        }
        wide
    }
}

fn between<'a>(text: &'a str, before: &str, after: &str) -> Option<&'a str> {
    let rest = &text[text.find(before)? + before.len()..];
    rest.find(after).map(|end| &rest[..end])
}

impl StatisticsFile {
    /// Reads a file of pytorch-fid, of clean-fid, of guided-diffusion, or ours.
    ///
    /// # Errors
    /// [`Kind::Data`] that names the file and the array: missing, of a wrong shape or type, or not finite.
    pub fn read(path: &Path) -> Result<Self> {
        let mut archive = Archive::open(path)?;
        let (shape, mean) = archive.numbers("mu")?;
        let d = mean.len();
        if shape.len() != 1 || d == 0 {
            return Err(refuse(path, format!("mu has the shape {shape:?}, not [d]")));
        }
        let (shape, covariance) = archive.numbers("sigma")?;
        if shape != [d, d] {
            return Err(refuse(
                path,
                format!(
                    "sigma has the shape {shape:?}; mu has {d} numbers, so [{d}, {d}] is expected"
                ),
            ));
        }
        for (name, values) in [("mu", &mean), ("sigma", &covariance)] {
            if let Some(bad) = values.iter().find(|value| !value.is_finite()) {
                return Err(refuse(path, format!("{name} holds {bad}")));
            }
        }
        let count = if archive.has("n") {
            let (_, values) = archive.numbers("n")?;
            match values[..] {
                [count] if count.fract() == 0.0 && (1.0..=MOST_PICTURES).contains(&count) => {
                    Some(count as u64)
                }
                _ => {
                    return Err(refuse(
                        path,
                        format!("n must be one number of pictures, and is {values:?}"),
                    ));
                }
            }
        } else {
            None
        };
        let provenance = if archive.has("provenance") {
            let (_, values) = archive.numbers("provenance")?;
            let text: Vec<u8> = values.iter().map(|value| *value as u8).collect();
            let read = serde_json::from_slice(&text)
                .map_err(|error| refuse(path, format!("has a damaged provenance: {error}")))?;
            Some(read)
        } else {
            None
        };
        Ok(Self {
            mean,
            covariance,
            count,
            provenance,
        })
    }

    /// Statistics of the pictures of two files together (Chan et al. 1979), whoever computed them where.
    ///
    /// # Errors
    /// [`Kind::Usage`] when they differ in their features or their origin, or one does not say of how many
    /// pictures it is.
    pub fn merged(&self, other: &Self) -> Result<Self> {
        let refuse = |what: String| failure(Kind::Usage, what);
        let (Some(ours), Some(theirs)) = (self.count, other.count) else {
            return Err(refuse(
                "it does not say of how many pictures it is: only files of `stats save` can be merged".into(),
            ));
        };
        let d = self.mean.len();
        if d != other.mean.len() {
            return Err(refuse(format!(
                "it has {} features, the others have {d}",
                other.mean.len()
            )));
        }
        match (&self.provenance, &other.provenance) {
            (Some(one), Some(two)) => {
                if let Some(difference) = one.difference(two) {
                    return Err(refuse(format!("it is of another origin: {difference}")));
                }
            }
            (None, None) => {}
            _ => {
                return Err(refuse(
                    "one of the files does not say how it was made".into(),
                ));
            }
        }
        if ours < 2 || theirs < 2 {
            return Err(refuse("a covariance is of 2 pictures at least".into()));
        }
        let Some(count) = ours
            .checked_add(theirs)
            .filter(|count| *count as f64 <= MOST_PICTURES)
        else {
            return Err(refuse(
                "together they are of more pictures than can be counted".into(),
            ));
        };
        let (n, m) = (ours as f64, theirs as f64);
        let all = n + m;
        let away: Vec<f64> = other
            .mean
            .iter()
            .zip(&self.mean)
            .map(|(b, a)| b - a)
            .collect();
        let mean = self
            .mean
            .iter()
            .zip(&away)
            .map(|(a, away)| a + away * (m / all));
        let mut covariance = Vec::with_capacity(d * d);
        for row in 0..d {
            for column in 0..d {
                let place = row * d + column;
                let sum = (n - 1.0) * self.covariance[place]
                    + (m - 1.0) * other.covariance[place]
                    + away[row] * away[column] * (n * m / all);
                covariance.push(sum / (all - 1.0));
            }
        }
        Ok(Self {
            mean: mean.collect(),
            covariance,
            count: Some(count),
            provenance: self.provenance.clone(),
        })
    }

    /// Writes the file, whole or not at all.
    ///
    /// # Errors
    /// [`Kind::Disk`] that names the path.
    ///
    /// # Panics
    /// If the covariance is not as large as the mean asks for.
    pub fn write(&self, path: &Path) -> Result<()> {
        let d = self.mean.len();
        assert_eq!(self.covariance.len(), d * d, "a square covariance");
        let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
        // The numbers are nearly random: more effort saves nothing.
        let options = SimpleFileOptions::default()
            .compression_method(zip::CompressionMethod::Deflated)
            .compression_level(Some(1));
        let mut add = |name: &str, bytes: Vec<u8>| -> Result<()> {
            zip.start_file(format!("{name}.npy"), options)?;
            zip.write_all(&bytes)?;
            Ok(())
        };
        add("mu", array(&[d], &self.mean)?)?;
        add("sigma", array(&[d, d], &self.covariance)?)?;
        if let Some(count) = self.count {
            add("n", array(&[], &[count as i64])?)?;
        }
        if let Some(provenance) = &self.provenance {
            let text = serde_json::to_vec(provenance)?;
            add("provenance", array(&[text.len()], &text)?)?;
        }
        let bytes = zip.finish()?.into_inner();
        write_atomically(path, &bytes)
    }
}

fn array<T: ndarray_npy::WritableElement>(shape: &[usize], values: &[T]) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let view = ArrayView::from_shape(IxDyn(shape), values)?;
    view.write_npy(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use gan_core::failure::exit_code;

    fn sample() -> StatisticsFile {
        StatisticsFile {
            mean: vec![0.5, -1.25, 3.0],
            covariance: vec![2.0, 0.5, 0.0, 0.5, 1.0, -0.25, 0.0, -0.25, 4.0],
            count: Some(70),
            provenance: Some(Provenance {
                tool: "eval 0.1.0".into(),
                compat: "pytorch-fid".into(),
                resize: "bilinear".into(),
                layer: "2048".into(),
                weights: "67".into(),
            }),
        }
    }

    #[test]
    fn what_is_written_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("s.npz");
        sample().write(&path).unwrap();
        assert_eq!(StatisticsFile::read(&path).unwrap(), sample());
    }

    /// An array as numpy writes it.
    fn entry(kind: &str, order: &str, shape: &str, bytes: Vec<u8>) -> Vec<u8> {
        let mut header =
            format!("{{'descr': '{kind}', 'fortran_order': {order}, 'shape': {shape}, }}");
        while !(10 + header.len() + 1).is_multiple_of(64) {
            header.push(' ');
        }
        header.push('\n');
        let mut all = b"\x93NUMPY\x01\x00".to_vec();
        all.extend((header.len() as u16).to_le_bytes());
        all.extend(header.bytes());
        all.extend(bytes);
        all
    }

    /// `np.savez_compressed("numpy.npz", mu=np.array([0.5, -1.5], np.float32), sigma=np.asfortranarray([[2.0, 0.5],
    /// [0.25, 1.0]]))` of numpy 2.4, the sigma deliberately not symmetric.
    #[test]
    fn a_file_of_numpy_is_read_in_either_order() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("numpy.npz");
        let mu: Vec<u8> = [0.5f32, -1.5]
            .iter()
            .flat_map(|x| x.to_le_bytes())
            .collect();
        let sigma: Vec<u8> = [2.0f64, 0.25, 0.5, 1.0]
            .iter()
            .flat_map(|x| x.to_le_bytes())
            .collect();
        let mut zip = ZipWriter::new(File::create(&path).unwrap());
        let stored = SimpleFileOptions::default();
        zip.start_file("mu.npy", stored).unwrap();
        zip.write_all(&entry("<f4", "False", "(2,)", mu)).unwrap();
        zip.start_file("sigma.npy", stored).unwrap();
        zip.write_all(&entry("<f8", "True", "(2, 2)", sigma))
            .unwrap();
        zip.finish().unwrap();
        let read = StatisticsFile::read(&path).unwrap();
        assert_eq!(read.mean, [0.5, -1.5]);
        assert_eq!(read.covariance, [2.0, 0.5, 0.25, 1.0]);
        assert_eq!((read.count, read.provenance), (None, None));
    }

    #[test]
    fn numbers_of_other_types_are_read() {
        // np.array([0.5, -2.0], kind).tobytes() for each kind that holds them.
        let folder = tempfile::tempdir().unwrap();
        let kinds: [(&str, &[u8]); 4] = [
            ("<f2", &[0x00, 0x38, 0x00, 0xc0]),
            (">f2", &[0x38, 0x00, 0xc0, 0x00]),
            (">f4", &[0x3f, 0, 0, 0, 0xc0, 0, 0, 0]),
            (
                ">f8",
                &[0x3f, 0xe0, 0, 0, 0, 0, 0, 0, 0xc0, 0, 0, 0, 0, 0, 0, 0],
            ),
        ];
        for (kind, mean) in kinds {
            let path = folder.path().join("kinds.npz");
            let mut zip = ZipWriter::new(File::create(&path).unwrap());
            let stored = SimpleFileOptions::default();
            zip.start_file("mu.npy", stored).unwrap();
            zip.write_all(&entry(kind, "False", "(2,)", mean.to_vec()))
                .unwrap();
            zip.start_file("sigma.npy", stored).unwrap();
            let sigma = [3, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 4, 0, 0, 0];
            zip.write_all(&entry("<i4", "False", "(2, 2)", sigma.to_vec()))
                .unwrap();
            zip.finish().unwrap();
            let read = StatisticsFile::read(&path).unwrap();
            assert_eq!(read.mean, [0.5, -2.0], "{kind}");
            assert_eq!(read.covariance, [3.0, 1.0, 1.0, 4.0]);
        }
    }

    #[test]
    fn headers_that_lie_are_refused_before_memory_is_taken() {
        let mut bytes = array(&[3], &[1.0, 2.0, 3.0]).unwrap();
        assert!(Header::check(&bytes).is_ok());
        let place = bytes.windows(4).position(|four| four == b"(3,)").unwrap();
        bytes[place..place + 4].copy_from_slice(b"(9,)");
        assert!(
            Header::check(&bytes)
                .err()
                .unwrap()
                .contains("24 bytes follow")
        );
        assert!(Header::check(b"PK").err().unwrap().contains("no array"));
        assert!(
            Header::check(&bytes[..9])
                .err()
                .unwrap()
                .contains("cut short")
        );
    }

    #[test]
    fn damage_is_named_wherever_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("s.npz");
        sample().write(&path).unwrap();
        let whole = std::fs::read(&path).unwrap();
        let mut refused = 0;
        let mut state = 1u64;
        for case in 0..3000 {
            let mut bytes = whole.clone();
            // Every byte once, then one to four at random places.
            for _ in 0..=(case / whole.len()).min(3) {
                state = state
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1_442_695_040_888_963_407);
                let place = match case < whole.len() {
                    true => case,
                    false => (state >> 33) as usize % whole.len(),
                };
                bytes[place] ^= 1 << (state >> 61);
            }
            std::fs::write(&path, &bytes).unwrap();
            match StatisticsFile::read(&path) {
                // Dates and the like mean nothing here.
                Ok(read) => assert_eq!(read.mean, sample().mean, "case {case}"),
                Err(error) => {
                    refused += 1;
                    assert_eq!(exit_code(&error), 3, "{error:#}");
                    assert!(error.to_string().contains("s.npz"), "{error:#}");
                }
            }
        }
        assert!(refused > 1500, "{refused} of 3000");
        for cut in 0..16 {
            std::fs::write(&path, &whole[..whole.len() * cut / 16]).unwrap();
            assert!(StatisticsFile::read(&path).is_err(), "{cut}/16");
        }
    }

    #[test]
    fn merged_statistics_are_those_of_the_whole() {
        // Rows (0, 1), (2, 2), (4, 9) and (1, 0), (7, 3).
        let of = |mean: [f64; 2], covariance: [f64; 4], count| StatisticsFile {
            mean: mean.to_vec(),
            covariance: covariance.to_vec(),
            count,
            provenance: None,
        };
        let first = of([2.0, 4.0], [4.0, 8.0, 8.0, 19.0], Some(3));
        let second = of([4.0, 1.5], [18.0, 9.0, 9.0, 4.5], Some(2));
        let whole = first.merged(&second).unwrap();
        // np.cov([[0,2,4,1,7],[1,2,9,0,3]]) = [[7.7, 4.75], [4.75, 12.5]]
        assert_eq!(whole.count, Some(5));
        for (ours, numpys) in whole.mean.iter().zip([2.8, 3.0]) {
            assert!((ours - numpys).abs() < 1e-12, "{:?}", whole.mean);
        }
        for (ours, numpys) in whole.covariance.iter().zip([7.7, 4.75, 4.75, 12.5]) {
            assert!((ours - numpys).abs() < 1e-12, "{:?}", whole.covariance);
        }
        let endless = of([2.0, 4.0], [4.0; 4], Some(1 << 62));
        assert!(
            endless.merged(&endless).is_err(),
            "more than can be counted"
        );
        let unknown = of([2.0, 4.0], [4.0; 4], None);
        assert!(first.merged(&unknown).is_err());
        assert!(first.merged(&sample()).is_err());
    }

    #[test]
    fn provenance_names_what_differs() {
        let ours = sample().provenance.unwrap();
        let mut theirs = ours.clone();
        assert_eq!(ours.difference(&theirs), None);
        theirs.resize = "bicubic".into();
        theirs.tool = "eval 0.2.0".into();
        assert_eq!(
            ours.difference(&theirs).unwrap(),
            "resize: bilinear here, bicubic there"
        );
    }
}
