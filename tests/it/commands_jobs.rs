//! `glimpse jobs`, `images`, `collections` and `search --like` against a running service.

use glimpse::api::replies::JobReply;
use glimpse::domain::ImageUri;
use serde_json::{Value, json};

use crate::commands::{glimpse, stderr, stdout};
use crate::support::{TestApp, demo_image};

/// The command line of one service.
struct Cli(String);

impl Cli {
    fn new(app: &TestApp) -> Self {
        Self(app.url.clone())
    }

    /// Runs a command that must end with this code, and returns its output.
    async fn run(&self, code: i32, arguments: &[&str]) -> String {
        let output = glimpse(&[("GLIMPSE_URL", &self.0)], arguments).await;
        let (out, error) = (stdout(&output), stderr(&output));
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {out}{error}");
        if code == 0 || code == 3 { out } else { out + &error }
    }

    async fn json(&self, arguments: &[&str]) -> Value {
        serde_json::from_str(&self.run(0, &[arguments, &["--json"]].concat()).await).unwrap()
    }
}

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
    assert!(log.contains("lists s3://") && log.contains("SUCCEEDED: "), "{log}");
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
    assert!(cli.run(1, &["jobs", "list", "--limit", "0"]).await.contains("limit"));
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
async fn images_and_collections_are_found_saved_and_removed() {
    let app = TestApp::start().await;
    let cli = Cli::new(&app);
    assert!(cli.run(0, &["collections", "list"]).await.contains("no collections"));
    let cat = demo_image("cat.jpg");
    for (key, image) in [("cat.jpg", "cat.jpg"), ("a copy+1.jpg", "cat.jpg"), ("panda.jpg", "panda.jpg")] {
        app.put(&format!("images/{key}"), demo_image(image)).await;
    }
    app.ingest().await;
    let uri = "s3://pipeline/images/cat.jpg";
    let id = ImageUri::new("pipeline", "images/cat.jpg").id().to_string();

    for like in [uri, &id] {
        let found = cli.json(&["search", "--like", like]).await;
        let results = found["results"].as_array().unwrap();
        assert_eq!((results.len(), results[0]["s3_key"].as_str()), (2, Some("images/a copy+1.jpg")));
        assert_eq!((&results[0]["identical"], &results[1]["identical"]), (&json!(true), &json!(false)));
    }
    let copies = cli.run(0, &["search", "--like", uri, "--min-score", "0.99"]).await;
    assert!(copies.contains("s3://pipeline/images/a copy+1.jpg") && !copies.contains("panda"), "{copies}");
    let rest = cli.run(0, &["search", "a panda", "--offset", "2", "--min-score", "-1"]).await;
    assert!(!rest.contains("panda") && rest.lines().any(|line| line.trim().starts_with("3 ")), "{rest}");
    assert!(cli.run(1, &["search", "a cat", "--min-score", "2"]).await.contains("min_score: must be -1 to 1"));

    let shown = cli.run(0, &["images", "show", uri]).await;
    assert!(
        shown.contains(&id) && shown.contains("jpeg") && shown.contains(&format!("{} bytes", cat.len())),
        "{shown}"
    );
    assert_eq!(cli.json(&["images", "show", &id]).await["s3_uri"], uri);
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let saved = cli.run(0, &["images", "original", uri, "--output", &file("o.jpg")]).await;
    assert!(saved.starts_with(&format!("wrote {} bytes", cat.len())), "{saved}");
    assert_eq!(std::fs::read(file("o.jpg")).unwrap(), cat);
    cli.run(0, &["images", "thumbnail", &id, "--output", &file("t.jpg")]).await;
    assert!(std::fs::read(file("t.jpg")).unwrap().starts_with(&[0xFF, 0xD8]));
    let piped = glimpse(&[("GLIMPSE_URL", &app.url)], &["images", "original", &id, "-o", "-"]).await;
    assert_eq!(piped.stdout, cat);
    let refused = cli.run(1, &["images", "thumbnail", &id, "--output", &file("none/t.jpg")]).await;
    assert!(refused.contains("cannot be written"), "{refused}");
    assert!(cli.run(0, &["images", "delete", uri]).await.contains(&id));
    assert!(cli.run(1, &["images", "show", uri]).await.contains(&id));

    let listed = cli.run(0, &["collections", "list"]).await;
    assert!(listed.contains("documents") && listed.contains("glimpse-mini-1"), "{listed}");
    let shown = cli.json(&["collections", "show"]).await;
    assert_eq!((&shown["count"], &shown["stores"]), (&json!(2), &json!({"embedded": 2})));
    assert!(cli.run(0, &["collections", "show", "documents"]).await.contains("glimpse-mini-1/512"));
    assert!(cli.run(1, &["collections", "show", "birds"]).await.contains("there is no collection `birds`"));
    let unconfirmed = cli.run(1, &["collections", "drop", "documents"]).await;
    assert!(unconfirmed.contains("add --yes"), "{unconfirmed}");
    assert_eq!(cli.json(&["collections", "show"]).await["count"], 2);
    cli.run(0, &["collections", "drop", "documents", "--yes"]).await;
    assert!(cli.run(0, &["collections", "list"]).await.contains("no collections"));
}
