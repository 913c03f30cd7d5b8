//! Why a data directory cannot be used.

use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;

/// Why a data directory did not open. Each names the path and, where there is one, the way out. Nothing was changed that
/// would matter to a later attempt.
#[derive(Debug, Error)]
pub enum OpenError {
    /// The path names something that is not a directory.
    #[error("{}: is not a directory", path.display())]
    NotADirectory {
        /// The path.
        path: PathBuf,
    },

    /// The directory holds something else, so it is left alone.
    #[error("{}: is not empty and not a data directory of ours; name another one", path.display())]
    Foreign {
        /// The directory.
        path: PathBuf,
    },

    /// The directory was written by a newer release.
    #[error("{}: has format {found}, and this release reads up to {supported}; use a newer release", path.display())]
    FutureFormat {
        /// The directory.
        path: PathBuf,
        /// Its format.
        found: u32,
        /// The newest format that this release knows.
        supported: u32,
    },

    /// Another process uses the directory.
    #[error("{}: is in use by {}", path.display(), Holder(*pid))]
    Locked {
        /// The directory.
        path: PathBuf,
        /// The process that holds it, if it could be read.
        pid: Option<u32>,
    },

    /// Files cannot be written there.
    #[error("{}: cannot be written: {source}", path.display())]
    NotWritable {
        /// The file or directory.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },

    /// There is no space for the files that must exist.
    #[error("{}: no space left on the disk", path.display())]
    NoSpace {
        /// The file or directory.
        path: PathBuf,
    },

    /// Acknowledged data in the log is damaged. It is neither skipped nor repaired: other replicas have it whole.
    #[error("{}: damaged at offset {offset}: {reason}; restore the directory, or remove it to rebuild this node from its peers", file.display())]
    DamagedLog {
        /// The log file.
        file: PathBuf,
        /// Where in it, in bytes.
        offset: u64,
        /// What is wrong.
        reason: String,
    },

    /// The options contradict each other.
    #[error("storage options: {reason}")]
    InvalidOptions {
        /// Which, and how.
        reason: String,
    },

    /// Anything else that the system refused.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

impl OpenError {
    /// The error that fits what the system said about `path`.
    pub(super) fn from_io(path: &Path, source: io::Error) -> Self {
        let path = path.to_owned();
        match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::NoSpace { path },
            io::ErrorKind::ReadOnlyFilesystem | io::ErrorKind::PermissionDenied => Self::NotWritable { path, source },
            io::ErrorKind::NotADirectory => Self::NotADirectory { path },
            _ => Self::Io { path, source },
        }
    }
}

struct Holder(Option<u32>);

impl std::fmt::Display for Holder {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0 {
            Some(pid) => write!(formatter, "process {pid}"),
            None => formatter.write_str("another process"),
        }
    }
}
