//! Converts a [`Payload`] into values of Qdrant and back, without loss.

use std::collections::{BTreeMap, HashMap};

use qdrant_client::qdrant::value::Kind;
use qdrant_client::qdrant::{ListValue, Struct, Value};

use crate::domain::{ImageFormat, ImageUri, Payload, Timestamp};

/// An additional field with an unambiguous text for each metadata pair that is ambiguous in `meta_kv`, such as `a` =
/// `b=c` and `a=b` = `c`.
pub(super) const META_PAIRS: &str = "glimpse_meta_pairs";

/// Returns whether `key=value` could also be the text of another pair.
pub(super) fn is_ambiguous(key: &str, value: &str) -> bool {
    key.contains('=') || value.contains('=')
}

/// Returns an unambiguous text for a pair.
pub(super) fn pair(key: &str, value: &str) -> String {
    format!("{}:{key}={value}", key.len())
}

/// Returns the values of a point. Fields that are `None` are left out.
pub(super) fn write(payload: &Payload) -> HashMap<String, Value> {
    let Payload {
        s3_key,
        s3_uri,
        s3_bucket,
        s3_folders,
        format,
        width,
        height,
        frames,
        thumbnail_key,
        etag,
        size_bytes,
        content_sha256,
        space,
        indexed_at,
        meta,
        meta_kv,
    } = payload;
    let mut fields: HashMap<String, Value> = HashMap::with_capacity(18);
    let mut put = |name: &str, value: Value| fields.insert(name.to_owned(), value);
    put("s3_key", text(s3_key));
    put("s3_uri", text(s3_uri.as_str()));
    put("s3_bucket", text(s3_bucket));
    put("s3_folders", list(s3_folders.iter().map(|folder| text(folder))));
    put("format", text(format.as_str()));
    put("width", i64::from(*width).into());
    put("height", i64::from(*height).into());
    put("frames", i64::from(*frames).into());
    put("size_bytes", number(*size_bytes));
    put("content_sha256", text(content_sha256));
    put("space", text(space));
    put("indexed_at", text(&indexed_at.to_string()));
    put("meta", structure(meta));
    put("meta_kv", list(meta_kv.iter().map(|pair| text(pair))));
    if let Some(key) = thumbnail_key {
        put("thumbnail_key", text(key));
    }
    if let Some(etag) = etag {
        put("etag", text(etag));
    }
    let ambiguous = || meta.iter().filter(|(key, value)| is_ambiguous(key, value));
    if ambiguous().next().is_some() {
        put(META_PAIRS, list(ambiguous().map(|(key, value)| text(&pair(key, value)))));
    }
    fields
}

fn text(text: &str) -> Value {
    Value { kind: Some(Kind::StringValue(text.to_owned())) }
}

/// Returns an integer, or a text beyond `i64::MAX`, the largest integer in Qdrant. A double would be rounded.
fn number(number: u64) -> Value {
    i64::try_from(number).map_or_else(|_| text(&number.to_string()), Value::from)
}

fn list(values: impl Iterator<Item = Value>) -> Value {
    Value { kind: Some(Kind::ListValue(ListValue { values: values.collect() })) }
}

fn structure(map: &BTreeMap<String, String>) -> Value {
    let fields = map.iter().map(|(key, value)| (key.clone(), text(value))).collect();
    Value { kind: Some(Kind::StructValue(Struct { fields })) }
}

/// Reads the values that [`write`] wrote.
///
/// # Errors
/// Returns a message that names the field.
pub(super) fn read(fields: HashMap<String, Value>) -> Result<Payload, String> {
    let mut fields = Fields(fields);
    let uri = fields.text("s3_uri")?;
    let format = fields.text("format")?;
    Ok(Payload {
        s3_key: fields.text("s3_key")?,
        s3_uri: ImageUri::parse(&uri).map_err(|error| format!("`s3_uri`: {error}"))?,
        s3_bucket: fields.text("s3_bucket")?,
        s3_folders: fields.texts("s3_folders")?,
        format: ImageFormat::from_name(&format)
            .ok_or_else(|| format!("`format` is `{format}`, which is not a known format"))?,
        width: fields.number("width")?,
        height: fields.number("height")?,
        frames: fields.number("frames")?,
        thumbnail_key: fields.optional_text("thumbnail_key")?,
        etag: fields.optional_text("etag")?,
        size_bytes: fields.number("size_bytes")?,
        content_sha256: fields.text("content_sha256")?,
        space: fields.text("space")?,
        indexed_at: Timestamp::parse(&fields.text("indexed_at")?).map_err(|error| format!("`indexed_at`: {error}"))?,
        meta: fields.map("meta")?,
        meta_kv: fields.texts("meta_kv")?,
    })
}

/// The fields of a point. Each is removed when it is read.
struct Fields(HashMap<String, Value>);

impl Fields {
    fn take(&mut self, name: &str) -> Option<Kind> {
        self.0.remove(name)?.kind.filter(|kind| !matches!(kind, Kind::NullValue(_)))
    }

    fn optional_text(&mut self, name: &str) -> Result<Option<String>, String> {
        self.take(name).map(|kind| as_text(name, kind)).transpose()
    }

    fn text(&mut self, name: &str) -> Result<String, String> {
        self.optional_text(name)?.ok_or_else(|| format!("`{name}` is missing"))
    }

    fn number<T: TryFrom<u64>>(&mut self, name: &str) -> Result<T, String> {
        let number = match self.take(name) {
            Some(Kind::IntegerValue(number)) => u64::try_from(number).ok(),
            Some(Kind::StringValue(digits)) => digits.parse().ok(),
            _ => None,
        };
        number
            .and_then(|number| T::try_from(number).ok())
            .ok_or_else(|| format!("`{name}` is not a number in its range"))
    }

    fn texts(&mut self, name: &str) -> Result<Vec<String>, String> {
        match self.take(name) {
            None => Ok(Vec::new()),
            Some(Kind::ListValue(list)) => {
                list.values.into_iter().map(|value| as_text(name, value.kind.unwrap_or(Kind::NullValue(0)))).collect()
            }
            Some(_) => Err(format!("`{name}` is not a list")),
        }
    }

    fn map(&mut self, name: &str) -> Result<BTreeMap<String, String>, String> {
        match self.take(name) {
            None => Ok(BTreeMap::new()),
            Some(Kind::StructValue(map)) => {
                let texts = map.fields.into_iter().map(|(key, value)| {
                    as_text(name, value.kind.unwrap_or(Kind::NullValue(0))).map(|value| (key, value))
                });
                texts.collect()
            }
            Some(_) => Err(format!("`{name}` is not an object")),
        }
    }
}

fn as_text(name: &str, kind: Kind) -> Result<String, String> {
    match kind {
        Kind::StringValue(text) => Ok(text),
        _ => Err(format!("`{name}` has a value that is not a text")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn payload() -> Payload {
        let uri = ImageUri::new("bucket", "a b/ü+%25'\".jpg");
        Payload {
            s3_key: uri.key().to_owned(),
            s3_bucket: "bucket".to_owned(),
            s3_folders: uri.folders(),
            s3_uri: uri,
            format: ImageFormat::Webp,
            width: u32::MAX,
            height: 0,
            frames: 1,
            thumbnail_key: None,
            etag: Some(String::new()),
            size_bytes: u64::MAX,
            content_sha256: "00".to_owned(),
            space: "m/4/none".to_owned(),
            indexed_at: Timestamp::parse("2026-01-31T12:00:00.000001Z").unwrap(),
            meta: [("a.b[0]".to_owned(), "c=d".to_owned()), (String::new(), "\u{1F426}".to_owned())].into(),
            meta_kv: vec!["a.b[0]=c=d".to_owned(), String::new()],
        }
    }

    #[test]
    fn a_written_payload_is_read_without_loss() {
        assert_eq!(read(write(&payload())), Ok(payload()));
        let plain = Payload {
            thumbnail_key: Some("t".into()),
            etag: None,
            s3_folders: vec![],
            size_bytes: 7,
            meta: BTreeMap::new(),
            meta_kv: vec![],
            ..payload()
        };
        let written = write(&plain);
        assert!(!written.contains_key("etag") && !written.contains_key(META_PAIRS));
        assert_eq!(read(written), Ok(plain));
    }

    #[test]
    fn the_error_names_the_field_that_cannot_be_read() {
        for name in ["s3_key", "s3_uri", "format", "width", "size_bytes", "indexed_at", "meta", "meta_kv"] {
            let mut fields = write(&payload());
            fields.insert(name.to_owned(), true.into());
            let message = read(fields).expect_err(name);
            assert!(message.contains(name), "{message}");
        }
        let mut fields = write(&payload());
        fields.insert("width".to_owned(), (i64::from(u32::MAX) + 1).into());
        assert!(read(fields).unwrap_err().contains("width"));
        fields = write(&payload());
        fields.remove("content_sha256");
        assert!(read(fields).unwrap_err().contains("content_sha256"));
    }
}
