//! Nodes that join, move, leave, and take the place of others.

use tollgate_transport::{
    ClusterId, HelloRefusal, Inbound, Instance, Introduction, NodeId, PeerAddress, TcpOptions, TcpTransport, Transport,
};

use crate::nodes::{
    LOOPBACK, ONE, OTHER, data_of, drain, introduction, options, peer_address, reach, start, start_as, until_refused,
};

const NEW_DATA: Instance = Instance(5);

/// Node 2 with other data than it had.
fn replaced() -> Introduction {
    Introduction { instance: NEW_DATA, ..introduction(OTHER) }
}

#[tokio::test]
async fn a_node_that_nobody_told_of_is_answered() {
    let (one, mut to_one) = start(ONE).await;
    let (other, mut to_other) = start(OTHER).await;
    other.connect(ONE, peer_address(&one, None));
    assert_eq!(reach(&other, ONE, &mut to_one).await.from, OTHER);
    assert_eq!(reach(&one, OTHER, &mut to_other).await.from, ONE);
}

#[tokio::test]
async fn a_node_that_moved_is_answered_at_its_new_address() {
    let (one, mut to_one) = start(ONE).await;
    let (other, to_other) = start(OTHER).await;
    one.connect(OTHER, peer_address(&other, Some(data_of(OTHER))));
    drop((other, to_other));
    let (moved, mut to_moved) = start(OTHER).await;
    moved.connect(ONE, peer_address(&one, None));
    assert_eq!(reach(&moved, ONE, &mut to_one).await.from, OTHER);
    assert_eq!(reach(&one, OTHER, &mut to_moved).await.from, ONE);
}

#[tokio::test]
async fn what_waits_for_a_node_that_moves_goes_to_its_new_address() {
    let (one, _to_one) = start(ONE).await;
    let (other, mut to_other) = start(OTHER).await;
    one.connect(OTHER, PeerAddress { address: "nowhere.invalid:1".to_owned(), instance: None });
    one.send(OTHER, "waits".into());
    one.connect(OTHER, peer_address(&other, None));
    assert_eq!(to_other.recv().await.map(|received| received.frame), Some("waits".into()));
}

#[tokio::test]
async fn a_node_with_the_number_of_the_one_it_connects_to_is_refused() {
    let (one, mut to_one) = start(ONE).await;
    let (second, _to_second) = start_as(Introduction { instance: NEW_DATA, ..introduction(ONE) }).await;
    // It was told that node 2 is there.
    second.connect(OTHER, peer_address(&one, None));
    until_refused(&second, OTHER, Some(HelloRefusal::NumberTaken)).await;
    second.send(OTHER, "never".into());
    assert!(to_one.try_recv().is_err());
}

#[tokio::test]
async fn a_node_does_not_connect_to_its_own_number() {
    let (one, mut to_one) = start(ONE).await;
    one.connect(ONE, PeerAddress { address: "elsewhere:1".to_owned(), instance: Some(NEW_DATA) });
    assert_eq!(reach(&one, ONE, &mut to_one).await.from, ONE);
    assert_eq!(one.refusal(ONE), None);
}

#[tokio::test]
async fn a_second_node_with_a_number_is_refused_until_the_first_is_gone() {
    let (one, mut to_one) = start(ONE).await;
    let (first, to_first) = start(OTHER).await;
    first.connect(ONE, peer_address(&one, None));
    reach(&first, ONE, &mut to_one).await;
    let (second, _to_second) = start_as(replaced()).await;
    second.connect(ONE, peer_address(&one, None));
    until_refused(&second, ONE, Some(HelloRefusal::NumberTaken)).await;
    drop((first, to_first));
    until_refused(&second, ONE, None).await;
    drain(&mut to_one);
    assert_eq!(reach(&second, ONE, &mut to_one).await.from, OTHER);
}

#[tokio::test]
async fn a_node_whose_data_were_replaced_is_refused_until_it_is_known_with_them() {
    let (one, mut to_one) = start(ONE).await;
    let (other, _to_other) = start_as(replaced()).await;
    one.connect(OTHER, peer_address(&other, Some(data_of(OTHER))));
    other.connect(ONE, peer_address(&one, None));
    until_refused(&other, ONE, Some(HelloRefusal::OtherData)).await;
    one.connect(OTHER, peer_address(&other, Some(NEW_DATA)));
    assert_eq!(reach(&other, ONE, &mut to_one).await.from, OTHER);
    assert_eq!(other.refusal(ONE), None);
}

#[tokio::test]
async fn a_forgotten_node_is_refused_until_it_is_known_again() {
    let (one, mut to_one, other) = joined().await;
    one.forget(OTHER);
    until_refused(&other, ONE, Some(HelloRefusal::Forgotten)).await;
    drain(&mut to_one);
    let undeliverable = one.undeliverable_frames();
    one.send(OTHER, "to nobody".into());
    assert_eq!(one.undeliverable_frames(), undeliverable + 1);
    one.connect(OTHER, peer_address(&other, None));
    assert_eq!(reach(&other, ONE, &mut to_one).await.from, OTHER);
    assert_eq!(other.refusal(ONE), None);
}

#[tokio::test]
async fn a_forgotten_node_may_come_back_as_a_new_one() {
    let (one, mut to_one, other) = joined().await;
    one.forget(OTHER);
    until_refused(&other, ONE, Some(HelloRefusal::Forgotten)).await;
    drop(other);
    drain(&mut to_one);
    let (new, mut to_new) = start_as(replaced()).await;
    new.connect(ONE, peer_address(&one, None));
    assert_eq!(reach(&new, ONE, &mut to_one).await.from, OTHER);
    assert_eq!(reach(&one, OTHER, &mut to_new).await.from, ONE);
}

/// Node 1, and node 2 that introduced itself to it.
async fn joined() -> (TcpTransport, Inbound, TcpTransport) {
    let (one, mut to_one) = start(ONE).await;
    let (other, _to_other) = start(OTHER).await;
    other.connect(ONE, peer_address(&one, None));
    reach(&other, ONE, &mut to_one).await;
    (one, to_one, other)
}

#[tokio::test]
async fn a_node_learns_why_it_is_refused_and_that_it_is_not_any_more() {
    let (one, _to_one) = start(ONE).await;
    let (other, _to_other) = start(OTHER).await;
    assert_eq!(other.refusal(NodeId(3)), None);
    other.connect(NodeId(3), peer_address(&one, None));
    until_refused(&other, NodeId(3), Some(HelloRefusal::OtherNode)).await;
    let (third, mut to_third) = start(NodeId(3)).await;
    other.connect(NodeId(3), peer_address(&third, None));
    reach(&other, NodeId(3), &mut to_third).await;
    assert_eq!(other.refusal(NodeId(3)), None);
}

#[tokio::test]
async fn another_cluster_is_refused() {
    let (one, _to_one) = start(ONE).await;
    let cluster = ClusterId(5);
    let (other, _to_other) = start_as(Introduction { cluster, ..introduction(OTHER) }).await;
    other.connect(ONE, peer_address(&one, None));
    until_refused(&other, ONE, Some(HelloRefusal::OtherCluster)).await;
}

#[tokio::test]
async fn strangers_beyond_the_limit_are_refused() {
    let options = TcpOptions { known_nodes: 0, ..options() };
    let bound = TcpTransport::bind(introduction(ONE), LOOPBACK, options).await;
    let (one, mut to_one) = bound.expect("loopback can be listened on");
    let (other, _to_other) = start(OTHER).await;
    other.connect(ONE, peer_address(&one, None));
    until_refused(&other, ONE, Some(HelloRefusal::TooManyNodes)).await;
    one.connect(OTHER, peer_address(&other, None));
    assert_eq!(reach(&other, ONE, &mut to_one).await.from, OTHER);
}
