//! The engine of a replay: requests and their times in, what every limit says out.
//!
//! It knows nothing of logs and reports. It decides as a node does that is asked the same requests at the same times and
//! whose commits take no time; `tests::live` holds the two against each other.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use tollgate_limiter::{
    Budget, Decision, Key, LeaderOptions, Limit, LimitId, Limits, Receipt, Refusal, ShardId, ShardTime,
};

use super::logged_request::LoggedRequest;
use super::shard::{Asked, Shard};

/// The most commits that a request waits for, and that are made behind it. One or two are enough for every algorithm; a
/// node waits for no more than its deadline allows either.
const MOST_COMMITS: usize = 8;

/// How long a commit is thought to take before one is measured, in nanoseconds: as on a node.
const FIRST_COMMIT_NS: i64 = 1_000_000;

/// Settings of a node that its decisions depend on.
#[derive(Clone, Debug)]
pub(super) struct ReplayerOptions {
    /// The limits, with distinct names.
    pub(super) limits: Vec<Limit>,
    /// How many shards the buckets are spread over; at least 1.
    pub(super) shards: u32,
    /// How far ahead of now buckets may be spent without asking their group, in nanoseconds.
    pub(super) horizon_lead_ns: i64,
    /// The most buckets that are held.
    pub(super) max_buckets: u64,
}

/// Decides requests by the real limiter, at the times that they come with.
pub(super) struct Replayer {
    limits: Limits,
    leader: LeaderOptions,
    shard_count: u32,
    /// Empty until the first request, whose time they begin at.
    shards: Vec<Shard>,
    /// The latest time that a request came with.
    now: ShardTime,
}

/// The answer to a request.
#[derive(Clone, Debug)]
pub(super) struct Ruling {
    /// When it was decided: the request's time, or the latest of those before it.
    pub(super) at: ShardTime,
    /// Whether the request may pass.
    pub(super) allowed: bool,
    /// What every limit said that the request met, in the order of their names.
    pub(super) limits: Vec<LimitRuling>,
}

/// What one limit says to a request.
#[derive(Clone, Debug)]
pub(super) struct LimitRuling {
    /// The limit's number.
    pub(super) id: LimitId,
    /// The limit.
    pub(super) limit: Arc<Limit>,
    /// The bucket.
    pub(super) key: Key,
    /// Whether it lets the request pass. A limit in shadow may say no and the request passes all the same.
    pub(super) allowed: bool,
}

/// As many buckets are held as may be: a node answers 503.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("as many buckets are held as max_buckets allows")]
pub(super) struct NoRoom;

impl Replayer {
    /// An engine whose buckets are all whole.
    pub(super) fn new(options: ReplayerOptions) -> Self {
        // In the order in which a node numbers the limits of its file.
        let mut in_order = options.limits;
        in_order.sort_by(|left, right| left.name.cmp(&right.name));
        let mut limits = Limits::default();
        in_order.into_iter().for_each(|limit| limits.put(limit));
        let leader = LeaderOptions {
            horizon_lead_ns: options.horizon_lead_ns,
            commit_ns: FIRST_COMMIT_NS,
            budget: Budget::new(options.max_buckets),
        };
        Self { limits, leader, shard_count: options.shards.max(1), shards: Vec::new(), now: ShardTime::MIN }
    }

    /// The limits that it decides by.
    pub(super) fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Decides a request that came at `at`. Time only moves forward: a request that comes with an earlier time than one
    /// before it is decided at the time that was reached.
    ///
    /// # Errors
    /// As many buckets are held as may be; then nothing was charged.
    pub(super) fn decide(&mut self, at: ShardTime, request: &LoggedRequest) -> Result<Ruling, NoRoom> {
        self.advance(at);
        let matching = self.limits.matching(request.prefix(), |name| request.label(name));
        let mut asks: Vec<Asked> = matching.map(Asked::new).collect();
        self.ask_shards(&mut asks);
        let has_room = !asks.iter().any(|asked| asked.decision == Some(Decision::Refused(Refusal::NoRoom)));
        let allowed = has_room && !asks.iter().any(denies);
        if !allowed && asks.len() > 1 {
            self.give_back(&asks);
        }
        self.finish(&asks);
        let limits = asks.into_iter().filter_map(ruling_of).collect();
        if has_room { Ok(Ruling { at: self.now, allowed, limits }) } else { Err(NoRoom) }
    }

    fn advance(&mut self, at: ShardTime) {
        self.now = self.now.max(at);
        if self.shards.is_empty() {
            let shard = |_| Shard::start(self.now, &self.limits, self.leader.clone());
            self.shards = (0..self.shard_count).map(shard).collect();
        }
    }

    /// Asks every shard for all that the request wants of it, and waits for the grants that it needs.
    fn ask_shards(&mut self, asks: &mut [Asked]) {
        let (now, count) = (self.now, self.shard_count);
        let mut by_shard: BTreeMap<ShardId, Vec<&mut Asked>> = BTreeMap::new();
        for asked in asks {
            by_shard.entry(asked.matched.key.shard(count)).or_default().push(asked);
        }
        by_shard.iter_mut().for_each(|(shard, asks)| self.shard(*shard).decide(now, asks));
        for _ in 0..MOST_COMMITS {
            if by_shard.values().flatten().all(|asked| asked.decision.is_some()) {
                return;
            }
            for (shard, asks) in &mut by_shard {
                self.shard(*shard).complete(now, asks);
            }
        }
        by_shard.iter_mut().for_each(|(shard, asks)| self.shard(*shard).decide_alone(now, asks));
    }

    /// Commits what is left to commit: between two requests of a log there is time for that.
    fn finish(&mut self, asks: &[Asked]) {
        let (now, count) = (self.now, self.shard_count);
        let shards: BTreeSet<ShardId> = asks.iter().map(|asked| asked.matched.key.shard(count)).collect();
        for shard in shards {
            let shard = self.shard(shard);
            for _ in 0..MOST_COMMITS {
                if !shard.complete(now, &mut []) {
                    break;
                }
            }
        }
    }

    fn shard(&mut self, shard: ShardId) -> &mut Shard {
        self.shards.get_mut(shard as usize).expect("a key's shard is below their number, and all are started")
    }

    /// Gives back what was taken: all limits are charged or none.
    fn give_back(&mut self, asks: &[Asked]) {
        let mut by_shard: BTreeMap<ShardId, Vec<Receipt>> = BTreeMap::new();
        for receipt in asks.iter().filter_map(receipt_of) {
            by_shard.entry(receipt.key.shard(self.shard_count)).or_default().push(receipt);
        }
        let now = self.now;
        for (shard, receipts) in by_shard {
            self.shard(shard).give_back(now, &receipts);
        }
    }
}

/// Whether the request may not pass because of this limit.
fn denies(asked: &Asked) -> bool {
    matches!(asked.decision, Some(Decision::Denied(_))) && !asked.matched.limit.shadow
}

fn receipt_of(asked: &Asked) -> Option<Receipt> {
    match asked.decision {
        Some(Decision::Admitted(_, receipt)) => Some(receipt),
        Some(Decision::Denied(_) | Decision::Refused(_) | Decision::Wait(_)) | None => None,
    }
}

fn ruling_of(asked: Asked) -> Option<LimitRuling> {
    let allowed = match asked.decision {
        Some(Decision::Admitted(..)) => true,
        Some(Decision::Denied(_)) => false,
        Some(Decision::Refused(_) | Decision::Wait(_)) | None => return None,
    };
    Some(LimitRuling { id: asked.matched.id, limit: asked.matched.limit, key: asked.matched.key, allowed })
}
