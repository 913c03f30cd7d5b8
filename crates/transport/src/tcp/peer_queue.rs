//! The frames that wait for one peer.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use tokio::sync::Notify;

/// A queue that drops its oldest frames rather than grow beyond its bounds.
#[derive(Debug)]
pub(super) struct PeerQueue {
    max_frames: usize,
    max_bytes: usize,
    waiting: Mutex<Waiting>,
    not_empty: Notify,
}

#[derive(Debug, Default)]
struct Waiting {
    frames: VecDeque<Bytes>,
    bytes: usize,
    dropped: u64,
}

impl PeerQueue {
    pub(super) fn new(max_frames: usize, max_bytes: usize) -> Self {
        Self { max_frames, max_bytes, waiting: Mutex::default(), not_empty: Notify::new() }
    }

    pub(super) fn push(&self, frame: Bytes) {
        let mut waiting = self.waiting();
        waiting.bytes += frame.len();
        waiting.frames.push_back(frame);
        while waiting.frames.len() > 1 && self.is_exceeded(&waiting) {
            waiting.drop_oldest();
        }
        drop(waiting);
        self.not_empty.notify_one();
    }

    /// Waits until there are frames, and takes all of them. Meant for one caller at a time.
    pub(super) async fn take_all(&self) -> VecDeque<Bytes> {
        loop {
            let frames = self.waiting().take();
            if !frames.is_empty() {
                return frames;
            }
            self.not_empty.notified().await;
        }
    }

    /// Frames dropped since the queue was made.
    pub(super) fn dropped(&self) -> u64 {
        self.waiting().dropped
    }

    fn is_exceeded(&self, waiting: &Waiting) -> bool {
        waiting.frames.len() > self.max_frames || waiting.bytes > self.max_bytes
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Waiting {
    fn drop_oldest(&mut self) {
        if let Some(oldest) = self.frames.pop_front() {
            self.bytes -= oldest.len();
            self.dropped += 1;
        }
    }

    fn take(&mut self) -> VecDeque<Bytes> {
        self.bytes = 0;
        std::mem::take(&mut self.frames)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn check(max_frames: usize, max_bytes: usize, sizes: &[usize], kept: &[usize]) {
        let queue = PeerQueue::new(max_frames, max_bytes);
        sizes.iter().for_each(|size| queue.push(Bytes::from(vec![0; *size])));
        let taken: Vec<_> = queue.take_all().await.iter().map(Bytes::len).collect();
        assert_eq!(taken, kept, "{sizes:?} with at most {max_frames} frames and {max_bytes} bytes");
        assert_eq!(queue.dropped(), (sizes.len() - kept.len()) as u64);
    }

    #[tokio::test]
    async fn the_oldest_frames_are_dropped_and_counted_beyond_either_bound() {
        check(3, 100, &[1, 2, 3], &[1, 2, 3]).await;
        check(3, 100, &[1, 2, 3, 4, 5], &[3, 4, 5]).await;
        check(9, 10, &[4, 5, 6], &[6]).await;
        check(9, 11, &[4, 5, 6], &[5, 6]).await;
        check(9, 10, &[1, 99], &[99]).await;
    }
}
