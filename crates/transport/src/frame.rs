//! How frames lie in a stream of bytes: `u32 length | u8 version | payload`, little-endian, the length counting what
//! follows it.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use thiserror::Error;

/// The version of the framing. A peer with another one cannot be understood at all.
const FRAME_VERSION: u8 = 1;
const LENGTH_BYTES: usize = 4;
const VERSION_BYTES: usize = 1;
/// The largest payload whose length can be written.
pub(crate) const LARGEST_PAYLOAD_BYTES: usize = u32::MAX as usize - VERSION_BYTES;

/// Bytes that are no frame. The rest of the stream cannot be understood either.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub(crate) enum FrameError {
    /// The frame would be larger than allowed.
    #[error("a frame of {bytes} bytes is larger than the {limit_bytes} bytes allowed")]
    TooLarge { bytes: usize, limit_bytes: usize },
    /// There is not even a version.
    #[error("a frame without a version")]
    Empty,
    /// Another framing.
    #[error("frame version {found} is not {FRAME_VERSION}")]
    UnknownVersion { found: u8 },
}

/// Appends a frame to `stream`. The payload must be no larger than [`LARGEST_PAYLOAD_BYTES`].
pub(crate) fn encode(payload: &[u8], stream: &mut BytesMut) {
    let length =
        u32::try_from(payload.len() + VERSION_BYTES).expect("the size of a payload is checked before it is queued");
    stream.reserve(LENGTH_BYTES + VERSION_BYTES + payload.len());
    stream.put_u32_le(length);
    stream.put_u8(FRAME_VERSION);
    stream.put_slice(payload);
}

/// Takes the next payload off `stream`, or `None` when it is not there as a whole yet.
pub(crate) fn decode(stream: &mut BytesMut, max_payload_bytes: usize) -> Result<Option<Bytes>, FrameError> {
    let Some(length) = stream.first_chunk().map(|length| u32::from_le_bytes(*length) as usize) else {
        return Ok(None);
    };
    let payload_bytes = length.checked_sub(VERSION_BYTES).ok_or(FrameError::Empty)?;
    if payload_bytes > max_payload_bytes {
        return Err(FrameError::TooLarge { bytes: payload_bytes, limit_bytes: max_payload_bytes });
    }
    match stream.get(LENGTH_BYTES) {
        Some(&FRAME_VERSION) | None => {}
        Some(&found) => return Err(FrameError::UnknownVersion { found }),
    }
    if stream.len() < LENGTH_BYTES + length {
        return Ok(None);
    }
    let mut frame = stream.split_to(LENGTH_BYTES + length);
    frame.advance(LENGTH_BYTES + VERSION_BYTES);
    Ok(Some(frame.freeze()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(bytes: &[u8], expected: Result<Option<&[u8]>, FrameError>) {
        let decoded = decode(&mut BytesMut::from(bytes), 8);
        assert_eq!(decoded, expected.map(|payload| payload.map(Bytes::copy_from_slice)), "{bytes:?}");
    }

    #[test]
    fn frames_are_recognized_and_everything_else_is_refused() {
        check(&[], Ok(None));
        check(&[3, 0, 0], Ok(None));
        check(&[3, 0, 0, 0, 1, 7], Ok(None));
        check(&[3, 0, 0, 0, 1, 7, 8], Ok(Some(&[7, 8])));
        check(&[1, 0, 0, 0, 1, 99], Ok(Some(&[])));
        check(&[0, 0, 0, 0], Err(FrameError::Empty));
        check(&[3, 0, 0, 0, 2], Err(FrameError::UnknownVersion { found: 2 }));
        check(&[10, 0, 0, 0], Err(FrameError::TooLarge { bytes: 9, limit_bytes: 8 }));
        check(b"GET / HTTP/1.1", Err(FrameError::TooLarge { bytes: 0x2054_4546, limit_bytes: 8 }));
    }

    #[test]
    fn frames_come_out_as_they_went_in_however_the_stream_is_cut() {
        let payloads: [&[u8]; 3] = [b"one", b"", b"three"];
        let mut stream = BytesMut::new();
        payloads.iter().for_each(|payload| encode(payload, &mut stream));
        for piece_bytes in 1..stream.len() {
            let mut arrived = BytesMut::new();
            let mut decoded = Vec::new();
            for piece in stream.chunks(piece_bytes) {
                arrived.extend_from_slice(piece);
                while let Some(payload) = decode(&mut arrived, 8).expect("the stream is valid") {
                    decoded.push(payload);
                }
            }
            assert_eq!(decoded, payloads, "in pieces of {piece_bytes} bytes");
        }
    }
}
