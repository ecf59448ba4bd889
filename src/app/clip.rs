//! The model as a CLIP service for other programs.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use tokio::net::TcpListener;

use super::serve::serve_until_drained;
use super::{BuildError, providers};
use crate::clip_server::router;
use crate::config::Settings;
use crate::domain::InvalidSetting;
use crate::embed::{ProviderKind, Verification, Verified};
use crate::shutdown::Shutdown;

/// A CLIP service that listens but does not answer requests yet.
#[derive(Debug)]
pub struct ClipService {
    listener: TcpListener,
    addr: SocketAddr,
    router: Router,
    lines: Vec<String>,
    shutdown: Shutdown,
}

impl ClipService {
    /// Loads the model of `CLIP_MODEL` and binds the address `requested`. `IMAGE_EMBEDDING_PROVIDER` has no effect: it
    /// selects the provider of a service, and this process is a provider.
    ///
    /// # Errors
    /// [`BuildError`]
    pub async fn build(mut settings: Settings, requested: SocketAddr, shutdown: &Shutdown) -> Result<Self, BuildError> {
        settings.embed.image_embedding_provider = ProviderKind::Local;
        settings.validate()?;
        let listener = TcpListener::bind(requested).await.map_err(|source| {
            let problem = match source.kind() {
                io::ErrorKind::AddrInUse => format!("{requested} is in use by another process"),
                _ => format!("cannot listen on {requested}: {source}"),
            };
            BuildError::Setting(InvalidSetting(format!("{problem}; choose another address with --addr")))
        })?;
        let addr = listener.local_addr().map_err(|source| BuildError::Listen { addr: requested, source })?;
        let raw = providers::raw(&settings).await?;
        let verification = Arc::new(Verification::new(raw.clone(), None));
        let provider = Arc::new(Verified::new(raw, verification.clone()));
        let end = shutdown.drain();
        shutdown.spawn("probe of the model", async move { verification.keep(end).await });
        let mut lines = vec![
            format!(
                "clip     http://{addr}  (--addr); to use it: IMAGE_EMBEDDING_PROVIDER=clip CLIP_URL=http://{addr}"
            ),
            format!("model    {}, {}", settings.embed.clip_model, providers::engine_line(&settings)),
        ];
        if !addr.ip().is_loopback() {
            lines.push("auth     none: everyone who can reach this address can use the service".to_owned());
        }
        let router = router(provider, settings.imaging.limits());
        Ok(Self { listener, addr, router, lines, shutdown: shutdown.clone() })
    }

    /// Returns the address that it listens on.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Returns lines that describe the service and how to use it.
    pub fn lines(&self) -> &[String] {
        &self.lines
    }

    /// Answers requests until the shutdown begins, and then finishes the requests in flight.
    ///
    /// # Errors
    /// [`BuildError::Serve`] if the HTTP server ends by itself.
    pub async fn serve(self) -> Result<(), BuildError> {
        serve_until_drained(self.listener, self.router, None, &self.shutdown, async {}).await
    }
}
