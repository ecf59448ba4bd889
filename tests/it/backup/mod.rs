//! Backups of a running service, and their restore, with the real binary.

mod api;
mod archives;
mod crash;
mod interrupted;
mod places;
mod repair;
mod running;

use std::path::Path;
use std::process::Output;

use serde_json::{Value, json};

use crate::cli::commands::{glimpse, stderr, stdout};
use crate::jobs::crash::Process;

/// Runs `glimpse backup` for the service at that URL.
async fn back_up(url: &str, archive: &Path, more: &[&str]) -> Value {
    let arguments = [&["backup", archive.to_str().unwrap(), "--json"], more].concat();
    let output = glimpse(&[("GLIMPSE_URL", url)], &arguments).await;
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    serde_json::from_str(&stdout(&output)).unwrap()
}

async fn restore(archive: &Path, data: &Path, more: &[&str]) -> Output {
    let arguments = [&["restore", archive.to_str().unwrap()], more].concat();
    glimpse(&[("GLIMPSE_DATA_DIR", data.to_str().unwrap())], &arguments).await
}

async fn restore_all(archive: &Path, data: &Path) {
    let output = restore(archive, data, &[]).await;
    assert_eq!(output.status.code(), Some(0), "{}{}", stdout(&output), stderr(&output));
}

/// Compares the stores of the collection with the ledger.
async fn verify(process: &Process) -> Value {
    let client = reqwest::Client::builder().build().unwrap();
    let url = format!("{}/collections/documents/verify", process.service.url);
    let reply = client.post(url).json(&json!({})).send().await.unwrap();
    let (status, text) = (reply.status(), reply.text().await.unwrap());
    assert_eq!(status, 200, "{text}");
    serde_json::from_str(&text).unwrap()
}
