//! `kill -9` of the service, of `glimpse backup` and of `glimpse restore`. `make crash ROUNDS=100` kills more often than CI.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use glimpse::app::Bucket;

use super::{back_up, restore, restore_all, verify};
use crate::cli::commands::{glimpse, stderr};
use crate::jobs::crash::{Process, Rng, put, state};
use crate::support::environment::variable;
use crate::support::services::cheap_clip::CheapClip;

/// Kills in CI.
const ROUNDS: u32 = 9;
const IMAGES: u32 = 300;

fn rounds() -> u32 {
    variable("ROUNDS").and_then(|text| text.parse().ok()).unwrap_or(ROUNDS)
}

/// Starts a command, and waits for a random time.
async fn start(rng: &mut Rng, variables: &[(&str, &str)], arguments: &[&str]) -> Child {
    let mut command = Command::new(env!("CARGO_BIN_EXE_glimpse"));
    command.args(arguments).envs(variables.iter().copied()).stdout(Stdio::null()).stderr(Stdio::null());
    let child = command.current_dir(std::env::temp_dir()).spawn().unwrap();
    tokio::time::sleep(Duration::from_millis(rng.next(500).into())).await;
    child
}

fn kill(mut child: Child) {
    child.kill().unwrap();
    child.wait().unwrap();
}

async fn fill(folder: &Path, clip: &CheapClip) -> (Process, Bucket) {
    let process = Process::start(folder, clip);
    let bucket = process.bucket().await;
    for n in 0..IMAGES {
        put(&bucket, n, n).await;
    }
    process.submit().await;
    process.finish().await;
    (process, bucket)
}

/// Ends the backup of a client that was killed, as the message of the service advises.
async fn end_backup(url: &str, archive: &Path) {
    for _ in 0..100 {
        let refused = glimpse(&[("GLIMPSE_URL", url)], &["backup", archive.to_str().unwrap()]).await;
        if refused.status.success() {
            return;
        }
        let message = stderr(&refused);
        if let Some((_, rest)) = message.split_once("DELETE ") {
            let path = rest.split_once('.').unwrap().0;
            let client = reqwest::Client::builder().build().unwrap();
            assert_eq!(client.delete(format!("{url}{path}")).send().await.unwrap().status(), 200, "{message}");
            return;
        }
        // The request of the killed client is in progress.
        assert!(message.contains("at this moment"), "{message}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn kills_in_a_backup_leave_earlier_backups_whole_and_nothing_in_the_data_folder() {
    let clip = CheapClip::start(Duration::ZERO).await;
    let (folder, archive, mut rng) =
        (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap(), Rng(0x9E37_79B9_7F4A_7C15));
    let (mut process, mut bucket) = fill(folder.path(), &clip).await;
    let place = archive.path().to_str().unwrap();
    back_up(&process.service.url, archive.path(), &[]).await;
    for round in 0..rounds() {
        let url = process.service.url.clone();
        put(&bucket, round, 10_000 + round).await;
        let client = start(&mut rng, &[("GLIMPSE_URL", &url)], &["backup", place]).await;
        if round % 3 == 2 {
            drop(process);
            // Its client waits for a restart of the service.
            kill(client);
            process = Process::start(folder.path(), &clip);
            bucket = process.bucket().await;
            assert!(!folder.path().join("backup.part").exists(), "round {round}");
        } else {
            kill(client);
            end_backup(&url, archive.path()).await;
        }
        let checked = restore(archive.path(), folder.path(), &["--check"]).await;
        assert!(checked.status.success(), "round {round}: {}", stderr(&checked));
    }
    back_up(&process.service.url, archive.path(), &["--keep", "1"]).await;
    drop(process);
    let restored = tempfile::tempdir().unwrap();
    restore_all(archive.path(), restored.path()).await;
    assert_eq!(verify(&Process::start(restored.path(), &clip)).await["total"], 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn kills_in_a_restore_leave_a_folder_that_a_second_restore_completes() {
    let clip = CheapClip::start(Duration::ZERO).await;
    let (folder, archive, mut rng) =
        (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap(), Rng(0x9E37_79B9_7F4A_7C15));
    let (process, _) = fill(folder.path(), &clip).await;
    back_up(&process.service.url, archive.path(), &[]).await;
    assert_eq!(process.service.stop(), Some(0));
    let expected = state(folder.path()).await;
    let restored = tempfile::tempdir().unwrap();
    let data = restored.path().to_str().unwrap();
    let (mut unfinished, mut complete) = (0, 0);
    for round in 0..rounds() {
        let arguments = ["restore", archive.path().to_str().unwrap()];
        kill(start(&mut rng, &[("GLIMPSE_DATA_DIR", data)], &arguments).await);
        if restored.path().join("restore.part").exists() {
            unfinished += 1;
            let free = "127.0.0.1:0";
            let variables = [("GLIMPSE_DATA_DIR", data), ("GLIMPSE_ADDR", free), ("GLIMPSE_S3_ADDR", free)];
            let refused = glimpse(&variables, &["serve"]).await;
            assert!(stderr(&refused).contains("glimpse restore"), "round {round}: {}", stderr(&refused));
        } else if restored.path().join("ledger.sqlite").exists() {
            complete += 1;
            // Killed after its end.
            assert!(state(restored.path()).await == expected, "round {round}");
            std::fs::remove_dir_all(restored.path()).unwrap();
            std::fs::create_dir(restored.path()).unwrap();
        }
    }
    eprintln!("{unfinished} restores were killed in the middle, {complete} had ended");
    if !restored.path().join("ledger.sqlite").exists() || restored.path().join("restore.part").exists() {
        restore_all(archive.path(), restored.path()).await;
    }
    assert!(state(restored.path()).await == expected);
}
