//! The names of the properties of an object.

pub(super) const S3_KEY: &str = "s3_key";
pub(super) const S3_URI: &str = "s3_uri";
pub(super) const S3_BUCKET: &str = "s3_bucket";
pub(super) const S3_FOLDERS: &str = "s3_folders";
pub(super) const FORMAT: &str = "format";
pub(super) const WIDTH: &str = "width";
pub(super) const HEIGHT: &str = "height";
pub(super) const FRAMES: &str = "frames";
pub(super) const THUMBNAIL_KEY: &str = "thumbnail_key";
pub(super) const ETAG: &str = "etag";
pub(super) const SIZE_BYTES: &str = "size_bytes";
pub(super) const CONTENT_SHA256: &str = "content_sha256";
pub(super) const SPACE: &str = "space";
pub(super) const INDEXED_AT: &str = "indexed_at";
/// The user's metadata as JSON: its keys are arbitrary, and must not become names of properties.
pub(super) const META: &str = "meta";
pub(super) const META_KV: &str = "meta_kv";

/// `indexed_at` in microseconds. Range filters on it are exact, and fast for any number of records.
pub(super) const INDEXED_MICROS: &str = "indexed_micros";
/// Folders and metadata pairs as terms that filters compare as a whole. A term does not begin or end with a space,
/// because the server trims terms, and it is different for `a=b` with the value `c` and `a` with the value `b=c`.
pub(super) const TERMS: &str = "terms";
/// The whole payload as JSON. It is read back instead of the properties, because Weaviate stores numbers as doubles and
/// an empty list as a missing one.
pub(super) const PAYLOAD: &str = "payload";
/// Always an empty object. If the class exists, it is an object without its single optional field. If the class does
/// not exist, auto-schema (on by default) would create it from the written object; but it cannot create a property from
/// an object without fields, so the write fails. So no write creates a class or a property, even if the class is
/// dropped in the meantime, and no check is needed before each write.
pub(super) const GUARD: &str = "guard";
/// The name of the object id in filters.
pub(super) const ID: &str = "_id";
