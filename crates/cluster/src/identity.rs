//! Who a node is, kept with its data: its number, its cluster, and what tells its data from any other's.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use tollgate_storage::{GroupId, LogBatch, MetadataKey, Storage};

use crate::codec::{decode, encode};
use crate::consensus::NodeId;
use crate::environment::Entropy;

/// Who a node is.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct NodeIdentity {
    /// The node's number.
    pub node: NodeId,
    /// Tells this data from any other's: a node whose disk was replaced is another node, whatever its number.
    pub instance: u128,
    /// The cluster that it takes part in; `None` until it does.
    pub cluster: Option<u128>,
    /// It was removed from that cluster.
    pub left: bool,
}

/// Why a node does not know who it is.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// The data is another node's.
    #[error(
        "this data is of node {found}, and cluster.node is {asked}: give the node its own number, or another directory"
    )]
    OtherNode {
        /// Whose data it is.
        found: NodeId,
        /// Who asks.
        asked: NodeId,
    },
    /// The node was removed from its cluster.
    #[error("node {0} was removed from its cluster: start it with an empty directory and --join to add it anew")]
    Left(NodeId),
    /// It cannot be read or written.
    #[error("who this node is cannot be read or written: {0}")]
    Storage(String),
}

const KEY: (GroupId, MetadataKey) = (GroupId(0), MetadataKey::Identity);

impl NodeIdentity {
    /// Who the data says the node is. New data becomes that of `node`.
    ///
    /// # Errors
    /// Data of another node, or of one that was removed from its cluster; a disk that fails.
    pub async fn of_data(storage: &dyn Storage, node: NodeId, entropy: &dyn Entropy) -> Result<Self, IdentityError> {
        let Some(bytes) = storage.metadata(KEY.0, KEY.1) else {
            let identity = Self { node, instance: entropy.bits(), cluster: None, left: false };
            identity.save(storage).await?;
            return Ok(identity);
        };
        let identity: Self = decode(&bytes).map_err(|error| IdentityError::Storage(error.to_string()))?;
        match identity {
            Self { node: found, .. } if found != node => Err(IdentityError::OtherNode { found, asked: node }),
            Self { left: true, .. } => Err(IdentityError::Left(node)),
            identity => Ok(identity),
        }
    }

    pub(crate) async fn save(&self, storage: &dyn Storage) -> Result<(), IdentityError> {
        let failed = |error: tollgate_storage::StorageError| IdentityError::Storage(error.to_string());
        let mut batch = LogBatch::new();
        batch.put_metadata(KEY.0, KEY.1, encode(self));
        let (written, synced) = (storage.write(batch), storage.sync());
        written.await.map_err(failed)?;
        synced.await.map_err(failed)
    }
}

/// What a cluster is known by that these nodes, each at its address, form together: those with another list form another.
pub fn cluster_of(founders: &BTreeMap<NodeId, String>) -> u128 {
    let mut hasher = blake3::Hasher::new();
    for (node, address) in founders {
        hasher.update(&node.to_le_bytes());
        hasher.update(&(address.len() as u64).to_le_bytes());
        hasher.update(address.as_bytes());
    }
    let mut bits = [0; 16];
    hasher.finalize_xof().fill(&mut bits);
    u128::from_le_bytes(bits)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(nodes: &[(NodeId, &str)]) -> BTreeMap<NodeId, String> {
        nodes.iter().map(|(node, address)| (*node, (*address).to_owned())).collect()
    }

    #[test]
    fn only_equal_lists_form_one_cluster() {
        let cluster = cluster_of(&list(&[(1, "a:1"), (2, "b:1")]));
        assert_eq!(cluster, cluster_of(&list(&[(2, "b:1"), (1, "a:1")])));
        for other in [
            list(&[(1, "a:1")]),
            list(&[(1, "a:1"), (3, "b:1")]),
            list(&[(1, "a:1"), (2, "b:2")]),
            list(&[(1, "b:1"), (2, "a:1")]),
        ] {
            assert_ne!(cluster, cluster_of(&other), "{other:?}");
        }
    }
}
