//! Strangers that connect to a node.

#![expect(clippy::disallowed_types, reason = "these tests play strangers that connect to a node")]

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tollgate_transport::{PROTOCOL_VERSION, TcpTransport, Transport};

use crate::nodes::{CLUSTER, ONE, OTHER, peer_address, reach, start};

fn framed(payload: &[u8]) -> Vec<u8> {
    let length = payload.len() as u32 + 1;
    [&length.to_le_bytes()[..], &[1], payload].concat()
}

/// A hello with a valid address.
fn hello(protocol: u32, cluster: u128, from: u64, to: u64) -> Vec<u8> {
    hello_with(protocol, cluster, from, to, b"\x0bnode-x:7000")
}

fn hello_with(protocol: u32, cluster: u128, from: u64, to: u64, address: &[u8]) -> Vec<u8> {
    let numbers = [from.to_le_bytes(), to.to_le_bytes()].concat();
    let instance = 5u128.to_le_bytes();
    framed(&[&b"tollgate"[..], &protocol.to_le_bytes(), &cluster.to_le_bytes(), &numbers, &instance, address].concat())
}

/// The answer to a hello.
fn verdict(code: u8) -> Vec<u8> {
    framed(&[&[code][..], &PROTOCOL_VERSION.to_le_bytes()].concat())
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
        (hello(PROTOCOL_VERSION, CLUSTER.0, 1, 1), 5),
        (hello_with(PROTOCOL_VERSION, CLUSTER.0, 2, 1, b""), 1),
        (hello_with(PROTOCOL_VERSION, CLUSTER.0, 2, 1, b"\x0bnode-x"), 1),
        (hello_with(PROTOCOL_VERSION, CLUSTER.0, 2, 1, b"\x0bnode-x:7\xFF00"), 1),
    ];
    for (hello, reason) in cases {
        assert_eq!(say(&node, &hello).await, verdict(reason));
    }
}

#[tokio::test]
async fn nonsense_closes_the_connection_and_nothing_else() {
    let (one, mut to_one) = start(ONE).await;
    let (other, _to_other) = start(OTHER).await;
    other.connect(ONE, peer_address(&one, None));
    reach(&other, ONE, &mut to_one).await;
    let introduced = |bytes: &[u8]| [&hello(PROTOCOL_VERSION, CLUSTER.0, 3, 1), bytes].concat();
    let welcome = verdict(0);
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
