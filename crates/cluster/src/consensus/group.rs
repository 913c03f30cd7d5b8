//! One Raft group on this node.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use openraft::async_runtime::WatchReceiver;
use openraft::errors::{ClientWriteError, Fatal, RaftError};
use openraft::impls::ProgressResponder;
use openraft::vote::RaftLeaderId;
use openraft::{BasicNode, ChangeMembers, Config, RaftMetrics, ServerState, SnapshotPolicy, WatchChangeHandle};
use tokio::sync::Semaphore;
use tokio::time::Instant;
use tollgate_limiter::Planted;
use tollgate_storage::GroupId;

use super::endpoint::Receiving;
use super::log_store::LogStore;
use super::network::Network;
use super::silence::Silence;
use super::state_machine::{Machine, Replicated, StateMachine};
use super::{Applied, Command, Heartbeats, LeaderId, NodeId, Raft};
use crate::environment::{Environment, Event};
use crate::peers::Peers;

/// A snapshot is taken when the log has grown by this much since the last, or by the size of the state if that is more: so
/// a restart reads little, and snapshots cost no more writing than the log itself.
pub const SNAPSHOT_LOG_BYTES: u64 = 4 << 20;

/// A log that has not grown by this much since it was purged is not worth another snapshot, even if the storage asks for one.
const WORTH_A_SNAPSHOT_BYTES: u64 = 64 << 10;

/// Entries that stay in the log behind a snapshot, for a replica that is only a little behind. An entry may hold thousands of
/// grants, so more of them would keep the storage asking for room.
const KEPT_ENTRIES: u64 = 16;

/// How long a new voter may take to catch up. One that takes longer goes on meanwhile, and is waited for with the next attempt.
const CATCH_UP: Duration = Duration::from_secs(20);

/// How often a proposal is tried again that met its own leadership just after the election, before Raft knew of it.
const ELECTION_RETRIES: u32 = 50;

/// Entries that a voter may lack and still be next to lead: it gets them while it is told to.
const SMALL_LAG: u64 = 64;

/// The pause between two such tries.
const ELECTION_RETRY_PAUSE: Duration = Duration::from_millis(2);

/// When nothing was heard of a leader for so long, the election timeout is looked at, which is several times as long.
const UNHEARD: Duration = Duration::from_millis(250);

/// What a group needs to start.
pub(crate) struct GroupOptions {
    pub(crate) id: GroupId,
    pub(crate) node: NodeId,
    pub(crate) founding: Founding,
    /// One permit for all groups of the node: a snapshot is a copy of the state, and one at a time is enough of them.
    pub(crate) snapshots: Arc<Semaphore>,
    /// See [`SNAPSHOT_LOG_BYTES`].
    pub(crate) snapshot_log_bytes: u64,
    pub(crate) peers: Arc<Peers>,
    pub(crate) heartbeats: Arc<Heartbeats>,
}

/// What becomes of a group of which nothing is known here yet.
#[derive(Clone, Debug)]
pub(crate) enum Founding {
    /// It exists elsewhere, or will; its leader adds this node.
    Joined,
    /// These voters found it, each for itself and all alike. The best placed does it at once, and is likely to lead; the others after
    /// a while, in case that one is not there.
    Voters { voters: BTreeSet<NodeId>, after: Duration },
}

/// Why a group could not start.
#[derive(Debug, thiserror::Error)]
pub(crate) enum GroupStartError {
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

/// Why the members of a group were not changed.
#[derive(Debug, thiserror::Error)]
#[error("the members of the group were not changed: {0}")]
pub(crate) struct MembershipError(String);

/// Tells of the beginning and the end of leaderships as long as it lives.
pub(crate) type LeadershipWatch = WatchChangeHandle<Raft>;

/// One Raft group on this node: its log, its state, and the right to propose while it leads.
pub(crate) struct Group<M: Machine + Sync> {
    id: GroupId,
    raft: openraft::Raft<Raft, StateMachine<M>>,
    log: LogStore,
    snapshot_log_bytes: u64,
    state: Arc<Replicated<M>>,
    receiving: Arc<Receiving>,
    silence: Arc<Silence>,
    /// When the leader was heard last.
    heard: Mutex<Option<Instant>>,
    /// Held while the members are being changed.
    changing: tokio::sync::Mutex<()>,
}

impl<M: Machine + Sync> fmt::Debug for Group<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "group {}", self.id)
    }
}

impl<M: Machine + Sync> Group<M> {
    /// Opens the group, founds it if it is new, and takes part in it.
    pub(crate) async fn start(options: GroupOptions, environment: &Environment) -> Result<Self, GroupStartError> {
        let GroupOptions { id, node, founding, snapshots, snapshot_log_bytes, peers, heartbeats } = options;
        let unreadable = |source| GroupStartError::Storage { group: id, source };
        let log = LogStore::open(environment, id).await.map_err(unreadable)?;
        let machine = StateMachine::<M>::open(environment, id, snapshots, log.witness()).await.map_err(unreadable)?;
        check_complete(id, environment, &machine)?;
        let state = machine.state();
        let failed = |reason: String| GroupStartError::Raft { group: id, reason };
        let config = Arc::new(config().validate().map_err(|error| failed(error.to_string()))?);
        let silence = Arc::new(Silence::default());
        let network = Network { group: id, peers, heartbeats, silence: Arc::clone(&silence) };
        let raft = openraft::Raft::new(node, config, network, log.clone(), machine)
            .await
            .map_err(|error| failed(error.to_string()))?;
        let (receiving, heard, changing) = (Arc::default(), Mutex::default(), tokio::sync::Mutex::default());
        let group = Self { id, raft, log, snapshot_log_bytes, state, receiving, silence, heard, changing };
        group.found(node, founding).await.map_err(failed)?;
        Ok(group)
    }

    /// Founds a new group; in one that exists, a voter that is alone need not wait for an election timeout.
    async fn found(&self, node: NodeId, founding: Founding) -> Result<(), String> {
        if self.raft.is_initialized().await.map_err(|fatal| fatal.to_string())? {
            let alone = self.voters() == BTreeSet::from([node]);
            let elected = if alone { self.raft.trigger().elect(false).await } else { Ok(()) };
            return elected.map_err(|fatal| fatal.to_string());
        }
        let Founding::Voters { voters, after } = founding else { return Ok(()) };
        if after.is_zero() {
            return initialize(&self.raft, voters).await;
        }
        let (raft, group) = (self.raft.clone(), self.id);
        tokio::spawn(async move {
            tokio::time::sleep(after).await;
            if let Err(error) = initialize(&raft, voters).await {
                tracing::debug!(%group, error, "the group was founded by another");
            }
        });
        Ok(())
    }

    /// Waits until all is durable that was written to the log before.
    pub(super) async fn synced(&self) -> io::Result<()> {
        self.log.synced().await
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
        let leads = self.leads();
        self.raft.as_leader().ok().filter(|_| leads).map(|leader| leader.to_committed_leader_id())
    }

    fn leads(&self) -> bool {
        self.raft.metrics().borrow_watched().state == ServerState::Leader
    }

    /// The present term.
    pub(crate) fn term(&self) -> u64 {
        self.raft.metrics().borrow_watched().current_term
    }

    /// The node that leads the group, as far as this one knows.
    pub(crate) fn leader(&self) -> Option<NodeId> {
        self.raft.metrics().borrow_watched().current_leader
    }

    /// Those who vote, of both sets while the members change.
    pub(crate) fn voters(&self) -> BTreeSet<NodeId> {
        self.raft.voter_ids().collect()
    }

    /// Those who vote and those who are on their way to.
    pub(crate) fn members(&self) -> BTreeSet<NodeId> {
        self.raft.voter_ids().chain(self.raft.learner_ids()).collect()
    }

    /// When a quorum last confirmed that this node leads; `None` when it does not, or none has yet.
    pub(crate) fn confirmed_at(&self) -> Option<Instant> {
        let leadership = self.leadership()?;
        self.quorum_acked().filter(|_| self.knows_all(leadership))
    }

    /// Whether all that leaderships before this one committed is applied here: before an entry of its own is, a leader does not know
    /// what its predecessor has committed.
    fn knows_all(&self, leadership: LeaderId) -> bool {
        self.state.applied().is_some_and(|applied| *applied.committed_leader_id() >= leadership)
    }

    /// Waits until all that leaderships before this one committed is applied here.
    pub(crate) async fn caught_up(&self, leadership: LeaderId) {
        let mut changes = self.state.changes();
        while !self.knows_all(leadership) && changes.changed().await.is_ok() {}
    }

    /// Of the other voters, the one whose log is as good as complete and that `prefers` ranks first (least).
    pub(crate) fn successor<R: Ord>(&self, rank: impl Fn(NodeId) -> Option<R>) -> Option<NodeId> {
        let metrics = self.raft.metrics();
        let metrics = metrics.borrow_watched();
        let last = metrics.last_log_index.unwrap_or(0);
        let up_to_date = |node: &NodeId| matched(&metrics, *node).is_some_and(|matched| matched + SMALL_LAG >= last);
        let voters = metrics.membership_config.voter_ids().filter(|node| *node != metrics.id);
        let candidates = voters.filter(up_to_date).filter_map(|node| Some((rank(node)?, node)));
        candidates.min().map(|(_, node)| node)
    }

    /// Ends this node's leadership in favour of `to`, which is elected without waiting for a timeout.
    pub(crate) async fn transfer(&self, to: NodeId) {
        if let Err(error) = self.raft.trigger().transfer_leader(to).await {
            tracing::warn!(group = %self.id, to, %error, "the leadership was not transferred");
        }
    }

    /// Whether every member knows that these are all: then one that is not among them may forget the group.
    pub(crate) fn is_settled(&self) -> bool {
        let metrics = self.raft.metrics();
        let metrics = metrics.borrow_watched();
        let membership = &metrics.membership_config;
        let is_committed = metrics.committed_membership_config == *membership;
        let changed = membership.log_id().map_or(0, |changed| changed.index);
        let knows =
            |node: &NodeId| *node == metrics.id || matched(&metrics, *node).is_some_and(|matched| matched >= changed);
        is_committed && membership.get_joint_config().len() == 1 && membership.nodes().all(|(node, _)| knows(node))
    }

    /// Makes `voters` the voters, and `learners` those who only follow; one that is new first catches up. Both sets of voters decide
    /// until the change is committed (joint consensus).
    pub(crate) async fn change_members(
        &self,
        voters: &BTreeSet<NodeId>,
        learners: &BTreeSet<NodeId>,
    ) -> Result<(), MembershipError> {
        let failed = |error: RaftError<Raft, ClientWriteError<Raft>>| MembershipError(error.to_string());
        let _one_at_a_time = self.changing.lock().await;
        let wanted: BTreeSet<NodeId> = voters.union(learners).copied().collect();
        let present = self.members();
        for node in wanted.difference(&present) {
            self.raft.add_learner(*node, BasicNode::default(), false).await.map_err(failed)?;
        }
        self.followed_by(voters.difference(&self.voters()).copied().collect()).await?;
        if self.voters() != *voters {
            self.raft.change_membership(ChangeMembers::ReplaceAllVoters(voters.clone()), true).await.map_err(failed)?;
        }
        let gone: BTreeSet<NodeId> = self.members().difference(&wanted).copied().collect();
        if !gone.is_empty() {
            self.raft.change_membership(ChangeMembers::RemoveNodes(gone), true).await.map_err(failed)?;
        }
        Ok(())
    }

    /// Waits until these nodes have all that is in the log now. One that has not is no voter yet: it may not even keep the group, and if
    /// as many as make a quorum do not, nothing is ever committed again. (Openraft's own wait counts a short log as caught up.)
    async fn followed_by(&self, nodes: Vec<NodeId>) -> Result<(), MembershipError> {
        let reached = self.raft.metrics().borrow_watched().last_log_index.unwrap_or(0);
        let follows = |metrics: &RaftMetrics<Raft>, node: NodeId| {
            node == metrics.id || matched(metrics, node).is_some_and(|matched| matched >= reached)
        };
        let is_over = |metrics: &RaftMetrics<Raft>| {
            metrics.replication.is_none() || nodes.iter().all(|node| follows(metrics, *node))
        };
        let waited = self.raft.wait(Some(CATCH_UP)).metrics(is_over, "new voters catch up").await;
        let metrics = waited.map_err(|error| MembershipError(error.to_string()))?;
        let lead_on = metrics.replication.is_some();
        if lead_on { Ok(()) } else { Err(MembershipError("this node leads the group no longer".to_owned())) }
    }

    /// The group as other nodes ask it.
    pub(super) fn raft(&self) -> &openraft::Raft<Raft, StateMachine<M>> {
        &self.raft
    }

    /// The snapshot that is under way to this node.
    pub(super) fn receiving(&self) -> &Arc<Receiving> {
        &self.receiving
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

    /// The leader was heard.
    pub(super) fn leader_heard(&self) {
        *self.heard.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
    }

    fn is_leader_heard(&self) -> bool {
        let heard = *self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        heard.is_some_and(|heard| heard.elapsed() < UNHEARD)
    }

    /// Tells the followers that this node leads, if it does; and if nobody is heard to, has the group look at its election timeout.
    ///
    /// Looking is a timer for each group, many times a second, for what hardly ever comes: so it is off while there is a leader.
    ///
    /// A leader that has heard no quorum for long falls silent, but for a while now and then. If it could be heard all the time, its
    /// followers would wait for it for ever, and nothing would be committed (Ongaro's dissertation, 6.2).
    pub(crate) async fn beat(&self) {
        let leadership = self.leadership();
        self.raft.runtime_config().tick(leadership.is_none() && !self.is_leader_heard());
        let acked = leadership.and_then(|_| self.quorum_acked());
        let is_silent = self.silence.is_due(leadership, acked, Instant::now());
        // A group that has stopped is reported by `watch_failure`.
        if leadership.is_some()
            && !is_silent
            && let Err(error) = self.raft.trigger().heartbeat().await
        {
            tracing::debug!(group = %self.id, %error, "no heartbeat");
        }
    }

    /// When a quorum last answered this node's heartbeats; `None` when it does not lead, or none has yet.
    fn quorum_acked(&self) -> Option<Instant> {
        if self.voters().len() == 1 {
            return Some(Instant::now());
        }
        let acked = self.raft.as_leader().ok()?.last_quorum_acked()?;
        // Openraft has an instant of its own around tokio's, and tells only how long ago it was.
        Instant::now().checked_sub(openraft::Instant::elapsed(&acked))
    }

    /// How the group is, for whoever has to find out why it does not go on.
    pub(crate) fn describe(&self) -> String {
        self.raft.metrics().borrow_watched().to_string()
    }

    /// Takes a snapshot if the log has grown enough, so that its beginning can be purged; earlier if the storage asks for room.
    pub(crate) async fn compact(&self, asked: bool) {
        let state_bytes = self.state.read(M::encoded_bytes) as u64;
        let grown = self.log.bytes_since_purge();
        let enough = if asked { WORTH_A_SNAPSHOT_BYTES } else { self.snapshot_log_bytes.max(state_bytes) };
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
            // It may have stopped before anybody watched.
            loop {
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
                if metrics.changed().await.is_err() {
                    return;
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

/// Up to which index a follower is known to have the log of the leader whose metrics these are.
fn matched(metrics: &RaftMetrics<Raft>, follower: NodeId) -> Option<u64> {
    let matched = metrics.replication.as_ref()?.get(&follower)?.as_ref()?;
    Some(matched.index)
}

async fn initialize<M: Machine + Sync>(
    raft: &openraft::Raft<Raft, StateMachine<M>>,
    voters: BTreeSet<NodeId>,
) -> Result<(), String> {
    let members: BTreeMap<_, _> = voters.into_iter().map(|id| (id, BasicNode::default())).collect();
    raft.initialize(members).await.map_err(|error| error.to_string())
}

/// Refuses a state that lacks what its log no longer holds: that would be a blank replica that believes it is none.
fn check_complete<M: Machine + Sync>(
    group: GroupId,
    environment: &Environment,
    machine: &StateMachine<M>,
) -> Result<(), GroupStartError> {
    let Some(bounds) = environment.storage.log_bounds(group) else { return Ok(()) };
    let first = *bounds.start();
    let next = machine.state().applied().map_or(0, |applied| applied.index + 1);
    if first > next { Err(GroupStartError::SnapshotLost { group, first }) } else { Ok(()) }
}

fn config() -> Config {
    Config {
        cluster_name: "tollgate".to_owned(),
        // Heartbeats are ours (see `heartbeat`), and come more often: this is how long one may take, and a fifth of it is how often
        // timeouts are looked at.
        enable_heartbeat: false,
        heartbeat_interval: 290,
        election_timeout_min: 300,
        election_timeout_max: 600,
        snapshot_policy: SnapshotPolicy::Never,
        max_in_snapshot_log_to_keep: KEPT_ENTRIES,
        enable_leader_restore: Some(Planted::LeaderRestored.is_made()),
        enable_pre_vote: Some(true),
        ..Config::default()
    }
}
