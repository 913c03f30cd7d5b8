//! How much time has passed since a shard's last stamp, for whoever begins to lead it.
//!
//! A clock that jumps ahead refills buckets that have not refilled. So time counts only as it was seen to pass: by this process, by
//! this machine since it booted (`ShardClock::witnessed`), or by another replica, or its machine, that was there. Wall clocks are
//! believed only when every replica says that it saw nothing, because all were started anew. While one is silent, it may know better,
//! and no time has passed.
//!
//! Whoever saw time pass knows that at least so much did: it counts from when the stamp came, and that may have been long after it was
//! written. So of all who saw it, who says the most is right.
//!
//! A clock that is late stays as late for as long as the shard's time goes on. What was spent by it was spent at an earlier time than
//! it really was, so to set it forward would refill what has not refilled. For that reason nobody is asked any more once the leadership
//! has begun, and who answers must have applied the stamp that time is counted from: the time since an earlier one, of a leader
//! whose clock was less late, is not this shard's time any more.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use tollgate_limiter::{ShardId, ShardTime, Stamp};

use super::ShardGroup;
use crate::consensus::NodeId;
use crate::messages::{Request, SeenTime};
use crate::peers::Peers;

/// How long the other replicas may take to answer, how often those are asked again that were silent or behind, and after which pause:
/// a second in all, in which the shard has no leader, and only where machines were started anew. Most answer the first time.
const DEADLINE: Duration = Duration::from_millis(50);
pub(super) const TRIES: u32 = 10;
const PAUSE: Duration = Duration::from_millis(50);

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

/// Asks the other replicas so often how much time has passed since `stamp`, and tells of it once.
pub(super) fn ask(
    shard: ShardId,
    stamp: Stamp,
    group: &ShardGroup,
    peers: &Arc<Peers>,
    tries: u32,
    tell: impl FnOnce(Elapsed) + Send + 'static,
) {
    let mut silent = group.voters();
    silent.remove(&peers.me());
    let peers = Arc::clone(peers);
    tokio::spawn(async move {
        for _ in 0..tries {
            let asked: Vec<NodeId> = silent.iter().copied().collect();
            let mut answers = ask_once(shard, &asked, &peers).await;
            answers.retain(|_, seen| seen.stamped == Some(stamp.at));
            silent.retain(|node| !answers.contains_key(node));
            if let Some(at) = answers.values().filter_map(|seen| seen.now).max() {
                return tell(Elapsed::Seen(at));
            }
            if silent.is_empty() {
                return tell(Elapsed::NobodySaw);
            }
            tokio::time::sleep(PAUSE).await;
        }
        tell(Elapsed::Unknown);
    });
}

async fn ask_once(shard: ShardId, nodes: &[NodeId], peers: &Peers) -> BTreeMap<NodeId, SeenTime> {
    let ask = |node: NodeId| async move {
        let answer = peers.call::<Option<SeenTime>>(node, &Request::ShardTime(shard), DEADLINE).await;
        // A node that does not keep the shard yet has nothing to say.
        answer.ok().flatten().map(|seen| (node, seen))
    };
    join_all(nodes.iter().copied().map(ask)).await.into_iter().flatten().collect()
}
