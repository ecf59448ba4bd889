//! A proxy between a client and an HTTP service, which passes requests on or answers them itself.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::Uri;
use axum::response::{IntoResponse, Response};
use tokio::sync::watch;
use tokio_util::task::AbortOnDropHandle;

use crate::support::serve;

/// What the proxy does with a request.
pub(crate) enum ProxyAction {
    /// The service answers it.
    Pass,
    /// The same, after this time.
    PassAfter(Duration),
    /// The same, as soon as the value is true.
    PassWhen(watch::Receiver<bool>),
    /// The service answers it, and the answer arrives after this time.
    ReplyAfter(Duration),
    /// The proxy answers it with this status and body.
    Reply(u16, &'static str),
}

type Decide = Arc<dyn Fn(&Uri) -> ProxyAction + Send + Sync>;

pub(crate) struct HttpProxy {
    url: String,
    _task: AbortOnDropHandle<()>,
}

impl HttpProxy {
    /// Starts a proxy for the service at `to`.
    pub(crate) async fn new(to: &str, decide: impl Fn(&Uri) -> ProxyAction + Send + Sync + 'static) -> Self {
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        let decide: Decide = Arc::new(decide);
        let state = (http, to.trim_end_matches('/').to_owned(), decide);
        let (url, task) = serve(Router::new().fallback(pass).with_state(state)).await;
        Self { url, _task: task }
    }

    pub(crate) fn url(&self) -> String {
        self.url.clone()
    }
}

/// Passes all headers on, also `Host`: it is part of the signature.
async fn pass(State((http, to, decide)): State<(reqwest::Client, String, Decide)>, request: Request) -> Response {
    let mut late = Duration::ZERO;
    match decide(request.uri()) {
        ProxyAction::Pass => {}
        ProxyAction::ReplyAfter(time) => late = time,
        ProxyAction::PassAfter(time) => tokio::time::sleep(time).await,
        ProxyAction::PassWhen(mut released) => drop(released.wait_for(|released| *released).await),
        ProxyAction::Reply(status, body) => {
            return (axum::http::StatusCode::from_u16(status).unwrap(), body).into_response();
        }
    }
    let (head, body) = request.into_parts();
    let target = format!("{to}{}", head.uri.path_and_query().map_or("/", |path| path.as_str()));
    let body = axum::body::to_bytes(body, 64 << 20).await.unwrap();
    let reply = http.request(head.method, target).headers(head.headers).body(body).send().await;
    // As a proxy does while its upstream is restarted.
    let Ok(reply) = reply else { return axum::http::StatusCode::BAD_GATEWAY.into_response() };
    tokio::time::sleep(late).await;
    let mut response = Response::builder().status(reply.status());
    for (name, value) in reply.headers() {
        if name != "transfer-encoding" {
            response = response.header(name, value);
        }
    }
    response.body(Body::from(reply.bytes().await.unwrap())).unwrap()
}
