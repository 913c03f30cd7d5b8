//! `cargo xtask bench http`: what an answer costs, beside what HTTP itself costs.

mod cluster;
mod load;
mod process;

use std::process::Command;
use std::time::Duration;

use anyhow::Result;
use clap::Args;

use crate::command::{cargo, run};
use crate::prepare::target;
pub(crate) use cluster::{ClusterArgs, cluster};
use load::{Load, Measured, Target, bodies_of};
pub(crate) use process::Server;

/// Options of `cargo xtask bench http`.
#[derive(Args)]
pub(crate) struct HttpArgs {
    /// Connections at once, each with one request under way.
    #[arg(long, default_value_t = 32)]
    connections: usize,
    /// Seconds that each measurement lasts.
    #[arg(long, default_value_t = 5)]
    seconds: u64,
    /// Rounds: every server is measured once in each, and the median of all is shown.
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Users that the requests are of.
    #[arg(long, default_value_t = 10_000)]
    users: u64,
}

/// Measures a node and a bare handler in turns.
pub(crate) fn http(args: &HttpArgs) -> Result<()> {
    run(cargo(["build", "--release", "--locked", "-p", "tollgate", "-p", "xtask"]))?;
    let duration = Duration::from_secs(args.seconds);
    let load = Load { connections: args.connections, duration };
    let (mut bare, mut node) = (Vec::new(), Vec::new());
    for round in 1..=args.rounds {
        println!("round {round} of {}", args.rounds);
        bare.push(measure(&bare_axum_server()?, &load, args.users)?);
        node.push(measure(&node_server()?, &load, args.users)?);
    }
    print_table(&[("bare axum", &median(bare)), ("tollgate", &median(node))]);
    Ok(())
}

fn measure(server: &Server, load: &Load, users: u64) -> Result<Measured> {
    let targets = [Target { address: server.address(), body: bodies_of("users", (0..users).collect()) }];
    // Once to warm up, so that neither server is measured while its tables and connections are new.
    let warm_up = Load { duration: load.duration / 5, ..*load };
    warm_up.run(&targets, &[server])?;
    load.run(&targets, &[server])
}

fn node_server() -> Result<Server> {
    let data = tempfile::tempdir_in(target())?;
    let mut command = Command::new(target().join("release/tollgate"));
    command.args(["serve", "--http", "127.0.0.1:0", "--data"]).arg(data.path());
    Server::start(command, Some(data))
}

fn bare_axum_server() -> Result<Server> {
    let mut command = Command::new(target().join("release/xtask"));
    command.args(["bench", "bare-axum"]);
    Server::start(command, None)
}

/// Serves a handler that parses the same request and writes an answer of the same size, and decides nothing.
pub(crate) fn bare_axum() -> Result<()> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(load::serve_bare_axum())
}

fn median(mut all: Vec<Measured>) -> Measured {
    all.sort_by(|left, right| left.requests_per_second().total_cmp(&right.requests_per_second()));
    all.swap_remove(all.len() / 2)
}

fn print_table(rows: &[(&str, &Measured)]) {
    println!("\n{:<12}{:>12}{:>10}{:>10}{:>16}{:>10}", "", "requests/s", "p50 µs", "p99 µs", "CPU µs/request", "ratio");
    let base = rows.first().map_or(f64::NAN, |(_, measured)| measured.cpu_micros_per_request());
    for (name, measured) in rows {
        println!(
            "{name:<12}{:>12.0}{:>10}{:>10}{:>16.1}{:>10.2}",
            measured.requests_per_second(),
            measured.micros(0.5),
            measured.micros(0.99),
            measured.cpu_micros_per_request(),
            measured.cpu_micros_per_request() / base,
        );
    }
}
