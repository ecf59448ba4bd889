//! The driver on a cluster, as processes on this machine: starts workers, restarts those that die, reports to the
//! service, and ends when the service asks for it.

use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use reqwest::Client;
use serde_json::{Value, json};

use super::{RayJob, State};
use crate::support::locked;

/// A worker; it ends with the driver.
struct Pool {
    name: String,
    child: Child,
    /// It ended with [`REFUSED`], and is not restarted.
    refused: bool,
}

/// `EX_CONFIG`
const REFUSED: i32 = 78;

impl Drop for Pool {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

impl Pool {
    fn start(job: &RayJob, node: &[(String, String)], slot: usize, life: usize) -> Self {
        let name = format!("node{slot}-{slot}-{life:06x}-{}", uuid::Uuid::now_v7().simple());
        let name = name[..name.len().min(40)].to_owned();
        let mut command = Command::new(env!("CARGO_BIN_EXE_glimpse"));
        command.args(["worker", "--service", &job.env("GLIMPSE_SERVICE_URL"), "--job", &job.env("GLIMPSE_JOB_ID")]);
        command.args(["--name", &name, "--node", &format!("node{slot}"), "--with-parent"]);
        command.env("GLIMPSE_WORKER_TOKEN", job.env("GLIMPSE_WORKER_TOKEN")).envs(node.iter().cloned());
        // As on a node, on which the name means the address of the cluster's store.
        command.env("RAY_ADDRESS", "10.0.0.5:6379");
        command.current_dir(std::env::temp_dir()).stdout(Stdio::null()).stderr(Stdio::null()).stdin(Stdio::piped());
        Self { name, child: command.spawn().unwrap(), refused: false }
    }
}

/// Runs one job of the cluster to its end.
pub(super) async fn drive(state: Arc<Mutex<State>>, id: String, job: RayJob, node: Vec<(String, String)>) {
    let count: usize = job.env("GLIMPSE_RAY_WORKERS").parse().unwrap();
    let mut pools: Vec<Pool> = (0..count).map(|slot| Pool::start(&job, &node, slot, 0)).collect();
    locked(&state).started += count;
    let client = Client::builder().timeout(Duration::from_secs(5)).build().unwrap();
    let url = format!("{}/internal/jobs/{}", job.env("GLIMPSE_SERVICE_URL"), job.env("GLIMPSE_JOB_ID"));
    let token = job.env("GLIMPSE_WORKER_TOKEN");
    let end = |status, message: &str, error_type| {
        if let Some(job) = locked(&state).jobs.get_mut(&id) {
            (job.status, job.message, job.error_type) = (status, message.to_owned(), error_type);
        }
    };
    let (mut life, mut refused) = (0, 0);
    loop {
        tokio::time::sleep(Duration::from_millis(100)).await;
        if locked(&state).jobs.get(&id).is_none_or(|job| job.status != "RUNNING") {
            return;
        }
        match client.get(format!("{url}/summary")).bearer_auth(&token).send().await {
            Ok(reply) if matches!(reply.status().as_u16(), 401 | 403 | 404 | 410) => {
                return end("SUCCEEDED", "Job finished successfully.", None);
            }
            Ok(reply) => {
                let summary: Value = reply.json().await.unwrap_or_default();
                if summary["terminal"] == true {
                    return end("SUCCEEDED", "Job finished successfully.", None);
                }
            }
            Err(_) => {}
        }
        let mut running = 0;
        for (slot, pool) in pools.iter_mut().enumerate() {
            match pool.child.try_wait().unwrap() {
                None => running += 1,
                Some(ended) if ended.success() || pool.refused => {}
                Some(ended) => {
                    let body = json!({"rc": ended.code().unwrap_or(-9)});
                    let exit = format!("{url}/workers/{}/exit", pool.name);
                    client.post(exit).bearer_auth(&token).json(&body).send().await.ok();
                    if ended.code() == Some(REFUSED) {
                        (pool.refused, refused) = (true, refused + 1);
                        continue;
                    }
                    life += 1;
                    *pool = Pool::start(&job, &node, slot, life);
                    locked(&state).started += 1;
                    running += 1;
                }
            }
        }
        if running == 0 {
            tokio::time::sleep(Duration::from_millis(500)).await;
            let code = if refused == count { REFUSED } else { 70 };
            let message =
                format!("Job entrypoint command failed with exit code {code}, last available logs (truncated):\n");
            let reply = client.get(format!("{url}/summary")).bearer_auth(&token).send().await;
            let over = match reply {
                Ok(reply) => reply.json::<Value>().await.is_ok_and(|summary| summary["terminal"] == true),
                Err(_) => false,
            };
            return if over {
                end("SUCCEEDED", "Job finished successfully.", None);
            } else {
                end("FAILED", &message, Some("JOB_ENTRYPOINT_COMMAND_ERROR"));
            };
        }
    }
}
