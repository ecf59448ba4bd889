//! Checks the collector of traces, if one is set.

use std::time::Duration;

use super::{CheckResult, Doctor, Problem, finding};
use crate::app::traces;
use crate::otlp::CheckReply;

/// Maximum time of the check: that of a message with spans.
const REPLY_TIMEOUT: Duration = Duration::from_secs(10);

impl Doctor {
    /// Sends a message without spans to the collector of `OTEL_EXPORTER_OTLP_ENDPOINT`. Returns `None` if none is set.
    pub async fn traces(&self) -> Option<CheckResult> {
        let endpoint = self.settings.otlp.otel_exporter_otlp_endpoint.as_ref()?;
        let mut warning = None;
        let check = async {
            let setting = format!("OTEL_EXPORTER_OTLP_ENDPOINT is {endpoint}");
            let client = traces::client(&self.settings, "doctor");
            let client = client.map_err(|error| Problem::new(&error, "correct the address, or GLIMPSE_CA_FILE"))?;
            let Some((client, _)) = client else { return Ok(String::new()) };
            let reply = tokio::time::timeout(REPLY_TIMEOUT, client.check()).await;
            let problem = match reply {
                Ok(Ok(CheckReply::Otlp)) => {
                    return Ok(format!("{endpoint} accepts spans (OTEL_EXPORTER_OTLP_ENDPOINT)"));
                }
                Ok(Ok(CheckReply::Other)) => {
                    warning =
                        Some(format!("{setting}, whose reply is not a message of OTLP: it may be another server"));
                    return Ok(format!("{endpoint} answered with a success (OTEL_EXPORTER_OTLP_ENDPOINT)"));
                }
                Ok(Err(error)) => error.to_string(),
                Err(_) => format!("no reply within {} s", REPLY_TIMEOUT.as_secs()),
            };
            let advice = "start the collector, or correct OTEL_EXPORTER_OTLP_ENDPOINT (OTLP over HTTP, usually port 4318); for 401 \
                          and 403 correct OTEL_EXPORTER_OTLP_HEADERS";
            Err(Problem::new(&format!("{setting}, which does not accept spans: {problem}"), advice))
        };
        let result = finding("traces", check).await;
        Some(CheckResult { warning, ..result })
    }
}
