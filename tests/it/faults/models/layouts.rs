//! Layouts in which one model is published: each gives the vectors and the space of `tests/data/clip-tiny`, from a
//! folder and from a hub.

use std::num::NonZeroUsize;
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use glimpse::domain::FailureKind;
use glimpse::embed::hub::HubSettings;
use glimpse::embed::local::{LocalProvider, Precision, Source};
use glimpse::embed::{EmbedError, EmbedSettings, ImageEmbeddingProvider};
use glimpse::imaging::PreparedImage;
use tempfile::TempDir;

use super::external::externalised;
use crate::contract::embed::clip_tiny::{embedding, folder, golden, tiny};
use crate::support::services::hub::{FakeHub, Script};

const PREPROCESSOR: &str = "preprocessor_config.json";
const TOWERS: [&str; 2] = ["vision_model", "text_model"];

/// A copy of the model with its towers in `onnx/`.
pub(crate) fn copy() -> TempDir {
    let copy = tempfile::tempdir().unwrap();
    std::fs::create_dir(copy.path().join("onnx")).unwrap();
    for name in ["config.json", PREPROCESSOR, "tokenizer.json"] {
        std::fs::copy(folder().join(name), copy.path().join(name)).unwrap();
    }
    for tower in TOWERS {
        let name = format!("onnx/{tower}.onnx");
        std::fs::copy(folder().join(&name), copy.path().join(&name)).unwrap();
    }
    copy
}

fn rewrite(folder: &Path, name: &str, change: impl FnOnce(String) -> String) {
    let path = folder.join(name);
    let before = std::fs::read_to_string(&path).unwrap();
    let after = change(before.clone());
    assert_ne!(before, after, "{name}");
    std::fs::write(path, after).unwrap();
}

/// A copy in which both towers keep their weights in these files; `{}` is the name of the tower.
pub(crate) fn with_weights_in(names: &[&str]) -> TempDir {
    let copy = copy();
    for tower in TOWERS {
        let path = copy.path().join(format!("onnx/{tower}.onnx"));
        let names: Vec<_> = names.iter().map(|name| name.replace("{}", tower)).collect();
        let (onnx, files) =
            externalised(&std::fs::read(&path).unwrap(), &names.iter().map(String::as_str).collect::<Vec<_>>());
        std::fs::write(&path, onnx).unwrap();
        for (name, bytes) in names.iter().zip(files) {
            let file = copy.path().join("onnx").join(name);
            std::fs::create_dir_all(file.parent().unwrap()).unwrap();
            std::fs::write(file, bytes).unwrap();
        }
    }
    copy
}

async fn from_folder(folder: &Path) -> Result<LocalProvider, EmbedError> {
    LocalProvider::open(Source::folder(folder, Precision::Fp32), NonZeroUsize::MIN).await
}

pub(crate) async fn from_hub(hub: &FakeHub, home: &Path, offline: bool) -> Result<LocalProvider, EmbedError> {
    let settings = EmbedSettings { clip_model: "org/clip".to_owned(), ..EmbedSettings::default() };
    let hub = HubSettings {
        hf_endpoint: hub.url.parse().unwrap(),
        hf_home: home.display().to_string(),
        hf_hub_offline: offline,
        ..HubSettings::default()
    };
    LocalProvider::open(Source::from_settings(&settings, &hub)?, NonZeroUsize::MIN).await
}

/// Compares with the vectors of transformers, and with the space of the model in the repository.
async fn assert_same(model: &LocalProvider, what: &str) {
    let golden = golden();
    for expected in golden["texts"].as_array().unwrap().iter().take(6) {
        let ours = model.embed_text(expected["text"].as_str().unwrap()).await.unwrap();
        let cosine = ours.cosine(&embedding(&expected["embedding"]));
        assert!(cosine >= 0.9999, "{what}: {}: {cosine}", expected["text"]);
    }
    for expected in golden["images"].as_array().unwrap() {
        let rgb = STANDARD.decode(expected["rgb"].as_str().unwrap()).unwrap();
        let ours = model.embed_image(&PreparedImage { size: 32, rgb: rgb.into() }).await.unwrap();
        let cosine = ours.cosine(&embedding(&expected["embedding"]));
        assert!(cosine >= 0.9999, "{what}: {}: {cosine}", expected["file"]);
    }
    let plain = tiny(Precision::Fp32).await.space().await.unwrap();
    plain.admits(&model.space().await.unwrap()).unwrap();
}

/// From a folder, from a hub, and from the cache that this filled.
async fn assert_same_from_everywhere(copy: &Path, what: &str) {
    assert_same(&from_folder(copy).await.unwrap(), what).await;
    let hub = FakeHub::start(copy, Script::default()).await;
    let home = tempfile::tempdir().unwrap();
    assert_same(&from_hub(&hub, home.path(), false).await.unwrap(), what).await;
    hub.requests();
    assert_same(&from_hub(&hub, home.path(), true).await.unwrap(), what).await;
    assert!(hub.requests().is_empty(), "{what}");
}

fn refused(opened: Result<LocalProvider, EmbedError>) -> String {
    match opened {
        Err(EmbedError::Dependency(down)) if down.failure == FailureKind::Refused => down.detail,
        other => panic!("{other:?}"),
    }
}

/// A1: transformers writes both from 4.26 on.
#[tokio::test]
async fn a_preprocessor_with_both_type_keys_loads() {
    let kind = "\"image_processor_type\": \"CLIPImageProcessor\"";
    for (what, now) in [
        (
            "both",
            "\"feature_extractor_type\": \"CLIPFeatureExtractor\", \"image_processor_type\": \"CLIPImageProcessor\"",
        ),
        ("the older one", "\"feature_extractor_type\": \"CLIPFeatureExtractor\""),
        ("none", "\"processor_class\": \"CLIPProcessor\""),
    ] {
        let copy = copy();
        rewrite(copy.path(), PREPROCESSOR, |json| json.replace(kind, now));
        assert_same_from_everywhere(copy.path(), what).await;
    }
}

/// A1: the same values as other editors and libraries write them.
#[tokio::test]
async fn descriptions_with_a_byte_order_mark_and_floats_load() {
    let copy = copy();
    for name in [PREPROCESSOR, "config.json", "tokenizer.json"] {
        rewrite(copy.path(), name, |json| format!("\u{feff}{json}"));
    }
    rewrite(copy.path(), PREPROCESSOR, |json| json.replace("\"shortest_edge\": 32", "\"shortest_edge\": 32.0"));
    assert_same_from_everywhere(copy.path(), "byte order mark").await;
}

/// A2: names that exporters use, and names that only the ONNX file contains.
#[tokio::test]
async fn weights_outside_the_onnx_file_load_under_any_name() {
    for names in [
        &["{}.onnx_data"][..],
        &["{}.onnx.data"],
        &["{}.onnx_data", "{}.onnx_data_1", "{}.onnx_data_2"],
        &["{}-weights.bin"],
        &["{}w", "./{}x"],
        &["weights/{}/all"],
        &["vision_model.{}.layernorm.weight", "Constant_7 {}", "{}-0f8fad5b-d9cb-469f-a165-70867728950e"],
    ] {
        assert_same_from_everywhere(with_weights_in(names).path(), names[0]).await;
    }
}

/// A2: a cache without the weights, filled by another tool or an older version.
#[tokio::test]
async fn a_cache_without_the_weights_is_completed_or_refused_with_the_files_name() {
    let whole = with_weights_in(&["{}.bin"]);
    let hub = FakeHub::start(whole.path(), Script::default()).await;
    let home = tempfile::tempdir().unwrap();
    from_hub(&hub, home.path(), false).await.unwrap();
    let snapshots = home.path().join("hub/models--org--clip/snapshots");
    let snapshot = std::fs::read_dir(snapshots).unwrap().next().unwrap().unwrap().path();
    std::fs::remove_file(snapshot.join("onnx/text_model.bin")).unwrap();
    let message = refused(from_hub(&hub, home.path(), true).await);
    assert!(message.contains("onnx/text_model.bin") && message.contains("HF_HUB_OFFLINE"), "{message}");
    assert_same(&from_hub(&hub, home.path(), false).await.unwrap(), "completed").await;

    std::fs::remove_file(whole.path().join("onnx/text_model.bin")).unwrap();
    let message = refused(from_folder(whole.path()).await);
    assert!(
        message.contains("text_model.onnx") && message.contains("`text_model.bin`, which is not there"),
        "{message}"
    );
    let hub = FakeHub::start(whole.path(), Script::default()).await;
    let message = refused(from_hub(&hub, tempfile::tempdir().unwrap().path(), false).await);
    assert!(message.contains("it needs the file onnx/text_model.bin"), "{message}");
}

/// A2: a downloaded model must not read other files of this machine.
#[tokio::test]
async fn weights_outside_the_models_folder_are_refused() {
    for name in ["../{}.bin", "/tmp/glimpse-no-such-folder/{}.bin", "a/../../{}.bin"] {
        let copy = copy();
        let path = copy.path().join("onnx/text_model.onnx");
        let name = name.replace("{}", "weights");
        std::fs::write(&path, externalised(&std::fs::read(&path).unwrap(), &[&name]).0).unwrap();
        let hub = FakeHub::start(copy.path(), Script::default()).await;
        let home = tempfile::tempdir().unwrap();
        for opened in [from_folder(copy.path()).await, from_hub(&hub, home.path(), false).await] {
            let message = refused(opened);
            assert!(
                message.contains("text_model.onnx") && message.contains(&name) && message.contains("without `..`"),
                "{message}"
            );
        }
    }
}

/// A3: in one file the inputs and outputs have 16 bits, too; in the other only the inside.
#[tokio::test]
async fn a_folder_with_only_fp16_towers_loads() {
    let copy = copy();
    for tower in TOWERS {
        std::fs::remove_file(copy.path().join(format!("onnx/{tower}.onnx"))).unwrap();
        let name = format!("onnx/{tower}_fp16.onnx");
        std::fs::copy(folder().join(&name), copy.path().join(&name)).unwrap();
    }
    assert_same_from_everywhere(copy.path(), "fp16").await;
    assert_same(&tiny(Precision::Fp16).await, "CLIP_PRECISION=fp16").await;
}

/// A3: the error names the files that cannot be used.
#[tokio::test]
async fn a_folder_with_other_onnx_files_is_refused_with_their_names() {
    let copy = copy();
    for tower in TOWERS {
        let onnx = copy.path().join("onnx");
        std::fs::rename(onnx.join(format!("{tower}.onnx")), onnx.join(format!("{tower}_bnb4.onnx"))).unwrap();
    }
    let hub = FakeHub::start(copy.path(), Script::default()).await;
    let home = tempfile::tempdir().unwrap();
    for opened in [from_folder(copy.path()).await, from_hub(&hub, home.path(), false).await] {
        let message = refused(opened);
        assert!(message.contains("onnx/text_model_bnb4.onnx, onnx/vision_model_bnb4.onnx"), "{message}");
    }
}

/// A4: transformers 5 saves the image processor there, and reads it there first.
#[tokio::test]
async fn a_nested_image_processor_of_transformers_5_loads() {
    let copy = copy();
    let old = copy.path().join(PREPROCESSOR);
    let values = std::fs::read_to_string(&old).unwrap();
    let nested = format!("{{\"processor_class\": \"CLIPProcessor\", \"image_processor\": {values}}}");
    std::fs::write(copy.path().join("processor_config.json"), nested).unwrap();
    std::fs::remove_file(&old).unwrap();
    assert_same_from_everywhere(copy.path(), "nested alone").await;

    std::fs::write(&old, values.replace("\"resample\": 3", "\"resample\": 2")).unwrap();
    assert_same_from_everywhere(copy.path(), "nested before the older file").await;

    std::fs::write(copy.path().join("processor_config.json"), "{\"processor_class\": \"CLIPProcessor\"}").unwrap();
    std::fs::write(&old, values).unwrap();
    assert_same_from_everywhere(copy.path(), "the older file, beside one without the values").await;
}
