//! One Raft group on this node.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use openraft::async_runtime::WatchReceiver;
use openraft::errors::{ClientWriteError, Fatal, InitializeError, RaftError};
use openraft::impls::ProgressResponder;
use openraft::vote::RaftLeaderId;
use openraft::{BasicNode, Config, ServerState, SnapshotPolicy, WatchChangeHandle};
use tokio::sync::Semaphore;
use tollgate_storage::GroupId;

use super::log_store::LogStore;
use super::network::Alone;
use super::state_machine::{Machine, Replicated, StateMachine};
use super::{Applied, Command, LeaderId, NodeId, Raft};
use crate::environment::{Environment, Event};

/// A snapshot is taken when the log has grown by this much since the last, or by the size of the state if that is more: so
/// a restart reads little, and snapshots cost no more writing than the log itself.
const SNAPSHOT_LOG_BYTES: u64 = 4 << 20;

/// A log that has not grown by this much since it was purged is not worth another snapshot, even if the storage asks for one.
const WORTH_A_SNAPSHOT_BYTES: u64 = 64 << 10;

/// Entries that stay in the log behind a snapshot, for a replica that is only a little behind. An entry may hold thousands of
/// grants, so more of them would keep the storage asking for room.
const KEPT_ENTRIES: u64 = 16;

/// How often a proposal is tried again that met its own leadership just after the election, before Raft knew of it.
const ELECTION_RETRIES: u32 = 50;

/// The pause between two such tries.
const ELECTION_RETRY_PAUSE: Duration = Duration::from_millis(2);

/// What a group needs to start.
pub(crate) struct GroupOptions {
    pub(crate) id: GroupId,
    pub(crate) node: NodeId,
    /// The voters when the group is founded. One that is alone elects itself at once.
    pub(crate) voters: BTreeMap<NodeId, String>,
    /// One permit for all groups of the node: a snapshot is a copy of the state, and one at a time is enough of them.
    pub(crate) snapshots: Arc<Semaphore>,
}

/// Why a group could not start.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StartError {
    #[error("the log or the state of group {group} cannot be read: {source}")]
    Storage { group: GroupId, source: io::Error },
    #[error(
        "the snapshot of group {group} is lost and its log begins only at {first}: what came before cannot be rebuilt"
    )]
    SnapshotLost { group: GroupId, first: u64 },
    #[error("group {group}: {reason}")]
    Raft { group: GroupId, reason: String },
}

/// Why a proposal was not committed, or is not known to be.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ProposeError {
    #[error("this node does not lead the group, or no longer as it did")]
    NotLeader,
    #[error("the group has stopped: {0}")]
    Stopped(String),
}

/// Tells of the beginning and the end of leaderships as long as it lives.
pub(crate) type LeadershipWatch = WatchChangeHandle<Raft>;

/// One Raft group on this node: its log, its state, and the right to propose while it leads.
pub(crate) struct Group<M: Machine + Sync> {
    id: GroupId,
    raft: openraft::Raft<Raft, StateMachine<M>>,
    log: LogStore,
    state: Arc<Replicated<M>>,
}

impl<M: Machine + Sync> Group<M> {
    /// Opens the group, founds it if it is new, and takes part in it.
    pub(crate) async fn start(options: GroupOptions, environment: &Environment) -> Result<Self, StartError> {
        let GroupOptions { id, node, voters, snapshots } = options;
        let unreadable = |source| StartError::Storage { group: id, source };
        let storage = Arc::clone(&environment.storage);
        let log = LogStore::open(Arc::clone(&storage), id).await.map_err(unreadable)?;
        let (clock, events) = (Arc::clone(&environment.clock), Arc::clone(&environment.events));
        let machine = StateMachine::<M>::open(storage, id, clock, events, snapshots).await.map_err(unreadable)?;
        check_complete(id, environment, &machine)?;
        let state = machine.state();
        let failed = |reason: String| StartError::Raft { group: id, reason };
        let config = Arc::new(config().validate().map_err(|error| failed(error.to_string()))?);
        let raft = openraft::Raft::new(node, config, Alone, log.clone(), machine)
            .await
            .map_err(|error| failed(error.to_string()))?;
        let group = Self { id, raft, log, state };
        group.found(voters).await.map_err(failed)?;
        Ok(group)
    }

    /// Founds a new group; in one that exists, a voter that is alone need not wait for an election timeout.
    async fn found(&self, voters: BTreeMap<NodeId, String>) -> Result<(), String> {
        let alone = voters.len() == 1;
        let members: BTreeMap<_, _> = voters.into_iter().map(|(id, address)| (id, BasicNode::new(address))).collect();
        match self.raft.initialize(members).await {
            Ok(()) => Ok(()),
            Err(RaftError::APIError(InitializeError::NotAllowed(_))) if alone => {
                self.raft.trigger().elect(false).await.map_err(|error| error.to_string())
            }
            Err(RaftError::APIError(InitializeError::NotAllowed(_))) => Ok(()),
            Err(error) => Err(error.to_string()),
        }
    }

    /// The group's number.
    pub(crate) fn id(&self) -> GroupId {
        self.id
    }

    /// The replicated state.
    pub(crate) fn state(&self) -> &Arc<Replicated<M>> {
        &self.state
    }

    /// The leadership that this node holds; `None` when it does not lead.
    pub(crate) fn leadership(&self) -> Option<LeaderId> {
        // The vote alone is not enough: after a restart it still says that this node led, and it does not any more.
        let leads = self.raft.metrics().borrow_watched().state == ServerState::Leader;
        self.raft.as_leader().ok().filter(|_| leads).map(|leader| leader.to_committed_leader_id())
    }

    /// The present term.
    pub(crate) fn term(&self) -> u64 {
        self.raft.metrics().borrow_watched().current_term
    }

    /// Calls `lead` when this node begins to lead and `follow` when it ends, in turns, as long as the handle lives.
    pub(crate) fn watch_leadership(
        &self,
        lead: impl Fn(LeaderId) + Send + 'static,
        follow: impl Fn() + Send + 'static,
    ) -> LeadershipWatch {
        let lead = move |leader: openraft::alias::LeaderIdOf<Raft>| {
            lead(leader.to_committed());
            std::future::ready(())
        };
        let follow = move |_| {
            follow();
            std::future::ready(())
        };
        self.raft.on_leader_change(lead, follow)
    }

    /// Proposes `command` under the leadership `leader`, and under no other, and waits until it is applied.
    pub(crate) async fn propose(&self, leader: LeaderId, command: Command) -> Result<Applied, ProposeError> {
        for _ in 0..ELECTION_RETRIES {
            match self.propose_once(leader, command.clone()).await {
                Err(ProposeError::NotLeader) if self.leadership() == Some(leader) => {
                    tokio::time::sleep(ELECTION_RETRY_PAUSE).await;
                }
                result => return result,
            }
        }
        Err(ProposeError::NotLeader)
    }

    async fn propose_once(&self, leader: LeaderId, command: Command) -> Result<Applied, ProposeError> {
        let (responder, completed) = ProgressResponder::complete_only();
        let stopped = |reason: String| ProposeError::Stopped(reason);
        let write = self.raft.write(command).with_leader(leader).responder(responder);
        write.await.map_err(|fatal| stopped(fatal.to_string()))?;
        match completed.await {
            Ok(Ok(response)) => Ok(response.data),
            Ok(Err(ClientWriteError::ForwardToLeader(_))) => Err(ProposeError::NotLeader),
            Ok(Err(error)) => Err(stopped(error.to_string())),
            Err(_) => Err(stopped("Raft dropped the proposal".to_owned())),
        }
    }

    /// Takes a snapshot if the log has grown enough, so that its beginning can be purged; earlier if the storage asks for room.
    pub(crate) async fn compact(&self, asked: bool) {
        let state_bytes = self.state.read(M::encoded_bytes) as u64;
        let grown = self.log.bytes_since_purge();
        let enough = if asked { WORTH_A_SNAPSHOT_BYTES } else { SNAPSHOT_LOG_BYTES.max(state_bytes) };
        if grown > enough {
            self.snapshot().await;
        }
    }

    async fn snapshot(&self) {
        if let Err(error) = self.raft.trigger().snapshot().await {
            tracing::warn!(group = %self.id, %error, "no snapshot was taken");
        }
    }

    /// Reports when the group stops for good.
    pub(crate) fn watch_failure(&self, environment: &Environment) {
        let (mut metrics, events, group) = (self.raft.metrics(), Arc::clone(&environment.events), self.id.0);
        tokio::spawn(async move {
            while metrics.changed().await.is_ok() {
                match &metrics.borrow_watched().running_state {
                    Ok(()) => {}
                    // We stopped it.
                    Err(Fatal::Stopped) => return,
                    Err(fatal) => {
                        tracing::error!(group, %fatal, "a Raft group has stopped");
                        events.on(Event::GroupFailed { group });
                        return;
                    }
                }
            }
        });
    }

    /// Whether the group still runs.
    pub(crate) fn is_running(&self) -> bool {
        self.raft.metrics().borrow_watched().running_state.is_ok()
    }

    /// Leaves the group.
    pub(crate) async fn stop(&self) {
        if let Err(error) = self.raft.shutdown().await {
            tracing::warn!(group = %self.id, %error, "the group did not stop in order");
        }
    }
}

/// Refuses a state that lacks what its log no longer holds: that would be a blank replica that believes it is none.
fn check_complete<M: Machine + Sync>(
    group: GroupId,
    environment: &Environment,
    machine: &StateMachine<M>,
) -> Result<(), StartError> {
    let Some(bounds) = environment.storage.log_bounds(group) else { return Ok(()) };
    let first = *bounds.start();
    let next = machine.applied().map_or(0, |applied| applied.index + 1);
    if first > next { Err(StartError::SnapshotLost { group, first }) } else { Ok(()) }
}

fn config() -> Config {
    Config {
        cluster_name: "tollgate".to_owned(),
        heartbeat_interval: 100,
        election_timeout_min: 300,
        election_timeout_max: 600,
        snapshot_policy: SnapshotPolicy::Never,
        max_in_snapshot_log_to_keep: KEPT_ENTRIES,
        enable_leader_restore: Some(false),
        enable_pre_vote: Some(true),
        ..Config::default()
    }
}
