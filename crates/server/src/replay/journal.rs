//! What is noted of the log itself, whatever the limits say.

use tollgate_limiter::ShardTime;

use super::log_line::LineProblem;

/// So many of the lines that are not requests are named; the others are counted.
const NAMED_LINES: usize = 5;

/// What is known of the log.
#[derive(Debug, Default)]
pub(super) struct Journal {
    /// Lines that were read.
    pub(super) lines: u64,
    /// Lines that are no requests.
    pub(super) skipped: u64,
    /// The first of these: number, from 1, and problem.
    pub(super) named: Vec<(u64, LineProblem)>,
    /// Requests with an earlier time than one before them.
    pub(super) out_of_order: u64,
    /// How much earlier at most, in nanoseconds.
    pub(super) most_late_ns: i64,
    /// The earliest and the latest time of a request.
    pub(super) span: Option<(ShardTime, ShardTime)>,
    /// Why the log could not be read to its end.
    pub(super) damage: Option<String>,
}

impl Journal {
    /// The next line is a request.
    pub(super) fn request(&mut self, at: ShardTime) {
        self.lines += 1;
        let (first, last) = self.span.unwrap_or((at, at));
        self.out_of_order += u64::from(at < last);
        self.most_late_ns = self.most_late_ns.max(last.since(at));
        self.span = Some((first.min(at), last.max(at)));
    }

    /// The next line is no request.
    pub(super) fn skip(&mut self, problem: LineProblem) {
        self.lines += 1;
        self.skipped += 1;
        if self.named.len() < NAMED_LINES {
            self.named.push((self.lines, problem));
        }
    }
}
