//! Why nodes do not talk, and how one tells the other: `u8 code | u32 protocol`, little-endian.

use bytes::{BufMut, Bytes, BytesMut};
use thiserror::Error;

use crate::PROTOCOL_VERSION;

const WELCOME: u8 = 0;

/// Why two nodes do not talk. "This node" is the one that connected, and "the other side" whoever is at the other end for
/// the one that reports it.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum HelloRefusal {
    /// What is at the other end is no node of ours.
    #[error("the other side does not introduce itself as a node: check the address")]
    NotANode,
    /// Another release.
    #[error(
        "the other side speaks version {theirs} of the protocol and this side version {PROTOCOL_VERSION}: \
         run releases with the same version on all nodes"
    )]
    OtherProtocol {
        /// The version that the other side speaks.
        theirs: u32,
    },
    /// Another cluster, by a mistaken address or list of nodes.
    #[error(
        "the other side belongs to another cluster, or was given another list of nodes \
         (cluster.nodes must be the same on all)"
    )]
    OtherCluster,
    /// Another node than was meant is at this address.
    #[error("the other side is another node than the one meant: check the addresses of the nodes")]
    OtherNode,
    /// The number of the node that connected is that of the node it connected to, or of one that is connected to it.
    #[error("another node with this number is running: each node needs a number of its own")]
    NumberTaken,
    /// The number of the node that connected is known with another [`Instance`](crate::Instance).
    #[error(
        "this node's number is known with other data: its directory was replaced; \
         remove the node from the cluster and join it anew"
    )]
    OtherData,
    /// The node that connected was forgotten: it is no member of the cluster any more.
    #[error("this node was removed from the cluster: stop it, or empty its directory and join it anew")]
    Forgotten,
    /// The node that connected is unknown, and the one it connected to knows as many as it may.
    #[error("the other side knows as many nodes as it may and this node is none of them: remove nodes that are gone")]
    TooManyNodes,
}

impl HelloRefusal {
    #[cfg(test)]
    const ALL: [Self; 8] = [
        Self::NotANode,
        Self::OtherProtocol { theirs: PROTOCOL_VERSION },
        Self::OtherCluster,
        Self::OtherNode,
        Self::NumberTaken,
        Self::OtherData,
        Self::Forgotten,
        Self::TooManyNodes,
    ];

    /// The byte that stands for it between nodes: never reuse or change one.
    fn code(self) -> u8 {
        match self {
            Self::NotANode => 1,
            Self::OtherProtocol { .. } => 2,
            Self::OtherCluster => 3,
            Self::OtherNode => 4,
            Self::NumberTaken => 5,
            Self::OtherData => 6,
            Self::Forgotten => 7,
            Self::TooManyNodes => 8,
        }
    }

    /// What a node that speaks `protocol` means by this byte. One that stands for nothing comes from no node.
    fn from_code(code: u8, protocol: u32) -> Self {
        match code {
            2 => Self::OtherProtocol { theirs: protocol },
            3 => Self::OtherCluster,
            4 => Self::OtherNode,
            5 => Self::NumberTaken,
            6 => Self::OtherData,
            7 => Self::Forgotten,
            8 => Self::TooManyNodes,
            _ => Self::NotANode,
        }
    }
}

/// The answer to a hello.
pub(crate) fn encode_verdict(verdict: Result<(), HelloRefusal>) -> Bytes {
    let mut answer = BytesMut::new();
    answer.put_u8(verdict.map_or_else(HelloRefusal::code, |()| WELCOME));
    answer.put_u32_le(PROTOCOL_VERSION);
    answer.freeze()
}

/// What the other side answered. An answer that is none comes from something that is no node.
pub(crate) fn decode_verdict(answer: &[u8]) -> Result<(), HelloRefusal> {
    let (code, rest) = answer.split_first().ok_or(HelloRefusal::NotANode)?;
    let protocol = rest.first_chunk().ok_or(HelloRefusal::NotANode)?;
    match *code {
        WELCOME => Ok(()),
        code => Err(HelloRefusal::from_code(code, u32::from_le_bytes(*protocol))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn verdicts_arrive_as_they_were_given() {
        assert_eq!(decode_verdict(&encode_verdict(Ok(()))), Ok(()));
        for refusal in HelloRefusal::ALL {
            assert_eq!(decode_verdict(&encode_verdict(Err(refusal))), Err(refusal));
        }
    }

    #[test]
    fn the_version_of_the_other_side_is_told() {
        let refusal = decode_verdict(&[2, 9, 0, 0, 0]).expect_err("it is a refusal");
        assert_eq!(refusal, HelloRefusal::OtherProtocol { theirs: 9 });
        assert!(refusal.to_string().contains("version 9 of the protocol and this side version 1"));
    }

    #[test]
    fn what_is_no_verdict_comes_from_no_node() {
        for answer in [&b""[..], &[0], &[0, 1, 0, 0], &[200, 1, 0, 0, 0], b"HTTP/1.1 400"] {
            assert_eq!(decode_verdict(answer), Err(HelloRefusal::NotANode));
        }
    }
}
