use super::*;
use crate::domain::{Executor, JobState};
use crate::ledger::jobs::{self, Finish};
use crate::ledger::{fixture, outbox};

struct Nothing;

#[async_trait]
impl Subjects for Nothing {
    async fn job(&self, id: &str) -> Result<Option<Value>, String> {
        if id.is_empty() { Err("the ledger is busy".to_owned()) } else { Ok(None) }
    }

    async fn mirror(&self, name: &str) -> Result<Option<Value>, String> {
        Ok(Some(json!({"name": name, "state": "active", "reason": null})))
    }
}

async fn webhooks(folder: &std::path::Path) -> Webhooks {
    let ledger = Ledger::open(folder).unwrap();
    // Nothing listens on this port.
    let settings = WebhookSettings {
        glimpse_webhook_url: Some("http://127.0.0.1:9/hush".parse().unwrap()),
        ..WebhookSettings::default()
    };
    Webhooks::open(&ledger, &settings, &TrustedFiles::default()).await.unwrap().unwrap()
}

/// Adds a webhook about a job.
async fn end_job(webhooks: &Webhooks) -> String {
    let job = fixture::job(Executor::Local);
    fixture::begin(&webhooks.ledger, &job).await;
    let finish = Finish { state: JobState::Succeeded, message: None, summary: None };
    assert!(webhooks.ledger.write(move |tx| jobs::finish(tx, job.id, &finish)).await.unwrap());
    job.id.to_string()
}

async fn next(webhooks: &Webhooks) -> Option<OutboxRow> {
    webhooks.ledger.read(|db| outbox::next(db, i64::MAX)).await.unwrap()
}

#[tokio::test]
async fn a_webhook_is_dropped_after_the_last_attempt_or_if_the_receiver_refuses_it() {
    let folder = tempfile::tempdir().unwrap();
    let webhooks = webhooks(folder.path()).await;
    end_job(&webhooks).await;
    let (mut attempts, mut due) = (0, Vec::new());
    while let Some(row) = next(&webhooks).await {
        assert_eq!(row.attempts, attempts);
        let begun = now_millis();
        webhooks.record_failure(&row, &FailedAttempt::new("no reply".to_owned())).await.unwrap();
        attempts += 1;
        let sql = "SELECT due FROM outbox";
        due.extend(
            webhooks
                .ledger
                .read(move |db| Ok(db.query_row(sql, (), |row| row.get::<_, i64>(0)).ok()))
                .await
                .unwrap()
                .map(|due| (due - begun) / 1_000),
        );
    }
    assert_eq!((attempts, &due[..]), (10, &[1, 5, 30, 120, 600, 1_800, 3_600, 7_200, 14_400][..]));
    end_job(&webhooks).await;
    let row = next(&webhooks).await.unwrap();
    let gone = FailedAttempt { is_final: true, ..FailedAttempt::new("410".to_owned()) };
    webhooks.record_failure(&row, &gone).await.unwrap();
    assert_eq!(next(&webhooks).await, None);
}

#[tokio::test]
async fn an_error_does_not_repeat_the_address_and_a_later_retry_is_respected() {
    let folder = tempfile::tempdir().unwrap();
    let webhooks = webhooks(folder.path()).await;
    let failed = webhooks.post("msg_1", "{}".to_owned()).await.unwrap_err();
    assert!(!failed.reason.contains("hush") && !failed.is_final, "{failed:?}");
    end_job(&webhooks).await;
    let row = next(&webhooks).await.unwrap();
    let busy = FailedAttempt { retry_after: Some(Duration::from_mins(1)), ..failed };
    webhooks.record_failure(&row, &busy).await.unwrap();
    let soon = now_millis() + 50_000;
    assert_eq!(webhooks.ledger.read(move |db| outbox::next(db, soon)).await.unwrap(), None);
}

#[tokio::test]
async fn the_body_is_composed_once_and_has_the_state_of_the_event() {
    let folder = tempfile::tempdir().unwrap();
    let webhooks = webhooks(folder.path()).await;
    let id = end_job(&webhooks).await;
    let row = next(&webhooks).await.unwrap();
    let body = webhooks.body(&row, &Nothing).await.unwrap().unwrap();
    let expected = json!({"type": "job.succeeded", "timestamp": row.at.to_string(), "data": {"job_id": id}});
    assert_eq!(serde_json::from_str::<Value>(&body).unwrap(), expected, "a job that was pruned has only its id");
    assert_eq!(next(&webhooks).await.unwrap().body, Some(body));
    let about = |event: &str, subject: &str, reason: Option<&str>| {
        let (event, subject, reason) = (event.to_owned(), subject.to_owned(), reason.map(str::to_owned));
        OutboxRow { event, subject, reason, body: None, ..row.clone() }
    };
    let failed = compose(&about("mirror.failed", "m", Some("too much")), &Nothing).await.unwrap();
    assert_eq!(failed["data"], json!({"name": "m", "state": "stopped", "reason": "too much"}));
    let busy = compose(&about("job.failed", "", None), &Nothing).await;
    assert_eq!(busy.unwrap_err(), "the ledger is busy");
}
