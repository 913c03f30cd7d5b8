//! What every [`Storage`] promises, as checks that run against any of them.
//!
//! Each check panics when the promise is broken, and uses a group of its own, so that all can run on one storage.

use std::future::Future;

use crate::{GroupId, LogBatch, LogConflict, MetadataKey, Snapshot, Storage, StorageError};

/// Runs every check that needs one storage, which must be empty.
///
/// # Panics
/// When a promise is broken.
pub async fn holds<S: Storage>(storage: &S) {
    what_was_appended_is_read_back(storage, GroupId(1)).await;
    a_range_returns_only_what_exists(storage, GroupId(2)).await;
    truncated_entries_are_gone_and_can_be_replaced(storage, GroupId(3)).await;
    purged_entries_are_gone(storage, GroupId(4)).await;
    a_purge_beyond_the_end_moves_the_start(storage, GroupId(5)).await;
    a_batch_that_does_not_fit_changes_nothing(storage, GroupId(6)).await;
    a_batch_may_truncate_append_and_purge_at_once(storage, GroupId(7)).await;
    metadata_keeps_its_latest_value(storage, GroupId(8)).await;
    groups_do_not_see_each_other(storage, GroupId(9), GroupId(10)).await;
    a_snapshot_is_replaced_as_a_whole(storage, GroupId(11)).await;
    writes_take_effect_in_the_order_of_calls(storage, GroupId(12)).await;
    entries_may_be_empty_or_large(storage, GroupId(13)).await;
    assert!(storage.health().is_healthy(), "a storage that works is healthy");
}

/// Runs every check of what outlives a storage. `reopen` closes the storage it is given, if any, and opens it again.
///
/// # Panics
/// When a promise is broken.
pub async fn survives_reopening<S: Storage>(mut reopen: impl FnMut(Option<S>) -> S) {
    let storage = reopen(None);
    fill_for_reopening(&storage).await;
    let storage = reopen(Some(storage));
    check_after_reopening(&storage).await;
    continue_after_reopening(&storage).await;
    let storage = reopen(Some(storage));
    check_after_continuing(&storage).await;
}

async fn fill_for_reopening<S: Storage>(storage: &S) {
    let mut batch = LogBatch::new();
    batch.append(GroupId(1), 1, entries(1..=9)).truncate_from(GroupId(1), 6).purge_to(GroupId(1), 2);
    batch.append(GroupId(2), 1, entries(1..=3)).purge_to(GroupId(2), 9);
    batch.append(GroupId(3), 1, entries(1..=3)).truncate_from(GroupId(3), 1);
    batch.put_metadata(GroupId(1), MetadataKey::Vote, b"vote".to_vec());
    done(storage.write(batch)).await;
    done(storage.save_snapshot(GroupId(2), snapshot(1))).await;
    done(storage.save_snapshot(GroupId(2), snapshot(2))).await;
    done(storage.sync()).await;
}

async fn check_after_reopening<S: Storage>(storage: &S) {
    assert_eq!(storage.log_bounds(GroupId(1)), Some(3..=5));
    assert_eq!(read(storage, GroupId(1)).await, numbered(3..=5));
    assert_eq!(storage.log_bounds(GroupId(2)), None);
    assert_eq!(storage.log_bounds(GroupId(3)), None);
    assert_eq!(storage.metadata(GroupId(1), MetadataKey::Vote), Some(b"vote".to_vec()));
    assert_eq!(storage.metadata(GroupId(2), MetadataKey::Vote), None);
    assert_eq!(done(storage.load_snapshot(GroupId(2))).await, Some(snapshot(2)));
    assert_eq!(done(storage.load_snapshot(GroupId(1))).await, None);
}

async fn continue_after_reopening<S: Storage>(storage: &S) {
    let conflict = LogConflict::Purged { first_index: 9, first_allowed: 10 };
    assert_refused(storage, GroupId(2), 9, conflict).await;
    append(storage, GroupId(1), 6..=7).await;
    append(storage, GroupId(2), 10..=11).await;
    append(storage, GroupId(3), 2..=2).await;
    done(storage.sync()).await;
}

async fn check_after_continuing<S: Storage>(storage: &S) {
    assert_eq!(read(storage, GroupId(1)).await, numbered(3..=7));
    assert_eq!(read(storage, GroupId(2)).await, numbered(10..=11));
    assert_eq!(read(storage, GroupId(3)).await, numbered(2..=2));
}

async fn what_was_appended_is_read_back<S: Storage>(storage: &S, group: GroupId) {
    assert_eq!(storage.log_bounds(group), None);
    append(storage, group, 0..=4).await;
    append(storage, group, 5..=5).await;
    done(storage.sync()).await;
    assert_eq!(storage.log_bounds(group), Some(0..=5));
    assert_eq!(read(storage, group).await, numbered(0..=5));
}

async fn a_range_returns_only_what_exists<S: Storage>(storage: &S, group: GroupId) {
    assert_eq!(done(storage.entries(group, 0..u64::MAX)).await, Vec::new());
    append(storage, group, 5..=9).await;
    for (range, expected) in [(6..8, numbered(6..=7)), (0..7, numbered(5..=6)), (8..100, numbered(8..=9))] {
        assert_eq!(done(storage.entries(group, range)).await, expected);
    }
    for nothing in [0..5, 10..20, 7..7] {
        assert_eq!(done(storage.entries(group, nothing)).await, Vec::new());
    }
}

async fn truncated_entries_are_gone_and_can_be_replaced<S: Storage>(storage: &S, group: GroupId) {
    append(storage, group, 1..=9).await;
    write(storage, |batch| batch.truncate_from(group, 4)).await;
    assert_eq!(read(storage, group).await, numbered(1..=3));
    write(storage, |batch| batch.append(group, 4, vec![b"other".to_vec()])).await;
    assert_eq!(storage.log_bounds(group), Some(1..=4));
    assert_eq!(done(storage.entries(group, 4..9)).await, [(4, b"other".to_vec())]);
    write(storage, |batch| batch.truncate_from(group, 5)).await;
    assert_eq!(storage.log_bounds(group), Some(1..=4), "truncating beyond the end does nothing");
    write(storage, |batch| batch.truncate_from(group, 0)).await;
    assert_eq!(storage.log_bounds(group), None);
}

async fn purged_entries_are_gone<S: Storage>(storage: &S, group: GroupId) {
    append(storage, group, 1..=9).await;
    write(storage, |batch| batch.purge_to(group, 4)).await;
    assert_eq!(storage.log_bounds(group), Some(5..=9));
    assert_eq!(read(storage, group).await, numbered(5..=9));
    write(storage, |batch| batch.purge_to(group, 2)).await;
    assert_eq!(storage.log_bounds(group), Some(5..=9), "a purge never brings entries back");
}

async fn a_purge_beyond_the_end_moves_the_start<S: Storage>(storage: &S, group: GroupId) {
    append(storage, group, 1..=3).await;
    write(storage, |batch| batch.purge_to(group, 99)).await;
    assert_eq!(storage.log_bounds(group), None);
    let conflict = LogConflict::Purged { first_index: 4, first_allowed: 100 };
    assert_refused(storage, group, 4, conflict).await;
    append(storage, group, 100..=101).await;
    assert_eq!(read(storage, group).await, numbered(100..=101));
}

async fn a_batch_that_does_not_fit_changes_nothing<S: Storage>(storage: &S, group: GroupId) {
    append(storage, group, 1..=3).await;
    let mut batch = LogBatch::new();
    batch.put_metadata(group, MetadataKey::Vote, b"no".to_vec());
    batch.truncate_from(group, 2).append(group, 5, entries(5..=5));
    let conflict = LogConflict::NotNext { first_index: 5, next_index: 2 };
    assert_eq!(storage.write(batch).await, Err(StorageError::Conflict { group, conflict }));
    assert_eq!(storage.metadata(group, MetadataKey::Vote), None);
    assert_eq!(read(storage, group).await, numbered(1..=3));
    assert_refused(storage, group, 3, LogConflict::NotNext { first_index: 3, next_index: 4 }).await;
}

async fn a_batch_may_truncate_append_and_purge_at_once<S: Storage>(storage: &S, group: GroupId) {
    append(storage, group, 1..=6).await;
    write(storage, |batch| batch.truncate_from(group, 4).append(group, 4, entries(4..=8)).purge_to(group, 5)).await;
    assert_eq!(read(storage, group).await, numbered(6..=8));
    write(storage, |batch| batch.truncate_from(group, 7).purge_to(group, 7).append(group, 8, entries(8..=8))).await;
    assert_eq!(read(storage, group).await, numbered(8..=8));
}

async fn metadata_keeps_its_latest_value<S: Storage>(storage: &S, group: GroupId) {
    for key in MetadataKey::ALL {
        assert_eq!(storage.metadata(group, key), None);
        for value in [b"first".to_vec(), Vec::new(), format!("{key:?}").into_bytes()] {
            write(storage, |batch| batch.put_metadata(group, key, value.clone())).await;
            assert_eq!(storage.metadata(group, key), Some(value));
        }
    }
    let values = MetadataKey::ALL.map(|key| storage.metadata(group, key));
    assert_eq!(values, MetadataKey::ALL.map(|key| Some(format!("{key:?}").into_bytes())));
}

async fn groups_do_not_see_each_other<S: Storage>(storage: &S, one: GroupId, other: GroupId) {
    write(storage, |batch| batch.append(one, 1, entries(1..=3)).append(other, 7, entries(7..=8))).await;
    write(storage, |batch| batch.truncate_from(one, 2).put_metadata(one, MetadataKey::Vote, vec![1])).await;
    done(storage.save_snapshot(one, snapshot(1))).await;
    assert_eq!(read(storage, other).await, numbered(7..=8));
    assert_eq!(storage.metadata(other, MetadataKey::Vote), None);
    assert_eq!(done(storage.load_snapshot(other)).await, None);
}

async fn a_snapshot_is_replaced_as_a_whole<S: Storage>(storage: &S, group: GroupId) {
    assert_eq!(done(storage.load_snapshot(group)).await, None);
    let empty = Snapshot::default();
    for snapshot in [snapshot(1), snapshot(300_000), snapshot(2), empty] {
        done(storage.save_snapshot(group, snapshot.clone())).await;
        assert_eq!(done(storage.load_snapshot(group)).await, Some(snapshot));
    }
}

async fn writes_take_effect_in_the_order_of_calls<S: Storage>(storage: &S, group: GroupId) {
    let writes: Vec<_> = (1..=50)
        .map(|index| {
            let mut batch = LogBatch::new();
            batch.append(group, index, entries(index..=index));
            batch.put_metadata(group, MetadataKey::Committed, index.to_le_bytes().to_vec());
            storage.write(batch)
        })
        .collect();
    done(storage.sync()).await;
    for write in writes {
        done(write).await;
    }
    assert_eq!(read(storage, group).await, numbered(1..=50));
    assert_eq!(storage.metadata(group, MetadataKey::Committed), Some(50u64.to_le_bytes().to_vec()));
}

async fn entries_may_be_empty_or_large<S: Storage>(storage: &S, group: GroupId) {
    let sizes = [0, 1, 100_000, 1_000_000, 0];
    let large: Vec<Vec<u8>> = sizes.iter().map(|size| vec![0xA5; *size]).collect();
    write(storage, |batch| batch.append(group, 1, large.clone())).await;
    done(storage.sync()).await;
    let expected: Vec<_> = (1..).zip(large).collect();
    assert_eq!(read(storage, group).await, expected);
}

async fn done<T>(completion: impl Future<Output = Result<T, StorageError>>) -> T {
    completion.await.expect("the operation succeeds")
}

async fn write<S: Storage>(storage: &S, build: impl FnOnce(&mut LogBatch) -> &mut LogBatch) {
    let mut batch = LogBatch::new();
    build(&mut batch);
    done(storage.write(batch)).await;
}

async fn append<S: Storage>(storage: &S, group: GroupId, indexes: std::ops::RangeInclusive<u64>) {
    write(storage, |batch| batch.append(group, *indexes.start(), entries(indexes))).await;
}

async fn read<S: Storage>(storage: &S, group: GroupId) -> Vec<(u64, Vec<u8>)> {
    done(storage.entries(group, 0..u64::MAX)).await
}

async fn assert_refused<S: Storage>(storage: &S, group: GroupId, first_index: u64, conflict: LogConflict) {
    let mut batch = LogBatch::new();
    batch.append(group, first_index, entries(0..=0));
    assert_eq!(storage.write(batch).await, Err(StorageError::Conflict { group, conflict }));
}

fn numbered(indexes: std::ops::RangeInclusive<u64>) -> Vec<(u64, Vec<u8>)> {
    indexes.clone().zip(entries(indexes)).collect()
}

fn entries(indexes: std::ops::RangeInclusive<u64>) -> Vec<Vec<u8>> {
    indexes.map(|index| format!("entry {index}").into_bytes()).collect()
}

fn snapshot(size: usize) -> Snapshot {
    let data = (0..size).map(|position| (position % 251) as u8).collect();
    Snapshot { meta: format!("{size} bytes").into_bytes(), data }
}
