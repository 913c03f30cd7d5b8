//! Finds which faults of a failing seed matter.
#![expect(clippy::disallowed_types, reason = "a task has so much real time")]

use std::fmt;
use std::time::{Duration, Instant};

use anyhow::Result;

use super::ddmin::ddmin;
use super::ended::Ended;
use super::program::{PlannedFault, Program};
use super::run::Run;

/// What one failing seed may cost.
#[derive(Clone, Copy)]
pub(super) struct Effort {
    /// How many runs may be tried.
    pub(super) runs: usize,
    /// After this time no further run is tried.
    pub(super) time: Duration,
}

/// ddmin brings twenty faults to three in some thirty runs, most often; runs that time out must not take CI's ten minutes.
pub(super) const EFFORT: Effort = Effort { runs: 200, time: Duration::from_secs(180) };

/// A seed that failed.
#[derive(Debug, Eq, PartialEq)]
pub(super) struct Failing {
    /// Which.
    pub(super) seed: u64,
    /// How it failed.
    pub(super) ended: Ended,
}

/// What of a failing seed's faults matters.
pub(super) struct Shrunk {
    /// The smallest run that was found to fail.
    run: Run,
    /// Its faults.
    faults: Vec<PlannedFault>,
    /// How many faults there were.
    planned: usize,
    /// How many runs were tried.
    tried: usize,
    /// How it was found, and so what it is worth.
    search: Search,
}

/// How a search ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Search {
    /// No single fault can be left out.
    Over,
    /// There was not enough time to try everything.
    CutShort,
    /// The seed did not fail again, with all its faults.
    NotReproduced,
}

/// Leaves out of a failing seed what it fails without.
pub(super) fn shrink(program: &Program, failing: &Failing, effort: Effort) -> Result<Shrunk> {
    let planned = program.planned(&Run::of(failing.seed))?;
    let numbers: Vec<usize> = planned.iter().map(|fault| fault.number).collect();
    let mut trials =
        Trials { program, failing, numbers: &numbers, effort, started: Instant::now(), tried: 0, is_cut_short: false };
    let is_reproduced = trials.still_fails(&numbers)?;
    let kept = if is_reproduced { ddmin(numbers.clone(), |kept| trials.still_fails(kept))? } else { numbers.clone() };
    let search = match (is_reproduced, trials.is_cut_short) {
        (false, _) => Search::NotReproduced,
        (true, true) => Search::CutShort,
        (true, false) => Search::Over,
    };
    Ok(Shrunk {
        run: trials.run_with(&kept),
        planned: planned.len(),
        faults: planned.into_iter().filter(|fault| kept.contains(&fault.number)).collect(),
        tried: trials.tried,
        search,
    })
}

/// Runs of a failing seed with some of its faults.
struct Trials<'a> {
    program: &'a Program,
    failing: &'a Failing,
    /// All its faults.
    numbers: &'a [usize],
    effort: Effort,
    started: Instant,
    tried: usize,
    /// Whether a run was not tried for want of effort.
    is_cut_short: bool,
}

impl Trials<'_> {
    /// Whether the seed still fails in the same way with no other faults than these. Once the effort is spent nothing does, so the
    /// search ends with the smallest that was found.
    fn still_fails(&mut self, kept: &[usize]) -> Result<bool> {
        if self.tried == self.effort.runs || self.started.elapsed() >= self.effort.time {
            self.is_cut_short = true;
            return Ok(false);
        }
        self.tried += 1;
        Ok(self.program.run(&self.run_with(kept))?.fails_like(&self.failing.ended))
    }

    fn run_with(&self, kept: &[usize]) -> Run {
        let without = self.numbers.iter().filter(|number| !kept.contains(number)).copied().collect();
        Run { without, ..Run::of(self.failing.seed) }
    }
}

/// What failed, in a few lines.
impl fmt::Display for Failing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "seed {} fails:\n{}", self.seed, indented(&self.ended.to_string()))
    }
}

/// What matters of it, and the one command that reproduces it.
impl fmt::Display for Shrunk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (tried, left, planned) = (self.tried, self.faults.len(), self.planned);
        match self.search {
            Search::Over => write!(f, "faults that matter: {left} of {planned}, after {tried} runs")?,
            Search::CutShort => {
                write!(f, "faults that may matter: {left} of {planned}, when {tried} runs had spent the effort")?
            }
            Search::NotReproduced => write!(f, "faults, with which it did not fail again: {planned}")?,
        }
        let faults: Vec<String> = self.faults.iter().map(|fault| format!("{}: {}", fault.number, fault.line)).collect();
        writeln!(f, "\n{}reproduce it: {}", indented(&faults.join("\n")), self.run)
    }
}

fn indented(text: &str) -> String {
    text.lines().map(|line| format!("  {line}\n")).collect()
}
