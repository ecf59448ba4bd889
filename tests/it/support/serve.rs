//! Servers of fakes.

use std::net::SocketAddr;
use std::panic::AssertUnwindSafe;

use axum::extract::ConnectInfo;
use axum::{Extension, Router};
use futures::stream::FuturesUnordered;
use futures::{FutureExt, StreamExt};
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpListener;
use tokio_util::task::AbortOnDropHandle;

/// Serves on a free port until the handle is dropped.
pub(crate) async fn serve(router: Router) -> (String, AbortOnDropHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let service = router.into_make_service_with_connect_info::<SocketAddr>();
    let task = tokio::spawn(async move { axum::serve(listener, service).await.unwrap() });
    (url, AbortOnDropHandle::new(task))
}

/// Serves until it is dropped. All connections end with it: `axum::serve` still answers requests that arrive shortly
/// afterwards.
pub(crate) async fn serve_until_dropped(listener: TcpListener, router: Router) {
    let mut connections = FuturesUnordered::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                let (stream, peer) = accepted.unwrap();
                let service = TowerToHyperService::new(router.clone().layer(Extension(ConnectInfo(peer))));
                let http = hyper::server::conn::http1::Builder::new();
                let connection = http.serve_connection(TokioIo::new(stream), service);
                // A handler that panics closes its connection.
                connections.push(AssertUnwindSafe(connection).catch_unwind());
            }
            Some(_) = connections.next() => {}
        }
    }
}
