//! Where a log comes from: a file or standard input, plain or gzip.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Cursor, Read};
use std::path::Path;

use flate2::bufread::MultiGzDecoder;
use indicatif::ProgressBar;

use super::error::ReplayError;
use super::progress;

/// With these bytes gzip begins (RFC 1952 §2.3.1).
const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];

/// How much is read at once. Greater than the default, since logs are.
const BUFFER_BYTES: usize = 128 << 10;

/// An open log.
pub(super) struct LogSource {
    pub(super) reader: Box<dyn BufRead>,
    /// It may be cut off or damaged in the middle.
    pub(super) is_gzip: bool,
    /// Shows how much of it is read.
    pub(super) progress: ProgressBar,
}

impl LogSource {
    /// Opens a log; `-` is standard input.
    ///
    /// # Errors
    /// What the system says.
    pub(super) fn open(path: &Path) -> Result<Self, ReplayError> {
        let unreadable = |source| ReplayError::unreadable(path, source);
        if path.as_os_str() == "-" {
            return Self::new(io::stdin(), progress::bar(None)).map_err(unreadable);
        }
        let file = File::open(path).map_err(unreadable)?;
        let bytes = file.metadata().map_err(unreadable)?.len();
        Self::new(file, progress::bar(Some(bytes))).map_err(unreadable)
    }

    /// A log that is read from `reader`, which may give gzip.
    pub(super) fn new(reader: impl Read + 'static, progress: ProgressBar) -> io::Result<Self> {
        let mut reader = progress.wrap_read(reader);
        let mut start = Vec::new();
        reader.by_ref().take(GZIP_MAGIC.len() as u64).read_to_end(&mut start)?;
        let is_gzip = start == GZIP_MAGIC;
        let whole = BufReader::with_capacity(BUFFER_BYTES, Cursor::new(start).chain(reader));
        let reader: Box<dyn BufRead> = if is_gzip {
            Box::new(BufReader::with_capacity(BUFFER_BYTES, MultiGzDecoder::new(whole)))
        } else {
            Box::new(whole)
        };
        Ok(Self { reader, is_gzip, progress })
    }
}
