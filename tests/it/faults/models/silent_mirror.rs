//! A mirror whose replies end when it closes the connection, so that the client cannot see whether a body is complete.

use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use glimpse::embed::hub::HubSettings;
use glimpse::embed::local::{LocalProvider, Source};
use glimpse::embed::{EmbedSettings, ImageEmbeddingProvider};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::task::AbortOnDropHandle;

use crate::contract::embed::clip_tiny::folder;
use crate::support::services::hub::COMMIT;

/// Files that are still to be cut once.
type Cut = Arc<Mutex<Vec<&'static str>>>;

struct Mirror {
    url: String,
    cut: Cut,
    _task: AbortOnDropHandle<()>,
}

async fn mirror(cut: &[&'static str]) -> Mirror {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let cut: Cut = Arc::new(Mutex::new(cut.to_vec()));
    let shared = cut.clone();
    let task = tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            tokio::spawn(answer(stream, shared.clone()));
        }
    });
    Mirror { url, cut, _task: AbortOnDropHandle::new(task) }
}

/// Sends one reply without a length, and closes the connection. Does not support ranges.
async fn answer(stream: TcpStream, cut: Cut) {
    let mut stream = BufReader::new(stream);
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        if stream.read_until(b'\n', &mut head).await.unwrap_or(0) == 0 {
            return;
        }
    }
    let head = String::from_utf8(head).unwrap();
    let mut parts = head.split_whitespace();
    let (method, path) = (parts.next().unwrap(), parts.next().unwrap());
    let body = if let Some((_, file)) = path.split_once(&format!("/resolve/{COMMIT}/")) {
        let mut bytes = std::fs::read(folder().join(file)).unwrap();
        let mut cut = cut.lock().unwrap();
        if method == "GET" && cut.contains(&file) {
            cut.retain(|name| *name != file);
            bytes.truncate(bytes.len() / 2);
        }
        bytes
    } else {
        let names = ["config.json", "preprocessor_config.json", "tokenizer.json"];
        let towers = ["onnx/vision_model.onnx", "onnx/text_model.onnx"];
        let files: Vec<_> = names.iter().chain(&towers).map(|name| serde_json::json!({ "rfilename": name })).collect();
        serde_json::json!({ "sha": COMMIT, "siblings": files }).to_string().into_bytes()
    };
    let mut reply = b"HTTP/1.0 200 OK\r\nConnection: close\r\n\r\n".to_vec();
    if method == "GET" {
        reply.extend(body);
    }
    stream.write_all(&reply).await.unwrap();
    stream.shutdown().await.unwrap();
    // Waits until the client has read it: closing with unread bytes would reset the connection.
    stream.read_to_end(&mut Vec::new()).await.ok();
}

async fn open(mirror: &Mirror, home: PathBuf) -> LocalProvider {
    let settings = EmbedSettings { clip_model: "org/clip".to_owned(), ..EmbedSettings::default() };
    let hub = HubSettings {
        hf_endpoint: mirror.url.parse().unwrap(),
        hf_home: home.display().to_string(),
        ..HubSettings::default()
    };
    LocalProvider::open(Source::from_settings(&settings, &hub).unwrap(), std::num::NonZeroUsize::MIN).await.unwrap()
}

/// A5: a truncated file is not used, of whatever kind it is.
#[tokio::test]
async fn a_silently_truncated_file_is_not_used() {
    for cut in [&[][..], &["onnx/text_model.onnx", "tokenizer.json"]] {
        let mirror = mirror(cut).await;
        let home = tempfile::tempdir().unwrap();
        let model = open(&mirror, home.path().to_owned()).await;
        assert!(mirror.cut.lock().unwrap().is_empty(), "each was cut once");
        assert_eq!(model.space().await.unwrap().name(), "org/clip/24/crop-32-bicubic-floor");
        let snapshot = home.path().join("hub/models--org--clip/snapshots").join(COMMIT);
        for name in ["onnx/text_model.onnx", "tokenizer.json", "config.json"] {
            assert_eq!(std::fs::read(snapshot.join(name)).unwrap(), std::fs::read(folder().join(name)).unwrap());
        }
    }
}
