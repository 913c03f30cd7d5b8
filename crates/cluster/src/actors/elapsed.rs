//! How much time has passed since a shard's last stamp, for whoever begins to lead it.
//!
//! A clock that jumps ahead refills buckets that have not refilled. So time counts only as it was seen to pass: by this process, by
//! this machine since it booted, or by another replica that was there. Wall clocks are believed only when every replica says that it
//! saw nothing, because all were started anew. While one is silent, it may know better, and time stands still for it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use tollgate_limiter::{ClockReading, ShardClock, ShardId, ShardTime, Stamp};

use super::ShardGroup;
use crate::consensus::NodeId;
use crate::messages::{Request, SeenTime};
use crate::peers::Peers;

/// How long the other replicas may take to answer before the leadership begins without them: part of what a request waits.
const FIRST_DEADLINE: Duration = Duration::from_millis(50);

/// How often those are asked again that were silent, and how long.
const AGAIN: Duration = Duration::from_secs(1);
const TRIES: u32 = 600;

/// What the replicas say.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Elapsed {
    /// One saw the clock run, and this is what it shows.
    Seen(ShardTime),
    /// None of all replicas did.
    NobodySaw,
    /// Some have not answered, and of the others none did.
    Unknown,
}

/// The shard's clock, if this process or this machine saw it run since `stamp`.
pub(super) fn known_here(stamp: Stamp, seen: Option<ClockReading>, now: ClockReading) -> Option<ShardClock> {
    let same_boot = stamp.reading.boot == now.boot;
    match seen {
        _ if same_boot => Some(ShardClock::resume(stamp, now)),
        Some(seen) => Some(ShardClock::seen(stamp, seen.mono_ns)),
        None => None,
    }
}

/// Asks the other replicas and tells of it: once soon, and again when all have answered, if some were silent at first. `tell`
/// says whether anybody still listens.
pub(super) fn ask(
    shard: ShardId,
    group: &ShardGroup,
    peers: &Arc<Peers>,
    tell: impl Fn(Elapsed) -> bool + Send + 'static,
) {
    let mut silent = group.voters();
    silent.remove(&peers.me());
    let peers = Arc::clone(peers);
    tokio::spawn(async move {
        for attempt in 0..TRIES {
            let answers = ask_once(shard, &silent.iter().copied().collect::<Vec<_>>(), &peers).await;
            silent.retain(|node| !answers.contains_key(node));
            let seen = answers.values().flatten().max();
            let elapsed = match seen {
                Some(at) => Elapsed::Seen(*at),
                None if silent.is_empty() => Elapsed::NobodySaw,
                None => Elapsed::Unknown,
            };
            let is_news = attempt == 0 || elapsed != Elapsed::Unknown;
            if (is_news && !tell(elapsed)) || elapsed != Elapsed::Unknown {
                return;
            }
            tokio::time::sleep(AGAIN).await;
        }
    });
}

async fn ask_once(shard: ShardId, nodes: &[NodeId], peers: &Peers) -> BTreeMap<NodeId, SeenTime> {
    let ask = |node: NodeId| async move {
        let answer = peers.call::<SeenTime>(node, &Request::ShardTime(shard), FIRST_DEADLINE).await;
        answer.ok().map(|seen| (node, seen))
    };
    join_all(nodes.iter().copied().map(ask)).await.into_iter().flatten().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_counts_as_this_process_or_this_machine_saw_it_pass() {
        let reading = |mono_ns, wall_ns, boot| ClockReading { mono_ns, wall_ns, boot };
        let stamp = Stamp { at: ShardTime::from_nanos(1_000), reading: reading(100, 5_000, 1) };
        let cases = [
            ("the machine has not booted since", None, reading(400, 0, 1), Some(1_300)),
            ("this process saw the stamp", Some(reading(50, 0, 2)), reading(90, 99_999, 2), Some(1_040)),
            ("nobody here did", None, reading(90, 99_999, 2), None),
        ];
        for (claim, seen, now, expected) in cases {
            let clock = known_here(stamp, seen, now);
            assert_eq!(clock.map(|mut clock| clock.now(now.mono_ns).nanos()), expected, "{claim}");
        }
    }
}
