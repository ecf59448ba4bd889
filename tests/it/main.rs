//! One integration binary: links once, shares its support.

#![expect(clippy::unwrap_used, reason = "a test may panic, and so may what it calls")]
#![expect(clippy::disallowed_methods, reason = "a test waits for what it spawns")]

mod awkward;
mod browser;
mod chain;
mod chain_stores;
mod clip_tiny;
mod commands;
mod compose;
mod crash;
mod draining;
mod embed_contract;
mod embed_contract_http;
mod embed_lies;
mod embed_peers;
mod embed_trouble;
mod errors;
mod full;
mod golden;
mod goldens;
mod hub;
mod index_contract;
mod index_embedded;
mod index_qdrant;
mod index_weaviate;
mod job_ends;
mod jobs;
mod journey;
mod layers;
mod metadata;
mod metrics;
mod mirror;
mod mutation;
mod openapi;
mod originals;
mod page;
mod parity;
mod poison;
mod pool;
mod provider_trouble;
mod providers;
mod ray;
mod readme;
mod servers;
mod several;
mod source_contract;
mod source_embedded;
mod source_trouble;
mod stores;
mod stubborn;
mod support;
mod thumbnails;
mod uploads;
mod workers;
mod workers_service;
