//! The dashboard and the alert rules use metrics that exist. `make test-observability` runs them in a real Prometheus.

use std::collections::BTreeSet;

use glimpse::telemetry::metrics::families;

const DASHBOARD: &str = include_str!("../../../zarf/observability/dashboard.json");
const ALERTS: &str = include_str!("../../../zarf/observability/alerts.yaml");
const METRICS_PAGE: &str = include_str!("../../../docs/metrics.md");

/// Returns the names of our metrics in a text, without the suffix of a series of a histogram.
fn metrics(text: &str) -> BTreeSet<&str> {
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    text.split(|c| !is_name(c))
        .filter(|word| word.starts_with("glimpse_") || word.starts_with("process_"))
        .map(|word| ["_bucket", "_sum", "_count"].iter().find_map(|suffix| word.strip_suffix(suffix)).unwrap_or(word))
        .collect()
}

#[test]
fn the_dashboard_and_the_alerts_use_metrics_that_exist() {
    let known: BTreeSet<_> = families::ALL.iter().map(|family| family.name).collect();
    for (file, text) in [("dashboard.json", DASHBOARD), ("alerts.yaml", ALERTS)] {
        let used = metrics(text);
        assert!(used.len() > 8, "{file}: {used:?}");
        let unknown: Vec<_> = used.iter().filter(|name| !known.contains(**name)).collect();
        assert!(unknown.is_empty(), "{file}: {unknown:?}");
    }
}

#[test]
fn the_metrics_page_says_what_to_do_about_each_alert() {
    let alerts: Vec<_> = ALERTS.lines().filter_map(|line| line.trim().strip_prefix("- alert: ")).collect();
    assert!(alerts.len() > 8, "{alerts:?}");
    for alert in alerts {
        assert!(METRICS_PAGE.contains(&format!("| `{alert}` |")), "{alert}");
    }
}
