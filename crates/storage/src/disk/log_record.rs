//! The records of raft-engine's log files, format version 2, read without raft-engine.
//!
//! raft-engine takes the first broken record of the newest file for the end of the log and drops what follows. That is
//! not enough here (see `log_scan`), so the files are verified before raft-engine opens them. All numbers below are part
//! of its format, which is why its version is pinned.
//!
//! ```text
//! file    magic | u64 version | u64 alignment, then records
//! record  u64 (length << 8 | compression) | u64 footer offset | entries, u32 crc | footer, u32 crc ^ file number
//! footer  varint item count | items
//! ```

use super::one_byte;

const FILE_MAGIC: &[u8] = b"RAFT-LOG-FILE-HEADER-9986AB3E47F320B394C8E84916EB0ED5";
const FILE_VERSION: u64 = 2;
/// Length of the header of a file.
pub(super) const FILE_HEADER_BYTES: usize = FILE_MAGIC.len() + 16;

const RECORD_HEADER_BYTES: usize = 16;

/// What stands at the start of a log file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FileHeader {
    Whole,
    /// The file was made, and its header never written: it has no records.
    Unwritten,
    Damaged,
}

/// What the header of `file` says about it.
pub(super) fn file_header(file: &[u8]) -> FileHeader {
    let mut expected = FILE_MAGIC.to_vec();
    expected.extend(FILE_VERSION.to_be_bytes());
    expected.extend(0u64.to_be_bytes());
    let start = &file[..file.len().min(FILE_HEADER_BYTES)];
    let written = start.iter().zip(&expected).take_while(|(byte, expected)| byte == expected).count();
    if written == FILE_HEADER_BYTES {
        FileHeader::Whole
    } else if start[written..].iter().chain(file[start.len()..].iter().take(RECORD_HEADER_BYTES)).all(|byte| *byte == 0)
    {
        FileHeader::Unwritten
    } else {
        FileHeader::Damaged
    }
}

/// The group whose only value numbers the records of the append queue. It lies beyond every `GroupId`.
///
/// Each record carries its number first of all, and numbers have no gaps. So a missing record is noticed, and a record
/// that an earlier use of a recycled file left behind is not taken for one of this use.
pub(super) const RECORD_NUMBER_GROUP: u64 = 1 << 32;
/// The key of the record number.
pub(super) const RECORD_NUMBER_KEY: &[u8] = b"n";
/// How a footer that carries a record number goes on behind its item count: group, type of item, operation, key, length.
const RECORD_NUMBER_ITEM: [u8; 10] = [0x80, 0x80, 0x80, 0x80, 0x10, 0x03, 0x01, 0x01, b'n', 0x08];

/// A record whose checksums hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct WholeRecord {
    /// Bytes it takes in the file.
    pub(super) length: usize,
    /// The number it was given, if it has one.
    pub(super) number: Option<u64>,
}

/// Reads the record at the start of `bytes`, in the file with this number.
///
/// # Errors
/// What is wrong with it.
pub(super) fn read(bytes: &[u8], file_number: u64) -> Result<WholeRecord, &'static str> {
    let layout = Layout::read(bytes, bytes.len()).ok_or("there is no record header")?;
    let parts = Parts::split(bytes, layout, file_number).ok_or("the record has no room for its checksums")?;
    if !parts.footer.is_whole() {
        return Err("the checksum of a record does not match");
    }
    if !parts.entries_are_whole() {
        return Err("the checksum of a record's entries does not match");
    }
    Ok(WholeRecord { length: layout.length, number: record_number(parts.footer.content) })
}

/// Whether the record at the start of `bytes` was whole until one byte of it changed, and had the `expected` number.
/// Without an expected number any will do.
pub(super) fn was_whole(bytes: &[u8], file_number: u64, expected: Option<u64>) -> bool {
    was_whole_behind_header(bytes, file_number, expected) || was_whole_but_for_header(bytes, file_number, expected)
}

fn was_whole_behind_header(bytes: &[u8], file_number: u64, expected: Option<u64>) -> bool {
    let layout = Layout::read(bytes, bytes.len());
    let Some(parts) = layout.and_then(|layout| Parts::split(bytes, layout, file_number)) else {
        return false;
    };
    if parts.footer.is_whole() {
        let repaired = parts.entries.and_then(Block::before_one_change);
        return repaired.is_some() && is_expected(parts.footer.content, expected);
    }
    let repaired = parts.footer.before_one_change();
    parts.entries_are_whole() && repaired.is_some_and(|footer| is_expected(&footer, expected))
}

fn was_whole_but_for_header(bytes: &[u8], file_number: u64, expected: Option<u64>) -> bool {
    let Some(header) = bytes.first_chunk::<RECORD_HEADER_BYTES>() else {
        return false;
    };
    let changes = (0..RECORD_HEADER_BYTES).flat_map(|position| (1..=u8::MAX).map(move |change| (position, change)));
    changes.into_iter().any(|(position, change)| {
        let mut repaired = *header;
        repaired[position] ^= change;
        let layout = Layout::read(&repaired, bytes.len());
        layout.and_then(|layout| Parts::split(bytes, layout, file_number)).is_some_and(|parts| {
            parts.footer.is_whole() && parts.entries_are_whole() && is_expected(parts.footer.content, expected)
        })
    })
}

fn is_expected(footer: &[u8], expected: Option<u64>) -> bool {
    expected.is_none() || record_number(footer) == expected
}

fn record_number(footer: &[u8]) -> Option<u64> {
    let count_bytes = footer.iter().position(|byte| byte & 0x80 == 0)? + 1;
    let number = footer[count_bytes..].strip_prefix(&RECORD_NUMBER_ITEM)?;
    number.first_chunk().map(|number| u64::from_le_bytes(*number))
}

/// The place of a record's parts, as its header gives them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Layout {
    footer_start: usize,
    length: usize,
}

impl Layout {
    /// `None` when the header is none that this crate could have written (it compresses nothing), or points beyond the
    /// bytes that there are.
    fn read(header: &[u8], available: usize) -> Option<Self> {
        let (length_and_compression, rest) = header.split_first_chunk()?;
        let length_and_compression = u64::from_be_bytes(*length_and_compression);
        let footer_start = usize::try_from(u64::from_be_bytes(*rest.first_chunk()?)).ok()?;
        let length = usize::try_from(length_and_compression >> 8).ok()?;
        let is_compressed = length_and_compression & 0xFF != 0;
        let fits = (RECORD_HEADER_BYTES..length).contains(&footer_start) && length <= available;
        (fits && !is_compressed).then_some(Self { footer_start, length })
    }
}

/// The parts of a record behind its header.
struct Parts<'a> {
    /// `None` in a record without entries.
    entries: Option<Block<'a>>,
    footer: Block<'a>,
}

impl<'a> Parts<'a> {
    fn split(bytes: &'a [u8], layout: Layout, file_number: u64) -> Option<Self> {
        let (before_footer, footer) = bytes.get(..layout.length)?.split_at_checked(layout.footer_start)?;
        let entries = before_footer.get(RECORD_HEADER_BYTES..)?;
        let entries = if entries.is_empty() { None } else { Some(Block::split(entries, 0)?) };
        Some(Self { entries, footer: Block::split(footer, file_number as u32)? })
    }

    fn entries_are_whole(&self) -> bool {
        self.entries.is_none_or(Block::is_whole)
    }
}

/// Bytes and the checksum that was stored behind them.
#[derive(Clone, Copy)]
struct Block<'a> {
    content: &'a [u8],
    stored_crc: u32,
}

impl<'a> Block<'a> {
    /// The checksum is stored combined with `signature`, by exclusive or.
    fn split(bytes: &'a [u8], signature: u32) -> Option<Self> {
        let (content, crc) = bytes.split_last_chunk()?;
        Some(Self { content, stored_crc: u32::from_le_bytes(*crc) ^ signature })
    }

    fn is_whole(self) -> bool {
        crc32fast::hash(self.content) == self.stored_crc
    }

    /// The content as it was, if one byte of it, or of its checksum, changed.
    fn before_one_change(self) -> Option<Vec<u8>> {
        let mut content = self.content.to_vec();
        let difference = crc32fast::hash(self.content) ^ self.stored_crc;
        let checksum_changed = difference.to_le_bytes().iter().filter(|byte| **byte != 0).count() == 1;
        if !checksum_changed {
            let change = one_byte::find_changed_byte(self.content, self.stored_crc)?;
            content[change.position] ^= change.difference;
        }
        Some(content)
    }
}
