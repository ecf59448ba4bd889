//! The page of an evaluation: one file with all its images, which works without a network.

mod markup;
mod query;
mod thumbnails;
mod worst;

use std::path::Path;

use super::against::{Comparison, QueryDifference};
use super::answers::KnownQuery;
use super::report::{Means, Report, Values};
use super::search::Run;
use super::text;
use crate::cli::CliError;
use crate::cli::client::Client;
use crate::domain::Timestamp;
use markup::{escape, table};
use thumbnails::Thumbnails;
use worst::WorstQuery;

const STYLE: &str = include_str!("page.css");

/// Writes the page.
pub(super) async fn write(
    path: &Path,
    client: &Client,
    known: &[KnownQuery],
    run: &Run,
    values: &Values,
    report: &Report,
) -> Result<(), CliError> {
    let worst = worst::worst_queries(known, run, values);
    let thumbnails = thumbnails::fetch(client, &run.collection, worst::image_ids(&worst)).await;
    let page = page(run, &client.url(), report, &worst, &thumbnails);
    let written = tokio::fs::write(path, page).await;
    written.map_err(|source| CliError::Write { path: path.to_owned(), source })
}

fn page(run: &Run, url: &str, report: &Report, worst: &[WorstQuery<'_>], thumbnails: &Thumbnails) -> String {
    let title = format!("Evaluation of {}", escape(&run.collection));
    let mut page = format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; img-src data:; style-src 'unsafe-inline'\">\n\
         <title>{title}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n<main>\n<h1>{title}</h1>\n\
         <p class=\"muted\">{} · store {} · model {} · {} · {}</p>\n",
        text::summary(report),
        escape(&run.provider),
        escape(&run.model),
        escape(url),
        Timestamp::now()
    );
    page += &means(&report.all, report.against.as_ref());
    if let Some(against) = &report.against {
        page += &comparison(&run.collection, against);
    }
    if !report.groups.is_empty() {
        page += &groups(report);
    }
    page += &format!(
        "<h2>Worst queries</h2>\n{}",
        if worst.is_empty() { "<p>Every query has all its answers first.</p>\n" } else { "" }
    );
    page.extend(worst.iter().map(|query| query::section(query, thumbnails)));
    page + "</main>\n</body>\n</html>\n"
}

/// The measures; beside those of the other target, if there is one.
fn means(means: &Means, against: Option<&Comparison>) -> String {
    let Some(against) = against else {
        let tiles = means
            .rows()
            .into_iter()
            .map(|(measure, mean)| format!("<div><dt>{measure}</dt><dd>{}</dd></div>\n", text::value(measure, mean)));
        return format!("<dl class=\"tiles\">\n{}</dl>\n", tiles.collect::<String>());
    };
    let rows = means.rows().into_iter().zip(against.means.rows()).zip(&against.differences);
    let cells = rows.map(|(((measure, first), (_, other)), difference)| {
        [
            measure.to_string(),
            text::value(measure, first),
            text::value(measure, other),
            format!("{:+.4}{}", difference.difference, if difference.is_significant() { " *" } else { "" }),
            format!("{:+.4} to {:+.4}", difference.low, difference.high),
        ]
    });
    let other = format!("{} ({})", escape(&against.collection), escape(&against.provider));
    table(&["measure", "value", &other, "difference", "95 % interval"].map(str::to_owned), cells.map(Vec::from))
}

fn comparison(collection: &str, against: &Comparison) -> String {
    let rows = against.largest.iter().map(|QueryDifference { query, first, other }| {
        vec![escape(query).into_owned(), format!("{first:.3}"), format!("{other:.3}"), format!("{:+.3}", first - other)]
    });
    let header = [
        "query".to_owned(),
        escape(collection).into_owned(),
        format!("{} ({})", escape(&against.collection), escape(&against.provider)),
        "difference".to_owned(),
    ];
    let largest = if against.largest.is_empty() { String::new() } else { table(&header, rows) };
    format!("<p>{}.</p>\n<h2>Largest differences</h2>\n{largest}", escape(&text::verdict(against)))
}

fn groups(report: &Report) -> String {
    let names = report.all.group_rows().into_iter().map(|(measure, _)| measure.to_string());
    let header: Vec<String> = ["group", "queries"].map(str::to_owned).into_iter().chain(names).collect();
    let rows = report.groups.iter().map(|(name, means)| {
        let values = means.group_rows().into_iter().map(|(measure, mean)| text::value(measure, mean));
        [escape(name).into_owned(), means.queries.to_string()].into_iter().chain(values).collect()
    });
    format!("<h2>Groups</h2>\n{}", table(&header, rows))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::api::replies::ResultReply;

    use super::super::measure::Measure;
    use super::super::search::{Outcome, RightAnswer};
    use super::*;

    #[test]
    fn the_page_shows_what_was_expected_and_found_and_escapes_it() {
        let known = [KnownQuery {
            text: "<b>a cat</b>".to_owned(),
            answers: vec!["cat.jpg".to_owned(), "cat<2>.jpg".to_owned()],
            fields: [("category".to_owned(), "a&b".to_owned())].into(),
        }];
        let hit = |key: &str| -> ResultReply {
            serde_json::from_value(json!({"id": key, "score": 0.25, "relevance": 0.5, "s3_key": key, "s3_uri": format!("s3://b/images/{key}"),
                "format": "jpeg", "width": 1, "height": 1, "thumbnail_key": null, "thumbnail": null, "original": ""}))
            .unwrap()
        };
        let outcome = Outcome {
            hits: vec![hit("dog.jpg"), hit("cat.jpg")],
            right: vec![RightAnswer { rank: 2, answer: 0, hit: 1 }],
            base: Some("s3://b/images/".to_owned()),
        };
        let run = Run { outcomes: vec![outcome], collection: "c".into(), provider: "p".into(), model: "m".into() };
        let values = Values::new(&Measure::all(&[5]), &known, &run);
        let worst = worst::worst_queries(&known, &run, &values);
        let missing = crate::domain::ImageUri::new("b", "images/cat<2>.jpg").id().to_string();
        assert!(worst::image_ids(&worst).contains(&missing), "the image of an answer that was not found");
        let report = Report {
            all: values.means(|_| true),
            missed: Vec::new(),
            without_answers: 0,
            groups: super::super::report::groups(&values, &known, "category").unwrap(),
            against: Some(Comparison::new(&known, &values, &values, ("c2".into(), "<p>".into()))),
        };
        let thumbnails = Thumbnails::from([("cat.jpg".to_owned(), "data:image/jpeg;base64,AA".to_owned())]);
        let page = page(&run, "http://h", &report, &worst, &thumbnails);
        for expected in [
            "&lt;b&gt;a cat&lt;/b&gt;",
            "cat&lt;2&gt;.jpg",
            "a&amp;b",
            "c2 (&lt;p&gt;)",
            "1 of 2 answers found",
            "rank 2",
            "not found",
            "2 · 0.250 · 50 % · right",
            "src=\"data:image/jpeg;base64,AA\"",
        ] {
            assert!(page.contains(expected), "{expected}: {page}");
        }
        assert!(!page.contains("<b>a cat") && !page.contains("http-equiv=\"refresh") && !page.contains("<script"));
    }
}
