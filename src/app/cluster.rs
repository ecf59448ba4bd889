//! The Ray cluster that runs the workers of jobs, if the settings name one.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use super::BuildError;
use crate::config::Settings;
use crate::jobs::Placing;
use crate::ray::RayCluster;

/// Returns the cluster, for a service that listens at `addr`. Makes no network call yet: a cluster that is down now may
/// be up when it is needed.
pub(super) fn placing(settings: &Settings, addr: SocketAddr) -> Result<Option<Placing>, BuildError> {
    let ray = &settings.ray;
    if !ray.is_set() {
        return Ok(None);
    }
    ray.check()?;
    let url = Some(settings.place.glimpse_url.as_str()).filter(|url| *url != Settings::default().place.glimpse_url);
    let advertised = ray.advertised(url, &local_url(addr))?;
    let cluster = RayCluster::new(ray, advertised)?;
    let (max_retries, timeout) = (ray.ray_task_max_retries, ray.timeout());
    Ok(Some(Placing { cluster: Arc::new(cluster), max_retries, timeout }))
}

/// Returns the start line that describes where workers run and how to change that.
pub(super) fn start_line(settings: &Settings) -> Option<String> {
    let ray = &settings.ray;
    let workers = ray.ray_num_workers;
    ray.is_set()
        .then(|| format!("ray      {workers} workers per job at {} (RAY_ADDRESS, RAY_NUM_WORKERS)", ray.ray_address))
}

/// Returns the URL at which a process on this machine reaches a server that listens at `addr`.
pub(crate) fn local_url(addr: SocketAddr) -> String {
    let ip = match addr.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    format!("http://{}", SocketAddr::new(ip, addr.port()))
}
