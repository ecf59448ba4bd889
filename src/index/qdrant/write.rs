//! Writes and deletes records. The dimensions are checked before anything is sent, the size of requests is bounded, and
//! if the server refuses a request, the record that it refuses is found.

use qdrant_client::qdrant::{DeletePointsBuilder, PointsIdsList, UpsertPointsBuilder};

use super::collection::server_name;
use super::error::Fault;
use super::limit::{Bound, Limit};
use super::{QdrantIndex, lower_limit, record, typed_indexes};
use crate::domain::{CollectionName, ImageId, ImageRecord, Payload};
use crate::index::IndexError;
use crate::index::shared::{check_dimensions, last_of_each_id};

/// The maximum number of points in one request.
const MAX_POINTS: usize = 256;
/// The approximate maximum of their bytes: far below the limits of a server, and small enough for the time limit of a
/// call.
const MAX_BYTES: usize = 4 * 1024 * 1024;
/// Bytes of field names, ids and other constant parts of each point.
const POINT_OVERHEAD_BYTES: usize = 512;
/// Ids in one delete request.
const IDS_PER_DELETE: usize = 10_000;

pub(super) async fn upsert(
    index: &QdrantIndex,
    collection: &CollectionName,
    records: &[ImageRecord],
) -> Result<(), IndexError> {
    if records.is_empty() {
        return Ok(());
    }
    index.client.recheck_version().await?;
    check_records(index, collection, records).await?;
    typed_indexes::create_missing(index, collection, records).await?;
    for request in requests(records) {
        // The next request is on top.
        let mut pending = vec![&request[..]];
        while let Some(records) = pending.pop() {
            if let Some((first, rest)) = split_to_limits(index, records) {
                pending.extend([rest, first]);
                continue;
            }
            match send(index, collection, records).await {
                Ok(()) => {}
                Err(Fault::Limit(limit)) => {
                    record_limit(index, &limit, records)?;
                    pending.push(records);
                }
                Err(Fault::Invalid(reason)) => {
                    // The collection may have been dropped and created again with another dimension.
                    index.forget(collection);
                    check_records(index, collection, records.iter().copied()).await?;
                    let [record] = records else {
                        let (first, second) = records.split_at(records.len() / 2);
                        pending.extend([second, first]);
                        continue;
                    };
                    return Err(IndexError::Rejected { id: record.id, reason });
                }
                Err(fault) => return Err(index.index_error(collection, fault)),
            }
        }
    }
    Ok(())
}

/// Splits the records into requests of bounded size. Of several records with the same id, only the last is kept.
fn requests(records: &[ImageRecord]) -> Vec<Vec<&ImageRecord>> {
    let mut requests = Vec::new();
    let (mut request, mut bytes) = (Vec::new(), 0);
    for record in last_of_each_id(records) {
        let size = approximate_bytes(record);
        if request.len() == MAX_POINTS || (!request.is_empty() && bytes + size > MAX_BYTES) {
            requests.push(std::mem::take(&mut request));
            bytes = 0;
        }
        request.push(record);
        bytes += size;
    }
    if !request.is_empty() {
        requests.push(request);
    }
    requests
}

/// Returns the approximate number of bytes of a record in a request.
fn approximate_bytes(record: &ImageRecord) -> usize {
    let Payload { s3_key, s3_folders, meta, meta_kv, exif, .. } = &record.payload;
    let folders: usize = s3_folders.iter().map(String::len).sum();
    let pairs: usize = meta.iter().map(|(key, value)| 2 * (key.len() + value.len())).sum();
    let texts: usize = meta_kv.iter().map(String::len).sum();
    let texts = texts + exif.text_bytes();
    POINT_OVERHEAD_BYTES + record.embedding.dimension() * size_of::<f32>() + 2 * s3_key.len() + folders + pairs + texts
}

/// Splits a request in two if it is larger than the server accepts.
fn split_to_limits<'a, 'b>(
    index: &QdrantIndex,
    records: &'a [&'b ImageRecord],
) -> Option<(&'a [&'b ImageRecord], &'a [&'b ImageRecord])> {
    let points = index.limits.points.cap(records.len());
    if points < records.len() {
        return Some(records.split_at(points));
    }
    let bytes: usize = records.iter().map(|record| approximate_bytes(record)).sum();
    let fits = records.len() < 2 || bytes <= index.limits.bytes.cap(bytes);
    (!fits).then(|| records.split_at(records.len() / 2))
}

/// Records the limit because of which these records were refused. Fails if smaller requests do not help.
fn record_limit(index: &QdrantIndex, limit: &Limit, records: &[&ImageRecord]) -> Result<(), IndexError> {
    let sent: usize = records.iter().map(|record| approximate_bytes(record)).sum();
    match (limit.bound, records) {
        // A single record is too large: this record is refused, and the next one may be smaller.
        (Bound::Bytes, [record]) => {
            let reason = format!("it is larger than the server accepts: {}", limit.message);
            return Err(IndexError::Rejected { id: record.id, reason });
        }
        // The size of a record in a request is only known approximately.
        (Bound::Bytes, _) => {
            index.limits.bytes.lower(limit.allowed.map_or(sent, |allowed| allowed / 4 * 3).min(sent / 2));
        }
        (Bound::Points, [_, _, ..]) => {
            let half = records.len() / 2;
            index.limits.points.lower(limit.allowed.filter(|allowed| *allowed < records.len()).unwrap_or(half));
        }
        (Bound::Points | Bound::Page | Bound::Exact | Bound::Capacity | Bound::Fixed, _) => {
            return Err(IndexError::Dependency(limit.clone().into()));
        }
    }
    let (records, reply) = (records.len(), &limit.message);
    tracing::info!(records, reply, "Qdrant limits the size of writes; smaller ones are sent");
    Ok(())
}

async fn send(index: &QdrantIndex, collection: &CollectionName, records: &[&ImageRecord]) -> Result<(), Fault> {
    let points: Result<Vec<_>, Fault> = records.iter().map(|record| record::point(record)).collect();
    let request = UpsertPointsBuilder::new(server_name(collection), points?).wait(true);
    index.client.write(index.client.qdrant().upsert_points(request)).await
}

/// Fails if a vector has the wrong dimension. The server would refuse the whole request because of it.
async fn check_records<'a>(
    index: &QdrantIndex,
    collection: &CollectionName,
    records: impl IntoIterator<Item = &'a ImageRecord> + Clone,
) -> Result<(), IndexError> {
    let check = |dimension| {
        let records = records.clone().into_iter();
        check_dimensions(records.map(|record| (record.id, &record.embedding)), dimension)
    };
    match index.cached_dimension(collection) {
        Some(dimension) if check(dimension).is_ok() => Ok(()),
        Some(_) | None => check(index.space(collection).await?.dimension),
    }
}

pub(super) async fn delete(
    index: &QdrantIndex,
    collection: &CollectionName,
    ids: &[ImageId],
) -> Result<(), IndexError> {
    let mut rest = ids;
    while !rest.is_empty() {
        let chunk = &rest[..index.limits.ids.cap(IDS_PER_DELETE).min(rest.len())];
        let list = PointsIdsList { ids: chunk.iter().copied().map(record::point_id).collect() };
        let request = DeletePointsBuilder::new(server_name(collection)).points(list).wait(true);
        match index.client.write(index.client.qdrant().delete_points(request)).await {
            Ok(()) => rest = &rest[chunk.len()..],
            Err(Fault::Limit(limit)) if lower_limit(&index.limits.ids, &limit, chunk.len()) => {}
            Err(fault) => return Err(index.index_error(collection, fault)),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::index::shared::example_record;

    fn record(key: &str, dimension: usize) -> ImageRecord {
        example_record(key, vec![1.0; dimension])
    }

    #[test]
    fn requests_are_bounded_and_keep_the_last_record_of_an_id() {
        let small: Vec<_> = (0..600).map(|n| record(&format!("{n}.jpg"), 4)).collect();
        assert_eq!(requests(&small).iter().map(Vec::len).collect::<Vec<_>>(), [256, 256, 88]);
        // A vector of 100,000 numbers has 400,000 bytes: ten fit.
        let large: Vec<_> = (0..25).map(|n| record(&format!("{n}.jpg"), 100_000)).collect();
        assert_eq!(requests(&large).iter().map(Vec::len).collect::<Vec<_>>(), [10, 10, 5]);
        // A record that is too large for any request is still sent, alone: the server refuses it.
        let huge = [record("a.jpg", 4), record("b.jpg", 2_000_000), record("c.jpg", 4)];
        assert_eq!(requests(&huge).iter().map(Vec::len).collect::<Vec<_>>(), [1, 1, 1]);
        assert!(requests(&[]).is_empty());

        let mut twice = [record("a.jpg", 4), record("b.jpg", 4), record("a.jpg", 4)];
        twice[2].payload.width = 7;
        let kept = requests(&twice);
        assert_eq!(kept[0].iter().map(|record| record.payload.width).collect::<Vec<_>>(), [1, 7]);
    }
}
