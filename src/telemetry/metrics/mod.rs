//! The metrics of `GET /metrics`. Every module may use this one, as with `tracing` for logs; it depends on no other
//! module.
//!
//! [`families`] defines every metric. Code that counts often keeps the handles that the macros return. If no recorder
//! is installed (`glimpse worker`, `glimpse clip`, unit tests), a handle does nothing.

pub mod families;
mod process;

use std::sync::OnceLock;
use std::time::Duration;

use ::metrics::set_global_recorder;
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use tokio_util::sync::CancellationToken;

pub use process::peak_memory;

pub use ::metrics::{Counter, Gauge, Histogram, counter, gauge, histogram};

/// The content type of [`render`]: the text format of Prometheus.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Upper bounds of the buckets of all histograms, in seconds: from a search in memory to a call that times out.
const BUCKETS: [f64; 16] =
    [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0];

/// How often measured times are added to their buckets. Until then each of them is kept in memory.
const UPKEEP_INTERVAL: Duration = Duration::from_secs(5);

static INSTALLED: OnceLock<PrometheusHandle> = OnceLock::new();

/// Installs the recorder. It must be called before any part is built, because a handle that was created earlier counts
/// nothing. A second call in one process has no effect.
pub fn install() {
    installed();
}

/// Returns all metrics in the text format of Prometheus.
pub fn render() -> String {
    process::observe();
    installed().render()
}

/// Adds measured times to their buckets at regular intervals, until `end` is cancelled. This limits the memory for
/// them.
pub async fn upkeep(end: CancellationToken) {
    let mut interval = tokio::time::interval(UPKEEP_INTERVAL);
    while end.run_until_cancelled(interval.tick()).await.is_some() {
        installed().run_upkeep();
    }
}

fn installed() -> &'static PrometheusHandle {
    INSTALLED.get_or_init(|| {
        let builder = PrometheusBuilder::new();
        // This fails only for an empty list of bounds.
        let builder = builder
            .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), &BUCKETS)
            .unwrap_or_else(|_| PrometheusBuilder::new());
        let recorder = builder.build_recorder();
        let handle = recorder.handle();
        if set_global_recorder(recorder).is_err() {
            tracing::warn!("another metrics recorder is installed in this process; /metrics stays empty");
        }
        for family in families::ALL {
            family.describe();
        }
        process::begin();
        handle
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_installation_has_no_effect_and_keeps_the_counts() {
        install();
        counter!(families::FETCHED_BYTES).increment(7);
        install();
        let text = render();
        let line = text.lines().find(|line| line.starts_with("glimpse_fetched_bytes_total ")).unwrap();
        // Other tests of this process may count too.
        assert!(line.rsplit(' ').next().unwrap().parse::<u64>().unwrap() >= 7, "{line}");
        assert!(text.contains("# HELP glimpse_fetched_bytes_total ") && text.contains("glimpse_build_info{version="));
    }

    #[tokio::test(start_paused = true)]
    async fn upkeep_ends_when_it_is_cancelled() {
        let end = CancellationToken::new();
        let ending = async {
            tokio::time::sleep(UPKEEP_INTERVAL * 3).await;
            end.cancel();
        };
        tokio::join!(upkeep(end.clone()), ending);
    }
}
