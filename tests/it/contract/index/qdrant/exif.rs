//! A collection of an earlier version has no indexes for facts of EXIF.

use std::time::Duration;

use glimpse::domain::{BrowseQuery, ExifFacts, ExifLevel, FacetField, FacetQuery, Filter, PageStart, TakenAt};
use glimpse::index::{EnsureOutcome, ImageIndex};

use super::{EAST, index};
use crate::contract::index::support::{fresh, record, space};
use crate::support::qdrant::{Limits, QdrantServer};

const COLLECTION: &str = "earlier_images";

fn indexes(qdrant: &QdrantServer) -> usize {
    qdrant.dump()[COLLECTION]["indexes"].as_object().unwrap().len()
}

#[tokio::test]
async fn the_missing_indexes_are_created_when_lists_or_counts_need_them() {
    let qdrant = QdrantServer::start().await;
    let index = index(&qdrant.url(), "", Duration::from_mins(1));
    let collection = fresh(&index, "earlier").await;
    let mut dated = record("a.jpg", EAST);
    let taken_at = TakenAt::parse("2024-07-01T00:30:00+02:00").ok();
    dated.payload.exif =
        ExifFacts { level: ExifLevel::Basic, taken_at, camera: Some("D1".to_owned()), ..ExifFacts::default() };
    index.upsert(&collection, &[dated, record("b.jpg", EAST)]).await.unwrap();
    let mut earlier = qdrant.dump();
    let fields = ["camera", "taken_at", "taken_months", "location", "location.lat", "location.lon"];
    earlier[COLLECTION]["indexes"].as_object_mut().unwrap().retain(|field, _| !fields.contains(&&**field));
    qdrant.restore(&earlier);
    let before = indexes(&qdrant);

    let query = BrowseQuery { filter: Filter::default(), start: PageStart::Taken { after: None }, limit: 10 };
    let page = index.browse(&collection, &query).await.unwrap();
    assert_eq!(page.images.iter().map(|image| &*image.payload.s3_key).collect::<Vec<_>>(), ["a.jpg", "b.jpg"]);
    assert_eq!(indexes(&qdrant), before + fields.len());
    for (field, value) in [(FacetField::Camera, "D1"), (FacetField::TakenMonth, "2024-07")] {
        qdrant.restore(&earlier);
        let query = FacetQuery { field, filter: Filter::default(), limit: 10 };
        assert_eq!(index.facets(&collection, &query).await.unwrap().values, [(value.to_owned(), 1)]);
    }

    // A server that allows no further index can be written and searched as before.
    qdrant.restore(&earlier);
    qdrant.set_limits(Limits { indexes: Some(before), ..Limits::default() });
    assert_eq!(index.ensure_image_collection(&collection, &space()).await.unwrap(), EnsureOutcome::Existed);
    index.upsert(&collection, &[record("c.jpg", EAST)]).await.unwrap();
    assert_eq!(indexes(&qdrant), before);
}
