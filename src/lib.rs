#![doc = include_str!("../README.md")]

pub mod decode_helper;
pub mod domain;
mod http;
pub mod imaging;
mod lock;
mod models;
mod owner_only;
pub mod pinned;
pub mod resilience;
pub mod sqlite;

pub mod embed;
pub mod index;
pub mod source;

pub mod archive;
pub mod aws;
pub mod backup;
pub mod browse;
pub mod calibration;
pub mod collection_models;
pub mod collections;
pub mod disk;
pub mod exchange;
pub mod health;
pub mod images;
pub mod jobs;
pub mod jwt;
pub mod keys;
pub mod ledger;
pub mod mirrors;
pub mod otlp;
pub mod pipeline;
pub mod ray;
pub mod search;
pub mod uploads;
pub mod webhooks;
pub mod worker;

pub mod api;
pub mod app;
pub mod cli;
pub mod clip_server;
pub mod config;
pub mod demo;
pub mod server;
pub mod shutdown;
pub mod telemetry;
pub mod web;
