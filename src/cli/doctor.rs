//! `glimpse doctor`: checks everything that the settings name, and prints what to do about each failed check.

use std::time::Duration;

use clap::Args;

use super::client::Client;
use super::{CliError, Ending, out};
use crate::app::{CheckResult, Doctor as Checks, Problem, finding};
use crate::config::{Settings, SettingsError};

const NOTES: &str = "\
Examples:
  glimpse doctor           check everything that the settings of this environment name
  glimpse doctor --quick   check only whether the running service is ready

Checks the settings, the data folder and its disk, the bucket, the embedding provider (images and text), the stores, the certificate,
the file of keys, the keys of the identity provider, the queue of events, the receiver of webhooks, the Ray cluster and the collector
of traces (if they are set) and the running service, and prints a line for each. Exit code 0 only if every check passes. Secrets are not printed. With --quick it only requests /readyz from the service on this machine and waits at most two seconds. Use
it as the health check of a container. It does not request /healthz: whatever waits until the container is healthy needs
a service that can answer searches. A probe that restarts the container should use /healthz instead, because a restart
does not repair a missing dependency.";

/// How long `GET /readyz` of a running service may take.
const READY_TIMEOUT: Duration = Duration::from_secs(2);

#[derive(Debug, Args)]
#[command(after_help = NOTES)]
pub(super) struct Doctor {
    /// Only check whether the running service is ready
    #[arg(long)]
    quick: bool,
}

impl Doctor {
    pub(super) async fn run(self, settings: Result<Settings, SettingsError>) -> Result<Ending, CliError> {
        let mut report = Report { all_passed: true };
        let (settings, outcome) = match settings {
            Ok(settings) => (Some(settings), Ok("valid".to_owned())),
            Err(error) => {
                let advice = "change or unset it; docs/settings.md lists the allowed values".to_owned();
                (None, Err(Problem { problem: error.to_string(), advice }))
            }
        };
        if !self.quick || outcome.is_err() {
            report.line(&finding("settings", async { outcome }).await)?;
        }
        if !self.quick {
            let unused = settings.iter().flat_map(Settings::without_effect);
            let cautions = settings.iter().flat_map(Settings::cautions);
            for warning in crate::config::warnings().into_iter().chain(unused).chain(cautions) {
                out::line(format!("warn  {:<9} {warning}", "settings"))?;
            }
        }
        if let Some(settings) = settings {
            if !self.quick {
                let mut checks = Checks::new(settings.clone());
                report.line(&checks.folder().await)?;
                report.line(&checks.disk().await)?;
                report.line(&checks.bucket().await)?;
                report.line(&checks.provider().await)?;
                for store in checks.stores().await {
                    report.line(&store)?;
                }
                let access = [checks.tls().await, checks.keys().await, checks.tokens().await];
                let receivers =
                    [checks.queue().await, checks.webhooks().await, checks.ray().await, checks.traces().await];
                for check in access.iter().chain(&receivers).flatten() {
                    report.line(check)?;
                }
            }
            report.line(&finding("service", service(&settings, self.quick)).await)?;
        }
        Ok(if report.all_passed { Ending::Done } else { Ending::Failed })
    }
}

struct Report {
    all_passed: bool,
}

impl Report {
    fn line(&mut self, finding: &CheckResult) -> Result<(), CliError> {
        let CheckResult { what, took, outcome, warning } = finding;
        let took = format!("{:.0} ms", took.as_secs_f64() * 1000.0);
        if let Some(warning) = warning {
            out::line(format!("warn  {what:<9} {warning}"))?;
        }
        match outcome {
            Ok(detail) => out::line(format!("ok    {what:<9} {detail} ({took})")),
            Err(Problem { problem, advice }) => {
                self.all_passed = false;
                out::line(format!("FAIL  {what:<9} {problem} ({took})\n      {:<9} to do: {advice}", ""))
            }
        }
    }
}

/// Checks whether the service of this machine is ready. A service that does not run is a problem only if `required`.
async fn service(settings: &Settings, required: bool) -> Result<String, Problem> {
    let url = settings.service_url();
    let failed = |problem: String, advice: &str| Err(Problem { problem, advice: advice.to_owned() });
    let ready = match Client::for_url(&url, settings) {
        Ok(client) => tokio::time::timeout(READY_TIMEOUT, async move { client.get(&["readyz"], &()).await }).await,
        Err(error) => return failed(error.chain(), "set GLIMPSE_URL"),
    };
    match ready {
        Ok(Ok(_)) => Ok(format!("ready at {url}")),
        Ok(Err(CliError::Unreachable { .. })) if !required => {
            Ok(format!("not running at {url}; `glimpse serve` starts it (GLIMPSE_ADDR, GLIMPSE_URL)"))
        }
        Ok(Err(CliError::Unreachable { .. })) => failed(
            format!("no service answers at {url}"),
            "start it with `glimpse serve`, or set GLIMPSE_URL to its address",
        ),
        Ok(Err(error)) => failed(
            format!("the service at {url} is not ready: {}", error.chain()),
            "its log has the details; it checks its dependencies again by itself",
        ),
        Err(_) => failed(
            format!("the service at {url} did not answer /readyz within {} s", READY_TIMEOUT.as_secs()),
            "it may be starting or waiting for a dependency: its log has the details",
        ),
    }
}
