//! A service stops in time, whatever its clients do.

use std::time::{Duration, Instant};

use super::{connect, read_until};
use crate::cli::commands::RunningCommand;

/// None of these requests delays the service for longer than its replies may take.
async fn stops_soon(service: RunningCommand, halves: &[&str]) {
    let mut open = Vec::new();
    for half in halves {
        open.push(connect(&service.url, half).await);
    }
    // Everything that was sent before has arrived when this is answered.
    let mut kept_alive = connect(&service.url, "GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n").await;
    assert!(read_until(&mut kept_alive, "ok").await.contains("200"));
    let started = Instant::now();
    let code = tokio::task::spawn_blocking(move || service.stop()).await.unwrap();
    assert_eq!(code, Some(0));
    assert!(started.elapsed() < Duration::from_secs(15), "{:?}", started.elapsed());
    drop(open);
}

const HALF_HEAD: &str = "GET /jobs HTTP/1.1\r\nhost: local";
const HALF_HTTP2: &str = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const HALF_BODY: &str =
    "POST /jobs/images HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: 9\r\n\r\n{";

#[tokio::test(flavor = "multi_thread")]
async fn incomplete_requests_do_not_delay_the_end_of_the_service() {
    let folder = tempfile::tempdir().unwrap();
    let variables = [
        ("GLIMPSE_DATA_DIR", folder.path().to_str().unwrap()),
        ("GLIMPSE_ADDR", "127.0.0.1:0"),
        ("GLIMPSE_S3_ADDR", "127.0.0.1:0"),
    ];
    let service = RunningCommand::start(&variables, &["serve"], "service ");
    let bucket = service.line("bucket ");
    let bucket = bucket.split(' ').find(|word| word.starts_with("http")).unwrap().to_owned();
    let _half = connect(&bucket, HALF_HEAD).await;
    stops_soon(service, &["", HALF_HEAD, "PRI * HT", HALF_HTTP2, HALF_BODY]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn incomplete_requests_do_not_delay_the_end_of_the_model() {
    let service = RunningCommand::start(&[], &["clip", "--addr", "127.0.0.1:0"], "clip ");
    let body = "POST /embedding/text HTTP/1.1\r\nhost: localhost\r\ncontent-length: 9\r\n\r\n{";
    stops_soon(service, &["", HALF_HEAD, HALF_HTTP2, body]).await;
}
