//! `tollgate replay`: what a configuration would have done to past traffic.
//!
//! An access log goes through three stages that know nothing of each other:
//!
//! 1. Bytes become requests with their times (`log_source`, `log_lines`, `log_line`, `logged_request`).
//! 2. The real limiter decides them at those times (`replayer`, `shard`), so a limit that was tried here does the same
//!    when it is live.
//! 3. What it said is counted (`tally`, `series`) and reported (`report`, `difference`, `rendering`, `plot`).
//!
//! A log can be larger than the memory and can hold anything, since anybody can write into it: nothing is kept of a line
//! but counts, and these are bounded.

mod arguments;
mod difference;
mod error;
mod journal;
mod log_line;
mod log_lines;
mod log_source;
mod log_time;
mod logged_request;
mod plot;
mod progress;
mod rendering;
mod replayer;
mod report;
mod screen;
mod series;
mod shard;
mod table;
mod tally;
#[cfg(test)]
mod tests;
mod trial;

use std::io::{self, ErrorKind, Write};

pub use arguments::ReplayArgs;
pub use error::ReplayError;

use difference::Difference;
use journal::Journal;
use log_line::{LineProblem, LogLine};
use log_lines::{LogLines, MAX_LINE_BYTES, RawLine};
use log_source::LogSource;
use logged_request::Mapping;
use report::Report;
use screen::Screen;
use trial::Trial;

/// Reports on standard output what the limits of a configuration would have done to the requests of an access log.
///
/// # Errors
/// A mistake in a configuration or a label, a log that cannot be read or holds no request, a report that cannot be written.
pub fn run(args: &ReplayArgs) -> Result<(), ReplayError> {
    match run_to(args, Screen::of_stdout(), &mut io::stdout().lock()) {
        // A reader that has closed the pipe, such as `head`, has what it wants.
        Err(ReplayError::Write(error)) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        result => result,
    }
}

fn run_to(args: &ReplayArgs, screen: Screen, out: &mut impl Write) -> Result<(), ReplayError> {
    let mapping = args.mapping()?;
    let first = Trial::load(&args.config)?;
    let second = args.against.as_deref().map(Trial::load).transpose()?;
    let mut replay = Replay { mapping, first, second, journal: Journal::default(), newly_allowed: 0, newly_denied: 0 };
    let source = LogSource::open(&args.log)?;
    replay.read(source).map_err(|source| ReplayError::unreadable(&args.log, source))?;
    let report = replay.into_report(args.log.display().to_string())?;
    if args.json {
        serde_json::to_writer_pretty(&mut *out, &report).map_err(io::Error::from)?;
        writeln!(out)?;
    } else {
        out.write_all(rendering::render(&report, screen).as_bytes())?;
    }
    Ok(out.flush()?)
}

/// One replay on its way.
struct Replay {
    mapping: Mapping,
    first: Trial,
    /// The one to compare with.
    second: Option<Trial>,
    journal: Journal,
    /// Requests that pass under the second configuration only.
    newly_allowed: u64,
    /// Requests that pass under the first configuration only.
    newly_denied: u64,
}

impl Replay {
    /// Reads a log to its end, or to where it is damaged.
    fn read(&mut self, source: LogSource) -> io::Result<()> {
        let LogSource { reader, is_gzip, progress } = source;
        let mut lines = LogLines::new(reader);
        let result = loop {
            match lines.next() {
                Ok(Some(line)) => self.line(&line),
                Ok(None) => break Ok(()),
                Err(error) if is_gzip => {
                    self.journal.damage = Some(error.to_string());
                    break Ok(());
                }
                Err(error) => break Err(error),
            }
        };
        progress.finish_and_clear();
        result
    }

    fn line(&mut self, line: &RawLine<'_>) {
        let parsed = match line {
            RawLine::Text(text) => LogLine::parse(text),
            RawLine::TooLong => Err(LineProblem::TooLong(MAX_LINE_BYTES)),
        };
        match parsed {
            Ok(line) => self.request(&line),
            Err(problem) => self.journal.skip(problem),
        }
    }

    fn request(&mut self, line: &LogLine<'_>) {
        self.journal.request(line.at);
        let request = self.mapping.request(line);
        let passes = self.first.decide(line.at, &request);
        if let Some(second) = &mut self.second {
            let passes_second = second.decide(line.at, &request);
            self.newly_allowed += u64::from(passes_second && !passes);
            self.newly_denied += u64::from(passes && !passes_second);
        }
    }

    /// # Errors
    /// No line was a request.
    fn into_report(self, log: String) -> Result<Report, ReplayError> {
        if self.journal.span.is_none() {
            return Err(self.nothing_read(log));
        }
        let report = Report::new(log, self.journal, &self.first);
        Ok(match &self.second {
            None => report,
            Some(second) => {
                let (first, tally) = (&self.first.tally, &second.tally);
                report.compared(second, Difference::between(first, tally, self.newly_allowed, self.newly_denied))
            }
        })
    }

    fn nothing_read(self, file: String) -> ReplayError {
        let Journal { lines, named, damage, .. } = self.journal;
        match (named.first(), damage) {
            (_, Some(problem)) => ReplayError::Damaged { file, problem },
            (Some((line, problem)), None) => ReplayError::not_a_log(file, lines, *line, problem),
            (None, None) => ReplayError::Empty { file },
        }
    }
}
