//! `cargo xtask`: everything that is done to this project, so that a person and CI do the same.
#![expect(clippy::print_stdout, reason = "a command for people prints")]

mod bench;
mod command;
mod http;
mod memory;
mod prepare;
mod sim;

use anyhow::Result;
use clap::{Parser, Subcommand};

use command::{cargo, run, run_for_table};

/// Packages that are built apart: for one, mistakes are planted in what it is built of, and both have much to compute.
const SIMULATIONS: [&str; 2] = ["tollgate-simulations", "tollgate-model"];

/// The test that measures faults.
const CHAOS: &str = "chaos::faults_cost_what_this_table_says";

/// The test that measures decisions while all receivers of alerts hang.
const HANGING: &str = "hanging::latencies_are_these_while_all_receivers_hang";

#[derive(Parser)]
#[command(about = "Verify, fix, test and measure Tollgate")]
struct Cli {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Check everything and write nothing: format, lints, arrows, licences, docs, tests.
    Verify,
    /// Format, and apply what the linter suggests.
    Fix,
    /// Check licences, sources and banned crates, without a network.
    Deny,
    /// Install what a fresh Debian or Ubuntu machine lacks, then run every test.
    Test,
    /// Measure what each fault costs a cluster: units beyond a limit, tokens lost, how long clients wait. Takes three minutes.
    Chaos,
    /// Run whole clusters in simulation, and shrink what fails to the faults that matter.
    Sim(sim::SimArgs),
    /// Measure.
    #[command(subcommand)]
    Bench(Bench),
}

#[derive(Subcommand)]
enum Bench {
    /// Requests a second, latency and server CPU of a node, beside a bare axum handler in the same run.
    Http(bench::HttpArgs),
    /// The same of three nodes, beside one alone in the same run: at the leader, elsewhere, warm, cold and hot.
    Cluster(bench::ClusterArgs),
    /// Bytes a bucket, at a million buckets.
    Memory(memory::MemoryArgs),
    /// How long decisions take while no receiver of alerts answers, beside a node whose receivers all do in the same run.
    Alerts,
    /// The bare axum handler that `http` compares with. Prints its address.
    #[command(hide = true)]
    BareAxum,
}

fn main() -> Result<()> {
    match Cli::parse().task {
        Task::Verify => verify(),
        Task::Fix => fix(),
        Task::Deny => deny(),
        Task::Test => test(),
        Task::Chaos => table("cluster", CHAOS),
        Task::Sim(args) => sim::sim(&args),
        Task::Bench(Bench::Http(args)) => bench::http(&args),
        Task::Bench(Bench::Cluster(args)) => bench::cluster(&args),
        Task::Bench(Bench::Memory(args)) => memory::memory(&args),
        Task::Bench(Bench::Alerts) => table("alerts", HANGING),
        Task::Bench(Bench::BareAxum) => bench::bare_axum(),
    }
}

/// What CI checks before the tests, and the tests. Writes nothing into the work tree.
fn verify() -> Result<()> {
    run(cargo(["fmt", "--all", "--check"]))?;
    run(cargo(["clippy", "--workspace", "--all-targets", "--locked", "--", "-D", "warnings"]))?;
    deny()?;
    run(cargo(["doc", "--workspace", "--no-deps", "--locked"]).env("RUSTDOCFLAGS", "-D warnings"))?;
    test()
}

fn deny() -> Result<()> {
    run(prepare::cargo_deny()?.args(["--offline", "check", "licenses", "bans", "sources"]))
}

fn fix() -> Result<()> {
    run(cargo(["clippy", "--workspace", "--all-targets", "--fix", "--allow-dirty", "--allow-staged"]))?;
    run(cargo(["fmt", "--all"]))
}

/// The tests that start the real binary need it built; the dependency arrows are a test like any other.
fn test() -> Result<()> {
    prepare::machine()?;
    prepare::mail_server()?;
    run(cargo(["build", "--locked", "-p", "tollgate"]))?;
    let apart = SIMULATIONS.iter().flat_map(|package| ["--exclude", package]);
    run(cargo(["test", "--workspace", "--locked"]).args(apart))?;
    let simulations = SIMULATIONS.iter().flat_map(|package| ["--package", package]);
    run(cargo(["test", "--profile", "simulation", "--locked"]).args(simulations))
}

/// A test that is not among the others, because it measures and needs a release build; prints its table.
fn table(binary: &str, test: &str) -> Result<()> {
    prepare::machine()?;
    let of_binary = ["test", "--release", "--locked", "-p", "tollgate", "--test", binary];
    run_for_table(cargo(of_binary).args(["--", "--exact", test, "--ignored", "--nocapture"]))
}
