//! Aligned columns: names to the left, numbers to the right.

use comfy_table::presets::{NOTHING, UTF8_HORIZONTAL_ONLY};
use comfy_table::{CellAlignment, Table};

/// A column of a table.
#[derive(Clone, Copy)]
pub(super) enum Column {
    Name(&'static str),
    Number(&'static str),
}

/// Lines of `rows` under a header. A terminal gets rules between them, anything else plain columns, two spaces apart.
pub(super) fn render<const N: usize>(
    columns: [Column; N],
    rows: impl IntoIterator<Item = [String; N]>,
    is_terminal: bool,
) -> String {
    let mut table = Table::new();
    table.load_style(if is_terminal { UTF8_HORIZONTAL_ONLY } else { NOTHING });
    table.force_no_tty();
    table.set_header(columns.map(Column::title));
    table.add_rows(rows);
    for (column, kind) in table.column_iter_mut().zip(columns) {
        column.set_padding((0, 2));
        column.set_cell_alignment(kind.alignment());
    }
    table.lines().map(|line| format!("{}\n", line.trim_end())).collect()
}

impl Column {
    fn title(self) -> &'static str {
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
