//! The TCP transport on loopback.

use bytes::Bytes;
use tollgate_transport::{AddressError, BindError, Introduction, NodeId, Received, TcpTransport, Transport};

use crate::nodes::{LOOPBACK, ONE, OTHER, frame, introduction, options, peer_address, reach, start};

#[tokio::test]
async fn frames_arrive_in_order_with_their_sender_both_ways() {
    let (one, mut to_one) = start(ONE).await;
    let (other, mut to_other) = start(OTHER).await;
    one.connect(OTHER, peer_address(&other, None));
    other.connect(ONE, peer_address(&one, None));
    for number in 0..1000 {
        one.send(OTHER, frame(&format!("ping {number}")));
        other.send(ONE, frame(&format!("pong {number}")));
    }
    let large = Bytes::from(vec![0xA5; 100_000]);
    one.send(OTHER, large.clone());
    for number in 0..1000 {
        let ping = Received { from: ONE, frame: frame(&format!("ping {number}")) };
        assert_eq!(to_other.recv().await, Some(ping));
        let pong = Received { from: OTHER, frame: frame(&format!("pong {number}")) };
        assert_eq!(to_one.recv().await, Some(pong));
    }
    assert_eq!(to_other.recv().await, Some(Received { from: ONE, frame: large }));
    assert_eq!(one.dropped_frames(OTHER), 0);
}

#[tokio::test]
async fn a_peer_that_restarts_is_reached_again() {
    let (one, _to_one) = start(ONE).await;
    let (other, mut to_other) = start(OTHER).await;
    let address = other.local_address();
    one.connect(OTHER, peer_address(&other, None));
    reach(&one, OTHER, &mut to_other).await;
    drop((other, to_other));
    let mut restarted = TcpTransport::bind(introduction(OTHER), address, options()).await;
    while restarted.is_err() {
        tokio::task::yield_now().await;
        restarted = TcpTransport::bind(introduction(OTHER), address, options()).await;
    }
    let (_other, mut to_other) = restarted.expect("the address is free again");
    assert_eq!(reach(&one, OTHER, &mut to_other).await.from, ONE);
}

#[tokio::test]
async fn a_peer_that_moves_is_reached_at_its_new_address() {
    let (one, _to_one) = start(ONE).await;
    let (third, mut to_third) = start(NodeId(3)).await;
    one.connect(OTHER, peer_address(&third, None));
    let (other, mut to_other) = start(OTHER).await;
    one.connect(OTHER, peer_address(&other, None));
    assert_eq!(reach(&one, OTHER, &mut to_other).await.from, ONE);
    assert!(to_third.try_recv().is_err(), "a node that was not meant got a frame");
}

#[tokio::test]
async fn frames_beyond_the_queue_are_dropped_and_counted() {
    let (one, _to_one) = start(ONE).await;
    let (other, mut to_other) = start(OTHER).await;
    // Nothing is sent before this task waits for the first time.
    one.connect(OTHER, peer_address(&other, None));
    for number in 0..2500 {
        one.send(OTHER, frame(&number.to_string()));
    }
    assert_eq!(one.dropped_frames(OTHER), 500);
    assert_eq!(to_other.recv().await.map(|received| received.frame), Some(frame("500")));
}

#[tokio::test]
async fn frames_that_cannot_be_delivered_are_counted() {
    let (one, mut to_one) = start(ONE).await;
    one.send(NodeId(9), frame("to nobody"));
    one.send(ONE, Bytes::from(vec![0; 100_001]));
    assert_eq!(one.undeliverable_frames(), 2);
    one.send(ONE, frame("to itself"));
    assert_eq!(to_one.recv().await, Some(Received { from: ONE, frame: frame("to itself") }));
}

#[tokio::test]
async fn a_peer_is_found_by_its_name() {
    let (one, _to_one) = start(ONE).await;
    let (other, mut to_other) = start(OTHER).await;
    let mut by_name = peer_address(&other, None);
    by_name.address = format!("localhost:{}", other.local_address().port());
    one.connect(OTHER, by_name);
    assert_eq!(reach(&one, OTHER, &mut to_other).await.from, ONE);
}

#[tokio::test]
async fn a_node_that_others_could_not_reach_does_not_start() {
    for address in ["", "no-port", &format!("{}:7000", "a".repeat(251))] {
        let introduction = Introduction { address: address.to_owned(), ..introduction(ONE) };
        let bound = TcpTransport::bind(introduction, LOOPBACK, options()).await;
        assert!(matches!(bound, Err(BindError::Address(_))), "{address:?}");
    }
    let error = BindError::Address(AddressError::NotHostAndPort { address: "no-port".to_owned() });
    assert!(error.to_string().contains("\"no-port\" is not the address of a node: it must be host:port"));
}
