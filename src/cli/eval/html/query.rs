//! One query of the page: what was expected beside what was found.

use std::fmt::Write as _;

use super::markup::escape;
use super::thumbnails::Thumbnails;
use super::worst::{ExpectedImage, WorstQuery};
use crate::api::replies::ResultReply;

/// Returns the section of one query.
pub(super) fn section(query: &WorstQuery<'_>, thumbnails: &Thumbnails) -> String {
    let WorstQuery { known, outcome, measure, value, expected, not_shown } = query;
    let fields: Vec<String> = known
        .fields
        .iter()
        .map(|(name, value)| format!("<li><span>{}</span> {}</li>", escape(name), escape(value)))
        .collect();
    let first = outcome.right.first().map_or_else(
        || "no right answer was found".to_owned(),
        |right| format!("first right answer at rank {}", right.rank),
    );
    let mut section = format!(
        "<section>\n<h3>{}</h3>\n<p class=\"muted\">{measure} {value:.3} · {first} · {} of {} answers found</p>\n",
        escape(&known.text),
        outcome.right.len(),
        known.answers.len()
    );
    if !fields.is_empty() {
        writeln!(section, "<ul class=\"fields\">{}</ul>", fields.concat()).ok();
    }
    let expected: String = expected.iter().map(|image| expected_figure(image, thumbnails)).collect();
    let more = if *not_shown > 0 { format!("<p class=\"muted\">and {not_shown} more</p>") } else { String::new() };
    let found: String =
        outcome.hits.iter().enumerate().map(|(at, hit)| found_figure(at, hit, query, thumbnails)).collect();
    let found = if found.is_empty() { "<p class=\"muted\">nothing</p>".to_owned() } else { found };
    section
        + &format!(
            "<div class=\"sides\">\n<div><h4>Expected</h4><div class=\"images\">{expected}</div>{more}</div>\n\
             <div><h4>Found</h4><div class=\"images\">{found}</div></div>\n</div>\n</section>\n"
        )
}

fn expected_figure(expected: &ExpectedImage<'_>, thumbnails: &Thumbnails) -> String {
    let image = expected.id.as_ref().and_then(|id| thumbnails.get(id));
    let rank = expected.rank.map_or_else(|| "not found".to_owned(), |rank| format!("rank {rank}"));
    figure("expected", image, expected.answer, &rank)
}

fn found_figure(at: usize, hit: &ResultReply, query: &WorstQuery<'_>, thumbnails: &Thumbnails) -> String {
    let is_right = query.outcome.right.iter().any(|right| right.hit == at);
    let relevance = hit.relevance.map(|relevance| format!(" · {:.0} %", relevance * 100.0)).unwrap_or_default();
    let (class, mark) = if is_right { ("right", "✓ ") } else { ("wrong", "") };
    figure(
        class,
        thumbnails.get(&hit.image.id),
        &hit.image.s3_key,
        &format!("{mark}{} · {:.3}{relevance}", at + 1, hit.score),
    )
}

fn figure(class: &str, image: Option<&String>, name: &str, note: &str) -> String {
    let short = name.rsplit('/').next().unwrap_or(name);
    let image = match image {
        Some(data) => format!("<img src=\"{data}\" alt=\"{}\">", escape(short)),
        None => "<div class=\"none\">no thumbnail</div>".to_owned(),
    };
    format!(
        "<figure class=\"{class}\" title=\"{}\">{image}<figcaption><b>{}</b><span>{}</span></figcaption></figure>\n",
        escape(name),
        escape(short),
        escape(note)
    )
}
