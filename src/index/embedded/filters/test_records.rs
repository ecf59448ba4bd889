//! Records and predicates for the tests of filters.

use super::predicate::Predicate;
use crate::domain::{BoundingBox, Circle, ImageFormat, MetaValue, Position, TakenAt, Timestamp, ValueRange};
use crate::index::embedded::rows::{Row, camera_term, folder_term, meta_term};
use crate::index::shared::example_record;

const FORMATS: [ImageFormat; 3] = [ImageFormat::Jpeg, ImageFormat::Png, ImageFormat::Gif];
/// The editions of a record differ in all values that filters are about.
pub(super) const EDITIONS: u32 = 60;

pub(super) fn row(key: u32, edition: u32) -> Row {
    let mut record = example_record(&format!("{key}.jpg"), vec![1.0, 0.0]);
    let payload = &mut record.payload;
    payload.s3_folders = vec!["a/".to_owned(), format!("a/{}/", edition % 3)];
    payload.format = FORMATS[edition as usize % FORMATS.len()];
    (payload.width, payload.height) = (edition, 100 - edition);
    payload.indexed_at = moment(edition);
    if !edition.is_multiple_of(5) {
        payload.exif.taken_at = TakenAt::new(moment(edition), Some(60));
        payload.exif.location =
            Position::new(f64::from(edition), 150.0 + f64::from(edition) - f64::from(edition / 31) * 360.0);
        payload.exif.camera = Some(format!("camera {}", edition % 4));
    }
    payload.meta.insert("n".to_owned(), edition.to_string());
    if edition.is_multiple_of(4) {
        payload.meta.insert("kind".to_owned(), format!("kind {}", edition % 8));
    }
    Row::new(&record).unwrap()
}

pub(super) fn moment(edition: u32) -> Timestamp {
    Timestamp::from_unix_seconds(i64::from(edition) * 1_000).unwrap()
}

pub(super) fn predicates() -> Vec<Predicate> {
    let numbers = |min, max| MetaValue::Numbers(ValueRange { min, max });
    let mut predicates = vec![
        Predicate::All,
        Predicate::Term(folder_term("a/")),
        Predicate::Term(folder_term("a/1/")),
        Predicate::Term(folder_term("none/")),
        Predicate::Term(meta_term("kind", "kind 4")),
        Predicate::Range { prefix: meta_term("n", ""), range: numbers(Some(10.0), Some(30.0)) },
        Predicate::Range { prefix: meta_term("n", ""), range: numbers(None, Some(20.0)) },
        Predicate::Range { prefix: meta_term("kind", ""), range: numbers(None, Some(20.0)) },
        Predicate::MinWidth(20),
        Predicate::MinHeight(60),
        Predicate::IndexedAfter(moment(33)),
        Predicate::Term(camera_term("camera 3")),
        Predicate::Taken(ValueRange { min: Some(moment(12)), max: Some(moment(40)) }),
        Predicate::Taken(ValueRange { min: None, max: Some(moment(40)) }),
        Predicate::Near(Circle::parse("30,179,900").unwrap()),
        Predicate::Within(BoundingBox::parse("170,10,-170,50").unwrap()),
    ];
    predicates.extend(FORMATS.map(Predicate::Format));
    predicates
}
