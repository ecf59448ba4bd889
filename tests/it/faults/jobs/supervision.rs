//! Tasks that panic: the process notices it if the task is permanent, and the collection of a job is always released.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use glimpse::app::App;
use glimpse::config::Settings;
use glimpse::domain::{Embedding, JobId, JobState, Space};
use glimpse::embed::{Busy, EmbedError, ImageEmbeddingProvider};
use glimpse::imaging::{PreparedImage, Preprocessing};
use glimpse::index::Stores;
use glimpse::jobs::{Jobs, Submission};
use glimpse::ledger::Ledger;
use glimpse::shutdown::Shutdown;
use reqwest::StatusCode;

use crate::support::fakes::{MeanProvider, MemoryIndex};
use crate::support::jobs::start_jobs;

/// A provider that panics at the nth call of its load. A job calls it when it is started by the scheduler, when
/// its model is known, and when it ends, outside of its work.
struct Panics {
    inner: MeanProvider,
    calls: AtomicUsize,
    at: usize,
}

#[async_trait]
impl ImageEmbeddingProvider for Panics {
    fn preprocessing(&self) -> Preprocessing {
        self.inner.preprocessing()
    }
    async fn space(&self) -> Result<Arc<Space>, EmbedError> {
        self.inner.space().await
    }
    async fn embed_image_batch(&self, images: &[PreparedImage]) -> Result<Vec<Embedding>, EmbedError> {
        self.inner.embed_image_batch(images).await
    }
    async fn embed_text(&self, text: &str) -> Result<Embedding, EmbedError> {
        self.inner.embed_text(text).await
    }
    fn busy(&self) -> Option<Busy> {
        assert!(self.calls.fetch_add(1, Ordering::SeqCst) + 1 != self.at, "on purpose");
        None
    }
}

async fn service(folder: &std::path::Path, panics_at: usize) -> (Jobs, Ledger, Shutdown) {
    let shutdown = Shutdown::new();
    let provider = Panics { inner: MeanProvider::default(), calls: AtomicUsize::new(0), at: panics_at };
    let stores = Stores::new(vec![Arc::new(MemoryIndex::default())]);
    let (jobs, ledger) = start_jobs(folder, Arc::new(provider), stores, &shutdown).await;
    shutdown.spawn("scheduler of jobs", jobs.scheduler());
    (jobs, ledger, shutdown)
}

async fn submit(jobs: &Jobs) -> JobId {
    let submission = Submission { collection: "documents".to_owned(), ..Submission::default() };
    jobs.submit(submission).await.unwrap().id
}

async fn end_of(ledger: &Ledger, id: JobId) -> (JobState, Option<String>) {
    let deadline = Instant::now() + Duration::from_mins(1);
    loop {
        let job = ledger.job(id).await.unwrap().unwrap();
        if job.state.is_final() {
            return (job.state, job.message);
        }
        assert!(Instant::now() < deadline, "still {job:?}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_whose_end_panics_fails_and_its_collection_is_free_for_the_next() {
    let folder = tempfile::tempdir().unwrap();
    let (jobs, ledger, shutdown) = service(folder.path(), 3).await;
    let (first, second) = (submit(&jobs).await, submit(&jobs).await);
    let (state, message) = end_of(&ledger, first).await;
    assert!(state == JobState::Failed && message.unwrap().contains("panicked"));
    assert_eq!(end_of(&ledger, second).await, (JobState::Succeeded, None));
    assert_eq!(shutdown.failed(), None, "the scheduler continues");
    shutdown.begin();
    assert!(shutdown.finished().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scheduler_that_panics_stops_the_service_and_its_jobs_continue_at_the_next_start() {
    let folder = tempfile::tempdir().unwrap();
    let (jobs, ledger, shutdown) = service(folder.path(), 1).await;
    let job = submit(&jobs).await;
    shutdown.drain().cancelled().await;
    assert_eq!(shutdown.failed(), Some("scheduler of jobs"));
    assert!(jobs.is_draining(), "readiness reports it");
    assert!(shutdown.finished().await);
    drop((jobs, ledger));
    let (_jobs, ledger, shutdown) = service(folder.path(), 0).await;
    assert_eq!(end_of(&ledger, job).await, (JobState::Succeeded, None));
    shutdown.begin();
    assert!(shutdown.finished().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_with_a_panicked_task_is_not_ready_and_ends_with_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let variables = [
        ("GLIMPSE_DATA_DIR", folder.path().to_str().unwrap()),
        ("GLIMPSE_ADDR", "127.0.0.1:0"),
        ("GLIMPSE_S3_ADDR", "127.0.0.1:0"),
    ];
    let (settings, shutdown) = (Settings::from_variables(variables).unwrap(), Shutdown::new());
    let app = App::build(settings, &shutdown).await.unwrap();
    let url = format!("http://{}", app.addr());
    let task_token = shutdown.tasks().token();
    let serving = tokio::spawn(app.serve());
    assert_eq!(reqwest::get(format!("{url}/healthz")).await.unwrap().status(), StatusCode::OK);
    shutdown.spawn("scheduler of jobs", async { panic!("on purpose") });
    shutdown.drain().cancelled().await;
    let ready = reqwest::get(format!("{url}/readyz")).await.unwrap();
    assert_eq!(ready.status(), StatusCode::SERVICE_UNAVAILABLE);
    drop(task_token);
    let error = serving.await.unwrap().unwrap_err();
    assert!(error.to_string().contains("scheduler of jobs"), "{error}");
    assert_eq!(error.exit_code(), 70, "the exit code of the process");
}
