//! One run, as the simulation is asked for it and as a person repeats it.

use std::fmt;

/// A run.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Run {
    /// What everything is drawn from.
    pub(super) seed: u64,
    /// Faults that are left out, by their numbers.
    pub(super) without: Vec<usize>,
    /// The bug that it has.
    pub(super) planted: Option<String>,
}

impl Run {
    /// The run of a seed as it is.
    pub(super) fn of(seed: u64) -> Self {
        Self { seed, without: Vec::new(), planted: None }
    }

    /// The run of a seed with a bug.
    pub(super) fn with_planted(seed: u64, name: &str) -> Self {
        Self { planted: Some(name.to_owned()), ..Self::of(seed) }
    }

    /// The words that say so, to the simulation and to `cargo xtask sim`.
    pub(super) fn words(&self) -> Vec<String> {
        let mut words = vec!["--seed".to_owned(), self.seed.to_string()];
        if !self.without.is_empty() {
            let numbers: Vec<String> = self.without.iter().map(usize::to_string).collect();
            words.extend(["--without".to_owned(), numbers.join(",")]);
        }
        words.extend(self.planted.iter().flat_map(|name| ["--planted".to_owned(), name.clone()]));
        words
    }
}

/// The one command that repeats it.
impl fmt::Display for Run {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cargo xtask sim {}", self.words().join(" "))
    }
}
