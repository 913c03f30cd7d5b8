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
    /// Until when each request waits, with its number in its queue.
    ends: BTreeSet<(ShardTime, LimitId, Key, i64)>,
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
    /// Its number in its queue, which rises from the head to the end.
    number: i64,
    units: u64,
    until: ShardTime,
    request: W,
}

/// A place in a bucket's queue.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Place {
    /// Units of those ahead.
    pub units: u64,
    /// How many are ahead.
    pub requests: usize,
}

impl Place {
    /// The first.
    pub const HEAD: Self = Self { units: 0, requests: 0 };

    /// The place behind a request of `units` in this one.
    #[must_use]
    pub fn behind(self, units: u64) -> Self {
        self.behind_all(Self { units, requests: 1 })
    }

    /// The place behind all that `others` counts, which come after those ahead of this one.
    #[must_use]
    pub fn behind_all(self, others: Self) -> Self {
        Self { units: self.units.saturating_add(others.units), requests: self.requests + others.requests }
    }
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
        Self { by_bucket: BTreeMap::new(), turns: BTreeSet::new(), ends: BTreeSet::new() }
    }
}

impl<W> Queues<W> {
    /// The place of whoever comes next to a bucket.
    pub fn next_place(&self, limit: LimitId, key: Key) -> Place {
        let queue = self.by_bucket.get(&(limit, key));
        queue.map_or(Place::HEAD, |queue| Place { units: queue.units, requests: queue.waiting.len() })
    }

    /// Puts a request at the end of its bucket's queue; `turn` is when the bucket is to be looked at if nobody waits there yet.
    pub fn join(&mut self, entry: Turn<W>, turn: ShardTime) {
        let Turn { limit, key, units, until, request } = entry;
        let queue = self.by_bucket.entry((limit, key)).or_insert_with(|| Queue::empty(turn));
        queue.units = queue.units.saturating_add(units);
        let number = queue.waiting.back().map_or(0, |last| last.number + 1);
        queue.waiting.push_back(Waiting { number, units, until, request });
        self.turns.insert((queue.turn, limit, key));
        self.ends.insert((until, limit, key, number));
    }

    /// Puts back a request whose turn was too early; the bucket is looked at again at `turn`.
    pub fn rejoin(&mut self, entry: Turn<W>, turn: ShardTime) {
        let Turn { limit, key, units, until, request } = entry;
        let queue = self.by_bucket.entry((limit, key)).or_insert_with(|| Queue::empty(turn));
        self.turns.remove(&(queue.turn, limit, key));
        queue.turn = turn;
        queue.units = queue.units.saturating_add(units);
        let number = queue.waiting.front().map_or(0, |head| head.number - 1);
        queue.waiting.push_front(Waiting { number, units, until, request });
        self.turns.insert((turn, limit, key));
        self.ends.insert((until, limit, key, number));
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

    /// When the next bucket is to be looked at, or the next request has waited as long as it may.
    pub fn next_turn(&self) -> Option<ShardTime> {
        let turn = self.turns.first().map(|(turn, ..)| *turn);
        let end = self.ends.first().map(|(until, ..)| *until);
        turn.into_iter().chain(end).min()
    }

    /// Takes a request that has waited as long as it may at `now`, wherever it stands in its queue.
    pub fn take_ended(&mut self, now: ShardTime) -> Option<Turn<W>> {
        let (_, limit, key, number) = self.ends.first().copied().filter(|(until, ..)| *until <= now)?;
        let queue = self.by_bucket.get(&(limit, key)).expect("every end belongs to a queue");
        let place = queue.waiting.binary_search_by_key(&number, |waiting| waiting.number);
        Some(self.take(limit, key, place.expect("every end belongs to a request")))
    }

    /// Takes the head of the queue whose turn came first, if that is not after `now`.
    pub fn take_due(&mut self, now: ShardTime) -> Option<Turn<W>> {
        let (_, limit, key) = self.turns.first().copied().filter(|(turn, ..)| *turn <= now)?;
        Some(self.take(limit, key, 0))
    }

    fn take(&mut self, limit: LimitId, key: Key, place: usize) -> Turn<W> {
        let queue = self.by_bucket.get_mut(&(limit, key)).expect("somebody waits there");
        let taken = queue.waiting.remove(place).expect("somebody has this place");
        queue.units = queue.units.saturating_sub(taken.units);
        if queue.waiting.is_empty() {
            self.turns.remove(&(queue.turn, limit, key));
            self.by_bucket.remove(&(limit, key));
        }
        let Waiting { number, units, until, request } = taken;
        self.ends.remove(&(until, limit, key, number));
        Turn { limit, key, units, until, request }
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
        assert_eq!(queues.next_place(LIMIT, Key::from_bits(1)), Place { units: 3, requests: 3 });
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
    fn a_request_leaves_when_it_has_waited_as_long_as_it_may() {
        let mut queues = Queues::default();
        for (request, until) in [("a", 900), ("b", 50), ("c", 70), ("d", 800)] {
            queues.join(Turn { until: at(until), ..entry(1, request) }, at(500));
        }
        assert_eq!(queues.next_turn(), Some(at(50)));
        assert!(queues.take_ended(at(49)).is_none());
        let ended: Vec<_> = std::iter::from_fn(|| queues.take_ended(at(70)).map(|turn| turn.request)).collect();
        assert_eq!(ended, ["b", "c"]);
        assert_eq!(queues.next_place(LIMIT, Key::from_bits(1)), Place { units: 2, requests: 2 });
        assert_eq!(due(&mut queues, 500), ["a", "d"]);
        assert_eq!(queues.next_turn(), None, "nothing is left of them");
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
