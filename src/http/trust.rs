//! Which certificates of servers are trusted in addition to those of the operating system.

use std::io::Read;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use reqwest::ClientBuilder;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::verify_server_name;
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, Error, SignatureScheme};
use rustls_platform_verifier::Verifier;
use x509_cert::Certificate;
use x509_cert::der::Decode;

use crate::domain::TrustedFiles;

/// Maximum size of a file with certificates.
const MAX_BYTES: u64 = 1024 * 1024;

/// Trusts the certificates of these files, too.
///
/// # Errors
/// A message that names the setting and the file.
pub(crate) fn trust_files(builder: ClientBuilder, files: &TrustedFiles) -> Result<ClientBuilder, String> {
    if *files == TrustedFiles::default() {
        return Ok(builder);
    }
    let authorities = read_certificates("GLIMPSE_CA_FILE", files.authorities.as_deref())?;
    let own = read_certificates("GLIMPSE_TLS_CERT", files.own.as_deref())?.into_iter().next();
    let provider = Arc::new(default_provider());
    let text = |error: Error| format!("TLS cannot be configured: {error}");
    let roots = authorities.iter().chain(&own).cloned();
    let system = Verifier::new_with_extra_roots(roots, provider.clone()).map_err(text)?;
    let verifier = Arc::new(ExactOr { system, authorities, own });
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let config = config.map_err(text)?.dangerous().with_custom_certificate_verifier(verifier).with_no_client_auth();
    Ok(builder.tls_backend_preconfigured(config))
}

fn read_certificates(setting: &str, path: Option<&Path>) -> Result<Vec<CertificateDer<'static>>, String> {
    let Some(path) = path else { return Ok(Vec::new()) };
    let invalid = |reason: String| format!("{setting} is `{}`, which cannot be used: {reason}", path.display());
    let mut pem = Vec::new();
    let file = std::fs::File::open(path).map_err(|error| invalid(error.to_string()))?;
    file.take(MAX_BYTES).read_to_end(&mut pem).map_err(|error| invalid(error.to_string()))?;
    let certificates = CertificateDer::pem_slice_iter(&pem).collect::<Result<Vec<_>, _>>();
    let certificates = certificates.map_err(|error| invalid(error.to_string()))?;
    if certificates.is_empty() {
        return Err(invalid("it has no certificate in PEM".to_owned()));
    }
    Ok(certificates)
}

/// Whether a request failed because the certificate of the server is not trusted.
pub(crate) fn is_untrusted(error: &reqwest::Error) -> bool {
    let is_certificate = |error: &Error| matches!(error, Error::InvalidCertificate(_));
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(error) = cause {
        if error.downcast_ref().is_some_and(is_certificate) {
            return true;
        }
        // The source of an I/O error is that of the error in it.
        let inner = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
        cause = inner.map(|inner| inner as _).or_else(|| error.source());
    }
    false
}

/// Accepts the certificates of the files themselves, and otherwise what the operating system or they have signed.
///
/// A certificate that a server has signed itself is usually marked as one of an authority. The library refuses such a certificate
/// of a server, even if it is trusted.
#[derive(Debug)]
struct ExactOr {
    system: Verifier,
    authorities: Vec<CertificateDer<'static>>,
    own: Option<CertificateDer<'static>>,
}

impl ServerCertVerifier for ExactOr {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        if self.own.as_ref().is_some_and(|own| own == end_entity) {
            check_time(end_entity, now)?;
            return Ok(ServerCertVerified::assertion());
        }
        if self.authorities.iter().any(|one| one == end_entity) {
            check_time(end_entity, now)?;
            verify_server_name(&ParsedCertificate::try_from(end_entity)?, server_name)?;
            return Ok(ServerCertVerified::assertion());
        }
        self.system.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.system.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.system.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.system.supported_verify_schemes()
    }
}

fn check_time(certificate: &CertificateDer<'_>, now: UnixTime) -> Result<(), Error> {
    let parsed = Certificate::from_der(certificate).map_err(|_| Error::from(CertificateError::BadEncoding))?;
    let validity = parsed.tbs_certificate().validity();
    let now = UNIX_EPOCH + Duration::from_secs(now.as_secs());
    if now > validity.not_after.to_system_time() {
        return Err(CertificateError::Expired.into());
    }
    if now < validity.not_before.to_system_time() {
        return Err(CertificateError::NotValidYet.into());
    }
    Ok(())
}
