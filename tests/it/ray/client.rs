//! The client of Ray's Jobs REST API against a fake that answers as Ray 2.60 does.

use std::time::Duration;

use axum::Router;
use axum::response::Html;
use glimpse::domain::{JobId, Secret};
use glimpse::jobs::placing::cluster::{Cluster, ClusterError, Placed, PlacedFailure, Placement};
use glimpse::ray::{RayCluster, RaySettings};

use crate::support::ray::{FakeRay, Mood};

fn settings(ray: &FakeRay) -> RaySettings {
    RaySettings { ray_address: ray.url(), ..RaySettings::default() }
}

fn client(settings: &RaySettings) -> RayCluster {
    RayCluster::new(settings, "http://127.0.0.1:1".into()).unwrap().within(Duration::from_mins(1))
}

fn placement(submission: &str) -> Placement {
    Placement { submission: submission.into(), job: JobId::fresh(), token: Secret::new("of-this-generation") }
}

#[tokio::test]
async fn every_status_is_read_and_an_unknown_id_is_gone() {
    let ray = FakeRay::start().await;
    let cluster = client(&settings(&ray));
    assert_eq!(cluster.look("glimpse-1-g1").await.unwrap(), Placed::Gone);
    cluster.submit(&placement("glimpse-1-g1")).await.unwrap();
    let look = async || cluster.look("glimpse-1-g1").await.unwrap();
    assert!(matches!(look().await, Placed::Pending(said) if said.starts_with("Job has not started yet")));
    cluster.stop("glimpse-1-g1").await.unwrap();
    assert!(matches!(look().await, Placed::Pending(_)), "it hears no stop");
    ray.set("glimpse-1-g1", "RUNNING", None, "Job is currently running.");
    assert_eq!(look().await, Placed::Running("Job is currently running".into()));
    cluster.stop("glimpse-1-g1").await.unwrap();
    assert_eq!(look().await, Placed::Stopped);
    ray.set("glimpse-1-g1", "SUCCEEDED", None, "Job finished successfully.");
    assert_eq!(look().await, Placed::Succeeded);
    let long = "runtime_env setup failed: no such package\nTraceback (most recent call last):\n  secret";
    ray.set("glimpse-1-g1", "FAILED", Some("RUNTIME_ENV_SETUP_FAILURE"), long);
    assert_eq!(look().await, failed(PlacedFailure::Setup, "runtime_env setup failed: no such package"));
    ray.set("glimpse-1-g1", "FAILED", Some("JOB_SUPERVISOR_ACTOR_DIED"), "died");
    assert_eq!(look().await, failed(PlacedFailure::Died, "died"));
    ray.die();
    ray.come_back().await;
    assert_eq!(look().await, Placed::Gone, "the head was started again");
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

    let there = RaySettings { ray_driver: "/opt/glimpse/ray_driver.py".into(), ..settings(&ray) };
    client(&there).submit(&placement("glimpse-2-g1")).await.unwrap();
    let job = ray.job("glimpse-2-g1");
    assert_eq!(job.submitted["entrypoint"], "python3 /opt/glimpse/ray_driver.py");
    assert_eq!(job.env("GLIMPSE_RAY_DRIVER"), "");
}

#[tokio::test]
async fn a_job_is_submitted_once_even_if_the_answer_is_lost() {
    let ray = FakeRay::start().await;
    let cluster = client(&settings(&ray));
    for mood in [Mood::Well, Mood::TakesAndBreaks, Mood::TakesAndHangsUp] {
        let id = format!("glimpse-{mood:?}-g1");
        ray.mood(mood);
        cluster.submit(&placement(&id)).await.unwrap();
        // As after a restart of the service: Ray answers a known id with 500.
        ray.mood(Mood::Well);
        cluster.submit(&placement(&id)).await.unwrap();
        assert_eq!(ray.job(&id).env("GLIMPSE_WORKER_TOKEN"), "of-this-generation");
    }
    assert_eq!(ray.ids().len(), 3);
    ray.mood(Mood::Refuses500);
    assert!(matches!(cluster.submit(&placement("new")).await, Err(ClusterError::Failed(_))));
    ray.mood(Mood::Refuses400);
    assert!(matches!(cluster.submit(&placement("new")).await, Err(ClusterError::Refused(_))));
    ray.mood(Mood::Well);
    assert_eq!(cluster.look("new").await.unwrap(), Placed::Gone);
}

#[tokio::test]
async fn each_trouble_has_a_short_message_and_rays_text_is_for_the_log() {
    let ray = FakeRay::start().await;
    let trouble = async |settings: &RaySettings| client(settings).check().await.unwrap_err();
    let of = settings(&ray);
    ray.mood(Mood::Broken);
    let broken = trouble(&of).await;
    assert!(matches!(broken, ClusterError::Failed(_)) && broken.detail().contains("Traceback"), "{broken:?}");
    assert!(!broken.to_string().contains("secret of the cluster"), "{broken}");
    ray.mood(Mood::Hangs);
    let hasty = client(&of).within(Duration::from_secs(1));
    assert!(matches!(hasty.check().await, Err(ClusterError::TimedOut(_))));
    ray.mood(Mood::Well);
    ray.state().api = "5".into();
    assert_eq!(trouble(&of).await, ClusterError::Version("5".into()));
    ray.state().api = "4".into();

    ray.state().token = Some("right".into());
    let none = trouble(&of).await;
    assert!(matches!(none, ClusterError::NoToken(_)) && none.to_string().contains("RAY_AUTH_TOKEN_PATH"), "{none}");
    let wrong = trouble(&RaySettings { ray_auth_token: Secret::new("wrong"), ..of.clone() }).await;
    assert!(matches!(wrong, ClusterError::WrongToken(_)), "{wrong:?}");
    let missing = trouble(&RaySettings { ray_auth_token_path: "/no/such/file".into(), ..of.clone() }).await;
    assert!(matches!(missing, ClusterError::TokenFile(_)) && !missing.to_string().contains("/no/such"), "{missing}");
    let file = tempfile::NamedTempFile::new().unwrap();
    let by_file = RaySettings { ray_auth_token_path: file.path().into(), ..of.clone() };
    let cluster = client(&by_file);
    for (token, fits) in [("wrong", false), ("right", true), ("other", false)] {
        std::fs::write(file.path(), format!("{token}\n")).unwrap();
        assert_eq!(cluster.check().await.is_ok(), fits, "the file is read anew");
    }
    ray.die();
    assert!(matches!(trouble(&of).await, ClusterError::Unreachable(_)));
}

#[tokio::test]
async fn an_answer_that_is_not_from_ray_does_not_change_a_job() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let page = Router::new().route("/api/version", axum::routing::get(|| async { Html("<html>") }));
    let served = tokio::spawn(async move { axum::serve(listener, page).await.unwrap() });
    let cluster = client(&RaySettings { ray_address: url, ..RaySettings::default() });
    assert!(matches!(cluster.check().await, Err(ClusterError::NotRay(_))));
    assert!(matches!(cluster.look("glimpse-1-g1").await, Err(ClusterError::NotRay(_))), "its 404 is not Ray's");
    served.abort();
}
