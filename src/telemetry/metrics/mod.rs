//! What is counted and measured, for `GET /metrics`. A leaf: whoever counts may use it, as whoever logs uses `tracing`,
//! and it knows nobody.
//!
//! [`families`] has every name, once. A part that counts often keeps the handles that [`Family::of`] gives; where no
//! recorder is installed (`glimpse worker`, `glimpse clip`, unit tests) a handle does nothing.

pub mod families;
mod family;
mod process;

use std::sync::OnceLock;
use std::time::Duration;

use ::metrics::set_global_recorder;
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use tokio_util::sync::CancellationToken;

pub use ::metrics::{Counter, Gauge, Histogram};
pub use family::{About, Family, Kind};

/// The content type of [`render`]: Prometheus' text format.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Upper bounds of the buckets of everything that is timed, in seconds: from a search in memory to a call that is given
/// up.
const BUCKETS: [f64; 16] =
    [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0];

/// Times are put into their buckets this often, whether anybody asks or not: until then each is held by itself.
const UPKEEP: Duration = Duration::from_secs(5);

static INSTALLED: OnceLock<PrometheusHandle> = OnceLock::new();

/// Begins to count. Before any part is built: a handle that was made earlier counts nothing. A second call in one
/// process changes nothing.
pub fn install() {
    installed();
}

/// All of it in Prometheus' text format.
pub fn render() -> String {
    process::observe();
    installed().render()
}

/// Keeps the memory of what is timed bounded, until `end`.
pub async fn upkeep(end: CancellationToken) {
    let mut rounds = tokio::time::interval(UPKEEP);
    while end.run_until_cancelled(rounds.tick()).await.is_some() {
        installed().run_upkeep();
    }
}

fn installed() -> &'static PrometheusHandle {
    INSTALLED.get_or_init(|| {
        let builder = PrometheusBuilder::new();
        // An error here is a list without bounds, and ours has some.
        let builder = builder
            .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), &BUCKETS)
            .unwrap_or_else(|_| PrometheusBuilder::new());
        let recorder = builder.build_recorder();
        let handle = recorder.handle();
        if set_global_recorder(recorder).is_err() {
            tracing::warn!("another recorder of metrics is installed in this process; /metrics stays empty");
        }
        for about in families::all() {
            about.describe();
        }
        process::begin();
        handle
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_installation_changes_nothing_and_what_was_counted_stays() {
        install();
        families::FETCHED_BYTES.one().increment(7);
        install();
        let text = render();
        let line = text.lines().find(|line| line.starts_with("glimpse_fetched_bytes_total ")).unwrap();
        // Other tests of this process may count, too.
        assert!(line.rsplit(' ').next().unwrap().parse::<u64>().unwrap() >= 7, "{line}");
        assert!(text.contains("# HELP glimpse_fetched_bytes_total ") && text.contains("glimpse_build_info{version="));
    }

    #[tokio::test(start_paused = true)]
    async fn upkeep_ends_when_it_is_told_to() {
        let end = CancellationToken::new();
        let ending = async {
            tokio::time::sleep(UPKEEP * 3).await;
            end.cancel();
        };
        tokio::join!(upkeep(end.clone()), ending);
    }
}
