//! `glimpse doctor`: whether everything that the settings name is there, and what to do about what is not.

use std::net::SocketAddr;
use std::time::Duration;

use clap::Args;

use super::client::Client;
use super::{CliError, Ending, out};
use crate::app::{Complaint, Doctor as Checks, Finding, finding, unknown_variables};
use crate::config::{Settings, SettingsError};

const MORE: &str = "\
It checks the settings, the data folder, the bucket, the embedding provider (images and words), the stores, the Ray cluster
if there is to be one, and a running service, one line each. Exit code 0 only if all is well. Secrets are not printed.
With --quick it only asks the service of this machine for /readyz, in two seconds at most: for the health check of a
container. Not for /healthz: what waits for a container to be healthy wants one that can answer. A probe that restarts what
fails it should ask /healthz, for a restart brings no missing dependency back.";

/// How long a running service may take to say that it is ready.
const READY: Duration = Duration::from_secs(2);

#[derive(Debug, Args)]
#[command(after_help = MORE)]
pub(super) struct Doctor {
    /// Only ask the running service whether it is ready
    #[arg(long)]
    quick: bool,
}

impl Doctor {
    pub(super) async fn run(self, settings: Result<Settings, SettingsError>) -> Result<Ending, CliError> {
        let mut report = Report { well: true };
        let (settings, outcome) = match settings {
            Ok(settings) => (Some(settings), Ok("they can be used".to_owned())),
            Err(error) => {
                let advice = "set it as docs/settings.md says, or not at all".to_owned();
                (None, Err(Complaint { problem: error.to_string(), advice }))
            }
        };
        if !self.quick || outcome.is_err() {
            report.line(&finding("settings", async { outcome }).await)?;
        }
        if !self.quick {
            for warning in unknown_variables() {
                out::line(format!("warn  {:<9} {warning}", "settings"))?;
            }
        }
        if let Some(settings) = settings {
            if !self.quick {
                let mut checks = Checks::new(settings.clone());
                report.line(&checks.folder().await)?;
                report.line(&checks.bucket().await)?;
                report.line(&checks.provider().await)?;
                for store in checks.stores().await {
                    report.line(&store)?;
                }
                if let Some(ray) = checks.ray().await {
                    report.line(&ray)?;
                }
            }
            report.line(&finding("service", service(&settings, self.quick)).await)?;
        }
        Ok(if report.well { Ending::Done } else { Ending::Failed })
    }
}

struct Report {
    well: bool,
}

impl Report {
    fn line(&mut self, found: &Finding) -> Result<(), CliError> {
        let Finding { what, took, outcome } = found;
        let took = format!("{:.0} ms", took.as_secs_f64() * 1000.0);
        match outcome {
            Ok(said) => out::line(format!("ok    {what:<9} {said} ({took})")),
            Err(Complaint { problem, advice }) => {
                self.well = false;
                out::line(format!("FAIL  {what:<9} {problem} ({took})\n      {:<9} to do: {advice}", ""))
            }
        }
    }
}

/// Whether the service of this machine is ready. One that is not there is nothing wrong, unless it `must` be.
async fn service(settings: &Settings, must: bool) -> Result<String, Complaint> {
    let url = url(settings);
    let complain = |problem: String, advice: &str| Err(Complaint { problem, advice: advice.to_owned() });
    let asked = match Client::at(&url, settings) {
        Ok(client) => tokio::time::timeout(READY, async move { client.get(&["readyz"], &()).await }).await,
        Err(error) => return complain(error.chain(), "set GLIMPSE_URL"),
    };
    match asked {
        Ok(Ok(_)) => Ok(format!("ready at {url}")),
        Ok(Err(CliError::Unreachable { .. })) if !must => {
            Ok(format!("none runs at {url}; `glimpse serve` starts it (GLIMPSE_ADDR, GLIMPSE_URL)"))
        }
        Ok(Err(CliError::Unreachable { .. })) => complain(
            format!("nobody answers at {url}"),
            "start it with `glimpse serve`, or set GLIMPSE_URL to where it is",
        ),
        Ok(Err(error)) => complain(
            format!("the service at {url} is not ready: {}", error.chain()),
            "its log says more; it asks again by itself",
        ),
        Err(_) => complain(
            format!("the service at {url} does not say within {} s whether it is ready", READY.as_secs()),
            "it may be starting, or waiting for a dependency: its log says more",
        ),
    }
}

/// `GLIMPSE_URL`, or where `GLIMPSE_ADDR` makes the service of this machine listen if that says otherwise.
fn url(settings: &Settings) -> String {
    let url = &settings.place.glimpse_url;
    let listens = settings.api.glimpse_addr.parse::<SocketAddr>();
    match listens {
        Ok(listens) if *url == Settings::default().place.glimpse_url => {
            let here = if listens.is_ipv6() { "[::1]" } else { "127.0.0.1" };
            let host = if listens.ip().is_unspecified() { here.to_owned() } else { host(listens) };
            format!("http://{host}:{}", listens.port())
        }
        _ => url.clone(),
    }
}

fn host(listens: SocketAddr) -> String {
    if listens.is_ipv6() { format!("[{}]", listens.ip()) } else { listens.ip().to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_service_is_looked_for_where_it_listens_unless_it_is_said_where_it_is() {
        let at = |pairs: &[(&str, &str)]| url(&Settings::from_variables(pairs.iter().copied()).unwrap());
        assert_eq!(at(&[]), "http://127.0.0.1:8080");
        assert_eq!(at(&[("GLIMPSE_ADDR", "0.0.0.0:9000"), ("GLIMPSE_API_KEY", "k")]), "http://127.0.0.1:9000");
        assert_eq!(at(&[("GLIMPSE_ADDR", "[::1]:9000")]), "http://[::1]:9000");
        assert_eq!(at(&[("GLIMPSE_ADDR", "127.0.0.1:9000"), ("GLIMPSE_URL", "http://there:1")]), "http://there:1");
    }
}
