//! Webhooks that are to be sent: step 19.

/// The ends of jobs, and the stops of mirrors, of which the receiver of webhooks is still to be notified.
///
/// - `webhook.enabled`: 1 if a receiver is set. `webhook.dropped`: how many rows were removed because there were too many.
/// - `outbox.id`: the same in each attempt, so that the receiver recognises a webhook that it has received.
/// - `outbox.subject`: the id of the job, or the name of the mirror. `outbox.at`: when it happened.
/// - `outbox.due`: not before this time, in Unix milliseconds.
/// - `outbox.body`: what is sent, from the first attempt on.
///
/// The triggers write a row in the transaction that ends the job or changes the mirror, in every place.
pub(super) const OUTBOX: &str = "
CREATE TABLE webhook(
    one INTEGER PRIMARY KEY CHECK (one = 1),
    enabled INTEGER NOT NULL DEFAULT 0,
    dropped INTEGER NOT NULL DEFAULT 0
);
INSERT INTO webhook(one) VALUES (1);

CREATE TABLE outbox(
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL,
    type TEXT NOT NULL,
    subject TEXT NOT NULL,
    reason TEXT,
    at TEXT NOT NULL,
    attempts INTEGER NOT NULL DEFAULT 0,
    due INTEGER NOT NULL DEFAULT 0,
    body TEXT
);
CREATE INDEX outbox_by_due ON outbox(due, number);

CREATE TRIGGER outbox_of_job AFTER UPDATE OF state ON jobs
WHEN NEW.state IN ('SUCCEEDED', 'FAILED', 'STOPPED') AND OLD.state <> NEW.state AND (SELECT enabled FROM webhook) = 1 BEGIN
    INSERT INTO outbox(id, type, subject, at)
    VALUES (
        'msg_' || lower(hex(randomblob(16))),
        CASE NEW.state WHEN 'SUCCEEDED' THEN 'job.succeeded' WHEN 'FAILED' THEN 'job.failed' ELSE 'job.cancelled' END,
        NEW.id,
        coalesce(NEW.finished_at, strftime('%Y-%m-%dT%H:%M:%fZ', 'now'))
    );
END;

CREATE TRIGGER outbox_of_mirror AFTER UPDATE OF state ON mirrors
WHEN (NEW.state = 'stopped' AND OLD.state <> 'stopped' OR NEW.state = 'active' AND OLD.state = 'stopped')
    AND (SELECT enabled FROM webhook) = 1 BEGIN
    INSERT INTO outbox(id, type, subject, reason, at)
    VALUES (
        'msg_' || lower(hex(randomblob(16))),
        CASE NEW.state WHEN 'stopped' THEN 'mirror.failed' ELSE 'mirror.recovered' END,
        NEW.name,
        NEW.reason,
        strftime('%Y-%m-%dT%H:%M:%fZ', 'now')
    );
END;

CREATE TRIGGER outbox_limit AFTER INSERT ON outbox
WHEN EXISTS (SELECT 1 FROM outbox WHERE number <= NEW.number - 1000) BEGIN
    UPDATE webhook SET dropped = dropped + (SELECT count(*) FROM outbox WHERE number <= NEW.number - 1000);
    DELETE FROM outbox WHERE number <= NEW.number - 1000;
END;
";
