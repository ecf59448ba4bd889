//! A log that cannot be written, and output whose reader has ended or does not read.

use std::fs::File;
use std::os::fd::OwnedFd;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::cli::commands::{glimpse, stderr};
use crate::support::free_address;

/// What a service writes to.
#[derive(Clone, Copy, Debug)]
enum Output {
    FullDisk,
    /// A pipe whose reader has ended.
    ClosedPipe,
    /// A pipe whose reader does not read.
    FullPipe,
}

impl Output {
    /// Returns the end to write to, and the other end if it stays open.
    fn open(self) -> (Stdio, Option<std::io::PipeReader>) {
        match self {
            Self::FullDisk => (File::create("/dev/full").unwrap().into(), None),
            Self::ClosedPipe | Self::FullPipe => {
                let (reader, writer) = std::io::pipe().unwrap();
                (OwnedFd::from(writer).into(), matches!(self, Self::FullPipe).then_some(reader))
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_whose_output_cannot_be_written_works_and_stops_when_it_is_asked_to() {
    for output in [Output::FullDisk, Output::ClosedPipe, Output::FullPipe] {
        let folder = tempfile::tempdir().unwrap();
        let (address, s3_address) = (free_address(), free_address());
        let url = format!("http://{address}");
        let variables = [
            ("GLIMPSE_DATA_DIR", folder.path().to_str().unwrap()),
            ("GLIMPSE_ADDR", &address),
            ("GLIMPSE_S3_ADDR", &s3_address),
            ("GLIMPSE_URL", &url),
            // More than the 64 KiB of a pipe.
            ("GLIMPSE_LOG", "trace"),
        ];
        let ((out, _out_reader), (err, _err_reader)) = (output.open(), output.open());
        let mut command = Command::new(env!("CARGO_BIN_EXE_glimpse"));
        let mut service = command.arg("serve").envs(variables).stdout(out).stderr(err).spawn().unwrap();
        let until = Instant::now() + Duration::from_mins(1);
        while reqwest::get(format!("{url}/readyz")).await.is_err() {
            assert!(Instant::now() < until && service.try_wait().unwrap().is_none(), "{output:?}: it does not start");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        for arguments in [&["seed", "--count", "40"][..], &["ingest"]] {
            let done = glimpse(&variables, arguments).await;
            assert_eq!(done.status.code(), Some(0), "{output:?}: {}", stderr(&done));
        }
        let id = service.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &id]).status().unwrap().success());
        let until = Instant::now() + Duration::from_secs(30);
        let status = loop {
            if let Some(status) = service.try_wait().unwrap() {
                break Some(status);
            }
            if Instant::now() > until {
                service.kill().unwrap();
                service.wait().unwrap();
                break None;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        };
        assert_eq!(status.and_then(|status| status.code()), Some(0), "{output:?}: it does not stop");
    }
}
