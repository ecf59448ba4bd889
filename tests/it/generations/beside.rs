//! What changes the bucket while a rebuild runs and after the switch: events of a mirror, uploads and overwritten objects.

use std::time::{Duration, Instant};

use glimpse::api::replies::JobReply;
use glimpse::domain::ImageUri;
use reqwest::StatusCode;
use serde_json::{Value, json};

use super::{Searches, found, rebuild, search, start_indexed, up_to_date};
use crate::cli::commands::{glimpse, stderr, stdout};
use crate::mirrors::{deliver, minio};
use crate::support::{TestApp, demo_image, root};

/// Uploads an object, which is indexed before the reply.
async fn upload(app: &TestApp, key: &str, image: &str) {
    let request = app.client.put(format!("{}/objects/{key}", app.url)).query(&[("collection", "documents")]);
    let reply = request.body(demo_image(image)).send().await.unwrap();
    assert!(reply.status().is_success(), "{}", reply.text().await.unwrap());
}

/// Waits until a generation has these images and no others.
async fn found_until(app: &TestApp, query: &str, expected: &[&str]) {
    let expected = super::names(expected);
    let deadline = Instant::now() + Duration::from_mins(1);
    loop {
        let found = found(app, query).await;
        if found == expected {
            return;
        }
        assert!(Instant::now() < deadline, "{query}: {found:?}, not {expected:?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// The score of an image for the text `a cat` in a generation.
async fn score(app: &TestApp, generation: u32, key: &str) -> f32 {
    let results = search(app, &format!("&generation={generation}")).await.results;
    results.iter().find(|result| result.image.s3_key == key).unwrap().score
}

#[tokio::test(flavor = "multi_thread")]
async fn events_and_uploads_reach_both_generations() {
    let app = start_indexed(&[]).await;
    let body = json!({"s3_prefix": "images/", "collection": "documents", "sync": true, "max_delete_percent": 100});
    let reply = app.send(reqwest::Method::PUT, "/mirrors/m", Some(body)).await;
    assert_eq!(reply.status(), StatusCode::CREATED);
    let token = reply.json::<Value>().await.unwrap()["event_token"].as_str().unwrap().to_owned();
    let event = async |name: &str, key: &str| {
        assert_eq!(deliver(&app, &token, &minio("pipeline", name, key)).await, [1, 0, 0]);
    };
    let searches = Searches::start(&app);
    let job = rebuild(&app, json!({"resize": "pad"})).await;
    upload(&app, "images/louvre.jpg", "louvre.jpg").await;
    app.put("images/moose.jpg", demo_image("moose.jpg")).await;
    event("s3:ObjectCreated:Put", "images/moose.jpg").await;
    app.bucket.remove(&ImageUri::new("pipeline", "images/panda.jpg")).await.unwrap();
    event("s3:ObjectRemoved:Delete", "images/panda.jpg").await;
    // Overwritten: in both generations, it must be another image at the end.
    upload(&app, "images/rocket.jpg", "coffee.jpg").await;
    assert_eq!(app.job_until(&job, JobReply::is_final).await.status, "SUCCEEDED");

    let expected = ["cat.jpg", "rocket.jpg", "coffee.jpg", "flower.jpg", "raccoon.jpg", "louvre.jpg", "moose.jpg"];
    found_until(&app, "&generation=1", &expected).await;
    found_until(&app, "&generation=2", &expected).await;
    up_to_date(&app).await;
    for generation in [1, 2] {
        let [rocket, coffee] = ["images/rocket.jpg", "images/coffee.jpg"].map(|key| score(&app, generation, key));
        let (rocket, coffee) = (rocket.await, coffee.await);
        assert!((rocket - coffee).abs() < 1e-5, "generation {generation}: {rocket} and {coffee}");
    }

    let (status, reply) = app.post("/collections/documents/switch", json!({})).await;
    assert_eq!(status, StatusCode::OK, "{reply}");
    upload(&app, "images/palace.jpg", "panda.jpg").await;
    app.put("images/moose.jpg", demo_image("flower.jpg")).await;
    event("s3:ObjectCreated:Put", "images/moose.jpg").await;
    let expected = [&expected[..], &["palace.jpg"]].concat();
    found_until(&app, "", &expected).await;
    found_until(&app, "&generation=1", &expected).await;
    let deadline = Instant::now() + Duration::from_mins(1);
    for generation in [1, 2] {
        while (score(&app, generation, "images/moose.jpg").await - score(&app, generation, "images/flower.jpg").await)
            .abs()
            > 1e-5
        {
            assert!(Instant::now() < deadline, "generation {generation} has the old moose.jpg");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
    let scores = searches.stop().await;
    assert!(scores.values().all(|scores| scores.len() == 1), "a reply mixes two generations: {scores:?}");
    // The ledger agrees with the bucket.
    let job = app.ingest().await;
    assert_eq!((job.counts.done, job.counts.unchanged, job.counts.deleted), (0, 8, 0), "{job:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn two_generations_are_measured_with_the_queries_of_a_file() {
    let app = TestApp::start().await;
    app.seed_demo().await;
    assert_eq!(app.ingest().await.counts.done, 26);
    let job = rebuild(&app, json!({"resize": "pad"})).await;
    app.job_until(&job, JobReply::is_final).await;
    let (at, queries) = ([("GLIMPSE_URL", app.url.as_str())], root().join("demo/queries.json"));
    let eval = ["eval", "--queries", queries.to_str().unwrap(), "--against", "generation=2"];
    let compared = glimpse(&at, &[&eval[..], &["--json"]].concat()).await;
    let report: Value = serde_json::from_str(&stdout(&compared)).unwrap_or_else(|_| panic!("{}", stderr(&compared)));
    assert_eq!((&report["generation"], &report["against"]["generation"]), (&json!(1), &json!(2)), "{report}");
    assert_eq!(report["collection"], report["against"]["collection"]);
    let text = stdout(&glimpse(&at, &eval).await);
    assert!(text.contains("documents, generation 2 (embedded)"), "{text}");
    let unknown = glimpse(&at, &[&eval[..4], &["generation=7"]].concat()).await;
    assert!(stderr(&unknown).contains("generation 7"), "{}", stderr(&unknown));
}
