//! The routes of the Jobs REST API.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, Request, State as Extract};
use axum::http::{HeaderMap, Method, StatusCode};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use serde_json::{Value, json};

use super::{Answers, OnSubmit, RayJob, State, cluster};
use crate::support::locked;

type Shared = Arc<Mutex<State>>;

pub(super) fn router(state: Shared) -> Router {
    Router::new()
        .route("/api/version", get(version))
        .route("/api/jobs/", post(submit))
        .route("/api/jobs/{id}", get(job))
        .route("/api/jobs/{id}/stop", post(stop))
        .layer(from_fn_with_state(state.clone(), check_request))
        .with_state(state)
}

fn text(status: u16, message: impl Into<String>) -> Response {
    (StatusCode::from_u16(status).unwrap(), message.into()).into_response()
}

fn traceback(message: &str) -> Response {
    text(500, format!("Traceback (most recent call last):\n  File \"job_head.py\", line 321, in f\n{message}"))
}

fn header(headers: &HeaderMap, name: &str) -> String {
    headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned()
}

async fn check_request(Extract(state): Extract<Shared>, request: Request, next: Next) -> Response {
    let headers = request.headers();
    let (authorization, agent, origin) =
        (header(headers, "authorization"), header(headers, "user-agent"), header(headers, "origin"));
    let (token, answers) = {
        let mut state = locked(&state);
        let line = format!("{} {}", request.method(), request.uri().path());
        state.requests.push(line);
        (state.token.clone(), state.answers)
    };
    match token {
        Some(_) if authorization.is_empty() => return text(401, "Unauthorized: Missing authentication token"),
        Some(token) if authorization != format!("Bearer {token}") => {
            return text(403, "Forbidden: Invalid authentication token");
        }
        Some(_) | None => {}
    }
    if request.method() == Method::POST && (agent.starts_with("Mozilla") || !origin.is_empty()) {
        return text(405, "Method Not Allowed for browser traffic.");
    }
    if answers == Answers::Hangs {
        std::future::pending::<()>().await;
    }
    if answers == Answers::Broken {
        return traceback("ray.exceptions.RaySystemError: System error: secret of the cluster");
    }
    next.run(request).await
}

async fn version(Extract(state): Extract<Shared>) -> Response {
    let state = locked(&state);
    axum::Json(json!({"version": state.api, "ray_version": state.version, "ray_commit": "b7f4", "session_name": "s"}))
        .into_response()
}

async fn submit(Extract(state): Extract<Shared>, headers: HeaderMap, body: Bytes) -> Response {
    assert_eq!(headers["content-type"], "application/json");
    let body: Value = match serde_json::from_slice(&body) {
        Ok(body) => body,
        Err(_) => return traceback("json.decoder.JSONDecodeError"),
    };
    let fields = ["entrypoint", "submission_id", "metadata", "runtime_env"];
    if let Some(strange) = body.as_object().unwrap().keys().find(|key| !fields.contains(&key.as_str())) {
        return text(400, format!("got an unexpected keyword argument '{strange}'"));
    }
    let id = body["submission_id"].as_str().unwrap().to_owned();
    assert!(id.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte)), "{id} is PENDING for ever");
    assert!(body["metadata"].as_object().unwrap().values().all(Value::is_string));
    let mut locked_state = locked(&state);
    match locked_state.answers {
        Answers::Refuses500 => return traceback("RuntimeError: no"),
        Answers::Refuses400 => return text(400, "Traceback …\nTypeError: no"),
        Answers::Normal | Answers::Broken | Answers::Hangs | Answers::AcceptsThenFails | Answers::AcceptsThenCloses => {
        }
    }
    if locked_state.jobs.contains_key(&id) {
        return traceback(&format!(
            "ValueError: Job with submission_id {id} already exists. Please use a different submission_id."
        ));
    }
    let (status, message, error_type) = match locked_state.on_submit {
        OnSubmit::Waits => ("PENDING", "Job has not started yet. It may be waiting for resources.".to_owned(), None),
        OnSubmit::Runs | OnSubmit::StartsWorkers => ("RUNNING", "Job is currently running.".to_owned(), None),
        OnSubmit::Fails(code) => {
            let message = format!(
                "Job entrypoint command failed with exit code {code}, last available logs (truncated to 20,000 chars):\nboom"
            );
            ("FAILED", message, Some("JOB_ENTRYPOINT_COMMAND_ERROR"))
        }
    };
    let job = RayJob { status, message, error_type, submitted: body };
    locked_state.jobs.insert(id.clone(), job.clone());
    if locked_state.on_submit == OnSubmit::StartsWorkers {
        let node = locked_state.node.clone();
        locked_state.drivers.push(tokio::spawn(cluster::drive(state.clone(), id.clone(), job, node)));
    }
    match locked_state.answers {
        Answers::AcceptsThenFails => traceback("TimeoutError"),
        Answers::AcceptsThenCloses => {
            drop(locked_state);
            // The connection breaks: a handler that panics sends no reply.
            panic!("closes the connection on purpose");
        }
        Answers::Normal | Answers::Broken | Answers::Hangs | Answers::Refuses500 | Answers::Refuses400 => {
            axum::Json(json!({"job_id": id, "submission_id": id})).into_response()
        }
    }
}

fn unknown(id: &str) -> Response {
    text(404, format!("Job {id} does not exist"))
}

async fn job(Extract(state): Extract<Shared>, Path(id): Path<String>) -> Response {
    match locked(&state).jobs.get(&id) {
        Some(job) => axum::Json(job.json(&id)).into_response(),
        None => unknown(&id),
    }
}

/// A PENDING job stays so, whatever the answer says.
async fn stop(Extract(state): Extract<Shared>, Path(id): Path<String>) -> Response {
    let mut state = locked(&state);
    let Some(job) = state.jobs.get_mut(&id) else { return unknown(&id) };
    let stopped = matches!(job.status, "PENDING" | "RUNNING");
    if job.status == "RUNNING" {
        (job.status, job.message) = ("STOPPED", "Job was intentionally stopped.".to_owned());
    }
    axum::Json(json!({"stopped": stopped})).into_response()
}
