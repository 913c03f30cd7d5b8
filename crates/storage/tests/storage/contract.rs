//! Both engines keep the contract.

use tollgate_storage::{DiskStorage, GroupId, LogBatch, MemoryStorage, Storage, StorageError, contract};

use crate::support::{block_on, done, open_quietly, temporary_directory};

#[test]
fn memory_keeps_the_contract() {
    block_on(contract::holds(&MemoryStorage::new()));
}

#[test]
fn memory_survives_as_long_as_a_clone_of_it() {
    let kept = MemoryStorage::new();
    block_on(contract::survives_reopening(|_: Option<MemoryStorage>| kept.clone()));
}

#[test]
fn the_disk_keeps_the_contract() {
    let directory = temporary_directory();
    block_on(contract::holds(&open_quietly(directory.path())));
}

#[test]
fn the_disk_survives_reopening() {
    let directory = temporary_directory();
    block_on(contract::survives_reopening(|previous: Option<DiskStorage>| {
        drop(previous);
        open_quietly(directory.path())
    }));
}

#[test]
fn a_batch_beyond_the_limit_is_refused_and_the_next_goes_on() {
    let directory = temporary_directory();
    let storage = open_quietly(directory.path());
    let mut batch = LogBatch::new();
    batch.append(GroupId(1), 1, vec![vec![0; 17 << 20]]);
    assert!(matches!(block_on(storage.write(batch)), Err(StorageError::TooLarge { .. })));
    let mut batch = LogBatch::new();
    batch.append(GroupId(1), 1, vec![vec![0]]);
    done(storage.write(batch));
}
