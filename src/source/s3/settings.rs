//! The settings of the S3 client, and the client.

use std::time::Duration;

use aws_sdk_s3::Client;
use aws_sdk_s3::config::retry::RetryConfig;
use aws_sdk_s3::config::timeout::TimeoutConfig;
use aws_sdk_s3::config::{
    Builder, Credentials, Region, RequestChecksumCalculation, ResponseChecksumValidation, StalledStreamProtectionConfig,
};

use super::headers::ReadableHeaders;
use crate::source::S3Credentials;

/// The settings of the S3 client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct S3Settings {
    /// `S3_ENDPOINT`: the URL of the service; `None` for Amazon S3 (`aws`). For `embedded`, the URL of that server.
    pub endpoint: Option<String>,
    /// `S3_REGION` (`us-east-1`).
    pub region: String,
    /// `S3_PATH_STYLE` (`true`): `host/bucket/key` instead of `bucket.host/key`. Ignored for Amazon S3.
    pub path_style: bool,
    /// `S3_ACCESS_KEY_ID`, `S3_SECRET_ACCESS_KEY`. If unset, the credentials of the machine: the environment, a
    /// profile, or the role of the container or instance.
    pub credentials: Option<S3Credentials>,
    /// `S3_ANONYMOUS` (`false`): requests are not signed, and credentials are not searched for.
    pub anonymous: bool,
    /// `S3_REQUEST_PAYER` (unset): with `requester`, each request declares that the caller pays for it.
    pub request_payer: bool,
    /// `IMAGE_MAX_SIZE_MB` (`50`), in bytes: larger objects are not read.
    pub max_bytes: u64,
    /// `S3_TIMEOUT` (`30`), in seconds: the maximum time until a reply begins, and the time over which the minimum
    /// speed of a body is measured.
    pub timeout: Duration,
}

/// The settings cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidS3Settings {
    /// The endpoint is not a URL.
    #[error("S3_ENDPOINT is `{0}`; it must be a URL that begins with http:// or https://")]
    Endpoint(String),
    /// The region is empty.
    #[error("S3_REGION is empty; it must be the region of the bucket, such as us-east-1")]
    Region,
}

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Maximum number of attempts of one call; the SDK waits between them, with jitter.
const MAX_ATTEMPTS: u32 = 3;
/// Maximum pause before the second attempt; the next pause is twice as long. The guard makes longer pauses.
const FIRST_BACKOFF: Duration = Duration::from_millis(250);

/// Returns the client: with time limits, with the retries of the SDK, and without checksums that only Amazon S3
/// supports.
pub(super) async fn client(settings: &S3Settings) -> Result<Client, InvalidS3Settings> {
    if settings.region.is_empty() {
        return Err(InvalidS3Settings::Region);
    }
    let region = Region::new(settings.region.clone());
    let mut builder = match &settings.credentials {
        // Neither the AWS profile of the machine nor the metadata service is used.
        _ if settings.anonymous => Builder::new().allow_no_auth(),
        // With own credentials, nothing from the AWS profile of the machine must be used.
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
        .connect_timeout(CONNECT_TIMEOUT)
        .read_timeout(settings.timeout)
        // An attempt includes sending the body, which can be as large as `max_bytes`, over a slow connection.
        .operation_attempt_timeout(settings.timeout * 4)
        .build();
    let stalled = StalledStreamProtectionConfig::enabled().grace_period(settings.timeout).build();
    let config = builder
        .behavior_version_latest()
        .region(region)
        .retry_config(RetryConfig::standard().with_max_attempts(MAX_ATTEMPTS).with_initial_backoff(FIRST_BACKOFF))
        .timeout_config(timeouts)
        .stalled_stream_protection(stalled)
        .interceptor(ReadableHeaders)
        .request_checksum_calculation(RequestChecksumCalculation::WhenRequired)
        .response_checksum_validation(ResponseChecksumValidation::WhenRequired)
        .build();
    Ok(Client::from_conf(config))
}
