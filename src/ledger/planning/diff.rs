//! Compares a page of a listing with the objects of its collection. One walk over both, in the order of their URIs,
//! replaces a query for each image.

use rusqlite::{Connection, Row, params};

use crate::domain::{CollectionName, ImageRef, StoreSet};

/// How many objects the walk passes between one image of the page and the next. After more, it starts a new query at
/// the next image, so the cost of a page depends on its images and not on the objects that vanished between its keys.
const MAX_PASSED_OBJECTS: usize = 16;

/// Returns for each image the stores that have this version of the object in this space. An object without an ETag
/// cannot be compared. `images` must be in the order of their URIs. If `digests` is given, it has one digest for each
/// image, and the object must have been joined with the metadata row of that digest.
pub(crate) fn stores_of_images(
    db: &Connection,
    collection: &CollectionName,
    space: &str,
    images: &[ImageRef],
    digests: Option<&[&str]>,
) -> rusqlite::Result<Vec<StoreSet>> {
    let mut stored_in = vec![StoreSet::default(); images.len()];
    walk(db, collection, images, |index, row| {
        let image = &images[index];
        let Some(etag) = &image.etag else { return Ok(()) };
        let digest = digests.map(|digests| digests[index]);
        let same = row.get_ref(1)?.as_str()? == etag
            && row.get::<_, u64>(2)? == image.size_bytes
            && row.get_ref(3)?.as_str()? == space
            && digest.is_none_or(|digest| {
                row.get_ref(5).and_then(|known| Ok(known.as_str()?)).is_ok_and(|known| known == digest)
            });
        if same {
            stored_in[index] = StoreSet::parse(row.get_ref(4)?.as_str()?);
        }
        Ok(())
    })?;
    Ok(stored_in)
}

/// Calls `found` with the index of each image that the collection knows, and with its row.
fn walk(
    db: &Connection,
    collection: &CollectionName,
    images: &[ImageRef],
    mut found: impl FnMut(usize, &Row<'_>) -> rusqlite::Result<()>,
) -> rusqlite::Result<()> {
    let mut objects = db.prepare_cached(
        "SELECT uri, etag, size, space, stores, metadata FROM objects WHERE collection = ?1 AND uri >= ?2 ORDER BY uri",
    )?;
    let mut index = 0;
    while let Some(image) = images.get(index) {
        let mut rows = objects.query(params![collection, image.uri])?;
        let mut passed = 0;
        loop {
            let Some(row) = rows.next()? else { return Ok(()) };
            let uri = row.get_ref(0)?.as_str()?;
            while images.get(index).is_some_and(|image| image.uri.as_str() < uri) {
                index += 1;
            }
            passed += 1;
            while images.get(index).is_some_and(|image| image.uri.as_str() == uri) {
                found(index, row)?;
                (index, passed) = (index + 1, 0);
            }
            if index == images.len() || passed > MAX_PASSED_OBJECTS {
                break;
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::ImageUri;
    use crate::ledger::{Ledger, ObjectRow, fixture};

    fn image(key: u32, etag: &str) -> ImageRef {
        let uri = ImageUri::new("b", &format!("{key:05}.jpg"));
        ImageRef { uri, etag: Some(etag.to_owned()), size_bytes: 7, modified: None }
    }

    fn known(key: u32) -> ObjectRow {
        let image = image(key, "e");
        let stores = StoreSet::parse(if key.is_multiple_of(2) { "qdrant" } else { "qdrant,weaviate" });
        ObjectRow { uri: image.uri, etag: "e".to_owned(), size_bytes: 7, space: "s".to_owned(), stores }
    }

    /// Checks that the walk finds the same stores as a query for each image would. `there` are the keys that the
    /// collection knows, `listed` those of the page.
    async fn check_walk(known_keys: Vec<u32>, listed: Vec<u32>) {
        let folder = tempfile::tempdir().unwrap();
        let ledger = Ledger::open(folder.path()).unwrap();
        fixture::record(&ledger, known_keys.iter().map(|key| known(*key)).collect()).await;
        let page: Vec<ImageRef> = listed.iter().map(|key| image(*key, "e")).collect();
        let compare = move |db: &Connection| stores_of_images(db, &fixture::collection(), "s", &page, None);
        let stored_in = ledger.read(compare).await.unwrap();
        for (key, stored_in) in listed.iter().zip(stored_in) {
            let expected = if known_keys.contains(key) { known(*key).stores } else { StoreSet::default() };
            assert_eq!(stored_in, expected, "{key}");
        }
    }

    #[tokio::test]
    async fn a_page_is_compared_with_no_objects_the_same_more_or_fewer() {
        check_walk(vec![], (0..50).collect()).await;
        check_walk((0..50).collect(), vec![]).await;
        check_walk((0..50).collect(), (0..50).collect()).await;
        check_walk((10..20).collect(), (0..50).collect()).await;
        check_walk((0..50).step_by(2).collect(), (0..50).step_by(3).collect()).await;
    }

    #[tokio::test]
    async fn objects_that_vanished_between_two_keys_are_skipped() {
        check_walk((0..2_000).collect(), vec![0, 1, 1_000, 1_017, 1_018, 1_999]).await;
        check_walk((0..2_000).collect(), vec![999, 5_000]).await;
        check_walk((100..200).collect(), vec![50, 150, 150, 151, 500]).await;
    }

    #[tokio::test]
    async fn a_different_version_size_space_or_metadata_row_is_a_different_object() {
        let folder = tempfile::tempdir().unwrap();
        let ledger = Ledger::open(folder.path()).unwrap();
        let collection = fixture::collection();
        fixture::record(&ledger, (0..5).map(known).collect()).await;
        let mut page: Vec<ImageRef> = (0..5).map(|key| image(key, "e")).collect();
        page[1].etag = Some("other".to_owned());
        page[2].size_bytes = 8;
        page[3].etag = None;
        let digests = ["", "", "", "", "row"];
        let found = ledger.read(move |db| {
            let same_space = stores_of_images(db, &collection, "s", &page, Some(&digests))?;
            Ok((same_space, stores_of_images(db, &collection, "other", &page, None)?))
        });
        let (same_space, other_space) = found.await.unwrap();
        let empty: Vec<bool> = same_space.iter().map(StoreSet::is_empty).collect();
        assert_eq!(empty, [false, true, true, true, true]);
        assert!(other_space.iter().all(StoreSet::is_empty));
    }
}
