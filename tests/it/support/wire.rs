//! A connection to a service, which a test cuts and restores.

use tokio::net::{TcpListener, TcpStream};
use tokio_util::task::AbortOnDropHandle;

/// A TCP proxy for a service that can be cut, with all its connections.
pub(crate) struct Wire {
    addr: std::net::SocketAddr,
    to: String,
    up: Option<AbortOnDropHandle<()>>,
}

impl Wire {
    /// Starts it for the service at `url`, connected or not.
    pub(crate) async fn to(url: &str, is_up: bool) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        drop(listener);
        let mut wire = Self { addr, to: url.trim_start_matches("http://").to_owned(), up: None };
        if is_up {
            wire.mend().await;
        }
        wire
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.addr)
    }

    pub(crate) async fn mend(&mut self) {
        let (listener, to) = (TcpListener::bind(self.addr).await.unwrap(), self.to.clone());
        self.up = Some(AbortOnDropHandle::new(tokio::spawn(async move {
            let mut calls = tokio::task::JoinSet::new();
            while let Ok((mut near, _)) = listener.accept().await {
                let to = to.clone();
                calls.spawn(async move {
                    let mut far = TcpStream::connect(to).await.unwrap();
                    tokio::io::copy_bidirectional(&mut near, &mut far).await.ok();
                });
            }
        })));
    }

    pub(crate) fn cut(&mut self) {
        self.up = None;
    }
}
