//! A listing that continues after a failed page: with the token of the last page or, if the source has no tokens, after
//! its last key.

use std::sync::Arc;

use futures::stream::{self, StreamExt};

use super::Pages;
use crate::resilience::{Guard, Retryable};
use crate::source::{ImageSource, ListedPage, NextPage, Scope, SourceError};

/// The guards of a listing.
pub(super) struct Guards {
    /// For the first page.
    pub(super) open: Guard,
    /// After a failure. All listings share its permit.
    pub(super) reopen: Guard,
}

struct Listing {
    inner: Arc<dyn ImageSource>,
    guards: Guards,
    scope: Scope,
    from: Option<String>,
    /// `None` before the first page.
    pages: Option<Pages>,
}

/// Returns the pages of a scope, starting at the token `from` if there is one. Ends after the first error.
pub(super) fn pages(inner: Arc<dyn ImageSource>, guards: Guards, scope: Scope, from: Option<String>) -> Pages {
    let start = Listing { inner, guards, scope, from, pages: None };
    stream::unfold(Some(start), |listing| async move {
        let mut listing = listing?;
        let next = listing.next().await?;
        let rest = next.is_ok().then_some(listing);
        Some((next, rest))
    })
    .boxed()
}

impl Listing {
    async fn next(&mut self) -> Option<Result<ListedPage, SourceError>> {
        let next = match &mut self.pages {
            Some(pages) => pages.next().await.map(|page| page.map(|page| (page, None))),
            None => self.open(self.guards.open.clone(), |_| false).await,
        };
        let next = match next {
            // Only opening goes through the breaker: a page that was already received shows nothing about the service,
            // so it must not close the breaker or be its probe.
            Some(Err(error)) if error.is_retryable() => self.open(self.guards.reopen.clone(), |_| true).await,
            next => next,
        };
        let (page, opened) = match next? {
            Ok(page) => page,
            Err(error) => return Some(Err(error)),
        };
        self.pages = opened.or(self.pages.take());
        self.remember_position(&page);
        Some(Ok(page))
    }

    fn remember_position(&mut self, page: &ListedPage) {
        match &page.next {
            NextPage::Token(token) => self.from = Some(token.clone()),
            NextPage::AfterLastKey => {
                let last = page.images.last().map(|image| image.uri.key().to_owned());
                self.scope.start_after = last.or(self.scope.start_after.take());
            }
            NextPage::End => {}
        }
    }

    /// Opens a new listing of the rest and returns its first page. Tries again after an error for which `again` returns
    /// `true`.
    async fn open(
        &mut self,
        guard: Guard,
        again: impl FnMut(&SourceError) -> bool,
    ) -> Option<Result<(ListedPage, Option<Pages>), SourceError>> {
        let (inner, scope, from) = (&self.inner, &self.scope, &self.from);
        let opened = guard.call_while(again, || async move {
            let mut pages = inner.pages(scope, from.clone());
            let first = pages.next().await.transpose()?;
            Ok::<_, SourceError>(first.map(|first| (first, Some(pages))))
        });
        opened.await.transpose()
    }
}
