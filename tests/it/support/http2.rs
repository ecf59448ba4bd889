//! A client of HTTP/2 over TLS, which fails if the server chooses another protocol.

use std::sync::Arc;

use axum::http::{Request, StatusCode};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::certificates::Authority;

/// Sends a `GET` with a key to `https://localhost:PORT/PATH`, whose certificate the authority has signed. Returns the status and the body.
pub(crate) async fn get(url: &str, key: &str, authority: &Authority) -> (StatusCode, Vec<u8>) {
    let mut roots = RootCertStore::empty();
    roots.add(authority.der().clone()).unwrap();
    let config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()));
    let config = config.with_safe_default_protocol_versions().unwrap().with_root_certificates(roots);
    let mut config = config.with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec()];
    let port = url::Url::parse(url).unwrap().port().unwrap();
    let stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    let name = ServerName::try_from("localhost").unwrap();
    let stream = TlsConnector::from(Arc::new(config)).connect(name, stream).await.unwrap();
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
    let (client, connection) = h2::client::handshake(stream).await.unwrap();
    let driving = tokio::spawn(connection);
    let mut client = client.ready().await.unwrap();
    let request = Request::get(url).header("authorization", format!("Bearer {key}")).body(()).unwrap();
    let (reply, _) = client.send_request(request, true).unwrap();
    let (head, mut stream) = reply.await.unwrap().into_parts();
    let mut body = Vec::new();
    while let Some(part) = stream.data().await {
        let part = part.unwrap();
        body.extend_from_slice(&part);
        stream.flow_control().release_capacity(part.len()).unwrap();
    }
    drop(client);
    driving.abort();
    (head.status, body)
}
