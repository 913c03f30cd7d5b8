//! A shard in a box: one leader that is driven as a bucket actor drives it, with a clock to turn.

use serde::Serialize;
use serde::de::DeserializeOwned;
use tollgate_limiter::{
    Algorithm, Applied, Ask, Budget, ClockReading, Command, Consistency, Decision, Key, Leader, LeaderOptions, LimitId,
    Shape, ShardTime, Stamp, Standing, State,
};

fn encoding() -> impl bincode::config::Config {
    bincode::config::standard().with_fixed_int_encoding().with_little_endian()
}

pub(crate) fn encoded(value: &impl Serialize) -> Vec<u8> {
    bincode::serde::encode_to_vec(value, encoding()).expect("it can be encoded")
}

pub(crate) fn decoded<T: DeserializeOwned>(bytes: &[u8]) -> T {
    let (value, length) =
        bincode::serde::decode_from_slice(bytes, encoding()).expect("what was encoded can be decoded");
    assert_eq!(length, bytes.len(), "nothing is left over");
    value
}

pub(crate) fn at(ns: i64) -> ShardTime {
    ShardTime::from_nanos(ns)
}

#[derive(Debug)]
pub(crate) struct Shard {
    pub(crate) state: State,
    pub(crate) leader: Leader,
    pub(crate) now: ShardTime,
    /// By how much a commit moves the clock, in nanoseconds.
    pub(crate) commit_takes_ns: i64,
    pub(crate) options: LeaderOptions,
    shapes: Vec<Shape>,
    /// Every command so far.
    pub(crate) log: Vec<Command>,
}

impl Shard {
    pub(crate) fn new(options: LeaderOptions, now: ShardTime) -> Self {
        let mut shard = Self {
            state: State::default(),
            leader: Leader::new(0, options.clone()),
            now,
            commit_takes_ns: 0,
            options,
            shapes: Vec::new(),
            log: Vec::new(),
        };
        shard.crash();
        shard
    }

    /// One limit, number 0, and room for any number of buckets.
    pub(crate) fn of(algorithm: Algorithm, now: ShardTime) -> Self {
        let budget = Budget::new(u64::MAX);
        let mut shard = Self::new(LeaderOptions { horizon_lead_ns: 2_000_000_000, commit_ns: 1_000_000, budget }, now);
        shard.set_limit(LimitId(0), algorithm);
        shard
    }

    pub(crate) fn stamp(&self) -> Stamp {
        Stamp { at: self.now, reading: ClockReading::default() }
    }

    fn apply(&mut self, command: &Command) -> Applied {
        self.now = self.now.plus(self.commit_takes_ns);
        self.log.push(decoded(&encoded(command)));
        self.state.apply(&self.log[self.log.len() - 1])
    }

    /// The leader's memory is lost, and another one takes over.
    pub(crate) fn crash(&mut self) {
        let Applied::TookOver(leadership) = self.apply(&Command::TakeOver { stamp: self.stamp() }) else {
            unreachable!("a takeover never fails")
        };
        self.leader = Leader::new(leadership, self.options.clone());
        assert!(self.leader.follow(&self.state));
    }

    /// The leader hands over to another one.
    pub(crate) fn hand_over(&mut self) {
        let leader = std::mem::replace(&mut self.leader, Leader::new(0, self.options.clone()));
        for command in leader.hand_over(&self.state, self.stamp(), 3) {
            assert_ne!(self.apply(&command), Applied::Stale);
        }
        self.crash();
    }

    pub(crate) fn set_limit(&mut self, id: LimitId, algorithm: Algorithm) {
        self.shapes.retain(|shape| shape.id != id);
        self.shapes.push(Shape { id, algorithm });
        let command = self.leader.reshape(self.stamp(), self.state.limits_version() + 1, self.shapes.clone());
        assert!(matches!(self.apply(&command), Applied::Reshaped(_)));
        assert!(self.leader.follow(&self.state));
    }

    /// Commits what is due; `false` when nothing is.
    pub(crate) fn commit(&mut self) -> bool {
        let Some(command) = self.leader.proposal(&self.state, self.stamp()) else { return false };
        assert_eq!(self.apply(&command), Applied::Granted);
        assert!(self.leader.follow(&self.state));
        self.leader.granted(&self.state);
        true
    }

    /// Decides, waiting for as many commits as it takes; returns the number of commits, too.
    pub(crate) fn decide(&mut self, mut ask: Ask) -> (Decision, usize) {
        for commits in 0..10 {
            match self.leader.decide(&self.state, self.now, &ask, None) {
                Decision::Wait(permit) => {
                    ask.permit = permit.or(ask.permit);
                    self.commit();
                }
                decision => return (decision, commits),
            }
        }
        panic!("{ask:?} still waits after ten commits");
    }

    /// Asks limit 0 for units; `Err` with the standing when they are denied.
    pub(crate) fn acquire(&mut self, key: Key, cost: u64) -> Result<Standing, Standing> {
        match self.decide(Ask { cost, ..ask(key) }).0 {
            Decision::Admitted(standing, _) => Ok(standing),
            Decision::Denied(standing) => Err(standing),
            decision @ (Decision::Wait(_) | Decision::Refused(_)) => {
                panic!("{cost} units are not decided: {decision:?}")
            }
        }
    }

    /// How a bucket of limit 0 stands.
    pub(crate) fn peek(&mut self, key: Key) -> Standing {
        self.acquire(key, 0).unwrap_or_else(|denied| denied)
    }
}

/// A request for one unit of a bucket of limit 0.
pub(crate) fn ask(key: Key) -> Ask {
    Ask { limit: LimitId(0), key, cost: 1, consistency: Consistency::Exact, ahead: 0, permit: None }
}
