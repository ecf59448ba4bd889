//! A cluster with scripted replies, for tests.

use std::collections::VecDeque;
use std::sync::Mutex;

use async_trait::async_trait;

use crate::jobs::placing::cluster::{Cluster, ClusterError, ClusterVersion, Placed, Placement};

pub(crate) type ClusterReply = Result<Placed, ClusterError>;

/// Returns these statuses one after the other, and then always the last one.
#[derive(Debug, Default)]
pub(crate) struct Script {
    replies: Mutex<VecDeque<ClusterReply>>,
    pub(crate) submits: Mutex<VecDeque<Result<(), ClusterError>>>,
    /// The calls, in order.
    calls: Mutex<Vec<String>>,
    pub(crate) tokens: Mutex<Vec<String>>,
}

impl Script {
    pub(crate) fn with_statuses(replies: impl IntoIterator<Item = ClusterReply>) -> Self {
        Self { replies: Mutex::new(replies.into_iter().collect()), ..Self::default() }
    }

    /// Returns `reply` once, at the next request for a status.
    pub(crate) fn reply_next(&self, reply: ClusterReply) {
        self.replies.lock().unwrap().push_front(reply);
    }

    fn note(&self, what: &str, submission: &str) {
        let generation = submission.rsplit('-').next().unwrap_or_default();
        self.calls.lock().unwrap().push(format!("{what} {generation}"));
    }

    pub(crate) fn calls(&self, what: &str) -> Vec<String> {
        let matches = |call: &&String| call.starts_with(what);
        self.calls.lock().unwrap().iter().filter(matches).cloned().collect()
    }
}

#[async_trait]
impl Cluster for Script {
    fn workers(&self) -> u32 {
        4
    }

    async fn check(&self) -> Result<ClusterVersion, ClusterError> {
        Ok(ClusterVersion { name: "script".into(), warning: None })
    }

    async fn submit(&self, placement: &Placement) -> Result<(), ClusterError> {
        self.note("submit", &placement.submission);
        self.tokens.lock().unwrap().push(placement.token.reveal().to_owned());
        self.submits.lock().unwrap().pop_front().unwrap_or(Ok(()))
    }

    async fn status(&self, submission: &str) -> ClusterReply {
        self.note("status", submission);
        let mut replies = self.replies.lock().unwrap();
        if replies.len() > 1 { replies.pop_front().unwrap() } else { replies[0].clone() }
    }

    async fn stop(&self, submission: &str) -> Result<(), ClusterError> {
        self.note("stop", submission);
        Ok(())
    }
}
