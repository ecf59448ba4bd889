//! The lines that the service prints at its start.

use std::net::SocketAddr;

use super::{cluster, providers, queue, stores};
use crate::config::Settings;
use crate::keys::Keys;
use crate::server::{CertificateFacts, ServerTls};
use crate::source::EmbeddedS3;

/// Returns the start lines: what the service uses and which settings change it.
pub(super) fn start_lines(
    settings: &Settings,
    addr: SocketAddr,
    keys: &Keys,
    tls: Option<&ServerTls>,
    server: Option<&EmbeddedS3>,
) -> Vec<String> {
    let source_settings = &settings.source;
    let bucket = match server {
        Some(server) => format!("{} (embedded; S3_ENDPOINT, GLIMPSE_S3_ADDR)", server.endpoint()),
        None => format!("{} (S3_ENDPOINT)", source_settings.s3_endpoint),
    };
    let by_proxy =
        if settings.api.proxy_role().is_some() { ", users by proxies (GLIMPSE_TRUSTED_PROXIES)" } else { "" };
    let by_token = if settings.jwt.is_set() { ", tokens of an identity provider (GLIMPSE_JWT_ISSUER)" } else { "" };
    let auth = match (keys.is_required(), settings.api.glimpse_allow_anonymous) {
        (false, false) => "no key, only for this machine (GLIMPSE_API_KEY)".to_owned(),
        (false, true) => "no key, OPEN TO EVERYONE (GLIMPSE_API_KEY, GLIMPSE_ALLOW_ANONYMOUS)".to_owned(),
        (true, _) => {
            format!(
                "{} API keys (GLIMPSE_API_KEY, GLIMPSE_KEYS_FILE, `glimpse keys list`){by_proxy}{by_token}",
                keys.count()
            )
        }
    };
    let scheme = settings.tls.scheme();
    let folder = settings.locations.glimpse_data_dir.display();
    let mut lines = vec![
        format!("service  {scheme}://{addr}  (GLIMPSE_ADDR)"),
        format!("docs     {scheme}://{addr}/docs"),
        format!("auth     {auth}"),
        format!("bucket   {} at {bucket}", source_settings.s3_bucket),
        providers::start_line(settings),
        stores::start_line(&settings.index),
        format!("data     {folder}  (GLIMPSE_DATA_DIR)"),
    ];
    if let Some(CertificateFacts { names, until, .. }) = tls.map(ServerTls::facts) {
        lines.insert(1, format!("tls      {} until {until}  (GLIMPSE_TLS_CERT)", names.join(", ")));
    }
    lines.extend(queue::start_line(settings));
    lines.extend(cluster::start_line(settings));
    lines
}
