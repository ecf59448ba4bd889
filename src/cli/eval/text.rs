//! The report as text.

use std::fmt::Write;

use super::against::Comparison;
use super::bootstrap::RESAMPLES;
use super::report::Report;
use super::tables::{self, Table};
use crate::cli::out;

/// At most as many queries without a right answer are printed.
const MAX_MISSED_SHOWN: usize = 10;

pub(super) fn describe(report: &Report) -> String {
    let mut text = draw(&tables::measures(report));
    if let Some(against) = &report.against {
        write!(text, "\n{}", verdict(against)).ok();
    }
    for table in [tables::largest_differences(report), tables::groups(report)].iter().flatten() {
        write!(text, "\n\n{}", draw(table)).ok();
    }
    write!(text, "\n{}", summary(report)).ok();
    if !report.missed.is_empty() {
        let missed: Vec<_> = report.missed.iter().take(MAX_MISSED_SHOWN).map(|query| format!("\n  {query}")).collect();
        let such_as = if report.missed.len() > MAX_MISSED_SHOWN { ", such as" } else { "" };
        let deepest = report.all.recall.keys().next_back().copied().unwrap_or_default();
        write!(text, "; {} without a right answer among the first {deepest}{such_as}", report.missed.len()).ok();
        text.extend(missed);
    }
    text
}

/// Returns the number of queries.
pub(super) fn summary(report: &Report) -> String {
    match report.without_answers {
        0 => format!("{} queries", report.all.queries),
        without => format!("{} queries ({without} without answers are not measured)", report.all.queries),
    }
}

/// Returns the numbers of wins, losses and ties, and how the intervals are made.
pub(super) fn verdict(against: &Comparison) -> String {
    let Comparison { searched, wins, losses, ties, measure, .. } = against;
    format!(
        "By {measure}, {wins} queries are better than in {searched}, {losses} are worse, {ties} are equal. The intervals are of \
         a paired bootstrap with {RESAMPLES} samples of the queries; * means that 0 is outside of the interval."
    )
}

fn draw(table: &Table) -> String {
    let header: Vec<&str> = table.header.iter().map(String::as_str).collect();
    let mut drawn = out::table(&header);
    for row in &table.rows {
        let cells = row.iter().enumerate().map(|(at, cell)| if at == 0 { cell.into() } else { out::number(cell) });
        drawn.add_row(cells.collect::<Vec<_>>());
    }
    drawn.to_string()
}
