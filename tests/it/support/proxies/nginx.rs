//! A real nginx with its defaults in front of a service: another `Host`, buffered replies, HTTP/2 for the client.

use std::process::{Child, Command, Stdio};

use crate::support::environment::{find_program, skip};
use crate::support::free_address;

/// A running nginx; it ends when this is dropped.
pub(crate) struct Nginx {
    pub(crate) url: String,
    process: Child,
    _folder: tempfile::TempDir,
}

impl Nginx {
    /// Starts it in front of `upstream`; `None` if nginx or openssl is not installed.
    pub(crate) fn start(upstream: &str) -> Option<Self> {
        Self::start_with_location(upstream, "")
    }

    /// The same with more directives in its `location`.
    pub(crate) fn start_with_location(upstream: &str, directives: &str) -> Option<Self> {
        let location = format!("location / {{ {directives} proxy_pass {upstream}; }}");
        Self::start_at(&free_address(), &location)
    }

    /// Starts it at that address of loopback, with these locations.
    pub(crate) fn start_at(address: &str, locations: &str) -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().display().to_string();
        let mut openssl = Command::new("openssl");
        openssl.args(["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"]);
        openssl.args(["-keyout", &format!("{path}/key.pem"), "-out", &format!("{path}/certificate.pem")]);
        let certified =
            openssl.stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok_and(|status| status.success());
        let Some(program) = find_program("nginx").filter(|_| certified) else {
            skip("nginx", "install nginx and openssl");
            return None;
        };
        let configuration = format!(
            "daemon off; pid {path}/pid; error_log {path}/error.log;
             events {{}}
             http {{
                 access_log off;
                 client_body_temp_path {path}/body; proxy_temp_path {path}/proxy; fastcgi_temp_path {path}/fastcgi;
                 uwsgi_temp_path {path}/uwsgi; scgi_temp_path {path}/scgi;
                 server {{
                     listen {address} ssl http2;
                     ssl_certificate {path}/certificate.pem;
                     ssl_certificate_key {path}/key.pem;
                     client_max_body_size 51m;
                     {locations}
                 }}
             }}"
        );
        std::fs::write(folder.path().join("nginx.conf"), configuration).unwrap();
        let mut command = Command::new(program);
        command.args(["-p", &path, "-c", &format!("{path}/nginx.conf")]).stdout(Stdio::null()).stderr(Stdio::null());
        let process = command.spawn().unwrap();
        let deadline = std::time::Instant::now() + std::time::Duration::from_mins(1);
        while std::net::TcpStream::connect(address).is_err() {
            assert!(std::time::Instant::now() < deadline, "nginx does not listen");
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
        let url = format!("https://{}", address.replace("127.0.0.1", "localhost"));
        Some(Self { url, process, _folder: folder })
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        // SIGTERM, so that it also ends its workers.
        Command::new("kill").arg(self.process.id().to_string()).status().ok();
        self.process.wait().ok();
    }
}
