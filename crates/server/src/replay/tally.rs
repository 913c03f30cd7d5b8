//! What a configuration did to the requests, counted as they pass.

use std::collections::BTreeMap;
use std::sync::Arc;

use tollgate_limiter::{Key, Limit, LimitId, Limits, ShardTime, Table};

use super::logged_request::LoggedRequest;
use super::replayer::{LimitRuling, NoRoom, Ruling};
use super::series::Series;

/// The most keys that are counted apart. A log with more still gives right sums, but says of its keys only "at least".
pub(super) const MOST_KEYS: usize = 1_000_000;

const MINUTE_NS: i64 = 60_000_000_000;

/// The figures of one configuration.
pub(super) struct Tally {
    pub(super) allowed: u64,
    pub(super) denied: u64,
    /// Not decided, because too many buckets were held.
    pub(super) refused: u64,
    pub(super) limits: BTreeMap<LimitId, LimitTally>,
    pub(super) series: Series,
    /// How many more keys may be counted apart.
    room: usize,
}

/// The figures of one limit.
pub(super) struct LimitTally {
    pub(super) limit: Arc<Limit>,
    /// Requests that met it.
    pub(super) matched: u64,
    /// Requests that it said no to; in shadow they passed all the same.
    pub(super) denied: u64,
    pub(super) keys: Table<KeyTally>,
    /// Some keys found no room.
    pub(super) overflowed: bool,
}

/// The figures of one bucket. A log has many that are never denied, so those take as little as can be.
#[derive(Clone, Debug, Default)]
pub(super) struct KeyTally {
    pub(super) requests: u64,
    pub(super) denials: Option<Box<Denials>>,
}

/// The denials of one bucket.
#[derive(Clone, Debug)]
pub(super) struct Denials {
    /// What the limit counts by and the request said; a label that it lacked is missing.
    pub(super) labels: BTreeMap<String, String>,
    pub(super) count: u64,
    /// The minute with most of them.
    pub(super) worst: Minute,
    /// The latest minute with one.
    latest: Minute,
}

/// Denials in one minute of UTC.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Minute {
    pub(super) start: ShardTime,
    pub(super) denied: u64,
}

impl Tally {
    /// Nothing counted yet, under these limits; at most `most_keys` keys are counted apart.
    pub(super) fn new(limits: &Limits, most_keys: usize) -> Self {
        Self {
            allowed: 0,
            denied: 0,
            refused: 0,
            limits: limits.iter().map(|(id, limit)| (id, LimitTally::new(Arc::clone(limit)))).collect(),
            series: Series::default(),
            room: most_keys,
        }
    }

    /// Counts a request and its answer.
    pub(super) fn count(&mut self, request: &LoggedRequest, ruling: &Result<Ruling, NoRoom>) {
        let Ok(ruling) = ruling else {
            self.refused += 1;
            return;
        };
        *(if ruling.allowed { &mut self.allowed } else { &mut self.denied }) += 1;
        self.series.count(ruling.at, ruling.allowed);
        for limit in &ruling.limits {
            if let Some(tally) = self.limits.get_mut(&limit.id) {
                tally.count(request, limit, ruling.at, &mut self.room);
            }
        }
    }

    /// All requests.
    pub(super) fn requests(&self) -> u64 {
        self.allowed + self.denied + self.refused
    }
}

impl LimitTally {
    fn new(limit: Arc<Limit>) -> Self {
        Self { limit, matched: 0, denied: 0, keys: Table::default(), overflowed: false }
    }

    fn count(&mut self, request: &LoggedRequest, ruling: &LimitRuling, at: ShardTime, room: &mut usize) {
        self.matched += 1;
        self.denied += u64::from(!ruling.allowed);
        let Some(key) = self.key(ruling.key, room) else { return };
        key.requests += 1;
        if !ruling.allowed {
            match &mut key.denials {
                Some(denials) => denials.count(at),
                None => key.denials = Some(Box::new(Denials::first(&ruling.limit, request, at))),
            }
        }
    }

    /// The figures of every key that was ever denied.
    pub(super) fn denied_keys(&self) -> impl Iterator<Item = &KeyTally> {
        self.keys.iter().map(|(_, key)| key).filter(|key| key.denials.is_some())
    }

    /// The figures of a key, if it is counted already or there is room for another.
    fn key(&mut self, key: Key, room: &mut usize) -> Option<&mut KeyTally> {
        if self.keys.get(key).is_none() {
            if *room == 0 {
                self.overflowed = true;
                return None;
            }
            *room -= 1;
        }
        Some(self.keys.get_or_insert_with(key, KeyTally::default))
    }
}

impl KeyTally {
    /// How many of its requests were denied.
    pub(super) fn denied(&self) -> u64 {
        self.denials.as_ref().map_or(0, |denials| denials.count)
    }
}

impl Denials {
    fn first(limit: &Limit, request: &LoggedRequest, at: ShardTime) -> Self {
        let label = |name: &String| Some((name.clone(), request.label(name)?.to_owned()));
        let minute = Minute { start: minute(at), denied: 1 };
        Self { labels: limit.by.iter().filter_map(label).collect(), count: 1, worst: minute, latest: minute }
    }

    fn count(&mut self, at: ShardTime) {
        let start = minute(at);
        let denied = if self.latest.start == start { self.latest.denied + 1 } else { 1 };
        self.count += 1;
        self.latest = Minute { start, denied };
        if denied > self.worst.denied {
            self.worst = self.latest;
        }
    }
}

/// The start of the minute that holds `at`.
fn minute(at: ShardTime) -> ShardTime {
    at.plus(-at.nanos().rem_euclid(MINUTE_NS))
}
