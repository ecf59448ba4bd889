//! TLS of the server itself: the certificate, which is read again while the server runs, and the handshake.

mod error;
mod files;
mod handshake;
mod plain_http;
mod settings;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};
use std::sync::{Arc, RwLock};
use std::time::Duration;

use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use tokio::time::{MissedTickBehavior, interval};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

pub use error::TlsError;
pub use files::CertificateFacts;
pub use settings::TlsSettings;

pub(super) use handshake::accept_tls;

use crate::lock::{read, write};
use crate::telemetry::metrics::{families, gauge};
use files::Pair;

/// How often the files are read. Reading is cheap, and mounted secrets report changes in different ways.
const POLL_INTERVAL: Duration = Duration::from_secs(5);

/// The certificate of a server and its key. Clones share them.
#[derive(Clone, Debug)]
pub struct ServerTls {
    files: Arc<(PathBuf, PathBuf)>,
    current: Arc<Current>,
    config: Arc<ServerConfig>,
}

/// The pair that new connections get.
#[derive(Debug)]
struct Current(RwLock<Pair>);

impl ResolvesServerCert for Current {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(read(&self.0).key.clone())
    }
}

impl ServerTls {
    /// Reads the certificate and its key; `None` if none are set. Logs a warning if the certificate is not valid now.
    ///
    /// # Errors
    /// [`TlsError`]
    pub async fn open(settings: &TlsSettings) -> Result<Option<Self>, TlsError> {
        let Some((certificate, key)) = settings.files() else { return Ok(None) };
        let pair = files::load(certificate, key).await?;
        if let Some(problem) = pair.facts.problem_now() {
            tracing::warn!(file = %certificate.display(), problem, "the certificate of GLIMPSE_TLS_CERT is not valid now");
        }
        record_expiry(&pair);
        let current = Arc::new(Current(RwLock::new(pair)));
        let mut config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|error| TlsError::Library(error.to_string()))?
            .with_no_client_auth()
            .with_cert_resolver(current.clone());
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        let files = Arc::new((certificate.to_owned(), key.to_owned()));
        Ok(Some(Self { files, current, config: Arc::new(config) }))
    }

    /// Returns the facts of the certificate that new connections get.
    pub fn facts(&self) -> CertificateFacts {
        read(&self.current.0).facts.clone()
    }

    /// Reads the files at regular intervals until `end`. A new pair is used for new connections.
    pub async fn keep(self, end: CancellationToken) {
        let mut ticks = interval(POLL_INTERVAL);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut problem = None;
        while end.run_until_cancelled(ticks.tick()).await.is_some() {
            self.reload(&mut problem).await;
        }
    }

    /// Reads the files again. If they cannot be used, the pair that was read before stays in use, and `problem` has the
    /// reason that was logged.
    async fn reload(&self, problem: &mut Option<String>) {
        let (certificate, key) = &*self.files;
        match files::load(certificate, key).await {
            Ok(pair) => {
                if pair.fingerprint == read(&self.current.0).fingerprint {
                    *problem = None;
                    return;
                }
                if let Some(reason) = pair.facts.problem_now()
                    && self.facts().problem_now().is_none()
                {
                    return keep_current(
                        &format!("the new certificate of GLIMPSE_TLS_CERT is not valid now: {reason}"),
                        problem,
                    );
                }
                *problem = None;
                let CertificateFacts { names, until, .. } = &pair.facts;
                tracing::info!(names = names.join(", "), until = %until, "new connections use the new certificate of GLIMPSE_TLS_CERT");
                if let Some(problem) = pair.facts.problem_now() {
                    tracing::warn!(problem, "the new certificate of GLIMPSE_TLS_CERT is not valid now");
                }
                record_expiry(&pair);
                *write(&self.current.0) = pair;
            }
            Err(error) => keep_current(&error.to_string(), problem),
        }
    }

    fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(self.config.clone())
    }
}

/// Logs once why the certificate that was read before stays in use.
fn keep_current(error: &str, problem: &mut Option<String>) {
    if problem.as_deref() != Some(error) {
        tracing::warn!(error, "the certificate that was read before stays in use");
        *problem = Some(error.to_owned());
    }
}

/// Reads the facts of the certificate in a pair of files, for a check.
///
/// # Errors
/// [`TlsError`] if a server could not use the pair.
pub async fn check_pair(certificate: &Path, key: &Path) -> Result<CertificateFacts, TlsError> {
    files::load(certificate, key).await.map(|pair| pair.facts)
}

#[expect(clippy::cast_precision_loss, reason = "seconds since 1970 are exact for millions of years")]
fn record_expiry(pair: &Pair) {
    gauge!(families::TLS_EXPIRY).set(pair.facts.until_seconds as f64);
}
