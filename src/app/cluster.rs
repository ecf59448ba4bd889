//! The cluster that places the workers of jobs, where the settings name one.

use std::net::SocketAddr;
use std::sync::Arc;

use super::BuildError;
use crate::config::Settings;
use crate::jobs::Placing;
use crate::ray::RayCluster;

/// The cluster, for a service that listens at `addr`. It is asked nothing yet: it may be up when it is needed.
pub(super) fn placing(settings: &Settings, addr: SocketAddr) -> Result<Option<Placing>, BuildError> {
    let of = &settings.ray;
    if !of.is_set() {
        return Ok(None);
    }
    of.check().map_err(BuildError::Settings)?;
    let url = Some(settings.place.glimpse_url.as_str()).filter(|url| *url != Settings::default().place.glimpse_url);
    let advertised = of.advertised(url, &here(addr)).map_err(BuildError::Settings)?;
    let cluster = RayCluster::new(of, advertised).map_err(BuildError::Settings)?;
    let (most_retries, timeout) = (of.ray_task_max_retries, of.timeout());
    Ok(Some(Placing { cluster: Arc::new(cluster), most_retries, timeout }))
}

/// The line that says at the start where workers are placed, and how to change it.
pub(super) fn line(settings: &Settings) -> Option<String> {
    let of = &settings.ray;
    let workers = of.ray_num_workers;
    of.is_set()
        .then(|| format!("ray      {workers} workers a job at {} (RAY_ADDRESS, RAY_NUM_WORKERS)", of.ray_address))
}

/// Where a process on this machine finds what listens at `addr`.
fn here(addr: SocketAddr) -> String {
    let host = match (addr.ip().is_unspecified(), addr.is_ipv6()) {
        (true, true) => "[::1]".to_owned(),
        (true, false) => "127.0.0.1".to_owned(),
        (false, true) => format!("[{}]", addr.ip()),
        (false, false) => addr.ip().to_string(),
    };
    format!("http://{host}:{}", addr.port())
}
