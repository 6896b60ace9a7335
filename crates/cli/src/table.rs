//! Columns, aligned as Go's tabwriter does it for kubectl: two blanks between them, the last one
//! not padded.

use anstream::adapter::strip_str;

const GAP: usize = 2;

/// A table; every row has the same number of cells. Cells may carry styles.
pub(crate) fn columns(rows: &[Vec<String>]) -> String {
    let count = rows.iter().map(Vec::len).max().unwrap_or_default();
    let widths: Vec<usize> = (0..count)
        .map(|column| {
            let cells = rows.iter().filter_map(|row| row.get(column));
            cells.map(|cell| width(cell)).max().unwrap_or_default()
        })
        .collect();
    let mut out = String::new();
    for row in rows {
        for (column, cell) in row.iter().enumerate() {
            out.push_str(cell);
            if column + 1 < row.len() {
                let blanks = widths[column] + GAP - width(cell);
                out.push_str(&" ".repeat(blanks));
            }
        }
        out.push('\n');
    }
    out
}

/// A cell that takes up at least so many columns.
pub(crate) fn at_least(cell: &str, min: usize) -> String {
    format!("{cell}{}", " ".repeat(min.saturating_sub(width(cell))))
}

/// Characters that show.
fn width(cell: &str) -> usize {
    strip_str(cell).to_string().chars().count()
}
