//! The command line as users type it: the real binary, its output, its exit codes.

use std::io::BufRead;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Output};
use std::sync::Mutex;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use glimpse::embed::ImageEmbeddingProvider;
use glimpse::embed::local::LocalProvider;
use serde_json::{Value, json};

use crate::support::{TestApp, demo_image, locked, root};

/// Runs `glimpse` with these variables set.
pub(crate) async fn glimpse(variables: &[(&str, &str)], arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_glimpse"));
    command.args(arguments).current_dir(std::env::temp_dir()).envs(variables.iter().copied());
    tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap()
}

pub(crate) fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

pub(crate) fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_demo_indexes_searches_and_exits() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().to_str().unwrap();
    let variables = [("GLIMPSE_DATA_DIR", data), ("GLIMPSE_ADDR", "127.0.0.1:0"), ("GLIMPSE_S3_ADDR", "127.0.0.1:0")];
    let output = glimpse(&variables, &["demo", "--once"]).await;
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let text = stdout(&output);
    for expected in ["26 indexed", "images/rocket.jpg", "images/coffee.jpg", "images/raccoon.jpg", "1.0000", "/docs"] {
        assert!(text.contains(expected), "no {expected} in {text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_port_in_use_is_reported_with_the_setting_to_change() {
    let in_use = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = in_use.local_addr().unwrap().to_string();
    let folder = tempfile::tempdir().unwrap();
    let data = ("GLIMPSE_DATA_DIR", folder.path().to_str().unwrap());
    let free = "127.0.0.1:0";
    for (variable, other) in [("GLIMPSE_ADDR", "GLIMPSE_S3_ADDR"), ("GLIMPSE_S3_ADDR", "GLIMPSE_ADDR")] {
        let refused = glimpse(&[data, (variable, &addr), (other, free)], &["serve"]).await;
        assert_eq!(refused.status.code(), Some(1));
        let message = stderr(&refused);
        assert!(message.contains(&addr) && message.contains(variable) && message.lines().count() == 1, "{message}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn client_commands_report_their_result_by_exit_code() {
    let app = TestApp::start().await;
    app.seed_demo().await;
    let at = [("GLIMPSE_URL", app.url.as_str())];
    let indexed = glimpse(&at, &["ingest", "--prefix", "images/", "--json"]).await;
    assert_eq!(indexed.status.code(), Some(0), "{}", stderr(&indexed));
    let job: Value = serde_json::from_str(&stdout(&indexed)).unwrap();
    assert_eq!((job["status"].as_str(), job["counts"]["done"].as_u64()), (Some("SUCCEEDED"), Some(26)));

    let queries = root().join("demo/queries.json");
    let measured = glimpse(&at, &["eval", "--queries", queries.to_str().unwrap(), "--json"]).await;
    let measured: Value = serde_json::from_str(&stdout(&measured)).unwrap();
    assert_eq!((measured["queries"].as_u64(), measured["recall"]["1"].as_f64()), (Some(32), Some(1.0)));
    let page = app.data().join("report.html");
    let compare = ["eval", "--queries", queries.to_str().unwrap(), "--against", "provider=embedded", "--json"];
    let compared = glimpse(&at, &[&compare[..], &["--html", page.to_str().unwrap()]].concat()).await;
    let compared: Value = serde_json::from_str(&stdout(&compared)).unwrap();
    assert_eq!((compared["against"]["ties"].as_u64(), compared["ndcg"]["1"].as_f64()), (Some(32), Some(1.0)));
    let page = std::fs::read_to_string(page).unwrap();
    assert!(page.contains("data:image/jpeg;base64,") && page.contains("Worst queries"), "{page}");
    let refused = glimpse(&at, &["eval", "--queries", queries.to_str().unwrap(), "--html", "/none/report.html"]).await;
    assert!(stdout(&refused).is_empty() && stderr(&refused).contains("/none/report.html"), "{}", stderr(&refused));
    let fitted = glimpse(&at, &["eval", "--calibrate", queries.to_str().unwrap()]).await;
    assert!(stdout(&fitted).contains("is fitted to 32 queries"), "{}", stderr(&fitted));
    let reset = glimpse(&at, &["eval", "--reset-calibration"]).await;
    assert!(stdout(&reset).contains("is that of the model"), "{}", stderr(&reset));

    let found = glimpse(&at, &["search", "a cat", "--limit", "1"]).await;
    assert!(found.status.success() && stdout(&found).contains("images/cat.jpg"), "{}", stdout(&found));
    let file = root().join("demo/panda.jpg");
    let found = glimpse(&at, &["search", "--file", file.to_str().unwrap(), "--json"]).await;
    let found: Value = serde_json::from_str(&stdout(&found)).unwrap();
    assert_eq!(found["results"][0]["s3_key"], "images/panda.jpg");
    app.put("rows.csv", "s3_key,taxon\nimages/panda.jpg,Ailuropoda melanoleuca\n").await;
    let joined = glimpse(&at, &["ingest", "--prefix", "images/", "--metadata-key", "rows.csv", "--json"]).await;
    let job: Value = serde_json::from_str(&stdout(&joined)).unwrap();
    assert_eq!((job["counts"]["done"].as_u64(), job["metadata_key"].as_str()), (Some(1), Some("rows.csv")));
    let filters = ["--meta", "taxon=Ailuropoda melanoleuca", "--format", "jpeg", "--s3-prefix", "images/"];
    let found = glimpse(&at, &[&["search", "a cat", "--min-width", "10", "--json"], &filters[..]].concat()).await;
    let found: Value = serde_json::from_str(&stdout(&found)).unwrap();
    assert_eq!((found["total"].as_u64(), found["results"][0]["s3_key"].as_str()), (Some(1), Some("images/panda.jpg")));
    let wrong = glimpse(&at, &["search", "a cat", "--s3-prefix", "images"]).await;
    assert!(wrong.status.code() == Some(1) && stderr(&wrong).contains("s3_prefix"), "{}", stderr(&wrong));
    let not_here = glimpse(&at, &["search", "a cat", "--provider", "qdrant"]).await;
    assert_eq!(not_here.status.code(), Some(1));
    assert!(stderr(&not_here).contains("`qdrant` is not configured"), "{}", stderr(&not_here));

    app.put("images/cut.jpg", demo_image("cat.jpg")[..3000].to_vec()).await;
    let some = glimpse(&at, &["ingest", "--prefix", "images/"]).await;
    assert_eq!(some.status.code(), Some(3), "{}", stdout(&some));
    let id = job["job_id"].as_str().unwrap();
    let followed = glimpse(&at, &["jobs", "show", id, "--follow"]).await;
    assert!(followed.status.success() && stdout(&followed).contains("26"), "{}", stdout(&followed));
    let logs = glimpse(&at, &["jobs", "logs", id]).await;
    assert!(
        stdout(&logs).contains("the job indexes s3://") && stdout(&logs).contains("SUCCEEDED: "),
        "{}",
        stdout(&logs)
    );
    let list = glimpse(&at, &["jobs", "list"]).await;
    assert!(stdout(&list).contains("SUCCEEDED"), "{}", stdout(&list));
    assert_eq!(glimpse(&at, &["ingest", "--bucket", "other"]).await.status.code(), Some(1));
    assert_eq!(glimpse(&at, &["ingest", "--nonsense"]).await.status.code(), Some(2));
    let unreachable = glimpse(&[("GLIMPSE_URL", "http://127.0.0.1:9")], &["search", "a cat"]).await;
    assert!(
        unreachable.status.code() == Some(1) && stderr(&unreachable).contains("glimpse serve"),
        "{}",
        stderr(&unreachable)
    );
}

/// A command that keeps running, and the URL that it prints after `word`. It is killed when this is dropped.
pub(crate) struct RunningCommand {
    child: std::process::Child,
    pub(crate) url: String,
    /// Kept open: the command would end when nothing reads its output.
    output: Mutex<std::io::Lines<std::io::BufReader<std::process::ChildStdout>>>,
}

impl RunningCommand {
    pub(crate) fn start(variables: &[(&str, &str)], arguments: &[&str], word: &str) -> Self {
        Self::start_with_stderr(std::process::Stdio::inherit(), variables, arguments, word)
    }

    /// The same, with its log in a file.
    pub(crate) fn start_with_log(log: &Path, variables: &[(&str, &str)], arguments: &[&str], word: &str) -> Self {
        Self::start_with_stderr(std::fs::File::create(log).unwrap().into(), variables, arguments, word)
    }

    fn start_with_stderr(log: std::process::Stdio, variables: &[(&str, &str)], arguments: &[&str], word: &str) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_glimpse"));
        command.stderr(log);
        command.args(arguments).envs(variables.iter().copied());
        command.current_dir(std::env::temp_dir()).stdout(std::process::Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut output = std::io::BufReader::new(child.stdout.take().unwrap()).lines();
        let line = output.by_ref().map(Result::unwrap).find(|line| line.starts_with(word));
        let url = line.expect("a line with its address").split_whitespace().nth(1).unwrap().to_owned();
        Self { child, url, output: Mutex::new(output) }
    }

    /// Returns the next line that starts with this.
    pub(crate) fn line(&self, word: &str) -> String {
        let mut output = locked(&self.output);
        output.by_ref().map(Result::unwrap).find(|line| line.starts_with(word)).unwrap()
    }

    /// Ends the command with SIGTERM and returns its exit code.
    pub(crate) fn stop(mut self) -> Option<i32> {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &id]).status().unwrap().success());
        self.child.wait().unwrap().code()
    }
}

impl Drop for RunningCommand {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_model_service_returns_the_vectors_of_the_local_model() {
    let service = RunningCommand::start(&[], &["clip", "--addr", "127.0.0.1:0"], "clip ");
    let client = reqwest::Client::builder().timeout(std::time::Duration::from_mins(1)).build().unwrap();
    let card: Value = client.get(&service.url).send().await.unwrap().json().await.unwrap();
    assert_eq!(
        card,
        json!({"model": "glimpse-mini-1", "dimension": 512, "image_size": 260, "resize": "crop",
                   "preprocessing": "crop-260-bicubic"})
    );

    let healthy = glimpse(&[("GLIMPSE_URL", service.url.as_str())], &["doctor", "--quick"]).await;
    assert_eq!(healthy.status.code(), Some(0), "{}", stdout(&healthy));

    let local = LocalProvider::start(std::num::NonZeroUsize::MIN).unwrap();
    let limits = glimpse::imaging::ImagingSettings::default().limits();
    let prepared = glimpse::imaging::prepare(&demo_image("cat.jpg"), &limits, &local.preprocessing()).unwrap().image;
    let mut png = std::io::Cursor::new(Vec::new());
    let square = image::RgbImage::from_raw(prepared.size, prepared.size, prepared.rgb.to_vec()).unwrap();
    square.write_to(&mut png, image::ImageFormat::Png).unwrap();
    let image = format!("data:image/png;base64,{}", STANDARD.encode(png.into_inner()));
    let embed = async |path: &str, body: Value| {
        let reply = client.post(format!("{}/embedding/{path}", service.url)).json(&body).send().await.unwrap();
        let reply: Value = reply.json().await.unwrap();
        serde_json::from_value::<Vec<f32>>(reply[0]["vector"].clone()).unwrap()
    };
    let remote = embed("image", json!({"images": [image]})).await;
    assert_eq!(remote, local.embed_image(&prepared).await.unwrap().as_slice(), "equal bit by bit");
    let remote = embed("text", json!({"texts": ["a cat"]})).await;
    assert_eq!(remote, local.embed_text("a cat").await.unwrap().as_slice());

    let addr = service.url.trim_start_matches("http://").to_owned();
    let in_use = glimpse(&[], &["clip", "--addr", &addr]).await;
    assert!(in_use.status.code() == Some(1) && stderr(&in_use).contains("--addr"), "{}", stderr(&in_use));
    assert_eq!(service.stop(), Some(0));
}
