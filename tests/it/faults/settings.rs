//! Settings that are misspelt, contradictory or not UTF-8.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Output};

use serde_json::json;

use crate::cli::commands::{RunningCommand, glimpse};
use crate::support::TestApp;

fn text(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

#[tokio::test(flavor = "multi_thread")]
async fn variables_and_folders_that_are_not_utf_8_do_not_stop_a_command() {
    let folder = tempfile::tempdir().unwrap();
    let not_utf8 = folder.path().join(OsStr::from_bytes(b"m\xfcll"));
    std::fs::create_dir(&not_utf8).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_glimpse"));
    command
        .args(["jobs", "list"])
        .current_dir(&not_utf8)
        .env("PWD", &not_utf8)
        .env("LS_COLORS", OsStr::from_bytes(b"\xff"));
    command.env(OsStr::from_bytes(b"ODD\xff"), "1").env("GLIMPSE_URL", "http://127.0.0.1:9");
    let output = command.output().unwrap();
    assert!(text(&output).contains("no service answers at http://127.0.0.1:9"), "{}", text(&output));

    let mut command = Command::new(env!("CARGO_BIN_EXE_glimpse"));
    let output = command.args(["jobs", "list"]).env("S3_BUCKET", OsStr::from_bytes(b"\xff")).output().unwrap();
    assert!(text(&output).contains("S3_BUCKET is not UTF-8"), "a setting is named: {}", text(&output));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_misspelt_setting_is_a_warning_with_the_nearest_name() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().to_str().unwrap();
    let output = glimpse(&[("GLIMPSE_DATA_DIR", data), ("GLIMPSE_APIKEY", "hush")], &["doctor"]).await;
    let reply_text = text(&output);
    assert!(
        reply_text.contains("GLIMPSE_APIKEY is not a setting and has no effect; did you mean GLIMPSE_API_KEY?"),
        "{reply_text}"
    );
    assert!(!reply_text.contains("hush"));
    let in_use = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = in_use.local_addr().unwrap().to_string();
    let variables = [("GLIMPSE_ADDR", addr.as_str()), ("S3_BUKCET", "x"), ("GLIMPSE_DATA_DIR", data)];
    let reply_text = text(&glimpse(&variables, &["serve"]).await);
    assert!(
        reply_text.contains("WARN") && reply_text.contains("S3_BUKCET") && reply_text.contains("S3_BUCKET?"),
        "{reply_text}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_default_bucket_is_always_allowed() {
    let app = TestApp::start_with(&[("S3_ALLOWED_BUCKETS", "archive")]).await;
    app.seed_demo().await;
    let job = app.ingest_with(json!({"s3_prefix": "images/c"})).await;
    assert!(job.status == "SUCCEEDED" && job.counts.done > 0, "{job:?}");
    let (status, _) = app.post("/jobs/images", json!({"s3_bucket": "other"})).await;
    assert_eq!(status, 403);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_demo_writes_only_to_its_own_stores() {
    for (name, value) in
        [("S3_ENDPOINT", "http://127.0.0.1:9"), ("S3_ENDPOINT", "aws"), ("VECTOR_DB_PROVIDER", "qdrant")]
    {
        let output = glimpse(&[(name, value)], &["demo", "--once"]).await;
        let reply_text = text(&output);
        assert!(
            output.status.code() == Some(1) && reply_text.contains(name) && reply_text.contains("embedded"),
            "{reply_text}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn verify_examines_the_default_collection_of_the_service() {
    let app = TestApp::start().await;
    app.seed_demo().await;
    app.ingest_with(json!({"s3_prefix": "images/c"})).await;
    let output = glimpse(&[("GLIMPSE_URL", &app.url), ("VECTOR_DB_COLLECTION", "birds")], &["verify"]).await;
    assert!(output.status.code() == Some(0) && text(&output).contains("documents: "), "{}", text(&output));
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_misspelt_query_parameter_is_refused_on_every_route() {
    let app = TestApp::start().await;
    let id = "01a220de-b067-7345-84e2-327482adfc2c";
    for (path, name, nearest) in [
        ("/search/images?q=a&formatt=png".to_owned(), "formatt", "`format`"),
        ("/search/images?q=a&min_widht=9".to_owned(), "min_widht", "`min_width`"),
        ("/search/images?q=a&metaplace=x".to_owned(), "metaplace", "of this route are"),
        ("/jobs?status=FAILED".to_owned(), "status", "of this route are"),
        (format!("/jobs/{id}/logs?ofset=1"), "ofset", "`offset`"),
        (format!("/jobs/{id}/failures?Limit=1"), "Limit", "`limit`"),
        (format!("/images/{id}?colection=x"), "colection", "`collection`"),
        (format!("/images/{id}/original?collections=x"), "collections", "`collection`"),
        ("/status?verbose".to_owned(), "verbose", "has no query parameters"),
        ("/collections?limit=1".to_owned(), "limit", ""),
    ] {
        let (status, body) = app.get(&path).await;
        let message = body["message"].as_str().unwrap();
        assert_eq!((status.as_u16(), &body["code"]), (422, &json!("unknown_parameter")), "{path}: {message}");
        assert!(message.contains(&format!("`{name}`")) && message.contains(nearest), "{path}: {message}");
    }
    let (status, body) = app.delete("/collections/x?force=true").await;
    assert_eq!((status.as_u16(), &body["code"]), (422, &json!("unknown_parameter")));
    let long = "x".repeat(10_000);
    let (_, body) = app.get(&format!("/jobs?{long}=1")).await;
    assert!(body["message"].as_str().unwrap().len() < 400, "a name from outside is bounded");
    let (status, _) = app.get("/search/images?q=a&meta.place=Zurich,+CH&meta.anything=1").await;
    assert_ne!(status, 422, "any metadata key is known");
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_that_is_not_safe_does_not_start() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().to_str().unwrap();
    for (name, value, expected) in [
        (
            "GLIMPSE_API_KEY",
            "a-long-enough-key,short-hush",
            "key 2 of GLIMPSE_API_KEY has 10 characters; it must have at least 16",
        ),
        (
            "GLIMPSE_PUBLIC_URL",
            "https://photos.example/jobs",
            "GLIMPSE_PUBLIC_URL is `/jobs`, with which the route `/jobs",
        ),
    ] {
        for command in ["serve", "doctor"] {
            let output =
                glimpse(&[("GLIMPSE_DATA_DIR", data), ("GLIMPSE_ADDR", "127.0.0.1:0"), (name, value)], &[command])
                    .await;
            let shown = text(&output);
            assert!(output.status.code() == Some(1) && shown.contains(expected), "{command}: {shown}");
            assert!(!shown.contains("short-hush"), "{shown}");
        }
    }
}

#[test]
fn only_its_user_can_read_the_data_of_a_service() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("new/data");
    let variables = [
        ("GLIMPSE_DATA_DIR", data.to_str().unwrap()),
        ("GLIMPSE_ADDR", "127.0.0.1:0"),
        ("GLIMPSE_S3_ADDR", "127.0.0.1:0"),
    ];
    let service = RunningCommand::start(&variables, &["serve"], "service ");
    let mode = |name: &str| {
        data.join(name).metadata().unwrap_or_else(|error| panic!("{name}: {error}")).permissions().mode() & 0o777
    };
    for name in ["", "index", "s3", "s3/objects", "thumbnails"] {
        assert_eq!(mode(name), 0o700, "{name}");
    }
    let databases =
        ["ledger.sqlite", "ledger.sqlite-wal", "ledger.sqlite-shm", "index/index.sqlite", "s3/credentials.json"];
    for name in databases {
        assert_eq!(mode(name), 0o600, "{name}");
    }
    assert_eq!(service.stop(), Some(0));
    // What exists is left alone.
    std::fs::set_permissions(&data, std::fs::Permissions::from_mode(0o750)).unwrap();
    assert_eq!(RunningCommand::start(&variables, &["serve"], "service ").stop(), Some(0));
    assert_eq!(mode(""), 0o750);
}
