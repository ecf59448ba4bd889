//! The settings of TLS.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// The settings of TLS of the service itself.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct TlsSettings {
    /// `GLIMPSE_TLS_CERT`: a PEM file with the certificate of the service, followed by those that have signed it; empty
    /// (default): HTTP without TLS.
    pub glimpse_tls_cert: Option<PathBuf>,
    /// `GLIMPSE_TLS_KEY`: a PEM file with the key of the certificate.
    pub glimpse_tls_key: Option<PathBuf>,
}

impl TlsSettings {
    /// Returns the files of the certificate and of the key, if both are set.
    pub fn files(&self) -> Option<(&Path, &Path)> {
        Some((self.glimpse_tls_cert.as_deref()?, self.glimpse_tls_key.as_deref()?))
    }

    /// Returns the scheme of the addresses of the service: `https` or `http`.
    pub fn scheme(&self) -> &'static str {
        if self.files().is_some() { "https" } else { "http" }
    }

    /// Checks that both files are set, or none.
    ///
    /// # Errors
    /// A message that names the setting that is missing.
    pub fn validate(&self) -> Result<(), String> {
        match (&self.glimpse_tls_cert, &self.glimpse_tls_key) {
            (Some(_), None) => Err("GLIMPSE_TLS_CERT needs GLIMPSE_TLS_KEY, the PEM file with its key".to_owned()),
            (None, Some(_)) => {
                Err("GLIMPSE_TLS_KEY needs GLIMPSE_TLS_CERT, the PEM file with its certificate".to_owned())
            }
            (Some(_), Some(_)) | (None, None) => Ok(()),
        }
    }
}
