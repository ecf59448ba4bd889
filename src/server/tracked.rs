//! A service whose requests are counted until their replies have ended.

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
        let under_way = UnderWay::begin(self.activity.clone());
        request.extensions_mut().insert(ConnectInfo(self.peer));
        let reply = self.service.call(request);
        Box::pin(async move { Ok(reply.await?.map(|body| Reply { body: Box::pin(body), _under_way: under_way })) })
    }
}

/// The body of a reply. Its request is under way until it is dropped.
pub(super) struct Reply<B> {
    body: Pin<Box<B>>,
    _under_way: UnderWay,
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

/// A request that counts as long as this lives.
struct UnderWay(Arc<Activity>);

impl UnderWay {
    fn begin(activity: Arc<Activity>) -> Self {
        activity.begin();
        Self(activity)
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.end();
    }
}
