//! A service with the demo images.

use super::TestApp;

/// Starts a service and indexes the 26 demo images.
pub(crate) async fn demo_service() -> TestApp {
    let app = TestApp::start().await;
    app.seed_demo().await;
    assert_eq!(app.ingest().await.counts.done, 26);
    app
}
