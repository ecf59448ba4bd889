//! The routes of the Jobs REST API.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, Request, State as Of};
use axum::http::{HeaderMap, Method, StatusCode};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use serde_json::{Value, json};

use super::{Mood, RayJob, State, Then, cluster};
use crate::support::locked;

type Shared = Arc<Mutex<State>>;

pub(super) fn router(state: Shared) -> Router {
    Router::new()
        .route("/api/version", get(version))
        .route("/api/jobs/", post(submit))
        .route("/api/jobs/{id}", get(job))
        .route("/api/jobs/{id}/stop", post(stop))
        .layer(from_fn_with_state(state.clone(), door))
        .with_state(state)
}

fn text(status: u16, words: impl Into<String>) -> Response {
    (StatusCode::from_u16(status).unwrap(), words.into()).into_response()
}

fn traceback(words: &str) -> Response {
    text(500, format!("Traceback (most recent call last):\n  File \"job_head.py\", line 321, in f\n{words}"))
}

fn header(headers: &HeaderMap, name: &str) -> String {
    headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned()
}

async fn door(Of(state): Of<Shared>, request: Request, next: Next) -> Response {
    let headers = request.headers();
    let (given, agent, origin) =
        (header(headers, "authorization"), header(headers, "user-agent"), header(headers, "origin"));
    let (token, mood) = {
        let mut state = locked(&state);
        let asked = format!("{} {}", request.method(), request.uri().path());
        state.asked.push(asked);
        (state.token.clone(), state.mood)
    };
    match token {
        Some(_) if given.is_empty() => return text(401, "Unauthorized: Missing authentication token"),
        Some(token) if given != format!("Bearer {token}") => {
            return text(403, "Forbidden: Invalid authentication token");
        }
        Some(_) | None => {}
    }
    if request.method() == Method::POST && (agent.starts_with("Mozilla") || !origin.is_empty()) {
        return text(405, "Method Not Allowed for browser traffic.");
    }
    if mood == Mood::Hangs {
        std::future::pending::<()>().await;
    }
    if mood == Mood::Broken {
        return traceback("ray.exceptions.RaySystemError: System error: secret of the cluster");
    }
    next.run(request).await
}

async fn version(Of(state): Of<Shared>) -> Response {
    let state = locked(&state);
    axum::Json(json!({"version": state.api, "ray_version": state.version, "ray_commit": "b7f4", "session_name": "s"}))
        .into_response()
}

async fn submit(Of(state): Of<Shared>, headers: HeaderMap, body: Bytes) -> Response {
    assert_eq!(headers["content-type"], "application/json");
    let body: Value = match serde_json::from_slice(&body) {
        Ok(body) => body,
        Err(_) => return traceback("json.decoder.JSONDecodeError"),
    };
    let known = ["entrypoint", "submission_id", "metadata", "runtime_env"];
    if let Some(strange) = body.as_object().unwrap().keys().find(|key| !known.contains(&key.as_str())) {
        return text(400, format!("got an unexpected keyword argument '{strange}'"));
    }
    let id = body["submission_id"].as_str().unwrap().to_owned();
    assert!(id.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte)), "{id} is PENDING for ever");
    assert!(body["metadata"].as_object().unwrap().values().all(Value::is_string));
    let mut of = locked(&state);
    match of.mood {
        Mood::Refuses500 => return traceback("RuntimeError: no"),
        Mood::Refuses400 => return text(400, "Traceback …\nTypeError: no"),
        Mood::Well | Mood::Broken | Mood::Hangs | Mood::TakesAndBreaks | Mood::TakesAndHangsUp => {}
    }
    if of.jobs.contains_key(&id) {
        return traceback(&format!(
            "ValueError: Job with submission_id {id} already exists. Please use a different submission_id."
        ));
    }
    let (status, message, error_type) = match of.then {
        Then::Waits => ("PENDING", "Job has not started yet. It may be waiting for resources.".to_owned(), None),
        Then::Runs | Then::Works => ("RUNNING", "Job is currently running.".to_owned(), None),
        Then::Fails(code) => {
            let said = format!(
                "Job entrypoint command failed with exit code {code}, last available logs (truncated to 20,000 chars):\nboom"
            );
            ("FAILED", said, Some("JOB_ENTRYPOINT_COMMAND_ERROR"))
        }
    };
    let job = RayJob { status, message, error_type, submitted: body };
    of.jobs.insert(id.clone(), job.clone());
    if of.then == Then::Works {
        let node = of.node.clone();
        of.drivers.push(tokio::spawn(cluster::drive(state.clone(), id.clone(), job, node)));
    }
    match of.mood {
        Mood::TakesAndBreaks => traceback("TimeoutError"),
        Mood::TakesAndHangsUp => {
            drop(of);
            // The connection breaks: a handler that panics sends no reply.
            panic!("hangs up, as it was told");
        }
        Mood::Well | Mood::Broken | Mood::Hangs | Mood::Refuses500 | Mood::Refuses400 => {
            axum::Json(json!({"job_id": id, "submission_id": id})).into_response()
        }
    }
}

fn unknown(id: &str) -> Response {
    text(404, format!("Job {id} does not exist"))
}

async fn job(Of(state): Of<Shared>, Path(id): Path<String>) -> Response {
    match locked(&state).jobs.get(&id) {
        Some(job) => axum::Json(job.json(&id)).into_response(),
        None => unknown(&id),
    }
}

/// A PENDING job stays so, whatever the answer says.
async fn stop(Of(state): Of<Shared>, Path(id): Path<String>) -> Response {
    let mut state = locked(&state);
    let Some(job) = state.jobs.get_mut(&id) else { return unknown(&id) };
    let stopped = matches!(job.status, "PENDING" | "RUNNING");
    if job.status == "RUNNING" {
        (job.status, job.message) = ("STOPPED", "Job was intentionally stopped.".to_owned());
    }
    axum::Json(json!({"stopped": stopped})).into_response()
}
