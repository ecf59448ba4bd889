//! Repositories of the hub whose model cannot be used: each is refused with what is missing, before a tower is
//! downloaded, and in the same way whatever the cache holds.

use std::path::Path;

use glimpse::domain::FailureKind;
use glimpse::embed::EmbedError;
use glimpse::embed::hub::HubSettings;
use glimpse::embed::local::{Precision, Source};
use tempfile::TempDir;

use super::layouts::copy;
use crate::support::root;
use crate::support::services::hub::{FakeHub, Script};

async fn pull(hub: &FakeHub, home: &Path, model: &str) -> Result<(), String> {
    let hub = HubSettings {
        hf_endpoint: hub.url.parse().unwrap(),
        hf_home: home.display().to_string(),
        ..HubSettings::default()
    };
    let downloaded = match Source::named(model, Precision::Auto, &hub) {
        Ok(source) => source.download().await,
        Err(error) => Err(error),
    };
    match downloaded {
        Ok(_) => Ok(()),
        Err(EmbedError::Dependency(down)) if down.failure == FailureKind::Refused => Err(down.detail),
        Err(other) => panic!("{other:?}"),
    }
}

/// Copies the only size of the tiny model to another one.
fn two_sizes() -> TempDir {
    let (copy, family) = (tempfile::tempdir().unwrap(), root().join("tests/data/families/mobileclip2-sizes"));
    for file in ["tokenizer.json", "tokenizer_config.json", "special_tokens_map.json"] {
        std::fs::copy(family.join(file), copy.path().join(file)).unwrap();
    }
    for size in ["s0", "s2"] {
        let folder = copy.path().join("onnx").join(size);
        std::fs::create_dir_all(&folder).unwrap();
        for file in ["preprocessor_config.json", "text_model.onnx", "vision_model.onnx"] {
            std::fs::copy(family.join("onnx/s0").join(file), folder.join(file)).unwrap();
        }
    }
    copy
}

#[tokio::test]
async fn a_size_must_be_named_whatever_was_downloaded_before() {
    let copy = two_sizes();
    let hub = FakeHub::start(copy.path(), Script::default()).await;
    let home = tempfile::tempdir().unwrap();
    let unnamed = async || pull(&hub, home.path(), "org/mobileclip2").await.unwrap_err();
    let before = unnamed().await;
    assert!(before.contains("(s0, s2)") && before.contains("such as `:s0`"), "{before}");
    pull(&hub, home.path(), "org/mobileclip2:s0").await.unwrap();
    assert_eq!(unnamed().await, before);
}

#[tokio::test]
async fn a_naflex_and_a_missing_tower_are_refused_before_their_download() {
    let copy = copy();
    std::fs::remove_file(copy.path().join("onnx/text_model.onnx")).unwrap();
    let hub = FakeHub::start(copy.path(), Script::default()).await;
    let home = tempfile::tempdir().unwrap();
    for (model, message) in [
        ("org/siglip2-base-patch16-naflex-ONNX", "NaFlex"),
        ("org/clip", "the model has no text tower: there is onnx/vision_model.onnx, but no onnx/text_model.onnx"),
    ] {
        let error = pull(&hub, home.path(), model).await.unwrap_err();
        assert!(error.contains(message), "{error}");
    }
    let requests = hub.requests();
    assert!(!requests.iter().any(|request| request.contains("STORAGE")), "{requests:?}");
}
