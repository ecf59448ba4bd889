//! Upserts: sizes are checked before anything is sent, requests are bounded, and of a refused request the refused
//! record is found.

use std::sync::PoisonError;

use qdrant_client::qdrant::UpsertPointsBuilder;

use super::QdrantIndex;
use super::collection::name_there;
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
            // The next is on top.
            let mut todo = vec![&request[..]];
            while let Some(records) = todo.pop() {
                if let Some((first, rest)) = self.cut(records) {
                    todo.extend([rest, first]);
                    continue;
                }
                match self.send(collection, records).await {
                    Ok(()) => {}
                    Err(Fault::Limit(limit)) => {
                        self.learn(&limit, records)?;
                        todo.push(records);
                    }
                    Err(Fault::Invalid(reason)) => {
                        // Perhaps the collection was dropped and made again in another size.
                        self.forget_size(collection);
                        self.check_sizes(collection, records.iter().copied()).await?;
                        let [record] = records else {
                            let (first, second) = records.split_at(records.len() / 2);
                            todo.extend([second, first]);
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

    /// A request in two, if it is larger than the server takes.
    fn cut<'a, 'b>(&self, records: &'a [&'b ImageRecord]) -> Option<(&'a [&'b ImageRecord], &'a [&'b ImageRecord])> {
        let points = self.limits.points.cap(records.len());
        if points < records.len() {
            return Some(records.split_at(points));
        }
        let bytes: usize = records.iter().map(|record| points::weight(record)).sum();
        let fits = records.len() < 2 || bytes <= self.limits.bytes.cap(bytes);
        (!fits).then(|| records.split_at(records.len() / 2))
    }

    /// Notes the limit that refused these records, if fewer of them may be taken.
    fn learn(&self, limit: &Limit, records: &[&ImageRecord]) -> Result<(), IndexError> {
        let sent: usize = records.iter().map(|record| points::weight(record)).sum();
        match (limit.bound, records) {
            // Alone it is too large: that is this record's, and the next may be smaller.
            (Bound::Bytes, [record]) => {
                let reason = format!("it is larger than the server takes: {}", limit.said);
                return Err(IndexError::Rejected { id: record.id, reason });
            }
            // What a record weighs here is about what it is on the wire.
            (Bound::Bytes, _) => self.limits.bytes.learn(limit.allowed.map_or(sent, |most| most / 4 * 3).min(sent / 2)),
            (Bound::Points, [_, _, ..]) => {
                let half = records.len() / 2;
                self.limits.points.learn(limit.allowed.filter(|most| *most < records.len()).unwrap_or(half));
            }
            (Bound::Points | Bound::Page | Bound::Exact | Bound::Room | Bound::Fixed, _) => {
                return Err(IndexError::Dependency(limit.clone().into()));
            }
        }
        tracing::info!(records = records.len(), said = limit.said, "Qdrant limits writes; smaller ones are sent");
        Ok(())
    }

    async fn send(&self, collection: &CollectionName, records: &[&ImageRecord]) -> Result<(), Fault> {
        let points: Vec<_> = records.iter().map(|record| points::point(record)).collect();
        let request = UpsertPointsBuilder::new(name_there(collection), points).wait(true);
        self.client.write(self.client.qdrant.upsert_points(request)).await
    }

    /// One vector of another size makes the server refuse a whole request, so it is found before.
    async fn check_sizes<'a>(
        &self,
        collection: &CollectionName,
        records: impl IntoIterator<Item = &'a ImageRecord> + Clone,
    ) -> Result<(), IndexError> {
        let bad = |size| records.clone().into_iter().find(|record| record.embedding.dimension() != size);
        if let Some(size) = self.known_size(collection)
            && bad(size).is_none()
        {
            return Ok(());
        }
        let size = self.size(collection).await?;
        match bad(size) {
            None => Ok(()),
            Some(record) => {
                let actual = record.embedding.dimension();
                let reason = format!("its vector has {actual} numbers, the collection's have {size}");
                Err(IndexError::Rejected { id: record.id, reason })
            }
        }
    }

    /// The same for a question.
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

    /// The size of the collection's vectors, asked for now.
    async fn size(&self, collection: &CollectionName) -> Result<usize, IndexError> {
        let found = self.find(collection).await?.ok_or_else(|| self.about(collection, Fault::Unknown))?;
        let size = found.space(collection)?.dimension;
        self.sizes.lock().unwrap_or_else(PoisonError::into_inner).insert(collection.clone(), size);
        Ok(size)
    }

    /// The size when it was last asked for. Only good for saying yes: the server checks again, and before anything
    /// is refused it is asked.
    fn known_size(&self, collection: &CollectionName) -> Option<usize> {
        self.sizes.lock().unwrap_or_else(PoisonError::into_inner).get(collection).copied()
    }

    pub(super) fn forget_size(&self, collection: &CollectionName) {
        self.sizes.lock().unwrap_or_else(PoisonError::into_inner).remove(collection);
    }

    /// The fault in the port's words. What is gone may come back in another size.
    pub(super) fn about(&self, collection: &CollectionName, fault: Fault) -> IndexError {
        if fault == Fault::Unknown {
            self.forget_size(collection);
        }
        fault.about(collection)
    }
}
