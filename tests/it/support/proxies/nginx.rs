//! A real nginx with its defaults in front of a service: another `Host`, buffered replies, HTTP/2 for the client.

use std::process::{Command, Stdio};

use super::running::{ProxyProcess, wait_for_listener};
use crate::support::certificates::Authority;
use crate::support::environment::{find_program, skip};
use crate::support::free_address;

/// A running nginx; it ends when this is dropped.
pub(crate) struct Nginx {
    pub(crate) url: String,
    _process: ProxyProcess,
    _authority: Authority,
}

impl Nginx {
    /// Starts it in front of `upstream`; `None` if nginx is not installed.
    pub(crate) fn start(upstream: &str) -> Option<Self> {
        Self::start_with_location(upstream, "")
    }

    /// The same with more directives in its `location`.
    pub(crate) fn start_with_location(upstream: &str, directives: &str) -> Option<Self> {
        let location = format!("location / {{ {directives} proxy_pass {upstream}; }}");
        let (address, authority) = (free_address(), Authority::new());
        let process = start_nginx(&address, Some(&authority), &location)?;
        let url = format!("https://{}", address.replace("127.0.0.1", "localhost"));
        Some(Self { url, _process: process, _authority: authority })
    }
}

/// Starts nginx at that address of loopback, with a certificate of the authority or without TLS, and with these locations.
pub(super) fn start_nginx(address: &str, authority: Option<&Authority>, locations: &str) -> Option<ProxyProcess> {
    let Some(program) = find_program("nginx") else {
        skip("nginx", "install nginx");
        return None;
    };
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().display().to_string();
    let listen = match authority.map(|authority| authority.write_pair(2)) {
        Some(pair) => format!(
            "listen {address} ssl http2; ssl_certificate {}; ssl_certificate_key {};",
            pair.certificate(),
            pair.key()
        ),
        None => format!("listen {address};"),
    };
    let configuration = format!(
        "daemon off; pid {path}/pid; error_log {path}/error.log;
         events {{}}
         http {{
             access_log off;
             client_body_temp_path {path}/body; proxy_temp_path {path}/proxy; fastcgi_temp_path {path}/fastcgi;
             uwsgi_temp_path {path}/uwsgi; scgi_temp_path {path}/scgi;
             server {{
                 {listen}
                 client_max_body_size 51m;
                 {locations}
             }}
         }}"
    );
    std::fs::write(folder.path().join("nginx.conf"), configuration).unwrap();
    let mut command = Command::new(program);
    command.args(["-p", &path, "-c", &format!("{path}/nginx.conf")]).stdout(Stdio::null()).stderr(Stdio::null());
    let mut process = ProxyProcess::new(command.spawn().unwrap(), folder);
    wait_for_listener(&mut process, address);
    Some(process)
}
