//! The layouts of several publishers (`tests/data/families`), from a fake hub: exactly the files that are needed are
//! downloaded, and the vectors are those of the reference.

use std::num::NonZeroUsize;
use std::path::Path;

use glimpse::embed::hub::HubSettings;
use glimpse::embed::local::{LocalProvider, Source};
use glimpse::embed::{EmbedSettings, ImageEmbeddingProvider};
use serde_json::Value;

use crate::contract::embed::clip_tiny::embedding;
use crate::support::services::hub::{FakeHub, Script};

async fn open(hub: &FakeHub, home: &Path, model: &str, offline: bool) -> LocalProvider {
    let settings = EmbedSettings { clip_model: model.to_owned(), ..EmbedSettings::default() };
    let hub = HubSettings {
        hf_endpoint: hub.url.parse().unwrap(),
        hf_home: home.display().to_string(),
        hf_hub_offline: offline,
        ..HubSettings::default()
    };
    LocalProvider::open(Source::from_settings(&settings, &hub).unwrap(), NonZeroUsize::MIN).await.unwrap()
}

#[tokio::test]
async fn each_layout_loads_from_a_hub() {
    for (family, model, cut) in [
        ("openclip-immich", "immich-app/ViT-B-32__openai", None),
        ("jina-clip-v2", "jinaai/jina-clip-v2", Some("onnx/model.onnx_data")),
        ("sentence-transformers", "org/clip", None),
        ("qdrant-clip", "Qdrant/clip-ViT-B-32-vision", None),
        ("mobileclip2-sizes", "plhery/mobileclip2-onnx:s0", Some("onnx/s0/text_model.onnx")),
    ] {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/families").join(family);
        let golden: Value = serde_json::from_slice(&std::fs::read(folder.join("golden.json")).unwrap()).unwrap();
        let (text, vector) = (golden["texts"][0]["text"].as_str().unwrap(), embedding(&golden["texts"][0]["vector"]));
        let cut = cut.map(|file| (file.to_owned(), 1_000));
        let hub = FakeHub::start(&folder, Script { cut, ..Script::default() }).await;
        let home = tempfile::tempdir().unwrap();
        for offline in [false, true] {
            let provider = open(&hub, home.path(), model, offline).await;
            let cosine = provider.embed_text(text).await.unwrap().cosine(&vector);
            assert!(cosine >= 0.9999, "{family}: {cosine}");
            provider.space().await.unwrap();
            let requests = hub.requests();
            assert!(!requests.iter().any(|line| line.contains("golden.json")), "{family}: {requests:?}");
            assert_eq!(requests.is_empty(), offline, "{family}: {requests:?}");
        }
    }
}
