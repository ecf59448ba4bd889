//! Indexes of the numbers and dates of metadata. They are created when a key is first written.

use std::collections::{BTreeMap, BTreeSet};

use qdrant_client::qdrant::{CreateFieldIndexCollectionBuilder, FieldType};

use super::collection::server_name;
use super::error::Fault;
use super::record::{date_path, is_typed_path, number_path};
use super::{QdrantIndex, schema};
use crate::domain::{CollectionName, ImageRecord, parse_date, parse_number};
use crate::index::IndexError;
use crate::lock::lock;

/// Maximum number of these indexes in a collection. The values of further keys are found without an index: slower, with
/// the same result.
const MAX_INDEXES: usize = 32;

/// Creates the indexes that the metadata of these records needs.
pub(super) async fn create_missing(
    index: &QdrantIndex,
    collection: &CollectionName,
    records: &[ImageRecord],
) -> Result<(), IndexError> {
    let needed = paths(records);
    if needed.is_empty() {
        return Ok(());
    }
    let cached = lock(&index.typed_indexes).get(collection).cloned();
    let mut existing = match cached {
        Some(existing) => existing,
        None => existing_paths(index, collection).await?,
    };
    for (path, kind) in needed {
        if existing.len() >= MAX_INDEXES || existing.contains(&path) {
            continue;
        }
        // Without `wait`, because the server may need minutes for the records that exist already.
        let request = CreateFieldIndexCollectionBuilder::new(server_name(collection), &path, kind).wait(false);
        match index.client.call(index.client.qdrant().create_field_index(request)).await {
            Ok(_) => {}
            Err(Fault::Limit(limit)) => {
                tracing::info!(%collection, path, reply = limit.message, "Qdrant allows no further index");
            }
            Err(fault) => return Err(index.index_error(collection, fault)),
        }
        existing.insert(path);
    }
    lock(&index.typed_indexes).insert(collection.clone(), existing);
    Ok(())
}

/// Returns the paths of all numbers and dates in the metadata, and the types of their indexes.
fn paths(records: &[ImageRecord]) -> BTreeMap<String, FieldType> {
    let pairs = records.iter().flat_map(|record| &record.payload.meta);
    let typed = pairs.flat_map(|(key, text)| {
        let number = parse_number(text).map(|_| (number_path(key), FieldType::Float));
        number.into_iter().chain(parse_date(text).map(|_| (date_path(key), FieldType::Datetime)))
    });
    typed.collect()
}

async fn existing_paths(index: &QdrantIndex, collection: &CollectionName) -> Result<BTreeSet<String>, IndexError> {
    let found = schema::find(&index.client, collection).await?;
    let found = found.ok_or_else(|| index.index_error(collection, Fault::Unknown))?;
    Ok(found.indexed.into_iter().filter(|path| is_typed_path(path)).collect())
}
