//! A queue with the protocol of SQS: JSON 1.0 over HTTP. Messages are hidden for a short time after they were received.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use axum::{Json, Router};
use serde_json::{Value, json};
use tokio_util::task::AbortOnDropHandle;

use crate::support::{locked, serve};

/// How long a message is hidden after it was received.
const VISIBILITY: Duration = Duration::from_millis(600);
/// The path of the queue.
const QUEUE: &str = "/000000000000/images";

/// A running queue.
pub(crate) struct SqsServer {
    /// The address of the service.
    pub(crate) address: String,
    script: Arc<Mutex<Script>>,
    _task: AbortOnDropHandle<()>,
}

#[derive(Default)]
struct Script {
    url: String,
    waiting: Vec<Message>,
    deleted: Vec<String>,
    requests: Vec<(String, Value)>,
    /// The replies of the next requests that receive messages.
    errors: Vec<(StatusCode, &'static str)>,
    /// How many entries of the next deletions fail.
    failing_deletes: usize,
}

struct Message {
    body: String,
    visible: Instant,
    receives: usize,
    receipt: String,
}

impl SqsServer {
    pub(crate) async fn start() -> Self {
        let script = Arc::new(Mutex::new(Script::default()));
        let router = Router::new().route("/", post(answer)).with_state(script.clone());
        let (address, task) = serve(router).await;
        locked(&script).url = format!("{address}{QUEUE}");
        Self { address, script, _task: task }
    }

    /// The URL of the queue.
    pub(crate) fn url(&self) -> String {
        locked(&self.script).url.clone()
    }

    pub(crate) fn send(&self, body: &(impl ToString + ?Sized)) {
        let message = Message { body: body.to_string(), visible: Instant::now(), receives: 0, receipt: String::new() };
        locked(&self.script).waiting.push(message);
    }

    /// Lets the next requests that receive messages fail.
    pub(crate) fn fail(&self, errors: &[(StatusCode, &'static str)]) {
        locked(&self.script).errors.extend(errors);
    }

    /// Lets this number of entries of deletions fail.
    pub(crate) fn fail_deletes(&self, count: usize) {
        locked(&self.script).failing_deletes = count;
    }

    /// The bodies that were deleted.
    pub(crate) fn deleted(&self) -> Vec<String> {
        locked(&self.script).deleted.clone()
    }

    /// How often each message that waits was received.
    pub(crate) fn receives(&self) -> Vec<usize> {
        locked(&self.script).waiting.iter().map(|message| message.receives).collect()
    }

    /// The operations and bodies of all requests.
    pub(crate) fn requests(&self) -> Vec<(String, Value)> {
        locked(&self.script).requests.clone()
    }

    /// Waits until no message is left.
    pub(crate) async fn until_empty(&self) {
        self.until(|script| script.waiting.is_empty()).await;
    }

    /// Waits until this number of messages is left, and each of them was received at least `receives` times.
    pub(crate) async fn until_left(&self, left: usize, receives: usize) {
        let is_left = |message: &Message| message.receives >= receives;
        self.until(|script| script.waiting.len() == left && script.waiting.iter().all(is_left)).await;
    }

    async fn until(&self, condition: impl Fn(&Script) -> bool) {
        let deadline = Instant::now() + Duration::from_mins(1);
        while !condition(&locked(&self.script)) {
            let waiting: Vec<String> = locked(&self.script).waiting.iter().map(|one| one.body.clone()).collect();
            assert!(Instant::now() < deadline, "still {waiting:?}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

type Reply = (StatusCode, Json<Value>);

async fn answer(State(script): State<Arc<Mutex<Script>>>, headers: HeaderMap, body: Bytes) -> Reply {
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned();
    assert_eq!(header("content-type"), "application/x-amz-json-1.0");
    let credential = header("authorization");
    assert!(credential.contains("/us-east-1/sqs/aws4_request"), "{credential}");
    let target = header("x-amz-target");
    let operation = target.strip_prefix("AmazonSQS.").unwrap().to_owned();
    let body: Value = serde_json::from_slice(&body).unwrap();
    locked(&script).requests.push((operation.clone(), body.clone()));
    if body["QueueUrl"] != locked(&script).url {
        return error(StatusCode::BAD_REQUEST, "com.amazonaws.sqs#QueueDoesNotExist");
    }
    match operation.as_str() {
        "ReceiveMessage" => receive(&script, &body).await,
        "DeleteMessageBatch" => (StatusCode::OK, Json(delete(&mut locked(&script), &body))),
        "GetQueueAttributes" => {
            let count = locked(&script).waiting.len().to_string();
            (StatusCode::OK, Json(json!({"Attributes": {"ApproximateNumberOfMessages": count}})))
        }
        other => panic!("{other}"),
    }
}

fn error(status: StatusCode, code: &str) -> Reply {
    (status, Json(json!({"__type": code, "message": "as the test wants it"})))
}

async fn receive(script: &Mutex<Script>, body: &Value) -> Reply {
    let planned = locked(script).errors.pop();
    if let Some((status, code)) = planned {
        return error(status, code);
    }
    let max = usize::try_from(body["MaxNumberOfMessages"].as_u64().unwrap()).unwrap();
    let deadline = Instant::now() + Duration::from_secs(body["WaitTimeSeconds"].as_u64().unwrap());
    loop {
        let received = take(&mut locked(script), max);
        if !received.is_empty() {
            return (StatusCode::OK, Json(json!({"Messages": received})));
        }
        if Instant::now() >= deadline {
            // The service leaves the field out.
            return (StatusCode::OK, Json(json!({})));
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

fn take(script: &mut Script, max: usize) -> Vec<Value> {
    let visible = script.waiting.iter_mut().filter(|message| message.visible <= Instant::now());
    let taken = visible.take(max).map(|message| {
        message.visible = Instant::now() + VISIBILITY;
        message.receives += 1;
        message.receipt = uuid::Uuid::new_v4().to_string();
        json!({"MessageId": "id", "ReceiptHandle": message.receipt, "MD5OfBody": "not checked", "Body": message.body})
    });
    taken.collect()
}

fn delete(script: &mut Script, body: &Value) -> Value {
    let (mut successful, mut failed) = (Vec::new(), Vec::new());
    let entries = body["Entries"].as_array().unwrap();
    assert!((1..=10).contains(&entries.len()), "{body}");
    for entry in entries {
        let id = &entry["Id"];
        let place = script.waiting.iter().position(|message| message.receipt == entry["ReceiptHandle"]);
        if script.failing_deletes > 0 {
            script.failing_deletes -= 1;
            failed.push(json!({"Id": id, "SenderFault": false, "Code": "InternalError", "Message": "try again"}));
        } else if let Some(place) = place {
            let message = script.waiting.remove(place);
            script.deleted.push(message.body);
            successful.push(json!({"Id": id}));
        } else {
            failed.push(json!({"Id": id, "SenderFault": true, "Code": "ReceiptHandleIsInvalid", "Message": "old"}));
        }
    }
    json!({"Successful": successful, "Failed": failed})
}
