//! Pages of records in an order, without a query.
//!
//! Qdrant sorts by times, but returns records of the same time in an order of its own, so these are read by their ids. It
//! cannot sort by texts: the order of keys reads the key of every matching point (ADR 0016).

use qdrant_client::qdrant::{
    self, Condition, DatetimeRange, Direction, GetPointsBuilder, OrderByBuilder, PayloadIncludeSelector, PointId,
    RetrievedPoint, ScrollPointsBuilder,
};

use super::collection::server_name;
use super::error::Fault;
use super::record::TAKEN_AT;
use super::search::{RECORDS_PER_PAGE, scroll};
use super::{QdrantIndex, filter, lower_limit, record, schema};
use crate::domain::{BrowsePage, BrowseQuery, CollectionName, ImageId, PageStart, StoredImage, TakenAt, Timestamp};
use crate::index::shared::{FirstKeys, IdRange, random_ranges};

const S3_KEY: &str = "s3_key";
const INDEXED_AT: &str = "indexed_at";
/// Points in one reply that has one field of each.
const FIELDS_PER_PAGE: usize = 10_000;

/// The points of a collection that match some conditions.
pub(super) struct Points<'a> {
    pub(super) index: &'a QdrantIndex,
    pub(super) collection: &'a CollectionName,
    pub(super) conditions: qdrant::Filter,
}

/// A time of a record by which pages are sorted.
#[derive(Clone, Copy)]
pub(super) enum TimeField {
    IndexedAt,
    TakenAt,
}

impl TimeField {
    fn name(self) -> &'static str {
        match self {
            Self::IndexedAt => INDEXED_AT,
            Self::TakenAt => TAKEN_AT,
        }
    }

    /// Returns the time of a record. The points that are read in the order of a time have it.
    fn of_image(self, image: &StoredImage) -> Option<Timestamp> {
        match self {
            Self::IndexedAt => Some(image.payload.indexed_at),
            Self::TakenAt => image.payload.exif.taken_at.map(TakenAt::moment),
        }
    }
}

/// Returns a page of records.
pub(super) async fn browse(
    index: &QdrantIndex,
    collection: &CollectionName,
    query: &BrowseQuery,
) -> Result<BrowsePage, Fault> {
    let points = Points { index, collection, conditions: filter::conditions(&query.filter).unwrap_or_default() };
    let wanted = query.limit.saturating_add(1);
    let images = match &query.start {
        PageStart::Newest { after } => points.latest(TimeField::IndexedAt, *after, wanted).await?,
        PageStart::Taken { after } => {
            schema::add_missing_indexes(&index.client, collection).await?;
            points.taken(*after, wanted).await?
        }
        PageStart::Random { first, after } => points.random(*first, *after, wanted).await?,
        PageStart::Key { after } => return points.by_key(after.clone(), query.limit).await,
    };
    Ok(BrowsePage::first(images, &query.start, query.limit))
}

impl Points<'_> {
    /// Returns the records with the latest times when they were taken, and after them those without such a time.
    async fn taken(
        &self,
        after: Option<(Option<Timestamp>, ImageId)>,
        wanted: usize,
    ) -> Result<Vec<StoredImage>, Fault> {
        let (mut found, mut last_undated) = (Vec::new(), None);
        match after {
            Some((None, id)) => last_undated = Some(id),
            Some((Some(moment), id)) => found = self.latest(TimeField::TakenAt, Some((moment, id)), wanted).await?,
            None => found = self.latest(TimeField::TakenAt, None, wanted).await?,
        }
        if found.len() < wanted {
            let undated = Self { conditions: self.and(Condition::is_empty(TAKEN_AT)), ..*self };
            let range = IdRange { after: last_undated, before: None };
            found.extend(undated.by_id(range, wanted - found.len()).await?);
        }
        Ok(found)
    }

    async fn latest(
        &self,
        field: TimeField,
        after: Option<(Timestamp, ImageId)>,
        wanted: usize,
    ) -> Result<Vec<StoredImage>, Fault> {
        let (mut found, mut before) = (Vec::new(), None);
        if let Some((moment, id)) = after {
            found = self.of_moment(field, moment, Some(id), wanted).await?;
            before = Some(moment);
        }
        while found.len() < wanted {
            let range = DatetimeRange { lt: before.map(filter::timestamp), ..DatetimeRange::default() };
            let (mut page, complete) =
                self.in_order_of_time(field, range, Direction::Desc, wanted - found.len()).await?;
            // The last time of the page may be that of further points, and of others than the first by id.
            let cut = page.last().filter(|_| !complete).and_then(|last| field.of_image(last));
            page.retain(|image| cut.is_none() || field.of_image(image) != cut);
            page.sort_by_key(|image| (std::cmp::Reverse(field.of_image(image)), image.id));
            found.append(&mut page);
            let Some(cut) = cut else { break };
            found.extend(self.of_moment(field, cut, None, wanted - found.len()).await?);
            before = Some(cut);
        }
        Ok(found)
    }

    /// Returns points in the order of their times, and whether these are all.
    pub(super) async fn in_order_of_time(
        &self,
        field: TimeField,
        range: DatetimeRange,
        direction: Direction,
        limit: usize,
    ) -> Result<(Vec<StoredImage>, bool), Fault> {
        let conditions = self.and(Condition::datetime_range(field.name(), range));
        let (reply, requested) = scroll(self.index, limit, |size| {
            self.request(size)
                .filter(conditions.clone())
                .order_by(OrderByBuilder::new(field.name()).direction(direction.into()))
                .with_payload(true)
        })
        .await?;
        let complete = reply.result.len() < requested;
        Ok((reply.result.into_iter().map(stored_image).collect::<Result<_, _>>()?, complete))
    }

    /// Returns the first points by id that have this time.
    async fn of_moment(
        &self,
        field: TimeField,
        moment: Timestamp,
        after: Option<ImageId>,
        limit: usize,
    ) -> Result<Vec<StoredImage>, Fault> {
        let moment = Some(filter::timestamp(moment));
        let range = DatetimeRange { gte: moment, lte: moment, ..DatetimeRange::default() };
        let conditions = self.and(Condition::datetime_range(field.name(), range));
        Self { conditions, ..*self }.by_id(IdRange { after, before: None }, limit).await
    }

    async fn random(&self, first: ImageId, after: Option<ImageId>, wanted: usize) -> Result<Vec<StoredImage>, Fault> {
        let mut found = Vec::new();
        for range in random_ranges(first, after) {
            found.extend(self.by_id(range, wanted - found.len()).await?);
        }
        Ok(found)
    }

    /// Returns the first points of a range of ids, in their order.
    async fn by_id(&self, range: IdRange, limit: usize) -> Result<Vec<StoredImage>, Fault> {
        let mut found = Vec::new();
        let Ok(mut from) = range.after.map(next_id).transpose() else { return Ok(found) };
        while found.len() < limit {
            let (reply, _) = scroll(self.index, limit - found.len(), |size| {
                let request = self.request(size).filter(self.conditions.clone()).with_payload(true);
                if let Some(from) = &from { request.offset(from.clone()) } else { request }
            })
            .await?;
            for point in reply.result {
                let image = stored_image(point)?;
                if range.before.is_some_and(|before| image.id >= before) {
                    return Ok(found);
                }
                found.push(image);
            }
            from = reply.next_page_offset;
            if from.is_none() {
                break;
            }
        }
        Ok(found)
    }

    async fn by_key(&self, after: Option<(String, ImageId)>, limit: usize) -> Result<BrowsePage, Fault> {
        let mut keys = FirstKeys::new(after, limit);
        self.each_value(S3_KEY, |id, key| keys.offer(key.as_str().map_or("", String::as_str), id)).await?;
        let (ids, next) = keys.into_page();
        Ok(BrowsePage { images: get(self.index, self.collection, &ids).await?, next })
    }

    /// Calls `each` with the id and one field of every point.
    pub(super) async fn each_value(
        &self,
        field: &str,
        mut each: impl FnMut(ImageId, &qdrant::Value),
    ) -> Result<(), Fault> {
        let missing = qdrant::Value::default();
        let mut from: Option<PointId> = None;
        loop {
            let (reply, _) = scroll(self.index, FIELDS_PER_PAGE, |size| {
                let request = self.request(size).filter(self.conditions.clone());
                let request = request.with_payload(PayloadIncludeSelector { fields: vec![field.to_owned()] });
                if let Some(from) = &from { request.offset(from.clone()) } else { request }
            })
            .await?;
            for point in reply.result {
                each(record::image_id(point.id)?, point.payload.get(field).unwrap_or(&missing));
            }
            from = reply.next_page_offset;
            if from.is_none() {
                return Ok(());
            }
        }
    }

    fn and(&self, condition: Condition) -> qdrant::Filter {
        let mut conditions = self.conditions.clone();
        conditions.must.push(condition);
        conditions
    }

    fn request(&self, limit: u32) -> ScrollPointsBuilder {
        ScrollPointsBuilder::new(server_name(self.collection)).limit(limit).with_vectors(false)
    }
}

/// Returns the points with these ids that exist, in this order.
pub(super) async fn get(
    index: &QdrantIndex,
    collection: &CollectionName,
    ids: &[ImageId],
) -> Result<Vec<StoredImage>, Fault> {
    let (mut found, mut rest) = (Vec::with_capacity(ids.len()), ids);
    while !rest.is_empty() {
        let chunk = &rest[..index.limits.page.cap(RECORDS_PER_PAGE).min(rest.len())];
        let list: Vec<PointId> = chunk.iter().copied().map(record::point_id).collect();
        let request = GetPointsBuilder::new(server_name(collection), list).with_payload(true);
        match index.client.call(index.client.qdrant().get_points(request)).await {
            Ok(reply) => {
                for point in reply.result {
                    found.push(stored_image(point)?);
                }
                rest = &rest[chunk.len()..];
            }
            Err(Fault::Limit(limit)) if lower_limit(&index.limits.page, &limit, chunk.len()) => {}
            Err(fault) => return Err(fault),
        }
    }
    Ok(found)
}

/// Returns the id after `id`. Fails for the last id.
fn next_id(id: ImageId) -> Result<PointId, ()> {
    let next = id.0.as_u128().checked_add(1).ok_or(())?;
    Ok(record::point_id(ImageId(uuid::Uuid::from_u128(next))))
}

fn stored_image(point: RetrievedPoint) -> Result<StoredImage, Fault> {
    let id = record::image_id(point.id)?;
    Ok(StoredImage { id, payload: record::payload(id, point.payload)? })
}
