//! A service that was stopped, with its folder.

use std::path::Path;

use tempfile::TempDir;

use super::TestApp;

/// A stopped service.
pub(crate) struct Stopped {
    pub(super) folder: TempDir,
    pub(super) variables: Vec<(String, String)>,
}

impl Stopped {
    pub(crate) fn data(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) async fn start(self) -> TestApp {
        TestApp::start_over(self.folder, self.variables).await
    }
}
