//! The simulation, a program of its own: statics that outlive a run would tell one seed of another.
#![expect(clippy::disallowed_types, clippy::disallowed_methods, reason = "a task waits for processes, in real time")]

use std::ffi::OsString;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::ended::Ended;
use super::run::Run;
use crate::command::cargo;

/// How long a run may take. The longest take a few seconds, so that this one hangs or no longer advances.
const LIMIT: Duration = Duration::from_secs(120);

/// How often it is looked whether a run has ended: a run takes a hundred times as long.
const LOOKED_EVERY: Duration = Duration::from_millis(5);

/// As much of standard error is kept: the panic and what led to it.
const STDERR_BYTES: u64 = 8 << 10;

/// The simulation, built.
pub(super) struct Program {
    /// What starts it: the program, and words that come before ours.
    pub(super) start: Vec<OsString>,
    /// After so long a run is killed.
    pub(super) limit: Duration,
}

/// A fault of a run's plan.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct PlannedFault {
    /// By which it can be left out.
    pub(super) number: usize,
    /// What it is, after its number.
    pub(super) line: String,
}

impl Program {
    /// Builds it. What cargo has to say goes to standard error.
    pub(super) fn build() -> Result<Self> {
        let build = ["build", "--locked", "--profile", "simulation", "-p", "tollgate-simulations"];
        let mut command = cargo(build);
        command.arg("--message-format=json-render-diagnostics").stderr(Stdio::inherit());
        let output = command.output().context("cargo cannot be started")?;
        ensure!(output.status.success(), "the simulation cannot be built: {}", output.status);
        let path = executable(&String::from_utf8_lossy(&output.stdout)).context("cargo built no program `simulate`")?;
        Ok(Self { start: vec![path.into()], limit: LIMIT })
    }

    /// It, with these words.
    pub(super) fn command(&self, words: &[String]) -> Command {
        let mut command = Command::new(&self.start[0]);
        command.args(&self.start[1..]).args(words);
        command
    }

    /// Runs a run to its end.
    pub(super) fn run(&self, run: &Run) -> Result<Ended> {
        // Files rather than pipes: nobody need read them while it runs, and they outlive one who is killed.
        let (mut stdout, mut stderr) = (tempfile::tempfile()?, tempfile::tempfile()?);
        let mut command = self.command(&run.words());
        command.stdin(Stdio::null()).stdout(stdout.try_clone()?).stderr(stderr.try_clone()?);
        let mut child = command.spawn().context("the simulation cannot be started")?;
        let status = wait(&mut child, self.limit)?;
        let stderr = text_after(&mut stderr, |length| length.saturating_sub(STDERR_BYTES))?;
        Ok(match status {
            Some(status) => Ended::judge(run.seed, status, &text_after(&mut stdout, |_| 0)?, &stderr),
            None => Ended::TimedOut { limit: self.limit, stderr },
        })
    }

    /// The faults that a run has.
    pub(super) fn planned(&self, run: &Run) -> Result<Vec<PlannedFault>> {
        let mut words = run.words();
        words.push("--plan".to_owned());
        let plan = self.answer(&words).with_context(|| format!("the faults of seed {} are unknown", run.seed))?;
        Ok(plan.lines().filter_map(planned_fault).collect())
    }

    /// The names of the planted bugs.
    pub(super) fn planted(&self) -> Result<Vec<String>> {
        let names = self.answer(&["--list-planted".to_owned()]).context("the planted bugs are unknown")?;
        Ok(names.lines().map(str::to_owned).collect())
    }

    /// What it prints when it has nothing to run.
    fn answer(&self, words: &[String]) -> Result<String> {
        let output =
            self.command(words).stderr(Stdio::inherit()).output().context("the simulation cannot be started")?;
        ensure!(output.status.success(), "the simulation failed: {}", output.status);
        Ok(String::from_utf8(output.stdout)?)
    }
}

/// Where cargo says that it put the program.
fn executable(messages: &str) -> Option<PathBuf> {
    let mut messages = messages.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    messages.find_map(|message| {
        let path = message["executable"].as_str()?;
        (message["target"]["name"] == "simulate").then(|| path.into())
    })
}

/// A line of a plan. Other lines tell of the scenario.
fn planned_fault(line: &str) -> Option<PlannedFault> {
    let (number, what) = line.split_once(": ")?;
    Some(PlannedFault { number: number.parse().ok()?, line: what.to_owned() })
}

/// Waits until it ends, and says how; `None` if it had to be killed.
fn wait(child: &mut Child, limit: Duration) -> Result<Option<ExitStatus>> {
    let started = Instant::now();
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        if started.elapsed() >= limit {
            child.kill()?;
            child.wait()?;
            return Ok(None);
        }
        std::thread::sleep(LOOKED_EVERY);
    }
}

/// What a file holds from a place on that depends on its length.
fn text_after(file: &mut File, start: impl Fn(u64) -> u64) -> Result<String> {
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(start(length)))?;
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim::fake::Fake;

    /// A fake whose run lasts until it is killed, and was.
    fn timed_out(limit: Duration) -> Ended {
        Fake::new("echo 'stuck in term 7' >&2; exec sleep 60")
            .limited_to(limit)
            .program
            .run(&Run::of(1))
            .expect("it starts")
    }

    #[test]
    fn a_run_that_takes_too_long_is_killed_and_has_failed() {
        let limit = Duration::from_secs(1);
        let started = Instant::now();
        assert_eq!(timed_out(limit), Ended::TimedOut { limit, stderr: "stuck in term 7\n".to_owned() });
        assert!(timed_out(limit).has_failed());
        assert!(started.elapsed() < Duration::from_secs(20), "it was waited for");
    }

    #[test]
    fn a_run_ends_as_its_exit_status_and_last_line_say() {
        let fake = Fake::new(
            "case $seed in 1) clean;; 2) violated 'admission: 3 too many';; 3) echo lost >&2; exit 101;; esac",
        );
        let ended: Vec<Ended> = (1..=3).map(|seed| fake.program.run(&Run::of(seed)).expect("it starts")).collect();
        assert!(matches!(&ended[0], Ended::Clean(summary) if summary.requests == 10), "{:?}", ended[0]);
        assert!(matches!(&ended[1], Ended::Violated(summary) if summary.violations == ["admission: 3 too many"]));
        assert!(matches!(&ended[2], Ended::Crashed { stderr, .. } if stderr == "lost\n"), "{:?}", ended[2]);
    }

    #[test]
    fn of_much_standard_error_the_end_is_kept() {
        let fake = Fake::new("seq 1 100000 >&2; exit 101");
        let ended = fake.program.run(&Run::of(1)).expect("it starts");
        assert!(
            matches!(&ended, Ended::Crashed { stderr, .. } if stderr.len() == 8 << 10 && stderr.ends_with("\n100000\n"))
        );
    }

    #[test]
    fn a_program_that_is_not_there_is_an_error_and_no_failing_seed() {
        let program = Program { start: vec!["/nowhere/simulate".into()], limit: LIMIT };
        let error = program.run(&Run::of(1)).expect_err("it is not there");
        assert_eq!(error.to_string(), "the simulation cannot be started");
    }

    #[test]
    fn the_plan_lists_faults_below_the_scenario() {
        let plan =
            "Scenario {\n    nodes: 3,\n}\n0: at 1.927 for 2500 ms: Kill(Node(1))\n12: at 2.001 for 10 ms: Roll\n";
        let planned: Vec<_> = plan.lines().filter_map(planned_fault).collect();
        let fault = |number, line: &str| PlannedFault { number, line: line.to_owned() };
        assert_eq!(planned, [fault(0, "at 1.927 for 2500 ms: Kill(Node(1))"), fault(12, "at 2.001 for 10 ms: Roll")]);
    }

    #[test]
    fn the_program_is_where_cargo_says() {
        let library = r#"{"reason":"compiler-artifact","target":{"name":"simulate"},"executable":null}"#;
        let other =
            r#"{"reason":"compiler-artifact","target":{"name":"model"},"executable":"/target/simulation/model"}"#;
        let ours =
            r#"{"reason":"compiler-artifact","target":{"name":"simulate"},"executable":"/target/simulation/simulate"}"#;
        let finished = r#"{"reason":"build-finished","success":true}"#;
        let cases = [
            (vec![library, other, ours, finished], Some("/target/simulation/simulate")),
            (vec![library, other, finished], None),
        ];
        for (messages, expected) in cases {
            assert_eq!(executable(&messages.join("\n")), expected.map(PathBuf::from));
        }
    }
}
