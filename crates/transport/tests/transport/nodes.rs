//! Nodes for tests.

use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::time::Duration;

use bytes::Bytes;
use tollgate_transport::{
    ClusterId, HelloRefusal, Inbound, Instance, Introduction, NodeId, PeerAddress, Received, TcpOptions, TcpTransport,
    Transport,
};

pub(crate) const CLUSTER: ClusterId = ClusterId(77);
pub(crate) const ONE: NodeId = NodeId(1);
pub(crate) const OTHER: NodeId = NodeId(2);
/// The system chooses the port.
pub(crate) const LOOPBACK: SocketAddr = SocketAddr::V4(SocketAddrV4::new(Ipv4Addr::LOCALHOST, 0));
/// How long to wait for what must happen soon.
const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) fn options() -> TcpOptions {
    TcpOptions {
        max_frame_bytes: 100_000,
        queued_frames_per_peer: 2000,
        reconnect_first: Duration::from_millis(1),
        reconnect_last: Duration::from_millis(10),
        ..TcpOptions::default()
    }
}

/// The data of a node that did not lose them.
pub(crate) fn data_of(node: NodeId) -> Instance {
    Instance(1000 + u128::from(node.0))
}

pub(crate) fn introduction(node: NodeId) -> Introduction {
    Introduction { cluster: CLUSTER, node, instance: data_of(node), address: LOOPBACK.to_string() }
}

pub(crate) async fn start(node: NodeId) -> (TcpTransport, Inbound) {
    start_as(introduction(node)).await
}

pub(crate) async fn start_as(introduction: Introduction) -> (TcpTransport, Inbound) {
    TcpTransport::bind(introduction, LOOPBACK, options()).await.expect("loopback can be listened on")
}

pub(crate) fn peer_address(node: &TcpTransport, instance: Option<Instance>) -> PeerAddress {
    PeerAddress { address: node.local_address().to_string(), instance }
}

pub(crate) fn frame(text: &str) -> Bytes {
    Bytes::copy_from_slice(text.as_bytes())
}

/// Sends until something arrives: a frame may be lost while a connection is made.
pub(crate) async fn reach(transport: &TcpTransport, to: NodeId, inbound: &mut Inbound) -> Received {
    let mut interval = tokio::time::interval(Duration::from_millis(1));
    let reached = async {
        loop {
            tokio::select! {
                received = inbound.recv() => return received.expect("the transport is open"),
                _ = interval.tick() => transport.send(to, frame("hello")),
            }
        }
    };
    tokio::time::timeout(PATIENCE, reached).await.expect("the node is reached in time")
}

/// Waits until `peer` refuses `node` for this reason, or does not any more.
pub(crate) async fn until_refused(node: &TcpTransport, peer: NodeId, expected: Option<HelloRefusal>) {
    let changed = async {
        while node.refusal(peer) != expected {
            tokio::task::yield_now().await;
        }
    };
    let in_time = tokio::time::timeout(PATIENCE, changed).await.is_ok();
    assert!(in_time, "{:?} instead of {expected:?}", node.refusal(peer));
}

/// Reads whatever arrived until now.
pub(crate) fn drain(inbound: &mut Inbound) {
    while inbound.try_recv().is_ok() {}
}
