//! Faults that were found by trials outside this repository: one test for each, named by the right behaviour.

mod buckets;
mod encodings;
mod http;
mod images;
mod jobs;
mod models;
mod page;
mod settings;
mod stores;
mod workers;
