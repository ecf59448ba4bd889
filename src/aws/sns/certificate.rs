//! A certificate with which SNS signs messages.

use std::time::SystemTime;

use aws_lc_rs::signature::{
    RSA_PKCS1_2048_8192_SHA1_FOR_LEGACY_USE_ONLY, RSA_PKCS1_2048_8192_SHA256, RsaParameters, UnparsedPublicKey,
};
use x509_cert::Certificate;
use x509_cert::ext::pkix::SubjectAltName;
use x509_cert::ext::pkix::name::GeneralName;

use crate::domain::TopicArn;

/// The key of a certificate, and when it may be used.
#[derive(Clone, Debug)]
pub(super) struct SigningCertificate {
    /// In the format of PKCS #1.
    public_key: Vec<u8>,
    not_before: SystemTime,
    not_after: SystemTime,
}

impl SigningCertificate {
    /// Reads a certificate for the messages of a topic.
    ///
    /// # Errors
    /// Returns what is wrong with the certificate.
    pub(super) fn parse(pem: &[u8], topic: &TopicArn) -> Result<Self, String> {
        let certificates = Certificate::load_pem_chain(pem);
        let certificates = certificates.map_err(|error| format!("the certificate of SNS cannot be read: {error}"))?;
        let certificate = certificates.first().ok_or("the reply of SNS has no certificate")?;
        let content = certificate.tbs_certificate();
        let names = content.get_extension::<SubjectAltName>().ok().flatten().map(|(_, SubjectAltName(names))| names);
        let names: Vec<String> = names.into_iter().flatten().filter_map(dns_name).collect();
        if !names.iter().any(|name| is_name_of_sns(name, topic)) {
            return Err(format!("the certificate is not one of SNS in {}", topic.region()));
        }
        let public_key = content.subject_public_key_info().subject_public_key.raw_bytes().to_vec();
        let validity = content.validity();
        Ok(Self {
            public_key,
            not_before: validity.not_before.to_system_time(),
            not_after: validity.not_after.to_system_time(),
        })
    }

    /// Verifies a signature of RSA with PKCS #1 v1.5.
    ///
    /// # Errors
    /// Returns what is wrong.
    pub(super) fn verify(&self, version: &str, text: &[u8], signature: &[u8], now: SystemTime) -> Result<(), String> {
        if now < self.not_before || now > self.not_after {
            return Err("the certificate of SNS is not valid now; check the clock".to_owned());
        }
        let parameters: &'static RsaParameters = match version {
            "1" => &RSA_PKCS1_2048_8192_SHA1_FOR_LEGACY_USE_ONLY,
            "2" => &RSA_PKCS1_2048_8192_SHA256,
            _ => return Err("`SignatureVersion` must be `1` or `2`".to_owned()),
        };
        let key = UnparsedPublicKey::new(parameters, &self.public_key);
        key.verify(text, signature).map_err(|_| "the signature is wrong".to_owned())
    }
}

fn dns_name(name: GeneralName) -> Option<String> {
    match name {
        GeneralName::DnsName(name) => Some(name.to_string()),
        _ => None,
    }
}

/// Whether SNS signs the messages of the topic's region under this name. The names differ by region: see `SnsHostProvider` in
/// the SDK for Java.
fn is_name_of_sns(name: &str, topic: &TopicArn) -> bool {
    let (region, domain) = (topic.region(), topic.domain());
    // The other region of the government has the certificate of this one.
    let region_of_name = if region.starts_with("us-gov-") { "us-gov-west-1" } else { region };
    [
        format!("sns.{domain}"),
        format!("sns.{region}.{domain}"),
        format!("sns-signing.{region}.{domain}"),
        format!("sns-{region_of_name}.{domain}"),
    ]
    .iter()
    .any(|known| name.eq_ignore_ascii_case(known))
}

#[cfg(test)]
#[path = "certificate_tests.rs"]
mod tests;
