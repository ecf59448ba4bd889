//! A page of a listing laid beside the objects of its collection: one walk over both, in the order of their URIs, instead
//! of a look for each image.

use rusqlite::{Connection, Row, params};

use crate::domain::{CollectionName, ImageRef, StoreSet};

/// Objects between one image of the page and the next that are walked over; beyond, the walk begins anew at the image. So a
/// page costs what it has, not what vanished between its keys.
const FEW: usize = 16;

/// For each image the stores that have this very object, in this space. An object without an ETag cannot be compared.
/// `images` are in the order of their URIs; where `digests` are given, one for each image, the object must be joined with
/// that row.
pub(super) fn holders(
    db: &Connection,
    collection: &CollectionName,
    space: &str,
    images: &[ImageRef],
    digests: Option<&[&str]>,
) -> rusqlite::Result<Vec<StoreSet>> {
    let mut have = vec![StoreSet::default(); images.len()];
    walk(db, collection, images, |place, row| {
        let image = &images[place];
        let Some(etag) = &image.etag else { return Ok(()) };
        let digest = digests.map(|digests| digests[place]);
        let same = row.get_ref(1)?.as_str()? == etag
            && row.get::<_, u64>(2)? == image.size_bytes
            && row.get_ref(3)?.as_str()? == space
            && digest.is_none_or(|digest| row.get_ref(5).and_then(|of| Ok(of.as_str()?)).is_ok_and(|of| of == digest));
        if same {
            have[place] = StoreSet::parse(row.get_ref(4)?.as_str()?);
        }
        Ok(())
    })?;
    Ok(have)
}

/// Calls `found` with the place of each image that the collection knows, and its row.
fn walk(
    db: &Connection,
    collection: &CollectionName,
    images: &[ImageRef],
    mut found: impl FnMut(usize, &Row<'_>) -> rusqlite::Result<()>,
) -> rusqlite::Result<()> {
    let mut objects = db.prepare_cached(
        "SELECT uri, etag, size, space, stores, metadata FROM objects WHERE collection = ?1 AND uri >= ?2 ORDER BY uri",
    )?;
    let mut place = 0;
    while let Some(from) = images.get(place) {
        let mut rows = objects.query(params![collection.as_str(), from.uri.as_str()])?;
        let mut passed = 0;
        loop {
            let Some(row) = rows.next()? else { return Ok(()) };
            let uri = row.get_ref(0)?.as_str()?;
            while images.get(place).is_some_and(|image| image.uri.as_str() < uri) {
                place += 1;
            }
            passed += 1;
            while images.get(place).is_some_and(|image| image.uri.as_str() == uri) {
                found(place, row)?;
                (place, passed) = (place + 1, 0);
            }
            if place == images.len() || passed > FEW {
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
    use crate::jobs::ledger::{Known, Ledger, fixture};

    fn image(key: u32, etag: &str) -> ImageRef {
        let uri = ImageUri::new("b", &format!("{key:05}.jpg"));
        ImageRef { uri, etag: Some(etag.to_owned()), size_bytes: 7, modified: None }
    }

    fn known(key: u32) -> Known {
        let image = image(key, "e");
        let stores = StoreSet::parse(if key.is_multiple_of(2) { "qdrant" } else { "qdrant,weaviate" });
        Known { uri: image.uri, etag: "e".to_owned(), size_bytes: 7, space: "s".to_owned(), stores }
    }

    /// Keys that the collection knows, and keys that the page has: what the walk says is what a look for each would.
    async fn agree(there: Vec<u32>, listed: Vec<u32>) {
        let folder = tempfile::tempdir().unwrap();
        let ledger = Ledger::open(folder.path()).unwrap();
        let collection = fixture::collection();
        ledger.know(collection.clone(), there.iter().map(|key| known(*key)).collect()).await.unwrap();
        let page: Vec<ImageRef> = listed.iter().map(|key| image(*key, "e")).collect();
        let have = ledger.db.call(move |db| holders(db, &collection, "s", &page, None)).await.unwrap();
        for (key, have) in listed.iter().zip(have) {
            let wanted = if there.contains(key) { known(*key).stores } else { StoreSet::default() };
            assert_eq!(have, wanted, "{key}");
        }
    }

    #[tokio::test]
    async fn a_page_beside_nothing_beside_the_same_and_beside_more_or_less() {
        agree(vec![], (0..50).collect()).await;
        agree((0..50).collect(), vec![]).await;
        agree((0..50).collect(), (0..50).collect()).await;
        agree((10..20).collect(), (0..50).collect()).await;
        agree((0..50).step_by(2).collect(), (0..50).step_by(3).collect()).await;
    }

    #[tokio::test]
    async fn what_vanished_between_two_keys_is_jumped_over() {
        agree((0..2_000).collect(), vec![0, 1, 1_000, 1_017, 1_018, 1_999]).await;
        agree((0..2_000).collect(), vec![999, 5_000]).await;
        agree((100..200).collect(), vec![50, 150, 150, 151, 500]).await;
    }

    #[tokio::test]
    async fn another_version_size_space_or_row_of_metadata_is_not_the_same_object() {
        let folder = tempfile::tempdir().unwrap();
        let ledger = Ledger::open(folder.path()).unwrap();
        let collection = fixture::collection();
        ledger.know(collection.clone(), (0..5).map(known).collect()).await.unwrap();
        let mut page: Vec<ImageRef> = (0..5).map(|key| image(key, "e")).collect();
        page[1].etag = Some("other".to_owned());
        page[2].size_bytes = 8;
        page[3].etag = None;
        let digests = ["", "", "", "", "row"];
        let found = ledger.db.call(move |db| {
            let here = holders(db, &collection, "s", &page, Some(&digests))?;
            Ok((here, holders(db, &collection, "other", &page, None)?))
        });
        let (here, elsewhere) = found.await.unwrap();
        let empty: Vec<bool> = here.iter().map(StoreSet::is_empty).collect();
        assert_eq!(empty, [false, true, true, true, true]);
        assert!(elsewhere.iter().all(StoreSet::is_empty));
    }
}
