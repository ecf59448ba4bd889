//! Proxies between a service and its clients or dependencies.

pub(crate) mod bucket;
pub(crate) mod http;
pub(crate) mod nginx;
pub(crate) mod tcp;
