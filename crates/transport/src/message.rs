//! What [`Calls`](crate::Calls) puts into a frame: `u8 kind | u64 incarnation | u64 number | body`, little-endian.

use bytes::{Buf, BufMut, Bytes, BytesMut};

/// Bytes of a message beside its body.
pub(crate) const MESSAGE_HEADER_BYTES: usize = 17;

/// Which call a message belongs to: unique among all calls that a node ever makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct CallId {
    /// The run of the calling node: an answer to an earlier run must not be taken for one to this run.
    pub(crate) incarnation: u64,
    /// Counts the calls of one run.
    pub(crate) number: u64,
}

/// What a message is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Sent by the caller; asks for an answer.
    Request,
    /// Sent by the other side, with the answer.
    Answer,
    /// Sent by the other side instead of an answer: it was too busy to look at the request.
    Busy,
    /// Sent by the other side instead of an answer that would be too large for a frame.
    AnswerTooLarge,
    /// Sent by anyone; asks for nothing. Its [`CallId`] means nothing.
    Notice,
}

impl Kind {
    const ALL: [Self; 5] = [Self::Request, Self::Answer, Self::Busy, Self::AnswerTooLarge, Self::Notice];

    /// The byte that stands for it between nodes: never reuse or change one.
    fn code(self) -> u8 {
        match self {
            Self::Request => 1,
            Self::Answer => 2,
            Self::Busy => 3,
            Self::AnswerTooLarge => 4,
            Self::Notice => 5,
        }
    }
}

/// A message between two [`Calls`](crate::Calls).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Message {
    pub(crate) kind: Kind,
    pub(crate) call: CallId,
    pub(crate) body: Bytes,
}

impl Message {
    pub(crate) fn encode(&self) -> Bytes {
        let mut frame = BytesMut::with_capacity(MESSAGE_HEADER_BYTES + self.body.len());
        frame.put_u8(self.kind.code());
        frame.put_u64_le(self.call.incarnation);
        frame.put_u64_le(self.call.number);
        frame.put_slice(&self.body);
        frame.freeze()
    }

    /// `None` when the frame is no message.
    pub(crate) fn decode(mut frame: Bytes) -> Option<Self> {
        if frame.len() < MESSAGE_HEADER_BYTES {
            return None;
        }
        let code = frame.get_u8();
        let kind = Kind::ALL.into_iter().find(|kind| kind.code() == code)?;
        let call = CallId { incarnation: frame.get_u64_le(), number: frame.get_u64_le() };
        Some(Self { kind, call, body: frame })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_arrive_as_they_were_sent() {
        for (kind, body) in Kind::ALL.into_iter().zip([&b"body"[..], b"", b"x", b"long enough", b"!"]) {
            let call = CallId { incarnation: u64::MAX, number: 3 };
            let message = Message { kind, call, body: Bytes::from_static(body) };
            assert_eq!(Message::decode(message.encode()), Some(message));
        }
    }

    #[test]
    fn what_is_no_message_is_refused() {
        for frame in [&b""[..], &[1; MESSAGE_HEADER_BYTES - 1], &[0; MESSAGE_HEADER_BYTES], &[9; 100]] {
            assert_eq!(Message::decode(Bytes::copy_from_slice(frame)), None);
        }
    }
}
