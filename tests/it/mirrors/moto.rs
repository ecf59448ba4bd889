//! The events of a bucket of moto go through its queue to a mirror: `SERVERS=moto make test-servers`.

use reqwest::Client;
use serde_json::json;

use super::{keys_until, mirror_until, start_mirror};
use crate::jobs::mirror::remove;
use crate::support::environment::{skip, variable};
use crate::support::{TestApp, demo_image, quarters_png};

/// The account of every queue of moto.
const ACCOUNT: &str = "123456789012";
const KEY: [(&str, &str); 2] =
    [("S3_ACCESS_KEY_ID", "AKIDEXAMPLE"), ("S3_SECRET_ACCESS_KEY", "nothing-is-secret-here")];

/// Calls SQS or SNS with the older protocol of forms, unsigned: moto reads only the region of the signature.
async fn call(url: &str, service: &str, form: &[(&str, &str)]) {
    let scope = format!(
        "AWS4-HMAC-SHA256 Credential=x/20260101/us-east-1/{service}/aws4_request, SignedHeaders=host, Signature=x"
    );
    let request = Client::new()
        .post(url)
        .header("authorization", scope)
        .header("host", format!("{service}.us-east-1.amazonaws.com"));
    let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish();
    let request = request.header("content-type", "application/x-www-form-urlencoded").body(body);
    let reply = request.send().await.unwrap();
    assert!(reply.status().is_success(), "{form:?}: {}", reply.text().await.unwrap());
}

/// Sends the events of the bucket to a target. The command `glimpse mirror events --apply` cannot do it, because moto gives the
/// list of rules another name than S3 does.
async fn put_rule(url: &str, kind: &str, arn: &str) {
    let rule = format!(
        "<{kind}Configuration><Id>glimpse</Id><{kind}>{arn}</{kind}><Event>s3:ObjectCreated:*</Event>\
         <Event>s3:ObjectRemoved:*</Event><Filter><S3Key><FilterRule><Name>prefix</Name><Value>images/</Value></FilterRule>\
         </S3Key></Filter></{kind}Configuration>"
    );
    let all = format!("<NotificationConfiguration>{rule}</NotificationConfiguration>");
    let reply = Client::new().put(format!("{url}/pipeline?notification")).body(all).send().await.unwrap();
    assert!(reply.status().is_success(), "{}", reply.text().await.unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn events_of_a_bucket_arrive_through_a_queue_and_through_a_topic_and_a_queue() {
    let Some(url) = variable("MOTO_URL") else {
        return skip("moto", "set MOTO_URL to the address of a moto_server: SERVERS=moto make test-servers");
    };
    let name = format!("queue-{}", uuid::Uuid::new_v4());
    call(&url, "sqs", &[("Action", "CreateQueue"), ("QueueName", &name), ("Version", "2012-11-05")]).await;
    let queue = format!("{url}/{ACCOUNT}/{name}");
    let variables = [&[("S3_ENDPOINT", url.as_str()), ("GLIMPSE_SQS_URL", &queue)][..], &KEY].concat();
    let app = TestApp::start_with(&variables).await;
    app.bucket.ensure("pipeline").await.unwrap();
    start_mirror(&app, json!({})).await;
    let queue_arn = format!("arn:aws:sqs:us-east-1:{ACCOUNT}:{name}");
    put_rule(&url, "Queue", &queue_arn).await;
    let all = ["images/a b.png", "images/1+1.png", "images/⛄.png", "images/cat.png"];
    for (seed, key) in (0..).zip(all) {
        app.put(key, quarters_png(seed)).await;
    }
    let mut expected = all;
    expected.sort_unstable();
    keys_until(&app, &expected).await;
    for key in &all[..3] {
        remove(&app, key).await;
    }
    keys_until(&app, &all[3..]).await;

    let topic = format!("arn:aws:sns:us-east-1:{ACCOUNT}:{name}");
    call(&url, "sns", &[("Action", "CreateTopic"), ("Name", &name), ("Version", "2010-03-31")]).await;
    let subscribe =
        [("Action", "Subscribe"), ("TopicArn", topic.as_str()), ("Protocol", "sqs"), ("Endpoint", &queue_arn)];
    call(&url, "sns", &[&subscribe[..], &[("Version", "2010-03-31")]].concat()).await;
    put_rule(&url, "Topic", &topic).await;
    app.put("images/dog.jpg", demo_image("cat.jpg")).await;
    keys_until(&app, &["images/cat.png", "images/dog.jpg"]).await;
    mirror_until(&app, |mirror| mirror.waiting_keys == 0).await;
    let metrics = app.client.get(format!("{}/metrics", app.url)).send().await.unwrap().text().await.unwrap();
    assert!(metrics.contains("glimpse_queue_connected 1"), "{metrics}");
}
