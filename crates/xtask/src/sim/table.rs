//! Aligned columns: names to the left, numbers to the right.

use comfy_table::presets::NOTHING;
use comfy_table::{CellAlignment, Table};

/// A column of a table, by its title.
#[derive(Clone, Copy)]
pub(super) enum Column<'a> {
    /// Of text, to the left.
    Name(&'a str),
    /// To the right, so that digits of one weight are below each other.
    Number(&'a str),
}

/// Lines of `rows` under a header, in plain columns, two spaces apart.
pub(super) fn render<const N: usize>(columns: [Column<'_>; N], rows: impl IntoIterator<Item = [String; N]>) -> String {
    let mut table = Table::new();
    table.load_style(NOTHING);
    table.force_no_tty();
    table.set_header(columns.map(Column::title));
    table.add_rows(rows);
    for (column, kind) in table.column_iter_mut().zip(columns) {
        column.set_padding((0, 2));
        column.set_cell_alignment(kind.alignment());
    }
    table.lines().map(|line| format!("{}\n", line.trim_end())).collect()
}

impl<'a> Column<'a> {
    fn title(self) -> &'a str {
        match self {
            Self::Name(title) | Self::Number(title) => title,
        }
    }

    fn alignment(self) -> CellAlignment {
        match self {
            Self::Name(_) => CellAlignment::Left,
            Self::Number(_) => CellAlignment::Right,
        }
    }
}
