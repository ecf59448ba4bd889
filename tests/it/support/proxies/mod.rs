//! Proxies between a service and its clients or dependencies.

pub(crate) mod bucket;
mod caddy;
pub(crate) mod http;
pub(crate) mod nginx;
pub(crate) mod running;
pub(crate) mod tcp;

use self::running::ProxyProcess;
use crate::support::certificates::Authority;

/// A program that publishes the service under a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ReverseProxy {
    Nginx,
    Caddy,
}

/// How a proxy publishes the service.
pub(crate) struct Publication<'a> {
    /// Where the proxy listens.
    pub(crate) address: &'a str,
    /// The address of the service.
    pub(crate) upstream: &'a str,
    /// The path, without a slash at its end.
    pub(crate) path: &'a str,
    /// Whether the proxy removes the path.
    pub(crate) removes_path: bool,
    /// Who signs the certificate of the proxy; `None`: HTTP without TLS.
    pub(crate) authority: Option<&'a Authority>,
}

impl ReverseProxy {
    /// Starts it; `None` if it is not installed.
    pub(crate) fn start(self, publication: &Publication<'_>) -> Option<ProxyProcess> {
        let Publication { address, upstream, path, removes_path, authority } = *publication;
        match self {
            Self::Nginx => {
                let slash = if removes_path { "/" } else { "" };
                let locations = format!(
                    "location = {path} {{ return 308 {path}/; }}
                     location {path}/ {{ proxy_pass {upstream}{slash}; }}"
                );
                nginx::start_nginx(address, authority, &locations)
            }
            Self::Caddy => {
                let handle = if removes_path { "handle_path" } else { "handle" };
                let directives = format!(
                    "redir {path} {path}/ 308
                     {handle} {path}/* {{
                         reverse_proxy {upstream}
                     }}"
                );
                caddy::start_caddy(address, authority, &directives)
            }
        }
    }
}
