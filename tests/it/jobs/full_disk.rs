//! The data folder on a full disk: the job reports it, and continues when there is space.

use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::jobs::crash::{Process, is_final, put, succeeded};
use crate::support::environment::skip;
use crate::support::services::cheap_clip::CheapClip;

/// Kilobytes of the disk.
const DISK: u32 = 16 * 1024;
const IMAGES: u32 = 400;

/// A small file system that is unmounted when this is dropped.
pub(crate) struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    /// `None` if this user cannot mount one.
    pub(crate) fn mount(kilobytes: u32) -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let size = format!("size={kilobytes}k");
        let mount = Command::new("mount").args(["-t", "tmpfs", "-o", &size, "tmpfs"]).arg(folder.path()).output();
        let mounted = mount.is_ok_and(|mount| mount.status.success());
        if !mounted {
            skip("mount", "run as a user who may mount a tmpfs");
        }
        mounted.then_some(Self(folder))
    }

    /// Creates a data folder on it.
    pub(crate) fn data(&self) -> std::path::PathBuf {
        let data = self.0.path().join("data");
        std::fs::create_dir_all(&data).unwrap();
        data
    }

    fn filler(&self) -> std::path::PathBuf {
        self.0.path().join("filler")
    }

    /// Fills the disk except for `but` kilobytes.
    pub(crate) fn fill(&self, but: u64) {
        let df = Command::new("df").args(["--output=avail", "-k"]).arg(self.0.path()).output().unwrap();
        let free = String::from_utf8(df.stdout).unwrap().lines().nth(1).unwrap().trim().parse::<u64>().unwrap();
        let bytes = usize::try_from(free.saturating_sub(but) * 1024).unwrap();
        std::fs::write(self.filler(), vec![0; bytes]).unwrap();
    }

    /// Frees the space again.
    pub(crate) fn free(&self) {
        std::fs::remove_file(self.filler()).unwrap();
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        Command::new("umount").arg(self.0.path()).status().ok();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_on_a_full_disk_reports_it_and_continues_when_there_is_space() {
    let Some(disk) = SmallDisk::mount(DISK) else { return };
    let clip = CheapClip::start(Duration::from_millis(3)).await;
    let process = Process::start(&disk.data(), &clip);
    let bucket = process.bucket().await;
    for n in 0..IMAGES {
        put(&bucket, n, n).await;
    }
    disk.fill(200);
    process.submit().await;
    let full =
        |job: &Value| job["waiting_on"]["message"].as_str().is_some_and(|message| message.contains("no space left"));
    let deadline = Instant::now() + Duration::from_mins(1);
    let job = loop {
        let job = process.newest_job().await.unwrap();
        assert!(!is_final(&job), "it neither fails nor is done: {job}");
        if full(&job) {
            break job;
        }
        assert!(Instant::now() < deadline, "nothing is reported: {job}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    assert_eq!(job["counts"]["failed"], 0, "{job}");
    disk.free();
    process.finish().await;
    let job = process.newest_job().await.unwrap();
    succeeded(&job);
    assert_eq!(job["counts"]["done"], IMAGES, "{job}");
    assert_eq!(process.service.stop(), Some(0));
}
