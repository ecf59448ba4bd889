//! The HTTP API.

mod auth_matrix;
mod browse;
mod composite;
mod duplicates;
mod errors;
mod journey;
mod metrics;
mod openapi;
mod originals;
mod previews;
mod stores;
mod thumbnails;
mod uploads;
