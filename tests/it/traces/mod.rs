//! Traces of the real binary: a process of its own, because the spans of a process go to one collector.

mod busy;
mod collector;
mod weaviate;
mod worker;

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::Router;
use axum::http::HeaderMap;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use reqwest::{Client, RequestBuilder, StatusCode};
use serde_json::{Value, json};

use self::collector::{Collector, Received, tree};
use crate::cli::commands::RunningCommand;
use crate::support::qdrant::QdrantServer;
use crate::support::services::cheap_clip::CheapClip;
use crate::support::{demo_image, locked, serve};

/// The parent of a request that is sampled, as in the standard.
const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const PARENT: &str = "b7ad6b7169203331";

struct Service {
    process: RunningCommand,
    client: Client,
}

impl Service {
    fn start(folder: &Path, more: &[(&str, &str)]) -> Self {
        let mut variables = vec![
            ("GLIMPSE_DATA_DIR", folder.to_str().unwrap()),
            ("GLIMPSE_ADDR", "127.0.0.1:0"),
            ("GLIMPSE_S3_ADDR", "127.0.0.1:0"),
            ("GLIMPSE_CALIBRATE", "false"),
            ("GLIMPSE_DISK_MIN_FREE", "off"),
            ("GLIMPSE_UPLOADS", "*"),
            ("VECTOR_DB_RECALL_TEST", "false"),
        ];
        variables.extend(more);
        let log = folder.join("log");
        let process = RunningCommand::start_with_log(&log, &variables, &["serve"], "service ");
        Self { process, client: Client::builder().timeout(Duration::from_mins(1)).build().unwrap() }
    }

    fn get(&self, path: &str) -> RequestBuilder {
        self.client.get(format!("{}{path}", self.process.url))
    }

    async fn json(&self, request: RequestBuilder) -> Value {
        let reply = request.send().await.unwrap();
        assert!(reply.status().is_success(), "{}", reply.text().await.unwrap());
        reply.json().await.unwrap()
    }

    async fn upload(&self, name: &str, traceparent: &str) {
        let request = self.client.put(format!("{}/objects/images/{name}", self.process.url));
        let request = request.header("traceparent", traceparent).header("content-type", "image/jpeg");
        let reply = request.body(demo_image(name)).send().await.unwrap();
        assert_eq!(reply.status(), StatusCode::CREATED, "{}", reply.text().await.unwrap());
    }

    /// Runs a job to its end and returns its id.
    async fn job(&self) -> String {
        let submit = self.client.post(format!("{}/jobs/images", self.process.url));
        let body = json!({"s3_prefix": "images/", "collection": "of_job"});
        let id = self.json(submit.json(&body)).await["job_id"].as_str().unwrap().to_owned();
        let deadline = Instant::now() + Duration::from_mins(1);
        loop {
            let job = self.json(self.get(&format!("/jobs/{id}"))).await;
            if job["status"] == "SUCCEEDED" {
                return id;
            }
            assert!(Instant::now() < deadline, "still {job}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

fn sampled(trace: &str) -> String {
    format!("00-{trace}-{PARENT}-01")
}

fn count(spans: &[Received], trace: &str, name: &str) -> usize {
    spans.iter().filter(|span| span.trace == trace && span.name == name).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_search_and_an_upload_continue_the_trace_of_their_sender_with_a_span_for_each_stage() {
    let (collector, clip, folder) =
        (Collector::start().await, CheapClip::start(Duration::ZERO).await, tempfile::tempdir().unwrap());
    let qdrant = QdrantServer::start().await;
    let (access_log, qdrant_url) = (folder.path().join("access"), qdrant.url());
    let mut variables = collector.variables().to_vec();
    variables.extend([
        ("IMAGE_EMBEDDING_PROVIDER", "clip"),
        ("CLIP_URL", &clip.url),
        ("VECTOR_DB_PROVIDER", "embedded,qdrant"),
        ("QDRANT_URL", &qdrant_url),
        ("GLIMPSE_ACCESS_LOG", access_log.to_str().unwrap()),
        ("GLIMPSE_LOG", "info,tower_http=debug"),
    ]);
    let service = Service::start(folder.path(), &variables);
    let upload_trace = "0".repeat(31) + "1";
    service.upload("cat.jpg", &sampled(&upload_trace)).await;
    let found =
        service.get("/search/images?q=a%20cat&provider=all&collapse=similar").header("traceparent", sampled(TRACE));
    let found = service.json(found.header("tracestate", "vendor=1").header("baggage", "user=hush")).await;
    assert_eq!(found["results"].as_array().unwrap().len(), 1, "{found}");

    let is_done = |spans: &[Received]| {
        spans.iter().any(|span| span.parent == PARENT && span.trace == TRACE)
            && spans.iter().any(|span| span.parent == PARENT && span.trace == upload_trace)
    };
    let spans = collector.until(is_done).await;
    insta::assert_snapshot!("search", tree(&spans, TRACE));
    insta::assert_snapshot!("upload", tree(&spans, &upload_trace));
    let request = spans.iter().find(|span| span.trace == TRACE && span.parent == PARENT).unwrap();
    assert_eq!(request.kind, SpanKind::Server);
    assert_eq!(request.attribute("http.response.status_code"), "200");
    assert_eq!((request.resource("service.name"), request.resource("glimpse.process")), ("glimpse-of-test", "service"));
    let image = spans.iter().find(|span| span.name == "index image").unwrap();
    assert_eq!((image.attribute("aws.s3.key"), image.is_error), ("images/cat.jpg", false));
    assert!(spans.iter().all(|span| !format!("{span:?}").contains("a cat")), "the text of a query is in no span");

    // The other services are parts of the traces.
    for (path, trace, stage) in [("/embedding/text", TRACE, "embed text"), ("/embedding/image", &upload_trace, "embed")]
    {
        let received = locked(&clip.traceparents).iter().find(|(to, _)| to == path).unwrap().1.clone();
        let call = spans.iter().find(|span| received == format!("00-{}-{}-01", span.trace, span.id)).unwrap();
        let parent = spans.iter().find(|span| span.id == call.parent).unwrap();
        assert_eq!((&*call.trace, &*call.name, call.kind, &*parent.name), (trace, "POST", SpanKind::Client, stage));
    }
    for (method, trace, name) in [("query", TRACE, "search documents"), ("upsert", &upload_trace, "upsert documents")] {
        let received = qdrant.traceparents(method).first().unwrap().clone();
        let call = spans.iter().find(|span| received == format!("00-{}-{}-01", span.trace, span.id)).unwrap();
        assert_eq!((&*call.trace, &*call.name, call.attribute("db.system.name")), (trace, name, "qdrant"));
    }
    let lines = std::fs::read_to_string(&access_log).unwrap();
    let line = lines.lines().find(|line| line.contains("/search/images")).unwrap();
    assert_eq!(serde_json::from_str::<Value>(line).unwrap()["trace_id"], TRACE);
    let log = std::fs::read_to_string(folder.path().join("log")).unwrap();
    assert!(log.contains(TRACE), "{log}");
    assert_eq!(service.process.stop(), Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_is_not_sampled_sends_nothing_and_a_malformed_header_begins_a_trace() {
    let (collector, clip, folder) =
        (Collector::start().await, CheapClip::start(Duration::ZERO).await, tempfile::tempdir().unwrap());
    let mut variables = collector.variables().to_vec();
    variables.extend([("IMAGE_EMBEDDING_PROVIDER", "clip"), ("CLIP_URL", &clip.url)]);
    let service = Service::start(folder.path(), &variables);
    service.upload("cat.jpg", &format!("00-{TRACE}-{PARENT}-00")).await;
    let search = || service.get("/search/images?q=a%20cat");
    service.json(search().header("traceparent", format!("00-{TRACE}-{PARENT}-00"))).await;
    let passed_on = locked(&clip.traceparents).last().unwrap().1.clone();
    assert!(passed_on.starts_with(&format!("00-{TRACE}-")) && passed_on.ends_with("-00"), "{passed_on}");

    let malformed = ["hello", "00-0-0-01", &format!("ff-{TRACE}-{PARENT}-01"), &"0".repeat(5_000)].map(str::to_owned);
    for (number, header) in malformed.iter().enumerate() {
        service
            .json(search().header("traceparent", header).header("x-request-id", format!("malformed-{number}")))
            .await;
    }
    // A probe is traced only if its sender is.
    service.json(service.get("/healthz")).await;
    service.json(service.get("/healthz").header("traceparent", sampled(TRACE))).await;
    assert_eq!(service.process.stop(), Some(0));
    let spans = collector.spans();
    let requests: Vec<_> =
        spans.iter().filter(|span| span.attribute("glimpse.request_id").starts_with("malformed")).collect();
    assert_eq!(requests.len(), malformed.len(), "the end of the service has sent all spans: {spans:#?}");
    assert!(requests.iter().all(|span| span.parent.is_empty() && span.name == "GET /search/images"), "{requests:#?}");
    assert_eq!(tree(&spans, TRACE), "GET /healthz\n", "only the sampled request");
    assert_eq!(spans.iter().filter(|span| span.name == "GET /healthz").count(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_has_a_trace_and_each_of_its_images_has_one_of_its_own() {
    let (collector, clip, folder) =
        (Collector::start().await, CheapClip::start(Duration::ZERO).await, tempfile::tempdir().unwrap());
    let notified = Arc::<Mutex<Vec<String>>>::default();
    let received = notified.clone();
    let receive = move |headers: HeaderMap| {
        locked(&received).push(headers["traceparent"].to_str().unwrap().to_owned());
        std::future::ready(StatusCode::NO_CONTENT)
    };
    let (webhooks, _receiver) = serve(Router::new().fallback(receive)).await;
    let mut variables = collector.variables().to_vec();
    variables.extend([("IMAGE_EMBEDDING_PROVIDER", "clip"), ("CLIP_URL", &clip.url)]);
    variables.push(("GLIMPSE_WEBHOOK_URL", &webhooks));
    let service = Service::start(folder.path(), &variables);
    for name in ["cat.jpg", "coffee.jpg", "rocket.jpg"] {
        service.upload(name, &format!("00-{TRACE}-{PARENT}-00")).await;
    }
    locked(&clip.traceparents).clear();
    let id = service.job().await;
    let has = |spans: &[Received], name: &str| spans.iter().any(|span| span.name == name);
    let spans = collector.until(|spans| has(spans, "job") && has(spans, "webhook")).await;
    let job = spans.iter().find(|span| span.name == "job").unwrap();
    assert_eq!(tree(&spans, &job.trace), "job\n  index\n  list\n");
    assert_eq!((job.attribute("glimpse.job_id"), job.attribute("glimpse.job_state")), (&*id, "SUCCEEDED"));
    let images: Vec<_> = spans.iter().filter(|span| !span.attribute("aws.s3.key").is_empty()).collect();
    assert_eq!(images.len(), 3, "{spans:#?}");
    for image in &images {
        assert_eq!(
            (image.attribute("glimpse.job_id"), &*image.parent, &image.links),
            (&*id, "", &vec![job.id.clone()])
        );
        for stage in ["fetch", "prepare", "embed", "upsert"] {
            assert_eq!(count(&spans, &image.trace, stage), 1, "{stage}: {}", tree(&spans, &image.trace));
        }
    }
    // The images of one call share it: it is in the trace of the first, and the others have a link to it.
    let calls = locked(&clip.traceparents).iter().filter(|(path, _)| path == "/embedding/image").count();
    let (leading, linked): (Vec<_>, Vec<_>) =
        spans.iter().filter(|span| span.name == "embed").partition(|span| span.links.is_empty());
    assert_eq!((leading.len(), linked.len()), (calls, 3 - calls));
    assert!(linked.iter().all(|stage| leading.iter().any(|first| stage.links == [first.id.clone()])));
    let call = spans.iter().find(|span| span.name == "POST" && span.trace == leading[0].trace).unwrap();
    assert_eq!((&*call.parent, call.attribute("http.response.status_code")), (&*leading[0].id, "200"));
    let webhook = spans.iter().find(|span| span.name == "webhook").unwrap();
    let sent = spans.iter().find(|span| span.parent == webhook.id).unwrap();
    assert_eq!(*locked(&notified), [format!("00-{}-{}-01", webhook.trace, sent.id)]);
    insta::assert_snapshot!("image", tree(&spans, &leading[0].trace));
    assert_eq!(service.process.stop(), Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collector_that_never_answers_disturbs_neither_searches_nor_the_end() {
    // Connections are accepted by the kernel, and nothing reads from them.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let hangs = format!("http://{}", listener.local_addr().unwrap());
    for endpoint in [&*hangs, "http://127.0.0.1:1"] {
        let folder = tempfile::tempdir().unwrap();
        let service = Service::start(folder.path(), &[("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint)]);
        service.upload("cat.jpg", &sampled(TRACE)).await;
        for _ in 0..20 {
            let found = service.json(service.get("/search/images?q=a%20cat")).await;
            assert_eq!(found["results"].as_array().unwrap().len(), 1);
        }
        if endpoint != hangs {
            let deadline = Instant::now() + Duration::from_mins(1);
            let has_failed = |line: &str| {
                line.strip_prefix("glimpse_trace_spans_total{outcome=\"failed\"} ").is_some_and(|number| number != "0")
            };
            while !service.get("/metrics").send().await.unwrap().text().await.unwrap().lines().any(has_failed) {
                assert!(Instant::now() < deadline);
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
        assert_eq!(service.process.stop(), Some(0));
        let log = std::fs::read_to_string(folder.path().join("log")).unwrap();
        let warnings = log.lines().filter(|line| line.contains("OTEL_EXPORTER_OTLP_ENDPOINT")).count();
        let late = log.lines().filter(|line| line.contains("the last spans")).count();
        assert_eq!((warnings, late), if endpoint == hangs { (0, 1) } else { (1, 0) }, "{log}");
    }
}
