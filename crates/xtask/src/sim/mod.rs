//! `cargo xtask sim`: runs simulated clusters, one seed a process, and says which seeds break a promise.

mod canary;
mod ddmin;
mod ended;
#[cfg(test)]
mod fake;
mod planted;
mod pool;
mod program;
mod progress;
mod run;
mod shrink;
mod sweep;
mod table;
mod totals;

use std::ops::Range;
use std::os::unix::process::CommandExt;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use clap::{ArgGroup, Args};

use program::Program;
use run::Run;

/// Options of `cargo xtask sim`.
#[derive(Args)]
#[command(group = tasks(), group = replay_options())]
pub(crate) struct SimArgs {
    /// Runs so many seeds, shrinks what fails, and prints a summary.
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u64).range(1..))]
    #[arg(conflicts_with_all = ["seed", "hours", "planted"])]
    seeds: Option<u64>,
    /// The first of these seeds.
    #[arg(long, value_name = "SEED", default_value_t = 1, conflicts_with_all = ["seed", "hours", "planted"])]
    first: u64,
    /// Replays one seed: its trace goes to standard output, and it ends as the run does.
    #[arg(long, conflicts_with = "hours")]
    seed: Option<u64>,
    /// Faults that the replay leaves out, by their numbers.
    #[arg(long, value_name = "NUMBERS", value_delimiter = ',')]
    without: Vec<usize>,
    /// What of the replay's trace is printed.
    #[arg(long, value_parser = ["none", "events", "frames"], default_value = "events")]
    trace: String,
    /// What the nodes of the replay log goes to standard error, as far as this filter lets it.
    #[arg(long, value_name = "FILTER")]
    log: Option<String>,
    /// Looks for each planted bug, or for the one of this name; a replay has the one of this name.
    #[arg(long, value_name = "NAME", num_args = 0..=1, conflicts_with = "hours")]
    planted: Option<Option<String>>,
    /// In how many seeds a planted bug must be found.
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u64).range(1..))]
    #[arg(default_value_t = 2_000, conflicts_with_all = ["seeds", "seed", "hours"])]
    within: u64,
    /// Runs seeds that were never run before until so many hours are over, and goes on when one fails.
    #[arg(long, value_parser = hours)]
    hours: Option<Duration>,
}

/// One of these is needed.
fn tasks() -> ArgGroup {
    ArgGroup::new("task").args(["seeds", "seed", "hours", "planted"]).required(true).multiple(true)
}

/// These are of a replay only. Beside an option that excludes `seed`, clap no longer asks for it.
fn replay_options() -> ArgGroup {
    let options = ArgGroup::new("replay").args(["without", "trace", "log"]).multiple(true);
    options.requires("seed").conflicts_with_all(["seeds", "hours"])
}

/// What the options ask for.
#[derive(Debug, Eq, PartialEq)]
enum Task {
    /// To run a simulation with these words.
    Replay(Vec<String>),
    /// To run these seeds.
    Sweep(Range<u64>),
    /// To run new seeds for so long.
    Soak(Duration),
    /// To look for planted bugs.
    Hunt {
        /// The one to look for; `None` for all.
        name: Option<String>,
        /// How many seeds are tried.
        within: u64,
    },
}

/// Does what the options say.
pub(crate) fn sim(args: &SimArgs) -> Result<()> {
    let task = task(args)?;
    let program = Program::build()?;
    match task {
        Task::Replay(words) => Err(replay(&program, &words)),
        Task::Sweep(seeds) => sweep::sweep(&program, seeds),
        Task::Soak(duration) => sweep::soak(&program, duration),
        Task::Hunt { name, within } => planted::hunt(&program, name.as_deref(), within),
    }
}

/// The run takes the place of this process, so nothing of ours can get between its trace and whoever reads it.
/// Returns only if it cannot.
fn replay(program: &Program, words: &[String]) -> anyhow::Error {
    anyhow::Error::new(program.command(words).exec()).context("the simulation cannot be started")
}

fn task(args: &SimArgs) -> Result<Task> {
    if let Some(seed) = args.seed {
        return Ok(Task::Replay(replayed(seed, args)?));
    }
    if let Some(count) = args.seeds {
        let end = args.first.checked_add(count).context("there are no such seeds: they end at 2^64")?;
        return Ok(Task::Sweep(args.first..end));
    }
    if let Some(duration) = args.hours {
        return Ok(Task::Soak(duration));
    }
    Ok(Task::Hunt { name: args.planted.clone().flatten(), within: args.within })
}

/// What the simulation is asked to replay.
fn replayed(seed: u64, args: &SimArgs) -> Result<Vec<String>> {
    ensure!(args.planted != Some(None), "a replay has one planted bug: --planted NAME");
    let run = Run { seed, without: args.without.clone(), planted: args.planted.clone().flatten() };
    let mut words = run.words();
    words.extend(["--trace".to_owned(), args.trace.clone()]);
    words.extend(args.log.iter().flat_map(|filter| ["--log".to_owned(), filter.clone()]));
    Ok(words)
}

fn hours(text: &str) -> Result<Duration, String> {
    let hours: f64 = text.parse().map_err(|error| format!("{error}"))?;
    Duration::try_from_secs_f64(hours * 3600.0).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        args: SimArgs,
    }

    fn task_of(line: &str) -> Result<Task> {
        task(&Line::try_parse_from(std::iter::once("sim").chain(line.split_whitespace()))?.args)
    }

    fn replay(words: &str) -> Task {
        Task::Replay(words.split(' ').map(str::to_owned).collect())
    }

    #[test]
    fn options_ask_for_one_task() {
        let named = |name: &str, within| Task::Hunt { name: Some(name.to_owned()), within };
        let cases = [
            ("--seeds 500", Task::Sweep(1..501)),
            ("--seeds 5 --first 100", Task::Sweep(100..105)),
            ("--hours 0.5", Task::Soak(Duration::from_secs(1800))),
            ("--planted", Task::Hunt { name: None, within: 2_000 }),
            ("--planted --within 50", Task::Hunt { name: None, within: 50 }),
            ("--planted canary", named("canary", 2_000)),
            ("--seed 7", replay("--seed 7 --trace events")),
            ("--seed 7 --without 3,5 --trace frames", replay("--seed 7 --without 3,5 --trace frames")),
            ("--seed 7 --planted canary", replay("--seed 7 --planted canary --trace events")),
            ("--seed 7 --log debug", replay("--seed 7 --trace events --log debug")),
        ];
        for (line, expected) in cases {
            assert_eq!(task_of(line).unwrap_or_else(|error| panic!("{line}: {error}")), expected, "{line}");
        }
    }

    #[test]
    fn options_that_contradict_each_other_are_refused() {
        let cases = [
            "",
            "--seeds 0",
            "--seeds 5 --seed 7",
            "--seeds 5 --hours 1",
            "--seeds 5 --planted",
            "--seeds 2 --first 18446744073709551615",
            "--first 3 --seed 7",
            "--hours 1 --seed 7",
            "--hours 1 --planted",
            "--hours -1",
            "--hours soon",
            "--seed 7 --planted",
            "--seed 7 --planted canary --within 5",
            "--without 3 --seeds 5",
            "--trace frames --seeds 5",
            "--log debug --hours 1",
            "--within 5 --seeds 5",
            "--within 5",
            "--first 3",
            "--first 3 --hours 1",
            "--first 3 --planted",
            "--without 3 --planted",
            "--trace events --planted canary",
        ];
        let accepted: Vec<_> = cases.into_iter().filter(|line| task_of(line).is_ok()).collect();
        assert_eq!(accepted, Vec::<&str>::new());
    }
}
