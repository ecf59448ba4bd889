//! Defines every metric. `docs/metrics.md` has the same table, and a test compares the two.
//!
//! Label values come from a small, known set. They are never a key, the text of a query, a path or other input of a
//! client.

use ::metrics::Unit::{self, Bytes, Count, Seconds};
use ::metrics::{describe_counter, describe_gauge, describe_histogram};

use self::Kind::{Counter, Gauge, Histogram};

/// A metric and its description.
#[derive(Clone, Copy, Debug)]
pub struct Family {
    /// The name.
    pub name: &'static str,
    /// The type of its series.
    pub kind: Kind,
    /// The names of the labels.
    pub labels: &'static [&'static str],
    unit: Unit,
    /// The meaning of the metric.
    pub help: &'static str,
}

/// The type of the series of a metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A number that only grows.
    Counter,
    /// The current value.
    Gauge,
    /// Durations in buckets.
    Histogram,
}

impl Family {
    /// Registers the description at the recorder.
    pub(super) fn describe(&self) {
        let Self { name, unit, help, .. } = *self;
        match self.kind {
            Counter => describe_counter!(name, unit, help),
            Gauge => describe_gauge!(name, unit, help),
            Histogram => describe_histogram!(name, unit, help),
        }
    }
}

macro_rules! families {
    ($($constant:ident: $kind:ident $name:literal [$($label:literal),*] $unit:ident $help:literal)*) => {
        $(
            #[doc = $help]
            pub const $constant: &str = $name;
        )*

        /// Every metric.
        pub const ALL: &[Family] =
            &[$(Family { name: $name, kind: $kind, labels: &[$($label),*], unit: $unit, help: $help }),*];
    };
}

families! {
    HTTP_REQUESTS: Counter "glimpse_http_requests_total" ["route", "method", "status"] Count
        "Requests that were answered."
    HTTP_REQUEST_DURATION: Histogram "glimpse_http_request_duration_seconds" ["route", "method"] Seconds
        "Time until a reply began."

    JOBS: Gauge "glimpse_jobs" ["state"] Count
        "Jobs in the ledger, by state, including finished jobs that are not pruned yet."
    IMAGES_LEFT: Gauge "glimpse_images_left" ["executor"] Count
        "Images that running jobs have listed and not handled yet, by what runs the jobs."
    JOBS_FINISHED: Counter "glimpse_jobs_finished_total" ["state"] Count
        "Jobs that ended, by final state."
    ITEMS: Counter "glimpse_items_total" ["outcome"] Count
        "Keys that jobs processed, by outcome, as in the counts of the jobs."
    ITEM_FAILURES: Counter "glimpse_item_failures_total" ["class"] Count
        "Images that could not be indexed, by failure class."
    VECTORS_REUSED: Counter "glimpse_vectors_reused_total" ["reason"] Count
        "Images that were indexed without a call of the model."
    STAGE_DURATION: Histogram "glimpse_stage_duration_seconds" ["stage"] Seconds
        "Duration of one unit of work (an image or a batch) in a stage of this process's pipeline."
    FETCHED_BYTES: Counter "glimpse_fetched_bytes_total" [] Bytes
        "Bytes of objects read from the bucket."
    PIPELINE_MEMORY: Gauge "glimpse_pipeline_memory_bytes" ["kind"] Bytes
        "Bytes in use of the memory budget for images in flight."
    PIPELINE_MEMORY_LIMIT: Gauge "glimpse_pipeline_memory_limit_bytes" ["kind"] Bytes
        "Size of the memory budget for images in flight."

    LEASES_GRANTED: Counter "glimpse_worker_leases_granted_total" [] Count
        "Batches that were leased to remote workers."
    LEASES_EXPIRED: Counter "glimpse_worker_leases_expired_total" [] Count
        "Leases of remote workers that expired."
    WORKER_DEATHS: Counter "glimpse_worker_deaths_total" ["detected_by"] Count
        "Remote workers that died while they held a lease."

    EVENTS: Counter "glimpse_events_total" ["mirror", "outcome"] Count
        "Events of buckets that arrived, by what was done with them."
    EVENT_KEYS: Counter "glimpse_event_keys_total" ["mirror", "outcome"] Count
        "Keys that were compared with the bucket because of an event, by the result."
    EVENT_KEYS_WAITING: Gauge "glimpse_event_keys_waiting" ["mirror"] Count
        "Keys that events have named and that are still to be compared with the bucket."
    MIRROR_LAG: Histogram "glimpse_mirror_lag_seconds" ["mirror"] Seconds
        "Time from the last change of an object until searches find it, for objects that were indexed because of an event."
    MIRRORS: Gauge "glimpse_mirrors" ["state"] Count
        "Mirrors, by state."

    WEBHOOKS: Counter "glimpse_webhooks_total" ["outcome"] Count
        "Webhooks that were delivered or dropped, and attempts that failed."
    WEBHOOKS_WAITING: Gauge "glimpse_webhooks_waiting" [] Count
        "Webhooks that are still to be delivered."

    QUEUE_RECEIVED: Counter "glimpse_queue_messages_received_total" ["content"] Count
        "Messages that were received from the queue of events, by their content."
    QUEUE_DELETED: Counter "glimpse_queue_messages_deleted_total" [] Count
        "Messages that were deleted from the queue of events, because the ledger has their events or they have none."
    QUEUE_FAILURES: Counter "glimpse_queue_failures_total" ["operation"] Count
        "Failures to receive, record or delete messages of the queue of events."
    QUEUE_CONNECTED: Gauge "glimpse_queue_connected" [] Count
        "1 if the last call that receives messages of the queue of events succeeded, otherwise 0."

    BREAKER_STATE: Gauge "glimpse_breaker_state" ["dependency"] Count
        "State of the breaker: 0 closed (calls are made), 1 half-open (one call probes), 2 open (no call is made)."
    BREAKER_OPENS: Counter "glimpse_breaker_opens_total" ["dependency"] Count
        "Outages: how often a breaker opened after it had been closed."
    DEPENDENCY_RETRIES: Counter "glimpse_dependency_retries_total" ["dependency"] Count
        "Calls that were retried after a failure."
    EMBED_QUEUE: Gauge "glimpse_embed_queue" ["queue"] Count
        "Inferences that wait for a thread of the model in this process."
    CACHE_REQUESTS: Counter "glimpse_cache_requests_total" ["cache", "outcome"] Count
        "Lookups in a cache."
    RECALL: Gauge "glimpse_recall_at_10" ["collection", "store", "query"] Count
        "Share of the best ten results that searches find, by the last self-test."
    RECALL_SEARCH_SECONDS: Gauge "glimpse_recall_search_seconds" ["collection", "store"] Seconds
        "Median time of the searches of the last self-test."
    SEARCH_PERMITS: Gauge "glimpse_search_permits_in_use" [] Count
        "Searches in progress."
    SEARCH_PERMITS_LIMIT: Gauge "glimpse_search_permits_limit" [] Count
        "Maximum number of concurrent searches."
    SEARCH_UPLOADS: Gauge "glimpse_search_upload_bytes" [] Bytes
        "Bytes in use of the budget for uploaded search images."
    SEARCH_UPLOADS_LIMIT: Gauge "glimpse_search_upload_limit_bytes" [] Bytes
        "Size of the budget for uploaded search images."

    TRACE_SPANS: Counter "glimpse_trace_spans_total" ["outcome"] Count
        "Spans of sampled traces that ended, by what became of them."

    TLS_EXPIRY: Gauge "glimpse_tls_certificate_expiry_timestamp_seconds" [] Seconds
        "When the certificate of `GLIMPSE_TLS_CERT` ends, in seconds since 1970. Absent without it."
    DISK_FREE: Gauge "glimpse_disk_free_bytes" [] Bytes
        "Free space of the disk with the data folder."
    DISK_TOTAL: Gauge "glimpse_disk_total_bytes" [] Bytes
        "Size of the disk with the data folder."
    DISK_MIN_FREE: Gauge "glimpse_disk_min_free_bytes" [] Bytes
        "Free space below which jobs, mirrors and uploads wait; 0 if it is not watched."

    PROCESS_MEMORY: Gauge "process_resident_memory_bytes" [] Bytes
        "Resident memory of this process."
    PROCESS_MEMORY_PEAK: Gauge "glimpse_process_resident_memory_peak_bytes" [] Bytes
        "Largest resident memory of this process since its start."
    PROCESS_START: Gauge "process_start_time_seconds" [] Seconds
        "Start time of this process, in seconds since 1970."
    BUILD: Gauge "glimpse_build_info" ["version"] Count
        "Always 1; the label has the version."
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn names_follow_the_conventions_and_are_unique() {
        assert_eq!(ALL.iter().map(|family| family.name).collect::<BTreeSet<_>>().len(), ALL.len());
        for Family { name, kind, labels, help, .. } in ALL {
            assert!(name.starts_with("glimpse_") || name.starts_with("process_"), "{name}");
            assert_eq!(name.ends_with("_total"), *kind == Counter, "{name}");
            assert!(*kind != Histogram || name.ends_with("_seconds"), "{name}: its buckets are seconds");
            assert!(help.ends_with('.'), "{name}: {help}");
            assert!(
                labels.iter().all(|label| label.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_')),
                "{labels:?}"
            );
        }
    }
}
