//! What can be said on the command line.

use std::collections::BTreeMap;
use std::str::FromStr;

use clap::{Args, Subcommand, value_parser};
use tollgate_api::{AcquireRequest, DEFAULT_PREFIX, LabelPatterns, Period, PeriodError, SettleRequest, SilenceRequest};

use super::Failure;
use crate::BucketQuery;

pub(super) const ACQUIRE_EXAMPLES: &str = "\
Examples:
  tollgate acquire search
  tollgate acquire users/list --label user=42 --label tier=pro --cost 5
  tollgate acquire reports --wait-ms 2000 && ./make-report

Exit code: 0 allowed, 1 denied, 2 error";

pub(super) const PEEK_EXAMPLES: &str = "\
Examples:
  tollgate peek search --label user=42
  tollgate peek search --label user=42 --json

Exit code: 0 would be allowed, 1 would be denied, 2 error";

pub(super) const RESERVE_EXAMPLES: &str = "\
Examples:
  tollgate reserve completions --label user=42 --cost 4000
  tollgate settle 3-9f2c --actual 1250

Exit code: 0 allowed, 1 denied, 2 error";

pub(super) const SETTLE_EXAMPLES: &str = "\
Examples:
  tollgate settle 3-9f2c --actual 1250
  tollgate settle 3-9f2c --actual 0

Exit code: 0 settled, 2 error";

pub(super) const LIMITS_EXAMPLES: &str = "\
Examples:
  tollgate limits
  tollgate limits get search > search.yaml
  tollgate limits put search.yaml
  echo '{name: search, by: [user], rate: 5, per: 1s}' | tollgate limits put -
  tollgate limits delete search";

pub(super) const BUCKETS_EXAMPLES: &str = "\
Examples:
  tollgate buckets get search --label user=42
  tollgate buckets reset search --label user=42 --prefix shop";

pub(super) const CLUSTER_EXAMPLES: &str = "\
Examples:
  tollgate cluster
  tollgate cluster --json
  tollgate cluster add 4 10.0.0.4:9101
  tollgate cluster drain 2 && systemctl --host node-2 restart tollgate && tollgate cluster undrain 2
  tollgate cluster remove 3

Exit code: 0 ready or done, 1 the node that was asked is not ready, 2 error";

pub(super) const ALERTS_EXAMPLES: &str = "\
Examples:
  tollgate alerts
  tollgate alerts test --receiver slack
  tollgate alerts silence rule=disk_full node=2 --for 2h --comment 'the new disk comes at noon'
  tollgate alerts silences
  tollgate alerts unsilence 17
  tollgate alerts explain limiter_failing --label node=2

Exit code: 0 nothing fires, or done; 1 something fires that is not silenced; 2 error";

pub(super) const STATS_EXAMPLES: &str = "\
Examples:
  tollgate stats
  tollgate stats search
  tollgate stats --json | jq '.windows.\"1m\".latency_ms.p99'

Exit code: 0 shown, 2 error";

pub(super) const HEALTH_EXAMPLES: &str = "\
Examples:
  tollgate health
  tollgate health --url http://10.0.0.7:8080 --json

Exit code: 0 serving, 1 not able to serve, 2 error";

/// Which node to ask, and how to print what it says.
#[derive(Args, Clone, Debug, PartialEq, Eq)]
pub struct Connection {
    /// Address of a node
    #[arg(long, global = true, env = "TOLLGATE_URL", value_name = "URL", default_value = "http://127.0.0.1:8080")]
    pub url: String,
    /// Print the node's answer as it is
    #[arg(long, global = true)]
    pub json: bool,
}

/// A label as it is written: `user=42`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Label {
    /// What stands before the first `=`.
    pub name: String,
    /// All that stands after it.
    pub value: String,
}

impl FromStr for Label {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once('=') {
            Some((name, value)) if !name.is_empty() => Ok(Self { name: name.to_owned(), value: value.to_owned() }),
            Some(_) | None => Err("expected NAME=VALUE, such as user=42".to_owned()),
        }
    }
}

/// What a request or a bucket is about.
#[derive(Args, Clone, Debug, Default, PartialEq, Eq)]
pub struct Subject {
    /// Namespace [default: app]
    #[arg(long)]
    pub prefix: Option<String>,
    /// A label, such as user=42; can be given several times
    #[arg(long = "label", value_name = "NAME=VALUE")]
    pub labels: Vec<Label>,
}

impl Subject {
    fn labels(&self) -> Result<BTreeMap<String, String>, Failure> {
        labels(&self.labels)
    }

    fn to_request(&self, endpoint: &str) -> Result<AcquireRequest, Failure> {
        Ok(AcquireRequest {
            prefix: self.prefix.clone().unwrap_or_else(|| DEFAULT_PREFIX.to_owned()),
            labels: self.labels()?,
            ..AcquireRequest::new(endpoint)
        })
    }
}

/// Arguments of `acquire` and `reserve`.
#[derive(Args, Clone, Debug, PartialEq, Eq)]
pub struct AcquireArguments {
    /// What is asked for, such as users/list
    pub endpoint: String,
    /// Who asks.
    #[command(flatten)]
    pub subject: Subject,
    /// Units to take
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub cost: u64,
    /// How long to queue for a turn, in milliseconds
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub wait_ms: u64,
}

impl AcquireArguments {
    pub(super) fn to_request(&self) -> Result<AcquireRequest, Failure> {
        let request = self.subject.to_request(&self.endpoint)?;
        Ok(AcquireRequest { cost: self.cost, wait_ms: self.wait_ms, ..request })
    }
}

/// Arguments of `peek`.
#[derive(Args, Clone, Debug, PartialEq, Eq)]
pub struct PeekArguments {
    /// What would be asked for, such as users/list
    pub endpoint: String,
    /// Who would ask.
    #[command(flatten)]
    pub subject: Subject,
}

impl PeekArguments {
    pub(super) fn to_request(&self) -> Result<AcquireRequest, Failure> {
        Ok(AcquireRequest { cost: 0, ..self.subject.to_request(&self.endpoint)? })
    }
}

/// Arguments of `settle`.
#[derive(Args, Clone, Debug, PartialEq, Eq)]
pub struct SettleArguments {
    /// The reservation, as `reserve` printed it
    #[arg(value_name = "ID")]
    pub reservation: String,
    /// Units really spent
    #[arg(long, value_name = "N")]
    pub actual: u64,
}

impl From<&SettleArguments> for SettleRequest {
    fn from(arguments: &SettleArguments) -> Self {
        Self { reservation: arguments.reservation.clone(), actual: arguments.actual }
    }
}

/// Arguments of `limits`.
#[derive(Args, Clone, Debug, PartialEq, Eq)]
pub struct LimitsArguments {
    /// What to do; left out, they are listed.
    #[command(subcommand)]
    command: Option<LimitsCommand>,
}

impl LimitsArguments {
    /// What to do with the limits.
    pub fn command(&self) -> &LimitsCommand {
        self.command.as_ref().unwrap_or(&LimitsCommand::List)
    }
}

/// What can be done with limits.
#[derive(Clone, Debug, PartialEq, Eq, Subcommand)]
pub enum LimitsCommand {
    /// List all limits
    List,
    /// Print one limit as YAML
    Get {
        /// Name of the limit
        name: String,
    },
    /// Set the limit that a file describes, from the next decision on
    Put {
        /// YAML or JSON; - reads standard input
        file: String,
    },
    /// Remove a limit
    Delete {
        /// Name of the limit
        name: String,
    },
}

/// What can be done with buckets.
#[derive(Clone, Debug, PartialEq, Eq, Subcommand)]
pub enum BucketsCommand {
    /// Show how much of a bucket is spent
    Get(BucketArguments),
    /// Make a bucket unspent
    Reset(BucketArguments),
}

/// Which bucket is meant.
#[derive(Args, Clone, Debug, PartialEq, Eq)]
pub struct BucketArguments {
    /// Name of the limit
    pub limit: String,
    /// Whose bucket it is: a value for each label that the limit counts by.
    #[command(flatten)]
    pub subject: Subject,
}

impl BucketArguments {
    pub(super) fn to_query(&self) -> Result<BucketQuery, Failure> {
        Ok(BucketQuery {
            limit: self.limit.clone(),
            prefix: self.subject.prefix.clone(),
            labels: self.subject.labels()?,
        })
    }
}

/// Arguments of `alerts`.
#[derive(Args, Clone, Debug, PartialEq, Eq)]
pub struct AlertsArguments {
    /// What to do; left out, they are listed.
    #[command(subcommand)]
    command: Option<AlertsCommand>,
}

impl AlertsArguments {
    /// What to do with the alerts.
    pub fn command(&self) -> &AlertsCommand {
        self.command.as_ref().unwrap_or(&AlertsCommand::List)
    }
}

/// What can be done with alerts.
#[derive(Clone, Debug, PartialEq, Eq, Subcommand)]
pub enum AlertsCommand {
    /// List what fires, and what could not be told, or not yet
    List,
    /// Send a receiver a real message, marked as a test, and print its receipt
    Test {
        /// Name of the receiver, as in the configuration
        #[arg(long, value_name = "NAME")]
        receiver: String,
    },
    /// Have nobody be told of some alerts for a while
    Silence(SilenceArguments),
    /// List the silences
    Silences,
    /// End a silence
    Unsilence {
        /// Number of the silence
        id: u64,
    },
    /// Show when an alert fires and who is told of it
    Explain {
        /// Name of the rule
        rule: String,
        /// A label that the alert has, such as node=2; can be given several times
        #[arg(long = "label", value_name = "NAME=VALUE")]
        labels: Vec<Label>,
    },
}

/// Arguments of `alerts silence`.
#[derive(Args, Clone, Debug, PartialEq, Eq)]
pub struct SilenceArguments {
    /// A label that an alert must have, such as rule=disk_* or node=2; of one label several values, one of which must fit
    #[arg(required = true, value_name = "NAME=PATTERN")]
    pub matchers: Vec<Label>,
    /// For how long, such as 30m, 2h or 1d
    #[arg(long = "for", value_name = "DURATION", value_parser = milliseconds)]
    pub duration_ms: u64,
    /// Why
    #[arg(long, default_value = "")]
    pub comment: String,
    /// Who wants it
    #[arg(long, env = "USER", default_value = "nobody")]
    pub author: String,
}

impl SilenceArguments {
    pub(super) fn to_request(&self) -> SilenceRequest {
        let mut matchers: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for Label { name, value } in &self.matchers {
            matchers.entry(name.clone()).or_default().push(value.clone());
        }
        let patterns = |(label, values)| Some((label, LabelPatterns::new(values)?));
        SilenceRequest {
            matchers: matchers.into_iter().filter_map(patterns).collect(),
            from_ms: None,
            until_ms: None,
            duration_ms: Some(self.duration_ms),
            author: self.author.clone(),
            comment: self.comment.clone(),
        }
    }
}

/// The labels, each of which is given once.
pub(super) fn labels(labels: &[Label]) -> Result<BTreeMap<String, String>, Failure> {
    let mut unique = BTreeMap::new();
    for Label { name, value } in labels {
        if unique.insert(name.clone(), value.clone()).is_some() {
            return Err(Failure::RepeatedLabel { name: name.clone() });
        }
    }
    Ok(unique)
}

fn milliseconds(text: &str) -> Result<u64, String> {
    let period: Period = text.parse().map_err(|error: PeriodError| error.to_string())?;
    let nanos = period.nanos().ok_or("has no fixed length: use days")?;
    u64::try_from(nanos / 1_000_000).ok().filter(|millis| *millis > 0).ok_or("must be at least 1ms".to_owned())
}

/// Arguments of `stats`.
#[derive(Args, Clone, Debug, PartialEq, Eq)]
pub struct StatsArguments {
    /// An endpoint that limits name, or `other` for all that none names; left out, all requests of the node
    pub endpoint: Option<String>,
}

/// Arguments of `cluster`.
#[derive(Args, Clone, Debug, PartialEq, Eq)]
pub struct ClusterArguments {
    /// What to do; left out, it is shown.
    #[command(subcommand)]
    command: Option<ClusterCommand>,
}

impl ClusterArguments {
    /// What to do with the cluster.
    pub fn command(&self) -> &ClusterCommand {
        self.command.as_ref().unwrap_or(&ClusterCommand::Show)
    }
}

/// What can be done with a cluster.
#[derive(Clone, Debug, PartialEq, Eq, Subcommand)]
pub enum ClusterCommand {
    /// Show the nodes and the shards
    Show,
    /// Expect a node at an address; one that is started with --join need not be expected
    Add {
        /// Number of the node
        #[arg(value_parser = value_parser!(u64).range(1..))]
        id: u64,
        /// Where the other nodes reach it, as HOST:PORT
        peer: String,
    },
    /// Have a node leave; its shards move to the others, and then its process ends
    Remove {
        /// Number of the node
        #[arg(value_parser = value_parser!(u64).range(1..))]
        id: u64,
    },
    /// Have a node lead nothing, such as before a restart; it goes on answering
    Drain {
        /// Number of the node
        #[arg(value_parser = value_parser!(u64).range(1..))]
        id: u64,
    },
    /// Have a node lead its share again
    Undrain {
        /// Number of the node
        #[arg(value_parser = value_parser!(u64).range(1..))]
        id: u64,
    },
}
