//! How nodes introduce themselves: the first frame each way of every connection.
//!
//! The node that connects says which cluster and node it is, which node it means to reach, and which protocol it speaks;
//! the other one answers with a byte that says whether that fits, so that the reason can be told on both sides.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use thiserror::Error;

use crate::{ClusterId, NodeId};

/// The version of what nodes say to each other. Nodes talk only when theirs are equal.
pub const PROTOCOL_VERSION: u32 = 1;

const MAGIC: [u8; 8] = *b"tollgate";
const HELLO_BYTES: usize = MAGIC.len() + size_of::<u32>() + size_of::<u128>() + 2 * size_of::<u64>();
const WELCOME: u8 = 0;

/// How a node that connects introduces itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Hello {
    pub(crate) protocol: u32,
    pub(crate) cluster: ClusterId,
    pub(crate) from: NodeId,
    pub(crate) to: NodeId,
}

/// Why two nodes do not talk.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum HelloRefusal {
    /// What connected is no node of ours.
    #[error("the other side does not introduce itself as a node")]
    NotANode,
    /// Another release.
    #[error("the other side speaks another version of the protocol")]
    OtherProtocol,
    /// Another cluster, probably by a mistaken address.
    #[error("the other side belongs to another cluster")]
    OtherCluster,
    /// Another node than was meant is at this address.
    #[error("the other side is another node than the one meant")]
    OtherNode,
}

impl HelloRefusal {
    const ALL: [Self; 4] = [Self::NotANode, Self::OtherProtocol, Self::OtherCluster, Self::OtherNode];

    /// The byte that stands for it between nodes: never reuse or change one.
    fn code(self) -> u8 {
        match self {
            Self::NotANode => 1,
            Self::OtherProtocol => 2,
            Self::OtherCluster => 3,
            Self::OtherNode => 4,
        }
    }
}

impl Hello {
    pub(crate) fn encode(self) -> Bytes {
        let mut bytes = BytesMut::with_capacity(HELLO_BYTES);
        bytes.put_slice(&MAGIC);
        bytes.put_u32_le(self.protocol);
        bytes.put_u128_le(self.cluster.0);
        bytes.put_u64_le(self.from.0);
        bytes.put_u64_le(self.to.0);
        bytes.freeze()
    }

    /// Later versions may say more behind this, so that they can still be told apart.
    pub(crate) fn decode(mut bytes: Bytes) -> Result<Self, HelloRefusal> {
        if bytes.len() < HELLO_BYTES || !bytes.starts_with(&MAGIC) {
            return Err(HelloRefusal::NotANode);
        }
        bytes.advance(MAGIC.len());
        Ok(Self {
            protocol: bytes.get_u32_le(),
            cluster: ClusterId(bytes.get_u128_le()),
            from: NodeId(bytes.get_u64_le()),
            to: NodeId(bytes.get_u64_le()),
        })
    }

    /// Whether this node, `node` of `cluster`, takes frames from who said this.
    pub(crate) fn check(self, cluster: ClusterId, node: NodeId) -> Result<(), HelloRefusal> {
        if self.protocol != PROTOCOL_VERSION {
            return Err(HelloRefusal::OtherProtocol);
        }
        if self.cluster != cluster {
            return Err(HelloRefusal::OtherCluster);
        }
        if self.to != node {
            return Err(HelloRefusal::OtherNode);
        }
        Ok(())
    }
}

/// The answer to a hello.
pub(crate) fn encode_verdict(verdict: Result<(), HelloRefusal>) -> Bytes {
    Bytes::copy_from_slice(&[verdict.map_or_else(HelloRefusal::code, |()| WELCOME)])
}

/// What the other side answered. An answer that is none comes from something that is no node.
pub(crate) fn decode_verdict(answer: &[u8]) -> Result<(), HelloRefusal> {
    match answer.first() {
        Some(&WELCOME) => Ok(()),
        Some(code) => {
            let refusal = HelloRefusal::ALL.into_iter().find(|refusal| refusal.code() == *code);
            Err(refusal.unwrap_or(HelloRefusal::NotANode))
        }
        None => Err(HelloRefusal::NotANode),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HELLO: Hello = Hello { protocol: PROTOCOL_VERSION, cluster: ClusterId(7), from: NodeId(1), to: NodeId(2) };

    #[test]
    fn only_a_hello_that_fits_is_welcome() {
        let cases = [
            (HELLO, Ok(())),
            (Hello { protocol: 2, ..HELLO }, Err(HelloRefusal::OtherProtocol)),
            (Hello { cluster: ClusterId(8), ..HELLO }, Err(HelloRefusal::OtherCluster)),
            (Hello { to: NodeId(3), ..HELLO }, Err(HelloRefusal::OtherNode)),
        ];
        for (hello, expected) in cases {
            let arrived = Hello::decode(hello.encode()).expect("it is a hello");
            assert_eq!(arrived, hello);
            assert_eq!(arrived.check(ClusterId(7), NodeId(2)), expected);
        }
    }

    #[test]
    fn what_is_no_hello_is_told_apart() {
        let encoded = HELLO.encode();
        for bytes in [&b""[..], b"tollgate", b"GET / HTTP/1.1\r\nhost: tollgate-node-number-1.example", &encoded[1..]] {
            assert_eq!(Hello::decode(Bytes::copy_from_slice(bytes)), Err(HelloRefusal::NotANode));
        }
    }

    #[test]
    fn verdicts_arrive_as_they_were_given() {
        assert_eq!(decode_verdict(&encode_verdict(Ok(()))), Ok(()));
        for refusal in HelloRefusal::ALL {
            assert_eq!(decode_verdict(&encode_verdict(Err(refusal))), Err(refusal));
        }
        assert_eq!(decode_verdict(&[200]), Err(HelloRefusal::NotANode));
        assert_eq!(decode_verdict(&[]), Err(HelloRefusal::NotANode));
    }
}
