//! Images that are removed permanently: nothing brings them back, until they are restored.

mod in_flight;
mod stores;

use std::time::{Duration, Instant};

use glimpse::api::replies::RemovedImagesReply;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::mirrors::{deliver, keys, keys_until, minio};
use crate::support::{TestApp, demo_image, image_id};

const CAT: &str = "images/cat.jpg";
const PANDA: &str = "images/panda.jpg";

/// Starts the service and indexes two images.
async fn start_indexed() -> TestApp {
    let app = TestApp::start().await;
    for key in [CAT, PANDA] {
        app.put(key, demo_image(key.trim_start_matches("images/"))).await;
    }
    assert_eq!(app.ingest().await.counts.done, 2);
    app
}

async fn remove(app: &TestApp, key: &str) -> (StatusCode, Value) {
    app.delete(&format!("/images/{}?collection=documents&permanently=true", image_id(key))).await
}

async fn restore(app: &TestApp, key: &str) -> (StatusCode, Value) {
    app.delete(&format!("/collections/documents/removed-images/{}", image_id(key))).await
}

async fn removed(app: &TestApp) -> RemovedImagesReply {
    let (status, reply) = app.get("/collections/documents/removed-images").await;
    assert_eq!(status, StatusCode::OK, "{reply}");
    serde_json::from_value(reply).unwrap()
}

/// Waits until no store can have a record of a removed image.
async fn removed_everywhere(app: &TestApp) {
    let deadline = Instant::now() + Duration::from_mins(1);
    while removed(app).await.removed_images.iter().any(|image| image.pending) {
        assert!(Instant::now() < deadline, "{:?}", removed(app).await);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_that_was_removed_permanently_stays_away_at_jobs() {
    let app = start_indexed().await;
    assert_eq!(remove(&app, CAT).await, (StatusCode::OK, json!({"id": image_id(CAT), "status": "deleted"})));
    assert_eq!(keys(&app).await, [PANDA]);
    let listed = removed(&app).await;
    assert_eq!((listed.total, listed.next), (1, None));
    let [image] = &listed.removed_images[..] else { panic!("{listed:?}") };
    assert_eq!((image.s3_key.as_str(), image.id.as_str(), image.pending), (CAT, image_id(CAT).as_str(), false));
    // The object is still there, and a new version of it stays away too.
    app.put(CAT, demo_image("coffee.jpg")).await;
    let sync = json!({"s3_prefix": "images/", "collection": "documents", "sync": true});
    let dry_run = json!({"s3_prefix": "images/", "collection": "documents", "sync": true, "dry_run": true});
    let refresh = json!({"s3_prefix": "images/", "collection": "documents", "refresh": "facts"});
    let plan = app.ingest_with(dry_run).await.plan.unwrap();
    assert_eq!((plan.new, plan.changed, plan.deleted), (0, 0, 0));
    for body in [json!({"s3_prefix": "images/", "collection": "documents"}), sync, refresh] {
        let job = app.ingest_with(body).await;
        let counts = &job.counts;
        assert_eq!(job.status, "SUCCEEDED", "{job:?}");
        assert_eq!((counts.listed, counts.skipped, counts.unchanged, counts.deleted), (2, 1, 1, 0), "{job:?}");
        assert!(app.log(&job.job_id).await.contains("1 images under the prefix were removed permanently"));
    }
    assert_eq!(keys(&app).await, [PANDA]);
    // A repeated removal is answered in the same way, although no store has the record.
    assert_eq!(remove(&app, CAT).await.0, StatusCode::OK);
    assert_eq!(removed(&app).await.total, 1);

    assert_eq!(restore(&app, CAT).await, (StatusCode::OK, json!({"id": image_id(CAT), "status": "restored"})));
    let job = app.ingest().await;
    assert_eq!((job.counts.done, job.counts.unchanged, job.counts.skipped), (1, 1, 0), "{job:?}");
    assert_eq!(keys(&app).await, [CAT, PANDA]);
    assert_eq!(removed(&app).await.total, 0);
    let (status, reply) = restore(&app, CAT).await;
    assert_eq!((status, &reply["code"]), (StatusCode::NOT_FOUND, &json!("not_removed")), "{reply}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_that_is_removed_once_comes_back() {
    let app = start_indexed().await;
    let (status, _) = app.delete(&format!("/images/{}?collection=documents", image_id(CAT))).await;
    assert_eq!((status, removed(&app).await.total), (StatusCode::OK, 0));
    assert_eq!(app.ingest().await.counts.done, 1);
    for id in [image_id("images/none.jpg"), "x".to_owned()] {
        let (status, reply) = app.delete(&format!("/images/{id}?collection=documents&permanently=true")).await;
        assert_eq!((status, &reply["code"]), (StatusCode::NOT_FOUND, &json!("unknown_image")), "{reply}");
    }
    let (status, reply) = app.delete(&format!("/images/{}?permanently=perhaps", image_id(CAT))).await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{reply}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_of_a_removed_image_is_refused_before_it_is_stored() {
    let app = start_indexed().await;
    remove(&app, CAT).await;
    let put = async || {
        let url = format!("{}/objects/{CAT}?collection=documents", app.url);
        let reply = app.client.put(url).body(demo_image("coffee.jpg")).send().await.unwrap();
        (reply.status(), reply.json::<Value>().await.unwrap())
    };
    let (status, reply) = put().await;
    assert_eq!((status, &reply["code"]), (StatusCode::CONFLICT, &json!("removed_permanently")), "{reply}");
    let message = reply["message"].as_str().unwrap();
    assert!(message.contains(&format!("/collections/documents/removed-images/{}", image_id(CAT))), "{message}");
    // The old object is still in the bucket: after the image is restored, a job indexes that one.
    assert_eq!(restore(&app, CAT).await.0, StatusCode::OK);
    assert_eq!(app.ingest().await.counts.done, 1);
    let (_, image) = app.get(&format!("/images/{}?collection=documents", image_id(CAT))).await;
    assert_eq!(image["size_bytes"], json!(demo_image("cat.jpg").len()));
    assert_eq!(put().await.0, StatusCode::OK);
    // Into another collection, it is another image.
    remove(&app, CAT).await;
    let url = format!("{}/objects/{CAT}?collection=others", app.url);
    assert_eq!(app.client.put(url).body(demo_image("cat.jpg")).send().await.unwrap().status(), StatusCode::OK);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_does_not_bring_a_removed_image_back() {
    let app = start_indexed().await;
    let spec = json!({"s3_prefix": "images/", "collection": "documents", "sync": true});
    let mirror: Value = app.send(Method::PUT, "/mirrors/removed", Some(spec)).await.json().await.unwrap();
    let token = mirror["event_token"].as_str().unwrap();
    let is_idle = async || {
        let (_, mirror) = app.get("/mirrors/removed").await;
        mirror["waiting_keys"] == 0 && mirror["run_soon"] == false && mirror["last_run"]["status"] == "SUCCEEDED"
    };
    let settled = async || {
        let deadline = Instant::now() + Duration::from_mins(1);
        while !is_idle().await {
            assert!(Instant::now() < deadline, "the mirror still works");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    settled().await;
    remove(&app, CAT).await;
    app.put(CAT, demo_image("coffee.jpg")).await;
    let created = minio("pipeline", "s3:ObjectCreated:Put", CAT);
    assert_eq!(deliver(&app, token, &created).await, [1, 0, 0]);
    settled().await;
    assert_eq!(keys(&app).await, [PANDA]);
    assert_eq!(restore(&app, CAT).await.0, StatusCode::OK);
    deliver(&app, token, &created).await;
    keys_until(&app, &[CAT, PANDA]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_removed_images_go_with_their_collection_and_survive_a_verification() {
    let app = start_indexed().await;
    remove(&app, CAT).await;
    let (status, report) = app.post("/collections/documents/verify", json!({"repair": true})).await;
    assert_eq!((status, &report["total"]), (StatusCode::OK, &json!(0)), "{report}");
    let app = app.restart().await;
    assert_eq!(removed(&app).await.total, 1);
    // The collection has no image left, and is removed all the same.
    remove(&app, PANDA).await;
    assert_eq!(app.delete("/collections/documents").await.0, StatusCode::OK);
    assert_eq!(removed(&app).await.total, 0);
    assert_eq!(app.ingest().await.counts.done, 2);
    assert_eq!(keys(&app).await, [CAT, PANDA]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_list_has_pages() {
    let app = TestApp::start().await;
    let names = app.seed_demo().await;
    app.ingest().await;
    for name in &names[..5] {
        assert_eq!(remove(&app, &format!("images/{name}")).await.0, StatusCode::OK);
    }
    let (mut found, mut after) = (Vec::new(), String::new());
    loop {
        let (_, reply) = app.get(&format!("/collections/documents/removed-images?limit=2{after}")).await;
        let page: RemovedImagesReply = serde_json::from_value(reply).unwrap();
        assert_eq!(page.total, 5);
        found.extend(page.removed_images.into_iter().map(|image| image.s3_key));
        let Some(next) = page.next else { break };
        after = format!("&after={next}");
    }
    let expected: Vec<String> = names[..5].iter().rev().map(|name| format!("images/{name}")).collect();
    assert_eq!(found, expected);
    for query in ["limit=0", "limit=1001", "after=-1", "after=x", "collection=documents"] {
        let (status, reply) = app.get(&format!("/collections/documents/removed-images?{query}")).await;
        assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{query}: {reply}");
    }
}
