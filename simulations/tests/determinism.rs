//! The same seed gives the same run, byte for byte. Everything else that the simulation says rests on this, so it is asked first.

use std::process::{Command, Output};

/// Seeds that between them draw every kind of fault.
const SEEDS: [u64; 12] = [1, 2, 3, 5, 8, 13, 26, 36, 59, 73, 143, 212];

/// A run with its whole trace, every frame between nodes among it.
fn run(seed: u64, extra: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_simulate"));
    command.args(["--trace", "frames", "--seed", &seed.to_string()]).args(extra);
    command.output().expect("the simulation can be started")
}

#[test]
fn two_processes_of_one_seed_print_the_same_trace() {
    for seed in SEEDS {
        let (one, other) = (run(seed, &[]), run(seed, &[]));
        assert!(one.stdout.len() > 100_000, "seed {seed} has a trace of {} bytes", one.stdout.len());
        assert!(one.stdout == other.stdout, "two runs of seed {seed} differ");
        assert_eq!(one.status, other.status, "seed {seed}");
    }
}

#[test]
fn a_log_changes_nothing() {
    let seed = SEEDS[0];
    let (silent, logged) = (run(seed, &[]), run(seed, &["--log", "tollgate=debug"]));
    assert!(silent.stdout == logged.stdout, "seed {seed} with a log is another run");
    assert!(!logged.stderr.is_empty(), "there is a log");
}

#[test]
fn other_seeds_are_other_runs() {
    let one = run(SEEDS[0], &[]);
    let other = run(SEEDS[1], &[]);
    assert!(one.stdout != other.stdout, "seeds {} and {} are one run", SEEDS[0], SEEDS[1]);
}
