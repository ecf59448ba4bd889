//! Defines every metric. `docs/metrics.md` has the same table, and a test compares the two.

use ::metrics::Unit::{Bytes, Count, Seconds};

use super::{About, Counter, Family, Gauge, Histogram};

macro_rules! families {
    ($($constant:ident: $kind:ident $name:literal [$($label:literal),*] $unit:ident $help:literal)*) => {
        $(
            #[doc = $help]
            pub static $constant: Family<$kind, { const LABELS: &[&str] = &[$($label),*]; LABELS.len() }> =
                Family::new($name, [$($label),*], $unit, $help);
        )*

        /// Returns a description of every family.
        pub fn all() -> Vec<About> {
            vec![$($constant.about()),*]
        }
    };
}

families! {
    HTTP_REQUESTS: Counter "glimpse_http_requests_total" ["route", "method", "status"] Count
        "Requests that were answered."
    HTTP_REQUEST_DURATION: Histogram "glimpse_http_request_duration_seconds" ["route", "method"] Seconds
        "Time until a reply began."

    JOBS: Gauge "glimpse_jobs" ["state"] Count
        "Jobs that the ledger knows, finished ones that are still remembered included."
    JOBS_FINISHED: Counter "glimpse_jobs_finished_total" ["state"] Count
        "Jobs that came to their end."
    ITEMS: Counter "glimpse_items_total" ["fate"] Count
        "Keys that jobs have dealt with, as their counts say."
    ITEM_FAILURES: Counter "glimpse_item_failures_total" ["class"] Count
        "Images that could not be indexed, by what was wrong."
    VECTORS_REUSED: Counter "glimpse_vectors_reused_total" ["way"] Count
        "Images that were indexed without asking the model."
    STAGE_DURATION: Histogram "glimpse_stage_duration_seconds" ["stage"] Seconds
        "Time that one piece of work took in a stage of the pipeline of this process."
    FETCHED_BYTES: Counter "glimpse_fetched_bytes_total" [] Bytes
        "Bytes of objects that were read from the bucket."
    PIPELINE_MEMORY: Gauge "glimpse_pipeline_memory_bytes" ["of"] Bytes
        "Memory that is taken from the budget for images in flight."
    PIPELINE_MEMORY_LIMIT: Gauge "glimpse_pipeline_memory_limit_bytes" ["of"] Bytes
        "The budget."

    LEASES_GRANTED: Counter "glimpse_worker_leases_granted_total" [] Count
        "Batches that were leased to workers elsewhere."
    LEASES_EXPIRED: Counter "glimpse_worker_leases_expired_total" [] Count
        "Leases of workers elsewhere that ran out."
    WORKER_DEATHS: Counter "glimpse_worker_deaths_total" ["seen"] Count
        "Workers elsewhere that died with images under lease."

    BREAKER_STATE: Gauge "glimpse_breaker_state" ["dependency"] Count
        "0: calls are let through; 1: one call tries; 2: none is made."
    BREAKER_OPENS: Counter "glimpse_breaker_opens_total" ["dependency"] Count
        "Outages: times that a breaker opened after it had been closed."
    DEPENDENCY_RETRIES: Counter "glimpse_dependency_retries_total" ["dependency"] Count
        "Calls that were made again after they had failed."
    EMBED_QUEUE: Gauge "glimpse_embed_queue" ["line"] Count
        "Inferences that wait for a thread of the model in this process."
    CACHE_REQUESTS: Counter "glimpse_cache_requests_total" ["cache", "outcome"] Count
        "Looks into a cache."
    SEARCH_PERMITS: Gauge "glimpse_search_permits_in_use" [] Count
        "Searches that are under way."
    SEARCH_PERMITS_LIMIT: Gauge "glimpse_search_permits_limit" [] Count
        "Searches that may be under way at once."
    SEARCH_UPLOADS: Gauge "glimpse_search_upload_bytes" [] Bytes
        "Room that is taken by images of searches on their way in."
    SEARCH_UPLOADS_LIMIT: Gauge "glimpse_search_upload_limit_bytes" [] Bytes
        "All of that room."

    PROCESS_MEMORY: Gauge "process_resident_memory_bytes" [] Bytes
        "Memory of this process."
    PROCESS_MEMORY_PEAK: Gauge "glimpse_process_resident_memory_peak_bytes" [] Bytes
        "The most that it ever was."
    PROCESS_START: Gauge "process_start_time_seconds" [] Seconds
        "When this process began, in seconds since 1970."
    BUILD: Gauge "glimpse_build_info" ["version"] Count
        "Always 1."
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn names_follow_the_conventions_and_are_unique() {
        let families = all();
        assert_eq!(families.iter().map(|about| about.name).collect::<BTreeSet<_>>().len(), families.len());
        for About { name, kind, labels, help, .. } in families {
            assert!(name.starts_with("glimpse_") || name.starts_with("process_"), "{name}");
            assert_eq!(name.ends_with("_total"), kind == "counter", "{name}");
            assert!(kind != "histogram" || name.ends_with("_seconds"), "{name}: its buckets are seconds");
            assert!(help.ends_with('.'), "{name}: {help}");
            assert!(labels.iter().all(|label| label.bytes().all(|byte| byte.is_ascii_lowercase())), "{labels:?}");
        }
    }
}
