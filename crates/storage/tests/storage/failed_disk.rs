//! A disk that fails otherwise than by being full ends all writing, with an answer for every caller.

use std::fs;

use tollgate_storage::{GroupId, LogBatch, Storage, StorageError, StorageHealth};

use crate::support::{append_synced, block_on, done, open_quietly, temporary_directory};

const GROUP: GroupId = GroupId(1);

#[test]
fn every_write_after_a_failure_is_refused_with_its_reason() {
    let directory = temporary_directory();
    let storage = open_quietly(directory.path());
    append_synced(&storage, GROUP, 1, b"one".to_vec());
    // The next log file cannot be made then.
    fs::remove_dir_all(directory.path().join("raft-log")).expect("the log can be removed");
    let writes: Vec<_> = (2..=40)
        .map(|index| {
            let mut batch = LogBatch::new();
            batch.append(GROUP, index, vec![vec![0; 10_000]]);
            storage.write(batch)
        })
        .collect();
    let answers: Vec<_> = writes.into_iter().map(block_on).collect();
    let written = answers.iter().take_while(|answer| answer.is_ok()).count();
    assert!(written < answers.len(), "the disk did not fail: the test shows nothing");
    for answer in &answers[written..] {
        assert!(matches!(answer, Err(StorageError::Failed { .. })), "{answer:?}");
    }
    assert!(matches!(storage.health(), StorageHealth::Failed { .. }));
    assert!(matches!(block_on(storage.sync()), Err(StorageError::Failed { .. })));
    assert_eq!(done(storage.entries(GROUP, 1..2)).len(), 1, "reads go on");
}
