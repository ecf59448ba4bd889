//! Somebody between a client and an HTTP service, who passes requests on as they are, or answers them himself.

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

/// What becomes of a request.
pub(crate) enum Verdict {
    /// The service answers it.
    Passes,
    /// The same, after so long.
    PassesAfter(Duration),
    /// The same, once that is true.
    PassesWhen(watch::Receiver<bool>),
    /// The service answers it, and the answer arrives after so long.
    AnswersAfter(Duration),
    /// This status and this body.
    Says(u16, &'static str),
}

type Judge = Arc<dyn Fn(&Uri) -> Verdict + Send + Sync>;

pub(crate) struct Between {
    url: String,
    _task: AbortOnDropHandle<()>,
}

impl Between {
    /// In front of the service at `to`.
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

/// With all its headers, `Host` too: it is part of what is signed.
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
    // As a proxy does whose upstream is being started again.
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
