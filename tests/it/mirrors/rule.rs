use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::Request;
use axum::http::Method;
use glimpse::app::Bucket;
use glimpse::config::Settings;

use crate::support::{locked, serve};

/// The rules of a bucket, as MinIO returns them.
const RULES: &str = "<NotificationConfiguration xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">\
    <QueueConfiguration><Id>other</Id><Queue>arn:minio:sqs::OTHER:webhook</Queue><Event>s3:ObjectCreated:Put</Event></QueueConfiguration>\
    <QueueConfiguration><Id>glimpse-m</Id><Queue>arn:minio:sqs::OLD:webhook</Queue><Event>s3:ObjectCreated:*</Event></QueueConfiguration>\
    <TopicConfiguration><Id>topic</Id><Topic>arn:aws:sns:r:1:t</Topic><Event>s3:ObjectRemoved:*</Event></TopicConfiguration>\
    </NotificationConfiguration>";

#[tokio::test(flavor = "multi_thread")]
async fn the_rule_of_a_mirror_is_added_to_the_others() {
    let written = Arc::new(Mutex::new(Vec::new()));
    let log = written.clone();
    let router = Router::new().fallback(move |request: Request| {
        let log = log.clone();
        async move {
            assert!(request.uri().query().unwrap_or_default().contains("notification"), "{}", request.uri());
            if request.method() == Method::PUT {
                let body = axum::body::to_bytes(request.into_body(), 65_536).await.unwrap();
                locked(&log).push(String::from_utf8(body.to_vec()).unwrap());
                return String::new();
            }
            RULES.to_owned()
        }
    });
    let (url, _server) = serve(router).await;
    let settings = Settings::from_variables([
        ("S3_ENDPOINT", url.as_str()),
        ("S3_ACCESS_KEY_ID", "a"),
        ("S3_SECRET_ACCESS_KEY", "b"),
    ]);
    let bucket = Bucket::open(&settings.unwrap()).await.unwrap();
    bucket.put_event_rule("photos", "m", "images/", "arn:minio:sqs::GLIMPSE:webhook").await.unwrap();
    bucket.put_event_rule("photos", "m", "", "arn:aws:sns:::ceph").await.unwrap();
    let written = locked(&written).clone();
    let [queue, topic] = &written[..] else { panic!("{written:?}") };
    for (kept, text) in [
        (queue, "arn:minio:sqs::OTHER:webhook"),
        (queue, "arn:aws:sns:r:1:t"),
        (queue, "arn:minio:sqs::GLIMPSE:webhook"),
    ] {
        assert!(kept.contains(text), "{text} in {kept}");
    }
    assert!(
        queue.contains("s3:ObjectRemoved:*") && queue.contains("<Value>images/</Value>") && !queue.contains("::OLD:"),
        "{queue}"
    );
    assert!(
        topic.contains("<Topic>arn:aws:sns:::ceph</Topic>") && topic.contains("::OTHER:") && !topic.contains("::OLD:"),
        "{topic}"
    );
}
