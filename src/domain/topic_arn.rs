//! The name of a topic of SNS.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The ARN of a topic: `arn:PARTITION:sns:REGION:ACCOUNT:NAME`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TopicArn {
    text: String,
    region: String,
    domain: String,
}

/// The text is not the ARN of a topic.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not the ARN of a topic of SNS; it must be like arn:aws:sns:eu-central-1:123456789012:images")]
pub struct InvalidTopicArn(String);

/// The partitions of AWS, and the domains of their services.
const PARTITIONS: [(&str, &str); 4] = [
    ("aws", "amazonaws.com"),
    ("aws-us-gov", "amazonaws.com"),
    ("aws-cn", "amazonaws.com.cn"),
    ("aws-eusc", "amazonaws.eu"),
];

impl TopicArn {
    /// Maximum number of characters: the name of a topic has at most 256.
    pub const MAX_CHARACTERS: usize = 350;

    /// Parses the ARN of a topic.
    ///
    /// # Errors
    /// Returns [`InvalidTopicArn`] with the beginning of the text if it is not an ARN of a topic.
    pub fn parse(text: &str) -> Result<Self, InvalidTopicArn> {
        let invalid = || InvalidTopicArn(text.chars().take(Self::MAX_CHARACTERS).collect());
        let is_name = |part: &str| {
            !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
        };
        let is_region = |part: &str| {
            !part.is_empty()
                && part.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
        };
        let parts: Vec<&str> = text.split(':').collect();
        let ["arn", partition, "sns", region, account, name] = parts[..] else { return Err(invalid()) };
        let domain = PARTITIONS.into_iter().find(|(known, _)| *known == partition).map(|(_, domain)| domain);
        let is_valid = is_region(region)
            && account.len() == 12
            && account.bytes().all(|byte| byte.is_ascii_digit())
            && is_name(name)
            && text.len() <= Self::MAX_CHARACTERS;
        match domain.filter(|_| is_valid) {
            Some(domain) => Ok(Self { text: text.to_owned(), region: region.to_owned(), domain: domain.to_owned() }),
            None => Err(invalid()),
        }
    }

    /// Returns the text of the ARN.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Returns the region.
    pub fn region(&self) -> &str {
        &self.region
    }

    /// Returns the domain of the services of its partition, such as `amazonaws.com`.
    pub fn domain(&self) -> &str {
        &self.domain
    }
}

impl TryFrom<String> for TopicArn {
    type Error = InvalidTopicArn;

    fn try_from(text: String) -> Result<Self, InvalidTopicArn> {
        Self::parse(&text)
    }
}

impl From<TopicArn> for String {
    fn from(arn: TopicArn) -> Self {
        arn.text
    }
}

impl fmt::Display for TopicArn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_arn_names_the_region_and_the_domain() {
        for (text, region, domain) in [
            ("arn:aws:sns:eu-central-1:123456789012:images", "eu-central-1", "amazonaws.com"),
            ("arn:aws-cn:sns:cn-north-1:123456789012:images-2_x.fifo", "cn-north-1", "amazonaws.com.cn"),
            ("arn:aws-us-gov:sns:us-gov-west-1:123456789012:i", "us-gov-west-1", "amazonaws.com"),
        ] {
            let arn = TopicArn::parse(text).unwrap();
            assert_eq!((arn.as_str(), arn.region(), arn.domain()), (text, region, domain));
        }
    }

    #[test]
    fn other_texts_are_refused() {
        for text in [
            "",
            "images",
            "arn:aws:sqs:eu-central-1:123456789012:images",
            "arn:aws:sns:eu-central-1:123456789012",
            "arn:aws:sns:eu-central-1:123456789012:images:subscription",
            "arn:aws:sns:eu-central-1:12345:images",
            "arn:aws:sns:evil.example/:123456789012:images",
            "arn:aws:sns::123456789012:images",
            "arn:other:sns:eu-central-1:123456789012:images",
            &format!("arn:aws:sns:eu-central-1:123456789012:{}", "x".repeat(400)),
        ] {
            assert!(TopicArn::parse(text).unwrap_err().to_string().len() < 500, "{text}");
        }
    }
}
