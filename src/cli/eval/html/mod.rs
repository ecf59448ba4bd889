//! The page of an evaluation: one file with all its images, which works without a network.

mod markup;
mod query;
mod thumbnails;
mod worst;

use std::fmt::Write as _;
use std::fs::OpenOptions;
use std::path::Path;

use super::answers::KnownQuery;
use super::report::{Report, Values};
use super::search::{Run, Searched};
use super::{tables, text};
use crate::cli::CliError;
use crate::cli::client::Client;
use crate::domain::Timestamp;
use markup::{escape, table};
use thumbnails::Thumbnails;
use worst::WorstQuery;

const STYLE: &str = include_str!("page.css");

/// Fails if the page cannot be written. It is called before the searches, and changes no file.
pub(super) fn check_writable(path: &Path) -> Result<(), CliError> {
    let is_new = !path.exists();
    let opened = OpenOptions::new().append(true).create(true).open(path);
    let checked = opened.and_then(|_| if is_new { std::fs::remove_file(path) } else { Ok(()) });
    checked.map_err(|source| CliError::Write { path: path.to_owned(), source })
}

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
    let thumbnails = thumbnails::fetch(client, &run.searched.collection, worst::image_ids(&worst)).await;
    let page = page(run, &client.url(), report, &worst, &thumbnails);
    let written = tokio::fs::write(path, page).await;
    written.map_err(|source| CliError::Write { path: path.to_owned(), source })
}

fn page(run: &Run, url: &str, report: &Report, worst: &[WorstQuery<'_>], thumbnails: &Thumbnails) -> String {
    let Searched { collection, provider, model, .. } = &run.searched;
    let title = format!("Evaluation of {}", escape(collection));
    let facts = [text::summary(report), format!("store {provider}"), format!("model {model}"), url.to_owned(), now()]
        .join(" · ");
    let mut page = format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; img-src data:; style-src 'unsafe-inline'\">\n\
         <title>{title}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n<main>\n<h1>{title}</h1>\n\
         <p class=\"muted\">{}</p>\n",
        escape(&facts)
    );
    match &report.against {
        None => page += &tiles(report),
        Some(against) => {
            page += &table(&tables::measures(report));
            writeln!(page, "<p>{}</p>", escape(&text::verdict(against))).ok();
        }
    }
    for (title, section) in
        [("Largest differences", tables::largest_differences(report)), ("Groups", tables::groups(report))]
    {
        page.extend(section.map(|section| format!("<h2>{title}</h2>\n{}", table(&section))));
    }
    let note = match worst {
        [] => "Every query has all its answers first.",
        _ => "Below each result: rank, cosine, relevance; ✓ marks a right answer.",
    };
    writeln!(page, "<h2>Worst queries</h2>\n<p class=\"muted\">{note}</p>").ok();
    page.extend(worst.iter().map(|query| query::section(query, thumbnails)));
    page + "</main>\n</body>\n</html>\n"
}

/// Returns the time to the minute.
fn now() -> String {
    let now = Timestamp::now().to_string();
    now.get(..16).map_or_else(|| now.clone(), |minute| format!("{} UTC", minute.replace('T', " ")))
}

/// Returns the measures as large numbers.
fn tiles(report: &Report) -> String {
    let rows = tables::measures(report).rows;
    let tiles = rows.iter().map(|row| format!("<div><dt>{}</dt><dd>{}</dd></div>\n", row[0], row[1]));
    format!("<dl class=\"tiles\">\n{}</dl>\n", tiles.collect::<String>())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::api::replies::ResultReply;

    use super::super::against::Comparison;
    use super::super::measure::Measure;
    use super::super::search::{Outcome, RightAnswer};
    use super::*;

    #[test]
    fn a_page_that_cannot_be_written_is_refused_and_the_check_changes_no_file() {
        let folder = tempfile::tempdir().unwrap();
        let (new, old) = (folder.path().join("new.html"), folder.path().join("old.html"));
        std::fs::write(&old, "old").unwrap();
        check_writable(&new).unwrap();
        check_writable(&old).unwrap();
        assert!(!new.exists() && std::fs::read(&old).unwrap() == b"old");
        let error = check_writable(&folder.path().join("none/new.html")).unwrap_err().to_string();
        assert!(error.contains("none/new.html"), "{error}");
    }

    #[test]
    fn the_page_shows_what_was_expected_and_found_and_escapes_it() {
        let known = [KnownQuery {
            text: "<b>a cat</b>".to_owned(),
            answers: vec!["cat.jpg".to_owned(), "cat<2>.jpg".to_owned()],
            fields: [("category".to_owned(), "a&b".to_owned())].into(),
            ..KnownQuery::default()
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
        let searched =
            |name: &str| Searched { collection: name.into(), generation: 1, provider: "<p>".into(), model: "m".into() };
        let run = Run { outcomes: vec![outcome], searched: searched("c") };
        let values = Values::new(&Measure::all(&[5]), &known, &run);
        let worst = worst::worst_queries(&known, &run, &values);
        let missing = crate::domain::ImageUri::new("b", "images/cat<2>.jpg").id().to_string();
        assert!(worst::image_ids(&worst).contains(&missing), "the image of an answer that was not found");
        let report = Report {
            searched: run.searched.clone(),
            all: values.means(|_| true),
            missed: Vec::new(),
            without_answers: 0,
            groups: super::super::report::groups(&values, &known, "category"),
            against: Some(Comparison::new(&known, &values, &values, searched("c2"))),
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
            "✓ 2 · 0.250 · 50 %",
            "src=\"data:image/jpeg;base64,AA\"",
        ] {
            assert!(page.contains(expected), "{expected}: {page}");
        }
        assert!(!page.contains("<b>a cat") && !page.contains("http-equiv=\"refresh") && !page.contains("<script"));
    }
}
