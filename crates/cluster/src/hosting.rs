//! Opens the groups of the shards that this node keeps.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use futures::future::try_join_all;
use tokio::sync::Semaphore;
use tollgate_limiter::ShardId;
use tollgate_storage::GroupId;

use crate::actors::ShardGroup;
use crate::consensus::{Founding, Group, GroupEndpoint, GroupOptions, GroupStartError, Heartbeats, Machine, NodeId};
use crate::environment::Environment;
use crate::forming::{Forming, SECOND_CHANCE};
use crate::meta::{ClusterState, Identity};
use crate::node::{NodeOptions, StartError};
use crate::peers::Peers;
use crate::placement::Placement;
use crate::reception::{Endpoint, Reception};
use crate::view::View;

/// The number of a shard's group. Group 0 is the cluster's own.
pub(crate) fn group_of(shard: ShardId) -> GroupId {
    GroupId(shard + 1)
}

/// What every group of a node needs.
#[derive(Clone)]
pub(crate) struct Hosting {
    pub(crate) me: NodeId,
    pub(crate) peers: Arc<Peers>,
    pub(crate) heartbeats: Arc<Heartbeats>,
    pub(crate) reception: Arc<Reception>,
    pub(crate) snapshots: Arc<Semaphore>,
    pub(crate) snapshot_log_bytes: u64,
    pub(crate) environment: Environment,
}

impl Hosting {
    /// Opens group 0.
    pub(crate) async fn open_meta(&self, founding: Founding) -> Result<Arc<Group<ClusterState>>, GroupStartError> {
        self.open(GroupId(0), founding).await
    }

    /// Opens the group of a shard.
    pub(crate) async fn open_shard(
        &self,
        shard: ShardId,
        founding: Founding,
    ) -> Result<Arc<ShardGroup>, GroupStartError> {
        self.open(group_of(shard), founding).await
    }

    /// Closes the group of a shard that this node keeps no longer.
    pub(crate) async fn close_shard(&self, shard: ShardId, group: &ShardGroup) {
        self.reception.close_group(group_of(shard).0);
        group.stop().await;
    }

    /// Opens a group, and lets others ask it.
    async fn open<M: Machine + Sync>(&self, id: GroupId, founding: Founding) -> Result<Arc<Group<M>>, GroupStartError>
    where
        GroupEndpoint<M>: Endpoint + 'static,
    {
        let (snapshots, peers) = (Arc::clone(&self.snapshots), Arc::clone(&self.peers));
        let heartbeats = Arc::clone(&self.heartbeats);
        let (node, snapshot_log_bytes) = (self.me, self.snapshot_log_bytes);
        let options = GroupOptions { id, node, founding, snapshots, snapshot_log_bytes, peers, heartbeats };
        let group = Group::start(options, &self.environment).await?;
        group.watch_failure(&self.environment);
        let (group, clock) = (Arc::new(group), Arc::clone(&self.environment.clock));
        self.reception.open_group(id.0, Arc::new(GroupEndpoint { group: Arc::clone(&group), clock }));
        Ok(group)
    }
}

/// Opens the shards that this node keeps, or has kept and may still be asked for.
pub(crate) async fn open_shards(
    options: &NodeOptions,
    identity: &Identity,
    meta: &Group<ClusterState>,
    hosting: &Hosting,
) -> Result<BTreeMap<ShardId, Arc<ShardGroup>>, StartError> {
    let founders: BTreeSet<NodeId> = identity.founders.keys().copied().collect();
    let first = Placement::new(&founders, identity.shards, identity.replication as usize);
    let first_leaders = first.leaders(|_| true);
    let view = meta.state().read(View::of);
    let has_data = |shard: ShardId| hosting.environment.storage.log_bounds(group_of(shard)).is_some();
    let is_ours = |shard: &ShardId| view.placement.replicas(*shard).contains(&hosting.me) || has_data(*shard);
    let open = |shard: ShardId| {
        let voters: BTreeSet<NodeId> = first.replicas(shard).iter().copied().collect();
        let founds = !matches!(options.forming, Forming::Join { .. }) && voters.contains(&hosting.me);
        let leads = first_leaders.get(shard as usize).copied().flatten() == Some(hosting.me);
        let after = if leads { Duration::ZERO } else { SECOND_CHANCE };
        let founding = if founds { Founding::Voters { voters, after } } else { Founding::Joined };
        async move { hosting.open_shard(shard, founding).await.map(|group| (shard, group)) }
    };
    let opened = try_join_all((0..identity.shards).filter(is_ours).map(open)).await?;
    Ok(opened.into_iter().collect())
}
