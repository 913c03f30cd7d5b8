//! What the nodes log, with simulated time and the node that says it.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};

use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::ParseError;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::FormatTime;

use crate::interposer;
use crate::kernel::MS_NS;

/// The node that runs now.
static SPEAKER: AtomicU64 = AtomicU64::new(0);

/// Has what is logged from here on be of this node.
pub(crate) fn set_speaker(node: u64) {
    SPEAKER.store(node, Ordering::Relaxed);
}

struct SimulatedTime;

impl FormatTime for SimulatedTime {
    fn format_time(&self, writer: &mut Writer<'_>) -> fmt::Result {
        let ms = interposer::clock_ns() / MS_NS;
        write!(writer, "{:>3}.{:03} node {}", ms / 1000, ms % 1000, SPEAKER.load(Ordering::Relaxed))
    }
}

/// Shows what the filter lets through.
///
/// # Errors
/// The filter makes no sense.
pub(crate) fn start(filter: &str) -> Result<(), ParseError> {
    tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::try_new(filter)?)
        .with_timer(SimulatedTime)
        .with_writer(std::io::stderr)
        .with_ansi(false)
        .log_internal_errors(false)
        .init();
    Ok(())
}
