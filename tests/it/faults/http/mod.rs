//! The HTTP API with unusual clients and loads.

mod bodies;
mod originals;
mod queries;
mod stopping;
mod thumbnails;

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::TestApp;

/// Longer than any request takes on a busy machine.
const REQUEST_TIMEOUT: Duration = Duration::from_mins(1);

/// Connects to the service and sends this text.
async fn connect(url: &str, sent: &str) -> TcpStream {
    let mut stream = TcpStream::connect(url.trim_start_matches("http://")).await.unwrap();
    stream.write_all(sent.as_bytes()).await.unwrap();
    stream
}

/// Reads until the reply contains `word`.
async fn read_until(stream: &mut TcpStream, word: &str) -> String {
    let mut all = Vec::new();
    let mut part = vec![0; 4096];
    tokio::time::timeout(REQUEST_TIMEOUT, async {
        loop {
            let got = stream.read(&mut part).await.unwrap();
            all.extend_from_slice(&part[..got]);
            let text = String::from_utf8_lossy(&all).into_owned();
            if got == 0 || text.contains(word) {
                return text;
            }
        }
    })
    .await
    .expect("nothing comes")
}

/// A service with one image that has become larger since it was indexed.
async fn grown(key: &str, bytes: usize, variables: &[(&str, &str)]) -> (TestApp, Vec<u8>) {
    let app = TestApp::start_with(variables).await;
    let cat = crate::support::demo_image("cat.jpg");
    app.put(key, cat.clone()).await;
    app.ingest().await;
    let large = [cat, vec![7; bytes]].concat();
    app.put(key, large.clone()).await;
    (app, large)
}
