//! Fits the relevance of a collection to known answers.

use super::answers::KnownQuery;
use crate::api::replies::{CalibrationReply, CalibrationRequest, FitReply, LabelledQueryRequest};
use crate::cli::CliError;
use crate::cli::client::Client;
use crate::cli::collections::name_or_default;
use crate::cli::out::Output;
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
    let query = |known: KnownQuery| LabelledQueryRequest { text: known.text, answers: known.answers };
    let request = CalibrationRequest { queries: known.into_iter().map(query).collect() };
    let reply = client.put(&["collections", &collection, "calibration"], &request).await?;
    output.reply(&reply, describe)?;
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

fn describe(reply: &CalibrationReply) -> String {
    let Some(FitReply { queries, hits, right, error_before, error_after, .. }) = &reply.fit else {
        return format!("the relevance of `{}` is that of the model", reply.collection);
    };
    let hint = if error_after < error_before {
        ""
    } else {
        "\nthe error is not lower: `glimpse eval --reset-calibration` uses the model's own relevance again"
    };
    format!(
        "the relevance of `{}` is fitted to {queries} queries, with {right} right answers among {hits} hits\n\
         calibration error: {error_before:.3} before, {error_after:.3} now (for queries that were left out of the fit){hint}",
        reply.collection
    )
}
