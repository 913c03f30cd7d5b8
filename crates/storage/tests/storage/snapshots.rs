//! Snapshots that are damaged are noticed, and never returned.

use std::fs;
use std::path::Path;

use tempfile::TempDir;
use tollgate_storage::{GroupId, Notice, Snapshot, Storage, StorageError};

use crate::support::{
    all_entries, append_synced, block_on, copy_directory, done, open, open_quietly, temporary_directory,
};

const GROUP: GroupId = GroupId(3);

fn snapshot() -> Snapshot {
    Snapshot { meta: b"about it".to_vec(), data: (0..200_000u32).flat_map(u32::to_le_bytes).collect() }
}

/// A closed data directory with a log of one entry and a snapshot that was saved twice.
fn data_directory() -> TempDir {
    let directory = temporary_directory();
    let storage = open_quietly(directory.path());
    append_synced(&storage, GROUP, 1, b"entry".to_vec());
    done(storage.save_snapshot(GROUP, Snapshot::default()));
    done(storage.save_snapshot(GROUP, snapshot()));
    drop(storage);
    directory
}

fn damage(data: &Path, file: &str, change: impl FnOnce(&mut Vec<u8>)) -> TempDir {
    let copy = temporary_directory();
    copy_directory(data, copy.path());
    let path = copy.path().join("state").join(file);
    let mut content = fs::read(&path).expect("the file is there");
    change(&mut content);
    fs::write(&path, content).expect("the file can be written");
    copy
}

#[test]
fn lost_snapshots_are_told_and_new_ones_can_be_saved() {
    let data = data_directory();
    let cases = [
        damage(data.path(), "db", |content| content.fill(0xA5)),
        damage(data.path(), "db", Vec::clear),
        damage(data.path(), "conf", |content| content.fill(b'?')),
    ];
    for (case, damaged) in cases.iter().enumerate() {
        let (storage, notices) = open(damaged.path());
        assert!(storage.snapshot_lost(), "case {case}: {notices:?}");
        assert!(notices.contains(&Notice::SnapshotLost { group: GROUP }), "case {case}: {notices:?}");
        assert_eq!(all_entries(&storage, GROUP), Ok(vec![(1, b"entry".to_vec())]));
        assert_eq!(done(storage.load_snapshot(GROUP)), None);
        done(storage.save_snapshot(GROUP, snapshot()));
        assert_eq!(done(storage.load_snapshot(GROUP)), Some(snapshot()));
    }
}

#[test]
fn snapshots_that_do_not_open_are_moved_aside_each_to_a_name_of_its_own() {
    let data = data_directory();
    for number in 1..=2 {
        fs::write(data.path().join("state/conf"), "damaged, damaged, damaged").expect("the file can be written");
        let (_storage, notices) = open(data.path());
        let expected = data.path().join(format!("state.damaged-{number}"));
        let moved = notices
            .iter()
            .any(|notice| matches!(notice, Notice::SnapshotsMovedAside { moved_to, .. } if *moved_to == expected));
        assert!(moved && expected.join("db").exists(), "{notices:?}");
    }
}

#[test]
fn a_flipped_byte_never_loses_a_snapshot_silently() {
    let data = data_directory();
    let length = fs::metadata(data.path().join("state/db")).expect("the file is there").len() as usize;
    let mut noticed = 0;
    for offset in (0..length).step_by(length / 60) {
        let damaged = damage(data.path(), "db", |content| content[offset] ^= 0x10);
        let (storage, _) = open(damaged.path());
        match block_on(storage.load_snapshot(GROUP)) {
            Ok(Some(loaded)) if loaded == snapshot() => {}
            // sled may fall back to what it held earlier.
            Ok(older) => {
                assert!(storage.snapshot_lost(), "a flip at {offset} lost the snapshot silently");
                assert!(
                    older.is_none_or(|older| older == Snapshot::default()),
                    "a flip at {offset} made a snapshot up"
                );
            }
            Err(StorageError::Damaged { group: GROUP, .. }) => {}
            Err(error) => panic!("a flip at {offset}: {error}"),
        }
        noticed += usize::from(block_on(storage.load_snapshot(GROUP)) != Ok(Some(snapshot())));
    }
    assert!(noticed > 0, "the flips hit no snapshot: the test shows nothing");
}

#[test]
fn what_sled_began_to_write_about_itself_when_it_was_killed_is_no_damage() {
    let directory = data_directory();
    fs::write(directory.path().join("state/snap.7FFFFFFFFFFFFFFF.generating"), []).expect("a file can be written");
    let storage = open_quietly(directory.path());
    assert_eq!(done(storage.load_snapshot(GROUP)), Some(snapshot()));
}

#[test]
fn a_snapshot_is_in_files_that_are_synced() {
    let directory = temporary_directory();
    let storage = open_quietly(directory.path());
    let data: Vec<u8> = (0..4_000_000_u32).map(|position| (position % 251) as u8).collect();
    done(storage.save_snapshot(GROUP, Snapshot { meta: vec![1], data: data.into() }));
    let blobs = fs::read_dir(directory.path().join("state/blobs")).expect("sled has a directory for large pages");
    assert_eq!(blobs.count(), 0, "pages of chunks are small enough for the main file");
}
