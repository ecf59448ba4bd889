//! The files of the certificate and of the key.

use std::io::Read;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::pem::{Error as PemError, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use sha2::{Digest, Sha256};
use x509_cert::Certificate;
use x509_cert::der::Decode;
use x509_cert::ext::pkix::SubjectAltName;
use x509_cert::ext::pkix::name::GeneralName;

use super::TlsError;

const CERTIFICATE: &str = "GLIMPSE_TLS_CERT";
const KEY: &str = "GLIMPSE_TLS_KEY";
/// Maximum size of a file: a larger one is the wrong file.
const MAX_BYTES: u64 = 256 * 1024;
/// Maximum number of names of a certificate that are shown.
const MAX_NAMES: usize = 5;

/// A certificate with its key.
#[derive(Debug)]
pub(super) struct Pair {
    pub(super) key: Arc<CertifiedKey>,
    pub(super) facts: CertificateFacts,
    /// The SHA-256 of both files, by which a change is recognised.
    pub(super) fingerprint: [u8; 32],
}

/// What a certificate states.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateFacts {
    /// The names of the service, at most five of them.
    pub names: Vec<String>,
    /// When it becomes valid, in seconds since 1970.
    pub from_seconds: u64,
    /// When it ends, in seconds since 1970.
    pub until_seconds: u64,
    /// When it ends, as text.
    pub until: String,
}

impl CertificateFacts {
    /// Returns how long the certificate is valid from now on; zero if it has ended.
    pub fn remaining(&self) -> Duration {
        Duration::from_secs(self.until_seconds.saturating_sub(now()))
    }

    /// Returns why the certificate is not valid now, if it is not.
    pub fn problem_now(&self) -> Option<&'static str> {
        let now = now();
        if now > self.until_seconds {
            return Some("it has expired");
        }
        (now < self.from_seconds).then_some("it is not valid yet; check the clock of this machine")
    }

    fn parse(certificate: &[u8]) -> Result<Self, String> {
        let certificate = Certificate::from_der(certificate).map_err(|error| error.to_string())?;
        let content = certificate.tbs_certificate();
        let names = content.get_extension::<SubjectAltName>().ok().flatten().map(|(_, SubjectAltName(names))| names);
        let mut names: Vec<String> = names.into_iter().flatten().filter_map(shown_name).take(MAX_NAMES).collect();
        if names.is_empty() {
            names.push(printable(&content.subject().to_string()));
        }
        let validity = content.validity();
        let seconds = |time: SystemTime| time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        Ok(Self {
            names,
            from_seconds: seconds(validity.not_before.to_system_time()),
            until_seconds: seconds(validity.not_after.to_system_time()),
            until: validity.not_after.to_string(),
        })
    }
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

fn shown_name(name: GeneralName) -> Option<String> {
    match name {
        GeneralName::DnsName(name) => Some(printable(name.as_ref())),
        GeneralName::IpAddress(bytes) => match bytes.as_bytes() {
            bytes if bytes.len() == 4 => Some(std::net::Ipv4Addr::from(<[u8; 4]>::try_from(bytes).ok()?).to_string()),
            bytes => Some(std::net::Ipv6Addr::from(<[u8; 16]>::try_from(bytes).ok()?).to_string()),
        },
        _ => None,
    }
}

fn printable(name: &str) -> String {
    name.chars().filter(|c| !c.is_control()).take(253).collect()
}

/// Reads a certificate with its key.
pub(super) async fn load(certificate: &Path, key: &Path) -> Result<Pair, TlsError> {
    let (certificate, key) = (certificate.to_owned(), key.to_owned());
    let loaded = tokio::task::spawn_blocking(move || parse(&certificate, &key)).await;
    loaded.unwrap_or_else(|_| Err(TlsError::Library("reading the files failed".to_owned())))
}

fn parse(certificate: &Path, key: &Path) -> Result<Pair, TlsError> {
    let file = |setting, path: &Path| {
        read_file(path).map_err(|reason| TlsError::File { setting, path: path.to_owned(), reason })
    };
    let (certificate_pem, key_pem) = (file(CERTIFICATE, certificate)?, file(KEY, key)?);
    let [certificate_text, key_text] = [&certificate_pem, &key_pem].map(|pem| without_byte_order_mark(pem));
    let chain = CertificateDer::pem_slice_iter(certificate_text).collect::<Result<Vec<_>, _>>();
    let no_certificate = |reason| TlsError::NoCertificate { path: certificate.to_owned(), reason };
    let chain = chain.map_err(|error| no_certificate(format!(": {error}")))?;
    let facts = CertificateFacts::parse(chain.first().ok_or_else(|| no_certificate(String::new()))?);
    let facts = facts.map_err(|error| no_certificate(format!(": {error}")))?;
    let no_key = |reason| TlsError::NoKey { path: key.to_owned(), reason };
    if memchr::memmem::find(key_text, b"ENCRYPTED").is_some() {
        return Err(no_key(": it is encrypted with a password".to_owned()));
    }
    let private = PrivateKeyDer::from_pem_slice(key_text).map_err(|error| match error {
        PemError::NoItemsFound => no_key(String::new()),
        error => no_key(format!(": {error}")),
    })?;
    let certified = CertifiedKey::from_der(chain, private, &default_provider()).map_err(|error| match error {
        rustls::Error::InconsistentKeys(_) => {
            TlsError::Mismatch { certificate: certificate.to_owned(), key: key.to_owned() }
        }
        rustls::Error::InvalidCertificate(_) => no_certificate(format!(": {error}")),
        error => no_key(format!(": {error}")),
    })?;
    let fingerprint =
        Sha256::new().chain_update(&certificate_pem).chain_update([0]).chain_update(&key_pem).finalize().into();
    Ok(Pair { key: Arc::new(certified), facts, fingerprint })
}

/// Some editors begin a file with a mark of its encoding, which would hide the first certificate.
fn without_byte_order_mark(pem: &[u8]) -> &[u8] {
    pem.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(pem)
}

fn read_file(path: &Path) -> Result<Vec<u8>, String> {
    // A device or a pipe may never end, and is not opened.
    let metadata = std::fs::metadata(path).map_err(|error| error.to_string())?;
    if !metadata.is_file() {
        return Err("it is not a regular file".to_owned());
    }
    let mut bytes = Vec::new();
    let file = std::fs::File::open(path).map_err(|error| error.to_string())?;
    file.take(MAX_BYTES + 1).read_to_end(&mut bytes).map_err(|error| error.to_string())?;
    if bytes.len() as u64 > MAX_BYTES {
        return Err(format!("it has more than {MAX_BYTES} bytes, which is the maximum"));
    }
    Ok(bytes)
}
