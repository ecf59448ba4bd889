//! HTTP client of the hub's routes.

use std::time::Duration;

use reqwest::header::{
    ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE, ETAG, HeaderMap, HeaderValue, LOCATION, RANGE,
    TRANSFER_ENCODING,
};
use reqwest::{Method, Response, StatusCode, Url, Version};
use serde::Deserialize;
use sha2::{Digest, Sha256};

use super::cache::is_commit;
use super::facts::{FileFacts, LinkedHeaders, Size, limit, plain_etag};
use super::{HubError, HubSettings, Repo, token};
use crate::domain::Secret;
use crate::http::{BodyError, client_builder, join, parse_json, read_body};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Timeout of a reply, and of each next part of a file.
const READ_TIMEOUT: Duration = Duration::from_secs(30);
/// The hub redirects once to its storage, a mirror a few times. More redirects are a loop.
const MAX_REDIRECTS: usize = 10;
const MAX_LISTING_BYTES: usize = 16 * 1024 * 1024;

/// Range of a whole file.
const WHOLE_FILE: HeaderValue = HeaderValue::from_static("bytes=0-");

/// A client of the hub. The token is sent only to the hub's own address, never to the target of a redirect.
#[derive(Debug)]
pub(super) struct Client {
    http: reqwest::Client,
    endpoint: Url,
    token: Secret,
}

/// The files of a repository at a revision.
pub(super) struct Listing {
    pub(super) commit: String,
    pub(super) names: Vec<String>,
}

/// A download in progress.
pub(super) struct Bytes {
    pub(super) reply: Response,
    /// Position of the first byte. A server without support for ranges begins at 0.
    pub(super) from: u64,
    /// Size of the whole file in bytes, if the reply contains it.
    pub(super) total: Option<u64>,
    /// Whether the reply has a marked end, so that a connection that breaks too early is an error. False if the end of
    /// the connection is the end of the reply.
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
        let endpoint = settings.hf_endpoint.url().clone();
        let http = client_builder(&endpoint).connect_timeout(CONNECT_TIMEOUT).read_timeout(READ_TIMEOUT).build();
        let http = http.map_err(|error| HubError::Settings(format!("cannot create the HTTP client: {error}")))?;
        Ok(Self { http, endpoint, token: token::token(settings) })
    }

    /// Returns the commit and the files of the revision.
    pub(super) async fn listing(&self, repo: &Repo) -> Result<Listing, HubError> {
        let what = "the list of files";
        let url = self.url(&["api", "models"], repo, &["revision", repo.revision()], "");
        let reply = self.send_checked(repo, what, Method::GET, url, HeaderMap::new()).await?;
        let failed = |reason: String| unreachable(repo, what, reason);
        let body = read_body(reply, MAX_LISTING_BYTES).await.map_err(|error| match error {
            BodyError::Connection(error) => failed(chain(&error)),
            BodyError::TooLong(_) => failed(error.to_string()),
        })?;
        let reply: RepoReply = parse_json(&body).map_err(failed)?;
        if !is_commit(&reply.sha) {
            return Err(failed("the reply does not contain a commit".to_owned()));
        }
        Ok(Listing { commit: reply.sha, names: reply.siblings.into_iter().map(|sibling| sibling.rfilename).collect() })
    }

    /// Returns the etag and size of a file without downloading it. The size may be unknown.
    pub(super) async fn facts(&self, repo: &Repo, commit: &str, file: &str) -> Result<FileFacts, HubError> {
        let url = self.url(&[], repo, &["resolve", commit], file);
        let mut linked = LinkedHeaders::default();
        let reply = self.follow(repo, file, Method::HEAD, url, HeaderMap::new(), &mut linked).await?;
        let status = reply.status();
        // A storage may not support `HEAD`, and signed URLs may be valid for `GET` only.
        let has_no_facts = matches!(status.as_u16(), 400 | 405 | 501)
            || (status.is_client_error() && reply.url().origin() != self.endpoint.origin());
        let text = |name| reply.headers().get(name).and_then(|value: &HeaderValue| value.to_str().ok());
        let (etag, length) = if has_no_facts || status.is_redirection() {
            (None, None)
        } else {
            check_status(repo, file, status)?;
            // Some servers send length 0 for a stream.
            let length = text(CONTENT_LENGTH).and_then(|size| size.parse().ok()).filter(|size| *size > 0);
            (text(ETAG).and_then(plain_etag), length)
        };
        let size = match (linked.linked_size, length) {
            (Some(size), _) => Size::Exact(size),
            (None, Some(size)) => Size::Likely(size),
            (None, None) => Size::Unknown,
        };
        if let Some(size) = size.number().filter(|size| *size > limit(file)) {
            let reason = format!("{file} has {size} bytes; the limit is {}", limit(file));
            return Err(HubError::Unfit { repo: repo.clone(), reason });
        }
        // The content of a file at a commit never changes, so commit and file identify it like an etag.
        let derived_etag = || hex::encode(&Sha256::digest(format!("{commit}/{file}"))[..20]);
        Ok(FileFacts { etag: linked.linked_etag.or(etag).unwrap_or_else(derived_etag), size })
    }

    /// Downloads the file from byte `from`; `None` if the server replies that no bytes follow.
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
            headers.insert(RANGE, HeaderValue::try_from(format!("bytes={from}-")).unwrap_or(WHOLE_FILE));
        }
        let reply = self.follow(repo, file, Method::GET, url, headers, &mut LinkedHeaders::default()).await?;
        if from > 0 && reply.status() == StatusCode::RANGE_NOT_SATISFIABLE {
            return Ok(None);
        }
        check_status(repo, file, reply.status())?;
        let failed = |reason: String| unreachable(repo, file, reason);
        let text = |name| reply.headers().get(name).and_then(|value: &HeaderValue| value.to_str().ok());
        if let Some(encoding) = text(CONTENT_ENCODING).filter(|encoding| !encoding.eq_ignore_ascii_case("identity")) {
            return Err(failed(format!("the reply has the encoding {encoding:.40}, which was not requested")));
        }
        let has_end = reply.content_length().is_some()
            || reply.version() > Version::HTTP_11
            || text(TRANSFER_ENCODING).is_some_and(|encoding| encoding.to_ascii_lowercase().contains("chunked"));
        let (from, total) = if reply.status() == StatusCode::PARTIAL_CONTENT {
            let range = text(CONTENT_RANGE).and_then(|range| range.trim().strip_prefix("bytes ")).map(str::trim);
            let begin = range.and_then(|range| range.split('-').next()?.parse::<u64>().ok());
            if begin != Some(from) {
                return Err(failed(format!("bytes from {from} were requested, but the reply has the range {range:?}")));
            }
            (from, range.and_then(|range| range.rsplit('/').next()?.parse().ok()))
        } else {
            (0, reply.content_length())
        };
        Ok(Some(Bytes { reply, from, total, has_end }))
    }

    async fn send_checked(
        &self,
        repo: &Repo,
        what: &str,
        method: Method,
        url: Url,
        headers: HeaderMap,
    ) -> Result<Response, HubError> {
        let reply = self.follow(repo, what, method, url, headers, &mut LinkedHeaders::default()).await?;
        check_status(repo, what, reply.status())?;
        Ok(reply)
    }

    /// Sends a request and follows redirects. The HTTP client does not do this, because the token must not be sent to
    /// another host, and the reply to `HEAD` with the facts of a file is the hub's own, not the storage's.
    async fn follow(
        &self,
        repo: &Repo,
        what: &str,
        method: Method,
        mut url: Url,
        headers: HeaderMap,
        linked: &mut LinkedHeaders,
    ) -> Result<Response, HubError> {
        for _ in 0..=MAX_REDIRECTS {
            let request = self.http.request(method.clone(), url.clone()).headers(headers.clone());
            // The length of a compressed reply is not the length of the file.
            let request = request.header(ACCEPT_ENCODING, "identity");
            let request = if self.may_get_token(&url) && !self.token.is_empty() {
                request.bearer_auth(self.token.reveal())
            } else {
                request
            };
            let sent = request.send().await.map_err(|error| unreachable(repo, what, chain(&error)))?;
            linked.record(sent.headers());
            // For a large file the redirect already contains the facts, and the storage may not answer `HEAD`. For a
            // small file the redirect leads to another route of the hub, which returns the facts.
            let is_enough = method == Method::HEAD && linked.linked_etag.is_some();
            if !matches!(sent.status().as_u16(), 301 | 302 | 303 | 307 | 308) || is_enough {
                return Ok(sent);
            }
            let to = sent.headers().get(LOCATION).and_then(|to| to.to_str().ok());
            let next = to.and_then(|to| url.join(to).ok()).filter(|next| matches!(next.scheme(), "http" | "https"));
            let next = next.ok_or_else(|| unreachable(repo, what, "the redirect has no valid target".to_owned()))?;
            if next.scheme() == "http" && url.scheme() == "https" {
                // Others could read and change the data.
                let host = next.host_str().unwrap_or_default();
                return Err(unreachable(repo, what, format!("it is redirected from https to http (host {host:.100})")));
            }
            url = next;
        }
        Err(unreachable(repo, what, format!("it is redirected more than {MAX_REDIRECTS} times")))
    }

    /// Whether the token may be sent to `url`: the hub's own origin, or the same host with https.
    fn may_get_token(&self, url: &Url) -> bool {
        let (hub, default_port) = (&self.endpoint, |url: &Url| url.port().is_none());
        let is_upgrade = hub.scheme() == "http" && url.scheme() == "https" && default_port(hub) && default_port(url);
        url.origin() == hub.origin() || (is_upgrade && url.host() == hub.host())
    }

    /// Builds `{endpoint}/{before}/{repo}/{after}/{file}` with each part escaped. Slashes in `file` separate folders.
    fn url(&self, before: &[&str], repo: &Repo, after: &[&str], file: &str) -> Url {
        let repo = repo.id().split('/');
        let file = file.split('/').filter(|part| !part.is_empty());
        join(&self.endpoint, before.iter().copied().chain(repo).chain(after.iter().copied()).chain(file))
    }
}

fn check_status(repo: &Repo, what: &str, status: StatusCode) -> Result<(), HubError> {
    match status.as_u16() {
        401 | 403 => Err(HubError::Denied { repo: repo.clone(), status: status.as_u16() }),
        404 | 410 => Err(HubError::Missing { repo: repo.clone(), what: what.to_owned() }),
        200 | 206 => Ok(()),
        _ => Err(unreachable(repo, what, format!("the hub replied {status}"))),
    }
}

pub(super) fn unreachable(repo: &Repo, what: &str, reason: String) -> HubError {
    HubError::Unreachable { repo: repo.clone(), what: what.to_owned(), reason }
}

/// Formats an error of the HTTP client with its causes. Omits the URL, because the target of a redirect contains a
/// signature.
pub(super) fn chain(error: &reqwest::Error) -> String {
    let mut messages =
        vec![if error.is_timeout() { "no answer in time".to_owned() } else { "the connection failed".to_owned() }];
    let mut cause = std::error::Error::source(error);
    while let Some(inner) = cause {
        messages.push(inner.to_string());
        cause = inner.source();
    }
    messages.join(": ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_token_is_sent_only_to_the_hubs_own_address() {
        let may_get_token = |hub: &str, url: &str| {
            let settings = HubSettings { hf_endpoint: hub.parse().unwrap(), ..HubSettings::default() };
            Client::new(&settings).unwrap().may_get_token(&Url::parse(url).unwrap())
        };
        assert!(may_get_token("https://hub/mirror", "https://hub/other?x=1"));
        assert!(may_get_token("http://hub", "https://hub/x"));
        for (hub, url) in [
            ("https://hub", "https://cdn.hub/x"),
            ("https://hub", "https://hub.evil/x"),
            ("https://hub", "http://hub/x"),
            ("https://hub", "https://hub:444/x"),
            ("http://hub:8080", "https://hub/x"),
        ] {
            assert!(!may_get_token(hub, url), "{hub} {url}");
        }
    }
}
