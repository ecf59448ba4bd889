//! Jobs of the whole service.

pub(crate) mod crash;
mod ends;
mod exif;
pub(crate) mod full_disk;
mod lifecycle;
mod metadata;
pub(crate) mod mirror;
mod pausing;
mod provider_failure;
mod providers;
mod recall;
mod several_stores;
mod webhooks;
