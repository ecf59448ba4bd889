//! The queue of vectors that a server with `ASYNC_INDEXING=true` has accepted but not yet indexed.

use std::time::Duration;

use reqwest::Method;
use serde::Deserialize;
use tokio::time::Instant;

use super::error::parse_reply;
use crate::domain::CollectionName;
use crate::http::RestClient;
use crate::index::IndexError;

/// The interval between two checks of the queue: the first one, and the maximum.
const FIRST_POLL_INTERVAL: Duration = Duration::from_millis(50);
const MAX_POLL_INTERVAL: Duration = Duration::from_secs(2);
/// The maximum bytes of the reply, which has an entry for each shard of the class.
const MAX_NODES_BYTES: usize = 4 << 20;

/// The parts of the reply to `GET /v1/nodes/{class}?output=verbose` that are read.
#[derive(Debug, Deserialize)]
struct Nodes {
    #[serde(default)]
    nodes: Vec<Node>,
}

#[derive(Debug, Deserialize)]
struct Node {
    #[serde(default)]
    shards: Option<Vec<Shard>>,
}

#[derive(Debug, Deserialize)]
struct Shard {
    #[serde(default, rename = "vectorQueueLength")]
    queued: u64,
    #[serde(default, rename = "vectorIndexingStatus")]
    status: String,
}

impl Nodes {
    /// Returns the number of vectors that are not indexed yet.
    fn queued(&self) -> u64 {
        let shards = || self.nodes.iter().filter_map(|node| node.shards.as_ref()).flatten();
        let queued = shards().map(|shard| shard.queued).fold(0, u64::saturating_add);
        queued.max(u64::from(shards().any(|shard| shard.status == "INDEXING")))
    }
}

/// Waits until the queue of the collection's class is empty, at most `within`. Returns what is left of the queue.
pub(super) async fn wait_until_empty(
    rest: &RestClient,
    collection: &CollectionName,
    within: Duration,
) -> Result<Option<u64>, IndexError> {
    let (deadline, mut pause) = (Instant::now() + within, FIRST_POLL_INTERVAL);
    let class = collection.weaviate_class();
    loop {
        let request = rest.request(Method::GET, &["nodes", &class]).query(&[("output", "verbose")]);
        let queued = parse_reply::<Nodes>(&rest.send(request, MAX_NODES_BYTES).await?)?.queued();
        if queued == 0 {
            return Ok(None);
        }
        let now = Instant::now();
        if now >= deadline {
            return Ok(Some(queued));
        }
        tokio::time::sleep(pause.min(deadline - now)).await;
        pause = (pause * 2).min(MAX_POLL_INTERVAL);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_queue_length_is_the_sum_over_shards_and_an_indexing_shard_counts() {
        let queued = |json: &str| serde_json::from_str::<Nodes>(json).unwrap().queued();
        let shards = r#"{"nodes":[{"shards":[{"vectorQueueLength":3,"vectorIndexingStatus":"INDEXING"},
            {"vectorQueueLength":4}]},{"shards":null},{}]}"#;
        assert_eq!(queued(shards), 7);
        assert_eq!(queued(r#"{"nodes":[{"shards":[{"vectorIndexingStatus":"INDEXING"}]}]}"#), 1);
        assert_eq!(queued(r#"{"nodes":[{"shards":[{"vectorIndexingStatus":"LAZY_LOADING","loaded":false}]}]}"#), 0);
        assert_eq!(queued("{}"), 0);
    }
}
