//! The helpers of a service: started when they are needed, kept, and replaced when they fail.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;

use tracing::{info, warn};

use super::process::{HelperError, HelperProcess};
use super::wire::{HAS_LANDLOCK, HAS_SECCOMP};
use crate::imaging::ImageError;
use crate::imaging::isolated::{DecodeHelper, Output, Request};
use crate::lock::lock;

/// How helpers are started and limited.
#[derive(Clone, Debug)]
pub struct HelperSettings {
    /// The program, which is started with the argument `decode-helper`.
    pub program: PathBuf,
    /// Maximum number of helpers at the same time. Further images wait.
    pub max_processes: usize,
    /// How long a helper may take for a small image. Each megapixel adds a fortieth of it.
    pub time: Duration,
}

impl HelperSettings {
    /// Returns the settings for the binary of this process: a helper for each core.
    pub fn of_this_binary() -> Self {
        // On Linux this is the same binary even if its file was replaced by an update.
        let program = if cfg!(target_os = "linux") {
            PathBuf::from("/proc/self/exe")
        } else {
            std::env::current_exe().unwrap_or_else(|_| PathBuf::from("glimpse"))
        };
        let max_processes = std::thread::available_parallelism().map_or(1, usize::from);
        Self { program, max_processes, time: Duration::from_secs(40) }
    }
}

/// The helpers of this process.
#[derive(Debug)]
pub struct HelperPool {
    settings: HelperSettings,
    state: Mutex<State>,
    freed: Condvar,
    has_logged: AtomicBool,
}

#[derive(Debug, Default)]
struct State {
    idle: Vec<HelperProcess>,
    /// The number of images that are being decoded.
    busy: usize,
}

impl HelperPool {
    /// How many images a helper decodes before it is replaced: the decoder of AVIF does not free all of its memory (48 bytes for
    /// each coded image), and the memory of a helper is limited.
    pub const MAX_IMAGES: u32 = 500;

    /// Creates a pool. No helper is started yet.
    pub fn new(settings: HelperSettings) -> Self {
        Self { settings, state: Mutex::default(), freed: Condvar::new(), has_logged: AtomicBool::new(false) }
    }

    /// Returns the number of helpers that wait for work.
    pub fn idle_processes(&self) -> usize {
        lock(&self.state).idle.len()
    }

    /// Waits for a place, and returns a helper.
    fn take(&self) -> Result<HelperProcess, HelperError> {
        let state = lock(&self.state);
        let is_full = |state: &mut State| state.busy >= self.settings.max_processes.max(1);
        let mut state = self.freed.wait_while(state, is_full).unwrap_or_else(PoisonError::into_inner);
        state.busy += 1;
        // The kernel or an administrator can have ended a helper that did nothing.
        while let Some(mut process) = state.idle.pop() {
            if process.is_alive() {
                return Ok(process);
            }
        }
        drop(state);
        let process = HelperProcess::start(&self.settings.program)?;
        self.log_once(process.active);
        Ok(process)
    }

    fn give_back(&self, process: Option<HelperProcess>) {
        // A helper that has done its part ends here.
        let process = process.filter(|process| process.requests < Self::MAX_IMAGES);
        let mut state = lock(&self.state);
        state.busy -= 1;
        state.idle.extend(process);
        self.freed.notify_one();
    }

    fn log_once(&self, active: u8) {
        if self.has_logged.swap(true, Ordering::Relaxed) {
            return;
        }
        if active == HAS_LANDLOCK | HAS_SECCOMP {
            info!("AVIF and JPEG XL images are decoded in processes without files and network");
        } else {
            let has = |bit: u8| active & bit != 0;
            warn!(
                landlock = has(HAS_LANDLOCK),
                seccomp = has(HAS_SECCOMP),
                "AVIF and JPEG XL images are decoded in processes that this kernel does not confine completely; \
                 their memory, CPU time and number of files are limited"
            );
        }
    }

    /// Returns the time limits for a request: CPU seconds, and how long it may take on busy cores.
    fn time(&self, request: &Request<'_>) -> (u32, Duration) {
        let pixels = match request.output {
            Output::Pixels { size: (width, height), .. } => u64::from(width) * u64::from(height),
            Output::Profile => 0,
        };
        let megapixels = u32::try_from(pixels >> 20).unwrap_or(u32::MAX);
        let time = self.settings.time.saturating_add((self.settings.time / 40).saturating_mul(megapixels));
        (u32::try_from(time.as_secs() / 2).unwrap_or(u32::MAX).max(1), time)
    }
}

impl DecodeHelper for HelperPool {
    fn run(&self, request: &Request<'_>) -> Result<Vec<u8>, ImageError> {
        let (cpu_seconds, time) = self.time(request);
        let outcome = self.take().and_then(|mut process| {
            let result = process.exchange(request, cpu_seconds, time)?;
            Ok((result, process))
        });
        match outcome {
            Ok((result, process)) => {
                self.give_back(Some(process));
                result
            }
            Err(error) => {
                self.give_back(None);
                let format = request.format.image_format().name();
                warn!(format, %error, "the process that decodes an image failed");
                Err(ImageError::HelperFailed { format, reason: error.to_string() })
            }
        }
    }
}
