//! Models from the Hugging Face hub, against a fake: tests do not use the network.

mod not_ready;

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use glimpse::domain::{FailureKind, Secret};
use glimpse::embed::hub::HubSettings;
use glimpse::embed::local::{LocalProvider, Precision, Source};
use glimpse::embed::{EmbedError, EmbedSettings, ImageEmbeddingProvider};
use tempfile::TempDir;
use tokio::sync::Notify;

use crate::contract::embed::clip_tiny::folder;
use crate::support::services::hub::{COMMIT, FakeHub, Script, TOKEN};

const IMAGE: &str = "onnx/vision_model.onnx";
const TEXT: &str = "onnx/text_model.onnx";

struct Home {
    folder: TempDir,
    settings: HubSettings,
}

impl Home {
    fn new(hub: &FakeHub) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let hf_home = folder.path().display().to_string();
        let settings = HubSettings { hf_endpoint: hub.url.parse().unwrap(), hf_home, ..HubSettings::default() };
        Self { folder, settings }
    }

    fn repo(&self) -> PathBuf {
        self.folder.path().join("hub/models--org--clip")
    }

    async fn open(&self, model: &str, precision: &str) -> Result<LocalProvider, EmbedError> {
        let settings = EmbedSettings {
            clip_model: model.to_owned(),
            clip_precision: precision.to_owned().try_into().unwrap(),
            ..EmbedSettings::default()
        };
        LocalProvider::open(Source::from_settings(&settings, &self.settings)?, NonZeroUsize::MIN).await
    }

    async fn works(&self) {
        let model = self.open("org/clip", "fp32").await.unwrap();
        assert_eq!(model.space().await.unwrap().name(), "org/clip/24/crop-32-bicubic-floor");
    }

    async fn refused(&self, model: &str) -> (FailureKind, String) {
        match self.open(model, "fp32").await {
            Err(EmbedError::Dependency(down)) => (down.failure, down.detail),
            second => panic!("{second:?}"),
        }
    }
}

fn bytes(name: &str) -> Vec<u8> {
    std::fs::read(folder().join(name)).unwrap()
}

/// The names of all files in a folder.
fn names(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).unwrap();
    let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[tokio::test]
async fn a_model_is_downloaded_once_and_then_needs_no_network() {
    let hub = FakeHub::start(&folder(), Script::default()).await;
    let home = Home::new(&hub);
    home.works().await;
    let requests = hub.requests();
    assert_eq!(requests[0], "GET org/clip main");
    assert_eq!(requests.iter().filter(|line| line.starts_with("STORAGE")).count(), 2, "{requests:?}");
    assert!(!requests.iter().any(|line| line.contains("int8") || line.contains("golden")), "{requests:?}");

    let repo = home.repo();
    assert_eq!(std::fs::read_to_string(repo.join("refs/main")).unwrap(), COMMIT);
    let snapshot = repo.join("snapshots").join(COMMIT);
    assert_eq!(std::fs::read(snapshot.join(IMAGE)).unwrap(), bytes(IMAGE));
    assert_eq!(names(&snapshot), ["config.json", "onnx", "preprocessor_config.json", "tokenizer.json"]);
    assert_eq!(names(&repo.join("blobs")).len(), 5);

    home.works().await;
    assert!(hub.requests().is_empty());
    let offline = HubSettings { hf_hub_offline: true, ..home.settings.clone() };
    Home { settings: offline, ..home }.works().await;
    assert!(hub.requests().is_empty());
}

#[tokio::test]
async fn a_model_is_downloaded_without_loading_it_and_its_size_is_known_before() {
    let hub = FakeHub::start(&folder(), Script::default()).await;
    let home = Home::new(&hub);
    let source = Source::named("org/clip", Precision::Fp32, &home.settings).unwrap();
    let outstanding = source.outstanding().await.unwrap();
    let files = ["config.json", "preprocessor_config.json", "tokenizer.json", IMAGE, TEXT];
    let size: usize = files.iter().map(|name| bytes(name).len()).sum();
    assert_eq!((outstanding.files, outstanding.bytes), (files.len(), size as u64));
    assert_eq!(source.download().await.unwrap(), [home.repo().join("snapshots").join(COMMIT)]);
    hub.requests();
    assert_eq!(source.outstanding().await.unwrap().files, 0);
    home.works().await;
    assert!(hub.requests().is_empty());
}

#[tokio::test]
async fn another_precision_downloads_only_missing_files() {
    let hub = FakeHub::start(&folder(), Script::default()).await;
    let home = Home::new(&hub);
    home.works().await;
    hub.requests();
    home.open("org/clip", "int8").await.unwrap();
    let fetched: Vec<_> = hub.requests().into_iter().filter(|line| line.starts_with("GET ")).collect();
    let expected = ["GET org/clip main", "GET onnx/vision_model_int8.onnx", "GET onnx/text_model_int8.onnx"];
    assert_eq!(fetched, expected);
}

#[tokio::test]
async fn an_interrupted_download_is_resumed() {
    let script = Script { cut: Some((IMAGE.to_owned(), 50_000)), ..Script::default() };
    let hub = FakeHub::start(&folder(), script).await;
    let home = Home::new(&hub);
    home.works().await;
    let storage: Vec<_> = hub.requests().into_iter().filter(|line| line.contains("STORAGE onnx/vision")).collect();
    assert_eq!(storage, [format!("STORAGE {IMAGE} all"), format!("STORAGE {IMAGE} bytes=50000-")]);
}

#[tokio::test]
async fn a_partial_file_of_an_earlier_process_is_resumed() {
    for no_ranges in [false, true] {
        let hub = FakeHub::start(&folder(), Script { no_ranges, ..Script::default() }).await;
        let home = Home::new(&hub);
        let etag = {
            use sha2::{Digest, Sha256};
            hex::encode(Sha256::digest(bytes(TEXT)))
        };
        std::fs::create_dir_all(home.repo().join("blobs")).unwrap();
        let part = home.repo().join("blobs").join(format!("{etag}.incomplete"));
        std::fs::write(&part, &bytes(TEXT)[..10_000]).unwrap();
        home.works().await;
        assert!(hub.requests().contains(&format!("STORAGE {TEXT} bytes=10000-")));
        assert!(!part.exists());
    }
}

#[tokio::test]
async fn a_corrupt_file_is_downloaded_again_and_never_used() {
    let once = Script { corrupt: Some((TEXT.to_owned(), 1)), ..Script::default() };
    let hub = FakeHub::start(&folder(), once).await;
    Home::new(&hub).works().await;

    let always = Script { corrupt: Some((TEXT.to_owned(), usize::MAX)), ..Script::default() };
    let hub = FakeHub::start(&folder(), always).await;
    let home = Home::new(&hub);
    let (failure, message) = home.refused("org/clip").await;
    assert_eq!(failure, FailureKind::Failed);
    assert!(message.contains(TEXT) && message.contains("SHA-256"), "{message}");
    assert!(!home.repo().join("refs/main").exists());
    assert!(!home.repo().join("snapshots").join(COMMIT).join(TEXT).exists());
}

#[tokio::test]
async fn a_private_model_needs_the_token_which_only_the_hub_receives() {
    let hub = FakeHub::start(&folder(), Script { private: true, ..Script::default() }).await;
    let home = Home::new(&hub);
    let (failure, message) = home.refused("org/clip").await;
    assert_eq!(failure, FailureKind::Refused);
    assert!(message.contains("HF_TOKEN") && message.contains("401"), "{message}");

    let settings = HubSettings { hf_token: Secret::new(TOKEN), ..home.settings.clone() };
    assert!(!format!("{settings:?}").contains(TOKEN));
    Home { settings, ..home }.works().await;
    assert!(!hub.leaked(), "the storage got the token");
}

#[tokio::test]
async fn missing_models_and_files_are_named() {
    let hub = FakeHub::start(&folder(), Script::default()).await;
    let home = Home::new(&hub);
    for model in ["org/missing", "org/clip@other"] {
        let (failure, message) = home.refused(model).await;
        assert_eq!(failure, FailureKind::Refused);
        assert!(message.contains(model) && message.contains("CLIP_MODEL"), "{message}");
    }
    let bare = tempfile::tempdir().unwrap();
    std::fs::create_dir(bare.path().join("onnx")).unwrap();
    std::fs::write(bare.path().join("model.safetensors"), "weights").unwrap();
    let hub = FakeHub::start(bare.path(), Script::default()).await;
    let (failure, message) = Home::new(&hub).refused("org/clip").await;
    assert_eq!(failure, FailureKind::Refused);
    assert!(message.contains("no towers exported to ONNX"), "{message}");
}

#[tokio::test]
async fn offline_without_the_files_is_an_error_with_a_remedy_and_no_request() {
    let hub = FakeHub::start(&folder(), Script::default()).await;
    let home = Home::new(&hub);
    let settings = HubSettings { hf_hub_offline: true, ..home.settings.clone() };
    let (failure, message) = Home { settings, ..home }.refused("org/clip").await;
    assert_eq!(failure, FailureKind::Refused);
    assert!(message.contains("HF_HUB_OFFLINE") && message.contains("models--org--clip"), "{message}");
    assert!(hub.requests().is_empty());
}

#[tokio::test]
async fn a_request_is_repeated_if_the_hub_is_down_for_a_moment() {
    let hub = FakeHub::start(&folder(), Script { down: 1, ..Script::default() }).await;
    Home::new(&hub).works().await;
}

/// Nothing listens at this address; on paused time the delays between the attempts pass at once.
#[tokio::test(start_paused = true)]
async fn an_unreachable_hub_is_a_retryable_failure() {
    let hub = FakeHub::start(&folder(), Script::default()).await;
    let mut home = Home::new(&hub);
    home.settings.hf_endpoint = "http://127.0.0.1:1".parse().unwrap();
    let (failure, message) = home.refused("org/clip").await;
    assert_eq!(failure, FailureKind::Failed);
    assert!(message.contains("HF_ENDPOINT"), "{message}");
}

/// Two providers act as two processes would: each has its own handle of the lock.
#[tokio::test]
async fn two_concurrent_downloads_fetch_each_file_once() {
    let gate = Arc::new(Notify::new());
    let script = Script { hold: Some((IMAGE.to_owned(), gate.clone())), ..Script::default() };
    let hub = FakeHub::start(&folder(), script).await;
    let home = Home::new(&hub);
    let downloads = async { tokio::join!(home.open("org/clip", "fp32"), home.open("org/clip", "fp32")) };
    // The permit is kept for the next waiter; a second download would wait for ever.
    gate.notify_one();
    let (first, second) = downloads.await;
    first.unwrap();
    second.unwrap();
    let requests = hub.requests();
    for file in [IMAGE, TEXT] {
        let times = requests.iter().filter(|line| line.starts_with(&format!("STORAGE {file}"))).count();
        assert_eq!(times, 1, "{file}: {requests:?}");
    }
}
