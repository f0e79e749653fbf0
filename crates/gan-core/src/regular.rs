//! Opening what must be a plain file: a named pipe or a device under that name would be waited for, or
//! read, without an end.

use crate::failure::{Kind, at_path, failure};
use anyhow::Result;
use std::fs::{File, Metadata};
use std::io::Read;
use std::path::Path;

/// Opens the plain file at `path`, or behind a link there, to do `action` with it.
///
/// # Errors
/// A failure of `kind` that names the path when it is missing, or something else than a plain file.
pub fn open(kind: Kind, action: &str, path: &Path) -> Result<(File, Metadata)> {
    let problem = |error: std::io::Error| at_path(kind, action, path, &error);
    // Before it is opened: opening a named pipe waits for somebody who writes into it.
    check(kind, path, &std::fs::metadata(path).map_err(problem)?)?;
    let file = File::open(path).map_err(problem)?;
    let metadata = file.metadata().map_err(problem)?;
    check(kind, path, &metadata)?;
    Ok((file, metadata))
}

/// Reads the plain file at `path`.
///
/// # Errors
/// As [`open`], and a failure of `kind` when it has more than `most` bytes.
pub fn read(kind: Kind, path: &Path, most: u64) -> Result<Vec<u8>> {
    let (file, metadata) = open(kind, "read", path)?;
    let mut bytes = Vec::new();
    if metadata.len() <= most {
        bytes.reserve_exact(metadata.len() as usize);
        file.take(most + 1)
            .read_to_end(&mut bytes)
            .map_err(|error| at_path(kind, "read", path, &error))?;
    }
    let length = metadata.len().max(bytes.len() as u64);
    if length > most {
        return Err(failure(
            kind,
            format!(
                "{} has {length} bytes; at most {most} are read of such a file",
                path.display()
            ),
        ));
    }
    Ok(bytes)
}

fn check(kind: Kind, path: &Path, metadata: &Metadata) -> Result<()> {
    if metadata.is_file() {
        return Ok(());
    }
    let what = if metadata.is_dir() {
        "is a folder, where a file is expected"
    } else {
        "is a named pipe, a socket or a device, where a plain file is expected"
    };
    Err(failure(kind, format!("{} {what}", path.display())))
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn only_plain_files_are_opened() {
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path().join("file");
        std::fs::write(&place, "abc").unwrap();
        let link = folder.path().join("link");
        std::os::unix::fs::symlink(&place, &link).unwrap();
        assert_eq!(read(Kind::Data, &link, 3).unwrap(), b"abc");
        let refused =
            |path: &Path, most: u64| read(Kind::Data, path, most).unwrap_err().to_string();
        assert!(refused(&place, 2).contains("at most 2"));
        assert!(refused(folder.path(), 9).contains("is a folder"));
        assert!(refused(Path::new("/dev/zero"), 9).contains("a device"));
        let pipe = folder.path().join("pipe");
        let made = std::process::Command::new("mkfifo").arg(&pipe).status();
        if made.is_ok_and(|status| status.success()) {
            assert!(refused(&pipe, 9).contains("named pipe"));
        }
        assert!(refused(&folder.path().join("none"), 9).contains("check the path"));
    }
}
