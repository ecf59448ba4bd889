//! The HTTP API.

mod access_log;
mod auth_matrix;
mod base_path;
mod browse;
mod composite;
mod duplicates;
mod embeddings;
mod errors;
mod journey;
mod keys;
mod metrics;
mod openapi;
mod operations;
mod originals;
mod previews;
mod proxy_users;
mod roles;
mod stores;
mod stream_end;
mod thumbnails;
mod tls;
mod tokens;
mod uploads;
