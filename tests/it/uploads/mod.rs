//! Direct uploads: `PUT /objects/{key}` and `POST /objects`.

mod crash;
mod form;
mod refused;
mod running_job;

use glimpse::api::replies::ObjectReply;
use reqwest::{RequestBuilder, StatusCode};
use serde_json::{Value, json};

use crate::mirrors::{keys, keys_until};
use crate::support::{TestApp, demo_image, image_id};

/// A request that uploads bytes. `path` is the key as in a URL.
fn put(app: &TestApp, path: &str, bytes: impl Into<reqwest::Body>) -> RequestBuilder {
    app.client.put(format!("{}/objects/{path}", app.url)).query(&[("collection", "documents")]).body(bytes)
}

async fn send(request: RequestBuilder) -> (StatusCode, Value) {
    let reply = request.send().await.unwrap();
    (reply.status(), reply.json().await.unwrap())
}

/// Uploads an image that must be indexed before the reply. Returns the status and the reply.
async fn upload(app: &TestApp, path: &str, bytes: impl Into<reqwest::Body>) -> (StatusCode, ObjectReply) {
    let (status, reply) = send(put(app, path, bytes)).await;
    let object: ObjectReply = serde_json::from_value(reply.clone()).unwrap_or_else(|_| panic!("{status} {reply}"));
    (status, object)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_is_found_at_once_and_replaced_by_the_next() {
    let app = TestApp::start().await;
    let (status, created) = upload(&app, "images/cat.jpg", demo_image("cat.jpg")).await;
    assert_eq!(status, StatusCode::CREATED);
    assert!(created.indexed && !created.replaced && created.message.is_none(), "{created:?}");
    assert_eq!(created.s3_uri, "s3://pipeline/images/cat.jpg");
    assert_eq!((created.id, created.collection.as_str()), (image_id("images/cat.jpg"), "documents"));
    assert_eq!(app.find("a cat", 1).await, ["cat.jpg"]);
    let (_, image) = app.get(&format!("/images/{}?collection=documents", image_id("images/cat.jpg"))).await;
    assert_eq!(image["etag"], json!(created.etag));
    let original = app.client.get(format!("{}/images/{}/original", app.url, image_id("images/cat.jpg")));
    let original = original.query(&[("collection", "documents")]).send().await.unwrap();
    assert_eq!(original.headers()["content-type"], "image/jpeg");

    let (status, replaced) = upload(&app, "images/cat.jpg", demo_image("coffee.jpg")).await;
    assert_eq!(status, StatusCode::OK);
    assert!(replaced.indexed && replaced.replaced && replaced.etag != created.etag, "{replaced:?}");
    // The same bytes again: nothing is left to do.
    let (status, again) = upload(&app, "images/cat.jpg", demo_image("coffee.jpg")).await;
    assert_eq!((status, again.etag), (StatusCode::OK, replaced.etag));
    // The ledger agrees with the bucket: a job has nothing to read.
    let job = app.ingest().await;
    assert_eq!((job.counts.done, job.counts.unchanged), (0, 1), "{job:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn if_none_match_refuses_to_replace() {
    let app = TestApp::start().await;
    let new = |name: &str| put(&app, "images/a.jpg", demo_image(name)).header("if-none-match", "*");
    assert_eq!(send(new("cat.jpg")).await.0, StatusCode::CREATED);
    let (status, reply) = send(new("coffee.jpg")).await;
    assert_eq!((status, &reply["code"]), (StatusCode::PRECONDITION_FAILED, &json!("object_exists")), "{reply}");
    let (status, reply) = send(put(&app, "images/a.jpg", demo_image("cat.jpg")).header("if-none-match", "\"x\"")).await;
    assert_eq!(
        (status, &reply["code"]),
        (StatusCode::UNPROCESSABLE_ENTITY, &json!("invalid_if_none_match")),
        "{reply}"
    );
    // Of many at the same time, exactly one stores the object: the bucket decides, not the check before.
    let all = (0..6).map(|_| send(put(&app, "images/b.jpg", demo_image("cat.jpg")).header("if-none-match", "*")));
    let statuses: Vec<u16> = futures::future::join_all(all).await.iter().map(|(status, _)| status.as_u16()).collect();
    assert_eq!(statuses.iter().filter(|status| **status == 201).count(), 1, "{statuses:?}");
    assert_eq!(statuses.iter().filter(|status| **status == 412).count(), 5, "{statuses:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn if_match_replaces_only_the_expected_version() {
    let app = TestApp::start().await;
    let expecting =
        |etag: &str, name: &str| put(&app, "images/a.jpg", demo_image(name)).header("if-match", format!("\"{etag}\""));
    let (status, reply) = send(expecting("0123", "cat.jpg")).await;
    assert_eq!((status, &reply["code"]), (StatusCode::PRECONDITION_FAILED, &json!("other_version")), "{reply}");
    assert!(reply["message"].as_str().unwrap().contains("does not exist"), "{reply}");
    let (_, created) = upload(&app, "images/a.jpg", demo_image("cat.jpg")).await;
    let etag = created.etag.unwrap();
    // Of two changes of one version, only one is stored.
    let both = ["coffee.jpg", "panda.jpg"].map(|name| send(expecting(&etag, name)));
    let mut statuses: Vec<u16> =
        futures::future::join_all(both).await.iter().map(|(status, _)| status.as_u16()).collect();
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 412]);
    let (status, reply) = send(put(&app, "images/a.jpg", demo_image("cat.jpg")).header("if-match", "*")).await;
    assert_eq!((status, &reply["code"]), (StatusCode::UNPROCESSABLE_ENTITY, &json!("invalid_if_match")), "{reply}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_key_is_the_decoded_path() {
    let app = TestApp::start().await;
    let cases = [
        ("images/a b.jpg", "images/a%20b.jpg"),
        ("images/1+1.jpg", "images/1+1.jpg"),
        ("images/slash/x.jpg", "images%2Fslash%2Fx.jpg"),
        ("images/%2F.jpg", "images/%252F.jpg"),
        ("images/⛄.jpg", "images/%E2%9B%84.jpg"),
        ("images/a&b=c?.jpg", "images/a&b=c%3F.jpg"),
    ];
    for (key, path) in cases {
        let (status, reply) = send(put(&app, path, demo_image("cat.jpg"))).await;
        assert_eq!(
            (status, &reply["s3_uri"]),
            (StatusCode::CREATED, &json!(format!("s3://pipeline/{key}"))),
            "{reply}"
        );
    }
    let mut expected = cases.map(|(key, _)| key);
    expected.sort_unstable();
    assert_eq!(keys(&app).await, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn respond_async_answers_before_the_image_is_indexed() {
    let app = TestApp::start().await;
    let request = put(&app, "images/cat.jpg", demo_image("cat.jpg")).header("prefer", "respond-async");
    let reply = request.send().await.unwrap();
    assert_eq!(reply.status(), StatusCode::ACCEPTED);
    assert_eq!(reply.headers()["preference-applied"], "respond-async");
    let reply: ObjectReply = reply.json().await.unwrap();
    assert!(!reply.indexed && reply.etag.is_some(), "{reply:?}");
    keys_until(&app, &["images/cat.jpg"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn many_uploads_of_one_key_leave_the_index_as_the_bucket() {
    let app = TestApp::start().await;
    let names = ["cat.jpg", "coffee.jpg", "panda.jpg", "rocket.jpg"];
    let all = names.iter().map(|name| upload(&app, "images/x.jpg", demo_image(name)));
    let replies = futures::future::join_all(all).await;
    for (status, reply) in &replies {
        assert!(status.is_success() && reply.indexed, "{status} {reply:?}");
    }
    // Only the first of them has created the object.
    let mut statuses: Vec<u16> = replies.iter().map(|(status, _)| status.as_u16()).collect();
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 200, 200, 201]);
    let job = app.ingest().await;
    assert_eq!((job.counts.done, job.counts.unchanged), (0, 1), "{job:?}");
}
