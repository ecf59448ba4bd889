//! Certificates of servers, and the authority that signs them.

use std::path::{Path, PathBuf};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use reqwest::{Certificate, ClientBuilder};
use rustls::pki_types::CertificateDer;

/// A private authority. Its files are in a folder that other users can read, as servers need it.
pub(crate) struct Authority {
    folder: tempfile::TempDir,
    issuer: CertifiedIssuer<'static, KeyPair>,
}

/// The files of a certificate and its key.
pub(crate) struct PairFiles {
    pub(crate) certificate: PathBuf,
    pub(crate) key: PathBuf,
}

impl PairFiles {
    pub(crate) fn certificate(&self) -> &str {
        self.certificate.to_str().unwrap()
    }

    pub(crate) fn key(&self) -> &str {
        self.key.to_str().unwrap()
    }
}

impl Authority {
    pub(crate) fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, "the authority of the tests");
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let folder = tempfile::tempdir().unwrap();
        std::fs::set_permissions(folder.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        std::fs::write(folder.path().join("authority.pem"), issuer.pem()).unwrap();
        Self { folder, issuer }
    }

    /// The file with the certificate of the authority.
    pub(crate) fn file(&self) -> String {
        self.folder.path().join("authority.pem").to_str().unwrap().to_owned()
    }

    pub(crate) fn der(&self) -> &CertificateDer<'static> {
        self.issuer.der()
    }

    /// Writes a new certificate for `localhost`, which is valid for these days and half a day, and its key. They replace those
    /// before. Half a day, so that a clock that is set meanwhile does not change the number of days.
    pub(crate) fn write_pair(&self, days: i64) -> PairFiles {
        let mut params = CertificateParams::new(["localhost".to_owned()]).unwrap();
        params.not_after = time::OffsetDateTime::now_utc() + time::Duration::days(days) + time::Duration::hours(12);
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap().pem();
        write_files(self.folder.path(), &certificate, &key.serialize_pem())
    }

    /// Lets a client trust this authority only.
    pub(crate) fn trust(&self, builder: ClientBuilder) -> ClientBuilder {
        builder.tls_certs_only([Certificate::from_der(self.der()).unwrap()])
    }
}

/// Writes a certificate for `localhost` that is signed by itself, as `openssl req -x509` makes it: it is marked as one of an
/// authority.
pub(crate) fn write_self_signed(folder: &Path) -> PairFiles {
    let mut params = CertificateParams::new(["localhost".to_owned()]).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().unwrap();
    let certificate = params.self_signed(&key).unwrap();
    write_files(folder, &certificate.pem(), &key.serialize_pem())
}

fn write_files(folder: &Path, certificate: &str, key: &str) -> PairFiles {
    let files = PairFiles { certificate: folder.join("certificate.pem"), key: folder.join("key.pem") };
    std::fs::write(&files.certificate, certificate).unwrap();
    std::fs::write(&files.key, key).unwrap();
    files
}
