//! Voxels in `.binvox` files (Patrick Min, <https://www.patrickmin.com/binvox/binvox.html>), versions 1 and
//! 2.
//!
//! The axes x, y and z of a file are ours, unturned. ShapeNet's files have y up, as most meshes that binvox
//! is given: [`Voxels::z_up_from_y_up`] turns them.
//!
//! A file holds runs of equal voxels; y is fastest in it, then z, then x. In version 1 a full voxel is 1,
//! in version 2 any number above 0. The format is meant for cubes. Of another grid `dim` gives the sides
//! along x, z and y, as its author's own reader takes them; others (trimesh 5.2) fail for it, so pad a
//! shape before it is written for them.

use crate::Parsed;
use crate::voxels::{Voxels, by, checked_size};
use crate::words::{Lines, number, quoted, words};
use anyhow::Result;
use gan_core::failure::{Kind, failure};
use gan_core::regular;
use gan_core::weights::write_atomically;
use std::path::Path;

/// Most bytes of a file: two a voxel.
const MOST_BYTES: u64 = 2 * (Voxels::MOST_SIDE as u64).pow(3) + MOST_HEADER as u64;
/// Most bytes of a header.
const MOST_HEADER: usize = 4096;
/// Most voxels of a run.
const MOST_RUN: usize = 255;

/// A grid, and where it lies in the space of the mesh it was made from.
#[derive(Debug, Clone, PartialEq)]
pub struct Binvox {
    /// The grid.
    pub voxels: Voxels,
    /// The corner of the grid at its first voxel.
    pub translate: [f64; 3],
    /// The length of the longest side of the grid.
    pub scale: f64,
}

impl Binvox {
    /// A grid that begins at the origin and has voxels of length one.
    pub fn new(voxels: Voxels) -> Self {
        let scale = voxels.size().into_iter().max().unwrap_or(1) as f64;
        Self {
            voxels,
            translate: [0.0; 3],
            scale,
        }
    }

    /// Reads a file.
    ///
    /// # Errors
    /// A [`Kind::Data`] failure that names the file and what is wrong with it.
    pub fn read(path: &Path) -> Result<Self> {
        let bytes = regular::read(Kind::Data, path, MOST_BYTES)?;
        Self::parse(&bytes)
            .map_err(|what| failure(Kind::Data, format!("{}: {what}", path.display())))
    }

    /// The grid in the bytes of a file.
    ///
    /// # Errors
    /// What is wrong, in words.
    pub fn parse(bytes: &[u8]) -> Parsed<Self> {
        let (header, runs) = Header::parse(bytes)?;
        let size = header
            .size
            .ok_or("its header has no line `dim` before `data`")?;
        let count = checked_size(size)?;
        // Before anything is allocated: the runs say how many voxels there are.
        let held: usize = runs.chunks_exact(2).map(|run| usize::from(run[1])).sum();
        if !runs.len().is_multiple_of(2) || held != count {
            return Err(format!(
                "its header claims {} voxels, which are {count}, but {} bytes of runs follow, of \
                 {held} voxels: the file is cut short or damaged",
                by(size),
                runs.len()
            ));
        }
        let mut voxels = Voxels::new(size);
        let [_, depth, height] = size;
        let mut at = 0;
        for run in runs.chunks_exact(2) {
            let (value, length) = (run[0], usize::from(run[1]));
            if value > 1 && header.version == 1 {
                return Err(format!(
                    "a run of voxels has the value {value}; full is 1 and empty 0 in version 1: the \
                     file is damaged, or should say `#binvox 2`"
                ));
            }
            if value > 0 {
                for index in at..at + length {
                    let (x, z, y) = (
                        index / (height * depth),
                        index / depth % height,
                        index % depth,
                    );
                    voxels.set([x, y, z], true);
                }
            }
            at += length;
        }
        Ok(Self {
            voxels,
            translate: header.translate,
            scale: header.scale,
        })
    }

    /// Writes version 1.
    ///
    /// # Errors
    /// A [`Kind::Disk`] failure that names the path.
    pub fn write(&self, path: &Path) -> Result<()> {
        write_atomically(path, &self.to_bytes())
    }

    /// The bytes of a file of version 1.
    pub fn to_bytes(&self) -> Vec<u8> {
        let [width, depth, height] = self.voxels.size();
        let [x, y, z] = self.translate;
        let mut bytes = format!(
            "#binvox 1\ndim {width} {height} {depth}\ntranslate {x} {y} {z}\nscale {}\ndata\n",
            self.scale
        )
        .into_bytes();
        let mut run = (false, 0);
        let mut end = |(is_full, length): (bool, usize)| {
            if length > 0 {
                bytes.extend([u8::from(is_full), length as u8]);
            }
        };
        for x in 0..width {
            for z in 0..height {
                for y in 0..depth {
                    let is_full = self.voxels.is_full([x, y, z]);
                    if run.0 != is_full || run.1 == MOST_RUN {
                        end(run);
                        run = (is_full, 0);
                    }
                    run.1 += 1;
                }
            }
        }
        end(run);
        bytes
    }
}

struct Header {
    version: u32,
    /// Voxels along x, y and z, once a line said so.
    size: Option<[usize; 3]>,
    translate: [f64; 3],
    scale: f64,
}

impl Header {
    /// The header, and the bytes behind it.
    fn parse(bytes: &[u8]) -> Parsed<(Self, &[u8])> {
        let mut lines = Lines::new(bytes);
        let first = lines.next().unwrap_or_default();
        let mut found = words(first);
        if found.next() != Some(b"#binvox") {
            return Err(format!(
                "it is no .binvox file: it begins with {}, where `#binvox 1` is expected",
                quoted(&first[..first.len().min(100)])
            ));
        }
        let version: u32 = number(found.next())
            .filter(|version| [1, 2].contains(version))
            .ok_or_else(|| {
                format!(
                    "it begins with {}; versions 1 and 2 are read",
                    quoted(&first[..first.len().min(100)])
                )
            })?;
        let mut header = Self {
            version,
            size: None,
            translate: [0.0; 3],
            scale: 1.0,
        };
        loop {
            let start = bytes.len() - lines.rest().len();
            let line = lines
                .next()
                .filter(|line| start + line.len() <= MOST_HEADER)
                .ok_or("its header has no line `data`: the file is cut short or damaged")?;
            let place = lines.number();
            let expected = |what: &str| {
                format!(
                    "line {place}: {} is not understood: {what} is expected",
                    quoted(line)
                )
            };
            let mut found = words(line);
            match found.next() {
                Some(b"dim") => {
                    // Along x, z and y: in the order of the voxels, the fastest last.
                    let [x, z, y] =
                        numbers(&mut found).ok_or_else(|| expected("`dim 32 32 32`"))?;
                    header.size = Some([x, y, z]);
                }
                Some(b"translate") => {
                    header.translate =
                        finite(&mut found).ok_or_else(|| expected("`translate 0 0 0`"))?;
                }
                Some(b"scale") => {
                    header.scale = number(found.next())
                        .filter(|scale: &f64| scale.is_finite())
                        .ok_or_else(|| expected("`scale 1`"))?;
                }
                Some(b"data") => return Ok((header, lines.rest())),
                None => {}
                Some(word) if word.starts_with(b"#") => {}
                Some(_) => return Err(expected("`dim`, `translate`, `scale` or `data`")),
            }
        }
    }
}

fn numbers<'a, T: std::str::FromStr>(words: &mut impl Iterator<Item = &'a [u8]>) -> Option<[T; 3]> {
    let mut next = || number(words.next());
    Some([next()?, next()?, next()?])
}

fn finite<'a>(words: &mut impl Iterator<Item = &'a [u8]>) -> Option<[f64; 3]> {
    numbers(words).filter(|three: &[f64; 3]| three.iter().all(|number| number.is_finite()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mutations::damaged;
    use crate::voxels::tests::sample;

    fn header(dim: &str) -> Vec<u8> {
        format!("#binvox 1\ndim {dim}\ntranslate 0.5 -1 2e-3\nscale 7.25\ndata\n").into_bytes()
    }

    #[test]
    fn what_is_written_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.binvox");
        let binvox = Binvox {
            voxels: sample([5, 7, 11]),
            translate: [0.1, -2.0, 1e-9],
            scale: 0.7,
        };
        binvox.write(&path).unwrap();
        assert_eq!(Binvox::read(&path).unwrap(), binvox);
        // Runs of more than 255.
        for voxels in [
            Voxels::new([9, 8, 64]),
            Voxels::from_fn([9, 8, 64], |_| true),
        ] {
            let binvox = Binvox::new(voxels);
            assert_eq!(binvox.scale, 64.0);
            let bytes = binvox.to_bytes();
            // 18 of 255, and one of 18.
            assert_eq!(
                bytes.len() - bytes.iter().rposition(|byte| *byte == b'\n').unwrap() - 1,
                38
            );
            assert_eq!(Binvox::parse(&bytes).unwrap(), binvox);
        }
    }

    #[test]
    fn y_is_fastest_then_z() {
        let mut bytes = header("2 3 4");
        // x 0: z 0, y 0 to 3; z 1, y 0.
        bytes.extend([1, 5, 0, 18, 1, 1]);
        let binvox = Binvox::parse(&bytes).unwrap();
        assert_eq!(binvox.voxels.size(), [2, 4, 3]);
        assert_eq!(
            binvox.voxels.full().collect::<Vec<_>>(),
            [
                [0, 0, 0],
                [0, 0, 1],
                [0, 1, 0],
                [0, 2, 0],
                [0, 3, 0],
                [1, 3, 2]
            ]
        );
        assert_eq!((binvox.translate, binvox.scale), ([0.5, -1.0, 0.002], 7.25));
        assert!(binvox.to_bytes().ends_with(b"data\n\x01\x05\0\x12\x01\x01"));
    }

    #[test]
    fn other_values_are_full_in_version_2() {
        let mut bytes = header("2 2 2");
        bytes.extend([200, 3, 0, 0, 0, 5]);
        let said = Binvox::parse(&bytes).unwrap_err();
        assert!(
            said.contains("the value 200") && said.contains("#binvox 2"),
            "{said}"
        );
        bytes[8] = b'2';
        assert_eq!(Binvox::parse(&bytes).unwrap().voxels.count(), 3);
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (bytes, expected) in [
            (
                b"".to_vec(),
                "begins with ``, where `#binvox 1` is expected",
            ),
            (b"solid".to_vec(), "begins with `solid`"),
            (
                b"#binvox 3\n".to_vec(),
                "`#binvox 3`; versions 1 and 2 are read",
            ),
            (b"#binvox\n".to_vec(), "versions 1 and 2 are read"),
            (b"#binvox 1\ndim 2 2 2\n".to_vec(), "no line `data`"),
            (
                [&b"#binvox 1\n"[..], &[b'#'; 1 << 20]].concat(),
                "no line `data`",
            ),
            (b"#binvox 1\ndata\n\x01\x01".to_vec(), "no line `dim`"),
            (
                b"#binvox 1\ndim 2 2\n".to_vec(),
                "line 2: `dim 2 2` is not understood",
            ),
            (b"#binvox 1\ndim 2 2 -2\n".to_vec(), "line 2: `dim 2 2 -2`"),
            (b"#binvox 1\nscale nan\n".to_vec(), "line 2: `scale nan`"),
            (
                b"#binvox 1\ntranslate 0 inf 0\n".to_vec(),
                "line 2: `translate 0 inf 0`",
            ),
            (
                b"#binvox 1\nhello\n".to_vec(),
                "`dim`, `translate`, `scale` or `data` is expected",
            ),
            (
                header("0 2 2"),
                "a grid of 0 x 2 x 2 voxels has a side that is not 1 to 512",
            ),
            (
                header("0 0 0"),
                "a grid of 0 x 0 x 0 voxels has a side that is not 1 to 512: save a grid that has voxels",
            ),
            (header("2 2 100000"), "a grid of 2 x 100000 x 2 voxels"),
            (header("513 2 2"), "not 1 to 512: reduce it first"),
            (header("18446744073709551615 2 2"), "not 1 to 512"),
            (
                header("512 512 512"),
                "which are 134217728, but 0 bytes of runs follow, of 0 voxels",
            ),
            (
                [header("2 2 2"), vec![1, 7]].concat(),
                "2 bytes of runs follow, of 7 voxels",
            ),
            (
                [header("2 2 2"), vec![1, 9]].concat(),
                "2 bytes of runs follow, of 9 voxels",
            ),
            (
                [header("2 2 2"), vec![1, 8, 0]].concat(),
                "3 bytes of runs follow",
            ),
        ] {
            let said = Binvox::parse(&bytes).unwrap_err();
            assert!(said.contains(expected), "{said}");
            assert!(said.len() < 300, "{said}");
        }
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("bad.binvox");
        std::fs::write(&path, "#binvox 7").unwrap();
        assert!(
            Binvox::read(&path)
                .unwrap_err()
                .to_string()
                .contains("bad.binvox: it begins with")
        );
    }

    #[test]
    fn damaged_files_are_refused_or_of_the_size_they_claim() {
        let mut refused = 0;
        for bytes in damaged(&Binvox::new(sample([6, 7, 5])).to_bytes(), 3000) {
            match Binvox::parse(&bytes) {
                Ok(binvox) => assert!(binvox.voxels.len() <= 255 * bytes.len()),
                Err(_) => refused += 1,
            }
        }
        assert!(refused > 1000, "{refused}");
    }

    /// `tests/fixtures/shapes_make.py` wrote it with trimesh: full where (x + 2 y + 3 z) % 5 is below 2.
    #[test]
    fn a_file_of_trimesh_is_read() {
        let bytes = include_bytes!("../../../tests/fixtures/shapes/grid.binvox");
        let binvox = Binvox::parse(bytes).unwrap();
        let expected = Voxels::from_fn([6, 6, 6], |[x, y, z]| (x + 2 * y + 3 * z) % 5 < 2);
        assert_eq!(binvox.voxels, expected);
    }
}
