//! A machine's disk: what was synced survives a loss of power, of the rest a prefix does, and the disk may be slow, full or broken.

use std::collections::VecDeque;
use std::ops::{Range, RangeInclusive};
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::sleep;
use tollgate_storage::{
    Completion, GroupId, LogBatch, MemoryStorage, MetadataKey, Promise, Snapshot, Storage, StorageError, StorageHealth,
};

use crate::kernel::Ms;
use crate::random::Random;

/// How often a full disk is looked at.
const FULL_PAUSE: Duration = Duration::from_millis(5);

/// How a disk does.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) enum Condition {
    /// A sync takes a millisecond at most.
    #[default]
    Well,
    /// A sync takes so long at most.
    Slow(Ms),
    /// Writes wait for space.
    Full,
    /// Every operation fails, until the process is started anew.
    Failed,
}

/// The disk of a machine. Clones are the same one.
#[derive(Clone)]
pub(crate) struct Disk(Arc<Mutex<State>>);

struct State {
    random: Random,
    condition: Condition,
    /// What readers see.
    present: MemoryStorage,
    /// What no loss of power takes away.
    durable: MemoryStorage,
    /// What was written since the last sync, in order.
    unsynced: VecDeque<LogBatch>,
    /// Whether somebody waits for a sync that is under way.
    is_syncing: bool,
    /// Snapshots that are being saved.
    saving: Vec<(GroupId, Snapshot)>,
}

/// What the disk is asked to do.
enum LogRequest {
    Write(LogBatch, Promise),
    Sync(Promise),
}

struct SaveRequest(GroupId, Snapshot, Promise);

impl Disk {
    /// An empty disk.
    pub(crate) fn new(seed: u64, node: u64) -> Self {
        Self(Arc::new(Mutex::new(State {
            random: Random::new(seed, &format!("disk {node}")),
            condition: Condition::Well,
            present: MemoryStorage::new(),
            durable: MemoryStorage::new(),
            unsynced: VecDeque::new(),
            is_syncing: false,
            saving: Vec::new(),
        })))
    }

    /// Opens the disk for a process; to be called in its runtime.
    pub(crate) fn open(&self) -> OpenDisk {
        let (log, log_requests) = mpsc::unbounded_channel();
        let (snapshots, save_requests) = mpsc::unbounded_channel();
        tokio::spawn(serve_log(self.clone(), log_requests));
        tokio::spawn(serve_snapshots(self.clone(), save_requests));
        OpenDisk { disk: self.clone(), log, snapshots }
    }

    /// The entries of this range that the log of a group has, each with its index, as a reader would see them.
    pub(crate) fn log(&self, group: GroupId, range: Range<u64>) -> Vec<(u64, Vec<u8>)> {
        answer(self.state().present.entries(group, range)).expect("what is in memory can be read")
    }

    /// Changes how the disk does.
    pub(crate) fn set_condition(&self, condition: Condition) {
        self.state().condition = condition;
    }

    /// The disk is well again.
    pub(crate) fn set_condition_well(&self) {
        let mut state = self.state();
        // One that has failed stays so for the process that saw it fail.
        if state.condition != Condition::Failed {
            state.condition = Condition::Well;
        }
    }

    /// Whether a loss of power would take something away now that somebody waits to be durable.
    pub(crate) fn is_syncing(&self) -> bool {
        self.state().is_syncing
    }

    /// The machine loses power: of what was not synced a prefix is left, and of the snapshots that were being saved any.
    pub(crate) fn lose_power(&self) {
        let mut state = self.state();
        let State { random, durable, unsynced, saving, .. } = &mut *state;
        // Nothing at all as often as anything else: that hurts.
        let kept = if random.happens(500_000) { 0 } else { random.within(0..=unsynced.len() as u64) as usize };
        for batch in unsynced.drain(..).take(kept) {
            written(durable.write(batch));
        }
        for (group, snapshot) in saving.drain(..) {
            if random.happens(500_000) {
                written(durable.save_snapshot(group, snapshot));
            }
        }
        state.present = state.durable.fork();
        state.revive();
    }

    /// The process is killed: what it wrote is there, and what it was about to write is not.
    pub(crate) fn lose_process(&self) {
        let mut state = self.state();
        state.saving.clear();
        state.revive();
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_full(&self) -> bool {
        self.state().condition == Condition::Full
    }

    /// How long an operation takes.
    fn latency(&self) -> Duration {
        let mut state = self.state();
        let longest = match state.condition {
            Condition::Slow(longest) => longest,
            Condition::Well | Condition::Full | Condition::Failed => 1,
        };
        Duration::from_millis(state.random.within(0..=longest))
    }
}

/// What memory answers, which it does at once.
fn answer<T>(completion: Completion<T>) -> Result<T, StorageError> {
    match pin!(completion).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(answer) => answer,
        Poll::Pending => unreachable!("memory answers at once"),
    }
}

/// Of what was done to one copy already.
fn written(completion: Completion) {
    answer(completion).expect("what fitted the log fits its copy");
}

impl State {
    fn check(&self) -> Result<(), StorageError> {
        if self.condition == Condition::Failed {
            return Err(StorageError::Failed { reason: "an input/output error".to_owned() });
        }
        Ok(())
    }

    /// A disk that has failed is replaced, or was only loosely connected.
    fn revive(&mut self) {
        if self.condition == Condition::Failed {
            self.condition = Condition::Well;
        }
        self.is_syncing = false;
    }

    fn write(&mut self, batch: LogBatch, promise: Promise) {
        let answer = self.check().and_then(|()| answer(self.present.write(batch.clone())));
        if answer.is_ok() {
            self.unsynced.push_back(batch);
        }
        promise.resolve(answer);
    }

    fn sync(&mut self, promises: Vec<Promise>) {
        let answer = self.check();
        if answer.is_ok() {
            self.unsynced.drain(..).for_each(|batch| written(self.durable.write(batch)));
        }
        self.is_syncing = false;
        promises.into_iter().for_each(|promise| promise.resolve(answer.clone()));
    }

    fn save(&mut self, group: GroupId, snapshot: Snapshot, promise: Promise) {
        let answer = self.check();
        if answer.is_ok() {
            written(self.present.save_snapshot(group, snapshot.clone()));
            written(self.durable.save_snapshot(group, snapshot));
        }
        self.saving.clear();
        promise.resolve(answer);
    }
}

/// Serves the log: what is written is there at once, and all that waits for a sync when the disk becomes free waits for the same one.
async fn serve_log(disk: Disk, mut requests: mpsc::UnboundedReceiver<LogRequest>) {
    while let Some(first) = requests.recv().await {
        let mut syncs = Vec::new();
        let mut next = Some(first);
        while let Some(request) = next {
            match request {
                LogRequest::Write(batch, promise) => {
                    disk.wait_for_space().await;
                    disk.state().write(batch, promise);
                }
                LogRequest::Sync(promise) => syncs.push(promise),
            }
            next = requests.try_recv().ok();
        }
        if !syncs.is_empty() {
            disk.state().is_syncing = true;
            disk.work().await;
            disk.state().sync(syncs);
        }
    }
}

async fn serve_snapshots(disk: Disk, mut requests: mpsc::UnboundedReceiver<SaveRequest>) {
    while let Some(SaveRequest(group, snapshot, promise)) = requests.recv().await {
        disk.state().saving.push((group, snapshot.clone()));
        disk.work().await;
        disk.wait_for_space().await;
        disk.state().save(group, snapshot, promise);
    }
}

impl Disk {
    /// An operation takes its time.
    async fn work(&self) {
        let latency = self.latency();
        if !latency.is_zero() {
            sleep(latency).await;
        }
    }

    async fn wait_for_space(&self) {
        while self.is_full() {
            sleep(FULL_PAUSE).await;
        }
    }
}

/// A disk as a process has it open.
pub(crate) struct OpenDisk {
    disk: Disk,
    log: mpsc::UnboundedSender<LogRequest>,
    snapshots: mpsc::UnboundedSender<SaveRequest>,
}

impl Storage for OpenDisk {
    fn write(&self, batch: LogBatch) -> Completion {
        let (promise, completion) = Completion::pending();
        drop(self.log.send(LogRequest::Write(batch, promise)));
        completion
    }

    fn sync(&self) -> Completion {
        let (promise, completion) = Completion::pending();
        drop(self.log.send(LogRequest::Sync(promise)));
        completion
    }

    fn entries(&self, group: GroupId, range: Range<u64>) -> Completion<Vec<(u64, Vec<u8>)>> {
        self.disk.state().present.entries(group, range)
    }

    fn log_bounds(&self, group: GroupId) -> Option<RangeInclusive<u64>> {
        self.disk.state().present.log_bounds(group)
    }

    fn metadata(&self, group: GroupId, key: MetadataKey) -> Option<Vec<u8>> {
        self.disk.state().present.metadata(group, key)
    }

    fn save_snapshot(&self, group: GroupId, snapshot: Snapshot) -> Completion {
        let (promise, completion) = Completion::pending();
        drop(self.snapshots.send(SaveRequest(group, snapshot, promise)));
        completion
    }

    fn load_snapshot(&self, group: GroupId) -> Completion<Option<Snapshot>> {
        self.disk.state().present.load_snapshot(group)
    }

    fn groups_to_purge(&self) -> Vec<GroupId> {
        Vec::new()
    }

    fn health(&self) -> StorageHealth {
        match self.disk.state().condition {
            Condition::Well | Condition::Slow(_) => StorageHealth::Healthy,
            Condition::Full => StorageHealth::Full { reason: "no space left on device".to_owned() },
            Condition::Failed => StorageHealth::Failed { reason: "an input/output error".to_owned() },
        }
    }
}
