//! Upserts: the dimensions are checked before anything is sent, the size of requests is bounded, and if the server
//! refuses a request, the record that it refuses is found.

use std::sync::PoisonError;

use qdrant_client::qdrant::UpsertPointsBuilder;

use super::QdrantIndex;
use super::collection::server_name;
use super::error::Fault;
use super::limit::{Bound, Limit};
use super::points;
use crate::domain::{CollectionName, ImageRecord, SearchQuery, SpaceMismatch};
use crate::index::IndexError;

impl QdrantIndex {
    pub(super) async fn put(&self, collection: &CollectionName, records: &[ImageRecord]) -> Result<(), IndexError> {
        if records.is_empty() {
            return Ok(());
        }
        self.check_version_again().await?;
        self.check_sizes(collection, records).await?;
        for request in points::requests(records) {
            // The next request is on top.
            let mut pending = vec![&request[..]];
            while let Some(records) = pending.pop() {
                if let Some((first, rest)) = self.split_to_limits(records) {
                    pending.extend([rest, first]);
                    continue;
                }
                match self.send(collection, records).await {
                    Ok(()) => {}
                    Err(Fault::Limit(limit)) => {
                        self.record_limit(&limit, records)?;
                        pending.push(records);
                    }
                    Err(Fault::Invalid(reason)) => {
                        // The collection may have been dropped and created again with another dimension.
                        self.forget_size(collection);
                        self.check_sizes(collection, records.iter().copied()).await?;
                        let [record] = records else {
                            let (first, second) = records.split_at(records.len() / 2);
                            pending.extend([second, first]);
                            continue;
                        };
                        return Err(IndexError::Rejected { id: record.id, reason });
                    }
                    Err(fault) => return Err(self.about(collection, fault)),
                }
            }
        }
        Ok(())
    }

    /// Splits a request in two if it is larger than the server accepts.
    fn split_to_limits<'a, 'b>(
        &self,
        records: &'a [&'b ImageRecord],
    ) -> Option<(&'a [&'b ImageRecord], &'a [&'b ImageRecord])> {
        let points = self.limits.points.cap(records.len());
        if points < records.len() {
            return Some(records.split_at(points));
        }
        let bytes: usize = records.iter().map(|record| points::weight(record)).sum();
        let fits = records.len() < 2 || bytes <= self.limits.bytes.cap(bytes);
        (!fits).then(|| records.split_at(records.len() / 2))
    }

    /// Records the limit because of which these records were refused. Fails if smaller requests do not help.
    fn record_limit(&self, limit: &Limit, records: &[&ImageRecord]) -> Result<(), IndexError> {
        let sent: usize = records.iter().map(|record| points::weight(record)).sum();
        match (limit.bound, records) {
            // A single record is too large: this record is refused, and the next one may be smaller.
            (Bound::Bytes, [record]) => {
                let reason = format!("it is larger than the server accepts: {}", limit.said);
                return Err(IndexError::Rejected { id: record.id, reason });
            }
            // The weight of a record is only about its size in a request.
            (Bound::Bytes, _) => {
                self.limits.bytes.learn(limit.allowed.map_or(sent, |allowed| allowed / 4 * 3).min(sent / 2));
            }
            (Bound::Points, [_, _, ..]) => {
                let half = records.len() / 2;
                self.limits.points.learn(limit.allowed.filter(|allowed| *allowed < records.len()).unwrap_or(half));
            }
            (Bound::Points | Bound::Page | Bound::Exact | Bound::Room | Bound::Fixed, _) => {
                return Err(IndexError::Dependency(limit.clone().into()));
            }
        }
        let (records, reply) = (records.len(), &limit.said);
        tracing::info!(records, reply, "Qdrant limits the size of writes; smaller ones are sent");
        Ok(())
    }

    async fn send(&self, collection: &CollectionName, records: &[&ImageRecord]) -> Result<(), Fault> {
        let points: Vec<_> = records.iter().map(|record| points::point(record)).collect();
        let request = UpsertPointsBuilder::new(server_name(collection), points).wait(true);
        self.client.write(self.client.qdrant.upsert_points(request)).await
    }

    /// Fails if a vector has the wrong dimension. The server would refuse the whole request because of it.
    async fn check_sizes<'a>(
        &self,
        collection: &CollectionName,
        records: impl IntoIterator<Item = &'a ImageRecord> + Clone,
    ) -> Result<(), IndexError> {
        let mismatched = |size| records.clone().into_iter().find(|record| record.embedding.dimension() != size);
        if let Some(size) = self.known_size(collection)
            && mismatched(size).is_none()
        {
            return Ok(());
        }
        let size = self.size(collection).await?;
        match mismatched(size) {
            None => Ok(()),
            Some(record) => {
                let actual = record.embedding.dimension();
                let reason = format!("its vector has {actual} numbers; the vectors of the collection have {size}");
                Err(IndexError::Rejected { id: record.id, reason })
            }
        }
    }

    /// Fails if the vector of a query has the wrong dimension.
    pub(super) async fn check_query(&self, collection: &CollectionName, query: &SearchQuery) -> Result<(), IndexError> {
        let actual = query.embedding.dimension();
        if self.known_size(collection) == Some(actual) {
            return Ok(());
        }
        let size = self.size(collection).await?;
        if size == actual {
            return Ok(());
        }
        let (stored, offered) = (format!("the collection `{collection}`"), format!("a query of {actual} numbers"));
        Err(SpaceMismatch { stored, offered, reason: format!("{size} numbers against {actual}") }.into())
    }

    /// Requests the dimension of the collection's vectors from the server.
    async fn size(&self, collection: &CollectionName) -> Result<usize, IndexError> {
        let found = self.find(collection).await?.ok_or_else(|| self.about(collection, Fault::Unknown))?;
        let size = found.space(collection)?.dimension;
        self.sizes.lock().unwrap_or_else(PoisonError::into_inner).insert(collection.clone(), size);
        Ok(size)
    }

    /// Returns the dimension when it was last requested. It may only be used to accept a vector: the server checks
    /// again, and before a vector is refused the dimension is requested anew.
    fn known_size(&self, collection: &CollectionName) -> Option<usize> {
        self.sizes.lock().unwrap_or_else(PoisonError::into_inner).get(collection).copied()
    }

    pub(super) fn forget_size(&self, collection: &CollectionName) {
        self.sizes.lock().unwrap_or_else(PoisonError::into_inner).remove(collection);
    }

    /// Converts an error into an error of the port. Forgets the dimension of a collection that does not exist any more.
    pub(super) fn about(&self, collection: &CollectionName, fault: Fault) -> IndexError {
        if fault == Fault::Unknown {
            self.forget_size(collection);
        }
        fault.about(collection)
    }
}
