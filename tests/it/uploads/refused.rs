use reqwest::StatusCode;
use serde_json::json;

use super::{keys, keys_until, put, send};
use crate::support::scripted_bucket::{Reply, Script, ScriptedBucket};
use crate::support::services::cheap_clip::CheapClip;
use crate::support::{TestApp, demo_image, free_address};

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_indexed_is_refused_and_not_stored() {
    let app = TestApp::start_with(&[("THUMBNAIL_PREFIX", "thumbs/"), ("IMAGE_MAX_SIZE_MB", "1")]).await;
    let cat = || demo_image("cat.jpg");
    let cases: [(&str, Vec<u8>, u16, &str); 12] = [
        ("images/a.jpg", b"no image".to_vec(), 415, "unsupported_format"),
        ("images/a.jpg", Vec::new(), 415, "unsupported_format"),
        ("images/a.jpg", cat()[..3000].to_vec(), 422, "truncated"),
        ("images/a.jpg", [&cat()[..100], &[7; 5000]].concat(), 422, "truncated"),
        ("images/a.jpg", [cat(), vec![0; 1024 * 1024]].concat(), 413, "too_large"),
        ("images/a.txt", cat(), 422, "key_extension"),
        ("images/@eaDir/a.jpg", cat(), 422, "key_excluded"),
        ("thumbs/a.jpg", cat(), 422, "key_excluded"),
        ("images/folder/", cat(), 422, "invalid_key"),
        ("images/a%0A.jpg", cat(), 422, "invalid_key"),
        ("images/..%2Fa.jpg", cat(), 422, "invalid_key"),
        ("..%2Fa.jpg", cat(), 422, "invalid_key"),
    ];
    for (path, bytes, status, code) in cases {
        let (found, reply) = send(put(&app, path, bytes)).await;
        assert_eq!((found.as_u16(), &reply["code"]), (status, &json!(code)), "{path}: {reply}");
    }
    let (status, reply) = send(put(&app, "images/a.jpg", cat()).query(&[("bucket", "other")])).await;
    assert_eq!((status.as_u16(), &reply["code"]), (403, &json!("bucket_not_allowed")), "{reply}");
    let (status, reply) = send(put(&app, "images/a.jpg", cat()).header("origin", "https://evil.example")).await;
    assert_eq!((status.as_u16(), &reply["code"]), (403, &json!("cross_origin")), "{reply}");
    assert_eq!(app.bucket.first_key("pipeline").await.unwrap(), None, "nothing is stored");
    assert_eq!(keys(&app).await, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_setting_says_which_keys_are_allowed() {
    for (variables, path, code) in [
        (&[("GLIMPSE_UPLOADS", "off")][..], "images/a.jpg", Some("uploads_off")),
        (&[("GLIMPSE_PUBLIC_URL", "https://photos.example")], "images/a.jpg", Some("uploads_off")),
        (&[("GLIMPSE_UPLOADS", "images/, inbox/")], "other/a.jpg", Some("key_not_allowed")),
        (&[("GLIMPSE_UPLOADS", "images/, inbox/")], "inbox/a.jpg", None),
    ] {
        let app = TestApp::start_with(variables).await;
        let (status, reply) = send(put(&app, path, demo_image("cat.jpg"))).await;
        match code {
            None => assert_eq!(status, StatusCode::CREATED, "{reply}"),
            Some(code) => {
                assert_eq!((status, &reply["code"]), (StatusCode::FORBIDDEN, &json!(code)), "{variables:?}");
                assert!(reply["message"].as_str().unwrap().contains("GLIMPSE_UPLOADS"), "{reply}");
            }
        }
        let (_, status) = app.get("/status").await;
        assert_eq!(status["uploads"].as_array().unwrap().is_empty(), code == Some("uploads_off"), "{status}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bucket_that_is_read_only_or_down_is_named() {
    let script = Script::default().with_handler(|request| {
        (request.method == reqwest::Method::PUT).then(|| Reply::error(403, "AccessDenied", "Access Denied"))
    });
    let bucket = ScriptedBucket::start_with(script).await;
    let variables = bucket.variables();
    let mut variables: Vec<(&str, &str)> = variables.iter().map(|(name, value)| (*name, value.as_str())).collect();
    variables.push(("S3_CIRCUIT_BREAKER_THRESHOLD", "2"));
    let app = TestApp::start_with(&variables).await;
    let (status, reply) = send(put(&app, "images/a.jpg", demo_image("cat.jpg"))).await;
    assert_eq!((status.as_u16(), &reply["code"]), (403, &json!("bucket_read_only")), "{reply}");
    let message = reply["message"].as_str().unwrap();
    assert!(message.contains("s3:PutObject") && message.contains("GLIMPSE_UPLOADS=off"), "{message}");
    let handler = |_: &_| Some(Reply::error(404, "NoSuchBucket", "The specified bucket does not exist"));
    bucket.change(|script| *script = Script::default().with_handler(handler));
    let (status, reply) = send(put(&app, "images/a.jpg", demo_image("cat.jpg"))).await;
    assert_eq!((status.as_u16(), &reply["code"]), (502, &json!("bucket_unusable")), "{reply}");
    assert!(reply["message"].as_str().unwrap().contains("S3_BUCKET"), "{reply}");
    let handler = |_: &_| Some(Reply::error(500, "InternalError", "We encountered an internal error."));
    bucket.change(|script| *script = Script::default().with_handler(handler));
    for _ in 0..2 {
        let (status, reply) = send(put(&app, "images/a.jpg", demo_image("cat.jpg"))).await;
        assert_eq!((status.as_u16(), &reply["code"]), (502, &json!("dependency_failed")), "{reply}");
    }
    // The breaker is open now: the upload is refused without a request to the bucket.
    let reply = put(&app, "images/a.jpg", demo_image("cat.jpg")).send().await.unwrap();
    assert_eq!(reply.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert!(reply.headers().contains_key("retry-after"), "{:?}", reply.headers());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_is_stored_while_the_model_is_down_and_indexed_later() {
    let address = free_address();
    let url = format!("http://{address}");
    let app = TestApp::start_with(&[
        ("IMAGE_EMBEDDING_PROVIDER", "clip"),
        ("CLIP_URL", &url),
        ("CLIP_CIRCUIT_BREAKER_TIMEOUT", "1"),
    ])
    .await;
    let (status, reply) = send(put(&app, "images/cat.jpg", demo_image("cat.jpg"))).await;
    assert_eq!((status, &reply["indexed"]), (StatusCode::ACCEPTED, &json!(false)), "{reply}");
    let _clip = CheapClip::at(&address, std::time::Duration::ZERO).await;
    keys_until(&app, &["images/cat.jpg"]).await;
}
