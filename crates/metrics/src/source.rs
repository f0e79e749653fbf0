//! Where pictures come from: files, or the grey pictures of an idx file.

use crate::decode::{Picture, decode};
use anyhow::Result;
use gan_core::failure::{Kind, at_path, failure};
use gan_core::idx;
use sha2::{Digest, Sha256};
use std::path::{Path, PathBuf};

/// Most bytes of a picture's file.
const MOST_FILE: u64 = 1 << 30;

/// Pictures in their order.
#[derive(Debug, Clone)]
pub enum Source {
    /// One file each.
    Files(Vec<PathBuf>),
    /// Grey pictures of one size, as MNIST has them.
    Grey(idx::Pictures),
}

impl Source {
    /// How many.
    pub fn len(&self) -> usize {
        match self {
            Self::Files(files) => files.len(),
            Self::Grey(pictures) => pictures.len(),
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What a message calls picture `index`.
    ///
    /// # Panics
    /// If there are fewer.
    pub fn name(&self, index: usize) -> String {
        match self {
            Self::Files(files) => files[index].display().to_string(),
            Self::Grey(_) => format!("picture {index}"),
        }
    }

    /// The sha256 of a picture's bytes as they lie in storage.
    ///
    /// # Errors
    /// [`Kind::Data`] when the file cannot be read.
    ///
    /// # Panics
    /// If there are fewer.
    pub fn digest(&self, index: usize) -> Result<[u8; 32]> {
        Ok(match self {
            Self::Files(files) => Sha256::digest(read(&files[index])?).into(),
            Self::Grey(pictures) => {
                let mut sum = Sha256::new();
                // Equal bytes of another shape are another picture.
                sum.update(format!("grey {} {}", pictures.width, pictures.height));
                sum.update(pictures.picture(index));
                sum.finalize().into()
            }
        })
    }

    /// Decodes a picture.
    ///
    /// # Errors
    /// [`Kind::Data`] that names the file and what is wrong with it.
    ///
    /// # Panics
    /// If there are fewer.
    pub fn picture(&self, index: usize) -> Result<Picture> {
        match self {
            Self::Files(files) => decode(&read(&files[index])?).map_err(|error| {
                failure(Kind::Data, format!("{}: {error:#}", files[index].display()))
            }),
            Self::Grey(pictures) => Ok(Picture {
                width: pictures.width,
                height: pictures.height,
                pixels: pictures
                    .picture(index)
                    .iter()
                    .flat_map(|grey| [*grey; 3])
                    .collect(),
                had_alpha: false,
                clipped: false,
            }),
        }
    }
}

fn read(path: &Path) -> Result<Vec<u8>> {
    let metadata =
        std::fs::metadata(path).map_err(|error| at_path(Kind::Data, "open", path, &error))?;
    if !metadata.is_file() || metadata.len() > MOST_FILE {
        return Err(failure(
            Kind::Data,
            format!(
                "{} is not a plain file of at most {MOST_FILE} bytes",
                path.display()
            ),
        ));
    }
    std::fs::read(path).map_err(|error| at_path(Kind::Data, "read", path, &error))
}
