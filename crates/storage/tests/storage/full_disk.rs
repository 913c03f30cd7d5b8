//! A full disk stops writes, loses none, and lets them go on in order.

use tollgate_storage::{Completion, DiskStorage, GroupId, LogBatch, Snapshot, Storage, StorageHealth};

use crate::small_disk::SmallDisk;
use crate::support::{all_entries, append_synced, done, open, open_quietly};

const GROUP: GroupId = GroupId(1);

fn append(storage: &DiskStorage, index: u64) -> Completion {
    let mut batch = LogBatch::new();
    batch.append(GROUP, index, vec![vec![index as u8; 10_000]]);
    storage.write(batch)
}

fn wait_until_full(storage: &DiskStorage) {
    while !matches!(storage.health(), StorageHealth::Full { .. }) {
        assert!(!matches!(storage.health(), StorageHealth::Failed { .. }), "{:?}", storage.health());
        std::thread::yield_now();
    }
}

#[test]
fn writes_wait_for_space_and_go_on_in_order() {
    let Some(disk) = SmallDisk::mount(3 << 20) else { return };
    let path = disk.path().join("data");
    let storage = open_quietly(&path);
    append_synced(&storage, GROUP, 1, vec![1; 10_000]);
    disk.fill();
    // Far more than the files that were prepared in advance hold.
    let writes: Vec<_> = (2..=100).map(|index| append(&storage, index)).collect();
    wait_until_full(&storage);
    assert_eq!(done(storage.entries(GROUP, 0..2)), [(1, vec![1; 10_000])], "reads go on");
    disk.free();
    writes.into_iter().for_each(done);
    assert_eq!(storage.health(), StorageHealth::Healthy);
    drop(storage);
    let expected: Vec<_> = (1..=100).map(|index| (index, vec![index as u8; 10_000])).collect();
    assert_eq!(all_entries(&open_quietly(&path), GROUP), Ok(expected));
}

#[test]
fn a_node_stopped_on_a_full_disk_opens_with_all_that_was_acknowledged() {
    let Some(disk) = SmallDisk::mount(3 << 20) else { return };
    let path = disk.path().join("data");
    let storage = open_quietly(&path);
    disk.fill();
    let writes: Vec<_> = (1..=100).map(|index| append(&storage, index)).collect();
    wait_until_full(&storage);
    drop(storage);
    let acknowledged = writes.into_iter().map(crate::support::block_on).take_while(Result::is_ok).count();
    disk.free();
    let (storage, _) = open(&path);
    let entries = all_entries(&storage, GROUP).expect("the log can be read");
    assert_eq!(entries.len(), acknowledged);
    assert!((1..100).contains(&acknowledged), "{acknowledged} of 100 were written");
}

#[test]
fn a_snapshot_waits_for_space_and_leaves_the_log_alone() {
    let Some(disk) = SmallDisk::mount(12 << 20) else { return };
    let path = disk.path().join("data");
    let storage = open_quietly(&path);
    let small = Snapshot { meta: vec![1], data: vec![1; 1000].into() };
    done(storage.save_snapshot(GROUP, small.clone()));
    disk.fill();
    let large = Snapshot { meta: vec![2], data: vec![2; 1_000_000].into() };
    let saved = storage.save_snapshot(GROUP, large.clone());
    wait_until_full(&storage);
    append_synced(&storage, GROUP, 1, vec![1]);
    disk.free();
    done(saved);
    assert_eq!(done(storage.load_snapshot(GROUP)), Some(large.clone()));
    drop(storage);
    assert_eq!(done(open_quietly(&path).load_snapshot(GROUP)), Some(large));
}
