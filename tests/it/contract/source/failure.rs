//! Servers that refuse, stall, send wrong data and break off, and the retries.

use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use glimpse::domain::{FailureKind, ImageRef, ImageUri};
use glimpse::resilience::{Breaker, BreakerSettings, Guard, WaitList};
use glimpse::source::{
    EmbeddedS3, EmbeddedS3Settings, GuardedSource, ImageSource, NewObject, S3Credentials, S3Settings, S3Source, Scope,
    SourceError,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use crate::contract::source::settings;
use crate::support::free_address;

fn anyone() -> S3Credentials {
    S3Credentials { access_key_id: "anyone".to_owned(), secret_access_key: "secret".to_owned() }
}

fn image(key: &str) -> ImageRef {
    ImageRef { uri: ImageUri::new("pipeline", key), etag: None, size_bytes: 0, modified: None }
}

/// A server that answers every request with these bytes and closes the connection; without bytes, it never answers.
struct FixedServer {
    endpoint: String,
    _task: AbortOnDropHandle<()>,
}

impl FixedServer {
    async fn start(reply: &'static str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let serve = async move {
            let mut open_connections = Vec::new();
            while let Ok((mut stream, _)) = listener.accept().await {
                read_head(&mut stream).await;
                stream.write_all(reply.as_bytes()).await.unwrap();
                if reply.is_empty() {
                    open_connections.push(stream);
                }
            }
        };
        #[expect(clippy::disallowed_methods, reason = "aborted when its handle is dropped")]
        let task = AbortOnDropHandle::new(tokio::spawn(serve));
        Self { endpoint, _task: task }
    }

    async fn source(&self) -> S3Source {
        let settings = S3Settings { max_bytes: 9, ..settings(self.endpoint.clone(), anyone()) };
        S3Source::new(S3Settings { timeout: Duration::from_millis(200), ..settings }).await.unwrap()
    }

    async fn fetch(&self) -> Result<Vec<u8>, SourceError> {
        self.source().await.fetch(&image("k")).await.map(|fetched| fetched.bytes.to_vec())
    }
}

async fn read_head(stream: &mut TcpStream) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") && stream.read_buf(&mut head).await.unwrap_or(0) > 0 {}
}

fn failure(error: SourceError) -> FailureKind {
    match error {
        SourceError::Dependency(error) => error.failure,
        other => panic!("{other}"),
    }
}

#[tokio::test]
async fn a_truncated_body_is_not_an_image() {
    let server = FixedServer::start("HTTP/1.1 200 OK\r\ncontent-length: 8\r\n\r\nabc").await;
    let uri = image("k").uri;
    assert_eq!(server.fetch().await, Err(SourceError::BrokenOff { uri, got: 3, expected: 8 }));
}

#[tokio::test]
async fn too_large_is_noticed_while_reading() {
    let server = FixedServer::start(
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n6\r\nabcdef\r\n6\r\nghijkl\r\n0\r\n\r\n",
    )
    .await;
    let uri = image("k").uri;
    assert!(matches!(server.fetch().await, Err(SourceError::TooLarge { uri: of, bytes: 10.., limit: 9 }) if of == uri));
}

#[tokio::test]
async fn too_large_is_noticed_in_the_header_before_the_body() {
    let server = FixedServer::start("HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nabc").await;
    let uri = image("k").uri;
    assert_eq!(server.fetch().await, Err(SourceError::TooLarge { uri, bytes: 100, limit: 9 }));
}

async fn list(reply: &'static str) -> Vec<Result<String, SourceError>> {
    let server = FixedServer::start(reply).await;
    let scope = Scope { bucket: "pipeline".to_owned(), prefix: String::new(), start_after: None };
    let listing = server.source().await.list(&scope);
    listing.map(|image| image.map(|image| image.uri.key().to_owned())).collect().await
}

#[tokio::test]
async fn keys_are_decoded_as_amazon_encodes_them_and_only_if_they_are_encoded() {
    let encoded = "HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n<ListBucketResult><EncodingType>url</EncodingType>\
         <IsTruncated>false</IsTruncated><Contents><Key>a+b%2B%C3%BC%25.jpg</Key></Contents></ListBucketResult>";
    assert_eq!(list(encoded).await, [Ok("a b+ü%.jpg".to_owned())]);
    let plain = "HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n<ListBucketResult>\
         <IsTruncated>false</IsTruncated><Contents><Key>a+b%2B.jpg</Key></Contents></ListBucketResult>";
    assert_eq!(list(plain).await, [Ok("a+b%2B.jpg".to_owned())]);
}

#[tokio::test]
async fn a_truncated_listing_is_not_taken_as_complete() {
    let reply = "HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n<ListBucketResult><IsTruncated>true</IsTruncated>\
         <Contents><Key>a.jpg</Key></Contents></ListBucketResult>";
    let error = list(reply).await.remove(0).unwrap_err();
    assert!(matches!(&error, SourceError::Operator(_)) && error.to_string().contains("ListObjectsV2"), "{error}");
}

#[tokio::test]
async fn a_listing_that_ends_with_its_connection_is_a_failure_of_the_service() {
    for reply in [
        "HTTP/1.0 200 OK\r\n\r\n<ListBucketResult><IsTruncated>false</IsTruncated><Contents><Key>a.jpg</Key></Conte",
        "HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n<ListBucketResult><IsTruncated>false</IsTruncated>",
    ] {
        let error = list(reply).await.remove(0).unwrap_err();
        assert_eq!(failure(error), FailureKind::Failed, "{reply}");
    }
}

#[tokio::test]
async fn a_part_that_was_not_requested_and_an_error_with_a_success_status_are_not_the_object() {
    let part = "HTTP/1.1 206 Partial Content\r\ncontent-length: 3\r\ncontent-range: bytes 0-2/8\r\n\r\nabc";
    let uri = image("k").uri;
    let source = FixedServer::start(part).await;
    let expected = SourceError::BrokenOff { uri: uri.clone(), got: 3, expected: 8 };
    assert_eq!(source.fetch().await, Err(expected.clone()));
    assert_eq!(source.source().await.open(&uri, None).await.unwrap_err(), expected);
    let whole = "HTTP/1.1 206 Partial Content\r\ncontent-length: 3\r\ncontent-range: bytes 0-2/3\r\n\r\nabc";
    assert_eq!(FixedServer::start(whole).await.fetch().await.unwrap(), b"abc");

    let failed = "HTTP/1.1 200 OK\r\ncontent-length: 44\r\n\r\n<Error><Code>InternalError</Code> </Error>  ";
    let source = FixedServer::start(failed).await;
    let large = S3Settings { max_bytes: 99, ..settings(source.endpoint.clone(), anyone()) };
    let large = S3Source::new(large).await.unwrap();
    assert_eq!(failure(large.fetch(&image("k")).await.unwrap_err()), FailureKind::Failed);
    assert_eq!(failure(large.open(&uri, None).await.unwrap_err()), FailureKind::Failed);
    let stored =
        "HTTP/1.1 200 OK\r\netag: \"1\"\r\ncontent-length: 44\r\n\r\n<Error><Code>InternalError</Code> </Error>  ";
    let source = FixedServer::start(stored).await;
    let large =
        S3Source::new(S3Settings { max_bytes: 99, ..settings(source.endpoint.clone(), anyone()) }).await.unwrap();
    assert_eq!(large.fetch(&image("k")).await.unwrap().bytes.len(), 44, "an object has an ETag");
}

#[tokio::test]
async fn a_chunked_body_without_a_length_is_read() {
    let server =
        FixedServer::start("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n6\r\nabcdef\r\n0\r\n\r\n").await;
    assert_eq!(server.fetch().await.unwrap(), b"abcdef");
}

#[tokio::test]
async fn a_busy_service_sends_retry_after() {
    let server = FixedServer::start(
        "HTTP/1.1 503 Slow Down\r\nretry-after: 7\r\ncontent-length: 50\r\nconnection: close\r\n\r\n\
         <Error><Code>SlowDown</Code><Message/></Error>    ",
    )
    .await;
    let retry_after = Duration::from_secs(7);
    assert_eq!(failure(server.fetch().await.unwrap_err()), FailureKind::Busy { retry_after });
}

#[tokio::test]
async fn a_failing_or_stalled_service_is_not_a_failure_of_the_image() {
    let failing = FixedServer::start("HTTP/1.1 500 Oh\r\ncontent-length: 0\r\nconnection: close\r\n\r\n").await;
    assert_eq!(failure(failing.fetch().await.unwrap_err()), FailureKind::Failed);
    let silent = FixedServer::start("").await;
    assert_eq!(failure(silent.fetch().await.unwrap_err()), FailureKind::TimedOut);
    let no_http = FixedServer::start("SSH-2.0-OpenSSH\r\n").await;
    assert_eq!(failure(no_http.fetch().await.unwrap_err()), FailureKind::Failed);
}

#[tokio::test]
async fn a_stalled_body_times_out() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let settings = S3Settings {
        timeout: Duration::from_millis(300),
        ..settings(format!("http://{}", listener.local_addr().unwrap()), anyone())
    };
    let source = S3Source::new(settings).await.unwrap();
    let server = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        read_head(&mut stream).await;
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 8\r\n\r\nabc").await.unwrap();
        std::future::pending::<()>().await;
    };
    let expected = image("k");
    tokio::select! {
        fetched = source.fetch(&expected) => assert_eq!(failure(fetched.unwrap_err()), FailureKind::TimedOut),
        () = server => {}
    }
}

#[tokio::test]
async fn a_refused_connection_is_a_failure_of_the_dependency() {
    let endpoint = format!("http://{}", free_address());
    let source = S3Source::new(settings(endpoint, anyone())).await.unwrap();
    assert_eq!(failure(source.fetch(&image("k")).await.unwrap_err()), FailureKind::Failed);
    assert_eq!(failure(source.ensure_bucket("pipeline").await.unwrap_err()), FailureKind::Failed);
}

#[tokio::test]
async fn impossible_settings_are_refused() {
    let endpoint = settings("minio:9000".to_owned(), anyone());
    assert!(S3Source::new(endpoint).await.unwrap_err().to_string().contains("http://"));
    let region = S3Settings { region: String::new(), ..settings("http://x".to_owned(), anyone()) };
    S3Source::new(region).await.unwrap_err();
}

#[tokio::test]
async fn a_guarded_source_waits_for_a_server_that_is_down_and_continues() {
    let folder = tempfile::tempdir().unwrap();
    let mut at = EmbeddedS3Settings::in_folder(folder.path());
    at.addr.set_port(0);
    let server = EmbeddedS3::start(at.clone(), &CancellationToken::new()).await.unwrap();
    at.addr = server.addr();
    let inner = S3Source::new(settings(server.endpoint(), server.credentials().clone())).await.unwrap();
    let breaker = Breaker::new(BreakerSettings { threshold: 1, cool_down: Duration::from_millis(20) });
    let wait_list = WaitList::default();
    let source =
        GuardedSource::new(Arc::new(inner), Guard::background("s3", wait_list.clone()).with_breaker(Arc::new(breaker)));
    source.put(&image("k").uri, NewObject { bytes: "x".into(), ..NewObject::default() }).await.unwrap();
    server.stop().await;

    let fetch = async { assert_eq!(&source.fetch(&image("k")).await.unwrap().bytes[..], b"x") };
    let mut fetch = Box::pin(fetch);
    while wait_list.snapshot().is_none() {
        assert!(futures::poll!(fetch.as_mut()).is_pending(), "no server answers");
        tokio::task::yield_now().await;
    }
    assert_eq!(wait_list.snapshot().unwrap().dependency, "s3");
    let _server = EmbeddedS3::start(at, &CancellationToken::new()).await.unwrap();
    fetch.await;
    assert_eq!(wait_list.snapshot(), None);
}
