//! The URL of a queue, as a setting states it.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use url::Url;

/// The URL of a queue of SQS, or of a server with the same API. Its first part is the address of the service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct QueueUrl {
    text: String,
    endpoint: String,
    region: Option<String>,
}

const ALLOWED: &str =
    "it must be the URL of a queue, such as https://sqs.eu-central-1.amazonaws.com/123456789012/images";

impl QueueUrl {
    /// Returns the text of the setting.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Returns the address of the service: the URL without its path.
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// Returns the region that the host names; `None` if the host is not one of AWS.
    pub fn region(&self) -> Option<&str> {
        self.region.as_deref()
    }
}

/// Returns the region in the name of a host of SQS: `sqs.REGION.amazonaws.com`, `sqs-fips.REGION…`, `NAME.sqs.REGION.vpce…`, or
/// the former `REGION.queue.amazonaws.com`.
fn region(host: &str) -> Option<&str> {
    let domain = ["amazonaws.com", "amazonaws.com.cn", "amazonaws.eu", "api.aws"];
    let name = domain.into_iter().find_map(|domain| host.strip_suffix(domain)?.strip_suffix('.'))?;
    let labels: Vec<&str> = name.split('.').collect();
    match labels[..] {
        [region, "queue"] | ["sqs" | "sqs-fips", region] | [_, "sqs" | "sqs-fips", region, "vpce"]
            if region.contains('-') =>
        {
            Some(region)
        }
        _ => None,
    }
}

impl FromStr for QueueUrl {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, &'static str> {
        let text = text.trim();
        let url = Url::parse(text).ok().filter(|url| matches!(url.scheme(), "http" | "https")).ok_or(ALLOWED)?;
        let host = url.host_str().ok_or(ALLOWED)?;
        if !url.username().is_empty() || url.password().is_some() {
            return Err(
                "it must not contain a user name or a password; the credentials are those of the AWS environment",
            );
        }
        let has_name =
            url.path_segments().is_some_and(|mut path| path.next_back().is_some_and(|name| !name.is_empty()));
        if !has_name || url.query().is_some() || url.fragment().is_some() {
            return Err(ALLOWED);
        }
        let endpoint = url.origin().ascii_serialization();
        Ok(Self { text: text.to_owned(), endpoint, region: region(host).map(str::to_owned) })
    }
}

impl TryFrom<String> for QueueUrl {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, &'static str> {
        text.parse()
    }
}

impl From<QueueUrl> for String {
    fn from(url: QueueUrl) -> Self {
        url.text
    }
}

impl fmt::Display for QueueUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_names_the_service_and_its_region() {
        for (text, endpoint, region) in [
            (
                "https://sqs.eu-central-1.amazonaws.com/123456789012/images",
                "https://sqs.eu-central-1.amazonaws.com",
                Some("eu-central-1"),
            ),
            (
                "https://sqs.cn-north-1.amazonaws.com.cn/1/q",
                "https://sqs.cn-north-1.amazonaws.com.cn",
                Some("cn-north-1"),
            ),
            (
                "https://sqs-fips.us-east-1.amazonaws.com/1/q",
                "https://sqs-fips.us-east-1.amazonaws.com",
                Some("us-east-1"),
            ),
            (
                "https://vpce-0a-b.sqs.us-west-2.vpce.amazonaws.com/1/q",
                "https://vpce-0a-b.sqs.us-west-2.vpce.amazonaws.com",
                Some("us-west-2"),
            ),
            ("https://us-east-2.queue.amazonaws.com/1/q", "https://us-east-2.queue.amazonaws.com", Some("us-east-2")),
            ("http://localhost:9324/000000000000/images", "http://localhost:9324", None),
            ("http://sqs.localhost:4566/q", "http://sqs.localhost:4566", None),
            ("https://sqs.amazonaws.com/1/q", "https://sqs.amazonaws.com", None),
        ] {
            let url: QueueUrl = text.parse().unwrap();
            assert_eq!((url.as_str(), url.endpoint(), url.region()), (text, endpoint, region));
        }
    }

    #[test]
    fn what_is_not_the_url_of_a_queue_is_refused() {
        for text in
            ["", "images", "arn:aws:sqs:eu-central-1:1:q", "sqs://h/q", "https://h", "https://h/", "https://h/q?a=b"]
        {
            assert!(text.parse::<QueueUrl>().unwrap_err().contains("URL of a queue"), "{text}");
        }
        assert!("https://u:hush@h/q".parse::<QueueUrl>().unwrap_err().contains("password"));
    }
}
