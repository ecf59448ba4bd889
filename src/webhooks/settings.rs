//! The receiver of webhooks, and the secret that signs them.

use std::fmt;
use std::str::FromStr;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use reqwest::Url;
use serde::{Deserialize, Serialize};

use crate::http::is_this_machine;

/// The settings of webhooks.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct WebhookSettings {
    /// `GLIMPSE_WEBHOOK_URL`: the URL that is notified of the ends of jobs and the stops of mirrors; empty (default): none.
    pub glimpse_webhook_url: Option<WebhookUrl>,
    /// `GLIMPSE_WEBHOOK_SECRET`: signs the webhooks; empty (default): they are not signed.
    pub glimpse_webhook_secret: Option<WebhookSecret>,
}

impl WebhookSettings {
    /// Returns warnings about a receiver that cannot be sure of what it receives, or that others can read.
    pub fn cautions(&self) -> Vec<String> {
        let Some(url) = &self.glimpse_webhook_url else { return Vec::new() };
        let is_open = url.0.scheme() == "http" && !is_this_machine(&url.0);
        let unencrypted = format!(
            "GLIMPSE_WEBHOOK_URL is {url}: names of buckets and prefixes are sent unencrypted to another machine; use https://"
        );
        let unsigned =
            "GLIMPSE_WEBHOOK_SECRET is not set, so the receiver cannot verify that a webhook is from this service";
        let is_unsigned = self.glimpse_webhook_secret.is_none();
        is_open.then_some(unencrypted).into_iter().chain(is_unsigned.then(|| unsigned.to_owned())).collect()
    }

    /// Returns the settings that have no effect, with the reason.
    pub fn unused(&self) -> Vec<(&'static str, String)> {
        match self.glimpse_webhook_url {
            None => vec![("GLIMPSE_WEBHOOK_SECRET", "GLIMPSE_WEBHOOK_URL is not set".to_owned())],
            Some(_) => Vec::new(),
        }
    }
}

/// The URL of a receiver. Its path and its query often contain a token, so only its scheme and host are shown.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct WebhookUrl(Url);

impl WebhookUrl {
    /// Returns the whole URL, for the request.
    pub(super) fn reveal(&self) -> &Url {
        &self.0
    }
}

impl FromStr for WebhookUrl {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, &'static str> {
        let text = text.trim();
        let url = Url::parse(text).ok().filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
        let url = url.filter(|_| text.contains("://"));
        let url = url.ok_or(
            "it must be a URL that begins with https:// or http://, such as https://example.org/hooks/glimpse",
        )?;
        if !url.username().is_empty() || url.password().is_some() {
            return Err("it must not contain a user name or a password; GLIMPSE_WEBHOOK_SECRET signs the requests");
        }
        if url.fragment().is_some() {
            return Err("it must not contain `#`, because a fragment is not sent");
        }
        Ok(Self(url))
    }
}

impl fmt::Display for WebhookUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hidden = if self.0.path() == "/" && self.0.query().is_none() { "" } else { "***" };
        write!(f, "{}/{hidden}", self.0.origin().ascii_serialization())
    }
}

impl fmt::Debug for WebhookUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl TryFrom<String> for WebhookUrl {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, &'static str> {
        text.parse()
    }
}

impl From<WebhookUrl> for String {
    fn from(url: WebhookUrl) -> Self {
        url.to_string()
    }
}

/// The secret of a receiver: `whsec_` and 24 to 64 bytes in base64, as Standard Webhooks defines it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct WebhookSecret(Vec<u8>);

impl WebhookSecret {
    /// Returns the bytes, for the signature.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.0
    }
}

impl FromStr for WebhookSecret {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, &'static str> {
        let encoded = text.trim().strip_prefix("whsec_");
        let bytes = encoded.and_then(|encoded| STANDARD.decode(encoded).ok());
        let bytes = bytes.filter(|bytes| (24..=64).contains(&bytes.len()));
        bytes.map(Self).ok_or(
            "it must be `whsec_` and then 24 to 64 random bytes in base64; `echo whsec_$(openssl rand -base64 32)` makes one",
        )
    }
}

impl fmt::Debug for WebhookSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(redacted)")
    }
}

impl TryFrom<String> for WebhookSecret {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, &'static str> {
        text.parse()
    }
}

impl From<WebhookSecret> for String {
    fn from(_: WebhookSecret) -> Self {
        "(redacted)".to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(url: &str, secret: Option<&str>) -> WebhookSettings {
        let glimpse_webhook_url = Some(url.parse().unwrap());
        WebhookSettings { glimpse_webhook_url, glimpse_webhook_secret: secret.map(|secret| secret.parse().unwrap()) }
    }

    #[test]
    fn urls_are_checked_and_their_tokens_are_hidden() {
        for (text, shown) in [
            ("https://h", "https://h/"),
            ("http://h:81/hooks/hush", "http://h:81/***"),
            ("https://[::1]/?token=hush", "https://[::1]/***"),
        ] {
            let url: WebhookUrl = text.parse().unwrap();
            assert_eq!(
                (url.to_string(), format!("{url:?}"), String::from(url.clone())),
                (shown.into(), shown.into(), shown.into())
            );
            assert_eq!(url.reveal().as_str(), Url::parse(text).unwrap().as_str());
        }
        for wrong in ["", "h", "ftp://h/a", "https:h", "https://u:hush@h/", "https://h/#a"] {
            assert!(!wrong.parse::<WebhookUrl>().unwrap_err().contains("hush"), "{wrong}");
        }
    }

    #[test]
    fn a_secret_has_24_to_64_bytes_and_is_never_shown() {
        let secret: WebhookSecret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw".parse().unwrap();
        assert_eq!(
            (secret.bytes().len(), format!("{secret:?}"), String::from(secret)),
            (24, "(redacted)".into(), "(redacted)".into())
        );
        for wrong in [
            "hush",
            "whsec_",
            "whsec_aHVzaA==",
            "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
            &format!("whsec_{}", "A".repeat(88)),
        ] {
            assert!(wrong.parse::<WebhookSecret>().unwrap_err().contains("whsec_"), "{wrong}");
        }
    }

    #[test]
    fn a_receiver_elsewhere_without_encryption_or_without_secret_causes_warnings() {
        let secret = Some("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw");
        assert_eq!(settings("https://h/hush", secret).cautions(), [""; 0]);
        assert_eq!(settings("http://127.0.0.1:1/hush", secret).cautions(), [""; 0]);
        assert_eq!(WebhookSettings::default().cautions(), [""; 0]);
        let cautions = settings("http://h/hush", None).cautions();
        assert!(cautions[0].starts_with("GLIMPSE_WEBHOOK_URL is http://h/***: "), "{cautions:?}");
        assert!(cautions[1].starts_with("GLIMPSE_WEBHOOK_SECRET is not set"), "{cautions:?}");
        assert_eq!((WebhookSettings::default().unused().len(), settings("http://h", None).unused().len()), (1, 0));
    }
}
