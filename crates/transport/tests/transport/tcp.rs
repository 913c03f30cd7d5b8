//! The TCP transport on loopback.

#![expect(clippy::disallowed_types, reason = "these tests play strangers that connect to a node")]

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tollgate_transport::{ClusterId, Inbound, NodeId, PROTOCOL_VERSION, Received, TcpOptions, TcpTransport, Transport};

const CLUSTER: ClusterId = ClusterId(77);
const ONE: NodeId = NodeId(1);
const OTHER: NodeId = NodeId(2);

fn options() -> TcpOptions {
    TcpOptions {
        max_frame_bytes: 100_000,
        queued_frames_per_peer: 2000,
        reconnect_first: Duration::from_millis(1),
        reconnect_last: Duration::from_millis(10),
        ..TcpOptions::default()
    }
}

async fn start_at(node: NodeId, address: SocketAddr) -> (TcpTransport, Inbound) {
    TcpTransport::bind(CLUSTER, node, address, options()).await.expect("loopback can be listened on")
}

async fn start(node: NodeId) -> (TcpTransport, Inbound) {
    start_at(node, SocketAddr::from(([127, 0, 0, 1], 0))).await
}

fn frame(text: &str) -> Bytes {
    Bytes::copy_from_slice(text.as_bytes())
}

/// Sends until something arrives: a frame may be lost while a connection is made.
async fn reach(transport: &TcpTransport, to: NodeId, inbound: &mut Inbound) -> Received {
    let mut interval = tokio::time::interval(Duration::from_millis(1));
    loop {
        tokio::select! {
            received = inbound.recv() => return received.expect("the transport is open"),
            _ = interval.tick() => transport.send(to, frame("hello")),
        }
    }
}

#[tokio::test]
async fn frames_arrive_in_order_with_their_sender_both_ways() {
    let (one, mut to_one) = start(ONE).await;
    let (other, mut to_other) = start(OTHER).await;
    one.set_peer(OTHER, other.local_address());
    other.set_peer(ONE, one.local_address());
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
    one.set_peer(OTHER, address);
    reach(&one, OTHER, &mut to_other).await;
    drop((other, to_other));
    let mut restarted = TcpTransport::bind(CLUSTER, OTHER, address, options()).await;
    while restarted.is_err() {
        tokio::task::yield_now().await;
        restarted = TcpTransport::bind(CLUSTER, OTHER, address, options()).await;
    }
    let (_other, mut to_other) = restarted.expect("the address is free again");
    assert_eq!(reach(&one, OTHER, &mut to_other).await.from, ONE);
}

#[tokio::test]
async fn a_peer_that_moves_is_reached_at_its_new_address() {
    let (one, _to_one) = start(ONE).await;
    let (third, mut to_third) = start(NodeId(3)).await;
    one.set_peer(OTHER, third.local_address());
    let (other, mut to_other) = start(OTHER).await;
    one.set_peer(OTHER, other.local_address());
    assert_eq!(reach(&one, OTHER, &mut to_other).await.from, ONE);
    assert!(to_third.try_recv().is_err(), "a node that was not meant got a frame");
}

#[tokio::test]
async fn frames_beyond_the_queue_are_dropped_and_counted() {
    let (one, _to_one) = start(ONE).await;
    let (other, mut to_other) = start(OTHER).await;
    // Nothing is sent before this task waits for the first time.
    one.set_peer(OTHER, other.local_address());
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

fn framed(payload: &[u8]) -> Vec<u8> {
    let length = payload.len() as u32 + 1;
    [&length.to_le_bytes()[..], &[1], payload].concat()
}

fn hello(protocol: u32, cluster: u128, from: u64, to: u64) -> Vec<u8> {
    let numbers = [from.to_le_bytes(), to.to_le_bytes()].concat();
    framed(&[&b"tollgate"[..], &protocol.to_le_bytes(), &cluster.to_le_bytes(), &numbers].concat())
}

/// Connects as a stranger, says `bytes`, and returns all that the node says until it closes the connection.
async fn say(node: &TcpTransport, bytes: &[u8]) -> Vec<u8> {
    let mut stream = TcpStream::connect(node.local_address()).await.expect("the node listens");
    stream.write_all(bytes).await.expect("the node reads");
    let mut answer = Vec::new();
    // What the node had not read when it closed the connection makes this an error, after the answer.
    drop(stream.read_to_end(&mut answer).await);
    answer
}

#[tokio::test]
async fn a_hello_that_does_not_fit_is_refused_with_the_reason() {
    let (node, _inbound) = start(ONE).await;
    let cases = [
        (framed(b"something else"), 1),
        (hello(PROTOCOL_VERSION + 1, CLUSTER.0, 2, 1), 2),
        (hello(PROTOCOL_VERSION, 5, 2, 1), 3),
        (hello(PROTOCOL_VERSION, CLUSTER.0, 2, 3), 4),
    ];
    for (hello, reason) in cases {
        assert_eq!(say(&node, &hello).await, framed(&[reason]));
    }
}

#[tokio::test]
async fn nonsense_closes_the_connection_and_nothing_else() {
    let (one, mut to_one) = start(ONE).await;
    let (other, _to_other) = start(OTHER).await;
    other.set_peer(ONE, one.local_address());
    reach(&other, ONE, &mut to_one).await;
    let introduced = |bytes: &[u8]| [&hello(PROTOCOL_VERSION, CLUSTER.0, 3, 1), bytes].concat();
    let welcome = framed(&[0]);
    let cases = [
        (b"GET / HTTP/1.1\r\n\r\n".to_vec(), Vec::new()),
        (vec![0xFF; 64], Vec::new()),
        (framed(&[0; 2000]), Vec::new()),
        (introduced(&[0; 4]), welcome.clone()),
        (introduced(&100_002u32.to_le_bytes()), welcome.clone()),
        (introduced(&[9, 0, 0, 0, 7]), welcome),
    ];
    for (bytes, expected) in cases {
        assert_eq!(say(&one, &bytes).await, expected, "after {:?}", &bytes[..bytes.len().min(60)]);
    }
    while let Ok(received) = to_one.try_recv() {
        assert_eq!(received.from, OTHER, "nonsense was taken for a frame");
    }
    assert_eq!(reach(&other, ONE, &mut to_one).await.from, OTHER);
}
