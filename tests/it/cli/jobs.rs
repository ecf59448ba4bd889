//! `glimpse jobs` against a running service.

use glimpse::api::replies::JobReply;
use serde_json::{Value, json};

use super::Cli;
use super::commands::{glimpse, stderr};
use crate::support::{TestApp, demo_image};

#[tokio::test(flavor = "multi_thread")]
async fn jobs_are_listed_shown_retried_and_pruned() {
    let app = TestApp::start().await;
    let cli = Cli::new(&app);
    assert!(cli.run(0, &["jobs", "list"]).await.contains("no jobs"));
    app.put("images/cat.jpg", demo_image("cat.jpg")).await;
    for n in 0..3 {
        app.put(&format!("images/wrong-{n}.jpg"), "not an image").await;
    }
    let id = cli.json(&["ingest", "--no-wait"]).await["job_id"].as_str().unwrap().to_owned();
    let log = cli.run(3, &["jobs", "logs", &id, "--follow"]).await;
    assert!(log.contains("the job indexes s3://") && log.contains("SUCCEEDED: "), "{log}");
    let page = cli.json(&["jobs", "logs", &id]).await;
    let next = page["next"].to_string();
    assert_eq!(page["logs"].as_str().unwrap(), log.trim_end());
    assert_eq!(cli.json(&["jobs", "logs", &id, "--cursor", &next]).await["logs"], "");

    let shown = cli.run(0, &["jobs", "show", &id]).await;
    assert!(shown.contains("1 indexed, 3 failed") && shown.contains("executor `local`"), "{shown}");
    assert!(shown.contains(&format!("glimpse jobs failures {id}")), "{shown}");
    assert_eq!(cli.json(&["jobs", "show", &id]).await["counts"]["failed"], 3);

    let all = cli.json(&["jobs", "failures", &id]).await;
    assert_eq!((all["failures"].as_array().unwrap().len(), &all["total"], &all["next"]), (3, &json!(3), &Value::Null));
    let page = cli.run(0, &["jobs", "failures", &id, "--limit", "2"]).await;
    let cursor = page.trim_end().rsplit(' ').next().unwrap();
    let rest = cli.run(0, &["jobs", "failures", &id, "--cursor", cursor]).await;
    let failed = |text: &str| text.matches("images/wrong-").count();
    assert_eq!((failed(&page), failed(&rest)), (2, 1), "{page}{rest}");

    app.put("images/wrong-0.jpg", demo_image("coffee.jpg")).await;
    let again = cli.run(3, &["jobs", "retry", &id]).await;
    assert!(again.contains("1 indexed, 2 failed"), "{again}");
    let third = cli.json(&["jobs", "retry", &id, "--no-wait"]).await["job_id"].as_str().unwrap().to_owned();
    cli.run(3, &["jobs", "show", &third, "--follow"]).await;
    let first = cli.run(0, &["jobs", "list", "--limit", "2"]).await;
    assert!(first.contains(&third) && !first.contains(&id), "{first}");
    let cursor = first.trim_end().rsplit(' ').next().unwrap();
    let last = cli.json(&["jobs", "list", "--limit", "2", "--cursor", cursor]).await;
    assert_eq!((last["jobs"].as_array().unwrap().len(), last["jobs"][0]["job_id"].as_str()), (1, Some(id.as_str())));

    assert!(cli.run(1, &["jobs", "stop", &id]).await.contains("ended"));
    assert_eq!(cli.run(0, &["jobs", "logs", &id, "--cursor", "100000"]).await, "");
    assert!(cli.run(1, &["jobs", "show", "nonsense"]).await.contains("nonsense"));
    assert!(cli.run(2, &["jobs", &id, "--stop"]).await.contains("tip: use `glimpse jobs stop ID`"));
    assert_eq!(cli.json(&["jobs", "prune", "--keep", "1"]).await, json!({"removed": 2}));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_of_workers_is_moved_and_stopped() {
    let app = TestApp::start().await;
    let cli = Cli::new(&app);
    app.put("images/cat.jpg", demo_image("cat.jpg")).await;
    let submitted = cli.run(0, &["ingest", "--executor", "workers", "--no-wait"]).await;
    let id = submitted.trim_end().rsplit(' ').next().unwrap();
    assert!(submitted.contains("GLIMPSE_WORKER_TOKEN="), "{submitted}");
    assert!(cli.run(0, &["jobs", "stop", id]).await.contains("stopped"));
    app.job_until(id, JobReply::is_final).await;

    let submitted = cli.json(&["ingest", "--executor", "workers", "--no-wait"]).await;
    let id = submitted["job_id"].as_str().unwrap();
    let moved = cli.run(0, &["jobs", "move", id, "local"]).await;
    assert!(moved.contains("continues with the executor `local`"), "{moved}");
    let done = cli.run(0, &["jobs", "show", id, "--follow"]).await;
    assert!(done.contains("1 indexed"), "{done}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_key_names_the_setting_of_the_command_line() {
    let app = TestApp::start_with(&[("GLIMPSE_API_KEY", "open-sesame-for-tests")]).await;
    for key in [None, Some("guess")] {
        let mut variables = vec![("GLIMPSE_URL", app.url.as_str())];
        variables.extend(key.map(|key| ("GLIMPSE_API_KEY", key)));
        let refused = stderr(&glimpse(&variables, &["jobs", "list"]).await);
        assert!(refused.contains("set GLIMPSE_API_KEY") && !refused.contains("Bearer"), "{refused}");
    }
}
