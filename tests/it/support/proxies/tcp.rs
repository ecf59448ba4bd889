//! A connection to a service, which a test cuts and restores.

use tokio::net::{TcpListener, TcpStream};
use tokio_util::task::AbortOnDropHandle;

use crate::support::free_address;

/// A TCP proxy for a service that can be cut, with all its connections.
pub(crate) struct TcpProxy {
    addr: String,
    to: String,
    up: Option<AbortOnDropHandle<()>>,
}

impl TcpProxy {
    /// Starts it for the service at `url`, connected or not.
    pub(crate) async fn start(url: &str, is_up: bool) -> Self {
        let mut proxy = Self { addr: free_address(), to: url.trim_start_matches("http://").to_owned(), up: None };
        if is_up {
            proxy.connect().await;
        }
        proxy
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.addr)
    }

    pub(crate) async fn connect(&mut self) {
        let (listener, to) = (TcpListener::bind(&self.addr).await.unwrap(), self.to.clone());
        self.up = Some(AbortOnDropHandle::new(tokio::spawn(async move {
            let mut calls = tokio::task::JoinSet::new();
            while let Ok((mut client, _)) = listener.accept().await {
                let to = to.clone();
                calls.spawn(async move {
                    let mut server = TcpStream::connect(to).await.unwrap();
                    tokio::io::copy_bidirectional(&mut client, &mut server).await.ok();
                });
            }
        })));
    }

    pub(crate) fn cut(&mut self) {
        self.up = None;
    }
}
