//! `glimpse mirror` against a running service.

use serde_json::{Value, json};

use super::Cli;
use crate::support::{TestApp, demo_image};

#[tokio::test(flavor = "multi_thread")]
async fn a_mirror_is_added_listed_changed_and_removed() {
    let app = TestApp::start().await;
    let cli = Cli::new(&app);
    assert!(cli.run(0, &["mirror", "list"]).await.contains("no mirrors"));
    app.put("images/cat.jpg", demo_image("cat.jpg")).await;
    let add = ["mirror", "add", "photos", "--prefix", "images/", "--sync", "--schedule", "0 3 * * *"];
    let added = cli.run(0, &[&add[..], &["--timezone", "Europe/Berlin"]].concat()).await;
    let token = added.lines().find_map(|line| line.strip_prefix("event token ")).unwrap().to_owned();
    assert!(token.len() == 64 && added.contains("created"), "{added}");
    let larger = [&add[..], &["--max-delete-percent", "5"]].concat();
    assert!(cli.run(1, &larger).await.contains("the mirror `photos` exists; --replace"));
    assert!(cli.run(0, &[&larger[..], &["--replace"]].concat()).await.contains("replaced"));

    let listed = cli.run(0, &["mirror", "list"]).await;
    assert!(listed.contains("photos") && listed.contains("s3://pipeline/images/"), "{listed}");
    let shown = cli.run(0, &["mirror", "show", "photos"]).await;
    for expected in ["0 3 * * * (UTC)", "yes, at most 5 %", "active", "documents"] {
        assert!(shown.contains(expected), "{expected} in {shown}");
    }
    assert!(!shown.contains(&token), "{shown}");
    assert_eq!(cli.run(0, &["mirror", "pause", "photos"]).await.trim_end(), "mirror photos: paused");
    assert_eq!(cli.json(&["mirror", "resume", "photos"]).await["state"], "active");
    let run = loop {
        // The first run, which the service submits itself, may not have ended.
        let run: Value = app.post("/mirrors/photos/run", json!(null)).await.1;
        if let Some(id) = run["job_id"].as_str() {
            break id.to_owned();
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    };
    app.job_until(&run, glimpse::api::replies::JobReply::is_final).await;
    let again = cli.run(0, &["mirror", "run", "photos"]).await;
    assert!(again.contains("submitted") && again.contains("glimpse jobs show "), "{again}");
    assert_ne!(cli.run(0, &["mirror", "token", "photos"]).await.trim_end(), token);

    assert!(cli.run(0, &["mirror", "remove", "photos"]).await.contains("removed"));
    assert!(cli.run(1, &["mirror", "show", "photos"]).await.contains("the mirror `photos` does not exist"));
    assert!(cli.run(1, &["mirror", "add", "a.b"]).await.contains("not a name of a mirror"));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_configuration_of_each_server_is_printed_without_the_token() {
    let app = TestApp::start().await;
    let cli = Cli::new(&app);
    let added = cli.json(&["mirror", "add", "photos", "--prefix", "images/"]).await;
    let token = added["event_token"].as_str().unwrap().to_owned();
    let all = cli.run(0, &["mirror", "events", "photos"]).await;
    for expected in [
        &format!("MINIO_NOTIFY_WEBHOOK_ENDPOINT_GLIMPSE_PHOTOS={}/events/s3", app.url),
        "mc event add ALIAS/pipeline arn:minio:sqs::GLIMPSE_PHOTOS:webhook --event put,delete --prefix 'images/'",
        "RUSTFS_NOTIFY_WEBHOOK_AUTH_TOKEN_GLIMPSE_PHOTOS=EVENT_TOKEN",
        "--apply --target arn:rustfs:sqs:us-east-1:glimpse_photos:webhook",
        &format!("RUSTFS_OUTBOUND_ALLOW_ORIGINS={} ", app.url),
        "\"persistent\":\"true\"",
        "Bearer EVENT_TOKEN",
        "\"Action\":\"sqs:SendMessage\"",
        "\"aws:SourceArn\":\"arn:aws:s3:::pipeline\"",
        "GLIMPSE_SQS_URL=https://sqs.REGION.amazonaws.com/ACCOUNT/QUEUE",
        &format!(
            "aws sns subscribe --topic-arn TOPIC_ARN --protocol https --notification-endpoint {}/events/s3",
            app.url
        ),
        "glimpse mirror events photos --apply --target QUEUE_ARN",
        "\"detail\":{\"bucket\":{\"name\":[\"pipeline\"]},\"object\":{\"key\":[{\"prefix\":\"images/\"}]}}",
    ] {
        assert!(all.contains(expected), "{expected} in {all}");
    }
    assert!(!all.contains(&token), "{all}");
    let one = cli.run(0, &["mirror", "events", "photos", "--server", "ceph"]).await;
    assert!(one.contains("Ceph") && !one.contains("MinIO") && !one.contains("AWS"), "{one}");
    assert!(cli.run(2, &["mirror", "events", "photos", "--apply"]).await.contains("--target"));
    let topic = "arn:aws:sns:eu-west-1:123456789012:images";
    cli.run(0, &["mirror", "add", "photos", "--prefix", "images/", "--replace", "--sns-topic-arn", topic]).await;
    assert!(cli.run(0, &["mirror", "show", "photos"]).await.contains(topic));
    let one = cli.run(0, &["mirror", "events", "photos", "--server", "aws"]).await;
    assert!(one.contains(&format!("--apply --target {topic}")) && !one.contains("TOPIC_ARN"), "{one}");
    assert!(
        cli.run(1, &["mirror", "add", "photos", "--replace", "--sns-topic-arn", "images"])
            .await
            .contains("sns_topic_arn")
    );
}
