//! Allowed and denied requests over time, drawn in a terminal.

use super::log_time;
use super::screen::Screen;
use super::series::{Bin, Series};

/// Lines that the columns are drawn in.
const ROWS: u64 = 8;

const ALLOWED: char = '█';
const DENIED: char = '░';

/// The top of a column that ends within a line, by eighths.
const EIGHTHS: [char; 8] = [' ', '▁', '▂', '▃', '▄', '▅', '▆', '▇'];

/// The space that numbers and the axis take.
const AXIS_COLUMNS: usize = 10;

const RED: &str = "\x1b[31m";
const PLAIN: &str = "\x1b[0m";

/// Columns of blocks, what was denied on top of what was allowed; lines that end in a line break.
pub(super) fn draw(series: &Series, screen: Screen) -> String {
    let series = series.within(screen.columns.saturating_sub(AXIS_COLUMNS));
    let bins: Vec<Bin> = series.bins().map(|(_, bin)| bin).collect();
    let most = bins.iter().map(|bin| bin.total()).max().unwrap_or(0).max(1);
    let row = |row| {
        let label = match row {
            0 => "0".to_owned(),
            _ if row == ROWS - 1 => most.to_string(),
            _ => String::new(),
        };
        let cells: String = bins.iter().map(|bin| cell(*bin, most, row)).collect();
        format!("{label:>AXIS$} │{}\n", painted(cells.trim_end(), screen), AXIS = AXIS_COLUMNS - 2)
    };
    let rows: String = (0..ROWS).rev().map(row).collect();
    format!("{rows}{}{}", time_axis(&series, bins.len()), legend(&series, screen))
}

/// What stands in one place of the plot; row 0 is the lowest.
fn cell(bin: Bin, most: u64, row: u64) -> char {
    let eighths = (bin.total() * ROWS * 8).div_ceil(most);
    let height = eighths.div_ceil(8);
    // However few were denied, they are seen.
    let denied = (bin.denied * ROWS).div_ceil(most).min(height);
    match (eighths.saturating_sub(row * 8), row + denied >= height) {
        (0, _) => ' ',
        (_, true) if denied > 0 => DENIED,
        (left @ 1..8, _) if denied == 0 => EIGHTHS[left as usize],
        _ => ALLOWED,
    }
}

fn painted(cells: &str, screen: Screen) -> String {
    if screen.has_colour { cells.replace(DENIED, &format!("{RED}{DENIED}{PLAIN}")) } else { cells.to_owned() }
}

/// The line under the columns, and the times of the first and the last.
fn time_axis(series: &Series, columns: usize) -> String {
    let start = |at| log_time::readable_minute(at);
    let first = series.bins().next().map(|(at, _)| start(at)).unwrap_or_default();
    let last = series.bins().last().map(|(at, _)| start(at)).unwrap_or_default();
    let gap = " ".repeat(columns.saturating_sub(first.len() + last.len()).max(2));
    let times = if columns > 1 { format!("{first}{gap}{last}") } else { first };
    let indent = " ".repeat(AXIS_COLUMNS - 1);
    format!("{indent}└{}\n{indent} {times}\n", "─".repeat(columns))
}

fn legend(series: &Series, screen: Screen) -> String {
    let denied = painted(&DENIED.to_string(), screen);
    let width = log_time::span(series.width_s().saturating_mul(1_000_000_000));
    format!("{}{ALLOWED} allowed  {denied} denied, requests in {width} a column, UTC\n", " ".repeat(AXIS_COLUMNS))
}
