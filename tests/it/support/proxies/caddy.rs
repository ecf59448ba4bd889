//! A real Caddy in front of a service.

use std::process::{Command, Stdio};

use super::running::{ProxyProcess, wait_for_listener};
use crate::support::certificates::Authority;
use crate::support::environment::{find_program, skip};

/// Starts Caddy at that address of loopback, with a certificate of the authority or without TLS, and with these directives;
/// `None` if it is not installed.
pub(super) fn start_caddy(address: &str, authority: Option<&Authority>, directives: &str) -> Option<ProxyProcess> {
    let Some(program) = find_program("caddy") else {
        skip("caddy", "install caddy");
        return None;
    };
    let folder = tempfile::tempdir().unwrap();
    let (_, port) = address.rsplit_once(':').unwrap();
    let (scheme, tls) = match authority.map(|authority| authority.write_pair(2)) {
        Some(pair) => ("https", format!("tls {} {}", pair.certificate(), pair.key())),
        None => ("http", String::new()),
    };
    // Without these options it would listen on ports 80 and 2019 and write to the home folder.
    let configuration = format!(
        "{{
    admin off
    auto_https off
}}
{scheme}://localhost:{port} {{
    bind 127.0.0.1
    {tls}
    {directives}
}}
"
    );
    std::fs::write(folder.path().join("Caddyfile"), configuration).unwrap();
    let mut command = Command::new(program);
    command.args(["run", "--adapter", "caddyfile", "--config"]).arg(folder.path().join("Caddyfile"));
    command.env("HOME", folder.path()).env("XDG_DATA_HOME", folder.path()).env("XDG_CONFIG_HOME", folder.path());
    command.stdout(Stdio::null()).stderr(Stdio::null());
    let mut process = ProxyProcess::new(command.spawn().unwrap(), folder);
    wait_for_listener(&mut process, address);
    Some(process)
}
