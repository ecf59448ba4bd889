//! The service SNS: the certificates of its signatures, and the confirmation of subscriptions.
//!
//! SNS signs with a certificate that it publishes as one PEM block, without the certificate that has signed it. So the chain
//! cannot be verified. What is trusted is the host: the certificate is read by HTTPS from the exact host of the topic's
//! region, whose own certificate is verified. Name and validity are checked too, as the SDK for Java does it.

mod certificate;
mod urls;

use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use base64_simd::STANDARD;
use lru::LruCache;
use reqwest::{Client, Url};

use self::certificate::SigningCertificate;
use crate::domain::{TopicArn, with_causes};
use crate::http::{client_builder, read_body};
use crate::lock::lock;
use crate::mirrors::{Sns, SnsError, SnsMessage};

/// Maximum time of one request. SNS waits 15 s for the reply to a message, which can need two requests.
const TIMEOUT: Duration = Duration::from_secs(5);
/// Maximum size of a certificate, and of the reply to a confirmation.
const MAX_BYTES: usize = 32 * 1024;
/// Maximum number of certificates that are kept. SNS has one for each region, and seldom changes it.
const MAX_CERTIFICATES: NonZeroUsize = NonZeroUsize::new(16).expect("16 is not 0");

/// How SNS is reached. The default is the service of AWS; tests have another one.
#[derive(Clone, Debug, Default)]
pub struct SnsConnection {
    /// The only trusted root certificates, in DER; those of the operating system if it is empty.
    pub roots: Vec<Vec<u8>>,
    /// Addresses of hosts, in place of those of DNS.
    pub addresses: Vec<(String, SocketAddr)>,
}

/// The client of SNS.
#[derive(Debug)]
pub struct SnsClient {
    http: Client,
    certificates: Mutex<LruCache<String, Arc<SigningCertificate>>>,
    /// Held while a certificate is requested: one at a time, because those who send messages choose its URL.
    request: tokio::sync::Mutex<()>,
}

impl SnsClient {
    /// Creates the client; makes no network call.
    ///
    /// # Errors
    /// The message of the HTTP library.
    pub fn new(connection: &SnsConnection) -> Result<Self, String> {
        let base = Url::parse("https://sns.amazonaws.com").map_err(|error| error.to_string())?;
        let mut builder = client_builder(&base).https_only(true).timeout(TIMEOUT);
        if !connection.roots.is_empty() {
            let roots = connection.roots.iter().map(|root| reqwest::Certificate::from_der(root));
            let roots: Result<Vec<_>, _> = roots.collect();
            builder = builder.tls_certs_only(roots.map_err(|error| with_causes(&error))?).no_proxy();
        }
        for (host, address) in &connection.addresses {
            builder = builder.resolve(host, *address);
        }
        let http = builder.build().map_err(|error| with_causes(&error))?;
        let certificates = Mutex::new(LruCache::new(MAX_CERTIFICATES));
        Ok(Self { http, certificates, request: tokio::sync::Mutex::new(()) })
    }

    fn known_certificate(&self, url: &Url) -> Option<Arc<SigningCertificate>> {
        lock(&self.certificates).get(url.as_str()).cloned()
    }

    async fn certificate(&self, topic: &TopicArn, url: &Url) -> Result<Arc<SigningCertificate>, SnsError> {
        if let Some(known) = self.known_certificate(url) {
            return Ok(known);
        }
        let busy = |_| SnsError::Unavailable("other certificates of SNS are being requested".to_owned());
        let _request = tokio::time::timeout(TIMEOUT, self.request.lock()).await.map_err(busy)?;
        if let Some(known) = self.known_certificate(url) {
            return Ok(known);
        }
        let pem = self.get(url, "the certificate").await?;
        let certificate = SigningCertificate::parse(&pem, topic).map_err(SnsError::Refused)?;
        let certificate = Arc::new(certificate);
        lock(&self.certificates).put(url.to_string(), certificate.clone());
        Ok(certificate)
    }

    async fn get(&self, url: &Url, what: &str) -> Result<Vec<u8>, SnsError> {
        let unavailable =
            |reason: String| SnsError::Unavailable(format!("{what} cannot be requested from SNS: {reason}"));
        let reply = self.http.get(url.clone()).send().await.map_err(|error| unavailable(with_causes(&error)))?;
        let status = reply.status();
        if status.is_client_error() {
            return Err(SnsError::Refused(format!("SNS replies {status} to the request for {what}")));
        }
        if !status.is_success() {
            return Err(unavailable(format!("the reply is {status}")));
        }
        Ok(read_body(reply, MAX_BYTES).await.map_err(|error| unavailable(error.to_string()))?.to_vec())
    }
}

#[async_trait]
impl Sns for SnsClient {
    async fn verify(&self, topic: &TopicArn, message: &SnsMessage) -> Result<(), SnsError> {
        let refused = |reason: &str| SnsError::Refused(reason.to_owned());
        let text = message.signed_text().ok_or_else(|| refused("a field of the message is missing"))?;
        let signature =
            STANDARD.decode_to_vec(&message.signature).map_err(|_| refused("`Signature` is not in base64"))?;
        let url = urls::certificate(topic, &message.signing_cert_url)
            .ok_or_else(|| refused("`SigningCertURL` is not the address of a certificate of the topic's region"))?;
        let certificate = self.certificate(topic, &url).await?;
        certificate
            .verify(&message.signature_version, text.as_bytes(), &signature, SystemTime::now())
            .map_err(SnsError::Refused)
    }

    async fn confirm(&self, topic: &TopicArn, message: &SnsMessage) -> Result<(), SnsError> {
        let url = message.subscribe_url.as_deref().and_then(|url| urls::subscription(topic, url));
        let url = url.ok_or_else(|| {
            SnsError::Refused("`SubscribeURL` is not the address of SNS in the topic's region".to_owned())
        })?;
        self.get(&url, "the confirmation").await.map(drop)
    }
}
