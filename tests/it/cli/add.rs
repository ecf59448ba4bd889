//! `glimpse add`: files, folders, and a folder that is watched.

use std::time::{Duration, Instant};

use serde_json::Value;

use super::Cli;
use super::commands::glimpse;
use crate::mirrors::{keys, keys_until};
use crate::support::{TestApp, demo_image};

#[tokio::test(flavor = "multi_thread")]
async fn files_and_folders_are_added_and_failures_are_named() {
    let app = TestApp::start().await;
    let cli = Cli::new(&app);
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    std::fs::create_dir_all(folder.path().join("f/sub")).unwrap();
    for (file, image) in [("cat.jpg", "cat.jpg"), ("f/a b.jpg", "panda.jpg"), ("f/sub/c.jpg", "coffee.jpg")] {
        std::fs::write(folder.path().join(file), demo_image(image)).unwrap();
    }
    std::fs::write(folder.path().join("f/notes.txt"), "text").unwrap();
    std::fs::write(folder.path().join("bad.jpg"), "no image").unwrap();
    let added = cli.run(0, &["add", &path("cat.jpg"), &path("f"), "--prefix", "new"]).await;
    assert!(added.contains("added 3 files to new/"), "{added}");
    assert_eq!(keys(&app).await, ["new/a b.jpg", "new/cat.jpg", "new/sub/c.jpg"]);

    let output = glimpse(&[("GLIMPSE_URL", &app.url)], &["add", &path("bad.jpg"), &path("cat.jpg"), "--json"]).await;
    assert_eq!(output.status.code(), Some(3));
    let lines: Vec<Value> = output
        .stdout
        .split(|byte| *byte == b'\n')
        .filter(|line| !line.is_empty())
        .map(|line| serde_json::from_slice(line).unwrap())
        .collect();
    let of_file = |name: &str| lines.iter().find(|line| line["file"].as_str().unwrap().ends_with(name)).unwrap();
    assert!(of_file("bad.jpg")["error"].as_str().unwrap().contains("not a JPEG"), "{lines:?}");
    assert_eq!(of_file("cat.jpg")["object"]["s3_uri"], "s3://pipeline/images/cat.jpg");
    assert!(cli.run(1, &["add", &path("bad.jpg")]).await.contains("1 file was not added"));
    assert!(cli.run(1, &["add", &path("none.jpg")]).await.contains("cannot be read"));
    let off = app.restart_with(&[("GLIMPSE_UPLOADS", "off")]).await;
    assert!(Cli::new(&off).run(1, &["add", &path("cat.jpg")]).await.contains("GLIMPSE_UPLOADS"));
}

struct KillOnDrop(std::process::Child);

impl Drop for KillOnDrop {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn files_of_a_watched_folder_are_added_when_they_are_complete() {
    let app = TestApp::start().await;
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("first.jpg"), demo_image("cat.jpg")).unwrap();
    // A link leads out of the folder: its files are not part of the folder.
    let outside = tempfile::tempdir().unwrap();
    std::os::unix::fs::symlink(outside.path(), folder.path().join("link")).unwrap();
    let watch = std::process::Command::new(env!("CARGO_BIN_EXE_glimpse"))
        .args(["add", "--watch", folder.path().to_str().unwrap(), "--prefix", ""])
        .env("GLIMPSE_URL", &app.url)
        .spawn()
        .unwrap();
    let mut watch = KillOnDrop(watch);
    keys_until(&app, &["first.jpg"]).await;
    std::fs::write(outside.path().join("secret.jpg"), demo_image("rocket.jpg")).unwrap();
    let bytes = demo_image("panda.jpg");
    std::fs::create_dir(folder.path().join("sub")).unwrap();
    let path = folder.path().join("sub/slow.jpg");
    // Written in pieces with pauses: an incomplete file would be refused, and is not sent.
    for part in 1..=4 {
        std::fs::write(&path, &bytes[..bytes.len() * part / 4]).unwrap();
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
    keys_until(&app, &["first.jpg", "sub/slow.jpg"]).await;
    std::fs::write(folder.path().join("first.jpg"), demo_image("coffee.jpg")).unwrap();
    let deadline = Instant::now() + Duration::from_mins(1);
    while app.find("a cup of coffee", 1).await != ["first.jpg"] {
        assert!(Instant::now() < deadline);
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(keys(&app).await, ["first.jpg", "sub/slow.jpg"]);
    assert!(watch.0.try_wait().unwrap().is_none(), "it still watches");

    // A new folder of this name would not be watched, so the command ends.
    std::fs::remove_dir_all(folder.path()).unwrap();
    while watch.0.try_wait().unwrap().is_none() {
        assert!(Instant::now() < deadline);
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(watch.0.wait().unwrap().code(), Some(1));
}
