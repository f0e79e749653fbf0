//! What can go wrong for a user, and the exit code that says so.

use std::path::Path;

/// The kinds of failure that a caller can tell apart; each has its own process exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Kind {
    /// A flag or configuration value is wrong: exit code 2.
    #[error("usage")]
    Usage,
    /// A data file or folder is missing, broken or of the wrong kind: exit code 3.
    #[error("data")]
    Data,
    /// A checkpoint is missing, damaged or of another model: exit code 4.
    #[error("checkpoint")]
    Checkpoint,
    /// A download failed, or gave another file than the one meant: exit code 5.
    #[error("download")]
    Download,
    /// Reading or writing failed for a reason outside the file's content: exit code 6.
    #[error("input/output")]
    Disk,
    /// A value was not finite; the last good checkpoint is kept: exit code 7.
    #[error("diverged")]
    Diverged,
    /// Stopped by Ctrl-C after saving a checkpoint: exit code 130.
    #[error("interrupted")]
    Interrupted,
}

impl Kind {
    /// The exit code of a process that ends with this kind of failure.
    pub fn exit_code(self) -> u8 {
        match self {
            Self::Usage => 2,
            Self::Data => 3,
            Self::Checkpoint => 4,
            Self::Download => 5,
            Self::Disk => 6,
            Self::Diverged => 7,
            Self::Interrupted => 130,
        }
    }
}

/// A failure with its kind: what failed, where, and how to mend it, in one sentence or two.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct Failure {
    /// Which exit code this is.
    pub kind: Kind,
    /// What a user reads.
    pub message: String,
}

/// An error of the given kind.
pub fn failure(kind: Kind, message: impl Into<String>) -> anyhow::Error {
    anyhow::Error::new(Failure {
        kind,
        message: message.into(),
    })
}

/// Turns an I/O error into a failure that names the path: a full disk is [`Kind::Disk`], a missing
/// or unreadable file is of the kind that the caller expects there.
pub fn at_path(kind: Kind, action: &str, path: &Path, error: &std::io::Error) -> anyhow::Error {
    let hint = match error.kind() {
        std::io::ErrorKind::NotFound => " (check the path)",
        std::io::ErrorKind::PermissionDenied => " (check the permissions)",
        std::io::ErrorKind::StorageFull => " (free some space, or choose another place)",
        std::io::ErrorKind::QuotaExceeded => {
            " (your share of the disk is used up: free some space, or choose another place)"
        }
        std::io::ErrorKind::ReadOnlyFilesystem => {
            " (the file system may only be read: mount it to be written, or choose another place)"
        }
        std::io::ErrorKind::FileTooLarge => {
            " (the limit on file sizes, `ulimit -f`, or that of the file system: raise it, or choose another place)"
        }
        _ => "",
    };
    failure(
        kind,
        format!("cannot {action} {}: {error}{hint}", path.display()),
    )
}

/// Names the flag for another place, in the failure of a training.
pub(crate) fn of_training(error: anyhow::Error) -> anyhow::Error {
    let said = format!("{error:#}");
    let kind = error
        .chain()
        .find_map(|cause| cause.downcast_ref::<Failure>())
        .map(|first| first.kind);
    match kind {
        Some(kind) if said.contains(ELSEWHERE) => {
            failure(kind, said.replace(ELSEWHERE, "choose another --out)"))
        }
        _ => error,
    }
}

/// How the hints of [`at_path`] end, where another place would do.
const ELSEWHERE: &str = "choose another place)";

/// The exit code for an error: the outermost [`Failure`] in its chain decides, 1 otherwise.
pub fn exit_code(error: &anyhow::Error) -> u8 {
    for cause in error.chain() {
        if let Some(failure) = cause.downcast_ref::<Failure>() {
            return failure.kind.exit_code();
        }
    }
    if error.chain().any(|cause| cause.is::<std::io::Error>()) {
        return Kind::Disk.exit_code();
    }
    1
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::Context;

    #[test]
    fn a_failure_keeps_its_exit_code_under_context() {
        let result: anyhow::Result<()> = Err(failure(Kind::Data, "a.png: truncated"));
        let error = result.context("reading the training pictures").unwrap_err();
        assert_eq!(exit_code(&error), 3);
        assert_eq!(exit_code(&anyhow::anyhow!("anything else")), 1);
    }

    #[test]
    fn the_hint_for_a_disk_names_the_flag_in_a_training_only() {
        use std::io::ErrorKind;
        for kind in [
            ErrorKind::StorageFull,
            ErrorKind::QuotaExceeded,
            ErrorKind::ReadOnlyFilesystem,
            ErrorKind::FileTooLarge,
        ] {
            let error = at_path(Kind::Disk, "write", Path::new("a.png"), &kind.into());
            let said = error.to_string();
            assert!(
                said.ends_with("choose another place)") && !said.contains("--out"),
                "{said}"
            );
            let error = of_training(error.context("step 3 was not saved"));
            let said = format!("{error:#}");
            assert_eq!(exit_code(&error), 6);
            assert!(
                said.starts_with("step 3") && said.ends_with("choose another --out)"),
                "{said}"
            );
        }
        let other = of_training(failure(Kind::Data, "a.png: truncated"));
        assert_eq!(
            (exit_code(&other), other.to_string().as_str()),
            (3, "a.png: truncated")
        );
    }
}
