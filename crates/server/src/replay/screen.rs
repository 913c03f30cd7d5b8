//! What the text of a report is shown on.

use std::io::IsTerminal;

/// The widest plot, and what a pipe gets.
const MOST_COLUMNS: usize = 100;

/// The narrowest plot that still shows anything.
const FEWEST_COLUMNS: usize = 40;

/// What the text of a report is shown on.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Screen {
    /// Characters that fit beside each other, 40 to 100.
    pub(super) columns: usize,
    pub(super) has_colour: bool,
    /// A person reads it, who is helped by rules in tables.
    pub(super) is_terminal: bool,
}

impl Screen {
    /// Standard output, whatever it is.
    pub(super) fn of_stdout() -> Self {
        let is_terminal = std::io::stdout().is_terminal();
        // https://no-color.org: any value but an empty one.
        let no_color = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let columns = rustix::termios::tcgetwinsize(std::io::stdout()).ok().map(|size| usize::from(size.ws_col));
        let columns = columns.filter(|columns| *columns > 0).unwrap_or(MOST_COLUMNS);
        Self { columns: columns.clamp(FEWEST_COLUMNS, MOST_COLUMNS), has_colour: is_terminal && !no_color, is_terminal }
    }
}
