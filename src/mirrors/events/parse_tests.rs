use serde_json::{Value, json};

use super::*;

fn record(source: &str, name: &str, key: &str) -> Value {
    json!({"eventVersion": "2.1", "eventSource": source, "eventName": name, "eventTime": "2026-01-01T00:00:00.000Z",
        "s3": {"s3SchemaVersion": "1.0", "bucket": {"name": "b", "arn": "arn:aws:s3:::b"},
            "object": {"key": key, "size": 5, "eTag": "e", "sequencer": "0055AED6DCD90281E5"}}})
}

fn event(kind: &str, key: &str) -> Value {
    json!({"version": "0", "id": "i", "detail-type": kind, "source": "aws.s3", "time": "2026-01-01T00:00:00Z",
        "detail": {"version": "0", "bucket": {"name": "b"}, "object": {"key": key, "etag": "e"}, "reason": "PutObject"}})
}

fn parsed(body: &Value) -> Named {
    parse(body.to_string().as_bytes()).unwrap()
}

fn keys(body: &Value) -> Vec<String> {
    parsed(body).objects.into_iter().map(|object| object.key).collect()
}

#[test]
fn keys_are_decoded_as_their_source_encodes_them() {
    let in_form = [
        ("images%2Fa+b.jpg", "images/a b.jpg"),
        ("images/red+flower.jpg", "images/red flower.jpg"),
        ("1%2B1%3D2.jpg", "1+1=2.jpg"),
        ("50%25.jpg", "50%.jpg"),
        ("%252B.jpg", "%2B.jpg"),
        ("%E2%9B%84.jpg", "⛄.jpg"),
        ("a%26b%3Dc%3Ad.jpg", "a&b=c:d.jpg"),
        ("..%2F..%2Fetc%2Fpasswd", "../../etc/passwd"),
    ];
    for (encoded, key) in in_form {
        for source in ["minio:s3", "aws:s3", "rustfs:s3", ""] {
            let body = json!({"Records": [record(source, "ObjectCreated:Put", encoded)]});
            assert_eq!(keys(&body), [key], "{source} {encoded}");
        }
    }
    for key in ["a+b.jpg", "a%2Bb c.jpg", "100%.jpg", "⛄.jpg", "../a.jpg"] {
        assert_eq!(keys(&json!({"Records": [record("ceph:s3", "ObjectCreated:Put", key)]})), [key]);
        assert_eq!(keys(&event("Object Created", key)), [key]);
    }
}

#[test]
fn every_kind_that_can_change_an_object_counts() {
    let kinds = [
        "s3:ObjectCreated:Put",
        "ObjectCreated:CompleteMultipartUpload",
        "ObjectCreated:Copy",
        "s3:ObjectRemoved:Delete",
        "ObjectRemoved:DeleteMarkerCreated",
        "s3:ObjectRemoved:NoOP",
        "LifecycleExpiration:Delete",
        "s3:LifecycleDelMarkerExpiration:Delete",
        "ObjectLifecycle:Expiration:Current",
        "ObjectSynced:Create",
        "ObjectRestore:Completed",
    ];
    for kind in kinds {
        assert_eq!(keys(&json!({"Records": [record("aws:s3", kind, "a")]})), ["a"], "{kind}");
    }
    for kind in ["s3:ObjectAccessed:Get", "ObjectCreated:PutTagging", "ObjectRestore:Post", "TestEvent", "", "x:y"] {
        let named = parsed(&json!({"Records": [record("aws:s3", kind, "a")]}));
        assert_eq!((named.objects.len(), named.ignored), (0, 1), "{kind}");
    }
    for (kind, count) in [("Object Deleted", 1), ("Object Tags Added", 0), ("Object Storage Class Changed", 0)] {
        assert_eq!(keys(&event(kind, "a")).len(), count, "{kind}");
    }
}

#[test]
fn other_objects_have_no_events_and_are_not_refused() {
    let others = [
        json!({}),
        json!({"Service": "Amazon S3", "Event": "s3:TestEvent", "Time": "t", "Bucket": "b", "RequestId": "r", "HostId": "h"}),
        json!({"Records": [7]}),
        json!({"Records": [{"eventName": "ObjectCreated:Put"}]}),
        json!({"Records": "no list"}),
        json!({"source": "aws.ec2", "detail-type": "x", "detail": {}}),
        json!({"source": "aws.s3", "detail-type": 7, "detail": []}),
        json!({"Records": [record("aws:s3", "ObjectCreated:Put", "%FF%FE")]}),
        json!({"Records": [record("aws:s3", "ObjectCreated:Put", "")]}),
        json!({"Records": [record("aws:s3", "ObjectCreated:Put", &"k".repeat(1_025))]}),
    ];
    for other in others {
        let named = parsed(&other);
        assert_eq!((named.objects.len(), named.ignored), (0, 1), "{other}");
    }
    for malformed in ["", "[]", "7", "null", "{\"Records\":", "x=1"] {
        parse(malformed.as_bytes()).unwrap_err();
    }
}

#[test]
fn a_long_delivery_is_cut_and_the_cut_is_reported() {
    let many: Vec<Value> = (0..1_002).map(|at| record("aws:s3", "ObjectCreated:Put", &at.to_string())).collect();
    let named = parsed(&json!({"Records": many}));
    assert_eq!((named.objects.len(), named.cut), (MAX_RECORDS, 2));
}

#[test]
fn an_envelope_of_sns_has_the_events_of_its_message() {
    let inner = json!({"Records": [record("aws:s3", "ObjectCreated:Put", "a+b.jpg")]});
    let envelope = |message: &str| json!({"Type": "Notification", "TopicArn": "t", "Message": message});
    let named = parsed(&envelope(&inner.to_string()));
    assert_eq!((named.objects[0].key.as_str(), named.form), ("a b.jpg", Form::Sns));
    assert_eq!(keys(&envelope(&event("Object Created", "a+b.jpg").to_string())), ["a+b.jpg"]);
    // Only one envelope is opened, and a message can be any text.
    for message in [&envelope(&inner.to_string()).to_string(), "hello", "", "[]"] {
        let named = parsed(&envelope(message));
        assert_eq!((named.objects.len(), named.ignored, named.form), (0, 1, Form::Sns), "{message}");
    }
    let forms = [
        (inner, Form::Records),
        (event("Object Created", "a"), Form::EventBridge),
        (json!({"Service": "Amazon S3", "Event": "s3:TestEvent", "Bucket": "b"}), Form::Test),
        (json!({"Type": "Notification"}), Form::Other),
        (json!({"Type": 7, "Message": []}), Form::Other),
    ];
    for (body, form) in forms {
        assert_eq!(parsed(&body).form, form, "{body}");
    }
}
