//! The names of an object's properties.

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
/// The user's metadata as JSON: its keys are anybody's, and no property may have such a name.
pub(super) const META: &str = "meta";
pub(super) const META_KV: &str = "meta_kv";

/// `indexed_at` in microseconds: ranges over it are exact, and quick however many records there are.
pub(super) const INDEXED_MICROS: &str = "indexed_micros";
/// Folders and metadata as words that are compared whole. The server trims a word before it compares, and `a=b` with
/// the value `c` is not `a` with the value `b=c`, so these are written so that neither can matter.
pub(super) const TERMS: &str = "terms";
/// The whole payload as JSON, which is what is read back: numbers are doubles in Weaviate, and an empty list is none.
pub(super) const PAYLOAD: &str = "payload";
/// Always an empty object. Where the class is there, it is an object without its one optional field. Where it is not,
/// auto-schema, which is on by default, would make the class of whatever comes: but it cannot make a property of an
/// object that shows no field. So no write of ours makes a class or a property, whoever drops the class meanwhile, and
/// without asking before each write.
pub(super) const GUARD: &str = "guard";
/// An object's id, to filters.
pub(super) const ID: &str = "_id";
