//! The rule of a bucket that sends its events to a target. The request replaces all rules of the bucket, so they are read,
//! changed and written.

use aws_sdk_s3::types::{
    Event, FilterRule, FilterRuleName, NotificationConfiguration, NotificationConfigurationFilter, QueueConfiguration,
    S3KeyFilter, TopicConfiguration,
};

use super::S3Source;
use super::errors::{Target, source_error};
use crate::source::SourceError;

/// The events that a rule sends.
const EVENTS: [&str; 2] = ["s3:ObjectCreated:*", "s3:ObjectRemoved:*"];

/// A rule of a bucket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventRule {
    /// The id of the rule. A rule of the bucket with this id is replaced.
    pub id: String,
    /// Only keys with this prefix; empty for all keys.
    pub prefix: String,
    /// The ARN of the target: a queue (also a webhook of MinIO or RustFS), or a topic of SNS or Ceph.
    pub target: String,
}

impl S3Source {
    /// Adds a rule to those of a bucket.
    ///
    /// # Errors
    /// Returns [`SourceError`] if the rules cannot be read or written.
    pub async fn put_event_rule(&self, bucket: &str, rule: &EventRule) -> Result<(), SourceError> {
        let target = |permission| Target::Rules { bucket, permission };
        let found = self.client.get_bucket_notification_configuration().bucket(bucket).send().await;
        let found = found.map_err(|error| source_error(&error, target("s3:GetBucketNotification"), &self.setup))?;
        let is_other = |id: Option<&str>| id != Some(&rule.id);
        let mut queues = found.queue_configurations.unwrap_or_default();
        queues.retain(|other| is_other(other.id()));
        let mut topics = found.topic_configurations.unwrap_or_default();
        topics.retain(|other| is_other(other.id()));
        let events = || Some(EVENTS.map(Event::from).to_vec());
        if is_topic(&rule.target) {
            let topic = TopicConfiguration::builder().id(&rule.id).topic_arn(&rule.target);
            topics.extend(topic.set_events(events()).set_filter(filter(&rule.prefix)).build().ok());
        } else {
            let queue = QueueConfiguration::builder().id(&rule.id).queue_arn(&rule.target);
            queues.extend(queue.set_events(events()).set_filter(filter(&rule.prefix)).build().ok());
        }
        let all = NotificationConfiguration::builder()
            .set_queue_configurations(Some(queues).filter(|queues| !queues.is_empty()))
            .set_topic_configurations(Some(topics).filter(|topics| !topics.is_empty()))
            .set_lambda_function_configurations(found.lambda_function_configurations)
            .set_event_bridge_configuration(found.event_bridge_configuration)
            .build();
        let put = self.client.put_bucket_notification_configuration().bucket(bucket).notification_configuration(all);
        put.send()
            .await
            .map(drop)
            .map_err(|error| source_error(&error, target("s3:PutBucketNotification"), &self.setup))
    }
}

/// Whether an ARN is one of a topic: `arn:PARTITION:sns:…`.
fn is_topic(arn: &str) -> bool {
    arn.split(':').nth(2) == Some("sns")
}

fn filter(prefix: &str) -> Option<NotificationConfigurationFilter> {
    let rule = || FilterRule::builder().name(FilterRuleName::Prefix).value(prefix).build();
    (!prefix.is_empty()).then(|| {
        let key = S3KeyFilter::builder().filter_rules(rule()).build();
        NotificationConfigurationFilter::builder().key(key).build()
    })
}
