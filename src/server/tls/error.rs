//! Why a certificate or a key cannot be used.

use std::path::PathBuf;

/// Why the files of `GLIMPSE_TLS_CERT` and `GLIMPSE_TLS_KEY` cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read.
    #[error("{setting} is `{}`, which cannot be read: {reason}", path.display())]
    File {
        /// The name of the setting.
        setting: &'static str,
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// The first file has no certificate.
    #[error(
        "GLIMPSE_TLS_CERT is `{}`, which has no usable certificate{reason}; it must be a PEM file with the certificate of the \
         service, followed by those that have signed it",
        path.display()
    )]
    NoCertificate {
        /// The file.
        path: PathBuf,
        /// What is wrong, after a colon; or nothing.
        reason: String,
    },
    /// The second file has no private key.
    #[error(
        "GLIMPSE_TLS_KEY is `{}`, which has no usable private key{reason}; it must be a PEM file with a key without a \
         password, in PKCS #8, PKCS #1 or SEC 1",
        path.display()
    )]
    NoKey {
        /// The file.
        path: PathBuf,
        /// What is wrong, after a colon; or nothing.
        reason: String,
    },
    /// The key belongs to another certificate.
    #[error(
        "the key of GLIMPSE_TLS_KEY (`{}`) does not belong to the first certificate of GLIMPSE_TLS_CERT (`{}`)",
        key.display(),
        certificate.display()
    )]
    Mismatch {
        /// The file of the certificate.
        certificate: PathBuf,
        /// The file of the key.
        key: PathBuf,
    },
    /// The TLS library refuses its configuration.
    #[error("TLS cannot be configured: {0}")]
    Library(String),
}
