//! Hubs behind mirrors and proxies: without sizes, or with other redirects.

use glimpse::domain::FailureKind;
use glimpse::embed::EmbedError;

use super::layouts::from_hub;
use crate::contract::embed::clip_tiny::folder;
use crate::support::services::hub::{FakeHub, MirrorKind, Script};

const IMAGE: &str = "onnx/vision_model.onnx";

fn bare() -> Script {
    Script { mirror_kind: MirrorKind::Bare, ..Script::default() }
}

/// A5: chunked replies, no `X-Linked-*`, no etag; `HEAD` has a length of 0, is refused, or is not allowed.
#[tokio::test]
async fn a_download_from_a_mirror_without_sizes_completes() {
    for mirror_kind in [MirrorKind::Bare, MirrorKind::BareWithoutHead, MirrorKind::WithoutHead] {
        let hub = FakeHub::start(&folder(), Script { mirror_kind, ..Script::default() }).await;
        let home = tempfile::tempdir().unwrap();
        from_hub(&hub, home.path(), false).await.unwrap();
        assert!(!hub.leaked());
        let requests = hub.requests();
        let whole = requests.iter().filter(|line| line.starts_with("STORAGE")).count();
        assert_eq!(whole, 2, "each tower is downloaded once: {requests:?}");
        from_hub(&hub, home.path(), true).await.unwrap();
    }
}

/// A5: the end of a chunked reply is known, so a download that breaks off is resumed.
#[tokio::test]
async fn an_interrupted_download_from_a_mirror_without_sizes_is_resumed() {
    for no_ranges in [false, true] {
        let hub =
            FakeHub::start(&folder(), Script { cut: Some((IMAGE.to_owned(), 50_000)), no_ranges, ..bare() }).await;
        let home = tempfile::tempdir().unwrap();
        from_hub(&hub, home.path(), false).await.unwrap();
        let storage: Vec<_> = hub.requests().into_iter().filter(|line| line.contains("STORAGE onnx/vision")).collect();
        assert_eq!(storage, [format!("STORAGE {IMAGE} all"), format!("STORAGE {IMAGE} bytes=50000-")]);
    }
}

/// A5: redirects have a limit.
#[tokio::test]
async fn circular_redirects_are_a_clear_error() {
    let hub = FakeHub::start(&folder(), Script { mirror_kind: MirrorKind::Circle, ..Script::default() }).await;
    let home = tempfile::tempdir().unwrap();
    match from_hub(&hub, home.path(), false).await {
        Err(EmbedError::Dependency(down)) => {
            assert_eq!(down.failure, FailureKind::Failed);
            assert!(down.detail.contains("redirected more than 10 times"), "{down}");
        }
        other => panic!("{other:?}"),
    }
}
