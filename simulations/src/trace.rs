//! What happened, in order: readable lines, and one fingerprint over everything.

use std::fmt;
use std::io::{self, BufWriter, Write};
use std::process;
use std::sync::{Arc, Mutex, PoisonError};

use crate::kernel::Ms;
use crate::network::Link;

/// How much of a trace is printed.
#[derive(Clone, Copy, Debug, Default, Eq, Ord, PartialEq, PartialOrd, clap::ValueEnum)]
pub(crate) enum Detail {
    /// Nothing.
    #[default]
    None,
    /// Faults, leaderships, requests and answers.
    Events,
    /// Every frame between nodes, too.
    Frames,
}

/// How much is hashed at once.
const PIECE_BYTES: usize = 64 << 10;

const HASHED: &str = "a hasher takes everything";

/// The trace of a run. Clones are the same one.
#[derive(Clone)]
pub(crate) struct Trace(Arc<Mutex<Recording>>);

struct Recording {
    /// Written in large pieces, which are hashed faster.
    hasher: BufWriter<blake3::Hasher>,
    detail: Detail,
    output: BufWriter<io::Stdout>,
}

impl Trace {
    /// A trace that prints so much of itself.
    pub(crate) fn new(detail: Detail) -> Self {
        let (hasher, output) =
            (BufWriter::with_capacity(PIECE_BYTES, blake3::Hasher::new()), BufWriter::new(io::stdout()));
        Self(Arc::new(Mutex::new(Recording { hasher, detail, output })))
    }

    /// Something happened.
    pub(crate) fn event(&self, now: Ms, event: fmt::Arguments<'_>) {
        let line = format!("{:>3}.{:03} {event}\n", now / 1000, now % 1000);
        self.with(|recording| {
            recording.hash(line.as_bytes());
            recording.print(Detail::Events, &line);
        });
    }

    /// A node sent a frame.
    pub(crate) fn frame(&self, now: Ms, (from, to): Link, frame: &[u8]) {
        self.with(|recording| {
            let numbers = [now, from, to, frame.len() as u64].map(u64::to_le_bytes);
            recording.hash(numbers.as_flattened());
            recording.hash(frame);
            if recording.detail >= Detail::Frames {
                let hash = blake3::hash(frame).to_hex();
                let line =
                    format!("{:>3}.{:03} {from}→{to} {} bytes {}\n", now / 1000, now % 1000, frame.len(), &hash[..8]);
                recording.print(Detail::Frames, &line);
            }
        });
    }

    /// What tells this trace from any other.
    pub(crate) fn fingerprint(&self) -> String {
        self.with(|recording| {
            recording.hasher.flush().expect(HASHED);
            recording.hasher.get_ref().finalize().to_hex()[..32].to_owned()
        })
    }

    /// Prints what is not printed yet.
    pub(crate) fn flush(&self) {
        self.with(|recording| or_end(&recording.output.flush()));
    }

    fn with<T>(&self, then: impl FnOnce(&mut Recording) -> T) -> T {
        then(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Ends the program if nobody reads what it prints any more, as after `| head`.
pub(crate) fn or_end(written: &io::Result<()>) {
    if written.is_err() {
        process::exit(1);
    }
}

impl Recording {
    fn hash(&mut self, bytes: &[u8]) {
        self.hasher.write_all(bytes).expect(HASHED);
    }

    fn print(&mut self, detail: Detail, line: &str) {
        if self.detail >= detail {
            or_end(&self.output.write_all(line.as_bytes()));
        }
    }
}
