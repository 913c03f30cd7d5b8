//! What the leader of a shard keeps in memory: what it has spent of its grants.

mod budget;
mod paced;
mod permitted;
mod refunds;
mod spending;
mod wanted;
mod windowed;

use std::collections::BTreeMap;
use std::hint::black_box;

use serde::{Deserialize, Serialize};

pub use budget::Budget;

use crate::state::pace_of;
use crate::window::{SliceGrant, WindowRule};
use crate::{
    Algorithm, Command, Consistency, Grants, Key, LimitId, PermitId, Receipt, Settlement, SettlementId, Shape,
    ShardTime, SpentAt, Stamp, State,
};
use spending::Spending;
use wanted::{Committed, Wanted};

/// A request for units of one bucket.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Ask {
    /// The limit.
    pub limit: LimitId,
    /// The bucket.
    pub key: Key,
    /// Units asked for; 0 looks without taking.
    pub cost: u64,
    /// What the limit promises about crashes.
    pub consistency: Consistency,
    /// Units of others that wait for their turn at this bucket: while there are any, nobody passes them.
    pub ahead: u64,
    /// The permit that the last decision on this request told it to wait for.
    pub permit: Option<PermitId>,
}

/// What became of an [`Ask`].
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Decision {
    /// The units are taken.
    Admitted(Standing, Receipt),
    /// They do not fit now; nothing has changed.
    Denied(Standing),
    /// They would fit, but the leader has no right to give them yet: [`Leader::proposal`] asks for it, and the request is to
    /// be decided again when that is committed, with the permit that is named here.
    Wait(Option<PermitId>),
    /// It cannot be decided.
    Refused(Refusal),
}

/// Why an [`Ask`] was not decided.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize, thiserror::Error)]
pub enum Refusal {
    /// The cost is above what the bucket can ever hold.
    #[error("a cost above {capacity} never fits")]
    NeverFits {
        /// What the bucket can hold.
        capacity: u64,
    },
    /// The node holds as many buckets as it may. Forgetting a spent one would refill it, so a new one is refused.
    #[error("the node holds as many buckets as max_buckets allows")]
    NoRoom,
    /// The shard knows no such limit (any more).
    #[error("the limit is gone")]
    UnknownLimit,
}

/// How a bucket stands.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Standing {
    /// The most units it can hold.
    pub limit: u64,
    /// Units left.
    pub remaining: u64,
    /// Nanoseconds after which this request, asked again alone, is admitted; 0 when it was. Where none was asked for, as many
    /// as until one unit is there.
    pub retry_after_ns: i64,
    /// Nanoseconds after which the bucket is whole again if nobody asks.
    pub reset_after_ns: i64,
}

/// Settings of a leader.
#[derive(Clone, Debug)]
pub struct LeaderOptions {
    /// How far ahead of now the horizon is renewed, in nanoseconds: what every bucket may lose in a failover.
    pub horizon_lead_ns: i64,
    /// How long a commit takes, in nanoseconds: single grants are sized by it.
    pub commit_ns: i64,
    /// How many buckets the node may hold.
    pub budget: Budget,
}

/// Spends without a grant, because the group cannot commit: the node takes its share of the limit.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Unreplicated {
    /// Of so many nodes each takes one share; at least 1. A unit costs so many units here.
    pub nodes: u64,
}

/// The leader's memory of one shard, for one leadership.
#[derive(Debug)]
pub struct Leader {
    leadership: u64,
    options: LeaderOptions,
    limits_version: Option<u64>,
    limits: BTreeMap<LimitId, Spending>,
    wanted: Wanted,
    /// Settlements that are done here and not yet committed, each with its reservation's end.
    settling: BTreeMap<SettlementId, ShardTime>,
    /// When buckets were reset: what was taken up to then is not given back once more.
    resets: BTreeMap<(LimitId, Key), ShardTime>,
    /// Version of the limits of a change that is in flight.
    reshaping: Option<u64>,
    /// Something was spent since the horizon was renewed.
    active: bool,
    /// The limit whose buckets are swept next.
    sweep_next: LimitId,
    /// Buckets that the budget counts for this leader.
    holding: u64,
}

impl Leader {
    /// The memory of the leadership with this number, which has spent nothing.
    pub fn new(leadership: u64, options: LeaderOptions) -> Self {
        Self {
            leadership,
            options,
            limits_version: None,
            limits: BTreeMap::new(),
            wanted: Wanted::new(leadership),
            settling: BTreeMap::new(),
            resets: BTreeMap::new(),
            reshaping: None,
            active: false,
            sweep_next: LimitId::default(),
            holding: 0,
        }
    }

    /// Tells how long a commit takes, in nanoseconds.
    pub fn set_commit_ns(&mut self, commit_ns: i64) {
        self.options.commit_ns = commit_ns;
    }

    /// Catches up with the state. `false` when this leadership is over: then nothing may be decided any more.
    ///
    /// To be called after each command that was applied, before any other call.
    pub fn follow(&mut self, state: &State) -> bool {
        if state.leadership() != self.leadership {
            return false;
        }
        if self.limits_version != Some(state.limits_version()) {
            self.limits_version = Some(state.limits_version());
            self.reshaping = self.reshaping.filter(|version| state.limits_version() < *version);
            let mut before = std::mem::take(&mut self.limits);
            for (id, limit) in state.limits() {
                let spending = before.remove(&id).map_or_else(|| Spending::new(limit), |old| old.reshaped(limit));
                self.limits.insert(id, spending);
            }
        }
        true
    }

    /// Decides one request at `now`.
    ///
    /// `unreplicated` decides from memory alone, without the rights that a group would have to grant.
    pub fn decide(&mut self, state: &State, now: ShardTime, ask: &Ask, unreplicated: Option<Unreplicated>) -> Decision {
        let is_in_between = self.is_in_between(ask);
        let (Some(granted), Some(spending)) = (state.limit(ask.limit), self.limits.get_mut(&ask.limit)) else {
            return Decision::Refused(Refusal::UnknownLimit);
        };
        let capacity = granted.algorithm.capacity();
        if ask.cost > capacity {
            return Decision::Refused(Refusal::NeverFits { capacity });
        }
        if is_in_between && unreplicated.is_none() {
            return Decision::Wait(None);
        }
        let mut desk = Desk {
            now,
            ask,
            unreplicated,
            horizon: state.horizon(),
            leadership: self.leadership,
            options: &self.options,
            granted,
            wanted: &mut self.wanted,
            holding: &mut self.holding,
        };
        let decision = desk.decide(spending);
        self.active |= decision.spends();
        decision
    }

    /// Has the processor fetch what decisions on these buckets will look at.
    ///
    /// Buckets lie far apart, and a decision on a cold one waits for memory most of its time. To be called with a whole batch
    /// before it is decided, so that its buckets are waited for together.
    pub fn fetch(&self, buckets: impl Iterator<Item = (LimitId, Key)>) {
        let mut last: Option<(LimitId, &Spending)> = None;
        let touched = buckets.fold(0, |touched, (id, key)| {
            if last.is_none_or(|(last, _)| last != id) {
                last = self.limits.get(&id).map(|spending| (id, spending));
            }
            touched ^ last.map_or(0, |(_, spending)| spending.touch(key))
        });
        black_box(touched);
    }

    /// Whether the request has to wait for a change in flight of what it would spend from: what was spent meanwhile would
    /// count neither before the change nor after it.
    fn is_in_between(&self, ask: &Ask) -> bool {
        let spends_exactly = ask.cost > 0 && ask.consistency == Consistency::Exact;
        spends_exactly && (self.reshaping.is_some() || self.wanted.is_resetting(ask.limit, ask.key))
    }

    /// Gives back `units` of what `receipt` proves was taken, as far as they have not refilled since, and returns how many that
    /// were. Nothing comes back of what an earlier leadership gave, which counts as spent.
    pub fn give_back(&mut self, state: &State, now: ShardTime, receipt: &Receipt, units: u64) -> u64 {
        let (Some(granted), Some(spending)) = (state.limit(receipt.limit), self.limits.get_mut(&receipt.limit)) else {
            return 0;
        };
        let units = units.min(receipt.units);
        match receipt.spent {
            // A permit stands in the replicated state, so any later leader can take it back; it comes back whole.
            SpentAt::Permit(permit) => {
                self.wanted.release(receipt.limit, receipt.key, permit);
                let out = granted.permits(receipt.key).iter().find(|out| out.id == permit && out.expires > now);
                out.map_or(0, |out| out.units)
            }
            SpentAt::Interval { .. } | SpentAt::Slice { .. } | SpentAt::Nothing => {
                let ours = receipt.leadership == self.leadership && receipt.generation == granted.generation;
                let reset = self.resets.get(&(receipt.limit, receipt.key));
                let counts = ours && units > 0 && reset.is_none_or(|reset| receipt.taken > *reset);
                if counts { spending.give_back(granted, receipt, units, now) } else { 0 }
            }
        }
    }

    /// Gives back a permit that was asked for on behalf of a request that has gone.
    pub fn release(&mut self, limit: LimitId, key: Key, permit: PermitId) {
        self.wanted.release(limit, key, permit);
    }

    /// Gives back or charges the difference between what was reserved and what it cost, once.
    ///
    /// The effect holds at once; it may be told to the client when the next proposal is committed. Returns how many units came
    /// back to the bucket.
    ///
    /// # Errors
    /// A settlement that was done before, or that comes too late.
    pub fn settle(&mut self, state: &State, now: ShardTime, settlement: &Settlement) -> Result<u64, SettleError> {
        if state.is_settled(settlement.id) {
            return Err(SettleError::AlreadySettled);
        }
        if self.settling.contains_key(&settlement.id) {
            return Err(SettleError::UnderWay);
        }
        if settlement.expires <= now {
            return Err(SettleError::Expired);
        }
        self.settling.insert(settlement.id, settlement.expires);
        self.wanted.settle(settlement.id, settlement.expires);
        let receipt = &settlement.receipt;
        if matches!(receipt.spent, SpentAt::Permit(_)) || settlement.actual <= receipt.units {
            Ok(self.give_back(state, now, receipt, receipt.units.saturating_sub(settlement.actual)))
        } else {
            self.charge_debt(state, now, receipt, settlement.actual - receipt.units);
            Ok(0)
        }
    }

    /// Takes units that were used already, whether or not they fit.
    fn charge_debt(&mut self, state: &State, now: ShardTime, receipt: &Receipt, units: u64) {
        let (Some(granted), Some(spending)) = (state.limit(receipt.limit), self.limits.get_mut(&receipt.limit)) else {
            return;
        };
        self.active = true;
        spending.charge_debt(granted, receipt.key, units, now);
        self.wanted.owe(receipt.limit, receipt.key);
    }

    /// Makes a bucket whole. Holds when the next proposal is committed; until then exact requests for the bucket wait.
    pub fn reset(&mut self, limit: LimitId, key: Key, now: ShardTime) {
        if let Some(spending) = self.limits.get_mut(&limit) {
            spending.reset(key);
            self.wanted.reset(limit, key);
            self.resets.insert((limit, key), now);
        }
    }

    /// The command that has the shard count by `shapes`; their `version` must be later than the state's.
    ///
    /// Like a proposal, it must be the only command in flight. Until [`Leader::follow`] sees it applied, exact requests wait
    /// and [`Leader::proposal`] gives nothing: figures of the old limits must not meet the new ones.
    pub fn reshape(&mut self, stamp: Stamp, version: u64, shapes: Vec<Shape>) -> Command {
        self.reshaping = Some(version);
        Command::Reshape { leadership: self.leadership, stamp, version, shapes }
    }

    /// Everything that is due, as one command. Not to be called again before [`Leader::granted`] is.
    ///
    /// `None` when nothing is due: whoever waits then waits for nothing, and is to be decided again at once; or when a
    /// change of the limits is in flight.
    pub fn proposal(&mut self, state: &State, stamp: Stamp) -> Option<Command> {
        if self.reshaping.is_some() {
            return None;
        }
        let horizon = self.due_horizon(state, stamp.at);
        let covered = state.horizon().max(horizon.unwrap_or(ShardTime::MIN));
        let mut grants = self.wanted.take();
        grants.horizon = horizon;
        for (id, key, want) in self.wanted.take_buckets() {
            let (Some(granted), Some(spending)) = (state.limit(id), self.limits.get_mut(&id)) else { continue };
            let bucket = Bucket { limit: id, key, granted, is_reset: self.wanted.is_resetting(id, key) };
            spending.grants_for(&mut grants, &bucket, want, &self.options, covered, stamp.at);
        }
        for (id, key) in self.wanted.take_trims(!grants.is_empty()) {
            let (Some(granted), Some(spending)) = (state.limit(id), self.limits.get(&id)) else { continue };
            if let Some(ceiling) = spending.trimmed_ceiling(granted, key, &self.options) {
                grants.ceilings.push((id, key, ceiling));
                self.wanted.trimming(id, key);
            }
        }
        let command = Command::Grant { leadership: self.leadership, stamp, grants };
        matches!(&command, Command::Grant { grants, .. } if !grants.is_empty()).then_some(command)
    }

    /// The command of the last [`Leader::proposal`] is committed and applied. Whoever waits is to be decided again now, whether
    /// or not it asked in time for that command. Returns the buckets to which permits have come back.
    pub fn granted(&mut self, state: &State) -> Vec<(LimitId, Key)> {
        let now = state.stamp().map_or(ShardTime::MIN, |stamp| stamp.at);
        let Committed { released, spare } = self.wanted.granted();
        for (id, key) in spare {
            if let (Some(granted), Some(spending)) = (state.limit(id), self.limits.get_mut(&id)) {
                spending.forget_if_spare(granted, key, now);
            }
        }
        self.settling.retain(|id, expires| !state.is_settled(*id) && *expires > now);
        released
    }

    fn due_horizon(&mut self, state: &State, now: ShardTime) -> Option<ShardTime> {
        let lead_ns = self.options.horizon_lead_ns;
        let spends_ahead = state.limits().any(|(_, limit)| pace_of(&limit.algorithm).is_some());
        let due = self.active && spends_ahead && state.horizon().since(now) < lead_ns / 2;
        self.active &= !due;
        due.then(|| now.plus(lead_ns))
    }

    /// Looks at about `keys` buckets of a limit and forgets those that are whole; none while a change of the limits is in
    /// flight, which counts from when it was proposed: what has refilled since may not have by the new pace.
    pub fn forget(&mut self, state: &State, now: ShardTime, keys: usize) {
        if self.reshaping.is_some() {
            return;
        }
        self.forget_resets(state, now);
        let next = self.limits.range(self.sweep_next..).next().or_else(|| self.limits.iter().next());
        let Some(id) = next.map(|(id, _)| *id) else { return };
        self.sweep_next = LimitId(id.0.wrapping_add(1));
        if let (Some(granted), Some(spending)) = (state.limit(id), self.limits.get_mut(&id)) {
            let is_in_flight = |key| self.wanted.is_in_flight(id, key);
            let trimmable = spending.forget(granted, &self.options, now, keys, is_in_flight);
            self.wanted.trim(id, trimmable);
        }
    }

    /// What was taken before a reset counts for at most a window and a slice of it.
    fn forget_resets(&mut self, state: &State, now: ShardTime) {
        self.resets.retain(|(id, _), at| {
            let window_ns = state.limit(*id).map_or(0, |limit| limit.algorithm.window_ns());
            now.since(*at) < window_ns.saturating_mul(2)
        });
    }

    /// Tells the budget how many buckets this shard holds.
    ///
    /// Nearly every bucket of a limit that stands in the one table stands in the other, or nearly none does: those of a slow pace
    /// stand in the state alone, those of a fast one in the leader's memory, and what spends ahead in both. So the
    /// longer table counts; where a limit is used both ways, up to half of its buckets are not counted.
    pub fn report(&mut self, state: &State) {
        let held = |(id, spending): (&LimitId, &Spending)| {
            state.limit(*id).map_or(0, crate::state::LimitState::buckets).max(spending.len())
        };
        let holding = self.limits.iter().map(held).sum::<usize>() as u64 + self.wanted.new_buckets();
        self.options.budget.replace(self.holding, holding);
        self.holding = holding;
    }

    /// Ends the spending: grants that equal exactly what was spent, in commands of at most `most` buckets, and the command that ends
    /// the leadership. When all are committed in this order, the next leader continues without a loss. To be called while no
    /// other command is in flight.
    pub fn hand_over(mut self, state: &State, stamp: Stamp, most: usize) -> Vec<Command> {
        let mut all = self.wanted.take();
        for (id, spending) in &self.limits {
            if let Some(granted) = state.limit(*id) {
                spending.exact_grants(&mut all, *id, granted, stamp.at);
            }
        }
        let leadership = self.leadership;
        let grant = |grants| Command::Grant { leadership, stamp, grants };
        let mut commands: Vec<_> = all.chunks(most).into_iter().map(grant).collect();
        commands.push(Command::HandOver { leadership, stamp });
        commands
    }
}

impl Drop for Leader {
    fn drop(&mut self) {
        self.options.budget.replace(self.holding, 0);
    }
}

/// Why a settlement was not done.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize, thiserror::Error)]
pub enum SettleError {
    /// It was done before.
    #[error("the reservation is settled already")]
    AlreadySettled,
    /// It is done and not committed yet.
    #[error("the reservation is being settled")]
    UnderWay,
    /// It came after the reservation's end.
    #[error("the reservation has expired")]
    Expired,
}

/// All that one decision looks at.
struct Desk<'a> {
    now: ShardTime,
    ask: &'a Ask,
    unreplicated: Option<Unreplicated>,
    horizon: ShardTime,
    leadership: u64,
    options: &'a LeaderOptions,
    granted: &'a crate::state::LimitState,
    wanted: &'a mut Wanted,
    holding: &'a mut u64,
}

impl Decision {
    /// Whether units were taken, or will be.
    fn spends(&self) -> bool {
        match self {
            Self::Admitted(_, receipt) => receipt.units > 0,
            Self::Wait(_) => true,
            Self::Denied(_) | Self::Refused(_) => false,
        }
    }
}

impl Desk<'_> {
    fn decide(&mut self, spending: &mut Spending) -> Decision {
        match (&self.granted.algorithm, spending) {
            (Algorithm::TokenBucket(pace), Spending::Paced(_, arrivals, refunds)) => {
                self.decide_paced(*pace, paced::Passing::WithinBurst, arrivals, refunds)
            }
            (Algorithm::LeakyBucket(pace), Spending::Paced(_, arrivals, refunds)) => {
                self.decide_paced(*pace, paced::Passing::OneByOne, arrivals, refunds)
            }
            (Algorithm::SlidingWindow(quota), Spending::Windowed(_, uses)) => {
                self.decide_windowed(WindowRule::Sliding(*quota), uses)
            }
            (Algorithm::FixedWindow(quota, calendar), Spending::Windowed(_, uses)) => {
                self.decide_windowed(WindowRule::Fixed(*quota, *calendar), uses)
            }
            (Algorithm::Concurrency { permits, ttl_ns }, Spending::Permitted) => self.decide_permit(*permits, *ttl_ns),
            _ => Decision::Refused(Refusal::UnknownLimit),
        }
    }

    /// What a unit of cost takes: one unit, or the shares of all nodes when this one decides alone.
    fn units(&self) -> u64 {
        self.ask.cost.saturating_mul(self.unreplicated.map_or(1, |unreplicated| unreplicated.nodes))
    }

    /// Whether units may only be given if they were granted before.
    fn needs_grant(&self) -> bool {
        self.unreplicated.is_none() && self.ask.consistency == Consistency::Exact
    }

    /// Whether there is room for the bucket, if nothing is known of it yet.
    fn has_room(&self, is_new: bool) -> bool {
        !is_new || self.wanted.is_wanted(self.ask.limit, self.ask.key) || self.options.budget.has_room()
    }

    /// Counts a bucket that nothing was known of.
    fn claim_room(&mut self) {
        self.options.budget.replace(0, 1);
        *self.holding += 1;
    }

    /// The request waits for a grant; `is_new` if the bucket has to be counted.
    fn wait_for_grant(&mut self, is_new: bool) -> Decision {
        let (limit, key) = (self.ask.limit, self.ask.key);
        if is_new && !self.wanted.is_wanted(limit, key) {
            self.claim_room();
            self.wanted.count_new_bucket();
        }
        self.wanted.wait_for(limit, key, self.ask.cost);
        Decision::Wait(None)
    }

    fn admitted(&self, standing: Standing, units: u64, spent: SpentAt) -> Decision {
        let Ask { limit, key, .. } = *self.ask;
        let (leadership, generation) = (self.leadership, self.granted.generation);
        Decision::Admitted(standing, Receipt { limit, key, units, spent, taken: self.now, leadership, generation })
    }
}

/// A bucket, and what is granted to it.
struct Bucket<'a> {
    limit: LimitId,
    key: Key,
    granted: &'a crate::state::LimitState,
    /// Its grants are forgotten by the very entry that is being made.
    is_reset: bool,
}

impl Bucket<'_> {
    fn ceiling(&self) -> Option<ShardTime> {
        self.granted.ceiling(self.key).filter(|_| !self.is_reset)
    }

    fn slices(&self) -> &[SliceGrant] {
        if self.is_reset { &[] } else { self.granted.slices(self.key) }
    }
}

impl Grants {
    /// Splits into parts of at most `most` buckets each, what is not of a bucket in the first.
    fn chunks(mut self, most: usize) -> Vec<Self> {
        let mut ceilings = std::mem::take(&mut self.ceilings).into_iter().peekable();
        let mut slices = std::mem::take(&mut self.slices).into_iter().peekable();
        let mut chunks = if self.is_empty() { Vec::new() } else { vec![self] };
        while ceilings.peek().is_some() || slices.peek().is_some() {
            chunks.push(Self {
                ceilings: ceilings.by_ref().take(most).collect(),
                slices: slices.by_ref().take(most).collect(),
                ..Self::default()
            });
        }
        chunks
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Applied, ClockReading, LimitName, Pace};

    const SECOND: i64 = 1_000_000_000;
    const BUCKETS: usize = 62_500;

    fn bucket(number: usize) -> Key {
        let name = LimitName::new("cold").expect("a valid name");
        Key::of_bucket("app", &name, [Some(number.to_string().as_str())])
    }

    /// A shard in which every bucket of a limit was used once, and the leader has looked at each since.
    fn used_once(pace: Pace) -> (State, Leader) {
        let stamp = |at| Stamp { at: ShardTime::from_nanos(at), reading: ClockReading::default() };
        let mut state = State::default();
        let Applied::TookOver(leadership) = state.apply(&Command::TakeOver { stamp: stamp(SECOND) }) else {
            unreachable!("a takeover never fails")
        };
        let options =
            LeaderOptions { horizon_lead_ns: 2 * SECOND, commit_ns: 1_000_000, budget: Budget::new(u64::MAX) };
        let mut leader = Leader::new(leadership, options);
        let shape = Shape { id: LimitId(0), algorithm: Algorithm::TokenBucket(pace) };
        state.apply(&leader.reshape(stamp(SECOND), 1, vec![shape]));
        leader.follow(&state);
        for (batch, first) in (0..BUCKETS).step_by(500).enumerate() {
            let now = SECOND + batch as i64 * 2_000_000;
            for round in 0..2 {
                for number in first..first + 500 {
                    let consistency = Consistency::Exact;
                    let ask =
                        Ask { limit: LimitId(0), key: bucket(number), cost: 1, consistency, ahead: 0, permit: None };
                    // The commit took a millisecond, so the interval ends before its ceiling does.
                    let decided = ShardTime::from_nanos(now + round * 1_000_000);
                    let decision = leader.decide(&state, decided, &ask, None);
                    assert_eq!(matches!(decision, Decision::Wait(_)), round == 0, "{decision:?}");
                }
                let Some(command) = leader.proposal(&state, stamp(now)) else { continue };
                state.apply(&command);
                leader.granted(&state);
            }
            leader.forget(&state, ShardTime::from_nanos(now + 30_000_000), 2_000);
        }
        leader.forget(&state, ShardTime::from_nanos(2 * SECOND), BUCKETS);
        (state, leader)
    }

    #[test]
    fn a_bucket_that_is_seldom_used_costs_at_most_40_bytes_in_all() {
        for per in [3, 60, 3_600] {
            let (state, leader) = used_once(Pace::new(1, per * SECOND, 10).expect("a legal pace"));
            assert_eq!(state.granted_buckets(), BUCKETS, "every bucket has a ceiling");
            let of_leader: usize = leader.limits.values().map(Spending::bytes).sum();
            let bytes = state.bytes() + of_leader;
            assert!(bytes <= 40 * BUCKETS, "{} bytes a bucket, {of_leader} in all of the leader", bytes / BUCKETS);
        }
    }
}
