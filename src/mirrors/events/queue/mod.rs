//! Events from a queue: the port [`EventQueue`], and the task that takes messages from it (`poll`).

mod log_limit;
mod poll;
mod tally;

use std::fmt::Debug;
use std::time::Duration;

use async_trait::async_trait;

/// A message of a queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueueMessage {
    /// The body.
    pub body: String,
    /// What [`EventQueue::delete`] needs. It is another one each time the message is received.
    pub receipt: String,
}

/// A queue that delivers each message at least once, in any order. A message that was received is hidden from other
/// receivers for a while, and is delivered again if it is not deleted in this time.
#[async_trait]
pub trait EventQueue: Debug + Send + Sync {
    /// Receives at most [`MAX_MESSAGES`] messages. Waits up to `wait` for the first one.
    ///
    /// # Errors
    /// [`QueueError`]
    async fn receive(&self, wait: Duration) -> Result<Vec<QueueMessage>, QueueError>;

    /// Deletes at most [`MAX_MESSAGES`] messages. Returns how many could not be deleted, with the reason
    /// of one of them: they are delivered again.
    ///
    /// # Errors
    /// [`QueueError`] if none could be deleted.
    async fn delete(&self, receipts: &[String]) -> Result<Option<(usize, String)>, QueueError>;
}

/// Maximum number of messages in one call.
pub const MAX_MESSAGES: usize = 10;

/// Why a call of the queue failed. The texts are for the operator.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum QueueError {
    /// The queue does not exist.
    #[error("the queue does not exist ({0})")]
    Missing(String),
    /// No credentials were found.
    #[error("no credentials were found for the queue: {0}")]
    NoCredentials(String),
    /// The credentials may not use the queue.
    #[error("the credentials may not use the queue ({0})")]
    Denied(String),
    /// The queue refuses the request for another reason.
    #[error("the queue refuses the request ({0})")]
    Refused(String),
    /// The queue does not answer, or is busy.
    #[error("the queue does not answer: {0}")]
    Unavailable(String),
}
