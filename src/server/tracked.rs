//! A service that counts its requests until their replies have ended.

use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::extract::ConnectInfo;
use futures::future::BoxFuture;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use hyper::service::Service;
use hyper::{Request, Response};

use super::activity::Activity;

/// The service of one connection.
#[derive(Clone, Debug)]
pub(super) struct Tracked<S> {
    service: S,
    activity: Arc<Activity>,
    peer: SocketAddr,
}

impl<S> Tracked<S> {
    pub(super) fn new(service: S, activity: Arc<Activity>, peer: SocketAddr) -> Self {
        Self { service, activity, peer }
    }
}

impl<S, B> Service<Request<Incoming>> for Tracked<S>
where
    S: Service<Request<Incoming>, Response = Response<B>>,
    S::Future: Send + 'static,
{
    type Response = Response<Reply<B>>;
    type Error = S::Error;
    type Future = BoxFuture<'static, Result<Self::Response, Self::Error>>;

    fn call(&self, mut request: Request<Incoming>) -> Self::Future {
        let in_progress = InProgress::begin(self.activity.clone());
        request.extensions_mut().insert(ConnectInfo(self.peer));
        let reply = self.service.call(request);
        Box::pin(async move { Ok(reply.await?.map(|body| Reply { body: Box::pin(body), _in_progress: in_progress })) })
    }
}

/// The body of a reply. Its request is in progress until the body is dropped.
pub(super) struct Reply<B> {
    body: Pin<Box<B>>,
    _in_progress: InProgress,
}

impl<B: Body> Body for Reply<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        self.body.as_mut().poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// Counts a request as in progress until it is dropped.
struct InProgress(Arc<Activity>);

impl InProgress {
    fn begin(activity: Arc<Activity>) -> Self {
        activity.begin_request();
        Self(activity)
    }
}

impl Drop for InProgress {
    fn drop(&mut self) {
        self.0.end_request();
    }
}
