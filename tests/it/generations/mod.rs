//! Generations: a collection is rebuilt with another model while it is used.

mod beside;
mod crash;
mod forced;
mod providers;
mod resume;
mod workers;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use glimpse::api::replies::{ComparisonReply, GenerationsReply, JobReply, SearchReply};
use reqwest::{Client, Method, StatusCode};
use serde_json::{Value, json};
use tokio::task::JoinHandle;

use crate::support::{TestApp, demo_image, image_id, root};

const FIRST: [&str; 6] = ["cat.jpg", "panda.jpg", "rocket.jpg", "coffee.jpg", "flower.jpg", "raccoon.jpg"];

/// Starts the service and indexes some images.
async fn start_indexed(variables: &[(&str, &str)]) -> TestApp {
    let app = TestApp::start_with(variables).await;
    for name in FIRST {
        app.put(&format!("images/{name}"), demo_image(name)).await;
    }
    assert_eq!(app.ingest().await.counts.done, 6);
    app
}

async fn rebuild(app: &TestApp, body: Value) -> String {
    let (status, reply) = app.post("/collections/documents/rebuild", body).await;
    assert_eq!(status, StatusCode::ACCEPTED, "{reply}");
    reply["job_id"].as_str().unwrap().to_owned()
}

async fn generations(app: &TestApp) -> GenerationsReply {
    let (status, reply) = app.get("/collections/documents/generations").await;
    assert_eq!(status, StatusCode::OK, "{reply}");
    serde_json::from_value(reply).unwrap()
}

/// Waits until nothing is due in any generation.
async fn up_to_date(app: &TestApp) -> GenerationsReply {
    let deadline = Instant::now() + Duration::from_mins(1);
    loop {
        let reply = generations(app).await;
        if reply.generations.iter().all(|one| one.due == 0) {
            return reply;
        }
        assert!(Instant::now() < deadline, "{reply:?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Waits for the comparison, which is made in the background.
async fn compared(app: &TestApp) -> ComparisonReply {
    let deadline = Instant::now() + Duration::from_mins(1);
    loop {
        let reply = generations(app).await;
        if let Some(comparison) = reply.comparison {
            return comparison;
        }
        assert!(reply.comparing && Instant::now() < deadline, "{reply:?}");
    }
}

async fn search(app: &TestApp, query: &str) -> SearchReply {
    let (status, reply) = app.get(&format!("/search/images?q=a+cat&limit=20{query}")).await;
    assert_eq!(status, StatusCode::OK, "{reply}");
    serde_json::from_value(reply).unwrap()
}

/// The names of all images that a generation has.
async fn found(app: &TestApp, query: &str) -> BTreeSet<String> {
    let results = search(app, query).await.results;
    results.into_iter().map(|result| result.image.s3_key.trim_start_matches("images/").to_owned()).collect()
}

fn names(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

/// Searches for one text until it is stopped.
struct Searches {
    stop: Arc<AtomicBool>,
    /// The scores of the best hit in the replies of each generation.
    task: JoinHandle<BTreeMap<u32, BTreeSet<String>>>,
}

impl Searches {
    fn start(app: &TestApp) -> Self {
        let (url, stop) = (format!("{}/search/images?q=a+cat&limit=1", app.url), Arc::new(AtomicBool::new(false)));
        let stopped = stop.clone();
        let task = tokio::spawn(async move {
            let (client, mut scores) = (Client::new(), BTreeMap::<u32, BTreeSet<String>>::new());
            while !stopped.load(Ordering::SeqCst) {
                let reply = client.get(&url).send().await.unwrap();
                assert_eq!(reply.status(), StatusCode::OK);
                let reply: SearchReply = reply.json().await.unwrap();
                assert!(reply.warnings.is_empty(), "{reply:?}");
                let best = &reply.results[0];
                assert!(best.image.s3_key.ends_with("cat.jpg"), "{}", best.image.s3_key);
                scores.entry(reply.generation).or_default().insert(format!("{:.4}", best.score));
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            scores
        });
        Self { stop, task }
    }

    async fn stop(self) -> BTreeMap<u32, BTreeSet<String>> {
        self.stop.store(true, Ordering::SeqCst);
        self.task.await.unwrap()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collection_is_rebuilt_switched_and_rolled_back_while_it_is_used() {
    let app = start_indexed(&[]).await;
    let (status, reply) = app.post("/collections/documents/switch", json!({})).await;
    assert_eq!((status, reply["code"].as_str().unwrap()), (StatusCode::CONFLICT, "generation_state"));
    let searches = Searches::start(&app);
    let job = rebuild(&app, json!({"resize": "pad"})).await;
    // The collection goes on meanwhile.
    app.put("images/louvre.jpg", demo_image("louvre.jpg")).await;
    assert_eq!(app.ingest().await.status, "SUCCEEDED");
    let removed = format!("/images/{}?collection=documents&permanently=true", image_id("images/panda.jpg"));
    assert_eq!(app.delete(&removed).await.0, StatusCode::OK);
    assert_eq!(app.delete(&format!("/images/{}?collection=documents", image_id("images/rocket.jpg"))).await.0, 200);
    let job = app.job_until(&job, JobReply::is_final).await;
    assert_eq!((job.status.as_str(), job.collection.as_str(), job.generation), ("SUCCEEDED", "documents", Some(2)));

    let reply = up_to_date(&app).await;
    let states: Vec<_> = reply.generations.iter().map(|one| (one.generation, one.state.as_str())).collect();
    assert_eq!((reply.current, &states[..]), (1, &[(1, "current"), (2, "ready")][..]));
    assert!(reply.generations[1].resize == "pad" && reply.generations[1].coverage_percent > 99.99, "{reply:?}");
    let comparison = compared(&app).await;
    assert!(comparison.texts > 10 && comparison.images == 5 && comparison.failed == 0, "{comparison:?}");
    assert!(comparison.overlap_at_10 == Some(1.0) && comparison.rank_correlation > Some(0.3), "{comparison:?}");
    let expected = names(&["cat.jpg", "coffee.jpg", "flower.jpg", "raccoon.jpg", "louvre.jpg"]);
    assert_eq!(found(&app, "&generation=1").await, expected);
    assert_eq!(found(&app, "&generation=2").await, expected);
    assert_eq!(search(&app, "").await.generation, 1);

    // Its name in the stores is not one of a collection.
    let (status, reply) = app.get("/search/images?q=a+cat&collection=documents-g2").await;
    assert_eq!((status, reply["code"].as_str().unwrap()), (StatusCode::CONFLICT, "name_of_generation"));
    let (status, reply) = app.get("/search/images?q=a+cat&generation=3").await;
    assert_eq!((status, reply["code"].as_str().unwrap()), (StatusCode::NOT_FOUND, "unknown_generation"));
    let (_, reply) = app.get("/collections").await;
    assert_eq!(reply["collections"].as_array().unwrap().len(), 1, "{reply}");

    let (status, reply) = app.post("/collections/documents/switch", json!({})).await;
    assert_eq!((status, &reply["generation"], &reply["before"]), (StatusCode::OK, &json!(2), &json!(1)), "{reply}");
    assert_eq!(search(&app, "").await.generation, 2);
    assert_eq!(found(&app, "").await, expected);
    let (_, reply) = app.get("/collections/documents").await;
    assert_eq!((&reply["name"], &reply["count"]), (&json!("documents"), &json!(5)), "{reply}");
    assert_eq!(reply["embedding_model"]["resize"], "pad");
    // The previous generation is kept up to date. The image that was removed permanently stays away from both.
    app.put("images/moose.jpg", demo_image("moose.jpg")).await;
    assert_eq!(app.ingest().await.counts.done, 2, "rocket.jpg was removed once, and is indexed again");
    up_to_date(&app).await;
    let mut expected = expected;
    expected.extend(names(&["moose.jpg", "rocket.jpg"]));
    assert_eq!(found(&app, "&generation=1").await, expected);
    assert_eq!(found(&app, "").await, expected);

    let (status, reply) = app.post("/collections/documents/rollback", json!({})).await;
    assert_eq!((status, &reply["generation"]), (StatusCode::OK, &json!(1)), "{reply}");
    assert_eq!(found(&app, "").await, expected);
    let (status, reply) = app.post("/collections/documents/rollback", json!({})).await;
    assert_eq!((status, reply["code"].as_str().unwrap()), (StatusCode::CONFLICT, "generation_state"));
    let scores = searches.stop().await;
    assert_eq!(scores.len(), 2, "{scores:?}");
    assert!(scores.values().all(|scores| scores.len() == 1), "a reply mixes two generations: {scores:?}");

    let (status, reply) = app.delete("/collections/documents/generations/1").await;
    assert_eq!((status, reply["code"].as_str().unwrap()), (StatusCode::CONFLICT, "generation_state"));
    assert_eq!(app.delete("/collections/documents/generations/2").await.0, StatusCode::OK);
    assert_eq!(generations(&app).await.generations.len(), 1);
    let (status, _) = app.get("/search/images?q=a+cat&collection=documents-g2").await;
    assert_eq!(status, StatusCode::NOT_FOUND);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rebuild_that_cannot_be_made_is_refused() {
    let app = start_indexed(&[]).await;
    let refused = async |collection: &str, body: Value| {
        let (status, reply) = app.post(&format!("/collections/{collection}/rebuild"), body).await;
        (status, reply["code"].as_str().unwrap_or_default().to_owned())
    };
    let unprocessable = |code: &str| (StatusCode::UNPROCESSABLE_ENTITY, code.to_owned());
    assert_eq!(refused("documents", json!({"resize": "stretch"})).await, unprocessable("invalid_resize"));
    assert_eq!(refused("documents", json!({"provider": "unknown"})).await, unprocessable("invalid_provider"));
    assert_eq!(refused("documents", json!({})).await, unprocessable("invalid_model"), "the model of the settings");
    let ray = json!({"resize": "pad", "executor": "ray"});
    assert_eq!(refused("documents", ray).await, unprocessable("invalid_executor"), "RAY_ADDRESS is not set");
    assert_eq!(refused("documents", json!({"model": "/no/such/folder"})).await, unprocessable("invalid_model"));
    for model in ["no-such-model", "./no-such-folder"] {
        assert_eq!(refused("documents", json!({"model": model})).await, unprocessable("invalid_model"), "{model}");
    }
    assert_eq!(refused("documents", json!({"precision": "int8"})).await, unprocessable("invalid_precision"));
    assert_eq!(refused("documents", json!({"precision": "fp32"})).await, unprocessable("invalid_model"), "the same");
    let unknown = (StatusCode::NOT_FOUND, "unknown_collection".to_owned());
    assert_eq!(refused("unknown", json!({"resize": "pad"})).await, unknown);
    let (status, reply) = app.post("/collections/unknown/switch", json!({})).await;
    assert_eq!((status, reply["code"].as_str().unwrap()), (StatusCode::NOT_FOUND, "unknown_collection"), "{reply}");
    // Another model beside that of the settings.
    let app = app.restart_with(&[("GLIMPSE_MODELS_IN_MEMORY", "1")]).await;
    let folder = root().join("tests/data/clip-tiny");
    let (status, reply) = app.post("/collections/documents/rebuild", json!({"model": folder})).await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{reply}");
    assert!(reply["message"].as_str().unwrap().contains("GLIMPSE_MODELS_IN_MEMORY is 1"), "{reply}");
    // The same networks.
    let job = rebuild(&app, json!({"resize": "pad"})).await;
    assert_eq!(app.job_until(&job, JobReply::is_final).await.status, "SUCCEEDED");
    let response = app.send(Method::GET, "/collections/unknown/generations", None).await;
    assert_eq!(response.status(), StatusCode::NOT_FOUND);
}
