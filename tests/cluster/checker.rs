//! Proves of a history that no bucket ever admitted more than its limit says.
//!
//! **What is known.** A client knows when it sent a request and when it received the answer, on one monotonic clock for all
//! clients. The decision happened at an unknown instant between. So of a window `[a, b]` exactly those requests were certainly
//! decided within it that were sent at `a` or later and received at `b` or earlier; others may have been, and are not counted.
//! What was not answered is not counted either: it may have been charged or not.
//!
//! **The rule.** For every bucket of a paced limit and *every* window, the admitted units certainly decided within it are at
//! most `burst + rate × (b − a)`. It is sound: a limiter that keeps its promise never breaks it, however slow the network. To look at
//! all windows, those are enough that begin when a request was sent and end when one was received: any other holds the same
//! requests as a shorter one of these.
//!
//! **The sweep.** Windows begin ever earlier: admitted requests are taken from the last sent to the first. Each opens its own end `b`
//! (at `−rate × b`) and adds its units to all ends from there on; the highest end, plus `rate × a`, is what the worst window that
//! begins at `a` admitted beyond its refill. That must not exceed the burst. `O(n log n)` by [`Peaks`]; integers throughout, so
//! rates of fractions are exact: everything is multiplied by the nanoseconds of `per`.
//!
//! **Windows and permits.** A sliding window admits at most its quota in any span shorter than its length (`crates/README.md`):
//! the same sweep, with a refill of nothing, over windows that are short enough. A permit is certainly out from when it was received
//! until its return was sent or it could have expired at the earliest; at no instant may more be out than there are.

use std::collections::BTreeMap;

use crate::history::{Outcome, Record};
use crate::peaks::Peaks;

/// What a limit promises of each of its buckets.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Rule {
    /// At most `burst + rate × span / per_ns` units in any span.
    Paced { burst: u64, rate: u64, per_ns: u64 },
    /// At most `quota` units in any span shorter than `length_ns`.
    Window { quota: u64, length_ns: u64 },
    /// At most so many permits out at any instant.
    Permits(u64),
}

/// A bucket, and a window of it in which too much was admitted.
#[derive(Debug, PartialEq)]
pub(crate) struct Violation {
    pub(crate) bucket: (&'static str, u32),
    pub(crate) from_ns: u64,
    pub(crate) until_ns: u64,
    /// Units that were certainly admitted in the window.
    pub(crate) units: u64,
}

/// The worst window of each bucket in which more was admitted than the limit's rule allows. A limit without a rule promises nothing.
pub(crate) fn violations(records: &[Record], rules: &BTreeMap<&'static str, Rule>) -> Vec<Violation> {
    let mut buckets: BTreeMap<_, Vec<&Record>> = BTreeMap::new();
    for record in records.iter().filter(|record| record.outcome == Outcome::Admitted) {
        buckets.entry((record.limit, record.user)).or_default().push(record);
    }
    let judged = buckets.into_iter().filter_map(|(bucket, admitted)| {
        let (from_ns, until_ns) = worst(&admitted, *rules.get(bucket.0)?)?;
        let units = match rules[bucket.0] {
            Rule::Permits(_) => held(&admitted, until_ns),
            Rule::Paced { .. } | Rule::Window { .. } => decided(&admitted, (from_ns, until_ns)),
        };
        Some(Violation { bucket, from_ns, until_ns, units })
    });
    judged.collect()
}

/// The window in which most too much was admitted, if there is one.
fn worst(admitted: &[&Record], rule: Rule) -> Option<(u64, u64)> {
    match rule {
        Rule::Paced { burst, rate, per_ns } => worst_paced(admitted, burst, rate, per_ns),
        Rule::Window { quota, length_ns } => worst_short(admitted, quota, length_ns),
        Rule::Permits(permits) => worst_instant(admitted, permits),
    }
}

fn worst_paced(admitted: &[&Record], burst: u64, rate: u64, per_ns: u64) -> Option<(u64, u64)> {
    let ends = sorted(admitted, |record| record.received);
    let (rate, per_ns) = (i128::from(rate), i128::from(per_ns));
    let mut peaks = Peaks::new(ends.len());
    let mut worst = (i128::from(burst) * per_ns, None);
    for (order, position) in by_start(admitted, &ends) {
        let record = admitted[order];
        peaks.add_from(position, i128::from(record.units) * per_ns);
        peaks.open(position, -rate * i128::from(record.received));
        let beyond_refill = peaks.highest() + rate * i128::from(record.sent);
        if beyond_refill > worst.0 {
            worst = (beyond_refill, Some((record.sent, ends[peaks.highest_position()].0)));
        }
    }
    worst.1
}

/// All receives, in their order, each with the request's place among `admitted`.
fn sorted(admitted: &[&Record], instant: impl Fn(&Record) -> u64) -> Vec<(u64, usize)> {
    let mut sorted: Vec<_> = admitted.iter().enumerate().map(|(order, record)| (instant(record), order)).collect();
    sorted.sort_unstable();
    sorted
}

/// The requests from the last sent to the first, each with the position of its end among `ends`.
fn by_start(admitted: &[&Record], ends: &[(u64, usize)]) -> impl Iterator<Item = (usize, usize)> {
    let mut positions = vec![0; ends.len()];
    ends.iter().enumerate().for_each(|(position, (_, order))| positions[*order] = position);
    sorted(admitted, |record| record.sent).into_iter().rev().map(move |(_, order)| (order, positions[order]))
}

/// For each start the units whose ends lie within the length: two pointers, and what is ahead of the second in a heap by its end.
fn worst_short(admitted: &[&Record], quota: u64, length_ns: u64) -> Option<(u64, u64)> {
    let mut within: BTreeMap<(u64, usize), u64> = BTreeMap::new();
    let mut units = 0;
    let mut worst = (quota, None);
    for (sent, order) in sorted(admitted, |record| record.sent).into_iter().rev() {
        let record = admitted[order];
        within.insert((record.received, order), record.units);
        units += record.units;
        while let Some(last) = within.last_entry().filter(|last| last.key().0 - sent >= length_ns) {
            units -= last.remove();
        }
        if units > worst.0 {
            let until = within.last_key_value().map_or(sent, |((received, _), _)| *received);
            worst = (units, Some((sent, until)));
        }
    }
    worst.1
}

fn worst_instant(admitted: &[&Record], permits: u64) -> Option<(u64, u64)> {
    let held = admitted.iter().filter(|record| record.held_until > record.received);
    let taken_or_returned =
        held.flat_map(|record| [(record.received, 1, record.units), (record.held_until, 0, record.units)]);
    // At one instant returns come first: the permit may be out again at once.
    let mut events: Vec<_> = taken_or_returned.collect();
    events.sort_unstable();
    let (mut out, mut worst) = (0, (permits, None));
    for (instant, taken, units) in events {
        if taken == 1 {
            out += units
        } else {
            out -= units
        }
        if out > worst.0 {
            worst = (out, Some((instant, instant)));
        }
    }
    worst.1
}

fn decided(admitted: &[&Record], (from, until): (u64, u64)) -> u64 {
    admitted.iter().filter(|record| record.sent >= from && record.received <= until).map(|record| record.units).sum()
}

fn held(admitted: &[&Record], at: u64) -> u64 {
    admitted.iter().filter(|record| record.received <= at && record.held_until > at).map(|record| record.units).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;
    const MS: u64 = 1_000_000;

    fn admitted(sent: u64, received: u64, units: u64) -> Record {
        let (limit, user, node, degraded, held_until) = ("a", 1, 1, false, 0);
        Record { limit, user, node, units, sent, received, outcome: Outcome::Admitted, degraded, held_until }
    }

    fn found(records: &[Record], rule: Rule) -> Vec<Violation> {
        violations(records, &BTreeMap::from([("a", rule)]))
    }

    /// An hour of a bucket of burst 5 and 10 a second that is asked all the time: after its burst, a unit each 100 ms.
    fn an_hour() -> Vec<Record> {
        let burst = (0..5).map(|_| admitted(0, MS, 1));
        let refill = (1..36_000).map(|unit| admitted(unit * 100 * MS, unit * 100 * MS + 5 * MS, 1));
        burst.chain(refill).collect()
    }

    const TEN_A_SECOND: Rule = Rule::Paced { burst: 5, rate: 10, per_ns: SECOND };

    #[test]
    fn legal_traffic_passes() {
        assert_eq!(found(&an_hour(), TEN_A_SECOND), []);
    }

    #[test]
    fn one_unit_too_many_is_found_wherever_it_is() {
        // At the first instant, in the midst, with the last; each answered within its own instant.
        for extra in [0, 1_800 * SECOND, 35_999 * 100 * MS] {
            let mut records = an_hour();
            records.push(admitted(extra, extra + MS, 1));
            let found = found(&records, TEN_A_SECOND);
            assert_eq!(found.len(), 1, "an extra unit at {extra}");
            assert!(
                found[0].from_ns <= extra && found[0].until_ns >= extra + MS,
                "{found:?}, an extra unit at {extra}"
            );
        }
    }

    #[test]
    fn what_may_have_been_decided_outside_a_window_is_not_held_against_it() {
        let early: Vec<_> = (0..5).map(|_| admitted(0, 10 * MS, 1)).collect();
        let mut slow = early.clone();
        slow.push(admitted(0, 101 * MS, 1));
        assert_eq!(found(&slow, TEN_A_SECOND), [], "it may have been decided after 100 ms");
        let mut fast = early;
        fast.push(admitted(0, 99 * MS, 1));
        assert_eq!(found(&fast, TEN_A_SECOND).len(), 1, "whenever it was decided, no unit had come back");
    }

    #[test]
    fn a_unit_that_comes_back_at_the_last_nanosecond_is_legal_and_one_earlier_is_not() {
        // 3 units in 7 s: a fraction of a unit a second.
        let rule = Rule::Paced { burst: 2, rate: 3, per_ns: 7 * SECOND };
        let third = 7 * SECOND / 3;
        for (second, legal) in [(third + 1, true), (third, false)] {
            let records = [admitted(0, 1, 2), admitted(second - 1, second, 1)];
            assert_eq!(found(&records, rule).is_empty(), legal, "{second}");
        }
    }

    #[test]
    fn units_are_counted_and_not_requests() {
        assert_eq!(found(&[admitted(0, 1, 5)], TEN_A_SECOND), []);
        let violation = Violation { bucket: ("a", 1), from_ns: 0, until_ns: 1, units: 6 };
        assert_eq!(found(&[admitted(0, 1, 6)], TEN_A_SECOND), [violation]);
    }

    #[test]
    fn buckets_are_judged_apart_and_only_what_was_admitted_counts() {
        let mut records: Vec<_> = (0..100).map(|user| Record { user, ..admitted(0, 1, 5) }).collect();
        assert_eq!(found(&records, TEN_A_SECOND), []);
        for outcome in [Outcome::Denied, Outcome::NotAsked, Outcome::NoAnswer(String::new()), Outcome::Failed(503)] {
            records.push(Record { outcome, ..admitted(0, 1, 5) });
        }
        assert_eq!(found(&records, TEN_A_SECOND), []);
    }

    /// The rule as it is written, over all pairs.
    fn is_broken_by_some_pair(records: &[Record], (burst, rate, per_ns): (u64, u64, u64)) -> bool {
        let all: Vec<_> = records.iter().collect();
        let pairs = records.iter().flat_map(|first| records.iter().map(move |last| (first.sent, last.received)));
        pairs.filter(|(from, until)| from <= until).any(|window| {
            u128::from(decided(&all, window)) * u128::from(per_ns)
                > u128::from(burst) * u128::from(per_ns) + u128::from(rate) * u128::from(window.1 - window.0)
        })
    }

    #[test]
    fn the_sweep_says_what_all_pairs_say() {
        let mut random = fastrand::Rng::with_seed(7);
        let (mut legal, mut broken) = (0, 0);
        for round in 0..3_000 {
            let count = random.usize(1..20);
            let request = |random: &mut fastrand::Rng| {
                let sent = random.u64(0..1_000);
                admitted(sent, sent + random.u64(0..200), random.u64(1..4))
            };
            let records: Vec<_> = (0..count).map(|_| request(&mut random)).collect();
            let pace = (random.u64(1..12), random.u64(1..10), random.u64(50..500));
            let expected = is_broken_by_some_pair(&records, pace);
            let rule = Rule::Paced { burst: pace.0, rate: pace.1, per_ns: pace.2 };
            assert_eq!(!found(&records, rule).is_empty(), expected, "round {round}: {pace:?}, {records:#?}");
            if expected { broken += 1 } else { legal += 1 }
        }
        assert!(legal > 300 && broken > 300, "{legal} legal and {broken} broken histories prove little");
    }

    #[test]
    fn a_window_admits_its_quota_in_any_span_that_is_shorter() {
        let rule = Rule::Window { quota: 3, length_ns: SECOND };
        let with_a_fourth = |received: u64| {
            let mut records: Vec<_> = (0..3).map(|unit| admitted(unit * MS, unit * MS + 1, 1)).collect();
            records.push(admitted(received - 1, received, 1));
            records
        };
        assert_eq!(found(&with_a_fourth(SECOND), rule), []);
        assert_eq!(found(&with_a_fourth(SECOND - 1), rule).len(), 1);
    }

    #[test]
    fn no_more_permits_are_out_than_there_are() {
        let held = |received: u64, held_until: u64| Record { held_until, ..admitted(received - 1, received, 1) };
        let legal = [held(10, 20), held(10, 30), held(20, 40)];
        assert_eq!(found(&legal, Rule::Permits(2)), [], "one was back when the third was given");
        let over = [held(10, 21), held(10, 30), held(20, 40)];
        assert_eq!(found(&over, Rule::Permits(2)).len(), 1);
    }
}
