//! Progress bars, on standard error while a terminal shows it.

use std::io::IsTerminal;

use indicatif::{ProgressBar, ProgressStyle};

/// A bar over so many things, or a spinner where nobody knows how many; hidden unless standard error is a terminal.
pub(super) fn bar(length: Option<u64>, things: &str) -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let (bar, template) = match length {
        Some(length) => {
            (ProgressBar::new(length), format!("{{bar:40}} {{pos}} of {{len}} {things}  {{msg}}  {{eta}} left"))
        }
        None => (ProgressBar::new_spinner(), format!("{{spinner}} {{pos}} {things}  {{msg}}  {{elapsed}}")),
    };
    let style = ProgressStyle::with_template(&template).unwrap_or_else(|_| ProgressStyle::default_bar());
    bar.with_style(style)
}
