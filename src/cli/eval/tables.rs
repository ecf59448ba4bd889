//! The tables of a report, for text and for the page.

use super::measure::Measure;
use super::report::{Means, Report};

/// A table. All columns but the first are numbers.
pub(super) struct Table {
    pub(super) header: Vec<String>,
    pub(super) rows: Vec<Vec<String>>,
}

/// Returns each measure; beside that of the other target, if there is one.
pub(super) fn measures(report: &Report) -> Table {
    let rows = report.all.rows().into_iter();
    let Some(against) = &report.against else {
        let rows = rows.map(|(measure, mean)| vec![measure.to_string(), value(measure, mean)]);
        return table(&["measure", "value"], rows);
    };
    let (first, other) = (report.searched.to_string(), against.searched.to_string());
    let rows =
        rows.zip(against.means.rows()).zip(&against.differences).map(|(((measure, first), (_, other)), change)| {
            let mark = if change.is_significant() { " *" } else { "" };
            vec![
                measure.to_string(),
                value(measure, first),
                value(measure, other),
                format!("{:+.4}{mark}", change.mean),
                format!("{:+.4} to {:+.4}", change.low, change.high),
            ]
        });
    table(&["measure", &first, &other, "difference", "95 % interval"], rows)
}

/// Returns the queries with the largest differences between the targets, if there are any.
pub(super) fn largest_differences(report: &Report) -> Option<Table> {
    let against = report.against.as_ref().filter(|against| !against.largest.is_empty())?;
    let (first, other) = (report.searched.to_string(), against.searched.to_string());
    let rows = against.largest.iter().map(|query| {
        let difference = format!("{:+.3}", query.first - query.other);
        vec![query.query.clone(), format!("{:.3}", query.first), format!("{:.3}", query.other), difference]
    });
    Some(table(&["query", &first, &other, "difference"], rows))
}

/// Returns the measures of each group, if there are groups.
pub(super) fn groups(report: &Report) -> Option<Table> {
    let measures: Vec<String> = report.all.group_rows().iter().map(|(measure, _)| measure.to_string()).collect();
    let header: Vec<&str> = ["group", "queries"].into_iter().chain(measures.iter().map(String::as_str)).collect();
    let row = |(name, means): (&String, &Means)| {
        let values = means.group_rows().into_iter().map(|(measure, mean)| value(measure, mean));
        [name.clone(), means.queries.to_string()].into_iter().chain(values).collect()
    };
    (!report.groups.is_empty()).then(|| table(&header, report.groups.iter().map(row)))
}

fn table(header: &[&str], rows: impl Iterator<Item = Vec<String>>) -> Table {
    Table { header: header.iter().map(ToString::to_string).collect(), rows: rows.collect() }
}

/// Returns a value as it is shown: a share of queries in percent, other measures as a number.
fn value(measure: Measure, value: f64) -> String {
    match measure {
        Measure::Recall(_) => format!("{:.2} %", value * 100.0),
        _ => format!("{value:.4}"),
    }
}
