//! Conditions on records. `filter_value.rs` parses them.

use std::collections::BTreeMap;

use super::{BoundingBox, Circle, ExifFacts, ImageFormat, Payload, TakenMonth, Timestamp, parse_date, parse_number};

/// Conditions that a record must all fulfil. An empty filter matches every record.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Filter {
    /// The format of the image.
    pub formats: Condition<ImageFormat>,
    /// The folders of the key. They end in `/`.
    pub folders: Condition<String>,
    /// Minimum width of the original, in pixels.
    pub min_width: Option<u32>,
    /// Minimum height of the original, in pixels.
    pub min_height: Option<u32>,
    /// Only records created after this time.
    pub indexed_after: Option<Timestamp>,
    /// The values of `meta`, by key.
    pub meta: BTreeMap<String, Condition<MetaValue>>,
    /// The camera.
    pub cameras: Condition<String>,
    /// When the image was taken.
    pub taken: Option<ValueRange<Timestamp>>,
    /// The month in which the image was taken.
    pub taken_months: Condition<TakenMonth>,
    /// Only images that were taken in this circle.
    pub near: Option<Circle>,
    /// Only images that were taken in this box.
    pub bbox: Option<BoundingBox>,
}

/// A condition on one property of a record: it has one of the values in `any_of`, if there are any, and none of those in
/// `none_of`. A record without the property can fulfil the second part only.
#[derive(Clone, Debug, PartialEq)]
pub struct Condition<T> {
    /// The record has one of these values.
    pub any_of: Vec<T>,
    /// The record has none of these values.
    pub none_of: Vec<T>,
}

/// What a value of `meta` is compared with.
#[derive(Clone, Debug, PartialEq)]
pub enum MetaValue {
    /// This text.
    Text(String),
    /// A number in this range.
    Numbers(ValueRange<f64>),
    /// A date, or a date and time, in this range.
    Dates(ValueRange<Timestamp>),
}

/// All values from `min` to `max`, both included. A missing bound is open.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ValueRange<T> {
    /// The smallest value.
    pub min: Option<T>,
    /// The largest value.
    pub max: Option<T>,
}

impl Filter {
    /// Whether the filter matches every record.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Whether the filter has a range of numbers or dates.
    pub fn has_ranges(&self) -> bool {
        let mut values = self.meta.values().flat_map(|condition| condition.any_of.iter().chain(&condition.none_of));
        values.any(|value| !matches!(value, MetaValue::Text(_)))
    }

    /// Whether the filter has a condition on facts of EXIF, IPTC and XMP.
    pub fn has_exif(&self) -> bool {
        let Self { cameras, taken, taken_months, near, bbox, .. } = self;
        !cameras.is_empty() || taken.is_some() || !taken_months.is_empty() || near.is_some() || bbox.is_some()
    }

    /// Whether `payload` fulfils every condition. This is the reference meaning of a filter; the translation for each
    /// store is tested against it.
    pub fn matches(&self, payload: &Payload) -> bool {
        self.formats.accepts(|format| payload.format == *format)
            && self.folders.accepts(|folder| payload.s3_folders.contains(folder))
            && self.min_width.is_none_or(|width| payload.width >= width)
            && self.min_height.is_none_or(|height| payload.height >= height)
            && self.indexed_after.is_none_or(|after| payload.indexed_at > after)
            && self.meta.iter().all(|(key, condition)| {
                let text = payload.meta.get(key);
                condition.accepts(|value| text.is_some_and(|text| value.matches(text)))
            })
            && self.matches_exif(&payload.exif)
    }

    fn matches_exif(&self, exif: &ExifFacts) -> bool {
        let (taken_at, location) = (exif.taken_at, exif.location);
        self.cameras.accepts(|camera| exif.camera.as_ref() == Some(camera))
            && self.taken.is_none_or(|range| taken_at.is_some_and(|taken_at| range.contains(&taken_at.moment())))
            && self.taken_months.accepts(|month| taken_at.is_some_and(|taken_at| taken_at.is_in(*month)))
            && self.near.is_none_or(|circle| location.is_some_and(|location| circle.contains(location)))
            && self.bbox.is_none_or(|bbox| location.is_some_and(|location| bbox.contains(location)))
    }
}

impl<T> Condition<T> {
    /// Whether every record fulfils the condition.
    pub fn is_empty(&self) -> bool {
        self.any_of.is_empty() && self.none_of.is_empty()
    }

    fn accepts(&self, has: impl Fn(&T) -> bool) -> bool {
        (self.any_of.is_empty() || self.any_of.iter().any(&has)) && !self.none_of.iter().any(&has)
    }
}

impl<T> Default for Condition<T> {
    fn default() -> Self {
        Self { any_of: Vec::new(), none_of: Vec::new() }
    }
}

impl<T> From<T> for Condition<T> {
    /// Returns the condition that a record has this value.
    fn from(value: T) -> Self {
        Self { any_of: vec![value], none_of: Vec::new() }
    }
}

impl MetaValue {
    /// Whether a value of `meta` is equal to the text or in the range.
    pub fn matches(&self, text: &str) -> bool {
        match self {
            Self::Text(wanted) => text == wanted,
            Self::Numbers(range) => parse_number(text).is_some_and(|number| range.contains(&number)),
            Self::Dates(range) => parse_date(text).is_some_and(|(moment, _)| range.contains(&moment)),
        }
    }
}

impl<T: PartialOrd> ValueRange<T> {
    /// Whether the value is in the range.
    pub fn contains(&self, value: &T) -> bool {
        self.min.as_ref().is_none_or(|min| value >= min) && self.max.as_ref().is_none_or(|max| value <= max)
    }
}
