//! The client of a cluster against real HTTP servers, each of which plays a node.

mod scripted;

use std::time::Duration;

use axum::http::StatusCode;
use scripted::Scripted;
use scripted::fake_node::{FakeNode, map};
use tollgate_api::{AcquireManyRequest, AcquireRequest};
use tollgate_client::{ClusterClient, Error, Options};

const OPTIONS: Options = Options { deadline: Duration::from_secs(60), attempts: 3, backoff: Duration::from_millis(1) };
/// Where nobody listens: port 1 is never given out to those who ask for any free port.
const DEAD: &str = "127.0.0.1:1";

fn client<const N: usize>(urls: [String; N]) -> ClusterClient {
    ClusterClient::with_options(urls, OPTIONS).expect("addresses of test servers")
}

fn url(http: &str) -> String {
    format!("http://{http}")
}

async fn acquire(client: &ClusterClient, endpoint: &str) {
    let answer = client.acquire(&AcquireRequest::new(endpoint)).await;
    assert!(answer.as_ref().is_ok_and(|answer| answer.allowed), "{answer:?}");
}

/// Three nodes, who say that number `leader` leads shard 0.
async fn cluster_led_by(leader: u64) -> [FakeNode; 3] {
    let nodes = [FakeNode::start().await, FakeNode::start().await, FakeNode::start().await];
    tell_all(&nodes, leader);
    nodes
}

fn tell_all(nodes: &[FakeNode; 3], leader: u64) {
    let map = map(&[&nodes[0].http, &nodes[1].http, &nodes[2].http], leader);
    nodes.iter().for_each(|node| node.tell(&map));
}

fn acquires(nodes: &[FakeNode; 3]) -> [usize; 3] {
    [0, 1, 2].map(|index| nodes[index].seen("/v1/acquire"))
}

#[tokio::test]
async fn the_second_request_goes_to_the_leader() {
    for leader in 1..=3 {
        let nodes = cluster_led_by(leader).await;
        let client = client([nodes[0].url()]);
        client.cluster().await.expect("a map");
        acquire(&client, "users").await;
        let first = acquires(&nodes);
        for _ in 0..10 {
            acquire(&client, "users").await;
        }
        let mut expected = first;
        expected[leader as usize - 1] += 10;
        assert_eq!(acquires(&nodes), expected, "after {first:?}, led by {leader}");
    }
}

#[tokio::test]
async fn the_map_is_asked_for_at_first_use_without_being_told_to() {
    let nodes = cluster_led_by(3).await;
    let client = client([nodes[0].url()]);
    for _ in 0..1000 {
        acquire(&client, "users").await;
        if nodes[2].seen("/v1/acquire") > 0 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let others = nodes[0].seen("/v1/acquire");
    for _ in 0..10 {
        acquire(&client, "users").await;
    }
    assert_eq!(acquires(&nodes)[0], others);
    assert_eq!(nodes.iter().map(|node| node.seen("/v1/cluster")).sum::<usize>(), 1);
}

#[tokio::test]
async fn requests_never_seen_are_spread_over_the_nodes() {
    let nodes = cluster_led_by(3).await;
    let client = client([nodes[0].url()]);
    client.cluster().await.expect("a map");
    for number in 0..30 {
        acquire(&client, &format!("users/{number}")).await;
    }
    assert_eq!(acquires(&nodes), [10, 10, 10]);
}

#[tokio::test]
async fn what_belongs_to_no_shard_is_spread_over_the_nodes() {
    let nodes = cluster_led_by(3).await;
    let client = client([nodes[0].url()]);
    client.cluster().await.expect("a map");
    for _ in 0..30 {
        client.limits().await.expect("limits");
        client.acquire_many(&AcquireManyRequest { requests: vec![] }).await.expect("results");
    }
    let total = |path| nodes.iter().map(|node| node.seen(path)).collect::<Vec<_>>();
    assert!(total("/v1/limits").into_iter().zip(total("/v1/acquire_many")).all(|(limits, many)| limits + many == 20));
}

#[tokio::test]
async fn a_reserve_goes_to_the_leader_that_an_acquire_has_found() {
    let nodes = cluster_led_by(2).await;
    let client = client([nodes[0].url()]);
    client.cluster().await.expect("a map");
    acquire(&client, "users").await;
    for _ in 0..3 {
        client.reserve(&AcquireRequest::new("users")).await.expect("an answer");
    }
    assert_eq!(nodes[1].seen("/v1/reserve"), 3);
}

#[tokio::test]
async fn a_dead_node_is_passed_over_even_where_nothing_may_be_repeated() {
    let live = FakeNode::start().await;
    let once = Options { attempts: 1, ..OPTIONS };
    let client = ClusterClient::with_options([url(DEAD), live.url(), url("127.0.0.1:2")], once).expect("addresses");
    live.tell(&map(&[&live.http, DEAD], 2));
    for _ in 0..50 {
        acquire(&client, "users").await;
    }
    assert_eq!(live.seen("/v1/acquire"), 50);
}

/// Sends requests until ten in a row went to `leader` and none to `other`.
async fn until_asked(client: &ClusterClient, leader: &FakeNode, other: &FakeNode) {
    for _ in 0..1000 {
        let before = (leader.seen("/v1/acquire"), other.seen("/v1/acquire"));
        for _ in 0..10 {
            acquire(client, "users").await;
        }
        if (leader.seen("/v1/acquire"), other.seen("/v1/acquire")) == (before.0 + 10, before.1) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    panic!("the leader is never the only one that is asked");
}

#[tokio::test]
async fn a_dead_leader_is_passed_over_until_the_map_has_another() {
    let nodes = [FakeNode::start().await, FakeNode::start().await];
    let client = client([nodes[0].url()]);
    let tell_all = |leader| {
        let map = map(&[&nodes[0].http, &nodes[1].http, DEAD], leader);
        nodes.iter().for_each(|node| node.tell(&map));
    };
    tell_all(3);
    client.cluster().await.expect("a map");
    for _ in 0..10 {
        acquire(&client, "users").await;
    }
    tell_all(2);
    until_asked(&client, &nodes[1], &nodes[0]).await;
}

#[tokio::test]
async fn a_map_that_has_changed_is_noticed_after_ten_seconds() {
    let nodes = cluster_led_by(1).await;
    let client = client([nodes[0].url()]);
    client.cluster().await.expect("a map");
    acquire(&client, "users").await;
    tell_all(&nodes, 2);
    let before = acquires(&nodes)[1];
    acquire(&client, "users").await;
    assert_eq!(acquires(&nodes)[1], before, "the old map is good for a while");

    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(10)).await;
    tokio::time::resume();
    until_asked(&client, &nodes[1], &nodes[0]).await;
}

#[tokio::test]
async fn a_node_that_does_not_serve_leaves_it_to_another() {
    let (starting, live) = (FakeNode::start().await, FakeNode::start().await);
    starting.refuse_with(StatusCode::SERVICE_UNAVAILABLE);
    [&starting, &live].into_iter().for_each(|node| node.tell(&map(&[&starting.http, &live.http], 1)));
    let client = client([starting.url(), live.url()]);
    for _ in 0..50 {
        acquire(&client, "users").await;
    }
    assert_eq!(live.seen("/v1/acquire"), 50);
    assert!(starting.seen("/v1/acquire") <= 2, "it is left alone for a second");
}

#[tokio::test]
async fn an_acquire_that_may_have_been_carried_out_is_not_sent_to_another_node() {
    let (broken, live) = (Scripted::hanging_up().await, FakeNode::start().await);
    let client = client([live.url()]);
    acquire(&client, "users").await;
    live.tell(&map(&[broken.url.trim_start_matches("http://"), &live.http], 1));
    client.cluster().await.expect("a map");
    for _ in 0..2 {
        let error = client.acquire(&AcquireRequest::new("users")).await;
        assert!(matches!(error, Err(Error::Interrupted { .. })), "{error:?}");
    }
    assert_eq!(live.seen("/v1/acquire"), 1);
    let peek = AcquireRequest { cost: 0, ..AcquireRequest::new("users") };
    assert!(client.acquire(&peek).await.is_ok(), "a peek may be repeated, and the other node lives");
}

#[tokio::test]
async fn when_no_node_can_be_reached_the_error_says_so() {
    let error = client([url(DEAD), url("127.0.0.1:2")]).acquire(&AcquireRequest::new("users")).await;
    assert!(matches!(error, Err(Error::Connect { .. })), "{error:?}");
}

#[tokio::test]
async fn a_silent_node_hits_the_deadline_and_is_then_passed_over() {
    let (silent, live) = (Scripted::silent().await, FakeNode::start().await);
    live.tell(&map(&[&live.http], 1));
    let options = Options { deadline: Duration::from_millis(100), ..OPTIONS };
    let client = ClusterClient::with_options([silent.url.clone(), live.url()], options).expect("addresses");
    let mut late = 0;
    for _ in 0..20 {
        match client.acquire(&AcquireRequest::new("users")).await {
            Ok(_) => {}
            Err(error) => {
                assert_eq!(error, Error::Deadline { url: silent.url.clone(), deadline_ms: 100 });
                late += 1;
            }
        }
    }
    assert!(late <= 1, "{late} requests waited for the silent node");
}

#[test]
fn a_cluster_is_named_by_one_address_at_least_and_all_must_be_good() {
    let named = |urls: &[&str]| ClusterClient::new(urls);
    assert!(named(&["http://a:1"]).is_ok() && named(&["http://a:1", "http://b:2/base"]).is_ok());
    for urls in [&[][..], &["http://a:1", "b:2"], &["https://a:1"]] {
        assert!(matches!(named(urls), Err(Error::InvalidUrl { .. })), "{urls:?}");
    }
}
