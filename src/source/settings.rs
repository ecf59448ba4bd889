//! The settings of the bucket: its name, its service and the credentials.

use serde::{Deserialize, Serialize};

use crate::domain::{Excludes, Secret};

/// The settings of the bucket.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct SourceSettings {
    /// `S3_ENDPOINT`: a URL, `aws` for Amazon's own, or `embedded` (default) for the S3 server in this process.
    pub s3_endpoint: String,
    /// `S3_ACCESS_KEY_ID`: empty (default) for the ambient credentials, or a pair made once for `embedded`.
    pub s3_access_key_id: String,
    /// `S3_SECRET_ACCESS_KEY`: the secret of that key.
    pub s3_secret_access_key: Secret,
    /// `S3_ANONYMOUS`: with `true`, requests are not signed, for public buckets; `false` by default.
    pub s3_anonymous: bool,
    /// `S3_REQUEST_PAYER`: `requester` for buckets whose readers pay for the transfer; empty (default): the owner pays.
    pub s3_request_payer: String,
    /// `S3_BUCKET`: the bucket of a job that does not name one; `pipeline` by default.
    pub s3_bucket: String,
    /// `S3_REGION`: `us-east-1` by default.
    pub s3_region: String,
    /// `S3_PATH_STYLE`: `true` (default) puts the bucket into the path, `false` into the host's name.
    pub s3_path_style: bool,
    /// `S3_TIMEOUT`: seconds within which a reply must begin, and over which the minimum speed of a body is measured;
    /// 30 by default.
    pub s3_timeout: u64,
    /// `S3_CIRCUIT_BREAKER_THRESHOLD`: failed calls in a row after which the bucket is left alone; 5 by default.
    pub s3_circuit_breaker_threshold: u32,
    /// `S3_CIRCUIT_BREAKER_TIMEOUT`: seconds for which it is left alone; 30 by default.
    pub s3_circuit_breaker_timeout: u64,
    /// `S3_ALLOWED_BUCKETS`: comma-separated buckets that a job can name in addition to `S3_BUCKET`; none by default.
    pub s3_allowed_buckets: String,
    /// `S3_EXCLUDE`: comma-separated globs of keys that are not indexed, if a job does not set it; `none` for none. By
    /// default what file servers, backups and desktops leave ([`Excludes::DEFAULT`]).
    pub s3_exclude: String,
    /// `THUMBNAIL_PREFIX`: a thumbnail of each indexed image is written under it, and keys under it are not indexed;
    /// empty (default): the bucket is never written to.
    pub thumbnail_prefix: String,
    /// `GLIMPSE_S3_ADDR`: the address of the embedded S3 server; `127.0.0.1:9100` by default.
    pub glimpse_s3_addr: String,
    /// `GLIMPSE_S3_ALLOW_REMOTE`: lets it listen on an address that is not loopback; `false` by default.
    pub glimpse_s3_allow_remote: bool,
}

impl Default for SourceSettings {
    fn default() -> Self {
        Self {
            s3_endpoint: "embedded".to_owned(),
            s3_access_key_id: String::new(),
            s3_secret_access_key: Secret::default(),
            s3_anonymous: false,
            s3_request_payer: String::new(),
            s3_bucket: "pipeline".to_owned(),
            s3_region: "us-east-1".to_owned(),
            s3_path_style: true,
            s3_timeout: 30,
            s3_circuit_breaker_threshold: 5,
            s3_circuit_breaker_timeout: 30,
            s3_allowed_buckets: String::new(),
            s3_exclude: Excludes::DEFAULT.to_owned(),
            thumbnail_prefix: String::new(),
            glimpse_s3_addr: "127.0.0.1:9100".to_owned(),
            glimpse_s3_allow_remote: false,
        }
    }
}

/// The service of the bucket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Endpoint {
    /// The server in this process.
    Embedded,
    /// Amazon S3.
    Aws,
    /// The service at this URL.
    Url(String),
}

impl SourceSettings {
    /// Parses `S3_ENDPOINT`.
    ///
    /// # Errors
    /// Returns a message with the allowed values.
    pub fn endpoint(&self) -> Result<Endpoint, String> {
        match self.s3_endpoint.as_str() {
            "embedded" => Ok(Endpoint::Embedded),
            "aws" => Ok(Endpoint::Aws),
            url if url.starts_with("http://") || url.starts_with("https://") => Ok(Endpoint::Url(url.to_owned())),
            other => Err(format!("S3_ENDPOINT is `{other}`; it must be a URL (http://…), `aws` or `embedded`")),
        }
    }

    /// Returns the buckets that a job can name: `S3_BUCKET` and those of `S3_ALLOWED_BUCKETS`.
    pub fn allowed_buckets(&self) -> Vec<String> {
        let named: Vec<String> = crate::domain::words(&self.s3_allowed_buckets);
        if named.contains(&self.s3_bucket) {
            return named;
        }
        // A job that does not name a bucket reads this one.
        std::iter::once(self.s3_bucket.clone()).chain(named).collect()
    }

    /// The keys that are not indexed, if a job does not set it.
    ///
    /// # Errors
    /// Returns a message with the setting and the problem.
    pub fn excludes(&self) -> Result<Excludes, String> {
        Excludes::parse(&self.s3_exclude).map_err(|error| format!("S3_EXCLUDE cannot be used: {error}"))
    }

    /// Fails if a setting cannot be combined with requests that are not signed.
    fn check_anonymous(&self) -> Result<(), String> {
        let refused = |what: &str| Err(format!("S3_ANONYMOUS=true cannot be combined with {what}"));
        if !self.s3_access_key_id.is_empty() {
            return refused("S3_ACCESS_KEY_ID: unset one of them");
        }
        if !self.thumbnail_prefix.is_empty() {
            return refused("THUMBNAIL_PREFIX: credentials are required to write to a bucket; unset one of them");
        }
        match self.endpoint()? {
            Endpoint::Embedded => {
                refused("S3_ENDPOINT=embedded: set S3_ENDPOINT to the URL of the service of the bucket, or to `aws`")
            }
            Endpoint::Aws if !self.s3_request_payer.is_empty() => refused(
                "S3_REQUEST_PAYER on Amazon S3, which charges the account of the credentials: unset one of them",
            ),
            Endpoint::Aws | Endpoint::Url(_) => Ok(()),
        }
    }

    /// Checks the settings. Makes no network call.
    ///
    /// # Errors
    /// Returns a message with the setting and the allowed values.
    pub fn validate(&self) -> Result<(), String> {
        self.endpoint()?;
        self.excludes()?;
        if self.s3_bucket.is_empty() || self.s3_bucket.contains('/') {
            return Err(format!("S3_BUCKET is `{}`; it must be the name of a bucket, without `/`", self.s3_bucket));
        }
        if self.s3_access_key_id.is_empty() != self.s3_secret_access_key.is_empty() {
            return Err("S3_ACCESS_KEY_ID and S3_SECRET_ACCESS_KEY belong together: set both or neither".to_owned());
        }
        if !matches!(self.s3_request_payer.as_str(), "" | "requester") {
            let payer = &self.s3_request_payer;
            return Err(format!("S3_REQUEST_PAYER is `{payer}`; it must be `requester` or empty"));
        }
        if self.s3_anonymous {
            self.check_anonymous()?;
        }
        for (name, value) in [
            ("S3_TIMEOUT", self.s3_timeout),
            ("S3_CIRCUIT_BREAKER_THRESHOLD", self.s3_circuit_breaker_threshold.into()),
            ("S3_CIRCUIT_BREAKER_TIMEOUT", self.s3_circuit_breaker_timeout),
        ] {
            if !(1..=3600).contains(&value) {
                return Err(format!("{name} is {value}; it must be between 1 and 3600"));
            }
        }
        Ok(())
    }
}
