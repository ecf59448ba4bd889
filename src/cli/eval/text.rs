//! The report as text.

use std::fmt::Write;

use super::against::{Comparison, QueryDifference};
use super::bootstrap::RESAMPLES;
use super::measure::Measure;
use super::report::{Means, Report};
use crate::cli::out;

/// At most as many queries without a right answer are printed.
const MAX_MISSED_SHOWN: usize = 10;

/// Returns a value as it is shown: a share of queries in percent, other measures as a number.
pub(super) fn value(measure: Measure, value: f64) -> String {
    match measure {
        Measure::Recall(_) => format!("{:.2} %", value * 100.0),
        _ => format!("{value:.4}"),
    }
}

pub(super) fn describe(report: &Report) -> String {
    let mut text = match &report.against {
        None => means(&report.all),
        Some(against) => comparison(&report.all, against),
    };
    if !report.groups.is_empty() {
        write!(text, "\n\n{}", groups(report)).ok();
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

fn means(means: &Means) -> String {
    let mut table = out::table(&["measure", "value"]);
    for (measure, mean) in means.rows() {
        table.add_row([measure.to_string().into(), out::number(value(measure, mean))]);
    }
    table.to_string()
}

fn groups(report: &Report) -> String {
    let names: Vec<String> = report.all.group_rows().iter().map(|(measure, _)| measure.to_string()).collect();
    let header: Vec<&str> = ["group", "queries"].into_iter().chain(names.iter().map(String::as_str)).collect();
    let mut table = out::table(&header);
    for (name, means) in &report.groups {
        let values = means.group_rows().into_iter().map(|(measure, mean)| out::number(value(measure, mean)));
        table.add_row([name.into(), out::number(means.queries)].into_iter().chain(values).collect::<Vec<_>>());
    }
    table.to_string()
}

fn comparison(first: &Means, against: &Comparison) -> String {
    let other = format!("{} ({})", against.collection, against.provider);
    let mut table = out::table(&["measure", "value", &other, "difference", "95 % interval"]);
    for (((measure, first), (_, other)), difference) in
        first.rows().into_iter().zip(against.means.rows()).zip(&against.differences)
    {
        table.add_row([
            measure.to_string().into(),
            out::number(value(measure, first)),
            out::number(value(measure, other)),
            out::number(format!(
                "{:+.4}{}",
                difference.difference,
                if difference.is_significant() { " *" } else { "" }
            )),
            out::number(format!("{:+.4} to {:+.4}", difference.low, difference.high)),
        ]);
    }
    let mut text = format!("{table}\n{}", verdict(against));
    for QueryDifference { query, first, other } in &against.largest {
        write!(text, "\n  {:+.3}  {first:.3} / {other:.3}  {query}", first - other).ok();
    }
    text
}

/// Returns the numbers of wins, losses and ties, and how the intervals are made.
pub(super) fn verdict(against: &Comparison) -> String {
    let Comparison { wins, losses, ties, measure, .. } = against;
    format!(
        "by {measure}: {wins} better, {losses} worse, {ties} equal. The intervals are of a paired bootstrap with {RESAMPLES} \
         samples of the queries; * means that 0 is outside"
    )
}
