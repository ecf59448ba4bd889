//! The settings of the bucket: its name, its service and the credentials.

use std::fmt;
use std::net::SocketAddr;

use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize};

use crate::domain::setting::{check_range, keyword, socket_addr};
use crate::domain::{Endpoint, Excludes, Seconds, Secret};

/// The settings of the bucket.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct SourceSettings {
    /// `S3_ENDPOINT`: a URL, `aws` for Amazon's own, or `embedded` (default) for the S3 server in this process.
    pub s3_endpoint: S3Endpoint,
    /// `S3_ACCESS_KEY_ID`: empty (default) for the ambient credentials, or a pair made once for `embedded`.
    pub s3_access_key_id: String,
    /// `S3_SECRET_ACCESS_KEY`: the secret of that key.
    pub s3_secret_access_key: Secret,
    /// `S3_ANONYMOUS`: with `true`, requests are not signed, for public buckets; `false` by default.
    pub s3_anonymous: bool,
    /// `S3_REQUEST_PAYER`: `requester` for buckets whose readers pay for the transfer; empty (default): the owner pays.
    pub s3_request_payer: Option<RequestPayer>,
    /// `S3_BUCKET`: the bucket of a job that does not name one; `pipeline` by default.
    #[serde(deserialize_with = "bucket_name")]
    pub s3_bucket: String,
    /// `S3_REGION`: `us-east-1` by default.
    pub s3_region: String,
    /// `S3_PATH_STYLE`: `true` (default) puts the bucket into the path, `false` into the host's name.
    pub s3_path_style: bool,
    /// `S3_TIMEOUT`: seconds within which a reply must begin, and over which the minimum speed of a body is measured;
    /// 30 by default.
    #[serde(deserialize_with = "check_range::<_, _, 1, 3600>")]
    pub s3_timeout: Seconds,
    /// `S3_CIRCUIT_BREAKER_THRESHOLD`: failed calls in a row after which the bucket is left alone; 5 by default.
    #[serde(deserialize_with = "check_range::<_, _, 1, 1000>")]
    pub s3_circuit_breaker_threshold: u32,
    /// `S3_CIRCUIT_BREAKER_TIMEOUT`: seconds for which it is left alone; 30 by default.
    #[serde(deserialize_with = "check_range::<_, _, 1, 3600>")]
    pub s3_circuit_breaker_timeout: Seconds,
    /// `S3_ALLOWED_BUCKETS`: comma-separated buckets that a job can name in addition to `S3_BUCKET`; none by default.
    pub s3_allowed_buckets: String,
    /// `S3_EXCLUDE`: comma-separated globs of keys that are not indexed, if a job does not set it; `none` for none. By
    /// default what file servers, backups and desktops leave ([`Excludes::DEFAULT`]).
    pub s3_exclude: Excludes,
    /// `THUMBNAIL_PREFIX`: a folder such as `thumbnails/`. A thumbnail of each indexed image is written into it, and keys
    /// in it are not indexed; empty (default): the bucket is never written to.
    #[serde(deserialize_with = "folder")]
    pub thumbnail_prefix: String,
    /// `GLIMPSE_S3_ADDR`: the address of the embedded S3 server; `127.0.0.1:9100` by default.
    #[serde(deserialize_with = "socket_addr")]
    pub glimpse_s3_addr: SocketAddr,
    /// `GLIMPSE_S3_ALLOW_REMOTE`: lets it listen on an address that is not loopback; `false` by default.
    pub glimpse_s3_allow_remote: bool,
}

impl Default for SourceSettings {
    fn default() -> Self {
        Self {
            s3_endpoint: S3Endpoint::Embedded,
            s3_access_key_id: String::new(),
            s3_secret_access_key: Secret::default(),
            s3_anonymous: false,
            s3_request_payer: None,
            s3_bucket: "pipeline".to_owned(),
            s3_region: "us-east-1".to_owned(),
            s3_path_style: true,
            s3_timeout: Seconds::new(30),
            s3_circuit_breaker_threshold: 5,
            s3_circuit_breaker_timeout: Seconds::new(30),
            s3_allowed_buckets: String::new(),
            s3_exclude: Excludes::built_in(),
            thumbnail_prefix: String::new(),
            glimpse_s3_addr: SocketAddr::from(([127, 0, 0, 1], 9100)),
            glimpse_s3_allow_remote: false,
        }
    }
}

/// The value of `S3_ENDPOINT`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum S3Endpoint {
    /// The S3 server in this process.
    Embedded,
    /// Amazon S3.
    Aws,
    /// A server with this URL.
    Url(Endpoint),
}

impl TryFrom<String> for S3Endpoint {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, &'static str> {
        match keyword(&text).as_str() {
            "embedded" => Ok(Self::Embedded),
            "aws" => Ok(Self::Aws),
            url if url.starts_with("http://") || url.starts_with("https://") => text.parse().map(Self::Url),
            _ => Err("it must be a URL (http://…), `aws` or `embedded`"),
        }
    }
}

impl From<S3Endpoint> for String {
    fn from(endpoint: S3Endpoint) -> Self {
        endpoint.to_string()
    }
}

impl fmt::Display for S3Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Embedded => "embedded",
            Self::Aws => "aws",
            Self::Url(url) => url.as_str(),
        })
    }
}

/// The value of `S3_REQUEST_PAYER`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", try_from = "String")]
pub enum RequestPayer {
    /// The reader pays for requests and transfer.
    Requester,
}

impl TryFrom<String> for RequestPayer {
    type Error = &'static str;

    fn try_from(name: String) -> Result<Self, &'static str> {
        if keyword(&name) == "requester" { Ok(Self::Requester) } else { Err("it must be `requester` or empty") }
    }
}

fn bucket_name<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let name = String::deserialize(deserializer)?;
    if name.contains('/') {
        return Err(D::Error::custom("it must be the name of a bucket, without `/`"));
    }
    Ok(name)
}

/// Without the `/` at its end, the prefix would also be that of keys beside the folder, which would not be indexed.
fn folder<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let prefix = String::deserialize(deserializer)?;
    if !prefix.is_empty() && (!prefix.ends_with('/') || prefix.starts_with('/')) {
        return Err(D::Error::custom("it must end with `/` and not begin with it, for example `thumbnails/`"));
    }
    Ok(prefix)
}

impl SourceSettings {
    /// Returns the buckets that a job can name: `S3_BUCKET` and those of `S3_ALLOWED_BUCKETS`.
    pub fn allowed_buckets(&self) -> Vec<String> {
        let named: Vec<String> = crate::domain::words(&self.s3_allowed_buckets);
        if named.contains(&self.s3_bucket) {
            return named;
        }
        // A job that does not name a bucket reads this one.
        std::iter::once(self.s3_bucket.clone()).chain(named).collect()
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
        match self.s3_endpoint {
            S3Endpoint::Embedded => {
                refused("S3_ENDPOINT=embedded: set S3_ENDPOINT to the URL of the service of the bucket, or to `aws`")
            }
            S3Endpoint::Aws if self.s3_request_payer.is_some() => refused(
                "S3_REQUEST_PAYER on Amazon S3, which charges the account of the credentials: unset one of them",
            ),
            S3Endpoint::Aws | S3Endpoint::Url(_) => Ok(()),
        }
    }

    /// Checks that the settings do not contradict each other.
    ///
    /// # Errors
    /// Returns a message with the settings and what is allowed.
    pub fn validate(&self) -> Result<(), String> {
        if self.s3_access_key_id.is_empty() != self.s3_secret_access_key.is_empty() {
            return Err("S3_ACCESS_KEY_ID and S3_SECRET_ACCESS_KEY belong together: set both or neither".to_owned());
        }
        if self.s3_anonymous {
            self.check_anonymous()?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_prefix_of_thumbnails_is_a_folder() {
        let parse = |prefix| serde_json::from_value::<SourceSettings>(json!({"thumbnail_prefix": prefix}));
        for prefix in ["im", "/thumbs/", "/", "a/b"] {
            assert!(parse(prefix).unwrap_err().to_string().contains("must end with `/`"), "{prefix}");
        }
        for prefix in ["", "thumbs/", "a/b/"] {
            assert_eq!(parse(prefix).unwrap().thumbnail_prefix, prefix);
        }
    }
}
