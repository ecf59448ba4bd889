//! Reads deliveries of events: the `Records` of MinIO, RustFS, AWS and Ceph, the events of EventBridge, and both in an
//! envelope of SNS.
//!
//! An event only names a key that may have changed. Its kind, its ETag and its place in the order are not used, because
//! events arrive twice, late, and in another order.

use percent_encoding::percent_decode_str;
use serde::Deserialize;
use serde::de::IgnoredAny;

/// Maximum number of events that are read of one delivery. MinIO and EventBridge send one, AWS sends at most a few.
pub(in crate::mirrors::events) const MAX_RECORDS: usize = 1_000;

/// Maximum length of a key, in bytes, as S3 defines it.
const MAX_KEY: usize = 1_024;

/// An object that may have changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct NamedObject {
    pub(super) bucket: String,
    pub(super) key: String,
}

/// The events of one delivery.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Named {
    /// The objects that may have changed, in the order of the events.
    pub(super) objects: Vec<NamedObject>,
    /// Number of events that name no object, or whose kind does not matter.
    pub(super) ignored: u64,
    /// Number of events that are not read, because the delivery has too many.
    pub(super) cut: u64,
    /// The form of the delivery.
    pub(super) form: Form,
}

/// The form of a delivery.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Form {
    /// `Records`, as S3 and compatible servers write them.
    Records,
    /// An event of EventBridge.
    EventBridge,
    /// An envelope of SNS.
    Sns,
    /// The event that AWS sends when a configuration is saved.
    Test,
    /// Another JSON object.
    #[default]
    Other,
}

impl Form {
    /// Every form.
    pub(super) const ALL: [Self; 5] = [Self::Records, Self::EventBridge, Self::Sns, Self::Test, Self::Other];

    /// Returns the name for a label of a metric.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Records => "s3",
            Self::EventBridge => "eventbridge",
            Self::Sns => "sns",
            Self::Test => "test",
            Self::Other => "other",
        }
    }
}

#[derive(Deserialize)]
struct Delivery {
    #[serde(rename = "Records", default)]
    records: Option<Vec<serde_json::Value>>,
    source: Option<serde_json::Value>,
    #[serde(rename = "detail-type")]
    detail_type: Option<serde_json::Value>,
    detail: Option<serde_json::Value>,
    #[serde(rename = "Event")]
    event: Option<serde_json::Value>,
    #[serde(rename = "Type")]
    envelope: Option<serde_json::Value>,
    #[serde(rename = "Message")]
    message: Option<serde_json::Value>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Record {
    #[serde(default)]
    event_source: String,
    event_name: String,
    s3: Detail,
}

/// The bucket and the object of an event: `s3` of a record, `detail` of EventBridge.
#[derive(Deserialize)]
struct Detail {
    bucket: BucketName,
    object: ObjectKey,
}

#[derive(Deserialize)]
struct BucketName {
    name: String,
}

#[derive(Deserialize)]
struct ObjectKey {
    key: String,
}

/// Reads a delivery.
///
/// # Errors
/// Returns what is wrong if the body is not a JSON object. An object of another form has no events.
pub(super) fn parse(body: &[u8]) -> Result<Named, String> {
    if let Ok(delivery) = serde_json::from_slice::<Delivery>(body) {
        return Ok(match delivery.message_of_sns() {
            Some(message) => parse_message(message),
            None => read(delivery),
        });
    }
    // An object whose fields have other types than expected is not an error: it is not about a bucket.
    match serde_json::from_slice::<serde_json::Map<String, serde_json::Value>>(body) {
        Ok(_) => Ok(Named { ignored: 1, ..Named::default() }),
        Err(error) if serde_json::from_slice::<IgnoredAny>(body).is_ok() => Err(error.to_string()),
        Err(error) => Err(format!("the error is in line {}, column {}", error.line(), error.column())),
    }
}

/// Reads the message of an envelope of SNS. Others than the bucket may publish to the topic, so any text is allowed.
pub(super) fn parse_message(message: &str) -> Named {
    let named = match serde_json::from_str::<Delivery>(message) {
        Ok(delivery) => read(delivery),
        Err(_) => Named { ignored: 1, ..Named::default() },
    };
    Named { form: Form::Sns, ..named }
}

impl Delivery {
    /// Returns the message if this is an envelope of SNS.
    fn message_of_sns(&self) -> Option<&str> {
        let is_envelope = self.records.is_none() && self.envelope.as_ref().is_some_and(|kind| kind == "Notification");
        self.message.as_ref().filter(|_| is_envelope)?.as_str()
    }
}

fn read(delivery: Delivery) -> Named {
    let mut named = Named::default();
    if let Some(records) = delivery.records {
        named.form = Form::Records;
        named.cut = records.len().saturating_sub(MAX_RECORDS) as u64;
        for record in records.into_iter().take(MAX_RECORDS) {
            let object = serde_json::from_value::<Record>(record).ok().and_then(|record| from_record(&record));
            named.add(object);
        }
    } else if delivery.source.is_some_and(|source| source == "aws.s3") {
        named.form = Form::EventBridge;
        let kind = delivery.detail_type.as_ref().and_then(serde_json::Value::as_str).unwrap_or_default();
        let matters = matches!(kind, "Object Created" | "Object Deleted" | "Object Restore Completed");
        let detail = delivery.detail.filter(|_| matters);
        let detail = detail.and_then(|detail| serde_json::from_value::<Detail>(detail).ok());
        // The keys of EventBridge are not encoded.
        named.add(detail.map(|Detail { bucket, object }| NamedObject { bucket: bucket.name, key: object.key }));
    } else {
        if delivery.event.is_some_and(|event| event == "s3:TestEvent") {
            named.form = Form::Test;
        }
        named.ignored = 1;
    }
    named
}

impl Named {
    /// Adds the events of another delivery.
    pub(super) fn append(&mut self, other: Self) {
        self.objects.extend(other.objects);
        self.ignored += other.ignored;
        self.cut += other.cut;
    }

    fn add(&mut self, object: Option<NamedObject>) {
        match object.filter(|object| (1..=MAX_KEY).contains(&object.key.len())) {
            Some(object) => self.objects.push(object),
            None => self.ignored += 1,
        }
    }
}

fn from_record(record: &Record) -> Option<NamedObject> {
    if !changes_object(&record.event_name) {
        return None;
    }
    let key = &record.s3.object.key;
    // Ceph writes keys as they are; MinIO, RustFS and AWS encode them as forms are encoded.
    let key = if record.event_source == "ceph:s3" { Some(key.clone()) } else { decode_form(key) };
    Some(NamedObject { bucket: record.s3.bucket.name.clone(), key: key? })
}

/// Whether the bytes of an object can be others after an event of this kind. MinIO writes `s3:` before the kind.
fn changes_object(name: &str) -> bool {
    let name = name.strip_prefix("s3:").unwrap_or(name);
    let Some((kind, detail)) = name.split_once(':') else { return false };
    match kind {
        "ObjectCreated" => {
            !matches!(detail, "PutTagging" | "DeleteTagging" | "PutRetention" | "PutLegalHold" | "PutAcl")
        }
        "ObjectRemoved"
        | "LifecycleExpiration"
        | "LifecycleDelMarkerExpiration"
        | "ObjectLifecycle"
        | "ObjectSynced" => true,
        "ObjectRestore" => detail == "Completed",
        _ => false,
    }
}

/// Decodes a key: `+` is a space, and `%XX` a byte. Returns `None` if the bytes are not UTF-8, because no image has such a
/// key.
fn decode_form(text: &str) -> Option<String> {
    percent_decode_str(&text.replace('+', " ")).decode_utf8().ok().map(Into::into)
}

#[cfg(test)]
#[path = "parse_tests.rs"]
mod tests;
