//! A faulty S3 bucket: it speaks HTTP, counts requests, and can be changed while it runs. `modes` names the usual
//! faults; a test that needs another one changes the [`Script`] itself.

mod listing;
mod modes;
mod reply;
mod script;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, Method};
use axum::response::{IntoResponse, Response};
use percent_encoding::percent_decode_str;
use tokio_util::task::AbortOnDropHandle;

use super::{locked, serve};

pub(crate) use modes::{Mode, gzip};
pub(crate) use reply::{Delivery, Reply};
pub(crate) use script::{Etags, Fault, Object, Script, Tokens};

/// The name of the bucket.
pub(crate) const BUCKET: &str = "photos";

/// A request, for the function of a script.
pub(crate) struct BucketRequest {
    pub(crate) method: Method,
    /// Percent-decoded, without the leading slash.
    pub(crate) path: Vec<u8>,
    pub(crate) query: BTreeMap<String, String>,
    pub(crate) headers: HeaderMap,
}

impl BucketRequest {
    fn read(request: &Request) -> Self {
        let uri = request.uri();
        let query = uri.query().unwrap_or_default();
        let query = reqwest::Url::parse(&format!("http://localhost/?{query}")).unwrap();
        Self {
            method: request.method().clone(),
            path: percent_decode_str(uri.path().trim_start_matches('/')).collect(),
            query: query.query_pairs().into_owned().collect(),
            headers: request.headers().clone(),
        }
    }

    pub(crate) fn is_listing(&self) -> bool {
        self.query.contains_key("list-type")
    }

    /// The key of the requested object, without the name of the bucket.
    pub(crate) fn key(&self) -> Vec<u8> {
        self.path.strip_prefix(format!("{BUCKET}/").as_bytes()).unwrap_or_default().to_vec()
    }

    /// The value of a header, lossy.
    pub(crate) fn header(&self, name: &str) -> Option<String> {
        self.headers.get(name).map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
    }
}

/// The script, and the requests so far.
struct Inner {
    script: Script,
    lists: usize,
    gets: BTreeMap<Vec<u8>, usize>,
}

/// A running bucket. It accepts any credentials.
#[derive(Clone)]
pub(crate) struct ScriptedBucket {
    pub(crate) url: String,
    inner: Arc<Mutex<Inner>>,
    _task: Arc<AbortOnDropHandle<()>>,
}

impl ScriptedBucket {
    /// A bucket in this mode, with the four keys of [`Script::four`].
    pub(crate) async fn start(mode: Mode) -> Self {
        let mut script = Script::four();
        mode.apply(&mut script);
        Self::start_with(script).await
    }

    pub(crate) async fn start_with(script: Script) -> Self {
        let inner = Arc::new(Mutex::new(Inner { script, lists: 0, gets: BTreeMap::new() }));
        let (url, task) = serve(Router::new().fallback(answer).with_state(inner.clone())).await;
        Self { url, inner, _task: Arc::new(task) }
    }

    /// Changes to another mode; the objects and the counts stay.
    pub(crate) fn set(&self, mode: Mode) {
        self.change(|script| {
            let objects = std::mem::take(&mut script.objects);
            *script = Script { objects, ..Script::default() };
            mode.apply(script);
        });
    }

    pub(crate) fn change(&self, change: impl FnOnce(&mut Script)) {
        change(&mut locked(&self.inner).script);
    }

    /// The number of GET requests for this key.
    pub(crate) fn gets(&self, key: &str) -> usize {
        locked(&self.inner).gets.get(key.as_bytes()).copied().unwrap_or(0)
    }

    /// The number of GET requests for all keys.
    pub(crate) fn all_gets(&self) -> usize {
        locked(&self.inner).gets.values().sum()
    }

    /// The number of requests for pages of listings.
    pub(crate) fn lists(&self) -> usize {
        locked(&self.inner).lists
    }

    /// The settings of a service that reads it.
    pub(crate) fn variables(&self) -> Vec<(&'static str, String)> {
        vec![
            ("S3_ENDPOINT", self.url.clone()),
            ("S3_BUCKET", BUCKET.to_owned()),
            ("S3_ACCESS_KEY_ID", "anyone".to_owned()),
            ("S3_SECRET_ACCESS_KEY", "secret".to_owned()),
        ]
    }
}

async fn answer(State(inner): State<Arc<Mutex<Inner>>>, request: Request) -> Response {
    let request = BucketRequest::read(&request);
    let reply = {
        let mut inner = locked(&inner);
        if request.is_listing() {
            inner.lists += 1;
        } else if request.method == Method::GET {
            *inner.gets.entry(request.key()).or_default() += 1;
        }
        inner.script.answer(&request)
    };
    reply.into_response()
}
