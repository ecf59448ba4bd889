//! Jobs on full disks, over large ledgers, and jobs that are stopped.

mod collections;
mod copies;
mod full;
mod logging;
mod stopping;
mod supervision;
