//! What a node asks of which it knows only an address: who is there?
//!
//! The question is a magic alone; the answer is `magic | u32 protocol | u128 cluster | u64 node`, little-endian. Both are
//! the same in all versions of the protocol up to the version that the answer tells.

use bytes::{Buf, BufMut, Bytes, BytesMut};

use crate::{ClusterId, HelloRefusal, Introduction, NodeId, PROTOCOL_VERSION};

const QUESTION: [u8; 8] = *b"tollwho?";
const ANSWER: [u8; 8] = *b"tollhere";

/// The node that was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Introduced {
    /// The cluster that it belongs to.
    pub cluster: ClusterId,
    /// Its number.
    pub node: NodeId,
}

pub(crate) fn encode_question() -> Bytes {
    Bytes::from_static(&QUESTION)
}

/// Whether the first frame of a connection is the question. Later versions may say more behind it.
pub(crate) fn is_question(frame: &[u8]) -> bool {
    frame.starts_with(&QUESTION)
}

pub(crate) fn encode_answer(own: &Introduction) -> Bytes {
    let mut answer = BytesMut::new();
    answer.put_slice(&ANSWER);
    answer.put_u32_le(PROTOCOL_VERSION);
    answer.put_u128_le(own.cluster.0);
    answer.put_u64_le(own.node.0);
    answer.freeze()
}

pub(crate) fn decode_answer(mut answer: Bytes) -> Result<Introduced, HelloRefusal> {
    if !answer.starts_with(&ANSWER) {
        return Err(HelloRefusal::NotANode);
    }
    answer.advance(ANSWER.len());
    match answer.try_get_u32_le() {
        Ok(PROTOCOL_VERSION) => decode_fields(answer).ok_or(HelloRefusal::NotANode),
        Ok(theirs) => Err(HelloRefusal::OtherProtocol { theirs }),
        Err(_) => Err(HelloRefusal::NotANode),
    }
}

fn decode_fields(mut answer: Bytes) -> Option<Introduced> {
    Some(Introduced { cluster: ClusterId(answer.try_get_u128_le().ok()?), node: NodeId(answer.try_get_u64_le().ok()?) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Instance;

    fn answer() -> Bytes {
        let (cluster, node) = (ClusterId(u128::MAX), NodeId(7));
        encode_answer(&Introduction { cluster, node, instance: Instance(1), address: "a:7000".to_owned() })
    }

    #[test]
    fn an_answer_arrives_as_it_was_given() {
        let introduced = Introduced { cluster: ClusterId(u128::MAX), node: NodeId(7) };
        assert_eq!(decode_answer(answer()), Ok(introduced));
        assert!(is_question(&encode_question()) && !is_question(&answer()));
    }

    #[test]
    fn an_answer_that_is_cut_off_anywhere_is_none() {
        for end in 0..answer().len() {
            assert_eq!(decode_answer(answer().slice(..end)), Err(HelloRefusal::NotANode), "after {end} bytes");
        }
    }

    #[test]
    fn another_version_is_told() {
        let other = Bytes::from([&ANSWER[..], &[9, 0, 0, 0]].concat());
        assert_eq!(decode_answer(other), Err(HelloRefusal::OtherProtocol { theirs: 9 }));
    }
}
