//! A fake Ray cluster with the Jobs REST API: the same JSON and error texts over real HTTP. A test
//! sets its behaviour; it can start real workers as the driver does.

mod cluster;
mod routes;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::support::serve::serve_until_dropped;
use crate::support::{TestApp, locked};

/// A job of the head.
#[derive(Clone, Debug)]
pub(crate) struct RayJob {
    pub(crate) status: &'static str,
    pub(crate) message: String,
    pub(crate) error_type: Option<&'static str>,
    /// The body of its submission.
    pub(crate) submitted: Value,
}

/// What the head does with a submission.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum OnSubmit {
    /// It stays PENDING.
    #[default]
    Waits,
    /// It is RUNNING, and does nothing.
    Runs,
    /// It starts real workers.
    StartsWorkers,
    /// It fails with this exit code.
    Fails(i32),
}

/// How the head answers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Answers {
    #[default]
    Normal,
    /// 500 with a traceback for every request.
    Broken,
    /// No answer.
    Hangs,
    /// It accepts a submission, and answers it with 500.
    AcceptsThenFails,
    /// It accepts a submission, and closes the connection.
    AcceptsThenCloses,
    /// It refuses a submission with 500.
    Refuses500,
    /// It refuses a submission with 400.
    Refuses400,
}

#[derive(Debug, Default)]
pub(crate) struct State {
    pub(crate) version: String,
    pub(crate) api: String,
    /// Required of every client.
    pub(crate) token: Option<String>,
    pub(crate) on_submit: OnSubmit,
    pub(crate) answers: Answers,
    pub(crate) jobs: BTreeMap<String, RayJob>,
    /// `METHOD path`, in order.
    pub(crate) requests: Vec<String>,
    /// Variables of a node besides those of a submission.
    node: Vec<(String, String)>,
    /// The number of workers that drivers have started.
    started: usize,
    /// Running drivers.
    drivers: Vec<JoinHandle<()>>,
}

/// The cluster.
pub(crate) struct FakeRay {
    pub(crate) addr: SocketAddr,
    state: Arc<Mutex<State>>,
    served: Mutex<Option<JoinHandle<()>>>,
}

impl FakeRay {
    pub(crate) async fn start() -> Self {
        let state = State { version: "2.60.0".into(), api: "4".into(), ..State::default() };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let ray = Self { addr, state: Arc::new(Mutex::new(state)), served: Mutex::default() };
        ray.serve(listener);
        ray
    }

    fn serve(&self, listener: TcpListener) {
        let router = routes::router(self.state.clone());
        *locked(&self.served) = Some(tokio::spawn(serve_until_dropped(listener, router)));
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.addr)
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        locked(&self.state)
    }

    pub(crate) fn set_on_submit(&self, on_submit: OnSubmit) {
        self.state().on_submit = on_submit;
    }

    pub(crate) fn set_answers(&self, answers: Answers) {
        self.state().answers = answers;
    }

    /// Gives its nodes the variables that workers of this service need.
    pub(crate) fn set_node_variables(&self, app: &TestApp) {
        let mut node = vec![
            ("S3_ENDPOINT".to_owned(), app.bucket_url().to_owned()),
            ("GLIMPSE_DATA_DIR".to_owned(), app.data().display().to_string()),
            ("GLIMPSE_EMBED_THREADS".to_owned(), "1".to_owned()),
            ("IMAGE_EMBED_BATCH_SIZE".to_owned(), "2".to_owned()),
        ];
        node.extend(app.bucket_credentials().map(|(name, value)| (name.to_owned(), value)));
        self.state().node = node;
    }

    /// Gives its nodes these variables as well.
    pub(crate) fn add_node_variables(&self, more: &[(&str, &str)]) {
        self.state().node.extend(more.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
    }

    /// The number of started workers.
    pub(crate) fn started_workers(&self) -> usize {
        self.state().started
    }

    /// The ids of the submissions, in order.
    pub(crate) fn ids(&self) -> Vec<String> {
        self.state().jobs.keys().cloned().collect()
    }

    pub(crate) fn job(&self, id: &str) -> RayJob {
        self.state().jobs.get(id).cloned().unwrap_or_else(|| panic!("Ray has no {id}"))
    }

    /// Waits until a job fulfils the condition; returns the newest such job.
    pub(crate) async fn wait_for(&self, condition: impl Fn(&str, &RayJob) -> bool) -> String {
        let started = std::time::Instant::now();
        loop {
            // Copied first: the condition may panic, and the lock must not be held then.
            let jobs = self.state().jobs.clone();
            if let Some((id, _)) = jobs.iter().rev().find(|(id, job)| condition(id, job)) {
                return id.clone();
            }
            assert!(started.elapsed() < Duration::from_mins(5), "still {jobs:?}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    pub(crate) fn set(&self, id: &str, status: &'static str, error_type: Option<&'static str>, message: &str) {
        if let Some(job) = self.state().jobs.get_mut(id) {
            (job.status, job.error_type, job.message) = (status, error_type, message.to_owned());
        }
    }

    /// The head dies, with its state and everything that it had started.
    pub(crate) async fn die(&self) {
        self.disconnect().await;
        self.end_jobs();
    }

    fn end_jobs(&self) {
        let mut state = self.state();
        state.drivers.drain(..).for_each(|driver| driver.abort());
        state.jobs.clear();
    }

    /// The head cannot be reached, and everything that it had started continues.
    pub(crate) async fn disconnect(&self) {
        let served = locked(&self.served).take();
        if let Some(served) = served {
            served.abort();
            // A request right after `abort` could still be answered.
            let _ = served.await;
        }
    }

    /// It can be reached again, at the same address.
    pub(crate) async fn reconnect(&self) {
        let listener = loop {
            match TcpListener::bind(self.addr).await {
                Ok(listener) => break listener,
                Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
            }
        };
        self.serve(listener);
    }

    pub(crate) fn count_requests(&self, method: &str, path: &str) -> usize {
        self.state().requests.iter().filter(|requests| **requests == format!("{method} {path}")).count()
    }
}

impl Drop for FakeRay {
    fn drop(&mut self) {
        if let Some(served) = locked(&self.served).take() {
            served.abort();
        }
        self.end_jobs();
    }
}

impl RayJob {
    fn json(&self, id: &str) -> Value {
        let running = self.status == "RUNNING";
        json!({
            "type": "SUBMISSION", "job_id": running.then_some("02000000"), "submission_id": id,
            "driver_info": running.then(|| json!({"id": "02000000", "node_ip_address": "10.0.0.5", "pid": "32673"})),
            "status": self.status, "entrypoint": self.submitted["entrypoint"], "message": self.message,
            "error_type": self.error_type, "start_time": 1_795_333_952_433_u64, "end_time": null,
            "metadata": self.submitted["metadata"], "runtime_env": self.submitted["runtime_env"],
            "driver_agent_http_address": null, "driver_node_id": null, "driver_exit_code": null
        })
    }

    /// A variable of its submission.
    pub(crate) fn env(&self, name: &str) -> String {
        self.submitted["runtime_env"]["env_vars"][name].as_str().unwrap_or_default().to_owned()
    }
}
