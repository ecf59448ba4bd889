//! Listings that contradict themselves: nothing is deleted because of them.

use serde_json::json;

use super::plain::{refused, service, succeeded};
use crate::support::scripted_bucket::{Mode, ScriptedBucket, Tokens};

#[tokio::test(flavor = "multi_thread")]
async fn a_last_page_with_a_token_for_a_next_page_fails_the_job() {
    for tokens in [Tokens::Contradicting, Tokens::ContradictingMarker] {
        let bucket = ScriptedBucket::start(Mode::Plain).await;
        let app = service(&bucket).await;
        assert_eq!(succeeded(&app, json!({})).await.counts.done, 4);
        bucket.change(|script| script.tokens = tokens);
        let (job, message) = refused(&app, json!({"sync": true, "max_delete_percent": 100})).await;
        assert!(message.contains("cannot be trusted") && message.contains("IsTruncated"), "{message}");
        assert_eq!(job.counts.deleted, 0);
        bucket.change(|script| script.tokens = Tokens::Right);
        let again = succeeded(&app, json!({"sync": true})).await;
        assert_eq!((again.counts.unchanged, again.counts.deleted), (4, 0), "{tokens:?}");
    }
}
