//! The addresses in messages of SNS that may be requested: only those of SNS in the region of the topic.

use reqwest::Url;

use crate::domain::TopicArn;

/// Parses the address of a certificate. Returns `None` if it is not `https://HOST/SimpleNotificationService-ID.pem`.
pub(super) fn certificate(topic: &TopicArn, text: &str) -> Option<Url> {
    let url = on_host(topic, text)?;
    let id = url.path().strip_prefix("/SimpleNotificationService-")?.strip_suffix(".pem")?;
    let is_id = !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_alphanumeric());
    (is_id && url.query().is_none()).then_some(url)
}

/// Parses the address that confirms a subscription of the topic.
pub(super) fn subscription(topic: &TopicArn, text: &str) -> Option<Url> {
    let url = on_host(topic, text)?;
    let has = |name: &str, value: &str| url.query_pairs().any(|pair| pair == (name.into(), value.into()));
    let is_confirmation = has("Action", "ConfirmSubscription") && has("TopicArn", topic.as_str());
    (url.path() == "/" && is_confirmation).then_some(url)
}

/// Parses an address with HTTPS on the host of SNS, at its usual port.
fn on_host(topic: &TopicArn, text: &str) -> Option<Url> {
    let url = Url::parse(text).ok()?;
    let host = format!("sns.{}.{}", topic.region(), topic.domain());
    let is_plain = url.username().is_empty() && url.password().is_none() && url.port().is_none();
    (url.scheme() == "https" && url.host_str() == Some(&host) && is_plain && url.fragment().is_none()).then_some(url)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn topic() -> TopicArn {
        TopicArn::parse("arn:aws:sns:eu-west-1:123456789012:images").unwrap()
    }

    #[test]
    fn a_certificate_is_a_file_of_sns_in_the_region_of_the_topic() {
        let good = "https://sns.eu-west-1.amazonaws.com/SimpleNotificationService-9c6465fa7f48f5cacd23014631ec1136.pem";
        assert_eq!(certificate(&topic(), good).unwrap().as_str(), good);
        let file = "SimpleNotificationService-1.pem";
        for bad in [
            format!("http://sns.eu-west-1.amazonaws.com/{file}"),
            format!("https://sns.us-east-1.amazonaws.com/{file}"),
            format!("https://sns.eu-west-1.amazonaws.com.evil.example/{file}"),
            format!("https://evil.example/sns.eu-west-1.amazonaws.com/{file}"),
            format!("https://sns.eu-west-1.amazonaws.com@evil.example/{file}"),
            format!("https://evil.example#sns.eu-west-1.amazonaws.com/{file}"),
            format!("https://sns.eu-west-1.amazonaws.com:8443/{file}"),
            format!("https://u:p@sns.eu-west-1.amazonaws.com/{file}"),
            format!("https://169.254.169.254/{file}"),
            format!("https://sns.eu-west-1.amazonaws.com/{file}?a=b"),
            format!("https://sns.eu-west-1.amazonaws.com/x/{file}"),
            format!("https://sns.eu-west-1.amazonaws.com/../{file}x"),
            "https://sns.eu-west-1.amazonaws.com/?x=/SimpleNotificationService-1.pem".to_owned(),
            "https://sns.eu-west-1.amazonaws.com/SimpleNotificationService-.pem".to_owned(),
            "file:///etc/passwd".to_owned(),
            file.to_owned(),
            String::new(),
        ] {
            assert_eq!(certificate(&topic(), &bad), None, "{bad}");
        }
    }

    #[test]
    fn a_confirmation_is_about_the_topic() {
        let base = "https://sns.eu-west-1.amazonaws.com/?Action=ConfirmSubscription&TopicArn=";
        let good = format!("{base}arn:aws:sns:eu-west-1:123456789012:images&Token=2336412f37fb");
        assert!(subscription(&topic(), &good).is_some());
        for bad in [
            good.replace("ConfirmSubscription", "DeleteTopic"),
            good.replace(":images", ":other"),
            good.replace("https", "http"),
            good.replace("eu-west-1.amazonaws.com", "eu-west-1.evil.example"),
            good.replace("/?", "/other?"),
        ] {
            assert_eq!(subscription(&topic(), &bad), None, "{bad}");
        }
    }
}
