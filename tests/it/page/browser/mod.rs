//! Tests of the page in Chromium.

mod accessibility;
mod address;
mod browse;
mod driver;
mod exif;
mod export;
mod generations;
mod jobs;
mod relevance;
mod restart;
mod roles;
mod search;
mod stores;
mod terms;
mod unusual_images;
mod uploads;
mod viewer;

pub(crate) use driver::Browser;
