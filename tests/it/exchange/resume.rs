//! Imports that end early, and go on after the rows that are done. The service is one of the test, which counts the rows.

use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};

use axum::extract::DefaultBodyLimit;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Json, Router};
use glimpse::exchange::{FileHeader, ParquetWriter};
use serde_json::{Value, json};
use tokio::sync::Notify;
use tokio_util::task::AbortOnDropHandle;

use crate::cli::commands::{glimpse, stderr, stdout};
use crate::support::{locked, serve};

/// What the service does with a batch.
#[derive(Clone, Copy)]
enum Answer {
    Accept,
    Refuse,
    /// It never answers.
    Hang,
}

/// A service that accepts batches, and then does something else.
struct Service {
    url: String,
    batches: Arc<Mutex<Vec<Value>>>,
    hangs: Arc<Notify>,
    _serving: AbortOnDropHandle<()>,
}

impl Service {
    async fn start(answers: &'static [Answer]) -> Self {
        let (batches, hangs) = (Arc::<Mutex<Vec<Value>>>::default(), Arc::new(Notify::new()));
        let (received, hanging) = (batches.clone(), hangs.clone());
        let import = move |Json(batch): Json<Value>| async move {
            let (number, images) = {
                let mut received = locked(&received);
                received.push(batch.clone());
                (received.len() - 1, batch["images"].as_array().unwrap().len())
            };
            match answers.get(number).unwrap_or(&Answer::Accept) {
                Answer::Accept => {
                    Json(json!({"collection": "birds", "imported": images, "failures": []})).into_response()
                }
                Answer::Refuse => refusal(),
                Answer::Hang => {
                    hanging.notify_one();
                    std::future::pending().await
                }
            }
        };
        let routes = Router::new().route("/collections/birds/import", post(import));
        let (url, serving) = serve(routes.layer(DefaultBodyLimit::disable())).await;
        Self { url, batches, hangs, _serving: serving }
    }

    /// The URIs of the batches, and whether each is the last.
    fn received(&self) -> Vec<(String, usize, bool)> {
        let batches = locked(&self.batches);
        let describe = |batch: &Value| {
            let images = batch["images"].as_array().unwrap();
            let first = images.first().map_or("", |image| image["s3_uri"].as_str().unwrap());
            (first.to_owned(), images.len(), batch["last"] == true)
        };
        batches.iter().map(describe).collect()
    }
}

fn refusal() -> Response {
    let body = json!({"error": "Conflict", "message": "a job uses it", "code": "collection_busy", "request_id": "1"});
    (StatusCode::CONFLICT, Json(body)).into_response()
}

fn write(path: &Path, rows: std::ops::Range<usize>) {
    let header = FileHeader { dimension: 2, ..FileHeader::default() };
    let mut writer = ParquetWriter::create(path, &header).unwrap();
    for row in rows {
        writer.push("", &format!("s3://b/{row}.jpg"), &[1.0, 0.0], "").unwrap();
    }
    writer.finish().unwrap();
}

/// Two files of 400 and 200 rows; the row 300 has no valid URI. A batch has at most 250 rows of a file.
fn files(folder: &Path) -> [String; 2] {
    let [one, two] = ["one.parquet", "two.parquet"].map(|name| folder.join(name));
    let header = FileHeader { dimension: 2, ..FileHeader::default() };
    let mut writer = ParquetWriter::create(&one, &header).unwrap();
    for row in 0..400 {
        let uri = if row == 299 { "299.jpg".to_owned() } else { format!("s3://b/{row}.jpg") };
        writer.push("", &uri, &[1.0, 0.0], "").unwrap();
    }
    writer.finish().unwrap();
    write(&two, 400..600);
    [one, two].map(|path| path.to_str().unwrap().to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_import_goes_on_after_the_rows_that_are_done() {
    let folder = tempfile::tempdir().unwrap();
    let [one, two] = files(folder.path());
    let arguments = ["import", "birds", &one, &two, "--bucket", "b", "--model-matches"];
    let service = Service::start(&[Answer::Accept, Answer::Accept, Answer::Refuse]).await;
    let at = [("GLIMPSE_URL", service.url.as_str())];
    let ended = glimpse(&at, &arguments).await;
    let text = stderr(&ended);
    assert_eq!(ended.status.code(), Some(1), "{text}");
    assert!(text.contains("one.parquet: row 300: `299.jpg` does not have the form s3://bucket/key"), "{text}");
    assert!(text.contains("399 rows were imported;"), "{text}");
    assert!(text.contains("--skip 400 continues after row 400") && text.contains("a job uses it"), "{text}");
    let uri = |row: u32| format!("s3://b/{row}.jpg");
    let expected = [(uri(0), 250, false), (uri(250), 149, false), (uri(400), 200, true)];
    assert_eq!(service.received(), expected);

    let ended = glimpse(&at, &[&arguments[..], &["--skip", "400", "--json"]].concat()).await;
    assert_eq!(ended.status.code(), Some(0), "{}", stderr(&ended));
    let report: Value = serde_json::from_str(&stdout(&ended)).unwrap();
    assert_eq!(report, json!({"collection": "birds", "imported": 200, "failed": 0}));
    assert_eq!(service.received()[3..], [(uri(400), 200, true)]);
    // In the middle of a file.
    let ended = glimpse(&at, &[&arguments[..], &["--skip", "310"]].concat()).await;
    assert_eq!(ended.status.code(), Some(0), "{}", stderr(&ended));
    assert_eq!(service.received()[4..], [(uri(310), 90, false), (uri(400), 200, true)]);
    let ended = glimpse(&at, &[&arguments[..], &["--skip", "601"]].concat()).await;
    assert!(stderr(&ended).contains("--skip is 601, but the files have 600 rows"), "{}", stderr(&ended));
    // Nothing of a second file is lost if it has no row that can be imported.
    let ended = glimpse(&at, &["import", "birds", "-", "--bucket", "b"]).await;
    assert!(stderr(&ended).contains("standard input cannot be imported"), "{}", stderr(&ended));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_interrupted_import_prints_where_it_can_go_on() {
    let folder = tempfile::tempdir().unwrap();
    let [one, two] = files(folder.path());
    let service = Service::start(&[Answer::Accept, Answer::Hang]).await;
    let mut command = Command::new(env!("CARGO_BIN_EXE_glimpse"));
    command.args(["import", "birds", &one, &two, "--bucket", "b", "--model-matches"]);
    command.env("GLIMPSE_URL", &service.url).stdout(Stdio::piped()).stderr(Stdio::piped());
    let child = command.spawn().unwrap();
    service.hangs.notified().await;
    let id = child.id().to_string();
    assert!(Command::new("kill").args(["-INT", &id]).status().unwrap().success());
    let ended = tokio::task::spawn_blocking(move || child.wait_with_output().unwrap()).await.unwrap();
    let text = stderr(&ended);
    assert_eq!(ended.status.code(), Some(1), "{text}");
    assert!(text.contains("250 rows were imported;"), "{text}");
    assert!(text.contains("--skip 250 continues after row 250"), "{text}");
    assert!(text.contains("the import was interrupted"), "{text}");
}
