//! Nodes in network namespaces of their own, joined by a bridge in another, so that links can be cut. Beside it each has a link to
//! this process alone, over which clients reach it whatever is cut between the nodes.

use std::process::Command;
use std::time::Duration;

use tokio::time::sleep;

use crate::cluster::Place;

/// Where nodes listen; each namespace has all ports to itself.
const HTTP_PORT: u16 = 8080;
const PEER_PORT: u16 = 9101;

/// Half a period of a link that comes and goes.
const FLAP: Duration = Duration::from_millis(300);

/// Removed when dropped, and with them all links.
pub(crate) struct Namespaces {
    /// Begins the name of every namespace and link of this test: at most 11 characters, for links have at most 15.
    name: String,
    nodes: usize,
    /// What tells the addresses of the links to this process from those of other tests: a part of 198.18.0.0/15, which RFC 2544
    /// keeps for tests.
    subnet: (u8, u8),
}

impl Namespaces {
    /// `None`, said loudly, where that is not allowed, or there is no iproute2.
    pub(crate) fn make(nodes: usize) -> Option<Self> {
        let name = format!("tg{:x}{:04x}", std::process::id() & 0xffff, fastrand::u16(..));
        let subnet = (18 + fastrand::u8(..2), fastrand::u8(..));
        let namespaces = Self { name, nodes, subnet };
        if let Err(problem) = try_ip(&["netns", "add", &namespaces.bridge()]) {
            eprintln!("SKIPPED: network namespaces cannot be made here (it takes root and iproute2): {problem}");
            return None;
        }
        namespaces.ip_at_bridge(&["link", "add", "bridge", "type", "bridge"]);
        namespaces.ip_at_bridge(&["link", "set", "bridge", "up"]);
        (1..=nodes).for_each(|node| namespaces.make_node(node));
        Some(namespaces)
    }

    fn make_node(&self, node: usize) {
        let (namespace, port, link) = (self.of(node), format!("port{node}"), format!("{}-{node}", self.name));
        ip(&["netns", "add", &namespace]);
        self.ip_at(node, &["link", "set", "lo", "up"]);
        self.ip_at_bridge(&["link", "add", &port, "type", "veth", "peer", "name", "peers", "netns", &namespace]);
        self.ip_at_bridge(&["link", "set", &port, "master", "bridge", "up"]);
        self.ip_at(node, &["addr", "add", &format!("{}/24", peer_host(node)), "dev", "peers"]);
        self.ip_at(node, &["link", "set", "peers", "up"]);
        ip(&["link", "add", &link, "type", "veth", "peer", "name", "clients", "netns", &namespace]);
        ip(&["addr", "add", &format!("{}/30", self.client_host(node, 1)), "dev", &link]);
        ip(&["link", "set", &link, "up"]);
        self.ip_at(node, &["addr", "add", &format!("{}/30", self.client_host(node, 2)), "dev", "clients"]);
        self.ip_at(node, &["link", "set", "clients", "up"]);
    }

    /// Where the nodes are.
    pub(crate) fn places(&self) -> Vec<Place> {
        let place = |node| {
            let peer = format!("{}:{PEER_PORT}", peer_host(node));
            Place {
                http: format!("{}:{HTTP_PORT}", self.client_host(node, 2)),
                advertised: peer.clone(),
                peer,
                // It becomes the program that it runs.
                prefix: ["ip", "netns", "exec", &self.of(node)].map(str::to_owned).into(),
                environment: Vec::new(),
                data: None,
            }
        };
        (1..=self.nodes).map(place).collect()
    }

    /// Nothing goes between a node and the others. Nobody is told: the link stays up.
    pub(crate) fn cut(&self, node: usize) {
        self.ip_at_bridge(&["link", "set", &format!("port{node}"), "nomaster"]);
    }

    /// Undoes [`Namespaces::cut`].
    pub(crate) fn mend(&self, node: usize) {
        self.ip_at_bridge(&["link", "set", &format!("port{node}"), "master", "bridge"]);
    }

    /// No other node hears a node for a while; it hears them.
    pub(crate) async fn make_unheard(&self, node: usize, span: Duration) {
        others(node).into_iter().for_each(|other| self.cut_one_way(node, other));
        sleep(span).await;
        others(node).into_iter().for_each(|other| self.mend_one_way(node, other));
    }

    /// A node hears no other for a while; they hear it.
    pub(crate) async fn make_deaf(&self, node: usize, span: Duration) {
        others(node).into_iter().for_each(|other| self.cut_one_way(other, node));
        sleep(span).await;
        others(node).into_iter().for_each(|other| self.mend_one_way(other, node));
    }

    /// The links of a node come and go, for six seconds.
    pub(crate) async fn flap(&self, node: usize) {
        for _ in 0..10 {
            self.cut(node);
            sleep(FLAP).await;
            self.mend(node);
            sleep(FLAP).await;
        }
    }

    /// Nothing goes from one node to another any more; what goes the other way arrives.
    fn cut_one_way(&self, from: usize, to: usize) {
        self.ip_at(from, &["route", "add", "blackhole", &format!("{}/32", peer_host(to))]);
    }

    /// Undoes [`Namespaces::cut_one_way`].
    fn mend_one_way(&self, from: usize, to: usize) {
        self.ip_at(from, &["route", "del", "blackhole", &format!("{}/32", peer_host(to))]);
    }

    fn of(&self, node: usize) -> String {
        format!("{}-n{node}", self.name)
    }

    fn bridge(&self) -> String {
        format!("{}-b", self.name)
    }

    /// The address of one end of the link on which clients reach a node: 1 on the machine, 2 at the node.
    pub(crate) fn client_host(&self, node: usize, end: usize) -> String {
        format!("198.{}.{}.{}", self.subnet.0, self.subnet.1, 4 * node + end)
    }

    fn ip_at(&self, node: usize, arguments: &[&str]) {
        ip(&[&["-n", &self.of(node)], arguments].concat());
    }

    fn ip_at_bridge(&self, arguments: &[&str]) {
        ip(&[&["-n", &self.bridge()], arguments].concat());
    }
}

impl Drop for Namespaces {
    fn drop(&mut self) {
        let all = (1..=self.nodes).map(|node| self.of(node)).chain([self.bridge()]);
        // One that was not made yet cannot be removed.
        all.for_each(|namespace| drop(try_ip(&["netns", "del", &namespace])));
    }
}

/// The other two of three nodes.
pub(crate) fn others(node: usize) -> [usize; 2] {
    [node % 3 + 1, (node + 1) % 3 + 1]
}

fn peer_host(node: usize) -> String {
    format!("10.77.0.{node}")
}

fn ip(arguments: &[&str]) {
    try_ip(arguments).unwrap_or_else(|problem| panic!("ip {arguments:?}: {problem}"));
}

fn try_ip(arguments: &[&str]) -> Result<(), String> {
    let output = Command::new("ip").args(arguments).output().map_err(|error| error.to_string())?;
    if output.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&output.stderr).trim().to_owned()) }
}
