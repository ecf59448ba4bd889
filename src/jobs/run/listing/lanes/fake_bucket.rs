//! A bucket in memory for the tests of lanes: it lists its keys in any order and can change while it is listed.

use std::cmp::Ordering;
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use async_trait::async_trait;
use futures::stream::{self, BoxStream, StreamExt};

use crate::domain::{ImageRef, ImageUri};
use crate::lock::lock;
use crate::source::{Fetched, ImageSource, ListedPage, NewObject, NextPage, Scope, SourceError};

/// An order of keys.
pub(super) type Order = fn(&str, &str) -> Ordering;

/// How a bucket treats `start_after`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum StartAfter {
    /// Lists the keys that come later in the order of the bucket.
    InOrder,
    /// Leaves out the keys that are not greater in the order of their bytes.
    Filters,
    Ignored,
    Refused,
}

/// Called before a page is listed, with its number.
type Change = Box<dyn FnMut(&mut BTreeSet<String>, usize) + Send>;

/// Called with the key after which a page begins; the page fails with the result.
type Failure = Box<dyn FnMut(&str) -> Option<SourceError> + Send>;

pub(super) struct Content {
    pub(super) keys: BTreeSet<String>,
    pub(super) page: usize,
    pub(super) order: Order,
    pub(super) start_after: StartAfter,
    pub(super) change: Option<Change>,
    pub(super) failure: Option<Failure>,
    /// How long a request takes.
    pub(super) request_time: Duration,
    /// Number of pages that were listed, and of requests for the first key after a text.
    pub(super) pages: usize,
    pub(super) probes: usize,
    running: usize,
    /// Maximum number of requests at the same time.
    pub(super) max_running: usize,
}

/// The bucket. Clones share its content.
#[derive(Clone)]
pub(super) struct FakeBucket(Arc<Mutex<Content>>);

impl FakeBucket {
    pub(super) fn new(keys: impl IntoIterator<Item = String>, page: usize) -> Self {
        Self(Arc::new(Mutex::new(Content {
            keys: keys.into_iter().collect(),
            page,
            order: str::cmp,
            start_after: StartAfter::InOrder,
            change: None,
            failure: None,
            request_time: Duration::ZERO,
            pages: 0,
            probes: 0,
            running: 0,
            max_running: 0,
        })))
    }

    pub(super) fn content(&self) -> MutexGuard<'_, Content> {
        lock(&self.0)
    }

    /// Returns a page that begins after a token, or after the `start_after` of the scope.
    async fn list_page(&self, scope: Scope, token: Option<String>, limit: usize) -> Result<ListedPage, SourceError> {
        let request_time = {
            let mut content = self.content();
            content.running += 1;
            content.max_running = content.max_running.max(content.running);
            content.request_time
        };
        // Other requests run in the meantime.
        for _ in 0..3 {
            tokio::task::yield_now().await;
        }
        if !request_time.is_zero() {
            tokio::time::sleep(request_time).await;
        }
        let mut content = self.content();
        content.running -= 1;
        let after = token.clone().or(scope.start_after.clone()).unwrap_or_default();
        if let Some(error) = content.failure.as_mut().and_then(|fails| fails(&after)) {
            return Err(error);
        }
        content.list(&scope, token, limit)
    }
}

impl Content {
    fn list(&self, scope: &Scope, token: Option<String>, limit: usize) -> Result<ListedPage, SourceError> {
        let order = self.order;
        let mut keys: Vec<&String> = self.keys.iter().filter(|key| key.starts_with(&scope.prefix)).collect();
        keys.sort_by(|one, other| order(one, other));
        if let Some(token) = token {
            keys.retain(|key| order(key, &token).is_gt());
        } else if let Some(after) = &scope.start_after {
            match self.start_after {
                StartAfter::InOrder => keys.retain(|key| order(key, after).is_gt()),
                StartAfter::Filters => keys.retain(|key| *key > after),
                StartAfter::Ignored => {}
                StartAfter::Refused => {
                    let (what, reason) = ("the bucket".to_owned(), "NotImplemented (501): start-after".to_owned());
                    return Err(SourceError::Refused { what, reason });
                }
            }
        }
        let has_more = keys.len() > limit;
        keys.truncate(limit);
        let next = keys.last().filter(|_| has_more).map_or(NextPage::End, |last| NextPage::Token((*last).clone()));
        let image = |key: &String| ImageRef {
            uri: ImageUri::new("b", key),
            etag: Some("e".to_owned()),
            size_bytes: 1,
            modified: None,
        };
        Ok(ListedPage { images: keys.into_iter().map(image).collect(), next, ..ListedPage::default() })
    }
}

#[async_trait]
impl ImageSource for FakeBucket {
    fn list(&self, scope: &Scope) -> BoxStream<'static, Result<ImageRef, SourceError>> {
        let pages = self.pages(scope, None).map(|page| match page {
            Ok(page) => page.images.into_iter().map(Ok).collect(),
            Err(error) => vec![Err(error)],
        });
        pages.flat_map(stream::iter).boxed()
    }

    fn pages(&self, scope: &Scope, from: Option<String>) -> BoxStream<'static, Result<ListedPage, SourceError>> {
        let start = Some((self.clone(), scope.clone(), from));
        stream::unfold(start, |state| async move {
            let (bucket, scope, token) = state?;
            let limit = {
                let mut content = bucket.content();
                content.pages += 1;
                let (pages, Content { keys, change, .. }) = (content.pages, &mut *content);
                if let Some(change) = change {
                    change(keys, pages);
                }
                content.page
            };
            let page = bucket.list_page(scope.clone(), token, limit).await;
            let rest = match &page {
                Ok(ListedPage { next: NextPage::Token(token), .. }) => Some((bucket, scope, Some(token.clone()))),
                Ok(_) | Err(_) => None,
            };
            Some((page, rest))
        })
        .boxed()
    }

    async fn first(&self, scope: &Scope, limit: u16) -> Result<Vec<ImageRef>, SourceError> {
        self.content().probes += 1;
        Ok(self.list_page(scope.clone(), None, limit.into()).await?.images)
    }

    async fn fetch(&self, image: &ImageRef) -> Result<Fetched, SourceError> {
        Err(SourceError::Missing(image.uri.clone()))
    }

    async fn fetch_file(&self, uri: &ImageUri, _: u64) -> Result<Fetched, SourceError> {
        Err(SourceError::Missing(uri.clone()))
    }

    async fn put(&self, uri: &ImageUri, _: NewObject) -> Result<Option<String>, SourceError> {
        Err(SourceError::Missing(uri.clone()))
    }
}
