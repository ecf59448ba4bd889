//! The process of a real proxy.

use std::net::TcpStream;
use std::process::{Child, Command};
use std::time::{Duration, Instant};

/// A running proxy; it ends when this is dropped.
pub(crate) struct ProxyProcess {
    process: Child,
    _folder: tempfile::TempDir,
}

impl ProxyProcess {
    pub(super) fn new(process: Child, folder: tempfile::TempDir) -> Self {
        Self { process, _folder: folder }
    }
}

/// Waits until the proxy listens.
pub(super) fn wait_for_listener(proxy: &mut ProxyProcess, address: &str) {
    let deadline = Instant::now() + Duration::from_mins(1);
    while TcpStream::connect(address).is_err() {
        assert!(proxy.process.try_wait().unwrap().is_none(), "the proxy has ended");
        assert!(Instant::now() < deadline, "the proxy does not listen");
        std::thread::sleep(Duration::from_millis(20));
    }
}

impl Drop for ProxyProcess {
    fn drop(&mut self) {
        // SIGTERM, so that it also ends its workers.
        Command::new("kill").arg(self.process.id().to_string()).status().ok();
        self.process.wait().ok();
    }
}
