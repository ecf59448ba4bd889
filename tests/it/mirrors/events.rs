use serde_json::{Value, json};

use super::{
    deliver, encode_form, finished_run, keys, keys_until, minio, mirror, mirror_until, notify, put_mirror, settled,
    start_mirror,
};
use crate::jobs::mirror::remove;
use crate::support::{TestApp, demo_image, quarters_png};

pub(super) const CREATED: &str = "s3:ObjectCreated:Put";
const REMOVED: &str = "s3:ObjectRemoved:Delete";

async fn image_etag(app: &TestApp, key: &str) -> Option<String> {
    let (_, reply) = app.get("/images?limit=100&collection=documents").await;
    let image = reply["images"].as_array()?.iter().find(|image| image["s3_key"] == key)?.clone();
    Some(image["etag"].as_str()?.to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_is_indexed_replaced_and_removed_by_events() {
    let app = TestApp::start().await;
    let token = start_mirror(&app, json!({})).await;
    app.put("images/cat.jpg", demo_image("cat.jpg")).await;
    notify(&app, &token, CREATED, "images/cat.jpg").await;
    keys_until(&app, &["images/cat.jpg"]).await;
    let first = image_etag(&app, "images/cat.jpg").await;
    let shown = mirror_until(&app, |mirror| mirror.lag_seconds.is_some()).await;
    assert!(shown.lag_seconds.unwrap() < 30.0 && shown.events_per_minute == 1, "{shown:?}");

    app.put("images/cat.jpg", demo_image("coffee.jpg")).await;
    notify(&app, &token, CREATED, "images/cat.jpg").await;
    settled(&app).await;
    assert_ne!(image_etag(&app, "images/cat.jpg").await, first);

    // A removal that is not true: the bucket has the object.
    notify(&app, &token, REMOVED, "images/cat.jpg").await;
    settled(&app).await;
    assert_eq!(keys(&app).await, ["images/cat.jpg"]);
    remove(&app, "images/cat.jpg").await;
    notify(&app, &token, REMOVED, "images/cat.jpg").await;
    keys_until(&app, &[]).await;
    settled(&app).await;
    // The ledger agrees: the next run has nothing to do.
    app.post("/mirrors/m/run", json!(null)).await;
    let run = finished_run(&app).await;
    assert_eq!((run.counts.done, run.counts.deleted), (0, 0), "{run:?}");
    let metrics = app.client.get(format!("{}/metrics", app.url)).send().await.unwrap().text().await.unwrap();
    for expected in
        ["glimpse_events_total{mirror=\"m\",outcome=\"accepted\"}", "glimpse_mirror_lag_seconds_count{mirror=\"m\"}"]
    {
        assert!(metrics.contains(expected), "{expected}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn deliveries_that_are_repeated_late_and_in_another_order_have_no_other_result() {
    let app = TestApp::start().await;
    let token = start_mirror(&app, json!({})).await;
    app.put("images/a.png", quarters_png(1)).await;
    app.put("images/b.png", quarters_png(2)).await;
    let all = json!({"Records": [
        minio("pipeline", REMOVED, "images/a.png")["Records"][0],
        minio("pipeline", CREATED, "images/b.png")["Records"][0],
        minio("pipeline", CREATED, "images/a.png")["Records"][0],
        minio("pipeline", REMOVED, "images/b.png")["Records"][0],
        minio("pipeline", REMOVED, "images/never.png")["Records"][0],
    ]});
    for _ in 0..5 {
        deliver(&app, &token, &all).await;
    }
    keys_until(&app, &["images/a.png", "images/b.png"]).await;
    remove(&app, "images/a.png").await;
    // The removal arrives before a creation that is older.
    deliver(&app, &token, &all).await;
    keys_until(&app, &["images/b.png"]).await;
    settled(&app).await;
    assert_eq!(keys(&app).await, ["images/b.png"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_are_decoded_by_their_source() {
    let app = TestApp::start().await;
    let token = start_mirror(&app, json!({})).await;
    let all =
        ["images/a b.png", "images/1+1.png", "images/%2B.png", "images/⛄.png", "images/../x.png", "images/a&b=c.png"];
    for (seed, key) in (0..).zip(all) {
        app.put(key, quarters_png(seed)).await;
    }
    let record = |source: &str, key: &str| {
        json!({"eventSource": source, "eventName": "ObjectCreated:Put",
            "s3": {"bucket": {"name": "pipeline"}, "object": {"key": key}}})
    };
    assert_eq!(
        deliver(&app, &token, &json!({"Records": [record("aws:s3", &encode_form(all[0])), record("ceph:s3", all[1])]}))
            .await,
        [2, 0, 0]
    );
    let bridge = |key: &str| {
        json!({"source": "aws.s3", "detail-type": "Object Created",
        "detail": {"bucket": {"name": "pipeline"}, "object": {"key": key}}})
    };
    assert_eq!(deliver(&app, &token, &bridge(all[2])).await, [1, 0, 0]);
    for key in &all[3..] {
        notify(&app, &token, CREATED, key).await;
    }
    let mut expected = all;
    expected.sort_unstable();
    keys_until(&app, &expected).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_about_the_mirror_is_acknowledged_and_ignored() {
    let app = TestApp::start_with(&[("THUMBNAIL_PREFIX", "images/thumbs/")]).await;
    let token = start_mirror(&app, json!({"exclude": ["secret/"], "metadata_key": "images/rows.csv"})).await;
    for body in [
        minio("elsewhere", CREATED, "images/a.png"),
        minio("pipeline", CREATED, "other/a.png"),
        minio("pipeline", CREATED, "images/notes.txt"),
        minio("pipeline", CREATED, "images/folder/"),
        minio("pipeline", CREATED, "images/secret/a.png"),
        minio("pipeline", CREATED, "images/thumbs/a.jpg"),
        minio("pipeline", "s3:ObjectAccessed:Get", "images/a.png"),
        json!({"Service": "Amazon S3", "Event": "s3:TestEvent", "Bucket": "pipeline"}),
        json!({}),
    ] {
        assert_eq!(deliver(&app, &token, &body).await, [0, 1, 0], "{body}");
    }
    assert_eq!(mirror(&app).await.waiting_keys, 0);
    put_mirror(&app, json!({"events": false})).await;
    assert_eq!(deliver(&app, &token, &minio("pipeline", CREATED, "images/a.png")).await, [0, 1, 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_token_of_a_mirror_admits_events() {
    let app = TestApp::start_with(&[("GLIMPSE_API_KEY", "open-sesame-for-tests")]).await;
    let client = |request: reqwest::RequestBuilder| async move {
        let reply = request.send().await.unwrap();
        (reply.status().as_u16(), reply.json::<Value>().await.unwrap())
    };
    let url = |path: &str| format!("{}{path}", app.url);
    let put = app
        .client
        .put(url("/mirrors/m"))
        .bearer_auth("open-sesame-for-tests")
        .json(&json!({"collection": "documents"}));
    let (_, created) = client(put).await;
    let token = created["event_token"].as_str().unwrap().to_owned();
    let post = || app.client.post(url("/events/s3")).json(&json!({}));
    for (case, request) in [
        ("no token", post()),
        ("an API key", post().bearer_auth("open-sesame-for-tests")),
        ("another token", post().bearer_auth("0".repeat(64))),
        ("a prefix of the token", post().bearer_auth(&token[..63])),
        ("as an API key", post().header("x-api-key", &token)),
        ("another scheme", post().header("authorization", format!("Basic {token}"))),
    ] {
        let (status, body) = client(request).await;
        assert_eq!((status, &body["code"]), (401, &json!("unauthorized")), "{case}");
    }
    assert_eq!(client(post().bearer_auth(&token)).await.0, 200);
    let (status, _) = client(app.client.get(url("/mirrors")).bearer_auth(&token)).await;
    assert_eq!(status, 401, "an event token admits nothing else");
    let (_, rotated) = client(app.client.post(url("/mirrors/m/token")).bearer_auth("open-sesame-for-tests")).await;
    assert_eq!(client(post().bearer_auth(&token)).await.0, 401, "the former token");
    let token = rotated["event_token"].as_str().unwrap();
    assert_eq!(client(post().bearer_auth(token)).await.0, 200);
    for (body, status) in [("[]", 400), ("{", 400), ("", 400)] {
        let request = app.client.post(url("/events/s3")).bearer_auth(token).body(body);
        assert_eq!(client(request).await.0, status, "{body}");
    }
    let large = app.client.post(url("/events/s3")).bearer_auth(token).body(vec![b' '; 600 * 1024]);
    assert_eq!(client(large).await.0, 413);
}

#[tokio::test(flavor = "multi_thread")]
async fn events_of_a_paused_mirror_are_a_run_after_it_is_resumed() {
    let app = TestApp::start().await;
    let token = start_mirror(&app, json!({})).await;
    app.post("/mirrors/m/pause", json!(null)).await;
    app.put("images/cat.jpg", demo_image("cat.jpg")).await;
    assert_eq!(deliver(&app, &token, &minio("pipeline", CREATED, "images/cat.jpg")).await, [0, 0, 1]);
    let paused = mirror(&app).await;
    assert!(paused.run_soon && paused.waiting_keys == 0, "{paused:?}");
    app.post("/mirrors/m/resume", json!(null)).await;
    keys_until(&app, &["images/cat.jpg"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn more_keys_than_can_wait_are_a_run() {
    let app = TestApp::start().await;
    let token = start_mirror(&app, json!({})).await;
    let records: Vec<Value> = (0..1_000)
        .map(|number| minio("pipeline", CREATED, &format!("images/{number}.png"))["Records"][0].clone())
        .collect();
    app.put("images/cat.jpg", demo_image("cat.jpg")).await;
    let mut numbers = [0; 3];
    for batch in 0..14 {
        let mut records = records.clone();
        for record in &mut records {
            let key =
                record["s3"]["object"]["key"].as_str().unwrap().replace("images%2F", &format!("images%2F{batch}-"));
            record["s3"]["object"]["key"] = json!(key);
        }
        let added = deliver(&app, &token, &json!({"Records": records})).await;
        numbers = [numbers[0] + added[0], numbers[1] + added[1], numbers[2] + added[2]];
    }
    assert!(numbers[0] >= 10_000 && numbers[2] > 0 && numbers[0] + numbers[2] == 14_000, "{numbers:?}");
    // The run finds the image of which there was no event.
    keys_until(&app, &["images/cat.jpg"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_that_cannot_be_indexed_does_not_stop_the_others() {
    let app = TestApp::start().await;
    let token = start_mirror(&app, json!({})).await;
    app.put("images/bad.png", b"no image".to_vec()).await;
    app.put("images/good.png", quarters_png(1)).await;
    notify(&app, &token, CREATED, "images/bad.png").await;
    notify(&app, &token, CREATED, "images/good.png").await;
    keys_until(&app, &["images/good.png"]).await;
    settled(&app).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn more_removals_than_a_run_may_do_stop_the_mirror() {
    let app = TestApp::start().await;
    let token = start_mirror(&app, json!({"max_delete_percent": 0})).await;
    app.put("images/cat.jpg", demo_image("cat.jpg")).await;
    notify(&app, &token, CREATED, "images/cat.jpg").await;
    keys_until(&app, &["images/cat.jpg"]).await;
    remove(&app, "images/cat.jpg").await;
    notify(&app, &token, REMOVED, "images/cat.jpg").await;
    let stopped = mirror_until(&app, |mirror| mirror.state == "stopped").await;
    assert!(stopped.reason.unwrap().contains("max_delete_percent = 0"));
    assert_eq!(keys(&app).await, ["images/cat.jpg"], "nothing was removed");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_sync_events_remove_nothing() {
    let app = TestApp::start().await;
    app.put("images/cat.jpg", demo_image("cat.jpg")).await;
    let token = start_mirror(&app, json!({"sync": false})).await;
    remove(&app, "images/cat.jpg").await;
    notify(&app, &token, REMOVED, "images/cat.jpg").await;
    settled(&app).await;
    assert_eq!(keys(&app).await, ["images/cat.jpg"]);
}
