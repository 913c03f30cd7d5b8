//! The lines of a log, whatever they are.

use std::borrow::Cow;
use std::io::{self, BufRead, Read};

/// The longest line that is looked at. Servers cut theirs far below; what is longer is not a log.
pub(super) const MAX_LINE_BYTES: usize = 64 << 10;

/// Reads line by line, and never holds more than one.
pub(super) struct LogLines<R> {
    reader: R,
    buffer: Vec<u8>,
}

/// A line, without its end.
#[derive(Debug, Eq, PartialEq)]
pub(super) enum RawLine<'a> {
    /// Its text; `U+FFFD` stands for bytes that are not UTF-8.
    Text(Cow<'a, str>),
    /// It has more than [`MAX_LINE_BYTES`].
    TooLong,
}

impl<R: BufRead> LogLines<R> {
    pub(super) fn new(reader: R) -> Self {
        Self { reader, buffer: Vec::new() }
    }

    /// The next line; `None` at the end.
    ///
    /// # Errors
    /// What the reader says. A line that it cuts off is lost.
    pub(super) fn next(&mut self) -> io::Result<Option<RawLine<'_>>> {
        self.buffer.clear();
        let most = MAX_LINE_BYTES as u64 + 1;
        if self.reader.by_ref().take(most).read_until(b'\n', &mut self.buffer)? == 0 {
            return Ok(None);
        }
        let ended = self.buffer.last() == Some(&b'\n');
        if !ended && self.buffer.len() > MAX_LINE_BYTES {
            self.reader.skip_until(b'\n')?;
            return Ok(Some(RawLine::TooLong));
        }
        let line = self.buffer.strip_suffix(b"\n").unwrap_or(&self.buffer);
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        Ok(Some(RawLine::Text(String::from_utf8_lossy(line))))
    }
}
