//! Who leads which shard.

use std::collections::BTreeMap;
use std::sync::Arc;

use reqwest::Url;
use tollgate_api::{ClusterAnswer, NodeAnswer, NodeDuty};

/// The addresses of a cluster, from what one of its nodes answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ShardMap {
    /// Nodes that live and stay, to which any request may go.
    pub(super) nodes: Vec<Arc<Url>>,
    /// Addresses that the client was made with and that are none of `nodes`: for when no node can be reached.
    pub(super) spare: Vec<Arc<Url>>,
    /// The leader of each shard that has one which lives.
    pub(super) leaders: BTreeMap<u32, Arc<Url>>,
}

impl ShardMap {
    /// All that is known before a node has answered.
    pub(super) fn of_seeds(seeds: &[Arc<Url>]) -> Self {
        Self { nodes: seeds.to_vec(), spare: Vec::new(), leaders: BTreeMap::new() }
    }

    /// The map that `answer` draws. A node that does not say where its HTTP API is, is not on it.
    pub(super) fn new(answer: &ClusterAnswer, seeds: &[Arc<Url>]) -> Self {
        let living = answer.nodes.iter().filter(|node| node.alive);
        let urls: BTreeMap<u64, (Arc<Url>, NodeDuty)> =
            living.filter_map(|node| Some((node.id, (url(node)?, node.duty)))).collect();
        let leader = |id: Option<u64>| urls.get(&id?).map(|(url, _)| Arc::clone(url));
        let staying = urls.values().filter(|(_, duty)| *duty != NodeDuty::Leaving);
        let nodes: Vec<Arc<Url>> = staying.map(|(url, _)| Arc::clone(url)).collect();
        Self {
            spare: seeds.iter().filter(|seed| !nodes.contains(seed)).cloned().collect(),
            leaders: answer.shards.iter().filter_map(|shard| Some((shard.id, leader(shard.leader)?))).collect(),
            nodes,
        }
    }
}

fn url(node: &NodeAnswer) -> Option<Arc<Url>> {
    let http = node.http.as_ref()?;
    Url::parse(&format!("http://{http}")).ok().map(Arc::new)
}

#[cfg(test)]
mod tests {
    use tollgate_api::ShardAnswer;

    use super::*;

    fn node(id: u64, http: Option<&str>, alive: bool, duty: NodeDuty) -> NodeAnswer {
        NodeAnswer { id, http: http.map(str::to_owned), peer: "p:1".to_owned(), alive, leads: 1, duty }
    }

    fn shard(id: u32, leader: Option<u64>) -> ShardAnswer {
        ShardAnswer { id, leader, replicas: vec![], term: 1 }
    }

    fn urls(urls: &[Arc<Url>]) -> Vec<&str> {
        urls.iter().map(|url| url.as_str()).collect()
    }

    #[test]
    fn the_map_has_who_lives_and_says_where() {
        let seeds = ["http://a:1", "http://dead:4", "http://balancer/base"];
        let seeds = seeds.map(|seed| Arc::new(Url::parse(seed).expect("an address")));
        let nodes = vec![
            node(1, Some("a:1"), true, NodeDuty::Serving),
            node(2, Some("draining:2"), true, NodeDuty::Draining),
            node(3, Some("leaving:3"), true, NodeDuty::Leaving),
            node(4, Some("dead:4"), false, NodeDuty::Serving),
            node(5, None, true, NodeDuty::Serving),
            node(6, Some("no host"), true, NodeDuty::Serving),
        ];
        let leaders = [Some(1), Some(3), Some(4), Some(5), Some(6), Some(7), None];
        let shards = leaders.into_iter().zip(0..).map(|(leader, id)| shard(id, leader)).collect();
        let map = ShardMap::new(&ClusterAnswer { nodes, shards, ready: true }, &seeds);
        assert_eq!(urls(&map.nodes), ["http://a:1/", "http://draining:2/"]);
        assert_eq!(urls(&map.spare), ["http://dead:4/", "http://balancer/base"]);
        let leaders: Vec<_> = map.leaders.iter().map(|(shard, url)| (*shard, url.as_str())).collect();
        assert_eq!(leaders, [(0, "http://a:1/"), (1, "http://leaving:3/")]);
    }
}
