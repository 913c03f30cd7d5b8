//! Directories that cannot be used are refused with the reason, and left alone.

use std::fs;
use std::path::Path;

use tollgate_storage::{DiskOptions, DiskStorage, OpenError};

use crate::small_disk::SmallDisk;
use crate::support::{open_quietly, options, temporary_directory};

fn refusal(path: &Path) -> OpenError {
    DiskStorage::open(path, &options()).map(|_| ()).expect_err("the directory is refused")
}

#[test]
fn a_missing_directory_is_made_with_its_parents() {
    let directory = temporary_directory();
    let path = directory.path().join("some/where");
    drop(open_quietly(&path));
    drop(open_quietly(&path));
}

#[test]
fn a_file_in_its_place_is_refused() {
    let directory = temporary_directory();
    let file = directory.path().join("file");
    fs::write(&file, "text").expect("a file can be written");
    for path in [file.clone(), file.join("below")] {
        let error = refusal(&path);
        assert!(matches!(error, OpenError::NotADirectory { .. }), "{error:?}");
        assert!(error.to_string().contains("file"), "{error}");
    }
}

#[test]
fn a_directory_with_something_else_in_it_is_left_alone() {
    let directory = temporary_directory();
    fs::write(directory.path().join("thesis.tex"), "text").expect("a file can be written");
    assert!(matches!(refusal(directory.path()), OpenError::Foreign { .. }));
    let names: Vec<_> = fs::read_dir(directory.path()).expect("it can be read").collect();
    assert_eq!(names.len(), 1);
}

#[test]
fn formats_are_told_apart() {
    let cases = [
        ("tollgate-storage 2\n", "has format 2, and this release reads up to 1"),
        ("tollgate-storage 0\n", "not a data directory of ours"),
        ("another program\n", "not a data directory of ours"),
        ("", "not a data directory of ours"),
    ];
    for (content, expected) in cases {
        let directory = temporary_directory();
        fs::write(directory.path().join("format"), content).expect("a file can be written");
        let error = refusal(directory.path()).to_string();
        assert!(error.contains(expected), "{content:?}: {error}");
    }
}

#[test]
fn a_directory_in_use_is_refused_with_the_process_that_uses_it() {
    let directory = temporary_directory();
    let storage = open_quietly(directory.path());
    let error = refusal(directory.path());
    assert!(matches!(error, OpenError::Locked { pid: Some(pid), .. } if pid == std::process::id()), "{error:?}");
    assert!(error.to_string().contains(&directory.path().display().to_string()), "{error}");
    drop(storage);
    drop(open_quietly(directory.path()));
}

#[test]
fn a_read_only_disk_is_refused() {
    let Some(disk) = SmallDisk::mount(4 << 20) else { return };
    let used = disk.path().join("used");
    drop(open_quietly(&used));
    disk.make_read_only();
    for path in [used, disk.path().join("new")] {
        let error = refusal(&path);
        assert!(matches!(error, OpenError::NotWritable { .. }), "{}: {error:?}", path.display());
    }
}

#[test]
fn a_disk_without_space_is_refused() {
    let Some(disk) = SmallDisk::mount(4 << 20) else { return };
    fs::create_dir(disk.path().join("data")).expect("a directory can be made");
    disk.fill();
    let error = refusal(&disk.path().join("data"));
    assert!(matches!(error, OpenError::NoSpace { .. }), "{error:?}");
    disk.free();
    drop(open_quietly(&disk.path().join("data")));
}

#[test]
fn options_that_contradict_each_other_are_refused() {
    let directory = temporary_directory();
    let options = DiskOptions { log_reclaim_bytes: 1, ..options() };
    let error = DiskStorage::open(directory.path(), &options).map(|_| ()).expect_err("the options are refused");
    assert!(matches!(error, OpenError::InvalidOptions { .. }), "{error:?}");
}
