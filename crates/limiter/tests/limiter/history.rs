//! What was admitted, and the checker that knows nothing of how: it looks at every window of every bucket.

use tollgate_limiter::{Algorithm, Calendar, Key, LimitId, ShardTime};

const DAY_NS: i64 = 86_400_000_000_000;

/// Units that were admitted.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Admission {
    pub(crate) limit: LimitId,
    pub(crate) key: Key,
    /// By the clock of the leader that admitted them.
    pub(crate) at: ShardTime,
    /// Without those that came back unused.
    pub(crate) units: u64,
    /// When they stop being used; only permits do.
    pub(crate) until: ShardTime,
}

/// The first window of one bucket in which more was admitted than `algorithm` allows.
pub(crate) fn violation(algorithm: &Algorithm, admissions: &[Admission]) -> Option<String> {
    let mut admissions: Vec<_> = admissions.iter().copied().filter(|admission| admission.units > 0).collect();
    admissions.sort_by_key(|admission| admission.at);
    match *algorithm {
        Algorithm::TokenBucket(pace) => {
            let interval = i128::from(pace.interval_ns());
            every_window(&admissions, |units, span| units * interval <= i128::from(pace.burst()) * interval + span)
        }
        Algorithm::LeakyBucket(pace) => admissions.windows(2).find_map(|pair| {
            let drained = pair[0].at.nanos() + pace.interval_ns() * pair[0].units as i64;
            (pair[1].at.nanos() < drained).then(|| format!("{pair:?} pass at once"))
        }),
        Algorithm::SlidingWindow(quota) => every_window(&admissions, |units, span| {
            span >= i128::from(quota.window_ns()) || units <= i128::from(quota.units())
        }),
        Algorithm::FixedWindow(quota, calendar) => {
            let window = |admission: &Admission| window_number(admission.at, quota.window_ns(), calendar);
            admissions.iter().find_map(|first| {
                let same = admissions.iter().filter(|other| window(other) == window(first));
                let units: u64 = same.map(|admission| admission.units).sum();
                (units > quota.units()).then(|| format!("{units} units in the window of {first:?}"))
            })
        }
        Algorithm::Concurrency { permits, .. } => admissions.iter().find_map(|now| {
            let out = admissions.iter().filter(|other| other.at <= now.at && other.until > now.at);
            let units: u64 = out.map(|admission| admission.units).sum();
            (units > permits).then(|| format!("{units} permits are out at {}", now.at))
        }),
    }
}

/// Applies `fits(units, span_ns)` to every window that begins and ends with an admission, both included.
fn every_window(admissions: &[Admission], fits: impl Fn(i128, i128) -> bool) -> Option<String> {
    for (index, first) in admissions.iter().enumerate() {
        let mut units = 0;
        for last in &admissions[index..] {
            units += i128::from(last.units);
            let span = i128::from(last.at.since(first.at));
            if !fits(units, span) {
                return Some(format!("{units} units in {span} ns from {} on", first.at));
            }
        }
    }
    None
}

/// Tells the windows of a fixed window apart; months are not needed here.
fn window_number(at: ShardTime, window_ns: i64, calendar: Option<Calendar>) -> i64 {
    match calendar {
        None => at.nanos().div_euclid(window_ns),
        Some(Calendar::Day) => at.nanos().div_euclid(DAY_NS),
        Some(Calendar::Week) => (at.nanos().div_euclid(DAY_NS) + 3).div_euclid(7),
        Some(Calendar::Month) => unreachable!("no history spans months"),
    }
}

/// The first bucket with a violation.
pub(crate) fn first_violation(limits: &[(LimitId, Algorithm)], admissions: &[Admission]) -> Option<String> {
    limits.iter().find_map(|(limit, algorithm)| {
        let of_limit: Vec<_> = admissions.iter().copied().filter(|admission| admission.limit == *limit).collect();
        let mut keys: Vec<_> = of_limit.iter().map(|admission| admission.key).collect();
        keys.sort_unstable();
        keys.dedup();
        keys.into_iter().find_map(|key| {
            let bucket: Vec<_> = of_limit.iter().copied().filter(|admission| admission.key == key).collect();
            violation(algorithm, &bucket).map(|found| format!("{algorithm:?} {key:?}: {found}"))
        })
    })
}
