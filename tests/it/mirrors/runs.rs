use reqwest::{Method, StatusCode};
use serde_json::json;

use super::{finished_run, keys, mirror, mirror_until, put_mirror, start_mirror};
use crate::jobs::mirror::remove;
use crate::support::{TestApp, demo_image};

#[tokio::test(flavor = "multi_thread")]
async fn a_mirror_is_created_replaced_listed_and_removed() {
    let app = TestApp::start().await;
    app.put("images/cat.jpg", demo_image("cat.jpg")).await;
    assert_eq!(app.get("/mirrors").await.1["mirrors"], json!([]));
    let (status, created) = put_mirror(&app, json!({"schedule": "0 3 * * *", "timezone": "Europe/Berlin"})).await;
    assert_eq!(status, StatusCode::CREATED);
    assert_eq!(created["event_token"].as_str().unwrap().len(), 64);
    assert_eq!(
        (&created["state"], &created["timezone"], &created["events"]),
        (&json!("active"), &json!("Europe/Berlin"), &json!(true))
    );
    let first = finished_run(&app).await;
    assert_eq!((first.status.as_str(), first.counts.done, first.mirror.as_deref()), ("SUCCEEDED", 1, Some("m")));

    let (status, replaced) = put_mirror(&app, json!({"max_delete_percent": 20})).await;
    assert_eq!((status, replaced.get("event_token")), (StatusCode::OK, None), "the token is returned once");
    assert_eq!(
        (&replaced["next_run"], &replaced["max_delete_percent"], &replaced["run_soon"]),
        (&json!(null), &json!(20), &json!(false))
    );
    assert_eq!(app.get("/mirrors").await.1["mirrors"].as_array().unwrap().len(), 1);
    let (_, replaced) = put_mirror(&app, json!({"s3_prefix": "other/"})).await;
    assert!(replaced["run_soon"] == json!(true) || replaced["last_run"]["job_id"] != json!(first.job_id), "{replaced}");

    assert_eq!(app.delete("/mirrors/m").await.1, json!({"name": "m", "status": "removed"}));
    for (method, path) in
        [(Method::GET, "/mirrors/m"), (Method::DELETE, "/mirrors/m"), (Method::POST, "/mirrors/m/run")]
    {
        assert_eq!(app.send(method, path, None).await.status(), StatusCode::NOT_FOUND, "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mirror_keeps_its_state_over_a_restart() {
    let app = TestApp::start().await;
    start_mirror(&app, json!({"schedule": "@hourly"})).await;
    let before = mirror(&app).await;
    assert_eq!(app.post("/mirrors/m/pause", json!(null)).await.1["state"], "paused");
    let app = app.restart().await;
    let after = mirror(&app).await;
    assert_eq!((after.state.as_str(), &after.next_run, &after.created_at), ("paused", &None, &before.created_at));
    let (_, resumed) = app.post("/mirrors/m/resume", json!(null)).await;
    assert_eq!((&resumed["state"], &resumed["next_run"]), (&json!("active"), &json!(before.next_run)));
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_fields_are_refused_with_their_names() {
    let app = TestApp::start().await;
    for (fields, status, code) in [
        (json!({"schedule": "* * * *"}), 422, "invalid_schedule"),
        (json!({"schedule": "0 0 30 2 *"}), 422, "invalid_schedule"),
        (json!({"schedule": "0 0 * * *", "timezone": "Mars"}), 422, "invalid_timezone"),
        (json!({"collection": "1"}), 422, "invalid_collection"),
        (json!({"s3_bucket": "other"}), 403, "bucket_not_allowed"),
        (json!({"metadata_key": "a.txt"}), 422, "invalid_metadata_key"),
        (json!({"max_delete_percent": 101}), 422, "invalid_max_delete_percent"),
        (json!({"sync": false, "max_delete_percent": 5}), 422, "invalid_max_delete_percent"),
        (json!({"exclude": ["["]}), 422, "invalid_exclude"),
        (json!({"executor": "moon"}), 422, "invalid_executor"),
        (json!({"colection": "x"}), 422, "invalid_body"),
    ] {
        let (got, reply) = put_mirror(&app, fields.clone()).await;
        assert_eq!((got.as_u16(), reply["code"].as_str()), (status, Some(code)), "{fields}: {reply}");
    }
    let long = format!("/mirrors/{}", "x".repeat(65));
    for path in ["/mirrors/-m", "/mirrors/a.b", &long] {
        let reply = app.send(Method::PUT, path, Some(json!({}))).await;
        assert_eq!(reply.status(), StatusCode::UNPROCESSABLE_ENTITY, "{path}");
    }
    assert_eq!(app.get("/mirrors").await.1["mirrors"], json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_number_of_mirrors_is_limited() {
    let app = TestApp::start().await;
    let body = json!({"s3_prefix": "nothing/", "collection": "documents"});
    for number in 0..100 {
        let reply = app.send(Method::PUT, &format!("/mirrors/m{number}"), Some(body.clone())).await;
        assert_eq!(reply.status(), StatusCode::CREATED);
    }
    let reply = app.send(Method::PUT, "/mirrors/one-more", Some(body.clone())).await;
    assert_eq!(reply.status(), StatusCode::CONFLICT);
    assert_eq!(
        app.send(Method::PUT, "/mirrors/m7", Some(body)).await.status(),
        StatusCode::OK,
        "one that exists is replaced"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_would_remove_too_much_stops_the_mirror() {
    let app = TestApp::start().await;
    for name in ["cat.jpg", "coffee.jpg"] {
        app.put(&format!("images/{name}"), demo_image(name)).await;
    }
    start_mirror(&app, json!({})).await;
    remove(&app, "images/cat.jpg").await;
    assert_eq!(app.post("/mirrors/m/run", json!(null)).await.0, StatusCode::ACCEPTED);
    let stopped = mirror_until(&app, |mirror| mirror.state == "stopped").await;
    let reason = stopped.reason.unwrap();
    assert!(reason.contains("1 of the 2 objects") && reason.contains("max_delete_percent"), "{reason}");
    assert_eq!(finished_run(&app).await.status, "FAILED");
    assert_eq!(keys(&app).await.len(), 2, "nothing was removed");
    // A larger limit, and a decision of the client.
    let (_, replaced) = put_mirror(&app, json!({"max_delete_percent": 50})).await;
    assert_eq!(replaced["state"], "stopped");
    let (_, resumed) = app.post("/mirrors/m/resume", json!(null)).await;
    assert_eq!((&resumed["state"], &resumed["reason"]), (&json!("active"), &json!(null)));
    assert_eq!(app.post("/mirrors/m/run", json!(null)).await.0, StatusCode::ACCEPTED);
    assert_eq!(finished_run(&app).await.counts.deleted, 1);
    assert_eq!(keys(&app).await, ["images/coffee.jpg"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mirror_has_one_run_at_a_time() {
    let app = TestApp::start_with(&[("IMAGE_EMBEDDING_PROVIDER", "clip"), ("CLIP_URL", "http://127.0.0.1:9")]).await;
    app.put("images/cat.jpg", demo_image("cat.jpg")).await;
    assert_eq!(put_mirror(&app, json!({})).await.0, StatusCode::CREATED);
    // The run waits for the provider, which is not there.
    let waiting = mirror_until(&app, |mirror| mirror.last_run.is_some()).await;
    let (status, refused) = app.post("/mirrors/m/run", json!(null)).await;
    assert_eq!((status, &refused["code"]), (StatusCode::CONFLICT, &json!("mirror_running")));
    assert!(refused["message"].as_str().unwrap().contains(&waiting.last_run.unwrap().job_id), "{refused}");
}
