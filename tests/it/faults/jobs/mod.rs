//! Jobs on full disks, over large ledgers and while they are stopped.

mod collections;
mod copies;
mod full;
mod stopping;
mod supervision;
