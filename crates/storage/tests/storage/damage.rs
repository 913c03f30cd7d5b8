//! Acknowledged data that is damaged is never skipped; what was never finished is removed.

use std::fs;
use std::path::Path;

use tempfile::TempDir;
use tollgate_storage::{DiskStorage, GroupId, MetadataKey, Notice, OpenError, Storage};

use crate::support::{
    all_entries, append_synced, copy_directory, log_files, open, open_quietly, options, temporary_directory,
};

const GROUP: GroupId = GroupId(1);
const LAST: u64 = 12;

fn entry(index: u64) -> Vec<u8> {
    vec![index as u8; 20 + 13 * index as usize]
}

/// A closed data directory with some acknowledged entries in one log file.
fn data_directory() -> TempDir {
    let directory = temporary_directory();
    let storage = open_quietly(directory.path());
    for index in 1..=LAST {
        append_synced(&storage, GROUP, index, entry(index));
    }
    drop(storage);
    directory
}

fn log_file(data: &Path) -> Vec<u8> {
    fs::read(&log_files(data)[0]).expect("the log can be read")
}

/// Opens a copy of the data whose log file was replaced.
fn open_with_log(data: &Path, log: &[u8]) -> (TempDir, Result<(DiskStorage, Vec<Notice>), OpenError>) {
    let copy = temporary_directory();
    copy_directory(data, copy.path());
    fs::write(&log_files(copy.path())[0], log).expect("the log can be written");
    let opened = DiskStorage::open(copy.path(), &options());
    (copy, opened)
}

fn expected(last: u64) -> Vec<(u64, Vec<u8>)> {
    (1..=last).map(|index| (index, entry(index))).collect()
}

#[test]
fn a_flipped_byte_is_refused_wherever_it_is() {
    let data = data_directory();
    let log = log_file(data.path());
    for offset in (0..log.len()).step_by(41).chain(log.len() - 8..log.len()) {
        let mut damaged = log.clone();
        damaged[offset] ^= 0x10;
        match open_with_log(data.path(), &damaged).1 {
            Err(OpenError::DamagedLog { file, .. }) => assert!(file.ends_with("0000000000000001.raftlog"), "{file:?}"),
            other => panic!("a flip at {offset} of {}: {other:?}", log.len()),
        }
    }
}

#[test]
fn a_refused_log_is_left_as_it_was() {
    let data = data_directory();
    let mut damaged = log_file(data.path());
    let middle = damaged.len() / 2;
    damaged[middle] ^= 1;
    let (copy, opened) = open_with_log(data.path(), &damaged);
    assert!(matches!(opened, Err(OpenError::DamagedLog { .. })));
    assert_eq!(log_file(copy.path()), damaged);
}

#[test]
fn a_log_that_ends_in_the_middle_of_its_last_record_opens_without_it() {
    let data = data_directory();
    let log = log_file(data.path());
    let last_record_bytes = entry(LAST).len();
    // One byte less is a record cut short; one byte zeroed is a record that changed, which is refused.
    let cuts = [(1, 0), (3, 0), (3, 3), (20, 0), (20, 20), (last_record_bytes, 0), (last_record_bytes, 5000)];
    for (missing, zeros) in cuts {
        let log = [&log[..log.len() - missing], &vec![0; zeros]].concat();
        let (_copy, opened) = open_with_log(data.path(), &log);
        let (storage, notices) = opened.expect("a torn log opens");
        assert!(matches!(notices[..], [Notice::UnfinishedWrite { .. }]), "{missing} bytes: {notices:?}");
        assert_eq!(all_entries(&storage, GROUP), Ok(expected(LAST - 1)));
        append_synced(&storage, GROUP, LAST, entry(LAST));
    }
}

#[test]
fn what_follows_the_last_record_does_no_harm() {
    let data = data_directory();
    let log = log_file(data.path());
    let garbage: Vec<u8> = (0..5000u32).map(|position| (position.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    for (tail, is_told) in [(&garbage[..], true), (&garbage[..7], true), (&[0; 3000], false)] {
        let (copy, opened) = open_with_log(data.path(), &[&log, tail].concat());
        let (storage, notices) = opened.expect("a log with garbage behind it opens");
        assert_eq!(notices.len(), usize::from(is_told), "{} bytes: {notices:?}", tail.len());
        assert_eq!(all_entries(&storage, GROUP), Ok(expected(LAST)));
        append_synced(&storage, GROUP, LAST + 1, entry(LAST + 1));
        drop(storage);
        assert_eq!(all_entries(&open_quietly(copy.path()), GROUP), Ok(expected(LAST + 1)));
    }
}

#[test]
fn a_missing_record_is_refused() {
    let data = data_directory();
    let log = log_file(data.path());
    let copies = |index: u64| log.windows(entry(index).len()).position(|window| window == entry(index));
    let (fifth, sixth) = (copies(5).expect("entry 5 is there"), copies(6).expect("entry 6 is there"));
    // Record headers and the eight bytes before an entry are of one size, so this cuts out one whole record.
    let frame_bytes = sixth - fifth;
    let start = fifth - (copies(1).expect("entry 1 is there") - 72);
    let log = [&log[..start], &log[start + frame_bytes..]].concat();
    match open_with_log(data.path(), &log).1 {
        Err(OpenError::DamagedLog { reason, .. }) => assert!(reason.contains("missing"), "{reason}"),
        other => panic!("a log without its fifth record: {other:?}"),
    }
}

#[test]
fn a_log_file_without_a_header_is_taken_for_one_that_was_just_begun() {
    let data = data_directory();
    for content in [&b""[..], &[0; 4096], b"RAFT-LOG"] {
        let copy = temporary_directory();
        copy_directory(data.path(), copy.path());
        fs::write(copy.path().join("raft-log/0000000000000002.raftlog"), content).expect("a file can be written");
        let (storage, notices) = open(copy.path());
        assert_eq!(notices, []);
        assert_eq!(all_entries(&storage, GROUP), Ok(expected(LAST)));
        assert_eq!(storage.metadata(GROUP, MetadataKey::Vote), None);
    }
}
