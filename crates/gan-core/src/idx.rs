//! Grey pictures and their labels in idx files, the format of MNIST and Fashion-MNIST.

use crate::failure::{Kind, at_path, failure};
use crate::regular;
use anyhow::Result;
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

/// Most bytes of pictures that are read into memory.
const MOST_BYTES: u64 = 4 << 30;
/// Most pictures or labels of one file.
const MOST_COUNT: usize = 10_000_000;
/// Unpacked bytes for each packed byte of a gzipped file, once there are more than [`RATIO_FREE_BYTES`].
const MOST_RATIO: u64 = 200;
/// Unpacked bytes that are always allowed: few small pictures of one grey pack very tightly.
const RATIO_FREE_BYTES: u64 = 16 << 20;

/// Grey pictures of one size, one byte a pixel, with labels where there are any.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pictures {
    /// `count * height * width` bytes, row-major; 0 is black.
    pub pixels: Vec<u8>,
    /// The class of each picture; empty when there are no labels.
    pub labels: Vec<u8>,
    /// Pixels.
    pub height: usize,
    /// Pixels.
    pub width: usize,
}

impl Pictures {
    /// How many.
    pub fn len(&self) -> usize {
        self.pixels.len() / (self.height * self.width).max(1)
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.pixels.is_empty()
    }

    /// The bytes of picture `index`.
    pub fn picture(&self, index: usize) -> &[u8] {
        let size = self.height * self.width;
        &self.pixels[index * size..(index + 1) * size]
    }

    /// The mean of each pixel, in [0, 1].
    pub fn mean(&self) -> Vec<f64> {
        let size = self.height * self.width;
        let mut sums = vec![0u64; size];
        for picture in self.pixels.chunks_exact(size) {
            for (sum, pixel) in sums.iter_mut().zip(picture) {
                *sum += u64::from(*pixel);
            }
        }
        let scale = 255.0 * self.len().max(1) as f64;
        sums.into_iter().map(|sum| sum as f64 / scale).collect()
    }

    /// Reads `prefix`-images and, where they exist, `prefix`-labels under a folder; or one file of
    /// pictures. Gzipped or not, with `-idx3-ubyte` or `.idx3-ubyte` endings, one folder deep.
    ///
    /// # Errors
    /// [`Kind::Data`], naming the file and what is wrong with it.
    pub fn read(place: &Path, prefix: &str) -> Result<Self> {
        if place.is_file() {
            return Self::read_files(place, None);
        }
        let images = find(place, &format!("{prefix}-images"), "idx3");
        let labels = find(place, &format!("{prefix}-labels"), "idx1");
        match images {
            Some(images) => Self::read_files(&images, labels.as_deref()),
            None if !place.exists() => Err(failure(
                Kind::Data,
                format!("{} does not exist: check --data", place.display()),
            )),
            None => Err(failure(
                Kind::Data,
                format!(
                    "{} holds no {prefix}-images-idx3-ubyte(.gz){}; expected the files of MNIST or \
                     Fashion-MNIST, gzipped or not",
                    place.display(),
                    labels
                        .map(|labels| format!(
                            " (only labels: {})",
                            labels.file_name().unwrap_or_default().to_string_lossy()
                        ))
                        .unwrap_or_default()
                ),
            )),
        }
    }

    /// Writes `prefix`-images-idx3-ubyte.gz and, where there are labels, `prefix`-labels-idx1-ubyte.gz.
    ///
    /// # Errors
    /// [`Kind::Disk`] when a file cannot be written.
    pub fn write(&self, folder: &Path, prefix: &str) -> Result<()> {
        let sizes = [self.len(), self.height, self.width];
        let images = folder.join(format!("{prefix}-images-idx3-ubyte.gz"));
        write_idx(&images, &sizes, &self.pixels)?;
        if !self.labels.is_empty() {
            let labels = folder.join(format!("{prefix}-labels-idx1-ubyte.gz"));
            write_idx(&labels, &[self.labels.len()], &self.labels)?;
        }
        Ok(())
    }

    fn read_files(images: &Path, labels: Option<&Path>) -> Result<Self> {
        let (sizes, pixels) = read_idx(images, 3)?;
        let [count, height, width] = [sizes[0], sizes[1], sizes[2]];
        let labels_read = labels.map(|path| read_idx(path, 1)).transpose()?;
        let labels_read = labels_read.map_or(Vec::new(), |(_, labels)| labels);
        if let Some(path) = labels
            && labels_read.len() != count
        {
            return Err(failure(
                Kind::Data,
                format!(
                    "{} has {count} pictures, but {} has {} labels: the files do not belong together",
                    images.display(),
                    path.display(),
                    labels_read.len()
                ),
            ));
        }
        Ok(Self {
            pixels,
            labels: labels_read,
            height,
            width,
        })
    }
}

fn find(folder: &Path, stem: &str, kind: &str) -> Option<PathBuf> {
    let inner = std::fs::read_dir(folder)
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.is_dir());
    let mut folders: Vec<PathBuf> = inner.collect();
    folders.sort();
    folders.insert(0, folder.to_owned());
    for folder in folders {
        for separator in ["-", "."] {
            for ending in ["", ".gz"] {
                let path = folder.join(format!("{stem}{separator}{kind}-ubyte{ending}"));
                if path.is_file() {
                    return Some(path);
                }
            }
        }
    }
    None
}

fn write_idx(path: &Path, sizes: &[usize], body: &[u8]) -> Result<()> {
    let mut bytes = vec![0, 0, 8, sizes.len() as u8];
    for size in sizes {
        bytes.extend((*size as u32).to_be_bytes());
    }
    bytes.extend(body);
    let write = || -> std::io::Result<()> {
        let file = std::fs::File::create(path)?;
        let mut packed = flate2::write::GzEncoder::new(file, flate2::Compression::default());
        packed.write_all(&bytes)?;
        packed.finish()?.sync_all()
    };
    write().map_err(|error| at_path(Kind::Disk, "write", path, &error))
}

/// Reads an idx file of bytes with `rank` sizes: a big-endian magic 0x000008RR, the sizes, the
/// bytes. Gzip is told by content.
///
/// # Errors
/// [`Kind::Data`]: the magic of another kind of file, a body that is too short or too long, sizes
/// that are zero or absurd, far more bytes than its packed size makes likely.
pub fn read_idx(path: &Path, rank: usize) -> Result<(Vec<usize>, Vec<u8>)> {
    let refuse = |what: String| failure(Kind::Data, format!("{}: {what}", path.display()));
    let (mut file, metadata) = regular::open(Kind::Data, "open", path)?;
    let mut start = Vec::new();
    Read::by_ref(&mut file)
        .take(2)
        .read_to_end(&mut start)
        .and_then(|_| file.seek(SeekFrom::Start(0)))
        .map_err(|error| at_path(Kind::Data, "read", path, &error))?;
    let is_gzip = start == [0x1f, 0x8b];
    let file = std::io::BufReader::new(file);
    let mut reader: Box<dyn Read> = if is_gzip {
        Box::new(flate2::bufread::MultiGzDecoder::new(file))
    } else {
        Box::new(file)
    };
    let mut header = vec![0u8; 4 + 4 * rank];
    let broken = |error: std::io::Error, what: &str| {
        refuse(format!("{what}: {error}; download the file again"))
    };
    reader
        .read_exact(&mut header)
        .map_err(|error| broken(error, "its header is cut short"))?;
    let word = |at: usize| {
        u32::from_be_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]])
    };
    let magic = word(0);
    if magic != 0x0800 + rank as u32 {
        let hint = match magic {
            0x0801 => " (a file of labels)",
            0x0803 => " (a file of pictures)",
            _ => "",
        };
        return Err(refuse(format!(
            "its magic number is {magic:#010x}{hint}, expected {:#010x} for an idx file of bytes \
             with {rank} sizes",
            0x0800 + rank
        )));
    }
    let sizes: Vec<usize> = (0..rank)
        .map(|index| word(4 + 4 * index) as usize)
        .collect();
    let bytes = sizes
        .iter()
        .try_fold(1u64, |product, size| product.checked_mul(*size as u64))
        .unwrap_or(u64::MAX);
    let is_absurd = bytes > MOST_BYTES || sizes.iter().skip(1).any(|side| *side > 1024);
    if bytes == 0 || is_absurd || sizes[0] > MOST_COUNT {
        return Err(refuse(format!(
            "its header claims sizes {sizes:?}: expected 1 to {MOST_COUNT} pictures of at most 1024 x \
             1024, {MOST_BYTES} bytes in all; download the file again"
        )));
    }
    // Before any byte is taken for the body.
    let ends_after = |held: u64| {
        refuse(format!(
            "it ends after {held} of {bytes} bytes; download the file again"
        ))
    };
    let goes_on = || {
        refuse(format!(
            "it goes on after the {bytes} bytes that its header {sizes:?} announces"
        ))
    };
    if is_gzip {
        let most = metadata.len().saturating_mul(MOST_RATIO);
        if bytes > most.max(RATIO_FREE_BYTES) {
            return Err(refuse(format!(
                "its header claims {bytes} bytes, more than {MOST_RATIO} times the {} that it has gzipped; \
                 unpack it by hand if you trust it",
                metadata.len()
            )));
        }
    } else {
        let held = metadata.len().saturating_sub(header.len() as u64);
        match held.cmp(&bytes) {
            std::cmp::Ordering::Less => return Err(ends_after(held)),
            std::cmp::Ordering::Greater => return Err(goes_on()),
            std::cmp::Ordering::Equal => {}
        }
    }
    // Reading grows the buffer as bytes arrive: a lying header allocates nothing.
    let mut body = Vec::new();
    reader
        .by_ref()
        .take(bytes)
        .read_to_end(&mut body)
        .map_err(|error| broken(error, "its body is damaged"))?;
    if body.len() as u64 != bytes {
        return Err(ends_after(body.len() as u64));
    }
    let more = reader
        .read(&mut [0u8; 1])
        .map_err(|error| broken(error, "its end is damaged"))?;
    if more > 0 {
        return Err(goes_on());
    }
    Ok((sizes, body))
}

/// Whether a folder (or a folder in it) holds `prefix`-images as an idx file.
pub fn is_here(place: &Path, prefix: &str) -> bool {
    find(place, &format!("{prefix}-images"), "idx3").is_some()
}

/// Whether a folder (or a folder in it) holds `prefix`-labels as an idx file.
pub fn has_labels(place: &Path, prefix: &str) -> bool {
    find(place, &format!("{prefix}-labels"), "idx1").is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn idx(magic: u32, sizes: &[u32], body: &[u8]) -> Vec<u8> {
        let mut bytes = magic.to_be_bytes().to_vec();
        for size in sizes {
            bytes.extend(size.to_be_bytes());
        }
        bytes.extend(body);
        bytes
    }

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), Default::default());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn reads_plain_and_gzipped_pictures_with_labels() {
        let folder = tempfile::tempdir().unwrap();
        let write =
            |name: &str, bytes: &[u8]| std::fs::write(folder.path().join(name), bytes).unwrap();
        let pictures = idx(0x0803, &[2, 2, 3], &[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 255]);
        write("train-images-idx3-ubyte.gz", &gzip(&pictures));
        write("train-labels.idx1-ubyte", &idx(0x0801, &[2], &[7, 1]));
        assert!(is_here(folder.path(), "train") && !is_here(folder.path(), "t10k"));
        let read = Pictures::read(folder.path(), "train").unwrap();
        assert_eq!((read.len(), read.height, read.width), (2, 2, 3));
        assert_eq!(read.picture(1), [6, 7, 8, 9, 10, 255]);
        assert_eq!(read.labels, [7, 1]);
        assert!((read.mean()[0] - 3.0 / 255.0).abs() < 1e-12);
        let copy = tempfile::tempdir().unwrap();
        read.write(copy.path(), "train").unwrap();
        assert_eq!(Pictures::read(copy.path(), "train").unwrap(), read);
        write("train-labels.idx1-ubyte", &idx(0x0801, &[3], &[7, 1, 2]));
        let error = Pictures::read(folder.path(), "train")
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("2 pictures") && error.contains("3 labels"),
            "{error}"
        );
    }

    #[test]
    fn a_small_gzipped_file_does_not_become_gigabytes() {
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path().join("bomb.gz");
        let refused = |sizes: &[u32], body: usize| {
            std::fs::write(&place, gzip(&idx(0x0803, sizes, &vec![0; body]))).unwrap();
            read_idx(&place, 3).unwrap_err().to_string()
        };
        let said = refused(&[30_000, 28, 28], 30_000 * 784);
        assert!(said.contains("200 times"), "{said}");
        let said = refused(&[10_000_001, 1, 1], 10_000_001);
        assert!(said.contains("10000000 pictures"), "{said}");
        // As little of it as is always allowed.
        std::fs::write(
            &place,
            gzip(&idx(0x0803, &[1000, 28, 28], &vec![0; 784_000])),
        )
        .unwrap();
        assert_eq!(read_idx(&place, 3).unwrap().0, [1000, 28, 28]);
    }

    #[test]
    fn broken_files_are_named_with_what_is_wrong() {
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path().join("broken");
        let whole = idx(0x0803, &[2, 2, 2], &[0; 8]);
        let mut long = whole.clone();
        long.push(0);
        let mut damaged = gzip(&whole);
        let middle = damaged.len() / 2;
        damaged[middle] ^= 0xff;
        let cases: [(&str, Vec<u8>, &str); 8] = [
            ("empty", Vec::new(), "header is cut short"),
            (
                "labels",
                idx(0x0801, &[8], &[0; 8]),
                "0x00000801 (a file of labels)",
            ),
            (
                "short",
                whole[..whole.len() - 1].to_vec(),
                "ends after 7 of 8 bytes",
            ),
            ("long", long, "goes on after the 8 bytes"),
            (
                "huge",
                idx(0x0803, &[u32::MAX, 28, 28], &[]),
                "claims sizes",
            ),
            ("none", idx(0x0803, &[0, 28, 28], &[]), "claims sizes"),
            ("html", b"<!DOCTYPE html><html>".to_vec(), "magic number"),
            ("gzip", damaged, "broken"),
        ];
        for (name, bytes, expected) in cases {
            std::fs::write(&place, bytes).unwrap();
            let error = read_idx(&place, 3).unwrap_err();
            assert!(format!("{error:#}").contains(expected), "{name}: {error:#}");
            assert_eq!(crate::failure::exit_code(&error), 3, "{name}");
        }
    }
}
