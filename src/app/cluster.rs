//! The Ray cluster that runs the workers of jobs, if the settings name one.

use std::net::SocketAddr;
use std::sync::Arc;

use super::BuildError;
use crate::config::Settings;
use crate::jobs::Placing;
use crate::ray::RayCluster;

/// Returns the cluster, for a service that listens at `addr`. Makes no network call yet: a cluster that is down now may
/// be up when it is needed.
pub(super) fn placing(settings: &Settings, addr: SocketAddr) -> Result<Option<Placing>, BuildError> {
    let ray = &settings.ray;
    let Some(address) = &ray.ray_address else { return Ok(None) };
    let url = settings.locations.glimpse_url.as_ref();
    let advertised = ray.advertised(address, url, &settings.local_url(addr))?;
    let cluster = RayCluster::new(address, ray, advertised)?;
    let (max_retries, timeout) = (ray.ray_task_max_retries, ray.timeout());
    Ok(Some(Placing { cluster: Arc::new(cluster), max_retries, timeout }))
}

/// Returns the start line that describes where workers run and how to change that.
pub(super) fn start_line(settings: &Settings) -> Option<String> {
    let (address, workers) = (settings.ray.ray_address.as_ref()?, settings.ray.ray_num_workers);
    Some(format!("ray      {workers} workers per job at {address} (RAY_ADDRESS, RAY_NUM_WORKERS)"))
}
