//! What a node does with what the others say.

use bytes::Bytes;

use crate::NodeId;

/// Takes what other nodes say to this one. One that panics loses that request or notice and nothing else.
pub trait Handler: Send + Sync + 'static {
    /// Answers a request of another node. Requests are handled at once, each in a task of its own.
    fn request(&self, from: NodeId, request: Bytes) -> impl Future<Output = Bytes> + Send + 'static;

    /// Takes a notice. Called one after the other in the order of arrival; must not block.
    fn notice(&self, from: NodeId, notice: Bytes);
}
