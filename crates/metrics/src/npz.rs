//! Statistics in numpy's `.npz` files, exchangeable with pytorch-fid and clean-fid both ways.
//!
//! A file holds `mu` `[d]` and `sigma` `[d, d]`. Ours add `n`, the number of pictures, and `provenance`, a
//! JSON text as bytes: which tool, which preparation, which layer of which weights. Others ignore them.

use anyhow::Result;
use gan_core::failure::{Kind, failure};
use gan_core::npz::Archive;
use gan_core::weights::write_atomically;
use ndarray::{ArrayView, IxDyn};
use ndarray_npy::WriteNpyExt;
use std::io::{Cursor, Write};
use std::path::Path;
use zip::write::{SimpleFileOptions, ZipWriter};

/// Most pictures that statistics can be of: beyond this a float64 does not count any more.
const MOST_PICTURES: f64 = 9_007_199_254_740_992.0;

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

fn refuse(path: &Path, what: impl std::fmt::Display) -> anyhow::Error {
    failure(Kind::Data, format!("{} {what}", path.display()))
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
    use std::fs::File;

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
