//! Fits the relevance of a collection to known answers.

use super::answers::KnownQuery;
use crate::api::replies::{CalibrationReply, CalibrationRequest, FitReply, LabelledQueryRequest};
use crate::cli::CliError;
use crate::cli::client::Client;
use crate::cli::collections::name_or_default;
use crate::cli::out::{self, Output};
use crate::config::Settings;

/// Sends the queries with their answers to the service, which fits to them.
pub(super) async fn calibrate(
    settings: &Settings,
    collection: Option<String>,
    known: Vec<KnownQuery>,
    output: Output,
) -> Result<(), CliError> {
    // The time depends on the number of queries and on the model.
    let client = Client::without_timeout(settings)?;
    let collection = name_or_default(&client, collection).await?;
    let query = |known: KnownQuery| {
        let lang = known.language.map(|language| language.code().to_owned());
        LabelledQueryRequest { text: known.text, lang, answers: known.answers }
    };
    let request = CalibrationRequest { queries: known.into_iter().map(query).collect() };
    let reply = client.put(&["collections", &collection, "calibration"], &request).await?;
    let reply = output.reply(&reply, describe)?;
    out::warnings(&reply.fit.and_then(|fit| lost_matches(&fit)).into_iter().collect::<Vec<_>>());
    Ok(())
}

/// Deletes the fit of a collection.
pub(super) async fn reset(settings: &Settings, collection: Option<String>, output: Output) -> Result<(), CliError> {
    let client = Client::new(settings)?;
    let collection = name_or_default(&client, collection).await?;
    let reply = client.delete(&["collections", &collection, "calibration"], &()).await?;
    output.reply(&reply, describe)?;
    Ok(())
}

/// Returns a warning if less than half of the queries that had a good match still have one.
fn lost_matches(fit: &FitReply) -> Option<String> {
    let (before, after) = (fit.good_matches_before?, fit.good_matches_after?);
    // The fit only moves the limit, so that no other queries have a good match while these lose it.
    (2 * after < before).then(|| {
        format!(
            "only {after} of the {before} queries with a good match still have one. Probably most queries list one answer: list \
             all right answers, or `glimpse eval --reset-calibration` uses the model's own relevance again"
        )
    })
}

fn describe(reply: &CalibrationReply) -> String {
    let Some(fit) = &reply.fit else {
        return format!("the relevance of `{}` is that of the model", reply.collection);
    };
    let FitReply { queries, hits, right, error_before, error_after, .. } = fit;
    let matches = match (fit.good_matches_before, fit.good_matches_after) {
        (Some(before), Some(after)) => format!("\nqueries with a good match: {before} before, {after} now"),
        _ => String::new(),
    };
    let hint = if error_after < error_before {
        ""
    } else {
        "\nthe error is not lower: `glimpse eval --reset-calibration` uses the model's own relevance again"
    };
    format!(
        "the relevance of `{}` is fitted to {queries} queries, with {right} right answers among {hits} hits\n\
         calibration error: {error_before:.3} before, {error_after:.3} now (for queries that were left out of the fit){matches}{hint}",
        reply.collection
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fit_that_loses_most_good_matches_is_warned_about() {
        let fit = |before: Option<usize>, after: usize| FitReply {
            space: String::new(),
            slope: 1.0,
            intercept: -9.0,
            queries: 40,
            hits: 400,
            right: 40,
            error_before: 0.3,
            error_after: 0.1,
            good_matches_before: before,
            good_matches_after: Some(after),
            measured_at: String::new(),
        };
        assert!(lost_matches(&fit(Some(31), 15)).unwrap().starts_with("only 15 of the 31 queries"));
        let others = [(Some(31), 16), (Some(0), 0), (None, 3)];
        assert!(others.iter().all(|(before, after)| lost_matches(&fit(*before, *after)).is_none()));
    }
}
