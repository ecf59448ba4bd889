//! Where the keys of the identity provider are read.

use std::path::{Path, PathBuf};
use std::time::Duration;

use reqwest::{Client, Url};
use tokio::io::AsyncReadExt;

use super::JwtSettings;
use super::key_set::{KeySet, MAX_BYTES};
use crate::domain::{InvalidSetting, TrustedFiles, with_causes};
use crate::http::{client_builder, read_body, trust_files};

/// Maximum time of one request. Requests with a new key wait for it.
const TIMEOUT: Duration = Duration::from_secs(5);

/// An address or a file.
#[derive(Debug)]
pub(super) enum KeySource {
    Url { http: Client, url: Url },
    File(PathBuf),
}

impl KeySource {
    pub(super) fn new(settings: &JwtSettings, ca_file: Option<PathBuf>) -> Result<Option<Self>, InvalidSetting> {
        if let Some(path) = &settings.glimpse_jwks_file {
            return Ok(Some(Self::File(path.clone())));
        }
        let Some(url) = &settings.glimpse_jwks_url else { return Ok(None) };
        let url = url.url().clone();
        let trusted = TrustedFiles { authorities: ca_file, own: None };
        let builder = trust_files(client_builder(&url).timeout(TIMEOUT), &trusted)?;
        let http =
            builder.build().map_err(|error| format!("the HTTP client cannot be created: {}", with_causes(&error)))?;
        Ok(Some(Self::Url { http, url }))
    }

    pub(super) fn is_file(&self) -> bool {
        matches!(self, Self::File(_))
    }

    /// Returns the setting that names the source.
    pub(super) fn setting(&self) -> &'static str {
        match self {
            Self::Url { .. } => "GLIMPSE_JWKS_URL",
            Self::File(_) => "GLIMPSE_JWKS_FILE",
        }
    }

    /// Reads the keys.
    ///
    /// # Errors
    /// A message that names the setting and its value.
    pub(super) async fn load(&self) -> Result<KeySet, String> {
        match self {
            Self::Url { http, url } => {
                let loaded = async { KeySet::parse(&request(http, url).await?) }.await;
                loaded.map_err(|reason| format!("GLIMPSE_JWKS_URL is `{url}`, whose keys cannot be used: {reason}"))
            }
            Self::File(path) => {
                let loaded = async { KeySet::parse(&read_file(path).await?) }.await;
                let path = path.display();
                loaded.map_err(|reason| format!("GLIMPSE_JWKS_FILE is `{path}`, which cannot be used: {reason}"))
            }
        }
    }
}

async fn request(http: &Client, url: &Url) -> Result<Vec<u8>, String> {
    let reply = http.get(url.clone()).send().await.map_err(|error| with_causes(&error.without_url()))?;
    if !reply.status().is_success() {
        return Err(format!("the reply is {}", reply.status()));
    }
    Ok(read_body(reply, MAX_BYTES).await.map_err(|error| error.to_string())?.to_vec())
}

async fn read_file(path: &Path) -> Result<Vec<u8>, String> {
    // A device or a pipe may never end, and is not opened.
    let metadata = tokio::fs::metadata(path).await.map_err(|error| error.to_string())?;
    if !metadata.is_file() {
        return Err("it is not a regular file".to_owned());
    }
    let file = tokio::fs::File::open(path).await.map_err(|error| error.to_string())?;
    let mut bytes = Vec::new();
    file.take(MAX_BYTES as u64 + 1).read_to_end(&mut bytes).await.map_err(|error| error.to_string())?;
    if bytes.len() > MAX_BYTES {
        return Err(format!("it has more than {MAX_BYTES} bytes, which is the maximum"));
    }
    Ok(bytes)
}
