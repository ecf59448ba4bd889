//! Traces of a worker in another process.

use serde_json::json;

use super::collector::{Collector, tree};
use crate::support::worker::{Worker, submit};
use crate::support::{TestApp, demo_image};

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_sends_the_traces_of_its_images() {
    let (collector, app) = (Collector::start().await, TestApp::start().await);
    for name in ["cat.jpg", "coffee.jpg"] {
        app.put(&format!("images/{name}"), demo_image(name)).await;
    }
    app.put("images/torn.jpg", demo_image("cat.jpg")[..2000].to_vec()).await;
    let job = submit(&app, json!({"s3_prefix": "images/", "executor": "workers"})).await;
    let worker = Worker::start(&app, &job, "one", &collector.variables());
    let (code, output) = worker.wait().await;
    assert_eq!(code, Some(0), "{output}");
    let spans = collector.spans();
    let images: Vec<_> = spans.iter().filter(|span| span.name == "index image").collect();
    assert_eq!(images.len(), 3, "the end of the worker has sent all spans: {spans:#?}");
    for image in &images {
        assert_eq!((image.attribute("glimpse.job_id"), image.resource("glimpse.process")), (&*job.job_id, "worker"));
    }
    let torn = images.iter().find(|image| image.attribute("aws.s3.key") == "images/torn.jpg").unwrap();
    assert!(torn.is_error && !torn.attribute("error.type").is_empty(), "{torn:#?}");
    assert_eq!(tree(&spans, &torn.trace), "index image\n  fetch\n  prepare\n");
    // The records are sent to the service, in the trace of one of them.
    let sent = spans.iter().find(|span| span.name == "POST").unwrap();
    let upsert = spans.iter().find(|span| span.id == sent.parent).unwrap();
    assert_eq!(upsert.attribute("db.system.name"), "embedded");
}
