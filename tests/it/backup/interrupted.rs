//! Signals to `glimpse backup`.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::{back_up, restore};
use crate::cli::commands::stdout;
use crate::support::TestApp;

fn signal(child: &Child, name: &str) {
    assert!(Command::new("kill").args([name, &child.id().to_string()]).status().unwrap().success());
}

/// Waits until the command has written its first chunk: then the service has a backup.
async fn wait_for_chunks(archive: &Path, child: &mut Child) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !archive.join("chunks").exists() && child.try_wait().unwrap().is_none() {
        assert!(Instant::now() < deadline, "no chunk");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_interrupted_backup_is_ended_at_the_service() {
    let app = TestApp::start().await;
    // Enough bytes, so that the signal comes before the end.
    for number in 0..60_u8 {
        app.put(&format!("files/{number}.bin"), vec![number; 1 << 20]).await;
    }
    let folder = tempfile::tempdir().unwrap();
    let mut interrupted = 0;
    for name in ["-INT", "-TERM"] {
        let archive = folder.path().join(name);
        let mut command = Command::new(env!("CARGO_BIN_EXE_glimpse"));
        command.arg("backup").arg(folder.path().join(name)).env("GLIMPSE_URL", &app.url);
        command.current_dir(std::env::temp_dir()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        wait_for_chunks(&archive, &mut child).await;
        signal(&child, name);
        let output = tokio::task::spawn_blocking(|| child.wait_with_output().unwrap()).await.unwrap();
        let message = String::from_utf8(output.stderr).unwrap();
        // It is not 409 that another backup is open.
        back_up(&app.url, &archive, &[]).await;
        let checked = restore(&archive, folder.path(), &["--check"]).await;
        assert!(checked.status.success(), "{}", stdout(&checked));
        if message.contains("the backup was interrupted") {
            assert_eq!(output.status.code(), Some(1));
            interrupted += 1;
        }
    }
    assert!(interrupted > 0, "both backups ended before the signal");
}
