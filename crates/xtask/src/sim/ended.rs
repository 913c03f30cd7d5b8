//! How a run ended.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::process::ExitStatus;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde::Deserialize;

/// How many lines of a failure are shown, and how many characters of each: enough to tell it from others, since a replay shows all.
const SHOWN_LINES: usize = 12;
const SHOWN_CHARACTERS: usize = 240;

/// What a run says of itself, in the last line of its output.
#[derive(Debug, Default, Deserialize, Eq, PartialEq)]
pub(super) struct Summary {
    /// Which run it was.
    pub(super) seed: u64,
    /// What clients asked.
    pub(super) requests: u64,
    /// Requests that were admitted.
    pub(super) admitted: u64,
    /// How often a node took a shard over.
    pub(super) takeovers: u64,
    /// How long it lasted for the nodes.
    pub(super) simulated_ms: u64,
    /// How often each kind of fault was made.
    pub(super) faults: BTreeMap<String, u64>,
    /// Promises that were broken: `promise: how`.
    pub(super) violations: Vec<String>,
}

/// How a run ended.
#[derive(Debug, Eq, PartialEq)]
pub(super) enum Ended {
    /// Every promise was kept.
    Clean(Summary),
    /// A promise was broken.
    Violated(Summary),
    /// As no run should: by a panic, by a signal, or without a summary that fits.
    Crashed {
        /// By which exit status, and what is wrong with its output.
        how: String,
        /// The end of its standard error.
        stderr: String,
    },
    /// It was killed, because it had not ended by itself.
    TimedOut {
        /// How long it was given.
        limit: Duration,
        /// The end of its standard error.
        stderr: String,
    },
}

impl Ended {
    /// Judges a run that ended by itself.
    pub(super) fn judge(seed: u64, status: ExitStatus, stdout: &str, stderr: &str) -> Self {
        let crashed = |how| Self::Crashed { how, stderr: stderr.to_owned() };
        match (status.code(), summary(seed, stdout)) {
            (Some(0), Ok(summary)) if summary.violations.is_empty() => Self::Clean(summary),
            (Some(1), Ok(summary)) if !summary.violations.is_empty() => Self::Violated(summary),
            (_, Ok(summary)) => crashed(format!("{status} after {} violations", summary.violations.len())),
            (_, Err(error)) => crashed(format!("{status}, {error:#}")),
        }
    }

    /// What it says of itself, if it came to that.
    pub(super) fn summary(&self) -> Option<&Summary> {
        match self {
            Self::Clean(summary) | Self::Violated(summary) => Some(summary),
            Self::Crashed { .. } | Self::TimedOut { .. } => None,
        }
    }

    /// In which ways it failed: the promises that were broken, or what else was wrong. Empty when it is clean.
    pub(super) fn failures(&self) -> BTreeSet<&str> {
        match self {
            Self::Clean(_) => BTreeSet::new(),
            Self::Violated(summary) => summary.violations.iter().map(|violation| promise(violation)).collect(),
            Self::Crashed { .. } => BTreeSet::from(["a crash"]),
            Self::TimedOut { .. } => BTreeSet::from(["a time-out"]),
        }
    }

    /// Whether it failed.
    pub(super) fn has_failed(&self) -> bool {
        !self.failures().is_empty()
    }

    /// Whether it failed in a way in which another run did, so that both may have one cause.
    pub(super) fn fails_like(&self, other: &Self) -> bool {
        !self.failures().is_disjoint(&other.failures())
    }
}

/// Which promise a violation is of.
fn promise(violation: &str) -> &str {
    violation.split(':').next().unwrap_or(violation)
}

fn summary(seed: u64, stdout: &str) -> Result<Summary> {
    let line = stdout.lines().next_back().context("it printed no summary")?;
    let summary: Summary = serde_json::from_str(line).context("its last line is no summary")?;
    ensure!(summary.seed == seed, "its summary is of seed {}", summary.seed);
    Ok(summary)
}

/// What is shown of it, in a few lines.
impl fmt::Display for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Clean(_) => f.write_str("clean"),
            Self::Violated(summary) => f.write_str(&first_lines(&summary.violations.join("\n"))),
            Self::Crashed { how, stderr } => write!(f, "a crash: {how}\n{}", last_lines(stderr)),
            Self::TimedOut { limit, stderr } => {
                write!(f, "a time-out: no end within {limit:?}\n{}", last_lines(stderr))
            }
        }
    }
}

fn first_lines(text: &str) -> String {
    let hidden = text.lines().count().saturating_sub(SHOWN_LINES);
    let mut shown: Vec<String> = text.lines().take(SHOWN_LINES).map(cut).collect();
    if hidden > 0 {
        shown.push(format!("… and {hidden} lines more"));
    }
    shown.join("\n")
}

fn last_lines(text: &str) -> String {
    let hidden = text.lines().count().saturating_sub(SHOWN_LINES);
    text.lines().skip(hidden).map(cut).collect::<Vec<_>>().join("\n")
}

fn cut(line: &str) -> String {
    match line.char_indices().nth(SHOWN_CHARACTERS) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt;

    use super::*;

    const CLEAN: &str = r#"{"seed":7,"trace":"ab","requests":90,"admitted":60,"takeovers":2,"simulated_ms":30000,"faults":{"kill":3},"planned":[0,1],"violations":[]}"#;
    const VIOLATED: &str = r#"{"seed":7,"trace":"ab","requests":90,"admitted":60,"takeovers":2,"simulated_ms":30000,"faults":{"kill":3},"planned":[0,1],"violations":["admission: 3 too many: user 1","liveness: no leader","admission: 4 too many"]}"#;

    fn judged(wait_status: i32, stdout: &str) -> Ended {
        Ended::judge(7, ExitStatus::from_raw(wait_status), stdout, "last words")
    }

    fn violated(violations: &[&str]) -> Ended {
        let violations = violations.iter().map(|violation| (*violation).to_owned()).collect();
        Ended::Violated(Summary { violations, ..Summary::default() })
    }

    #[test]
    fn the_last_line_says_what_became_of_a_run() {
        let expected = Summary {
            seed: 7,
            requests: 90,
            admitted: 60,
            takeovers: 2,
            simulated_ms: 30_000,
            faults: BTreeMap::from([("kill".to_owned(), 3)]),
            violations: Vec::new(),
        };
        assert_eq!(judged(0, CLEAN), Ended::Clean(expected));
        assert!(matches!(judged(0, &format!("  0.001 node 1: Started\n{CLEAN}\n")), Ended::Clean(_)));
        assert!(matches!(judged(1 << 8, VIOLATED), Ended::Violated(_)));
    }

    #[test]
    fn a_run_without_a_summary_that_fits_has_crashed() {
        let of_another = CLEAN.replace("\"seed\":7", "\"seed\":8");
        let cut_off = &CLEAN[..40];
        let cases = [
            (1 << 8, "", "exit status: 1, it printed no summary"),
            (101 << 8, "  0.001 node 1: Started", "exit status: 101, its last line is no summary: "),
            (0, cut_off, "exit status: 0, its last line is no summary: EOF"),
            (9, "", "signal: 9 (SIGKILL), it printed no summary"),
            (0, &of_another, "exit status: 0, its summary is of seed 8"),
            (0, VIOLATED, "exit status: 0 after 3 violations"),
            (1 << 8, CLEAN, "exit status: 1 after 0 violations"),
            (101 << 8, VIOLATED, "exit status: 101 after 3 violations"),
        ];
        for (wait_status, stdout, expected) in cases {
            match judged(wait_status, stdout) {
                Ended::Crashed { how, stderr } => {
                    assert!(how.starts_with(expected), "{how} instead of {expected}");
                    assert_eq!(stderr, "last words");
                }
                other => panic!("{other:?} instead of {expected}"),
            }
        }
    }

    #[test]
    fn runs_fail_alike_that_break_one_promise_or_end_in_one_way() {
        let clean = || Ended::Clean(Summary::default());
        let crashed = |how: &str| Ended::Crashed { how: how.to_owned(), stderr: String::new() };
        let timed_out = || Ended::TimedOut { limit: Duration::from_secs(1), stderr: String::new() };
        let cases = [
            (violated(&["a: 1"]), violated(&["a: 2"]), true),
            (violated(&["a: 1", "b: 1"]), violated(&["c: 1", "b: 2"]), true),
            (violated(&["a: 1"]), violated(&["b: 1"]), false),
            (violated(&["a: b"]), violated(&["b: a"]), false),
            (violated(&["a: 1"]), clean(), false),
            (violated(&["a: 1"]), crashed("exit status: 101"), false),
            (crashed("exit status: 101"), crashed("signal: 6"), true),
            (crashed("exit status: 101"), timed_out(), false),
            (timed_out(), timed_out(), true),
            (clean(), clean(), false),
        ];
        for (one, other, expected) in cases {
            assert_eq!(one.fails_like(&other), expected, "{one:?} and {other:?}");
            assert_eq!(other.fails_like(&one), expected, "{other:?} and {one:?}");
        }
    }

    #[test]
    fn what_is_shown_of_a_failure_is_short() {
        let many: Vec<String> = (0..100).map(|number| format!("a: {number}")).collect();
        let long = "é".repeat(1_000);
        let cases = [
            (violated(&many.iter().map(String::as_str).collect::<Vec<_>>()), "a: 0\n", "a: 11\n… and 88 lines more"),
            (violated(&[&long]), "éé", "é…"),
            (
                Ended::Crashed { how: "exit status: 101".into(), stderr: many.join("\n") },
                "a crash: exit status: 101\na: 88\n",
                "a: 99",
            ),
        ];
        for (ended, start, end) in cases {
            let shown = ended.to_string();
            assert!(shown.starts_with(start) && shown.ends_with(end), "{shown}");
            assert!(shown.lines().count() <= 13 && shown.lines().all(|line| line.chars().count() <= 241), "{shown}");
        }
    }
}
