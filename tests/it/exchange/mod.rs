//! Collections as files: export, import, and what clip-retrieval writes. The adoption of a store's collection.

mod adopt;
mod clip_retrieval;
mod refused;
mod resume;

use std::path::Path;
use std::process::Command;

use glimpse::exchange::{FileImage, ParquetImages};
use serde_json::{Value, json};

use crate::cli::commands::{glimpse, stderr, stdout};
use crate::support::environment::{find_program, skip};
use crate::support::{TestApp, demo_image};

const NAMES: [&str; 4] = ["cat.jpg", "coffee.jpg", "panda.jpg", "rocket.jpg"];

/// A service with four images and metadata of one of them.
async fn start_with_images() -> TestApp {
    let app = TestApp::start().await;
    put_images(&app).await;
    app
}

async fn put_images(app: &TestApp) {
    for name in NAMES {
        app.put(&format!("images/{name}"), demo_image(name)).await;
    }
}

/// Runs a command against a service.
async fn run(app: &TestApp, arguments: &[&str]) -> (Option<i32>, String, String) {
    let output = glimpse(&[("GLIMPSE_URL", app.url.as_str())], arguments).await;
    (output.status.code(), stdout(&output), stderr(&output))
}

async fn export(app: &TestApp, file: &Path) {
    let (code, out, err) = run(app, &["export", "documents", file.to_str().unwrap(), "--overwrite"]).await;
    assert_eq!(code, Some(0), "{out}{err}");
}

fn images(file: &Path) -> Vec<FileImage> {
    let mut images: Vec<FileImage> = ParquetImages::open(file).unwrap().map(Result::unwrap).collect();
    images.sort_by(|one, other| one.uri.cmp(&other.uri));
    images
}

async fn agrees(app: &TestApp) {
    let (_, report) = app.post("/collections/documents/verify", json!({})).await;
    assert!(report["total"] == 0 && report["agrees"] == true, "{report}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_export_is_imported_into_another_service_without_the_model() {
    let from = start_with_images().await;
    from.put("images/facts.csv", "s3_key,taxon\nimages/cat.jpg,Felis catus\n").await;
    let job = from.ingest_with(json!({"s3_prefix": "images/", "metadata_key": "images/facts.csv"})).await;
    assert_eq!(job.counts.done, 4);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("documents.parquet");
    let path = file.to_str().unwrap();
    export(&from, &file).await;
    let (code, _, err) = run(&from, &["export", "documents", path]).await;
    assert!(code == Some(1) && err.contains("add --overwrite"), "{err}");
    let printed = glimpse(&[("GLIMPSE_URL", from.url.as_str())], &["export", "documents", "-", "--json"]).await;
    assert_eq!(printed.status.code(), Some(0), "{}", stderr(&printed));
    let report: Value = serde_json::from_str(&stderr(&printed)).unwrap();
    assert_eq!((&report["images"], &report["file"]), (&json!(4), &json!("-")));
    assert!(printed.stdout == std::fs::read(&file).unwrap(), "standard output gets the bytes of the file");
    assert!(!std::env::temp_dir().join("-").exists(), "commands run in this folder");
    let opened = ParquetImages::open(&file).unwrap();
    let header = opened.header().clone();
    assert_eq!((header.collection.as_deref(), header.generation, header.dimension), (Some("documents"), Some(1), 512));
    assert!(header.model.unwrap().contains("glimpse-mini-1") && header.space.is_some());
    let exported = images(&file);
    assert_eq!(exported.len(), 4);
    let payload: Value = serde_json::from_str(exported[0].payload.as_ref().unwrap().get()).unwrap();
    assert!(payload["s3_key"] == "images/cat.jpg" && payload["meta"]["taxon"] == "Felis catus", "{payload}");
    foreign_reader(path);

    let into = start_with_images().await;
    let (code, out, err) = run(&into, &["import", "documents", path]).await;
    assert!(code == Some(0) && out.contains("imported 4 rows into `documents`"), "{out}{err}");
    assert_eq!(into.find("a cat", 4).await, from.find("a cat", 4).await);
    agrees(&into).await;
    let again = folder.path().join("again.parquet");
    export(&into, &again).await;
    for (one, other) in exported.iter().zip(images(&again)) {
        let cosine: f32 = one.vector.iter().zip(&other.vector).map(|(a, b)| a * b).sum();
        assert!(cosine > 0.9999 && one.uri == other.uri, "{} {cosine}", one.uri);
        assert_eq!(one.payload.as_ref().unwrap().get(), other.payload.as_ref().unwrap().get());
    }
    // The ledger knows the versions of the objects, and a job with `sync` treats the images like all others.
    let job = into.ingest_with(json!({"s3_prefix": "images/", "sync": true})).await;
    assert_eq!((job.counts.unchanged, job.counts.done, job.counts.deleted), (4, 0, 0));
    into.bucket.remove(&glimpse::domain::ImageUri::new("pipeline", "images/rocket.jpg")).await.unwrap();
    let job = into.ingest_with(json!({"s3_prefix": "images/", "sync": true, "max_delete_percent": 100})).await;
    assert_eq!((job.counts.unchanged, job.counts.deleted), (3, 1));
    agrees(&into).await;
    // The same file again changes nothing but what is missing.
    let (code, ..) = run(&into, &["import", "documents", path]).await;
    assert_eq!(code, Some(0));
    agrees(&into).await;
    from.stop().await;
    into.stop().await;
}

/// Reads the file with another implementation of Parquet, if it is installed.
fn foreign_reader(path: &str) {
    let script = "import sys, pyarrow.parquet as parquet\n\
        table = parquet.read_table(sys.argv[1])\n\
        print(table.column_names, table.num_rows, len(table['vector'][0].as_py()), table['uri'][0].as_py()[:14])\n\
        print(sorted(key.decode() for key in table.schema.metadata))";
    let python =
        find_program("python3").map(|python| Command::new(python).args(["-c", script, path]).output().unwrap());
    let Some(output) = python.filter(|output| output.status.success()) else {
        return skip("pyarrow", "install pyarrow for python3");
    };
    let text = stdout(&output);
    assert!(text.starts_with("['id', 'uri', 'vector', 'payload'] 4 512 s3://pipeline/"), "{text}");
    assert!(text.contains("glimpse.space") && text.contains("glimpse.distance"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_export_is_a_stream_of_lines_with_an_end() {
    let app = start_with_images().await;
    app.ingest().await;
    let reply = app.send(reqwest::Method::GET, "/collections/documents/export", None).await;
    assert_eq!(
        (reply.status().as_u16(), &reply.headers()["content-type"]),
        (200, &"application/x-ndjson".parse().unwrap())
    );
    let lines: Vec<Value> =
        reply.text().await.unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 6);
    let header = &lines[0]["header"];
    assert_eq!(
        (&header["format_version"], &header["images"], &header["distance"]),
        (&json!(1), &json!(4), &json!("cosine"))
    );
    assert_eq!(lines[5], json!({"end": {"images": 4}}));
    let ids: Vec<&str> = lines[1..5].iter().map(|line| line["image"]["id"].as_str().unwrap()).collect();
    assert!(ids.is_sorted(), "{ids:?}");
    for (path, status, code) in [
        ("/collections/none/export", 404, "unknown_collection"),
        ("/collections/documents/export?provider=qdrant", 422, "invalid_provider"),
        ("/collections/documents/export?generation=7", 404, "unknown_generation"),
    ] {
        let (found, reply) = app.get(path).await;
        assert_eq!((found.as_u16(), reply["code"].as_str().unwrap()), (status, code), "{path}: {reply}");
    }
    app.stop().await;
}
