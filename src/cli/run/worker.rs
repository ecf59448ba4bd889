//! `glimpse worker`: indexes images for a job of a service, until the job ends or the worker is asked to stop.

use std::io::Read;

use clap::Args;

use crate::app::{WorkerApp, WorkerSettings};
use crate::cli::client::trusted_files;
use crate::cli::{CliError, Ending};
use crate::config::Settings;
use crate::domain::Endpoint;
use crate::shutdown::Shutdown;

const NOTES: &str = "\
Examples:
  GLIMPSE_WORKER_TOKEN=TOKEN glimpse worker --job ID
  GLIMPSE_WORKER_TOKEN=TOKEN glimpse worker --service http://10.0.0.1:8080 --job ID --name gpu-1

The job must be submitted with \"executor\": \"workers\". The reply contains the worker_token of the job; set
GLIMPSE_WORKER_TOKEN to it. (With \"ray\" the cluster starts the workers.) The worker reads its bucket, model and stores
from its own environment. They must be those of the service: the service refuses a worker of another version or model.
With the embedded store, the worker sends its records to the service. With the embedded bucket, set S3_ENDPOINT to the
address of the bucket, which the service prints at start. After the first SIGTERM or Ctrl-C the worker gives back the
images that it has not started, and finishes the others.

Exit codes: 0 the job ended, or the worker was asked to stop; 1 failed, a new start may succeed; 2 usage; 78 the service
refuses the worker (its version, stores, model or name), or its settings are invalid: change them before the next
start.";

#[derive(Debug, Args)]
#[command(after_help = NOTES)]
pub(in crate::cli) struct Worker {
    /// The address of the service [default: GLIMPSE_URL]
    #[arg(long, value_name = "URL")]
    service: Option<Endpoint>,
    /// The id of the job
    #[arg(long, value_name = "ID")]
    job: String,
    /// The name of the worker, unique within the job [default: a random name]
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// The name of the machine, shown in the status of the job
    #[arg(long, value_name = "NAME")]
    node: Option<String>,
    /// Stop when standard input closes; for a worker that another process supervises
    #[arg(long)]
    with_parent: bool,
}

impl Worker {
    pub(in crate::cli) async fn run(self, settings: Settings) -> Result<Ending, CliError> {
        let (shutdown, _logs) = super::begin(&settings)?;
        if self.with_parent {
            watch_parent(&shutdown)?;
        }
        let url = self.service.unwrap_or_else(|| settings.service_url());
        let worker_settings = WorkerSettings {
            trusted: trusted_files(url.url(), &settings),
            url,
            job: self.job,
            name: self.name.unwrap_or_else(random_name),
            token: settings.jobs.glimpse_worker_token.clone(),
            node: self.node,
        };
        let worker = WorkerApp::build(&settings, worker_settings).await?;
        let (drain, stop) = (shutdown.drain(), shutdown.stop());
        tokio::select! {
            outcome = worker.run(&drain) => outcome?,
            // The second signal. The leases that the worker holds expire.
            () = stop.cancelled() => {}
        }
        Ok(Ending::Done)
    }
}

/// Starts the shutdown when standard input closes. A separate thread reads it, because the read may never return and
/// must not keep the process alive.
fn watch_parent(shutdown: &Shutdown) -> Result<(), CliError> {
    let shutdown = shutdown.clone();
    let watch = move || {
        let mut buffer = [0_u8; 256];
        while std::io::stdin().read(&mut buffer).is_ok_and(|read| read > 0) {}
        shutdown.begin();
    };
    std::thread::Builder::new().name("parent".to_owned()).spawn(watch).map(drop).map_err(CliError::Signals)
}

fn random_name() -> String {
    format!("worker-{}", uuid::Uuid::now_v7().simple())
}
