//! Data of version 0.1 can be read: its data folder, and its collections in Qdrant and Weaviate (`tests/data/v0.1`).

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::cli::commands::{RunningCommand, glimpse, stderr};
use crate::support::environment::{skip, variable};
use crate::support::qdrant::QdrantServer;

/// The unfinished job of the fixture, and its first job, in which one image failed.
const UNFINISHED: &str = "01a220de-b067-7345-84e2-327482adfc2c";
const FIRST: &str = "01a220de-a811-7589-ab35-6bf430acad78";

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/v0.1").join(name)
}

fn json(name: &str) -> Value {
    serde_json::from_slice(&std::fs::read(fixture(name)).unwrap()).unwrap()
}

fn copy_folder(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap().map(Result::unwrap) {
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy_folder(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// A service of the current version over a copy of the fixture's folder.
struct Service {
    process: RunningCommand,
    client: reqwest::Client,
    folder: tempfile::TempDir,
}

impl Service {
    fn start(more: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        copy_folder(&fixture("data"), folder.path());
        Self::start_in(folder, more)
    }

    fn start_in(folder: tempfile::TempDir, more: &[(&str, &str)]) -> Self {
        let data = folder.path().to_str().unwrap();
        let mut variables = vec![
            ("GLIMPSE_DATA_DIR", data),
            ("GLIMPSE_ADDR", "127.0.0.1:0"),
            ("GLIMPSE_S3_ADDR", "127.0.0.1:0"),
            ("GLIMPSE_LOG", "error"),
        ];
        variables.extend(more);
        let process = RunningCommand::start(&variables, &["serve"], "service ");
        let client = reqwest::Client::builder().timeout(Duration::from_mins(1)).build().unwrap();
        Self { process, client, folder }
    }

    async fn get(&self, path: &str) -> Value {
        let reply = self.client.get(format!("{}{path}", self.process.url)).send().await.unwrap();
        let (status, text) = (reply.status(), reply.text().await.unwrap());
        assert_eq!(status, 200, "{path}: {text}");
        serde_json::from_str(&text).unwrap()
    }

    async fn post(&self, path: &str, body: &Value) -> Value {
        let reply = self.client.post(format!("{}{path}", self.process.url)).json(body).send().await.unwrap();
        let (status, text) = (reply.status(), reply.text().await.unwrap());
        assert!(status.is_success(), "{path}: {status} {text}");
        serde_json::from_str(&text).unwrap()
    }

    /// Waits until the job has ended.
    async fn ended(&self, id: &str) -> Value {
        let deadline = Instant::now() + Duration::from_mins(2);
        loop {
            let job = self.get(&format!("/jobs/{id}")).await;
            if crate::jobs::crash::is_final(&job) {
                return job;
            }
            assert!(Instant::now() < deadline, "still {job}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Waits for the model, then repeats the search of the fixture and compares the hits.
    async fn finds_what_version_0_1_found(&self, provider: &str) {
        let ready = format!("{}/readyz", self.process.url);
        let deadline = Instant::now() + Duration::from_mins(2);
        while self.client.get(&ready).send().await.unwrap().status() != 200 {
            assert!(Instant::now() < deadline, "not ready");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        let found = self.get(&format!("/search/images?q=a+windmill&limit=10&provider={provider}")).await;
        let (found, expected) = (found["results"].as_array().unwrap(), json("search.json"));
        let expected = expected.as_array().unwrap();
        assert_eq!(found.len(), expected.len(), "{found:?}");
        for (found, expected) in found.iter().zip(expected) {
            for field in ["id", "s3_key", "format", "width", "height"] {
                assert_eq!(found[field], expected[field]);
            }
            let (score, expected) = (found["score"].as_f64().unwrap(), expected["score"].as_f64().unwrap());
            assert!((score - expected).abs() < 1e-4, "{score} instead of {expected}");
        }
        let image = self.get(&format!("/images/{}", found[0]["id"].as_str().unwrap())).await;
        assert_eq!(image["meta"], json!({"place": "Zürich, CH", "species": "Molinum"}));
        assert_eq!(image["etag"], "041cfe03dc04d1ad05bbb725129f3441");
        // What its records do not have can be asked for at once.
        let list = self.get(&format!("/images?order=taken&camera=!D1&provider={provider}")).await;
        assert_eq!(list["count"], found.len());
        let near = self.get(&format!("/search/images?q=a&near=48,11,5&provider={provider}")).await;
        assert_eq!(near["total"], 0);
        let facets = self.get(&format!("/collections/documents/facets?field=camera&provider={provider}")).await;
        assert_eq!(facets["count"], 0);
    }

    /// Searches with a range of metadata. A store that has no numbers of these records must refuse it.
    async fn ranges_reply(&self, provider: &str) -> u16 {
        let path = format!("/search/images?q=a&meta.month=4..6&provider={provider}");
        self.client.get(format!("{}{path}", self.process.url)).send().await.unwrap().status().as_u16()
    }

    /// Completes the records of version 0.1, once. Then ranges can be searched.
    async fn completes_its_records(&self, provider: &str) {
        for done in [5, 0] {
            let job = self.post("/jobs/images", &json!({"refresh": "facts"})).await;
            let job = self.ended(job["job_id"].as_str().unwrap()).await;
            assert!(job["counts"]["done"] == done && job["counts"]["failed"] == 0, "{job}");
        }
        assert_eq!(self.ranges_reply(provider).await, 200);
        let found = self.get("/search/images?q=a+windmill&meta.place=!elsewhere&meta.species=Molinum").await;
        let image = &found["results"][0];
        assert_eq!(image["s3_key"], "images/windmill.jpg", "{found}");
        let image = self.get(&format!("/images/{}", image["id"].as_str().unwrap())).await;
        assert_eq!(image["meta"], json!({"place": "Zürich, CH", "species": "Molinum"}));
    }

    /// Stops the unfinished job, and indexes its two images with a new one.
    async fn indexes_two_more(&self) {
        let stopped = self.client.delete(format!("{}/jobs/{UNFINISHED}", self.process.url)).send().await.unwrap();
        assert!(stopped.status().is_success(), "{stopped:?}");
        let later = self.post("/jobs/images", &json!({"s3_prefix": "later/"})).await;
        let later = self.ended(later["job_id"].as_str().unwrap()).await;
        assert!(later["status"] == "SUCCEEDED" && later["counts"]["done"] == 2, "{later}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn its_data_folder_is_searched_and_its_unfinished_job_continues() {
    let service = Service::start(&[]);
    service.finds_what_version_0_1_found("embedded").await;
    assert_eq!(service.ranges_reply("embedded").await, 200);

    let jobs = service.get("/jobs").await;
    assert_eq!(jobs["jobs"].as_array().unwrap().len(), 3, "{jobs}");
    let first = service.get(&format!("/jobs/{FIRST}")).await;
    assert!(first["status"] == "SUCCEEDED" && first["counts"]["done"] == 5, "{first}");
    let failures = service.get(&format!("/jobs/{FIRST}/failures")).await;
    assert_eq!(failures["failures"][0]["s3_key"], "images/broken.jpg", "{failures}");

    service.post(&format!("/jobs/{UNFINISHED}/executor"), &json!({"executor": "local"})).await;
    let unfinished = service.ended(UNFINISHED).await;
    assert!(unfinished["status"] == "SUCCEEDED" && unfinished["counts"]["done"] == 2, "{unfinished}");

    let again = service.post("/jobs/images", &json!({"s3_prefix": "images/"})).await;
    let again = service.ended(again["job_id"].as_str().unwrap()).await;
    assert!(again["counts"]["unchanged"] == 5 && again["counts"]["done"] == 0, "{again}");
}

/// The first start upgrades the folder, so a backup is always of the current version.
#[tokio::test(flavor = "multi_thread")]
async fn its_data_folder_is_backed_up_and_restored() {
    let service = Service::start(&[]);
    let (archive, restored) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let archive = archive.path().to_str().unwrap();
    let backed_up = glimpse(&[("GLIMPSE_URL", service.process.url.as_str())], &["backup", archive]).await;
    assert!(backed_up.status.success(), "{}", stderr(&backed_up));
    drop(service);
    let data = restored.path().to_str().unwrap();
    let output = glimpse(&[("GLIMPSE_DATA_DIR", data)], &["restore", archive]).await;
    assert!(output.status.success(), "{}", stderr(&output));
    let service = Service::start_in(restored, &[]);
    assert!(service.folder.path().join("s3/credentials.json").exists());
    service.finds_what_version_0_1_found("embedded").await;
    service.post(&format!("/jobs/{UNFINISHED}/executor"), &json!({"executor": "local"})).await;
    let unfinished = service.ended(UNFINISHED).await;
    assert!(unfinished["status"] == "SUCCEEDED" && unfinished["counts"]["done"] == 2, "{unfinished}");
}

#[tokio::test(flavor = "multi_thread")]
async fn its_collection_in_qdrant_is_searched_and_extended() {
    let qdrant = QdrantServer::start().await;
    qdrant.restore(&json("qdrant.json"));
    let service = Service::start(&[("VECTOR_DB_PROVIDER", "qdrant"), ("QDRANT_URL", &qdrant.url())]);
    service.finds_what_version_0_1_found("qdrant").await;
    assert_eq!(service.ranges_reply("qdrant").await, 409);
    service.indexes_two_more().await;
    let points = qdrant.dump()["documents_images"]["points"].as_array().unwrap().clone();
    assert_eq!(points.len(), 7);
    let written = json("qdrant.json")["documents_images"]["points"].as_array().unwrap().clone();
    for point in written {
        let kept = points.iter().find(|kept| kept["id"] == point["id"]).unwrap();
        assert_eq!(kept["payload"], point["payload"], "the records of version 0.1 are unchanged");
    }
    service.completes_its_records("qdrant").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn its_collection_in_weaviate_is_searched_and_extended() {
    let [Some(url), Some(grpc), Some(key)] = ["WEAVIATE_URL", "WEAVIATE_GRPC_URL", "WEAVIATE_API_KEY"].map(variable)
    else {
        skip("weaviate", "set WEAVIATE_URL, WEAVIATE_GRPC_URL and WEAVIATE_API_KEY");
        return;
    };
    let (client, dump) = (reqwest::Client::builder().build().unwrap(), json("weaviate.json"));
    let class = dump["class"]["class"].as_str().unwrap();
    let send = async |request: reqwest::RequestBuilder| request.bearer_auth(&key).send().await.unwrap();
    send(client.delete(format!("{url}/v1/schema/{class}"))).await;
    let made = send(client.post(format!("{url}/v1/schema")).json(&dump["class"])).await;
    assert_eq!(made.status(), 200, "{}", made.text().await.unwrap());
    let written = send(client.post(format!("{url}/v1/batch/objects")).json(&json!({"objects": dump["objects"]}))).await;
    assert_eq!(written.status(), 200, "{}", written.text().await.unwrap());

    let service = Service::start(&[
        ("VECTOR_DB_PROVIDER", "weaviate"),
        ("WEAVIATE_URL", &url),
        ("WEAVIATE_GRPC_URL", &grpc),
        ("WEAVIATE_API_KEY", &key),
    ]);
    service.finds_what_version_0_1_found("weaviate").await;
    assert_eq!(service.ranges_reply("weaviate").await, 409);
    service.indexes_two_more().await;
    service.completes_its_records("weaviate").await;
    send(client.delete(format!("{url}/v1/schema/{class}"))).await;
}
