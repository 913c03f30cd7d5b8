//! Requests that wait for their turn at a bucket, in order.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::{Key, LimitId, ShardTime};

/// The waiting requests of a shard.
///
/// Nothing is charged while a request waits: its turn is a decision like any other. A bucket's requests pass in the order
/// in which they came, and a bucket with a queue serves nobody past it.
#[derive(Debug)]
pub struct Queues<W> {
    by_bucket: BTreeMap<(LimitId, Key), Queue<W>>,
    /// When to look at a bucket again.
    turns: BTreeSet<(ShardTime, LimitId, Key)>,
}

#[derive(Debug)]
struct Queue<W> {
    waiting: VecDeque<Waiting<W>>,
    /// The sum of what they ask for.
    units: u64,
    turn: ShardTime,
}

impl<W> Queue<W> {
    fn empty(turn: ShardTime) -> Self {
        Self { waiting: VecDeque::new(), units: 0, turn }
    }
}

/// A waiting request.
#[derive(Debug)]
struct Waiting<W> {
    units: u64,
    until: ShardTime,
    request: W,
}

/// A request at the head of its queue whose turn has come.
#[derive(Debug, Eq, PartialEq)]
pub struct Turn<W> {
    /// The limit.
    pub limit: LimitId,
    /// The bucket.
    pub key: Key,
    /// What it asks for.
    pub units: u64,
    /// Until when it waits.
    pub until: ShardTime,
    /// The request.
    pub request: W,
}

impl<W> Default for Queues<W> {
    fn default() -> Self {
        Self { by_bucket: BTreeMap::new(), turns: BTreeSet::new() }
    }
}

impl<W> Queues<W> {
    /// Units that wait at a bucket.
    pub fn units_waiting(&self, limit: LimitId, key: Key) -> u64 {
        self.by_bucket.get(&(limit, key)).map_or(0, |queue| queue.units)
    }

    /// Whether anybody waits at a bucket.
    pub fn is_waiting(&self, limit: LimitId, key: Key) -> bool {
        self.by_bucket.contains_key(&(limit, key))
    }

    /// Puts a request at the end of its bucket's queue; `turn` is when the bucket is to be looked at if nobody waits there yet.
    pub fn join(&mut self, entry: Turn<W>, turn: ShardTime) {
        let Turn { limit, key, units, until, request } = entry;
        let queue = self.by_bucket.entry((limit, key)).or_insert_with(|| Queue::empty(turn));
        queue.units = queue.units.saturating_add(units);
        queue.waiting.push_back(Waiting { units, until, request });
        self.turns.insert((queue.turn, limit, key));
    }

    /// Puts back a request whose turn was too early; the bucket is looked at again at `turn`.
    pub fn rejoin(&mut self, entry: Turn<W>, turn: ShardTime) {
        let Turn { limit, key, units, until, request } = entry;
        let queue = self.by_bucket.entry((limit, key)).or_insert_with(|| Queue::empty(turn));
        self.turns.remove(&(queue.turn, limit, key));
        queue.turn = turn;
        queue.units = queue.units.saturating_add(units);
        queue.waiting.push_front(Waiting { units, until, request });
        self.turns.insert((turn, limit, key));
    }

    /// Has a bucket looked at now, because it may have room again.
    pub fn wake(&mut self, limit: LimitId, key: Key, now: ShardTime) {
        if let Some(queue) = self.by_bucket.get_mut(&(limit, key)) {
            self.turns.remove(&(queue.turn, limit, key));
            queue.turn = queue.turn.min(now);
            self.turns.insert((queue.turn, limit, key));
        }
    }

    /// Has every bucket looked at now: the limits have changed.
    pub fn wake_all(&mut self, now: ShardTime) {
        let buckets: Vec<_> = self.by_bucket.keys().copied().collect();
        buckets.into_iter().for_each(|(limit, key)| self.wake(limit, key, now));
    }

    /// All that wait, bucket by bucket, each in its order.
    pub fn into_requests(self) -> impl Iterator<Item = W> {
        self.by_bucket.into_values().flat_map(|queue| queue.waiting).map(|waiting| waiting.request)
    }

    /// When the next bucket is to be looked at.
    pub fn next_turn(&self) -> Option<ShardTime> {
        self.turns.first().map(|(turn, _, _)| *turn)
    }

    /// Takes the head of the queue whose turn came first, if that is not after `now`.
    pub fn take_due(&mut self, now: ShardTime) -> Option<Turn<W>> {
        let (turn, limit, key) = self.turns.first().copied().filter(|(turn, _, _)| *turn <= now)?;
        let queue = self.by_bucket.get_mut(&(limit, key)).expect("every turn belongs to a queue");
        let head = queue.waiting.pop_front().expect("a queue is removed with its last request");
        queue.units = queue.units.saturating_sub(head.units);
        if queue.waiting.is_empty() {
            self.by_bucket.remove(&(limit, key));
            self.turns.remove(&(turn, limit, key));
        }
        let Waiting { units, until, request } = head;
        Some(Turn { limit, key, units, until, request })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: LimitId = LimitId(1);

    fn at(ns: i64) -> ShardTime {
        ShardTime::from_nanos(ns)
    }

    fn entry(bucket: u128, request: &'static str) -> Turn<&'static str> {
        Turn { limit: LIMIT, key: Key::from_bits(bucket), units: 1, until: at(1_000), request }
    }

    fn due(queues: &mut Queues<&'static str>, now: i64) -> Vec<&'static str> {
        std::iter::from_fn(|| queues.take_due(at(now)).map(|turn| turn.request)).collect()
    }

    #[test]
    fn requests_pass_in_the_order_in_which_they_came() {
        let mut queues = Queues::default();
        for (bucket, request) in [(1, "a"), (2, "x"), (1, "b"), (1, "c")] {
            queues.join(entry(bucket, request), at(if bucket == 1 { 10 } else { 5 }));
        }
        assert_eq!(queues.units_waiting(LIMIT, Key::from_bits(1)), 3);
        assert_eq!(due(&mut queues, 4), Vec::<&str>::new());
        assert_eq!(due(&mut queues, 5), ["x"]);
        assert_eq!(due(&mut queues, 10), ["a", "b", "c"]);
        assert_eq!(queues.next_turn(), None);
    }

    #[test]
    fn a_request_whose_turn_was_too_early_keeps_its_place() {
        let mut queues = Queues::default();
        queues.join(entry(1, "a"), at(10));
        queues.join(entry(1, "b"), at(10));
        let head = queues.take_due(at(10)).expect("it is due");
        queues.rejoin(head, at(20));
        assert_eq!(due(&mut queues, 19), Vec::<&str>::new());
        assert_eq!(due(&mut queues, 20), ["a", "b"]);
    }

    #[test]
    fn a_bucket_that_has_room_again_is_looked_at_at_once() {
        let mut queues = Queues::default();
        queues.join(entry(1, "a"), at(1_000));
        queues.join(entry(2, "b"), at(1_000));
        queues.wake(LIMIT, Key::from_bits(1), at(7));
        assert_eq!(queues.next_turn(), Some(at(7)));
        assert_eq!(due(&mut queues, 7), ["a"]);
        queues.wake_all(at(8));
        assert_eq!(due(&mut queues, 8), ["b"]);
    }
}
