//! What the flags of `tollgate serve` set.

use std::path::PathBuf;

use clap::Args;
use tollgate_api::FieldError;

use super::error::{ConfigError, Place};
use super::node::{Node, Value};

/// The flags of `tollgate serve` that set something. They take precedence over the environment and the file.
#[derive(Args, Clone, Debug, Default)]
pub struct Flags {
    /// Serve HTTP here, such as 0.0.0.0:8080; port 0 takes a free one [default: 127.0.0.1:8080]
    #[arg(long, value_name = "ADDR")]
    pub http: Option<String>,
    /// Keep everything that must survive a restart in this directory [default: ./tollgate-data]
    #[arg(long, value_name = "DIR")]
    pub data: Option<String>,
    /// Be this node of the cluster: a number that no other node has or had [default: 1]
    #[arg(long, value_name = "ID")]
    pub node: Option<String>,
    /// Listen for the other nodes here, such as 10.0.0.1:9101 [default: what --nodes says of this node]
    #[arg(long, value_name = "ADDR")]
    pub peer: Option<String>,
    /// Form a cluster of these nodes, the same on all of them: 1=10.0.0.1:9101,2=10.0.0.2:9101,3=10.0.0.3:9101
    #[arg(long, value_name = "ID=ADDR,…", value_delimiter = ',')]
    pub nodes: Vec<String>,
    /// Join the running cluster of the node at this address, such as 10.0.0.1:9101
    #[arg(long, value_name = "ADDR")]
    pub join: Option<String>,
    /// Read this configuration file, such as tollgate.yaml [default: none; also TOLLGATE_CONFIG]
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
}

impl Flags {
    /// Sets what the flags say in `tree`.
    ///
    /// # Errors
    /// `--nodes` with something else than a number, `=` and an address.
    pub(super) fn apply(&self, tree: &mut Node) -> Result<(), ConfigError> {
        for (flag, path, value) in [
            ("--http", &["http"][..], &self.http),
            ("--data", &["data"], &self.data),
            ("--node", &["cluster", "node"], &self.node),
            ("--peer", &["cluster", "peer"], &self.peer),
            ("--join", &["cluster", "join"], &self.join),
        ] {
            if let Some(value) = value {
                set(tree, path, Node::unparsed(Place::Flag(flag), value))?;
            }
        }
        if self.nodes.is_empty() { Ok(()) } else { set(tree, &["cluster", "nodes"], self.nodes_node()?) }
    }

    fn nodes_node(&self) -> Result<Node, ConfigError> {
        let place = Place::Flag("--nodes");
        let mut nodes = Node::empty(place.clone());
        for written in &self.nodes {
            let (id, address) = written.split_once('=').ok_or_else(|| {
                ConfigError::new(place.clone(), "must be a list such as `1=10.0.0.1:9101,2=10.0.0.2:9101`")
            })?;
            if nodes.get(id).is_some() {
                return Err(ConfigError::new(place, "names a node twice"));
            }
            let address = Node { place: place.clone(), value: Value::Text(address.to_owned()) };
            nodes.set(&[id], address).map_err(|error| of_key(&nodes, error))?;
        }
        Ok(nodes)
    }
}

fn set(tree: &mut Node, path: &[&str], node: Node) -> Result<(), ConfigError> {
    tree.set(path, node).map_err(|error| of_key(tree, error))
}

fn of_key(tree: &Node, error: FieldError) -> ConfigError {
    ConfigError::of_key(tree.place_of(&error.field).clone(), error)
}
