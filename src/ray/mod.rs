//! A client of the Jobs REST API of a Ray cluster, which runs the workers of jobs. It implements the interface
//! `jobs::cluster` and depends on nothing else of the jobs, which decide how to react to the state of the cluster.

mod http;
mod settings;
mod version;
mod wire;

use std::collections::BTreeMap;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use reqwest::{Method, StatusCode};

use crate::domain::{Endpoint, InvalidSetting};
use crate::jobs::placing::cluster::{Cluster, ClusterError, ClusterVersion, Placed, Placement};

use http::Http;
pub use settings::RaySettings;

/// A client of one cluster.
#[derive(Debug)]
pub struct RayCluster {
    http: Http,
    /// The URL of this service for the workers.
    service: String,
    workers: u32,
    cpus: u32,
    driver: Driver,
}

/// The program that runs on the cluster: it starts workers, restarts those that die, and ends when the job ends.
const DRIVER: &str = include_str!("../../zarf/ray/driver.py");

/// Where the driver is.
#[derive(Debug)]
enum Driver {
    /// In the environment of the job.
    Sent,
    /// In a file on the cluster: the command that runs it.
    Preinstalled(String),
}

impl Driver {
    /// Returns the shell command that runs the driver. It contains only constants and a validated setting.
    fn command(&self) -> &str {
        match self {
            Self::Sent => "python3 -c \"import os; exec(os.environ['GLIMPSE_RAY_DRIVER'])\"",
            Self::Preinstalled(command) => command,
        }
    }
}

impl RayCluster {
    /// Creates a client of the dashboard at `address`. The workers find the service at the URL `service`. Makes no network
    /// call yet.
    ///
    /// # Errors
    /// Fails if the HTTP client cannot be created.
    pub fn new(address: &Endpoint, settings: &RaySettings, service: String) -> Result<Self, InvalidSetting> {
        let driver = match settings.ray_driver.as_str() {
            "" => Driver::Sent,
            path => Driver::Preinstalled(format!("python3 {path}")),
        };
        let (workers, cpus) = (settings.ray_num_workers, settings.ray_task_num_cpus);
        Ok(Self { http: Http::new(address, settings)?, service, workers, cpus, driver })
    }

    /// Sets another timeout for requests.
    #[must_use]
    pub fn with_timeout(self, timeout: Duration) -> Self {
        Self { http: self.http.with_timeout(timeout), ..self }
    }

    /// Returns the environment of the driver and the workers. Everyone with access to the cluster can read it: it has
    /// the URL of the service, and a token for one generation of one job. The settings of buckets, stores and keys come
    /// from the nodes themselves.
    fn env_vars(&self, placement: &Placement) -> BTreeMap<&'static str, String> {
        let mut variables = BTreeMap::from([
            ("GLIMPSE_SERVICE_URL", self.service.clone()),
            ("GLIMPSE_JOB_ID", placement.job.to_string()),
            ("GLIMPSE_WORKER_TOKEN", placement.token.reveal().to_owned()),
            ("GLIMPSE_RAY_WORKERS", self.workers.to_string()),
            ("GLIMPSE_RAY_CPUS", self.cpus.to_string()),
            // Without these, Ray drops most log lines of the workers and colours the others.
            ("RAY_DEDUP_LOGS", "0".to_owned()),
            ("RAY_COLOR_PREFIX", "0".to_owned()),
            ("RAY_SCHEDULER_EVENTS", "0".to_owned()),
            // Time for a worker that is asked to stop to finish the work in flight.
            ("RAY_JOB_STOP_WAIT_TIME_S", "10".to_owned()),
        ]);
        if matches!(self.driver, Driver::Sent) {
            variables.insert("GLIMPSE_RAY_DRIVER", DRIVER.to_owned());
        }
        variables
    }
}

fn job_path(submission: &str) -> String {
    format!("api/jobs/{submission}")
}

#[async_trait]
impl Cluster for RayCluster {
    fn workers(&self) -> u32 {
        self.workers
    }

    async fn check(&self) -> Result<ClusterVersion, ClusterError> {
        let response = self.http.send(Method::GET, "api/version", None).await?;
        version::checked(http::parsed(response).await?)
    }

    async fn submit(&self, placement: &Placement) -> Result<(), ClusterError> {
        let body = wire::Submit {
            entrypoint: self.driver.command(),
            submission_id: &placement.submission,
            metadata: BTreeMap::from([("glimpse_job", placement.job.to_string())]),
            runtime_env: wire::RuntimeEnv { env_vars: self.env_vars(placement) },
        };
        let body = serde_json::to_vec(&body).map_err(|error| ClusterError::Refused(error.to_string()))?;
        let body = Some(("application/json", Bytes::from(body)));
        // Without the slash at the end Ray answers 404.
        let sent = match self.http.send(Method::POST, "api/jobs/", body).await {
            Ok(response) => http::checked(response).await.map(drop),
            Err(error) => Err(error),
        };
        let Err(error) = sent else { return Ok(()) };
        // Ray answers 500 for an id that is in use, and a reply can get lost. So look up whether the submission
        // arrived.
        match error {
            ClusterError::Failed(_) | ClusterError::TimedOut(_) | ClusterError::Unreachable(_) => {
                match self.status(&placement.submission).await {
                    Ok(Placed::Gone) | Err(_) => Err(error),
                    Ok(
                        Placed::Pending(_)
                        | Placed::Running(_)
                        | Placed::Succeeded
                        | Placed::Stopped
                        | Placed::Failed { .. },
                    ) => Ok(()),
                }
            }
            ClusterError::NoToken(_)
            | ClusterError::WrongToken(_)
            | ClusterError::TokenFile(_)
            | ClusterError::Refused(_)
            | ClusterError::NotRay(_)
            | ClusterError::Version(_) => Err(error),
        }
    }

    async fn status(&self, submission: &str) -> Result<Placed, ClusterError> {
        let response = self.http.send(Method::GET, &job_path(submission), None).await?;
        if response.status() == StatusCode::NOT_FOUND {
            let text = http::words(response).await;
            // The text of Ray itself. A 404 of another program at this address says nothing about the job.
            let gone = text.contains("does not exist");
            return if gone { Ok(Placed::Gone) } else { Err(http::error(StatusCode::NOT_FOUND, &text)) };
        }
        Ok(http::parsed::<wire::Job>(response).await?.into())
    }

    async fn stop(&self, submission: &str) -> Result<(), ClusterError> {
        let path = format!("{}/stop", job_path(submission));
        http::checked(self.http.send(Method::POST, &path, None).await?).await.map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_driver_is_short_and_needs_only_python_and_ray() {
        assert!(DRIVER.lines().count() < 100);
        // Ray replaces variables in the environment of a job.
        assert!(!DRIVER.contains('$'), "the driver travels in an environment variable");
        let modules =
            ["http", "json", "os", "signal", "subprocess", "sys", "time", "traceback", "urllib", "uuid", "ray"];
        let imports = DRIVER.lines().filter_map(|line| line.strip_prefix("import ").or(line.strip_prefix("from ")));
        for import in imports {
            let module = import.split([' ', '.']).next().unwrap();
            assert!(modules.contains(&module), "{import}");
        }
    }
}
