//! An image that kills the process of every worker that embeds it: it alone fails.

use std::os::unix::process::ExitStatusExt;
use std::process::Stdio;
use std::sync::Arc;

use async_trait::async_trait;
use glimpse::api::replies::{JobReply, SubmitReply};
use glimpse::domain::{Embedding, ModelRecord, Secret, Space};
use glimpse::embed::local::LocalProvider;
use glimpse::embed::{EmbedError, ImageEmbeddingProvider, Verification, Verified};
use glimpse::imaging::{Limits, PreparedImage, Preprocessing};
use glimpse::index::Stores;
use glimpse::index::remote::RemoteIndex;
use glimpse::pipeline::{Pipeline, PipelineSettings};
use glimpse::resilience::WaitList;
use glimpse::source::{S3Credentials, S3Settings, S3Source};
use glimpse::worker::{ServiceClient, Worker, WorkerModels, WorkerSettings};
use serde_json::json;
use tokio_util::sync::CancellationToken;

use crate::support::environment::variable;
use crate::support::fakes::lanes;
use crate::support::process::test_command;
use crate::support::{TestApp, demo_image};

/// The worker has only its own model.
#[derive(Debug)]
struct NoOtherModel;

#[async_trait]
impl WorkerModels for NoOtherModel {
    async fn provider(&self, _model: &ModelRecord) -> Result<Option<Arc<dyn ImageEmbeddingProvider>>, EmbedError> {
        Ok(None)
    }
}

/// Aborts the process for a black image, as a fault in a native library would.
struct CrashingProvider(Arc<dyn ImageEmbeddingProvider>);

#[async_trait]
impl ImageEmbeddingProvider for CrashingProvider {
    fn preprocessing(&self) -> Preprocessing {
        self.0.preprocessing()
    }

    async fn space(&self) -> Result<Arc<Space>, EmbedError> {
        self.0.space().await
    }

    async fn embed_image_batch(&self, images: &[PreparedImage]) -> Result<Vec<Embedding>, EmbedError> {
        if images.iter().any(|image| image.rgb.iter().all(|value| *value < 8)) {
            std::process::abort();
        }
        self.0.embed_image_batch(images).await
    }

    async fn embed_text(&self, text: &str) -> Result<Embedding, EmbedError> {
        self.0.embed_text(text).await
    }
}

/// The worker process of the test below. Does nothing if it is not started by that test.
#[tokio::test(flavor = "multi_thread")]
async fn worker_process_of_the_test_below() {
    let Some(arguments) = variable("POISONED_WORKER") else { return };
    let parts: Vec<&str> = arguments.split(' ').collect();
    let [url, job, token, name, bucket, access_key_id, secret_access_key] = parts[..] else { panic!("{arguments}") };
    let wait_list = WaitList::default();
    let settings = WorkerSettings {
        url: url.parse().unwrap(),
        job: job.into(),
        name: name.into(),
        token: Secret::new(token),
        node: None,
        trusted: glimpse::domain::TrustedFiles::default(),
    };
    let client = Arc::new(ServiceClient::new(settings, &wait_list).unwrap());
    let source = S3Source::new(S3Settings {
        endpoint: Some(bucket.to_owned()),
        region: "us-east-1".to_owned(),
        path_style: true,
        credentials: Some(S3Credentials {
            access_key_id: access_key_id.to_owned(),
            secret_access_key: secret_access_key.to_owned(),
        }),
        anonymous: false,
        request_payer: false,
        max_bytes: 1 << 24,
        timeout: std::time::Duration::from_secs(30),
    });
    let model: Arc<dyn ImageEmbeddingProvider> = Arc::new(LocalProvider::start(lanes(1)).unwrap());
    let verification = Arc::new(Verification::new(model.clone(), None));
    let provider = Arc::new(CrashingProvider(Arc::new(Verified::new(model, verification))));
    let stores = Stores::new(vec![Arc::new(RemoteIndex::new(client.clone()))]);
    let limits = Limits { max_bytes: 1 << 24, max_pixels: 1 << 26, max_decode_bytes: 1 << 28 };
    let settings = PipelineSettings { image_embed_batch_size: 4, ..PipelineSettings::default() };
    let pipeline = Pipeline::new(Arc::new(source.await.unwrap()), provider, stores, limits, &settings);
    Worker::new(client, pipeline, Arc::new(NoOtherModel)).run(&CancellationToken::new()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_that_kills_its_workers_fails_alone_as_crashed() {
    let app = TestApp::start_with(&[("IMAGE_BATCH_SIZE", "8"), ("THUMBNAIL_PREFIX", "")]).await;
    for number in 0..23 {
        app.put(&format!("images/{number:02}.jpg"), demo_image("cat.jpg")).await;
    }
    let mut black = std::io::Cursor::new(Vec::new());
    image::RgbImage::new(300, 300).write_to(&mut black, image::ImageFormat::Png).unwrap();
    app.put("images/11-black.png", black.into_inner()).await;
    let (_, reply) = app.post("/jobs/images", json!({"executor": "workers"})).await;
    let job: SubmitReply = serde_json::from_value(reply).unwrap();
    let token = job.worker_token.clone().unwrap();
    let [(_, id), (_, secret)] = app.bucket_credentials();
    let mut deaths = 0;
    for number in 0.. {
        assert!(number < 20, "the job does not end");
        let name = format!("w{number}");
        let arguments = [&app.url, &job.job_id, &token, &name, app.bucket_url(), &id, &secret].join(" ");
        let mut worker = test_command(module_path!(), "worker_process_of_the_test_below");
        worker.env("POISONED_WORKER", arguments).stdout(Stdio::null()).stderr(Stdio::null());
        let ended = tokio::task::spawn_blocking(move || worker.status().unwrap()).await.unwrap();
        if ended.success() {
            break;
        }
        assert_eq!(ended.signal(), Some(6), "the image killed it");
        deaths += 1;
        // The supervisor of workers reports it.
        let exit = format!("{}/internal/jobs/{}/workers/{name}/exit", app.url, job.job_id);
        let reply = app.client.post(exit).bearer_auth(&token).json(&json!({"rc": 134})).send().await.unwrap();
        assert!(reply.status().is_success());
    }
    let ended = app.job_until(&job.job_id, JobReply::is_final).await;
    assert_eq!((ended.status.as_str(), ended.counts.done, ended.counts.failed), ("SUCCEEDED", 23, 1), "{ended:?}");
    let failure = &app.failures(&job.job_id).await.failures[0];
    assert_eq!((failure.s3_key.as_str(), failure.class.as_str()), ("images/11-black.png", "crashed"));
    assert!((5..=8).contains(&deaths), "first in a batch, then four times alone: {deaths}");
}
