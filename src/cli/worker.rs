//! `glimpse worker`: works on a job of a service elsewhere, until the job is over or it is asked to stop.

use std::io::Read;

use clap::Args;

use super::{CliError, Ending, warn_of_unknown_variables};
use crate::app::{WorkerApp, WorkerSettings};
use crate::config::Settings;
use crate::shutdown::Shutdown;

const MORE: &str = "\
The job must have been submitted with \"executor\": \"workers\"; the reply has its worker_token, which the worker takes from
GLIMPSE_WORKER_TOKEN. (With \"ray\" the cluster starts the workers.) Bucket, model and stores are those of the worker's own environment, and must be the same as the
service's: a worker of another version or model is refused. With the embedded store it sends its records to the service;
with an embedded bucket, set S3_ENDPOINT to the bucket's address as the service prints it. The first SIGTERM or Ctrl-C gives
back what has not begun and finishes the rest.

Exit codes: 0 the job is over, or the worker was asked to stop; 1 failed, and it may be started again; 2 usage; 78 the service
refuses this worker (another version, other stores, another model, its name), or its settings cannot be used: it fails again
until they are changed.";

#[derive(Debug, Args)]
#[command(after_help = MORE)]
pub(super) struct Worker {
    /// Where the service is; GLIMPSE_URL where it is left out
    #[arg(long, value_name = "URL")]
    service: Option<String>,
    /// The job
    #[arg(long, value_name = "ID")]
    job: String,
    /// What it calls itself, unlike every other worker of the job; a random name where it is left out
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// What the machine is called, for the job's status
    #[arg(long, value_name = "NAME")]
    node: Option<String>,
    /// WriteLease when standard input closes: for one that another process watches over
    #[arg(long)]
    with_parent: bool,
}

impl Worker {
    pub(super) async fn run(self, settings: Settings) -> Result<Ending, CliError> {
        settings.telemetry.begin();
        warn_of_unknown_variables();
        let shutdown = Shutdown::on_signals().map_err(CliError::Signals)?;
        if self.with_parent {
            watch_parent(&shutdown)?;
        }
        let of = WorkerSettings {
            url: self.service.unwrap_or_else(|| settings.place.glimpse_url.clone()),
            job: self.job,
            name: self.name.unwrap_or_else(random_name),
            token: settings.jobs.glimpse_worker_token.clone(),
            node: self.node,
        };
        let worker = WorkerApp::build(&settings, of).await?;
        let (drain, stop) = (shutdown.drain(), shutdown.stop());
        tokio::select! {
            worked = worker.run(&drain) => worked?,
            // The second signal: whatever it holds runs out.
            () = stop.cancelled() => {}
        }
        Ok(Ending::Done)
    }
}

/// On a thread of its own: a read that never returns must not keep the process.
fn watch_parent(shutdown: &Shutdown) -> Result<(), CliError> {
    let shutdown = shutdown.clone();
    let watch = move || {
        let mut some = [0_u8; 256];
        while std::io::stdin().read(&mut some).is_ok_and(|read| read > 0) {}
        shutdown.begin();
    };
    std::thread::Builder::new().name("parent".to_owned()).spawn(watch).map(drop).map_err(CliError::Signals)
}

/// How a worker of a job is started.
pub(super) fn command(token: &str, settings: &Settings, job: &str) -> String {
    let url = &settings.place.glimpse_url;
    format!("GLIMPSE_WORKER_TOKEN={token} glimpse worker --service {url} --job {job}")
}

fn random_name() -> String {
    format!("worker-{}", uuid::Uuid::now_v7().simple())
}
