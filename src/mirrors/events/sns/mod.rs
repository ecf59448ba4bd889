//! Messages of SNS. They have no token: the topic must be one of a mirror, and the signature must be one of SNS.

mod message;

use std::fmt::Debug;

use async_trait::async_trait;

pub use self::message::SnsMessage;
use self::message::{END_OF_SUBSCRIPTION, NOTIFICATION, SUBSCRIPTION};
use super::Acknowledged;
use super::parse::parse_message;
use crate::domain::{Mirror, Timestamp, TopicArn};
use crate::ledger::mirrors;
use crate::mirrors::{Mirrors, MirrorsError};

/// Maximum age of a message in seconds. SNS repeats a message for at most an hour.
const MAX_AGE: f64 = 75.0 * 60.0;
/// Maximum difference of the clocks in seconds.
const MAX_CLOCK_DIFFERENCE: f64 = 15.0 * 60.0;

/// What mirrors need of the service SNS.
#[async_trait]
pub trait Sns: Debug + Send + Sync {
    /// Checks that SNS has signed a message of this topic.
    ///
    /// # Errors
    /// [`SnsError`]
    async fn verify(&self, topic: &TopicArn, message: &SnsMessage) -> Result<(), SnsError>;

    /// Confirms a subscription. The message was verified.
    ///
    /// # Errors
    /// [`SnsError`]
    async fn confirm(&self, topic: &TopicArn, message: &SnsMessage) -> Result<(), SnsError>;
}

/// Why a message of SNS is not accepted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SnsError {
    /// It is not from SNS, or not for this service.
    #[error("{0}")]
    Refused(String),
    /// SNS does not answer, so that the message must be sent again.
    #[error("{0}")]
    Unavailable(String),
}

/// A topic and the mirrors that take its events.
#[derive(Clone, Debug)]
pub struct SnsTopic {
    arn: TopicArn,
    mirrors: Vec<Mirror>,
}

impl Mirrors {
    /// Returns the topic with this ARN.
    ///
    /// # Errors
    /// [`MirrorsError::Topic`] if it is not that of a mirror, [`MirrorsError::Ledger`]
    pub async fn find_topic(&self, arn: &str) -> Result<SnsTopic, MirrorsError> {
        let arn = TopicArn::parse(arn).map_err(|_| MirrorsError::Topic)?;
        let mut mirrors = self.0.ledger.read(mirrors::list).await?;
        mirrors.retain(|mirror| mirror.spec.sns_topic_arn.as_ref() == Some(&arn));
        if mirrors.is_empty() { Err(MirrorsError::Topic) } else { Ok(SnsTopic { arn, mirrors }) }
    }

    /// Acknowledges a message of SNS: its events are in the ledger when this returns, or its subscription is confirmed.
    ///
    /// # Errors
    /// [`MirrorsError::Malformed`]; [`MirrorsError::Sns`] if it is not from SNS, or cannot be verified now;
    /// [`MirrorsError::Draining`] and [`MirrorsError::Ledger`] as for other deliveries.
    pub async fn acknowledge_sns(&self, topic: &SnsTopic, body: &[u8]) -> Result<Acknowledged, MirrorsError> {
        let message: SnsMessage =
            serde_json::from_slice(body).map_err(|error| MirrorsError::Malformed(error.to_string()))?;
        check(&topic.arn, &message, Timestamp::now())?;
        let SnsTopic { arn, mirrors } = topic;
        self.0.sns.verify(arn, &message).await?;
        match message.kind.as_str() {
            NOTIFICATION => return self.0.record_for_all(mirrors, parse_message(&message.message)).await,
            SUBSCRIPTION => {
                self.0.sns.confirm(arn, &message).await?;
                tracing::info!(topic = %arn, "the subscription of the topic is confirmed");
            }
            END_OF_SUBSCRIPTION => {
                tracing::warn!(topic = %arn, "the topic sends no more events: its subscription has ended");
            }
            kind => return Err(MirrorsError::Malformed(format!("`Type` is `{kind}`, which is not a type of SNS"))),
        }
        Ok(Acknowledged::default())
    }
}

/// Checks what needs no certificate.
fn check(topic: &TopicArn, message: &SnsMessage, now: Timestamp) -> Result<(), SnsError> {
    let refused = |reason: &str| Err(SnsError::Refused(reason.to_owned()));
    if message.topic_arn != topic.as_str() {
        return refused("`TopicArn` is not the topic of the header `x-amz-sns-topic-arn`");
    }
    let Ok(published) = Timestamp::parse(&message.timestamp) else {
        return refused("`Timestamp` is not a time in RFC 3339 format");
    };
    let age = now.seconds_since(published);
    if !(-MAX_CLOCK_DIFFERENCE..=MAX_AGE).contains(&age) {
        return refused("`Timestamp` is more than 75 minutes ago, or more than 15 minutes from now; check the clock");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn late_messages_and_those_of_other_topics_are_refused() {
        let topic = TopicArn::parse("arn:aws:sns:eu-central-1:123456789012:images").unwrap();
        let message = |topic: &str, timestamp: &str| -> SnsMessage {
            serde_json::from_value(json!({"Type": "Notification", "MessageId": "i", "TopicArn": topic, "Message": "m",
                "Timestamp": timestamp, "SignatureVersion": "2", "Signature": "", "SigningCertURL": ""}))
            .unwrap()
        };
        let now = Timestamp::parse("2026-05-02T12:00:00Z").unwrap();
        let result = |topic_arn: &str, timestamp: &str| check(&topic, &message(topic_arn, timestamp), now);
        for timestamp in ["2026-05-02T11:59:59.123Z", "2026-05-02T10:46:00.000Z", "2026-05-02T12:14:00.000Z"] {
            assert_eq!(result(topic.as_str(), timestamp), Ok(()), "{timestamp}");
        }
        for timestamp in
            ["2026-05-02T10:44:00.000Z", "2026-05-02T12:16:00.000Z", "2012-05-02T12:00:00Z", "yesterday", ""]
        {
            assert!(result(topic.as_str(), timestamp).is_err(), "{timestamp}");
        }
        assert!(result("arn:aws:sns:eu-central-1:123456789012:other", "2026-05-02T12:00:00Z").is_err());
    }
}
