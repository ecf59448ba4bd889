//! The messages that SNS sends to an HTTP endpoint.

use serde::Deserialize;

/// A message of SNS. Nothing of it can be trusted before its signature is verified.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct SnsMessage {
    /// `Notification`, `SubscriptionConfirmation` or `UnsubscribeConfirmation`.
    #[serde(rename = "Type")]
    pub kind: String,
    /// The id, the same in each attempt.
    pub message_id: String,
    /// The topic.
    pub topic_arn: String,
    /// The subject of a notification.
    pub subject: Option<String>,
    /// The events of a notification, a sentence otherwise.
    pub message: String,
    /// When the message was published, in RFC 3339 format.
    pub timestamp: String,
    /// The token of a confirmation.
    pub token: Option<String>,
    /// The address that confirms a subscription.
    #[serde(rename = "SubscribeURL")]
    pub subscribe_url: Option<String>,
    /// `1` for SHA-1, `2` for SHA-256.
    pub signature_version: String,
    /// The signature in base64.
    pub signature: String,
    /// The address of the certificate.
    #[serde(rename = "SigningCertURL")]
    pub signing_cert_url: String,
}

/// The type of a message with events.
pub(super) const NOTIFICATION: &str = "Notification";
/// The type of a message that asks for the confirmation of a subscription.
pub(super) const SUBSCRIPTION: &str = "SubscriptionConfirmation";
/// The type of a message that reports the end of a subscription.
pub(super) const END_OF_SUBSCRIPTION: &str = "UnsubscribeConfirmation";

impl SnsMessage {
    /// Returns the text that is signed: names and values, each in a line, in the order of the names. `None` if a field is
    /// missing or the type is unknown.
    pub fn signed_text(&self) -> Option<String> {
        let kind = self.kind.as_str();
        let end = [("Timestamp", self.timestamp.as_str())];
        let rest = [("TopicArn", self.topic_arn.as_str()), ("Type", kind)];
        let mut lines = vec![("Message", self.message.as_str()), ("MessageId", &self.message_id)];
        match kind {
            NOTIFICATION => {
                lines.extend(self.subject.as_deref().map(|subject| ("Subject", subject)));
                lines.extend(end);
            }
            SUBSCRIPTION | END_OF_SUBSCRIPTION => {
                lines.push(("SubscribeURL", self.subscribe_url.as_deref()?));
                lines.extend(end);
                lines.push(("Token", self.token.as_deref()?));
            }
            _ => return None,
        }
        lines.extend(rest);
        Some(lines.into_iter().flat_map(|(name, value)| [name, "\n", value, "\n"]).collect())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_signed_text_has_the_fields_of_the_type_in_order() {
        let mut body = json!({"Type": "Notification", "MessageId": "i", "TopicArn": "t", "Subject": "s", "Message": "m\nn",
            "Timestamp": "z", "SignatureVersion": "1", "Signature": "x", "SigningCertURL": "c", "UnsubscribeURL": "u"});
        let text = |body: &serde_json::Value| serde_json::from_value::<SnsMessage>(body.clone()).unwrap().signed_text();
        assert_eq!(
            text(&body).unwrap(),
            "Message\nm\nn\nMessageId\ni\nSubject\ns\nTimestamp\nz\nTopicArn\nt\nType\nNotification\n"
        );
        body["Subject"] = json!(null);
        assert_eq!(
            text(&body).unwrap(),
            "Message\nm\nn\nMessageId\ni\nTimestamp\nz\nTopicArn\nt\nType\nNotification\n"
        );
        body["Type"] = json!("SubscriptionConfirmation");
        assert_eq!(text(&body), None, "a field is missing");
        body["Token"] = json!("o");
        body["SubscribeURL"] = json!("l");
        let expected = "Message\nm\nn\nMessageId\ni\nSubscribeURL\nl\nTimestamp\nz\nToken\no\nTopicArn\nt\nType\n";
        assert_eq!(text(&body).unwrap(), format!("{expected}SubscriptionConfirmation\n"));
        body["Type"] = json!("Other");
        assert_eq!(text(&body), None);
    }
}
