//! The service with remote workers: it is killed while they work, and it limits what they can do to its index.

use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::TryStreamExt;
use glimpse::api::replies::SubmitReply;
use glimpse::app::Bucket;
use glimpse::config::Settings;
use glimpse::domain::{CollectionName, Embedding, ImageRecord, ImageUri, Secret, Timestamp};
use glimpse::index::embedded::EmbeddedIndex;
use glimpse::index::remote::RemoteIndex;
use glimpse::index::{EnsureOutcome, ImageIndex, IndexError};
use glimpse::resilience::WaitList;
use glimpse::worker::{ServiceClient, WorkerSettings};
use serde_json::{Value, json};

use crate::cli::commands::RunningCommand;
use crate::support::services::cheap_clip::CheapClip;
use crate::support::{TestApp, demo_image, free_address, quarters_png};

pub(crate) async fn records(index: &EmbeddedIndex, collection: &str) -> Vec<ImageRecord> {
    let collection = CollectionName::parse(collection).unwrap();
    let ids: Vec<_> = index.scan(&collection).try_collect().await.unwrap();
    let mut records = index.get(&collection, &ids).await.unwrap();
    for record in &mut records {
        record.payload.indexed_at = Timestamp::parse("2000-01-01T00:00:00Z").unwrap();
    }
    records.sort_by_key(|record| record.id);
    records
}

struct KilledOnDrop(Child);

impl Drop for KilledOnDrop {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn workers_continue_after_the_service_is_killed_twice() {
    const IMAGES: u32 = 300;
    let clip = CheapClip::start(Duration::from_millis(20)).await;
    let folder = tempfile::tempdir().unwrap();
    let (addr, s3) = (free_address(), free_address());
    let variables = [
        ("GLIMPSE_DATA_DIR", folder.path().to_str().unwrap()),
        ("GLIMPSE_ADDR", &addr),
        ("GLIMPSE_S3_ADDR", &s3),
        ("IMAGE_BATCH_SIZE", "8"),
        ("IMAGE_EMBEDDING_PROVIDER", "clip"),
        ("CLIP_URL", &clip.url),
        ("GLIMPSE_EMBED_LANES", "1"),
        ("GLIMPSE_LOG", "error"),
    ];
    let start = || RunningCommand::start(&variables, &["serve"], "service ");
    let mut service = start();
    let bucket = Bucket::open(&Settings::from_variables(variables).unwrap()).await.unwrap();
    for number in 0..IMAGES {
        bucket.put("pipeline", &format!("images/{number:04}.png"), quarters_png(number), "image/png").await.unwrap();
    }
    let client = reqwest::Client::builder().timeout(Duration::from_mins(2)).build().unwrap();
    let url = service.url.clone();
    let submit = |collection: &str, executor: &str| {
        let body = json!({"s3_prefix": "images/", "collection": collection, "executor": executor});
        let request = client.post(format!("{url}/jobs/images")).json(&body);
        async move { request.send().await.unwrap().json::<SubmitReply>().await.unwrap() }
    };
    let wait_until = |id: &str, condition: fn(&Value) -> bool| {
        let (client, path) = (client.clone(), format!("{url}/jobs/{id}"));
        async move {
            let deadline = Instant::now() + Duration::from_mins(5);
            loop {
                let job: Value = client.get(&path).send().await.unwrap().json().await.unwrap();
                if condition(&job) {
                    return job;
                }
                assert!(Instant::now() < deadline, "still {job}");
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
    };
    let local = submit("alone", "local").await;
    wait_until(&local.job_id, |job| job["status"] == "SUCCEEDED").await;

    let job = submit("together", "workers").await;
    let worker = |name: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_glimpse"));
        command.args(["worker", "--service", &url, "--job", &job.job_id, "--name", name, "--with-parent"]);
        command.envs(variables).env("GLIMPSE_WORKER_TOKEN", job.worker_token.as_deref().unwrap());
        // The other end of its input is ours: it must not leave before the job does.
        KilledOnDrop(command.stdin(Stdio::piped()).spawn().unwrap())
    };
    let mut workers = [worker("one"), worker("two")];
    for at_least in [
        |job: &Value| job["counts"]["done"].as_u64().unwrap() > 40,
        |job: &Value| job["counts"]["done"].as_u64().unwrap() > 150,
    ] {
        wait_until(&job.job_id, at_least).await;
        drop(service);
        service = start();
    }
    let ended = wait_until(&job.job_id, |job| job["status"] == "SUCCEEDED" || job["status"] == "FAILED").await;
    let counts = &ended["counts"];
    assert!(counts["done"] == IMAGES && counts["failed"] == 0, "{ended}");
    for worker in &mut workers {
        assert_eq!(worker.0.wait().unwrap().code(), Some(0));
    }
    assert_eq!(service.stop(), Some(0));
    let index = EmbeddedIndex::open(&folder.path().join("index")).unwrap();
    let (expected, got) = (records(&index, "alone").await, records(&index, "together").await);
    assert_eq!(expected.len(), IMAGES as usize);
    assert_eq!(expected, got);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_jobs_status_names_a_dependency_that_a_worker_waits_for() {
    let clip = CheapClip::start(Duration::from_millis(20)).await;
    let variables =
        [("IMAGE_EMBEDDING_PROVIDER", "clip"), ("CLIP_URL", clip.url.as_str()), ("GLIMPSE_LEASE_SECONDS", "3")];
    let app = TestApp::start_with(&[&variables[..], &[("IMAGE_BATCH_SIZE", "4")]].concat()).await;
    for number in 0..200 {
        app.put(&format!("images/{number:03}.png"), quarters_png(number)).await;
    }
    let (_, reply) = app.post("/jobs/images", json!({"executor": "workers"})).await;
    let job: SubmitReply = serde_json::from_value(reply).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_glimpse"));
    command.args(["worker", "--service", &app.url, "--job", &job.job_id]).envs(variables);
    command.env("GLIMPSE_WORKER_TOKEN", job.worker_token.as_deref().unwrap());
    command.env("S3_ENDPOINT", app.bucket_url()).envs(app.bucket_credentials()).env("GLIMPSE_EMBED_LANES", "1");
    let _worker = KilledOnDrop(command.stderr(Stdio::null()).spawn().unwrap());
    app.job_until(&job.job_id, |job| job.counts.done > 0).await;
    drop(clip);
    let says =
        |job: &glimpse::api::replies::JobReply| job.waiting_on.as_ref().is_some_and(|on| on.dependency == "clip");
    let job = app.job_until(&job.job_id, says).await;
    assert!(job.waiting_on.unwrap().message.contains("clip does not answer"));
    assert!(job.counts.left > 0 && job.counts.failed == 0 && job.workers.len() == 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_leaves_when_its_parent_has_ended() {
    let app = TestApp::start().await;
    // A service that accepts connections and never answers: only its parent can end the worker's wait.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", silent.local_addr().unwrap());
    let mut command = Command::new(env!("CARGO_BIN_EXE_glimpse"));
    command.args(["worker", "--service", &url, "--job", "any", "--with-parent"]);
    command.env("GLIMPSE_WORKER_TOKEN", "t").env("S3_ENDPOINT", app.bucket_url()).envs(app.bucket_credentials());
    let mut worker = KilledOnDrop(command.stdin(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap());
    drop(worker.0.stdin.take());
    let ended = tokio::task::spawn_blocking(move || worker.0.wait().unwrap().code()).await.unwrap();
    assert_eq!(ended, Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_reaches_only_the_records_of_its_own_job() {
    let app = TestApp::start().await;
    app.put("images/cat.jpg", demo_image("cat.jpg")).await;
    app.put("others/panda.jpg", demo_image("panda.jpg")).await;
    app.ingest_with(json!({"s3_prefix": ""})).await;
    app.put("images/panda.jpg", demo_image("panda.jpg")).await;
    let (_, reply) = app.post("/jobs/images", json!({"s3_prefix": "images/", "executor": "workers"})).await;
    let job: SubmitReply = serde_json::from_value(reply).unwrap();
    app.job_until(&job.job_id, |job| job.waiting_on.is_some() && job.counts.left > 0).await;
    let (url, token) = (app.url.clone(), Secret::new(job.worker_token.unwrap()));
    let settings = WorkerSettings {
        url: url.parse().unwrap(),
        job: job.job_id,
        name: "w".into(),
        token,
        node: None,
        trusted: glimpse::domain::TrustedFiles::default(),
    };
    let client = Arc::new(ServiceClient::new(settings, &WaitList::default()).unwrap());
    let index = RemoteIndex::new(client);
    let documents = CollectionName::parse("documents").unwrap();

    let space = index.describe(&documents).await.unwrap().unwrap().space;
    assert_eq!(index.ensure_image_collection(&documents, &space).await.unwrap(), EnsureOutcome::Existed);
    let [cat, panda] = ["images/cat.jpg", "images/panda.jpg"].map(|key| ImageUri::new("pipeline", key));
    let found = index.get(&documents, &[cat.id(), panda.id()]).await.unwrap();
    assert_eq!(found.iter().map(|record| &record.uri).collect::<Vec<_>>(), [&cat]);

    let mut new = found[0].clone();
    (new.id, new.uri, new.payload.s3_uri) = (panda.id(), panda.clone(), panda.clone());
    new.payload.s3_key = panda.key().to_owned();
    let numbers = (0..new.embedding.dimension()).map(|at| 1.0 + f32::from(u16::try_from(at).unwrap()));
    new.embedding = Embedding::normalised(numbers.collect(), new.embedding.dimension()).unwrap();
    index.upsert(&documents, std::slice::from_ref(&new)).await.unwrap();
    let stored = index.get(&documents, &[panda.id()]).await.unwrap();
    assert_eq!(stored[0].payload, new.payload);
    assert!(stored[0].embedding.cosine(&new.embedding) > 0.999_999);

    for strange in [ImageUri::new("pipeline", "others/panda.jpg"), ImageUri::new("else", "images/panda.jpg")] {
        let record = ImageRecord { id: strange.id(), uri: strange.clone(), ..new.clone() };
        let record = ImageRecord { payload: glimpse::domain::Payload { s3_uri: strange, ..record.payload }, ..record };
        let refused = index.upsert(&documents, &[record]).await.unwrap_err();
        assert!(refused.to_string().contains("is not an image of this job"), "{refused}");
    }
    let refused = index.drop_collection(&documents).await.unwrap_err();
    assert!(matches!(refused, IndexError::Dependency(_)), "{refused}");
}
