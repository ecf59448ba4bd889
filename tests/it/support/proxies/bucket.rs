//! A service whose bucket is external, with a proxy between them.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use glimpse::source::{EmbeddedS3, EmbeddedS3Settings};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

use super::http::{HttpProxy, ProxyAction};
use crate::support::TestApp;

/// A service whose bucket is external, with a proxy that counts the reads.
pub(crate) struct ProxiedBucketApp {
    pub(crate) app: TestApp,
    /// The number of requests for objects, of any kind.
    objects: Arc<AtomicUsize>,
    /// The number of pages of listings that are answered before the bucket refuses to list.
    pub(crate) pages: Arc<AtomicUsize>,
    pub(crate) refuses: Arc<AtomicBool>,
    _proxy: HttpProxy,
    _server: EmbeddedS3,
    _folder: TempDir,
}

/// The name of an object for which the bucket always fails.
pub(crate) const BROKEN_OBJECT: &str = "/cursed.jpg";

const DENIED: &str = "<?xml version=\"1.0\"?><Error><Code>AccessDenied</Code><Message>no</Message></Error>";

impl ProxiedBucketApp {
    pub(crate) async fn start(variables: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let free = "127.0.0.1:0".parse().unwrap();
        let settings = EmbeddedS3Settings {
            addr: free,
            durable: false,
            ..EmbeddedS3Settings::in_folder(folder.path().join("s3"))
        };
        let server = EmbeddedS3::start(settings, &CancellationToken::new()).await.unwrap();
        let (objects, pages) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let refuses = Arc::new(AtomicBool::new(false));
        let (counted, listed, refused) = (objects.clone(), pages.clone(), refuses.clone());
        let proxy = HttpProxy::new(&server.endpoint(), move |uri| {
            if uri.path().ends_with(BROKEN_OBJECT) && uri.query().is_some_and(|query| query.contains("x-id=GetObject"))
            {
                return ProxyAction::Reply(500, "");
            }
            if !uri.query().is_some_and(|query| query.contains("list-type=2")) {
                counted.fetch_add(1, Ordering::SeqCst);
            } else if refused.load(Ordering::SeqCst) && listed.fetch_add(1, Ordering::SeqCst) >= 1 {
                return ProxyAction::Reply(403, DENIED);
            }
            ProxyAction::Pass
        })
        .await;
        let credentials = server.credentials().clone();
        let url = proxy.url();
        let all = [
            &[
                ("S3_ENDPOINT", url.as_str()),
                ("S3_ACCESS_KEY_ID", &credentials.access_key_id),
                ("S3_SECRET_ACCESS_KEY", &credentials.secret_access_key),
            ],
            variables,
        ]
        .concat();
        let app = TestApp::start_with(&all).await;
        Self { app, objects, pages, refuses, _proxy: proxy, _server: server, _folder: folder }
    }

    /// The number of requests for objects since the last call.
    pub(crate) fn reads(&self) -> usize {
        self.objects.swap(0, Ordering::SeqCst)
    }
}
