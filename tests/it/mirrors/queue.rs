use std::time::{Duration, Instant};

use axum::http::StatusCode;
use glimpse::app::Doctor;
use glimpse::config::Settings;
use serde_json::{Value, json};

use super::{encode_form, keys, keys_until, minio, mirror_until, start_mirror};
use crate::support::services::sqs::SqsServer;
use crate::support::{TestApp, demo_image, quarters_png};

const CREATED: &str = "ObjectCreated:Put";

/// A service that takes events from the queue. The key of its bucket is valid for the queue.
async fn start(queue: &SqsServer) -> TestApp {
    TestApp::start_with(&[
        ("GLIMPSE_SQS_URL", &queue.url()),
        ("S3_ACCESS_KEY_ID", "AKID"),
        ("S3_SECRET_ACCESS_KEY", "hush"),
    ])
    .await
}

/// A record of AWS: `key` is encoded as forms are.
fn record(bucket: &str, name: &str, key: &str) -> Value {
    json!({"Records": [{"eventVersion": "2.1", "eventSource": "aws:s3", "awsRegion": "us-east-1", "eventName": name,
        "s3": {"s3SchemaVersion": "1.0", "bucket": {"name": bucket}, "object": {"key": encode_form(key), "size": 5}}}]})
}

fn in_envelope(message: &Value) -> Value {
    json!({"Type": "Notification", "MessageId": "i", "TopicArn": "arn:aws:sns:us-east-1:123456789012:images",
        "Subject": "Amazon S3 Notification", "Message": message.to_string(), "Timestamp": "2026-01-01T00:00:00.000Z",
        "SignatureVersion": "1", "Signature": "x", "SigningCertURL": "x", "UnsubscribeURL": "x"})
}

fn bridge(kind: &str, key: &str) -> Value {
    json!({"version": "0", "source": "aws.s3", "detail-type": kind,
        "detail": {"bucket": {"name": "pipeline"}, "object": {"key": key}}})
}

async fn metric(app: &TestApp, series: &str) -> f64 {
    let text = app.client.get(format!("{}/metrics", app.url)).send().await.unwrap().text().await.unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix(series)).unwrap_or_else(|| panic!("{series} in {text}"));
    line.trim().parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_of_every_form_reach_the_mirror_and_are_deleted() {
    let queue = SqsServer::start().await;
    let app = start(&queue).await;
    start_mirror(&app, json!({})).await;
    let all =
        ["images/a b.png", "images/1+1.png", "images/%2B.png", "images/⛄.png", "images/../x.png", "images/a&b=c.png"];
    for (seed, key) in (0..).zip(all) {
        app.put(key, quarters_png(seed)).await;
    }
    queue.send(&record("pipeline", CREATED, all[0]));
    queue.send(&in_envelope(&record("pipeline", CREATED, all[1])));
    queue.send(&bridge("Object Created", all[2]));
    queue.send(&in_envelope(&bridge("Object Created", all[3])));
    queue.send(&minio("pipeline", "s3:ObjectCreated:Put", all[4]));
    // Repeated, and in the wrong order.
    queue.send(&record("pipeline", "ObjectRemoved:Delete", all[5]));
    queue.send(&record("pipeline", CREATED, all[5]));
    queue.send(&record("pipeline", CREATED, all[5]));
    let mut expected = all;
    expected.sort_unstable();
    keys_until(&app, &expected).await;
    queue.until_empty().await;
    assert_eq!(queue.deleted().len(), 8);
    let (operation, receive) = &queue.requests()[0];
    assert_eq!(operation, "ReceiveMessage");
    assert_eq!(receive, &json!({"QueueUrl": queue.url(), "MaxNumberOfMessages": 10, "WaitTimeSeconds": 20}));
    let requests = queue.requests();
    let (_, delete) = requests.iter().find(|(operation, _)| operation == "DeleteMessageBatch").unwrap();
    let entry = &delete["Entries"][0];
    assert!(delete["QueueUrl"] == queue.url() && entry["Id"] == "0" && entry["ReceiptHandle"].is_string(), "{delete}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_no_mirror_wants_is_deleted_and_what_cannot_be_read_is_left() {
    let queue = SqsServer::start().await;
    let app = start(&queue).await;
    start_mirror(&app, json!({})).await;
    let unwanted = [
        json!({"Service": "Amazon S3", "Event": "s3:TestEvent", "Time": "t", "Bucket": "pipeline"}),
        record("elsewhere", CREATED, "images/a.png"),
        record("pipeline", CREATED, "other/a.png"),
        record("pipeline", CREATED, "images/notes.txt"),
        record("pipeline", "ObjectAccessed:Get", "images/a.png"),
        in_envelope(&json!("only a text")),
        json!({"hello": "world"}),
    ];
    for body in &unwanted {
        queue.send(body);
    }
    for body in ["no JSON", "[]", ""] {
        queue.send(body);
    }
    // They come back, and do not keep the others from being processed.
    queue.until_left(3, 2).await;
    app.put("images/cat.jpg", demo_image("cat.jpg")).await;
    queue.send(&record("pipeline", CREATED, "images/cat.jpg"));
    keys_until(&app, &["images/cat.jpg"]).await;
    queue.until_left(3, 2).await;
    assert_eq!(queue.deleted().len(), unwanted.len() + 1);
    for (content, least) in [("unreadable", 6.0), ("test", 1.0), ("sns", 1.0), ("s3", 5.0), ("other", 1.0)] {
        let count = metric(&app, &format!("glimpse_queue_messages_received_total{{content=\"{content}\"}}")).await;
        assert!(count >= least, "{content}: {count}");
    }
    assert!(metric(&app, "glimpse_queue_messages_deleted_total").await >= 8.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_reaches_each_mirror_that_it_is_about() {
    let queue = SqsServer::start().await;
    let app = start(&queue).await;
    start_mirror(&app, json!({})).await;
    let other = json!({"s3_prefix": "", "collection": "others"});
    let put = app.client.put(format!("{}/mirrors/others", app.url)).json(&other).send().await.unwrap();
    assert_eq!(put.status(), StatusCode::CREATED);
    app.post("/mirrors/others/pause", json!(null)).await;
    app.put("images/cat.jpg", demo_image("cat.jpg")).await;
    queue.send(&record("pipeline", CREATED, "images/cat.jpg"));
    keys_until(&app, &["images/cat.jpg"]).await;
    queue.until_empty().await;
    let paused = app.get("/mirrors/others").await.1;
    assert_eq!((&paused["run_soon"], &paused["waiting_keys"]), (&json!(true), &json!(0)), "{paused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_is_not_deleted_is_taken_again() {
    let queue = SqsServer::start().await;
    let app = start(&queue).await;
    start_mirror(&app, json!({})).await;
    app.put("images/cat.jpg", demo_image("cat.jpg")).await;
    queue.fail_deletes(3);
    for _ in 0..25 {
        queue.send(&record("pipeline", CREATED, "images/cat.jpg"));
    }
    queue.until_empty().await;
    keys_until(&app, &["images/cat.jpg"]).await;
    assert_eq!(queue.deleted().len(), 25);
    assert!(metric(&app, "glimpse_queue_failures_total{operation=\"delete\"}").await >= 3.0);
    let settled = mirror_until(&app, |mirror| mirror.waiting_keys == 0).await;
    assert!(settled.events_per_minute >= 28, "three messages came twice: {settled:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_and_webhooks_wait_while_the_ledger_refuses() {
    let queue = SqsServer::start().await;
    let app = start(&queue).await;
    let token = start_mirror(&app, json!({})).await;
    let ledger = rusqlite::Connection::open(app.data().join("ledger.sqlite")).unwrap();
    ledger.busy_timeout(Duration::from_secs(10)).unwrap();
    ledger
        .execute_batch("CREATE TRIGGER refuse BEFORE INSERT ON events BEGIN SELECT RAISE(ABORT, 'on purpose'); END")
        .unwrap();
    app.put("images/cat.jpg", demo_image("cat.jpg")).await;
    queue.send(&record("pipeline", CREATED, "images/cat.jpg"));
    queue.until_left(1, 2).await;
    let event = minio("pipeline", "s3:ObjectCreated:Put", "images/cat.jpg");
    let refused =
        app.client.post(format!("{}/events/s3", app.url)).bearer_auth(&token).json(&event).send().await.unwrap();
    assert_eq!(refused.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!((queue.deleted(), keys(&app).await), (Vec::<String>::new(), Vec::<String>::new()));
    ledger.execute_batch("DROP TRIGGER refuse").unwrap();
    keys_until(&app, &["images/cat.jpg"]).await;
    queue.until_empty().await;
    assert!(metric(&app, "glimpse_queue_failures_total{operation=\"record\"}").await >= 2.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_queue_is_read_again_after_errors_and_after_a_restart() {
    let queue = SqsServer::start().await;
    queue.fail(&[
        (StatusCode::INTERNAL_SERVER_ERROR, "InternalFailure"),
        (StatusCode::FORBIDDEN, "AccessDeniedException"),
    ]);
    let app = start(&queue).await;
    start_mirror(&app, json!({})).await;
    app.put("images/a.png", quarters_png(1)).await;
    queue.send(&record("pipeline", CREATED, "images/a.png"));
    keys_until(&app, &["images/a.png"]).await;
    queue.until_empty().await;
    let (status, _) = app.get("/readyz").await;
    assert_eq!(status, StatusCode::OK);
    // The service does not wait for the call that waits for messages.
    let begun = Instant::now();
    let stopped = app.stop_for_restart().await;
    assert!(begun.elapsed() < Duration::from_secs(15), "{:?}", begun.elapsed());
    queue.send(&record("pipeline", CREATED, "images/b.png"));
    let app = stopped.start().await;
    app.put("images/b.png", quarters_png(2)).await;
    queue.send(&record("pipeline", CREATED, "images/b.png"));
    keys_until(&app, &["images/a.png", "images/b.png"]).await;
    queue.until_empty().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_burst_is_received_by_several_calls_at_the_same_time() {
    let queue = SqsServer::start().await;
    let app = start(&queue).await;
    start_mirror(&app, json!({})).await;
    app.put("images/cat.jpg", demo_image("cat.jpg")).await;
    for _ in 0..500 {
        queue.send(&record("pipeline", CREATED, "images/cat.jpg"));
    }
    queue.until_empty().await;
    assert_eq!(queue.deleted().len(), 500);
    let no_wait = |(operation, body): &(String, Value)| operation == "ReceiveMessage" && body["WaitTimeSeconds"] == 0;
    assert!(queue.requests().iter().filter(|request| no_wait(request)).count() >= 8);
    // Then one call waits.
    tokio::time::sleep(Duration::from_millis(500)).await;
    let receives = || queue.requests().iter().filter(|(operation, _)| operation == "ReceiveMessage").count();
    let before = receives();
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(receives(), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_doctor_checks_the_queue_and_receives_nothing() {
    let queue = SqsServer::start().await;
    queue.send("one");
    let settings = |url: &str| {
        let key = [("S3_ACCESS_KEY_ID", "AKID"), ("S3_SECRET_ACCESS_KEY", "hush")];
        Settings::from_variables([&[("GLIMPSE_SQS_URL", url)][..], &key].concat()).unwrap()
    };
    let found = Doctor::new(settings(&queue.url())).queue().await.unwrap();
    assert_eq!(found.outcome.unwrap(), format!("1 messages wait in {} (GLIMPSE_SQS_URL)", queue.url()));
    let missing = Doctor::new(settings(&format!("{}/000000000000/other", queue.address))).queue().await.unwrap();
    assert!(missing.outcome.unwrap_err().problem.contains("does not exist"));
    let down = Doctor::new(settings("http://127.0.0.1:1/1/q")).queue().await.unwrap().outcome.unwrap_err();
    assert!(down.advice.contains("reaches the queue") && !down.problem.contains("DispatchFailure"), "{down:?}");
    assert!(Doctor::new(Settings::default()).queue().await.is_none());
    assert_eq!(queue.receives(), [0]);
}
