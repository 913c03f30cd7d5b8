//! Runs many seeds, and says which failed and why.
#![expect(clippy::disallowed_types, reason = "a task takes real time, and has so much of it")]

use std::collections::BTreeMap;
use std::ops::Range;
use std::slice;
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context, Result, ensure};
use indicatif::ProgressBar;

use super::canary;
use super::ended::Ended;
use super::pool::{self, Queue};
use super::program::Program;
use super::progress;
use super::run::Run;
use super::shrink::{EFFORT, Effort, Failing, Shrunk, shrink};
use super::table::{self, Column};
use super::totals::Totals;

/// So many failing seeds are shrunk: most often they have one cause, and each may take minutes.
const SHRUNK: usize = 3;

/// Runs these seeds.
pub(super) fn sweep(program: &Program, seeds: Range<u64>) -> Result<()> {
    let bar = progress::bar(Some(seeds.end - seeds.start), "seeds");
    conclude(program, &Swept::run(program, seeds.start, Until::Seed(seeds.end), bar)?)
}

/// Runs new seeds for so long, and tells of those that fail as soon as they do.
pub(super) fn soak(program: &Program, duration: Duration) -> Result<()> {
    let until = Instant::now().checked_add(duration).context("no clock counts so many hours")?;
    // In milliseconds, more of which pass than seeds can be run: so a later soak repeats none of these.
    let first = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?.as_millis() as u64;
    eprintln!("the first seed is {first}");
    conclude(program, &Swept::run(program, first, Until::Moment(until), progress::bar(None, "seeds"))?)
}

/// Prints what came of it.
///
/// # Errors
/// A seed failed, or the canary was not reported.
fn conclude(program: &Program, swept: &Swept) -> Result<()> {
    let canary = canary::check(program);
    print!("{}", swept.table(canary.is_ok()));
    for report in reports(program, &swept.failing, EFFORT)? {
        print!("\n{report}");
    }
    canary?;
    let (failures, runs) = (swept.totals.failures(), swept.totals.runs());
    ensure!(failures == 0, "{failures} of {runs} seeds failed");
    Ok(())
}

/// When no further seed is run.
#[derive(Clone, Copy)]
enum Until {
    /// Before this seed.
    Seed(u64),
    /// From this moment on.
    Moment(Instant),
}

/// Seeds that were run.
struct Swept {
    first: u64,
    totals: Totals,
    /// In their order.
    failing: Vec<Failing>,
    wall: Duration,
}

impl Swept {
    fn run(program: &Program, first: u64, until: Until, bar: ProgressBar) -> Result<Self> {
        let mut seeds = Seeds { next: first, until, bar, totals: Totals::default(), failing: BTreeMap::new() };
        let started = Instant::now();
        pool::work_off(&mut seeds, |seed| program.run(&Run::of(*seed)))?;
        seeds.bar.finish_and_clear();
        let failing = seeds.failing.into_iter().map(|(seed, ended)| Failing { seed, ended }).collect();
        Ok(Self { first, totals: seeds.totals, failing, wall: started.elapsed() })
    }

    fn table(&self, is_canary_reported: bool) -> String {
        let canary = if is_canary_reported { "reported" } else { "missed" };
        let mut rows = self.totals.rows(self.wall, pool::cores());
        rows.push(["canary".to_owned(), canary.to_owned()]);
        table::render([Column::Name(&format!("from seed {}", self.first)), Column::Number("sum")], rows)
    }
}

/// Seeds, each run once as it is.
struct Seeds {
    next: u64,
    until: Until,
    bar: ProgressBar,
    totals: Totals,
    failing: BTreeMap<u64, Ended>,
}

impl Queue for Seeds {
    type Job = u64;
    type Done = Ended;

    fn next(&mut self) -> Option<u64> {
        let is_over = match self.until {
            Until::Seed(end) => self.next == end,
            Until::Moment(moment) => Instant::now() >= moment,
        };
        (!is_over).then(|| {
            self.next += 1;
            self.next - 1
        })
    }

    fn done(&mut self, seed: u64, ended: Ended) {
        self.totals.add(&ended);
        self.bar.set_message(format!("{} failed", self.totals.failures()));
        self.bar.inc(1);
        if !ended.has_failed() {
            return;
        }
        let failing = Failing { seed, ended };
        if matches!(self.until, Until::Moment(_)) {
            self.bar.suspend(|| println!("{failing}reproduce it: {}\n", Run::of(seed)));
        }
        self.failing.insert(seed, failing.ended);
    }
}

/// What is said of failing seeds: of the first few what matters, of the others in which way they fail.
fn reports(program: &Program, failing: &[Failing], effort: Effort) -> Result<Vec<String>> {
    let (first, others) = failing.split_at(failing.len().min(SHRUNK));
    let mut shrinking = Shrinking { waiting: first.iter(), shrunk: BTreeMap::new() };
    pool::work_off(&mut shrinking, |failing| shrink(program, failing, effort))?;
    let shrunk = first.iter().zip(shrinking.shrunk.into_values());
    let shrunk = shrunk.map(|(failing, shrunk)| format!("{failing}{shrunk}"));
    Ok(shrunk.chain(others.iter().map(in_one_line)).collect())
}

fn in_one_line(failing: &Failing) -> String {
    let ways: Vec<&str> = failing.ended.failures().into_iter().collect();
    format!("seed {} fails: {}\n", failing.seed, ways.join(", "))
}

/// Failing seeds, each shrunk once.
struct Shrinking<'a> {
    waiting: slice::Iter<'a, Failing>,
    shrunk: BTreeMap<u64, Shrunk>,
}

impl<'a> Queue for Shrinking<'a> {
    type Job = &'a Failing;
    type Done = Shrunk;

    fn next(&mut self) -> Option<&'a Failing> {
        self.waiting.next()
    }

    fn done(&mut self, failing: &'a Failing, shrunk: Shrunk) {
        self.shrunk.insert(failing.seed, shrunk);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim::fake::Fake;

    /// Fails at seed 3 as long as faults 2 and 5 are there; breaks another promise with 2 alone.
    const TWO_MATTER: &str = "
        [ $plan ] && plan 8
        [ $seed = 3 ] && has 2 5 && violated 'admission: 3 too many'
        [ $seed = 3 ] && has 2 && violated 'liveness: no leader'
        clean";

    /// The canary as it should be, and faults in each run.
    const SOUND: &str = "[ $plan ] && plan 8; [ $planted$seed = canary100 ] && violated 'canary: it sings'";

    fn swept(fake: &Fake, first: u64, until: Until) -> Swept {
        Swept::run(&fake.program, first, until, ProgressBar::hidden()).expect("all can be run")
    }

    /// What is said of seeds 1 to 5.
    fn check(script: &str, effort: Effort, expected: &[&str]) {
        let fake = Fake::new(script).limited_to(Duration::from_secs(2));
        let failing = swept(&fake, 1, Until::Seed(6)).failing;
        assert_eq!(reports(&fake.program, &failing, effort).expect("the faults are known"), expected);
    }

    #[test]
    fn a_failing_seed_is_shrunk_to_the_faults_that_matter() {
        check(
            TWO_MATTER,
            EFFORT,
            &["seed 3 fails:
  admission: 3 too many
faults that matter: 2 of 8, after 18 runs
  2: at 2.000 for 10 ms: Kill(Node(1))
  5: at 5.000 for 10 ms: Kill(Node(1))
reproduce it: cargo xtask sim --seed 3 --without 0,1,3,4,6,7
"],
        );
    }

    #[test]
    fn what_fails_without_faults_is_shrunk_to_none() {
        check(
            "[ $plan ] && plan 2; [ $seed = 4 ] && { echo lost >&2; exit 101; }; clean",
            EFFORT,
            &["seed 4 fails:
  a crash: exit status: 101, it printed no summary
  lost
faults that matter: 0 of 2, after 2 runs
reproduce it: cargo xtask sim --seed 4 --without 0,1
"],
        );
    }

    #[test]
    fn a_time_out_is_shrunk_like_any_failure() {
        check(
            "[ $plan ] && plan 2; [ $seed = 1 ] && has 1 && exec sleep 60; clean",
            EFFORT,
            &["seed 1 fails:
  a time-out: no end within 2s
faults that matter: 1 of 2, after 4 runs
  1: at 1.000 for 10 ms: Kill(Node(1))
reproduce it: cargo xtask sim --seed 1 --without 0
"],
        );
    }

    #[test]
    fn shrinking_ends_with_the_smallest_found_when_its_effort_is_spent() {
        check(
            "[ $plan ] && plan 8; [ $seed = 3 ] && has 5 && violated 'admission: 3 too many'; clean",
            Effort { runs: 4, ..EFFORT },
            &["seed 3 fails:
  admission: 3 too many
faults that may matter: 4 of 8, when 4 runs had spent the effort
  4: at 4.000 for 10 ms: Kill(Node(1))
  5: at 5.000 for 10 ms: Kill(Node(1))
  6: at 6.000 for 10 ms: Kill(Node(1))
  7: at 7.000 for 10 ms: Kill(Node(1))
reproduce it: cargo xtask sim --seed 3 --without 0,1,2,3
"],
        );
    }

    #[test]
    fn a_seed_that_fails_but_once_is_told_from_others() {
        check(
            "[ $plan ] && plan 1; [ $seed = 3 ] && [ ! -e $0.ran ] && touch $0.ran && violated 'a: b'; clean",
            EFFORT,
            &["seed 3 fails:
  a: b
faults, with which it did not fail again: 1
  0: at 0.000 for 10 ms: Kill(Node(1))
reproduce it: cargo xtask sim --seed 3
"],
        );
    }

    #[test]
    fn of_many_failing_seeds_the_first_are_shrunk_and_the_others_listed() {
        let fake = Fake::new("[ $plan ] && plan 0; violated 'admission: 3 too many'");
        let failing = swept(&fake, 1, Until::Seed(6)).failing;
        let reports = reports(&fake.program, &failing, EFFORT).expect("the faults are known");
        let commands = reports.iter().filter_map(|report| report.lines().find(|line| line.starts_with("reproduce")));
        let expected = [1, 2, 3].map(|seed| format!("reproduce it: cargo xtask sim --seed {seed}"));
        assert_eq!(commands.collect::<Vec<_>>(), expected);
        assert_eq!(reports[3..], ["seed 4 fails: admission\n", "seed 5 fails: admission\n"]);
    }

    #[test]
    fn a_sweep_fails_if_a_seed_does_or_the_canary_is_missed() {
        let cases = [
            (format!("{SOUND}; clean"), Ok(())),
            (format!("{SOUND}; [ $seed = 3 ] && violated 'a: b'; clean"), Err("1 of 5 seeds failed")),
            (format!("{SOUND}; [ $seed = 3 ] && exit 101; clean"), Err("1 of 5 seeds failed")),
            ("clean".to_owned(), Err("the pipeline is broken")),
        ];
        for (script, expected) in cases {
            let ended = sweep(&Fake::new(&script).program, 1..6).map_err(|error| error.to_string());
            match (&ended, expected) {
                (Ok(()), Ok(())) => {}
                (Err(error), Err(start)) if error.starts_with(start) => {}
                _ => panic!("{ended:?} of {script}"),
            }
        }
    }

    #[test]
    fn a_soak_goes_on_after_a_failure_until_its_time_is_over() {
        let fake = Fake::new("[ $seed = 71 ] && violated 'a: b'; clean");
        let until = Instant::now() + Duration::from_secs(1);
        let swept = swept(&fake, 70, Until::Moment(until));
        assert!(Instant::now() >= until, "it ended early");
        assert_eq!(swept.failing.iter().map(|failing| failing.seed).collect::<Vec<_>>(), [71]);
        assert!(swept.totals.runs() > 2, "it ran {} seeds only", swept.totals.runs());
    }

    #[test]
    fn the_table_tells_of_all_runs_and_of_the_canary() {
        let table = swept(&Fake::new("clean"), 7, Until::Seed(11)).table(false);
        let words = |line: &str| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>().join(" ");
        let lines: Vec<String> = table.lines().map(words).collect();
        let expected = [
            "from seed 7 sum",
            "seeds 4",
            "seeds that failed 0",
            "requests 40",
            "admitted 24",
            "failovers 8",
            "faults injected 12",
            "kill 4",
            "pause 8",
            "seconds simulated 120.0",
            "canary missed",
        ];
        for line in expected {
            assert!(lines.iter().any(|shown| shown == line), "{line} is not in\n{table}");
        }
    }
}
