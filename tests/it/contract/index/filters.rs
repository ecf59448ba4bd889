//! A filter gives in every store what [`Filter::matches`] gives.

use std::collections::BTreeMap;

use glimpse::domain::{
    BoundingBox, Circle, Condition, ExifFacts, ExifLevel, Filter, ImageFormat, ImageRecord, MetaValue, Position,
    SearchQuery, TakenAt, TakenMonth, Timestamp, parse_times,
};
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
/// Keys of numbers and dates, some of which cannot be names or paths as they are.
const TYPED_KEYS: [&str; 6] = ["month", "a.b", "b\"[0]\\", "a b", "%22", ""];
const TYPED: [&str; 12] = [
    "4",
    "5",
    "06.0",
    "-1.5",
    "1e300",
    "0",
    "-0",
    "4..6",
    "2024-04-01",
    "2024-06-30T23:00:00+02:00",
    "1850-01-01",
    "9999-12-31",
];
/// Ranges in the grammar of users.
const RANGES: [&str; 8] =
    ["4..6", "..4", "5..", "-2..0", "2024-04-01..2024-06-30", "..1900-01-01", "2024-06-30T21:00:00Z..", "5..5"];
const SIZES: [u32; 4] = [1, 640, 641, u32::MAX];
const MOMENTS: [&str; 4] =
    ["2026-01-31T12:00:00Z", "2026-01-31T12:00:00.000001Z", "2026-02-01T00:00:00+02:00", "2025-12-31T23:59:59.9Z"];

const CAMERAS: [&str; 4] = ["Canon EOS R5", "Apple iPhone 12 Pro", "canon eos r5", "Cámara \"=\" 1"];
/// Times in months that differ from those in UTC, before 1970, of the same moment, and with fractions of a second.
const TAKEN: [&str; 8] = [
    "2024-07-01T00:30:00+02:00",
    "2024-06-30T22:30:00Z",
    "2024-06-30T22:30:00.000001+00:00",
    "2023-12-31T20:00:00-09:30",
    "2024-01-15T12:00:00Z",
    "1969-12-31T23:59:59.750000Z",
    "1850-06-01T00:00:00Z",
    "2100-06-30T12:00:00+14:00",
];
const BOUNDS: [&str; 6] =
    ["2024-06-30", "2024-07-01", "1969-12-31", "1970-01-01", "2024-06-30T22:30:00Z", "2024-01-01T05:30:00Z"];
const MONTHS: [&str; 6] = ["2024-06", "2024-07", "06", "12", "2023-12", "1999-01"];
/// Positions at the edges of boxes, at the poles, and on both sides of the meridian of 180 degrees.
const PLACES: [(f64, f64); 10] = [
    (48.137_154_3, 11.575_5),
    (48.137_154_4, 11.575_5),
    (48.2, 11.6),
    (-33.9, 151.2),
    (0.0, 180.0),
    (0.5, -180.0),
    (-0.5, 179.9),
    (90.0, 0.0),
    (-90.0, 12.0),
    (51.5, -0.1),
];
const CIRCLES: [&str; 7] =
    ["48.137,11.575,1", "48.137,11.575,20", "0,180,100", "0,-179.95,60", "89.9,90,50", "20,20,20038", "10,10,1000"];
const BOXES: [&str; 6] = [
    "11.5755,48.1371543,11.5755,48.1371543",
    "11.5755,48.1371544,12,49",
    "179.9,-0.5,-180,0.5",
    "-180,-90,180,90",
    "-10,40,20,60",
    "170,-40,-170,-10",
];

fn random_exif(rng: &mut Rng) -> ExifFacts {
    let (camera, taken_at, place) = (rng.pick(&CAMERAS).to_owned(), rng.pick(&TAKEN), rng.pick(&PLACES));
    let half = |rng: &mut Rng| rng.next(2) == 0;
    ExifFacts {
        level: ExifLevel::All,
        taken_at: half(rng).then(|| TakenAt::parse(taken_at).unwrap()),
        camera: half(rng).then_some(camera),
        location: if half(rng) { Position::new(place.0, place.1) } else { None },
        keywords: if half(rng) { vec!["a".to_owned(), "b".to_owned()] } else { Vec::new() },
        ..ExifFacts::default()
    }
}

fn random_meta(rng: &mut Rng) -> BTreeMap<String, String> {
    let texts = (0..rng.next(4)).map(|_| (rng.pick(&WORDS), rng.pick(&WORDS))).collect::<Vec<_>>();
    let typed = (0..rng.next(4)).map(|_| (rng.pick(&TYPED_KEYS), rng.pick(&TYPED))).collect::<Vec<_>>();
    texts.into_iter().chain(typed).map(|(key, value)| (key.to_owned(), value.to_owned())).collect()
}

pub(super) fn any_record(rng: &mut Rng, n: usize) -> ImageRecord {
    let mut record = record(&format!("{}{n}.jpg", rng.pick(&FOLDERS)), [1.0, 0.0, 0.0, 0.0]);
    record.payload.format = rng.pick(&FORMATS);
    record.payload.width = rng.pick(&SIZES);
    record.payload.height = rng.pick(&SIZES);
    record.payload.indexed_at = Timestamp::parse(rng.pick(&MOMENTS)).unwrap();
    record.payload.meta = random_meta(rng);
    record.payload.meta_kv = record.payload.meta.iter().map(|(key, value)| format!("{key}={value}")).collect();
    record.payload.exif = if rng.next(4) == 0 { ExifFacts::default() } else { random_exif(rng) };
    record
}

/// A condition with up to three values, some of them excluded.
fn any_condition<T>(rng: &mut Rng, mut value: impl FnMut(&mut Rng) -> T) -> Condition<T> {
    let mut condition = Condition::default();
    for _ in 0..=rng.next(3) {
        let value = value(rng);
        if rng.next(3) == 0 { condition.none_of.push(value) } else { condition.any_of.push(value) }
    }
    condition
}

fn any_text(rng: &mut Rng) -> MetaValue {
    MetaValue::Text(rng.pick(&WORDS).to_owned())
}

fn any_typed(rng: &mut Rng) -> MetaValue {
    if rng.next(4) == 0 {
        return MetaValue::Text(rng.pick(&TYPED).to_owned());
    }
    Condition::parse_meta([rng.pick(&RANGES)]).unwrap().any_of.remove(0)
}

pub(super) fn any_filter(rng: &mut Rng) -> Filter {
    let mut filter = Filter::default();
    if rng.next(4) == 0 {
        filter.formats = any_condition(rng, |rng| rng.pick(&FORMATS));
    }
    if rng.next(4) == 0 {
        filter.folders = any_condition(rng, |rng| rng.pick(&PREFIXES).to_owned());
    }
    if rng.next(3) == 0 {
        filter.meta.insert(rng.pick(&WORDS).to_owned(), any_condition(rng, any_text));
    }
    if rng.next(2) == 0 {
        filter.meta.insert(rng.pick(&TYPED_KEYS).to_owned(), any_condition(rng, any_typed));
    }
    let (moment, width, height) = (rng.pick(&MOMENTS), rng.pick(&SIZES), rng.pick(&SIZES));
    filter.min_width = rng.maybe(width);
    filter.min_height = rng.maybe(height);
    filter.indexed_after = rng.maybe(Timestamp::parse(moment).unwrap());
    filter
}

/// A filter with one or two conditions on facts of EXIF, and sometimes others.
fn any_exif_filter(rng: &mut Rng) -> Filter {
    let mut filter = if rng.next(4) == 0 { any_filter(rng) } else { Filter::default() };
    for _ in 0..=rng.next(2) {
        match rng.next(5) {
            0 => filter.cameras = any_condition(rng, |rng| rng.pick(&CAMERAS).to_owned()),
            1 => filter.taken_months = any_condition(rng, |rng| TakenMonth::parse(rng.pick(&MONTHS)).unwrap()),
            2 => {
                let (after, before) = (rng.pick(&BOUNDS), rng.pick(&BOUNDS));
                let bounds = [(Some(after), Some(before)), (Some(after), None), (None, Some(before))];
                let (after, before) = rng.pick(&bounds);
                filter.taken = parse_times(after, before).unwrap_or_default();
            }
            3 => filter.near = Circle::parse(rng.pick(&CIRCLES)).ok(),
            _ => filter.bbox = BoundingBox::parse(rng.pick(&BOXES)).ok(),
        }
    }
    filter
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
    for turn in 0..500 {
        let filter = if turn < 300 { any_filter(&mut rng) } else { any_exif_filter(&mut rng) };
        let mut expected: Vec<_> =
            records.iter().filter(|record| filter.matches(&record.payload)).map(|record| record.id).collect();
        expected.sort();
        let query = SearchQuery { filter: filter.clone(), ..query([1.0, 0.0, 0.0, 0.0], 1_000) };
        let found: Vec<_> = index.search(&collection, &query).await.unwrap().into_iter().map(|hit| hit.id).collect();
        assert_eq!(found, expected, "{filter:?}");
        answered += usize::from(!found.is_empty());
    }
    assert!(answered > 150, "only {answered} filters match any record: the test proves little");
    index.drop_collection(&collection).await.unwrap();
}
