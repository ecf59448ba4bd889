//! Objects with unusual encodings, names, metadata or owners.

mod anonymous;
mod content_encoding;
mod excludes;
mod headers;
mod normal_forms;
mod uploads;

use glimpse::api::replies::JobReply;
use glimpse::domain::ImageUri;
use serde_json::Value;

use crate::support::TestApp;
use crate::support::scripted_bucket::{BUCKET, ScriptedBucket};

async fn keys(app: &TestApp) -> Vec<String> {
    let (_, reply) = app.get("/search/images?q=anything&limit=100").await;
    let mut keys: Vec<String> =
        reply["results"].as_array().unwrap().iter().map(|hit| hit["s3_key"].as_str().unwrap().to_owned()).collect();
    keys.sort();
    keys
}

fn succeeded(job: &JobReply) {
    assert_eq!((job.status.as_str(), job.counts.failed), ("SUCCEEDED", 0), "{job:?}");
}

/// A service that reads this bucket, with these additional variables.
async fn start_over(bucket: &ScriptedBucket, more: &[(&str, &str)]) -> TestApp {
    let variables = bucket.variables();
    let mut all: Vec<(&str, &str)> = variables.iter().map(|(name, value)| (*name, value.as_str())).collect();
    all.extend(more);
    TestApp::start_with(&all).await
}

/// The path of an image of the scripted bucket.
fn path(key: &str) -> String {
    format!("/images/{}", ImageUri::new(BUCKET, key).id())
}

async fn image_facts(app: &TestApp, key: &str) -> Value {
    let (status, image) = app.get(&path(key)).await;
    assert_eq!(status, 200, "{key}: {image}");
    image
}
