use futures::future::join_all;
use reqwest::{RequestBuilder, StatusCode};
use serde_json::{Value, json};

use super::{encode_form, keys_until, mirror_until, put_mirror, start_mirror};
use crate::support::services::sns::{HOST, Signer, SnsServer, TOPIC};
use crate::support::{TestApp, demo_image, quarters_png};

const CREATED: &str = "ObjectCreated:Put";

async fn start(sns: &SnsServer) -> TestApp {
    TestApp::start_with_sns(sns.connection(), &[]).await
}

fn record(bucket: &str, name: &str, key: &str) -> Value {
    json!({"Records": [{"eventVersion": "2.1", "eventSource": "aws:s3", "eventName": name,
        "s3": {"bucket": {"name": bucket}, "object": {"key": encode_form(key)}}}]})
}

/// The request of SNS, without a token.
fn request(app: &TestApp, message: &Value) -> RequestBuilder {
    app.client
        .post(format!("{}/events/s3", app.url))
        .header("x-amz-sns-message-type", message["Type"].as_str().unwrap_or("Notification"))
        .header("x-amz-sns-message-id", "22b80b92")
        .header("x-amz-sns-topic-arn", TOPIC)
        .header("content-type", "text/plain; charset=UTF-8")
        .header("user-agent", "Amazon Simple Notification Service Agent")
        .body(message.to_string())
}

async fn reply(request: RequestBuilder) -> (u16, Value) {
    let reply = request.send().await.unwrap();
    (reply.status().as_u16(), reply.json().await.unwrap())
}

async fn send(app: &TestApp, message: &Value) -> (u16, Value) {
    reply(request(app, message)).await
}

fn event(signer: &Signer, key: &str) -> Value {
    signer.notification(&record("pipeline", CREATED, key))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_topic_is_confirmed_and_its_events_are_processed() {
    let sns = SnsServer::start().await;
    let app = start(&sns).await;
    start_mirror(&app, json!({"sns_topic_arn": TOPIC})).await;
    let signer = sns.valid_signer();
    let (status, body) = send(&app, &signer.confirmation("SubscriptionConfirmation", HOST)).await;
    assert_eq!((status, &body), (200, &json!({"accepted": 0, "ignored": 0, "dropped": 0})));
    let certificate = "/SimpleNotificationService-9c6465fa.pem";
    let confirmation = format!("/?Action=ConfirmSubscription&TopicArn={TOPIC}&Token=2336412f37fb");
    assert_eq!(sns.requests(), [certificate, &confirmation]);

    let all = ["images/a b.png", "images/1+1.png", "images/%2B.png", "images/⛄.png", "images/../x.png"];
    for (seed, key) in (0..).zip(all) {
        app.put(key, quarters_png(seed)).await;
    }
    // A removal that is not true, and a message that is repeated.
    let removal = signer.notification(&record("pipeline", "ObjectRemoved:Delete", all[0]));
    let repeated = event(&signer, all[0]);
    for message in [&repeated, &removal, &repeated, &event(&signer, all[1]), &event(&signer, all[2])] {
        assert_eq!(send(&app, message).await, (200, json!({"accepted": 1, "ignored": 0, "dropped": 0})));
    }
    let many = json!({"Records": [record("pipeline", CREATED, all[3])["Records"][0], record("pipeline", CREATED, all[4])["Records"][0],
        record("elsewhere", CREATED, all[4])["Records"][0]]});
    assert_eq!(send(&app, &signer.notification(&many)).await.1, json!({"accepted": 2, "ignored": 1, "dropped": 0}));
    let mut expected = all;
    expected.sort_unstable();
    keys_until(&app, &expected).await;
    for other in [json!({"Event": "s3:TestEvent"}), json!("only a text"), json!(7)] {
        let (status, body) = send(&app, &signer.notification(&other)).await;
        assert_eq!((status, &body["ignored"]), (200, &json!(1)), "{other}");
    }
    let mut without_subject = event(&signer, all[0]);
    without_subject.as_object_mut().unwrap().remove("Subject");
    assert_eq!(send(&app, &signer.sign(&without_subject)).await.0, 200);
    assert_eq!(send(&app, &signer.confirmation("UnsubscribeConfirmation", HOST)).await.0, 200);
    assert_eq!(sns.requests().len(), 2, "the certificate was kept, and the end of a subscription requests nothing");
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_that_sns_has_not_signed_are_refused() {
    let sns = SnsServer::start().await;
    let app = start(&sns).await;
    start_mirror(&app, json!({"sns_topic_arn": TOPIC})).await;
    let signer = sns.valid_signer();
    let good = event(&signer, "images/a.png");
    let changed = |field: &str, value: Value| {
        let mut message = good.clone();
        message[field] = value;
        message
    };
    let signed = |field: &str, value: &str| {
        let mut message = good.clone();
        message[field] = json!(value);
        signer.sign(&message)
    };
    let foreign = sns.signer("f0e1", "sns.amazonaws.com", (2020, 2100));
    let mut by_other_key = foreign.sign(&good);
    by_other_key["SigningCertURL"] = json!(signer.url);
    let file = "SimpleNotificationService-9c6465fa.pem";
    let cases = [
        ("no signature", changed("Signature", json!(""))),
        ("another signature", changed("Signature", event(&signer, "images/b.png")["Signature"].clone())),
        ("not base64", changed("Signature", json!("?"))),
        ("another key", by_other_key),
        ("a changed message", changed("Message", json!(record("pipeline", CREATED, "images/b.png").to_string()))),
        ("a changed subject", changed("Subject", json!("x"))),
        ("another version", changed("SignatureVersion", json!("1"))),
        ("an unknown version", changed("SignatureVersion", json!("3"))),
        ("another topic", signed("TopicArn", &TOPIC.replace(":images", ":other"))),
        ("late", signed("Timestamp", "2026-01-01T00:00:00.000Z")),
        ("no time", signed("Timestamp", "now")),
        ("another type", signed("Type", "Other")),
        ("an expired certificate", sns.signer("0a", "sns.amazonaws.com", (2020, 2021)).sign(&good)),
        ("a certificate of the future", sns.signer("0b", "sns.amazonaws.com", (2090, 2100)).sign(&good)),
        ("a certificate of another service", sns.signer("0c", "s3.amazonaws.com", (2020, 2100)).sign(&good)),
        ("a certificate that does not exist", changed("SigningCertURL", json!(signer.url.replace("9c64", "dead")))),
        ("another host", changed("SigningCertURL", json!(format!("https://evil.example/{file}")))),
        ("another region", changed("SigningCertURL", json!(format!("https://sns.us-east-1.amazonaws.com/{file}")))),
        ("another port", changed("SigningCertURL", json!(format!("https://{HOST}:1/{file}")))),
        ("without TLS", changed("SigningCertURL", json!(format!("http://{HOST}/{file}")))),
    ];
    for (case, message) in &cases {
        let (status, body) = send(&app, message).await;
        assert_eq!((status, &body["code"]), (403, &json!("not_from_sns")), "{case}: {body}");
    }
    let requests = sns.requests();
    assert!(
        requests.iter().all(|path| path.contains("SimpleNotificationService-")) && requests.len() <= 5,
        "{requests:?}"
    );
    // The good one is still accepted.
    assert_eq!(send(&app, &good).await.0, 200);
    let raw = request(&app, &record("pipeline", CREATED, "images/a.png")).header("x-amz-sns-rawdelivery", "true");
    let (status, body) = reply(raw).await;
    assert!(status == 403 && body["message"].as_str().unwrap().contains("raw message delivery"), "{body}");
    for body in ["", "[]", "{}", "no JSON", "{\"Type\": 7}"] {
        let (status, reply) = reply(request(&app, &good).body(body)).await;
        assert_eq!((status, &reply["code"]), (400, &json!("malformed_body")), "{body}");
    }
    let large = request(&app, &good).body(vec![b' '; 600 * 1024]);
    assert_eq!(reply(large).await.0, 413);
}

#[tokio::test(flavor = "multi_thread")]
async fn only_topics_of_mirrors_are_accepted_and_others_cause_no_request() {
    let sns = SnsServer::start().await;
    let app = start(&sns).await;
    let signer = sns.valid_signer();
    let message = event(&signer, "images/a.png");
    let refused = |request: RequestBuilder| async move {
        let (status, body) = reply(request).await;
        assert_eq!((status, &body["code"]), (401, &json!("unauthorized")), "{body}");
    };
    // No mirror has the topic.
    let token = start_mirror(&app, json!({})).await;
    refused(request(&app, &message)).await;
    let other = "arn:aws:sns:eu-west-1:123456789012:other";
    put_mirror(&app, json!({"sns_topic_arn": other})).await;
    refused(request(&app, &message)).await;
    let without_topic =
        app.client.post(format!("{}/events/s3", app.url)).header("x-amz-sns-message-type", "Notification");
    refused(without_topic.body(message.to_string())).await;
    assert_eq!(sns.requests(), Vec::<String>::new());
    // With the token of a mirror, an envelope needs no signature: the token is what is trusted.
    let with_token = request(&app, &message).bearer_auth(&token);
    assert_eq!(reply(with_token).await, (200, json!({"accepted": 1, "ignored": 0, "dropped": 0})));
    refused(request(&app, &message).bearer_auth("x")).await;
    for wrong in ["images", "arn:aws:sqs:eu-west-1:123456789012:images", "arn:aws:sns:eu-west-1:1:images"] {
        let (status, body) = put_mirror(&app, json!({"sns_topic_arn": wrong})).await;
        assert_eq!(
            (status, &body["code"]),
            (StatusCode::UNPROCESSABLE_ENTITY, &json!("invalid_sns_topic_arn")),
            "{body}"
        );
    }
    let shown = mirror_until(&app, |_| true).await;
    assert_eq!(shown.sns_topic_arn.as_deref(), Some(other));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_is_repeated_if_its_certificate_cannot_be_requested() {
    let sns = SnsServer::start().await;
    let app = start(&sns).await;
    start_mirror(&app, json!({"sns_topic_arn": TOPIC})).await;
    app.put("images/cat.jpg", demo_image("cat.jpg")).await;
    let signer = sns.valid_signer();
    let message = event(&signer, "images/cat.jpg");
    sns.set_down(true);
    let response = request(&app, &message).send().await.unwrap();
    assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert!(response.headers().contains_key("retry-after"));
    sns.set_down(false);
    // Many messages at the same time request the certificate once.
    let before = sns.requests().len();
    let replies = join_all((0..20).map(|_| send(&app, &message))).await;
    assert!(replies.iter().all(|(status, _)| *status == 200), "{replies:?}");
    assert_eq!(sns.requests().len(), before + 1);
    keys_until(&app, &["images/cat.jpg"]).await;
    // A confirmation that fails is repeated, too.
    sns.set_down(true);
    let confirmation = signer.confirmation("SubscriptionConfirmation", HOST);
    assert_eq!(send(&app, &confirmation).await.0, 503);
    sns.set_down(false);
    assert_eq!(send(&app, &confirmation).await.0, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_subscription_is_confirmed_only_at_sns() {
    let sns = SnsServer::start().await;
    let app = start(&sns).await;
    start_mirror(&app, json!({"sns_topic_arn": TOPIC})).await;
    let signer = sns.valid_signer();
    for host in ["evil.example", "127.0.0.1", "sns.us-east-1.amazonaws.com", "sns.eu-west-1.amazonaws.com:1"] {
        let (status, body) = send(&app, &signer.confirmation("SubscriptionConfirmation", host)).await;
        assert!(status == 403 && body["message"].as_str().unwrap().contains("SubscribeURL"), "{host}: {body}");
    }
    assert_eq!(sns.requests(), ["/SimpleNotificationService-9c6465fa.pem"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_whose_certificate_is_not_trusted_is_not_sns() {
    let (sns, other) = (SnsServer::start().await, SnsServer::start().await);
    let mut connection = sns.connection();
    connection.addresses = other.connection().addresses;
    let app = TestApp::start_with_sns(connection, &[]).await;
    start_mirror(&app, json!({"sns_topic_arn": TOPIC})).await;
    let (status, body) = send(&app, &event(&other.valid_signer(), "images/a.png")).await;
    assert_eq!((status, &body["code"]), (503, &json!("sns_unavailable")), "{body}");
    assert_eq!(other.requests(), Vec::<String>::new());
}
