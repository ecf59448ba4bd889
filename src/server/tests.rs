use std::convert::Infallible;
use std::net::SocketAddr;

use bytes::Bytes;
use hyper::Response;
use hyper::service::service_fn;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::{Instant, timeout};
use tokio_util::task::AbortOnDropHandle;

use super::*;

const TEST_TIMEOUT: Duration = Duration::from_mins(1);

struct Running {
    addr: SocketAddr,
    closing: CancellationToken,
    serving: AbortOnDropHandle<()>,
}

/// A server whose replies have `bytes` bytes.
async fn start(bytes: usize, change: impl FnOnce(&mut ServerSettings)) -> Running {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (addr, closing) = (listener.local_addr().unwrap(), CancellationToken::new());
    let service = service_fn(move |_: Request<Incoming>| async move {
        Ok::<_, Infallible>(Response::new(axum::body::Body::from(Bytes::from(vec![b'x'; bytes]))))
    });
    let mut settings = ServerSettings::new("test");
    change(&mut settings);
    #[expect(clippy::disallowed_methods, reason = "the handle aborts on drop")]
    let serving = AbortOnDropHandle::new(tokio::spawn(serve(listener, service, settings, closing.clone())));
    Running { addr, closing, serving }
}

async fn connect(running: &Running, sent: &[u8]) -> TcpStream {
    let mut stream = TcpStream::connect(running.addr).await.unwrap();
    stream.write_all(sent).await.unwrap();
    stream
}

/// Waits until the server closes the connection.
async fn end_of(stream: &mut TcpStream) -> Vec<u8> {
    let mut all = Vec::new();
    drop(timeout(TEST_TIMEOUT, stream.read_to_end(&mut all)).await.expect("the connection stays open"));
    all
}

const WHOLE_REQUEST: &[u8] = b"GET / HTTP/1.1\r\nhost: a\r\n\r\n";
/// Nothing, part of a head, part of an HTTP/2 preface, a preface alone, a preface with part of a frame.
const PARTIAL_REQUESTS: [&[u8]; 5] = [
    b"",
    b"GET / HTTP/1.1\r\nhos",
    b"PRI * HT",
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0",
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0",
];

#[tokio::test]
async fn a_head_that_does_not_arrive_in_time_ends_the_connection() {
    let running = start(10, |settings| settings.head_timeout = Duration::from_millis(300)).await;
    for partial in PARTIAL_REQUESTS {
        let mut stream = connect(&running, partial).await;
        end_of(&mut stream).await;
    }
    let mut kept_alive = connect(&running, WHOLE_REQUEST).await;
    assert!(end_of(&mut kept_alive).await.starts_with(b"HTTP/1.1 200"));
}

#[tokio::test]
async fn idle_connections_do_not_delay_the_end() {
    let running = start(10, |_| {}).await;
    let mut streams = Vec::new();
    for partial in PARTIAL_REQUESTS {
        streams.push(connect(&running, partial).await);
    }
    let mut kept_alive = connect(&running, WHOLE_REQUEST).await;
    let mut reply = [0; 12];
    kept_alive.read_exact(&mut reply).await.unwrap();
    running.closing.cancel();
    // Less than the timeout for a head, after which the connections would end by themselves.
    timeout(Duration::from_secs(20), running.serving).await.unwrap().unwrap();
    for mut stream in streams {
        end_of(&mut stream).await;
    }
}

#[tokio::test]
async fn a_connection_beyond_the_limit_closes_the_one_that_was_idle_for_longest() {
    let running = start(10, |settings| settings.max_connections = 2).await;
    let mut first = connect(&running, b"").await;
    let mut later = Vec::new();
    for _ in 0..6 {
        later.push(connect(&running, b"GET / HT").await);
    }
    end_of(&mut first).await;
    let mut newest = connect(&running, WHOLE_REQUEST).await;
    let mut reply = [0; 12];
    timeout(TEST_TIMEOUT, newest.read_exact(&mut reply)).await.unwrap().unwrap();
    assert_eq!(&reply, b"HTTP/1.1 200");
}

#[tokio::test]
async fn a_client_that_reads_nothing_is_disconnected_and_one_that_reads_slowly_is_not() {
    const BYTES: usize = 32 << 20;
    let running = start(BYTES, |settings| {
        settings.stall_timeout = Duration::from_secs(2);
        settings.head_timeout = Duration::from_secs(1);
    })
    .await;
    let mut slow = connect(&running, WHOLE_REQUEST).await;
    let frozen = connect(&running, WHOLE_REQUEST).await;
    let started = Instant::now();
    let mut part = vec![0; 256 * 1024];
    while started.elapsed() < Duration::from_secs(6) {
        slow.read_exact(&mut part).await.expect("it reads");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    end_of(&mut slow).await;
    running.closing.cancel();
    // The connection of the frozen client is closed, so the server has nothing to wait for.
    timeout(TEST_TIMEOUT, running.serving).await.unwrap().unwrap();
    drop(frozen);
}
