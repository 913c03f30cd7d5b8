//! How a node meets the others of its cluster, as its configuration says.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use tollgate_cluster::{Entropy, Forming, IdentityError, Link, NodeIdentity, cluster_of};
use tollgate_storage::Storage;
use tollgate_transport::{
    BindError, ClusterId, Instance, Introduction, NodeId, TcpOptions, TcpTransport, WhoError, who_is_there,
};

use crate::config::{Address, Cluster};

/// How long a node that joins waits for an answer before it asks again.
const ASK_TIMEOUT: Duration = Duration::from_secs(2);

/// The pause between two questions.
const ASK_AGAIN: Duration = Duration::from_millis(500);

/// Why a node cannot meet the others.
#[derive(Debug, thiserror::Error)]
pub enum PeeringError {
    /// The data is another node's, or cannot be read.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// The address for the other nodes cannot be listened on.
    #[error("cluster.peer: {0}")]
    Bind(#[from] BindError),
    /// The address for the other nodes stands for nothing.
    #[error("cluster.peer: {address} cannot be resolved: {source}")]
    Resolve {
        /// As it was written.
        address: String,
        /// Why not.
        source: std::io::Error,
    },
    /// What was to be joined has this node's own number.
    #[error("cluster.join: node {node} is at {address} already: give this node a number of its own with cluster.node")]
    OwnNumber {
        /// The number.
        node: u64,
        /// As it was written.
        address: String,
    },
    /// The others would look for this node on their own machines.
    #[error(
        "cluster.peer: the nodes behind {contact} cannot reach this one at {advertised}: say where they can, and where this node listens, with cluster.peer"
    )]
    Unreachable {
        /// The node to join, as it was written.
        contact: String,
        /// Where this node would be.
        advertised: String,
    },
    /// What was to be joined is no node of a cluster that this one could join.
    #[error("cluster.join: {0}")]
    Join(WhoError),
}

/// A node as the others will know it.
pub(crate) struct Peering {
    pub(crate) identity: NodeIdentity,
    pub(crate) forming: Forming,
    /// What the cluster is known by.
    pub(crate) cluster: u128,
    /// Where the others reach it.
    pub(crate) advertised: String,
    pub(crate) link: Link,
}

/// Listens for the other nodes, as who the data says this one is.
///
/// # Errors
/// See [`PeeringError`].
pub(crate) async fn meet(
    config: &Cluster,
    storage: &dyn Storage,
    entropy: &dyn Entropy,
) -> Result<Peering, PeeringError> {
    let identity = NodeIdentity::of_data(storage, config.node, entropy).await?;
    let (forming, cluster) = forming(config, &identity, entropy).await?;
    let cluster = identity.cluster.unwrap_or(cluster);
    let introduction = |address: &str| Introduction {
        cluster: ClusterId(cluster),
        node: NodeId(identity.node),
        instance: Instance(identity.instance),
        address: address.to_owned(),
    };
    let listens_at = config.listens_at();
    let listen = resolve(&listens_at).await?;
    let advertised = config.nodes.get(&config.node).map_or(listens_at.as_str(), Address::as_str);
    if let Some(contact) = config.join.as_ref().filter(|_| identity.cluster.is_none() && is_loopback(advertised))
        && contact.resolve().await.is_ok_and(|contact| !contact.ip().is_loopback())
    {
        let (contact, advertised) = (contact.to_string(), advertised.to_owned());
        return Err(PeeringError::Unreachable { contact, advertised });
    }
    let bound = TcpTransport::bind(introduction(advertised), listen, TcpOptions::default()).await;
    let (transport, inbound) = match bound {
        // Nobody said where to listen, and a node that is alone needs no other: any port will do.
        Err(BindError::Listen { .. }) if config.peer.is_none() && forming == Forming::Alone => {
            let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
            TcpTransport::bind(introduction(&any.to_string()), any, TcpOptions::default()).await?
        }
        bound => bound?,
    };
    let port = transport.local_address().port();
    let advertised = match advertised.rsplit_once(':') {
        Some((host, _)) if listen.port() != port => format!("{host}:{port}"),
        _ => advertised.to_owned(),
    };
    Ok(Peering { identity, forming, cluster, advertised, link: Link { transport: Arc::new(transport), inbound } })
}

/// How the node comes to its cluster, and what that cluster is known by.
async fn forming(
    config: &Cluster,
    identity: &NodeIdentity,
    entropy: &dyn Entropy,
) -> Result<(Forming, u128), PeeringError> {
    if let Some(contact) = &config.join {
        let address = contact.as_str().to_owned();
        // A node that has joined before knows its cluster.
        if let Some(cluster) = identity.cluster {
            return Ok((Forming::Join { contact: identity.node, address }, cluster));
        }
        let there = ask(&address).await?;
        if there.node.0 == config.node {
            return Err(PeeringError::OwnNumber { node: config.node, address });
        }
        return Ok((Forming::Join { contact: there.node.0, address }, there.cluster.0));
    }
    if config.nodes.len() > 1 {
        let founders: BTreeMap<u64, String> =
            config.nodes.iter().map(|(node, address)| (*node, address.as_str().to_owned())).collect();
        let cluster = cluster_of(&founders);
        return Ok((Forming::Founders(founders), cluster));
    }
    Ok((Forming::Alone, entropy.bits()))
}

/// Asks who is there, until somebody answers.
async fn ask(address: &str) -> Result<tollgate_transport::Introduced, PeeringError> {
    loop {
        match who_is_there(address, ASK_TIMEOUT).await {
            Ok(there) => return Ok(there),
            Err(error @ (WhoError::NotANode { .. } | WhoError::OtherProtocol { .. })) => {
                return Err(PeeringError::Join(error));
            }
            Err(error @ (WhoError::CannotConnect { .. } | WhoError::Timeout { .. })) => {
                tracing::warn!(%error, "waiting for the cluster that this node is to join");
                tokio::time::sleep(ASK_AGAIN).await;
            }
        }
    }
}

fn is_loopback(address: &str) -> bool {
    address.parse().is_ok_and(|address: SocketAddr| address.ip().is_loopback())
}

async fn resolve(address: &Address) -> Result<SocketAddr, PeeringError> {
    let failed = |source| PeeringError::Resolve { address: address.to_string(), source };
    address.resolve().await.map_err(failed)
}
