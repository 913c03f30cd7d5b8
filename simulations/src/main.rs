//! One run of a whole cluster, from one seed. Prints the trace, if asked for, and then one line of JSON that says what became of it.

mod chaos;
mod clock;
mod disk;
mod fault;
mod history;
mod interposer;
mod kernel;
mod log;
mod machine;
mod network;
mod oracles;
mod random;
mod receivers;
mod run;
mod scenario;
mod swarm;
mod trace;
mod tripwires;
mod troubles;
mod workload;

use std::io::{self, Write};
use std::process::ExitCode;
use std::thread;

use clap::Parser;
use serde_json::json;
use tollgate_limiter::Planted;

use run::Plan;
use trace::{Detail, Trace};

/// The canary shows only on seeds that this divides: a sweep that does not report it is broken itself.
const CANARY_SEEDS: u64 = 100;

/// As much as the main thread has: whole nodes are started on it.
const STACK_BYTES: usize = 8 << 20;

/// Runs a cluster on a simulated network, disk and clock.
#[derive(Parser)]
struct Arguments {
    /// What everything is drawn from.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Faults that are left out, by their numbers.
    #[arg(long, value_delimiter = ',')]
    without: Vec<usize>,
    /// What of the trace is printed.
    #[arg(long, value_enum, default_value_t)]
    trace: Detail,
    /// A mistake that is planted, by its name.
    #[arg(long, value_parser = planted)]
    planted: Option<Planted>,
    /// Prints the names of the mistakes that can be planted, and runs nothing.
    #[arg(long)]
    list_planted: bool,
    /// What the nodes log goes to standard error, as far as this filter lets it.
    #[arg(long)]
    log: Option<String>,
    /// Prints the faults that the seed draws, and runs nothing.
    #[arg(long)]
    plan: bool,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    if let Some(filter) = &arguments.log
        && let Err(error) = log::start(filter)
    {
        eprintln!("--log {filter}: {error}");
        return ExitCode::FAILURE;
    }
    // In a thread of its own, whose hash maps know nothing of what was done before: so a log changes nothing.
    let simulation = thread::Builder::new().stack_size(STACK_BYTES).spawn(move || simulate(&arguments));
    match simulation.expect("a thread can be started").join() {
        Ok(code) => code,
        Err(_) => ExitCode::FAILURE,
    }
}

fn planted(name: &str) -> Result<Planted, String> {
    let named = Planted::ALL.iter().find(|(_, its_name)| *its_name == name);
    named.map(|(planted, _)| *planted).ok_or_else(|| format!("nothing of this name can be planted: {name}"))
}

/// Prints a line.
fn say(line: &str) {
    trace::or_end(&writeln!(io::stdout(), "{line}"));
}

fn simulate(arguments: &Arguments) -> ExitCode {
    if arguments.list_planted {
        Planted::ALL.iter().for_each(|(_, name)| say(name));
        return ExitCode::SUCCESS;
    }
    tripwires::watch_panics();
    let canary_sings = arguments.seed.is_multiple_of(CANARY_SEEDS);
    if let Some(planted) = arguments.planted.filter(|planted| *planted != Planted::Canary || canary_sings) {
        planted.plant();
    }
    interposer::swap_random(arguments.seed);
    let plan = Plan::new(arguments.seed, &arguments.without);
    if arguments.plan {
        say(&format!("{:#?}", plan.scenario));
        plan.faults.iter().for_each(|(number, fault)| say(&format!("{number}: {fault}")));
        return ExitCode::SUCCESS;
    }
    let trace = Trace::new(arguments.trace);
    let outcome = plan.run(&trace);
    trace.flush();
    let judged = outcome.judged.iter().map(ToString::to_string);
    let violations: Vec<String> = judged.chain(tripwires::tripped()).collect();
    let summary = json!({
        "seed": arguments.seed,
        "trace": trace.fingerprint(),
        "requests": outcome.requests,
        "admitted": outcome.admitted,
        "takeovers": outcome.takeovers,
        "simulated_ms": outcome.simulated_ms,
        "faults": outcome.faults,
        "planned": plan.faults.iter().map(|(number, _)| number).collect::<Vec<_>>(),
        "violations": violations,
    });
    say(&summary.to_string());
    if violations.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
