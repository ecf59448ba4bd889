//! The places in which the tools of Hugging Face keep models and logins, with the real binary.

use std::io::Read;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::layouts::{copy, from_hub};
use crate::contract::embed::clip_tiny::folder;
use crate::support::services::hub::{FakeHub, Script, TOKEN};

/// Runs `glimpse clip` with these variables and no others of the user; returns whether it becomes ready, and its log.
async fn clip(home: &Path, variables: &[(&str, &str)]) -> (Option<Value>, String) {
    let log = home.join("log");
    let mut child = Command::new(env!("CARGO_BIN_EXE_glimpse"))
        .args(["clip", "--addr", "127.0.0.1:0"])
        .env_clear()
        .env("HOME", home)
        .env("GLIMPSE_LOG", "debug")
        .envs(variables.iter().copied())
        .current_dir(home)
        .stdout(Stdio::piped())
        .stderr(std::fs::File::create(&log).unwrap())
        .spawn()
        .unwrap();
    let mut output = std::io::BufReader::new(child.stdout.take().unwrap());
    let url = tokio::task::spawn_blocking(move || {
        let mut text = Vec::new();
        let mut byte = [0];
        while !text.ends_with(b"\n") && output.read(&mut byte).unwrap() == 1 {
            text.push(byte[0]);
        }
        // Kept open: the command would end when nothing reads its output.
        (String::from_utf8(text).unwrap().split_whitespace().nth(1).map(str::to_owned), output)
    });
    let mut ready = None;
    let (url, _output) = url.await.unwrap();
    if let Some(url) = url {
        let deadline = Instant::now() + Duration::from_mins(1);
        while ready.is_none() && Instant::now() < deadline {
            let reply = reqwest::get(&url).await.unwrap();
            if reply.status().is_success() {
                ready = Some(reply.json().await.unwrap());
            } else if std::fs::read_to_string(&log).unwrap().contains("not usable") {
                break;
            } else {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
    child.kill().unwrap();
    child.wait().unwrap();
    (ready, std::fs::read_to_string(log).unwrap())
}

fn write(path: &Path, text: &str) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, text).unwrap();
}

/// A6: the login of `hf auth login` opens a private repository, wherever it is stored, and is not in the log.
#[tokio::test(flavor = "multi_thread")]
async fn a_stored_login_is_sent_only_to_the_hub() {
    let token = format!("{TOKEN}\n");
    for (stored, variables) in [
        (".cache/huggingface/token", &[][..]),
        ("xdg/huggingface/token", &[("XDG_CACHE_HOME", "~/xdg")]),
        ("hf/token", &[("HF_HOME", "~/hf")]),
        ("secrets/hf", &[("HF_TOKEN_PATH", "$HOME/secrets/hf")]),
        ("unused", &[("HUGGING_FACE_HUB_TOKEN", TOKEN)]),
    ] {
        let hub = FakeHub::start(&folder(), Script { private: true, ..Script::default() }).await;
        let home = tempfile::tempdir().unwrap();
        write(&home.path().join(stored), &token);
        let variables = [&[("CLIP_MODEL", "org/clip"), ("HF_ENDPOINT", &hub.url)], variables].concat();
        let (ready, log) = clip(home.path(), &variables).await;
        assert_eq!(ready.unwrap_or_else(|| panic!("{stored}: {log}"))["dimension"], 24, "{stored}");
        assert!(!hub.leaked() && !log.contains(TOKEN), "{log}");
    }
}

/// A6: a login that cannot be used is reported once, with its path; one that is not needed is not.
#[tokio::test(flavor = "multi_thread")]
async fn a_login_that_cannot_be_read_is_a_warning_with_its_path() {
    let hub = FakeHub::start(&folder(), Script { private: true, ..Script::default() }).await;
    let home = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(home.path().join(".cache/huggingface/token")).unwrap();
    let own = [("CLIP_MODEL", "org/clip"), ("HF_ENDPOINT", hub.url.as_str())];
    let (ready, log) = clip(home.path(), &own).await;
    assert!(ready.is_none() && log.contains(".cache/huggingface/token") && log.contains("HF_TOKEN_PATH"), "{log}");

    let variables = [&own[..], &[("HF_TOKEN", TOKEN), ("HF_HUB_DISABLE_IMPLICIT_TOKEN", "1")]].concat();
    let (ready, log) = clip(home.path(), &variables).await;
    assert!(ready.is_none() && log.contains("401"), "{log}");
}

/// A6: the cache of other tools is found where their variables put it, and `~` is the home folder.
#[tokio::test(flavor = "multi_thread")]
async fn models_are_found_where_the_variables_of_other_tools_put_them() {
    let hub = FakeHub::start(&folder(), Script::default()).await;
    let filled = tempfile::tempdir().unwrap();
    from_hub(&hub, filled.path(), false).await.unwrap();
    for (place, variables) in [
        ("elsewhere", &[("HF_HUB_CACHE", "~/elsewhere")][..]),
        ("elsewhere", &[("HUGGINGFACE_HUB_CACHE", "~/elsewhere")]),
        ("hf/hub", &[("HF_HOME", "~/hf")]),
        ("xdg/huggingface/hub", &[("XDG_CACHE_HOME", "~/xdg")]),
        (".cache/huggingface/hub", &[]),
    ] {
        let home = tempfile::tempdir().unwrap();
        let cache = home.path().join(place);
        std::fs::create_dir_all(cache.parent().unwrap()).unwrap();
        let copied = Command::new("cp").arg("-a").arg(filled.path().join("hub")).arg(&cache).status().unwrap();
        assert!(copied.success());
        let variables = [&[("CLIP_MODEL", "org/clip"), ("HF_HUB_OFFLINE", "1")], variables].concat();
        let (ready, log) = clip(home.path(), &variables).await;
        assert_eq!(ready.unwrap_or_else(|| panic!("{place}: {log}"))["model"], "org/clip");
    }

    let model = copy();
    let home = model.path().parent().unwrap();
    let name = model.path().file_name().unwrap().to_str().unwrap();
    let user = tempfile::tempdir_in(home).unwrap();
    std::os::unix::fs::symlink(model.path(), user.path().join(name)).unwrap();
    for clip_model in [format!("~/{name}"), format!("$HOME/{name}")] {
        let (ready, log) = clip(user.path(), &[("CLIP_MODEL", clip_model.as_str())]).await;
        assert_eq!(ready.unwrap_or_else(|| panic!("{clip_model}: {log}"))["dimension"], 24);
    }
}
