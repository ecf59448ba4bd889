//! A filter gives in every store what [`Filter::matches`] gives.

use std::collections::BTreeMap;

use glimpse::domain::{Filter, ImageFormat, ImageRecord, SearchQuery, Timestamp};
use glimpse::index::ImageIndex;

use super::support::{fresh, query, record};

/// A small xorshift: the same numbers in every run.
pub(super) struct Rng(pub(super) u64);

impl Rng {
    fn next(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % sides as u64).unwrap()
    }

    fn pick<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.next(choices.len())]
    }

    fn maybe<T>(&mut self, value: T) -> Option<T> {
        (self.next(4) == 0).then_some(value)
    }
}

const FORMATS: [ImageFormat; 4] = [ImageFormat::Jpeg, ImageFormat::Png, ImageFormat::Webp, ImageFormat::Gif];
const FOLDERS: [&str; 8] = ["", "a/", "a/b/", "a//", "/", "ü%/a/", "a b/", "a b/c/"];
const PREFIXES: [&str; 8] = ["a/", "a/b/", "b/", "a//", "/", "ü%/", "_/", "a b/"];
const WORDS: [&str; 9] = ["a", "b", "a=b", "b=a", "", "A", "a b", "a b c", "a "];
const SIZES: [u32; 4] = [1, 640, 641, u32::MAX];
const MOMENTS: [&str; 4] =
    ["2026-01-31T12:00:00Z", "2026-01-31T12:00:00.000001Z", "2026-02-01T00:00:00+02:00", "2025-12-31T23:59:59.9Z"];

fn random_texts(rng: &mut Rng, most: usize) -> BTreeMap<String, String> {
    (0..rng.next(most + 1)).map(|_| (rng.pick(&WORDS).to_owned(), rng.pick(&WORDS).to_owned())).collect()
}

pub(super) fn any_record(rng: &mut Rng, n: usize) -> ImageRecord {
    let mut record = record(&format!("{}{n}.jpg", rng.pick(&FOLDERS)), [1.0, 0.0, 0.0, 0.0]);
    record.payload.format = rng.pick(&FORMATS);
    record.payload.width = rng.pick(&SIZES);
    record.payload.height = rng.pick(&SIZES);
    record.payload.indexed_at = Timestamp::parse(rng.pick(&MOMENTS)).unwrap();
    record.payload.meta = random_texts(rng, 3);
    record.payload.meta_kv = record.payload.meta.iter().map(|(key, value)| format!("{key}={value}")).collect();
    record
}

pub(super) fn any_filter(rng: &mut Rng) -> Filter {
    let (format, prefix, moment) = (rng.pick(&FORMATS), rng.pick(&PREFIXES), rng.pick(&MOMENTS));
    let (width, height) = (rng.pick(&SIZES), rng.pick(&SIZES));
    Filter {
        format: rng.maybe(format),
        s3_prefix: rng.maybe(prefix.to_owned()),
        min_width: rng.maybe(width),
        min_height: rng.maybe(height),
        indexed_after: rng.maybe(Timestamp::parse(moment).unwrap()),
        meta: if rng.next(3) == 0 { random_texts(rng, 2) } else { BTreeMap::new() },
    }
}

pub(crate) async fn each_filter_gives_what_matches_gives(index: &dyn ImageIndex) {
    let collection = fresh(index, "contract-filters").await;
    let mut rng = Rng(0x9E37_79B9_7F4A_7C15);
    let mut records: Vec<_> = (0..300).map(|n| any_record(&mut rng, n)).collect();
    index.upsert(&collection, &records).await.unwrap();
    // Some records are replaced, some deleted: filters must not use old values.
    for record in &mut records[..100] {
        let replaced = any_record(&mut rng, 0).payload;
        record.payload = glimpse::domain::Payload {
            s3_key: record.payload.s3_key.clone(),
            s3_uri: record.payload.s3_uri.clone(),
            s3_folders: record.payload.s3_folders.clone(),
            ..replaced
        };
    }
    index.upsert(&collection, &records[..100]).await.unwrap();
    let deleted: Vec<_> = records.drain(80..120).map(|record| record.id).collect();
    index.delete(&collection, &deleted).await.unwrap();

    let mut answered = 0;
    for _ in 0..200 {
        let filter = any_filter(&mut rng);
        let mut expected: Vec<_> =
            records.iter().filter(|record| filter.matches(&record.payload)).map(|record| record.id).collect();
        expected.sort();
        let query = SearchQuery { filter: filter.clone(), ..query([1.0, 0.0, 0.0, 0.0], 1_000) };
        let found: Vec<_> = index.search(&collection, &query).await.unwrap().into_iter().map(|hit| hit.id).collect();
        assert_eq!(found, expected, "{filter:?}");
        answered += usize::from(!found.is_empty());
    }
    assert!(answered > 50, "only {answered} filters match any record: the test proves little");
    index.drop_collection(&collection).await.unwrap();
}
