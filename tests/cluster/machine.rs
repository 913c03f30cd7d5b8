//! A node's machine, as far as it tells the time: a wall clock that steps, and a boot of its own.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use tempfile::TempDir;

use crate::cluster::Place;

/// In place of the kernel's word which boot this is, the file that comes first; then becomes the program that follows.
const WITH_OWN_BOOT: &str = r#"mount --bind "$0" /proc/sys/kernel/random/boot_id && exec "$@""#;

/// The folder in which each architecture's libraries are.
const LIBRARIES: &str = "/usr/lib";

const FAKETIME: &str = "faketime/libfaketimeMT.so.1";

/// How a node learns of a step: its library looks at the file this often.
const LOOKS_EVERY_SECONDS: &str = "1";

/// What a node is told by its machine, in files.
pub(crate) struct Machine {
    folder: TempDir,
    faketime: PathBuf,
}

impl Machine {
    /// `None`, said loudly, where a process cannot be given another clock.
    pub(crate) fn make() -> Option<Self> {
        let unshared = Command::new("unshare").args(["--mount", "true"]).output();
        if !unshared.is_ok_and(|output| output.status.success()) {
            eprintln!("SKIPPED: a process cannot be given another boot here (it takes root)");
            return None;
        }
        let folders = fs::read_dir(LIBRARIES).ok()?.filter_map(Result::ok);
        let Some(faketime) = folders.map(|folder| folder.path().join(FAKETIME)).find(|library| library.is_file())
        else {
            eprintln!("SKIPPED: there is no libfaketime here; `cargo xtask test` installs it");
            return None;
        };
        let machine = Self { folder: TempDir::new().expect("a temporary folder can be made"), faketime };
        machine.boot();
        machine.step_wall(0);
        Some(machine)
    }

    /// A place on this machine.
    pub(crate) fn place(&self, place: Place) -> Place {
        let boot = self.boot_file().display().to_string();
        let prefix = ["unshare", "--mount", "sh", "-c", WITH_OWN_BOOT, &boot].map(str::to_owned).into();
        let environment = [
            ("LD_PRELOAD", self.faketime.display().to_string()),
            ("FAKETIME_TIMESTAMP_FILE", self.step_file().display().to_string()),
            ("FAKETIME_CACHE_DURATION", LOOKS_EVERY_SECONDS.to_owned()),
            ("FAKETIME_DONT_FAKE_MONOTONIC", "1".to_owned()),
        ];
        let ours = environment.map(|(name, value)| (name.to_owned(), value));
        let environment = place.environment.into_iter().chain(ours).collect();
        Place { prefix, environment, ..place }
    }

    /// Sets the wall clock: so many seconds before or after the true time.
    pub(crate) fn step_wall(&self, seconds: i64) {
        // Replaced as a whole, for a node may read it at any time.
        let new = self.folder.path().join("new");
        fs::write(&new, format!("{seconds:+}\n")).expect("it can be written");
        fs::rename(new, self.step_file()).expect("it can be replaced");
    }

    /// Boots anew: a node that is started from now on cannot compare its clock with what was read before.
    pub(crate) fn boot(&self) {
        let bits = fastrand::u128(..);
        fs::write(self.boot_file(), format!("{bits:032x}\n")).expect("it can be written");
    }

    fn step_file(&self) -> PathBuf {
        self.folder.path().join("step")
    }

    fn boot_file(&self) -> PathBuf {
        self.folder.path().join("boot")
    }
}
