//! Who takes part.

use std::fmt;

/// A node of the cluster, for as long as its data lives. Never reused for another node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(pub u64);

impl fmt::Display for NodeId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

/// A cluster. Nodes of different clusters refuse to talk, whatever addresses they were given.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClusterId(pub u128);

impl fmt::Display for ClusterId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:032x}", self.0)
    }
}

/// The data directory of a node: random, made once with the data. Tells a node that was restarted from one that lost its
/// data, or that was given a number that another node has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Instance(pub u128);

impl fmt::Display for Instance {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:032x}", self.0)
    }
}

/// What a node says of itself to the others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Introduction {
    /// The cluster that it belongs to.
    pub cluster: ClusterId,
    /// Its number.
    pub node: NodeId,
    /// Its data.
    pub instance: Instance,
    /// Where others reach it: `host:port`, at most 255 bytes. Port 0 stands for the port that it listens on.
    pub address: String,
}
