//! The client of Ray's Jobs REST API against a fake that answers as Ray 2.60 does.

use std::time::Duration;

use axum::Router;
use axum::response::Html;
use glimpse::domain::{JobId, Secret};
use glimpse::jobs::placing::cluster::{Cluster, ClusterError, Placed, PlacedFailure, Placement};
use glimpse::ray::{RayCluster, RaySettings};

use crate::support::ray::{Answers, FakeRay};

fn settings(ray: &FakeRay) -> RaySettings {
    RaySettings { ray_address: Some(ray.url().parse().unwrap()), ..RaySettings::default() }
}

fn client(settings: &RaySettings) -> RayCluster {
    RayCluster::new(settings.ray_address.as_ref().unwrap(), settings, "http://127.0.0.1:1".into())
        .unwrap()
        .with_timeout(Duration::from_mins(1))
}

fn placement(submission: &str) -> Placement {
    Placement { submission: submission.into(), job: JobId::fresh(), token: Secret::new("of-this-generation") }
}

#[tokio::test]
async fn every_status_is_read_and_an_unknown_id_is_gone() {
    let ray = FakeRay::start().await;
    let cluster = client(&settings(&ray));
    assert_eq!(cluster.status("glimpse-1-g1").await.unwrap(), Placed::Gone);
    cluster.submit(&placement("glimpse-1-g1")).await.unwrap();
    let state = async || cluster.status("glimpse-1-g1").await.unwrap();
    assert!(matches!(state().await, Placed::Pending(message) if message.starts_with("Job has not started yet")));
    cluster.stop("glimpse-1-g1").await.unwrap();
    assert!(matches!(state().await, Placed::Pending(_)), "it ignores a stop");
    ray.set("glimpse-1-g1", "RUNNING", None, "Job is currently running.");
    assert_eq!(state().await, Placed::Running("Job is currently running".into()));
    cluster.stop("glimpse-1-g1").await.unwrap();
    assert_eq!(state().await, Placed::Stopped);
    ray.set("glimpse-1-g1", "SUCCEEDED", None, "Job finished successfully.");
    assert_eq!(state().await, Placed::Succeeded);
    let long = "runtime_env setup failed: no such package\nTraceback (most recent call last):\n  secret";
    ray.set("glimpse-1-g1", "FAILED", Some("RUNTIME_ENV_SETUP_FAILURE"), long);
    assert_eq!(state().await, failed(PlacedFailure::Setup, "runtime_env setup failed: no such package"));
    ray.set("glimpse-1-g1", "FAILED", Some("JOB_SUPERVISOR_ACTOR_DIED"), "died");
    assert_eq!(state().await, failed(PlacedFailure::Died, "died"));
    ray.die().await;
    ray.reconnect().await;
    assert_eq!(state().await, Placed::Gone, "the head was restarted");
}

fn failed(failure: PlacedFailure, message: &str) -> Placed {
    Placed::Failed { failure, message: message.to_owned(), lines: Vec::new() }
}

#[tokio::test]
async fn the_driver_is_sent_with_the_job_unless_the_cluster_has_it() {
    let ray = FakeRay::start().await;
    client(&settings(&ray)).submit(&placement("glimpse-1-g1")).await.unwrap();
    let job = ray.job("glimpse-1-g1");
    let command = "python3 -c \"import os; exec(os.environ['GLIMPSE_RAY_DRIVER'])\"";
    assert_eq!(job.submitted["entrypoint"], command);
    assert_eq!(job.env("GLIMPSE_RAY_DRIVER"), include_str!("../../../zarf/ray/driver.py"));

    let with_path = RaySettings { ray_driver: "/opt/glimpse/ray_driver.py".into(), ..settings(&ray) };
    client(&with_path).submit(&placement("glimpse-2-g1")).await.unwrap();
    let job = ray.job("glimpse-2-g1");
    assert_eq!(job.submitted["entrypoint"], "python3 /opt/glimpse/ray_driver.py");
    assert_eq!(job.env("GLIMPSE_RAY_DRIVER"), "");
}

#[tokio::test]
async fn a_job_is_submitted_once_even_if_the_answer_is_lost() {
    let ray = FakeRay::start().await;
    let cluster = client(&settings(&ray));
    for answers in [Answers::Normal, Answers::AcceptsThenFails, Answers::AcceptsThenCloses] {
        let id = format!("glimpse-{answers:?}-g1");
        ray.set_answers(answers);
        cluster.submit(&placement(&id)).await.unwrap();
        // As after a restart of the service: Ray answers a known id with 500.
        ray.set_answers(Answers::Normal);
        cluster.submit(&placement(&id)).await.unwrap();
        assert_eq!(ray.job(&id).env("GLIMPSE_WORKER_TOKEN"), "of-this-generation");
    }
    assert_eq!(ray.ids().len(), 3);
    ray.set_answers(Answers::Refuses500);
    assert!(matches!(cluster.submit(&placement("new")).await, Err(ClusterError::Failed(_))));
    ray.set_answers(Answers::Refuses400);
    assert!(matches!(cluster.submit(&placement("new")).await, Err(ClusterError::Refused(_))));
    ray.set_answers(Answers::Normal);
    assert_eq!(cluster.status("new").await.unwrap(), Placed::Gone);
}

#[tokio::test]
async fn each_failure_has_a_short_message_and_rays_text_is_for_the_log() {
    let ray = FakeRay::start().await;
    let failure = async |settings: &RaySettings| client(settings).check().await.unwrap_err();
    let valid = settings(&ray);
    ray.set_answers(Answers::Broken);
    let broken = failure(&valid).await;
    assert!(matches!(broken, ClusterError::Failed(_)) && broken.detail().contains("Traceback"), "{broken:?}");
    assert!(!broken.to_string().contains("secret of the cluster"), "{broken}");
    ray.set_answers(Answers::Hangs);
    let quick = client(&valid).with_timeout(Duration::from_secs(1));
    assert!(matches!(quick.check().await, Err(ClusterError::TimedOut(_))));
    ray.set_answers(Answers::Normal);
    ray.state().api = "5".into();
    assert_eq!(failure(&valid).await, ClusterError::Version("5".into()));
    ray.state().api = "4".into();

    ray.state().token = Some("right".into());
    let none = failure(&valid).await;
    assert!(matches!(none, ClusterError::NoToken(_)) && none.to_string().contains("RAY_AUTH_TOKEN_PATH"), "{none}");
    let wrong = failure(&RaySettings { ray_auth_token: Secret::new("wrong"), ..valid.clone() }).await;
    assert!(matches!(wrong, ClusterError::WrongToken(_)), "{wrong:?}");
    let missing = failure(&RaySettings { ray_auth_token_path: "/no/such/file".into(), ..valid.clone() }).await;
    assert!(matches!(missing, ClusterError::TokenFile(_)) && !missing.to_string().contains("/no/such"), "{missing}");
    let file = tempfile::NamedTempFile::new().unwrap();
    let by_file = RaySettings { ray_auth_token_path: file.path().into(), ..valid.clone() };
    let cluster = client(&by_file);
    for (token, fits) in [("wrong", false), ("right", true), ("other", false)] {
        std::fs::write(file.path(), format!("{token}\n")).unwrap();
        assert_eq!(cluster.check().await.is_ok(), fits, "the file is read anew");
    }
    ray.die().await;
    assert!(matches!(failure(&valid).await, ClusterError::Unreachable(_)));
}

#[tokio::test]
async fn an_answer_that_is_not_from_ray_does_not_change_a_job() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let page = Router::new().route("/api/version", axum::routing::get(|| async { Html("<html>") }));
    let served = tokio::spawn(async move { axum::serve(listener, page).await.unwrap() });
    let cluster = client(&RaySettings { ray_address: Some(url.parse().unwrap()), ..RaySettings::default() });
    assert!(matches!(cluster.check().await, Err(ClusterError::NotRay(_))));
    assert!(matches!(cluster.status("glimpse-1-g1").await, Err(ClusterError::NotRay(_))), "its 404 is not from Ray");
    served.abort();
}
