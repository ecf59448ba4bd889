//! The integration tests: one binary, which links once and shares its support.

#![expect(clippy::unwrap_used, reason = "a test may panic, and so may its helpers")]
#![expect(clippy::disallowed_methods, reason = "a test waits for the tasks that it spawns")]

mod api;
mod backup;
mod calibration;
mod cli;
mod collection_models;
mod contract;
mod deploy;
mod exchange;
mod faults;
mod generations;
mod imaging;
mod jobs;
mod language;
mod layers;
mod mirrors;
mod page;
mod pipeline;
mod ray;
mod readme;
mod removed;
mod support;
mod traces;
mod uploads;
mod workers;
