//! One helper process, as the service sees it.

use std::io::{self, ErrorKind, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::ARGUMENT;
use super::wire::{self, ReplyHead, RequestHead};
use crate::imaging::ImageError;
use crate::imaging::isolated::Request;

/// Why a helper could not do its work. Its text is a part of a sentence about the image.
#[derive(Debug, thiserror::Error)]
pub(super) enum HelperError {
    #[error("it cannot be started ({0})")]
    NotStarted(io::Error),
    #[error("it took longer than {} s", .0.as_secs_f32())]
    TooSlow(Duration),
    #[error("{0}")]
    Garbage(String),
    /// With the exit status and what it printed.
    #[error("it ended ({0})")]
    Ended(String),
    #[error("its connection failed ({0})")]
    Connection(io::Error),
}

/// A running helper. It is killed when this is dropped.
#[derive(Debug)]
pub(super) struct HelperProcess {
    child: Child,
    stream: UnixStream,
    /// The bits of its greeting.
    pub(super) active: u8,
    /// The number of requests that it was sent.
    pub(super) requests: u32,
}

/// How long a helper may take to start.
const START_TIME: Duration = Duration::from_secs(30);

impl HelperProcess {
    pub(super) fn start(program: &Path) -> Result<Self, HelperError> {
        let start = || {
            let (stream, theirs) = UnixStream::pair()?;
            let child = Command::new(program)
                .arg(ARGUMENT)
                .env_clear()
                // Freed memory goes back to the system at once: large blocks have their own mappings.
                .env("MALLOC_MMAP_THRESHOLD_", "262144")
                .current_dir("/")
                .stdin(Stdio::from(OwnedFd::from(theirs.try_clone()?)))
                .stdout(Stdio::from(OwnedFd::from(theirs)))
                .stderr(Stdio::piped())
                // Ctrl-C is for the service, which finishes the images that it has begun.
                .process_group(0)
                .spawn()?;
            Ok(Self { child, stream, active: 0, requests: 0 })
        };
        let mut process = start().map_err(HelperError::NotStarted)?;
        let mut greeting = [0; wire::GREETING];
        let read = process.read_exact(&mut greeting, &Deadline::after(START_TIME));
        read.map_err(|error| process.explain(error))?;
        let [magic @ .., active] = greeting;
        if magic != wire::MAGIC {
            return Err(HelperError::Garbage("it does not greet as a helper".to_owned()));
        }
        process.active = active;
        Ok(process)
    }

    /// Whether the process still runs.
    pub(super) fn is_alive(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Sends a request and returns its result. After an error, the process is of no use.
    pub(super) fn exchange(
        &mut self,
        request: &Request<'_>,
        cpu_seconds: u32,
        time: Duration,
    ) -> Result<Result<Vec<u8>, ImageError>, HelperError> {
        self.requests += 1;
        let deadline = Deadline::after(time);
        let head = RequestHead::new(request, cpu_seconds).to_bytes();
        let mut run = || {
            self.write_all(&head, &deadline)?;
            self.write_all(request.bytes, &deadline)?;
            let mut head = [0; wire::REPLY_HEAD];
            self.read_exact(&mut head, &deadline)?;
            let head = ReplyHead::parse(head, request.output).map_err(HelperError::Garbage)?;
            let mut content = vec![0; head.length];
            self.read_exact(&mut content, &deadline)?;
            Ok(head.into_result(content, request.format))
        };
        run().map_err(|error| self.explain(error))
    }

    fn write_all(&mut self, mut bytes: &[u8], deadline: &Deadline) -> Result<(), HelperError> {
        while !bytes.is_empty() {
            self.stream.set_write_timeout(Some(deadline.left()?)).map_err(HelperError::Connection)?;
            match self.stream.write(bytes) {
                Ok(count) => bytes = &bytes[count..],
                Err(error) => deadline.check(error)?,
            }
        }
        Ok(())
    }

    fn read_exact(&mut self, mut bytes: &mut [u8], deadline: &Deadline) -> Result<(), HelperError> {
        while !bytes.is_empty() {
            self.stream.set_read_timeout(Some(deadline.left()?)).map_err(HelperError::Connection)?;
            match self.stream.read(bytes) {
                Ok(0) => return Err(HelperError::Connection(ErrorKind::UnexpectedEof.into())),
                Ok(count) => bytes = &mut bytes[count..],
                Err(error) => deadline.check(error)?,
            }
        }
        Ok(())
    }

    /// Finds out why the connection failed: mostly because the process ended.
    fn explain(&mut self, error: HelperError) -> HelperError {
        let HelperError::Connection(_) = error else { return error };
        // A helper that closes its end without ending is of no use.
        let _ = self.child.kill();
        let Ok(status) = self.child.wait() else { return error };
        let mut printed = Vec::new();
        if let Some(stderr) = self.child.stderr.take() {
            let _ = stderr.take(wire::MAX_TEXT as u64).read_to_end(&mut printed);
        }
        let printed = String::from_utf8_lossy(&printed);
        // The first line says why; hints of the runtime follow.
        let first = printed.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or_default();
        let first: String = first.chars().take(200).collect();
        HelperError::Ended(if first.is_empty() { status.to_string() } else { format!("{status}: {first}") })
    }
}

impl Drop for HelperProcess {
    fn drop(&mut self) {
        // Both fail if it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The end of a time limit.
struct Deadline {
    start: Instant,
    time: Duration,
}

impl Deadline {
    fn after(time: Duration) -> Self {
        Self { start: Instant::now(), time }
    }

    fn left(&self) -> Result<Duration, HelperError> {
        let left = self.time.saturating_sub(self.start.elapsed());
        if left.is_zero() { Err(HelperError::TooSlow(self.time)) } else { Ok(left) }
    }

    /// Returns the error of a transfer, if it should not be tried again.
    fn check(&self, error: io::Error) -> Result<(), HelperError> {
        match error.kind() {
            ErrorKind::Interrupted | ErrorKind::WouldBlock | ErrorKind::TimedOut => self.left().map(|_| ()),
            _ => Err(HelperError::Connection(error)),
        }
    }
}
