//! What to configure on AWS: a queue, a topic, or a rule of EventBridge.

use super::{TOKEN, endpoint};
use crate::api::replies::MirrorReply;

/// Returns the instructions for each of the three ways.
pub(super) fn instructions(mirror: &MirrorReply, service: &str) -> String {
    [queue(mirror), topic(mirror, service), event_bridge(mirror, service)].join("\n")
}

/// Returns a policy that lets the bucket send its events to a queue or a topic.
fn policy(mirror: &MirrorReply, action: &str, target: &str) -> String {
    format!(
        "{{\"Version\":\"2012-10-17\",\"Statement\":[{{\"Effect\":\"Allow\",\"Principal\":{{\"Service\":\"s3.amazonaws.com\"}},\
         \"Action\":\"{action}\",\"Resource\":\"{target}\",\"Condition\":{{\"ArnEquals\":{{\"aws:SourceArn\":\"arn:aws:s3:::{}\"}},\
         \"StringEquals\":{{\"aws:SourceAccount\":\"ACCOUNT\"}}}}}}]}}",
        mirror.s3_bucket
    )
}

fn queue(mirror: &MirrorReply) -> String {
    format!(
        "AWS, SQS: the service takes the events from a queue; it needs no public address, and one queue is enough for all mirrors\n  \
         1. A standard queue, with a dead-letter queue, and with this access policy:\n     \
         {policy}\n  \
         2. The rule of the bucket: glimpse mirror events {name} --apply --target QUEUE_ARN\n  \
         3. In the environment of the service: GLIMPSE_SQS_URL=https://sqs.REGION.amazonaws.com/ACCOUNT/QUEUE\n     \
         Its credentials need sqs:ReceiveMessage, sqs:DeleteMessage and sqs:GetQueueAttributes.\n",
        policy = policy(mirror, "sqs:SendMessage", "QUEUE_ARN"),
        name = mirror.name,
    )
}

fn topic(mirror: &MirrorReply, service: &str) -> String {
    let arn = mirror.sns_topic_arn.as_deref().unwrap_or("TOPIC_ARN");
    let add = match mirror.sns_topic_arn {
        Some(_) => "The mirror has the topic.".to_owned(),
        None => format!(
            "The mirror with all its fields and the topic: glimpse mirror add {} … --sns-topic-arn TOPIC_ARN",
            mirror.name
        ),
    };
    format!(
        "AWS, SNS: the topic sends the events to the service, which needs HTTPS\n  \
         1. A standard topic with the attribute SignatureVersion=2, and with this access policy:\n     \
         {policy}\n  \
         2. {add}\n  \
         3. aws sns subscribe --topic-arn {arn} --protocol https --notification-endpoint {endpoint}\n     \
         The service confirms the subscription. Do not turn on raw message delivery: it has no signature.\n  \
         4. The rule of the bucket: glimpse mirror events {name} --apply --target {arn}\n",
        policy = policy(mirror, "sns:Publish", arn),
        endpoint = endpoint(service),
        name = mirror.name,
    )
}

fn event_bridge(mirror: &MirrorReply, service: &str) -> String {
    let prefix = if mirror.s3_prefix.is_empty() {
        String::new()
    } else {
        format!(",\"object\":{{\"key\":[{{\"prefix\":\"{}\"}}]}}", mirror.s3_prefix)
    };
    format!(
        "AWS, EventBridge: an API destination, for which the service needs HTTPS\n  \
         1. Turn on EventBridge for the bucket {bucket} (Properties, Amazon EventBridge).\n  \
         2. Connection: API key, name `Authorization`, value `Bearer {TOKEN}`.\n  \
         3. API destination: POST {endpoint}, with this connection.\n  \
         4. Rule with the destination (or the queue above) as its target, and this pattern:\n     \
         {{\"source\":[\"aws.s3\"],\"detail-type\":[\"Object Created\",\"Object Deleted\"],\"detail\":{{\"bucket\":{{\"name\":[\"{bucket}\"]}}{prefix}}}}}\n",
        endpoint = endpoint(service),
        bucket = mirror.s3_bucket,
    )
}
