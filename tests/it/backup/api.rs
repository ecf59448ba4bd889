//! The routes of backups.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::support::{TestApp, demo_image};

#[tokio::test(flavor = "multi_thread")]
async fn files_are_listed_and_read_until_the_backup_ends() {
    let app = TestApp::start().await;
    app.put("images/cat.jpg", demo_image("cat.jpg")).await;
    app.ingest().await;
    let (status, backup) = app.post("/backups", json!({})).await;
    assert_eq!((status, &backup["objects"], &backup["left_out"]), (StatusCode::CREATED, &json!(true), &json!([])));
    let id = backup["id"].as_str().unwrap();
    let (status, busy) = app.post("/backups", json!({"objects": false})).await;
    assert_eq!((status, busy["code"].as_str()), (StatusCode::CONFLICT, Some("backup_busy")));
    assert!(busy["message"].as_str().unwrap().contains(&format!("DELETE /backups/{id}")), "{busy}");

    let (mut files, mut cursor) = (Vec::new(), String::new());
    loop {
        let (status, page) = app.get(&format!("/backups/{id}/files{cursor}")).await;
        assert_eq!(status, StatusCode::OK, "{page}");
        files.extend(page["files"].as_array().unwrap().clone());
        let Some(next) = page["next"].as_str() else { break };
        cursor = format!("?cursor={}", next.replace('/', "%2F"));
    }
    let paths: Vec<&str> = files.iter().map(|file| file["path"].as_str().unwrap()).collect();
    for expected in
        ["ledger.sqlite", "index/index.sqlite", "index/1.vectors", "s3/catalogue.sqlite", "s3/credentials.json"]
    {
        assert!(paths.contains(&expected), "{paths:?}");
    }
    let object: &Value = files.iter().find(|file| file["immutable"] == true).unwrap();
    assert_eq!(object["size"], demo_image("cat.jpg").len());
    for file in [object, &files[0]] {
        let path = file["path"].as_str().unwrap();
        let reply = app.send(Method::GET, &format!("/backups/{id}/content?path={path}"), None).await;
        let digest = reply.headers()["content-digest"].to_str().unwrap().to_owned();
        let bytes = reply.bytes().await.unwrap();
        assert_eq!(digest, format!("sha-256=:{}:", STANDARD.encode(Sha256::digest(&bytes))));
        let (_, chunks) = app.get(&format!("/backups/{id}/chunks?path={path}")).await;
        assert_eq!(chunks["chunks"][0]["sha256"], hex::encode(Sha256::digest(&bytes)), "{path}");
    }
    for (path, code) in [
        ("content?path=service.lock", "unknown_file"),
        ("content?path=../x", "unknown_file"),
        ("files?cursor=x", "invalid_cursor"),
    ] {
        assert_eq!(app.get(&format!("/backups/{id}/{path}")).await.1["code"], code, "{path}");
    }
    let past = format!("/backups/{id}/content?path=ledger.sqlite&number=9007199254740991");
    assert_eq!(app.send(Method::GET, &past, None).await.bytes().await.unwrap().len(), 0);

    assert_eq!(app.delete(&format!("/backups/{id}")).await.0, StatusCode::OK);
    let (status, gone) = app.get(&format!("/backups/{id}")).await;
    assert_eq!((status, gone["code"].as_str()), (StatusCode::NOT_FOUND, Some("unknown_backup")));
    assert_eq!(std::fs::read_dir(app.data().join("backup.part")).unwrap().count(), 0);
    let (_, without) = app.post("/backups", json!({"objects": false})).await;
    assert_eq!(without["left_out"], json!(["the objects of the bucket"]));
}
