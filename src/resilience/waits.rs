//! The pauses of one guarded call: after a failure, and in front of an open breaker.

use std::fmt::Display;
use std::time::Duration;

use tokio::time::Instant;

use super::waiting::Note;
use super::{CircuitOpen, Guard, Retryable, patience, retry_after};
use crate::domain::{DependencyError, Trouble};

/// The waits of one call.
pub(super) struct Waits<'a> {
    pub(super) guard: &'a Guard,
    pub(super) deadline: Option<Instant>,
    /// Where the patient say so.
    pub(super) note: Option<Note>,
    pub(super) last_words: Option<String>,
}

impl Waits<'_> {
    /// Waits for an open breaker, or fails on it.
    pub(super) async fn through<E: From<DependencyError>>(&mut self, open: CircuitOpen) -> Result<(), E> {
        let Some(note) = &mut self.note else {
            let trouble = Trouble::Unavailable { retry_after: open.retry_after };
            return Err(self.guard.trouble(trouble, open.to_string()).into());
        };
        note.wait(open.retry_after, self.last_words.clone().unwrap_or_else(|| open.to_string()));
        self.sleep(open.retry_after).await
    }

    /// Waits after a failed call: `pause`, or as long as the dependency asked for. Fails with its error where that
    /// is longer than there is time.
    pub(super) async fn out<E: Retryable + Display + From<DependencyError>>(
        &mut self,
        pause: Duration,
        error: E,
    ) -> Result<(), E> {
        let pause = error.retry_after().map_or(pause, |asked| retry_after::bounded(asked, pause));
        if self.deadline.is_some_and(|deadline| Instant::now() + pause >= deadline) {
            return Err(error);
        }
        if let Some(note) = &mut self.note {
            let words = error.to_string();
            if self.last_words.as_ref() != Some(&words) {
                tracing::warn!(dependency = %self.guard.dependency, error = words, "waited for");
            }
            note.wait(pause, words.clone());
            note.lacks_room(error.is_full());
            self.last_words = Some(words);
        }
        self.sleep(pause).await?;
        self.guard.retries.increment(1);
        Ok(())
    }

    /// # Errors
    /// [`Trouble::Unavailable`] if the caller is to stop.
    async fn sleep<E: From<DependencyError>>(&self, pause: Duration) -> Result<(), E> {
        match patience::unless_stopped(tokio::time::sleep(pause)).await {
            Some(()) => Ok(()),
            None => Err(self.guard.given_up(self.last_words.as_deref()).into()),
        }
    }
}
