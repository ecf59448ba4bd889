//! D2: every request of a worker renews its leases, and a request that hangs costs nothing.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use glimpse::api::replies::JobReply;
use serde_json::{Value, json};

use super::{JobApi, assert_no_lease_was_lost, indexed, start_with_images};
use crate::support::proxies::http::{HttpProxy, ProxyAction};
use crate::support::services::cheap_clip::CheapClip;
use crate::support::worker::Worker;
use crate::support::{TestApp, free_address};

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_reports_without_heartbeats_keeps_its_leases() {
    const LEASE: Duration = Duration::from_secs(4);
    let (app, job) = start_with_images(12, &[("GLIMPSE_LEASE_SECONDS", "4"), ("IMAGE_BATCH_SIZE", "6")]).await;
    let api = JobApi::new(&app, &job).await;
    api.join("one").await;
    let (first, second) = (api.lease("one").await, api.lease("one").await);
    for task in first["tasks"].as_array().unwrap() {
        tokio::time::sleep(LEASE / 4).await;
        let body = json!({"worker": "one", "attempt": first["attempt"], "outcomes": [indexed(task)]});
        let (status, reply) = api.post(&format!("batches/{}/result", first["batch"]), &body).await;
        assert!(status == 200 && reply["lost"] == json!([]), "{status} {reply}");
    }
    let body = json!({"worker": "one", "held": [{"batch": second["batch"], "attempt": second["attempt"]}]});
    let (_, standing) = api.post("heartbeat", &body).await;
    assert_eq!(standing["lost"], json!([]), "reports of the first batch kept the second");
    assert!(!app.log(&job.job_id).await.contains("sent no request for"));

    // A worker that sends nothing still loses its lease.
    let lost = app.job_until(&job.job_id, |job| job.workers.iter().all(|worker| worker.leased == 0)).await;
    assert_eq!(lost.counts.done, 6);
    let (_, standing) = api.post("heartbeat", &body).await;
    assert_eq!(standing["lost"], json!([second["batch"]]));
    app.stop().await;
}

/// Applies the verdict to the `at`th request of this kind, and passes all others.
fn one_of(
    kind: &'static str,
    at: usize,
    verdict: impl Fn() -> ProxyAction + Send + Sync + 'static,
) -> (Judge, Counter) {
    let count: Counter = Arc::default();
    let counted = count.clone();
    let handler = move |path: &str| {
        let is_it = path.ends_with(kind) && counted.fetch_add(1, Ordering::SeqCst) == at;
        if is_it { verdict() } else { ProxyAction::Pass }
    };
    (Box::new(handler), count)
}

type Judge = Box<dyn Fn(&str) -> ProxyAction + Send + Sync>;
type Counter = Arc<AtomicUsize>;

/// A real worker behind a proxy that holds one of its requests, or the answer, for longer than two leases.
async fn run_with_a_hanging_request(
    kind: &'static str,
    at: usize,
    verdict: impl Fn() -> ProxyAction + Send + Sync + 'static,
) {
    let clip = CheapClip::start(Duration::from_millis(60)).await;
    let provider =
        [("IMAGE_EMBEDDING_PROVIDER", "clip"), ("CLIP_URL", clip.url.as_str()), ("IMAGE_EMBED_BATCH_SIZE", "1")];
    let service = [&provider[..], &[("GLIMPSE_LEASE_SECONDS", "6"), ("IMAGE_BATCH_SIZE", "8")]].concat();
    let (app, job) = start_with_images(250, &service).await;
    let (handler, count) = one_of(kind, at, verdict);
    let http_proxy = HttpProxy::new(&app.url, move |uri| handler(uri.path())).await;
    let token = job.worker_token.as_deref().unwrap();
    let more = [&provider[..], &[("GLIMPSE_EMBED_LANES", "1")]].concat();
    let worker = Worker::start_through(&http_proxy.url(), &app, &job.job_id, token, "one", &more);
    let ended = app.job_until(&job.job_id, JobReply::is_final).await;
    assert!(count.load(Ordering::SeqCst) > at, "no {kind} was sent that could hang");
    assert_no_lease_was_lost(&app, &ended, 250).await;
    assert_eq!(worker.wait().await.0, Some(0));
    app.stop().await;
}

const LONG: Duration = Duration::from_secs(14);

#[tokio::test(flavor = "multi_thread")]
async fn a_heartbeat_that_hangs_costs_no_lease() {
    Box::pin(run_with_a_hanging_request("/heartbeat", 1, || ProxyAction::PassAfter(LONG))).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_report_whose_answer_hangs_costs_no_lease() {
    Box::pin(run_with_a_hanging_request("/result", 5, || ProxyAction::ReplyAfter(LONG))).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_delayed_grant_is_not_taken_for_a_dead_worker() {
    Box::pin(run_with_a_hanging_request("/leases", 4, || ProxyAction::ReplyAfter(LONG))).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_of_the_service_longer_than_a_lease_costs_no_lease() {
    let clip = CheapClip::start(Duration::from_millis(40)).await;
    let (addr, s3) = (free_address(), free_address());
    let variables = [
        ("IMAGE_EMBEDDING_PROVIDER", "clip"),
        ("CLIP_URL", clip.url.as_str()),
        ("IMAGE_EMBED_BATCH_SIZE", "1"),
        ("GLIMPSE_LEASE_SECONDS", "2"),
        ("IMAGE_BATCH_SIZE", "4"),
        ("GLIMPSE_ADDR", &addr),
        ("GLIMPSE_S3_ADDR", &s3),
    ];
    let (app, job) = start_with_images(150, &variables).await;
    let worker = Worker::start(&app, &job, "one", &[&variables[..3], &[("GLIMPSE_EMBED_LANES", "1")]].concat());
    app.job_until(&job.job_id, |job| job.counts.done > 10).await;
    let stopped = app.stop_for_restart().await;
    tokio::time::sleep(Duration::from_secs(3)).await;
    let app: TestApp = stopped.start().await;
    let ended = app.job_until(&job.job_id, JobReply::is_final).await;
    assert_no_lease_was_lost(&app, &ended, 150).await;
    assert_eq!(worker.wait().await.0, Some(0));
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn leases_of_a_clock_that_was_ahead_end_at_the_next_start() {
    let (app, job) = start_with_images(4, &[("GLIMPSE_LEASE_SECONDS", "2")]).await;
    let api = JobApi::new(&app, &job).await;
    api.join("one").await;
    let batch: Value = api.lease("one").await;
    let stopped = app.stop_for_restart().await;
    let ledger = rusqlite::Connection::open(stopped.data().join("ledger.sqlite")).unwrap();
    let ahead = "UPDATE batches SET until = until + 86400000 WHERE id = ?1";
    assert_eq!(ledger.execute(ahead, [batch["batch"].as_i64()]).unwrap(), 1);
    drop(ledger);
    let app = stopped.start().await;
    let worker = Worker::start(&app, &job, "two", &[]);
    let ended = app.job_until(&job.job_id, JobReply::is_final).await;
    assert_eq!((ended.status.as_str(), ended.counts.done), ("SUCCEEDED", 4), "{ended:?}");
    assert_eq!(worker.wait().await.0, Some(0));
    app.stop().await;
}
