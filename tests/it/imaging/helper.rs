//! The process that decodes AVIF and JPEG XL: what it can do, and what its failures cost.

use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use glimpse::decode_helper::{ARGUMENT, HelperPool, HelperSettings};
use glimpse::domain::FailureClass;
use glimpse::imaging::ImageError;
use glimpse::imaging::isolated::{DecodeHelper, IsolatedFormat, Output, Request};

/// What a helper sends first: it is confined completely.
const GREETING: &str = r"printf 'GLH1\003'";

/// A program in the place of the helper, which gets its requests.
struct FakeHelper {
    folder: tempfile::TempDir,
}

impl FakeHelper {
    fn new(script: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let helper = Self { folder };
        std::fs::write(helper.program(), format!("#!/bin/sh\n{script}\n")).unwrap();
        std::fs::set_permissions(helper.program(), std::fs::Permissions::from_mode(0o755)).unwrap();
        helper
    }

    fn program(&self) -> PathBuf {
        self.folder.path().join("helper")
    }

    /// Returns what becomes of an image.
    fn run(&self, time: Duration) -> ImageError {
        let pool = HelperPool::new(HelperSettings { program: self.program(), max_processes: 1, time });
        let error = pool.run(&SMALL).unwrap_err();
        assert_eq!(pool.idle_processes(), 0, "{error}");
        assert_eq!(error.class(), FailureClass::Crashed, "{error}");
        error
    }
}

/// A request that fake helpers do not read.
const SMALL: Request<'_> = Request {
    format: IsolatedFormat::Avif,
    output: Output::Pixels { size: (4, 2), times: 1 },
    max_memory: 1 << 20,
    bytes: b"not an image",
};

const LONG: Duration = Duration::from_mins(1);

#[test]
fn a_helper_that_fails_costs_one_image_and_the_error_says_why() {
    for (script, reason) in [
        (format!("{GREETING}; echo 'no memory' >&2; kill -ABRT $$"), "signal: 6 (SIGABRT)"),
        (
            format!("{GREETING}; echo 'memory allocation failed' >&2; exit 3"),
            "exit status: 3: memory allocation failed",
        ),
        (format!("{GREETING}; exit 0"), "it ended (exit status: 0)"),
        ("echo hello".to_owned(), "does not greet as a helper"),
        ("exit 1".to_owned(), "exit status: 1"),
        (format!(r"{GREETING}; head -c 46 >/dev/null; printf '\011\0\0\0\0\0\0\0\0'; sleep 9"), "the unknown kind 9"),
        (
            format!(r"{GREETING}; head -c 46 >/dev/null; printf '\0\0\0\0\0\0\001\0\0'; sleep 9"),
            "24 to 24 bytes were expected",
        ),
        (format!(r"{GREETING}; head -c 46 >/dev/null; printf '\0\030\0\0\0\0\0\0\0abc'"), "it ended"),
    ] {
        let error = FakeHelper::new(&script).run(LONG).to_string();
        assert!(error.starts_with("the process that decodes AVIF failed on the image: "), "{error}");
        assert!(error.contains(reason), "{script}: {error}");
    }
    let missing = HelperSettings { program: "/does/not/exist".into(), max_processes: 1, time: LONG };
    let error = HelperPool::new(missing).run(&SMALL).unwrap_err().to_string();
    assert!(error.contains("it cannot be started (No such file"), "{error}");
}

#[test]
fn a_helper_that_hangs_is_killed() {
    let helper = FakeHelper::new(&format!("{GREETING}; echo $$ > $0.pid; exec sleep 1000"));
    let error = helper.run(Duration::from_secs(1)).to_string();
    assert!(error.contains("it took longer than 1 s"), "{error}");
    let pid = std::fs::read_to_string(helper.program().with_extension("pid")).unwrap();
    assert!(!Path::new("/proc").join(pid.trim()).exists());
    // A request that the helper does not read: it is larger than the buffers of the connection.
    let pool =
        HelperPool::new(HelperSettings { program: helper.program(), max_processes: 1, time: Duration::from_secs(1) });
    let error = pool.run(&Request { bytes: &vec![0; 8 << 20], ..SMALL }).unwrap_err().to_string();
    assert!(error.contains("it took longer than 1 s"), "{error}");
}

#[test]
fn a_helper_gets_no_variables() {
    assert!(std::env::vars_os().any(|(name, _)| name == "PATH"));
    let helper = FakeHelper::new("env > $0.env");
    helper.run(LONG);
    let variables = std::fs::read_to_string(helper.program().with_extension("env")).unwrap();
    let names: Vec<_> = variables.lines().filter_map(|line| line.split_once('=')).map(|(name, _)| name).collect();
    // The shell sets some itself.
    let own = ["PWD", "SHLVL", "_", "OLDPWD", "MALLOC_MMAP_THRESHOLD_"];
    assert!(names.iter().all(|name| own.contains(name)), "{names:?}");
}

/// Starts the real helper and returns it after its greeting.
fn start() -> (Child, u8) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_glimpse"));
    command.arg(ARGUMENT).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut greeting = [0; 5];
    child.stdout.as_mut().unwrap().read_exact(&mut greeting).unwrap();
    assert_eq!(&greeting[..4], b"GLH1");
    (child, greeting[4])
}

fn ends_within(child: &mut Child, time: Duration) -> bool {
    let start = Instant::now();
    while start.elapsed() < time {
        if child.try_wait().unwrap().is_some() {
            return true;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    child.kill().unwrap();
    false
}

#[test]
fn a_helper_ends_with_its_input() {
    let (mut idle, _) = start();
    drop(idle.stdin.take());
    assert!(ends_within(&mut idle, LONG));
    assert!(idle.wait().unwrap().success());
    // In the middle of a request, as if the service were killed.
    let (mut busy, _) = start();
    busy.stdin.take().unwrap().write_all(&[0, 0, 4, 0]).unwrap();
    assert!(ends_within(&mut busy, LONG));
    assert!(!busy.wait().unwrap().success());
}

#[cfg(target_os = "linux")]
#[test]
fn a_helper_is_confined() {
    let (mut child, active) = start();
    let read = |name: &str| std::fs::read_to_string(format!("/proc/{}/{name}", child.id())).unwrap();
    let (status, limits) = (read("status"), read("limits"));
    assert!(limits.contains("Max core file size        0                    0"), "{limits}");
    assert!(limits.contains("Max open files            8                    8"), "{limits}");
    assert!(status.contains("Threads:\t1\n"), "{status}");
    // The first bit is landlock, which has no line here; the second one is seccomp.
    assert_eq!(active & 2 != 0, status.contains("Seccomp:\t2\n"), "{status}");
    assert_eq!(active != 0, status.contains("NoNewPrivs:\t1\n"), "{status}");
    child.kill().unwrap();
    child.wait().unwrap();
}

#[cfg(feature = "jxl")]
mod decoding {
    use super::*;
    use crate::support::decode_helper::pool;

    fn file(name: &str) -> Vec<u8> {
        std::fs::read(super::super::formats::data().join(name)).unwrap()
    }

    fn large_file() -> Vec<u8> {
        file("../faults/large.jxl")
    }

    /// 64 megapixels in a few bytes.
    fn large(bytes: &[u8], max_memory: u64) -> Request<'_> {
        let output = Output::Pixels { size: (8192, 8192), times: 64 };
        Request { format: IsolatedFormat::Jxl, output, max_memory, bytes }
    }

    #[test]
    fn a_helper_is_used_again_and_replaced_after_a_failure() {
        let (pool, bytes, large_file) = (pool(1), file("container.jxl"), large_file());
        let output = Output::Pixels { size: (96, 72), times: 1 };
        let request = Request { format: IsolatedFormat::Jxl, output, max_memory: 8 << 20, bytes: &bytes };
        let first = pool.run(&request).unwrap();
        assert_eq!((pool.idle_processes(), first.len()), (1, 96 * 72 * 3));
        // An error of the image does not cost the helper.
        let error = pool.run(&Request { bytes: &bytes[..bytes.len() / 2], ..request }).unwrap_err();
        assert_eq!((pool.idle_processes(), error.class()), (1, FailureClass::Truncated));
        // Memory beyond the limit does.
        let error = pool.run(&large(&large_file, 1 << 20)).unwrap_err();
        assert!(error.to_string().contains("memory allocation of"), "{error}");
        assert_eq!((pool.idle_processes(), error.class()), (0, FailureClass::Crashed));
        assert_eq!(pool.run(&request).unwrap(), first);
    }

    #[test]
    fn a_helper_is_replaced_after_some_images() {
        let (pool, bytes) = (pool(1), file("container.jxl"));
        let output = Output::Pixels { size: (96, 72), times: 1 };
        let request = Request { format: IsolatedFormat::Jxl, output, max_memory: 8 << 20, bytes: &bytes };
        for image in 1..=HelperPool::MAX_IMAGES + 1 {
            pool.run(&request).unwrap();
            assert_eq!(pool.idle_processes(), usize::from(image != HelperPool::MAX_IMAGES), "{image}");
        }
    }

    #[test]
    fn sixteen_hostile_files_at_once_stay_in_their_limits() {
        const MAX_MEMORY: u64 = 64 << 20;
        let (pool, bytes) = (pool(4), large_file());
        std::thread::scope(|scope| {
            let run = || pool.run(&large(&bytes, MAX_MEMORY)).unwrap_err().class();
            let all: Vec<_> = (0..16).map(|_| scope.spawn(run)).collect();
            for image in all {
                assert_eq!(image.join().unwrap(), FailureClass::Crashed);
            }
        });
        // Nothing is left of them, and the next image is decoded.
        assert_eq!(pool.idle_processes(), 0);
        assert_eq!(pool.run(&large(&bytes, 1 << 30)).unwrap().len(), 128 * 128 * 6);
    }
}
