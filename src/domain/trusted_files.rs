//! Files with certificates that clients trust.

use std::path::PathBuf;

/// Files with certificates that are trusted in addition to those of the operating system.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TrustedFiles {
    /// `GLIMPSE_CA_FILE`: certificates of authorities, or of servers that have signed their certificate themselves.
    pub authorities: Option<PathBuf>,
    /// `GLIMPSE_TLS_CERT`, for a service on this machine: its first certificate is trusted under every name, because this
    /// machine is reached by its address, which the certificate seldom has.
    pub own: Option<PathBuf>,
}
