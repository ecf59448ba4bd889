//! The hub's routes over HTTP.

use std::time::Duration;

use reqwest::header::{ACCEPT_ENCODING, CONTENT_RANGE, ETAG, HeaderMap, LOCATION, RANGE};
use reqwest::{Method, Response, StatusCode, Url, redirect};
use serde::Deserialize;

use super::cache::is_commit;
use super::{HubError, HubSettings, Repo};
use crate::domain::Secret;

const CONNECT: Duration = Duration::from_secs(10);
/// How long a reply, or the next part of a file, may take.
const SILENCE: Duration = Duration::from_secs(30);
/// From the hub to its storage is one step; more than a few lead in a circle.
const MAX_REDIRECTS: usize = 5;
const MAX_LISTING: usize = 16 * 1024 * 1024;
const MAX_FILE: u64 = 16 * 1024 * 1024 * 1024;

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

/// What the hub says of a file.
pub(super) struct Facts {
    /// The name of its blob.
    pub(super) etag: String,
    pub(super) size: u64,
}

impl Facts {
    /// What its bytes must sum up to: known of large files, whose etag it is.
    pub(super) fn sha256(&self) -> Option<&str> {
        Some(&*self.etag).filter(|etag| etag.len() == 64 && etag.bytes().all(|byte| byte.is_ascii_hexdigit()))
    }
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
        Ok(Self { http, endpoint, token: settings.hf_token.clone() })
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

    /// A file's etag and size, without its bytes.
    pub(super) async fn facts(&self, repo: &Repo, commit: &str, file: &str) -> Result<Facts, HubError> {
        let url = self.url(&[], repo, &["resolve", commit], file);
        let reply = self.ask(repo, file, Method::HEAD, url, HeaderMap::new()).await?;
        let seen = |reason: &str| unreachable(repo, file, reason.to_owned());
        let text = |name: &str| reply.headers().get(name).and_then(|value| value.to_str().ok());
        let etag = text("x-linked-etag").or_else(|| text(ETAG.as_str())).ok_or_else(|| seen("it has no etag"))?;
        let etag = etag.trim_start_matches("W/").trim_matches('"').to_owned();
        // It becomes the name of a file.
        if !(1..=128).contains(&etag.len()) || !etag.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-') {
            return Err(seen("its etag is none"));
        }
        let size = text("x-linked-size").or_else(|| text("content-length")).and_then(|size| size.parse().ok());
        let size = size.ok_or_else(|| seen("its size is not said"))?;
        if size > MAX_FILE {
            let reason = format!("{file} has {size} bytes, more than the {MAX_FILE} that are fetched");
            return Err(HubError::Unfit { repo: repo.clone(), reason });
        }
        Ok(Facts { etag, size })
    }

    /// The file's bytes from `from` on, and where they really begin: a server that knows no ranges begins at 0.
    pub(super) async fn bytes(
        &self,
        repo: &Repo,
        commit: &str,
        file: &str,
        from: u64,
    ) -> Result<(u64, Response), HubError> {
        let url = self.url(&[], repo, &["resolve", commit], file);
        let mut headers = HeaderMap::new();
        if from > 0 {
            let range = format!("bytes={from}-").parse();
            headers.insert(RANGE, range.map_err(|_| unreachable(repo, file, "no such range".to_owned()))?);
        }
        let reply = self.ask(repo, file, Method::GET, url, headers).await?;
        if reply.status() != StatusCode::PARTIAL_CONTENT {
            return Ok((0, reply));
        }
        let range = reply.headers().get(CONTENT_RANGE).and_then(|range| range.to_str().ok());
        let begin = range.and_then(|range| range.strip_prefix("bytes ")?.split('-').next()?.parse::<u64>().ok());
        if begin == Some(from) {
            Ok((from, reply))
        } else {
            Err(unreachable(repo, file, format!("it was asked to go on at {from} and answered with {range:?}")))
        }
    }

    /// Asks and follows redirects, by ourselves: the token must not travel, and what a `HEAD` is about stands in the
    /// first reply, not in the storage's.
    async fn ask(
        &self,
        repo: &Repo,
        what: &str,
        method: Method,
        mut url: Url,
        headers: HeaderMap,
    ) -> Result<Response, HubError> {
        for _ in 0..=MAX_REDIRECTS {
            let request = self.http.request(method.clone(), url.clone()).headers(headers.clone());
            // A compressed reply has another length.
            let request = request.header(ACCEPT_ENCODING, "identity");
            let ours = url.origin() == self.endpoint.origin() && !self.token.is_empty();
            let request = if ours { request.bearer_auth(self.token.reveal()) } else { request };
            let sent = request.send().await.map_err(|error| unreachable(repo, what, chain(&error)))?;
            // A large file's redirect says it all; a small one's leads to another place of the hub, which does.
            let all = ["x-linked-etag", "x-linked-size"].iter().all(|name| sent.headers().contains_key(*name));
            if !sent.status().is_redirection() || (method == Method::HEAD && all) {
                return judged(repo, what, sent);
            }
            let to = sent.headers().get(LOCATION).and_then(|to| to.to_str().ok());
            let next = to.and_then(|to| url.join(to).ok()).filter(|next| matches!(next.scheme(), "http" | "https"));
            // Never from a safe connection to one that anybody may listen to.
            let next = next.filter(|next| next.scheme() == "https" || url.scheme() == "http");
            url = next.ok_or_else(|| unreachable(repo, what, "it is redirected to nowhere".to_owned()))?;
        }
        Err(unreachable(repo, what, "it is redirected in a circle".to_owned()))
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

fn judged(repo: &Repo, what: &str, reply: Response) -> Result<Response, HubError> {
    let status = reply.status();
    match status.as_u16() {
        401 | 403 => Err(HubError::Denied { repo: repo.clone(), status: status.as_u16() }),
        404 | 410 => Err(HubError::Missing { repo: repo.clone(), what: what.to_owned() }),
        _ if status.is_client_error() || status.is_server_error() => {
            Err(unreachable(repo, what, format!("the hub answered {status}")))
        }
        _ => Ok(reply),
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
