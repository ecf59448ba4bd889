//! The queue of vectors that a server with `ASYNC_INDEXING=true` has taken and not yet put into its index.

use std::time::Duration;

use reqwest::Method;
use serde::Deserialize;
use tokio::time::Instant;

use super::rest::{Rest, parsed};
use crate::domain::CollectionName;
use crate::index::IndexError;

/// Until the queue is looked at again, the first time and at most.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);
/// One entry for each shard of a class.
const NODES_BYTES: usize = 4 << 20;

/// `GET /v1/nodes/{class}?output=verbose`, as far as it is looked at.
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
    /// Vectors that are not in the index yet.
    fn queued(&self) -> u64 {
        let shards = || self.nodes.iter().filter_map(|node| node.shards.as_ref()).flatten();
        let queued = shards().map(|shard| shard.queued).fold(0, u64::saturating_add);
        queued.max(u64::from(shards().any(|shard| shard.status == "INDEXING")))
    }
}

/// Waits until the queue of the collection's class is empty, at most `within`. What is left of it is the answer.
pub(super) async fn settled(
    rest: &Rest,
    collection: &CollectionName,
    within: Duration,
) -> Result<Option<u64>, IndexError> {
    let (deadline, mut pause) = (Instant::now() + within, FIRST_PAUSE);
    let class = collection.weaviate_class();
    loop {
        let reply = rest.ask(Method::GET, &["nodes", &class], Some("output=verbose"), None, NODES_BYTES).await?;
        let queued = parsed::<Nodes>(&reply.body?)?.queued();
        if queued == 0 {
            return Ok(None);
        }
        let now = Instant::now();
        if now >= deadline {
            return Ok(Some(queued));
        }
        tokio::time::sleep(pause.min(deadline - now)).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_queues_of_all_shards_are_added_and_a_shard_that_indexes_counts() {
        let queued = |json: &str| serde_json::from_str::<Nodes>(json).unwrap().queued();
        let shards = r#"{"nodes":[{"shards":[{"vectorQueueLength":3,"vectorIndexingStatus":"INDEXING"},
            {"vectorQueueLength":4}]},{"shards":null},{}]}"#;
        assert_eq!(queued(shards), 7);
        assert_eq!(queued(r#"{"nodes":[{"shards":[{"vectorIndexingStatus":"INDEXING"}]}]}"#), 1);
        assert_eq!(queued(r#"{"nodes":[{"shards":[{"vectorIndexingStatus":"LAZY_LOADING","loaded":false}]}]}"#), 0);
        assert_eq!(queued("{}"), 0);
    }
}
