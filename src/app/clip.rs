//! The model alone, as a CLIP service for others.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use tokio::net::TcpListener;

use super::{BuildError, providers, until_drained};
use crate::clip::router;
use crate::config::Settings;
use crate::embed::{Proof, Verified};
use crate::shutdown::Shutdown;

/// A CLIP service that listens but does not answer yet.
#[derive(Debug)]
pub struct ClipService {
    listener: TcpListener,
    addr: SocketAddr,
    router: Router,
    lines: Vec<String>,
    shutdown: Shutdown,
}

impl ClipService {
    /// Loads the model of `CLIP_MODEL` and binds `wanted`. `IMAGE_EMBEDDING_PROVIDER` is of no matter: it says whom a
    /// service asks, and this is who is asked.
    ///
    /// # Errors
    /// [`BuildError`]
    pub async fn build(mut settings: Settings, wanted: SocketAddr, shutdown: &Shutdown) -> Result<Self, BuildError> {
        "local".clone_into(&mut settings.embed.image_embedding_provider);
        settings.validate().map_err(|error| BuildError::Settings(error.to_string()))?;
        let listener = TcpListener::bind(wanted).await.map_err(|source| match source.kind() {
            io::ErrorKind::AddrInUse => {
                BuildError::Settings(format!("{wanted} is in use by another process; say another with --addr"))
            }
            _ => BuildError::Settings(format!("cannot listen on {wanted}: {source}; say another address with --addr")),
        })?;
        let addr = listener.local_addr().map_err(|source| BuildError::Listen { addr: wanted, source })?;
        let raw = providers::raw(&settings).await?;
        let proof = Arc::new(Proof::new(raw.clone(), None));
        let provider = Arc::new(Verified::new(raw, proof.clone()));
        let end = shutdown.drain();
        shutdown.spawn("probe of the model", async move { proof.keep(end).await });
        let mut lines = vec![
            format!(
                "clip     http://{addr}  (--addr); elsewhere: IMAGE_EMBEDDING_PROVIDER=clip CLIP_URL=http://{addr}"
            ),
            format!(
                "model    {}, {} threads (CLIP_MODEL, GLIMPSE_EMBED_THREADS)",
                settings.embed.clip_model,
                settings.embed.threads()
            ),
        ];
        if !addr.ip().is_loopback() {
            lines.push("authenticator     none: whoever reaches this address may use it".to_owned());
        }
        let router = router(provider, settings.imaging.limits());
        Ok(Self { listener, addr, router, lines, shutdown: shutdown.clone() })
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// What it is and how to use it, one line each.
    pub fn lines(&self) -> &[String] {
        &self.lines
    }

    /// Answers until the shutdown begins, then lets what is in flight come to its end.
    ///
    /// # Errors
    /// [`BuildError::Serve`] where the HTTP server ends by itself.
    pub async fn serve(self) -> Result<(), BuildError> {
        until_drained(self.listener, self.router, &self.shutdown, async {}).await
    }
}
