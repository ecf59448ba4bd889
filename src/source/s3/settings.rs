//! Where the bucket is and how to reach it, and the client made from that.

use std::time::Duration;

use aws_sdk_s3::Client;
use aws_sdk_s3::config::retry::RetryConfig;
use aws_sdk_s3::config::timeout::TimeoutConfig;
use aws_sdk_s3::config::{
    Builder, Credentials, Region, RequestChecksumCalculation, ResponseChecksumValidation, StalledStreamProtectionConfig,
};

use super::headers::ReadableHeaders;
use crate::source::S3Credentials;

/// Where the bucket's service is, and what may be read from it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct S3Settings {
    /// `S3_ENDPOINT`: the service's URL; `None` for Amazon's own (`aws`). Where it is `embedded`, the
    /// composition root puts the embedded server's URL here.
    pub endpoint: Option<String>,
    /// `S3_REGION` (`us-east-1`).
    pub region: String,
    /// `S3_PATH_STYLE` (`true`): `host/bucket/key` instead of `bucket.host/key`. Ignored for Amazon's own.
    pub path_style: bool,
    /// `S3_ACCESS_KEY_ID`, `S3_SECRET_ACCESS_KEY` (unset): else what the machine offers: the environment, a
    /// profile, the role of the container or the instance.
    pub credentials: Option<S3Credentials>,
    /// `S3_ANONYMOUS` (`false`): requests are not signed, and no credentials are looked for.
    pub anonymous: bool,
    /// `S3_REQUEST_PAYER` (unset): with `requester`, the caller pays for reading, and each request says so.
    pub request_payer: bool,
    /// `IMAGE_MAX_SIZE_MB` (`50`), in bytes: larger objects are not read.
    pub max_bytes: u64,
    /// `S3_TIMEOUT` (`30`), in seconds: how long a reply may take to begin, and a body may stand still.
    pub timeout: Duration,
}

/// The settings cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidS3Settings {
    /// The endpoint is no URL.
    #[error("S3_ENDPOINT `{0}` is no URL: it must begin with http:// or https://")]
    Endpoint(String),
    /// The region is empty.
    #[error("S3_REGION is empty")]
    Region,
}

const CONNECT: Duration = Duration::from_secs(5);
/// Attempts in all; the SDK backs off between them, with jitter.
const ATTEMPTS: u32 = 3;
/// The longest first pause between them, doubled for the second. Long waits are the breaker's.
const BACKOFF: Duration = Duration::from_millis(250);

/// The client: time limits on everything, retries by the SDK, and no checksums that only Amazon understands.
pub(super) async fn client(settings: &S3Settings) -> Result<Client, InvalidS3Settings> {
    if settings.region.is_empty() {
        return Err(InvalidS3Settings::Region);
    }
    let region = Region::new(settings.region.clone());
    let mut builder = match &settings.credentials {
        // Nothing of the machine's AWS profile, no metadata service.
        _ if settings.anonymous => Builder::new().allow_no_auth(),
        // With a pair of our own nothing of the machine's AWS profile may leak in.
        Some(pair) => Builder::new().credentials_provider(Credentials::new(
            &pair.access_key_id,
            &pair.secret_access_key,
            None,
            None,
            "S3_ACCESS_KEY_ID",
        )),
        None => Builder::from(&aws_config::from_env().region(region.clone()).load().await),
    };
    if let Some(endpoint) = &settings.endpoint {
        if !endpoint.starts_with("http://") && !endpoint.starts_with("https://") {
            return Err(InvalidS3Settings::Endpoint(endpoint.clone()));
        }
        builder = builder.endpoint_url(endpoint.trim_end_matches('/')).force_path_style(settings.path_style);
    }
    let timeouts = TimeoutConfig::builder()
        .connect_timeout(CONNECT)
        .read_timeout(settings.timeout)
        // An attempt includes sending the body, which may be as large as `max_bytes` on a slow line.
        .operation_attempt_timeout(settings.timeout * 4)
        .build();
    let stalled = StalledStreamProtectionConfig::enabled().grace_period(settings.timeout).build();
    let config = builder
        .behavior_version_latest()
        .region(region)
        .retry_config(RetryConfig::standard().with_max_attempts(ATTEMPTS).with_initial_backoff(BACKOFF))
        .timeout_config(timeouts)
        .stalled_stream_protection(stalled)
        .interceptor(ReadableHeaders)
        .request_checksum_calculation(RequestChecksumCalculation::WhenRequired)
        .response_checksum_validation(ResponseChecksumValidation::WhenRequired)
        .build();
    Ok(Client::from_conf(config))
}
