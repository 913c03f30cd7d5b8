use bytes::Bytes;
use tollgate_api::{AcquireRequest, NodeAnswer, NodeDuty, ShardAnswer};

use super::*;

fn url(node: u64) -> Arc<Url> {
    Arc::new(Url::parse(&format!("http://node:{node}")).expect("an address"))
}

fn view(seeds: impl IntoIterator<Item = u64>) -> View {
    View::new(seeds.into_iter().map(url).collect())
}

/// The answer of a cluster of three, whose only shard, 0, is led by `leader`.
fn led_by(leader: Option<u64>, ready: bool) -> ClusterAnswer {
    let node = |id| NodeAnswer {
        id,
        http: Some(format!("node:{id}")),
        peer: format!("peer:{id}"),
        alive: true,
        leads: 0,
        duty: NodeDuty::Serving,
    };
    let shards = vec![ShardAnswer { id: 0, leader, replicas: vec![1, 2, 3], term: 1 }];
    ClusterAnswer { nodes: (1..=3).map(node).collect(), shards, ready }
}

fn key() -> RequestKey {
    RequestKey::from(&AcquireRequest::new("users"))
}

/// A view of the cluster of three that knows that the request belongs to shard 0, led by `leader`.
fn knowing(leader: Option<u64>, now: Instant) -> View {
    let mut view = view([1]);
    view.learn_map(&led_by(leader, true), now);
    view.learn_shard(key(), 0);
    view
}

/// The ports of the nodes that `view` would try, in order.
fn plan(view: &mut View, key: Option<RequestKey>, now: Instant) -> Vec<u16> {
    view.plan(key, now).iter().map(|node| node.port().expect("a port")).collect()
}

fn failed(node: u64) -> Result<Reply, Error> {
    Err(Error::Connect { url: url(node).to_string(), problem: "refused".to_owned() })
}

fn replied(status: u16, retry_after: Duration) -> Result<Reply, Error> {
    Ok(Reply { status: StatusCode::from_u16(status).expect("a status"), retry_after, body: Bytes::new() })
}

#[test]
fn requests_that_are_not_known_go_to_the_nodes_in_turn() {
    let now = Instant::now();
    for (mut view, key) in [(view([1, 2, 3]), Some(key())), (knowing(Some(2), now), None), (knowing(None, now), None)] {
        let plans: Vec<_> = (0..3).map(|_| plan(&mut view, key, now)).collect();
        let mut first: Vec<_> = plans.iter().map(|plan| plan[0]).collect();
        first.sort_unstable();
        assert_eq!(first, [1, 2, 3]);
        assert!(plans.iter().all(|plan| plan.len() == 3), "{plans:?}");
    }
}

#[test]
fn a_request_that_is_known_goes_to_its_leader_first() {
    let now = Instant::now();
    let mut view = knowing(Some(3), now);
    for _ in 0..5 {
        let plan = plan(&mut view, Some(key()), now);
        assert_eq!((plan[0], plan.len()), (3, 3));
    }
}

#[test]
fn a_node_that_failed_is_tried_last_for_a_while() {
    let now = Instant::now();
    for (outcome, while_s) in [
        (failed(3), 5),
        (Err(Error::Deadline { url: String::new(), deadline_ms: 1 }), 1),
        (replied(503, Duration::ZERO), 1),
        (replied(503, Duration::from_secs(2)), 2),
        (replied(503, Duration::from_secs(3600)), 5),
    ] {
        let mut view = knowing(Some(3), now);
        view.observe(&url(3), &outcome, now);
        let just_before = now + Duration::from_millis(while_s * 1000 - 1);
        assert_eq!(plan(&mut view, Some(key()), just_before)[2], 3, "{outcome:?}");
        assert_eq!(plan(&mut view, Some(key()), now + Duration::from_secs(while_s))[0], 3, "{outcome:?}");
    }
}

#[test]
fn a_node_that_answers_again_is_trusted_again() {
    let now = Instant::now();
    let mut view = knowing(Some(3), now);
    view.observe(&url(3), &failed(3), now);
    view.observe(&url(3), &replied(429, Duration::ZERO), now);
    assert_eq!(plan(&mut view, Some(key()), now)[0], 3);
}

#[test]
fn the_map_is_asked_for_at_first_and_when_it_is_old() {
    let now = Instant::now();
    let mut view = view([1]);
    assert!(view.take_refresh(now));
    assert!(!view.take_refresh(now), "it is under way");
    view.learn_map(&led_by(Some(1), true), now);
    assert!(!view.take_refresh(now + Duration::from_millis(9_999)));
    assert!(view.take_refresh(now + Duration::from_secs(10)));
}

#[test]
fn the_map_is_asked_for_again_when_it_proves_wrong() {
    let (now, soon) = (Instant::now(), Duration::from_millis(500));
    let prove: [fn(&mut View, Instant); 4] = [
        |view, now| view.observe(&url(2), &failed(2), now),
        |view, now| view.observe(&url(2), &replied(503, Duration::ZERO), now),
        |view, now| {
            let error = Error::Interrupted { url: String::new(), problem: String::new() };
            view.observe(&url(2), &Err(error), now);
        },
        |view, now| view.learn_map(&led_by(Some(1), false), now),
    ];
    for (case, prove) in prove.into_iter().enumerate() {
        let mut view = knowing(Some(1), now);
        assert!(!view.take_refresh(now + soon), "case {case}");
        prove(&mut view, now);
        assert!(view.take_refresh(now + soon), "case {case}");
    }
    let mut leaderless = knowing(None, now);
    assert!(!leaderless.take_refresh(now + soon));
    leaderless.plan(Some(key()), now);
    assert!(leaderless.take_refresh(now + soon));
}

#[test]
fn the_map_of_a_node_that_is_cut_off_is_not_taken() {
    let now = Instant::now();
    let mut view = knowing(Some(3), now);
    view.learn_map(&led_by(Some(1), false), now);
    assert_eq!(plan(&mut view, Some(key()), now)[0], 3);
    view.learn_map(&led_by(Some(1), true), now);
    assert_eq!(plan(&mut view, Some(key()), now)[0], 1);
}
