//! The approximate index of a collection: its construction beside other writes, and its searches.

use std::path::Path;
use std::sync::Arc;

use rusqlite::Connection;

use crate::domain::{CollectionName, Embedding, Filter, ImageId, Probe, SearchEffort, SearchQuery, Space};
use crate::index::embedded::collection::Collection;
use crate::index::embedded::folder::Folder;
use crate::index::embedded::rows::Row;
use crate::index::embedded::threads::ScanThreads;
use crate::index::shared::example_record;

const DIMENSION: usize = 32;

struct Fixture {
    _folder: Folder,
    writer: Connection,
    collection: Arc<Collection>,
}

impl Fixture {
    fn open(path: &Path) -> Self {
        let folder = Folder::open(path).unwrap();
        let mut writer = folder.sqlite.reader().unwrap();
        let name = CollectionName::parse("c").unwrap();
        let probes = vec![Probe { name: "p".into(), vector: vec![1.0; DIMENSION] }];
        let space = Space { model: "m".into(), dimension: DIMENSION, preprocessing: "none".into(), probes };
        folder.ensure(&mut writer, name.clone(), space).unwrap();
        let collection = folder.find(&name).unwrap();
        Self { _folder: folder, writer, collection }
    }

    fn upsert(&mut self, numbers: impl Iterator<Item = u32>, edition: u32) {
        let mut rows: Vec<Row> = numbers.map(|number| row(number, edition)).collect();
        self.collection.encode(&mut rows).unwrap();
        self.collection.upsert(&mut self.writer, rows).unwrap();
    }

    fn search(&self, query: &Embedding, effort: SearchEffort, folder: Option<&str>) -> Vec<(ImageId, f32)> {
        let mut filter = Filter::default();
        filter.folders.any_of.extend(folder.map(str::to_owned));
        let query = SearchQuery { embedding: query.clone(), limit: 10, offset: 0, filter, effort };
        let hits = self.collection.search(&query, &ScanThreads::default()).unwrap();
        hits.into_iter().map(|hit| (hit.id, hit.score)).collect()
    }

    /// Returns which part of the best ten the search finds. Their scores must be exact.
    fn recall(&self, folder: Option<&str>) -> f32 {
        let (mut found, mut total) = (0.0, 0.0);
        for number in 0..30 {
            let query = row(1_000_000 + number, 0).embedding;
            let exact = self.search(&query, SearchEffort::Exact, folder);
            let hits = self.search(&query, SearchEffort::Default, folder);
            assert!(hits.iter().all(|hit| exact.contains(hit) || hit.1 <= exact[9].1), "a score is not exact");
            found += exact.iter().filter(|hit| hits.contains(hit)).count() as f32;
            total += exact.len() as f32;
        }
        found / total
    }
}

/// A record with a random vector. One of sixteen is in the folder `few`.
fn row(number: u32, edition: u32) -> Row {
    let mut state = u64::from(number) << 20 | u64::from(edition) << 8 | 77;
    let vector = (0..DIMENSION).map(|_| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f32 / 8_388_608.0 - 1.0
    });
    let mut record = example_record(&format!("{number}.jpg"), vector.collect());
    if number % 16 == 0 {
        record.payload.s3_folders = vec!["few".to_owned()];
    }
    Row::new(&record).unwrap()
}

#[test]
fn an_index_is_built_beside_writes_and_finds_what_the_exact_search_finds() {
    let path = tempfile::tempdir().unwrap();
    let mut fixture = Fixture::open(path.path());
    for start in (0..22_000).step_by(2_000) {
        fixture.upsert(start..start + 2_000, 0);
    }
    assert!(fixture.collection.needs_lists());
    let mut steps = 0;
    while fixture.collection.build_lists().unwrap() {
        // The construction must see what it has passed and what is ahead.
        fixture.upsert([steps, 21_000 + steps, 30_000 + steps].into_iter(), 1);
        let deleted = row(5_000 + steps, 0).id;
        fixture.collection.delete(&mut fixture.writer, &[deleted]).unwrap();
        steps += 1;
    }
    assert!(steps > 10 && !fixture.collection.needs_lists());
    // Changes of the finished index, with splits.
    fixture.upsert(40_000..42_500, 0);
    fixture.upsert(7_000..7_300, 2);
    let version = fixture.collection.version().unwrap();
    let lists = version.lists().unwrap();
    assert_eq!(lists.count(), version.count());
    assert_eq!(version.count(), 22_000 + 2_500);
    assert!(lists.lists() > 20, "{}", lists.lists());
    for folder in [None, Some("few")] {
        let recall = fixture.recall(folder);
        assert!(recall > 0.97, "{folder:?}: {recall}");
    }
    for (number, edition) in [(3, 1), (21_004, 1), (30_005, 1), (7_100, 2), (42_000, 0)] {
        let expected = row(number, edition);
        let best = fixture.search(&expected.embedding, SearchEffort::Default, None)[0];
        assert!(best.0 == expected.id && best.1 > 0.9999, "record {number}: {best:?}");
    }
    let deleted = row(5_003, 0);
    assert!(fixture.search(&deleted.embedding, SearchEffort::Default, None)[0].0 != deleted.id);
    // The next start builds it again.
    drop(fixture);
    assert!(Fixture::open(path.path()).collection.needs_lists());
}
