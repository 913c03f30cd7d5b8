//! Waiting for what is to come about.

use std::time::Duration;

use tokio::time::{Instant, sleep};

/// The pause between two looks.
const PAUSE: Duration = Duration::from_millis(20);

/// Waits until `holds`, at most for `deadline`, and returns how long it took; fails with what did not come about.
pub(crate) async fn until(what: &str, deadline: Duration, mut holds: impl AsyncFnMut() -> bool) -> Duration {
    let begun = Instant::now();
    while !holds().await {
        assert!(begun.elapsed() < deadline, "{what}: not within {deadline:?}");
        sleep(PAUSE).await;
    }
    begun.elapsed()
}
