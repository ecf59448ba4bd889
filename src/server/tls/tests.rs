use std::convert::Infallible;
use std::net::SocketAddr;
use std::path::PathBuf;

use bytes::Bytes;
use hyper::service::service_fn;
use hyper::{Request, Response};
use rcgen::{CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, date_time_ymd};
use rustls::client::Resumption;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_util::task::AbortOnDropHandle;

use super::*;
use crate::server::{ServerSettings, serve};

const TEST_TIMEOUT: Duration = Duration::from_mins(1);
const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n";

/// The files of a server, and the authority that signs its certificates.
struct Files {
    folder: TempDir,
    authority: CertifiedIssuer<'static, KeyPair>,
}

impl Files {
    fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, "authority");
        let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let files = Self { folder: tempfile::tempdir().unwrap(), authority };
        files.write("localhost");
        files
    }

    fn settings(&self) -> TlsSettings {
        let path = |name| Some(self.folder.path().join(name));
        TlsSettings { glimpse_tls_cert: path("cert.pem"), glimpse_tls_key: path("key.pem") }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes a new pair for `localhost` and this name.
    fn write(&self, name: &str) {
        self.write_with(name, |_| {});
    }

    fn write_with(&self, name: &str, change: impl FnOnce(&mut CertificateParams)) {
        let mut params = CertificateParams::new(["localhost".to_owned(), name.to_owned()]).unwrap();
        change(&mut params);
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.authority).unwrap();
        std::fs::write(self.path("cert.pem"), certificate.pem()).unwrap();
        std::fs::write(self.path("key.pem"), key.serialize_pem()).unwrap();
    }

    async fn open(&self) -> Result<ServerTls, TlsError> {
        ServerTls::open(&self.settings()).await.map(Option::unwrap)
    }

    /// A client that offers these protocols.
    fn connector(&self, alpn: &[&[u8]]) -> TlsConnector {
        let mut roots = RootCertStore::empty();
        roots.add(self.authority.der().clone()).unwrap();
        let config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()));
        let config = config.with_safe_default_protocol_versions().unwrap().with_root_certificates(roots);
        let mut config = config.with_no_client_auth();
        // A resumed session has the certificate of its first connection.
        config.resumption = Resumption::disabled();
        config.alpn_protocols = alpn.iter().map(|protocol| protocol.to_vec()).collect();
        TlsConnector::from(Arc::new(config))
    }
}

/// The protocols that a client offers, and the one that is chosen.
type Offer<'a> = (&'a [&'a [u8]], Option<&'a [u8]>);

struct Running {
    addr: SocketAddr,
    closing: CancellationToken,
    serving: AbortOnDropHandle<()>,
}

async fn start(tls: ServerTls, change: impl FnOnce(&mut ServerSettings)) -> Running {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (addr, closing) = (listener.local_addr().unwrap(), CancellationToken::new());
    let service = service_fn(|request: Request<hyper::body::Incoming>| async move {
        let version = format!("{:?}", request.version());
        Ok::<_, Infallible>(Response::new(axum::body::Body::from(Bytes::from(version))))
    });
    let mut settings = ServerSettings { tls: Some(tls), ..ServerSettings::new("test") };
    change(&mut settings);
    #[expect(clippy::disallowed_methods, reason = "the handle aborts on drop")]
    let serving = AbortOnDropHandle::new(tokio::spawn(serve(listener, service, settings, closing.clone())));
    Running { addr, closing, serving }
}

async fn connect(running: &Running, connector: &TlsConnector) -> TlsStream<TcpStream> {
    let stream = TcpStream::connect(running.addr).await.unwrap();
    let name = ServerName::try_from("localhost").unwrap();
    timeout(TEST_TIMEOUT, connector.connect(name, stream)).await.unwrap().unwrap()
}

fn certificate(stream: &TlsStream<TcpStream>) -> CertificateDer<'static> {
    stream.get_ref().1.peer_certificates().unwrap()[0].clone().into_owned()
}

async fn end_of(stream: &mut TcpStream) -> Vec<u8> {
    let mut all = Vec::new();
    drop(timeout(TEST_TIMEOUT, stream.read_to_end(&mut all)).await.expect("the connection stays open"));
    all
}

#[tokio::test]
async fn the_protocol_is_chosen_in_the_handshake() {
    let files = Files::new();
    let running = start(files.open().await.unwrap(), |_| {}).await;
    let offers: [Offer<'_>; 3] =
        [(&[b"h2", b"http/1.1"], Some(b"h2")), (&[b"http/1.1"], Some(b"http/1.1")), (&[], None)];
    for (offered, chosen) in offers {
        let mut stream = connect(&running, &files.connector(offered)).await;
        assert_eq!(stream.get_ref().1.alpn_protocol(), chosen);
        if chosen != Some(b"h2") {
            stream.write_all(REQUEST).await.unwrap();
            let mut reply = vec![0; 12];
            stream.read_exact(&mut reply).await.unwrap();
            assert_eq!(reply, b"HTTP/1.1 200");
        }
    }
}

#[tokio::test]
async fn a_new_pair_is_used_for_new_connections_and_a_broken_one_is_not() {
    let files = Files::new();
    let tls = files.open().await.unwrap();
    let running = start(tls.clone(), |_| {}).await;
    let connector = files.connector(&[]);
    let mut open = connect(&running, &connector).await;
    let first = certificate(&open);
    let mut problem = None;
    tls.reload(&mut problem).await;
    assert_eq!(certificate(&connect(&running, &connector).await), first, "the files are the same");

    files.write("second.example");
    tls.reload(&mut problem).await;
    let second = certificate(&connect(&running, &connector).await);
    assert!(second != first && problem.is_none());
    assert_eq!(tls.facts().names, ["localhost", "second.example"]);
    open.write_all(REQUEST).await.unwrap();
    let mut reply = [0; 12];
    open.read_exact(&mut reply).await.expect("a connection with the first certificate goes on");

    let key = std::fs::read(files.path("key.pem")).unwrap();
    files.write("third.example");
    std::fs::write(files.path("key.pem"), key).unwrap();
    tls.reload(&mut problem).await;
    assert!(problem.as_ref().is_some_and(|problem| problem.contains("does not belong")), "{problem:?}");
    assert_eq!(certificate(&connect(&running, &connector).await), second);
    for broken in ["", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"] {
        std::fs::write(files.path("cert.pem"), broken).unwrap();
        tls.reload(&mut problem).await;
        assert!(problem.as_ref().is_some_and(|problem| problem.contains("no usable certificate")), "{problem:?}");
    }
    std::fs::remove_file(files.path("cert.pem")).unwrap();
    tls.reload(&mut problem).await;
    assert_eq!(certificate(&connect(&running, &connector).await), second);

    // As Kubernetes replaces a mounted secret: by another link to a folder.
    files.write("fourth.example");
    let folder = |name: &str| files.path(name);
    std::fs::create_dir(folder("new")).unwrap();
    for name in ["cert.pem", "key.pem"] {
        std::fs::rename(folder(name), folder("new").join(name)).unwrap();
        std::os::unix::fs::symlink(folder("data").join(name), folder(name)).unwrap();
    }
    std::os::unix::fs::symlink("new", folder("data")).unwrap();
    tls.reload(&mut problem).await;
    assert!(problem.is_none(), "{problem:?}");
    assert!(tls.facts().names.contains(&"fourth.example".to_owned()));
}

#[tokio::test]
async fn the_error_names_the_setting_and_the_file() {
    let files = Files::new();
    let error = async |change: &dyn Fn()| {
        files.write("localhost");
        change();
        files.open().await.unwrap_err().to_string()
    };
    let write = |name: &str, text: &str| std::fs::write(files.path(name), text).unwrap();
    let missing = error(&|| std::fs::remove_file(files.path("key.pem")).unwrap()).await;
    assert!(missing.starts_with("GLIMPSE_TLS_KEY is `") && missing.contains("key.pem`, which cannot be read: No such"));
    let empty = error(&|| write("cert.pem", "hello")).await;
    assert!(empty.starts_with("GLIMPSE_TLS_CERT is `") && empty.contains("no usable certificate"), "{empty}");
    let pkcs8 = "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n";
    let pkcs1 = "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\n\nAAAA\n-----END RSA PRIVATE KEY-----\n";
    for encrypted in [pkcs8, pkcs1] {
        let encrypted = error(&|| write("key.pem", encrypted)).await;
        assert!(encrypted.contains("it is encrypted with a password"), "{encrypted}");
    }
    files.write("localhost");
    for name in ["cert.pem", "key.pem"] {
        let text = std::fs::read_to_string(files.path(name)).unwrap();
        write(name, &format!("\u{FEFF}{text}"));
    }
    assert_eq!(files.open().await.unwrap().facts().names[0], "localhost", "a byte order mark is skipped");
    let other = error(&|| write("key.pem", &KeyPair::generate().unwrap().serialize_pem())).await;
    assert!(other.contains("does not belong to the first certificate of GLIMPSE_TLS_CERT"), "{other}");
    let large = error(&|| write("cert.pem", &"x".repeat(300 * 1024))).await;
    assert!(large.contains("262144 bytes"), "{large}");
    let mut device = files.settings();
    device.glimpse_tls_cert = Some("/dev/zero".into());
    assert!(ServerTls::open(&device).await.unwrap_err().to_string().contains("not a regular file"));
}

#[tokio::test]
async fn an_expired_certificate_is_used_and_reported() {
    let files = Files::new();
    files.write_with("localhost", |params| params.not_after = date_time_ymd(2020, 2, 3));
    let facts = files.open().await.unwrap().facts();
    assert_eq!((facts.problem_now(), facts.remaining()), (Some("it has expired"), Duration::ZERO));
    assert!(facts.until.contains("2020"), "{facts:?}");
    files.write_with("localhost", |params| params.not_before = date_time_ymd(2999, 1, 1));
    assert!(files.open().await.unwrap().facts().problem_now().unwrap().contains("not valid yet"));
}

#[tokio::test]
async fn an_expired_certificate_does_not_replace_a_valid_one() {
    let files = Files::new();
    let tls = files.open().await.unwrap();
    let valid = tls.facts();
    let mut problem = None;
    files.write_with("localhost", |params| params.not_after = date_time_ymd(2020, 2, 3));
    tls.reload(&mut problem).await;
    assert!(problem.as_ref().is_some_and(|problem| problem.contains("it has expired")), "{problem:?}");
    assert_eq!(tls.facts(), valid);
    files.write("renewed.example");
    tls.reload(&mut problem).await;
    assert!(problem.is_none() && tls.facts() != valid);
}

#[tokio::test]
async fn a_handshake_that_does_not_end_is_a_connection_that_is_idle() {
    let files = Files::new();
    let tls = files.open().await.unwrap();
    // Nothing, and the beginning of a handshake.
    for sent in [&b""[..], &[0x16, 3, 1]] {
        let running = start(tls.clone(), |settings| settings.head_timeout = Duration::from_millis(300)).await;
        let mut stream = TcpStream::connect(running.addr).await.unwrap();
        stream.write_all(sent).await.unwrap();
        end_of(&mut stream).await;

        // It makes room for another connection.
        let running = start(tls.clone(), |settings| settings.max_connections = 1).await;
        let mut slow = TcpStream::connect(running.addr).await.unwrap();
        slow.write_all(sent).await.unwrap();
        connect(&running, &files.connector(&[])).await;
        end_of(&mut slow).await;

        // And it does not delay the end of the server.
        let mut slow = TcpStream::connect(running.addr).await.unwrap();
        slow.write_all(sent).await.unwrap();
        running.closing.cancel();
        timeout(Duration::from_secs(9), running.serving).await.unwrap().unwrap();
        end_of(&mut slow).await;
    }
}

#[tokio::test]
async fn http_without_tls_gets_a_clear_answer() {
    let files = Files::new();
    let running = start(files.open().await.unwrap(), |_| {}).await;
    let mut plain = TcpStream::connect(running.addr).await.unwrap();
    plain.write_all(REQUEST).await.unwrap();
    let reply = String::from_utf8(end_of(&mut plain).await).unwrap();
    assert!(reply.starts_with("HTTP/1.1 400 Bad Request\r\n") && reply.contains("https_required"), "{reply}");
    let body: serde_json::Value = serde_json::from_str(reply.split("\r\n\r\n").nth(1).unwrap()).unwrap();
    assert!(body["message"].as_str().unwrap().contains("https://"));
    let mut other = TcpStream::connect(running.addr).await.unwrap();
    other.write_all(b"\0\0\0\0").await.unwrap();
    assert!(!end_of(&mut other).await.starts_with(b"HTTP"));
}
