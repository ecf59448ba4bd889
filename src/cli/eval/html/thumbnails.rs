//! The thumbnails of a page, as data URLs.

use std::collections::{BTreeSet, HashMap};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use futures::stream::{self, StreamExt};

use crate::cli::client::Client;
use crate::cli::out;

/// Number of concurrent requests.
const CONCURRENCY: usize = 4;
/// The largest thumbnail. A JPEG of 256 x 256 pixels has about 12 kB.
const MAX_THUMBNAIL_BYTES: usize = 96 * 1024;
/// All thumbnails together have at most as many bytes.
const MAX_BYTES: usize = 12 * 1024 * 1024;

/// Thumbnails by the id of their image.
pub(super) type Thumbnails = HashMap<String, String>;

/// Fetches thumbnails from the service. An image without one, for example because it is not in the collection, is left
/// out.
pub(super) async fn fetch(client: &Client, collection: &str, ids: BTreeSet<String>) -> Thumbnails {
    let bar = out::bar("thumbnails", ids.len() as u64);
    let fetched = stream::iter(ids)
        .map(|id| async {
            let bytes = client.download(&["images", &id, "thumbnail"], &[("collection", collection)]).await;
            bar.inc(1);
            (id, bytes.ok().filter(|bytes| bytes.len() <= MAX_THUMBNAIL_BYTES))
        })
        .buffered(CONCURRENCY);
    let mut fetched = std::pin::pin!(fetched);
    let (mut thumbnails, mut total) = (Thumbnails::new(), 0);
    while let Some((id, bytes)) = fetched.next().await {
        let Some(bytes) = bytes else { continue };
        total += bytes.len();
        if total > MAX_BYTES {
            break;
        }
        thumbnails.insert(id, format!("data:image/jpeg;base64,{}", STANDARD.encode(bytes)));
    }
    bar.finish_and_clear();
    thumbnails
}
