//! Listings that would never end, or that cannot be read on.

use serde_json::json;

use super::plain::{refused, service, succeeded};
use crate::support::scripted_bucket::{Mode, Script, ScriptedBucket, Tokens};

async fn fails_with(tokens: Tokens, words: &str, most_pages: usize) {
    let bucket = ScriptedBucket::with(Script { tokens, ..Script::four() }).await;
    let app = service(&bucket).await;
    let (_, said) = refused(&app, json!({})).await;
    assert!(
        said.contains(words) && said.contains("ListObjectsV2") && said.contains("S3_ENDPOINT"),
        "{tokens:?}: {said}"
    );
    assert!(bucket.lists() <= most_pages, "{tokens:?}: {} pages", bucket.lists());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_listing_that_goes_round_fails_the_job_and_names_the_stores_fault() {
    fails_with(Tokens::Same, "the same continuation token again", 2).await;
    fails_with(Tokens::Cycle(2), "again, so that the listing would never end", 8).await;
    fails_with(Tokens::LeaseStatus, "the same page again", 4).await;
    let bucket = ScriptedBucket::start(Mode::SameToken).await;
    let app = service(&bucket).await;
    refused(&app, json!({})).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_truncated_page_without_a_token_fails_the_job_with_a_word_on_listobjectsv2() {
    fails_with(Tokens::Missing, "without a continuation token", 1).await;
    fails_with(Tokens::Empty, "without a continuation token", 1).await;
    let bucket = ScriptedBucket::start(Mode::NoToken).await;
    let app = service(&bucket).await;
    refused(&app, json!({})).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn empty_pages_are_passed_over_but_not_without_end() {
    let bucket = ScriptedBucket::with(Script { tokens: Tokens::EmptyPagesFirst(5), ..Script::four() }).await;
    let app = service(&bucket).await;
    assert_eq!(succeeded(&app, json!({"sync": true})).await.counts.done, 4);
    fails_with(Tokens::EmptyPagesFirst(5_000), "1,000 pages without a key", 1_000).await;
}
