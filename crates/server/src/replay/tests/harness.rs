//! What several tests need: logs and configurations in files, and a replay of them.

use std::path::{Path, PathBuf};

use clap::Parser;
use tempfile::TempDir;
use tollgate_limiter::{Limit, ShardTime};

use crate::config::{Config, Flags};
use crate::replay::arguments::ReplayArgs;
use crate::replay::error::ReplayError;
use crate::replay::screen::Screen;
use crate::replay::{log_time, run_to};

/// What a pipe gets.
pub(super) const PIPE: Screen = Screen { columns: 60, has_colour: false, is_terminal: false };

#[derive(Parser)]
struct Cli {
    #[command(flatten)]
    args: ReplayArgs,
}

/// A directory for the files of one test, and replays in it.
pub(super) struct Desk {
    directory: TempDir,
}

impl Desk {
    pub(super) fn new() -> Self {
        Self { directory: tempfile::tempdir().expect("a temporary directory") }
    }

    /// A desk with `files`, each a name and what it holds.
    pub(super) fn with(files: &[(&str, &str)]) -> Self {
        let desk = Self::new();
        files.iter().for_each(|(name, text)| desk.put(name, text.as_bytes()));
        desk
    }

    pub(super) fn put(&self, name: &str, bytes: &[u8]) {
        std::fs::write(self.path(name), bytes).expect("a file in a temporary directory");
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// The report that `arguments` give, words of which begin with `@` are files here. The directory's name is left out.
    pub(super) fn replay(&self, arguments: &str) -> Result<String, String> {
        self.replay_on(arguments, PIPE)
    }

    pub(super) fn replay_on(&self, arguments: &str, screen: Screen) -> Result<String, String> {
        let mut out = Vec::new();
        let result = run_to(&self.parse(arguments), screen, &mut out);
        let text = String::from_utf8(out).expect("a report is UTF-8");
        let directory = format!("{}/", self.directory.path().display());
        result
            .map(|()| text.replace(&directory, ""))
            .map_err(|error: ReplayError| error.to_string().replace(&directory, ""))
    }

    fn parse(&self, arguments: &str) -> ReplayArgs {
        let word = |word: &str| match word.strip_prefix('@') {
            Some(file) => self.path(file).display().to_string(),
            None => word.to_owned(),
        };
        Cli::parse_from(std::iter::once("replay".to_owned()).chain(arguments.split_whitespace().map(word))).args
    }
}

/// The limits that a configuration file with this text sets.
pub(super) fn limits(yaml: &str) -> Vec<Limit> {
    let desk = Desk::with(&[("tollgate.yaml", yaml)]);
    let flags = Flags { config: Some(desk.path("tollgate.yaml")), ..Flags::default() };
    Config::load(&flags, []).expect("a legal configuration").limits
}

/// The instant that a log writes as `text`.
pub(super) fn at(text: &str) -> ShardTime {
    log_time::parse(text).expect("a time of a log")
}

/// The sample of a real log, where it is at hand.
pub(super) fn sample() -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data/apache_logs");
    path.exists().then_some(path)
}
