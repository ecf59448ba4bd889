//! Starts traces, if the settings name a collector.

use std::sync::Arc;

use super::BuildError;
use crate::config::Settings;
use crate::domain::{InvalidSetting, TrustedFiles};
use crate::otlp::{OtlpClient, resource};
use crate::telemetry::traces::{self, TraceConfig, Traces};

/// Returns a client of the collector, and what its spans have in common; `None` without a collector. Makes no network call.
pub(super) fn client(
    settings: &Settings,
    process: &'static str,
) -> Result<Option<(OtlpClient, TraceConfig)>, InvalidSetting> {
    let otlp = &settings.otlp;
    let Some(collector) = otlp.collector() else { return Ok(None) };
    let config = TraceConfig {
        resource: resource(&otlp.otel_service_name, process),
        sampled: otlp.otel_traces_sampler_arg.value(),
        sampled_images: otlp.glimpse_trace_images.value(),
    };
    let trusted = TrustedFiles { authorities: settings.locations.glimpse_ca_file.clone(), own: None };
    let client = OtlpClient::new(&collector, &config, &trusted).map_err(InvalidSetting)?;
    Ok(Some((client, config)))
}

/// Starts to record spans; returns `None` without a collector. `process` is `service` or `worker`.
pub(super) fn start(settings: &Settings, process: &'static str) -> Result<Option<Traces>, BuildError> {
    let Some((client, config)) = client(settings, process)? else { return Ok(None) };
    Ok(Some(traces::start(&config, Arc::new(client))))
}

/// Sends the spans that are left.
pub(super) async fn flush(traces: Option<Traces>) {
    if let Some(traces) = traces {
        traces.flush().await;
    }
}
