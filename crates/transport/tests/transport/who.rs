//! Asking an address who is there.

#![expect(clippy::disallowed_types, reason = "these tests play something else than a node")]

use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;
use tollgate_transport::{Introduced, Transport, WhoError, who_is_there};

use crate::nodes::{CLUSTER, LOOPBACK, ONE, OTHER, peer_address, reach, start};

const LONG: Duration = Duration::from_secs(20);

async fn listen() -> (TcpListener, String) {
    let listener = TcpListener::bind(LOOPBACK).await.expect("loopback can be listened on");
    let address = listener.local_addr().expect("it is bound").to_string();
    (listener, address)
}

/// What is asked of something that answers with `bytes`, and closes the connection.
async fn ask_what_says(bytes: Vec<u8>) -> Result<Introduced, WhoError> {
    let (listener, address) = listen().await;
    let answering = async {
        let (mut stream, _) = listener.accept().await.expect("someone connects");
        stream.write_all(&bytes).await.expect("it is read");
        stream.shutdown().await.expect("it is open");
        stream
    };
    tokio::join!(who_is_there(&address, LONG), answering).0
}

#[tokio::test]
async fn a_node_tells_anyone_who_it_is() {
    let (one, mut to_one) = start(ONE).await;
    let address = one.local_address().to_string();
    for _ in 0..2 {
        let introduced = who_is_there(&address, LONG).await.expect("it is there");
        assert_eq!(introduced, Introduced { cluster: CLUSTER, node: ONE });
    }
    let (other, _to_other) = start(OTHER).await;
    other.connect(ONE, peer_address(&one, None));
    assert_eq!(reach(&other, ONE, &mut to_one).await.from, OTHER);
}

#[tokio::test]
async fn nobody_is_there() {
    let (listener, address) = listen().await;
    drop(listener);
    let error = who_is_there(&address, LONG).await.expect_err("nothing listens there");
    assert!(matches!(error, WhoError::CannotConnect { .. }));
    assert!(error.to_string().starts_with(&format!("cannot connect to {address}: Connection refused")), "{error}");
    let error = who_is_there("no port", LONG).await.expect_err("it is no address");
    assert!(error.to_string().starts_with("cannot connect to no port: "), "{error}");
}

#[tokio::test]
async fn who_says_nothing_is_not_waited_for() {
    // The system accepts connections for it, and nobody reads them.
    let (_listener, address) = listen().await;
    let error = who_is_there(&address, Duration::from_millis(10)).await.expect_err("nobody answers");
    assert_eq!(error.to_string(), format!("no answer from {address} within 10ms"));
}

#[tokio::test]
async fn what_is_no_node_is_told() {
    for bytes in [&b""[..], b"HTTP/1.1 400 Bad Request\r\n\r\n", &[1, 0, 0, 0, 1], &[6, 0, 0, 0, 1, 0, 1, 0, 0, 0]] {
        let asked = ask_what_says(bytes.to_vec()).await;
        assert!(matches!(asked, Err(WhoError::NotANode { .. })), "{asked:?} after {bytes:?}");
    }
}

#[tokio::test]
async fn a_node_of_another_version_is_told() {
    let answer = [&[13, 0, 0, 0, 1][..], b"tollhere", &[9, 0, 0, 0]].concat();
    let asked = ask_what_says(answer).await;
    assert!(matches!(asked, Err(WhoError::OtherProtocol { theirs: 9, .. })), "{asked:?}");
}
