//! A disk that a test may fill, or make read-only.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

/// A small file system of its own, unmounted at the end.
pub(crate) struct SmallDisk {
    directory: TempDir,
}

impl SmallDisk {
    /// `None`, said loudly, where mounting is not allowed: only root may.
    pub(crate) fn mount(size_bytes: u64) -> Option<Self> {
        let directory = TempDir::new().expect("a temporary directory can be made");
        let size = format!("size={size_bytes}");
        if !run("mount", &["-t", "tmpfs", "-o", &size, "tmpfs"], directory.path()) {
            eprintln!("SKIPPED: a small disk cannot be mounted here (it takes root)");
            return None;
        }
        Some(Self { directory })
    }

    pub(crate) fn path(&self) -> &Path {
        self.directory.path()
    }

    pub(crate) fn make_read_only(&self) {
        assert!(run("mount", &["-o", "remount,ro"], self.path()), "a mounted disk can be made read-only");
    }

    /// Takes all the space that is left.
    pub(crate) fn fill(&self) {
        let mut filler = fs::File::create(self.filler()).expect("a file can be made");
        while filler.write_all(&[0; 4096]).is_ok() {}
    }

    /// Gives the space back.
    pub(crate) fn free(&self) {
        fs::remove_file(self.filler()).expect("the filler is there");
    }

    fn filler(&self) -> PathBuf {
        self.path().join("filler")
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        run("umount", &["--lazy"], self.directory.path());
    }
}

fn run(program: &str, arguments: &[&str], path: &Path) -> bool {
    let output = Command::new(program).args(arguments).arg(path).output();
    output.is_ok_and(|output| output.status.success())
}
