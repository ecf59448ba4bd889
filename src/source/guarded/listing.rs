//! A listing that continues after a failed page: with the token of the last page or, if the source has no tokens, after
//! its last key.

use std::sync::Arc;

use futures::stream::{self, StreamExt};

use super::Pages;
use crate::resilience::{Guard, Retryable};
use crate::source::{ImageSource, ListedPage, NextPage, Scope, SourceError};

struct Listing {
    inner: Arc<dyn ImageSource>,
    guard: Guard,
    scope: Scope,
    from: Option<String>,
    /// `None` before the first page.
    pages: Option<Pages>,
}

/// Returns the pages of a scope, starting at the token `from` if there is one. Ends after the first error.
pub(super) fn pages(inner: Arc<dyn ImageSource>, guard: Guard, scope: Scope, from: Option<String>) -> Pages {
    let start = Listing { inner, guard, scope, from, pages: None };
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
            Some(pages) => pages.next().await,
            None => self.open().await.transpose(),
        };
        let next = match next {
            // Only opening goes through the breaker: a page that was already received shows nothing about the service,
            // so it must not close the breaker or be its probe.
            Some(Err(error)) if error.is_retryable() => self.open().await.transpose(),
            next => next,
        };
        if let Some(Ok(page)) = &next {
            self.remember_position(page);
        }
        next
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

    /// Opens a new listing of the rest and returns its first page.
    async fn open(&mut self) -> Result<Option<ListedPage>, SourceError> {
        let (inner, scope, from) = (&self.inner, &self.scope, &self.from);
        let opened = self.guard.call(|| async move {
            let mut pages = inner.pages(scope, from.clone());
            let first = pages.next().await.transpose()?;
            Ok::<_, SourceError>((first, pages))
        });
        let (first, pages) = opened.await?;
        self.pages = Some(pages);
        Ok(first)
    }
}
