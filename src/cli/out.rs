//! What commands print: results on standard output, progress bars and warnings on standard error.

use std::fmt::Display;
use std::io::{self, IsTerminal, Write};
use std::time::Duration;

use clap::Args;
use comfy_table::{Cell, CellAlignment, LineStyle, Table, presets};
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::CliError;
use super::client::Reply;

/// How a command prints its result.
#[derive(Clone, Copy, Debug, Args)]
pub(super) struct Output {
    /// Print JSON instead of text, for scripts
    #[arg(long)]
    pub(super) json: bool,
}

impl Output {
    /// Prints a reply: the JSON as it was received, or the text that `describe` returns. Returns the parsed reply.
    pub(super) fn reply<T: DeserializeOwned>(
        self,
        reply: &Reply,
        describe: impl FnOnce(&T) -> String,
    ) -> Result<T, CliError> {
        let parsed = reply.read()?;
        line(if self.json { reply.text().to_owned() } else { describe(&parsed) })?;
        Ok(parsed)
    }

    /// Prints a value: as JSON, or as the text that `describe` returns.
    pub(super) fn value<T: Serialize>(self, value: &T, describe: impl FnOnce(&T) -> String) -> Result<(), CliError> {
        line(self.text(value, describe))
    }

    /// Returns the text of a value: JSON, or the text that `describe` returns.
    pub(super) fn text<T: Serialize>(self, value: &T, describe: impl FnOnce(&T) -> String) -> String {
        if self.json { serde_json::to_string(value).unwrap_or_default() } else { describe(value) }
    }
}

/// Prints one line.
pub(super) fn line(text: impl Display) -> Result<(), CliError> {
    bytes(format!("{text}\n").as_bytes())
}

/// Prints what a service says at its start. It also runs if these lines cannot be written, so a
/// failure is only logged.
pub(super) fn start_lines(lines: &[String]) {
    if let Err(error) = bytes((lines.join("\n") + "\n").as_bytes()) {
        tracing::warn!(%error, "what the service uses could not be printed to standard output");
    }
}

/// Prints a line to standard error. If that fails, nothing can be done: unlike `eprintln!`, it does not panic.
pub(super) fn error_line(text: impl Display) {
    writeln!(io::stderr(), "{text}").ok();
}

/// Writes a file to standard output.
pub(super) fn bytes(bytes: &[u8]) -> Result<(), CliError> {
    let mut out = io::stdout().lock();
    out.write_all(bytes).and_then(|()| out.flush()).map_err(CliError::Print)
}

/// Prints warnings to standard error.
pub(super) fn warnings(warnings: &[String]) {
    for warning in warnings {
        error_line(format_args!("warning: {warning}"));
    }
}

/// Asks on the terminal whether to continue. Only `y` and `yes` are a yes.
pub(super) fn confirm(question: &str) -> Result<bool, CliError> {
    if !io::stdin().is_terminal() {
        return Err(CliError::NoTerminal);
    }
    write!(io::stderr(), "{question} [y/N] ").ok();
    let mut answer = String::new();
    io::stdin().read_line(&mut answer).map_err(CliError::Input)?;
    Ok(matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes"))
}

/// Returns an empty table. Text is aligned to the left, and numbers (see [`number`]) to the right.
pub(super) fn table(headers: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::UTF8_HORIZONTAL_ONLY.row_separator(LineStyle::none()));
    table.set_header(headers.iter().map(|header| header.to_uppercase()));
    table
}

/// Removes the fraction of a second from a timestamp.
pub(super) fn to_the_second(moment: &str) -> String {
    moment.split_once('.').map_or_else(|| moment.to_owned(), |(seconds, _)| format!("{seconds}Z"))
}

/// Returns a cell with a number.
pub(super) fn number(value: impl ToString) -> Cell {
    Cell::new(value).set_alignment(CellAlignment::Right)
}

const WITH_LENGTH: &str = "{prefix:>10} {bar:32} {pos}/{len}  {msg}";
const WITHOUT_LENGTH: &str = "{prefix:>10} {spinner} {pos}  {msg}";

/// Returns a progress bar of `total` steps. It is not drawn if standard error is not a terminal.
pub(super) fn bar(prefix: &'static str, total: u64) -> ProgressBar {
    let bar = spinner(prefix);
    set_total(&bar, total);
    bar
}

/// Returns a progress bar whose length is not known yet.
pub(super) fn spinner(prefix: &'static str) -> ProgressBar {
    let bar = ProgressBar::new(0).with_prefix(prefix).with_style(style(WITHOUT_LENGTH));
    bar.enable_steady_tick(Duration::from_millis(200));
    bar
}

/// Sets or corrects the length of a progress bar.
pub(super) fn set_total(bar: &ProgressBar, total: u64) {
    if bar.length() != Some(total) {
        bar.set_style(style(WITH_LENGTH));
        bar.set_length(total);
    }
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar()).progress_chars("█▉▊▋▌▍▎▏ ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_templates_are_valid() {
        for template in [WITH_LENGTH, WITHOUT_LENGTH] {
            ProgressStyle::with_template(template).unwrap();
        }
    }
}
