//! Verifies the log files before raft-engine opens them, and removes what an unfinished write left at their end.
//!
//! Every record is synced before the next is written (see `log_writer`), so only the last record can be unfinished, and
//! a broken record that is followed by a whole one was acknowledged: then the log is damaged and the node must not start
//! as if nothing were missing. The last record of all has no follower to testify for it. It is taken for unfinished unless
//! it was whole up to one changed byte, which unfinished writes practically never are. Not noticed are: more than one
//! changed byte in the last record, and a log cut off exactly between two records.
//!
//! The rewrite queue (raft-engine's copies of old entries) may have several unsynced records at its end after a power
//! loss. If the disk kept a later one and lost an earlier, the log is refused although no data is lost: better than the
//! opposite mistake.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use super::log_record::{self, FILE_HEADER_BYTES, FileHeader};
use super::{Notice, OpenError};

/// One of raft-engine's two series of files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Queue {
    /// What was written, in order; every record is numbered.
    Append,
    /// Copies of what old append files hold that is still needed.
    Rewrite,
}

impl Queue {
    fn suffix(self) -> &'static str {
        match self {
            Self::Append => ".raftlog",
            Self::Rewrite => ".rewrite",
        }
    }
}

struct LogFile {
    number: u64,
    path: PathBuf,
}

/// Where reading a file stopped.
#[derive(Debug)]
struct ScannedFile {
    /// Length of the part that holds whole records, header included.
    whole_bytes: usize,
    /// Number of the last record, counting earlier files.
    last_record: Option<u64>,
    /// What the rest is.
    rest: Rest,
}

#[derive(Debug)]
enum Rest {
    /// There is none, or only zeros that were allocated in advance.
    Blank,
    /// No whole record and no trace of one.
    Unfinished,
    /// A record that was written whole, or lies before one.
    Damaged(&'static str),
}

/// A log that raft-engine may open.
#[derive(Debug, Default)]
pub(super) struct VerifiedLog {
    /// What was removed from the ends.
    pub(super) notices: Vec<Notice>,
    /// Files that raft-engine will pass over, because it had given them up. It never removes them by itself.
    pub(super) obsolete: Vec<PathBuf>,
}

/// Verifies the log in `directory`, which need not exist.
///
/// # Errors
/// [`OpenError::DamagedLog`], or what the system says about a file.
pub(super) fn verify(directory: &Path) -> Result<VerifiedLog, OpenError> {
    let mut verified = VerifiedLog::default();
    for queue in [Queue::Append, Queue::Rewrite] {
        let mut files = list(directory, queue)?;
        remove_unwritten_end(&mut files)?;
        let obsolete = files.drain(..first_needed(&files));
        verified.obsolete.extend(obsolete.map(|file| file.path));
        verified.notices.extend(verify_queue(&files, queue)?);
    }
    Ok(verified)
}

/// The place of the file behind the last gap. raft-engine gives up files in order and reuses some of them later, so what
/// lies before a gap was given up. Should a file be missing for another reason, `log_engine` finds entries missing.
fn first_needed(files: &[LogFile]) -> usize {
    let gap = files.windows(2).rposition(|pair| pair[1].number != pair[0].number + 1);
    gap.map_or(0, |place| place + 1)
}

fn verify_queue(files: &[LogFile], queue: Queue) -> Result<Option<Notice>, OpenError> {
    let Some((newest, older)) = files.split_last() else {
        return Ok(None);
    };
    let mut last_record = None;
    for file in older {
        last_record = verify_older(file, queue, last_record)?;
    }
    verify_newest(newest, queue, last_record)
}

/// A file that is not the newest was closed whole.
fn verify_older(file: &LogFile, queue: Queue, last_record: Option<u64>) -> Result<Option<u64>, OpenError> {
    let content = file.read()?;
    let scanned = scan(&content, file, queue, last_record)?;
    match scanned.rest {
        Rest::Damaged(reason) => Err(file.damaged(scanned.whole_bytes, reason)),
        Rest::Blank | Rest::Unfinished if scanned.whole_bytes < content.len() => {
            Err(file.damaged(scanned.whole_bytes, "the file is not whole, and it is not the newest"))
        }
        Rest::Blank | Rest::Unfinished => Ok(scanned.last_record),
    }
}

/// Only the newest file may end in an unfinished write, which goes.
fn verify_newest(file: &LogFile, queue: Queue, last_record: Option<u64>) -> Result<Option<Notice>, OpenError> {
    let content = file.read()?;
    let scanned = scan(&content, file, queue, last_record)?;
    if let Rest::Damaged(reason) = scanned.rest {
        return Err(file.damaged(scanned.whole_bytes, reason));
    }
    if scanned.whole_bytes < content.len() {
        file.cut(scanned.whole_bytes)?;
    }
    let is_unfinished = matches!(scanned.rest, Rest::Unfinished);
    Ok(is_unfinished.then(|| file.unfinished(scanned.whole_bytes, content.len())))
}

fn list(directory: &Path, queue: Queue) -> Result<Vec<LogFile>, OpenError> {
    let entries = match fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(OpenError::from_io(directory, error)),
    };
    let mut files = Vec::new();
    for entry in entries {
        let path = entry.map_err(|error| OpenError::from_io(directory, error))?.path();
        let name = path.file_name().and_then(|name| name.to_str()).and_then(|name| name.strip_suffix(queue.suffix()));
        if let Some(number) = name.and_then(|number| number.parse().ok()) {
            files.push(LogFile { number, path });
        }
    }
    files.sort_by_key(|file| file.number);
    Ok(files)
}

/// Removes the newest files as long as they have no header: the process stopped, or the disk was full, when it began them.
fn remove_unwritten_end(files: &mut Vec<LogFile>) -> Result<(), OpenError> {
    while let Some(file) = files.last() {
        let start = file.read_start()?;
        match log_record::file_header(&start) {
            FileHeader::Whole => return Ok(()),
            FileHeader::Damaged => return Err(file.damaged(0, "the header of the file does not match")),
            FileHeader::Unwritten => {
                fs::remove_file(&file.path).map_err(|error| OpenError::from_io(&file.path, error))?;
                files.pop();
            }
        }
    }
    Ok(())
}

fn scan(content: &[u8], file: &LogFile, queue: Queue, last: Option<u64>) -> Result<ScannedFile, OpenError> {
    if log_record::file_header(content) != FileHeader::Whole {
        return Err(file.damaged(0, "the header of the file does not match"));
    }
    let mut offset = FILE_HEADER_BYTES;
    let mut last_record = last;
    while offset < content.len() {
        let record = match log_record::read(&content[offset..], file.number) {
            Ok(record) => record,
            Err(reason) => {
                let rest = classify(&content[offset..], file.number, last_record, reason);
                return Ok(ScannedFile { whole_bytes: offset, last_record, rest });
            }
        };
        if queue == Queue::Append {
            last_record = Some(continue_numbers(last_record, record.number, file, offset)?);
        }
        offset += record.length;
    }
    Ok(ScannedFile { whole_bytes: offset, last_record, rest: Rest::Blank })
}

fn continue_numbers(last: Option<u64>, number: Option<u64>, file: &LogFile, offset: usize) -> Result<u64, OpenError> {
    match (last, number) {
        (_, None) => Err(file.damaged(offset, "the record has no number")),
        (Some(last), Some(number)) if Some(number) != last.checked_add(1) => {
            Err(file.damaged(offset, "a record is missing before this one"))
        }
        (_, Some(number)) => Ok(number),
    }
}

/// What `rest` is, which does not start with a whole record.
fn classify(rest: &[u8], file_number: u64, last_record: Option<u64>, reason: &'static str) -> Rest {
    if rest.iter().all(|byte| *byte == 0) {
        return Rest::Blank;
    }
    let expected = last_record.and_then(|last| last.checked_add(1));
    let has_follower = (1..rest.len()).any(|offset| log_record::read(&rest[offset..], file_number).is_ok());
    if has_follower || log_record::was_whole(rest, file_number, expected) {
        return Rest::Damaged(reason);
    }
    Rest::Unfinished
}

impl LogFile {
    fn read(&self) -> Result<Vec<u8>, OpenError> {
        fs::read(&self.path).map_err(|error| OpenError::from_io(&self.path, error))
    }

    fn read_start(&self) -> Result<Vec<u8>, OpenError> {
        let mut start = Vec::new();
        let limit = 2 * FILE_HEADER_BYTES as u64;
        let read = File::open(&self.path).and_then(|file| file.take(limit).read_to_end(&mut start));
        read.map_err(|error| OpenError::from_io(&self.path, error))?;
        Ok(start)
    }

    fn cut(&self, length: usize) -> Result<(), OpenError> {
        let cut = File::options().write(true).open(&self.path).and_then(|file| {
            file.set_len(length as u64)?;
            file.sync_all()
        });
        cut.map_err(|error| OpenError::from_io(&self.path, error))
    }

    fn damaged(&self, offset: usize, reason: &str) -> OpenError {
        OpenError::DamagedLog { file: self.path.clone(), offset: offset as u64, reason: reason.to_owned() }
    }

    fn unfinished(&self, offset: usize, file_length: usize) -> Notice {
        let bytes = (file_length - offset) as u64;
        Notice::UnfinishedWrite { file: self.path.clone(), offset: offset as u64, bytes }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::super::DiskOptions;
    use super::super::log_engine::LogEngine;
    use super::*;
    use crate::{GroupId, LogBatch, MetadataKey, log_view};

    const RECORDS: u64 = 6;

    /// A log with records of entries and of metadata in one file, and where each record ends.
    fn log(directory: &Path) -> (PathBuf, Vec<usize>) {
        let options = DiskOptions { log_file_bytes: 4096, log_reclaim_bytes: 4096, ..DiskOptions::default() };
        let (engine, recovered) = LogEngine::open(directory, &options).expect("the log opens");
        let mut bounds = BTreeMap::new();
        let mut ends = vec![FILE_HEADER_BYTES];
        for number in 0..RECORDS {
            let mut batch = LogBatch::new();
            batch.put_metadata(GroupId(1), MetadataKey::Committed, vec![number as u8; 5]);
            if number != 2 {
                let next = log_bounds_next(&bounds);
                batch.append(GroupId(1), next, vec![vec![number as u8; 40], vec![7; 3]]);
            }
            let before = bounds.clone();
            log_view::check(&mut bounds, &batch).expect("the batch fits");
            let length = engine.write(recovered.next_record + number, &[batch], &before).expect("it is written");
            ends.push(ends[ends.len() - 1] + length);
        }
        (directory.join("0000000000000001.raftlog"), ends)
    }

    fn log_bounds_next(bounds: &BTreeMap<GroupId, crate::log_bounds::LogBounds>) -> u64 {
        bounds.get(&GroupId(1)).map_or(0, |bounds| bounds.next)
    }

    fn verify_content(content: &[u8], file: &LogFile) -> Result<ScannedFile, OpenError> {
        scan(content, file, Queue::Append, None)
    }

    #[test]
    fn every_flipped_byte_is_damage_and_every_cut_is_not() {
        let directory = tempfile::tempdir().expect("a temporary directory can be made");
        let (path, ends) = log(directory.path());
        let content = fs::read(&path).expect("the log can be read");
        let file = LogFile { number: 1, path };
        let end = ends[ends.len() - 1];
        assert_eq!(content.len(), end, "the file was closed behind its last record");
        for offset in 0..end {
            for difference in [0x01, 0x80, 0xFF] {
                let mut flipped = content.clone();
                flipped[offset] ^= difference;
                let verdict = verify_content(&flipped, &file);
                let is_refused = matches!(verdict, Err(_) | Ok(ScannedFile { rest: Rest::Damaged(_), .. }));
                assert!(is_refused, "a flip of {difference:#x} at {offset}: {verdict:?}");
            }
        }
        for length in FILE_HEADER_BYTES..=end {
            let scanned = verify_content(&content[..length], &file).expect("a cut log is accepted");
            let last_whole = ends.iter().rfind(|end| **end <= length);
            assert_eq!(Some(&scanned.whole_bytes), last_whole, "cut at {length}");
            assert!(!matches!(scanned.rest, Rest::Damaged(_)), "cut at {length}");
        }
    }

    #[test]
    fn only_what_follows_the_last_gap_is_needed() {
        let cases: [(&[u64], usize); 5] =
            [(&[], 0), (&[4], 0), (&[4, 5, 6], 0), (&[1, 2, 4, 5], 2), (&[1, 3, 4, 7], 3)];
        for (numbers, expected) in cases {
            let files = numbers.iter().map(|number| LogFile { number: *number, path: PathBuf::new() });
            assert_eq!(first_needed(&files.collect::<Vec<_>>()), expected, "{numbers:?}");
        }
    }

    #[test]
    fn what_an_earlier_use_of_the_file_left_is_no_record() {
        let directory = tempfile::tempdir().expect("a temporary directory can be made");
        let (path, ends) = log(directory.path());
        let content = fs::read(&path).expect("the log can be read");
        // The same bytes under later numbers, as in a file that was recycled and not yet overwritten.
        for number in 2..40 {
            let file = LogFile { number, path: path.clone() };
            let scanned = scan(&content, &file, Queue::Append, Some(100)).expect("a recycled file is accepted");
            assert_eq!(scanned.whole_bytes, ends[0], "as file {number}");
            assert!(matches!(scanned.rest, Rest::Unfinished), "as file {number}: {scanned:?}");
        }
    }
}
