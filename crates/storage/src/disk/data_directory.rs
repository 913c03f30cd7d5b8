//! The directory that holds everything: whether it is ours, whether we may write to it, and that nobody else does.

use std::fs::{self, File, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::path::{Path, PathBuf};

use super::OpenError;

/// A data directory, locked for as long as this value lives.
#[derive(Debug)]
pub(super) struct DataDirectory {
    path: PathBuf,
    /// Holds the lock: closing the file, in whatever way the process ends, releases it.
    _lock: File,
}

const LOCK_FILE: &str = "lock";
const FORMAT_FILE: &str = "format";
const FORMAT_NAME: &str = "tollgate-storage";
const FORMAT_VERSION: u32 = 1;
/// What may lie in a directory that counts as empty: a fresh file system's own, and what an attempt that failed early left.
const NOT_CONTENT: [&str; 3] = ["lost+found", LOCK_FILE, FORMAT_DRAFT_FILE];
const FORMAT_DRAFT_FILE: &str = "format.new";

impl DataDirectory {
    /// Opens the directory, or makes it when it does not exist or is empty.
    pub(super) fn open(path: &Path) -> Result<Self, OpenError> {
        fs::create_dir_all(path).map_err(|error| creation_error(path, error))?;
        let known = check_format(path)?;
        let lock = lock(path)?;
        if !known {
            write_format(path).map_err(|error| OpenError::from_io(&path.join(FORMAT_FILE), error))?;
        }
        Ok(Self { path: path.to_owned(), _lock: lock })
    }

    /// Where the log is.
    pub(super) fn log(&self) -> PathBuf {
        self.path.join("raft-log")
    }

    /// Where the snapshots are.
    pub(super) fn state(&self) -> PathBuf {
        self.path.join("state")
    }

    /// A free name for snapshots that do not open.
    pub(super) fn damaged_state(&self) -> PathBuf {
        let names = (1u32..).map(|number| self.path.join(format!("state.damaged-{number}")));
        names.into_iter().find(|name| !name.exists()).unwrap_or_else(|| self.path.join("state.damaged"))
    }
}

fn creation_error(path: &Path, error: io::Error) -> OpenError {
    match path.metadata() {
        Ok(metadata) if !metadata.is_dir() => OpenError::NotADirectory { path: path.to_owned() },
        _ => OpenError::from_io(path, error),
    }
}

/// Whether the directory is ours already; `false` when it is empty and may become so.
fn check_format(path: &Path) -> Result<bool, OpenError> {
    let file = path.join(FORMAT_FILE);
    match fs::read(&file) {
        Ok(content) => check_format_content(path, &content).map(|()| true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => check_empty(path).map(|()| false),
        Err(error) => Err(OpenError::from_io(&file, error)),
    }
}

fn check_format_content(path: &Path, content: &[u8]) -> Result<(), OpenError> {
    let path = path.to_owned();
    let version = str::from_utf8(content).ok().and_then(|text| {
        let (name, version) = text.trim_end().split_once(' ')?;
        (name == FORMAT_NAME).then(|| version.parse::<u32>().ok()).flatten()
    });
    match version {
        Some(FORMAT_VERSION) => Ok(()),
        Some(found) if found > FORMAT_VERSION => {
            Err(OpenError::FutureFormat { path, found, supported: FORMAT_VERSION })
        }
        Some(_) | None => Err(OpenError::Foreign { path }),
    }
}

fn check_empty(path: &Path) -> Result<(), OpenError> {
    for entry in fs::read_dir(path).map_err(|error| OpenError::from_io(path, error))? {
        let name = entry.map_err(|error| OpenError::from_io(path, error))?.file_name();
        if !NOT_CONTENT.iter().any(|known| name == *known) {
            return Err(OpenError::Foreign { path: path.to_owned() });
        }
    }
    Ok(())
}

/// Takes the lock, and writes our process id into it for whoever is refused. The id is a courtesy: a disk too full for it
/// is no reason not to start.
fn lock(path: &Path) -> Result<File, OpenError> {
    let file_path = path.join(LOCK_FILE);
    let mut options = File::options();
    let opened = options.read(true).write(true).create(true).truncate(false).open(&file_path);
    let mut file = opened.map_err(|error| OpenError::from_io(&file_path, error))?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            return Err(OpenError::Locked { path: path.to_owned(), pid: read_pid(&mut file) });
        }
        Err(TryLockError::Error(error)) => return Err(OpenError::from_io(&file_path, error)),
    }
    if let Err(error) = write_pid(&mut file) {
        tracing::debug!(%error, file = %file_path.display(), "the process id was not written into the lock");
    }
    Ok(file)
}

fn read_pid(file: &mut File) -> Option<u32> {
    let mut content = String::new();
    file.read_to_string(&mut content).ok()?;
    content.trim().parse().ok()
}

fn write_pid(file: &mut File) -> io::Result<()> {
    file.set_len(0)?;
    file.rewind()?;
    writeln!(file, "{}", std::process::id())
}

/// Marks the directory as ours, so that a crash leaves it marked or not at all.
fn write_format(path: &Path) -> io::Result<()> {
    let draft = path.join(FORMAT_DRAFT_FILE);
    let mut file = File::create(&draft)?;
    writeln!(file, "{FORMAT_NAME} {FORMAT_VERSION}")?;
    file.sync_all()?;
    fs::rename(&draft, path.join(FORMAT_FILE))?;
    File::open(path)?.sync_all()
}
