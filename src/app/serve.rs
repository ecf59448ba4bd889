//! Runs the HTTP server until the shutdown.

use std::io;

use axum::Router;
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use super::BuildError;
use crate::server::{self, ServerSettings, ServerTls};
use crate::shutdown::{REPLY_TIMEOUT, Shutdown};

/// Answers requests until the shutdown begins and all work in flight has ended, and then awaits `last`. During the
/// drain it still answers: `/readyz` reports it, and new work is refused.
pub(super) async fn serve_until_drained(
    listener: TcpListener,
    router: Router,
    tls: Option<ServerTls>,
    shutdown: &Shutdown,
    last: impl Future<Output = ()>,
) -> Result<(), BuildError> {
    let (drain, closing) = (shutdown.drain(), CancellationToken::new());
    let service = TowerToHyperService::new(router);
    let settings = ServerSettings { tls, ..ServerSettings::new("the service") };
    let server = server::serve(listener, service, settings, closing.clone());
    #[expect(clippy::disallowed_methods, reason = "the handle aborts on drop; draining must not wait for it")]
    let mut serving = AbortOnDropHandle::new(tokio::spawn(server));
    let ended_early = tokio::select! {
        () = drain.cancelled() => None,
        // The server ends by itself only if it panics. Then the process ends too.
        outcome = &mut serving => Some(outcome),
    };
    drain.cancel();
    tracing::info!("draining: no new work is accepted, work in flight is finished");
    let in_time = shutdown.finished().await;
    if !in_time {
        tracing::warn!("some work did not end in time and was cancelled; unfinished jobs continue at the next start");
    }
    closing.cancel();
    let outcome = match ended_early {
        Some(outcome) => Some(outcome),
        None if in_time => {
            let ended = tokio::time::timeout(REPLY_TIMEOUT, serving).await.ok();
            if ended.is_none() {
                tracing::warn!("some replies did not end in time and were cancelled");
            }
            ended
        }
        None => None,
    };
    last.await;
    if let Some(name) = shutdown.failed() {
        return Err(BuildError::Task(name));
    }
    match outcome {
        Some(Err(panicked)) => Err(BuildError::Serve(io::Error::other(panicked))),
        Some(Ok(())) | None => Ok(()),
    }
}
