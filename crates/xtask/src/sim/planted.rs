//! Looks for planted bugs: a simulation that misses one would miss others like it.

use std::collections::BTreeSet;

use anyhow::{Result, ensure};
use indicatif::ProgressBar;

use super::canary;
use super::ended::Ended;
use super::pool::{self, Queue};
use super::program::Program;
use super::progress;
use super::run::Run;
use super::table::{self, Column};

/// Looks for the planted bug of this name, or for all, in seeds 1, 2, 3 and so on, as many as `within`.
///
/// # Errors
/// One was not found.
pub(super) fn hunt(program: &Program, name: Option<&str>, within: u64) -> Result<()> {
    let names = program.planted()?;
    let names = match name {
        None => names,
        Some(name) => {
            let is_known = names.iter().any(|known| known == name);
            ensure!(is_known, "no bug {name} is planted; there are {}", names.join(", "));
            vec![name.to_owned()]
        }
    };
    ensure!(!names.is_empty(), "no bugs are planted");
    let hunts = Hunts::run(program, names, within)?;
    print!("{}", hunts.table());
    let missed = hunts.missed();
    ensure!(missed.is_empty(), "the simulation is too weak: it does not find {}", missed.join(", "));
    Ok(())
}

/// All hunts.
struct Hunts {
    hunts: Vec<Hunt>,
    bar: ProgressBar,
}

/// The hunt for one planted bug.
struct Hunt {
    /// By which name the bug is planted.
    name: String,
    /// The next seed to try.
    next: u64,
    /// The last one.
    last: u64,
    /// How many seeds are being tried now.
    under_way: usize,
    /// The smallest seed that showed the bug so far.
    found: Option<Find>,
}

/// What found a planted bug.
struct Find {
    seed: u64,
    /// The promises that it broke, or in which way else the run failed.
    by: BTreeSet<String>,
}

impl Hunts {
    fn run(program: &Program, names: Vec<String>, within: u64) -> Result<Self> {
        let bar = progress::bar(Some(names.len() as u64), "planted bugs");
        let hunts = names.into_iter().map(|name| Hunt::new(name, within)).collect();
        let mut hunts = Self { hunts, bar };
        pool::work_off(&mut hunts, |(_, run)| try_one(program, run))?;
        hunts.bar.finish_and_clear();
        Ok(hunts)
    }

    fn table(&self) -> String {
        use Column::{Name, Number};
        let columns = [Name("planted bug"), Number("found at seed"), Number("seeds tried"), Name("by")];
        table::render(columns, self.hunts.iter().map(Hunt::row))
    }

    fn missed(&self) -> Vec<&str> {
        self.hunts.iter().filter(|hunt| hunt.found.is_none()).map(|hunt| hunt.name.as_str()).collect()
    }
}

/// Runs a seed with a planted bug. What fails without it, too, was not found.
fn try_one(program: &Program, run: &Run) -> Result<Ended> {
    let ended = program.run(run)?;
    let seed = run.seed;
    if ended.has_failed() {
        let fails_anyway = program.run(&Run::of(seed))?.has_failed();
        ensure!(!fails_anyway, "seed {seed} fails without a planted bug, too: cargo xtask sim --seed {seed}");
    }
    Ok(ended)
}

impl Queue for Hunts {
    type Job = (usize, Run);
    type Done = Ended;

    /// Of the hunt with the fewest seeds under way, since the seeds beyond the one that finds the bug are tried in vain.
    fn next(&mut self) -> Option<(usize, Run)> {
        let open = self.hunts.iter_mut().enumerate().filter(|(_, hunt)| !hunt.is_over());
        let (index, hunt) = open.min_by_key(|(_, hunt)| hunt.under_way)?;
        Some((index, hunt.next()))
    }

    fn done(&mut self, (index, run): (usize, Run), ended: Ended) {
        self.hunts[index].tried(run.seed, &ended);
        self.bar.set_position(self.hunts.iter().filter(|hunt| hunt.is_over()).count() as u64);
    }
}

impl Hunt {
    fn new(name: String, within: u64) -> Self {
        let last = if name == canary::NAME { canary::EVERY } else { within };
        Self { name, next: 1, last, under_way: 0, found: None }
    }

    /// Whether no further seed is to be tried.
    fn is_over(&self) -> bool {
        self.found.is_some() || self.next > self.last
    }

    fn next(&mut self) -> Run {
        let run = Run::with_planted(self.next, &self.name);
        self.next += 1;
        self.under_way += 1;
        run
    }

    /// A run ended. Seeds begin in their order and all that began end, so the smallest that fails is found, however long each takes.
    fn tried(&mut self, seed: u64, ended: &Ended) {
        self.under_way -= 1;
        let is_first = self.found.as_ref().is_none_or(|found| seed < found.seed);
        if ended.has_failed() && is_first {
            self.found = Some(Find { seed, by: ended.failures().into_iter().map(str::to_owned).collect() });
        }
    }

    fn row(&self) -> [String; 4] {
        let name = self.name.clone();
        match &self.found {
            Some(Find { seed, by }) => {
                let by: Vec<&str> = by.iter().map(String::as_str).collect();
                [name, seed.to_string(), seed.to_string(), by.join(", ")]
            }
            None => [name, "missed".to_owned(), self.last.to_string(), String::new()],
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::sim::fake::Fake;

    /// One bug for each way to be found, or not.
    const BUGS: &str = "
        [ $list ] && { printf '%s\\n' canary at-once seventh slow-to-show crash elusive; exit 0; }
        case $planted$seed in
            canary100) violated 'canary: it sings';;
            at-once*) violated 'admission: 3 too many';;
            seventh7 | seventh9) violated 'promises: forgotten';;
            slow-to-show3) sleep 0.5; violated 'registers: stale';;
            slow-to-show*) [ $seed -gt 3 ] && violated 'registers: another';;
            crash2) exit 101;;
        esac
        clean";

    fn hunted(names: &[&str], within: u64) -> Hunts {
        let names = names.iter().map(|name| (*name).to_owned()).collect();
        Hunts::run(&Fake::new(BUGS).program, names, within).expect("all can be run")
    }

    #[test]
    fn the_smallest_seed_that_shows_a_bug_is_found_whichever_ends_first() {
        let hunts = hunted(&["canary", "at-once", "seventh", "slow-to-show", "crash", "elusive"], 20);
        let rows: Vec<[String; 4]> = hunts.hunts.iter().map(Hunt::row).collect();
        let expected = [
            ["canary", "100", "100", "canary"],
            ["at-once", "1", "1", "admission"],
            ["seventh", "7", "7", "promises"],
            ["slow-to-show", "3", "3", "registers"],
            ["crash", "2", "2", "a crash"],
            ["elusive", "missed", "20", ""],
        ];
        assert_eq!(rows, expected.map(|row| row.map(str::to_owned)));
        assert_eq!(hunts.missed(), ["elusive"]);
        assert!(hunts.hunts.iter().all(|hunt| hunt.under_way == 0), "a run has not ended");
    }

    #[test]
    fn a_seed_gives_way_to_a_smaller_one_that_ends_later() {
        let timed_out = Ended::TimedOut { limit: Duration::from_secs(120), stderr: String::new() };
        for order in [[1, 2, 3], [3, 2, 1], [2, 3, 1], [3, 1, 2]] {
            let mut hunt = Hunt::new("bug".to_owned(), 3);
            order.iter().for_each(|_| drop(hunt.next()));
            order.iter().for_each(|seed| hunt.tried(*seed, &timed_out));
            assert_eq!(hunt.row(), ["bug", "1", "1", "a time-out"].map(str::to_owned), "ended in the order {order:?}");
        }
    }

    #[test]
    fn a_bug_that_shows_too_late_is_missed() {
        assert_eq!(hunted(&["seventh"], 6).missed(), ["seventh"]);
        assert_eq!(hunted(&["seventh"], 7).missed(), Vec::<&str>::new());
    }

    #[test]
    fn one_hunt_alone_has_all_cores_and_several_share_them() {
        let hunts = |names: [&str; 2]| names.map(|name| Hunt::new(name.to_owned(), 2)).into();
        let mut hunts = Hunts { hunts: hunts(["one", "other"]), bar: ProgressBar::hidden() };
        let given_out: Vec<_> = std::iter::from_fn(|| hunts.next().map(|(index, run)| (index, run.seed))).collect();
        assert_eq!(given_out, [(0, 1), (1, 1), (0, 2), (1, 2)]);
    }

    #[test]
    fn a_hunt_fails_if_a_bug_is_missed_or_unknown_or_there_is_none() {
        let cases = [
            (BUGS, Some("seventh"), Ok(())),
            (BUGS, Some("elusive"), Err("the simulation is too weak: it does not find elusive")),
            (BUGS, None, Err("the simulation is too weak: it does not find elusive")),
            (BUGS, Some("unheard-of"), Err("no bug unheard-of is planted; there are canary, at-once, seventh")),
            (
                "[ $list ] && { echo any; exit 0; }; violated 'admission: 3 too many'",
                None,
                Err("seed 1 fails without a planted bug, too"),
            ),
            ("[ $list ] && exit 0", None, Err("no bugs are planted")),
            ("exit 2", None, Err("the planted bugs are unknown")),
        ];
        for (script, name, expected) in cases {
            let ended = hunt(&Fake::new(script).program, name, 10).map_err(|error| error.to_string());
            match (&ended, expected) {
                (Ok(()), Ok(())) => {}
                (Err(error), Err(start)) if error.starts_with(start) => {}
                _ => panic!("{ended:?} of {name:?}"),
            }
        }
    }
}
