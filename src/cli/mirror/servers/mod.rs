//! What to configure on a server, so that its bucket sends events to the service.

mod aws;

use std::fmt::Write;

use crate::api::replies::MirrorReply;

/// The servers whose configuration is printed.
pub(super) const NAMES: [&str; 4] = ["minio", "rustfs", "ceph", "aws"];

/// In place of the token, which the service does not keep.
const TOKEN: &str = "EVENT_TOKEN";

/// Returns the instructions for one server, or for all. `service` is the URL of the service.
pub(super) fn instructions(mirror: &MirrorReply, service: &str, server: Option<&str>) -> String {
    let mut text = format!(
        "Events of s3://{}/{} for the mirror {}.\n\
         {TOKEN} is the event token of the mirror; `glimpse mirror token {}` makes a new one.\n\
         The server must reach the service at this URL, except with SQS: {service}\n",
        mirror.s3_bucket, mirror.s3_prefix, mirror.name, mirror.name
    );
    for name in NAMES.into_iter().filter(|name| server.is_none_or(|wanted| wanted == *name)) {
        let part = match name {
            "minio" => minio(mirror, service),
            "rustfs" => rustfs(mirror, service),
            "ceph" => ceph(mirror, service),
            _ => aws::instructions(mirror, service),
        };
        // Writing to a string does not fail.
        write!(text, "\n{part}").ok();
    }
    text.trim_end().to_owned()
}

fn endpoint(service: &str) -> String {
    format!("{}/events/s3", service.trim_end_matches('/'))
}

/// The webhook is read at the start of the server.
fn minio(mirror: &MirrorReply, service: &str) -> String {
    let prefix = if mirror.s3_prefix.is_empty() { String::new() } else { format!(" --prefix '{}'", mirror.s3_prefix) };
    format!(
        "MinIO: in its environment, then restart it\n{}\
         and once:\n  \
         mc event add ALIAS/{} arn:minio:sqs::{}:webhook --event put,delete{prefix}\n",
        webhook("MINIO", mirror, service),
        mirror.s3_bucket,
        webhook_id(&mirror.name),
    )
}

/// RustFS has no command of its own for the rule of a bucket.
fn rustfs(mirror: &MirrorReply, service: &str) -> String {
    format!(
        "RustFS: in its environment, then restart it\n  \
         RUSTFS_NOTIFY_ENABLE=true\n\
         {}  \
         RUSTFS_OUTBOUND_ALLOW_ORIGINS={service}   # only if its address is private\n\
         and once, with the region of the server:\n  \
         glimpse mirror events {} --apply --target arn:rustfs:sqs:us-east-1:{}:webhook\n",
        webhook("RUSTFS", mirror, service),
        mirror.name,
        webhook_id(&mirror.name).to_ascii_lowercase(),
    )
}

/// Returns the variables of a webhook, in which MinIO and RustFS differ only by the first word.
fn webhook(server: &str, mirror: &MirrorReply, service: &str) -> String {
    let id = webhook_id(&mirror.name);
    format!(
        "  {server}_NOTIFY_WEBHOOK_ENABLE_{id}=on\n  \
         {server}_NOTIFY_WEBHOOK_ENDPOINT_{id}={endpoint}\n  \
         {server}_NOTIFY_WEBHOOK_AUTH_TOKEN_{id}={TOKEN}\n  \
         {server}_NOTIFY_WEBHOOK_QUEUE_DIR_{id}=/var/lib/glimpse-events/{name}   # keeps events while the service does not answer\n",
        endpoint = endpoint(service),
        name = mirror.name,
    )
}

/// Returns the id of the webhook of a mirror. Each mirror has its own, because the token belongs to the webhook.
fn webhook_id(mirror: &str) -> String {
    format!("GLIMPSE_{}", mirror.to_ascii_uppercase().replace('-', "_"))
}

fn ceph(mirror: &MirrorReply, service: &str) -> String {
    format!(
        "Ceph: a topic that repeats events until they are acknowledged, and a rule of the bucket\n  \
         aws --endpoint-url RGW sns create-topic --name glimpse --attributes '{{\"push-endpoint\":\"{endpoint}\",\"persistent\":\"true\"}}'\n  \
         aws --endpoint-url RGW s3api put-bucket-notification-configuration --bucket {bucket} --notification-configuration \
         '{{\"TopicConfigurations\":[{{\"Id\":\"glimpse\",\"TopicArn\":\"ARN\",\"Events\":[\"s3:ObjectCreated:*\",\"s3:ObjectRemoved:*\"]}}]}}'\n  \
         # This replaces all rules of the bucket. If the gateway cannot send `Authorization: Bearer {TOKEN}`, let a proxy add it.\n",
        endpoint = endpoint(service),
        bucket = mirror.s3_bucket,
    )
}
