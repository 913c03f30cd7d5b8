//! How nodes introduce themselves: the first frame of every connection between them.
//!
//! `magic | u32 protocol | u128 cluster | u64 from | u64 to | u128 instance | u8 length | address`, little-endian: the node
//! that connects says which protocol it speaks, which cluster and node it is, which node it means to reach, which data it
//! has and where it is reached. The other one answers whether that fits (`refusal`), so that the reason can be told on
//! both sides.

use bytes::{Buf, BufMut, Bytes, BytesMut};

use crate::address::host_and_port;
use crate::{ClusterId, HelloRefusal, Instance, Introduction, NodeId};

/// The version of what nodes say to each other. Nodes talk only when theirs are equal.
pub const PROTOCOL_VERSION: u32 = 1;

const MAGIC: [u8; 8] = *b"tollgate";

/// How a node that connects introduces itself, in this version of the protocol.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Hello {
    pub(crate) cluster: ClusterId,
    pub(crate) from: NodeId,
    pub(crate) to: NodeId,
    pub(crate) instance: Instance,
    /// Where `from` is reached.
    pub(crate) address: String,
}

impl Hello {
    /// What a node says to another.
    pub(crate) fn new(own: &Introduction, to: NodeId) -> Self {
        let Introduction { cluster, node: from, instance, address } = own.clone();
        Self { cluster, from, to, instance, address }
    }

    /// The address must have been checked.
    pub(crate) fn encode(&self) -> Bytes {
        let address_bytes = u8::try_from(self.address.len()).expect("the address of a node is checked when it starts");
        let mut bytes = BytesMut::new();
        bytes.put_slice(&MAGIC);
        bytes.put_u32_le(PROTOCOL_VERSION);
        bytes.put_u128_le(self.cluster.0);
        bytes.put_u64_le(self.from.0);
        bytes.put_u64_le(self.to.0);
        bytes.put_u128_le(self.instance.0);
        bytes.put_u8(address_bytes);
        bytes.put_slice(self.address.as_bytes());
        bytes.freeze()
    }

    /// The version comes first, so that other ones can be told apart whatever they say behind it; and more may be said
    /// behind the rest.
    pub(crate) fn decode(mut bytes: Bytes) -> Result<Self, HelloRefusal> {
        if !bytes.starts_with(&MAGIC) {
            return Err(HelloRefusal::NotANode);
        }
        bytes.advance(MAGIC.len());
        match bytes.try_get_u32_le() {
            Ok(PROTOCOL_VERSION) => Self::decode_fields(bytes).ok_or(HelloRefusal::NotANode),
            Ok(theirs) => Err(HelloRefusal::OtherProtocol { theirs }),
            Err(_) => Err(HelloRefusal::NotANode),
        }
    }

    fn decode_fields(mut bytes: Bytes) -> Option<Self> {
        Some(Self {
            cluster: ClusterId(bytes.try_get_u128_le().ok()?),
            from: NodeId(bytes.try_get_u64_le().ok()?),
            to: NodeId(bytes.try_get_u64_le().ok()?),
            instance: Instance(bytes.try_get_u128_le().ok()?),
            address: decode_address(bytes)?,
        })
    }

    /// Whether this is meant for this node, by another node of its cluster.
    pub(crate) fn check(&self, own: &Introduction) -> Result<(), HelloRefusal> {
        if self.cluster != own.cluster {
            return Err(HelloRefusal::OtherCluster);
        }
        // With the same data it is this node itself, which was given its own address as that of another node.
        if self.from == own.node && self.instance != own.instance {
            return Err(HelloRefusal::NumberTaken);
        }
        if self.to != own.node {
            return Err(HelloRefusal::OtherNode);
        }
        // A node never connects to its own number: this is one that runs on a copy of the data.
        if self.from == own.node {
            return Err(HelloRefusal::NumberTaken);
        }
        Ok(())
    }
}

fn decode_address(mut bytes: Bytes) -> Option<String> {
    let address_bytes = usize::from(bytes.try_get_u8().ok()?);
    let address = std::str::from_utf8(bytes.get(..address_bytes)?).ok()?;
    let (_, port) = host_and_port(address).ok()?;
    (port != 0).then(|| address.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn own() -> Introduction {
        let address = "node-2.example:7000".to_owned();
        Introduction { cluster: ClusterId(7), node: NodeId(2), instance: Instance(u128::MAX), address }
    }

    fn hello() -> Hello {
        let address = "node-1.example:7000".to_owned();
        let other = Introduction { cluster: ClusterId(7), node: NodeId(1), instance: Instance(5), address };
        Hello::new(&other, NodeId(2))
    }

    #[test]
    fn only_a_hello_that_fits_is_welcome() {
        let myself = Hello { from: NodeId(2), instance: own().instance, ..hello() };
        let cases = [
            (hello(), Ok(())),
            (Hello { cluster: ClusterId(8), ..hello() }, Err(HelloRefusal::OtherCluster)),
            (Hello { to: NodeId(3), ..hello() }, Err(HelloRefusal::OtherNode)),
            (Hello { from: NodeId(2), to: NodeId(3), ..hello() }, Err(HelloRefusal::NumberTaken)),
            (Hello { from: NodeId(2), ..hello() }, Err(HelloRefusal::NumberTaken)),
            (Hello { to: NodeId(3), ..myself.clone() }, Err(HelloRefusal::OtherNode)),
            (myself, Err(HelloRefusal::NumberTaken)),
        ];
        for (hello, expected) in cases {
            let arrived = Hello::decode(hello.encode()).expect("it is a hello");
            assert_eq!(arrived, hello);
            assert_eq!(arrived.check(&own()), expected, "{hello:?}");
        }
    }

    #[test]
    fn what_is_no_hello_is_told_apart() {
        let encoded = hello().encode();
        for bytes in [&b""[..], b"tollgate", b"GET / HTTP/1.1\r\nhost: tollgate-node-number-1.example", &encoded[1..]] {
            assert_eq!(Hello::decode(Bytes::copy_from_slice(bytes)), Err(HelloRefusal::NotANode));
        }
    }

    #[test]
    fn a_hello_that_is_cut_off_anywhere_is_none() {
        let encoded = hello().encode();
        for end in 0..encoded.len() {
            assert_eq!(Hello::decode(encoded.slice(..end)), Err(HelloRefusal::NotANode), "after {end} bytes");
        }
    }

    #[test]
    fn a_hello_without_a_valid_address_is_none() {
        let encoded = hello().encode();
        let before_address = encoded.len() - hello().address.len() - 1;
        for address in [&b"\0"[..], b"\x01a", b"\x03a:0", b"\x07a:70000", b"\x04\xFF:70", b"\xFFa:70", b"\x05\n:700"] {
            let bytes = Bytes::from([&encoded[..before_address], address].concat());
            assert_eq!(Hello::decode(bytes), Err(HelloRefusal::NotANode), "{address:?}");
        }
    }

    #[test]
    fn another_version_is_told_whatever_it_says() {
        for rest in [&b""[..], b"something else"] {
            let bytes = Bytes::from([&MAGIC[..], &9u32.to_le_bytes(), rest].concat());
            assert_eq!(Hello::decode(bytes), Err(HelloRefusal::OtherProtocol { theirs: 9 }));
        }
    }
}
