//! Writes results to standard output. Progress and errors go to standard error.

use std::fmt::Display;
use std::io::{self, Write};

use comfy_table::{Cell, CellAlignment, LineStyle, Table, presets};

use super::CliError;

/// Prints one line.
pub(super) fn line(text: impl Display) -> Result<(), CliError> {
    let mut out = io::stdout().lock();
    writeln!(out, "{text}").and_then(|()| out.flush()).map_err(CliError::Print)
}

/// Returns an empty table. Text is aligned to the left, and numbers (see [`number`]) to the right.
pub(super) fn table(headers: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::UTF8_HORIZONTAL_ONLY.row_separator(LineStyle::none()));
    table.set_header(headers.iter().map(|header| header.to_uppercase()));
    table
}

/// Returns a cell with a number.
pub(super) fn number(value: impl ToString) -> Cell {
    Cell::new(value).set_alignment(CellAlignment::Right)
}
