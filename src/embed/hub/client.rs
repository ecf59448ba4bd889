//! The hub's routes over HTTP.

use std::time::Duration;

use reqwest::header::{
    ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE, ETAG, HeaderMap, HeaderValue, LOCATION, RANGE,
    TRANSFER_ENCODING,
};
use reqwest::{Method, Response, StatusCode, Url, Version, redirect};
use serde::Deserialize;
use sha2::{Digest, Sha256};

use super::cache::is_commit;
use super::facts::{Facts, Size, Told, limit, plain_etag};
use super::{HubError, HubSettings, Repo, token};
use crate::domain::Secret;

const CONNECT: Duration = Duration::from_secs(10);
/// How long a reply, or the next part of a file, may take.
const SILENCE: Duration = Duration::from_secs(30);
/// From the hub to its storage is one step, by way of a mirror a few; more lead in a circle.
const MAX_REDIRECTS: usize = 10;
const MAX_LISTING: usize = 16 * 1024 * 1024;

/// All of a file.
const WHOLE: HeaderValue = HeaderValue::from_static("bytes=0-");

/// A client of the hub. The token goes to the hub's own address alone, never to where it redirects.
#[derive(Debug)]
pub(super) struct Client {
    http: reqwest::Client,
    endpoint: Url,
    token: Secret,
}

/// What a repository holds at a revision.
pub(super) struct Listing {
    pub(super) commit: String,
    pub(super) names: Vec<String>,
}

/// A file's bytes on their way.
pub(super) struct Bytes {
    pub(super) reply: Response,
    /// Where they begin: a server that knows no ranges begins at 0.
    pub(super) from: u64,
    /// The size of the whole file, if this reply says it.
    pub(super) total: Option<u64>,
    /// Whether a connection that breaks too soon is an error of the connection: not if the reply ends by its closing.
    pub(super) has_end: bool,
}

#[derive(Deserialize)]
struct RepoReply {
    sha: String,
    siblings: Vec<Sibling>,
}

#[derive(Deserialize)]
struct Sibling {
    rfilename: String,
}

impl Client {
    pub(super) fn new(settings: &HubSettings) -> Result<Self, HubError> {
        let endpoint = settings.endpoint().map_err(HubError::Settings)?;
        let http = reqwest::Client::builder()
            .connect_timeout(CONNECT)
            .read_timeout(SILENCE)
            .redirect(redirect::Policy::none())
            .user_agent(concat!("glimpse/", env!("CARGO_PKG_VERSION")));
        let loopback = matches!(endpoint.host_str(), Some("localhost" | "127.0.0.1" | "[::1]"));
        let http = if loopback { http.no_proxy() } else { http };
        let http = http.build().map_err(|error| HubError::Settings(format!("no HTTP client: {error}")))?;
        Ok(Self { http, endpoint, token: token::token(settings) })
    }

    /// The revision's commit and files.
    pub(super) async fn listing(&self, repo: &Repo) -> Result<Listing, HubError> {
        let what = "the list of files";
        let url = self.url(&["api", "models"], repo, &["revision", repo.revision()], "");
        let reply = self.ask(repo, what, Method::GET, url, HeaderMap::new()).await?;
        let seen = |reason: String| unreachable(repo, what, reason);
        let body = bounded(reply).await.map_err(seen)?;
        let reply: RepoReply =
            serde_json::from_slice(&body).map_err(|error| seen(format!("its reply is no such list: {error}")))?;
        if !is_commit(&reply.sha) {
            return Err(seen("its reply names no commit".to_owned()));
        }
        Ok(Listing { commit: reply.sha, names: reply.siblings.into_iter().map(|it| it.rfilename).collect() })
    }

    /// A file's etag and size, without its bytes, as far as they are said.
    pub(super) async fn facts(&self, repo: &Repo, commit: &str, file: &str) -> Result<Facts, HubError> {
        let url = self.url(&[], repo, &["resolve", commit], file);
        let mut told = Told::default();
        let reply = self.follow(repo, file, Method::HEAD, url, HeaderMap::new(), &mut told).await?;
        let status = reply.status();
        // A storage may know no `HEAD`, and one that signs its URLs may allow `GET` alone.
        let says_nothing = matches!(status.as_u16(), 400 | 405 | 501)
            || (status.is_client_error() && reply.url().origin() != self.endpoint.origin());
        let text = |name| reply.headers().get(name).and_then(|value: &HeaderValue| value.to_str().ok());
        let (etag, length) = if says_nothing || status.is_redirection() {
            (None, None)
        } else {
            judged(repo, file, status)?;
            // Of a stream some servers say that its length is 0.
            let length = text(CONTENT_LENGTH).and_then(|size| size.parse().ok()).filter(|size| *size > 0);
            (text(ETAG).and_then(plain_etag), length)
        };
        let size = match (told.linked_size, length) {
            (Some(size), _) => Size::Exact(size),
            (None, Some(size)) => Size::Likely(size),
            (None, None) => Size::Unknown,
        };
        if let Some(size) = size.number().filter(|size| *size > limit(file)) {
            let reason = format!("{file} has {size} bytes, more than the {} that are fetched", limit(file));
            return Err(HubError::Unfit { repo: repo.clone(), reason });
        }
        // What a commit's file holds never changes, so that the two are a name as good as an etag.
        let named = || hex::encode(&Sha256::digest(format!("{commit}/{file}"))[..20]);
        Ok(Facts { etag: told.linked_etag.or(etag).unwrap_or_else(named), size })
    }

    /// The file's bytes from `from` on; `None` if the server says that it has none there.
    pub(super) async fn bytes(
        &self,
        repo: &Repo,
        commit: &str,
        file: &str,
        from: u64,
    ) -> Result<Option<Bytes>, HubError> {
        let url = self.url(&[], repo, &["resolve", commit], file);
        let mut headers = HeaderMap::new();
        if from > 0 {
            headers.insert(RANGE, HeaderValue::try_from(format!("bytes={from}-")).unwrap_or(WHOLE));
        }
        let reply = self.follow(repo, file, Method::GET, url, headers, &mut Told::default()).await?;
        if from > 0 && reply.status() == StatusCode::RANGE_NOT_SATISFIABLE {
            return Ok(None);
        }
        judged(repo, file, reply.status())?;
        let seen = |reason: String| unreachable(repo, file, reason);
        let text = |name| reply.headers().get(name).and_then(|value: &HeaderValue| value.to_str().ok());
        if let Some(encoding) = text(CONTENT_ENCODING).filter(|encoding| !encoding.eq_ignore_ascii_case("identity")) {
            return Err(seen(format!("it came with the encoding {encoding:.40}, which was not asked for")));
        }
        let has_end = reply.content_length().is_some()
            || reply.version() > Version::HTTP_11
            || text(TRANSFER_ENCODING).is_some_and(|encoding| encoding.to_ascii_lowercase().contains("chunked"));
        let (from, total) = if reply.status() == StatusCode::PARTIAL_CONTENT {
            let range = text(CONTENT_RANGE).and_then(|range| range.trim().strip_prefix("bytes ")).map(str::trim);
            let begin = range.and_then(|range| range.split('-').next()?.parse::<u64>().ok());
            if begin != Some(from) {
                return Err(seen(format!("it was asked to go on at {from} and answered with the range {range:?}")));
            }
            (from, range.and_then(|range| range.rsplit('/').next()?.parse().ok()))
        } else {
            (0, reply.content_length())
        };
        Ok(Some(Bytes { reply, from, total, has_end }))
    }

    async fn ask(
        &self,
        repo: &Repo,
        what: &str,
        method: Method,
        url: Url,
        headers: HeaderMap,
    ) -> Result<Response, HubError> {
        let reply = self.follow(repo, what, method, url, headers, &mut Told::default()).await?;
        judged(repo, what, reply.status())?;
        Ok(reply)
    }

    /// Asks and follows redirects, by ourselves: the token must not travel, and what a `HEAD` is about stands in the
    /// hub's reply, not in the storage's.
    async fn follow(
        &self,
        repo: &Repo,
        what: &str,
        method: Method,
        mut url: Url,
        headers: HeaderMap,
        told: &mut Told,
    ) -> Result<Response, HubError> {
        for _ in 0..=MAX_REDIRECTS {
            let request = self.http.request(method.clone(), url.clone()).headers(headers.clone());
            // A compressed reply has another length.
            let request = request.header(ACCEPT_ENCODING, "identity");
            let request = if self.is_ours(&url) && !self.token.is_empty() {
                request.bearer_auth(self.token.reveal())
            } else {
                request
            };
            let sent = request.send().await.map_err(|error| unreachable(repo, what, chain(&error)))?;
            told.hear(sent.headers());
            // A large file's redirect says it all, and a storage may not answer `HEAD`; a small one's leads to another
            // place of the hub, which says it.
            let is_enough = method == Method::HEAD && told.linked_etag.is_some();
            if !matches!(sent.status().as_u16(), 301 | 302 | 303 | 307 | 308) || is_enough {
                return Ok(sent);
            }
            let to = sent.headers().get(LOCATION).and_then(|to| to.to_str().ok());
            let next = to.and_then(|to| url.join(to).ok()).filter(|next| matches!(next.scheme(), "http" | "https"));
            let next = next.ok_or_else(|| unreachable(repo, what, "it is redirected to nowhere".to_owned()))?;
            if next.scheme() == "http" && url.scheme() == "https" {
                // Anybody could listen, and change it.
                let host = next.host_str().unwrap_or_default();
                return Err(unreachable(repo, what, format!("it is redirected from https to http, to {host:.100}")));
            }
            url = next;
        }
        Err(unreachable(repo, what, format!("it is redirected more than {MAX_REDIRECTS} times")))
    }

    /// Whether the token may be shown there: at the hub's own address, or at the same host's safe one.
    fn is_ours(&self, url: &Url) -> bool {
        let (hub, plain) = (&self.endpoint, |url: &Url| url.port().is_none());
        let is_safer = hub.scheme() == "http" && url.scheme() == "https" && plain(hub) && plain(url);
        url.origin() == hub.origin() || (is_safer && url.host() == hub.host())
    }

    /// `{endpoint}/{before}/{repo}/{after}/{file}`, each part escaped; the file's slashes are its folders'.
    fn url(&self, before: &[&str], repo: &Repo, after: &[&str], file: &str) -> Url {
        let mut url = self.endpoint.clone();
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().extend(before).extend(repo.id().split('/')).extend(after);
            path.extend(file.split('/').filter(|part| !part.is_empty()));
        }
        url
    }
}

fn judged(repo: &Repo, what: &str, status: StatusCode) -> Result<(), HubError> {
    match status.as_u16() {
        401 | 403 => Err(HubError::Denied { repo: repo.clone(), status: status.as_u16() }),
        404 | 410 => Err(HubError::Missing { repo: repo.clone(), what: what.to_owned() }),
        200 | 206 => Ok(()),
        _ => Err(unreachable(repo, what, format!("the hub answered {status}"))),
    }
}

pub(super) fn unreachable(repo: &Repo, what: &str, reason: String) -> HubError {
    HubError::Unreachable { repo: repo.clone(), what: what.to_owned(), reason }
}

/// An error of the HTTP client with its causes, and without the address: a redirect's carries a signature.
pub(super) fn chain(error: &reqwest::Error) -> String {
    let mut said =
        vec![if error.is_timeout() { "no answer in time".to_owned() } else { "the connection failed".to_owned() }];
    let mut cause = std::error::Error::source(error);
    while let Some(inner) = cause {
        said.push(inner.to_string());
        cause = inner.source();
    }
    said.join(": ")
}

async fn bounded(mut reply: Response) -> Result<Vec<u8>, String> {
    let mut body = Vec::new();
    while let Some(part) = reply.chunk().await.map_err(|error| chain(&error))? {
        if body.len() + part.len() > MAX_LISTING {
            return Err(format!("its reply has more than {MAX_LISTING} bytes"));
        }
        body.extend_from_slice(&part);
    }
    Ok(body)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_token_is_shown_to_the_hubs_own_address_alone() {
        let shown = |hub: &str, url: &str| {
            let settings = HubSettings { hf_endpoint: hub.to_owned(), ..HubSettings::default() };
            Client::new(&settings).unwrap().is_ours(&Url::parse(url).unwrap())
        };
        assert!(shown("https://hub/mirror", "https://hub/other?x=1"));
        assert!(shown("http://hub", "https://hub/x"));
        for (hub, url) in [
            ("https://hub", "https://cdn.hub/x"),
            ("https://hub", "https://hub.evil/x"),
            ("https://hub", "http://hub/x"),
            ("https://hub", "https://hub:444/x"),
            ("http://hub:8080", "https://hub/x"),
        ] {
            assert!(!shown(hub, url), "{hub} {url}");
        }
    }
}
