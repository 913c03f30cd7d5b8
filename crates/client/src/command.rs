//! The command line: `tollgate acquire`, `limits` and the others that speak to a node.
//!
//! The binary flattens [`Command`] and [`Connection`] into its own parser and hands them to
//! [`run`]. A command is carried out in three steps that can each be tested alone: arguments become
//! a call, the call gets a reply, the reply becomes text and a verdict. Standard output carries
//! answers only; whatever went wrong is one line on standard error.

mod arguments;
mod failure;
mod limit_file;
mod outcome;
mod rendering;
mod table;

use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;
use std::time::Duration;

use clap::Subcommand;
use tollgate_api::{AddNodeRequest, SettleRequest, TestAlertRequest};

pub use arguments::{
    AcquireArguments, AlertsArguments, AlertsCommand, BucketArguments, BucketsCommand, ClusterArguments,
    ClusterCommand, Connection, Label, LimitsArguments, LimitsCommand, PeekArguments, SettleArguments,
    SilenceArguments, StatsArguments, Subject,
};
pub use failure::Failure;
pub use outcome::{Outcome, Verdict};

use crate::call::Call;
use crate::reply::Reply;
use crate::{Client, Options};

/// The commands that speak to a node.
#[derive(Clone, Debug, PartialEq, Eq, Subcommand)]
pub enum Command {
    /// Ask whether a request may pass, and take its cost
    #[command(after_help = arguments::ACQUIRE_EXAMPLES)]
    Acquire(AcquireArguments),
    /// Look at what a request would be told, without taking anything
    #[command(after_help = arguments::PEEK_EXAMPLES)]
    Peek(PeekArguments),
    /// Take a cost that `settle` corrects later, or a permit that it gives back
    #[command(after_help = arguments::RESERVE_EXAMPLES)]
    Reserve(AcquireArguments),
    /// Tell what was really spent of a reservation
    #[command(after_help = arguments::SETTLE_EXAMPLES)]
    Settle(SettleArguments),
    /// List, show, set or remove limits
    #[command(after_help = arguments::LIMITS_EXAMPLES)]
    Limits(LimitsArguments),
    /// Show or reset one bucket of a limit
    #[command(subcommand, after_help = arguments::BUCKETS_EXAMPLES)]
    Buckets(BucketsCommand),
    /// Show the nodes and shards of the cluster, or change the nodes
    #[command(after_help = arguments::CLUSTER_EXAMPLES)]
    Cluster(ClusterArguments),
    /// Show the alerts of the cluster, silence some, or test who is told
    #[command(after_help = arguments::ALERTS_EXAMPLES)]
    Alerts(AlertsArguments),
    /// Show what the node measured lately
    #[command(after_help = arguments::STATS_EXAMPLES)]
    Stats(StatsArguments),
    /// Show how the node and its parts are
    #[command(after_help = arguments::HEALTH_EXAMPLES)]
    Health,
}

/// Carries out `command` for a person or a script: prints, and returns the exit code.
///
/// The code is 0 for yes (allowed, done, healthy), 1 for no (denied, not able to serve) and 2 for
/// an error.
pub async fn run(command: Command, connection: &Connection) -> ExitCode {
    let outcome = execute(&command, connection, io::stdout().is_terminal()).await;
    // A reader that has closed the pipe, such as `head`, has what it wants; the verdict still
    // stands.
    let _ = io::stdout().write_all(outcome.text.as_bytes());
    match outcome.verdict {
        Ok(Verdict::Yes) => ExitCode::SUCCESS,
        Ok(Verdict::No) => ExitCode::from(1),
        Err(failure) => {
            let _ = writeln!(io::stderr(), "tollgate: {}", one_line(&failure));
            ExitCode::from(2)
        }
    }
}

/// How long a command may take: a change waits up to 15 s for a node that is silent, and then the answer says so.
const DEADLINE: Duration = Duration::from_secs(20);

/// Carries out `command` and returns what is to be printed; `is_terminal` adds rules to tables.
pub async fn execute(command: &Command, connection: &Connection, is_terminal: bool) -> Outcome {
    let reply = match send(command, connection).await {
        Ok(reply) => reply,
        Err(failure) => return Outcome::failed(failure),
    };
    let outcome = rendering::render(command, &reply, is_terminal);
    if connection.json { outcome.with_raw(&reply.body) } else { outcome }
}

async fn send(command: &Command, connection: &Connection) -> Result<Reply, Failure> {
    let client = Client::with_options(&connection.url, Options { deadline: DEADLINE, ..Options::default() })?;
    let call = command.to_call()?;
    Ok(client.send(&call).await?)
}

impl Command {
    /// The call that carries it out. Only `limits put` reads a file for it.
    fn to_call(&self) -> Result<Call, Failure> {
        Ok(match self {
            Self::Acquire(arguments) => Call::acquire(&arguments.to_request()?),
            Self::Peek(arguments) => Call::acquire(&arguments.to_request()?),
            Self::Reserve(arguments) => Call::reserve(&arguments.to_request()?),
            Self::Settle(arguments) => Call::settle(&SettleRequest::from(arguments)),
            Self::Limits(arguments) => arguments.to_call()?,
            Self::Buckets(BucketsCommand::Get(bucket)) => Call::bucket(&bucket.to_query()?),
            Self::Buckets(BucketsCommand::Reset(bucket)) => Call::reset_bucket(&bucket.to_query()?),
            Self::Cluster(arguments) => arguments.to_call(),
            Self::Alerts(arguments) => arguments.to_call()?,
            Self::Stats(arguments) => Call::stats(arguments.endpoint.as_deref()),
            Self::Health => Call::health(),
        })
    }
}

impl LimitsArguments {
    fn to_call(&self) -> Result<Call, Failure> {
        Ok(match self.command() {
            LimitsCommand::List => Call::limits(),
            LimitsCommand::Get { name } => Call::limit(name),
            LimitsCommand::Put { file } => Call::put_limit(&limit_file::read(file)?),
            LimitsCommand::Delete { name } => Call::delete_limit(name),
        })
    }
}

impl AlertsArguments {
    fn to_call(&self) -> Result<Call, Failure> {
        Ok(match self.command() {
            AlertsCommand::List => Call::alerts(),
            AlertsCommand::Test { receiver } => Call::test_alert(&TestAlertRequest { receiver: receiver.clone() }),
            AlertsCommand::Silence(silence) => Call::add_silence(&silence.to_request()),
            AlertsCommand::Silences => Call::silences(),
            AlertsCommand::Unsilence { id } => Call::end_silence(*id),
            AlertsCommand::Explain { rule, labels } => Call::explain_alert(rule, &arguments::labels(labels)?),
        })
    }
}

impl ClusterArguments {
    fn to_call(&self) -> Call {
        match self.command() {
            ClusterCommand::Show => Call::cluster(),
            ClusterCommand::Add { id, peer } => Call::add_node(&AddNodeRequest { id: *id, peer: peer.clone() }),
            ClusterCommand::Remove { id } => Call::remove_node(*id),
            ClusterCommand::Drain { id } => Call::drain_node(*id),
            ClusterCommand::Undrain { id } => Call::undrain_node(*id),
        }
    }
}

fn one_line(failure: &Failure) -> String {
    failure.to_string().split_whitespace().collect::<Vec<_>>().join(" ")
}
