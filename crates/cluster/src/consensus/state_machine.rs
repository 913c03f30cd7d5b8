//! A group's replicated state, applied and kept as openraft wants it.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use futures::{Stream, TryStreamExt};
use openraft::alias::SnapshotOf;
use openraft::entry::RaftEntry;
use openraft::storage::{EntryResponder, RaftStateMachine};
use openraft::{EntryPayload, OptionalSend, RaftSnapshotBuilder};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tokio::sync::{Semaphore, watch};
use tollgate_limiter::Seen;
use tollgate_storage::{GroupId, Snapshot, Storage};

use super::log_store::Witness;
use super::{Applied, Command, LogId, Raft, SnapshotData, SnapshotMeta, StoredMembership};
use crate::codec::{decode, encode, encode_into};
use crate::environment::{Environment, Event, Events};

/// A deterministic state that commands change.
pub(crate) trait Machine: Clone + Default + DeserializeOwned + Send + Serialize + 'static {
    /// Applies the next command of the log.
    fn apply(&mut self, command: &Command) -> Applied;

    /// About how many bytes a snapshot of it takes.
    fn encoded_bytes(&self) -> usize;
}

/// A machine, and how far in the log it is.
#[derive(Clone, Default, Deserialize, Serialize)]
struct Position<M> {
    machine: M,
    applied: Option<LogId>,
    membership: StoredMembership,
    /// How the last command came here; `None` while all that is known comes from the disk. Beside the state it is of, so that nobody
    /// pairs it with another.
    #[serde(skip)]
    seen: Option<Seen>,
}

/// The replicated state of a group, shared between Raft, which applies to it, and those who read it.
pub(crate) struct Replicated<M> {
    position: Mutex<Position<M>>,
    /// Counts what was applied.
    applied: watch::Sender<u64>,
}

impl<M: Machine> Replicated<M> {
    fn new(position: Position<M>) -> Self {
        Self { position: Mutex::new(position), applied: watch::Sender::new(0) }
    }

    /// Reads the state. The lock is held for `read`, and Raft waits for it to apply: keep it short.
    pub(crate) fn read<T>(&self, read: impl FnOnce(&M) -> T) -> T {
        read(&self.position().machine)
    }

    /// Reads the state, and how its last command came here, if one came while this process ran.
    pub(crate) fn read_seen<T>(&self, read: impl FnOnce(&M) -> T) -> (T, Option<Seen>) {
        let position = self.position();
        (read(&position.machine), position.seen)
    }

    /// The position in the log that the state is at; `None` before the first entry.
    pub(crate) fn applied(&self) -> Option<LogId> {
        self.position().applied
    }

    /// The position in the log, and what tells this state from any other, if that is wanted of a state at this position.
    pub(crate) fn fingerprint(&self, is_wanted: impl FnOnce(u64) -> bool) -> Option<(u64, u128)> {
        let position = self.position();
        let index = position.applied.map(|applied| applied.index).filter(|index| is_wanted(*index))?;
        let encoded = encode_into(&*position, Vec::with_capacity(position.machine.encoded_bytes()));
        let bits: [u8; 16] = blake3::hash(&encoded).as_bytes()[..16].try_into().expect("a hash has 32 bytes");
        Some((index, u128::from_le_bytes(bits)))
    }

    /// Tells of what is applied from here on.
    pub(crate) fn changes(&self) -> watch::Receiver<u64> {
        self.applied.subscribe()
    }

    fn position(&self) -> MutexGuard<'_, Position<M>> {
        // A reader that panicked has only read; an application that panicked has stopped Raft.
        self.position.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Applies an entry; `seen` is how it came, if it did.
    fn apply(
        &self,
        log_id: LogId,
        payload: &EntryPayload<Command, u64, openraft::BasicNode>,
        seen: Option<Seen>,
    ) -> Applied {
        let mut position = self.position();
        position.applied = Some(log_id);
        match payload {
            EntryPayload::Blank => Applied::Nothing,
            EntryPayload::Normal(command) => {
                if let Some(seen) = seen {
                    position.seen = Some(seen.after(position.seen));
                }
                position.machine.apply(command)
            }
            EntryPayload::Membership(membership) => {
                position.membership = StoredMembership::new(Some(log_id), membership.clone());
                Applied::Nothing
            }
        }
    }
}

/// The state machine of one group. Clones share the state.
pub(crate) struct StateMachine<M> {
    group: GroupId,
    storage: Arc<dyn Storage>,
    events: Arc<dyn Events>,
    /// One permit for all groups of the node.
    snapshots: Arc<Semaphore>,
    witness: Arc<Witness>,
    state: Arc<Replicated<M>>,
}

impl<M> Clone for StateMachine<M> {
    fn clone(&self) -> Self {
        Self {
            group: self.group,
            storage: Arc::clone(&self.storage),
            events: Arc::clone(&self.events),
            snapshots: Arc::clone(&self.snapshots),
            witness: Arc::clone(&self.witness),
            state: Arc::clone(&self.state),
        }
    }
}

impl<M: Machine> StateMachine<M> {
    /// Opens the state of `group` where its last snapshot left it; the log brings it up to date, and `witness` knows when its entries
    /// came.
    pub(crate) async fn open(
        environment: &Environment,
        group: GroupId,
        snapshots: Arc<Semaphore>,
        witness: Arc<Witness>,
    ) -> io::Result<Self> {
        let (storage, events) = (Arc::clone(&environment.storage), Arc::clone(&environment.events));
        let snapshot = storage.load_snapshot(group).await.map_err(io::Error::other)?;
        let position = snapshot.map_or_else(|| Ok(Position::default()), |snapshot| decode(&snapshot.data))?;
        let state = Arc::new(Replicated::new(position));
        Ok(Self { group, storage, events, snapshots, witness, state })
    }

    /// The state, to read.
    pub(crate) fn state(&self) -> Arc<Replicated<M>> {
        Arc::clone(&self.state)
    }

    async fn save(&self, meta: &SnapshotMeta, data: Bytes) -> io::Result<()> {
        let bytes = data.len();
        self.storage
            .save_snapshot(self.group, Snapshot { meta: encode(meta), data })
            .await
            .map_err(io::Error::other)?;
        self.events.on(Event::SnapshotSaved { group: self.group.0, bytes });
        Ok(())
    }
}

impl<M: Machine + Sync> RaftSnapshotBuilder<Raft> for StateMachine<M> {
    type SnapshotData = SnapshotData;

    async fn build_snapshot(&mut self) -> Result<SnapshotOf<Raft, SnapshotData>, io::Error> {
        let _turn = self.snapshots.acquire().await.map_err(io::Error::other)?;
        // Copied under the lock and encoded outside it: a copy of the tables takes a millisecond where encoding takes a hundred.
        let position = self.state.position().clone();
        let meta = SnapshotMeta { last_log_id: position.applied, last_membership: position.membership.clone() };
        let data = Bytes::from(encode_into(&position, Vec::with_capacity(position.machine.encoded_bytes())));
        drop(position);
        self.save(&meta, data.clone()).await?;
        Ok(SnapshotOf::<Raft, SnapshotData> { meta, snapshot: data })
    }
}

impl<M: Machine + Sync> RaftStateMachine<Raft> for StateMachine<M> {
    type SnapshotData = SnapshotData;
    type SnapshotBuilder = Self;

    async fn applied_state(&mut self) -> Result<(Option<LogId>, StoredMembership), io::Error> {
        let position = self.state.position();
        Ok((position.applied, position.membership.clone()))
    }

    async fn apply<Strm>(&mut self, mut entries: Strm) -> Result<(), io::Error>
    where
        Strm: Stream<Item = Result<EntryResponder<Raft>, io::Error>> + Unpin + OptionalSend,
    {
        while let Some((entry, responder)) = entries.try_next().await? {
            let log_id = entry.log_id();
            let applied = self.state.apply(log_id, &entry.payload, self.witness.take(log_id.index));
            self.state.applied.send_modify(|count| *count += 1);
            if let Some(responder) = responder {
                responder.send(applied);
            }
        }
        Ok(())
    }

    async fn get_snapshot_builder(&mut self) -> Self {
        self.clone()
    }

    async fn install_snapshot(&mut self, meta: &SnapshotMeta, snapshot: SnapshotData) -> Result<(), io::Error> {
        let position: Position<M> = decode(&snapshot)?;
        self.save(meta, snapshot).await?;
        let seen = self.witness.now(false);
        let mut current = self.state.position();
        *current = Position { seen: Some(seen.after(current.seen)), ..position };
        drop(current);
        self.state.applied.send_modify(|count| *count += 1);
        Ok(())
    }

    async fn get_current_snapshot(&mut self) -> Result<Option<SnapshotOf<Raft, SnapshotData>>, io::Error> {
        let Some(saved) = self.storage.load_snapshot(self.group).await.map_err(io::Error::other)? else {
            return Ok(None);
        };
        let meta = decode(&saved.meta)?;
        Ok(Some(SnapshotOf::<Raft, SnapshotData> { meta, snapshot: saved.data }))
    }
}
