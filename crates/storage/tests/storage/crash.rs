//! What a killed process leaves behind opens again with all that was acknowledged.

use tollgate_storage::{DiskStorage, GroupId, LogBatch, MetadataKey, Storage};

use crate::support::{
    all_entries, append_synced, copy_directory, done, log_files, open, open_quietly, temporary_directory,
};

const BUSY: GroupId = GroupId(1);
const IDLE: GroupId = GroupId(2);
const LAGGING: GroupId = GroupId(3);

/// The entry at `index`, of a size that differs from one to the next.
fn entry(index: u64) -> Vec<u8> {
    let size = 100 + (index * 7919 % 900) as usize;
    vec![index as u8; size]
}

/// One group writes and purges, one wrote once, one never purges.
fn write_step(storage: &DiskStorage, index: u64) {
    let mut batch = LogBatch::new();
    batch.append(BUSY, index, vec![entry(index)]);
    batch.put_metadata(BUSY, MetadataKey::Committed, index.to_le_bytes().to_vec());
    if index.is_multiple_of(50) {
        batch.purge_to(BUSY, index - 20);
    }
    if index.is_multiple_of(20) {
        batch.append(LAGGING, index / 20, vec![entry(index)]);
    }
    drop(storage.write(batch));
    done(storage.sync());
}

fn check_step(storage: &DiskStorage, index: u64) {
    let first = (index / 50 * 50).saturating_sub(20) + 1;
    let first = if index < 50 { 1 } else { first };
    let expected: Vec<_> = (first..=index).map(|index| (index, entry(index))).collect();
    assert_eq!(all_entries(storage, BUSY), Ok(expected));
    let lagging: Vec<_> = (1..=index / 20).map(|number| (number, entry(number * 20))).collect();
    assert_eq!(all_entries(storage, LAGGING), Ok(lagging));
    assert_eq!(all_entries(storage, IDLE), Ok(vec![(7, b"idle".to_vec())]));
    assert_eq!(storage.metadata(IDLE, MetadataKey::Vote), Some(b"vote".to_vec()));
    assert_eq!(storage.metadata(BUSY, MetadataKey::Committed), Some(index.to_le_bytes().to_vec()));
}

#[test]
fn a_killed_process_loses_nothing_that_was_synced() {
    let directory = temporary_directory();
    let storage = open_quietly(directory.path());
    append_synced(&storage, IDLE, 7, b"idle".to_vec());
    let mut batch = LogBatch::new();
    batch.put_metadata(IDLE, MetadataKey::Vote, b"vote".to_vec());
    drop(storage.write(batch));
    for index in 1..=2400 {
        write_step(&storage, index);
        if index % 311 == 0 {
            // The writer answers this once it is done with whatever it did after the last write.
            done(storage.sync());
            let copy = temporary_directory();
            copy_directory(directory.path(), copy.path());
            check_step(&open(copy.path()).0, index);
        }
    }
    check_step(&storage, 2400);
    drop(storage);
    check_step(&open_quietly(directory.path()), 2400);
}

#[test]
fn the_log_stays_within_its_size_when_groups_purge() {
    let directory = temporary_directory();
    let storage = open_quietly(directory.path());
    for index in 1..=3000u64 {
        let mut batch = LogBatch::new();
        batch.append(BUSY, index, vec![vec![1; 1000]]).purge_to(BUSY, index.saturating_sub(10));
        drop(storage.write(batch));
    }
    done(storage.sync());
    let bytes: u64 = log_files(directory.path()).iter().map(|file| file.metadata().map_or(0, |file| file.len())).sum();
    assert!(bytes <= 2 * (128 << 10), "3 MB went through a log of {bytes} bytes");
}

#[test]
fn unsynced_metadata_is_shown_at_once_and_written_at_the_end() {
    let directory = temporary_directory();
    let storage = open_quietly(directory.path());
    let mut batch = LogBatch::new();
    batch.put_metadata(BUSY, MetadataKey::Committed, vec![1, 2, 3]);
    done(storage.write(batch));
    assert_eq!(storage.metadata(BUSY, MetadataKey::Committed), Some(vec![1, 2, 3]));
    drop(storage);
    let reopened = open_quietly(directory.path());
    assert_eq!(reopened.metadata(BUSY, MetadataKey::Committed), Some(vec![1, 2, 3]));
}

#[test]
fn storages_in_one_process_do_not_mix_their_entries() {
    let (one_directory, other_directory) = (temporary_directory(), temporary_directory());
    let one = open_quietly(one_directory.path());
    let other = open_quietly(other_directory.path());
    // Larger than what is kept in memory, so that the files are read.
    for index in 1..=3 {
        append_synced(&one, BUSY, index, vec![1; 50_000]);
        append_synced(&other, BUSY, index, vec![2; 50_000]);
    }
    let expected = |byte| (1..=3).map(|index| (index, vec![byte; 50_000])).collect::<Vec<_>>();
    assert_eq!(all_entries(&one, BUSY), Ok(expected(1)));
    assert_eq!(all_entries(&other, BUSY), Ok(expected(2)));
}
