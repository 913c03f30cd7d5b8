//! The configuration from outside: texts, variables and flags in, settings or one line out.

mod accepted;
mod layers;
mod mistakes;
mod reload;
mod secrets;

use std::ffi::OsString;
use std::fs;
use std::path::PathBuf;

use tempfile::TempDir;

use super::{Config, ConfigError, Flags};

/// A directory with files of a test's own.
struct Files(TempDir);

impl Files {
    fn new() -> Self {
        Self(tempfile::tempdir().expect("a temporary directory"))
    }

    /// Writes a file.
    fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let file = self.0.path().join(name);
        fs::write(&file, content).expect("the directory is writable");
        file
    }

    /// A text without the directory's name, which differs from run to run.
    fn relative(&self, text: &str) -> String {
        text.replace(&format!("{}/", self.0.path().display()), "")
    }
}

fn variables(variables: &[(&str, &str)]) -> Vec<(OsString, OsString)> {
    variables.iter().map(|(name, value)| (name.into(), value.into())).collect()
}

/// What a file `t.yaml` of this content means.
fn load_yaml(yaml: impl AsRef<[u8]>) -> Result<Config, String> {
    let files = Files::new();
    let flags = Flags { config: Some(files.write("t.yaml", yaml)), ..Flags::default() };
    Config::load(&flags, []).map_err(|error| files.relative(&error.to_string()))
}

/// What the variables mean without a file.
fn load_variables(set: &[(&str, &str)]) -> Result<Config, ConfigError> {
    Config::load(&Flags::default(), variables(set))
}

/// What the flags mean, read as the command line reads them.
fn flags(arguments: &[&str]) -> Flags {
    use clap::{Args, FromArgMatches};
    let command = Flags::augment_args(clap::Command::new("serve").no_binary_name(true));
    let matches = command.try_get_matches_from(arguments).expect("known flags");
    Flags::from_arg_matches(&matches).expect("flags of the right types")
}
