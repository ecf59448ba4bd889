//! A proxy between a client and an HTTP service, which passes requests on or answers them itself.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::Uri;
use axum::response::{IntoResponse, Response};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_util::task::AbortOnDropHandle;

/// What the proxy does with a request.
pub(crate) enum Verdict {
    /// The service answers it.
    Passes,
    /// The same, after this time.
    PassesAfter(Duration),
    /// The same, as soon as the value is true.
    PassesWhen(watch::Receiver<bool>),
    /// The service answers it, and the answer arrives after this time.
    AnswersAfter(Duration),
    /// The proxy answers it with this status and body.
    Says(u16, &'static str),
}

type Judge = Arc<dyn Fn(&Uri) -> Verdict + Send + Sync>;

pub(crate) struct Between {
    url: String,
    _task: AbortOnDropHandle<()>,
}

impl Between {
    /// Starts a proxy for the service at `to`.
    pub(crate) async fn new(to: &str, judge: impl Fn(&Uri) -> Verdict + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        let judge: Judge = Arc::new(judge);
        let state = (http, to.trim_end_matches('/').to_owned(), judge);
        let routes = Router::new().fallback(pass).with_state(state);
        let task = tokio::spawn(async move { axum::serve(listener, routes).await.unwrap() });
        Self { url, _task: AbortOnDropHandle::new(task) }
    }

    pub(crate) fn url(&self) -> String {
        self.url.clone()
    }
}

/// Passes all headers on, also `Host`: it is part of the signature.
async fn pass(State((http, to, judge)): State<(reqwest::Client, String, Judge)>, request: Request) -> Response {
    let mut late = Duration::ZERO;
    match judge(request.uri()) {
        Verdict::Passes => {}
        Verdict::AnswersAfter(time) => late = time,
        Verdict::PassesAfter(time) => tokio::time::sleep(time).await,
        Verdict::PassesWhen(mut released) => drop(released.wait_for(|released| *released).await),
        Verdict::Says(status, body) => {
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
