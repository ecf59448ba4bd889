//! A Ray cluster that places the workers of jobs, spoken to through its Jobs REST API. Knows the port
//! (`jobs::cluster`) and nothing else of jobs; what to do about what the cluster says is decided there.

mod http;
mod package;
mod settings;
mod version;
mod wire;

use std::collections::BTreeMap;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use reqwest::{Method, StatusCode};

use crate::jobs::cluster::{Cluster, ClusterError, ClusterVersion, MAX_LOGS, Placed, Placement};

use http::Http;
use package::Package;
pub use settings::RaySettings;

/// A client of one cluster.
#[derive(Debug)]
pub struct RayCluster {
    http: Http,
    /// Where workers find this service.
    service: String,
    workers: u32,
    cpus: u32,
    driver: Driver,
}

/// The program that starts the workers.
#[derive(Debug)]
enum Driver {
    /// Brought by us.
    JobStance(Package),
    /// There already: the command that runs it.
    OnTheCluster(String),
}

impl RayCluster {
    /// A client for these settings, whose workers find the service at `service`; asks nobody yet.
    ///
    /// # Errors
    /// A sentence that names the setting that is wrong.
    pub fn new(settings: &RaySettings, service: String) -> Result<Self, String> {
        settings.check()?;
        let driver = match settings.ray_driver.as_str() {
            "" => Driver::JobStance(Package::of_driver()?),
            path => Driver::OnTheCluster(format!("python3 {path}")),
        };
        let (workers, cpus) = (settings.ray_num_workers, settings.ray_task_num_cpus);
        Ok(Self { http: Http::new(settings)?, service, workers, cpus, driver })
    }

    /// The same, which waits for so long for an answer.
    #[must_use]
    pub fn within(self, timeout: Duration) -> Self {
        Self { http: self.http.within(timeout), ..self }
    }

    /// What workers and their driver get to know, readable for everybody who reaches the cluster: where the service is,
    /// and a token that opens one generation of one job. Buckets, stores and keys are those of the nodes themselves.
    fn env_vars(&self, placement: &Placement) -> BTreeMap<&'static str, String> {
        BTreeMap::from([
            ("GLIMPSE_SERVICE_URL", self.service.clone()),
            ("GLIMPSE_JOB_ID", placement.job.to_string()),
            ("GLIMPSE_WORKER_TOKEN", placement.token.reveal().to_owned()),
            ("GLIMPSE_RAY_WORKERS", self.workers.to_string()),
            ("GLIMPSE_RAY_CPUS", self.cpus.to_string()),
            // Else most lines of the workers are lost, and the others coloured.
            ("RAY_DEDUP_LOGS", "0".to_owned()),
            ("RAY_COLOR_PREFIX", "0".to_owned()),
            ("RAY_SCHEDULER_EVENTS", "0".to_owned()),
            // A worker that is told to leave finishes what is in flight.
            ("RAY_JOB_STOP_WAIT_TIME_S", "10".to_owned()),
        ])
    }

    /// Brings the driver to the cluster, if it is not there. The head has it in memory: one that was started again has
    /// not.
    async fn bring(&self, package: &Package) -> Result<(), ClusterError> {
        let path = format!("api/packages/gcs/{}", package.name);
        let there = self.http.send(Method::GET, &path, None).await?;
        if there.status() != StatusCode::NOT_FOUND {
            return http::checked(there).await.map(drop);
        }
        let body = Some(("application/octet-stream", package.bytes.clone()));
        http::checked(self.http.send(Method::PUT, &path, body).await?).await.map(drop)
    }
}

fn job(submission: &str) -> String {
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
        let (entrypoint, working_dir) = match &self.driver {
            Driver::JobStance(package) => {
                self.bring(package).await?;
                (format!("python3 {}", package::FILE), Some(package.uri()))
            }
            Driver::OnTheCluster(command) => (command.clone(), None),
        };
        let body = wire::Submit {
            entrypoint: &entrypoint,
            submission_id: &placement.submission,
            metadata: BTreeMap::from([("glimpse_job", placement.job.to_string())]),
            runtime_env: wire::RuntimeEnv { env_vars: self.env_vars(placement), working_dir },
        };
        let body = serde_json::to_vec(&body).map_err(|error| ClusterError::Refused(error.to_string()))?;
        let body = Some(("application/json", Bytes::from(body)));
        // Without the slash at its end: 404.
        let sent = match self.http.send(Method::POST, "api/jobs/", body).await {
            Ok(response) => http::checked(response).await.map(drop),
            Err(error) => Err(error),
        };
        let Err(error) = sent else { return Ok(()) };
        // An id that was used is answered with 500, and an answer may be lost on its way: whether it arrived is seen
        // there.
        match error {
            ClusterError::Failed(_) | ClusterError::TimedOut(_) | ClusterError::Unreachable(_) => {
                match self.look(&placement.submission).await {
                    Ok(Placed::Gone) | Err(_) => Err(error),
                    Ok(
                        Placed::Pending(_)
                        | Placed::Running(_)
                        | Placed::Succeeded
                        | Placed::Stopped
                        | Placed::Failed(..),
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

    async fn look(&self, submission: &str) -> Result<Placed, ClusterError> {
        let response = self.http.send(Method::GET, &job(submission), None).await?;
        if response.status() == StatusCode::NOT_FOUND {
            let words = http::words(response).await;
            // Ray's own words: a 404 of something else that answers at its address tells nothing of the job.
            let gone = words.contains("does not exist");
            return if gone { Ok(Placed::Gone) } else { Err(http::error(StatusCode::NOT_FOUND, &words)) };
        }
        Ok(http::parsed::<wire::Job>(response).await?.into())
    }

    async fn stop(&self, submission: &str) -> Result<(), ClusterError> {
        let path = format!("{}/stop", job(submission));
        http::checked(self.http.send(Method::POST, &path, None).await?).await.map(drop)
    }

    async fn logs(&self, submission: &str) -> Result<String, ClusterError> {
        // As JSON a line may be longer than it is.
        let tail = self.http.tail(&format!("{}/logs", job(submission)), 2 * MAX_LOGS).await?;
        let wrong = || ClusterError::NotRay("its reply is no log".to_owned());
        wire::logs(&tail, MAX_LOGS).ok_or_else(wrong)
    }
}
