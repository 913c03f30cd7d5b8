//! `tollgate serve`: a node, from its configuration to its last answer.

use std::io::{IsTerminal, Write};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;
use tollgate_cluster::{Clock, Environment, Node, NodeOptions, SNAPSHOT_LOG_BYTES, StartError};
use tollgate_storage::{DiskOptions, DiskStorage, Notice, OpenError};
use tracing_subscriber::EnvFilter;

use crate::alerting::{Alerting, CountedCourier};
use crate::config::{Config, ConfigError, Flags};
use crate::environment::{OsEntropy, SystemClock};
use crate::http::{self, App, Listener};
use crate::peering::{self, Peering, PeeringError};
use crate::receivers::ReceiversError;
use crate::telemetry::{MetricsActor, Telemetry};

/// How long requests that are under way may take after a SIGTERM. With the handover, the node is gone within 10 s.
const DRAIN: Duration = Duration::from_secs(4);

/// Runs a node.
#[derive(Args, Debug, Default)]
#[command(after_help = "Examples:
  tollgate serve                                    one node on 127.0.0.1:8080, data in ./tollgate-data
  tollgate serve --config tollgate.yaml             the same, as the file says
  tollgate serve --http 0.0.0.0:80 --data /var/lib/tollgate

SIGHUP reads the configuration again; SIGTERM stops the node without losing a token.")]
pub struct ServeArgs {
    #[command(flatten)]
    flags: Flags,
}

/// Why a node could not run.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The configuration is wrong.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// Somebody who is to be told of alerts cannot be.
    #[error(transparent)]
    Receivers(#[from] ReceiversError),
    /// The node cannot meet the others of its cluster.
    #[error(transparent)]
    Peering(#[from] PeeringError),
    /// The data directory cannot be used.
    #[error(transparent)]
    Storage(#[from] OpenError),
    /// The state was damaged, and the log no longer holds what it was made from.
    #[error(
        "the state in {directory} is lost for Raft groups {groups:?}, and their logs begin too late to rebuild it; restore the directory from a backup, or start with an empty one"
    )]
    SnapshotLost {
        /// The data directory.
        directory: String,
        /// The groups.
        groups: Vec<u32>,
    },
    /// The node could not start.
    #[error(transparent)]
    Node(#[from] StartError),
    /// The address cannot be listened on.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// The address.
        address: String,
        /// Why not.
        source: std::io::Error,
    },
    /// A part of the node failed that cannot be started anew by itself.
    #[error("a part of the node has failed, as the lines above say: it ends as by a crash, and is to be started again")]
    Failed,
    /// The operating system refused something.
    #[error("{0}")]
    System(#[from] std::io::Error),
}

/// Runs a node until it is told to stop.
///
/// # Errors
/// Whatever keeps it from starting; once it answers, it stops only when it is told to.
pub async fn serve(args: &ServeArgs) -> Result<(), ServeError> {
    let config = Config::load(&args.flags, std::env::vars_os())?;
    start_log(&config);
    // Before the data is opened, so that an address that is taken is told at once.
    let listener = bind(&config).await?;
    let address = listener.address()?;
    let mut signals = Signals::new()?;
    let telemetry = Arc::new(Telemetry::new(config.metrics.legacy_names));
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let alerting = Alerting::new(&config.alerts, client_url(address), Arc::clone(&clock), Arc::clone(&telemetry))?;
    let alerting = Arc::new(alerting);
    let storage = open_storage(&config)?;
    let environment = Environment {
        clock,
        entropy: Arc::new(OsEntropy),
        events: Arc::clone(&telemetry) as Arc<_>,
        storage: Arc::new(storage),
        courier: Arc::new(CountedCourier(Arc::clone(&alerting))),
    };
    let (router, routers) = watch::channel(http::starting_router());
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let serving = tokio::spawn(listener.serve(routers, wait_for(stopped), DRAIN));
    let Some(node) = start_node(&config, environment, address, &mut signals).await? else { return Ok(()) };
    telemetry.know(&node.limits());
    MetricsActor::spawn(Arc::clone(&telemetry), &node, config.data.clone());
    alerting.watch(&node);
    let app = Arc::new(App { node, telemetry, alerting });
    drop(router.send_replace(http::router(Arc::clone(&app))));
    greet(address);
    run_until_told(&app, &mut signals, config).await?;
    // While other nodes take up what this one leads, it goes on answering.
    app.node.drain().await;
    drop(stop);
    serving.await.ok();
    app.node.stop().await;
    tracing::info!("stopped");
    Ok(())
}

/// Starts the node, which may have to wait for others; `None` when it is told to stop before.
async fn start_node(
    config: &Config,
    environment: Environment,
    http: SocketAddr,
    signals: &mut Signals,
) -> Result<Option<Arc<Node>>, ServeError> {
    let starting = async {
        let peering = peering::meet(&config.cluster, &*environment.storage, &*environment.entropy).await?;
        let Peering { identity, forming, cluster, advertised, link } = peering;
        let http = reachable(http, &advertised);
        let options = NodeOptions {
            identity,
            forming,
            cluster,
            peer: advertised,
            http,
            shards: config.cluster.shards,
            replication: config.cluster.replication,
            horizon_lead: config.cluster.horizon_lead,
            deadline: config.cluster.deadline,
            max_buckets: config.max_buckets,
            snapshot_log_bytes: SNAPSHOT_LOG_BYTES,
            limits: config.limits.clone(),
            alerts: config.alerts.options(),
        };
        Ok::<_, ServeError>(Node::start(options, environment, link).await?)
    };
    tokio::pin!(starting);
    loop {
        tokio::select! {
            started = &mut starting => return started.map(Some),
            asked = signals.next() => match asked {
                Asked::Reload => tracing::warn!("the configuration is not read again before the node has started"),
                Asked::Stop => return Ok(None),
            },
        }
    }
}

/// Where clients reach the HTTP API: on the host by which the other nodes know this one, if it listens on all addresses.
fn reachable(http: SocketAddr, advertised: &str) -> String {
    match advertised.rsplit_once(':') {
        Some((host, _)) if http.ip().is_unspecified() => format!("{host}:{}", http.port()),
        _ => http.to_string(),
    }
}

/// Where people see more of an alert; `None` if it listens on all addresses, of which none is known to be theirs, or for this machine alone.
fn client_url(http: SocketAddr) -> Option<String> {
    (!http.ip().is_unspecified() && !http.ip().is_loopback()).then(|| format!("http://{http}/v1/alerts"))
}

async fn wait_for(stopped: tokio::sync::oneshot::Receiver<()>) {
    // A dropped sender means stop, too.
    stopped.await.ok();
}

fn start_log(config: &Config) {
    let log = tracing_subscriber::fmt()
        .with_env_filter(log_filter(&config.log))
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal());
    // A second node in one process keeps the first one's log.
    drop(log.try_init());
    config.warnings.iter().for_each(|warning| tracing::warn!("{warning}"));
}

/// The filter that `log` asks for: a level is of our own messages, and of the libraries only warnings are shown. What Raft reports when it stops is told in our own words (`watch_failure`).
fn log_filter(log: &str) -> EnvFilter {
    let directives =
        if log.contains(['=', ',']) { log.to_owned() } else { format!("warn,openraft=off,tollgate={log}") };
    EnvFilter::new(directives)
}

async fn bind(config: &Config) -> Result<Listener, ServeError> {
    let failed = |source| ServeError::Listen { address: config.http.to_string(), source };
    let address = config.http.resolve().await.map_err(failed)?;
    Listener::bind(address).await.map_err(failed)
}

fn open_storage(config: &Config) -> Result<DiskStorage, ServeError> {
    let (storage, notices) = DiskStorage::open(&config.data, &DiskOptions::default())?;
    notices.iter().for_each(|notice| tracing::warn!("{notice}"));
    let lost = notices.iter().filter_map(|notice| match notice {
        Notice::SnapshotLost { group } => Some(group.0),
        Notice::UnfinishedWrite { .. } | Notice::SnapshotsMovedAside { .. } => None,
    });
    let groups: Vec<u32> = lost.collect();
    if groups.is_empty() {
        Ok(storage)
    } else {
        Err(ServeError::SnapshotLost { directory: config.data.display().to_string(), groups })
    }
}

/// Says where the node listens, and three lines to try it by.
fn greet(address: SocketAddr) {
    let url = format!("http://{address}");
    let greeting = format!(
        "tollgate listens on {url}

  curl -d '{{\"endpoint\":\"users\",\"labels\":{{\"user\":\"42\",\"tier\":\"pro\"}}}}' {url}/v1/acquire
  curl {url}/v1/limits/pro
  curl {url}/metrics
"
    );
    // Somebody who closed our output is not in need of a greeting.
    drop(std::io::stdout().write_all(greeting.as_bytes()).and_then(|()| std::io::stdout().flush()));
}

struct Signals {
    hangup: Signal,
    terminate: Signal,
    interrupt: Signal,
}

/// What a signal asks for.
enum Asked {
    Reload,
    Stop,
}

impl Signals {
    fn new() -> std::io::Result<Self> {
        Ok(Self {
            hangup: signal(SignalKind::hangup())?,
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    async fn next(&mut self) -> Asked {
        tokio::select! {
            _ = self.hangup.recv() => Asked::Reload,
            _ = self.terminate.recv() => Asked::Stop,
            _ = self.interrupt.recv() => Asked::Stop,
        }
    }
}

/// Looks after the node until a signal stops it, or it has left its cluster, or fails.
async fn run_until_told(app: &App, signals: &mut Signals, mut config: Config) -> Result<(), ServeError> {
    let left = app.node.left();
    tokio::pin!(left);
    loop {
        tokio::select! {
            asked = signals.next() => match asked {
                Asked::Reload => config = reload(app, config).await,
                Asked::Stop => return Ok(()),
            },
            () = app.node.failed() => return Err(ServeError::Failed),
            () = &mut left => {
                tracing::warn!("this node was removed from its cluster, and its data is of no more use");
                return Ok(());
            }
        }
    }
}

/// Reads the configuration again. With a mistake in it, the old one stays.
async fn reload(app: &App, old: Config) -> Config {
    let new = match old.reload() {
        Ok(new) => new,
        Err(error) => {
            tracing::error!(%error, "the configuration has a mistake; the old one stays");
            return old;
        }
    };
    let restart = old.needs_restart(&new);
    if !restart.is_empty() {
        tracing::warn!(?restart, "these changes take effect when the node is started anew");
    }
    // First, because without a quorum the limits take long, and people are to be told of that.
    if let Err(error) = app.alerting.reconfigure(&new.alerts, &app.node) {
        tracing::error!(%error, "the alerts were not configured anew; the old ones stay");
    }
    if let Err(error) = app.node.apply_file(new.limits.clone()).await {
        tracing::error!(%error, "the limits were not applied; the old ones stay");
        return old;
    }
    app.telemetry.know(&app.node.limits());
    tracing::info!(limits = app.node.limits().len(), "the configuration is read again");
    new
}
