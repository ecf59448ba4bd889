//! A collector that refuses messages.

use axum::http::StatusCode;

use super::collector::Collector;
use super::{Service, TRACE, sampled};
use crate::support::locked;

#[tokio::test(flavor = "multi_thread")]
async fn spans_are_sent_again_to_a_busy_collector_and_its_reply_is_a_short_line_in_the_log() {
    let (collector, folder) = (Collector::start().await, tempfile::tempdir().unwrap());
    let busy = |status| (status, [("retry-after", "1")], "");
    locked(&collector.refusals).extend([busy(StatusCode::SERVICE_UNAVAILABLE), busy(StatusCode::TOO_MANY_REQUESTS)]);
    let service = Service::start(folder.path(), &collector.variables());
    service.json(service.get("/healthz").header("traceparent", sampled(TRACE))).await;
    let spans = collector.until(|spans| !spans.is_empty()).await;
    assert_eq!((spans.len(), &*spans[0].trace, &*spans[0].name), (1, TRACE, "GET /healthz"));
    assert!(locked(&collector.refusals).is_empty());

    // Not a status for which a retry helps. The reply repeats the key of the request, and has control characters.
    let reply = "\u{1b}[31mwrong key\r\nopen sesame of \u{202e}a client";
    locked(&collector.refusals).push_back((StatusCode::BAD_REQUEST, [("retry-after", "1")], reply));
    service.json(service.get("/healthz").header("traceparent", sampled(TRACE))).await;
    assert_eq!(service.process.stop(), Some(0));
    assert_eq!(collector.spans().len(), 1, "the refused span is lost");
    let log = std::fs::read_to_string(folder.path().join("log")).unwrap();
    let line = log.lines().find(|line| line.contains("OTEL_EXPORTER_OTLP_ENDPOINT")).unwrap();
    assert!(line.contains("400 Bad Request: [31mwrong key (redacted) of a client"), "{line}");
    assert!(!log.contains("sesame") && !log.contains("429") && !log.contains("503"), "{log}");
}
