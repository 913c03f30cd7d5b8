//! The metric stream: a sample a second, to whoever wants it.

use std::sync::Arc;

use metrics::Counter;
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;
use tollgate_feedback::sample::Sample;

/// Samples that wait for a subscriber at most: a quarter of a minute. Beyond that it loses the oldest.
const SAMPLES: usize = 16;

/// Where samples are told.
pub(super) struct Stream(broadcast::Sender<Arc<Sample>>);

/// The samples of a node for one subscriber. One that is slow loses old ones, which is counted, and delays nobody.
pub struct Samples {
    receiver: broadcast::Receiver<Arc<Sample>>,
    dropped: Counter,
}

impl Stream {
    pub(super) fn new() -> Self {
        Self(broadcast::Sender::new(SAMPLES))
    }

    /// The samples from here on; what the subscriber loses is counted by `dropped`.
    pub(super) fn subscribe(&self, dropped: Counter) -> Samples {
        Samples { receiver: self.0.subscribe(), dropped }
    }

    pub(super) fn tell(&self, sample: Sample) {
        // Without subscribers nobody misses it.
        drop(self.0.send(Arc::new(sample)));
    }
}

impl Samples {
    /// Waits for the next sample; `None` when there are no more.
    pub async fn next(&mut self) -> Option<Arc<Sample>> {
        loop {
            match self.receiver.recv().await {
                Ok(sample) => return Some(sample),
                Err(RecvError::Lagged(lost)) => self.dropped.increment(lost),
                Err(RecvError::Closed) => return None,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;

    fn sample(mode: u8) -> Sample {
        Sample { mode, ..Sample::default() }
    }

    #[tokio::test]
    async fn a_slow_subscriber_loses_the_oldest_and_they_are_counted() {
        let (stream, dropped) = (Stream::new(), Arc::new(AtomicU64::new(0)));
        let mut samples = stream.subscribe(Counter::from_arc(Arc::clone(&dropped)));
        (0..20).for_each(|mode| stream.tell(sample(mode)));
        assert_eq!(samples.next().await.map(|sample| sample.mode), Some(4));
        assert_eq!(dropped.load(Ordering::Relaxed), 4);
        drop(stream);
        for mode in 5..20 {
            assert_eq!(samples.next().await.map(|sample| sample.mode), Some(mode));
        }
        assert_eq!(samples.next().await, None);
    }
}
