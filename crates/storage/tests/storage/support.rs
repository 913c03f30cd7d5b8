//! Directories, mounts and helpers that the tests share.

use std::fs;
use std::future::Future;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tempfile::TempDir;
use tollgate_storage::{DiskOptions, DiskStorage, GroupId, LogBatch, Notice, Storage, StorageError};

/// Small files, so that few writes fill some.
pub(crate) fn options() -> DiskOptions {
    DiskOptions {
        log_file_bytes: 32 << 10,
        log_reclaim_bytes: 128 << 10,
        retry_interval: Duration::from_millis(1),
        ..DiskOptions::default()
    }
}

pub(crate) fn temporary_directory() -> TempDir {
    tempfile::tempdir().expect("a temporary directory can be made")
}

pub(crate) fn open(path: &Path) -> (DiskStorage, Vec<Notice>) {
    DiskStorage::open(path, &options()).expect("the storage opens")
}

/// Opens a storage about which there is nothing to tell.
pub(crate) fn open_quietly(path: &Path) -> DiskStorage {
    let (storage, notices) = open(path);
    assert_eq!(notices, []);
    storage
}

pub(crate) fn block_on<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime can be made");
    runtime.block_on(future)
}

pub(crate) fn done<T>(completion: impl Future<Output = Result<T, StorageError>>) -> T {
    block_on(completion).expect("the operation succeeds")
}

/// Appends one entry to the group and syncs it.
pub(crate) fn append_synced(storage: &DiskStorage, group: GroupId, index: u64, entry: Vec<u8>) {
    let mut batch = LogBatch::new();
    batch.append(group, index, vec![entry]);
    let write = storage.write(batch);
    done(storage.sync());
    done(write);
}

pub(crate) fn all_entries(storage: &DiskStorage, group: GroupId) -> Result<Vec<(u64, Vec<u8>)>, StorageError> {
    block_on(storage.entries(group, 0..u64::MAX))
}

/// The log files that hold records, oldest first.
pub(crate) fn log_files(data: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(data.join("raft-log")).expect("there is a log");
    let paths = entries.map(|entry| entry.expect("its directory can be read").path());
    let mut files: Vec<_> = paths.filter(|path| path.extension().is_some_and(|suffix| suffix == "raftlog")).collect();
    files.sort();
    files
}

/// Copies a directory as it is now, which is what a killed process leaves behind.
pub(crate) fn copy_directory(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a directory can be made");
    for entry in fs::read_dir(from).expect("the directory can be read") {
        let path = entry.expect("the directory can be read").path();
        let target = to.join(path.file_name().expect("an entry has a name"));
        if path.is_dir() {
            copy_directory(&path, &target);
        } else {
            fs::copy(&path, &target).expect("a file can be copied");
        }
    }
}
